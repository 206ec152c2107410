//! From a key to the word that is stored for it: extendible hashing.
//!
//! The highest bits of a key's hash choose a segment by way of a directory; a segment that is full
//! is split in two, and the directory doubles when its bits no longer tell them apart. So an index
//! grows a segment at a time, whatever its size. A lookup fetches two lines that are not in the
//! cache: the bucket, and what is stored. (The directory is eight bytes to some 300 keys.)

#![allow(unsafe_code)]

mod packed;
mod root;
mod segment;
mod stored;

pub use packed::Plain;
pub use stored::{SLOT_BYTES, Shown};

pub(super) use root::Root;
pub(super) use segment::Segment;
pub(super) use stored::{Glance, Stored, shared_memory};

use super::layout::Layout;
use super::sharing::{Bucket, Commit, Pin};
use crate::memory::fetch;
use segment::{Likely, OwnSegment, Spot, fetch_stored, own_guess};
use std::sync::atomic::{AtomicPtr, AtomicUsize, Ordering};

/// The keys of one database. Readers use it through `&self` and pinned; the writer, too, but is
/// the only one who calls what changes it, and throws away only by way of a bin.
#[derive(Debug)]
pub(super) struct Index {
    directory: AtomicPtr<Directory>,
}

#[derive(Debug)]
pub(super) struct Directory {
    /// How many of a hash's bits are left when its highest have chosen one of ... There is one bit
    /// at least that chooses, so that lookups can shift by this without a further thought.
    rest: u32,
    segments: Box<[AtomicUsize]>,
}

/// What is no longer part of an index.
#[derive(Debug)]
pub(super) enum Gone {
    Segment(OwnSegment),
    Directory(Box<Directory>),
}

impl Gone {
    /// In bytes.
    pub(super) fn weight(&self) -> usize {
        match self {
            Self::Segment(segment) => segment.weight(),
            Self::Directory(directory) => size_of_val(&*directory.segments),
        }
    }
}

/// The least of the hashes that a walk still has before it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct From(pub(super) u64);

/// Where a lookup begins. What it tells holds as long as no unit comes.
#[derive(Clone, Copy, Debug)]
pub(super) struct Start<'a> {
    segment: Segment,
    bucket: &'a Bucket,
    hash: u64,
}

impl<'a> Start<'a> {
    /// Has the processor fetch what the lookup will probably find; the bucket is there by now.
    #[inline]
    pub(super) fn fetch_stored(&self) {
        if let Some(word) = self.bucket.likely(self.hash) {
            fetch_stored(word);
        }
    }

    /// As [`Index::find_at_rest`].
    #[inline(always)]
    pub(super) fn find_at_rest(
        &self,
        pin: &'a Pin,
        wanted: impl Fn(Shown<'a>) -> bool,
    ) -> Option<Option<Shown<'a>>> {
        self.segment.find_at_rest(pin, self.bucket, self.hash, wanted)
    }
}

impl Directory {
    /// Of so many words as a number of bits can tell apart; of a single one it has two.
    fn new(mut words: Vec<usize>) -> *mut Self {
        if let [word] = words[..] {
            words.push(word);
        }
        debug_assert!(words.len().is_power_of_two());
        let bits = words.len().ilog2();
        let segments = words.into_iter().map(AtomicUsize::new).collect();
        Box::into_raw(Box::new(Self { rest: 64 - bits, segments }))
    }

    fn bits(&self) -> u32 {
        64 - self.rest
    }

    #[inline]
    fn at(&self, hash: u64) -> usize {
        (hash >> self.rest) as usize
    }

    #[inline]
    fn segment(&self, hash: u64) -> Segment {
        // SAFETY: there is one for whatever the highest bits are, see `new`.
        let word = unsafe { self.segments.get_unchecked(self.at(hash)) };
        Segment(word.load(Ordering::Acquire))
    }
}

