//! Writes a primary's data as a snapshot: in the plain encodings, with a checksum.

use super::model::{Data, Item, Stream, Value};
use rets::rdb::crc64;

const VERSION: &[u8] = b"REDIS0012";

fn length(out: &mut Vec<u8>, len: usize) {
    match len {
        0..0x40 => out.push(len as u8),
        0x40..0x4000 => out.extend_from_slice(&(0x4000 | len as u16).to_be_bytes()),
        _ => {
            out.push(0x80);
            out.extend_from_slice(&(len as u32).to_be_bytes());
        }
    }
}

fn text(out: &mut Vec<u8>, bytes: &[u8]) {
    length(out, bytes.len());
    out.extend_from_slice(bytes);
}

fn auxiliary(out: &mut Vec<u8>, name: &str, value: &str) {
    out.push(0xfa);
    text(out, name.as_bytes());
    text(out, value.as_bytes());
}

/// The type's number, and the value as it stands behind the key.
fn value(value: &Value) -> (u8, Vec<u8>) {
    let mut out = Vec::new();
    let kind = match value {
        Value::Text(bytes) => {
            text(&mut out, bytes);
            0
        }
        Value::List(list) => {
            length(&mut out, list.len());
            list.iter().for_each(|element| text(&mut out, element));
            1
        }
        Value::Set(set) => {
            length(&mut out, set.len());
            set.iter().for_each(|member| text(&mut out, member));
            2
        }
        Value::Zset(zset) => {
            length(&mut out, zset.len());
            for (member, score) in zset {
                text(&mut out, member);
                out.extend_from_slice(&score.to_le_bytes());
            }
            5
        }
        Value::Stream(entries) => {
            stream(&mut out, entries);
            21
        }
        Value::Hash(hash) => match hash.values().filter_map(|(_, at)| *at).min() {
            None => {
                length(&mut out, hash.len());
                for (field, (content, _)) in hash {
                    text(&mut out, field);
                    text(&mut out, content);
                }
                4
            }
            Some(least) => {
                out.extend_from_slice(&least.to_le_bytes());
                length(&mut out, hash.len());
                for (field, (content, at)) in hash {
                    length(&mut out, at.map_or(0, |at| (at - least + 1) as usize));
                    text(&mut out, field);
                    text(&mut out, content);
                }
                24
            }
        },
    };
    (kind, out)
}

/// Each entry in a node of its own; no groups.
fn stream(out: &mut Vec<u8>, stream: &Stream) {
    let ids = |out: &mut Vec<u8>, (ms, seq): (u64, u64)| {
        length(out, ms as usize);
        length(out, seq as usize);
    };
    length(out, stream.entries.len());
    for ((ms, seq), pairs) in &stream.entries {
        length(out, 16);
        out.extend_from_slice(&ms.to_be_bytes());
        out.extend_from_slice(&seq.to_be_bytes());
        let mut pack = Pack::default();
        // One entry, none deleted, the names; the flag of an entry that has those; no distance from
        // the node's id; the values; how many elements the entry has.
        [1, 0, pairs.len()].into_iter().for_each(|n| pack.number(n));
        pairs.iter().for_each(|(name, _)| pack.text(name));
        [0, 2, 0, 0].into_iter().for_each(|n| pack.number(n));
        pairs.iter().for_each(|(_, value)| pack.text(value));
        pack.number(pairs.len() + 3);
        text(out, &pack.finish());
    }
    length(out, stream.entries.len());
    ids(out, stream.last);
    ids(out, stream.entries.keys().next().copied().unwrap_or_default());
    ids(out, stream.max_deleted);
    length(out, stream.added as usize);
    length(out, 0);
}

/// A listpack of small elements.
#[derive(Default)]
struct Pack {
    count: u16,
    bytes: Vec<u8>,
}

impl Pack {
    fn number(&mut self, number: usize) {
        assert!(number < 128, "{number} is not small");
        self.count += 1;
        self.bytes.extend([number as u8, 1]);
    }

    fn text(&mut self, text: &[u8]) {
        assert!(text.len() < 64, "{} is not short", text.escape_ascii());
        self.count += 1;
        self.bytes.push(0x80 | text.len() as u8);
        self.bytes.extend_from_slice(text);
        self.bytes.push(1 + text.len() as u8);
    }

    fn finish(self) -> Vec<u8> {
        let len = 6 + self.bytes.len() as u32 + 1;
        let (len, count) = (len.to_le_bytes(), self.count.to_le_bytes());
        [&len[..], &count, &self.bytes, &[0xff]].concat()
    }
}

/// The whole snapshot. `stream_db` is the database that the stream has selected, where its bytes
/// are another primary's.
pub fn write(data: &Data, stream_db: Option<u32>) -> Vec<u8> {
    let mut out = VERSION.to_vec();
    auxiliary(&mut out, "redis-ver", "7.4.1");
    if let Some(db) = stream_db {
        auxiliary(&mut out, "repl-stream-db", &db.to_string());
    }
    for (db, database) in data.databases() {
        out.push(0xfe);
        length(&mut out, db as usize);
        out.push(0xfb);
        length(&mut out, database.len());
        length(&mut out, database.values().filter(|item| item.at.is_some()).count());
        for (key, item) in database {
            entry(&mut out, key, item);
        }
    }
    out.push(0xff);
    let sum = crc64(0, &out);
    out.extend_from_slice(&sum.to_le_bytes());
    out
}

fn entry(out: &mut Vec<u8>, key: &[u8], item: &Item) {
    if let Some(at) = item.at {
        out.push(0xfc);
        out.extend_from_slice(&at.to_le_bytes());
    }
    let (kind, content) = value(&item.value);
    out.push(kind);
    text(out, key);
    out.extend_from_slice(&content);
}
