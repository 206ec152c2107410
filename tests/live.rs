//! What a replica of a real server has, at every offset and after everything that can happen to
//! the link or the server: what the server has.

#![allow(clippy::expect_used, clippy::unwrap_used)]

mod support;

use rets::change::{Phase, Reason};
use rets::error::Kind;
use rets::replica::{Answer, KeyDigest, Replica, State, Whole};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use support::follower::{
    self, Witness, assert_equal, catch_up, cut_link, found, get, ready, replica, wait_info, whole,
    witnessed,
};
use support::random::{SAMPLE_KEYS, SAMPLES, samples};
use support::server::Restart;
use support::{Client, Reply, Server, Which, on_each_server, wait_until};

on_each_server!(
    first_sync_with_a_length,
    first_sync_with_a_mark,
    commands_arrive_as_they_happen,
    a_transaction_is_one_unit,
    databases_are_selected_swapped_and_flushed,
    what_is_expired_is_hidden_before_the_primary_deletes_it,
    a_field_that_was_rescued_too_late_goes_when_the_primary_deletes_it,
    a_stream_that_is_not_followed_yet_is_refused_by_name,
    vector_sets_are_kept_as_they_are_and_withheld_when_they_change,
    a_restart_with_the_same_data_changes_nothing,
    a_restart_with_other_data_is_heard_as_the_difference,
    a_restart_with_nothing_deletes_everything,
    a_cut_link_goes_on_where_it_was,
    a_point_that_is_gone_is_a_full_sync_aside,
    a_resume_point_outlives_failed_attempts,
    readers_never_notice_a_full_sync,
    a_resync_in_place_ends_as_one_aside_does,
    data_grows_old_while_the_primary_is_silent,
    filters_hold_for_snapshot_and_stream,
    without_a_table_everything_is_heard,
    memory_has_a_limit,
);

/// More than [`SMALL_BACKLOG`] can hold.
const TOO_MUCH: usize = 200_000;

/// The least that servers accept.
const SMALL_BACKLOG: &[&str] = &["--repl-backlog-size", "16kb"];

#[track_caller]
fn fill(client: &mut Client) {
    client.pipeline(&samples(7));
    client.accepted(&["SELECT", "0"]);
    client.accepted(&["SET", "greeting", "hello"]);
    client.accepted(&["SET", "binary", "a\0b\r\n\u{fe}"]);
    client.accepted(&["SET", "empty", ""]);
}

/// Makes the server forget the stream that a replica would need, together with these changes: the
/// replica is cut off, and has no chance to come back before all of it is done.
#[track_caller]
fn leave_behind(client: &mut Client, changes: &[&[&str]]) {
    client.accepted(&["MULTI"]);
    client.accepted(&["CLIENT", "KILL", "TYPE", "replica"]);
    for change in changes {
        client.accepted(change);
    }
    let filler = "x".repeat(TOO_MUCH);
    client.accepted(&["SET", "filler", &filler]);
    let replies = client.accepted(&["EXEC"]);
    assert!(replies.array().iter().all(|reply| reply.error().is_none()), "{replies:?}");
}

fn first_sync_with_a_length(which: Which) {
    first_sync(which, "no");
}

fn first_sync_with_a_mark(which: Which) {
    first_sync(which, "yes");
}

fn first_sync(which: Which, diskless: &str) {
    let server = Server::start_with(which, &["--repl-diskless-sync", diskless]);
    let mut client = server.client();
    fill(&mut client);
    let replica = replica(&server.url(), &[]);
    assert_eq!(get(&replica, 0, "greeting"), Answer::NotReady);
    assert_eq!(replica.info().state, State::New);
    follower::start(&replica);
    assert_eq!(get(&replica, 0, "greeting"), found("hello"));
    assert_eq!(get(&replica, 0, "empty"), found(""));
    assert_eq!(get(&replica, 0, "nothing"), Answer::NotFound);
    assert_eq!(get(&replica, 1, "greeting"), Answer::NotFound);
    assert_eq!(get(&replica, 4_000_000_000, "greeting"), Answer::NotFound);
    assert_equal(&replica, &mut client);
    let info = replica.info();
    assert_eq!(info.load_total_bytes < 0, diskless == "yes", "{info:#?}");
    assert!(info.loaded_bytes > 20_000);
    assert_eq!((info.full_syncs, info.partial_syncs, info.connects), (1, 0, 1));
    assert_eq!(info.loaded_keys, 3 + SAMPLE_KEYS.len() as u64);
    assert_eq!(info.keys, info.loaded_keys);
    assert_eq!((info.state, info.ready, info.diverged), (State::Following, true, false));
    let (major, minor, patch) = server.version();
    assert_eq!(info.server_kind, "redis");
    assert_eq!(info.server_version, format!("{major}.{minor}.{patch}"));
    assert!(info.last_error.is_none(), "{info:#?}");
    values_of_all_types_are_right(&replica, &mut client);
    // With a mark the stream begins only when the server has heard of us.
    client.accepted(&["SET", "later", "1"]);
    assert_equal(&replica, &mut client);
    assert_eq!(get(&replica, 0, "later"), found("1"));
}

