//! How keys that a filter made withheld get their values back: when they are asked for, and what an
//! answer makes of the table, as a unit of its own between two of the primary's.

use super::{Apply, Broken, Mode};
use crate::change::Reason;
use crate::command::{Touched, Unit};
use crate::error::{Error, Kind};
use crate::link::Fetched;
use crate::log::{self, Level};
use crate::replica::UntilStopped;
use crate::replica::follow::View;
use crate::replica::heal::{Outcome, Ready};
use crate::replica::state::Counters;
use crate::table::Batch;
use crate::text::printable;
use crate::value::Value;
use std::sync::atomic::Ordering;

/// Bytes that a message may quote of a key.
const QUOTE_BYTES: usize = 64;

impl Apply {
    /// A new snapshot brings everything.
    pub(super) fn heal_nothing(&mut self) {
        if let Some(heal) = &mut self.heal {
            heal.clear();
        }
        self.count_healing();
    }

    /// What was asked for is asked for again, once the stream goes on.
    pub(super) fn heal_anew(&mut self) {
        if let Some(heal) = &mut self.heal {
            heal.restart();
        }
    }

    /// A unit is published.
    pub(super) fn note_touched(&mut self, touched: &Touched, commands: &[View<'_>], now_ms: i64) {
        if touched.is_empty() {
            return;
        }
        if let Some(heal) = &mut self.heal {
            heal.note(&self.table, touched, commands, self.position.offset, now_ms);
        }
        self.count_healing();
    }

    fn count_healing(&self) {
        if let Some(heal) = &self.heal {
            self.shared.counters.healing.store(heal.len(), Ordering::Relaxed);
        }
    }

    /// Asks for what is still to be asked for, while the stream is followed.
    pub(super) fn ask_for_values(&mut self) {
        let (Some(heal), Some(replid)) = (&mut self.heal, self.position.replid) else { return };
        if self.position.offset >= 0 && matches!(self.mode, Mode::Following(_)) {
            heal.ask(&self.table, replid, self.position.offset, self.env.ticks_ms());
        }
    }

    /// Takes in what the second connection brought.
    pub(super) fn fetched(&mut self, fetched: Fetched) {
        let size = fetched.size();
        let Some(heal) = &mut self.heal else { return };
        let refused = match fetched {
            Fetched::Due => {
                heal.rung();
                None
            }
            Fetched::Answer { ticket, answer } => {
                heal.answered(ticket, answer, size, self.env.ticks_ms())
            }
        };
        if let Some(error) = refused {
            Counters::add(&self.shared.counters.unhealed, 1);
            self.trouble(error);
        }
        match std::mem::replace(&mut self.mode, Mode::Waiting) {
            Mode::Following(stream) => {
                self.follow(stream);
            }
            mode => self.mode = mode,
        }
    }

    /// Gives values to the keys whose answers are not ahead of what is applied.
    pub(super) fn heal_due(&mut self, gate: &mut UntilStopped<'_>) -> Result<(), Broken> {
        let applied = self.position.offset;
        while let Some(ready) = self.heal.as_mut().and_then(|heal| heal.ready(applied)) {
            let (server, max_memory) = (self.server, self.settings.max_memory);
            match ready.settle(server, max_memory) {
                Outcome::Unsettled => {
                    let ticks_ms = self.env.ticks_ms();
                    if let Some(heal) = &mut self.heal {
                        heal.unsettled(ready.db, &ready.key, ticks_ms);
                    }
                }
                Outcome::Refused(error) => self.can_not_heal(&ready, error),
                Outcome::Gone => {
                    self.heal_one(gate, &ready, |unit| {
                        unit.delete(ready.db, &ready.key, Reason::Heal)
                    })?;
                }
                // Nobody could keep it up to date.
                Outcome::Whole(Value::Module(_), _) => {
                    self.heal_one(gate, &ready, |unit| unit.mark_module(ready.db, &ready.key))?;
                }
                Outcome::Whole(value, at) => {
                    let used = (self.table.memory() + value.memory()) as u64;
                    if max_memory > 0 && used > max_memory {
                        let text =
                            format!("it would pass max-memory: {used} of {max_memory} bytes");
                        self.can_not_heal(&ready, Error::new(Kind::NoMemory, text));
                    } else {
                        self.heal_one(gate, &ready, |unit| {
                            unit.write(ready.db, &ready.key, value, at, Reason::Heal);
                        })?;
                    }
                }
            }
        }
        Ok(())
    }

    fn can_not_heal(&mut self, ready: &Ready, why: Error) {
        let key = printable(&ready.key, QUOTE_BYTES);
        let text = format!("db {} key \"{key}\" stays withheld: {}", ready.db, why.text());
        let ticks_ms = self.env.ticks_ms();
        let heal = self.heal.as_mut();
        let is_first = heal.is_some_and(|heal| heal.refused(ready.db, &ready.key, ticks_ms));
        log::log(if is_first { Level::Warning } else { Level::Debug }, &text);
        Counters::add(&self.shared.counters.unhealed, 1);
        self.trouble(Error::new(why.kind(), text));
    }

    /// A unit that the primary did not send: the key is as it is there.
    fn heal_one(
        &mut self,
        gate: &mut UntilStopped<'_>,
        ready: &Ready,
        heal: impl FnOnce(&mut Unit<'_>),
    ) -> Result<(), Broken> {
        gate.renew();
        let heard = gate.is_set();
        let setting = self.setting(0, self.now_ms());
        let mut batch = Batch::of(setting.unit);
        let mut unit = Unit::new(setting, gate, &mut batch, self.position.db);
        heal(&mut unit);
        let (asked, _) = unit.finish();
        if heard {
            self.count_asked(asked);
        }
        self.unit += 1;
        self.table.publish(batch, self.stamp());
        self.shared.events.commit();
        let entry = self.table.get(ready.db, &ready.key);
        if entry.is_some_and(|entry| !entry.is_ghost()) {
            Counters::add(&self.shared.counters.healed, 1);
        }
        if let Some(heal) = &mut self.heal {
            heal.ended(ready.db, &ready.key);
        }
        self.count_healing();
        self.check_memory()
    }
}
