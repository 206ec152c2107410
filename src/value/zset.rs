//! Sorted sets: distinct strings ordered by a score and, where scores are equal, by their bytes.

use super::packed::{NUMBER_BYTES_MAX, Number, is_number, pack_number, split_number};
use super::tree::{Builder, ByName, Head, Name, Order, Tree, compare_bytes, head_of};
use super::{Bytes, sort};
use smallvec::SmallVec;
use std::cmp::Ordering;

/// Up to here a member's score is found by going through all of them; beyond, a second tree tells.
pub(super) const SCANNED_MAX: usize = 64;

/// With more members than this the servers no longer keep a sorted set as one packed block. It is
/// their default; a primary can be told another number, which no replica is told.
pub const PACKED_LEN_MAX: usize = 128;

/// The same for the length of a member in bytes.
pub(super) const PACKED_MEMBER_MAX: usize = 64;

/// Members with a score each, never NaN. Cloning takes constant time, everything about one member
/// or one place logarithmic time.
#[derive(Clone, Debug, Default)]
pub struct Zset {
    /// Entries are a score and a member, in the order of both.
    order: Tree<ByScore>,
    /// The same entries in the order of the members, where there are many.
    members: Option<Tree<ByName<OfMember>>>,
    /// The primary keeps it as a skip list; see [`Zset::is_packed`].
    spread: bool,
}

/// From here on doubles have no fraction, and as integers they would take no fewer bytes.
const WHOLE_MAX: f64 = 9_007_199_254_740_992.0;

/// A score as it lies in front of its member: as an integer where it is one; else as many bytes of
/// the double as don't just have zeros behind them, and in front of them how many they are.
#[inline]
pub(super) fn packed_score(score: f64) -> Number {
    let whole = score as i64;
    if score.abs() < WHOLE_MAX && (whole as f64).to_bits() == score.to_bits() {
        return pack_number(whole);
    }
    let bits = score.to_bits();
    let len = 8 - bits.trailing_zeros() as usize / 8;
    let mut packed = [0; NUMBER_BYTES_MAX];
    packed[0] = len as u8;
    packed[1..].copy_from_slice(&bits.to_be_bytes());
    Number::of(packed, 1 + len)
}

/// A score in front of a member.
fn entry(member: &[u8], score: f64) -> SmallVec<[u8; 64]> {
    let score = packed_score(score);
    let mut entry = SmallVec::with_capacity(score.len() + member.len());
    entry.extend_from_slice(&score);
    entry.extend_from_slice(member);
    entry
}

/// The same entries in the order of their members.
fn by_member(order: &Tree<ByScore>) -> Tree<ByName<OfMember>> {
    let mut entries: Vec<&[u8]> = order.iter().collect();
    sort(&mut entries, |a, b| parts(a).0.cmp(parts(b).0));
    entries.into_iter().collect()
}

/// What an entry says.
pub(super) fn parts(entry: &[u8]) -> (&[u8], f64) {
    if is_number(entry) {
        let (score, member) = split_number(entry);
        return (member, score as f64);
    }
    let (len, rest) = entry.split_first().unwrap_or((&0, &[]));
    let (high, member) = rest.split_at_checked(usize::from(*len)).unwrap_or((rest, &[]));
    let mut bits = [0; 8];
    bits.iter_mut().zip(high).for_each(|(bit, byte)| *bit = *byte);
    (member, f64::from_be_bytes(bits))
}

/// How the servers order scores: -0 and 0 are one.
pub(super) fn order(a: (&[u8], f64), b: (&[u8], f64)) -> Ordering {
    a.1.partial_cmp(&b.1).unwrap_or(Ordering::Equal).then_with(|| compare_bytes(a.0, b.0))
}

/// Entries in the order of their scores, then of their members' bytes.
#[derive(Clone, Copy, Debug)]
struct ByScore;

impl Order for ByScore {
    type Key<'a> = (&'a [u8], f64);

    fn key(entry: &[u8]) -> (&[u8], f64) {
        parts(entry)
    }

    fn compare(a: (&[u8], f64), b: (&[u8], f64)) -> Ordering {
        order(a, b)
    }

    fn head((member, score): (&[u8], f64)) -> Head {
        head_of(&[&Self::lead((member, score)).to_be_bytes(), member])
    }

    #[inline]
    fn lead((_, score): (&[u8], f64)) -> u64 {
        // Adding zero makes one of both zeros.
        let bits = (score + 0.0).to_bits();
        if bits >> 63 == 0 { bits | 1 << 63 } else { !bits }
    }
}

