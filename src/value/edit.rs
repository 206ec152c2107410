//! Edits of small aggregates as they lie in one block: what comes of one is pieces of the old block
//! and what is new between them, to be laid into the next block as they are. No value is made of
//! the one or the other.
//!
//! Each does what the method of its type does that it is named after. `None` is for that method:
//! what is of another type, or what may not be one block any more.

use super::hash::{entry_len, head_of, parts as field_of};
use super::tree::{Length, compare_bytes, first_bytes, split_length};
use super::zset::{
    PACKED_MEMBER_MAX, SCANNED_MAX, order as member_order, packed_score, parts as member_of,
};
use super::{Field, Flat, Type};
use std::marker::PhantomData;

/// Where what is new and not an argument lies until it is laid into a block. Arguments that live as
/// long as `'args` can be laid there as they are.
#[derive(Debug, Default)]
pub struct Room<'args> {
    brief: Brief<32>,
    /// Of several elements at once.
    many: Vec<u8>,
    args: PhantomData<&'args [u8]>,
}

/// So much may be new at most: what is more is no small edit.
const NEW_MAX: usize = 512;

/// A few bytes.
#[derive(Debug)]
pub struct Brief<const N: usize> {
    bytes: [u8; N],
    used: usize,
}

/// How many pieces there may be.
const PIECES: usize = 6;

/// Bytes in a few pieces, one behind the other.
#[derive(Clone, Copy, Debug)]
pub struct Pieces<'a>([&'a [u8]; PIECES]);

impl<const N: usize> Default for Brief<N> {
    #[inline]
    fn default() -> Self {
        Self { bytes: [0; N], used: 0 }
    }
}

impl<const N: usize> Brief<N> {
    /// Puts bytes behind the others; `None`, and nothing, if there is no room.
    #[inline]
    pub fn put(&mut self, bytes: &[u8]) -> Option<()> {
        let end = self.used + bytes.len();
        self.bytes.get_mut(self.used..end)?.copy_from_slice(bytes);
        self.used = end;
        Some(())
    }

    /// The same of the lowest bytes of a number, the last one first.
    #[inline]
    pub fn put_number(&mut self, number: u64, len: usize) -> Option<()> {
        *self.bytes.get_mut(self.used..)?.first_chunk_mut()? = number.to_le_bytes();
        self.used += len.min(size_of::<u64>());
        Some(())
    }

    /// The same of a length, as [`push_length`](super::push_length) writes it.
    #[inline]
    pub fn put_length(&mut self, len: usize) -> Option<()> {
        if len < 0x80 { self.put(&[len as u8]) } else { self.put(&Length::of(len)) }
    }

    /// All that was put there.
    #[inline]
    pub fn all(&self) -> &[u8] {
        self.bytes.get(..self.used).unwrap_or_default()
    }
}

impl Room<'_> {
    /// Elements of a list as they lie in it.
    fn put_elements(&mut self, elements: &[&[u8]], reversed: bool) -> Option<&[u8]> {
        let len = |element: &&[u8]| Length::of(element.len()).len() + element.len();
        if elements.iter().map(len).sum::<usize>() > NEW_MAX {
            return None;
        }
        let mut push = |element: &&[u8]| {
            self.many.extend_from_slice(&Length::of(element.len()));
            self.many.extend_from_slice(element);
        };
        if reversed {
            elements.iter().rev().for_each(&mut push);
        } else {
            elements.iter().for_each(&mut push);
        }
        Some(&self.many)
    }
}

impl<'a> Pieces<'a> {
    /// The pieces, of which any may be empty.
    #[inline]
    pub fn all(self) -> [&'a [u8]; PIECES] {
        self.0
    }

    /// How many bytes they are together.
    #[inline]
    pub fn total_len(self) -> usize {
        self.0.iter().map(|piece| piece.len()).sum()
    }
}

