//! A piece of an index: some buckets next to each other, grown, split and copied as one.
//!
//! What belongs into a bucket that is full is in one of those behind it. Nothing moves within a
//! segment: who is in the middle of looking for a key can't miss it. A segment that becomes too
//! full, too empty or too untidy is exchanged for another, and goes into the bin.

#![allow(unsafe_code)]

use super::packed::Plain;
use super::stored::{Glance, Shown, Stored};
use crate::memory::{Heap, LINE, Lines, fetch};
use crate::table::layout::Layout;
use crate::table::sharing::{Bucket, Commit, Pin, SLOTS, tag_of};
use std::ptr;
use std::sync::atomic::Ordering::Relaxed;

/// Buckets of a segment; each size is about a fourth more than the one before, so that segments are
/// well filled on average, and those of databases with few keys are small. With the one that comes
/// first they are sizes that a heap gives out without a rest.
const SIZES: [usize; 17] = [1, 2, 3, 4, 5, 6, 7, 9, 11, 15, 20, 24, 31, 35, 41, 50, LARGEST];
const LARGEST: usize = 63;

/// Addresses of buckets have as many bits to spare.
const SIZE_BITS: usize = LINE - 1;

const _: () =
    assert!(LARGEST <= SIZE_BITS && size_of::<Bucket>() == LINE && align_of::<Bucket>() == LINE);

/// The fields of the bucket that comes first and has no slots: how many words there are, the
/// segment's depth, which snapshot it is newer than, and how many buckets have spilled.
const USED: usize = 0;
const DEPTH: usize = 1;
const BORN: usize = 2;
const SPILLS: usize = 3;

/// The address of a segment, with its number of buckets in the bits to spare. Whoever has one makes
/// sure that it is still there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::table) struct Segment(pub(in crate::table) usize);

/// The segment's own memory, without what its words refer to.
#[derive(Debug)]
pub(in crate::table) struct OwnSegment(Segment);

/// Where a word is.
#[derive(Clone, Copy, Debug)]
pub(in crate::table) struct Spot<'a> {
    pub(in crate::table) bucket: &'a Bucket,
    pub(in crate::table) place: usize,
}

