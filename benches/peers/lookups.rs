//! What a lookup costs: the same keys, asked for in the same random order, in rets through its C
//! ABI, and in everything else that a program might ask instead.
//!
//! rets follows a source that is never slow (`feed.rs`), which is also its writer: the stream comes
//! as fast as it is applied. Maps, ets and LMDB are written to by a thread of their program, a
//! server by a client that sends many commands at once. A dependent read of main memory, in a
//! region as large as the data, is what the machine allows.

use crate::contender::{Background, Program};
use crate::feed::Feed;
use crate::report::{Goal, Report, Samples, short};
use crate::support::client::Client;
use crate::support::{Server, Which};
use crate::{Options, mixed, progress, snapshot};
use rets::resp::write_command;
use serde_json::json;
use std::sync::Arc;

/// Keys that are asked for where all of them fit into caches.
const HOT: u64 = 10_000;

/// Commands that are on their way to a server before the answers are read.
const PIPELINED: u64 = 100;

/// Fields that one command brings.
const FIELDS_AT_ONCE: u64 = 100;

/// Commands of a recorded stream, which is sent over and over.
const RECORDED: u64 = 1 << 17;

/// What the writer sends at once.
const PIECE: usize = 64 << 10;

/// Bytes that a key with its value takes in memory, more or less: what the region of the machine's
/// own contender has for each.
pub(crate) const BYTES_PER_KEY: &str = "96";

/// How it is asked.
#[derive(Clone, Copy, PartialEq)]
struct Case {
    name: &'static str,
    hot: bool,
    threads: u32,
    writer: bool,
}

const CASES: [Case; 5] = [
    Case { name: "cold", hot: false, threads: 1, writer: false },
    Case { name: "cold, 2 threads", hot: false, threads: 2, writer: false },
    Case { name: "cold, writer", hot: false, threads: 1, writer: true },
    Case { name: "hot", hot: true, threads: 1, writer: false },
    Case { name: "hot, writer", hot: true, threads: 1, writer: true },
];

/// What a Rust program has that takes the map as it is.
const STOCK: &str = "dashmap, as it comes";

const COLD: usize = 0;
const COLD_TWO: usize = 1;
const COLD_WRITER: usize = 2;
const HOT_ONE: usize = 3;

/// Who writes while others read.
enum Writer {
    /// Nobody can.
    None,
    /// A thread of the program.
    Own,
    Feed(Box<Background<Link>>),
    Client(Background<Connection>),
}

/// A replica's link, and a recorded stream of writes.
struct Link {
    feed: Feed,
    recorded: Vec<u8>,
    /// Where each piece ends, and how many commands it has.
    pieces: Vec<(usize, u64)>,
    at: usize,
}

/// A client of a server.
struct Connection {
    client: Client,
    random: u64,
    keys: u64,
}

/// A program that looks keys up in one or more ways.
struct Contender {
    /// The ways, and what each is called; the first is asked for its slowest answers.
    modes: &'static [(&'static str, &'static str)],
    program: Program,
    writer: Writer,
    /// What it must not be without.
    _server: Option<Arc<Server>>,
    _folder: Option<tempfile::TempDir>,
}

impl Contender {
    fn new(modes: &'static [(&'static str, &'static str)], program: Program) -> Self {
        Self { modes, program, writer: Writer::Own, _server: None, _folder: None }
    }

    /// Whether it can be asked so.
    fn can(&self, case: &Case) -> bool {
        !case.writer || !matches!(self.writer, Writer::None)
    }

    fn start_writer(&mut self) {
        match &mut self.writer {
            Writer::None => {}
            Writer::Own => drop(self.program.ask("write 1")),
            Writer::Feed(link) => link.start(),
            Writer::Client(client) => client.start(),
        }
    }

    /// Writes a second.
    fn stop_writer(&mut self) -> f64 {
        match &mut self.writer {
            Writer::None => f64::NAN,
            Writer::Own => self.program.ask("write 0")[0],
            Writer::Feed(link) => link.stop(),
            Writer::Client(client) => client.stop(),
        }
    }
}

pub(crate) fn key(number: u64) -> [u8; 16] {
    let mut key = [0; 16];
    key[..8].copy_from_slice(&mixed(number).to_ne_bytes());
    key[8..].copy_from_slice(&number.to_ne_bytes());
    key
}

/// A value begins with its key.
pub(crate) fn value(number: u64, serial: u64) -> [u8; 32] {
    let mut value = [0; 32];
    value[..16].copy_from_slice(&key(number));
    value[16..24].copy_from_slice(&serial.to_ne_bytes());
    value
}

