//! What is counted: lookups through the C ABI of a whole engine, and what the apply thread does
//! with commands and snapshots, in an engine that is stepped over bytes in memory.

use crate::feed::Feed;
use crate::only_this_is_counted;
use crate::pipe::Pipe;
use rets::ffi::*;
use rets::link::Step;
use rets::replica::{Replica, Tasks};
use rets::resp::write_command;
use std::ffi::CString;
use std::ptr::{null_mut, without_provenance_mut};
use std::sync::Arc;

/// How often each case is done, and then twice as often: of snapshots, no more than the link reads
/// ahead of the load.
const TIMES: u64 = 2_000;
const AGGREGATES: u64 = 1_000;

/// In the order in which they are run, and how often.
pub(crate) const CASES: &[(&str, u64)] = &[
    ("rets_get, found", TIMES),
    ("rets_get, not found", TIMES),
    ("rets_get, too small", TIMES),
    ("rets_get_if_changed, unchanged", TIMES),
    ("rets_get_many, 16, per key", TIMES),
    ("rets_hget, 10,000 fields", TIMES),
    ("SET, a key that is there", TIMES),
    ("SET, a new key", TIMES),
    ("HSET, a value among 5", TIMES),
    ("HSET, a value among 10,000", TIMES),
    ("INCR", TIMES),
    ("ZADD, a score among 10", TIMES),
    ("LPUSH, on 10", TIMES),
    ("a string of a snapshot", TIMES),
    ("a hash of 5 of a snapshot", AGGREGATES),
    ("a set of 10 integers of a snapshot", AGGREGATES),
    ("a set of 10 strings of a snapshot", AGGREGATES),
    ("a zset of 10 of a snapshot", AGGREGATES),
    ("a list of 10 of a snapshot", AGGREGATES),
];

/// Strings, hashes and so on that are there.
const KEYS: u64 = 10_000;

/// Elements of an aggregate that is small.
const FEW: u64 = 10;

/// Keys that one call asks for.
const MANY: u64 = 16;

/// Does all cases.
pub(crate) fn run() {
    lookups(TIMES);
    stream(TIMES);
    for (at, of) in SNAPSHOTS.into_iter().enumerate() {
        let times = if at == 0 { TIMES } else { AGGREGATES };
        for count in [times, 2 * times] {
            let mut engine = Engine::new(&snapshot(count, of));
            engine.read();
            engine.counted();
        }
    }
}

fn name(kind: &str, number: u64) -> Vec<u8> {
    // As many bytes for every number, and not in their order.
    format!("{kind}:{:08}", number.wrapping_mul(7919) % 100_000_000).into_bytes()
}

fn value(number: u64) -> Vec<u8> {
    format!("{number:032}").into_bytes()
}

fn say(out: &mut Vec<u8>, words: &[&[u8]]) {
    write_command(out, words);
}

/// The stream that makes what all cases find.
fn filling() -> Vec<u8> {
    let mut out = Vec::new();
    for n in 0..KEYS {
        say(&mut out, &[b"SET", &name("string", n), &value(n)]);
        say(&mut out, &[b"SET", &name("number", n), b"100000"]);
        say(&mut out, &[b"HSET", b"large", &name("field", n), &value(n)]);
        let texts = (0..FEW).map(|e| [name("field", e), name("member", e), name("element", e)]);
        let texts: Vec<_> = texts.collect();
        let (mut hash, mut zset, mut list) = (Vec::new(), Vec::new(), Vec::new());
        for (at, [field, member, element]) in texts.iter().enumerate() {
            if at < texts.len() / 2 {
                hash.extend([field.as_slice(), b"content"]);
            }
            zset.extend([b"5".as_slice(), member]);
            list.push(element.as_slice());
        }
        for (command, kind, rest) in
            [("HSET", "hash", hash), ("ZADD", "zset", zset), ("RPUSH", "list", list)]
        {
            let key = name(kind, n);
            let words: Vec<&[u8]> = [command.as_bytes(), &key].into_iter().chain(rest).collect();
            say(&mut out, &words);
        }
    }
    out
}

