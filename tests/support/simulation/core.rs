//! Everything of a run but the apply task: the link, the primaries, the network between them, the
//! readers, and who of them does the next thing. A callback may let all of that go on while it
//! holds the apply task.

mod difference;
mod freshness;
mod judge;
mod policy;

use super::consumer::{Consumer, Place};
use super::faults::{self, Fault, Habits};
use super::history::Unit;
use super::model::{Data, Value, Words};
use super::network::Sim;
use super::primary::Primaries;
use super::queue::Queue;
use super::trace::Trace;
use super::writer::Writer;
use crate::support::random::Dice;
use freshness::Freshness;
use policy::Policies;
use rets::env::Interest;
use rets::link::{Link, Step};
use rets::replica::{Replica, State};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, Weak};

/// How the primary's own PINGs are spaced.
const PING_MS: i64 = 10_000;

/// Why a run failed.
pub type Failure = String;

/// When to step the link again.
#[derive(Clone, Copy, Debug)]
enum Sleep {
    Awake,
    Until { at_ms: Option<i64>, want: Interest },
    Done,
}

/// Dice of their own, so that a fault that is left out changes little else.
pub struct Chance {
    pub turns: Dice,
    pub writes: Dice,
    pub faults: Dice,
    pub reads: Dice,
}

#[derive(Clone, Copy, Debug, Default)]
pub struct Tally {
    pub steps: u64,
    pub units: u64,
    pub events: u64,
    pub skipped: u64,
    pub faults: u64,
    pub full_syncs: u64,
    pub partial_syncs: u64,
    pub reads: u64,
    pub comparisons: u64,
    /// Comparisons of a table that was mixed.
    pub mixed: u64,
    /// Lookups that were refused because the data was too old.
    pub stale: u64,
    pub queue_comparisons: u64,
    pub overflows: u64,
    /// Loads that were told to a program that only listens.
    pub heard_loads: u64,
    /// Callbacks that took the place of others.
    pub exchanges: u64,
    /// Units that were passed over or that ended following.
    pub strange: u64,
    pub virtual_ms: i64,
}

pub struct Core {
    pub sim: Arc<Sim>,
    pub replica: Arc<Replica>,
    pub link: Link,
    sleep: Sleep,
    pub primaries: Primaries,
    pub habits: Habits,
    pub chance: Chance,
    pub consumer: Consumer,
    /// What was held back before the unit in hand, and which unit that is.
    pub held_before: (Option<UnitName>, BTreeSet<Place>),
    /// Itself, for callbacks.
    pub me: Weak<Mutex<Self>>,
    /// How many callbacks there have been, and the number of the one that is to be asked.
    pub gates: u64,
    pub gate: Option<u64>,
    /// Nobody was asked for a while, and whoever is asked now has not seen the table since.
    pub has_missed: bool,
    /// What callbacks were told of units that were dropped, and whether they were told anew.
    pub disowned: BTreeMap<Place, bool>,
    /// What they were told of the unit in hand.
    told: Vec<Place>,
    /// Which callback heard of the unit in hand.
    unit_heard_by: Option<(UnitName, u64)>,
    /// What a program that only listens has heard of the load in hand.
    pub heard_load: Option<Data>,
    pub queue: Queue,
    /// Where the replica is told to connect to.
    pub host: String,
    policies: Policies,
    fresh: Freshness,
    /// What each key may be while the table is mixed; nothing where that is not known.
    candidates: Option<Vec<Data>>,
    pub trace: Trace,
    pub tally: Tally,
    pub failure: Option<Failure>,
    /// Faults have an end; only what heals goes on.
    pub is_calm: bool,
    next_ping_ms: i64,
    was_ready: bool,
    /// It has given up, and nothing was tried since.
    has_given_up: bool,
    /// A partial sync has to be asked for next.
    resumable: bool,
    /// This connection brought something after which a full sync may be asked for.
    pub spoiled: Option<usize>,
    /// There is a limit that may end everything.
    pub is_limited: bool,
    /// What the full sync in hand has told: keys that vanish (false) and others (true), each time
    /// that one follows the other.
    resync_told: Vec<bool>,
    /// Of the connection in hand.
    last_ack: i64,
    last_wire: usize,
    /// Keys that were read, with version and value.
    versions: BTreeMap<Place, (u64, Vec<u8>)>,
}

