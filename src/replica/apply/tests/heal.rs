//! Keys that a filter made withheld and their answers, at every place of the stream: whatever was
//! asked and answered when, the table has what the primary had there, or nothing.

use super::*;
use crate::command::tests::{Bench, entry_shown};
use crate::link::{Answer as Given, Fetched, Wish, Wishes};
use crate::table::{Db, Entry};
use crate::value::{Bytes, Value};
use std::collections::{BTreeMap, VecDeque};
use std::sync::atomic::AtomicBool;

const RAW: &[(&str, &str)] = &[("exclude-keys", "raw:*")];

/// A length as snapshots write it.
fn length(out: &mut Vec<u8>, len: usize) {
    assert!(len < 1 << 14);
    if len >= 64 {
        out.push(0x40 | (len >> 8) as u8);
    }
    out.push(len as u8);
}

fn string(out: &mut Vec<u8>, bytes: &[u8]) {
    length(out, bytes.len());
    out.extend_from_slice(bytes);
}

/// A DUMP payload in the oldest encoding of each type, without a checksum.
fn dump(value: &Value) -> Vec<u8> {
    let mut out = Vec::new();
    match value {
        Value::String(bytes) => {
            out.push(0);
            string(&mut out, bytes);
        }
        Value::List(list) => {
            out.push(1);
            length(&mut out, list.len());
            list.iter().for_each(|element| string(&mut out, element));
        }
        Value::Set(set) => {
            out.push(2);
            length(&mut out, set.len());
            set.iter().for_each(|member| string(&mut out, &member));
        }
        Value::Zset(zset) => {
            out.push(5);
            length(&mut out, zset.len());
            for (member, score) in zset.iter() {
                string(&mut out, member);
                out.extend_from_slice(&score.to_le_bytes());
            }
        }
        Value::Hash(hash) => {
            out.push(4);
            length(&mut out, hash.len());
            for (name, field) in hash.iter() {
                string(&mut out, name);
                string(&mut out, field.value);
            }
        }
        _ => panic!("not made here"),
    }
    out.extend_from_slice(&[9, 0, 0, 0, 0, 0, 0, 0, 0, 0]);
    out
}

/// What is kept, by database and name, as tests write it.
type Kept = BTreeMap<(Db, Vec<u8>), String>;

fn kept(entries: impl Iterator<Item = (Db, Bytes, Entry)>) -> Kept {
    let shown =
        |(db, key, entry): (Db, Bytes, Entry)| ((db, key.to_vec()), entry_shown(Some(&entry)));
    entries.filter(|(_, key, _)| !key.starts_with(b"raw:")).map(shown).collect()
}

/// A primary, the replica behind it, and what is on its way between them.
struct World {
    primary: Bench,
    offset: i64,
    /// What is kept at each border of a unit.
    history: BTreeMap<i64, Kept>,
    site: Site,
    wishes: Arc<Wishes>,
    /// Sent, and not arrived; where the unit ends.
    stream: VecDeque<Vec<u8>>,
    asked: VecDeque<Wish>,
    answers: VecDeque<(u64, Given)>,
    ring_at_ms: Option<i64>,
}

