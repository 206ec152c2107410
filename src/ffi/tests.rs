//! The C surface called as C calls it, over a table that a test has filled.

#![allow(clippy::panic, clippy::indexing_slicing)]

use super::event::shown;
use super::guard::{InCallback, guard, guard_glance};
use super::rets_event_kind::*;
use super::rets_status::*;
use super::rets_type_id::*;
use super::*;
use crate::change::{Change, Effect, Phase, Reason};
use crate::replica::{Lookups, Readable, Replica, View};
use crate::table::{Batch, Entry, Hold, Stamp, Table};
use crate::value::{
    Bytes, Field, Group, Hash, Id, List, Pending, References, Set, Stream, Value, Withheld, Zset,
};
use std::ffi::{CStr, c_void};
use std::ptr::{null, null_mut};
use std::sync::Arc;

pub(super) fn bytes(text: &str) -> Bytes {
    Bytes::from(text.as_bytes())
}

/// A handle over a table of its own, which no engine writes.
pub(super) struct Bench {
    table: Table,
    view: Arc<View>,
    handle: Box<rets_t>,
    unit: u64,
}

impl Bench {
    fn new(readable: Readable) -> Self {
        let table = Table::new(None);
        let view = Arc::new(View::new(Box::new(|| 1_000), Box::new(|| 0)));
        view.set_readable(readable);
        let lookups = Lookups::new(table.reader(), Arc::clone(&view));
        let replica = Replica::new("redis://127.0.0.1:1").unwrap();
        let handle = Box::new(rets_t::new(replica, lookups));
        Self { table, view, handle, unit: 0 }
    }

    pub(super) fn filled() -> Self {
        Self::filled_but(Readable::Yes)
    }

    fn filled_but(readable: Readable) -> Self {
        let mut bench = Self::new(readable);
        let list: List = ["a", "b"].into_iter().map(bytes).collect();
        let set: Set = [bytes("m")].into_iter().collect();
        let zset: Zset = [(bytes("m"), 2.5)].into_iter().collect();
        let field = |at| Field { value: b"v", expires_at_ms: at };
        let hash: Hash = [(bytes("f"), field(Some(9_000))), (bytes("old"), field(Some(5)))]
            .into_iter()
            .collect();
        bench.put("string", Some(Value::string(b"hello")), Some(9_999), None);
        bench.put("empty", Some(Value::string(b"")), None, None);
        bench.put("list", Some(Value::List(list)), None, None);
        bench.put("set", Some(Value::Set(set)), None, Some(&["out"]));
        bench.put("zset", Some(Value::Zset(zset)), None, None);
        bench.put("hash", Some(Value::Hash(hash)), None, None);
        bench.put("ghost", None, None, None);
        bench
    }

    /// With a string that a glance finds.
    fn and_usual(mut self) -> Self {
        self.put("usual string", Some(Value::string(b"hello")), None, None);
        self
    }

    pub(super) fn put(
        &mut self,
        key: &str,
        value: Option<Value>,
        at: Option<i64>,
        out: Option<&[&str]>,
    ) {
        self.unit += 1;
        let withheld: Option<Withheld> =
            out.map(|names| names.iter().map(|name| (bytes(name), None)).collect());
        let hold = withheld.map(|withheld| Arc::new(Hold { withheld, ..Hold::default() }));
        let mut batch = Batch::new();
        batch.put(&self.table, 0, bytes(key), Entry { value, expires_at_ms: at, version: 0, hold });
        let stamp = Stamp { replid: [b'a'; 40], offset: 77, unit: self.unit };
        self.table.publish(batch, stamp);
    }

    pub(super) fn r(&self) -> *const rets_t {
        &raw const *self.handle
    }

    /// `rets_get` into a buffer of this size, with a guard byte behind it.
    fn get(&self, key: &str, room: usize) -> (rets_status, Vec<u8>, usize) {
        let (key, mut len) = (key.as_bytes(), usize::MAX);
        let mut buf = vec![b'#'; room + 1];
        let to = buf.as_mut_ptr().cast();
        // SAFETY: all of it is ours and as large as said.
        let status =
            unsafe { rets_get(self.r(), 0, key.as_ptr().cast(), key.len(), to, room, &mut len) };
        assert_eq!(buf.pop(), Some(b'#'));
        (status, buf, len)
    }
}

fn last_error() -> String {
    // SAFETY: it is never NULL and always ends with a NUL.
    unsafe { CStr::from_ptr(rets_last_error()) }.to_str().unwrap().to_owned()
}

pub(super) fn p(text: &str) -> *const c_void {
    text.as_ptr().cast()
}

/// What an element or event points to.
fn seen(data: *const c_void, len: usize) -> Option<String> {
    if data.is_null() {
        return None;
    }
    // SAFETY: the library says that there are so many bytes.
    let bytes = unsafe { std::slice::from_raw_parts(data.cast::<u8>(), len) };
    Some(String::from_utf8_lossy(bytes).into_owned())
}

#[test]
fn a_panic_becomes_a_status_with_its_text() {
    assert_eq!(guard(|| std::panic::panic_any("on purpose")), RETS_PANIC);
    assert!(last_error().ends_with("on purpose"), "{}", last_error());
    assert_eq!(guard(|| Ok(())), RETS_OK);
    let glance = |what: &'static str| move || std::panic::panic_any(what);
    assert_eq!(guard_glance(glance("at a glance"), || RETS_OK), RETS_PANIC);
    assert!(last_error().ends_with("at a glance"), "{}", last_error());
    assert_eq!(guard_glance(|| Some(RETS_NOT_FOUND), || RETS_OK), RETS_NOT_FOUND);
    assert_eq!(last_error(), "not found");
    assert_eq!(guard_glance(|| None, || RETS_TIMEOUT), RETS_TIMEOUT);
}

