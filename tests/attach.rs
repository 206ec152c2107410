//! How a replica comes to its primary and stays there: who lets it in, what it says of itself,
//! where it looks when the address changes, and what it makes of others who answer.

#![allow(clippy::expect_used, clippy::unwrap_used)]

mod support;

use rets::error::Kind;
use rets::log::{Level, set_sink};
use rets::replica::{Answer, State};
use std::io::{Read, Write};
use std::net::TcpListener;
use std::sync::{Arc, Mutex};
use support::follower::{
    self, PATIENCE_MS, assert_equal, catch_up, cut_link, found, get, ready, ready_now, replica,
    wait_info,
};
use support::replay::Options;
use support::server::free_port;
use support::{Client, Replay, Server, Session, Which, on_each_server, wait_until};

on_each_server!(
    a_password_lets_us_in,
    a_wrong_password_ends_the_wait_and_another_one_helps,
    a_password_is_never_told,
    a_user_with_three_rights_is_enough,
    a_user_without_the_rights_is_told_which,
    a_password_that_changes_holds_from_the_next_connection,
    a_password_file_is_read_at_each_connection,
    a_unix_socket_is_as_good,
    a_silent_link_is_noticed,
    acknowledgements_tell_the_truth,
    an_acknowledgement_is_sent_when_it_is_asked_for,
    who_is_never_counted_stays_attached,
    a_promoted_replica_is_followed_under_its_new_id,
    a_chain_passes_the_stream_on,
    a_replica_without_its_primary_is_waited_for,
    a_server_that_hides_its_replication_is_given_up,
);

fn a_password_lets_us_in(which: Which) {
    let server = Server::start_with(which, &["--requirepass", "se cret/@"]);
    let mut client = server.client();
    client.accepted(&["AUTH", "se cret/@"]);
    client.accepted(&["SET", "a", "1"]);
    let by_option = ready(&server.url(), &[("password", "se cret/@")]);
    assert_equal(&by_option, &mut client);
    let url = format!("redis://:se%20cret%2F%40@127.0.0.1:{}", server.port());
    let by_url = ready(&url, &[]);
    assert_equal(&by_url, &mut client);
    let with_user = format!("redis://default:se%20cret%2F%40@127.0.0.1:{}", server.port());
    assert_equal(&ready(&with_user, &[]), &mut client);
}

fn a_wrong_password_ends_the_wait_and_another_one_helps(which: Which) {
    let server = Server::start_with(which, &["--requirepass", "right-one"]);
    let mut client = server.client();
    client.accepted(&["AUTH", "right-one"]);
    let replica = replica(&server.url(), &[("password", "wrong-one")]);
    replica.start().unwrap();
    let error = replica.wait_ready(PATIENCE_MS).unwrap_err();
    assert_eq!(error.kind(), Kind::Auth);
    assert!(!error.text().contains("wrong-one"), "{error}");
    let info = replica.info();
    assert_eq!((info.state, info.will_retry), (State::Failed, false));
    assert_eq!(get(&replica, 0, "a"), Answer::NotReady);
    assert_eq!(replica.wait_ready(PATIENCE_MS).unwrap_err().kind(), Kind::Auth);
    replica.set_option("password", "").unwrap();
    let error = replica.wait_ready(PATIENCE_MS).unwrap_err();
    assert_eq!(error.kind(), Kind::Auth);
    assert!(error.text().contains("wants a password"), "{error}");
    replica.set_option("password", "right-one").unwrap();
    ready_now(&replica);
    assert_equal(&replica, &mut client);
}

fn a_password_is_never_told(which: Which) {
    // The log is the whole process's, so the tests on all servers listen together.
    static HEARD: Mutex<String> = Mutex::new(String::new());
    set_sink(Some(Arc::new(|_, line| *HEARD.lock().unwrap() += line)), Level::Debug);
    let server = Server::start_with(which, &["--requirepass", "right-s3cret"]);
    let url = server.url().replace("://", "://:wrong-s3cret@");
    let replica = replica(&url, &[]);
    replica.start().unwrap();
    let error = replica.wait_ready(PATIENCE_MS).unwrap_err();
    replica.set_option("password", "right-s3cret").unwrap();
    ready_now(&replica);
    let told = [replica.option("url").unwrap(), replica.option("password").unwrap()];
    let all = format!("{error} {:?} {told:?} {}", replica.info(), HEARD.lock().unwrap());
    assert!(all.contains("snapshot complete") && !all.contains("s3cret"), "{all}");
}

