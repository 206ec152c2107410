//! What must hold for any bytes whatever: the bodies of the fuzz targets, which are also run over
//! their corpora as plain tests.
//!
//! Each ends, panics nowhere below, and takes memory in proportion to its input.

use super::meter::peak_of;
use rets::change::{Change, Gate, Phase, Verdict};
use rets::command::{self, Action, Row, Scope, Server, Setting, Unit, known_fingerprint};
use rets::error::{Error, Result};
use rets::rdb::{Checksum, Decoder, Item, decode_payload};
use rets::resp::{Reader, write_command};
use rets::table::{Batch, Counts, Db, Entry, Stamp, Table};
use rets::value::{
    DatasetDigest, DigestRules, ScoreText, Value, fingerprint, has_digest, key_digest,
};
use std::cell::Cell;
use std::rc::Rc;

/// What an input may take whatever its size.
const PEAK_BASE: usize = 16 << 20;
/// What each of its bytes may take.
const PEAK_PER_BYTE: usize = 1000;

/// Runs a body and measures it.
fn bounded(input: &[u8], body: impl FnOnce()) {
    let peak = peak_of(body);
    let limit = PEAK_BASE + PEAK_PER_BYTE * input.len();
    assert!(peak <= limit, "{} bytes of input took {peak} bytes of memory", input.len());
}

/// Pieces of irregular lengths: the same bytes are cut in the same way each time.
fn pieces(bytes: &[u8], seed: u8) -> impl Iterator<Item = &[u8]> {
    let (mut rest, mut state) = (bytes, u32::from(seed) * 2 + 1);
    std::iter::from_fn(move || {
        state = state.wrapping_mul(0x9e37_79b1).rotate_left(7);
        // Often only a byte or two, sometimes many.
        let len = match state % 4 {
            0 => 1,
            1 => 2,
            2 => 3 + state as usize / 4 % 30,
            _ => 1 + state as usize / 4 % 1000,
        };
        let (piece, others) = rest.split_at(len.min(rest.len()));
        rest = others;
        (!piece.is_empty()).then_some(piece)
    })
}

// ---- snapshots

/// All that a decoder makes of bytes.
#[derive(Debug, PartialEq)]
struct Decoded {
    items: Vec<Item>,
    error: Option<Error>,
    offset: u64,
    rest: Vec<u8>,
}

fn decoded<'a>(mut decoder: Decoder, parts: impl Iterator<Item = &'a [u8]>) -> Decoded {
    let (mut items, mut error) = (Vec::new(), None);
    let mut fed = 0;
    for part in parts {
        decoder.feed(part);
        fed += part.len() as u64;
        let outcome = loop {
            match decoder.next() {
                Ok(Some(item)) => items.push(item),
                Ok(None) => break None,
                Err(error) => break Some(error),
            }
            assert!(decoder.offset() <= fed);
        };
        if outcome.is_some() {
            error = outcome;
            assert_eq!(decoder.next().err(), error, "an error is for ever");
            break;
        }
    }
    let rest = if error.is_none() && is_over(&items) { decoder.take_rest() } else { Vec::new() };
    Decoded { items, error, offset: decoder.offset(), rest }
}

fn is_over(items: &[Item]) -> bool {
    matches!(items.last(), Some(Item::End { .. }))
}

/// Everything that may be asked of a value.
fn look_at(key: &[u8], value: &Value, expires_at_ms: Option<i64>, rules: &DigestRules) -> [u8; 20] {
    // Each place of an array counts, also those that are not taken.
    let is_long = matches!(value, Value::Array(array) if array.span() > 10_000);
    let sum = fingerprint(value, expires_at_ms);
    assert!(sum == fingerprint(&value.clone(), expires_at_ms));
    assert!(value.memory() < isize::MAX as usize);
    if is_long || !has_digest(value) {
        return [0; 20];
    }
    key_digest(key, value, expires_at_ms.is_some(), rules)
}

fn rules(bits: u8) -> DigestRules {
    DigestRules {
        scores: if bits & 1 == 0 { ScoreText::Short } else { ScoreText::G17 },
        hash_field_mark: bits & 2 != 0,
        skip_expired_fields_at_ms: (bits & 4 != 0).then_some(NOW_MS),
    }
}

