//! Commands that we can't follow: modules bring their own, and newer servers have more.

use super::held::{due, ghost, of_module, skipped_write};
use super::{Due, Found, Question, Unit};
use crate::change::{Effect, Reason, Verdict};
use crate::table::{Db, Entry};

impl<'a> Unit<'a> {
    /// Tells the gate of a command that we can't follow. Where its first argument names a module's
    /// value, that is withheld from now on, and the answer is true; otherwise nobody knows what the
    /// table lacks.
    pub fn unknown(&mut self, args: &'a [&'a [u8]]) -> bool {
        self.args = args;
        let db = self.db;
        self.ask_about_database(Effect::Unknown, Reason::Command, Some(db));
        args.get(1).is_some_and(|key| self.module_changes(key))
    }

    /// A module changes its value, or takes it away.
    fn module_changes(&mut self, key: &[u8]) -> bool {
        let db = self.db;
        let entry = match self.find(db, key) {
            Found::Whole(entry) | Found::Withheld(Some(entry)) if entry.is_module() => entry,
            _ => return false,
        };
        // What is held already can't become less known; only its fingerprint and deadline can.
        let is_held = entry.hold.is_some();
        let verdict = if is_held { Verdict::Skip } else { self.ask_unknown_set(key, &entry) };
        let entry = match verdict {
            Verdict::Keep => ghost(None, Due::Unknown),
            Verdict::Skip => skipped_write(Some(entry), None, Due::Unknown),
        };
        self.put(db, key, of_module(entry), verdict == Verdict::Skip);
        true
    }

    fn ask_unknown_set(&mut self, key: &[u8], entry: &Entry) -> Verdict {
        self.ask(&Question {
            expires_at_ms: due(entry).at(),
            due_ms: due(entry).at(),
            result_known: false,
            ..Question::new(Effect::Set, Reason::Command, self.db, key)
        })
    }

    /// Whether the primary has a module's value there, be it withheld here.
    pub fn is_module(&self, db: Db, key: &[u8]) -> bool {
        match self.find(db, key) {
            Found::Whole(entry) | Found::Withheld(Some(entry)) => entry.is_module(),
            _ => false,
        }
    }

    /// What is withheld of this key is a module's value.
    pub fn mark_module(&mut self, db: Db, key: &[u8]) {
        if let Found::Withheld(Some(entry)) = self.find(db, key) {
            self.put(db, key, of_module(entry), true);
        }
    }
}
