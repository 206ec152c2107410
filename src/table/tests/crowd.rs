//! Growth and shrinking, flushes and swaps under readers who can tell what is torn or misplaced.

use super::*;

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

fn assert_shown(key: &[u8], shown: Shown<'_>) {
    shown.lend(|entry| assert_portrait(key, entry, u64::MAX));
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
            batch.put(&self.table, db as Db, key, Entry::new(value, None));
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
                batch.put(&self.table, CENSUS, name("census", ""), number(self.census()));
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
        batch.put(&self.table, CENSUS, name("census", ""), number(self.census()));
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
            300..1000 => {
                let look = |found: Option<Shown<'_>>| {
                    found.iter().for_each(|found| assert_shown(&key, *found));
                };
                let simple = |plain: Plain<'_>| {
                    let entry = Entry::new(Value::string(plain.bytes), None);
                    assert_portrait(&key, &Entry { version: plain.version, ..entry }, u64::MAX);
                };
                reader
                    .glance(db, &key, simple, look)
                    .unwrap_or_else(|| reader.read(db, &key, look));
            }
            _ => reader.read(db, &key, |found| {
                found.iter().for_each(|found| assert_shown(&key, *found));
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
