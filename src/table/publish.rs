//! How a unit gets in place: worked out without a lock, then done with all locks that it needs.

use super::batch::{Batch, View};
use super::database::{Database, Databases, Db};
use super::stored::Stored;
use super::{Shared, Stamp};
use crate::value::Bytes;

/// What remains to be done under locks.
pub(super) struct Plan {
    /// All databases go before others come.
    flushed: bool,
    /// The databases that change as a whole.
    moves: Vec<(Db, Source)>,
    /// The writes into databases that were there before; ascending.
    groups: Vec<Group>,
}

/// What a database becomes.
enum Source {
    Nothing,
    /// Built aside from what the unit puts there.
    Fresh(Database),
    /// What was another database until now.
    Moved(Db),
}

/// The writes into one shard.
struct Group {
    db: Db,
    shard: usize,
    writes: Vec<Write>,
}

struct Write {
    hash: u64,
    what: What,
}

enum What {
    Put(Stored),
    Remove(Bytes),
}

/// What was replaced: to be dropped when no lock is held, for it may be huge.
#[derive(Default)]
pub(super) struct Waste {
    databases: Vec<Database>,
    entries: Vec<Stored>,
}

impl Plan {
    /// Only the writer may ask: what is there must still be there when the plan is applied.
    pub(super) fn new(shared: &Shared, batch: Batch, unit: u64) -> Self {
        let mut plan = Self { flushed: batch.flushed, moves: Vec::new(), groups: Vec::new() };
        for (db, view) in batch.views {
            let exists = |db: &Db| shared.databases.read().contains_key(db);
            match view.base.filter(exists) {
                Some(base) => {
                    if base != db {
                        plan.moves.push((db, Source::Moved(base)));
                    }
                    plan.group(shared, db, view, unit);
                }
                None => match build(shared, db, view, unit) {
                    Some(database) => plan.moves.push((db, Source::Fresh(database))),
                    None if exists(&db) => plan.moves.push((db, Source::Nothing)),
                    None => {}
                },
            }
        }
        plan
    }

    fn group(&mut self, shared: &Shared, db: Db, view: View, unit: u64) {
        let mut writes: Vec<(usize, Write)> = Vec::with_capacity(view.slots.len());
        for (key, slot) in view.slots {
            let place = shared.layout.place(&key);
            let what = match slot.into_entry(unit, db) {
                Some(entry) => What::Put(Stored::new(key, entry)),
                None => What::Remove(key),
            };
            writes.push((place.shard, Write { hash: place.hash, what }));
        }
        writes.sort_unstable_by_key(|(shard, _)| *shard);
        for (shard, write) in writes {
            match self.groups.last_mut() {
                Some(group) if (group.db, group.shard) == (db, shard) => group.writes.push(write),
                _ => self.groups.push(Group { db, shard, writes: vec![write] }),
            }
        }
    }

    /// Does it, and returns what the caller is to drop.
    pub(super) fn apply(self, shared: &Shared, stamp: Stamp) -> Waste {
        let mut waste = Waste::default();
        waste.entries.reserve(self.groups.iter().map(|group| group.writes.len()).sum());
        let _publishing = shared.publishing.lock();
        if self.moves.is_empty() && !self.flushed {
            write(shared, &shared.databases.read(), self.groups, stamp, &mut waste);
        } else {
            let mut databases = shared.databases.write();
            if self.flushed {
                waste.databases.extend(std::mem::take(&mut *databases).into_values());
            }
            rearrange(&mut databases, self.moves, &mut waste);
            write(shared, &databases, self.groups, stamp, &mut waste);
        }
        waste
    }
}

/// A database of what the unit puts into it; `None` if that is nothing.
fn build(shared: &Shared, db: Db, view: View, unit: u64) -> Option<Database> {
    let mut built: Option<Database> = None;
    for (key, slot) in view.slots {
        if let Some(entry) = slot.into_entry(unit, db) {
            let database = built.get_or_insert_with(|| Database::new(&shared.layout));
            database.put(&shared.layout, key, entry);
        }
    }
    built
}

/// Takes all databases that move from their places before it puts the first one anywhere.
fn rearrange(databases: &mut Databases, moves: Vec<(Db, Source)>, waste: &mut Waste) {
    let mut arrivals: Vec<(Db, Option<Database>)> = Vec::with_capacity(moves.len());
    for (db, source) in moves {
        let database = match source {
            Source::Nothing => None,
            Source::Fresh(database) => Some(database),
            Source::Moved(from) => databases.remove(&from),
        };
        arrivals.push((db, database));
    }
    for (db, arrival) in arrivals {
        let old = match arrival {
            Some(database) => databases.insert(db, database),
            None => databases.remove(&db),
        };
        waste.databases.extend(old);
    }
}

/// Locks every shard that the unit touches, then the stamp, then changes them all.
fn write(
    shared: &Shared,
    databases: &Databases,
    groups: Vec<Group>,
    stamp: Stamp,
    waste: &mut Waste,
) {
    let mut locked = Vec::with_capacity(groups.len());
    for group in groups {
        if let Some(database) = databases.get(&group.db) {
            locked.push((database, database.write(group.shard), group.writes));
        }
    }
    let mut published = shared.stamp.write();
    for (database, shard, writes) in &mut locked {
        let mut counts = database.counts().lock();
        for Write { hash, what } in writes.drain(..) {
            let old = match what {
                What::Put(new) => {
                    counts.add(&new.counts());
                    shard.put(&shared.layout, hash, new)
                }
                What::Remove(key) => shard.remove(hash, &key),
            };
            if let Some(old) = old {
                counts.remove(&old.counts());
                waste.entries.push(old);
            }
        }
    }
    *published = stamp;
}
