//! How a key and what it has lie in memory: most of them as one block, which is all that they take
//! besides their slot, and all that a lookup has to fetch.
//!
//! In a block lie, in this order: the key, the version, the deadline where there is one, an
//! aggregate's number of elements and its mark (see [`Flat`]), and the value to the end. It is
//! never edited. What is read from it shares it.

#![allow(unsafe_code)]

use crate::memory::{Block, CONTENT_MAX, Head, Heap, Lent, NOTE_BITS, block_size};
use crate::table::entry::{Counts, Entry};
use crate::value::{Bytes, Content, Flat, Type, Value, push_length, split_length};
use smallvec::SmallVec;
use std::marker::PhantomData;
use std::mem::ManuallyDrop;
use std::num::NonZeroU64;
use std::ptr;

/// Only these types are packed.
const KINDS: [Type; 5] = [Type::String, Type::List, Type::Set, Type::Zset, Type::Hash];

/// A slot of the index at its usual load, with a share of the bucket's control word: what each key
/// takes at least.
pub const SLOT_BYTES: usize = 12;

/// What an allocation takes besides its bytes: the counts in front of what is shared, and what the
/// allocator adds.
const ALLOCATION_BYTES: usize = 32;

/// What else is in a block that has no deadline and is no aggregate, more or less: a version must
/// not make a difference to the sums.
const VERSION_BYTES: usize = 3;

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
    shared::<(Block, Apart)>();
};

/// A look at what is stored: its word, and the head of a block.
#[derive(Clone, Copy, Debug)]
pub struct Shown<'a> {
    word: NonZeroU64,
    /// Of no block: nothing.
    head: Head,
    is_there: PhantomData<&'a Apart>,
}

#[derive(Clone, Copy, Debug)]
enum Form<'a> {
    Packed(Packed<'a>),
    Apart(&'a Apart),
}

/// A block.
#[derive(Clone, Copy, Debug)]
struct Packed<'a> {
    note: Note,
    content: &'a [u8],
}

/// What is noted in a block's head: all that it takes to find the key and the value of a string.
/// From the lowest bit on: the length of the key, that of the version less one, the place of the
/// type in [`KINDS`], and whether there is a deadline.
#[derive(Clone, Copy, Debug)]
struct Note(u32);

const KEY_BITS: u32 = 10;
const VERSION_BITS: u32 = 3;
const KIND_BITS: u32 = 3;

const VERSION_SHIFT: u32 = KEY_BITS;
const KIND_SHIFT: u32 = VERSION_SHIFT + VERSION_BITS;
const DEADLINE_SHIFT: u32 = KIND_SHIFT + KIND_BITS;

const _: () = assert!(DEADLINE_SHIFT < NOTE_BITS && CONTENT_MAX < 1 << KEY_BITS);

impl Note {
    #[inline]
    fn bits(self, shift: u32, bits: u32) -> usize {
        (self.0 >> shift & ((1 << bits) - 1)) as usize
    }

    #[inline]
    fn key_len(self) -> usize {
        self.bits(0, KEY_BITS)
    }

    #[inline]
    fn version_len(self) -> usize {
        self.bits(VERSION_SHIFT, VERSION_BITS) + 1
    }

    #[inline]
    fn kind(self) -> Type {
        KINDS.get(self.bits(KIND_SHIFT, KIND_BITS)).copied().unwrap_or(Type::String)
    }

    /// Whether it is a string without a deadline.
    #[inline]
    fn is_simple(self) -> bool {
        const { assert!(matches!(KINDS[0], Type::String)) };
        self.0 >> KIND_SHIFT == 0
    }

    #[inline]
    fn has_deadline(self) -> bool {
        self.bits(DEADLINE_SHIFT, 1) != 0
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
fn parts<'a>(note: Note, content: &'a [u8]) -> Parts<'a> {
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
    let len = note.version_len();
    match rest.first_chunk() {
        // Without a loop of that length, which processors would have to guess.
        Some(bytes) => u64::from_le_bytes(*bytes) & (u64::MAX >> (64 - 8 * len)),
        None => rest.iter().take(len).rev().fold(0, |all, byte| all << 8 | u64::from(*byte)),
    }
}

