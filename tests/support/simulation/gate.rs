//! The callbacks of a run, one after the other: each knows its number, so that one that was
//! exchanged and is asked all the same is noticed.

use super::consumer::{Consumer, Place, read_table};
use super::core::{Core, note};
use super::faults::Fault;
use crate::support::random::Dice;
use rets::change::{Change, Verdict};
use rets::replica::SharedGate;
use std::collections::BTreeSet;
use std::sync::{Arc, Mutex, MutexGuard, Weak};

pub type Shared = Arc<Mutex<Core>>;

pub fn lock(core: &Mutex<Core>) -> MutexGuard<'_, Core> {
    core.lock().unwrap_or_else(|poisoned| poisoned.into_inner())
}

pub struct Callback {
    core: Weak<Mutex<Core>>,
    number: u64,
}

impl SharedGate for Callback {
    fn ask(&self, change: &Change<'_>) -> Verdict {
        let Some(core) = self.core.upgrade() else { return Verdict::Keep };
        let mut core = lock(&core);
        let verdict = core.hear_change(change, self.number);
        let slow = core.habits.slow_percent;
        if !core.is_calm && core.chance.turns.percent(slow) {
            for _ in 0..core.chance.turns.below(30) {
                let turn = core.pick(false);
                core.take_turn(turn, true);
            }
        }
        verdict
    }
}

impl Core {
    /// A first callback, or another one.
    pub fn set_gate(&mut self) {
        self.gates += 1;
        self.tally.exchanges = self.gates - 1;
        self.gate = Some(self.gates);
        let callback = Callback { core: self.me.clone(), number: self.gates };
        self.replica.set_gate(Some(Arc::new(callback))).expect("a gate");
    }

    /// Another callback takes over, or nobody is asked for a while. Not while one is running: the
    /// exchange would wait for it.
    pub fn exchange(&mut self, dice: &mut Dice) {
        let had_none = self.gate.is_none();
        // Whoever hears only a part of a load can't tell what it was.
        self.heard_load = None;
        if !had_none && dice.percent(30) {
            note!(self, "no callback");
            self.gate = None;
            self.remember_held();
            return self.replica.set_gate(None).expect("no gate");
        }
        self.set_gate();
        note!(self, "callback {}", self.gates);
        if had_none {
            self.look_at_everything();
        }
    }

    /// Nobody has heard what happened: the map of the events begins with what the table has.
    pub fn look_at_everything(&mut self) {
        let Some((table, names)) = read_table(&self.replica) else {
            // Before the first load is complete nobody may look, nor will there be an answer to
            // what was loaded so far.
            self.has_missed = true;
            return;
        };
        let truth = if self.replica.info().mixed { None } else { self.truth() };
        let is_right = |(db, key): &Place| {
            let truth = truth.as_ref().map(|truth| truth.get(*db, key));
            truth.is_some_and(|truth| truth.is_some() && truth == table.get(*db, key))
        };
        let may_hold = self.habits.has(Fault::Veto) || self.habits.has(Fault::Filter);
        let held: BTreeSet<_> = match may_hold {
            true => names.iter().filter(|place| !is_right(place)).cloned().collect(),
            false => BTreeSet::new(),
        };
        self.consumer = Consumer { data: table, held };
        self.has_missed = false;
        self.disowned.clear();
        self.held_before.0 = None;
    }
}
