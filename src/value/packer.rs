//! Aggregates put together from elements that come in any order, as a snapshot has them: small ones
//! become a single block, and nothing is allocated for any of their elements.

mod large;
mod names;

use super::packed::{NUMBER_BYTES_MAX, Number, is_packed, pack, pack_number};
use super::tree::{Builder, LEAF_BYTES, LENGTH_BYTES_MAX, Length, split_length};
use super::{Content, Field, Flat, Hash, List, Set, Type, Value, Zset, hash, zset};
use names::{is_tied, sort_names, sort_tied};

pub use large::Large;

/// An element is there twice.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Twice;

/// The elements of one aggregate.
#[derive(Debug)]
pub struct Packer {
    kind: Type,
    /// Entries as the type has them, one behind the other, each with its length in front; and room
    /// for more behind ...
    bytes: Vec<u8>,
    /// ... this.
    end: usize,
    /// Where the last entry begins, and its rank.
    last: (usize, u64),
    /// Each entry comes behind the one before, so that none is there twice either.
    is_sorted: bool,
    len: usize,
    /// How many fields have a deadline.
    volatile: usize,
    /// What is needed to sort: where the entries begin, each below its rank; and the same bytes as
    /// they were.
    places: Vec<u128>,
    unsorted: Vec<u8>,
    /// The members of a sorted set.
    seen: Seen,
}

/// Says of few names that all of them are distinct, most of the time.
#[derive(Debug)]
struct Seen {
    /// The last turn in which a name came to each place.
    turns: Vec<u16>,
    turn: u16,
    /// Two have come to the same place.
    perhaps_twice: bool,
}

/// Places for names: with ten of them, two come to the same once in fifty times.
const SEEN_BITS: u32 = 11;

impl Default for Seen {
    fn default() -> Self {
        Self { turns: vec![0; 1 << SEEN_BITS], turn: 0, perhaps_twice: false }
    }
}

impl Seen {
    fn begin(&mut self) {
        self.perhaps_twice = false;
        self.turn = self.turn.wrapping_add(1);
        if self.turn == 0 {
            self.turns.fill(0);
            self.turn = 1;
        }
    }

    #[inline(always)]
    fn add(&mut self, digest: u64) {
        if let Some(last) = self.turns.get_mut((digest >> (64 - SEEN_BITS)) as usize) {
            self.perhaps_twice |= *last == self.turn;
            *last = self.turn;
        }
    }
}

impl Default for Packer {
    fn default() -> Self {
        Self {
            kind: Type::List,
            bytes: Vec::new(),
            end: 0,
            last: (0, 0),
            is_sorted: true,
            len: 0,
            volatile: 0,
            places: Vec::new(),
            unsorted: Vec::new(),
            seen: Seen::default(),
        }
    }
}

impl Packer {
    /// Begins anew, with a list, set, sorted set or hash.
    pub fn begin(&mut self, kind: Type) {
        (self.kind, self.end, self.is_sorted) = (kind, 0, true);
        (self.len, self.volatile) = (0, 0);
        self.places.clear();
        self.seen.begin();
    }

    /// The elements so far, as they lie in a block; only what is finished is in its order.
    pub fn block(&self) -> &[u8] {
        self.bytes.get(..self.end).unwrap_or_default()
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
        let (to, at) = self.begin_entry(element.len());
        let at = put(to, at, element);
        self.end_entry(at);
    }

    /// Adds a member to a set.
    #[inline(always)]
    pub fn member(&mut self, member: &[u8]) {
        if is_packed(member) {
            return self.packed_member(member);
        }
        self.own_member(member);
    }

    #[inline(never)]
    fn packed_member(&mut self, member: &[u8]) {
        self.own_member(&pack(member));
    }

    #[inline(always)]
    fn own_member(&mut self, member: &[u8]) {
        let (to, at) = self.begin_entry(member.len());
        let at = put(to, at, member);
        let start = self.end_entry(at);
        self.place(start, rank_of_name(member), member);
    }