fn values_of_all_types_are_right(replica: &Replica, client: &mut Client) {
    client.accepted(&["SELECT", &SAMPLES.to_string()]);
    let lookups = replica.lookups();
    for name in SAMPLE_KEYS {
        let key = name.as_bytes();
        let (kind, ours) = whole(replica, SAMPLES, key).expect(name);
        assert_eq!(kind, client.accepted(&["TYPE", name]).text());
        let text = |reply: &Reply| String::from_utf8_lossy(&reply.bytes()).into_owned();
        match kind {
            "string" => assert_eq!(ours, [client.accepted(&["GET", name]).text()]),
            "list" => {
                let theirs = client.accepted(&["LRANGE", name, "0", "-1"]);
                assert_eq!(ours, theirs.array().iter().map(text).collect::<Vec<_>>(), "{name}");
                let last = lookups.element(SAMPLES, key, -1, <[u8]>::to_vec);
                assert_eq!(last, Answer::Found(theirs.array().last().unwrap().bytes()));
            }
            "set" => {
                let theirs = client.accepted(&["SMEMBERS", name]);
                assert_eq!(ours.len(), theirs.array().len());
                for member in theirs.array() {
                    let member = member.bytes();
                    assert_eq!(lookups.contains(SAMPLES, key, &member), Answer::Found(()));
                }
            }
            "zset" => {
                let theirs = client.accepted(&["ZRANGE", name, "0", "-1", "WITHSCORES"]);
                assert_eq!(ours.len() * 2, theirs.array().len());
                for (rank, pair) in theirs.array().chunks(2).enumerate() {
                    let score = lookups.score(SAMPLES, key, &pair[0].bytes());
                    let expected: f64 = pair[1].text().parse().unwrap();
                    assert_eq!(score, Answer::Found(expected), "{name} {rank}");
                    let member = String::from_utf8_lossy(&pair[0].bytes()).into_owned();
                    assert!(ours[rank].starts_with(&format!("{member}=")), "rank {rank}");
                }
            }
            "stream" => {
                // The digest tells the rest.
                let entries = client.accepted(&["XLEN", name]).int();
                assert!(usize::try_from(entries).unwrap() <= ours.len());
            }
            _ => {
                let theirs = client.accepted(&["HGETALL", name]);
                assert_eq!(ours.len() * 2, theirs.array().len());
                for pair in theirs.array().chunks(2) {
                    let field = lookups.hget(SAMPLES, key, &pair[0].bytes(), |v, _| v.to_vec());
                    assert_eq!(field, Answer::Found(pair[1].bytes()));
                }
            }
        }
        assert_eq!(lookups.len(SAMPLES, key).map(|len| len.complete), Answer::Found(true));
        let hex = client.digest_values(&[name]).remove(0);
        let theirs = KeyDigest { hex, complete: true };
        assert_eq!(replica.key_digest(SAMPLES, key), Answer::Found(theirs), "{name}");
    }
    assert_eq!(replica.key_digest(SAMPLES, b"no such key"), Answer::NotFound);
    assert_eq!(get(replica, SAMPLES, "list:big"), Answer::WrongType);
    client.accepted(&["SELECT", "0"]);
}