#[test]
fn keys_and_values_of_every_length_are_found_and_copied_as_they_are() {
    let mut bench = Bench::filled();
    let key = |len: usize| "abcdefghijklmnopqrstuvwxyz".repeat(3)[..len].to_owned();
    let value = |len: usize| "0123456789".repeat(200).as_bytes()[..len].to_vec();
    // Miri is slow: the borders, and one between them.
    let key_lens = if cfg!(miri) { vec![0, 7, 8, 11, 16, 17] } else { (0..40).collect() };
    let value_lens = if cfg!(miri) { vec![0, 15, 16, 32, 33] } else { (0..70).collect() };
    for key_len in key_lens {
        for at in [None, Some(2_000)] {
            for value_len in value_lens.iter().copied().chain([900, 1_100]) {
                let (key, value) = (key(key_len), value(value_len));
                bench.put(&key, Some(Value::string(&value)), at, None);
                assert_eq!(bench.get(&key, value_len), (RETS_OK, value, value_len));
            }
            let (key, least) = (key(key_len), 1_099);
            assert_eq!(bench.get(&key, least), (RETS_TOO_SMALL, vec![b'#'; least], 1_100));
        }
        let mut other = key(key_len).into_bytes();
        for place in 0..key_len {
            // As long, and another byte somewhere.
            other[place] ^= 1;
            let other = std::str::from_utf8(&other).unwrap();
            assert_eq!(bench.get(other, 1), (RETS_NOT_FOUND, b"#".to_vec(), 0));
        }
    }
}

#[test]
fn a_copy_is_all_or_nothing_at_every_size() {
    let bench = Bench::filled().and_usual();
    for key in ["string", "usual string"] {
        for room in 0..5 {
            assert_eq!(bench.get(key, room), (RETS_TOO_SMALL, vec![b'#'; room], 5));
        }
        assert_eq!(bench.get(key, 5), (RETS_OK, b"hello".to_vec(), 5));
        assert_eq!(bench.get(key, 6), (RETS_OK, b"hello#".to_vec(), 5));
    }
    assert_eq!(bench.get("empty", 0), (RETS_OK, vec![], 0));
    assert_eq!(bench.get("absent", 2), (RETS_NOT_FOUND, b"##".to_vec(), 0));
    assert_eq!(bench.get("list", 2), (RETS_WRONG_TYPE, b"##".to_vec(), 0));
    assert_eq!(bench.get("ghost", 2), (RETS_WITHHELD, b"##".to_vec(), 0));
    let early = Bench::filled_but(Readable::NotYet).and_usual();
    let late = Bench::filled_but(Readable::Stopped).and_usual();
    for key in ["string", "usual string"] {
        assert_eq!(early.get(key, 6), (RETS_NOT_READY, b"######".to_vec(), 0));
        assert_eq!(late.get(key, 6), (RETS_STOPPED, b"######".to_vec(), 0));
    }
    let (mut len, key) = (0, "string");
    // SAFETY: NULL with no room asks for the length.
    let status = unsafe { rets_get(bench.r(), 0, p(key), 6, null_mut(), 0, &mut len) };
    assert_eq!((status, len), (RETS_TOO_SMALL, 5));
}

#[test]
fn a_version_answers_unchanged_until_the_key_is_written() {
    assert_versions_of("string");
    assert_versions_of("usual string");
}

fn assert_versions_of(key: &str) {
    let mut bench = Bench::filled().and_usual();
    let mut version = 0;
    let mut buf = [0u8; 8];
    let mut ask = |bench: &Bench, version: &mut u64, room: usize| {
        let mut len = 99;
        let to = buf.as_mut_ptr().cast();
        // SAFETY: all of it is ours and as large as said.
        let status = unsafe {
            rets_get_if_changed(bench.r(), 0, p(key), key.len(), version, to, room, &mut len)
        };
        (status, len)
    };
    assert_eq!(ask(&bench, &mut version, 2), (RETS_TOO_SMALL, 5));
    assert_eq!(version, 0, "nothing was copied, so nothing is known");
    assert_eq!(ask(&bench, &mut version, 8), (RETS_OK, 5));
    assert_ne!(version, 0);
    assert_eq!(ask(&bench, &mut version, 8), (RETS_UNCHANGED, 99));
    bench.put("other", Some(Value::string(b"x")), None, None);
    assert_eq!(ask(&bench, &mut version, 8), (RETS_UNCHANGED, 99));
    bench.put(key, Some(Value::string(b"hello")), None, None);
    assert_eq!(ask(&bench, &mut version, 8), (RETS_OK, 5));
    let list: List = ["a"].into_iter().map(bytes).collect();
    for (value, status) in [(None, RETS_WITHHELD), (Some(Value::List(list)), RETS_WRONG_TYPE)] {
        version = 5;
        bench.put(key, value, None, None);
        assert_eq!(ask(&bench, &mut version, 8), (status, 0));
        assert_eq!(version, 0);
    }
    version = 5;
    bench.put(key, Some(Value::string(b"x")), Some(999), None);
    assert_eq!(ask(&bench, &mut version, 8), (RETS_NOT_FOUND, 0));
    assert_eq!(version, 0);
    version = 5;
    bench.view.set_readable(Readable::Stopped);
    assert_eq!(ask(&bench, &mut version, 8), (RETS_STOPPED, 0));
    assert_eq!(version, 5, "nothing was learnt of the key");
}

