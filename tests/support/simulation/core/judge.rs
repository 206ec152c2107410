//! Whether what is said and seen in a run can be: every word of the link, every question to the
//! callback, every look of a reader.

use super::super::consumer::{read_table, swapped, value_of};
use super::super::faults::Fault;
use super::super::history::History;
use super::super::model::{Data, Value};
use super::super::primary::command;
use super::super::writer::{DATABASES, PAIR};
use super::difference::difference;
use super::{Core, UnitName, note};
use crate::support::random::Dice;
use rets::change::{Change, Effect, Phase, Reason, Verdict};
use rets::replica::{Answer, Info, Moment, State, WaitOutcome};
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
                ["AUTH", said] => {
                    let file = sim.net().wires[at - 1].password.clone();
                    let file = String::from_utf8(file.unwrap_or_default()).expect("text");
                    if said != file.trim_end() {
                        self.fail(format!("the password is said to be {said:?}, not {file:?}"));
                    }
                }
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
        let is_border = history.is_some_and(|history| history.at(offset).is_some());
        if !is_border && !self.is_blind() {
            self.fail(format!("acknowledged {offset}, which is within a unit"));
        }
    }

    fn hear_psync(&mut self, id: &str, wanted: &str) {
        let info = self.replica.info();
        let (replid, offset) = (info.replid.unwrap_or([b'?'; 40]), info.offset);
        if id == "?" {
            if self.resumable && self.spoiled.is_none() && !self.may_end_here(&info) {
                self.fail(format!("a full sync is asked for, though {offset} is known"));
            }
            return;
        }
        let is_right = id.as_bytes() == replid && wanted == offset.saturating_add(1).to_string();
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
        if !self.resync_told.is_empty() && info.moment != Moment::Ready && !info.mixed {
            self.fail(format!("a resync was told, and then it is {:?}", info.moment));
        }
        let begins = matches!(info.moment, Moment::Connecting | Moment::WaitingForTurn);
        if self.has_given_up && !begins {
            self.fail(format!("it had given up, and then it is {:?}", info.moment));
        }
        match info.moment {
            Moment::Connecting | Moment::WaitingForTurn => self.has_given_up = false,
            Moment::Ready => self.hear_ready(info),
            Moment::SyncBegun => {
                self.resumable = false;
                self.resync_told.clear();
                self.load_begins();
                self.may_become_mixed();
                self.heard_load = Some(Data::default());
            }
            Moment::LinkLost => self.policies.is_loading = false,
            Moment::Diverged => self.hear_diverged(),
            Moment::Failed => {
                self.resumable = false;
                self.has_given_up = true;
                self.policies.is_loading = false;
                let may_be_refused = [Fault::Refuse, Fault::Password];
                let may_be_refused = may_be_refused.iter().any(|fault| self.habits.has(*fault));
                if !self.is_limited && !may_be_refused && !self.may_stop_here(info) {
                    self.fail(format!("given up without need: {:?}", info.last_error));
                }
            }
            _ => {}
        }
        let mut dice = Dice::new(self.chance.faults.any());
        if self.habits.has(Fault::Exchange) && !self.is_calm && dice.percent(10) {
            self.exchange(&mut dice);
        }
    }

    fn hear_ready(&mut self, info: &Info) {
        let peer = self.primaries.peers.last();
        let (is_harmed, is_lied_to) =
            peer.map_or((false, false), |peer| (peer.is_harmed, peer.is_lied_to));
        if is_harmed {
            self.fail("a damaged snapshot was taken for a good one");
        }
        // What can't be known may have been dropped after the callback had heard of it.
        self.has_missed |= self.is_blind();
        self.was_ready = true;
        self.resumable = info.replid.is_some() && info.offset >= 0;
        let last = self.sim.net().wires.len();
        self.spoiled = self.spoiled.filter(|wire| *wire == last || self.is_limited);
        self.resync_told.clear();
        self.trace.end_of_unordered();
        if matches!(self.replica.lookups().exists(0, b""), Answer::NotReady) {
            self.fail("ready is told before lookups answer");
        }
        if info.mixed {
            self.fail("ready is told of a table that is mixed");
        }
        let is_loaded = self.policies.is_loading;
        self.following_begins(info);
        if !is_loaded {
            return;
        }
        self.primaries.has_lied &= is_lied_to;
        self.candidates = None;
        self.is_fresh_from_load(info);
        if let Some(heard) = self.heard_load.take().filter(|_| self.habits.listens) {
            self.tally.heard_loads += 1;
            if self.truth().is_some_and(|truth| truth != heard) && self.gate.is_some() {
                self.fail("what was told of a load is not what was loaded");
            }
        }
        if self.has_missed && self.gate.is_some() {
            self.look_at_everything();
        }
        let untold = self.disowned.iter().find(|(_, is_told)| !**is_told);
        if let Some((place, _)) = untold.filter(|_| self.gate.is_some()) {
            let (db, key) = (place.0, place.1.escape_ascii());
            self.fail(format!("db {db} {key} was told of in vain, and nothing is told of it now"));
        }
    }

    pub fn has_given_up(&self) -> bool {
        self.has_given_up
    }

    /// After each step of the apply task.
    pub fn judge_step(&mut self) {
        let info = self.replica.info();
        // What the last unit told is seen by now, or it was dropped.
        let told = std::mem::take(&mut self.told);
        let before = self.unit_heard_by.map(|((units, ..), _)| units);
        if before == Some(info.units) {
            // What was kept from vanishing before is nothing to tell of.
            for place in told {
                let was_told_in_vain = self.disowned.contains_key(&place);
                let was_held = self.held_before.1.contains(&place) && !was_told_in_vain;
                self.disowned.insert(place, was_held);
            }
        }
        self.note_held();
        self.judge_passed(&info);
        self.judge_counters(&info);
        self.judge_freshness(&info);
    }

    /// From here on what the connection in hand brings may ask for a full sync.
    pub fn spoil(&mut self) {
        self.spoiled = Some(self.sim.net().wires.len());
    }

    pub fn hear_change(&mut self, change: &Change<'_>, callback: u64) -> Verdict {
        let verdict = self.habits.verdict(change);
        self.tally.events += 1;
        self.tally.skipped += u64::from(verdict == Verdict::Skip);
        self.note_change(change, verdict);
        let info = self.replica.info();
        self.judge_passed(&info);
        self.hear_as(callback, (info.units, info.full_syncs, change.offset), change.phase);
        self.judge_held(change);
        if self.habits.listens {
            self.hear_listening(change);
        } else {
            self.consumer.hear(change, verdict);
        }
        self.hear_anew(change, verdict);
        if change.reason == Reason::Resync {
            self.hear_difference(change);
        }
        match change.phase {
            Phase::Initial if self.was_ready => self.fail("a first load after the first"),
            Phase::Resync if !self.was_ready => self.fail("a second load before the first"),
            Phase::Live if info.offset >= 0 && !self.is_blind() => {
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

    /// A unit is told whole to the callback that is set.
    fn hear_as(&mut self, callback: u64, unit: UnitName, phase: Phase) {
        if self.gate != Some(callback) {
            let gate = self.gate;
            self.fail(format!("callback {callback} is asked, but {gate:?} is set"));
        }
        // A load is told key by key, to whoever is set then.
        let hearing = (phase == Phase::Live).then_some((unit, callback));
        let heard_by = std::mem::replace(&mut self.unit_heard_by, hearing);
        let is_same =
            |(before, by)| Some(before) == hearing.map(|(unit, _)| unit) && by != callback;
        if heard_by.is_some_and(is_same) {
            self.fail("two callbacks are asked about one unit");
        }
        if self.held_before.0 != Some(unit) {
            self.told.clear();
            // With what was told in vain: it may be told anew before the table is another.
            let held = self.consumer.held.iter().chain(self.disowned.keys());
            self.held_before = (Some(unit), held.cloned().collect());
        }
    }

    /// What was told in vain is told anew. Where that is skipped, the table keeps what it has, of
    /// which the callback knows nothing.
    fn hear_anew(&mut self, change: &Change<'_>, verdict: Verdict) {
        if let (Effect::Swap { other }, Some(db)) = (change.effect, change.db) {
            let disowned = std::mem::take(&mut self.disowned).into_iter();
            let swapped = |(place, is_told)| (swapped(place, db, other), is_told);
            self.disowned = disowned.map(swapped).collect();
        }
        let Some(db) = change.db.filter(|_| !change.effect.happens_anyway()) else { return };
        let place = (db, change.key.to_vec());
        let is_live = change.phase == Phase::Live;
        match (change.effect, verdict) {
            (Effect::Set | Effect::Delete, Verdict::Keep) => drop(self.disowned.remove(&place)),
            (_, Verdict::Skip) if !is_live => {
                self.disowned.entry(place.clone()).and_modify(|is_told| *is_told = true);
            }
            _ => {}
        }
        if is_live && verdict == Verdict::Keep {
            self.told.push(place);
        }
    }

    /// What is not known depends on something that is left out, or held back.
    fn judge_held(&mut self, change: &Change<'_>) {
        let may_be = self.habits.has(Fault::Veto) || self.habits.listens || self.is_blind();
        if change.result_known || may_be {
            return;
        }
        let held = &self.consumer.held;
        let hides = |word: &&[u8]| self.habits.scope.may_hide(word, |place| held.contains(place));
        if !change.args.iter().any(hides) {
            let key = change.key.escape_ascii();
            self.fail(format!("{key} is withheld, but nothing was that it depends on"));
        }
    }

    /// Each load is told whole; without a table there is no difference to tell.
    fn hear_listening(&mut self, change: &Change<'_>) {
        if change.phase == Phase::Live {
            return;
        }
        let Some(heard) = &mut self.heard_load else { return };
        match (change.effect, change.value, change.db) {
            (Effect::Set, Some(value), Some(db)) if change.reason == Reason::Snapshot => {
                heard.put(db, change.key, value_of(value), change.expires_at_ms);
            }
            (effect, _, _) => self.fail(format!("a load without a table tells {effect:?}")),
        }
    }

    /// Aside, vanished keys come first; in place, last. What begins aside may go on in place.
    fn hear_difference(&mut self, change: &Change<'_>) {
        let is_set = change.effect == Effect::Set;
        if self.resync_told.last() != Some(&is_set) {
            self.resync_told.push(is_set);
        }
        let is_right = match (&self.policies.resync[..], &self.resync_told[..]) {
            (_, [_]) | ("aside", [false, true]) | ("in-place", [true, false]) => true,
            ("auto", told) => told.len() == 2,
            _ => false,
        };
        if !is_right {
            let (told, resync) = (self.resync_told.clone(), self.policies.resync.clone());
            self.fail(format!("resync={resync} tells of keys that are set: {told:?}"));
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
    pub fn truth(&mut self) -> Option<Data> {
        let info = self.replica.info();
        if info.offset < 0 || self.is_blind() {
            return None;
        }
        let id = info.replid?;
        let history = self.primaries.history(&id);
        let data = history.and_then(|history: &History| history.at(info.offset)).cloned();
        if data.is_none() {
            self.fail(format!("it stands at {}, which is no border of a unit", info.offset));
        }
        data.map(|data| self.habits.scope.of(&data))
    }

    /// What the replica says of itself fits together.
    fn read_info(&mut self) {
        let info = self.replica.info();
        if info.ready != self.was_ready {
            self.fail(format!("ready: {}, it says {}", self.was_ready, info.ready));
        }
        self.judge_age();
        if info.mixed && (info.offset >= 0 || self.replica.wait_offset(None, 0, 0).is_ok()) {
            self.fail(format!("offset {} is told of a table that is mixed", info.offset));
        }
        let history = info.replid.and_then(|id| self.primaries.history(&id));
        let Some(end) = history.map(History::end).filter(|_| !self.is_blind()) else { return };
        let received = info.offset_received;
        // After a loss the end is that of a history which the replica may not have heard of yet.
        let end = if info.state == State::Following { end } else { info.offset };
        let is_odd = received >= 0 && !(info.offset..=end).contains(&received);
        if is_odd && self.spoiled.is_none() {
            let offset = info.offset;
            self.fail(format!("received {received}, applied {offset}, the stream ends at {end}"));
        }
        if !info.ready || info.state == State::Failed || info.offset < 0 || info.mixed {
            return;
        }
        let id = info.replid.map(|id| String::from_utf8_lossy(&id).into_owned());
        let wait = |id: Option<&str>, offset| self.replica.wait_offset(id, offset, 0);
        let reached = wait(id.as_deref(), info.offset);
        let beyond = wait(None, info.offset.saturating_add(1)).is_err();
        let other = wait(Some("another history"), info.offset);
        if reached != Ok(WaitOutcome::Reached) || !beyond || other != Ok(WaitOutcome::OtherHistory)
        {
            self.fail(format!("waiting for {}: {reached:?}, {beyond}, {other:?}", info.offset));
        }
    }

    pub(super) fn read(&mut self, in_callback: bool) {
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
        self.judge_stale(&found);
        let place = (db, key.clone());
        if let Answer::Found((version, bytes)) = found {
            let before = self.versions.get(&place);
            if before.is_some_and(|(old, was)| *old == version && *was != bytes) {
                self.fail(format!("{place:?} has another value with the same version {version}"));
            }
            self.versions.insert(place, (version, bytes));
        }
        if !in_callback {
            self.judge_text(db, &key);
        }
        let [a, b] = PAIR;
        let mut pair = Vec::new();
        let answer = lookups.get_many(&[(db, a), (db, b)], |_, answer| {
            pair.push(answer.map(<[u8]>::to_vec));
        });
        self.judge_stale(&answer.map(|_| ()));
        if let Answer::Found(offset) = answer {
            let info = replica.info();
            let told = if info.mixed { -1 } else { info.offset };
            if offset != told && !in_callback {
                let mixed = info.mixed;
                self.fail(format!("lookups are as of {offset}, not {told}; mixed: {mixed}"));
            }
            if info.mixed || self.habits.listens || !self.habits.scope.admits(db, a) {
                return;
            }
            // What a liar sends has units of its own.
            if pair[0] != pair[1] && !self.primaries.has_lied {
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

    /// A reader finds what the primary had, but for what has expired by the clock as it stands.
    fn judge_text(&mut self, db: u32, key: &[u8]) {
        let found = self.replica.lookups().get(db, key, |bytes, _| bytes.to_vec());
        let place = (db, key.to_vec());
        let is_held = self.consumer.held.contains(&place) || self.disowned.contains_key(&place);
        if is_held || !self.knows_held() || matches!(found, Answer::Stale | Answer::NotReady) {
            return;
        }
        let Some(truth) = self.truth() else { return };
        let now_ms = self.sim.net().now_ms();
        let item = truth.get(db, key).filter(|item| item.at.is_none_or(|at| now_ms <= at));
        let wanted = match item.map(|item| &item.value) {
            _ if self.habits.listens || !self.habits.scope.admits(db, key) => Answer::Withheld,
            Some(Value::Text(text)) => Answer::Found(text.clone()),
            _ => Answer::NotFound,
        };
        if found != wanted {
            let key = key.escape_ascii();
            self.fail(format!("db {db} {key} is read as {found:?}, not {wanted:?}"));
        }
    }

    /// Compares everything.
    pub fn compare(&mut self, in_callback: bool) {
        let Some((table, names)) = read_table(&self.replica) else { return };
        self.tally.comparisons += 1;
        if self.habits.listens {
            if !names.is_empty() {
                self.fail(format!("there is to be no table, but there is {names:?}"));
            }
            return;
        }
        let (knows_held, is_mixed) = (self.knows_held(), self.replica.info().mixed);
        if is_mixed && knows_held {
            self.judge_mixed(&table, &names);
        }
        if let Some(truth) = self.truth().filter(|_| knows_held && !is_mixed) {
            let held = if in_callback { &self.held_before.1 } else { &self.consumer.held };
            let held = held.iter().chain(self.disowned.keys()).cloned().collect();
            if let Some(difference) = difference(&truth, &table, &names, &held) {
                self.fail(difference);
            }
        }
        if !in_callback && self.gate.is_some() && !self.is_blind() {
            self.compare_with_events(&table);
        }
    }

    /// A program that was not asked does not know what is held back.
    fn knows_held(&self) -> bool {
        let may_hold = self.habits.has(Fault::Veto) || self.habits.has(Fault::Filter);
        self.gate.is_some() || !may_hold
    }

    /// The table has what the events that were kept made of a map.
    fn compare_with_events(&mut self, table: &Data) {
        if let Some(difference) = self.consumer.difference(table, &self.disowned) {
            self.fail(difference);
        }
    }

    /// At the end everything is compared, with what the primary has now.
    pub fn end(&mut self) {
        if self.gate.is_none() {
            self.exchange(&mut Dice::new(0));
        }
        self.compare(false);
        if self.habits.has(Fault::Queue) {
            self.take_events(usize::MAX, false);
        }
        if self.primaries.has_lied || self.replica.info().mixed {
            self.fail("settled, but it has not what the primary has");
        }
        let (asked, events) = (self.replica.info().callbacks, self.tally.events);
        if asked != events {
            self.fail(format!("it counted {asked} questions of {events}"));
        }
        let data = self.habits.scope.of(&self.primaries.current_history().data);
        if self.habits.listens || self.is_blind() {
            return;
        }
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
