//! A good citizen of its primary: it is never elected, it is not counted where it is told not to
//! be, and the processes of a host sync fully one after another where they are told to.

#![allow(clippy::expect_used, clippy::unwrap_used)]

mod support;

use rets::error::Kind;
use rets::replica::{Moment, Replica, State};
use std::process::{Child, Command, Stdio};
use support::follower::{
    PATIENCE_MS, assert_equal, catch_up, found, get, ready, ready_now, replica, start, wait_info,
};
use support::sentinel::Sentinel;
use support::server::{Restart, spawn};
use support::{Client, Server, Which, on_each_server, wait_until};

on_each_server!(
    sentinel_promotes_the_real_replica_and_never_us,
    failover_passes_by_who_is_never_counted,
    failover_takes_the_real_replica_when_we_are_never_counted,
    a_primary_that_was_told_to_hand_over_to_who_has_no_port_is_awaited,
    whoever_acknowledges_keeps_min_replicas_content,
    a_full_sync_waits_for_its_turn_and_nothing_else_does,
);

/// Has one server follow another, and waits until it does.
fn follow(follower: &mut Client, port: u16) {
    follower.accepted(&["REPLICAOF", "127.0.0.1", &port.to_string()]);
    wait_until("it follows", || follower.info("master_link_status") == "up");
}

/// The ports of the replicas that a primary knows of, as Sentinel reads them.
fn ports(client: &mut Client) -> Vec<u16> {
    let text = client.accepted(&["INFO", "replication"]).text();
    let rows = text.lines().filter(|line| line.starts_with("slave") && line.contains(":ip="));
    let port = |row: &str| row.split(',').find_map(|pair| pair.strip_prefix("port=")?.parse().ok());
    let mut ports: Vec<_> = rows.map(|row| port(row).expect("a row has a port")).collect();
    ports.sort();
    ports
}

fn sentinel_promotes_the_real_replica_and_never_us(which: Which) {
    let pings = ["--repl-ping-replica-period", "3600"];
    let (mut primary, mut lonely) =
        (Server::start_with(which, &pings), Server::start_with(which, &pings));
    let second = Server::start(which);
    let (mut client, mut real, mut lone) = (primary.client(), second.client(), lonely.client());
    client.accepted(&["SET", "n", "1"]);
    lone.accepted(&["SET", "n", "7"]);
    let ours = ready(&primary.url(), &[]);
    follow(&mut real, primary.port());
    let alone = ready(&lonely.url(), &[]);
    assert_eq!(ports(&mut client), [0, second.port()]);
    assert_eq!(ports(&mut lone), [0]);
    let watched = [("pair", primary.port()), ("lonely", lonely.port())];
    let sentinel = Sentinel::watch(which, &watched);
    let mut asks = sentinel.client();
    for (name, count) in [("pair", 2), ("lonely", 1)] {
        // It counts us; that we can't be talked to is why it will never choose us.
        wait_until("Sentinel knows the replicas", || {
            let flags = |row: &support::Reply| {
                row.array().iter().any(|word| {
                matches!(word, support::Reply::Bulk(word) if word.starts_with(b"s_down,slave"))
            })
            };
            let replicas = asks.accepted(&["SENTINEL", "REPLICAS", name]);
            replicas.array().len() == count
                && replicas.array().iter().filter(|row| flags(row)).count() == 1
        });
    }
    client.accepted(&["INCR", "n"]);
    let offset = catch_up(&ours, &mut client);
    wait_until("the real replica has it all", || real.offset() >= offset);
    primary.kill();
    lonely.kill();
    wait_until("the real replica is promoted", || {
        let address = asks.accepted(&["SENTINEL", "GET-MASTER-ADDR-BY-NAME", "pair"]);
        address.array()[1].text() == second.port().to_string()
    });
    wait_until("an election without a candidate is given up", || {
        sentinel.log().contains("-failover-abort-no-good-slave master lonely")
    });
    // Sentinel cuts the clients of whom it promotes.
    let mut real = second.client();
    assert_eq!(real.info("role"), "master");
    let log = sentinel.log();
    let selected: Vec<_> = log.lines().filter(|line| line.contains("+selected-slave")).collect();
    let promoted = format!(" 127.0.0.1:{} ", second.port());
    let is_real = |line: &&str| line.contains(&promoted);
    assert!(!selected.is_empty() && selected.iter().all(is_real), "{selected:#?}");
    // Both go on with whoever is the primary now.
    ours.set_option("url", &second.url()).unwrap();
    assert_equal(&ours, &mut real);
    assert_eq!((get(&ours, 0, "n"), ours.info().full_syncs), (found("2"), 1));
    assert_eq!(get(&alone, 0, "n"), found("7"));
    lonely.start_again();
    assert_equal(&alone, &mut lonely.client());
}

