//! The link, stepped over a scripted network under a simulated clock.

mod bench;
mod citizen;
mod fetch;

use std::collections::VecDeque;
use std::sync::atomic::Ordering;

use self::bench::Bench;
use super::*;

const ID: &str = "0123456789abcdef0123456789abcdef01234567";
const ID2: &str = "fedcba9876543210fedcba9876543210fedcba98";

fn id(text: &str) -> ReplId {
    text.as_bytes().try_into().unwrap()
}

fn lost(feed: &Feed) -> (Kind, &str) {
    match feed {
        Feed::Lost { error, .. } => (error.kind(), error.text()),
        other => panic!("{other:?}"),
    }
}

#[test]
fn a_primary_that_refuses_connections_is_tried_less_and_less() {
    let mut bench = Bench::new(&[]);
    let down = || Some(Err(Error::new(Kind::Io, "connection refused")));
    bench.sim.0.lock().plans = (0..8).map(|_| down()).collect();
    bench.pass(60_000);
    assert_eq!(bench.lost_pauses(), [100, 200, 400, 800, 1600, 3200, 5000, 5000]);
    assert_eq!(bench.dials(), [0, 100, 300, 700, 1500, 3100, 6300, 11_300, 16_300]);
}

#[test]
fn once_ready_the_next_loss_is_repaired_within_a_quarter_of_a_second() {
    for random in [0, 100, u64::MAX] {
        let mut bench = Bench::new(&[("link-timeout", "86400000")]);
        bench.sim.0.lock().random = random;
        bench.sim.0.lock().plans =
            (0..20).map(|_| Some(Err(Error::new(Kind::Io, "connection refused")))).collect();
        bench.pass(600_000);
        assert_eq!(bench.dials().len(), 21);
        bench.attach(10);
        bench.control.ready();
        bench.heard();
        bench.hang_up();
        let pauses = bench.lost_pauses();
        assert!(pauses.len() == 1 && (100..=250).contains(&pauses[0]), "{pauses:?}");
        bench.pass(250);
        assert_eq!(bench.dials().len(), 22);
    }
}

#[test]
fn nothing_is_dialed_before_the_apply_thread_has_answered() {
    let mut bench = Bench::new(&[]);
    bench.point = None;
    bench.settle();
    bench.hang_up();
    bench.pass(3_600_000);
    assert_eq!(bench.dials().len(), 1);
    bench.control.resume(Some((id(ID), 41)));
    bench.settle();
    assert_eq!(bench.dials().len(), 2);
    assert_eq!(bench.greet(), format!("PSYNC {ID} 42"));
}

#[test]
fn a_resume_point_from_before_the_start_is_used() {
    let mut bench = Bench::new(&[]);
    bench.control.resume(Some((id(ID2), 7)));
    assert_eq!(bench.greet(), format!("PSYNC {ID2} 8"));
}

#[test]
fn the_stream_goes_on_after_the_last_applied_unit_under_its_new_name() {
    let mut bench = Bench::new(&[]);
    bench.attach(5350);
    bench.control.ready();
    bench.say("half a unit");
    bench.point = Some(Some((id(ID), 5400)));
    bench.hang_up();
    bench.pass(250);
    bench.heard();
    assert_eq!(bench.greet(), format!("PSYNC {ID} 5401"));
    // A newline after the line already belongs to the stream.
    bench.say(format!("\n+CONTINUE {ID2}\r\n\nxyz"));
    let told = [
        Feed::Continue { replid: Some(id(ID2)) },
        Feed::Bytes { bytes: b"\nxyz".to_vec(), at_ms: 250 },
    ];
    assert_eq!(bench.news(), told);
    assert_eq!(bench.sent(), "REPLCONF ACK 5400");
    let counters = bench.control.counters();
    assert_eq!((counters.connects, counters.full_syncs, counters.partial_syncs), (2, 1, 1));
}

