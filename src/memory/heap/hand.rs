//! Pieces that the writer of a table gave back and is about to take again: what replaces something
//! small is mostly as large as that was. They pass without the lock of the heap, and without a look
//! at the slabs where they lie, which are many and in no cache.

use super::{Heap, LINE, chunk_of, class};
use crate::memory::fetch::fetch;
use parking_lot::MutexGuard;
use std::cell::{Cell, UnsafeCell};
use std::ptr::NonNull;

/// So many bytes are kept at most: then those of sizes go back that nobody takes any more, and all
/// of them where that is little.
const KEPT_MAX: usize = 512 << 10;

/// So many bytes of one size are taken together by who will take many.
const STOCK: usize = 1 << 10;

/// What gives out pieces.
pub trait Source {
    /// Whose they are.
    fn heap(&self) -> &Heap;

    /// As [`Heap::take`].
    fn piece(&self, size: usize) -> Option<NonNull<u8>>;
}

/// The pieces that one thread has at hand.
#[derive(Debug)]
pub struct Hand {
    heap: Heap,
    /// One for each class.
    piles: Box<[UnsafeCell<Pile>; class::COUNT]>,
    /// Bytes in all of them.
    kept: Cell<usize>,
}

/// Pieces of one class. Which they are stands here and not in the pieces themselves, which are in
/// no cache.
#[derive(Debug)]
struct Pile {
    pieces: Vec<NonNull<u8>>,
    /// One was wanted from here since that was last asked.
    is_used: bool,
}

/// So many pieces before it is taken, one is fetched.
const SOON: usize = 4;

// SAFETY: the pieces in it belong to it alone.
unsafe impl Send for Hand {}

impl Source for Heap {
    fn heap(&self) -> &Heap {
        self
    }

    #[inline]
    fn piece(&self, size: usize) -> Option<NonNull<u8>> {
        self.take(size)
    }
}

impl Source for Hand {
    fn heap(&self) -> &Heap {
        &self.heap
    }

    #[inline]
    fn piece(&self, size: usize) -> Option<NonNull<u8>> {
        self.take(class::of(size)?).or_else(|| self.heap.take(size))
    }
}

/// A hand whose owner is about to take very many pieces: the heap's lock is had for some of them.
#[derive(Debug)]
pub struct Stock<'h>(pub &'h Hand);

impl Source for Stock<'_> {
    fn heap(&self) -> &Heap {
        &self.0.heap
    }

    #[inline]
    fn piece(&self, size: usize) -> Option<NonNull<u8>> {
        let class = class::of(size)?;
        self.0.take(class).or_else(|| self.0.stock_up(class))
    }
}

impl Hand {
    /// An empty one.
    pub fn new(heap: &Heap) -> Self {
        const EMPTY: Pile = Pile { pieces: Vec::new(), is_used: false };
        let piles = Box::new([const { UnsafeCell::new(EMPTY) }; class::COUNT]);
        Self { heap: heap.clone(), piles, kept: Cell::new(0) }
    }

    /// What is at hand.
    #[inline(always)]
    fn take(&self, class: usize) -> Option<NonNull<u8>> {
        // SAFETY: only this thread has the hand, and nothing that is called here comes back to it.
        let pile = unsafe { &mut *self.piles.get(class)?.get() };
        pile.is_used = true;
        let pieces = &mut pile.pieces;
        let piece = pieces.pop()?;
        // It was given back long ago, and is in no cache.
        if let Some(soon) = pieces.len().checked_sub(SOON).and_then(|at| pieces.get(at)) {
            fetch(soon.as_ptr().addr());
        }
        self.kept.set(self.kept.get() - class::size(class));
        Some(piece)
    }

