//! Random commands on each live server, and the digests of both sides after each burst: what no
//! test thought of. A longer run: `make differential SERVER=8.2 SECONDS=600 SEED=1`.

#![allow(clippy::expect_used, clippy::print_stdout, clippy::unwrap_used)]

mod support;

use rets::change::{Effect, Verdict};
use rets::command::{ROWS, Version, about};
use rets::rdb::decode_payload;
use rets::value::{DigestRules, ScoreText, Value, value_digest};
use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};
use support::follower::Witness;
use support::long::LongRun;
use support::random::opening::{opening, scenes};
use support::random::{Generator, SAMPLE_KEYS, Words, samples};
use support::shrink::{Enough, Shrunk, shrink};
use support::sides::{Difference, Outcome, Place, Sides, now_ms, stream_shown};
use support::tap::{shown, shown_whole};
use support::{Client, Server, Which, on_each_server, wait_until};

/// How long the run takes that every test run makes, for each server.
const SHORT: Duration = Duration::from_secs(15);

/// Commands between two comparisons.
const BURST: usize = 250;

/// After so many bursts all is compared that the digest leaves out.
const BURSTS_PER_LOOK: u64 = 10;

/// How often commands are tried again, ...
const TRIES: usize = 1500;
/// ... and how long, to find those that make a difference.
const TRYING: Duration = Duration::from_secs(100);

/// As good as any other for comparing values of one server.
const RULES: DigestRules =
    DigestRules { scores: ScoreText::G17, hash_field_mark: true, skip_expired_fields_at_ms: None };

/// What has to do with every key, or with the connection.
const GENERAL: &[&str] =
    &["SELECT", "MULTI", "EXEC", "DISCARD", "SWAPDB", "FLUSHALL", "FLUSHDB", "SCRIPT"];

on_each_server!(
    both_sides_are_equal_after_each_burst,
    a_wrong_replica_is_convicted,
    the_same_seed_makes_the_same_payloads,
);

/// The figures of one run.
#[derive(Default)]
struct Tally {
    bursts: u64,
    commands: u64,
    refused: u64,
    deadlines: u64,
    /// Bursts after which the primary differed from its own replica, which was as we are.
    not_ours: u64,
    streams: u64,
    /// Bursts after which fields that had expired were equal only when the primary deleted them.
    healed: u64,
}

/// What was sent, kept as what makes it anew. Apart from the clock, that is the seed: times that
/// commands name are counted from the burst's own. What else differs from run to run is inside of
/// the server: the order of its hash tables, and whom SPOP meets.
struct Sent {
    seed: u64,
    version: Version,
    payloads: Vec<Vec<u8>>,
    /// When each burst was made.
    clocks: Vec<i64>,
}

impl Sent {
    fn generator(&self) -> Generator {
        let mut generator = Generator::new(self.seed, self.payloads.clone());
        generator.floats_in_scripts = self.version >= (7, 0);
        generator
    }

    fn opening(&self) -> Vec<Words> {
        let text = SAMPLE_KEYS.iter().position(|key| *key == "text").expect("a sample");
        opening(self.version, &self.payloads[text])
    }

    /// The samples and the last bursts; before the first of these, the opening.
    fn last(&self, bursts: usize) -> Vec<Words> {
        let mut list = if bursts == 0 { self.opening() } else { Vec::new() };
        list.extend(samples(self.seed));
        let mut generator = self.generator();
        let passed = self.clocks.len() - bursts;
        for (n, clock) in self.clocks.iter().enumerate() {
            if n == passed {
                list.push(generator.selected());
            }
            let burst = generator.burst(BURST, *clock);
            if n >= passed {
                list.extend(burst);
            }
        }
        list
    }
}

/// A difference, and what is known of how it came about.
struct Report {
    text: String,
    /// The fewest commands that make it.
    list: Vec<Words>,
    /// The first of them after which both sides differ, and what the server sent for it.
    guilty: Option<(Words, Vec<String>)>,
}

