//! What the table promises, tried against a plain sorted map and with threads.

mod bank;
mod crowd;
mod walk;

use super::entry::KINDS;
use super::*;
use crate::env::{Env, System};
use crate::memory::Heap;
use crate::value::{Bytes, Field, Hash, Value, Withheld};
use proptest::prelude::*;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::atomic::{AtomicBool, Ordering};

fn name(prefix: &str, number: impl std::fmt::Display) -> Bytes {
    Bytes::from(format!("{prefix}{number}").as_bytes())
}

fn number(n: i64) -> Entry {
    Entry::new(Value::string(n.to_string().as_bytes()), None)
}

fn number_of(entry: &Entry) -> i64 {
    match &entry.value {
        Some(Value::String(bytes)) => std::str::from_utf8(bytes).unwrap().parse().unwrap(),
        other => panic!("not a number: {other:?}"),
    }
}

fn unit(unit: u64) -> Stamp {
    Stamp { replid: [b'a'; 40], offset: unit as i64 * 10, unit }
}

/// Without one for all threads, and with it where there is such a call.
fn barriers() -> impl Iterator<Item = Option<fn() -> bool>> {
    [None].into_iter().chain(System::new().barrier().map(Some))
}

/// Tells the readers' threads to end when it is dropped, also by a panic of the writer.
struct Done<'a>(&'a AtomicBool);

impl Drop for Done<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Release);
    }
}

/// Random numbers that are the same in every run.
struct Dice(u64);

impl Dice {
    fn roll(&mut self, sides: u64) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        (self.0 >> 11) % sides
    }
}

/// An entry of every sort.
fn sample(sort: u8) -> Entry {
    let fields =
        |n: u8| -> Hash { (0..n).map(|i| (name("field", i), Field::new(b"value"))).collect() };
    let held = |frozen: bool, withheld: &[&str]| {
        let withheld: Withheld = withheld.iter().map(|w| (name("", w), Some(7))).collect();
        let fingerprint = frozen.then_some(9);
        Some(Arc::new(Hold { frozen, fingerprint, withheld, ..Hold::default() }))
    };
    match sort % 6 {
        0 => number(i64::from(sort)),
        1 => Entry::new(Value::string(&vec![b'x'; sort.into()]), Some(sort.into())),
        2 => {
            let hold = Hold { fingerprint: Some(sort.into()), ..Hold::default() };
            Entry { hold: Some(Arc::new(hold)), ..Entry::default() }
        }
        3 => Entry { hold: held(true, &[]), ..Entry::new(Value::Hash(fields(3)), Some(5)) },
        4 => {
            Entry { hold: held(false, &["a", "bc"]), ..Entry::new(Value::Hash(fields(sort)), None) }
        }
        _ => Entry { version: sort.into(), ..number(1) },
    }
}

fn many(reader: &Reader, keys: &[(Db, Bytes)]) -> (Vec<Option<Entry>>, Stamp) {
    let mut found = Vec::new();
    let stamp = reader.read_many(keys, |at, entry| {
        assert_eq!(at, found.len());
        found.push(entry.map(Shown::entry));
    });
    (found, stamp)
}

type Contents = BTreeMap<(Db, Bytes), Entry>;

fn sums(contents: &Contents) -> Counts {
    let (mut counts, heap) = (Counts::default(), Heap::new());
    for ((_, key), entry) in contents {
        counts.add_share(Stored::new(&heap, key.clone(), entry.clone()).share());
    }
    counts
}

/// Every way to look at the table shows these contents.
fn assert_shows(table: &Table, contents: &Contents, stamp: Stamp) {
    let reader = table.reader();
    let mut keys: BTreeMap<Db, usize> = BTreeMap::new();
    for ((db, _), entry) in contents {
        *keys.entry(*db).or_default() += usize::from(!entry.is_ghost());
    }
    keys.retain(|_, keys| *keys > 0);
    assert_eq!(reader.databases(), keys.into_iter().collect::<Vec<_>>());
    assert_eq!(reader.counts(), sums(contents));
    assert_eq!(table.memory(), sums(contents).total_memory());
    assert_eq!(reader.stamp(), stamp);

    let (copy, at) = reader.snapshot();
    assert_eq!(at, stamp);
    let copied = copy
        .iter()
        .flat_map(|(db, items)| items.iter().map(move |(key, entry)| ((*db, key), entry)));
    assert_eq!(copied.collect::<Contents>(), *contents);

    let walked: Vec<_> = table.entries().collect();
    assert_eq!(walked.len(), contents.len());
    assert_eq!(walked.into_iter().map(|(db, k, e)| ((db, k), e)).collect::<Contents>(), *contents);

    let wanted: Vec<_> = (0..DBS).flat_map(|db| keys_of().map(move |key| (db, key))).collect();
    let (found, at) = many(&reader, &wanted);
    let expected = wanted.iter().map(|key| contents.get(key).cloned());
    assert!(found == expected.collect::<Vec<_>>() && at == stamp);
    for (db, key) in &wanted {
        let expected = contents.get(&(*db, key.clone()));
        reader.read(*db, key, |entry| assert_eq!(entry.map(Shown::entry).as_ref(), expected));
        assert_eq!(table.get(*db, key).as_ref(), expected);
    }
}