/// Where the writer will probably find something: a guess, for which no key is looked at.
pub(in crate::table) enum Likely<'a> {
    Here(Spot<'a>),
    /// In the bucket behind the first, if anywhere.
    Behind(&'a Bucket),
    Nowhere,
}

/// The smallest size that takes so many words, or the largest.
fn size_for(words: usize) -> usize {
    SIZES.into_iter().find(|buckets| room_of(*buckets) >= words).unwrap_or(LARGEST)
}

/// How many words so many buckets take, at most. With six of seven slots taken, few buckets spill.
fn room_of(buckets: usize) -> usize {
    if buckets == 1 { SLOTS } else { buckets * (SLOTS - 1) }
}

impl Segment {
    /// How many words the largest takes.
    pub(in crate::table) const LARGEST: usize = LARGEST * (SLOTS - 1);

    /// One that takes so many words, or as many as one can.
    pub(in crate::table) fn new(heap: &Heap, words: usize, depth: u32, born: u64) -> Self {
        let count = size_for(words);
        // A bucket of zeros is an empty one.
        let segment = Self(heap.lines(count + 1).into_address() | count);
        segment.set(DEPTH, depth.into());
        segment.set(BORN, born);
        segment
    }

    /// How many bytes one takes that is made for so many words.
    pub(in crate::table) fn size(words: usize) -> usize {
        (size_for(words) + 1) * LINE
    }

    /// How many buckets it has, without the one that comes first.
    #[inline]
    fn len(self) -> usize {
        self.0 & SIZE_BITS
    }

    /// With the one that comes first.
    fn all<'a>(self) -> &'a [Bucket] {
        let first = ptr::with_exposed_provenance::<Bucket>(self.0 & !SIZE_BITS);
        let buckets = self.len();
        // SAFETY: the address is that of lines for so many buckets, and whoever has it makes sure
        // that it is still there: readers by being pinned, the writer by being the one who throws
        // it away.
        unsafe { std::slice::from_raw_parts(first, buckets + 1) }
    }

    #[inline]
    pub(in crate::table) fn buckets<'a>(self) -> &'a [Bucket] {
        self.all().get(1..).unwrap_or_default()
    }

    fn field(self, field: usize) -> u64 {
        self.all().first().map_or(0, |first| first.own_slot(field))
    }

    fn set(self, field: usize, value: u64) {
        if let Some(slot) = self.all().first().and_then(|first| first.slots.get(field)) {
            slot.store(value, Relaxed);
        }
    }

    /// How many of a hash's highest bits all its words have in common. Never changes.
    pub(in crate::table) fn depth(self) -> u32 {
        self.field(DEPTH) as u32
    }

    pub(in crate::table) fn used(self) -> usize {
        self.field(USED) as usize
    }

    /// Whether it was there when the snapshot of this number was made.
    pub(in crate::table) fn is_older(self, snapshot: u64) -> bool {
        self.field(BORN) < snapshot
    }

    /// How many words it takes.
    pub(in crate::table) fn room(self) -> usize {
        room_of(self.buckets().len())
    }

    /// Whether it takes so many words, and can't grow.
    pub(in crate::table) fn is_largest(self) -> bool {
        self.len() >= LARGEST
    }

    /// Whether another one of so many words would be much smaller.
    pub(in crate::table) fn is_sparse(self, words: usize) -> bool {
        let buckets = self.len();
        buckets > 1 && words < room_of(buckets) / 4
    }

    /// Whether another one of so many words would have fewer detours.
    pub(in crate::table) fn is_untidy(self, words: usize) -> bool {
        let buckets = self.len();
        let room = room_of(buckets);
        // Where it can't get more room, another one has about half as many detours as buckets, too.
        let is_dense = self.is_largest() && words > room - room / 8;
        let usual = if is_dense { buckets * 3 / 4 } else { buckets / 2 + 1 };
        self.field(SPILLS) as usize > usual
    }

    #[inline]
    fn home(self, hash: u64) -> usize {
        let buckets = self.len() as u64;
        // The lowest bits: the highest chose the segment, those between are the tag.
        ((u64::from(hash as u32) * buckets) >> 32) as usize
    }

    /// The buckets where a word of this hash may be, in this order.
    #[inline]
    pub(in crate::table) fn way<'a>(self, hash: u64) -> impl Iterator<Item = &'a Bucket> {
        let (len, home) = (self.len(), self.home(hash));
        (home..home + len).map(move |at| {
            // SAFETY: so many there are, and the home is one of them.
            unsafe { self.bucket(if at < len { at } else { at - len }) }
        })
    }

    /// The bucket where a word of this hash is, if that was not full.
    #[inline]
    pub(in crate::table) fn first<'a>(self, hash: u64) -> &'a Bucket {
        // SAFETY: no hash's home is behind the last bucket.
        unsafe { self.bucket(self.home(hash)) }
    }

    /// # Safety
    /// There are more than `at`, without the one that comes first.
    #[inline]
    unsafe fn bucket<'a>(self, at: usize) -> &'a Bucket {
        let first = ptr::with_exposed_provenance::<Bucket>(self.0 & !SIZE_BITS);
        // SAFETY: as for `all`, and this function's own condition.
        unsafe { &*first.add(1 + at) }
    }

    /// A simple string that is there under a key of usual length, where a glance shows it: the
    /// first of its tag, in the bucket where it belongs, and no unit is being published there.
    /// `stands` is asked before anything is told, so that nobody has to ask again what it was.
    #[inline(always)]
    pub(in crate::table) fn glance<'a>(
        self,
        _: &'a Pin,
        hash: u64,
        key: &[u8],
        stands: impl FnOnce() -> bool,
    ) -> Result<Plain<'a>, Glance<'a>> {
        let bucket = self.first(hash);
        let control = bucket.at_rest().ok_or(Glance::Unsure)?;
        let Some(place) = control.with_tag(tag_of(hash)).next() else {
            let is_absent = !control.is_spilled() && stands();
            return Err(if is_absent { Glance::Absent } else { Glance::Unsure });
        };
        let word = bucket.word_at_rest(place).ok_or(Glance::Unsure)?;
        fetch_rest(word);
        // SAFETY: the tag was there, so the word was there before it; what it refers to goes into
        // the bin when it is replaced, and the reader is pinned.
        unsafe { Shown::of_taken(word) }.glance(key, stands)
    }

    /// What readers find that is `wanted`, if no unit is being published where they look; the outer
    /// `None` if one is. `bucket` is the first.
    #[inline(always)]
    pub(in crate::table) fn find_at_rest<'a>(
        self,
        _: &'a Pin,
        bucket: &'a Bucket,
        hash: u64,
        wanted: impl Fn(Shown<'a>) -> bool,
    ) -> Option<Option<Shown<'a>>> {
        match look_at_rest(bucket, hash, &wanted)? {
            (None, true) => self.find_further(hash, wanted),
            (found, _) => Some(found),
        }
    }

    /// The same in the buckets behind the first: one of sixteen keys is there.
    #[inline(never)]
    fn find_further<'a>(
        self,
        hash: u64,
        wanted: impl Fn(Shown<'a>) -> bool,
    ) -> Option<Option<Shown<'a>>> {
        for bucket in self.way(hash).skip(1) {
            match look_at_rest(bucket, hash, &wanted)? {
                (None, true) => {}
                (found, _) => return Some(found),
            }
        }
        Some(None)
    }

    /// Has the processor fetch what the writer looks at before it changes anything here.
    #[inline]
    pub(in crate::table) fn fetch_fields(self) {
        fetch(self.0 & !SIZE_BITS);
    }

    /// What readers find that is `wanted`, wherever it is and whatever happens there; the outer
    /// `None` if the writer came in the way too often.
    pub(in crate::table) fn find<'a>(
        self,
        _: &'a Pin,
        hash: u64,
        commit: &Commit,
        wanted: impl Fn(Shown<'a>) -> bool,
    ) -> Option<Option<Shown<'a>>> {
        for bucket in self.way(hash) {
            'again: loop {
                // SAFETY: the reader is pinned.
                let seen = unsafe { commit.look(bucket)? };
                for place in seen.control.with_tag(tag_of(hash)) {
                    let Some(word) = commit.word(&seen, place) else { continue 'again };
                    // SAFETY: what a slot refers to goes into the bin when it is replaced, and the
                    // reader is pinned.
                    let shown = unsafe { Shown::of_slot(word) };
                    if shown.is_some_and(&wanted) {
                        return Some(shown);
                    }
                }
                if !seen.control.is_spilled() {
                    return Some(None);
                }
                break;
            }
        }
        Some(None)
    }

    /// All that readers see; `None` if the writer came in the way too often.
    pub(in crate::table) fn all_seen<'a>(
        self,
        _: &'a Pin,
        commit: &Commit,
    ) -> Option<Vec<Shown<'a>>> {
        let mut all = Vec::new();
        for bucket in self.buckets() {
            let complete = all.len();
            'again: loop {
                all.truncate(complete);
                // SAFETY: the reader is pinned.
                let seen = unsafe { commit.look(bucket)? };
                for place in seen.control.taken() {
                    let Some(word) = commit.word(&seen, place) else { continue 'again };
                    // SAFETY: as in `find`.
                    all.extend(unsafe { Shown::of_slot(word) });
                }
                break;
            }
        }
        Some(all)
    }
}

