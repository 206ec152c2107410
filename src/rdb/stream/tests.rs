//! Streams as snapshots of all types have them, cut anywhere, and damaged ones.

use super::super::tests::{
    decoded, everything, items_of, key, listpack, refused, skips_all, snapshot,
};
use super::super::{Item, decode_payload};
use super::*;
use crate::error::Kind;
use crate::value::{Consumer, Value};

fn raw(ms: u64, seq: u64) -> Vec<u8> {
    [ms.to_be_bytes(), seq.to_be_bytes()].concat()
}

/// A block whose first id is 5-0: 5-1 with the names of the block, 5-2 that was deleted, 6-0 with
/// a name of its own.
const BLOCK: [&str; 25] = [
    "#2", "#1", "#2", "a", "b", "#0", "#2", "#0", "#1", "1", "2", "#5", "#3", "#0", "#2", "x", "y",
    "#5", "#0", "#1", "#0", "#1", "c", "#-7", "#6",
];

/// Everything that a stream of this type can have.
pub(in crate::rdb) fn body(number: u8) -> Vec<u8> {
    let delivery =
        |ms, seq, at: i64, count| [&raw(ms, seq)[..], &at.to_le_bytes(), &[count]].concat();
    let mut body =
        vec![b"\x01\x10".to_vec(), raw(5, 0), listpack(&BLOCK), b"\x02\x07\x00".to_vec()];
    if number >= 19 {
        body.push(b"\x05\x01\x05\x02\x03".to_vec());
    }
    body.push(b"\x01\x01g\x06\x00".to_vec());
    if number >= 19 {
        body.push(b"\x02".to_vec());
    }
    body.push(vec![2 + u8::from(number >= 27)]);
    body.push(delivery(5, 1, 9, 1));
    if number >= 27 {
        body.push(delivery(5, 2, 0, 3));
    }
    body.push(delivery(6, 0, 10, 2));
    for (at, name, owned) in
        [(11i64, b"\x02\x05alice".as_slice(), raw(5, 1)), (13, b"\x03bob", raw(6, 0))]
    {
        body.push([name, &at.to_le_bytes()].concat());
        if number >= 21 {
            let active = if at == 11 { 12 } else { NEVER };
            body.push(active.to_le_bytes().to_vec());
        }
        body.push([&b"\x01"[..], &owned].concat());
    }
    if number >= 27 {
        body.push([&b"\x01"[..], &raw(5, 2)].concat());
    }
    if number >= 26 {
        body.push(b"\x3c\x0a\x01\x01p\x01\x01m\x05\x01\x04\x03".to_vec());
    }
    body.concat()
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

fn shown(stream: &Stream) -> Vec<String> {
    let mut all = Vec::new();
    for entry in stream.iter() {
        let fields = entry.fields.map(|(name, value)| format!("{}={}", text(name), text(value)));
        all.push(format!("{} {}", entry.id, fields.collect::<Vec<_>>().join(" ")));
    }
    let (last, deleted) = (stream.last_id(), stream.max_deleted_id());
    all.push(format!("last {last} deleted {deleted} added {}", stream.added()));
    for (name, group) in stream.groups() {
        all.push(format!("group {} {} {:?}", text(name), group.last_id, group.entries_read));
        for Consumer { name, seen_at_ms, active_at_ms, pending } in group.consumers() {
            all.push(format!("{} {seen_at_ms} {active_at_ms:?} {pending}", text(name)));
        }
        for Pending { id, consumer, delivered_at_ms, deliveries } in group.pending() {
            let consumer = consumer.map(text);
            all.push(format!("{id} {consumer:?} {delivered_at_ms} {deliveries}"));
        }
    }
    if let Some(idmp) = stream.idmp() {
        let Idmp { duration_s, entries_max, added, duplicates, .. } = idmp;
        all.push(format!("idmp {duration_s} {entries_max} {added} {duplicates}"));
        for Message { producer, name, id } in idmp.messages() {
            all.push(format!("{}/{} {id}", text(producer), text(name)));
        }
    }
    all
}

fn only_stream(bytes: &[u8]) -> Stream {
    match decoded(bytes).into_iter().nth(1) {
        Some(Item::Entry { value: Value::Stream(stream), .. }) => stream,
        other => panic!("no stream: {other:?}"),
    }
}

#[test]
fn each_type_says_more_than_the_one_before() {
    let entries = ["5-1 a=1 b=2", "6-0 c=-7"];
    let alice = |active: &str| format!("alice 11 {active} 1");
    let pending = ["5-1 Some(\"alice\") 9 1", "6-0 Some(\"bob\") 10 2"];
    for number in [15, 19, 21, 26, 27] {
        let mut wanted: Vec<String> = entries.map(str::to_owned).into();
        let (numbers, read) = match number {
            15 => ("last 7-0 deleted 0-0 added 2", "None"),
            _ => ("last 7-0 deleted 5-2 added 3", "Some(2)"),
        };
        wanted.push(numbers.to_owned());
        wanted.push(format!("group g 6-0 {read}"));
        wanted.push(alice(if number < 21 { "None" } else { "Some(12)" }));
        wanted.push("bob 13 None 1".to_owned());
        wanted.extend(pending.map(str::to_owned));
        if number >= 26 {
            wanted.extend(["idmp 60 10 4 3", "p/m 5-1"].map(str::to_owned));
        }
        if number == 27 {
            wanted.insert(7, "5-2 None 0 3".to_owned());
        }
        let bytes = snapshot("REDIS0014", &[&key(number, "s", &[&body(number)])]);
        assert_eq!(shown(&only_stream(&bytes)), wanted, "type {number}");
    }
    for number in [26, 27] {
        let (kind, _) = refused(&snapshot("VALKEY080", &[&key(number, "s", &[&body(number)])]));
        assert_eq!(kind, Kind::Unsupported);
    }
}

#[test]
fn a_stream_without_entries_is_kept_and_an_unknown_count_is_no_error() {
    let unknown =
        [&b"\x00\x00\x05\x05\x00\x00\x05\x05\x09\x01\x01g\x05\x05\x81"[..], &[0xff; 8], &[0, 0]];
    let stream = only_stream(&snapshot("REDIS0010", &[&key(19, "s", &unknown)]));
    assert_eq!(shown(&stream), ["last 5-5 deleted 5-5 added 9", "group g 5-5 None"]);
    let mut payload = [&[19][..], &unknown.concat(), &[10, 0]].concat();
    payload.extend([0; 8]);
    assert_eq!(decode_payload(&payload), Ok(Value::Stream(stream)));
}

#[test]
fn cut_anywhere_it_is_the_same_stream_or_passed_over() {
    let (_, items) = everything();
    let streams =
        items.iter().filter(|item| matches!(item, Item::Entry { value: Value::Stream(_), .. }));
    assert_eq!(streams.count(), 5, "the test that cuts everything cuts streams too");
    let bytes = snapshot("REDIS0014", &[&key(27, "s", &[&body(27)]), &key(27, "t", &[&body(27)])]);
    for size in [1, 2, 15, 16, 17, 100] {
        let (items, error, _) = items_of(skips_all(), bytes.chunks(size));
        let skipped = items.iter().filter(|item| matches!(item, Item::Skipped { .. })).count();
        assert_eq!((skipped, items.len(), error), (2, 4, None), "{size} bytes at a time");
    }
}

#[test]
fn large_numbers_of_entries_come_back() {
    let mut blocks = Vec::new();
    for block in 0..500u64 {
        let value = format!("{block}");
        let elements = [
            "#2", "#0", "#1", "name", "#0", "#2", "#0", "#0", &value, "#4", "#2", "#3", "#-1", "x",
            "#4",
        ];
        blocks.extend([&[16][..], &raw(block * 10 + 1, 1), &listpack(&elements)].concat());
    }
    let body = [b"\x41\xf4", &blocks[..], b"\x43\xe8\x80\x00\x01\x00\x00\x00", b"\x00"].concat();
    let stream = only_stream(&snapshot("REDIS0009", &[&key(15, "s", &[&body])]));
    let wanted: Vec<String> = (0..500u64)
        .flat_map(|at| {
            [format!("{}-1 name={at}", at * 10 + 1), format!("{}-0 name=x", at * 10 + 4)]
        })
        .collect();
    assert_eq!(shown(&stream)[..1000], wanted);
}

/// The body with one of its places changed.
fn damaged(number: u8, what: &[u8], by: &[u8]) -> Vec<u8> {
    let body = body(number);
    let mut places = body.windows(what.len()).enumerate().filter(|(_, window)| *window == what);
    let at = places.next().expect("there").0;
    [&body[..at], by, &body[at + what.len()..]].concat()
}

#[test]
fn damage_is_refused_by_what_it_breaks() {
    let block = |changes: &[(usize, &'static str)]| {
        let mut elements = BLOCK.to_vec();
        changes.iter().for_each(|(at, element)| elements[*at] = element);
        damaged(27, &listpack(&BLOCK), &listpack(&elements))
    };
    let delivery = |ms, seq| [raw(ms, seq), 10i64.to_le_bytes().to_vec()].concat();
    let bobs = |ms, seq| {
        let before =
            [&b"\x03bob"[..], &13i64.to_le_bytes(), &NEVER.to_le_bytes(), b"\x01"].concat();
        [before, raw(ms, seq)].concat()
    };
    let unowned = |ms, seq| [raw(ms, seq), b"\x3c".to_vec()].concat();
    let most = "#9223372036854775807";
    let groups = b"\x00\x00\x05\x05\0\0\0\0\x09\x02\x01g\x05\x05\0\0\0\0\x01g\x05\x05\0\0\0\0";
    for (body, expected) in [
        (damaged(27, b"\x10", b"\x0f"), "the id of a stream's block is too short"),
        (block(&[(0, "two")]), "text where a number belongs"),
        (block(&[(0, "#-1")]), "a stream's block counts wrongly"),
        (block(&[(0, most)]), "a stream's block counts wrongly"),
        (block(&[(0, "#3")]), "the last element lacks its partner"),
        (block(&[(0, "#1")]), "a stream's block goes on behind its last entry"),
        (block(&[(2, "#3")]), "a stream's block has no end of its names"),
        (block(&[(2, "#1")]), "a stream's block has text where a number belongs"),
        (block(&[(2, "#-2")]), "a stream's block counts wrongly"),
        (block(&[(5, "#1")]), "a stream's block has no end of its names"),
        (block(&[(21, most)]), "the last element lacks its partner"),
        (block(&[(19, "#0")]), "the ids of a stream's entries don't grow"),
        (block(&[(12, "#2")]), "a stream says that it has 2 entries and has 3"),
        (
            damaged(27, b"\x02\x07\x00\x05", b"\x02\x05\x07\x05"),
            "the last id of a stream is smaller",
        ),
        (damaged(27, &delivery(6, 0), &delivery(5, 2)), "an entry is pending twice"),
        (damaged(27, b"\x03bob", b"\x05alice"), "a consumer is there twice"),
        (damaged(27, &bobs(6, 0), &bobs(6, 1)), "with a consumer is not pending in its group"),
        (damaged(27, &bobs(6, 0), &bobs(5, 1)), "with a consumer is not pending in its group"),
        (
            damaged(27, &unowned(5, 2), &unowned(5, 1)),
            "without a consumer is not pending, or has one",
        ),
        (groups.to_vec(), "a group is there twice"),
    ] {
        let (kind, text) = refused(&snapshot("REDIS0014", &[&key(27, "s", &[&body])]));
        assert!(text.contains(expected), "{expected}: {text}");
        assert_eq!(kind, Kind::Protocol);
    }
}
