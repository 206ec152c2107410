//! How the link spares its primary and its host: when it begins, whose turn it is, and what it
//! tells of those who do not keep up.

use super::super::behind::Behind;
use super::bench::Bench;
use super::*;

const LOCK: (&str, &str) = ("sync-lock", "/run/lock");

/// One that was in sync up to here and then lost its connection.
fn lost_at(offset: i64, options: &[(&str, &str)]) -> Bench {
    let mut bench = Bench::new(options);
    bench.attach(offset);
    bench.control.ready();
    bench.point = Some(Some((id(ID), offset)));
    bench.settle();
    bench.hang_up();
    bench
}

fn turns(bench: &mut Bench) -> usize {
    let turn = Feed::Status(LinkState::WaitingForTurn);
    bench.heard().iter().filter(|feed| **feed == turn).count()
}

#[test]
fn the_first_connection_waits_as_long_as_chance_says() {
    for (random, first) in [(0, 0), (5_000, 5_000), (5_001, 0), (u64::MAX, u64::MAX % 5_001)] {
        let sim = Bench::sim();
        sim.0.lock().random = random;
        let mut bench = Bench::over(sim, &[("start-jitter", "5000")]);
        bench.pass(6_000);
        assert_eq!(bench.dials(), [first as i64]);
        // Only the first.
        bench.sim.0.lock().random = 0;
        bench.hang_up();
        bench.pass(100);
        assert_eq!(bench.dials().len(), 2);
    }
}

#[test]
fn who_has_nothing_waits_for_its_turn_and_has_it_until_the_load_is_complete() {
    let mut bench = Bench::new(&[LOCK]);
    bench.lock().lock().theirs = Some(7);
    assert_eq!(turns(&mut bench), 1);
    bench.pass(10_000);
    assert_eq!((turns(&mut bench), bench.dials().len()), (0, 0));
    bench.lock().lock().theirs = None;
    bench.pass(100);
    assert!(bench.lock().lock().is_ours);
    bench.attach(10);
    bench.say("more of it");
    assert!(bench.lock().lock().is_ours);
    bench.control.ready();
    bench.control.ack_now();
    bench.settle();
    assert!(!bench.lock().lock().is_ours);
    // What follows is none of anybody's business.
    bench.lock().lock().theirs = Some(7);
    bench.pass(120_000 / 2 - 1);
    assert!(!bench.peer().lock().dropped);
}

#[test]
fn who_has_a_position_asks_out_of_turn() {
    let mut bench = lost_at(41, &[LOCK]);
    bench.lock().lock().theirs = Some(7);
    bench.pass(250);
    assert_eq!(bench.greet(), format!("PSYNC {ID} 42"));
    bench.say("+CONTINUE\r\n");
    assert!(!bench.peer().lock().dropped && !bench.lock().lock().is_ours);
    assert_eq!(turns(&mut bench), 0);
}

#[test]
fn who_is_answered_with_a_full_sync_out_of_turn_hangs_up_and_asks_again_in_turn() {
    let header = [format!("+FULLRESYNC {ID2} 9\r\n"), "$4\r\nSNAP".to_owned()];
    for at_once in [false, true] {
        let mut bench = lost_at(41, &[LOCK]);
        bench.lock().lock().theirs = Some(7);
        bench.pass(250);
        bench.greet();
        bench.heard();
        bench.say(if at_once { header.concat() } else { header[0].clone() });
        assert!(bench.peer().lock().dropped);
        let news = bench.news();
        assert!(lost(&news[0]).1.contains("sync-lock"), "{news:?}");
        bench.pass(250);
        assert_eq!(turns(&mut bench), 1);
        bench.pass(30_000);
        assert_eq!(bench.dials().len(), 2, "it waits without a connection");
        bench.lock().lock().theirs = None;
        bench.pass(100);
        assert!(bench.lock().lock().is_ours);
        assert_eq!(bench.greet(), format!("PSYNC {ID} 42"));
        bench.say(header.concat());
        assert_eq!(bench.control.counters().full_syncs, 2);
        assert!(bench.lock().lock().is_ours);
        bench.control.ready();
        bench.control.ack_now();
        bench.settle();
        assert!(!bench.lock().lock().is_ours);
    }
}

#[test]
fn who_is_answered_with_a_full_sync_takes_a_turn_that_is_free() {
    let mut bench = lost_at(41, &[LOCK]);
    bench.pass(250);
    bench.greet();
    assert!(!bench.lock().lock().is_ours);
    bench.say(format!("+FULLRESYNC {ID2} 9\r\n"));
    assert!(!bench.peer().lock().dropped && bench.lock().lock().is_ours);
}

