//! Many processes of one host attach to one primary at once: all of them get its data, and the
//! primary forks for all together, not for each. With `sync-lock` they come one after another.
//! More of them, with every way in which a primary makes snapshots:
//! `make storm PROCESSES=50 SERVER=7.0`.

#![allow(clippy::expect_used, clippy::print_stdout, clippy::unwrap_used)]

mod cc;
mod support;

use std::io::{BufRead, BufReader, Write};
use std::path::Path;
use std::process::{Child, ChildStdin, Command, Stdio};
use std::sync::mpsc::{self, Receiver};
use std::time::{Duration, Instant};
use support::long::number;
use support::server::spawn;
use support::{PATIENCE, Server, Which, on_each_server, wait_until};

on_each_server!(a_primary_forks_for_all_and_not_for_each, with_a_lock_they_sync_one_after_another);

/// The data: half a megabyte, or ten for a long run. A digest of it is most of what a process
/// computes.
const KEYS: &str = "2000";
const VALUE_BYTES: [&str; 2] = ["250", "5000"];

/// How long the primary takes over each key of a snapshot, in microseconds: a transfer takes more
/// than a second on any machine, so that all who come at once come before it is over. Where they
/// come one after another, it need not take as long.
const KEY_DELAY_US: &str = "500";
const SHORT_KEY_DELAY_US: &str = "50";

/// A way in which a primary makes snapshots, and how often it may fork for all who come at once:
/// as often as it takes, and once more for those whom a slow machine lets come late.
struct Manner {
    name: &'static str,
    args: &'static [&'static str],
    forks_max: u64,
}

/// Those who come while a file is written get that file; those who come within the delay are
/// waited for; without a delay the first is served at once, and then all others together.
const MANNERS: [Manner; 3] = [
    Manner {
        name: "diskless, after 5 s",
        args: &["--repl-diskless-sync", "yes", "--repl-diskless-sync-delay", "5"],
        forks_max: 2,
    },
    Manner {
        name: "diskless, at once",
        args: &["--repl-diskless-sync", "yes", "--repl-diskless-sync-delay", "0"],
        forks_max: 3,
    },
    Manner { name: "from disk", args: &["--repl-diskless-sync", "no"], forks_max: 2 },
];

/// A process of a host, with a replica in it.
struct Process {
    child: Child,
    orders: Option<ChildStdin>,
    lines: Receiver<String>,
}

/// A full sync of a process, by the machine's clock: when it began and when its last key was seen.
type Span = (u64, u64);

impl Process {
    fn start(program: &Path, url: &str, options: &[&str]) -> Self {
        let mut command = Command::new(program);
        command.arg(url).args(options).env("LD_LIBRARY_PATH", cc::library_folder());
        command.stdin(Stdio::piped()).stdout(Stdio::piped());
        let mut child = spawn(command);
        let orders = child.stdin.take();
        let said = BufReader::new(child.stdout.take().expect("it is piped"));
        let (sender, lines) = mpsc::channel();
        std::thread::spawn(move || {
            said.lines().map_while(Result::ok).try_for_each(|line| sender.send(line))
        });
        Self { child, orders, lines }
    }

    fn tell(&mut self, line: &str) {
        writeln!(self.orders.as_mut().expect("it runs"), "{line}").expect("it listens");
    }

    /// The next line, which must begin with this word; what follows it.
    fn hear(&self, word: &str, patience: Duration) -> Vec<String> {
        let line = self.lines.recv_timeout(patience).expect(word);
        let mut words = line.split(' ').map(str::to_owned);
        assert_eq!(words.next().as_deref(), Some(word), "{line}");
        words.collect()
    }

    /// Waits until it has synced, for this number of times in all.
    fn synced(&self, times: u64, patience: Duration) -> Span {
        let words = self.hear("synced", patience);
        let [began, last, full] = [0, 1, 2].map(|at| words[at].parse::<u64>().expect("a number"));
        assert_eq!(full, times, "full syncs");
        assert!(began < last, "nothing was loaded");
        (began, last)
    }

    /// It ends in peace.
    fn end(mut self) {
        self.orders = None;
        let status = self.child.wait().expect("it ends");
        assert!(status.success(), "{status}: {:?}", self.lines.iter().collect::<Vec<_>>());
    }
}

/// All of them, with their primary.
struct Storm {
    server: Server,
    processes: Vec<Process>,
    patience: Duration,
    _folder: tempfile::TempDir,
}

/// What came of one rush.
struct Rush {
    forks: u64,
    time: Duration,
    spans: Vec<Span>,
}