/// A snapshot, or a payload of DUMP where the first byte is odd. The second says how it is cut.
pub fn rdb(input: &[u8]) {
    let [mode, seed, bytes @ ..] = input else { return };
    bounded(input, || if mode & 1 == 0 { snapshot(bytes, *seed) } else { payload(bytes, *seed) });
}

fn snapshot(bytes: &[u8], seed: u8) {
    let whole = decoded(Decoder::new(), std::iter::once(bytes));
    let cut = decoded(Decoder::new(), pieces(bytes, seed));
    // After an error the bytes that were not fed are not missed.
    assert_eq!(whole.items, cut.items);
    assert_eq!((whole.error.as_ref(), whole.offset), (cut.error.as_ref(), cut.offset));
    assert_eq!(whole.rest, cut.rest);
    for item in &whole.items {
        if let Item::Entry { key, value, expires_at_ms, .. } = item {
            assert!(
                matches!(value, Value::String(_) | Value::Stream(_) | Value::Module(_))
                    || !value.is_empty()
            );
            look_at(key, value, *expires_at_ms, &rules(seed));
        }
    }
    let filter = |_: u32, key: &[u8]| key.len() % 2 == 1;
    let part = decoded(Decoder::with_filter(Box::new(filter)), pieces(bytes, seed ^ 0xff));
    if whole.error.is_none() && is_over(&whole.items) {
        assert_eq!((&part.error, part.offset), (&None, whole.offset));
        assert_eq!((part.items.last(), part.rest), (whole.items.last(), whole.rest));
    }
    let entries = |items: &[Item]| -> Vec<Item> {
        let wanted = |item: &&Item| matches!(item, Item::Entry { key, .. } if key.len() % 2 == 1);
        items.iter().filter(wanted).cloned().collect()
    };
    // What is passed over is not looked into, so that more may be read than without a filter.
    assert!(entries(&part.items).starts_with(&entries(&whole.items)));
}

fn payload(bytes: &[u8], seed: u8) {
    let Ok(value) = unsummed(bytes) else { return };
    look_at(b"key", &value, None, &rules(seed));
    // The same value in a snapshot is the same value.
    let Some((body, version)) = bytes.split_at_checked(bytes.len().saturating_sub(10)) else {
        return;
    };
    let version = u16::from_le_bytes([version[0], version[1]]);
    let [kind, data @ ..] = body else { return };
    let is_valkey = version >= 80;
    if !(1..1000).contains(&version) || *kind == 243 {
        return;
    }
    let header =
        if is_valkey { format!("VALKEY{version:03}") } else { format!("REDIS{version:04}") };
    let all = [header.as_bytes(), &[*kind, 1, b'k'], data, &[0xff; 1], &[0; 8]].concat();
    let loaded = decoded(Decoder::new(), pieces(&all, seed));
    let found = loaded.items.iter().find_map(|item| match item {
        Item::Entry { value, .. } => Some(value),
        _ => None,
    });
    assert_eq!((found, &loaded.error), (Some(&value), &None));
    let checksum = loaded.items.iter().find_map(|item| match item {
        Item::End { checksum } => Some(*checksum),
        _ => None,
    });
    assert!(checksum.is_some_and(|checksum| checksum != Checksum::Verified));
}

/// Payloads without their checksum, which no mutation would keep right.
fn unsummed(bytes: &[u8]) -> Result<Value> {
    let mut bytes = bytes.to_vec();
    if let Some(sum) = bytes.last_chunk_mut::<8>() {
        *sum = [0; 8];
    }
    decode_payload(&bytes)
}

// ---- streams

/// All that a reader makes of bytes: the commands with their lengths, the error.
#[derive(Debug, PartialEq)]
struct Commands {
    commands: Vec<(Vec<Vec<u8>>, usize)>,
    error: Option<Error>,
}

fn read<'a>(parts: impl Iterator<Item = &'a [u8]>) -> (Commands, usize) {
    let mut reader = Reader::new();
    let mut read = Commands { commands: Vec::new(), error: None };
    for part in parts {
        reader.feed(part);
        let outcome = loop {
            match reader.next() {
                Ok(Some(command)) => {
                    let args = command.args.iter().map(|arg| arg.to_vec()).collect();
                    read.commands.push((args, command.wire_len));
                }
                Ok(None) => break None,
                Err(error) => break Some(error),
            }
        };
        if outcome.is_some() {
            read.error = outcome;
            assert_eq!(reader.next().err(), read.error, "an error is for ever");
            break;
        }
    }
    (read, reader.buffered())
}

