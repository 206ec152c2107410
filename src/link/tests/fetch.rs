//! The second connection, stepped over a scripted network under a simulated clock.

use super::bench::{Peer, Sim, World};
use super::*;
use crossbeam_channel::Receiver;
use parking_lot::Mutex;

const OLD_SERVER: &str = "$20\r\nredis_version:6.2.14\r\n";
const NEW_SERVER: &str = "$19\r\nredis_version:7.0.0\r\n";
const TIME: &str = "*2\r\n$10\r\n1700000000\r\n$6\r\n123999\r\n";
const NEXT_MS: &str = "*2\r\n$10\r\n1700000000\r\n$6\r\n124000\r\n";

struct Bench {
    sim: Arc<Sim>,
    wishes: Arc<Wishes>,
    fetch: Fetch,
    fed: Receiver<Feed>,
    tickets: u64,
}

impl Bench {
    fn new(options: &[(&str, &str)]) -> Self {
        let sim = Arc::new(Sim(Mutex::new(World::default())));
        let mut config = Config::from_url("redis://primary").unwrap();
        options.iter().for_each(|(name, value)| config.set(name, value, false).unwrap());
        let control = Arc::new(Control::new(&*sim).unwrap());
        let (feed, fed) = crossbeam_channel::unbounded();
        let wishes = Arc::new(Wishes::new(&*sim).unwrap());
        let fetch = Fetch::new(sim.clone(), config, control, wishes.clone(), feed);
        Self { sim, wishes, fetch, fed, tickets: 0 }
    }

    fn settle(&mut self) -> Step {
        for _ in 0..10_000 {
            let step = self.fetch.step();
            if step != Step::Again {
                return step;
            }
        }
        panic!("it never comes to rest");
    }

    fn pass(&mut self, ms: i64) {
        let end = self.sim.ticks_ms() + ms;
        while let Step::Wait { timeout_ms, .. } = self.settle() {
            let now = self.sim.ticks_ms();
            assert_ne!(timeout_ms, 0, "a wait of nothing burns a core");
            let next = if timeout_ms < 0 { end } else { end.min(now.saturating_add(timeout_ms)) };
            self.sim.0.lock().now = next;
            if next == end {
                self.settle();
                return;
            }
        }
    }

    fn ask(&mut self, keys: usize) {
        let wishes = (0..keys).map(|_| {
            self.tickets += 1;
            let (ticket, key) = (self.tickets, format!("k{}", self.tickets).into_bytes());
            Wish { ticket, db: 3, key, replid: id(ID) }
        });
        self.wishes.ask(wishes.collect());
    }

    fn peer(&self) -> Arc<Mutex<Peer>> {
        self.sim.0.lock().peers.last().expect("nothing was dialed").clone()
    }

    fn dials(&self) -> Vec<i64> {
        self.sim.0.lock().peers.iter().map(|peer| peer.lock().dialed.0).collect()
    }

    fn say(&mut self, text: impl AsRef<[u8]>) {
        self.peer().lock().coming.push_back(text.as_ref().to_vec());
        self.settle();
    }

    fn sent(&mut self) -> String {
        self.settle();
        let sent = std::mem::take(&mut self.peer().lock().sent);
        let text = String::from_utf8(sent).unwrap();
        let words = text.split("\r\n").filter(|w| !w.starts_with(['*', '$']) && !w.is_empty());
        words.collect::<Vec<_>>().join(" ")
    }

    /// Connected to a server of this version, with so many keys asked for.
    fn asking(options: &[(&str, &str)], version: &str, keys: usize) -> Self {
        let mut bench = Self::new(options);
        bench.ask(keys);
        assert_eq!(bench.sent(), "INFO server");
        bench.say(version);
        bench
    }

    fn news(&mut self) -> Vec<Fetched> {
        self.settle();
        let fetched = |feed| match feed {
            Feed::Fetched(fetched) => fetched,
            other => panic!("{other:?}"),
        };
        self.fed.try_iter().map(fetched).collect()
    }

    /// What came as an answer to one wish.
    fn answer(&mut self) -> Answer {
        let mut news = self.news();
        assert_eq!(news.len(), 1, "{news:?}");
        match news.remove(0) {
            Fetched::Answer { answer, .. } => answer,
            Fetched::Due => panic!("it is due"),
        }
    }
}

