//! What the table promises, tried against a plain sorted map and with threads.

use super::*;
use crate::env::{Env, System};
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
    let mut counts = Counts::default();
    for ((_, key), entry) in contents {
        counts.add(&Stored::new(key.clone(), entry.clone()).counts());
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
    assert_eq!(table.memory(), sums(contents).memory);
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
                batch.put(db, name("key", key), sample(sort));
                model.staged.insert((db, name("key", key)), (sample(sort), true));
            }
            Step::Keep(db, key, sort) => {
                batch.put_keeping_version(db, name("key", key), sample(sort));
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
            let expected = model.staged.get(&at).map(|(entry, _)| entry.clone());
            assert_eq!(batch.get(table, db, &key), expected);
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
        batch.put(7, name("key", sort), sample(sort));
    }
    let before = table.memory();
    table.publish(batch, unit(1));
    let reader = table.reader();
    let Counts { keys, expires, ghosts, partial, frozen, memory } = reader.counts();
    assert_eq!((keys, expires, ghosts, partial, frozen), (5, 2, 1, 1, 1));
    let counts = reader.counts();
    assert_eq!((counts.ghosts, counts.partial, counts.frozen), (1, 1, 1));
    assert_eq!((counts.memory, reader.count(7), reader.count(6)), (memory, 5, 0));

    let mut batch = Batch::new();
    batch.put(7, name("key", 0), Entry::new(Value::string(&[0; 10_000]), None));
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
        batch.put(0, name("key", ""), entry.clone());
        table.publish(batch, unit(at));
        assert_eq!(version(&table), Some(at));
    }
    let mut batch = Batch::new();
    batch.put_keeping_version(0, name("key", ""), entry.clone());
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
        batch.put(db, name("key", ""), number(i64::from(db)));
    }
    table.publish(batch, unit(1));
    let mut next = table.generation();
    let mut batch = Batch::new();
    for db in 3..5 {
        batch.put(db, name("key", ""), number(i64::from(db)));
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
    let mut table = Table::new(None);
    assert_eq!(table.reader().stamp(), Stamp { replid: [b'0'; 40], offset: -1, unit: 0 });
    let mut batch = Batch::new();
    batch.put(0, name("key", 1), number(5));
    table.publish(batch, unit(1));
    shared(&table);
    let reader = table.reader();
    drop(table);
    shared(&reader);
    assert_eq!(reader.read(0, b"key1", |entry| entry.map(|entry| entry.lend(number_of))), Some(5));
}

/// Keys that stay in databases 0, 1 and the last one, whatever [`churn`] does.
fn stays() -> impl Iterator<Item = (Db, Bytes)> {
    (0..120).map(|n| ([0, 1, Db::MAX][n % 3], name("stay", n / 3)))
}

/// One random change that leaves all of [`stays`] where they are.
fn churn(table: &mut Table, dice: &mut Dice, at: u64) {
    let mut batch = Batch::new();
    let db = [0, 1, 2, 3, Db::MAX][dice.roll(5) as usize];
    match dice.roll(10) {
        0 => {
            let mut next = table.generation();
            for (db, key) in stays() {
                next.put(db, key, number(0));
            }
            for n in 0..dice.roll(50) {
                next.put(db, name("new", n), number(0));
            }
            return table.replace(next, unit(at));
        }
        1 => batch.swap(0, 1),
        2 => batch.swap(2, 3),
        3 => batch.flush(Some(2 + dice.roll(2) as Db)),
        4 => {
            batch.flush(None);
            stays().for_each(|(db, key)| batch.put(db, key, number(1)));
        }
        5 => batch.remove(db, &name("new", dice.roll(50))),
        _ => batch.put(db, name("new", dice.roll(50)), number(2)),
    }
    table.publish(batch, unit(at));
}

