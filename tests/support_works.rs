//! The ground the other tests stand on must hold: servers start, answer and die, recordings are
//! whole, and the playing primary says what real ones say.

#![allow(clippy::expect_used, clippy::unwrap_used)]

mod support;

use rets::command::{ROWS, Row, about};
use serde_json::json;
use std::collections::BTreeMap;
use std::path::Path;
use std::time::{Duration, Instant};
use support::corpus::{compare_rows, parse_rows};
use support::proxy::{Proxy, Way};
use support::random::opening::{SCENES, scenes};
use support::random::{Dice, Generator, samples};
use support::replay::Options;
use support::server::{Restart, choose, spawn};
use support::shrink::{Enough, Shrunk, shrink};
use support::{Chunks, Client, Replay, Reply, Server, Session, Which, on_each_server, wait_until};

on_each_server!(
    answers_with_its_version,
    dies_with_its_owner,
    is_started_again_with_its_data_or_without,
    pauses_and_goes_on,
    takes_further_arguments,
    digests_and_offsets_can_be_asked_for,
    a_network_keeps_delays_cuts_and_leads_elsewhere,
);

fn answers_with_its_version(which: Which) {
    let server = Server::start(which);
    let (major, minor, patch) = server.version();
    assert_eq!(server.client().info("redis_version"), format!("{major}.{minor}.{patch}"));
    let mut unix = Client::unix(&server.socket()).unwrap();
    assert_eq!(unix.command(&["PING"]).text(), "PONG");
    match which {
        Which::Distribution => assert!(major >= 6),
        Which::Redis62 => assert_eq!((major, minor), (6, 2)),
        Which::Redis82 => assert_eq!((major, minor), (8, 2)),
    }
}

fn a_network_keeps_delays_cuts_and_leads_elsewhere(which: Which) {
    let (one, other) = (Server::start(which), Server::start(which));
    let proxy = Proxy::to(one.port());
    let connect = || Client::tcp(proxy.port()).unwrap();
    let port = |client: &mut Client| client.info("tcp_port").parse::<u16>().unwrap();
    let mut client = connect();
    assert_eq!(port(&mut client), one.port());

    // Held on the way there, nothing is done; held on the way back, it is done and nobody hears.
    let value = || one.client().command(&["GET", "k"]);
    for (down, up, done) in [(Way::Open, Way::Held, "first"), (Way::Held, Way::Open, "second")] {
        proxy.set(down, up);
        client.raw(format!("SET k {done}\r\n").as_bytes());
        if up == Way::Open {
            wait_until("it is done", || value() == Reply::Bulk(b"second".to_vec()));
        }
        let was = value();
        proxy.restore();
        assert_eq!(client.reply().unwrap().text(), "OK");
        assert_eq!(was == value(), up == Way::Open);
    }

    let delay = Duration::from_millis(50);
    proxy.set(Way::Slow(delay), Way::Slow(delay));
    let began = Instant::now();
    assert_eq!(client.command(&["PING"]).text(), "PONG");
    assert!(began.elapsed() >= 2 * delay);
    proxy.restore();

    // Who is connected stays where he is.
    proxy.lead_to(other.port());
    assert_eq!(port(&mut client), one.port());
    proxy.cut();
    assert!(client.try_command(&["PING"]).is_err());
    client = connect();
    assert_eq!(port(&mut client), other.port());

    proxy.close();
    assert!(client.try_command(&["PING"]).is_err());
    assert_eq!((proxy.accepted(), proxy.turned_away()), (2, 0));
    assert!(connect().try_command(&["PING"]).is_err());
    wait_until("it is counted", || proxy.turned_away() == 1);
    proxy.restore();
    assert_eq!(port(&mut connect()), other.port());
    drop(other);
    assert!(connect().try_command(&["PING"]).is_err());
}

fn dies_with_its_owner(which: Which) {
    let failed = std::thread::spawn(move || {
        let server = Server::start(which);
        let left = (server.pid().unwrap(), server.port(), server.folder().to_owned());
        std::panic::panic_any(left);
    });
    // The thread that started it is gone, by way of a panic.
    let left = failed.join().unwrap_err();
    let (pid, port, folder) = *left.downcast::<(u32, u16, std::path::PathBuf)>().unwrap();
    assert!(!Path::new(&format!("/proc/{pid}")).exists());
    assert!(Client::tcp(port).is_err());
    assert!(!folder.exists());
}

