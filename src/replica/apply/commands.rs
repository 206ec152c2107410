//! The commands of a unit, one after the other, and what the policies make of those that can't be
//! applied.

use super::{Apply, Broken};
use crate::command::{self, Action, Row, Unit};
use crate::config::Policy;
use crate::error::{Error, Kind};
use crate::log::{self, Level};
use crate::replica::follow::View;
use crate::replica::state::Counters;
use crate::text::printable;

/// Bytes that a message may quote of a command's name.
const QUOTE_BYTES: usize = 32;

impl Apply {
    /// Applies the commands of a unit; true where one was passed over, so that the table differs
    /// from the primary from here on.
    pub(super) fn run_commands<'a>(
        &self,
        unit: &mut Unit<'a>,
        commands: &'a [View<'_>],
    ) -> Result<bool, Broken> {
        // Nobody is to hear of a unit that is going to be dropped.
        if let Some(args) = self.unbearable(unit, commands) {
            self.unknown(unit, args)?;
        }
        let mut diverged = false;
        for (place, (row, args)) in commands.iter().enumerate() {
            unit.set_place(place);
            let applied = match row {
                Some(Row { action: Action::Select, .. }) => {
                    // Nobody knows where what follows belongs, so no policy lets it go on.
                    select(unit, args).map_err(|text| {
                        self.diverge();
                        Broken::Resync(self.failed(args, &text))
                    })?;
                    Ok(())
                }
                Some(row) => command::apply(unit, row, args),
                None => {
                    diverged |= !self.unknown(unit, args)?;
                    Ok(())
                }
            };
            match applied {
                Ok(()) => {}
                Err(failure) if failure.is_unsupported() => {
                    // The key is withheld, so that nothing wrong is shown.
                    Counters::add(&self.shared.counters.unknown_commands, 1);
                    let error = failed_command(args, &failure.to_string());
                    self.judge(self.settings.on_unknown, error)?;
                }
                Err(failure) if failure.is_too_large() => {
                    let text = failed_command(args, &failure.to_string()).text().to_owned();
                    let error = Error::new(Kind::NoMemory, text);
                    return Err(Broken::Stop(error));
                }
                Err(failure) => {
                    // What does not fit was different before this command.
                    let error = self.failed(args, &failure.to_string());
                    self.judge(self.settings.on_failure, error).inspect_err(|_| {
                        self.diverge();
                    })?;
                    diverged = true;
                }
            }
        }
        Ok(diverged)
    }

    fn failed(&self, args: &[&[u8]], text: &str) -> Error {
        Counters::add(&self.shared.counters.failed_commands, 1);
        failed_command(args, text)
    }

    /// The table differs from the primary from here on; true if it did not before.
    pub(super) fn diverge(&self) -> bool {
        !self.shared.board.update(|status| std::mem::replace(&mut status.diverged, true))
    }

    /// What the policy makes of a command that was not applied.
    pub(super) fn judge(&self, policy: Policy, error: Error) -> Result<(), Broken> {
        match policy {
            Policy::Continue => {
                let again = self.shared.board.read().diverged;
                let level = if again { Level::Debug } else { Level::Warning };
                log::log(level, &format!("not followed: {error}"));
                self.trouble(error);
                Ok(())
            }
            Policy::Resync => Err(Broken::Resync(error)),
            Policy::Stop => Err(Broken::Stop(error)),
        }
    }
}

/// The database that SELECT names.
pub(super) fn database(args: &[&[u8]]) -> Option<u32> {
    let number = args.get(1).and_then(|text| crate::text::parse_i64(text));
    number.and_then(|number| u32::try_from(i32::try_from(number).ok()?).ok())
}

fn select(unit: &mut Unit<'_>, args: &[&[u8]]) -> Result<(), String> {
    database(args)
        .map(|db| unit.select(db))
        .ok_or_else(|| "not the number of a database".to_owned())
}

pub(super) fn name(args: &[&[u8]]) -> String {
    printable(args.first().copied().unwrap_or_default(), QUOTE_BYTES)
}

fn failed_command(args: &[&[u8]], text: &str) -> Error {
    Error::protocol(format!("the primary's {} could not be applied: {text}", name(args)))
}
