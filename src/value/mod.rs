//! The data types of Redis as plain values: no locks, no clock, no I/O.
//!
//! Every value can be cloned in constant time and the clone never changes: aggregates are trees of
//! packed blocks (`tree.rs`) that share what they have in common with their clones. That is what
//! lets a unit of writes be prepared aside, and a reader hold a consistent copy while the writer
//! goes on.

mod array;
mod bytes;
mod digest;
mod edit;
mod fingerprint;
mod flat;
mod hash;
mod list;
mod module;
mod packed;
mod packer;
mod set;
mod sort;
mod stream;
mod tree;
mod withheld;
mod zset;

pub use array::Array;
pub use bytes::Bytes;
pub use digest::{
    DatasetDigest, Digest, DigestRules, ScoreText, has_digest, key_digest, value_digest,
};
pub use edit::{Brief, Pieces, Room};
pub use fingerprint::{
    ABSENT, Fingerprint, content_fingerprint, element_fingerprint, fingerprint, seal,
};
pub use flat::{Content, Flat};
pub use hash::{Field, Hash};
pub use list::List;
pub use module::Module;
pub use packed::Unpacked;
pub use packer::{Large, Packer, Twice};
pub use set::Set;
pub use sort::sort;
pub use stream::{
    Consumer, Entry as StreamEntry, Fields, Group, Id, Idmp, Message, Pending, References, Stream,
    StreamBuilder, Trim,
};
pub use tree::{push_length, split_length};
pub use withheld::Withheld;
pub use zset::{PACKED_LEN_MAX, Zset};

/// The types a key can have.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Type {
    /// A string of bytes, also what the servers call integers, bitmaps and HyperLogLogs.
    String,
    /// A sequence of strings.
    List,
    /// Distinct strings without an order.
    Set,
    /// Distinct strings ordered by a score, then by their bytes.
    Zset,
    /// Fields with a value each, and perhaps a deadline.
    Hash,
    /// Entries under growing ids, and the groups that consume them.
    Stream,
    /// Values at places that need not be next to each other (Redis 8.8).
    Array,
    /// Bytes that only a module of the primary's understands.
    Module,
}

impl Type {
    /// The servers' own name, as `TYPE` answers it.
    pub fn name(self) -> &'static str {
        match self {
            Self::String => "string",
            Self::List => "list",
            Self::Set => "set",
            Self::Zset => "zset",
            Self::Hash => "hash",
            Self::Stream => "stream",
            Self::Array => "array",
            Self::Module => "module",
        }
    }
}

/// What a key holds.
#[derive(Clone, Debug, PartialEq)]
pub enum Value {
    /// See [`Type::String`].
    String(Bytes),
    /// See [`Type::List`].
    List(List),
    /// See [`Type::Set`].
    Set(Set),
    /// See [`Type::Zset`].
    Zset(Zset),
    /// See [`Type::Hash`].
    Hash(Hash),
    /// See [`Type::Stream`].
    Stream(Stream),
    /// See [`Type::Array`].
    Array(Array),
    /// See [`Type::Module`].
    Module(Module),
}

impl Value {
    /// A string value with a copy of these bytes.
    pub fn string(bytes: &[u8]) -> Self {
        Self::String(Bytes::from(bytes))
    }

    /// Which type it is.
    pub fn kind(&self) -> Type {
        match self {
            Self::String(_) => Type::String,
            Self::List(_) => Type::List,
            Self::Set(_) => Type::Set,
            Self::Zset(_) => Type::Zset,
            Self::Hash(_) => Type::Hash,
            Self::Stream(_) => Type::Stream,
            Self::Array(_) => Type::Array,
            Self::Module(_) => Type::Module,
        }
    }

    /// Bytes of a string or module value, elements of anything else (as `STRLEN`, `LLEN`, `SCARD`,
    /// ... count them: a hash field whose deadline has passed still counts).
    pub fn len(&self) -> usize {
        match self {
            Self::String(bytes) => bytes.len(),
            Self::List(list) => list.len(),
            Self::Set(set) => set.len(),
            Self::Zset(zset) => zset.len(),
            Self::Hash(hash) => hash.len(),
            Self::Stream(stream) => stream.len(),
            Self::Array(array) => array.len(),
            Self::Module(module) => module.payload.len(),
        }
    }

    /// Whether `later` is a clone of this string or list that was not edited since, in constant
    /// time; false for other types.
    pub fn is_untouched(&self, later: &Self) -> bool {
        match (self, later) {
            (Self::String(a), Self::String(b)) => a.is_same(b),
            (Self::List(a), Self::List(b)) => a.is_untouched(b),
            _ => false,
        }
    }

    /// An empty string, or an aggregate without elements (which the servers keep of streams only).
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// About the bytes of what it has and `later` has not, which came in its place.
    pub fn lost_to(&self, later: &Self) -> usize {
        match (self, later) {
            (Self::String(a), Self::String(b)) if a.is_same(b) => 0,
            (Self::List(a), Self::List(b)) => a.lost_to(b),
            (Self::Set(a), Self::Set(b)) => a.lost_to(b),
            (Self::Zset(a), Self::Zset(b)) => a.lost_to(b),
            (Self::Hash(a), Self::Hash(b)) => a.lost_to(b),
            (Self::Stream(a), Self::Stream(b)) => a.lost_to(b),
            (Self::Array(a), Self::Array(b)) => a.lost_to(b),
            _ => self.memory(),
        }
    }

    /// An estimate of the memory it takes, in bytes, in constant time for what is large.
    pub fn memory(&self) -> usize {
        match self {
            Self::String(bytes) => bytes.len() + 16,
            Self::List(list) => list.memory(),
            Self::Set(set) => set.memory(),
            Self::Zset(zset) => zset.memory(),
            Self::Hash(hash) => hash.memory(),
            Self::Stream(stream) => stream.memory(),
            Self::Array(array) => array.memory(),
            Self::Module(module) => module.payload.len() + 16,
        }
    }
}
