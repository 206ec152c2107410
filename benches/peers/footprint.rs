//! What rets adds to its host besides data: the size of the library, its threads, and how often
//! they wake where nothing happens.

use crate::contender::Program;
use crate::report::{Goal, Report};
use crate::support::{Server, target_dir};
use crate::{Options, progress};
use serde_json::json;
use std::fs::read_to_string;
use std::process::Command;
use std::time::Duration;

/// Bytes of the stripped library, threads, and wake-ups a second.
const BYTES_MAX: f64 = 1.5e6;
const THREADS_MAX: f64 = 2.0;
const WAKES_MAX: f64 = 1.0;

/// For so long an idle replica is watched, once it has settled.
const WATCHED: Duration = Duration::from_secs(10);
const SETTLING: Duration = Duration::from_secs(2);

/// Runs the part.
pub(crate) fn run(options: &Options) -> Vec<Report> {
    progress("footprint: an idle replica");
    let server = Server::start(options.replicas()[0]);
    let mut program = Program::start("follow", &[&server.url()]);
    assert!(program.hear().starts_with("ready"));
    std::thread::sleep(SETTLING);
    let (threads, before) = engine(program.pid());
    std::thread::sleep(WATCHED);
    let (_, after) = engine(program.pid());
    let wakes = (after - before) / WATCHED.as_secs_f64();
    let figures = [
        ("librets.so, stripped, bytes", BYTES_MAX, stripped()),
        ("threads of the engine", THREADS_MAX, threads),
        ("wake-ups a second, idle", WAKES_MAX, wakes),
    ];
    vec![Report {
        title: "What rets adds to its host".to_owned(),
        columns: ["what", "measured"].map(String::from).to_vec(),
        rows: figures.map(|(name, _, found)| vec![name.to_owned(), found.to_string()]).into(),
        notes: vec!["Idle: attached to a primary to which nobody writes.".to_owned()],
        figures: figures
            .map(|(name, _, found)| json!({ "what": name, "measured": found }))
            .to_vec(),
        goals: figures.map(|(name, bound, found)| Goal::at_most(name, bound, found)).into(),
    }]
}

/// How many threads the engine has, and how often they have woken.
fn engine(pid: u32) -> (f64, f64) {
    let tasks = std::fs::read_dir(format!("/proc/{pid}/task")).expect("a live process");
    let tasks = tasks.filter_map(|task| {
        let text = read_to_string(task.ok()?.path().join("status")).ok()?;
        let of = |name: &str| text.lines().find_map(|line| line.strip_prefix(name));
        let wakes = of("voluntary_ctxt_switches:")?.trim().parse::<f64>().ok()?;
        of("Name:")?.trim().starts_with("rets/").then_some(wakes)
    });
    tasks.fold((0.0, 0.0), |(threads, all), wakes| (threads + 1.0, all + wakes))
}

/// How large the library is without what only debuggers want.
fn stripped() -> f64 {
    let file = target_dir().join("bench").join("librets.stripped.so");
    let from = target_dir().join("release").join("librets.so");
    let done = Command::new("strip").arg("-o").arg(&file).arg(from).status();
    assert!(done.is_ok_and(|status| status.success()), "strip, of the compiler's tools, failed");
    std::fs::metadata(&file).map_or(f64::NAN, |data| data.len() as f64)
}
