//! The replication stream cut into commands, however the network cut it into pieces.

use super::Args;
use crate::error::{Error, Result};
use std::collections::VecDeque;

/// One command and how much of the stream it was.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Command<'a, N = ()> {
    /// Its name and arguments; empty for an empty line or array, which are only there to be
    /// counted.
    pub args: Args<'a>,
    /// All bytes of its frame: the replication offset moves by that.
    pub wire_len: usize,
    /// What was noted when it was read ahead.
    pub note: N,
}

/// Incremental reader of the replication stream: bytes in, whole commands out.
///
/// It understands arrays of bulk strings and the plain lines (`PING`, `select 0`) that servers
/// before 2.6 also sent. After an error it repeats that error until [`Reader::clear`]: where the
/// next command begins can't be known any more.
///
/// It reads some commands ahead of the one that it hands out, so that who is told of them in time
/// can have ready what they need, and make a note of it.
#[derive(Debug, Default)]
pub struct Reader<N = ()> {
    buffer: Vec<u8>,
    /// Before this is what was handed out already.
    start: usize,
    /// Where the frame begins that is being read.
    reading: usize,
    frame: Frame,
    /// Begin and end of each argument, counted from its frame's beginning: of the commands that
    /// were read ahead, then of the frame that is being read.
    args: Vec<(usize, usize)>,
    /// How many of them were handed out, and where those of the frame begin that is being read.
    done: usize,
    first: usize,
    /// What was read ahead.
    ahead: VecDeque<Whole<N>>,
    /// Behind what was read ahead.
    failed: Option<Error>,
}

/// A frame that was read.
#[derive(Debug)]
struct Whole<N> {
    args: usize,
    wire_len: usize,
    note: N,
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
    /// Up to here a plain line is plain and has no end.
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
/// So many commands are read ahead: as many fetches from main memory as can be under way at once.
const AHEAD: usize = 16;
/// So many arguments that were handed out are kept before the others move up.
const ARGS_DONE_MAX: usize = 512;

impl Reader {
    /// A reader at the beginning of a command.
    pub fn new() -> Self {
        Self::default()
    }
}

impl<N: Default> Reader<N> {
    /// Adds what came from the primary.
    pub fn feed(&mut self, bytes: &[u8]) {
        self.drop_read();
        self.buffer.extend_from_slice(bytes);
    }

    /// Reads some commands ahead, unless enough of those that were are not handed out yet, and
    /// tells the first argument of each, or nothing of one that has none. What is answered is noted
    /// beside it.
    #[inline]
    pub fn read_ahead(&mut self, tell: impl FnMut(&[u8]) -> N) {
        if self.ahead.len() <= AHEAD / 2 && self.failed.is_none() {
            self.read_some(tell);
        }
    }

    /// What was noted of a command that was read ahead; the next one is at 0.
    #[inline]
    pub fn noted(&self, at: usize) -> Option<&N> {
        self.ahead.get(at).map(|whole| &whole.note)
    }

    fn read_some(&mut self, mut tell: impl FnMut(&[u8]) -> N) {
        if self.ahead.is_empty() || self.done > ARGS_DONE_MAX {
            self.first -= self.done;
            self.args.drain(..std::mem::take(&mut self.done));
            self.args.shrink_to(KEPT_CAPACITY / size_of::<(usize, usize)>());
        }
        while self.ahead.len() < AHEAD {
            let bytes = self.buffer.get(self.reading..).unwrap_or_default();
            match self.frame.advance(bytes, &mut self.args) {
                Ok(true) => {}
                Ok(false) => break,
                Err(error) => {
                    self.failed = Some(error);
                    break;
                }
            }
            let wire_len = self.frame.at;
            let args = self.args.len() - self.first;
            let key = if args > 1 { self.args.get(self.first + 1) } else { None };
            let note = tell(key.and_then(|(from, to)| bytes.get(*from..*to)).unwrap_or_default());
            self.ahead.push_back(Whole { args, wire_len, note });
            self.first += args;
            self.reading += wire_len;
            self.frame = Frame::default();
        }
    }

