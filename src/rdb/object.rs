//! Makes values from their bytes, or passes over them, one element at a time: what is there of a
//! large value is worked off while the rest is on its way.

use super::array;
use super::cursor::{Cursor, Parsed, bad};
use super::module::{self, ModuleValue};
use super::packed::{Block, Walk};
use super::stream::StreamReader;
use super::types::{Form, Layout, Part};
use crate::value::{
    Array, Bytes, Content, Field, Flat, Hash, List, Set, Stream, Type, Value, Zset,
};

/// How a container of a list says what its string is.
const CONTAINER_PLAIN: u64 = 1;
const CONTAINER_PACKED: u64 = 2;

/// Stands for a field without a deadline where 8 bytes are kept for it.
const NO_DEADLINE: i64 = -1;

/// What stands in front of the elements.
struct Head {
    least_deadline: i64,
    count: u64,
    array_cursor: Option<u64>,
}

impl Head {
    fn read(layout: &Layout, cursor: &mut Cursor<'_>) -> Parsed<Self> {
        let least_deadline = if layout.least_deadline { cursor.i64_le()? } else { 0 };
        let count = if layout.counted { cursor.length()? } else { 1 };
        let is_array = layout.family == Type::Array;
        let array_cursor = if is_array { array::cursor(cursor)? } else { None };
        cursor.commit();
        Ok(Self { least_deadline, count, array_cursor })
    }
}

/// Longer strings are copied only once.
const TEXT_LENT_MAX: usize = 1024;

/// What values are made in.
#[derive(Default)]
pub(super) struct Buffers {
    pub(super) scratch: Vec<u8>,
    /// The bytes of what is [`Made::Flat`].
    pub(super) flat: Vec<u8>,
}

/// A value that was made.
pub(super) enum Made {
    /// Its bytes are in the buffer.
    Flat(Flat<()>),
    Value(Value),
}

impl Made {
    pub(super) fn lend(self, buffers: &Buffers) -> Content<'_> {
        match self {
            Self::Flat(flat) => Content::Flat(flat.map(|()| buffers.flat.as_slice())),
            Self::Value(value) => Content::Value(value),
        }
    }
}

/// A value in the making.
pub(super) enum Builder {
    Text,
    Parts(Parts),
}

impl Builder {
    pub(super) fn new(layout: Layout) -> Self {
        match layout.family {
            Type::String => Self::Text,
            _ => Self::Parts(Parts::new(layout)),
        }
    }

    /// Goes on with the bytes at hand; Ok when the value is whole. None for an aggregate without
    /// elements, which servers don't keep either, but for streams.
    pub(super) fn run(
        &mut self,
        cursor: &mut Cursor<'_>,
        buffers: &mut Buffers,
    ) -> Parsed<Option<Made>> {
        match self {
            Self::Text => text(cursor, buffers).map(Some),
            Self::Parts(parts) => {
                parts.run(cursor, &mut buffers.scratch)?;
                Ok(parts.finish().map(Made::Value))
            }
        }
    }

    /// An estimate of the memory that it takes so far.
    pub(super) fn memory(&self) -> usize {
        match self {
            Self::Text => 0,
            Self::Parts(parts) => parts.memory(),
        }
    }
}

fn text(cursor: &mut Cursor<'_>, buffers: &mut Buffers) -> Parsed<Made> {
    if let Some(text) = cursor.text(&mut buffers.flat)? {
        if text.len() > TEXT_LENT_MAX {
            return Ok(Made::Value(Value::string(text)));
        }
        buffers.flat.clear();
        buffers.flat.extend_from_slice(text);
    }
    Ok(Made::Flat(Flat::string(())))
}

/// What is made of several parts.
pub(super) struct Parts {
    layout: Layout,
    value: Value,
    least_deadline: i64,
    /// What there is of a module's value.
    module: ModuleValue,
    /// None until the number of elements was read.
    left: Option<u64>,
    /// What reads a stream, which has no elements of one kind.
    stream: Option<Box<StreamReader>>,
}

fn stream_reader(layout: &Layout, skip: bool) -> Option<Box<StreamReader>> {
    match layout.form {
        Form::Stream(generation) => Some(Box::new(StreamReader::new(generation, skip))),
        _ => None,
    }
}

