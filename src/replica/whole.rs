//! A whole value as a program walks it: a copy that never changes, by index, in one block of memory
//! that is used again for the next value. What a stream has besides its entries stays in a clone of
//! the stream, which never changes either.

use crate::error::{Error, Kind, Result};
use crate::value::{Id, Set, Stream, Type, Value, sort};
use std::borrow::Cow;
use std::ops::Range;
use std::sync::OnceLock;

/// One element of a [`Whole`].
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Element<'a> {
    /// A field of a hash or of a stream's entry, a member of a set or sorted set, the name of the
    /// type of a module's value.
    pub field: Option<&'a [u8]>,
    /// The string itself, an element of a list or array, a field's value, a module's bytes.
    pub value: Option<&'a [u8]>,
    /// A sorted set's score, else 0.
    pub score: f64,
    /// A hash field's deadline.
    pub expires_at_ms: Option<i64>,
    /// Where an array has the value, else 0.
    pub index: u64,
    /// The id of a stream's entry, else 0-0.
    pub id: Id,
}

/// A copy of a value: a string and what only a module understands are one element, a list and an
/// array are in their order, sets and hashes in the order of their names' bytes, a sorted set from
/// the lowest to the highest, a stream entry by entry, each field an element.
#[derive(Debug, Default)]
pub struct Whole<'a> {
    kind: Option<Type>,
    expires_at_ms: Option<i64>,
    incomplete: bool,
    /// A value that has not been laid out yet: most callbacks never walk what they are shown.
    source: Option<Cow<'a, Value>>,
    flat: OnceLock<Flat>,
    /// The stream that was laid out, for what elements don't show.
    stream: Option<Stream>,
}

#[derive(Debug, Default)]
struct Flat {
    bytes: Vec<u8>,
    spans: Vec<Span>,
}

#[derive(Clone, Debug)]
struct Span {
    field: Option<Range<usize>>,
    value: Option<Range<usize>>,
    more: More,
}

/// What only elements of some type have.
#[derive(Clone, Copy, Debug)]
enum More {
    Nothing,
    Score(f64),
    Deadline(i64),
    Index(u64),
    Id(Id),
}

impl<'a> Whole<'a> {
    /// A value as a change shows it: with everything that it has, laid out only when it is walked.
    #[inline]
    pub fn of(value: Cow<'a, Value>, expires_at_ms: Option<i64>) -> Self {
        Self {
            kind: Some(value.kind()),
            expires_at_ms,
            incomplete: false,
            source: Some(value),
            flat: OnceLock::new(),
            stream: None,
        }
    }

    /// The type; `None` while nothing was read.
    pub fn kind(&self) -> Option<Type> {
        self.kind
    }

    /// The key's deadline.
    pub fn expires_at_ms(&self) -> Option<i64> {
        self.expires_at_ms
    }

    /// Whether a callback kept elements out of it.
    pub fn is_incomplete(&self) -> bool {
        self.incomplete
    }

    /// How many elements can be walked.
    pub fn len(&self) -> usize {
        match (&self.source, self.flat.get()) {
            (_, Some(flat)) => flat.spans.len(),
            (Some(value), None) => elements(value),
            (None, None) => 0,
        }
    }

    /// No element at all.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The bytes of a string.
    pub fn string(&self) -> Option<&[u8]> {
        match self.source.as_deref() {
            Some(Value::String(bytes)) => Some(bytes),
            Some(_) => None,
            None if self.kind == Some(Type::String) => {
                self.flat.get().map(|flat| flat.bytes.as_slice())
            }
            None => None,
        }
    }

    /// The stream, with its groups.
    pub fn stream(&self) -> Option<&Stream> {
        match self.source.as_deref() {
            Some(Value::Stream(stream)) => Some(stream),
            _ => self.stream.as_ref(),
        }
    }

    /// The element at this place; `None` behind the last one.
    pub fn element(&self, index: usize) -> Result<Option<Element<'_>>> {
        if self.flat.get().is_none() {
            let mut flat = Flat::default();
            if let Some(value) = &self.source {
                flat.lay_out(value, None)?;
            }
            // Whoever came first on another thread laid out the same.
            let _ = self.flat.set(flat);
        }
        Ok(self.flat.get().and_then(|flat| flat.element(index)))
    }

    /// Forgets the value but not the memory.
    pub(super) fn clear(&mut self) {
        let mut flat = self.flat.take().unwrap_or_default();
        flat.bytes.clear();
        flat.spans.clear();
        *self = Self::default();
        let _ = self.flat.set(flat);
    }

    /// Copies a value; fields due before `hide_at` are left out.
    pub(super) fn fill(
        &mut self,
        value: &Value,
        expires_at_ms: Option<i64>,
        complete: bool,
        hide_at: Option<i64>,
    ) -> Result<()> {
        self.clear();
        let mut flat = self.flat.take().unwrap_or_default();
        flat.lay_out(value, hide_at)?;
        let _ = self.flat.set(flat);
        if let Value::Stream(stream) = value {
            self.stream = Some(stream.clone());
        }
        self.kind = Some(value.kind());
        self.expires_at_ms = expires_at_ms;
        self.incomplete = !complete;
        Ok(())
    }
}

