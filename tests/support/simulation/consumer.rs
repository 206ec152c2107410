//! What a program makes of the events alone: a map that takes over what the callback kept. It must
//! have what the table has.

use super::model::{Data, Item, Stream, Value};
use rets::change::{Change, Effect, Verdict};
use rets::replica::{Answer, Replica, Type, Whole};
use rets::value::Value as TableValue;
use std::collections::{BTreeMap, BTreeSet};

/// A key with its database.
pub type Place = (u32, Vec<u8>);

#[derive(Default)]
pub struct Consumer {
    pub data: Data,
    /// Keys of which something was skipped, or could not be known, since they were last written
    /// whole: they may differ from what the primary has.
    pub held: BTreeSet<Place>,
}

pub fn value_of(value: &TableValue) -> Value {
    match value {
        TableValue::String(bytes) => Value::Text(bytes.to_vec()),
        TableValue::List(list) => Value::List(list.iter().map(<[u8]>::to_vec).collect()),
        TableValue::Set(set) => Value::Set(set.iter().map(|member| member.to_vec()).collect()),
        TableValue::Zset(zset) => {
            Value::Zset(zset.iter().map(|(member, score)| (member.to_vec(), score)).collect())
        }
        TableValue::Hash(hash) => {
            let fields = hash.iter();
            let field = |(name, field): (&[u8], rets::value::Field<'_>)| {
                (name.to_vec(), (field.value.to_vec(), field.expires_at_ms))
            };
            Value::Hash(fields.map(field).collect())
        }
        TableValue::Stream(stream) => stream_of(stream),
        // Of a first load that is damaged: the checksum comes last.
        other => Value::Text(format!("{:?}", other.kind()).into_bytes()),
    }
}

fn stream_of(stream: &rets::replica::Stream) -> Value {
    let pair = |(name, value): (&[u8], &[u8])| (name.to_vec(), value.to_vec());
    let entries = stream.iter();
    let id = |id: rets::value::Id| (id.ms, id.seq);
    Value::Stream(Stream {
        entries: entries.map(|entry| (id(entry.id), entry.fields.map(pair).collect())).collect(),
        last: id(stream.last_id()),
        max_deleted: id(stream.max_deleted_id()),
        added: stream.added(),
    })
}

impl Consumer {
    /// Takes over one change.
    pub fn hear(&mut self, change: &Change<'_>, verdict: Verdict) {
        match change.effect {
            Effect::Unknown => return,
            Effect::Flush => {
                self.data.flush(change.db);
                self.held.retain(|(db, _)| change.db.is_some_and(|flushed| flushed != *db));
                return;
            }
            Effect::Swap { other } => return self.swap(change.db.expect("a database"), other),
            _ => {}
        }
        let (db, key) = (change.db.expect("a database"), change.key);
        let place = (db, key.to_vec());
        let is_kept = verdict == Verdict::Keep && change.result_known;
        match change.effect {
            Effect::Set if is_kept => {
                let value = change.value.expect("it is known");
                self.data.put(db, key, value_of(value), change.expires_at_ms);
                self.held.remove(&place);
                return;
            }
            // Withheld instead: what was there is no longer true.
            Effect::Set if verdict == Verdict::Keep && change.value.is_none() => {
                self.data.remove(db, key);
            }
            Effect::Delete if verdict == Verdict::Keep => {
                self.data.remove(db, key);
                self.held.remove(&place);
                return;
            }
            Effect::Edit if is_kept && change.key_gone => drop(self.data.remove(db, key)),
            Effect::Edit if is_kept => {
                let value = change.value.expect("it is known");
                self.data.put(db, key, value_of(value), change.expires_at_ms);
            }
            // A skipped edit of a string or list withholds it.
            Effect::Edit if change.result_known && !change.key_gone => {
                self.data.remove(db, key);
            }
            Effect::Expire if is_kept => self.data.set_deadline(db, key, change.expires_at_ms),
            _ if is_kept => self.edit_element(change),
            _ => {}
        }
        if !is_kept {
            self.held.insert(place);
        }
    }

