//! The decoder as a whole: snapshots of real servers, hand-made ones of servers that are not to be
//! had, and damaged ones.

use super::stream::tests::body as stream_body;
use super::*;
use crate::error::Kind;
use crate::value::{Array, Field, Hash, List, Module, Set, Zset};
use proptest::prelude::*;
use std::collections::BTreeMap;

// ---- what tests are made of

fn feed(decoder: &mut Decoder, bytes: &[u8], items: &mut Vec<Item>) -> Result<()> {
    decoder.feed(bytes);
    while let Some(item) = decoder.next()? {
        items.push(item);
    }
    Ok(())
}

/// All items, and the error if there is one, of bytes that come in these parts.
pub(super) fn items_of<'a>(
    mut decoder: Decoder,
    parts: impl IntoIterator<Item = &'a [u8]>,
) -> (Vec<Item>, Option<Error>, Vec<u8>) {
    let mut items = Vec::new();
    for part in parts {
        if let Err(error) = feed(&mut decoder, part, &mut items) {
            assert_eq!(decoder.next(), Err(error.clone()), "an error is for ever");
            return (items, Some(error), Vec::new());
        }
    }
    (items, None, decoder.take_rest())
}

#[track_caller]
pub(super) fn decoded(bytes: &[u8]) -> Vec<Item> {
    let (items, error, rest) = items_of(Decoder::new(), [bytes]);
    assert_eq!((error, rest), (None, vec![]));
    assert!(matches!(items.last(), Some(Item::End { .. })), "{items:?}");
    items
}

#[track_caller]
pub(super) fn refused(bytes: &[u8]) -> (Kind, String) {
    let (_, error, _) = items_of(Decoder::new(), [bytes]);
    let error = error.expect("an error");
    (error.kind(), error.text().to_owned())
}

pub(super) fn skips_all() -> Decoder {
    Decoder::with_filter(Box::new(|_, _| false))
}

/// A snapshot of this body, with the end and the checksum that its version asks for.
pub(super) fn snapshot(header: &str, body: &[&[u8]]) -> Vec<u8> {
    let mut bytes = header.as_bytes().to_vec();
    bytes.extend(body.concat());
    bytes.push(opcode::EOF);
    if !matches!(header, "REDIS0001" | "REDIS0002" | "REDIS0003" | "REDIS0004") {
        let sum = crc64(0, &bytes);
        bytes.extend(sum.to_le_bytes());
    }
    bytes
}

/// A key of this type.
pub(super) fn key(number: u8, key: &str, value: &[&[u8]]) -> Vec<u8> {
    let mut bytes = vec![number, key.len() as u8];
    bytes.extend_from_slice(key.as_bytes());
    bytes.extend(value.concat());
    bytes
}

/// A string of less than 64 bytes.
fn string(bytes: &[u8]) -> Vec<u8> {
    assert!(bytes.len() < 64);
    [&[bytes.len() as u8], bytes].concat()
}

/// A listpack of these strings of less than 64 bytes, as a string. A number is written `#n`.
pub(super) fn listpack(elements: &[&str]) -> Vec<u8> {
    let mut body = Vec::new();
    for element in elements {
        let before = body.len();
        match element.strip_prefix('#') {
            Some(number) => {
                body.push(0xf4);
                body.extend(number.parse::<i64>().unwrap().to_le_bytes());
            }
            None => {
                body.push(0x80 | element.len() as u8);
                body.extend_from_slice(element.as_bytes());
            }
        }
        body.push((body.len() - before) as u8);
    }
    let mut bytes = (body.len() as u32 + 7).to_le_bytes().to_vec();
    bytes.extend((elements.len() as u16).to_le_bytes());
    bytes.extend(body);
    bytes.push(0xff);
    [&[0x40, bytes.len() as u8], &bytes[..]].concat()
}

fn bytes(text: impl AsRef<[u8]>) -> Bytes {
    Bytes::from(text.as_ref())
}