/// The type of a value as a snapshot tells it, and the value with its length in front.
type Value = fn(u64) -> (u8, Vec<u8>);

/// As Redis 7.2 has them; a set of strings as it comes, and fields in no order.
const SNAPSHOTS: [Value; 6] = [
    |n| (0, with_length(&value(n))),
    |n| {
        let names = ["surname", "country", "age", "email", "visits"];
        let fields = (0..).zip(names).flat_map(|(f, name)| [name.into(), name_of(n * 5 + f, 9)]);
        (16, with_length(&listpack(fields)))
    },
    |n| {
        let mut numbers: Vec<u32> = (0..FEW).map(|e| number(n * FEW + e)).collect();
        numbers.sort_unstable();
        let head = [4, numbers.len() as u32].into_iter();
        (11, with_length(&head.chain(numbers).flat_map(u32::to_le_bytes).collect::<Vec<u8>>()))
    },
    |n| (20, with_length(&listpack((0..FEW).map(|e| name_of(n * FEW + e, 8))))),
    |n| {
        let mut scores: Vec<u32> = (0..FEW).map(|e| number(n * FEW + e)).collect();
        scores.sort_unstable();
        let members = (0..).zip(scores);
        let pairs =
            members.flat_map(|(e, score)| [name_of(n * FEW + e, 8), score.to_le_bytes().into()]);
        (17, with_length(&listpack(pairs)))
    },
    |n| {
        let list = listpack((0..FEW).map(|e| name_of(n * FEW + e, 8)));
        (18, [vec![1, 2], with_length(&list)].concat())
    },
];

/// A number of up to six digits, in no order.
fn number(n: u64) -> u32 {
    (n.wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 32) as u32 % 1_000_000
}

/// So many letters, in no order.
fn name_of(n: u64, len: usize) -> Vec<u8> {
    let letters = (0..len as u64).map(|at| n.wrapping_mul(0x9e37_79b9_7f4a_7c15) >> (4 * at + 20));
    letters.map(|letter| b'a' + (letter % 16) as u8).collect()
}

fn with_length(bytes: &[u8]) -> Vec<u8> {
    let len = bytes.len() as u16;
    let head = if len < 64 { vec![len as u8] } else { (len | 0x4000).to_be_bytes().to_vec() };
    [head, bytes.to_vec()].concat()
}

/// Of short strings; four bytes are a number.
fn listpack(elements: impl Iterator<Item = Vec<u8>>) -> Vec<u8> {
    let (mut body, mut count) = (Vec::new(), 0_u16);
    for element in elements {
        count += 1;
        body.push(if element.len() == 4 { 0xf3 } else { 0x80 | element.len() as u8 });
        body.extend_from_slice(&element);
        body.push(element.len() as u8 + 1);
    }
    body.push(0xff);
    [&(body.len() as u32 + 6).to_le_bytes(), &count.to_le_bytes()[..], &body].concat()
}

/// A snapshot of so many keys, announced as all servers since Redis 3.2 do.
fn snapshot(count: u64, of: Value) -> Vec<u8> {
    let mut out = b"REDIS0011\xfe\0\xfb\x80".to_vec();
    out.extend_from_slice(&(count as u32).to_be_bytes());
    out.push(0);
    for n in 0..count {
        let (kind, value) = of(n);
        out.push(kind);
        out.extend_from_slice(&with_length(&name("string", n)));
        out.extend_from_slice(&value);
    }
    out.extend_from_slice(b"\xff\0\0\0\0\0\0\0\0");
    out
}

// --- lookups -------------------------------------------------------------------------------------

/// A handle, as a C program has it.
struct Handle(*mut rets_t);