#[derive(Clone, Copy, Debug)]
struct OfMember;

impl Name for OfMember {
    fn name(entry: &[u8]) -> &[u8] {
        parts(entry).0
    }
}

impl Zset {
    /// A sorted set of these members; `None` where one is there twice.
    pub fn distinct<B: AsRef<[u8]>>(members: &[(B, f64)]) -> Option<Self> {
        let mut entries: Vec<SmallVec<[u8; 64]>> =
            members.iter().map(|(member, score)| entry(member.as_ref(), *score)).collect();
        sort(&mut entries, |a, b| parts(a).0.cmp(parts(b).0));
        if entries.windows(2).any(|pair| parts(&pair[0]).0 == parts(&pair[1]).0) {
            return None;
        }
        let members = entries.len() > SCANNED_MAX;
        let members = members.then(|| entries.iter().map(SmallVec::as_slice).collect());
        let spread = entries.len() > PACKED_LEN_MAX
            || entries.iter().any(|entry| parts(entry).0.len() > PACKED_MEMBER_MAX);
        sort(&mut entries, |a, b| order(parts(a), parts(b)));
        Some(Self { order: entries.iter().map(SmallVec::as_slice).collect(), members, spread })
    }

    /// Whether the primary keeps it as one packed block, as far as can be told: small sorted sets
    /// are, and once one has grown beyond the limits it stays a skip list, however small it gets.
    ///
    /// Two things that a replica can see depend on it: since Redis 7.0 a block has integers for
    /// scores, which have no -0; and what a range by names is where scores differ.
    pub fn is_packed(&self) -> bool {
        !self.spread
    }

    /// Tells how the primary keeps it.
    pub fn set_packed(&mut self, is_packed: bool) {
        self.spread = !is_packed;
    }

    /// Whether it is small enough for one block.
    pub fn fits_packed(&self) -> bool {
        self.len() <= PACKED_LEN_MAX
            && self.iter().all(|(member, _)| member.len() <= PACKED_MEMBER_MAX)
    }

    /// Whether the primary still keeps it as one block when this member has joined.
    pub fn stays_packed_with(&self, member: &[u8]) -> bool {
        let fits = self.len() < PACKED_LEN_MAX && member.len() <= PACKED_MEMBER_MAX;
        self.is_packed() && (fits || self.score(member).is_some())
    }

    /// What a primary that packs scores as integers makes of zeros with a sign.
    pub fn drop_zero_signs(&mut self) {
        let zeros = self.partition_point(|_, score| score < 0.0);
        let signed: Vec<Vec<u8>> = self
            .iter_from(zeros)
            .take_while(|(_, score)| *score == 0.0)
            .filter(|(_, score)| score.is_sign_negative())
            .map(|(member, _)| member.to_vec())
            .collect();
        for member in signed {
            self.insert(&member, 0.0);
        }
    }

    /// How many members there are.
    pub fn len(&self) -> usize {
        self.order.len()
    }

    /// No member at all.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Its members as one block; `None` where they are more than one.
    pub(super) fn leaf(&self) -> Option<&Bytes> {
        self.order.leaf().filter(|_| self.members.is_none())
    }

    /// What [`Zset::leaf`] told.
    pub(super) fn of_leaf(block: Bytes, len: usize, is_packed: bool) -> Self {
        Self { order: Tree::of_leaf(block, len), members: None, spread: !is_packed }
    }

    /// Of its members in the order of their scores, and in that of their names.
    pub(super) fn built(order: Builder, by_name: Builder, is_packed: bool) -> Self {
        let order = order.finish();
        let members = (order.len() > SCANNED_MAX).then(|| by_name.finish());
        Self { order, members, spread: !is_packed }
    }

    /// An estimate of the memory it takes, in bytes.
    pub fn memory(&self) -> usize {
        self.order.memory() + self.members.as_ref().map_or(0, |members| members.memory())
    }

    /// About the bytes of what `later`, an edited clone, has no more.
    pub(super) fn lost_to(&self, later: &Self) -> usize {
        let members = match (&self.members, &later.members) {
            (Some(own), Some(later)) => own.lost_to(later),
            (own, _) => own.as_ref().map_or(0, Tree::memory),
        };
        self.order.lost_to(&later.order) + members
    }

    /// A member's score.
    pub fn score(&self, member: &[u8]) -> Option<f64> {
        let found = match &self.members {
            None => self.order.scan(|entry| compare_bytes(parts(entry).0, member).is_eq()),
            Some(members) => members.seek(member),
        };
        found.map(|entry| parts(entry).1)
    }