fn assert_walked_all(walk: &[(Db, Bytes)], only: Option<Db>) {
    let once: BTreeSet<_> = walk.iter().cloned().collect();
    assert_eq!(once.len(), walk.len(), "something was returned twice");
    let expected = stays().filter(|(db, _)| only.is_none_or(|only| only == *db));
    for stay in expected {
        assert!(once.contains(&stay), "{stay:?} was not returned");
    }
    assert!(only.is_none_or(|only| walk.iter().all(|(db, _)| *db == only)));
}

fn table_with_stays() -> Table {
    let mut table = Table::new(None);
    let mut batch = Batch::new();
    stays().for_each(|(db, key)| batch.put(db, key, number(0)));
    table.publish(batch, unit(1));
    table
}

#[test]
fn a_cursor_returns_what_stays_exactly_once_whatever_happens_between_its_steps() {
    let mut dice = Dice(0x5eed);
    for only in [None, Some(0), Some(1), Some(Db::MAX)].repeat(10) {
        let mut table = table_with_stays();
        let mut cursor = table.reader().cursor(only);
        let mut walk = Vec::new();
        for (db, key, _) in cursor.by_ref() {
            walk.push((db, key));
            if dice.roll(4) == 0 {
                churn(&mut table, &mut dice, walk.len() as u64);
            }
        }
        assert_walked_all(&walk, only);
        assert!(cursor.next().is_none());
    }
}

#[test]
fn a_cursor_returns_what_stays_exactly_once_while_a_writer_is_at_work() {
    let mut table = table_with_stays();
    let reader = table.reader();
    let done = AtomicBool::new(false);
    std::thread::scope(|scope| {
        scope.spawn(|| {
            let _done = Done(&done);
            let mut dice = Dice(0xd1ce);
            (2..1500).for_each(|at| churn(&mut table, &mut dice, at));
        });
        loop {
            let last = done.load(Ordering::Acquire);
            let walk: Vec<_> = reader.cursor(None).map(|(db, key, _)| (db, key)).collect();
            assert_walked_all(&walk, None);
            if last {
                break;
            }
        }
    });
}

#[test]
fn a_cursor_whose_database_goes_away_begins_the_next_one_at_its_start() {
    let mut table = table_with_stays();
    let mut batch = Batch::new();
    (0..2000).for_each(|n| batch.put(5, name("new", n), number(0)));
    table.publish(batch, unit(2));
    let mut cursor = table.reader().cursor(None);
    let mut walk: Vec<_> = cursor.by_ref().map(|(db, key, _)| (db, key)).take(80 + 60).collect();
    assert_eq!(walk.last().map(|(db, _)| *db), Some(5));
    let mut batch = Batch::new();
    batch.flush(Some(5));
    table.publish(batch, unit(3));
    walk.extend(cursor.map(|(db, key, _)| (db, key)));
    assert!(walk.len() < 120 + 2000, "what went in time is not returned");
    assert_walked_all(&walk, None);
}

