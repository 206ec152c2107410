//! Loads as a specification: what is heard of a snapshot, what readers see, what a broken one does.

mod in_place;
mod unheard;

use super::*;
use crate::change::{Change, Effect, Verdict};
use crate::command::tests::truth::{
    Data, Mirror, Moods, Truth, any_history, check, follow, visible,
};
use crate::command::tests::{Bench, Script, entry_shown, veto};
use crate::table::Db;
use crate::table::Shown;
use crate::value::{ABSENT, Bytes};
use proptest::prelude::*;

const MARK: [u8; 40] = *b"0123456789abcdef0123456789abcdef01234567";

/// The bytes of a snapshot, written by hand.
struct Snapshot(Vec<u8>);

impl Snapshot {
    fn new(db: u8) -> Self {
        let mut bytes = b"REDIS0009".to_vec();
        bytes.extend([254, db]);
        Self(bytes)
    }

    fn short(&mut self, text: &[u8]) -> &mut Self {
        assert!(text.len() < 64, "longer ones need another form of length");
        self.0.push(u8::try_from(text.len()).unwrap());
        self.0.extend(text);
        self
    }

    fn due(&mut self, at: Option<i64>) -> &mut Self {
        if let Some(at) = at {
            self.0.push(252);
            self.0.extend(at.to_le_bytes());
        }
        self
    }

    /// Keys that are written `key=text`, `key=text@deadline` or `key={f=1,g=2}`.
    fn with(mut self, keys: &[&str]) -> Self {
        for key in keys {
            let (name, value) = key.split_once('=').unwrap();
            if let Some(fields) = value.strip_prefix('{') {
                let fields: Vec<_> = fields.trim_end_matches('}').split(',').collect();
                self.0.push(4);
                self.short(name.as_bytes()).0.push(u8::try_from(fields.len()).unwrap());
                for (field, value) in fields.iter().map(|field| field.split_once('=').unwrap()) {
                    self.short(field.as_bytes()).short(value.as_bytes());
                }
            } else {
                let (value, at) = value.split_once('@').unwrap_or((value, ""));
                self.due(at.parse().ok()).0.push(0);
                self.short(name.as_bytes()).short(value.as_bytes());
            }
        }
        self
    }

    fn aux(mut self, name: &str, value: &str) -> Self {
        self.0.push(250);
        self.short(name.as_bytes()).short(value.as_bytes());
        self
    }

    /// Everything that a primary has, in a form that knows deadlines of fields.
    fn of(truth: &Truth) -> Vec<u8> {
        let mut snapshot = Self(b"VALKEY080".to_vec());
        for ((db, key), held) in &truth.keys {
            snapshot.0.extend([254, u8::try_from(*db).unwrap()]);
            snapshot.due(held.at);
            match &held.data {
                Data::Text(text) => {
                    snapshot.0.push(0);
                    snapshot.short(key.as_bytes()).short(text);
                }
                Data::Fields(fields) => {
                    snapshot.0.push(22);
                    snapshot.short(key.as_bytes()).0.push(u8::try_from(fields.len()).unwrap());
                    for (name, (value, at)) in fields {
                        snapshot.short(name.as_bytes()).short(value.as_bytes());
                        snapshot.0.extend(at.unwrap_or(-1).to_le_bytes());
                    }
                }
                Data::Elements(elements) => {
                    snapshot.0.push(1);
                    snapshot.short(key.as_bytes()).0.push(u8::try_from(elements.len()).unwrap());
                    for element in elements {
                        snapshot.short(element.as_bytes());
                    }
                }
                Data::Members(members) => {
                    snapshot.0.push(2);
                    snapshot.short(key.as_bytes()).0.push(u8::try_from(members.len()).unwrap());
                    for member in members {
                        snapshot.short(member.as_bytes());
                    }
                }
                Data::Scores(scores) => {
                    snapshot.0.push(5);
                    snapshot.short(key.as_bytes()).0.push(u8::try_from(scores.len()).unwrap());
                    for (member, score) in scores {
                        snapshot.short(member.as_bytes()).0.extend((*score as f64).to_le_bytes());
                    }
                }
            }
        }
        snapshot.end()
    }

