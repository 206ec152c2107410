//! Loading a snapshot: bytes into the decoder, its items into the table.
//!
//! While the table has never been complete, a load goes straight into it, for nobody can look.
//! Later ones build a generation aside; when it is complete and checked, the gate hears the
//! difference to what was there, vanished keys first, and then readers move over in one step.
//! Where the options prefer less memory to that, a later one goes in place: key by key into the
//! table that is being read, and what did not come is deleted in the end.

mod aside;
mod in_place;

use super::position::Position;
use crate::change::{Gate, Phase, Reason};
use crate::command::{Asked, Scope, Setting, Unit, known_fingerprint};
use crate::config::Resync;
use crate::error::{Error, Kind, Result};
use crate::link::Transfer;
use crate::rdb::{Decoder, Item, Lent};
use crate::table::{Batch, Db, Entry, SLOT_BYTES, Stamp, Table};
use crate::text::printable;
use crate::value::{Bytes, Value, fingerprint};
use aside::Aside;
use in_place::Seen;
use std::collections::BTreeSet;

/// For so many announced keys the table makes room in advance. A primary may announce any number;
/// for more, it grows as they come.
const EXPECTED_MAX: u64 = 1 << 20;

/// After so many keys a direct load publishes and lets a new callback in.
const KEYS_PER_BATCH: usize = 256;

/// Bytes that an error may quote of a key.
const QUOTE_BYTES: usize = 64;

/// What the parts of the engine that a load needs are called here.
pub(super) struct Surroundings<'a> {
    pub(super) table: &'a mut Table,
    pub(super) scope: &'a Scope,
    pub(super) now_ms: i64,
    /// The number of the last unit; moves with each that is published.
    pub(super) unit: &'a mut u64,
    pub(super) max_memory: u64,
    /// Asked now and then while much is to be done.
    pub(super) is_stopping: &'a dyn Fn() -> bool,
    /// Told before lookups see keys of the snapshot beside those of before.
    pub(super) becomes_mixed: &'a dyn Fn(),
}

/// Keys of which the gate has heard what did not happen.
pub(super) type ToldInVain = BTreeSet<(Db, Bytes)>;

/// A load in progress.
pub(super) struct Load {
    decoder: Decoder,
    transfer: Transfer,
    position: Position,
    /// When it was announced, by [`Env::ticks_ms`](crate::env::Env::ticks_ms): the snapshot has
    /// nothing that was written later.
    pub(super) begun_at_ms: i64,
    phase: Phase,
    target: Target,
    /// Of these it is told what there is, whether that is new or not.
    pub(super) told_in_vain: ToldInVain,
    /// What is aside may go in place where there is no memory for both.
    may_move: bool,
    /// Keys that the snapshot announces.
    announced: u64,
    /// The most memory that the table and what is aside have taken together.
    peak: u64,
    received: u64,
    pub(super) keys: u64,
    /// The unit in which keys go into the table that nobody hears of.
    unheard: u64,
    pub(super) asked: Asked,
    /// From the snapshot's auxiliary fields.
    pub(super) server: Server,
    /// Set once the snapshot's end was read.
    ended: bool,
    mark: Vec<u8>,
}

/// Where items go.
enum Target {
    /// The gate hears of them, and that is all.
    Nowhere,
    /// Straight into the table, which nobody reads.
    Table,
    /// Beside the table that is being read.
    Aside(Aside),
    /// Into the table that is being read.
    InPlace(Seen),
}

/// What was taken out of the bytes at hand.
enum Drained {
    /// A batch.
    Some,
    /// All there was.
    All,
    /// What came before the announcement of so many keys.
    Announced(Db, u64),
}

/// Which server wrote a snapshot.
#[derive(Clone, Debug, Default)]
pub(super) struct Server {
    pub(super) valkey: bool,
    pub(super) version: String,
}

/// How far a load has come.
pub(super) enum Progress {
    /// More bytes are needed.
    More,
    /// Complete; these bytes already belong to the stream.
    Complete { position: Position, rest: Vec<u8> },
}

