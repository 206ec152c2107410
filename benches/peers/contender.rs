//! Contenders that are programs of their own: they are told what to do a line at a time, see
//! benches/lookups/contender.h.

use crate::support::server::spawn;
use crate::support::target_dir;
use std::io::{BufRead, BufReader, Write};
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;
use std::time::Instant;

/// A running one. It ends when this is dropped.
pub(crate) struct Program {
    child: Child,
    to: ChildStdin,
    from: BufReader<ChildStdout>,
}

impl Program {
    /// Starts a program of `target/bench`. It says `ready` later: see [`Program::hear`].
    pub(crate) fn start(name: &str, args: &[&str]) -> Self {
        let path = target_dir().join("bench").join(name);
        assert!(path.exists(), "{} is not there; `make bench` builds it", path.display());
        let mut command = Command::new(path);
        command.args(args).stdin(Stdio::piped()).stdout(Stdio::piped());
        let mut child = spawn(command);
        let to = child.stdin.take().expect("a pipe");
        let from = BufReader::new(child.stdout.take().expect("a pipe"));
        Self { child, to, from }
    }

    /// Its process.
    pub(crate) fn pid(&self) -> u32 {
        self.child.id()
    }

    /// The next line that it says.
    pub(crate) fn hear(&mut self) -> String {
        let mut line = String::new();
        self.from.read_line(&mut line).expect("a line");
        assert!(!line.is_empty(), "a contender has broken off");
        line.trim().to_owned()
    }

    /// Tells it a line and returns the numbers of its answer.
    pub(crate) fn ask(&mut self, line: &str) -> Vec<f64> {
        self.to.write_all(format!("{line}\n").as_bytes()).expect("it listens");
        let answer = self.hear();
        answer.split_whitespace().filter_map(|word| word.parse().ok()).collect()
    }
}

impl Drop for Program {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Seconds that all threads of a process, such as live now, have had a core. Other programs on the
/// machine, which make everything take longer, make no difference to it.
pub(crate) fn cpu_seconds(pid: u32) -> f64 {
    let tasks = std::fs::read_dir(format!("/proc/{pid}/task")).expect("a live process");
    let ns = tasks.filter_map(|task| {
        let text = std::fs::read_to_string(task.ok()?.path().join("schedstat")).ok()?;
        text.split_whitespace().next()?.parse::<f64>().ok()
    });
    ns.sum::<f64>() / 1e9
}

/// Does the same over and over in a thread, between [`Background::start`] and
/// [`Background::stop`].
pub(crate) struct Background<T> {
    idle: Option<T>,
    running: Option<Running<T>>,
    /// Tells how much it did.
    step: fn(&mut T) -> u64,
    /// Waits until all of it has come to something.
    settle: fn(&mut T),
}

/// What makes it stop, what it gives back then, and when it began.
type Running<T> = (Arc<AtomicBool>, JoinHandle<(T, u64)>, Instant);

impl<T: Send + 'static> Background<T> {
    pub(crate) fn new(what: T, step: fn(&mut T) -> u64, settle: fn(&mut T)) -> Self {
        Self { idle: Some(what), running: None, step, settle }
    }

    /// Does something else from the next start on.
    pub(crate) fn step_by(&mut self, step: fn(&mut T) -> u64) {
        self.step = step;
    }

    pub(crate) fn start(&mut self) {
        let mut what = self.idle.take().expect("it does not run yet");
        let goes_on = Arc::new(AtomicBool::new(true));
        let (flag, step) = (Arc::clone(&goes_on), self.step);
        let work = move || {
            let mut done = 0;
            while flag.load(Ordering::Relaxed) {
                done += step(&mut what);
            }
            (what, done)
        };
        self.running = Some((goes_on, std::thread::spawn(work), Instant::now()));
    }

    /// How much was done in a second.
    pub(crate) fn stop(&mut self) -> f64 {
        let (goes_on, thread, began) = self.running.take().expect("it runs");
        goes_on.store(false, Ordering::Relaxed);
        let (mut what, done) = thread.join().expect("it did what it had to");
        (self.settle)(&mut what);
        self.idle = Some(what);
        done as f64 / began.elapsed().as_secs_f64()
    }
}
