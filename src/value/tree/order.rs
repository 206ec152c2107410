//! What orders the entries of a tree, and the first bytes of that, by which its nodes tell their
//! children apart without a look at any of them.

use super::block::entries;
use std::cmp::Ordering;
use std::marker::PhantomData;

/// Bytes of a [`Head`].
pub(super) const HEAD_BYTES: usize = 32;

/// The first bytes of what orders an entry, with zeros behind what is shorter: where two heads
/// differ, they are ordered as their entries are. Where they don't, nothing is known.
pub(in crate::value) type Head = [u8; HEAD_BYTES];

/// Where there is nothing to be told apart.
pub(in crate::value) const NO_HEAD: Head = [0; HEAD_BYTES];

/// How the entries of a tree are ordered.
pub(in crate::value) trait Order {
    /// What orders an entry.
    type Key<'a>: Copy;

    /// What orders this entry.
    fn key(entry: &[u8]) -> Self::Key<'_>;

    fn compare(a: Self::Key<'_>, b: Self::Key<'_>) -> Ordering;

    /// The entry of a leaf with this key, for less than to ask all before it for their order.
    #[inline]
    fn find_in<'l>(leaf: &'l [u8], key: Self::Key<'_>) -> Option<&'l [u8]> {
        entries(leaf).find(|entry| Self::compare(Self::key(entry), key).is_eq())
    }

    fn head(key: Self::Key<'_>) -> Head;

    /// A number by which most entries of a leaf are told apart: of two keys with different ones,
    /// the smaller one has the smaller one.
    fn lead(key: Self::Key<'_>) -> u64;
}

/// There is no order, or only the type above knows it: [`super::Tree::find_by`] finds things.
#[derive(Clone, Copy, Debug)]
pub(in crate::value) struct Unordered;

impl Order for Unordered {
    type Key<'a> = ();

    fn key(_: &[u8]) {}

    fn compare((): (), (): ()) -> Ordering {
        Ordering::Equal
    }

    fn head((): ()) -> Head {
        NO_HEAD
    }

    fn lead((): ()) -> u64 {
        0
    }
}

/// What entries are ordered by where that is a string of bytes.
pub(in crate::value) trait Name {
    fn name(entry: &[u8]) -> &[u8];

    /// Where in its entry a name of this length ends, where that is not the end of the entry.
    #[inline]
    fn end(_: usize) -> Option<usize> {
        None
    }
}

/// Of the end of a name so many bytes are compared at once.
const END_BYTES: usize = 8;

/// Whether both are the same, the second one being shorter than that.
#[inline(always)]
fn is_short(a: &[u8], b: &[u8]) -> bool {
    if a.len() != b.len() {
        return false;
    }
    // Without a call: two pieces that overlap, or a few bytes.
    match (a.first_chunk::<4>(), a.last_chunk::<4>()) {
        (Some(first), Some(last)) => b.starts_with(first) && b.ends_with(last),
        _ => a.iter().zip(b).all(|(a, b)| a == b),
    }
}

/// The entry itself.
#[derive(Clone, Copy, Debug)]
pub(in crate::value) struct Whole;

impl Name for Whole {
    #[inline]
    fn name(entry: &[u8]) -> &[u8] {
        entry
    }
}

/// In the order of the bytes of their names.
#[derive(Clone, Copy, Debug)]
pub(in crate::value) struct ByName<N>(PhantomData<N>);

impl<N: Name> Order for ByName<N> {
    type Key<'a> = &'a [u8];

    #[inline]
    fn key(entry: &[u8]) -> &[u8] {
        N::name(entry)
    }

    #[inline]
    fn compare(a: &[u8], b: &[u8]) -> Ordering {
        compare_bytes(a, b)
    }

    #[inline(always)]
    fn find_in<'l>(leaf: &'l [u8], key: &[u8]) -> Option<&'l [u8]> {
        let Some(wanted) = key.last_chunk::<END_BYTES>() else {
            return entries(leaf).find(|entry| is_short(N::name(entry), key));
        };
        let name_end = N::end(key.len());
        let mut rest = leaf;
        // Most names differ in their ends, which are looked at where they would have to be.
        while let [len @ ..0x80, behind @ ..] = rest {
            let len = usize::from(*len);
            let end = name_end.unwrap_or(len);
            if let Some(begin) = end.checked_sub(END_BYTES)
                && behind.get(begin..end) == Some(wanted)
                && let Some(entry) = behind.get(..len)
                && N::name(entry) == key
            {
                return Some(entry);
            }
            rest = behind.get(len..)?;
        }
        // The first that is long, and those behind it.
        entries(rest).find(|entry| N::name(entry) == key)
    }

