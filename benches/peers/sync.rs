//! How long the first sync takes: of the same snapshot out of memory, from a source that is never
//! slow (`feed.rs`), and attached to a live primary, which has to make the snapshot first.

use crate::contender::{Program, cpu_seconds};
use crate::feed::Feed;
use crate::memory::DATASETS;
use crate::report::{Goal, Report, Samples, short};
use crate::snapshot::{self, scan};
use crate::support::client::Client;
use crate::support::{Server, Which, wait_until};
use crate::{Options, progress};
use serde_json::json;
use std::sync::Arc;
use std::time::Instant;

/// What a server's settings are where it loads: straight from the socket, which is its best case.
const SETTINGS: [&str; 4] = ["--repl-diskless-load", "on-empty-db", "--repl-timeout", "86400"];

/// More memory than any of them takes for the data, in bytes.
const GROUND: u64 = 512 << 20;

/// The data that is loaded.
const DATA: [&str; 2] = ["strings", "mix"];

/// Datasets of the part `memory` that are in the mix.
const MIXED: usize = 6;

fn primary(which: Which, data: &str, options: &Options) -> Server {
    let server = Server::start(which);
    let mut client = Client::unix(&server.socket()).expect("the server accepts");
    match data {
        "strings" => DATASETS[0].fill(&mut client, options.keys, ""),
        _ => (0..MIXED).for_each(|at| {
            DATASETS[at].fill(&mut client, options.keys / MIXED as u64, &format!("{at}:"));
        }),
    }
    server
}

/// Who loads.
#[derive(Clone, Copy)]
enum Replica {
    /// Reads the snapshot and throws it away: what nobody can be faster than.
    Scan,
    Rets,
    Server(Which),
}

impl Replica {
    fn all(options: &Options) -> Vec<Self> {
        let servers = options.replicas().into_iter().map(Self::Server);
        [Self::Scan, Self::Rets].into_iter().chain(servers).collect()
    }

    fn name(self) -> String {
        match self {
            Self::Scan => "scan".into(),
            Self::Rets => "rets".into(),
            Self::Server(which) => format!("redis {}", which.names()[0]),
        }
    }

    /// Seconds from the beginning of the snapshot until the stream is followed, and those of a
    /// core; fed.
    fn fed(self, data: &Arc<Vec<u8>>) -> [f64; 2] {
        let data = Arc::clone(data);
        match self {
            Self::Scan => [f64::NAN; 2],
            Self::Rets => {
                let mut program = None;
                let mut feed = Feed::with(data, |port| {
                    let url = format!("redis://127.0.0.1:{port}");
                    program = Some(Program::start("follow", &[&url]));
                });
                feed.settle();
                [feed.since_begun(), program.map_or(f64::NAN, |p| cpu_seconds(p.pid()))]
            }
            Self::Server(which) => {
                let server = Server::start_with(which, &SETTINGS);
                let pid = server.pid().expect("it runs");
                let before = cpu_seconds(pid);
                let mut feed = Feed::with(data, |port| {
                    server.client().accepted(&["REPLICAOF", "127.0.0.1", &port.to_string()]);
                });
                feed.settle();
                [feed.since_begun(), cpu_seconds(pid) - before]
            }
        }
    }

    /// Seconds from being told of a live primary until everything is there.
    fn attached(self, primary: &Server) -> f64 {
        match self {
            Self::Scan => {
                let began = Instant::now();
                scan(primary);
                began.elapsed().as_secs_f64()
            }
            Self::Rets => {
                let began = Instant::now();
                let mut program = Program::start("follow", &[&primary.url()]);
                assert!(program.hear().starts_with("ready"));
                began.elapsed().as_secs_f64()
            }
            Self::Server(which) => {
                let server = Server::start_with(which, &SETTINGS);
                let began = Instant::now();
                server.client().accepted(&["REPLICAOF", "127.0.0.1", &primary.port().to_string()]);
                let mut client = server.client();
                wait_until("the replica is up", || client.info("master_link_status") == "up");
                began.elapsed().as_secs_f64()
            }
        }
    }
}

/// What one replica took: fed, and attached.
#[derive(Clone, Default)]
struct Found {
    fed: Samples,
    cpu: Samples,
    attached: Samples,
}

/// Runs the part.
pub(crate) fn run(options: &Options) -> Vec<Report> {
    let which = options.replicas()[0];
    DATA.iter().map(|data| race(options, which, data)).collect()
}

fn race(options: &Options, which: Which, data: &str) -> Report {
    progress(&format!("sync: filling a server with {data}"));
    let primary = primary(which, data, options);
    let bytes = Arc::new(snapshot::of(&primary));
    let replicas = Replica::all(options);
    let mut found = vec![Found::default(); replicas.len()];
    for round in 0..options.rounds {
        progress(&format!("sync: {data}, round {} of {}", round + 1, options.rounds));
        for turn in 0..replicas.len() {
            let who = (turn + round) % replicas.len();
            even_the_ground();
            let [fed, cpu] = replicas[who].fed(&bytes);
            found[who].fed.push(fed);
            found[who].cpu.push(cpu);
            even_the_ground();
            found[who].attached.push(replicas[who].attached(&primary));
        }
    }
    let names: Vec<String> = replicas.iter().map(|replica| replica.name()).collect();
    let title = format!(
        "The first sync of {data}, {} bytes of snapshot, seconds",
        short(bytes.len() as f64)
    );
    report(title, data, &names, &found)
}

/// Whoever comes next finds memory that somebody has just used.
fn even_the_ground() {
    assert_eq!(Program::start("ground", &[&GROUND.to_string()]).hear(), "done");
}

fn report(title: String, data: &str, names: &[String], found: &[Found]) -> Report {
    let mut report = Report {
        title,
        columns: ["replica", "fed from memory", "fed, CPU", "attached to a primary"]
            .map(String::from)
            .to_vec(),
        notes: [
            "fed: from the first byte of the snapshot until the stream behind it is acknowledged;",
            "CPU: seconds that the threads of the replica had a core for it.",
            "attached: from being told of an idle primary until everything is there; scan: the",
            "same for a reader that throws the snapshot away. mix: as many each of strings,",
            "hashes, sets, sorted sets and lists. Servers load straight from the socket. All find",
            "memory that a program has just used: a host may have taken away what is free.",
        ]
        .map(String::from)
        .to_vec(),
        ..Report::default()
    };
    for (name, found) in names.iter().zip(found) {
        report.rows.push(vec![
            name.clone(),
            found.fed.spread(1.0),
            found.cpu.spread(1.0),
            found.attached.spread(1.0),
        ]);
        report.figures.push(json!({
            "contender": name,
            "data": data,
            "fed_s": found.fed.json(),
            "fed_cpu_s": found.cpu.json(),
            "attached_s": found.attached.json(),
        }));
    }
    let of = |name: &str| names.iter().position(|known| known == name).map(|at| &found[at]);
    let Some(rets) = of("rets") else { return report };
    for (name, bound) in [("redis 7.0", 2.5), ("redis 8.2", 3.5)] {
        let theirs = of(name).map_or(f64::NAN, |found| found.fed.median());
        let figure = format!("load of {data}: rate of rets / {name}");
        report.goals.push(Goal::at_least(&figure, bound, theirs / rets.fed.median()));
    }
    let scan = of("scan").map_or(f64::NAN, |found| found.attached.median());
    let figure = format!("attach, {data}: rets / scan of the snapshot");
    report.goals.push(Goal::at_most(&figure, 1.1, rets.attached.median() / scan));
    report
}
