//! Edits of small values, which most edits are: what comes of one is laid out at once, as it would
//! be stored, and shown as such.
//!
//! That is another way to what [`Unit::edit`] and [`Unit::edit_element`] do, for the case in which
//! nothing is withheld: [`Unit::remake`] is the one place that tells whether a key is such a case.

use super::held::ghost;
use super::{Due, Question, Unit};
use crate::change::{Effect, Reason, Verdict};
use crate::table::Made;
use crate::value::{Flat, Pieces, Room, Type, fingerprint};

impl Unit<'_> {
    /// What an edit makes of a key that is not there, or whole and of this type and small. `None`
    /// of any other, and where `edit` says so: then nothing has happened.
    #[inline]
    pub(in crate::command) fn remake<'args, E>(
        &self,
        key: &[u8],
        kind: Type,
        edit: E,
    ) -> Option<Made>
    where
        E: for<'f> FnOnce(Flat<&'f [u8]>, &'f mut Room<'args>) -> Option<Flat<Pieces<'f>>>,
    {
        let is_here = self.setting.scope.store && !self.is_general;
        if !is_here || !self.follows(self.db, key) {
            return None;
        }
        self.batch.remake(self.setting.table, self.db, self.key(key), kind, edit)
    }

    /// From here on there is no short way.
    #[cfg(test)]
    pub(in crate::command) fn edit_generally(&mut self) {
        self.is_general = true;
    }

    /// The key gets what was made of it, as by [`Unit::edit`].
    pub(in crate::command) fn edit_to(&mut self, key: &[u8], made: Made) {
        let db = self.db;
        if self.ask_about(key, Effect::Edit, &made, made.expires_at_ms()) == Verdict::Keep {
            return self.batch.put_made(db, made);
        }
        let at = made.expires_at_ms();
        let primary = made.lend(|value| value.map(|value| fingerprint(value, at)));
        self.put(db, key, ghost(primary, Due::Known(at)), false);
    }

    /// What the gate makes of it.
    #[inline]
    pub(super) fn ask_about(
        &mut self,
        key: &[u8],
        effect: Effect<'_>,
        made: &Made,
        due_ms: Option<i64>,
    ) -> Verdict {
        if !self.is_heard {
            return Verdict::Keep;
        }
        let db = self.db;
        let expires_at_ms = made.expires_at_ms();
        made.lend(|value| {
            self.ask_at_once(&Question {
                value,
                expires_at_ms,
                due_ms,
                ..Question::new(effect, Reason::Command, db, key)
            })
        })
    }
}