    /// The next whole command, or `None` if more bytes are needed for it.
    #[expect(clippy::should_implement_trait, reason = "what it yields borrows the reader")]
    #[inline]
    pub fn next(&mut self) -> Result<Option<Command<'_, N>>> {
        if self.ahead.is_empty() {
            self.read_ahead(|_| N::default());
        }
        let Some(Whole { args: count, wire_len, note }) = self.ahead.pop_front() else {
            return self.failed.as_ref().map_or(Ok(None), |error| Err(error.clone()));
        };
        let frame = self.buffer.get(self.start..).unwrap_or_default();
        let places = self.args.get(self.done..self.done + count).unwrap_or_default();
        self.start += wire_len;
        self.done += count;
        Ok(Some(Command { args: Args::new(frame, places), wire_len, note }))
    }

    /// How many bytes were fed that no command was made of yet.
    pub fn buffered(&self) -> usize {
        self.buffer.len() - self.start
    }

    /// About how much memory that takes.
    pub fn memory(&self) -> usize {
        self.buffered() + self.args.len() * size_of::<(usize, usize)>()
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
        self.reading -= self.start;
        self.start = 0;
        if self.buffer.capacity() > KEPT_CAPACITY && self.buffer.len() < KEPT_CAPACITY / 2 {
            self.buffer.shrink_to(KEPT_CAPACITY);
        }
    }
}

impl Frame {
    /// Goes on with what is there; true if the frame is complete.
    fn advance(&mut self, bytes: &[u8], args: &mut Vec<(usize, usize)>) -> Result<bool> {
        if !self.in_array {
            if let (0, Some(end)) = (self.searched, usual_frame(bytes, args)) {
                self.at = end;
                return Ok(true);
            }
            match bytes.first() {
                None => return Ok(false),
                Some(b'*') => {}
                Some(_) => return self.inline(bytes, args),
            }
            let Some(count) = self.header(bytes, b'*', ARGS_MAX)? else { return Ok(false) };
            self.missing = count.unwrap_or(0);
            self.in_array = true;
        }
        while self.missing > 0 {
            if !self.bulk(bytes, args)? {
                return Ok(false);
            }
            self.missing -= 1;
        }
        Ok(true)
    }

    /// Reads one argument; false if it isn't all there.
    #[inline]
    fn bulk(&mut self, bytes: &[u8], args: &mut Vec<(usize, usize)>) -> Result<bool> {
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
        args.push((self.at, end));
        self.at = end + 2;
        self.bulk_len = None;
        Ok(true)
    }

    /// Reads a line of this mark and a number: `None` if it isn't all there, `Some(None)` if the
    /// number is -1.
    #[inline]
    fn header(&mut self, bytes: &[u8], mark: u8, max: u64) -> Result<Option<Option<u64>>> {
        let rest = bytes.get(self.at..).unwrap_or_default();
        if let Some((number, len)) = usual_header(rest, mark) {
            self.at += len;
            return Ok(Some(Some(number)));
        }
        self.any_header(bytes, mark, max)
    }

