//! What no stock server sends, but newer ones, modules or broken ones may: commands and types that
//! nobody knows, commands that do not fit, snapshots that are cut, wrong or twice. The primary is a
//! played one.

#![allow(clippy::expect_used, clippy::unwrap_used)]

mod support;

use rets::change::Phase;
use rets::error::Kind;
use rets::replica::{Answer, State, Whole};
use support::client::write_command;
use support::follower::{
    PATIENCE_MS, Witness, assert_equal, cut_link, found, get, ready, ready_now, replica, wait_info,
    witnessed,
};
use support::replay::Options;
use support::{Replay, Server, Session, Which, wait_until};

/// The id of a made-up session.
const ID: &str = "0123456789abcdef0123456789abcdef01234567";

/// A snapshot of version 9 without a checksum: these entries in database 0.
fn snapshot(entries: &[&[u8]]) -> Vec<u8> {
    let end: &[u8] = &[0xff, 0, 0, 0, 0, 0, 0, 0, 0];
    [b"REDIS0009\xfe\x00", entries.concat().as_slice(), end].concat()
}

/// A string's entry; key and value are short.
fn string(key: &str, value: &str) -> Vec<u8> {
    let (key_len, value_len) = (key.len() as u8, value.len() as u8);
    [&[0, key_len], key.as_bytes(), &[value_len], value.as_bytes()].concat()
}

fn primary(snapshot: &[u8]) -> Replay {
    Replay::start(Session::made_up(snapshot, b""), Options::default())
}

fn simple() -> Replay {
    primary(&snapshot(&[&string("a", "1"), &string("b", "2")]))
}

#[test]
fn a_command_that_nobody_knows_is_reported_and_passed_over() {
    let primary = simple();
    let witness = Witness::new();
    let replica = witnessed(&primary.url(), &[], &witness);
    witness.take();
    primary.add_command(&["SELECT", "3"]);
    primary.add_command(&["new.write", "key", "value"]);
    primary.add_command(&["MULTI"]);
    primary.add_command(&["SET", "after", "1"]);
    primary.add_command(&["NEW.WRITE"]);
    primary.add_command(&["EXEC"]);
    primary.wait_ack(primary.final_offset());
    let asked = witness.take();
    let briefs: Vec<_> = asked.iter().map(|asked| asked.brief()).collect();
    assert_eq!(briefs, ["unknown ", "set after", "unknown "]);
    assert_eq!((asked[0].db, asked[0].phase), (Some(3), Phase::Live));
    assert_eq!(asked[0].args, ["new.write", "key", "value"]);
    let info = replica.info();
    assert_eq!((info.unknown_commands, info.failed_commands, info.full_syncs), (2, 0, 1));
    assert!(info.diverged && info.ready);
    assert!(info.last_error.unwrap().text().contains("NEW.WRITE"));
    assert_eq!(get(&replica, 3, "after"), found("1"));
}

#[test]
fn on_unknown_can_ask_for_a_full_sync_but_not_again_and_again() {
    let primary = simple();
    let replica = ready(&primary.url(), &[("on-unknown", "resync")]);
    primary.add_command(&["NEW.WRITE", "key"]);
    // This primary sends it again after each full sync, as one that goes on using it.
    primary.wait_ack(primary.final_offset());
    assert_eq!((replica.info().full_syncs, replica.info().unknown_commands), (2, 2));
    assert!(replica.info().diverged);
    primary.add_command(&["new.write", "other"]);
    primary.wait_ack(primary.final_offset());
    assert_eq!(replica.info().full_syncs, 2);
    assert_eq!(get(&replica, 0, "a"), found("1"));
    primary.add_command(&["NEWER.WRITE"]);
    wait_info(&replica, "another one", |info| info.full_syncs == 3);
    primary.wait_ack(primary.final_offset());
    assert_eq!(replica.info().full_syncs, 3);
    assert_eq!(replica.stop(PATIENCE_MS), Ok(()));
}

