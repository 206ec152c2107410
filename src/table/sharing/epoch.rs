//! When that which readers may still look at can be given back.
//!
//! A reader announces the epoch that it began in, in a seat of its own and with a plain store; the
//! writer takes things out of the readers' way first, then counts the epoch up, and gives them back
//! once everyone who announced that epoch or an older one is done.
//!
//! For that, the writer must see an announcement, or the reader must see that the thing is gone: a
//! store and a load that must not pass each other on either side. The writer, who does this once
//! for hundreds of things, makes the whole process pass a barrier (`membarrier(2)`), which spares
//! readers theirs. Where there is no such call, readers have a fence each.

#![allow(unsafe_code)]

use super::sync::{AtomicBool, AtomicPtr, AtomicU64, Ordering, compiler_fence, fence};
use std::collections::VecDeque;
use std::ptr;

/// Not reading.
const AWAY: u64 = 0;

/// Where a thread announces what it does; in a cache line of its own, with the one that processors
/// fetch along with it.
#[repr(align(128))]
#[derive(Debug)]
pub(crate) struct Seat {
    epoch: AtomicU64,
    taken: AtomicBool,
    next: AtomicPtr<Seat>,
    readers: &'static Readers,
}

/// All seats, and the epoch. Seats are never given back, for another thread may be looking at them;
/// who leaves one lets another thread have it.
#[derive(Debug)]
pub(crate) struct Readers {
    epoch: AtomicU64,
    first: AtomicPtr<Seat>,
}

impl Readers {
    pub(crate) fn new() -> Self {
        Self { epoch: AtomicU64::new(1), first: AtomicPtr::new(ptr::null_mut()) }
    }

    /// A seat that nobody has.
    pub(crate) fn take_seat(&'static self) -> &'static Seat {
        let free = self.seats().find(|seat| {
            let taken = (Ordering::Acquire, Ordering::Relaxed);
            // The look in front leaves the others' cache lines where they are.
            !seat.taken.load(Ordering::Relaxed)
                && seat.taken.compare_exchange(false, true, taken.0, taken.1).is_ok()
        });
        free.unwrap_or_else(|| {
            let seat: &'static Seat = Box::leak(Box::new(Seat {
                epoch: AtomicU64::new(AWAY),
                taken: AtomicBool::new(true),
                next: AtomicPtr::new(ptr::null_mut()),
                readers: self,
            }));
            let mut first = self.first.load(Ordering::Relaxed);
            loop {
                seat.next.store(first, Ordering::Relaxed);
                let new = ptr::from_ref(seat).cast_mut();
                let order = (Ordering::Release, Ordering::Relaxed);
                match self.first.compare_exchange(first, new, order.0, order.1) {
                    Ok(_) => return seat,
                    Err(other) => first = other,
                }
            }
        })
    }

    fn seats(&self) -> impl Iterator<Item = &'static Seat> {
        let mut next = self.first.load(Ordering::Acquire);
        std::iter::from_fn(move || {
            // SAFETY: a seat that was ever reachable is there for ever.
            let seat: &'static Seat = unsafe { next.as_ref()? };
            next = seat.next.load(Ordering::Acquire);
            Some(seat)
        })
    }

    /// In a forked child: none of those who were reading goes on, so nobody waits for them. Their
    /// seats stay taken.
    pub(crate) fn forget(&self) {
        self.seats().for_each(Seat::leave);
    }

    /// The epoch that ends now, and with which all that was taken away until now is marked.
    fn end_epoch(&self) -> u64 {
        self.epoch.fetch_add(1, Ordering::Release)
    }

    /// The oldest epoch that somebody who reads has announced; 0 where that can't be told.
    fn oldest(&self, barrier: Option<fn() -> bool>) -> u64 {
        match barrier {
            Some(barrier) if !barrier() => return 0,
            Some(_) => {}
            None => fence(Ordering::SeqCst),
        }
        let epochs = self.seats().map(|seat| seat.epoch.load(Ordering::Acquire));
        epochs.filter(|epoch| *epoch != AWAY).min().unwrap_or(u64::MAX)
    }
}

