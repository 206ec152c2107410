//! What is about to happen to one key, as a callback sees it, and the gate that may say no.
//!
//! The stream carries a hundred commands; a callback sees *effects*, so that no program needs to
//! know them.

use crate::value::Value;

/// The answer to a [`Change`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// Let it happen.
    Keep,
    /// Leave the table as it is.
    Skip,
}

/// Whoever is asked before each change.
pub trait Gate {
    /// Decides on one change. Called on the apply thread, outside every lock.
    fn ask(&mut self, change: &Change<'_>) -> Verdict;

    /// Whether anybody hears of what is asked; if not, the answer is to keep everything.
    fn is_heard(&self) -> bool {
        true
    }
}

/// Why a change happens.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reason {
    /// It came with a snapshot while the table was empty.
    Snapshot,
    /// A new full sync found it different from what we had.
    Resync,
    /// A command that writes.
    Command,
    /// A command that deletes: DEL, UNLINK, or what the primary evicted or let expire.
    Delete,
    /// The key moved: RENAME, RENAMENX or MOVE.
    Rename,
    /// FLUSHDB, FLUSHALL or SWAPDB.
    Flush,
    /// It was withheld only because of a filter, and was fetched from the primary.
    Heal,
}

/// In which part of the replica's life a change happens.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Phase {
    /// A restart from the last state on disk.
    Warm,
    /// The first load.
    Initial,
    /// Following the stream.
    Live,
    /// A later full sync, heard as the difference to what was there.
    Resync,
}

/// What happens to the key, with names and values as they lie in memory.
pub type Effect<'a> = EffectOf<&'a [u8]>;

/// What happens to the key; `B` is how it has bytes.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum EffectOf<B> {
    /// It gets a whole new value ([`Change::value`]).
    Set,
    /// A string, list, stream or array is edited; [`Change::value`] is the result. Also where a
    /// sorted set loses members that can't be told, as some are withheld; the result is not known.
    Edit,
    /// It goes away.
    Delete,
    /// It gets, changes or loses its deadline ([`Change::expires_at_ms`]).
    Expire,
    /// A field of a hash is set. `value` is `None` where it can't be known.
    HashSet {
        /// The field's name.
        field: B,
        /// Its new value.
        value: Option<B>,
        /// Its deadline in Unix milliseconds.
        expires_at_ms: Option<i64>,
    },
    /// A field of a hash goes away.
    HashDelete {
        /// The field's name.
        field: B,
    },
    /// A field of a hash gets, changes or loses its deadline.
    HashExpire {
        /// The field's name.
        field: B,
        /// Its new deadline in Unix milliseconds.
        expires_at_ms: Option<i64>,
    },
    /// A member joins a set.
    SetAdd {
        /// The member.
        member: B,
    },
    /// A member leaves a set.
    SetRemove {
        /// The member.
        member: B,
    },
    /// A member joins a sorted set or gets another score. `score` is `None` where it can't be
    /// known.
    ZsetAdd {
        /// The member.
        member: B,
        /// Its new score.
        score: Option<f64>,
    },
    /// A member leaves a sorted set.
    ZsetRemove {
        /// The member.
        member: B,
    },
    /// A database loses all its keys; every database when [`Change::db`] is `None`. Can't be
    /// skipped.
    Flush,
    /// Two databases change places: [`Change::db`] and this one. Can't be skipped.
    Swap {
        /// The other database.
        other: u32,
    },
    /// A write command that we can't follow; [`Change::args`] has it. Can't be skipped.
    Unknown,
}

impl<B> EffectOf<B> {
    /// Whether it happens whatever the answer.
    pub fn happens_anyway(&self) -> bool {
        matches!(self, Self::Flush | Self::Swap { .. } | Self::Unknown)
    }

    /// The same with bytes of another kind.
    pub fn map<'s, C>(&'s self, bytes: impl Fn(&'s B) -> C) -> EffectOf<C> {
        match self {
            Self::Set => EffectOf::Set,
            Self::Edit => EffectOf::Edit,
            Self::Delete => EffectOf::Delete,
            Self::Expire => EffectOf::Expire,
            Self::HashSet { field, value, expires_at_ms } => EffectOf::HashSet {
                field: bytes(field),
                value: value.as_ref().map(bytes),
                expires_at_ms: *expires_at_ms,
            },
            Self::HashDelete { field } => EffectOf::HashDelete { field: bytes(field) },
            Self::HashExpire { field, expires_at_ms } => {
                EffectOf::HashExpire { field: bytes(field), expires_at_ms: *expires_at_ms }
            }
            Self::SetAdd { member } => EffectOf::SetAdd { member: bytes(member) },
            Self::SetRemove { member } => EffectOf::SetRemove { member: bytes(member) },
            Self::ZsetAdd { member, score } => {
                EffectOf::ZsetAdd { member: bytes(member), score: *score }
            }
            Self::ZsetRemove { member } => EffectOf::ZsetRemove { member: bytes(member) },
            Self::Flush => EffectOf::Flush,
            Self::Swap { other } => EffectOf::Swap { other: *other },
            Self::Unknown => EffectOf::Unknown,
        }
    }
}

/// One change: shown before it happens.
#[derive(Clone, Copy, Debug)]
pub struct Change<'a> {
    /// What happens.
    pub effect: Effect<'a>,
    /// Why.
    pub reason: Reason,
    /// When in the replica's life.
    pub phase: Phase,
    /// The database; `None` where all are meant.
    pub db: Option<u32>,
    /// The key; empty for flushes, swaps and unknown commands.
    pub key: &'a [u8],
    /// The key's whole value after this change, where there is one and it is known.
    pub value: Option<&'a Value>,
    /// The key's deadline after this change, in Unix milliseconds.
    pub expires_at_ms: Option<i64>,
    /// False where the outcome depends on something that was withheld: then it is never stored.
    pub result_known: bool,
    /// Whether the deadline of what goes away, or of what is set, has already passed.
    pub deadline_passed: bool,
    /// After this change the key no longer exists: its last element went.
    pub key_gone: bool,
    /// The stream's offset after the unit that this change belongs to; -1 unknown.
    pub offset: i64,
    /// The command's own arguments; empty for snapshots.
    pub args: &'a [&'a [u8]],
}
