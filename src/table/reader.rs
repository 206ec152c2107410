//! The readers' side: single keys, several keys at one unit, sums, and whole copies.

use super::cursor::Cursor;
use super::database::Db;
use super::entry::{Counts, Entry};
use super::shard::Shard;
use super::{Shared, Stamp};
use crate::value::Bytes;
use std::sync::Arc;

/// Sees what is published. Any number of threads may each have one, or share one.
#[derive(Clone, Debug)]
pub struct Reader {
    shared: Arc<Shared>,
}

impl Reader {
    pub(super) fn new(shared: Arc<Shared>) -> Self {
        Self { shared }
    }

    /// Shows what a key has, and allocates nothing. `f` runs under locks, so that it is never the
    /// reader who has to free what it was shown: it copies out what it needs and must not come back
    /// to the table by any way.
    pub fn read<R>(&self, db: Db, key: &[u8], f: impl FnOnce(Option<&Entry>) -> R) -> R {
        self.shared
            .with(db, key, |found| f(found.and_then(|(shard, hash)| shard.get(hash, key)).as_ref()))
    }

    /// What several keys have, all at one published unit, and which one that is. `f` runs when no
    /// lock is held any more; its entries are in the order of the keys.
    pub fn read_many<K: AsRef<[u8]>, R>(
        &self,
        keys: &[(Db, K)],
        f: impl FnOnce(&[Option<Entry>]) -> R,
    ) -> (R, Stamp) {
        let (entries, stamp) = self.copy_many(keys);
        (f(&entries), stamp)
    }

    fn copy_many<K: AsRef<[u8]>>(&self, keys: &[(Db, K)]) -> (Vec<Option<Entry>>, Stamp) {
        let mut entries = vec![None; keys.len()];
        let mut wanted = Vec::with_capacity(keys.len());
        for ((db, key), entry) in keys.iter().zip(&mut entries) {
            let key = key.as_ref();
            wanted.push((*db, self.shared.layout.place(key), key, entry));
        }
        wanted.sort_unstable_by_key(|(db, place, ..)| (*db, place.shard));
        let databases = self.shared.databases.read();
        let mut locked = Vec::new();
        let mut last = None;
        for (db, place, key, entry) in wanted {
            let Some(database) = databases.get(&db) else { continue };
            if last != Some((db, place.shard)) {
                locked.push(database.read(place.shard));
                last = Some((db, place.shard));
            }
            // Nobody changes a shard that was copied before the last one is locked, for all stay
            // locked: so it is one moment that is copied.
            let shard = locked.last();
            *entry = shard.and_then(|shard| shard.get(place.hash, key));
        }
        // What is locked can't be ahead of the stamp, and a unit in progress elsewhere will not
        // reach it.
        let stamp = *self.shared.stamp.read();
        drop(locked);
        drop(databases);
        (entries, stamp)
    }

    /// The place in the primary's history that the published data stands for.
    pub fn stamp(&self) -> Stamp {
        *self.shared.stamp.read()
    }

    /// The databases that have keys, ascending, and how many. Ghosts are not counted.
    pub fn databases(&self) -> Vec<(Db, usize)> {
        let databases = self.shared.databases.read();
        let _one_unit = self.shared.stamp.read();
        let keys = databases.iter().map(|(&db, database)| (db, database.counts().lock().keys));
        keys.filter(|(_, keys)| *keys > 0).collect()
    }

    /// How many keys a database has. Ghosts are not counted.
    pub fn count(&self, db: Db) -> usize {
        let databases = self.shared.databases.read();
        let _one_unit = self.shared.stamp.read();
        databases.get(&db).map_or(0, |database| database.counts().lock().keys)
    }

    /// The sums over all databases.
    pub fn counts(&self) -> Counts {
        self.shared.counts()
    }

    /// A walk over one database or all.
    pub fn cursor(&self, db: Option<Db>) -> Cursor {
        Cursor::new(Arc::clone(&self.shared), db)
    }

    /// A copy of everything at one unit: databases ascending. It waits for a unit that is being
    /// published and keeps further ones out, but not other readers; the time that takes does not
    /// grow with the data.
    pub fn snapshot(&self) -> (Vec<(Db, Entries)>, Stamp) {
        let _publishing = self.shared.publishing.lock();
        let databases = self.shared.databases.read();
        let copy = databases.iter().map(|(&db, database)| {
            let shards = 0..self.shared.layout.shards();
            (db, Entries(shards.map(|shard| database.read(shard).clone()).collect()))
        });
        let copy = copy.filter(|(_, entries)| !entries.is_empty()).collect();
        (copy, *self.shared.stamp.read())
    }
}

/// The entries of a database as they were at one unit, whatever is published meanwhile.
#[derive(Debug)]
pub struct Entries(Vec<Shard>);

impl Entries {
    /// All of them, in no order.
    pub fn iter(&self) -> impl Iterator<Item = (Bytes, Entry)> {
        self.0.iter().flat_map(Shard::iter)
    }

    /// No entry at all.
    pub fn is_empty(&self) -> bool {
        self.0.iter().all(Shard::is_empty)
    }
}