fn text_value(text: impl AsRef<[u8]>) -> Value {
    Value::String(bytes(text))
}

fn list_of<T: AsRef<[u8]>>(elements: impl IntoIterator<Item = T>) -> Value {
    Value::List(elements.into_iter().map(bytes).collect::<List>())
}

fn set_of<T: AsRef<[u8]>>(members: impl IntoIterator<Item = T>) -> Value {
    Value::Set(members.into_iter().map(bytes).collect::<Set>())
}

fn zset_of<T: AsRef<[u8]>>(members: impl IntoIterator<Item = (T, f64)>) -> Value {
    Value::Zset(members.into_iter().map(|(m, score)| (bytes(m), score)).collect::<Zset>())
}

fn hash_of<T: AsRef<[u8]>>(fields: impl IntoIterator<Item = (T, T, Option<i64>)>) -> Value {
    let mut hash = Hash::default();
    for (name, value, expires_at_ms) in fields {
        hash.insert(name.as_ref(), Field { value: value.as_ref(), expires_at_ms });
    }
    Value::Hash(hash)
}

fn entry(db: u32, key: &str, value: Value, expires_at_ms: Option<i64>) -> Item {
    Item::Entry { db, key: bytes(key), value, expires_at_ms }
}

/// The only entry.
#[track_caller]
fn only_value(snapshot: &[u8]) -> Value {
    let mut values = decoded(snapshot).into_iter().filter_map(|item| match item {
        Item::Entry { value, .. } => Some(value),
        _ => None,
    });
    let value = values.next().expect("an entry");
    assert_eq!(values.next(), None);
    value
}

// ---- snapshots of real servers

struct Fixture {
    name: &'static str,
    snapshot: &'static [u8],
    dumps: &'static [u8],
}

