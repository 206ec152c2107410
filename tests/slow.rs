//! A callback that does not return for a long time, while a writer writes without mercy: the link
//! stays, nothing is lost, and both the information and the log tell. For longer:
//! `make slow SERVER=8.2 SECONDS=60`.

#![allow(clippy::expect_used, clippy::print_stdout, clippy::unwrap_used)]

mod support;

use rets::change::{Change, Verdict};
use rets::log::{Level, set_sink};
use rets::replica::{Replica, SharedGate};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError, mpsc};
use std::time::{Duration, Instant};
use support::follower::{assert_equal, replica, start, wait_info};
use support::long::number;
use support::{Client, PATIENCE, Server, Which, wait_until};

/// How long the callback does not return in the run that every test run makes: longer than the
/// primary is then told to wait for a sign of life.
const SHORT: Duration = Duration::from_secs(6);
const IMPATIENT: [&str; 4] = ["--repl-timeout", "5", "--repl-ping-replica-period", "1"];

/// Writes that are sent in one go, and how many goes there are in a second.
const BURST: u64 = 1_000;
const BURSTS_A_SECOND: u64 = 20;

/// How many keys are written, and what a write takes in the stream at least.
const KEYS: u64 = 1_000;
const LEAST_BYTES: i64 = 30;

/// What was logged about each primary, in one process.
static HEARD: Mutex<Vec<String>> = Mutex::new(Vec::new());

fn listen() {
    let hear = |level: Level, line: &str| {
        if level <= Level::Warning {
            HEARD.lock().unwrap_or_else(PoisonError::into_inner).push(line.to_owned());
        }
    };
    set_sink(Some(Arc::new(hear)), Level::Warning);
}

/// Whether a warning about this primary begins with these words.
fn was_warned(server: &Server, words: &str) -> bool {
    let begin = format!("127.0.0.1:{}: {words}", server.port());
    HEARD.lock().unwrap_or_else(PoisonError::into_inner).iter().any(|line| line.starts_with(&begin))
}

/// The server that was asked for, or the first.
fn chosen() -> Which {
    let name = std::env::var("RETS_SERVER").unwrap_or_default();
    let found = Which::chosen().into_iter().find(|which| which.names().contains(&name.as_str()));
    found.unwrap_or_else(|| Which::chosen()[0])
}

/// Writes until it is told to stop, no faster than so many bursts a second (0: as fast as it can).
fn write(mut client: Client, bursts_a_second: u64, ended: &AtomicBool, written: &AtomicU64) {
    let began = Instant::now();
    let mut bursts = 0;
    while !ended.load(Ordering::SeqCst) {
        let first = bursts * BURST;
        let command =
            |n: u64| ["SET".to_owned(), format!("key:{}", n % KEYS), format!("value:{n}")];
        let commands: Vec<_> = (first..first + BURST).map(command).collect();
        client.pipeline(&commands);
        bursts += 1;
        written.store(bursts * BURST, Ordering::SeqCst);
        if let Some(seconds) = bursts.checked_div(bursts_a_second) {
            let part = bursts % bursts_a_second * 1000 / bursts_a_second;
            let due = Duration::from_secs(seconds) + Duration::from_millis(part);
            std::thread::sleep(due.saturating_sub(began.elapsed()));
        }
    }
}

/// Ends the writer, also when the test fails: it would be waited for for ever.
struct Ends<'a>(&'a AtomicBool);

impl Drop for Ends<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::SeqCst);
    }
}

/// Does not return for the key `stop` before it is released.
struct Sleeper {
    begins: Mutex<mpsc::Sender<()>>,
    released: Mutex<mpsc::Receiver<()>>,
}

impl SharedGate for Sleeper {
    fn ask(&self, change: &Change<'_>) -> Verdict {
        if change.key == b"stop" {
            self.begins.lock().unwrap().send(()).unwrap();
            self.released.lock().unwrap().recv().unwrap();
        }
        Verdict::Keep
    }
}

