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
//! A ghost ends with the primary's key: a delete removes it whatever the answer, for it keeps
//! nothing but a name, and names that nobody can reach must not pile up. The same holds for single
//! elements.
//!
//! The table must not make up values: an edit whose outcome depends on something that is withheld
//! is offered with `result_known` false and never stored.

mod element;
mod held;
mod question;
mod remake;
mod source;
mod touched;
mod unknown;
mod unseen;
mod write;

use super::{Failure, Scope, Server};
use crate::change::{Effect, Gate, Phase, Reason, Verdict};
use crate::table::{Batch, Db, Entry, Key, Table};
use crate::value::{ABSENT, Type, Value, fingerprint};
use held::{due, filtered, ghost, is_kind, of_module, skipped_write};
use std::cell::Cell;

pub(super) use element::ElementEdit;
pub(super) use held::Due;
pub use held::known_fingerprint;
use question::Question;
pub(super) use source::Source;
use touched::Watched;
pub use touched::{Touched, Watch};

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
    /// The unit's number, if it is published.
    pub unit: u64,
    /// Who the primary is.
    pub server: Server,
    /// No value may become larger than this, in bytes; 0 for no limit.
    pub max_memory: u64,
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
    /// Somebody hears what the gate is asked.
    is_heard: bool,
    batch: &'a mut Batch,
    db: Db,
    args: &'a [&'a [u8]],
    /// A key that was looked up ahead.
    foreseen: Option<Key<'a>>,
    asked: Asked,
    /// What the command in hand has read that the table lacks.
    lack: Cell<Lack>,
    watched: Option<Box<Watched<'a>>>,
    /// Which command of the unit is in hand.
    place: usize,
    /// Edits have no short way: for the test that holds it against the general one.
    is_general: bool,
}

/// Why the table lacks what a command reads; the worst cause counts.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
enum Lack {
    /// It read nothing of the kind.
    #[default]
    None,
    /// A filter leaves it out, or it was made of what a filter leaves out.
    Filtered,
    /// The callback said no, or only the primary can know it.
    Other,
}

/// What a command finds when it reads a key.
pub(super) type Found = FoundAs<Entry>;

/// The same with entries of some kind.
pub(super) enum FoundAs<E> {
    /// The primary has no such key.
    Absent,
    /// The table has what the primary has.
    Whole(E),
    /// Some elements are missing or frozen.
    Partial(E),
    /// The key was withheld, or frozen, or we keep no table.
    Withheld(Option<E>),
    /// A filter keeps the key out; the gate is not asked about it.
    Excluded,
}

/// What an edit of a whole value comes to.
enum Edited {
    /// Nothing happens.
    Not,
    /// What was there can't be known, nor what comes of it.
    Unknown,
    /// The new value, if there is one, and its deadline.
    To(Option<Value>, Option<i64>),
}

impl Asked {
    /// Adds the counts of another unit.
    pub fn add(&mut self, other: Self) {
        self.all += other.all;
        self.skipped += other.skipped;
    }
}

impl<'a> Unit<'a> {
    /// An empty unit that begins in this database, and is prepared in this batch.
    #[inline]
    pub fn new(setting: Setting<'a>, gate: &'a mut dyn Gate, batch: &'a mut Batch, db: Db) -> Self {
        Self {
            is_heard: gate.is_heard(),
            gate,
            batch,
            setting,
            db,
            args: &[],
            foreseen: None,
            asked: Asked::default(),
            lack: Cell::default(),
            watched: None,
            place: 0,
            is_general: false,
        }
    }

    /// The selected database, which SELECT moves also inside a unit.
    pub fn db(&self) -> Db {
        self.db
    }

    /// Selects a database.
    pub fn select(&mut self, db: Db) {
        self.db = db;
    }

    /// How often the gate was asked, and the database now selected.
    #[inline]
    pub fn finish(self) -> (Asked, Db) {
        (self.asked, self.db)
    }