#[test]
fn whatever_follows_the_header_is_passed_on_as_it_is() {
    let mut bench = Bench::new(&[]);
    bench.greet();
    bench.say(format!("\n+FULLRESYNC {ID} 77\r\n\n\n$EOF:{ID2}\r\n\nRE"));
    bench.say("DIS\n");
    bench.say(vec![b'x'; 100_000]);
    let mut news = bench.news().into_iter();
    let transfer = Transfer::Mark(id(ID2));
    let told = Feed::FullSync { replid: Some(id(ID)), offset: 77, transfer, at_ms: 0 };
    assert_eq!(news.next(), Some(told));
    let mut bytes = Vec::new();
    for feed in news {
        let Feed::Bytes { bytes: piece, .. } = feed else { panic!("{feed:?}") };
        assert!(piece.len() <= CHUNK && piece.capacity() == piece.len());
        bytes.extend(piece);
    }
    assert_eq!(bytes.len(), 7 + 100_000);
    assert!(bytes.starts_with(b"\nREDIS\nxxx"));
    assert_eq!(bench.control.spooled(), bytes.len() as u64);
}

#[test]
fn a_snapshot_is_as_old_as_its_announcement() {
    let mut bench = Bench::new(&[]);
    bench.greet();
    bench.pass(70);
    bench.say(format!("+FULLRESYNC {ID} 77\r\n"));
    for _ in 0..30 {
        bench.pass(1000);
        bench.say("\n");
    }
    bench.say("$9\r\nREDIS");
    let told = bench.news();
    let Feed::FullSync { at_ms, .. } = told[0] else { panic!("{told:?}") };
    let Feed::Bytes { at_ms: of_bytes, .. } = told[1] else { panic!("{told:?}") };
    assert_eq!((at_ms, of_bytes), (70, 30_070));
}

#[test]
fn statuses_tell_how_far_it_is() {
    use LinkState::*;
    let mut bench = Bench::new(&[]);
    bench.sim.0.lock().plans = VecDeque::from([None]);
    let statuses = |bench: &mut Bench| -> Vec<_> {
        let status = |feed| match feed {
            Feed::Status(state) => Some(state),
            _ => None,
        };
        bench.heard().into_iter().filter_map(status).collect()
    };
    assert_eq!(statuses(&mut bench), [Connecting]);
    bench.peer().lock().up = Some(Ok(()));
    assert_eq!(statuses(&mut bench), [Handshaking]);
    bench.greet();
    bench.say(format!("+FULLRESYNC {ID} 0\r\n\n"));
    assert_eq!(statuses(&mut bench), [WaitingForSnapshot]);
    bench.say("\n");
    assert_eq!(statuses(&mut bench), []);
    bench.say("$1\r\n");
    assert_eq!(statuses(&mut bench), [Attached]);
}

#[test]
fn newlines_while_loading_then_an_ack_each_second_and_at_once_when_asked() {
    let mut bench = Bench::new(&[]);
    bench.attach(100);
    for _ in 0..3 {
        bench.pass(999);
        assert_eq!(bench.sent(), "");
        bench.pass(1);
        assert_eq!(bench.sent(), "\n");
    }
    bench.control.set_applied(100);
    bench.control.ack_now();
    assert_eq!(bench.sent(), "REPLCONF ACK 100");
    bench.pass(400);
    bench.control.set_applied(137);
    bench.control.ack_now();
    assert_eq!(bench.sent(), "REPLCONF ACK 137");
    // The rhythm counts from the last one.
    bench.pass(999);
    assert_eq!(bench.sent(), "");
    bench.pass(2001);
    assert_eq!(bench.sent(), "REPLCONF ACK 137 REPLCONF ACK 137 REPLCONF ACK 137");
}

#[test]
fn never_counted_says_nothing_but_zero() {
    let mut bench = Bench::new(&[("ack", "never-counted"), ("ack-interval", "5000")]);
    bench.attach(100);
    bench.control.set_applied(100);
    bench.pass(10_000);
    assert_eq!(bench.sent(), "REPLCONF ACK 0 REPLCONF ACK 0");
}

#[test]
fn a_server_that_knows_only_sync_hears_nothing_in_its_stream() {
    let mut bench = Bench::new(&[]);
    bench.greet();
    bench.say("-ERR unknown command 'PSYNC'\r\n");
    assert_eq!(bench.sent(), "SYNC");
    bench.say("\n$9\r\n");
    let transfer = Transfer::Length(9);
    let told = Feed::FullSync { replid: None, offset: -1, transfer, at_ms: 0 };
    assert_eq!(bench.news(), [told]);
    for _ in 0..10 {
        bench.pass(10_000);
        bench.say("PING\r\n");
    }
    bench.control.ack_now();
    assert_eq!(bench.sent(), "");
}

