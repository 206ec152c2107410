//! How much memory the same data takes: resident bytes of a server that holds it, and of a C
//! program that is its replica, each a process of its own.
//!
//! What is told is the difference between a process without the data and with it. The server is
//! filled by pipelined commands before anybody attaches, so that it has no backlog yet; the replica
//! has loaded a snapshot, and still has what the load needed, as far as the allocator kept it.

use crate::contender::Program;
use crate::feed::Feed;
use crate::report::{Goal, Report, Samples, short};
use crate::snapshot;
use crate::support::client::{Client, write_command};
use crate::support::{Server, Which};
use crate::{Options, mixed, name_of, progress};
use serde_json::json;
use std::sync::Arc;
use std::time::Duration;

/// Commands that are on their way before the answers are read.
const PIPELINED: u64 = 500;

/// Elements that one command brings to a large aggregate.
const FILLED_AT_ONCE: u64 = 100;

/// Of the leanest server's bytes, for the first of the datasets.
const BOUNDS: [f64; 6] = [0.70, 0.70, 0.80, 0.80, 0.85, 0.80];

/// Of what is resident with the data: while the same is loaded once more, and after all of it was
/// deleted.
const RESYNC_BOUND: f64 = 1.35;
const LEFT_BOUND: f64 = 0.1;

/// What a process has resident is looked at so often while it loads.
const LOOK_EVERY: Duration = Duration::from_millis(2);

/// An allocator may take its time to give memory back.
const GIVING_BACK: Duration = Duration::from_secs(2);

/// Leaves little in the replica's process but the data: what is received waits outside of it.
const SHORT_SPOOL: &str = "spool-size=1mb";

/// A command, by its words.
type Words = Vec<Vec<u8>>;

/// Data of one kind.
pub(crate) struct Dataset {
    name: &'static str,
    /// Bytes of a key with its value, or of an element, that no representation can do without.
    payload: u64,
    /// It is one key with many elements.
    single: bool,
    /// The command that brings a key; or, where `single`, elements from this number on.
    command: fn(u64) -> Words,
}

const fn keys(name: &'static str, payload: u64, command: fn(u64) -> Words) -> Dataset {
    Dataset { name, payload, single: false, command }
}

const fn elements(name: &'static str, payload: u64, command: fn(u64) -> Words) -> Dataset {
    Dataset { name, payload, single: true, command }
}

pub(crate) const DATASETS: &[Dataset] = &[
    keys("string 16 B -> 32 B", 48, |n| words("SET", key(n), [text(n, 32)])),
    keys("string 40 B -> 8 B", 48, |n| words("SET", text(n, 40), [text(n, 8)])),
    keys("hash of 5 small fields", 81, |n| {
        let fields = (0..5).flat_map(|f| [format!("fld{f}").into_bytes(), text(n * 5 + f, 9)]);
        words("HSET", key(n), fields)
    }),
    keys("set of 10 integers", 56, |n| words("SADD", key(n), (0..10).map(|m| number(n * 10 + m)))),
    keys("zset of 10", 176, |n| {
        let members = (0..10).flat_map(|m| [number(n * 10 + m), text(n * 10 + m, 8)]);
        words("ZADD", key(n), members)
    }),
    keys("list of 10", 96, |n| words("RPUSH", key(n), (0..10).map(|m| text(n * 10 + m, 8)))),
    elements("element of a list", 16, |first| words("RPUSH", "list", each(first, key))),
    elements("member of a set", 16, |first| words("SADD", "set", each(first, key))),
    elements("member of a zset", 24, |first| {
        words("ZADD", "zset", each(first, |n| [number(n), key(n)]).flatten())
    }),
    elements("field of a hash", 48, |first| {
        words("HSET", "hash", each(first, |n| [key(n), text(n, 32)]).flatten())
    }),
    elements("entry of a stream", 32, |n| {
        let fields = ["name".into(), key(n), "state".into(), text(n, 8)];
        words("XADD", "stream", [format!("{}-0", n + 1).into_bytes()].into_iter().chain(fields))
    }),
];

fn each<T>(first: u64, make: fn(u64) -> T) -> impl Iterator<Item = T> {
    (first..first + FILLED_AT_ONCE).map(make)
}

fn words(name: &str, key: impl Into<Vec<u8>>, rest: impl IntoIterator<Item = Vec<u8>>) -> Words {
    [name.into(), key.into()].into_iter().chain(rest).collect()
}

/// 16 bytes.
fn key(n: u64) -> Vec<u8> {
    text(n, 16)
}

/// So many bytes that are in no order and don't compress.
fn text(n: u64, len: usize) -> Vec<u8> {
    let mut text = String::new();
    for part in 0.. {
        if text.len() >= len {
            break;
        }
        text += &format!("{:016x}", mixed(n ^ part << 48));
    }
    text.truncate(len);
    text.into_bytes()
}

