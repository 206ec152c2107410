//! Zipmaps: the blocks of small hashes in Redis 2.0 to 2.4.

use super::packed::{Packed, Rest};

/// From here on the first byte does not tell the number of pairs.
const UNCOUNTED: u8 = 254;
/// Says that a length stands in the next 4 bytes.
const LONG: u8 = 254;
/// Ends the block.
const END: u8 = 0xff;

/// A walk over a zipmap: name, value, name, value and so on.
#[derive(Clone, Copy)]
pub(super) struct Zipmap<'a> {
    rest: Rest<'a>,
    left: Option<u8>,
    value_next: bool,
}

impl<'a> Zipmap<'a> {
    pub(super) fn new(bytes: &'a [u8]) -> Option<Self> {
        let mut rest = Rest(bytes);
        let count = rest.byte()?;
        Some(Self { rest, left: (count < UNCOUNTED).then_some(count), value_next: false })
    }

    /// The outer None is damage, the inner one the end.
    pub(super) fn next(&mut self) -> Option<Option<Packed<'a>>> {
        let rest = &mut self.rest;
        let len = match (rest.byte()?, self.value_next) {
            (END, false) => {
                return (rest.0.is_empty() && self.left.unwrap_or(0) == 0).then_some(None);
            }
            (END, true) => return None,
            (LONG, _) => usize::try_from(rest.u32_le()?).ok()?,
            (len, _) => usize::from(len),
        };
        let element = if self.value_next {
            // A value that became shorter keeps its place: so many bytes behind it are unused.
            let unused = rest.byte()?;
            let value = rest.text(len)?;
            rest.take(usize::from(unused))?;
            value
        } else {
            if let Some(left) = &mut self.left {
                *left = left.checked_sub(1)?;
            }
            rest.text(len)?
        };
        self.value_next = !self.value_next;
        Some(Some(element))
    }
}

#[cfg(test)]
mod tests {
    use super::super::packed::{Block, elements};
    use super::*;

    #[test]
    fn pairs_with_unused_bytes_and_long_values() {
        let mut bytes = b"\x02\x01a\x02\x03xy---\x01b\xfe\x2c\x01\0\0\0".to_vec();
        bytes.extend_from_slice(&[b'v'; 300]);
        bytes.push(END);
        let expected = [&b"a"[..], b"xy", b"b", &[b'v'; 300]].map(Packed::Text);
        assert_eq!(elements(Block::Zipmap, &bytes).unwrap(), expected);
        bytes[0] = UNCOUNTED;
        assert_eq!(elements(Block::Zipmap, &bytes).unwrap(), expected);
        bytes[0] = 1;
        assert!(elements(Block::Zipmap, &bytes).is_err(), "too many");
        bytes[0] = 3;
        assert!(elements(Block::Zipmap, &bytes).is_err(), "too few");
    }

    #[test]
    fn damage_is_noticed() {
        let good = b"\x01\x01a\x02\x01xy-\xff";
        assert!(elements(Block::Zipmap, good).is_ok());
        for cut in 0..good.len() {
            assert!(elements(Block::Zipmap, &good[..cut]).is_err(), "cut at {cut}");
        }
        assert!(elements(Block::Zipmap, b"\x01\x01a\xff").is_err(), "a name without a value");
    }
}