impl<'a> Packed<'a> {
    #[inline]
    fn key(self) -> &'a [u8] {
        debug_assert!(self.note.key_len() <= self.content.len());
        // SAFETY: it is in the block of whoever made the note, see `block`.
        unsafe { self.content.get_unchecked(..self.note.key_len()) }
    }

    #[inline]
    fn parts(self) -> Parts<'a> {
        parts(self.note, self.content)
    }
}

/// Whether what begins with a key of the same length has the same ends: all of it, where they
/// overlap. Shorter keys than an end have none.
#[inline(always)]
fn has_ends(content: &[u8], key: &[u8]) -> bool {
    const END: usize = size_of::<u64>();
    let Some(last) = key.len().checked_sub(END) else { return false };
    debug_assert!(key.len() <= content.len());
    let is_same = |at: usize| {
        // SAFETY: in the block of a key that is so long, there is so much.
        let own = unsafe { content.as_ptr().add(at).cast::<u64>().read_unaligned() };
        // SAFETY: it ends at the key's end at the latest.
        own == unsafe { key.as_ptr().add(at).cast::<u64>().read_unaligned() }
    };
    is_same(0) && is_same(last)
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

/// What a glance tells of a key that has no simple string.
#[derive(Clone, Copy, Debug)]
pub(in crate::table) enum Glance<'a> {
    /// It has something else in a block.
    Other(Shown<'a>),
    /// It is not there.
    Absent,
    /// That takes more than a look.
    Unsure,
}

impl Stored {
    pub(in crate::table) fn new(heap: &Heap, key: Bytes, entry: Entry) -> Self {
        match pack(heap, &key, &entry) {
            Some(word) => Self(word),
            None => {
                let item = Box::into_raw(Box::new((key, entry)));
                Self(NonZeroU64::MIN | (item.expose_provenance() as u64 | APART))
            }
        }
    }

    /// The same of what is lent.
    pub(in crate::table) fn of(
        heap: &Heap,
        key: &[u8],
        content: Content<'_>,
        version: u64,
        expires_at_ms: Option<i64>,
    ) -> Self {
        if let Content::Flat(flat) = content {
            if fits(key.len(), flat.bytes.len()) {
                if let Some(word) = block(heap, key, flat, version, expires_at_ms) {
                    return Self(word);
                }
            }
        }
        let entry = Entry { version, ..Entry::new(content.into_value(), expires_at_ms) };
        Self::new(heap, Bytes::from(key), entry)
    }

    /// The same of an entry that has no block in common with the key.
    pub(in crate::table) fn under(heap: &Heap, key: &[u8], entry: Entry) -> Self {
        let Entry { version, expires_at_ms, .. } = entry;
        let word = flat(key.len(), &entry)
            .and_then(|flat| block(heap, key, flat.lend(), version, expires_at_ms));
        match word {
            Some(word) => Self(word),
            None => Self::new(heap, Bytes::from(key), entry),
        }
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
        unsafe { Shown::of(self.0) }
    }

    pub(in crate::table) fn entry(&self) -> Entry {
        self.show().entry()
    }

    /// About what dropping it gives back, in bytes.
    pub(in crate::table) fn weight(&self) -> usize {
        match self.show().form() {
            Form::Packed(packed) => block_size(packed.content.len()),
            Form::Apart((key, entry)) => key.len() + entry.memory() + ALLOCATION_BYTES,
        }
    }

    /// What it adds to the sums.
    pub(in crate::table) fn counts(&self) -> Counts {
        match self.show().form() {
            Form::Packed(packed) => {
                let parts = packed.parts();
                let (value, _) = elements(&parts);
                let mut counts = Counts {
                    keys: 1,
                    expires: usize::from(parts.expires_at_ms.is_some()),
                    ..Counts::default()
                };
                counts.memory[Counts::place(Some(parts.kind))] =
                    SLOT_BYTES + packed_memory(parts.key.len() + value.len());
                counts
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
        } else {
            // SAFETY: it came from a block, and this is the only owner of the word.
            drop(unsafe { Block::from_word(self.0) });
        }
    }
}

impl<'a> Shown<'a> {
    /// # Safety
    /// The word came from [`Stored::into_word`], and what it refers to is not dropped as long as
    /// this is used.
    #[inline(always)]
    pub(in crate::table) unsafe fn of(word: NonZeroU64) -> Self {
        let head = match word.get() & APART {
            // SAFETY: a word without a mark is that of a block.
            0 => unsafe { Block::head_of_word(word) },
            _ => Head::default(),
        };
        Self { word, head, is_there: PhantomData }
    }

    /// The same for the word of a slot that has something.
    ///
    /// # Safety
    /// As above, and the word is not 0.
    #[inline(always)]
    pub(in crate::table) unsafe fn of_taken(word: u64) -> Self {
        // SAFETY: the same conditions.
        unsafe { Self::of(NonZeroU64::new_unchecked(word)) }
    }

    /// The same for the word of a slot; nothing for none.
    ///
    /// # Safety
    /// As above.
    #[inline]
    pub(in crate::table) unsafe fn of_slot(word: u64) -> Option<Self> {
        // SAFETY: the same conditions.
        NonZeroU64::new(word).map(|word| unsafe { Self::of(word) })
    }

    #[inline]
    fn form(self) -> Form<'a> {
        match self.packed() {
            Some(packed) => Form::Packed(packed),
            None => {
                let word = (self.word.get() & !APART) as usize;
                let item = ptr::with_exposed_provenance::<Apart>(word);
                // SAFETY: that is what a marked word refers to.
                Form::Apart(unsafe { &*item })
            }
        }
    }

    #[inline]
    fn packed(self) -> Option<Packed<'a>> {
        if self.word.get() & APART != 0 {
            return None;
        }
        // SAFETY: a word without a mark is that of a block, which is not dropped meanwhile.
        let Lent { note, content } = unsafe { Block::lend_word(self.word, self.head) };
        Some(Packed { note: Note(note), content })
    }

    #[inline]
    pub(in crate::table) fn key(self) -> &'a [u8] {
        match self.form() {
            Form::Packed(packed) => packed.key(),
            Form::Apart((key, _)) => key,
        }
    }

    /// Whether it is stored under this key.
    #[inline(always)]
    pub(in crate::table) fn has_key(self, key: &[u8]) -> bool {
        let Some(packed) = self.packed() else { return self.is_apart_at(key) };
        if packed.note.key_len() != key.len() {
            return false;
        }
        // Most keys are decided by their ends, without a call.
        match key.len() {
            8..=16 => has_ends(packed.content, key),
            17.. => has_ends(packed.content, key) && packed.key() == key,
            _ => packed.key() == key,
        }
    }

    /// As the segment's; a string is simple in one block and without a deadline.
    #[inline(always)]
    pub(in crate::table) fn glance<R>(
        self,
        key: &[u8],
        stands: impl FnOnce() -> bool,
        f: impl FnOnce(Plain<'a>) -> R,
    ) -> Result<R, Glance<'a>> {
        let Packed { note, content } = self.packed().ok_or(Glance::Unsure)?;
        if note.key_len() != key.len() || !has_ends(content, key) || !stands() {
            return Err(Glance::Unsure);
        }
        if !note.is_simple() {
            return Err(Glance::Other(self));
        }
        let end = key.len() + note.version_len();
        debug_assert!((8..=content.len()).contains(&end));
        // SAFETY: that much is in the block of whoever made the note, see `block`; and the key has
        // so many bytes before it.
        let (version, value) = unsafe {
            let version = content.as_ptr().add(end - 8).cast::<u64>().read_unaligned();
            (version.to_le(), content.get_unchecked(end..))
        };
        // What is before the version is in its lowest bytes.
        let version = version >> (64 - 8 * note.version_len());
        Ok(f(Plain { bytes: value, version, expires_at_ms: None }))
    }

    #[cold]
    fn is_apart_at(self, key: &[u8]) -> bool {
        self.key() == key
    }

    /// Whether both are of the same place in memory.
    pub(in crate::table) fn is(self, other: Self) -> bool {
        self.word == other.word
    }

    /// See [`Entry::version`].
    pub(in crate::table) fn version(self) -> u64 {
        match self.form() {
            Form::Packed(packed) => packed.parts().version,
            Form::Apart((_, entry)) => entry.version,
        }
    }

    /// A string, if it is one that is stored in one block: cheaper than [`Shown::lend`].
    #[inline]
    pub fn plain(self) -> Option<Plain<'a>> {
        let packed = self.packed()?;
        let Parts { kind, version, expires_at_ms, value, .. } = packed.parts();
        (kind == Type::String).then_some(Plain { bytes: value, version, expires_at_ms })
    }

    /// What the key has, lent: no count is touched, so that readers do not disturb each other.
    #[inline]
    pub fn lend<R>(self, f: impl FnOnce(&Entry) -> R) -> R {
        match self.form() {
            Form::Packed(packed) => {
                // SAFETY: it is the word of a block; and what is made of it here is never dropped,
                // so that its count is right again afterwards. Clones of it count themselves.
                let block = unsafe { Block::from_word(self.word) };
                let entry = ManuallyDrop::new(unpack(block, &packed.parts()));
                f(&entry)
            }
            Form::Apart((_, entry)) => f(entry),
        }
    }

    /// What the key has. Constant time, and nothing is allocated, unless very many have it already:
    /// see [`Block`].
    pub fn entry(self) -> Entry {
        self.lend(Entry::clone)
    }

    /// The key and what it has, as [`Shown::entry`].
    pub(in crate::table) fn item(self) -> (Bytes, Entry) {
        match self.form() {
            Form::Packed(packed) => {
                // SAFETY: that is the word of a block that is there as long as the borrow.
                let block = unsafe { Block::share_word(self.word) };
                let key = Bytes::part(&block, 0..packed.note.key_len());
                (key, unpack(block, &packed.parts()))
            }
            Form::Apart(item) => item.clone(),
        }
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
    block_size(VERSION_BYTES + len)
}

