//! A primary in a few lines, and what must hold between it, the table and a program that mirrors
//! what it hears. Written from the servers' documentation, not from the handlers.

mod histories;
mod lists;
mod mirror;
mod test;
mod zsets;

use super::*;
use crate::value::{ABSENT, Field, Fingerprint, Hash, fingerprint};
use std::collections::{BTreeMap, BTreeSet};

pub(crate) use histories::{Moods, any_history, follow};
pub(crate) use mirror::Mirror;

pub(crate) type Fields = BTreeMap<String, (String, Option<i64>)>;

/// What a key holds at the primary.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Data {
    Text(Vec<u8>),
    Fields(Fields),
    Elements(Vec<String>),
    Members(BTreeSet<String>),
    Scores(BTreeMap<String, i64>),
}

impl Data {
    /// An aggregate of nothing.
    fn is_nothing(&self) -> bool {
        match self {
            Self::Text(_) => false,
            Self::Fields(fields) => fields.is_empty(),
            Self::Elements(elements) => elements.is_empty(),
            Self::Members(members) => members.is_empty(),
            Self::Scores(scores) => scores.is_empty(),
        }
    }

    /// What of it can be withheld by itself.
    fn parts(&self) -> Fields {
        match self {
            Self::Fields(fields) => fields.clone(),
            Self::Members(members) => {
                members.iter().map(|member| (member.clone(), (String::new(), None))).collect()
            }
            Self::Scores(scores) => {
                let part = |(m, s): (&String, &i64)| (m.clone(), (s.to_string(), None));
                scores.iter().map(part).collect()
            }
            Self::Text(_) | Self::Elements(_) => panic!("only hashes and sets are partial"),
        }
    }
}

/// A key at the primary, or in the eyes of a program that mirrors it.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Held {
    pub(crate) data: Data,
    pub(crate) at: Option<i64>,
}

pub(crate) type Keys = BTreeMap<(Db, String), Held>;

/// The primary.
#[derive(Clone, Debug, Default)]
pub(crate) struct Truth {
    pub(crate) keys: Keys,
    pub(crate) db: Db,
}

impl Held {
    pub(crate) fn value(&self) -> Value {
        match &self.data {
            Data::Text(bytes) => Value::string(bytes),
            Data::Fields(fields) => {
                let mut hash = Hash::default();
                for (name, (value, at)) in fields {
                    let field = Field { value: value.as_bytes(), expires_at_ms: *at };
                    hash.insert(name.as_bytes(), field);
                }
                Value::Hash(hash)
            }
            Data::Elements(elements) => Value::List(elements.iter().collect()),
            Data::Members(members) => Value::Set(members.iter().collect()),
            Data::Scores(scores) => {
                Value::Zset(scores.iter().map(|(member, score)| (member, *score as f64)).collect())
            }
        }
    }

    pub(crate) fn print(&self) -> Fingerprint {
        fingerprint(&self.value(), self.at)
    }

    fn of(value: &Value, at: Option<i64>) -> Self {
        let data = match value {
            Value::String(bytes) => Data::Text(bytes.to_vec()),
            Value::Hash(hash) => Data::Fields(fields_of(hash)),
            Value::List(list) => Data::Elements(list.iter().map(text).collect()),
            Value::Set(set) => Data::Members(set.iter().map(|member| text(&member)).collect()),
            Value::Zset(zset) => {
                Data::Scores(zset.iter().map(|(m, score)| (text(m), score as i64)).collect())
            }
            other => panic!("no {} here", other.kind().name()),
        };
        Self { data, at }
    }
}

