//! A load into the table that is being read, for where there is no memory for two datasets: key by
//! key, and what has not come in the end is deleted.

use super::{KEYS_PER_BATCH, Load, Surroundings, Target, check_stop, is_in};
use crate::change::{Gate, Reason};
use crate::command::known_fingerprint;
use crate::error::Result;
use crate::table::{Batch, Db};
use crate::value::{ABSENT, Bytes};
use foldhash::quality::RandomState;
use std::collections::{BTreeMap, HashSet};

/// A key's place in a set at its usual load of two thirds.
const PLACE_BYTES: usize = (size_of::<Bytes>() + 1) * 3 / 2;

/// The keys that have come, by database. Where nothing changed they are shared with the table.
#[derive(Default)]
pub(super) struct Seen {
    databases: BTreeMap<Db, HashSet<Bytes, RandomState>>,
    memory: usize,
}

impl Seen {
    /// Adds a key that takes so many bytes beside the table's; false if it is there already.
    pub(super) fn insert(&mut self, db: Db, key: Bytes, beside: usize) -> bool {
        let is_new = self.databases.entry(db).or_default().insert(key);
        if is_new {
            self.memory += PLACE_BYTES + beside;
        }
        is_new
    }

    pub(super) fn contains(&self, db: Db, key: &[u8]) -> bool {
        self.databases.get(&db).is_some_and(|keys| keys.contains(key))
    }

    /// An estimate of the memory it takes, in bytes.
    pub(super) fn memory(&self) -> usize {
        self.memory
    }
}

impl Load {
    /// Goes on in place with what came so far; false where that can't or must not be done.
    pub(super) fn move_in_place<G: Gate>(
        &mut self,
        around: &mut Surroundings<'_>,
        gate: &mut dyn FnMut() -> G,
    ) -> Result<bool> {
        let in_place = Target::InPlace(Seen::default());
        let aside = match std::mem::replace(&mut self.target, in_place) {
            Target::Aside(aside) if self.may_move => aside,
            other => {
                self.target = other;
                return Ok(false);
            }
        };
        let mut entries = aside.generation.into_entries();
        let mut more = true;
        while more {
            check_stop(around)?;
            more = self.publish(around, gate(), |load, unit, table| {
                for _ in 0..KEYS_PER_BATCH {
                    let Some((db, key, entry)) = entries.next() else { return Ok(false) };
                    let at = entry.expires_at_ms;
                    match (entry.value.filter(|_| entry.version == 0), &mut load.target) {
                        (Some(value), _) => load.take_key(unit, table, db, key, value, at)?,
                        // What has a version is the table's own.
                        (None, Target::InPlace(seen)) => {
                            seen.insert(db, key, 0);
                        }
                        (None, _) => {}
                    }
                }
                Ok(true)
            })?;
        }
        Ok(true)
    }

    /// Deletes what did not come in place; the table is whole again then.
    pub(super) fn delete_unseen<G: Gate>(
        &mut self,
        seen: &Seen,
        around: &mut Surroundings<'_>,
        gate: &mut dyn FnMut() -> G,
    ) -> Result<()> {
        let mut entries = around.table.entries().filter(|(db, key, _)| !seen.contains(*db, key));
        let mut forgotten = Batch::new();
        let mut more = true;
        while more {
            check_stop(around)?;
            more = self.publish(around, gate(), |load, unit, _| {
                for _ in 0..KEYS_PER_BATCH {
                    let Some((db, key, old)) = entries.next() else { return Ok(false) };
                    match (known_fingerprint(&old), old.value) {
                        // The primary has not had it for long; it stays as it was kept, unless the
                        // gate has let it vanish since, in vain.
                        (Some(ABSENT), Some(_)) if !is_in(&load.told_in_vain, db, &key) => {}
                        (Some(ABSENT), None) => forgotten.remove(db, &key),
                        _ => {
                            unit.delete(db, &key, Reason::Resync);
                            load.told_in_vain.remove(&(db, key));
                        }
                    }
                }
                Ok(true)
            })?;
        }
        let told_in_vain = std::mem::take(&mut self.told_in_vain);
        self.publish(around, gate(), |_, unit, table| {
            let is_nowhere = |db, key| !seen.contains(db, key) && table.get(db, key).is_none();
            for (db, key) in told_in_vain.iter().filter(|(db, key)| is_nowhere(*db, key)) {
                unit.deny(*db, key, Reason::Resync);
            }
            Ok(())
        })?;
        *around.unit += 1;
        around.table.publish(forgotten, self.stamp(*around.unit));
        Ok(())
    }
}
