//! Makes a stream from its bytes, or passes over them, one block, delivery or name at a time. Its
//! layout is no sequence of like elements, so it has a machine of its own.

use super::cursor::{Cursor, Parsed, bad};
use super::packed::{Block, Elements, Packed, Walk};
use crate::text::format_i64;
use crate::value::{Bytes, Group, Id, Idmp, Message, Pending, Stream, StreamBuilder};
use std::borrow::Cow;

/// What came into the layout with which type.
#[derive(Clone, Copy, Debug, PartialEq, PartialOrd)]
pub(super) enum Generation {
    /// Type 15.
    First,
    /// Type 19: counts, and how many entries each group has read.
    Counts,
    /// Type 21: when consumers were active.
    Active,
    /// Type 26: what is remembered of messages.
    Idmp,
    /// Type 27: deliveries without a consumer.
    Unowned,
}

// What an entry's flags say.
const DELETED: i64 = 1;
const SAME_NAMES: i64 = 2;

/// How an unknown number of entries is written.
const UNKNOWN: u64 = u64::MAX;

/// What stands for a time that never was.
const NEVER: i64 = -1;

/// A place in the layout. Numbers tell how many of the kind are still to come.
enum Stage {
    /// The number of blocks.
    Begin,
    Blocks(u64),
    /// Counts and ids, and the number of groups.
    Numbers,
    Groups(u64),
    Deliveries(u64),
    /// The number of consumers.
    ConsumersBegin,
    Consumers(u64),
    /// Ids that are pending with the last consumer, and the number of consumers behind it.
    Owned(u64, u64),
    /// The number of ids without a consumer.
    UnownedBegin,
    Unowned(u64),
    /// Whether anything follows the groups.
    Trailer,
    /// The number of producers, before it their limits.
    Limits,
    Producers(u64),
    /// Messages of the last producer, and the number of producers behind it.
    Messages(u64, u64),
    Totals,
    Done,
}

/// A stream in the making, or one that is passed over.
pub(super) struct StreamReader {
    generation: Generation,
    stage: Stage,
    /// Where only the end is wanted, nothing is built.
    skip: bool,
    builder: StreamBuilder,
    stream: Stream,
    /// The group that is being read, and how many are behind it.
    group: (Bytes, Group, u64),
    /// The consumer or producer that is being read.
    name: Bytes,
    idmp: Idmp,
}

impl StreamReader {
    pub(super) fn new(generation: Generation, skip: bool) -> Self {
        Self {
            generation,
            stage: Stage::Begin,
            skip,
            builder: StreamBuilder::default(),
            stream: Stream::default(),
            group: (Bytes::default(), Group::default(), 0),
            name: Bytes::default(),
            idmp: Idmp::default(),
        }
    }

    /// Goes on with the bytes at hand; Ok when the end was reached.
    pub(super) fn run(&mut self, cursor: &mut Cursor<'_>, scratch: &mut Vec<u8>) -> Parsed<()> {
        while !matches!(self.stage, Stage::Done) {
            // A stage changes something only when all its bytes are there: it is begun anew
            // otherwise.
            self.stage = self.step(cursor, scratch)?;
            cursor.commit();
        }
        Ok(())
    }

    /// An estimate of the memory that it takes so far.
    pub(super) fn memory(&self) -> usize {
        let groups = self.stream.memory() + self.group.1.memory();
        self.builder.memory() + groups + self.idmp.memory()
    }

    /// The stream.
    pub(super) fn finish(self) -> Stream {
        self.stream
    }

