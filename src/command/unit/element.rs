//! Edits of single fields and members, which can be skipped one by one.

use super::held::{is_kind, primary_has_none, share};
use super::{FoundAs, Question, Unit};
use crate::change::{Effect, Reason, Verdict};
use crate::command::Failure;
use crate::table::{Entry, Hold, Made};
use crate::value::{
    ABSENT, Array, Fingerprint, Hash, List, Set, Stream, Type, Value, Withheld, Zset,
    element_fingerprint,
};
use std::sync::Arc;

/// One field or member of an aggregate and what happens to it.
pub(in crate::command) struct ElementEdit<'e> {
    pub(in crate::command) kind: Type,
    pub(in crate::command) name: &'e [u8],
    pub(in crate::command) effect: Effect<'e>,
    /// What the primary has there afterwards, in the terms of [`element_fingerprint`]; none for a
    /// removal.
    pub(in crate::command) after: Option<(&'e [u8], i64)>,
    /// The deadline of the element that goes away or is set.
    pub(in crate::command) due_ms: Option<i64>,
}

impl ElementEdit<'_> {
    /// Of what the primary has there afterwards: only of interest where the table won't have it.
    fn fingerprint(&self) -> Fingerprint {
        match self.after {
            Some((content, number)) => element_fingerprint(self.name, content, number),
            None => ABSENT,
        }
    }
}

/// An aggregate taken apart.
struct Aggregate {
    value: Value,
    expires_at_ms: Option<i64>,
    version: u64,
    withheld: Withheld,
}

impl Aggregate {
    /// What an edit of an element builds on; `comes` says that it adds one, or sets it.
    fn of(before: Option<&Entry>, kind: Type, comes: bool) -> Self {
        let Some(Entry { value, expires_at_ms, version, hold }) = before else {
            let (value, withheld) = (empty(kind), Withheld::default());
            return Self { value, expires_at_ms: None, version: 0, withheld };
        };
        let value = value.clone().unwrap_or_else(|| empty(kind));
        let withheld = hold.as_ref().map(|hold| hold.withheld.clone()).unwrap_or_default();
        let (expires_at_ms, version) = (*expires_at_ms, *version);
        let mut aggregate = Self { value, expires_at_ms, version, withheld };
        if comes {
            aggregate.admit();
        }
        aggregate
    }

    /// An element is about to come. Where the primary has no key any more, that makes it anew, and
    /// a new key has no deadline.
    fn admit(&mut self) {
        if primary_has_none(&self.value, &self.withheld) {
            self.expires_at_ms = None;
        }
    }

    /// An edit of an element was skipped: it stays as it was, and is withheld.
    fn without(mut self, edit: &ElementEdit<'_>) -> Self {
        self.withheld.insert(edit.name, Some(edit.fingerprint()));
        self
    }

    /// Nothing is left here or at the primary.
    fn is_nothing(&self) -> bool {
        self.value.is_empty() && self.withheld.is_empty()
    }

    fn into_entry(self) -> Entry {
        let Self { value, expires_at_ms, version, withheld } = self;
        let hold = (!withheld.is_empty()).then(|| Arc::new(Hold { withheld, ..Hold::default() }));
        Entry { value: Some(value), expires_at_ms, version, hold }
    }
}

/// What an edit of an element finds.
enum Found {
    /// A filter keeps the key out.
    Excluded,
    /// Nothing can be told of its elements.
    Unknown,
    Known(Aggregate),
}