#[test]
fn many_items_have_a_status_each_and_one_offset() {
    let bench = Bench::filled();
    let mut buf = [b'#'; 4];
    let item = |key: &'static str, db: i32, buf: *mut u8, buf_len: usize| rets_item {
        key: p(key),
        key_len: key.len(),
        buf: buf.cast(),
        buf_len,
        len: 99,
        db,
        status: RETS_PANIC,
    };
    let to = buf.as_mut_ptr();
    let mut items = [
        item("empty", 0, to, 4),
        item("string", 0, to, 4),
        item("absent", 0, to, 4),
        item("string", -1, to, 4),
        item("string", 0, null_mut(), 4),
        item("string", 7, to, 4),
        item("hash", 0, to, 4),
    ];
    let mut offset = 0;
    let n = items.len();
    // SAFETY: all of it is ours.
    let status = unsafe { rets_get_many(bench.r(), items.as_mut_ptr(), n, &mut offset) };
    assert_eq!((status, offset), (RETS_OK, 77));
    let seen: Vec<_> = items.iter().map(|item| (item.status, item.len)).collect();
    let wanted = [
        (RETS_OK, 0),
        (RETS_TOO_SMALL, 5),
        (RETS_NOT_FOUND, 0),
        (RETS_INVALID, 0),
        (RETS_INVALID, 0),
        (RETS_NOT_FOUND, 0),
        (RETS_WRONG_TYPE, 0),
    ];
    assert_eq!(seen, wanted);
    assert_eq!(buf, [b'#'; 4]);
    let bench = Bench::filled_but(Readable::NotYet);
    // SAFETY: as above; the offset isn't wanted.
    let status = unsafe { rets_get_many(bench.r(), items.as_mut_ptr(), n, null_mut()) };
    assert_eq!((status, items[0].status), (RETS_NOT_READY, RETS_NOT_READY));
    // SAFETY: no items at all.
    assert_eq!(unsafe { rets_get_many(bench.r(), null_mut(), 0, null_mut()) }, RETS_NOT_READY);
}

#[test]
fn single_things_of_every_type_are_found() {
    let bench = Bench::filled();
    let r = bench.r();
    let (mut kind, mut at, mut len, mut score) = (RETS_TYPE_NONE, 0, 0, 0.0);
    let mut buf = [0u8; 8];
    let to = buf.as_mut_ptr().cast();
    // SAFETY: all of it is ours and as large as said.
    unsafe {
        assert_eq!(rets_exists(r, 0, p("zset"), 4), RETS_OK);
        assert_eq!(rets_exists(r, 0, p("zset"), 3), RETS_NOT_FOUND);
        assert_eq!(rets_type(r, 0, p("zset"), 4, &mut kind), RETS_OK);
        assert_eq!(kind, RETS_TYPE_ZSET);
        assert_eq!(rets_expires_at(r, 0, p("string"), 6, &mut at), RETS_OK);
        assert_eq!(at, 9_999);
        assert_eq!(rets_expires_at(r, 0, p("list"), 4, &mut at), RETS_OK);
        assert_eq!(at, -1);
        assert_eq!(rets_len(r, 0, p("hash"), 4, &mut len), RETS_OK);
        assert_eq!(len, 2, "a field that is due still counts");
        assert_eq!(rets_len(r, 0, p("set"), 3, &mut len), RETS_INCOMPLETE);
        assert_eq!(len, 1);
        assert_eq!(rets_len(r, 0, p("ghost"), 5, &mut len), RETS_WITHHELD);
        assert_eq!(len, 0);
        assert_eq!(rets_hget(r, 0, p("hash"), 4, p("f"), 1, to, 8, &mut len), RETS_OK);
        assert_eq!((len, buf[0]), (1, b'v'));
        assert_eq!(rets_hget(r, 0, p("hash"), 4, p("old"), 3, to, 8, &mut len), RETS_NOT_FOUND);
        assert_eq!(rets_hexpires_at(r, 0, p("hash"), 4, p("f"), 1, &mut at), RETS_OK);
        assert_eq!(at, 9_000);
        assert_eq!(rets_lindex(r, 0, p("list"), 4, -1, to, 8, &mut len), RETS_OK);
        assert_eq!((len, buf[0]), (1, b'b'));
        assert_eq!(rets_lindex(r, 0, p("list"), 4, 2, to, 8, &mut len), RETS_NOT_FOUND);
        assert_eq!(rets_sismember(r, 0, p("set"), 3, p("m"), 1), RETS_OK);
        assert_eq!(rets_sismember(r, 0, p("set"), 3, p("out"), 3), RETS_WITHHELD);
        assert_eq!(rets_sismember(r, 0, p("set"), 3, p("no"), 2), RETS_NOT_FOUND);
        assert_eq!(rets_zscore(r, 0, p("zset"), 4, p("m"), 1, &mut score), RETS_OK);
        assert_eq!(score.to_bits(), 2.5f64.to_bits());
        let mut count = 0;
        assert_eq!(rets_count(r, 0, &mut count), RETS_OK);
        assert_eq!(count, 6);
        assert_eq!(rets_count(r, 5, &mut count), RETS_OK);
        assert_eq!(count, 0);
        assert_eq!(rets_count(r, -1, &mut count), RETS_OK);
        assert_eq!(count, 6);
    }
}

