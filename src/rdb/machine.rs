//! The order of things in a snapshot: header, what stands between keys, keys, the end.

use super::cursor::{Cursor, Parsed, Stop, bad};
use super::module::ModuleData;
use super::object::{Buffers, Builder, Made, Skipper};
use super::types::{self, Dialect, Row, VALKEY_VERSION_MIN};
use super::{Checksum, Filter, ItemOf, Lent, opcode};
use crate::error::Kind;
use crate::text;
use std::convert::Infallible;

/// The magic and the version together, whichever magic it is.
const HEADER: usize = 9;

/// From here on a checksum follows the last byte.
const CHECKSUM_VERSION_MIN: u32 = 5;

/// What servers write where a key has no deadline but the field is there.
const NO_DEADLINE: i64 = -1;

/// Room for unpacking is given back beyond this.
const SCRATCH_MAX: usize = 1024 * 1024;

/// Which of the machine's buffers has the bytes of an item.
#[derive(Clone, Copy)]
pub(super) enum Buffer {
    Key,
    Text,
}

/// An item as the machine leaves it, but for a key.
type Item = ItemOf<Buffer, Infallible>;

/// What came out of a run. The machine has it: to hand it through is slower than to leave it there.
#[derive(Clone, Copy)]
pub(super) enum Event {
    /// A key with its value.
    Entry,
    /// Anything else.
    Item,
    /// The last byte that the checksum covers was used: [`Machine::expect_checksum`] comes next.
    EndOfKeys,
}

enum State {
    Header,
    /// An opcode or a key's type comes next.
    Between,
    Module(ModuleData),
    /// Ranges of slots, as many as the number says.
    SlotRanges(u64),
    Building(Builder),
    Skipping(Skipper),
    Checksum(u64),
    Done,
}

/// The decoder without its input.
pub(super) struct Machine {
    state: State,
    filter: Option<Filter>,
    dialect: Dialect,
    version: u32,
    db: u32,
    /// The key that is being read, ...
    key: Vec<u8>,
    /// ... if one is.
    in_key: bool,
    /// The deadline of the next key, or of the one that is being read or was.
    expires_at_ms: Option<i64>,
    /// The value of the last key.
    made: Made,
    /// The last item that was no key with its value.
    item: Option<Item>,
    buffers: Buffers,
}

impl Machine {
    pub(super) fn new(filter: Option<Filter>) -> Self {
        Self {
            state: State::Header,
            filter,
            dialect: Dialect::Redis,
            version: 0,
            db: 0,
            key: Vec::new(),
            in_key: false,
            expires_at_ms: None,
            made: Made::Text,
            item: None,
            buffers: Buffers::default(),
        }
    }

    pub(super) fn is_done(&self) -> bool {
        matches!(self.state, State::Done)
    }

    /// The key that is being read, and its database.
    pub(super) fn current(&self) -> Option<(u32, &[u8])> {
        self.in_key.then_some((self.db, &self.key))
    }

