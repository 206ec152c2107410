//! Commands on the groups of streams: what they read, what is delivered to whom, what is
//! acknowledged.

use super::arguments::{argument, integer, is, upper};
use super::stream::{Missing, counted_ids, edit, id, id_list, ids};
use super::{Applied, Failure, Unit};
use crate::value::{Group, Id, Pending, Stream};

/// How servers write a number of entries that they don't know.
const UNKNOWN: i64 = -1;

fn no_group() -> Failure {
    Failure::new("the stream has no group of this name")
}

/// Edits a group of the stream under a key; there must be one.
fn edit_group(
    unit: &mut Unit<'_>,
    key: &[u8],
    name: &[u8],
    change: impl FnOnce(&Stream, &mut Group) -> Applied,
) -> Applied {
    edit(unit, key, Missing::Refuse, |stream| {
        let mut group = stream.group(name).cloned().ok_or_else(no_group)?;
        change(stream, &mut group)?;
        stream.put_group(name, group);
        Ok(())
    })
}

/// `XACK key group id [id ...]`
pub(super) fn xack(unit: &mut Unit<'_>, args: &[&[u8]]) -> Applied {
    let ids = ids(&args[3..])?;
    edit(unit, args[1], Missing::Ignore, |stream| {
        acknowledge(stream, args[2], &ids);
        Ok(())
    })
}

/// Ends what is pending under these ids, and returns those under which something was.
fn acknowledge(stream: &mut Stream, name: &[u8], ids: &[Id]) -> Vec<Id> {
    let Some(mut group) = stream.group(name).cloned() else { return Vec::new() };
    let done: Vec<Id> = ids.iter().copied().filter(|id| group.remove_pending(*id)).collect();
    if !done.is_empty() {
        stream.put_group(name, group);
    }
    done
}

/// `XACKDEL key group [KEEPREF | DELREF | ACKED] IDS count id [id ...]`
pub(super) fn xackdel(unit: &mut Unit<'_>, args: &[&[u8]]) -> Applied {
    let (references, ids) = counted_ids(args, 3)?;
    edit(unit, args[1], Missing::Ignore, |stream| {
        for id in acknowledge(stream, args[2], &ids) {
            stream.delete(id, references);
        }
        Ok(())
    })
}

/// What XNACK makes of the number of deliveries.
#[derive(Clone, Copy)]
enum Recount {
    OneLess,
    Same,
    /// As many as there can be: nobody is to try again.
    Most,
    To(u64),
}

impl Recount {
    fn named(mode: &[u8]) -> Option<Self> {
        match upper(mode).as_slice() {
            b"SILENT" => Some(Self::OneLess),
            b"FAIL" => Some(Self::Same),
            b"FATAL" => Some(Self::Most),
            _ => None,
        }
    }

    fn of(self, deliveries: u64) -> u64 {
        match self {
            Self::OneLess => deliveries.saturating_sub(1),
            Self::Same => deliveries,
            Self::Most => i64::MAX as u64,
            Self::To(count) => count,
        }
    }
}

/// A number of deliveries; servers take a negative one for none.
fn deliveries(argument: &[u8]) -> Result<Option<u64>, Failure> {
    integer(argument).map(|count| u64::try_from(count).ok())
}

/// `XNACK key group SILENT | FAIL | FATAL IDS count id [id ...] [RETRYCOUNT count] [FORCE]`
pub(super) fn xnack(unit: &mut Unit<'_>, args: &[&[u8]]) -> Applied {
    let mut recount = Recount::named(args[3]).ok_or_else(Failure::syntax)?;
    let (mut ids, mut force) = (Vec::new(), false);
    let mut at = 4;
    while let Some(word) = args.get(at) {
        at += if is(word, "IDS") {
            let (list, width) = id_list(args, at)?;
            ids = list;
            width
        } else if is(word, "RETRYCOUNT") {
            if let Some(count) = deliveries(argument(args, at + 1)?)? {
                recount = Recount::To(count);
            }
            2
        } else if is(word, "FORCE") {
            force = true;
            1
        } else {
            return Err(Failure::syntax());
        };
    }
    edit_group(unit, args[1], args[2], |stream, group| {
        for id in ids {
            let old = match group.find_pending(id) {
                Some(pending) => pending.deliveries,
                None if force && stream.contains(id) => 0,
                None => continue,
            };
            let deliveries = recount.of(old);
            group.put_pending(Pending { id, consumer: None, delivered_at_ms: 0, deliveries });
        }
        Ok(())
    })
}

/// What XCLAIM is told besides ids.
#[derive(Default)]
struct Claim {
    delivered_at_ms: Option<i64>,
    deliveries: Option<u64>,
    force: bool,
    just_id: bool,
    last_id: Option<Id>,
}

impl Claim {
    fn read(args: &[&[u8]], mut at: usize, now_ms: i64) -> Result<Self, Failure> {
        let mut claim = Self::default();
        while let Some(word) = args.get(at) {
            at += match word.to_ascii_uppercase().as_slice() {
                b"FORCE" => {
                    claim.force = true;
                    1
                }
                b"JUSTID" => {
                    claim.just_id = true;
                    1
                }
                option => {
                    let value = argument(args, at + 1)?;
                    match option {
                        b"TIME" => claim.delivered_at_ms = Some(integer(value)?),
                        b"IDLE" => {
                            claim.delivered_at_ms = Some(now_ms.saturating_sub(integer(value)?));
                        }
                        b"RETRYCOUNT" => claim.deliveries = deliveries(value)?,
                        b"LASTID" => claim.last_id = Some(id(value)?),
                        _ => return Err(Failure::syntax()),
                    }
                    2
                }
            };
        }
        Ok(claim)
    }