#[test]
fn the_sums_of_several_databases_belong_to_one_unit() {
    // Many databases between the two that a coin goes to and fro between: whoever adds up without
    // a lock over all of them is on the way for long enough to see it in both or in none.
    const LAST: Db = 200;
    let mut table = Table::new(None);
    let mut batch = Batch::new();
    (0..=LAST).for_each(|db| batch.put(db, name("key", db), number(0)));
    batch.put(0, name("coin", ""), number(0));
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
                batch.put(if at % 2 == 0 { LAST } else { 0 }, name("coin", ""), number(0));
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

/// Accounts in two databases that trade places now and then, a key that says which unit wrote last,
/// and a coin that is always in exactly one of the two databases.
struct Bank {
    table: Table,
    dice: Dice,
}

const ACCOUNTS: u64 = 12;
const TOTAL: i64 = 1000 * 2 * ACCOUNTS as i64;
const UNITS: u64 = 2500;
const CLERK: Db = 9;

impl Bank {
    fn open() -> Self {
        let mut batch = Batch::new();
        for db in 0..2 {
            (0..ACCOUNTS).for_each(|n| batch.put(db, name("account", n), number(1000)));
        }
        batch.put(0, name("coin", ""), number(0));
        batch.put(CLERK, name("unit", ""), number(1));
        let mut table = Table::new(None);
        table.publish(batch, unit(1));
        Self { table, dice: Dice(0xba2c) }
    }

    fn work(&mut self, at: u64) {
        let mut batch = Batch::new();
        let swapped = self.dice.roll(20) == 0;
        if swapped {
            batch.swap(0, 1);
        }
        let amount = self.dice.roll(100) as i64;
        for change in [amount, -amount] {
            let (db, key) = (self.dice.roll(2) as Db, name("account", self.dice.roll(ACCOUNTS)));
            let was = number_of(&batch.get(&self.table, db, &key).unwrap());
            batch.put(db, key, number(was + change));
        }
        if self.dice.roll(3) == 0 {
            let from = Db::from(batch.get(&self.table, 0, b"coin").is_none());
            batch.remove(from, b"coin");
            batch.put(1 - from, name("coin", ""), number(0));
        }
        batch.put(CLERK, name("unit", ""), number(at as i64));
        if self.dice.roll(50) == 0 {
            self.rebuild(&batch, at);
        } else {
            self.table.publish(batch, unit(at));
        }
    }

    /// The same unit, done as a new generation.
    fn rebuild(&mut self, batch: &Batch, at: u64) {
        let mut next = self.table.generation();
        for (db, key) in watched() {
            if let Some(entry) = batch.get(&self.table, db, &key) {
                assert_eq!(next.put(db, key, entry), None);
            }
        }
        self.table.replace(next, unit(at));
    }
}

fn watched() -> Vec<(Db, Bytes)> {
    let mut keys = vec![(CLERK, name("unit", ""))];
    for db in 0..2 {
        keys.extend((0..ACCOUNTS).rev().map(|n| (db, name("account", n))));
        keys.push((db, name("coin", "")));
    }
    keys
}

/// One look at everything that was read: it is one unit's, and the unit that the stamp says.
fn audit<'a>(entries: impl Iterator<Item = (&'a [u8], &'a Entry)>, stamp: Stamp) {
    let (mut total, mut accounts, mut coins) = (0, 0, 0);
    for (key, entry) in entries {
        match key {
            b"unit" => assert_eq!(number_of(entry) as u64, stamp.unit),
            b"coin" => coins += 1,
            _ => {
                total += number_of(entry);
                accounts += 1;
            }
        }
    }
    assert_eq!((total, accounts, coins), (TOTAL, 2 * ACCOUNTS, 1));
    assert_eq!(stamp, unit(stamp.unit));
}

fn audit_once(reader: &Reader, keys: &[(Db, Bytes)], round: u64) -> u64 {
    if round % 8 == 0 {
        let (copy, stamp) = reader.snapshot();
        // Others go on publishing: what was copied must not notice.
        let items: Vec<_> = copy.iter().flat_map(|(_, items)| items.iter()).collect();
        audit(items.iter().map(|(key, entry)| (&**key, entry)), stamp);
        return stamp.unit;
    }
    let expected = 2 * ACCOUNTS as usize + 2;
    assert_eq!(reader.counts().keys, expected);
    assert_eq!(reader.databases().iter().map(|(_, keys)| keys).sum::<usize>(), expected);
    let (copy, stamp) = many(reader, keys);
    let found = keys.iter().zip(&copy);
    audit(found.filter_map(|((_, key), entry)| Some((&**key, entry.as_ref()?))), stamp);
    stamp.unit
}

#[test]
fn readers_never_see_half_a_unit() {
    let mut bank = Bank::open();
    let reader = bank.table.reader();
    let done = AtomicBool::new(false);
    std::thread::scope(|scope| {
        for first in 0..3 {
            let (reader, done) = (reader.clone(), &done);
            scope.spawn(move || {
                let keys = watched();
                let mut seen = 0;
                for round in first.. {
                    let last = done.load(Ordering::Acquire);
                    let now = audit_once(&reader, &keys, round);
                    assert!(now >= seen, "the history ran backwards");
                    seen = now;
                    if last {
                        break;
                    }
                }
                assert_eq!(seen, UNITS);
            });
        }
        let _done = Done(&done);
        (2..=UNITS).for_each(|at| bank.work(at));
    });
}