    fn step(&mut self, cursor: &mut Cursor<'_>, scratch: &mut Vec<u8>) -> Parsed<Stage> {
        Ok(match self.stage {
            Stage::Begin => Stage::Blocks(cursor.length()?),
            Stage::Blocks(0) => Stage::Numbers,
            Stage::Blocks(left) => {
                self.block(cursor, scratch)?;
                Stage::Blocks(left - 1)
            }
            Stage::Numbers => Stage::Groups(self.numbers(cursor)?),
            Stage::Groups(0) => Stage::Trailer,
            Stage::Groups(left) => Stage::Deliveries(self.group(left - 1, cursor, scratch)?),
            Stage::Deliveries(0) => Stage::ConsumersBegin,
            Stage::Deliveries(left) => {
                self.delivery(cursor)?;
                Stage::Deliveries(left - 1)
            }
            Stage::ConsumersBegin => Stage::Consumers(cursor.length()?),
            Stage::Consumers(0) => Stage::UnownedBegin,
            Stage::Consumers(left) => Stage::Owned(self.consumer(cursor, scratch)?, left - 1),
            Stage::Owned(0, consumers) => Stage::Consumers(consumers),
            Stage::Owned(left, consumers) => {
                self.owned(cursor)?;
                Stage::Owned(left - 1, consumers)
            }
            Stage::UnownedBegin if self.generation < Generation::Unowned => self.end_group()?,
            Stage::UnownedBegin => Stage::Unowned(cursor.length()?),
            Stage::Unowned(0) => self.end_group()?,
            Stage::Unowned(left) => {
                self.unowned(cursor)?;
                Stage::Unowned(left - 1)
            }
            Stage::Trailer if self.generation < Generation::Idmp => Stage::Done,
            Stage::Trailer => Stage::Limits,
            Stage::Limits => {
                (self.idmp.duration_s, self.idmp.entries_max) =
                    (cursor.length()?, cursor.length()?);
                Stage::Producers(cursor.length()?)
            }
            Stage::Producers(0) => Stage::Totals,
            Stage::Producers(left) => {
                let name = Bytes::from(cursor.string(scratch)?);
                let messages = cursor.length()?;
                self.name = name;
                Stage::Messages(messages, left - 1)
            }
            Stage::Messages(0, producers) => Stage::Producers(producers),
            Stage::Messages(left, producers) => {
                self.message(cursor, scratch)?;
                Stage::Messages(left - 1, producers)
            }
            Stage::Totals => {
                (self.idmp.added, self.idmp.duplicates) = (cursor.length()?, cursor.length()?);
                self.stream.set_idmp(std::mem::take(&mut self.idmp));
                Stage::Done
            }
            Stage::Done => Stage::Done,
        })
    }

    fn block(&mut self, cursor: &mut Cursor<'_>, scratch: &mut Vec<u8>) -> Parsed<()> {
        let first = match cursor.string(scratch)?.first_chunk() {
            Some(bytes) => Id::from_bytes(bytes),
            None => return Err(bad("the id of a stream's block is too short")),
        };
        if self.skip {
            return cursor.skip_string();
        }
        let mut walk = Walk::new(Block::Listpack, cursor.string(scratch)?)?;
        let (live, deleted) = (number(&mut walk)?, number(&mut walk)?);
        let entries = live.checked_add(deleted).filter(|_| live >= 0 && deleted >= 0);
        let names = counted(&mut walk)?;
        self.builder.begin_block(&texts(&mut walk, names)?);
        if number(&mut walk)? != 0 {
            return Err(bad("a stream's block has no end of its names"));
        }
        for _ in 0..entries.ok_or_else(|| bad("a stream's block counts wrongly"))? {
            self.entry(first, names, &mut walk)?;
        }
        match walk.next()? {
            None => Ok(()),
            Some(_) => Err(bad("a stream's block goes on behind its last entry")),
        }
    }

    /// An entry of a block whose first id and number of names are these.
    fn entry(&mut self, first: Id, names: usize, walk: &mut Walk<'_>) -> Parsed<()> {
        let flags = number(walk)?;
        let ms = first.ms.wrapping_add_signed(number(walk)?);
        let seq = first.seq.wrapping_add_signed(number(walk)?);
        let (id, has_names) = (Id { ms, seq }, flags & SAME_NAMES == 0);
        let strings = if has_names { counted(walk)?.saturating_mul(2) } else { names };
        let strings = texts(walk, strings)?;
        let _pieces = number(walk)?;
        let grows = match has_names {
            _ if flags & DELETED != 0 => true,
            true => self.builder.push(id, &strings),
            false => self.builder.push_values(id, &strings),
        };
        if grows { Ok(()) } else { Err(bad("the ids of a stream's entries don't grow")) }
    }

    fn numbers(&mut self, cursor: &mut Cursor<'_>) -> Parsed<u64> {
        let live = cursor.length()?;
        let last = id(cursor)?;
        let (mut max_deleted, mut added) = (Id::MIN, live);
        if self.generation >= Generation::Counts {
            let _first = id(cursor)?;
            max_deleted = id(cursor)?;
            added = cursor.length()?;
        }
        let groups = cursor.length()?;
        if self.skip {
            return Ok(groups);
        }
        if live != self.builder.len() {
            let there = self.builder.len();
            return Err(bad(format!("a stream says that it has {live} entries and has {there}")));
        }
        self.stream = std::mem::take(&mut self.builder).finish();
        if self.stream.set_ids(last, max_deleted, added) {
            return Ok(groups);
        }
        Err(bad("the last id of a stream is smaller than that of an entry"))
    }