/// The first entry of some, and the others.
#[inline]
fn split_entry(entries: &[u8]) -> Option<(&[u8], &[u8])> {
    if entries.is_empty() {
        return None;
    }
    let (len, rest) = split_length(entries);
    rest.split_at_checked(len)
}

/// What a member ends with: at most eight bytes, and which of eight that are.
#[derive(Clone, Copy)]
struct End {
    bytes: u64,
    mask: u64,
}

impl End {
    fn of(member: &[u8]) -> Self {
        if let Some(last) = member.last_chunk() {
            return Self { bytes: u64::from_be_bytes(*last), mask: u64::MAX };
        }
        let missing = u64::BITS - 8 * member.len() as u32;
        let lowest = |word: u64| word.checked_shr(missing).unwrap_or(0);
        Self { bytes: lowest(first_bytes(member)), mask: lowest(u64::MAX) }
    }

    /// Whether an entry may end with the member. What is short may always.
    #[inline]
    fn may_be_of(self, entry: &[u8]) -> bool {
        let last = entry.last_chunk().map(|last| u64::from_be_bytes(*last));
        last.is_none_or(|last| (last ^ self.bytes) & self.mask == 0)
    }
}

impl<'a> Flat<&'a [u8]> {
    /// An aggregate without elements, or an empty string.
    pub fn empty(kind: Type) -> Self {
        Self { kind, len: 0, mark: 0, bytes: b"" }
    }