impl World {
    fn new(vetoes: &[&'static str]) -> Self {
        TICKS.set(0);
        let site = Site::deaf_to(RAW, vetoes);
        let wishes = Arc::new(Wishes::new(&Still).unwrap());
        let Site { replica, apply, ears, moments } = site;
        let site = Site { replica, apply: apply.healing(wishes.clone()), ears, moments };
        let site = site.in_sync(&[]);
        let mut world = Self {
            primary: Bench::default(),
            offset: 500,
            history: BTreeMap::new(),
            site,
            wishes,
            stream: VecDeque::new(),
            asked: VecDeque::new(),
            answers: VecDeque::new(),
            ring_at_ms: None,
        };
        world.history.insert(500, Kept::new());
        world
    }

    /// The primary does this as one unit; false where it refuses, or has nothing to do: then it
    /// sends nothing.
    fn does(&mut self, commands: &str) -> bool {
        let failures = self.primary.failures.len();
        let before = (self.primary.db, self.primary.dump());
        self.primary.run(commands, &mut |_| Verdict::Keep);
        let is_unit = commands.contains(';');
        let is_idle = before == (self.primary.db, self.primary.dump());
        if self.primary.failures.len() > failures || is_idle && !is_unit {
            assert_eq!(before.0, self.primary.db);
            return false;
        }
        let bytes =
            if is_unit { stream(&format!("MULTI;{commands};EXEC")) } else { stream(commands) };
        self.offset += bytes.len() as i64;
        self.history.insert(self.offset, kept(self.primary.table.entries()));
        self.stream.push_back(bytes);
        true
    }

    /// The next unit arrives.
    fn deliver(&mut self) -> bool {
        let Some(bytes) = self.stream.pop_front() else { return false };
        self.site.bytes(&bytes);
        self.look();
        true
    }

    fn collect(&mut self) {
        let (wishes, ring_at_ms) = self.wishes.asked();
        self.asked.extend(wishes);
        self.ring_at_ms = ring_at_ms.or(self.ring_at_ms);
    }

    /// The primary answers the next wish.
    fn serve(&mut self) -> bool {
        self.collect();
        let Some(wish) = self.asked.pop_front() else { return false };
        let entry = self.primary.table.get(wish.db, &wish.key);
        let (value, expires_at_ms) =
            entry.map_or((None, None), |entry| (entry.value, entry.expires_at_ms));
        let payload = value.as_ref().map(dump);
        let offset = self.offset;
        self.answers.push_back((wish.ticket, Given::Value { offset, payload, expires_at_ms }));
        true
    }

    /// The next answer arrives.
    fn answer(&mut self) -> bool {
        let Some((ticket, answer)) = self.answers.pop_front() else { return false };
        self.site.apply.fetched(Fetched::Answer { ticket, answer });
        self.look();
        true
    }

    /// The time passes that was asked for.
    fn ring(&mut self) -> bool {
        self.collect();
        let Some(at_ms) = self.ring_at_ms.take() else { return false };
        TICKS.set(TICKS.get().max(at_ms));
        self.site.apply.fetched(Fetched::Due);
        true
    }

    /// The link is lost and goes on where it was; answers are still on their way.
    fn cut(&mut self) {
        self.site.lose();
        self.asked.clear();
        self.site.apply.take(Feed::Continue { replid: None });
    }

    /// What the table has is what the primary had there.
    fn look(&self) {
        let offset = self.site.info().offset;
        let theirs = &self.history[&offset];
        let ours = kept(self.site.apply.table.entries());
        for (place, shown) in &ours {
            if !shown.starts_with("ghost") {
                assert_eq!(Some(shown), theirs.get(place), "{place:?} at {offset}");
            }
        }
        for place in theirs.keys() {
            assert!(ours.contains_key(place), "{place:?} is lost at {offset}");
        }
    }

    /// Everything arrives.
    fn calm(&mut self) {
        for _ in 0..10_000 {
            if !(self.deliver() || self.serve() || self.answer() || self.ring()) {
                break;
            }
        }
        let info = self.site.info();
        assert_eq!((info.healing, info.offset), (0, self.offset), "{:?}", info.last_error);
    }

    #[track_caller]
    fn is_equal(&self) {
        assert_eq!(kept(self.site.apply.table.entries()), self.history[&self.offset]);
    }
}

#[test]
fn an_answer_fits_wherever_it_comes_in_between_edits() {
    // Each of these edits before, and after, and on either side of the moment of the answer.
    let edits = ["APPEND s x", "PEXPIREAT s 7000000", "INCR n;APPEND s y", "SETRANGE s 1 z"];
    for asked_after in 0..=edits.len() {
        for applied_when_answered in 0..=edits.len() {
            let mut world = World::new(&[]);
            assert!(world.does("SET raw:s text") && world.does("COPY raw:s s"));
            while world.deliver() {}
            assert_eq!(world.site.info().healing, 1);
            edits[..asked_after].iter().for_each(|edit| assert!(world.does(edit)));
            assert!(world.serve());
            edits[asked_after..].iter().for_each(|edit| assert!(world.does(edit)));
            (0..applied_when_answered).for_each(|_| assert!(world.deliver()));
            assert!(world.answer());
            let is_due = applied_when_answered >= asked_after;
            let entry = world.site.apply.table.get(0, b"s").unwrap();
            assert_eq!(entry.is_ghost(), !is_due, "{asked_after} {applied_when_answered}");
            assert!(world.asked.is_empty());
            world.calm();
            world.is_equal();
            assert_eq!(world.site.info().healed, 1);
            world.site.heard();
        }
    }
}

/// Has another callback set from another thread while it is asked.
struct Leaving {
    shared: Arc<Shared>,
    gone: Arc<AtomicBool>,
}

impl SharedGate for Leaving {
    fn ask(&self, _change: &Change<'_>) -> Verdict {
        let (shared, gone) = (self.shared.clone(), self.gone.clone());
        std::thread::spawn(move || {
            shared.gate.replace(Some(Arc::new(Following { gone: gone.clone() })));
            gone.store(true, Ordering::SeqCst);
        });
        let is_own = |gate: &dyn SharedGate| std::ptr::addr_eq(gate, self);
        while self.shared.gate.borrow().get().is_some_and(is_own) {
            std::thread::yield_now();
        }
        Verdict::Keep
    }
}

struct Following {
    gone: Arc<AtomicBool>,
}

impl SharedGate for Following {
    fn ask(&self, _change: &Change<'_>) -> Verdict {
        let begun = std::time::Instant::now();
        while !self.gone.load(Ordering::SeqCst) {
            assert!(begun.elapsed().as_secs() < 60, "the callback before is still borrowed");
            std::thread::yield_now();
        }
        Verdict::Skip
    }
}

#[test]
fn a_callback_that_is_exchanged_between_two_answers_is_not_kept_for_the_second() {
    let mut world = World::new(&[]);
    assert!(world.does("SET raw:s text") && world.does("COPY raw:s s"));
    assert!(world.does("COPY raw:s t"));
    while world.deliver() {}
    // Both are due only once this has come.
    assert!(world.does("SET raw:x 1"));
    assert!(world.serve() && world.serve() && world.answer() && world.answer());
    let (shared, gone) = (world.site.apply.shared.clone(), Arc::default());
    let first = Leaving { shared: shared.clone(), gone: Arc::clone(&gone) };
    shared.gate.replace(Some(Arc::new(first)));
    assert!(world.deliver());
    assert!(gone.load(Ordering::SeqCst), "nobody was asked a second time");
    let is_ghost = |key: &[u8]| world.site.apply.table.get(0, key).unwrap().is_ghost();
    assert_eq!(usize::from(is_ghost(b"s")) + usize::from(is_ghost(b"t")), 1);
}

#[test]
fn an_answer_from_the_middle_of_a_unit_waits_for_its_end() {
    let mut world = World::new(&[]);
    assert!(world.does("SADD raw:t a") && world.does("SUNIONSTORE t raw:t"));
    while world.deliver() {}
    assert!(world.serve());
    // As a server before 7.0 does that lets another key expire while it answers.
    let Given::Value { offset, payload, .. } = world.answers.pop_front().unwrap().1 else {
        panic!("it was given")
    };
    world
        .answers
        .push_back((1, Given::Value { offset: offset + 15, payload, expires_at_ms: None }));
    assert!(world.answer());
    assert!(world.site.apply.table.get(0, b"t").unwrap().is_filtered());
    assert!(world.does("SADD t b;DEL other"));
    assert!(world.deliver());
    world.is_equal();
}

#[test]
fn what_depends_on_another_key_is_asked_for_again() {
    for (edit, is_settled) in [
        ("SUNIONSTORE t t raw:v", false),
        ("SUNIONSTORE t t u", false),
        ("RENAME raw:v t", false),
        ("SWAPDB 0 1;SWAPDB 1 0", false),
        ("SADD t x", true),
        ("COPY t u", true),
        ("SUNIONSTORE u t", true),
        ("DEL t;SADD t y", true),
    ] {
        let mut world = World::new(&[]);
        assert!(world.does("SADD raw:t a") && world.does("SADD u b") && world.does("SADD raw:v c"));
        assert!(world.does("SUNIONSTORE t raw:t"));
        while world.deliver() {}
        assert!(world.serve());
        assert!(world.does(edit), "{edit}");
        while world.deliver() {}
        assert!(world.answer() || edit.starts_with("SWAPDB"));
        let ends = edit.starts_with("DEL");
        let entry = world.site.apply.table.get(0, b"t").unwrap();
        assert_eq!(entry.is_ghost(), !is_settled, "{edit}");
        world.calm();
        world.is_equal();
        let healed = world.site.info().healed;
        assert!(healed > 0 || ends, "{edit}");
    }
}

#[test]
fn what_ends_otherwise_is_not_asked_for_any_more() {
    for (end, left) in [
        ("SET s whole", Some("\"whole\"")),
        ("DEL s", None),
        ("FLUSHALL", None),
        ("RENAME s raw:gone", None),
        ("MOVE s 1", None),
    ] {
        let mut world = World::new(&[]);
        assert!(world.does("SET raw:s text") && world.does("COPY raw:s s"));
        while world.deliver() {}
        assert!(world.serve());
        assert!(world.does(end));
        while world.deliver() {}
        assert_eq!(world.site.info().healing, u64::from(end.starts_with("MOVE")), "{end}");
        world.calm();
        world.is_equal();
        let shown = kept(world.site.apply.table.entries()).remove(&(0, b"s".to_vec()));
        assert_eq!(shown.as_deref(), left, "{end}");
    }
}

#[test]
fn an_answer_of_before_a_lost_link_is_not_used() {
    let mut world = World::new(&[]);
    assert!(world.does("SET raw:s text") && world.does("COPY raw:s s"));
    while world.deliver() {}
    assert!(world.serve());
    world.site.lose();
    assert!(world.answer());
    assert!(world.wishes.asked().0.is_empty(), "nothing is asked while nothing is followed");
    world.site.apply.take(Feed::Continue { replid: Some(OTHER_ID) });
    assert!(world.site.apply.table.get(0, b"s").unwrap().is_filtered());
    world.collect();
    assert_eq!(world.asked.iter().map(|wish| wish.replid).collect::<Vec<_>>(), [OTHER_ID]);
    world.calm();
    world.is_equal();
    // A snapshot brings everything.
    assert!(world.does("COPY raw:s again"));
    world.deliver();
    assert_eq!(world.site.info().healing, 1);
    world.site.begin_sync(100);
    assert_eq!(world.site.info().healing, 0);
}

#[test]
fn the_callback_is_asked_about_what_was_fetched_and_never_about_what_it_skipped() {
    let mut world = World::new(&["set no", "set late \"text\"", "append", "edit never"]);
    assert!(world.does("SET raw:s text"));
    for name in ["yes", "no", "late", "never"] {
        assert!(world.does(&format!("COPY raw:s {name}")));
    }
    assert!(world.does("APPEND never x") && world.does("COPY no of-no"));
    while world.deliver() {}
    assert_eq!(world.site.info().healing, 2, "yes and late");
    world.site.heard();
    world.calm();
    let offset = world.offset;
    let heard = world.site.heard();
    for name in ["yes", "late"] {
        assert!(heard.contains(&format!("{offset}:set {name} \"text\" (heal)")), "{heard:?}");
    }
    assert_eq!(heard.len(), 2);
    assert_eq!(world.site.get(0, "yes"), Answer::Found("text".to_owned()));
    for name in ["no", "late", "never", "of-no"] {
        assert_eq!(world.site.get(0, name), Answer::Withheld, "{name}");
    }
    assert_eq!(world.site.info().healed, 1);
}

#[test]
fn what_can_not_be_used_is_counted_and_tried_later() {
    let refused = Given::Refused(Error::new(Kind::Auth, "no right"));
    let odd = |payload: &[u8]| Given::Value {
        offset: 600,
        payload: Some(payload.to_vec()),
        expires_at_ms: None,
    };
    for (answer, kind) in [(refused, Kind::Auth), (odd(b"damaged"), Kind::Protocol)] {
        let mut world = World::new(&[]);
        assert!(world.does("SET raw:s text") && world.does("COPY raw:s s"));
        assert!(world.does("SET other 1") && world.does("SET more 12345678901234567890123456"));
        while world.deliver() {}
        assert!(world.offset >= 600);
        world.collect();
        let ticket = world.asked.pop_front().unwrap().ticket;
        world.site.apply.fetched(Fetched::Answer { ticket, answer });
        let info = world.site.info();
        assert_eq!((info.unhealed, info.healing), (1, 1));
        assert_eq!(info.last_error.map(|error| error.kind()), Some(kind));
        let (wishes, ring_at_ms) = world.wishes.asked();
        assert_eq!((wishes.len(), ring_at_ms), (0, Some(1000)), "not at once");
        world.ring_at_ms = ring_at_ms;
        world.calm();
        world.is_equal();
    }
}

#[test]
fn many_keys_are_asked_for_a_few_at_a_time() {
    let mut world = World::new(&[]);
    assert!(world.does("SET raw:s text"));
    for n in 0..300 {
        assert!(world.does(&format!("COPY raw:s s{n}")));
    }
    while world.deliver() {}
    let mut most = 0;
    loop {
        world.collect();
        most = most.max(world.asked.len());
        if !(world.serve() && world.answer()) {
            break;
        }
    }
    assert_eq!(most, 64);
    world.calm();
    world.is_equal();
}

#[test]
fn a_record_that_lost_its_beginning_fits_a_later_answer_only() {
    for is_early in [true, false] {
        let mut world = World::new(&[]);
        assert!(world.does("SET raw:s text") && world.does("COPY raw:s s"));
        while world.deliver() {}
        world.collect();
        if is_early {
            assert!(world.serve());
        }
        for n in 0..2000 {
            assert!(world.does("APPEND s x"));
            if !is_early && n == 1500 {
                assert!(world.serve());
            }
        }
        while world.deliver() {}
        assert!(world.answer());
        let is_ghost = world.site.apply.table.get(0, b"s").unwrap().is_ghost();
        assert_eq!(is_ghost, is_early);
        world.calm();
        world.is_equal();
    }
}

/// SplitMix64.
struct Dice(u64);

impl Dice {
    fn below(&mut self, n: usize) -> usize {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        ((z ^ (z >> 31)) % n as u64) as usize
    }