struct Run {
    sides: Sides,
    sent: Sent,
    generator: Generator,
    writer: Client,
    tally: Tally,
}

impl Run {
    fn start(which: Which, seed: u64, gate: Option<Arc<Witness>>) -> Self {
        let server = Server::start(which);
        let payloads = prepare(&mut server.client(), seed);
        let (major, minor, _) = server.version();
        let sent = Sent { seed, version: (major, minor), payloads, clocks: Vec::new() };
        let (generator, writer) = (sent.generator(), server.client());
        let mut sides = Sides::attach(server, gate);
        assert_eq!(sides.compare(), Outcome::Equal, "a snapshot");
        Self { sides, sent, generator, writer, tally: Tally::default() }
    }

    /// Every command once; then a new replica, which has the samples by snapshot as well.
    fn open(&mut self) -> Result<(), Box<Report>> {
        let opening = self.sent.opening();
        for (command, reply) in opening.iter().zip(self.writer.pipeline(&opening)) {
            assert_eq!(reply.error(), None, "{}", shown(command));
        }
        self.judge(&opening)?;
        self.writer.pipeline(&samples(self.sent.seed));
        self.writer.accepted(&["SELECT", "0"]);
        self.judge(&[])?;
        self.sides.renew();
        self.judge(&[])
    }

    fn burst(&mut self) -> Result<(), Box<Report>> {
        let clock = now_ms();
        self.sent.clocks.push(clock);
        let burst = self.generator.burst(BURST, clock);
        let replies = self.writer.pipeline(&burst);
        self.tally.bursts += 1;
        self.tally.commands += burst.len() as u64;
        self.tally.refused += replies.iter().filter(|reply| reply.error().is_some()).count() as u64;
        self.judge(&burst)?;
        if self.tally.bursts.is_multiple_of(BURSTS_PER_LOOK) {
            let (deadlines, streams) =
                self.sides.look().map_err(|difference| self.report(&difference, true, &burst))?;
            self.tally.deadlines += deadlines;
            self.tally.streams += streams;
        }
        Ok(())
    }

    fn judge(&mut self, burst: &[Words]) -> Result<(), Box<Report>> {
        match self.sides.compare() {
            Outcome::Equal => {}
            Outcome::Healed => self.tally.healed += 1,
            Outcome::NotOurs => {
                if self.tally.not_ours == 0 {
                    let what = self.sides.explain(burst);
                    println!("{}: a fault of the server: {what}", self.place());
                }
                self.tally.not_ours += 1;
            }
            Outcome::Ours(difference) => return Err(self.report(&difference, false, burst)),
        }
        Ok(())
    }

    fn place(&self) -> String {
        format!("seed {}, burst {}", self.sent.seed, self.tally.bursts)
    }

    fn report(&mut self, difference: &Difference, look: bool, burst: &[Words]) -> Box<Report> {
        let mut text = format!("{}: {}", self.place(), difference.what);
        if !difference.keys.is_empty() {
            text += &self.sides.explain(burst);
        }
        let mut report = Report { text, list: Vec::new(), guilty: None };
        let mut trials = Trials::new(&mut self.sides, look);
        let Some((count, shrunk)) = trials.shrink(&self.sent, &difference.keys) else {
            report.text += &format!(
                "\nsent again ({} tries) the same commands make no difference: the clock had a \
                 part in it, or chance, or time was up\n",
                trials.tries
            );
            return Box::new(report);
        };
        let least = if shrunk.least { "each is needed" } else { "there was no time for fewer" };
        report.text += &format!(
            "\nof {count} commands these {} make a difference ({} tries; {least}):\n",
            shrunk.list.len(),
            trials.tries
        );
        shrunk.list.iter().for_each(|words| report.text += &format!("  {}\n", shown_whole(words)));
        match trials.guilty(&shrunk.list) {
            Some((words, sent)) => {
                report.text += &format!("the first with a difference: {}\n", shown_whole(&words));
                sent.iter().for_each(|line| report.text += &format!("  sent: {line}\n"));
                report.guilty = Some((words, sent));
            }
            None => report.text += "one by one they make none: it takes chance, or haste\n",
        }
        report.list = shrunk.list;
        Box::new(report)
    }

