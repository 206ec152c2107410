//! Reading keys to change others: what a command may build on, and what becomes of its destination
//! where it read something that is withheld.

use super::held::primary_has_none;
use super::{Found, Unit};
use crate::table::Entry;
use crate::value::{ABSENT, Value};

/// What the primary has under a key that a command reads.
pub(in crate::command) enum Source {
    /// No such key.
    Absent,
    /// This, and the table has it whole.
    Known(Value),
    /// Something that the table lacks, wholly or in part.
    Unknown,
}

impl Unit<'_> {
    /// Reads a key of the selected database.
    pub(in crate::command) fn source(&self, key: &[u8]) -> Source {
        match self.find(self.db, key) {
            Found::Absent => Source::Absent,
            Found::Whole(Entry { value: Some(value), .. }) => Source::Known(value),
            Found::Partial(entry) if has_none(&entry) => Source::Absent,
            Found::Withheld(Some(entry)) if is_gone(&entry) => Source::Absent,
            _ => Source::Unknown,
        }
    }
}

fn has_none(entry: &Entry) -> bool {
    match (&entry.value, &entry.hold) {
        (Some(value), Some(hold)) => primary_has_none(value, &hold.withheld),
        _ => false,
    }
}

/// The table kept a value whose deletion was skipped.
fn is_gone(entry: &Entry) -> bool {
    entry.hold.as_ref().is_some_and(|hold| hold.fingerprint == Some(ABSENT))
}
