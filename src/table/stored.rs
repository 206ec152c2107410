//! How a key and what it has lie in memory: most of them as one block, which is all that they take
//! besides their slot.
//!
//! A block is, in this order: the type and the marks below, the version, the deadline where there
//! is one, the length of the key, an aggregate's number of elements and its mark (see [`Flat`]),
//! the key, and the value to the end. It is never edited. What is read from it shares it.

use super::entry::{Counts, Entry};
use crate::value::{Bytes, Flat, Type, Value, push_length, split_length};
use std::sync::Arc;

/// A key and a value that are longer together lie apart: copying them into one block would cost
/// more than it saves.
const PACKED_MAX: usize = 1536;

/// The first byte: there is a deadline.
const DEADLINE: u8 = 8;

/// The first byte without it. Only these types are packed.
const KINDS: [Type; 5] = [Type::String, Type::List, Type::Set, Type::Zset, Type::Hash];

/// A slot of the hash table at its usual load of two thirds: what each key takes at least.
pub const SLOT_BYTES: usize = (size_of::<Stored>() + 1) * 3 / 2;

/// What an allocation takes besides its bytes: the counts in front of what is shared, and what the
/// allocator adds.
const ALLOCATION_BYTES: usize = 32;

/// What stands before a key, more or less: a version must not make a difference to the sums.
const HEAD_BYTES: usize = 8;

/// A key with what it has. It is not changed but exchanged.
#[derive(Clone, Debug)]
pub(super) enum Stored {
    /// In one block.
    Packed(Arc<[u8]>),
    /// What is large, withheld, or of a type that is no block.
    Apart(Box<(Bytes, Entry)>),
}

/// What a block says before the key.
struct Head {
    kind: Type,
    version: u64,
    expires_at_ms: Option<i64>,
    len: usize,
    mark: usize,
    /// Where the key begins, and where the value does.
    key_at: usize,
    value_at: usize,
}

impl Head {
    fn of(block: &[u8]) -> Self {
        let (first, rest) = block.split_first().unwrap_or((&0, &[]));
        let kind = KINDS.get(usize::from(first % DEADLINE)).copied().unwrap_or(Type::String);
        let (version, mut rest) = split_length(rest);
        let mut expires_at_ms = None;
        if let (true, Some((at, behind))) = (*first >= DEADLINE, rest.split_first_chunk::<8>()) {
            (expires_at_ms, rest) = (Some(i64::from_le_bytes(*at)), behind);
        }
        let (key_len, mut rest) = split_length(rest);
        let (mut len, mut mark) = (0, 0);
        if kind != Type::String {
            (len, rest) = split_length(rest);
            (mark, rest) = split_length(rest);
        }
        let key_at = block.len() - rest.len();
        let value_at = key_at + key_len;
        Self { kind, version: version as u64, expires_at_ms, len, mark, key_at, value_at }
    }
}

impl Stored {
    pub(super) fn new(key: Bytes, entry: Entry) -> Self {
        match pack(&key, &entry) {
            Some(block) => Self::Packed(block),
            None => Self::Apart(Box::new((key, entry))),
        }
    }

    pub(super) fn key(&self) -> &[u8] {
        match self {
            Self::Packed(block) => {
                let head = Head::of(block);
                block.get(head.key_at..head.value_at).unwrap_or_default()
            }
            Self::Apart(item) => &item.0,
        }
    }

    /// What the key has. Constant time, and nothing is allocated.
    pub(super) fn entry(&self) -> Entry {
        match self {
            Self::Packed(block) => unpack(block, &Head::of(block)),
            Self::Apart(item) => item.1.clone(),
        }
    }

    /// The key and what it has. Constant time, and nothing is allocated.
    pub(super) fn item(&self) -> (Bytes, Entry) {
        match self {
            Self::Packed(block) => {
                let head = Head::of(block);
                let key = Bytes::part(block, head.key_at..head.value_at);
                (key, unpack(block, &head))
            }
            Self::Apart(item) => (**item).clone(),
        }
    }

    /// What it adds to the sums.
    pub(super) fn counts(&self) -> Counts {
        match self {
            Self::Packed(block) => Counts {
                keys: 1,
                expires: usize::from(block.first().is_some_and(|first| *first >= DEADLINE)),
                memory: SLOT_BYTES + packed_memory(block.len() - Head::of(block).key_at),
                ..Counts::default()
            },
            Self::Apart(item) => {
                let (key, entry) = &**item;
                let itself = size_of::<(Bytes, Entry)>() + ALLOCATION_BYTES;
                Counts::of(entry, SLOT_BYTES + itself + apart_memory(key.len(), entry))
            }
        }
    }
}

/// An estimate of the memory that storing a clone of a stored key and entry does not take again.
pub(super) fn shared_memory(key_len: usize, entry: &Entry) -> usize {
    match flat(key_len, entry) {
        Some(flat) => packed_memory(key_len + flat.bytes.len()),
        None => apart_memory(key_len, entry),
    }
}

fn packed_memory(len: usize) -> usize {
    ALLOCATION_BYTES + HEAD_BYTES + len
}

fn apart_memory(key_len: usize, entry: &Entry) -> usize {
    ALLOCATION_BYTES + key_len + entry.memory()
}

