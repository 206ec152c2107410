//! What a command reads of one key to write another.

use super::held::is_kind;
use super::{Found, Unit};
use crate::command::Failure;
use crate::table::Db;
use crate::value::{Type, Value};

/// A key that a command reads.
pub(in crate::command) enum Source {
    /// What the primary has there, if anything.
    Known(Option<Value>),
    /// Some of it is withheld: what the command makes of it can't be known.
    Unknown,
}

impl Unit<'_> {
    /// Reads a key that has to be of this type, if it is there.
    pub(in crate::command) fn read(
        &self,
        db: Db,
        key: &[u8],
        kind: Type,
    ) -> Result<Source, Failure> {
        match self.find(db, key) {
            Found::Absent => Ok(Source::Known(None)),
            Found::Whole(entry) if !is_kind(&entry, kind) => Err(Failure::wrong_type(kind)),
            Found::Whole(entry) => Ok(Source::Known(entry.value)),
            Found::Partial(_) | Found::Withheld(_) | Found::Excluded => Ok(Source::Unknown),
        }
    }
}
