//! A primary's history: its data, and the stream that led there, with what it had at every border
//! between two units.

use super::model::{Data, Words};
use rets::resp::write_command;
use std::collections::BTreeMap;
use std::ops::Bound::{Excluded, Unbounded};

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
    /// What a replica may not be able to follow, by the border behind it, with that before it.
    strange: BTreeMap<i64, (i64, Strange)>,
    /// It knows PSYNC.
    pub has_offsets: bool,
}

/// Why a replica may not be able to follow a unit.
#[derive(Clone, Debug, PartialEq)]
pub enum Strange {
    /// It has a command of this name, which nobody knows.
    Unknown(Vec<u8>),
    /// It has a command in this database that does not fit the data.
    Misfit(u32),
    /// Two databases change places, which is strange where only one of them is followed.
    Swap(u32, u32),
}

/// No key has this name, but some commands act as if.
pub const NOTHING: &[u8] = b"nothing";

fn strange(unit: &Unit) -> Option<Strange> {
    unit.iter().find_map(|(db, words)| match (&words[0][..], words.get(1).map(Vec::as_slice)) {
        (name, _) if name.starts_with(b"NEW.") => Some(Strange::Unknown(name.to_vec())),
        (_, Some(NOTHING)) => Some(Strange::Misfit(*db)),
        (b"SWAPDB", _) => {
            let number = |at: usize| std::str::from_utf8(&words[at]).ok()?.parse().ok();
            Some(Strange::Swap(number(1)?, number(2)?))
        }
        _ => None,
    })
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
            strange: BTreeMap::new(),
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
        self.borders.range((Excluded(offset), Unbounded)).next().map(|(offset, _)| *offset)
    }

    /// What is strange behind one border and not behind another, in order.
    pub fn strange_between(&self, from: i64, to: i64) -> impl Iterator<Item = &Strange> {
        let behind = self.strange.range((Excluded(from), Unbounded));
        behind.take_while(move |(at, _)| **at <= to).map(|(_, (_, strange))| strange)
    }

    /// What is strange about the unit behind this border.
    pub fn strange_next(&self, offset: i64) -> Option<&Strange> {
        let (_, (from, strange)) = self.strange.range((Excluded(offset), Unbounded)).next()?;
        // SELECT is a unit of its own.
        (*from <= offset).then_some(strange)
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
            strange: self.strange.range(..=at).map(|(at, what)| (*at, what.clone())).collect(),
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
        let from = self.end();
        if let [(db, command)] = &unit[..] {
            self.select(*db, true);
            self.command(command);
            self.data.apply(*db, command);
        } else {
            self.write_many(unit, is_outside);
        }
        self.border();
        if let Some(strange) = strange(unit) {
            self.strange.insert(self.end(), (from, strange));
        }
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
