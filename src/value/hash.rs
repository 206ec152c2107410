//! Hashes: fields with a value each and, since Redis 7.4 and Valkey 9.0, perhaps a deadline.

use super::{BYTES_OVERHEAD, Bytes, Map};

/// What a field of a hash holds.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Field {
    /// The field's value.
    pub value: Bytes,
    /// When the field is due, in Unix milliseconds. Only the primary removes it.
    pub expires_at_ms: Option<i64>,
}

impl Field {
    /// A field without a deadline.
    pub fn new(value: Bytes) -> Self {
        Self { value, expires_at_ms: None }
    }

    /// Whether readers no longer see it: the servers show a field up to and including its deadline.
    pub fn is_expired(&self, now_ms: i64) -> bool {
        self.expires_at_ms.is_some_and(|at| at < now_ms)
    }
}

/// Fields and their values. Cloning takes constant time.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Hash {
    fields: Map<Field>,
    value_bytes: usize,
    /// How many fields have a deadline; 0 lets readers skip all tests.
    volatile: usize,
}

impl Hash {
    /// How many fields there are, also those whose deadline has passed.
    pub fn len(&self) -> usize {
        self.fields.len()
    }

    /// No field at all.
    pub fn is_empty(&self) -> bool {
        self.fields.is_empty()
    }

    /// How many fields have a deadline.
    pub fn volatile_len(&self) -> usize {
        self.volatile
    }

    /// An estimate of the memory it takes, in bytes.
    pub fn memory(&self) -> usize {
        self.fields.memory() + self.value_bytes + self.fields.len() * BYTES_OVERHEAD
    }

    /// A field, also one whose deadline has passed.
    pub fn get(&self, name: &[u8]) -> Option<&Field> {
        self.fields.get(name)
    }

    /// Stores a field and returns the one that was there.
    pub fn insert(&mut self, name: Bytes, field: Field) -> Option<Field> {
        self.value_bytes += field.value.len();
        self.volatile += usize::from(field.expires_at_ms.is_some());
        let old = self.fields.insert(name, field);
        self.forget(old.as_ref());
        old
    }

    /// Removes a field and returns it.
    pub fn remove(&mut self, name: &[u8]) -> Option<Field> {
        let old = self.fields.remove(name);
        self.forget(old.as_ref());
        old
    }

    fn forget(&mut self, old: Option<&Field>) {
        if let Some(old) = old {
            self.value_bytes -= old.value.len();
            self.volatile -= usize::from(old.expires_at_ms.is_some());
        }
    }

    /// All fields in no order.
    pub fn iter(&self) -> impl Iterator<Item = (&Bytes, &Field)> {
        self.fields.iter()
    }

    /// All fields in the order of their names' bytes.
    pub fn sorted(&self) -> Vec<(&Bytes, &Field)> {
        self.fields.sorted()
    }
}

impl FromIterator<(Bytes, Field)> for Hash {
    fn from_iter<I: IntoIterator<Item = (Bytes, Field)>>(fields: I) -> Self {
        let mut hash = Self::default();
        for (name, field) in fields {
            hash.insert(name, field);
        }
        hash
    }
}
