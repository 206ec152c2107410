//! What the primary's clients write: random commands that succeed, as a primary sends them.

use super::history::Unit;
use super::model::{Data, Value, Words};
use crate::support::random::Dice;
use std::collections::BTreeMap;

/// How many keys each type has in a database: few, so that commands meet.
const KEYS: usize = 5;
/// How many fields and members there are.
const NAMES: usize = 6;
pub const DATABASES: u32 = 3;
/// These are always written together, and nothing else touches them.
pub const PAIR: [&[u8]; 2] = [b"pair:a", b"pair:b"];

/// What a random unit depends on.
pub struct Writer<'a> {
    pub dice: &'a mut Dice,
    pub data: &'a Data,
    pub now_ms: i64,
    /// Now and then a value of many kilobytes.
    pub has_big: bool,
}

macro_rules! words {
    ($($word:expr),* $(,)?) => { vec![$(Vec::<u8>::from($word)),*] };
}

impl Writer<'_> {
    /// A command, or several that are one transaction.
    pub fn unit(&mut self) -> Unit {
        let mut data = self.data.clone();
        if self.dice.percent(8) {
            return self.pair();
        }
        let count = if self.dice.percent(15) { 2 + self.dice.below(4) } else { 1 };
        let mut unit = Unit::new();
        let mut db = self.db();
        while unit.len() < count {
            if self.dice.percent(10) {
                db = self.db();
            }
            let writer = Writer { dice: self.dice, data: &data, ..*self };
            // What stands before one that can't be followed would be asked about for nothing.
            let is_late_swap = |command: &Words| command[0] == b"SWAPDB" && !unit.is_empty();
            if let Some(command) = writer.command(db).filter(|command| !is_late_swap(command)) {
                data.apply(db, &command);
                unit.push((db, command));
            }
        }
        unit
    }

    fn pair(&mut self) -> Unit {
        let (db, number) = (self.db(), self.dice.below(1_000_000).to_string());
        let [a, b] = PAIR;
        if self.dice.percent(50) {
            return vec![(db, words!["MSET", a, number.as_str(), b, number.as_str()])];
        }
        let set = |key: &[u8]| (db, words!["SET", key, number.as_str()]);
        let mut unit = vec![set(a), set(b)];
        if self.dice.percent(50) {
            let text = self.text();
            unit.insert(1, (self.db(), words!["SET", "s0", text]));
        }
        unit
    }

    fn db(&mut self) -> u32 {
        if self.dice.percent(60) { 0 } else { self.dice.below(DATABASES as usize) as u32 }
    }

    /// A name of the kind that this letter stands for.
    fn key(&mut self, kind: char) -> Vec<u8> {
        format!("{kind}{}", self.dice.below(KEYS)).into_bytes()
    }

    fn name(&mut self) -> Vec<u8> {
        format!("f{}", self.dice.below(NAMES)).into_bytes()
    }

    fn text(&mut self) -> Vec<u8> {
        if self.has_big && self.dice.percent(4) {
            return vec![b'b'; 20_000 + self.dice.below(60_000)];
        }
        let len = self.dice.below(if self.dice.clone().percent(10) { 300 } else { 12 });
        (0..len).map(|_| self.dice.any() as u8).collect()
    }

    fn small(&mut self) -> String {
        (self.dice.below(41) as i64 - 20).to_string()
    }

    fn score(&mut self) -> String {
        let half = if self.dice.percent(30) { ".5" } else { "" };
        format!("{}{half}", self.dice.below(10))
    }

    fn deadline(&mut self) -> String {
        let ms = [50, 2_000, 60_000, 3_600_000][self.dice.below(4)];
        (self.now_ms + 1 + self.dice.below(ms) as i64).to_string()
    }

    /// One command that changes something, or would on another primary; none where there is
    /// nothing to change.
    fn command(mut self, db: u32) -> Option<Words> {
        Some(match self.dice.below(100) {
            0..=24 => self.text_command(db),
            25..=39 => return self.hash_command(db),
            40..=52 => return self.set_command(db),
            53..=66 => return self.zset_command(db),
            67..=77 => return self.list_command(db),
            78..=81 => self.stream_command(db),
            82 => words!["FLUSHALL"],
            83 => words!["FLUSHDB"],
            84..=85 => {
                let a = self.dice.below(DATABASES as usize) as u32;
                words!["SWAPDB", a.to_string(), ((a + 1) % DATABASES).to_string()]
            }
            _ => return self.key_command(db),
        })
    }

    fn some_key(&mut self, db: u32) -> Option<(Vec<u8>, Value)> {
        let database = self.data.database(db)?;
        let keys: Vec<_> = database.keys().filter(|key| !key.starts_with(b"pair")).collect();
        if keys.is_empty() {
            return None;
        }
        let key = (*self.dice.pick(&keys)).clone();
        let value = database[&key].value.clone();
        Some((key, value))
    }

    fn key_command(&mut self, db: u32) -> Option<Words> {
        let (key, _) = self.some_key(db)?;
        let kind = char::from(key[0]);
        let other = self.key(kind);
        let elsewhere = (db + 1) % DATABASES;
        Some(match self.dice.below(7) {
            0 => words!["DEL", key, other],
            1 => words!["UNLINK", key],
            2 | 3 => words!["PEXPIREAT", key, self.deadline()],
            4 => words!["PERSIST", key],
            5 if other != key => words!["RENAME", key, other],
            6 if self.data.get(elsewhere, &key).is_none() => {
                words!["MOVE", key, elsewhere.to_string()]
            }
            _ => words!["COPY", key, other, "DB", elsewhere.to_string(), "REPLACE"],
        })
    }

    fn text_command(&mut self, db: u32) -> Words {
        let number = self.dice.percent(25);
        let key = self.key(if number { 'n' } else { 's' });
        let _ = db;
        if number {
            let by = self.small();
            return match self.dice.below(4) {
                0 => words!["SET", key, by],
                1 => words!["INCR", key],
                2 => words!["INCRBY", key, by],
                _ => words!["DECRBY", key, by],
            };
        }
        let text = self.text();
        match self.dice.below(8) {
            0 => words!["SET", key, text, "PXAT", self.deadline()],
            1 => words!["SET", key, text, "KEEPTTL"],
            2 => words!["APPEND", key, text],
            3 if !text.is_empty() => {
                words!["SETRANGE", key, self.dice.below(20).to_string(), text]
            }
            4 => {
                let other = self.key('s');
                words!["MSET", key, text, other, "both"]
            }
            _ => words!["SET", key, text],
        }
    }

    fn value<'a>(&self, db: u32, key: &[u8]) -> Option<&'a Value>
    where
        Self: 'a,
    {
        self.data.get(db, key).map(|item| &item.value)
    }

    fn hash_command(&mut self, db: u32) -> Option<Words> {
        let key = self.key('h');
        let (field, text) = (self.name(), self.text());
        let hash = match self.data.get(db, &key).map(|item| &item.value) {
            Some(Value::Hash(hash)) => hash.clone(),
            _ => BTreeMap::new(),
        };
        let has = hash.contains_key(&field);
        let number = format!("i{}", self.dice.below(2)).into_bytes();
        Some(match self.dice.below(8) {
            0 if has => words!["HDEL", key, field, self.name()],
            1 => words!["HINCRBY", key, number, self.small()],
            2 if has => words!["HPEXPIREAT", key, self.deadline(), "FIELDS", "1", field],
            3 if hash.get(&field).is_some_and(|(_, at)| at.is_some()) => {
                words!["HPERSIST", key, "FIELDS", "1", field]
            }
            4 if has => words!["HDEL", key, field],
            5 => words!["HSET", key, field, text, self.name(), "both"],
            _ => words!["HSET", key, field, text],
        })
    }

    fn set_command(&mut self, db: u32) -> Option<Words> {
        let (key, other) = (self.key('t'), self.key('t'));
        let (a, b) = (self.name(), self.name());
        let has = matches!(self.value(db, &key), Some(Value::Set(set)) if set.contains(&a));
        Some(match self.dice.below(8) {
            0 | 1 if has => words!["SREM", key, a, b],
            2 if has && other != key => words!["SMOVE", key, other, a],
            3 => {
                let name = *self.dice.pick(&["SUNIONSTORE", "SINTERSTORE", "SDIFFSTORE"]);
                words![name, self.key('t'), key, other]
            }
            _ => words!["SADD", key, a, b],
        })
    }

    fn zset_command(&mut self, db: u32) -> Option<Words> {
        let (key, other) = (self.key('z'), self.key('z'));
        let (a, b) = (self.name(), self.name());
        let len = match self.value(db, &key) {
            Some(Value::Zset(zset)) => zset.len(),
            _ => 0,
        };
        Some(match self.dice.below(8) {
            0 if len > 0 => words!["ZREM", key, a, b],
            1 => words!["ZINCRBY", key, self.score(), a],
            2 if len > 0 => {
                let start = self.dice.below(len);
                words!["ZREMRANGEBYRANK", key, start.to_string(), (start + 1).to_string()]
            }
            3 => words!["ZUNIONSTORE", self.key('z'), "2", key, other],
            _ => words!["ZADD", key, self.score(), a, self.score(), b],
        })
    }

    fn stream_command(&mut self, db: u32) -> Words {
        let key = self.key('x');
        let (last, first) = match self.value(db, &key) {
            Some(Value::Stream(stream)) => (stream.last, stream.entries.keys().next().copied()),
            _ => ((0, 0), None),
        };
        let shown = |(ms, seq): (u64, u64)| format!("{ms}-{seq}");
        let next = if self.dice.percent(50) { (last.0 + 1, 0) } else { (last.0, last.1 + 1) };
        match (self.dice.below(5), first) {
            (0, Some(first)) => words!["XDEL", key, shown(first)],
            (1, Some(_)) => words!["XDEL", key, shown(last), "7-77"],
            (2, Some(_)) => words!["XTRIM", key, "MAXLEN", "=", self.dice.below(4).to_string()],
            _ => {
                let (field, number) = (self.name(), self.small());
                words!["XADD", key, shown(next), field, number, "both", ""]
            }
        }
    }

    fn list_command(&mut self, db: u32) -> Option<Words> {
        let (key, other) = (self.key('l'), self.key('l'));
        let (element, text) = (self.name(), self.text());
        let len = match self.value(db, &key) {
            Some(Value::List(list)) => list.len(),
            _ => 0,
        };
        if len == 0 || self.dice.percent(50) {
            let push = *self.dice.pick(&["RPUSH", "LPUSH"]);
            return Some(words![push, key, element, text]);
        }
        let end = |dice: &mut Dice| *dice.pick(&["LEFT", "RIGHT"]);
        Some(match self.dice.below(7) {
            0 => words!["LPOP", key, (1 + self.dice.below(2)).to_string()],
            1 => words!["RPOP", key, (1 + self.dice.below(2)).to_string()],
            2 => words!["LSET", key, self.dice.below(len).to_string(), text],
            3 => words!["LREM", key, (self.dice.below(5) as i64 - 2).to_string(), element],
            4 if len > 8 => words!["LTRIM", key, "1", "-3"],
            5 => {
                let side = *self.dice.pick(&["BEFORE", "AFTER"]);
                words!["LINSERT", key, side, element, text]
            }
            _ => words!["LMOVE", key, other, end(self.dice), end(self.dice)],
        })
    }
}
