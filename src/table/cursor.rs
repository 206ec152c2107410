//! A walk over the table that holds nothing between its steps.

use super::Shared;
use super::database::Db;
use super::entry::Entry;
use super::index::From;
use crate::value::Bytes;
use std::sync::Arc;

/// A key and what it has, as readers are given them.
pub(super) type Item = (Bytes, Entry);

/// A walk, database by database and in each one by the keys' hashes. What is there throughout is
/// returned exactly once, whatever happens meanwhile; what comes or goes may be returned or not.
///
/// It works across flushes, swaps and new generations because a key's hash is the same in all of
/// them: only the place of the walk is remembered, not what was there.
#[derive(Debug)]
pub struct Cursor {
    shared: Arc<Shared>,
    only: Option<Db>,
    /// Where the next step begins; `None` at the end.
    next: Option<(Db, From)>,
    /// The database of `items`.
    db: Db,
    /// What is left of one step.
    items: std::vec::IntoIter<Item>,
}

impl Cursor {
    pub(super) fn new(shared: Arc<Shared>, only: Option<Db>) -> Self {
        let db = only.unwrap_or(0);
        Self { shared, only, next: Some((db, From(0))), db, items: Vec::new().into_iter() }
    }

    /// Copies what the next step finds; `None` if there is nothing more.
    fn copy(&mut self) -> Option<()> {
        let (from, place) = self.next.take()?;
        let (db, items, next) = self.shared.copy_some(from, self.only.unwrap_or(Db::MAX), place)?;
        (self.db, self.items) = (db, items.into_iter());
        self.next = match next {
            Some(next) => Some((db, next)),
            None => db.checked_add(1).filter(|_| self.only.is_none()).map(|db| (db, From(0))),
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
