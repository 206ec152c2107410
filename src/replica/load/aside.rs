//! A load beside the table that is being read, and the step from one to the other: the gate hears
//! the difference, then readers move over.

use super::{Load, Surroundings, check_stop, is_in, is_unchanged};
use crate::change::{Gate, Reason};
use crate::command::{Unit, known_fingerprint};
use crate::error::Result;
use crate::table::{Batch, Db, Entry, Generation, Place, Table};
use crate::value::{ABSENT, Bytes, Content, Flat};

/// A dataset in the making.
pub(super) struct Aside {
    pub(super) generation: Generation,
    /// The memory of its entries that is that of the table's own, which they were taken from.
    pub(super) adopted: usize,
}

impl Aside {
    /// An empty one beside this table.
    pub(super) fn new(table: &Table) -> Self {
        Self { generation: table.generation(), adopted: 0 }
    }

    /// The memory that it takes on top of the table's own.
    pub(super) fn memory(&self) -> usize {
        self.generation.memory() - self.adopted
    }

    /// Adds a key; returns it if it is there already. What is as it was is taken over from the
    /// table, unless what there is is to be told, so that a resync of unchanged data takes little
    /// more memory than the data does. Such an entry is known by its version: what is new has none
    /// yet.
    pub(super) fn put(
        &mut self,
        db: Db,
        key: &[u8],
        content: Content<'_>,
        expires_at_ms: Option<i64>,
        is_told: bool,
        table: &Table,
    ) -> Option<Bytes> {
        let old = table.item(db, key).filter(|_| !is_told);
        let same = match (old, content) {
            (Some((key, old)), Content::Flat(flat)) if has_flat(&old, flat, expires_at_ms) => {
                Ok((key, old))
            }
            (old, content) => {
                let value = content.into_value();
                let is_same = |old: &Entry| is_unchanged(old, &value, expires_at_ms);
                old.filter(|(_, old)| is_same(old)).ok_or(value)
            }
        };
        let (key, entry) = match same {
            Ok((key, entry)) => {
                self.adopted += entry.shared_memory(key.len());
                (key, entry)
            }
            Err(value) => (Bytes::from(key), Entry::new(value, expires_at_ms)),
        };
        self.generation.put(db, key.clone(), entry).map(|_| key)
    }
}

/// Whether an entry is whole and has this small value, which need not be made to tell.
fn has_flat(old: &Entry, flat: Flat<&[u8]>, expires_at_ms: Option<i64>) -> bool {
    let value = old.value.as_ref().filter(|_| old.hold.is_none());
    old.expires_at_ms == expires_at_ms
        && value.and_then(Flat::of).is_some_and(|old| old.lend() == flat)
}

impl Load {
    /// The gate hears the difference, then readers move over.
    pub(super) fn move_over<G: Gate>(
        &mut self,
        mut next: Generation,
        around: &mut Surroundings<'_>,
        gate: &mut dyn FnMut() -> G,
    ) -> Result<()> {
        *around.unit += 1;
        let unit = *around.unit;
        self.report_vanished(&mut next, around, gate)?;
        self.report_changed(&mut next, around, gate)?;
        around.table.replace(next, self.stamp(unit));
        Ok(())
    }

    fn report_vanished<G: Gate>(
        &mut self,
        next: &mut Generation,
        around: &mut Surroundings<'_>,
        gate: &mut dyn FnMut() -> G,
    ) -> Result<()> {
        for (db, key, old) in around.table.entries() {
            if next.contains(db, &key) {
                continue;
            }
            check_stop(around)?;
            // What was kept from vanishing is nothing to tell of, unless the gate has let it vanish
            // since, in vain.
            let is_told = old.value.is_some() && is_in(&self.told_in_vain, db, &key);
            if known_fingerprint(&old) == Some(ABSENT) && !is_told {
                if old.value.is_some() {
                    next.put(db, key, old);
                }
                continue;
            }
            self.one_key(next, around, gate, |unit| unit.delete(db, &key, Reason::Resync));
        }
        for (db, key) in std::mem::take(&mut self.told_in_vain) {
            if !next.contains(db, &key) && around.table.get(db, &key).is_none() {
                self.one_key(next, around, gate, |unit| unit.deny(db, &key, Reason::Resync));
            }
        }
        Ok(())
    }

    fn report_changed<G: Gate>(
        &mut self,
        next: &mut Generation,
        around: &mut Surroundings<'_>,
        gate: &mut dyn FnMut() -> G,
    ) -> Result<()> {
        let mut place = Place::default();
        // What has a version is the table's own: unchanged, or kept from vanishing.
        while let Some((entries, behind)) = next.without_version(place) {
            place = behind;
            for (db, key, new) in entries {
                let Some(value) = new.value else { continue };
                check_stop(around)?;
                self.one_key(next, around, gate, |unit| {
                    unit.write(db, &key, value, new.expires_at_ms, Reason::Resync);
                });
            }
        }
        Ok(())
    }

    /// Asks about one key as a unit of its own and stores the outcome aside.
    fn one_key<G: Gate>(
        &mut self,
        next: &mut Generation,
        around: &mut Surroundings<'_>,
        gate: &mut dyn FnMut() -> G,
        ask: impl FnOnce(&mut Unit<'_>),
    ) {
        let mut gate = gate();
        let setting = self.setting(around);
        let mut batch = Batch::of(setting.unit);
        let mut unit = Unit::new(setting, &mut gate, &mut batch, 0);
        ask(&mut unit);
        let (asked, _) = unit.finish();
        self.asked.add(asked);
        next.absorb(batch, *around.unit);
    }
}
