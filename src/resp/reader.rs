//! The replication stream cut into commands, however the network cut it into pieces.

use crate::error::{Error, Result};

/// One command and how much of the stream it was.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Command<'a> {
    /// Its name and arguments; empty for an empty line or array, which are only there to be counted.
    pub args: Vec<&'a [u8]>,
    /// All bytes of its frame: the replication offset moves by that.
    pub wire_len: usize,
}

/// Incremental reader of the replication stream: bytes in, whole commands out.
///
/// It understands arrays of bulk strings and the plain lines (`PING`, `select 0`) that servers
/// before 2.6 also sent. After an error it repeats that error until [`Reader::clear`]: where the
/// next command begins can't be known any more.
#[derive(Debug, Default)]
pub struct Reader {
    buffer: Vec<u8>,
    /// Where the frame begins that is being read; before it is what was handed out already.
    start: usize,
    frame: Frame,
    failed: Option<Error>,
}

/// How far the frame at [`Reader::start`] was understood, so that no byte is looked at twice.
/// Places are counted from the frame's beginning.
#[derive(Debug, Default)]
struct Frame {
    /// The first byte that wasn't understood yet.
    at: usize,
    /// Whether the array's header is among what was.
    in_array: bool,
    /// How many arguments are still to come.
    missing: u64,
    /// The length of the argument whose header was read and whose bytes weren't.
    bulk_len: Option<usize>,
    /// Begin and end of each argument.
    args: Vec<(usize, usize)>,
    /// Up to here there is no line end.
    searched: usize,
}

/// A bulk string may be as long as a server's `proto-max-bulk-len` lets it be; this is beyond what
/// any can store, and tells a damaged stream from a large one.
const BULK_MAX: u64 = 4 << 30;
/// As many arguments as servers count.
const ARGS_MAX: u64 = 1 << 31;
/// A header is a mark, 20 digits at most and a line end.
const HEADER_MAX: usize = 32;
/// The longest plain line of the servers themselves.
const INLINE_MAX: usize = 64 * 1024;
/// A buffer that grew beyond this for one large command is given back after it.
const KEPT_CAPACITY: usize = 1 << 20;
/// How much of a damaged stream an error shows.
const SHOWN_MAX: usize = 32;

impl Reader {
    /// A reader at the beginning of a command.
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds what came from the primary.
    pub fn feed(&mut self, bytes: &[u8]) {
        self.drop_read();
        self.buffer.extend_from_slice(bytes);
    }

    /// The next whole command, or `None` if more bytes are needed for it.
    #[expect(clippy::should_implement_trait, reason = "what it yields borrows the reader")]
    pub fn next(&mut self) -> Result<Option<Command<'_>>> {
        if let Some(error) = &self.failed {
            return Err(error.clone());
        }
        let bytes = self.buffer.get(self.start..).unwrap_or_default();
        match self.frame.advance(bytes) {
            Ok(true) => {}
            Ok(false) => return Ok(None),
            Err(error) => {
                self.failed = Some(error.clone());
                return Err(error);
            }
        }
        let wire_len = self.frame.at;
        let args = self.frame.args.iter().map(|(from, to)| bytes.get(*from..*to));
        let args = args.map(Option::unwrap_or_default).collect();
        self.start += wire_len;
        self.frame.reset();
        Ok(Some(Command { args, wire_len }))
    }

    /// How many bytes were fed that no command was made of yet.
    pub fn buffered(&self) -> usize {
        self.buffer.len() - self.start
    }

    /// Forgets what was fed; the next byte begins a command.
    pub fn clear(&mut self) {
        *self = Self::default();
    }

    /// Makes room in front, but only where more is dropped than moved: so every byte moves less
    /// than once on average.
    fn drop_read(&mut self) {
        if self.buffered() > self.start {
            return;
        }
        self.buffer.drain(..self.start);
        self.start = 0;
        if self.buffer.capacity() > KEPT_CAPACITY && self.buffer.len() < KEPT_CAPACITY / 2 {
            self.buffer.shrink_to(KEPT_CAPACITY);
        }
    }
}

impl Frame {
    fn reset(&mut self) {
        let mut args = std::mem::take(&mut self.args);
        args.clear();
        args.shrink_to(KEPT_CAPACITY / size_of::<(usize, usize)>());
        *self = Self { args, ..Self::default() };
    }

