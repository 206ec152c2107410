//! The life of an engine as its host sees it: it ends from every state within its time, its
//! callbacks can be exchanged at any moment, a bug in one of them is a state, and its threads keep
//! out of the host's way.

#![allow(clippy::expect_used, clippy::unwrap_used)]

mod support;

use rets::change::Verdict;
use rets::error::Kind;
use rets::replica::{Answer, Info, Moment, Replica, State};
use std::collections::BTreeMap;
use std::net::TcpListener;
use std::process::Command;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, mpsc};
use support::follower::{
    PATIENCE_MS, Witness, assert_equal, catch_up, found, get, ready, replica, start, wait_info,
    witnessed,
};
use support::replay::Options;
use support::server::ClosedPort;
use support::{Chunks, Client, Replay, Server, Session, Which, on_each_server, wait_until};

on_each_server!(
    states_are_told_in_their_order,
    the_gate_is_exchanged_while_it_is_asked,
    it_stops_while_following_under_load,
);

/// Options of those that are to be stopped: whatever they wait for, it takes far longer than
/// [`PATIENCE_MS`], which only the stop itself can keep to.
const ENDLESS: &[(&str, &str)] = &[
    ("connect-timeout", "600000"),
    ("link-timeout", "600000"),
    ("retry-min", "600000"),
    ("retry-max", "600000"),
];

/// Stops a replica, which must succeed in time, and checks what it says afterwards.
#[track_caller]
fn stops(replica: &Replica) {
    let outcome = replica.stop(PATIENCE_MS);
    assert_eq!(outcome, Ok(()), "{:#?}", replica.info());
    let info = replica.info();
    assert_eq!((info.state, info.ready), (State::Stopped, false));
    assert_eq!(get(replica, 0, "anything"), Answer::Stopped);
    assert_eq!(replica.wait_ready(PATIENCE_MS).unwrap_err().kind(), Kind::Stopped);
    assert_eq!(replica.wait_offset(None, 1, PATIENCE_MS).unwrap_err().kind(), Kind::Stopped);
    assert!(matches!(replica.digest(), Answer::Stopped));
    assert_eq!(replica.stop(PATIENCE_MS), Ok(()), "a second time changes nothing");
    assert!(replica.start().is_err(), "it lives once");
}

#[test]
fn it_stops_before_it_was_started() {
    let replica = replica("redis://127.0.0.1:1", &[]);
    assert_eq!(replica.wait_ready(1).unwrap_err().kind(), Kind::Invalid);
    stops(&replica);
}

#[test]
fn it_stops_while_connecting_to_nobody() {
    // What is listened for but never accepted, connects when it likes.
    let listener = TcpListener::bind(("127.0.0.1", 0)).unwrap();
    let port = listener.local_addr().unwrap().port();
    let replica = replica(&format!("redis://127.0.0.1:{port}"), ENDLESS);
    replica.start().unwrap();
    wait_info(&replica, "it is on its way", |info| info.state == State::Connecting);
    stops(&replica);
    // From documentation's network nothing ever comes back, or an error at once.
    let far = support::follower::replica("redis://192.0.2.1:6379", ENDLESS);
    far.start().unwrap();
    stops(&far);
}

#[test]
fn it_stops_while_looking_up_a_name() {
    let replica = replica("redis://no.such.name.invalid:6379", ENDLESS);
    replica.start().unwrap();
    stops(&replica);
}

#[test]
fn it_stops_while_waiting_for_an_answer() {
    let listener = TcpListener::bind(("127.0.0.1", 0)).unwrap();
    let port = listener.local_addr().unwrap().port();
    let replica = replica(&format!("redis://127.0.0.1:{port}"), ENDLESS);
    replica.start().unwrap();
    let _silent = listener.accept().unwrap();
    wait_info(&replica, "it is connected", |info| info.moment == Moment::Connected);
    let late = replica.wait_ready(1).unwrap_err();
    assert_eq!(late.kind(), Kind::Timeout);
    assert!(late.text().contains("no snapshot has come yet"), "{late}");
    stops(&replica);
}

#[test]
fn it_stops_between_attempts() {
    let nobody = ClosedPort::new();
    let replica = replica(&nobody.url(), ENDLESS);
    replica.start().unwrap();
    wait_info(&replica, "it waits for the next attempt", |info| info.last_error.is_some());
    stops(&replica);
}

