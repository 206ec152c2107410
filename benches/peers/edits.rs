//! Whether an edit costs more where the aggregate is larger: the same edits on aggregates of a
//! thousand and of a million elements, ours beside those of real replicas.
//!
//! Contenders:
//!
//! - *applied*: the bytes of the stream through parser, commands and table, on one thread; what the
//!   engine does around it (position, counters, the hand-over between its threads) is left out;
//! - *pinned*: the same while a reader holds a copy of everything, taken anew each [`PIN_EVERY`]
//!   commands: what is then edited must be copied, node by node;
//! - *attached*: the whole engine, fed over a socket;
//! - each server as a replica, fed the same bytes over a socket in the same way (`feed.rs`).
//!
//! The thousand elements are in many keys, so that as many edits leave each at about its size.

use crate::feed::Feed;
use crate::report::{Report, Samples, short};
use crate::support::{PATIENCE, Server};
use crate::{Options, mixed, name_of, progress};
use rets::change::{Change, Gate, Phase, Verdict};
use rets::command::{self, Scope, Setting, Unit};
use rets::replica::{Answer, Length, Replica};
use rets::resp::{Reader, write_command};
use rets::table::{Batch, Db, Entries, Stamp, Table};
use serde_json::json;
use std::time::{Duration, Instant};

/// A copy of everything is taken anew after so many commands.
const PIN_EVERY: u64 = 1000;

/// Bytes that the parser is given at once: what the link reads at once.
const PIECE: usize = 64 << 10;

/// Elements of a small aggregate, and how many of them there are.
const SMALL: Size = Size { len: 1000, keys: 100 };

/// Edits of one case in one round.
const EDITS: u64 = 20_000;

/// As many where its natural order is the length of the aggregate, and that is large.
const LINEAR_EDITS: u64 = 100;

/// Elements that one command brings while an aggregate is filled.
const FILLED_AT_ONCE: u64 = 100;

#[derive(Clone, Copy, Debug, PartialEq)]
struct Size {
    len: u64,
    keys: u64,
}

/// A piece of the stream.
#[derive(Default)]
struct Stream(Vec<u8>);

impl Stream {
    fn say(&mut self, words: &[&[u8]]) {
        write_command(&mut self.0, words);
    }
}

/// One edit of many.
struct Turn {
    size: Size,
    key: Vec<u8>,
    /// Counts all edits of a case: no two have the same.
    serial: u64,
    /// Random in [0, 1).
    random: f64,
}

impl Turn {
    fn place(&self, from: f64, to: f64) -> u64 {
        ((from + (to - from) * self.random) * self.size.len as f64) as u64
    }

    /// An element that the aggregate did not have when it was filled.
    fn new_element(&self) -> Vec<u8> {
        element(1 << 40 | self.serial)
    }

    fn number(&self) -> Vec<u8> {
        (mixed(self.serial) % 1_000_000).to_string().into_bytes()
    }
}

/// A kind of edit.
struct Case {
    name: &'static str,
    family: &'static str,
    /// Its natural order is the length of the aggregate.
    linear: bool,
    edit: fn(&Turn, &mut Stream),
    /// Brings each key back to its size; not timed.
    after: Option<fn(&Turn, &mut Stream)>,
}

impl Case {
    const fn new(name: &'static str, family: &'static str, edit: fn(&Turn, &mut Stream)) -> Self {
        Self { name, family, linear: false, edit, after: None }
    }

    /// How many of them one round has.
    fn edits(&self, size: Size) -> u64 {
        if self.linear && size.len > SMALL.len { LINEAR_EDITS } else { EDITS }
    }
}

