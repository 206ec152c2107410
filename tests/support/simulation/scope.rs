//! What a replica is told to keep: patterns and databases, with the judge's own meaning of each.

use super::consumer::Place;
use super::model::Data;
use super::writer::DATABASES;
use crate::support::random::Dice;

/// A list of patterns and what it matches.
type Pattern = (&'static str, fn(&[u8]) -> bool);

fn is_pair(key: &[u8]) -> bool {
    key.starts_with(b"pair:")
}

/// A list of databases and what is on it.
type List = (&'static str, fn(u32) -> bool);

/// For the option `keys`.
const KEYS: &[Pattern] = &[
    ("", |_| true),
    ("s* h* t* pair:?", |key| matches!(key[0], b's' | b'h' | b't') || is_pair(key)),
    ("?[0-2] pair*", |key| is_pair(key) || (b'0'..=b'2').contains(&key[1])),
];

/// For the option `exclude-keys`.
const EXCLUDED: &[Pattern] = &[
    ("", |_| false),
    ("?1 ?3", |key| !is_pair(key) && matches!(key[1], b'1' | b'3')),
    ("[^slt]4 pair*", |key| {
        is_pair(key) || (key[1] == b'4' && !matches!(key[0], b's' | b'l' | b't'))
    }),
];

/// For the option `databases`.
const LISTS: &[List] =
    &[("all", |_| true), ("all", |_| true), ("0", |db| db == 0), ("2,0", |db| db != 1)];

#[derive(Clone, Debug)]
pub struct Scope {
    keys: Pattern,
    excluded: Pattern,
    databases: List,
}

impl Scope {
    pub fn everything() -> Self {
        Self { keys: KEYS[0], excluded: EXCLUDED[0], databases: LISTS[0] }
    }

    pub fn random(dice: &mut Dice) -> Self {
        Self {
            keys: *dice.pick(KEYS),
            excluded: *dice.pick(EXCLUDED),
            databases: *dice.pick(LISTS),
        }
    }

    /// The options that say so.
    pub fn options(&self) -> [(&'static str, String); 3] {
        [
            ("keys", self.keys.0.to_owned()),
            ("exclude-keys", self.excluded.0.to_owned()),
            ("databases", self.databases.0.to_owned()),
        ]
    }

    pub fn leaves_out_databases(&self) -> bool {
        !(0..DATABASES).all(|db| self.admits_database(db))
    }

    pub fn admits_database(&self, db: u32) -> bool {
        (self.databases.1)(db)
    }

    pub fn admits(&self, db: u32, key: &[u8]) -> bool {
        self.admits_database(db) && (self.keys.1)(key) && !(self.excluded.1)(key)
    }

    /// The part of the data that is to be kept.
    pub fn of(&self, data: &Data) -> Data {
        let mut kept = data.clone();
        for (db, key, _) in data.items().filter(|(db, key, _)| !self.admits(*db, key)) {
            kept.remove(db, key);
        }
        kept
    }

    /// Whether a word of a command may be the name of a key that is left out, or held back.
    pub fn may_hide(&self, word: &[u8], is_held: impl Fn(&Place) -> bool) -> bool {
        let is_key = is_pair(word)
            || (word.len() == 2 && b"snhtzlx".contains(&word[0]) && word[1].is_ascii_digit());
        let mut databases = 0..DATABASES;
        is_key && databases.any(|db| !self.admits(db, word) || is_held(&(db, word.to_vec())))
    }
}
