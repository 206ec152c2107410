//! Memory in sizes that are a few bytes apart, without anything in front of what was given out: a
//! table of millions of keys is mostly this.
//!
//! A heap takes chunks of 2 MiB from the system, which it asks to back them with large pages once
//! there are some: half of the time of a lookup is the way to the memory, and a good part of that
//! the way to the page. A chunk begins with what is known of its slabs, which are as large as four
//! small pages and hold pieces of one size each. Where a piece lies tells its slab, its chunk and
//! its heap, so that whoever has a piece can give it back, in any thread.
//!
//! What is free goes back to the system: a slab without pieces takes any other size, and once an
//! eighth of the slabs are free, their pages are given back, and whole chunks where none is in use.
//!
//! One lock a heap guards all that. It is held for some instructions, and nobody contends for it
//! but the writer of a table, who has some pieces at hand (`hand.rs`), and those who drop the last
//! handle of what they read there.

#![allow(unsafe_code)]

mod class;
pub(super) mod common;
mod hand;
#[cfg_attr(miri, path = "heap/pages_miri.rs")]
mod pages;

use super::fetch;
use parking_lot::Mutex;
use std::alloc::{Layout, handle_alloc_error};
use std::ptr::{self, NonNull};
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

pub use hand::{Hand, Source, Stock};

/// A chunk begins where this divides the address.
const CHUNK: usize = 2 << 20;
const SLAB: usize = 16 << 10;
const SLABS: usize = CHUNK / SLAB;

/// So many chunks are made before one is backed by large pages, unless it is known that there will
/// be more: programs that keep little do not pay for what they do not use.
const SMALL_CHUNKS: usize = 4;

/// So many slabs may be free before they are given back, however few are in use.
const FREE_MIN: usize = 32;

/// A line of the processor's cache.
pub const LINE: usize = 64;

/// What stands at the beginning of a chunk, rounded up to whole lines.
const HEADER: usize = size_of::<Chunk>().next_multiple_of(LINE);

const _: () = assert!(HEADER < SLAB && SLABS == u128::BITS as usize && class::COUNT < 256);

#[derive(Debug)]
struct Chunk {
    heap: &'static Inner,
    /// Its place among the heap's.
    at: usize,
    /// The system was asked to back it with large pages.
    is_large: bool,
    /// A bit for each slab that is free, and for those of which the system has the pages.
    free: u128,
    clean: u128,
    slabs: [Slab; SLABS],
}

/// Pieces of one size.
#[derive(Debug)]
struct Slab {
    /// What was given back.
    free: *mut Free,
    /// Where in the chunk begins what was never given out, and where the slab ends.
    fresh: u32,
    end: u32,
    used: u16,
    class: u8,
    /// It has room, and is among those of its class that have.
    is_open: bool,
    before: *mut Slab,
    behind: *mut Slab,
}

/// A piece that nobody has; it may begin at any multiple of four.
#[derive(Debug)]
struct Free {
    next: *mut Free,
}

/// What a heap knows. It stays for ever, for somebody may have a piece for longer than the heap is
/// used; the next heap takes it once it is empty.
#[derive(Debug)]
struct Inner {
    state: Mutex<State>,
    /// In which process it was made.
    process: AtomicU32,
}

#[derive(Debug)]
struct State {
    chunks: Vec<NonNull<Chunk>>,
    /// The next chunk, with its pages, if somebody has got it before it is needed.
    spare: Option<NonNull<Chunk>>,
    /// So many chunks are made before one is backed by large pages.
    small: usize,
    /// No chunk before this one has a free slab.
    roomy: usize,
    /// The slabs of each class that have room.
    open: [*mut Slab; class::COUNT],
    /// Slabs in use; free ones that still have pages.
    in_use: usize,
    unclean: usize,
    /// Nobody takes pieces any more.
    is_closed: bool,
}

// SAFETY: the addresses in it are of memory that belongs to it alone.
unsafe impl Send for State {}

/// Those that are empty and closed.
static INNERS: Mutex<Vec<&'static Inner>> = Mutex::new(Vec::new());