    fn key(&mut self) -> &'static str {
        ["a", "b", "c", "raw:x", "raw:y"][self.below(5)]
    }

    fn command(&mut self) -> String {
        let (key, other, n) = (self.key(), self.key(), self.below(9));
        match self.below(34) {
            0 => format!("SET {key} {n}"),
            1 => format!("SET {key} {n} KEEPTTL"),
            2 => format!("SETRANGE {key} {n} v"),
            3 => format!("INCR {key}"),
            4 | 5 => format!("SADD {key} {n} m"),
            6 => format!("SREM {key} {n} m"),
            7 => format!("RPUSH {key} {n}"),
            8 => format!("LPOP {key}"),
            9 => format!("LMOVE {key} {other} LEFT RIGHT"),
            10 => format!("HSET {key} f{n} {n}"),
            11 => format!("HINCRBY {key} f{n} 1"),
            12 => format!("HDEL {key} f{n}"),
            13 => format!("ZADD {key} {n} m{n}"),
            14 => format!("ZINCRBY {key} {n} m"),
            15 => format!("ZREMRANGEBYRANK {key} 1 2"),
            16 => format!("PEXPIREAT {key} {}", 5_000_000 + n),
            17 => format!("PEXPIRE {key} {}", 5_000_000 + n),
            18 => format!("PERSIST {key}"),
            19 => format!("DEL {key}"),
            20 => format!("RENAME {key} {other}"),
            21..=23 => format!("COPY {key} {other} REPLACE"),
            24 => format!("MOVE {key} {}", self.below(2)),
            25..=27 => format!("SUNIONSTORE {key} {other} {}", self.key()),
            28 | 29 => format!("ZUNIONSTORE {key} 2 {other} {}", self.key()),
            30 => format!("SELECT {}", self.below(2)),
            31 => format!("RPOPLPUSH {key} {key}"),
            32 if self.below(8) == 0 => "SWAPDB 0 1".to_owned(),
            33 if self.below(12) == 0 => "FLUSHDB".to_owned(),
            _ => format!("SMOVE {key} {other} m"),
        }
    }
}

