//! The maps, each behind the same two functions.

use crate::{Random, Value, key_of};
use foldhash::fast::RandomState;
use parking_lot::RwLock;
use std::cell::UnsafeCell;
use std::hash::BuildHasher;

type Bytes = Box<[u8]>;

/// Numbers of keys to be looked up.
pub(crate) struct Numbers<'a> {
    pub(crate) random: &'a mut Random,
    pub(crate) left: u64,
}

impl Numbers<'_> {
    /// Looks all of them up; whether each had its value. What is found is copied out.
    #[inline(always)]
    fn all(&mut self, mut get: impl FnMut(&[u8], &mut Value) -> bool) -> bool {
        let mut right = true;
        for _ in 0..self.left {
            let key = key_of(self.random.next());
            let mut value = [0; 32];
            right &= get(&key, &mut value) && value[..16] == key;
        }
        right
    }
}

fn copy(from: &[u8], to: &mut Value) {
    to[..from.len()].copy_from_slice(from);
}

/// A contender.
pub(crate) trait Map: Default + Sync {
    fn put(&self, number: u64, value: Value);
    /// One call for many keys, so that what calls it costs nothing.
    fn get_all(&self, numbers: &mut Numbers<'_>) -> bool;
}

fn pair(number: u64, value: Value) -> (Bytes, Bytes) {
    (Box::from(key_of(number)), Box::from(value))
}

#[derive(Default)]
pub(crate) struct Dash<S: BuildHasher + Clone + Default>(dashmap::DashMap<Bytes, Bytes, S>);

pub(crate) type QuickDash = Dash<RandomState>;
/// With the hash function that it brings along.
pub(crate) type StockDash = Dash<std::hash::RandomState>;

impl<S: BuildHasher + Clone + Default + Send + Sync> Map for Dash<S> {
    fn put(&self, number: u64, value: Value) {
        let (key, value) = pair(number, value);
        self.0.insert(key, value);
    }

    fn get_all(&self, numbers: &mut Numbers<'_>) -> bool {
        numbers.all(|key, to| {
            self.0.get(key).is_some_and(|found| {
                copy(found.value(), to);
                true
            })
        })
    }
}

#[derive(Default)]
pub(crate) struct Papaya(papaya::HashMap<Bytes, Bytes, RandomState>);

impl Map for Papaya {
    fn put(&self, number: u64, value: Value) {
        let (key, value) = pair(number, value);
        self.0.pin().insert(key, value);
    }

    fn get_all(&self, numbers: &mut Numbers<'_>) -> bool {
        numbers.all(|key, to| {
            self.0.pin().get(key).is_some_and(|found| {
                copy(found, to);
                true
            })
        })
    }
}

#[derive(Default)]
pub(crate) struct Scc(scc::HashMap<Bytes, Bytes, RandomState>);

impl Map for Scc {
    fn put(&self, number: u64, value: Value) {
        let (key, value) = pair(number, value);
        self.0.upsert_sync(key, value);
    }

    fn get_all(&self, numbers: &mut Numbers<'_>) -> bool {
        numbers.all(|key, to| self.0.read_sync(key, |_, found| copy(found, to)).is_some())
    }
}

type Brown = hashbrown::HashMap<Bytes, Bytes, RandomState>;

/// Many locks, each over a map.
pub(crate) struct Sharded {
    hasher: RandomState,
    shards: Vec<RwLock<Brown>>,
}

const SHARDS: usize = 64;

impl Default for Sharded {
    fn default() -> Self {
        let hasher = RandomState::default();
        let shard = || RwLock::new(Brown::with_hasher(hasher.clone()));
        Self { shards: (0..SHARDS).map(|_| shard()).collect(), hasher }
    }
}

impl Sharded {
    fn shard(&self, key: &[u8]) -> &RwLock<Brown> {
        &self.shards[(self.hasher.hash_one(key) >> 40) as usize % SHARDS]
    }
}

impl Map for Sharded {
    fn put(&self, number: u64, value: Value) {
        let (key, value) = pair(number, value);
        self.shard(&key).write().insert(key, value);
    }

    fn get_all(&self, numbers: &mut Numbers<'_>) -> bool {
        numbers.all(|key, to| {
            self.shard(key).read().get(key).is_some_and(|found| {
                copy(found, to);
                true
            })
        })
    }
}

/// Without any protection: what a map costs that nobody else may change.
#[derive(Default)]
pub(crate) struct Plain(UnsafeCell<Brown>);

// SAFETY: nobody asks this contender to write once there are readers.
unsafe impl Sync for Plain {}

impl Map for Plain {
    fn put(&self, number: u64, value: Value) {
        let (key, value) = pair(number, value);
        // SAFETY: it is filled by one thread, before any other is there.
        unsafe { &mut *self.0.get() }.insert(key, value);
    }

    fn get_all(&self, numbers: &mut Numbers<'_>) -> bool {
        // SAFETY: as above: nobody writes any more.
        let map = unsafe { &*self.0.get() };
        numbers.all(|key, to| {
            map.get(key).is_some_and(|found| {
                copy(found, to);
                true
            })
        })
    }
}