    /// The end, and a checksum that says there is none.
    fn end(mut self) -> Vec<u8> {
        self.0.push(255);
        self.0.extend([0; 8]);
        self.0
    }
}

/// What loads go into.
struct Site {
    bench: Bench,
    readable: bool,
    resync: Resync,
    max_memory: u64,
    stopping: bool,
    /// How many gates were asked for.
    gates: usize,
    /// So many of them are heard by nobody.
    unheard: usize,
}

/// What came of a load.
struct Outcome {
    heard: Vec<String>,
    end: Result<Progress>,
    load: Load,
    /// Whether it was told that the data is mixed.
    mixed: bool,
}

impl Outcome {
    /// The position and the bytes behind the snapshot.
    fn complete(self) -> (Vec<String>, Position, Vec<u8>) {
        match self.end {
            Ok(Progress::Complete { position, rest }) => (self.heard, position, rest),
            Ok(Progress::More) => panic!("not complete"),
            Err(error) => panic!("{error}"),
        }
    }

    fn error(self) -> Error {
        self.end.err().expect("an error")
    }
}

impl Site {
    fn new() -> Self {
        let bench = Bench::default();
        let resync = Resync::Aside;
        let (readable, stopping) = (false, false);
        Self { bench, readable, resync, max_memory: 0, stopping, gates: 0, unheard: 0 }
    }

    /// A table that is being read, after these commands.
    fn with(commands: &str) -> Self {
        Self { bench: Bench::with(commands), readable: true, ..Self::new() }
    }

    fn begin(&self, transfer: Transfer) -> Load {
        let phase = if self.readable { Phase::Resync } else { Phase::Initial };
        let position = Position { replid: Some([b'r'; 40]), offset: 500, db: 0 };
        let (scope, table) = (&self.bench.scope, &self.bench.table);
        let later = self.readable.then_some(self.resync);
        Load::new(transfer, position, 0, phase, scope, table, later)
    }

    /// Feeds the parts as far as they are taken.
    fn load<'b>(
        &mut self,
        transfer: Transfer,
        parts: impl IntoIterator<Item = &'b [u8]>,
        decide: &mut dyn FnMut(&Change<'_>) -> Verdict,
    ) -> Outcome {
        let mut load = self.begin(transfer);
        let stopping = self.stopping;
        let mixed = std::cell::Cell::new(false);
        let mut around = Surroundings {
            table: &mut self.bench.table,
            scope: &self.bench.scope,
            now_ms: 1_000_000,
            unit: &mut self.bench.unit,
            max_memory: self.max_memory,
            is_stopping: &|| stopping,
            becomes_mixed: &|| mixed.set(true),
        };
        let heard = std::cell::RefCell::new(Script { decide, heard: Vec::new() });
        struct Borrowed<'a, 'b>(&'a std::cell::RefCell<Script<'b>>, bool);
        impl Gate for Borrowed<'_, '_> {
            fn ask(&mut self, change: &Change<'_>) -> Verdict {
                self.0.borrow_mut().ask(change)
            }

            fn is_heard(&self) -> bool {
                self.1
            }
        }
        let mut end = Ok(Progress::More);
        for part in parts {
            end = load.feed(part, &mut around, &mut || {
                self.gates += 1;
                Borrowed(&heard, self.gates > self.unheard)
            });
            if !matches!(end, Ok(Progress::More)) {
                break;
            }
        }
        let heard = heard.into_inner().heard;
        Outcome { heard, end, load, mixed: mixed.get() }
    }

    /// Loads all of a snapshot and keeps everything.
    fn keep(&mut self, bytes: &[u8]) -> Vec<String> {
        self.answer(bytes, &mut |_| Verdict::Keep)
    }