    /// How many members are ordered before the first of which `is_before` says no.
    pub fn partition_point(&self, mut is_before: impl FnMut(&[u8], f64) -> bool) -> usize {
        let found = self.order.find_by(|entry| {
            let (member, score) = parts(entry);
            if is_before(member, score) { Ordering::Less } else { Ordering::Greater }
        });
        found.unwrap_or_else(|place| place)
    }

    /// The member at this place.
    pub fn at(&self, rank: usize) -> Option<(&[u8], f64)> {
        self.order.get(rank).map(parts)
    }

    /// Gives a member a score and returns the one it had. The caller has refused NaN.
    pub fn insert(&mut self, member: &[u8], score: f64) -> Option<f64> {
        let new = entry(member, score);
        let (old, from, to) = match &mut self.members {
            Some(members) => {
                let old = match members.find(member).map(|(at, old)| (at, parts(old).1)) {
                    Ok((at, old)) => {
                        members.replace(at, &new);
                        Some(old)
                    }
                    Err(at) => {
                        members.insert(at, &new);
                        None
                    }
                };
                let place = |score| self.order.find((member, score)).map(|(at, _)| at);
                (old, old.and_then(|old| place(old).ok()), place(score).unwrap_or_else(|at| at))
            }
            None => self.scan(member, score),
        };
        let fits = self.len() < PACKED_LEN_MAX && member.len() <= PACKED_MEMBER_MAX;
        self.spread |= !fits && old.is_none();
        match from {
            Some(from) => self.order.replace_at(from, to, &new),
            None => self.order.insert(to, &new),
        }
        if self.members.is_none() && self.order.len() > SCANNED_MAX {
            self.members = Some(by_member(&self.order));
        }
        old
    }

    /// The score that a member has, its place, and the place for it with another score: by going
    /// through all of them once.
    fn scan(&self, member: &[u8], score: f64) -> (Option<f64>, Option<usize>, usize) {
        let (mut old, mut from, mut to) = (None, None, 0);
        for (place, (name, own)) in self.iter().enumerate() {
            if own < score || own == score && compare_bytes(name, member).is_lt() {
                to = place + 1;
            }
            if compare_bytes(name, member).is_eq() {
                (old, from) = (Some(own), Some(place));
            }
        }
        (old, from, to)
    }

    /// Removes a member and returns the score it had.
    pub fn remove(&mut self, member: &[u8]) -> Option<f64> {
        let old = match &mut self.members {
            None => self.score(member)?,
            Some(members) => {
                let (at, old) = members.find(member).map(|(at, old)| (at, parts(old).1)).ok()?;
                members.remove(at);
                old
            }
        };
        if let Ok((at, _)) = self.order.find((member, old)) {
            self.order.remove(at);
        }
        if self.order.len() <= SCANNED_MAX / 2 {
            // A second tree does not pay for so few.
            self.members = None;
        }
        Some(old)
    }

    /// All members from the lowest to the highest.
    pub fn iter(&self) -> impl ExactSizeIterator<Item = (&[u8], f64)> {
        self.order.iter().map(parts)
    }

    /// The members from this place on.
    pub fn iter_from(&self, rank: usize) -> impl ExactSizeIterator<Item = (&[u8], f64)> {
        self.order.iter_from(rank).map(parts)
    }
}

/// How the primary keeps them makes no difference between two.
impl PartialEq for Zset {
    fn eq(&self, other: &Self) -> bool {
        self.len() == other.len() && self.iter().eq(other.iter())
    }
}

