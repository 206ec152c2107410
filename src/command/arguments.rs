//! What several commands' arguments have in common: numbers, options that name a deadline, counted
//! lists of fields.

use super::Failure;
use crate::text::parse_i64;

/// The argument at this place.
pub(super) fn argument<'a>(args: &[&'a [u8]], at: usize) -> Result<&'a [u8], Failure> {
    args.get(at).copied().ok_or_else(Failure::syntax)
}

/// An integer as any server reads it. Those before 4.0 also took `+5`, `007` and an empty text,
/// and send what they took.
pub(super) fn number(text: &[u8]) -> Option<i64> {
    let lenient = || match std::str::from_utf8(text) {
        Ok("") => Some(0),
        text => text.ok()?.parse().ok(),
    };
    parse_i64(text).or_else(lenient)
}

/// The same, of an argument.
pub(super) fn integer(argument: &[u8]) -> Result<i64, Failure> {
    number(argument).ok_or_else(|| Failure::new("an argument is not an integer"))
}

/// A database's number.
pub(super) fn database(argument: &[u8]) -> Result<u32, Failure> {
    // As C has them.
    let number = i32::try_from(integer(argument)?).ok().and_then(|db| u32::try_from(db).ok());
    number.ok_or_else(|| Failure::new("not the number of a database"))
}

/// An argument in capitals, so that it can be matched.
#[inline(never)]
pub(super) fn upper(argument: &[u8]) -> Vec<u8> {
    argument.to_ascii_uppercase()
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
        match upper(option).as_slice() {
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

/// Reads the deadline among the options of SET and MSETEX that begin at this place. Conditions are
/// passed over: a primary sends only what met them.
pub(super) fn write_options(
    args: &[&[u8]],
    mut at: usize,
    now_ms: i64,
) -> Result<Deadline, Failure> {
    let mut deadline = Deadline::Clear;
    while let Some(option) = args.get(at) {
        at += write_option(args, at, option, &mut deadline, now_ms)?;
    }
    Ok(deadline)
}

/// Reads one option and says how many arguments it takes.
fn write_option(
    args: &[&[u8]],
    at: usize,
    option: &[u8],
    deadline: &mut Deadline,
    now_ms: i64,
) -> Result<usize, Failure> {
    if let Some(clock) = Clock::named(option) {
        *deadline = Deadline::At(clock.deadline(argument(args, at + 1)?, now_ms)?);
        return Ok(2);
    }
    match upper(option).as_slice() {
        b"KEEPTTL" => {
            *deadline = Deadline::Keep;
            Ok(1)
        }
        b"NX" | b"XX" | b"FNX" | b"FXX" | b"GET" => Ok(1),
        b"IFEQ" | b"IFNE" | b"IFDEQ" | b"IFDNE" => argument(args, at + 1).map(|_| 2),
        _ => Err(Failure::syntax()),
    }
}

/// The options of HSETEX, and its fields each with a value.
pub(super) fn field_write_options<'a, 'b>(
    args: &'b [&'a [u8]],
    now_ms: i64,
) -> Result<(Deadline, &'b [&'a [u8]]), Failure> {
    let mut deadline = Deadline::Clear;
    let fields =
        fields(args, 2, 2, |at, option| write_option(args, at, option, &mut deadline, now_ms))?;
    Ok((deadline, fields))
}

/// The list behind the word `FIELDS`: a count, then that many groups of `width` arguments. Before
/// it stand options (and behind it, since Redis 8.6); `option` says how many arguments each takes.
pub(super) fn fields<'a, 'b>(
    args: &'b [&'a [u8]],
    mut at: usize,
    width: usize,
    mut option: impl FnMut(usize, &'a [u8]) -> Result<usize, Failure>,
) -> Result<&'b [&'a [u8]], Failure> {
    let mut found = None;
    while let Some(word) = args.get(at).copied() {
        if found.is_some() || !is(word, "FIELDS") {
            at += option(at, word)?;
            continue;
        }
        let count = usize::try_from(integer(argument(args, at + 1)?)?).ok();
        let end = count.and_then(|n| n.checked_mul(width)).and_then(|n| n.checked_add(at + 2));
        let list = end.and_then(|end| args.get(at + 2..end)).filter(|list| !list.is_empty());
        found = Some(list.ok_or_else(Failure::syntax)?);
        at = end.unwrap_or(at + 2);
    }
    found.ok_or_else(Failure::syntax)
}