#[test]
fn after_sync_with_a_mark_the_ack_that_starts_the_stream_is_sent() {
    let mut bench = Bench::new(&[]);
    bench.greet();
    bench.say("-ERR unknown command 'PSYNC'\r\n");
    bench.sent();
    bench.say(format!("$EOF:{ID2}\r\n"));
    assert_eq!(bench.sent(), "REPLCONF ACK 0");
    // A primary misses those that come too early, so they are repeated, each pause twice as long,
    for pause_ms in [20, 40, 80, 160, 320, 640] {
        bench.pass(pause_ms - 1);
        assert_eq!(bench.sent(), "");
        bench.pass(1);
        assert_eq!(bench.sent(), "REPLCONF ACK 0");
    }
    // up to the usual rhythm, which begins at once when something comes.
    bench.pass(3000);
    assert_eq!(bench.sent(), "REPLCONF ACK 0 REPLCONF ACK 0 REPLCONF ACK 0");
}

#[test]
fn an_ack_of_the_last_history_is_never_sent_for_a_new_one() {
    let mut bench = Bench::new(&[]);
    bench.attach(100);
    bench.control.set_applied(1_000_000);
    bench.hang_up();
    bench.pass(250);
    bench.attach(5);
}

#[test]
fn a_primary_that_takes_no_bytes_gets_no_heap_of_acks() {
    let mut bench = Bench::new(&[]);
    bench.attach(100);
    bench.control.set_applied(1);
    bench.peer().lock().window = Some(5);
    for _ in 0..50 {
        bench.pass(1000);
        bench.say("PING\r\n");
    }
    bench.peer().lock().window = None;
    assert_eq!(bench.sent(), "REPLCONF ACK 1");
}

#[test]
fn what_waits_to_be_applied_is_bounded_and_acks_go_on() {
    let mut bench = Bench::new(&[("spool-size", "128kb"), ("link-timeout", "5000")]);
    bench.attach(100);
    bench.control.set_applied(100);
    bench.heard();
    for _ in 0..10 {
        bench.peer().lock().coming.push_back(vec![b'x'; CHUNK]);
    }
    bench.settle();
    assert_eq!(bench.peer().lock().coming.len(), 8);
    let spooled = bench.control.spooled();
    assert!((128 << 10..192 << 10).contains(&spooled), "{spooled}");
    let Step::Wait { want, .. } = bench.settle() else { panic!() };
    assert_eq!(want, Interest::default());
    // A minute of a callback that hangs: the link lives, though it reads nothing.
    bench.sent();
    bench.pass(60_000);
    assert_eq!(bench.sent().matches("ACK 100").count(), 60);
    assert_eq!(bench.peer().lock().coming.len(), 8);

    let rings = || bench.sim.0.lock().rings.load(Ordering::SeqCst);
    let before = rings();
    bench.control.consumed(CHUNK as u64);
    assert_eq!(rings(), before + 1);
    bench.settle();
    assert_eq!(bench.peer().lock().coming.len(), 7);
    bench.control.consumed(CHUNK as u64);
    bench.settle();
    assert_eq!(bench.peer().lock().coming.len(), 6);
    assert!(bench.news().iter().all(|feed| matches!(feed, Feed::Bytes { .. })));
}

#[test]
fn while_a_snapshot_comes_little_waits_and_the_link_lives_on() {
    let mut bench = Bench::new(&[("link-timeout", "5000")]);
    bench.greet();
    bench.say(format!("+FULLRESYNC {ID} 77\r\n$10000000\r\n"));
    bench.news();
    for _ in 0..100 {
        bench.peer().lock().coming.push_back(vec![b'x'; CHUNK]);
    }
    let waits = |bench: &mut Bench| {
        bench.settle();
        bench.control.spooled() as usize / CHUNK
    };
    assert_eq!(waits(&mut bench), 14);
    bench.sent();
    bench.pass(60_000);
    assert!(bench.sent().matches('\n').count() >= 60);
    assert_eq!(waits(&mut bench), 14);
    // It is rung for when there is room for some more, and reads on.
    let rings = |bench: &Bench| bench.sim.0.lock().rings.load(Ordering::SeqCst);
    let before = rings(&bench);
    (0..4).for_each(|_| bench.control.consumed(CHUNK as u64));
    assert_eq!(rings(&bench), before + 1);
    assert_eq!(waits(&mut bench), 14);
    // The stream may run further ahead, and is asked for at once.
    bench.control.set_applied(77);
    bench.control.ready();
    assert_eq!(rings(&bench), before + 2);
    assert_eq!(waits(&mut bench), 96);
}

