//! Counted pieces of memory that trees are made of: each is a string of bytes, or a node.
//!
//! They lie in the common heap, where nothing but eight bytes stands before them and large pages
//! behind them; what is too large for it is an allocation. Which of both kinds a piece is, its
//! handle says, so that nobody waits for main memory to know it.

#![allow(unsafe_code)]

use super::fetch::fetch;
use super::heap::{self, LINE, common};
use std::alloc::{Layout, alloc, dealloc, handle_alloc_error};
use std::fmt;
use std::marker::PhantomData;
use std::ptr::{self, NonNull};
use std::sync::atomic::{AtomicU32, Ordering, fence};

/// A handle. Cloning shares the piece, and takes constant time.
pub struct Piece<T>(NonNull<u8>, PhantomData<T>);

/// What stands before the content.
#[repr(C)]
struct Head {
    owners: AtomicU32,
    /// Of bytes how many, or [`APART`].
    len: u32,
}

/// Before the content, which is aligned as this.
const HEAD: usize = size_of::<Head>();

/// So many bytes make a piece of the heap that has no rest.
pub const PIECE_BYTES_MAX: usize = heap::SIZE_MAX - HEAD;

/// Instead of a length: it is an allocation, and if it is of bytes, another length follows.
const APART: u32 = u32::MAX;

/// What stands before bytes that are an allocation.
const APART_HEAD: usize = HEAD + size_of::<usize>();

/// Of the handle: it is a node. Pieces begin at even addresses.
const NODE: usize = 1;

