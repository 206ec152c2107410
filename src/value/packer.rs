//! Aggregates put together from elements that come in any order, as a snapshot has them: small ones
//! become a single block, and nothing is allocated for any of their elements.

use super::packed::{pack, unpack};
use super::tree::{LEAF_BYTES, LENGTH_BYTES_MAX, push_length, split_length};
use super::{Content, Field, Flat, Hash, List, Set, Type, Value, Zset, hash, sort, zset};
use std::cmp::Ordering;

/// An element is there twice.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Twice;

/// The elements of one aggregate.
#[derive(Debug)]
pub struct Packer {
    kind: Type,
    /// Entries as the type has them, one behind the other, each with its length in front.
    bytes: Vec<u8>,
    places: Vec<Place>,
    is_sorted: bool,
    len: usize,
    /// How many fields have a deadline.
    volatile: usize,
    /// The same bytes as they were before they were sorted.
    unsorted: Vec<u8>,
    /// Of the members of a sorted set.
    digests: Vec<u64>,
}

/// An entry that is to be put in order.
#[derive(Clone, Copy, Debug)]
struct Place {
    /// What decides about its order, as far as 8 bytes can.
    rank: u64,
    /// With its length.
    start: usize,
    end: usize,
}

impl Default for Packer {
    fn default() -> Self {
        Self {
            kind: Type::List,
            bytes: Vec::new(),
            places: Vec::new(),
            is_sorted: true,
            len: 0,
            volatile: 0,
            unsorted: Vec::new(),
            digests: Vec::new(),
        }
    }
}

impl Packer {
    /// Begins anew, with a list, set, sorted set or hash.
    pub fn begin(&mut self, kind: Type) {
        self.bytes.clear();
        self.places.clear();
        self.digests.clear();
        (self.kind, self.is_sorted, self.len, self.volatile) = (kind, true, 0, 0);
    }

    /// The elements so far, as they lie in a block; only what is finished is in its order.
    pub fn block(&self) -> &[u8] {
        &self.bytes
    }

    /// How many elements there are so far.
    pub fn len(&self) -> usize {
        self.len
    }

    /// None so far.
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// Adds an element to the end of a list.
    #[inline(always)]
    pub fn element(&mut self, element: &[u8]) {
        self.begin_entry(element.len());
        self.bytes.extend_from_slice(element);
    }

    /// Adds a member to a set.
    pub fn member(&mut self, member: &[u8]) {
        let member = pack(member);
        let start = self.begin_entry(member.len());
        self.bytes.extend_from_slice(&member);
        self.place(start, rank_of_name(&member), &member);
    }

    /// Adds a member to a sorted set. The score is a number.
    pub fn scored(&mut self, member: &[u8], score: f64) {
        let packed = zset::packed_score(score);
        let start = self.begin_entry(packed.len() + member.len());
        self.bytes.extend_from_slice(&packed);
        self.bytes.extend_from_slice(member);
        self.digests.push(digest(member));
        self.place(start, rank_of_score(score), member);
    }

    /// Adds a field to a hash.
    pub fn field(&mut self, name: &[u8], field: Field<'_>) {
        let start = self.begin_entry(hash::entry_len(name, field));
        hash::write(|bytes| self.bytes.extend_from_slice(bytes), name, field);
        self.volatile += usize::from(field.expires_at_ms.is_some());
        self.place(start, rank_of_name(name), name);
    }

    /// Where an entry of so many bytes begins, with its length.
    #[inline(always)]
    fn begin_entry(&mut self, len: usize) -> usize {
        let start = self.bytes.len();
        self.bytes.reserve(len + LENGTH_BYTES_MAX);
        match u8::try_from(len) {
            Ok(short @ ..0x80) => self.bytes.push(short),
            _ => push_length(&mut self.bytes, len),
        }
        self.len += 1;
        start
    }

    #[inline(always)]
    fn place(&mut self, start: usize, rank: u64, name: &[u8]) {
        if let Some(last) = self.places.last() {
            self.is_sorted &= match last.rank.cmp(&rank) {
                Ordering::Less => true,
                Ordering::Equal => self.name(last) < name,
                Ordering::Greater => false,
            };
        }
        self.places.push(Place { rank, start, end: self.bytes.len() });
    }

    fn name(&self, place: &Place) -> &[u8] {
        name(self.kind, &self.bytes, place)
    }