/// A number of up to six digits.
fn number(n: u64) -> Vec<u8> {
    (mixed(n) % 1_000_000).to_string().into_bytes()
}

impl Dataset {
    fn units(&self, options: &Options) -> u64 {
        if self.single { options.elements } else { options.keys }
    }

    /// How many units a command brings.
    fn step(&self) -> u64 {
        if self.single && self.name != "entry of a stream" { FILLED_AT_ONCE } else { 1 }
    }

    /// Brings so many units; each key begins with the prefix.
    pub(crate) fn fill(&self, client: &mut Client, units: u64, prefix: &str) {
        let commands = units.div_ceil(self.step());
        for first in (0..commands).step_by(PIPELINED as usize) {
            let some = first..commands.min(first + PIPELINED);
            let mut out = Vec::new();
            for n in some.clone() {
                let mut words = (self.command)(n * self.step());
                words[1].splice(..0, prefix.bytes());
                write_command(&mut out, &words);
            }
            client.raw(&out);
            for _ in some {
                let reply = client.reply().expect("the server answers");
                assert_eq!(reply.error(), None, "{}", self.name);
            }
        }
    }
}

/// What one dataset takes, by server; ours has been attached to each of them.
struct Found {
    /// Resident bytes per unit, and what the server says it uses.
    servers: Vec<(String, f64, f64)>,
    ours: Samples,
    /// The same with [`SHORT_SPOOL`], attached to the last server.
    short: f64,
    estimate: Samples,
}

fn measure(dataset: &Dataset, options: &Options) -> Found {
    let units = dataset.units(options);
    let mut found = Found {
        servers: Vec::new(),
        ours: Samples::default(),
        short: f64::NAN,
        estimate: Samples::default(),
    };
    for which in &options.servers {
        let server = Server::start(*which);
        let mut client = Client::unix(&server.socket()).expect("the server accepts");
        let per_unit = |before: u64, after: u64| after.saturating_sub(before) as f64 / units as f64;
        let before = (resident(&server), used(&mut client));
        dataset.fill(&mut client, units, "");
        let after = (resident(&server), used(&mut client));
        found.servers.push((
            name_of(&server),
            per_unit(before.0, after.0),
            per_unit(before.1, after.1),
        ));
        let (before, after, estimate) = replica(&server.unix_url(), &[]);
        found.ours.push(per_unit(before, after));
        found.estimate.push(per_unit(0, estimate));
        if options.servers.last() == Some(which) {
            let (before, after, _) = replica(&server.unix_url(), &[SHORT_SPOOL]);
            found.short = per_unit(before, after);
        }
    }
    found
}

fn used(client: &mut Client) -> u64 {
    client.info("used_memory").parse().expect("a number")
}

/// Resident bytes of a server.
fn resident(server: &Server) -> u64 {
    let pid = server.pid().expect("it runs");
    let status = std::fs::read_to_string(format!("/proc/{pid}/status")).expect("a live process");
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).expect("its size");
    let kilobytes = line.trim().trim_end_matches(" kB").parse::<u64>().expect("a number");
    kilobytes * 1024
}

/// Resident bytes before the load and after it, and the estimate, of a replica.
fn replica(url: &str, settings: &[&str]) -> (u64, u64, u64) {
    let args: Vec<&str> = [url].into_iter().chain(settings.iter().copied()).collect();
    let mut program = Program::start("follow", &args);
    let before = before_start(&mut program);
    let [after, estimate] = program.ask("now")[..] else { panic!("it says two numbers") };
    (before, after as u64, estimate as u64)
}

/// Waits until it is ready; the bytes that were resident before.
fn before_start(program: &mut Program) -> u64 {
    let line = program.hear();
    let before = line.strip_prefix("ready ").and_then(|bytes| bytes.parse().ok());
    before.unwrap_or_else(|| panic!("follow says {line:?}"))
}