const DBS: Db = 4;
const KEYS: u8 = 5;

fn keys_of() -> impl Iterator<Item = Bytes> {
    (0..KEYS).map(|n| name("key", n))
}

#[derive(Clone, Debug)]
enum Step {
    Put(Db, u8, u8),
    Keep(Db, u8, u8),
    Remove(Db, u8),
    Flush(Option<Db>),
    Swap(Db, Db),
    Publish,
    Forget,
    Stamp,
    Replace(u8),
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        8 => (0..DBS, 0..KEYS, any::<u8>()).prop_map(|(d, k, s)| Step::Put(d, k, s)),
        2 => (0..DBS, 0..KEYS, any::<u8>()).prop_map(|(d, k, s)| Step::Keep(d, k, s)),
        4 => (0..DBS, 0..KEYS).prop_map(|(d, k)| Step::Remove(d, k)),
        2 => proptest::option::weighted(0.7, 0..DBS).prop_map(Step::Flush),
        3 => (0..DBS, 0..DBS).prop_map(|(a, b)| Step::Swap(a, b)),
        5 => Just(Step::Publish),
        1 => Just(Step::Forget),
        1 => Just(Step::Stamp),
        1 => any::<u8>().prop_map(Step::Replace),
    ]
}

/// The plain map that the table is compared to, and what the unit makes of it.
#[derive(Default)]
struct Model {
    published: Contents,
    /// With whether the entry gets a new version.
    staged: BTreeMap<(Db, Bytes), (Entry, bool)>,
}

impl Model {
    fn forget(&mut self) {
        let old = self.published.iter();
        self.staged = old.map(|(key, entry)| (key.clone(), (entry.clone(), false))).collect();
    }

    fn publish(&mut self, unit: u64) {
        let staged = std::mem::take(&mut self.staged).into_iter();
        self.published = staged
            .map(|(key, (entry, is_new))| {
                let version = if is_new { version(unit, key.0) } else { entry.version };
                (key, Entry { version, ..entry })
            })
            .collect();
        self.forget();
    }

    fn swap(&mut self, a: Db, b: Db) {
        let staged = std::mem::take(&mut self.staged).into_iter();
        let other = |db| {
            if db == a {
                b
            } else if db == b {
                a
            } else {
                db
            }
        };
        self.staged = staged.map(|((db, key), entry)| ((other(db), key), entry)).collect();
    }
}

fn run(steps: Vec<Step>) {
    let mut table = Table::new(None);
    let mut batch = Batch::new();
    let mut model = Model::default();
    let mut at = 1000;
    for step in steps {
        at += 1;
        match step {
            Step::Put(db, key, sort) => {
                batch.put(&table, db, name("key", key), sample(sort));
                model.staged.insert((db, name("key", key)), (sample(sort), true));
            }
            Step::Keep(db, key, sort) => {
                batch.put_keeping_version(&table, db, name("key", key), sample(sort));
                // What the unit wrote itself stays a new version.
                let is_new = model.staged.get(&(db, name("key", key))).is_some_and(|old| old.1);
                model.staged.insert((db, name("key", key)), (sample(sort), is_new));
            }
            Step::Remove(db, key) => {
                batch.remove(db, &name("key", key));
                model.staged.remove(&(db, name("key", key)));
            }
            Step::Flush(db) => {
                batch.flush(db);
                model.staged.retain(|(in_db, _), _| db.is_some_and(|db| db != *in_db));
            }
            Step::Swap(a, b) => {
                batch.swap(a, b);
                model.swap(a, b);
            }
            Step::Publish => {
                table.publish(std::mem::take(&mut batch), unit(at));
                model.publish(at);
                assert_shows(&table, &model.published, unit(at));
            }
            Step::Forget => {
                batch = Batch::new();
                model.forget();
            }
            Step::Stamp => {
                table.stamp(unit(at));
                assert_shows(&table, &model.published, unit(at));
            }
            Step::Replace(sort) => {
                batch = Batch::new();
                model.published = build_and_replace(&mut table, &model.published, sort, unit(at));
                model.forget();
                assert_shows(&table, &model.published, unit(at));
            }
        }
        assert_unit_sees(&batch, &table, &model);
    }
    empty(&mut table, at + 1);
}