#[test]
fn it_stops_after_it_was_refused() {
    let options = Options {
        password: Some(("default".to_owned(), "secret".to_owned())),
        ..Options::default()
    };
    let replay = Replay::start(Session::load("redis-7.4"), options);
    let replica = replica(&replay.url(), ENDLESS);
    replica.start().unwrap();
    assert_eq!(replica.wait_ready(PATIENCE_MS).unwrap_err().kind(), Kind::Auth);
    stops(&replica);
}

#[test]
fn it_stops_in_the_middle_of_a_snapshot() {
    let session = Session::load("redis-3.2");
    // The rest of it never comes.
    let middle = (session.rdb_start + session.rdb_end) / 2;
    let bytes = session.bytes[..middle].to_vec();
    let cut = Session { bytes, rdb_end: middle, ..session };
    let replay = Replay::start(cut, Options { chunks: Chunks::Of(1000), ..Options::default() });
    let replica = replica(&replay.url(), ENDLESS);
    replica.start().unwrap();
    wait_info(&replica, "half of it has come", |info| {
        info.state == State::Loading && info.loaded_bytes > 0
    });
    assert_eq!(get(&replica, 0, "anything"), Answer::NotReady);
    let late = replica.wait_ready(1).unwrap_err();
    assert!(late.text().contains("being loaded"), "{late}");
    stops(&replica);
}

#[test]
fn a_callback_that_sleeps_delays_the_stop_and_nothing_else() {
    let server = Server::start(Which::chosen()[0]);
    let mut client = server.client();
    let (entered, enters) = mpsc::channel();
    let (leave, leaves) = mpsc::channel::<()>();
    let leaves = Mutex::new(leaves);
    let sleeper = Witness::judging(move |change| {
        if change.key == b"sleep" {
            entered.send(()).unwrap();
            let _ = leaves.lock().unwrap().recv();
        }
        Verdict::Keep
    });
    let replica = Arc::new(witnessed(&server.url(), &[], &sleeper));
    client.accepted(&["SET", "before", "1"]);
    client.accepted(&["SET", "sleep", "1"]);
    enters.recv().unwrap();
    // Lookups and information need nobody's leave; the link acknowledges on its own clock.
    assert_eq!(get(&replica, 0, "before"), found("1"));
    assert_eq!(get(&replica, 0, "sleep"), Answer::NotFound);
    assert_eq!(replica.info().state, State::Following);
    client.accepted(&["SET", "behind", "1"]);
    wait_info(&replica, "bytes wait", |info| info.spooled_bytes > 0);
    let acks = |client: &mut Client| {
        let calls = client.info("cmdstat_replconf");
        let calls = calls.strip_prefix("calls=").and_then(|rest| rest.split(',').next());
        calls.and_then(|calls| calls.parse::<u64>().ok()).expect("a number of calls")
    };
    let before = acks(&mut client);
    wait_until("it acknowledges meanwhile", || acks(&mut client) > before + 2);
    assert_eq!(client.replicas().0, 1);

    // While one thread waits for the end, another one's wait keeps to its own time, and who waits
    // for data is told at once.
    let waiter = std::thread::spawn({
        let replica = replica.clone();
        move || replica.wait_offset(None, i64::MAX, -1)
    });
    let other = std::thread::spawn({
        let replica = replica.clone();
        move || replica.stop(PATIENCE_MS)
    });
    assert_eq!(replica.stop(20).unwrap_err().kind(), Kind::Timeout);
    assert_eq!(waiter.join().unwrap().unwrap_err().kind(), Kind::Stopped);
    assert_eq!(get(&replica, 0, "before"), Answer::Stopped);
    assert!(replica.option("url").is_ok());
    leave.send(()).unwrap();
    assert_eq!(other.join().unwrap(), Ok(()));
    stops(&replica);
    assert!(sleeper.take_briefs().iter().all(|brief| brief != "set behind"), "none after the stop");
}

fn it_stops_while_following_under_load(which: Which) {
    let server = Server::start(which);
    let mut client = server.client();
    let replica = ready(&server.url(), &[]);
    let done = Arc::new(AtomicBool::new(false));
    let writer = std::thread::spawn({
        let done = done.clone();
        move || {
            let burst: Vec<_> =
                (0..500).map(|n| ["SET".to_owned(), format!("k{n}"), "v".into()]).collect();
            while !done.load(Ordering::SeqCst) {
                client.pipeline(&burst);
            }
        }
    });
    wait_info(&replica, "it follows", |info| info.units > 2000);
    stops(&replica);
    done.store(true, Ordering::SeqCst);
    writer.join().unwrap();
}

