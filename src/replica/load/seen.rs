//! The keys that a snapshot has brought while it is loaded in place: what is not among them in the
//! end has vanished.

use crate::table::Db;
use crate::value::Bytes;
use foldhash::quality::RandomState;
use std::collections::{BTreeMap, HashSet};

/// A key's place in a set at its usual load of two thirds.
const PLACE_BYTES: usize = (size_of::<Bytes>() + 1) * 3 / 2;

/// Keys by database. They are shared with the table, which has them as well.
#[derive(Default)]
pub(super) struct Seen {
    databases: BTreeMap<Db, HashSet<Bytes, RandomState>>,
    len: usize,
}

impl Seen {
    /// Adds a key; false if it is there already.
    pub(super) fn insert(&mut self, db: Db, key: Bytes) -> bool {
        let is_new = self.databases.entry(db).or_default().insert(key);
        self.len += usize::from(is_new);
        is_new
    }

    pub(super) fn contains(&self, db: Db, key: &[u8]) -> bool {
        self.databases.get(&db).is_some_and(|keys| keys.contains(key))
    }

    /// An estimate of the memory it takes, in bytes.
    pub(super) fn memory(&self) -> usize {
        self.len * PLACE_BYTES
    }
}
