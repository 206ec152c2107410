//! Real servers that die, lie down and come back as others, behind a network that is cut, slow or
//! silent: digests are compared whenever things are calm, and readers never see what should not be.
//! A longer run: `make chaos SERVER=8.2 SECONDS=600 SEED=1`.

#![allow(clippy::expect_used, clippy::print_stdout, clippy::unwrap_used)]

mod support;

use rets::replica::{Answer, Info, Lookups, Moment, Replica, State};
use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};
use support::follower::{assert_equal, catch_up, keys, ready, wait_info};
use support::long::LongRun;
use support::proxy::{Proxy, Way};
use support::random::{Dice, Generator, SAMPLE_KEYS, Words, samples};
use support::server::Restart;
use support::sides::now_ms;
use support::{Client, Server, Which, on_each_server, wait_until};

on_each_server!(a_replica_survives);

/// How long the run takes that every test run makes, for each server; or as long as it takes for
/// each disturbance to come once.
const SHORT: Duration = Duration::from_secs(10);

/// The databases that readers look at. Random commands leave them alone, and snapshots have most of
/// the other data between them: who saw a snapshot half loaded would see only one of them.
const WATCHED: [&str; 2] = ["5", "15"];

/// What is always there in each of them, always written together, and always the same number.
const TOGETHER: [&str; 2] = ["one", "two"];

/// Writes them as one command.
const SCRIPT: &str = "for _, db in ipairs(ARGV) do redis.call('SELECT', db) \
    for _, key in ipairs({'one', 'two'}) do redis.call('SET', key, KEYS[1]) end end return 1";

/// How many read at a time.
const READERS: usize = 2;

/// After so many reads the others may have the processor.
const READS_AT_A_GO: u64 = 200;

/// Random commands that are sent in one go, and transactions beside them. Nobody reads the answers
/// meanwhile, so they are few enough for the server to keep.
const BURST: usize = 150;
const TRANSACTIONS: usize = 20;

/// A backlog that a few bursts pass, so that there are syncs of both kinds; replicas that hear of
/// the primary each second, so that silence is noticed soon; and little patience with those that
/// don't read.
const SERVER_OPTIONS: &[&str] = &[
    "--repl-backlog-size",
    "100kb",
    "--repl-ping-replica-period",
    "1",
    "--client-output-buffer-limit",
    "replica",
    "1mb",
    "0",
    "0",
];

/// Longer than the primary's pings are apart.
const LINK_TIMEOUT_MS: u64 = 1_500;

/// The value that fills a connection whose other end does not read.
const BULKY: usize = 256 << 10;

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Kind {
    /// All connections end at once, in the middle of a burst.
    Cut,
    /// They end again and again, mostly while hands are shaken.
    CutAgainAndAgain,
    /// They end or fall silent in the middle of a snapshot.
    CutWhileLoading,
    /// Nobody can connect for a while, in which much or little is written.
    Unreachable,
    /// Bytes come late.
    Slow,
    /// Nothing comes any more, in one direction or in both, and nobody says so.
    BlackHole,
    /// The same, and it ends before anybody has noticed.
    Stall,
    /// The server does nothing for a while.
    DebugSleep,
    /// The server cuts its replicas.
    ClientKill,
    /// The server cuts us because we don't read.
    OutputBuffer,
    /// Ended in peace and started again with what it saved.
    RestartedWithData,
    /// Killed and started again with what it had saved long before.
    RestartedWithOldData,
    /// Killed and started again with nothing.
    RestartedEmpty,
    /// Another server with other data takes its place.
    OtherData,
    /// Killed, and its replica takes its place.
    Promoted,
    /// The same with a replica that lags behind us: what we have above that never was.
    PromotedLate,
}

const KINDS: [Kind; 16] = [
    Kind::Cut,
    Kind::CutAgainAndAgain,
    Kind::CutWhileLoading,
    Kind::Unreachable,
    Kind::Slow,
    Kind::BlackHole,
    Kind::Stall,
    Kind::DebugSleep,
    Kind::ClientKill,
    Kind::OutputBuffer,
    Kind::RestartedWithData,
    Kind::RestartedWithOldData,
    Kind::RestartedEmpty,
    Kind::OtherData,
    Kind::Promoted,
    Kind::PromotedLate,
];