/// A new generation of some of the old entries and some new ones.
fn build_and_replace(table: &mut Table, old: &Contents, sort: u8, stamp: Stamp) -> Contents {
    let mut next = table.generation();
    let mut contents = Contents::new();
    for ((db, key), entry) in old.iter().skip(usize::from(sort % 3)) {
        assert_eq!(next.put(*db, key.clone(), entry.clone()), None);
        contents.insert((*db, key.clone()), entry.clone());
    }
    for key in 0..sort % KEYS {
        let at = (u32::from(sort) % DBS, name("key", key));
        let was = next.put(at.0, at.1.clone(), sample(sort));
        assert_eq!(was, contents.insert(at, sample(sort)));
    }
    if let Some(((db, key), entry)) = contents.pop_first() {
        assert_eq!(next.remove(db, &key), Some(entry));
        assert_eq!((next.remove(db, &key), next.get(db, &key)), (None, None));
    }
    assert_eq!(next.counts(), sums(&contents));
    let entries = next.entries().map(|(db, key, entry)| ((db, key), entry));
    assert_eq!(entries.collect::<Contents>(), contents);
    table.replace(next, stamp);
    contents
}

/// The unit shows its own writes and what lies below; the readers only what is published.
fn assert_unit_sees(batch: &Batch, table: &Table, model: &Model) {
    let reader = table.reader();
    for db in 0..DBS {
        for key in keys_of() {
            let at = (db, key.clone());
            let found = batch.get(table, db, &key);
            let expected = model.staged.get(&at).map(|(entry, is_new)| match (is_new, &found) {
                // What is not published has no version yet.
                (true, Some(found)) => Entry { version: found.version, ..entry.clone() },
                _ => entry.clone(),
            });
            assert_eq!(found, expected);
            reader.read(db, &key, |entry| {
                assert_eq!(entry.map(Shown::entry).as_ref(), model.published.get(&at));
            });
        }
    }
    if batch.is_empty() {
        let staged = model.staged.iter().map(|(key, (entry, _))| (key.clone(), entry.clone()));
        assert_eq!(staged.collect::<Contents>(), model.published);
    }
}

/// Deletes key by key, after which nothing is left in the books.
fn empty(table: &mut Table, at: u64) {
    let mut batch = Batch::new();
    for (db, key, _) in table.entries() {
        batch.remove(db, &key);
    }
    table.publish(batch, unit(at));
    assert_shows(table, &Contents::new(), unit(at));
    assert_eq!((table.reader().counts(), table.memory()), (Counts::default(), 0));
}

proptest! {
    #![proptest_config(ProptestConfig {
        cases: 60, failure_persistence: None, ..Default::default()
    })]
    #[test]
    fn units_do_what_a_sorted_map_does_and_nobody_sees_them_early(
        steps in proptest::collection::vec(step(), 0..60),
    ) {
        run(steps);
    }
}

#[test]
fn each_sort_of_entry_is_counted_where_it_belongs() {
    let mut table = Table::new(None);
    let mut batch = Batch::new();
    for sort in 0..6 {
        batch.put(&table, 7, name("key", sort), sample(sort));
    }
    let before = table.memory();
    table.publish(batch, unit(1));
    let reader = table.reader();
    let Counts { keys, expires, ghosts, partial, frozen, memory: by_type } = reader.counts();
    assert_eq!((keys, expires, ghosts, partial, frozen), (5, 2, 1, 1, 1));
    assert_eq!((reader.count(7), reader.count(6)), (5, 0));
    let memory = table.memory();
    assert!(by_type[KINDS - 1] > 0 && by_type.iter().sum::<usize>() == memory);

    let mut batch = Batch::new();
    batch.put(&table, 7, name("key", 0), Entry::new(Value::string(&[0; 10_000]), None));
    table.publish(batch, unit(2));
    // It no longer fits into one block with its key.
    assert!((memory + 10_000..memory + 10_250).contains(&table.memory()));
    empty(&mut table, 3);
    assert_eq!(table.memory(), before);
}