impl Index {
    /// One that takes so many keys before it grows.
    pub(super) fn new(keys: usize, born: u64, layout: &Layout) -> Self {
        const USUAL: usize = 300;
        let bits = (keys / USUAL + 1).next_power_of_two().ilog2().min(24);
        let share = (keys >> bits) + (keys >> bits) / 16 + 1;
        let segments = 0..1_usize << bits;
        layout.heap.foresee(segments.len() * Segment::size(share));
        let segments = segments.map(|_| Segment::new(&layout.heap, share, bits, born).0);
        Self { directory: AtomicPtr::new(Directory::new(segments.collect())) }
    }

    #[inline]
    fn directory(&self) -> &Directory {
        // SAFETY: it is there until it was in the bin for long enough; whoever has this is pinned,
        // or is the writer.
        unsafe { &*self.directory.load(Ordering::Acquire) }
    }

    /// The segment of a hash.
    #[inline]
    fn segment(&self, hash: u64) -> Segment {
        self.directory().segment(hash)
    }

    /// Where a lookup begins, which the processor is told to fetch.
    #[inline]
    pub(super) fn start<'a>(&'a self, _: &'a Pin, hash: u64) -> Start<'a> {
        let segment = self.segment(hash);
        let bucket = segment.first(hash);
        fetch(std::ptr::from_ref(bucket).addr());
        Start { segment, bucket, hash }
    }

    /// As [`Segment::glance`].
    #[inline(always)]
    pub(super) fn glance<'a>(
        &self,
        pin: &'a Pin,
        hash: u64,
        key: &[u8],
        stands: impl FnOnce() -> bool,
    ) -> Result<Plain<'a>, Glance<'a>> {
        self.segment(hash).glance(pin, hash, key, stands)
    }

    /// What readers find that is `wanted`, if the writer is elsewhere; the outer `None` if that
    /// does not tell.
    #[inline(always)]
    pub(super) fn find_at_rest<'a>(
        &self,
        pin: &'a Pin,
        hash: u64,
        wanted: impl Fn(Shown<'a>) -> bool,
    ) -> Option<Option<Shown<'a>>> {
        let segment = self.segment(hash);
        segment.find_at_rest(pin, segment.first(hash), hash, wanted)
    }

    /// What they find in any case; the outer `None` if the writer came in the way too often.
    pub(super) fn find<'a>(
        &self,
        pin: &'a Pin,
        hash: u64,
        commit: &Commit,
        wanted: impl Fn(Shown<'a>) -> bool,
    ) -> Option<Option<Shown<'a>>> {
        self.segment(hash).find(pin, hash, commit, wanted)
    }

    /// What comes next on a walk, and how it goes on; the outer `None` if the writer came in the
    /// way too often.
    pub(super) fn walk<'a>(
        &self,
        pin: &'a Pin,
        from: From,
        layout: &Layout,
        commit: &Commit,
    ) -> Option<(Vec<Shown<'a>>, Option<From>)> {
        let segment = self.segment(from.0);
        Some(Self::step(segment, segment.all_seen(pin, commit)?, from, layout))
    }

    /// What of a segment a walk has before it, and how it goes on.
    fn step<'a>(
        segment: Segment,
        mut all: Vec<Shown<'a>>,
        from: From,
        layout: &Layout,
    ) -> (Vec<Shown<'a>>, Option<From>) {
        let bits = 64 - segment.depth();
        let start = if bits == 64 { 0 } else { from.0 >> bits << bits };
        if start != from.0 {
            // It begins before the place where the walk is.
            all.retain(|shown| layout.hash(shown.key()) >= from.0);
        }
        let next = 1_u64.checked_shl(bits).and_then(|size| start.checked_add(size));
        (all, next.map(From))
    }
}

