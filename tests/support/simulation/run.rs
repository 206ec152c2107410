//! One run from its seed, and the search for a smaller one that fails as well.

use super::core::{Chance, Core, Failure, Tally, Turn, note};
use super::faults::{FAULTS, Fault, Habits, PASSWORD_FILE, make_calm, mend};
use super::gate::{Shared, lock};
use super::history::History;
use super::model::Data;
use super::network::{Machine, Sim};
use super::primary::{Node, Primaries, random_id};
use super::trace::Trace;
use super::writer::Writer;
use crate::support::random::Dice;
use rets::replica::{Applier, Replica, Tasks};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::{Duration, Instant};

/// A calm replica has caught up after so many turns, or never.
const CALM_TURNS: usize = 200_000;
/// And after so much time, which is more than the longest pauses together.
const CALM_MS: i64 = 1_800_000;

/// What a run is made of.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Plan {
    pub seed: u64,
    /// Turns before trouble is over.
    pub turns: usize,
    /// The kinds of faults that may be among those of the run.
    pub faults: u64,
}

impl Plan {
    pub fn new(seed: u64) -> Self {
        let turns = [600, 3_000, 8_000][Dice::new(seed).below(3)];
        Self { seed, turns, faults: u64::MAX }
    }

    /// The words that make it again.
    pub fn command(&self) -> String {
        let Self { seed, turns, faults } = *self;
        let mut command = format!("make simulate SEED={seed} TURNS={turns}");
        let without: Vec<_> = FAULTS
            .iter()
            .filter(|(fault, _)| faults >> (*fault as usize) & 1 == 0)
            .map(|(_, name)| *name)
            .collect();
        if !without.is_empty() {
            command.push_str(&format!(" WITHOUT={}", without.join(",")));
        }
        command
    }
}

/// How a run ended.
pub struct Outcome {
    pub failure: Option<Failure>,
    /// Of everything that happened.
    pub sum: u64,
    pub tally: Tally,
    /// The end of what happened, where it was asked for.
    pub lines: Vec<String>,
    /// Kinds of faults it had.
    pub faults: Vec<&'static str>,
}

/// A run, ready to begin.
struct World {
    core: Shared,
    replica: Arc<Replica>,
    apply: Applier,
}

impl World {
    fn new(plan: &Plan, keeps_lines: bool) -> Self {
        let mut dice = Dice::new(plan.seed);
        let mut branch = || Dice::new(dice.any());
        let (mut of_habits, of_net, mut of_primaries) = (branch(), branch(), branch());
        let chance =
            Chance { turns: branch(), writes: branch(), faults: branch(), reads: branch() };
        let habits = Habits::new(&mut of_habits, plan.faults);
        let sim = Sim::new(of_net);
        let env = Arc::new(Machine(Arc::clone(&sim)));
        let replica = Arc::new(Replica::with_env("redis://primary", env).expect("a replica"));
        for (name, value) in &habits.options {
            replica.set_option(name, value).expect("an option");
        }
        if habits.has(Fault::Queue) {
            assert!(replica.events().descriptor().is_none(), "a simulation has no descriptors");
        }
        let password = habits.has(Fault::Password).then(|| b"secret".to_vec());
        let file = password.clone().map(|file| (PASSWORD_FILE.to_owned(), file));
        sim.net().files.extend(file);
        let Tasks { link, apply, .. } = replica.start_stepped().expect("it starts");
        let nodes = vec![first_node(&mut of_primaries, &habits)];
        let (peers, dice) = (Vec::new(), of_primaries);
        let primaries = Primaries {
            nodes,
            target: 0,
            peers,
            dice,
            password,
            has_lied: false,
            has_ever_lied: false,
        };
        let trace = Trace::new(keeps_lines);
        let core = Core::new(
            Arc::clone(&sim),
            Arc::clone(&replica),
            link,
            primaries,
            habits,
            chance,
            trace,
        );
        let core = Arc::new(Mutex::new(core));
        lock(&core).me = Arc::downgrade(&core);
        lock(&core).set_gate();
        let of_listener = Arc::clone(&core);
        let listener = Arc::new(move |info: &_| lock(&of_listener).hear_moment(info));
        replica.set_state_listener(Some(listener)).expect("a listener");
        Self { core, replica, apply }
    }

