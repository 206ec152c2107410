//! What is refused, and how: unknown types, damage, payloads among them.

use super::made::{MODULE_DATA, VECTORSET, vectorset};
use super::*;

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
        (2, &[b"\x02\x01a\x01a"], 19, "a member is there twice"),
        (3, &[b"\x01\x01a\xfd"], 15, "a score is not a number"),
        (3, &[b"\x01\x01a\x02no"], 15, "a text of 2 bytes is no number"),
        (4, &[b"\x02\x01a\x01b\x01a\x01c"], 23, "a field is there twice"),
        (5, &[b"\x01\x01a", &[0xff; 8]], 15, "a score is not a number"),
        (11, &[b"\x01x"], 14, "intset with a damaged header"),
        (17, &[&listpack(&["a", "nan"])], 14, "a text of 3 bytes is no score"),
        (16, &[&listpack(&["a"])], 14, "the last element lacks its partner"),
        (18, &[b"\x01\x03\x01a"], 15, "list container 3 does not exist"),
        (20, &[&listpack(&["a", "a"])], 29, "a member is there twice"),
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
