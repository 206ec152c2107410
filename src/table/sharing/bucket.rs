//! A cache line of the index: seven slots, and in front a word that says what is in them.

#![allow(unsafe_code)]

use super::sync::{AtomicU64, Ordering, Own};

/// Slots of a bucket.
pub(crate) const SLOTS: usize = 7;

/// Of the control word: the bucket is part of a unit that is being published.
pub(crate) const MARK: u64 = 1 << 63;

/// Of the control word: something that belongs here is in a bucket behind it.
const SPILLED: u64 = 1 << 62;

/// One in each of the tags.
const ONES: u64 = 0x0001_0101_0101_0101;

/// A bit for each slot.
const ALL: u32 = (1 << SLOTS) - 1;

/// Tags of seven slots, a byte each, and the flags above them. A slot without a tag is free.
#[repr(C, align(64))]
#[derive(Debug, Default)]
pub(crate) struct Bucket {
    pub(crate) control: AtomicU64,
    pub(crate) slots: [AtomicU64; SLOTS],
}

/// The tag of what has this hash; never that of a free slot.
#[inline]
pub(crate) fn tag_of(hash: u64) -> u8 {
    let tag = (hash >> 32) as u8;
    tag + u8::from(tag == 0)
}

/// The control word of a bucket, as it was read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Control(pub(crate) u64);

impl Control {
    /// The slots that have this tag, and no others: what was in a free one is gone.
    #[inline]
    pub(crate) fn with_tag(self, tag: u8) -> Places {
        Places(alike(self.0, u64::from(tag) * ONES))
    }

    /// The slots that have something.
    pub(crate) fn taken(self) -> Places {
        Places(!alike(self.0, 0) & ALL)
    }

    /// A slot that has nothing.
    pub(crate) fn free(self) -> Option<usize> {
        Places(alike(self.0, 0)).next()
    }

    /// What is not here may be in the next bucket.
    #[inline]
    pub(crate) fn is_spilled(self) -> bool {
        self.0 & SPILLED != 0
    }

    #[inline]
    pub(crate) fn is_marked(self) -> bool {
        self.0 & MARK != 0
    }
}

/// A bit for each of the lowest seven bytes that are the same in both.
#[inline(always)]
fn alike(a: u64, b: u64) -> u32 {
    #[cfg(target_arch = "x86_64")]
    // SAFETY: every such processor can do that.
    unsafe {
        use std::arch::x86_64::{_mm_cmpeq_epi8, _mm_cvtsi64_si128, _mm_movemask_epi8};
        let same = _mm_cmpeq_epi8(_mm_cvtsi64_si128(a as i64), _mm_cvtsi64_si128(b as i64));
        _mm_movemask_epi8(same) as u32 & ALL
    }
    #[cfg(not(target_arch = "x86_64"))]
    alike_anywhere(a, b)
}

/// The same on other processors.
#[cfg(any(test, not(target_arch = "x86_64")))]
fn alike_anywhere(a: u64, b: u64) -> u32 {
    const LOWS: u64 = 0x7f * ONES;
    let other = a ^ b;
    // The highest bit of each byte that is not zero; no carry leaves its byte.
    let unlike = ((other & LOWS) + LOWS) | other;
    // The highest bits side by side.
    let same = (!unlike >> 7 & ONES).wrapping_mul(0x0102_0408_1020_4080) >> 56;
    same as u32 & ALL
}

/// Some slots of a bucket, a bit each.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Places(u32);

impl Iterator for Places {
    type Item = usize;

    #[inline]
    fn next(&mut self) -> Option<usize> {
        if self.0 == 0 {
            return None;
        }
        let place = self.0.trailing_zeros() as usize;
        self.0 &= self.0 - 1;
        Some(place)
    }
}

impl Bucket {
    /// What is in it, if no unit is being published there.
    #[inline]
    pub(crate) fn at_rest(&self) -> Option<Control> {
        let control = Control(self.control.load(Ordering::Acquire));
        (!control.is_marked()).then_some(control)
    }

    /// The word in a slot, if still no unit is.
    #[inline]
    pub(crate) fn word_at_rest(&self, place: usize) -> Option<u64> {
        // Acquire: who finds a word of a later unit finds that unit's mark, too.
        let word = self.slots.get(place)?.load(Ordering::Acquire);
        self.at_rest().map(|_| word)
    }

