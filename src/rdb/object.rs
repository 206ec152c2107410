//! Makes values from their bytes, or passes over them, one element at a time: what is there of a
//! large value is worked off while the rest is on its way.

use super::array;
use super::cursor::{Cursor, Parsed, Stop, bad};
use super::module::{self, ModuleValue};
use super::packed::{self, Block, Packed, Walk};
use super::stream::{Generation, StreamReader};
use super::types::{Form, Layout, Part};
use crate::value::{Array, Content, Field, Flat, Large, Packer, Twice, Type, Value};

/// How a container of a list says what its string is.
const CONTAINER_PLAIN: u64 = 1;
const CONTAINER_PACKED: u64 = 2;

/// Stands for a field without a deadline where 8 bytes are kept for it.
const NO_DEADLINE: i64 = -1;

/// Longer strings are copied only once.
const TEXT_LENT_MAX: usize = 1024;

/// So many bytes of elements are gathered before they are put aside.
const GATHERED_MAX: usize = 1024 * 1024;

/// What stands in front of the elements.
struct Head {
    least_deadline: i64,
    count: u64,
}

impl Head {
    // In its place, so that it stays in registers: what was just written in pieces and is read as
    // a whole makes a processor wait.
    #[inline(always)]
    fn read(layout: &Layout, cursor: &mut Cursor<'_>) -> Parsed<Self> {
        let least_deadline = if layout.least_deadline { cursor.i64_le()? } else { 0 };
        let count = if layout.counted { cursor.length()? } else { 1 };
        Ok(Self { least_deadline, count })
    }
}

/// What values are made in.
#[derive(Default)]
pub(super) struct Buffers {
    pub(super) scratch: Vec<u8>,
    /// The bytes of [`Made::Text`].
    pub(super) text: Vec<u8>,
    /// The elements of [`Made::Packed`], or of what is in the making.
    packer: Packer,
    /// That of [`Made::Value`]: it is large, and seldom.
    value: Option<Value>,
}

impl Buffers {
    /// Gives back what only something large needed.
    #[inline]
    pub(super) fn shrink(&mut self, max: usize) {
        for buffer in [&mut self.scratch, &mut self.text] {
            if buffer.capacity() > max {
                *buffer = Vec::new();
            }
        }
        self.packer.shrink(max);
    }

    /// Bytes of elements that are not part of a value yet.
    pub(super) fn gathered(&self) -> usize {
        self.packer.block().len()
    }

    fn keep(&mut self, value: Value) -> Made {
        self.value = Some(value);
        Made::Value
    }
}

/// Where the value is that was made.
#[derive(Clone, Copy)]
pub(super) enum Made {
    /// A string that is in its buffer.
    Text,
    /// A small aggregate, the elements of which are in their buffer.
    Packed(Flat<()>),
    Value,
}

impl Made {
    #[inline]
    pub(super) fn lend(self, buffers: &mut Buffers) -> Content<'_> {
        match self {
            Self::Text => Content::Flat(Flat::string(buffers.text.as_slice())),
            Self::Packed(flat) => Content::Flat(flat.map(|()| buffers.packer.block())),
            Self::Value => match buffers.value.take() {
                Some(value) => Content::Value(value),
                None => Content::Flat(Flat::string(&[])),
            },
        }
    }
}

/// A value in the making.
pub(super) enum Builder {
    Text,
    Elements(Elements),
    Array { layout: &'static Layout, array: Array, left: Option<u64> },
    Module(ModuleValue),
    Stream(Box<StreamReader>),
}

impl Builder {
    #[inline]
    pub(super) fn new(layout: &'static Layout) -> Self {
        match layout.family {
            Type::String => Self::Text,
            Type::List | Type::Set | Type::Zset | Type::Hash => {
                Self::Elements(Elements { layout, head: None, large: None })
            }
            Type::Array => Self::Array { layout, array: Array::default(), left: None },
            Type::Module => Self::Module(ModuleValue::default()),
            Type::Stream => Self::Stream(Box::new(stream_reader(layout, false))),
        }
    }