/// Runs the part.
pub(crate) fn run(options: &Options) -> Vec<Report> {
    let servers: Vec<String> =
        options.servers.iter().map(|which: &Which| format!("redis {}", which.names()[0])).collect();
    let head = ["data", "payload", "rets", "short spool", "estimate"].map(String::from).into_iter();
    let mut report = Report {
        title: format!(
            "Resident bytes per key ({} keys), or per element of one key ({} elements)",
            short(options.keys as f64),
            short(options.elements as f64)
        ),
        columns: head.chain(servers).chain(["to the leanest".to_owned()]).collect(),
        notes: [
            "rets: a C program that attached to each server in turn, median (least-most); short",
            "spool: the same once more with spool-size=1mb, so that what was received faster than",
            "decoded is not counted; estimate: memory_bytes of rets_info. Servers: resident bytes,",
            "in brackets what they say they use. To the leanest: ours, and with a short spool, to",
            "the least resident of the servers.",
        ]
        .map(String::from)
        .to_vec(),
        ..Report::default()
    };
    for (at, dataset) in DATASETS.iter().enumerate() {
        progress(&format!("memory: {}", dataset.name));
        let found = measure(dataset, options);
        let least = found.servers.iter().map(|(_, resident, _)| *resident).fold(f64::MAX, f64::min);
        let ratio = found.ours.median() / least;
        if let Some(bound) = BOUNDS.get(at) {
            let figure = format!("memory, {}: rets / the leanest server", dataset.name);
            report.goals.push(Goal::at_most(&figure, *bound, ratio));
        }
        let head = [dataset.name.to_owned(), dataset.payload.to_string()].into_iter();
        let ours = [found.ours.spread(1.0), short(found.short), short(found.estimate.median())];
        let theirs = found
            .servers
            .iter()
            .map(|(_, resident, used)| format!("{} ({})", short(*resident), short(*used)));
        let last = [format!("{} / {}", short(ratio), short(found.short / least))];
        report.rows.push(head.chain(ours).chain(theirs).chain(last).collect());
        let servers = found.servers.iter().map(|(name, resident, used)| {
            (name.clone(), json!({ "resident": resident, "used": used }))
        });
        report.figures.push(json!({
            "data": dataset.name,
            "payload": dataset.payload,
            "units": dataset.units(options),
            "rets": found.ours.json(),
            "short_spool": found.short,
            "estimate": found.estimate.median(),
            "servers": servers.collect::<serde_json::Map<_, _>>(),
            "ratio_to_leanest": ratio,
            "ratio_with_short_spool": found.short / least,
        }));
    }
    vec![report, of_one_life(options)]
}

/// What one replica has resident in its life: loaded, while the same data comes once more, after
/// that, and after everything was deleted.
fn of_one_life(options: &Options) -> Report {
    let dataset = &DATASETS[0];
    progress("memory: a resync, and deleting all");
    let server = Server::start(options.replicas()[0]);
    let mut client = Client::unix(&server.socket()).expect("the server accepts");
    dataset.fill(&mut client, options.keys, "");
    let data = Arc::new(snapshot::of(&server));
    let [mut loaded, mut peak, mut synced, mut left] = [(); 4].map(|()| Samples::default());
    for _ in 0..options.rounds.min(3) {
        let mut program = None;
        let mut feed = Feed::with(Arc::clone(&data), |port| {
            let url = format!("redis://127.0.0.1:{port}");
            program = Some(Program::start("follow", &[&url, SHORT_SPOOL]));
        });
        let mut program = program.expect("it was started");
        let before = before_start(&mut program) as f64;
        let mut now = || program.ask("now")[0] - before;
        feed.settle();
        loaded.push(now());
        let resync = std::thread::spawn(move || {
            feed.resync();
            feed.settle();
            feed
        });
        let mut most = now();
        while !resync.is_finished() {
            most = most.max(now());
            std::thread::sleep(LOOK_EVERY);
        }
        peak.push(most);
        synced.push(now());
        let mut feed = resync.join().expect("it came back");
        for first in (0..options.keys).step_by(PIPELINED as usize) {
            let mut out = Vec::new();
            let some = first..options.keys.min(first + PIPELINED);
            some.for_each(|n| write_command(&mut out, &[b"DEL", &*(dataset.command)(n)[1]]));
            feed.write(&out);
        }
        feed.settle();
        std::thread::sleep(GIVING_BACK);
        left.push(now());
        let estimate = program.ask("now")[1];
        assert!(estimate < options.keys as f64, "deleted, but {estimate} bytes are estimated");
    }
    let mut report = Report {
        title: format!("Resident bytes of one replica, {} strings", short(options.keys as f64)),
        columns: ["state", "bytes per key", "to loaded"].map(String::from).to_vec(),
        notes: vec![format!("Beyond those of before the start; {SHORT_SPOOL}.")],
        ..Report::default()
    };
    let states = [
        ("loaded", &loaded),
        ("while the same is loaded once more", &peak),
        ("after that", &synced),
        ("all deleted", &left),
    ];
    for (state, samples) in states {
        let ratio = samples.median() / loaded.median();
        report.rows.push(vec![state.to_owned(), samples.spread(options.keys as f64), short(ratio)]);
        report.figures.push(json!({ "state": state, "bytes": samples.json(), "to_loaded": ratio }));
    }
    let goal = |figure, bound, samples: &Samples| {
        Goal::at_most(figure, bound, samples.median() / loaded.median())
    };
    report.goals = vec![
        goal("memory, resync of the same: peak / loaded", RESYNC_BOUND, &peak),
        goal("memory, all deleted: left / loaded", LEFT_BOUND, &left),
    ];
    report
}