/// What was added by one is taken away by another, so that sizes stay.
const CASES: &[Case] = &[
    Case {
        after: Some(|turn, out| {
            let len = turn.size.len.to_string();
            out.say(&[b"LTRIM", &turn.key, format!("-{len}").as_bytes(), b"-1"]);
        }),
        ..Case::new("LPUSH", "list", |turn, out| {
            out.say(&[b"LPUSH", &turn.key, &turn.new_element()]);
        })
    },
    Case::new("LSET in the middle", "list", |turn, out| {
        let place = turn.place(0.5, 0.51).to_string();
        out.say(&[b"LSET", &turn.key, place.as_bytes(), &turn.new_element()]);
    }),
    Case {
        linear: true,
        ..Case::new("LINSERT in the middle", "list", |turn, out| {
            let pivot = element(turn.place(0.49, 0.5));
            out.say(&[b"LINSERT", &turn.key, b"BEFORE", &pivot, &turn.new_element()]);
        })
    },
    Case::new("SADD", "set", |turn, out| {
        out.say(&[b"SADD", &turn.key, &turn.new_element()]);
    }),
    Case::new("SREM", "set", |turn, out| {
        out.say(&[b"SREM", &turn.key, &turn.new_element()]);
    }),
    Case::new("HSET, a new field", "hash", |turn, out| {
        out.say(&[b"HSET", &turn.key, &turn.new_element(), &turn.number()]);
    }),
    Case::new("HSET, a new value", "hash", |turn, out| {
        let field = element(turn.place(0.0, 1.0));
        out.say(&[b"HSET", &turn.key, &field, &turn.number()]);
    }),
    Case::new("HDEL", "hash", |turn, out| {
        out.say(&[b"HDEL", &turn.key, &turn.new_element()]);
    }),
    Case::new("ZADD, a new member", "zset", |turn, out| {
        out.say(&[b"ZADD", &turn.key, &turn.number(), &turn.new_element()]);
    }),
    Case::new("ZADD, a new score", "zset", |turn, out| {
        let score = mixed(turn.serial ^ 1 << 50) % 1_000_000;
        out.say(&[b"ZADD", &turn.key, score.to_string().as_bytes(), &turn.new_element()]);
    }),
    Case::new("ZREMRANGEBYRANK of one", "zset", |turn, out| {
        let rank = turn.place(0.0, 1.0).to_string();
        out.say(&[b"ZREMRANGEBYRANK", &turn.key, rank.as_bytes(), rank.as_bytes()]);
    }),
    Case {
        after: Some(|turn, out| {
            let len = turn.size.len.to_string();
            out.say(&[b"XTRIM", &turn.key, b"MAXLEN", b"=", len.as_bytes()]);
        }),
        ..Case::new("XADD", "stream", |turn, out| {
            let id = format!("{}-0", 1_000_000_000 + turn.serial);
            add_entry(out, &turn.key, &id, &turn.new_element());
        })
    },
];

/// 16 bytes that are in no order.
fn element(number: u64) -> Vec<u8> {
    format!("{:016x}", mixed(number)).into_bytes()
}

fn key(family: &str, size: Size, number: u64) -> Vec<u8> {
    format!("{family}:{}:{number}", size.len).into_bytes()
}

fn add_entry(out: &mut Stream, key: &[u8], id: &str, value: &[u8]) {
    out.say(&[b"XADD", key, id.as_bytes(), b"name", value, b"state", b"new"]);
}

/// The stream that fills one aggregate.
fn fill(family: &str, key: &[u8], size: Size) -> Stream {
    let mut out = Stream::default();
    for first in (0..size.len).step_by(FILLED_AT_ONCE as usize) {
        let numbers = first..size.len.min(first + FILLED_AT_ONCE);
        if family == "stream" {
            numbers.for_each(|n| add_entry(&mut out, key, &format!("{}-0", n + 1), &element(n)));
            continue;
        }
        let texts = numbers.map(|n| (element(n), (mixed(n) % 1_000_000).to_string().into_bytes()));
        let texts: Vec<_> = texts.collect();
        let mut words: Vec<&[u8]> = match family {
            "list" => vec![b"RPUSH", key],
            "set" => vec![b"SADD", key],
            "zset" => vec![b"ZADD", key],
            _ => vec![b"HSET", key],
        };
        for (element, number) in &texts {
            match family {
                "zset" => words.extend([number.as_slice(), element]),
                "hash" => words.extend([element.as_slice(), number]),
                _ => words.push(element),
            }
        }
        out.say(&words);
    }
    out
}

/// The stream of one case in one round, and what follows it untimed.
fn turns(case: &Case, size: Size, round: u64) -> (Stream, Stream) {
    let (mut timed, mut untimed) = (Stream::default(), Stream::default());
    for n in 0..case.edits(size) {
        let serial = round * EDITS + n;
        let random = (mixed(serial) >> 11) as f64 / (1_u64 << 53) as f64;
        let key = key(case.family, size, n % size.keys);
        let turn = Turn { size, key, serial, random };
        (case.edit)(&turn, &mut timed);
        if let Some(after) = case.after.filter(|_| n < size.keys) {
            after(&turn, &mut untimed);
        }
    }
    (timed, untimed)
}

