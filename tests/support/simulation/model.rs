//! What a primary has, in plain collections and by the plainest rules: the judge of the table,
//! which shares no code with it.

use super::history::NOTHING;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

/// A command: its words.
pub type Words = Vec<Vec<u8>>;

#[derive(Clone, Debug, PartialEq)]
pub enum Value {
    Text(Vec<u8>),
    List(Vec<Vec<u8>>),
    Set(BTreeSet<Vec<u8>>),
    /// Fields with their values and deadlines.
    Hash(BTreeMap<Vec<u8>, (Vec<u8>, Option<i64>)>),
    Zset(BTreeMap<Vec<u8>, f64>),
    Stream(Stream),
}

/// A stream without groups. It stays when its last entry goes.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Stream {
    pub entries: BTreeMap<Id, Pairs>,
    pub last: Id,
    pub max_deleted: Id,
    pub added: u64,
}

/// What an entry of a stream has: names and values.
pub type Pairs = Vec<(Vec<u8>, Vec<u8>)>;

/// Of an entry of a stream: time and number.
pub type Id = (u64, u64);

impl Value {
    /// An aggregate without elements, which is no key.
    pub fn is_empty(&self) -> bool {
        match self {
            Self::Text(_) | Self::Stream(_) => false,
            Self::List(list) => list.is_empty(),
            Self::Set(set) => set.is_empty(),
            Self::Hash(hash) => hash.is_empty(),
            Self::Zset(zset) => zset.is_empty(),
        }
    }
}

/// A key's value and deadline.
#[derive(Clone, Debug, PartialEq)]
pub struct Item {
    pub value: Value,
    pub at: Option<i64>,
}

pub type Database = BTreeMap<Vec<u8>, Arc<Item>>;

/// All databases that have keys. Clones share what neither changes.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Data {
    databases: BTreeMap<u32, Arc<Database>>,
}

fn text(bytes: &[u8]) -> &str {
    std::str::from_utf8(bytes).expect("text")
}

fn int(bytes: &[u8]) -> i64 {
    text(bytes).parse().expect("a number")
}

fn id(bytes: &[u8]) -> Id {
    let (ms, seq) = text(bytes).split_once('-').expect("an id");
    (ms.parse().expect("a number"), seq.parse().expect("a number"))
}

fn score(bytes: &[u8]) -> f64 {
    text(bytes).parse().expect("a number")
}

/// The part of a sequence that two places name, negative ones from the end.
fn span(len: usize, start: i64, stop: i64) -> std::ops::Range<usize> {
    let len = len as i64;
    let place = |at: i64| if at < 0 { at + len } else { at };
    let (start, end) = (place(start).max(0), (place(stop) + 1).clamp(0, len));
    if start < end { start as usize..end as usize } else { 0..0 }
}

impl Data {
    pub fn get(&self, db: u32, key: &[u8]) -> Option<&Item> {
        self.databases.get(&db)?.get(key).map(|item| &**item)
    }

    pub fn database(&self, db: u32) -> Option<&Database> {
        self.databases.get(&db).map(|database| &**database)
    }

    /// Every key with its database.
    pub fn items(&self) -> impl Iterator<Item = (u32, &Vec<u8>, &Item)> {
        self.databases
            .iter()
            .flat_map(|(db, database)| database.iter().map(|(key, item)| (*db, key, &**item)))
    }

    pub fn databases(&self) -> impl Iterator<Item = (u32, &Database)> {
        self.databases.iter().map(|(db, database)| (*db, &**database))
    }

    pub fn put(&mut self, db: u32, key: &[u8], value: Value, at: Option<i64>) {
        if value.is_empty() {
            self.remove(db, key);
            return;
        }
        let database = Arc::make_mut(self.databases.entry(db).or_default());
        database.insert(key.to_vec(), Arc::new(Item { value, at }));
    }

    pub fn remove(&mut self, db: u32, key: &[u8]) -> Option<Item> {
        let database = self.databases.get_mut(&db)?;
        let item = Arc::make_mut(database).remove(key)?;
        if database.is_empty() {
            self.databases.remove(&db);
        }
        Some(Arc::unwrap_or_clone(item))
    }