/// Asks for a single thing, with a buffer of this size where there is one. Whatever the answer does
/// not have is left as it was.
fn single(r: *const rets_t, what: &str, key: &str, element: &str, room: usize) -> rets_status {
    let (mut kind, mut at, mut score) = (RETS_TYPE_MODULE, 77, 7.5);
    let (mut len, mut buf) = (99, [b'#'; 8]);
    let (k, k_len, e, e_len) = (p(key), key.len(), p(element), element.len());
    let to = buf.as_mut_ptr().cast();
    // SAFETY: all of it is ours and as large as said.
    let status = unsafe {
        match what {
            "get" => rets_get(r, 0, k, k_len, to, room, &mut len),
            "hget" => rets_hget(r, 0, k, k_len, e, e_len, to, room, &mut len),
            "lindex" => {
                let index = element.parse().unwrap();
                rets_lindex(r, 0, k, k_len, index, to, room, &mut len)
            }
            "len" => rets_len(r, 0, k, k_len, &mut len),
            "exists" => rets_exists(r, 0, k, k_len),
            "type" => rets_type(r, 0, k, k_len, &mut kind),
            "expires_at" => rets_expires_at(r, 0, k, k_len, &mut at),
            "hexpires_at" => rets_hexpires_at(r, 0, k, k_len, e, e_len, &mut at),
            "sismember" => rets_sismember(r, 0, k, k_len, e, e_len),
            _ => rets_zscore(r, 0, k, k_len, e, e_len, &mut score),
        }
    };
    let copies = ["get", "hget", "lindex"].contains(&what);
    match status {
        RETS_OK => {}
        RETS_TOO_SMALL => assert!(copies && len > room && buf == [b'#'; 8], "{what} {key}"),
        _ => {
            assert_eq!(len, if copies || what == "len" { 0 } else { 99 }, "{what} {key}");
            assert_eq!((kind, at, buf), (RETS_TYPE_MODULE, 77, [b'#'; 8]), "{what} {key}");
            assert_eq!(score.to_bits(), 7.5_f64.to_bits(), "{what} {key}");
        }
    }
    status
}

/// For each function a key, and an element of it, that are there.
const SINGLES: [(&str, &str, &str); 10] = [
    ("get", "string", ""),
    ("hget", "hash", "f"),
    ("lindex", "list", "0"),
    ("len", "list", ""),
    ("exists", "list", ""),
    ("type", "list", ""),
    ("expires_at", "list", ""),
    ("hexpires_at", "hash", "f"),
    ("sismember", "set", "m"),
    ("zscore", "zset", "m"),
];

#[test]
fn what_is_lacking_is_told_apart_and_leaves_what_it_does_not_answer() {
    let mut bench = Bench::filled().and_usual();
    let zset: Zset = [(bytes("m"), 2.5)].into_iter().collect();
    let hash: Hash = [(bytes("f"), Field::new(b"v"))].into_iter().collect();
    bench.put("a zset", Some(Value::Zset(zset)), None, Some(&["out"]));
    bench.put("a hash", Some(Value::Hash(hash)), None, Some(&["out"]));
    bench.put("due", Some(Value::string(b"x")), Some(1), None);
    for (what, key, element) in SINGLES {
        let ask = |key: &str, element: &str| single(bench.r(), what, key, element, 8);
        assert_eq!(ask(key, element), RETS_OK, "{what}");
        let element = if what == "lindex" { "0" } else { element };
        for (key, status) in
            [("ghost", RETS_WITHHELD), ("absent", RETS_NOT_FOUND), ("due", RETS_NOT_FOUND)]
        {
            assert_eq!(ask(key, element), status, "{what} {key}");
        }
        // What can be asked of a key of any type; and one of each length that lookups treat alike.
        let is_of_any = ["len", "exists", "type", "expires_at"].contains(&what);
        let others = ["usual string", "empty", "list", "set", "zset", "hash"];
        let same = |other: &str| {
            key == other || what == "get" && ["usual string", "empty"].contains(&other)
        };
        for other in others.into_iter().filter(|other| !is_of_any && !same(other)) {
            assert_eq!(ask(other, element), RETS_WRONG_TYPE, "{what} {other}");
        }
    }
    for (what, key, element, status) in [
        ("hget", "hash", "none", RETS_NOT_FOUND),
        ("hget", "hash", "old", RETS_NOT_FOUND),
        ("hget", "a hash", "out", RETS_WITHHELD),
        ("hexpires_at", "hash", "none", RETS_NOT_FOUND),
        ("hexpires_at", "hash", "old", RETS_NOT_FOUND),
        ("hexpires_at", "a hash", "out", RETS_WITHHELD),
        ("lindex", "list", "2", RETS_NOT_FOUND),
        ("lindex", "list", "-3", RETS_NOT_FOUND),
        ("sismember", "set", "none", RETS_NOT_FOUND),
        ("sismember", "set", "out", RETS_WITHHELD),
        ("zscore", "zset", "none", RETS_NOT_FOUND),
        ("zscore", "a zset", "out", RETS_WITHHELD),
    ] {
        assert_eq!(single(bench.r(), what, key, element, 8), status, "{what} {key} {element}");
    }
    for (what, key, element) in [("hget", "hash", "f"), ("lindex", "list", "0")] {
        assert_eq!(single(bench.r(), what, key, element, 0), RETS_TOO_SMALL, "{what}");
    }
}

