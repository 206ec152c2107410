//! Streams: entries under growing ids, each with fields, and the groups that consume them.
//!
//! Also an empty stream is a value: its ids and groups stay.

mod entry;
mod group;
mod id;
mod idmp;
mod pack;

use super::Bytes;
use super::tree::{Builder, Tree};
use entry::Shapes;
use std::ops::Range;
use std::sync::Arc;

pub use entry::{Entry, Fields};
pub use group::{Consumer, Group, Pending};
use id::ById;
pub use id::Id;
pub use idmp::{Idmp, Message};

/// What a group takes besides what it holds.
const GROUP_BYTES: usize = 64;

/// Entries and groups. Cloning takes constant time, everything about one entry logarithmic time;
/// what is done to a group costs a step more for each of its neighbours.
#[derive(Clone, Debug, Default)]
pub struct Stream {
    inner: Arc<Inner>,
}

#[derive(Clone, Debug, Default)]
struct Inner {
    entries: Tree<ById>,
    shapes: Shapes,
    /// Fields of all entries together.
    pairs: usize,
    last_id: Id,
    max_deleted_id: Id,
    added: u64,
    /// In the order of their names.
    groups: Arc<Vec<(Bytes, Arc<Group>)>>,
    idmp: Option<Arc<Idmp>>,
}

/// Which entries a trim leaves.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Trim {
    /// So many of the last ones.
    Length(u64),
    /// Those from this id on.
    From(Id),
}

/// What becomes of the deliveries of entries that are deleted.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum References {
    /// They stay pending, though the entries are gone.
    #[default]
    Keep,
    /// They end in all groups.
    Drop,
    /// There must be none: only entries that all groups have read and acknowledged are deleted.
    Acked,
}

fn memory_of_group((name, group): &(Bytes, Arc<Group>)) -> usize {
    GROUP_BYTES + name.len() + group.memory()
}

impl Stream {
    /// How many entries there are.
    pub fn len(&self) -> usize {
        self.inner.entries.len()
    }

    /// No entry at all, which a stream may well be.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// How many fields all entries have together.
    pub fn pairs_len(&self) -> usize {
        self.inner.pairs
    }

    /// An estimate of the memory it takes, in bytes.
    pub fn memory(&self) -> usize {
        let inner = &*self.inner;
        let idmp = inner.idmp.as_ref().map_or(0, |idmp| idmp.memory());
        let groups = inner.groups.iter().map(memory_of_group).sum::<usize>();
        size_of::<Inner>() + inner.entries.memory() + inner.shapes.memory() + idmp + groups
    }

    /// About the bytes of what `later`, an edited clone, has no more.
    pub(super) fn lost_to(&self, later: &Self) -> usize {
        let (own, later) = (&*self.inner, &*later.inner);
        let groups = if Arc::ptr_eq(&own.groups, &later.groups) {
            0
        } else {
            let lost = own.groups.iter().filter(|(name, group)| {
                // A group is edited as a whole, but for its trees.
                let found = later.groups.binary_search_by(|(other, _)| other.cmp(name));
                let found = found.ok().and_then(|at| later.groups.get(at));
                !found.is_some_and(|(_, later)| Arc::ptr_eq(group, later))
            });
            size_of_val(own.groups.as_slice()) + lost.map(memory_of_group).sum::<usize>()
        };
        let idmp = own
            .idmp
            .as_ref()
            .filter(|own| !later.idmp.as_ref().is_some_and(|later| Arc::ptr_eq(own, later)));
        let idmp = idmp.map_or(0, |idmp| idmp.memory());
        size_of::<Inner>() + own.entries.lost_to(&later.entries) + idmp + groups
    }

    /// The last id that was ever given out.
    pub fn last_id(&self) -> Id {
        self.inner.last_id
    }

    /// The id of the first entry; 0-0 where there is none.
    pub fn first_id(&self) -> Id {
        self.iter().next().map_or(Id::MIN, |entry| entry.id)
    }

    /// The largest id that was deleted singly; 0-0 for none.
    pub fn max_deleted_id(&self) -> Id {
        self.inner.max_deleted_id
    }

    /// How many entries were ever added, as far as the server knows.
    pub fn added(&self) -> u64 {
        self.inner.added
    }

