//! The promises, each with as few steps as it takes to break them.

use crate::bucket::{Bucket, tag_of};
use crate::commit::{Commit, Pending};
use crate::epoch::{Bin, Readers};
use crate::stamp::{Removals, SeqLock, WORDS};
use crate::sync::Ordering;
use loom::cell::UnsafeCell;
use loom::sync::Arc;
use loom::thread;
use std::sync::atomic::AtomicUsize;
use std::sync::atomic::Ordering::Relaxed;

/// Runs a model with at most so many switches of threads that nothing forces.
fn check(switches: usize, model: impl Fn() + Sync + Send + 'static) {
    let mut builder = loom::model::Builder::new();
    builder.preemption_bound = Some(switches);
    builder.max_branches = 100_000;
    let runs = std::sync::Arc::new(AtomicUsize::new(0));
    let counted = runs.clone();
    builder.check(move || {
        counted.fetch_add(1, Relaxed);
        model();
    });
    // One that is run only once has nothing to do with what it is about.
    assert!(runs.load(Relaxed) > 100, "only {runs:?} orders");
    println!("{runs:?} orders");
}

/// Two buckets that belong to one unit, and what stands for the databases. So aligned, because what
/// the writer does depends on addresses, and has to be the same whenever it is repeated.
#[repr(align(256))]
struct Table {
    commit: Commit,
    buckets: [Bucket; 2],
    root: crate::sync::AtomicUsize,
    stamp: SeqLock,
    removals: Removals,
}

const HASH: u64 = 7 << 32;

fn table() -> Arc<Table> {
    let table = Table {
        commit: Commit::default(),
        buckets: Default::default(),
        root: crate::sync::AtomicUsize::new(2),
        stamp: SeqLock::new([1; WORDS]),
        removals: Removals::new(),
    };
    table.buckets.iter().for_each(|bucket| bucket.fill(0, tag_of(HASH), 1));
    Arc::new(table)
}

/// The writer, at work in a thread of its own.
fn beside(
    table: &Arc<Table>,
    work: impl FnOnce(&Table) + Send + 'static,
) -> thread::JoinHandle<()> {
    let table = table.clone();
    thread::spawn(move || work(&table))
}

impl Table {
    /// What a lookup finds; `None` where it would make the writer pause.
    fn get(&self, at: usize) -> Option<u64> {
        for _ in 0..3 {
            // SAFETY: pending units are never given back here.
            let seen = unsafe { self.commit.look(&self.buckets[at])? };
            let Some(place) = seen.control.with_tag(tag_of(HASH)).next() else { return Some(0) };
            if let Some(word) = self.commit.word(&seen, place) {
                return Some(word);
            }
        }
        None
    }

    fn root(&self) -> Option<usize> {
        // SAFETY: as above.
        unsafe { self.commit.root(&self.root) }
    }

    /// A unit that writes this word into both buckets.
    fn write_both(&self, word: u64) {
        let pending = self.commit.begin(Box::new(Pending::new(2)));
        pending.keep_root(&self.root);
        for bucket in &self.buckets {
            pending.keep(bucket);
            bucket.exchange(0, word);
        }
        self.root.store(2 * word as usize | 1, Ordering::Release);
        self.stamp.begin();
        pending.commit();
        self.stamp.end([word; WORDS]);
        std::mem::forget(self.commit.end(&self.root));
    }

    /// A unit that takes both words away.
    fn clear_both(&self) {
        let pending = self.commit.begin(Box::new(Pending::new(2)));
        for bucket in &self.buckets {
            pending.keep(bucket);
            bucket.clear(0);
        }
        self.stamp.begin();
        pending.commit();
        self.stamp.end([9; WORDS]);
        std::mem::forget(self.commit.end(&self.root));
    }

    /// A unit that writes into one.
    fn write_one(&self, at: usize, word: u64) {
        self.stamp.begin();
        self.buckets[at].exchange(0, word);
        self.stamp.end([word; WORDS]);
    }
}

#[test]
fn who_saw_one_write_of_a_unit_sees_the_others() {
    check(3, || {
        let table = table();
        let writer = beside(&table, |table| table.write_both(2));
        if let (Some(first), Some(second)) = (table.get(0), table.get(1)) {
            assert!(first <= second, "{first}, then {second}");
        }
        writer.join().unwrap();
        assert_eq!((table.get(0), table.get(1), table.root()), (Some(2), Some(2), Some(4)));
    });
}

#[test]
fn the_same_while_one_unit_follows_another() {
    check(2, || {
        let table = table();
        let writer = beside(&table, |table| {
            table.write_both(2);
            table.write_both(3);
        });
        if let (Some(first), Some(second)) = (table.get(0), table.get(1)) {
            assert!(first <= second, "{first}, then {second}");
        }
        writer.join().unwrap();
    });
}

#[test]
fn the_same_while_what_was_written_is_taken_away_again() {
    check(2, || {
        let table = table();
        let writer = beside(&table, |table| {
            table.write_both(2);
            table.clear_both();
        });
        if let (Some(first), Some(second)) = (table.get(0), table.get(1)) {
            assert!(first != 0 || second == 0, "{first}, then {second}");
        }
        writer.join().unwrap();
        assert_eq!((table.get(0), table.get(1)), (Some(0), Some(0)));
    });
}

