//! The blocks in which servers keep small aggregates, behind one face: whatever the block, it is
//! walked from front to back and yields strings and numbers.

use super::cursor::{Parsed, Stop, bad};
use super::intset::Intset;
use super::listpack::Listpack;
use super::ziplist::Ziplist;
use super::zipmap::Zipmap;
use crate::text;

/// The kinds of blocks.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Block {
    Zipmap,
    Ziplist,
    Intset,
    Listpack,
}

/// An element of a block.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Packed<'a> {
    Text(&'a [u8]),
    Number(i64),
}

/// The string that an element stands for, where it lies or spelled.
pub(super) enum Text<'a> {
    Lent(&'a [u8]),
    Spelled(text::Decimal),
}

impl AsRef<[u8]> for Text<'_> {
    fn as_ref(&self) -> &[u8] {
        match self {
            Self::Lent(bytes) => bytes,
            Self::Spelled(number) => number.as_ref(),
        }
    }
}

impl<'a> Packed<'a> {
    /// The string that it stands for, lent.
    pub(super) fn text(self) -> Text<'a> {
        match self {
            Self::Text(bytes) => Text::Lent(bytes),
            Self::Number(number) => Text::Spelled(text::format_i64(number)),
        }
    }

    /// The score that it stands for; never NaN.
    pub(super) fn to_score(self) -> Parsed<f64> {
        match self {
            Self::Number(number) => Ok(number as f64),
            Self::Text(digits) => text::parse_f64(digits)
                .filter(|x| !x.is_nan())
                .ok_or_else(|| bad(format!("a text of {} bytes is no score", digits.len()))),
        }
    }

    /// The deadline that it stands for: 0 is none.
    pub(super) fn to_deadline(self) -> Parsed<Option<i64>> {
        match self {
            Self::Number(0) => Ok(None),
            Self::Number(at) if at > 0 => Ok(Some(at)),
            _ => Err(bad("a field's deadline is no time")),
        }
    }
}

/// A walk over a block.
pub(super) trait Elements<'a> {
    /// The next element; None after the last one.
    fn next(&mut self) -> Parsed<Option<Packed<'a>>>;

    /// What belongs to the element before.
    #[inline(always)]
    fn partner(&mut self) -> Parsed<Packed<'a>> {
        self.next()?.ok_or_else(|| bad("the last element lacks its partner"))
    }
}

/// A walk over one block. Those that servers write today are worth code of their own.
#[derive(Clone, Copy)]
pub(super) enum Walk<'a> {
    Zipmap(Zipmap<'a>),
    Ziplist(Ziplist<'a>),
    Intset(Intset<'a>),
    Listpack(Listpack<'a>),
}

impl<'a> Walk<'a> {
    /// Begins at the front, after a look at the header.
    #[inline]
    pub(super) fn new(block: Block, bytes: &'a [u8]) -> Parsed<Self> {
        match block {
            Block::Zipmap => Zipmap::new(bytes).map(Self::Zipmap),
            Block::Ziplist => Ziplist::new(bytes).map(Self::Ziplist),
            Block::Intset => Intset::new(bytes).map(Self::Intset),
            Block::Listpack => Listpack::new(bytes).map(Self::Listpack),
        }
        .ok_or_else(|| bad(format!("{} with a damaged header", block.name())))
    }
}

fn damaged(block: Block) -> Stop {
    bad(format!("damaged {}", block.name()))
}

impl<'a> Elements<'a> for Listpack<'a> {
    #[inline(always)]
    fn next(&mut self) -> Parsed<Option<Packed<'a>>> {
        if let short @ Some(_) = self.short() {
            return Ok(short);
        }
        if self.is_at_end() {
            return Ok(None);
        }
        // A copy, so that the walk itself can stay in registers.
        let mut walk = *self;
        let next = walk.any();
        *self = walk;
        next.map(Some).ok_or_else(|| damaged(Block::Listpack))
    }
}

impl<'a> Elements<'a> for Intset<'a> {
    #[inline(always)]
    fn next(&mut self) -> Parsed<Option<Packed<'a>>> {
        Ok(Intset::next(self))
    }
}

impl<'a> Elements<'a> for Walk<'a> {
    #[inline(never)]
    fn next(&mut self) -> Parsed<Option<Packed<'a>>> {
        match self {
            Self::Zipmap(walk) => walk.next().ok_or_else(|| damaged(Block::Zipmap)),
            Self::Ziplist(walk) => walk.next().ok_or_else(|| damaged(Block::Ziplist)),
            Self::Intset(walk) => Elements::next(walk),
            Self::Listpack(walk) => Elements::next(walk),
        }
    }
}

impl Block {
    fn name(self) -> &'static str {
        match self {
            Self::Zipmap => "zipmap",
            Self::Ziplist => "ziplist",
            Self::Intset => "intset",
            Self::Listpack => "listpack",
        }
    }
}

/// What is left of a block, read from its front; None where it ends too early.
#[derive(Clone, Copy)]
pub(super) struct Rest<'a>(pub(super) &'a [u8]);

impl<'a> Rest<'a> {
    pub(super) fn take(&mut self, count: usize) -> Option<&'a [u8]> {
        let (taken, rest) = self.0.split_at_checked(count)?;
        self.0 = rest;
        Some(taken)
    }

    pub(super) fn array<const N: usize>(&mut self) -> Option<[u8; N]> {
        let (taken, rest) = self.0.split_first_chunk::<N>()?;
        self.0 = rest;
        Some(*taken)
    }

    pub(super) fn byte(&mut self) -> Option<u8> {
        self.array::<1>().map(|[byte]| byte)
    }

    pub(super) fn text(&mut self, count: usize) -> Option<Packed<'a>> {
        self.take(count).map(Packed::Text)
    }

    /// A signed little-endian number of `N` bytes, at most 8.
    #[inline(always)]
    pub(super) fn number<const N: usize>(&mut self) -> Option<Packed<'a>> {
        let before = self.0;
        let bytes = self.array::<N>()?;
        let unused = 64 - 8 * N as u32;
        let number = match before.first_chunk::<8>() {
            // Of what is behind it nothing is left.
            Some(eight) => i64::from_le_bytes(*eight) << unused,
            None => {
                let mut highest = [0; 8];
                highest.last_chunk_mut::<N>()?.copy_from_slice(&bytes);
                i64::from_le_bytes(highest)
            }
        };
        Some(Packed::Number(number >> unused))
    }

    pub(super) fn u32_le(&mut self) -> Option<u32> {
        self.array().map(u32::from_le_bytes)
    }

    pub(super) fn u32_be(&mut self) -> Option<u32> {
        self.array().map(u32::from_be_bytes)
    }
}

/// All elements of a block, for the tests of the kinds.
#[cfg(test)]
pub(super) fn elements(block: Block, bytes: &[u8]) -> Parsed<Vec<Packed<'_>>> {
    match Walk::new(block, bytes)? {
        Walk::Listpack(walk) => all(walk),
        walk => all(walk),
    }
}

#[cfg(test)]
fn all<'a>(mut walk: impl Elements<'a>) -> Parsed<Vec<Packed<'a>>> {
    let mut all = Vec::new();
    while let Some(element) = walk.next()? {
        all.push(element);
    }
    Ok(all)
}