/// Something that readers may see while this is odd. It is counted, so that who has seen it odd
/// knows whether it has changed since.
#[derive(Default)]
struct Leave(AtomicU64);

impl Leave {
    fn set(&self, given: bool) {
        if self.0.load(Ordering::SeqCst) % 2 != u64::from(given) {
            self.0.fetch_add(1, Ordering::SeqCst);
        }
    }

    fn now(&self) -> u64 {
        self.0.load(Ordering::SeqCst)
    }
}

/// What the readers and the run tell each other.
#[derive(Default)]
struct Watch {
    may_be_empty: Leave,
    may_go_back: Leave,
    reads: AtomicU64,
    /// Loads that were broken off.
    aborted: AtomicU64,
    ended: AtomicBool,
}

/// Reads what is watched until the run ends.
fn watch(lookups: &Lookups, watch: &Watch) {
    let databases = WATCHED.map(|db| db.parse::<u32>().expect("a number"));
    let in_each = |db| TOGETHER.map(|key: &str| (db, key.as_bytes()));
    let keys: Vec<_> = databases.into_iter().flat_map(in_each).collect();
    let mut last = (watch.may_go_back.now(), 0);
    while !watch.ended.load(Ordering::SeqCst) {
        let (empty, back) = (watch.may_be_empty.now(), watch.may_go_back.now());
        let mut seen: Vec<Option<u64>> = Vec::new();
        let answer = lookups.get_many(&keys, |_, value| match value {
            Answer::Found(value) => {
                let text = std::str::from_utf8(value).expect("a number");
                seen.push(Some(text.parse().expect("a number")));
            }
            Answer::NotFound => seen.push(None),
            other => panic!("{other:?}"),
        });
        let Answer::Found(offset) = answer else { panic!("no answer: {answer:?}") };
        let counts = databases.map(|db| lookups.count(Some(db)));
        let is_strict = |leave: &Leave, before| before % 2 == 0 && leave.now() == before;
        assert!(seen.iter().all(|one| *one == seen[0]), "half a transaction at {offset}: {seen:?}");
        if is_strict(&watch.may_be_empty, empty) {
            assert_ne!(seen[0], None, "an empty table at {offset}");
            assert_eq!(counts, [Answer::Found(TOGETHER.len()); 2], "a table in part at {offset}");
        }
        let number = seen[0].unwrap_or(0);
        if is_strict(&watch.may_go_back, back) && last.0 == back {
            assert!(number >= last.1, "from {} back to {number} at {offset}", last.1);
        }
        last = (back, number);
        if watch.reads.fetch_add(1, Ordering::SeqCst).is_multiple_of(READS_AT_A_GO) {
            std::thread::sleep(Duration::from_millis(1));
        }
    }
}

/// Ends the pauses before the engine connects again: one that loses its link right after each full
/// sync waits for a minute in the end, and here that would be all that it does. Setting an option
/// is what a program does that knows better.
fn hurry(replica: &Replica, url: &str, watch: &Watch) {
    while !watch.ended.load(Ordering::SeqCst) {
        if replica.info().state == State::Reconnecting {
            replica.set_option("url", url).expect("the URL is good");
        }
        std::thread::sleep(Duration::from_millis(50));
    }
}

/// The figures of one run.
#[derive(Default)]
struct Tally {
    disturbances: BTreeMap<Kind, u64>,
    comparisons: u64,
    commands: u64,
    /// How often a server really cut us for what we did not read.
    overflows: u64,
}

/// A primary, and what is written to it.
struct Primary {
    server: Server,
    client: Client,
    /// Has the random commands.
    writer: Client,
    /// Writes what is watched.
    pairs: Client,
}

impl Primary {
    fn new(server: Server) -> Self {
        let [client, writer, pairs] = [(); 3].map(|()| server.client());
        Self { server, client, writer, pairs }
    }

    fn start(which: Which) -> Self {
        Self::new(Server::start_with(which, SERVER_OPTIONS))
    }

    /// New connections, after it was started again.
    fn again(self) -> Self {
        Self::new(self.server)
    }
}

