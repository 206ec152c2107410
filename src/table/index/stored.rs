//! How a key and what it has lie in memory: most of them as one block, which is all that they take
//! besides their slot, and all that a lookup has to fetch.
//!
//! A block is, in this order: its length, the type and the marks below, the length of the key, the
//! key, the version, the deadline where there is one, an aggregate's number of elements and its
//! mark (see [`Flat`]), and the value to the end. It is never edited. What is read from it shares
//! it.

#![allow(unsafe_code)]

use crate::table::entry::{Counts, Entry};
use crate::value::{Bytes, Flat, Type, Value, push_length, split_length};
use std::mem::ManuallyDrop;
use std::num::NonZeroU64;
use std::ptr;
use std::sync::Arc;

/// A key and a value that are longer together lie apart: copying them into one block would cost
/// more than it saves.
const PACKED_MAX: usize = 1536;

/// What comes first in a block: how long it is.
type BlockLen = u16;
const BLOCK_LEN_BYTES: usize = size_of::<BlockLen>();

/// Of the type: there is a deadline.
const DEADLINE: u8 = 8;

/// The type without it. Only these types are packed.
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

/// A look at what is stored.
#[derive(Clone, Copy)]
pub(in crate::table) enum Shown<'a> {
    /// A block, which an `Arc` owns that begins there.
    Packed(&'a [u8]),
    Apart(&'a Apart),
}

/// What a block says besides the value.
struct Head {
    kind: Type,
    version: u64,
    expires_at_ms: Option<i64>,
    len: usize,
    mark: usize,
    /// Where the key begins and ends, and where the value begins.
    key_at: usize,
    key_end: usize,
    value_at: usize,
}

/// Where the key is.
#[inline]
fn key_in(block: &[u8]) -> (usize, usize) {
    let rest = block.get(BLOCK_LEN_BYTES + 1..).unwrap_or_default();
    let (key_len, rest) = split_length(rest);
    let key_at = block.len() - rest.len();
    (key_at, (key_at + key_len).min(block.len()))
}

impl Head {
    fn of(block: &[u8]) -> Self {
        let (key_at, key_end) = key_in(block);
        let first = block.get(BLOCK_LEN_BYTES).copied().unwrap_or_default();
        let kind = KINDS.get(usize::from(first % DEADLINE)).copied().unwrap_or(Type::String);
        let (version, mut rest) = split_length(block.get(key_end..).unwrap_or_default());
        let mut expires_at_ms = None;
        if let (true, Some((at, behind))) = (first >= DEADLINE, rest.split_first_chunk::<8>()) {
            (expires_at_ms, rest) = (Some(i64::from_le_bytes(*at)), behind);
        }
        let (mut len, mut mark) = (0, 0);
        if kind != Type::String {
            (len, rest) = split_length(rest);
            (mark, rest) = split_length(rest);
        }
        let value_at = block.len() - rest.len();
        Self { kind, version: version as u64, expires_at_ms, len, mark, key_at, key_end, value_at }
    }
}

impl Stored {
    pub(in crate::table) fn new(key: Bytes, entry: Entry) -> Self {
        let word = match pack(&key, &entry) {
            Some(block) => Arc::into_raw(block).cast::<u8>().expose_provenance() as u64,
            None => Box::into_raw(Box::new((key, entry))).expose_provenance() as u64 | APART,
        };
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
        match self.show() {
            Shown::Packed(block) => block.len() + ALLOCATION_BYTES,
            Shown::Apart((key, entry)) => key.len() + entry.memory() + ALLOCATION_BYTES,
        }
    }

    /// What it adds to the sums.
    pub(in crate::table) fn counts(&self) -> Counts {
        match self.show() {
            Shown::Packed(block) => {
                let head = Head::of(block);
                let len = head.key_end - head.key_at + block.len() - head.value_at;
                Counts {
                    keys: 1,
                    expires: usize::from(head.expires_at_ms.is_some()),
                    memory: SLOT_BYTES + packed_memory(len),
                    ..Counts::default()
                }
            }
            Shown::Apart((key, entry)) => {
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
        } else if let Shown::Packed(block) = self.show() {
            // SAFETY: the block came from an `Arc` of just these bytes, and this is its owner.
            drop(unsafe { Arc::from_raw(ptr::from_ref(block)) });
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
            return Self::Apart(unsafe { &*item });
        }
        let block = ptr::with_exposed_provenance::<u8>(word as usize);
        // SAFETY: a block begins with its length.
        let len = unsafe { block.cast::<[u8; BLOCK_LEN_BYTES]>().read() };
        let len = usize::from(BlockLen::from_le_bytes(len));
        // SAFETY: it has so many bytes.
        Self::Packed(unsafe { std::slice::from_raw_parts(block, len) })
    }

    #[inline]
    pub(in crate::table) fn key(self) -> &'a [u8] {
        match self {
            Self::Packed(block) => {
                let (start, end) = key_in(block);
                block.get(start..end).unwrap_or_default()
            }
            Self::Apart((key, _)) => key,
        }
    }

    /// Whether both are of the same place in memory.
    pub(in crate::table) fn is(self, other: Self) -> bool {
        match (self, other) {
            (Self::Packed(a), Self::Packed(b)) => ptr::eq(a, b),
            (Self::Apart(a), Self::Apart(b)) => ptr::eq(a, b),
            _ => false,
        }
    }

    /// What the key has, lent: no count is touched, so that readers do not disturb each other.
    #[inline]
    pub(in crate::table) fn lend<R>(self, f: impl FnOnce(&Entry) -> R) -> R {
        match self {
            // SAFETY: as for `share`; and what is made here is never dropped, so that the count
            // is right again afterwards. Clones of it count themselves.
            Self::Packed(block) => {
                let owner = unsafe { Arc::from_raw(ptr::from_ref(block)) };
                let entry = ManuallyDrop::new(unpack(owner, &Head::of(block)));
                f(&entry)
            }
            Self::Apart((_, entry)) => f(entry),
        }
    }

    /// What the key has. Constant time, and nothing is allocated.
    pub(in crate::table) fn entry(self) -> Entry {
        self.lend(Entry::clone)
    }

    /// The key and what it has. Constant time, and nothing is allocated.
    pub(in crate::table) fn item(self) -> (Bytes, Entry) {
        match self {
            Self::Packed(block) => {
                let head = Head::of(block);
                let owner = share(block);
                let key = Bytes::part(&owner, head.key_at..head.key_end);
                (key, unpack(owner, &head))
            }
            Self::Apart(item) => item.clone(),
        }
    }
}

/// One more owner of a block.
fn share(block: &[u8]) -> Arc<[u8]> {
    let block = ptr::from_ref(block);
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
    let kind = KINDS.iter().position(|kind| *kind == flat.kind)?;
    let mut block = Vec::with_capacity(key.len() + flat.bytes.len() + 40);
    block.extend_from_slice(&[0; BLOCK_LEN_BYTES]);
    block.push(kind as u8 + if entry.expires_at_ms.is_some() { DEADLINE } else { 0 });
    push_length(&mut block, key.len());
    block.extend_from_slice(key);
    push_length(&mut block, usize::try_from(entry.version).ok()?);
    if let Some(at) = entry.expires_at_ms {
        block.extend_from_slice(&at.to_le_bytes());
    }
    if flat.kind != Type::String {
        push_length(&mut block, flat.len);
        push_length(&mut block, flat.mark);
    }
    block.extend_from_slice(&flat.bytes);
    let len = BlockLen::try_from(block.len()).ok()?;
    block.get_mut(..BLOCK_LEN_BYTES)?.copy_from_slice(&len.to_le_bytes());
    Some(Arc::from(block))
}

/// The block that both came from, if it says just this: what two datasets have in common is there
/// once.
fn packed_before<'a>(key: &'a Bytes, entry: &Entry, flat: &Flat) -> Option<&'a Arc<[u8]>> {
    let block = key.common_block(&flat.bytes)?;
    // What is no block of this kind is not read as one.
    let len = block.first_chunk().map(|len| usize::from(BlockLen::from_le_bytes(*len)));
    if len != Some(block.len()) {
        return None;
    }
    let head = Head::of(block);
    let is_this = (head.kind, head.version, head.expires_at_ms, head.len, head.mark)
        == (flat.kind, entry.version, entry.expires_at_ms, flat.len, flat.mark)
        && key.is_same(&Bytes::part(block, head.key_at..head.key_end))
        && flat.bytes.is_same(&Bytes::part(block, head.value_at..block.len()));
    is_this.then_some(block)
}

fn unpack(block: Arc<[u8]>, head: &Head) -> Entry {
    let range = head.value_at..block.len();
    let bytes = Bytes::within(block, range);
    let flat = Flat { kind: head.kind, len: head.len, mark: head.mark, bytes };
    let value: Value = flat.into_value();
    Entry { version: head.version, ..Entry::new(value, head.expires_at_ms) }
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
                            matches!(stored.show(), Shown::Packed(_)),
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
        let block = |stored: &Stored| match stored.show() {
            Shown::Packed(block) => share(block),
            Shown::Apart(_) => panic!("it is small"),
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
