//! The apply task's work stepped by hand, one feed of the link at a time.

mod cut;
mod events;
mod heal;

use super::*;
use crate::change::{Change, Verdict};
use crate::command::tests::told;
use crate::env::{Address, Connection, Thread, TryLock, Waker};
use crate::error::Result;
use crate::replica::{Answer, Info, Replica, SharedGate, WaitOutcome};
use crate::resp::write_command;
use parking_lot::Mutex;

const ID: [u8; 40] = [b'1'; 40];
const OTHER_ID: [u8; 40] = [b'2'; 40];
const PING: &[u8] = b"*1\r\n$4\r\nping\r\n";
const GETACK: &[u8] = b"*3\r\n$8\r\nREPLCONF\r\n$6\r\nGETACK\r\n$1\r\n*\r\n";

std::thread_local! {
    static TICKS: std::cell::Cell<i64> = const { std::cell::Cell::new(0) };
}

/// A world in which nothing happens by itself.
struct Still;

struct Silent;

impl Waker for Silent {
    fn wake(&self) {}
    fn wait(&self, _timeout_ms: i64) {}
}

impl Env for Still {
    fn now_ms(&self) -> i64 {
        1_000_000
    }
    fn ticks_ms(&self) -> i64 {
        TICKS.get()
    }
    fn random(&self) -> u64 {
        4
    }
    fn dial(&self, _to: &Address) -> Result<Box<dyn Connection>> {
        Err(Error::new(Kind::Io, "no network here"))
    }
    fn waker(&self) -> Result<Arc<dyn Waker>> {
        Ok(Arc::new(Silent))
    }
    fn spawn(&self, _name: &str, _body: Box<dyn FnOnce() + Send>) -> Result<Box<dyn Thread>> {
        Err(Error::new(Kind::Io, "no threads here"))
    }
    fn read_file(&self, _path: &str) -> Result<Vec<u8>> {
        Err(Error::new(Kind::Io, "no files here"))
    }
    fn try_lock(&self, _path: &str) -> Result<TryLock> {
        Err(Error::new(Kind::Io, "no files here"))
    }
}

/// Writes down what it is asked; skips what begins with one of these words.
struct Ears {
    heard: Mutex<Vec<String>>,
    vetoes: Vec<&'static str>,
}

impl SharedGate for Ears {
    fn ask(&self, change: &Change<'_>) -> Verdict {
        let told = told(change);
        let skip = self.vetoes.iter().any(|veto| told.starts_with(veto));
        self.heard.lock().push(format!("{}:{told}", change.offset));
        if skip { Verdict::Skip } else { Verdict::Keep }
    }
}

struct Site {
    replica: Replica,
    apply: Apply,
    ears: Arc<Ears>,
    moments: Arc<Mutex<Vec<Moment>>>,
}

impl Site {
    fn new() -> Self {
        Self::with(&[])
    }

    fn with(options: &[(&str, &str)]) -> Self {
        Self::deaf_to(options, &[])
    }