impl Load {
    /// Begins to load a snapshot taken at this position. `later`: lookups are being answered, and
    /// what the options say of that.
    pub(super) fn new(
        transfer: Transfer,
        position: Position,
        begun_at_ms: i64,
        phase: Phase,
        scope: &Scope,
        table: &Table,
        later: Option<Resync>,
    ) -> Self {
        let scope = scope.clone();
        let is_first = later.is_none() && table.entries().next().is_none();
        let target = match later {
            _ if !scope.store => Target::Nowhere,
            _ if is_first => Target::Table,
            Some(Resync::InPlace) => Target::InPlace(Seen::default()),
            _ => Target::Aside(Aside::new(table)),
        };
        Self {
            decoder: match scope.admits_all() {
                true => Decoder::new(),
                false => Decoder::with_filter(Box::new(move |db, key| scope.admits(db, key))),
            },
            transfer,
            position,
            begun_at_ms,
            phase,
            target,
            told_in_vain: ToldInVain::new(),
            may_move: later == Some(Resync::Auto),
            announced: 0,
            peak: 0,
            received: 0,
            keys: 0,
            unheard: 0,
            asked: Asked::default(),
            server: Server::default(),
            ended: false,
            mark: Vec::new(),
        }
    }

    /// Bytes of the snapshot received so far.
    pub(super) fn received(&self) -> u64 {
        self.received
    }

    /// The most memory that data has taken during the load, in bytes.
    pub(super) fn peak(&self) -> u64 {
        self.peak
    }

    /// Whether nothing of this snapshot can be seen yet.
    pub(super) fn is_aside(&self) -> bool {
        matches!(self.target, Target::Aside(_))
    }

    /// Whether lookups see keys of this snapshot beside those of before.
    pub(super) fn is_in_place(&self) -> bool {
        matches!(self.target, Target::InPlace(_))
    }

    /// Takes in more bytes. After an error the load is over and the table as it was, except that a
    /// load which went straight into it or in place leaves what the gate has heard of.
    pub(super) fn feed<G: Gate>(
        &mut self,
        bytes: &[u8],
        around: &mut Surroundings<'_>,
        gate: &mut dyn FnMut() -> G,
    ) -> Result<Progress> {
        let (ours, rest) = match self.transfer {
            Transfer::Length(total) => {
                let left = usize::try_from(total - self.received).unwrap_or(usize::MAX);
                bytes.split_at(left.min(bytes.len()))
            }
            Transfer::Mark(_) => (bytes, &bytes[..0]),
        };
        self.received += ours.len() as u64;
        if self.ended {
            self.mark.extend_from_slice(ours);
        } else {
            self.decoder.feed(ours);
            self.drain(around, gate)?;
        }
        let Some(rest) = self.end(rest)? else { return Ok(Progress::More) };
        match std::mem::replace(&mut self.target, Target::Nowhere) {
            Target::Aside(aside) => self.move_over(aside.generation, around, gate)?,
            Target::InPlace(seen) => {
                // It is still in place: what vanished is there until it is deleted.
                self.target = Target::InPlace(Seen::default());
                self.delete_unseen(&seen, around, gate)?;
            }
            Target::Nowhere => {
                *around.unit += 1;
                around.table.stamp(self.stamp(*around.unit));
            }
            Target::Table => {}
        }
        Ok(Progress::Complete { position: self.position, rest })
    }

    /// What follows the snapshot, once all of it and its mark have been read.
    fn end(&mut self, rest: &[u8]) -> Result<Option<Vec<u8>>> {
        match self.transfer {
            Transfer::Length(total) => {
                if self.received < total {
                    return Ok(None);
                }
                if !self.ended || !self.mark.is_empty() {
                    return Err(Error::protocol(format!(
                        "the snapshot ends at byte {}, announced were {total} bytes",
                        self.decoder.offset()
                    )));
                }
                Ok(Some(rest.to_vec()))
            }
            Transfer::Mark(mark) => {
                if !self.ended || self.mark.len() < mark.len() {
                    return Ok(None);
                }
                let rest = self.mark.split_off(mark.len());
                if self.mark != mark {
                    return Err(Error::protocol(format!(
                        "snapshot offset {}: what follows is not the mark that was announced",
                        self.decoder.offset()
                    )));
                }
                Ok(Some(rest))
            }
        }
    }