/// Has the processor fetch what a word refers to.
#[inline]
pub(in crate::table) fn fetch_stored(word: u64) {
    fetch(word as usize);
    fetch_rest(word);
}

/// The same where it is looked at just now. Most blocks lie in two lines, and where the value is in
/// the second is told by the first: not to wait for one after the other is worth a third.
#[inline]
fn fetch_rest(word: u64) {
    fetch(word as usize + LINE - 8);
}

/// What of a bucket is `wanted`, and whether there may be more behind it; `None` if a unit is being
/// published there. Whoever has the bucket is pinned.
#[inline(always)]
fn look_at_rest<'a>(
    bucket: &'a Bucket,
    hash: u64,
    wanted: impl Fn(Shown<'a>) -> bool,
) -> Option<(Option<Shown<'a>>, bool)> {
    let control = bucket.at_rest()?;
    for place in control.with_tag(tag_of(hash)) {
        let word = bucket.word_at_rest(place)?;
        fetch_rest(word);
        // SAFETY: the tag was there, so the word was there before it; what it refers to goes into
        // the bin when it is replaced, and the reader is pinned.
        let shown = unsafe { Shown::of_taken(word) };
        if wanted(shown) {
            return Some((Some(shown), false));
        }
    }
    Some((None, control.is_spilled()))
}

/// The writer's side.
impl Segment {
    /// All that is stored.
    pub(in crate::table) fn own_all<'a>(self) -> impl Iterator<Item = Shown<'a>> {
        // SAFETY: what slots refer to is there as long as they refer to it; and whoever has the
        // segment makes sure of it.
        self.own_words().filter_map(|word| unsafe { Shown::of_slot(word) })
    }

    fn own_words(self) -> impl Iterator<Item = u64> {
        self.buckets().iter().flat_map(|bucket| {
            bucket.own_control().taken().map(move |place| bucket.own_slot(place))
        })
    }