#[test]
fn whatever_is_asked_edited_and_answered_in_between_the_table_is_the_primary_s() {
    let mut healed = 0;
    for seed in 0..400 {
        let mut dice = Dice(seed);
        let mut world = World::new(&[]);
        for _ in 0..150 {
            match dice.below(16) {
                0..=5 => {
                    // Where it does not fit, a primary does nothing and sends nothing.
                    let command = dice.command();
                    world.does(&command);
                }
                6 => {
                    world.does(&format!("SADD raw:x {0};SUNIONSTORE c raw:x", dice.below(9)));
                }
                7..=10 => {
                    world.deliver();
                }
                11 | 12 => {
                    world.serve();
                }
                13 | 14 => {
                    world.answer();
                }
                _ if dice.below(10) == 0 => world.cut(),
                _ => {
                    world.ring();
                }
            }
        }
        world.calm();
        world.is_equal();
        assert_eq!(world.site.info().failed_commands, 0, "seed {seed}");
        healed += world.site.info().healed;
    }
    assert!(healed > 1_000, "{healed}");
}

#[test]
fn a_command_that_looks_at_a_key_twice_is_recorded_once() {
    let mut world = World::new(&[]);
    assert!(world.does("RPUSH raw:l 1 2 3 4 5") && world.does("COPY raw:l l"));
    while world.deliver() {}
    assert!(world.serve());
    assert!(world.does("RPOPLPUSH l l") && world.does("LPOP l;RPUSH l 7;LPOP l"));
    while world.deliver() {}
    assert!(world.answer());
    world.is_equal();
    let shown = kept(world.site.apply.table.entries()).remove(&(0, b"l".to_vec()));
    assert_eq!(shown.as_deref(), Some("[2 3 4 7]"));
}