    fn drain<G: Gate>(
        &mut self,
        around: &mut Surroundings<'_>,
        gate: &mut dyn FnMut() -> G,
    ) -> Result<()> {
        while !self.ended {
            let drained = match self.target {
                Target::Aside(_) => self.drain_aside(around.table)?,
                _ => {
                    let gate = gate();
                    match self.target {
                        // Held all the while, as whoever exchanges a callback expects.
                        Target::Table if !gate.is_heard() => self.drain_unheard(around)?,
                        _ => self.drain_direct(around, gate)?,
                    }
                }
            };
            if let Drained::Announced(db, keys) = drained {
                self.announce((db, keys), around, gate)?;
            }
            self.check_memory(around, gate)?;
            if let Drained::All = drained {
                break;
            }
            check_stop(around)?;
        }
        Ok(())
    }

    fn check_memory<G: Gate>(
        &mut self,
        around: &mut Surroundings<'_>,
        gate: &mut dyn FnMut() -> G,
    ) -> Result<()> {
        loop {
            let beside = match &self.target {
                Target::Nowhere | Target::Table => 0,
                Target::Aside(aside) => aside.memory(),
                Target::InPlace(seen) => seen.memory(),
            };
            let used = (around.table.memory() + beside + self.decoder.memory()) as u64;
            self.peak = self.peak.max(used);
            if around.max_memory == 0 || used <= around.max_memory {
                return Ok(());
            }
            if !self.move_in_place(around, gate)? {
                let text =
                    format!("{used} of {} bytes after {} keys", around.max_memory, self.keys);
                return Err(beyond_memory(&text));
            }
        }
    }

    /// What can't fit is not loaded first: a snapshot tells in front of each database how many
    /// keys it has. Where only some of them are kept, that says nothing.
    fn announce<G: Gate>(
        &mut self,
        (db, keys): (Db, u64),
        around: &mut Surroundings<'_>,
        gate: &mut dyn FnMut() -> G,
    ) -> Result<()> {
        if !around.scope.store || !around.scope.admits_all() {
            return Ok(());
        }
        let expected = keys.min(EXPECTED_MAX.saturating_sub(self.announced)) as usize;
        self.announced = self.announced.saturating_add(keys);
        self.check_room(around, gate)?;
        match &mut self.target {
            Target::Aside(aside) => aside.generation.make_room(db, expected),
            Target::Table => around.table.make_room(db, expected),
            Target::InPlace(_) | Target::Nowhere => {}
        }
        Ok(())
    }

    /// Sees that what is announced can fit, perhaps by going on in place.
    fn check_room<G: Gate>(
        &mut self,
        around: &mut Surroundings<'_>,
        gate: &mut dyn FnMut() -> G,
    ) -> Result<()> {
        loop {
            let beside = match self.target {
                Target::Aside(_) => around.table.memory() as u64,
                _ => 0,
            };
            let least = self.announced.saturating_mul(SLOT_BYTES as u64).saturating_add(beside);
            if around.max_memory == 0 || least <= around.max_memory {
                return Ok(());
            }
            if !self.move_in_place(around, gate)? {
                let (announced, max) = (self.announced, around.max_memory);
                let text =
                    format!("{announced} announced keys need at least {least} of {max} bytes");
                return Err(beyond_memory(&text));
            }
        }
    }

