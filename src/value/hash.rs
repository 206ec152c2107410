//! Hashes: fields with a value each and, since Redis 7.4 and Valkey 9.0, perhaps a deadline.

use super::Bytes;
use super::tree::{Tree, length_len, push_length, split_length};
use std::cmp::Ordering;

/// What a field of a hash holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Field<'a> {
    /// The field's value.
    pub value: &'a [u8],
    /// When the field is due, in Unix milliseconds. Only the primary removes it.
    pub expires_at_ms: Option<i64>,
}

impl<'a> Field<'a> {
    /// A field without a deadline.
    pub fn new(value: &'a [u8]) -> Self {
        Self { value, expires_at_ms: None }
    }

    /// Whether readers no longer see it: the servers show a field up to and including its deadline.
    pub fn is_expired(&self, now_ms: i64) -> bool {
        self.expires_at_ms.is_some_and(|at| at < now_ms)
    }
}

/// Fields and their values, kept in the order of the names' bytes. Cloning takes constant time,
/// everything about one field logarithmic time.
#[derive(Clone, Debug, Default)]
pub struct Hash {
    /// An entry is the length of the name with a bit for a deadline, the name, the deadline if
    /// there is one, and the value.
    fields: Tree,
    /// How many fields have a deadline; 0 lets readers skip all tests.
    volatile: usize,
}

fn entry(name: &[u8], field: Field<'_>) -> Vec<u8> {
    let mut entry = Vec::with_capacity(name.len() + field.value.len() + 12);
    write(&mut entry, name, field);
    entry
}

/// How long an entry is.
pub(super) fn entry_len(name: &[u8], field: Field<'_>) -> usize {
    let head = length_len(name.len() << 1);
    head + name.len() + field.value.len() + field.expires_at_ms.map_or(0, |_| size_of::<i64>())
}

/// Appends an entry.
#[inline]
pub(super) fn write(out: &mut Vec<u8>, name: &[u8], field: Field<'_>) {
    push_length(out, name.len() << 1 | usize::from(field.expires_at_ms.is_some()));
    out.extend_from_slice(name);
    if let Some(at) = field.expires_at_ms {
        out.extend_from_slice(&at.to_le_bytes());
    }
    out.extend_from_slice(field.value);
}

/// What an entry says.
pub(super) fn parts(entry: &[u8]) -> (&[u8], Field<'_>) {
    let (head, rest) = split_length(entry);
    let (name, rest) = rest.split_at_checked(head >> 1).unwrap_or((rest, &[]));
    match (head & 1, rest.split_first_chunk::<8>()) {
        (1, Some((at, value))) => {
            (name, Field { value, expires_at_ms: Some(i64::from_le_bytes(*at)) })
        }
        _ => (name, Field::new(rest)),
    }
}

fn order(entry: &[u8], name: &[u8]) -> Ordering {
    parts(entry).0.cmp(name)
}

impl Hash {
    /// How many fields there are, also those whose deadline has passed.
    pub fn len(&self) -> usize {
        self.fields.len()
    }

    /// No field at all.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// How many fields have a deadline.
    pub fn volatile_len(&self) -> usize {
        self.volatile
    }

    /// Its fields as one block; `None` where they are more than one.
    pub(super) fn leaf(&self) -> Option<&Bytes> {
        self.fields.leaf()
    }

    /// What [`Hash::leaf`] told, so many of its fields with a deadline.
    pub(super) fn of_leaf(block: Bytes, len: usize, volatile: usize) -> Self {
        Self { fields: Tree::of_leaf(block, len), volatile }
    }

    /// Of its fields as they lie in a block, which may be larger than one, so many with a deadline.
    pub(super) fn of_entries(entries: &[u8], volatile: usize) -> Self {
        Self { fields: Tree::of_entries(entries), volatile }
    }

    /// An estimate of the memory it takes, in bytes.
    pub fn memory(&self) -> usize {
        self.fields.memory()
    }

    fn find(&self, name: &[u8]) -> Result<usize, usize> {
        self.fields.find(|entry| order(entry, name))
    }

    /// A field, also one whose deadline has passed.
    pub fn get(&self, name: &[u8]) -> Option<Field<'_>> {
        self.fields.seek(|entry| order(entry, name)).map(|entry| parts(entry).1)
    }

    /// Stores a field; false if it was there already.
    pub fn insert(&mut self, name: &[u8], field: Field<'_>) -> bool {
        let new = entry(name, field);
        self.volatile += usize::from(field.expires_at_ms.is_some());
        match self.find(name) {
            Ok(at) => {
                self.forget(at);
                self.fields.replace(at, &new);
                false
            }
            Err(at) => {
                self.fields.insert(at, &new);
                true
            }
        }
    }

    /// Removes a field; false if it was not there.
    pub fn remove(&mut self, name: &[u8]) -> bool {
        let place = self.find(name);
        if let Ok(at) = place {
            self.forget(at);
            self.fields.remove(at);
        }
        place.is_ok()
    }

    fn forget(&mut self, at: usize) {
        let old = self.fields.get(at).map(|entry| parts(entry).1);
        self.volatile -= usize::from(old.is_some_and(|old| old.expires_at_ms.is_some()));
    }

    /// All fields in the order of their names' bytes.
    pub fn iter(&self) -> impl ExactSizeIterator<Item = (&[u8], Field<'_>)> {
        self.fields.iter().map(parts)
    }
}

impl PartialEq for Hash {
    fn eq(&self, other: &Self) -> bool {
        self.fields.same(&other.fields)
    }
}

impl<'f, N: AsRef<[u8]>> FromIterator<(N, Field<'f>)> for Hash {
    fn from_iter<I: IntoIterator<Item = (N, Field<'f>)>>(fields: I) -> Self {
        let mut hash = Self::default();
        for (name, field) in fields {
            hash.insert(name.as_ref(), field);
        }
        hash
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::collections::BTreeMap;

    proptest! {
        #[test]
        fn behaves_like_a_sorted_map(
            steps in proptest::collection::vec(
                (any::<bool>(), 0u16..300, any::<Option<i64>>()), 0..500
            )
        ) {
            let mut model: BTreeMap<Vec<u8>, (Vec<u8>, Option<i64>)> = BTreeMap::new();
            let mut hash = Hash::default();
            for (stays, number, at) in steps {
                let name = number.to_string().into_bytes();
                let value = name.repeat(usize::from(number) % 40);
                if stays {
                    let is_new = hash.insert(&name, Field { value: &value, expires_at_ms: at });
                    prop_assert_eq!(is_new, model.insert(name, (value, at)).is_none());
                } else {
                    prop_assert_eq!(hash.remove(&name), model.remove(&name).is_some());
                }
            }
            let wanted = model.iter().map(|(name, (value, at))| {
                (name.as_slice(), Field { value, expires_at_ms: *at })
            });
            prop_assert!(hash.iter().eq(wanted));
            for (name, (value, at)) in &model {
                prop_assert_eq!(hash.get(name), Some(Field { value, expires_at_ms: *at }));
            }
            let volatile = model.values().filter(|field| field.1.is_some()).count();
            prop_assert_eq!((hash.len(), hash.volatile_len()), (model.len(), volatile));
        }
    }
}