#[test]
fn what_somebody_was_looking_at_is_given_back_when_the_history_moves_on() {
    let mut table = Table::new(None);
    let mut batch = Batch::new();
    let large: Arc<[u8]> = vec![7; 1 << 20].into();
    batch.put(0, name("key", ""), Entry::new(Value::String(Bytes::from(large.clone())), None));
    table.publish(batch, unit(1));
    let (copy, _) = table.reader().snapshot();
    let mut batch = Batch::new();
    batch.flush(None);
    table.publish(batch, unit(2));
    table.stamp(unit(3));
    assert_eq!(Arc::strong_count(&large), 2, "the copy has it");
    drop(copy);
    table.stamp(unit(4));
    // Other tests' threads may be reading just now, in tables of their own.
    let at = (5..10_000).find(|at| {
        std::thread::yield_now();
        table.stamp(unit(*at));
        Arc::strong_count(&large) == 1
    });
    assert!(at.is_some(), "it was kept");
}

/// A key that comes and goes, and two databases that trade places and trade back.
#[test]
fn what_came_back_is_not_taken_for_what_stayed() {
    const UNITS: u64 = 30_000;
    let mut table = Table::new(None);
    let mut batch = Batch::new();
    batch.put(0, name("side", ""), number(0));
    batch.put(1, name("side", ""), number(1));
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
                1 => batch.put(7, name("guest", ""), number(0)),
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
    batch.put(0, name("last", ""), Entry { hold: Some(last), ..number(1) });
    (0..10_000).for_each(|n| batch.put(0, name("key", n), number(n)));
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
    // Other tests are in the way for seconds.
    let is_gone = (3..500_000).any(|at| {
        table.stamp(unit(at));
        std::thread::sleep(std::time::Duration::from_micros(100));
        went.upgrade().is_none()
    });
    assert!(is_gone);
}

/// Two databases of names that a unit fills and empties in ranges, flushes or exchanges; and how
/// many there are then.
struct Crowd {
    table: Table,
    dice: Dice,
    there: [Vec<bool>; 2],
}

const CROWD: u64 = 6000;
const CENSUS: Db = 9;

/// Of a name, the unit that wrote it and nothing else: what is torn or of another name shows.
fn portrait(key: &[u8], unit: u64) -> Value {
    let sign = format!("{} {unit} ", String::from_utf8_lossy(key)).into_bytes();
    match key.last().unwrap_or(&0) % 4 {
        0 => Value::Hash([(sign, Field::new(b"value"))].into_iter().collect()),
        1 => Value::string(&sign.repeat(100)),
        _ => Value::string(&sign),
    }
}

fn assert_portrait(key: &[u8], entry: &Entry, until: u64) {
    let unit = entry.version & 0xffff_ffff;
    assert!(unit <= until, "{unit} at {until}");
    assert!(*entry.value.as_ref().unwrap() == portrait(key, unit), "{key:?} has {entry:?}");
}

impl Crowd {
    fn census(&self) -> i64 {
        self.there.iter().flatten().filter(|is_there| **is_there).count() as i64 + 1
    }

    fn fill(&mut self, batch: &mut Batch, db: usize, at: u64) {
        let (first, count) =
            (self.dice.roll(CROWD), 1 + self.dice.roll([3, 30, 600][at as usize % 3]));
        for n in first..(first + count).min(CROWD) {
            let key = name("name", n);
            let value = portrait(&key, at);
            batch.put(db as Db, key, Entry::new(value, None));
            self.there[db][n as usize] = true;
        }
    }