impl Handle {
    fn new(port: u16) -> Self {
        let url = CString::new(format!("redis://127.0.0.1:{port}")).expect("no NUL");
        let mut handle = null_mut();
        // SAFETY: a text with its NUL, and a place for the handle.
        assert_eq!(unsafe { rets_new(url.as_ptr(), &mut handle) }, rets_status::RETS_OK);
        // SAFETY: texts with their NULs, and the handle that was just made.
        let st = unsafe { rets_set_option(handle, c"link-timeout".as_ptr(), c"86400000".as_ptr()) };
        assert_eq!(st, rets_status::RETS_OK);
        // SAFETY: as above.
        assert_eq!(unsafe { rets_start(handle) }, rets_status::RETS_OK);
        Self(handle)
    }

    fn get(&self, key: &[u8], buf: &mut [u8]) -> rets_status {
        let mut len = 0;
        let (key_at, buf_at) = (key.as_ptr().cast(), buf.as_mut_ptr().cast());
        // SAFETY: the handle lives; key and buffer are as long as is said.
        unsafe { rets_get(self.0, 0, key_at, key.len(), buf_at, buf.len(), &mut len) }
    }

    fn get_if_changed(&self, key: &[u8], version: &mut u64) -> rets_status {
        let (mut len, mut buf) = (0, [0_u8; 32]);
        let (key_at, buf_at) = (key.as_ptr().cast(), buf.as_mut_ptr().cast());
        // SAFETY: as above; the version is the caller's.
        unsafe {
            rets_get_if_changed(self.0, 0, key_at, key.len(), version, buf_at, buf.len(), &mut len)
        }
    }

    fn hget(&self, key: &[u8], field: &[u8], buf: &mut [u8]) -> rets_status {
        let mut len = 0;
        let (key_at, buf_at) = (key.as_ptr().cast(), buf.as_mut_ptr().cast());
        let (field_at, field_len) = (field.as_ptr().cast(), field.len());
        // SAFETY: as above.
        unsafe {
            let (len, room) = (&mut len, buf.len());
            rets_hget(self.0, 0, key_at, key.len(), field_at, field_len, buf_at, room, len)
        }
    }
}

impl Drop for Handle {
    fn drop(&mut self) {
        // SAFETY: it was made by rets_new, and this is the last that is done with it.
        unsafe { rets_free(self.0) }
    }
}

fn twice(times: u64, keys: &[Vec<u8>], mut look: impl FnMut(usize, &[u8])) {
    for count in [times, 2 * times] {
        let keys = &keys[..count as usize];
        only_this_is_counted(&mut || keys.iter().enumerate().for_each(|(n, key)| look(n, key)));
    }
}

fn lookups(times: u64) {
    let mut handle = None;
    let mut feed = Feed::to(|port| handle = Some(Handle::new(port)));
    let handle = handle.expect("it was made");
    feed.send(&filling());
    let mut buf = [0; 32];
    let there: Vec<_> = (0..2 * times).map(|n| name("string", n % KEYS)).collect();
    let missing: Vec<_> = (0..2 * times).map(|n| name("nobody", n)).collect();
    let fields: Vec<_> = (0..2 * times).map(|n| name("field", n % KEYS)).collect();
    let is = |status: rets_status, wanted: rets_status| assert_eq!(status, wanted);
    twice(times, &there, |_, key| is(handle.get(key, &mut buf), rets_status::RETS_OK));
    let none = rets_status::RETS_NOT_FOUND;
    twice(times, &missing, |_, key| is(handle.get(key, &mut buf), none));
    let small = rets_status::RETS_TOO_SMALL;
    twice(times, &there, |_, key| is(handle.get(key, &mut buf[..31]), small));
    let mut versions = vec![0; there.len()];
    for (key, version) in there.iter().zip(&mut versions) {
        is(handle.get_if_changed(key, version), rets_status::RETS_OK);
    }
    let same = rets_status::RETS_UNCHANGED;
    twice(times, &there, |n, key| is(handle.get_if_changed(key, &mut versions[n]), same));
    for count in [times, 2 * times] {
        let keys = &there[..count as usize];
        only_this_is_counted(&mut || {
            keys.chunks(MANY as usize).for_each(|keys| get_many(&handle, keys))
        });
    }
    let found = rets_status::RETS_OK;
    twice(times, &fields, |_, field| is(handle.hget(b"large", field, &mut buf), found));
}

