//! Passes over what modules left in a snapshot, or keeps it as it is: it is written so that this
//! works without them.

use super::cursor::{Cursor, Parsed, Stop, bad};
use crate::value::{Bytes, Module};

/// What follows in a module's data.
const END: u64 = 0;
const SIGNED: u64 = 1;
const UNSIGNED: u64 = 2;
const FLOAT: u64 = 3;
const DOUBLE: u64 = 4;
const STRING: u64 = 5;

/// Six bits of an identifier are one of these.
const NAME_LETTERS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";

/// The lowest bits of an identifier are the version of the encoding.
const VERSION_BITS: u32 = 10;

/// Bytes in front of each class of a key's metadata: its name, version and flags.
const CLASS_HEADER: usize = 4;

/// Module data that is passed over.
#[derive(Debug, Default)]
pub(super) struct ModuleData {
    /// A module's data has begun and not ended.
    inside: bool,
    /// How many more classes of metadata follow.
    classes_left: u64,
}

impl ModuleData {
    /// Data of a module about the whole snapshot: reads what stands before the data itself.
    pub(super) fn auxiliary(cursor: &mut Cursor<'_>) -> Parsed<Self> {
        let _module = cursor.length()?;
        if cursor.length()? != UNSIGNED {
            return Err(bad("a module's data lacks the word when it is for"));
        }
        let _when = cursor.length()?;
        Ok(Self { inside: true, classes_left: 0 })
    }

    /// Metadata of the key that follows.
    pub(super) fn key_metadata(cursor: &mut Cursor<'_>) -> Parsed<Self> {
        Ok(Self { inside: false, classes_left: cursor.length()? })
    }

    /// Goes on with the bytes at hand; Ok when the end was reached.
    pub(super) fn run(&mut self, cursor: &mut Cursor<'_>) -> Parsed<()> {
        loop {
            if self.inside {
                self.inside = !value(cursor)?;
            } else if self.classes_left > 0 {
                cursor.take(CLASS_HEADER)?;
                self.classes_left -= 1;
                self.inside = true;
            } else {
                return Ok(());
            }
            cursor.commit();
        }
    }
}

/// A module's value in the making: its bytes so far.
#[derive(Debug, Default)]
pub(super) struct ModuleValue {
    identifier: Option<u64>,
    bytes: Vec<u8>,
}

impl ModuleValue {
    /// Goes on with the bytes at hand; Ok when the value is whole.
    pub(super) fn run(&mut self, cursor: &mut Cursor<'_>) -> Parsed<()> {
        if self.identifier.is_none() {
            self.identifier = Some(cursor.length()?);
            cursor.commit();
        }
        while let Some(bytes) = cursor.raw(piece)? {
            self.bytes.extend_from_slice(bytes);
            cursor.commit();
        }
        Ok(())
    }

    pub(super) fn finish(self) -> Module {
        let identifier = self.identifier.unwrap_or_default();
        let letter = |place: usize| {
            let shift = VERSION_BITS as usize + 6 * (8 - place);
            NAME_LETTERS[(identifier >> shift) as usize % NAME_LETTERS.len()]
        };
        Module {
            name: std::array::from_fn(letter),
            version: identifier as u16 % (1 << VERSION_BITS),
            payload: Bytes::from(self.bytes),
        }
    }
}

/// Reads one value; false at the end of the data.
fn piece(cursor: &mut Cursor<'_>) -> Parsed<bool> {
    match cursor.length()? {
        END => return Ok(false),
        SIGNED | UNSIGNED => drop(cursor.length()?),
        FLOAT => drop(cursor.take(4)?),
        DOUBLE => drop(cursor.take(8)?),
        STRING => cursor.take_string()?,
        other => return Err(unknown(other)),
    }
    Ok(true)
}

/// Passes over a module's data up to its end, and commits.
pub(super) fn skip(cursor: &mut Cursor<'_>) -> Parsed<()> {
    while !value(cursor)? {
        cursor.commit();
    }
    cursor.commit();
    Ok(())
}

/// Passes over one value; true at the end of the data.
fn value(cursor: &mut Cursor<'_>) -> Parsed<bool> {
    match cursor.length()? {
        END => return Ok(true),
        SIGNED | UNSIGNED => {
            cursor.length()?;
        }
        FLOAT => cursor.skip(4),
        DOUBLE => cursor.skip(8),
        STRING => cursor.skip_string()?,
        other => return Err(unknown(other)),
    }
    Ok(false)
}

fn unknown(kind: u64) -> Stop {
    bad(format!("module data of kind {kind} does not exist"))
}
