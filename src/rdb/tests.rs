//! The decoder as a whole: what its tests are made of.

mod anything;
mod made;
mod real;
mod refused;

use super::stream::tests::body as stream_body;
use super::*;
use crate::error::Kind;
use crate::value::{Array, Field, Hash, List, Module, Set, Zset};

pub(super) use made::everything;

fn feed(decoder: &mut Decoder, bytes: &[u8], items: &mut Vec<Item>) -> Result<()> {
    decoder.feed(bytes);
    while let Some(item) = decoder.next()? {
        items.push(item);
    }
    Ok(())
}

/// All items, and the error if there is one, of bytes that come in these parts.
pub(super) fn items_of<'a>(
    mut decoder: Decoder,
    parts: impl IntoIterator<Item = &'a [u8]>,
) -> (Vec<Item>, Option<Error>, Vec<u8>) {
    let mut items = Vec::new();
    for part in parts {
        if let Err(error) = feed(&mut decoder, part, &mut items) {
            assert_eq!(decoder.next(), Err(error.clone()), "an error is for ever");
            return (items, Some(error), Vec::new());
        }
    }
    (items, None, decoder.take_rest())
}

#[track_caller]
pub(super) fn decoded(bytes: &[u8]) -> Vec<Item> {
    let (items, error, rest) = items_of(Decoder::new(), [bytes]);
    assert_eq!((error, rest), (None, vec![]));
    assert!(matches!(items.last(), Some(Item::End { .. })), "{items:?}");
    items
}

#[track_caller]
pub(super) fn refused(bytes: &[u8]) -> (Kind, String) {
    let (_, error, _) = items_of(Decoder::new(), [bytes]);
    let error = error.expect("an error");
    (error.kind(), error.text().to_owned())
}

pub(super) fn skips_all() -> Decoder {
    Decoder::with_filter(Box::new(|_, _| false))
}

/// A snapshot of this body, with the end and the checksum that its version asks for.
pub(super) fn snapshot(header: &str, body: &[&[u8]]) -> Vec<u8> {
    let mut bytes = header.as_bytes().to_vec();
    bytes.extend(body.concat());
    bytes.push(opcode::EOF);
    if !matches!(header, "REDIS0001" | "REDIS0002" | "REDIS0003" | "REDIS0004") {
        let sum = crc64(0, &bytes);
        bytes.extend(sum.to_le_bytes());
    }
    bytes
}

/// A key of this type.
pub(super) fn key(number: u8, key: &str, value: &[&[u8]]) -> Vec<u8> {
    let mut bytes = vec![number, key.len() as u8];
    bytes.extend_from_slice(key.as_bytes());
    bytes.extend(value.concat());
    bytes
}

/// A string of less than 64 bytes.
fn string(bytes: &[u8]) -> Vec<u8> {
    assert!(bytes.len() < 64);
    [&[bytes.len() as u8], bytes].concat()
}

/// A listpack of these strings of less than 64 bytes, as a string. A number is written `#n`.
pub(super) fn listpack(elements: &[&str]) -> Vec<u8> {
    let mut body = Vec::new();
    for element in elements {
        let before = body.len();
        match element.strip_prefix('#') {
            Some(number) => {
                body.push(0xf4);
                body.extend(number.parse::<i64>().unwrap().to_le_bytes());
            }
            None => {
                body.push(0x80 | element.len() as u8);
                body.extend_from_slice(element.as_bytes());
            }
        }
        body.push((body.len() - before) as u8);
    }
    let mut bytes = (body.len() as u32 + 7).to_le_bytes().to_vec();
    bytes.extend((elements.len() as u16).to_le_bytes());
    bytes.extend(body);
    bytes.push(0xff);
    [&[0x40, bytes.len() as u8], &bytes[..]].concat()
}

fn bytes(text: impl AsRef<[u8]>) -> Bytes {
    Bytes::from(text.as_ref())
}

fn text_value(text: impl AsRef<[u8]>) -> Value {
    Value::String(bytes(text))
}

fn list_of<T: AsRef<[u8]>>(elements: impl IntoIterator<Item = T>) -> Value {
    Value::List(elements.into_iter().map(bytes).collect::<List>())
}

fn set_of<T: AsRef<[u8]>>(members: impl IntoIterator<Item = T>) -> Value {
    Value::Set(members.into_iter().map(bytes).collect::<Set>())
}

fn zset_of<T: AsRef<[u8]>>(members: impl IntoIterator<Item = (T, f64)>) -> Value {
    Value::Zset(members.into_iter().map(|(m, score)| (bytes(m), score)).collect::<Zset>())
}

fn hash_of<T: AsRef<[u8]>>(fields: impl IntoIterator<Item = (T, T, Option<i64>)>) -> Value {
    let mut hash = Hash::default();
    for (name, value, expires_at_ms) in fields {
        hash.insert(name.as_ref(), Field { value: value.as_ref(), expires_at_ms });
    }
    Value::Hash(hash)
}

fn entry(db: u32, key: &str, value: Value, expires_at_ms: Option<i64>) -> Item {
    Item::Entry { db, key: bytes(key), value, expires_at_ms }
}

/// The only entry.
#[track_caller]
fn only_value(snapshot: &[u8]) -> Value {
    let mut values = decoded(snapshot).into_iter().filter_map(|item| match item {
        Item::Entry { value, .. } => Some(value),
        _ => None,
    });
    let value = values.next().expect("an entry");
    assert_eq!(values.next(), None);
    value
}

fn skipped(item: Item) -> Item {
    match item {
        Item::Entry { db, key, .. } => Item::Skipped { db, key },
        other => other,
    }
}

fn payload(body: &[u8], version: u16) -> Vec<u8> {
    let mut bytes = [body, &version.to_le_bytes()].concat();
    let sum = crc64(0, &bytes);
    bytes.extend(sum.to_le_bytes());
    bytes
}
