//! Reading keys to change others: what a command may build on, and what becomes of its destination
//! where it read something that is withheld.

use super::held::{Due, is_kind, primary_has_none};
use super::{Found, Lack, Unit};
use crate::change::{Effect, Reason};
use crate::command::Failure;
use crate::table::Entry;
use crate::value::{ABSENT, Type, Value};

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
            found => {
                self.note_lack(&found);
                Source::Unknown
            }
        }
    }

    /// The command has read something that the table lacks.
    pub(in crate::command) fn note_lack(&self, found: &Found) {
        let lack = match found {
            Found::Absent | Found::Whole(_) => Lack::None,
            Found::Excluded => Lack::Filtered,
            Found::Withheld(Some(entry)) if entry.is_filtered() => Lack::Filtered,
            Found::Partial(_) | Found::Withheld(_) => Lack::Other,
        };
        self.lack.set(self.lack.get().max(lack));
    }

    /// Reads one element of a hash, set or sorted set: as above, but what is known of the value is
    /// this element and others that are of no interest.
    pub(in crate::command) fn element_source(&self, key: &[u8], name: &[u8]) -> Source {
        match self.find(self.db, key) {
            Found::Partial(Entry { value: Some(value), hold: Some(hold), .. })
                if !hold.withheld.contains(name) =>
            {
                Source::Known(value)
            }
            _ => self.source(key),
        }
    }

    /// To sort a sorted set, the primary makes a skip list of it, which it then stays. That is no
    /// change that anybody hears of; see [`Zset::is_packed`].
    ///
    /// [`Zset::is_packed`]: crate::value::Zset::is_packed
    pub(in crate::command) fn unpack(&mut self, key: &[u8]) {
        let (Found::Whole(mut entry) | Found::Partial(mut entry)) = self.find(self.db, key) else {
            return;
        };
        if let Some(Value::Zset(zset)) = &mut entry.value
            && zset.is_packed()
        {
            zset.set_packed(false);
            self.put(self.db, key, entry, true);
        }
    }

    /// A list is edited by something that is withheld under another key, or may be edited. What the
    /// table has whole is not what the primary has any more, and is withheld.
    pub(in crate::command) fn edit_unseen(
        &mut self,
        key: &[u8],
        kind: Type,
    ) -> Result<(), Failure> {
        let db = self.db;
        let entry = match self.find(db, key) {
            Found::Excluded => return Ok(()),
            Found::Absent => {
                self.withhold(db, key, Due::Known(None), Reason::Command);
                return Ok(());
            }
            Found::Whole(entry) if !is_kind(&entry, kind) => return Err(Failure::wrong_type(kind)),
            Found::Whole(_) => {
                // The last element may have gone, and with it the deadline.
                self.withhold(db, key, Due::Unknown, Reason::Command);
                return Ok(());
            }
            Found::Partial(entry) => Some(entry),
            Found::Withheld(entry) => entry,
        };
        self.edit_unknown(key, entry, kind, Effect::Edit, false, None);
        Ok(())
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