/// A module's value: the identifier of `vectorset` with version 1, two numbers, the end.
fn vectors(key: &str) -> Vec<u8> {
    let letters = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
    let place = |letter: &u8| letters.iter().position(|l| l == letter).unwrap() as u64;
    let name = b"vectorset".iter().fold(0, |name, letter| name << 6 | place(letter));
    let identifier = (name << 10 | 1).to_be_bytes();
    [&[7, key.len() as u8], key.as_bytes(), &[0x81], &identifier, &[2, 5, 1, 3, 0]].concat()
}

#[test]
fn a_command_on_a_value_of_a_module_withholds_that_value_alone() {
    for policy in ["continue", "resync"] {
        let primary = primary(&snapshot(&[&string("a", "1"), &vectors("v"), &vectors("w")]));
        let witness = Witness::new();
        let replica = witnessed(&primary.url(), &[("on-unknown", policy)], &witness);
        let mut copy = Whole::default();
        assert_eq!(replica.lookups().whole(0, b"v", false, &mut copy), Ok(Answer::Found(())));
        let element = copy.element(0).unwrap().unwrap();
        assert_eq!(
            (element.field, element.value),
            (Some(&b"vectorset"[..]), Some(&[2, 5, 1, 3][..]))
        );
        let Answer::Found(digest) = replica.digest() else { panic!("closed") };
        assert!(!digest.complete, "only the module can digest its value");
        let Answer::Found(digest) = replica.key_digest(0, b"v") else { panic!("it is there") };
        assert!(!digest.complete, "only the module can digest its value");
        witness.take();
        primary.add_command(&["VADD", "v", "VALUES", "1", "2", "e"]);
        primary.add_command(&["vrem", "v", "e"]);
        primary.add_command(&["PEXPIREAT", "v", "99999999999999"]);
        primary.add_command(&["RENAME", "v", "x"]);
        primary.add_command(&["VADD", "x", "VALUES", "1", "2", "e"]);
        primary.wait_ack(primary.final_offset());
        let briefs: Vec<_> = witness.take().iter().map(|asked| asked.brief()).collect();
        let edit = ["unknown ", "set v", "unknown ", "expire v", "set x", "delete v", "unknown "];
        assert_eq!(briefs, edit);
        let info = replica.info();
        assert_eq!((info.unknown_commands, info.full_syncs, info.diverged), (3, 1, false));
        assert!(info.last_error.unwrap().text().contains("VADD"));
        assert_eq!(replica.lookups().whole(0, b"x", true, &mut copy), Ok(Answer::Withheld));
        assert_eq!(replica.lookups().whole(0, b"w", true, &mut copy), Ok(Answer::Found(())));
        primary.add_command(&["SET", "x", "2"]);
        primary.add_command(&["VADD", "x", "VALUES", "1", "2", "e"]);
        wait_until("that is a string now", || replica.info().diverged || policy == "resync");
    }
}

#[test]
fn on_unknown_can_stop() {
    let primary = simple();
    let replica = ready(&primary.url(), &[("on-unknown", "stop")]);
    primary.add_command(&["SET", "c", "3"]);
    primary.add_command(&["NEW.WRITE", "key"]);
    wait_info(&replica, "it stops", |info| info.state == State::Failed);
    let info = replica.info();
    assert_eq!(info.last_error.unwrap().kind(), Kind::Unsupported);
    assert!(!info.will_retry && !info.diverged);
    assert_eq!(get(&replica, 0, "c"), found("3"), "what is there stays readable");
    assert_eq!(replica.wait_ready(PATIENCE_MS), Ok(()), "once ready, always ready");
    assert_eq!(replica.stop(PATIENCE_MS), Ok(()));
}