    /// The key that came out with its value, until the next run.
    #[inline]
    pub(super) fn lend_entry(&mut self) -> Lent<'_> {
        Lent::Entry {
            db: self.db,
            key: self.key.as_slice(),
            value: self.made.lend(&mut self.buffers),
            expires_at_ms: self.expires_at_ms.take(),
        }
    }

    /// Any other item with its bytes, until the next run.
    #[inline(never)]
    pub(super) fn lend(&mut self) -> Option<Lent<'_>> {
        let Self { key, buffers, item, .. } = self;
        let bytes = |buffer| match buffer {
            Buffer::Key => key.as_slice(),
            Buffer::Text => buffers.text.as_slice(),
        };
        Some(item.take()?.map(bytes, |never| match never {}))
    }

    fn put_out(&mut self, item: Item) -> Event {
        self.item = Some(item);
        Event::Item
    }

    /// An estimate of the memory that the value in the making takes.
    pub(super) fn memory(&self) -> usize {
        match &self.state {
            State::Building(builder) => builder.memory() + self.buffers.gathered(),
            _ => 0,
        }
    }

    /// The sum of all bytes so far, which those that follow have to confirm.
    pub(super) fn expect_checksum(&mut self, sum: u64) {
        self.state = State::Checksum(sum);
    }

    /// Works until something comes out or the bytes at hand don't suffice.
    pub(super) fn run(&mut self, cursor: &mut Cursor<'_>) -> Parsed<Event> {
        if let State::Between = self.state {
            self.tidy_up();
        }
        loop {
            let event = self.step(cursor)?;
            cursor.commit();
            if let Some(event) = event {
                return Ok(event);
            }
        }
    }

    /// Gives back what was needed once.
    fn tidy_up(&mut self) {
        if self.key.capacity() > SCRATCH_MAX {
            self.key = Vec::new();
        }
        self.buffers.shrink(SCRATCH_MAX);
    }

    #[inline]
    fn step(&mut self, cursor: &mut Cursor<'_>) -> Parsed<Option<Event>> {
        if let State::Between = self.state {
            let number = cursor.byte()?;
            return match number {
                opcode::LEAST.. => self.opcode(number, cursor),
                _ => self.key(number, cursor),
            };
        }
        self.go_on(cursor)
    }

    /// With whatever was begun.
    #[inline(never)]
    fn go_on(&mut self, cursor: &mut Cursor<'_>) -> Parsed<Option<Event>> {
        match &mut self.state {
            State::Between => return Ok(None),
            State::Header => return self.header(cursor).map(Some),
            State::Building(builder) => {
                let made = builder.run(cursor, &mut self.buffers)?;
                self.state = State::Between;
                return Ok(self.built(made));
            }
            State::Skipping(skipper) => {
                skipper.run(cursor, &mut self.buffers.scratch)?;
                return Ok(self.skipped());
            }
            State::Module(data) => data.run(cursor)?,
            State::SlotRanges(left) => {
                while *left > 0 {
                    cursor.length()?;
                    cursor.length()?;
                    *left -= 1;
                    cursor.commit();
                }
            }
            State::Checksum(sum) => {
                let sum = *sum;
                return self.checksum(sum, cursor).map(Some);
            }
            State::Done => return Err(bad("the snapshot is over")),
        }
        self.state = State::Between;
        Ok(None)
    }

    fn header(&mut self, cursor: &mut Cursor<'_>) -> Parsed<Event> {
        let header = cursor.take(HEADER)?;
        let (dialect, digits) =
            match (header.strip_prefix(b"REDIS"), header.strip_prefix(b"VALKEY")) {
                (Some(digits), _) => (Dialect::Redis, digits),
                (_, Some(digits)) => (Dialect::Valkey, digits),
                _ => return Err(no_header(header)),
            };
        let valkey = dialect == Dialect::Valkey;
        self.version = digits
            .iter()
            .try_fold(0, |sum, byte| {
                byte.is_ascii_digit().then(|| sum * 10 + u32::from(byte - b'0'))
            })
            .filter(|version| *version >= if valkey { VALKEY_VERSION_MIN } else { 1 })
            .ok_or_else(|| no_header(header))?;
        self.dialect = dialect;
        self.state = State::Between;
        Ok(self.put_out(Item::Header { version: self.version, valkey }))
    }

    /// What stands between keys.
    #[inline(never)]
    fn opcode(&mut self, number: u8, cursor: &mut Cursor<'_>) -> Parsed<Option<Event>> {
        match number {
            opcode::EOF => {
                return Ok(Some(if self.version < CHECKSUM_VERSION_MIN {
                    self.state = State::Done;
                    self.put_out(Item::End { checksum: Checksum::Absent })
                } else {
                    Event::EndOfKeys
                }));
            }
            opcode::SELECT_DB => {
                let db = cursor.length()?;
                // No larger than C's int32_t, in which events and cursors tell it.
                self.db = i32::try_from(db)
                    .map(i32::unsigned_abs)
                    .map_err(|_| bad(format!("no database has the number {db}")))?;
            }
            opcode::EXPIRE_TIME => {
                let at_s = i64::from(cursor.i32_le()?);
                self.expires_at_ms = (at_s != NO_DEADLINE).then_some(at_s * 1000);
            }
            opcode::EXPIRE_TIME_MS => {
                let at_ms = cursor.i64_le()?;
                self.expires_at_ms = (at_ms != NO_DEADLINE).then_some(at_ms);
            }
            opcode::RESIZE_DB => {
                let (keys, expires) = (cursor.length()?, cursor.length()?);
                return Ok(Some(self.put_out(Item::Resize { db: self.db, keys, expires })));
            }
            opcode::AUX => {
                cursor.string_to(&mut self.key)?;
                cursor.string_to(&mut self.buffers.text)?;
                let (name, value) = (Buffer::Key, Buffer::Text);
                return Ok(Some(self.put_out(Item::Aux { name, value })));
            }
            opcode::FREQ => {
                cursor.byte()?;
            }
            opcode::IDLE => {
                cursor.length()?;
            }
            opcode::FUNCTION => {
                cursor.string_to(&mut self.buffers.text)?;
                return Ok(Some(self.put_out(Item::Function { source: Buffer::Text })));
            }
            opcode::MODULE_AUX => self.state = State::Module(ModuleData::auxiliary(cursor)?),
            opcode::SLOT_INFO => {
                for _ in ["slot", "keys", "expires"] {
                    cursor.length()?;
                }
            }
            opcode::KEY_META_OR_SLOT_IMPORT => self.state = self.meta_or_import(cursor)?,
            opcode::FUNCTION_PRE_GA | opcode::HASH_TEMPLATE_OR_UPDATE => {
                return Err(self.opcode_refused(number));
            }
            // There are no others.
            ..opcode::LEAST => return self.key(number, cursor),
        }
        Ok(None)
    }

    fn meta_or_import(&mut self, cursor: &mut Cursor<'_>) -> Parsed<State> {
        Ok(match self.dialect {
            Dialect::Redis => State::Module(ModuleData::key_metadata(cursor)?),
            Dialect::Valkey => {
                let _job = cursor.string(&mut self.buffers.scratch)?;
                State::SlotRanges(cursor.length()?)
            }
        })
    }

    fn opcode_refused(&self, number: u8) -> Stop {
        let name = match (number, self.dialect) {
            (opcode::FUNCTION_PRE_GA, _) => "function of a release candidate",
            (_, Dialect::Redis) => "hash template",
            (_, Dialect::Valkey) => "update",
        };
        Stop::Bad(Kind::Unsupported, format!("opcode {number} ({name}) is not supported"))
    }

    /// The key behind a type, and its value as far as it is there.
    #[inline]
    fn key(&mut self, number: u8, cursor: &mut Cursor<'_>) -> Parsed<Option<Event>> {
        let row = types::row(number, self.dialect);
        if *row != Row::Unknown {
            cursor.string_to(&mut self.key)?;
            self.in_key = true;
        }
        let layout = row.layout(number, self.dialect, self.version)?;
        cursor.commit();
        if self.filter.as_mut().is_some_and(|filter| !filter(self.db, &self.key)) {
            self.state = State::Skipping(Skipper::new(layout));
            return Ok(None);
        }
        let mut builder = Builder::new(layout);
        match builder.run(cursor, &mut self.buffers) {
            Ok(made) => Ok(self.built(made)),
            Err(stop) => {
                self.state = State::Building(builder);
                Err(stop)
            }
        }
    }

    #[inline]
    fn built(&mut self, made: Option<Made>) -> Option<Event> {
        self.in_key = false;
        match made {
            Some(made) => {
                self.made = made;
                Some(Event::Entry)
            }
            None => {
                self.expires_at_ms = None;
                None
            }
        }
    }

    fn skipped(&mut self) -> Option<Event> {
        self.state = State::Between;
        self.in_key = false;
        self.expires_at_ms = None;
        Some(self.put_out(Item::Skipped { db: self.db, key: Buffer::Key }))
    }

    fn checksum(&mut self, sum: u64, cursor: &mut Cursor<'_>) -> Parsed<Event> {
        let checksum = match cursor.u64_le()? {
            0 => Checksum::Disabled,
            right if right == sum => Checksum::Verified,
            other => {
                return Err(bad(format!(
                    "the checksum is {other:016x}, but the bytes give {sum:016x}"
                )));
            }
        };
        self.state = State::Done;
        Ok(self.put_out(Item::End { checksum }))
    }
}

fn no_header(header: &[u8]) -> Stop {
    bad(format!("it begins with \"{}\"", text::printable(header, 4 * HEADER)))
}
