//! Reads the primitives of the format from bytes at hand: numbers, lengths, strings, doubles.

use super::lzf;
use crate::error::Kind;
use crate::text;

/// Why reading ended before it was done.
#[derive(Debug, PartialEq)]
pub(super) enum Stop {
    /// More bytes are needed: so many, counted from the cursor's start, besides those to pass over.
    Need(usize),
    /// The bytes break the format, or use a part of it that is not supported.
    Bad(Kind, String),
}

/// What all functions here return.
pub(super) type Parsed<T> = Result<T, Stop>;

/// No server keeps a longer string, and a longer one would only be waited for in vain.
const STRING_MAX: u64 = 4 << 30;

// What stands instead of the length of a double's text where it is no finite number.
const DOUBLE_NAN: u8 = 253;
const DOUBLE_INFINITY: u8 = 254;
const DOUBLE_MINUS_INFINITY: u8 = 255;

/// What stands where a string begins.
enum StringForm {
    Raw(u64),
    Int8,
    Int16,
    Int32,
    Lzf,
}

/// What the first byte of a length says.
enum Length {
    Number(u64),
    Special(u8),
}

/// The error for damaged bytes.
pub(super) fn bad(text: impl Into<String>) -> Stop {
    Stop::Bad(Kind::Protocol, text.into())
}

/// A place in bytes that may end too early. What is read counts only once it is committed: after
/// [`Stop::Need`] reading begins anew at the last commit.
pub(super) struct Cursor<'a> {
    bytes: &'a [u8],
    at: usize,
    mark: usize,
    /// Bytes to pass over behind the end of what is at hand.
    pass: u64,
}

impl<'a> Cursor<'a> {
    pub(super) fn new(bytes: &'a [u8]) -> Self {
        Self { bytes, at: 0, mark: 0, pass: 0 }
    }

    /// What was read so far will not be read again.
    pub(super) fn commit(&mut self) {
        self.mark = self.at;
    }

    /// How many bytes were committed, and how many more that are not there yet.
    pub(super) fn committed(&self) -> (usize, u64) {
        (self.mark, self.pass)
    }

    /// Nothing is left.
    pub(super) fn is_at_end(&self) -> bool {
        self.at == self.bytes.len() && self.pass == 0
    }

    fn lack(&self, count: usize) -> Stop {
        Stop::Need(self.at.saturating_add(count))
    }

