//! A unit of writes that is prepared aside, so that the table sees all of it at once or nothing.

use super::Table;
use super::database::Db;
use super::entry::Entry;
use super::index::{Shown, Stored};
use super::layout::{Key, Layout};
use crate::memory::Heap;
use crate::value::{Bytes, Content, Flat, Pieces, Room, Type, Value, sort};
use foldhash::fast::RandomState;
use std::borrow::Borrow;
use std::collections::HashSet;
use std::hash::{Hash, Hasher};

/// What a unit does, laid over the table: a command, or all of MULTI ... EXEC. Most are of one key,
/// which takes no allocation.
#[derive(Debug, Default)]
pub struct Batch {
    /// The number that it is expected to get; see [`version`].
    unit: u64,
    /// Databases without a view are empty, too.
    flushed: bool,
    /// The first write, as long as there is nothing else, and its database: most units are no more.
    only: Option<Slot>,
    only_db: Db,
    views: Views,
}

/// What the databases look like to the unit, in the order of their numbers.
#[derive(Debug, Default)]
pub(super) struct Views(Vec<(Db, View)>);

/// What one database looks like to the unit.
#[derive(Debug)]
pub(super) struct View {
    /// The published database that lies below; `None` after a flush. No two views have the same
    /// one, for swaps only exchange views.
    pub(super) base: Option<Db>,
    pub(super) slots: Slots,
}

/// What the unit does to the keys of a database.
#[derive(Debug, Default)]
pub(super) struct Slots {
    /// All of them, which are looked through, ...
    few: Vec<Slot>,
    /// ... until there are more than [`FEW`].
    #[expect(clippy::box_collection, reason = "units are handed on, and hardly one has it")]
    many: Option<Box<HashSet<Slot, RandomState>>>,
}

const FEW: usize = 8;

/// What the unit does to one key. It is the same as another of this key.
#[derive(Debug)]
pub(super) enum Slot {
    /// It goes away, if it is there.
    Gone(Bytes),
    /// It gets this entry, and a new version: the one it has already, if the unit is published as
    /// was expected. With the key's hash.
    Put(Stored, u64),
    /// It gets this entry with the version that it has.
    Keep(Stored, u64),
}

/// A key and what it is going to have, if it is: it can be shown before it is put anywhere. With
/// the key's hash.
#[derive(Debug)]
pub struct Made(Stored, u64);

impl Made {
    /// Lends the value.
    #[inline]
    pub fn lend<R>(&self, look: impl FnOnce(Option<&Value>) -> R) -> R {
        self.0.show().lend_value(look)
    }

    /// The deadline that it has.
    pub fn expires_at_ms(&self) -> Option<i64> {
        self.0.show().expires_at_ms()
    }
}

impl Slot {
    fn key(&self) -> &[u8] {
        match self {
            Self::Gone(key) => key,
            Self::Put(stored, _) | Self::Keep(stored, _) => stored.show().key(),
        }
    }

    fn stored(&self) -> Option<&Stored> {
        match self {
            Self::Gone(_) => None,
            Self::Put(stored, _) | Self::Keep(stored, _) => Some(stored),
        }
    }

    /// The key's hash.
    pub(super) fn hash(&self, layout: &Layout) -> u64 {
        match self {
            Self::Gone(key) => layout.hash(key),
            Self::Put(_, hash) | Self::Keep(_, hash) => *hash,
        }
    }

    /// What the key has once this unit is published in this database; the key where that is
    /// nothing.
    pub(super) fn into_stored(self, heap: &Heap, unit: u64, db: Db) -> Result<Stored, Bytes> {
        let version = version(unit, db);
        match self {
            Self::Gone(key) => Err(key),
            Self::Put(stored, _) if stored.show().version() != version => {
                let (key, entry) = stored.show().item();
                Ok(Stored::new(heap, key, Entry { version, ..entry }))
            }
            Self::Put(stored, _) | Self::Keep(stored, _) => Ok(stored),
        }
    }
}

impl Borrow<[u8]> for Slot {
    fn borrow(&self) -> &[u8] {
        self.key()
    }
}

impl PartialEq for Slot {
    fn eq(&self, other: &Self) -> bool {
        self.key() == other.key()
    }
}

impl Eq for Slot {}

impl Hash for Slot {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.key().hash(state);
    }
}

