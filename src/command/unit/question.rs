//! What the gate is asked: where anybody hears it, for otherwise everything is kept.

use super::Unit;
use crate::change::{Change, Effect, Reason, Verdict};
use crate::table::Db;
use crate::value::Value;

/// What to ask about one key; the rest of a [`Change`] is the unit's.
#[derive(Clone, Copy)]
pub(super) struct Question<'q> {
    pub(super) effect: Effect<'q>,
    pub(super) reason: Reason,
    pub(super) db: Db,
    pub(super) key: &'q [u8],
    pub(super) value: Option<&'q Value>,
    pub(super) expires_at_ms: Option<i64>,
    /// The deadline of what goes away or is set: the key's or the field's.
    pub(super) due_ms: Option<i64>,
    pub(super) result_known: bool,
    pub(super) key_gone: bool,
}

impl Unit<'_> {
    #[inline]
    pub(super) fn ask(&mut self, question: &Question<'_>) -> Verdict {
        if self.is_heard { self.ask_gate(question) } else { Verdict::Keep }
    }

    #[inline(never)]
    fn ask_gate(&mut self, question: &Question<'_>) -> Verdict {
        self.ask_at_once(question)
    }

    /// The same where somebody hears it. In line: a question that is copied into a change has the
    /// processor wait for what was just written.
    #[inline(always)]
    pub(super) fn ask_at_once(&mut self, question: &Question<'_>) -> Verdict {
        let now_ms = self.setting.now_ms;
        let change = Change {
            effect: question.effect,
            reason: question.reason,
            phase: self.setting.phase,
            db: Some(question.db),
            key: question.key,
            value: question.value,
            expires_at_ms: question.expires_at_ms.filter(|_| !question.key_gone),
            result_known: question.result_known,
            deadline_passed: question.due_ms.is_some_and(|at| now_ms > at),
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
    pub(super) fn ask_about_database(
        &mut self,
        effect: Effect<'_>,
        reason: Reason,
        db: Option<Db>,
    ) {
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
    pub(super) fn new(effect: Effect<'q>, reason: Reason, db: Db, key: &'q [u8]) -> Self {
        Self {
            effect,
            reason,
            db,
            key,
            value: None,
            expires_at_ms: None,
            due_ms: None,
            result_known: true,
            key_gone: false,
        }
    }
}
