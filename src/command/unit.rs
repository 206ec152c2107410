//! One unit of the primary's writes, prepared aside: every effect of its commands is offered to the
//! gate, the rules of *skip* are applied, and what is to be stored is staged in a batch.
//!
//! The handlers say what the primary did; only this file knows what a callback's veto means for it.
//! A key can be in one of these states (see [`crate::table::Hold`]):
//!
//! - whole: the table has what the primary has;
//! - ghost: it exists at the primary, its value was withheld;
//! - frozen: the table kept what it had when a write, a delete or a deadline was skipped;
//! - partial: single fields or members are missing or frozen.
//!
//! The table must not make up values: an edit whose outcome depends on something that is withheld
//! is offered with `result_known` false and never stored.

use super::{Failure, Scope};
use crate::change::{Change, Effect, Gate, Phase, Reason, Verdict};
use crate::table::{Batch, Db, Entry, Hold, Table};
use crate::value::{
    ABSENT, Array, Bytes, Fingerprint, Hash, List, Set, Stream, Type, Value, Withheld, Zset,
    fingerprint,
};
use std::sync::Arc;

/// What stays the same for all commands of a unit.
pub struct Setting<'a> {
    /// Where the unit's base is read from.
    pub table: &'a Table,
    /// What is to be stored and heard at all.
    pub scope: &'a Scope,
    /// The part of the replica's life.
    pub phase: Phase,
    /// The wall clock, in Unix milliseconds.
    pub now_ms: i64,
    /// The stream's offset after the unit; -1 unknown.
    pub offset: i64,
    /// Turns a DUMP payload into a value.
    pub decode_payload: fn(&[u8]) -> crate::error::Result<Value>,
}

/// How often the gate was asked, and said no.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Asked {
    /// Questions.
    pub all: u64,
    /// Answers that were [`Verdict::Skip`].
    pub skipped: u64,
}

/// The unit in hand.
pub struct Unit<'a> {
    setting: Setting<'a>,
    gate: &'a mut dyn Gate,
    batch: Batch,
    db: Db,
    args: &'a [&'a [u8]],
    asked: Asked,
}

/// What a command finds when it reads a key.
pub(super) enum Found {
    /// The primary has no such key.
    Absent,
    /// The table has what the primary has.
    Whole(Entry),
    /// Some elements are missing or frozen.
    Partial(Entry),
    /// The key was withheld, or frozen, or we keep no table.
    Withheld(Option<Entry>),
    /// A filter keeps the key out; the gate is not asked about it.
    Excluded,
}

/// One field or member of an aggregate and what happens to it.
pub(super) struct ElementEdit<'e> {
    pub(super) kind: Type,
    pub(super) name: &'e [u8],
    pub(super) effect: Effect<'e>,
    /// What the primary has there afterwards; [`ABSENT`] for a removal.
    pub(super) fingerprint: Fingerprint,
}

/// What to ask about one key; the rest of a [`Change`] is the unit's.
struct Question<'q> {
    effect: Effect<'q>,
    reason: Reason,
    db: Db,
    key: &'q [u8],
    value: Option<&'q Value>,
    expires_at_ms: Option<i64>,
    result_known: bool,
    key_gone: bool,
}

impl Asked {
    /// Adds the counts of another unit.
    pub fn add(&mut self, other: Self) {
        self.all += other.all;
        self.skipped += other.skipped;
    }
}

impl<'a> Unit<'a> {
    /// An empty unit that begins in this database.
    pub fn new(setting: Setting<'a>, gate: &'a mut dyn Gate, db: Db) -> Self {
        Self { setting, gate, batch: Batch::new(), db, args: &[], asked: Asked::default() }
    }

    /// The selected database, which SELECT moves also inside a unit.
    pub fn db(&self) -> Db {
        self.db
    }

    /// Selects a database.
    pub fn select(&mut self, db: Db) {
        self.db = db;
    }

    /// What was prepared, how often the gate was asked, and the database now selected.
    pub fn finish(self) -> (Batch, Asked, Db) {
        (self.batch, self.asked, self.db)
    }