fn set(out: &mut Vec<u8>, number: u64, serial: u64) {
    let (key, value) = (key(number), value(number, serial));
    write_command(out, &[b"SET".as_slice(), &key, &value]);
}

/// A primary with all keys, and a hash with as many fields.
fn filled(which: Which, keys: u64) -> Server {
    let server = Server::start(which);
    let mut client = Client::unix(&server.socket()).expect("the server accepts");
    for first in (0..keys).step_by(PIPELINED as usize) {
        let some = first..keys.min(first + PIPELINED);
        let mut out = Vec::new();
        some.clone().for_each(|number| set(&mut out, number, 0));
        client.raw(&out);
        some.for_each(|_| assert_eq!(client.reply().expect("an answer").error(), None));
    }
    for first in (0..keys).step_by(FIELDS_AT_ONCE as usize) {
        let some = first..keys.min(first + FIELDS_AT_ONCE);
        let pairs: Vec<_> = some.map(|number| (key(number), value(number, 0))).collect();
        let fields = pairs.iter().flat_map(|(key, value)| [key.as_slice(), value.as_slice()]);
        let words: Vec<_> = [b"HSET".as_slice(), b"hash"].into_iter().chain(fields).collect();
        client.accepted(&words);
    }
    server
}

impl Link {
    fn new(feed: Feed, keys: u64) -> Self {
        let (mut recorded, mut pieces, mut commands) = (Vec::new(), Vec::new(), 0);
        for serial in 0..RECORDED {
            set(&mut recorded, mixed(serial) % keys, serial);
            commands += 1;
            let sent = pieces.last().map_or(0, |(end, _)| *end);
            if recorded.len() - sent >= PIECE || serial == RECORDED - 1 {
                pieces.push((recorded.len(), commands));
                commands = 0;
            }
        }
        Self { feed, recorded, pieces, at: 0 }
    }

    fn write(&mut self) -> u64 {
        let began = self.at.checked_sub(1).map_or(0, |before| self.pieces[before].0);
        let (ends, commands) = self.pieces[self.at];
        self.feed.write(&self.recorded[began..ends]);
        self.at = (self.at + 1) % self.pieces.len();
        commands
    }
}

impl Connection {
    fn write(&mut self) -> u64 {
        let mut out = Vec::new();
        for _ in 0..PIPELINED {
            self.random += 1;
            set(&mut out, mixed(self.random) % self.keys, self.random);
        }
        self.client.raw(&out);
        (0..PIPELINED).for_each(|_| drop(self.client.reply().expect("an answer")));
        PIPELINED
    }
}

fn contenders(options: &Options) -> Vec<Contender> {
    let keys = options.keys.to_string();
    let which = options.servers[0];
    progress(&format!("lookups: filling a server with {} keys and fields", options.keys));
    let server = Arc::new(filled(which, options.keys));
    let data = Arc::new(snapshot::of(&server));
    let mut program = None;
    let feed = Feed::with(data, |port| {
        let url = format!("redis://127.0.0.1:{port}");
        let settings = ["spool-size=1mb", "link-timeout=86400000", "retry-min=1", "retry-max=1"];
        let args: Vec<&str> = [url.as_str()].into_iter().chain(settings).collect();
        program = Some(Program::start("lookups-rets", &args));
    });
    let link = Link::new(feed, options.keys);
    let writer = Background::new(link, Link::write, |link| link.feed.settle());
    let mut all = vec![
        Contender {
            writer: Writer::Feed(Box::new(writer)),
            ..Contender::new(
                &[
                    ("get", "rets_get"),
                    ("get_many", "rets_get_many, 16"),
                    ("get_if_changed", "rets_get_if_changed"),
                    ("hget", "rets_hget"),
                ],
                program.expect("it was started"),
            )
        },
        Contender {
            writer: Writer::None,
            ..Contender::new(
                &[("small", "main memory"), ("huge", "main memory, 2 MiB pages")],
                Program::start("lookups-memory", &[BYTES_PER_KEY]),
            )
        },
    ];
    if options.peers {
        all.extend(peers(options, &keys, server));
    }
    for contender in &mut all {
        progress(&format!("lookups: waiting for {}", contender.modes[0].1));
        assert_eq!(contender.program.hear(), "ready");
    }
    all
}