    /// The command whose effects follow; its arguments are shown with them.
    pub fn begin_command(&mut self, args: &'a [&'a [u8]]) {
        self.args = args;
        self.lack.set(Lack::None);
    }

    /// One of the arguments to come is a key of which more is known.
    pub fn foresee(&mut self, key: Key<'a>) {
        self.foreseen = Some(key);
    }

    /// A key with what is known of it.
    #[inline]
    fn key<'k>(&self, key: &'k [u8]) -> Key<'k>
    where
        'a: 'k,
    {
        match self.foreseen {
            // At the same place there is the same, as long as the unit.
            Some(foreseen) if std::ptr::eq(foreseen.bytes, key) => foreseen,
            _ => self.setting.table.key(key),
        }
    }

    /// An empty buffer with room for so many bytes, if there may be a value of that size.
    pub(super) fn room(&self, bytes: usize) -> Result<Vec<u8>, Failure> {
        self.check_size(bytes)?;
        let mut buffer = Vec::new();
        buffer.try_reserve_exact(bytes).map_err(|_| Failure::too_large())?;
        Ok(buffer)
    }

    /// Whether there may be a value of that size.
    pub(super) fn check_size(&self, bytes: usize) -> Result<(), Failure> {
        let max = self.setting.max_memory;
        if max > 0 && bytes as u64 > max { Err(Failure::too_large()) } else { Ok(()) }
    }

    pub(super) fn now_ms(&self) -> i64 {
        self.setting.now_ms
    }

    /// Who the primary is.
    pub(super) fn server(&self) -> Server {
        self.setting.server
    }

    pub(super) fn decode_payload(&self, payload: &[u8]) -> Result<Value, Failure> {
        (self.setting.decode_payload)(payload).map_err(|error| Failure::of_payload(&error))
    }

    /// Whether the command may look at this key, or change it.
    #[inline]
    fn follows(&self, db: Db, key: &[u8]) -> bool {
        let follows = self.setting.scope.admits(db, key);
        if follows {
            self.note_touch(db, key);
        }
        follows
    }

    /// What is stored of a key, if anything is.
    fn before(&self, db: Db, key: &[u8]) -> Option<Entry> {
        if self.setting.scope.store { self.batch.get(self.setting.table, db, key) } else { None }
    }

    pub(super) fn find(&self, db: Db, key: &[u8]) -> Found {
        self.look(db, key, |found| match found {
            FoundAs::Absent => Found::Absent,
            FoundAs::Whole(entry) => Found::Whole(entry.clone()),
            FoundAs::Partial(entry) => Found::Partial(entry.clone()),
            FoundAs::Withheld(entry) => Found::Withheld(entry.cloned()),
            FoundAs::Excluded => Found::Excluded,
        })
    }

    /// The same, lent.
    pub(super) fn look<R>(&self, db: Db, key: &[u8], look: impl FnOnce(FoundAs<&Entry>) -> R) -> R {
        if !self.follows(db, key) {
            return look(FoundAs::Excluded);
        }
        if !self.setting.scope.store {
            return look(FoundAs::Withheld(None));
        }
        self.batch.look(self.setting.table, db, key, |entry| {
            look(match entry {
                None => FoundAs::Absent,
                Some(entry) => match (&entry.value, &entry.hold) {
                    (Some(_), None) => FoundAs::Whole(entry),
                    (Some(_), Some(hold)) if !hold.frozen => FoundAs::Partial(entry),
                    _ => FoundAs::Withheld(Some(entry)),
                },
            })
        })
    }

    /// Whether the unit sees this key, be it a ghost.
    pub fn contains(&self, db: Db, key: &[u8]) -> bool {
        !matches!(self.find(db, key), Found::Absent | Found::Excluded)
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
            due_ms: at,
            key_gone: true,
            ..Question::new(Effect::Delete, reason, db, key)
        });
        match (verdict, entry) {
            (Verdict::Skip, Some(entry)) if entry.value.is_some() => {
                let entry = skipped_write(Some(entry), Some(ABSENT), Due::Known(None));
                self.put(db, key, entry, true);
            }
            // Whatever the answer, a ghost ends: there is nothing left to be kept out.
            (_, Some(_)) => self.batch.remove(db, key),
            (_, None) => {}
        }
    }

    /// The key is not there, though the gate may think so.
    pub fn deny(&mut self, db: Db, key: &[u8], reason: Reason) {
        self.ask(&Question { key_gone: true, ..Question::new(Effect::Delete, reason, db, key) });
    }

    /// All keys whose names are `wanted` go away, in every database.
    pub(super) fn delete_where(&mut self, wanted: impl Fn(&[u8]) -> bool, reason: Reason) {
        for (db, key) in self.batch.keys(self.setting.table, wanted) {
            self.delete(db, &key, reason);
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
            due_ms: at,
            result_known: known,
            ..Question::new(Effect::Expire, Reason::Command, db, key)
        });
        let Some(entry) = entry else { return };
        let is_module = entry.is_module();
        let is_filtered = entry.is_filtered() && verdict == Verdict::Keep;
        let entry = if entry.value.is_none() {
            // Nobody sees a ghost's deadline, but a later write may build on it.
            ghost(None, Due::Known(at))
        } else if known && verdict == Verdict::Keep {
            Entry { expires_at_ms: at, ..entry }
        } else {
            let wanted = known.then(|| Entry { expires_at_ms: at, ..entry.clone() });
            let primary = wanted.as_ref().and_then(known_fingerprint);
            skipped_write(Some(entry), primary, Due::Known(at))
        };
        let entry = if is_filtered { filtered(entry) } else { entry };
        let entry = if is_module { of_module(entry) } else { entry };
        self.put(db, key, entry, true);
    }

    /// A string, list, stream or array is edited as a whole: `edit` gets the old value and returns
    /// the new one, or none where nothing is left. The deadline stays. Nothing is asked where
    /// `edit` returns a clone that it has not touched.
    pub(super) fn edit(
        &mut self,
        key: &[u8],
        kind: Type,
        edit: impl FnOnce(Option<&Value>) -> Result<Option<Value>, Failure>,
    ) -> Result<(), Failure> {
        let db = self.db;
        let edited = self.look(db, key, |found| {
            let before = match found {
                FoundAs::Excluded => return Ok(Edited::Not),
                FoundAs::Withheld(_) => return Ok(Edited::Unknown),
                FoundAs::Partial(entry) if !is_kind(entry, kind) => return Ok(Edited::Unknown),
                FoundAs::Absent => None,
                FoundAs::Whole(entry) | FoundAs::Partial(entry) => Some(entry),
            };
            if before.is_some_and(|entry| !is_kind(entry, kind)) {
                return Err(Failure::wrong_type(kind));
            }
            let old = before.and_then(|entry| entry.value.as_ref());
            let after = edit(old)?;
            let is_same = match (old, &after) {
                (Some(old), Some(new)) => old.is_untouched(new),
                (old, new) => old.is_none() && new.is_none(),
            };
            let at = before.and_then(|entry| entry.expires_at_ms);
            Ok(if is_same { Edited::Not } else { Edited::To(after, at) })
        });
        let (after, at) = match edited? {
            Edited::Not => return Ok(()),
            Edited::Unknown => {
                let entry = self.before(db, key);
                self.edit_unknown(key, entry, kind, Effect::Edit, false, None);
                return Ok(());
            }
            Edited::To(after, at) => (after, at),
        };
        let verdict = self.ask(&Question {
            value: after.as_ref(),
            expires_at_ms: at,
            due_ms: at,
            key_gone: after.is_none(),
            ..Question::new(Effect::Edit, Reason::Command, db, key)
        });
        match (verdict, after) {
            (Verdict::Keep, None) => self.batch.remove(db, key),
            (Verdict::Keep, Some(value)) => self.put(db, key, Entry::new(value, at), false),
            (Verdict::Skip, Some(value)) => {
                let primary = Some(fingerprint(&value, at));
                self.put(db, key, ghost(primary, Due::Known(at)), false);
            }
            // The edit took the last element: skipping that is skipping a delete.
            (Verdict::Skip, None) => {
                let before = self.before(db, key);
                let entry = skipped_write(before, Some(ABSENT), Due::Known(None));
                self.put(db, key, entry, true);
            }
        }
        Ok(())
    }

    /// A database, or all of them, lose their keys.
    pub(super) fn flush(&mut self, db: Option<Db>) {
        if db.is_some_and(|db| !self.setting.scope.admits_database(db)) {
            return;
        }
        self.ask_about_database(Effect::Flush, Reason::Flush, db);
        self.note_upheaval(db);
        self.batch.flush(db);
    }

    /// Two databases change places.
    pub(super) fn swap(&mut self, a: Db, b: Db) -> Result<(), Failure> {
        let scope = self.setting.scope;
        match (scope.admits_database(a), scope.admits_database(b)) {
            (false, false) => Ok(()),
            (one, other) if one == other || !scope.store => {
                self.ask_about_database(Effect::Swap { other: b }, Reason::Flush, Some(a));
                self.note_upheaval(Some(a));
                self.note_upheaval(Some(b));
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
    fn edit_unknown(
        &mut self,
        key: &[u8],
        entry: Option<Entry>,
        kind: Type,
        effect: Effect<'_>,
        known: bool,
        due_ms: Option<i64>,
    ) {
        let db = self.db;
        let at = entry.as_ref().and_then(|entry| entry.expires_at_ms);
        let verdict = self.ask(&Question {
            expires_at_ms: at,
            due_ms: if effect == Effect::Edit { at } else { due_ms },
            result_known: known,
            ..Question::new(effect, Reason::Command, db, key)
        });
        let Some(entry) = entry else { return };
        let due = match effect {
            // It may have been the last element, and what comes after it a new key.
            Effect::HashDelete { .. } | Effect::SetRemove { .. } | Effect::ZsetRemove { .. } => {
                Due::Unknown
            }
            Effect::Edit if !matches!(kind, Type::String | Type::Stream) => Due::Unknown,
            _ => due(&entry),
        };
        // What was skipped, or made of what was, is not wanted.
        let is_filtered =
            entry.is_filtered() && verdict == Verdict::Keep && self.lack.get() != Lack::Other;
        let entry = skipped_write(Some(entry), None, due);
        let entry = if is_filtered { filtered(entry) } else { entry };
        self.put(db, key, entry, true);
    }

    fn put(&mut self, db: Db, key: &[u8], entry: Entry, same_version: bool) {
        if !self.setting.scope.store {
            return;
        }
        if entry.is_filtered() {
            self.note_filtered(db, key);
        }
        // What was never published has no version to keep.
        if same_version && entry.version > 0 {
            self.batch.put_keeping_version(self.setting.table, db, key, entry);
        } else {
            self.batch.put(self.setting.table, db, key, entry);
        }
    }
}