#[test]
fn a_write_is_a_new_version_even_if_it_changes_nothing() {
    let mut table = Table::new(None);
    let version = |table: &Table| table.get(0, b"key").map(|entry| entry.version);
    let entry = Entry { version: 3, ..number(1) };
    for at in [4, 5] {
        let mut batch = Batch::new();
        batch.put(&table, 0, name("key", ""), entry.clone());
        table.publish(batch, unit(at));
        assert_eq!(version(&table), Some(at));
    }
    let mut batch = Batch::new();
    batch.put_keeping_version(&table, 0, name("key", ""), entry.clone());
    table.publish(batch, unit(6));
    assert_eq!(version(&table), Some(3));
    let mut next = table.generation();
    next.put(0, name("key", ""), entry);
    table.replace(next, unit(7));
    assert_eq!((version(&table), table.reader().stamp()), (Some(3), unit(7)));
}

#[test]
fn keys_of_one_name_never_have_the_same_version() {
    let mut table = Table::new(None);
    let mut batch = Batch::new();
    for db in 0..3 {
        batch.put(&table, db, name("key", ""), number(i64::from(db)));
    }
    table.publish(batch, unit(1));
    let mut next = table.generation();
    let mut batch = Batch::new();
    for db in 3..5 {
        batch.put(&table, db, name("key", ""), number(i64::from(db)));
    }
    next.absorb(batch, 2);
    let old = (0..3).map(|db| table.get(db, b"key"));
    let new = (3..5).map(|db| next.get(db, b"key"));
    let versions: BTreeSet<u64> = old.chain(new).flatten().map(|entry| entry.version).collect();
    assert_eq!(versions.len(), 5);
}

#[test]
fn a_unit_that_undoes_itself_is_empty() {
    let mut batch = Batch::new();
    batch.swap(0, 1);
    assert!(!batch.is_empty());
    batch.swap(1, 0);
    batch.swap(2, 2);
    assert!(batch.is_empty());
    batch.flush(None);
    assert!(!batch.is_empty());
}

#[test]
fn readers_outlive_the_writer() {
    fn shared<T: Send + Sync>(_: &T) {}
    // From thread to thread; one at a time has it.
    fn sent<T: Send>(_: &T) {}
    let mut table = Table::new(None);
    assert_eq!(table.reader().stamp(), Stamp { replid: [b'0'; 40], offset: -1, unit: 0 });
    let mut batch = Batch::new();
    batch.put(&table, 0, name("key", 1), number(5));
    table.publish(batch, unit(1));
    sent(&table);
    let reader = table.reader();
    drop(table);
    shared(&reader);
    assert_eq!(reader.read(0, b"key1", |entry| entry.map(|entry| entry.lend(number_of))), Some(5));
}

#[test]
fn a_glance_tells_what_a_look_finds() {
    const KEYS: usize = if cfg!(miri) { 40 } else { 3000 };
    for barrier in barriers() {
        let mut table = Table::new(barrier);
        let key = |n: usize| Bytes::from(format!("{n:0>len$}", len = 1 + n % 19).as_bytes());
        let mut batch = Batch::new();
        for n in (0..KEYS).step_by(2) {
            let value = match n % 5 {
                0 => Value::Hash([("field", Field::new(b"value"))].into_iter().collect()),
                1 => Value::string(&[b'v'; 2000]),
                _ => Value::string(n.to_string().as_bytes()),
            };
            let expires_at_ms = (n % 3 == 0).then_some(n as i64);
            let ghost = n % 7 == 0;
            let entry =
                Entry { value: (!ghost).then_some(value), expires_at_ms, ..Entry::default() };
            batch.put(&table, n as Db % 4, key(n), entry);
        }
        table.publish(batch, unit(70_000));
        let reader = table.reader();
        // Before that, the thread has nowhere to announce that it reads.
        assert!(!reader.read(0, b"nobody", |found| found.is_some()));
        let mut simple = 0;
        for n in 0..KEYS {
            for db in 0..5 {
                let wanted = reader.read(db, &key(n), |found| found.map(Shown::entry));
                let told = reader.glance(
                    db,
                    &key(n),
                    |plain| {
                        let entry = Entry::new(Value::string(plain.bytes), plain.expires_at_ms);
                        (true, Some(Entry { version: plain.version, ..entry }))
                    },
                    |found| (false, found.map(Shown::entry)),
                );
                let is_usual = (8..=16).contains(&key(n).len());
                assert_eq!(told.is_some(), is_usual, "nobody writes");
                if let Some((is_simple, told)) = told {
                    assert_eq!(told, wanted, "{n}");
                    simple += usize::from(is_simple);
                }
            }
        }
        assert!(simple > KEYS / 20, "{simple} of them were told as such");
        let nested = reader.read(0, b"nobody", |_| reader.glance(0, &key(8), |_| (), |_| ()));
        assert_eq!(nested, None, "a thread that reads has a seat that says so");
    }
}

