//! How a key and what it has lie in memory: most of them as one block, which is all that they take
//! besides their slot, and all that a lookup has to fetch.
//!
//! In a block lie, in this order: the key, the version, the deadline where there is one, an
//! aggregate's number of elements and its mark (see [`Flat`]), and the value to the end. It is
//! never edited. What is read from it shares it.

#![allow(unsafe_code)]

use super::packed::{
    DEADLINE_SHIFT, FIRST, KIND_SHIFT, KINDS, Note, Packed, Parts, Plain, VERSION_SHIFT, elements,
    parts, version_len,
};
use crate::memory::{Block, CONTENT_MAX, Hand, Head, Heap, LINE, Lent, Source, block_size, fetch};
use crate::table::entry::{Entry, Share};
use crate::value::{Brief, Bytes, Content, Flat, Pieces, Type, Value};
use std::marker::PhantomData;
use std::mem::ManuallyDrop;
use std::num::NonZeroU64;
use std::ptr;

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
    #[inline]
    pub(in crate::table) fn of(
        source: &impl Source,
        key: &[u8],
        content: Content<'_>,
        version: u64,
        expires_at_ms: Option<i64>,
    ) -> Self {
        if let Content::Flat(flat) = content
            && fits(key.len(), flat.bytes.len())
            && let Some(word) = whole_block(source, key, flat, version, expires_at_ms)
        {
            return Self(word);
        }
        let entry = Entry { version, ..Entry::new(content.into_value(), expires_at_ms) };
        Self::new(source.heap(), Bytes::from(key), entry)
    }

    /// The same and what it adds to the sums, for less than to ask it.
    #[inline]
    pub(in crate::table) fn with_share(
        source: &impl Source,
        key: &[u8],
        content: Content<'_>,
        version: u64,
        expires_at_ms: Option<i64>,
    ) -> (Self, Share) {
        let flat = match &content {
            Content::Flat(flat) => Some((flat.kind, key.len() + flat.bytes.len())),
            Content::Value(_) => None,
        };
        let stored = Self::of(source, key, content, version, expires_at_ms);
        let share = match flat.filter(|_| stored.0.get() & APART == 0) {
            Some((kind, len)) => {
                Share::whole(kind, expires_at_ms.is_some(), SLOT_BYTES + packed_memory(len))
            }
            None => stored.share(),
        };
        (stored, share)
    }

    /// The same of what is put together; `None` if that is no block.
    pub(in crate::table) fn joined(
        source: &impl Source,
        key: &[u8],
        flat: Flat<Pieces<'_>>,
        version: u64,
        expires_at_ms: Option<i64>,
    ) -> Option<Self> {
        if !fits(key.len(), flat.bytes.total_len()) {
            return None;
        }
        block(source, key, flat.map(Pieces::all), version, expires_at_ms).map(Self)
    }

    /// The same of an entry that has no block in common with the key.
    pub(in crate::table) fn under(source: &impl Source, key: &[u8], entry: Entry) -> Self {
        let Entry { version, expires_at_ms, .. } = entry;
        let word = flat(key.len(), &entry)
            .and_then(|flat| whole_block(source, key, flat.lend(), version, expires_at_ms));
        match word {
            Some(word) => Self(word),
            None => Self::new(source.heap(), Bytes::from(key), entry),
        }
    }

    /// Drops it; a block is at hand then.
    pub(in crate::table) fn give_to(self, hand: &Hand) {
        if self.0.get() & APART == 0 {
            let word = ManuallyDrop::new(self).0;
            // SAFETY: it came from a block, and this was the only owner of the word.
            unsafe { Block::from_word(word) }.give_to(hand);
        }
    }

    /// Has the processor fetch what dropping it looks at.
    pub(in crate::table) fn fetch(&self) {
        fetch(self.0.get() as usize);
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

    /// About what dropping it gives back, in bytes, where this came in its place.
    pub(in crate::table) fn weight(&self, later: Option<Shown<'_>>) -> usize {
        match (self.show().form(), later.map(Shown::form)) {
            (Form::Packed(packed), _) => block_size(packed.content.len()),
            (Form::Apart((key, entry)), later) => {
                let value = match later {
                    Some(Form::Apart((_, later))) => entry.lost_to(later),
                    _ => entry.memory(),
                };
                key.len() + value + ALLOCATION_BYTES
            }
        }
    }

    /// What it adds to the sums.
    pub(in crate::table) fn share(&self) -> Share {
        self.show().share()
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

    /// What it adds to the sums.
    pub(in crate::table) fn share(self) -> Share {
        match self.form() {
            Form::Packed(packed) => {
                let memory = SLOT_BYTES + packed_memory(packed.lean_len());
                Share::whole(packed.note.kind(), packed.note.has_deadline(), memory)
            }
            Form::Apart((key, entry)) => {
                let itself = size_of::<Apart>() + ALLOCATION_BYTES;
                Share::of(entry, SLOT_BYTES + itself + apart_memory(key.len(), entry))
            }
        }
    }

    /// Where both are blocks that differ in nothing that is counted but their memory, which most
    /// are that come in each other's place: where it is counted, and how much of it each takes.
    #[inline]
    pub(in crate::table) fn memory_beside(self, other: Self) -> Option<(usize, [usize; 2])> {
        let (own, other) = (self.packed()?, other.packed()?);
        if !own.note.is_alike(other.note) {
            return None;
        }
        let lens = [own.lean_len(), other.lean_len()];
        let place = own.note.kind() as usize;
        // Mostly they are of one length, which does not have to be rounded then.
        let is_same = lens[0] == lens[1];
        Some((place, if is_same { lens } else { lens.map(|len| SLOT_BYTES + packed_memory(len)) }))
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

    /// Has the processor fetch all of a block but its first two lines.
    #[inline]
    pub(in crate::table) fn fetch_rest(self) {
        let content = self.packed().map_or(&b""[..], |packed| packed.content);
        let first = content.as_ptr().addr();
        (2 * LINE..content.len()).step_by(LINE).for_each(|at| fetch(first + at));
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
        // Most keys are decided by their ends, without a call.
        match key.len() {
            8..=16 => packed.has_ends(key),
            17.. => packed.has_ends(key) && packed.key() == key,
            _ => packed.note.key_len() == key.len() && packed.key() == key,
        }
    }

    /// As the segment's; a string is simple in one block and without a deadline.
    #[inline(always)]
    pub(in crate::table) fn glance(
        self,
        key: &[u8],
        stands: impl FnOnce() -> bool,
    ) -> Result<Plain<'a>, Glance<'a>> {
        let packed = self.packed().ok_or(Glance::Unsure)?;
        // Two ends are all of a key of usual length.
        debug_assert!((8..=16).contains(&key.len()));
        if !packed.has_ends(key) || !stands() {
            return Err(Glance::Unsure);
        }
        packed.simple().ok_or(Glance::Other(self))
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

    /// See [`Entry::expires_at_ms`].
    pub(in crate::table) fn expires_at_ms(self) -> Option<i64> {
        match self.form() {
            Form::Packed(packed) => packed.parts().expires_at_ms,
            Form::Apart((_, entry)) => entry.expires_at_ms,
        }
    }

    /// A string, if it is one without a deadline that is stored in one block, of a key that is not
    /// very short.
    #[inline(always)]
    pub fn simple(self) -> Option<Plain<'a>> {
        self.packed()?.simple()
    }

    /// A string, if it is one that is stored in one block: cheaper than [`Shown::lend`].
    #[inline]
    pub fn plain(self) -> Option<Plain<'a>> {
        let packed = self.packed()?;
        let Parts { kind, version, expires_at_ms, value, .. } = packed.parts();
        (kind == Type::String).then_some(Plain { bytes: value, version, expires_at_ms })
    }

    /// The value and the deadline, if it is stored in one block.
    pub(in crate::table) fn flat(self) -> Option<(Flat<&'a [u8]>, Option<i64>)> {
        let parts = self.packed()?.parts();
        let (bytes, (len, mark)) = elements(&parts);
        Some((Flat { kind: parts.kind, len, mark, bytes }, parts.expires_at_ms))
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

    /// The same of the value alone: nothing else is read.
    #[inline]
    pub(in crate::table) fn lend_value<R>(self, f: impl FnOnce(Option<&Value>) -> R) -> R {
        match self.form() {
            Form::Packed(packed) => {
                // SAFETY: as above.
                let block = unsafe { Block::from_word(self.word) };
                let value = ManuallyDrop::new(unpack_value(block, &packed.parts()));
                f(Some(&value))
            }
            Form::Apart((_, entry)) => f(entry.value.as_ref()),
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
    before.or_else(|| whole_block(heap, key, flat.lend(), entry.version, entry.expires_at_ms))
}

fn whole_block(
    source: &impl Source,
    key: &[u8],
    flat: Flat<&[u8]>,
    version: u64,
    expires_at_ms: Option<i64>,
) -> Option<NonZeroU64> {
    block(source, key, flat.map(|bytes| [bytes]), version, expires_at_ms)
}

/// A block of a value in pieces.
#[inline]
fn block<const N: usize>(
    source: &impl Source,
    key: &[u8],
    flat: Flat<[&[u8]; N]>,
    version: u64,
    expires_at_ms: Option<i64>,
) -> Option<NonZeroU64> {
    let kind = KINDS.iter().position(|kind| *kind == flat.kind)?;
    let version_code = match version {
        FIRST => 0,
        _ => (8 - version.leading_zeros() as usize / 8).clamp(1, 7),
    };
    let mut between = Brief::<BETWEEN_MAX>::default();
    between.put_number(version, version_len(version_code))?;
    if let Some(at) = expires_at_ms {
        between.put(&at.to_le_bytes())?;
    }
    if flat.kind != Type::String {
        between.put_length(flat.len)?;
        between.put_length(flat.mark)?;
    }
    let note = key.len()
        | version_code << VERSION_SHIFT
        | kind << KIND_SHIFT
        | usize::from(expires_at_ms.is_some()) << DEADLINE_SHIFT;
    Block::in_heap(source, note as u32, [key, between.all()], flat.bytes)?.into_word()
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

fn unpack(block: Block, parts: &Parts<'_>) -> Entry {
    let value = unpack_value(block, parts);
    Entry { version: parts.version, ..Entry::new(value, parts.expires_at_ms) }
}

#[inline]
fn unpack_value(block: Block, parts: &Parts<'_>) -> Value {
    let (value, (len, mark)) = elements(parts);
    let range = block.len() - value.len()..block.len();
    let bytes = Bytes::within(block, range);
    Flat { kind: parts.kind, len, mark, bytes }.into_value()
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
        let versions = || (0..u64::BITS).flat_map(|bits| [1 << bits, !0 >> bits]).chain([0, 2, 3]);
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
                    for version in versions() {
                        let entry = Entry { version, ..Entry::new(value.clone(), expires_at_ms) };
                        let stored = Stored::new(&heap, Bytes::from(key), entry.clone());
                        assert_eq!(
                            matches!(stored.show().form(), Form::Packed(_)),
                            at < 6 || key.is_empty() && at == 6
                        );
                        assert_eq!((stored.show().key(), stored.entry()), (key, entry.clone()));
                        assert_eq!(stored.show().item(), (Bytes::from(key), entry.clone()));
                        let shared = shared_memory(key.len(), &entry);
                        let counts = stored.share().counts();
                        assert!(shared + SLOT_BYTES <= counts.total_memory());
                        assert_eq!(counts.expires, usize::from(expires_at_ms.is_some()));
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
