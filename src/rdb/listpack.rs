//! Listpacks: the blocks of all small aggregates since Redis 7.0.

use super::packed::{Packed, Rest};

/// The header: total bytes in 4, elements in 2.
const HEADER: usize = 6;
/// Stands for a number of elements that is not known.
const UNCOUNTED: u16 = u16::MAX;
/// Ends the block.
const END: u8 = 0xff;

/// A walk over a listpack.
#[derive(Clone, Copy)]
pub(super) struct Listpack<'a> {
    rest: Rest<'a>,
    count: u16,
    seen: usize,
}

impl<'a> Listpack<'a> {
    pub(super) fn new(bytes: &'a [u8]) -> Option<Self> {
        let mut rest = Rest(bytes);
        let total = rest.u32_le()?;
        let count = rest.array().map(u16::from_le_bytes)?;
        let fits = usize::try_from(total) == Ok(bytes.len()) && bytes.len() > HEADER;
        fits.then_some(Self { rest, count, seen: 0 })
    }

    /// The next element, if one byte tells its size, as for most. Nothing is passed otherwise.
    #[inline(always)]
    pub(super) fn short(&mut self) -> Option<Packed<'a>> {
        let (&first, behind) = self.rest.0.split_first()?;
        let (element, behind) = match first {
            0x80..=0xbf => {
                let (text, behind) = behind.split_at_checked(usize::from(first & 0x3f))?;
                (Packed::Text(text), behind)
            }
            _ => {
                let mut rest = Rest(behind);
                (element(first, &mut rest)?, rest.0)
            }
        };
        let (&back, behind) = behind.split_first()?;
        if usize::from(back) + behind.len() + 1 != self.rest.0.len() {
            return None;
        }
        self.rest.0 = behind;
        self.seen += 1;
        Some(element)
    }

    /// Whether all elements were passed, and are as many as it says.
    #[inline(always)]
    pub(super) fn is_at_end(&self) -> bool {
        self.rest.0 == [END] && (self.count == UNCOUNTED || usize::from(self.count) == self.seen)
    }

    /// The next element, whatever its size; None where it is damaged or missing.
    #[inline(never)]
    pub(super) fn any(&mut self) -> Option<Packed<'a>> {
        let before = self.rest.0;
        let first = self.rest.byte()?;
        if first == END {
            // Something follows, or there are not as many elements as it says.
            return None;
        }
        let element = element(first, &mut self.rest)?;
        self.pass_back_length(before.len() - self.rest.0.len())?;
        self.seen += 1;
        Some(element)
    }

    /// Behind each element its size stands once more, in as many bytes as that takes. Servers
    /// before Redis 8.8 and Valkey 9.1 wrote one byte more than needed for sizes of 2^14-1, 2^21-1
    /// and 2^28-1, so what is there has to be looked at.
    fn pass_back_length(&mut self, size: usize) -> Option<()> {
        let shortest = match size {
            0..0x80 => 1,
            0x80..0x4000 => 2,
            0x4000..0x20_0000 => 3,
            0x20_0000..0x1000_0000 => 4,
            _ => 5,
        };
        let written = |count: usize| {
            let (head, tail) = self.rest.0.get(..count)?.split_first()?;
            let marked = *head < 0x80 && tail.iter().all(|byte| *byte >= 0x80);
            let number = tail
                .iter()
                .fold(usize::from(*head), |sum, byte| sum << 7 | usize::from(byte & 0x7f));
            (marked && number == size).then_some(count)
        };
        let count = written(shortest).or_else(|| written(shortest + 1))?;
        self.rest.take(count).map(|_| ())
    }
}

