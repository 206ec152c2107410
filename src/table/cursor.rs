//! A walk over the table that holds no lock between its steps.

use super::Shared;
use super::database::Db;
use super::entry::Entry;
use super::shard::Item;
use crate::value::Bytes;
use std::sync::Arc;

/// A walk, database by database and in each one shard by shard. What is there throughout is
/// returned exactly once, whatever happens meanwhile; what comes or goes may be returned or not.
///
/// It works across flushes, swaps and new generations because a key's shard is the same in all of
/// them: only the place of the walk is remembered, not what was there.
#[derive(Debug)]
pub struct Cursor {
    shared: Arc<Shared>,
    only: Option<Db>,
    /// The shard that is copied next; `None` at the end.
    next: Option<(Db, usize)>,
    /// The database of `items`.
    db: Db,
    /// What is left of one shard.
    items: std::vec::IntoIter<Item>,
}

impl Cursor {
    pub(super) fn new(shared: Arc<Shared>, only: Option<Db>) -> Self {
        let first = only.unwrap_or(0);
        Self { shared, only, next: Some((first, 0)), db: first, items: Vec::new().into_iter() }
    }

    /// Copies the next shard; `None` if there is none.
    fn copy(&mut self) -> Option<()> {
        let (from, shard) = self.next.take()?;
        let databases = self.shared.databases.read();
        let mut found = databases.range(from..=self.only.unwrap_or(Db::MAX));
        let (&db, database) = found.next()?;
        // The database where the walk was may have gone: then the next one begins at its start.
        let shard = if db == from { shard } else { 0 };
        self.items = database.read(shard).iter().collect::<Vec<_>>().into_iter();
        self.db = db;
        self.next = if shard + 1 < self.shared.layout.shards() {
            Some((db, shard + 1))
        } else {
            db.checked_add(1).filter(|_| self.only.is_none()).map(|db| (db, 0))
        };
        Some(())
    }
}

impl Iterator for Cursor {
    type Item = (Db, Bytes, Entry);

    fn next(&mut self) -> Option<Self::Item> {
        loop {
            if let Some((key, entry)) = self.items.next() {
                return Some((self.db, key, entry));
            }
            self.copy()?;
        }
    }
}
