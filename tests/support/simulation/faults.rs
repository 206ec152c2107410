//! What may go wrong in a run, how often, and how it is brought about.

use super::core::{Core, note, words};
use super::history::History;
use super::model::Data;
use super::network::Dial;
use super::primary::{Harm, Manners, Node, random_id};
use crate::support::random::Dice;
use rets::change::{Change, Effect, Verdict};
use rets::replica::State;
use std::hash::{DefaultHasher, Hash, Hasher};

macro_rules! faults {
    ($($fault:ident = $name:literal,)*) => {
        /// One kind of trouble; a run has those that its seed chose.
        #[derive(Clone, Copy, Debug, PartialEq)]
        pub enum Fault { $($fault,)* }

        /// All kinds, with the names by which they are left out.
        pub const FAULTS: &[(Fault, &str)] = &[$((Fault::$fault, $name),)*];
    };
}

faults! {
    Cut = "cut",
    Reset = "reset",
    HalfOpen = "half-open",
    Delay = "delay",
    Stall = "stall",
    Refuse = "refuse",
    Dial = "dial",
    Snapshot = "snapshot",
    Garbage = "garbage",
    Misfit = "misfit",
    Unknown = "unknown",
    Failover = "failover",
    Restart = "restart",
    Backlog = "backlog",
    Slow = "slow",
    Veto = "veto",
    Memory = "memory",
    Clock = "clock",
    Old = "old",
    Big = "big",
}

/// What the seed made of a run, besides its course.
#[derive(Clone, Debug)]
pub struct Habits {
    faults: u32,
    pub acks_truth: bool,
    /// Options of the replica.
    pub options: Vec<(&'static str, String)>,
    pub apply_weight: usize,
    pub write_weight: usize,
    pub time_weight: usize,
    pub fault_weight: usize,
    pub longest_pause_ms: usize,
    /// In so many of a hundred cases a callback skips.
    skip_percent: u64,
    /// In so many of a hundred cases it lets others go on.
    pub slow_percent: usize,
    salt: u64,
    mark_percent: usize,
    chained_percent: usize,
}

impl Habits {
    /// Those of a seed; kinds of faults that are not in `allowed` are left out.
    pub fn new(dice: &mut Dice, allowed: u32) -> Self {
        let mut faults = 0;
        let many = *dice.pick(&[0, 20, 50, 80]);
        for at in 0..FAULTS.len() {
            faults |= u32::from(dice.percent(many)) << at;
        }
        let acks_truth = dice.percent(80);
        let spool = *dice.pick(&["64kb", "256mb"]);
        let options = vec![
            ("ack", if acks_truth { "truth" } else { "never-counted" }.to_owned()),
            ("link-timeout", dice.pick(&["12000", "60000"]).to_string()),
            ("connect-timeout", dice.pick(&["500", "10000"]).to_string()),
            ("spool-size", spool.to_owned()),
        ];
        let mut habits = Self {
            faults: faults & allowed,
            acks_truth,
            options,
            apply_weight: *dice.pick(&[20, 200, 600]),
            write_weight: *dice.pick(&[20, 80, 200]),
            time_weight: *dice.pick(&[30, 100, 200]),
            fault_weight: *dice.pick(&[2, 8, 30]),
            longest_pause_ms: *dice.pick(&[5_000, 100_000]),
            skip_percent: *dice.pick(&[2, 10, 40]),
            slow_percent: *dice.pick(&[2, 30]),
            salt: dice.any(),
            mark_percent: *dice.pick(&[0, 50, 100]),
            chained_percent: *dice.pick(&[0, 0, 50]),
        };
        habits.skip_percent *= u64::from(habits.has(Fault::Veto));
        habits.slow_percent *= usize::from(habits.has(Fault::Slow));
        if habits.salt % 4 == 0 {
            habits.options.push(("sync-lock", "/lock".to_owned()));
        }
        habits
    }

    pub fn has(&self, fault: Fault) -> bool {
        self.faults >> (fault as usize) & 1 == 1
    }

    /// What the callback says, which does not depend on the order of the questions: that of the
    /// keys of a resync is not promised.
    pub fn verdict(&self, change: &Change<'_>) -> Verdict {
        if self.skip_percent == 0 || change.key.starts_with(b"pair") {
            return Verdict::Keep;
        }
        let mut hasher = DefaultHasher::new();
        let element: &[u8] = match change.effect {
            Effect::HashSet { field, .. }
            | Effect::HashDelete { field }
            | Effect::HashExpire { field, .. } => field,
            Effect::SetAdd { member }
            | Effect::SetRemove { member }
            | Effect::ZsetAdd { member, .. }
            | Effect::ZsetRemove { member } => member,
            _ => b"",
        };
        (self.salt, change.db, change.key, element, change.offset).hash(&mut hasher);
        (change.effect == Effect::Delete).hash(&mut hasher);
        if hasher.finish() % 100 < self.skip_percent { Verdict::Skip } else { Verdict::Keep }
    }

