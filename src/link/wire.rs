//! An established connection: its bytes in both directions, and when some last came or went.

use std::io;

use super::Step;
use super::refusal::Failure;
use crate::env::{Connection, Interest};
use crate::error::Kind;

/// The connection with its times.
pub(super) struct Wire {
    pub(super) connection: Box<dyn Connection>,
    pub(super) out: Vec<u8>,
    /// A write failed. What the primary said before it closed may still be read.
    write_error: Option<io::Error>,
    pub(super) last_read_ms: i64,
    pub(super) last_ack_ms: Option<i64>,
    /// When the primary said that a snapshot comes.
    pub(super) announced_ms: Option<i64>,
    /// While the stream waits for an ACK: how many were sent.
    pub(super) first_acks: Option<u32>,
}

impl Wire {
    pub(super) fn new(connection: Box<dyn Connection>, now: i64) -> Self {
        Self {
            connection,
            out: Vec::new(),
            write_error: None,
            last_read_ms: now,
            last_ack_ms: None,
            announced_ms: None,
            first_acks: None,
        }
    }

    /// Writes what can be written.
    pub(super) fn flush(&mut self) {
        while !self.out.is_empty() && self.write_error.is_none() {
            match self.connection.write(&self.out) {
                Ok(count) => drop(self.out.drain(..count.min(self.out.len()))),
                Err(error) if is_temporary(&error) => return,
                Err(error) => self.write_error = Some(error),
            }
        }
    }

    /// Reads what there is; `None` when there is nothing yet.
    pub(super) fn read(&mut self, buf: &mut [u8], now: i64) -> Result<Option<usize>, Failure> {
        match self.connection.read(buf) {
            Ok(0) => Err(Failure::again(Kind::Io, "the primary closed the connection")),
            Ok(count) => {
                self.last_read_ms = now;
                self.first_acks = self.first_acks.filter(|sent| *sent == 0);
                Ok(Some(count))
            }
            Err(error) if is_temporary(&error) => self.broken().map(|()| None),
            Err(error) => Err(broken(&error)),
        }
    }

    /// To be asked when there is nothing left to read.
    pub(super) fn broken(&self) -> Result<(), Failure> {
        self.write_error.as_ref().map_or(Ok(()), |error| Err(broken(error)))
    }

    pub(super) fn wait(&self, read: bool, timeout_ms: i64) -> Step {
        Step::Wait { want: Interest { read, write: !self.out.is_empty() }, timeout_ms }
    }
}

fn broken(error: &io::Error) -> Failure {
    Failure::again(Kind::Io, format!("the connection broke: {error}"))
}

fn is_temporary(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::WouldBlock | io::ErrorKind::Interrupted)
}
