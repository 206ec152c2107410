//! Whether anything costs more where there is more of it: lookups and edits among a thousand keys
//! and among millions, in hashes of as many fields, in values of up to 100 MB, and over thousands
//! of databases.
//!
//! One replica grows from size to size. Main memory, read in a region as large as the data would
//! be, shows which part of a rise is the machine's: what no longer fits into its caches.

use crate::contender::Program;
use crate::feed::Feed;
use crate::lookups::{BYTES_PER_KEY, key, value};
use crate::report::{Report, Samples, short};
use crate::{Options, mixed, progress};
use rets::resp::write_command;
use serde_json::json;

/// The least size, and by how much each of the others is larger.
const LEAST: u64 = 1_000;
const STEP: u64 = 10;

/// The largest value has so many bytes for each key of the largest table, and there is a database
/// for so many of those keys.
const VALUE_BYTES: u64 = 10;
const KEYS_PER_DATABASE: u64 = 1_000;

/// Edits of one turn.
const EDITS: u64 = 100_000;

/// A stream is sent in pieces of about so many bytes.
const PIECE: usize = 4 << 20;

/// A replica and its source.
struct Replica {
    program: Program,
    feed: Feed,
    keys: u64,
    fields: u64,
    serial: u64,
}

impl Replica {
    fn new() -> Self {
        let mut program = None;
        let feed = Feed::to(|port| {
            let url = format!("redis://127.0.0.1:{port}");
            program = Some(Program::start("lookups-rets", &[&url, "link-timeout=86400000"]));
        });
        let mut program = program.expect("it was started");
        assert_eq!(program.hear(), "ready");
        Self { program, feed, keys: 0, fields: 0, serial: 0 }
    }

    fn say_all(&mut self, count: std::ops::Range<u64>, say: impl Fn(&mut Vec<u8>, u64)) {
        let mut piece = Vec::new();
        for number in count {
            say(&mut piece, number);
            if piece.len() >= PIECE {
                self.feed.write(&piece);
                piece.clear();
            }
        }
        self.feed.send(&piece);
    }

    fn grow(&mut self, kind: &str, size: u64) {
        match kind {
            "keys" => {
                self.say_all(self.keys..size, |out, number| set(out, number, 0));
                self.keys = size;
            }
            _ => {
                self.say_all(self.fields..size, |out, number| hset(out, number, 0));
                self.fields = size;
            }
        }
    }

    fn lookup(&mut self, mode: &str, span: u64, options: &Options) -> f64 {
        self.program.ask(&format!("get {mode} {span} 1 {}", options.turn_ms))[0]
    }

    /// Nanoseconds of one of many edits.
    fn edit(&mut self, kind: &str, size: u64) -> f64 {
        let mut stream = Vec::new();
        for _ in 0..EDITS {
            self.serial += 1;
            let number = mixed(self.serial) % size;
            match kind {
                "keys" => set(&mut stream, number, self.serial),
                _ => hset(&mut stream, number, self.serial),
            }
        }
        self.feed.send(&stream).as_nanos() as f64 / EDITS as f64
    }
}

fn set(out: &mut Vec<u8>, number: u64, serial: u64) {
    let (key, value) = (key(number), value(number, serial));
    write_command(out, &[b"SET".as_slice(), &key, &value]);
}

fn hset(out: &mut Vec<u8>, number: u64, serial: u64) {
    let (key, value) = (key(number), value(number, serial));
    write_command(out, &[b"HSET".as_slice(), b"hash", &key, &value]);
}

/// What was found of one thing at growing sizes.
struct Line {
    name: &'static str,
    points: Vec<(u64, Samples)>,
}

impl Line {
    fn new(name: &'static str) -> Self {
        Self { name, points: Vec::new() }
    }

    fn add(&mut self, size: u64, times: usize, mut measure: impl FnMut() -> f64) {
        let mut samples = Samples::default();
        (0..times).for_each(|_| samples.push(measure()));
        self.points.push((size, samples));
    }
}

fn sizes(least: u64, most: u64) -> impl Iterator<Item = u64> {
    std::iter::successors(Some(least), |size| Some(size * STEP))
        .take_while(move |size| *size <= most)
}

/// Runs the part.
pub(crate) fn run(options: &Options) -> Vec<Report> {
    let mut replica = Replica::new();
    let mut memory = Program::start("lookups-memory", &[BYTES_PER_KEY]);
    assert_eq!(memory.hear(), "ready");
    let mut lines = Vec::new();
    let mut main_memory = Line::new("main memory");
    for (kind, most, mode, names) in [
        ("keys", options.scale, "get", ["rets_get", "SET"]),
        ("fields", options.elements, "hget", ["rets_hget in a hash", "HSET in a hash"]),
    ] {
        let [mut lookup, mut edit] = names.map(Line::new);
        for size in sizes(LEAST, most) {
            progress(&format!("scale: {} {kind}", short(size as f64)));
            replica.grow(kind, size);
            lookup.add(size, options.rounds, || replica.lookup(mode, size, options));
            edit.add(size, options.rounds, || replica.edit(kind, size));
            if kind == "keys" {
                let line = format!("get small {size} 1 {}", options.turn_ms);
                main_memory.add(size, options.rounds, || memory.ask(&line)[0]);
            }
        }
        lines.extend([lookup, edit]);
    }
    lines.insert(2, main_memory);
    let mut large = Line::new("rets_get of a value, per byte");
    let mut copy = Line::new("memcpy, per byte");
    for size in sizes(LEAST, options.scale * VALUE_BYTES) {
        progress(&format!("scale: a value of {} bytes", short(size as f64)));
        let content = vec![b'v'; size as usize];
        let mut command = Vec::new();
        write_command(&mut command, &[b"SET", format!("large:{size}").as_bytes(), &content]);
        replica.feed.send(&command);
        large.add(size, options.rounds, || replica.lookup("large", size, options) / size as f64);
        let line = format!("get copy {size} 1 {}", options.turn_ms);
        copy.add(size, options.rounds, || memory.ask(&line)[0] / size as f64);
    }
    lines.extend([large, copy]);
    let mut databases = Line::new("rets_get over databases");
    for size in sizes(1, options.scale / KEYS_PER_DATABASE) {
        replica.say_all(0..size, |out, number| {
            write_command(out, &[b"SELECT".as_slice(), number.to_string().as_bytes()]);
            set(out, 0, 0);
        });
        databases.add(size, options.rounds, || replica.lookup("databases", size, options));
    }
    lines.push(databases);
    vec![report(&lines)]
}

fn report(lines: &[Line]) -> Report {
    let head = ["what", "of", "ns", "to the least"];
    let mut report = Report {
        title: "What it costs against how much there is".to_owned(),
        columns: head.map(String::from).to_vec(),
        notes: [
            "Of so many keys, fields, bytes or databases. SET and HSET: attached, one of many in",
            "a stream. main memory: a dependent read in a region of as many keys. Median",
            "(least-most).",
        ]
        .map(String::from)
        .to_vec(),
        ..Report::default()
    };
    for line in lines {
        let least = line.points.first().map_or(f64::NAN, |(_, samples)| samples.median());
        for (size, samples) in &line.points {
            report.rows.push(vec![
                line.name.to_owned(),
                short(*size as f64),
                samples.spread(1.0),
                short(samples.median() / least),
            ]);
            report.figures.push(json!({ "what": line.name, "size": size, "ns": samples.json() }));
        }
    }
    report
}