/// All replies to a transaction of which these parts are the results.
fn exec(parts: &[&str]) -> String {
    let queued = "+QUEUED\r\n".repeat(parts.len());
    format!("+OK\r\n{queued}*{}\r\n{}", parts.len(), parts.concat())
}

fn role(offset: i64) -> String {
    format!("*3\r\n$6\r\nmaster\r\n:{offset}\r\n*0\r\n")
}

fn replication(id: &str) -> String {
    let text = format!("# Replication\r\nrole:master\r\nmaster_replid:{id}\r\nx:y\r\n");
    format!("${}\r\n{text}\r\n", text.len())
}

/// The replies of a server since 7.0.
fn given(payload: &str, at: i64) -> String {
    exec(&["+OK\r\n", payload, &format!(":{at}\r\n"), &role(99), &replication(ID)])
}

/// Those of an older one.
fn given_by_old(payload: &str, before: &str, left: i64, after: &str) -> String {
    let left = format!(":{left}\r\n");
    exec(&["+OK\r\n", payload, before, &left, after, &role(99), &replication(ID)])
}

fn value(payload: Option<&str>, expires_at_ms: Option<i64>) -> Answer {
    let payload = payload.map(|text| text.as_bytes().to_vec());
    Answer::Value { offset: 99, payload, expires_at_ms }
}

#[test]
fn a_key_is_fetched_in_one_transaction_however_the_answer_is_cut() {
    let new = "MULTI SELECT 3 DUMP k1 PEXPIRETIME k1 ROLE INFO replication EXEC";
    let old = "MULTI SELECT 3 DUMP k1 TIME PTTL k1 TIME ROLE INFO replication EXEC";
    let some = "$3\r\nabc\r\n";
    for (server, asked, replies, answer) in [
        (NEW_SERVER, new, given(some, 77), value(Some("abc"), Some(77))),
        (NEW_SERVER, new, given(some, -1), value(Some("abc"), None)),
        (NEW_SERVER, new, given("$-1\r\n", -2), value(None, None)),
        (
            OLD_SERVER,
            old,
            given_by_old(some, TIME, 1000, TIME),
            value(Some("abc"), Some(1_700_000_001_123)),
        ),
        (OLD_SERVER, old, given_by_old(some, TIME, -1, NEXT_MS), value(Some("abc"), None)),
        (OLD_SERVER, old, given_by_old("$-1\r\n", TIME, -2, TIME), value(None, None)),
    ] {
        let mut bench = Bench::asking(&[], server, 1);
        assert_eq!(bench.sent(), asked);
        let (last, all) = replies.as_bytes().split_last().unwrap();
        for byte in all {
            bench.say([*byte]);
            assert_eq!(bench.news(), []);
        }
        bench.say([*last]);
        assert_eq!(bench.answer(), answer);
    }
}

#[test]
fn a_deadline_that_can_not_be_told_is_asked_for_again() {
    for (before, left, after) in [(TIME, 1000, NEXT_MS), (TIME, 0, TIME)] {
        let mut bench = Bench::asking(&[], OLD_SERVER, 1);
        let asked = bench.sent();
        bench.say(given_by_old("$1\r\na\r\n", before, left, after));
        assert_eq!(bench.news(), []);
        bench.pass(100);
        assert_eq!(bench.sent(), asked);
        bench.say(given_by_old("$1\r\na\r\n", TIME, 1, TIME));
        assert_eq!(bench.answer(), value(Some("a"), Some(1_700_000_000_124)));
    }
}

#[test]
fn credentials_are_told_first() {
    let options = &[("user", "me"), ("password", "secret")];
    let mut bench = Bench::new(options);
    bench.ask(1);
    assert_eq!(bench.sent(), "AUTH me secret INFO server");
    bench.say("-WRONGPASS no\r\n");
    bench.pass(999);
    assert_eq!(bench.dials(), [0]);
    // Another password is tried at once.
    let dials = bench.dials().len();
    let mut config = bench.fetch_config();
    config.set("password", "better", true).unwrap();
    bench.wishes.set_config(config);
    assert_eq!(bench.sent(), "AUTH me better INFO server");
    assert_eq!(bench.dials().len(), dials + 1);
    bench.say(format!("+OK\r\n{NEW_SERVER}"));
    bench.sent();
    bench.say(given("$-1\r\n", -2));
    assert_eq!(bench.answer(), value(None, None));
}