/// Whoever applies a stream.
trait Contender {
    fn name(&self) -> String;
    /// How long it took until all of this was applied.
    fn send(&mut self, stream: &[u8]) -> Duration;
    /// How many elements an aggregate has.
    fn len(&mut self, family: &str, key: &[u8]) -> u64;
}

/// Parser, commands and table, without the engine around them.
struct Applied {
    table: Table,
    scope: Scope,
    reader: Reader,
    unit: u64,
    pins: bool,
    /// What a reader holds.
    pinned: Vec<(Db, Entries)>,
}

struct KeepAll;

impl Gate for KeepAll {
    fn ask(&mut self, _: &Change<'_>) -> Verdict {
        Verdict::Keep
    }
}

impl Applied {
    fn new(pins: bool) -> Self {
        let (table, scope) = (Table::new(None), Scope { store: true, ..Scope::default() });
        Self { table, scope, reader: Reader::new(), unit: 0, pins, pinned: Vec::new() }
    }

    fn apply(&mut self, piece: &[u8]) {
        self.reader.feed(piece);
        while let Some(read) = self.reader.next().expect("commands") {
            let setting = Setting {
                table: &self.table,
                scope: &self.scope,
                phase: Phase::Live,
                now_ms: 1_000_000,
                offset: 0,
                unit: self.unit + 1,
                server: command::Server::NEWEST,
                max_memory: 0,
                decode_payload: rets::rdb::decode_payload,
            };
            let args = read.args.list();
            let row = command::find(args[0]).expect("a known command");
            let mut gate = KeepAll;
            let mut batch = Batch::of(setting.unit);
            let mut unit = Unit::new(setting, &mut gate, &mut batch, 0);
            command::apply(&mut unit, row, &args).expect("it fits the data");
            self.unit += 1;
            self.table.publish(batch, Stamp { unit: self.unit, ..Stamp::default() });
            if self.pins && self.unit.is_multiple_of(PIN_EVERY) {
                self.pinned = self.table.reader().snapshot().0;
            }
        }
    }
}

impl Contender for Applied {
    fn name(&self) -> String {
        if self.pins { "pinned" } else { "applied" }.into()
    }

    fn send(&mut self, stream: &[u8]) -> Duration {
        let began = Instant::now();
        stream.chunks(PIECE).for_each(|piece| self.apply(piece));
        began.elapsed()
    }

    fn len(&mut self, _: &str, key: &[u8]) -> u64 {
        let entry = self.table.get(0, key);
        entry.and_then(|entry| entry.value).map_or(0, |value| value.len() as u64)
    }
}

/// The whole engine.
struct Attached {
    replica: Replica,
    feed: Feed,
}

impl Attached {
    fn new() -> Self {
        let mut started = None;
        let feed = Feed::to(|port| {
            let replica = Replica::new(&format!("redis://127.0.0.1:{port}")).expect("a URL");
            replica.set_option("link-timeout", "86400000").expect("an option");
            replica.start().expect("threads");
            started = Some(replica);
        });
        let replica = started.expect("it was started");
        replica.wait_ready(PATIENCE.as_millis() as i64).expect("an empty load");
        Self { replica, feed }
    }
}

impl Contender for Attached {
    fn name(&self) -> String {
        "attached".into()
    }

    fn send(&mut self, stream: &[u8]) -> Duration {
        self.feed.send(stream)
    }

    fn len(&mut self, _: &str, key: &[u8]) -> u64 {
        match self.replica.lookups().len(0, key) {
            Answer::Found(Length { len, .. }) => len as u64,
            _ => 0,
        }
    }
}

/// A server as a replica.
struct Peer {
    server: Server,
    feed: Feed,
}

impl Peer {
    fn new(which: crate::Which) -> Self {
        let server = Server::start_with(which, &["--repl-timeout", "86400"]);
        let feed = Feed::to(|port| {
            server.client().accepted(&["REPLICAOF", "127.0.0.1", &port.to_string()]);
        });
        Self { server, feed }
    }
}

impl Contender for Peer {
    fn name(&self) -> String {
        name_of(&self.server)
    }

    fn send(&mut self, stream: &[u8]) -> Duration {
        self.feed.send(stream)
    }

    fn len(&mut self, family: &str, key: &[u8]) -> u64 {
        let command: &[u8] = match family {
            "list" => b"LLEN",
            "set" => b"SCARD",
            "zset" => b"ZCARD",
            "hash" => b"HLEN",
            _ => b"XLEN",
        };
        self.server.client().accepted(&[command, key]).int() as u64
    }
}

