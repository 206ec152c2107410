//! Sums that never change, read by many while a writer moves what they are made of.

use super::*;

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
        let mut table = Table::new(None);
        let mut batch = Batch::new();
        for db in 0..2 {
            (0..ACCOUNTS).for_each(|n| batch.put(&table, db, name("account", n), number(1000)));
        }
        batch.put(&table, 0, name("coin", ""), number(0));
        batch.put(&table, CLERK, name("unit", ""), number(1));
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
            batch.put(&self.table, db, key, number(was + change));
        }
        if self.dice.roll(3) == 0 {
            let from = Db::from(batch.get(&self.table, 0, b"coin").is_none());
            batch.remove(from, b"coin");
            batch.put(&self.table, 1 - from, name("coin", ""), number(0));
        }
        batch.put(&self.table, CLERK, name("unit", ""), number(at as i64));
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
    if round.is_multiple_of(8) {
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
