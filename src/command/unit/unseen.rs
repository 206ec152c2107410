//! Removals that name no elements, from aggregates of which the table lacks some: which ones go
//! depends on what is not known.

use super::held::{Due, ghost, share, skipped_write};
use super::{Found, Question, Unit};
use crate::change::{Effect, Reason};
use crate::table::{Entry, Hold};
use crate::value::{ABSENT, Value, Withheld};
use std::sync::Arc;

impl Unit<'_> {
    /// Some of the elements that are withheld may go: those of these names. Each is offered. Where
    /// they may have been the last ones, the key may be gone, and is frozen.
    pub(in crate::command) fn remove_unseen(
        &mut self,
        key: &[u8],
        may_go: impl Fn(&[u8]) -> bool,
        effect: for<'m> fn(&'m [u8]) -> Effect<'m>,
    ) {
        let db = self.db;
        let Found::Partial(entry) = self.find(db, key) else { return };
        let (Some(value), Some(hold)) = (&entry.value, &entry.hold) else { return };
        let mut withheld = hold.withheld.clone();
        for (name, print) in hold.withheld.iter() {
            if print == Some(ABSENT) || !may_go(name) {
                continue;
            }
            self.ask(&Question {
                expires_at_ms: entry.expires_at_ms,
                result_known: false,
                ..Question::new(effect(name), Reason::Command, db, key)
            });
            withheld.insert(name, None);
        }
        let is_sure = has_more_than(value, &withheld);
        let hold = Hold { withheld, ..Hold::default() };
        let entry = Entry { hold: Some(Arc::new(hold)), ..entry };
        self.put(db, key, if is_sure { entry } else { lost(entry) }, true);
    }

    /// Some elements go, or all of them, and which ones can't be told: offered once, never stored.
    pub(in crate::command) fn remove_unknown(&mut self, key: &[u8]) {
        let db = self.db;
        let entry = match self.find(db, key) {
            Found::Absent | Found::Excluded => return,
            Found::Whole(entry) | Found::Partial(entry) => Some(entry),
            Found::Withheld(entry) => entry,
        };
        let at = entry.as_ref().and_then(|entry| entry.expires_at_ms);
        self.ask(&Question {
            expires_at_ms: at,
            due_ms: at,
            result_known: false,
            ..Question::new(Effect::Edit, Reason::Command, db, key)
        });
        if let Some(entry) = entry {
            self.put(db, key, lost(entry), true);
        }
    }
}

/// Whether the table has an element that the primary is known to have too.
fn has_more_than(value: &Value, withheld: &Withheld) -> bool {
    value.len() > withheld.iter().filter(|(name, _)| share(value, name) != ABSENT).count()
}

/// What is left of an entry when the primary may have lost all of it, and with it the deadline.
fn lost(entry: Entry) -> Entry {
    match &entry.value {
        Some(value) if !value.is_empty() => skipped_write(Some(entry), None, Due::Unknown),
        _ => ghost(None, Due::Unknown),
    }
}
