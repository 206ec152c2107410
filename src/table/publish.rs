//! How a unit gets in place: prepared where nobody sees it, then done in one step.

use super::batch::{Batch, View};
use super::database::{Database, Databases, Db};
use super::entry::Counts;
use super::index::{Gone, Index, Stored};
use super::sharing::{Bucket, Ordering, Pending, readers};
use super::{Shared, Stamp, Waste, Writing};
use crate::value::Bytes;
use parking_lot::MutexGuard;
use smallvec::SmallVec;
use std::sync::Arc;

/// What a unit does, as far as that can be worked out before anybody is kept waiting.
#[derive(Default)]
struct Plan {
    /// All databases go before others come.
    flushed: bool,
    /// The databases that change as a whole.
    moves: Vec<(Db, Source)>,
    /// What goes into databases that were there before.
    groups: SmallVec<[Group; 1]>,
}

/// What a database becomes.
enum Source {
    Nothing,
    /// Built aside from what the unit puts there.
    Fresh(Database),
    /// What was another database until now.
    Moved(Db),
}

/// The writes into one database, by their hashes.
struct Group {
    database: Arc<Database>,
    writes: SmallVec<[Write; 1]>,
}

struct Write {
    hash: u64,
    what: What,
}

enum What {
    Put(Stored),
    Remove(Bytes),
}

impl What {
    fn key(&self) -> &[u8] {
        match self {
            Self::Put(stored) => stored.show().key(),
            Self::Remove(key) => key,
        }
    }
}

/// Puts all of a unit in place.
pub(super) fn publish(shared: &Shared, batch: Batch, stamp: Stamp) {
    let plan = Plan::new(shared, batch, stamp.unit);
    let mut writing = shared.writing.lock();
    plan.prepare(shared, &mut writing);
    plan.apply(shared, &mut writing, stamp);
    sweep(shared, writing);
}

/// The place in the history moves. That happens also when nothing is written for long, so that what
/// somebody was looking at when it was replaced does not stay until something is.
pub(super) fn stamp(shared: &Shared, stamp: Stamp) {
    let writing = shared.writing.lock();
    shared.stamp.begin();
    shared.stamp.end(stamp.words());
    sweep(shared, writing);
}

/// Makes a database of so many keys where there is none. Nobody sees a difference.
pub(super) fn make_room(shared: &Shared, db: Db, keys: usize) {
    let mut writing = shared.writing.lock();
    let databases = shared.root.own();
    if databases.get(db).is_none() {
        let mut next = databases.clone();
        next.insert(db, Arc::new(Database::new(keys, writing.copy, &shared.layout)));
        exchange_root(shared, next, false, &mut writing);
    }
}

/// Readers move over to other databases.
pub(super) fn replace(shared: &Shared, next: Databases, stamp: Stamp) {
    let mut writing = shared.writing.lock();
    shared.stamp.begin();
    shared.sums.set(&next.counts());
    exchange_root(shared, next, false, &mut writing);
    shared.stamp.end(stamp.words());
    sweep(shared, writing);
}

/// Gives back what nobody looks at any more, when no lock is held: it may be huge.
fn sweep(shared: &Shared, mut writing: MutexGuard<'_, Writing>) {
    let held = shared.copies.load(Ordering::Acquire) > 0;
    if std::mem::replace(&mut writing.held, held) && !held {
        writing.bin.hurry();
    }
    // A copy of everything has no end that could be waited for.
    if writing.bin.is_full() || !held && writing.bin.is_left_full() {
        let waste = writing.bin.sort_out(readers(), shared.barrier);
        drop(writing);
        drop(waste);
    }
}

/// Gives back all that nobody looks at any more, however little it is.
pub(super) fn tidy(shared: &Shared) {
    let waste = shared.writing.lock().bin.sort_out(readers(), shared.barrier);
    drop(waste);
}

fn exchange_root(shared: &Shared, next: Databases, mark: bool, writing: &mut Writing) {
    let old = shared.root.exchange(next, mark);
    let less = old.counts().memory.saturating_sub(shared.root.own().counts().memory);
    let weight = old.weight() + less;
    writing.bin.put(Waste::Databases(old), weight);
}

impl Plan {
    /// Only the writer may ask: what is there must still be there when the plan is carried out.
    fn new(shared: &Shared, batch: Batch, unit: u64) -> Self {
        let mut plan = Self { flushed: batch.flushed, ..Self::default() };
        let databases = shared.root.own();
        // Copies that are made later are copies of this, too.
        let born = shared.writing.lock().copy;
        for (db, view) in batch.views {
            match view.base.and_then(|base| Some((base, databases.get(base)?))) {
                Some((base, database)) => {
                    if base != db {
                        plan.moves.push((db, Source::Moved(base)));
                    }
                    plan.group(shared, db, database, view, unit);
                }
                None => match build(shared, db, view, unit, born) {
                    Some(database) => plan.moves.push((db, Source::Fresh(database))),
                    None if databases.get(db).is_some() => plan.moves.push((db, Source::Nothing)),
                    None => {}
                },
            }
        }
        plan
    }

    fn group(&mut self, shared: &Shared, db: Db, database: &Arc<Database>, view: View, unit: u64) {
        let mut writes: SmallVec<[Write; 1]> = SmallVec::with_capacity(view.slots.len());
        for (key, slot) in view.slots {
            let hash = shared.layout.hash(&key);
            match slot.into_entry(unit, db) {
                Some(entry) => {
                    writes.push(Write {
                        hash,
                        what: What::Put(Stored::new(&shared.layout.heap, key, entry)),
                    });
                }
                None if database.index.own_find(hash, &key).is_some() => {
                    writes.push(Write { hash, what: What::Remove(key) });
                }
                None => {}
            }
        }
        if !writes.is_empty() {
            // Those of one segment are next to each other.
            writes.sort_unstable_by_key(|write| write.hash);
            self.groups.push(Group { database: Arc::clone(database), writes });
        }
    }

