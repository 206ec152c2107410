//! Counted blocks of bytes that are written once: what values, keys and entries of the table lie
//! in, and share.
//!
//! A small one that is to stay is made in a [`Heap`], with all that is known of it in the four
//! bytes before its content. Any other is an allocation by itself.

#![allow(unsafe_code)]

use super::fetch::fetch;
use super::heap::{self, Hand, Heap, Source};
use std::alloc::{Layout, alloc, dealloc, handle_alloc_error};
use std::fmt;
use std::mem::ManuallyDrop;
use std::num::NonZeroU64;
use std::ops::Deref;
use std::ptr::{self, NonNull};
use std::sync::atomic::{AtomicU32, AtomicUsize, Ordering, fence};

/// The head of a block in a heap: how many have it, how long its content is, and a note of whoever
/// made it.
#[derive(Clone, Copy, Debug, Default)]
pub struct Head(u32);

const OWNER_BITS: u32 = 5;
const LEN_BITS: u32 = 10;
/// So many bits of a block belong to whoever makes it.
pub const NOTE_BITS: u32 = u32::BITS - OWNER_BITS - LEN_BITS;

const HEAD: usize = size_of::<u32>();
const OWNERS_MAX: u32 = (1 << OWNER_BITS) - 1;

/// The content of a block in a heap is not longer.
pub const CONTENT_MAX: usize = (1 << LEN_BITS) - 1;

impl Head {
    #[inline]
    fn len(self) -> usize {
        (self.0 >> OWNER_BITS) as usize & CONTENT_MAX
    }

    #[inline]
    fn note(self) -> u32 {
        self.0 >> (OWNER_BITS + LEN_BITS)
    }

    fn owners(self) -> u32 {
        self.0 & OWNERS_MAX
    }
}

/// What stands before the content of a block that is an allocation.
#[repr(C)]
struct Apart {
    owners: AtomicUsize,
    len: usize,
}

/// Every block without content.
static EMPTY: Apart = Apart { owners: AtomicUsize::new(1), len: 0 };

/// Of the address: it is an allocation.
const APART: usize = 1;

/// A block. Cloning takes constant time and shares it; only where very many have one in a heap, the
/// clone is a copy.
pub struct Block(NonNull<u8>);

// SAFETY: its bytes do not change as long as anybody has it, and owners are counted in one step.
unsafe impl Send for Block {}
// SAFETY: as above.
unsafe impl Sync for Block {}

/// A look at a block in a heap.
#[derive(Clone, Copy, Debug)]
pub struct Lent<'a> {
    /// What whoever made it noted.
    pub note: u32,
    /// The bytes.
    pub content: &'a [u8],
}

/// How much memory a block with so much content takes.
#[inline]
pub fn block_size(len: usize) -> usize {
    if len > CONTENT_MAX { size_of::<Apart>() + len } else { heap::rounded(HEAD + len) }
}

impl Block {
    /// A block in a heap, its content put together of what comes first and of the rest; `None` if
    /// that is too long, or if there is no memory. Of the note only the lowest [`NOTE_BITS`] are
    /// kept.
    #[inline]
    pub fn in_heap<const N: usize>(
        source: &impl Source,
        note: u32,
        first: [&[u8]; 2],
        rest: [&[u8]; N],
    ) -> Option<Self> {
        let len_of = |parts: &[&[u8]]| parts.iter().map(|part| part.len()).sum::<usize>();
        let len = len_of(&first) + len_of(&rest);
        if len > CONTENT_MAX {
            return None;
        }
        let block = source.piece(HEAD + len)?;
        let head = note << (OWNER_BITS + LEN_BITS) | (len as u32) << OWNER_BITS | 1;
        // SAFETY: it is as large as that, and nobody else has it.
        unsafe {
            block.cast::<u32>().write(head);
            let mut at = block.add(HEAD);
            let mut put = |part: &[u8]| {
                copy(part, at);
                at = at.add(part.len());
            };
            first.into_iter().for_each(&mut put);
            rest.into_iter().filter(|part| !part.is_empty()).for_each(put);
        }
        block.as_ptr().expose_provenance();
        Some(Self(block))
    }

