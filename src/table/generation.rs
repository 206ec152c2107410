//! A whole dataset that is built aside, while the one before it still serves.

use super::batch::Batch;
use super::database::{Database, Databases, Db};
use super::entry::{Counts, Entry};
use super::index::{From, Shown};
use super::layout::Layout;
use crate::value::Bytes;
use std::sync::Arc;

/// Where a walk goes on; the default is the beginning.
pub type Place = (Db, From);

/// What a walk returns.
type Found = (Db, Bytes, Entry);

/// Every database of a snapshot. Nobody sees it before [`Table::replace`](super::Table::replace).
#[derive(Debug)]
pub struct Generation {
    pub(super) layout: Layout,
    pub(super) databases: Databases,
    /// The number of the last snapshot that was made when it was begun.
    born: u64,
}

impl Generation {
    pub(super) fn new(layout: Layout, born: u64) -> Self {
        Self { layout, databases: Databases::default(), born }
    }

    /// So many keys will come into a database: it does not have to grow for them.
    pub fn make_room(&mut self, db: Db, keys: usize) {
        if self.databases.get(db).is_none() {
            self.databases.insert(db, Arc::new(Database::new(keys, self.born, &self.layout)));
        }
    }

    /// Stores an entry, its version as it is, and returns the one that was there.
    pub fn put(&mut self, db: Db, key: Bytes, entry: Entry) -> Option<Entry> {
        if let Some(database) = self.databases.get(db) {
            return database.put(&self.layout, key, entry);
        }
        let database = Database::new(1, self.born, &self.layout);
        database.put(&self.layout, key, entry);
        self.databases.insert(db, Arc::new(database));
        None
    }

    /// Takes over what a unit prepared against the published table. What the unit removed is not
    /// in a generation that was built without it.
    pub fn absorb(&mut self, batch: Batch, unit: u64) {
        for (db, view) in batch.into_views().0.into_iter() {
            for slot in view.slots.into_iter() {
                match slot.into_stored(&self.layout.heap, unit, db) {
                    Err(key) => drop(self.remove(db, &key)),
                    Ok(stored) => {
                        let (key, entry) = stored.show().item();
                        self.put(db, key, entry);
                    }
                }
            }
        }
    }

    /// What a key has.
    pub fn get(&self, db: Db, key: &[u8]) -> Option<Entry> {
        let index = &self.databases.get(db)?.index;
        index.own_get(self.layout.hash(key), key).map(Shown::entry)
    }

    /// Removes a key and returns what it had.
    pub fn remove(&mut self, db: Db, key: &[u8]) -> Option<Entry> {
        self.databases.get(db)?.remove(&self.layout, key)
    }

    /// Whether there is an entry.
    pub fn contains(&self, db: Db, key: &[u8]) -> bool {
        let hash = self.layout.hash(key);
        self.databases.get(db).is_some_and(|database| database.index.own_get(hash, key).is_some())
    }

    /// A step of a walk over the entries that have no version yet, and where it goes on; `None` at
    /// the end. The generation may be changed between two steps: what was there all the time is
    /// returned once.
    pub fn without_version(&self, (from, place): Place) -> Option<(Vec<Found>, Place)> {
        let (db, database) = self.databases.first_from(from)?;
        let place = if *db == from { place } else { From::default() };
        let (all, next) = database.index.own_walk(place, &self.layout);
        let new = all.into_iter().filter(|shown| shown.version() == 0).map(Shown::item);
        let found = new.map(|(key, entry)| (*db, key, entry)).collect();
        let next = match next {
            Some(place) => (*db, place),
            None => (db.checked_add(1)?, From::default()),
        };
        Some((found, next))
    }

    /// All entries: database by database, within one in no order.
    #[cfg(test)]
    pub fn entries(&self) -> impl Iterator<Item = (Db, Bytes, Entry)> {
        self.databases.iter().flat_map(|(db, database)| {
            database.index.own_all().map(|shown| {
                let (key, entry) = shown.item();
                (*db, key, entry)
            })
        })
    }

    /// All entries, each given up as it is handed out: database by database, in no order.
    pub fn into_entries(self) -> impl Iterator<Item = (Db, Bytes, Entry)> {
        self.databases.into_iter().flat_map(|(db, database)| {
            database.index.drain().map(move |stored| {
                let (key, entry) = stored.show().item();
                (db, key, entry)
            })
        })
    }

    /// The sums over all databases.
    pub fn counts(&self) -> Counts {
        self.databases.counts()
    }

    /// An estimate of the memory that all entries take, in bytes.
    pub fn memory(&self) -> usize {
        self.counts().total_memory()
    }
}
