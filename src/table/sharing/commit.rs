//! How the writes of a unit become visible in one step, wherever they are.
//!
//! A unit of one write needs nothing: its word is there or it is not. Before a larger one changes a
//! bucket it keeps a copy of it in a [`Pending`] and marks the bucket. Who meets a mark asks the
//! pending unit: not committed yet, the copy is what holds; committed, the bucket itself. One store
//! decides, so no reader sees a part of the unit, and none waits for the writer, who may have been
//! put to sleep in the middle.

#![allow(unsafe_code)]

use super::PATIENCE;
use super::bucket::{Bucket, Control, SLOTS};
use super::sync::{AtomicBool, AtomicPtr, AtomicU64, AtomicUsize, Ordering, Own, pause};
use std::ptr;

/// The unit that is being published, if it is one that marks.
#[derive(Debug)]
pub(crate) struct Commit {
    pending: AtomicPtr<Pending>,
}

/// A unit that has not reached all its places yet, or has only just.
#[derive(Debug)]
pub(crate) struct Pending {
    committed: AtomicBool,
    /// By the bucket's address; at least half of them stay free.
    lines: Box<[Line]>,
    /// What stood for all databases before, if that changes.
    root: AtomicUsize,
}

/// A bucket as it was.
#[derive(Debug, Default)]
struct Line {
    bucket: AtomicUsize,
    control: AtomicU64,
    slots: [AtomicU64; SLOTS],
}

impl Pending {
    /// Of a unit that changes at most so many buckets.
    pub(crate) fn new(buckets: usize) -> Self {
        let lines = (buckets * 2).next_power_of_two().max(2);
        Self {
            committed: AtomicBool::new(false),
            lines: (0..lines).map(|_| Line::default()).collect(),
            root: AtomicUsize::new(0),
        }
    }

    /// The line of a bucket, or the free one that it would get.
    fn line(&self, address: usize, bucket: impl Fn(&Line) -> usize) -> Option<&Line> {
        let mask = self.lines.len() - 1;
        // Buckets lie next to each other, or anywhere.
        let start = address / align_of::<Bucket>();
        (start..=start + mask).find_map(|at| {
            let line = self.lines.get(at & mask)?;
            let bucket = bucket(line);
            (bucket == address || bucket == 0).then_some(line)
        })
    }

    /// In bytes.
    pub(crate) fn weight(&self) -> usize {
        size_of_val(&*self.lines)
    }

    fn old(&self, bucket: &Bucket) -> Option<&Line> {
        let address = ptr::from_ref(bucket).expose_provenance();
        // Acquire: a line that is named is complete.
        let named = |line: &Line| line.bucket.load(Ordering::Acquire);
        self.line(address, |line| named(line)).filter(|line| named(line) == address)
    }
}

/// What a reader takes for the content of a bucket.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Seen<'a> {
    bucket: &'a Bucket,
    pub(crate) control: Control,
    as_of: AsOf<'a>,
}

#[derive(Clone, Copy, Debug)]
enum AsOf<'a> {
    /// The bucket is part of no unit that is being published, ...
    Settled,
    /// ... of this one, which is committed, ...
    Committed(*const Pending),
    /// ... or of one that is not, and this is what was there before.
    Before(&'a Line),
}

impl Default for Commit {
    fn default() -> Self {
        Self { pending: AtomicPtr::new(ptr::null_mut()) }
    }
}

impl Commit {
    /// The unit that is being published.
    ///
    /// # Safety
    /// The caller is pinned, or is the writer.
    unsafe fn pending(&self) -> Option<&Pending> {
        // SAFETY: it was taken out of the readers' way before it went into the bin.
        unsafe { self.pending.load(Ordering::Acquire).as_ref() }
    }

    /// What is in a bucket; `None` if the writer came in the way too often.
    ///
    /// # Safety
    /// The caller is pinned, or is the writer.
    pub(crate) unsafe fn look<'a>(&'a self, bucket: &'a Bucket) -> Option<Seen<'a>> {
        for _ in 0..PATIENCE {
            if let Some(control) = bucket.at_rest() {
                return Some(Seen { bucket, control, as_of: AsOf::Settled });
            }
            // SAFETY: the same conditions.
            match unsafe { self.pending() } {
                // Acquire: who sees that it is committed sees all its writes.
                Some(pending) if pending.committed.load(Ordering::Acquire) => {
                    let control = Control(bucket.control.load(Ordering::Acquire));
                    let seen = Seen { bucket, control, as_of: AsOf::Committed(pending) };
                    if self.stands(&seen) {
                        return Some(seen);
                    }
                }
                Some(pending) => {
                    if let Some(line) = pending.old(bucket) {
                        let control = Control(line.control.load(Ordering::Relaxed));
                        return Some(Seen { bucket, control, as_of: AsOf::Before(line) });
                    }
                }
                None => {}
            }
            // The unit of that mark is through.
            pause();
        }
        None
    }