fn commands_arrive_as_they_happen(which: Which) {
    let server = Server::start(which);
    let mut client = server.client();
    let witness = Witness::new();
    let replica = witnessed(&server.url(), &[], &witness);
    for command in [
        &["SET", "a", "5"] as &[&str],
        &["INCRBY", "a", "7"],
        &["APPEND", "a", "!"],
        &["HSET", "h", "f", "1", "g", "2"],
        &["HINCRBY", "h", "f", "9"],
        &["HDEL", "h", "g"],
        &["RENAME", "a", "b"],
        &["EXPIRE", "b", "1000"],
        &["DEL", "h", "nothing"],
    ] {
        client.accepted(command);
    }
    assert_equal(&replica, &mut client);
    let asked = witness.take();
    let briefs: Vec<_> = asked.iter().map(|asked| asked.brief()).collect();
    assert_eq!(
        briefs,
        [
            "set a", "edit a", "edit a", "hset:f h", "hset:g h", "hset:f h", "hdel:g h", "set b",
            "delete a", "expire b", "delete h",
        ]
    );
    assert_eq!(asked[2].value.as_deref(), Some("12!"));
    assert_eq!(asked[2].args, ["APPEND", "a", "!"]);
    assert!(asked.iter().all(|asked| asked.phase == Phase::Live && asked.db == Some(0)));
    assert!(asked.windows(2).all(|pair| pair[0].offset <= pair[1].offset));
    assert!(asked[0].offset < asked[1].offset);
    assert_eq!(asked[7].reason, Reason::Rename);
    assert_eq!(get(&replica, 0, "b"), found("12!"));
    assert!(matches!(replica.lookups().expires_at(0, b"b"), Answer::Found(Some(_))));
}

fn a_transaction_is_one_unit(which: Which) {
    let server = Server::start(which);
    let mut client = server.client();
    let transfer = |client: &mut Client, n: u64| {
        let n = n.to_string();
        let commands: Vec<Vec<&str>> = vec![
            vec!["MULTI"],
            vec!["SET", "x", &n],
            vec!["SELECT", "3"],
            vec!["SET", "y", &n],
            vec!["EXEC"],
            vec!["SELECT", "0"],
        ];
        client.pipeline(&commands);
    };
    transfer(&mut client, 0);
    let witness = Witness::new();
    let replica = witnessed(&server.url(), &[], &witness);
    witness.take();
    let done = Arc::new(AtomicBool::new(false));
    let reader = std::thread::spawn({
        let (lookups, done) = (replica.lookups().clone(), done.clone());
        move || {
            while !done.load(Ordering::SeqCst) {
                let mut pair = [Vec::new(), Vec::new()];
                lookups.get_many(&[(0, b"x"), (3, b"y")], |at, answer| match answer {
                    Answer::Found(bytes) => pair[at] = bytes.to_vec(),
                    other => panic!("{other:?}"),
                });
                assert_eq!(pair[0], pair[1], "half a transaction was visible");
            }
        }
    });
    (1..=500).for_each(|n| transfer(&mut client, n));
    assert_equal(&replica, &mut client);
    done.store(true, Ordering::SeqCst);
    reader.join().expect("only whole transactions");
    let asked = witness.take();
    assert_eq!(asked.len(), 1000);
    assert!(asked.chunks(2).all(|unit| unit[0].offset == unit[1].offset));
    assert_eq!(get(&replica, 3, "y"), found("500"));
}

fn databases_are_selected_swapped_and_flushed(which: Which) {
    let server = Server::start(which);
    let mut client = server.client();
    client.accepted(&["SELECT", "2"]);
    client.accepted(&["SET", "old", "2"]);
    let witness = Witness::new();
    let replica = witnessed(&server.url(), &[], &witness);
    assert_eq!(witness.take_briefs(), ["set old"]);
    client.accepted(&["SET", "two", "2"]);
    client.accepted(&["MOVE", "two", "5"]);
    client.accepted(&["SWAPDB", "2", "7"]);
    client.accepted(&["COPY", "nothing", "here"]);
    assert_equal(&replica, &mut client);
    assert_eq!(get(&replica, 5, "two"), found("2"));
    assert_eq!(get(&replica, 7, "old"), found("2"));
    assert_eq!(get(&replica, 2, "old"), Answer::NotFound);
    client.accepted(&["SELECT", "7"]);
    client.accepted(&["FLUSHDB"]);
    assert_equal(&replica, &mut client);
    assert_eq!(replica.lookups().count(Some(7)), Answer::Found(0));
    assert_eq!(replica.lookups().count(None), Answer::Found(1));
    client.accepted(&["FLUSHALL"]);
    assert_equal(&replica, &mut client);
    assert_eq!(replica.lookups().count(None), Answer::Found(0));
    assert_eq!(
        witness.take_briefs(),
        ["set two", "set two", "delete two", "swap:7 ", "flush ", "flush "]
    );
}

