//! The table of the types: which number means what, and how its bytes are laid out. To add a type
//! is to add a row here and, if its layout is new, a form in `object`.

use super::cursor::{Parsed, Stop};
use super::packed::Block;
use super::stream::Generation;
use crate::error::Kind;
use crate::value::Type;

/// Two projects give some numbers two meanings; the magic says which.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Dialect {
    Redis,
    Valkey,
}

/// From here on Valkey counts versions of its own; in a `DUMP` payload nothing else tells.
pub(super) const VALKEY_VERSION_MIN: u32 = 80;

/// The newest versions whose types and opcodes this table knows. Newer ones are read as long as
/// they use none that is missing here.
const REDIS_VERSION_KNOWN: u32 = 14;
const VALKEY_VERSION_KNOWN: u32 = 80;

/// How the elements of a value are written.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Form {
    /// Strings; for a hash name and value in turn.
    Strings,
    /// Members with their score as text.
    ScoreText,
    /// Members with their score in 8 bytes.
    ScoreBinary,
    /// Blocks of elements, one a string.
    Blocks(Block),
    /// Strings that are a block or an element of their own, as the number before says.
    Containers,
    /// Deadline (0 is none), name, value.
    DeadlineFirst,
    /// Deadline (0 is none) counted from the hash's least one, name, value.
    DeadlineFromLeast,
    /// Name, value, deadline in 8 bytes (-1 is none).
    DeadlineLast,
    /// A block of name, value, deadline (0 is none).
    BlockWithDeadlines(Block),
    /// Index, form of the value, value.
    Slots,
    /// The module's and the type's name, then what the module wrote.
    Opaque,
    /// What streams have, see [`super::stream`].
    Stream(Generation),
}

/// A piece of an element, as far as passing over it goes.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Part {
    Text,
    Length,
    DoubleText,
    EightBytes,
    /// The form of a value of an array, and the value.
    SlotValue,
    /// What a module wrote, up to its end.
    ModuleData,
}

/// Where the bytes of a value are.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Layout {
    pub(super) family: Type,
    pub(super) form: Form,
    /// The least deadline stands in 8 bytes in front.
    pub(super) least_deadline: bool,
    /// A number of elements stands in front; otherwise there is one.
    pub(super) counted: bool,
    /// What one element consists of.
    pub(super) parts: &'static [Part],
}

/// What a number means.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Row {
    Known(Layout),
    /// Something that exists and can't be read yet.
    Named(&'static str),
    Unknown,
}

const fn one(family: Type, form: Form) -> Row {
    let parts = &[Part::Text];
    Row::Known(Layout { family, form, least_deadline: false, counted: false, parts })
}

const fn many(family: Type, form: Form, parts: &'static [Part]) -> Row {
    Row::Known(Layout { family, form, least_deadline: false, counted: true, parts })
}

const fn stream(generation: Generation) -> Row {
    many(Type::Stream, Form::Stream(generation), &[])
}

const fn with_least_deadline(row: Row) -> Row {
    match row {
        Row::Known(layout) => Row::Known(Layout { least_deadline: true, ..layout }),
        other => other,
    }
}

/// What is behind these numbers is an opcode or unknown.
const NUMBERS: usize = 34;

/// The rows of both projects.
static ROWS: [[Row; NUMBERS]; 2] = [rows(Dialect::Redis), rows(Dialect::Valkey)];

const fn rows(dialect: Dialect) -> [Row; NUMBERS] {
    let mut rows = [Row::Unknown; NUMBERS];
    let mut number = 0;
    while number < NUMBERS {
        rows[number] = row_of(number as u8, dialect);
        number += 1;
    }
    rows
}

/// The row of a type.
#[inline]
pub(super) fn row(number: u8, dialect: Dialect) -> &'static Row {
    ROWS.get(dialect as usize)
        .and_then(|rows| rows.get(usize::from(number)))
        .unwrap_or(&Row::Unknown)
}

