//! What every function answers, and the texts that go with it.

use crate::error::{Error, Kind};
use crate::replica::Answer;
use std::borrow::Cow;
use std::cell::Cell;
use std::ffi::{CStr, c_char, c_int};

/// What a function answers. The numbers are frozen. A later version may add codes:
/// take one that you don't know for a failure.
#[repr(C)]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum rets_status {
    /// Done.
    RETS_OK = 0,
    /// Not there: no such key, field, member, element; or the end of a walk. The primary has
    /// none either.
    RETS_NOT_FOUND = -1,
    /// The buffer is too small. Nothing was written to it; the length needed was stored.
    RETS_TOO_SMALL = -2,
    /// The key holds another type.
    RETS_WRONG_TYPE = -3,
    /// The key still has the version that the caller knows. Nothing was copied.
    RETS_UNCHANGED = -4,
    /// No load has been completed yet, so nothing can be said about any key.
    RETS_NOT_READY = -5,
    /// The data may be older than the option max-staleness allows.
    RETS_STALE = -6,
    /// The primary has it, but a callback or an option kept it out of the table.
    RETS_WITHHELD = -7,
    /// The answer was stored, but it lacks what a callback or an option kept out of the table.
    RETS_INCOMPLETE = -8,
    /// The offset belongs to another history of the primary than the one that is followed.
    RETS_OTHER_HISTORY = -9,
    /// Time ran out.
    RETS_TIMEOUT = -10,
    /// An argument that can't be used; rets_last_error() says which and why.
    RETS_INVALID = -11,
    /// Not in this version of the library, or not with this primary.
    RETS_UNSUPPORTED = -12,
    /// Not from inside a callback.
    RETS_BUSY_CALLBACK = -13,
    /// The engine was stopped.
    RETS_STOPPED = -14,
    /// No memory, or the option max-memory would be passed.
    RETS_NO_MEMORY = -15,
    /// The operating system refused: a socket, a file, a thread.
    RETS_IO = -16,
    /// The primary refused the user or password, or wants one.
    RETS_AUTH = -17,
    /// TLS failed. (Reserved: no function of 0.1 answers it.)
    RETS_TLS = -18,
    /// The primary sent what the protocol or the snapshot format does not allow.
    RETS_PROTOCOL = -19,
    /// This process is a forked child of the one that made the handle.
    RETS_FORKED = -20,
    /// A bug in rets was caught. The host is fine; the handle should be freed.
    RETS_PANIC = -21,
}

use rets_status::*;

impl rets_status {
    fn text(code: c_int) -> &'static CStr {
        match code {
            0 => c"done",
            -1 => c"not found",
            -2 => c"the buffer is too small",
            -3 => c"the key holds another type",
            -4 => c"unchanged since the version given",
            -5 => c"no load has been completed yet",
            -6 => c"the data is older than allowed",
            -7 => c"withheld by a callback or an option",
            -8 => c"incomplete: a callback or an option withheld some of it",
            -9 => c"the offset belongs to another history",
            -10 => c"time ran out",
            -11 => c"an argument can't be used",
            -12 => c"not supported",
            -13 => c"not from inside a callback",
            -14 => c"the engine was stopped",
            -15 => c"no memory",
            -16 => c"the operating system refused",
            -17 => c"the primary refused the credentials or wants some",
            -18 => c"TLS failed",
            -19 => c"the primary sent what the protocol does not allow",
            -20 => c"this process is a forked child: make a handle of its own",
            -21 => c"a bug in rets was caught",
            _ => c"unknown status",
        }
    }
}

impl From<Kind> for rets_status {
    fn from(kind: Kind) -> Self {
        match kind {
            Kind::Invalid => RETS_INVALID,
            Kind::Unsupported => RETS_UNSUPPORTED,
            Kind::Io => RETS_IO,
            Kind::Auth => RETS_AUTH,
            Kind::Protocol => RETS_PROTOCOL,
            Kind::NoMemory => RETS_NO_MEMORY,
            Kind::Timeout => RETS_TIMEOUT,
            Kind::Stopped => RETS_STOPPED,
            Kind::Panic => RETS_PANIC,
        }
    }
}

/// Anything but `RETS_OK`, with a sentence where the status alone would not say enough.
#[derive(Debug)]
pub(super) struct Failure {
    status: rets_status,
    /// In a box, for most have none, and what every lookup may return should be small.
    text: Option<Box<Cow<'static, str>>>,
}