    /// The next `count` bytes.
    pub(super) fn take(&mut self, count: usize) -> Parsed<&'a [u8]> {
        let rest = self.bytes.get(self.at..).unwrap_or_default();
        match rest.get(..count) {
            Some(taken) if self.pass == 0 => {
                self.at += count;
                Ok(taken)
            }
            _ => Err(self.lack(count)),
        }
    }

    fn array<const N: usize>(&mut self) -> Parsed<[u8; N]> {
        let rest = self.bytes.get(self.at..).unwrap_or_default();
        match rest.first_chunk::<N>() {
            Some(taken) if self.pass == 0 => {
                self.at += N;
                Ok(*taken)
            }
            _ => Err(self.lack(N)),
        }
    }

    /// Passes over `count` bytes, whether they are there or not, and commits.
    pub(super) fn skip(&mut self, count: u64) {
        let here = self.bytes.len() - self.at;
        match usize::try_from(count) {
            Ok(count) if count <= here => self.at += count,
            _ => {
                self.at = self.bytes.len();
                self.pass = self.pass.saturating_add(count - here as u64);
            }
        }
        self.commit();
    }

    pub(super) fn byte(&mut self) -> Parsed<u8> {
        self.array::<1>().map(|[byte]| byte)
    }

    pub(super) fn i32_le(&mut self) -> Parsed<i32> {
        self.array().map(i32::from_le_bytes)
    }

    pub(super) fn i64_le(&mut self) -> Parsed<i64> {
        self.array().map(i64::from_le_bytes)
    }

    pub(super) fn u64_le(&mut self) -> Parsed<u64> {
        self.array().map(u64::from_le_bytes)
    }

    fn any_length(&mut self) -> Parsed<Length> {
        let first = self.byte()?;
        let low = first & 0x3f;
        match first >> 6 {
            0 => Ok(Length::Number(u64::from(low))),
            1 => Ok(Length::Number(u64::from(low) << 8 | u64::from(self.byte()?))),
            2 => match low {
                0 => Ok(Length::Number(u64::from(self.array().map(u32::from_be_bytes)?))),
                1 => Ok(Length::Number(self.array().map(u64::from_be_bytes)?)),
                _ => Err(bad(format!("a length begins with the unknown byte 0x{first:02x}"))),
            },
            _ => Ok(Length::Special(low)),
        }
    }

    /// A length, or any other number of the kind.
    #[inline]
    pub(super) fn length(&mut self) -> Parsed<u64> {
        // As most are.
        if let (Some(short @ ..0x40), 0) = (self.bytes.get(self.at), self.pass) {
            self.at += 1;
            return Ok(u64::from(*short));
        }
        match self.any_length()? {
            Length::Number(number) => Ok(number),
            Length::Special(_) => Err(bad("a string's encoding stands where a length belongs")),
        }
    }

    fn string_form(&mut self) -> Parsed<StringForm> {
        match self.any_length()? {
            Length::Number(len) => Ok(StringForm::Raw(len)),
            Length::Special(0) => Ok(StringForm::Int8),
            Length::Special(1) => Ok(StringForm::Int16),
            Length::Special(2) => Ok(StringForm::Int32),
            Length::Special(3) => Ok(StringForm::Lzf),
            Length::Special(other) => Err(bad(format!("string encoding {other} is unknown"))),
        }
    }

    fn string_length(&mut self) -> Parsed<usize> {
        believable(self.length()?)
    }

    /// A string, plain or unpacked: it lies in the bytes at hand or in `scratch`.
    pub(super) fn string<'s>(&mut self, scratch: &'s mut Vec<u8>) -> Parsed<&'s [u8]>
    where
        'a: 's,
    {
        Ok(self.text(scratch)?.unwrap_or(scratch))
    }

    /// A string, copied or unpacked into `out`.
    #[inline]
    pub(super) fn string_to(&mut self, out: &mut Vec<u8>) -> Parsed<()> {
        if let Some(text) = self.text(out)? {
            out.clear();
            out.extend_from_slice(text);
        }
        Ok(())
    }

    /// A string as it lies in the bytes at hand; None where it was unpacked into `out`.
    #[inline]
    pub(super) fn text(&mut self, out: &mut Vec<u8>) -> Parsed<Option<&'a [u8]>> {
        match self.short_text() {
            None => self.any_text(out),
            short => Ok(short),
        }
    }

    /// A plain string of less than 16 KiB that is there, as most are. Nothing is passed otherwise.
    #[inline(always)]
    fn short_text(&mut self) -> Option<&'a [u8]> {
        if self.pass > 0 {
            return None;
        }
        let rest = self.bytes.get(self.at..)?;
        let (&first, behind) = rest.split_first()?;
        let (len, behind) = match first >> 6 {
            0 => (usize::from(first), behind),
            1 => {
                let (&low, behind) = behind.split_first()?;
                (usize::from(first & 0x3f) << 8 | usize::from(low), behind)
            }
            _ => return None,
        };
        let text = behind.get(..len)?;
        self.at += rest.len() - behind.len() + len;
        Some(text)
    }

    #[inline(never)]
    fn any_text(&mut self, out: &mut Vec<u8>) -> Parsed<Option<&'a [u8]>> {
        let number = match self.string_form()? {
            StringForm::Raw(len) => return self.take(believable(len)?).map(Some),
            StringForm::Int8 => i64::from(self.array().map(i8::from_le_bytes)?),
            StringForm::Int16 => i64::from(self.array().map(i16::from_le_bytes)?),
            StringForm::Int32 => i64::from(self.array().map(i32::from_le_bytes)?),
            StringForm::Lzf => {
                let packed_len = self.string_length()?;
                let len = self.string_length()?;
                let packed = self.take(packed_len)?;
                if !lzf::unpack(packed, len, out) {
                    return Err(bad(format!("a compressed string of {len} bytes is damaged")));
                }
                return Ok(None);
            }
        };
        out.clear();
        out.extend_from_slice(text::format_i64(number).as_ref());
        Ok(None)
    }

    /// The bytes that `read` goes over, as they are; none where it answers false.
    pub(super) fn raw(
        &mut self,
        read: impl FnOnce(&mut Self) -> Parsed<bool>,
    ) -> Parsed<Option<&'a [u8]>> {
        let start = self.at;
        let found = read(self)?;
        Ok(self.bytes.get(start..self.at).filter(|_| found))
    }

    /// Goes over a string that has to be there.
    pub(super) fn take_string(&mut self) -> Parsed<()> {
        let len = self.stored_length()?;
        self.take(len).map(drop)
    }

    /// Passes over a string, also one that is not there yet, and commits.
    pub(super) fn skip_string(&mut self) -> Parsed<()> {
        let len = self.stored_length()?;
        self.skip(len as u64);
        Ok(())
    }

    /// How many bytes of a string follow.
    fn stored_length(&mut self) -> Parsed<usize> {
        Ok(match self.string_form()? {
            StringForm::Raw(len) => believable(len)?,
            StringForm::Int8 => 1,
            StringForm::Int16 => 2,
            StringForm::Int32 => 4,
            StringForm::Lzf => {
                let packed_len = self.string_length()?;
                self.string_length()?;
                packed_len
            }
        })
    }

    /// A double as text with its length in front, as all servers before 4.0 wrote scores.
    pub(super) fn double_text(&mut self) -> Parsed<f64> {
        match self.byte()? {
            DOUBLE_NAN => Ok(f64::NAN),
            DOUBLE_INFINITY => Ok(f64::INFINITY),
            DOUBLE_MINUS_INFINITY => Ok(f64::NEG_INFINITY),
            len => {
                let digits = self.take(usize::from(len))?;
                text::parse_f64(digits)
                    .ok_or_else(|| bad(format!("a text of {len} bytes is no number")))
            }
        }
    }

    /// Passes over a double as text, and commits.
    pub(super) fn skip_double_text(&mut self) -> Parsed<()> {
        let len = self.byte()?;
        self.skip(if len < DOUBLE_NAN { u64::from(len) } else { 0 });
        Ok(())
    }
}