#[test]
fn everything_says_that_it_is_too_old_and_a_raw_view_shows_it() {
    let bench = Bench::filled().and_usual();
    let r = bench.r();
    bench.view.freshness().set_as_of(-101);
    bench.view.set_max_staleness(100);
    for (what, key, element) in SINGLES.into_iter().chain([("get", "usual string", "")]) {
        assert_eq!(single(r, what, key, element, 8), RETS_STALE, "{what} {key}");
    }
    let (mut version, mut len, mut count) = (5, 9, 5);
    let (mut v, mut c, mut buf) = (null_mut(), null_mut(), [0_u8; 8]);
    let key = "usual string";
    // SAFETY: all of it is ours and as large as said; value and cursor are freed once.
    unsafe {
        let (k, to) = (p(key), buf.as_mut_ptr().cast());
        let status = rets_get_if_changed(r, 0, k, key.len(), &mut version, to, 8, &mut len);
        assert_eq!((status, version, len), (RETS_STALE, 5, 0));
        assert_eq!((rets_count(r, -1, &mut count), count), (RETS_STALE, 5));
        assert_eq!((rets_cursor_new(r, -1, 0, &mut c), c), (RETS_STALE, null_mut()));
        assert_eq!(rets_value_new(&mut v), RETS_OK);
        assert_eq!(rets_read(r, 0, k, key.len(), 0, v), RETS_STALE);
        assert_eq!(rets_value_type(v), RETS_TYPE_NONE);
        assert_eq!(rets_read(r, 0, k, key.len(), RETS_RAW, v), RETS_OK);
        assert_eq!(rets_value_type(v), RETS_TYPE_STRING);
        assert_eq!(rets_cursor_new(r, -1, RETS_RAW, &mut c), RETS_OK);
        rets_cursor_free(c);
        rets_value_free(v);
    }
    bench.view.freshness().set_as_of(-100);
    assert_eq!(single(r, "get", key, "", 8), RETS_OK, "as old as it may be");
}

#[test]
fn nothing_at_all_is_an_empty_key_field_or_member() {
    let mut bench = Bench::new(Readable::Yes);
    let (mut len, mut at, mut version, mut buf) = (0, 0, 0, [b'#'; 4]);
    let to = buf.as_mut_ptr().cast();
    let nothing = null::<c_void>();
    let hash: Hash = [(bytes(""), Field::new(b"v"))].into_iter().collect();
    let set: Set = [bytes("")].into_iter().collect();
    let zset: Zset = [(bytes(""), 0.5)].into_iter().collect();
    bench.put("hash", Some(Value::Hash(hash)), None, None);
    bench.put("set", Some(Value::Set(set)), None, None);
    bench.put("zset", Some(Value::Zset(zset)), None, None);
    let r = bench.r();
    // SAFETY: all of it is ours and as large as said; where there is nothing it may be NULL.
    unsafe {
        assert_eq!(rets_exists(r, 0, nothing, 0), RETS_NOT_FOUND);
        assert_eq!(rets_hget(r, 0, p("hash"), 4, nothing, 0, to, 4, &mut len), RETS_OK);
        assert_eq!((len, buf[0]), (1, b'v'));
        assert_eq!(rets_hexpires_at(r, 0, p("hash"), 4, nothing, 0, &mut at), RETS_OK);
        assert_eq!(rets_sismember(r, 0, p("set"), 3, nothing, 0), RETS_OK);
        let mut score = 0.0;
        assert_eq!(rets_zscore(r, 0, p("zset"), 4, nothing, 0, &mut score), RETS_OK);
    }
    bench.put("", Some(Value::string(b"one")), None, None);
    let r = bench.r();
    let (key, none) = (nothing, null_mut());
    // SAFETY: as above.
    unsafe {
        assert_eq!(rets_get(r, 0, key, 0, to, 4, &mut len), RETS_OK);
        assert_eq!((len, &buf[..3]), (3, &b"one"[..]));
        assert_eq!(rets_get(r, 0, key, 0, none, 0, &mut len), RETS_TOO_SMALL);
        assert_eq!(rets_get_if_changed(r, 0, key, 0, &mut version, to, 4, &mut len), RETS_OK);
        let status = rets_get_if_changed(r, 0, key, 0, &mut version, none, 0, &mut len);
        assert_eq!(status, RETS_UNCHANGED);
        let (buf, db) = (to, 0);
        let mut item =
            rets_item { key, key_len: 0, buf, buf_len: 4, len: 9, db, status: RETS_PANIC };
        assert_eq!(rets_get_many(r, &mut item, 1, null_mut()), RETS_OK);
        assert_eq!((item.status, item.len), (RETS_OK, 3));
    }
    bench.put("", Some(Value::string(b"")), None, None);
    // SAFETY: as above.
    let status = unsafe { rets_get(bench.r(), 0, key, 0, none, 0, &mut len) };
    assert_eq!((status, len), (RETS_OK, 0), "it fits into nothing");
}

#[test]
fn a_value_is_walked_used_again_and_outlives_the_handle() {
    let bench = Bench::filled();
    let mut v = null_mut();
    // SAFETY: the value is made, used by this thread alone, and freed once.
    unsafe {
        assert_eq!(rets_value_new(&mut v), RETS_OK);
        assert_eq!((rets_value_type(v), rets_value_len(v)), (RETS_TYPE_NONE, 0));
        let mut e = std::mem::zeroed::<rets_element>();
        assert_eq!(rets_value_at(v, 0, &mut e), RETS_NOT_FOUND);

        assert_eq!(rets_read(bench.r(), 0, p("hash"), 4, RETS_RAW, v), RETS_OK);
        assert_eq!((rets_value_type(v), rets_value_len(v)), (RETS_TYPE_HASH, 2));
        assert_eq!(rets_read(bench.r(), 0, p("hash"), 4, 0, v), RETS_OK);
        assert_eq!(rets_value_len(v), 1, "one field is due");
        assert_eq!(rets_value_at(v, 0, &mut e), RETS_OK);
        assert_eq!(seen(e.field, e.field_len).as_deref(), Some("f"));
        assert_eq!(seen(e.value, e.value_len).as_deref(), Some("v"));
        assert_eq!((e.expires_at_ms, rets_value_expires_at(v)), (9_000, -1));

        assert_eq!(rets_read(bench.r(), 0, p("set"), 3, 0, v), RETS_INCOMPLETE);
        assert_eq!((rets_value_type(v), rets_value_len(v)), (RETS_TYPE_SET, 1));
        assert_eq!(rets_read(bench.r(), 0, p("absent"), 6, 0, v), RETS_NOT_FOUND);
        assert_eq!((rets_value_type(v), rets_value_len(v)), (RETS_TYPE_NONE, 0));
        assert_eq!(rets_read(bench.r(), 0, p("string"), 6, 2, v), RETS_UNSUPPORTED);

        assert_eq!(rets_read(bench.r(), 0, p("empty"), 5, 0, v), RETS_OK);
        assert_eq!(rets_value_at(v, 0, &mut e), RETS_OK);
        assert!(e.field.is_null() && !e.value.is_null());
        assert_eq!(e.value_len, 0);
        drop(bench);
        assert_eq!(rets_value_at(v, 0, &mut e), RETS_OK);
        rets_value_free(v);
    }
}

