//! Everything of a run but the apply task: the link, the primaries, the network between them, the
//! readers, and who of them does the next thing. A callback may let all of that go on while it
//! holds the apply task.

use super::consumer::{Consumer, Place, read_table};
use super::faults::{self, Fault, Habits};
use super::history::{History, Unit};
use super::model::{Data, Value, Words};
use super::network::Sim;
use super::primary::{Primaries, command};
use super::trace::Trace;
use super::writer::{DATABASES, PAIR, Writer};
use crate::support::random::Dice;
use rets::change::{Change, Effect, Phase, Verdict};
use rets::env::Interest;
use rets::link::{Link, Step};
use rets::replica::{Answer, Info, Moment, Replica, State, WaitOutcome};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

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
    held_before: (i64, BTreeSet<Place>),
    pub trace: Trace,
    pub tally: Tally,
    pub failure: Option<Failure>,
    /// Faults have an end; only what heals goes on.
    pub is_calm: bool,
    next_ping_ms: i64,
    was_ready: bool,
    /// A partial sync has to be asked for next.
    resumable: bool,
    /// This connection brought something after which a full sync may be asked for.
    pub spoiled: Option<usize>,
    /// There is a limit that may end everything.
    pub is_limited: bool,
    /// What the full sync in hand has told: anything, and that a value was set, after which nothing
    /// vanishes.
    resync_told: bool,
    resync_has_set: bool,
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
            held_before: (-1, BTreeSet::new()),
            trace,
            tally: Tally::default(),
            failure: None,
            is_calm: false,
            next_ping_ms: PING_MS,
            was_ready: false,
            resumable: false,
            spoiled: None,
            is_limited: false,
            resync_told: false,
            resync_has_set: false,
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
                    || net.wires.last().is_some_and(|w| !w.is_left && w.is_ready(net.ticks_ms, want))
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
        for at in self.primaries.peers.len().saturating_sub(3)..self.primaries.peers.len() {
            if self.primaries.next_at(at, &net).is_some_and(|next| next <= net.ticks_ms) {
                turns.push((Turn::Peer(at), 150));
            }
        }
        if self.primaries.peers.last().is_some_and(|peer| !peer.is_gone())
            && self.primaries.next_at(self.primaries.peers.len() - 1, &net).is_none_or(|n| n > net.ticks_ms)
        {
            // There may be something to send.
            turns.push((Turn::Peer(self.primaries.peers.len() - 1), 100));
        }
        drop(net);
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
            Turn::Read => self.read(),
            Turn::Compare => self.compare(in_callback),
            Turn::Time => self.advance(in_callback),
            Turn::Fault => faults::strike(self),
            Turn::Apply => {}
        }
    }

    fn accept(&mut self) {
        let sim = Arc::clone(&self.sim);
        let net = sim.net();
        let (habits, is_calm) = (&self.habits, self.is_calm);
        self.primaries.accept(&net, |dice| faults::manners(habits, is_calm, dice));
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
                Sleep::Until { at_ms: (timeout_ms >= 0).then(|| now.saturating_add(timeout_ms)), want }
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
                vec![(u32::MAX, words(&["NEW.WRITE", "nobody", "knows"]))]
            }
            _ => Writer { dice: &mut self.chance.writes, data: &data, now_ms, has_big }.unit(),
        };
        self.write_unit(node, &unit);
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

    // What the link said.

    fn hear_link(&mut self) {
        let sim = Arc::clone(&self.sim);
        let at = sim.net().wires.len();
        if at == 0 {
            return;
        }
        if self.last_wire != at {
            (self.last_wire, self.last_ack) = (at, -1);
        }
        loop {
            let words = {
                let written = &mut sim.net().wires[at - 1].written;
                let Some((words, used)) = command(written) else { return };
                written.drain(..used);
                words
            };
            let texts: Vec<_> = words.iter().map(|word| String::from_utf8_lossy(word)).collect();
            let texts: Vec<&str> = texts.iter().map(AsRef::as_ref).collect();
            note!(self, "said {texts:?}");
            match texts[..] {
                ["REPLCONF", "ACK", offset] => self.hear_ack(offset.parse().expect("a number")),
                ["PSYNC", id, wanted] => self.hear_psync(id, wanted),
                _ => {}
            }
        }
    }

    fn hear_ack(&mut self, offset: i64) {
        let info = self.replica.info();
        if !self.habits.acks_truth {
            if offset != 0 {
                self.fail(format!("acknowledged {offset} though it should never count"));
            }
            return;
        }
        if info.state == State::Loading {
            self.fail(format!("acknowledged {offset} while a snapshot is loaded"));
        }
        if offset > info.offset {
            let applied = info.offset;
            self.fail(format!("acknowledged {offset}, but only {applied} is applied"));
        }
        if offset < self.last_ack {
            self.fail(format!("acknowledged {offset} after {}", self.last_ack));
        }
        self.last_ack = offset;
        let history = info.replid.and_then(|id| self.primaries.history(&id));
        if history.is_none_or(|history| history.at(offset).is_none()) {
            self.fail(format!("acknowledged {offset}, which is within a unit"));
        }
    }

    fn hear_psync(&mut self, id: &str, wanted: &str) {
        let info = self.replica.info();
        let (replid, offset) = (info.replid.unwrap_or([b'?'; 40]), info.offset);
        if id == "?" {
            if self.resumable && self.spoiled.is_none() {
                self.fail(format!("a full sync is asked for, though {offset} is known"));
            }
            return;
        }
        let is_right = id.as_bytes() == replid && wanted == (offset + 1).to_string();
        if !is_right || !self.resumable {
            let replid = String::from_utf8_lossy(&replid).into_owned();
            let resumable = self.resumable;
            self.fail(format!(
                "PSYNC {id} {wanted} with {replid} {offset} applied, resumable: {resumable}"
            ));
        }
    }

    // What the apply task said.

    pub fn hear_moment(&mut self, info: &Info) {
        note!(self, "moment {:?} {:?} {}", info.moment, info.state, info.offset);
        if self.resync_told && info.moment != Moment::Ready {
            self.fail(format!("a resync was told, and then it is {:?}", info.moment));
        }
        match info.moment {
            Moment::Ready => {
                self.was_ready = true;
                self.resumable = info.replid.is_some() && info.offset >= 0;
                let last = self.sim.net().wires.len();
                self.spoiled = self.spoiled.filter(|wire| *wire == last || self.is_limited);
                self.resync_told = false;
                self.resync_has_set = false;
                self.trace.end_of_unordered();
                if matches!(self.replica.lookups().exists(0, b""), Answer::NotReady) {
                    self.fail("ready is told before lookups answer");
                }
            }
            Moment::SyncBegun => {
                self.resumable = false;
                self.resync_has_set = false;
            }
            Moment::Failed => {
                self.resumable = false;
                if !self.is_limited && !self.habits.has(Fault::Refuse) {
                    self.fail(format!("given up without need: {:?}", info.last_error));
                }
            }
            _ => {}
        }
    }

    /// From here on what the connection in hand brings may ask for a full sync.
    pub fn spoil(&mut self) {
        self.spoiled = Some(self.sim.net().wires.len());
    }

    pub fn hear_change(&mut self, change: &Change<'_>) -> Verdict {
        let verdict = self.habits.verdict(change);
        self.tally.events += 1;
        self.tally.skipped += u64::from(verdict == Verdict::Skip);
        self.note_change(change, verdict);
        if self.held_before.0 != change.offset {
            self.held_before = (change.offset, self.consumer.held.clone());
        }
        self.consumer.hear(change, verdict);
        let info = self.replica.info();
        match change.phase {
            Phase::Initial if self.was_ready => self.fail("a first load after the first"),
            Phase::Resync if !self.was_ready => self.fail("a second load before the first"),
            Phase::Resync => {
                self.resync_told = true;
                match change.effect {
                    Effect::Set => self.resync_has_set = true,
                    Effect::Delete if self.resync_has_set => {
                        self.fail("a key vanishes after others were set");
                    }
                    _ => {}
                }
            }
            Phase::Live if info.offset >= 0 => {
                let history = info.replid.and_then(|id| self.primaries.history(&id));
                let next = history.and_then(|history| history.border_after(info.offset));
                if next != Some(change.offset) {
                    let (at, offset) = (info.offset, change.offset);
                    self.fail(format!("an event at {offset}, but {next:?} comes after {at}"));
                }
            }
            _ => {}
        }
        verdict
    }

    fn note_change(&mut self, change: &Change<'_>, verdict: Verdict) {
        let element = |name: &[u8]| format!(" {}", name.escape_ascii());
        let element = match change.effect {
            Effect::HashSet { field, .. }
            | Effect::HashDelete { field }
            | Effect::HashExpire { field, .. } => element(field),
            Effect::SetAdd { member }
            | Effect::SetRemove { member }
            | Effect::ZsetAdd { member, .. }
            | Effect::ZsetRemove { member } => element(member),
            _ => String::new(),
        };
        let effect = format!("{:?}", change.effect);
        let effect = effect.split(' ').next().unwrap_or_default();
        let (db, key) = (change.db.map_or(-1, i64::from), change.key.escape_ascii());
        let known = if change.result_known { "" } else { " unknown" };
        let line = format!("event {effect} {db}:{key}{element}{known} {verdict:?}");
        match change.phase {
            Phase::Resync => self.trace.note_unordered(format_args!("{line}")),
            _ => note!(self, "{line}"),
        }
    }

    // The readers.

    /// What the primary had where the replica says it stands.
    fn truth(&mut self) -> Option<Data> {
        let info = self.replica.info();
        if info.offset < 0 {
            return None;
        }
        let id = info.replid?;
        let history = self.primaries.history(&id);
        let data = history.and_then(|history: &History| history.at(info.offset)).cloned();
        if data.is_none() {
            self.fail(format!("it stands at {}, which is no border of a unit", info.offset));
        }
        data
    }

    /// What the replica says of itself fits together.
    fn read_info(&mut self) {
        let info = self.replica.info();
        if info.ready != self.was_ready {
            self.fail(format!("ready: {}, it says {}", self.was_ready, info.ready));
        }
        if info.diverged && !self.habits.has(Fault::Unknown) && !self.habits.has(Fault::Misfit) {
            self.fail("it says that it has diverged, but nothing strange was sent");
        }
        let history = info.replid.and_then(|id| self.primaries.history(&id));
        let Some(end) = history.map(History::end) else { return };
        let received = info.offset_received;
        // After a loss the end is that of a history which the replica may not have heard of yet.
        let end = if info.state == State::Following { end } else { info.offset };
        let is_odd = received >= 0 && !(info.offset..=end).contains(&received);
        if is_odd && self.spoiled.is_none() {
            let offset = info.offset;
            self.fail(format!("received {received}, applied {offset}, the stream ends at {end}"));
        }
        if !info.ready || info.state == State::Failed || info.offset < 0 {
            return;
        }
        let id = info.replid.map(|id| String::from_utf8_lossy(&id).into_owned());
        let wait = |id: Option<&str>, offset| self.replica.wait_offset(id, offset, 0);
        let reached = wait(id.as_deref(), info.offset);
        let beyond = wait(None, info.offset + 1).is_err();
        let other = wait(Some("another history"), info.offset);
        if reached != Ok(WaitOutcome::Reached) || !beyond || other != Ok(WaitOutcome::OtherHistory) {
            self.fail(format!("waiting for {}: {reached:?}, {beyond}, {other:?}", info.offset));
        }
    }

    fn read(&mut self) {
        self.tally.reads += 1;
        self.read_info();
        let dice = &mut self.chance.reads;
        let db = dice.below(DATABASES as usize) as u32;
        let key = format!("{}{}", dice.pick(&["s", "n"]), dice.below(5)).into_bytes();
        let replica = Arc::clone(&self.replica);
        let lookups = replica.lookups();
        let found = lookups.get(db, &key, |bytes, version| (version, bytes.to_vec()));
        if (found == Answer::NotReady) == self.was_ready {
            self.fail(format!("ready: {}, but a lookup says {found:?}", self.was_ready));
        }
        let place = (db, key);
        if let Answer::Found((version, bytes)) = found {
            let before = self.versions.get(&place);
            if before.is_some_and(|(old, was)| *old == version && *was != bytes) {
                self.fail(format!("{place:?} has another value with the same version {version}"));
            }
            self.versions.insert(place, (version, bytes));
        }
        let [a, b] = PAIR;
        let mut pair = Vec::new();
        let answer = lookups.get_many(&[(db, a), (db, b)], |_, answer| {
            pair.push(answer.map(<[u8]>::to_vec));
        });
        if let Answer::Found(offset) = answer {
            if pair[0] != pair[1] {
                self.fail(format!("half a transaction is seen at {offset}: {pair:?}"));
            }
            let truth = self.truth().filter(|_| offset == replica.info().offset);
            let wanted = truth.as_ref().map(|data| data.get(db, a).map(|item| item.value.clone()));
            let seen = match &pair[0] {
                Answer::Found(bytes) => Some(Value::Text(bytes.clone())),
                _ => None,
            };
            if wanted.as_ref().is_some_and(|wanted| *wanted != seen) {
                self.fail(format!("a reader sees {seen:?} at {offset}, it was {wanted:?}"));
            }
        }
    }

    /// Compares everything.
    pub fn compare(&mut self, in_callback: bool) {
        let Some((table, names)) = read_table(&self.replica) else { return };
        self.tally.comparisons += 1;
        if let Some(truth) = self.truth() {
            let held = if in_callback { &self.held_before.1 } else { &self.consumer.held };
            if let Some(difference) = difference(&truth, &table, &names, held) {
                self.fail(difference);
            }
        }
        if !in_callback {
            self.compare_with_events(&table);
        }
    }

    /// The table has what the events that were kept made of a map.
    fn compare_with_events(&mut self, table: &Data) {
        if let Some(difference) = self.consumer.difference(table) {
            self.fail(difference);
        }
    }

    /// At the end everything is compared, with what the primary has now.
    pub fn end(&mut self) {
        self.compare(false);
        let (asked, events) = (self.replica.info().callbacks, self.tally.events);
        if asked != events {
            self.fail(format!("it counted {asked} questions of {events}"));
        }
        let data = self.primaries.current_history().data.clone();
        match read_table(&self.replica) {
            Some((table, names)) => {
                if let Some(text) = difference(&data, &table, &names, &self.consumer.held) {
                    self.fail(text);
                }
            }
            None => self.fail("settled, but lookups are not answered"),
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

/// Where a table differs from what the primary had, but for what is held back.
fn difference(
    truth: &Data,
    table: &Data,
    names: &BTreeSet<Place>,
    held: &BTreeSet<Place>,
) -> Option<String> {
    for (db, key, item) in truth.items() {
        let place = (db, key.clone());
        let shown = key.escape_ascii();
        if !names.contains(&place) {
            return Some(format!("db {db} {shown} is missing: {item:?}"));
        }
        let seen = table.get(db, key);
        if seen != Some(item) && !held.contains(&place) {
            return Some(format!("db {db} {shown} is {seen:?}, not {item:?}"));
        }
    }
    let is_there = |(db, key): &&Place| truth.get(*db, key).is_some();
    let gone = names.difference(held).find(|place| !is_there(place));
    gone.map(|(db, key)| format!("db {db} {} is there, but was deleted", key.escape_ascii()))
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