impl Failure {
    #[inline]
    pub(super) fn plain(status: rets_status) -> Self {
        Self { status, text: None }
    }

    #[cold]
    pub(super) fn invalid(text: impl Into<Cow<'static, str>>) -> Self {
        Self { status: RETS_INVALID, text: Some(Box::new(text.into())) }
    }

    #[cold]
    pub(super) fn bad_bytes(name: &str) -> Self {
        Self::invalid(format!("{name} is NULL with a length that is not 0, or far too long"))
    }

    #[cold]
    pub(super) fn bad_place(name: &str) -> Self {
        Self::invalid(format!("{name} is NULL or not aligned"))
    }

    /// Leaves the text for `rets_last_error` and hands on the status.
    #[inline(always)]
    pub(super) fn tell(self) -> rets_status {
        LAST.with(|last| {
            last.status.set(self.status as c_int);
            last.detailed.set(self.text.is_some());
        });
        if let Some(text) = self.text {
            tell_text(text);
        }
        self.status
    }
}

#[cold]
#[inline(never)]
fn tell_text(text: Box<Cow<'static, str>>) {
    LAST.with(|last| last.text.set(super::convert::fixed(&text)));
}

impl From<Error> for Failure {
    fn from(error: Error) -> Self {
        Self { status: error.kind().into(), text: Some(Box::new(error.text().to_owned().into())) }
    }
}

/// What was found, or the status that says why not.
pub(super) fn settle<T>(answer: Answer<T>) -> Result<T, Failure> {
    found(answer).map_err(Failure::plain)
}

/// The same.
#[inline(always)]
pub(super) fn found<T>(answer: Answer<T>) -> Result<T, rets_status> {
    Err(match answer {
        Answer::Found(found) => return Ok(found),
        Answer::NotFound => RETS_NOT_FOUND,
        Answer::WrongType => RETS_WRONG_TYPE,
        Answer::Withheld => RETS_WITHHELD,
        Answer::NotReady => RETS_NOT_READY,
        Answer::Stale => RETS_STALE,
        Answer::Stopped => RETS_STOPPED,
    })
}

/// Bytes kept of the last error's text.
const TEXT_MAX: usize = 256;

/// Nothing in it needs a destructor, so none is registered for it on the host's threads.
struct Last {
    status: Cell<c_int>,
    detailed: Cell<bool>,
    text: Cell<[c_char; TEXT_MAX]>,
}

thread_local! {
    static LAST: Last = const {
        Last {
            status: Cell::new(0),
            detailed: Cell::new(false),
            text: Cell::new([0; TEXT_MAX]),
        }
    };
}

/// The text for a status, for people.
///
/// @param status  any number
/// @return a constant string, never NULL; "unknown status" for a number that is none
///
/// Threads: any, also inside callbacks and in a forked child. Since: 0.1
#[unsafe(no_mangle)]
pub extern "C" fn rets_strerror(status: c_int) -> *const c_char {
    rets_status::text(status).as_ptr()
}

/// What went wrong in this thread's last call that did not answer RETS_OK, in one
/// line and in more detail than rets_strerror() has where there is more. Calls
/// that succeed leave it alone, so ask only after a failure. What goes wrong on
/// the engine's own threads is in rets_info() instead.
///
/// Values and passwords are not in it, but names of keys may be.
///
/// @return a string, never NULL, empty if nothing failed yet. It belongs to the
///         library and stays as it is until the next call of this thread that
///         fails, or the thread's end
///
/// Threads: any, also inside callbacks and in a forked child. Since: 0.1
#[unsafe(no_mangle)]
pub extern "C" fn rets_last_error() -> *const c_char {
    LAST.with(|last| match last.status.get() {
        0 => c"".as_ptr(),
        _ if last.detailed.get() => last.text.as_ptr().cast_const().cast(),
        status => rets_status::text(status).as_ptr(),
    })
}

/// The version of the library that is running, as "0.1.0". RETS_VERSION is the one
/// that the program was compiled against.
///
/// @return a constant string, never NULL
///
/// Threads: any, also inside callbacks and in a forked child. Since: 0.1
#[unsafe(no_mangle)]
pub extern "C" fn rets_version() -> *const c_char {
    concat!(env!("CARGO_PKG_VERSION"), "\0").as_ptr().cast()
}
