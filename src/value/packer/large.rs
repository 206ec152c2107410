//! An aggregate that is too large to be gathered in one go: what was gathered is put in order and
//! aside, and all of that is merged in the end. So no element is looked for among all others, and
//! no node of the tree is made twice.

use super::super::tree::{Builder, split_length};
use super::super::{Hash, List, Set, Type, Value, Zset, zset};
use super::{Packer, Twice, name, wholes};
use std::cmp::Ordering;
use std::ops::Range;

/// What is merged is given back in pieces of so many bytes.
const PIECE: usize = 64 * 1024;

/// The elements that were put aside.
#[derive(Debug)]
pub struct Large {
    kind: Type,
    /// Of a set or hash, and of a sorted set twice: in the order of scores, and ...
    runs: Runs,
    /// ... in that of names.
    by_name: Runs,
    /// Of a list, which is in order.
    built: Builder,
    volatile: usize,
}

/// Entries in runs that are in order. The run whose first entry is the least comes first, and
/// before each other run one that is at half its place.
#[derive(Debug)]
struct Runs {
    runs: Vec<Run>,
    order: fn(&[u8], &[u8]) -> Ordering,
    bytes: usize,
}

#[derive(Debug)]
struct Run {
    /// The last piece is the first one.
    pieces: Vec<Vec<u8>>,
    /// Where in it the first entry lies, without its length.
    first: Range<usize>,
}

impl Run {
    /// Of entries with their lengths.
    fn new<'e>(entries: impl Iterator<Item = &'e [u8]>) -> Self {
        let mut pieces: Vec<Vec<u8>> = Vec::new();
        for entry in entries {
            match pieces.last_mut() {
                Some(piece) if piece.len() + entry.len() <= PIECE => piece.extend_from_slice(entry),
                _ => {
                    let mut piece = Vec::with_capacity(PIECE.max(entry.len()));
                    piece.extend_from_slice(entry);
                    pieces.push(piece);
                }
            }
        }
        pieces.reverse();
        let mut run = Self { pieces, first: 0..0 };
        run.advance();
        run
    }

    fn first(&self) -> &[u8] {
        let piece = self.pieces.last().map(Vec::as_slice).unwrap_or_default();
        piece.get(self.first.clone()).unwrap_or_default()
    }

    /// Drops the first entry; false if there is no other.
    fn advance(&mut self) -> bool {
        while let Some(piece) = self.pieces.last() {
            let rest = piece.get(self.first.end..).unwrap_or_default();
            if !rest.is_empty() {
                let (len, behind) = split_length(rest);
                let start = piece.len() - behind.len();
                self.first = start..start + len;
                return true;
            }
            self.pieces.pop();
            self.first = 0..0;
        }
        false
    }
}

impl Runs {
    fn new(order: fn(&[u8], &[u8]) -> Ordering) -> Self {
        Self { runs: Vec::new(), order, bytes: 0 }
    }

    fn add<'e>(&mut self, entries: impl Iterator<Item = &'e [u8]>) {
        let run = Run::new(entries);
        self.bytes += run.pieces.iter().map(Vec::len).sum::<usize>();
        self.runs.push(run);
    }

    fn order(&self, a: usize, b: usize) -> Ordering {
        (self.order)(self.runs[a].first(), self.runs[b].first())
    }

    /// All entries in their order.
    fn merged(mut self) -> Result<Builder, Twice> {
        let mut built = Builder::default();
        (0..self.runs.len() / 2).rev().for_each(|at| self.sink(at));
        while let Some(first) = self.runs.first() {
            // What is the same in another run is no further away than this.
            if (1..self.runs.len().min(3)).any(|at| self.order(0, at).is_eq()) {
                return Err(Twice);
            }
            built.push(first.first());
            if self.runs.first_mut().is_some_and(|run| !run.advance()) {
                self.runs.swap_remove(0);
            }
            self.sink(0);
        }
        Ok(built)
    }

    /// Puts a run where it belongs, those behind it being where they do.
    fn sink(&mut self, mut at: usize) {
        loop {
            let behind = (2 * at + 1..2 * at + 3).filter(|behind| *behind < self.runs.len());
            let Some(least) = behind.min_by(|a, b| self.order(*a, *b)) else { return };
            if self.order(at, least).is_le() {
                return;
            }
            self.runs.swap(at, least);
            at = least;
        }
    }
}

impl Large {
    /// Of a list, set, sorted set or hash.
    pub fn new(kind: Type) -> Self {
        let by_name: fn(&[u8], &[u8]) -> Ordering = match kind {
            Type::Hash => |a, b| name(Type::Hash, a).cmp(name(Type::Hash, b)),
            Type::Zset => |a, b| name(Type::Zset, a).cmp(name(Type::Zset, b)),
            _ => Ord::cmp,
        };
        let by_score = |a: &[u8], b: &[u8]| zset::order(zset::parts(a), zset::parts(b));
        let runs = Runs::new(if kind == Type::Zset { by_score } else { by_name });
        let (by_name, built) = (Runs::new(by_name), Builder::default());
        Self { kind, runs, by_name, built, volatile: 0 }
    }

    /// About the memory that it takes, in bytes.
    pub fn memory(&self) -> usize {
        self.runs.bytes + self.by_name.bytes + self.built.memory()
    }

    /// Takes all elements that were gathered.
    pub fn take(&mut self, packer: &mut Packer) -> Result<(), Twice> {
        if packer.is_empty() {
            return Ok(());
        }
        packer.sort()?;
        match self.kind {
            Type::List => {
                wholes(packer.block()).for_each(|entry| self.built.push(split_length(entry).1));
            }
            _ => self.runs.add(wholes(packer.block())),
        }
        if self.kind == Type::Zset {
            if packer.order_by_name() {
                return Err(Twice);
            }
            self.by_name.add(packer.by_name());
        }
        self.volatile += packer.volatile;
        packer.begin(self.kind);
        Ok(())
    }

    /// All elements as a value. `is_packed` tells how the primary keeps a sorted set.
    pub fn finish(self, is_packed: bool) -> Result<Value, Twice> {
        let Self { kind, runs, by_name, built, volatile } = self;
        Ok(match kind {
            Type::Set => Value::Set(Set::built(runs.merged()?)),
            Type::Hash => Value::Hash(Hash::built(runs.merged()?, volatile)),
            Type::Zset => Value::Zset(Zset::built(runs.merged()?, by_name.merged()?, is_packed)),
            _ => Value::List(List::built(built)),
        })
    }
}