    /// Changes a value, or one made of nothing, in place; the deadline stays.
    pub fn edit(&mut self, db: u32, key: &[u8], new: Value, change: impl FnOnce(&mut Value)) {
        let Item { mut value, at } = self.remove(db, key).unwrap_or(Item { value: new, at: None });
        change(&mut value);
        self.put(db, key, value, at);
    }

    pub fn set_deadline(&mut self, db: u32, key: &[u8], at: Option<i64>) {
        if let Some(item) = self.remove(db, key) {
            self.put(db, key, item.value, at);
        }
    }

    pub fn flush(&mut self, db: Option<u32>) {
        match db {
            Some(db) => drop(self.databases.remove(&db)),
            None => self.databases.clear(),
        }
    }

    pub fn swap(&mut self, a: u32, b: u32) {
        let (was_a, was_b) = (self.databases.remove(&a), self.databases.remove(&b));
        self.databases.extend(was_a.map(|database| (b, database)));
        self.databases.extend(was_b.map(|database| (a, database)));
    }

    /// Does what a primary did. It sends only what succeeded, so nothing here fails.
    pub fn apply(&mut self, db: u32, words: &Words) {
        let name = text(&words[0]).to_ascii_uppercase();
        let key = words.get(1).map_or(&b""[..], Vec::as_slice);
        let args = words.get(2..).unwrap_or_default();
        if key == NOTHING {
            return;
        }
        match name.as_str() {
            "DEL" | "UNLINK" => words[1..].iter().for_each(|key| drop(self.remove(db, key))),
            "PEXPIREAT" => self.set_deadline(db, key, Some(int(&args[0]))),
            "PERSIST" => self.set_deadline(db, key, None),
            "RENAME" => {
                let item = self.remove(db, key).expect("it is there");
                self.put(db, &args[0], item.value, item.at);
            }
            "MOVE" => {
                let item = self.remove(db, key).expect("it is there");
                self.put(int(&args[0]) as u32, key, item.value, item.at);
            }
            "COPY" => {
                let item = self.get(db, key).expect("it is there").clone();
                self.put(int(&args[2]) as u32, &args[0], item.value, item.at);
            }
            "FLUSHALL" => self.flush(None),
            "FLUSHDB" => self.flush(Some(db)),
            "SWAPDB" => self.swap(int(key) as u32, int(&args[0]) as u32),
            "SELECT" | "PING" | "REPLCONF" | "PUBLISH" => {}
            name if name.starts_with("NEW.") => {}
            name if name.starts_with('H') => self.apply_to_hash(db, name, key, args),
            name if name.starts_with('S') && name != "SET" && name != "SETRANGE" => {
                self.apply_to_set(db, name, key, args);
            }
            "XADD" | "XDEL" | "XTRIM" => self.apply_to_stream(db, &name, key, args),
            name if name.starts_with('Z') => self.apply_to_zset(db, name, key, args),
            "RPUSH" | "LPUSH" | "RPOP" | "LPOP" | "LREM" | "LSET" | "LTRIM" | "LINSERT"
            | "LMOVE" => self.apply_to_list(db, &name, key, args),
            _ => self.apply_to_text(db, &name, words),
        }
    }

    fn apply_to_text(&mut self, db: u32, name: &str, words: &Words) {
        let (key, args) = (&words[1][..], &words[2..]);
        let number = |value: &Value| match value {
            Value::Text(bytes) if bytes.is_empty() => 0,
            Value::Text(bytes) => int(bytes),
            _ => panic!("not a string"),
        };
        let mut add = |by: i64| {
            self.edit(db, key, Value::Text(Vec::new()), |value| {
                *value = Value::Text((number(value) + by).to_string().into_bytes());
            });
        };
        match name {
            "SET" => {
                let old = self.get(db, key).and_then(|item| item.at);
                let at = match args.get(1).map(|word| text(word)) {
                    Some("PXAT") => Some(int(&args[2])),
                    Some("KEEPTTL") => old,
                    _ => None,
                };
                self.put(db, key, Value::Text(args[0].clone()), at);
            }
            "MSET" => {
                for pair in words[1..].chunks(2) {
                    self.put(db, &pair[0], Value::Text(pair[1].clone()), None);
                }
            }
            "INCR" => add(1),
            "DECRBY" => add(-int(&args[0])),
            "INCRBY" => add(int(&args[0])),
            "APPEND" => self.edit(db, key, Value::Text(Vec::new()), |value| {
                let Value::Text(bytes) = value else { panic!("not a string") };
                bytes.extend_from_slice(&args[0]);
            }),
            "SETRANGE" => self.edit(db, key, Value::Text(Vec::new()), |value| {
                let Value::Text(bytes) = value else { panic!("not a string") };
                let start = int(&args[0]) as usize;
                let end = start + args[1].len();
                bytes.resize(bytes.len().max(end), 0);
                bytes[start..end].copy_from_slice(&args[1]);
            }),
            other => panic!("the model knows no {other}"),
        }
    }