    /// Drops it. What that gives back is at hand then, if it is of the same heap.
    #[inline]
    pub fn give_to(self, hand: &Hand) {
        // SAFETY: it is there as long as this.
        if self.is_in_heap() && unsafe { hand.heap().has(self.0) } {
            // SAFETY: as above; whoever was its last owner gives it back.
            unsafe {
                // As when it is dropped.
                let head = Head(self.0.cast::<AtomicU32>().as_ref().load(Ordering::Acquire));
                if head.owners() == 1 {
                    hand.give_back(ManuallyDrop::new(self).0, HEAD + head.len());
                }
            }
        }
    }

    /// The note and the content, if it is in a heap, and in this one.
    pub fn lent_by(&self, heap: &Heap) -> Option<Lent<'_>> {
        // SAFETY: it is there as long as this.
        (self.is_in_heap() && unsafe { heap.has(self.0) }).then(|| unsafe { self.lent() })
    }

    /// A block that is an allocation, its content put together.
    pub fn joined(parts: &[&[u8]]) -> Self {
        let len = parts.iter().map(|part| part.len()).sum();
        if len == 0 {
            return Self::default();
        }
        let (block, mut content) = Self::allocated(len);
        for part in parts {
            // SAFETY: it has room for all of them, and nobody else has it.
            unsafe {
                content.copy_from_nonoverlapping(part.as_ptr(), part.len());
                content = content.add(part.len());
            }
        }
        Self::of_allocated(block)
    }

    /// For whoever keeps it as a word of 64 bits, of which the lowest two are zero; `None` of
    /// what is in no heap, as a clone may be.
    #[inline]
    pub fn into_word(self) -> Option<NonZeroU64> {
        if !self.is_in_heap() {
            return None;
        }
        NonZeroU64::new(ManuallyDrop::new(self).0.as_ptr().expose_provenance() as u64)
    }

    /// # Safety
    /// The word came from [`Block::into_word`], and only this takes it back.
    #[inline]
    pub unsafe fn from_word(word: NonZeroU64) -> Self {
        let block = ptr::with_exposed_provenance_mut(word.get() as usize);
        // SAFETY: it is not zero.
        Self(unsafe { NonNull::new_unchecked(block) })
    }

    /// One more handle of a block that is kept as a word.
    ///
    /// # Safety
    /// The word came from [`Block::into_word`], and was not taken back yet.
    pub unsafe fn share_word(word: NonZeroU64) -> Self {
        // SAFETY: as the caller says; this one is not dropped, and so takes nothing back.
        ManuallyDrop::new(unsafe { Self::from_word(word) }).deref().clone()
    }

    /// What a look at a block that is kept as a word begins with: read once, as who has the block
    /// is counted in it at any time.
    ///
    /// # Safety
    /// As for [`Block::share_word`], as long as it is looked at.
    #[inline]
    pub unsafe fn head_of_word(word: NonZeroU64) -> Head {
        // SAFETY: as the caller says.
        unsafe { head(ptr::with_exposed_provenance(word.get() as usize)) }
    }

    /// A look at a block that is kept as a word, and has this head.
    ///
    /// # Safety
    /// As above; and the head was that word's.
    #[inline]
    pub unsafe fn lend_word<'a>(word: NonZeroU64, head: Head) -> Lent<'a> {
        // SAFETY: as the caller says.
        unsafe { lend(ptr::with_exposed_provenance(word.get() as usize), head) }
    }

    /// Asks main memory for so many bytes of the content, be they there or not, and for what stands
    /// before it.
    #[inline]
    pub fn fetch(&self, from: usize, len: usize) {
        let at = self.0.as_ptr().addr();
        fetch(at);
        let first = at + from;
        (first..first + size_of::<Apart>() + len).step_by(heap::LINE).for_each(fetch);
    }

    fn is_in_heap(&self) -> bool {
        self.0.as_ptr().addr() & APART == 0
    }

    /// # Safety
    /// It is in a heap.
    unsafe fn lent(&self) -> Lent<'_> {
        // SAFETY: it is there as long as this.
        unsafe { lend(self.0.as_ptr(), head(self.0.as_ptr())) }
    }

    fn apart(&self) -> *mut Apart {
        self.0.as_ptr().wrapping_byte_sub(APART).cast()
    }

    /// An allocation for so much content, with one owner.
    fn allocated(len: usize) -> (*mut Apart, *mut u8) {
        let layout = layout(len);
        // SAFETY: there is at least the head, for which it is aligned.
        unsafe {
            let block = alloc(layout).cast::<Apart>();
            if block.is_null() {
                handle_alloc_error(layout);
            }
            block.write(Apart { owners: AtomicUsize::new(1), len });
            (block, block.add(1).cast())
        }
    }

    fn of_allocated(block: *mut Apart) -> Self {
        // SAFETY: it is the address of something.
        Self(unsafe { NonNull::new_unchecked(block.wrapping_byte_add(APART).cast()) })
    }
}