    fn edit_element(&mut self, change: &Change<'_>) {
        let (db, key) = (change.db.expect("a database"), change.key);
        let new = match change.effect {
            Effect::SetAdd { .. } | Effect::SetRemove { .. } => Value::Set(BTreeSet::new()),
            Effect::ZsetAdd { .. } | Effect::ZsetRemove { .. } => Value::Zset(BTreeMap::new()),
            _ => Value::Hash(BTreeMap::new()),
        };
        self.data.edit(db, key, new, |value| match (value, change.effect) {
            (Value::Hash(hash), Effect::HashSet { field, value, expires_at_ms }) => {
                let value = value.expect("it is known").to_vec();
                hash.insert(field.to_vec(), (value, expires_at_ms));
            }
            (Value::Hash(hash), Effect::HashDelete { field }) => drop(hash.remove(field)),
            (Value::Hash(hash), Effect::HashExpire { field, expires_at_ms }) => {
                if let Some(field) = hash.get_mut(field) {
                    field.1 = expires_at_ms;
                }
            }
            (Value::Set(set), Effect::SetAdd { member }) => {
                set.insert(member.to_vec());
            }
            (Value::Set(set), Effect::SetRemove { member }) => {
                set.remove(member);
            }
            (Value::Zset(zset), Effect::ZsetAdd { member, score }) => {
                zset.insert(member.to_vec(), score.expect("it is known"));
            }
            (Value::Zset(zset), Effect::ZsetRemove { member }) => {
                zset.remove(member);
            }
            (value, effect) => panic!("{effect:?} of {value:?}"),
        });
        self.data.set_deadline(db, key, change.expires_at_ms);
    }

    /// Where a table differs from what the events made, but for what they told in vain.
    pub fn difference(&self, table: &Data, disowned: &BTreeMap<Place, bool>) -> Option<String> {
        let is_owned =
            |(db, key, _): &(u32, &Vec<u8>, &Item)| !disowned.contains_key(&(*db, (*key).clone()));
        for (db, key, item) in self.data.items().filter(is_owned) {
            let seen = table.get(db, key);
            let is_held = self.held.contains(&(db, key.clone()));
            let is_same = match seen {
                // The deadline of what is held back is its primary's affair.
                Some(seen) if is_held => seen.value == item.value,
                seen => seen == Some(item),
            };
            if !is_same {
                let key = key.escape_ascii();
                return Some(format!("db {db} {key}: events say {item:?}, the table {seen:?}"));
            }
        }
        for (db, key, item) in table.items().filter(is_owned) {
            if self.data.get(db, key).is_none() {
                let key = key.escape_ascii();
                return Some(format!("db {db} {key}: nobody was told of {item:?}"));
            }
        }
        None
    }

    fn swap(&mut self, a: u32, b: u32) {
        self.data.swap(a, b);
        let held = std::mem::take(&mut self.held).into_iter();
        self.held = held.map(|place| swapped(place, a, b)).collect();
    }
}

/// Where a key is when two databases have changed places.
pub fn swapped((db, key): Place, a: u32, b: u32) -> Place {
    let db = match db {
        _ if db == a => b,
        _ if db == b => a,
        _ => db,
    };
    (db, key)
}

/// All that readers can see, with what is logically expired: the values, and the names of all keys
/// that are there, be they withheld.
pub fn read_table(replica: &Replica) -> Option<(Data, BTreeSet<Place>)> {
    let Answer::Found(mut walk) = replica.lookups().walk(None, true) else { return None };
    let (mut data, mut names) = (Data::default(), BTreeSet::new());
    let mut whole = Whole::default();
    while let Answer::Found((db, key)) = walk.advance() {
        match replica.lookups().whole(db, &key, true, &mut whole).expect("memory") {
            Answer::Found(()) => data.put(db, &key, value_of_whole(&whole), whole.expires_at_ms()),
            Answer::Withheld => {}
            other => panic!("{other:?} of a key that is there"),
        }
        names.insert((db, key.to_vec()));
    }
    Some((data, names))
}

fn value_of_whole(whole: &Whole<'_>) -> Value {
    let elements = (0..whole.len()).map(|at| whole.element(at).expect("memory").expect("there"));
    let bytes = |part: Option<&[u8]>| part.expect("it has that").to_vec();
    match whole.kind().expect("a type") {
        Type::String => Value::Text(whole.string().expect("a string").to_vec()),
        Type::List => Value::List(elements.map(|e| bytes(e.value)).collect()),
        Type::Set => Value::Set(elements.map(|e| bytes(e.field)).collect()),
        Type::Zset => Value::Zset(elements.map(|e| (bytes(e.field), e.score)).collect()),
        Type::Hash => {
            let field =
                |e: rets::replica::Element<'_>| (bytes(e.field), (bytes(e.value), e.expires_at_ms));
            Value::Hash(elements.map(field).collect())
        }
        Type::Stream => stream_of(whole.stream().expect("a stream")),
        other => panic!("nobody sent a {other:?}"),
    }
}