    /// Loads a batch of keys straight into the table.
    fn drain_direct<G: Gate>(&mut self, around: &mut Surroundings<'_>, gate: G) -> Result<Drained> {
        self.publish(around, gate, |load, unit, table| {
            for _ in 0..KEYS_PER_BATCH {
                match load.decoder.next()? {
                    Some(Item::Entry { db, key, value, expires_at_ms }) => {
                        load.take_key(unit, table, db, key, value, expires_at_ms)?;
                        load.keys += 1;
                    }
                    Some(Item::Resize { db, keys, .. }) => return Ok(Drained::Announced(db, keys)),
                    Some(item) => {
                        if load.note(item) {
                            return Ok(Drained::All);
                        }
                    }
                    None => return Ok(Drained::All),
                }
            }
            Ok(Drained::Some)
        })
    }

    /// The same where nobody reads the table and nobody hears of the keys: they are one unit, whose
    /// version takes the least memory.
    fn drain_unheard(&mut self, around: &mut Surroundings<'_>) -> Result<Drained> {
        if self.unheard != *around.unit || self.unheard == 0 {
            *around.unit += 1;
            self.unheard = *around.unit;
        }
        let stamp = self.stamp(self.unheard);
        let mut fill = around.table.fill(stamp);
        let mut drained = Ok(Drained::Some);
        for _ in 0..KEYS_PER_BATCH {
            match self.decoder.lend() {
                Ok(Some(Lent::Entry { db, key, value, expires_at_ms })) => {
                    fill.put(db, key, value, expires_at_ms);
                    self.keys += 1;
                    continue;
                }
                Ok(Some(Lent::Resize { db, keys, .. })) => {
                    drained = Ok(Drained::Announced(db, keys));
                }
                Ok(Some(item)) => {
                    let item = item.into_owned();
                    if !self.note(item) {
                        continue;
                    }
                    drained = Ok(Drained::All);
                }
                Ok(None) => drained = Ok(Drained::All),
                Err(error) => drained = Err(error),
            }
            break;
        }
        match fill.finish() {
            None => drained,
            Some((db, key)) => Err(self.duplicate(db, &key)),
        }
    }

    /// Stages a key of the snapshot, unless it is as it was.
    fn take_key(
        &mut self,
        unit: &mut Unit<'_>,
        table: &Table,
        db: Db,
        key: Bytes,
        value: Value,
        at: Option<i64>,
    ) -> Result<()> {
        match &mut self.target {
            Target::InPlace(seen) => {
                let old = table.item(db, &key);
                // A key that is shared with the table holds on to the value that it came with.
                let is_told = is_in(&self.told_in_vain, db, &key);
                let same = old.filter(|(_, old)| !is_told && is_unchanged(old, &value, at));
                let changes = same.is_none();
                let (name, beside) =
                    same.map_or_else(|| (key.clone(), key.len()), |(stored, _)| (stored, 0));
                if !seen.insert(db, name, beside) {
                    return Err(self.duplicate(db, &key));
                }
                if changes {
                    unit.write(db, &key, value, at, Reason::Resync);
                }
            }
            Target::Table if unit.contains(db, &key) => return Err(self.duplicate(db, &key)),
            _ => unit.write(db, &key, value, at, Reason::Snapshot),
        }
        Ok(())
    }