/// A transaction of which the middle does not fit what is there.
fn add_misfit(primary: &Replay) {
    for command in [
        &["MULTI"] as &[&str],
        &["SET", "before", "1"],
        &["RENAME", "nothing", "something"],
        &["SET", "after", "1"],
        &["EXEC"],
    ] {
        primary.add_command(command);
    }
}

#[test]
fn on_failure_can_go_on() {
    let primary = simple();
    let replica = ready(&primary.url(), &[("on-failure", "continue")]);
    add_misfit(&primary);
    primary.wait_ack(primary.final_offset());
    let info = replica.info();
    assert_eq!((info.failed_commands, info.diverged, info.full_syncs), (1, true, 1));
    assert!(info.last_error.unwrap().text().contains("RENAME"));
    assert_eq!(get(&replica, 0, "before"), found("1"));
    assert_eq!(get(&replica, 0, "after"), found("1"));
}

#[test]
fn on_failure_can_stop() {
    let primary = simple();
    let replica = ready(&primary.url(), &[("on-failure", "stop")]);
    add_misfit(&primary);
    wait_info(&replica, "it stops", |info| info.state == State::Failed);
    let info = replica.info();
    assert!(info.diverged && info.last_error.unwrap().text().contains("RENAME"));
    assert_eq!(get(&replica, 0, "before"), Answer::NotFound, "half a unit is not shown");
    assert_eq!(get(&replica, 0, "a"), found("1"));
}

#[test]
fn on_failure_asks_for_a_full_sync() {
    let server = Server::start(Which::chosen()[0]);
    let mut client = server.client();
    client.accepted(&["SET", "a", "one"]);
    let primary = simple();
    let witness = Witness::new();
    let replica = witnessed(&primary.url(), &[], &witness);
    witness.take();
    replica.set_option("url", &server.url()).unwrap();
    add_misfit(&primary);
    wait_info(&replica, "another full sync", |info| info.full_syncs == 2);
    assert_equal(&replica, &mut client);
    assert!(!replica.info().diverged);
    let asked = witness.take();
    assert!(asked.iter().any(|asked| asked.brief() == "delete b" && asked.phase == Phase::Resync));
    assert_eq!(get(&replica, 0, "a"), found("one"));
}

/// Snapshots that can't be used, with what is said of each.
fn unusable() -> Vec<(&'static str, Vec<u8>, Kind, &'static str)> {
    let good = || string("good", "1");
    let mut wrong_sum = snapshot(&[&good()]);
    let end = wrong_sum.len();
    wrong_sum[end - 8..].fill(7);
    let mut no_magic = snapshot(&[&good()]);
    no_magic[..5].copy_from_slice(b"RIDES");
    vec![
        ("type", snapshot(&[&good(), b"\x64\x03bad\x01x"]), Kind::Protocol, "100"),
        ("twice", snapshot(&[&good(), &good()]), Kind::Protocol, "twice"),
        ("sum", wrong_sum, Kind::Protocol, "checksum"),
        ("magic", no_magic, Kind::Protocol, "offset"),
        (
            "length",
            snapshot(&[&good(), b"\x00\x03bad\x81\xff\xff\xff\xff\xff\xff\xff\xff"]),
            Kind::Protocol,
            "",
        ),
    ]
}

#[test]
fn a_first_snapshot_that_can_not_be_used_is_asked_for_again() {
    for (name, bytes, kind, text) in unusable() {
        let primary = primary(&bytes);
        let replica = replica(&primary.url(), &[("link-timeout", "700")]);
        replica.start().unwrap();
        wait_info(&replica, name, |info| info.last_error.is_some());
        let info = replica.info();
        let error = info.last_error.unwrap();
        // A length that never ends is cut short by the length of the transfer.
        assert_eq!(error.kind(), kind, "{name}: {error}");
        assert!(error.text().contains(text), "{name}: {error}");
        assert!(info.will_retry && !info.ready);
        assert_eq!(get(&replica, 0, "good"), Answer::NotReady);
        assert_eq!(replica.wait_ready(1).unwrap_err().kind(), Kind::Timeout);
        // Once the primary has something better, all is well.
        let better = simple();
        replica.set_option("url", &better.url()).unwrap();
        ready_now(&replica);
        assert_eq!(get(&replica, 0, "a"), found("1"), "{name}");
        assert_eq!(get(&replica, 0, "good"), Answer::NotFound, "{name}");
        assert_eq!(replica.stop(PATIENCE_MS), Ok(()));
    }
}

