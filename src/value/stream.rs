//! Streams: entries under growing ids, each with fields, and the groups that consume them.

use super::tree::Tree;

/// Entries and groups. Cloning takes constant time.
#[derive(Clone, Debug, Default)]
pub struct Stream {
    entries: Tree,
}

impl Stream {
    /// How many entries there are.
    pub fn len(&self) -> usize {
        self.entries.len()
    }

    /// No entry at all, which a stream may well be.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// An estimate of the memory it takes, in bytes.
    pub fn memory(&self) -> usize {
        self.entries.memory()
    }
}

impl PartialEq for Stream {
    fn eq(&self, other: &Self) -> bool {
        self.entries.same(&other.entries)
    }
}
