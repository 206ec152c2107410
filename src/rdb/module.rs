//! Passes over what modules left in a snapshot: it is written so that this works without them.

use super::cursor::{Cursor, Parsed, bad};

/// What follows in a module's data.
const END: u64 = 0;
const SIGNED: u64 = 1;
const UNSIGNED: u64 = 2;
const FLOAT: u64 = 3;
const DOUBLE: u64 = 4;
const STRING: u64 = 5;

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
        other => return Err(bad(format!("module data of kind {other} does not exist"))),
    }
    Ok(false)
}
