//! Following the stream: bytes into commands, commands into units, units into the table.

use crate::command::{self, Action, Row};
use crate::error::Result;
use crate::resp::Reader;

/// The stream's parser, and the transaction it may be in the middle of.
#[derive(Default)]
pub(super) struct Stream {
    reader: Reader,
    /// The commands since MULTI, which nobody hears of before EXEC.
    queue: Option<Vec<Owned>>,
    /// About how much memory those take, in bytes.
    queued: usize,
    /// Bytes of commands that belong to the unit in hand, the frame just read included.
    unit_bytes: usize,
}

/// What an argument that is kept takes besides its bytes.
const KEPT_ARGUMENT_BYTES: usize = 48;

/// A command that had to be kept: its arguments.
type Owned = Vec<Vec<u8>>;

/// What is to be done next.
pub(super) enum Next<'a> {
    /// These commands are a unit of so many bytes of the stream.
    Unit { commands: Commands<'a>, bytes: usize },
    /// The frame belongs to a transaction that is not complete.
    Queued,
    /// Bytes that change nothing but the offset.
    Pass { bytes: usize },
    /// The primary wants to be told the offset; the bytes count as well.
    Acknowledge { bytes: usize },
}

/// The commands of a unit.
pub(super) enum Commands<'a> {
    /// A command by itself, as it lies in the buffer.
    One(Vec<&'a [u8]>),
    /// All of a transaction.
    Many(Vec<Owned>),
}

impl Commands<'_> {
    /// The arguments of each command, with its row in the table of commands if it has one.
    pub(super) fn views(&self) -> Vec<(Option<&'static Row>, Vec<&[u8]>)> {
        let all: Vec<Vec<&[u8]>> = match self {
            Self::One(args) => vec![args.clone()],
            Self::Many(commands) => {
                commands.iter().map(|args| args.iter().map(Vec::as_slice).collect()).collect()
            }
        };
        let row = |args: &Vec<&[u8]>| args.first().and_then(|name| command::find(name));
        all.into_iter().map(|args| (row(&args), args)).collect()
    }
}

impl Stream {
    /// Takes in bytes.
    pub(super) fn feed(&mut self, bytes: &[u8]) {
        self.reader.feed(bytes);
    }

    /// Bytes that have arrived but belong to no complete unit yet.
    pub(super) fn held(&self) -> usize {
        self.reader.buffered() + if self.queue.is_some() { self.unit_bytes } else { 0 }
    }

    /// About how much memory they take.
    pub(super) fn memory(&self) -> usize {
        self.reader.memory() + self.queued
    }

    /// The next thing to do; `None` where more bytes are needed.
    pub(super) fn next(&mut self) -> Result<Option<Next<'_>>> {
        let Some(command) = self.reader.next()? else { return Ok(None) };
        self.unit_bytes += command.wire_len;
        let row = command.args.first().and_then(|name| command::find(name));
        let action = row.map(|row| row.action);
        match (action, &mut self.queue) {
            // As with the servers' own replicas, one inside another changes nothing.
            (Some(Action::Multi), queue) => {
                queue.get_or_insert_default();
                return Ok(Some(Next::Queued));
            }
            (Some(Action::Exec | Action::Discard), _) | (_, None) => {}
            (_, Some(queue)) => {
                let kept: Owned = command.args.iter().map(|arg| arg.to_vec()).collect();
                self.queued += command.wire_len + (kept.len() + 1) * KEPT_ARGUMENT_BYTES;
                queue.push(kept);
                return Ok(Some(Next::Queued));
            }
        }
        let bytes = std::mem::take(&mut self.unit_bytes);
        Ok(Some(match action {
            Some(Action::Exec) => {
                self.queued = 0;
                match self.queue.take() {
                    Some(commands) => Next::Unit { commands: Commands::Many(commands), bytes },
                    None => Next::Pass { bytes },
                }
            }
            Some(Action::Discard) => {
                self.queue = None;
                self.queued = 0;
                Next::Pass { bytes }
            }
            Some(Action::Ignore) => Next::Pass { bytes },
            Some(Action::Replconf) => Next::Acknowledge { bytes },
            _ if command.args.is_empty() => Next::Pass { bytes },
            _ => Next::Unit { commands: Commands::One(command.args), bytes },
        }))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What a stream of plain lines comes to: the commands of each unit, and all bytes counted.
    fn units(lines: &str) -> (Vec<usize>, usize) {
        let mut stream = Stream::default();
        stream.feed(lines.as_bytes());
        let (mut units, mut counted) = (Vec::new(), 0);
        while let Some(next) = stream.next().unwrap() {
            match next {
                Next::Unit { commands, bytes } => {
                    units.push(commands.views().len());
                    counted += bytes;
                }
                Next::Pass { bytes } | Next::Acknowledge { bytes } => counted += bytes,
                Next::Queued => {}
            }
        }
        assert_eq!(stream.queued, 0);
        (units, counted)
    }

    #[test]
    fn no_command_is_lost_between_misplaced_borders_of_transactions() {
        for (lines, expected) in [
            ("MULTI\nSET a 1\nSET b 2\nEXEC\nSET c 3\n", vec![2, 1]),
            ("MULTI\nSET a 1\nMULTI\nSET b 2\nEXEC\nSET c 3\nEXEC\n", vec![2, 1]),
            ("EXEC\nSET a 1\nDISCARD\n", vec![1]),
            ("MULTI\nSET a 1\nDISCARD\nSET b 2\n", vec![1]),
        ] {
            assert_eq!(units(lines), (expected, lines.len()), "{lines}");
        }
    }

    #[test]
    fn a_transaction_without_end_is_seen_in_its_memory() {
        let mut stream = Stream::default();
        stream.feed(b"MULTI\n");
        for round in 0..1000 {
            stream.feed(b"SET key value\n");
            while stream.next().unwrap().is_some() {}
            assert!(stream.memory() > round * 100);
        }
        stream.feed(b"EXEC\n");
        while stream.next().unwrap().is_some() {}
        assert!(stream.memory() < 100_000, "{}", stream.memory());
    }
}