/// Copies bytes, without a call where they are few.
///
/// # Safety
/// There is room for as many, which are not these.
#[inline(always)]
unsafe fn copy(from: &[u8], to: NonNull<u8>) {
    let len = from.len();
    let from = NonNull::from(from).cast::<u8>();
    // SAFETY: of both there are so many bytes; what is shorter than two pieces is copied as two
    // that overlap.
    unsafe {
        match len {
            0..4 => (0..len).for_each(|at| to.add(at).write(from.add(at).read())),
            4..8 => copy_ends::<u32>(from, to, len),
            8..=16 => copy_ends::<u64>(from, to, len),
            17..=32 => copy_ends::<u128>(from, to, len),
            _ => to.copy_from_nonoverlapping(from, len),
        }
    }
}

/// # Safety
/// As above; there are at least as many bytes as one of these has, and at most twice as many.
#[inline(always)]
unsafe fn copy_ends<T>(from: NonNull<u8>, to: NonNull<u8>, len: usize) {
    let last = len - size_of::<T>();
    // SAFETY: both ends lie within.
    unsafe {
        let ends = (from.cast::<T>().read_unaligned(), from.add(last).cast::<T>().read_unaligned());
        to.cast::<T>().write_unaligned(ends.0);
        to.add(last).cast::<T>().write_unaligned(ends.1);
    }
}

fn layout(len: usize) -> Layout {
    let layout = Layout::new::<Apart>();
    match Layout::from_size_align(layout.size().saturating_add(len), layout.align()) {
        Ok(layout) => layout,
        // No slice is so long.
        Err(_) => handle_alloc_error(layout),
    }
}

/// # Safety
/// A block in a heap begins there, and is not given back while it is looked at.
#[inline]
unsafe fn head(block: *const u8) -> Head {
    // SAFETY: a block begins with its head.
    Head(unsafe { &*block.cast::<AtomicU32>() }.load(Ordering::Relaxed))
}

/// # Safety
/// As above; and this was its head, of which nothing but the number of owners ever changes.
#[inline]
unsafe fn lend<'a>(block: *const u8, head: Head) -> Lent<'a> {
    // SAFETY: the content follows the head.
    let content = unsafe { std::slice::from_raw_parts(block.add(HEAD), head.len()) };
    Lent { note: head.note(), content }
}

impl From<&[u8]> for Block {
    fn from(bytes: &[u8]) -> Self {
        Self::joined(&[bytes])
    }
}

impl Default for Block {
    fn default() -> Self {
        EMPTY.owners.fetch_add(1, Ordering::Relaxed);
        Self::of_allocated(ptr::from_ref(&EMPTY).cast_mut())
    }
}

impl Deref for Block {
    type Target = [u8];

    #[inline]
    fn deref(&self) -> &[u8] {
        if self.is_in_heap() {
            // SAFETY: it is.
            return unsafe { self.lent() }.content;
        }
        // SAFETY: that is how it was made, and it is there as long as this.
        unsafe {
            let block = self.apart();
            std::slice::from_raw_parts(block.add(1).cast(), (*block).len)
        }
    }
}

impl Clone for Block {
    fn clone(&self) -> Self {
        if !self.is_in_heap() {
            // SAFETY: it is there as long as this.
            unsafe { (*self.apart()).owners.fetch_add(1, Ordering::Relaxed) };
            return Self(self.0);
        }
        // SAFETY: it is there as long as this.
        let head = unsafe { self.0.cast::<AtomicU32>().as_ref() };
        let add = |old| (Head(old).owners() < OWNERS_MAX).then_some(old + 1);
        match head.fetch_update(Ordering::Relaxed, Ordering::Relaxed, add) {
            Ok(_) => Self(self.0),
            Err(_) => Self::from(&**self),
        }
    }
}