/// Bits of a version that count units: enough for a million a second over eight years.
const UNIT_BITS: u32 = 48;

/// The version of what a unit writes in a database; the bits above are the database's. No two
/// entries of one name have the same, also where one unit wrote both: the databases may change
/// places, and who knows the version of one must see that the other is not it. (They do have if
/// their databases are 65,536 apart, or a multiple of that.)
pub fn version(unit: u64, db: Db) -> u64 {
    u64::from(db) << UNIT_BITS | unit
}

impl Slots {
    fn get(&self, key: &[u8]) -> Option<&Slot> {
        match &self.many {
            None => self.few.iter().find(|slot| slot.key() == key),
            Some(many) => many.get(key),
        }
    }

    /// In the place of the one that its key has.
    fn set(&mut self, slot: Slot) {
        if let Some(many) = &mut self.many {
            many.replace(slot);
        } else if let Some(old) = self.few.iter_mut().find(|old| **old == slot) {
            *old = slot;
        } else if self.few.len() < FEW {
            self.few.push(slot);
        } else {
            let few = std::mem::take(&mut self.few);
            self.many = Some(Box::new(few.into_iter().chain([slot]).collect()));
        }
    }

    fn remove(&mut self, key: &[u8]) {
        match &mut self.many {
            None => self.few.retain(|slot| slot.key() != key),
            Some(many) => drop(many.take(key)),
        }
    }

    fn iter(&self) -> impl Iterator<Item = &Slot> {
        self.few.iter().chain(self.many.iter().flat_map(|many| many.iter()))
    }

    pub(super) fn len(&self) -> usize {
        self.few.len() + self.many.as_ref().map_or(0, |many| many.len())
    }

    pub(super) fn into_iter(self) -> impl Iterator<Item = Slot> {
        self.few.into_iter().chain(self.many.into_iter().flat_map(|many| *many))
    }
}

impl Views {
    fn place(&self, db: Db) -> Result<usize, usize> {
        match self.0.as_slice() {
            [] => Err(0),
            [(first, _)] if *first == db => Ok(0),
            views => views.binary_search_by_key(&db, |(db, _)| *db),
        }
    }

    fn get(&self, db: Db) -> Option<&View> {
        Some(&self.0.get(self.place(db).ok()?)?.1)
    }

    fn insert(&mut self, db: Db, view: View) {
        match self.place(db) {
            Ok(at) => self.0[at].1 = view,
            Err(at) => self.0.insert(at, (db, view)),
        }
    }

    fn remove(&mut self, db: Db) -> Option<View> {
        Some(self.0.remove(self.place(db).ok()?).1)
    }

    fn or_insert_with(&mut self, db: Db, view: impl FnOnce() -> View) -> &mut View {
        let at = self.place(db).unwrap_or_else(|at| {
            self.0.insert(at, (db, view()));
            at
        });
        &mut self.0[at].1
    }

    fn iter(&self) -> impl Iterator<Item = (Db, &View)> {
        self.0.iter().map(|(db, view)| (*db, view))
    }

    pub(super) fn into_iter(self) -> impl Iterator<Item = (Db, View)> {
        self.0.into_iter()
    }
}

impl View {
    fn new(base: Option<Db>) -> Self {
        Self { base, slots: Slots::default() }
    }

    /// The view of a database that the unit has not touched by itself yet.
    fn unseen(db: Db, flushed: bool) -> Self {
        Self::new((!flushed).then_some(db))
    }
}

impl Batch {
    /// A unit that does nothing yet.
    pub fn new() -> Self {
        Self::default()
    }

    /// The same, which is expected to be published with this number: that spares work, and is no
    /// promise.
    pub fn of(unit: u64) -> Self {
        Self { unit, ..Self::default() }
    }

    /// What a key has as the unit sees it: its own writes first, then what is published.
    pub fn get(&self, table: &Table, db: Db, key: &[u8]) -> Option<Entry> {
        self.look(table, db, key, |entry| entry.cloned())
    }

    /// The same, lent.
    pub fn look<R>(
        &self,
        table: &Table,
        db: Db,
        key: &[u8],
        look: impl FnOnce(Option<&Entry>) -> R,
    ) -> R {
        match self.shown(table, db, table.key(key)) {
            Some(shown) => shown.lend(|entry| look(Some(entry))),
            None => look(None),
        }
    }