fn is_started_again_with_its_data_or_without(which: Which) {
    let mut server = Server::start(which);
    let port = server.port();
    server.client().accepted(&["SET", "k", "v"]);
    server.restart(Restart::WithData);
    assert_eq!(server.client().command(&["GET", "k"]).text(), "v");
    server.restart(Restart::Empty);
    assert_eq!(server.client().command(&["DBSIZE"]).int(), 0);
    server.client().accepted(&["SET", "k", "v"]);
    server.kill();
    assert!(Client::tcp(port).is_err());
    server.start_again();
    assert_eq!(server.port(), port);
    assert_eq!(server.client().command(&["DBSIZE"]).int(), 0, "a power cut saves nothing");
}

fn pauses_and_goes_on(which: Which) {
    let state = |server: &Server| {
        let stat = format!("/proc/{}/stat", server.pid().unwrap());
        std::fs::read_to_string(stat).unwrap().rsplit(") ").next().unwrap().chars().next()
    };
    let server = Server::start(which);
    server.pause();
    wait_until("the server is stopped", || state(&server) == Some('T'));
    server.resume();
    assert_eq!(server.client().command(&["PING"]).text(), "PONG");
}

fn takes_further_arguments(which: Which) {
    let server = Server::start_with(which, &["--requirepass", "se cret"]);
    let mut client = server.client();
    assert!(client.command(&["PING"]).error().unwrap().starts_with("NOAUTH"));
    client.accepted(&["AUTH", "se cret"]);
    assert_eq!(client.command(&["PING"]).text(), "PONG");
}

fn digests_and_offsets_can_be_asked_for(which: Which) {
    let server = Server::start(which);
    let mut client = server.client();
    assert_eq!(client.digest(), "0".repeat(40));
    let sets: Vec<_> =
        (0..2000).map(|n| ["SET".to_owned(), "k".to_owned(), n.to_string()]).collect();
    assert!(client.pipeline(&sets).iter().all(|reply| reply.text() == "OK"));
    assert_eq!(client.digest().len(), 40);
    assert_ne!(client.digest(), "0".repeat(40));
    assert_eq!(client.digest_values(&["k", "none"])[1], "0".repeat(40));
    assert_eq!(client.replicas(), (0, None));
    assert_eq!((client.offset(), client.replid().len()), (0, 40));
}

#[test]
fn a_narrower_choice_of_servers_is_understood() {
    assert_eq!(choose("8.2, 7.0"), [Which::Redis82, Which::Distribution]);
    assert_eq!(choose("distribution"), [Which::Distribution]);
    assert!(std::panic::catch_unwind(|| choose("7.0,9.9")).is_err(), "an unknown name is refused");
}

#[test]
fn a_process_outlives_the_thread_that_ordered_it() {
    let mut command = std::process::Command::new("sleep");
    command.arg("60");
    let mut child = std::thread::spawn(move || spawn(command)).join().unwrap();
    // Time for a signal that must not come; when it is too short the test passes wrongly, never
    // fails wrongly.
    std::thread::sleep(Duration::from_millis(50));
    assert!(child.try_wait().unwrap().is_none());
    child.kill().unwrap();
    child.wait().unwrap();
}

/// Set for a copy of this program that only holds a server until it is killed.
const HOLD: &str = "RETS_TEST_HOLDS_A_SERVER";

