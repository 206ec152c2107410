//! One numbered database: shards under a lock each, and the sums over them.

use super::entry::{Counts, Entry};
use super::shard::{Item, Layout, Shard};
use super::stored::Stored;
use crate::value::Bytes;
use parking_lot::{Mutex, RwLock, RwLockReadGuard, RwLockWriteGuard};
use std::collections::BTreeMap;

/// Databases are numbered from 0.
pub type Db = u32;

/// The databases there are. One that was never written to is not among them.
pub(super) type Databases = BTreeMap<Db, Database>;

#[derive(Debug)]
pub(super) struct Database {
    shards: Box<[RwLock<Shard>]>,
    counts: Mutex<Counts>,
}

impl Database {
    pub(super) fn new(layout: &Layout) -> Self {
        let shards = (0..layout.shards()).map(|_| RwLock::default()).collect();
        Self { shards, counts: Mutex::default() }
    }

    /// Locks one shard for reading.
    pub(super) fn read(&self, shard: usize) -> RwLockReadGuard<'_, Shard> {
        self.shards[shard].read()
    }

    /// Locks one shard for writing. Whoever changes it tells [`Database::counts`].
    pub(super) fn write(&self, shard: usize) -> RwLockWriteGuard<'_, Shard> {
        self.shards[shard].write()
    }

    /// The sums. In a table they change only while the stamp is locked for writing: who holds its
    /// lock sees those of all databases at one unit.
    pub(super) fn counts(&self) -> &Mutex<Counts> {
        &self.counts
    }

    /// Stores an entry in a database that nobody else sees yet, and returns the one that was there.
    pub(super) fn put(&mut self, layout: &Layout, key: Bytes, entry: Entry) -> Option<Entry> {
        let place = layout.place(&key);
        let new = Stored::new(key, entry);
        let counts = self.counts.get_mut();
        counts.add(&new.counts());
        let old = self.shards[place.shard].get_mut().put(layout, place.hash, new)?;
        counts.remove(&old.counts());
        Some(old.entry())
    }

    /// Removes an entry from a database that nobody else sees yet.
    pub(super) fn remove(&mut self, layout: &Layout, key: &[u8]) -> Option<Entry> {
        let place = layout.place(key);
        let old = self.shards[place.shard].get_mut().remove(place.hash, key)?;
        self.counts.get_mut().remove(&old.counts());
        Some(old.entry())
    }

    /// All entries, shard by shard: each shard is given back as it is done with.
    pub(super) fn into_items(self) -> impl Iterator<Item = Item> {
        self.shards.into_iter().flat_map(|shard| shard.into_inner().into_items())
    }
}

/// The sums over all databases.
pub(super) fn total(databases: &Databases) -> Counts {
    let mut total = Counts::default();
    for database in databases.values() {
        total.add(&database.counts().lock());
    }
    total
}
