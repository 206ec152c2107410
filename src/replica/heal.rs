//! Keys that are withheld only because of a filter, on their way to a value: which they are, which
//! of them are asked for, and what the stream has done to them since.
//!
//! An answer is what a key had at an offset of the history. From the moment of asking a record is
//! kept of the commands that have to do with the key. Once everything up to the answer's offset is
//! applied, those that came after it are applied to the answer, in a table of its own where there
//! is nothing but this key and everything else is filtered: what depends on another key comes out
//! as withheld there, and then the key is asked for again.

use super::follow::View;
use crate::change::{Change, Gate, Phase, Verdict};
use crate::command::{self, Row, Scope, Server, Setting, Touched, Unit, Watch};
use crate::error::Error;
use crate::link::{Answer, ReplId, Wish, Wishes};
use crate::table::{Batch, Db, Entry, Stamp, Table};
use crate::value::{Bytes, Value};
use std::collections::{BTreeMap, BTreeSet, HashMap, VecDeque};
use std::sync::Arc;

/// Keys that are asked for at a time: each of them has a record.
const ASKED_MAX: usize = 64;

/// What a record may take in commands and in bytes; beyond that it loses its beginning.
const RECORD_COMMANDS: usize = 1024;
const RECORD_BYTES: usize = 256 << 10;

/// What an argument takes besides its bytes.
const ARGUMENT_BYTES: usize = 32;

/// The first pause before a key is asked for again, and the longest: where the stream was too fast,
/// and where the primary or we refused.
const UNSETTLED_MS: (i64, i64) = (10, 1_000);
const REFUSED_MS: (i64, i64) = (1_000, 60_000);

/// The keys and how far they are.
pub(super) struct Heal {
    wishes: Arc<Wishes>,
    keys: BTreeMap<Db, HashMap<Bytes, Patient>>,
    /// To be asked for next. A key may be here that is not waiting any more.
    queue: VecDeque<(Db, Bytes)>,
    /// To be asked for after a pause, by the time of its end and a number.
    later: BTreeMap<(i64, u64), (Db, Bytes)>,
    /// When the fetching thread was asked to ring.
    ring_at_ms: Option<i64>,
    /// By ticket.
    asked: HashMap<u64, (Db, Bytes)>,
    tickets: u64,
    /// The lowest offset of an answer that waits for it to be applied.
    due: i64,
}

#[derive(Default)]
struct Patient {
    /// How often it was asked for in vain.
    failures: u32,
    /// An answer was of no use, and that is told.
    was_refused: bool,
    attempt: Option<Attempt>,
}

struct Attempt {
    ticket: u64,
    /// The record has everything after this offset.
    from: i64,
    record: VecDeque<Arc<Recorded>>,
    bytes: usize,
    answer: Option<Held>,
}

/// A command that has to do with a key.
struct Recorded {
    row: Option<&'static Row>,
    args: Vec<Vec<u8>>,
    selected: Db,
    now_ms: i64,
    /// The offset after its unit.
    end: i64,
    bytes: usize,
}

/// An answer that counts as unread as long as it is there.
struct Held {
    offset: i64,
    payload: Option<Vec<u8>>,
    expires_at_ms: Option<i64>,
    size: u64,
    wishes: Arc<Wishes>,
}

impl Drop for Held {
    fn drop(&mut self) {
        self.wishes.taken(self.size);
    }
}

/// A key whose answer can be used.
pub(super) struct Ready {
    pub(super) db: Db,
    pub(super) key: Bytes,
    answer: Held,
    /// The record goes back far enough.
    is_complete: bool,
    record: VecDeque<Arc<Recorded>>,
}

/// What became of it.
pub(super) enum Outcome {
    /// The primary has this.
    Whole(Value, Option<i64>),
    /// The primary has no such key.
    Gone,
    /// It can't be told from this answer, but perhaps from the next.
    Unsettled,
    /// There is no use in it.
    Refused(Error),
}

impl Watch for Heal {
    fn is_watched(&self, db: Db, key: &[u8]) -> bool {
        self.keys.get(&db).is_some_and(|keys| keys.contains_key(key))
    }
}