/// A look at a piece.
#[derive(Debug)]
pub enum View<'a, T> {
    /// It is a string of bytes.
    Bytes(&'a [u8]),
    /// It is a node.
    Node(&'a T),
}

// SAFETY: what is in it is shared and dropped as if it were owned by an `Arc`.
unsafe impl<T: Send + Sync> Send for Piece<T> {}
// SAFETY: as above.
unsafe impl<T: Send + Sync> Sync for Piece<T> {}

impl<T> Piece<T> {
    /// A node begins behind the head; in the heap it gets whole lines, and is aligned to eight.
    const NODE_SIZE: usize = {
        assert!(align_of::<T>() <= HEAD);
        (HEAD + size_of::<T>()).next_multiple_of(LINE)
    };

    /// One of bytes, put together; the program ends where there is no memory for it.
    pub fn joined(parts: &[&[u8]]) -> Self {
        let len: usize = parts.iter().map(|part| part.len()).sum();
        let (piece, content) = match common::take(HEAD + len) {
            // No piece of a heap is so long that its length does not fit.
            Some(piece) => (piece, begin(piece, len as u32)),
            None => apart(len),
        };
        // SAFETY: it has room for all of them, and nobody else has it.
        unsafe {
            let mut at = content;
            for part in parts {
                at.as_ptr().copy_from_nonoverlapping(part.as_ptr(), part.len());
                at = at.add(part.len());
            }
        }
        Self(piece, PhantomData)
    }

    /// A node.
    pub fn node(node: T) -> Self {
        let (piece, len) = match common::take(Self::NODE_SIZE) {
            Some(piece) => (piece, 0),
            None => (allocated(Self::NODE_SIZE), APART),
        };
        // SAFETY: it has room for it, where it is aligned, and nobody else has it.
        unsafe { begin(piece, len).cast::<T>().write(node) };
        Self(piece.map_addr(|at| at | NODE), PhantomData)
    }

    /// What it is.
    #[inline(always)]
    pub fn view(&self) -> View<'_, T> {
        let piece = self.piece();
        // SAFETY: that is what was written there, which is there as long as this.
        unsafe {
            if self.is_node() {
                return View::Node(piece.add(HEAD).cast().as_ref());
            }
            let len = piece.cast::<Head>().as_ref().len;
            if len == APART {
                return View::Bytes(self.apart());
            }
            View::Bytes(std::slice::from_raw_parts(piece.add(HEAD).as_ptr(), len as usize))
        }
    }

    /// # Safety
    /// It is of bytes, and an allocation.
    #[cold]
    unsafe fn apart(&self) -> &[u8] {
        let piece = self.piece();
        // SAFETY: that is what was written there.
        unsafe {
            let len = piece.add(HEAD).cast::<usize>().read();
            std::slice::from_raw_parts(piece.add(APART_HEAD).as_ptr(), len)
        }
    }

    /// The node, if it is one, to be changed: a copy of it where others have it, too.
    pub fn node_mut(&mut self) -> Option<&mut T>
    where
        T: Clone,
    {
        // Who is alone stays alone: clones are made of handles, and there is no other.
        if let View::Node(node) = self.view()
            && self.head().owners.load(Ordering::Acquire) != 1
        {
            *self = Self::node(node.clone());
        }
        // SAFETY: nobody else has it.
        self.is_node().then(|| unsafe { self.piece().add(HEAD).cast().as_mut() })
    }

    /// Whether somebody else has it, too.
    pub fn is_shared(&self) -> bool {
        self.head().owners.load(Ordering::Relaxed) > 1
    }

    /// Whether both are the same.
    #[inline]
    pub fn is(&self, other: &Self) -> bool {
        self.0 == other.0
    }

    /// Asks main memory for what has to be there for a clone.
    #[inline]
    pub fn foresee(&self) {
        fetch(self.0.addr().get());
    }

    /// Asks main memory for so many bytes from the beginning on, be they there or not.
    #[inline(always)]
    pub fn fetch<const BYTES: usize>(&self) {
        let at = self.0.addr().get();
        (0..(HEAD + BYTES).div_ceil(LINE)).for_each(|line| fetch(at + line * LINE));
    }

    /// Whether it is a node. That is known without a look at it.
    #[inline(always)]
    pub fn is_node(&self) -> bool {
        self.0.addr().get() & NODE != 0
    }

    #[inline(always)]
    fn piece(&self) -> NonNull<u8> {
        // SAFETY: a piece never begins at zero.
        self.0.map_addr(|at| unsafe { std::num::NonZero::new_unchecked(at.get() & !NODE) })
    }

    #[inline(always)]
    fn head(&self) -> &Head {
        // SAFETY: it is there as long as this.
        unsafe { self.piece().cast().as_ref() }
    }

    /// # Safety
    /// Nobody else has it, and nobody uses it any more.
    unsafe fn give_back(&mut self) {
        let piece = self.piece();
        // SAFETY: as the caller says; a node was written there, and the size is that for which it
        // was taken.
        unsafe {
            if self.is_node() {
                ptr::drop_in_place(piece.add(HEAD).cast::<T>().as_ptr());
            }
            match (self.head().len, self.is_node()) {
                (APART, true) => dealloc(piece.as_ptr(), layout(Self::NODE_SIZE)),
                (APART, false) => dealloc(piece.as_ptr(), layout(APART_HEAD + self.apart().len())),
                (_, true) => heap::give_back(piece, Self::NODE_SIZE),
                (len, false) => heap::give_back(piece, HEAD + len as usize),
            }
        }
    }
}

/// Writes the head of a piece that nobody else has, and tells where its content begins.
#[inline]
fn begin(piece: NonNull<u8>, len: u32) -> NonNull<u8> {
    // SAFETY: it has room for that; pieces of a heap are aligned to four, as the head is.
    unsafe {
        piece.cast().write(Head { owners: AtomicU32::new(1), len });
        piece.add(HEAD)
    }
}

/// An allocation for so many bytes, and where they begin.
#[cold]
fn apart(len: usize) -> (NonNull<u8>, NonNull<u8>) {
    let piece = allocated(APART_HEAD.saturating_add(len));
    // SAFETY: it has room for that, and is aligned for it.
    unsafe {
        begin(piece, APART).cast::<usize>().write(len);
        (piece, piece.add(APART_HEAD))
    }
}

