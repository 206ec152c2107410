//! Hashes: fields with a value each and, since Redis 7.4 and Valkey 9.0, perhaps a deadline.

use super::Bytes;
use super::tree::{Builder, ByName, Length, Name, Tree, split_length};
use smallvec::SmallVec;

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
    fields: Tree<ByName<OfField>>,
    /// How many fields have a deadline; 0 lets readers skip all tests.
    volatile: usize,
}

fn entry(name: &[u8], field: Field<'_>) -> SmallVec<[u8; 128]> {
    let mut entry = SmallVec::with_capacity(name.len() + field.value.len() + 12);
    write(|bytes| entry.extend_from_slice(bytes), name, field);
    entry
}

/// What an entry begins with: the length of the name, and whether there is a deadline.
#[inline]
pub(super) fn head_of(name: &[u8], field: Field<'_>) -> usize {
    name.len() << 1 | usize::from(field.expires_at_ms.is_some())
}

/// How long an entry is.
#[inline]
pub(super) fn entry_len(name: &[u8], field: Field<'_>) -> usize {
    head_len(head_of(name, field))
        + name.len()
        + field.value.len()
        + field.expires_at_ms.map_or(0, |_| size_of::<i64>())
}

/// How long what stands before a name is.
#[inline]
fn head_len(head: usize) -> usize {
    if head < 0x80 { 1 } else { Length::of(head).len() }
}

/// Hands out the pieces of an entry.
#[inline(always)]
pub(super) fn write(mut put: impl FnMut(&[u8]), name: &[u8], field: Field<'_>) {
    let head = head_of(name, field);
    if head < 0x80 {
        put(&[head as u8]);
    } else {
        put(&Length::of(head));
    }
    put(name);
    if let Some(at) = field.expires_at_ms {
        put(&at.to_le_bytes());
    }
    put(field.value);
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

fn is_volatile(entry: &[u8]) -> bool {
    split_length(entry).0 & 1 != 0
}

#[derive(Clone, Copy, Debug)]
struct OfField;

impl Name for OfField {
    #[inline]
    fn name(entry: &[u8]) -> &[u8] {
        parts(entry).0
    }

    #[inline]
    fn end(name_len: usize) -> Option<usize> {
        Some(head_len(name_len << 1) + name_len)
    }
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

    /// Of its fields in their order, so many with a deadline.
    pub(super) fn built(fields: Builder, volatile: usize) -> Self {
        Self { fields: fields.finish(), volatile }
    }

    /// An estimate of the memory it takes, in bytes.
    pub fn memory(&self) -> usize {
        self.fields.memory()
    }

    /// About the bytes of what `later`, an edited clone, has no more.
    pub(super) fn lost_to(&self, later: &Self) -> usize {
        self.fields.lost_to(&later.fields)
    }

    /// A field, also one whose deadline has passed.
    pub fn get(&self, name: &[u8]) -> Option<Field<'_>> {
        self.fields.seek(name).map(|entry| parts(entry).1)
    }

    /// Stores a field; false if it was there already.
    pub fn insert(&mut self, name: &[u8], field: Field<'_>) -> bool {
        let new = entry(name, field);
        let place = self.fields.find(name).map(|(at, old)| (at, is_volatile(old)));
        self.volatile += usize::from(field.expires_at_ms.is_some());
        match place {
            Ok((at, was_volatile)) => {
                self.volatile -= usize::from(was_volatile);
                self.fields.replace(at, &new);
            }
            Err(at) => self.fields.insert(at, &new),
        }
        place.is_err()
    }

    /// Removes a field; false if it was not there.
    pub fn remove(&mut self, name: &[u8]) -> bool {
        let Ok((at, old)) = self.fields.find(name) else { return false };
        self.volatile -= usize::from(is_volatile(old));
        self.fields.remove(at);
        true
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
                // Of all lengths, and hardly different: also in their values.
                let name = number.to_string().repeat([1, 3, 30][usize::from(number) % 3]);
                let name = name.into_bytes();
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