impl Heal {
    pub(super) fn new(wishes: Arc<Wishes>) -> Self {
        Self {
            wishes,
            keys: BTreeMap::new(),
            queue: VecDeque::new(),
            later: BTreeMap::new(),
            ring_at_ms: None,
            asked: HashMap::new(),
            tickets: 0,
            due: i64::MAX,
        }
    }

    /// How many keys there are.
    pub(super) fn len(&self) -> u64 {
        self.keys.values().map(|keys| keys.len() as u64).sum()
    }

    /// Forgets every key.
    pub(super) fn clear(&mut self) {
        let tickets = self.tickets;
        self.wishes.forget();
        *self = Self { tickets, ..Self::new(self.wishes.clone()) };
    }

    /// Forgets what was asked and answered; every key is to be asked for again.
    pub(super) fn restart(&mut self) {
        let all = std::mem::take(&mut self.keys);
        self.clear();
        for (db, keys) in all {
            for (key, _) in keys {
                self.wait(db, key);
            }
        }
    }

    fn wait(&mut self, db: Db, key: Bytes) {
        let keys = self.keys.entry(db).or_default();
        if keys.insert(key.clone(), Patient::default()).is_none() {
            self.queue.push_back((db, key));
        }
    }

    fn patient(&mut self, db: Db, key: &[u8]) -> Option<&mut Patient> {
        self.keys.get_mut(&db)?.get_mut(key)
    }

    fn remove(&mut self, db: Db, key: &[u8]) {
        let Some(keys) = self.keys.get_mut(&db) else { return };
        let attempt = keys.remove(key).and_then(|patient| patient.attempt);
        if keys.is_empty() {
            self.keys.remove(&db);
        }
        if let Some(attempt) = attempt {
            self.asked.remove(&attempt.ticket);
        }
    }

