//! The one error type: a kind that a program can branch on, and a sentence for a person.

use std::fmt;

/// What went wrong, as far as a program would act differently.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// An argument, option or address that can't be used.
    Invalid,
    /// Asked for something that this library or this primary does not have.
    Unsupported,
    /// The operating system refused: sockets, files, threads.
    Io,
    /// The primary refused the credentials, or wants some.
    Auth,
    /// The primary sent what the protocol or the snapshot format does not allow.
    Protocol,
    /// `max-memory` would be passed, or the allocator refused.
    NoMemory,
    /// Time ran out.
    Timeout,
    /// The engine was stopped.
    Stopped,
    /// A bug of ours was caught before it reached the host.
    Panic,
}

/// An error: a [`Kind`] and one line of text without a newline.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Error {
    kind: Kind,
    text: String,
}

/// What most fallible functions of this crate return.
pub type Result<T> = std::result::Result<T, Error>;

impl Error {
    /// An error of this kind with this text.
    #[cold]
    #[inline(never)]
    pub fn new(kind: Kind, text: impl Into<String>) -> Self {
        Self { kind, text: text.into() }
    }

    /// Shorthand for the most frequent kind on the wire.
    pub fn protocol(text: impl Into<String>) -> Self {
        Self::new(Kind::Protocol, text)
    }

    /// Shorthand for what a caller got wrong.
    pub fn invalid(text: impl Into<String>) -> Self {
        Self::new(Kind::Invalid, text)
    }

    /// What a program branches on.
    pub fn kind(&self) -> Kind {
        self.kind
    }

    /// The text alone.
    pub fn text(&self) -> &str {
        &self.text
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

impl std::error::Error for Error {}

impl From<std::io::Error> for Error {
    fn from(error: std::io::Error) -> Self {
        Self::new(Kind::Io, error.to_string())
    }
}