struct Run {
    which: Which,
    dice: Dice,
    /// Taken only while it is exchanged.
    primary: Option<Primary>,
    proxy: Proxy,
    replica: Arc<Replica>,
    generator: Generator,
    /// The last number that was written to what is watched.
    number: u64,
    watch: Arc<Watch>,
    /// Those who read, and one who hurries.
    others: Vec<JoinHandle<()>>,
    tally: Tally,
}

impl Run {
    fn start(which: Which, seed: u64) -> Self {
        let mut primary = Primary::start(which);
        primary.writer.pipeline(&samples(seed));
        let dump = |key: &&str| primary.writer.accepted(&["DUMP", key]).bytes();
        let payloads = SAMPLE_KEYS.iter().map(dump).collect();
        let mut generator = Generator::new(seed, payloads);
        generator.floats_in_scripts = primary.server.version() >= (7, 0, 0);
        let first = transaction(1, false);
        primary.pairs.pipeline(&first);
        let proxy = Proxy::to(primary.server.port());
        let timeout = LINK_TIMEOUT_MS.to_string();
        let options =
            [("on-unknown", "stop"), ("on-failure", "stop"), ("link-timeout", timeout.as_str())];
        let replica = Arc::new(ready(&proxy.url(), &options));
        let watch = Arc::new(Watch::default());
        let counted = watch.clone();
        let listener = move |info: &Info| {
            let is_abort = info.moment == Moment::LoadAborted;
            counted.aborted.fetch_add(u64::from(is_abort), Ordering::SeqCst);
        };
        replica.set_state_listener(Some(Arc::new(listener))).expect("a listener is taken");
        let reader = |_| {
            let (lookups, shared) = (replica.lookups().clone(), watch.clone());
            std::thread::spawn(move || self::watch(&lookups, &shared))
        };
        let mut others: Vec<_> = (0..READERS).map(reader).collect();
        let (hurried, url, shared) = (replica.clone(), proxy.url(), watch.clone());
        others.push(std::thread::spawn(move || hurry(&hurried, &url, &shared)));
        Self {
            which,
            dice: Dice::new(seed),
            primary: Some(primary),
            proxy,
            replica,
            generator,
            number: 1,
            others,
            watch,
            tally: Tally::default(),
        }
    }

    fn primary(&mut self) -> &mut Primary {
        self.primary.as_mut().expect("there is one")
    }

    /// Sends a burst and does what the server lives through before the answers are read.
    fn amid_a_burst<T>(&mut self, disturb: impl FnOnce(&mut Self) -> T) -> T {
        let (burst, pairs) = (self.random(), self.pairs());
        let Primary { writer, pairs: other, .. } = self.primary();
        writer.raw(&bytes_of(&burst));
        other.raw(&bytes_of(&pairs));
        let done = disturb(self);
        let Primary { writer, pairs: other, .. } = self.primary();
        for _ in &burst {
            writer.reply().expect("an answer");
        }
        for _ in &pairs {
            assert_eq!(other.reply().expect("an answer").error(), None);
        }
        done
    }

    fn burst(&mut self) {
        self.amid_a_burst(|_| ());
    }

    /// Sends a burst to a server that dies of what is done then.
    fn last_burst(&mut self) {
        let (burst, pairs) = (self.random(), self.pairs());
        let Primary { writer, pairs: other, .. } = self.primary();
        writer.raw(&bytes_of(&burst));
        other.raw(&bytes_of(&pairs));
    }

    fn random(&mut self) -> Vec<Words> {
        // The connection may be a new one.
        let mut burst = vec![self.generator.selected()];
        burst.extend(self.generator.burst(BURST, now_ms()));
        burst.retain(is_allowed);
        self.tally.commands += burst.len() as u64;
        burst
    }

    fn pairs(&mut self) -> Vec<Words> {
        let mut all = Vec::new();
        for _ in 0..TRANSACTIONS {
            self.number += 1;
            all.extend(transaction(self.number, self.dice.percent(50)));
        }
        self.tally.commands += all.len() as u64;
        all
    }

    /// All is well: both sides must come to be equal, and go on being so.
    fn calm(&mut self) {
        self.proxy.restore();
        self.compare();
        self.watch.may_go_back.set(false);
        self.burst();
        self.compare();
    }

