//! Intsets: the blocks of small sets of nothing but integers.

use super::packed::{Packed, Rest};

/// A walk over an intset.
#[derive(Clone, Copy)]
pub(super) struct Intset<'a> {
    rest: Rest<'a>,
    width: u32,
}

impl<'a> Intset<'a> {
    pub(super) fn new(bytes: &'a [u8]) -> Option<Self> {
        let mut rest = Rest(bytes);
        let width = rest.u32_le()?;
        let count = rest.u32_le()?;
        let body = usize::try_from(u64::from(width) * u64::from(count));
        (matches!(width, 2 | 4 | 8) && body == Ok(rest.0.len())).then_some(Self { rest, width })
    }

    /// None is the end: whether all are there was seen from the header.
    #[inline(always)]
    pub(super) fn next(&mut self) -> Option<Packed<'a>> {
        match self.width {
            2 => self.rest.number::<2>(),
            4 => self.rest.number::<4>(),
            _ => self.rest.number::<8>(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::packed::{Block, elements};
    use super::*;

    #[test]
    fn all_three_widths_are_signed() {
        let two = b"\x02\0\0\0\x02\0\0\0\x00\x80\xff\x7f";
        let four = b"\x04\0\0\0\x02\0\0\0\x00\x00\x00\x80\x01\x00\x00\x00";
        let eight = b"\x08\0\0\0\x01\0\0\0\0\0\0\0\0\0\0\x80";
        let numbers = |bytes| elements(Block::Intset, bytes).unwrap();
        assert_eq!(numbers(two), [Packed::Number(-32768), Packed::Number(32767)]);
        assert_eq!(numbers(four), [Packed::Number(-2147483648), Packed::Number(1)]);
        assert_eq!(numbers(eight), [Packed::Number(i64::MIN)]);
    }

    #[test]
    fn a_size_that_does_not_fit_is_damage() {
        let damaged: [&[u8]; 4] = [
            b"\x02\0\0\0\x02\0\0\0\x00\x80",
            b"\x02\0\0\0\x01\0\0\0\x00\x80\x01",
            b"\x03\0\0\0\x01\0\0\0\x00\x80\x01",
            b"\x08\0\0\0\xff\xff\xff\xff",
        ];
        for bytes in damaged {
            assert!(elements(Block::Intset, bytes).is_err(), "{bytes:?}");
        }
    }
}