    /// A word that something of this hash may have: a guess, for which nothing else is looked at.
    pub(crate) fn likely(&self, hash: u64) -> Option<u64> {
        let control = Control(self.control.load(Ordering::Relaxed));
        Some(self.slots.get(control.with_tag(tag_of(hash)).next()?)?.load(Ordering::Relaxed))
    }
}

/// The writer's side. Nobody else stores, so that it may read without an ordering.
impl Bucket {
    pub(crate) fn own_control(&self) -> Control {
        Control(self.control.own())
    }

    pub(crate) fn own_slot(&self, place: usize) -> u64 {
        self.slots.get(place).map_or(0, Own::own)
    }

    /// Puts another word where one is.
    pub(crate) fn exchange(&self, place: usize, word: u64) -> u64 {
        let old = self.own_slot(place);
        if let Some(slot) = self.slots.get(place) {
            // Release: who finds the word finds what it refers to, and the mark set before.
            slot.store(word, Ordering::Release);
        }
        old
    }

    /// Puts a word into a free slot: first the word, then the tag by which it is found.
    pub(crate) fn fill(&self, place: usize, tag: u8, word: u64) {
        self.exchange(place, word);
        let control = self.own_control().0 | u64::from(tag) << (8 * place);
        self.control.store(control, Ordering::Release);
    }

    /// Takes a word away. It stays in its slot, where nobody who comes later looks for it.
    pub(crate) fn clear(&self, place: usize) -> u64 {
        let control = self.own_control().0 & !(0xff << (8 * place));
        self.control.store(control, Ordering::Release);
        self.own_slot(place)
    }

    /// Something that belongs here is put behind: said before it is there.
    pub(crate) fn spill(&self) {
        let control = self.own_control();
        if !control.is_spilled() {
            self.control.store(control.0 | SPILLED, Ordering::Release);
        }
    }

    /// Becomes what another one is. Nobody else sees it yet.
    pub(crate) fn copy(&self, other: &Self) {
        for (place, slot) in self.slots.iter().enumerate() {
            slot.store(other.own_slot(place), Ordering::Relaxed);
        }
        self.control.store(other.own_control().0, Ordering::Relaxed);
    }

    pub(crate) fn mark(&self) {
        self.control.store(self.own_control().0 | MARK, Ordering::Release);
    }

    pub(crate) fn unmark(&self) {
        self.control.store(self.own_control().0 & !MARK, Ordering::Release);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn slots_are_found_by_just_their_tags() {
        for (tags, flags) in
            [([0, 1, 2, 1, 255, 254, 128], 0), ([1, 0, 1, 0, 0, 3, 255], MARK | SPILLED)]
        {
            let bytes =
                tags.iter().rev().fold(0_u64, |word, tag| word << 8 | u64::from(*tag as u8));
            let control = Control(bytes | flags);
            let places =
                |tag: u8| (0..SLOTS).filter(|at| tags[*at] as u8 == tag).collect::<Vec<_>>();
            for tag in 0..=255 {
                assert_eq!(control.with_tag(tag).collect::<Vec<_>>(), places(tag), "{tag}");
            }
            let free = places(0);
            assert_eq!(control.taken().count() + free.len(), SLOTS);
            assert_eq!(control.free(), free.first().copied());
            assert_eq!((control.is_marked(), control.is_spilled()), (flags != 0, flags != 0));
        }
    }

    #[test]
    fn all_processors_find_the_same_alike() {
        let mut word = 1_u64;
        for n in 0..10_000_u64 {
            word = word.wrapping_mul(0x9e37_79b9_7f4a_7c15).wrapping_add(n);
            // Some bytes of the one in the other.
            let mask = (0..8)
                .filter(|byte| n >> byte & 1 != 0)
                .fold(0, |mask, byte| mask | 0xff << (8 * byte));
            let other = (word & mask) | (word.rotate_left(29) & !mask);
            let naive = (0..SLOTS).filter(|byte| (word ^ other) >> (8 * byte) & 0xff == 0);
            let naive = naive.fold(0, |bits, byte| bits | 1 << byte);
            assert_eq!((alike(word, other), alike_anywhere(word, other)), (naive, naive));
        }
    }

    #[test]
    fn no_hash_has_the_tag_of_a_free_slot() {
        assert!((0..1000_u64).all(|n| tag_of(n << 32) != 0 && tag_of(n) != 0));
    }
}