    pub fn names(&self) -> Vec<&'static str> {
        let chosen = FAULTS.iter().filter(|(fault, _)| self.has(*fault));
        chosen.map(|(_, name)| *name).collect()
    }
}

/// What is said instead of an answer, and to which command.
const REFUSALS: &[(&str, &str)] = &[
    ("PING", "-LOADING Redis is loading the dataset in memory\r\n"),
    ("PING", "-ERR max number of clients reached\r\n"),
    ("PING", "+PO"),
    ("REPLCONF", "-BUSY Redis is busy running a script\r\n"),
    ("PSYNC", "-LOADING Redis is loading the dataset in memory\r\n"),
    ("PSYNC", "-NOMASTERLINK Can't SYNC while not connected with my master\r\n"),
    ("PSYNC", "-MASTERDOWN Link with MASTER is down\r\n"),
    ("PSYNC", "+FULLRESYNC 0123456789 x\r\n"),
    ("PSYNC", "+CONTINUE short\r\n"),
    ("PSYNC", ":1\r\n"),
    ("PSYNC", "\n\n\n"),
];

/// Those that are final before the first sync.
const FINAL_REFUSALS: &[(&str, &str)] = &[
    ("PING", "HTTP/1.1 400 Bad Request\r\n"),
    ("PING", "-DENIED Redis is running in protected mode\r\n"),
    ("PSYNC", "-NOPERM this user has no permissions to run the 'psync' command\r\n"),
    ("PSYNC", "-NOAUTH Authentication required.\r\n"),
];

/// How the next connection is served.
pub fn manners(habits: &Habits, is_calm: bool, dice: &mut Dice) -> Manners {
    let mut refusal = None;
    if dice.percent(40) {
        refusal = Some(*dice.pick(REFUSALS));
    } else if dice.percent(10) {
        refusal = Some(*dice.pick(FINAL_REFUSALS));
    }
    let harm = *dice.pick(&[Harm::Flip, Harm::Cut, Harm::Border]);
    let harm = Some(harm).filter(|_| dice.percent(40));
    let is_mute = dice.percent(5);
    let has_trouble = |fault| habits.has(fault) && !is_calm;
    Manners {
        refusal: refusal.filter(|_| has_trouble(Fault::Refuse)),
        harm: harm.filter(|_| has_trouble(Fault::Snapshot)),
        has_mark: dice.percent(habits.mark_percent),
        prepare_ms: [0, 50, 4_000][dice.below(3)],
        missed_acks: [0, 0, 2][dice.below(3)],
        chunk: if is_calm { 100_000 } else { [70, 1_000, 100_000][dice.below(3)] },
        is_chained: dice.percent(habits.chained_percent),
        is_mute: is_mute && has_trouble(Fault::Stall),
    }
}

/// One thing goes wrong, if its kind is among those of the run.
pub fn strike(core: &mut Core) {
    let at = core.chance.faults.below(FAULTS.len());
    let (fault, name) = FAULTS[at];
    // Drawn in any case, so that a kind that is left out changes little else.
    let mut dice = Dice::new(core.chance.faults.any());
    // After these nothing can go on from where it was, which is what most runs are to try.
    let is_rare = matches!(fault, Fault::Restart | Fault::Garbage | Fault::Misfit);
    if !core.habits.has(fault) || (is_rare && dice.percent(70)) {
        return;
    }
    note!(core, "fault {name}");
    core.tally.faults += 1;
    match fault {
        Fault::Cut | Fault::Reset | Fault::HalfOpen | Fault::Delay | Fault::Dial => {
            on_network(core, fault, &mut dice);
        }
        Fault::Stall => {
            let until_ms = core.sim.net().ticks_ms + [500, 20_000, 100_000][dice.below(3)];
            core.primaries.current().stalled_until_ms = until_ms;
        }
        Fault::Garbage => slip_in(core, b"*2\r\n$3\r\nDEL\r\n!what\r\n"),
        Fault::Misfit => slip_in(core, b"*3\r\n$6\r\nRENAME\r\n$7\r\nnothing\r\n$1\r\nx\r\n"),
        Fault::Failover => failover(core, &mut dice),
        Fault::Restart => restart(core, &mut dice),
        Fault::Backlog => {
            let history = &mut core.primaries.current().history;
            let keep = dice.below(3000) as i64;
            history.backlog_from = history.backlog_from.max(history.end() - keep);
        }
        Fault::Memory => limit_memory(core, &mut dice),
        Fault::Clock => {
            let net = &mut core.sim.net();
            net.wall_ms += dice.below(120_000) as i64 - 60_000;
        }
        // These are in what is written, in how it is served, and in what the callback does.
        Fault::Refuse
        | Fault::Snapshot
        | Fault::Unknown
        | Fault::Slow
        | Fault::Veto
        | Fault::Old
        | Fault::Big => {}
    }
}

