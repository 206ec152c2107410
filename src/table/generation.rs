//! A whole dataset that is built aside, while the one before it still serves.

use super::batch::Batch;
use super::database::{Database, Databases, Db, total};
use super::entry::{Counts, Entry};
use super::shard::Layout;
use crate::value::Bytes;

/// Every database of a snapshot. Nobody sees it before [`Table::replace`](super::Table::replace).
#[derive(Debug)]
pub struct Generation {
    pub(super) layout: Layout,
    pub(super) databases: Databases,
}

impl Generation {
    pub(super) fn new(layout: Layout) -> Self {
        Self { layout, databases: Databases::new() }
    }

    /// Stores an entry, its version as it is, and returns the one that was there.
    pub fn put(&mut self, db: Db, key: Bytes, entry: Entry) -> Option<Entry> {
        let database = self.databases.entry(db).or_insert_with(|| Database::new(&self.layout));
        database.put(&self.layout, key, entry)
    }

    /// Takes over what a unit prepared against the published table. What the unit removed is not
    /// in a generation that was built without it.
    pub fn absorb(&mut self, batch: Batch, unit: u64) {
        for (db, view) in batch.views {
            for (key, slot) in view.slots {
                match slot.into_entry(unit, db) {
                    None => drop(self.remove(db, &key)),
                    Some(entry) => drop(self.put(db, key, entry)),
                }
            }
        }
    }

    /// What a key has.
    pub fn get(&self, db: Db, key: &[u8]) -> Option<Entry> {
        let place = self.layout.place(key);
        self.databases.get(&db)?.read(place.shard).get(place.hash, key)
    }

    /// Removes a key and returns what it had.
    pub fn remove(&mut self, db: Db, key: &[u8]) -> Option<Entry> {
        self.databases.get_mut(&db)?.remove(&self.layout, key)
    }

    /// All entries: database by database, within one in no order.
    pub fn entries(&self) -> impl Iterator<Item = (Db, Bytes, Entry)> {
        let shards = self.layout.shards();
        self.databases.iter().flat_map(move |(&db, database)| {
            (0..shards).flat_map(move |shard| {
                let items: Vec<_> = database.read(shard).iter().collect();
                items.into_iter().map(move |(key, entry)| (db, key, entry))
            })
        })
    }

    /// All entries, each given up as it is handed out: database by database, in no order.
    pub fn into_entries(self) -> impl Iterator<Item = (Db, Bytes, Entry)> {
        self.databases.into_iter().flat_map(|(db, database)| {
            database.into_items().map(move |(key, entry)| (db, key, entry))
        })
    }

    /// The sums over all databases.
    pub fn counts(&self) -> Counts {
        total(&self.databases)
    }

    /// An estimate of the memory that all entries take, in bytes.
    pub fn memory(&self) -> usize {
        self.counts().memory
    }
}