fn a_user_with_three_rights_is_enough(which: Which) {
    let server = Server::start(which);
    let mut client = server.client();
    client.accepted(&["ACL", "SETUSER", "rep", "on", ">pw", "+psync", "+replconf", "+ping"]);
    client.accepted(&["SET", "a", "1"]);
    let replica = ready(&server.url(), &[("user", "rep"), ("password", "pw")]);
    assert_equal(&replica, &mut client);
    client.accepted(&["INCR", "a"]);
    let offset = assert_equal(&replica, &mut client);
    wait_until("it acknowledges", || client.replicas().1 >= Some(offset));
    cut_link(&replica, &mut client);
    assert_equal(&replica, &mut client);
    assert_eq!(replica.info().partial_syncs, 1);
}

fn a_user_without_the_rights_is_told_which(which: Which) {
    let server = Server::start(which);
    let mut client = server.client();
    for rights in [["+ping", "+replconf"], ["+ping", "+psync"]] {
        let mut command = vec!["ACL", "SETUSER", "rep", "reset", "on", ">pw"];
        command.extend(rights);
        client.accepted(&command);
        let replica = replica(&server.url(), &[("user", "rep"), ("password", "pw")]);
        replica.start().unwrap();
        let error = replica.wait_ready(PATIENCE_MS).unwrap_err();
        assert_eq!(error.kind(), Kind::Auth, "{error}");
        assert!(error.text().contains("+psync"), "{error}");
    }
}

fn a_password_that_changes_holds_from_the_next_connection(which: Which) {
    let server = Server::start_with(which, &["--requirepass", "first"]);
    let mut client = server.client();
    client.accepted(&["AUTH", "first"]);
    client.accepted(&["SET", "a", "1"]);
    // Refused after it was in, it would wait this long.
    let patient = [("password", "first"), ("retry-max", "600000"), ("retry-min", "1")];
    let replica = ready(&server.url(), &patient);
    client.accepted(&["CONFIG", "SET", "requirepass", "second"]);
    client.accepted(&["CLIENT", "KILL", "TYPE", "replica"]);
    wait_info(&replica, "it is refused", |info| {
        info.last_error.as_ref().is_some_and(|error| error.kind() == Kind::Auth)
    });
    let info = replica.info();
    assert!(info.ready && info.will_retry, "{info:#?}");
    assert_eq!(info.state, State::Reconnecting);
    assert_eq!(get(&replica, 0, "a"), found("1"));
    client.accepted(&["SET", "a", "2"]);
    replica.set_option("password", "second").unwrap();
    assert_equal(&replica, &mut client);
    assert_eq!(get(&replica, 0, "a"), found("2"));
    assert_eq!(replica.info().full_syncs, 1);
}

fn a_password_file_is_read_at_each_connection(which: Which) {
    let server = Server::start_with(which, &["--requirepass", "one"]);
    let mut client = server.client();
    client.accepted(&["AUTH", "one"]);
    let file = server.folder().join("password");
    std::fs::write(&file, "one\n").unwrap();
    let replica = ready(&server.url(), &[("password-file", file.to_str().unwrap())]);
    client.accepted(&["CONFIG", "SET", "requirepass", "two"]);
    std::fs::write(&file, "two\n").unwrap();
    cut_link(&replica, &mut client);
    client.accepted(&["SET", "a", "1"]);
    assert_equal(&replica, &mut client);
}

fn a_unix_socket_is_as_good(which: Which) {
    let server = Server::start(which);
    let mut client = server.client();
    client.accepted(&["SET", "a", "1"]);
    let replica = ready(&server.unix_url(), &[]);
    client.accepted(&["INCR", "a"]);
    assert_equal(&replica, &mut client);
    assert_eq!(get(&replica, 0, "a"), found("2"));
    assert!(replica.info().primary.ends_with("/socket"));
    cut_link(&replica, &mut client);
    assert_equal(&replica, &mut client);
    assert_eq!(replica.info().partial_syncs, 1);
}

fn a_silent_link_is_noticed(which: Which) {
    let server = Server::start_with(which, &["--repl-ping-replica-period", "1"]);
    let mut client = server.client();
    client.accepted(&["SET", "a", "1"]);
    let replica = ready(&server.url(), &[("link-timeout", "2500")]);
    catch_up(&replica, &mut client);
    server.pause();
    wait_info(&replica, "the silence is noticed", |info| {
        info.state == State::Reconnecting
            && info.last_error.as_ref().is_some_and(|error| error.kind() == Kind::Timeout)
    });
    assert!(replica.info().last_byte_age_ms >= 2000, "{:#?}", replica.info());
    assert_eq!(get(&replica, 0, "a"), found("1"));
    server.resume();
    client.accepted(&["INCR", "a"]);
    assert_equal(&replica, &mut client);
    assert_eq!(replica.info().full_syncs, 1);
}

/// The fields of the first replica that INFO shows.
fn slave0(client: &mut Client) -> String {
    client.try_info("slave0").unwrap_or_default()
}

