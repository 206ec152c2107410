//! Integers in the fewest bytes, among strings: of a string that is a canonical decimal text only
//! the number is kept, as listpacks of the servers do, and the text made again.
//!
//! What is packed begins with one of 64 bytes with which no UTF-8 text begins, and which tells how
//! many bytes follow. Any other string is itself; one that happens to begin with such a byte has
//! one more in front. Packed strings are equal where the strings are, and integers are in their
//! order as bytes: so they are compared as they lie, and only what is sought has to be packed.

use crate::text::{Decimal, format_i64, parse_i64};
use smallvec::SmallVec;
use std::borrow::Borrow;
use std::cmp::Ordering;
use std::fmt;
use std::hash::{Hash, Hasher};
use std::ops::Deref;

/// The first of all such bytes, and the last: it stands in front of what is no integer.
const FIRST: u8 = 0x80;
const ESCAPE: u8 = 0xbf;

/// The first byte of the integers from 0 on; those below count down from it.
const ZERO: u8 = FIRST + 16;

/// Of the integers from 0 on, and of those from -1 down: how many first bytes stand for integers
/// with as many further bytes as the place in the table says.
const POSITIVE: [u8; 9] = [8, 8, 16, 8, 1, 1, 1, 1, 1];
const NEGATIVE: [u8; 9] = [1, 2, 4, 2, 1, 1, 1, 1, 1];

/// The same for finding how many further bytes there are: the least distance from the border
/// between both signs with so many of them, and how many first bytes are for fewer.
const STEPS: [[(u64, u8); 9]; 2] = [steps(POSITIVE), steps(NEGATIVE)];

/// As many further bytes as the least distance of so many bits has.
const LENGTHS: [[u8; 65]; 2] = [lengths(STEPS[0]), lengths(STEPS[1])];

const fn steps(classes: [u8; 9]) -> [(u64, u8); 9] {
    let mut steps = [(0, 0); 9];
    let mut len = 0;
    while len < 8 {
        let (border, first) = steps[len];
        steps[len + 1] = (border + ((classes[len] as u64) << (8 * len)), first + classes[len]);
        len += 1;
    }
    steps
}

const fn lengths(steps: [(u64, u8); 9]) -> [u8; 65] {
    let mut lengths = [0; 65];
    let mut bits = 1;
    while bits < 65 {
        let mut len = 0;
        while len < 8 && steps[len + 1].0 <= 1 << (bits - 1) {
            len += 1;
        }
        lengths[bits] = len as u8;
        bits += 1;
    }
    lengths
}

/// Bytes that a number takes at most.
pub(super) const NUMBER_BYTES_MAX: usize = 9;

/// A number in the fewest bytes, and zeros behind them.
#[derive(Clone, Copy)]
pub(super) struct Number {
    bytes: [u8; NUMBER_BYTES_MAX],
    len: usize,
}

/// A string as it lies in memory.
pub(super) enum Packed<'a> {
    Itself(&'a [u8]),
    Number(Number),
    Escaped(SmallVec<[u8; 32]>),
}

impl Number {
    /// Of so many of these bytes; those behind them are zeros.
    pub(super) fn of(bytes: [u8; NUMBER_BYTES_MAX], len: usize) -> Self {
        Self { bytes, len }
    }

    /// Of so many of the highest bytes of a word; those behind them are zeros.
    #[inline(always)]
    fn of_word(word: u64, len: usize) -> Self {
        let mut bytes = [0; NUMBER_BYTES_MAX];
        bytes[..8].copy_from_slice(&word.to_be_bytes());
        Self { bytes, len }
    }

    /// With the zeros.
    #[inline(always)]
    pub(super) fn padded(&self) -> &[u8; NUMBER_BYTES_MAX] {
        &self.bytes
    }
}

impl Deref for Number {
    type Target = [u8];

    #[inline(always)]
    fn deref(&self) -> &[u8] {
        self.bytes.get(..self.len).unwrap_or_default()
    }
}

impl Deref for Packed<'_> {
    type Target = [u8];

    #[inline]
    fn deref(&self) -> &[u8] {
        match self {
            Self::Itself(bytes) => bytes,
            Self::Number(number) => number,
            Self::Escaped(bytes) => bytes,
        }
    }
}

/// A string that was packed.
#[derive(Clone, Copy, Debug)]
pub struct Unpacked<'a>(Form<'a>);

#[derive(Clone, Copy, Debug)]
enum Form<'a> {
    Itself(&'a [u8]),
    Number(Decimal),
}