    fn work(&mut self, at: u64) {
        let mut batch = Batch::new();
        let db = self.dice.roll(2) as usize;
        match self.dice.roll(60) {
            0 => {
                batch.flush(Some(db as Db));
                self.there[db].fill(false);
                self.fill(&mut batch, db, at);
            }
            1..4 => {
                batch.swap(0, 1);
                self.there.swap(0, 1);
                self.fill(&mut batch, db, at);
            }
            4 => {
                self.fill(&mut batch, db, at);
                batch.put(CENSUS, name("census", ""), number(self.census()));
                let mut next = self.table.generation();
                self.table.entries().for_each(|(db, key, entry)| drop(next.put(db, key, entry)));
                next.absorb(batch, at);
                return self.table.replace(next, unit(at));
            }
            5..25 => {
                let (first, count) = (self.dice.roll(CROWD), self.dice.roll(500));
                for n in first..(first + count).min(CROWD) {
                    batch.remove(db as Db, &name("name", n));
                    self.there[db][n as usize] = false;
                }
            }
            _ => self.fill(&mut batch, db, at),
        }
        batch.put(CENSUS, name("census", ""), number(self.census()));
        self.table.publish(batch, unit(at));
    }
}

fn assert_counted(copy: &[(Db, Entries)], at: Stamp) {
    let items = copy.iter().flat_map(|(db, items)| items.iter().map(move |item| (*db, item)));
    let (mut keys, mut census) = (BTreeSet::new(), None);
    for (db, (key, entry)) in items {
        match db {
            CENSUS => census = Some(number_of(&entry)),
            _ => assert_portrait(&key, &entry, at.unit),
        }
        assert!(keys.insert((db, key)));
    }
    assert_eq!(census, Some(keys.len() as i64), "{at:?}");
}

/// Looks at single names, some at a time, copies that are kept for a while, and walks.
fn look_around(reader: &Reader, mut dice: Dice, done: &AtomicBool) {
    let mut copies: std::collections::VecDeque<(Vec<(Db, Entries)>, Stamp)> = Default::default();
    while !done.load(Ordering::Acquire) {
        let (db, key) = (dice.roll(2) as Db, name("name", dice.roll(CROWD)));
        match dice.roll(2000) {
            0 => {
                copies.push_back(reader.snapshot());
                if dice.roll(3) == 0 || copies.len() > 3 {
                    copies.drain(..).for_each(|(copy, at)| assert_counted(&copy, at));
                }
            }
            1 => {
                let mut walk = reader.cursor(Some(db));
                walk.all(|(_, key, entry)| {
                    assert_portrait(&key, &entry, u64::MAX);
                    true
                });
            }
            2 => drop(copies.pop_front()),
            3..300 => {
                let keys: Vec<_> =
                    (0..12).map(|_| (dice.roll(2) as Db, name("name", dice.roll(CROWD)))).collect();
                let (found, at) = many(reader, &keys);
                for ((_, key), entry) in keys.iter().zip(&found) {
                    entry.iter().for_each(|entry| assert_portrait(key, entry, at.unit));
                }
            }
            _ => reader.read(db, &key, |found| {
                if let Some(found) = found {
                    found.lend(|entry| assert_portrait(&key, entry, u64::MAX));
                }
            }),
        }
    }
    copies.iter().for_each(|(copy, at)| assert_counted(copy, *at));
}

#[test]
fn nothing_is_lost_torn_or_misplaced_while_everything_grows_shrinks_and_moves() {
    for barrier in [None, System::new().barrier()] {
        let mut crowd = Crowd {
            table: Table::new(barrier),
            dice: Dice(0xc0ffee),
            there: [vec![false; CROWD as usize], vec![false; CROWD as usize]],
        };
        crowd.work(1);
        let reader = crowd.table.reader();
        let done = AtomicBool::new(false);
        std::thread::scope(|scope| {
            let _done = Done(&done);
            for seed in 1..5 {
                let (reader, done) = (&reader, &done);
                scope.spawn(move || look_around(reader, Dice(seed * 0x9e37_79b9), done));
            }
            (2..250).for_each(|at| crowd.work(at));
        });
        assert_counted(&reader.snapshot().0, reader.stamp());
    }
}