impl Parts {
    fn new(layout: Layout) -> Self {
        let value = match layout.family {
            Type::String => Value::string(b""),
            Type::List => Value::List(List::default()),
            Type::Set => Value::Set(Set::default()),
            Type::Zset => Value::Zset(Zset::default()),
            Type::Hash => Value::Hash(Hash::default()),
            Type::Stream => Value::Stream(Stream::default()),
            Type::Array => Value::Array(Array::default()),
            Type::Module => Value::Module(ModuleValue::default().finish()),
        };
        let (module, stream) = (ModuleValue::default(), stream_reader(&layout, false));
        Self { layout, value, least_deadline: 0, module, left: None, stream }
    }

    fn run(&mut self, cursor: &mut Cursor<'_>, scratch: &mut Vec<u8>) -> Parsed<()> {
        if let Some(stream) = &mut self.stream {
            return stream.run(cursor, scratch);
        }
        let left = match &mut self.left {
            Some(left) => left,
            none => {
                let head = Head::read(&self.layout, cursor)?;
                self.least_deadline = head.least_deadline;
                if let Value::Array(array) = &mut self.value {
                    array.set_cursor(head.array_cursor);
                }
                none.insert(head.count)
            }
        };
        let (form, least) = (self.layout.form, self.least_deadline);
        match &mut self.value {
            Value::List(list) => each(left, cursor, |c| list_part(list, form, c, scratch)),
            Value::Set(set) => each(left, cursor, |c| set_part(set, form, c, scratch)),
            Value::Zset(zset) => each(left, cursor, |c| zset_part(zset, form, c, scratch)),
            Value::Hash(hash) => each(left, cursor, |c| hash_part(hash, form, least, c, scratch)),
            Value::Array(array) => each(left, cursor, |c| array::part(array, c, scratch)),
            Value::Module(_) => each(left, cursor, |c| self.module.run(c)),
            Value::String(_) | Value::Stream(_) => Ok(()),
        }
    }

    fn memory(&self) -> usize {
        self.stream.as_ref().map_or_else(|| self.value.memory(), |stream| stream.memory())
    }

    fn finish(&mut self) -> Option<Value> {
        if let Some(stream) = self.stream.take() {
            return Some(Value::Stream(stream.finish()));
        }
        let mut value = std::mem::replace(&mut self.value, Value::Set(Set::default()));
        match &mut value {
            Value::Module(_) => {
                return Some(Value::Module(std::mem::take(&mut self.module).finish()));
            }
            Value::Zset(zset) => zset.set_packed(matches!(self.layout.form, Form::Blocks(_))),
            _ => {}
        }
        (!value.is_empty()).then_some(value)
    }
}