fn apart_memory(key_len: usize, entry: &Entry) -> usize {
    ALLOCATION_BYTES + key_len + entry.memory()
}

/// The value of what is to be packed.
fn flat(key_len: usize, entry: &Entry) -> Option<Flat> {
    let (value, None) = (entry.value.as_ref()?, &entry.hold) else { return None };
    Flat::of(value).filter(|flat| fits(key_len, flat.bytes.len()))
}

/// Whether key and value fit into one block, as far as that can be said before.
fn fits(key_len: usize, value_len: usize) -> bool {
    key_len + value_len + BETWEEN_MAX <= CONTENT_MAX
}

/// What lies between key and value, at most: version, deadline, number of elements and mark.
const BETWEEN_MAX: usize = 8 + 8 + 10 + 10;

/// The word of a block with all of it.
fn pack(heap: &Heap, key: &Bytes, entry: &Entry) -> Option<NonZeroU64> {
    let flat = flat(key.len(), entry)?;
    // Where very many have that block, the clone is a copy, and has no word.
    let before = packed_before(heap, key, entry, &flat).and_then(|block| block.clone().into_word());
    before.or_else(|| block(heap, key, flat.lend(), entry.version, entry.expires_at_ms))
}

fn block(
    heap: &Heap,
    key: &[u8],
    flat: Flat<&[u8]>,
    version: u64,
    expires_at_ms: Option<i64>,
) -> Option<NonZeroU64> {
    let kind = KINDS.iter().position(|kind| *kind == flat.kind)?;
    let version_len = (8 - version.leading_zeros() as usize / 8).max(1);
    let mut between: SmallVec<[u8; BETWEEN_MAX]> = SmallVec::new();
    between.extend_from_slice(version.to_le_bytes().get(..version_len)?);
    if let Some(at) = expires_at_ms {
        between.extend_from_slice(&at.to_le_bytes());
    }
    if flat.kind != Type::String {
        push_length(&mut between, flat.len);
        push_length(&mut between, flat.mark);
    }
    let note = key.len()
        | (version_len - 1) << VERSION_SHIFT
        | kind << KIND_SHIFT
        | usize::from(expires_at_ms.is_some()) << DEADLINE_SHIFT;
    Block::in_heap(heap, note as u32, [key, &between, flat.bytes])?.into_word()
}

