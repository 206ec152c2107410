//! Commands that make a sorted set of others: unions, intersections, differences and ranges.

use super::arguments::{argument, integer, is};
use super::unit::{Due, Source};
use super::zset::{drops_zero_signs, score};
use super::zset_range::Span;
use super::{Applied, Failure, Server, Unit};
use crate::change::Reason;
use crate::value::{PACKED_LEN_MAX, Set, Type, Unpacked, Value, Zset, sort};
use std::collections::HashMap;
use std::ops::Range;

/// Stores a result under the destination, or deletes that where there is none. `None` says that it
/// can't be known.
pub(super) fn store(unit: &mut Unit<'_>, destination: &[u8], result: Option<Zset>) {
    let db = unit.db();
    match result {
        None => unit.withhold(db, destination, Due::Known(None), Reason::Command),
        Some(zset) if zset.is_empty() => unit.delete(db, destination, Reason::Command),
        Some(zset) => unit.write(db, destination, Value::Zset(zset), None, Reason::Command),
    }
}

/// A sorted set of members of which each is there once, as the primary keeps it.
pub(super) fn collect<M: AsRef<[u8]> + Copy>(members: &[(M, f64)], server: Server) -> Zset {
    let distinct = Zset::distinct(members);
    let mut zset = distinct.unwrap_or_else(|| members.iter().copied().collect());
    if zset.is_packed() && drops_zero_signs(server) {
        zset.drop_zero_signs();
    }
    zset
}

/// What is read: a sorted set, or a set whose members all have the score 1.
enum Operand {
    Sorted(Zset),
    Plain(Set),
}

impl Operand {
    fn len(&self) -> usize {
        match self {
            Self::Sorted(zset) => zset.len(),
            Self::Plain(set) => set.len(),
        }
    }

    fn score(&self, member: &[u8]) -> Option<f64> {
        match self {
            Self::Sorted(zset) => zset.score(member),
            Self::Plain(set) => set.contains(member).then_some(1.0),
        }
    }

    fn members(&self) -> Box<dyn Iterator<Item = (Unpacked<'_>, f64)> + '_> {
        match self {
            Self::Sorted(zset) => {
                Box::new(zset.iter().map(|(member, score)| (member.into(), score)))
            }
            Self::Plain(set) => Box::new(set.iter().map(|member| (member, 1.0))),
        }
    }
}

/// Reads a key; none where it is withheld.
fn operand(unit: &Unit<'_>, key: &[u8]) -> Result<Option<Operand>, Failure> {
    match unit.source(key) {
        Source::Absent => Ok(Some(Operand::Plain(Set::default()))),
        Source::Known(Value::Zset(zset)) => Ok(Some(Operand::Sorted(zset))),
        Source::Known(Value::Set(set)) => Ok(Some(Operand::Plain(set))),
        Source::Known(_) => Err(Failure::wrong_type(Type::Zset)),
        Source::Unknown => Ok(None),
    }
}

/// How scores of the same member are made one.
#[derive(Clone, Copy, PartialEq)]
enum Aggregate {
    Sum,
    Min,
    Max,
    /// The sum of the weights.
    Count,
}

impl Aggregate {
    fn named(argument: &[u8]) -> Result<Self, Failure> {
        match argument.to_ascii_uppercase().as_slice() {
            b"SUM" => Ok(Self::Sum),
            b"MIN" => Ok(Self::Min),
            b"MAX" => Ok(Self::Max),
            b"COUNT" => Ok(Self::Count),
            _ => Err(Failure::syntax()),
        }
    }

    /// What an operand contributes; it may be NaN.
    fn weighted(self, score: f64, weight: f64) -> f64 {
        if self == Self::Count { weight } else { weight * score }
    }

    fn joined(self, a: f64, b: f64) -> f64 {
        match self {
            // Infinities of both signs, and what is NaN already, make 0.
            Self::Sum | Self::Count => or_zero(a + b),
            Self::Min => {
                if b < a {
                    b
                } else {
                    a
                }
            }
            Self::Max => {
                if b > a {
                    b
                } else {
                    a
                }
            }
        }
    }
}

fn or_zero(score: f64) -> f64 {
    if score.is_nan() { 0.0 } else { score }
}

/// The arguments of a union, an intersection or a difference.
struct Combining<'a> {
    destination: &'a [u8],
    keys: &'a [&'a [u8]],
    weights: Vec<f64>,
    aggregate: Aggregate,
}