#[test]
fn no_server_survives_a_killed_test_process() {
    if std::env::var_os(HOLD).is_some() {
        let server = Server::start(Which::chosen()[0]);
        let own = std::env::var_os(HOLD).unwrap();
        std::fs::write(own, server.pid().unwrap().to_string()).unwrap();
        std::thread::sleep(support::PATIENCE);
        panic!("it was to be killed");
    }
    let note = tempfile::tempdir().unwrap().keep();
    let told = || std::fs::read_to_string(note.join("pid")).unwrap_or_default();
    let mut copy = std::process::Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "no_server_survives_a_killed_test_process", "--nocapture"])
        .env(HOLD, note.join("pid"))
        .env("TMPDIR", &note)
        .stdout(std::process::Stdio::null())
        .spawn()
        .unwrap();
    wait_until("the copy has a server", || !told().is_empty());
    let server = format!("/proc/{}/stat", told());
    assert!(std::fs::read_to_string(&server).unwrap().contains("redis"));
    copy.kill().unwrap();
    copy.wait().unwrap();
    // Whoever adopts it may be slow to take note of its end.
    let alive = || std::fs::read_to_string(&server).is_ok_and(|s| !s.contains(") Z"));
    wait_until("the server has ended", || !alive());
    std::fs::remove_dir_all(note).unwrap();
}

#[test]
fn every_recorded_session_is_whole() {
    let names: Vec<_> = Session::all().iter().map(|session| session.name.clone()).collect();
    let expected = [
        "redis-2.4",
        "redis-2.8",
        "redis-3.2",
        "redis-5.0",
        "redis-7.4",
        "redis-8.9",
        "valkey-8.0",
        "valkey-9.0",
    ];
    assert_eq!(names, expected);
    for session in Session::all() {
        let name = &session.name;
        let magic = if name == "valkey-9.0" { "VALKEY" } else { "REDIS" };
        assert!(session.snapshot().starts_with(magic.as_bytes()), "{name}");
        assert!(session.stream().starts_with(b"*"), "{name}");
        assert_eq!(session.psync, session.position().is_some(), "{name}");
        assert_eq!(session.digest.len(), 40, "{name}");
        let facts = std::fs::read_to_string(
            support::repository().join("tests/corpus").join(format!("{name}.json")),
        );
        let facts: serde_json::Value = serde_json::from_str(&facts.unwrap()).unwrap();
        assert_eq!(session.rows().len() as u64, facts["keys"].as_u64().unwrap(), "{name}");
        if let Some(offset) = facts["master_repl_offset"].as_str() {
            assert_eq!(session.final_offset().to_string(), offset, "{name}");
        }
        session.compare(&session.rows()).assert_equal();
    }
}