    /// What there is as a value, lent where it is small; none where there is no element.
    /// `is_packed` tells how the primary keeps a sorted set.
    pub fn finish(&mut self, is_packed: bool) -> Result<Option<Content<'_>>, Twice> {
        self.sort();
        if self.has_twice() {
            return Err(Twice);
        }
        let Self { kind, len, .. } = *self;
        if len == 0 {
            return Ok(None);
        }
        let bytes = self.bytes.as_slice();
        if bytes.len() <= LEAF_BYTES && (kind != Type::Zset || len <= zset::SCANNED_MAX) {
            let mark = match kind {
                Type::Hash => self.volatile,
                Type::Zset => usize::from(!is_packed),
                _ => 0,
            };
            return Ok(Some(Content::Flat(Flat { kind, len, mark, bytes })));
        }
        Ok(Some(Content::Value(match kind {
            Type::Set => Value::Set(Set::of_entries(bytes)),
            Type::Hash => Value::Hash(Hash::of_entries(bytes, self.volatile)),
            Type::Zset => Value::Zset(Zset::of_entries(bytes, is_packed)),
            _ => Value::List(List::of_entries(bytes)),
        })))
    }

    /// Moves all elements over to an aggregate of the same type; those of a list to its end.
    pub fn move_to(&mut self, value: &mut Value) -> Result<(), Twice> {
        // What is next to each other is looked for in the same places.
        self.sort();
        let mut rest = self.bytes.as_slice();
        let mut is_new = true;
        while is_new && !rest.is_empty() {
            let (len, behind) = split_length(rest);
            let (entry, behind) = behind.split_at_checked(len).unwrap_or_default();
            rest = behind;
            is_new = match value {
                Value::List(list) => {
                    list.push_back(entry);
                    true
                }
                Value::Set(set) => set.insert(&unpack(entry)),
                Value::Zset(zset) => {
                    let (member, score) = zset::parts(entry);
                    zset.insert(member, score).is_none()
                }
                Value::Hash(hash) => {
                    let (name, field) = hash::parts(entry);
                    hash.insert(name, field)
                }
                _ => false,
            };
        }
        self.begin(self.kind);
        if is_new { Ok(()) } else { Err(Twice) }
    }

    fn sort(&mut self) {
        if self.is_sorted {
            return;
        }
        self.is_sorted = true;
        let Self { kind, bytes, places, unsorted, .. } = self;
        std::mem::swap(bytes, unsorted);
        let names = |place: &Place| name(*kind, unsorted, place);
        places.sort_unstable_by(|a, b| a.rank.cmp(&b.rank).then_with(|| names(a).cmp(names(b))));
        bytes.clear();
        for place in places {
            let start = bytes.len();
            bytes.extend_from_slice(unsorted.get(place.start..place.end).unwrap_or_default());
            (place.start, place.end) = (start, bytes.len());
        }
    }

    /// Whether two of the entries, which are sorted, have the same name.
    fn has_twice(&mut self) -> bool {
        match self.kind {
            Type::Zset => {
                self.digests.sort_unstable();
                self.digests.windows(2).any(|pair| pair[0] == pair[1]) && {
                    let mut names: Vec<_> = self.places.iter().map(|p| self.name(p)).collect();
                    sort(&mut names, |a, b| a.cmp(b));
                    names.windows(2).any(|pair| pair[0] == pair[1])
                }
            }
            Type::Set | Type::Hash => self.places.windows(2).any(|pair| {
                pair[0].rank == pair[1].rank && self.name(&pair[0]) == self.name(&pair[1])
            }),
            _ => false,
        }
    }

    /// Gives back what one large aggregate needed.
    pub fn shrink(&mut self, bytes: usize) {
        if self.bytes.capacity().max(self.unsorted.capacity()) > bytes {
            *self = Self::default();
        }
    }
}

fn name<'a>(kind: Type, bytes: &'a [u8], place: &Place) -> &'a [u8] {
    let (_, entry) = split_length(bytes.get(place.start..place.end).unwrap_or_default());
    match kind {
        Type::Hash => hash::parts(entry).0,
        Type::Zset => zset::parts(entry).0,
        _ => entry,
    }
}

/// The first bytes, in their order.
fn rank_of_name(name: &[u8]) -> u64 {
    if let Some(first) = name.first_chunk::<8>() {
        return u64::from_be_bytes(*first);
    }
    let missing = 8 * (8 - name.len() as u32);
    if let (Some(first), Some(last)) = (name.first_chunk::<4>(), name.last_chunk::<4>()) {
        // Where they overlap they are the same.
        let (first, last) = (u32::from_be_bytes(*first), u32::from_be_bytes(*last));
        return u64::from(first) << 32 | u64::from(last) << missing;
    }
    name.iter().fold(0, |rank, byte| rank << 8 | u64::from(*byte)) << (missing % 64)
}

