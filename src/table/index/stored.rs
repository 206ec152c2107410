//! How a key and what it has lie in memory: most of them as one block, which is all that they take
//! besides their slot, and all that a lookup has to fetch.
//!
//! A block is, in this order: a head of four bytes, the key, the version, the deadline where there
//! is one, an aggregate's number of elements and its mark (see [`Flat`]), and the value to the
//! end. It is never edited. What is read from it shares it.

#![allow(unsafe_code)]

use crate::table::entry::{Counts, Entry};
use crate::value::{Bytes, Content, Flat, Type, Value, push_length, split_length};
use std::mem::ManuallyDrop;
use std::num::NonZeroU64;
use std::ptr;
use std::sync::Arc;

/// A key and a value that are longer together lie apart: copying them into one block would cost
/// more than it saves.
const PACKED_MAX: usize = 1536;

/// Only these types are packed.
const KINDS: [Type; 5] = [Type::String, Type::List, Type::Set, Type::Zset, Type::Hash];

/// A slot of the index at its usual load, with a share of the bucket's control word: what each key
/// takes at least.
pub const SLOT_BYTES: usize = 12;

/// What an allocation takes besides its bytes: the counts in front of what is shared, and what the
/// allocator adds.
const ALLOCATION_BYTES: usize = 32;

/// What stands before a key, more or less: a version must not make a difference to the sums.
const HEAD_BYTES: usize = 8;

/// Of the word: it is not a block that it refers to.
const APART: u64 = 1;

/// A key with what it has, as one word: what a slot of the index holds. It is not changed but
/// exchanged.
#[derive(Debug)]
pub(in crate::table) struct Stored(NonZeroU64);

/// What is large, withheld, or of a type that is no block.
type Apart = (Bytes, Entry);

/// A word says nothing of what it refers to, which goes from thread to thread with it.
const _: fn() = || {
    fn shared<T: Send + Sync>() {}
    shared::<(Arc<[u8]>, Apart)>();
};

/// A look at what is stored.
#[derive(Clone, Copy, Debug)]
pub struct Shown<'a>(Form<'a>);

#[derive(Clone, Copy, Debug)]
enum Form<'a> {
    /// A block, which an `Arc` owns that begins there.
    Packed(&'a [u8]),
    Apart(&'a Apart),
}

/// What comes first in a block: all that it takes to find the key and the value of a string. From
/// the lowest bit on: the block's length, that of the key, that of the version less one, the place
/// of the type in [`KINDS`], and whether there is a deadline.
#[derive(Clone, Copy)]
struct Head(u32);

const HEAD_LEN: usize = size_of::<u32>();
const LEN_BITS: u32 = 14;
const KEY_BITS: u32 = 11;
const VERSION_BITS: u32 = 3;
const KIND_BITS: u32 = 3;

const KEY_SHIFT: u32 = LEN_BITS;
const VERSION_SHIFT: u32 = KEY_SHIFT + KEY_BITS;
const KIND_SHIFT: u32 = VERSION_SHIFT + VERSION_BITS;
const DEADLINE_SHIFT: u32 = KIND_SHIFT + KIND_BITS;

const _: () = assert!(DEADLINE_SHIFT < u32::BITS && PACKED_MAX < 1 << KEY_BITS);

impl Head {
    #[inline]
    fn of(block: &[u8]) -> Self {
        Self(block.first_chunk().map_or(0, |head| u32::from_le_bytes(*head)))
    }

    #[inline]
    fn bits(self, shift: u32, bits: u32) -> usize {
        (self.0 >> shift & ((1 << bits) - 1)) as usize
    }

    /// Of the whole block.
    #[inline]
    fn len(self) -> usize {
        self.bits(0, LEN_BITS)
    }

    #[inline]
    fn kind(self) -> Type {
        KINDS.get(self.bits(KIND_SHIFT, KIND_BITS)).copied().unwrap_or(Type::String)
    }

    #[inline]
    fn key_end(self) -> usize {
        HEAD_LEN + self.bits(KEY_SHIFT, KEY_BITS)
    }

    #[inline]
    fn version_len(self) -> usize {
        self.bits(VERSION_SHIFT, VERSION_BITS) + 1
    }

    #[inline]
    fn has_deadline(self) -> bool {
        self.0 >> DEADLINE_SHIFT != 0
    }
}

/// A block taken apart. Of an aggregate, the value still begins with its number of elements and its
/// mark.
struct Parts<'a> {
    kind: Type,
    key: &'a [u8],
    version: u64,
    expires_at_ms: Option<i64>,
    value: &'a [u8],
}