    /// Another string.
    pub fn rewritten(self, string: &[u8], room: &'a mut Room<'_>) -> Option<Flat<Pieces<'a>>> {
        if self.kind != Type::String {
            return None;
        }
        room.brief.put(string)?;
        Some(Flat::string(Pieces([room.brief.all(), b"", b"", b"", b"", b""])))
    }

    /// [`List::push_front`](super::List::push_front) or
    /// [`List::push_back`](super::List::push_back) of one element after the other.
    pub fn pushed(
        self,
        elements: &[&'a [u8]],
        at_front: bool,
        room: &'a mut Room<'_>,
    ) -> Option<Flat<Pieces<'a>>> {
        if self.kind != Type::List {
            return None;
        }
        let new = match elements {
            [element] => {
                room.brief.put_length(element.len())?;
                [room.brief.all(), element]
            }
            _ => [room.put_elements(elements, at_front)?, b""],
        };
        let bytes = match (new, at_front) {
            ([a, b], true) => Pieces([a, b, self.bytes, b"", b"", b""]),
            ([a, b], false) => Pieces([self.bytes, a, b, b"", b"", b""]),
        };
        Some(Flat { kind: self.kind, len: self.len + elements.len(), mark: self.mark, bytes })
    }

    /// [`Hash::insert`](super::Hash::insert).
    pub fn with_field(
        self,
        name: &'a [u8],
        field: Field<'a>,
        room: &'a mut Room<'_>,
    ) -> Option<Flat<Pieces<'a>>> {
        if self.kind != Type::Hash {
            return None;
        }
        let room = &mut room.brief;
        room.put_length(entry_len(name, field))?;
        room.put_length(head_of(name, field))?;
        let head_len = room.used;
        if let Some(at) = field.expires_at_ms {
            room.put(&at.to_le_bytes())?;
        }
        let (head, deadline) = room.all().split_at_checked(head_len)?;
        let (mut rest, mut old) = (self.bytes, None);
        while let Some((entry, behind)) = split_entry(rest) {
            let (other, field) = field_of(entry);
            let order = compare_bytes(other, name);
            if order.is_eq() {
                old = Some((field, behind));
            }
            if order.is_ge() {
                break;
            }
            rest = behind;
        }
        let before = self.bytes.get(..self.bytes.len() - rest.len())?;
        let (gone, after) = match old {
            Some((old, behind)) => (Some(old), behind),
            None => (None, rest),
        };
        let is_volatile = |field: Field<'_>| usize::from(field.expires_at_ms.is_some());
        Some(Flat {
            kind: self.kind,
            len: self.len + usize::from(gone.is_none()),
            mark: self.mark + is_volatile(field) - gone.map_or(0, is_volatile),
            bytes: Pieces([before, head, name, deadline, field.value, after]),
        })
    }

    /// [`Zset::insert`](super::Zset::insert) into one that the primary keeps packed, and then still
    /// does. `outcome` is told the score that the member has and tells the one that it gets.
    pub fn with_member(
        self,
        member: &'a [u8],
        outcome: impl FnOnce(Option<f64>) -> Option<f64>,
        room: &'a mut Room<'_>,
    ) -> Option<Flat<Pieces<'a>>> {
        let is_packed = self.mark == 0 && self.len < SCANNED_MAX;
        if self.kind != Type::Zset || !is_packed || member.len() > PACKED_MEMBER_MAX {
            return None;
        }
        let (all, mut rest) = (self.bytes, self.bytes);
        let (mut old, end) = (None, End::of(member));
        while let Some((entry, behind)) = split_entry(rest) {
            // Its end is the member's: most need not be taken apart.
            if end.may_be_of(entry) {
                let (other, score) = member_of(entry);
                if compare_bytes(other, member).is_eq() {
                    old = Some((score, all.len() - rest.len(), all.len() - behind.len()));
                    break;
                }
            }
            rest = behind;
        }
        let score = outcome(old.map(|(score, ..)| score))?;
        let packed = packed_score(score);
        let room = &mut room.brief;
        room.put_length(packed.len() + member.len())?;
        room.put(&packed)?;
        let new = room.all();
        let mut rest = all;
        while let Some((entry, behind)) = split_entry(rest) {
            if member_order(member_of(entry), (member, score)).is_ge() {
                break;
            }
            rest = behind;
        }
        let to = all.len() - rest.len();
        let bytes = match old {
            None => [all.get(..to)?, new, member, all.get(to..)?, b"", b""],
            Some((_, start, end)) if end <= to => {
                [all.get(..start)?, all.get(end..to)?, new, member, all.get(to..)?, b""]
            }
            Some((_, start, end)) => {
                [all.get(..to)?, new, member, all.get(to..start)?, all.get(end..)?, b""]
            }
        };
        let len = self.len + usize::from(old.is_none());
        Some(Flat { kind: self.kind, len, mark: self.mark, bytes: Pieces(bytes) })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::value::{Hash, List, Value, Zset};
    use proptest::prelude::*;

    /// What an edit makes of a value that is one block; `None` where it leaves it to the type.
    fn edited<'args>(
        value: &Value,
        edit: impl for<'f> FnOnce(Flat<&'f [u8]>, &'f mut Room<'args>) -> Option<Flat<Pieces<'f>>>,
    ) -> Option<Flat> {
        let flat = if value.is_empty() { None } else { Some(Flat::of(value)?) };
        let flat = flat.as_ref().map_or(Flat::empty(value.kind()), Flat::lend);
        let mut room = Room::default();
        let new = edit(flat, &mut room)?;
        let bytes = new.bytes.all().concat();
        assert_eq!(bytes.len(), new.bytes.total_len());
        Some(new.map(|_| bytes.into()))
    }

    fn text(number: u8) -> Vec<u8> {
        let len = match number % 16 {
            0 => 0,
            1 => 9,
            2 => 130,
            3 => 600,
            n => usize::from(n),
        };
        let mut bytes = number.to_string().into_bytes();
        bytes.resize(len, b'x');
        bytes
    }

    fn score(number: u8) -> f64 {
        match number % 8 {
            0 => 0.0,
            1 => -0.0,
            2 => f64::INFINITY,
            3 => 1e300,
            _ => f64::from(number) / 4.0 - 20.0,
        }
    }

    proptest! {
        #[test]
        fn a_field_is_set_as_the_hash_does_it(
            steps in proptest::collection::vec((0_u8..40, any::<u8>(), any::<bool>()), 1..60)
        ) {
            let mut hash = Hash::default();
            for (name, value, expires) in steps {
                let (name, value) = (text(name), text(value));
                let expires_at_ms = expires.then_some(i64::from(value.len() as u32));
                let field = Field { value: &value, expires_at_ms };
                let before = Value::Hash(hash.clone());
                let new = edited(&before, |old, room| old.with_field(&name, field, room));
                hash.insert(&name, field);
                let after = Value::Hash(hash.clone());
                match (new, Flat::of(&after)) {
                    (Some(new), Some(flat)) => prop_assert_eq!(new, flat),
                    (Some(new), None) => prop_assert_eq!(new.into_value(), after),
                    (None, _) => {
                        let is_long = name.len() + value.len() > 300;
                        prop_assert!(is_long || Flat::of(&before).is_none());
                    }
                }
            }
        }

        #[test]
        fn a_member_gets_a_score_as_the_sorted_set_does_it(
            steps in proptest::collection::vec((0_u8..80, any::<u8>()), 1..120)
        ) {
            let mut zset = Zset::default();
            for (member, number) in steps {
                let (member, score) = (text(member), score(number));
                let before = Value::Zset(zset.clone());
                let was = zset.score(&member);
                let mut told = None;
                let outcome = |old| { told = Some(old); Some(score) };
                let new = edited(&before, |old, room| old.with_member(&member, outcome, room));
                let is_left = !zset.is_packed() || zset.len() >= SCANNED_MAX || member.len() > 64;
                zset.insert(&member, score);
                match new {
                    Some(new) => {
                        prop_assert!(zset.is_packed());
                        let bits = |score: Option<f64>| score.map(f64::to_bits);
                        prop_assert_eq!(told.map(bits), Some(bits(was)));
                        match Flat::of(&Value::Zset(zset.clone())) {
                            Some(flat) => prop_assert_eq!(new, flat),
                            None => prop_assert_eq!(new.into_value(), Value::Zset(zset.clone())),
                        }
                    }
                    None => prop_assert!(is_left || Flat::of(&before).is_none()),
                }
            }
        }

        #[test]
        fn elements_are_pushed_as_the_list_does_it(
            steps in proptest::collection::vec(
                (proptest::collection::vec(any::<u8>(), 1..4), any::<bool>()), 1..40)
        ) {
            let mut list = List::default();
            for (numbers, at_front) in steps {
                let elements: Vec<Vec<u8>> = numbers.into_iter().map(text).collect();
                let elements: Vec<&[u8]> = elements.iter().map(Vec::as_slice).collect();
                let before = Value::List(list.clone());
                let new = edited(&before, |old, room| old.pushed(&elements, at_front, room));
                for element in &elements {
                    if at_front { list.push_front(element) } else { list.push_back(element) }
                }
                let after = Value::List(list.clone());
                let bytes: usize = elements.iter().map(|element| element.len()).sum();
                match (new, Flat::of(&after)) {
                    (Some(new), Some(flat)) => prop_assert_eq!(new, flat),
                    (Some(new), None) => prop_assert_eq!(new.into_value(), after),
                    (None, _) => prop_assert!(bytes > 300 || Flat::of(&before).is_none()),
                }
            }
        }
    }

    #[test]
    fn what_is_of_another_type_is_left_alone() {
        let string = Value::string(b"text");
        let new = edited(&string, |old, room| old.rewritten(b"other", room)).map(Flat::into_value);
        assert_eq!(new, Some(Value::string(b"other")));
        assert!(edited(&string, |old, room| old.pushed(&[b"a"], true, room)).is_none());
        assert!(edited(&string, |old, room| old.with_member(b"a", |_| Some(1.0), room)).is_none());
        let field = Field::new(b"v");
        assert!(edited(&string, |old, room| old.with_field(b"a", field, room)).is_none());
        let list = Value::List(["a"].into_iter().collect());
        assert!(edited(&list, |old, room| old.rewritten(b"1", room)).is_none());
        let long = [0; 600];
        assert!(edited(&string, |old, room| old.rewritten(&long, room)).is_none());
    }
}
