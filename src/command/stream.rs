//! Commands on streams: what adds and deletes entries. Those on their groups are in
//! `stream_group.rs`.

use super::arguments::{argument, integer, is};
use super::{Applied, Failure, Unit};
use crate::value::{Id, Idmp, Message, References, Stream, Trim, Type, Value};

/// What a command makes of a key that is not there.
#[derive(Clone, Copy)]
pub(super) enum Missing {
    /// It makes a stream.
    Create,
    /// There is nothing to do.
    Ignore,
    /// The primary has it, as it would have refused the command otherwise.
    Refuse,
}

/// Edits the stream under a key.
pub(super) fn edit(
    unit: &mut Unit<'_>,
    key: &[u8],
    missing: Missing,
    edit: impl FnOnce(&mut Stream) -> Applied,
) -> Applied {
    unit.edit(key, Type::Stream, |old| {
        let mut stream = match (old, missing) {
            (Some(Value::Stream(stream)), _) => stream.clone(),
            (_, Missing::Create) => Stream::default(),
            (_, Missing::Ignore) => return Ok(None),
            (_, Missing::Refuse) => return Err(Failure::new("the stream is not there")),
        };
        edit(&mut stream)?;
        Ok(Some(Value::Stream(stream)))
    })
}

/// An id; without its second number that is 0.
pub(super) fn id(argument: &[u8]) -> Result<Id, Failure> {
    Id::parse(argument).ok_or_else(|| Failure::new("an argument is not the id of an entry"))
}

/// Ids, every one of the arguments.
pub(super) fn ids(arguments: &[&[u8]]) -> Result<Vec<Id>, Failure> {
    arguments.iter().map(|argument| id(argument)).collect()
}

fn count(argument: &[u8]) -> Result<u64, Failure> {
    u64::try_from(integer(argument)?).map_err(|_| Failure::new("an argument is negative"))
}

/// The word for [`References`].
pub(super) fn references(word: &[u8]) -> Option<References> {
    match word.to_ascii_uppercase().as_slice() {
        b"KEEPREF" => Some(References::Keep),
        b"DELREF" => Some(References::Drop),
        b"ACKED" => Some(References::Acked),
        _ => None,
    }
}

/// The options of XADD and XTRIM.
#[derive(Default)]
struct Options<'a> {
    trim: Option<Trim>,
    references: References,
    /// A producer, and what it calls its message.
    message: Option<(&'a [u8], Option<&'a [u8]>)>,
}

