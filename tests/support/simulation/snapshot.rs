//! Writes a primary's data as a snapshot: in the plain encodings, with a checksum.

use super::model::{Data, Item, Value};
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