#[test]
fn databases_move_together_with_what_is_in_them() {
    check(3, || {
        let table = table();
        let writer = beside(&table, |table| table.write_both(2));
        // As lookups do: the databases, what is there, and whether those are still the databases.
        if let (Some(root), Some(word)) = (table.root(), table.get(0)) {
            if table.root() == Some(root) {
                assert_eq!(root as u64, 2 * word);
            }
        }
        writer.join().unwrap();
    });
}

#[test]
fn what_was_the_same_before_and_after_is_what_the_stamp_stands_for() {
    check(2, || {
        let table = table();
        let writer = beside(&table, |table| {
            table.write_one(0, 2);
            table.write_one(1, 3);
        });
        let look = || Some((table.get(0)?, table.get(1)?));
        let before = look();
        let ends = [0, WORDS - 1];
        let stamp = table.stamp.read(|words| ends.map(|at| words[at].load(Ordering::Relaxed)));
        if let (Some(before), Some(stamp), Some(after)) = (before, stamp, look()) {
            assert_eq!(stamp[0], stamp[1]);
            if before == after {
                let expected = [(1, 1), (2, 1), (2, 3)][stamp[0] as usize - 1];
                assert_eq!(before, expected, "at {}", stamp[0]);
            }
        }
        writer.join().unwrap();
    });
}

#[test]
fn what_is_found_while_no_unit_comes_is_what_the_stamp_stands_for() {
    check(3, || {
        let table = table();
        let writer = beside(&table, |table| {
            table.write_both(2);
            table.write_one(1, 3);
        });
        let at_rest = table.stamp.read_at_rest(|words| {
            let found = (table.get(0)?, table.get(1)?);
            Some((found, words[0].load(Ordering::Relaxed)))
        });
        if let Some((found, stamp)) = at_rest.flatten() {
            assert_eq!(found, [(1, 1), (2, 2), (2, 3)][stamp as usize - 1], "at {stamp}");
        }
        writer.join().unwrap();
    });
}

#[test]
fn a_whole_unit_is_what_the_stamp_stands_for() {
    check(2, || {
        let table = table();
        let writer = beside(&table, |table| table.write_both(2));
        let look = || Some((table.get(0)?, table.get(1)?));
        let before = look();
        let stamp = table.stamp.read(|words| words[0].load(Ordering::Relaxed));
        if let (Some(before), Some(stamp), Some(after)) = (before, stamp, look()) {
            assert!(before != after || before == (stamp, stamp), "{before:?} at {stamp}");
        }
        writer.join().unwrap();
    });
}

#[test]
fn what_was_absent_before_and_after_was_absent_unless_something_went() {
    check(3, || {
        let table = table();
        table.buckets[0].clear(0);
        let writer = beside(&table, |table| {
            table.stamp.begin();
            table.buckets[0].fill(0, tag_of(HASH), 2);
            table.stamp.end([2; WORDS]);
            table.stamp.begin();
            table.removals.begin();
            table.buckets[0].clear(0);
            table.stamp.end([3; WORDS]);
        });
        let removals = table.removals.count();
        let before = table.get(0);
        let stamp = table.stamp.read(|words| words[0].load(Ordering::Relaxed));
        let after = table.get(0);
        if (before, after) == (Some(0), Some(0)) && table.removals.count() == removals {
            assert_ne!(stamp, Some(2));
        }
        writer.join().unwrap();
    });
}

/// What a slot refers to. Giving it back is a write to it, which must not meet a reader.
struct Thing(UnsafeCell<u64>);

struct Gone(*mut Thing);

impl Drop for Gone {
    fn drop(&mut self) {
        // SAFETY: that is what the model is to show.
        unsafe { (*self.0).0.with_mut(|alive| *alive = 0) };
    }
}

#[test]
fn nothing_is_given_back_that_somebody_looks_at() {
    check(3, || {
        let readers: &'static Readers = Box::leak(Box::new(Readers::new()));
        let thing = || Box::into_raw(Box::new(Thing(UnsafeCell::new(1))));
        let (old, new) = (thing(), thing());
        let table = table();
        table.buckets[0].exchange(0, old.expose_provenance() as u64);
        let reader = {
            let table = table.clone();
            let seat = readers.take_seat();
            thread::spawn(move || {
                for _ in 0..2 {
                    seat.enter(true);
                    let word = table.get(0).unwrap_or_default();
                    let thing = std::ptr::with_exposed_provenance::<Thing>(word as usize);
                    // SAFETY: that is what the model is to show.
                    unsafe { (*thing).0.with(|alive| assert_eq!(*alive, 1)) };
                    seat.leave();
                }
            })
        };
        let mut bin = Bin::default();
        table.buckets[0].exchange(0, new.expose_provenance() as u64);
        bin.put(Gone(old), 1);
        drop(bin.sort_out(readers, None));
        reader.join().unwrap();
        assert_eq!(bin.sort_out(readers, None).len() + usize::from(is_gone(old)), 1);
        std::mem::forget(bin);
    });
}

fn is_gone(thing: *mut Thing) -> bool {
    // SAFETY: the threads are through.
    unsafe { (*thing).0.with(|alive| *alive == 0) }
}
