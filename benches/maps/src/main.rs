//! Lookups in the maps that a Rust program would take: a contender as benches/lookups/contender.h
//! describes it, with the same keys, random order, clock, and words.
//!
//!     rets-bench-maps MAP KEYS
//!
//! All maps are from any bytes to any bytes, as rets is: key and value are blocks of their own. All
//! have the same quick hash function, seeded at random; one is there with its own as well.

mod maps;

use maps::{Map, Numbers};
use std::io::{BufRead, Write};
use std::sync::Barrier;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

pub(crate) type Key = [u8; 16];
pub(crate) type Value = [u8; 32];

/// Keys between two readings of the clock.
const CHUNK: u64 = 1024;

/// Single lookups between two looks at whether the core was taken away, and how many in all.
const TAIL_CHUNK: usize = 256;
const TAIL_MAX: usize = 1 << 22;

const STEP: u64 = 0x9e37_79b9_7f4a_7c15;

pub(crate) fn mixed(number: u64) -> u64 {
    let mut mixed = number.wrapping_add(STEP);
    mixed = (mixed ^ mixed >> 30).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    mixed = (mixed ^ mixed >> 27).wrapping_mul(0x94d0_49bb_1331_11eb);
    mixed ^ mixed >> 31
}

pub(crate) fn key_of(number: u64) -> Key {
    let mut key = [0; 16];
    key[..8].copy_from_slice(&mixed(number).to_ne_bytes());
    key[8..].copy_from_slice(&number.to_ne_bytes());
    key
}

/// A value begins with its key.
pub(crate) fn value_of(number: u64, serial: u64) -> Value {
    let mut value = [0; 32];
    value[..16].copy_from_slice(&key_of(number));
    value[16..24].copy_from_slice(&serial.to_ne_bytes());
    value
}

/// A random order of numbers below `span`.
pub(crate) struct Random {
    pub(crate) state: u64,
    pub(crate) span: u64,
}

impl Random {
    pub(crate) fn next(&mut self) -> u64 {
        self.state = self.state.wrapping_add(STEP);
        ((mixed(self.state) >> 32) * self.span) >> 32
    }
}

/// How often the system took the core away from this thread.
fn taken_away() -> i64 {
    // SAFETY: all zeros are a valid rusage, and getrusage writes no more than one.
    unsafe {
        let mut usage: libc::rusage = std::mem::zeroed();
        libc::getrusage(libc::RUSAGE_THREAD, &mut usage);
        usage.ru_nivcsw
    }
}

/// What one thread found: nanoseconds and keys, those that count and all.
#[derive(Default)]
struct Found {
    ns: u64,
    keys: u64,
    all_ns: u64,
    all_keys: u64,
}

fn get_for<M: Map>(map: &M, mut random: Random, until: Instant) -> Found {
    let mut found = Found::default();
    let mut ended = Instant::now();
    while ended < until {
        let taken = taken_away();
        let began = Instant::now();
        let right = map.get_all(&mut Numbers { random: &mut random, left: CHUNK });
        ended = Instant::now();
        assert!(right, "a value was not that of its key");
        let ns = (ended - began).as_nanos() as u64;
        found.all_ns += ns;
        found.all_keys += CHUNK;
        if taken_away() == taken {
            found.ns += ns;
            found.keys += CHUNK;
        }
    }
    found
}

fn get<M: Map>(map: &M, span: u64, threads: u64, time: Duration, seed: u64) -> String {
    let start = Barrier::new(threads as usize);
    let ask = |seed: u64| {
        start.wait();
        get_for(map, Random { state: mixed(seed), span }, Instant::now() + time)
    };
    let mut sum = Found::default();
    std::thread::scope(|scope| {
        let ask = &ask;
        let start = |n| scope.spawn(move || ask(seed + n));
        let running: Vec<_> = (0..threads).map(start).collect();
        for thread in running {
            let found = thread.join().expect("a thread that asks");
            sum.ns += found.ns;
            sum.keys += found.keys;
            sum.all_ns += found.all_ns;
            sum.all_keys += found.all_keys;
        }
    });
    if sum.keys == 0 {
        return format!("{:.2} 0", sum.all_ns as f64 / sum.all_keys as f64);
    }
    let share = sum.keys as f64 / sum.all_keys as f64;
    format!("{:.2} {share:.3}", sum.ns as f64 / sum.keys as f64)
}