/// A replica whose callback does not return, and what releases it.
fn stopped(server: &Server, options: &[(&str, &str)]) -> (Replica, mpsc::Sender<()>) {
    let (release, released) = mpsc::channel();
    let (begins, begun) = mpsc::channel();
    let replica = replica(&server.url(), options);
    let sleeper = Sleeper { begins: Mutex::new(begins), released: Mutex::new(released) };
    replica.set_gate(Some(Arc::new(sleeper))).unwrap();
    start(&replica);
    server.client().accepted(&["SET", "stop", "1"]);
    begun.recv_timeout(PATIENCE).unwrap();
    (replica, release)
}

/// One connection, one full sync, and nothing else.
#[track_caller]
fn assert_undisturbed(replica: &Replica) {
    let info = replica.info();
    assert_eq!((info.connects, info.full_syncs, info.partial_syncs), (1, 1, 0), "{info:#?}");
}

#[test]
fn a_callback_that_does_not_return_loses_neither_link_nor_data() {
    listen();
    let long = number("RETS_SECONDS").map(Duration::from_secs);
    let server = Server::start_with(chosen(), if long.is_none() { &IMPATIENT } else { &[] });
    let mut client = server.client();
    let (replica, release) = stopped(&server, &[]);
    let (ended, written) = (AtomicBool::new(false), AtomicU64::new(0));
    let began = Instant::now();
    let patience = long.unwrap_or(SHORT);
    std::thread::scope(|scope| {
        let _ends = Ends(&ended);
        let writer = server.client();
        scope.spawn(|| write(writer, BURSTS_A_SECOND, &ended, &written));
        let mut lag_bytes = 0;
        while began.elapsed() < patience || !was_warned(&server, "nothing was applied") {
            let info = replica.info();
            assert_eq!(info.lag_bytes, info.offset_received - info.offset);
            assert!(info.lag_bytes >= lag_bytes, "{info:#?}");
            lag_bytes = info.lag_bytes;
            std::thread::sleep(Duration::from_millis(20));
        }
        // All that is written is received, and seen as lag.
        let written_now = written.load(Ordering::SeqCst);
        let least = written_now as i64 * LEAST_BYTES;
        let info = wait_info(&replica, "the lag shows", |info| info.lag_bytes >= least);
        println!(
            "{written_now} writes in {:.1?}, {} bytes behind",
            began.elapsed(),
            info.lag_bytes
        );
        assert_undisturbed(&replica);
        release.send(()).unwrap();
        wait_info(&replica, "it gets on", |info| info.units > written_now / 2);
    });
    let offset = assert_equal(&replica, &mut client);
    let info = replica.info();
    assert_eq!((info.offset, info.lag_bytes, info.spooled_bytes), (offset, 0, 0), "{info:#?}");
    assert_undisturbed(&replica);
    println!("all of {} writes in {:.1?}", written.load(Ordering::SeqCst), began.elapsed());
}

#[test]
fn what_waits_behind_a_callback_is_bounded_and_the_primary_keeps_the_rest() {
    const SPOOL: u64 = 1 << 20;
    listen();
    let server = Server::start(chosen());
    let mut client = server.client();
    let (replica, release) = stopped(&server, &[("spool-size", "1mb")]);
    let (ended, written) = (AtomicBool::new(false), AtomicU64::new(0));
    std::thread::scope(|scope| {
        let _ends = Ends(&ended);
        let writer = server.client();
        scope.spawn(|| write(writer, 0, &ended, &written));
        wait_until("the log warns", || was_warned(&server, "the spool is full"));
        // The primary goes on far beyond what is taken in.
        let offset = client.offset();
        wait_until("it writes on", || client.offset() > offset + 8 * SPOOL as i64);
    });
    assert!(was_warned(&server, "the spool is half full"));
    let info = replica.info();
    assert!(info.spooled_bytes <= SPOOL + (64 << 10), "{info:#?}");
    assert!(info.offset_received < client.offset());
    release.send(()).unwrap();
    assert_equal(&replica, &mut client);
    assert_undisturbed(&replica);
}