    /// Goes on with the bytes at hand; Ok when the value is whole. None for an aggregate without
    /// elements, which servers don't keep either, but for streams.
    pub(super) fn run(
        &mut self,
        cursor: &mut Cursor<'_>,
        buffers: &mut Buffers,
    ) -> Parsed<Option<Made>> {
        let value = match self {
            Self::Text => return text(cursor, buffers).map(Some),
            Self::Elements(elements) => return elements.run(cursor, buffers),
            Self::Array { layout, array, left } => {
                let left = match left {
                    Some(left) => left,
                    none => {
                        let count = Head::read(layout, cursor)?.count;
                        array.set_cursor(array::cursor(cursor)?);
                        cursor.commit();
                        none.insert(count)
                    }
                };
                while *left > 0 {
                    array::part(array, cursor, &mut buffers.scratch)?;
                    *left -= 1;
                    cursor.commit();
                }
                let array = Value::Array(std::mem::take(array));
                return Ok((!array.is_empty()).then(|| buffers.keep(array)));
            }
            Self::Module(module) => {
                module.run(cursor)?;
                Value::Module(std::mem::take(module).finish())
            }
            Self::Stream(stream) => {
                stream.run(cursor, &mut buffers.scratch)?;
                let empty = StreamReader::new(Generation::First, false);
                Value::Stream(std::mem::replace(&mut **stream, empty).finish())
            }
        };
        Ok(Some(buffers.keep(value)))
    }

    /// An estimate of the memory that it takes so far.
    pub(super) fn memory(&self) -> usize {
        match self {
            Self::Text | Self::Module(_) => 0,
            Self::Elements(elements) => elements.large.as_ref().map_or(0, |large| large.memory()),
            Self::Array { array, .. } => array.memory(),
            Self::Stream(stream) => stream.memory(),
        }
    }
}

fn text(cursor: &mut Cursor<'_>, buffers: &mut Buffers) -> Parsed<Made> {
    if let Some(text) = cursor.text(&mut buffers.text)? {
        if text.len() > TEXT_LENT_MAX {
            return Ok(buffers.keep(Value::string(text)));
        }
        buffers.text.clear();
        buffers.text.extend_from_slice(text);
    }
    Ok(Made::Text)
}

fn stream_reader(layout: &Layout, skip: bool) -> StreamReader {
    let generation = match layout.form {
        Form::Stream(generation) => generation,
        _ => Generation::First,
    };
    StreamReader::new(generation, skip)
}

/// A list, set, sorted set or hash in the making.
pub(super) struct Elements {
    layout: &'static Layout,
    /// None until it was read; then it counts down.
    head: Option<Head>,
    /// What was gathered so far, where it is too much to be gathered in one go.
    large: Option<Box<Large>>,
}

impl Elements {
    fn run(&mut self, cursor: &mut Cursor<'_>, buffers: &mut Buffers) -> Parsed<Option<Made>> {
        let Layout { family, form, .. } = *self.layout;
        let Buffers { scratch, packer, .. } = buffers;
        let head = match &mut self.head {
            Some(head) => head,
            none => {
                packer.begin(family);
                let head = Head::read(self.layout, cursor)?;
                cursor.commit();
                none.insert(head)
            }
        };
        while head.count > 0 {
            match family {
                Type::Set => set_part(packer, form, cursor, scratch)?,
                Type::Zset => zset_part(packer, form, cursor, scratch)?,
                Type::Hash => hash_part(packer, form, head.least_deadline, cursor, scratch)?,
                _ => list_part(packer, form, cursor, scratch)?,
            }
            head.count -= 1;
            cursor.commit();
            if packer.block().len() > GATHERED_MAX {
                let large = self.large.get_or_insert_with(|| Box::new(Large::new(family)));
                large.take(packer).map_err(|Twice| twice(family))?;
            }
        }
        let is_packed = matches!(form, Form::Blocks(_));
        let made = match self.large.take() {
            None => match packer.finish(is_packed) {
                Ok(None) => return Ok(None),
                Ok(Some(Content::Flat(flat))) => return Ok(Some(Made::Packed(flat.map(|_| ())))),
                Ok(Some(Content::Value(value))) => Ok(value),
                Err(Twice) => Err(Twice),
            },
            Some(mut large) => large.take(packer).and_then(|()| large.finish(is_packed)),
        };
        Ok(Some(buffers.keep(made.map_err(|Twice| twice(family))?)))
    }
}

fn twice(family: Type) -> Stop {
    bad(format!("a {} is there twice", if family == Type::Hash { "field" } else { "member" }))
}

// The functions below read one element each. They change the value only when all its bytes are
// there, because they are called anew otherwise.

fn list_part(
    packer: &mut Packer,
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
    let Some(block) = block else {
        packer.element(string);
        return Ok(());
    };
    match Walk::new(block, string)? {
        Walk::Listpack(walk) => list_block(packer, walk),
        walk => list_block(packer, walk),
    }
}

#[inline(always)]
fn list_block<'a>(packer: &mut Packer, mut walk: impl packed::Elements<'a>) -> Parsed<()> {
    while let Some(element) = walk.next()? {
        packer.element(element.text().as_ref());
    }
    Ok(())
}