impl Bench {
    fn fetch_config(&self) -> Config {
        let mut config = Config::from_url("redis://primary").unwrap();
        config.set("user", "me", false).unwrap();
        config
    }
}

#[test]
fn whoever_is_not_the_primary_that_is_followed_is_not_believed() {
    let some = "$3\r\nabc\r\n";
    let slave = "*5\r\n$5\r\nslave\r\n$1\r\nh\r\n:1\r\n$9\r\nconnected\r\n:99\r\n";
    let ancient = "$6\r\nrole:x\r\n";
    for replies in [
        exec(&["+OK\r\n", some, ":-1\r\n", slave, &replication(ID)]),
        exec(&["+OK\r\n", some, ":-1\r\n", &role(99), &replication(ID2)]),
        exec(&["+OK\r\n", some, ":-1\r\n", &role(99), ancient]),
        "-LOADING wait\r\n".repeat(7),
        "+OK\r\n".repeat(7),
        "nonsense".to_owned() + "\r\n",
        String::new(),
    ] {
        let mut bench = Bench::asking(&[], NEW_SERVER, 1);
        let asked = bench.sent();
        bench.say(&replies);
        assert_eq!(bench.news(), [], "{replies}");
        bench.pass(250);
        // Over a connection of its own, after a pause.
        assert!(bench.dials().len() >= 2, "{replies}");
        assert!(bench.dials()[1] >= 100, "{replies}");
        assert_eq!(bench.sent(), "INFO server");
        bench.say(NEW_SERVER);
        assert_eq!(bench.sent(), asked);
        bench.say(given(some, -1));
        assert_eq!(bench.answer(), value(Some("abc"), None));
    }
}

#[test]
fn what_is_refused_is_told_and_asked_for_less_and_less() {
    let refused = "+OK\r\n+QUEUED\r\n-NOPERM no permissions to run the 'dump' command\r\n\
        +QUEUED\r\n+QUEUED\r\n+QUEUED\r\n-EXECABORT discarded\r\n";
    let mut bench = Bench::asking(&[], NEW_SERVER, 1);
    let mut times = Vec::new();
    for _ in 0..8 {
        for _ in 0..10_000 {
            let sent = bench.sent();
            // Also over another connection.
            if sent.contains("INFO server") {
                bench.say(NEW_SERVER);
            } else if !sent.is_empty() {
                break;
            }
            bench.pass(10);
        }
        times.push(bench.sim.ticks_ms());
        bench.say(refused);
        let Answer::Refused(error) = bench.answer() else { panic!("it was given") };
        assert_eq!(error.kind(), Kind::Auth);
        assert!(error.text().contains("+dump +pexpiretime"), "{error}");
        bench.ask(1);
    }
    let pauses: Vec<_> = times.windows(2).map(|pair| (pair[1] - pair[0]) / 1000).collect();
    assert_eq!(pauses, [1, 2, 4, 8, 16, 32, 60]);
    // It closes what is idle so long, and asks over another one.
    assert!(bench.dials().len() <= 2, "{:?}", bench.dials());
}

#[test]
fn one_key_that_is_refused_does_not_hold_up_the_others() {
    let refused = "+OK\r\n+QUEUED\r\n-NOPERM no permissions to access a key\r\n\
        +QUEUED\r\n+QUEUED\r\n+QUEUED\r\n-EXECABORT discarded\r\n";
    let mut bench = Bench::asking(&[], NEW_SERVER, 2);
    bench.sent();
    bench.say(format!("{refused}{}", given("$1\r\na\r\n", -1)));
    assert_eq!(bench.news().len(), 2);
    bench.ask(1);
    bench.pass(10);
    assert!(bench.sent().starts_with("MULTI SELECT 3 DUMP k3"));
}