/// How many elements a value is walked as.
fn elements(value: &Value) -> usize {
    match value {
        Value::String(_) | Value::Module(_) => 1,
        Value::Stream(stream) => stream.pairs_len(),
        other => other.len(),
    }
}

impl Flat {
    fn lay_out(&mut self, value: &Value, hide_at: Option<i64>) -> Result<()> {
        self.spans.try_reserve_exact(elements(value)).map_err(|_| no_memory())?;
        match value {
            Value::String(bytes) => self.push(None, Some(bytes), More::Nothing),
            Value::List(list) => {
                list.iter().try_for_each(|e| self.push(None, Some(e), More::Nothing))
            }
            Value::Set(set) => self.lay_out_set(set),
            Value::Stream(stream) => self.lay_out_stream(stream),
            Value::Array(array) => array
                .iter()
                .try_for_each(|(index, value)| self.push(None, Some(value), More::Index(index))),
            Value::Module(module) => {
                self.push(Some(&module.name), Some(&module.payload), More::Nothing)
            }
            Value::Zset(zset) => {
                zset.iter().try_for_each(|(m, score)| self.push(Some(m), None, More::Score(score)))
            }
            Value::Hash(hash) => hash
                .iter()
                .filter(|(_, field)| !hide_at.is_some_and(|now| field.is_expired(now)))
                .try_for_each(|(name, field)| {
                    let more = field.expires_at_ms.map_or(More::Nothing, More::Deadline);
                    self.push(Some(name), Some(field.value), more)
                }),
        }
    }

    /// In the order of the members' bytes, which numbers among them don't lie in.
    fn lay_out_set(&mut self, set: &Set) -> Result<()> {
        set.iter().try_for_each(|member| self.push(Some(&member), None, More::Nothing))?;
        let bytes = &self.bytes;
        let member = |span: &Span| bytes.get(span.field.clone()?);
        sort(&mut self.spans, |a, b| member(a).cmp(&member(b)));
        Ok(())
    }

    /// Names that entries share in the stream, neighbours share here.
    fn lay_out_stream(&mut self, stream: &Stream) -> Result<()> {
        let mut before: Vec<(*const u8, Range<usize>)> = Vec::new();
        for entry in stream.iter() {
            for (at, (name, value)) in entry.fields.enumerate() {
                let known = before.get(at).filter(|(place, range)| {
                    std::ptr::eq(*place, name.as_ptr()) && range.len() == name.len()
                });
                let field = match known {
                    Some((_, range)) => range.clone(),
                    None => {
                        let range = self.copy(name)?;
                        before.truncate(at);
                        before.push((name.as_ptr(), range.clone()));
                        range
                    }
                };
                let value = Some(self.copy(value)?);
                self.spans.push(Span { field: Some(field), value, more: More::Id(entry.id) });
            }
        }
        Ok(())
    }

    fn push(&mut self, field: Option<&[u8]>, value: Option<&[u8]>, more: More) -> Result<()> {
        let field = field.map(|field| self.copy(field)).transpose()?;
        let value = value.map(|value| self.copy(value)).transpose()?;
        self.spans.push(Span { field, value, more });
        Ok(())
    }

    fn copy(&mut self, part: &[u8]) -> Result<Range<usize>> {
        self.bytes.try_reserve(part.len()).map_err(|_| no_memory())?;
        let start = self.bytes.len();
        self.bytes.extend_from_slice(part);
        Ok(start..self.bytes.len())
    }

    fn element(&self, index: usize) -> Option<Element<'_>> {
        let span = self.spans.get(index)?;
        let cut = |range: &Range<usize>| self.bytes.get(range.clone());
        let mut element = Element {
            field: span.field.as_ref().and_then(cut),
            value: span.value.as_ref().and_then(cut),
            score: 0.0,
            expires_at_ms: None,
            index: 0,
            id: Id::MIN,
        };
        match span.more {
            More::Nothing => {}
            More::Score(score) => element.score = score,
            More::Deadline(at) => element.expires_at_ms = Some(at),
            More::Index(index) => element.index = index,
            More::Id(id) => element.id = id,
        }
        Some(element)
    }
}