    /// Publishes what is staged, also before an error: the gate has heard of it.
    fn publish<G: Gate, R>(
        &mut self,
        around: &mut Surroundings<'_>,
        mut gate: G,
        stage: impl FnOnce(&mut Self, &mut Unit<'_>, &Table) -> Result<R>,
    ) -> Result<R> {
        let setting = self.setting(around);
        let mut batch = Batch::of(setting.unit);
        let mut unit = Unit::new(setting, &mut gate, &mut batch, 0);
        let result = stage(self, &mut unit, around.table);
        let (asked, _) = unit.finish();
        drop(gate);
        self.asked.add(asked);
        let is_nowhere = matches!(self.target, Target::Nowhere);
        if is_nowhere || (self.is_in_place() && batch.is_empty()) {
            return result;
        }
        *around.unit += 1;
        let mut stamp = self.stamp(*around.unit);
        if self.is_in_place() {
            // Of keys from before beside keys from after nobody can say as of when they are.
            stamp.offset = -1;
            (around.becomes_mixed)();
        }
        around.table.publish(batch, stamp);
        result
    }

    fn setting<'s>(&self, around: &'s Surroundings<'_>) -> Setting<'s> {
        Setting {
            table: around.table,
            scope: around.scope,
            phase: self.phase,
            now_ms: around.now_ms,
            offset: self.position.offset,
            unit: *around.unit + 1,
            // Nothing here depends on it: values come whole.
            server: crate::command::Server::NEWEST,
            max_memory: around.max_memory,
            decode_payload: crate::rdb::decode_payload,
        }
    }

    fn drain_aside(&mut self, table: &Table) -> Result<Drained> {
        for _ in 0..KEYS_PER_BATCH {
            let Target::Aside(aside) = &mut self.target else { break };
            match self.decoder.lend()? {
                Some(Lent::Entry { db, key, value, expires_at_ms }) => {
                    let is_told = is_in(&self.told_in_vain, db, key);
                    let twice = aside.put(db, key, value, expires_at_ms, is_told, table);
                    if let Some(key) = twice {
                        return Err(self.duplicate(db, &key));
                    }
                    self.keys += 1;
                }
                Some(Lent::Resize { db, keys, .. }) => return Ok(Drained::Announced(db, keys)),
                Some(item) => {
                    let item = item.into_owned();
                    if self.note(item) {
                        return Ok(Drained::All);
                    }
                }
                None => return Ok(Drained::All),
            }
        }
        Ok(Drained::Some)
    }

    /// Takes in what is not a key; true at the snapshot's end.
    fn note(&mut self, item: Item) -> bool {
        match item {
            Item::Header { valkey, .. } => self.server.valkey |= valkey,
            Item::Aux { name, value } => self.note_auxiliary(&name, &value),
            Item::End { .. } => {
                self.ended = true;
                self.mark = self.decoder.take_rest();
                return true;
            }
            Item::Entry { .. }
            | Item::Resize { .. }
            | Item::Function { .. }
            | Item::Skipped { .. } => {}
        }
        false
    }

    fn note_auxiliary(&mut self, name: &[u8], value: &[u8]) {
        let text = || String::from_utf8_lossy(value).into_owned();
        match name {
            // Valkey tells both; its own counts.
            b"valkey-ver" => {
                self.server = Server { valkey: true, version: text() };
            }
            b"redis-ver" if !self.server.valkey || self.server.version.is_empty() => {
                self.server.version = text();
            }
            // A primary that is itself a replica passes its primary's bytes on, and with them the
            // database that was selected before the snapshot.
            b"repl-stream-db" => {
                if let Ok(Ok(db)) = std::str::from_utf8(value).map(str::parse::<u32>) {
                    self.position.db = db;
                }
            }
            _ => {}
        }
    }

    fn duplicate(&self, db: u32, key: &[u8]) -> Error {
        Error::protocol(format!(
            "snapshot offset {}, db {db} key \"{}\": the key is there twice",
            self.decoder.offset(),
            printable(key, QUOTE_BYTES)
        ))
    }

    fn stamp(&self, unit: u64) -> Stamp {
        Stamp {
            replid: self.position.replid.unwrap_or([b'0'; 40]),
            offset: self.position.offset,
            unit,
        }
    }
}

fn beyond_memory(what: &str) -> Error {
    Error::new(Kind::NoMemory, format!("the load would pass max-memory: {what}"))
}

fn check_stop(around: &Surroundings<'_>) -> Result<()> {
    if (around.is_stopping)() {
        return Err(Error::new(Kind::Stopped, "stopped while a snapshot was loaded"));
    }
    Ok(())
}

fn is_in(told_in_vain: &ToldInVain, db: Db, key: &[u8]) -> bool {
    !told_in_vain.is_empty() && told_in_vain.contains(&(db, Bytes::from(key)))
}

fn is_unchanged(old: &Entry, value: &Value, at: Option<i64>) -> bool {
    match (&old.value, &old.hold) {
        (Some(before), None) => old.expires_at_ms == at && before == value,
        _ => known_fingerprint(old) == Some(fingerprint(value, at)),
    }
}

#[cfg(test)]
mod tests;
