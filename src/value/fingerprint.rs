//! Fingerprints: what is left of a value that a callback did not want stored.
//!
//! A resync asks about a withheld key again only if its fingerprint changed. For sets, hashes and
//! sorted sets it is the sum of its elements' fingerprints, so that it can be kept up to date
//! element by element and does not depend on an order.

use super::{Id, Stream, Type, Value};
#[cfg(feature = "fixed-seed")]
use foldhash::quality::FixedState as RandomState;
#[cfg(not(feature = "fixed-seed"))]
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
        Value::Stream(stream) => stream_fingerprint(stream),
        Value::Array(array) => {
            let mut hasher = hasher();
            hasher.write_u64(array.cursor().unwrap_or(u64::MAX));
            for (index, value) in array.iter() {
                hasher.write_u64(index);
                hasher.write_usize(value.len());
                hasher.write(value);
            }
            hasher.finish()
        }
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
            set.iter().fold(0, |sum: u64, m| sum.wrapping_add(element_fingerprint(&m, b"", 0)))
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

/// What each server does by its own clock is left out, as where streams are compared.
fn stream_fingerprint(stream: &Stream) -> Fingerprint {
    let mut hasher = hasher();
    let id = |hasher: &mut dyn Hasher, id: Id| {
        hasher.write_u64(id.ms);
        hasher.write_u64(id.seq);
    };
    let text = |hasher: &mut dyn Hasher, text: &[u8]| {
        hasher.write_usize(text.len());
        hasher.write(text);
    };
    id(&mut hasher, stream.last_id());
    id(&mut hasher, stream.max_deleted_id());
    hasher.write_u64(stream.added());
    hasher.write_usize(stream.len());
    for entry in stream.iter() {
        id(&mut hasher, entry.id);
        hasher.write_usize(entry.fields.clone().count());
        for (name, value) in entry.fields {
            text(&mut hasher, name);
            text(&mut hasher, value);
        }
    }
    for (name, group) in stream.groups() {
        text(&mut hasher, name);
        id(&mut hasher, group.last_id);
        // The one number that no count reaches stands for an unknown one, as in snapshots.
        hasher.write_u64(group.entries_read.unwrap_or(u64::MAX));
        hasher.write_usize(group.consumers_len());
        group.consumers().for_each(|consumer| text(&mut hasher, consumer.name));
        hasher.write_usize(group.pending_len());
        for pending in group.pending() {
            id(&mut hasher, pending.id);
            hasher.write_u8(pending.consumer.is_some().into());
            text(&mut hasher, pending.consumer.unwrap_or_default());
            hasher.write_i64(pending.delivered_at_ms);
            hasher.write_u64(pending.deliveries);
        }
    }
    hasher.finish()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::value::{Array, Field, Group, Hash, Idmp, List, Pending, References, Set, Trim};

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
        let array = |index, cursor| {
            let mut array: Array = [(index, "v")].into_iter().collect();
            array.set_cursor(cursor);
            print(Value::Array(array))
        };
        assert_ne!(array(1, None), array(2, None));
        assert_ne!(array(1, None), array(1, Some(1)));
        assert_eq!(array(1, Some(1)), array(1, Some(1)));
        let hash = |at| {
            let mut hash = Hash::default();
            hash.insert(b"f", Field { value: b"v", expires_at_ms: at });
            print(Value::Hash(hash))
        };
        assert_ne!(hash(None), hash(Some(7)));
    }

    #[test]
    fn every_part_of_a_stream_counts_but_what_servers_do_by_their_own_clocks() {
        let id = |seq| Id { ms: 5, seq };
        let pending = |deliveries| Pending {
            id: id(1),
            consumer: Some(b"c"),
            delivered_at_ms: 7,
            deliveries,
        };
        let made = |change: fn(&mut Stream, &mut Group), read| {
            let mut stream = Stream::default();
            stream.append(id(1), &["f", "v"]);
            stream.append(id(2), &["f", "v"]);
            let mut group = Group::new(id(1), read);
            group.add_consumer(b"c", 7, None);
            group.put_pending(pending(1));
            change(&mut stream, &mut group);
            stream.put_group(b"g", group);
            Value::Stream(stream)
        };
        let whole = made(|_, _| {}, Some(1));
        let changes: [fn(&mut Stream, &mut Group); 8] = [
            |stream, _| assert!(stream.set_ids(Id { ms: 6, seq: 0 }, Id::MIN, 2)),
            |stream, _| assert!(stream.set_ids(Id { ms: 5, seq: 2 }, Id { ms: 1, seq: 0 }, 2)),
            |stream, _| assert!(stream.set_ids(Id { ms: 5, seq: 2 }, Id::MIN, 3)),
            |stream, _| stream.trim(Trim::Length(1), References::Keep),
            |_, group| group.last_id = Id::MIN,
            |_, group| assert!(group.remove_consumer(b"c")),
            |_, group| assert!(group.add_consumer(b"d", 7, None)),
            |_, group| assert!(group.remove_pending(Id { ms: 5, seq: 1 })),
        ];
        let mut all: Vec<_> = changes.iter().map(|change| made(*change, Some(1))).collect();
        all.push(made(|_, _| {}, None));
        all.push(made(
            |_, group| {
                let delivered = group.pending_at(0).map(|p| p.delivered_at_ms).unwrap_or_default();
                let id = Id { ms: 5, seq: 1 };
                let consumer = None;
                group.put_pending(Pending {
                    id,
                    consumer,
                    delivered_at_ms: delivered,
                    deliveries: 1,
                });
            },
            Some(1),
        ));
        all.push(Value::Stream(Stream::default()));
        for other in &all {
            assert_ne!(fingerprint(other, None), fingerprint(&whole, None), "{other:?}");
            assert_ne!(*other, whole);
        }
        let by_clock = made(
            |stream, group| {
                group.touch(b"c", 9, true);
                stream.set_idmp(Idmp::default());
            },
            Some(1),
        );
        assert_eq!(fingerprint(&by_clock, None), fingerprint(&whole, None));
        assert_eq!(by_clock, whole);
    }
}