    /// Adds an integer to a set.
    #[inline(always)]
    pub fn number(&mut self, member: i64) {
        let member = pack_number(member);
        let (to, at) = self.begin_entry(member.len());
        let at = put_number(to, at, &member);
        let start = self.end_entry(at);
        let rank = member.padded().first_chunk().map_or(0, |first| u64::from_be_bytes(*first));
        self.place(start, rank, &member);
    }

    /// Adds a member to a sorted set. The score is a number.
    #[inline(always)]
    pub fn scored(&mut self, member: &[u8], score: f64) {
        let packed = zset::packed_score(score);
        let (to, at) = self.begin_entry(packed.len() + member.len());
        let at = put_number(to, at, &packed);
        let at = put(to, at, member);
        let start = self.end_entry(at);
        self.seen.add(digest(member));
        self.place(start, rank_of_score(score), member);
    }

    /// Adds a field to a hash.
    #[inline(always)]
    pub fn field(&mut self, name: &[u8], field: Field<'_>) {
        let (to, mut at) = self.begin_entry(hash::entry_len(name, field));
        hash::write(|bytes| at = put(to, at, bytes), name, field);
        let start = self.end_entry(at);
        self.volatile += usize::from(field.expires_at_ms.is_some());
        self.place(start, rank_of_name(name), name);
    }

    /// Where an entry of so many bytes is to be written, and from which place there on: in front is
    /// its length. There is room for all of it, and for a number.
    #[inline(always)]
    fn begin_entry(&mut self, len: usize) -> (&mut [u8], usize) {
        let most = len + LENGTH_BYTES_MAX + NUMBER_BYTES_MAX;
        if self.bytes.len() - self.end < most {
            self.make_room(most);
        }
        let to = self.bytes.get_mut(self.end..).unwrap_or_default();
        let at = match u8::try_from(len) {
            Ok(short @ ..0x80) => put(to, 0, &[short]),
            _ => put(to, 0, &Length::of(len)),
        };
        (to, at)
    }

    /// It takes so many bytes with its length. Returns where it begins.
    #[inline(always)]
    fn end_entry(&mut self, taken: usize) -> usize {
        let start = self.end;
        self.end += taken;
        self.len += 1;
        start
    }

    #[cold]
    fn make_room(&mut self, more: usize) {
        let least = self.end.saturating_add(more);
        self.bytes.resize(least.max(2 * self.bytes.len()).max(LEAF_BYTES), 0);
    }

    #[inline(always)]
    fn place(&mut self, start: usize, rank: u64, name: &[u8]) {
        let (last, last_rank) = self.last;
        let is_behind = self.len == 1 || last_rank < rank;
        if !is_behind && self.is_sorted {
            self.is_sorted = last_rank == rank && self.name(last) < name;
        }
        self.last = (start, rank);
        self.places.push(u128::from(rank) << 64 | start as u128);
    }

    /// The name in the entry that begins there.
    fn name(&self, start: usize) -> &[u8] {
        name_at(self.kind, &self.bytes, start)
    }