fn failover_state(client: &mut Client) -> String {
    client.info("master_failover_state")
}

fn failover_passes_by_who_is_never_counted(which: Which) {
    let server = Server::start(which);
    let mut client = server.client();
    client.accepted(&["SET", "n", "1"]);
    let ours = ready(&server.url(), &[("ack", "never-counted")]);
    // At offset 0 every replica has it all, whatever it says.
    client.accepted(&["INCR", "n"]);
    catch_up(&ours, &mut client);
    client.accepted(&["FAILOVER", "TIMEOUT", "300"]);
    wait_until("it is given up", || failover_state(&mut client) == "no-failover");
    assert_eq!(client.info("role"), "master");
    client.accepted(&["INCR", "n"]);
    assert_equal(&ours, &mut client);
    assert_eq!((ours.info().connects, get(&ours, 0, "n")), (1, found("3")));
}

fn failover_takes_the_real_replica_when_we_are_never_counted(which: Which) {
    let (primary, second) = (Server::start(which), Server::start(which));
    let (mut client, mut real) = (primary.client(), second.client());
    client.accepted(&["SET", "n", "1"]);
    // We are the first in the list.
    let ours = ready(&primary.url(), &[("ack", "never-counted")]);
    follow(&mut real, primary.port());
    client.accepted(&["INCR", "n"]);
    client.accepted(&["FAILOVER", "TIMEOUT", "30000"]);
    wait_until("the real replica took over", || real.info("role") == "master");
    wait_until("the primary follows it", || client.info("master_link_status") == "up");
    real.accepted(&["INCR", "n"]);
    wait_until("it passes that on", || get(&ours, 0, "n") == found("3"));
    assert_eq!(ours.info().full_syncs, 1);
}

/// What `ack=truth` costs an operator who lets the primary choose: INFO shows that it was us. That
/// is what the manual says of it, and that it can be taken back.
fn a_primary_that_was_told_to_hand_over_to_who_has_no_port_is_awaited(which: Which) {
    let server = Server::start(which);
    let mut client = server.client();
    client.accepted(&["SET", "n", "1"]);
    let ours = ready(&server.url(), &[]);
    let offset = catch_up(&ours, &mut client);
    wait_until("it acknowledges", || client.replicas().1 >= Some(offset));
    let elsewhere = client.command(&["FAILOVER", "TO", "127.0.0.1", "1"]);
    assert!(elsewhere.error().is_some_and(|text| text.contains("not a replica")), "{elsewhere:?}");
    client.accepted(&["FAILOVER"]);
    wait_until("it wants to hand over", || client.info("role") == "slave");
    assert_eq!(client.info("master_port"), "0");
    assert_eq!(get(&ours, 0, "n"), found("1"));
    client.accepted(&["FAILOVER", "ABORT"]);
    wait_until("it is the primary again", || client.info("role") == "master");
    client.accepted(&["INCR", "n"]);
    assert_equal(&ours, &mut client);
    assert_eq!((get(&ours, 0, "n"), ours.info().full_syncs), (found("2"), 1));
}

fn whoever_acknowledges_keeps_min_replicas_content(which: Which) {
    let server = Server::start_with(which, &["--min-replicas-to-write", "1"]);
    let mut client = server.client();
    let refused = client.command(&["SET", "n", "1"]);
    assert!(refused.error().is_some_and(|text| text.starts_with("NOREPLICAS")), "{refused:?}");
    for ack in ["truth", "never-counted"] {
        let ours = ready(&server.url(), &[("ack", ack)]);
        wait_until(ack, || client.command(&["SET", "n", ack]).error().is_none());
        assert_equal(&ours, &mut client);
    }
}