#[test]
fn a_storm_of_wishes_is_no_storm_for_the_primary() {
    let mut bench = Bench::asking(&[], NEW_SERVER, 1000);
    let count = |text: &str| text.matches("EXEC").count();
    let mut all = 0;
    let began = bench.sim.ticks_ms();
    for _ in 0..100 {
        let now = count(&bench.sent());
        assert!(now <= 32, "{now}");
        all += now;
        bench.say(given("$-1\r\n", -2).repeat(now));
        assert_eq!(bench.sent(), "", "a pause");
        bench.pass(10);
    }
    assert_eq!(all, 1000);
    assert!(bench.sim.ticks_ms() - began >= 300);
    assert_eq!(bench.news().len(), 1000);
}

#[test]
fn a_connection_that_is_not_needed_is_closed_and_one_that_is_lost_is_made_again() {
    let mut bench = Bench::new(&[]);
    bench.pass(60_000);
    assert_eq!(bench.dials(), [0; 0]);
    bench.ask(2);
    bench.settle();
    bench.say(NEW_SERVER);
    bench.sent();
    bench.say(given("$-1\r\n", -2));
    bench.say("");
    assert_eq!(bench.news().len(), 1);
    bench.pass(200);
    assert_eq!(bench.dials().len(), 2);
    bench.say(NEW_SERVER);
    let sent = bench.sent();
    assert!(sent.contains("DUMP k2") && !sent.contains("DUMP k1"), "only what is not answered");
    bench.say(given("$-1\r\n", -2));
    assert_eq!(bench.news().len(), 1);
    bench.pass(9_000);
    assert!(!bench.peer().lock().dropped);
    bench.pass(2_000);
    assert!(bench.peer().lock().dropped);
    bench.pass(60_000);
    assert_eq!(bench.dials().len(), 2);
}

#[test]
fn silence_is_the_end_of_a_connection_that_owes_an_answer() {
    let mut bench = Bench::asking(&[("link-timeout", "5000")], NEW_SERVER, 1);
    bench.pass(5_300);
    assert_eq!(bench.dials().len(), 2);
    bench.pass(5_300);
    assert_eq!(bench.dials().len(), 3);
}

#[test]
fn what_is_too_large_is_not_waited_for() {
    let mut bench = Bench::asking(&[("max-memory", "1kb")], NEW_SERVER, 2);
    bench.sent();
    bench.say(
        "+OK\r\n+QUEUED\r\n+QUEUED\r\n+QUEUED\r\n+QUEUED\r\n+QUEUED\r\n*5\r\n+OK\r\n$1025\r\n",
    );
    let Answer::Refused(error) = bench.answer() else { panic!("it was given") };
    assert_eq!(error.kind(), Kind::NoMemory);
    assert!(bench.peer().lock().dropped);
    bench.pass(200);
    bench.say(NEW_SERVER);
    let sent = bench.sent();
    assert!(sent.contains("DUMP k2") && !sent.contains("DUMP k1"));
}

#[test]
fn answers_that_nobody_takes_hold_up_the_next_ones() {
    let mut bench = Bench::asking(&[], NEW_SERVER, 3);
    bench.sent();
    let size = 20 << 20;
    let large = format!("${size}\r\n{}\r\n", "x".repeat(size));
    bench.say(given(&large, -1));
    let reads = bench.peer().lock().reads;
    bench.say(given("$-1\r\n", -2));
    bench.pass(120_000);
    assert_eq!(bench.peer().lock().reads, reads, "and that is not the primary's fault");
    let news = bench.news();
    assert_eq!(news.len(), 1);
    bench.wishes.taken(news[0].size());
    bench.settle();
    assert_eq!(bench.news().len(), 1);
}

#[test]
fn a_ring_comes_when_it_was_asked_for_and_what_is_forgotten_is_not_asked() {
    let mut bench = Bench::new(&[]);
    bench.wishes.ring_at(500);
    bench.pass(499);
    assert_eq!(bench.news(), []);
    bench.pass(1);
    assert_eq!(bench.news(), [Fetched::Due]);
    bench.ask(5);
    bench.wishes.ring_at(900);
    bench.wishes.forget();
    bench.ask(1);
    bench.pass(5_000);
    assert_eq!(bench.news(), []);
    bench.say(NEW_SERVER);
    assert_eq!(bench.sent().matches("EXEC").count(), 1);
}