#[test]
fn many_small_feeds_count_for_more_than_their_bytes() {
    let mut bench = Bench::new(&[("spool-size", "64kb")]);
    bench.attach(100);
    for _ in 0..1000 {
        bench.peer().lock().coming.push_back(b"x".to_vec());
    }
    bench.settle();
    let left = bench.peer().lock().coming.len();
    assert!((400..600).contains(&left), "{left} of 1000 bytes wait at the primary");
}

#[test]
fn a_primary_that_cuts_every_full_sync_is_not_made_to_fork_for_each_try() {
    let mut bench = Bench::new(&[]);
    let mut pauses = Vec::new();
    for _ in 0..5 {
        bench.attach(100);
        bench.control.set_applied(100);
        bench.control.ready();
        bench.hang_up();
        bench.settle();
        for feed in bench.news() {
            if let Feed::Lost { retry_in_ms, .. } = feed {
                pauses.push(retry_in_ms);
            }
        }
        bench.control.resume(None);
        bench.pass(60_000);
    }
    // Once may happen; after that they are spaced like full syncs that failed.
    assert!(pauses[0] <= 250, "{pauses:?}");
    let least = [0, 1_000, 2_000, 4_000, 8_000];
    assert!(pauses.iter().zip(least).all(|(pause, least)| *pause >= least), "{pauses:?}");
    // One that has settled is none of them.
    bench.attach(100);
    bench.control.ready();
    for _ in 0..20 {
        bench.pass(1000);
        bench.say("\n");
    }
    bench.hang_up();
    assert!(bench.lost_pauses()[0] <= 250);
}

#[test]
fn a_silent_link_is_lost_and_a_newline_is_a_sign_of_life() {
    let mut bench = Bench::new(&[("link-timeout", "5000")]);
    bench.attach(1);
    bench.pass(4000);
    bench.say("x");
    bench.pass(4999);
    assert!(!bench.news().iter().any(|f| matches!(f, Feed::Lost { .. })));
    bench.pass(1);
    assert_eq!(lost(&bench.news()[0]).0, Kind::Timeout);

    let mut bench = Bench::new(&[("link-timeout", "5000")]);
    bench.greet();
    for _ in 0..30 {
        bench.pass(4000);
        bench.say("\n");
    }
    assert_eq!(bench.news(), []);
    bench.say(format!("+FULLRESYNC {ID} 0\r\n"));
    bench.pass(5000);
    assert_eq!(lost(&bench.news()[0]).0, Kind::Timeout);
    assert!(bench.sim.0.lock().peers[0].lock().dropped);
}

#[test]
fn connecting_has_a_deadline() {
    let mut bench = Bench::new(&[("connect-timeout", "3000")]);
    bench.sim.0.lock().plans = VecDeque::from([None]);
    bench.pass(2999);
    assert_eq!(bench.news(), []);
    bench.pass(1);
    let news = bench.news();
    let (kind, text) = lost(&news[0]);
    assert_eq!(kind, Kind::Timeout);
    assert!(text.contains("primary:6379") && text.contains("3000 ms"), "{text}");
}

#[test]
fn a_full_sync_that_is_asked_for_again_is_spaced_and_stays_asked_for_until_ready() {
    let mut bench = Bench::new(&[]);
    bench.point = Some(Some((id(ID), 100)));
    bench.control.resume(bench.point.unwrap());
    bench.greet();
    bench.say("+CONTINUE\r\n");
    bench.control.ready();
    bench.heard();
    for pause in [1000, 2000, 4000, 8000, 16_000, 32_000, 60_000, 60_000] {
        bench.control.restart_sync(Error::protocol("bad snapshot"));
        let news = bench.news();
        let error = Error::protocol("bad snapshot");
        assert_eq!(news, [Feed::Lost { error, retry_in_ms: pause }]);
        let dials = bench.dials().len();
        bench.pass(pause - 1);
        assert_eq!(bench.dials().len(), dials);
        bench.pass(1);
        assert_eq!(bench.dials().len(), dials + 1);
        bench.attach(3);
        bench.heard();
    }
    // Even when the link breaks by itself before the load is complete.
    bench.hang_up();
    bench.pass(20_000);
    bench.attach(3);
    bench.control.ready();
    bench.hang_up();
    bench.pass(250);
    assert_eq!(bench.greet(), format!("PSYNC {ID} 101"));
}