/// A piece of the replication stream. The first byte says how it is cut.
pub fn resp(input: &[u8]) {
    let [seed, bytes @ ..] = input else { return };
    bounded(input, || {
        let (whole, left) = read(std::iter::once(bytes));
        let (cut, left_of_cut) = read(pieces(bytes, *seed));
        let is_same = whole.commands == cut.commands
            && whole.error.as_ref().map(Error::kind) == cut.error.as_ref().map(Error::kind);
        assert!(is_same, "whole: {whole:?}\ncut: {cut:?}");
        let used: usize = whole.commands.iter().map(|(_, len)| len).sum();
        let in_arguments: usize =
            whole.commands.iter().flat_map(|(args, _)| args).map(|arg| arg.len()).sum();
        assert!(in_arguments <= used && used + left == bytes.len());
        if whole.error.is_none() {
            assert_eq!(left, left_of_cut);
        }
        // Written in the usual form and read again they are the same.
        let mut written = Vec::new();
        for (args, _) in &whole.commands {
            let args: Vec<&[u8]> = args.iter().map(Vec::as_slice).collect();
            write_command(&mut written, &args);
        }
        let (again, left) = read(pieces(&written, seed.wrapping_add(1)));
        assert_eq!((again.error, left), (None, 0));
        let same = again.commands.iter().map(|(args, _)| args);
        assert!(same.eq(whole.commands.iter().map(|(args, _)| args)));
    });
}

// ---- commands

const NOW_MS: i64 = 1_000_000;

/// Longer inputs are cut: what they could show, shorter ones can.
const COMMANDS_INPUT_MAX: usize = 8 << 10;
/// What `max-memory` is: few commands suffice to ask for it.
const VALUE_MAX: u64 = 16 << 10;
/// No input goes on with more data than this.
const TABLE_MAX: usize = 256 << 10;
/// Commands of one transaction.
const UNIT_MAX: usize = 8;
/// Questions to the gate that an input is good for, and each of its bytes.
const ASKED_BASE: u64 = 100_000;
const ASKED_PER_BYTE: u64 = 100;

/// Answers with one bit after the other, over and over.
struct Bits {
    veto: u64,
    asked: Rc<Cell<u32>>,
}

impl Gate for Bits {
    fn ask(&mut self, change: &Change<'_>) -> Verdict {
        assert!(change.value.is_none_or(|value| value.memory() < isize::MAX as usize));
        let bit = self.veto >> (self.asked.get() % 64) & 1;
        self.asked.set(self.asked.get() + 1);
        if bit == 1 { Verdict::Skip } else { Verdict::Keep }
    }
}

/// A table and what it hears and stores.
struct Side {
    table: Table,
    scope: Scope,
    server: Server,
    gate: Bits,
    db: Db,
    unit: u64,
    asked: u64,
}

/// How a unit ended, from the best to the worst.
#[derive(Clone, Copy, Debug, PartialEq, PartialOrd)]
enum Ending {
    Applied,
    /// A command changed nothing.
    Idle,
    /// A command is not supported: what it writes is withheld.
    Unsupported,
    /// A command does not fit to the data.
    Failed,
    /// Nothing was applied: there was no memory.
    TooLarge,
}

impl Side {
    fn new(veto: u64, scope: Scope, server: Server) -> Self {
        let gate = Bits { veto, asked: Rc::default() };
        Self { table: Table::new(None), scope, server, gate, db: 0, unit: 0, asked: 0 }
    }

    fn stamp(&self) -> Stamp {
        Stamp { unit: self.unit, offset: self.unit as i64, ..Stamp::default() }
    }