    fn deaf_to(options: &[(&str, &str)], vetoes: &[&'static str]) -> Self {
        let env = Arc::new(Still);
        let replica = Replica::with_env("redis://127.0.0.1:6379", env.clone()).unwrap();
        for (name, value) in options {
            replica.set_option(name, value).unwrap();
        }
        let ears = Arc::new(Ears { heard: Mutex::default(), vetoes: vetoes.to_vec() });
        replica.set_gate(Some(ears.clone())).unwrap();
        let moments = Arc::new(Mutex::new(Vec::new()));
        let hears = moments.clone();
        let listener = move |info: &Info| hears.lock().push(info.moment);
        replica.set_state_listener(Some(Arc::new(listener))).unwrap();
        let (settings, table) = {
            let mut engine = replica.engine.lock();
            (crate::replica::settings_of(&engine.config), engine.table.take().unwrap())
        };
        let apply = Apply::new(env, replica.shared.clone(), settings, table);
        Self { replica, apply, ears, moments }
    }

    /// In sync at offset 500 with these keys, each `key value`; what was heard is forgotten.
    fn in_sync(mut self, keys: &[(&str, &str)]) -> Self {
        self.full_sync(keys);
        assert_eq!(self.info().state, State::Following);
        self.heard();
        self.moments();
        self.apply.shared.control.asked();
        self
    }

    fn full_sync(&mut self, keys: &[(&str, &str)]) {
        let bytes = snapshot(keys);
        self.begin_sync(bytes.len());
        self.bytes(&bytes);
    }

    fn begin_sync(&mut self, len: usize) {
        self.begin_sync_at(len, 0);
    }

    fn begin_sync_at(&mut self, len: usize, at_ms: i64) {
        let transfer = Transfer::Length(len as u64);
        self.apply.take(Feed::FullSync { replid: Some(ID), offset: 500, transfer, at_ms });
    }

    fn bytes(&mut self, bytes: &[u8]) {
        self.bytes_at(bytes, 0);
    }

    /// The clock stands still at 0.
    fn bytes_at(&mut self, bytes: &[u8], at_ms: i64) {
        self.apply.shared.control.came(bytes.len());
        self.apply.take(Feed::Bytes { bytes: bytes.to_vec(), at_ms });
        assert_eq!(self.apply.shared.control.spooled(), 0, "all bytes are accounted for");
    }

    /// Commands of the stream, separated by `;`; returns their length.
    fn send(&mut self, commands: &str) -> i64 {
        let bytes = stream(commands);
        self.bytes(&bytes);
        bytes.len() as i64
    }

    fn lose(&mut self) {
        let error = Error::new(Kind::Io, "the other end is gone");
        self.apply.take(Feed::Lost { error, retry_in_ms: 250 });
    }

    fn info(&self) -> Info {
        self.replica.info()
    }

    fn offset(&self) -> i64 {
        let offset = self.info().offset;
        let control = &self.apply.shared.control;
        assert_eq!(self.replica.lookups().reader().stamp().offset, offset);
        let asked = control.asked();
        assert_eq!(asked.applied, offset);
        offset
    }

    fn resume(&self) -> Option<Option<(crate::link::ReplId, i64)>> {
        self.apply.shared.control.asked().resume
    }

    fn heard(&self) -> Vec<String> {
        std::mem::take(&mut self.ears.heard.lock())
    }

    fn moments(&self) -> Vec<Moment> {
        std::mem::take(&mut self.moments.lock())
    }

    fn get(&self, db: u32, key: &str) -> Answer<String> {
        let text = |bytes: &[u8], _| String::from_utf8_lossy(bytes).into_owned();
        self.replica.lookups().get(db, key.as_bytes(), text)
    }

    #[track_caller]
    fn has(&self, db: u32, key: &str, value: &str) {
        assert_eq!(self.get(db, key), Answer::Found(value.to_owned()), "{db}/{key}");
    }
}

fn stream(commands: &str) -> Vec<u8> {
    let mut bytes = Vec::new();
    for command in commands.split(';') {
        let args: Vec<&[u8]> = command.split_whitespace().map(str::as_bytes).collect();
        write_command(&mut bytes, &args);
    }
    bytes
}

fn snapshot(keys: &[(&str, &str)]) -> Vec<u8> {
    let mut bytes = b"REDIS0009\xfe\x00".to_vec();
    for (key, value) in keys {
        bytes.push(0);
        for text in [key, value] {
            assert!(text.len() < 64);
            bytes.push(u8::try_from(text.len()).unwrap());
            bytes.extend(text.as_bytes());
        }
    }
    bytes.push(255);
    bytes.extend([0; 8]);
    bytes
}

#[test]
fn every_byte_of_the_stream_counts_and_the_position_moves_with_whole_commands_only() {
    let mut site = Site::new().in_sync(&[]);
    assert_eq!(site.offset(), 500);
    let mut parts: Vec<Vec<u8>> = vec![PING.to_vec(), b"PING\r\n".to_vec(), GETACK.to_vec()];
    parts.extend([b"\r\n".to_vec(), b"\n".to_vec(), b"*0\r\n".to_vec(), b"select 3\r\n".to_vec()]);
    for command in [
        "SET k v",
        "DEL none",
        "PUBLISH c m",
        "SCRIPT LOAD x",
        "FUNCTION FLUSH",
        "SPUBLISH c m",
        "EXEC",
        "DISCARD",
        "REPLCONF x",
    ] {
        parts.push(stream(command));
    }
    let mut offset = 500;
    for part in &parts {
        for byte in &part[..part.len() - 1] {
            site.bytes(&[*byte]);
            assert_eq!(site.offset(), offset, "within {part:?}");
        }
        site.bytes(&part[part.len() - 1..]);
        offset += part.len() as i64;
        assert_eq!(site.offset(), offset, "behind {part:?}");
    }
    let all = parts.concat();
    let mut at_once = Site::new().in_sync(&[]);
    at_once.bytes(&all);
    assert_eq!(at_once.offset(), offset);
    at_once.has(3, "k", "v");
    assert_eq!((PING.len(), GETACK.len()), (14, 37));
    let info = at_once.info();
    assert_eq!((info.unknown_commands, info.failed_commands, info.diverged), (0, 0, false));
}

#[test]
fn an_acknowledgement_is_sent_at_once_where_the_primary_asks_and_when_in_sync() {
    let mut site = Site::new();
    site.full_sync(&[]);
    assert!(site.apply.shared.control.asked().ack_due);
    site.bytes(PING);
    assert!(!site.apply.shared.control.asked().ack_due);
    site.bytes(GETACK);
    let asked = site.apply.shared.control.asked();
    assert_eq!((asked.ack_due, asked.applied), (true, 551));
}

#[test]
fn a_transaction_is_one_unit_that_nobody_hears_of_before_its_end() {
    let mut site = Site::new().in_sync(&[("n", "1")]);
    let mut length = site.send("MULTI;INCR n;INCR n;SELECT 2;SET k v;PING");
    site.bytes(b"\r\n");
    length += 2;
    assert_eq!((site.offset(), site.heard().len()), (500, 0));
    site.has(0, "n", "1");
    assert_eq!(site.info().offset_received, 500 + length);
    length += site.send("EXEC");
    let end = 500 + length;
    assert_eq!(site.offset(), end);
    let offsets = |text: &str| format!("{end}:{text}");
    assert_eq!(
        site.heard(),
        [offsets("edit n \"2\""), offsets("edit n \"3\""), offsets("set 2/k \"v\"")]
    );
    site.has(0, "n", "3");
    site.has(2, "k", "v");
    // The database that was selected within stays selected.
    site.send("SET l w");
    site.has(2, "l", "w");
    let info = site.info();
    assert_eq!((info.unknown_commands, info.lag_bytes), (0, 0));
}

#[test]
fn a_veto_within_a_transaction_removes_one_effect() {
    let mut site = Site::deaf_to(&[], &["set b"]).in_sync(&[]);
    site.send("MULTI;SET a 1;SET b 2;INCR b;SET c 3;EXEC");
    assert_eq!(site.heard().len(), 4);
    site.has(0, "a", "1");
    assert_eq!(site.get(0, "b"), Answer::Withheld);
    site.has(0, "c", "3");
    let info = site.info();
    assert_eq!((info.callbacks, info.skipped, info.ghosts), (4, 1, 1));
}

#[test]
fn a_cut_transaction_calls_nobody_and_comes_again_from_before_it() {
    let mut site = Site::new().in_sync(&[("n", "1")]);
    let first = site.send("SELECT 4;SET k v");
    site.heard();
    site.send("MULTI;INCR n;SET k w");
    site.bytes(&stream("EXEC")[..9]);
    site.lose();
    assert_eq!(site.resume(), Some(Some((ID, 500 + first))));
    assert_eq!(site.heard(), [""; 0]);
    site.has(4, "k", "v");
    site.apply.take(Feed::Continue { replid: None });
    let again = site.send("MULTI;INCR n;SET k w;EXEC");
    assert_eq!(site.offset(), 500 + first + again);
    // In the database that was selected before the link was lost.
    site.has(4, "n", "1");
    site.has(4, "k", "w");
    site.has(0, "n", "1");
}

#[test]
fn half_a_command_is_dropped_with_the_link() {
    let mut site = Site::new().in_sync(&[("n", "1")]);
    let incr = stream("INCR n");
    for end in 0..incr.len() {
        site.bytes(&incr[..end]);
        site.lose();
        assert_eq!(site.resume(), Some(Some((ID, 500))));
        site.apply.take(Feed::Continue { replid: None });
        assert_eq!((site.offset(), site.info().lag_bytes), (500, 0));
    }
    site.bytes(&incr);
    site.has(0, "n", "2");
}

#[test]
fn the_resume_point_outlasts_connections_that_are_never_made() {
    let mut site = Site::new().in_sync(&[("k", "v")]);
    for _ in 0..3 {
        site.lose();
        assert_eq!(site.resume(), Some(Some((ID, 500))));
        assert_eq!(site.info().state, State::Reconnecting);
        site.has(0, "k", "v");
        site.apply.take(Feed::Status(LinkState::Connecting));
        site.apply.take(Feed::Status(LinkState::Handshaking));
    }
    site.apply.take(Feed::Continue { replid: None });
    assert_eq!(site.info().state, State::Following);
}

#[test]
fn a_new_name_of_the_history_holds_from_then_on() {
    let mut site = Site::new().in_sync(&[]);
    site.lose();
    site.resume();
    site.apply.take(Feed::Continue { replid: Some(OTHER_ID) });
    assert_eq!(site.info().replid, Some(OTHER_ID));
    assert_eq!(site.replica.lookups().reader().stamp().replid, OTHER_ID);
    let length = site.send("SET k v");
    site.lose();
    assert_eq!(site.resume(), Some(Some((OTHER_ID, 500 + length))));
}

#[test]
fn a_load_that_breaks_off_leads_to_another_one_while_the_old_data_serves() {
    let mut site = Site::new().in_sync(&[("k", "old")]);
    let bytes = snapshot(&[("k", "new")]);
    site.begin_sync(bytes.len());
    assert_eq!(site.info().state, State::Loading);
    site.bytes(&bytes[..bytes.len() - 1]);
    site.has(0, "k", "old");
    assert_eq!(site.apply.shared.control.asked().applied, -1);
    site.lose();
    assert_eq!(site.resume(), Some(None));
    site.lose();
    assert_eq!(site.resume(), Some(None));
    assert_eq!(site.heard(), [""; 0]);
    site.has(0, "k", "old");
    assert!(site.moments().contains(&Moment::LoadAborted));
    site.full_sync(&[("k", "new")]);
    assert_eq!(site.heard(), ["500:set k \"new\" (resync)"]);
    site.has(0, "k", "new");
}

#[test]
fn a_bad_snapshot_is_told_and_another_one_asked_for() {
    let mut site = Site::new().in_sync(&[("k", "old")]);
    let bytes = snapshot(&[("k", "1"), ("k", "2")]);
    site.begin_sync(bytes.len());
    site.bytes(&bytes);
    let asked = site.apply.shared.control.asked();
    assert_eq!(asked.restart.unwrap().kind(), Kind::Protocol);
    assert_eq!(site.moments(), [Moment::SyncBegun, Moment::LoadAborted]);
    let info = site.info();
    assert!(info.ready && info.will_retry);
    assert_eq!(info.last_error.unwrap().kind(), Kind::Protocol);
    // What still comes of it is of no use.
    site.send("SET k x");
    site.has(0, "k", "old");
    site.lose();
    assert_eq!(site.resume(), Some(None));
}

#[test]
fn nothing_is_answered_before_the_first_load_is_complete() {
    let mut site = Site::new();
    let bytes = snapshot(&[("k", "v")]);
    site.begin_sync(bytes.len());
    for part in bytes.chunks(5) {
        assert_eq!(site.get(0, "k"), Answer::NotReady);
        assert_eq!(site.get(0, "none"), Answer::NotReady);
        assert!(!site.info().ready);
        site.bytes(part);
    }
    site.has(0, "k", "v");
    assert_eq!(site.get(0, "none"), Answer::NotFound);
    assert_eq!(site.moments(), [Moment::SyncBegun, Moment::Ready]);
    assert_eq!(site.heard(), ["500:set k \"v\""]);
    let info = site.info();
    assert_eq!((info.loaded_keys, info.loaded_bytes), (1, bytes.len() as u64));
}

#[test]
fn what_comes_with_the_snapshots_last_bytes_is_the_stream() {
    let mut site = Site::new();
    let bytes = snapshot(&[("n", "1")]);
    site.begin_sync(bytes.len());
    let incr = stream("INCR n;INCR n");
    site.bytes(&[bytes, incr.clone()].concat());
    site.has(0, "n", "3");
    assert_eq!(site.offset(), 500 + incr.len() as i64);
}

#[test]
fn a_primary_without_offsets_is_followed_but_not_resumed() {
    let mut site = Site::new();
    let bytes = snapshot(&[("n", "1")]);
    let transfer = Transfer::Length(bytes.len() as u64);
    site.apply.take(Feed::FullSync { replid: None, offset: -1, transfer, at_ms: 0 });
    site.bytes(&bytes);
    site.bytes(b"select 0\r\n");
    site.send("INCR n");
    site.has(0, "n", "2");
    assert_eq!(site.offset(), -1);
    assert_eq!(site.heard()[1], "-1:edit n \"2\"");
    site.lose();
    assert_eq!(site.resume(), Some(None));
}

#[test]
fn an_unknown_command_is_never_silent() {
    for (policy, follows) in [("continue", true), ("resync", false), ("stop", false)] {
        let mut site = Site::with(&[("on-unknown", policy)]).in_sync(&[("k", "v")]);
        let end = 500 + site.send("MULTI;SET a 1;VADD s f v;SET b 2;EXEC");
        let heard = site.heard();
        assert!(heard.contains(&format!("{end}:unknown")));
        // Of a unit that is dropped nothing else is heard.
        assert_eq!(heard.len(), if follows { 3 } else { 1 }, "{heard:?}");
        let info = site.info();
        assert_eq!((info.unknown_commands, info.failed_commands), (1, 0));
        // Where it is not passed over, the table is still what the primary had at the offset.
        assert_eq!((info.diverged, info.offset == end), (follows, follows), "{policy}");
        assert_eq!(info.last_error.unwrap().kind(), Kind::Unsupported);
        assert_eq!(site.moments().contains(&Moment::Diverged), follows);
        for key in ["a", "b"] {
            assert_eq!(site.get(0, key) == Answer::NotFound, !follows, "{policy}");
        }
        let asked = site.apply.shared.control.asked();
        assert_eq!(asked.restart.is_some(), policy == "resync");
        assert_eq!(asked.park, policy == "stop");
        assert_eq!(site.info().state == State::Failed, policy == "stop");
        site.send("SET c 3");
        assert_eq!(site.get(0, "c") == Answer::Found("3".to_owned()), follows, "{policy}");
        if policy == "stop" {
            continue;
        }
        site.lose();
        assert_eq!(site.resume().unwrap().is_some(), follows, "{policy}");
        // A full sync heals it.
        site.full_sync(&[("k", "v")]);
        assert!(!site.info().diverged);
    }
}

#[test]
fn a_command_that_fails_means_that_the_table_has_diverged() {
    for (policy, follows) in [("continue", true), ("resync", false), ("stop", false)] {
        let mut site = Site::with(&[("on-failure", policy)]).in_sync(&[("k", "v")]);
        let end = 500 + site.send("MULTI;SET a 1;INCR k;SET b 2;EXEC");
        let info = site.info();
        assert_eq!((info.unknown_commands, info.failed_commands), (0, 1));
        assert!(info.diverged, "{policy}");
        assert_eq!(info.offset == end, follows);
        let error = info.last_error.unwrap();
        assert!(error.text().contains("INCR"), "{error}");
        // Half a unit is not shown.
        for key in ["a", "b"] {
            assert_eq!(site.get(0, key) == Answer::NotFound, !follows, "{policy}");
        }
        let asked = site.apply.shared.control.asked();
        assert_eq!(asked.restart.is_some(), policy == "resync");
        assert_eq!(asked.park, policy == "stop");
        site.send("SET c 3;INCR k");
        assert_eq!(site.get(0, "c") == Answer::Found("3".to_owned()), follows, "{policy}");
        let told = site.moments().iter().filter(|moment| **moment == Moment::Diverged).count();
        assert_eq!(told, usize::from(follows), "{policy}: once where it goes on");
    }
    // The default is a full sync.
    let mut site = Site::new().in_sync(&[]);
    site.send("RENAME none k");
    assert!(site.apply.shared.control.asked().restart.is_some());
}

#[test]
fn a_database_that_can_not_be_selected_is_not_passed_over() {
    let mut site = Site::with(&[("on-failure", "continue")]).in_sync(&[]);
    site.send("MULTI;SET a 1;SELECT x;SET b 2;EXEC;SET c 3");
    for key in ["a", "b", "c"] {
        assert_eq!(site.get(0, key), Answer::NotFound);
    }
    assert_eq!(site.info().offset, 500);
    assert!(site.apply.shared.control.asked().restart.is_some());
    assert_eq!(site.heard().len(), 1);
}

#[test]
fn what_is_no_command_leads_to_a_full_sync() {
    for bytes in [&b"*1\r\n$x\r\n"[..], b"*2\r\n:1\r\n"] {
        let mut site = Site::new().in_sync(&[("k", "v")]);
        let good = site.send("SET k w");
        site.bytes(bytes);
        let asked = site.apply.shared.control.asked();
        assert_eq!(asked.restart.unwrap().kind(), Kind::Protocol);
        assert_eq!((asked.applied, site.info().offset), (500 + good, 500 + good));
        assert_eq!(site.get(0, "a"), Answer::NotFound);
        site.has(0, "k", "w");
        site.lose();
        assert_eq!(site.resume(), Some(None));
    }
}

#[test]
fn a_value_of_a_type_that_is_not_supported_is_withheld_and_counted_as_unknown() {
    // A hash template without fields, as DUMP gives it, without a checksum.
    let payload = b"\x1f\x01\x00\x0f\x00\x00\x00\x00\x00\x00\x00\x00\x00";
    for (policy, restarts) in [("continue", false), ("resync", true)] {
        let mut site = Site::with(&[("on-unknown", policy)]).in_sync(&[("k", "v")]);
        let mut bytes = Vec::new();
        write_command(&mut bytes, &[b"RESTORE", b"k", b"0", payload, b"REPLACE"]);
        site.bytes(&bytes);
        let wanted = if restarts { Answer::Found("v".to_owned()) } else { Answer::Withheld };
        assert_eq!(site.get(0, "k"), wanted);
        let info = site.info();
        assert_eq!((info.unknown_commands, info.failed_commands, info.diverged), (1, 0, false));
        assert_eq!(site.apply.shared.control.asked().restart.is_some(), restarts);
    }
}

#[test]
fn data_beyond_max_memory_ends_as_a_state_and_stays_readable() {
    let mut site = Site::with(&[("max-memory", "4kb")]).in_sync(&[("k", "v")]);
    site.send(&format!("SET big {}", "x".repeat(5000)));
    let info = site.info();
    assert_eq!(info.state, State::Failed);
    assert_eq!(info.last_error.unwrap().kind(), Kind::NoMemory);
    assert!(!info.will_retry && info.ready);
    site.has(0, "k", "v");
    assert!(site.apply.shared.control.asked().park);

    let many: Vec<String> = (0..300).map(|n| format!("k{n}")).collect();
    let many: Vec<(&str, &str)> = many.iter().map(|key| (key.as_str(), "v")).collect();
    let mut site = Site::with(&[("max-memory", "4kb")]).in_sync(&[("k", "v")]);
    site.full_sync(&many);
    assert_eq!(site.info().state, State::Failed);
    assert_eq!(site.info().last_error.unwrap().kind(), Kind::NoMemory);
    assert_eq!(site.heard(), [""; 0]);
    site.has(0, "k", "v");
}

#[test]
fn a_link_that_is_lost_after_all_was_given_up_is_not_made_anew() {
    let mut site = Site::with(&[("max-memory", "4kb")]).in_sync(&[("k", "v")]);
    site.send(&format!("SET big {}", "x".repeat(5000)));
    site.lose();
    assert_eq!(site.info().state, State::Failed);
    assert!(!site.info().will_retry);
    assert_eq!(site.moments(), [Moment::Failed]);
    assert_eq!(site.resume(), None);
    // Another configuration begins anew.
    site.apply.take(Feed::Status(LinkState::Connecting));
    site.lose();
    assert_eq!(site.info().state, State::Reconnecting);
    assert_eq!(site.resume(), Some(None));
}

#[test]
fn what_is_given_up_under_an_older_configuration_is_tried_under_the_newer() {
    let mut site = Site::with(&[("max-memory", "4kb")]).in_sync(&[("k", "v")]);
    let config = crate::config::Config::from_url("redis://127.0.0.1").unwrap();
    site.apply.shared.control.set_config(config);
    site.send(&format!("SET big {}", "x".repeat(5000)));
    let info = site.info();
    assert_eq!(info.last_error.unwrap().kind(), Kind::NoMemory);
    assert!(info.state == State::Reconnecting && info.will_retry, "nothing is followed");
    assert_eq!(site.moments(), []);
}

#[test]
fn what_comes_before_it_is_followed_is_no_lag() {
    let mut site = Site::new().in_sync(&[("k", "v")]);
    let lag = |site: &Site| (site.info().offset_received, site.info().lag_bytes);
    site.apply.shared.control.came(40);
    assert_eq!(lag(&site), (540, 40));
    site.apply.shared.control.consumed(40);
    site.lose();
    // It may be a snapshot: whether it is, the apply task is not told yet.
    site.apply.shared.control.came(40);
    assert_eq!(lag(&site), (500, 0));
}

#[test]
fn data_is_as_old_as_the_last_bytes_that_completed_a_unit() {
    let mut site = Site::with(&[("max-staleness", "20000")]);
    assert_eq!(site.info().data_age_ms, -1);
    let snapshot = snapshot(&[("k", "v")]);
    site.begin_sync_at(snapshot.len(), -1500);
    site.bytes_at(&snapshot[..20], -10);
    assert_eq!(site.info().data_age_ms, -1);
    site.bytes_at(&snapshot[20..], -10);
    assert_eq!(site.info().data_age_ms, 1500, "as of when it was announced, not of when it came");
    let mut units = stream("MULTI;SET k w;EXEC");
    let half = units.len() / 2;
    site.bytes_at(PING, -900);
    assert_eq!(site.info().data_age_ms, 900);
    site.bytes_at(&units[..half], -800);
    assert_eq!(site.info().data_age_ms, 900, "half a transaction shows nothing new");
    units.extend_from_slice(&PING[..5]);
    site.bytes_at(&units[half..], -700);
    assert_eq!(site.info().data_age_ms, 700);
    site.has(0, "k", "w");
    site.lose();
    assert_eq!(site.info().data_age_ms, 700);
    site.apply.take(Feed::Continue { replid: None });
    assert_eq!(site.info().data_age_ms, 700, "whether it is still so, nobody has said");
    site.bytes_at(PING, -20_001);
    assert_eq!(site.get(0, "k"), Answer::Stale);
    site.replica.set_option("max-staleness", "20001").unwrap();
    site.has(0, "k", "w");
}

#[test]
fn a_resync_in_place_says_that_the_data_is_mixed_until_one_is_complete() {
    let mut site = Site::with(&[("resync", "in-place")]).in_sync(&[("a", "1"), ("b", "1")]);
    site.replica.engine.lock().life = crate::replica::Life::Running;
    assert!(!site.info().mixed, "a first load is seen by nobody");
    let snapshot = snapshot(&[("a", "2"), ("c", "2"), ("d", "2")]);
    site.begin_sync(snapshot.len());
    site.bytes(&snapshot[..snapshot.len() - 12]);
    assert!(site.info().mixed && site.info().ready);
    site.has(0, "a", "2");
    site.has(0, "b", "1");
    let Answer::Found(digest) = site.replica.digest() else { panic!("closed") };
    assert!(!digest.complete);
    assert_eq!((site.info().offset, site.info().offset_received), (-1, -1));
    site.lose();
    assert_eq!(site.info().offset, -1);
    let waited = site.replica.wait_offset(None, 500, 0);
    assert_eq!(waited.unwrap_err().kind(), Kind::Timeout, "what was there may be gone");
    assert!(site.info().mixed, "broken off, it stays so");
    assert_eq!(site.resume(), Some(None), "only a full sync helps");
    site.begin_sync(snapshot.len());
    site.bytes(&snapshot);
    assert!(!site.info().mixed);
    assert_eq!(site.replica.wait_offset(None, 500, 0), Ok(WaitOutcome::Reached));
    assert_eq!(site.get(0, "b"), Answer::NotFound);
    site.has(0, "d", "2");
}

#[test]
fn what_was_heard_of_a_unit_that_is_dropped_is_told_again_as_it_is() {
    for how in ["aside", "in-place"] {
        let options = [("resync", how)];
        let mut site = Site::with(&options).in_sync(&[("a", "1"), ("b", "1"), ("c", "1")]);
        site.send("MULTI;SET a 2;DEL b;SET new 2;LPUSH c x;EXEC");
        let heard = site.heard().len();
        assert_eq!((heard, site.offset()), (3, 500));
        site.has(0, "a", "1");
        site.has(0, "b", "1");
        assert_eq!(site.get(0, "new"), Answer::NotFound);
        // Meanwhile all is as it was.
        site.full_sync(&[("a", "1"), ("b", "1"), ("c", "1")]);
        let mut heard = site.heard();
        heard.sort();
        let right = ["delete new (resync) gone", "set a \"1\" (resync)", "set b \"1\" (resync)"];
        assert_eq!(heard, right.map(|told| format!("500:{told}")), "{how}");
        site.full_sync(&[("a", "1"), ("b", "1"), ("c", "1")]);
        assert_eq!(site.heard(), [""; 0], "once");
    }
}

#[test]
fn what_was_kept_and_then_let_go_in_vain_is_told_again() {
    for how in ["aside", "in-place"] {
        let mut site = Site::deaf_to(&[("resync", how)], &["delete b"]);
        site = site.in_sync(&[("a", "1"), ("b", "1")]);
        site.send("DEL b");
        site.has(0, "b", "1");
        // Another callback lets it go, but with a unit that is dropped.
        site.ears = Arc::new(Ears { heard: Mutex::default(), vetoes: Vec::new() });
        site.replica.set_gate(Some(site.ears.clone())).unwrap();
        site.send("MULTI;DEL b;LPUSH a x;EXEC");
        assert_eq!(site.heard().len(), 1);
        site.has(0, "b", "1");
        site.full_sync(&[("a", "1")]);
        let heard = site.heard();
        assert_eq!(heard.len(), 1, "{heard:?}");
        assert!(heard[0].contains("delete b (resync)"), "{heard:?}");
        assert_eq!(site.get(0, "b"), Answer::NotFound, "{how}");
    }
}

#[test]
fn a_refusal_ends_as_a_state() {
    let mut site = Site::new();
    let error = Error::new(Kind::Auth, "wrong password");
    site.apply.take(Feed::Refused { error: error.clone() });
    let info = site.info();
    assert_eq!((info.state, info.last_error, info.will_retry), (State::Failed, Some(error), false));
    assert_eq!(site.moments(), [Moment::Failed]);
}

#[test]
fn a_program_that_only_listens_hears_each_load_whole_and_then_the_stream() {
    let mut site = Site::with(&[("store", "none")]);
    for _ in 0..2 {
        site.full_sync(&[("k", "v")]);
        assert_eq!(site.heard(), ["500:set k \"v\""]);
        assert_eq!(site.moments(), [Moment::SyncBegun, Moment::Ready]);
    }
    let length = site.send("INCR n");
    assert_eq!(site.heard(), [format!("{}:edit n ?", 500 + length)]);
    assert_eq!(site.get(0, "k"), Answer::NotFound);
    assert_eq!(site.info().keys, 0);
}

#[test]
fn a_load_that_nobody_stores_is_of_no_offset_before_it_is_complete() {
    let mut site = Site::with(&[("store", "none")]).in_sync(&[("k", "v")]);
    let as_of = |site: &Site| site.replica.lookups().get_many(&[(0, b"k")], |_, _| {});
    let length = site.send("SET k w");
    assert_eq!(as_of(&site), Answer::Found(500 + length));
    let snapshot = snapshot(&[("k", "v")]);
    site.begin_sync(snapshot.len());
    site.bytes(&snapshot[..snapshot.len() - 1]);
    assert_eq!(as_of(&site), Answer::Found(500 + length));
    site.bytes(&snapshot[snapshot.len() - 1..]);
    assert_eq!(as_of(&site), Answer::Found(500));
}

#[test]
fn what_nobody_was_asked_is_not_counted_later() {
    let mut site = Site::new();
    let snapshot = snapshot(&[("a", "1"), ("b", "2")]);
    site.begin_sync(snapshot.len());
    site.replica.set_gate(None).unwrap();
    site.bytes(&snapshot[..snapshot.len() - 1]);
    site.replica.set_gate(Some(site.ears.clone())).unwrap();
    site.bytes(&snapshot[snapshot.len() - 1..]);
    assert_eq!((site.heard(), site.info().callbacks), (Vec::new(), 0));
}

#[test]
fn versions_grow_over_units_loads_and_pings() {
    let mut site = Site::new().in_sync(&[("k", "v")]);
    let version = |site: &Site| match site.replica.lookups().get(0, b"k", |_, version| version) {
        Answer::Found(version) => version,
        other => panic!("{other:?}"),
    };
    let mut last = version(&site);
    assert!(last > 0);
    for step in ["SET k w", "SET k w", "APPEND k x", "MULTI;SET k 1;PEXPIRE k 50;INCR k;EXEC"] {
        site.send("PING;SET other v");
        assert_eq!(version(&site), last, "before {step}");
        site.send(step);
        assert!(version(&site) > last, "{step}");
        last = version(&site);
    }
    site.full_sync(&[("k", "2")]);
    assert!(version(&site) > last, "it lost its deadline");
    last = version(&site);
    site.full_sync(&[("k", "2")]);
    assert_eq!(version(&site), last);
    site.full_sync(&[("k", "3")]);
    assert!(version(&site) > last);
}

#[test]
fn databases_that_change_places_bring_other_versions() {
    let mut site = Site::new().in_sync(&[]);
    site.send("MULTI;SET k a;SELECT 1;SET k b;EXEC");
    let seen = |site: &Site| match site.replica.lookups().get(0, b"k", |v, at| (v.to_vec(), at)) {
        Answer::Found(seen) => seen,
        other => panic!("{other:?}"),
    };
    let before = seen(&site);
    site.send("SWAPDB 0 1");
    let after = seen(&site);
    assert_eq!((&before.0[..], &after.0[..]), (&b"a"[..], &b"b"[..]));
    assert_ne!(before.1, after.1, "who knows the one would take the other for it");
}

#[test]
fn a_wait_for_an_offset_knows_the_history_and_what_has_no_offsets() {
    let mut site = Site::new();
    site.replica.engine.lock().life = crate::replica::Life::Running;
    let wait = |site: &Site, id: Option<&str>, at| {
        site.replica.wait_offset(id, at, 0).map_err(|error| error.kind())
    };
    let (ours, theirs) = ("1".repeat(40), "2".repeat(40));
    assert_eq!(wait(&site, None, 0), Err(Kind::Timeout), "nothing is loaded yet");
    site.full_sync(&[("k", "v")]);
    assert_eq!(wait(&site, None, 500), Ok(WaitOutcome::Reached));
    assert_eq!(wait(&site, Some(&ours), 501), Err(Kind::Timeout));
    assert_eq!(wait(&site, Some(&theirs), 500), Ok(WaitOutcome::OtherHistory));
    let length = site.send("SET k w");
    assert_eq!(wait(&site, Some(&ours), 500 + length), Ok(WaitOutcome::Reached));
    // A primary that was promoted: the same history goes on under another name.
    site.lose();
    site.apply.take(Feed::Continue { replid: Some([b'a'; 40]) });
    assert_eq!(wait(&site, Some(&"A".repeat(40)), 500), Ok(WaitOutcome::Reached));
    assert_eq!(wait(&site, Some(&ours), 500), Ok(WaitOutcome::OtherHistory));
    // Servers before 2.8.
    let bytes = snapshot(&[]);
    let transfer = Transfer::Length(bytes.len() as u64);
    site.apply.take(Feed::FullSync { replid: None, offset: -1, transfer, at_ms: 0 });
    site.bytes(&bytes);
    assert_eq!(wait(&site, None, 0), Ok(WaitOutcome::Unsupported));
}

#[test]
fn after_a_bug_of_ours_it_does_not_say_that_lookups_answer() {
    let site = Site::new().in_sync(&[("k", "v")]);
    assert!(site.info().ready);
    site.replica.shared.fail(Error::new(Kind::Panic, "a bug"));
    assert_eq!(site.get(0, "k"), Answer::Stopped);
    assert!(!site.info().ready);
}

#[test]
fn an_engine_without_threads_is_not_waited_for() {
    let replica = Replica::with_env("redis://127.0.0.1:6379", Arc::new(Still)).unwrap();
    let error = replica.start().unwrap_err();
    assert_eq!(error.kind(), Kind::Io);
    assert_eq!(replica.wait_ready(-1), Err(error.clone()));
    assert_eq!(replica.wait_offset(None, 1, -1), Err(error.clone()));
    let info = replica.info();
    assert_eq!((info.state, info.last_error, info.will_retry), (State::Failed, Some(error), false));
    assert_eq!(replica.stop(-1), Ok(()));
}

#[test]
fn a_load_that_is_completed_after_the_stop_opens_nothing() {
    let mut site = Site::new();
    let bytes = snapshot(&[("k", "v")]);
    site.begin_sync(bytes.len());
    site.apply.shared.view.set_readable(crate::replica::Readable::Stopped);
    site.apply.shared.control.stop();
    site.bytes(&bytes);
    assert_eq!(site.get(0, "k"), Answer::Stopped);
}

impl Site {
    /// There is no callback until a command comes that nobody knows.
    fn is_heard_once_diverged(&self) {
        self.replica.set_gate(None).unwrap();
        let (shared, ears) = (self.replica.shared.clone(), self.ears.clone());
        let sets = move |info: &Info| {
            if info.moment == Moment::Diverged {
                shared.gate.replace(Some(ears.clone()));
            }
        };
        self.replica.set_state_listener(Some(Arc::new(sets))).unwrap();
    }

