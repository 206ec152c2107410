//! Reads what `DUMP` answers and `RESTORE` takes: one value with its own version and checksum.

use super::crc64::crc64;
use super::cursor::{Cursor, Parsed, Stop, bad};
use super::module::ModuleData;
use super::object::{Buffers, Builder};
use super::opcode;
use super::types::{self, Dialect, VALKEY_VERSION_MIN};
use crate::error::{Error, Result};
use crate::value::Value;

/// Behind the value: the version in 2 bytes and the checksum of everything before it in 8.
const CHECKSUM: usize = 8;

/// The value in a `DUMP` payload. A checksum of 0 says that there is none.
pub fn decode_payload(payload: &[u8]) -> Result<Value> {
    let damaged =
        |text: &str| Error::protocol(format!("payload of {} bytes: {text}", payload.len()));
    let Some((summed, checksum)) = payload.split_last_chunk::<CHECKSUM>() else {
        return Err(damaged("too short"));
    };
    let Some((body, version)) = summed.split_last_chunk::<2>() else {
        return Err(damaged("too short"));
    };
    let checksum = u64::from_le_bytes(*checksum);
    if checksum != 0 && checksum != crc64(0, summed) {
        return Err(damaged("the checksum is wrong"));
    }
    let mut cursor = Cursor::new(body);
    value(&mut cursor, u32::from(u16::from_le_bytes(*version))).map_err(|stop| {
        let (at, _) = cursor.committed();
        match stop {
            Stop::Need(_) => Error::protocol(format!("payload offset {at}: it ends too early")),
            Stop::Bad(kind, text) => Error::new(kind, format!("payload offset {at}: {text}")),
        }
    })
}

fn value(cursor: &mut Cursor<'_>, version: u32) -> Parsed<Value> {
    let dialect = if version < VALKEY_VERSION_MIN { Dialect::Redis } else { Dialect::Valkey };
    let mut number = cursor.byte()?;
    if number == opcode::KEY_META_OR_SLOT_IMPORT && dialect == Dialect::Redis {
        ModuleData::key_metadata(cursor)?.run(cursor)?;
        number = cursor.byte()?;
    }
    let layout = types::row(number, dialect).layout(number, dialect, version)?;
    cursor.commit();
    let mut buffers = Buffers::default();
    let made = Builder::new(layout).run(cursor, &mut buffers)?;
    cursor.commit();
    if !cursor.is_at_end() {
        return Err(bad("more bytes follow the value"));
    }
    let made = made.ok_or_else(|| bad("the value has no elements"))?;
    Ok(made.lend(&mut buffers).into_value())
}
