//! The hash table under each lock, and the rule that says which lock a key is under.

use super::entry::Entry;
use crate::value::Bytes;
use foldhash::quality::RandomState;
use hashbrown::HashTable;
use hashbrown::hash_table::Entry as Slot;
use std::hash::BuildHasher;

/// More shards than this cost memory in every database and win nothing.
const SHARDS_MAX: usize = 1 << 12;

/// Where keys belong: the same in every database and generation of one table, so that a walk can go
/// on in another generation where it stopped in this one.
#[derive(Clone, Debug)]
pub(super) struct Layout {
    /// Seeded at random: whoever writes to the primary can't choose keys that collide here.
    hasher: RandomState,
    shards: usize,
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
        Self {
            hasher: RandomState::default(),
            shards: shards.clamp(1, SHARDS_MAX).next_power_of_two(),
        }
    }

    pub(super) fn shards(&self) -> usize {
        self.shards
    }

    pub(super) fn place(&self, key: &[u8]) -> Place {
        let hash = self.hasher.hash_one(key);
        // The hash table takes the lowest and the highest bits; these are from between.
        Place { shard: (hash >> 40) as usize & (self.shards - 1), hash }
    }

    /// Whether both put every key in the same place.
    pub(super) fn is_same(&self, other: &Self) -> bool {
        self.shards == other.shards && self.hasher.hash_one(0) == other.hasher.hash_one(0)
    }
}

/// A key and what it has. The key is stored nowhere else.
pub(super) type Item = (Bytes, Entry);

/// One part of a database.
#[derive(Debug, Default)]
pub(super) struct Shard {
    items: HashTable<Item>,
}

impl Shard {
    pub(super) fn get(&self, hash: u64, key: &[u8]) -> Option<&Entry> {
        self.item(hash, key).map(|item| &item.1)
    }

    pub(super) fn item(&self, hash: u64, key: &[u8]) -> Option<&Item> {
        self.items.find(hash, |item| *item.0 == *key)
    }

    /// Stores an entry and returns the one that was there.
    pub(super) fn put(
        &mut self,
        layout: &Layout,
        hash: u64,
        key: Bytes,
        entry: Entry,
    ) -> Option<Entry> {
        let same = |item: &Item| *item.0 == *key;
        match self.items.entry(hash, same, |item| layout.place(&item.0).hash) {
            Slot::Occupied(mut slot) => Some(std::mem::replace(&mut slot.get_mut().1, entry)),
            Slot::Vacant(slot) => {
                slot.insert((key, entry));
                None
            }
        }
    }

    pub(super) fn remove(&mut self, hash: u64, key: &[u8]) -> Option<Item> {
        let slot = self.items.find_entry(hash, |item| *item.0 == *key).ok()?;
        Some(slot.remove().0)
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = &Item> {
        self.items.iter()
    }

    pub(super) fn into_items(self) -> impl Iterator<Item = Item> {
        self.items.into_iter()
    }

    /// All entries as they are now.
    pub(super) fn copy(&self) -> Vec<Item> {
        self.items.iter().cloned().collect()
    }
}