    #[cold]
    fn any_header(&mut self, bytes: &[u8], mark: u8, max: u64) -> Result<Option<Option<u64>>> {
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
    fn inline(&mut self, bytes: &[u8], args: &mut Vec<(usize, usize)>) -> Result<bool> {
        let unseen = bytes.get(self.searched..).unwrap_or_default();
        let found = unseen.iter().position(|byte| *byte == b'\n');
        let end = self.searched + found.unwrap_or(unseen.len());
        let line = bytes.get(..end).unwrap_or_default();
        // A CR at the end belongs to the line end, perhaps one that hasn't come yet.
        let text = line.strip_suffix(b"\r").unwrap_or(line);
        // A reply or binary data where a command should begin is a stream out of step.
        let begins = text.first().is_none_or(u8::is_ascii_alphabetic);
        let fresh = text.get(self.searched..).unwrap_or_default();
        let plain = |byte: &u8| matches!(byte, b' '..=b'~' | b'\t');
        if !begins || !fresh.iter().all(plain) || text.len() > INLINE_MAX {
            return Err(malformed("a command", bytes));
        }
        if found.is_none() {
            self.searched = text.len();
            return Ok(false);
        }
        let mut at = 0;
        for word in text.split(|byte| matches!(byte, b' ' | b'\t')) {
            if !word.is_empty() {
                args.push((at, at + word.len()));
            }
            at += word.len() + 1;
        }
        self.at = end + 1;
        Ok(true)
    }
}

/// A frame that is all there and has neither many nor long arguments, as nearly all are, read in
/// one go; where it ends. Where this finds nothing there may still be a frame.
#[inline]
fn usual_frame(bytes: &[u8], args: &mut Vec<(usize, usize)>) -> Option<usize> {
    let known = args.len();
    let end = usual_arguments(bytes, args);
    if end.is_none() {
        args.truncate(known);
    }
    end
}

#[inline]
fn usual_arguments(bytes: &[u8], args: &mut Vec<(usize, usize)>) -> Option<usize> {
    let (count, header) = usual_header(bytes, b'*')?;
    let mut at = header - 2;
    for _ in 0..count {
        let (len, header) = usual_length(bytes.get(at..)?)?;
        let from = at + header;
        at = from + len;
        args.push((from, at));
    }
    (bytes.get(at..at + 2)? == b"\r\n").then_some(at + 2)
}

/// A line end and the header of an argument behind it, of few digits, and how long both are: read
/// as one word, which there always is.
#[inline]
fn usual_length(rest: &[u8]) -> Option<(usize, usize)> {
    const START: u64 = u64::from_le_bytes(*b"\r\n$\0\0\0\0\0");
    const END: u64 = u64::from_le_bytes(*b"\r\n\0\0\0\0\0\0");
    let word = u64::from_le_bytes(*rest.first_chunk()?);
    let digit = |at: u32| (word >> (8 * at) & 0xff) ^ u64::from(b'0');
    let ends = |at: u32| word >> (8 * at) & 0xffff == END;
    let a = digit(3);
    if word & 0xff_ffff != START || a > 9 {
        return None;
    }
    if ends(4) {
        return Some((a as usize, 6));
    }
    let b = digit(4);
    if a == 0 || b > 9 {
        return None;
    }
    if ends(5) {
        return Some(((a * 10 + b) as usize, 7));
    }
    let c = digit(5);
    (c <= 9 && ends(6)).then_some(((a * 100 + b * 10 + c) as usize, 8))
}

/// A line of this mark and a number of few digits, and how long it is: what nearly all headers are,
/// read in one go. Where this finds nothing there may still be a header.
#[inline]
fn usual_header(rest: &[u8], mark: u8) -> Option<(u64, usize)> {
    let digit = |byte: u8| u64::from(byte.wrapping_sub(b'0'));
    let [found, first, second, third] = *rest.first_chunk()?;
    let (a, b, c) = (digit(first), digit(second), digit(third));
    if found != mark || a > 9 {
        return None;
    }
    if second == b'\r' {
        return (third == b'\n').then_some((a, 4));
    }
    let [fourth, fifth] = *rest.get(4..)?.first_chunk()?;
    if a == 0 || b > 9 {
        return None;
    }
    if third == b'\r' {
        return (fourth == b'\n').then_some((a * 10 + b, 5));
    }
    (c <= 9 && [fourth, fifth] == *b"\r\n").then_some((a * 100 + b * 10 + c, 6))
}

/// Digits without leading zeros, as the servers write and want them.
fn parse_length(digits: &[u8]) -> Option<u64> {
    let canonical = matches!(digits, [b'0'] | [b'1'..=b'9', ..]);
    // Only digits, or std would take a plus sign.
    let digits = digits.iter().all(u8::is_ascii_digit).then_some(digits)?;
    std::str::from_utf8(digits).ok()?.parse().ok().filter(|_| canonical)
}

/// Of what was found only the first byte is told: it may be anybody's data.
fn malformed(expected: &str, found: &[u8]) -> Error {
    let found = found.first().copied().unwrap_or_default();
    Error::protocol(format!("expected {expected} in the stream, found byte 0x{found:02x}"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::error::Kind;
    use crate::resp::write_command;
    use proptest::prelude::*;

    type Read = (Vec<Vec<u8>>, usize);

    fn drain(reader: &mut Reader, into: &mut Vec<Read>) {
        while let Some(command) = reader.next().unwrap() {
            into.push((command.args.iter().map(|arg| arg.to_vec()).collect(), command.wire_len));
        }
    }

    fn read_all(stream: &[u8]) -> Vec<Read> {
        let mut reader = Reader::new();
        let mut read = Vec::new();
        reader.feed(stream);
        drain(&mut reader, &mut read);
        assert_eq!(reader.buffered(), 0);
        read
    }

    fn args(words: &[&str]) -> Vec<Vec<u8>> {
        words.iter().map(|word| word.as_bytes().to_vec()).collect()
    }

    #[test]
    fn every_byte_counts_in_some_command() {
        let getack = b"*3\r\n$8\r\nREPLCONF\r\n$6\r\nGETACK\r\n$1\r\n*\r\n";
        let ping = b"*1\r\n$4\r\nPING\r\n";
        assert_eq!(read_all(getack), [(args(&["REPLCONF", "GETACK", "*"]), 37)]);
        assert_eq!(read_all(ping), [(args(&["PING"]), 14)]);
        let cases: &[(&[u8], &[&str])] = &[
            (b"\n", &[]),
            (b"\r\n", &[]),
            (b"*0\r\n", &[]),
            (b"*-1\r\n", &[]),
            (b"PING\r\n", &["PING"]),
            (b"PING\n", &["PING"]),
            (b"select 11\r\n", &["select", "11"]),
            (b"set\ta  b \r\n", &["set", "a", "b"]),
            (b"*2\r\n$0\r\n\r\n$4\r\n\r\n*1\r\n", &["", "\r\n*1"]),
        ];
        for (bytes, words) in cases {
            assert_eq!(read_all(bytes), [(args(words), bytes.len())], "{}", bytes.escape_ascii());
        }
    }

    #[test]
    fn a_malformed_stream_is_an_error_that_stays_until_cleared() {
        let cases: &[&[u8]] = &[
            b"*x\r\n",
            b"*\r\n",
            b"*+1\r\n",
            b"*-2\r\n",
            b"*01\r\n",
            b"*1\n",
            b"* 1\r\n",
            b"*1 \r\n",
            b"*2147483649\r\n",
            b"*18446744073709551616\r\n",
            b"*11111111111111111111111111111111",
            b"*1\r\n:1\r\n",
            b"*1\r\n\r\n",
            b"*1\r\nPING\r\n",
            b"*1\r\n*",
            b"*1\r\n$-1\r\n",
            b"*1\r\n$4x\r\n",
            b"*1\r\n$4294967297\r\n",
            b"*1\r\n$4\r\nPING\n\n",
            b"*1\r\n$4\r\nPINGPONG",
            b"*1\r\n$3\r\nPING\r\n",
            b"+OK\r\n",
            b"-ERR no\r\n",
            b":1\r\n",
            b"$4\r\n",
            b" PING\r\n",
            b"\rPING\r\n",
            b"PI\rNG\r\n",
            b"PING\r\r\n",
            b"PI\0NG",
            b"PI\xffNG",
            b"\0",
            b"\r\r",
        ];
        let good: &[u8] = b"*1\r\n$4\r\nPING\r\n";
        for bytes in cases {
            let shown = bytes.escape_ascii();
            let mut reader = Reader::new();
            reader.feed(&[good, bytes].concat());
            assert_eq!(reader.next().unwrap().unwrap().wire_len, good.len());
            let error = reader.next().expect_err(&shown.to_string());
            assert_eq!(error.kind(), Kind::Protocol);
            assert!(error.text().starts_with("expected "), "{error}");
            assert!(!error.text().contains('"'), "data is told: {error}");
            reader.feed(good);
            assert_eq!(reader.next().unwrap_err(), error);
            reader.clear();
            assert_eq!((reader.buffered(), reader.next()), (0, Ok(None)));
            reader.feed(good);
            assert_eq!(reader.next().unwrap().unwrap().args.list()[..], [b"PING"]);
        }
    }

    #[test]
    fn an_endless_plain_line_is_an_error() {
        let mut reader = Reader::new();
        reader.feed(&vec![b'a'; INLINE_MAX]);
        assert_eq!(reader.next(), Ok(None));
        reader.feed(b"a");
        assert_eq!(reader.next().unwrap_err().kind(), Kind::Protocol);
    }

    #[test]
    fn nothing_is_allocated_for_what_was_only_announced() {
        let mut reader = Reader::new();
        reader.feed(b"*2147483648\r\n$4294967296\r\nabc");
        assert_eq!(reader.next(), Ok(None));
        assert_eq!(reader.buffered(), 29);
        assert!(reader.buffer.capacity() < 1000 && reader.args.capacity() < 1000);
    }

    #[test]
    fn a_long_argument_in_single_bytes_is_read_once_and_its_memory_given_back() {
        let long = vec![b'x'; 3 << 20];
        let mut stream = Vec::new();
        write_command(&mut stream, &[b"SET", b"k", &long]);
        let mut reader = Reader::new();
        let mut read = Vec::new();
        for byte in &stream {
            reader.feed(std::slice::from_ref(byte));
            drain(&mut reader, &mut read);
        }
        assert_eq!(read, [(vec![b"SET".to_vec(), b"k".to_vec(), long], stream.len())]);
        reader.feed(b"\n");
        assert!(reader.buffer.capacity() <= KEPT_CAPACITY);
    }

    fn any_frame() -> impl Strategy<Value = (Vec<Vec<u8>>, Vec<u8>)> {
        let array = proptest::collection::vec(proptest::collection::vec(any::<u8>(), 0..20), 0..6)
            .prop_map(|args| {
                let mut wire = Vec::new();
                write_command(&mut wire, &args.iter().map(Vec::as_slice).collect::<Vec<_>>());
                (args, wire)
            });
        let line = (proptest::collection::vec("[a-zA-Z][!-~]{0,5}", 0..4), any::<bool>()).prop_map(
            |(words, cr)| {
                let wire = words.join(" ") + if cr { "\r\n" } else { "\n" };
                (words.into_iter().map(String::into_bytes).collect(), wire.into_bytes())
            },
        );
        prop_oneof![3 => array, 1 => line]
    }

    proptest! {
        #[test]
        fn any_cut_gives_the_same_commands_and_lengths(
            frames in proptest::collection::vec(any_frame(), 0..12),
            cuts in proptest::collection::vec(1usize..40, 1..60),
            lazy: bool,
        ) {
            let expected: Vec<Read> =
                frames.iter().map(|(args, wire)| (args.clone(), wire.len())).collect();
            let stream: Vec<u8> = frames.into_iter().flat_map(|(_, wire)| wire).collect();
            let mut reader = Reader::new();
            let mut read = Vec::new();
            let mut rest = &stream[..];
            for cut in cuts.iter().cycle() {
                if rest.is_empty() { break; }
                let (piece, tail) = rest.split_at((*cut).min(rest.len()));
                rest = tail;
                reader.feed(piece);
                let taken = |read: &[Read]| read.iter().map(|(_, len)| len).sum::<usize>();
                if lazy {
                    // One command at most between two pieces: the buffer is seldom empty.
                    if let Some(command) = reader.next().unwrap() {
                        let args = command.args.iter().map(|arg| arg.to_vec()).collect();
                        read.push((args, command.wire_len));
                    }
                } else {
                    drain(&mut reader, &mut read);
                }
                prop_assert_eq!(taken(&read) + reader.buffered(), stream.len() - rest.len());
            }
            drain(&mut reader, &mut read);
            prop_assert_eq!(read, expected);
            prop_assert_eq!(reader.buffered(), 0);
        }

        #[test]
        fn no_bytes_make_it_panic_or_lose_count(
            bytes in proptest::collection::vec(
                proptest::sample::select(b"*$0123-\r\n\0a ".to_vec()), 0..60),
        ) {
            let mut reader = Reader::new();
            reader.feed(&bytes);
            let mut taken = 0;
            while let Ok(Some(command)) = reader.next() { taken += command.wire_len; }
            prop_assert_eq!(taken + reader.buffered(), bytes.len());
        }
    }
}