#[test]
fn a_turn_ends_with_the_connection_however_that_ends() {
    type End = fn(&mut Bench);
    let ends: [(&str, End); 5] = [
        ("lost", |bench| bench.hang_up()),
        ("refused", |bench| bench.say("-NOAUTH x\r\n-NOAUTH x\r\n-NOAUTH x\r\n")),
        ("restarted", |bench| bench.control.restart_sync(Error::protocol("broken"))),
        ("parked", |bench| bench.control.park(&Error::protocol("no"), 0)),
        ("stopped", |bench| bench.control.stop()),
    ];
    for (name, end) in ends {
        let mut bench = Bench::new(&[LOCK]);
        bench.settle();
        assert!(bench.lock().lock().is_ours);
        end(&mut bench);
        if bench.settle() == Step::Done {
            let Bench { link, sim, .. } = bench;
            drop(link);
            assert!(!sim.0.lock().lock.lock().is_ours, "{name}");
            continue;
        }
        assert!(!bench.lock().lock().is_ours, "{name}");
    }
    // A connection that nobody answers holds it no longer than it is waited for.
    let mut bench = Bench::new(&[LOCK]);
    bench.sim.0.lock().plans = VecDeque::from([None]);
    bench.pass(9_999);
    assert!(bench.lock().lock().is_ours);
    bench.pass(1);
    assert!(!bench.lock().lock().is_ours);
}

#[test]
fn a_holder_that_gets_no_further_is_not_waited_for() {
    let mut bench = Bench::new(&[LOCK, ("link-timeout", "20000")]);
    for progress in 0..5 {
        bench.lock().lock().theirs = Some(progress);
        bench.pass(19_000);
    }
    assert!(bench.dials().is_empty());
    bench.pass(1_300);
    assert_eq!(bench.dials().len(), 1);
    bench.attach(10);
    assert!(!bench.lock().lock().is_ours);
    // It still gets no further: nobody waits for it a second time.
    bench.hang_up();
    bench.pass(250);
    assert_eq!(bench.dials().len(), 2);
    // Or it does.
    bench.hang_up();
    bench.lock().lock().theirs = Some(99);
    bench.pass(19_000);
    assert_eq!(bench.dials().len(), 2);
}

#[test]
fn a_file_that_can_not_be_locked_any_more_keeps_nobody_from_syncing() {
    let mut bench = Bench::new(&[LOCK]);
    bench.lock().lock().is_broken = true;
    bench.attach(10);
    assert_eq!(turns(&mut bench), 0);
}

#[test]
fn others_are_shown_that_we_get_on_while_we_do() {
    let mut bench = Bench::new(&[LOCK]);
    bench.settle();
    let shown = |bench: &Bench| std::mem::take(&mut bench.lock().lock().shown);
    assert_eq!(shown(&bench), 1);
    bench.attach(10);
    shown(&bench);
    for _ in 0..100 {
        bench.pass(100);
        bench.say("more");
    }
    assert_eq!(shown(&bench), 10);
    bench.pass(30_000);
    assert!(shown(&bench) <= 1, "nothing came");
    // What was received is worked off, which is progress as well.
    for _ in 0..10 {
        bench.control.consumed(4);
        bench.pass(1_000);
    }
    assert_eq!(shown(&bench), 10);
}

#[test]
fn a_full_sync_that_is_broken_off_again_and_again_is_asked_for_less_and_less() {
    let mut bench = Bench::new(&[("retry-max", "10")]);
    for pause in [100, 1_000, 2_000, 4_000, 8_000, 16_000, 32_000, 60_000, 60_000] {
        bench.attach(10);
        bench.say("and no more");
        bench.hang_up();
        assert_eq!(bench.lost_pauses(), [pause]);
        bench.pass(pause);
    }
    // What ends before anything was made for us does not count.
    bench.hang_up();
    assert_eq!(bench.lost_pauses(), [100]);
}

#[test]
fn who_does_not_keep_up_is_told_once_and_then_less_and_less() {
    let bench = Bench::new(&[]);
    let mut behind = Behind::default();
    let mut said = Vec::new();
    let mut now = 0;
    let mut pass = |behind: &mut Behind, seconds: i64, is_full: bool, said: &mut Vec<String>| {
        for _ in 0..seconds {
            said.extend(behind.look(&bench.control, 1_000, is_full, now));
            now += 1_000;
        }
        said.drain(..).map(|text| text.split(':').next().unwrap().to_owned()).collect::<Vec<_>>()
    };
    let nothing = |ms| format!("nothing was applied for {ms} ms while 100 bytes wait");
    assert!(pass(&mut behind, 10, false, &mut said).is_empty(), "nothing waits");
    bench.control.came(100);
    let told = pass(&mut behind, 25, false, &mut said);
    assert_eq!(told, [nothing(3_000), nothing(6_000), nothing(12_000), nothing(24_000)]);
    // It gets on, a unit at a time.
    for offset in 0..10 {
        bench.control.set_applied(offset);
        assert!(pass(&mut behind, 3, false, &mut said).is_empty());
    }
    bench.control.came(900);
    let told = pass(&mut behind, 2, true, &mut said);
    assert_eq!(told, ["the spool is full, the primary has to keep what follows"]);
    // A small spool is full again and again.
    for _ in 0..3 {
        bench.control.consumed(1_000);
        assert!(pass(&mut behind, 20, false, &mut said).is_empty());
        bench.control.came(1_000);
        assert!(pass(&mut behind, 2, true, &mut said).is_empty());
    }
    bench.control.consumed(1_000);
    assert!(pass(&mut behind, 61, false, &mut said).is_empty());
    bench.control.came(500);
    let told = pass(&mut behind, 2, false, &mut said);
    assert_eq!(told, ["the spool is half full, the callback is slower than the primary"]);
}
