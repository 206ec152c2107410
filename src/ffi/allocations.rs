//! That lookups of one thing allocate nothing, counted by an allocator of the unit tests' own.

use super::rets_status::*;
use super::tests::{Bench, bytes, p};
use super::*;
use crate::value::{Array, Field, Hash, List, Set, Value, Zset};
use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;
use std::ptr::null_mut;

struct Counting;

thread_local! {
    static ALLOCATIONS: Cell<u64> = const { Cell::new(0) };
}

// SAFETY: the system's allocator does all of it; a counter without a destructor is all there is
// besides.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        ALLOCATIONS.set(ALLOCATIONS.get() + 1);
        // SAFETY: this function's own conditions.
        unsafe { System.alloc(layout) }
    }

    unsafe fn realloc(&self, place: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        ALLOCATIONS.set(ALLOCATIONS.get() + 1);
        // SAFETY: this function's own conditions.
        unsafe { System.realloc(place, layout, size) }
    }

    unsafe fn dealloc(&self, place: *mut u8, layout: Layout) {
        // SAFETY: this function's own conditions.
        unsafe { System.dealloc(place, layout) }
    }
}

#[global_allocator]
static COUNTING: Counting = Counting;

/// What a call answers, and how often it allocated.
fn counted(call: impl FnOnce() -> rets_status) -> (rets_status, u64) {
    let before = ALLOCATIONS.get();
    let status = call();
    (status, ALLOCATIONS.get() - before)
}

/// Values of one block and of several levels of blocks.
fn fill(bench: &mut Bench, name: &str, count: usize, size: usize) {
    let element = |n: usize| bytes(&format!("{n:0size$}"));
    let elements = || (0..count).map(element);
    let field = |expires_at_ms| Field { value: b"v", expires_at_ms };
    let hash: Hash = elements().map(|name| (name, field(Some(9_000)))).collect();
    let zset: Zset = elements().map(|name| (name, 1.0)).collect();
    for (kind, value) in [
        ("string", Value::string(&vec![b'x'; count])),
        ("list", Value::List(elements().collect::<List>())),
        ("set", Value::Set(elements().collect::<Set>())),
        ("zset", Value::Zset(zset)),
        ("hash", Value::Hash(hash)),
        ("array", Value::Array((0..count as u64).map(|n| (n, "v")).collect::<Array>())),
    ] {
        bench.put(&format!("{name}-{kind}"), Some(value), Some(9_999), None);
    }
}

#[test]
fn a_lookup_of_one_thing_allocates_nothing() {
    let mut bench = Bench::filled();
    let sizes = [("small", 3, 5), ("scanned", 60, 100), ("large", 5_000, 12)];
    for (name, count, size) in sizes {
        fill(&mut bench, name, count, size);
    }
    let r = bench.r();
    let (mut len, mut at, mut score) = (0, 0, 0.0);
    let mut kind = rets_type_id::RETS_TYPE_NONE;
    let mut buf = vec![0u8; 64 * 1024];
    let (to, room) = (buf.as_mut_ptr().cast(), buf.len());
    let none = null_mut();
    // A thread that reads for the first time may have to be given a seat.
    // SAFETY: a key as long as said.
    assert_eq!(unsafe { rets_exists(r, 0, p("absent"), 6) }, RETS_NOT_FOUND);
    for (name, count, size) in sizes {
        let key = |kind: &str| format!("{name}-{kind}");
        let keys = ["string", "list", "set", "zset", "hash", "absent"].map(key);
        let [string, list, set, zset, hash, absent] = &keys;
        let long = |key: &str| key.len();
        for there in [true, false] {
            let wanted = if there { RETS_OK } else { RETS_NOT_FOUND };
            let n = if there { count * 2 / 3 } else { count };
            let one = format!("{n:0size$}");
            let (e, e_len) = (p(&one), one.len());
            let string = if there { string } else { absent };
            let mut calls = Vec::with_capacity(16);
            // SAFETY: all of it is ours and as large as said.
            unsafe {
                let (k, k_len) = (p(string), long(string));
                calls.push(counted(|| rets_get(r, 0, k, k_len, to, room, &mut len)));
                let mut version = 0;
                calls.push(counted(|| {
                    rets_get_if_changed(r, 0, k, k_len, &mut version, to, room, &mut len)
                }));
                calls.push(counted(|| rets_exists(r, 0, k, k_len)));
                calls.push(counted(|| rets_type(r, 0, k, k_len, &mut kind)));
                calls.push(counted(|| rets_expires_at(r, 0, k, k_len, &mut at)));
                calls.push(counted(|| rets_len(r, 0, k, k_len, &mut len)));
                let (k, k_len) = (p(hash), long(hash));
                calls.push(counted(|| rets_hget(r, 0, k, k_len, e, e_len, to, room, &mut len)));
                calls.push(counted(|| rets_hexpires_at(r, 0, k, k_len, e, e_len, &mut at)));
                let (k, k_len) = (p(list), long(list));
                calls.push(counted(|| rets_lindex(r, 0, k, k_len, n as i64, to, room, &mut len)));
                let (k, k_len) = (p(set), long(set));
                calls.push(counted(|| rets_sismember(r, 0, k, k_len, e, e_len)));
                let (k, k_len) = (p(zset), long(zset));
                calls.push(counted(|| rets_zscore(r, 0, k, k_len, e, e_len, &mut score)));
                let other = counted(|| rets_hget(r, 0, k, k_len, e, e_len, none, 0, &mut len));
                assert_eq!(other, (RETS_WRONG_TYPE, 0));
            }
            assert_eq!(calls, vec![(wanted, 0); 11], "{name}");
        }
    }
}