    /// All entries in the order of their ids.
    pub fn iter(&self) -> impl ExactSizeIterator<Item = Entry<'_>> {
        self.inner.entries.iter().map(|entry| self.inner.shapes.decode(entry))
    }

    /// Whether there is an entry with this id.
    pub fn contains(&self, id: Id) -> bool {
        self.find(id).is_ok()
    }

    fn find(&self, id: Id) -> Result<usize, usize> {
        self.inner.entries.find(id).map(|(at, _)| at)
    }

    fn edit(&mut self) -> &mut Inner {
        Arc::make_mut(&mut self.inner)
    }

    /// Adds an entry; `parts` are a name, a value, a name, ... False, and nothing is done, where
    /// the id is not larger than the last one.
    pub fn append<B: AsRef<[u8]>>(&mut self, id: Id, parts: &[B]) -> bool {
        if id <= self.inner.last_id {
            return false;
        }
        let inner = self.edit();
        let entry = inner.shapes.encode(id, parts);
        inner.entries.insert(usize::MAX, &entry);
        inner.pairs += parts.len() / 2;
        inner.added = inner.added.saturating_add(1);
        inner.last_id = id;
        true
    }

    /// Deletes an entry, where `references` allow it; false where nothing was deleted.
    pub fn delete(&mut self, id: Id, references: References) -> bool {
        match references {
            References::Keep => {}
            References::Drop => self.drop_references(id),
            References::Acked if self.is_referenced(id) => return false,
            References::Acked => {}
        }
        let Ok(at) = self.find(id) else { return false };
        self.remove(at..at + 1);
        let inner = self.edit();
        inner.max_deleted_id = inner.max_deleted_id.max(id);
        true
    }

    /// Deletes entries from the first on.
    ///
    /// With [`References::Acked`] and a length, servers stop at the end of one of their blocks
    /// where they could not delete all of it; where those end, a replica can't know. Their
    /// approximate trims come as exact ones with the resulting length, for which that makes no
    /// difference.
    pub fn trim(&mut self, trim: Trim, references: References) {
        let count = match trim {
            Trim::Length(left) => {
                self.len().saturating_sub(usize::try_from(left).unwrap_or(usize::MAX))
            }
            Trim::From(id) => self.find(id).unwrap_or_else(|at| at),
        };
        if count == 0 {
            return;
        }
        if references == References::Keep || self.inner.groups.is_empty() {
            return self.remove(0..count);
        }
        if references == References::Drop {
            let ids: Vec<Id> = self.iter().take(count).map(|entry| entry.id).collect();
            ids.into_iter().for_each(|id| self.drop_references(id));
            return self.remove(0..count);
        }
        let within = if let Trim::From(_) = trim { count } else { self.len() };
        let free = self.free_places(within, count);
        free.into_iter().rev().for_each(|range| self.remove(range));
    }

    /// The places of the first `count` entries that no group has yet to read or has pending, as far
    /// as there are so many among the first `within`.
    fn free_places(&self, within: usize, count: usize) -> Vec<Range<usize>> {
        let least_read = self.least_read().unwrap_or(Id::MAX);
        let read =
            self.iter().take(within).map(|entry| entry.id).take_while(|id| *id <= least_read);
        let free = read.enumerate().filter(|(_, id)| !self.is_pending(*id)).map(|(at, _)| at);
        let mut ranges: Vec<Range<usize>> = Vec::new();
        for at in free.take(count) {
            match ranges.last_mut() {
                Some(range) if range.end == at => range.end += 1,
                _ => ranges.push(at..at + 1),
            }
        }
        ranges
    }

    fn remove(&mut self, range: Range<usize>) {
        let inner = self.edit();
        let entries = inner.entries.iter_from(range.start).take(range.len());
        let pairs: usize = entries.map(|entry| inner.shapes.decode(entry).fields.count()).sum();
        inner.pairs -= pairs;
        inner.entries.remove_range(range);
        if inner.entries.len() == 0 {
            inner.shapes = Shapes::default();
        }
    }

    /// Whether a group has yet to read an entry, or has it pending.
    fn is_referenced(&self, id: Id) -> bool {
        self.least_read().is_some_and(|read| read < id) || self.is_pending(id)
    }

    fn is_pending(&self, id: Id) -> bool {
        self.groups().any(|(_, group)| group.find_pending(id).is_some())
    }

    /// How far the group has read that has read least.
    fn least_read(&self) -> Option<Id> {
        self.groups().map(|(_, group)| group.last_id).min()
    }

    fn drop_references(&mut self, id: Id) {
        let held = |(_, group): &(Bytes, Arc<Group>)| group.find_pending(id).is_some();
        if self.inner.groups.iter().any(held) {
            let groups = Arc::make_mut(&mut self.edit().groups);
            for (_, group) in groups.iter_mut().filter(|group| held(group)) {
                Arc::make_mut(group).remove_pending(id);
            }
        }
    }

    /// Sets the ids and the count that a stream keeps beside its entries. False, and nothing is
    /// done, where the last id would be smaller than an entry's.
    pub fn set_ids(&mut self, last: Id, max_deleted: Id, added: u64) -> bool {
        let top = self.inner.entries.get(self.len().saturating_sub(1));
        if top.is_some_and(|entry| Id::unpack(entry).0 > last) {
            return false;
        }
        let inner = self.edit();
        (inner.last_id, inner.max_deleted_id, inner.added) = (last, max_deleted, added);
        true
    }

    /// How many groups there are.
    pub fn groups_len(&self) -> usize {
        self.inner.groups.len()
    }

    /// A group by its place in the order of the names, and its name.
    pub fn group_at(&self, index: usize) -> Option<(&[u8], &Group)> {
        self.inner.groups.get(index).map(|(name, group)| (&name[..], &**group))
    }

    /// All groups in the order of their names.
    pub fn groups(&self) -> impl ExactSizeIterator<Item = (&[u8], &Group)> {
        self.inner.groups.iter().map(|(name, group)| (&name[..], &**group))
    }

    /// The group of this name.
    pub fn group(&self, name: &[u8]) -> Option<&Group> {
        let at = self.find_group(name).ok()?;
        self.group_at(at).map(|(_, group)| group)
    }

    fn find_group(&self, name: &[u8]) -> Result<usize, usize> {
        self.inner.groups.binary_search_by(|(other, _)| (**other).cmp(name))
    }

    /// Puts a group under a name, in the place of one that may be there.
    pub fn put_group(&mut self, name: &[u8], group: Group) {
        let place = self.find_group(name);
        let groups = Arc::make_mut(&mut self.edit().groups);
        let group = (Bytes::from(name), Arc::new(group));
        match place {
            Ok(at) => groups.splice(at..at + 1, [group]).for_each(drop),
            Err(at) => groups.insert(at, group),
        }
    }

    /// Removes a group; false if it is not there.
    pub fn remove_group(&mut self, name: &[u8]) -> bool {
        let Ok(at) = self.find_group(name) else { return false };
        Arc::make_mut(&mut self.edit().groups).remove(at);
        true
    }

    /// What is remembered of messages that are to be added once; `None` before Redis 8.6.
    pub fn idmp(&self) -> Option<&Idmp> {
        self.inner.idmp.as_deref()
    }

    /// Sets what is remembered.
    pub fn set_idmp(&mut self, idmp: Idmp) {
        self.edit().idmp = Some(Arc::new(idmp));
    }
}

