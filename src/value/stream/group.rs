//! Consumer groups: how far each has read, who its consumers are, and what was delivered to whom
//! and not acknowledged yet.

use super::Id;
use super::id::ById;
use super::pack::{push_number, split_number, split_time};
use crate::value::tree::{Tree, push_length, split_length};
use std::cmp::Ordering;

/// Stands for "never" where a time is kept.
const NEVER: i64 = -1;

/// A group of a stream. Cloning takes constant time, everything about one consumer or one id
/// logarithmic time.
#[derive(Clone, Debug, Default)]
pub struct Group {
    /// The last id that was delivered to any of its consumers.
    pub last_id: Id,
    /// How many entries the group has read; `None` where the server does not know.
    pub entries_read: Option<u64>,
    /// Name, number and times of each consumer, in the order of the names.
    consumers: Tree,
    /// Number and name of each consumer, in the order of the numbers.
    names: Tree,
    /// What was delivered, in the order of the ids.
    pending: Tree<ById>,
    /// Number of a consumer and an id that is pending with it, in the order of both.
    owned: Tree,
    /// The largest number that was given to a consumer.
    numbers: u64,
}

/// A consumer of a group.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Consumer<'a> {
    /// Its name.
    pub name: &'a [u8],
    /// When it last asked for anything, in Unix milliseconds.
    pub seen_at_ms: i64,
    /// When it last got anything; `None` for never, and before Redis 7.2.
    pub active_at_ms: Option<i64>,
    /// How many entries are pending with it.
    pub pending: usize,
}

/// An entry that was delivered and not acknowledged.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Pending<'a> {
    /// The entry's id; the entry itself may be gone.
    pub id: Id,
    /// Whom it was delivered to; `None` where that consumer gave it back (Redis 8.8).
    pub consumer: Option<&'a [u8]>,
    /// When it was last delivered, in Unix milliseconds; 0 where it was given back.
    pub delivered_at_ms: i64,
    /// How often it was delivered.
    pub deliveries: u64,
}

/// A consumer as it lies in the tree.
struct Record<'a> {
    name: &'a [u8],
    number: u64,
    seen_at_ms: i64,
    active_at_ms: i64,
}

impl<'a> Record<'a> {
    fn of(entry: &'a [u8]) -> Self {
        let (len, rest) = split_length(entry);
        let (name, rest) = rest.split_at_checked(len).unwrap_or((rest, &[]));
        let (number, rest) = split_number(rest);
        let (seen_at_ms, rest) = split_time(rest);
        let (active_at_ms, _) = split_time(rest);
        Self { name, number, seen_at_ms, active_at_ms }
    }

    fn encode(&self) -> Vec<u8> {
        let mut entry = Vec::with_capacity(self.name.len() + 24);
        push_length(&mut entry, self.name.len());
        entry.extend_from_slice(self.name);
        push_number(&mut entry, self.number);
        entry.extend_from_slice(&self.seen_at_ms.to_le_bytes());
        entry.extend_from_slice(&self.active_at_ms.to_le_bytes());
        entry
    }
}

/// What is pending, as it lies in the tree; number 0 stands for no consumer.
struct Delivery {
    id: Id,
    number: u64,
    delivered_at_ms: i64,
    deliveries: u64,
}

impl Delivery {
    fn of(entry: &[u8]) -> Self {
        let (id, rest) = Id::unpack(entry);
        let (number, rest) = split_number(rest);
        let (delivered_at_ms, rest) = split_time(rest);
        let (deliveries, _) = split_number(rest);
        Self { id, number, delivered_at_ms, deliveries }
    }

    fn encode(&self) -> Vec<u8> {
        let mut entry = Vec::with_capacity(24);
        self.id.pack(&mut entry);
        push_number(&mut entry, self.number);
        entry.extend_from_slice(&self.delivered_at_ms.to_le_bytes());
        push_number(&mut entry, self.deliveries);
        entry
    }
}

