//! Following the stream: bytes into commands, commands into units, units into the table.

use crate::command::{self, Action, Row};
use crate::error::Result;
use crate::resp::{Args, List, Reader};
use crate::table::{Db, Foreseen, Table};

/// The stream's parser, and the transaction it may be in the middle of.
#[derive(Default)]
pub(super) struct Stream {
    /// It notes what was foreseen of the first arguments.
    reader: Reader<Option<Foreseen>>,
    /// The commands since MULTI, which nobody hears of before EXEC.
    queue: Option<Vec<Owned>>,
    /// About how much memory those take, in bytes.
    queued: usize,
    /// Bytes of commands that belong to the unit in hand, the frame just read included.
    unit_bytes: usize,
    /// How many of the commands that were read ahead are near.
    near: usize,
}

/// So many commands before it is applied, what a command will look at is near enough to be fetched:
/// what leads there has come by then.
const NEAR: usize = 6;

/// The same for the rest of what is long.
const NEXT: usize = 2;

/// What an argument that is kept takes besides its bytes.
const KEPT_ARGUMENT_BYTES: usize = 48;

/// A command with its row in the table of commands, if it has one.
pub(super) type View<'a> = (Option<&'static Row>, List<'a>);

/// The same of a command that had to be kept.
pub(super) type Owned = (Option<&'static Row>, Vec<Vec<u8>>);

/// What is to be done next.
pub(super) enum Next<'a> {
    /// A command by itself is a unit of so many bytes of the stream. It lies in the buffer, and its
    /// first argument may have been foreseen.
    One { row: Option<&'static Row>, args: Args<'a>, foreseen: Option<Foreseen>, bytes: usize },
    /// All of a transaction is.
    Many { commands: Vec<Owned>, bytes: usize },
    /// The frame belongs to a transaction that is not complete.
    Queued,
    /// Bytes that change nothing but the offset.
    Pass { bytes: usize },
    /// The primary wants to be told the offset; the bytes count as well.
    Acknowledge { bytes: usize },
}

/// Commands that were kept, in the primary's order.
pub(super) fn views(commands: &[Owned]) -> Vec<View<'_>> {
    commands.iter().map(|(row, args)| (*row, args.iter().map(Vec::as_slice).collect())).collect()
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

    /// Has some commands read ahead, if it is time for it, and what they will probably look at
    /// fetched from main memory.
    pub(super) fn look_ahead(&mut self, table: &Table, db: Db) {
        self.reader.read_ahead(|key| Some(table.foresee(db, key)));
        while self.near < NEAR
            && let Some(noted) = self.reader.noted(self.near)
        {
            if let Some(foreseen) = noted {
                table.fetch(db, *foreseen);
            }
            self.near += 1;
        }
        if let Some(Some(foreseen)) = self.reader.noted(NEXT) {
            table.fetch_rest(db, *foreseen);
        }
    }

    /// The next thing to do; `None` where more bytes are needed.
    pub(super) fn next(&mut self) -> Result<Option<Next<'_>>> {
        let Some(command) = self.reader.next()? else { return Ok(None) };
        self.near = self.near.saturating_sub(1);
        self.unit_bytes += command.wire_len;
        let row = command.args.first().and_then(command::find);
        let action = row.map(|row| row.action);
        match (action, &mut self.queue) {
            // As with the servers' own replicas, one inside another changes nothing.
            (Some(Action::Multi), queue) => {
                queue.get_or_insert_default();
                return Ok(Some(Next::Queued));
            }
            (Some(Action::Exec | Action::Discard), _) | (_, None) => {}
            (_, Some(queue)) => {
                if !command.args.is_empty() {
                    let kept: Vec<_> = command.args.iter().map(<[u8]>::to_vec).collect();
                    self.queued += command.wire_len + (kept.len() + 1) * KEPT_ARGUMENT_BYTES;
                    queue.push((row, kept));
                }
                return Ok(Some(Next::Queued));
            }
        }
        let bytes = std::mem::take(&mut self.unit_bytes);
        Ok(Some(match action {
            Some(Action::Exec) => {
                self.queued = 0;
                match self.queue.take() {
                    Some(commands) => Next::Many { commands, bytes },
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
            _ => Next::One { row, args: command.args, foreseen: command.note, bytes },
        }))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What comes out of the stream, one word each: `unit n:...` with the names of its commands and
    /// its bytes, `queued`, `pass n`, `ack n`.
    fn steps(stream: &mut Stream) -> Vec<String> {
        let name = |(row, args): &View<'_>| {
            let name = String::from_utf8_lossy(args[0]).into_owned();
            if row.is_some() { name } else { format!("({name})") }
        };
        let unit = |commands: &[View<'_>], bytes: usize| {
            let names: Vec<_> = commands.iter().map(name).collect();
            format!("unit {bytes}:{}", names.join(" "))
        };
        let mut steps = Vec::new();
        while let Some(next) = stream.next().unwrap() {
            steps.push(match next {
                Next::Queued => "queued".to_owned(),
                Next::Pass { bytes } => format!("pass {bytes}"),
                Next::Acknowledge { bytes } => format!("ack {bytes}"),
                Next::One { row, args, bytes, .. } => unit(&[(row, args.list())], bytes),
                Next::Many { commands, bytes } => unit(&views(&commands), bytes),
            });
        }
        steps
    }

    #[test]
    fn commands_are_units_and_a_transaction_is_one() {
        let mut stream = Stream::default();
        stream.feed(b"PING\r\nset a 1\r\n\r\nmulti\r\nINCR a\r\nPING\r\n\r\nvadd s\r\n");
        let wanted = ["pass 6", "unit 9:set", "pass 2"];
        let steps_now = steps(&mut stream);
        assert_eq!(steps_now[..3], wanted);
        assert_eq!(steps_now[3..], ["queued"; 5]);
        assert_eq!(stream.held(), 31);
        stream.feed(b"exec\r\nREPLCONF GETACK *\r\nDISCARD\r\nunknown x\r\n");
        let wanted = ["unit 37:INCR PING (vadd)", "ack 19", "pass 9", "unit 11:(unknown)"];
        assert_eq!(steps(&mut stream), wanted);
        assert_eq!(stream.held(), 0);
    }

    #[test]
    fn what_was_queued_before_discard_is_dropped_but_counted() {
        let mut stream = Stream::default();
        stream.feed(b"MULTI\r\nINCR a\r\nDISCARD\r\nEXEC\r\n");
        assert_eq!(steps(&mut stream), ["queued", "queued", "pass 24", "pass 6"]);
    }

    #[test]
    fn no_command_is_lost_between_misplaced_borders_of_transactions() {
        for (lines, expected) in [
            ("MULTI\nSET a 1\nSET b 2\nEXEC\nSET c 3\n", "unit 27:SET SET|unit 8:SET"),
            ("MULTI\nSET a 1\nMULTI\nSET b 2\nEXEC\nEXEC\n", "unit 33:SET SET|pass 5"),
            ("EXEC\nSET a 1\nDISCARD\n", "pass 5|unit 8:SET|pass 8"),
        ] {
            let mut stream = Stream::default();
            stream.feed(lines.as_bytes());
            let mut steps = steps(&mut stream);
            steps.retain(|step| step != "queued");
            assert_eq!(steps.join("|"), expected, "{lines}");
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