    /// The word in a slot; `None` if the bucket has become part of another unit meanwhile, and has
    /// to be looked at again.
    pub(crate) fn word(&self, seen: &Seen<'_>, place: usize) -> Option<u64> {
        match seen.as_of {
            AsOf::Settled => seen.bucket.word_at_rest(place),
            AsOf::Before(line) => Some(line.slots.get(place)?.load(Ordering::Relaxed)),
            AsOf::Committed(_) => {
                let word = seen.bucket.slots.get(place)?.load(Ordering::Acquire);
                self.stands(seen).then_some(word)
            }
        }
    }

    fn stands(&self, seen: &Seen<'_>) -> bool {
        match seen.as_of {
            AsOf::Settled => seen.bucket.at_rest().is_some(),
            AsOf::Committed(pending) => ptr::eq(self.pending.load(Ordering::Acquire), pending),
            AsOf::Before(_) => true,
        }
    }

    /// The word that stands for all databases.
    ///
    /// # Safety
    /// The caller is pinned, or is the writer.
    #[inline]
    pub(crate) unsafe fn root(&self, root: &AtomicUsize) -> Option<usize> {
        let word = root.load(Ordering::Acquire);
        if word & 1 == 0 {
            return Some(word);
        }
        // SAFETY: the same conditions.
        unsafe { self.root_behind_mark(root) }
    }

    #[cold]
    unsafe fn root_behind_mark(&self, root: &AtomicUsize) -> Option<usize> {
        for _ in 0..PATIENCE {
            let word = root.load(Ordering::Acquire);
            if word & 1 == 0 {
                return Some(word);
            }
            // SAFETY: the same conditions.
            if let Some(pending) = unsafe { self.pending() } {
                if !pending.committed.load(Ordering::Acquire) {
                    match pending.root.load(Ordering::Acquire) {
                        0 => {}
                        old => return Some(old),
                    }
                } else {
                    let word = root.load(Ordering::Acquire);
                    if ptr::eq(self.pending.load(Ordering::Acquire), pending) {
                        return Some(word & !1);
                    }
                }
            }
            pause();
        }
        None
    }
}

/// The writer's side.
impl Commit {
    /// From now on this is the unit that marks belong to.
    pub(crate) fn begin(&self, pending: Box<Pending>) -> &Pending {
        let pending = Box::into_raw(pending);
        self.pending.store(pending, Ordering::Release);
        // SAFETY: nobody takes it away but `end`, which only the caller calls.
        unsafe { &*pending }
    }

    /// Takes all marks off. The unit, if there was one, goes into the bin: somebody may still be
    /// asking it.
    pub(crate) fn end(&self, root: &AtomicUsize) -> Option<Box<Pending>> {
        let pending = self.pending.own();
        // SAFETY: it came from `begin`, and only the writer takes it away.
        let pending = (!pending.is_null()).then(|| unsafe { Box::from_raw(pending) })?;
        for line in &pending.lines {
            let bucket = ptr::with_exposed_provenance::<Bucket>(line.bucket.own());
            // SAFETY: buckets stay where they are while a unit is being published.
            if let Some(bucket) = unsafe { bucket.as_ref() } {
                bucket.unmark();
            }
        }
        root.store(root.own() & !1, Ordering::Release);
        self.pending.store(ptr::null_mut(), Ordering::Release);
        Some(pending)
    }
}

impl Pending {
    /// Keeps what is in a bucket and marks it, unless that was done; before it is changed.
    pub(crate) fn keep(&self, bucket: &Bucket) {
        let address = ptr::from_ref(bucket).expose_provenance();
        let line = self.line(address, |line| line.bucket.own());
        let Some(line) = line.filter(|line| line.bucket.own() == 0) else { return };
        line.control.store(bucket.own_control().0, Ordering::Relaxed);
        for (place, slot) in line.slots.iter().enumerate() {
            slot.store(bucket.own_slot(place), Ordering::Relaxed);
        }
        line.bucket.store(address, Ordering::Release);
        bucket.mark();
    }

    /// The same with the word that stands for all databases.
    pub(crate) fn keep_root(&self, root: &AtomicUsize) {
        let word = root.own();
        self.root.store(word, Ordering::Release);
        root.store(word | 1, Ordering::Release);
    }

    /// From this store on readers see all of the unit.
    pub(crate) fn commit(&self) {
        self.committed.store(true, Ordering::Release);
    }
}
