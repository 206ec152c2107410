//! How an entry differs from what the primary has: made where something is skipped, and read where
//! an edit builds on it or a new snapshot is compared with it.

use crate::table::{Entry, Hold};
use crate::value::{
    ABSENT, Fingerprint, Type, Value, Withheld, content_fingerprint, element_fingerprint,
    fingerprint, seal,
};
use std::sync::Arc;

/// A key's deadline at the primary.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::command) enum Due {
    /// This, or none.
    Known(Option<i64>),
    /// It can't be told from what the table has.
    Unknown,
}

impl Due {
    /// The deadline, as far as it is known.
    pub(super) fn at(self) -> Option<i64> {
        match self {
            Self::Known(at) => at,
            Self::Unknown => None,
        }
    }
}

/// The key's deadline at the primary. Whatever is frozen keeps its own; a ghost that is marked so
/// has an unknown one.
pub(super) fn due(entry: &Entry) -> Due {
    match (&entry.value, &entry.hold) {
        (_, Some(hold)) if hold.frozen => Due::Unknown,
        (Some(value), Some(hold)) if primary_has_none(value, &hold.withheld) => Due::Known(None),
        _ => Due::Known(entry.expires_at_ms),
    }
}

/// What a skipped write leaves: a ghost where there was no value, else the old value, frozen.
pub(super) fn skipped_write(
    before: Option<Entry>,
    primary: Option<Fingerprint>,
    due: Due,
) -> Entry {
    match before {
        Some(Entry { value: Some(value), expires_at_ms, hold, version }) => {
            let withheld = hold.map(|hold| hold.withheld.clone()).unwrap_or_default();
            let hold = Hold { frozen: true, fingerprint: primary, withheld, ..Hold::default() };
            Entry { value: Some(value), expires_at_ms, version, hold: Some(Arc::new(hold)) }
        }
        _ => ghost(primary, due),
    }
}

#[inline(never)]
pub(super) fn ghost(primary: Option<Fingerprint>, due: Due) -> Entry {
    let frozen = due == Due::Unknown;
    let hold = Hold { frozen, fingerprint: primary, ..Hold::default() };
    Entry { value: None, expires_at_ms: due.at(), version: 0, hold: Some(Arc::new(hold)) }
}

/// The same, of a module's value at the primary.
pub(super) fn of_module(entry: Entry) -> Entry {
    let module =
        |hold: Arc<Hold>| Arc::new(Hold { module: true, filtered: false, ..Hold::clone(&hold) });
    Entry { hold: entry.hold.map(module), ..entry }
}

/// The same, where only a filter is the cause.
pub(super) fn filtered(entry: Entry) -> Entry {
    if !entry.is_ghost() {
        return entry;
    }
    let filtered = |hold: Arc<Hold>| Arc::new(Hold { filtered: true, ..Hold::clone(&hold) });
    Entry { hold: entry.hold.map(filtered), ..entry }
}

pub(super) fn is_kind(entry: &Entry, kind: Type) -> bool {
    entry.value.as_ref().is_some_and(|value| value.kind() == kind)
}

/// Whether the primary is known to have none of an aggregate's elements, and so no key: what the
/// table has of it is there only because removals were skipped.
///
/// An element that the primary lacks is withheld only as long as the table has it.
pub(super) fn primary_has_none(value: &Value, withheld: &Withheld) -> bool {
    value.len() == withheld.len() && withheld.iter().all(|(_, print)| print == Some(ABSENT))
}

/// What the primary had under this key when that was last known; [`ABSENT`] where it had nothing.
pub fn known_fingerprint(entry: &Entry) -> Option<Fingerprint> {
    match (&entry.value, &entry.hold) {
        (Some(value), None) => Some(fingerprint(value, entry.expires_at_ms)),
        (None, None) => None,
        (Some(value), Some(hold)) if !hold.frozen => {
            if primary_has_none(value, &hold.withheld) {
                return Some(ABSENT);
            }
            let mut content = content_fingerprint(value);
            for (name, withheld) in hold.withheld.iter() {
                content = content.wrapping_sub(share(value, name)).wrapping_add(withheld?);
            }
            Some(seal(value.kind(), content, entry.expires_at_ms))
        }
        (_, Some(hold)) => hold.fingerprint,
    }
}

/// The share of an element in its aggregate's fingerprint; [`ABSENT`] if it is not there.
pub(super) fn share(value: &Value, name: &[u8]) -> Fingerprint {
    match value {
        Value::Hash(hash) => hash.get(name).map_or(ABSENT, |field| {
            element_fingerprint(name, field.value, field.expires_at_ms.unwrap_or(-1))
        }),
        Value::Set(set) if set.contains(name) => element_fingerprint(name, b"", 0),
        Value::Zset(zset) => zset
            .score(name)
            .map_or(ABSENT, |score| element_fingerprint(name, b"", score.to_bits() as i64)),
        _ => ABSENT,
    }
}