    /// Runs a unit; one that ends worse than this is as if it had not come.
    fn run(&mut self, commands: &[Vec<&[u8]>], worst: Ending) -> Ending {
        let setting = Setting {
            table: &self.table,
            scope: &self.scope,
            phase: Phase::Live,
            now_ms: NOW_MS,
            offset: 77,
            unit: self.unit + 1,
            server: self.server,
            max_memory: VALUE_MAX,
            decode_payload: unsummed,
        };
        let asked = self.gate.asked.clone();
        let mut batch = Batch::of(setting.unit);
        let mut unit = Unit::new(setting, &mut self.gate, &mut batch, self.db);
        let mut ending = Ending::Applied;
        for args in commands {
            let before = asked.get();
            let outcome = match apply(&mut unit, args) {
                Ending::Applied if asked.get() == before && is_write(args) => Ending::Idle,
                outcome => outcome,
            };
            if outcome > worst {
                return outcome;
            }
            if outcome > ending {
                ending = outcome;
            }
        }
        let (asked, db) = unit.finish();
        self.db = db;
        self.asked += asked.all;
        self.unit += 1;
        self.table.publish(batch, self.stamp());
        ending
    }

    fn counts(&self) -> Counts {
        self.table.reader().counts()
    }

    /// Looks at all that is there.
    fn walk(&self, rules: &DigestRules) {
        let mut seen = Counts::default();
        let mut digest = DatasetDigest::new();
        let mut keys: Vec<_> = self.table.entries().collect();
        keys.sort_by(|a, b| (a.0, &a.1).cmp(&(b.0, &b.1)));
        let mut last = None;
        for (db, key, entry) in &keys {
            if last.replace(*db) != Some(*db) {
                digest.database(*db);
            }
            seen.keys += usize::from(!entry.is_ghost());
            seen.ghosts += usize::from(entry.is_ghost());
            seen.partial += usize::from(entry.is_partial());
            seen.frozen += usize::from(entry.is_frozen());
            seen.expires += usize::from(!entry.is_ghost() && entry.expires_at_ms.is_some());
            let known = known_fingerprint(entry);
            let Some(value) = &entry.value else { continue };
            if entry.hold.is_none() {
                assert!(known == Some(fingerprint(value, entry.expires_at_ms)));
            }
            digest.key(look_at(key, value, entry.expires_at_ms, rules));
        }
        digest.finish();
        let counts = self.counts();
        assert_eq!(Counts { memory: counts.memory, ..seen }, counts);
        let (copy, _) = self.table.reader().snapshot();
        assert_eq!(
            copy.iter().map(|(_, entries)| entries.iter().count()).sum::<usize>(),
            keys.len()
        );
    }
}

fn is_write(args: &[&[u8]]) -> bool {
    let row = args.first().and_then(|name| command::find(name));
    matches!(row, Some(Row { action: Action::Apply(_), .. }))
}

fn apply<'a>(unit: &mut Unit<'a>, args: &'a Vec<&'a [u8]>) -> Ending {
    let row: Option<&'static Row> = args.first().and_then(|name| command::find(name));
    let outcome = match row {
        None => {
            unit.unknown(args);
            Ok(())
        }
        Some(Row { action: Action::Select, .. }) => {
            let number = args.get(1).and_then(|text| std::str::from_utf8(text).ok());
            if let Some(db) = number.and_then(|text| text.parse::<u8>().ok()) {
                unit.select(db.into());
            }
            Ok(())
        }
        Some(row) => command::apply(unit, row, args),
    };
    match outcome {
        Ok(()) => Ending::Applied,
        Err(failure) => {
            assert!(!failure.to_string().is_empty());
            if failure.is_too_large() {
                Ending::TooLarge
            } else if failure.is_unsupported() {
                Ending::Unsupported
            } else {
                Ending::Failed
            }
        }
    }
}

/// The units of a stream. After what is no command it goes on behind the next line end.
fn units(mut bytes: &[u8]) -> Vec<Vec<Vec<Vec<u8>>>> {
    let (mut units, mut open) = (Vec::new(), None::<Vec<_>>);
    loop {
        let mut reader = Reader::new();
        reader.feed(bytes);
        let mut used = 0;
        while let Ok(Some(read)) = reader.next() {
            used += read.wire_len;
            let Some(name) = read.args.first() else { continue };
            let action = command::find(name).map(|row| row.action);
            let args: Vec<_> = read.args.iter().map(|arg| arg.to_vec()).collect();
            match (action, &mut open) {
                (Some(Action::Multi), _) => open = Some(Vec::new()),
                (Some(Action::Exec), _) => units.extend(open.take()),
                (_, Some(open)) if open.len() < UNIT_MAX => open.push(args),
                (_, Some(_)) => {}
                (_, None) => units.push(vec![args]),
            }
        }
        bytes = &bytes[used..];
        match bytes.iter().position(|byte| *byte == b'\n') {
            Some(end) => bytes = &bytes[end + 1..],
            None => return units,
        }
    }
}