#[inline]
fn parts(block: &[u8]) -> Parts<'_> {
    let head = Head::of(block);
    let key = block.get(HEAD_LEN..head.key_end()).unwrap_or_default();
    let rest = block.get(head.key_end()..).unwrap_or_default();
    let (version, mut value) = rest.split_at_checked(head.version_len()).unwrap_or_default();
    let mut expires_at_ms = None;
    if let (true, Some((at, behind))) = (head.has_deadline(), value.split_first_chunk::<8>()) {
        (expires_at_ms, value) = (Some(i64::from_le_bytes(*at)), behind);
    }
    let version = version.iter().rev().fold(0, |version, byte| version << 8 | u64::from(*byte));
    Parts { kind: head.kind(), key, version, expires_at_ms, value }
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

impl Stored {
    pub(in crate::table) fn new(key: Bytes, entry: Entry) -> Self {
        match pack(&key, &entry) {
            Some(block) => Self::packed(block),
            None => {
                let item = Box::into_raw(Box::new((key, entry)));
                Self::of_word(item.expose_provenance() as u64 | APART)
            }
        }
    }

    /// The same of what is lent.
    pub(in crate::table) fn of(
        key: &[u8],
        content: Content<'_>,
        version: u64,
        expires_at_ms: Option<i64>,
    ) -> Self {
        if let Content::Flat(flat) = content {
            if key.len() + flat.bytes.len() <= PACKED_MAX {
                if let Some(block) = block(key, flat, version, expires_at_ms) {
                    return Self::packed(block);
                }
            }
        }
        let entry = Entry { version, ..Entry::new(content.into_value(), expires_at_ms) };
        Self::new(Bytes::from(key), entry)
    }

    fn packed(block: Arc<[u8]>) -> Self {
        Self::of_word(Arc::into_raw(block).cast::<u8>().expose_provenance() as u64)
    }

    fn of_word(word: u64) -> Self {
        Self(NonZeroU64::new(word).unwrap_or(NonZeroU64::MIN))
    }

    /// For a slot, which then owns it.
    pub(in crate::table) fn into_word(self) -> u64 {
        ManuallyDrop::new(self).0.get()
    }

    /// What a slot owned; `None` for a slot that has nothing.
    ///
    /// # Safety
    /// The word came from [`Stored::into_word`], and nobody else takes it back.
    pub(in crate::table) unsafe fn from_word(word: u64) -> Option<Self> {
        NonZeroU64::new(word).map(Self)
    }

    pub(in crate::table) fn show(&self) -> Shown<'_> {
        // SAFETY: what it refers to is there as long as it is.
        unsafe { Shown::of(self.0.get()) }
    }

    pub(in crate::table) fn entry(&self) -> Entry {
        self.show().entry()
    }

    /// About what dropping it gives back, in bytes.
    pub(in crate::table) fn weight(&self) -> usize {
        match self.show().0 {
            Form::Packed(block) => block.len() + ALLOCATION_BYTES,
            Form::Apart((key, entry)) => key.len() + entry.memory() + ALLOCATION_BYTES,
        }
    }

    /// What it adds to the sums.
    pub(in crate::table) fn counts(&self) -> Counts {
        match self.show().0 {
            Form::Packed(block) => {
                let parts = parts(block);
                let (value, _) = elements(&parts);
                Counts {
                    keys: 1,
                    expires: usize::from(parts.expires_at_ms.is_some()),
                    memory: SLOT_BYTES + packed_memory(parts.key.len() + value.len()),
                    ..Counts::default()
                }
            }
            Form::Apart((key, entry)) => {
                let itself = size_of::<Apart>() + ALLOCATION_BYTES;
                Counts::of(entry, SLOT_BYTES + itself + apart_memory(key.len(), entry))
            }
        }
    }
}

