//! What may go wrong in a run, how often, and how it is brought about.

use super::core::{Core, note, words};
use super::history::History;
use super::model::Data;
use super::network::Dial;
use super::primary::{Harm, Lie, Manners, Node, random_id};
use super::scope::Scope;
use crate::support::random::Dice;
use rets::change::{Change, Effect, Verdict};
use rets::replica::State;
use std::hash::{DefaultHasher, Hash, Hasher};

macro_rules! faults {
    ($($fault:ident = $name:literal,)*) => {
        /// One kind of trouble, or one use of the replica that is not the plainest; a run has
        /// those that its seed chose.
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
    InPlace = "in-place",
    Stale = "stale",
    Queue = "queue",
    Filter = "filter",
    Listen = "listen",
    Policy = "policy",
    Exchange = "exchange",
    Option = "option",
    Lie = "lie",
    Password = "password",
}

/// What the seed made of a run, besides its course.
#[derive(Clone, Debug)]
pub struct Habits {
    faults: u64,
    pub acks_truth: bool,
    /// Options of the replica.
    pub options: Vec<(&'static str, String)>,
    pub apply_weight: usize,
    pub write_weight: usize,
    pub time_weight: usize,
    pub fault_weight: usize,
    pub longest_pause_ms: usize,
    /// How often somebody takes events from the queue, if it is used.
    pub take_weight: usize,
    /// The queue may be too small.
    pub may_overflow: bool,
    /// The replica keeps no table.
    pub listens: bool,
    /// What it keeps otherwise.
    pub scope: Scope,
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
    pub fn new(dice: &mut Dice, allowed: u64) -> Self {
        let mut faults = 0;
        let many = *dice.pick(&[0, 20, 50, 80]);
        for at in 0..FAULTS.len() {
            faults |= u64::from(dice.percent(many)) << at;
        }
        let mut of_use = Dice::new(dice.any());
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
            longest_pause_ms: *dice.pick(&[5_000, 100_000, 8_000_000]),
            skip_percent: *dice.pick(&[2, 10, 40]),
            slow_percent: *dice.pick(&[2, 30]),
            salt: dice.any(),
            mark_percent: *dice.pick(&[0, 50, 100]),
            chained_percent: *dice.pick(&[0, 0, 50]),
            take_weight: 0,
            may_overflow: false,
            listens: false,
            scope: Scope::everything(),
        };
        habits.skip_percent *= u64::from(habits.has(Fault::Veto));
        habits.slow_percent *= usize::from(habits.has(Fault::Slow));
        habits.choose_use(&mut of_use);
        if habits.salt.is_multiple_of(4) {
            habits.options.push(("sync-lock", "/lock".to_owned()));
        }
        habits
    }

    /// How the program uses the replica.
    fn choose_use(&mut self, dice: &mut Dice) {
        // Drawn in any case, so that a use that is left out changes little else.
        let (take_weight, listens) = (*dice.pick(&[2, 30, 200]), dice.percent(25));
        let scope = Scope::random(dice);
        let mut chosen = Vec::new();
        for (fault, name) in HOT {
            let value = hot_value(name, dice);
            if self.has(*fault) {
                self.may_overflow |= *fault == Fault::Queue;
                chosen.push((*name, value));
            }
        }
        if self.has(Fault::Stale) {
            // It bounds the limit from below.
            chosen.insert(0, ("ping-period", "1000".to_owned()));
        }
        if self.has(Fault::Queue) {
            self.take_weight = take_weight;
        }
        if self.has(Fault::Filter) {
            chosen.extend(scope.options());
            self.scope = scope;
        }
        if self.has(Fault::Listen) && listens {
            self.listens = true;
            chosen.push(("store", "none".to_owned()));
        }
        if self.has(Fault::Password) {
            chosen.push(("password-file", PASSWORD_FILE.to_owned()));
        }
        self.options.extend(chosen);
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

/// Where the password is.
pub const PASSWORD_FILE: &str = "/password";

/// Options that may change under way, and to what they belong.
const HOT: &[(Fault, &str)] = &[
    (Fault::InPlace, "resync"),
    (Fault::Stale, "max-staleness"),
    (Fault::Queue, "event-queue"),
    (Fault::Policy, "on-unknown"),
    (Fault::Policy, "on-failure"),
];

fn hot_value(name: &str, dice: &mut Dice) -> String {
    let values: &[&str] = match name {
        "resync" => &["aside", "auto", "auto", "in-place"],
        "max-staleness" => &["2000", "20000", "60000"],
        "event-queue" => &["4kb", "16kb", "1mb"],
        _ => &["continue", "resync", "stop"],
    };
    (*dice.pick(values)).to_owned()
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

const DAY_MS: usize = 86_400_000;

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
    let lie = *dice.pick(&[Lie::Continue, Lie::Offset]);
    let lie = Some(lie).filter(|_| dice.percent(15));
    let has_trouble = |fault| habits.has(fault) && !is_calm;
    Manners {
        refusal: refusal.filter(|_| has_trouble(Fault::Refuse)),
        harm: harm.filter(|_| has_trouble(Fault::Snapshot)),
        has_mark: dice.percent(habits.mark_percent),
        prepare_ms: [0, 50, 4_000, 0, 50, 4_000, 90_000][dice.below(7)],
        lie: lie.filter(|_| has_trouble(Fault::Lie)),
        missed_acks: [0, 0, 2][dice.below(3)],
        chunk: if is_calm { 100_000 } else { [70, 1_000, 100_000][dice.below(3)] },
        is_chained: dice.percent(habits.chained_percent),
        is_mute: is_mute && has_trouble(Fault::Stall),
    }
}

/// One thing goes wrong, if its kind is among those of the run.
pub fn strike(core: &mut Core, in_callback: bool) {
    let at = core.chance.faults.below(FAULTS.len());
    let (fault, name) = FAULTS[at];
    // Drawn in any case, so that a kind that is left out changes little else.
    let mut dice = Dice::new(core.chance.faults.any());
    // After these nothing can go on from where it was, which is what most runs are to try.
    let is_rare = matches!(fault, Fault::Restart | Fault::Garbage);
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
        Fault::Failover => failover(core, &mut dice),
        Fault::Restart => restart(core, &mut dice),
        Fault::Backlog => {
            let history = &mut core.primaries.current().history;
            let keep = dice.below(3000) as i64;
            history.backlog_from = history.backlog_from.max(history.end() - keep);
        }
        Fault::Memory => limit_memory(core, &mut dice),
        Fault::Clock => {
            let most = [60_000, 60_000, 30 * DAY_MS, 10 * 365 * DAY_MS][dice.below(4)];
            core.sim.net().wall_ms += dice.below(2 * most) as i64 - most as i64;
        }
        Fault::Exchange if !in_callback => core.exchange(&mut dice),
        Fault::Option => change_option(core, &mut dice),
        Fault::Password => change_password(core, &mut dice),
        // These are in what is written, in how it is served, and in what the callback does.
        Fault::Refuse
        | Fault::Snapshot
        | Fault::Unknown
        | Fault::Misfit
        | Fault::InPlace
        | Fault::Stale
        | Fault::Queue
        | Fault::Filter
        | Fault::Listen
        | Fault::Policy
        | Fault::Exchange
        | Fault::Lie
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

/// The primary begins anew.
fn restart(core: &mut Core, dice: &mut Dice) {
    let sim = core.sim.clone();
    let old = core.primaries.target;
    let history = new_history(core, dice);
    core.primaries.nodes.push(Node { history, stalled_until_ms: 0 });
    core.primaries.target = core.primaries.nodes.len() - 1;
    core.primaries.close_all(old, &mut sim.net());
}

/// A beginning: empty, with what the primary had, or with something older.
fn new_history(core: &Core, dice: &mut Dice) -> History {
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
    history
}

/// The program changes an option: whichever fits what it uses, or where the primary is.
fn change_option(core: &mut Core, dice: &mut Dice) {
    let (fault, name) = *dice.pick(HOT);
    let value = hot_value(name, dice);
    if core.replica.set_option("store", "all").is_ok() {
        core.fail("an option changed under way that must not");
    }
    if dice.percent(40) {
        let old = core.primaries.target;
        if dice.percent(50) {
            core.primaries.target = dice.below(core.primaries.nodes.len());
        } else {
            let history = new_history(core, dice);
            core.primaries.nodes.push(Node { history, stalled_until_ms: 0 });
            core.primaries.target = core.primaries.nodes.len() - 1;
        }
        let host = *dice.pick(&["primary", "other", "third"]);
        core.host = host.to_owned();
        note!(core, "{host} is another one: {} after {old}", core.primaries.target);
        return set_option(core, "url", &format!("redis://{host}"));
    }
    if core.habits.has(fault) {
        set_option(core, name, &value);
    }
}

/// The password changes at the primary, in the file, or in both; or the file is away for a while.
fn change_password(core: &mut Core, dice: &mut Dice) {
    let password = format!("secret{}", dice.below(1000)).into_bytes();
    let right = core.primaries.password.clone();
    let file = match dice.below(4) {
        0 => None,
        1 => Some(b"wrong\n".to_vec()),
        2 => {
            core.primaries.password = Some(password.clone());
            Some([&password[..], b"\r\n"].concat())
        }
        _ => right,
    };
    {
        let files = &mut core.sim.net().files;
        files.remove(PASSWORD_FILE);
        files.extend(file.map(|file| (PASSWORD_FILE.to_owned(), file)));
    }
    // A program that was told of a wrong password sets the option anew.
    if dice.percent(50) {
        set_option(core, "password-file", PASSWORD_FILE);
    }
}

fn limit_memory(core: &mut Core, dice: &mut Dice) {
    let is_limited = dice.percent(40);
    // Somewhere, or where there is room for the data and not for as much again.
    let used = core.replica.info().memory_bytes as usize;
    let near = used * (100 + dice.below(80)) / 100;
    let anywhere = 500 + dice.below(20_000);
    let bytes = if dice.percent(50) { near } else { anywhere };
    let bytes = if is_limited { bytes } else { 0 };
    if is_limited {
        core.spoil();
        core.is_limited = true;
    }
    set_memory(core, bytes);
}

fn set_memory(core: &mut Core, bytes: usize) {
    set_option(core, "max-memory", &bytes.to_string());
}

fn set_option(core: &mut Core, name: &str, value: &str) {
    note!(core, "option {name} {value}");
    if let Err(error) = core.replica.set_option(name, value) {
        core.fail(format!("{name} {value}: {error}"));
    }
}

/// What a program can mend: whatever was given up for is no longer so.
pub fn mend(core: &mut Core) {
    set_option(core, "on-unknown", "continue");
    set_option(core, "on-failure", "continue");
    set_memory(core, 0);
    if core.replica.info().state == State::Failed {
        core.fail("an option was changed and it still has given up");
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
    let right = core.primaries.password.clone();
    core.sim.net().files.extend(right.map(|file| (PASSWORD_FILE.to_owned(), file)));
    if core.primaries.has_lied {
        restart(core, &mut Dice::new(0));
    }
    mend(core);
    let unit = vec![(0, words(&["SET", "s0", "calm"]))];
    core.write_unit(core.primaries.target, &unit);
}