#[test]
fn what_a_glance_has_come_to_is_not_written_over() {
    // As large as fits into one block, so that the bin is full soon, and what was in it is taken
    // again from the writer's hand.
    const LEN: u64 = 900;
    const UNITS: u64 = if cfg!(miri) { 350 } else { 40_000 };
    for barrier in barriers() {
        let mut table = Table::new(barrier);
        let (reader, done) = (table.reader(), AtomicBool::new(false));
        let keys: Vec<Bytes> = (0..3).map(|n| name("some key ", n)).collect();
        let value = |at: u64| vec![at as u8; (LEN - at % 8) as usize];
        let mut publish = |at: u64| {
            let mut batch = Batch::new();
            let key = &keys[at as usize % keys.len()];
            match at % 16 {
                15 => batch.remove(0, key),
                _ => batch.put(&table, 0, key, Entry::new(Value::string(&value(at)), None)),
            }
            table.publish(batch, unit(at));
            if at.is_multiple_of(1_000) {
                table.tidy();
            }
        };
        (1..4).for_each(&mut publish);
        std::thread::scope(|scope| {
            let look = || {
                let mut seen = 0;
                loop {
                    let is_last = done.load(Ordering::Acquire);
                    for key in &keys {
                        reader.read(0, b"to have a seat", |_| ());
                        let simple = |plain: Plain<'_>| {
                            assert!(plain.bytes == value(plain.version), "{}", plain.version);
                            1
                        };
                        seen += reader.glance(0, key, simple, |_| 0).unwrap_or(0);
                    }
                    if is_last {
                        return seen;
                    }
                }
            };
            let readers = [scope.spawn(look), scope.spawn(look)];
            let done = Done(&done);
            (4..UNITS).for_each(&mut publish);
            drop(done);
            assert!(readers.into_iter().all(|reader| reader.join().unwrap() > 0));
        });
    }
}

#[test]
fn the_sums_of_several_databases_belong_to_one_unit() {
    // Many databases between the two that a coin goes to and fro between: whoever adds up without
    // a lock over all of them is on the way for long enough to see it in both or in none.
    const LAST: Db = 200;
    let mut table = Table::new(None);
    let mut batch = Batch::new();
    (0..=LAST).for_each(|db| batch.put(&table, db, name("key", db), number(0)));
    batch.put(&table, 0, name("coin", ""), number(0));
    table.publish(batch, unit(1));
    let expected = table.reader().counts();
    let reader = table.reader();
    let done = AtomicBool::new(false);
    std::thread::scope(|scope| {
        scope.spawn(|| {
            let _done = Done(&done);
            for at in 2..8000 {
                let mut batch = Batch::new();
                batch.remove(if at % 2 == 0 { 0 } else { LAST }, b"coin");
                batch.put(&table, if at % 2 == 0 { LAST } else { 0 }, name("coin", ""), number(0));
                table.publish(batch, unit(at));
            }
        });
        while !done.load(Ordering::Acquire) {
            assert_eq!(reader.counts(), expected);
            let keys: usize = reader.databases().iter().map(|(_, keys)| keys).sum();
            assert_eq!(keys, expected.keys);
        }
    });
}

/// Whether something becomes true while the history moves on and nothing is written. Other tests'
/// threads, which read tables of their own, are in the way for seconds.
fn comes_true(table: &mut Table, is_true: impl Fn() -> bool) -> bool {
    (100..500_000).any(|at| {
        table.stamp(unit(at));
        std::thread::sleep(std::time::Duration::from_micros(100));
        is_true()
    })
}

