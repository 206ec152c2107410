//! What to do about commands that nobody knows: modules bring their own, and newer servers have
//! more.

use super::commands::{database, name};
use super::{Apply, Broken};
use crate::command::{Action, Row, Unit};
use crate::config::Policy;
use crate::error::{Error, Kind};
use crate::log::{self, Level};
use crate::replica::follow::View;
use crate::replica::state::Counters;
use std::cell::RefCell;
use std::collections::HashMap;

/// For the same unknown command a full sync is not asked for again so soon: what the last one
/// brought is out of date with the next such command, and a stream may be full of them.
const SAME_COMMAND_PAUSE_MS: i64 = 3_600_000;

/// So many different ones are remembered; for more no full sync is asked.
const UNKNOWN_NAMES_MAX: usize = 64;

/// For which unknown commands a full sync was asked, and when by the monotonic clock.
pub(super) type SyncedFor = RefCell<HashMap<String, i64>>;

impl Apply {
    /// The first command of a unit for which the unit is dropped, because nobody knows it.
    pub(super) fn unbearable<'a>(
        &self,
        unit: &Unit<'_>,
        commands: &'a [View<'_>],
    ) -> Option<&'a [&'a [u8]]> {
        let mut db = unit.db();
        for (row, args) in commands {
            let is_known_or_module = match row {
                Some(Row { action: Action::Select, .. }) => {
                    db = database(args).unwrap_or(db);
                    true
                }
                Some(_) => true,
                None => args.get(1).is_some_and(|key| unit.is_module(db, key)),
            };
            let is_bearable = match self.settings.on_unknown {
                Policy::Continue => true,
                Policy::Resync => is_known_or_module || self.was_synced_for(args),
                Policy::Stop => row.is_some(),
            };
            if !is_bearable {
                return Some(args);
            }
        }
        None
    }

    /// Passes over a command that nobody knows; true where only a module's value is withheld now.
    /// For that no full sync is asked: the next such command would withhold what it brought.
    pub(super) fn unknown<'a>(
        &self,
        unit: &mut Unit<'a>,
        args: &'a [&'a [u8]],
    ) -> Result<bool, Broken> {
        let is_withheld = unit.unknown(args);
        Counters::add(&self.shared.counters.unknown_commands, 1);
        let error = unknown_command(args);
        match self.settings.on_unknown {
            Policy::Stop => return Err(Broken::Stop(error)),
            _ if is_withheld => {
                // A stream may be full of them.
                log::log(Level::Debug, &format!("withheld: {error}"));
                self.trouble(error);
            }
            Policy::Resync if !self.was_synced_for(args) => {
                let now = self.env.ticks_ms();
                self.synced_for.borrow_mut().insert(command_name(args), now);
                return Err(Broken::Resync(error));
            }
            Policy::Continue | Policy::Resync => self.judge(Policy::Continue, error)?,
        }
        Ok(is_withheld)
    }

    fn was_synced_for(&self, args: &[&[u8]]) -> bool {
        let synced_for = self.synced_for.borrow();
        match synced_for.get(&command_name(args)) {
            Some(at) => self.env.ticks_ms().saturating_sub(*at) < SAME_COMMAND_PAUSE_MS,
            None => synced_for.len() >= UNKNOWN_NAMES_MAX,
        }
    }
}

fn unknown_command(args: &[&[u8]]) -> Error {
    let text = format!("the primary sent {}, which can't be followed", name(args));
    Error::new(Kind::Unsupported, text)
}

/// What different spellings of a command's name have in common.
fn command_name(args: &[&[u8]]) -> String {
    name(args).to_ascii_uppercase()
}
