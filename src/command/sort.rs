//! SORT with STORE: the one command whose result a replica works out from keys that are named only
//! by the elements of another.
//!
//! The order is that of Redis 3.2 and newer. Before 3.2 DESC did not turn a list around that is not
//! sorted, and before 2.8 and 3.0 elements of equal weight, or without any order asked for, were
//! left in the order in which the primary's memory had them.

use super::arguments::{argument, integer, upper};
use super::unit::{Due, Found, Source};
use super::{Applied, Failure, Unit};
use crate::change::Reason;
use crate::text::parse_f64;
use crate::value::{Bytes, List, Type, Unpacked, Value};
use std::cmp::Ordering;
use std::ops::Range;

/// What the arguments ask for.
struct Options<'a> {
    by: Option<Pattern<'a>>,
    /// BY a constant: nothing is sorted.
    unsorted: bool,
    get: Vec<Pattern<'a>>,
    descending: bool,
    /// Elements or weights are compared as text, else as numbers.
    alpha: bool,
    skip: i64,
    /// Negative for all.
    count: i64,
    store: Option<&'a [u8]>,
}

impl<'a> Options<'a> {
    fn read(args: &[&'a [u8]]) -> Result<Self, Failure> {
        let mut options = Self {
            by: None,
            unsorted: false,
            get: Vec::new(),
            descending: false,
            alpha: false,
            skip: 0,
            count: -1,
            store: None,
        };
        let mut at = 2;
        while let Some(option) = args.get(at) {
            at += options.read_one(args, at, option)?;
        }
        Ok(options)
    }

    /// Reads one option and says how many arguments it takes.
    fn read_one(&mut self, args: &[&'a [u8]], at: usize, option: &[u8]) -> Result<usize, Failure> {
        match upper(option).as_slice() {
            b"ASC" => self.descending = false,
            b"DESC" => self.descending = true,
            b"ALPHA" => self.alpha = true,
            b"LIMIT" => {
                self.skip = integer(argument(args, at + 1)?)?;
                self.count = integer(argument(args, at + 2)?)?;
                return Ok(3);
            }
            b"BY" => {
                let pattern = Pattern::new(argument(args, at + 1)?);
                // A later BY does not undo this.
                self.unsorted |= pattern.star.is_none();
                self.by = Some(pattern);
                return Ok(2);
            }
            b"GET" => {
                self.get.push(Pattern::new(argument(args, at + 1)?));
                return Ok(2);
            }
            b"STORE" => {
                self.store = Some(argument(args, at + 1)?);
                return Ok(2);
            }
            _ => return Err(Failure::syntax()),
        }
        Ok(1)
    }

    /// The places of the sorted elements that LIMIT leaves.
    fn range(&self, len: usize) -> Range<usize> {
        let start = usize::try_from(self.skip).unwrap_or(0).min(len);
        let end = match usize::try_from(self.count) {
            Ok(count) => start.saturating_add(count).min(len),
            Err(_) => len,
        };
        start..end
    }
}

/// The name of a key, perhaps with that of a hash's field, in which an element takes the place of
/// the first star.
#[derive(Clone, Copy)]
struct Pattern<'a> {
    text: &'a [u8],
    star: Option<usize>,
    /// The end of the key's name, and the field behind the arrow.
    field: Option<(usize, &'a [u8])>,
}

/// Why there is no result.
enum Stop {
    /// The primary's data can't be ours.
    Failed(Failure),
    /// Something that it depends on is withheld.
    Withheld,
    /// Only the primary can know in which order it has the elements.
    Ambiguous,
}

impl From<Failure> for Stop {
    fn from(failure: Failure) -> Self {
        Self::Failed(failure)
    }
}

impl<'a> Pattern<'a> {
    fn new(text: &'a [u8]) -> Self {
        // The servers look for star and arrow as in a C string.
        let visible = text.split(|byte| *byte == 0).next().unwrap_or_default();
        let star = visible.iter().position(|byte| *byte == b'*');
        let field = star.and_then(|star| {
            let arrow = star + 1 + visible.get(star + 1..)?.windows(2).position(|w| w == b"->")?;
            // Nothing behind the arrow, and it is part of the name.
            visible.get(arrow + 2)?;
            Some((arrow, text.get(arrow + 2..)?))
        });
        Self { text, star, field }
    }

    /// What it leads to; none where that is not there.
    fn look_up(&self, unit: &Unit<'_>, element: &[u8]) -> Result<Option<Bytes>, Stop> {
        if self.text == b"#" {
            return Ok(Some(element.into()));
        }
        let Some(star) = self.star else { return Ok(None) };
        let end = self.field.map_or(self.text.len(), |(end, _)| end);
        let part = |range: Range<usize>| self.text.get(range).unwrap_or_default();
        let key = [part(0..star), element, part(star + 1..end)].concat();
        let source = match self.field {
            Some((_, field)) => unit.element_source(&key, field),
            None => unit.source(&key),
        };
        match (source, self.field) {
            (Source::Known(Value::String(bytes)), None) => Ok(Some(bytes)),
            (Source::Known(Value::Hash(hash)), Some((_, field))) => {
                Ok(hash.get(field).map(|field| field.value.into()))
            }
            (Source::Known(_) | Source::Absent, _) => Ok(None),
            (Source::Unknown, _) => Err(Stop::Withheld),
        }
    }
}

/// By what an element is sorted.
enum Weight {
    Number(f64),
    Text(Option<Bytes>),
}

impl Weight {
    fn cmp(&self, other: &Self) -> Ordering {
        match (self, other) {
            (Self::Number(a), Self::Number(b)) => a.partial_cmp(b).unwrap_or(Ordering::Equal),
            (Self::Text(a), Self::Text(b)) => a.cmp(b),
            _ => Ordering::Equal,
        }
    }
}

/// A number as SORT reads it: nothing is 0, blanks before it and whatever follows a zero byte do
/// not matter.
fn number(text: &[u8]) -> Result<f64, Failure> {
    let visible = text.split(|byte| *byte == 0).next().unwrap_or_default();
    if visible.is_empty() {
        return Ok(0.0);
    }
    let is_blank = |byte: &u8| matches!(byte, b' ' | b'\t'..=b'\r');
    let blanks = visible.iter().take_while(|byte| is_blank(byte)).count();
    let number = visible.get(blanks..).and_then(parse_f64);
    number.ok_or_else(|| Failure::new("what is to be sorted is not a number"))
}

/// The elements of a value from one place to another, in the order that it has by itself; the
/// places are counted from its end where it is to be descending.
fn natural(value: &Value, range: Range<usize>, descending: bool) -> Vec<Unpacked<'_>> {
    let (start, count) = match range {
        range if descending => (value.len().saturating_sub(range.end), range.len()),
        range => (range.start, range.len()),
    };
    let mut elements: Vec<Unpacked<'_>> = match value {
        Value::List(list) => list.iter_from(start).take(count).map(Unpacked::from).collect(),
        Value::Set(set) => {
            let mut members: Vec<Unpacked<'_>> = set.iter().collect();
            crate::value::sort(&mut members, |a, b| a.cmp(b));
            members.into_iter().skip(start).take(count).collect()
        }
        Value::Zset(zset) => zset.iter_from(start).take(count).map(|(m, _)| m.into()).collect(),
        _ => Vec::new(),
    };
    if descending {
        elements.reverse();
    }
    elements
}