#[test]
fn a_full_sync_asked_for_while_the_link_is_down_lengthens_the_pause() {
    let mut bench = Bench::new(&[]);
    bench.point = Some(Some((id(ID), 100)));
    bench.attach(1);
    bench.hang_up();
    bench.control.restart_sync(Error::protocol("diverged"));
    bench.pass(999);
    assert_eq!(bench.dials().len(), 1);
    assert_eq!(bench.lost_pauses(), [100]);
    bench.pass(1);
    assert_eq!(bench.greet(), "PSYNC ? -1");
}

#[test]
fn a_refusal_ends_it_until_the_configuration_changes() {
    let mut bench = Bench::new(&[("password", "wrong")]);
    bench.settle();
    bench.say("+PONG\r\n");
    bench.say("-WRONGPASS invalid username-password pair or user is disabled.\r\n");
    let news = bench.news();
    let [Feed::Refused { error }] = news.as_slice() else { panic!("{news:?}") };
    assert_eq!(error.kind(), Kind::Auth);
    assert_eq!(bench.control.counters().last_error.as_ref(), Some(error));
    bench.pass(86_400_000);
    assert_eq!(bench.dials().len(), 1);
    assert!(bench.peer().lock().dropped);

    let mut config = Config::from_url("redis://other:1").unwrap();
    config.set("password", "right", true).unwrap();
    bench.control.set_config(config);
    assert_eq!(bench.sent(), "PING");
    assert_eq!(bench.peer().lock().dialed.1, "other:1");
    bench.say("+PONG\r\n");
    assert!(bench.sent().starts_with("AUTH right REPLCONF"));
}

#[test]
fn once_ready_no_refusal_is_final() {
    let mut bench = Bench::new(&[]);
    bench.attach(1);
    bench.control.ready();
    bench.hang_up();
    bench.pass(250);
    bench.heard();
    for _ in 0..3 {
        bench.say("-NOAUTH Authentication required.\r\n");
        bench.say("-NOAUTH x\r\n-NOAUTH x\r\n");
        assert_eq!(bench.lost_pauses(), [5000]);
        bench.pass(10_000);
    }
    bench.attach(1);
}

#[test]
fn a_new_configuration_does_not_disturb_a_link_that_works() {
    let mut bench = Bench::new(&[]);
    bench.attach(1);
    bench.control.ready();
    bench.control.set_config(Config::from_url("redis://other").unwrap());
    bench.pass(5000);
    assert_eq!(bench.dials().len(), 1);
    bench.hang_up();
    bench.pass(250);
    assert_eq!(bench.peer().lock().dialed.1, "other:6379");
}

#[test]
fn a_new_configuration_ends_a_pause() {
    let mut bench = Bench::new(&[]);
    bench.sim.0.lock().plans =
        (0..8).map(|_| Some(Err(Error::new(Kind::Io, "connection refused")))).collect();
    bench.pass(12_000);
    let dials = bench.dials().len();
    bench.control.set_config(Config::from_url("unix:///tmp/s").unwrap());
    bench.settle();
    assert_eq!(bench.dials().len(), dials + 1);
    assert_eq!(bench.peer().lock().dialed.1, "/tmp/s");
}

#[test]
fn the_password_file_is_read_at_each_connection() {
    let mut bench = Bench::new(&[("user", "me"), ("password-file", "/secret")]);
    for (file, sent) in
        [("one\n", "AUTH me one "), ("two\r\n", "AUTH me two "), (" x \n\n", "AUTH me  x \n ")]
    {
        bench.sim.0.lock().files.insert("/secret".into(), file.into());
        bench.settle();
        bench.pass(10_000);
        bench.say("+PONG\r\n");
        let got = bench.sent();
        assert!(got.contains(sent), "{got:?}");
        bench.hang_up();
    }
}

