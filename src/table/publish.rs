//! How a unit gets in place: prepared where nobody sees it, then done in one step.

use super::batch::{Batch, Slot, View};
use super::database::{Database, Databases, Db};
use super::entry::Counts;
use super::index::{Gone, Index, Shown, Stored};
use super::layout::Layout;
use super::sharing::{Bucket, Ordering, Pending, readers};
use super::{Shared, Stamp, Waste, Writing};
use crate::memory::Hand;
use crate::value::Bytes;
use parking_lot::MutexGuard;
use smallvec::SmallVec;
use std::sync::Arc;

/// What a unit does, as far as that can be worked out before anybody is kept waiting.
struct Plan<'a> {
    /// All databases go before others come.
    flushed: bool,
    /// The databases that change as a whole.
    moves: Vec<(Db, Source)>,
    /// What goes into databases that were there before.
    groups: SmallVec<[Group<'a>; 1]>,
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
struct Group<'a> {
    database: &'a Database,
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

impl Writing {
    /// Nobody comes to this from now on.
    pub(super) fn throw_away(&mut self, weight: usize, waste: Waste) {
        self.bin.put(waste, weight);
    }

    /// The numbers of the last copy of everything, and of the last one that somebody has, or 0.
    pub(super) fn numbers(&self, shared: &Shared) -> (u64, u64) {
        let held = shared.copies.load(Ordering::Acquire) > 0;
        (self.copy, if held { self.copy } else { 0 })
    }
}

impl What {
    fn of(layout: &Layout, slot: Slot, unit: u64, db: Db) -> Self {
        slot.into_stored(&layout.heap, unit, db).map_or_else(Self::Remove, Self::Put)
    }

    fn key(&self) -> &[u8] {
        match self {
            Self::Put(stored) => stored.show().key(),
            Self::Remove(key) => key,
        }
    }
}

/// Puts all of a unit in place.
pub(super) fn publish(shared: &Shared, hand: &Hand, mut batch: Batch, stamp: Stamp) {
    let only = batch.only().and_then(|db| Some((db, shared.root.own().get(db)?)));
    if let Some((db, database)) = only
        && let Some((slot, is_expected)) = batch.take_only(stamp.unit)
    {
        let hash = slot.hash(&shared.layout);
        let what = match slot {
            Slot::Put(stored, _) if is_expected => What::Put(stored),
            slot => What::of(&shared.layout, slot, stamp.unit, db),
        };
        return publish_one(shared, hand, database, Write { hash, what }, stamp);
    }
    let plan = Plan::new(shared, batch, stamp.unit);
    let mut writing = shared.writing.lock();
    plan.prepare(shared, &mut writing);
    plan.apply(shared, &mut writing, stamp);
    sweep(shared, hand, writing);
}

/// Puts a single write in place, as most units are: one store does it.
fn publish_one(shared: &Shared, hand: &Hand, database: &Database, write: Write, stamp: Stamp) {
    let (index, Write { hash, what }) = (&database.index, write);
    let mut spot = index.own_find(hash, what.key());
    let mut guard = shared.writing.lock();
    let writing = &mut *guard;
    let numbers = writing.numbers(shared);
    let is_vain = match (&what, spot) {
        // As many words as before: all stays as it is, unless a copy has it.
        (What::Put(_), Some(_)) => numbers.1 == 0,
        (What::Remove(_), spot) => spot.is_none(),
        (What::Put(_), None) => false,
    };
    if !is_vain {
        let (news, mut is_moved) = (usize::from(spot.is_none()), false);
        let gone = |gone: Gone| {
            is_moved = true;
            writing.throw_away(gone.weight(), Waste::Index(gone));
        };
        index.prepare(hash, |_| news, numbers, &shared.layout, gone);
        if is_moved {
            spot = index.own_find(hash, what.key());
        }
    }
    shared.stamp.begin();
    let (later, old) = match (what, spot) {
        (What::Put(stored), Some(spot)) => {
            let old = spot.exchange(stored);
            let later = spot.show();
            count(shared, database, later, old.as_ref().map(Stored::show));
            (later, old)
        }
        (What::Put(stored), None) => {
            count(shared, database, Some(stored.show()), None);
            index.insert(hash, stored, |_| ());
            (None, None)
        }
        (What::Remove(_), Some(spot)) => {
            shared.removals.begin();
            let old = index.remove(hash, &spot);
            count(shared, database, None, old.as_ref().map(Stored::show));
            (None, old)
        }
        (What::Remove(_), None) => (None, None),
    };
    shared.stamp.end(stamp.words());
    if let Some(old) = old {
        let weight = old.weight(later);
        writing.throw_away(weight, Waste::Stored(old));
    }
    sweep(shared, hand, guard);
}

/// One thing in the place of another is counted.
#[inline]
fn count(shared: &Shared, database: &Database, new: Option<Shown<'_>>, old: Option<Shown<'_>>) {
    let sums = [&database.sums, &shared.sums];
    if let (Some(new), Some(old)) = (new, old)
        && let Some((place, [new, old])) = new.memory_beside(old)
    {
        if new != old {
            sums.iter().for_each(|sums| sums.exchange_memory(place, new, old));
        }
        return;
    }
    let [new, old] = [new, old].map(|shown| shown.map(Shown::share));
    sums.iter().for_each(|sums| sums.exchange(new, old));
}

/// The place in the history moves. That happens also when nothing is written for long, so that what
/// somebody was looking at when it was replaced does not stay until something is.
pub(super) fn stamp(shared: &Shared, hand: &Hand, stamp: Stamp) {
    let writing = shared.writing.lock();
    shared.stamp.begin();
    shared.stamp.end(stamp.words());
    sweep(shared, hand, writing);
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
pub(super) fn replace(shared: &Shared, hand: &Hand, next: Databases, stamp: Stamp) {
    let mut writing = shared.writing.lock();
    shared.stamp.begin();
    shared.sums.set(&next.counts());
    exchange_root(shared, next, false, &mut writing);
    shared.stamp.end(stamp.words());
    sweep(shared, hand, writing);
}

/// Gives back what nobody looks at any more, when no lock is held: it may be huge.
#[inline]
pub(super) fn sweep(shared: &Shared, hand: &Hand, mut writing: MutexGuard<'_, Writing>) {
    let held = shared.copies.load(Ordering::Acquire) > 0;
    if std::mem::replace(&mut writing.held, held) && !held {
        writing.bin.hurry();
    }
    // A copy of everything has no end that could be waited for.
    if writing.bin.is_full() || !held && writing.bin.is_left_full() {
        sort_out(shared, hand, writing);
    }
}

/// Gives back all that nobody looks at any more, however little it is.
pub(super) fn tidy(shared: &Shared, hand: &Hand) {
    sort_out(shared, hand, shared.writing.lock());
    hand.put_down();
}

#[cold]
fn sort_out(shared: &Shared, hand: &Hand, mut writing: MutexGuard<'_, Writing>) {
    let waste = writing.bin.sort_out(readers(), shared.barrier);
    drop(writing);
    for lot in waste {
        let mut lot = lot.into_iter();
        while let Some(thing) = lot.next() {
            // It was in no cache since it was put there.
            if let Some(Waste::Stored(soon)) = lot.as_slice().get(SOON) {
                soon.fetch();
            }
            match thing {
                Waste::Stored(stored) => stored.give_to(hand),
                thing => drop(thing),
            }
        }
    }
}

/// So many things before it is given back, one is fetched.
const SOON: usize = 16;

fn exchange_root(shared: &Shared, next: Databases, mark: bool, writing: &mut Writing) {
    let old = shared.root.exchange(next, mark);
    let less = old.memory().saturating_sub(shared.root.own().memory());
    let weight = old.weight() + less;
    writing.bin.put(Waste::Databases(old), weight);
}

impl<'a> Plan<'a> {
    /// Only the writer may ask: what is there must still be there when the plan is carried out.
    fn new(shared: &'a Shared, batch: Batch, unit: u64) -> Self {
        let (views, flushed) = batch.into_views();
        let mut plan = Self { flushed, moves: Vec::new(), groups: SmallVec::new() };
        let databases = shared.root.own();
        for (db, view) in views.into_iter() {
            match view.base.and_then(|base| Some((base, databases.get(base)?))) {
                Some((base, database)) => {
                    if base != db {
                        plan.moves.push((db, Source::Moved(base)));
                    }
                    plan.group(shared, db, database, view, unit);
                }
                None => match build(shared, db, view, unit) {
                    Some(database) => plan.moves.push((db, Source::Fresh(database))),
                    None if databases.get(db).is_some() => plan.moves.push((db, Source::Nothing)),
                    None => {}
                },
            }
        }
        plan
    }

    fn group(&mut self, shared: &Shared, db: Db, database: &'a Database, view: View, unit: u64) {
        let mut writes: SmallVec<[Write; 1]> = SmallVec::with_capacity(view.slots.len());
        for slot in view.slots.into_iter() {
            let hash = slot.hash(&shared.layout);
            let what = What::of(&shared.layout, slot, unit, db);
            let is_vain = || database.index.own_find(hash, what.key()).is_none();
            if !(matches!(what, What::Remove(_)) && is_vain()) {
                writes.push(Write { hash, what });
            }
        }
        if !writes.is_empty() {
            // Those of one segment are next to each other.
            writes.sort_unstable_by_key(|write| write.hash);
            self.groups.push(Group { database, writes });
        }
    }

    /// Makes room, and lets copies of everything keep what they have. Nobody sees a difference.
    fn prepare(&self, shared: &Shared, writing: &mut Writing) {
        let numbers = writing.numbers(shared);
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
                    writing.throw_away(gone.weight(), Waste::Index(gone));
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
        for (database, new, old) in sums.iter().filter(|(_, new, old)| new != old) {
            database.sums.change(new, old);
            shared.sums.change(new, old);
        }
        if is_rearranged {
            shared.sums.set(&shared.root.own().counts());
        }
        shared.stamp.end(stamp.words());
        if let Some(pending) = shared.commit.end(shared.root.word()) {
            writing.throw_away(pending.weight(), Waste::Pending(pending));
        }
    }

    /// Writes into databases that were there before, and tells what that adds to their sums and
    /// takes away from them. `before` hears of a bucket before it changes.
    fn write(
        &mut self,
        writing: &mut Writing,
        before: impl Fn(&Bucket),
    ) -> SmallVec<[(&'a Database, Counts, Counts); 1]> {
        let write = |Group { database, writes }: Group<'a>| {
            let (mut new, mut old) = (Counts::default(), Counts::default());
            for Write { hash, what } in writes {
                let spot = database.index.own_find(hash, what.key());
                let (gone, later) = match (what, spot) {
                    (What::Put(stored), spot) => {
                        new.add_share(stored.share());
                        match spot {
                            Some(spot) => {
                                before(spot.bucket);
                                (spot.exchange(stored), spot.show())
                            }
                            None => {
                                database.index.insert(hash, stored, &before);
                                (None, None)
                            }
                        }
                    }
                    (What::Remove(_), Some(spot)) => {
                        before(spot.bucket);
                        (database.index.remove(hash, &spot), None)
                    }
                    (What::Remove(_), None) => (None, None),
                };
                if let Some(gone) = gone {
                    old.add_share(gone.share());
                    writing.throw_away(gone.weight(later), Waste::Stored(gone));
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
fn build(shared: &Shared, db: Db, view: View, unit: u64) -> Option<Database> {
    let heap = &shared.layout.heap;
    let entries: Vec<_> =
        view.slots.into_iter().filter_map(|slot| slot.into_stored(heap, unit, db).ok()).collect();
    (!entries.is_empty()).then(|| {
        // Copies that are made later are copies of this, too.
        let born = shared.writing.lock().copy;
        let database = Database::new(entries.len(), born, &shared.layout);
        for stored in entries {
            let (key, entry) = stored.show().item();
            database.put(&shared.layout, key, entry);
        }
        database
    })
}
