//! Whether what can't be followed is dealt with as the options say: passed over and told as
//! diverged, replaced by a full sync, or the end.

use super::super::history::{NOTHING, Strange};
use super::Core;
use rets::replica::{Info, State};
use std::collections::BTreeMap;

/// For the same unknown command a full sync is not asked for again so soon.
const PAUSE_MS: i64 = 3_600_000;

#[derive(Clone, Copy, Debug, Default, PartialEq)]
enum Policy {
    #[default]
    Continue,
    Resync,
    Stop,
}

/// What is known of strange units.
#[derive(Debug, Default)]
pub struct Policies {
    /// As they were when the connection in hand began to be followed.
    on_unknown: Policy,
    on_failure: Policy,
    /// The resync option of the load in hand.
    pub resync: String,
    pub is_loading: bool,
    /// Up to here everything strange was looked at.
    passed: i64,
    /// How much of it was passed over since the counters were last compared.
    unknown_passed: u64,
    failed_passed: u64,
    unknown_counted: u64,
    failed_counted: u64,
    /// When a full sync was asked for because of a command.
    synced_for: BTreeMap<Vec<u8>, i64>,
    /// Something was passed over since the last load, and it was told.
    has_diverged: bool,
    has_told: bool,
    /// A swap of databases was passed over: what the table has is not what the primary has.
    is_estranged: bool,
    /// A full sync may have been asked for because of any command, where there are no offsets.
    may_be_synced: bool,
    /// Something that does not fit has come, but was not passed over.
    may_have_diverged: bool,
}

impl Core {
    fn policy(&self, name: &str) -> Policy {
        match self.replica.option(name).expect("an option").as_str() {
            "continue" => Policy::Continue,
            "resync" => Policy::Resync,
            _ => Policy::Stop,
        }
    }

    /// The options hold from here on.
    fn take_policies(&mut self) {
        self.policies.on_unknown = self.policy("on-unknown");
        self.policies.on_failure = self.policy("on-failure");
    }

    pub(super) fn load_begins(&mut self) {
        self.take_policies();
        self.policies.is_loading = true;
        let resync = self.replica.option("resync").expect("an option");
        // What nobody sees yet is not loaded in place.
        self.policies.resync = if self.was_ready { resync } else { "aside".to_owned() };
    }

    /// It follows: after a load, or where it was.
    pub(super) fn following_begins(&mut self, info: &Info) {
        if !self.policies.is_loading {
            return self.take_policies();
        }
        let policies = &mut self.policies;
        policies.is_loading = false;
        policies.is_estranged = false;
        policies.passed = info.offset;
        policies.has_diverged = false;
        policies.has_told = false;
        policies.may_have_diverged = false;
    }

    pub(super) fn hear_diverged(&mut self) {
        if self.policies.has_told && !self.is_blind() {
            self.fail("it tells twice that it has diverged");
        }
        self.policies.has_told = true;
    }

    /// The judge can't know what the replica has: it was lied to, or told to pass over what it
    /// could not follow.
    pub fn is_blind(&self) -> bool {
        self.primaries.has_lied || self.policies.is_estranged
    }

    fn is_strange(&self, strange: &Strange) -> bool {
        let admits = |db| self.habits.scope.admits_database(db);
        match strange {
            Strange::Unknown(_) => true,
            // Without a table everything fits.
            _ if self.habits.listens => false,
            Strange::Misfit(db) => self.habits.scope.admits(*db, NOTHING),
            Strange::Swap(a, b) => admits(*a) != admits(*b),
        }
    }

    fn policy_for(&self, strange: &Strange) -> Policy {
        let now = self.sim.net().ticks_ms;
        match strange {
            _ if !self.is_strange(strange) => Policy::Continue,
            Strange::Unknown(name) => {
                let synced = self.policies.synced_for.get(name);
                match self.policies.on_unknown {
                    Policy::Resync if synced.is_some_and(|at| now - at < PAUSE_MS) => {
                        Policy::Continue
                    }
                    policy => policy,
                }
            }
            _ => self.policies.on_failure,
        }
    }

    fn strange_next(&self, info: &Info) -> Option<Strange> {
        let history = self.primaries.history(&info.replid?)?;
        history.strange_next(info.offset).filter(|strange| self.is_strange(strange)).cloned()
    }