/// Another program that has a file locked, and dies with its lock.
struct Holder(Child);

impl Holder {
    fn of(path: &str) -> Self {
        let mut command = Command::new("flock");
        // It becomes the program that it is told to run.
        command.args(["-F", path, "sleep", "600"]).stdin(Stdio::null());
        let holder = Self(spawn(command));
        let tries = ["-n", path, "true"];
        wait_until("it has it", || !Command::new("flock").args(tries).status().unwrap().success());
        holder
    }
}

impl Drop for Holder {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

fn waits_for_turn(replica: &Replica) {
    wait_info(replica, "it waits for its turn", |info| info.moment == Moment::WaitingForTurn);
}

fn a_full_sync_waits_for_its_turn_and_nothing_else_does(which: Which) {
    let mut server = Server::start(which);
    let mut client = server.client();
    client.accepted(&["SET", "n", "1"]);
    let path = server.folder().join("lock").display().to_string();
    let lock = [("sync-lock", path.as_str())];
    let before = ready(&server.url(), &lock);
    let holder = Holder::of(&path);
    let waiting = replica(&server.url(), &lock);
    let ended = replica(&server.url(), &lock);
    for replica in [&waiting, &ended] {
        replica.start().unwrap();
        waits_for_turn(replica);
        let error = replica.wait_ready(10).unwrap_err();
        assert!(error.text().contains("sync-lock"), "{error}");
        assert_eq!((replica.info().connects, replica.info().state), (0, State::Connecting));
    }
    ended.stop(PATIENCE_MS).unwrap();
    // Who can go on where it was does not ask for anybody's leave.
    client.accepted(&["CLIENT", "KILL", "TYPE", "replica"]);
    client.accepted(&["INCR", "n"]);
    assert_equal(&before, &mut client);
    assert_eq!((before.info().full_syncs, before.info().partial_syncs), (1, 1));
    // Who can't finds out by asking, and serves what it has until it is its turn.
    server.restart(Restart::Empty);
    let mut client = server.client();
    client.accepted(&["SET", "n", "9"]);
    waits_for_turn(&before);
    let error = before.info().last_error.unwrap();
    assert!(error.text().contains("sync-lock"), "{error}");
    assert_eq!((get(&before, 0, "n"), before.info().full_syncs), (found("2"), 1));
    drop(holder);
    ready_now(&waiting);
    for replica in [&before, &waiting] {
        wait_info(replica, "it has the new data", |info| info.state == State::Following);
        assert_equal(replica, &mut client);
    }
    assert_eq!((before.info().full_syncs, waiting.info().full_syncs), (2, 1));
    assert!(Command::new("flock").args(["-n", &path, "true"]).status().unwrap().success());
}

#[test]
fn a_holder_that_hangs_is_waited_for_as_long_as_a_silent_primary() {
    let args = ["--repl-ping-replica-period", "1"];
    let server = Server::start_with(Which::chosen()[0], &args);
    let path = server.folder().join("lock").display().to_string();
    let _holder = Holder::of(&path);
    let replica = replica(&server.url(), &[("sync-lock", &path), ("link-timeout", "3000")]);
    replica.start().unwrap();
    waits_for_turn(&replica);
    ready_now(&replica);
    assert_equal(&replica, &mut server.client());
}

#[test]
fn a_lock_that_can_not_be_had_is_refused_and_one_that_is_lost_is_done_without() {
    let server = Server::start(Which::chosen()[0]);
    let folder = tempfile::tempdir().unwrap();
    let place = |name: &str| folder.path().join(name).display().to_string();
    let replica = replica(&server.url(), &[]);
    for (path, kind) in [(place("no/lock"), Kind::Io), ("lock".to_owned(), Kind::Invalid)] {
        let error = replica.set_option("sync-lock", &path).unwrap_err();
        assert!(error.kind() == kind && error.text().contains(&path), "{error}");
        assert_eq!(replica.option("sync-lock").unwrap(), "");
    }
    replica.set_option("sync-lock", &place("lock")).unwrap();
    folder.close().unwrap();
    start(&replica);
    assert_equal(&replica, &mut server.client());
}
