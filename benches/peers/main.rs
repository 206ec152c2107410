//! Shows what rets costs beside its peers, all in one run on one machine: `make bench`.
//!
//! A part is a table of its own: `make bench PART=edits,memory`. Contenders take turns, so that
//! what else the machine does falls on all of them; figures are medians with the least and the
//! most, and what counts is their ratio. Nothing here can fail for being slow, and no test depends
//! on it.

#![allow(clippy::expect_used, clippy::print_stdout, clippy::unwrap_used)]

mod contender;
mod edits;
mod feed;
mod footprint;
mod latency;
mod lookups;
mod machine;
mod memory;
mod report;
mod scale;
mod snapshot;
mod stream;
mod sync;

#[path = "../../tests/support/mod.rs"]
mod support;

use report::Report;
use support::{Server, Which, target_dir};

/// The name of a part, and what runs it.
type Part = (&'static str, fn(&Options) -> Vec<Report>);

/// In the order in which they run.
const PARTS: [Part; 8] = [
    ("lookups", lookups::run),
    ("sync", sync::run),
    ("stream", stream::run),
    ("latency", latency::run),
    ("scale", scale::run),
    ("edits", edits::run),
    ("memory", memory::run),
    ("footprint", footprint::run),
];

/// What whoever runs it may ask for; the Makefile says how.
struct Options {
    /// How often each contender has its turn where time is measured.
    rounds: usize,
    /// Keys in a dataset whose memory is measured.
    keys: u64,
    /// Elements of a large aggregate.
    elements: u64,
    /// How long a turn takes whose length is free, in milliseconds.
    turn_ms: u64,
    /// Whether there are others than rets and the machine itself: not so in a mere trial.
    peers: bool,
    /// Keys of the largest table.
    scale: u64,
    /// Commands of a recorded stream.
    commands: u64,
    servers: Vec<Which>,
}

impl Options {
    /// The servers that are raced where time is measured: the oldest of all tells nothing new.
    fn replicas(&self) -> Vec<Which> {
        let newer = |which: &Which| *which != Which::Redis62 || self.servers.len() == 1;
        self.servers.iter().copied().filter(newer).collect()
    }
}

fn main() {
    let options = Options {
        rounds: number("RETS_ROUNDS", 5).max(1) as usize,
        keys: number("RETS_KEYS", 1_000_000),
        elements: number("RETS_ELEMENTS", 1_000_000),
        scale: number("RETS_SCALE", 10_000_000),
        commands: number("RETS_COMMANDS", 5_000_000),
        turn_ms: number("RETS_TURN_MS", 200).max(1),
        peers: std::env::var("RETS_PEERS").unwrap_or_default() != "none",
        servers: Which::chosen(),
    };
    let wanted = std::env::var("RETS_PART").unwrap_or_default();
    let wanted: Vec<&str> = wanted.split(',').map(str::trim).filter(|p| !p.is_empty()).collect();
    let known = PARTS.map(|(name, _)| name);
    for name in &wanted {
        assert!(known.contains(name), "there is no part {name:?}; there are {known:?}");
    }
    let (mut results, mut reports) = (serde_json::Map::new(), Vec::new());
    results.insert("machine".into(), machine::description());
    results.insert("peers".into(), machine::peers(&options));
    for (name, run) in PARTS {
        if wanted.is_empty() || wanted.contains(&name) {
            let tables = run(&options);
            tables.iter().for_each(|table| println!("\n{table}"));
            results.insert(name.into(), tables.iter().map(Report::json).collect());
            reports.extend(tables);
        }
    }
    let goals = report::goals(&reports);
    println!("\n{goals}");
    results.insert("goals".into(), goals.json());
    if !options.peers {
        println!("this was a trial: it says nothing, and nothing is written");
        return;
    }
    let folder = target_dir().join("bench");
    std::fs::create_dir_all(&folder).expect("a folder for the results");
    let file = folder.join("results.json");
    let text = serde_json::to_string_pretty(&results).expect("numbers and texts");
    std::fs::write(&file, text + "\n").expect("the results can be written");
    println!("written to {}", file.display());
}

fn number(name: &str, default: u64) -> u64 {
    let text = std::env::var(name).unwrap_or_default();
    if text.is_empty() {
        return default;
    }
    text.parse().unwrap_or_else(|_| panic!("{name} is a number, not {text:?}"))
}

/// Numbers that look random and never repeat: a bijection.
fn mixed(number: u64) -> u64 {
    let mut mixed = number.wrapping_add(0x9e37_79b9_7f4a_7c15);
    mixed = (mixed ^ mixed >> 30).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    mixed = (mixed ^ mixed >> 27).wrapping_mul(0x94d0_49bb_1331_11eb);
    mixed ^ mixed >> 31
}

/// Says how far it is, on a line that stays.
fn progress(text: &str) {
    println!("  {text}");
}

fn name_of(server: &Server) -> String {
    let (major, minor, _) = server.version();
    format!("redis {major}.{minor}")
}