fn what_is_expired_is_hidden_before_the_primary_deletes_it(which: Which) {
    let server = Server::start(which);
    let mut client = server.client();
    let replica = ready(&server.url(), &[]);
    let raw = ready(&server.url(), &[("hide-expired", "no")]);
    client.accepted(&["DEBUG", "SET-ACTIVE-EXPIRE", "0"]);
    client.accepted(&["SET", "short", "1", "PX", "60"]);
    client.accepted(&["SET", "long", "1", "PX", "1000000"]);
    catch_up(&replica, &mut client);
    catch_up(&raw, &mut client);
    wait_until("the deadline has passed", || get(&replica, 0, "short") == Answer::NotFound);
    assert_eq!(get(&raw, 0, "short"), found("1"));
    assert_eq!(get(&replica, 0, "long"), found("1"));
    assert_eq!(replica.lookups().count(Some(0)), Answer::Found(2));
    assert_equal(&replica, &mut client);
    client.accepted(&["DEBUG", "SET-ACTIVE-EXPIRE", "1"]);
    wait_until("the primary deletes it", || get(&raw, 0, "short") == Answer::NotFound);
    assert_equal(&raw, &mut client);
    assert_eq!(raw.lookups().count(Some(0)), Answer::Found(1));
}

fn a_field_that_was_rescued_too_late_goes_when_the_primary_deletes_it(which: Which) {
    let server = Server::start(which);
    if server.version() < (7, 4, 0) {
        return;
    }
    let mut client = server.client();
    let replica = ready(&server.url(), &[]);
    client.accepted(&["DEBUG", "SET-ACTIVE-EXPIRE", "0"]);
    client.accepted(&["HSET", "h", "gone", "1", "rescued", "1"]);
    client.accepted(&["HPEXPIRE", "h", "30", "FIELDS", "1", "gone"]);
    client.accepted(&["HPEXPIRE", "h", "1000000", "FIELDS", "1", "rescued"]);
    catch_up(&replica, &mut client);
    let field = |name: &str| replica.lookups().hget(0, b"h", name.as_bytes(), |_, at| at.is_some());
    wait_until("its deadline has passed", || field("gone") == Answer::NotFound);
    // Sent as it is, with the field that was left alone; nothing tells us which it was.
    let reply = client.accepted(&["HPERSIST", "h", "FIELDS", "2", "gone", "rescued"]);
    assert_eq!(reply.array(), [Reply::Int(-2), Reply::Int(1)]);
    catch_up(&replica, &mut client);
    assert_eq!(field("rescued"), Answer::Found(false));
    client.accepted(&["DEBUG", "SET-ACTIVE-EXPIRE", "1"]);
    wait_until("the primary deletes it", || {
        catch_up(&replica, &mut client);
        replica.lookups().len(0, b"h").map(|len| len.len) == Answer::Found(1)
    });
    assert_equal(&replica, &mut client);
}

fn a_restart_with_the_same_data_changes_nothing(which: Which) {
    let mut server = Server::start(which);
    fill(&mut server.client());
    let witness = Witness::new();
    let replica = witnessed(&server.url(), &[], &witness);
    catch_up(&replica, &mut server.client());
    witness.take();
    server.shut_down();
    wait_info(&replica, "the link is lost", |info| info.state == State::Reconnecting);
    assert_eq!(get(&replica, 0, "greeting"), found("hello"));
    assert!(replica.info().ready);
    server.start_again();
    assert_equal(&replica, &mut server.client());
    assert_eq!(witness.take(), [], "nothing changed, nothing is heard");
    assert_eq!(replica.info().full_syncs + replica.info().partial_syncs, 2);
    server.client().accepted(&["SET", "greeting", "again"]);
    assert_equal(&replica, &mut server.client());
    assert_eq!(get(&replica, 0, "greeting"), found("again"));
}