fn tail<M: Map>(map: &M, span: u64, time: Duration, seed: u64) -> String {
    let mut random = Random { state: mixed(seed), span };
    let mut samples = Vec::<u32>::with_capacity(TAIL_MAX);
    let (mut all, until) = (0, Instant::now() + time);
    let mut ended = Instant::now();
    while ended < until && samples.len() + TAIL_CHUNK <= TAIL_MAX {
        let (taken, before) = (taken_away(), samples.len());
        for _ in 0..TAIL_CHUNK {
            let mut one = Numbers { random: &mut random, left: 1 };
            let began = Instant::now();
            let right = map.get_all(&mut one);
            ended = Instant::now();
            assert!(right, "a value was not that of its key");
            samples.push((ended - began).as_nanos() as u32);
        }
        all += TAIL_CHUNK;
        if taken_away() != taken {
            samples.truncate(before);
        }
    }
    if samples.is_empty() {
        return "nan nan nan nan 0".to_owned();
    }
    samples.sort_unstable();
    let last = samples.len() - 1;
    let at = |share: f64| samples[(last as f64 * share) as usize];
    let share = samples.len() as f64 / all as f64;
    format!("{} {} {} {} {share:.3}", at(0.5), at(0.99), at(0.999), samples[last])
}

/// Writes to random keys until it is told to stop; how many a second.
fn write<M: Map>(map: &M, span: u64, goes_on: &AtomicBool) -> f64 {
    let mut random = Random { state: 1, span };
    let (mut written, began) = (0_u64, Instant::now());
    while goes_on.load(Ordering::Relaxed) {
        let number = random.next();
        map.put(number, value_of(number, written));
        written += 1;
    }
    written as f64 / began.elapsed().as_secs_f64()
}

fn contend<M: Map>(map: &M, keys: u64) {
    // In the order of a snapshot, which is none: else what is looked up often would lie together.
    let mut numbers: Vec<u64> = (0..keys).collect();
    numbers.sort_by_key(|number| mixed(!number));
    numbers.into_iter().for_each(|number| map.put(number, value_of(number, 0)));
    say("ready");
    let goes_on = AtomicBool::new(false);
    std::thread::scope(|scope| {
        let mut writer = None;
        let mut seed = 0;
        for line in std::io::stdin().lock().lines() {
            let line = line.expect("words");
            let words: Vec<&str> = line.split_whitespace().collect();
            let number = |at: usize| words[at].parse::<u64>().expect("a number");
            match words[0] {
                "get" => {
                    let time = Duration::from_millis(number(4));
                    say(&get(map, number(2), number(3), time, seed));
                    seed += number(3);
                }
                "tail" => {
                    seed += 1;
                    say(&tail(map, number(2), Duration::from_millis(number(3)), seed));
                }
                "write" if words[1] == "1" => {
                    goes_on.store(true, Ordering::Relaxed);
                    writer = Some(scope.spawn(|| write(map, keys, &goes_on)));
                    say("on");
                }
                "write" => {
                    goes_on.store(false, Ordering::Relaxed);
                    let writer = writer.take().expect("a writer");
                    say(&format!("{:.0}", writer.join().expect("it wrote")));
                }
                other => panic!("not understood: {other}"),
            }
        }
    });
}

fn say(line: &str) {
    println!("{line}");
    std::io::stdout().flush().expect("somebody listens");
}

fn main() {
    let words: Vec<String> = std::env::args().skip(1).collect();
    let [name, keys] = words.as_slice() else { panic!("usage: rets-bench-maps MAP KEYS") };
    let keys = keys.parse().expect("a number of keys");
    match name.as_str() {
        "dashmap" => contend(&maps::QuickDash::default(), keys),
        "dashmap, as it comes" => contend(&maps::StockDash::default(), keys),
        "papaya" => contend(&maps::Papaya::default(), keys),
        "scc" => contend(&maps::Scc::default(), keys),
        "sharded" => contend(&maps::Sharded::default(), keys),
        "hashbrown" => contend(&maps::Plain::default(), keys),
        other => panic!("no such map: {other}"),
    }
}