fn ownership(number: u64, id: Id) -> Vec<u8> {
    let mut entry = Vec::with_capacity(16);
    push_number(&mut entry, number);
    id.pack(&mut entry);
    entry
}

fn split_ownership(entry: &[u8]) -> (u64, Id) {
    let (number, rest) = split_number(entry);
    (number, Id::unpack(rest).0)
}

impl Group {
    /// A group without consumers that has read up to this id.
    pub fn new(last_id: Id, entries_read: Option<u64>) -> Self {
        Self { last_id, entries_read, ..Self::default() }
    }

    /// An estimate of the memory it takes, in bytes.
    pub fn memory(&self) -> usize {
        let trees = [&self.consumers, &self.names, &self.owned];
        let trees = trees.iter().map(|tree| tree.memory()).sum::<usize>();
        size_of::<Self>() + trees + self.pending.memory()
    }

    /// How many consumers there are.
    pub fn consumers_len(&self) -> usize {
        self.consumers.len()
    }

    /// A consumer by its place in the order of the names.
    pub fn consumer_at(&self, index: usize) -> Option<Consumer<'_>> {
        self.consumers.get(index).map(|entry| self.consumer(entry))
    }

    /// All consumers in the order of their names.
    pub fn consumers(&self) -> impl ExactSizeIterator<Item = Consumer<'_>> {
        self.consumers.iter().map(|entry| self.consumer(entry))
    }

    fn consumer<'a>(&self, entry: &'a [u8]) -> Consumer<'a> {
        let Record { name, number, seen_at_ms, active_at_ms } = Record::of(entry);
        let owned = self.owned_range(number);
        Consumer {
            name,
            seen_at_ms,
            active_at_ms: (active_at_ms != NEVER).then_some(active_at_ms),
            pending: owned.len(),
        }
    }

    /// How many entries are pending.
    pub fn pending_len(&self) -> usize {
        self.pending.len()
    }

    /// What is pending by its place in the order of the ids.
    pub fn pending_at(&self, index: usize) -> Option<Pending<'_>> {
        self.pending.get(index).map(|entry| self.delivered(entry))
    }

    /// All that is pending in the order of the ids.
    pub fn pending(&self) -> impl ExactSizeIterator<Item = Pending<'_>> {
        self.pending.iter().map(|entry| self.delivered(entry))
    }

    /// What is pending under this id.
    pub fn find_pending(&self, id: Id) -> Option<Pending<'_>> {
        let entry = self.pending.seek(id)?;
        Some(self.delivered(entry))
    }

    fn delivered(&self, entry: &[u8]) -> Pending<'_> {
        let Delivery { id, number, delivered_at_ms, deliveries } = Delivery::of(entry);
        Pending { id, consumer: self.name_of(number), delivered_at_ms, deliveries }
    }

    fn name_of(&self, number: u64) -> Option<&[u8]> {
        let place = self.names.find_by(|entry| split_number(entry).0.cmp(&number));
        let entry = self.names.get(place.ok()?)?;
        Some(split_number(entry).1)
    }

    fn find_consumer(&self, name: &[u8]) -> Result<usize, usize> {
        self.consumers.find_by(|entry| Record::of(entry).name.cmp(name))
    }

    fn number_of(&self, name: &[u8]) -> Option<u64> {
        let entry = self.consumers.get(self.find_consumer(name).ok()?)?;
        Some(Record::of(entry).number)
    }

    fn find_delivery(&self, id: Id) -> Result<usize, usize> {
        self.pending.find(id).map(|(at, _)| at)
    }

    fn find_owned(&self, number: u64, id: Id) -> Result<usize, usize> {
        self.owned.find_by(|entry| split_ownership(entry).cmp(&(number, id)))
    }

    /// The places of all that is pending with a consumer.
    fn owned_range(&self, number: u64) -> std::ops::Range<usize> {
        let border = |below: Ordering| {
            let place = self.owned.find_by(|entry| match split_ownership(entry).0.cmp(&number) {
                Ordering::Equal => below,
                other => other,
            });
            place.unwrap_or_else(|at| at)
        };
        border(Ordering::Greater)..border(Ordering::Less)
    }

    /// Adds a consumer; false if it is there already.
    pub fn add_consumer(
        &mut self,
        name: &[u8],
        seen_at_ms: i64,
        active_at_ms: Option<i64>,
    ) -> bool {
        let Err(at) = self.find_consumer(name) else { return false };
        self.numbers += 1;
        let number = self.numbers;
        let active_at_ms = active_at_ms.unwrap_or(NEVER);
        let record = Record { name, number, seen_at_ms, active_at_ms };
        self.consumers.insert(at, &record.encode());
        let mut entry = Vec::with_capacity(name.len() + 4);
        push_number(&mut entry, number);
        entry.extend_from_slice(name);
        self.names.insert(usize::MAX, &entry);
        true
    }

    /// Notes that a consumer asked for something at this time, and whether it got it.
    pub fn touch(&mut self, name: &[u8], at_ms: i64, active: bool) {
        let Ok(at) = self.find_consumer(name) else { return };
        let Some(entry) = self.consumers.get(at) else { return };
        let mut record = Record::of(entry);
        record.seen_at_ms = at_ms;
        if active {
            record.active_at_ms = at_ms;
        }
        let entry = record.encode();
        self.consumers.replace(at, &entry);
    }

    /// Removes a consumer and all that is pending with it; false if it is not there.
    pub fn remove_consumer(&mut self, name: &[u8]) -> bool {
        let Ok(at) = self.find_consumer(name) else { return false };
        let number = self.number_of(name).unwrap_or_default();
        self.consumers.remove(at);
        if let Ok(at) = self.names.find_by(|entry| split_number(entry).0.cmp(&number)) {
            self.names.remove(at);
        }
        let owned = self.owned_range(number);
        let of_it = self.owned.iter_from(owned.start).take(owned.len());
        let ids: Vec<Id> = of_it.map(|entry| split_ownership(entry).1).collect();
        self.owned.remove_range(owned);
        for id in ids {
            if let Ok(at) = self.find_delivery(id) {
                self.pending.remove(at);
            }
        }
        true
    }

    /// Makes an entry pending, or changes what was pending under its id. False, and nothing is
    /// done, where there is no such consumer.
    pub fn put_pending(&mut self, pending: Pending<'_>) -> bool {
        let Pending { id, consumer, delivered_at_ms, deliveries } = pending;
        let number = match consumer {
            None => 0,
            Some(name) => match self.number_of(name) {
                Some(number) => number,
                None => return false,
            },
        };
        let entry = Delivery { id, number, delivered_at_ms, deliveries }.encode();
        match self.find_delivery(id) {
            Ok(at) => {
                self.disown(at);
                self.pending.replace(at, &entry);
            }
            Err(at) => self.pending.insert(at, &entry),
        }
        if number != 0
            && let Err(at) = self.find_owned(number, id)
        {
            self.owned.insert(at, &ownership(number, id));
        }
        true
    }

    /// Removes what is pending under an id; false where nothing is.
    pub fn remove_pending(&mut self, id: Id) -> bool {
        let Ok(at) = self.find_delivery(id) else { return false };
        self.disown(at);
        self.pending.remove(at);
        true
    }

    /// Takes what is pending at this place away from its consumer.
    fn disown(&mut self, at: usize) {
        let Some(entry) = self.pending.get(at) else { return };
        let Delivery { id, number, .. } = Delivery::of(entry);
        if let Ok(at) = self.find_owned(number, id) {
            self.owned.remove(at);
        }
    }
}