    /// Goes on with what is there; true if the frame is complete.
    fn advance(&mut self, bytes: &[u8]) -> Result<bool> {
        if !self.in_array {
            match bytes.first() {
                None => return Ok(false),
                Some(b'*') => {}
                Some(_) => return self.inline(bytes),
            }
            let Some(count) = self.header(bytes, b'*', ARGS_MAX)? else { return Ok(false) };
            self.missing = count.unwrap_or(0);
            self.in_array = true;
        }
        while self.missing > 0 {
            if !self.bulk(bytes)? {
                return Ok(false);
            }
            self.missing -= 1;
        }
        Ok(true)
    }

    /// Reads one argument; false if it isn't all there.
    fn bulk(&mut self, bytes: &[u8]) -> Result<bool> {
        let len = match self.bulk_len {
            Some(len) => len,
            None => {
                let Some(len) = self.header(bytes, b'$', BULK_MAX)? else { return Ok(false) };
                let len = len.and_then(|len| usize::try_from(len).ok());
                *self.bulk_len.insert(len.ok_or_else(|| malformed("a length", bytes))?)
            }
        };
        let end = self.at.saturating_add(len);
        let Some(line_end) = bytes.get(end..end.saturating_add(2)) else { return Ok(false) };
        if line_end != b"\r\n" {
            return Err(malformed("the end of an argument", line_end));
        }
        self.args.push((self.at, end));
        self.at = end + 2;
        self.bulk_len = None;
        Ok(true)
    }

    /// Reads a line of this mark and a number: `None` if it isn't all there, `Some(None)` if the
    /// number is -1.
    fn header(&mut self, bytes: &[u8], mark: u8, max: u64) -> Result<Option<Option<u64>>> {
        let rest = bytes.get(self.at..).unwrap_or_default();
        if rest.first().is_some_and(|byte| *byte != mark) {
            return Err(malformed("the header of an argument", rest));
        }
        let window = rest.get(..HEADER_MAX).unwrap_or(rest);
        let Some(end) = window.iter().position(|byte| *byte == b'\n') else {
            if window.len() == HEADER_MAX {
                return Err(malformed("a length", rest));
            }
            return Ok(None);
        };
        let digits = window.get(1..end).unwrap_or_default().strip_suffix(b"\r");
        let number = match digits {
            Some(b"-1") => None,
            digits => {
                let number = digits.and_then(parse_length).filter(|number| *number <= max);
                Some(number.ok_or_else(|| malformed("a length", rest))?)
            }
        };
        self.at += end + 1;
        Ok(Some(number))
    }

    /// Reads a plain line: words between blanks, or nothing.
    fn inline(&mut self, bytes: &[u8]) -> Result<bool> {
        let unseen = bytes.get(self.searched..).unwrap_or_default();
        let found = unseen.iter().position(|byte| *byte == b'\n');
        let end = self.searched + found.unwrap_or(unseen.len());
        let text = bytes.get(..end).unwrap_or_default();
        // A reply or binary data where a command should begin is a stream out of step.
        let begins = text.first().is_none_or(|byte| byte.is_ascii_alphabetic() || *byte == b'\r');
        let seen = text.get(self.searched..).unwrap_or_default();
        let plain = |byte: &u8| matches!(byte, b' '..=b'~' | b'\t' | b'\r');
        if !begins || !seen.iter().all(plain) || end > INLINE_MAX {
            return Err(malformed("a command", bytes));
        }
        if found.is_none() {
            self.searched = end;
            return Ok(false);
        }
        let mut at = 0;
        for word in text.split(|byte| matches!(byte, b' ' | b'\t' | b'\r')) {
            if !word.is_empty() {
                self.args.push((at, at + word.len()));
            }
            at += word.len() + 1;
        }
        self.at = end + 1;
        Ok(true)
    }
}

/// Digits without leading zeros, as the servers write and want them.
fn parse_length(digits: &[u8]) -> Option<u64> {
    let canonical = matches!(digits, [b'0'] | [b'1'..=b'9', ..]);
    // Only digits, or std would take a plus sign.
    let digits = digits.iter().all(u8::is_ascii_digit).then_some(digits)?;
    std::str::from_utf8(digits).ok()?.parse().ok().filter(|_| canonical)
}

fn malformed(expected: &str, found: &[u8]) -> Error {
    let shown = found.get(..SHOWN_MAX).unwrap_or(found);
    Error::protocol(format!(
        "expected {expected} in the stream, found \"{}\"",
        shown.escape_ascii()
    ))
}
