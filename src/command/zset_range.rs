//! Ranges of sorted sets by place, score and name, as commands write them.

use super::Failure;
use super::arguments::integer;
use super::zset::score;
use crate::value::Zset;
use std::cmp::Ordering;
use std::ops::Range;

/// A range as its two arguments say it.
pub(super) enum Span<'a> {
    /// Places from the lowest score on; negative ones count from the other end.
    Ranks(i64, i64),
    /// From the least to the greatest score.
    Scores(ScoreBound, ScoreBound),
    /// From the least to the greatest name.
    Names(NameBound<'a>, NameBound<'a>),
}

/// An end of a range of scores.
#[derive(Clone, Copy)]
pub(super) struct ScoreBound {
    score: f64,
    /// The score itself is not part of the range.
    open: bool,
}

/// An end of a range of names.
#[derive(Clone, Copy, PartialEq)]
pub(super) enum NameBound<'a> {
    /// Before all names.
    Least,
    /// Behind all names.
    Greatest,
    /// A name that is part of the range.
    Closed(&'a [u8]),
    /// A name that is not.
    Open(&'a [u8]),
}

impl ScoreBound {
    fn parse(text: &[u8]) -> Result<Self, Failure> {
        let (open, text) = match text {
            [b'(', text @ ..] => (true, text),
            text => (false, text),
        };
        Ok(Self { score: score(text)?, open })
    }

    /// Whether a score lies before what begins here.
    fn is_behind(self, score: f64) -> bool {
        score < self.score || (self.open && score == self.score)
    }

    /// Whether a score lies behind what ends here.
    fn is_before(self, score: f64) -> bool {
        score > self.score || (self.open && score == self.score)
    }
}

impl<'a> NameBound<'a> {
    fn parse(text: &'a [u8]) -> Result<Self, Failure> {
        match text {
            b"-" => Ok(Self::Least),
            b"+" => Ok(Self::Greatest),
            [b'[', name @ ..] => Ok(Self::Closed(name)),
            [b'(', name @ ..] => Ok(Self::Open(name)),
            _ => Err(Failure::new("not an end of a range of names")),
        }
    }

    fn is_behind(self, name: &[u8]) -> bool {
        match self {
            Self::Least => false,
            Self::Greatest => true,
            Self::Closed(bound) => name < bound,
            Self::Open(bound) => name <= bound,
        }
    }

    fn is_before(self, name: &[u8]) -> bool {
        match self {
            Self::Least => true,
            Self::Greatest => false,
            Self::Closed(bound) => name > bound,
            Self::Open(bound) => name >= bound,
        }
    }
}

impl<'a> Span<'a> {
    /// A range of places.
    pub(super) fn ranks(start: &[u8], end: &[u8]) -> Result<Self, Failure> {
        Ok(Self::Ranks(integer(start)?, integer(end)?))
    }

    /// A range of scores: `5`, `(5`, `-inf`.
    pub(super) fn scores(min: &[u8], max: &[u8]) -> Result<Self, Failure> {
        Ok(Self::Scores(ScoreBound::parse(min)?, ScoreBound::parse(max)?))
    }

    /// A range of names: `[a`, `(a`, `-`, `+`.
    pub(super) fn names(min: &'a [u8], max: &'a [u8]) -> Result<Self, Failure> {
        Ok(Self::Names(NameBound::parse(min)?, NameBound::parse(max)?))
    }

    /// Whether every member that there can be lies within.
    pub(super) fn is_everything(&self) -> bool {
        match self {
            Self::Ranks(start, end) => (*start, *end) == (0, -1),
            Self::Scores(min, max) => {
                let ends = (min.score, max.score);
                ends == (f64::NEG_INFINITY, f64::INFINITY) && !min.open && !max.open
            }
            Self::Names(min, max) => (*min, *max) == (NameBound::Least, NameBound::Greatest),
        }
    }

    /// Whether a member of this name and an unknown score may lie within.
    pub(super) fn may_have(&self, name: &[u8]) -> bool {
        match self {
            Self::Names(min, max) => !min.is_behind(name) && !max.is_before(name),
            Self::Ranks(..) | Self::Scores(..) => true,
        }
    }

    /// The places that it has in this sorted set; `from_end` where they are looked for from the
    /// highest score on, which makes a difference for places and for names where scores differ.
    pub(super) fn places(&self, zset: &Zset, from_end: bool) -> Range<usize> {
        match self {
            Self::Ranks(start, end) => ranks(*start, *end, zset.len(), from_end),
            Self::Scores(min, max) => {
                let start = zset.partition_point(|_, score| min.is_behind(score));
                let end = zset.partition_point(|_, score| !max.is_before(score));
                start..end.max(start)
            }
            Self::Names(min, max) if zset.is_packed() => names(*min, *max, zset, from_end),
            Self::Names(min, max) => {
                let start = zset.partition_point(|name, _| min.is_behind(name));
                let end = zset.partition_point(|name, _| !max.is_before(name));
                start..end.max(start)
            }
        }
    }
}

fn ranks(start: i64, end: i64, len: usize, from_end: bool) -> Range<usize> {
    let absolute = |place: i64| match usize::try_from(place) {
        Ok(place) => Some(place),
        Err(_) => len.checked_sub(usize::try_from(place.unsigned_abs()).unwrap_or(usize::MAX)),
    };
    let start = absolute(start).unwrap_or(0);
    let Some(end) = absolute(end).map(|end| end.saturating_add(1).min(len)) else { return 0..0 };
    if start >= end {
        0..0
    } else if from_end {
        len - end..len - start
    } else {
        start..end
    }
}

/// A range of names in a packed block, whose members the primary goes through one by one: only then
/// is it told what happens where scores differ and names are in no order.
fn names(min: NameBound<'_>, max: NameBound<'_>, zset: &Zset, from_end: bool) -> Range<usize> {
    let is_empty = match (min, max) {
        (NameBound::Closed(a), NameBound::Closed(b)) => a > b,
        (NameBound::Closed(a) | NameBound::Open(a), NameBound::Closed(b) | NameBound::Open(b)) => {
            a.cmp(b) != Ordering::Less
        }
        (NameBound::Greatest, _) | (_, NameBound::Least) => true,
        (NameBound::Least, _) | (_, NameBound::Greatest) => false,
    };
    let members: Vec<&[u8]> = zset.iter().map(|(member, _)| member).collect();
    let (Some(first), Some(last)) = (members.first(), members.last()) else { return 0..0 };
    if is_empty || min.is_behind(last) || max.is_before(first) {
        return 0..0;
    }
    let found = if from_end {
        members.iter().rposition(|name| !max.is_before(name)).map(|last| {
            let run = members.iter().take(last + 1).rev().take_while(|name| !min.is_behind(name));
            last + 1 - run.count()..last + 1
        })
    } else {
        members.iter().position(|name| !min.is_behind(name)).map(|first| {
            let run = members.iter().skip(first).take_while(|name| !max.is_before(name));
            first..first + run.count()
        })
    };
    found.unwrap_or(0..0)
}