    /// The same as it is stored.
    #[inline]
    fn shown<'a>(&'a self, table: &'a Table, db: Db, key: Key<'_>) -> Option<Shown<'a>> {
        if let Some(slot) = self.slot(db, key.bytes) {
            return slot.stored().map(Stored::show);
        }
        let base = match self.views.get(db) {
            None if self.flushed => None,
            None => Some(db),
            Some(view) => view.base,
        };
        table.own(base?, key)
    }

    /// What the unit does to a key.
    #[inline]
    fn slot(&self, db: Db, key: &[u8]) -> Option<&Slot> {
        match &self.only {
            Some(slot) => (self.only_db == db && slot.key() == key).then_some(slot),
            None => self.views.get(db)?.slots.get(key),
        }
    }

    #[inline]
    fn set(&mut self, db: Db, slot: Slot) {
        if self.only.is_none() && !self.flushed && self.views.0.is_empty() {
            (self.only, self.only_db) = (Some(slot), db);
        } else {
            self.set_among_others(db, slot);
        }
    }

    #[inline(never)]
    fn set_among_others(&mut self, db: Db, slot: Slot) {
        match &mut self.only {
            Some(only) if self.only_db == db && *only == slot => *only = slot,
            _ => self.view(db).slots.set(slot),
        }
    }

    /// All that it does, and whether all databases are emptied before.
    pub(super) fn into_views(mut self) -> (Views, bool) {
        self.spread();
        (self.views, self.flushed)
    }

    /// The only write comes among others.
    fn spread(&mut self) {
        if let Some(slot) = self.only.take() {
            let db = self.only_db;
            self.views.or_insert_with(db, || View::unseen(db, false)).slots.set(slot);
        }
    }

    /// Gives a key an entry. Publishing gives it a new version, even if it is the same again.
    pub fn put(&mut self, table: &Table, db: Db, key: impl AsRef<[u8]>, entry: Entry) {
        let (key, entry) = (key.as_ref(), Entry { version: version(self.unit, db), ..entry });
        self.set(db, Slot::Put(Stored::under(&table.hand, key, entry), table.key(key).hash));
    }

    /// An entry that is what the primary has, as the table would have it.
    #[inline]
    pub fn make(
        &self,
        table: &Table,
        db: Db,
        key: Key<'_>,
        value: Content<'_>,
        expires_at_ms: Option<i64>,
    ) -> Made {
        let (hand, version) = (&table.hand, version(self.unit, db));
        Made(Stored::of(hand, key.bytes, value, version, expires_at_ms), key.hash)
    }

    /// What an edit makes of a key that has nothing, or what the primary has in one block; the
    /// deadline stays. `None` of all else, and where the edit says so.
    #[inline]
    pub fn remake<'args, E>(
        &self,
        table: &Table,
        db: Db,
        key: Key<'_>,
        kind: Type,
        edit: E,
    ) -> Option<Made>
    where
        E: for<'f> FnOnce(Flat<&'f [u8]>, &'f mut Room<'args>) -> Option<Flat<Pieces<'f>>>,
    {
        let (flat, expires_at_ms) = match self.shown(table, db, key) {
            Some(shown) => shown.flat()?,
            None => (Flat::empty(kind), None),
        };
        let mut room = Room::default();
        let new = edit(flat, &mut room)?;
        let (hand, version) = (&table.hand, version(self.unit, db));
        let stored = Stored::joined(hand, key.bytes, new, version, expires_at_ms)?;
        Some(Made(stored, key.hash))
    }

    /// Gives its key what was made for this database.
    #[inline]
    pub fn put_made(&mut self, db: Db, made: Made) {
        self.set(db, Slot::Put(made.0, made.1));
    }

    /// Gives a key an entry that keeps the version it has: for what changes in the table's books
    /// while readers see no other value.
    ///
    /// Where the unit itself wrote the value before, that stays a new version.
    pub fn put_keeping_version(
        &mut self,
        table: &Table,
        db: Db,
        key: impl AsRef<[u8]>,
        entry: Entry,
    ) {
        let key = key.as_ref();
        if matches!(self.slot(db, key), Some(Slot::Put(..))) {
            return self.put(table, db, key, entry);
        }
        self.set(db, Slot::Keep(Stored::under(&table.hand, key, entry), table.key(key).hash));
    }

    /// Takes a key away, if it is there.
    pub fn remove(&mut self, db: Db, key: &[u8]) {
        let is_bare = self.views.get(db).map_or(self.flushed, |view| view.base.is_none());
        if is_bare {
            self.view(db).slots.remove(key);
        } else {
            self.set(db, Slot::Gone(Bytes::from(key)));
        }
    }

    /// Empties one database, or all of them.
    pub fn flush(&mut self, db: Option<Db>) {
        match db {
            Some(db) => {
                self.spread();
                self.views.insert(db, View::new(None));
            }
            None => {
                self.only = None;
                self.views = Views::default();
                self.flushed = true;
            }
        }
    }

    /// Two databases change places.
    pub fn swap(&mut self, a: Db, b: Db) {
        if a != b {
            let (view_a, view_b) = (self.take(a), self.take(b));
            self.views.insert(a, view_b);
            self.views.insert(b, view_a);
        }
    }

    /// Publishing it would change nothing. A removal of what was not there counts as a change.
    pub fn is_empty(&self) -> bool {
        let untouched = |(db, view): (Db, &View)| view.base == Some(db) && view.slots.len() == 0;
        !self.flushed && self.only.is_none() && self.views.iter().all(untouched)
    }

    /// Where it does nothing but to one key: the database. [`Batch::take_only`] takes that out.
    pub(super) fn only(&self) -> Option<Db> {
        self.only.is_some().then_some(self.only_db)
    }

    /// The flag says that the unit's number is the one that was expected.
    #[inline]
    pub(super) fn take_only(&mut self, unit: u64) -> Option<(Slot, bool)> {
        self.only.take().map(|slot| (slot, unit == self.unit))
    }

    /// The keys that the unit sees and that are `wanted`, ghosts among them, by database and name.
    pub fn keys(&self, table: &Table, wanted: impl Fn(&[u8]) -> bool) -> Vec<(Db, Bytes)> {
        let mut keys = Vec::new();
        for (base, key, _) in table.entries().filter(|(_, key, _)| wanted(key)) {
            let above = self.views.iter().find(|(_, view)| view.base == Some(base));
            match above {
                Some((db, view)) if view.slots.get(&key).is_none() => keys.push((db, key)),
                None if !self.flushed
                    && self.views.get(base).is_none()
                    && self.slot(base, &key).is_none() =>
                {
                    keys.push((base, key));
                }
                _ => {}
            }
        }
        if let Some(slot) = &self.only {
            let name = slot.stored().map(|_| slot.key()).filter(|key| wanted(key));
            keys.extend(name.map(|key| (self.only_db, Bytes::from(key))));
        }
        for (db, view) in self.views.iter() {
            let there = view.slots.iter().filter(|slot| slot.stored().is_some()).map(Slot::key);
            keys.extend(there.filter(|key| wanted(key)).map(|key| (db, Bytes::from(key))));
        }
        sort(&mut keys, |a: &(Db, Bytes), b| a.cmp(b));
        keys
    }

    /// The keys to which publishing it would, or might, do something.
    pub fn touched(&self, table: &Table) -> Vec<(Db, Bytes)> {
        let is_other = |db: Db| match self.views.get(db) {
            Some(view) => view.base != Some(db),
            None => self.flushed,
        };
        let mut keys = Vec::new();
        if self.flushed || self.views.iter().any(|(db, _)| is_other(db)) {
            let entries = table.entries().filter(|(db, ..)| is_other(*db));
            keys.extend(entries.map(|(db, key, _)| (db, key)));
        }
        keys.extend(self.only.iter().map(|slot| (self.only_db, Bytes::from(slot.key()))));
        for (db, view) in self.views.iter() {
            keys.extend(view.slots.iter().map(|slot| (db, Bytes::from(slot.key()))));
        }
        keys
    }

    fn view(&mut self, db: Db) -> &mut View {
        self.spread();
        let flushed = self.flushed;
        self.views.or_insert_with(db, || View::unseen(db, flushed))
    }

    fn take(&mut self, db: Db) -> View {
        self.spread();
        self.views.remove(db).unwrap_or_else(|| View::unseen(db, self.flushed))
    }
}