fn a_restart_with_other_data_is_heard_as_the_difference(which: Which) {
    let other = Server::start(which);
    let mut client = other.client();
    fill(&mut client);
    client.accepted(&["SET", "greeting", "good evening"]);
    client.accepted(&["SET", "new", "1"]);
    client.accepted(&["DEL", "empty"]);
    client.accepted(&["PEXPIRE", "binary", "100000000"]);
    client.accepted(&["SAVE"]);

    let mut server = Server::start(which);
    fill(&mut server.client());
    let witness = Witness::new();
    let replica = witnessed(&server.url(), &[], &witness);
    catch_up(&replica, &mut server.client());
    witness.take();
    server.shut_down();
    std::fs::copy(other.folder().join("dump.rdb"), server.folder().join("dump.rdb")).unwrap();
    server.start_again();
    assert_equal(&replica, &mut server.client());
    let mut asked = witness.take();
    assert!(asked.iter().all(|a| a.phase == Phase::Resync && a.reason == Reason::Resync));
    assert_eq!(asked.remove(0).brief(), "delete empty", "what vanished comes first");
    let mut briefs: Vec<_> = asked.iter().map(|asked| asked.brief()).collect();
    briefs.sort();
    // The samples are the same, to the deadline and the delivery.
    assert_eq!(briefs, ["set binary", "set greeting", "set new"]);
    assert_eq!(get(&replica, 0, "greeting"), found("good evening"));
    assert_eq!(replica.info().full_syncs, 2);
}

fn a_restart_with_nothing_deletes_everything(which: Which) {
    let mut server = Server::start(which);
    fill(&mut server.client());
    let witness = Witness::new();
    let replica = witnessed(&server.url(), &[], &witness);
    catch_up(&replica, &mut server.client());
    let before = witness.take().len();
    server.restart(Restart::Empty);
    assert_equal(&replica, &mut server.client());
    let asked = witness.take();
    assert_eq!(asked.len(), before);
    assert!(asked.iter().all(|asked| asked.effect == "delete" && asked.key_gone));
    assert_eq!(replica.lookups().count(None), Answer::Found(0));
    assert_eq!(get(&replica, 0, "greeting"), Answer::NotFound);
}

fn a_cut_link_goes_on_where_it_was(which: Which) {
    let server = Server::start(which);
    let mut client = server.client();
    let witness = Witness::new();
    let replica = witnessed(&server.url(), &[], &witness);
    client.accepted(&["SELECT", "4"]);
    client.accepted(&["SET", "n", "0"]);
    for round in 1..=5u64 {
        cut_link(&replica, &mut client);
        // No SELECT is sent after a resumption.
        (0..20).for_each(|_| drop(client.accepted(&["INCR", "n"])));
        assert_equal(&replica, &mut client);
        assert_eq!(get(&replica, 4, "n"), found(&(round * 20).to_string()));
        let info = replica.info();
        assert_eq!((info.full_syncs, info.partial_syncs), (1, round), "{info:#?}");
    }
    assert_eq!(witness.take().len(), 101);
}

fn a_point_that_is_gone_is_a_full_sync_aside(which: Which) {
    let server = Server::start_with(which, SMALL_BACKLOG);
    let mut client = server.client();
    fill(&mut client);
    let witness = Witness::new();
    let replica = witnessed(&server.url(), &[], &witness);
    catch_up(&replica, &mut client);
    witness.take();
    leave_behind(&mut client, &[&["DEL", "binary"], &["SET", "greeting", "hey"]]);
    assert_equal(&replica, &mut client);
    let mut briefs = witness.take_briefs();
    assert_eq!(briefs.remove(0), "delete binary");
    briefs.sort();
    assert_eq!(briefs, ["set filler", "set greeting"]);
    let info = replica.info();
    assert_eq!((info.full_syncs, info.partial_syncs), (2, 0));
    assert_eq!(get(&replica, 0, "binary"), Answer::NotFound);
    assert_eq!(get(&replica, 0, "greeting"), found("hey"));
}

