//! Recorded primaries of many versions, played to the engine: each is attached to in its own way,
//! its snapshot is complete, its stream goes on at exactly the right byte after any cut.
//!
//! Sessions with commands that are not followed yet are compared in those keys that none of their
//! commands touches; the others in all.

#![allow(clippy::expect_used, clippy::print_stdout, clippy::unwrap_used)]

mod support;

use rets::command::{Action, find};
use rets::error::Kind;
use rets::replica::{Answer, Element, Replica, State, Type, Whole};
use rets::resp::Reader;
use serde_json::{Value, json};
use std::collections::HashSet;
use support::corpus::compare_rows;
use support::follower::{PATIENCE_MS, found, get, ready, replica, wait_info};
use support::random::Dice;
use support::replay::Options;
use support::{Chunks, Replay, Session, wait_until};

/// Those without streams: their snapshots are loaded by every version of ours.
const OLD: &[&str] = &["redis-2.4", "redis-2.8", "redis-3.2"];

/// What the stream of a session is made of.
struct Contents {
    /// Offsets, counted from the first byte of the stream, at which no transaction is open.
    borders: Vec<usize>,
    /// All arguments of all commands: a key that is not among them is as the snapshot has it.
    words: HashSet<Vec<u8>>,
    /// Names of commands that are not followed.
    unknown: HashSet<String>,
}

fn contents(session: &Session) -> Contents {
    let mut reader = Reader::new();
    reader.feed(session.stream());
    let (mut at, mut open) = (0, false);
    let mut contents =
        Contents { borders: vec![0], words: HashSet::new(), unknown: HashSet::new() };
    while let Some(command) = reader.next().expect("a sound stream") {
        at += command.wire_len;
        contents.words.extend(command.args.iter().map(|arg| arg.to_vec()));
        let name = command.args.first().map(|name| String::from_utf8_lossy(name).to_uppercase());
        let Some(name) = name else { continue };
        match find(name.as_bytes()).map(|row| row.action) {
            None => drop(contents.unknown.insert(name)),
            Some(Action::Multi) => open = true,
            Some(Action::Exec | Action::Discard) => open = false,
            Some(_) => {}
        }
        if !open {
            contents.borders.push(at);
        }
    }
    assert_eq!(at, session.stream().len(), "the recording ends with a whole command");
    contents
}

/// Bytes as the rows of the corpus have them: each code point is one byte.
fn text(bytes: &[u8]) -> Value {
    Value::String(bytes.iter().map(|byte| char::from(*byte)).collect())
}

/// `%.17g`, by way of the crate's own printing, which has tests of its own.
fn score(score: f64) -> Value {
    Value::String(rets::text::format_f64_17g(score))
}

fn row(replica: &Replica, db: u32, key: &[u8]) -> Value {
    let mut copy = Whole::default();
    let answer = replica.lookups().whole(db, key, true, &mut copy).expect("memory");
    assert_eq!(answer, Answer::Found(()));
    let kind = copy.kind().expect("a value");
    let mut elements = Vec::new();
    while let Some(element) = copy.element(elements.len()).expect("memory") {
        elements.push(element);
    }
    let bytes = |bytes: Option<&[u8]>| text(bytes.unwrap_or_default());
    let all = |f: &dyn Fn(&Element<'_>) -> Value| Value::Array(elements.iter().map(f).collect());
    let value = match kind {
        Type::String => text(copy.string().unwrap_or_default()),
        Type::List => all(&|e| bytes(e.value)),
        Type::Set => all(&|e| bytes(e.field)),
        Type::Zset => all(&|e| json!([bytes(e.field), score(e.score)])),
        Type::Hash => all(&|e| json!([bytes(e.field), bytes(e.value), e.expires_at_ms])),
        Type::Array => all(&|e| json!([e.index, bytes(e.value)])),
        Type::Module => Value::Null,
        Type::Stream => stream(&copy, &elements),
    };
    json!({
        "db": db,
        "key": text(key),
        "type": kind.name(),
        "expires_at_ms": copy.expires_at_ms(),
        "value": value,
    })
}

/// A stream as a program walks it: the fields of an entry follow each other under its id.
fn stream(copy: &Whole<'_>, elements: &[Element<'_>]) -> Value {
    let entries: Vec<Value> = elements
        .chunk_by(|a, b| a.id == b.id)
        .map(|fields| {
            let parts = fields.iter().flat_map(|e| [e.field, e.value]);
            let parts: Vec<Value> = parts.map(|part| text(part.unwrap_or_default())).collect();
            json!([fields[0].id.to_string(), parts])
        })
        .collect();
    let stream = copy.stream().expect("a stream");
    let groups = stream.groups().map(|(name, group)| {
        let pending = group.pending().map(|pending| {
            let consumer = text(pending.consumer.unwrap_or_default());
            json!([pending.id.to_string(), consumer, pending.deliveries])
        });
        json!({
            "name": text(name),
            "last": group.last_id.to_string(),
            "consumers": group.consumers().map(|consumer| text(consumer.name)).collect::<Vec<_>>(),
            "pending": pending.collect::<Vec<_>>(),
        })
    });
    let groups: Vec<Value> = groups.collect();
    json!({ "entries": entries, "groups": groups, "last_id": stream.last_id().to_string() })
}