    fn run(&mut self, turns: usize) {
        for _ in 0..turns {
            let waits = self.apply.waiting() > 0;
            let mut core = lock(&self.core);
            if core.failure.is_some() {
                return;
            }
            let turn = core.pick(waits);
            take_turn(&self.core, core, &mut self.apply, turn);
        }
        make_calm(&mut lock(&self.core));
        let since = lock(&self.core).sim.net().ticks_ms;
        for _ in 0..CALM_TURNS {
            let waits = self.apply.waiting() > 0;
            let mut core = lock(&self.core);
            let elapsed = core.sim.net().ticks_ms - since;
            if core.failure.is_some() {
                return;
            }
            if elapsed > CALM_MS {
                break;
            }
            if core.has_given_up() && !waits {
                mend(&mut core);
            }
            let turn = core.pick_calm(waits);
            if turn == Turn::Time && core.is_settled(waits) {
                return core.end();
            }
            take_turn(&self.core, core, &mut self.apply, turn);
        }
        let mut core = lock(&self.core);
        let info = core.replica.info();
        let (state, offset, error) = (info.state, info.offset, info.last_error);
        let end = core.primaries.current_history().end();
        core.fail(format!("it never catches up: {state:?} at {offset} of {end}, {error:?}"));
    }
}

/// The core is let go while the apply task runs, which calls back.
fn take_turn(shared: &Shared, mut core: MutexGuard<'_, Core>, apply: &mut Applier, turn: Turn) {
    if turn == Turn::Apply {
        core.tally.steps += 1;
        note!(core, "apply");
        drop(core);
        apply.step();
        lock(shared).judge_step();
    } else {
        core.take_turn(turn, false);
    }
}

impl Drop for World {
    fn drop(&mut self) {
        // They hold the core, which holds the replica.
        let _ = self.replica.set_gate(None);
        let _ = self.replica.set_state_listener(None);
    }
}

fn first_node(dice: &mut Dice, habits: &Habits) -> Node {
    let start = [0, 1, 700, 1 << 33][dice.below(4)];
    let mut data = Data::default();
    for _ in 0..dice.below(40) {
        let now_ms = 1_700_000_000_000;
        let unit = Writer { dice, data: &data.clone(), now_ms, has_big: false }.unit();
        unit.iter().for_each(|(db, words)| data.apply(*db, words));
    }
    let mut history = History::new(random_id(dice), data, start);
    history.has_offsets = !(habits.has(Fault::Old) && dice.percent(50));
    Node { history, stalled_until_ms: 0 }
}

/// Runs a plan. The same plan always does the same.
pub fn run(plan: &Plan, keeps_lines: bool) -> Outcome {
    let mut world = World::new(plan, keeps_lines);
    let outcome = catch_unwind(AssertUnwindSafe(|| world.run(plan.turns)));
    let mut core = lock(&world.core);
    if let Err(payload) = outcome {
        let text = payload
            .downcast_ref::<String>()
            .cloned()
            .or_else(|| payload.downcast_ref::<&str>().map(|text| (*text).to_owned()));
        core.fail(format!("a panic: {}", text.unwrap_or_default()));
    }
    let counters = core.replica.info();
    core.tally.full_syncs = counters.full_syncs;
    core.tally.partial_syncs = counters.partial_syncs;
    let virtual_ms = core.sim.net().ticks_ms;
    core.tally.virtual_ms = virtual_ms;
    Outcome {
        failure: core.failure.clone(),
        sum: core.trace.sum(),
        tally: core.tally,
        lines: core.trace.lines().cloned().collect(),
        faults: core.habits.names(),
    }
}

/// A smaller plan that fails as well: fewer turns, fewer kinds of faults. It is looked for until
/// time is up.
pub fn shrink(plan: &Plan, time: Duration) -> Plan {
    let began = Instant::now();
    let fails = |plan: &Plan| began.elapsed() < time && run(plan, false).failure.is_some();
    let mut best = *plan;
    loop {
        let before = best;
        for (fault, _) in FAULTS {
            let less = Plan { faults: best.faults & !(1 << *fault as u32), ..best };
            if less != best && fails(&less) {
                best = less;
            }
        }
        let mut step = best.turns / 2;
        while step > 0 {
            let fewer = Plan { turns: best.turns.saturating_sub(step), ..best };
            if fails(&fewer) {
                best = fewer;
            } else {
                step /= 2;
            }
        }
        if best == before {
            return best;
        }
    }
}