fn acknowledgements_tell_the_truth(which: Which) {
    let server = Server::start(which);
    let mut client = server.client();
    let replica = ready(&server.url(), &[]);
    client.accepted(&["SET", "a", "1"]);
    assert_eq!(client.accepted(&["WAIT", "1", "30000"]).int(), 1);
    let offset = catch_up(&replica, &mut client);
    wait_until("INFO shows our offset", || client.replicas().1 >= Some(offset));
    let row = slave0(&mut client);
    assert!(row.contains("port=0,"), "no port is announced: {row}");
    assert!(row.contains("state=online"), "{row}");
    let role = client.accepted(&["ROLE"]);
    assert_eq!(role.array()[2].array().len(), 1, "{role:?}");
}

fn an_acknowledgement_is_sent_when_it_is_asked_for(which: Which) {
    let server = Server::start(which);
    let mut client = server.client();
    // By its own clock it would acknowledge far too late.
    let replica = ready(&server.url(), &[("ack-interval", "30000")]);
    for n in 1..=3 {
        client.accepted(&["SET", "a", &n.to_string()]);
        assert_eq!(client.accepted(&["WAIT", "1", "20000"]).int(), 1, "round {n}");
    }
    assert_equal(&replica, &mut client);
}

fn who_is_never_counted_stays_attached(which: Which) {
    let server = Server::start_with(which, &["--repl-diskless-sync", "yes", "--repl-timeout", "2"]);
    let mut client = server.client();
    let replica = ready(&server.url(), &[("ack", "never-counted")]);
    for _ in 0..4 {
        client.accepted(&["INCR", "a"]);
        assert_eq!(client.accepted(&["WAIT", "1", "800"]).int(), 0);
    }
    assert_equal(&replica, &mut client);
    let row = slave0(&mut client);
    assert!(row.contains("state=online") && row.contains("offset=0,"), "{row}");
    assert_eq!(replica.info().connects, 1, "the link stays");
}

fn a_promoted_replica_is_followed_under_its_new_id(which: Which) {
    let mut first = Server::start(which);
    let second = Server::start(which);
    let (mut old, mut new) = (first.client(), second.client());
    old.accepted(&["SET", "n", "1"]);
    new.accepted(&["REPLICAOF", "127.0.0.1", &first.port().to_string()]);
    let replica = ready(&first.url(), &[]);
    old.accepted(&["INCR", "n"]);
    wait_until("the second one follows", || new.info("master_link_status") == "up");
    let offset = catch_up(&replica, &mut old);
    wait_until("the second one has it all", || new.offset() >= offset);
    let old_id = old.replid();
    first.kill();
    new.accepted(&["REPLICAOF", "NO", "ONE"]);
    new.accepted(&["INCR", "n"]);
    replica.set_option("url", &second.url()).unwrap();
    assert_equal(&replica, &mut new);
    assert_eq!(get(&replica, 0, "n"), found("3"));
    let info = replica.info();
    assert_eq!((info.full_syncs, info.partial_syncs), (1, 1), "{info:#?}");
    assert_ne!(new.replid(), old_id);
    assert_eq!(info.replid.unwrap().as_slice(), new.replid().as_bytes());
    // And the new id is what is asked for from then on.
    cut_link(&replica, &mut new);
    assert_equal(&replica, &mut new);
    assert_eq!(replica.info().partial_syncs, 2);
}

fn a_chain_passes_the_stream_on(which: Which) {
    let (top, middle) = (Server::start(which), Server::start(which));
    let (mut client, mut between) = (top.client(), middle.client());
    client.accepted(&["SELECT", "5"]);
    client.accepted(&["SET", "n", "1"]);
    between.accepted(&["REPLICAOF", "127.0.0.1", &top.port().to_string()]);
    wait_until("the middle one follows", || between.info("master_link_status") == "up");
    client.accepted(&["INCR", "n"]);
    let offset = client.offset();
    wait_until("the middle one has it", || between.offset() >= offset);
    // What database is selected stands only in the snapshot.
    let replica = ready(&middle.url(), &[]);
    client.accepted(&["INCR", "n"]);
    let offset = client.offset();
    wait_until("the middle one has it", || between.offset() >= offset);
    assert_equal(&replica, &mut between);
    assert_eq!(get(&replica, 5, "n"), found("3"));
    assert_equal(&replica, &mut client);
}