fn rows(replica: &Replica) -> Vec<Value> {
    let mut rows = Vec::new();
    for (db, keys) in support::follower::keys(replica) {
        rows.extend(keys.iter().map(|key| row(replica, db, key)));
    }
    rows
}

/// Compares what can be compared; returns how many rows.
#[track_caller]
fn assert_same(session: &Session, contents: &Contents, replica: &Replica) -> usize {
    let (mut expected, mut got) = (session.rows(), rows(replica));
    if !contents.unknown.is_empty() {
        let untouched = |row: &Value| {
            let key = row["key"].as_str().unwrap();
            let key: Vec<u8> = key.chars().map(|c| c as u8).collect();
            !contents.words.contains(&key)
        };
        expected.retain(untouched);
        got.retain(untouched);
    } else {
        let Answer::Found(digest) = replica.digest() else { panic!("closed") };
        assert_eq!(digest.hex, session.digest, "{}", session.name);
    }
    let comparison = compare_rows(&expected, &got, session.has_exact_deadlines());
    comparison.assert_equal();
    comparison.equal
}

/// Goes on after what is not followed yet.
const LENIENT: &[(&str, &str)] = &[("on-unknown", "continue"), ("on-failure", "continue")];

/// The types of a session that are not followed yet.
fn strange_types(session: &Session) -> Vec<&'static str> {
    let followed = [("stream", find(b"XADD").is_some()), ("array", find(b"ARSET").is_some())];
    let has = |name: &str| session.rows().iter().any(|row| row["type"] == name);
    followed.iter().filter(|(name, yes)| !yes && has(name)).map(|(name, _)| *name).collect()
}

#[test]
fn every_recorded_session_is_followed_to_its_end_or_refused_by_name() {
    let mut report = String::new();
    for session in Session::all() {
        let contents = contents(&session);
        let chunks = Chunks::Random { seed: 11, most: 5000 };
        let primary = Replay::start(session.clone(), Options { chunks, ..Options::default() });
        let replica = replica(&primary.url(), LENIENT);
        replica.start().unwrap();
        wait_info(&replica, &session.name, |info| info.ready || info.last_error.is_some());
        let strange = strange_types(&session);
        if !strange.is_empty() {
            let error = replica.info().last_error.expect("a refusal");
            assert_eq!(error.kind(), Kind::Unsupported, "{}: {error}", session.name);
            assert!(strange.iter().any(|name| error.text().contains(name)), "{error}");
            assert!(error.text().contains("key \"") && error.text().contains("offset"), "{error}");
            assert_eq!(replica.wait_ready(1).unwrap_err().kind(), Kind::Timeout);
            report += &format!("{}: {error}\n", session.name);
        } else {
            assert!(replica.info().ready, "{}: {:#?}", session.name, replica.info());
            wait_for_the_end(&session, &primary, &replica);
            let equal = assert_same(&session, &contents, &replica);
            assert!(equal > 0, "{}: nothing was compared", session.name);
            let unknown = contents.unknown.len();
            let all = session.rows().len();
            report += &format!(
                "{}: {} keys loaded, {equal} of {all} rows compared, {unknown} commands unknown\n",
                session.name,
                replica.info().loaded_keys
            );
        }
        assert_eq!(replica.stop(PATIENCE_MS), Ok(()));
    }
    println!("{report}");
}

/// Waits until the end of the stream is applied.
#[track_caller]
fn wait_for_the_end(session: &Session, primary: &Replay, replica: &Replica) {
    if session.position().is_some() {
        primary.wait_ack(session.final_offset());
        assert_eq!(replica.info().offset, session.final_offset());
    } else {
        // No offset is known, so that something is added to its end, looked for, and taken away.
        let end = format!("the end of sync {}", replica.info().full_syncs);
        primary.add_command(&["SELECT", "0"]);
        primary.add_command(&["SET", &end, "1"]);
        wait_until("the stream is applied", || get(replica, 0, &end) == found("1"));
        primary.add_command(&["DEL", &end]);
        wait_until("its end is gone", || get(replica, 0, &end) == Answer::NotFound);
    }
}

#[test]
fn each_version_is_greeted_in_its_own_way() {
    let hello = ["PING", "REPLCONF capa eof capa psync2", "REPLCONF version 9.1.0", "PSYNC ? -1"];
    for name in OLD {
        let session = Session::load(name);
        let primary = Replay::start(session.clone(), Options::default());
        let replica = ready(&primary.url(), LENIENT);
        wait_for_the_end(&session, &primary, &replica);
        let info = replica.info();
        let lines = primary.lines(0);
        assert_eq!(lines[..4], hello, "{name}");
        match *name {
            "redis-2.4" => {
                // It would answer an ACK with an error in the middle of the stream.
                assert_eq!(lines[4..], ["SYNC"]);
                assert_eq!((info.offset, info.replid), (-1, None));
                assert_eq!(info.server_version, "");
            }
            _ => {
                assert!(lines[4..].iter().all(|line| line.starts_with("REPLCONF ACK ")));
                assert_eq!(info.offset, session.final_offset());
            }
        }
        assert_eq!(info.load_total_bytes < 0, session.capa_eof, "{name}");
        assert_eq!(info.full_syncs, 1);
        assert_eq!(info.state, State::Following);
    }
}

