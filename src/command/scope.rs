//! What is followed at all: the databases and key patterns that the options name.
//!
//! The cheap way to leave things out: applied alike to snapshot and stream, before anything is
//! decoded or asked. What is left out is withheld without leaving a ghost.

use crate::table::Db;
use crate::text::glob_match;

/// The filters, and whether there is a table at all.
#[derive(Clone, Debug)]
pub struct Scope {
    /// Only these databases; `None` for all.
    pub databases: Option<Vec<Db>>,
    /// Only keys that match one of these patterns; empty for all.
    pub keys: Vec<Vec<u8>>,
    /// No key that matches one of these patterns.
    pub exclude_keys: Vec<Vec<u8>>,
    /// False for programs that only listen: nothing is stored.
    pub store: bool,
}

impl Default for Scope {
    fn default() -> Self {
        Self { databases: None, keys: Vec::new(), exclude_keys: Vec::new(), store: true }
    }
}

impl Scope {
    /// Whether this key is followed.
    #[inline]
    pub fn admits(&self, db: Db, key: &[u8]) -> bool {
        let is_open =
            self.databases.is_none() && self.keys.is_empty() && self.exclude_keys.is_empty();
        is_open || self.admits_by_filter(db, key)
    }

    #[inline(never)]
    fn admits_by_filter(&self, db: Db, key: &[u8]) -> bool {
        self.admits_database(db)
            && (self.keys.is_empty() || self.keys.iter().any(|pattern| glob_match(pattern, key)))
            && !self.exclude_keys.iter().any(|pattern| glob_match(pattern, key))
    }

    /// Whether every key of every database is followed.
    pub fn admits_all(&self) -> bool {
        self.databases.is_none() && self.keys.is_empty() && self.exclude_keys.is_empty()
    }

    /// Whether anything of this database is followed.
    pub fn admits_database(&self, db: Db) -> bool {
        self.databases.as_ref().is_none_or(|databases| databases.contains(&db))
    }
}