    /// The command whose effects follow; its arguments are shown with them.
    pub fn begin_command(&mut self, args: &'a [&'a [u8]]) {
        self.args = args;
    }

    /// Tells the gate of a command that we can't follow.
    pub fn unknown(&mut self, args: &'a [&'a [u8]]) {
        self.args = args;
        let db = Some(self.db);
        self.ask_about_database(Effect::Unknown, Reason::Command, db);
    }

    pub(super) fn now_ms(&self) -> i64 {
        self.setting.now_ms
    }

    pub(super) fn decode_payload(&self, payload: &[u8]) -> Result<Value, Failure> {
        (self.setting.decode_payload)(payload)
            .map_err(|error| Failure::new(error.text().to_owned()))
    }

    pub(super) fn find(&self, db: Db, key: &[u8]) -> Found {
        if !self.setting.scope.admits(db, key) {
            return Found::Excluded;
        }
        if !self.setting.scope.store {
            return Found::Withheld(None);
        }
        let Some(entry) = self.batch.get(self.setting.table, db, key) else {
            return Found::Absent;
        };
        match (&entry.value, &entry.hold) {
            (Some(_), None) => Found::Whole(entry),
            (Some(_), Some(hold)) if !hold.frozen => Found::Partial(entry),
            _ => Found::Withheld(Some(entry)),
        }
    }

    /// Whether the unit sees this key, be it a ghost.
    pub fn contains(&self, db: Db, key: &[u8]) -> bool {
        !matches!(self.find(db, key), Found::Absent | Found::Excluded)
    }

    /// The key gets a whole new value.
    pub fn write(&mut self, db: Db, key: &[u8], value: Value, at: Option<i64>, reason: Reason) {
        let before = match self.find(db, key) {
            Found::Excluded => return,
            Found::Absent => None,
            Found::Whole(entry) | Found::Partial(entry) => Some(entry),
            Found::Withheld(entry) => entry,
        };
        let verdict = self.ask(&Question {
            value: Some(&value),
            expires_at_ms: at,
            ..Question::new(Effect::Set, reason, db, key)
        });
        let entry = match verdict {
            Verdict::Keep => {
                Entry { value: Some(value), expires_at_ms: at, version: 0, hold: None }
            }
            Verdict::Skip => skipped_write(before, Some(fingerprint(&value, at))),
        };
        self.put(db, key, entry, verdict == Verdict::Skip);
    }

    /// The key gets a value that can't be known: the command read something that is withheld.
    pub(super) fn withhold(&mut self, db: Db, key: &[u8], reason: Reason) {
        let before = match self.find(db, key) {
            Found::Excluded => return,
            Found::Absent => None,
            Found::Whole(entry) | Found::Partial(entry) => Some(entry),
            Found::Withheld(entry) => entry,
        };
        let verdict = self
            .ask(&Question { result_known: false, ..Question::new(Effect::Set, reason, db, key) });
        let entry = match verdict {
            Verdict::Keep => ghost(None, None),
            Verdict::Skip => skipped_write(before, None),
        };
        self.put(db, key, entry, verdict == Verdict::Skip);
    }

    /// The key goes away. Nothing happens where it was not there.
    pub fn delete(&mut self, db: Db, key: &[u8], reason: Reason) {
        let entry = match self.find(db, key) {
            Found::Excluded | Found::Absent => return,
            Found::Whole(entry) | Found::Partial(entry) => Some(entry),
            Found::Withheld(entry) => entry,
        };
        let at = entry.as_ref().and_then(|entry| entry.expires_at_ms);
        let verdict = self.ask(&Question {
            expires_at_ms: at,
            key_gone: true,
            ..Question::new(Effect::Delete, reason, db, key)
        });
        match (verdict, entry) {
            (Verdict::Keep, Some(_)) => self.batch.remove(db, key),
            (Verdict::Skip, Some(entry)) => {
                self.put(db, key, skipped_write(Some(entry), Some(ABSENT)), true);
            }
            (_, None) => {}
        }
    }

    /// The key gets another deadline, or none.
    pub(super) fn expire(&mut self, db: Db, key: &[u8], at: Option<i64>) {
        let (entry, known) = match self.find(db, key) {
            Found::Excluded | Found::Absent => return,
            Found::Whole(entry) | Found::Partial(entry) => (Some(entry), true),
            Found::Withheld(entry) => (entry, !self.setting.scope.store),
        };
        let verdict = self.ask(&Question {
            expires_at_ms: at,
            result_known: known,
            ..Question::new(Effect::Expire, Reason::Command, db, key)
        });
        let Some(mut entry) = entry else { return };
        let primary = match &entry {
            Entry { value: Some(value), hold: None, .. } => Some(fingerprint(value, at)),
            _ => None,
        };
        if !known || verdict == Verdict::Skip {
            entry = skipped_write(Some(entry), primary);
        } else {
            entry.expires_at_ms = at;
        }
        self.put(db, key, entry, true);
    }

    /// A string or list is edited as a whole: `edit` gets the old value and returns the new one, or
    /// none where nothing is left. The deadline stays.
    pub(super) fn edit(
        &mut self,
        key: &[u8],
        kind: Type,
        edit: impl FnOnce(Option<&Value>) -> Result<Option<Value>, Failure>,
    ) -> Result<(), Failure> {
        let db = self.db;
        let before = match self.find(db, key) {
            Found::Excluded => return Ok(()),
            Found::Withheld(entry) => {
                self.edit_unknown(key, entry, Effect::Edit, false);
                return Ok(());
            }
            Found::Partial(entry) if !is_kind(&entry, kind) => {
                self.edit_unknown(key, Some(entry), Effect::Edit, false);
                return Ok(());
            }
            Found::Absent => None,
            Found::Whole(entry) | Found::Partial(entry) => Some(entry),
        };
        if before.as_ref().is_some_and(|entry| !is_kind(entry, kind)) {
            return Err(Failure::wrong_type(kind));
        }
        let after = edit(before.as_ref().and_then(|entry| entry.value.as_ref()))?;
        let at = before.as_ref().and_then(|entry| entry.expires_at_ms);
        if before.is_none() && after.is_none() {
            return Ok(());
        }
        let verdict = self.ask(&Question {
            value: after.as_ref(),
            expires_at_ms: at,
            key_gone: after.is_none(),
            ..Question::new(Effect::Edit, Reason::Command, db, key)
        });
        match (verdict, after) {
            (Verdict::Keep, None) => self.batch.remove(db, key),
            (Verdict::Keep, after) => {
                self.put(
                    db,
                    key,
                    Entry { value: after, expires_at_ms: at, version: 0, hold: None },
                    false,
                );
            }
            (Verdict::Skip, after) => {
                let primary = after.map_or(ABSENT, |value| fingerprint(&value, at));
                self.put(db, key, ghost(Some(primary), at), false);
            }
        }
        Ok(())
    }

    /// One element of a hash, set or sorted set is set or removed. `depends` says that the outcome
    /// depends on what the element was. `apply` does it to a copy.
    pub(super) fn edit_element(
        &mut self,
        key: &[u8],
        edit: ElementEdit<'_>,
        depends: bool,
        apply: impl FnOnce(&mut Value),
    ) -> Result<(), Failure> {
        let db = self.db;
        let before = match self.find(db, key) {
            Found::Excluded => return Ok(()),
            Found::Withheld(entry) => {
                let known = !self.setting.scope.store && !depends;
                self.edit_unknown(key, entry, edit.effect, known);
                return Ok(());
            }
            Found::Partial(entry) if !is_kind(&entry, edit.kind) => {
                self.edit_unknown(key, Some(entry), edit.effect, false);
                return Ok(());
            }
            Found::Absent => None,
            Found::Whole(entry) | Found::Partial(entry) => Some(entry),
        };
        if before.as_ref().is_some_and(|entry| !is_kind(entry, edit.kind)) {
            return Err(Failure::wrong_type(edit.kind));
        }
        let (old, at, mut withheld) = match before {
            None => (empty(edit.kind), None, Withheld::default()),
            Some(entry) => {
                let withheld = entry.hold.map(|hold| hold.withheld.clone()).unwrap_or_default();
                (entry.value.unwrap_or_else(|| empty(edit.kind)), entry.expires_at_ms, withheld)
            }
        };
        let element_withheld = withheld.contains(edit.name);
        if depends && element_withheld {
            self.ask(&Question {
                expires_at_ms: at,
                result_known: false,
                ..Question::new(edit.effect, Reason::Command, db, key)
            });
            withheld.insert(edit.name, None);
            self.put(db, key, partial(old, at, withheld), true);
            return Ok(());
        }
        let mut new = old.clone();
        apply(&mut new);
        let still_withheld = withheld.len() - usize::from(element_withheld);
        let gone = new.is_empty() && still_withheld == 0;
        let verdict = self.ask(&Question {
            value: (!gone).then_some(&new),
            expires_at_ms: at,
            key_gone: gone,
            ..Question::new(edit.effect, Reason::Command, db, key)
        });
        if verdict == Verdict::Skip {
            withheld.insert(edit.name, Some(edit.fingerprint));
            self.put(db, key, partial(old, at, withheld), true);
        } else if gone {
            self.batch.remove(db, key);
        } else {
            withheld.remove(edit.name);
            self.put(db, key, partial(new, at, withheld), false);
        }
        Ok(())
    }

    /// Whether what the table knows of an element is what the primary has.
    pub(super) fn can_read_element(&self, key: &[u8], name: &[u8]) -> bool {
        match self.find(self.db, key) {
            Found::Absent | Found::Whole(_) => true,
            Found::Partial(entry) => !entry.hold.is_some_and(|hold| hold.withheld.contains(name)),
            Found::Withheld(_) | Found::Excluded => false,
        }
    }

    /// Whether an element is there, or could be because it is withheld: what is neither needs no
    /// question when it is removed.
    pub(super) fn may_have(
        &self,
        key: &[u8],
        has: impl FnOnce(&Value) -> bool,
        name: &[u8],
    ) -> bool {
        match self.find(self.db, key) {
            Found::Excluded | Found::Absent => false,
            Found::Withheld(_) => true,
            Found::Whole(entry) => entry.value.as_ref().is_some_and(has),
            Found::Partial(entry) => {
                entry.value.as_ref().is_some_and(has)
                    || entry.hold.is_some_and(|hold| hold.withheld.contains(name))
            }
        }
    }

    /// A database, or all of them, lose their keys.
    pub(super) fn flush(&mut self, db: Option<Db>) {
        if db.is_some_and(|db| !self.setting.scope.admits_database(db)) {
            return;
        }
        self.ask_about_database(Effect::Flush, Reason::Flush, db);
        self.batch.flush(db);
    }

    /// Two databases change places.
    pub(super) fn swap(&mut self, a: Db, b: Db) -> Result<(), Failure> {
        let scope = self.setting.scope;
        match (scope.admits_database(a), scope.admits_database(b)) {
            (false, false) => Ok(()),
            (true, true) => {
                self.ask_about_database(Effect::Swap { other: b }, Reason::Flush, Some(a));
                self.batch.swap(a, b);
                Ok(())
            }
            _ => Err(Failure::new(
                "a database that is followed changed places with one that is not; only a full sync \
                 can tell what it holds now",
            )),
        }
    }

    /// An edit of a key whose value we don't have: offered, never stored.
    fn edit_unknown(&mut self, key: &[u8], entry: Option<Entry>, effect: Effect<'_>, known: bool) {
        let db = self.db;
        let at = entry.as_ref().and_then(|entry| entry.expires_at_ms);
        self.ask(&Question {
            expires_at_ms: at,
            result_known: known,
            ..Question::new(effect, Reason::Command, db, key)
        });
        if let Some(entry) = entry {
            let entry = if entry.hold.as_ref().is_some_and(|hold| hold.frozen) {
                skipped_write(Some(entry), None)
            } else {
                ghost(None, at)
            };
            self.put(db, key, entry, true);
        }
    }

    fn put(&mut self, db: Db, key: &[u8], entry: Entry, same_version: bool) {
        if !self.setting.scope.store {
            return;
        }
        if same_version {
            self.batch.put_keeping_version(db, Bytes::from(key), entry);
        } else {
            self.batch.put(db, Bytes::from(key), entry);
        }
    }

    fn ask(&mut self, question: &Question<'_>) -> Verdict {
        let now_ms = self.setting.now_ms;
        let change = Change {
            effect: question.effect,
            reason: question.reason,
            phase: self.setting.phase,
            db: Some(question.db),
            key: question.key,
            value: question.value,
            expires_at_ms: question.expires_at_ms,
            result_known: question.result_known,
            deadline_passed: question.expires_at_ms.is_some_and(|at| now_ms > at),
            key_gone: question.key_gone,
            offset: self.setting.offset,
            args: self.args,
        };
        let verdict = self.gate.ask(&change);
        self.asked.all += 1;
        self.asked.skipped += u64::from(verdict == Verdict::Skip);
        verdict
    }

    /// Tells of what concerns whole databases; the answer does not matter.
    fn ask_about_database(&mut self, effect: Effect<'_>, reason: Reason, db: Option<Db>) {
        self.gate.ask(&Change {
            effect,
            reason,
            phase: self.setting.phase,
            db,
            key: b"",
            value: None,
            expires_at_ms: None,
            result_known: true,
            deadline_passed: false,
            key_gone: false,
            offset: self.setting.offset,
            args: self.args,
        });
        self.asked.all += 1;
    }
}

