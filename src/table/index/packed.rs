//! What a block says of itself, and where in it lies what.

#![allow(unsafe_code)]

use crate::memory::{CONTENT_MAX, NOTE_BITS};
use crate::value::{Type, split_length};

/// Only these types are packed.
pub(super) const KINDS: [Type; 5] = [Type::String, Type::List, Type::Set, Type::Zset, Type::Hash];

/// A block.
#[derive(Clone, Copy, Debug)]
pub(super) struct Packed<'a> {
    pub(super) note: Note,
    pub(super) content: &'a [u8],
}

/// What is noted in a block's head: all that it takes to find the key and the value of a string.
/// From the lowest bit on: the length of the key, that of the version (see [`version_len`]), the
/// place of the type in [`KINDS`], and whether there is a deadline.
#[derive(Clone, Copy, Debug)]
pub(super) struct Note(pub(super) u32);

const KEY_BITS: u32 = 10;
const VERSION_BITS: u32 = 3;
const KIND_BITS: u32 = 3;

pub(super) const VERSION_SHIFT: u32 = KEY_BITS;
pub(super) const KIND_SHIFT: u32 = VERSION_SHIFT + VERSION_BITS;
pub(super) const DEADLINE_SHIFT: u32 = KIND_SHIFT + KIND_BITS;

/// How many bytes a version takes, by what the note has of it: 0 to 6, or 8. None are the first
/// unit's: what came with the first snapshot is most of many tables.
#[inline]
pub(super) const fn version_len(code: usize) -> usize {
    code + (code == CODES - 1) as usize
}

const CODES: usize = 1 << VERSION_BITS;
pub(super) const FIRST: u64 = 1;

const _: () = assert!(version_len(CODES - 1) == size_of::<u64>());
const _: () = assert!(DEADLINE_SHIFT < NOTE_BITS && CONTENT_MAX < 1 << KEY_BITS);

impl Note {
    #[inline]
    fn bits(self, shift: u32, bits: u32) -> usize {
        (self.0 >> shift & ((1 << bits) - 1)) as usize
    }

    #[inline]
    pub(super) fn key_len(self) -> usize {
        self.bits(0, KEY_BITS)
    }

    #[inline]
    pub(super) fn version_len(self) -> usize {
        version_len(self.bits(VERSION_SHIFT, VERSION_BITS))
    }

    #[inline]
    pub(super) fn kind(self) -> Type {
        KINDS.get(self.bits(KIND_SHIFT, KIND_BITS)).copied().unwrap_or(Type::String)
    }

    /// Whether it is a string without a deadline.
    #[inline]
    pub(super) fn is_simple(self) -> bool {
        const { assert!(matches!(KINDS[0], Type::String)) };
        self.0 >> KIND_SHIFT == 0
    }

    /// Whether both are of the same type, and have a deadline or none.
    #[inline]
    pub(super) fn is_alike(self, other: Self) -> bool {
        (self.0 ^ other.0) >> KIND_SHIFT == 0
    }

    #[inline]
    pub(super) fn has_deadline(self) -> bool {
        self.bits(DEADLINE_SHIFT, 1) != 0
    }
}

/// A block taken apart. Of an aggregate, the value still begins with its number of elements and its
/// mark.
pub(super) struct Parts<'a> {
    pub(super) kind: Type,
    pub(super) key: &'a [u8],
    pub(super) version: u64,
    pub(super) expires_at_ms: Option<i64>,
    pub(super) value: &'a [u8],
}

#[inline]
pub(super) fn parts<'a>(note: Note, content: &'a [u8]) -> Parts<'a> {
    let (key, rest) = content.split_at_checked(note.key_len()).unwrap_or_default();
    let mut value = rest.get(note.version_len()..).unwrap_or_default();
    let mut expires_at_ms = None;
    if !note.is_simple()
        && let (true, Some((at, behind))) = (note.has_deadline(), value.split_first_chunk::<8>())
    {
        (expires_at_ms, value) = (Some(i64::from_le_bytes(*at)), behind);
    }
    let kind = if note.is_simple() { Type::String } else { note.kind() };
    Parts { kind, key, version: version(rest, note), expires_at_ms, value }
}