fn states_are_told_in_their_order(which: Which) {
    let mut server = Server::start(which);
    let mut client = server.client();
    client.accepted(&["SET", "a", "1"]);
    let told: Arc<Mutex<Vec<Moment>>> = Arc::default();
    let replica = replica(&server.url(), &[]);
    let listener = {
        let told = told.clone();
        Arc::new(move |info: &Info| told.lock().unwrap().push(info.moment))
    };
    replica.set_state_listener(Some(listener)).unwrap();
    start(&replica);
    catch_up(&replica, &mut client);
    // The table can be looked at before the listener has heard of it.
    let take_until = |last: Moment| {
        wait_until("the listener has heard", || told.lock().unwrap().last() == Some(&last));
        std::mem::take(&mut *told.lock().unwrap())
    };
    use Moment::{Connected, Connecting, LinkLost, Ready, SyncBegun};
    assert_eq!(take_until(Ready), [Connecting, Connected, SyncBegun, Ready]);
    support::follower::cut_link(&replica, &mut client);
    assert_equal(&replica, &mut client);
    assert_eq!(take_until(Ready), [LinkLost, Connecting, Connected, Ready]);
    server.kill();
    wait_info(&replica, "the link is lost", |info| info.state == State::Reconnecting);
    server.start_again();
    assert_equal(&replica, &mut server.client());
    let moments = take_until(Ready);
    assert_eq!(moments.first(), Some(&LinkLost));
    assert!(moments.ends_with(&[Connected, SyncBegun, Ready]), "{moments:?}");
    replica.stop(PATIENCE_MS).unwrap();
    assert_eq!(take_until(Moment::Stopped), [Moment::Stopped]);
}

/// Counts how often it was asked, and whether after it was gone.
struct Counted {
    asked: AtomicU64,
    gone: AtomicBool,
}

fn the_gate_is_exchanged_while_it_is_asked(which: Which) {
    let server = Server::start(which);
    let mut client = server.client();
    let replica = ready(&server.url(), &[]);
    let done = Arc::new(AtomicBool::new(false));
    let writer = std::thread::spawn({
        let done = done.clone();
        move || {
            let burst: Vec<_> = (0..500).map(|n| ["INCR".to_owned(), format!("k{n}")]).collect();
            while !done.load(Ordering::SeqCst) {
                client.pipeline(&burst);
            }
            client
        }
    });
    let mut previous: Option<Arc<Counted>> = None;
    for _ in 0..200 {
        let counted = Arc::new(Counted { asked: AtomicU64::new(0), gone: AtomicBool::new(false) });
        let inside = counted.clone();
        let gate = Witness::judging(move |_| {
            assert!(!inside.gone.load(Ordering::SeqCst), "asked after it was exchanged");
            inside.asked.fetch_add(1, Ordering::SeqCst);
            Verdict::Keep
        });
        replica.set_gate(Some(gate)).unwrap();
        if let Some(previous) = previous.replace(counted) {
            previous.gone.store(true, Ordering::SeqCst);
        }
    }
    wait_until("the last one is asked", || {
        previous.as_ref().is_some_and(|last| last.asked.load(Ordering::SeqCst) > 0)
    });
    replica.set_gate(None).unwrap();
    let asked = replica.info().callbacks;
    assert!(asked > 0);
    done.store(true, Ordering::SeqCst);
    assert_equal(&replica, &mut writer.join().unwrap());
    assert_eq!(replica.info().state, State::Following);
}

/// Runs one test of this file, which is none by itself, in a process of its own.
#[track_caller]
fn alone(test: &str) -> std::process::Output {
    let program = std::env::current_exe().unwrap();
    let mut command = Command::new(program);
    command.args([test, "--exact", "--ignored", "--nocapture", "--test-threads=1"]);
    command.output().unwrap()
}

