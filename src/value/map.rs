//! A map from byte strings that is a sorted block while it is small and a shared tree when it is
//! large; sets, hashes and the members of sorted sets are made of it.

use super::{BYTES_OVERHEAD, Bytes};
use foldhash::fast::RandomState;
use imbl::GenericHashMap;
use imbl::shared_ptr::DefaultSharedPtr;
use std::sync::Arc;

type Tree<V> = GenericHashMap<Bytes, V, RandomState, DefaultSharedPtr>;

/// Up to here the sorted block is both smaller and faster than the tree.
const SMALL_MAX: usize = 64;

/// A sorted block: what is counted before it, and its allocation's own share.
const BLOCK_BYTES: usize = 48;

/// The tree's nodes are about a quarter full on average, and keep a hash with each pair.
const TREE_SLACK: usize = 4;

/// Distinct byte strings, each with a `V`. Cloning takes constant time.
#[derive(Clone, Debug)]
pub struct Map<V: Clone> {
    repr: Repr<V>,
    /// Bytes of all keys, so that [`Map::key_bytes`] need not walk.
    key_bytes: usize,
}

#[derive(Clone, Debug)]
enum Repr<V: Clone> {
    Small(Arc<Vec<(Bytes, V)>>),
    Large(Tree<V>),
}

impl<V: Clone> Default for Map<V> {
    fn default() -> Self {
        Self { repr: Repr::Small(Arc::default()), key_bytes: 0 }
    }
}

impl<V: Clone> Map<V> {
    /// How many keys there are.
    pub fn len(&self) -> usize {
        match &self.repr {
            Repr::Small(block) => block.len(),
            Repr::Large(tree) => tree.len(),
        }
    }

    /// No key at all.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The sum of the lengths of all keys.
    pub fn key_bytes(&self) -> usize {
        self.key_bytes
    }

    /// An estimate of the memory it takes, in bytes, without what the values own.
    pub fn memory(&self) -> usize {
        let (pair, len) = (size_of::<(Bytes, V)>(), self.len());
        let pairs = match &self.repr {
            Repr::Small(_) if len == 0 => 0,
            // Not the capacity itself, which copies of the same block need not have.
            Repr::Small(_) => BLOCK_BYTES + len.next_power_of_two().max(4) * pair,
            Repr::Large(_) => len * TREE_SLACK * (pair + size_of::<u64>()),
        };
        self.key_bytes + len * BYTES_OVERHEAD + pairs
    }

    /// What is kept under this key.
    pub fn get(&self, key: &[u8]) -> Option<&V> {
        match &self.repr {
            Repr::Small(block) => position(block, key).ok().map(|at| &block[at].1),
            Repr::Large(tree) => tree.get(key),
        }
    }

    /// Whether the key is there.
    pub fn contains(&self, key: &[u8]) -> bool {
        self.get(key).is_some()
    }

    /// Stores a value under a key and returns the one that was there.
    pub fn insert(&mut self, key: Bytes, value: V) -> Option<V> {
        let key_len = key.len();
        let old = match &mut self.repr {
            Repr::Small(block) => match position(block, &key) {
                Ok(at) => Some(std::mem::replace(&mut Arc::make_mut(block)[at].1, value)),
                Err(at) if block.len() < SMALL_MAX => {
                    Arc::make_mut(block).insert(at, (key, value));
                    None
                }
                Err(_) => {
                    let mut tree: Tree<V> = block.iter().cloned().collect();
                    tree.insert(key, value);
                    self.repr = Repr::Large(tree);
                    None
                }
            },
            Repr::Large(tree) => tree.insert(key, value),
        };
        if old.is_none() {
            self.key_bytes += key_len;
        }
        old
    }

    /// Removes a key and returns what it held.
    pub fn remove(&mut self, key: &[u8]) -> Option<V> {
        let old = match &mut self.repr {
            Repr::Small(block) => {
                let at = position(block, key).ok()?;
                Some(Arc::make_mut(block).remove(at).1)
            }
            Repr::Large(tree) => tree.remove(key),
        };
        if old.is_some() {
            self.key_bytes -= key.len();
        }
        old
    }

    /// All pairs: in the order of their bytes while small, in no order when large.
    pub fn iter(&self) -> impl Iterator<Item = (&Bytes, &V)> {
        let (small, large) = match &self.repr {
            Repr::Small(block) => (Some(block.iter()), None),
            Repr::Large(tree) => (None, Some(tree.iter())),
        };
        small
            .into_iter()
            .flatten()
            .map(|(key, value)| (key, value))
            .chain(large.into_iter().flatten())
    }

    /// All pairs in the order of the keys' bytes.
    pub fn sorted(&self) -> Vec<(&Bytes, &V)> {
        let mut pairs: Vec<_> = self.iter().collect();
        if matches!(self.repr, Repr::Large(_)) {
            pairs.sort_unstable_by(|a, b| a.0.cmp(b.0));
        }
        pairs
    }
}

fn position<V>(block: &[(Bytes, V)], key: &[u8]) -> Result<usize, usize> {
    block.binary_search_by(|(candidate, _)| candidate.as_ref().cmp(key))
}

impl<V: Clone + PartialEq> PartialEq for Map<V> {
    fn eq(&self, other: &Self) -> bool {
        self.len() == other.len()
            && self.iter().all(|(key, value)| other.get(key).is_some_and(|theirs| theirs == value))
    }
}

impl<V: Clone> FromIterator<(Bytes, V)> for Map<V> {
    fn from_iter<I: IntoIterator<Item = (Bytes, V)>>(pairs: I) -> Self {
        let mut map = Self::default();
        for (key, value) in pairs {
            map.insert(key, value);
        }
        map
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::collections::BTreeMap;

    proptest! {
        #[test]
        fn behaves_like_a_sorted_map_on_both_sides_of_the_threshold(
            steps in proptest::collection::vec((0u16..200, any::<Option<u8>>()), 0..400)
        ) {
            let mut model = BTreeMap::new();
            let mut map = Map::default();
            let mut frozen = Vec::new();
            for (number, value) in steps {
                let key = Bytes::from(number.to_string().as_bytes());
                match value {
                    Some(value) => {
                        let old = map.insert(key.clone(), value);
                        prop_assert_eq!(old, model.insert(key, value))
                    }
                    None => prop_assert_eq!(map.remove(&key), model.remove(&key)),
                }
                prop_assert_eq!(map.len(), model.len());
                prop_assert_eq!(map.key_bytes(), model.keys().map(|k| k.len()).sum::<usize>());
                if frozen.len() < 5 { frozen.push((map.clone(), model.clone())); }
            }
            frozen.push((map, model));
            for (map, model) in frozen {
                let sorted = map.sorted().into_iter();
                let pairs: Vec<_> = sorted.map(|(k, v)| (k.clone(), *v)).collect();
                prop_assert_eq!(pairs, model.into_iter().collect::<Vec<_>>());
            }
        }
    }
}