fn peers(options: &Options, keys: &str, server: Arc<Server>) -> Vec<Contender> {
    let socket = server.socket();
    let client = Client::unix(&socket).expect("the server accepts");
    let client = Connection { client, random: 0, keys: options.keys };
    let program = Program::start("lookups-redis", &[socket.to_str().expect("a path")]);
    let redis = Contender {
        writer: Writer::Client(Background::new(client, Connection::write, |_| {})),
        _server: Some(server),
        ..Contender::new(&[("get", "GET, Unix socket"), ("pipelined", "GET, 50 at once")], program)
    };
    let folder = tempfile::Builder::new().prefix("rets-").tempdir().expect("a folder");
    let program = Program::start("lookups-lmdb", &[folder.path().to_str().expect("a path"), keys]);
    let lmdb = Contender { _folder: Some(folder), ..Contender::new(&[("get", "LMDB")], program) };
    let ets = Contender::new(&[("get", "ets:lookup")], Program::start("lookups-ets", &[keys]));
    let map = |modes: &'static [(&'static str, &'static str)]| {
        Contender::new(modes, Program::start("lookups-maps", &[modes[0].1, keys]))
    };
    let mut all = vec![redis, lmdb, ets];
    all.push(map(&[("get", "dashmap")]));
    all.push(map(&[("get", STOCK)]));
    all.push(map(&[("get", "sharded")]));
    all.push(map(&[("get", "papaya")]));
    all.push(map(&[("get", "scc")]));
    all.push(Contender { writer: Writer::None, ..map(&[("get", "hashbrown")]) });
    all
}

/// What was found of one way of asking.
#[derive(Default)]
struct Found {
    name: &'static str,
    cases: [Samples; CASES.len()],
    /// The share of the time that counted.
    shares: Samples,
    /// Writes a second meanwhile.
    writes: Samples,
}

/// How slow single lookups were: median, p99, p99.9, most.
#[derive(Default)]
struct Tail {
    name: String,
    ns: [Samples; 4],
}

/// Runs the part.
pub(crate) fn run(options: &Options) -> Vec<Report> {
    let mut contenders = contenders(options);
    let names = contenders.iter().map(|contender| contender.modes.iter().map(|(_, name)| *name));
    let new = |name| Found { name, ..Found::default() };
    let mut found: Vec<Vec<Found>> = names.map(|names| names.map(new).collect()).collect();
    let mut tails: Vec<Tail> = Vec::new();
    for round in 0..options.rounds {
        progress(&format!("lookups: round {} of {}", round + 1, options.rounds));
        for (at, case) in CASES.iter().enumerate() {
            for turn in 0..contenders.len() {
                let who = (turn + round) % contenders.len();
                if contenders[who].can(case) {
                    ask(&mut contenders[who], &mut found[who], at, options);
                }
            }
        }
        let mut at = 0;
        let mut keep = |name: String, numbers: &[f64]| {
            if at == tails.len() {
                tails.push(Tail { name, ..Tail::default() });
            }
            tails[at].ns.iter_mut().zip(numbers).for_each(|(ns, number)| ns.push(*number));
            at += 1;
        };
        for contender in &mut contenders {
            let (mode, name) = contender.modes[0];
            let line = format!("tail {mode} {} {}", options.keys, options.turn_ms * 2);
            keep(format!("{name}, idle"), &contender.program.ask(&line));
            if matches!(contender.writer, Writer::None) {
                continue;
            }
            contender.start_writer();
            keep(format!("{name}, writer"), &contender.program.ask(&line));
            contender.stop_writer();
            if let Writer::Feed(link) = &mut contender.writer {
                link.step_by(|link| {
                    link.feed.resync();
                    link.feed.settle();
                    1
                });
                link.start();
                keep(format!("{name}, resyncs"), &contender.program.ask(&line));
                link.stop();
                link.step_by(Link::write);
            }
        }
    }
    vec![table(options, found), tail_table(tails)]
}

/// One turn in all ways that a contender knows.
fn ask(contender: &mut Contender, found: &mut [Found], at: usize, options: &Options) {
    let case = CASES[at];
    let span = if case.hot { HOT.min(options.keys) } else { options.keys };
    if case.writer {
        contender.start_writer();
    }
    for ((mode, _), found) in contender.modes.iter().zip(&mut *found) {
        let line = format!("get {mode} {span} {} {}", case.threads, options.turn_ms);
        let answer = contender.program.ask(&line);
        found.cases[at].push(answer[0]);
        found.shares.push(answer[1]);
    }
    if case.writer {
        let writes = contender.stop_writer();
        found.iter_mut().for_each(|found| found.writes.push(writes));
    }
}