fn on_network(core: &mut Core, fault: Fault, dice: &mut Dice) {
    let net = &mut *core.sim.net();
    match fault {
        Fault::Delay => {
            net.latency_ms = [0, 0, 30, 1_500][dice.below(4)];
            if let Some(wire) = net.wires.last_mut() {
                wire.latency_ms = net.latency_ms;
            }
        }
        Fault::Dial => {
            for _ in 0..=dice.below(3) {
                let after = dice.below(300) as i64;
                let dials = [Dial::Refused(after), Dial::Up(after), Dial::Never];
                net.dials.push_back(*dice.pick(&dials));
            }
        }
        Fault::Cut => {
            if let Some(peer) = core.primaries.peers.last_mut() {
                peer.close(net);
            }
        }
        Fault::Reset => {
            if let Some(wire) = net.wires.last_mut() {
                wire.is_reset = true;
            }
        }
        _ => {
            if let Some(wire) = net.wires.last_mut() {
                wire.cut_off();
            }
        }
    }
}

fn slip_in(core: &mut Core, bytes: &[u8]) {
    let sim = core.sim.clone();
    if core.primaries.slip_in(bytes, &mut sim.net()) {
        core.spoil();
    }
}

/// A replica of the primary takes its place, which may lack the last units; the old one may go on
/// by itself, and come back.
fn failover(core: &mut Core, dice: &mut Dice) {
    let sim = core.sim.clone();
    let old = core.primaries.target;
    let goes_back = core.primaries.nodes.len() > 1 && dice.percent(25);
    if goes_back {
        core.primaries.target = dice.below(core.primaries.nodes.len());
    } else {
        let history = core.primaries.current_history();
        let lacks = if dice.percent(50) { 0 } else { dice.below(8) };
        let at = history.border_before_end(lacks);
        let branch = history.branch(random_id(dice), at);
        core.primaries.nodes.push(Node { history: branch, stalled_until_ms: 0 });
        core.primaries.target = core.primaries.nodes.len() - 1;
    }
    if dice.percent(70) {
        core.primaries.close_all(old, &mut sim.net());
    }
}

/// The primary begins anew: empty, with what it had, or with something older.
fn restart(core: &mut Core, dice: &mut Dice) {
    let sim = core.sim.clone();
    let old = core.primaries.target;
    let history = core.primaries.current_history();
    let data = match dice.below(4) {
        0 => Data::default(),
        1 => {
            let at = history.border_before_end(dice.below(20));
            history.at(at).cloned().unwrap_or_default()
        }
        _ => history.data.clone(),
    };
    let start = [0, 1, 5_000, 1 << 40][dice.below(4)];
    let mut history = History::new(random_id(dice), data, start);
    history.has_offsets = !(core.habits.has(Fault::Old) && dice.percent(40));
    core.primaries.nodes.push(Node { history, stalled_until_ms: 0 });
    core.primaries.target = core.primaries.nodes.len() - 1;
    core.primaries.close_all(old, &mut sim.net());
}

fn limit_memory(core: &mut Core, dice: &mut Dice) {
    let is_limited = dice.percent(40);
    let bytes = if is_limited { 500 + dice.below(20_000) } else { 0 };
    if is_limited {
        core.spoil();
        core.is_limited = true;
    }
    set_memory(core, bytes);
}

pub fn set_memory(core: &mut Core, bytes: usize) {
    let done = core.replica.set_option("max-memory", &bytes.to_string());
    if let Err(error) = done {
        core.fail(format!("max-memory {bytes}: {error}"));
    }
}

/// Trouble is over: nothing new goes wrong, and what only a program can mend it mends.
pub fn make_calm(core: &mut Core) {
    core.is_calm = true;
    {
        let net = &mut *core.sim.net();
        net.dials.clear();
        net.latency_ms = 0;
        net.is_calm = true;
    }
    core.primaries.hurry();
    let sim = core.sim.clone();
    for node in 0..core.primaries.nodes.len() {
        core.primaries.nodes[node].stalled_until_ms = 0;
        if node != core.primaries.target {
            core.primaries.close_all(node, &mut sim.net());
        }
    }
    set_memory(core, 0);
    if core.replica.info().state == State::Failed {
        core.fail("an option was changed and it still has given up");
    }
    let unit = vec![(0, words(&["SET", "s0", "calm"]))];
    core.write_unit(core.primaries.target, &unit);
}
