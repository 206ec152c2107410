//! Where keys belong, and whose memory they take: the same in every database and generation of one
//! table.

use crate::memory::Heap;
#[cfg(feature = "fixed-seed")]
use foldhash::quality::FixedState as RandomState;
#[cfg(not(feature = "fixed-seed"))]
use foldhash::quality::RandomState;
use std::hash::{BuildHasher, Hasher};

/// One for all indexes of a table, so that a walk can go on in another generation where it stopped
/// in this one.
#[derive(Clone, Debug, Default)]
pub(super) struct Layout {
    /// Seeded at random: whoever writes to the primary can't choose keys that collide here.
    hasher: RandomState,
    /// Of segments, and of what is stored in one block.
    pub(super) heap: Heap,
}

/// A key and its hash, which is worked out once for all that is done with the key.
#[derive(Clone, Copy, Debug)]
pub struct Key<'k> {
    /// Its name.
    pub bytes: &'k [u8],
    pub(super) hash: u64,
}

/// Gets memory of a table's before it is needed, in any thread: while one that loads takes a lot,
/// another may have time.
#[derive(Debug)]
pub struct Supply(pub(super) Heap);

impl Supply {
    /// A piece of some MiB, if there is none ahead. [`Table::tidy`](super::Table::tidy) gives back
    /// what was not needed.
    pub fn get_ahead(&self) {
        self.0.get_spare();
    }
}

impl Layout {
    #[inline]
    pub(super) fn hash(&self, key: &[u8]) -> u64 {
        // Of the bytes alone: there is nothing in front or behind to be told apart from.
        let mut hasher = self.hasher.build_hasher();
        hasher.write(key);
        hasher.finish()
    }

    /// Whether both put every key in the same place, and may share what is stored.
    pub(super) fn is_same(&self, other: &Self) -> bool {
        self.hash(b"key") == other.hash(b"key")
    }
}
