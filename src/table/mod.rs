//! Where the data lives and how readers see it: one writer, any number of readers.
//!
//! The writer prepares a unit of writes in a [`Batch`] and publishes it: [`Reader::read_many`],
//! [`Reader::snapshot`] and the sums see all of a unit or nothing of it. A new dataset is built
//! aside as a [`Generation`] and takes the old one's place in one step.
//!
//! # Locks
//!
//! They are taken in this order, and a thread that holds one takes only those that stand below it:
//!
//! 1. `publishing`: held by the writer through each change, and by [`Reader::snapshot`], which is
//!    how a copy of everything stays at one unit. Other readers never take it.
//! 2. `databases`: the map of databases. Locked for writing only where databases come, go or change
//!    places (a flush, a swap, a new generation, the first key of a database); everything else
//!    locks it for reading, and shards are locked only under it.
//! 3. shards, ascending by database and then by place. Publishing locks all that a unit touches
//!    before it changes the first.
//! 4. `stamp`: it is also what makes the sums of several databases belong together, for they change
//!    only while it is locked for writing.
//! 5. the sums of a database.
//!
//! No lock is held when a function of the [`Table`], the [`Batch`], a [`Generation`] or a
//! [`Cursor`] has returned. Only [`Reader::read`] calls its caller's code under locks. What a
//! change replaces is dropped after all locks were released.

mod batch;
mod cursor;
mod database;
mod entry;
mod generation;
mod publish;
mod reader;
mod shard;
mod stored;
#[cfg(test)]
mod tests;

pub use batch::{Batch, version};
pub use cursor::Cursor;
pub use database::Db;
pub use entry::{Counts, Entry, Hold};
pub use generation::Generation;
pub use reader::{Entries, Reader};
pub use stored::SLOT_BYTES;

use crate::value::Bytes;
use database::{Databases, total};
use parking_lot::{Mutex, RwLock};
use shard::{Layout, Shard};
use std::sync::Arc;

/// The place in the primary's history that the data stands for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Stamp {
    /// The primary's replication id; 40 zeros while none is known.
    pub replid: [u8; 40],
    /// The offset in it; -1 while it is not known.
    pub offset: i64,
    /// Counts units. The versions of the entries that are published with it come from it.
    pub unit: u64,
}

impl Default for Stamp {
    fn default() -> Self {
        Self { replid: [b'0'; 40], offset: -1, unit: 0 }
    }
}

/// What the writer and the readers share. See the module for the order of the locks.
#[derive(Debug)]
struct Shared {
    layout: Layout,
    publishing: Mutex<()>,
    databases: RwLock<Databases>,
    stamp: RwLock<Stamp>,
}

impl Shared {
    /// Looks at one shard, while nobody changes it.
    fn with<R>(&self, db: Db, key: &[u8], f: impl FnOnce(Option<(&Shard, u64)>) -> R) -> R {
        let place = self.layout.place(key);
        let databases = self.databases.read();
        match databases.get(&db) {
            Some(database) => f(Some((&database.read(place.shard), place.hash))),
            None => f(None),
        }
    }

    fn get(&self, db: Db, key: &[u8]) -> Option<Entry> {
        self.with(db, key, |found| found.and_then(|(shard, hash)| shard.get(hash, key)))
    }

    fn counts(&self) -> Counts {
        let databases = self.databases.read();
        let _one_unit = self.stamp.read();
        total(&databases)
    }
}

/// The writer's side. There is one, and whoever owns it is the only one who changes anything.
#[derive(Debug)]
pub struct Table {
    shared: Arc<Shared>,
}

impl Table {
    /// An empty table whose databases have at least so many shards each.
    pub fn new(shards: usize) -> Self {
        let shared = Shared {
            layout: Layout::new(shards),
            publishing: Mutex::default(),
            databases: RwLock::default(),
            stamp: RwLock::default(),
        };
        Self { shared: Arc::new(shared) }
    }

    /// A reader. It outlives the table and goes on seeing what was published last.
    pub fn reader(&self) -> Reader {
        Reader::new(Arc::clone(&self.shared))
    }

    /// What a key has.
    pub fn get(&self, db: Db, key: &[u8]) -> Option<Entry> {
        self.shared.get(db, key)
    }

    /// The key as it is stored, to be shared, and what it has.
    pub fn item(&self, db: Db, key: &[u8]) -> Option<(Bytes, Entry)> {
        self.shared.with(db, key, |found| found.and_then(|(shard, hash)| shard.item(hash, key)))
    }

    /// Puts all of a unit in place. Readers that ask for several keys see all of it or nothing.
    pub fn publish(&mut self, batch: Batch, stamp: Stamp) {
        let plan = publish::Plan::new(&self.shared, batch, stamp.unit);
        let waste = plan.apply(&self.shared, stamp);
        drop(waste);
    }

    /// The place in the history moves though no data changed.
    pub fn stamp(&mut self, stamp: Stamp) {
        let _publishing = self.shared.publishing.lock();
        *self.shared.stamp.write() = stamp;
    }

    /// An empty dataset, to be built aside.
    pub fn generation(&self) -> Generation {
        Generation::new(self.shared.layout.clone())
    }

    /// Readers move over to another dataset in one step. It was made by this table.
    pub fn replace(&mut self, next: Generation, stamp: Stamp) {
        debug_assert!(next.layout.is_same(&self.shared.layout), "a generation of another table");
        let mut next = next.databases;
        {
            let _publishing = self.shared.publishing.lock();
            let mut databases = self.shared.databases.write();
            std::mem::swap(&mut *databases, &mut next);
            *self.shared.stamp.write() = stamp;
        }
        drop(next);
    }

    /// A walk over all entries. It borrows nothing: the table may be changed while it goes on.
    pub fn entries(&self) -> Cursor {
        self.reader().cursor(None)
    }

    /// An estimate of the memory that all entries take, in bytes.
    pub fn memory(&self) -> usize {
        self.shared.counts().memory
    }
}
