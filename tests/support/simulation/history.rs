//! A primary's history: its data, and the stream that led there, with what it had at every border
//! between two units.

use super::model::{Data, Words};
use rets::resp::write_command;
use std::collections::BTreeMap;

pub type Id = [u8; 40];

/// What one unit brings: its commands with their databases; several are a transaction.
pub type Unit = Vec<(u32, Words)>;

#[derive(Clone, Debug)]
pub struct History {
    pub id: Id,
    /// The history that this one branched off, and the last offset that both have.
    pub before: Option<(Id, i64)>,
    pub data: Data,
    /// What the stream has selected; `None` makes the next write select anew.
    pub db: Option<u32>,
    /// The offset before the first byte in `bytes`.
    start: i64,
    bytes: Vec<u8>,
    /// No partial sync from before this offset.
    pub backlog_from: i64,
    borders: BTreeMap<i64, Data>,
    /// It knows PSYNC.
    pub has_offsets: bool,
}

impl History {
    pub fn new(id: Id, data: Data, start: i64) -> Self {
        Self {
            id,
            before: None,
            borders: BTreeMap::from([(start, data.clone())]),
            data,
            db: None,
            start,
            bytes: Vec::new(),
            backlog_from: start,
            has_offsets: true,
        }
    }

    /// The offset of the last byte.
    pub fn end(&self) -> i64 {
        self.start + self.bytes.len() as i64
    }

    /// What it had at an offset, if that is a border.
    pub fn at(&self, offset: i64) -> Option<&Data> {
        self.borders.get(&offset)
    }

    /// The border after this one.
    pub fn border_after(&self, offset: i64) -> Option<i64> {
        self.borders.range(offset + 1..).next().map(|(offset, _)| *offset)
    }

    /// A border not more than so many units before the end.
    pub fn border_before_end(&self, units: usize) -> i64 {
        let mut from_end = self.borders.keys().rev();
        from_end.nth(units).or(self.borders.keys().next()).copied().unwrap_or(self.start)
    }

    /// The stream from this offset on.
    pub fn bytes_after(&self, offset: i64) -> &[u8] {
        &self.bytes[(offset - self.start) as usize..]
    }

    /// A replica of this one is made a primary at an offset.
    pub fn branch(&self, id: Id, at: i64) -> Self {
        let borders: BTreeMap<_, _> =
            self.borders.range(..=at).map(|(offset, data)| (*offset, data.clone())).collect();
        Self {
            id,
            before: Some((self.id, at)),
            data: borders[&at].clone(),
            db: None,
            start: self.start,
            bytes: self.bytes[..(at - self.start) as usize].to_vec(),
            backlog_from: self.backlog_from,
            borders,
            has_offsets: self.has_offsets,
        }
    }

    /// Whether the stream can go on behind this offset of a history.
    pub fn can_continue(&self, id: &[u8], offset: i64) -> bool {
        let last = match self.before {
            _ if *id == self.id => self.end(),
            Some((before, last)) if *id == before => last,
            _ => return false,
        };
        self.has_offsets && (self.backlog_from..=last).contains(&offset)
    }

    /// Writes a unit. `is_outside` selects the first database before MULTI rather than behind it.
    pub fn write(&mut self, unit: &Unit, is_outside: bool) {
        let [(db, command)] = &unit[..] else { return self.write_many(unit, is_outside) };
        self.select(*db, true);
        self.command(command);
        self.data.apply(*db, command);
        self.border();
    }

    fn write_many(&mut self, unit: &Unit, is_outside: bool) {
        if let (true, Some((db, _))) = (is_outside, unit.first()) {
            self.select(*db, true);
        }
        self.command(&vec![b"MULTI".to_vec()]);
        for (db, command) in unit {
            self.select(*db, false);
            self.command(command);
            self.data.apply(*db, command);
        }
        self.command(&vec![b"EXEC".to_vec()]);
        self.border();
    }

    fn select(&mut self, db: u32, is_unit: bool) {
        if self.db != Some(db) {
            self.db = Some(db);
            self.command(&vec![b"SELECT".to_vec(), db.to_string().into_bytes()]);
            if is_unit {
                self.border();
            }
        }
    }

    fn command(&mut self, words: &Words) {
        let words: Vec<&[u8]> = words.iter().map(Vec::as_slice).collect();
        write_command(&mut self.bytes, &words);
    }

    fn border(&mut self) {
        self.borders.insert(self.end(), self.data.clone());
    }
}