fn get_many(handle: &Handle, keys: &[Vec<u8>]) {
    let mut bufs = [[0_u8; 32]; MANY as usize];
    let mut items = bufs.each_mut().map(|buf| rets_item {
        key: without_provenance_mut::<u8>(0).cast(),
        key_len: 0,
        buf: buf.as_mut_ptr().cast(),
        buf_len: buf.len(),
        len: 0,
        db: 0,
        status: rets_status::RETS_OK,
    });
    for (item, key) in items.iter_mut().zip(keys) {
        (item.key, item.key_len) = (key.as_ptr().cast(), key.len());
    }
    // SAFETY: the handle lives, and so do the keys and buffers of as many items as there are keys.
    let status = unsafe { rets_get_many(handle.0, items.as_mut_ptr(), keys.len(), null_mut()) };
    assert_eq!(status, rets_status::RETS_OK);
    assert!(items[..keys.len()].iter().all(|item| item.status == rets_status::RETS_OK));
}

// --- what the apply thread does ------------------------------------------------------------------

/// An engine without threads.
struct Engine {
    pipe: Pipe,
    replica: Replica,
    tasks: Tasks,
}

impl Engine {
    fn new(snapshot: &[u8]) -> Self {
        let pipe = Pipe::new(snapshot.to_vec());
        let replica = Replica::with_env("redis://primary", Arc::new(pipe.clone())).expect("a URL");
        let tasks = replica.start_stepped().expect("tasks");
        Self { pipe, replica, tasks }
    }

    /// The link reads everything there is.
    fn read(&mut self) {
        let mut idle = 0;
        while idle < 2 || !self.pipe.is_empty() {
            idle = if matches!(self.tasks.link.step(), Step::Again) { 0 } else { idle + 1 };
            if idle == 10 {
                // A replica of this process has silenced panics.
                println!("the link does not go on: {:?}", self.replica.info());
                std::process::exit(1);
            }
        }
    }

    /// The apply task deals with what was read; only that is counted.
    fn counted(&mut self) {
        only_this_is_counted(&mut || while self.tasks.apply.step() {});
    }

    fn take(&mut self, stream: &[u8]) {
        self.pipe.say(stream);
        self.read();
        while self.tasks.apply.step() {
            self.read();
        }
    }
}

/// What the command of each case is.
type Edit = fn(&mut Vec<u8>, u64);

const EDITS: [Edit; 7] = [
    |out, n| say(out, &[b"SET", &name("string", n % KEYS), &value(n + 1)]),
    |out, n| say(out, &[b"SET", &name("new", n), &value(n)]),
    |out, n| say(out, &[b"HSET", &name("hash", n % KEYS), &name("field", 3), &value(n + 1)]),
    |out, n| say(out, &[b"HSET", b"large", &name("field", n % KEYS), &value(n + 1)]),
    |out, n| say(out, &[b"INCR", &name("number", n % KEYS)]),
    |out, n| say(out, &[b"ZADD", &name("zset", n % KEYS), b"7.5", &name("member", 3)]),
    |out, n| say(out, &[b"LPUSH", &name("list", n % KEYS), &name("element", n)]),
];

fn stream(times: u64) {
    let mut engine = Engine::new(&snapshot(1, SNAPSHOTS[0]));
    engine.take(b"");
    engine.take(&filling());
    let mut serial = 0;
    for edit in EDITS {
        for count in [times, 2 * times] {
            let mut stream = Vec::new();
            (serial..serial + count).for_each(|n| edit(&mut stream, n));
            serial += count;
            engine.pipe.say(&stream);
            engine.read();
            engine.counted();
        }
    }
}