#[test]
fn a_callback_that_panics_is_a_state_and_prints_nothing() {
    let output = alone("in_a_process_of_its_own_a_gate_panics");
    let (out, errors) =
        (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert!(output.status.success(), "{out}\n{errors}");
    assert!(out.contains("1 passed"), "{out}");
    assert_eq!(errors, "");
}

/// Silences panics for the whole process, so that it is not run together with other tests.
#[test]
#[ignore = "run by a_callback_that_panics_is_a_state_and_prints_nothing"]
fn in_a_process_of_its_own_a_gate_panics() {
    rets::replica::panics::silence();
    let server = Server::start(Which::chosen()[0]);
    let mut client = server.client();
    client.accepted(&["SET", "a", "1"]);
    let gate = Witness::judging(|change| {
        assert!(change.key != b"boom", "what a callback might do");
        Verdict::Keep
    });
    let replica = witnessed(&server.url(), &[], &gate);
    client.accepted(&["SET", "boom", "1"]);
    wait_info(&replica, "it failed", |info| info.state == State::Failed);
    let error = replica.info().last_error.unwrap();
    assert_eq!(error.kind(), Kind::Panic);
    assert!(error.text().contains("what a callback might do"), "{error}");
    assert!(!replica.info().will_retry);
    assert_eq!(replica.wait_ready(PATIENCE_MS).unwrap_err().kind(), Kind::Panic);
    assert_eq!(get(&replica, 0, "a"), Answer::Stopped);
    replica.set_gate(None).unwrap();
    assert_eq!(replica.stop(PATIENCE_MS), Ok(()));
    wait_until("the primary has lost its replica", || client.replicas().0 == 0);
}

/// The threads of this process by name, with the signals that they block.
fn threads() -> Vec<(String, u64)> {
    let tasks = std::fs::read_dir("/proc/self/task").unwrap();
    let read = |task: std::io::Result<std::fs::DirEntry>| {
        let path = task.ok()?.path();
        let name = std::fs::read_to_string(path.join("comm")).ok()?.trim().to_owned();
        let status = std::fs::read_to_string(path.join("status")).ok()?;
        let mask = status.lines().find_map(|line| line.strip_prefix("SigBlk:"))?.trim().to_owned();
        Some((name, u64::from_str_radix(&mask, 16).ok()?))
    };
    tasks.filter_map(read).collect()
}

#[test]
fn threads_have_names_and_block_every_signal() {
    let server = Server::start(Which::chosen()[0]);
    let replica = ready(&server.url(), &[]);
    let all = threads();
    for name in ["rets/link", "rets/apply"] {
        assert!(all.iter().any(|(thread, _)| thread == name), "{all:?}");
    }
    // All but SIGKILL and SIGSTOP, which nobody can block, up to SIGSYS.
    let blockable = ((1u64 << 31) - 1) & !(1 << 8) & !(1 << 18);
    for (name, mask) in all.iter().filter(|(name, _)| name.starts_with("rets/")) {
        assert_eq!(mask & blockable, blockable, "{name} blocks {mask:x}");
    }
    let ours = std::fs::read_to_string("/proc/thread-self/status").unwrap();
    let blocked = ours.lines().find_map(|line| line.strip_prefix("SigBlk:")).unwrap().trim();
    let blocked = u64::from_str_radix(blocked, 16).unwrap();
    assert_eq!(blocked & blockable, 0, "the host's own mask is as it was");
    assert_eq!(replica.stop(PATIENCE_MS), Ok(()));
}

/// Open descriptors with their flags.
fn descriptors() -> BTreeMap<u32, u32> {
    let all = std::fs::read_dir("/proc/self/fdinfo").unwrap();
    let read = |file: std::io::Result<std::fs::DirEntry>| {
        let path = file.ok()?.path();
        let text = std::fs::read_to_string(&path).ok()?;
        let flags = text.lines().find_map(|line| line.strip_prefix("flags:"))?.trim().to_owned();
        let number = path.file_name()?.to_str()?.parse().ok()?;
        Some((number, u32::from_str_radix(&flags, 8).ok()?))
    };
    all.filter_map(read).collect()
}

#[test]
fn descriptors_are_closed_in_programs_that_the_host_starts() {
    // Whoever started the tests may have left some open; tests at the same time leave none.
    let inherited = |all: BTreeMap<u32, u32>| -> Vec<u32> {
        let stays = |(fd, flags): (u32, u32)| (flags & libc::O_CLOEXEC as u32 == 0).then_some(fd);
        all.into_iter().filter_map(stays).collect()
    };
    let before = inherited(descriptors());
    let server = Server::start(Which::chosen()[0]);
    let replicas = [ready(&server.url(), &[]), ready(&server.unix_url(), &[])];
    assert_eq!(inherited(descriptors()), before);
    drop(replicas);
}