impl<'a> Combining<'a> {
    fn parse(args: &'a [&'a [u8]]) -> Result<Self, Failure> {
        let count = usize::try_from(integer(args[2])?).map_err(|_| Failure::syntax())?;
        let keys = count.checked_add(3).and_then(|end| args.get(3..end));
        let keys = keys.filter(|keys| !keys.is_empty()).ok_or_else(Failure::syntax)?;
        let (mut weights, mut aggregate) = (vec![1.0; keys.len()], Aggregate::Sum);
        let mut at = 3 + keys.len();
        while let Some(option) = args.get(at) {
            at += 1;
            if is(option, "WEIGHTS") {
                let texts = args.get(at..at + keys.len()).ok_or_else(Failure::syntax)?;
                weights = texts.iter().map(|text| score(text)).collect::<Result<_, _>>()?;
                at += keys.len();
            } else if is(option, "AGGREGATE") {
                aggregate = Aggregate::named(argument(args, at)?)?;
                at += 1;
            } else {
                return Err(Failure::syntax());
            }
        }
        Ok(Self { destination: args[1], keys, weights, aggregate })
    }

    /// What is read, each with its weight; none for what is withheld.
    fn operands(&self, unit: &Unit<'_>) -> Result<Vec<Option<(Operand, f64)>>, Failure> {
        let weighted = |(key, weight): (&&[u8], &f64)| {
            Ok(operand(unit, key)?.map(|operand| (operand, *weight)))
        };
        self.keys.iter().zip(&self.weights).map(weighted).collect()
    }
}

/// In the order in which the primary adds them up: the smallest first.
fn ordered(operands: Vec<Option<(Operand, f64)>>) -> Option<Vec<(Operand, f64)>> {
    let mut operands: Vec<_> = operands.into_iter().collect::<Option<_>>()?;
    sort(&mut operands, |(a, _), (b, _)| a.len().cmp(&b.len()));
    Some(operands)
}

fn is_empty(operand: &Option<(Operand, f64)>) -> bool {
    operand.as_ref().is_some_and(|(operand, _)| operand.len() == 0)
}

/// `ZUNIONSTORE destination numkeys key [key ...] [WEIGHTS weight ...] [AGGREGATE SUM | MIN | MAX |
/// COUNT]`
pub(super) fn zunionstore(unit: &mut Unit<'_>, args: &[&[u8]]) -> Applied {
    let combining = Combining::parse(args)?;
    let operands = ordered(combining.operands(unit)?);
    let server = unit.server();
    let union = operands.map(|operands| {
        let mut scores: HashMap<Unpacked<'_>, f64> = HashMap::new();
        for (operand, weight) in &operands {
            for (member, score) in operand.members() {
                let score = or_zero(combining.aggregate.weighted(score, *weight));
                let joined = |old: &mut f64| *old = combining.aggregate.joined(*old, score);
                scores.entry(member).and_modify(joined).or_insert(score);
            }
        }
        collect(&scores.into_iter().collect::<Vec<_>>(), server)
    });
    store(unit, combining.destination, union);
    Ok(())
}

/// `ZINTERSTORE destination numkeys key [key ...] [WEIGHTS weight ...] [AGGREGATE SUM | MIN | MAX |
/// COUNT]`
pub(super) fn zinterstore(unit: &mut Unit<'_>, args: &[&[u8]]) -> Applied {
    let combining = Combining::parse(args)?;
    let operands = combining.operands(unit)?;
    let server = unit.server();
    let intersection = if operands.iter().any(is_empty) {
        Some(Zset::default())
    } else {
        ordered(operands).map(|operands| intersection(&operands, combining.aggregate, server))
    };
    store(unit, combining.destination, intersection);
    Ok(())
}

fn intersection(operands: &[(Operand, f64)], aggregate: Aggregate, server: Server) -> Zset {
    let Some(((smallest, weight), others)) = operands.split_first() else {
        return Zset::default();
    };
    let in_all = smallest.members().filter_map(|(member, score)| {
        let mut joined = or_zero(aggregate.weighted(score, *weight));
        for (other, weight) in others {
            joined = aggregate.joined(joined, aggregate.weighted(other.score(&member)?, *weight));
        }
        Some((member, joined))
    });
    collect(&in_all.collect::<Vec<_>>(), server)
}