impl Storm {
    fn new(which: Which, args: &[&str], delay_us: &str, count: usize, options: &[&str]) -> Self {
        let args = [args, &["--rdb-key-save-delay", delay_us]].concat();
        let server = Server::start_with(which, &args);
        let mut client = server.client();
        client.accepted(&["DEBUG", "POPULATE", KEYS, "key", VALUE_BYTES[usize::from(is_long())]]);
        let folder = tempfile::tempdir().expect("a folder");
        let program = folder.path().join("storm");
        cc::compile(&cc::root().join("tests/c/storm.c"), &program);
        let lock = folder.path().join("lock").display().to_string();
        // However long the primary is down, they come back within half a second of each other.
        let options = [options, &["retry-max", "500"]].concat();
        let options: Vec<_> =
            options.iter().map(|o| if *o == "LOCK" { lock.as_str() } else { o }).collect();
        let start = |_| Process::start(&program, &server.url(), &options);
        let processes: Vec<_> = (0..count).map(start).collect();
        let patience = PATIENCE * (1 + count as u32 / 10);
        processes.iter().for_each(|process| drop(process.hear("armed", patience)));
        Self { server, processes, patience, _folder: folder }
    }

    /// All of them start at once.
    fn start(&mut self) -> Rush {
        self.processes.iter_mut().for_each(|process| process.tell("start"));
        self.rush(1)
    }

    /// The primary dies and comes back with what it had saved, which is less than they have.
    fn restart(&mut self) -> Rush {
        let mut client = self.server.client();
        client.accepted(&["CONFIG", "SET", "rdb-key-save-delay", "0"]);
        client.accepted(&["SET", "kept", "1"]);
        client.accepted(&["SAVE"]);
        client.accepted(&["SET", "lost", "1"]);
        let offset = client.offset();
        let has_all = |row: &&str| {
            let acknowledged = row.split(',').find_map(|pair| pair.strip_prefix("offset="));
            acknowledged.and_then(|n| n.parse::<i64>().ok()).is_some_and(|n| n >= offset)
        };
        wait_until("all have it all", || {
            let text = client.accepted(&["INFO", "replication"]).text();
            text.lines().filter(has_all).count() == self.processes.len()
        });
        self.server.kill();
        self.server.start_again();
        self.rush(2)
    }

    /// Waits until all have synced so many times, and holds their data against the primary's.
    fn rush(&mut self, times: u64) -> Rush {
        let began = Instant::now();
        let patience = self.patience;
        let spans = self.processes.iter().map(|p| p.synced(times, patience)).collect();
        let time = began.elapsed();
        let mut client = self.server.client();
        let digest = client.digest();
        self.processes.iter_mut().for_each(|process| process.tell("digest"));
        for process in &self.processes {
            assert_eq!(process.hear("digest", patience), std::slice::from_ref(&digest));
        }
        let forks = client.info("total_forks").parse().expect("a number");
        Rush { forks, time, spans }
    }

    fn end(mut self) {
        self.processes.iter_mut().for_each(|process| process.orders = None);
        self.processes.into_iter().for_each(Process::end);
    }
}

fn told(which: Which, count: usize, manner: &str, rushes: &[&Rush; 2]) {
    let [first, second] = rushes.map(|rush| format!("{} forks in {:.1?}", rush.forks, rush.time));
    let name = which.names()[0];
    println!("{name}, {count} processes, {manner}: {first} at the start, {second} at a restart");
}

/// How many processes: as many as `make storm` asks for. Nothing where it asks for another server.
fn count(which: Which, short: usize) -> Option<usize> {
    let only = std::env::var("RETS_SERVER").unwrap_or_default();
    let count = number("RETS_PROCESSES").map_or(short, |n| n as usize);
    (only.is_empty() || which.names().contains(&only.as_str())).then_some(count)
}

fn is_long() -> bool {
    number("RETS_PROCESSES").is_some()
}

fn a_primary_forks_for_all_and_not_for_each(which: Which) {
    let Some(count) = count(which, 20) else { return };
    // In a short run each server has one, and none waits for the delay of the first.
    let short = if which == Which::Distribution { &MANNERS[1..2] } else { &MANNERS[2..] };
    for manner in if is_long() { &MANNERS } else { short } {
        let mut storm = Storm::new(which, manner.args, KEY_DELAY_US, count, &[]);
        let rushes = [&storm.start(), &storm.restart()];
        told(which, count, manner.name, &rushes);
        for rush in rushes {
            assert!(rush.forks <= manner.forks_max, "{} forks, {}", rush.forks, manner.name);
        }
        storm.end();
    }
}

fn with_a_lock_they_sync_one_after_another(which: Which) {
    let Some(count) = count(which, 3) else { return };
    let manner = &MANNERS[1];
    let lock = ["sync-lock", "LOCK"];
    let mut storm = Storm::new(which, manner.args, SHORT_KEY_DELAY_US, count, &lock);
    let rushes = [&storm.start(), &storm.restart()];
    told(which, count, "diskless, at once, sync-lock", &rushes);
    for rush in rushes {
        let mut spans = rush.spans.clone();
        spans.sort();
        let overlap = spans.windows(2).find(|pair| pair[0].1 >= pair[1].0);
        assert_eq!(overlap, None, "two at a time");
    }
    storm.end();
}