/// Commands, as a stream, for a table: behind 8 bytes with the answers of the gate and one with the
/// circumstances.
///
/// A second table, whose gate keeps everything, is the primary: what the first one has and holds
/// for whole must be the same.
pub fn command(input: &[u8]) {
    let input = input.get(..COMMANDS_INPUT_MAX).unwrap_or(input);
    let Some((veto, [bits, stream @ ..])) = input.split_first_chunk::<8>() else { return };
    bounded(input, || run_commands(u64::from_le_bytes(*veto), *bits, stream));
}

fn run_commands(veto: u64, bits: u8, stream: &[u8]) {
    use Ending::{Applied, Failed, TooLarge};

    let scope = Scope {
        store: bits & 1 == 0,
        exclude_keys: if bits & 2 == 0 { vec![] } else { vec![b"x*".to_vec()] },
        databases: (bits & 4 != 0).then(|| vec![0]),
        ..Scope::default()
    };
    let filtered = bits & 7 != 0;
    let server = match bits >> 3 & 3 {
        0 => Server::NEWEST,
        1 => Server::new(true, "9.0.0"),
        2 => Server::new(false, "2.8.24"),
        _ => Server::new(false, "6.2.0"),
    };
    let rules = rules(bits >> 5 & 3 | bits >> 2 & 4);
    let mut side = Side::new(veto, scope, server);
    let mut primary = Side::new(0, Scope::default(), server);
    // A command that does not fit to the primary's data, or changes nothing, is none that a primary
    // sends: it is left out, or it is applied all the same and the two are not compared any more.
    let lenient = bits & 0x80 != 0;
    let mut is_sound = true;
    for (n, unit) in units(stream).iter().enumerate() {
        let commands: Vec<Vec<&[u8]>> =
            unit.iter().map(|args| args.iter().map(Vec::as_slice).collect()).collect();
        let truth = primary.run(&commands, if lenient { Failed } else { Applied });
        if !lenient && truth > Applied && truth < TooLarge {
            continue;
        }
        let ending = side.run(&commands, Failed);
        is_sound &= truth == Applied;
        if is_sound && !filtered {
            assert!(ending < Failed, "a veto made {ending:?} of {truth:?}");
        }
        // A database that is not followed may take the place of one that is.
        is_sound &= ending < Failed;
        if ending == TooLarge || truth == TooLarge {
            break;
        }
        if primary.table.memory() > TABLE_MAX || side.table.memory() > TABLE_MAX {
            break;
        }
        if n % 16 == 0 {
            compare(&side, &primary, is_sound);
        }
    }
    compare(&side, &primary, is_sound);
    side.walk(&rules);
    primary.walk(&rules);
    let input_len = stream.len() as u64;
    assert!(side.asked <= ASKED_BASE + ASKED_PER_BYTE * input_len, "asked {}", side.asked);
    let flush: Vec<&[u8]> = vec![b"FLUSHALL"];
    primary.run(&[flush], Failed);
    assert_eq!(primary.counts(), Counts::default());
}

/// What is held for whole is what the primary has.
fn compare(side: &Side, primary: &Side, is_sound: bool) {
    if !is_sound {
        return;
    }
    for (db, key, entry) in side.table.entries() {
        if entry.hold.is_some() {
            continue;
        }
        let truth = primary.table.get(db, &key);
        if truth.as_ref().is_some_and(|truth| truth.hold.is_some()) {
            continue;
        }
        let parts = |entry: &Entry| (entry.value.clone(), entry.expires_at_ms);
        assert_eq!(
            Some(parts(&entry)),
            truth.as_ref().map(parts),
            "db {db} key \"{}\"",
            key.escape_ascii()
        );
    }
}
