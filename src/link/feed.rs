//! What the link tells the apply task, in the order in which it happened.

use super::fetch::Fetched;
use crate::error::Error;

/// A replication id: 40 characters.
pub type ReplId = [u8; 40];

/// How a snapshot ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Transfer {
    /// After so many bytes.
    Length(u64),
    /// With these bytes, which follow the snapshot.
    Mark([u8; 40]),
}

/// What the link is doing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LinkState {
    /// A full sync is needed and another process of this host has the option `sync-lock`'s file.
    WaitingForTurn,
    /// Looking up the name and connecting.
    Connecting,
    /// Authenticating and agreeing on how to sync.
    Handshaking,
    /// A full sync was granted, or `SYNC` was sent; the primary prepares the snapshot.
    WaitingForSnapshot,
    /// Bytes come: first the snapshot, if it is a full sync, then the stream.
    Attached,
}

/// One thing that happened.
#[derive(Clone, Debug, PartialEq)]
pub enum Feed {
    /// A snapshot begins with the next byte; the stream follows it without a border.
    FullSync {
        /// The history it belongs to; `None` when the server answers only `SYNC`.
        replid: Option<ReplId>,
        /// The offset at the snapshot: the first byte of the stream after it is this plus one. -1
        /// when the server gave none.
        offset: i64,
        /// Where it ends.
        transfer: Transfer,
        /// When it was announced, by [`Env::ticks_ms`](crate::env::Env::ticks_ms): the snapshot
        /// has nothing that was written later, though its first byte may come much later.
        at_ms: i64,
    },
    /// The stream goes on at the resume point.
    Continue {
        /// A new name of the same history; `None` keeps the old one.
        replid: Option<ReplId>,
    },
    /// What came, raw.
    Bytes {
        /// All of it.
        bytes: Vec<u8>,
        /// When, by [`Env::ticks_ms`](crate::env::Env::ticks_ms).
        at_ms: i64,
    },
    /// The connection is gone, or there was none. Drop what is incomplete, then tell
    /// [`Control::resume`](super::Control::resume); until then nothing else comes.
    Lost {
        /// Why.
        error: Error,
        /// When it is tried again, in milliseconds from now.
        retry_in_ms: i64,
    },
    /// The primary will not have us until the configuration changes.
    Refused {
        /// Why.
        error: Error,
    },
    /// For information.
    Status(LinkState),
    /// Not of this connection: what the second one brought.
    Fetched(Fetched),
}
