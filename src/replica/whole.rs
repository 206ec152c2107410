//! A whole value as a program walks it: a copy that never changes, by index, in one block of memory
//! that is used again for the next value.

use crate::error::{Error, Kind, Result};
use crate::value::{Type, Value};
use std::sync::OnceLock;

/// One element of a [`Whole`].
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Element<'a> {
    /// A hash's field, a member of a set or sorted set.
    pub field: Option<&'a [u8]>,
    /// The string itself, a list's element, a field's value.
    pub value: Option<&'a [u8]>,
    /// A sorted set's score, else 0.
    pub score: f64,
    /// A field's deadline.
    pub expires_at_ms: Option<i64>,
}

/// A copy of a value: a string is one element, a list is in its order, sets and hashes in the order
/// of their names' bytes, a sorted set from the lowest to the highest.
#[derive(Debug, Default)]
pub struct Whole {
    kind: Option<Type>,
    expires_at_ms: Option<i64>,
    incomplete: bool,
    /// A value that has not been laid out yet: most callbacks never walk what they are shown.
    source: Option<Value>,
    flat: OnceLock<Flat>,
}

#[derive(Debug, Default)]
struct Flat {
    bytes: Vec<u8>,
    spans: Vec<Span>,
}

#[derive(Clone, Copy, Debug)]
struct Span {
    start: usize,
    field_len: Option<usize>,
    value_len: Option<usize>,
    score: f64,
    expires_at_ms: Option<i64>,
}

impl Whole {
    /// A value as a change shows it: with everything that it has, laid out only when it is walked.
    pub fn of(value: &Value, expires_at_ms: Option<i64>) -> Self {
        Self {
            kind: Some(value.kind()),
            expires_at_ms,
            incomplete: false,
            source: Some(value.clone()),
            flat: OnceLock::new(),
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
            (Some(Value::String(_)), None) => 1,
            (Some(value), None) => value.len(),
            (None, None) => 0,
        }
    }

    /// No element at all.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The bytes of a string.
    pub fn string(&self) -> Option<&[u8]> {
        match &self.source {
            Some(Value::String(bytes)) => Some(bytes),
            Some(_) => None,
            None if self.kind == Some(Type::String) => {
                self.flat.get().map(|flat| flat.bytes.as_slice())
            }
            None => None,
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
        self.kind = Some(value.kind());
        self.expires_at_ms = expires_at_ms;
        self.incomplete = !complete;
        Ok(())
    }
}

impl Flat {
    fn lay_out(&mut self, value: &Value, hide_at: Option<i64>) -> Result<()> {
        let elements = if let Value::String(_) = value { 1 } else { value.len() };
        self.spans.try_reserve_exact(elements).map_err(|_| no_memory())?;
        match value {
            Value::String(bytes) => self.push(None, Some(bytes), 0.0, None),
            Value::List(list) => list.iter().try_for_each(|e| self.push(None, Some(e), 0.0, None)),
            Value::Set(set) => set.iter().try_for_each(|m| self.push(Some(m), None, 0.0, None)),
            Value::Stream(_) | Value::Array(_) | Value::Module(_) => Ok(()),
            Value::Zset(zset) => {
                zset.iter().try_for_each(|(m, score)| self.push(Some(m), None, score, None))
            }
            Value::Hash(hash) => hash
                .iter()
                .filter(|(_, field)| !hide_at.is_some_and(|now| field.is_expired(now)))
                .try_for_each(|(name, field)| {
                    self.push(Some(name), Some(field.value), 0.0, field.expires_at_ms)
                }),
        }
    }

    fn push(
        &mut self,
        field: Option<&[u8]>,
        value: Option<&[u8]>,
        score: f64,
        expires_at_ms: Option<i64>,
    ) -> Result<()> {
        let start = self.bytes.len();
        for part in [field, value].into_iter().flatten() {
            self.bytes.try_reserve(part.len()).map_err(|_| no_memory())?;
            self.bytes.extend_from_slice(part);
        }
        let field_len = field.map(<[u8]>::len);
        let value_len = value.map(<[u8]>::len);
        self.spans.push(Span { start, field_len, value_len, score, expires_at_ms });
        Ok(())
    }

    fn element(&self, index: usize) -> Option<Element<'_>> {
        let span = self.spans.get(index)?;
        let middle = span.start + span.field_len.unwrap_or(0);
        let cut = |start: usize, len: usize| self.bytes.get(start..start + len);
        Some(Element {
            field: span.field_len.and_then(|len| cut(span.start, len)),
            value: span.value_len.and_then(|len| cut(middle, len)),
            score: span.score,
            expires_at_ms: span.expires_at_ms,
        })
    }
}

fn no_memory() -> Error {
    Error::new(Kind::NoMemory, "no memory for a copy of the value")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::value::{Bytes, Field, Hash, List, Set, Zset};

    fn bytes(text: &str) -> Bytes {
        Bytes::from(text.as_bytes())
    }

    fn rows(whole: &Whole) -> Vec<String> {
        (0..whole.len())
            .map(|at| {
                let e = whole.element(at).unwrap().unwrap();
                let text = |b: Option<&[u8]>| b.map(|b| String::from_utf8_lossy(b).into_owned());
                format!("{:?} {:?} {} {:?}", text(e.field), text(e.value), e.score, e.expires_at_ms)
            })
            .collect()
    }

    fn samples() -> Vec<(Value, Vec<&'static str>)> {
        let hash: Hash = [
            (bytes("b"), Field { value: b"", expires_at_ms: Some(9) }),
            (bytes("a"), Field::new(b"1")),
        ]
        .into_iter()
        .collect();
        let list: List = ["z", "a"].into_iter().map(bytes).collect();
        let set: Set = ["y", "x"].into_iter().map(bytes).collect();
        let zset: Zset = [(bytes("hi"), 2.0), (bytes("lo"), -1.0)].into_iter().collect();
        vec![
            (Value::string(b""), vec!["None Some(\"\") 0 None"]),
            (Value::string(b"text"), vec!["None Some(\"text\") 0 None"]),
            (Value::List(list), vec!["None Some(\"z\") 0 None", "None Some(\"a\") 0 None"]),
            (Value::Set(set), vec!["Some(\"x\") None 0 None", "Some(\"y\") None 0 None"]),
            (Value::Zset(zset), vec!["Some(\"lo\") None -1 None", "Some(\"hi\") None 2 None"]),
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
            let shown = Whole::of(&value, Some(4));
            assert_eq!(shown.len(), wanted.len());
            copy.fill(&value, Some(4), true, None).unwrap();
            for whole in [&shown, &copy] {
                assert_eq!(rows(whole), wanted);
                assert_eq!(whole.kind(), Some(value.kind()));
                assert_eq!(whole.expires_at_ms(), Some(4));
                assert_eq!(whole.element(wanted.len()), Ok(None));
                assert_eq!(whole.element(usize::MAX), Ok(None));
                assert_eq!(whole.string().is_some(), value.kind() == Type::String);
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