#[test]
fn a_missing_password_file_is_a_refusal_before_the_first_sync_only() {
    let mut bench = Bench::new(&[("password-file", "/secret")]);
    let news = bench.news();
    let [Feed::Refused { error }] = news.as_slice() else { panic!("{news:?}") };
    assert!(error.kind() == Kind::Io && error.text().contains("/secret"));
    bench.control.ready();
    let mut config = Config::from_url("redis://primary").unwrap();
    config.set("password-file", "/secret", true).unwrap();
    bench.control.set_config(config);
    assert_eq!(bench.lost_pauses(), [5000]);
}

#[test]
fn what_the_primary_said_before_it_closed_is_heard_though_writing_failed() {
    let mut bench = Bench::new(&[]);
    bench.sim.0.lock().plans = VecDeque::from([None]);
    bench.settle();
    {
        let peer = bench.peer();
        let mut peer = peer.lock();
        peer.write_fails = true;
        peer.coming.push_back(b"-DENIED Redis is running in protected mode\r\n".to_vec());
        peer.up = Some(Ok(()));
    }
    let news = bench.news();
    assert!(matches!(&news[..], [Feed::Refused { .. }]), "{news:?}");

    let mut bench = Bench::new(&[]);
    bench.attach(1);
    bench.control.set_applied(1);
    bench.peer().lock().write_fails = true;
    bench.pass(1000);
    let news = bench.news();
    let (kind, text) = lost(news.last().unwrap());
    assert!(kind == Kind::Io && text.contains("broke"), "{text}");
}

#[test]
fn it_stops_from_every_state() {
    type Reach = fn(&mut Bench);
    let phases: [(&str, Reach); 7] = [
        ("new", |_| {}),
        ("dialing", |bench| bench.sim.0.lock().plans = VecDeque::from([None])),
        ("shaking", |bench| drop(bench.sent())),
        ("waiting", |bench| drop(bench.greet())),
        ("attached", |bench| bench.attach(1)),
        ("lost, not answered", |bench| {
            bench.point = None;
            bench.settle();
            bench.hang_up();
        }),
        ("parked", |bench| {
            bench.settle();
            bench.say("HTTP/1.1 400 Bad Request\r\n");
        }),
    ];
    for (name, reach) in phases {
        let mut bench = Bench::new(&[]);
        reach(&mut bench);
        if name != "new" {
            bench.settle();
        }
        let rings = bench.sim.0.lock().rings.load(Ordering::SeqCst);
        bench.control.stop();
        assert_eq!(bench.sim.0.lock().rings.load(Ordering::SeqCst), rings + 1);
        assert_eq!(bench.settle(), Step::Done, "{name}");
        assert!(bench.sim.0.lock().peers.iter().all(|peer| peer.lock().dropped), "{name}");
    }
}

#[test]
fn it_ends_when_nobody_listens() {
    let mut bench = Bench::new(&[]);
    bench.attach(1);
    let (_, nobody) = crossbeam_channel::unbounded();
    bench.fed = nobody;
    bench.peer().lock().coming.push_back(b"x".to_vec());
    assert_eq!(bench.link.step(), Step::Again);
    assert_eq!(bench.link.step(), Step::Done);
}

#[test]
fn giving_up_holds_until_there_is_a_newer_configuration() {
    let error = Error::new(Kind::NoMemory, "too much");
    let config = || Config::from_url("redis://primary").unwrap();
    let mut bench = Bench::new(&[]);
    bench.control.set_config(config());
    bench.attach(1);
    bench.control.park(&error, bench.control.configs());
    bench.pass(3_600_000);
    assert_eq!(bench.dials().len(), 1);
    bench.control.set_config(config());
    bench.settle();
    assert_eq!(bench.greet(), "PSYNC ? -1");
    // One that was set while it was tried under the last is not forgotten.
    for is_taken in [true, false] {
        let under = bench.control.configs();
        bench.control.set_config(config());
        if is_taken {
            bench.settle();
        }
        let before = bench.dials().len();
        bench.control.park(&error, under);
        bench.settle();
        assert_eq!(bench.dials().len(), before + 1);
    }
}