#[test]
fn a_later_snapshot_that_can_not_be_used_leaves_the_old_data() {
    for (name, bytes, kind, _) in unusable() {
        let server = Server::start(Which::chosen()[0]);
        let mut client = server.client();
        client.accepted(&["SET", "a", "old"]);
        let witness = Witness::new();
        let replica = witnessed(&server.url(), &[], &witness);
        witness.take();
        let primary = primary(&bytes);
        replica.set_option("url", &primary.url()).unwrap();
        cut_link(&replica, &mut client);
        wait_info(&replica, name, |info| {
            info.last_error.as_ref().is_some_and(|error| error.kind() == kind)
        });
        assert_eq!(get(&replica, 0, "a"), found("old"), "{name}");
        assert_eq!(get(&replica, 0, "good"), Answer::NotFound, "{name}");
        assert!(replica.info().ready);
        assert_eq!(witness.take(), [], "{name}: nobody hears of a load that is not complete");
        client.accepted(&["SET", "a", "new"]);
        replica.set_option("url", &server.url()).unwrap();
        assert_equal(&replica, &mut client);
        assert_eq!(witness.take_briefs(), ["set a"], "{name}");
    }
}

#[test]
fn a_stream_that_makes_no_sense_is_a_full_sync() {
    let primary = simple();
    let replica = ready(&primary.url(), &[]);
    primary.add_command(&["SET", "c", "3"]);
    primary.wait_ack(primary.final_offset());
    primary.add(b"*2\r\n$3\r\nDEL\r\n!what\r\n");
    wait_info(&replica, "a second full sync", |info| info.full_syncs >= 2);
    wait_info(&replica, "it was told", |info| {
        info.last_error.as_ref().is_some_and(|error| error.kind() == Kind::Protocol)
    });
    assert_eq!(get(&replica, 0, "a"), found("1"));
    let asked: Vec<_> = primary
        .heard()
        .iter()
        .map(|heard| heard.line())
        .filter(|l| l.starts_with("PSYNC"))
        .collect();
    assert!(asked.iter().all(|line| line == "PSYNC ? -1"), "{asked:?}");
}

#[test]
fn a_transaction_that_is_cut_calls_nobody() {
    let mut stream = Vec::new();
    write_command(&mut stream, &["SET", "first", "1"]);
    let border = stream.len();
    write_command(&mut stream, &["MULTI"]);
    write_command(&mut stream, &["SET", "second", "2"]);
    write_command(&mut stream, &["DEL", "first"]);
    let cut = stream.len() + 3;
    write_command(&mut stream, &["EXEC"]);
    let session = Session::made_up(&snapshot(&[&string("a", "1")]), &stream);
    let options = Options { cuts: vec![session.rdb_end + cut], resume: true, ..Options::default() };
    let primary = Replay::start(session, options);
    let witness = Witness::new();
    let replica = witnessed(&primary.url(), &[], &witness);
    primary.wait_ack(primary.final_offset());
    assert_eq!(witness.take_briefs(), ["set a", "set first", "set second", "delete first"]);
    let resumed = primary.wait_heard("a resumption", |heard| heard.line().contains(ID));
    assert_eq!(resumed.line(), format!("PSYNC {ID} {}", border + 1));
    assert_eq!(get(&replica, 0, "second"), found("2"));
    assert_eq!(replica.info().partial_syncs, 1);
}