fn set_part(
    packer: &mut Packer,
    form: Form,
    cursor: &mut Cursor<'_>,
    scratch: &mut Vec<u8>,
) -> Parsed<()> {
    let string = cursor.string(scratch)?;
    let Form::Blocks(block) = form else {
        packer.member(string);
        return Ok(());
    };
    match Walk::new(block, string)? {
        Walk::Listpack(walk) => set_block(packer, walk),
        Walk::Intset(walk) => set_block(packer, walk),
        walk => set_block(packer, walk),
    }
}

#[inline(always)]
fn set_block<'a>(packer: &mut Packer, mut walk: impl packed::Elements<'a>) -> Parsed<()> {
    while let Some(member) = walk.next()? {
        match member {
            Packed::Text(member) => packer.member(member),
            Packed::Number(member) => packer.number(member),
        }
    }
    Ok(())
}

fn zset_part(
    packer: &mut Packer,
    form: Form,
    cursor: &mut Cursor<'_>,
    scratch: &mut Vec<u8>,
) -> Parsed<()> {
    let string = cursor.string(scratch)?;
    if let Form::Blocks(block) = form {
        return match Walk::new(block, string)? {
            Walk::Listpack(walk) => zset_block(packer, walk),
            walk => zset_block(packer, walk),
        };
    }
    let score = match form {
        Form::ScoreText => cursor.double_text()?,
        _ => cursor.u64_le().map(f64::from_bits)?,
    };
    if score.is_nan() {
        return Err(bad("a score is not a number"));
    }
    packer.scored(string, score);
    Ok(())
}

#[inline(always)]
fn zset_block<'a>(packer: &mut Packer, mut walk: impl packed::Elements<'a>) -> Parsed<()> {
    while let Some(member) = walk.next()? {
        packer.scored(member.text().as_ref(), walk.partner()?.to_score()?);
    }
    Ok(())
}

fn hash_part(
    packer: &mut Packer,
    form: Form,
    least: i64,
    cursor: &mut Cursor<'_>,
    scratch: &mut Vec<u8>,
) -> Parsed<()> {
    let mut expires_at_ms = match form {
        Form::Blocks(block) | Form::BlockWithDeadlines(block) => {
            let with_deadlines = matches!(form, Form::BlockWithDeadlines(_));
            return match Walk::new(block, cursor.string(scratch)?)? {
                Walk::Listpack(walk) => hash_block(packer, with_deadlines, walk),
                walk => hash_block(packer, with_deadlines, walk),
            };
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
    let mut unpacked = Vec::new();
    let name = cursor.string(&mut unpacked)?;
    let value = cursor.string(scratch)?;
    if form == Form::DeadlineLast {
        expires_at_ms = match cursor.i64_le()? {
            NO_DEADLINE => None,
            at if at >= 0 => Some(at),
            at => return Err(bad(format!("a field's deadline can't be {at}"))),
        };
    }
    packer.field(name, Field { value, expires_at_ms });
    Ok(())
}

/// A deadline from its distance to another time.
fn deadline(from: i64, distance: u64) -> Parsed<i64> {
    from.checked_add_unsigned(distance)
        .filter(|at| *at >= 0)
        .ok_or_else(|| bad(format!("a field's deadline can't be {distance} ms after {from}")))
}

#[inline(always)]
fn hash_block<'a>(
    packer: &mut Packer,
    with_deadlines: bool,
    mut walk: impl packed::Elements<'a>,
) -> Parsed<()> {
    while let Some(name) = walk.next()? {
        let value = walk.partner()?;
        let expires_at_ms = if with_deadlines { walk.partner()?.to_deadline()? } else { None };
        let (name, value) = (name.text(), value.text());
        packer.field(name.as_ref(), Field { value: value.as_ref(), expires_at_ms });
    }
    Ok(())
}

/// A value that is passed over.
pub(super) struct Skipper {
    layout: &'static Layout,
    left: Option<u64>,
    /// The parts of the current element before this one were passed.
    part: usize,
    stream: Option<Box<StreamReader>>,
}

impl Skipper {
    pub(super) fn new(layout: &'static Layout) -> Self {
        let is_stream = layout.family == Type::Stream;
        let stream = is_stream.then(|| Box::new(stream_reader(layout, true)));
        Self { layout, left: None, part: 0, stream }
    }

    /// Goes on with the bytes at hand; Ok when the end is known, though perhaps not there yet.
    pub(super) fn run(&mut self, cursor: &mut Cursor<'_>, scratch: &mut Vec<u8>) -> Parsed<()> {
        if let Some(stream) = &mut self.stream {
            return stream.run(cursor, scratch);
        }
        let left = match &mut self.left {
            Some(left) => left,
            none => {
                let count = Head::read(self.layout, cursor)?.count;
                if self.layout.family == Type::Array {
                    array::cursor(cursor)?;
                }
                cursor.commit();
                none.insert(count)
            }
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