fn a_resume_point_outlives_failed_attempts(which: Which) {
    let server = Server::start(which);
    let mut client = server.client();
    let replica = ready(&server.url(), &[]);
    client.accepted(&["SET", "n", "1"]);
    catch_up(&replica, &mut client);
    // For a while nobody answers at the address, then the server is back as it was.
    replica.set_option("url", "redis://127.0.0.1:1").unwrap();
    client.accepted(&["CLIENT", "KILL", "TYPE", "replica"]);
    let refused = |text: &str| text.contains("127.0.0.1:1") || text.contains("refused");
    wait_info(&replica, "an attempt failed", |info| {
        info.last_error.as_ref().is_some_and(|error| refused(error.text()))
    });
    client.accepted(&["INCR", "n"]);
    replica.set_option("url", &server.url()).unwrap();
    assert_equal(&replica, &mut client);
    let info = replica.info();
    assert_eq!((info.full_syncs, info.partial_syncs), (1, 1), "{info:#?}");
    assert_eq!(get(&replica, 0, "n"), found("2"));
}

fn readers_never_notice_a_full_sync(which: Which) {
    let server = Server::start_with(which, SMALL_BACKLOG);
    let mut client = server.client();
    client.accepted(&["DEBUG", "POPULATE", "20000", "key", "50"]);
    client.accepted(&["SET", "stable", "always"]);
    let replica = ready(&server.url(), &[]);
    let done = Arc::new(AtomicBool::new(false));
    let reader = std::thread::spawn({
        let (lookups, done) = (replica.lookups().clone(), done.clone());
        move || {
            let mut reads = 0u64;
            while !done.load(Ordering::SeqCst) {
                let answer = lookups.get(0, b"stable", |value, _| value.to_vec());
                assert_eq!(answer.map(|value| value == b"always"), Answer::Found(true));
                assert_eq!(lookups.len(0, b"key:1").map(|len| len.len), Answer::Found(50));
                reads += 1;
            }
            reads
        }
    });
    for round in 2..=4u64 {
        let name = format!("new{round}");
        leave_behind(&mut client, &[&["SET", &name, "1"]]);
        assert_equal(&replica, &mut client);
        assert_eq!(replica.info().full_syncs, round);
        assert_eq!(get(&replica, 0, &name), found("1"));
    }
    done.store(true, Ordering::SeqCst);
    assert!(reader.join().expect("every lookup answered") > 100);
}

fn filters_hold_for_snapshot_and_stream(which: Which) {
    let server = Server::start(which);
    let mut client = server.client();
    let write = |client: &mut Client, value: &str| {
        for db in ["0", "1", "2"] {
            client.accepted(&["SELECT", db]);
            for key in ["user:1", "user:2:tmp", "other"] {
                client.accepted(&["SET", key, value]);
                client.accepted(&["HSET", &format!("{key}:h"), "f", value]);
            }
        }
    };
    write(&mut client, "old");
    let witness = Witness::new();
    let options =
        [("databases", "0,2"), ("keys", "user:* oth*x"), ("exclude-keys", "*:tmp *:tmp:h")];
    let replica = witnessed(&server.url(), &options, &witness);
    for value in ["old", "new"] {
        write(&mut client, value);
        client.accepted(&["RENAME", "other", "moved"]);
        client.accepted(&["RENAME", "user:2:tmp", "user:3"]);
        catch_up(&replica, &mut client);
        for db in [0, 2] {
            assert_eq!(get(&replica, db, "user:1"), found(value));
            assert_eq!(get(&replica, db, "user:2:tmp"), Answer::Withheld);
            assert_eq!(get(&replica, db, "other"), Answer::Withheld);
            assert_eq!(get(&replica, db, "user:9"), Answer::NotFound);
        }
        assert_eq!(get(&replica, 1, "user:1"), Answer::Withheld);
        // It exists, and its value came from what is not followed.
        assert_eq!(get(&replica, 2, "user:3"), Answer::Withheld);
        let heard = witness.take();
        let followed = |key: &str| ["user:1", "user:1:h", "user:3"].contains(&key);
        assert!(heard.iter().all(|asked| followed(&asked.key)), "{heard:#?}");
        assert!(heard.iter().all(|asked| asked.db != Some(1)));
        assert!(!heard.is_empty());
    }
    let Answer::Found(digest) = replica.digest() else { panic!("closed") };
    assert!(!digest.complete, "a digest of a part says so");
    assert_eq!(replica.key_digest(0, b"other"), Answer::Withheld);
    assert_eq!(replica.info().unknown_commands + replica.info().failed_commands, 0);
}

