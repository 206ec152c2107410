//! What several commands' arguments have in common: numbers, options that name a deadline, counted
//! lists of fields.

use super::Failure;
use crate::text::parse_i64;

/// The argument at this place.
pub(super) fn argument<'a>(args: &[&'a [u8]], at: usize) -> Result<&'a [u8], Failure> {
    args.get(at).copied().ok_or_else(Failure::syntax)
}

/// An integer as the servers read it.
pub(super) fn integer(argument: &[u8]) -> Result<i64, Failure> {
    parse_i64(argument).ok_or_else(|| Failure::new("an argument is not an integer"))
}

/// A database's number.
pub(super) fn database(argument: &[u8]) -> Result<u32, Failure> {
    u32::try_from(integer(argument)?).map_err(|_| Failure::new("not the number of a database"))
}

/// Whether an argument is this word, in any case.
pub(super) fn is(argument: &[u8], word: &str) -> bool {
    argument.eq_ignore_ascii_case(word.as_bytes())
}

/// How a command tells a deadline.
#[derive(Clone, Copy)]
pub(super) enum Clock {
    /// Seconds from now. Servers before 7.0 send relative times, which our own clock must resolve.
    Seconds,
    /// Milliseconds from now.
    Millis,
    /// Unix seconds.
    UnixSeconds,
    /// Unix milliseconds.
    UnixMillis,
}

impl Clock {
    /// The deadline in Unix milliseconds.
    pub(super) fn deadline(self, argument: &[u8], now_ms: i64) -> Result<i64, Failure> {
        let number = integer(argument)?;
        let millis = match self {
            Self::Seconds | Self::UnixSeconds => number.saturating_mul(1000),
            Self::Millis | Self::UnixMillis => number,
        };
        Ok(match self {
            Self::Seconds | Self::Millis => now_ms.saturating_add(millis),
            Self::UnixSeconds | Self::UnixMillis => millis,
        })
    }

    /// The clock that an option such as `PXAT` names.
    pub(super) fn named(option: &[u8]) -> Option<Self> {
        match option.to_ascii_uppercase().as_slice() {
            b"EX" => Some(Self::Seconds),
            b"PX" => Some(Self::Millis),
            b"EXAT" => Some(Self::UnixSeconds),
            b"PXAT" => Some(Self::UnixMillis),
            _ => None,
        }
    }
}

/// What a write's options say about the deadline.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Deadline {
    /// None, as after any plain write.
    Clear,
    /// The one that was there stays.
    Keep,
    /// This one, in Unix milliseconds.
    At(i64),
}

/// Reads the options of SET, MSETEX and HSETEX from `args[at..]` up to the word `until` (or the
/// end), and returns the deadline with the place behind what was read. Conditions are passed over:
/// a primary sends only what met them.
pub(super) fn write_options(
    args: &[&[u8]],
    mut at: usize,
    until: Option<&str>,
    now_ms: i64,
) -> Result<(Deadline, usize), Failure> {
    let mut deadline = Deadline::Clear;
    while let Some(option) = args.get(at) {
        if until.is_some_and(|word| is(option, word)) {
            return Ok((deadline, at + 1));
        }
        if let Some(clock) = Clock::named(option) {
            deadline = Deadline::At(clock.deadline(argument(args, at + 1)?, now_ms)?);
            at += 2;
            continue;
        }
        at += match option.to_ascii_uppercase().as_slice() {
            b"KEEPTTL" => {
                deadline = Deadline::Keep;
                1
            }
            b"NX" | b"XX" | b"FNX" | b"FXX" | b"GET" => 1,
            b"IFEQ" | b"IFNE" | b"IFDEQ" | b"IFDNE" => 2,
            _ => return Err(Failure::syntax()),
        };
    }
    match until {
        Some(_) => Err(Failure::syntax()),
        None => Ok((deadline, at)),
    }
}

/// The list behind `FIELDS`: a count, then that many groups of `width` arguments, to the end.
pub(super) fn counted<'a, 'b>(
    args: &'b [&'a [u8]],
    at: usize,
    width: usize,
) -> Result<&'b [&'a [u8]], Failure> {
    let count = usize::try_from(integer(argument(args, at)?)?).map_err(|_| Failure::syntax())?;
    let list = args.get(at + 1..).ok_or_else(Failure::syntax)?;
    if count == 0 || count.checked_mul(width) != Some(list.len()) {
        return Err(Failure::syntax());
    }
    Ok(list)
}