/// A string as it is to lie in memory.
#[inline]
pub(super) fn pack(string: &[u8]) -> Packed<'_> {
    match string.first() {
        Some(b'0'..=b'9' | b'-') => match parse_i64(string) {
            Some(number) => Packed::Number(pack_number(number)),
            None => Packed::Itself(string),
        },
        Some(FIRST..=ESCAPE) => {
            let mut escaped = SmallVec::with_capacity(string.len() + 1);
            escaped.push(ESCAPE);
            escaped.extend_from_slice(string);
            Packed::Escaped(escaped)
        }
        _ => Packed::Itself(string),
    }
}

/// What [`pack`] was given.
#[inline]
pub(super) fn unpack(packed: &[u8]) -> Unpacked<'_> {
    Unpacked(match packed.split_first() {
        Some((&ESCAPE, string)) => Form::Itself(string),
        Some((FIRST..ESCAPE, _)) => Form::Number(format_i64(split_number(packed).0)),
        _ => Form::Itself(packed),
    })
}

/// Whether this is a string that does not lie in memory as it is.
#[inline(always)]
pub(super) fn is_packed(string: &[u8]) -> bool {
    matches!(string.first(), Some(b'0'..=b'9' | b'-' | FIRST..=ESCAPE))
}

/// A number in the fewest bytes.
#[inline]
pub(super) fn pack_number(number: i64) -> Number {
    const TWO: (u64, u8) = STEPS[0][1];
    const THREE: (u64, u8) = STEPS[0][2];
    const FOUR: (u64, u8) = STEPS[0][3];
    // What most numbers are, without a table.
    let distance = number as u64;
    let ((border, first), len) = match distance {
        _ if distance < TWO.0 => ((0, 0), 0),
        _ if distance < THREE.0 => (TWO, 1),
        _ if distance < FOUR.0 => (THREE, 2),
        _ => return pack_any(number),
    };
    let whole = (u64::from(ZERO + first) << (8 * len)) + (distance - border);
    Number::of_word(whole << (56 - 8 * len), len + 1)
}

#[inline(never)]
fn pack_any(number: i64) -> Number {
    let negative = usize::from(number < 0);
    let flip = (number >> 63) as u64;
    // The distance from the border between both signs.
    let distance = number as u64 ^ flip;
    let bits = 64 - distance.leading_zeros() as usize;
    let (lengths, steps) = (&LENGTHS[negative], &STEPS[negative]);
    let mut len = usize::from(lengths.get(bits).copied().unwrap_or_default());
    // No two borders are that near to each other.
    let next = steps.get(len + 1).map_or(u64::MAX, |(border, _)| *border);
    len += usize::from(distance >= next && len < 8);
    let (border, first) = steps.get(len).copied().unwrap_or_default();
    let left = distance - border;
    if len == 8 {
        let mut bytes = [0; NUMBER_BYTES_MAX];
        bytes[0] = if negative == 1 { ZERO - 1 - first } else { ZERO + first };
        bytes[1..].copy_from_slice(&(left ^ flip).to_be_bytes());
        return Number { bytes, len: 9 };
    }
    // Those below zero count down, and so do all of their bytes together.
    let up = u64::from(ZERO + first) << (8 * len);
    let down = (u64::from(ZERO - first) << (8 * len)).wrapping_sub(1);
    let whole = if negative == 1 { down - left } else { up + left };
    Number::of_word(whole << (56 - 8 * len), len + 1)
}

/// Whether a number is what these bytes begin with.
#[inline]
pub(super) fn is_number(bytes: &[u8]) -> bool {
    matches!(bytes.first(), Some(FIRST..ESCAPE))
}

/// Of each first byte, from [`FIRST`] on: how many further bytes there are, and the distance from
/// the border between both signs where those are zeros.
const STARTS: [(u8, u64); (ESCAPE - FIRST) as usize] = {
    let mut starts = [(0, 0); (ESCAPE - FIRST) as usize];
    let mut at = 0;
    while at < starts.len() {
        let negative = at < (ZERO - FIRST) as usize;
        let zero = (ZERO - FIRST) as usize;
        let mut code = if negative { zero - 1 - at } else { at - zero };
        let classes = if negative { NEGATIVE } else { POSITIVE };
        let (mut base, mut len) = (0_u64, 0);
        while len < 8 && code >= classes[len] as usize {
            base += (classes[len] as u64) << (8 * len);
            code -= classes[len] as usize;
            len += 1;
        }
        let high = if len < 8 { (code as u64) << (8 * len) } else { 0 };
        starts[at] = (len as u8, base.wrapping_add(high));
        at += 1;
    }
    starts
};

/// Reads the number that [`pack_number`] wrote, and returns it with what follows.
#[inline]
pub(super) fn split_number(bytes: &[u8]) -> (i64, &[u8]) {
    let Some((&first, rest)) = bytes.split_first() else { return (0, &[]) };
    let place = usize::from(first.wrapping_sub(FIRST));
    let (len, start) = STARTS.get(place).copied().unwrap_or_default();
    let (low, rest) = rest.split_at_checked(usize::from(len)).unwrap_or((rest, &[]));
    let flip = if first < ZERO { u64::MAX } else { 0 };
    let low = low.iter().fold(0, |all, byte| all << 8 | u64::from(byte ^ flip as u8));
    ((start.wrapping_add(low) ^ flip) as i64, rest)
}