impl Seat {
    /// Announces that the thread that has this seat reads from now on. `fenced`: where writers pass
    /// no barrier for all.
    #[inline]
    pub(crate) fn enter(&self, fenced: bool) {
        // Acquire: who announces an epoch sees everything that was taken away before it began.
        let epoch = self.readers.epoch.load(Ordering::Acquire);
        // Release: it also says that whatever was read before is done with.
        self.epoch.store(epoch, Ordering::Release);
        compiler_fence(Ordering::SeqCst);
        if fenced {
            full_fence();
        }
    }

    /// Nothing is read any more.
    #[inline]
    pub(crate) fn leave(&self) {
        // Release: what was read was read before it is given back.
        self.epoch.store(AWAY, Ordering::Release);
    }

    #[inline]
    pub(super) fn is_reading(&self) -> bool {
        self.epoch.load(Ordering::Relaxed) != AWAY
    }

    /// Another thread may have it.
    pub(super) fn give_up(&self) {
        self.leave();
        self.taken.store(false, Ordering::Release);
    }
}

#[cold]
fn full_fence() {
    fence(Ordering::SeqCst);
}

/// What was taken out of the readers' way and waits for them to be done; dropping a thing gives it
/// back.
#[derive(Debug)]
pub(crate) struct Bin<T> {
    waiting: VecDeque<Lot<T>>,
    fresh: Vec<T>,
    /// Of what is fresh.
    weight: usize,
    /// Of what is waiting.
    kept: usize,
    /// How often another look was put off, and how often that is to be.
    put_off: u32,
    patience: u32,
}

/// What was taken away in one epoch.
#[derive(Debug)]
struct Lot<T> {
    epoch: u64,
    weight: usize,
    things: Vec<T>,
}

impl<T> Default for Bin<T> {
    fn default() -> Self {
        Self {
            waiting: VecDeque::new(),
            fresh: Vec::new(),
            weight: 0,
            kept: 0,
            put_off: 0,
            patience: 1,
        }
    }
}

impl<T> Bin<T> {
    /// So much may wait without a look at the readers: looking costs about as much as some hundred
    /// lookups, but what waits takes memory.
    const WEIGHT_MAX: usize = 256 << 10;

    /// Another look is put off at most so often.
    const PATIENCE_MAX: u32 = 256;

    /// Nobody can come to this from now on. `weight` is about its size in bytes.
    pub(crate) fn put(&mut self, thing: T, weight: usize) {
        self.fresh.push(thing);
        self.weight += weight;
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.fresh.is_empty() && self.waiting.is_empty()
    }

    /// Whether it is worth a look.
    pub(crate) fn is_full(&self) -> bool {
        self.weight >= Self::WEIGHT_MAX
    }

    /// Whether it is worth another look though little was put there since the last one, when
    /// somebody was in the way: soon, then less and less often.
    pub(crate) fn is_left_full(&mut self) -> bool {
        self.put_off += u32::from(self.kept >= Self::WEIGHT_MAX);
        self.put_off >= self.patience
    }

    /// Who was in the way for long is not any more.
    pub(crate) fn hurry(&mut self) {
        self.patience = 1;
    }

    /// Takes out what nobody looks at any more. The caller drops it, where no lock is held.
    pub(crate) fn sort_out(
        &mut self,
        readers: &Readers,
        barrier: Option<fn() -> bool>,
    ) -> Vec<Vec<T>> {
        if !self.fresh.is_empty() {
            let (weight, things) = (self.weight, std::mem::take(&mut self.fresh));
            self.waiting.push_back(Lot { epoch: readers.end_epoch(), weight, things });
            self.kept += weight;
        }
        (self.weight, self.put_off) = (0, 0);
        let oldest = readers.oldest(barrier);
        let done = self.waiting.iter().take_while(|lot| lot.epoch < oldest).count();
        self.patience = match done {
            0 => (self.patience * 2).min(Self::PATIENCE_MAX),
            _ => 1,
        };
        let done: Vec<Lot<T>> = self.waiting.drain(..done).collect();
        self.kept -= done.iter().map(|lot| lot.weight).sum::<usize>();
        done.into_iter().map(|lot| lot.things).collect()
    }
}