/// All contenders, and what each took: by case, then size, then contender.
struct Race {
    contenders: Vec<Box<dyn Contender>>,
    sizes: [Size; 2],
    samples: Vec<[Vec<Samples>; 2]>,
}

impl Race {
    fn new(options: &Options) -> Self {
        let mut contenders: Vec<Box<dyn Contender>> = vec![
            Box::new(Applied::new(false)),
            Box::new(Applied::new(true)),
            Box::new(Attached::new()),
        ];
        let peers = options.servers.iter().map(|which| Box::new(Peer::new(*which)) as Box<_>);
        contenders.extend(peers);
        let none = || vec![Samples::default(); contenders.len()];
        let samples = CASES.iter().map(|_| [none(), none()]).collect();
        Self { contenders, sizes: [SMALL, Size { len: options.elements, keys: 1 }], samples }
    }

    fn fill(&mut self) {
        for family in ["list", "set", "hash", "zset", "stream"] {
            for size in self.sizes {
                for number in 0..size.keys {
                    let key = key(family, size, number);
                    let stream = fill(family, &key, size);
                    for contender in &mut self.contenders {
                        contender.send(&stream.0);
                    }
                }
            }
        }
    }

    fn round(&mut self, round: u64) {
        for (case, samples) in CASES.iter().zip(&mut self.samples) {
            for (size, samples) in self.sizes.into_iter().zip(samples) {
                let (timed, untimed) = turns(case, size, round);
                // Nobody is always the first to have the machine's caches to himself.
                let count = self.contenders.len();
                for at in (0..count).map(|n| (n + round as usize) % count) {
                    let took = self.contenders[at].send(&timed.0);
                    samples[at].push(took.as_nanos() as f64 / case.edits(size) as f64);
                    self.contenders[at].send(&untimed.0);
                }
            }
        }
    }

    /// Who did other work than the others is no contender.
    fn check(&mut self) {
        for family in ["list", "set", "hash", "zset", "stream"] {
            let key = key(family, self.sizes[1], 0);
            let lens = self.contenders.iter_mut().map(|c| (c.name(), c.len(family, &key)));
            let lens: Vec<_> = lens.collect();
            assert!(lens.iter().all(|(_, len)| *len == lens[0].1), "{family}: {lens:?}");
        }
    }
}

/// Runs the part.
pub(crate) fn run(options: &Options) -> Vec<Report> {
    let mut race = Race::new(options);
    progress("edits: filling");
    race.fill();
    for round in 0..options.rounds as u64 {
        progress(&format!("edits: round {} of {}", round + 1, options.rounds));
        race.round(round);
    }
    race.check();
    vec![report(&race)]
}

fn report(race: &Race) -> Report {
    let names: Vec<String> = race.contenders.iter().map(|contender| contender.name()).collect();
    let large = race.sizes[1].len;
    let mut report = Report {
        title: format!("One edit in an aggregate of {} and of {large} elements, us", SMALL.len),
        columns: ["edit", "elements"].map(String::from).into_iter().chain(names.clone()).collect(),
        notes: [
            "applied: stream bytes through parser, commands and table; pinned: the same while a",
            "copy of everything is held, taken anew each 1,000 commands; attached: the whole",
            "engine, fed over a socket as the servers are. Median (least-most) of the rounds; the",
            "third line of an edit is how much more it costs where the aggregate is large. LINSERT",
            "looks for its pivot from the head on, at the servers and here: that is its natural",
            "order.",
        ]
        .map(String::from)
        .to_vec(),
        ..Report::default()
    };
    for (case, samples) in CASES.iter().zip(&race.samples) {
        for (size, samples) in race.sizes.iter().zip(samples) {
            let cells = samples.iter().map(|samples| samples.spread(1000.0));
            let head = [case.name.to_owned(), short(size.len as f64)];
            report.rows.push(head.into_iter().chain(cells).collect());
            for (name, samples) in names.iter().zip(samples) {
                let what = json!({ "edit": case.name, "elements": size.len, "contender": name });
                report.figures.push(json!({ "of": what, "ns": samples.json() }));
            }
        }
        let [small, large] = samples;
        let ratios = small.iter().zip(large).map(|(s, l)| l.median() / s.median());
        let head = [String::new(), "ratio".to_owned()];
        report.rows.push(head.into_iter().chain(ratios.map(short)).collect());
    }
    report
}
