//! A program that takes events from the queue, after the fact and as slowly as it likes: what it
//! makes of them is what the table has, from the last time on that it looked at the whole table.

use super::consumer::{Consumer, Place, read_table};
use super::core::{Core, note};
use super::faults::Fault;
use super::model::Data;
use super::writer::{DATABASES, PAIR};
use rets::change::{Phase, Verdict};
use rets::replica::Event;
use std::collections::BTreeSet;
use std::sync::Arc;

#[derive(Default)]
pub struct Queue {
    map: Consumer,
    /// Something was not told: the map is of no use before the table is read.
    has_gap: bool,
    /// What was taken last came from the stream, of which all of a unit is told or nothing.
    is_live: bool,
    /// Where a callback held something back since the table was read: the queue does not tell what
    /// became of it.
    was_held: BTreeSet<Place>,
}

impl Core {
    /// Takes some events, or all. In a callback, the unit in hand can't be told yet.
    pub fn take_events(&mut self, most: usize, in_callback: bool) {
        let replica = Arc::clone(&self.replica);
        let mut was_overflow = false;
        for _ in 0..most {
            let rang = self.sim.is_ringing_for_events();
            let event = replica.events().next();
            if event.is_some() && !rang {
                return self.fail("there is an event, but nobody was rung for");
            }
            match event {
                Some(Event::Change(recorded)) => {
                    let args = recorded.args();
                    let change = recorded.change(&args);
                    was_overflow = false;
                    self.queue.is_live = change.phase == Phase::Live;
                    if !self.queue.has_gap {
                        self.queue.map.hear(&change, Verdict::Keep);
                    }
                }
                Some(Event::Overflow) => {
                    note!(self, "overflow");
                    if was_overflow {
                        return self.fail("an overflow is told twice");
                    }
                    if !self.habits.may_overflow {
                        return self.fail("an overflow of a queue that has room");
                    }
                    was_overflow = true;
                    self.overflow();
                }
                None => return self.judge_queue(in_callback),
            }
        }
    }

    /// What was told before an overflow is whole units.
    fn overflow(&mut self) {
        self.tally.overflows += 1;
        let queue = &mut self.queue;
        let is_whole = !queue.is_live || (0..DATABASES).all(|db| has_pair(&queue.map.data, db));
        // What a liar sent has units of its own, and may still have been in the queue.
        if !queue.has_gap && !is_whole && !self.primaries.has_ever_lied {
            self.fail("half a unit is told before an overflow");
        }
        self.queue.has_gap = true;
    }

    /// After each step of the apply task.
    pub fn note_held(&mut self) {
        if self.habits.has(Fault::Queue) {
            self.queue.was_held.extend(self.consumer.held.iter().cloned());
        }
    }

    /// Nobody will know any more what callbacks held back. The queue has not told of it, so that
    /// its map may have what was there before, until that is told anew.
    pub fn remember_held(&mut self) {
        if self.habits.has(Fault::Queue) {
            self.take_events(usize::MAX, true);
            self.queue.map.held.extend(self.consumer.held.iter().cloned());
        }
    }

    /// Nothing is left in the queue.
    fn judge_queue(&mut self, in_callback: bool) {
        if self.sim.is_ringing_for_events() {
            return self.fail("it is rung for events, but there is none");
        }
        if in_callback || self.habits.listens {
            return;
        }
        let Some((table, names)) = read_table(&self.replica) else { return };
        if self.queue.has_gap {
            let is_withheld = |(db, key): &Place| table.get(*db, key).is_none();
            let held = names.iter().filter(|place| is_withheld(place)).cloned().collect();
            self.queue = Queue { map: Consumer { data: table, held }, ..Queue::default() };
            return;
        }
        // A callback that is not there is asked nothing, and so is this judge.
        if self.gate.is_none() {
            return;
        }
        self.tally.queue_comparisons += 1;
        let exempt = [&self.queue.map.held, &self.consumer.held, &self.queue.was_held];
        let exempt: BTreeSet<_> = exempt.into_iter().flatten().collect();
        let items = |data: &Data| -> BTreeSet<Place> {
            data.items().map(|(db, key, _)| (db, key.clone())).collect()
        };
        let (ours, theirs) = (items(&self.queue.map.data), items(&table));
        let mut all = ours.union(&theirs).filter(|place| !exempt.contains(place));
        let is_other =
            |(db, key): &&Place| self.queue.map.data.get(*db, key) != table.get(*db, key);
        if let Some((db, key)) = all.find(is_other).cloned() {
            let (told, seen) = (self.queue.map.data.get(db, &key), table.get(db, &key));
            let key = key.escape_ascii();
            let text = format!("db {db} {key}: the queue says {told:?}, the table {seen:?}");
            self.fail(text);
        }
    }
}

fn has_pair(data: &Data, db: u32) -> bool {
    let [a, b] = PAIR.map(|key| data.get(db, key).map(|item| &item.value));
    a == b
}
