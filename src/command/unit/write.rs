//! Whole new values for keys, which most commands of most streams write.

use super::held::{due, filtered, ghost, of_module, skipped_write};
use super::{Due, Found, Lack, Question, Unit};
use crate::change::{Effect, Reason, Verdict};
use crate::table::{Db, Entry};
use crate::value::{Content, Value, fingerprint};

impl Unit<'_> {
    /// The key gets a whole new value.
    #[inline]
    pub fn write<'v>(
        &mut self,
        db: Db,
        key: &[u8],
        value: impl Into<Content<'v>>,
        at: Option<i64>,
        reason: Reason,
    ) {
        self.set(db, key, Some(value.into()), Due::Known(at), reason);
    }

    /// The key gets a whole new value and keeps its deadline.
    pub(in crate::command) fn write_keeping_deadline(&mut self, key: &[u8], value: Content<'_>) {
        let due = self.due(self.db, key);
        self.set(self.db, key, Some(value), due, Reason::Command);
    }

    /// The key gets a value that can't be known: the command read something that is withheld.
    pub(in crate::command) fn withhold(&mut self, db: Db, key: &[u8], due: Due, reason: Reason) {
        self.set(db, key, None, due, reason);
    }

    /// The key's deadline at the primary.
    pub(in crate::command) fn due(&self, db: Db, key: &[u8]) -> Due {
        match self.find(db, key) {
            Found::Absent => Due::Known(None),
            Found::Whole(entry) | Found::Partial(entry) | Found::Withheld(Some(entry)) => {
                due(&entry)
            }
            Found::Withheld(None) | Found::Excluded => Due::Unknown,
        }
    }

    /// What is not known of the new value or deadline is never stored. What was there is of no
    /// interest where it is simply replaced, and is not looked at.
    #[inline(always)]
    fn set(&mut self, db: Db, key: &[u8], value: Option<Content<'_>>, due: Due, reason: Reason) {
        if !self.follows(db, key) {
            return;
        }
        let is_stored = self.setting.scope.store;
        match (value, due) {
            // Most writes are kept: it is made as it would be stored, and shown as such.
            (Some(value), Due::Known(at)) if is_stored && (!self.is_heard || value.is_flat()) => {
                let made = self.batch.make(self.setting.table, db, self.key(key), value, at);
                if self.is_heard {
                    let ask = |value: Option<&_>| self.ask_about_set(db, key, value, due, reason);
                    let verdict = made.lend(ask);
                    if verdict == Verdict::Skip {
                        let value = made.lend(|value| value.cloned());
                        return self.settle(db, key, verdict, value, due);
                    }
                }
                self.batch.put_made(db, made);
            }
            (value, due) if self.is_heard || is_stored => {
                self.set_rarely(db, key, value, due, reason)
            }
            _ => {}
        }
    }

    #[inline(never)]
    fn set_rarely(
        &mut self,
        db: Db,
        key: &[u8],
        value: Option<Content<'_>>,
        due: Due,
        reason: Reason,
    ) {
        let value = value.map(Content::into_value);
        let verdict = self.ask_about_set(db, key, value.as_ref(), due, reason);
        self.settle(db, key, verdict, value, due);
    }

    #[inline]
    fn ask_about_set(
        &mut self,
        db: Db,
        key: &[u8],
        value: Option<&Value>,
        due: Due,
        reason: Reason,
    ) -> Verdict {
        if !self.is_heard {
            return Verdict::Keep;
        }
        self.ask_at_once(&Question {
            value,
            expires_at_ms: due.at(),
            due_ms: due.at(),
            result_known: value.is_some() && due != Due::Unknown,
            ..Question::new(Effect::Set, reason, db, key)
        })
    }

    /// What becomes of a key that was to get this.
    #[inline(never)]
    fn settle(&mut self, db: Db, key: &[u8], verdict: Verdict, value: Option<Value>, due: Due) {
        let is_module = matches!(value, Some(Value::Module(_)));
        let (entry, is_same) = match (verdict, value, due) {
            (Verdict::Keep, Some(value), Due::Known(at)) => (Entry::new(value, at), false),
            (Verdict::Keep, None, _) => {
                let entry = ghost(None, due);
                let is_filtered = self.lack.get() == Lack::Filtered;
                (if is_filtered { filtered(entry) } else { entry }, false)
            }
            (verdict, value, due) => {
                let before = self.before(db, key);
                let primary = match (&value, due) {
                    (Some(value), Due::Known(at)) => Some(fingerprint(value, at)),
                    _ => None,
                };
                // Where it is kept, the deadline is what is not known.
                let is_filtered =
                    verdict == Verdict::Keep && before.as_ref().is_some_and(Entry::is_filtered);
                let entry = skipped_write(before, primary, due);
                (if is_filtered { filtered(entry) } else { entry }, true)
            }
        };
        let entry = if is_module { of_module(entry) } else { entry };
        self.put(db, key, entry, is_same);
    }
}