    /// As on the link's thread.
    fn take_unasked(&mut self, commands: &str, at_ms: i64) {
        let bytes = stream(commands);
        self.apply.shared.control.came(bytes.len());
        self.apply.take_unasked(Feed::Bytes { bytes, at_ms });
    }
}

#[test]
fn what_a_new_callback_has_to_be_asked_about_is_left() {
    let mut site = Site::new().in_sync(&[]);
    site.is_heard_once_diverged();
    site.take_unasked("SET a 1", -100);
    site.has(0, "a", "1");
    assert!(site.apply.is_at_ease() && !site.apply.go_on());
    site.take_unasked("SET a 2;NONSENSE x;SET b 1;SET c 1", -10);
    site.has(0, "a", "2");
    assert_eq!(site.get(0, "b"), Answer::NotFound);
    assert_eq!(site.info().data_age_ms, 100, "it is not all there");
    assert!(!site.apply.is_at_ease() && site.heard().is_empty());
    assert!(site.apply.go_on() && !site.apply.go_on());
    site.has(0, "c", "1");
    assert_eq!(site.heard().len(), 2);
    assert_eq!(site.info().data_age_ms, 10);
    site.replica.set_state_listener(None).unwrap();
}

#[test]
fn where_nothing_is_left_to_be_asked_about_the_data_is_as_of_when_it_came() {
    let mut site = Site::new().in_sync(&[]);
    site.is_heard_once_diverged();
    site.take_unasked("SET a 1;NONSENSE x", -10);
    site.has(0, "a", "1");
    assert!(site.apply.go_on() && site.heard().is_empty());
    assert_eq!(site.info().data_age_ms, 10);
    site.replica.set_state_listener(None).unwrap();
}
