//! How an entry lies in its tree: id, then its fields. Most entries of a stream have the same names
//! of fields; those are kept once.

use super::Id;
use crate::value::Bytes;
use crate::value::tree::{push_length, split_length};
use std::sync::Arc;

/// So many different lists of names are kept per stream, ...
const SHAPES_MAX: usize = 16;
/// ... none of them longer than this. Entries with others have their names themselves.
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

/// The lists of names that entries share.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct Shapes(Arc<Vec<Bytes>>);

impl Shapes {
    /// An estimate of the memory they take, in bytes.
    pub(super) fn memory(&self) -> usize {
        self.0.iter().map(|names| names.len() + 32).sum()
    }

    /// The number under which entries know these names, from 1; 0 where they aren't kept.
    fn number(&mut self, names: &[u8]) -> usize {
        match self.0.iter().position(|shape| **shape == *names) {
            Some(at) => at + 1,
            None if self.0.len() < SHAPES_MAX && names.len() <= SHAPE_BYTES_MAX => {
                let shapes = Arc::make_mut(&mut self.0);
                shapes.push(Bytes::from(names));
                shapes.len()
            }
            None => 0,
        }
    }

    /// An entry as it lies in the tree. `parts` are a name, a value, a name, ...
    pub(super) fn encode<B: AsRef<[u8]>>(&mut self, id: Id, parts: &[B]) -> Vec<u8> {
        let mut names = Vec::new();
        parts.iter().step_by(2).for_each(|name| put(&mut names, name.as_ref()));
        let shape = self.number(&names);
        let mut entry = Vec::new();
        id.pack(&mut entry);
        push_length(&mut entry, shape);
        for (at, part) in parts.iter().enumerate() {
            if shape == 0 || at % 2 == 1 {
                put(&mut entry, part.as_ref());
            }
        }
        entry
    }

    /// What [`Shapes::encode`] made, taken apart.
    pub(super) fn decode<'a>(&'a self, entry: &'a [u8]) -> Entry<'a> {
        let (id, rest) = Id::unpack(entry);
        let (shape, rest) = split_length(rest);
        let names =
            shape.checked_sub(1).map(|at| self.0.get(at).map_or(&[][..], |names| &names[..]));
        Entry { id, fields: Fields { names, rest } }
    }
}