/// What each server does by its own clock is left out: when consumers were seen, and what is
/// remembered of messages.
impl PartialEq for Stream {
    fn eq(&self, other: &Self) -> bool {
        let (ours, theirs) = (&*self.inner, &*other.inner);
        let same_entries = || {
            ours.shapes == theirs.shapes && ours.entries.same(&theirs.entries)
                || self
                    .iter()
                    .zip(other.iter())
                    .all(|(our, their)| our.id == their.id && our.fields.eq(their.fields))
        };
        Arc::ptr_eq(&self.inner, &other.inner)
            || self.len() == other.len()
                && ours.last_id == theirs.last_id
                && ours.max_deleted_id == theirs.max_deleted_id
                && ours.added == theirs.added
                && ours.groups == theirs.groups
                && same_entries()
    }
}

/// Builds a stream from its first entry to its last.
#[derive(Debug, Default)]
pub struct StreamBuilder {
    entries: Builder,
    stream: Inner,
    len: u64,
    /// The names of the block that was begun last.
    shape: usize,
}

impl StreamBuilder {
    /// Begins a block of entries, of which some have these names.
    pub fn begin_block<B: AsRef<[u8]>>(&mut self, names: &[B]) {
        self.shape = self.stream.shapes.keep(names);
    }

    /// Adds an entry with these values for the names of its block. False, and nothing is done,
    /// where the id is not larger than that of the entry before.
    pub fn push_values<B: AsRef<[u8]>>(&mut self, id: Id, values: &[B]) -> bool {
        let entry = entry::entry(id, self.shape, values.iter());
        self.push_entry(id, &entry, values.len())
    }

    /// Adds an entry with names of its own; `parts` are a name, a value, a name, ...
    pub fn push<B: AsRef<[u8]>>(&mut self, id: Id, parts: &[B]) -> bool {
        let entry = self.stream.shapes.encode(id, parts);
        self.push_entry(id, &entry, parts.len() / 2)
    }

    fn push_entry(&mut self, id: Id, entry: &[u8], pairs: usize) -> bool {
        if self.len > 0 && id <= self.stream.last_id {
            return false;
        }
        self.entries.push(entry);
        self.stream.pairs += pairs;
        self.stream.last_id = id;
        self.len += 1;
        true
    }

    /// How many entries were added.
    pub fn len(&self) -> u64 {
        self.len
    }

    /// No entry was added.
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// An estimate of the memory it takes so far, in bytes.
    pub fn memory(&self) -> usize {
        self.entries.memory() + self.stream.shapes.memory()
    }

    /// The stream, as if its entries were all that were ever added to it.
    pub fn finish(self) -> Stream {
        let inner = Inner { entries: self.entries.finish(), added: self.len, ..self.stream };
        Stream { inner: Arc::new(inner) }
    }
}

#[cfg(test)]
mod tests;
