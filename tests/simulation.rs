//! The whole engine under a simulated clock, network and primary: what happens in which order, and
//! what goes wrong, comes from one seed. A longer run: `make simulate SECONDS=3600`; one seed
//! again, with what happened: `make simulate SEED=1`.

#![allow(clippy::expect_used, clippy::print_stdout, clippy::unwrap_used)]

#[path = "support/simulation/mod.rs"]
mod simulation;
mod support;

use simulation::{FAULTS, Plan, Tally, run, shrink};
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};
use support::long::number;

/// How long every test run looks for a seed that fails.
const SHORT: Duration = Duration::from_secs(90);

/// How long a smaller run is looked for that fails as well.
const SHRINKING: Duration = Duration::from_secs(90);

/// The plan that somebody asks for.
fn chosen() -> Option<Plan> {
    let mut plan = Plan::new(number("RETS_ONLY")?);
    plan.turns = number("RETS_TURNS").map_or(plan.turns, |turns| turns as usize);
    for word in std::env::var("RETS_WITHOUT").unwrap_or_default().split(',') {
        let named = FAULTS.iter().find(|(_, name)| *name == word);
        assert!(named.is_some() || word.is_empty(), "there is no fault {word}");
        plan.faults &= !named.map_or(0, |(fault, _)| 1 << *fault as u64);
    }
    Some(plan)
}

/// Runs a plan that fails once more, smaller, and tells all about it.
fn report(plan: &Plan, failure: &str) -> ! {
    println!("seed {} fails, it is made smaller", plan.seed);
    let small = shrink(plan, SHRINKING);
    let outcome = run(&small, true);
    for line in &outcome.lines {
        println!("{line}");
    }
    println!("faults: {}", outcome.faults.join(" "));
    // What depends on the order of keys in a table may not fail each time.
    let failure = outcome.failure.as_deref().unwrap_or(failure);
    panic!("{failure}\n\nonce more: {}\nas it was: {}", small.command(), plan.command());
}

fn add(all: &mut Tally, one: &Tally) {
    all.steps += one.steps;
    all.units += one.units;
    all.events += one.events;
    all.skipped += one.skipped;
    all.faults += one.faults;
    all.full_syncs += one.full_syncs;
    all.partial_syncs += one.partial_syncs;
    all.reads += one.reads;
    all.comparisons += one.comparisons;
    all.mixed += one.mixed;
    all.stale += one.stale;
    all.queue_comparisons += one.queue_comparisons;
    all.overflows += one.overflows;
    all.heard_loads += one.heard_loads;
    all.exchanges += one.exchanges;
    all.strange += one.strange;
    all.virtual_ms += one.virtual_ms;
}

#[test]
fn every_seed_ends_with_what_the_primary_has() {
    if let Some(plan) = chosen() {
        let outcome = run(&plan, true);
        outcome.lines.iter().for_each(|line| println!("{line}"));
        println!("{:?}, faults: {}", outcome.tally, outcome.faults.join(" "));
        assert!(outcome.failure.is_none(), "{}", outcome.failure.unwrap());
        return;
    }
    let clock = SystemTime::now().duration_since(UNIX_EPOCH).unwrap();
    let by_chance = clock.as_micros() as u64 % 1_000_000_000_000;
    let first = number("RETS_SEED").unwrap_or(by_chance);
    let time = number("RETS_SECONDS").map_or(SHORT, Duration::from_secs);
    println!("seeds from {first} on, {time:?}");
    let began = Instant::now();
    let (next, all) = (AtomicU64::new(first), Mutex::new(Tally::default()));
    let failing = Mutex::new(None);
    let look = || {
        while began.elapsed() < time && failing.lock().unwrap().is_none() {
            let plan = Plan::new(next.fetch_add(1, Ordering::Relaxed));
            let outcome = run(&plan, false);
            add(&mut all.lock().unwrap(), &outcome.tally);
            if let Some(failure) = outcome.failure {
                failing.lock().unwrap().get_or_insert((plan, failure));
            }
        }
    };
    std::thread::scope(|scope| {
        let cores = std::thread::available_parallelism().map_or(1, |cores| cores.get().min(8));
        (0..cores).for_each(|_| drop(scope.spawn(look)));
    });
    let (seeds, all) = (next.into_inner() - first, all.into_inner().unwrap());
    println!("{seeds} seeds: {all:?}");
    if let Some((plan, failure)) = failing.into_inner().unwrap() {
        report(&plan, &failure);
    }
}

#[test]
fn the_same_seed_does_the_same() {
    for seed in 0..20 {
        let plan = Plan::new(seed);
        let (one, other) = (run(&plan, false), run(&plan, true));
        assert_eq!(one.failure, None, "{}", plan.command());
        assert_eq!((one.sum, one.tally.steps), (other.sum, other.tally.steps), "seed {seed}");
    }
    assert_ne!(run(&Plan::new(0), false).sum, run(&Plan::new(1), false).sum);
}