macro_rules! fixture {
    ($name:literal) => {
        Fixture {
            name: $name,
            snapshot: include_bytes!(concat!("../../tests/fixtures/rdb/redis-", $name, ".rdb")),
            dumps: include_bytes!(concat!("../../tests/fixtures/rdb/redis-", $name, ".dumps")),
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

fn skipped(item: Item) -> Item {
    match item {
        Item::Entry { db, key, .. } => Item::Skipped { db, key },
        other => other,
    }
}

// ---- snapshots of servers that are not to be had

#[test]
fn before_version_5_nothing_follows_the_end_and_deadlines_are_in_seconds() {
    let zipmap = b"\x01\x05field\x05\x02value--\xff";
    let bytes = snapshot(
        "REDIS0002",
        &[
            b"\xfe\x00",
            b"\xfd\x00\x00\x00\x7f",
            &key(9, "zipmap", &[&string(zipmap)]),
            b"\xfd\x9c\xff\xff\xff",
            &key(1, "list", &[b"\x02", &string(b"a"), b"\xc0\x05"]),
            &key(3, "zset", &[b"\x03\x01a\xfe\x01b\xff\x01c\x042.75"]),
        ],
    );
    let (items, error, rest) = items_of(Decoder::new(), [&bytes[..], b"*1\r\n$4\r\nPING\r\n"]);
    let scores = [("a", f64::INFINITY), ("b", f64::NEG_INFINITY), ("c", 2.75)];
    let expected = [
        Item::Header { version: 2, valkey: false },
        entry(0, "zipmap", hash_of([("field", "value", None)]), Some(0x7f00_0000 * 1000)),
        entry(0, "list", list_of(["a", "5"]), Some(-100_000)),
        entry(0, "zset", zset_of(scores), None),
        Item::End { checksum: Checksum::Absent },
    ];
    assert_eq!((&items[..], error), (&expected[..], None));
    assert_eq!(rest, b"*1\r\n$4\r\nPING\r\n");
}

#[test]
fn numbers_with_two_meanings_follow_the_magic() {
    let deadline = 1_700_000_000_123i64;
    let pairs = hash_of([("a", "1", Some(deadline)), ("b", "2", None)]);
    let first = [&b"\x02\x81"[..], &deadline.to_be_bytes(), b"\x01a\x01\x31\x00\x01b\x01\x32"];
    let redis = snapshot("REDIS0012", &[&key(22, "h", &first)]);
    assert_eq!(only_value(&redis), pairs);
    let last = [&b"\x02\x01a\x01\x31"[..], &deadline.to_le_bytes(), b"\x01b\x01\x32", &[0xff; 8]];
    let valkey = snapshot("VALKEY080", &[&key(22, "h", &last)]);
    assert_eq!(only_value(&valkey), pairs);
    assert_eq!(decoded(&valkey)[0], Item::Header { version: 80, valkey: true });

    let block = listpack(&["a", "1", "#1700000000123", "b", "2", "#0"]);
    let pre_release = snapshot("REDIS0012", &[&key(23, "h", &[&block])]);
    assert_eq!(only_value(&pre_release), pairs);
    let (kind, text) = refused(&snapshot("VALKEY080", &[&key(23, "h", &[&block])]));
    assert_eq!(kind, Kind::Unsupported);
    assert!(text.ends_with("type 23 (hash of a development version) is not supported"), "{text}");

    let meta = b"\xf3\x02spec\x02\x05\x05\x02ab\x00spec\x00";
    let redis = snapshot("REDIS0013", &[meta, &key(0, "k", &[&string(b"v")])]);
    assert_eq!(only_value(&redis), text_value("v"));
    let import = [&b"\xf3\x03job\x02\x00\x01\x05\x07"[..], &key(0, "k", &[&string(b"v")])];
    assert_eq!(only_value(&snapshot("VALKEY080", &import)), text_value("v"));
}

#[test]
fn field_deadlines_count_from_the_least_one() {
    let body = [
        &1_700_000_000_000i64.to_le_bytes()[..],
        b"\x03\x01\x01a\x01\x31\x00\x01b\x01\x32\x41\xf5\x01c\x01\x33",
    ];
    let fields = [
        ("a", "1", Some(1_700_000_000_000)),
        ("b", "2", None),
        ("c", "3", Some(1_700_000_000_500)),
    ];
    assert_eq!(only_value(&snapshot("REDIS0012", &[&key(24, "h", &body)])), hash_of(fields));
    let beyond = [&i64::MAX.to_le_bytes()[..], b"\x01\x02\x01a\x01\x31"];
    let (_, text) = refused(&snapshot("REDIS0012", &[&key(24, "h", &beyond)]));
    assert!(text.contains("deadline"), "{text}");
}

/// The identifier of Redis' own vector sets, with version 1 of their encoding.
const VECTORSET: &[u8] = b"\x81\xbd\xe7\x2d\xa2\xbb\x1e\xb4\x01";

/// One of each kind that a module can write.
const MODULE_DATA: &[u8] = b"\x01\x7f\xff\x02\x05\x03abcd\x04abcdefgh\x05\x03xyz\x05\xc1\x01\x02\
    \x05\xc3\x05\x0b\x00a\xe0\x01\x00";

fn vectorset(data: &[u8]) -> Value {
    Value::Module(Module { name: *b"vectorset", version: 1, payload: bytes(data) })
}

/// The stream of this type that [`everything`] has; what is in it is tested beside its reader.
fn stream_item(number: u8) -> Item {
    let payload = [&[number][..], &stream_body(number), b"\x0e\0", &[0; 8]].concat();
    entry(5, &format!("stream {number}"), decode_payload(&payload).unwrap(), None)
}

/// Every opcode and every layout, small enough to be cut everywhere.
pub(super) fn everything() -> (Vec<u8>, Vec<Item>) {
    let module_aux = b"\xf7\x81\x01\x02\x03\x04\x05\x06\x07\x08\x02\x02\x01\x7f\xff\
        \x02\x05\x03abcd\x04abcdefgh\x05\x03xyz\x05\xc3\x05\x0b\x00a\xe0\x01\x00\x00";
    let ziplist = b"\x10\0\0\0\x0d\0\0\0\x02\0\x00\x01a\x03\xf3\xff";
    let ziplist = string(&[&[ziplist.len() as u8], &ziplist[1..]].concat());
    let mut body: Vec<Vec<u8>> = vec![
        b"\xfa\x09redis-ver\xc0\x07".to_vec(),
        module_aux.to_vec(),
        b"\xf5\x04#!js".to_vec(),
        b"\xfe\x05\xfb\x41\x00\x02\xf4\x01\x02\x03".to_vec(),
        [&b"\xfc"[..], &1_700_000_000_123i64.to_le_bytes(), b"\xf8\x40\xff\xf9\xff"].concat(),
        b"\xf3\x01spec\x01\x05\x00".to_vec(),
        key(0, "first", &[b"\xc3\x05\x0b\x00a\xe0\x01\x00"]),
    ];
    body.push(key(2, "set", &[b"\x02\x01a\xc1\x00\x80"]));
    body.push(key(3, "old zset", &[b"\x02\x01a\x013\xc0\x05\xff"]));
    body.push(key(4, "hash", &[b"\x02\x01a\x01b\x01c\x01d"]));
    body.push(key(5, "zset", &[b"\x01\x01a", &1.5f64.to_le_bytes()]));
    body.push(key(10, "list", &[&ziplist]));
    body.push(key(12, "packed zset", &[&ziplist]));
    body.push(key(13, "packed hash", &[&ziplist]));
    body.push(key(11, "intset", &[&string(b"\x02\0\0\0\x01\0\0\0\xff\xff")]));
    body.push(key(14, "quicklist", &[b"\x02", &ziplist, &ziplist]));
    body.push(key(16, "hash lp", &[&listpack(&["a", "#-7"])]));
    body.push(key(17, "zset lp", &[&listpack(&["a", "1.25", "b", "#3", "c", "-inf"])]));
    body.push(key(
        18,
        "quicklist 2",
        &[b"\x02\x01", &string(b"x"), b"\x02", &listpack(&["y", "#1"])],
    ));
    body.push(key(20, "set lp", &[&listpack(&["a", "#1"])]));
    let least = 5i64.to_le_bytes();
    body.push(key(24, "deadlines", &[&least, b"\x01\x02\x01a\x01b"]));
    body.push(key(25, "deadlines lp", &[&least, &listpack(&["a", "b", "#6", "c", "d", "#0"])]));
    body.push(key(7, "module", &[VECTORSET, MODULE_DATA, b"\x00"]));
    let mut array =
        b"\x05\x01\x40\x63\x00\x00\xc0\x07\x02\x01\xfe\xff\xff\xff\xff\xff\xff\xff".to_vec();
    array.extend(b"\x03\x03\x05short\x05\x02");
    array.extend(2f64.to_le_bytes());
    array.extend(b"\x81\xff\xff\xff\xff\xff\xff\xff\xfe\x00\xc3\x05\x0b\x00a\xe0\x01\x00");
    body.push(key(28, "array", &[&array]));
    let slots = [(0, "7"), (2, "-2"), (3, "short"), (5, "2.0"), (u64::MAX - 1, "aaaaaaaaaaa")];
    let mut array: Array = slots.into_iter().collect();
    array.set_cursor(Some(99));
    let streams = [15, 19, 21, 26, 27];
    streams.iter().for_each(|n| body.push(key(*n, &format!("stream {n}"), &[&stream_body(*n)])));
    let expected = vec![
        Item::Header { version: 14, valkey: false },
        Item::Aux { name: bytes("redis-ver"), value: bytes("7") },
        Item::Function { source: bytes("#!js") },
        Item::Resize { db: 5, keys: 256, expires: 2 },
        entry(5, "first", text_value("aaaaaaaaaaa"), Some(1_700_000_000_123)),
        entry(5, "set", set_of(["a", "-32768"]), None),
        entry(5, "old zset", zset_of([("a", 3.0), ("5", f64::NEG_INFINITY)]), None),
        entry(5, "hash", hash_of([("a", "b", None), ("c", "d", None)]), None),
        entry(5, "zset", zset_of([("a", 1.5)]), None),
        entry(5, "list", list_of(["a", "2"]), None),
        entry(5, "packed zset", zset_of([("a", 2.0)]), None),
        entry(5, "packed hash", hash_of([("a", "2", None)]), None),
        entry(5, "intset", set_of(["-1"]), None),
        entry(5, "quicklist", list_of(["a", "2", "a", "2"]), None),
        entry(5, "hash lp", hash_of([("a", "-7", None)]), None),
        entry(5, "zset lp", zset_of([("a", 1.25), ("b", 3.0), ("c", f64::NEG_INFINITY)]), None),
        entry(5, "quicklist 2", list_of(["x", "y", "1"]), None),
        entry(5, "set lp", set_of(["a", "1"]), None),
        entry(5, "deadlines", hash_of([("a", "b", Some(6))]), None),
        entry(5, "deadlines lp", hash_of([("a", "b", Some(6)), ("c", "d", None)]), None),
        entry(5, "module", vectorset(MODULE_DATA), None),
        entry(5, "array", Value::Array(array), None),
        stream_item(15),
        stream_item(19),
        stream_item(21),
        stream_item(26),
        stream_item(27),
        Item::End { checksum: Checksum::Verified },
    ];
    (snapshot("REDIS0014", &body.iter().map(Vec::as_slice).collect::<Vec<_>>()), expected)
}

#[test]
fn every_opcode_and_layout_cut_at_every_byte_gives_the_same_items() {
    let (bytes, expected) = everything();
    assert_eq!(decoded(&bytes), expected);
    let without: Vec<_> = expected.iter().cloned().map(skipped).collect();
    let stream = b"*1\r\n".as_slice();
    for cut in 0..=bytes.len() {
        let parts = || [&bytes[..cut], &bytes[cut..], stream];
        let whole = items_of(Decoder::new(), parts());
        assert_eq!(whole, (expected.clone(), None, stream.to_vec()), "cut at {cut}");
        let spared = items_of(skips_all(), parts());
        assert_eq!(spared, (without.clone(), None, stream.to_vec()), "cut at {cut}");
        let mut decoder = Decoder::new();
        let mut items = Vec::new();
        feed(&mut decoder, &bytes[..cut], &mut items).unwrap();
        assert_eq!(items.contains(&expected[expected.len() - 1]), cut == bytes.len());
        assert!(decoder.offset() <= cut as u64);
    }
    let mut decoder = Decoder::new();
    feed(&mut decoder, &[&bytes, stream].concat(), &mut Vec::new()).unwrap();
    assert_eq!(decoder.offset(), bytes.len() as u64);
    assert_eq!(decoder.take_rest(), stream);
}

// ---- what is refused

#[test]
fn types_that_cannot_be_read_yet_are_refused_by_name() {
    let names = [
        (6, "module of a release candidate"),
        (29, "rate limit or hash template"),
        (30, "hash template"),
        (31, "hash template"),
        (32, "hash template"),
        (33, "rate limit or bitmap"),
    ];
    for (number, name) in names {
        // Also of the version that brought some of them.
        for header in ["REDIS0012", "REDIS0015"] {
            let bytes = snapshot(header, &[b"\xfe\x07", &key(number, "a\nkey", &[b"\0"])]);
            let text = format!(
                "snapshot offset 11, db 7 key \"{}\": type {number} ({name}) is not supported",
                text::printable(b"a\nkey", KEY_SHOWN_MAX)
            );
            assert_eq!(refused(&bytes), (Kind::Unsupported, text));
        }
    }
    for (opcode, name) in [(246, "function of a release candidate"), (242, "hash template")] {
        let text = format!("snapshot offset 9: opcode {opcode} ({name}) is not supported");
        assert_eq!(refused(&snapshot("REDIS0012", &[&[opcode]])), (Kind::Unsupported, text));
    }
}

#[test]
fn unknown_types_are_refused_by_number() {
    for (number, version) in (34..242).chain([8]).flat_map(|number| [(number, 9), (number, 15)]) {
        let text = format!(
            "snapshot offset 9: type or opcode {number} of format version {version} is unknown, \
             the newest known version is 14"
        );
        let bytes = snapshot(&format!("REDIS{version:04}"), &[&[number]]);
        assert_eq!(refused(&bytes), (Kind::Unsupported, text));
    }
    for number in 24..34 {
        let text = format!(
            "snapshot offset 9: type or opcode {number} of format version 80 is unknown, \
             the newest known version is 80"
        );
        let bytes = snapshot("VALKEY080", &[&[number, 0]]);
        assert_eq!(refused(&bytes), (Kind::Unsupported, text));
    }
    assert_eq!(decoded(&snapshot("REDIS0099", &[])).len(), 2, "a new version alone is no harm");
}

#[test]
fn what_is_no_snapshot_is_refused() {
    for header in ["-ERR nope", "REDIS000x", "REDIS0000", "VALKEY079", "VALKEY00x", "redis0009"] {
        let (kind, text) = refused(header.as_bytes());
        assert_eq!(kind, Kind::Protocol);
        assert!(text.contains(header), "{text}");
    }
}

#[test]
fn the_checksum_is_verified_and_may_be_switched_off() {
    let good = snapshot("REDIS0009", &[&key(0, "k", &[&string(b"v")])]);
    let mut damaged = good.clone();
    damaged[13] ^= 1;
    let (kind, text) = refused(&damaged);
    assert_eq!(kind, Kind::Protocol);
    assert!(text.starts_with("snapshot offset 15: the checksum is "), "{text}");
    let end = good.len() - 8;
    let off = [&good[..end], &[0; 8]].concat();
    assert_eq!(decoded(&off).last(), Some(&Item::End { checksum: Checksum::Disabled }));
}

#[test]
fn damaged_values_are_refused_with_their_place() {
    let cases: [(u8, &[&[u8]], u64, &str); 20] = [
        (0, &[b"\xc4"], 14, "string encoding 4 is unknown"),
        (0, &[b"\x81\x10\0\0\0\0\0\0\0"], 14, "a string can't have 1152921504606846976 bytes"),
        (
            0,
            &[b"\xc3\x02\x80\xff\xff\xff\xff\0a"],
            14,
            "a compressed string of 4294967295 bytes is",
        ),
        (1, &[b"\xc0\x01"], 14, "a string's encoding stands where a length belongs"),
        (2, &[b"\x02\x01a\x01a"], 17, "a member is there twice"),
        (3, &[b"\x01\x01a\xfd"], 15, "a score is not a number"),
        (3, &[b"\x01\x01a\x02no"], 15, "\"no\" is no number"),
        (4, &[b"\x02\x01a\x01b\x01a\x01c"], 19, "a field is there twice"),
        (5, &[b"\x01\x01a", &[0xff; 8]], 15, "a score is not a number"),
        (11, &[b"\x01x"], 14, "intset with a damaged header"),
        (17, &[&listpack(&["a", "nan"])], 14, "\"nan\" is no score"),
        (16, &[&listpack(&["a"])], 14, "the last element lacks its partner"),
        (18, &[b"\x01\x03\x01a"], 15, "list container 3 does not exist"),
        (20, &[&listpack(&["a", "a"])], 14, "a member is there twice"),
        (25, &[&[0; 8], &listpack(&["a", "b", "#-1"])], 22, "a field's deadline is no time"),
        (7, &[VECTORSET, b"\x01\x05\x06"], 25, "module data of kind 6 does not exist"),
        (28, &[b"\x01\x02"], 14, "an array can't have 2 places"),
        (28, &[b"\x01\x00\x00\x04"], 16, "form 4 of an array's value does not exist"),
        (28, &[b"\x02\x00\x07\x00\x01a\x07\x00\x01b"], 20, "index 7 is there twice"),
        (
            28,
            &[b"\x01\x00\x81", &[0xff; 8], b"\x00\x01a"],
            16,
            "index 18446744073709551615 is there twice",
        ),
    ];
    for (number, value, offset, expected) in cases {
        let (kind, text) =
            refused(&snapshot("REDIS0012", &[b"\xfe\x03", &key(number, "k", value)]));
        assert_eq!(kind, Kind::Protocol);
        let place = format!("snapshot offset {offset}, db 3 key \"k\": {expected}");
        assert!(text.starts_with(&place), "{number}: {text}");
    }
}

#[test]
fn aggregates_without_elements_are_left_out() {
    for number in [1, 2, 3, 4, 5, 14, 18, 22] {
        let bytes = snapshot(
            "REDIS0012",
            &[b"\xfd\x01\0\0\0", &key(number, "gone", &[b"\0"]), &key(0, "k", &[b"\0"])],
        );
        let kept = &decoded(&bytes)[1];
        assert_eq!(*kept, entry(0, "k", text_value(""), None), "type {number}");
    }
    let array = snapshot("REDIS0014", &[&key(28, "gone", &[b"\0\x01\x05"])]);
    assert_eq!(decoded(&array).len(), 2);
    for number in [16, 17, 20] {
        let bytes = snapshot("REDIS0012", &[&key(number, "gone", &[&listpack(&[])])]);
        assert_eq!(decoded(&bytes).len(), 2, "type {number}");
    }
}

#[test]
fn a_large_string_waits_for_its_bytes_without_being_looked_at_again() {
    let large = vec![b'x'; 3_000_000];
    let len = (large.len() as u32).to_be_bytes();
    let value = [&b"\x80"[..], &len, &large].concat();
    let bytes = snapshot("REDIS0012", &[&key(0, "k", &[&value])]);
    let (items, error, _) = items_of(Decoder::new(), bytes.chunks(16 * 1024));
    assert_eq!((items[1].clone(), error), (entry(0, "k", text_value(&large), None), None));
    let (items, error, _) = items_of(skips_all(), bytes.chunks(16 * 1024));
    assert_eq!(items.last(), Some(&Item::End { checksum: Checksum::Verified }), "{error:?}");
}

// ---- payloads

fn payload(body: &[u8], version: u16) -> Vec<u8> {
    let mut bytes = [body, &version.to_le_bytes()].concat();
    let sum = crc64(0, &bytes);
    bytes.extend(sum.to_le_bytes());
    bytes
}

#[test]
fn payloads_have_a_dialect_and_perhaps_metadata_in_front() {
    let live = b"\x00\xc0\x02\x0a\x00\x8f\xa2\xb0\xbc\xf8\xd4\x7e\xcb";
    assert_eq!(decode_payload(live).unwrap(), text_value("2"));
    let body = b"\x16\x01\x01a\x01b\xff\xff\xff\xff\xff\xff\xff\xff";
    let pair = hash_of([("a", "b", None)]);
    assert_eq!(decode_payload(&payload(body, 80)).unwrap(), pair);
    assert_eq!(decode_payload(&payload(b"\x16\x01\x00\x01a\x01b", 12)).unwrap(), pair);
    let with_meta = b"\xf3\x01spec\x02\x05\x05\x02ab\x00\x00\x01v";
    assert_eq!(decode_payload(&payload(with_meta, 13)).unwrap(), text_value("v"));
    assert!(decode_payload(&payload(with_meta, 80)).is_err());
    let module = [b"\x07", VECTORSET, MODULE_DATA, b"\x00"].concat();
    assert_eq!(decode_payload(&payload(&module, 12)).unwrap(), vectorset(MODULE_DATA));
    let nothing = [b"\x07", VECTORSET, b"\x00"].concat();
    assert_eq!(decode_payload(&payload(&nothing, 12)).unwrap(), vectorset(b""));
    let unsummed = b"\x00\x01v\x0a\x00\0\0\0\0\0\0\0\0";
    assert_eq!(decode_payload(unsummed).unwrap(), text_value("v"));
}

#[test]
fn damaged_payloads_are_refused() {
    let cases: [(&[u8], &str); 7] = [
        (b"", "payload offset 0: it ends too early"),
        (b"\x00\x05ab", "payload offset 1: it ends too early"),
        (b"\x01\x02\x01a", "payload offset 4: it ends too early"),
        (b"\x00\x01ab", "more bytes follow the value"),
        (b"\x02\x00", "the value has no elements"),
        (b"\x0f\x00", "payload offset 2: it ends too early"),
        (b"\xf3\x01spec\x05\x20ab", "it ends too early"),
    ];
    for (body, expected) in cases {
        let error = decode_payload(&payload(body, 12)).unwrap_err();
        assert!(error.text().contains(expected), "{error}");
    }
    for len in 0..10 {
        assert_eq!(decode_payload(&vec![0; len]).unwrap_err().kind(), Kind::Protocol);
    }
}

// ---- anything at all

fn parts(bytes: &[u8], cuts: Vec<prop::sample::Index>) -> Vec<&[u8]> {
    let mut places: Vec<_> = cuts.iter().map(|cut| cut.index(bytes.len() + 1)).collect();
    places.sort_unstable();
    places.push(bytes.len());
    let mut from = 0;
    places
        .into_iter()
        .map(|to| {
            let part = &bytes[from..to];
            from = to;
            part
        })
        .collect()
}

/// Whatever comes out, cuts don't change it.
fn holds_together(bytes: &[u8], cuts: Vec<prop::sample::Index>) {
    let whole = items_of(Decoder::new(), [bytes]);
    let cut = items_of(Decoder::new(), parts(bytes, cuts.clone()));
    // What is left over depends on the cuts while more is awaited, but not after the end.
    assert_eq!((&whole.0, &whole.1), (&cut.0, &cut.1));
    let whole = items_of(skips_all(), [bytes]);
    let cut = items_of(skips_all(), parts(bytes, cuts));
    assert_eq!((&whole.0, &whole.1), (&cut.0, &cut.1));
}

fn cuts() -> impl Strategy<Value = Vec<prop::sample::Index>> {
    proptest::collection::vec(any::<prop::sample::Index>(), 0..8)
}

proptest! {
    #[test]
    fn arbitrary_bytes_never_panic(
        header in prop::sample::select(vec!["", "REDIS0002", "REDIS0014", "VALKEY080"]),
        bytes in proptest::collection::vec(prop_oneof![any::<u8>(), 0u8..34, 242u8..], 0..200),
        cuts in cuts(),
    ) {
        holds_together(&[header.as_bytes(), &bytes].concat(), cuts);
        let _ = decode_payload(&payload(&bytes, 12));
        let _ = decode_payload(&payload(&bytes, 80));
    }

    #[test]
    fn damaged_snapshots_never_panic(
        changes in proptest::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..5),
        lost in proptest::option::of(any::<prop::sample::Index>()),
        cuts in cuts(),
    ) {
        let (mut bytes, _) = everything();
        for (place, byte) in changes {
            let place = place.index(bytes.len());
            bytes[place] = byte;
        }
        if let Some(lost) = lost {
            bytes.remove(lost.index(bytes.len()));
        }
        holds_together(&bytes, cuts);
    }

    #[test]
    fn damaged_payloads_never_panic(
        place in any::<prop::sample::Index>(),
        byte in any::<u8>(),
        which in any::<prop::sample::Index>(),
    ) {
        // Nothing but the value is damaged: the checksum is made anew.
        let (bytes, _) = everything();
        let from = which.index(bytes.len() - 9);
        let mut body = bytes[from..bytes.len() - 9].to_vec();
        let place = place.index(body.len());
        body[place] = byte;
        let _ = decode_payload(&payload(&body, 12));
    }
}