/// In the order of the scores, where -0 and 0 are one.
fn rank_of_score(score: f64) -> u64 {
    let bits = (score + 0.0).to_bits();
    if bits >> 63 == 0 { bits | 1 << 63 } else { !bits }
}

/// Seldom the same for two names, unless somebody wants it to be.
fn digest(name: &[u8]) -> u64 {
    let first = rank_of_name(name).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    let last = name.last_chunk::<8>().map_or(0, |last| u64::from_le_bytes(*last));
    (first ^ first >> 32).wrapping_add(last).wrapping_add(name.len() as u64)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn value(packer: &mut Packer) -> Result<Option<Value>, Twice> {
        Ok(packer.finish(true)?.map(Content::into_value))
    }

    proptest! {
        #[test]
        fn what_is_packed_is_what_is_inserted_one_by_one(
            names in proptest::collection::vec(
                prop_oneof![
                    proptest::collection::vec(0..3u8, 0..12),
                    "prefix:[a-c]{0,3}".prop_map(String::into_bytes),
                    (100..3000usize).prop_map(|len| vec![7; len]),
                ],
                0..90,
            ),
            scores in proptest::collection::vec(
                prop_oneof![any::<i8>().prop_map(f64::from), Just(-0.0), Just(f64::NEG_INFINITY)],
                90,
            ),
            at in any::<Option<i64>>(),
            moved in 0..90usize,
        ) {
            let mut packer = Packer::default();
            for kind in [Type::List, Type::Set, Type::Zset, Type::Hash] {
                let mut wanted = match kind {
                    Type::List => Value::List(List::default()),
                    Type::Set => Value::Set(Set::default()),
                    Type::Zset => Value::Zset(Zset::default()),
                    _ => Value::Hash(Hash::default()),
                };
                let mut in_parts = wanted.clone();
                let (mut is_distinct, mut move_failed) = (true, false);
                // Once all of them, and once with some moved on the way.
                for through in [false, true] {
                    packer.begin(kind);
                    for (n, (name, score)) in names.iter().zip(&scores).enumerate() {
                        let expires_at_ms = at.filter(|_| n % 3 == 0);
                        let field = Field { value: name, expires_at_ms };
                        match kind {
                            Type::List => packer.element(name),
                            Type::Set => packer.member(name),
                            Type::Zset => packer.scored(name, *score),
                            _ => packer.field(name, field),
                        }
                        if through {
                            if n == moved {
                                move_failed |= packer.move_to(&mut in_parts).is_err();
                            }
                            continue;
                        }
                        is_distinct &= match &mut wanted {
                            Value::List(list) => {
                                list.push_back(name);
                                true
                            }
                            Value::Set(set) => set.insert(name),
                            Value::Zset(zset) => zset.insert(name, *score).is_none(),
                            Value::Hash(hash) => hash.insert(name, field),
                            _ => unreachable!(),
                        };
                    }
                    prop_assert!(through || packer.len() == names.len());
                    if through {
                        move_failed |= packer.move_to(&mut in_parts).is_err();
                        prop_assert_eq!(move_failed, !is_distinct);
                    } else {
                        let found = value(&mut packer);
                        match is_distinct {
                            true => prop_assert_eq!(
                                found,
                                Ok(Some(wanted.clone()).filter(|value| !value.is_empty()))
                            ),
                            false => prop_assert_eq!(found, Err(Twice)),
                        }
                    }
                }
                if is_distinct {
                    prop_assert_eq!(&in_parts, &wanted);
                    prop_assert_eq!(in_parts.memory(), wanted.memory());
                }
            }
        }
    }

    #[test]
    fn small_values_are_lent_and_large_ones_made() {
        let mut packer = Packer::default();
        for (kind, count, is_flat) in [
            (Type::Set, 100, true),
            (Type::Set, 1000, false),
            (Type::Zset, 64, true),
            (Type::Zset, 65, false),
        ] {
            packer.begin(kind);
            for n in 0..count {
                let name = format!("{n:03}");
                match kind {
                    Type::Set => packer.member(name.as_bytes()),
                    _ => packer.scored(name.as_bytes(), f64::from(n)),
                }
            }
            let content = packer.finish(false).unwrap().unwrap();
            assert_eq!(matches!(content, Content::Flat(_)), is_flat, "{kind:?} {count}");
            let value = content.into_value();
            assert_eq!(value.len(), count as usize);
            if let Value::Zset(zset) = value {
                assert!(!zset.is_packed());
                assert_eq!(zset.score(b"050"), Some(50.0));
            }
        }
    }
}