    /// Every command that the server sends must have been in the stream, and no other.
    fn assert_seen(&self) {
        let version = self.sent.version;
        let seen = || self.sides.tap.seen().counts.clone();
        // It comes by the server's clock.
        wait_until("the server has sent PING", || seen().contains_key("PING"));
        let counts = seen();
        let is_zero = |name: &&str| !counts.contains_key(*name);
        let zeros: Vec<_> = scenes(version).map(|(name, _)| *name).filter(is_zero).collect();
        assert!(zeros.is_empty(), "never seen: {zeros:?}");
        let is_stranger = |name: &&String| {
            let first = name.split(' ').next().unwrap_or_default();
            let followed = ROWS.iter().any(|row| row.name == first);
            !followed || !about(first).is_some_and(|about| about.is_sent_by_redis(version))
        };
        let strangers: Vec<_> = counts.keys().filter(is_stranger).collect();
        assert!(strangers.is_empty(), "seen, and no row or the catalogue denies it: {strangers:?}");
    }
}

/// Commands that are sent again, as a whole or in part, to an empty server.
struct Trials<'a> {
    sides: &'a mut Sides,
    /// Whether it takes more than digests to see the difference.
    look: bool,
    tries: usize,
    began: Instant,
}

impl<'a> Trials<'a> {
    fn new(sides: &'a mut Sides, look: bool) -> Self {
        Self { sides, look, tries: 0, began: Instant::now() }
    }

    fn is_enough(&self) -> bool {
        self.tries >= TRIES || self.began.elapsed() > TRYING
    }

    fn differ(&mut self) -> bool {
        let outcome = self.sides.compare();
        matches!(outcome, Outcome::Ours(_)) || self.look && self.sides.look().is_err()
    }

    fn differ_after(&mut self, commands: &[&Words]) -> Result<bool, Enough> {
        if self.is_enough() {
            return Err(Enough);
        }
        self.tries += 1;
        self.sides.begin_again();
        self.sides.server.client().pipeline(commands);
        Ok(self.differ())
    }

    /// Finds the fewest commands that make a difference: begins with the last burst, as both sides
    /// were equal before it, and takes more where that is not enough. How many it began with, and
    /// what is left of them.
    fn shrink(&mut self, sent: &Sent, keys: &[Place]) -> Option<(usize, Shrunk<Words>)> {
        let mut bursts = sent.clocks.len().min(1);
        loop {
            let all = sent.last(bursts);
            let list: Vec<_> = all.iter().collect();
            let likely = |words: &&Words| keys.is_empty() || has_to_do(words, keys);
            if let Some(shrunk) = shrink(&list, likely, |list| self.differ_after(list)) {
                let list = shrunk.list.into_iter().cloned().collect();
                return Some((all.len(), Shrunk { list, least: shrunk.least }));
            }
            if bursts == sent.clocks.len() || self.is_enough() {
                return None;
            }
            bursts = (bursts * 4).min(sent.clocks.len());
        }
    }

    /// Sends one after the other and compares after each.
    fn guilty(&mut self, list: &[Words]) -> Option<(Words, Vec<String>)> {
        self.sides.begin_again();
        let mut writer = self.sides.server.client();
        for words in list {
            let before = self.sides.offset();
            writer.command(words);
            if self.differ() {
                let after = self.sides.offset();
                self.sides.tap.wait(after);
                return Some((words.clone(), self.sides.tap.since(before)));
            }
        }
        None
    }
}

/// Whether a command, or what a script calls, names one of the keys, or is about all.
fn has_to_do(words: &Words, keys: &[Place]) -> bool {
    words.iter().any(|word| keys.iter().any(|(_, key)| word == key))
        || GENERAL.iter().any(|name| words[0].eq_ignore_ascii_case(name.as_bytes()))
}