impl<B: AsRef<[u8]>> FromIterator<(B, f64)> for Zset {
    fn from_iter<I: IntoIterator<Item = (B, f64)>>(members: I) -> Self {
        let mut zset = Self::default();
        for (member, score) in members {
            zset.insert(member.as_ref(), score);
        }
        zset
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::collections::BTreeMap;

    fn names(zset: &Zset) -> String {
        zset.iter().map(|(member, _)| String::from_utf8_lossy(member).into_owned()).collect()
    }

    #[test]
    fn order_is_by_score_then_bytes_and_follows_changes() {
        let mut zset: Zset =
            [("b", 1.0), ("a", 1.0), ("z", f64::NEG_INFINITY)].into_iter().collect();
        assert_eq!(names(&zset), "zab");
        assert_eq!(zset.insert(b"z", 2.0), Some(f64::NEG_INFINITY));
        assert_eq!(names(&zset), "abz");
        assert_eq!(zset.remove(b"a"), Some(1.0));
        assert_eq!(names(&zset), "bz");
        assert_eq!(zset.insert(b"b", -0.0), Some(1.0));
        assert_eq!(zset.insert(b"b", 0.0), Some(-0.0));
        assert_eq!((names(&zset), zset.len()), ("bz".into(), 2));
    }

    #[test]
    fn what_outgrows_a_packed_block_never_goes_back_into_one() {
        let mut zset: Zset = (0..PACKED_LEN_MAX).map(|n| (n.to_string(), 0.0)).collect();
        assert!(zset.is_packed() && zset.fits_packed());
        assert!(zset.stays_packed_with(b"7") && !zset.stays_packed_with(b"new"));
        zset.insert(b"7", 1.0);
        assert!(zset.is_packed());
        zset.insert(b"new", 0.0);
        assert!(!zset.is_packed() && !zset.fits_packed());
        for n in 1..PACKED_LEN_MAX {
            zset.remove(n.to_string().as_bytes());
        }
        assert!(!zset.clone().is_packed() && zset.fits_packed());
        zset.set_packed(true);
        assert!(zset.stays_packed_with(&[b'm'; 64]) && !zset.stays_packed_with(&[b'm'; 65]));
        zset.insert(&[b'm'; 65], 0.0);
        assert!(!zset.is_packed());
        assert!(!Zset::distinct(&[([b'm'; 65], 0.0)]).unwrap().is_packed());
        let many: Vec<_> = (0..=PACKED_LEN_MAX).map(|n| (n.to_string(), 0.0)).collect();
        assert!(!Zset::distinct(&many).unwrap().is_packed());
    }

    #[test]
    fn signs_of_zeros_can_be_dropped() {
        let mut zset: Zset =
            [("a", -1.0), ("b", -0.0), ("c", 0.0), ("d", -0.0), ("e", 1.0)].into_iter().collect();
        zset.drop_zero_signs();
        let signs: Vec<bool> = zset.iter().map(|(_, score)| score.is_sign_negative()).collect();
        assert_eq!(
            (names(&zset).as_str(), signs),
            ("abcde", vec![true, false, false, false, false])
        );
    }

    #[test]
    fn small_and_whole_scores_take_few_bytes() {
        for (score, len) in [
            (0.0, 1),
            (5.0, 1),
            (-1.0, 1),
            (999_999.0, 3),
            (1.5, 3),
            (-0.0, 2),
            (f64::INFINITY, 3),
            (0.1, 9),
            (1_700_000_000.0, 5),
            (1e300, 9),
            (9_007_199_254_740_991.0, 8),
            (9_007_199_254_740_992.0, 3),
        ] {
            assert_eq!(entry(b"", score).len(), len, "{score}");
        }
    }

    proptest! {
        #[test]
        fn scores_come_back_bit_by_bit(bits: u64, whole: i64, shift in 0..64) {
            for score in [f64::from_bits(bits), (whole >> shift) as f64, -0.0, 0.0] {
                let entry = entry(b"member", score);
                let (member, back) = parts(&entry);
                prop_assert_eq!((member, back.to_bits()), (&b"member"[..], score.to_bits()));
            }
        }

        #[test]
        fn behaves_like_a_sorted_map(
            steps in proptest::collection::vec((0u8..10, 0u16..150, -20i8..20), 0..500)
        ) {
            let mut model: BTreeMap<Vec<u8>, f64> = BTreeMap::new();
            let mut zset = Zset::default();
            for (kind, number, score) in steps {
                let member = number.to_string().into_bytes();
                let score = f64::from(score) / 4.0;
                match kind {
                    0..=6 => {
                        prop_assert_eq!(zset.insert(&member, score), model.insert(member, score));
                    }
                    _ => prop_assert_eq!(zset.remove(&member), model.remove(&member)),
                }
                prop_assert_eq!(zset.len(), model.len());
            }
            let mut sorted: Vec<(&[u8], f64)> =
                model.iter().map(|(m, s)| (m.as_slice(), *s)).collect();
            sorted.sort_by(|a, b| order(*a, *b));
            prop_assert!(zset.iter().eq(sorted.iter().copied()));
            for (rank, (member, score)) in sorted.iter().enumerate() {
                prop_assert_eq!(zset.score(member), Some(*score));
                prop_assert_eq!(zset.at(rank), Some((*member, *score)));
            }
            let below = sorted.iter().filter(|m| m.1 < 0.0).count();
            prop_assert_eq!(zset.partition_point(|_, score| score < 0.0), below);
            prop_assert_eq!(Zset::distinct(&sorted), Some(zset));
        }
    }
}