macro_rules! note {
    ($core:expr, $($text:tt)*) => { $core.trace.note(format_args!($($text)*)) };
}
pub(super) use note;

/// A unit: how many units and loads there were before, and the offset behind it.
pub type UnitName = (u64, u64, i64);

/// What is to be done next.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Turn {
    Link,
    Apply,
    Peer(usize),
    Write,
    Expire,
    Read,
    Compare,
    /// Somebody takes events from the queue.
    Take,
    Time,
    Fault,
}

impl Core {
    pub fn new(
        sim: Arc<Sim>,
        replica: Arc<Replica>,
        link: Link,
        primaries: Primaries,
        habits: Habits,
        chance: Chance,
        trace: Trace,
    ) -> Self {
        Self {
            sim,
            replica,
            link,
            sleep: Sleep::Awake,
            primaries,
            habits,
            chance,
            consumer: Consumer::default(),
            held_before: (None, BTreeSet::new()),
            me: Weak::new(),
            gates: 0,
            gate: None,
            has_missed: false,
            disowned: BTreeMap::new(),
            told: Vec::new(),
            unit_heard_by: None,
            heard_load: None,
            queue: Queue::default(),
            host: "primary".to_owned(),
            policies: Policies::default(),
            fresh: Freshness::default(),
            candidates: None,
            trace,
            tally: Tally::default(),
            failure: None,
            is_calm: false,
            next_ping_ms: PING_MS,
            was_ready: false,
            has_given_up: false,
            resumable: false,
            spoiled: None,
            is_limited: false,
            resync_told: Vec::new(),
            last_ack: -1,
            last_wire: 0,
            versions: BTreeMap::new(),
        }
    }

    pub fn fail(&mut self, text: impl Into<String>) {
        let text = text.into();
        note!(self, "FAILED: {text}");
        self.failure.get_or_insert(text);
    }

    // Turns.

    fn is_link_awake(&self) -> bool {
        let net = self.sim.net();
        match self.sleep {
            Sleep::Done => false,
            Sleep::Awake => true,
            _ if self.sim.is_ringing() => true,
            Sleep::Until { at_ms, want } => {
                at_ms.is_some_and(|at| at <= net.ticks_ms)
                    || net
                        .wires
                        .last()
                        .is_some_and(|w| !w.is_left && w.is_ready(net.ticks_ms, want))
            }
        }
    }

    /// Who may do something now, with how much weight.
    fn turns(&mut self, apply_waits: bool) -> Vec<(Turn, usize)> {
        let mut turns = Vec::with_capacity(8);
        if self.is_link_awake() {
            turns.push((Turn::Link, 300));
        }
        if apply_waits {
            turns.push((Turn::Apply, self.habits.apply_weight));
        }
        let net = self.sim.net();
        let count = self.primaries.peers.len();
        for at in count.saturating_sub(3)..count {
            let is_due = self.primaries.next_at(at, &net).is_some_and(|due| due <= net.ticks_ms);
            if is_due {
                turns.push((Turn::Peer(at), 150));
            } else if at + 1 == count && !self.primaries.peers[at].is_gone() {
                // There may be something to send.
                turns.push((Turn::Peer(at), 100));
            }
        }
        turns
    }

    /// Who does something next in the time of trouble.
    pub fn pick(&mut self, apply_waits: bool) -> Turn {
        let mut turns = self.turns(apply_waits);
        turns.extend([
            (Turn::Write, self.habits.write_weight),
            (Turn::Expire, 15),
            (Turn::Read, 80),
            (Turn::Compare, 20),
            (Turn::Take, self.habits.take_weight),
            (Turn::Time, self.habits.time_weight),
            (Turn::Fault, self.habits.fault_weight),
        ]);
        let all: usize = turns.iter().map(|(_, weight)| weight).sum();
        let mut at = self.chance.turns.below(all);
        for (turn, weight) in turns {
            if at < weight {
                return turn;
            }
            at -= weight;
        }
        Turn::Time
    }

    /// The same when trouble is over: everybody does what they can, then time goes on.
    pub fn pick_calm(&mut self, apply_waits: bool) -> Turn {
        if self.is_link_awake() {
            return Turn::Link;
        }
        if apply_waits {
            return Turn::Apply;
        }
        for at in 0..self.primaries.peers.len() {
            let sim = Arc::clone(&self.sim);
            let mut net = sim.net();
            if self.primaries.serve(at, &mut net) {
                return Turn::Peer(usize::MAX);
            }
        }
        Turn::Time
    }