    fn answer(
        &mut self,
        bytes: &[u8],
        decide: &mut dyn FnMut(&Change<'_>) -> Verdict,
    ) -> Vec<String> {
        self.load(length(bytes), [bytes], decide).complete().0
    }

    /// A load that must fail, and the error's kind and text.
    fn fail(&mut self, bytes: &[u8]) -> (Vec<String>, Kind, String) {
        let outcome = self.load(length(bytes), [bytes], &mut |_| Verdict::Keep);
        let heard = outcome.heard.clone();
        let error = outcome.error();
        (heard, error.kind(), error.text().to_owned())
    }

    fn version(&self, key: &str) -> u64 {
        self.bench.entry(key).unwrap().version
    }
}

fn length(bytes: &[u8]) -> Transfer {
    Transfer::Length(bytes.len() as u64)
}

fn sorted(mut heard: Vec<String>) -> Vec<String> {
    heard.sort();
    heard
}

#[test]
fn the_first_load_publishes_keys_as_they_come_and_tells_each() {
    let mut site = Site::new();
    let bytes = Snapshot::new(0).with(&["a=1", "b=2@999999", "h={f=1,g=2}"]).end();
    let reader = site.bench.table.reader();
    let begin = &bytes[..bytes.len() - 12];
    let mut told_phases = Vec::new();
    let outcome = site.load(length(&bytes), [begin], &mut |change| {
        told_phases.push((change.phase, change.reason, change.offset, change.args.len()));
        Verdict::Keep
    });
    assert!(matches!(outcome.end, Ok(Progress::More)));
    assert_eq!(outcome.heard, ["set a \"1\"", "set b \"2\" @999999 late"]);
    assert_eq!(told_phases, vec![(Phase::Initial, Reason::Snapshot, 500, 0); 2]);
    assert_eq!(reader.count(0), 2);
    assert_eq!(site.bench.dump(), "a=\"1\"; b=\"2\" @999999");
}

#[test]
fn whatever_the_pieces_the_same_is_loaded_and_what_follows_belongs_to_the_stream() {
    let snapshot = Snapshot::new(3).with(&["a=1", "h={f=1}", "b=2@2000000"]).end();
    let rest = b"*1\r\n$4\r\nPING\r\n";
    for readable in [false, true] {
        for (transfer, mark) in [(length(&snapshot), &[][..]), (Transfer::Mark(MARK), &MARK[..])] {
            let bytes = [&snapshot, mark, rest].concat();
            for cut in 0..bytes.len() {
                let mut site = Site { readable, ..Site::new() };
                let parts = [&bytes[..cut], &bytes[cut..]];
                let outcome = site.load(transfer, parts, &mut |_| Verdict::Keep);
                let received = if cut >= snapshot.len() + mark.len() { cut } else { bytes.len() };
                let (heard, position, remains) = outcome.complete();
                assert_eq!(heard.len(), 3);
                assert_eq!((position.offset, position.db), (500, 0));
                assert_eq!(remains, &rest[..received - snapshot.len() - mark.len()], "cut {cut}");
                assert_eq!(site.bench.dump(), "3/a=\"1\"; 3/b=\"2\" @2000000; 3/h={f=1}");
            }
        }
    }
}

#[test]
fn many_keys_are_published_in_batches_and_a_new_callback_let_in_between() {
    let names: Vec<String> = (0..600).map(|n| format!("k{n}=v")).collect();
    let names: Vec<&str> = names.iter().map(String::as_str).collect();
    let mut site = Site::new();
    assert_eq!(site.keep(&Snapshot::new(0).with(&names).end()).len(), 600);
    assert_eq!(site.bench.table.reader().count(0), 600);
    assert_eq!(site.gates, 3);
}

#[test]
fn after_a_broken_first_load_the_next_tells_only_the_difference() {
    let mut site = Site::new();
    let bytes = Snapshot::new(0).with(&["a=1", "b=2", "c=3", "d=4"]).end();
    let outcome = site.load(length(&bytes), [&bytes[..bytes.len() - 12]], &mut veto(&["set b"]));
    assert_eq!(outcome.heard, ["set a \"1\"", "set b \"2\" - skipped", "set c \"3\""]);
    let bytes = Snapshot::new(0).with(&["a=1", "b=2", "d=4", "e=5"]).end();
    let heard = site.keep(&bytes);
    assert_eq!(heard[0], "delete c (resync) gone");
    assert_eq!(sorted(heard)[1..], ["set d \"4\" (resync)", "set e \"5\" (resync)"]);
    assert_eq!(site.bench.dump(), "a=\"1\"; b=ghost; d=\"4\"; e=\"5\"");
}

#[test]
fn a_resync_tells_what_vanished_then_what_changed_and_nothing_else() {
    let mut site = Site::with("SET same 1; SET other 1; SET gone 1; SET due 1 PX 5; HSET h f 1");
    site.bench.keep("HSET i f 1; SELECT 1; SET same 1; SET gone 2; SELECT 0");
    let versions = (site.version("same"), site.version("i"));
    let snapshot = Snapshot::new(0).with(&[
        "new=1",
        "same=1",
        "other=2",
        "due=1@2000000",
        "h={f=2}",
        "i={f=1}",
    ]);
    let heard = site.keep(&snapshot.end());
    let (vanished, changed) = heard.split_at(3);
    assert_eq!(
        sorted(vanished.to_vec()),
        ["delete 1/gone (resync) gone", "delete 1/same (resync) gone", "delete gone (resync) gone",]
    );
    assert_eq!(
        sorted(changed.to_vec()),
        [
            "set due \"1\" @2000000 (resync)",
            "set h {f=2} (resync)",
            "set new \"1\" (resync)",
            "set other \"2\" (resync)",
        ]
    );
    assert_eq!(
        site.bench.dump(),
        "due=\"1\" @2000000; h={f=2}; i={f=1}; new=\"1\"; other=\"2\"; same=\"1\""
    );
    // What did not change keeps its version, what did has a new one.
    assert_eq!((site.version("same"), site.version("i")), versions);
    assert_eq!(site.version("other"), site.bench.unit);
    assert_eq!(site.version("new"), site.bench.unit);
}

#[test]
fn readers_move_over_in_one_step_after_the_last_question() {
    let mut site = Site::with("SET a 1; SET b 2");
    let reader = site.bench.table.reader();
    let snapshot = Snapshot::new(0).with(&["a=9", "c=3"]).end();
    let mut seen = Vec::new();
    site.answer(&snapshot, &mut |change| {
        let a = reader.read(0, b"a", |found| entry_shown(found.map(Shown::entry).as_ref()));
        seen.push((change.phase, change.reason, change.offset, a, reader.count(0)));
        Verdict::Keep
    });
    assert_eq!(seen, vec![(Phase::Resync, Reason::Resync, 500, "\"1\"".to_owned(), 2); 3]);
    assert_eq!(site.bench.dump(), "a=\"9\"; c=\"3\"");
    let stamp = reader.stamp();
    assert_eq!((stamp.offset, stamp.replid, stamp.unit), (500, [b'r'; 40], site.bench.unit));
}

/// What was kept, what was skipped, the snapshot's key `k` (or that it is not there), what is heard
/// while everything is kept, and what the table has then.
#[test]
fn a_resync_asks_again_only_where_the_primary_has_something_else_than_was_withheld() {
    for (kept, skipped, snapshot, heard, after) in [
        ("", "SET k v", "k=v", "", "k=ghost"),
        ("", "SET k v", "k=w", "set k \"w\" (resync)", "k=\"w\""),
        ("", "SET k v", "k=v@2000000", "set k \"v\" @2000000 (resync)", "k=\"v\" @2000000"),
        ("", "SET k v PXAT 2000000", "k=v@2000000", "", "k=ghost @2000000"),
        ("", "SET k v", "", "delete k (resync) gone", ""),
        ("SET k 1", "INCR k", "k=2", "", "k=ghost"),
        ("SET k 1", "INCR k; INCR k", "k=3", "set k \"3\" (resync)", "k=\"3\""),
        ("SET k v", "SET k w", "k=w", "", "k=\"v\" frozen"),
        ("SET k v", "SET k w", "k=v", "set k \"v\" (resync)", "k=\"v\""),
        ("SET k v", "SET k w", "", "delete k (resync) gone", ""),
        ("SET k v", "DEL k", "", "", "k=\"v\" frozen"),
        ("SET k v", "DEL k", "k=v", "set k \"v\" (resync)", "k=\"v\""),
        ("SET k v", "PEXPIREAT k 2000000", "k=v@2000000", "", "k=\"v\" frozen"),
        ("HSET k f 1", "HSET k g 2", "k={f=1,g=2}", "", "k={f=1} lacks g"),
        ("HSET k f 1", "HSET k g 2", "k={f=1}", "set k {f=1} (resync)", "k={f=1}"),
        ("HSET k f 1", "HSET k f 2", "k={f=2}", "", "k={f=1} lacks f"),
        ("HSET k f 1 g 2", "HDEL k f", "k={g=2}", "", "k={f=1 g=2} lacks f"),
        ("HSET k f 1", "HDEL k f", "", "", "k={f=1} lacks f"),
        ("HSET k f 1", "HDEL k f", "k={f=1}", "set k {f=1} (resync)", "k={f=1}"),
        ("HSET k f 1", "HSET k g 2", "", "delete k (resync) gone", ""),
        // What could not be known is known now.
        ("", "SET a v; COPY a k", "k=v", "delete a (resync) gone|set k \"v\" (resync)", "k=\"v\""),
    ] {
        let mut site = Site::with(kept);
        site.bench.skip(skipped);
        let keys: Vec<_> = Some(snapshot).filter(|key| !key.is_empty()).into_iter().collect();
        let heard_now = site.keep(&Snapshot::new(0).with(&keys).end());
        assert_eq!(heard_now.join("|"), heard, "{kept} | {skipped} | {snapshot}");
        assert_eq!(site.bench.dump(), after, "{kept} | {skipped} | {snapshot}");
        // Another resync with the same snapshot tells nothing.
        let again = site.keep(&Snapshot::new(0).with(&keys).end());
        assert_eq!(again, [""; 0], "{kept} | {skipped} | {snapshot}");
        assert_eq!(site.bench.dump(), after, "{kept} | {skipped} | {snapshot}");
    }
}

#[test]
fn what_is_skipped_in_a_resync_stays_as_it_was_and_is_not_asked_about_again() {
    let mut site = Site::with("SET gone 1; SET other 1; SET same 1");
    site.bench.skip("SET ghost 1; SET ghost-gone 1");
    let bytes = Snapshot::new(0).with(&["other=2", "same=1", "new=3", "ghost=2"]).end();
    let heard = site.answer(&bytes, &mut |_| Verdict::Skip);
    assert_eq!(heard.len(), 5, "{heard:?}");
    let after = "ghost=ghost; gone=\"1\" frozen; new=ghost; other=\"1\" frozen; same=\"1\"";
    assert_eq!(site.bench.dump(), after);
    let versions = (site.version("gone"), site.version("other"), site.version("same"));
    assert_eq!(versions, (1, 2, 3));
    assert_eq!(site.answer(&bytes, &mut |_| Verdict::Skip), [""; 0]);
    assert_eq!(site.bench.dump(), after);
}

#[test]
fn a_later_load_that_breaks_off_at_any_byte_changes_nothing_and_nobody_heard_of_it() {
    let bytes = Snapshot::new(0).with(&["a=9", "c=3@2000000", "h={f=2}"]).end();
    for (transfer, mark) in [(length(&bytes), &[][..]), (Transfer::Mark(MARK), &MARK[..])] {
        let whole = [&bytes, mark].concat();
        let mut site = Site::with("SET a 1; HSET h f 1");
        site.bench.skip("SET g 1");
        let (before, unit) = (site.bench.dump(), site.bench.unit);
        for end in 0..whole.len() {
            let outcome = site.load(transfer, [&whole[..end]], &mut |_| Verdict::Keep);
            assert!(matches!(outcome.end, Ok(Progress::More)), "byte {end}");
            assert_eq!(outcome.heard, [""; 0], "byte {end}");
            assert_eq!((site.bench.dump(), site.bench.unit), (before.clone(), unit));
        }
    }
}

#[test]
fn a_damaged_load_changes_nothing_and_nobody_heard_of_it() {
    let good = Snapshot::new(0).with(&["a=9", "c=3@2000000", "h={f=2}"]).end();
    for at in 0..good.len() {
        for damage in [1, 0x40, 0x80, 0xff] {
            let mut bytes = good.clone();
            bytes[at] ^= damage;
            let mut site = Site::with("SET a 1; HSET h f 1");
            let before = site.bench.dump();
            let outcome = site.load(length(&bytes), [&bytes[..]], &mut |_| Verdict::Keep);
            if outcome.end.is_err() {
                assert_eq!((outcome.heard.len(), site.bench.dump()), (0, before));
            }
        }
    }
}

#[test]
fn a_key_that_is_there_twice_is_refused_with_its_name_and_place() {
    let bytes = Snapshot::new(7).with(&["a=1", "b=1", "a=1"]).end();
    for readable in [false, true] {
        for verdict in [Verdict::Keep, Verdict::Skip] {
            let mut site = Site { readable, ..Site::new() };
            let outcome = site.load(length(&bytes), [&bytes[..]], &mut |_| verdict);
            let error = outcome.error();
            assert_eq!(error.kind(), Kind::Protocol);
            assert!(error.text().contains("db 7 key \"a\""), "{error}");
            assert!(error.text().contains("snapshot offset 2"), "{error}");
        }
    }
    // The same name in another database is another key.
    let mut bytes = Snapshot::new(0).with(&["a=1"]).0;
    bytes.extend([254, 1]);
    let bytes = Snapshot(bytes).with(&["a=2"]).end();
    let mut site = Site::new();
    site.keep(&bytes);
    assert_eq!(site.bench.dump(), "1/a=\"2\"; a=\"1\"");
}

#[test]
fn a_wrong_end_is_refused() {
    let bytes = Snapshot::new(0).with(&["a=1"]).end();
    let mut other = MARK;
    other[39] ^= 1;
    let total = bytes.len() as u64;
    for (transfer, fed) in [
        (Transfer::Mark(MARK), [&bytes[..], &other].concat()),
        (Transfer::Mark(MARK), [&bytes[..], b"\n", &MARK].concat()),
        (Transfer::Length(total - 1), bytes.clone()),
        (Transfer::Length(total + 1), [&bytes[..], b"\n"].concat()),
        (Transfer::Length(total + 3), [&bytes[..], &bytes].concat()),
        (Transfer::Length(0), bytes.clone()),
    ] {
        let mut site = Site::with("SET a old");
        let outcome = site.load(transfer, [&fed[..]], &mut |_| Verdict::Keep);
        assert_eq!(outcome.heard, [""; 0]);
        assert_eq!(outcome.error().kind(), Kind::Protocol, "{transfer:?}");
        assert_eq!(site.bench.dump(), "a=\"old\"");
    }
}

#[test]
fn a_type_that_is_not_supported_is_named_with_its_key() {
    let mut bytes = Snapshot::new(0).with(&["a=1"]);
    bytes.0.push(31);
    let bytes = bytes.with(&["s=1"]).end();
    let mut site = Site::with("SET a old");
    let (heard, kind, text) = site.fail(&bytes);
    assert_eq!((heard.len(), kind), (0, Kind::Unsupported), "{text}");
    assert!(text.contains("hash template"), "{text}");
    assert_eq!(site.bench.dump(), "a=\"old\"");
}

#[test]
fn a_load_that_would_pass_max_memory_ends_and_the_old_data_stays() {
    let names: Vec<String> = (0..300).map(|n| format!("k{n}={}", "v".repeat(50))).collect();
    let names: Vec<&str> = names.iter().map(String::as_str).collect();
    let bytes = Snapshot::new(0).with(&names).end();
    for readable in [false, true] {
        let mut site = Site::with("SET a old");
        site.readable = readable;
        let now = site.bench.table.memory() as u64;
        site.max_memory = now + 20_000;
        let (heard, kind, text) = site.fail(&bytes);
        assert_eq!((heard.len(), kind), (0, Kind::NoMemory), "{text}");
        assert!(text.contains("max-memory"), "{text}");
        assert_eq!(site.bench.dump(), "a=\"old\"");
        site.max_memory = now + 200_000;
        assert_eq!(site.keep(&bytes).len(), 301);
    }
}

#[test]
fn what_did_not_change_is_taken_over_and_takes_no_more_memory_while_it_loads() {
    let names: Vec<String> = (0..600).map(|n| format!("k{n}={}", "v".repeat(60))).collect();
    let names: Vec<&str> = names.iter().map(String::as_str).collect();
    let bytes = Snapshot::new(0).with(&names).end();
    let mut site = Site::new();
    site.keep(&bytes);
    site.readable = true;
    let now = site.bench.table.memory() as u64;
    let index = 600 * SLOT_BYTES as u64;
    const PIECE: usize = 500;
    // In pieces, so that what is not decoded yet is little beside what is.
    let pieces = bytes.chunks(PIECE);
    let same = site.load(length(&bytes), pieces, &mut |_| Verdict::Keep);
    let peak = same.load.peak();
    assert_eq!(same.complete().0, [""; 0]);
    assert!(peak <= now + index + PIECE as u64, "{peak} beside {now} + {index}");
    let others: Vec<String> = (0..600).map(|n| format!("k{n}={}", "w".repeat(60))).collect();
    let others: Vec<&str> = others.iter().map(String::as_str).collect();
    let bytes = Snapshot::new(0).with(&others).end();
    let other = site.load(length(&bytes), [&bytes[..]], &mut |_| Verdict::Keep);
    assert!(other.load.peak() >= 2 * now, "{} beside {now}", other.load.peak());
    assert_eq!(other.complete().0.len(), 600);
    assert_eq!(site.bench.table.memory() as u64, now);
}

#[test]
fn more_keys_than_max_memory_can_hold_are_refused_before_any_is_loaded() {
    let mut resize = Snapshot::new(0);
    // So many keys in 32 bits, none with a deadline.
    resize.0.extend([251, 128]);
    resize.0.extend(1_000_000u32.to_be_bytes());
    resize.0.push(0);
    let bytes = resize.with(&["a=1", "b=2"]).end();
    for readable in [false, true] {
        let mut site = Site::with("SET a old");
        site.readable = readable;
        site.max_memory = 1_000_000 * SLOT_BYTES as u64;
        let outcome = site.load(length(&bytes), [&bytes[..]], &mut |_| Verdict::Keep);
        assert_eq!((outcome.heard.len(), outcome.load.keys), (0, 0));
        let error = outcome.error();
        assert_eq!(error.kind(), Kind::NoMemory);
        assert!(error.text().contains("1000000 announced keys"), "{error}");
        assert_eq!(site.bench.dump(), "a=\"old\"");
        // Of what a filter leaves out nobody knows how much it is.
        site.bench.scope.exclude_keys = vec![b"x*".to_vec()];
        assert_eq!(site.keep(&bytes).len(), 2);
    }
}

#[test]
fn a_load_ends_when_the_engine_stops() {
    let names: Vec<String> = (0..1000).map(|n| format!("k{n}=v")).collect();
    let names: Vec<&str> = names.iter().map(String::as_str).collect();
    let bytes = Snapshot::new(0).with(&names).end();
    for mut site in [Site::new(), Site::with("SET a old")] {
        site.stopping = true;
        let (heard, kind, _) = site.fail(&bytes);
        assert_eq!(kind, Kind::Stopped);
        assert!(heard.len() <= 256, "{} questions after the stop", heard.len());
    }
}

#[test]
fn what_the_options_leave_out_is_neither_asked_about_nor_stored() {
    let mut bytes = Snapshot::new(0).with(&["tmp:1=1", "a=1"]);
    bytes.0.extend([254, 1]);
    let bytes = bytes.with(&["b=2"]).end();
    for readable in [false, true] {
        let mut site = Site { readable, ..Site::new() };
        site.bench.scope.exclude_keys = vec![b"tmp:*".to_vec()];
        site.bench.scope.databases = Some(vec![0]);
        assert_eq!(site.keep(&bytes).len(), 1);
        assert_eq!(site.bench.dump(), "a=\"1\"");
        assert_eq!(site.keep(&bytes).len(), 0);
    }
}

#[test]
fn without_a_table_each_load_is_told_whole() {
    let mut site = Site::new();
    site.bench.scope.store = false;
    let bytes = Snapshot::new(0).with(&["a=1", "h={f=1}"]).end();
    for readable in [false, true, true] {
        site.readable = readable;
        assert_eq!(site.keep(&bytes), ["set a \"1\"", "set h {f=1}"]);
        assert_eq!(site.bench.dump(), "");
    }
}

#[test]
fn the_snapshot_says_who_wrote_it_and_which_database_was_selected() {
    for (aux, version, valkey, db) in [
        (&[("redis-ver", "7.0.1"), ("repl-stream-db", "5")][..], "7.0.1", false, 5),
        (&[("redis-ver", "7.2.4"), ("valkey-ver", "8.0.1")], "8.0.1", true, 0),
        (&[("valkey-ver", "8.0.1"), ("redis-ver", "7.2.4")], "8.0.1", true, 0),
        (&[("repl-stream-db", "-1")], "", false, 0),
        (&[("repl-stream-db", "x")], "", false, 0),
    ] {
        let begin = Snapshot(b"REDIS0009".to_vec());
        let bytes = aux.iter().fold(begin, |bytes, (name, value)| bytes.aux(name, value)).end();
        let mut site = Site::new();
        let outcome = site.load(length(&bytes), [&bytes[..]], &mut |_| Verdict::Keep);
        let server = outcome.load.server.clone();
        assert_eq!((server.version.as_str(), server.valkey), (version, valkey));
        let (heard, position, _) = outcome.complete();
        assert_eq!((heard.len(), position.db), (0, db));
    }
}

/// For each key that is there on either side: whether it has to be asked about.
fn differences(site: &Site, truth: &Truth) -> Vec<(Db, Bytes)> {
    let mut differ = Vec::new();
    for (db, key, entry) in site.bench.table.entries() {
        let name = (db, String::from_utf8_lossy(&key).into_owned());
        let truly = truth.keys.get(&name).map_or(ABSENT, |held| held.print());
        if known_fingerprint(&entry) != Some(truly) {
            differ.push((db, key));
        }
    }
    for (db, key) in truth.keys.keys() {
        if site.bench.table.get(*db, key.as_bytes()).is_none() {
            differ.push((*db, Bytes::from(key.as_bytes())));
        }
    }
    differ.sort();
    differ
}

proptest! {
    #![proptest_config(ProptestConfig {
        cases: 400, failure_persistence: None, ..Default::default()
    })]

    #[test]
    fn a_resync_tells_the_difference_and_leaves_the_truth_but_for_what_is_withheld(
        (units, seed, one_of) in any_history(), (unheard, ..) in any_history(),
        resync in prop::sample::select(&[Resync::Aside, Resync::Auto, Resync::InPlace]),
        limited in any::<bool>(),
    ) {
        let mut site = Site::new();
        site.readable = true;
        site.resync = resync;
        let (mut truth, mut mirror) = <(Truth, Mirror)>::default();
        let mut moods = Moods::new(seed, one_of);
        for unit in &units {
            follow(&mut site.bench, &mut truth, &mut mirror, &mut moods, unit);
        }
        for command in unheard.iter().flatten().take(8) {
            truth.execute(command);
        }
        let expected = differences(&site, &truth);
        let mut asked = Vec::new();
        // In place nobody knows what vanished before the end.
        let mut deletes: Vec<bool> = Vec::new();
        let bytes = Snapshot::of(&truth);
        // With a limit of what there is already, some of it goes in place.
        let is_auto = resync == Resync::Auto && limited;
        site.max_memory = if is_auto { site.bench.table.memory() as u64 + 1500 } else { 0 };
        let outcome = site.load(length(&bytes), [&bytes[..]], &mut |change| {
            deletes.push(change.effect == Effect::Delete);
            asked.push((change.db.unwrap(), Bytes::from(change.key)));
            let verdict = moods.answer();
            mirror.hear(change, verdict);
            verdict
        });
        prop_assume!(!is_auto || outcome.end.is_ok());
        outcome.complete();
        if resync == Resync::InPlace {
            prop_assert!(deletes.is_sorted(), "vanished keys come last: {:?}", deletes);
        } else if !is_auto {
            prop_assert!(deletes.is_sorted_by(|a, b| a >= b), "they come first: {:?}", deletes);
        }
        site.max_memory = 0;
        asked.sort();
        prop_assert_eq!(asked, expected);
        check(&site.bench.table, &site.bench.scope, &truth, &mirror);
        prop_assert_eq!(site.answer(&bytes, &mut |_| Verdict::Keep), vec![""; 0]);
        if one_of == 0 {
            prop_assert_eq!(visible(&site.bench.table), truth.keys.clone());
        }
        // And following goes on from there.
        site.bench.db = truth.db;
        for unit in &unheard {
            follow(&mut site.bench, &mut truth, &mut mirror, &mut moods, unit);
            check(&site.bench.table, &site.bench.scope, &truth, &mirror);
        }
    }
}
