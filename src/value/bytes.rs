//! Strings of bytes that are shared and never edited in place: a block of their own, or a part of
//! one that they share with what else lies in it.

use crate::memory::Block;
use std::borrow::Borrow;
use std::cmp::Ordering;
use std::fmt;
use std::hash::{Hash, Hasher};
use std::ops::{Deref, Range};

/// A string of bytes. Cloning takes constant time, as that of a [`Block`].
#[derive(Clone, Default)]
pub struct Bytes {
    block: Block,
    /// How many bytes of the block come before it, ...
    before: u32,
    /// ... and behind it.
    behind: u32,
}

impl Bytes {
    /// A part of a block, which stays as long as any part of it; a copy where the block is so large
    /// that nothing should hold on to all of it.
    pub fn part(block: &Block, range: Range<usize>) -> Self {
        Self::within(block.clone(), range)
    }

    /// The same of a block that it then owns.
    pub fn within(block: Block, range: Range<usize>) -> Self {
        let borders = (range.start, block.len().saturating_sub(range.end));
        match (u32::try_from(borders.0), u32::try_from(borders.1)) {
            (Ok(before), Ok(behind)) => Self { block, before, behind },
            _ => Self::from(block.get(range).unwrap_or_default()),
        }
    }

    /// The block that both are parts of, if it is one.
    pub fn common_block(&self, other: &Self) -> Option<&Block> {
        (self.block == other.block).then_some(&self.block)
    }

    /// Asks main memory for all of it at once, and for no more than this: going through it would
    /// ask for one line after the other.
    #[inline]
    pub fn fetch(&self, len_max: usize) {
        // How long it is would have to be fetched before.
        self.block.fetch(self.before as usize, len_max);
    }

    /// Whether both are the same part of the same block, in constant time.
    pub fn is_same(&self, other: &Self) -> bool {
        self.block == other.block && (self.before, self.behind) == (other.before, other.behind)
    }
}

impl Deref for Bytes {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        let end = self.block.len().saturating_sub(self.behind as usize);
        self.block.get(self.before as usize..end).unwrap_or_default()
    }
}

impl AsRef<[u8]> for Bytes {
    fn as_ref(&self) -> &[u8] {
        self
    }
}

impl Borrow<[u8]> for Bytes {
    fn borrow(&self) -> &[u8] {
        self
    }
}

impl From<Block> for Bytes {
    fn from(block: Block) -> Self {
        Self { block, before: 0, behind: 0 }
    }
}

impl From<&[u8]> for Bytes {
    fn from(bytes: &[u8]) -> Self {
        Self::from(Block::from(bytes))
    }
}

impl<const N: usize> From<&[u8; N]> for Bytes {
    fn from(bytes: &[u8; N]) -> Self {
        Self::from(&bytes[..])
    }
}

impl From<Vec<u8>> for Bytes {
    fn from(bytes: Vec<u8>) -> Self {
        Self::from(&bytes[..])
    }
}

impl FromIterator<u8> for Bytes {
    fn from_iter<I: IntoIterator<Item = u8>>(bytes: I) -> Self {
        Self::from(bytes.into_iter().collect::<Vec<u8>>())
    }
}

impl PartialEq for Bytes {
    fn eq(&self, other: &Self) -> bool {
        **self == **other
    }
}

impl Eq for Bytes {}

impl PartialOrd for Bytes {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Bytes {
    fn cmp(&self, other: &Self) -> Ordering {
        (**self).cmp(other)
    }
}

impl Hash for Bytes {
    fn hash<H: Hasher>(&self, state: &mut H) {
        (**self).hash(state);
    }
}

impl fmt::Debug for Bytes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        (**self).fmt(f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_part_is_what_its_range_says_and_equal_to_any_such_bytes() {
        let block = Block::from(&b"keyvalue"[..]);
        let (key, value) = (Bytes::part(&block, 0..3), Bytes::part(&block, 3..8));
        assert_eq!((&key[..], &value[..]), (&b"key"[..], &b"value"[..]));
        assert_eq!(value, Bytes::from(&b"value"[..]));
        assert!(key < value && key.is_same(&key.clone()));
        assert!(!key.is_same(&Bytes::from(&b"key"[..])) && !key.is_same(&value));
        assert!(key.common_block(&value).is_some());
        assert!(key.common_block(&Bytes::from(&b"key"[..])).is_none());
        assert_eq!(&Bytes::part(&block, 8..8)[..], b"");
        assert_eq!(&Bytes::part(&block, 5..70)[..], b"lue");
        drop((block, value));
        assert_eq!(&key[..], b"key");
    }
}