    /// Does what is not the apply task's to do.
    pub fn take_turn(&mut self, turn: Turn, in_callback: bool) {
        self.tally.steps += 1;
        self.accept();
        match turn {
            Turn::Link => self.step_link(),
            Turn::Peer(at) => {
                let sim = Arc::clone(&self.sim);
                if at < self.primaries.peers.len() && self.primaries.serve(at, &mut sim.net()) {
                    note!(self, "peer {at}");
                }
            }
            Turn::Write => self.write(),
            Turn::Expire => self.expire(),
            Turn::Read => self.read(in_callback),
            Turn::Compare => self.compare(in_callback),
            Turn::Take => {
                let most = [1, 5, 100, usize::MAX][self.chance.reads.below(4)];
                self.take_events(most, in_callback);
            }
            Turn::Time => self.advance(in_callback),
            Turn::Fault => faults::strike(self, in_callback),
            Turn::Apply => {}
        }
    }

    fn accept(&mut self) {
        let sim = Arc::clone(&self.sim);
        let net = sim.net();
        let (habits, is_calm) = (&self.habits, self.is_calm);
        let is_new = self.primaries.accept(&net, |dice| faults::manners(habits, is_calm, dice));
        let host = net.wires.last().map(|wire| wire.host.clone()).filter(|_| is_new);
        drop(net);
        if let Some(host) = host.filter(|host| *host != self.host) {
            self.fail(format!("it connects to {host}, but was told {}", self.host));
        }
    }

    fn step_link(&mut self) {
        self.sim.take_ring();
        let step = self.link.step();
        note!(self, "link {step:?}");
        let now = self.sim.net().ticks_ms;
        self.sleep = match step {
            Step::Again => Sleep::Awake,
            Step::Done => Sleep::Done,
            Step::Wait { want, timeout_ms } => {
                if timeout_ms == 0 {
                    self.fail("the link wants to sleep for no time at all");
                }
                Sleep::Until {
                    at_ms: (timeout_ms >= 0).then(|| now.saturating_add(timeout_ms)),
                    want,
                }
            }
        };
        self.accept();
        self.hear_link();
    }

    /// Time goes on: a little, until something happens, or for long.
    fn advance(&mut self, is_busy: bool) {
        let now = self.sim.net().ticks_ms;
        let next = self.next_at();
        let is_busy = is_busy || self.is_link_awake();
        let dice = &mut self.chance.turns;
        let at = match dice.below(1000) {
            _ if self.is_calm => next,
            0..=399 => Some(now + dice.below(20) as i64),
            // Who has something to do seldom waits for long.
            400..=979 if is_busy => Some(now + dice.below(3) as i64),
            400..=979 => next,
            980..=997 => Some(now + dice.below(3_000) as i64),
            _ => Some(now + dice.below(self.habits.longest_pause_ms) as i64),
        };
        let Some(at) = at else { return self.fail("nothing will ever happen again") };
        let at = at.max(now);
        self.sim.net().ticks_ms = at;
        note!(self, "time {at}");
        if at >= self.next_ping_ms {
            self.next_ping_ms = at + PING_MS;
            for node in 0..self.primaries.nodes.len() {
                self.write_unit(node, &vec![(u32::MAX, vec![b"PING".to_vec()])]);
            }
        }
    }

    fn next_at(&self) -> Option<i64> {
        let net = self.sim.net();
        let now = net.ticks_ms;
        let link = match self.sleep {
            Sleep::Until { at_ms, .. } => at_ms,
            _ => None,
        };
        let wire = net.wires.last().filter(|wire| !wire.is_left);
        let peers = 0..self.primaries.peers.len();
        let peers = peers.filter_map(|at| self.primaries.next_at(at, &net));
        let all = wire.into_iter().flat_map(|wire| wire.next_at()).chain(link).chain(peers);
        all.chain([self.next_ping_ms]).filter(|at| *at > now).min()
    }

    // The primary's clients.

    pub fn write_unit(&mut self, node: usize, unit: &Unit) {
        let is_outside = self.chance.writes.percent(50);
        let history = &mut self.primaries.nodes[node].history;
        // What is of no database is written where the stream is.
        let here = history.db.unwrap_or(0);
        let unit: Unit = unit
            .iter()
            .map(|(db, words)| (if *db == u32::MAX { here } else { *db }, words.clone()))
            .collect();
        history.write(&unit, is_outside);
        self.tally.units += 1;
        let end = self.primaries.nodes[node].history.end();
        note!(self, "unit {node} {end} {}", shown(&unit));
    }

