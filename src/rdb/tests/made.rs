//! Hand-made snapshots of servers that are not to be had, and one of everything there is.

use super::*;

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
fn what_is_too_large_to_be_gathered_in_one_go_comes_whole_and_in_order() {
    let count = 40_000_u32;
    // In no order, and each once.
    let numbers = || (0..count).map(|n| n.wrapping_mul(7919) % 40_009).filter(|n| *n < count - 50);
    let name = |n: u32| format!("the long name of an element that is one of many:{n:05}");
    let score = |n: u32| f64::from(n % 1000) - 500.0;
    let value = |kind: u8, numbers: &mut dyn Iterator<Item = u32>| {
        let elements: Vec<Vec<u8>> = numbers
            .map(|n| match kind {
                4 => [string(name(n).as_bytes()), string(b"value")].concat(),
                5 => [&string(name(n).as_bytes())[..], &score(n).to_le_bytes()].concat(),
                _ => string(name(n).as_bytes()),
            })
            .collect();
        let len = (elements.len() as u32).to_be_bytes();
        [&[0x80][..], &len, &elements.concat()].concat()
    };
    let wanted = [
        (1, list_of(numbers().map(name))),
        (2, set_of(numbers().map(name))),
        (4, hash_of(numbers().map(|n| (name(n), "value".to_owned(), None)))),
        (5, zset_of(numbers().map(|n| (name(n), score(n))))),
    ];
    for (kind, wanted) in wanted {
        let bytes = snapshot("REDIS0009", &[&key(kind, "k", &[&value(kind, &mut numbers())])]);
        let (items, error, _) = items_of(Decoder::new(), bytes.chunks(1_000_003));
        assert_eq!((items.len(), error), (3, None));
        assert!(items[1] == entry(0, "k", wanted, None), "type {kind}");
        if kind != 1 {
            // The first one comes once more.
            let mut twice = numbers().chain(numbers().take(1));
            let value = value(kind, &mut twice);
            let (_, text) = refused(&snapshot("REDIS0009", &[&key(kind, "k", &[&value])]));
            assert!(text.ends_with("is there twice"), "{text}");
        }
    }
}

#[test]
fn what_is_gathered_counts_until_it_is_a_value() {
    let elements = [0x20; 33].repeat(80_000);
    let bytes = [b"REDIS0009", &key(1, "k", &[b"\x80\x01\0\0\0", &elements])[..]].concat();
    let mut decoder = Decoder::new();
    for part in bytes.chunks(100_000) {
        let before = decoder.memory();
        feed(&mut decoder, part, &mut Vec::new()).unwrap();
        assert!(decoder.memory() > before + part.len() / 10 * 9, "of {} bytes", part.len());
    }
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
pub(super) const VECTORSET: &[u8] = b"\x81\xbd\xe7\x2d\xa2\xbb\x1e\xb4\x01";

/// One of each kind that a module can write.
pub(super) const MODULE_DATA: &[u8] =
    b"\x01\x7f\xff\x02\x05\x03abcd\x04abcdefgh\x05\x03xyz\x05\xc1\x01\x02\
    \x05\xc3\x05\x0b\x00a\xe0\x01\x00";

pub(super) fn vectorset(data: &[u8]) -> Value {
    Value::Module(Module { name: *b"vectorset", version: 1, payload: bytes(data) })
}

/// The stream of this type that [`everything`] has; what is in it is tested beside its reader.
fn stream_item(number: u8) -> Item {
    let payload = [&[number][..], &stream_body(number), b"\x0e\0", &[0; 8]].concat();
    entry(5, &format!("stream {number}"), decode_payload(&payload).unwrap(), None)
}

/// Every opcode and every layout, small enough to be cut everywhere.
pub(in crate::rdb) fn everything() -> (Vec<u8>, Vec<Item>) {
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
