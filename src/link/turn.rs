//! Whose turn it is: where the option `sync-lock` asks for it, the processes of a host sync fully
//! one after another, by a file that the one whose turn it is has locked.
//!
//! Nobody can know what a primary will answer to PSYNC. So who has nothing to go on from takes the
//! lock before it asks. Who has a position asks without it; answered with a full sync it takes the
//! lock if it is free and hangs up if not, so that at most one is ever in transfer. Whoever has it
//! keeps it until the load is complete, which is also when its need of memory ends.

use super::control::Control;
use crate::config::Config;
use crate::env::{Env, Lock, TryLock};
use crate::log::{self, Level};

/// The shortest pause between two looks at a lock that somebody else has, and half of the longest:
/// nothing to a machine, and little beside a full sync.
const LOOK_MS: i64 = 100;

/// How often others are shown that we get on: much more often than their patience ends.
const SHOW_MS: i64 = 1_000;

/// Our part in it.
#[derive(Default)]
pub(super) struct Turn {
    lock: Option<Box<dyn Lock>>,
    /// We go on though somebody else may have it.
    is_ignored: bool,
    /// The position that we have was refused, so the next sync is a full one.
    is_refused: bool,
    /// Somebody else has it, and we have said that we wait.
    is_waiting: bool,
    /// What the holder showed last, and since when.
    theirs: Option<(i64, i64)>,
    /// What we have shown last, and when.
    ours: (u64, i64),
}

/// What is to be done about it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Look {
    /// Sync.
    Go,
    /// Wait, which is new.
    Begin,
    /// Wait on.
    Wait,
}

impl Turn {
    /// To be asked again and again, in pauses, before the primary is asked for a full sync.
    pub(super) fn look(&mut self, env: &dyn Env, config: &Config) -> Look {
        if self.take(env, config) {
            self.is_waiting = false;
            return Look::Go;
        }
        if std::mem::replace(&mut self.is_waiting, true) {
            return Look::Wait;
        }
        let path = config.sync_lock.as_deref().unwrap_or_default();
        let text = format!("waiting for a turn to sync fully: another process has locked {path}");
        log::log(Level::Info, &text);
        Look::Begin
    }

    /// Takes the lock, unless somebody has it who gets on.
    pub(super) fn take(&mut self, env: &dyn Env, config: &Config) -> bool {
        let Some(path) = &config.sync_lock else { return true };
        if self.lock.is_some() || self.is_ignored {
            return true;
        }
        let progress = match env.try_lock(path) {
            Ok(TryLock::Ours(lock)) => {
                lock.show_progress();
                self.lock = Some(lock);
                self.theirs = None;
                return true;
            }
            Ok(TryLock::Theirs { progress }) => progress,
            Err(error) => {
                log::log(Level::Warning, &format!("syncing without sync-lock: {error}"));
                self.is_ignored = true;
                return true;
            }
        };
        let now = env.ticks_ms();
        let (_, since) = *self.theirs.insert(match self.theirs {
            Some(known) if known.0 == progress => known,
            _ => (progress, now),
        });
        let patience_ms = config.link_timeout_ms;
        if now.saturating_sub(since) < patience_ms {
            return false;
        }
        let text = format!(
            "syncing without sync-lock: whoever has locked {path} got no further for \
             {patience_ms} ms"
        );
        log::log(Level::Warning, &text);
        self.is_ignored = true;
        true
    }

    /// How long to wait until the next look.
    pub(super) fn pause_ms(random: u64) -> i64 {
        LOOK_MS + i64::try_from(random % (LOOK_MS as u64 + 1)).unwrap_or(0)
    }

    /// Whether the next sync is a full one though there is a position to go on from.
    pub(super) fn is_refused(&self) -> bool {
        self.is_refused
    }

    /// The position that we have was refused.
    pub(super) fn refuse(&mut self) {
        self.is_refused = true;
    }

    /// Shows others that we get on, if we do.
    pub(super) fn show_progress(&mut self, control: &Control, now: i64) {
        let Some(lock) = &self.lock else { return };
        let progress = control.handled_bytes().wrapping_add(control.received_bytes());
        let (last, shown_ms) = self.ours;
        if progress != last && now.saturating_sub(shown_ms) >= SHOW_MS {
            lock.show_progress();
            self.ours = (progress, now);
        }
    }

    /// The connection is gone, or there is none.
    pub(super) fn release(&mut self) {
        self.lock = None;
        self.is_ignored = false;
    }

    /// In sync.
    pub(super) fn settle(&mut self) {
        self.release();
        self.is_refused = false;
    }
}