fn a_resync_in_place_ends_as_one_aside_does(which: Which) {
    let mut server = Server::start(which);
    let mut client = server.client();
    fill(&mut client);
    let replica = ready(&server.url(), &[("resync", "in-place")]);
    server.restart(Restart::Empty);
    let mut client = server.client();
    client.pipeline(&samples(77));
    client.accepted(&["SELECT", "0"]);
    wait_info(&replica, "another sync", |info| info.full_syncs > 1 && !info.mixed && info.ready);
    assert_equal(&replica, &mut client);
    assert_eq!(get(&replica, 0, "greeting"), Answer::NotFound);
}

fn data_grows_old_while_the_primary_is_silent(which: Which) {
    let server = Server::start_with(which, &["--repl-ping-replica-period", "1"]);
    server.client().accepted(&["SET", "k", "v"]);
    let limits = [("ping-period", "1000"), ("max-staleness", "2000")];
    let replica = ready(&server.url(), &limits);
    wait_until("a ping", || get(&replica, 0, "k") == found("v"));
    server.pause();
    wait_until("the data is too old", || get(&replica, 0, "k") == Answer::Stale);
    assert!(replica.info().data_age_ms > 2000, "{:#?}", replica.info());
    assert_eq!(get(&replica, 0, "none"), Answer::Stale);
    server.resume();
    wait_until("it is new again", || get(&replica, 0, "k") == found("v"));
}

fn without_a_table_everything_is_heard(which: Which) {
    let server = Server::start_with(which, SMALL_BACKLOG);
    let mut client = server.client();
    client.accepted(&["SET", "a", "1"]);
    client.accepted(&["HSET", "h", "f", "1"]);
    let witness = Witness::new();
    let replica = witnessed(&server.url(), &[("store", "none")], &witness);
    let mut briefs = witness.take_briefs();
    briefs.sort();
    assert_eq!(briefs, ["set a", "set h"]);
    client.accepted(&["SET", "a", "2"]);
    client.accepted(&["INCR", "a"]);
    client.accepted(&["HSET", "h", "g", "1"]);
    client.accepted(&["DEL", "a"]);
    catch_up(&replica, &mut client);
    let asked = witness.take();
    let briefs: Vec<_> = asked.iter().map(|asked| asked.brief()).collect();
    assert_eq!(briefs, ["set a", "edit a", "hset:g h", "delete a"]);
    let known: Vec<_> = asked.iter().map(|asked| asked.result_known).collect();
    assert_eq!(known, [true, false, true, true]);
    assert_eq!(get(&replica, 0, "h"), Answer::Withheld);
    assert_eq!((replica.info().keys, replica.info().ghosts), (0, 0));
    // Each load is reported whole.
    leave_behind(&mut client, &[]);
    wait_info(&replica, "another full sync", |info| info.full_syncs == 2);
    catch_up(&replica, &mut client);
    let mut briefs = witness.take_briefs();
    briefs.sort();
    assert_eq!(briefs, ["set filler", "set h"]);
}

fn memory_has_a_limit(which: Which) {
    let server = Server::start(which);
    let mut client = server.client();
    client.accepted(&["SET", "a", "1"]);
    let replica = ready(&server.url(), &[("max-memory", "1mb")]);
    let big = "x".repeat(2_000_000);
    client.accepted(&["SET", "big", &big]);
    wait_info(&replica, "it gives up", |info| info.state == State::Failed);
    let info = replica.info();
    assert_eq!(info.last_error.unwrap().kind(), Kind::NoMemory);
    assert_eq!(get(&replica, 0, "a"), found("1"));
    let late = follower::replica(&server.url(), &[("max-memory", "1mb")]);
    late.start().unwrap();
    assert_eq!(late.wait_ready(follower::PATIENCE_MS).unwrap_err().kind(), Kind::NoMemory);
    assert_eq!(get(&late, 0, "a"), Answer::NotReady);
}

/// Whether this version follows streams; before, they stand for all that is not followed.
fn follows_streams() -> bool {
    rets::command::find(b"XADD").is_some()
}