impl<'a> From<&'a [u8]> for Unpacked<'a> {
    fn from(string: &'a [u8]) -> Self {
        Self(Form::Itself(string))
    }
}

impl Deref for Unpacked<'_> {
    type Target = [u8];

    #[inline]
    fn deref(&self) -> &[u8] {
        match &self.0 {
            Form::Itself(string) => string,
            Form::Number(text) => text.as_ref(),
        }
    }
}

impl AsRef<[u8]> for Unpacked<'_> {
    fn as_ref(&self) -> &[u8] {
        self
    }
}

impl Borrow<[u8]> for Unpacked<'_> {
    fn borrow(&self) -> &[u8] {
        self
    }
}

impl PartialEq for Unpacked<'_> {
    fn eq(&self, other: &Self) -> bool {
        **self == **other
    }
}

impl Eq for Unpacked<'_> {}

impl PartialOrd for Unpacked<'_> {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Unpacked<'_> {
    fn cmp(&self, other: &Self) -> Ordering {
        (**self).cmp(other)
    }
}

impl Hash for Unpacked<'_> {
    fn hash<H: Hasher>(&self, state: &mut H) {
        (**self).hash(state);
    }
}

impl fmt::Display for Unpacked<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        String::from_utf8_lossy(self).fmt(f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn small_numbers_take_few_bytes_and_other_strings_stay() {
        for (text, len) in [
            ("0", 1),
            ("7", 1),
            ("8", 2),
            ("2055", 2),
            ("2056", 3),
            ("999999", 3),
            ("1050631", 3),
            ("1050632", 4),
            ("1700000000", 5),
            ("1700000000000", 7),
            ("9223372036854775807", 9),
            ("-1", 1),
            ("-2", 2),
            ("-100000", 3),
            ("-9223372036854775808", 9),
            ("", 0),
            ("-", 1),
            ("-0", 2),
            ("007", 3),
            ("+1", 2),
            ("1.5", 3),
            ("9223372036854775808", 19),
        ] {
            let packed = pack(text.as_bytes());
            assert_eq!((packed.len(), &*unpack(&packed)), (len, text.as_bytes()), "{text}");
        }
        for string in [&[0x80][..], &[0x90, 1], &[0xbf], &[0xbf, 0xbf], &[0xc0], &[0x7f], &[0xff]] {
            let packed = pack(string);
            assert_eq!(&*unpack(&packed), string);
            assert!(!is_number(&packed));
        }
    }

    #[test]
    fn every_border_between_two_lengths_is_in_order() {
        let mut numbers = vec![i64::MIN, i64::MIN + 1, i64::MAX - 1, i64::MAX];
        for (classes, negative) in [(POSITIVE, false), (NEGATIVE, true)] {
            let mut border = 0_i64;
            for (len, codes) in classes.into_iter().enumerate() {
                numbers.extend((-2..=2).map(|near| {
                    let distance = border.saturating_add(near).max(0);
                    if negative { !distance } else { distance }
                }));
                let Some(room) = 256_i64.checked_pow(len as u32) else { continue };
                border = border.saturating_add(room.saturating_mul(i64::from(codes)));
            }
        }
        numbers.sort_unstable();
        let packed: Vec<Vec<u8>> = numbers.iter().map(|n| pack_number(*n).to_vec()).collect();
        assert!(packed.is_sorted(), "{packed:x?}");
        for (number, packed) in numbers.iter().zip(&packed) {
            assert_eq!(split_number(packed), (*number, &[][..]), "{packed:x?}");
        }
    }

    proptest! {
        #[test]
        fn numbers_come_back_in_their_order(a: i64, b: i64, shift_a in 0..64, shift_b in 0..64) {
            let (a, b) = (a >> shift_a, b >> shift_b);
            let (packed_a, packed_b) = (pack_number(a), pack_number(b));
            prop_assert_eq!(packed_a.cmp(&packed_b), a.cmp(&b));
            let followed = [&packed_a[..], b"rest"].concat();
            prop_assert_eq!(split_number(&followed), (a, &b"rest"[..]));
            let text = a.to_string();
            prop_assert_eq!(&pack(text.as_bytes())[..], &packed_a[..]);
            let back = unpack(&packed_a);
            prop_assert_eq!(&back[..], text.as_bytes());
        }

        #[test]
        fn strings_come_back(string in proptest::collection::vec(any::<u8>(), 0..24)) {
            let packed = pack(&string);
            prop_assert_eq!(&unpack(&packed)[..], &string[..]);
        }
    }
}