#[test]
fn what_somebody_was_looking_at_is_given_back_when_the_history_moves_on() {
    let mut table = Table::new(None);
    let mut batch = Batch::new();
    let hold: Arc<Hold> = Arc::default();
    let large = Entry::new(Value::string(&vec![7; 1 << 20]), None);
    batch.put(&table, 0, name("key", ""), Entry { hold: Some(hold.clone()), ..large });
    table.publish(batch, unit(1));
    let (copy, _) = table.reader().snapshot();
    let mut batch = Batch::new();
    batch.flush(None);
    table.publish(batch, unit(2));
    table.stamp(unit(3));
    assert_eq!(Arc::strong_count(&hold), 2, "the copy has it");
    drop(copy);
    assert!(comes_true(&mut table, || Arc::strong_count(&hold) == 1));
}

#[test]
fn little_that_was_replaced_is_given_back_when_nothing_more_comes() {
    let mut table = Table::new(None);
    let hold: Arc<Hold> = Arc::default();
    for at in 1..3 {
        let mut batch = Batch::new();
        let hold = (at == 1).then(|| hold.clone());
        batch.put(&table, 0, name("key", ""), Entry { hold, ..number(7) });
        table.publish(batch, unit(at));
    }
    assert!(table.is_untidy() && Arc::strong_count(&hold) == 2);
    // Other tests' threads, which read tables of their own, may be in the way.
    let is_tidy = (0..10_000).any(|_| {
        table.tidy();
        std::thread::sleep(std::time::Duration::from_millis(1));
        !table.is_untidy()
    });
    assert!(is_tidy && Arc::strong_count(&hold) == 1);
}

/// A key that comes and goes, and two databases that trade places and trade back.
#[test]
fn what_came_back_is_not_taken_for_what_stayed() {
    const UNITS: u64 = 30_000;
    let mut table = Table::new(None);
    let mut batch = Batch::new();
    batch.put(&table, 0, name("side", ""), number(0));
    batch.put(&table, 1, name("side", ""), number(1));
    table.publish(batch, unit(2));
    let reader = table.reader();
    let done = AtomicBool::new(false);
    std::thread::scope(|scope| {
        let _done = Done(&done);
        for _ in 0..3 {
            scope.spawn(|| {
                let (guest, side) = (name("guest", ""), name("side", ""));
                while !done.load(Ordering::Acquire) {
                    let (found, stamp) = many(&reader, &[(7, guest.clone())]);
                    assert_eq!(found[0].is_some(), stamp.unit % 4 == 1, "guest at {}", stamp.unit);
                    let (found, stamp) = many(&reader, &[(0, side.clone())]);
                    let expected = i64::from(stamp.unit % 4 == 3);
                    assert_eq!(found[0].as_ref().map(number_of), Some(expected), "{}", stamp.unit);
                }
            });
        }
        // The guest is there at 4n + 1, the databases have traded places at 4n + 3.
        for at in 3..UNITS {
            let mut batch = Batch::new();
            match at % 4 {
                1 => batch.put(&table, 7, name("guest", ""), number(0)),
                2 => batch.remove(7, b"guest"),
                _ => batch.swap(0, 1),
            }
            table.publish(batch, unit(at));
        }
    });
}

#[test]
fn what_went_at_once_is_given_back_without_further_writes() {
    let mut table = Table::new(None);
    let last = Arc::new(Hold::default());
    let went = Arc::downgrade(&last);
    let mut batch = Batch::new();
    batch.put(&table, 0, name("last", ""), Entry { hold: Some(last), ..number(1) });
    (0..10_000).for_each(|n| batch.put(&table, 0, name("key", n), number(n)));
    table.publish(batch, unit(1));
    let (reader, flushed) = (table.reader(), std::sync::Barrier::new(2));
    std::thread::scope(|scope| {
        scope.spawn(|| {
            reader.read(0, b"key1", |_| {
                flushed.wait();
                flushed.wait();
            });
            flushed.wait();
        });
        flushed.wait();
        let mut batch = Batch::new();
        batch.flush(None);
        table.publish(batch, unit(2));
        assert!(went.upgrade().is_some(), "somebody is still reading");
        flushed.wait();
        flushed.wait();
    });
    assert!(comes_true(&mut table, || went.upgrade().is_none()));
}