    /// A unit that ends at this offset is published.
    pub(super) fn note(
        &mut self,
        table: &Table,
        touched: &Touched,
        commands: &[View<'_>],
        end: i64,
        now_ms: i64,
    ) {
        if touched.flushed || !touched.upheaved.is_empty() {
            return self.look_again(table, touched);
        }
        let mut last: Option<(usize, Arc<Recorded>)> = None;
        for touch in &touched.keys {
            let (db, key) = (touch.db, &touch.key);
            if !is_filtered(table, db, key) {
                self.remove(db, key);
                continue;
            }
            if !self.is_watched(db, key) {
                self.wait(db, key.clone());
            }
            let patient = self.patient(db, key);
            let Some(attempt) = patient.and_then(|patient| patient.attempt.as_mut()) else {
                continue;
            };
            let recorded = match &last {
                Some((place, recorded)) if *place == touch.place => recorded.clone(),
                _ => {
                    let Some(command) = commands.get(touch.place) else { continue };
                    Arc::new(Recorded::of(command, touch.selected, now_ms, end))
                }
            };
            last = Some((touch.place, recorded.clone()));
            attempt.push(recorded);
        }
    }

    /// Databases were flushed or have changed places: whatever was asked is about what was there
    /// before.
    fn look_again(&mut self, table: &Table, touched: &Touched) {
        let mut names: BTreeSet<Bytes> =
            self.keys.values().flat_map(|keys| keys.keys().cloned()).collect();
        names.extend(touched.keys.iter().map(|touch| touch.key.clone()));
        let mut databases: BTreeSet<Db> = self.keys.keys().copied().collect();
        databases.extend(touched.keys.iter().map(|touch| touch.db));
        databases.extend(&touched.upheaved);
        self.clear();
        for db in databases {
            for name in names.iter().filter(|name| is_filtered(table, db, name)) {
                self.wait(db, name.clone());
            }
        }
    }

    /// Asks for what can be asked for, at this position.
    pub(super) fn ask(&mut self, table: &Table, replid: ReplId, applied: i64, ticks_ms: i64) {
        while let Some(first) = self.later.first_entry() {
            if first.key().0 > ticks_ms {
                break;
            }
            self.queue.push_back(first.remove());
        }
        let mut wishes = Vec::new();
        while self.asked.len() < ASKED_MAX {
            let Some((db, key)) = self.queue.pop_front() else { break };
            // It may have ended, and begun again, since.
            if !is_filtered(table, db, &key) {
                self.remove(db, &key);
                continue;
            }
            let ticket = self.tickets + 1;
            let Some(patient) = self.patient(db, &key) else { continue };
            if patient.attempt.is_some() {
                continue;
            }
            patient.attempt = Some(Attempt {
                ticket,
                from: applied,
                record: VecDeque::new(),
                bytes: 0,
                answer: None,
            });
            wishes.push(Wish { ticket, db, key: key.to_vec(), replid });
            self.tickets = ticket;
            self.asked.insert(ticket, (db, key));
        }
        if !wishes.is_empty() {
            self.wishes.ask(wishes);
        }
        let ring_at_ms = self.later.first_key_value().map(|((at_ms, _), _)| *at_ms);
        if let Some(at_ms) = ring_at_ms.filter(|_| ring_at_ms != self.ring_at_ms) {
            self.wishes.ring_at(at_ms);
        }
        self.ring_at_ms = ring_at_ms;
    }

    /// Takes in an answer; the error of one that was refused.
    pub(super) fn answered(
        &mut self,
        ticket: u64,
        answer: Answer,
        size: u64,
        ticks_ms: i64,
    ) -> Option<Error> {
        let (offset, payload, expires_at_ms) = match answer {
            Answer::Value { offset, payload, expires_at_ms } => (offset, payload, expires_at_ms),
            Answer::Refused(error) => {
                let (db, key) = self.asked.get(&ticket).cloned()?;
                self.again(db, &key, REFUSED_MS, ticks_ms);
                return Some(error);
            }
        };
        let wishes = self.wishes.clone();
        let held = Held { offset, payload, expires_at_ms, size, wishes };
        let (db, key) = self.asked.get(&ticket).cloned()?;
        self.patient(db, &key)?.attempt.as_mut()?.answer = Some(held);
        self.due = self.due.min(offset);
        None
    }

    /// The fetching thread has rung.
    pub(super) fn rung(&mut self) {
        self.ring_at_ms = None;
    }

    /// A key whose answer is not ahead of what is applied.
    pub(super) fn ready(&mut self, applied: i64) -> Option<Ready> {
        if applied < self.due {
            return None;
        }
        let mut ready = None;
        self.due = i64::MAX;
        for (ticket, (db, key)) in &self.asked {
            let patient = self.keys.get(db).and_then(|keys| keys.get(key));
            let attempt = patient.and_then(|patient| patient.attempt.as_ref());
            let Some(answer) = attempt.and_then(|attempt| attempt.answer.as_ref()) else {
                continue;
            };
            if answer.offset <= applied && ready.is_none() {
                ready = Some((*ticket, *db, key.clone()));
            } else {
                self.due = self.due.min(answer.offset);
            }
        }
        let (ticket, db, key) = ready?;
        self.asked.remove(&ticket);
        let mut attempt = self.patient(db, &key)?.attempt.take()?;
        let answer = attempt.answer.take()?;
        let is_complete = answer.offset >= attempt.from;
        let mut record = attempt.record;
        record.retain(|recorded| recorded.end > answer.offset);
        Some(Ready { db, key, answer, is_complete, record })
    }

    /// The stream was too fast for an answer.
    pub(super) fn unsettled(&mut self, db: Db, key: &[u8], ticks_ms: i64) {
        self.again(db, key, UNSETTLED_MS, ticks_ms);
    }

    /// An answer was of no use; whether that is the first time.
    pub(super) fn refused(&mut self, db: Db, key: &[u8], ticks_ms: i64) -> bool {
        let is_first = self.patient(db, key).is_some_and(|patient| !patient.was_refused);
        self.again(db, key, REFUSED_MS, ticks_ms);
        if let Some(patient) = self.patient(db, key) {
            patient.was_refused = true;
        }
        is_first
    }

    fn again(&mut self, db: Db, key: &[u8], (min_ms, max_ms): (i64, i64), ticks_ms: i64) {
        self.tickets += 1;
        let number = self.tickets;
        let Some(patient) = self.patient(db, key) else { return };
        let ticket = patient.attempt.take().map(|attempt| attempt.ticket);
        let pause_ms = (min_ms << patient.failures.min(16)).min(max_ms);
        patient.failures = patient.failures.saturating_add(1);
        if let Some(ticket) = ticket {
            self.asked.remove(&ticket);
        }
        self.later.insert((ticks_ms.saturating_add(pause_ms), number), (db, Bytes::from(key)));
    }

    /// A key is healed, or the callback did not want it.
    pub(super) fn ended(&mut self, db: Db, key: &[u8]) {
        self.remove(db, key);
    }
}

fn is_filtered(table: &Table, db: Db, key: &[u8]) -> bool {
    table.get(db, key).is_some_and(|entry| entry.is_filtered())
}

impl Recorded {
    fn of((row, args): &View<'_>, selected: Db, now_ms: i64, end: i64) -> Self {
        let bytes = args.iter().map(|arg| arg.len() + ARGUMENT_BYTES).sum();
        let args = args.iter().map(|arg| arg.to_vec()).collect();
        Self { row: *row, args, selected, now_ms, end, bytes }
    }
}

impl Attempt {
    fn push(&mut self, recorded: Arc<Recorded>) {
        self.bytes += recorded.bytes;
        self.record.push_back(recorded);
        while self.bytes > RECORD_BYTES || self.record.len() > RECORD_COMMANDS {
            let Some(oldest) = self.record.pop_front() else { break };
            self.bytes -= oldest.bytes;
            self.from = self.from.max(oldest.end);
        }
    }
}

/// Nobody is asked about what only makes up for what was missed.
struct Open;

impl Gate for Open {
    fn ask(&mut self, _change: &Change<'_>) -> Verdict {
        Verdict::Keep
    }
}

impl Ready {
    /// What the primary has now.
    pub(super) fn settle(&self, server: Server, max_memory: u64) -> Outcome {
        if !self.is_complete {
            return Outcome::Unsettled;
        }
        let decoded = self.answer.payload.as_deref().map(crate::rdb::decode_payload);
        let value = match decoded.transpose() {
            Ok(value) => value,
            Err(error) => return Outcome::Refused(error),
        };
        let entry = value.map(|value| Entry::new(value, self.answer.expires_at_ms));
        match self.replay(entry, server, max_memory) {
            Some(None) => Outcome::Gone,
            Some(Some(Entry { value: Some(value), expires_at_ms, hold: None, .. })) => {
                Outcome::Whole(value, expires_at_ms)
            }
            _ => Outcome::Unsettled,
        }
    }