    fn group(
        &mut self,
        behind: u64,
        cursor: &mut Cursor<'_>,
        scratch: &mut Vec<u8>,
    ) -> Parsed<u64> {
        let name = Bytes::from(cursor.string(scratch)?);
        let last_id = id(cursor)?;
        let read = if self.generation >= Generation::Counts { cursor.length()? } else { UNKNOWN };
        let deliveries = cursor.length()?;
        if self.stream.group(&name).is_some() {
            return Err(bad("a group is there twice"));
        }
        let read = (read != UNKNOWN).then_some(read);
        self.group = (name, Group::new(last_id, read), behind);
        Ok(deliveries)
    }

    fn delivery(&mut self, cursor: &mut Cursor<'_>) -> Parsed<()> {
        let id = raw_id(cursor)?;
        let delivered_at_ms = cursor.i64_le()?;
        let deliveries = cursor.length()?;
        let group = &mut self.group.1;
        if self.skip {
            return Ok(());
        }
        if group.find_pending(id).is_some() {
            return Err(bad("an entry is pending twice"));
        }
        group.put_pending(Pending { id, consumer: None, delivered_at_ms, deliveries });
        Ok(())
    }

    fn consumer(&mut self, cursor: &mut Cursor<'_>, scratch: &mut Vec<u8>) -> Parsed<u64> {
        let name = Bytes::from(cursor.string(scratch)?);
        let seen_at_ms = cursor.i64_le()?;
        let active_at_ms = match self.generation {
            Generation::First | Generation::Counts => None,
            _ => Some(cursor.i64_le()?).filter(|at| *at != NEVER),
        };
        let owned = cursor.length()?;
        if !self.skip && !self.group.1.add_consumer(&name, seen_at_ms, active_at_ms) {
            return Err(bad("a consumer is there twice"));
        }
        self.name = name;
        Ok(owned)
    }

    fn owned(&mut self, cursor: &mut Cursor<'_>) -> Parsed<()> {
        let id = raw_id(cursor)?;
        if self.skip {
            return Ok(());
        }
        let group = &mut self.group.1;
        let free = group.find_pending(id).filter(|pending| pending.consumer.is_none());
        let Some(Pending { delivered_at_ms, deliveries, .. }) = free else {
            return Err(bad("what is pending with a consumer is not pending in its group"));
        };
        let consumer = Some(&self.name[..]);
        group.put_pending(Pending { id, consumer, delivered_at_ms, deliveries });
        Ok(())
    }

    fn unowned(&mut self, cursor: &mut Cursor<'_>) -> Parsed<()> {
        let id = raw_id(cursor)?;
        let pending = self.group.1.find_pending(id);
        if self.skip || pending.is_some_and(|pending| pending.consumer.is_none()) {
            return Ok(());
        }
        Err(bad("what is pending without a consumer is not pending, or has one"))
    }

    fn end_group(&mut self) -> Parsed<Stage> {
        let (name, group, behind) = std::mem::take(&mut self.group);
        if !self.skip {
            self.stream.put_group(&name, group);
        }
        Ok(Stage::Groups(behind))
    }

    fn message(&mut self, cursor: &mut Cursor<'_>, scratch: &mut Vec<u8>) -> Parsed<()> {
        let name = cursor.string(scratch)?;
        let id = id(cursor)?;
        if !self.skip {
            self.idmp.restore(Message { producer: &self.name, name, id });
        }
        Ok(())
    }
}

/// An id as two numbers.
fn id(cursor: &mut Cursor<'_>) -> Parsed<Id> {
    Ok(Id { ms: cursor.length()?, seq: cursor.length()? })
}

/// An id in 16 bytes.
fn raw_id(cursor: &mut Cursor<'_>) -> Parsed<Id> {
    let bytes = cursor.take(16)?;
    bytes.first_chunk().map(Id::from_bytes).ok_or_else(|| bad("an id is too short"))
}

fn number(walk: &mut Walk<'_>) -> Parsed<i64> {
    match walk.partner()? {
        Packed::Number(number) => Ok(number),
        Packed::Text(_) => Err(bad("a stream's block has text where a number belongs")),
    }
}

fn text(element: Packed<'_>) -> Cow<'_, [u8]> {
    match element {
        Packed::Text(bytes) => Cow::Borrowed(bytes),
        Packed::Number(number) => Cow::Owned(format_i64(number).as_ref().to_vec()),
    }
}

/// A number of things that follow.
fn counted(walk: &mut Walk<'_>) -> Parsed<usize> {
    usize::try_from(number(walk)?).map_err(|_| bad("a stream's block counts wrongly"))
}

/// So many strings.
fn texts<'a>(walk: &mut Walk<'a>, count: usize) -> Parsed<Vec<Cow<'a, [u8]>>> {
    let mut all = Vec::new();
    for _ in 0..count {
        all.push(text(walk.partner()?));
    }
    Ok(all)
}

#[cfg(test)]
pub(super) mod tests;