impl<'q> Question<'q> {
    fn new(effect: Effect<'q>, reason: Reason, db: Db, key: &'q [u8]) -> Self {
        Self {
            effect,
            reason,
            db,
            key,
            value: None,
            expires_at_ms: None,
            result_known: true,
            key_gone: false,
        }
    }
}

/// What a skipped write leaves: a ghost where there was no value, else the old value, frozen.
fn skipped_write(before: Option<Entry>, primary: Option<Fingerprint>) -> Entry {
    match before {
        Some(Entry { value: Some(value), expires_at_ms, hold, version }) => {
            let withheld = hold.map(|hold| hold.withheld.clone()).unwrap_or_default();
            let hold = Hold { frozen: true, fingerprint: primary, withheld };
            Entry { value: Some(value), expires_at_ms, version, hold: Some(Arc::new(hold)) }
        }
        Some(Entry { value: None, expires_at_ms, .. }) => ghost(primary, expires_at_ms),
        None => ghost(primary, None),
    }
}

fn ghost(primary: Option<Fingerprint>, at: Option<i64>) -> Entry {
    let hold = Hold { frozen: false, fingerprint: primary, withheld: Withheld::default() };
    Entry { value: None, expires_at_ms: at, version: 0, hold: Some(Arc::new(hold)) }
}

fn partial(value: Value, at: Option<i64>, withheld: Withheld) -> Entry {
    let hold = (!withheld.is_empty())
        .then(|| Arc::new(Hold { frozen: false, fingerprint: None, withheld }));
    Entry { value: Some(value), expires_at_ms: at, version: 0, hold }
}

fn is_kind(entry: &Entry, kind: Type) -> bool {
    entry.value.as_ref().is_some_and(|value| value.kind() == kind)
}

fn empty(kind: Type) -> Value {
    match kind {
        Type::String => Value::string(b""),
        Type::List => Value::List(List::default()),
        Type::Set => Value::Set(Set::default()),
        Type::Zset => Value::Zset(Zset::default()),
        Type::Hash => Value::Hash(Hash::default()),
        Type::Stream => Value::Stream(Stream::default()),
        Type::Array => Value::Array(Array::default()),
        // A module's value is written whole or not at all.
        Type::Module => Value::string(b""),
    }
}
