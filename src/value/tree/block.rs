//! The packed block of bytes that a leaf is: entries one behind the other, each with its length in
//! front.

use std::ops::Deref;

/// Bytes that a length takes at most.
pub(in crate::value) const LENGTH_BYTES_MAX: usize = 10;

/// Appends an entry to a block: its length, seven bits a byte and the lowest first, then itself.
pub(super) fn push(block: &mut Vec<u8>, entry: &[u8]) {
    push_length(block, entry.len());
    block.extend_from_slice(entry);
}

/// Appends a length, seven bits a byte and the lowest first.
pub fn push_length(block: &mut impl Extend<u8>, len: usize) {
    if len < 0x80 {
        return block.extend(Some(len as u8));
    }
    block.extend(Length::of(len).iter().copied());
}

/// The bytes of a length.
pub(in crate::value) struct Length {
    bytes: [u8; LENGTH_BYTES_MAX],
    len: usize,
}

impl Length {
    pub(in crate::value) fn of(mut left: usize) -> Self {
        let (mut bytes, mut len) = ([0; LENGTH_BYTES_MAX], 1);
        for byte in &mut bytes {
            *byte = left as u8 & 0x7f;
            left >>= 7;
            if left == 0 {
                break;
            }
            *byte |= 0x80;
            len += 1;
        }
        Self { bytes, len }
    }
}

impl Deref for Length {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        self.bytes.get(..self.len).unwrap_or_default()
    }
}

/// Reads a length and returns it with what follows. Blocks are our own, so what can't be is empty.
#[inline]
pub fn split_length(block: &[u8]) -> (usize, &[u8]) {
    match block.split_first() {
        Some((len, rest)) if *len < 0x80 => (usize::from(*len), rest),
        _ => split_long_length(block),
    }
}

fn split_long_length(block: &[u8]) -> (usize, &[u8]) {
    let mut len = 0;
    for (at, byte) in block.iter().enumerate().take(LENGTH_BYTES_MAX) {
        len |= usize::from(byte & 0x7f) << (7 * at);
        if byte & 0x80 == 0 {
            return (len, &block[at + 1..]);
        }
    }
    (0, &[])
}

/// Where the entry at this place begins.
pub(super) fn offset(block: &[u8], index: usize) -> usize {
    let mut rest = entries(block);
    for _ in 0..index {
        rest.next();
    }
    block.len() - rest.block.len()
}

/// The entries of a block.
pub(super) fn entries(block: &[u8]) -> Entries<'_> {
    Entries { block }
}

/// What is left of the entries of a block.
#[derive(Clone, Debug)]
pub(super) struct Entries<'a> {
    block: &'a [u8],
}

impl<'a> Iterator for Entries<'a> {
    type Item = &'a [u8];

    #[inline]
    fn next(&mut self) -> Option<&'a [u8]> {
        if self.block.is_empty() {
            return None;
        }
        let (len, rest) = split_length(self.block);
        let (entry, rest) = rest.split_at_checked(len)?;
        self.block = rest;
        Some(entry)
    }
}