/// When consumers were seen is left out: each server has that by its own clock.
impl PartialEq for Group {
    fn eq(&self, other: &Self) -> bool {
        let names = |group: &Self| {
            group.consumers.iter().map(|entry| Record::of(entry).name.to_vec()).collect::<Vec<_>>()
        };
        self.last_id == other.last_id
            && self.entries_read == other.entries_read
            && self.pending.len() == other.pending.len()
            && names(self) == names(other)
            && self.pending().eq(other.pending())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::collections::BTreeMap;

    type Model = (BTreeMap<Vec<u8>, (i64, Option<i64>)>, BTreeMap<Id, (Option<Vec<u8>>, i64, u64)>);

    fn check(group: &Group, (consumers, pending): &Model) -> Result<(), TestCaseError> {
        prop_assert_eq!(
            (group.consumers_len(), group.pending_len()),
            (consumers.len(), pending.len())
        );
        for (index, (name, (seen, active))) in consumers.iter().enumerate() {
            let count = pending.values().filter(|of| of.0.as_ref() == Some(name)).count();
            let wanted =
                Consumer { name, seen_at_ms: *seen, active_at_ms: *active, pending: count };
            prop_assert_eq!(group.consumer_at(index), Some(wanted));
        }
        for (index, (id, (consumer, at, deliveries))) in pending.iter().enumerate() {
            let wanted = Pending {
                id: *id,
                consumer: consumer.as_deref(),
                delivered_at_ms: *at,
                deliveries: *deliveries,
            };
            prop_assert_eq!(group.pending_at(index), Some(wanted));
            prop_assert_eq!(group.find_pending(*id), Some(wanted));
        }
        let owned = pending.values().filter(|of| of.0.is_some()).count();
        prop_assert_eq!((group.owned.len(), group.names.len()), (owned, consumers.len()));
        Ok(())
    }

    proptest! {
        #[test]
        fn behaves_like_two_maps(
            steps in proptest::collection::vec((0u8..12, 0u8..6, 0u64..40, 0i64..1000), 0..300)
        ) {
            let mut model = Model::default();
            let mut group = Group::new(Id::MIN, None);
            let mut same = group.clone();
            for (kind, who, seq, time) in steps {
                let name = vec![b'a' + who; usize::from(who)];
                let id = Id { ms: seq / 3, seq };
                match kind {
                    0..=1 => {
                        let active = (kind == 0).then_some(time);
                        let is_new = !model.0.contains_key(&name);
                        if is_new {
                            model.0.insert(name.clone(), (time, active));
                        }
                        prop_assert_eq!(group.add_consumer(&name, time, active), is_new);
                    }
                    2 => {
                        let gone = model.0.remove(&name).is_some();
                        model.1.retain(|_, of| of.0.as_ref() != Some(&name));
                        prop_assert_eq!(group.remove_consumer(&name), gone);
                    }
                    3 => {
                        if let Some(times) = model.0.get_mut(&name) {
                            *times = (time, if who % 2 == 0 { Some(time) } else { times.1 });
                        }
                        group.touch(&name, time, who % 2 == 0);
                    }
                    4..=8 => {
                        let consumer = (kind < 8).then_some(name);
                        let fits = consumer.as_ref().is_none_or(|name| model.0.contains_key(name));
                        let put = group.put_pending(Pending {
                            id,
                            consumer: consumer.as_deref(),
                            delivered_at_ms: time,
                            deliveries: seq,
                        });
                        prop_assert_eq!(put, fits);
                        if fits {
                            model.1.insert(id, (consumer, time, seq));
                        }
                    }
                    _ => prop_assert_eq!(group.remove_pending(id), model.1.remove(&id).is_some()),
                }
            }
            check(&group, &model)?;
            // Another order of coming and going gives another numbering and the same group.
            for (name, (seen, _)) in model.0.iter().rev() {
                same.add_consumer(name, seen + 1, None);
            }
            for (id, (consumer, at, deliveries)) in model.1.iter().rev() {
                same.put_pending(Pending {
                    id: *id,
                    consumer: consumer.as_deref(),
                    delivered_at_ms: *at,
                    deliveries: *deliveries,
                });
            }
            prop_assert!(group == same);
            if same.remove_pending(Id { ms: 0, seq: 0 }) {
                prop_assert!(group != same);
            }
        }
    }
}