/// The block that both came from, if it is of this heap and says just this: what two datasets have
/// in common is there once.
fn packed_before<'a>(heap: &Heap, key: &'a Bytes, entry: &Entry, flat: &Flat) -> Option<&'a Block> {
    let block = key.common_block(&flat.bytes)?;
    let Lent { note, content } = block.lent_by(heap)?;
    let parts = parts(Note(note), content);
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

fn unpack(block: Block, parts: &Parts<'_>) -> Entry {
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
    use std::sync::Arc;

    #[test]
    fn what_is_stored_comes_back() {
        let heap = Heap::new();
        let zset: Zset = [("a", -0.0), ("b", f64::INFINITY)].into_iter().collect();
        let texts = || (0..30).map(|n| n.to_string().into_bytes());
        let values = [
            Value::string(b""),
            Value::string(&[7; 300]),
            Value::List(texts().collect()),
            Value::Set(texts().collect()),
            Value::Zset(zset),
            Value::Hash([("name", Field::new(b"value"))].into_iter().collect()),
            Value::string(&[7; CONTENT_MAX - BETWEEN_MAX]),
            Value::Stream(Stream::default()),
        ];
        for key in [&b""[..], b"key", &[b'k'; 200]] {
            for (at, value) in values.iter().enumerate() {
                for expires_at_ms in [None, Some(-1), Some(i64::MAX)] {
                    for version in [0, 1, u64::from(u32::MAX) << 7, u64::MAX] {
                        let entry = Entry { version, ..Entry::new(value.clone(), expires_at_ms) };
                        let stored = Stored::new(&heap, Bytes::from(key), entry.clone());
                        assert_eq!(
                            matches!(stored.show().form(), Form::Packed(_)),
                            at < 6 || key.is_empty() && at == 6
                        );
                        assert_eq!((stored.show().key(), stored.entry()), (key, entry.clone()));
                        assert_eq!(stored.show().item(), (Bytes::from(key), entry.clone()));
                        let shared = shared_memory(key.len(), &entry);
                        assert!(shared + SLOT_BYTES <= stored.counts().total_memory());
                        assert_eq!(stored.counts().expires, usize::from(expires_at_ms.is_some()));
                    }
                }
            }
        }
        let withheld = Entry { hold: Some(Arc::default()), ..Entry::default() };
        let stored = Stored::new(&heap, Bytes::from(&b"key"[..]), withheld.clone());
        assert_eq!((stored.show().key(), stored.entry()), (&b"key"[..], withheld));
    }

    #[test]
    fn what_is_stored_again_as_it_was_shares_its_block() {
        let heap = Heap::new();
        let new = |entry: Entry| Stored::new(&heap, Bytes::from(&b"key"[..]), entry);
        let stored = new(Entry::new(Value::List(["a", "b"].into_iter().collect()), Some(7)));
        let block = |stored: &Stored| stored.0;
        let (key, entry) = stored.show().item();
        let again = Stored::new(&heap, key.clone(), entry.clone());
        assert!(block(&stored) == block(&again));
        for other in [Entry { version: 1, ..entry.clone() }, Entry { expires_at_ms: None, ..entry }]
        {
            let again = Stored::new(&heap, key.clone(), other.clone());
            assert!(block(&stored) != block(&again));
            assert_eq!(again.entry(), other);
        }
    }

    #[test]
    fn what_very_many_have_is_stored_again_all_the_same() {
        let heap = Heap::new();
        let entry = Entry::new(Value::List(["a", "b"].into_iter().collect()), Some(7));
        for others in 0..40 {
            let stored = Stored::new(&heap, Bytes::from(&b"key"[..]), entry.clone());
            let (key, same) = stored.show().item();
            let others: Vec<Entry> = (0..others).map(|_| same.clone()).collect();
            let again = Stored::new(&heap, key, same);
            drop((stored, others));
            assert_eq!((again.show().key(), again.entry()), (&b"key"[..], entry.clone()));
        }
    }
}
