//! How long it takes until a write is seen that the primary has answered: polled in rets, looked
//! up when its queue of events wakes, fetched anew after the push of client-side caching, and
//! polled at a real replica; on an idle primary, and on one that takes other writes.

use crate::contender::{Background, Program};
use crate::report::{Goal, Report, Samples, short};
use crate::support::client::{Client, write_command};
use crate::support::{Server, wait_until};
use crate::{Options, mixed, name_of, progress};
use serde_json::json;
use std::time::{Duration, Instant};

/// Writes of one turn.
const WRITES: u64 = 1000;

/// Between two of them, so that everybody sleeps.
const PAUSE_US: u64 = 1000;

/// What others write in a second, so many at once.
const BUSY_WRITES: f64 = 50_000.0;
const BUSY_AT_ONCE: u64 = 50;

/// Keys that others write to.
const KEYS: u64 = 100_000;

/// A client that writes at an even pace.
struct Paced {
    client: Client,
    random: u64,
    next: Instant,
}

impl Paced {
    fn write(&mut self) -> u64 {
        let now = Instant::now();
        if let Some(left) = self.next.checked_duration_since(now) {
            std::thread::sleep(left);
        } else if now - self.next > Duration::from_millis(100) {
            // What could not be kept up with is not caught up with.
            self.next = now;
        }
        self.next += Duration::from_secs_f64(BUSY_AT_ONCE as f64 / BUSY_WRITES);
        let mut out = Vec::new();
        for _ in 0..BUSY_AT_ONCE {
            self.random += 1;
            let key = format!("{:016x}", mixed(self.random) % KEYS);
            write_command(&mut out, &["SET", &key, "0123456789abcdef0123456789abcdef"]);
        }
        self.client.raw(&out);
        (0..BUSY_AT_ONCE).for_each(|_| drop(self.client.reply().expect("an answer")));
        BUSY_AT_ONCE
    }
}

/// Who sees a write.
struct Contender {
    name: String,
    program: Program,
    /// Median, p99, p99.9 and most; on an idle primary, and on a busy one.
    idle: [Samples; 4],
    busy: [Samples; 4],
}

impl Contender {
    fn new(name: &str, args: &[&str]) -> Self {
        let mut program = Program::start("latency", args);
        assert_eq!(program.hear(), "ready");
        Self { name: name.into(), program, idle: Default::default(), busy: Default::default() }
    }

    fn run(&mut self, is_busy: bool) {
        let answer = self.program.ask(&format!("run {WRITES} {PAUSE_US}"));
        let samples = if is_busy { &mut self.busy } else { &mut self.idle };
        samples.iter_mut().zip(answer).for_each(|(samples, ns)| samples.push(ns));
    }
}

/// Runs the part.
pub(crate) fn run(options: &Options) -> Vec<Report> {
    let which = options.replicas()[0];
    let primary = Server::start(which);
    let replica = Server::start(which);
    replica.client().accepted(&["REPLICAOF", "127.0.0.1", &primary.port().to_string()]);
    wait_until("the replica is up", || replica.client().info("master_link_status") == "up");
    let paths = [primary.socket(), replica.socket()];
    let [primary_at, replica_at] = paths.each_ref().map(|path| path.to_str().expect("a path"));
    let mut contenders = [
        Contender::new("rets, polled", &["rets", primary_at]),
        Contender::new("rets, woken", &["woken", primary_at]),
        Contender::new("client-side caching", &["caching", primary_at]),
        Contender::new(
            &format!("replica, {}", name_of(&replica)),
            &["replica", primary_at, replica_at],
        ),
    ];
    let client = Client::unix(&primary.socket()).expect("the server accepts");
    let paced = Paced { client, random: 0, next: Instant::now() };
    let mut others = Background::new(paced, Paced::write, |_| {});
    let mut rates = Samples::default();
    for round in 0..options.rounds {
        progress(&format!("latency: round {} of {}", round + 1, options.rounds));
        contenders.iter_mut().for_each(|contender| contender.run(false));
        for contender in &mut contenders {
            others.start();
            contender.run(true);
            rates.push(others.stop());
        }
    }
    vec![report(&contenders, &rates)]
}

fn report(contenders: &[Contender; 4], rates: &Samples) -> Report {
    let head = ["who sees it", "primary", "median", "p99", "p99.9", "most"];
    let mut report = Report {
        title: "From a writer's reply until the value is seen, us".to_owned(),
        columns: head.map(String::from).to_vec(),
        notes: vec![
            "polled: rets_get; woken: rets_get when rets_event_fd is readable; client-side"
                .to_owned(),
            "caching: the push of the invalidation is waited for, and the key fetched anew;"
                .to_owned(),
            "replica: GET over a Unix socket, polled. Who polls keeps a processor from those it"
                .to_owned(),
            "waits for, but where the kernel (Linux 6.12) gives rets the short turns it asks for."
                .to_owned(),
            format!("busy: the primary takes {} other writes a second.", rates.spread(1.0)),
        ],
        ..Report::default()
    };
    for contender in contenders {
        for (state, samples) in [("idle", &contender.idle), ("busy", &contender.busy)] {
            let cells = samples.iter().map(|samples| samples.spread(1000.0));
            let head = [contender.name.clone(), state.to_owned()].into_iter();
            report.rows.push(head.chain(cells).collect());
            let [median, p99, p999, most] = samples.each_ref().map(Samples::json);
            report.figures.push(json!({
                "contender": contender.name, "primary": state,
                "median_ns": median, "p99_ns": p99, "p99.9_ns": p999, "most_ns": most,
            }));
        }
    }
    let [rets, woken, caching, _] = contenders;
    let median = rets.idle[0].median();
    let goal = |figure: &str, bound, measured| Goal::at_most(figure, bound, measured);
    report.goals = vec![
        goal("visible, idle primary: median, us", 15.0, median / 1000.0),
        goal(
            "visible, idle: median / client-side caching's",
            0.5,
            median / caching.idle[0].median(),
        ),
        goal(
            "visible, idle: p99 / client-side caching's",
            1.0,
            rets.idle[1].median() / caching.idle[1].median(),
        ),
        goal(
            "visible, idle, woken: median / client-side caching's",
            0.5,
            woken.idle[0].median() / caching.idle[0].median(),
        ),
        goal(
            "visible, idle, woken: p99 / client-side caching's",
            1.0,
            woken.idle[1].median() / caching.idle[1].median(),
        ),
        goal(
            &format!("visible under {} writes/s: median, us", short(rates.median())),
            100.0,
            rets.busy[0].median() / 1000.0,
        ),
    ];
    report
}
