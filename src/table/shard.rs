//! The hash table under each lock, and the rule that says which lock a key is under.

use super::entry::Entry;
use super::stored::Stored;
use crate::value::Bytes;
#[cfg(feature = "fixed-seed")]
use foldhash::quality::FixedState as RandomState;
#[cfg(not(feature = "fixed-seed"))]
use foldhash::quality::RandomState;
use hashbrown::HashTable;
use hashbrown::hash_table::Entry as Slot;
use std::hash::BuildHasher;
use std::sync::Arc;

/// More shards than this cost memory in every database and win nothing.
const SHARDS_MAX: usize = 1 << 12;

/// Shards differ in size, evenly between one and two, so that they outgrow their hash tables one
/// after the other: then no moment has all of them grow, and no number of keys finds all of them
/// half empty. This many steps stand for a shard on average.
const STEPS: usize = 32;

/// Where keys belong: the same in every database and generation of one table, so that a walk can go
/// on in another generation where it stopped in this one.
#[derive(Clone, Debug)]
pub(super) struct Layout {
    /// Seeded at random: whoever writes to the primary can't choose keys that collide here.
    hasher: RandomState,
    shards: usize,
    /// By some bits of a hash.
    steps: Arc<[u16]>,
}

/// Where one key belongs.
#[derive(Clone, Copy, Debug)]
pub(super) struct Place {
    pub(super) shard: usize,
    pub(super) hash: u64,
}

impl Layout {
    /// At least this many shards, within reason.
    pub(super) fn new(shards: usize) -> Self {
        let shards = shards.clamp(1, SHARDS_MAX).next_power_of_two();
        let all = shards * STEPS;
        let shard = |step| ((1.0 + step as f64 / all as f64).log2() * shards as f64) as u16;
        let steps = (0..all).map(shard).collect();
        Self { hasher: RandomState::default(), shards, steps }
    }

    pub(super) fn shards(&self) -> usize {
        self.shards
    }

    pub(super) fn place(&self, key: &[u8]) -> Place {
        let hash = self.hasher.hash_one(key);
        // The hash table takes the lowest and the highest bits; these are from between.
        let step = (hash >> 40) as usize & (self.steps.len() - 1);
        Place { shard: self.steps.get(step).copied().unwrap_or(0).into(), hash }
    }

    /// Whether both put every key in the same place.
    pub(super) fn is_same(&self, other: &Self) -> bool {
        self.shards == other.shards && self.hasher.hash_one(0) == other.hasher.hash_one(0)
    }
}

/// A key and what it has, as readers are given them.
pub(super) type Item = (Bytes, Entry);

/// One part of a database. A clone is a copy of it as it is now, made in constant time: the next
/// change copies the hash table, but not what it refers to, if the clone is still there.
#[derive(Clone, Debug, Default)]
pub(super) struct Shard {
    items: Arc<HashTable<Stored>>,
}

impl Shard {
    pub(super) fn get(&self, hash: u64, key: &[u8]) -> Option<Entry> {
        self.find(hash, key).map(Stored::entry)
    }

    pub(super) fn item(&self, hash: u64, key: &[u8]) -> Option<Item> {
        self.find(hash, key).map(Stored::item)
    }

    fn find(&self, hash: u64, key: &[u8]) -> Option<&Stored> {
        self.items.find(hash, |stored| stored.key() == key)
    }

    /// Stores an entry and returns the one that was there.
    pub(super) fn put(&mut self, layout: &Layout, hash: u64, new: Stored) -> Option<Stored> {
        let same = |stored: &Stored| stored.key() == new.key();
        match Arc::make_mut(&mut self.items)
            .entry(hash, same, |stored| layout.place(stored.key()).hash)
        {
            Slot::Occupied(mut slot) => Some(std::mem::replace(slot.get_mut(), new)),
            Slot::Vacant(slot) => {
                slot.insert(new);
                None
            }
        }
    }

    pub(super) fn remove(&mut self, hash: u64, key: &[u8]) -> Option<Stored> {
        // What is not there must not cost a copy.
        self.find(hash, key)?;
        let items = Arc::make_mut(&mut self.items);
        let slot = items.find_entry(hash, |stored| stored.key() == key).ok()?;
        Some(slot.remove().0)
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = Item> {
        self.items.iter().map(Stored::item)
    }

    pub(super) fn is_empty(&self) -> bool {
        self.items.is_empty()
    }

    pub(super) fn into_items(self) -> impl Iterator<Item = Item> {
        Arc::unwrap_or_clone(self.items).into_iter().map(|stored| stored.item())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shards_differ_in_size_and_none_is_left_out() {
        for shards in [1, 2, 32, SHARDS_MAX] {
            let layout = Layout::new(shards);
            let mut sizes = vec![0_usize; layout.shards()];
            layout.steps.iter().for_each(|shard| sizes[usize::from(*shard)] += 1);
            let (least, most) = (sizes.iter().min().unwrap(), sizes.iter().max().unwrap());
            assert!(*least >= STEPS / 2 && *most <= 2 * STEPS, "{least} to {most} of {shards}");
            assert!(shards < 32 || *most > 3 * least / 2, "{least} to {most} of {shards}");
        }
    }
}