/// What follows the key begins with the version.
#[inline(always)]
fn version(rest: &[u8], note: Note) -> u64 {
    match (note.version_len(), rest.first_chunk()) {
        (0, _) => FIRST,
        // Without a loop of that length, which processors would have to guess.
        (len, Some(bytes)) => u64::from_le_bytes(*bytes) & (u64::MAX >> (64 - 8 * len)),
        (len, None) => rest.iter().take(len).rev().fold(0, |all, byte| all << 8 | u64::from(*byte)),
    }
}

impl<'a> Packed<'a> {
    #[inline]
    pub(super) fn key(self) -> &'a [u8] {
        debug_assert!(self.note.key_len() <= self.content.len());
        // SAFETY: it is in the block of whoever made the note, see `block`.
        unsafe { self.content.get_unchecked(..self.note.key_len()) }
    }

    /// Whether its key is as long as this one and has the same ends, which is all of it where they
    /// overlap. What is shorter than an end has none.
    #[inline(always)]
    pub(super) fn has_ends(self, key: &[u8]) -> bool {
        const END: usize = size_of::<u64>();
        if self.note.key_len() != key.len() || key.len() < END {
            return false;
        }
        let is_same = |at: usize| {
            // SAFETY: the key is in the block of whoever made the note, see `block`.
            let own = unsafe { self.content.as_ptr().add(at).cast::<u64>().read_unaligned() };
            // SAFETY: it ends at the key's end at the latest.
            own == unsafe { key.as_ptr().add(at).cast::<u64>().read_unaligned() }
        };
        is_same(0) && is_same(key.len() - END)
    }

    /// A string without a deadline, of a key that is not shorter than a version may be; `None` of
    /// anything else.
    #[inline(always)]
    pub(super) fn simple(self) -> Option<Plain<'a>> {
        let Self { note, content } = self;
        if !note.is_simple() || note.key_len() < size_of::<u64>() {
            return None;
        }
        let version_len = note.version_len();
        let end = note.key_len() + version_len;
        debug_assert!(end <= content.len());
        // SAFETY: that much is in the block of whoever made the note, see `block`.
        let (last, bytes) = unsafe {
            let last = content.as_ptr().add(end - size_of::<u64>()).cast::<u64>();
            (u64::from_le(last.read_unaligned()), content.get_unchecked(end..))
        };
        // What of the key is before the version is in the lowest bytes.
        let version = if version_len == 0 { FIRST } else { last >> (64 - 8 * version_len) };
        Some(Plain { bytes, version, expires_at_ms: None })
    }

    #[inline]
    pub(super) fn parts(self) -> Parts<'a> {
        parts(self.note, self.content)
    }

    /// How long the key and the value are together.
    #[inline]
    pub(super) fn lean_len(self) -> usize {
        let note = self.note;
        let mut between = note.version_len();
        if !note.is_simple() {
            between += if note.has_deadline() { size_of::<i64>() } else { 0 };
            if note.kind() != Type::String {
                let rest = self.content.get(note.key_len() + between..).unwrap_or_default();
                between += rest.len() - split_length(split_length(rest).1).1.len();
            }
        }
        self.content.len().saturating_sub(between)
    }
}

/// A string that is stored in one block.
#[derive(Clone, Copy, Debug)]
pub struct Plain<'a> {
    /// The value.
    pub bytes: &'a [u8],
    /// See [`Entry::version`].
    pub version: u64,
    /// See [`Entry::expires_at_ms`].
    pub expires_at_ms: Option<i64>,
}

/// The value, and an aggregate's number of elements and mark.
pub(super) fn elements<'a>(parts: &Parts<'a>) -> (&'a [u8], (usize, usize)) {
    if parts.kind == Type::String {
        return (parts.value, (0, 0));
    }
    let (len, rest) = split_length(parts.value);
    let (mark, rest) = split_length(rest);
    (rest, (len, mark))
}