    /// Where this key is.
    #[inline]
    pub(in crate::table) fn own_find<'a>(self, hash: u64, key: &[u8]) -> Option<Spot<'a>> {
        match own_look(self.first(hash), hash, key) {
            (None, true) => self.own_find_further(hash, key),
            (found, _) => found,
        }
    }

    /// What this hash will probably lead to.
    #[inline]
    pub(in crate::table) fn own_likely<'a>(self, hash: u64) -> Likely<'a> {
        let bucket = self.first(hash);
        match own_guess(bucket, hash) {
            Some(spot) => Likely::Here(spot),
            None if bucket.own_control().is_spilled() => {
                self.way(hash).nth(1).map_or(Likely::Nowhere, Likely::Behind)
            }
            None => Likely::Nowhere,
        }
    }

    /// The same in the buckets behind the first.
    #[inline(never)]
    fn own_find_further<'a>(self, hash: u64, key: &[u8]) -> Option<Spot<'a>> {
        for bucket in self.way(hash).skip(1) {
            match own_look(bucket, hash, key) {
                (None, true) => {}
                (found, _) => return found,
            }
        }
        None
    }

    /// Stores what is new, for which there is room: who calls this has made it. `before` hears of a
    /// bucket before it changes.
    pub(in crate::table) fn insert(self, hash: u64, new: Stored, before: impl Fn(&Bucket)) {
        self.insert_word(hash, new.into_word(), before);
    }

    fn insert_word(self, hash: u64, word: u64, before: impl Fn(&Bucket)) {
        for bucket in self.way(hash) {
            let Some(place) = bucket.own_control().free() else {
                if !bucket.own_control().is_spilled() {
                    // It makes readers look further, nothing else: no part of the unit.
                    bucket.spill();
                    self.set(SPILLS, self.field(SPILLS) + 1);
                }
                continue;
            };
            before(bucket);
            bucket.fill(place, tag_of(hash), word);
            self.set(USED, self.field(USED) + 1);
            return;
        }
        debug_assert!(false, "there was no room");
    }

    /// Whether one more fits in as it is, and no snapshot keeps it: what [`Index::prepare`] asks.
    ///
    /// [`Index::prepare`]: super::Index::prepare
    #[inline]
    pub(in crate::table) fn takes_another(self, frozen: u64) -> bool {
        let words = self.used() + 1;
        words <= self.room() && !self.is_untidy(words) && !self.is_older(frozen)
    }

    /// A free place where a word of this hash belongs, if nothing that may have the same key is
    /// anywhere.
    #[inline]
    pub(in crate::table) fn free_place<'a>(self, hash: u64) -> Option<Spot<'a>> {
        let bucket = self.first(hash);
        let control = bucket.own_control();
        if control.is_spilled() || control.with_tag(tag_of(hash)).next().is_some() {
            return None;
        }
        control.free().map(|place| Spot { bucket, place })
    }

    /// Stores what is new at a free place.
    #[inline]
    pub(in crate::table) fn add_at(self, spot: Spot<'_>, hash: u64, new: Stored) {
        spot.bucket.fill(spot.place, tag_of(hash), new.into_word());
        self.set(USED, self.field(USED) + 1);
    }

    /// Takes away what is at a place of this segment.
    pub(in crate::table) fn remove(self, spot: &Spot<'_>) -> Option<Stored> {
        self.set(USED, self.field(USED).saturating_sub(1));
        // SAFETY: the slot owned it, and is free now.
        unsafe { Stored::from_word(spot.bucket.clear(spot.place)) }
    }

    /// The same words in a segment that has room for so many.
    pub(in crate::table) fn rebuilt(self, words: usize, born: u64, layout: &Layout) -> Self {
        let new = Self::new(&layout.heap, words, self.depth(), born);
        self.own_words().for_each(|word| new.add(word, layout));
        new
    }

    /// The same words in the same places.
    pub(in crate::table) fn copied(self, born: u64, layout: &Layout) -> Self {
        let new = Self::new(&layout.heap, self.room(), self.depth(), born);
        for (from, to) in self.buckets().iter().zip(new.buckets()) {
            to.copy(from);
        }
        new.set(USED, self.field(USED));
        new.set(SPILLS, self.field(SPILLS));
        new
    }