fn fields_of(hash: &Hash) -> Fields {
    let pair =
        |(name, field): (&[u8], Field<'_>)| (text(name), (text(field.value), field.expires_at_ms));
    hash.iter().map(pair).collect()
}

fn number(text: &str) -> i64 {
    text.parse().unwrap()
}

impl Truth {
    fn key(&self, key: &str) -> (Db, String) {
        (self.db, key.to_owned())
    }

    /// The text under a key, empty if there is none; `None` if it is another type.
    fn text(&self, key: &str) -> Option<Vec<u8>> {
        match self.keys.get(&self.key(key)).map(|held| &held.data) {
            None => Some(Vec::new()),
            Some(Data::Text(bytes)) => Some(bytes.clone()),
            Some(_) => None,
        }
    }

    fn fields(&self, key: &str) -> Option<Fields> {
        match self.keys.get(&self.key(key)).map(|held| &held.data) {
            None => Some(Fields::new()),
            Some(Data::Fields(fields)) => Some(fields.clone()),
            Some(_) => None,
        }
    }

    pub(super) fn elements(&self, key: &str) -> Option<Vec<String>> {
        match self.keys.get(&self.key(key)).map(|held| &held.data) {
            None => Some(Vec::new()),
            Some(Data::Elements(elements)) => Some(elements.clone()),
            Some(_) => None,
        }
    }

    pub(super) fn members(&self, key: &str) -> Option<BTreeSet<String>> {
        match self.keys.get(&self.key(key)).map(|held| &held.data) {
            None => Some(BTreeSet::new()),
            Some(Data::Members(members)) => Some(members.clone()),
            Some(_) => None,
        }
    }

    pub(super) fn at(&self, key: &str) -> Option<i64> {
        self.keys.get(&self.key(key)).and_then(|held| held.at)
    }

    pub(super) fn write(&mut self, key: &str, data: Data, at: Option<i64>) -> bool {
        if data.is_nothing() {
            self.keys.remove(&self.key(key));
        } else {
            self.keys.insert(self.key(key), Held { data, at });
        }
        true
    }

    /// Carries out a command; false if it fails or changes nothing, and so is not sent.
    pub(crate) fn execute(&mut self, command: &str) -> bool {
        let words: Vec<&str> = command.split_whitespace().collect();
        let is_there = |truth: &Self, key: &str| truth.keys.contains_key(&truth.key(key));
        match words[..] {
            ["SELECT", db] => {
                self.db = db.parse().unwrap();
                true
            }
            ["SET", key, value, "KEEPTTL"] => {
                let at = self.at(key);
                self.write(key, Data::Text(value.into()), at)
            }
            ["SET", key, value, "PXAT", at] => {
                self.write(key, Data::Text(value.into()), Some(number(at)))
            }
            ["SETNX", key, _] if is_there(self, key) => false,
            ["SET" | "GETSET" | "SETNX", key, value] => {
                self.write(key, Data::Text(value.into()), None)
            }
            ["MSET", a, x, b, y] => {
                self.write(a, Data::Text(x.into()), None);
                self.write(b, Data::Text(y.into()), None)
            }
            ["APPEND", key, value] => self.text(key).is_some_and(|old| {
                let new = [&old, value.as_bytes()].concat();
                self.write(key, Data::Text(new), self.at(key))
            }),
            ["INCRBY", key, by] => {
                let old = match self.text(key).map(|old| String::from_utf8(old).unwrap()) {
                    Some(old) if old.is_empty() && !is_there(self, key) => Some(0),
                    old => old.and_then(|old| old.parse::<i64>().ok()),
                };
                let new = old.and_then(|old| old.checked_add(number(by)));
                new.is_some_and(|new| {
                    self.write(key, Data::Text(new.to_string().into()), self.at(key))
                })
            }
            ["DEL" | "UNLINK", ref keys @ ..] => {
                let before = self.keys.len();
                keys.iter().for_each(|key| drop(self.keys.remove(&self.key(key))));
                self.keys.len() < before
            }
            ["PEXPIREAT", key, at] => {
                let key = self.key(key);
                self.keys.get_mut(&key).map(|held| held.at = Some(number(at))).is_some()
            }
            ["PERSIST", key] => {
                let key = self.key(key);
                self.keys.get_mut(&key).is_some_and(|held| held.at.take().is_some())
            }
            ["RENAME", from, to] => {
                let (from, to) = (self.key(from), self.key(to));
                from != to
                    && self.keys.remove(&from).map(|held| self.keys.insert(to, held)).is_some()
            }
            ["MOVE", key, db] => {
                let (from, to) = (self.key(key), (db.parse().unwrap(), key.to_owned()));
                !self.keys.contains_key(&to)
                    && self.keys.remove(&from).map(|held| self.keys.insert(to, held)).is_some()
            }
            ["COPY", from, to, "DB", db, "REPLACE"] => {
                let (from, to) = (self.key(from), (db.parse().unwrap(), to.to_owned()));
                let held = self.keys.get(&from).filter(|_| from != to).cloned();
                held.map(|held| self.keys.insert(to, held)).is_some()
            }
            ["FLUSHALL"] => {
                self.keys.clear();
                true
            }
            ["FLUSHDB"] => {
                let db = self.db;
                self.keys.retain(|(other, _), _| *other != db);
                true
            }
            ["SWAPDB", a, b] => {
                let (a, b): (Db, Db) = (a.parse().unwrap(), b.parse().unwrap());
                let swap = |db| {
                    if db == a {
                        b
                    } else if db == b {
                        a
                    } else {
                        db
                    }
                };
                let keys = std::mem::take(&mut self.keys).into_iter();
                self.keys = keys.map(|((db, key), held)| ((swap(db), key), held)).collect();
                true
            }
            [name, ..] if name.starts_with(['L', 'R']) => self.edit_lists(&words).is_some(),
            [name, ..] if name.starts_with('S') => self.edit_sets(&words).is_some(),
            [name, ..] if name.starts_with('Z') => self.edit_zsets(&words).is_some(),
            [_, key, ..] => self.fields(key).is_some_and(|fields| {
                let edited = edit_fields(&words, fields);
                edited.is_some_and(|new| self.write(key, Data::Fields(new), self.at(key)))
            }),
            _ => panic!("no {command}"),
        }
    }
}

/// The fields after a command on a hash; `None` if nothing changes.
fn edit_fields(words: &[&str], mut fields: Fields) -> Option<Fields> {
    match words[..] {
        ["HSET", _, f, v, g, w] => {
            fields.insert(f.into(), (v.into(), None));
            fields.insert(g.into(), (w.into(), None));
        }
        ["HSETEX", _, "KEEPTTL", "FIELDS", "1", f, v] => {
            let at = fields.get(f).and_then(|(_, at)| *at);
            fields.insert(f.into(), (v.into(), at));
        }
        ["HSETEX", _, "PXAT", at, "FIELDS", "1", f, v] => {
            fields.insert(f.into(), (v.into(), Some(number(at))));
        }
        ["HINCRBY", _, f, by] => {
            let (old, at) = fields.get(f).cloned().unwrap_or(("0".into(), None));
            let new = old.parse::<i64>().ok()?.checked_add(number(by))?;
            fields.insert(f.into(), (new.to_string(), at));
        }
        ["HDEL", _, f, g] => {
            let (had_f, had_g) = (fields.remove(f).is_some(), fields.remove(g).is_some());
            (had_f || had_g).then_some(())?;
        }
        ["HPEXPIREAT", _, at, condition, "FIELDS", "2", f, g] => {
            let new = number(at);
            let mut met = false;
            for name in [f, g] {
                if let Some((_, at)) = fields.get_mut(name) {
                    let meets = match (condition, *at) {
                        ("NX", old) => old.is_none(),
                        ("XX", old) => old.is_some(),
                        ("GT", old) => old.is_some_and(|old| new > old),
                        (_, old) => old.is_none_or(|old| new < old),
                    };
                    *at = if meets { Some(new) } else { *at };
                    met |= meets;
                }
            }
            met.then_some(())?;
        }
        ["HPERSIST", _, "FIELDS", "2", f, g] => {
            let mut take = |name| fields.get_mut(name).and_then(|(_, at)| at.take()).is_some();
            let (had_f, had_g) = (take(f), take(g));
            (had_f || had_g).then_some(())?;
        }
        _ => panic!("no {words:?}"),
    }
    Some(fields)
}

/// What readers see: values, but for hashes and sets of which nothing is there.
pub(crate) fn visible(table: &Table) -> Keys {
    let mut keys = Keys::new();
    for (db, key, entry) in table.entries() {
        if let Some(value) = entry.value {
            let held = Held::of(&value, entry.expires_at_ms);
            if !held.data.is_nothing() {
                keys.insert((db, text(&key)), held);
            }
        }
    }
    keys
}

/// What must hold between the primary, the table and the program that listens.
pub(crate) fn check(table: &Table, scope: &Scope, truth: &Truth, mirror: &Mirror) {
    let mut names: BTreeSet<_> = truth.keys.keys().cloned().collect();
    for (db, key, _) in table.entries() {
        names.insert((db, text(&key)));
    }
    for (db, key) in names {
        let entry = table.get(db, key.as_bytes());
        let held = truth.keys.get(&(db, key.clone()));
        let place = format!("{db}/{key}: {} of {held:?}", entry_shown(entry.as_ref()));
        if !scope.admits(db, key.as_bytes()) {
            assert!(entry.is_none(), "left out, but there: {place}");
        } else if let Some(entry) = entry {
            check_entry(&entry, held, &place);
        } else {
            assert!(held.is_none(), "lacking, and nobody knows: {place}");
        }
    }
    assert_eq!(visible(table), mirror.keys, "readers see something else than was heard");
}

fn check_entry(entry: &Entry, truth: Option<&Held>, place: &str) {
    let truly = truth.map_or(ABSENT, Held::print);
    if let Some(print) = known_fingerprint(entry) {
        assert_eq!(print, truly, "a wrong fingerprint: {place}");
    }
    let Some(value) = &entry.value else {
        let knows_deadline = !entry.hold.as_ref().unwrap().frozen;
        if let (Some(truth), true) = (truth, knows_deadline) {
            assert_eq!(entry.expires_at_ms, truth.at, "a ghost's deadline: {place}");
        }
        return;
    };
    let Some(hold) = &entry.hold else {
        assert_eq!(Some(&Held::of(value, entry.expires_at_ms)), truth, "made up: {place}");
        return;
    };
    if hold.frozen {
        return;
    }
    assert!(!hold.withheld.is_empty(), "partial, but nothing lacks: {place}");
    let ours = Held::of(value, None).data.parts();
    let theirs = match truth {
        Some(held) if held.value().kind() == value.kind() => held.data.parts(),
        _ => Fields::new(),
    };
    for name in ours.keys().chain(theirs.keys()) {
        if !hold.withheld.contains(name.as_bytes()) {
            assert_eq!(ours.get(name), theirs.get(name), "element {name}: {place}");
        }
    }
    for (name, print) in hold.withheld.iter() {
        assert!(
            print != Some(ABSENT) || ours.contains_key(&text(name)),
            "neither side has {}, but it is withheld: {place}",
            text(name)
        );
    }
    if let Some(truth) = truth {
        assert_eq!(entry.expires_at_ms, truth.at, "deadline: {place}");
    }
}