    fn apply_to_list(&mut self, db: u32, name: &str, key: &[u8], args: &[Vec<u8>]) {
        if name == "LMOVE" {
            let (mut moved, to) = (None, &args[0]);
            let take = |list: &mut Vec<Vec<u8>>| {
                let at = if args[1] == b"LEFT" { 0 } else { list.len() - 1 };
                list.remove(at)
            };
            let put = |list: &mut Vec<Vec<u8>>, element| {
                let at = if args[2] == b"LEFT" { 0 } else { list.len() };
                list.insert(at, element);
            };
            self.edit(db, key, Value::List(Vec::new()), |value| {
                let Value::List(list) = value else { panic!("not a list") };
                let element = take(list);
                if key == to {
                    // The last one may go round: the key, and so its deadline, stays.
                    put(list, element);
                } else {
                    moved = Some(element);
                }
            });
            if let Some(element) = moved {
                self.edit(db, to, Value::List(Vec::new()), |value| {
                    let Value::List(list) = value else { panic!("not a list") };
                    put(list, element);
                });
            }
            return;
        }
        self.edit(db, key, Value::List(Vec::new()), |value| {
            let Value::List(list) = value else { panic!("not a list") };
            match name {
                "RPUSH" => list.extend_from_slice(args),
                "LPUSH" => args.iter().for_each(|element| list.insert(0, element.clone())),
                "LPOP" => drop(list.drain(..(int(&args[0]) as usize).min(list.len()))),
                "RPOP" => {
                    let left = list.len().saturating_sub(int(&args[0]) as usize);
                    list.truncate(left);
                }
                "LSET" => list[int(&args[0]) as usize] = args[1].clone(),
                "LTRIM" => *list = list[span(list.len(), int(&args[0]), int(&args[1]))].to_vec(),
                "LINSERT" => {
                    if let Some(at) = list.iter().position(|element| *element == args[1]) {
                        list.insert(at + usize::from(args[0] == b"AFTER"), args[2].clone());
                    }
                }
                "LREM" => {
                    let count = int(&args[0]);
                    let mut left =
                        if count == 0 { usize::MAX } else { count.unsigned_abs() as usize };
                    let mut keep = |element: &Vec<u8>| {
                        let goes = left > 0 && *element == args[1];
                        left -= usize::from(goes);
                        !goes
                    };
                    if count < 0 {
                        list.reverse();
                    }
                    list.retain(&mut keep);
                    if count < 0 {
                        list.reverse();
                    }
                }
                other => panic!("the model knows no {other}"),
            }
        });
    }

    fn apply_to_set(&mut self, db: u32, name: &str, key: &[u8], args: &[Vec<u8>]) {
        let set_at = |data: &Self, key: &[u8]| match data.get(db, key).map(|item| &item.value) {
            Some(Value::Set(set)) => set.clone(),
            None => BTreeSet::new(),
            Some(_) => panic!("not a set"),
        };
        match name {
            "SADD" => self.edit(db, key, Value::Set(BTreeSet::new()), |value| {
                let Value::Set(set) = value else { panic!("not a set") };
                set.extend(args.iter().cloned());
            }),
            "SREM" => self.edit(db, key, Value::Set(BTreeSet::new()), |value| {
                let Value::Set(set) = value else { panic!("not a set") };
                set.retain(|member| !args.contains(member));
            }),
            "SMOVE" => {
                self.apply_to_set(db, "SREM", key, &args[1..]);
                self.apply_to_set(db, "SADD", &args[0], &args[1..]);
            }
            "SUNIONSTORE" | "SINTERSTORE" | "SDIFFSTORE" => {
                let (a, b) = (set_at(self, &args[0]), set_at(self, &args[1]));
                let made = match name {
                    "SUNIONSTORE" => &a | &b,
                    "SINTERSTORE" => &a & &b,
                    _ => &a - &b,
                };
                self.put(db, key, Value::Set(made), None);
            }
            other => panic!("the model knows no {other}"),
        }
    }