fn no_memory() -> Error {
    Error::new(Kind::NoMemory, "no memory for a copy of the value")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::value::{Array, Bytes, Field, Hash, List, Module, Zset};

    fn bytes(text: &str) -> Bytes {
        Bytes::from(text.as_bytes())
    }

    fn rows(whole: &Whole<'_>) -> Vec<String> {
        (0..whole.len())
            .map(|at| {
                let e = whole.element(at).unwrap().unwrap();
                let text = |b: Option<&[u8]>| b.map(|b| String::from_utf8_lossy(b).into_owned());
                if e.id != Id::MIN {
                    return format!(
                        "{} {}={}",
                        e.id,
                        text(e.field).unwrap(),
                        text(e.value).unwrap()
                    );
                }
                let at = if e.index == 0 { String::new() } else { format!(" at {}", e.index) };
                let (field, value) = (text(e.field), text(e.value));
                format!("{field:?} {value:?} {} {:?}{at}", e.score, e.expires_at_ms)
            })
            .collect()
    }

    fn stream() -> Value {
        let mut stream = Stream::default();
        let id = |ms, seq| Id { ms, seq };
        stream.append(id(5, 1), &["f", "1", "g", "2"]);
        stream.append(id(5, 2), &["f", "3", "g", ""]);
        stream.append(id(6, 0), &["f", "4"]);
        stream.append(id(7, 0), &["x", "", "g", "5"]);
        Value::Stream(stream)
    }

    fn samples() -> Vec<(Value, Vec<&'static str>)> {
        let hash: Hash = [
            (bytes("b"), Field { value: b"", expires_at_ms: Some(9) }),
            (bytes("a"), Field::new(b"1")),
        ]
        .into_iter()
        .collect();
        let list: List = ["z", "a"].into_iter().map(bytes).collect();
        let set: Set = ["y", "9", "x", "10"].into_iter().map(bytes).collect();
        let array: Array = [(u64::MAX - 1, "z"), (7, "a")].into_iter().collect();
        let module = Module { name: *b"vectorset", version: 1, payload: bytes("raw") };
        let zset: Zset = [(bytes("hi"), 2.0), (bytes("lo"), -1.0)].into_iter().collect();
        vec![
            (
                stream(),
                vec!["5-1 f=1", "5-1 g=2", "5-2 f=3", "5-2 g=", "6-0 f=4", "7-0 x=", "7-0 g=5"],
            ),
            (Value::string(b""), vec!["None Some(\"\") 0 None"]),
            (Value::string(b"text"), vec!["None Some(\"text\") 0 None"]),
            (Value::List(list), vec!["None Some(\"z\") 0 None", "None Some(\"a\") 0 None"]),
            (
                Value::Set(set),
                vec![
                    "Some(\"10\") None 0 None",
                    "Some(\"9\") None 0 None",
                    "Some(\"x\") None 0 None",
                    "Some(\"y\") None 0 None",
                ],
            ),
            (Value::Zset(zset), vec!["Some(\"lo\") None -1 None", "Some(\"hi\") None 2 None"]),
            (
                Value::Array(array),
                vec![
                    "None Some(\"a\") 0 None at 7",
                    "None Some(\"z\") 0 None at 18446744073709551614",
                ],
            ),
            (Value::Module(module), vec!["Some(\"vectorset\") Some(\"raw\") 0 None"]),
            (
                Value::Hash(hash),
                vec!["Some(\"a\") Some(\"1\") 0 None", "Some(\"b\") Some(\"\") 0 Some(9)"],
            ),
        ]
    }

    #[test]
    fn every_type_is_walked_in_its_order_whether_shown_or_copied() {
        let mut copy = Whole::default();
        for (value, wanted) in samples() {
            let shown = Whole::of(Cow::Borrowed(&value), Some(4));
            assert_eq!(shown.len(), wanted.len());
            copy.fill(&value, Some(4), true, None).unwrap();
            for whole in [&shown, &copy] {
                assert_eq!(rows(whole), wanted);
                assert_eq!(whole.kind(), Some(value.kind()));
                assert_eq!(whole.expires_at_ms(), Some(4));
                assert_eq!(whole.element(wanted.len()), Ok(None));
                assert_eq!(whole.element(usize::MAX), Ok(None));
                assert_eq!(whole.string().is_some(), value.kind() == Type::String);
                assert_eq!(whole.stream().is_some(), value.kind() == Type::Stream);
            }
        }
    }

    #[test]
    fn a_cleared_copy_is_empty_and_keeps_its_memory() {
        let mut copy = Whole::default();
        copy.fill(&Value::string(&[7; 4096]), Some(4), false, None).unwrap();
        let room = copy.flat.get().unwrap().bytes.capacity();
        copy.clear();
        assert_eq!((copy.kind(), copy.len(), copy.expires_at_ms()), (None, 0, None));
        assert!(!copy.is_incomplete());
        assert_eq!(copy.string(), None);
        copy.fill(&Value::string(b"small"), None, true, None).unwrap();
        assert_eq!(copy.flat.get().unwrap().bytes.capacity(), room);
        assert_eq!(copy.string(), Some(&b"small"[..]));
    }
}