/// The value of what is to be packed.
fn flat(key_len: usize, entry: &Entry) -> Option<Flat> {
    let (value, None) = (entry.value.as_ref()?, &entry.hold) else { return None };
    Flat::of(value).filter(|flat| key_len + flat.bytes.len() <= PACKED_MAX)
}

fn pack(key: &Bytes, entry: &Entry) -> Option<Arc<[u8]>> {
    let flat = flat(key.len(), entry)?;
    if let Some(block) = packed_before(key, entry, &flat) {
        return Some(block.clone());
    }
    let kind = KINDS.iter().position(|kind| *kind == flat.kind)?;
    let mut block = Vec::with_capacity(key.len() + flat.bytes.len() + 40);
    block.push(kind as u8 + if entry.expires_at_ms.is_some() { DEADLINE } else { 0 });
    push_length(&mut block, usize::try_from(entry.version).ok()?);
    if let Some(at) = entry.expires_at_ms {
        block.extend_from_slice(&at.to_le_bytes());
    }
    push_length(&mut block, key.len());
    if flat.kind != Type::String {
        push_length(&mut block, flat.len);
        push_length(&mut block, flat.mark);
    }
    block.extend_from_slice(key);
    block.extend_from_slice(&flat.bytes);
    Some(Arc::from(block))
}

/// The block that both came from, if it says just this: what two datasets have in common is there
/// once.
fn packed_before<'a>(key: &'a Bytes, entry: &Entry, flat: &Flat) -> Option<&'a Arc<[u8]>> {
    let block = key.common_block(&flat.bytes)?;
    let head = Head::of(block);
    let is_this = (head.kind, head.version, head.expires_at_ms, head.len, head.mark)
        == (flat.kind, entry.version, entry.expires_at_ms, flat.len, flat.mark)
        && key.is_same(&Bytes::part(block, head.key_at..head.value_at))
        && flat.bytes.is_same(&Bytes::part(block, head.value_at..block.len()));
    is_this.then_some(block)
}

fn unpack(block: &Arc<[u8]>, head: &Head) -> Entry {
    let bytes = Bytes::part(block, head.value_at..block.len());
    let flat = Flat { kind: head.kind, len: head.len, mark: head.mark, bytes };
    let value: Value = flat.into_value();
    Entry { version: head.version, ..Entry::new(value, head.expires_at_ms) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::value::{Field, Stream, Zset};

    #[test]
    fn what_is_stored_comes_back() {
        let zset: Zset = [("a", -0.0), ("b", f64::INFINITY)].into_iter().collect();
        let texts = || (0..30).map(|n| n.to_string().into_bytes());
        let values = [
            Value::string(b""),
            Value::string(&[7; 300]),
            Value::List(texts().collect()),
            Value::Set(texts().collect()),
            Value::Zset(zset),
            Value::Hash([("name", Field::new(b"value"))].into_iter().collect()),
            Value::string(&[7; PACKED_MAX]),
            Value::Stream(Stream::default()),
        ];
        for key in [&b""[..], b"key", &[b'k'; 200]] {
            for (at, value) in values.iter().enumerate() {
                for expires_at_ms in [None, Some(-1), Some(i64::MAX)] {
                    for version in [0, 1, u64::from(u32::MAX) << 7, u64::MAX] {
                        let entry = Entry { version, ..Entry::new(value.clone(), expires_at_ms) };
                        let stored = Stored::new(Bytes::from(key), entry.clone());
                        assert_eq!(
                            matches!(stored, Stored::Packed(_)),
                            at < 6 || key.is_empty() && at == 6
                        );
                        assert_eq!((stored.key(), stored.entry()), (key, entry.clone()));
                        assert_eq!(stored.item(), (Bytes::from(key), entry.clone()));
                        let shared = shared_memory(key.len(), &entry);
                        assert!(shared + SLOT_BYTES <= stored.counts().memory);
                        assert_eq!(stored.counts().expires, usize::from(expires_at_ms.is_some()));
                    }
                }
            }
        }
        let withheld = Entry { hold: Some(Arc::default()), ..Entry::default() };
        let stored = Stored::new(Bytes::from(&b"key"[..]), withheld.clone());
        assert_eq!((stored.key(), stored.entry()), (&b"key"[..], withheld));
    }

    #[test]
    fn what_is_stored_again_as_it_was_shares_its_block() {
        let new = |entry: Entry| Stored::new(Bytes::from(&b"key"[..]), entry);
        let stored = new(Entry::new(Value::List(["a", "b"].into_iter().collect()), Some(7)));
        let block = |stored: &Stored| match stored {
            Stored::Packed(block) => block.clone(),
            Stored::Apart(_) => panic!("it is small"),
        };
        let (key, entry) = stored.item();
        let again = Stored::new(key.clone(), entry.clone());
        assert!(Arc::ptr_eq(&block(&stored), &block(&again)));
        for other in [Entry { version: 1, ..entry.clone() }, Entry { expires_at_ms: None, ..entry }]
        {
            let again = Stored::new(key.clone(), other.clone());
            assert!(!Arc::ptr_eq(&block(&stored), &block(&again)));
            assert_eq!(again.entry(), other);
        }
    }
}