/// `ZDIFFSTORE destination numkeys key [key ...]`
pub(super) fn zdiffstore(unit: &mut Unit<'_>, args: &[&[u8]]) -> Applied {
    let combining = Combining::parse(args)?;
    let operands = combining.operands(unit)?;
    let server = unit.server();
    let difference = if operands.first().is_some_and(is_empty) {
        Some(Zset::default())
    } else {
        let known: Option<Vec<_>> = operands.into_iter().collect();
        known.and_then(|known| {
            let ((first, _), others) = known.split_first()?;
            let is_left =
                |member: &[u8]| others.iter().all(|(other, _)| other.score(member).is_none());
            let left = first.members().filter(|(member, _)| is_left(member));
            Some(collect(&left.collect::<Vec<_>>(), server))
        })
    };
    store(unit, combining.destination, difference);
    Ok(())
}

/// `ZRANGESTORE destination source min max [BYSCORE | BYLEX] [REV] [LIMIT offset count]`
pub(super) fn zrangestore(unit: &mut Unit<'_>, args: &[&[u8]]) -> Applied {
    let (mut by_score, mut by_name, mut from_end) = (false, false, false);
    let mut limit = None;
    let mut at = 5;
    while let Some(option) = args.get(at) {
        at += 1;
        match option.to_ascii_uppercase().as_slice() {
            b"BYSCORE" => by_score = true,
            b"BYLEX" => by_name = true,
            b"REV" => from_end = true,
            b"LIMIT" => {
                limit = Some((integer(argument(args, at)?)?, integer(argument(args, at + 1)?)?));
                at += 2;
            }
            _ => return Err(Failure::syntax()),
        }
    }
    let (min, max) = if from_end { (args[4], args[3]) } else { (args[3], args[4]) };
    let span = match (by_score, by_name) {
        (true, false) => Span::scores(min, max)?,
        (false, true) => Span::names(min, max)?,
        (false, false) => Span::ranks(args[3], args[4])?,
        (true, true) => return Err(Failure::syntax()),
    };
    let server = unit.server();
    let range = match unit.source(args[2]) {
        Source::Absent => Some(Zset::default()),
        Source::Known(Value::Zset(zset)) => {
            let places = span.places(&zset, from_end);
            // A primary lets `LIMIT offset -1` pass in a range of ranks, and then ignores it.
            let places = match limit {
                Some((offset, count)) if by_score || by_name => {
                    limited(places, offset, count, from_end)
                }
                _ => places,
            };
            Some(range(&zset, places, &span, from_end, server))
        }
        Source::Known(_) => return Err(Failure::wrong_type(Type::Zset)),
        Source::Unknown => None,
    };
    store(unit, args[1], range);
    Ok(())
}

/// What `LIMIT` leaves of these places: nothing with a negative offset, though there were servers
/// (of 2024) that then took those at the other end of a skip list.
fn limited(places: Range<usize>, offset: i64, count: i64, from_end: bool) -> Range<usize> {
    let skipped = usize::try_from(offset).unwrap_or(usize::MAX);
    let left = places.len().saturating_sub(skipped);
    let taken = usize::try_from(count).unwrap_or(usize::MAX).min(left);
    if from_end {
        places.start + left - taken..places.start + left
    } else {
        places.end - left..places.end - left + taken
    }
}

/// The members at these places as a sorted set of their own, which the primary makes by adding one
/// after the other: the first ones to a packed block, unless it knows how many there will be.
fn range(
    zset: &Zset,
    places: Range<usize>,
    span: &Span<'_>,
    from_end: bool,
    server: Server,
) -> Zset {
    let mut members: Vec<(&[u8], f64)> = zset.iter_from(places.start).take(places.len()).collect();
    let is_hinted = matches!(span, Span::Ranks(..));
    let mut range = collect(&members, server);
    let has_signed_zero = |(_, score): &(&[u8], f64)| *score == 0.0 && score.is_sign_negative();
    if range.is_packed() || !members.iter().any(has_signed_zero) || !drops_zero_signs(server) {
        return range;
    }
    if from_end {
        members.reverse();
    }
    range = Zset::default();
    range.set_packed(!(is_hinted && members.len() > PACKED_LEN_MAX));
    for (member, score) in members {
        let is_packed = range.stays_packed_with(member);
        range.insert(member, if is_packed { score + 0.0 } else { score });
    }
    range
}
