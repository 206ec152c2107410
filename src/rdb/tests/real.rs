//! Snapshots and payloads of real servers.

use super::*;
use std::collections::BTreeMap;

struct Fixture {
    name: &'static str,
    snapshot: &'static [u8],
    dumps: &'static [u8],
}

macro_rules! fixture {
    ($name:literal) => {
        Fixture {
            name: $name,
            snapshot: include_bytes!(concat!("../../../tests/fixtures/rdb/redis-", $name, ".rdb")),
            dumps: include_bytes!(concat!("../../../tests/fixtures/rdb/redis-", $name, ".dumps")),
        }
    };
}

const FIXTURES: [Fixture; 3] = [fixture!("6.2"), fixture!("7.0"), fixture!("8.2")];

/// 2100-01-01.
const FAR_MS: i64 = 4_102_444_800_000;

type Dataset = BTreeMap<(u32, String), (Value, Option<i64>)>;

fn numbered(prefix: &str, range: std::ops::RangeInclusive<usize>) -> Vec<String> {
    range.map(|n| format!("{prefix}{n}")).collect()
}

fn long(letter: &str, len: usize) -> String {
    letter.repeat(len)
}

fn strings() -> Vec<(&'static str, Value)> {
    vec![
        ("string:short", text_value("hello")),
        ("string:empty", text_value("")),
        ("string:int8", text_value("-128")),
        ("string:int16", text_value("-32768")),
        ("string:int32", text_value("2147483647")),
        ("string:int64", text_value("9223372036854775807")),
        ("string:binary", text_value(b"\x00\xff\r\n")),
        ("string:long", text_value(long("ab", 500))),
    ]
}

fn lists_and_sets() -> Vec<(&'static str, Value)> {
    let small = [
        "a",
        "",
        "0",
        "12",
        "13",
        "-1",
        "-128",
        "300",
        "-32768",
        "70000",
        "-8388608",
        "10000000",
        "-2147483648",
        "2147483648",
        "-9223372036854775808",
    ];
    let mut members = numbered("member:", 1..=40);
    members.push(long("l", 70));
    vec![
        ("list:small", list_of(small)),
        ("list:large", list_of(numbered("element:", 1..=900))),
        ("list:long", list_of([long("x", 16383), long("y", 300), long("z", 1)])),
        ("list:plain", list_of([long("p", 200), long("q", 1), long("r", 150)])),
        ("set:int16", set_of(["1", "2", "-3"])),
        ("set:int32", set_of(["1", "2", "-70000"])),
        ("set:int64", set_of(["1", "2", "-9223372036854775808"])),
        ("set:small", set_of(["a", "b", "5"])),
        ("set:large", set_of(members)),
    ]
}

fn zsets_and_hashes() -> Vec<(&'static str, Value)> {
    let small = [
        ("a", 1.0),
        ("b", -2.5),
        ("c", f64::INFINITY),
        ("d", f64::NEG_INFINITY),
        ("e", 17_179_869_184.0),
        ("f", 0.1),
        ("g", -7.0),
    ];
    let mut large: Vec<_> = (1..=40).map(|n| (format!("member:{n}"), f64::from(n) / 4.0)).collect();
    large.push((long("t", 70), f64::INFINITY));
    large.push(("bottom".into(), f64::NEG_INFINITY));
    let fields = [("f1", "v1", None), ("number", "-5", None), ("", "empty", None)];
    vec![
        ("zset:small", zset_of(small)),
        ("zset:large", zset_of(large)),
        ("hash:small", hash_of(fields)),
        ("hash:large", hash_of(large_hash(|_| None))),
    ]
}

fn large_hash(deadline: impl Fn(i64) -> Option<i64>) -> Vec<(String, String, Option<i64>)> {
    let mut fields: Vec<_> =
        (1..=40).map(|n| (format!("f{n}"), format!("value:{n}"), deadline(n))).collect();
    fields.push(("long".into(), long("v", 70), None));
    fields
}

/// What `dataset.redis` makes, and on 8.2 `dataset-8.2.redis`.
fn dataset(with_deadlines: bool) -> Dataset {
    let mut all: Dataset = [strings(), lists_and_sets(), zsets_and_hashes()]
        .into_iter()
        .flatten()
        .map(|(key, value)| ((0, key.to_owned()), (value, None)))
        .collect();
    all.insert((0, "string:due".into()), (text_value("x"), Some(FAR_MS + 123)));
    all.insert((3, "string:short".into()), (text_value("another database"), None));
    all.get_mut(&(0, "hash:large".to_owned())).unwrap().1 = Some(FAR_MS + 456);
    if with_deadlines {
        let small = [("a", "1", Some(FAR_MS)), ("b", "2", None), ("c", "3", Some(FAR_MS + 500))];
        all.insert((0, "deadlines:small".into()), (hash_of(small), None));
        let large = large_hash(|n| (n % 3 == 0).then_some(FAR_MS + n));
        all.insert((0, "deadlines:large".into()), (hash_of(large), None));
    }
    all
}