const fn row_of(number: u8, dialect: Dialect) -> Row {
    use Dialect::{Redis, Valkey};
    use Part::{DoubleText, EightBytes, Length, ModuleData, SlotValue, Text};
    match (number, dialect) {
        (0, _) => one(Type::String, Form::Strings),
        (1, _) => many(Type::List, Form::Strings, &[Text]),
        (2, _) => many(Type::Set, Form::Strings, &[Text]),
        (3, _) => many(Type::Zset, Form::ScoreText, &[Text, DoubleText]),
        (4, _) => many(Type::Hash, Form::Strings, &[Text, Text]),
        (5, _) => many(Type::Zset, Form::ScoreBinary, &[Text, EightBytes]),
        (6, _) => Row::Named("module of a release candidate"),
        (7, _) => Row::Known(Layout {
            family: Type::Module,
            form: Form::Opaque,
            least_deadline: false,
            counted: false,
            parts: &[Length, ModuleData],
        }),
        (9, _) => one(Type::Hash, Form::Blocks(Block::Zipmap)),
        (10, _) => one(Type::List, Form::Blocks(Block::Ziplist)),
        (11, _) => one(Type::Set, Form::Blocks(Block::Intset)),
        (12, _) => one(Type::Zset, Form::Blocks(Block::Ziplist)),
        (13, _) => one(Type::Hash, Form::Blocks(Block::Ziplist)),
        (14, _) => many(Type::List, Form::Blocks(Block::Ziplist), &[Text]),
        (15, _) => stream(Generation::First),
        (19, _) => stream(Generation::Counts),
        (21, _) => stream(Generation::Active),
        (26, Redis) => stream(Generation::Idmp),
        (27, Redis) => stream(Generation::Unowned),
        (16, _) => one(Type::Hash, Form::Blocks(Block::Listpack)),
        (17, _) => one(Type::Zset, Form::Blocks(Block::Listpack)),
        (18, _) => many(Type::List, Form::Containers, &[Length, Text]),
        (20, _) => one(Type::Set, Form::Blocks(Block::Listpack)),
        (22, Redis) => many(Type::Hash, Form::DeadlineFirst, &[Length, Text, Text]),
        (22, Valkey) => many(Type::Hash, Form::DeadlineLast, &[Text, Text, EightBytes]),
        (23, Redis) => one(Type::Hash, Form::BlockWithDeadlines(Block::Listpack)),
        (23, Valkey) => Row::Named("hash of a development version"),
        (24, Redis) => {
            with_least_deadline(many(Type::Hash, Form::DeadlineFromLeast, &[Length, Text, Text]))
        }
        (25, Redis) => {
            with_least_deadline(one(Type::Hash, Form::BlockWithDeadlines(Block::Listpack)))
        }
        (28, Redis) => many(Type::Array, Form::Slots, &[Length, SlotValue]),
        (29, Redis) => Row::Named("rate limit or hash template"),
        (30..=32, Redis) => Row::Named("hash template"),
        (33, Redis) => Row::Named("rate limit or bitmap"),
        _ => Row::Unknown,
    }
}

impl Row {
    /// The layout of the type with this row, or the error that says why it can't be read.
    #[inline]
    pub(super) fn layout(
        &'static self,
        number: u8,
        dialect: Dialect,
        version: u32,
    ) -> Parsed<&'static Layout> {
        match self {
            Self::Known(layout) => Ok(layout),
            Self::Named(name) => {
                let text = format!("type {number} ({name}) is not supported");
                Err(Stop::Bad(Kind::Unsupported, text))
            }
            Self::Unknown => Err(unknown(number, dialect, version)),
        }
    }
}

/// A newer server, or somebody's own, may well send what is not in the table; that it is damage
/// can't be told from one number.
fn unknown(number: u8, dialect: Dialect, version: u32) -> Stop {
    let known = match dialect {
        Dialect::Redis => REDIS_VERSION_KNOWN,
        Dialect::Valkey => VALKEY_VERSION_KNOWN,
    };
    let text = format!(
        "type or opcode {number} of format version {version} is unknown, the newest known version \
         is {known}"
    );
    Stop::Bad(Kind::Unsupported, text)
}