    fn write(&mut self) {
        // A primary that lost its place may still have clients.
        let node = match self.primaries.nodes.len() {
            count if self.chance.writes.percent(10) => self.chance.writes.below(count),
            _ => self.primaries.target,
        };
        let now_ms = self.sim.net().now_ms();
        let data = self.primaries.nodes[node].history.data.clone();
        let has_big = self.habits.has(Fault::Big);
        let unit = match self.chance.writes.below(100) {
            0 => vec![(u32::MAX, words(&["PING"]))],
            1 => vec![(u32::MAX, words(&["REPLCONF", "GETACK", "*"]))],
            2 if self.habits.has(Fault::Unknown) => {
                let name = ["NEW.WRITE", "NEW.OTHER"][self.chance.writes.below(2)];
                self.with_company(words(&[name, "nobody", "knows"]))
            }
            3 if self.habits.has(Fault::Misfit) && self.chance.writes.percent(50) => {
                let misfits: [&[&str]; 2] =
                    [&["RENAME", "nothing", "x"], &["LSET", "nothing", "7", "x"]];
                let misfit = words(misfits[self.chance.writes.below(2)]);
                self.with_company(misfit)
            }
            _ => Writer { dice: &mut self.chance.writes, data: &data, now_ms, has_big }.unit(),
        };
        self.write_unit(node, &unit);
    }

    /// A strange command by itself, or with others around it.
    fn with_company(&mut self, strange: Words) -> Unit {
        let mut unit = vec![(u32::MAX, strange)];
        if self.chance.writes.percent(50) {
            let number = self.chance.writes.below(5).to_string();
            unit.push((0, words(&["SET", &format!("s{number}"), "company"])));
            unit.insert(0, (1, words(&["DEL", &format!("h{number}")])));
            unit.insert(0, (0, words(&["SADD", &format!("t{number}"), "f1"])));
        }
        unit
    }

    /// A primary deletes some of what is due.
    fn expire(&mut self) {
        let now_ms = self.sim.net().now_ms();
        let node = self.primaries.target;
        let data = self.primaries.nodes[node].history.data.clone();
        for (db, key, item) in data.items() {
            if item.at.is_some_and(|at| at < now_ms) && self.chance.writes.percent(50) {
                let name = if self.chance.writes.percent(50) { "DEL" } else { "UNLINK" };
                let words = vec![name.into(), key.clone()];
                self.write_unit(node, &vec![(db, words)]);
                continue;
            }
            let Value::Hash(hash) = &item.value else { continue };
            let due = hash.iter().find(|(_, (_, at))| at.is_some_and(|at| at < now_ms));
            if let Some((field, _)) = due.filter(|_| self.chance.writes.percent(50)) {
                let words = vec![b"HDEL".to_vec(), key.clone(), field.clone()];
                self.write_unit(node, &vec![(db, words)]);
            }
        }
    }

    /// Everything has come to rest where the primary is.
    pub fn is_settled(&self, apply_waits: bool) -> bool {
        let info = self.replica.info();
        let history = self.primaries.current_history();
        let net = self.sim.net();
        let Some(peer) = self.primaries.peer(&net) else { return false };
        let end = history.end();
        let wire = &net.wires[peer.wire()];
        let is_read = !wire.is_hole && wire.unread() == 0;
        let is_acked = !self.habits.acks_truth || !history.has_offsets || peer.acked == end;
        let is_there = !history.has_offsets || info.offset == end;
        info.state == State::Following
            && peer.node == self.primaries.target
            && !apply_waits
            && peer.is_done(end)
            && is_read
            && is_acked
            && is_there
    }
}

pub fn words(texts: &[&str]) -> Words {
    texts.iter().map(|text| text.as_bytes().to_vec()).collect()
}

fn shown(unit: &Unit) -> String {
    let word = |word: &Vec<u8>| {
        let shown = &word[..word.len().min(16)];
        shown.escape_ascii().to_string()
    };
    let command = |(db, words): &(u32, Words)| {
        format!("{db}:{}", words.iter().map(word).collect::<Vec<_>>().join(" "))
    };
    unit.iter().map(command).collect::<Vec<_>>().join("; ")
}