/// Fills the database of the samples, and dumps them.
fn prepare(client: &mut Client, seed: u64) -> Vec<Vec<u8>> {
    client.pipeline(&samples(seed));
    SAMPLE_KEYS.iter().map(|key| client.accepted(&["DUMP", key]).bytes()).collect()
}

fn print_table(version: Version, counts: &BTreeMap<String, u64>) {
    println!("commands in the stream of {version:?}, and how often:");
    let all: Vec<_> = counts.iter().collect();
    for row in all.chunks(4) {
        let cells = row.iter().map(|(name, count)| format!("{name:<24}{count:>7}"));
        println!("  {}", cells.collect::<Vec<_>>().join("    "));
    }
}

fn both_sides_are_equal_after_each_burst(which: Which) {
    let Some(long) = LongRun::chosen("differential", which, SHORT) else { return };
    let (name, seed, time) = (long.server, long.seed, long.time);
    let seconds = time.as_secs();
    let mut run = Run::start(which, seed, None);
    let began = Instant::now();
    let mut outcome = run.open();
    if outcome.is_ok() {
        run.assert_seen();
    }
    while outcome.is_ok() && began.elapsed() < time {
        outcome = run.burst();
    }
    if let Err(report) = outcome {
        panic!("{}", report.text);
    }
    run.assert_seen();
    print_table(run.sent.version, &run.sides.tap.seen().counts);
    let info = run.sides.replica.info();
    let Tally { bursts, commands, refused, deadlines, not_ours, streams, healed } = run.tally;
    println!(
        "server {name}, seed {seed}, {seconds} s: {commands} commands ({refused} refused), {} \
         units compared in {bursts} bursts ({not_ours} with a fault of the server, {healed} \
         healed), {deadlines} deadlines and {streams} whole streams compared, {} keys in the end",
        info.units, info.keys
    );
    assert!(bursts == 0 || info.units > 0);
}

/// A replica whose gate leaves out one kind of change is found wrong, and the one command that it
/// did not follow is named.
fn a_wrong_replica_is_convicted(which: Which) {
    let is_wrong = Arc::new(AtomicBool::new(false));
    let heard = is_wrong.clone();
    let gate = Witness::judging(move |change| {
        let skips = matches!(change.effect, Effect::SetRemove { .. });
        if skips && heard.load(Ordering::SeqCst) { Verdict::Skip } else { Verdict::Keep }
    });
    let mut run = Run::start(which, 1, Some(gate));
    if let Err(report) = run.open() {
        panic!("{}", report.text);
    }
    is_wrong.store(true, Ordering::SeqCst);
    let report = loop {
        if let Err(report) = run.burst() {
            break report;
        }
    };
    println!("{}", report.text);
    let (guilty, sent) = report.guilty.expect("it can be repeated");
    assert_eq!(report.list.last(), Some(&guilty), "{:?}", report.list);
    assert!(report.list.len() <= 2, "what makes the set, and what takes from it");
    let sent = sent.join("\n").to_uppercase();
    assert!(sent.contains("SREM") || sent.contains("SMOVE"), "{sent}");
}

fn the_same_seed_makes_the_same_payloads(which: Which) {
    // The order of hash tables is each server's own, and when a consumer was seen is its clock's.
    let values = |seed| -> Vec<String> {
        let server = Server::start(which);
        let payloads = prepare(&mut server.client(), seed);
        let shown = |payload: &Vec<u8>| match decode_payload(payload).unwrap() {
            Value::Stream(stream) => stream_shown(&stream, server.version()).join("\n"),
            value => format!("{:?}", value_digest(&value, false, &RULES)),
        };
        payloads.iter().map(shown).collect()
    };
    assert_eq!(values(1), values(1));
    assert_ne!(values(1), values(2));
}
