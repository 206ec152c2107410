//! Values that are a single block of bytes, taken apart and put together: what the table may lay
//! into one block with the key.

use super::{Bytes, Hash, List, Set, Type, Value, Zset};

/// A value in one block, and what has to be known beside the block; `B` is how it has the bytes.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Flat<B = Bytes> {
    /// Never a stream, array or module.
    pub kind: Type,
    /// How many elements an aggregate has; 0 for strings.
    pub len: usize,
    /// How many fields have a deadline; for a sorted set, whether the primary keeps it as a skip
    /// list.
    pub mark: usize,
    /// The string, or an aggregate's entries one behind the other.
    pub bytes: B,
}

impl<B> Flat<B> {
    /// A string.
    pub fn string(bytes: B) -> Self {
        Self { kind: Type::String, len: 0, mark: 0, bytes }
    }

    /// The same with bytes of another kind.
    pub fn map<C>(self, bytes: impl FnOnce(B) -> C) -> Flat<C> {
        let Self { kind, len, mark, bytes: own } = self;
        Flat { kind, len, mark, bytes: bytes(own) }
    }
}

/// A value that is lent where that spares an allocation.
#[derive(Clone, Debug, PartialEq)]
pub enum Content<'a> {
    /// It is a single block, and small.
    Flat(Flat<&'a [u8]>),
    /// Anything else.
    Value(Value),
}

impl From<Value> for Content<'_> {
    fn from(value: Value) -> Self {
        Self::Value(value)
    }
}

impl Content<'_> {
    /// Whether it is lent as a single block.
    pub fn is_flat(&self) -> bool {
        matches!(self, Self::Flat(_))
    }

    /// To be kept.
    pub fn into_value(self) -> Value {
        match self {
            Self::Flat(flat) => flat.map(Bytes::from).into_value(),
            Self::Value(value) => value,
        }
    }
}

impl Flat {
    /// The value as one block; `None` where it is more than one.
    pub fn of(value: &Value) -> Option<Self> {
        let flat = |kind, len, mark, bytes: &Bytes| Self { kind, len, mark, bytes: bytes.clone() };
        let kind = value.kind();
        Some(match value {
            Value::String(bytes) => flat(kind, 0, 0, bytes),
            Value::List(list) => flat(kind, list.len(), 0, list.leaf()?),
            Value::Set(set) => flat(kind, set.len(), 0, set.leaf()?),
            Value::Hash(hash) => flat(kind, hash.len(), hash.volatile_len(), hash.leaf()?),
            Value::Zset(zset) => {
                flat(kind, zset.len(), usize::from(!zset.is_packed()), zset.leaf()?)
            }
            Value::Stream(_) | Value::Array(_) | Value::Module(_) => return None,
        })
    }

    /// The same, lent.
    pub fn lend(&self) -> Flat<&[u8]> {
        Flat { kind: self.kind, len: self.len, mark: self.mark, bytes: &self.bytes }
    }

    /// The value again, in constant time.
    pub fn into_value(self) -> Value {
        let Self { kind, len, mark, bytes } = self;
        match kind {
            Type::List => Value::List(List::of_leaf(bytes, len)),
            Type::Set => Value::Set(Set::of_leaf(bytes, len)),
            Type::Hash => Value::Hash(Hash::of_leaf(bytes, len, mark)),
            Type::Zset => Value::Zset(Zset::of_leaf(bytes, len, mark == 0)),
            Type::String | Type::Stream | Type::Array | Type::Module => Value::String(bytes),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::value::{Field, Stream};

    #[test]
    fn small_values_come_back_and_large_ones_are_not_flat() {
        let hash = |count: usize| {
            let mut hash = Hash::default();
            for n in 0..count {
                let expires_at_ms = (n % 3 == 0).then_some(n as i64);
                hash.insert(n.to_string().as_bytes(), Field { value: b"v", expires_at_ms });
            }
            hash
        };
        let texts = |count: usize| (0..count).map(|n| n.to_string().into_bytes());
        let values = |count: usize| {
            let zset: Zset = texts(count).map(|text| (text, 1.5)).collect();
            [
                Value::List(texts(count).collect()),
                Value::Set(texts(count).collect()),
                Value::Hash(hash(count)),
                Value::Zset(zset),
            ]
        };
        for value in values(20).into_iter().chain([Value::string(b""), Value::string(b"abc")]) {
            let back = Flat::of(&value).unwrap().into_value();
            assert_eq!((&back, back.len(), back.memory()), (&value, value.len(), value.memory()));
            if let (Value::Hash(was), Value::Hash(is)) = (&value, &back) {
                assert_eq!(is.volatile_len(), was.volatile_len());
            }
        }
        for value in values(2000).into_iter().chain([Value::Stream(Stream::default())]) {
            assert!(Flat::of(&value).is_none(), "{:?}", value.kind());
        }
        let mut zset: Zset = texts(10).map(|text| (text, 1.0)).collect();
        for packed in [true, false] {
            zset.set_packed(packed);
            let back = Flat::of(&Value::Zset(zset.clone())).unwrap().into_value();
            assert!(matches!(back, Value::Zset(zset) if zset.is_packed() == packed));
        }
        // With so many members a second tree finds them.
        let zset: Zset = texts(100).map(|text| (text, 1.0)).collect();
        assert!(Flat::of(&Value::Zset(zset)).is_none());
    }
}
