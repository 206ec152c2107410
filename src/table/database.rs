//! One numbered database: its index and its sums; and all of them together.

use super::entry::{Counts, Entry, KINDS, Share};
use super::index::{Index, Stored};
use super::layout::Layout;
use super::sharing::{AtomicUsize, Ordering};
use crate::value::Bytes;
use std::sync::Arc;

/// Databases are numbered from 0.
pub type Db = u32;

/// The databases there are, ascending. One that was never written to is not among them. It is not
/// changed but exchanged, once readers have seen it.
#[derive(Clone, Debug, Default)]
pub(super) struct Databases(Vec<(Db, Arc<Database>)>);

#[derive(Debug)]
pub(super) struct Database {
    pub(super) index: Index,
    pub(super) sums: Sums,
}

/// [`Counts`] that the writer changes while readers read.
#[derive(Debug, Default)]
pub(super) struct Sums {
    /// Keys, those with a deadline, ghosts, partial and frozen ones.
    counts: [AtomicUsize; 5],
    memory: [AtomicUsize; KINDS],
}

impl Databases {
    #[inline]
    pub(super) fn get(&self, db: Db) -> Option<&Arc<Database>> {
        match self.0.first() {
            Some((first, database)) if *first == db => Some(database),
            _ => self.get_another(db),
        }
    }

    #[cold]
    fn get_another(&self, db: Db) -> Option<&Arc<Database>> {
        self.0.get(self.place(db).ok()?).map(|(_, database)| database)
    }

    fn place(&self, db: Db) -> Result<usize, usize> {
        self.0.binary_search_by_key(&db, |(db, _)| *db)
    }

    /// The first one from this number on.
    pub(super) fn first_from(&self, db: Db) -> Option<&(Db, Arc<Database>)> {
        self.0.get(self.place(db).unwrap_or_else(|at| at))
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = &(Db, Arc<Database>)> {
        self.0.iter()
    }

    pub(super) fn insert(&mut self, db: Db, database: Arc<Database>) {
        match self.place(db) {
            Ok(at) => self.0[at].1 = database,
            Err(at) => self.0.insert(at, (db, database)),
        }
    }

    pub(super) fn remove(&mut self, db: Db) -> Option<Arc<Database>> {
        Some(self.0.remove(self.place(db).ok()?).1)
    }

    /// About what it takes by itself, in bytes.
    pub(super) fn weight(&self) -> usize {
        size_of_val(self.0.as_slice())
    }

    /// The sums over all of them.
    pub(super) fn counts(&self) -> Counts {
        let mut total = Counts::default();
        self.0.iter().for_each(|(_, database)| total.add(&database.sums.get()));
        total
    }

    /// An estimate of the memory that all of them take, in bytes.
    pub(super) fn memory(&self) -> usize {
        self.0.iter().map(|(_, database)| database.sums.memory()).sum()
    }
}

impl IntoIterator for Databases {
    type Item = (Db, Arc<Database>);
    type IntoIter = std::vec::IntoIter<Self::Item>;

    fn into_iter(self) -> Self::IntoIter {
        self.0.into_iter()
    }
}

impl Database {
    /// An empty one that takes so many keys before it grows.
    pub(super) fn new(keys: usize, born: u64, layout: &Layout) -> Self {
        Self { index: Index::new(keys, born, layout), sums: Sums::default() }
    }

    /// Stores an entry in a database that nobody else sees yet, and returns the one that was there.
    pub(super) fn put(&self, layout: &Layout, key: Bytes, entry: Entry) -> Option<Entry> {
        let hash = layout.hash(&key);
        let new = Stored::new(&layout.heap, key, entry);
        self.sums.exchange(Some(new.share()), None);
        if let Some(spot) = self.index.own_find(hash, new.show().key()) {
            return self.forget(spot.exchange(new));
        }
        self.index.prepare(hash, |_| 1, (0, 0), layout, drop);
        self.index.insert(hash, new, |_| ());
        None
    }

    /// Removes an entry from a database that nobody else sees yet.
    pub(super) fn remove(&self, layout: &Layout, key: &[u8]) -> Option<Entry> {
        let hash = layout.hash(key);
        let spot = self.index.own_find(hash, key)?;
        self.forget(self.index.remove(hash, &spot))
    }

    fn forget(&self, old: Option<Stored>) -> Option<Entry> {
        let old = old?;
        self.sums.exchange(None, Some(old.share()));
        Some(old.entry())
    }
}

/// Only the writer changes them, so that reading and storing is enough.
impl Sums {
    pub(super) fn get(&self) -> Counts {
        let load = |sum: &AtomicUsize| sum.load(Ordering::Relaxed);
        let [keys, expires, ghosts, partial, frozen] = self.counts.each_ref().map(load);
        let memory = self.memory.each_ref().map(load);
        Counts { keys, expires, ghosts, partial, frozen, memory }
    }

    /// Of all types together.
    pub(super) fn memory(&self) -> usize {
        self.memory.iter().map(|sum| sum.load(Ordering::Relaxed)).sum()
    }

    pub(super) fn set(&self, counts: &Counts) {
        let store = |(sum, count): (&AtomicUsize, usize)| sum.store(count, Ordering::Relaxed);
        self.counts.iter().zip(counts.numbers()).for_each(store);
        self.memory.iter().zip(counts.memory).for_each(store);
    }

    /// One entry in the place of another.
    #[inline]
    pub(super) fn exchange(&self, new: Option<Share>, gone: Option<Share>) {
        let alike = new.zip(gone).and_then(|(new, gone)| new.only_memory(gone));
        if let Some((place, new, gone)) = alike {
            return self.exchange_memory(place, new, gone);
        }
        let counts = |share: Option<Share>| share.map(Share::counts).unwrap_or_default();
        self.change(&counts(new), &counts(gone));
    }

    /// The same where both are of the type at this place and differ in nothing but their memory.
    #[inline]
    pub(super) fn exchange_memory(&self, place: usize, new: usize, gone: usize) {
        if let Some(sum) = self.memory.get(place) {
            sum.store(sum.load(Ordering::Relaxed) + new - gone, Ordering::Relaxed);
        }
    }

    /// What is new adds to them, what is gone is taken away. Most changes are of one or two.
    pub(super) fn change(&self, new: &Counts, gone: &Counts) {
        let change = |sum: &AtomicUsize, new: usize, gone: usize| {
            if new != gone {
                sum.store(sum.load(Ordering::Relaxed) + new - gone, Ordering::Relaxed);
            }
        };
        let (numbers, of_gone) = (new.numbers(), gone.numbers());
        for (at, sum) in self.counts.iter().enumerate() {
            change(sum, numbers[at], of_gone[at]);
        }
        for (at, sum) in self.memory.iter().enumerate() {
            change(sum, new.memory[at], gone.memory[at]);
        }
    }
}