    /// Whether the unit behind what is applied is one for which following may have ended.
    pub(super) fn may_end_here(&self, info: &Info) -> bool {
        if self.is_blind() || info.offset < 0 {
            return true;
        }
        self.strange_next(info).is_some_and(|next| match next {
            Strange::Unknown(_) => self.policies.on_unknown != Policy::Continue,
            _ => self.policies.on_failure != Policy::Continue,
        })
    }

    /// The same of following that ended for good.
    pub(super) fn may_stop_here(&self, info: &Info) -> bool {
        if self.is_blind() || info.offset < 0 {
            return true;
        }
        self.strange_next(info).is_some_and(|next| self.policy_for(&next) == Policy::Stop)
    }

    /// Looks at what was passed since the last time.
    pub(super) fn judge_passed(&mut self, info: &Info) {
        let from = std::mem::replace(&mut self.policies.passed, info.offset);
        if self.is_blind() || info.offset < 0 || from < 0 {
            return;
        }
        let Some(history) = info.replid.and_then(|id| self.primaries.history(&id)) else { return };
        let passed: Vec<_> = history.strange_between(from, info.offset).cloned().collect();
        for strange in passed.iter().filter(|strange| self.is_strange(strange)) {
            let is_unknown = matches!(strange, Strange::Unknown(_));
            if is_unknown && self.policies.may_be_synced {
                continue;
            }
            if self.policy_for(strange) != Policy::Continue {
                let policies = &self.policies;
                return self.fail(format!("{strange:?} was passed over: {policies:?}"));
            }
        }
        for strange in passed {
            match strange {
                Strange::Unknown(_) => self.policies.unknown_passed += 1,
                _ if !self.is_strange(&strange) => continue,
                Strange::Misfit(_) => self.policies.failed_passed += 1,
                Strange::Swap(..) => {
                    self.policies.failed_passed += 1;
                    self.policies.is_estranged = true;
                }
            }
            self.tally.strange += 1;
            self.policies.has_diverged = true;
        }
    }

    /// After a step of the apply task: what was counted is what was passed over, or one more for
    /// which following ended.
    pub(super) fn judge_counters(&mut self, info: &Info) {
        let policies = &mut self.policies;
        let unknown = info.unknown_commands - policies.unknown_counted;
        let failed = info.failed_commands - policies.failed_counted;
        policies.unknown_counted = info.unknown_commands;
        policies.failed_counted = info.failed_commands;
        let unknown_passed = std::mem::take(&mut policies.unknown_passed);
        let failed_passed = std::mem::take(&mut policies.failed_passed);
        if self.is_blind() || info.offset < 0 {
            self.policies.may_be_synced |= unknown > 0;
            self.policies.is_estranged |= failed > 0 && self.habits.scope.leaves_out_databases();
            return;
        }
        let next = self.strange_next(info);
        let policy = next.as_ref().map(|next| self.policy_for(next));
        let ends = policy.is_some_and(|policy| policy != Policy::Continue);
        match (unknown.checked_sub(unknown_passed), failed.checked_sub(failed_passed), next) {
            (Some(0), Some(0), _) => {}
            (Some(1), Some(0), Some(Strange::Unknown(name))) if ends => {
                self.tally.strange += 1;
                if policy == Some(Policy::Resync) {
                    let now = self.sim.net().ticks_ms;
                    self.policies.synced_for.insert(name, now);
                }
            }
            (Some(0), Some(1), Some(Strange::Misfit(_) | Strange::Swap(..))) if ends => {
                self.tally.strange += 1;
                self.policies.may_have_diverged = true;
            }
            (_, _, next) => {
                let text = format!(
                    "{unknown} unknown and {failed} failed commands were counted, passed over \
                     were {unknown_passed} and {failed_passed}; what comes next is {next:?}"
                );
                return self.fail(text);
            }
        }
        if policy == Some(Policy::Stop) && unknown + failed > unknown_passed + failed_passed {
            // Unless the options have changed meanwhile, which may help.
            if !matches!(info.state, State::Failed | State::Reconnecting) {
                let state = info.state;
                self.fail(format!("it has to stop, but is {state:?}"));
            }
        }
        let policies = &self.policies;
        let is_told =
            info.diverged == policies.has_diverged || (info.diverged && policies.may_have_diverged);
        if !is_told || policies.has_diverged != policies.has_told {
            let text = format!("diverged: {}, but {policies:?}", info.diverged);
            self.fail(text);
        }
    }
}