impl Drop for Block {
    #[inline]
    fn drop(&mut self) {
        // Release: whatever an owner did was done before the block is given back.
        if self.is_in_heap() {
            // SAFETY: it is there as long as this; whoever was its last owner gives it back.
            unsafe {
                let count = self.0.cast::<AtomicU32>().as_ref();
                // Who is alone stays alone: clones are made of handles, and there is no other.
                let alone = Head(count.load(Ordering::Acquire));
                if alone.owners() == 1 {
                    return heap::give_back(self.0, HEAD + alone.len());
                }
                let head = Head(count.fetch_sub(1, Ordering::Release));
                if head.owners() == 1 {
                    fence(Ordering::Acquire);
                    heap::give_back(self.0, HEAD + head.len());
                }
            }
            return;
        }
        let block = self.apart();
        // SAFETY: as above.
        unsafe {
            if (*block).owners.fetch_sub(1, Ordering::Release) == 1 {
                fence(Ordering::Acquire);
                dealloc(block.cast(), layout((*block).len));
            }
        }
    }
}

impl PartialEq for Block {
    /// Whether both are the same block.
    fn eq(&self, other: &Self) -> bool {
        self.0 == other.0
    }
}

impl fmt::Debug for Block {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        (**self).fmt(f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn in_heap(heap: &Heap, content: &[u8]) -> Block {
        let (a, rest) = content.split_at(content.len() / 3);
        let (b, c) = rest.split_at(rest.len() / 2);
        Block::in_heap(heap, 77, [a, b], [c]).expect("it is small")
    }

    #[test]
    fn blocks_have_what_was_put_into_them() {
        let heap = Heap::new();
        let bytes: Vec<u8> = (0..3000_u32).map(|n| n as u8).collect();
        for len in [0, 1, 2, 3, 4, 60, 61, CONTENT_MAX - 1, CONTENT_MAX] {
            let block = in_heap(&heap, &bytes[..len]);
            assert_eq!(*block, bytes[..len]);
            let lent = block.lent_by(&heap).expect("it is of this heap");
            assert_eq!((lent.note, lent.content), (77, &bytes[..len]));
            assert!(block.lent_by(&Heap::new()).is_none());
            assert!(block_size(len) >= len + HEAD && block_size(len) < len + HEAD + 16);
            let (same, copy) = (block.clone(), Block::from(&bytes[..len]));
            assert!(same == block && copy != block && *copy == *block);
            drop(block);
            assert_eq!(*same, bytes[..len]);
        }
        assert!(Block::in_heap(&heap, 0, [&bytes[..CONTENT_MAX], &[0]], []).is_none());
        let large = Block::from(&bytes[..]);
        assert!(*large.clone() == bytes[..] && large.lent_by(&heap).is_none());
        assert!(Block::default().is_empty());
    }

    #[test]
    fn a_block_that_very_many_have_is_copied() {
        let heap = Heap::new();
        let block = in_heap(&heap, b"content");
        let clones: Vec<Block> = (0..100).map(|_| block.clone()).collect();
        let same = clones.iter().filter(|clone| **clone == block).count();
        assert_eq!(same as u32, OWNERS_MAX - 1);
        drop(block);
        assert!(clones.iter().all(|clone| **clone == b"content"[..]));
        drop(clones);
        let next = in_heap(&heap, b"CONTENT");
        assert_eq!(*next, b"CONTENT"[..]);
    }

    #[test]
    fn a_word_is_a_block_that_nobody_dropped() {
        let heap = Heap::new();
        let word = in_heap(&heap, b"content").into_word().expect("it is in a heap");
        assert_eq!(word.get() & 3, 0);
        assert_eq!(Block::from(&b"content"[..]).into_word(), None);
        // SAFETY: it is taken back at the end only.
        unsafe {
            let head = Block::head_of_word(word);
            assert_eq!(Block::lend_word(word, head).content, b"content");
            let shared = Block::share_word(word);
            drop(Block::from_word(word));
            assert_eq!(*shared, b"content"[..]);
        }
    }

    #[test]
    fn threads_share_blocks() {
        let heap = Heap::new();
        for content in [&b"small"[..], &[9; 5000]] {
            for _ in 0..if cfg!(miri) { 9 } else { 200 } {
                let block = in_heap(&heap, b"small");
                let block = if content.len() > 9 { Block::from(content) } else { block };
                std::thread::scope(|scope| {
                    for _ in 0..3 {
                        let mine = block.clone();
                        scope
                            .spawn(move || assert!(*mine.clone() == *content && *mine == *content));
                    }
                    drop(block);
                });
            }
        }
    }
}
