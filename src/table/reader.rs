//! The readers' side: single keys, several keys at one unit, sums, and whole copies.

use super::cursor::Cursor;
use super::database::Db;
use super::entry::{Counts, Entry};
use super::index::{Glance, Plain, Segment, Shown, Start};
use super::sharing::{self, Ordering, Pin};
use super::{Shared, Stamp, stamp_of};
use crate::value::Bytes;
use smallvec::SmallVec;
use std::sync::Arc;

/// How often a reader of several keys looks again when they change under its eyes.
const ATTEMPTS: usize = 8;

/// So many keys are looked up without an allocation.
pub const FEW: usize = 16;

/// One of several keys.
struct Sought<'a> {
    /// `None` where there is no such database.
    start: Option<Start<'a>>,
    found: Option<Shown<'a>>,
}

/// Sees what is published. Any number of threads may each have one, or share one.
#[derive(Clone, Debug)]
pub struct Reader {
    shared: Arc<Shared>,
}

impl Reader {
    pub(super) fn new(shared: Arc<Shared>) -> Self {
        Self { shared }
    }

    /// Shows what a key has; takes no lock and allocates nothing. What `f` is shown is lent: it
    /// copies out what it needs.
    pub fn read<R>(&self, db: Db, key: &[u8], f: impl FnOnce(Option<Shown<'_>>) -> R) -> R {
        let pin = self.shared.pin();
        f(self.shared.get(&pin, db, key))
    }

    /// Shows `simple` what nearly all lookups come to, and `other` what else a glance tells; `None`
    /// where it tells nothing: in a thread that has not read before or is reading, of keys of
    /// unusual length, and where there is more to it.
    #[inline(always)]
    pub fn glance<R>(
        &self,
        db: Db,
        key: &[u8],
        simple: impl FnOnce(Plain<'_>) -> R,
        other: impl FnOnce(Option<Shown<'_>>) -> R,
    ) -> Option<R> {
        if !(8..=16).contains(&key.len()) {
            return None;
        }
        let pin = self.shared.pin_at_once()?;
        let found = match self.shared.glance(&pin, db, key) {
            Ok(string) => return Some(simple(string)),
            Err(Glance::Other(found)) => Some(found),
            Err(Glance::Absent) => None,
            Err(Glance::Unsure) => return None,
        };
        Some(other(found))
    }

    /// What several keys have, all at one published unit, and which one that is. `f` runs once for
    /// each, in their order.
    pub fn read_many<K: AsRef<[u8]>>(
        &self,
        keys: &[(Db, K)],
        mut f: impl FnMut(usize, Option<Shown<'_>>),
    ) -> Stamp {
        let pin = self.shared.pin();
        let mut sought: SmallVec<[Sought<'_>; FEW]> = SmallVec::with_capacity(keys.len());
        // What was found while no unit came is what the stamp stands for.
        let at_rest = self.shared.stamp.read_at_rest(|words| {
            self.find_all_at_rest(&pin, keys, &mut sought).then(|| stamp_of(words))
        });
        let Some(stamp) = at_rest.flatten() else { return self.read_many_in_motion(&pin, keys, f) };
        for (at, one) in sought.iter().enumerate() {
            f(at, one.found);
        }
        stamp
    }

    #[cold]
    fn read_many_in_motion<K: AsRef<[u8]>>(
        &self,
        pin: &Pin,
        keys: &[(Db, K)],
        mut f: impl FnMut(usize, Option<Shown<'_>>),
    ) -> Stamp {
        let hashed = |(db, key): &(Db, K)| (*db, self.shared.layout.hash(key.as_ref()));
        let hashed: SmallVec<[_; FEW]> = keys.iter().map(hashed).collect();
        let sought =
            || hashed.iter().zip(keys).map(|((db, hash), (_, key))| (*db, *hash, key.as_ref()));
        let find = |(db, hash, key): (Db, u64, &[u8])| {
            self.shared.find(pin, db, hash, |shown| shown.has_key(key))
        };
        for _ in 0..ATTEMPTS {
            let removals = self.shared.removals.count();
            let Some((_, root)) = self.shared.root.get(pin, &self.shared.commit) else { break };
            let found: Result<SmallVec<[_; FEW]>, _> = sought().map(find).collect();
            let Ok(found) = found else { break };
            let stamp = self.shared.stamp();
            // What is still there was there at the time of the stamp, and what is still absent was
            // not: if databases have not gone to and fro, nor a key that nobody looked at.
            let is_still = sought().zip(&found).all(|((db, hash, key), was)| {
                let now = match was {
                    Some(was) => self.shared.find(pin, db, hash, |shown| shown.is(*was)),
                    None => find((db, hash, key)),
                };
                now.is_ok_and(|now| now.is_some() == was.is_some())
            });
            let is_still = is_still
                && self.shared.root.is(root, pin, &self.shared.commit)
                && (found.iter().all(|one| one.is_some())
                    || self.shared.removals.count() == removals);
            if is_still {
                found.iter().enumerate().for_each(|(at, one)| f(at, *one));
                return stamp;
            }
        }
        // The writer changes these very keys without a pause: it is made to pause.
        let _writing = self.shared.writing.lock();
        for (at, (db, hash, key)) in sought().enumerate() {
            f(at, self.shared.own_get(db, hash, key));
        }
        self.shared.stamp()
    }

    /// Looks for all of them, a step of each at a time, so that the processor fetches what they
    /// look at all at once. Whether that tells what there is.
    fn find_all_at_rest<'a, K: AsRef<[u8]>>(
        &'a self,
        pin: &'a Pin,
        keys: &[(Db, K)],
        sought: &mut SmallVec<[Sought<'a>; FEW]>,
    ) -> bool {
        let Some((databases, _)) = self.shared.root.at_rest(pin) else { return false };
        sought.extend(keys.iter().map(|(db, key)| {
            let hash = self.shared.layout.hash(key.as_ref());
            let database = databases.get(*db);
            Sought { start: database.map(|database| database.index.start(pin, hash)), found: None }
        }));
        sought.iter().filter_map(|one| one.start).for_each(|start| start.fetch_stored());
        sought.iter_mut().zip(keys).all(|(one, (_, key))| {
            let Some(start) = one.start else { return true };
            let found = start.find_at_rest(pin, |shown| shown.has_key(key.as_ref()));
            found.map(|found| one.found = found).is_some()
        })
    }

    /// The place in the primary's history that the published data stands for.
    pub fn stamp(&self) -> Stamp {
        self.shared.stamp()
    }

    /// The databases that have keys, ascending, and how many. Ghosts are not counted.
    pub fn databases(&self) -> Vec<(Db, usize)> {
        let pin = self.shared.pin();
        self.shared.consistent(|_| {
            let Some((databases, _)) = self.shared.root.get(&pin, &self.shared.commit) else {
                return Vec::new();
            };
            let keys = databases.iter().map(|(db, database)| (*db, database.sums.get().keys));
            keys.filter(|(_, keys)| *keys > 0).collect()
        })
    }

    /// How many keys a database has. Ghosts are not counted.
    pub fn count(&self, db: Db) -> usize {
        let pin = self.shared.pin();
        self.shared.consistent(|_| {
            let database =
                self.shared.root.get(&pin, &self.shared.commit).and_then(|(all, _)| all.get(db));
            database.map_or(0, |database| database.sums.get().keys)
        })
    }

    /// The sums over all databases.
    pub fn counts(&self) -> Counts {
        self.shared.counts()
    }

    /// A walk over one database or all.
    pub fn cursor(&self, db: Option<Db>) -> Cursor {
        Cursor::new(Arc::clone(&self.shared), db)
    }

    /// A copy of everything at one unit: databases ascending. It waits for a unit that is being
    /// published and keeps further ones out, but not other readers; the time that takes hardly
    /// grows with the data. What is replaced meanwhile is kept until the copy is dropped.
    pub fn snapshot(&self) -> (Vec<(Db, Entries)>, Stamp) {
        let mut writing = self.shared.writing.lock();
        writing.copy += 1;
        let held = Arc::new(Held::new(Arc::clone(&self.shared)));
        let copy = self.shared.root.own().iter().map(|(db, database)| {
            (*db, Entries { segments: database.index.frozen(), _held: Arc::clone(&held) })
        });
        let copy = copy.filter(|(_, entries)| !entries.is_empty()).collect();
        (copy, self.shared.stamp())
    }
}

/// Keeps everything that is there from being given back.
#[derive(Debug)]
struct Held {
    shared: Arc<Shared>,
    _hold: sharing::Hold,
}

impl Held {
    fn new(shared: Arc<Shared>) -> Self {
        shared.copies.fetch_add(1, Ordering::AcqRel);
        Self { shared, _hold: sharing::Hold::new() }
    }
}

impl Drop for Held {
    fn drop(&mut self) {
        self.shared.copies.fetch_sub(1, Ordering::AcqRel);
    }
}

/// The entries of a database as they were at one unit, whatever is published meanwhile.
#[derive(Debug)]
pub struct Entries {
    segments: Vec<Segment>,
    _held: Arc<Held>,
}

impl Entries {
    /// All of them, in no order.
    pub fn iter(&self) -> impl Iterator<Item = (Bytes, Entry)> {
        // Nothing changes a segment that was copied, and what it has is held.
        self.segments.iter().flat_map(|segment| segment.own_all()).map(Shown::item)
    }

    /// No entry at all.
    pub fn is_empty(&self) -> bool {
        self.segments.iter().all(|segment| segment.used() == 0)
    }
}