    /// The same words by the next bit of their hashes.
    pub(in crate::table) fn split(self, born: u64, layout: &Layout) -> [Self; 2] {
        let depth = self.depth() + 1;
        let is_upper = |word| hash_of(word, layout) >> (64 - depth) & 1 != 0;
        let halves = self.own_words().map(|word| (is_upper(word), word));
        let halves: Vec<(bool, u64)> = halves.collect();
        let upper = halves.iter().filter(|(is_upper, _)| *is_upper).count();
        // Some more, so that the next words do not make them grow again at once.
        let new = |words: usize| Self::new(&layout.heap, words + words / 6, depth, born);
        let segments = [new(halves.len() - upper), new(upper)];
        for (is_upper, word) in halves {
            segments[usize::from(is_upper)].add(word, layout);
        }
        segments
    }

    fn add(self, word: u64, layout: &Layout) {
        let hash = hash_of(word, layout);
        self.insert_word(hash, word, |_| ());
    }

    /// For the bin.
    pub(in crate::table) fn own(self) -> OwnSegment {
        OwnSegment(self)
    }
}

/// What of a bucket something of this hash may be.
#[inline]
pub(in crate::table) fn own_guess<'a>(bucket: &'a Bucket, hash: u64) -> Option<Spot<'a>> {
    let place = bucket.own_control().with_tag(tag_of(hash)).next()?;
    Some(Spot { bucket, place })
}

/// Where in a bucket this key is, and whether it may be behind it.
#[inline(always)]
fn own_look<'a>(bucket: &'a Bucket, hash: u64, key: &[u8]) -> (Option<Spot<'a>>, bool) {
    let control = bucket.own_control();
    for place in control.with_tag(tag_of(hash)) {
        let spot = Spot { bucket, place };
        if spot.show().is_some_and(|shown| shown.has_key(key)) {
            return (Some(spot), false);
        }
    }
    (None, control.is_spilled())
}

/// Of the key of a word that is in a slot of the writer's.
fn hash_of(word: u64, layout: &Layout) -> u64 {
    // SAFETY: what the writer's own slots refer to is there.
    unsafe { Shown::of_slot(word) }.map_or(0, |shown| layout.hash(shown.key()))
}

impl<'a> Spot<'a> {
    pub(in crate::table) fn show(&self) -> Option<Shown<'a>> {
        // SAFETY: what the writer's own slots refer to is there; and it is used up before the
        // writer changes the slot.
        unsafe { Shown::of_slot(self.bucket.own_slot(self.place)) }
    }

    /// Has the processor fetch where what is there begins.
    #[inline]
    pub(in crate::table) fn fetch(&self) {
        fetch_stored(self.bucket.own_slot(self.place));
    }

    /// The same of what is behind that; where it begins is there by now.
    #[inline]
    pub(in crate::table) fn fetch_rest(&self) {
        if let Some(shown) = self.show() {
            shown.fetch_rest();
        }
    }

    /// Stores something else of the same key there.
    pub(in crate::table) fn exchange(&self, new: Stored) -> Option<Stored> {
        // SAFETY: the slot owned it, and owns another now.
        unsafe { Stored::from_word(self.bucket.exchange(self.place, new.into_word())) }
    }
}

impl OwnSegment {
    /// Takes out all that is stored. Nobody else looks at this segment.
    pub(in crate::table) fn drain(&self) -> Vec<Stored> {
        let words = self.0.own_words();
        // SAFETY: the slots owned it, and nobody looks at them again.
        words.filter_map(|word| unsafe { Stored::from_word(word) }).collect()
    }

    pub(in crate::table) fn weight(&self) -> usize {
        size_of_val(self.0.all())
    }
}

impl Drop for OwnSegment {
    fn drop(&mut self) {
        // SAFETY: they came from there, and this is their only owner.
        drop(unsafe { Lines::from_address(self.0.0 & !SIZE_BITS, self.0.len() + 1) });
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_segment_is_exchanged_for_a_tidier_one_only_where_that_is_one() {
        let heap = Heap::new();
        for (words, spills, is_untidy) in
            [(384, 60, true), (384, 40, false), (300, 40, true), (300, 9, false)]
        {
            let segment = Segment::new(&heap, Segment::LARGEST, 0, 0);
            segment.set(SPILLS, spills);
            assert_eq!(segment.is_untidy(words), is_untidy, "{words} {spills}");
            drop(segment.own());
        }
        let small = Segment::new(&heap, 18, 0, 0);
        small.set(SPILLS, 3);
        assert!(small.is_untidy(18), "there are larger ones");
        assert!(small.is_sparse(3) && !small.is_sparse(5));
        drop(small.own());
    }
}