#[test]
fn a_server_without_psync_is_synced_anew_after_a_cut() {
    let session = Session::load("redis-2.4");
    let primary = Replay::start(session.clone(), Options::default());
    let replica = ready(&primary.url(), LENIENT);
    wait_for_the_end(&session, &primary, &replica);
    let before = rows_but_deadlines(&replica);
    primary.cut();
    wait_info(&replica, "another sync", |info| info.full_syncs == 2);
    wait_for_the_end(&session, &primary, &replica);
    assert_eq!(primary.lines(1).last().map(String::as_str), Some("SYNC"));
    assert_eq!(rows_but_deadlines(&replica), before);
}

/// Cuts one session at many places, also in its snapshot, and checks what is asked for afterwards.
fn cut_everywhere(name: &str, seed: u64, snapshot_cuts: usize, stream_cuts: usize) -> usize {
    let session = Session::load(name);
    let contents = contents(&session);
    let mut dice = Dice::new(seed);
    let mut cuts: Vec<usize> = (0..snapshot_cuts)
        .map(|_| session.rdb_start + dice.below(session.rdb_end - session.rdb_start))
        .collect();
    let stream = session.rdb_end..session.bytes.len();
    let mut behind: Vec<_> =
        (0..stream_cuts).map(|_| stream.start + dice.below(stream.len())).collect();
    behind.sort();
    cuts.extend(&behind);
    let chunks = Chunks::Random { seed, most: 700 };
    let options = Options { chunks, cuts, resume: true, ..Options::default() };
    let primary = Replay::start(session.clone(), options);
    // Between two failed snapshots it waits longer each time.
    let replica = replica(&primary.url(), LENIENT);
    replica.start().unwrap();
    replica.wait_ready(PATIENCE_MS).unwrap();
    primary.wait_ack(session.final_offset());

    let asked: Vec<_> = primary.heard().iter().map(|heard| heard.line()).collect();
    let asked: Vec<_> = asked.iter().filter(|line| line.starts_with("PSYNC")).collect();
    let (id, begin) = session.position().expect("it tells its offset");
    let mut expected = vec!["PSYNC ? -1".to_owned(); snapshot_cuts + 1];
    for cut in &behind {
        let arrived = cut - session.rdb_end;
        let border = contents.borders.iter().filter(|border| **border <= arrived).max().unwrap();
        expected.push(format!("PSYNC {id} {}", begin + *border as i64 + 1));
    }
    assert_eq!(asked, expected.iter().collect::<Vec<_>>(), "{name}, seed {seed}");
    assert_same(&session, &contents, &replica);
    let info = replica.info();
    assert_eq!(info.partial_syncs as usize, stream_cuts);
    assert_eq!(info.full_syncs as usize, snapshot_cuts + 1);

    // Uncut, every command is applied as often: once.
    let whole = Replay::start(session.clone(), Options::default());
    let uncut = ready(&whole.url(), LENIENT);
    whole.wait_ack(session.final_offset());
    let applied = |replica: &Replica| {
        let info = replica.info();
        (info.commands_applied, info.unknown_commands, info.failed_commands, info.offset)
    };
    assert_eq!(applied(&replica), applied(&uncut), "{name}, seed {seed}");
    assert_eq!(rows_but_deadlines(&replica), rows_but_deadlines(&uncut));
    behind.len()
}

/// Deadlines that came as times to live depend on when they came.
fn rows_but_deadlines(replica: &Replica) -> Vec<Value> {
    let mut rows = rows(replica);
    for row in &mut rows {
        if !row["expires_at_ms"].is_null() {
            row["expires_at_ms"] = json!("some");
        }
    }
    rows
}

#[test]
fn a_session_cut_anywhere_goes_on_at_exactly_the_next_unit() {
    let mut cuts = 0;
    for seed in 1..=3 {
        cuts += cut_everywhere("redis-2.8", seed, 2, 40);
        cuts += cut_everywhere("redis-3.2", seed, 2, 40);
    }
    println!("{cuts} cuts in streams");
}

#[test]
fn bytes_one_by_one_are_as_good() {
    let session = Session::load("redis-2.8");
    let options = Options { chunks: Chunks::Of(1), ..Options::default() };
    let primary = Replay::start(session.clone(), options);
    let replica = ready(&primary.url(), LENIENT);
    primary.wait_ack(session.final_offset());
    assert_same(&session, &contents(&session), &replica);
    assert_eq!(get(&replica, 0, "no such key"), Answer::NotFound);
}
