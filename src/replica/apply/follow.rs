//! Following the stream on the apply task: one unit after the other, and what is said of each
//! once readers can see it.

use super::{Apply, Broken, Mode};
use crate::change::Phase;
use crate::command::{self, Asked, Setting, Unit};
use crate::error::{Error, Kind};
use crate::log::{self, Level};
use crate::replica::UntilStopped;
use crate::replica::follow::{Next, Stream, View, views};
use crate::replica::position::Position;
use crate::replica::state::{Counters, Moment};
use crate::table::{Batch, Key, Stamp};

/// What holds for all units that are applied without a pause in between.
struct Round<'a> {
    gate: UntilStopped<'a>,
    /// When it began, by the wall clock: about when what is applied came. Where somebody is asked,
    /// when the unit began.
    now_ms: i64,
}

/// What came of the next thing of the stream.
enum Followed {
    Done,
    /// It has not come yet.
    NeedsMore,
    /// Done, and from here on the table is known to differ from the primary, which is news.
    Diverged,
}

fn is_timeless(commands: &[View<'_>]) -> bool {
    matches!(commands, [(Some(row), args)] if command::is_timeless(row, args))
}

impl Apply {
    /// Does what has come. True where it has left something because nobody may be asked and there
    /// is a callback.
    pub(super) fn follow(&mut self, mut stream: Box<Stream>) -> bool {
        let shared = self.shared.clone();
        let mut round = Round { gate: shared.gate(), now_ms: self.now_ms() };
        let outcome = loop {
            if shared.control.is_stopping() {
                break Ok(false);
            }
            round.gate.renew();
            if !self.asking && round.gate.is_set() {
                break Ok(true);
            }
            let healed = match self.heal {
                Some(_) => self.heal_due(&mut round.gate),
                None => Ok(()),
            };
            let outcome = healed.and_then(|()| self.follow_one(&mut stream, &mut round));
            self.hold(stream.held());
            match outcome {
                Ok(Followed::Done) => {}
                Ok(Followed::NeedsMore) => break Ok(false),
                Ok(Followed::Diverged) => {
                    // Whoever listens may be waited for by one who exchanges the callback.
                    drop(round);
                    self.tell(Moment::Diverged);
                    round = Round { gate: shared.gate(), now_ms: self.now_ms() };
                }
                Err(broken) => break Err(broken),
            }
            if let Err(broken) = self.check_memory() {
                break Err(broken);
            }
        };
        drop(round);
        self.shared.board.pause();
        let has_left = match outcome {
            Ok(has_left) => has_left,
            Err(Broken::Resync(error)) => {
                self.resumable = false;
                log::log(Level::Error, &format!("asking for a full sync: {error}"));
                self.trouble(error.clone());
                self.hold(0);
                self.shared.control.restart_sync(error);
                return false;
            }
            Err(Broken::Stop(error)) => {
                self.give_up(error);
                return false;
            }
        };
        let (max, held) = (self.settings.max_memory, stream.memory() as u64);
        if max > 0 && held > max {
            // For itself, not on top of the data, most of which it may be about to replace.
            let text =
                format!("one unit of the stream is beyond max-memory: {held} of {max} bytes");
            self.give_up(Error::new(Kind::NoMemory, text));
            return false;
        }
        self.mode = Mode::Following(stream);
        self.ask_for_values();
        has_left
    }

    /// Does the next thing of the stream.
    fn follow_one(
        &mut self,
        stream: &mut Stream,
        round: &mut Round<'_>,
    ) -> Result<Followed, Broken> {
        stream.look_ahead(&self.table, self.position.db);
        match stream.next().map_err(Broken::Resync)? {
            None => return Ok(Followed::NeedsMore),
            Some(Next::Queued) => {}
            Some(Next::Pass { bytes }) => self.pass(bytes),
            Some(Next::Acknowledge { bytes }) => {
                self.pass(bytes);
                self.shared.control.ack_now();
            }
            Some(Next::One { row, args, foreseen, bytes }) => {
                let first = foreseen.and_then(|foreseen| Some(foreseen.key(args.get(1)?)));
                return self.run_unit(&[(row, args.list())], first, bytes, round);
            }
            Some(Next::Many { commands, bytes }) => {
                return self.run_unit(&views(&commands), None, bytes, round);
            }
        }
        Ok(Followed::Done)
    }

    /// Bytes that change no key move the position.
    fn pass(&mut self, bytes: usize) {
        self.position.advance(bytes);
        self.unit += 1;
        self.table.stamp(self.stamp());
        self.publish_position();
    }

    fn publish_position(&self) {
        self.shared.control.set_applied(self.position.offset);
        self.shared.board.set_offset(self.position.offset);
    }

    pub(super) fn stamp(&self) -> Stamp {
        let Position { replid, offset, .. } = self.position;
        Stamp { replid: replid.unwrap_or([b'0'; 40]), offset, unit: self.unit }
    }

    /// `foreseen` is one of the arguments.
    fn run_unit(
        &mut self,
        commands: &[View<'_>],
        foreseen: Option<Key<'_>>,
        bytes: usize,
        round: &mut Round<'_>,
    ) -> Result<Followed, Broken> {
        let heard = round.gate.is_set();
        if heard {
            // The answer may take its time.
            self.shared.board.pause();
        }
        if heard && !is_timeless(commands) {
            // So may the last one have.
            round.now_ms = self.now_ms();
        }
        let now_ms = round.now_ms;
        let setting = self.setting(bytes, now_ms);
        let mut batch = Batch::of(setting.unit);
        let mut unit = Unit::new(setting, &mut round.gate, &mut batch, self.position.db);
        if let Some(key) = foreseen {
            unit.foresee(key);
        }
        if let Some(heal) = &self.heal {
            unit.watch(heal);
        }
        let outcome = self.run_commands(&mut unit, commands);
        let touched = unit.take_touched();
        let (asked, db) = unit.finish();
        if heard {
            self.count_asked(asked);
        }
        let diverged = match outcome {
            Ok(diverged) => diverged,
            // A unit that could not be applied as a whole is not shown at all.
            Err(broken) => {
                self.shared.events.discard();
                if heard {
                    self.told_in_vain.extend(batch.touched(&self.table));
                }
                return Err(broken);
            }
        };
        let counters = &self.shared.counters;
        Counters::add(&counters.commands, commands.len() as u64);
        Counters::add(&counters.units, 1);
        self.unit += 1;
        self.position.advance(bytes);
        self.position.db = db;
        // Before anybody who waits for this offset looks. A queue that is not followed must not
        // flood whoever listens: it is told once.
        let is_news = diverged && self.diverge();
        self.table.publish(batch, self.stamp());
        if let Some(touched) = touched {
            self.note_touched(&touched, commands, now_ms);
        }
        self.publish_position();
        self.shared.events.commit();
        Ok(if is_news { Followed::Diverged } else { Followed::Done })
    }

    /// What a unit of so many bytes goes by.
    pub(super) fn setting(&self, bytes: usize, now_ms: i64) -> Setting<'_> {
        Setting {
            table: &self.table,
            scope: &self.settings.scope,
            phase: Phase::Live,
            now_ms,
            offset: self.position.after(bytes),
            unit: self.unit + 1,
            server: self.server,
            max_memory: self.settings.max_memory,
            decode_payload: crate::rdb::decode_payload,
        }
    }

    pub(super) fn count_asked(&self, asked: Asked) {
        Counters::add(&self.shared.counters.asked, asked.all);
        Counters::add(&self.shared.counters.skipped, asked.skipped);
    }

    pub(super) fn check_memory(&self) -> Result<(), Broken> {
        let max = self.settings.max_memory;
        if max == 0 {
            return Ok(());
        }
        let used = self.table.memory() as u64;
        if used <= max {
            return Ok(());
        }
        let text = format!("the data has grown beyond max-memory: {used} of {max} bytes");
        Err(Broken::Stop(Error::new(Kind::NoMemory, text)))
    }
}
