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

    /// Where the memory of a type is among them, or that of what has no value.
    pub(super) fn place(kind: Option<Type>) -> usize {
        kind.map_or(KINDS - 1, |kind| kind as usize)
    }

    /// Of one entry that takes so much memory.
    pub(super) fn of(entry: &Entry, memory: usize) -> Self {
        let ghost = entry.is_ghost();
        let mut by_kind = [0; KINDS];
        by_kind[Self::place(entry.value.as_ref().map(Value::kind))] = memory;
        Self {
            keys: usize::from(!ghost),
            expires: usize::from(!ghost && entry.expires_at_ms.is_some()),
            ghosts: usize::from(ghost),
            partial: usize::from(entry.is_partial()),
            frozen: usize::from(entry.is_frozen()),
            memory: by_kind,
        }
    }
}