fn a_replica_without_its_primary_is_waited_for(which: Which) {
    let server = Server::start(which);
    let mut client = server.client();
    client.accepted(&["SET", "a", "1"]);
    client.accepted(&["REPLICAOF", "127.0.0.1", "1"]);
    let replica = replica(&server.url(), &[]);
    replica.start().unwrap();
    wait_info(&replica, "it was refused", |info| {
        info.last_error.as_ref().is_some_and(|error| error.text().contains("NOMASTERLINK"))
    });
    let error = replica.wait_ready(10).unwrap_err();
    assert_eq!(error.kind(), Kind::Timeout);
    assert!(error.text().contains("NOMASTERLINK"), "{error}");
    client.accepted(&["REPLICAOF", "NO", "ONE"]);
    ready_now(&replica);
    assert_equal(&replica, &mut client);
}

fn a_server_that_hides_its_replication_is_given_up(which: Which) {
    let hides = &["--rename-command", "PSYNC", "", "--rename-command", "SYNC", ""];
    let server = Server::start_with(which, hides);
    let replica = replica(&server.url(), &[]);
    replica.start().unwrap();
    let error = replica.wait_ready(PATIENCE_MS).unwrap_err();
    assert_eq!(error.kind(), Kind::Unsupported, "{error}");
    assert!(error.text().contains("does not allow replicas"), "{error}");
}

/// Answers everybody who connects with these bytes, and then listens.
fn impostor(answer: &'static [u8]) -> String {
    let listener = TcpListener::bind(("127.0.0.1", 0)).unwrap();
    let port = listener.local_addr().unwrap().port();
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            let Ok(mut stream) = stream else { return };
            std::thread::spawn(move || {
                let mut heard = [0; 1000];
                let _ = stream.read(&mut heard);
                let _ = stream.write_all(answer);
                while stream.read(&mut heard).is_ok_and(|count| count > 0) {}
            });
        }
    });
    format!("redis://127.0.0.1:{port}")
}

#[test]
fn what_is_not_a_redis_is_given_up() {
    for answer in [
        b"HTTP/1.1 400 Bad Request\r\nConnection: close\r\n\r\n" as &[u8],
        b"SSH-2.0-OpenSSH_9.2\r\n",
        b"\x15\x03\x01\x00\x02\x02\x46",
        b"220 mail.example.com ESMTP\r\n",
    ] {
        let replica = replica(&impostor(answer), &[]);
        replica.start().unwrap();
        let error = replica.wait_ready(PATIENCE_MS).unwrap_err();
        assert_eq!(error.kind(), Kind::Protocol, "{error}");
        assert!(error.text().contains("not a Redis"), "{error}");
        assert_eq!(replica.info().state, State::Failed);
    }
}

#[test]
fn a_silent_listener_is_tried_again() {
    let replica = replica(&impostor(b""), &[("link-timeout", "100")]);
    replica.start().unwrap();
    wait_info(&replica, "it was tried again", |info| info.connects > 2);
    let error = replica.wait_ready(10).unwrap_err();
    assert_eq!(error.kind(), Kind::Timeout);
    assert!(error.text().contains("nothing from the primary"), "{error}");
}

#[test]
fn nobody_at_the_address_is_tried_again() {
    let port = free_port();
    let replica = replica(&format!("redis://127.0.0.1:{port}"), &[]);
    replica.start().unwrap();
    wait_info(&replica, "an attempt failed", |info| info.last_error.is_some());
    assert_eq!(replica.info().connects, 0);
    let error = replica.wait_ready(10).unwrap_err();
    assert_eq!(error.kind(), Kind::Timeout);
    assert!(error.text().contains(&port.to_string()), "{error}");
    assert!(replica.info().will_retry);
}

#[test]
fn a_server_that_is_busy_is_tried_again() {
    let session = Session::load("redis-3.2");
    let refusals = [
        "-LOADING Redis is loading the dataset in memory",
        "-NOMASTERLINK Can't SYNC while not connected with my master",
        "-MASTERDOWN Link with MASTER is down and replica-serve-stale-data is set to 'no'.",
        "-ERR Can't SYNC while not connected with my master",
        "-ERR max number of clients reached",
    ];
    let refusals = refusals.iter().map(|text| text.to_string()).collect::<Vec<_>>();
    let tries = refusals.len();
    let replay = Replay::start(session, Options { refusals, ..Options::default() });
    let replica = ready(&replay.url(), &[("on-unknown", "continue"), ("on-failure", "continue")]);
    assert_eq!(replica.info().connects as usize, tries + 1);
    assert_eq!(replica.stop(PATIENCE_MS), Ok(()));
}

#[test]
fn a_name_is_looked_up() {
    let server = Server::start(Which::chosen()[0]);
    let url = format!("redis://localhost:{}", server.port());
    let replica = ready(&url, &[]);
    assert_equal(&replica, &mut server.client());
    let nowhere = follower::replica("redis://no.such.name.invalid", &[("connect-timeout", "3000")]);
    nowhere.start().unwrap();
    wait_info(&nowhere, "the look-up failed", |info| info.last_error.is_some());
    assert!(nowhere.info().will_retry);
}