impl Drop for Stored {
    fn drop(&mut self) {
        let word = self.0.get();
        if word & APART != 0 {
            let item = ptr::with_exposed_provenance_mut::<Apart>((word & !APART) as usize);
            // SAFETY: it came from a box, and this is the only owner.
            drop(unsafe { Box::from_raw(item) });
        } else if let Form::Packed(block) = self.show().0 {
            // SAFETY: the block came from an `Arc` of just these bytes, and this is its owner.
            drop(unsafe { Arc::from_raw(whole(block)) });
        }
    }
}

impl<'a> Shown<'a> {
    /// # Safety
    /// The word came from [`Stored::into_word`], and what it refers to is not dropped as long as
    /// this is used.
    #[inline]
    pub(in crate::table) unsafe fn of(word: u64) -> Self {
        if word & APART != 0 {
            let item = ptr::with_exposed_provenance::<Apart>((word & !APART) as usize);
            // SAFETY: that is what a marked word refers to.
            return Self(Form::Apart(unsafe { &*item }));
        }
        let block = ptr::with_exposed_provenance::<u8>(word as usize);
        // SAFETY: a block begins with its head.
        let head = unsafe { block.cast::<[u8; HEAD_LEN]>().read() };
        let len = Head(u32::from_le_bytes(head)).len();
        // SAFETY: that says how long it is.
        Self(Form::Packed(unsafe { std::slice::from_raw_parts(block, len) }))
    }

    #[inline]
    pub(in crate::table) fn key(self) -> &'a [u8] {
        match self.0 {
            Form::Packed(block) => {
                block.get(HEAD_LEN..Head::of(block).key_end()).unwrap_or_default()
            }
            Form::Apart((key, _)) => key,
        }
    }

    /// Whether it is stored under this key.
    #[inline]
    pub(in crate::table) fn has_key(self, key: &[u8]) -> bool {
        let own = self.key();
        let (Some(a), Some(b)) = (own.first_chunk::<8>(), key.first_chunk::<8>()) else {
            return own == key;
        };
        let (Some(c), Some(d)) = (own.last_chunk::<8>(), key.last_chunk::<8>()) else {
            return false;
        };
        // Most keys are decided by their ends, without a call.
        let ends = [
            u64::from_le_bytes(*a) ^ u64::from_le_bytes(*b),
            u64::from_le_bytes(*c) ^ u64::from_le_bytes(*d),
        ];
        own.len() == key.len() && ends[0] | ends[1] == 0 && (key.len() <= 16 || own == key)
    }

    /// Whether both are of the same place in memory.
    pub(in crate::table) fn is(self, other: Self) -> bool {
        match (self.0, other.0) {
            (Form::Packed(a), Form::Packed(b)) => ptr::eq(a, b),
            (Form::Apart(a), Form::Apart(b)) => ptr::eq(a, b),
            _ => false,
        }
    }

    /// See [`Entry::version`].
    pub(in crate::table) fn version(self) -> u64 {
        match self.0 {
            Form::Packed(block) => parts(block).version,
            Form::Apart((_, entry)) => entry.version,
        }
    }

    /// A string, if it is one that is stored in one block: what most lookups are for, and cheaper
    /// than [`Shown::lend`].
    #[inline]
    pub fn plain(self) -> Option<Plain<'a>> {
        let Form::Packed(block) = self.0 else { return None };
        let Parts { kind, version, expires_at_ms, value, .. } = parts(block);
        (kind == Type::String).then_some(Plain { bytes: value, version, expires_at_ms })
    }

    /// What the key has, lent: no count is touched, so that readers do not disturb each other.
    #[inline]
    pub fn lend<R>(self, f: impl FnOnce(&Entry) -> R) -> R {
        match self.0 {
            Form::Packed(block) => {
                // SAFETY: blocks come from an `Arc` of just these bytes; and what is made of it
                // here is never dropped, so that its count is right again afterwards. Clones of
                // it count themselves.
                let owner = unsafe { Arc::from_raw(whole(block)) };
                let entry = ManuallyDrop::new(unpack(owner, &parts(block)));
                f(&entry)
            }
            Form::Apart((_, entry)) => f(entry),
        }
    }

    /// What the key has. Constant time, and nothing is allocated.
    pub fn entry(self) -> Entry {
        self.lend(Entry::clone)
    }

    /// The key and what it has. Constant time, and nothing is allocated.
    pub(in crate::table) fn item(self) -> (Bytes, Entry) {
        match self.0 {
            Form::Packed(block) => {
                let owner = share(block);
                let key = Bytes::part(&owner, HEAD_LEN..Head::of(block).key_end());
                (key, unpack(owner, &parts(block)))
            }
            Form::Apart(item) => item.clone(),
        }
    }
}