fn table(options: &Options, found: Vec<Vec<Found>>) -> Report {
    let found: Vec<Found> = found.into_iter().flatten().collect();
    let head = ["contender"].into_iter().chain(CASES.map(|case| case.name));
    let mut report = Report {
        title: format!("One lookup among {} keys, ns per key", short(options.keys as f64)),
        columns: head.chain(["writes/s", "counted"]).map(String::from).collect(),
        notes: [
            "Keys of 16 bytes, values of 32, copied out; hot: among 10,000 of them; rets_hget: in",
            "a hash with as many fields. Median (least-most) of the rounds, in each thread.",
            "writer: one that writes to random keys as fast as it can: writes/s. main memory: a",
            "read that depends on the one before it, in a region as large as the data. counted:",
            "the share of lookups during which no other program took the core; only those are",
            "timed.",
            "ets:lookup: in Erlang, the median of short runs, since it can't see that.",
            "The maps have a quick hash function (foldhash); dashmap as it comes has SipHash.",
            "sharded: 64 parking_lot locks over hashbrown; hashbrown: one map, unprotected.",
        ]
        .map(String::from)
        .to_vec(),
        ..Report::default()
    };
    for found in &found {
        let last = [short(found.writes.median()), short(found.shares.median())];
        let cells = found.cases.iter().map(|samples| samples.spread(1.0));
        report.rows.push([found.name.to_owned()].into_iter().chain(cells).chain(last).collect());
        for (case, samples) in CASES.iter().zip(&found.cases) {
            report.figures.push(json!({
                "contender": found.name,
                "case": case.name,
                "ns": samples.json(),
            }));
        }
    }
    report.goals = goals(&found);
    report
}

fn goals(found: &[Found]) -> Vec<Goal> {
    let of = |name: &str, case: usize| {
        let found = found.iter().find(|found| found.name == name);
        found.map_or(f64::NAN, |found| found.cases[case].median())
    };
    let get = |case| of("rets_get", case);
    vec![
        Goal::at_most("rets_get / main memory", 1.25, get(COLD) / of("main memory", COLD)),
        Goal::at_least("dashmap / rets_get", 2.2, of("dashmap", COLD) / get(COLD)),
        Goal::at_least("dashmap as it comes / rets_get", 2.2, of(STOCK, COLD) / get(COLD)),
        Goal::at_least("LMDB / rets_get", 8.0, of("LMDB", COLD) / get(COLD)),
        Goal::at_least("ets:lookup / rets_get", 8.0, of("ets:lookup", COLD) / get(COLD)),
        Goal::at_least(
            "GET over a Unix socket / rets_get",
            180.0,
            of("GET, Unix socket", COLD) / get(COLD),
        ),
        Goal::at_most("hot: rets_get / dashmap", 0.6, get(HOT_ONE) / of("dashmap", HOT_ONE)),
        Goal::at_most(
            "hot: rets_get / dashmap as it comes",
            0.6,
            get(HOT_ONE) / of(STOCK, HOT_ONE),
        ),
        Goal::at_most(
            "rets_get_many, 16 keys / rets_get",
            0.45,
            of("rets_get_many, 16", COLD) / get(COLD),
        ),
        Goal::at_least("two readers / one", 1.9, 2.0 * get(COLD) / get(COLD_TWO)),
        Goal::at_most("rets_get beside a writer / alone", 1.2, get(COLD_WRITER) / get(COLD)),
        Goal::at_most(
            "rets_get_if_changed / rets_get",
            1.0,
            of("rets_get_if_changed", COLD) / get(COLD),
        ),
        Goal::at_most("rets_hget / rets_get", 1.5, of("rets_hget", COLD) / get(COLD)),
    ]
}

fn tail_table(tails: Vec<Tail>) -> Report {
    let head = ["contender", "median", "p99", "p99.9", "most", "p99.9 / median"];
    let mut report = Report {
        title: "The slowest of single lookups, cold, ns".to_owned(),
        columns: head.map(String::from).to_vec(),
        notes: [
            "Each lookup is timed by itself, which adds what it takes to read the clock twice.",
            "resyncs: one full sync after the other, of everything.",
        ]
        .map(String::from)
        .to_vec(),
        ..Report::default()
    };
    for tail in &tails {
        let ratio = tail.ns[2].median() / tail.ns[0].median();
        let cells = tail.ns.iter().map(|ns| ns.spread(1.0));
        let last = [short(ratio)];
        report.rows.push([tail.name.clone()].into_iter().chain(cells).chain(last).collect());
        let [median, p99, p999, most] = &tail.ns;
        report.figures.push(json!({
            "contender": tail.name,
            "median": median.json(),
            "p99": p99.json(),
            "p99.9": p999.json(),
            "most": most.json(),
        }));
        if tail.name == "rets_get, writer" || tail.name == "rets_get, resyncs" {
            let figure = format!("{}: p99.9 / median", tail.name);
            report.goals.push(Goal::at_most(&figure, 20.0, ratio));
        }
    }
    report
}
