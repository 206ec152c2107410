//! Pieces that the writer of a table gave back and is about to take again: what replaces something
//! small is mostly as large as that was. They pass without the lock of the heap, and without a look
//! at the slabs where they lie, which are many and in no cache.

use super::{Heap, LINE, chunk_of, class};
use crate::memory::fetch::fetch;
use parking_lot::MutexGuard;
use std::cell::{Cell, UnsafeCell};
use std::ptr::NonNull;

/// So many bytes are kept at most: then all of them go back, for much of it may be of sizes that
/// nobody takes any more.
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
    /// A pile for each class. What is in a pile stands here and not in the pieces themselves, which
    /// are in no cache.
    piles: Box<[UnsafeCell<Vec<NonNull<u8>>>; class::COUNT]>,
    /// Bytes in all of them.
    kept: Cell<usize>,
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
        let piles = Box::new([const { UnsafeCell::new(Vec::new()) }; class::COUNT]);
        Self { heap: heap.clone(), piles, kept: Cell::new(0) }
    }

    /// What is at hand.
    #[inline(always)]
    fn take(&self, class: usize) -> Option<NonNull<u8>> {
        // SAFETY: only this thread has the hand, and nothing that is called here comes back to it.
        let pile = unsafe { &mut *self.piles.get(class)?.get() };
        let piece = pile.pop()?;
        // It was given back long ago, and is in no cache.
        if let Some(soon) = pile.len().checked_sub(SOON).and_then(|at| pile.get(at)) {
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
        let pile = unsafe { &mut *self.piles.get(class)?.get() };
        let mut state = inner.state.lock();
        let first = state.take(inner, class)?;
        // Mostly that of next time, which nobody has touched yet.
        let next = first.addr().get() + STOCK;
        (next..next + STOCK).step_by(LINE).for_each(fetch);
        pile.extend((1..STOCK / size).map_while(|_| state.take(inner, class)));
        pile.reverse();
        self.kept.set(self.kept.get() + pile.len() * size);
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
        unsafe { &mut *pile.get() }.push(piece);
        self.kept.set(self.kept.get() + class::size(class));
        if self.kept.get() > KEPT_MAX {
            self.empty();
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
        self.empty();
        for pile in self.piles.iter() {
            // SAFETY: as above.
            unsafe { *pile.get() = Vec::new() };
        }
    }

    #[cold]
    fn empty(&self) {
        let inner = self.heap.0.0;
        if inner.is_foreign() {
            return;
        }
        let mut state = inner.state.lock();
        for (class, pile) in self.piles.iter().enumerate() {
            // SAFETY: as above.
            let pile = unsafe { &mut *pile.get() };
            while let Some(piece) = pile.pop() {
                if let Some(next) = pile.last() {
                    fetch(next.as_ptr().addr());
                }
                // SAFETY: the piece is of this heap, whose lock is held, and nobody else has it.
                unsafe {
                    let chunk = chunk_of(piece.as_ptr().addr());
                    state.give_back(chunk, piece, class::size(class));
                }
                // There may be very many.
                MutexGuard::bump(&mut state);
            }
        }
        self.kept.set(0);
    }
}

impl Drop for Hand {
    fn drop(&mut self) {
        self.put_down();
    }
}