fn weigh(unit: &Unit<'_>, options: &Options<'_>, element: &[u8]) -> Result<Weight, Stop> {
    let Some(by) = &options.by else {
        // As text the elements decide themselves.
        let is_text = options.alpha;
        return Ok(if is_text { Weight::Text(None) } else { Weight::Number(number(element)?) });
    };
    let text = by.look_up(unit, element)?;
    Ok(match text {
        text if options.alpha => Weight::Text(text),
        None => Weight::Number(0.0),
        Some(text) => Weight::Number(number(&text)?),
    })
}

/// The elements that are chosen, in their order.
fn sorted<'v>(
    unit: &Unit<'_>,
    options: &Options<'_>,
    value: &'v Value,
) -> Result<Vec<Unpacked<'v>>, Stop> {
    let range = options.range(value.len());
    // Members of a set have no order of their own: a primary that is to store them sorts them as
    // text.
    if options.unsorted || range.is_empty() {
        return Ok(natural(value, range, options.descending));
    }
    let mut weighed = Vec::with_capacity(value.len());
    for element in natural(value, 0..value.len(), false) {
        weighed.push((weigh(unit, options, &element)?, element));
    }
    // Weights that are text are the one thing where elements do not decide between equals.
    let may_tie = options.alpha && options.by.is_some();
    crate::value::sort(&mut weighed, |a, b| {
        let elements = if may_tie { Ordering::Equal } else { a.1.cmp(&b.1) };
        let order = a.0.cmp(&b.0).then(elements);
        if options.descending { order.reverse() } else { order }
    });
    // The primary's sort is stable as far as its C library's is, and where it sorts everything.
    let is_stable = value.kind() == Type::List && range == (0..weighed.len());
    if may_tie && !is_stable && has_tie(&weighed, &range) {
        return Err(Stop::Ambiguous);
    }
    let chosen = weighed.get(range).unwrap_or_default();
    Ok(chosen.iter().map(|(_, element)| *element).collect())
}