    fn compare(&mut self) {
        let primary = self.primary.as_mut().expect("there is one");
        assert_equal(&self.replica, &mut primary.client);
        let info = self.replica.info();
        assert!(!info.diverged && !info.mixed, "{info:#?}");
        assert_eq!((info.unknown_commands, info.failed_commands), (0, 0), "{info:#?}");
        self.tally.comparisons += 1;
        assert!(!self.others.iter().any(JoinHandle::is_finished), "a reader saw what it must not");
    }

    fn syncs(&self) -> u64 {
        syncs(&self.replica.info())
    }

    fn wait_for_sync(&self, before: u64) {
        wait_info(&self.replica, "it syncs again", |info| syncs(info) > before);
    }

    fn disturb(&mut self, kind: Kind) {
        *self.tally.disturbances.entry(kind).or_default() += 1;
        match kind {
            Kind::Cut => {
                let before = self.syncs();
                self.amid_a_burst(|run| run.proxy.cut());
                self.wait_for_sync(before);
            }
            Kind::CutAgainAndAgain => self.cut_again_and_again(),
            Kind::CutWhileLoading => self.cut_while_loading(),
            Kind::Unreachable => self.unreachable(),
            Kind::Slow => self.slow(),
            Kind::BlackHole => {
                let (down, up) = self.held();
                let before = self.replica.info().connects;
                self.amid_a_burst(|run| run.proxy.set(down, up));
                if down == Way::Held {
                    wait_info(&self.replica, "silence is noticed", |info| info.connects > before);
                }
                self.burst();
            }
            Kind::Stall => {
                let (down, up) = self.held();
                self.amid_a_burst(|run| run.proxy.set(down, up));
                self.burst();
            }
            Kind::DebugSleep => {
                let tenths = 1 + self.dice.below(25);
                let time = format!("{}.{}", tenths / 10, tenths % 10);
                self.amid_a_burst(|run| run.primary().client.accepted(&["DEBUG", "SLEEP", &time]));
            }
            Kind::ClientKill => {
                let before = self.syncs();
                self.amid_a_burst(|run| {
                    run.primary().client.accepted(&["CLIENT", "KILL", "TYPE", "replica"]);
                });
                self.wait_for_sync(before);
            }
            Kind::OutputBuffer => self.output_buffer(),
            Kind::RestartedWithData => {
                self.last_burst();
                self.exchange(|mut primary, _| {
                    primary.server.restart(Restart::WithData);
                    primary.again()
                });
            }
            Kind::RestartedWithOldData => {
                self.primary().client.accepted(&["SAVE"]);
                self.burst();
                self.last_burst();
                self.watch.may_go_back.set(true);
                self.exchange(|mut primary, _| {
                    primary.server.kill();
                    primary.server.start_again();
                    primary.again()
                });
            }
            Kind::RestartedEmpty => self.restarted_empty(),
            Kind::OtherData => self.other_data(),
            Kind::Promoted => self.promoted(false),
            Kind::PromotedLate => self.promoted(true),
        }
    }

    /// One direction or both.
    fn held(&mut self) -> (Way, Way) {
        *self.dice.pick(&[(Way::Held, Way::Open), (Way::Open, Way::Held), (Way::Held, Way::Held)])
    }

    fn cut_again_and_again(&mut self) {
        self.proxy.set(Way::Slow(Duration::from_millis(1)), Way::Open);
        for _ in 0..2 + self.dice.below(6) {
            let before = self.proxy.accepted();
            self.amid_a_burst(|run| run.proxy.cut());
            let proxy = &self.proxy;
            wait_until("it connects again", || proxy.accepted() > before);
        }
        self.proxy.cut();
    }