impl Unit<'_> {
    /// One element of a hash, set or sorted set is set or removed. `depends` says that the outcome
    /// depends on what the element was. `apply` does it to a copy.
    pub(in crate::command) fn edit_element(
        &mut self,
        key: &[u8],
        edit: ElementEdit<'_>,
        depends: bool,
        apply: impl FnOnce(&mut Value),
    ) -> Result<(), Failure> {
        let (db, kind, comes) = (self.db, edit.kind, edit.after.is_some());
        let found = self.look(db, key, |found| {
            let before = match found {
                FoundAs::Excluded => return Ok(Found::Excluded),
                FoundAs::Withheld(_) => return Ok(Found::Unknown),
                FoundAs::Partial(entry) if !is_kind(entry, kind) => return Ok(Found::Unknown),
                FoundAs::Absent => None,
                FoundAs::Whole(entry) | FoundAs::Partial(entry) => Some(entry),
            };
            if before.is_some_and(|entry| !is_kind(entry, kind)) {
                return Err(Failure::wrong_type(kind));
            }
            Ok(Found::Known(Aggregate::of(before, kind, comes)))
        });
        match found? {
            Found::Excluded => {}
            Found::Unknown => {
                let (entry, known) = (self.before(db, key), !self.setting.scope.store && !depends);
                self.edit_unknown(key, entry, kind, edit.effect, known, edit.due_ms);
            }
            Found::Known(old) if depends && old.withheld.contains(edit.name) => {
                self.edit_withheld_element(key, &edit, old);
            }
            Found::Known(old) => self.edit_known_element(key, &edit, old, apply),
        }
        Ok(())
    }

    /// The outcome depends on an element that is withheld: it is withheld further on.
    fn edit_withheld_element(&mut self, key: &[u8], edit: &ElementEdit<'_>, mut old: Aggregate) {
        let db = self.db;
        self.ask(&Question {
            expires_at_ms: old.expires_at_ms,
            due_ms: edit.due_ms,
            result_known: false,
            ..Question::new(edit.effect, Reason::Command, db, key)
        });
        old.withheld.insert(edit.name, None);
        self.put(db, key, old.into_entry(), true);
    }

    fn edit_known_element(
        &mut self,
        key: &[u8],
        edit: &ElementEdit<'_>,
        old: Aggregate,
        apply: impl FnOnce(&mut Value),
    ) {
        let db = self.db;
        let mut new = old;
        apply(&mut new.value);
        new.withheld.remove(edit.name);
        let key_gone = primary_has_none(&new.value, &new.withheld);
        let is_whole = new.withheld.is_empty() && !key_gone;
        let verdict = self.ask(&Question {
            value: is_whole.then_some(&new.value),
            expires_at_ms: new.expires_at_ms,
            due_ms: edit.due_ms,
            key_gone,
            ..Question::new(edit.effect, Reason::Command, db, key)
        });
        if verdict == Verdict::Skip {
            let (before, comes) = (self.before(db, key), edit.after.is_some());
            let old = Aggregate::of(before.as_ref(), edit.kind, comes);
            if edit.after.is_none() && share(&old.value, edit.name) == ABSENT {
                // Neither side has it any more: nothing is withheld.
                new.value = old.value;
            } else {
                new = old.without(edit);
            }
        }
        if new.is_nothing() {
            self.batch.remove(db, key);
        } else {
            self.put(db, key, new.into_entry(), verdict == Verdict::Skip);
        }
    }

    /// An element is set, and that is what was made of the key.
    pub(in crate::command) fn edit_element_to(
        &mut self,
        key: &[u8],
        edit: &ElementEdit<'_>,
        made: Made,
    ) {
        let db = self.db;
        if self.ask_about(key, edit.effect, &made, edit.due_ms) == Verdict::Keep {
            return self.batch.put_made(db, made);
        }
        let old = Aggregate::of(self.before(db, key).as_ref(), edit.kind, true);
        self.put(db, key, old.without(edit).into_entry(), true);
    }

    /// Whether what the table knows of an element is what the primary has.
    pub(in crate::command) fn can_read_element(&self, key: &[u8], name: &[u8]) -> bool {
        self.look(self.db, key, |found| found.can_read(name))
    }

    /// Whether an element is there, and not withheld: what is there needs no question when it is
    /// added.
    pub(in crate::command) fn has_element(
        &self,
        key: &[u8],
        name: &[u8],
        has: impl FnOnce(&Value) -> bool,
    ) -> bool {
        self.look(self.db, key, |found| found.can_read(name) && found.value().is_some_and(has))
    }

    /// Whether an element is there, or could be because it is withheld: what is neither needs no
    /// question when it is removed.
    pub(in crate::command) fn may_have(
        &self,
        key: &[u8],
        has: impl FnOnce(&Value) -> bool,
        name: &[u8],
    ) -> bool {
        self.look(self.db, key, |found| match &found {
            FoundAs::Excluded | FoundAs::Absent => false,
            FoundAs::Withheld(_) => true,
            FoundAs::Whole(_) | FoundAs::Partial(_) => {
                found.value().is_some_and(has) || !found.can_read(name)
            }
        })
    }

    /// Refuses a key that holds another type.
    pub(in crate::command) fn expect_kind(&self, key: &[u8], kind: Type) -> Result<(), Failure> {
        self.look(self.db, key, |found| found.expect_kind(kind))
    }
}

impl FoundAs<&Entry> {
    /// Refuses what is of another type.
    pub(in crate::command) fn expect_kind(&self, kind: Type) -> Result<(), Failure> {
        match self {
            Self::Whole(entry) if !is_kind(entry, kind) => Err(Failure::wrong_type(kind)),
            _ => Ok(()),
        }
    }

    /// Whether what the table knows of an element is what the primary has.
    pub(in crate::command) fn can_read(&self, name: &[u8]) -> bool {
        match self {
            Self::Absent | Self::Whole(_) => true,
            Self::Partial(entry) => {
                !entry.hold.as_ref().is_some_and(|hold| hold.withheld.contains(name))
            }
            Self::Withheld(_) | Self::Excluded => false,
        }
    }

    /// What the table has, as far as the primary has it, too.
    pub(in crate::command) fn value(&self) -> Option<&Value> {
        match self {
            Self::Whole(entry) | Self::Partial(entry) => entry.value.as_ref(),
            Self::Absent | Self::Withheld(_) | Self::Excluded => None,
        }
    }
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