/// The writer's side.
impl Index {
    /// The segments, each once.
    fn segments(&self) -> impl Iterator<Item = Segment> {
        let mut last = Segment(0);
        let words = self.directory().segments.iter();
        let segments = words.map(|word| Segment(word.load(Ordering::Relaxed)));
        segments.filter(move |segment| {
            let is_new = segment.0 != 0 && *segment != last;
            last = *segment;
            is_new
        })
    }

    /// As [`Index::walk`].
    pub(super) fn own_walk(&self, from: From, layout: &Layout) -> (Vec<Shown<'_>>, Option<From>) {
        let segment = self.segment(from.0);
        Self::step(segment, segment.own_all().collect(), from, layout)
    }

    /// All that is stored.
    #[cfg(test)]
    pub(super) fn own_all(&self) -> impl Iterator<Item = Shown<'_>> {
        self.segments().flat_map(Segment::own_all)
    }

    /// All that is stored, for a copy of it: only the segments' addresses are copied.
    pub(super) fn frozen(&self) -> Vec<Segment> {
        self.segments().collect()
    }

    /// What is stored for a key.
    pub(super) fn own_get(&self, hash: u64, key: &[u8]) -> Option<Shown<'_>> {
        self.own_find(hash, key)?.show()
    }

    /// Has the processor fetch what a look at a key, or an edit, begins with.
    #[inline]
    pub(super) fn own_fetch(&self, hash: u64) {
        let segment = self.segment(hash);
        fetch(std::ptr::from_ref(segment.first(hash)).addr());
        segment.fetch_fields();
    }

    /// The same of where what it will probably find begins; the bucket is there by now.
    #[inline]
    pub(super) fn own_fetch_stored(&self, hash: u64) {
        match self.segment(hash).own_likely(hash) {
            Likely::Here(spot) => spot.fetch(),
            Likely::Behind(bucket) => fetch(std::ptr::from_ref(bucket).addr()),
            Likely::Nowhere => {}
        }
    }

    /// The same of all of it; what was asked for before is there by now.
    #[inline]
    pub(super) fn own_fetch_rest(&self, hash: u64) {
        match self.segment(hash).own_likely(hash) {
            Likely::Here(spot) => spot.fetch_rest(),
            Likely::Behind(bucket) => {
                if let Some(spot) = own_guess(bucket, hash) {
                    spot.fetch();
                }
            }
            Likely::Nowhere => {}
        }
    }

    /// Where a key is.
    pub(super) fn own_find(&self, hash: u64, key: &[u8]) -> Option<Spot<'_>> {
        self.segment(hash).own_find(hash, key)
    }

    /// Stores what is new; [`Index::prepare`] was told. `before` hears of a bucket before it
    /// changes.
    pub(super) fn insert(&self, hash: u64, new: Stored, before: impl Fn(&Bucket)) {
        self.segment(hash).insert(hash, new, before);
    }

    /// Stores what is probably new, as [`Index::prepare`] and [`Index::insert`] together, where no
    /// unit has to hear of it; gives it back if the key is there.
    #[inline]
    pub(super) fn add(
        &self,
        hash: u64,
        new: Stored,
        numbers: (u64, u64),
        layout: &Layout,
        gone: impl FnMut(Gone),
    ) -> Result<(), Stored> {
        let segment = self.segment(hash);
        if segment.takes_another(numbers.1)
            && let Some(place) = segment.free_place(hash)
        {
            segment.add_at(place, hash, new);
            return Ok(());
        }
        if self.own_find(hash, new.show().key()).is_some() {
            return Err(new);
        }
        self.prepare(hash, |_| 1, numbers, layout, gone);
        self.insert(hash, new, |_| ());
        Ok(())
    }

    /// Takes away what is at a place.
    pub(super) fn remove(&self, hash: u64, spot: &Spot<'_>) -> Option<Stored> {
        self.segment(hash).remove(spot)
    }

    /// Makes room for new words in a segment that is about to change, and lets a snapshot keep it
    /// as it is. The segment is that of `hash`; `news` tells how many of the new words go there.
    /// `born` is the number of the last snapshot, and `frozen` that of the last one that somebody
    /// still has, or 0.
    pub(super) fn prepare(
        &self,
        hash: u64,
        news: impl Fn(&Self) -> usize,
        (born, frozen): (u64, u64),
        layout: &Layout,
        mut gone: impl FnMut(Gone),
    ) {
        loop {
            let segment = self.segment(hash);
            let new = news(self);
            let words = segment.used() + new;
            // What is large because much is to come is not made small before that has come.
            let is_untidy = || segment.is_untidy(words) || new == 0 && segment.is_sparse(words);
            let fits = words <= segment.room();
            if !fits && (segment.is_largest() || words > Segment::LARGEST) {
                self.split(segment, hash, born, layout, &mut gone);
                continue;
            }
            let other = match fits {
                true if is_untidy() => segment.rebuilt(words + words / 6 + 1, born, layout),
                true if segment.is_older(frozen) => segment.copied(born, layout),
                true => return,
                false => segment.rebuilt(words, born, layout),
            };
            self.exchange(segment, hash, [other, other]);
            gone(Gone::Segment(segment.own()));
            return;
        }
    }

    /// Whether two hashes have the same segment.
    pub(super) fn is_near(&self, hash: u64, other: u64) -> bool {
        self.segment(hash) == self.segment(other)
    }

    fn split(
        &self,
        segment: Segment,
        hash: u64,
        born: u64,
        layout: &Layout,
        gone: &mut impl FnMut(Gone),
    ) {
        let directory = self.directory();
        if segment.depth() == directory.bits() {
            let words = directory.segments.iter().map(|word| word.load(Ordering::Relaxed));
            let new = Directory::new(words.flat_map(|word| [word, word]).collect());
            let old = self.directory.swap(new, Ordering::Release);
            // SAFETY: it came from a box, and from now on nobody comes to it.
            gone(Gone::Directory(unsafe { Box::from_raw(old) }));
        }
        self.exchange(segment, hash, segment.split(born, layout));
        gone(Gone::Segment(segment.own()));
    }

    /// Other segments in the place of one: the second for the upper half of its hashes.
    fn exchange(&self, old: Segment, hash: u64, [lower, upper]: [Segment; 2]) {
        let directory = self.directory();
        let places = 1_usize << (directory.bits() - old.depth());
        let first = directory.at(hash) / places * places;
        for (at, word) in directory.segments.iter().enumerate().skip(first).take(places) {
            let new = if at < first + places.div_ceil(2) { lower } else { upper };
            // Release: who finds the segment finds what is in it.
            word.store(new.0, Ordering::Release);
        }
    }

    /// Takes everything out. Nobody else sees this index.
    pub(super) fn drain(&self) -> Drain {
        let segments: Vec<Segment> = self.segments().collect();
        for word in &self.directory().segments {
            word.store(0, Ordering::Relaxed);
        }
        Drain { segments: segments.into_iter(), stored: Vec::new().into_iter() }
    }
}

/// All that an index had, segment by segment, each of which is given back when it is empty.
#[derive(Debug)]
pub(super) struct Drain {
    segments: std::vec::IntoIter<Segment>,
    stored: std::vec::IntoIter<Stored>,
}

impl Iterator for Drain {
    type Item = Stored;

    fn next(&mut self) -> Option<Stored> {
        loop {
            if let Some(stored) = self.stored.next() {
                return Some(stored);
            }
            self.stored = self.segments.next()?.own().drain().into_iter();
        }
    }
}

impl Drop for Drain {
    fn drop(&mut self) {
        self.for_each(drop);
    }
}

impl Drop for Index {
    fn drop(&mut self) {
        self.drain().for_each(drop);
        let directory = *self.directory.get_mut();
        // SAFETY: it came from a box, and this is its last owner.
        drop(unsafe { Box::from_raw(directory) });
    }
}
