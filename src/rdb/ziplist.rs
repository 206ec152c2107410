//! Ziplists: the blocks of small lists, hashes and sorted sets before Redis 7.0.

use super::packed::{Packed, Rest};

/// Stands for a number of elements that is not known.
const UNCOUNTED: u16 = u16::MAX;
/// Ends the block.
const END: u8 = 0xff;
/// Says that the size of the element before stands in the next 4 bytes.
const LONG_PREVIOUS: u8 = 0xfe;

/// A walk over a ziplist. What only a walk backwards needs is not looked at.
#[derive(Clone, Copy)]
pub(super) struct Ziplist<'a> {
    rest: Rest<'a>,
    left: Option<u16>,
}

impl<'a> Ziplist<'a> {
    pub(super) fn new(bytes: &'a [u8]) -> Option<Self> {
        let mut rest = Rest(bytes);
        let total = rest.u32_le()?;
        let _tail = rest.u32_le()?;
        let count = rest.array().map(u16::from_le_bytes)?;
        let left = (count != UNCOUNTED).then_some(count);
        (usize::try_from(total) == Ok(bytes.len())).then_some(Self { rest, left })
    }

    /// The outer None is damage, the inner one the end.
    pub(super) fn next(&mut self) -> Option<Option<Packed<'a>>> {
        let rest = &mut self.rest;
        match rest.byte()? {
            END => {
                return (rest.0.is_empty() && self.left.unwrap_or(0) == 0).then_some(None);
            }
            LONG_PREVIOUS => {
                rest.u32_le()?;
            }
            _ => {}
        }
        if let Some(left) = &mut self.left {
            *left = left.checked_sub(1)?;
        }
        let first = rest.byte()?;
        let element = match first {
            0x00..=0x3f => rest.text(usize::from(first)),
            0x40..=0x7f => {
                let len = usize::from(first & 0x3f) << 8 | usize::from(rest.byte()?);
                rest.text(len)
            }
            0x80 => {
                let len = rest.u32_be()?;
                rest.text(usize::try_from(len).ok()?)
            }
            0xc0 => rest.number::<2>(),
            0xd0 => rest.number::<4>(),
            0xe0 => rest.number::<8>(),
            0xf0 => rest.number::<3>(),
            0xfe => rest.number::<1>(),
            0xf1..=0xfd => Some(Packed::Number(i64::from(first & 0x0f) - 1)),
            _ => None,
        };
        element.map(Some)
    }
}

#[cfg(test)]
mod tests {
    use super::super::packed::{Block, elements};
    use super::*;

    fn block(count: u16, body: &[u8]) -> Vec<u8> {
        let mut bytes = (10 + body.len() as u32 + 1).to_le_bytes().to_vec();
        bytes.extend_from_slice(&[0; 4]);
        bytes.extend_from_slice(&count.to_le_bytes());
        bytes.extend_from_slice(body);
        bytes.push(END);
        bytes
    }

    #[test]
    fn every_encoding_of_numbers_keeps_its_sign() {
        let body = b"\0\xf1\0\xfd\0\xfe\x80\0\xc0\x00\x80\0\xf0\x00\x00\x80\0\xf0\xff\xff\x7f\
            \0\xd0\x00\x00\x00\x80\0\xe0\x00\x00\x00\x00\x00\x00\x00\x80";
        let numbers = [0, 12, -128, -32768, -8388608, 8388607, -2147483648, i64::MIN];
        let expected: Vec<_> = numbers.map(Packed::Number).to_vec();
        assert_eq!(elements(Block::Ziplist, &block(8, body)), Ok(expected.clone()));
        assert_eq!(elements(Block::Ziplist, &block(UNCOUNTED, body)), Ok(expected));
    }

    #[test]
    fn strings_have_three_sizes_and_long_elements_a_long_link_behind_them() {
        let mut body = b"\0\x02ab\x04\x41\x02".to_vec();
        body.extend_from_slice(&[b'm'; 258]);
        body.extend_from_slice(b"\xfe\x05\x01\0\0\x80\0\x01\0\0");
        body.extend_from_slice(&[b'l'; 65536]);
        let bytes = block(3, &body);
        let expected =
            [Packed::Text(b"ab"), Packed::Text(&[b'm'; 258]), Packed::Text(&[b'l'; 65536])];
        assert_eq!(elements(Block::Ziplist, &bytes).unwrap(), expected);
    }

    #[test]
    fn damage_is_noticed() {
        let good = block(1, b"\0\x02ab");
        assert_eq!(elements(Block::Ziplist, &good).unwrap(), [Packed::Text(b"ab")]);
        for cut in 0..good.len() {
            let mut shorter = good[..cut].to_vec();
            if let Some(total) = shorter.first_chunk_mut::<4>() {
                *total = (cut as u32).to_le_bytes();
            }
            assert!(elements(Block::Ziplist, &shorter).is_err(), "cut at {cut}");
        }
        assert!(elements(Block::Ziplist, &block(2, b"\0\x02ab")).is_err(), "too few");
        assert!(elements(Block::Ziplist, &block(0, b"\0\x02ab")).is_err(), "too many");
        assert!(elements(Block::Ziplist, &block(1, b"\0\xff")).is_err(), "no encoding");
        assert!(elements(Block::Ziplist, &block(0, b"\xff")).is_err(), "an end too early");
    }
}