impl<'a> Options<'a> {
    /// Reads the option at this place and says how many arguments it takes; `None` where there is
    /// none.
    fn read(&mut self, args: &[&'a [u8]], at: usize) -> Result<Option<usize>, Failure> {
        let word = argument(args, at)?;
        if let Some(references) = references(word) {
            self.references = references;
            return Ok(Some(1));
        }
        Ok(match word.to_ascii_uppercase().as_slice() {
            b"MAXLEN" => Some(self.read_trim(args, at, |limit| count(limit).map(Trim::Length))?),
            b"MINID" => Some(self.read_trim(args, at, |limit| id(limit).map(Trim::From))?),
            b"NOMKSTREAM" => Some(1),
            // Left over from an approximate trim, of which the result comes as an exact one.
            b"LIMIT" => integer(argument(args, at + 1)?).map(|_| Some(2))?,
            b"IDMPAUTO" => {
                self.message = Some((argument(args, at + 1)?, None));
                Some(2)
            }
            b"IDMP" => {
                self.message = Some((argument(args, at + 1)?, Some(argument(args, at + 2)?)));
                Some(3)
            }
            _ => None,
        })
    }

    fn read_trim(
        &mut self,
        args: &[&'a [u8]],
        at: usize,
        limit: impl FnOnce(&[u8]) -> Result<Trim, Failure>,
    ) -> Result<usize, Failure> {
        let first = argument(args, at + 1)?;
        if first == b"~" {
            return Err(Failure::new("an approximate trim can't be repeated"));
        }
        let width = if first == b"=" { 3 } else { 2 };
        self.trim = Some(limit(argument(args, at + width - 1)?)?);
        Ok(width)
    }
}

/// `XADD key [options] id field value [field value ...]`
pub(super) fn xadd(unit: &mut Unit<'_>, args: &[&[u8]]) -> Applied {
    let mut options = Options::default();
    let mut at = 2;
    while let Some(width) = options.read(args, at)? {
        at += width;
    }
    let fields = args.get(at + 1..).unwrap_or_default();
    if fields.is_empty() || fields.len() % 2 == 1 {
        return Err(Failure::syntax());
    }
    // A message that its producer sent once more: the primary added nothing.
    if options.message.is_some() && args[at] == b"*" {
        return Ok(());
    }
    let (id, now_ms) = (id(args[at])?, unit.now_ms());
    edit(unit, args[1], Missing::Create, |stream| {
        if !stream.append(id, fields) {
            return Err(Failure::new("the id is not larger than the last one"));
        }
        if let Some((producer, name)) = options.message {
            remember(stream, producer, name, id, now_ms);
        }
        if let Some(trim) = options.trim {
            stream.trim(trim, options.references);
        }
        Ok(())
    })
}

/// Remembers a message of a producer. Under IDMPAUTO its name is a hash of its fields, which only
/// a primary needs.
fn remember(stream: &mut Stream, producer: &[u8], name: Option<&[u8]>, id: Id, now_ms: i64) {
    let mut idmp = stream.idmp().cloned().unwrap_or_default();
    match name {
        Some(name) => idmp.remember(Message { producer, name, id }, now_ms),
        None => idmp.added = idmp.added.saturating_add(1),
    }
    stream.set_idmp(idmp);
}

/// `XTRIM key MAXLEN | MINID [=] limit [options]`
pub(super) fn xtrim(unit: &mut Unit<'_>, args: &[&[u8]]) -> Applied {
    let mut options = Options::default();
    let mut at = 2;
    while at < args.len() {
        at += options.read(args, at)?.ok_or_else(Failure::syntax)?;
    }
    let trim = options.trim.ok_or_else(Failure::syntax)?;
    edit(unit, args[1], Missing::Ignore, |stream| {
        stream.trim(trim, options.references);
        Ok(())
    })
}

/// `XDEL key id [id ...]`
pub(super) fn xdel(unit: &mut Unit<'_>, args: &[&[u8]]) -> Applied {
    delete(unit, args[1], &ids(&args[2..])?, References::Keep)
}

/// `XDELEX key [KEEPREF | DELREF | ACKED] IDS count id [id ...]`
pub(super) fn xdelex(unit: &mut Unit<'_>, args: &[&[u8]]) -> Applied {
    let (references, ids) = counted_ids(args, 2)?;
    delete(unit, args[1], &ids, references)
}

fn delete(unit: &mut Unit<'_>, key: &[u8], ids: &[Id], references: References) -> Applied {
    edit(unit, key, Missing::Ignore, |stream| {
        ids.iter().for_each(|id| {
            stream.delete(*id, references);
        });
        Ok(())
    })
}

/// What becomes of references, and the list behind the word `IDS`, in any order.
pub(super) fn counted_ids(args: &[&[u8]], mut at: usize) -> Result<(References, Vec<Id>), Failure> {
    let mut kept = References::Keep;
    let mut found = None;
    while let Some(word) = args.get(at) {
        at += if let Some(references) = references(word) {
            kept = references;
            1
        } else if is(word, "IDS") {
            let (ids, width) = id_list(args, at)?;
            found = Some(ids);
            width
        } else {
            return Err(Failure::syntax());
        };
    }
    Ok((kept, found.ok_or_else(Failure::syntax)?))
}

/// The ids behind the word `IDS` at this place, and how many arguments all of it takes.
pub(super) fn id_list(args: &[&[u8]], at: usize) -> Result<(Vec<Id>, usize), Failure> {
    let count = usize::try_from(integer(argument(args, at + 1)?)?).ok();
    let end = count.and_then(|count| count.checked_add(at + 2));
    let list = end.and_then(|end| args.get(at + 2..end)).filter(|list| !list.is_empty());
    let list = ids(list.ok_or_else(Failure::syntax)?)?;
    let width = list.len() + 2;
    Ok((list, width))
}

/// `XSETID key last-id [ENTRIESADDED count] [MAXDELETEDID id]`
pub(super) fn xsetid(unit: &mut Unit<'_>, args: &[&[u8]]) -> Applied {
    let last = id(args[2])?;
    let (mut added, mut max_deleted) = (None, None);
    let mut at = 3;
    while let Some(word) = args.get(at) {
        let value = argument(args, at + 1)?;
        if is(word, "ENTRIESADDED") {
            added = Some(count(value)?);
        } else if is(word, "MAXDELETEDID") {
            max_deleted = Some(id(value)?).filter(|id| *id != Id::MIN);
        } else {
            return Err(Failure::syntax());
        }
        at += 2;
    }
    edit(unit, args[1], Missing::Refuse, |stream| {
        let max_deleted = max_deleted.unwrap_or(stream.max_deleted_id());
        if stream.set_ids(last, max_deleted, added.unwrap_or(stream.added())) {
            return Ok(());
        }
        Err(Failure::new("the last id would be smaller than that of an entry"))
    })
}

/// `XCFGSET key [IDMP-DURATION seconds] [IDMP-MAXSIZE count]`
pub(super) fn xcfgset(unit: &mut Unit<'_>, args: &[&[u8]]) -> Applied {
    let (mut duration_s, mut entries_max) = (None, None);
    let mut at = 2;
    while let Some(word) = args.get(at) {
        let value = Some(count(argument(args, at + 1)?)?);
        if is(word, "IDMP-DURATION") {
            duration_s = value;
        } else if is(word, "IDMP-MAXSIZE") {
            entries_max = value;
        } else {
            return Err(Failure::syntax());
        }
        at += 2;
    }
    edit(unit, args[1], Missing::Refuse, |stream| {
        let mut idmp: Idmp = stream.idmp().cloned().unwrap_or_default();
        idmp.duration_s = duration_s.unwrap_or(idmp.duration_s);
        idmp.entries_max = entries_max.unwrap_or(idmp.entries_max);
        // It was changed, or the primary would not have sent this.
        idmp.clear();
        stream.set_idmp(idmp);
        Ok(())
    })
}

/// `XIDMPRECORD key producer message id`
pub(super) fn xidmprecord(unit: &mut Unit<'_>, args: &[&[u8]]) -> Applied {
    let (id, now_ms) = (id(args[4])?, unit.now_ms());
    edit(unit, args[1], Missing::Refuse, |stream| {
        remember(stream, args[2], Some(args[3]), id, now_ms);
        Ok(())
    })
}
