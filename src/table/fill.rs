//! New keys by the hundred into a table that nobody reads yet: what a first load does.
//!
//! They are no unit: a reader would see them one by one. So nothing has to be marked or kept for
//! anybody, and a key is looked for only where it is put.

use super::batch::version;
use super::database::{Database, Db};
use super::entry::Counts;
use super::index::{Gone, Stored};
use super::{Shared, Stamp, Waste, publish};
use crate::memory::{Hand, Stock};
use crate::value::{Bytes, Content};
use std::sync::Arc;

/// Some keys on their way into the table.
pub struct Fill<'t> {
    shared: &'t Shared,
    hand: &'t Hand,
    stamp: Stamp,
    /// Where the last key belongs, and those of `waiting` with it.
    database: Option<(Db, Arc<Database>)>,
    waiting: Vec<(u64, Stored)>,
    /// What they add to the sums.
    new: Counts,
    /// The first key that was there before.
    twice: Option<(Db, Bytes)>,
}

impl<'t> Fill<'t> {
    pub(super) fn new(shared: &'t Shared, hand: &'t Hand, stamp: Stamp) -> Self {
        Self {
            shared,
            hand,
            stamp,
            database: None,
            waiting: Vec::new(),
            new: Counts::default(),
            twice: None,
        }
    }

    /// Adds a key. It is in place at the latest when this is finished.
    pub fn put(&mut self, db: Db, key: &[u8], content: Content<'_>, expires_at_ms: Option<i64>) {
        let hash = self.shared.layout.hash(key);
        self.turn_to(db);
        if let Some((_, database)) = &self.database {
            // It is there by the time when all of the others have come.
            database.index.own_fetch(hash);
        }
        let version = version(self.stamp.unit, db);
        let stock = Stock(self.hand);
        let (stored, share) = Stored::with_share(&stock, key, content, version, expires_at_ms);
        debug_assert_eq!(share, stored.share());
        self.new.add_share(share);
        self.waiting.push((hash, stored));
    }

    /// Puts in place what is not yet; the first key that was there before, if there was one.
    pub fn finish(mut self) -> Option<(Db, Bytes)> {
        self.settle();
        self.twice
    }

    fn turn_to(&mut self, db: Db) {
        if self.database.as_ref().is_some_and(|(last, _)| *last == db) {
            return;
        }
        self.settle();
        publish::make_room(self.shared, db, 1);
        let database = self.shared.root.own().get(db);
        self.database = database.map(|database| (db, Arc::clone(database)));
    }

    fn settle(&mut self) {
        let shared = self.shared;
        let mut writing = shared.writing.lock();
        let numbers = writing.numbers(shared);
        let (new, mut vain) = (std::mem::take(&mut self.new), Counts::default());
        if let Some((db, database)) = &self.database {
            for (hash, stored) in self.waiting.drain(..) {
                let gone = |gone: Gone| writing.throw_away(gone.weight(), Waste::Index(gone));
                let added = database.index.add(hash, stored, numbers, &shared.layout, gone);
                if let Err(stored) = added {
                    vain.add_share(stored.share());
                    self.twice.get_or_insert_with(|| (*db, Bytes::from(stored.show().key())));
                }
            }
            database.sums.change(&new, &vain);
        }
        shared.stamp.begin();
        shared.sums.change(&new, &vain);
        shared.stamp.end(self.stamp.words());
        publish::sweep(shared, self.hand, writing);
    }
}

#[cfg(test)]
mod tests {
    use super::super::index::Index;
    use super::super::layout::Layout;
    use super::super::{Entry, Table};
    use super::*;
    use crate::value::{Flat, Value};

    fn stamp(unit: u64) -> Stamp {
        Stamp { unit, offset: 7, ..Stamp::default() }
    }

    fn flat(bytes: &[u8]) -> Content<'_> {
        Content::Flat(Flat::string(bytes))
    }

    #[test]
    fn what_is_put_is_there_with_its_version_and_counted_in_every_database() {
        let mut table = Table::new(None);
        let mut fill = table.fill(stamp(3));
        let large = [7; 5000];
        fill.put(0, b"a", flat(b"1"), Some(5));
        fill.put(2, b"a", flat(&large), None);
        fill.put(0, b"b", Content::Value(Value::string(b"2")), None);
        assert_eq!(fill.finish(), None);
        let entry = |value: &[u8], at, db| Entry {
            version: version(3, db),
            ..Entry::new(Value::string(value), at)
        };
        assert_eq!(table.get(0, b"a"), Some(entry(b"1", Some(5), 0)));
        assert_eq!(table.get(0, b"b"), Some(entry(b"2", None, 0)));
        assert_eq!(table.get(2, b"a"), Some(entry(&large, None, 2)));
        let (counts, found) = (table.shared.counts(), table.entries().count());
        assert_eq!((counts.keys, counts.expires, found), (3, 1, 3));
        assert_eq!(table.shared.root.own().counts(), counts);
        assert_eq!(table.reader().stamp(), stamp(3));
    }

    #[test]
    fn a_key_that_is_there_is_told_and_stays_as_it_was() {
        let mut table = Table::new(None);
        for (unit, names) in [(1, [b"a", b"b"]), (2, [b"c", b"b"]), (3, [b"d", b"d"])] {
            let mut fill = table.fill(stamp(unit));
            names.iter().for_each(|name| fill.put(0, *name, flat(*name), None));
            let twice = (unit > 1).then(|| (0, Bytes::from(&names[1][..])));
            assert_eq!(fill.finish(), twice, "{unit}");
        }
        assert_eq!(table.get(0, b"b").unwrap().version, 1);
        assert_eq!(table.shared.counts().keys, 4);
    }

    #[test]
    fn where_there_is_room_nothing_is_moved() {
        let (layout, count) = (Layout::default(), 10_000);
        let index = Index::new(count, 0, &layout);
        let mut moved = 0;
        for n in 0..count {
            let key = n.to_string();
            let hash = layout.hash(key.as_bytes());
            index.prepare(hash, |_| 1, (0, 0), &layout, |_| moved += 1);
            let stored = Stored::of(&layout.heap, key.as_bytes(), flat(b""), 0, None);
            index.insert(hash, stored, |_| ());
        }
        assert!(moved < 10, "{moved} segments");
    }
}
