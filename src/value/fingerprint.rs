//! Fingerprints: what is left of a value that a callback did not want stored.
//!
//! A resync asks about a withheld key again only if its fingerprint changed. For sets, hashes and
//! sorted sets it is the sum of its elements' fingerprints, so that it can be kept up to date
//! element by element and does not depend on an order.

use super::{Type, Value};
use foldhash::quality::RandomState;
use std::hash::{BuildHasher, Hasher};
use std::sync::OnceLock;

/// 64 bits that two different values share with a chance of one in 2^64. The seed is this
/// process's own: a fingerprint means nothing outside of it.
pub type Fingerprint = u64;

/// Stands for "the primary has nothing there": no content hashes to it but by a chance of one in
/// 2^64.
pub const ABSENT: Fingerprint = 0;

fn hasher() -> impl Hasher {
    static SEED: OnceLock<RandomState> = OnceLock::new();
    SEED.get_or_init(RandomState::default).build_hasher()
}

/// The share of one element: of a set's member, a sorted set's member with its score, a hash's
/// field with its value and deadline.
pub fn element_fingerprint(name: &[u8], content: &[u8], number: i64) -> Fingerprint {
    let mut hasher = hasher();
    hasher.write_usize(name.len());
    hasher.write(name);
    hasher.write(content);
    hasher.write_i64(number);
    hasher.finish()
}

/// The fingerprint of a whole value with the key's deadline.
pub fn fingerprint(value: &Value, expires_at_ms: Option<i64>) -> Fingerprint {
    seal(value.kind(), content_fingerprint(value), expires_at_ms)
}

/// What [`fingerprint`] makes of a content that was kept up to date element by element.
pub fn seal(kind: Type, content: Fingerprint, expires_at_ms: Option<i64>) -> Fingerprint {
    let mut hasher = hasher();
    hasher.write_u8(kind as u8);
    hasher.write_u64(content);
    hasher.write_i64(expires_at_ms.unwrap_or(-1));
    hasher.finish()
}

/// The part of a fingerprint that comes from the elements: for sets, hashes and sorted sets the
/// wrapping sum of [`element_fingerprint`]s.
pub fn content_fingerprint(value: &Value) -> Fingerprint {
    match value {
        Value::String(bytes) => element_fingerprint(bytes, b"", 0),
        Value::Stream(_) | Value::Array(_) => 0,
        Value::Module(module) => {
            element_fingerprint(&module.payload, &module.name, module.version.into())
        }
        Value::List(list) => {
            let mut hasher = hasher();
            for element in list.iter() {
                hasher.write_usize(element.len());
                hasher.write(element);
            }
            hasher.finish()
        }
        Value::Set(set) => {
            set.iter().fold(0, |sum: u64, m| sum.wrapping_add(element_fingerprint(m, b"", 0)))
        }
        Value::Zset(zset) => zset.iter().fold(0, |sum: u64, (m, score)| {
            sum.wrapping_add(element_fingerprint(m, b"", score.to_bits() as i64))
        }),
        Value::Hash(hash) => hash.iter().fold(0, |sum: u64, (name, field)| {
            let at = field.expires_at_ms.unwrap_or(-1);
            sum.wrapping_add(element_fingerprint(name, field.value, at))
        }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::value::{Field, Hash, List, Set};

    #[test]
    fn depends_on_content_type_and_deadline_but_not_on_the_order_of_a_set() {
        let print = |value: Value| fingerprint(&value, None);
        let set: Set = ["a", "b"].into_iter().collect();
        let list = |elements: [&str; 2]| Value::List(elements.into_iter().collect::<List>());
        assert_ne!(print(list(["a", "b"])), print(list(["b", "a"])));
        assert_ne!(print(list(["ab", ""])), print(list(["a", "b"])));
        assert_ne!(print(Value::Set(set.clone())), fingerprint(&Value::Set(set.clone()), Some(5)));
        let one: List = ["a"].into_iter().collect();
        assert_ne!(print(Value::string(b"a")), print(Value::List(one)));
        let sum = element_fingerprint(b"b", b"", 0).wrapping_add(element_fingerprint(b"a", b"", 0));
        assert_eq!(print(Value::Set(set)), seal(Type::Set, sum, None));
        let hash = |at| {
            let mut hash = Hash::default();
            hash.insert(b"f", Field { value: b"v", expires_at_ms: at });
            print(Value::Hash(hash))
        };
        assert_ne!(hash(None), hash(Some(7)));
    }
}
