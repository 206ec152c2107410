//! How an entry lies in its tree: id, then its fields. Most entries of a stream have the same names
//! of fields; those are kept once.

use super::Id;
use crate::value::Bytes;
use crate::value::tree::{push_length, split_length};
use std::sync::Arc;

/// Commands add lists of names until there are so many, ...
const SHAPES_MAX: usize = 16;
/// ... none of them longer than this. Other entries have their names themselves.
const SHAPE_BYTES_MAX: usize = 512;

/// An entry of a stream.
#[derive(Clone, Debug)]
pub struct Entry<'a> {
    /// Its id.
    pub id: Id,
    /// Names and values in the order they were added in; a name may be there twice.
    pub fields: Fields<'a>,
}

/// The names and values of an entry.
#[derive(Clone, Debug)]
pub struct Fields<'a> {
    /// What is left of the names, where they don't stand beside the values.
    names: Option<&'a [u8]>,
    rest: &'a [u8],
}

impl<'a> Iterator for Fields<'a> {
    type Item = (&'a [u8], &'a [u8]);

    fn next(&mut self) -> Option<Self::Item> {
        let names = self.names.as_mut().unwrap_or(&mut self.rest);
        if names.is_empty() {
            return None;
        }
        let name = take(names);
        Some((name, take(&mut self.rest)))
    }
}

/// Takes a string with its length in front. Entries are our own, so what can't be is empty.
fn take<'a>(bytes: &mut &'a [u8]) -> &'a [u8] {
    let (len, rest) = split_length(bytes);
    let (taken, rest) = rest.split_at_checked(len).unwrap_or((rest, &[]));
    *bytes = rest;
    taken
}

fn put(bytes: &mut Vec<u8>, string: &[u8]) {
    push_length(bytes, string.len());
    bytes.extend_from_slice(string);
}

/// Strings as they lie one behind the other.
fn list<B: AsRef<[u8]>>(strings: impl Iterator<Item = B>) -> Vec<u8> {
    let mut list = Vec::new();
    strings.for_each(|string| put(&mut list, string.as_ref()));
    list
}

/// An entry as it lies in the tree: values with the names of this number, or with 0 names and
/// values in turn.
pub(super) fn entry<B: AsRef<[u8]>>(
    id: Id,
    shape: usize,
    strings: impl Iterator<Item = B>,
) -> Vec<u8> {
    let mut entry = Vec::new();
    id.pack(&mut entry);
    push_length(&mut entry, shape);
    strings.for_each(|string| put(&mut entry, string.as_ref()));
    entry
}

/// The lists of names that entries share.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct Shapes(Arc<Vec<Bytes>>);

impl Shapes {
    /// An estimate of the memory they take, in bytes.
    pub(super) fn memory(&self) -> usize {
        self.0.iter().map(|names| names.len() + 32).sum()
    }

    /// The number under which entries know these names, from 1. It is looked for among those that
    /// were added last.
    fn find(&self, names: &[u8]) -> Option<usize> {
        let recent = self.0.len().saturating_sub(SHAPES_MAX);
        let last = self.0.get(recent..).unwrap_or_default();
        last.iter().position(|shape| **shape == *names).map(|at| recent + at + 1)
    }

    fn add(&mut self, names: &[u8]) -> usize {
        let shapes = Arc::make_mut(&mut self.0);
        shapes.push(Bytes::from(names));
        shapes.len()
    }

    /// Keeps the names of a block, however many there are: what takes their place must not take
    /// more memory than they did.
    pub(super) fn keep<B: AsRef<[u8]>>(&mut self, names: &[B]) -> usize {
        let names = list(names.iter());
        self.find(&names).unwrap_or_else(|| self.add(&names))
    }

    /// An entry as it lies in the tree. `parts` are a name, a value, a name, ...
    pub(super) fn encode<B: AsRef<[u8]>>(&mut self, id: Id, parts: &[B]) -> Vec<u8> {
        let names = list(parts.iter().step_by(2));
        let has_room = self.0.len() < SHAPES_MAX && names.len() <= SHAPE_BYTES_MAX;
        match self.find(&names).or_else(|| has_room.then(|| self.add(&names))) {
            Some(shape) => entry(id, shape, parts.iter().skip(1).step_by(2)),
            None => entry(id, 0, parts.iter()),
        }
    }

    /// What [`entry`] made, taken apart.
    pub(super) fn decode<'a>(&'a self, entry: &'a [u8]) -> Entry<'a> {
        let (id, rest) = Id::unpack(entry);
        let (shape, rest) = split_length(rest);
        let names =
            shape.checked_sub(1).map(|at| self.0.get(at).map_or(&[][..], |names| &names[..]));
        Entry { id, fields: Fields { names, rest } }
    }
}