/// Whether two different elements have the same weight, one of which at least is chosen.
fn has_tie(weighed: &[(Weight, Unpacked<'_>)], range: &Range<usize>) -> bool {
    let mut start = 0;
    weighed.chunk_by(|a, b| a.0.cmp(&b.0) == Ordering::Equal).any(|equals| {
        let places = start..start + equals.len();
        start = places.end;
        places.start < range.end
            && range.start < places.end
            && equals.windows(2).any(|pair| pair[0].1 != pair[1].1)
    })
}

/// The list that is to be stored.
fn result(unit: &Unit<'_>, options: &Options<'_>, key: &[u8]) -> Result<List, Stop> {
    let value = match unit.source(key) {
        Source::Absent => return Ok(List::default()),
        Source::Unknown => return Err(Stop::Withheld),
        Source::Known(value) => value,
    };
    if !matches!(value.kind(), Type::List | Type::Set | Type::Zset) {
        return Err(Failure::new("only lists, sets and sorted sets can be sorted").into());
    }
    let chosen = sorted(unit, options, &value)?;
    if options.get.is_empty() {
        return Ok(chosen.into_iter().collect());
    }
    let mut list = List::default();
    for element in chosen {
        for pattern in &options.get {
            let found = pattern.look_up(unit, &element)?;
            list.push_back(found.as_deref().unwrap_or_default());
        }
        // The one command that can make of a value another one many times as large.
        unit.check_size(list.memory())?;
    }
    Ok(list)
}

/// `SORT key [BY pattern] [LIMIT offset count] [GET pattern ...] [ASC|DESC] [ALPHA] STORE key`
pub(super) fn sort(unit: &mut Unit<'_>, args: &[&[u8]]) -> Applied {
    let options = Options::read(args)?;
    // Without it nothing is written.
    let Some(destination) = options.store else { return Ok(()) };
    unit.unpack(args[1]);
    let db = unit.db();
    if matches!(unit.find(db, destination), Found::Excluded) {
        return Ok(());
    }
    let result = result(unit, &options, args[1]);
    match result {
        Err(Stop::Failed(failure)) => return Err(failure),
        Err(Stop::Withheld) => {
            unit.withhold(db, destination, Due::Known(None), Reason::Command);
        }
        Err(Stop::Ambiguous) => {
            unit.withhold(db, destination, Due::Known(None), Reason::Command);
            return Err(Failure::unsupported(
                "elements of equal weight are in an order that only the primary can know",
            ));
        }
        Ok(list) if list.is_empty() => unit.delete(db, destination, Reason::Command),
        Ok(list) => unit.write(db, destination, Value::List(list), None, Reason::Command),
    }
    Ok(())
}