#[inline(always)]
fn element<'a>(first: u8, rest: &mut Rest<'a>) -> Option<Packed<'a>> {
    match first {
        0x00..=0x7f => Some(Packed::Number(i64::from(first))),
        0x80..=0xbf => rest.text(usize::from(first & 0x3f)),
        0xc0..=0xdf => {
            let unsigned = u16::from(first & 0x1f) << 8 | u16::from(rest.byte()?);
            // 13 bits: the sign is moved to the top and back.
            Some(Packed::Number(i64::from((unsigned << 3) as i16 >> 3)))
        }
        0xe0..=0xef => {
            let len = usize::from(first & 0x0f) << 8 | usize::from(rest.byte()?);
            rest.text(len)
        }
        0xf0 => {
            let len = rest.u32_le()?;
            rest.text(usize::try_from(len).ok()?)
        }
        0xf1 => rest.number::<2>(),
        0xf2 => rest.number::<3>(),
        0xf3 => rest.number::<4>(),
        0xf4 => rest.number::<8>(),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::super::packed::{Block, elements};
    use super::*;

    fn block(count: u16, body: &[u8]) -> Vec<u8> {
        let mut bytes = (HEADER as u32 + body.len() as u32 + 1).to_le_bytes().to_vec();
        bytes.extend_from_slice(&count.to_le_bytes());
        bytes.extend_from_slice(body);
        bytes.push(END);
        bytes
    }

    #[test]
    fn every_encoding_of_numbers_keeps_its_sign() {
        let body = b"\x7f\x01\xcf\xff\x02\xd0\x00\x02\xf1\x00\x80\x03\xf2\x00\x00\x80\x04\
            \xf2\xff\xff\x7f\x04\xf3\x00\x00\x00\x80\x05\
            \xf4\x00\x00\x00\x00\x00\x00\x00\x80\x09";
        let numbers = [127, 4095, -4096, -32768, -8388608, 8388607, -2147483648, i64::MIN];
        let expected: Vec<_> = numbers.map(Packed::Number).to_vec();
        assert_eq!(elements(Block::Listpack, &block(8, body)), Ok(expected.clone()));
        assert_eq!(elements(Block::Listpack, &block(UNCOUNTED, body)), Ok(expected));
    }

    fn text(len: usize, back: &[u8]) -> Vec<u8> {
        let mut body = match len {
            0..64 => vec![0x80 | len as u8],
            64..4096 => vec![0xe0 | (len >> 8) as u8, len as u8],
            _ => [&[0xf0][..], &(len as u32).to_le_bytes()].concat(),
        };
        body.resize(body.len() + len, b'x');
        body.extend_from_slice(back);
        body.extend_from_slice(b"\x01\x01");
        block(2, &body)
    }

    #[test]
    fn back_lengths_at_their_boundaries_are_understood_as_old_and_new_servers_write_them() {
        // The first number is the string's length, its element is 1, 2 or 5 bytes longer.
        let cases: [(usize, &[u8]); 8] = [
            (63, b"\x40"),
            (125, b"\x7f"),
            (126, b"\x01\x80"),
            (16378, b"\x7f\xff"),
            (16378, b"\x00\xff\xff"),
            (16379, b"\x01\x80\x80"),
            (2097146, b"\x7f\xff\xff"),
            (2097146, b"\x00\xff\xff\xff"),
        ];
        for (len, back) in cases {
            let bytes = text(len, back);
            let all = elements(Block::Listpack, &bytes).unwrap();
            assert_eq!(all, [Packed::Text(&vec![b'x'; len]), Packed::Number(1)], "{len} {back:?}");
        }
        assert!(elements(Block::Listpack, &text(63, b"\x41")).is_err());
        assert!(elements(Block::Listpack, &text(126, b"\x81\x80")).is_err());
    }

    #[test]
    fn damage_is_noticed() {
        let good = block(1, b"\x82ab\x03");
        assert_eq!(elements(Block::Listpack, &good).unwrap(), [Packed::Text(b"ab")]);
        for cut in 0..good.len() {
            assert!(elements(Block::Listpack, &good[..cut]).is_err());
            let mut shorter = good[..cut].to_vec();
            if let Some(total) = shorter.first_chunk_mut::<4>() {
                *total = (cut as u32).to_le_bytes();
            }
            assert!(elements(Block::Listpack, &shorter).is_err(), "cut at {cut}");
        }
        assert!(elements(Block::Listpack, &block(2, b"\x82ab\x03")).is_err(), "too few");
        assert!(elements(Block::Listpack, &block(0, b"\x82ab\x03")).is_err(), "too many");
        assert!(elements(Block::Listpack, &block(1, b"\xf5ab\x03")).is_err(), "no encoding");
        assert!(elements(Block::Listpack, &block(0, b"\xff")).is_err(), "an end too early");
    }
}