#[test]
fn a_stream_shows_its_entries_field_by_field_and_its_groups() {
    let mut stream = Stream::default();
    let id = |ms| Id { ms, seq: 7 };
    stream.append(id(1), &["f", "a"]);
    stream.append(id(2), &["f", "b", "g", ""]);
    stream.append(id(u64::MAX), &["f", "c"]);
    stream.delete(id(1), References::Keep);
    let mut group = Group::new(id(2), Some(2));
    group.add_consumer(b"al", 11, Some(12));
    group.add_consumer(b"bo", 13, None);
    let delivered =
        |ms, consumer| Pending { id: id(ms), consumer, delivered_at_ms: 9, deliveries: 3 };
    group.put_pending(delivered(1, Some(b"bo")));
    group.put_pending(delivered(2, None));
    stream.put_group(b"g", group);
    stream.put_group(b"h", Group::default());

    let mut bench = Bench::new(Readable::Yes);
    bench.put("stream", Some(Value::Stream(stream)), None, None);
    bench.put("string", Some(Value::string(b"x")), None, None);
    let mut v = null_mut();
    // SAFETY: the value is made, read by this thread alone, and freed once; structures are as large
    // as they say.
    unsafe {
        assert_eq!(rets_value_new(&mut v), RETS_OK);
        assert_eq!(rets_read(bench.r(), 0, c"stream".as_ptr().cast(), 6, 0, v), RETS_OK);
        assert_eq!((rets_value_type(v), rets_value_len(v)), (RETS_TYPE_STREAM, 3));
        let mut all = Vec::new();
        let mut e: rets_element = std::mem::zeroed();
        while rets_value_at(v, all.len(), &mut e) == RETS_OK {
            let (field, value) = (seen(e.field, e.field_len), seen(e.value, e.value_len));
            all.push((e.id_ms, e.id_seq, field.unwrap(), value.unwrap()));
        }
        let field = |ms, name: &str, value: &str| (ms, 7, name.to_owned(), value.to_owned());
        assert_eq!(all, [field(2, "f", "b"), field(2, "g", ""), field(u64::MAX, "f", "c")]);

        let mut s: rets_stream = std::mem::zeroed();
        assert_eq!(rets_value_stream(v, &mut s), RETS_INVALID, "a size of 0");
        s.struct_size = size_of::<rets_stream>();
        assert_eq!(rets_value_stream(v, &mut s), RETS_OK);
        assert_eq!((s.last_id_ms, s.first_id_ms, s.max_deleted_id_ms), (u64::MAX, 2, 1));
        assert_eq!((s.last_id_seq, s.first_id_seq, s.max_deleted_id_seq), (7, 7, 7));
        assert_eq!((s.entries_added, s.entries, s.groups), (3, 2, 2));

        let mut g: rets_group = std::mem::zeroed();
        g.struct_size = size_of::<rets_group>();
        assert_eq!(rets_value_group_at(v, 0, &mut g), RETS_OK);
        assert_eq!(seen(g.name, g.name_len).as_deref(), Some("g"));
        assert_eq!((g.last_id_ms, g.last_id_seq, g.entries_read), (2, 7, 2));
        assert_eq!((g.consumers, g.pending), (2, 2));
        assert_eq!(rets_value_group_at(v, 1, &mut g), RETS_OK);
        assert_eq!((g.entries_read, g.consumers, g.pending), (-1, 0, 0));
        assert_eq!(rets_value_group_at(v, 2, &mut g), RETS_NOT_FOUND);

        let mut c: rets_consumer = std::mem::zeroed();
        c.struct_size = size_of::<rets_consumer>();
        for (at, wanted) in [("al", 0, 11, 12), ("bo", 1, 13, -1)].into_iter().enumerate() {
            assert_eq!(rets_value_consumer_at(v, 0, at, &mut c), RETS_OK);
            let name = seen(c.name, c.name_len).unwrap();
            assert_eq!((&*name, c.pending, c.seen_at_ms, c.active_at_ms), wanted);
        }
        assert_eq!(rets_value_consumer_at(v, 0, 2, &mut c), RETS_NOT_FOUND);
        assert_eq!(rets_value_consumer_at(v, 1, 0, &mut c), RETS_NOT_FOUND);
        assert_eq!(rets_value_consumer_at(v, 2, 0, &mut c), RETS_NOT_FOUND);

        let mut p: rets_pending = std::mem::zeroed();
        p.struct_size = size_of::<rets_pending>();
        for (at, (ms, consumer)) in [(1, Some("bo")), (2, None)].into_iter().enumerate() {
            assert_eq!(rets_value_pending_at(v, 0, at, &mut p), RETS_OK);
            assert_eq!(seen(p.consumer, p.consumer_len).as_deref(), consumer);
            assert_eq!((p.id_ms, p.id_seq, p.delivered_at_ms, p.deliveries), (ms, 7, 9, 3));
        }
        assert_eq!(rets_value_pending_at(v, 0, 2, &mut p), RETS_NOT_FOUND);
        assert_eq!(rets_value_pending_at(v, 9, 0, &mut p), RETS_NOT_FOUND);

        assert_eq!(rets_read(bench.r(), 0, c"string".as_ptr().cast(), 6, 0, v), RETS_OK);
        assert_eq!(rets_value_stream(v, &mut s), RETS_WRONG_TYPE);
        assert_eq!(rets_value_pending_at(v, 0, 0, &mut p), RETS_WRONG_TYPE);
        rets_value_free(v);
    }
}