    /// What there is as a value, lent where it is small; none where there is no element.
    /// `is_packed` tells how the primary keeps a sorted set.
    pub fn finish(&mut self, is_packed: bool) -> Result<Option<Content<'_>>, Twice> {
        self.sort()?;
        let Self { kind, len, .. } = *self;
        if len == 0 {
            return Ok(None);
        }
        let is_zset = kind == Type::Zset;
        let is_flat = self.end <= LEAF_BYTES && !(is_zset && len > zset::SCANNED_MAX);
        if is_zset && (!is_flat || self.seen.perhaps_twice) && self.order_by_name() {
            return Err(Twice);
        }
        if !is_flat {
            return Ok(Some(Content::Value(self.built(is_packed))));
        }
        let mark = match kind {
            Type::Hash => self.volatile,
            Type::Zset => usize::from(!is_packed),
            _ => 0,
        };
        Ok(Some(Content::Flat(Flat { kind, len, mark, bytes: self.block() })))
    }

    /// What is large, and in order.
    #[inline(never)]
    fn built(&self, is_packed: bool) -> Value {
        let all = built(wholes(self.block()));
        match self.kind {
            Type::Set => Value::Set(Set::built(all)),
            Type::Hash => Value::Hash(Hash::built(all, self.volatile)),
            Type::Zset => Value::Zset(Zset::built(all, built(self.by_name()), is_packed)),
            _ => Value::List(List::built(all)),
        }
    }

    /// Puts the entries in order, unless they are; of a set or hash, none may be there twice.
    fn sort(&mut self) -> Result<(), Twice> {
        if self.is_sorted {
            return Ok(());
        }
        let Self { kind, bytes, end, places, unsorted, .. } = self;
        std::mem::swap(bytes, unsorted);
        places.sort_unstable();
        let has_ties = places.windows(2).any(|pair| is_tied(&pair[0], &pair[1]));
        let has_twice = has_ties && sort_tied(places, &|start| name_at(*kind, unsorted, start));
        bytes.resize(bytes.len().max(*end), 0);
        let mut at = 0;
        for place in places {
            at = put(bytes, at, whole_at(unsorted, names::at(*place)));
        }
        self.is_sorted = true;
        if has_twice { Err(Twice) } else { Ok(()) }
    }

    /// Puts the places of entries in the order of their names. Whether two have the same.
    #[inline(never)]
    fn order_by_name(&mut self) -> bool {
        let Self { kind, bytes, end, places, .. } = self;
        let bytes = bytes.get(..*end).unwrap_or_default();
        places.clear();
        let mut start = 0;
        for entry in wholes(bytes) {
            places.push(start as u128);
            start += entry.len();
        }
        sort_names(places, &|start| name_at(*kind, bytes, start))
    }

    /// All entries with their lengths, whose places were put in the order of their names.
    fn by_name(&self) -> impl Iterator<Item = &[u8]> {
        let bytes = self.block();
        self.places.iter().map(move |place| whole_at(bytes, names::at(*place)))
    }

    /// Gives back what one large aggregate needed.
    #[inline]
    pub fn shrink(&mut self, bytes: usize) {
        if self.bytes.capacity().max(self.unsorted.capacity()) > bytes {
            *self = Self::default();
        }
    }
}

/// The name in the entry that begins there.
fn name_at(kind: Type, bytes: &[u8], start: usize) -> &[u8] {
    name(kind, entry_at(bytes, start))
}

/// The entry that begins there, without its length.
fn entry_at(bytes: &[u8], start: usize) -> &[u8] {
    let (len, rest) = split_length(bytes.get(start..).unwrap_or_default());
    rest.get(..len).unwrap_or_default()
}

/// The same with its length.
fn whole_at(bytes: &[u8], start: usize) -> &[u8] {
    let entry = bytes.get(start..).unwrap_or_default();
    let (len, behind) = split_length(entry);
    entry.get(..entry.len() - behind.len() + len).unwrap_or_default()
}

/// All entries with their lengths.
fn wholes(mut bytes: &[u8]) -> impl Iterator<Item = &[u8]> {
    std::iter::from_fn(move || {
        let (entry, behind) = bytes.split_at(whole_at(bytes, 0).len());
        bytes = behind;
        (!entry.is_empty()).then_some(entry)
    })
}

/// A tree in the making of entries with their lengths.
fn built<'e>(entries: impl Iterator<Item = &'e [u8]>) -> Builder {
    let mut builder = Builder::default();
    entries.for_each(|entry| builder.push(split_length(entry).1));
    builder
}

/// The name in an entry.
fn name(kind: Type, entry: &[u8]) -> &[u8] {
    match kind {
        Type::Hash => hash::parts(entry).0,
        Type::Zset => zset::parts(entry).0,
        _ => entry,
    }
}

/// Copies bytes to a place, and returns the one behind them.
#[inline(always)]
fn put(to: &mut [u8], at: usize, bytes: &[u8]) -> usize {
    let end = at + bytes.len();
    if let Some(to) = to.get_mut(at..end) {
        copy(to, bytes);
    }
    end
}

#[inline(always)]
fn put_number(to: &mut [u8], at: usize, number: &Number) -> usize {
    if let Some(to) = to.get_mut(at..).and_then(|to| to.first_chunk_mut()) {
        *to = *number.padded();
    }
    at + number.len()
}