#[cold]
fn allocated(size: usize) -> NonNull<u8> {
    let layout = layout(size);
    // SAFETY: there is at least the head.
    NonNull::new(unsafe { alloc(layout) }).unwrap_or_else(|| handle_alloc_error(layout))
}

fn layout(size: usize) -> Layout {
    // No slice is so long.
    Layout::from_size_align(size, HEAD).unwrap_or_else(|_| handle_alloc_error(Layout::new::<u8>()))
}

impl<T> Clone for Piece<T> {
    #[inline]
    fn clone(&self) -> Self {
        let before = self.head().owners.fetch_add(1, Ordering::Relaxed);
        // So many handles don't fit into any memory that they are not forgotten in.
        assert!(before < u32::MAX / 2, "a piece with too many owners");
        Self(self.0, PhantomData)
    }
}

impl<T> Drop for Piece<T> {
    #[inline]
    fn drop(&mut self) {
        let owners = &self.head().owners;
        // Release: whatever an owner did was done before it is given back. Who is alone stays so.
        if owners.load(Ordering::Acquire) != 1 {
            if owners.fetch_sub(1, Ordering::Release) != 1 {
                return;
            }
            fence(Ordering::Acquire);
        }
        // SAFETY: this was the last owner.
        unsafe { self.give_back() }
    }
}

impl<T: fmt::Debug> fmt::Debug for Piece<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.view().fmt(f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::Arc;

    #[test]
    fn pieces_have_what_was_put_into_them() {
        let bytes: Vec<u8> = (0..6000_u32).map(|n| n as u8).collect();
        let max = PIECE_BYTES_MAX;
        for len in [0, 1, 2, 3, 4, 511, 512, 1024, max - 1, max, max + 1, 6000] {
            let piece: Piece<u64> = Piece::joined(&[&bytes[..len / 3], &bytes[len / 3..len]]);
            let same = piece.clone();
            let other: Piece<u64> = Piece::joined(&[&bytes[..len]]);
            assert!(same.is(&piece) && !other.is(&piece) && piece.is_shared());
            drop(piece);
            assert!(!same.is_shared());
            assert!(matches!(same.view(), View::Bytes(own) if *own == bytes[..len]));
            assert_eq!(same.head().len == APART, len > max);
        }
    }

    #[test]
    fn a_node_that_others_have_is_copied_before_it_is_changed_and_dropped_once() {
        let counted = Arc::new(());
        for room in [[0_u64; 30], [1; 30]] {
            let mut piece = Piece::node((Arc::clone(&counted), room));
            let at = |piece: &Piece<_>| piece.0;
            let first = at(&piece);
            piece.node_mut().unwrap().1[3] = 7;
            assert!(at(&piece) == first, "nobody else had it");
            let same = piece.clone();
            piece.node_mut().unwrap().1[3] = 8;
            assert!(at(&piece) != first && at(&same) == first);
            for (piece, wanted) in [(&piece, 8), (&same, 7)] {
                assert!(matches!(piece.view(), View::Node(node) if node.1[3] == wanted));
            }
            assert_eq!(Arc::strong_count(&counted), 3);
        }
        assert_eq!(Arc::strong_count(&counted), 1);
        let large = Piece::node((Arc::clone(&counted), [0_u64; 1000]));
        drop((large.clone(), large));
        assert_eq!(Arc::strong_count(&counted), 1);
        assert!(Piece::<u64>::joined(&[b"bytes"]).node_mut().is_none());
    }

    #[test]
    fn threads_share_pieces() {
        for len in [5, 9000] {
            let content = vec![9; len];
            let is_whole =
                |piece: &Piece<u64>| matches!(piece.view(), View::Bytes(own) if *own == content);
            for _ in 0..if cfg!(miri) { 9 } else { 200 } {
                let piece: Piece<u64> = Piece::joined(&[&content]);
                std::thread::scope(|scope| {
                    for _ in 0..3 {
                        let mine = piece.clone();
                        scope.spawn(move || assert!(is_whole(&mine.clone()) && is_whole(&mine)));
                    }
                    drop(piece);
                });
            }
        }
    }
}