/// A block as its `Arc` gave it away: a borrow of the bytes does not reach to the counts in front
/// of them, but the address was exposed together with those.
fn whole(block: &[u8]) -> *const [u8] {
    ptr::slice_from_raw_parts(ptr::with_exposed_provenance(block.as_ptr().addr()), block.len())
}

/// One more owner of a block.
fn share(block: &[u8]) -> Arc<[u8]> {
    let block = whole(block);
    // SAFETY: blocks come from an `Arc` of just these bytes, which is there as long as the borrow.
    unsafe {
        Arc::increment_strong_count(block);
        Arc::from_raw(block)
    }
}

/// An estimate of the memory that storing a clone of a stored key and entry does not take again.
pub(in crate::table) fn shared_memory(key_len: usize, entry: &Entry) -> usize {
    match flat(key_len, entry) {
        Some(flat) => packed_memory(key_len + flat.bytes.len()),
        None => apart_memory(key_len, entry),
    }
}

fn packed_memory(len: usize) -> usize {
    ALLOCATION_BYTES + HEAD_BYTES + len
}

fn apart_memory(key_len: usize, entry: &Entry) -> usize {
    ALLOCATION_BYTES + key_len + entry.memory()
}

/// The value of what is to be packed.
fn flat(key_len: usize, entry: &Entry) -> Option<Flat> {
    let (value, None) = (entry.value.as_ref()?, &entry.hold) else { return None };
    Flat::of(value).filter(|flat| key_len + flat.bytes.len() <= PACKED_MAX)
}

fn pack(key: &Bytes, entry: &Entry) -> Option<Arc<[u8]>> {
    let flat = flat(key.len(), entry)?;
    if let Some(block) = packed_before(key, entry, &flat) {
        return Some(block.clone());
    }
    block(key, flat.lend(), entry.version, entry.expires_at_ms)
}

fn block(
    key: &[u8],
    flat: Flat<&[u8]>,
    version: u64,
    expires_at_ms: Option<i64>,
) -> Option<Arc<[u8]>> {
    let kind = KINDS.iter().position(|kind| *kind == flat.kind)?;
    let version_len = (8 - version.leading_zeros() as usize / 8).max(1);
    let version = version.to_le_bytes();
    let mut block = Vec::with_capacity(key.len() + flat.bytes.len() + 40);
    block.extend_from_slice(&[0; HEAD_LEN]);
    block.extend_from_slice(key);
    block.extend_from_slice(version.get(..version_len)?);
    if let Some(at) = expires_at_ms {
        block.extend_from_slice(&at.to_le_bytes());
    }
    if flat.kind != Type::String {
        push_length(&mut block, flat.len);
        push_length(&mut block, flat.mark);
    }
    block.extend_from_slice(flat.bytes);
    let head = block.len()
        | key.len() << KEY_SHIFT
        | (version_len - 1) << VERSION_SHIFT
        | kind << KIND_SHIFT
        | usize::from(expires_at_ms.is_some()) << DEADLINE_SHIFT;
    block.get_mut(..HEAD_LEN)?.copy_from_slice(&u32::try_from(head).ok()?.to_le_bytes());
    Some(Arc::from(block))
}