fn each(
    left: &mut u64,
    cursor: &mut Cursor<'_>,
    mut read: impl FnMut(&mut Cursor<'_>) -> Parsed<()>,
) -> Parsed<()> {
    while *left > 0 {
        read(cursor)?;
        *left -= 1;
        cursor.commit();
    }
    Ok(())
}

// The functions below read one element each. They change the value only when all its bytes are
// there, because they are called anew otherwise.

fn list_part(
    list: &mut List,
    form: Form,
    cursor: &mut Cursor<'_>,
    scratch: &mut Vec<u8>,
) -> Parsed<()> {
    let block = match form {
        Form::Blocks(block) => Some(block),
        Form::Containers => match cursor.length()? {
            CONTAINER_PLAIN => None,
            CONTAINER_PACKED => Some(Block::Listpack),
            other => return Err(bad(format!("list container {other} does not exist"))),
        },
        _ => None,
    };
    let string = cursor.string(scratch)?;
    match block {
        None => list.push_back(string),
        Some(block) => {
            let mut walk = Walk::new(block, string)?;
            while let Some(element) = walk.next()? {
                list.push_back(&element.to_bytes());
            }
        }
    }
    Ok(())
}

fn set_part(
    set: &mut Set,
    form: Form,
    cursor: &mut Cursor<'_>,
    scratch: &mut Vec<u8>,
) -> Parsed<()> {
    let string = cursor.string(scratch)?;
    let Form::Blocks(block) = form else { return add_member(set, string) };
    let mut walk = Walk::new(block, string)?;
    while let Some(member) = walk.next()? {
        add_member(set, &member.to_bytes())?;
    }
    Ok(())
}

fn add_member(set: &mut Set, member: &[u8]) -> Parsed<()> {
    if set.insert(member) { Ok(()) } else { Err(bad("a member is there twice")) }
}

fn zset_part(
    zset: &mut Zset,
    form: Form,
    cursor: &mut Cursor<'_>,
    scratch: &mut Vec<u8>,
) -> Parsed<()> {
    let string = cursor.string(scratch)?;
    if let Form::Blocks(block) = form {
        let mut walk = Walk::new(block, string)?;
        while let Some(member) = walk.next()? {
            let score = walk.partner()?.to_score()?;
            add_scored(zset, &member.to_bytes(), score)?;
        }
        return Ok(());
    }
    let member = Bytes::from(string);
    let score = match form {
        Form::ScoreText => cursor.double_text()?,
        _ => cursor.u64_le().map(f64::from_bits)?,
    };
    add_scored(zset, &member, score)
}

fn add_scored(zset: &mut Zset, member: &[u8], score: f64) -> Parsed<()> {
    if score.is_nan() {
        return Err(bad("a score is not a number"));
    }
    match zset.insert(member, score) {
        None => Ok(()),
        Some(_) => Err(bad("a member is there twice")),
    }
}

fn hash_part(
    hash: &mut Hash,
    form: Form,
    least: i64,
    cursor: &mut Cursor<'_>,
    scratch: &mut Vec<u8>,
) -> Parsed<()> {
    let mut expires_at_ms = match form {
        Form::Blocks(block) | Form::BlockWithDeadlines(block) => {
            let with_deadlines = matches!(form, Form::BlockWithDeadlines(_));
            return hash_block(hash, block, with_deadlines, cursor.string(scratch)?);
        }
        Form::DeadlineFirst => match cursor.length()? {
            0 => None,
            at => Some(deadline(0, at)?),
        },
        Form::DeadlineFromLeast => match cursor.length()? {
            0 => None,
            // One more than the distance, so that 0 is free for none.
            distance => Some(deadline(least, distance - 1)?),
        },
        _ => None,
    };
    let name = Bytes::from(cursor.string(scratch)?);
    let value = Bytes::from(cursor.string(scratch)?);
    if form == Form::DeadlineLast {
        expires_at_ms = match cursor.i64_le()? {
            NO_DEADLINE => None,
            at if at >= 0 => Some(at),
            at => return Err(bad(format!("a field's deadline can't be {at}"))),
        };
    }
    add_field(hash, &name, Field { value: &value, expires_at_ms })
}

/// A deadline from its distance to another time.
fn deadline(from: i64, distance: u64) -> Parsed<i64> {
    from.checked_add_unsigned(distance)
        .filter(|at| *at >= 0)
        .ok_or_else(|| bad(format!("a field's deadline can't be {distance} ms after {from}")))
}

fn hash_block(hash: &mut Hash, block: Block, with_deadlines: bool, bytes: &[u8]) -> Parsed<()> {
    let mut walk = Walk::new(block, bytes)?;
    while let Some(name) = walk.next()? {
        let value = walk.partner()?.to_bytes();
        let expires_at_ms = if with_deadlines { walk.partner()?.to_deadline()? } else { None };
        add_field(hash, &name.to_bytes(), Field { value: &value, expires_at_ms })?;
    }
    Ok(())
}

fn add_field(hash: &mut Hash, name: &[u8], field: Field<'_>) -> Parsed<()> {
    if hash.insert(name, field) { Ok(()) } else { Err(bad("a field is there twice")) }
}

/// A value that is passed over.
pub(super) struct Skipper {
    layout: Layout,
    left: Option<u64>,
    /// The parts of the current element before this one were passed.
    part: usize,
    stream: Option<Box<StreamReader>>,
}

impl Skipper {
    pub(super) fn new(layout: Layout) -> Self {
        let stream = stream_reader(&layout, true);
        Self { layout, left: None, part: 0, stream }
    }

    /// Goes on with the bytes at hand; Ok when the end is known, though perhaps not there yet.
    pub(super) fn run(&mut self, cursor: &mut Cursor<'_>, scratch: &mut Vec<u8>) -> Parsed<()> {
        if let Some(stream) = &mut self.stream {
            return stream.run(cursor, scratch);
        }
        let left = match &mut self.left {
            Some(left) => left,
            none => none.insert(Head::read(&self.layout, cursor)?.count),
        };
        while *left > 0 {
            while let Some(part) = self.layout.parts.get(self.part) {
                match part {
                    Part::Text => cursor.skip_string()?,
                    Part::DoubleText => cursor.skip_double_text()?,
                    Part::EightBytes => cursor.skip(8),
                    Part::SlotValue => array::skip(cursor)?,
                    Part::ModuleData => module::skip(cursor)?,
                    Part::Length => {
                        cursor.length()?;
                        cursor.commit();
                    }
                }
                self.part += 1;
            }
            self.part = 0;
            *left -= 1;
        }
        Ok(())
    }
}