    /// A piece from the heap, where there is none at hand, and some that will be the next ones, in
    /// the heap's order.
    #[inline(never)]
    fn stock_up(&self, class: usize) -> Option<NonNull<u8>> {
        let (inner, size) = (self.heap.0.0, class::size(class));
        // SAFETY: as above.
        let pieces = unsafe { &mut (*self.piles.get(class)?.get()).pieces };
        let mut state = inner.state.lock();
        let first = state.take(inner, class)?;
        // Mostly that of next time, which nobody has touched yet.
        let next = first.addr().get() + STOCK;
        (next..next + STOCK).step_by(LINE).for_each(fetch);
        pieces.extend((1..STOCK / size).map_while(|_| state.take(inner, class)));
        pieces.reverse();
        self.kept.set(self.kept.get() + pieces.len() * size);
        Some(first)
    }

    /// Gives back a piece, to be taken again from here.
    ///
    /// # Safety
    /// Its heap gave it for this size, and nobody uses it any more.
    #[inline]
    pub(in crate::memory) unsafe fn give_back(&self, piece: NonNull<u8>, size: usize) {
        debug_assert!(self.has(piece));
        let pile = class::of(size).and_then(|class| Some((class, self.piles.get(class)?)));
        let Some((class, pile)) = pile else { return };
        // SAFETY: as above.
        unsafe { &mut *pile.get() }.pieces.push(piece);
        self.kept.set(self.kept.get() + class::size(class));
        if self.kept.get() > KEPT_MAX {
            self.make_room();
        }
    }

    /// Whether there is nothing in it.
    pub fn is_empty(&self) -> bool {
        self.kept.get() == 0
    }

    fn has(&self, piece: NonNull<u8>) -> bool {
        // SAFETY: it was not given back yet.
        unsafe { self.heap.has(piece) }
    }

    /// All of it goes back to the heap.
    pub fn put_down(&self) {
        self.put_down_if(|_| true);
        for pile in self.piles.iter() {
            // SAFETY: as above.
            unsafe { (*pile.get()).pieces = Vec::new() };
        }
        self.kept.set(0);
    }

    #[cold]
    fn make_room(&self) {
        self.put_down_if(|pile| !std::mem::take(&mut pile.is_used));
        if self.kept.get() > KEPT_MAX / 2 {
            self.put_down_if(|_| true);
        }
    }

    fn put_down_if(&self, is_wanted: impl Fn(&mut Pile) -> bool) {
        let inner = self.heap.0.0;
        if inner.is_foreign() {
            return;
        }
        let mut state = inner.state.lock();
        for (class, pile) in self.piles.iter().enumerate() {
            // SAFETY: as above.
            let pile = unsafe { &mut *pile.get() };
            if !is_wanted(pile) {
                continue;
            }
            let size = class::size(class);
            self.kept.set(self.kept.get() - pile.pieces.len() * size);
            while let Some(piece) = pile.pieces.pop() {
                if let Some(next) = pile.pieces.last() {
                    fetch(next.as_ptr().addr());
                }
                // SAFETY: the piece is of this heap, whose lock is held, and nobody else has it.
                unsafe {
                    let chunk = chunk_of(piece.as_ptr().addr());
                    state.give_back(chunk, piece, size);
                }
                // There may be very many.
                MutexGuard::bump(&mut state);
            }
        }
    }
}

impl Drop for Hand {
    fn drop(&mut self) {
        self.put_down();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_that_nobody_takes_go_back_before_those_that_somebody_does() {
        let heap = Heap::new();
        let hand = Hand::new(&heap);
        let give_back = |size, count: usize| {
            let pieces: Vec<_> = (0..count).map(|_| heap.take(size).expect("memory")).collect();
            // SAFETY: they were just taken for this size, and nobody uses them.
            pieces.iter().for_each(|piece| unsafe { hand.give_back(*piece, size) });
            pieces
        };
        let (used, left) = (64, 1000);
        let usual = give_back(used, 2);
        assert_eq!(hand.piece(used), Some(usual[1]));
        let size = class::rounded(left);
        give_back(left, KEPT_MAX / size);
        assert!(hand.kept.get() > KEPT_MAX / 2);
        give_back(left, 1);
        assert_eq!((hand.kept.get(), hand.piece(used)), (used, Some(usual[0])));
        // Where all of it is taken again and again, some of it goes back all the same.
        assert_ne!(hand.piece(left), None);
        give_back(left, KEPT_MAX / size + 1);
        assert!(hand.is_empty());
    }
}