/// The block that both came from, if it says just this: what two datasets have in common is there
/// once.
fn packed_before<'a>(key: &'a Bytes, entry: &Entry, flat: &Flat) -> Option<&'a Arc<[u8]>> {
    let block = key.common_block(&flat.bytes)?;
    // What is no block of this kind is not read as one.
    if Head::of(block).len() != block.len() {
        return None;
    }
    let parts = parts(block);
    let (value, (len, mark)) = elements(&parts);
    let is_this = (parts.kind, parts.version, parts.expires_at_ms, len, mark)
        == (flat.kind, entry.version, entry.expires_at_ms, flat.len, flat.mark)
        && ptr::eq(parts.key, &**key)
        && ptr::eq(value, &*flat.bytes);
    is_this.then_some(block)
}

/// The value, and an aggregate's number of elements and mark.
fn elements<'a>(parts: &Parts<'a>) -> (&'a [u8], (usize, usize)) {
    if parts.kind == Type::String {
        return (parts.value, (0, 0));
    }
    let (len, rest) = split_length(parts.value);
    let (mark, rest) = split_length(rest);
    (rest, (len, mark))
}

fn unpack(block: Arc<[u8]>, parts: &Parts<'_>) -> Entry {
    let (value, (len, mark)) = elements(parts);
    let range = block.len() - value.len()..block.len();
    let bytes = Bytes::within(block, range);
    let value: Value = Flat { kind: parts.kind, len, mark, bytes }.into_value();
    Entry { version: parts.version, ..Entry::new(value, parts.expires_at_ms) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::value::{Field, Stream, Zset};

    #[test]
    fn what_is_stored_comes_back() {
        let zset: Zset = [("a", -0.0), ("b", f64::INFINITY)].into_iter().collect();
        let texts = || (0..30).map(|n| n.to_string().into_bytes());
        let values = [
            Value::string(b""),
            Value::string(&[7; 300]),
            Value::List(texts().collect()),
            Value::Set(texts().collect()),
            Value::Zset(zset),
            Value::Hash([("name", Field::new(b"value"))].into_iter().collect()),
            Value::string(&[7; PACKED_MAX]),
            Value::Stream(Stream::default()),
        ];
        for key in [&b""[..], b"key", &[b'k'; 200]] {
            for (at, value) in values.iter().enumerate() {
                for expires_at_ms in [None, Some(-1), Some(i64::MAX)] {
                    for version in [0, 1, u64::from(u32::MAX) << 7, u64::MAX] {
                        let entry = Entry { version, ..Entry::new(value.clone(), expires_at_ms) };
                        let stored = Stored::new(Bytes::from(key), entry.clone());
                        assert_eq!(
                            matches!(stored.show().0, Form::Packed(_)),
                            at < 6 || key.is_empty() && at == 6
                        );
                        assert_eq!((stored.show().key(), stored.entry()), (key, entry.clone()));
                        assert_eq!(stored.show().item(), (Bytes::from(key), entry.clone()));
                        let shared = shared_memory(key.len(), &entry);
                        assert!(shared + SLOT_BYTES <= stored.counts().memory);
                        assert_eq!(stored.counts().expires, usize::from(expires_at_ms.is_some()));
                    }
                }
            }
        }
        let withheld = Entry { hold: Some(Arc::default()), ..Entry::default() };
        let stored = Stored::new(Bytes::from(&b"key"[..]), withheld.clone());
        assert_eq!((stored.show().key(), stored.entry()), (&b"key"[..], withheld));
    }

    #[test]
    fn what_is_stored_again_as_it_was_shares_its_block() {
        let new = |entry: Entry| Stored::new(Bytes::from(&b"key"[..]), entry);
        let stored = new(Entry::new(Value::List(["a", "b"].into_iter().collect()), Some(7)));
        let block = |stored: &Stored| match stored.show().0 {
            Form::Packed(block) => share(block),
            Form::Apart(_) => panic!("it is small"),
        };
        let (key, entry) = stored.show().item();
        let again = Stored::new(key.clone(), entry.clone());
        assert!(Arc::ptr_eq(&block(&stored), &block(&again)));
        for other in [Entry { version: 1, ..entry.clone() }, Entry { expires_at_ms: None, ..entry }]
        {
            let again = Stored::new(key.clone(), other.clone());
            assert!(!Arc::ptr_eq(&block(&stored), &block(&again)));
            assert_eq!(again.entry(), other);
        }
    }
}