    fn deliveries(&self, old: u64) -> u64 {
        match self.deliveries {
            Some(count) => count,
            None if self.just_id => old,
            None => old.saturating_add(1),
        }
    }
}

/// `XCLAIM key group consumer min-idle-time id [id ...] [options]`, which stands for all that
/// delivers entries
pub(super) fn xclaim(unit: &mut Unit<'_>, args: &[&[u8]]) -> Applied {
    let (consumer, now_ms) = (args[3], unit.now_ms());
    let ids: Vec<Id> = args[5..].iter().map_while(|argument| Id::parse(argument)).collect();
    let claim = Claim::read(args, 5 + ids.len(), now_ms)?;
    let delivered_at_ms = claim.delivered_at_ms.filter(|at| *at >= 0).unwrap_or(now_ms);
    edit_group(unit, args[1], args[2], |stream, group| {
        group.last_id = group.last_id.max(claim.last_id.unwrap_or(Id::MIN));
        group.add_consumer(consumer, now_ms, None);
        let mut active = false;
        for id in ids {
            let old = group.find_pending(id);
            let is_gone = !stream.contains(id);
            let old = match old {
                None if is_gone || !claim.force => continue,
                None => 1,
                // Since Redis 7.0 what was deleted is no longer pending either; a primary says so
                // in the name of whoever had it. Before, it could be claimed like all others.
                Some(pending) if is_gone && pending.consumer.is_none_or(|c| c == consumer) => {
                    group.remove_pending(id);
                    continue;
                }
                Some(pending) => pending.deliveries,
            };
            let deliveries = claim.deliveries(old);
            let consumer = Some(consumer);
            group.put_pending(Pending { id, consumer, delivered_at_ms, deliveries });
            active = true;
        }
        group.touch(consumer, now_ms, active);
        Ok(())
    })
}

/// `XGROUP CREATE | SETID | DESTROY | CREATECONSUMER | DELCONSUMER key group ...`
pub(super) fn xgroup(unit: &mut Unit<'_>, args: &[&[u8]]) -> Applied {
    let (key, name, now_ms) = (args[2], args[3], unit.now_ms());
    match upper(args[1]).as_slice() {
        b"CREATE" => create(unit, args),
        b"SETID" => set_id(unit, args),
        b"DESTROY" => edit(unit, key, Missing::Ignore, |stream| {
            stream.remove_group(name);
            Ok(())
        }),
        b"CREATECONSUMER" => {
            let consumer = argument(args, 4)?;
            edit_group(unit, key, name, |_, group| {
                group.add_consumer(consumer, now_ms, None);
                Ok(())
            })
        }
        b"DELCONSUMER" => {
            let consumer = argument(args, 4)?;
            edit_group(unit, key, name, |_, group| {
                group.remove_consumer(consumer);
                Ok(())
            })
        }
        _ => Err(Failure::syntax()),
    }
}

/// `XGROUP CREATE key group id | $ [MKSTREAM] [ENTRIESREAD count]`
fn create(unit: &mut Unit<'_>, args: &[&[u8]]) -> Applied {
    let (start, options) = (Start::read(args)?, GroupOptions::read(args)?);
    let missing = if options.make { Missing::Create } else { Missing::Refuse };
    edit(unit, args[2], missing, |stream| {
        if stream.group(args[3]).is_some() {
            return Err(Failure::new("the stream has a group of this name already"));
        }
        let group = Group::new(start.of(stream), options.entries_read);
        stream.put_group(args[3], group);
        Ok(())
    })
}

/// `XGROUP SETID key group id | $ [ENTRIESREAD count]`
fn set_id(unit: &mut Unit<'_>, args: &[&[u8]]) -> Applied {
    let (start, options) = (Start::read(args)?, GroupOptions::read(args)?);
    edit_group(unit, args[2], args[3], |stream, group| {
        group.last_id = start.of(stream);
        group.entries_read = options.entries_read;
        Ok(())
    })
}

/// Up to where a group has read.
#[derive(Clone, Copy)]
enum Start {
    At(Id),
    /// Everything that there is.
    End,
}

impl Start {
    fn read(args: &[&[u8]]) -> Result<Self, Failure> {
        Ok(match argument(args, 4)? {
            b"$" => Self::End,
            b"-" => Self::At(Id::MIN),
            b"+" => Self::At(Id::MAX),
            text => Self::At(id(text)?),
        })
    }

    fn of(self, stream: &Stream) -> Id {
        match self {
            Self::At(id) => id,
            Self::End => stream.last_id(),
        }
    }
}

/// What CREATE and SETID have behind the id.
#[derive(Default)]
struct GroupOptions {
    make: bool,
    entries_read: Option<u64>,
}

impl GroupOptions {
    fn read(args: &[&[u8]]) -> Result<Self, Failure> {
        let mut options = Self::default();
        let mut at = 5;
        while let Some(word) = args.get(at) {
            at += if is(word, "MKSTREAM") {
                options.make = true;
                1
            } else if is(word, "ENTRIESREAD") {
                options.entries_read = match integer(argument(args, at + 1)?)? {
                    UNKNOWN => None,
                    count => Some(u64::try_from(count).map_err(|_| Failure::syntax())?),
                };
                2
            } else {
                return Err(Failure::syntax());
            };
        }
        Ok(options)
    }
}