    fn cut_while_loading(&mut self) {
        self.proxy.close();
        // More than the backlog has, and a snapshot that can't be made small.
        let value: Vec<u8> = (0..BULKY).map(|_| self.dice.any() as u8).collect();
        self.primary().client.accepted(&[b"SET".as_slice(), b"bulky", &value]);
        let (mut before, slow) = (self.syncs(), Way::Slow(Duration::from_millis(20)));
        self.proxy.set(slow, Way::Open);
        self.proxy.open();
        for _ in 0..1 + self.dice.below(3) {
            self.wait_for_sync(before);
            let info = self.replica.info();
            before = syncs(&info);
            if self.dice.percent(75) {
                self.amid_a_burst(|run| run.proxy.cut());
                continue;
            }
            self.amid_a_burst(|run| run.proxy.set(Way::Held, Way::Open));
            wait_info(&self.replica, "silence is noticed", |now| now.connects > info.connects);
            self.proxy.set(slow, Way::Open);
        }
        self.primary().client.accepted(&["DEL", "bulky"]);
    }

    fn unreachable(&mut self) {
        let bursts = self.dice.below(8);
        let before = self.proxy.turned_away();
        self.amid_a_burst(|run| run.proxy.close());
        (0..bursts).for_each(|_| self.burst());
        let proxy = &self.proxy;
        wait_until("it was turned away", || proxy.turned_away() > before);
    }

    fn slow(&mut self) {
        let mut way = || match self.dice.below(3) {
            0 => Way::Open,
            _ => Way::Slow(Duration::from_millis(1 + self.dice.below(150) as u64)),
        };
        let (down, up) = (way(), way());
        self.proxy.set(down, up);
        for _ in 0..1 + self.dice.below(4) {
            self.burst();
        }
        if self.dice.percent(50) {
            self.amid_a_burst(|run| run.proxy.cut());
        }
        let primary = self.primary.as_mut().expect("there is one");
        catch_up(&self.replica, &mut primary.client);
    }

    fn output_buffer(&mut self) {
        let before = self.syncs();
        let overflows = |server: &Server| server.log().matches("output buffer limits").count();
        let overflown = overflows(&self.primary().server);
        self.amid_a_burst(|run| run.proxy.set(Way::Held, Way::Open));
        let primary = self.primary.as_mut().expect("there is one");
        let value = vec![b'v'; BULKY];
        wait_until("the server has cut us, or we it, for its silence", || {
            primary.client.accepted(&[b"SET".as_slice(), b"bulky", &value]);
            primary.client.info("connected_slaves") == "0"
        });
        self.tally.overflows += u64::from(overflows(&primary.server) > overflown);
        primary.client.accepted(&["DEL", "bulky"]);
        self.proxy.restore();
        self.wait_for_sync(before);
    }

    /// Replaces the primary while nobody can reach it, for so long that this is noticed.
    fn exchange(&mut self, make: impl FnOnce(Primary, &mut Self) -> Primary) {
        let before = self.proxy.turned_away();
        let syncs = self.syncs();
        // It may die before the network is closed, or after.
        let is_closed_first = self.dice.percent(50);
        if is_closed_first {
            self.proxy.close();
        }
        let primary = self.primary.take().expect("there is one");
        let primary = make(primary, self);
        if !is_closed_first {
            self.proxy.close();
        }
        self.proxy.lead_to(primary.server.port());
        self.primary = Some(primary);
        let proxy = &self.proxy;
        wait_until("it was turned away", || proxy.turned_away() > before);
        self.proxy.restore();
        self.wait_for_sync(syncs);
    }

    fn restarted_empty(&mut self) {
        self.last_burst();
        self.proxy.close();
        let watch = self.watch.clone();
        self.exchange(|mut primary, _| {
            primary.server.restart(Restart::Empty);
            // Before it can be reached, nothing may be gone.
            watch.may_be_empty.set(true);
            watch.may_go_back.set(true);
            primary.again()
        });
        self.compare();
        assert_eq!(keys(&self.replica), BTreeMap::new());
        let seed = self.dice.any();
        self.fill(seed);
        self.compare();
        self.watch.may_be_empty.set(false);
    }

    /// Gives an empty server all that must be there.
    fn fill(&mut self, seed: u64) {
        let (samples, pairs) = (samples(seed), self.pairs());
        let primary = self.primary();
        primary.pairs.pipeline(&pairs);
        primary.writer.pipeline(&samples);
    }

    fn other_data(&mut self) {
        let seed = self.dice.any();
        self.last_burst();
        self.exchange(|_, run| {
            run.primary = Some(Primary::start(run.which));
            run.fill(seed);
            run.burst();
            run.primary.take().expect("just made")
        });
    }