fn a_stream_that_is_not_followed_yet_is_refused_by_name(which: Which) {
    if follows_streams() {
        return;
    }
    let server = Server::start_with(which, SMALL_BACKLOG);
    let mut client = server.client();
    fill(&mut client);
    let witness = Witness::new();
    let replica = witnessed(&server.url(), &[], &witness);
    catch_up(&replica, &mut client);
    witness.take();
    leave_behind(
        &mut client,
        &[&["XADD", "events", "1-1", "f", "v"], &["SET", "greeting", "unseen"]],
    );
    wait_info(&replica, "the load is refused", |info| {
        info.last_error.as_ref().is_some_and(|error| {
            let names = |word| error.text().contains(word);
            names("stream") && names("events") && names("offset")
        })
    });
    let info = replica.info();
    assert_eq!(info.last_error.unwrap().kind(), Kind::Unsupported);
    assert!(info.ready && info.will_retry);
    assert_eq!(get(&replica, 0, "greeting"), found("hello"));
    assert_eq!(witness.take(), [], "nobody hears of what was not completed");
    client.accepted(&["DEL", "events"]);
    assert_equal(&replica, &mut client);
    assert_eq!(get(&replica, 0, "greeting"), found("unseen"));
    client.accepted(&["XADD", "events", "1-1", "f", "v"]);
    catch_up(&replica, &mut client);
    assert!(replica.info().diverged);
    assert_eq!(replica.info().unknown_commands, 1);
}

/// Vector sets are a module's that Redis has had built in since 8.0.
fn vector_sets_are_kept_as_they_are_and_withheld_when_they_change(which: Which) {
    let server = Server::start(which);
    let mut client = server.client();
    if client.command(&["VADD", "early", "VALUES", "2", "1", "2", "element"]).error().is_some() {
        return;
    }
    client.accepted(&["SET", "beside", "1"]);
    let replica = ready(&server.url(), &[("on-unknown", "resync")]);
    let holds = |key: &str, wanted: Answer<&[u8]>| {
        let mut copy = Whole::default();
        let found = replica.lookups().whole(0, key.as_bytes(), false, &mut copy).unwrap();
        let name = found.map(|()| copy.element(0).unwrap().unwrap().field.unwrap());
        assert_eq!(name, wanted, "{key}");
    };
    let vectors = Answer::Found(&b"vectorset"[..]);
    holds("early", vectors);
    let Answer::Found(digest) = replica.digest() else { panic!("closed") };
    assert!(!digest.complete, "only the module can digest its value");

    // One that comes into being is not seen until a full sync brings it; the next ones have to
    // wait.
    client.accepted(&["VADD", "late", "VALUES", "2", "1", "2", "element"]);
    wait_info(&replica, "a second full sync", |info| info.full_syncs == 2 && info.ready);
    catch_up(&replica, &mut client);
    holds("late", vectors);
    assert!(!replica.info().diverged);
    for number in 0..50 {
        client.accepted(&["VADD", "late", "VALUES", "2", "3", "4", &format!("n{number}")]);
    }
    client.accepted(&["VREM", "late", "element"]);
    client.accepted(&["VSETATTR", "early", "element", "{}"]);
    catch_up(&replica, &mut client);
    holds("late", Answer::Withheld);
    holds("early", Answer::Withheld);
    assert_eq!(get(&replica, 0, "beside"), found("1"));
    let info = replica.info();
    assert_eq!((info.full_syncs, info.diverged, info.unknown_commands), (2, false, 53));

    for number in 0..50 {
        client.accepted(&["VADD", &format!("new{number}"), "VALUES", "2", "1", "2", "element"]);
    }
    catch_up(&replica, &mut client);
    assert_eq!((replica.info().full_syncs, replica.info().diverged), (2, true));
    holds("new0", Answer::NotFound);

    // What comes whole is whole, also as a payload.
    client.accepted(&["SET", "late", "text"]);
    client.accepted(&["RENAME", "early", "renamed"]);
    let payload = client.accepted(&["DUMP", "new0"]).bytes();
    client.accepted(&[&b"RESTORE"[..], b"copy", b"0", &payload]);
    catch_up(&replica, &mut client);
    assert_eq!(get(&replica, 0, "late"), found("text"));
    holds("renamed", Answer::Withheld);
    holds("copy", vectors);
}