    /// Makes room, and lets copies of everything keep what they have. Nobody sees a difference.
    fn prepare(&self, shared: &Shared, writing: &mut Writing) {
        let held = shared.copies.load(Ordering::Acquire) > 0;
        let numbers = (writing.copy, if held { writing.copy } else { 0 });
        for Group { database, writes } in &self.groups {
            let mut rest = writes.as_slice();
            while let Some(first) = rest.first() {
                let near = |index: &Index| {
                    rest.iter().take_while(|write| index.is_near(first.hash, write.hash)).count()
                };
                let news = |index: &Index| {
                    let near = rest.iter().take(near(index));
                    let new = near.filter(|Write { hash, what }| {
                        matches!(what, What::Put(_)) && index.own_find(*hash, what.key()).is_none()
                    });
                    new.count()
                };
                let gone = |gone: Gone| {
                    let weight = gone.weight();
                    writing.bin.put(Waste::Index(gone), weight);
                };
                database.index.prepare(first.hash, news, numbers, &shared.layout, gone);
                rest = rest.get(near(&database.index)..).unwrap_or_default();
            }
        }
    }

    /// Does it: a single change by one store, several by one store that commits them.
    fn apply(mut self, shared: &Shared, writing: &mut Writing, stamp: Stamp) {
        let changes: usize = self.groups.iter().map(|group| group.writes.len()).sum();
        let next = (self.flushed || !self.moves.is_empty()).then(|| self.rearranged(shared));
        let is_rearranged = next.is_some();
        let pending = (changes + usize::from(is_rearranged) > 1)
            .then(|| shared.commit.begin(Box::new(Pending::new(changes))));
        match pending {
            // First: who finds a place that has changed finds that the databases may have, too.
            Some(pending) if is_rearranged => pending.keep_root(shared.root.word()),
            Some(_) => {}
            None => shared.stamp.begin(),
        }
        let mut writes = self.groups.iter().flat_map(|group| &group.writes);
        if writes.any(|write| matches!(write.what, What::Remove(_))) {
            shared.removals.begin();
        }
        let sums = self.write(writing, |bucket| {
            if let Some(pending) = pending {
                pending.keep(bucket);
            }
        });
        if let Some(next) = next {
            exchange_root(shared, next, pending.is_some(), writing);
        }
        if let Some(pending) = pending {
            shared.stamp.begin();
            pending.commit();
        }
        for (database, new, old) in &sums {
            database.sums.change(new, old);
            shared.sums.change(new, old);
        }
        if is_rearranged {
            shared.sums.set(&shared.root.own().counts());
        }
        shared.stamp.end(stamp.words());
        if let Some(pending) = shared.commit.end(shared.root.word()) {
            let weight = pending.weight();
            writing.bin.put(Waste::Pending(pending), weight);
        }
    }

    /// Writes into databases that were there before, and tells what that adds to their sums and
    /// takes away from them. `before` hears of a bucket before it changes.
    fn write(
        &mut self,
        writing: &mut Writing,
        before: impl Fn(&Bucket),
    ) -> SmallVec<[(Arc<Database>, Counts, Counts); 1]> {
        let write = |Group { database, writes }: Group| {
            let (mut new, mut old) = (Counts::default(), Counts::default());
            for Write { hash, what } in writes {
                let spot = database.index.own_find(hash, what.key());
                let gone = match (what, spot) {
                    (What::Put(stored), spot) => {
                        new.add(&stored.counts());
                        match spot {
                            Some(spot) => {
                                before(spot.bucket);
                                spot.exchange(stored)
                            }
                            None => {
                                database.index.insert(hash, stored, &before);
                                None
                            }
                        }
                    }
                    (What::Remove(_), Some(spot)) => {
                        before(spot.bucket);
                        database.index.remove(hash, &spot)
                    }
                    (What::Remove(_), None) => None,
                };
                if let Some(gone) = gone {
                    old.add(&gone.counts());
                    let weight = gone.weight();
                    writing.bin.put(Waste::Stored(gone), weight);
                }
            }
            (database, new, old)
        };
        std::mem::take(&mut self.groups).into_iter().map(write).collect()
    }

    /// What the databases are then: takes all that move from their places before it puts the first
    /// one anywhere.
    fn rearranged(&mut self, shared: &Shared) -> Databases {
        let mut next = match self.flushed {
            true => Databases::default(),
            false => shared.root.own().clone(),
        };
        let mut arrivals = Vec::with_capacity(self.moves.len());
        for (db, source) in std::mem::take(&mut self.moves) {
            arrivals.push(match source {
                Source::Nothing => (db, None),
                Source::Fresh(database) => (db, Some(Arc::new(database))),
                Source::Moved(from) => (db, next.remove(from)),
            });
        }
        for (db, arrival) in arrivals {
            match arrival {
                Some(database) => next.insert(db, database),
                None => drop(next.remove(db)),
            }
        }
        next
    }
}

/// A database of what the unit puts into it; `None` if that is nothing.
fn build(shared: &Shared, db: Db, view: View, unit: u64, born: u64) -> Option<Database> {
    let entries = view.slots.into_iter().filter_map(|(key, slot)| {
        let entry = slot.into_entry(unit, db)?;
        Some((key, entry))
    });
    let entries: Vec<_> = entries.collect();
    (!entries.is_empty()).then(|| {
        let database = Database::new(entries.len(), born, &shared.layout);
        for (key, entry) in entries {
            database.put(&shared.layout, key, entry);
        }
        database
    })
}