/// Goes up in a forked child: what another thread was changing there stays as it is for ever.
static PROCESS: AtomicU32 = AtomicU32::new(0);

pub(super) fn forked() {
    PROCESS.fetch_add(1, Ordering::Relaxed);
}

/// Gives out pieces of memory. Its handles are the same heap; what was given out outlives them.
#[derive(Clone, Debug)]
pub struct Heap(Arc<Owner>);

#[derive(Debug)]
struct Owner(&'static Inner);

/// Some lines next to each other, all zero at first.
#[derive(Debug)]
pub struct Lines {
    first: NonNull<u8>,
    count: usize,
}

// SAFETY: they belong to whoever has this.
unsafe impl Send for Lines {}
// SAFETY: nothing is done to them through it.
unsafe impl Sync for Lines {}

/// How much a piece of this size takes.
#[inline]
pub(super) fn rounded(size: usize) -> usize {
    class::rounded(size)
}

impl Default for Heap {
    fn default() -> Self {
        Self::new()
    }
}

impl Heap {
    /// An empty one, which takes nothing from the system yet.
    pub fn new() -> Self {
        // In a forked child somebody may have it for ever.
        let known = INNERS.try_lock().and_then(|mut inners| inners.pop());
        let known = known.filter(|inner| !inner.state.is_locked());
        let inner = known.unwrap_or_else(|| {
            let state = Mutex::new(State::new());
            Box::leak(Box::new(Inner { state, process: AtomicU32::new(0) }))
        });
        inner.state.lock().is_closed = false;
        inner.process.store(PROCESS.load(Ordering::Relaxed), Ordering::Relaxed);
        Self(Arc::new(Owner(inner)))
    }

    /// A piece of so many bytes, uninitialised; `None` if there is none of this size, or if the
    /// system has none left. Multiples of [`LINE`] begin with a line.
    #[inline]
    pub(super) fn take(&self, size: usize) -> Option<NonNull<u8>> {
        let class = class::of(size)?;
        let inner = self.0.0;
        inner.state.lock().take(inner, class)
    }

    /// So many bytes are about to be taken: if that is not little, all of it may have large pages.
    pub fn foresee(&self, size: usize) {
        if size > SMALL_CHUNKS * CHUNK {
            self.0.0.state.lock().small = 0;
        }
    }

    /// Gets the next chunk before it is needed. That takes the system its time (a host may have to
    /// find the memory first), in which another thread can go on taking pieces. A heap of a few
    /// chunks gets none.
    pub fn get_spare(&self) {
        let inner = self.0.0;
        let is_wanted = |state: &State| state.spare.is_none() && state.chunks.len() > state.small;
        if !is_wanted(&inner.state.lock()) {
            return;
        }
        let Some(chunk) = pages::map().map(NonNull::cast::<Chunk>) else { return };
        // SAFETY: nobody else has it.
        unsafe {
            enlarge(chunk.as_ptr(), true);
            pages::populate(chunk.as_ptr().cast());
        }
        let mut state = inner.state.lock();
        if is_wanted(&state) {
            state.spare = Some(chunk);
        } else {
            drop(state);
            // SAFETY: as above.
            unsafe { pages::unmap(chunk.as_ptr().cast()) };
        }
    }

    /// Whether there is one that was not needed yet.
    pub fn has_spare(&self) -> bool {
        self.0.0.state.lock().spare.is_some()
    }

    /// Gives it back.
    pub fn drop_spare(&self) {
        self.0.0.state.lock().drop_spare();
    }

    /// Whether a piece is of this heap.
    ///
    /// # Safety
    /// The piece was taken from a heap and not given back yet.
    pub(super) unsafe fn has(&self, piece: NonNull<u8>) -> bool {
        // SAFETY: its chunk is there as long as it is.
        ptr::eq(self.0.0, unsafe { (*chunk_of(piece.as_ptr().addr())).heap })
    }

    /// So many lines, all zero; as with a box, the program ends if there is no memory. At most 64.
    pub fn lines(&self, count: usize) -> Lines {
        let size = count * LINE;
        let Some(first) = self.take(size) else {
            handle_alloc_error(Layout::from_size_align(size, LINE).unwrap_or(Layout::new::<u8>()));
        };
        // SAFETY: it is as large as that, and nobody else has it.
        unsafe { first.write_bytes(0, size) };
        Lines { first, count }
    }

    /// How much memory of the system's it has, more or less.
    #[cfg(test)]
    fn resident(&self) -> usize {
        let state = self.0.0.state.lock();
        (state.in_use + state.unclean) * SLAB
    }
}

impl Lines {
    /// The address of the first one, which was exposed.
    pub fn address(&self) -> usize {
        self.first.as_ptr().expose_provenance()
    }

    /// So that another may have them: [`Lines::from_address`] brings them back.
    pub fn into_address(self) -> usize {
        std::mem::ManuallyDrop::new(self).address()
    }

    /// What was let go of.
    ///
    /// # Safety
    /// It was so many lines that began there, and only this takes them back.
    pub unsafe fn from_address(address: usize, count: usize) -> Option<Self> {
        Some(Self { first: NonNull::new(ptr::with_exposed_provenance_mut(address))?, count })
    }
}

impl Drop for Lines {
    fn drop(&mut self) {
        // SAFETY: they came from a heap, and this is their owner.
        unsafe { give_back(self.first, self.count * LINE) }
    }
}

impl Drop for Owner {
    fn drop(&mut self) {
        if self.0.is_foreign() {
            return;
        }
        let mut state = self.0.state.lock();
        state.is_closed = true;
        // Pieces may be out for long.
        state.drop_spare();
        let is_empty = state.in_use == 0;
        drop(state);
        if is_empty {
            self.0.retire();
        }
    }
}

/// Gives a piece back to its heap.
///
/// # Safety
/// A heap gave it for this size, and nobody uses it any more.
#[inline]
pub(super) unsafe fn give_back(piece: NonNull<u8>, size: usize) {
    let chunk = chunk_of(piece.as_ptr().addr());
    // SAFETY: a chunk is there as long as any piece of it was not given back.
    let inner = unsafe { (*chunk).heap };
    if inner.is_foreign() {
        return;
    }
    let mut state = inner.state.lock();
    // SAFETY: the piece is of this chunk, and the lock is that of its heap.
    unsafe { state.give_back(chunk, piece, size) };
    let is_done = state.is_closed && state.in_use == 0;
    drop(state);
    if is_done {
        inner.retire();
    }
}

fn chunk_of(address: usize) -> *mut Chunk {
    // Where the chunk begins was exposed when it was made.
    ptr::with_exposed_provenance_mut(address & !(CHUNK - 1))
}

impl Inner {
    /// A forked child has only a copy of it, which another thread may have been changing.
    fn is_foreign(&self) -> bool {
        self.process.load(Ordering::Relaxed) != PROCESS.load(Ordering::Relaxed)
    }

    /// The last piece came back, and no other will be taken.
    fn retire(&'static self) {
        self.state.lock().unmap();
        if let Some(mut inners) = INNERS.try_lock() {
            inners.push(self);
        }
    }
}

impl State {
    fn new() -> Self {
        Self {
            chunks: Vec::new(),
            spare: None,
            small: SMALL_CHUNKS,
            roomy: 0,
            open: [ptr::null_mut(); class::COUNT],
            in_use: 0,
            unclean: 0,
            is_closed: true,
        }
    }

    #[inline]
    fn take(&mut self, inner: &'static Inner, class: usize) -> Option<NonNull<u8>> {
        let mut slab = *self.open.get(class)?;
        if slab.is_null() {
            slab = self.add_slab(inner, class)?;
        }
        // SAFETY: slabs of this heap are changed only under its lock; an open one has a free piece,
        // or room for a fresh one.
        unsafe {
            (*slab).used += 1;
            let free = (*slab).free;
            let size = class::size(class);
            let piece = if free.is_null() {
                let fresh = (*slab).fresh;
                (*slab).fresh += size as u32;
                chunk_of(slab.addr()).cast::<u8>().add(fresh as usize)
            } else {
                (*slab).free = free.read_unaligned().next;
                free.cast()
            };
            if (*slab).free.is_null() && (*slab).fresh + size as u32 > (*slab).end {
                self.close(slab);
            }
            // What comes next was given back long ago, and is in no cache.
            if let Some(next) = self.open.get(class).and_then(|slab| slab.as_ref()) {
                fetch(next.free.addr());
            }
            NonNull::new(piece)
        }
    }

    /// # Safety
    /// The piece of this size is of this chunk, which is of this heap, and nobody uses it.
    #[inline]
    unsafe fn give_back(&mut self, chunk: *mut Chunk, piece: NonNull<u8>, size: usize) {
        let place = piece.as_ptr().addr() % CHUNK / SLAB;
        // SAFETY: as the caller says; slabs are changed only under the lock of their heap.
        unsafe {
            let slab = &raw mut (*chunk).slabs[place];
            debug_assert_eq!(class::of(size), Some((*slab).class.into()));
            let free = piece.as_ptr().cast::<Free>();
            free.write_unaligned(Free { next: (*slab).free });
            (*slab).free = free;
            (*slab).used -= 1;
            if (*slab).used == 0 {
                self.remove_slab(chunk, place);
            } else if !(*slab).is_open {
                self.open(slab);
            }
        }
    }

    /// # Safety
    /// The slab is of this heap and not open.
    unsafe fn open(&mut self, slab: *mut Slab) {
        // SAFETY: as the caller says.
        unsafe {
            let Some(first) = self.open.get_mut(usize::from((*slab).class)) else { return };
            (*slab).is_open = true;
            ((*slab).before, (*slab).behind) = (ptr::null_mut(), *first);
            if let Some(behind) = first.as_mut() {
                behind.before = slab;
            }
            *first = slab;
        }
    }

    /// # Safety
    /// The slab is of this heap and open.
    unsafe fn close(&mut self, slab: *mut Slab) {
        // SAFETY: as the caller says; and so are its neighbours.
        unsafe {
            (*slab).is_open = false;
            let (before, behind) = ((*slab).before, (*slab).behind);
            match before.as_mut() {
                Some(before) => before.behind = behind,
                None => self.open[usize::from((*slab).class)] = behind,
            }
            if let Some(behind) = behind.as_mut() {
                behind.before = before;
            }
        }
    }

    /// Another slab for this class.
    #[cold]
    fn add_slab(&mut self, inner: &'static Inner, class: usize) -> Option<*mut Slab> {
        // SAFETY: chunks are there until they are removed from the list.
        let roomy = |chunk: &NonNull<Chunk>| unsafe { chunk.as_ref() }.free != 0;
        let found = self.chunks.iter().skip(self.roomy).position(roomy);
        self.roomy = match found {
            Some(found) => self.roomy + found,
            None => self.add_chunk(inner)?,
        };
        let chunk = self.chunks.get(self.roomy)?.as_ptr();
        // SAFETY: as above, and it has a free slab.
        unsafe {
            let place = (*chunk).free.trailing_zeros() as usize;
            (*chunk).free &= !(1 << place);
            self.unclean -= usize::from((*chunk).clean & 1 << place == 0);
            (*chunk).clean &= !(1 << place);
            if (*chunk).clean == 0 && !(*chunk).is_large && self.roomy >= self.small {
                enlarge(chunk, true);
            }
            let slab = &raw mut (*chunk).slabs[place];
            slab.write(Slab {
                free: ptr::null_mut(),
                fresh: if place == 0 { HEADER } else { place * SLAB } as u32,
                end: ((place + 1) * SLAB) as u32,
                used: 0,
                class: class as u8,
                is_open: false,
                before: ptr::null_mut(),
                behind: ptr::null_mut(),
            });
            self.in_use += 1;
            self.open(slab);
            Some(slab)
        }
    }

    /// # Safety
    /// The chunk is of this heap, and nobody has a piece of its slab at this place.
    #[cold]
    unsafe fn remove_slab(&mut self, chunk: *mut Chunk, place: usize) {
        // SAFETY: as the caller says.
        unsafe {
            let slab = &raw mut (*chunk).slabs[place];
            if (*slab).is_open {
                self.close(slab);
            }
            (*chunk).free |= 1 << place;
            self.roomy = self.roomy.min((*chunk).at);
            self.in_use -= 1;
            if place == 0 {
                // What is known of the others stands there.
                (*chunk).clean |= 1;
            } else {
                self.unclean += 1;
            }
        }
        if self.unclean > FREE_MIN.max(self.in_use / 8) {
            self.clean();
        }
    }

    /// One more chunk from the system; its place.
    fn add_chunk(&mut self, inner: &'static Inner) -> Option<usize> {
        self.chunks.try_reserve(1).ok()?;
        let at = self.chunks.len();
        let spare = self.spare.take();
        let chunk: *mut Chunk = spare.or_else(|| Some(pages::map()?.cast()))?.as_ptr();
        // SAFETY: it has room for it, and nobody else has it. Slabs are written when taken.
        unsafe {
            if spare.is_none() {
                enlarge(chunk, at >= self.small);
            }
            (&raw mut (*chunk).heap).write(inner);
            (&raw mut (*chunk).at).write(at);
            (&raw mut (*chunk).free).write(u128::MAX);
            (&raw mut (*chunk).clean).write(u128::MAX);
        }
        self.chunks.push(NonNull::new(chunk)?);
        Some(at)
    }

    /// Gives the system the pages of what is free.
    fn clean(&mut self) {
        let mut at = 0;
        while let Some(chunk) = self.chunks.get(at).map(|chunk| chunk.as_ptr()) {
            // SAFETY: chunks are there until they are removed from the list; nobody has anything
            // in a slab that is free.
            unsafe {
                if (*chunk).free == u128::MAX {
                    self.unclean -= (*chunk).clean.count_zeros() as usize;
                    pages::unmap(chunk.cast());
                    self.chunks.swap_remove(at);
                    if let Some(moved) = self.chunks.get(at) {
                        (*moved.as_ptr()).at = at;
                    }
                    continue;
                }
                let unclean = (*chunk).free & !(*chunk).clean;
                (*chunk).clean |= unclean;
                if unclean != 0 && (*chunk).is_large {
                    // Else the system fills the gaps again.
                    enlarge(chunk, false);
                }
                self.unclean -= unclean.count_ones() as usize;
                for (place, count) in runs(unclean) {
                    pages::discard(chunk.cast::<u8>().add(place * SLAB), count * SLAB);
                }
            }
            at += 1;
        }
        self.roomy = 0;
    }

    fn drop_spare(&mut self) {
        if let Some(spare) = self.spare.take() {
            // SAFETY: nobody has a piece of it.
            unsafe { pages::unmap(spare.as_ptr().cast()) };
        }
    }

    /// Gives everything back to the system.
    fn unmap(&mut self) {
        self.drop_spare();
        for chunk in self.chunks.drain(..) {
            // SAFETY: nobody has a piece of it.
            unsafe { pages::unmap(chunk.as_ptr().cast()) };
        }
        *self = Self::new();
    }
}

/// Whether the system is to back a chunk with large pages.
///
/// # Safety
/// It is a chunk that only the caller changes.
unsafe fn enlarge(chunk: *mut Chunk, large: bool) {
    // SAFETY: as the caller says. In this order: the first write decides what page it gets.
    unsafe {
        pages::enlarge(chunk.cast(), large);
        (&raw mut (*chunk).is_large).write(large);
    }
}

/// Where ones follow each other, and how many.
fn runs(mut bits: u128) -> impl Iterator<Item = (usize, usize)> {
    std::iter::from_fn(move || {
        let start = bits.trailing_zeros();
        let count = bits.checked_shr(start)?.trailing_ones();
        let run = u128::MAX.checked_shr(u128::BITS - count).unwrap_or(0) << start;
        bits &= !run;
        (count > 0).then_some((start as usize, count as usize))
    })
}

#[cfg(test)]
mod tests;
