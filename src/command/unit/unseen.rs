//! Removals that name no elements, from aggregates of which the table lacks some: whether these go
//! too depends on what is not known.

use super::held::{Due, ghost, share, skipped_write};
use super::{Found, Question, Unit};
use crate::change::{Effect, Reason};
use crate::table::{Entry, Hold};
use crate::value::{ABSENT, Value, Withheld};
use std::sync::Arc;

impl Unit<'_> {
    /// Elements that are withheld may go. Each is offered. Where they may have been the last ones,
    /// so may the key, and it is frozen.
    pub(in crate::command) fn remove_unseen(
        &mut self,
        key: &[u8],
        effect: for<'m> fn(&'m [u8]) -> Effect<'m>,
    ) {
        let db = self.db;
        let Found::Partial(entry) = self.find(db, key) else { return };
        let (Some(value), Some(hold)) = (&entry.value, &entry.hold) else { return };
        let mut withheld = hold.withheld.clone();
        // What the primary lacks does not go again.
        for (name, _) in hold.withheld.iter().filter(|(_, has)| *has != Some(ABSENT)) {
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
        let entry = match &entry.value {
            _ if is_sure => entry,
            Some(value) if !value.is_empty() => skipped_write(Some(entry), None, Due::Unknown),
            _ => ghost(None, Due::Unknown),
        };
        self.put(db, key, entry, true);
    }
}

/// Whether the table has an element that the primary is known to have too.
fn has_more_than(value: &Value, withheld: &Withheld) -> bool {
    value.len() > withheld.iter().filter(|(name, _)| share(value, name) != ABSENT).count()
}
