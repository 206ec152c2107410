//! What a walk promises, whatever happens between its steps and during them.

use super::*;

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
            stays().for_each(|(db, key)| batch.put(table, db, key, number(1)));
        }
        5 => batch.remove(db, &name("new", dice.roll(50))),
        _ => batch.put(table, db, name("new", dice.roll(50)), number(2)),
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
    stays().for_each(|(db, key)| batch.put(&table, db, key, number(0)));
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
    (0..2000).for_each(|n| batch.put(&table, 5, name("new", n), number(0)));
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
