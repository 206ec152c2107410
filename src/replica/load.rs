//! Loading a snapshot: bytes into the decoder, its items into the table.
//!
//! While the table has never been complete, a load goes straight into it, for nobody can look.
//! Later ones build a generation aside; when it is complete and checked, the gate hears the
//! difference to what was there, vanished keys first, and then readers move over in one step.

use super::position::Position;
use crate::change::{Gate, Phase, Reason};
use crate::command::{Asked, Scope, Setting, Unit, known_fingerprint};
use crate::error::{Error, Kind, Result};
use crate::link::Transfer;
use crate::rdb::{Decoder, Item};
use crate::table::{Entry, Generation, Stamp, Table};
use crate::text::printable;
use crate::value::{ABSENT, Value, fingerprint};

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
}

/// A load in progress.
pub(super) struct Load {
    decoder: Decoder,
    transfer: Transfer,
    position: Position,
    phase: Phase,
    /// Where items go: none while they go straight into the table.
    aside: Option<Generation>,
    received: u64,
    pub(super) keys: u64,
    pub(super) asked: Asked,
    /// From the snapshot's auxiliary fields.
    pub(super) server: Server,
    /// Set once the snapshot's end was read.
    ended: bool,
    mark: Vec<u8>,
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
    /// Begins to load a snapshot taken at this position. `readable`: lookups are being answered.
    pub(super) fn new(
        transfer: Transfer,
        position: Position,
        phase: Phase,
        scope: &Scope,
        table: &Table,
        readable: bool,
    ) -> Self {
        let scope = scope.clone();
        let direct = !scope.store || (!readable && table.entries().next().is_none());
        Self {
            decoder: Decoder::with_filter(Box::new(move |db, key| scope.admits(db, key))),
            transfer,
            position,
            phase,
            aside: (!direct).then(|| table.generation()),
            received: 0,
            keys: 0,
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

    /// Takes in more bytes. After an error the load is over and the table as it was, except that a
    /// load which went straight into it leaves what the gate has heard of.
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
        if let Some(generation) = self.aside.take() {
            self.move_over(generation, around, gate)?;
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
            let more = match self.aside {
                Some(_) => self.drain_aside()?,
                None => self.drain_direct(around, gate)?,
            };
            self.check_memory(around)?;
            if !more {
                break;
            }
            check_stop(around)?;
        }
        Ok(())
    }

    fn check_memory(&self, around: &Surroundings<'_>) -> Result<()> {
        if around.max_memory == 0 {
            return Ok(());
        }
        let aside = self.aside.as_ref().map_or(0, Generation::memory);
        let used = (around.table.memory() + aside + self.decoder.memory()) as u64;
        if used > around.max_memory {
            return Err(Error::new(
                Kind::NoMemory,
                format!(
                    "the load would pass max-memory: {used} of {} bytes after {} keys",
                    around.max_memory, self.keys
                ),
            ));
        }
        Ok(())
    }

    /// Loads a batch of keys straight into the table; false where more bytes are needed.
    fn drain_direct<G: Gate>(
        &mut self,
        around: &mut Surroundings<'_>,
        gate: &mut dyn FnMut() -> G,
    ) -> Result<bool> {
        let mut gate = gate();
        let mut unit = Unit::new(self.setting(around), &mut gate, 0);
        let mut result = Ok(true);
        for _ in 0..KEYS_PER_BATCH {
            match self.decoder.next() {
                Ok(Some(Item::Entry { db, key, value, expires_at_ms })) => {
                    if around.scope.store && unit.contains(db, &key) {
                        result = Err(self.duplicate(db, &key));
                        break;
                    }
                    unit.write(db, &key, value, expires_at_ms, Reason::Snapshot);
                    self.keys += 1;
                }
                Ok(Some(item)) => {
                    if self.note(item) {
                        result = Ok(false);
                        break;
                    }
                }
                Ok(None) => {
                    result = Ok(false);
                    break;
                }
                Err(error) => {
                    result = Err(error);
                    break;
                }
            }
        }
        let (batch, asked, _) = unit.finish();
        drop(gate);
        self.asked.add(asked);
        *around.unit += 1;
        around.table.publish(batch, self.stamp(*around.unit));
        result
    }

    fn drain_aside(&mut self) -> Result<bool> {
        for _ in 0..KEYS_PER_BATCH {
            match self.decoder.next()? {
                Some(Item::Entry { db, key, value, expires_at_ms }) => {
                    let entry = Entry::new(value, expires_at_ms);
                    let aside = self.aside.as_mut();
                    if aside.is_some_and(|aside| aside.put(db, key.clone(), entry).is_some()) {
                        return Err(self.duplicate(db, &key));
                    }
                    self.keys += 1;
                }
                Some(item) => {
                    if self.note(item) {
                        return Ok(false);
                    }
                }
                None => return Ok(false),
            }
        }
        Ok(true)
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

    fn setting<'a>(&self, around: &'a Surroundings<'_>) -> Setting<'a> {
        Setting {
            table: around.table,
            scope: around.scope,
            phase: self.phase,
            now_ms: around.now_ms,
            offset: self.position.offset,
            // Nothing here depends on it: values come whole.
            server: crate::command::Server::NEWEST,
            max_memory: around.max_memory,
            decode_payload: crate::rdb::decode_payload,
        }
    }

    fn stamp(&self, unit: u64) -> Stamp {
        Stamp {
            replid: self.position.replid.unwrap_or([b'0'; 40]),
            offset: self.position.offset,
            unit,
        }
    }

    /// The gate hears the difference, then readers move over.
    fn move_over<G: Gate>(
        &mut self,
        mut next: Generation,
        around: &mut Surroundings<'_>,
        gate: &mut dyn FnMut() -> G,
    ) -> Result<()> {
        *around.unit += 1;
        let unit = *around.unit;
        self.report_vanished(&mut next, around, gate)?;
        self.report_changed(&mut next, around, gate)?;
        around.table.replace(next, self.stamp(unit));
        Ok(())
    }

    fn report_vanished<G: Gate>(
        &mut self,
        next: &mut Generation,
        around: &mut Surroundings<'_>,
        gate: &mut dyn FnMut() -> G,
    ) -> Result<()> {
        for (db, key, old) in around.table.entries() {
            if next.get(db, &key).is_some() {
                continue;
            }
            check_stop(around)?;
            if known_fingerprint(&old) == Some(ABSENT) {
                if old.value.is_some() {
                    next.put(db, key, old);
                }
                continue;
            }
            self.one_key(next, around, gate, |unit| unit.delete(db, &key, Reason::Resync));
        }
        Ok(())
    }

    fn report_changed<G: Gate>(
        &mut self,
        next: &mut Generation,
        around: &mut Surroundings<'_>,
        gate: &mut dyn FnMut() -> G,
    ) -> Result<()> {
        // Entries clone in constant time, so a copy of the list is cheap beside the data.
        let entries: Vec<_> = next.entries().collect();
        for (db, key, new) in entries {
            // What is held back did not come with the snapshot: it was just kept from vanishing.
            let (Some(value), None) = (new.value, new.hold) else { continue };
            let at = new.expires_at_ms;
            match around.table.get(db, &key) {
                Some(old) if is_unchanged(&old, &value, at) => {
                    next.put(db, key, old);
                }
                _ => {
                    check_stop(around)?;
                    self.one_key(next, around, gate, |unit| {
                        unit.write(db, &key, value, at, Reason::Resync);
                    });
                }
            }
        }
        Ok(())
    }

    /// Asks about one key as a unit of its own and stores the outcome aside.
    fn one_key<G: Gate>(
        &mut self,
        next: &mut Generation,
        around: &mut Surroundings<'_>,
        gate: &mut dyn FnMut() -> G,
        ask: impl FnOnce(&mut Unit<'_>),
    ) {
        let mut gate = gate();
        let mut unit = Unit::new(self.setting(around), &mut gate, 0);
        ask(&mut unit);
        let (batch, asked, _) = unit.finish();
        self.asked.add(asked);
        next.absorb(batch, *around.unit);
    }
}

fn check_stop(around: &Surroundings<'_>) -> Result<()> {
    if (around.is_stopping)() {
        return Err(Error::new(Kind::Stopped, "stopped while a snapshot was loaded"));
    }
    Ok(())
}

fn is_unchanged(old: &Entry, value: &Value, at: Option<i64>) -> bool {
    match (&old.value, &old.hold) {
        (Some(before), None) => old.expires_at_ms == at && before == value,
        _ => known_fingerprint(old) == Some(fingerprint(value, at)),
    }
}

#[cfg(test)]
mod tests;