    /// Applies the record to what was answered; `None` where a command can't be applied.
    fn replay(
        &self,
        answered: Option<Entry>,
        server: Server,
        max_memory: u64,
    ) -> Option<Option<Entry>> {
        if self.record.is_empty() {
            return Some(answered);
        }
        let mut table = Table::new(None);
        let mut stamp = Stamp { unit: 1, ..Stamp::default() };
        if let Some(entry) = answered {
            let mut batch = Batch::new();
            batch.put(&table, self.db, &self.key, entry);
            table.publish(batch, stamp);
        }
        let scope = self.nothing_else();
        for recorded in &self.record {
            let row = recorded.row?;
            let args: Vec<&[u8]> = recorded.args.iter().map(Vec::as_slice).collect();
            let setting = Setting {
                table: &table,
                scope: &scope,
                phase: Phase::Live,
                now_ms: recorded.now_ms,
                offset: recorded.end,
                unit: stamp.unit + 1,
                server,
                max_memory,
                decode_payload: crate::rdb::decode_payload,
            };
            let mut gate = Open;
            let mut batch = Batch::of(setting.unit);
            let mut unit = Unit::new(setting, &mut gate, &mut batch, recorded.selected);
            command::apply(&mut unit, row, &args).ok()?;
            stamp.unit += 1;
            table.publish(batch, stamp);
        }
        Some(table.get(self.db, &self.key))
    }

    /// A world with this key alone.
    fn nothing_else(&self) -> Scope {
        let literally = self.key.iter().flat_map(|byte| [b'\\', *byte]).collect();
        Scope { databases: Some(vec![self.db]), keys: vec![literally], ..Scope::default() }
    }
}
