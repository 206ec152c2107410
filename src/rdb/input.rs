//! Bytes on their way in: kept until they are used, counted, and summed up for the checksum.

use super::crc64::crc64;
use super::cursor::{Cursor, Stop};

/// Used bytes in front of the buffer are summed up at the latest when there are so many: large
/// enough to make the sum cheap, small enough for the bytes to be still in the processor's cache.
const SUM_STEP: usize = 16 * 1024;

/// A buffer that grew beyond this for one large string is given back once that was used.
const KEEP_CAPACITY: usize = 1024 * 1024;

/// What was fed and not yet used.
#[derive(Default)]
pub(super) struct Input {
    buffer: Vec<u8>,
    /// Bytes of the buffer before this were used.
    start: usize,
    /// Bytes of the buffer before this are part of `sum`.
    summed: usize,
    sum: u64,
    /// The snapshot has no checksum, or the part that it covers is over.
    unsummed: bool,
    /// Used bytes altogether.
    consumed: u64,
    /// Bytes that are to be passed over and have not been fed yet; the buffer is empty then.
    pass: u64,
    /// How many bytes must be there before another attempt makes sense.
    need: usize,
}

impl Input {
    /// Adds bytes at the end.
    pub(super) fn feed(&mut self, mut bytes: &[u8]) {
        if self.pass > 0 {
            let count = usize::try_from(self.pass).map_or(bytes.len(), |n| n.min(bytes.len()));
            let (passed, rest) = bytes.split_at(count);
            if !self.unsummed {
                self.add_up();
                self.sum = crc64(self.sum, passed);
            }
            self.pass -= count as u64;
            self.consumed += count as u64;
            bytes = rest;
        }
        self.make_room(bytes.len());
        self.buffer.extend_from_slice(bytes);
    }

    /// Drops used bytes where that costs less than what it spares.
    fn make_room(&mut self, more: usize) {
        let left = self.buffer.len() - self.start;
        if left > self.start {
            return;
        }
        self.add_up();
        if self.buffer.capacity() > KEEP_CAPACITY.max(left.saturating_add(more).saturating_mul(2)) {
            self.buffer = self.buffer.get(self.start..).unwrap_or_default().to_vec();
        } else {
            self.buffer.drain(..self.start);
        }
        self.start = 0;
        self.summed = 0;
    }

    /// Whether the bytes that the last attempt lacked are still missing.
    pub(super) fn is_short(&self) -> bool {
        self.pass > 0 || self.buffer.len() - self.start < self.need
    }

    /// What is there, to be parsed; [`Input::advance`] says how far that got.
    pub(super) fn cursor(&self) -> Cursor<'_> {
        Cursor::new(self.buffer.get(self.start..).unwrap_or_default())
    }

    /// Counts as used what a cursor committed: `used` bytes of the buffer and `pass` bytes that are
    /// not there yet. `stop` is why it ended.
    pub(super) fn advance(&mut self, used: usize, pass: u64, stop: Option<&Stop>) {
        self.start = self.buffer.len().min(self.start + used);
        self.consumed += used as u64;
        self.pass = pass;
        self.need = match stop {
            Some(Stop::Need(end)) => end.saturating_sub(used),
            _ => 0,
        };
        if self.start - self.summed >= SUM_STEP {
            self.add_up();
        }
    }

    fn add_up(&mut self) {
        if !self.unsummed {
            self.sum =
                crc64(self.sum, self.buffer.get(self.summed..self.start).unwrap_or_default());
        }
        self.summed = self.start;
    }

    /// From now on nothing is summed up; the sum of all bytes used so far.
    pub(super) fn end_sum(&mut self) -> u64 {
        self.add_up();
        self.unsummed = true;
        self.sum
    }

    /// How many bytes were fed and not used.
    pub(super) fn held(&self) -> usize {
        self.buffer.len() - self.start
    }

    /// Used bytes altogether.
    pub(super) fn consumed(&self) -> u64 {
        self.consumed
    }

    /// Hands out what was fed and not used.
    pub(super) fn take_rest(&mut self) -> Vec<u8> {
        self.add_up();
        let mut rest = std::mem::take(&mut self.buffer);
        rest.drain(..self.start);
        self.start = 0;
        self.summed = 0;
        rest
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn used(input: &mut Input, count: usize) -> Vec<u8> {
        let mut cursor = input.cursor();
        let bytes = cursor.take(count).unwrap().to_vec();
        cursor.commit();
        let (used, pass) = cursor.committed();
        input.advance(used, pass, None);
        bytes
    }

    #[test]
    fn the_sum_covers_used_and_passed_bytes_and_nothing_else() {
        let bytes: Vec<u8> = (0..100_000u32).map(|n| (n.wrapping_mul(n) >> 5) as u8).collect();
        let mut input = Input::default();
        let mut at = 0;
        for part in bytes[..60_000].chunks(7_001) {
            input.feed(part);
            let count = part.len() - 1;
            assert_eq!(used(&mut input, count), bytes[at..at + count]);
            at += count;
        }
        let left = 60_000 - at;
        used(&mut input, left);
        input.advance(0, 30_000, None);
        assert!(input.is_short());
        input.feed(&bytes[60_000..80_000]);
        assert!(input.is_short());
        input.feed(&bytes[80_000..]);
        assert!(!input.is_short());
        used(&mut input, 5_000);
        assert_eq!(input.end_sum(), crc64(0, &bytes[..95_000]));
        used(&mut input, 1_000);
        assert_eq!((input.end_sum(), input.consumed()), (crc64(0, &bytes[..95_000]), 96_000));
        assert_eq!(input.take_rest(), &bytes[96_000..]);
    }

    #[test]
    fn it_is_short_until_what_was_needed_is_there() {
        let mut input = Input::default();
        input.feed(b"abc");
        let mut cursor = input.cursor();
        cursor.take(1).unwrap();
        cursor.commit();
        let stop = cursor.take(5).unwrap_err();
        let (used, pass) = cursor.committed();
        input.advance(used, pass, Some(&stop));
        input.feed(b"de");
        assert!(input.is_short());
        input.feed(b"f");
        assert!(!input.is_short());
        assert_eq!(input.cursor().take(5).unwrap(), b"bcdef");
    }

    #[test]
    fn a_buffer_that_grew_for_one_large_string_is_given_back() {
        let mut input = Input::default();
        input.feed(&vec![0; 3 * KEEP_CAPACITY]);
        used(&mut input, 3 * KEEP_CAPACITY);
        input.feed(b"x");
        assert!(input.buffer.capacity() < KEEP_CAPACITY);
        assert_eq!(used(&mut input, 1), b"x");
    }
}