fn dataset_of(items: &[Item]) -> Dataset {
    let mut all = Dataset::new();
    for item in items {
        if let Item::Entry { db, key, value, expires_at_ms } = item {
            let name = String::from_utf8(key.to_vec()).unwrap();
            let double = all.insert((*db, name), (value.clone(), *expires_at_ms));
            assert_eq!(double, None);
        }
    }
    all
}

#[test]
fn snapshots_of_real_servers_hold_what_was_put_into_them() {
    for Fixture { name, snapshot, .. } in FIXTURES {
        let items = decoded(snapshot);
        let expected = dataset(name == "8.2");
        let got = dataset_of(&items);
        assert_eq!(got.keys().collect::<Vec<_>>(), expected.keys().collect::<Vec<_>>(), "{name}");
        for (key, value) in &expected {
            assert_eq!(got.get(key), Some(value), "{name} {key:?}");
        }
        let version = match name {
            "6.2" => 9,
            "7.0" => 10,
            _ => 12,
        };
        assert_eq!(items.first(), Some(&Item::Header { version, valkey: false }));
        assert_eq!(items.last(), Some(&Item::End { checksum: Checksum::Verified }));
        let server = items.iter().find_map(|item| match item {
            Item::Aux { name, value } if name.as_ref() == b"redis-ver" => Some(value.clone()),
            _ => None,
        });
        assert!(server.unwrap().starts_with(name.as_bytes()));
        let bits = Item::Aux { name: bytes("redis-bits"), value: bytes("64") };
        assert!(items.contains(&bits), "{name}");
        let (keys, expires) = (expected.len() as u64 - 1, 2);
        assert!(items.contains(&Item::Resize { db: 0, keys, expires }), "{name}");
        assert!(items.contains(&Item::Resize { db: 3, keys: 1, expires: 0 }), "{name}");
        let source = b"#!lua name=fixture\nredis.register_function('f', function() return 1 end)";
        let function = Item::Function { source: bytes(source) };
        assert_eq!(items.contains(&function), name != "6.2", "{name}");
    }
}

#[test]
fn dump_payloads_of_real_servers_hold_what_was_put_into_them() {
    for Fixture { name, dumps, .. } in FIXTURES {
        let mut expected = dataset(name == "8.2");
        let mut rest = dumps;
        while let Some((&[db, key_len], tail)) = rest.split_first_chunk::<2>() {
            let (key, tail) = tail.split_at(usize::from(key_len));
            let (payload_len, tail) = tail.split_first_chunk::<4>().unwrap();
            let (payload, tail) = tail.split_at(u32::from_le_bytes(*payload_len) as usize);
            rest = tail;
            let key = String::from_utf8(key.to_vec()).unwrap();
            let value = decode_payload(payload).unwrap();
            let (put, _) = expected.remove(&(u32::from(db), key.clone())).unwrap();
            assert_eq!(value, put, "{name} {key}");
            let mut damaged = payload.to_vec();
            damaged[0] ^= 1;
            assert!(decode_payload(&damaged).unwrap_err().text().contains("checksum"));
        }
        assert!(expected.is_empty(), "{name} {:?}", expected.keys());
    }
}

#[test]
fn a_snapshot_that_comes_byte_by_byte_gives_the_same_items() {
    for Fixture { name, snapshot, .. } in FIXTURES {
        for size in [1, 2, 7, 1000] {
            let (items, error, rest) = items_of(Decoder::new(), snapshot.chunks(size));
            assert_eq!((error, rest), (None, vec![]), "{name}");
            assert_eq!(items, decoded(snapshot), "{name} in parts of {size}");
        }
    }
}

#[test]
fn a_filter_spares_values_and_nothing_else() {
    for Fixture { name, snapshot, .. } in FIXTURES {
        let all = decoded(snapshot);
        for size in [1, 100, snapshot.len()] {
            let (items, error, _) = items_of(skips_all(), snapshot.chunks(size));
            let expected: Vec<_> = all.iter().cloned().map(skipped).collect();
            assert_eq!((items, error), (expected, None), "{name} in parts of {size}");
        }
        let lists = Decoder::with_filter(Box::new(|db, key| db == 0 && key.starts_with(b"list:")));
        let (items, _, _) = items_of(lists, [snapshot]);
        let expected: Vec<_> = all
            .into_iter()
            .map(|item| match &item {
                Item::Entry { key, .. } if key.starts_with(b"list:") => item,
                _ => skipped(item),
            })
            .collect();
        assert_eq!(items, expected);
    }
}