/// Copies as many bytes as there are, without a call where they are few.
#[inline(always)]
fn copy(to: &mut [u8], from: &[u8]) {
    match from.len() {
        0 => {}
        1..4 => {
            let middle = from.len() / 2;
            if let (Some(a), Some(b), Some(c)) = (from.first(), from.get(middle), from.last()) {
                if let Some(to) = to.get_mut(middle) {
                    *to = *b;
                }
                if let Some(to) = to.first_mut() {
                    *to = *a;
                }
                if let Some(to) = to.last_mut() {
                    *to = *c;
                }
            }
        }
        4..8 => copy_ends::<4>(to, from),
        8..=16 => copy_ends::<8>(to, from),
        17..=32 => copy_ends::<16>(to, from),
        _ => to.copy_from_slice(from),
    }
}

/// Copies at most twice as many bytes, at least as many: the two ends, which may overlap.
#[inline(always)]
fn copy_ends<const N: usize>(to: &mut [u8], from: &[u8]) {
    if let (Some(first), Some(last)) = (from.first_chunk::<N>(), from.last_chunk::<N>()) {
        if let Some(to) = to.first_chunk_mut::<N>() {
            *to = *first;
        }
        if let Some(to) = to.last_chunk_mut::<N>() {
            *to = *last;
        }
    }
}

/// The first bytes, in their order.
#[inline(always)]
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
#[inline(always)]
fn rank_of_score(score: f64) -> u64 {
    let bits = (score + 0.0).to_bits();
    if bits >> 63 == 0 { bits | 1 << 63 } else { !bits }
}

/// Seldom the same for two names, unless somebody wants it to be.
#[inline(always)]
fn digest(name: &[u8]) -> u64 {
    const ODD: u64 = 0x9e37_79b9_7f4a_7c15;
    let first = rank_of_name(name).wrapping_mul(ODD);
    let last = name.last_chunk::<8>().map_or(0, |last| u64::from_le_bytes(*last));
    (first ^ first >> 32).wrapping_add(last).wrapping_add(name.len() as u64).wrapping_mul(ODD)
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
            aside in 0..90usize,
        ) {
            let mut packer = Packer::default();
            for kind in [Type::List, Type::Set, Type::Zset, Type::Hash] {
                let mut wanted = match kind {
                    Type::List => Value::List(List::default()),
                    Type::Set => Value::Set(Set::default()),
                    Type::Zset => Value::Zset(Zset::default()),
                    _ => Value::Hash(Hash::default()),
                };
                let mut large = Large::new(kind);
                let (mut is_distinct, mut taken) = (true, Ok(()));
                // Once all of them, and once with some put aside now and then.
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
                            if n % (aside + 1) == aside {
                                taken = taken.and(large.take(&mut packer));
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
                        taken = taken.and(large.take(&mut packer));
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
                let in_parts = taken.and_then(|()| large.finish(true));
                prop_assert_eq!(in_parts.is_ok(), is_distinct);
                if let Ok(in_parts) = in_parts {
                    prop_assert_eq!(&in_parts, &wanted);
                    prop_assert_eq!(in_parts.memory(), wanted.memory());
                }
            }
        }
    }

    #[test]
    fn integers_are_packed_as_their_texts_are() {
        let numbers = [5, 7, 8, 0, -3, i64::MIN, 1 << 20, 2056, -600, i64::MAX, 1 << 40];
        let (mut as_numbers, mut as_texts) = (Packer::default(), Packer::default());
        for packer in [&mut as_numbers, &mut as_texts] {
            packer.begin(Type::Set);
            packer.member(b"text");
        }
        for number in numbers {
            as_numbers.number(number);
            as_texts.member(number.to_string().as_bytes());
        }
        let [found, wanted] = [&mut as_numbers, &mut as_texts].map(value);
        assert_eq!(found, wanted);
        assert!(found.is_ok_and(|value| value.is_some_and(|value| value.len() == 12)));
        for twice in [5, i64::MIN] {
            as_numbers.begin(Type::Set);
            [twice, 6, twice].into_iter().for_each(|number| as_numbers.number(number));
            assert_eq!(value(&mut as_numbers), Err(Twice));
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
