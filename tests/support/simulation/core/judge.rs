//! Whether what is said and seen in a run can be: every word of the link, every question to the
//! callback, every look of a reader.

use super::super::consumer::{Place, read_table};
use super::super::faults::Fault;
use super::super::history::History;
use super::super::model::{Data, Value};
use super::super::primary::command;
use super::super::writer::{DATABASES, PAIR};
use super::{Core, note};
use rets::change::{Change, Effect, Phase, Reason, Verdict};
use rets::replica::{Answer, Info, Moment, State, WaitOutcome};
use std::collections::BTreeSet;
use std::sync::Arc;

impl Core {
    // What the link said.

    pub(super) fn hear_link(&mut self) {
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
        let begins = matches!(info.moment, Moment::Connecting | Moment::WaitingForTurn);
        if self.has_given_up && !begins {
            self.fail(format!("it had given up, and then it is {:?}", info.moment));
        }
        match info.moment {
            Moment::Connecting | Moment::WaitingForTurn => self.has_given_up = false,
            Moment::Ready => {
                if self.primaries.peers.last().is_some_and(|peer| peer.is_harmed) {
                    self.fail("a damaged snapshot was taken for a good one");
                }
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
                self.has_given_up = true;
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
        if change.reason == Reason::Resync {
            self.hear_difference(change);
        }
        let info = self.replica.info();
        match change.phase {
            Phase::Initial if self.was_ready => self.fail("a first load after the first"),
            Phase::Resync if !self.was_ready => self.fail("a second load before the first"),
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

    /// Vanished keys come first.
    fn hear_difference(&mut self, change: &Change<'_>) {
        self.resync_told = true;
        if change.effect == Effect::Set {
            self.resync_has_set = true;
        } else if self.resync_has_set {
            self.fail("a key vanishes after others were set");
        }
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
        match change.reason {
            // The order of a table's keys comes from the seed of its hashes.
            Reason::Resync => self.trace.note_unordered(format_args!("{line}")),
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
        if reached != Ok(WaitOutcome::Reached) || !beyond || other != Ok(WaitOutcome::OtherHistory)
        {
            self.fail(format!("waiting for {}: {reached:?}, {beyond}, {other:?}", info.offset));
        }
    }

    pub(super) fn read(&mut self) {
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