    fn apply_to_zset(&mut self, db: u32, name: &str, key: &[u8], args: &[Vec<u8>]) {
        if name == "ZUNIONSTORE" {
            let mut made = BTreeMap::new();
            for source in &args[1..] {
                if let Some(Item { value: Value::Zset(zset), .. }) = self.get(db, source) {
                    zset.iter().for_each(|(m, s)| *made.entry(m.clone()).or_insert(0.0) += s);
                }
            }
            return self.put(db, key, Value::Zset(made), None);
        }
        self.edit(db, key, Value::Zset(BTreeMap::new()), |value| {
            let Value::Zset(zset) = value else { panic!("not a sorted set") };
            match name {
                "ZADD" => {
                    let pairs = args.chunks(2);
                    zset.extend(pairs.map(|pair| (pair[1].clone(), score(&pair[0]))));
                }
                "ZINCRBY" => *zset.entry(args[1].clone()).or_insert(0.0) += score(&args[0]),
                "ZREM" => zset.retain(|member, _| !args.contains(member)),
                "ZREMRANGEBYRANK" => {
                    let mut ranked: Vec<_> = zset.iter().map(|(m, s)| (*s, m.clone())).collect();
                    ranked.sort_by(|a, b| a.0.total_cmp(&b.0).then_with(|| a.1.cmp(&b.1)));
                    for (_, member) in &ranked[span(ranked.len(), int(&args[0]), int(&args[1]))] {
                        zset.remove(member);
                    }
                }
                other => panic!("the model knows no {other}"),
            }
        });
    }

    fn apply_to_stream(&mut self, db: u32, name: &str, key: &[u8], args: &[Vec<u8>]) {
        self.edit(db, key, Value::Stream(Stream::default()), |value| {
            let Value::Stream(stream) = value else { panic!("not a stream") };
            match name {
                "XADD" => {
                    let pairs = args[1..].chunks(2).map(|pair| (pair[0].clone(), pair[1].clone()));
                    stream.last = id(&args[0]);
                    stream.entries.insert(stream.last, pairs.collect());
                    stream.added += 1;
                }
                "XDEL" => {
                    for id in args.iter().map(|arg| id(arg)) {
                        if stream.entries.remove(&id).is_some() {
                            stream.max_deleted = stream.max_deleted.max(id);
                        }
                    }
                }
                // key MAXLEN = count
                _ => {
                    while stream.entries.len() > int(&args[2]) as usize {
                        stream.entries.pop_first();
                    }
                }
            }
        });
    }

    fn apply_to_hash(&mut self, db: u32, name: &str, key: &[u8], args: &[Vec<u8>]) {
        self.edit(db, key, Value::Hash(BTreeMap::new()), |value| {
            let Value::Hash(hash) = value else { panic!("not a hash") };
            match name {
                "HSET" => {
                    let pairs = args.chunks(2);
                    hash.extend(pairs.map(|pair| (pair[0].clone(), (pair[1].clone(), None))));
                }
                "HDEL" => args.iter().for_each(|field| drop(hash.remove(field))),
                "HINCRBY" => {
                    let field = hash.entry(args[0].clone()).or_insert((b"0".to_vec(), None));
                    field.0 = (int(&field.0) + int(&args[1])).to_string().into_bytes();
                }
                // key deadline FIELDS 1 field
                "HPEXPIREAT" => {
                    if let Some(field) = hash.get_mut(&args[3]) {
                        field.1 = Some(int(&args[0]));
                    }
                }
                // key FIELDS 1 field
                "HPERSIST" => {
                    if let Some(field) = hash.get_mut(&args[2]) {
                        field.1 = None;
                    }
                }
                other => panic!("the model knows no {other}"),
            }
        });
    }
}