#[test]
fn rows_differ_when_anything_but_noise_differs() {
    let row = |text: &str| parse_rows(text);
    let a = row(r#"{"db":0,"expires_at_ms":5,"key":"k","type":"string","value":"v"}"#);
    let differ = |got: &str, exact| compare_rows(&a, &row(got), exact).differences.len();
    assert_eq!(
        differ(r#"{"db":0,"expires_at_ms":5,"key":"k","type":"string","value":"v"}"#, true),
        0
    );
    assert_eq!(
        differ(r#"{"db":0,"expires_at_ms":6,"key":"k","type":"string","value":"v"}"#, true),
        1
    );
    assert_eq!(
        differ(r#"{"db":0,"expires_at_ms":6,"key":"k","type":"string","value":"v"}"#, false),
        0
    );
    assert_eq!(
        differ(r#"{"db":0,"expires_at_ms":null,"key":"k","type":"string","value":"v"}"#, false),
        1
    );
    assert_eq!(
        differ(r#"{"db":0,"expires_at_ms":5,"key":"k","type":"list","value":"v"}"#, true),
        1
    );
    assert_eq!(
        differ(r#"{"db":0,"expires_at_ms":5,"key":"k","type":"string","value":"w"}"#, true),
        1
    );
    assert_eq!(
        differ(r#"{"db":1,"expires_at_ms":5,"key":"k","type":"string","value":"v"}"#, true),
        2,
        "one is missing, one is too much"
    );
    assert_eq!(compare_rows(&a, &[a[0].clone(), a[0].clone()], true).differences.len(), 1);
}

#[test]
fn noise_is_counted_and_nothing_more_is_noise() {
    let compare = |kind: &str, a, b| {
        let outcome = compare_rows(&[typed_row(kind, a)], &[typed_row(kind, b)], true);
        (outcome.noisy, outcome.differences.len())
    };
    let sum = "0.30000000000000004";
    assert_eq!(compare("zset", json!([["m", sum]]), json!([["m", "0.29999999999999999"]])), (1, 0));
    assert_eq!(compare("zset", json!([["m", sum]]), json!([["m", "0.3001"]])), (0, 1));
    assert_eq!(compare("zset", json!([["m", "1"]]), json!([["n", "1"]])), (0, 1));
    assert_eq!(compare("hash", json!([["f", sum, null]]), json!([["f", "0.3", null]])), (0, 1));
    let group =
        |consumers, pending| json!({"groups": [{"consumers": consumers, "pending": pending}]});
    let pending = json!([["1-1", "a", 1]]);
    let with_idle = group(json!(["a", "idle"]), pending.clone());
    assert_eq!(compare("stream", with_idle.clone(), group(json!(["a"]), pending.clone())), (1, 0));
    assert_eq!(compare("stream", with_idle, group(json!([]), pending)), (0, 1));
}

fn typed_row(kind: &str, value: serde_json::Value) -> serde_json::Value {
    json!({"db": 0, "expires_at_ms": null, "key": "k", "type": kind, "value": value})
}

/// Says what a plain replica says until its PSYNC or SYNC is on the way.
fn attach(primary: &Replay, session: &Session) -> Client {
    let mut client = Client::tcp(primary.port()).unwrap();
    assert_eq!(client.command(&["PING"]).text(), "PONG");
    let capa = client.command(&["REPLCONF", "capa", "eof", "capa", "psync2"]);
    assert_eq!(capa.error().is_none(), session.psync);
    let mut words = vec![];
    support::client::write_command(
        &mut words,
        if session.psync { &["PSYNC", "?", "-1"][..] } else { &["SYNC"][..] },
    );
    client.raw(&words);
    client
}

#[test]
fn every_session_is_played_to_the_last_byte() {
    for session in Session::all() {
        for chunks in [Chunks::Whole, Chunks::Of(4096), Chunks::Random { seed: 7, most: 900 }] {
            let options = Options { chunks, ..Options::default() };
            let primary = Replay::start(session.clone(), options);
            let mut client = attach(&primary, &session);
            let snapshot = client.exactly(session.rdb_end);
            assert!(snapshot == session.bytes[..session.rdb_end], "{}", session.name);
            if session.psync {
                client.raw(b"*3\r\n$8\r\nREPLCONF\r\n$3\r\nACK\r\n$1\r\n0\r\n\n");
            }
            assert!(client.exactly(session.stream().len()) == session.stream(), "{}", session.name);
            primary.add_command(&["PING"]);
            assert_eq!(client.exactly(14), b"*1\r\n$4\r\nPING\r\n");
            assert_eq!(primary.final_offset(), session.final_offset() + 14);
        }
    }
}

#[test]
fn behind_a_mark_the_stream_waits_for_an_acknowledgement() {
    let session = Session::load("redis-7.4");
    let options = Options { missed_acks: 1, ..Options::default() };
    let primary = Replay::start(session.clone(), options);
    let mut client = attach(&primary, &session);
    client.exactly(session.rdb_end);
    client.raw(b"REPLCONF ACK 11\r\n");
    primary.wait_ack(11);
    assert_eq!(primary.heard().last().unwrap().position, session.rdb_end, "nothing more was sent");
    client.raw(b"REPLCONF ACK 12\r\n");
    assert!(client.exactly(session.stream().len()) == session.stream());
    assert_eq!(primary.acks(), [11, 12]);
}

#[test]
fn a_session_is_cut_and_continued_where_it_was_cut() {
    let session = Session::load("redis-5.0");
    let (id, offset) = session.position().unwrap();
    let cut = session.rdb_end + 1000;
    let options = Options { cuts: vec![cut], resume: true, ..Options::default() };
    let primary = Replay::start(session.clone(), options);
    let mut first = attach(&primary, &session);
    first.exactly(cut);
    assert!(first.line().is_err(), "it ends there");
    let mut second = Client::tcp(primary.port()).unwrap();
    let next = (offset + 1001).to_string();
    let reply = second.command(&["PSYNC", &id, &next]);
    assert_eq!(reply.text(), format!("CONTINUE {id}"));
    assert!(second.exactly(session.bytes.len() - cut) == session.bytes[cut..]);
    // Offsets that are not in the recording, and other ids, begin anew.
    for (id, next) in [(&id, "0"), (&id, "999999999"), (&"0".repeat(40), next.as_str())] {
        let mut other = Client::tcp(primary.port()).unwrap();
        let reply = other.command(&["PSYNC", id, next]);
        assert!(reply.text().starts_with("FULLRESYNC"), "{reply:?}");
    }
    assert_eq!(primary.connections(), 5);
}

#[test]
fn refusals_and_passwords_come_in_the_words_of_the_version() {
    let session = Session::load("redis-7.4");
    let options = Options {
        refusals: vec!["-LOADING Redis is loading the dataset in memory".to_owned()],
        password: Some(("default".to_owned(), "secret".to_owned())),
        ..Options::default()
    };
    let primary = Replay::start(session.clone(), options.clone());
    let mut client = Client::tcp(primary.port()).unwrap();
    assert!(client.command(&["PING"]).error().unwrap().starts_with("NOAUTH"));
    assert!(client.command(&["AUTH", "wrong"]).error().unwrap().starts_with("WRONGPASS"));
    assert_eq!(client.command(&["AUTH", "default", "secret"]).text(), "OK");
    let version = client.command(&["REPLCONF", "version", "9.1.0"]);
    assert_eq!(version.error(), Some("ERR Unrecognized REPLCONF option: version"));
    assert!(client.command(&["PSYNC", "?", "-1"]).error().unwrap().starts_with("LOADING"));
    assert!(client.line().is_err(), "and it is cut");
    let mut client = Client::tcp(primary.port()).unwrap();
    client.accepted(&["AUTH", "secret"]);
    assert!(client.command(&["PSYNC", "?", "-1"]).text().starts_with("FULLRESYNC"));
    assert!(primary.lines(1).contains(&"AUTH secret".to_owned()));

    let old = Replay::start(Session::load("redis-2.4"), options);
    let mut client = Client::tcp(old.port()).unwrap();
    assert_eq!(client.command(&["PING"]).error(), Some("ERR operation not permitted"));
    assert_eq!(client.command(&["AUTH", "wrong"]).error(), Some("ERR invalid password"));
    assert_eq!(client.command(&["AUTH", "secret"]).text(), "OK");
    assert!(client.command(&["PSYNC", "?", "-1"]).error().unwrap().contains("unknown command"));
}

#[test]
fn what_a_session_holds_is_counted_by_name() {
    // The README beside the recordings says which of them end in a mark.
    let marks: BTreeMap<_, _> = Session::all().into_iter().map(|s| (s.name, s.capa_eof)).collect();
    let with: Vec<_> =
        marks.iter().filter(|(_, eof)| **eof).map(|(name, _)| name.as_str()).collect();
    assert_eq!(with, ["redis-3.2", "redis-7.4", "redis-8.9"]);
}

/// Shrinks numbers; a list shows the fault that has all of these.
fn shrunk(list: &[u32], needed: &[u32], likely: impl Fn(&u32) -> bool) -> (Vec<u32>, usize) {
    let mut tries = 0;
    let shrunk = shrink(list, likely, |list| {
        tries += 1;
        Ok(needed.iter().all(|one| list.contains(one)))
    });
    let shrunk = shrunk.unwrap();
    assert!(shrunk.least);
    (shrunk.list, tries)
}

#[test]
fn a_list_shrinks_to_what_shows_the_fault() {
    let list: Vec<u32> = (0..1000).collect();
    let all = |_: &u32| true;
    let cases: &[&[u32]] =
        &[&[0], &[999], &[500], &[0, 999], &[3, 4, 5], &[1, 250, 251, 600, 998], &[7, 77, 777]];
    for needed in cases {
        assert_eq!(shrunk(&list, needed, all).0, *needed);
    }
    // What is likely spares tries, and does no harm where it is wrong.
    let (found, many) = shrunk(&list, &[400, 500], all);
    let (also_found, few) = shrunk(&list, &[400, 500], |n| n % 100 == 0);
    assert_eq!((found, few < many), (also_found, true));
    assert_eq!(shrunk(&list, &[400, 501], |n| n % 100 == 0).0, [400, 501]);
    let mut dice = Dice::new(1);
    for _ in 0..200 {
        let list: Vec<u32> = (0..1 + dice.below(300) as u32).collect();
        let mut needed: Vec<u32> = (0..1 + dice.below(6)).map(|_| *dice.pick(&list)).collect();
        needed.sort_unstable();
        needed.dedup();
        assert_eq!(shrunk(&list, &needed, all).0, needed);
    }
}

#[test]
fn what_belongs_together_is_left_out_together_or_not_at_all() {
    // As a transaction does: 1 begins it, 9 ends it, and 5 shows the fault outside of it as well.
    let shows = |list: &[u32]| {
        let at = |n| list.iter().position(|one| *one == n);
        let (begin, fault, end) = (at(1), at(5), at(9));
        Ok(fault.is_some() && (begin.is_none() || end.is_some()))
    };
    let list: Vec<u32> = (0..20).collect();
    assert_eq!(shrink(&list, |_| true, shows), Some(Shrunk { list: vec![5], least: true }));
    // Both or none of two, wherever they are.
    let shows = |list: &[u32]| Ok(list.contains(&5) && list.contains(&2) == list.contains(&11));
    assert_eq!(shrink(&list, |_| true, shows), Some(Shrunk { list: vec![5], least: true }));
}

#[test]
fn what_does_not_show_again_is_not_shrunk_and_tries_have_an_end() {
    let list: Vec<u32> = (0..1000).collect();
    assert_eq!(shrink(&list, |_| true, |_| Ok(false)), None);
    assert_eq!(shrink(&list, |_| true, |_| Err(Enough)), None);
    let mut least = 0;
    for most in 1..100 {
        let mut tries = 0;
        let shows = |list: &[u32]| {
            tries += 1;
            if tries > most { Err(Enough) } else { Ok(list.contains(&3) && list.contains(&800)) }
        };
        let shrunk = shrink(&list, |_| true, shows).unwrap();
        assert!(shrunk.list.contains(&3) && shrunk.list.contains(&800), "after {most}");
        assert!(!shrunk.least || shrunk.list.len() == 2, "after {most}");
        least += usize::from(shrunk.least);
    }
    assert!(least > 0, "with tries enough");
}

#[test]
fn the_same_seed_makes_the_same_commands() {
    let bursts = |seed, now_ms: i64| -> Vec<_> {
        let mut generator = Generator::new(seed, vec![b"a".to_vec(), b"b".to_vec()]);
        (0..20).map(|n| generator.burst(250, now_ms + n)).collect()
    };
    assert!(bursts(1, 1_700_000_000_000) == bursts(1, 1_700_000_000_000));
    assert!(bursts(1, 1_700_000_000_000) != bursts(2, 1_700_000_000_000));
    assert_eq!(samples(1), samples(1));
    // By another clock the same commands have other times in them, and nothing else is different.
    let (then, now) = (bursts(1, 1_700_000_000_000), bursts(1, 1_800_000_000_000));
    let pairs = then.iter().flatten().zip(now.iter().flatten());
    for (a, b) in pairs {
        assert_eq!(a.len(), b.len());
        for (a, b) in a.iter().zip(b).filter(|(a, b)| a != b) {
            let number = |word: &[u8]| std::str::from_utf8(word).unwrap().parse::<i64>().unwrap();
            assert!(number(b) > number(a));
        }
    }
}

#[test]
fn the_opening_has_a_scene_for_every_command_that_a_live_server_sends() {
    let names: Vec<_> = SCENES.iter().map(|(name, _)| *name).collect();
    assert!(names[1..].is_sorted_by(|a, b| a < b), "{names:?}");
    for version in [(6, 2), (7, 0), (8, 2)] {
        let is_played =
            |row: &&Row| scenes(version).any(|(name, _)| name.split(' ').next() == Some(row.name));
        let is_sent = |row: &&Row| about(row.name).unwrap().is_sent_by_redis(version);
        let lacking: Vec<_> =
            ROWS.iter().filter(is_sent).filter(|row| !is_played(row)).map(|row| row.name).collect();
        assert_eq!(lacking, [""; 0], "{version:?}");
    }
}