#[test]
fn an_event_shows_the_stream_that_an_edit_makes() {
    let mut stream = Stream::default();
    stream.append(Id { ms: 5, seq: 1 }, &["f", "v", "g", "w"]);
    stream.put_group(b"g", Group::default());
    let value = Value::Stream(stream);
    let change = Change {
        effect: Effect::Edit,
        reason: Reason::Command,
        phase: Phase::Live,
        db: Some(0),
        key: b"k",
        value: Some(&value),
        expires_at_ms: None,
        result_known: true,
        deadline_passed: false,
        key_gone: false,
        offset: 44,
        args: &[],
    };
    shown(&change, |event| {
        assert_eq!((event.kind, event.r#type), (RETS_EVENT_EDIT, RETS_TYPE_STREAM));
        assert!(event.value.is_null());
        // SAFETY: the event's value lives as long as it; the structure is as large as it says.
        unsafe {
            assert_eq!(rets_value_len(event.whole), 2, "before anybody walks it");
            let mut s: rets_stream = std::mem::zeroed();
            s.struct_size = size_of::<rets_stream>();
            assert_eq!(rets_value_stream(event.whole, &mut s), RETS_OK);
            assert_eq!((s.last_id_ms, s.entries, s.groups), (5, 1, 1));
            let mut e: rets_element = std::mem::zeroed();
            assert_eq!(rets_value_at(event.whole, 1, &mut e), RETS_OK);
            assert_eq!(seen(e.value, e.value_len).as_deref(), Some("w"));
        }
    });
}

#[test]
fn a_cursor_meets_every_key_once_and_hides_what_lookups_hide() {
    let walk = |db: i32, flags: u32| {
        let mut bench = Bench::filled();
        bench.put("due", Some(Value::string(b"x")), Some(1), None);
        let (mut c, mut keys) = (null_mut(), Vec::new());
        // SAFETY: the cursor is made, used by this thread alone, and freed once.
        unsafe {
            assert_eq!(rets_cursor_new(bench.r(), db, flags, &mut c), RETS_OK);
            let (mut db, mut key, mut len) = (-9, null(), 0);
            while rets_cursor_next(c, &mut db, &mut key, &mut len) == RETS_OK {
                assert_eq!(db, 0);
                keys.push(seen(key, len).unwrap());
            }
            assert_eq!(rets_cursor_next(c, null_mut(), &mut key, &mut len), RETS_NOT_FOUND);
            assert_eq!(rets_cursor_next(c, null_mut(), null_mut(), &mut len), RETS_INVALID);
            assert_eq!(rets_cursor_next(c, null_mut(), &mut key, null_mut()), RETS_INVALID);
            bench.view.set_readable(Readable::Stopped);
            assert_eq!(rets_cursor_next(c, null_mut(), &mut key, &mut len), RETS_STOPPED);
            rets_cursor_free(c);
        }
        keys.sort();
        keys
    };
    assert_eq!(walk(-1, 0), ["empty", "hash", "list", "set", "string", "zset"]);
    let raw = ["due", "empty", "ghost", "hash", "list", "set", "string", "zset"];
    assert_eq!(walk(0, RETS_RAW), raw);
    assert!(walk(4, 0).is_empty());
}

#[test]
fn an_event_shows_every_part_of_a_change() {
    let value = Value::string(b"");
    let args: [&[u8]; 2] = [b"SET", b"k"];
    let mut change = Change {
        effect: Effect::Set,
        reason: Reason::Command,
        phase: Phase::Live,
        db: Some(3),
        key: b"k",
        value: Some(&value),
        expires_at_ms: Some(12),
        result_known: true,
        deadline_passed: true,
        key_gone: false,
        offset: 44,
        args: &args,
    };
    shown(&change, |e| {
        assert_eq!(e.struct_size, size_of::<rets_event>());
        assert_eq!((e.kind, e.r#type, e.db, e.other_db), (RETS_EVENT_SET, RETS_TYPE_STRING, 3, -1));
        assert_eq!(
            (e.reason, e.phase),
            (rets_reason::RETS_REASON_COMMAND, rets_phase::RETS_PHASE_LIVE)
        );
        assert_eq!((e.result_known, e.deadline_passed, e.key_gone), (1, 1, 0));
        assert_eq!(seen(e.key, e.key_len).as_deref(), Some("k"));
        assert_eq!(seen(e.value, e.value_len).as_deref(), Some(""), "empty is not absent");
        assert_eq!((e.expires_at_ms, e.field_expires_at_ms, e.offset, e.argc), (12, -1, 44, 2));
        // SAFETY: the event says that there are two, and that its value is one.
        unsafe {
            let second = *e.argv.add(1);
            assert_eq!(seen(second.data, second.len).as_deref(), Some("k"));
            assert_eq!(rets_value_len(e.whole), 1);
            rets_value_free(e.whole.cast_mut());
            assert_eq!(rets_value_type(e.whole), RETS_TYPE_STRING, "an event's value is not freed");
            let bench = Bench::new(Readable::Yes);
            let status = rets_read(bench.r(), 0, null(), 0, 0, e.whole.cast_mut());
            assert_eq!(status, RETS_INVALID);
        }
    });
    change.value = None;
    change.effect = Effect::ZsetAdd { member: b"m", score: None };
    shown(&change, |e| {
        assert!(e.value.is_null() && e.whole.is_null() && e.score.is_nan());
        assert_eq!(seen(e.field, e.field_len).as_deref(), Some("m"));
        assert_eq!(e.r#type, RETS_TYPE_NONE);
    });
    change.effect = Effect::HashSet { field: b"f", value: Some(b"v"), expires_at_ms: Some(8) };
    shown(&change, |e| {
        assert_eq!((e.kind, e.field_expires_at_ms), (RETS_EVENT_HASH_SET, 8));
        assert_eq!(seen(e.value, e.value_len).as_deref(), Some("v"));
    });
    (change.effect, change.db) = (Effect::Flush, None);
    shown(&change, |e| assert_eq!((e.kind, e.db), (RETS_EVENT_FLUSH, -1)));
    (change.effect, change.db) = (Effect::Swap { other: 2 }, Some(1));
    shown(&change, |e| assert_eq!((e.kind, e.db, e.other_db), (RETS_EVENT_SWAP, 1, 2)));
}

#[test]
fn inside_a_callback_lookups_answer_and_what_waits_or_changes_refuses() {
    let bench = Bench::filled();
    let r = bench.r().cast_mut();
    let mut hex = [0; 41];
    let inside = InCallback::enter();
    assert_eq!(bench.get("string", 5).0, RETS_OK);
    let mut info = Box::new([0u64; 200]);
    info[0] = size_of::<rets_info_t>() as u64;
    // SAFETY: all of it is ours and as large as said.
    unsafe {
        assert_eq!(rets_info(r, info.as_mut_ptr().cast()), RETS_OK);
        for (what, status) in [
            ("set_option", rets_set_option(r, c"store".as_ptr(), c"all".as_ptr())),
            ("set_callback", rets_set_callback(r, None, null_mut())),
            ("set_state_callback", rets_set_state_callback(r, None, null_mut())),
            ("set_log", rets_set_log(None, null_mut(), 0)),
            ("start", rets_start(r)),
            ("stop", rets_stop(r, 0)),
            ("wait_ready", rets_wait_ready(r, 0)),
            ("wait_offset", rets_wait_offset(r, null(), 0, 0)),
            ("digest", rets_digest(r, hex.as_mut_ptr(), null_mut(), null_mut())),
        ] {
            assert_eq!(status, RETS_BUSY_CALLBACK, "{what}");
        }
        rets_free(r);
    }
    drop(inside);
    assert_eq!(bench.get("string", 5).0, RETS_OK, "rets_free did nothing");
}

#[test]
fn an_info_of_another_version_is_filled_as_far_as_both_know() {
    let bench = Bench::new(Readable::Yes);
    let ours = size_of::<rets_info_t>();
    let mut place = vec![u64::MAX; 300];
    let mut ask = |size: usize| {
        place.fill(u64::MAX);
        place[0] = size as u64;
        // SAFETY: there is more room than any size that is accepted here.
        let status = unsafe { rets_info(bench.r(), place.as_mut_ptr().cast()) };
        (status, place[ours / 8 - 1], place[ours / 8], place[ours / 8 + 1], place[0])
    };
    let (status, _, behind, _, size) = ask(ours);
    assert_eq!((status, behind, size), (RETS_OK, u64::MAX, ours as u64));
    let (status, last, behind, far, _) = ask(ours + 8);
    assert_eq!((status, last, behind, far), (RETS_OK, 0, 0, u64::MAX));
    // A program of the first version has room for no more than that.
    let first = 864;
    assert_eq!(ask(first).0, RETS_OK);
    assert_eq!(place[first / 8..ours / 8], vec![u64::MAX; (ours - first) / 8]);
    let mut ask = |size: usize| {
        place[0] = size as u64;
        // SAFETY: there is more room than any size that is accepted here.
        (unsafe { rets_info(bench.r(), place.as_mut_ptr().cast()) }, size)
    };
    for nonsense in [0, 8, first - 1, 1 << 20, usize::MAX] {
        assert_eq!(ask(nonsense).0, RETS_INVALID);
    }
}

#[test]
fn the_last_error_says_more_where_there_is_more() {
    let bench = Bench::filled();
    let mut out = null_mut();
    // SAFETY: a string that is no URL.
    assert_eq!(unsafe { rets_new(c"nonsense".as_ptr(), &mut out) }, RETS_INVALID);
    assert!(out.is_null());
    let detailed = last_error();
    assert_ne!(detailed, "an argument can't be used");
    assert_eq!(bench.get("string", 5).0, RETS_OK);
    assert_eq!(last_error(), detailed, "success leaves it alone");
    assert_eq!(bench.get("absent", 5).0, RETS_NOT_FOUND);
    assert_eq!(last_error(), "not found");
}

#[test]
fn every_status_has_a_text_of_its_own_and_any_number_has_one() {
    let text = |status| {
        // SAFETY: it is never NULL and always ends with a NUL.
        unsafe { CStr::from_ptr(rets_strerror(status)) }.to_str().unwrap()
    };
    let all: std::collections::BTreeSet<_> = (-21..=0).map(text).collect();
    assert_eq!(all.len(), 22);
    for none in [1, -22, i32::MIN, i32::MAX] {
        assert_eq!(text(none), "unknown status");
    }
}