    fn promoted(&mut self, is_late: bool) {
        let old = self.primary.as_mut().expect("there is one");
        let mut new = Primary::start(self.which);
        new.client.accepted(&["REPLICAOF", "127.0.0.1", &old.server.port().to_string()]);
        wait_until("it follows", || new.client.info("master_link_status") == "up");
        self.burst();
        let old = self.primary.as_mut().expect("there is one");
        let offset = catch_up(&self.replica, &mut old.client);
        wait_until("it has it all", || new.client.offset() >= offset);
        if is_late {
            new.server.pause();
            self.burst();
            let old = self.primary.as_mut().expect("there is one");
            catch_up(&self.replica, &mut old.client);
            self.watch.may_go_back.set(true);
        }
        self.exchange(|mut old, run| {
            old.server.kill();
            if is_late {
                new.server.resume();
            }
            new.client.accepted(&["REPLICAOF", "NO", "ONE"]);
            run.primary = Some(new);
            if run.dice.percent(50) {
                run.burst();
            }
            run.primary.take().expect("just given")
        });
    }

    fn end(self) -> (Tally, Info, Arc<Watch>) {
        self.watch.ended.store(true, Ordering::SeqCst);
        for other in self.others {
            other.join().expect("a reader saw what it must not");
        }
        (self.tally, self.replica.info(), self.watch)
    }
}

fn syncs(info: &Info) -> u64 {
    info.full_syncs + info.partial_syncs
}

fn bytes_of(commands: &[Words]) -> Vec<u8> {
    let mut bytes = Vec::new();
    commands.iter().for_each(|words| support::client::write_command(&mut bytes, words));
    bytes
}

/// Writes all that is watched, in a transaction or a script.
fn transaction(number: u64, is_script: bool) -> Vec<Words> {
    let words = |words: &[&str]| words.iter().map(|word| word.as_bytes().to_vec()).collect();
    let number = number.to_string();
    if is_script {
        return vec![words(&["EVAL", SCRIPT, "1", &number, WATCHED[0], WATCHED[1]])];
    }
    let mut all = vec![words(&["MULTI"])];
    for db in WATCHED {
        all.push(words(&["SELECT", db]));
        all.extend(TOGETHER.map(|key| words(&["SET", key, &number])));
    }
    all.push(words(&["EXEC"]));
    all
}

/// FLUSHALL would empty what must be there. HPERSIST does not tell replicas what it left alone,
/// and they differ for a while.
fn is_allowed(command: &Words) -> bool {
    let is = |word: &[u8], name: &str| word.eq_ignore_ascii_case(name.as_bytes());
    !command.iter().any(|word| is(word, "FLUSHALL") || is(word, "HPERSIST"))
}

fn a_replica_survives(which: Which) {
    let Some(long) = LongRun::chosen("chaos", which, SHORT) else { return };
    let (name, seed, time) = (long.server, long.seed, long.time);
    let seconds = time.as_secs();
    let mut run = Run::start(which, seed);
    run.calm();
    let began = Instant::now();
    let mut deck = Vec::new();
    while began.elapsed() < time || run.tally.disturbances.len() < KINDS.len() {
        if deck.is_empty() {
            deck = KINDS.to_vec();
        }
        let kind = deck.swap_remove(run.dice.below(deck.len()));
        println!("{:.1} s: {kind:?}", began.elapsed().as_secs_f32());
        run.disturb(kind);
        run.calm();
    }
    let (tally, info, watch) = run.end();
    let [reads, aborted] = [&watch.reads, &watch.aborted].map(|n| n.load(Ordering::SeqCst));
    let count: u64 = tally.disturbances.values().sum();
    println!(
        "server {name}, seed {seed}, {seconds} s: {count} disturbances {:?}; {} full \
         ({aborted} broken off) and {} partial syncs on {} connections; {} commands; {} \
         comparisons without a difference, {reads} reads; {} overflown buffers",
        tally.disturbances,
        info.full_syncs,
        info.partial_syncs,
        info.connects,
        tally.commands,
        tally.comparisons,
        tally.overflows
    );
    assert!(info.full_syncs > 1 && info.partial_syncs > 0 && reads > 0);
}
