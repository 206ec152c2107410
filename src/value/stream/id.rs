//! The ids of a stream's entries: a time, and a number that tells apart what came at one time.

use crate::value::tree::{Head, Order, head_of};
use std::cmp::Ordering;
use std::fmt;

/// Longer texts are no ids for any server.
const TEXT_BYTES_MAX: usize = 127;

/// An id. Ids are ordered by time, then by number.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Id {
    /// Unix milliseconds, where the server made it; else any number.
    pub ms: u64,
    /// The number within that millisecond.
    pub seq: u64,
}

impl Id {
    /// No entry has it.
    pub const MIN: Self = Self { ms: 0, seq: 0 };
    /// The last one.
    pub const MAX: Self = Self { ms: u64::MAX, seq: u64::MAX };

    /// Reads `ms-seq`, or `ms`, of which the number is 0.
    pub fn parse(text: &[u8]) -> Option<Self> {
        let text = std::str::from_utf8(text).ok().filter(|text| text.len() <= TEXT_BYTES_MAX)?;
        match text.split_once('-') {
            None => Some(Self { ms: number(text)?, seq: 0 }),
            Some((ms, seq)) => Some(Self { ms: number(ms)?, seq: number(seq)? }),
        }
    }

    /// The id in 16 bytes, as snapshots have it.
    pub fn from_bytes(bytes: &[u8; 16]) -> Self {
        let both = u128::from_be_bytes(*bytes);
        Self { ms: (both >> 64) as u64, seq: both as u64 }
    }

    /// Appends it without the zeros in front of its numbers: 7 bytes for most.
    pub(super) fn pack(self, out: &mut Vec<u8>) {
        let (ms, seq) = (significant(self.ms), significant(self.seq));
        out.push((ms << 4 | seq) as u8);
        out.extend_from_slice(self.ms.to_be_bytes().get(8 - ms..).unwrap_or_default());
        out.extend_from_slice(self.seq.to_be_bytes().get(8 - seq..).unwrap_or_default());
    }

    /// Reads what [`Id::pack`] wrote, and returns what follows.
    pub(super) fn unpack(bytes: &[u8]) -> (Self, &[u8]) {
        let Some((sizes, rest)) = bytes.split_first() else { return (Self::MIN, &[]) };
        let (ms, rest) = unpack_number(rest, usize::from(sizes >> 4));
        let (seq, rest) = unpack_number(rest, usize::from(sizes & 0x0f));
        (Self { ms, seq }, rest)
    }
}

/// Entries that begin with an id, in the order of those.
#[derive(Clone, Copy, Debug)]
pub(super) struct ById;

impl Order for ById {
    type Key<'a> = Id;

    fn key(entry: &[u8]) -> Id {
        Id::unpack(entry).0
    }

    fn compare(a: Id, b: Id) -> Ordering {
        a.cmp(&b)
    }

    fn head(id: Id) -> Head {
        head_of(&[&id.ms.to_be_bytes(), &id.seq.to_be_bytes()])
    }

    fn lead(id: Id) -> u64 {
        id.ms
    }
}

impl fmt::Display for Id {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}-{}", self.ms, self.seq)
    }
}

/// As servers read the numbers of an id: also with blanks, a plus or zeros in front.
fn number(text: &str) -> Option<u64> {
    text.trim_start_matches([' ', '\t', '\n', '\r', '\x0b', '\x0c']).parse().ok()
}

/// Bytes of a number without the zeros in front.
fn significant(number: u64) -> usize {
    8 - number.leading_zeros() as usize / 8
}

fn unpack_number(bytes: &[u8], len: usize) -> (u64, &[u8]) {
    let (number, rest) = bytes.split_at_checked(len).unwrap_or((bytes, &[]));
    (number.iter().fold(0, |sum, byte| sum << 8 | u64::from(*byte)), rest)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn ids_are_read_as_servers_read_them() {
        let id = |ms, seq| Some(Id { ms, seq });
        for (text, wanted) in [
            ("5-1", id(5, 1)),
            ("5", id(5, 0)),
            ("0-0", id(0, 0)),
            ("18446744073709551615-18446744073709551615", Some(Id::MAX)),
            ("18446744073709551616-0", None),
            ("007-+2", id(7, 2)),
            (" 7- 2", id(7, 2)),
            ("", None),
            ("-", None),
            ("+", None),
            ("5-", None),
            ("-5", None),
            ("5-1-2", None),
            ("5-*", None),
            ("*", None),
            ("$", None),
            ("5 -1", None),
        ] {
            assert_eq!(Id::parse(text.as_bytes()), wanted, "{text}");
        }
        assert_eq!(Id::parse(b"\xff"), None);
        assert_eq!(Id::parse(&[b'0'; 128]), None);
        assert_eq!(Id::MAX.to_string(), "18446744073709551615-18446744073709551615");
    }

    proptest! {
        #[test]
        fn packing_loses_nothing(ms: u64, seq: u64, ms_shift in 0u32..64, seq_shift in 0u32..64) {
            let id = Id { ms: ms >> ms_shift, seq: seq >> seq_shift };
            let mut bytes = Vec::new();
            id.pack(&mut bytes);
            prop_assert!(bytes.len() <= 17);
            bytes.push(7);
            prop_assert_eq!(Id::unpack(&bytes), (id, &[7][..]));
            let mut plain = [0; 16];
            plain[..8].copy_from_slice(&id.ms.to_be_bytes());
            plain[8..].copy_from_slice(&id.seq.to_be_bytes());
            prop_assert_eq!(Id::from_bytes(&plain), id);
        }
    }
}