fn believable(len: u64) -> Parsed<usize> {
    match usize::try_from(len) {
        Ok(fits) if len <= STRING_MAX => Ok(fits),
        _ => Err(bad(format!("a string can't have {len} bytes"))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn length(bytes: &[u8]) -> Parsed<u64> {
        Cursor::new(bytes).length()
    }

    fn string(bytes: &[u8]) -> Parsed<Vec<u8>> {
        let mut scratch = Vec::new();
        Cursor::new(bytes).string(&mut scratch).map(<[u8]>::to_vec)
    }

    #[test]
    fn lengths_have_four_sizes() {
        assert_eq!(length(b"\x3f"), Ok(63));
        assert_eq!(length(b"\x7f\xfe"), Ok(0x3ffe));
        assert_eq!(length(b"\x80\x01\x02\x03\x04"), Ok(0x0102_0304));
        assert_eq!(length(b"\x81\x01\x02\x03\x04\x05\x06\x07\x08"), Ok(0x0102_0304_0506_0708));
        assert_eq!(length(b"\x80\x01\x02"), Err(Stop::Need(5)));
        assert!(matches!(length(b"\x82\0\0\0\0"), Err(Stop::Bad(..))));
        assert!(matches!(length(b"\xc0\x01"), Err(Stop::Bad(..))));
    }

    #[test]
    fn strings_are_raw_or_numbers_or_compressed() {
        assert_eq!(string(b"\x03abcd").unwrap(), b"abc");
        assert_eq!(string(b"\xc0\x80").unwrap(), b"-128");
        assert_eq!(string(b"\xc1\x00\x80").unwrap(), b"-32768");
        assert_eq!(string(b"\xc2\x15\xcd\x5b\x07").unwrap(), b"123456789");
        assert_eq!(string(b"\xc3\x05\x0b\x00a\xe0\x01\x00").unwrap(), b"aaaaaaaaaaa");
        assert!(matches!(string(b"\xc4"), Err(Stop::Bad(..))));
    }

    #[test]
    fn a_string_says_how_many_bytes_it_needs_and_never_believes_too_many() {
        assert_eq!(string(b"\x80\x00\x01\x00\x00abc"), Err(Stop::Need(5 + 0x10000)));
        assert!(matches!(string(b"\x81\0\0\0\x01\0\0\0\x01"), Err(Stop::Bad(..))));
        assert!(matches!(string(b"\x81\xff\xff\xff\xff\xff\xff\xff\xff"), Err(Stop::Bad(..))));
        assert!(matches!(string(b"\xc3\x01\x80\x40\0\0\0a"), Err(Stop::Bad(..))));
    }

    #[test]
    fn what_is_passed_over_need_not_be_there() {
        let mut cursor = Cursor::new(b"\x0aabc");
        cursor.skip_string().unwrap();
        assert_eq!(cursor.committed(), (4, 7));
        assert!(!cursor.is_at_end());
        assert_eq!(cursor.byte(), Err(Stop::Need(5)));
    }

    #[test]
    fn doubles_as_text() {
        let double = |bytes: &[u8]| Cursor::new(bytes).double_text();
        assert_eq!(double(b"\x043.25").unwrap(), 3.25);
        assert_eq!(double(b"\xfe").unwrap(), f64::INFINITY);
        assert_eq!(double(b"\xff").unwrap(), f64::NEG_INFINITY);
        assert!(double(b"\xfd").unwrap().is_nan());
        assert!(matches!(double(b"\x01x"), Err(Stop::Bad(..))));
        assert!(matches!(double(b"\x00"), Err(Stop::Bad(..))));
    }
}
