//! How many commands a second are applied that come faster than that: a recorded stream, fed by a
//! source that is never slow (`feed.rs`) to rets and to real servers as replicas.

use crate::contender::{Program, cpu_seconds};
use crate::feed::Feed;
use crate::report::{Goal, Report, Samples, short};
use crate::support::client::write_command;
use crate::support::{Server, Which};
use crate::{Options, mixed, name_of, progress};
use serde_json::json;

/// Keys of each kind that the commands edit.
const KEYS: u64 = 100_000;

/// Keys that are set where nothing but SET comes.
const STRINGS: u64 = 1_000_000;

/// Makes command number so-and-so.
type Make = fn(&mut Vec<u8>, u64);

const STREAMS: [(&str, Make); 2] = [("SET", set), ("mix", mix)];

const SET: usize = 0;
const MIX: usize = 1;

fn text(number: u64) -> String {
    format!("{:016x}", mixed(number))
}

fn set(out: &mut Vec<u8>, n: u64) {
    let words = ["SET".into(), text(mixed(n) % STRINGS), text(n).repeat(2)];
    write_command(out, &words);
}

/// As many each of SET, HSET, INCR, ZADD and LPUSH.
fn mix(out: &mut Vec<u8>, n: u64) {
    let random = mixed(n);
    let (number, element, content) = (random % KEYS, random >> 60, text(n));
    let key = |kind: &str| format!("{kind}:{number:08}");
    let words = match n % 5 {
        0 => vec!["SET".into(), key("string"), content.repeat(2)],
        1 => vec!["HSET".into(), key("hash"), format!("field{element}"), content],
        2 => vec!["INCR".into(), key("number")],
        3 => vec!["ZADD".into(), key("zset"), (n % 1000).to_string(), format!("member{element}")],
        _ => vec!["LPUSH".into(), key("list"), content],
    };
    write_command(out, &words);
}

struct Contender {
    name: String,
    feed: Feed,
    pid: u32,
    _program: Option<Program>,
    _server: Option<Server>,
}

/// What one contender did with one stream.
#[derive(Clone, Default)]
struct Found {
    /// Commands a second.
    rate: Samples,
    /// Nanoseconds of a core for one command.
    cpu: Samples,
}

fn rets(name: &str, settings: &[&str]) -> Contender {
    let mut program = None;
    let feed = Feed::to(|port| {
        let url = format!("redis://127.0.0.1:{port}");
        let settings = settings.iter().copied().chain(["link-timeout=86400000"]);
        let args: Vec<&str> = [url.as_str()].into_iter().chain(settings).collect();
        program = Some(Program::start("follow", &args));
    });
    let pid = program.as_ref().map_or(0, Program::pid);
    Contender { name: name.into(), feed, pid, _program: program, _server: None }
}

fn server(which: Which) -> Contender {
    let server = Server::start_with(which, &["--repl-timeout", "86400"]);
    let feed = Feed::to(|port| {
        server.client().accepted(&["REPLICAOF", "127.0.0.1", &port.to_string()]);
    });
    let pid = server.pid().expect("it runs");
    Contender { name: name_of(&server), feed, pid, _program: None, _server: Some(server) }
}

/// Runs the part.
pub(crate) fn run(options: &Options) -> Vec<Report> {
    let mut all: Vec<Vec<Found>> = Vec::new();
    let mut names = Vec::new();
    for (name, make) in STREAMS {
        progress(&format!("stream: recording {} commands, {name}", options.commands));
        let mut stream = Vec::new();
        (0..options.commands).for_each(|n| make(&mut stream, n));
        let mut contenders = vec![rets("rets", &[]), rets("rets, callback", &["callback"])];
        contenders.extend(options.replicas().into_iter().map(server));
        let mut found = vec![Found::default(); contenders.len()];
        // Each has all keys before anything is timed.
        for contender in &mut contenders {
            progress(&format!("stream: {name}, {} for the first time", contender.name));
            contender.feed.send(&stream);
        }
        for round in 0..options.rounds {
            progress(&format!("stream: {name}, round {} of {}", round + 1, options.rounds));
            for turn in 0..contenders.len() {
                let who = (turn + round) % contenders.len();
                let contender = &mut contenders[who];
                let before = cpu_seconds(contender.pid);
                let took = contender.feed.send(&stream);
                let cpu = cpu_seconds(contender.pid) - before;
                found[who].rate.push(options.commands as f64 / took.as_secs_f64());
                found[who].cpu.push(cpu * 1e9 / options.commands as f64);
            }
        }
        names = contenders.iter().map(|contender| contender.name.clone()).collect();
        all.push(found);
    }
    vec![report(options, &names, &all)]
}

fn report(options: &Options, names: &[String], all: &[Vec<Found>]) -> Report {
    let mut report = Report {
        title: format!("Commands applied a second, of {} recorded", short(options.commands as f64)),
        columns: ["replica", "SET", "mix", "SET, CPU ns", "mix, CPU ns"].map(String::from).to_vec(),
        notes: [
            "From the first byte that is sent until the last is acknowledged; all keys are there",
            "before. mix: SET, HSET, INCR, ZADD and LPUSH, as many of each. callback: each change",
            "is shown to a C function that returns at once. CPU: what all threads of the replica",
            "together need for one command. Median (least-most) of the rounds.",
        ]
        .map(String::from)
        .to_vec(),
        ..Report::default()
    };
    let rate = |stream: usize, name: &str| {
        let at = names.iter().position(|known| known == name);
        at.map_or(f64::NAN, |at| all[stream][at].rate.median())
    };
    for (at, name) in names.iter().enumerate() {
        let rates = all.iter().map(|found| found[at].rate.spread(1.0));
        let cells = rates.chain(all.iter().map(|found| found[at].cpu.spread(1.0)));
        report.rows.push([name.clone()].into_iter().chain(cells).collect());
        for ((stream, _), found) in STREAMS.iter().zip(all) {
            report.figures.push(json!({
                "contender": name,
                "stream": stream,
                "per_second": found[at].rate.json(),
                "cpu_ns": found[at].cpu.json(),
            }));
        }
    }
    let oldest = names.get(2).cloned().unwrap_or_default();
    for (stream, text) in [(SET, "SET"), (MIX, "mix")] {
        let ratio = rate(stream, "rets") / rate(stream, &oldest);
        report.goals.push(Goal::at_least(
            &format!("stream of {text}: rets / {oldest}"),
            4.0,
            ratio,
        ));
    }
    let ratio = rate(SET, "rets, callback") / rate(SET, "rets");
    report.goals.push(Goal::at_least("stream of SET: with a callback / without", 0.8, ratio));
    report
}
