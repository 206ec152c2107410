//! What a key has in the table, and the sums over such entries.

use super::index::shared_memory;
use crate::value::{Fingerprint, Type, Value, Withheld};
use std::sync::Arc;

/// What one key has. Cloning takes constant time.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Entry {
    /// The value; `None` makes the entry a ghost: the primary has the key, the table does not.
    pub value: Option<Value>,
    /// The key's deadline in Unix milliseconds.
    pub expires_at_ms: Option<i64>,
    /// Another one with each write; see [`version`](super::version). Publishing a batch sets it.
    pub version: u64,
    /// What the table lacks of what the primary has; `None` while it lacks nothing.
    pub hold: Option<Arc<Hold>>,
}

/// How an entry differs from what the primary has.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Hold {
    /// The primary has something else and edits are not stored. For a ghost: its deadline is not
    /// known.
    pub frozen: bool,
    /// For ghosts and frozen entries: of the primary's value, where it is known.
    pub fingerprint: Option<Fingerprint>,
    /// For ghosts and frozen entries: the primary has a module's value.
    pub module: bool,
    /// For ghosts: the value is withheld only because a command read what a filter leaves out.
    pub filtered: bool,
    /// For partial entries: the elements that the table lacks or keeps as they were, each with the
    /// fingerprint of what the primary has there, where it is known.
    pub withheld: Withheld,
}

impl Entry {
    /// An entry that is what the primary has.
    pub fn new(value: Value, expires_at_ms: Option<i64>) -> Self {
        Self { value: Some(value), expires_at_ms, version: 0, hold: None }
    }

    /// The table has no value for this key though the primary has.
    pub fn is_ghost(&self) -> bool {
        self.value.is_none()
    }

    /// The value is an old one and stays as it is.
    pub fn is_frozen(&self) -> bool {
        self.value.is_some() && self.hold.as_ref().is_some_and(|hold| hold.frozen)
    }

    /// The value lacks elements that the primary's has, or keeps old ones.
    pub fn is_partial(&self) -> bool {
        self.value.is_some()
            && self.hold.as_ref().is_some_and(|hold| !hold.frozen && !hold.withheld.is_empty())
    }

    /// The primary has a module's value, as far as is known, be it withheld here.
    pub fn is_module(&self) -> bool {
        self.hold.as_ref().map_or(matches!(self.value, Some(Value::Module(_))), |hold| hold.module)
    }

    /// The value is withheld only because a command read what a filter leaves out: nobody said that
    /// it is not wanted.
    pub fn is_filtered(&self) -> bool {
        self.value.is_none() && self.hold.as_ref().is_some_and(|hold| hold.filtered)
    }

    /// An estimate of the memory that it takes with a key of this length, in bytes, besides what a
    /// clone of both takes again.
    pub fn shared_memory(&self, key_len: usize) -> usize {
        shared_memory(key_len, self)
    }

    /// About the bytes of what it refers to and `later` does not, which came in its place.
    pub(super) fn lost_to(&self, later: &Self) -> usize {
        match (&self.value, &later.value) {
            (Some(own), Some(later)) => own.lost_to(later) + self.hold_memory(),
            _ => self.memory(),
        }
    }

    fn hold_memory(&self) -> usize {
        self.hold.as_ref().map_or(0, |hold| HOLD_BYTES + hold.withheld.memory())
    }

    /// An estimate of the memory of what it refers to, in bytes.
    pub(super) fn memory(&self) -> usize {
        self.value.as_ref().map_or(0, Value::memory) + self.hold_memory()
    }
}

/// A hold with the counts before it.
const HOLD_BYTES: usize = size_of::<Hold>() + 16;

/// Sums over the entries of a database or of a whole table.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counts {
    /// Keys as readers see them: entries that have a value. Ghosts are not among them.
    pub keys: usize,
    /// Those of the keys that have a deadline.
    pub expires: usize,
    /// Entries without a value.
    pub ghosts: usize,
    /// Keys that lack elements.
    pub partial: usize,
    /// Keys that stay as they are.
    pub frozen: usize,
    /// An estimate of the memory that entries take, in bytes: those of each type, and last those
    /// without a value.
    pub memory: [usize; KINDS],
}

/// Types, and none.
pub(super) const KINDS: usize = 9;

impl Counts {
    /// What is counted, the memory aside.
    pub(super) fn numbers(&self) -> [usize; 5] {
        [self.keys, self.expires, self.ghosts, self.partial, self.frozen]
    }

    /// Adds other sums to these.
    pub(super) fn add(&mut self, other: &Self) {
        self.keys += other.keys;
        self.expires += other.expires;
        self.ghosts += other.ghosts;
        self.partial += other.partial;
        self.frozen += other.frozen;
        self.memory.iter_mut().zip(other.memory).for_each(|(sum, other)| *sum += other);
    }

    /// Of all types together.
    pub fn total_memory(&self) -> usize {
        self.memory.iter().sum()
    }

    /// Adds what one entry adds.
    pub(super) fn add_share(&mut self, share: Share) {
        let Share { place, is_ghost, has_deadline, is_partial, is_frozen, memory } = share;
        self.keys += usize::from(!is_ghost);
        self.expires += usize::from(!is_ghost && has_deadline);
        self.ghosts += usize::from(is_ghost);
        self.partial += usize::from(is_partial);
        self.frozen += usize::from(is_frozen);
        self.memory[usize::from(place)] += memory;
    }
}

/// What one entry adds to the sums.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Share {
    /// Where its memory is among that of all types.
    place: u8,
    is_ghost: bool,
    has_deadline: bool,
    is_partial: bool,
    is_frozen: bool,
    memory: usize,
}

impl Share {
    /// Of an entry that takes so much memory.
    pub(super) fn of(entry: &Entry, memory: usize) -> Self {
        let kind = entry.value.as_ref().map(Value::kind);
        Self {
            place: kind.map_or(KINDS - 1, |kind| kind as usize) as u8,
            is_ghost: entry.is_ghost(),
            has_deadline: entry.expires_at_ms.is_some(),
            is_partial: entry.is_partial(),
            is_frozen: entry.is_frozen(),
            memory,
        }
    }

    /// Of one that is what the primary has.
    #[inline]
    pub(super) fn whole(kind: Type, has_deadline: bool, memory: usize) -> Self {
        let (is_ghost, is_partial, is_frozen) = (false, false, false);
        Self { place: kind as u8, is_ghost, has_deadline, is_partial, is_frozen, memory }
    }

    /// Where two of them differ in nothing but the memory: whose, and how much that is of either.
    #[inline]
    pub(super) fn only_memory(self, other: Self) -> Option<(usize, usize, usize)> {
        let is_alike = self == Self { memory: self.memory, ..other };
        is_alike.then_some((self.place.into(), self.memory, other.memory))
    }

    /// The sums over this alone.
    pub(super) fn counts(self) -> Counts {
        let mut counts = Counts::default();
        counts.add_share(self);
        counts
    }
}
