//! Snapshots as bytes come in, cut anywhere: keys and values come out as soon as they are whole.
//!
//! Nothing here does I/O, knows the time, or believes a length: memory is taken only for bytes that
//! have arrived, and at most 88 times as much where they are compressed.

mod array;
mod crc64;
mod cursor;
mod input;
mod intset;
mod listpack;
mod lzf;
mod machine;
mod module;
mod object;
mod opcode;
mod packed;
mod payload;
mod stream;
mod types;
mod ziplist;
mod zipmap;

use crate::error::{Error, Kind, Result};
use crate::text;
use crate::value::{Bytes, Content, Value};
use cursor::Stop;
use input::Input;
use machine::{Event, Machine};

pub use crc64::crc64;
pub use payload::decode_payload;

/// Longer keys are cut in messages.
const KEY_SHOWN_MAX: usize = 100;

/// Says of a key in a database whether its value is wanted.
pub type Filter = Box<dyn FnMut(u32, &[u8]) -> bool + Send>;

/// What a snapshot consists of; `B` is how it has bytes, and `V` values.
#[derive(Clone, Debug, PartialEq)]
pub enum ItemOf<B, V> {
    /// The first item: the version of the format, and whose it is.
    Header {
        /// Redis counts from 1, Valkey since 9.0 from 80.
        version: u32,
        /// The magic is Valkey's.
        valkey: bool,
    },
    /// Something about the server or the snapshot.
    Aux {
        /// Such as `redis-ver` or `repl-stream-db`.
        name: B,
        /// Text, also for numbers.
        value: B,
    },
    /// How large a database is going to be; a hint only.
    Resize {
        /// The database whose keys follow.
        db: u32,
        /// How many keys.
        keys: u64,
        /// How many of them have a deadline.
        expires: u64,
    },
    /// A library of functions.
    Function {
        /// Its whole source, beginning with the shebang line.
        source: B,
    },
    /// A key.
    Entry {
        /// The database.
        db: u32,
        /// The key.
        key: B,
        /// What it holds.
        value: V,
        /// When it is due, in Unix milliseconds; perhaps in the past.
        expires_at_ms: Option<i64>,
    },
    /// A key that the filter did not want.
    Skipped {
        /// The database.
        db: u32,
        /// The key.
        key: B,
    },
    /// The last item.
    End {
        /// Whether the bytes are known to be undamaged.
        checksum: Checksum,
    },
}

/// An item to be kept.
pub type Item = ItemOf<Bytes, Value>;

/// An item of which the decoder lends what can be copied at once.
pub type Lent<'a> = ItemOf<&'a [u8], Content<'a>>;

impl<B, V> ItemOf<B, V> {
    /// The same with bytes and values of other kinds.
    fn map<C, W>(self, bytes: impl Fn(B) -> C, content: impl FnOnce(V) -> W) -> ItemOf<C, W> {
        match self {
            Self::Header { version, valkey } => ItemOf::Header { version, valkey },
            Self::Aux { name, value } => ItemOf::Aux { name: bytes(name), value: bytes(value) },
            Self::Resize { db, keys, expires } => ItemOf::Resize { db, keys, expires },
            Self::Function { source } => ItemOf::Function { source: bytes(source) },
            Self::Entry { db, key, value, expires_at_ms } => {
                ItemOf::Entry { db, key: bytes(key), value: content(value), expires_at_ms }
            }
            Self::Skipped { db, key } => ItemOf::Skipped { db, key: bytes(key) },
            Self::End { checksum } => ItemOf::End { checksum },
        }
    }
}

impl Lent<'_> {
    /// To be kept.
    pub fn into_owned(self) -> Item {
        self.map(Bytes::from, Content::into_value)
    }
}

/// What became of a snapshot's checksum. A wrong one is an error.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Checksum {
    /// It was right.
    Verified,
    /// The server was told not to compute one.
    Disabled,
    /// Versions before 5 have none.
    Absent,
}

/// Takes a snapshot's bytes and gives its items.
pub struct Decoder {
    input: Input,
    machine: Machine,
    failed: Option<Error>,
}

impl Default for Decoder {
    fn default() -> Self {
        Self::new()
    }
}

impl Decoder {
    /// A decoder that wants every key.
    pub fn new() -> Self {
        Self::with_machine(Machine::new(None))
    }

    /// A decoder that passes over the values of keys for which the filter answers false.
    pub fn with_filter(filter: Filter) -> Self {
        Self::with_machine(Machine::new(Some(filter)))
    }

    fn with_machine(machine: Machine) -> Self {
        Self { input: Input::default(), machine, failed: None }
    }

    /// Adds bytes. Those after the snapshot's end are kept for [`Decoder::take_rest`].
    pub fn feed(&mut self, bytes: &[u8]) {
        self.input.feed(bytes);
    }

    /// The next item, or None when more bytes are needed or the snapshot is over. After an error
    /// it goes on failing.
    #[allow(clippy::should_implement_trait, reason = "None does not mean the end")]
    pub fn next(&mut self) -> Result<Option<Item>> {
        Ok(self.lend()?.map(Lent::into_owned))
    }

    /// The same, lent until the next one is asked for: nothing is allocated for what is small.
    pub fn lend(&mut self) -> Result<Option<Lent<'_>>> {
        if let Some(error) = &self.failed {
            return Err(error.clone());
        }
        while !self.input.is_short() && !self.machine.is_done() {
            let mut cursor = self.input.cursor();
            let outcome = self.machine.run(&mut cursor);
            let (used, pass) = cursor.committed();
            self.input.advance(used, pass, outcome.as_ref().err());
            match outcome {
                Ok(Event::Entry) => return Ok(Some(self.machine.lend_entry())),
                Ok(Event::Item) => return Ok(self.machine.lend()),
                Ok(Event::EndOfKeys) => self.machine.expect_checksum(self.input.end_sum()),
                Err(Stop::Need(_)) => {}
                Err(Stop::Bad(kind, text)) => return Err(self.fail(kind, &text)),
            }
        }
        Ok(None)
    }

    /// From now on it fails.
    #[cold]
    fn fail(&mut self, kind: Kind, text: &str) -> Error {
        let error = Error::new(kind, format!("snapshot {}: {text}", self.place()));
        self.failed = Some(error.clone());
        error
    }

    /// Where it is, for messages.
    fn place(&self) -> String {
        let offset = self.input.consumed();
        match self.machine.current() {
            None => format!("offset {offset}"),
            Some((db, key)) => {
                format!("offset {offset}, db {db} key \"{}\"", text::printable(key, KEY_SHOWN_MAX))
            }
        }
    }

    /// What was fed and is not part of the snapshot; complete once [`Item::End`] came.
    pub fn take_rest(&mut self) -> Vec<u8> {
        self.input.take_rest()
    }

    /// An estimate of the memory that bytes and a value take that are not complete yet.
    pub fn memory(&self) -> usize {
        self.input.held() + self.machine.memory()
    }

    /// How many bytes of the snapshot were used.
    pub fn offset(&self) -> u64 {
        self.input.consumed()
    }
}

#[cfg(test)]
mod tests;