    #[inline]
    fn head(key: &[u8]) -> Head {
        let mut head = NO_HEAD;
        // Without a call, by two pieces that overlap.
        if let Some(all) = key.first_chunk::<HEAD_BYTES>() {
            head = *all;
        } else if let (Some(first), Some(last)) = (key.first_chunk::<16>(), key.last_chunk::<16>())
        {
            head[..16].copy_from_slice(first);
            head[key.len() - 16..key.len()].copy_from_slice(last);
        } else if let (Some(first), Some(last)) = (key.first_chunk::<8>(), key.last_chunk::<8>()) {
            head[..8].copy_from_slice(first);
            head[key.len() - 8..key.len()].copy_from_slice(last);
        } else {
            head.iter_mut().zip(key).for_each(|(place, byte)| *place = *byte);
        }
        head
    }

    #[inline]
    fn lead(key: &[u8]) -> u64 {
        match key.first_chunk() {
            Some(first) => u64::from_be_bytes(*first),
            None => {
                let bytes = key.iter().fold(0, |all, byte| all << 8 | u64::from(*byte));
                bytes.checked_shl(u64::BITS - 8 * key.len() as u32).unwrap_or(0)
            }
        }
    }
}

/// As the slices compare, most of them without a call.
#[inline]
pub(in crate::value) fn compare_bytes(a: &[u8], b: &[u8]) -> Ordering {
    let number = |bytes: &[u8; 8]| u64::from_be_bytes(*bytes);
    let (Some(a_first), Some(b_first)) = (a.first_chunk(), b.first_chunk()) else {
        // Of two that begin alike and of which one is short, the other is longer, or as short.
        let first = first_bytes(a).cmp(&first_bytes(b));
        return first.then_with(|| a.len().cmp(&b.len()));
    };
    let first = number(a_first).cmp(&number(b_first));
    if first.is_ne() || a.len() != b.len() || a.len() > 16 {
        return first.then_with(|| a.cmp(b));
    }
    // Some of the last eight bytes may be among the first, which are equal.
    a.last_chunk().map(number).cmp(&b.last_chunk().map(number))
}

/// The first eight bytes as a number, with zeros for those that are not there.
#[inline]
pub(in crate::value) fn first_bytes(bytes: &[u8]) -> u64 {
    if let Some(first) = bytes.first_chunk() {
        return u64::from_be_bytes(*first);
    }
    let missing = u64::BITS - 8 * bytes.len() as u32;
    if let (Some(first), Some(last)) = (bytes.first_chunk(), bytes.last_chunk()) {
        let [first, last] = [first, last].map(|four| u64::from(u32::from_be_bytes(*four)));
        // They overlap, and where they do they are the same.
        return first << 32 | last << missing;
    }
    match *bytes {
        [a, b, c] => u64::from_be_bytes([a, b, c, 0, 0, 0, 0, 0]),
        [a, b] => u64::from_be_bytes([a, b, 0, 0, 0, 0, 0, 0]),
        [a] => u64::from_be_bytes([a, 0, 0, 0, 0, 0, 0, 0]),
        _ => 0,
    }
}

/// The head of what these parts are together.
pub(in crate::value) fn head_of(parts: &[&[u8]]) -> Head {
    let mut head = [0; HEAD_BYTES];
    let mut rest = &mut head[..];
    for part in parts {
        let len = part.len().min(rest.len());
        let (these, behind) = std::mem::take(&mut rest).split_at_mut(len);
        these.copy_from_slice(&part[..len]);
        rest = behind;
    }
    head
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn what_leads_or_heads_tell_apart_is_in_their_order(
            a in proptest::collection::vec(0u8..3, 0..12),
            b in proptest::collection::vec(0u8..3, 0..12)
        ) {
            let lead = <ByName<Whole> as Order>::lead;
            let order = compare_bytes(&a, &b);
            prop_assert_eq!(order, a.cmp(&b));
            for first in [lead(&a).cmp(&lead(&b)), head_of(&[&a]).cmp(&head_of(&[&b]))] {
                prop_assert!(first.is_eq() || first == order);
            }
            prop_assert!(a.len() > 7 || is_short(&b, &a) == (a == b));
            let long = [&a[..], &b, &a].concat();
            prop_assert_eq!(<ByName<Whole> as Order>::head(&long), head_of(&[&long]));
        }
    }
}
