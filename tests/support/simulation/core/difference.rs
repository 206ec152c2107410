//! Where a table differs from what it may be.

use super::super::consumer::Place;
use super::super::model::Data;
use super::super::scope::Scope;
use super::Core;
use std::collections::BTreeSet;

/// From what the primary had, but for what is held back.
pub(super) fn difference(
    truth: &Data,
    table: &Data,
    names: &BTreeSet<Place>,
    held: &BTreeSet<Place>,
) -> Option<String> {
    for (db, key, item) in truth.items() {
        let place = (db, key.clone());
        let shown = key.escape_ascii();
        if !names.contains(&place) {
            return Some(format!("db {db} {shown} is missing: {item:?}"));
        }
        let seen = table.get(db, key);
        if seen != Some(item) && !held.contains(&place) {
            return Some(format!("db {db} {shown} is {seen:?}, not {item:?}"));
        }
    }
    let is_there = |(db, key): &&Place| truth.get(*db, key).is_some();
    let gone = names.difference(held).find(|place| !is_there(place));
    gone.map(|(db, key)| format!("db {db} {} is there, but was deleted", key.escape_ascii()))
}

impl Core {
    /// A load begins that may go into the table that is read: from its first key on, each key may
    /// be what it was, or what it is in this snapshot.
    pub(super) fn may_become_mixed(&mut self) {
        let scope: Scope = self.habits.scope.clone();
        if !self.replica.info().mixed {
            self.candidates = self.truth().map(|truth| vec![truth]);
        }
        let snapshot = self.primaries.peers.last().filter(|peer| !peer.is_flipped());
        let snapshot = snapshot.and_then(|peer| peer.snapshot.as_ref());
        match (&mut self.candidates, snapshot) {
            (Some(candidates), Some((data, _))) => candidates.push(scope.of(data)),
            // A damaged snapshot may bring anything before its checksum.
            (candidates, _) => *candidates = None,
        }
    }

    /// Compares a table that is mixed.
    pub(super) fn judge_mixed(&mut self, table: &Data, names: &BTreeSet<Place>) {
        self.tally.mixed += 1;
        let Some(candidates) = &self.candidates else { return };
        let all = candidates.iter().flat_map(Data::items).map(|(db, key, _)| (db, key.clone()));
        let all: BTreeSet<_> = all.chain(names.iter().cloned()).collect();
        let held = &self.consumer.held;
        let before = &self.held_before.1;
        let strange = all.into_iter().find(|place| {
            let (db, key) = place;
            let seen = table.get(*db, key).filter(|_| names.contains(place));
            let may_be = candidates.iter().any(|data| data.get(*db, key) == seen);
            !may_be && !held.contains(place) && !before.contains(place)
        });
        if let Some((db, key)) = strange {
            let seen = table.get(db, &key).cloned();
            let key = key.escape_ascii();
            self.fail(format!("db {db} {key} is {seen:?}, which no primary had"));
        }
    }
}
