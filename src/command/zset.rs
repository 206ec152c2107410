//! Commands on sorted sets and their members.

use super::arguments::{integer, is};
use super::unit::{ElementEdit, Found};
use super::zset_range::Span;
use super::{Applied, Failure, Server, Unit};
use crate::change::{Effect, Reason};
use crate::text::parse_f64;
use crate::value::{ABSENT, PACKED_LEN_MAX, Type, Value, Withheld, Zset};
use smallvec::SmallVec;
use std::ops::Range;

/// A score or another double. The oldest servers, and all of them in ranges, also take blanks in
/// front, nothing at all, and whatever stands behind a zero byte.
pub(super) fn score(text: &[u8]) -> Result<f64, Failure> {
    if let Some(number) = parse_f64(text) {
        return Ok(number);
    }
    let text = text.split(|byte| *byte == 0).next().unwrap_or_default();
    let rest = text.trim_ascii_start();
    let number = if text.is_empty() { Some(0.0) } else { parse_f64(rest) };
    number.ok_or_else(|| Failure::new("an argument is not a number"))
}

/// Whether the primary stores the scores of packed sorted sets as integers where they are whole,
/// which takes the sign from -0.
pub(super) fn drops_zero_signs(server: Server) -> bool {
    server.is_since((7, 0))
}

/// The conditions and the way of ZADD.
#[derive(Clone, Copy, Default)]
struct Adding {
    only_new: bool,
    only_old: bool,
    only_greater: bool,
    only_less: bool,
    increment: bool,
    /// The primary has made a skip list of it already.
    spread: bool,
}

impl Adding {
    /// What becomes of a member depends on the score that it had.
    fn depends(self) -> bool {
        self.only_new || self.only_old || self.only_greater || self.only_less || self.increment
    }

    /// The score that a member gets; none where a condition is not met or nothing changes.
    fn outcome(self, old: Option<f64>, score: f64) -> Result<Option<f64>, Failure> {
        let Some(old) = old else { return Ok((!self.only_old).then_some(score)) };
        if self.only_new {
            return Ok(None);
        }
        let new = if self.increment { score + old } else { score };
        if new.is_nan() {
            return Err(Failure::new("the sum of the scores is not a number"));
        }
        let is_refused = (self.only_less && new >= old) || (self.only_greater && new <= old);
        // A zero of the other sign is no other score.
        Ok((!is_refused && new != old).then_some(new))
    }
}

/// `ZADD key [NX | XX] [GT | LT] [CH] [INCR] score member [score member ...]`, which GEOADD becomes
pub(super) fn zadd(unit: &mut Unit<'_>, args: &[&[u8]]) -> Applied {
    let mut adding = Adding::default();
    let mut at = 2;
    while let Some(option) = args.get(at) {
        match option {
            // A score, mostly.
            [b'0'..=b'9' | b'-', ..] => break,
            _ if is(option, "NX") => adding.only_new = true,
            _ if is(option, "XX") => adding.only_old = true,
            _ if is(option, "GT") => adding.only_greater = true,
            _ if is(option, "LT") => adding.only_less = true,
            _ if is(option, "INCR") => adding.increment = true,
            _ if is(option, "CH") => {}
            _ => break,
        }
        at += 1;
    }
    add(unit, args[1], &args[at..], adding)
}

/// `ZINCRBY key increment member`
pub(super) fn zincrby(unit: &mut Unit<'_>, args: &[&[u8]]) -> Applied {
    add(unit, args[1], &args[2..], Adding { increment: true, ..Adding::default() })
}

fn add(unit: &mut Unit<'_>, key: &[u8], pairs: &[&[u8]], mut adding: Adding) -> Applied {
    if let [text, member] = pairs {
        return add_member(unit, key, member, score(text)?, adding);
    }
    let pairs = pairs.chunks_exact(2);
    if pairs.len() == 0 || !pairs.remainder().is_empty() {
        return Err(Failure::syntax());
    }
    // It makes a skip list at once where it knows that there will be so many.
    adding.spread = unit.server().is_since((7, 2)) && pairs.len() > PACKED_LEN_MAX;
    // All or nothing: a score that is none is found before anything is done.
    let scores: SmallVec<[f64; 4]> =
        pairs.clone().map(|pair| score(pair[0])).collect::<Result<_, Failure>>()?;
    for (pair, score) in pairs.zip(scores) {
        add_member(unit, key, pair[1], score, adding)?;
    }
    Ok(())
}

/// A score as the primary stores it.
fn stored(score: f64, is_packed: bool, server: Server) -> f64 {
    if is_packed && drops_zero_signs(server) { score + 0.0 } else { score }
}

fn add_member(
    unit: &mut Unit<'_>,
    key: &[u8],
    member: &[u8],
    score: f64,
    adding: Adding,
) -> Applied {
    let depends = adding.depends();
    let edit = |new: f64, is_known: bool| {
        let effect = Effect::ZsetAdd { member, score: (is_known || !depends).then_some(new) };
        let after = Some((&b""[..], new.to_bits() as i64));
        ElementEdit { kind: Type::Zset, name: member, effect, after, due_ms: None }
    };
    let server = unit.server();
    if !adding.spread {
        let mut new = 0.0;
        let made = unit.remake(key, Type::Zset, |old, room| {
            let outcome = |old| {
                new = adding.outcome(old, score).ok()??;
                new = stored(new, true, server);
                Some(new)
            };
            old.with_member(member, outcome, room)
        });
        if let Some(made) = made {
            unit.edit_element_to(key, &edit(new, true), made);
            return Ok(());
        }
    }
    let (is_known, old, stays_packed) = unit.look(unit.db(), key, |found| {
        found.expect_kind(Type::Zset)?;
        let is_known = found.can_read(member);
        Ok(match found.value() {
            Some(Value::Zset(zset)) => {
                let old = if is_known { zset.score(member) } else { None };
                (is_known, old, zset.stays_packed_with(member))
            }
            _ => (is_known, None, Zset::default().stays_packed_with(member)),
        })
    })?;
    let new = if is_known { adding.outcome(old, score)? } else { Some(score) };
    let Some(new) = new else { return Ok(()) };
    let new = stored(new, stays_packed && !adding.spread, server);
    unit.edit_element(key, edit(new, is_known), depends, |value| {
        if let Value::Zset(zset) = value {
            zset.set_packed(zset.is_packed() && !adding.spread);
            zset.insert(member, new);
        }
    })
}

fn remove(unit: &mut Unit<'_>, key: &[u8], member: &[u8]) -> Applied {
    // What is no sorted set is to be found out below.
    let has = |value: &Value| !matches!(value, Value::Zset(zset) if zset.score(member).is_none());
    if !unit.may_have(key, has, member) {
        return Ok(());
    }
    let (kind, effect, after) = (Type::Zset, Effect::ZsetRemove { member }, None);
    let edit = ElementEdit { kind, name: member, effect, after, due_ms: None };
    unit.edit_element(key, edit, false, |value| {
        if let Value::Zset(zset) = value {
            zset.remove(member);
        }
    })
}

/// `ZREM key member [member ...]`
pub(super) fn zrem(unit: &mut Unit<'_>, args: &[&[u8]]) -> Applied {
    args[2..].iter().try_for_each(|member| remove(unit, args[1], member))
}

/// `ZREMRANGEBYRANK key start stop`
pub(super) fn zremrangebyrank(unit: &mut Unit<'_>, args: &[&[u8]]) -> Applied {
    remove_span(unit, args[1], &Span::ranks(args[2], args[3])?)
}

/// `ZREMRANGEBYSCORE key min max`
pub(super) fn zremrangebyscore(unit: &mut Unit<'_>, args: &[&[u8]]) -> Applied {
    remove_span(unit, args[1], &Span::scores(args[2], args[3])?)
}

/// `ZREMRANGEBYLEX key min max`
pub(super) fn zremrangebylex(unit: &mut Unit<'_>, args: &[&[u8]]) -> Applied {
    remove_span(unit, args[1], &Span::names(args[2], args[3])?)
}

/// What is known of the members that the primary has.
enum Members {
    /// There is no such key, or it is left out.
    None,
    /// These, but for the withheld ones, which only the table still has.
    Known(Zset, Withheld),
    /// These, but for the withheld ones, of which the primary may have any.
    Partly(Zset, Withheld),
    /// Nothing.
    Unknown,
}

fn members(unit: &Unit<'_>, key: &[u8]) -> Result<Members, Failure> {
    let entry = match unit.find(unit.db(), key) {
        Found::Absent | Found::Excluded => return Ok(Members::None),
        Found::Withheld(_) => return Ok(Members::Unknown),
        Found::Whole(entry) | Found::Partial(entry) => entry,
    };
    let withheld = entry.hold.map(|hold| hold.withheld.clone()).unwrap_or_default();
    match entry.value {
        Some(Value::Zset(zset)) if withheld.iter().all(|(_, print)| print == Some(ABSENT)) => {
            Ok(Members::Known(zset, withheld))
        }
        Some(Value::Zset(zset)) => Ok(Members::Partly(zset, withheld)),
        _ if withheld.is_empty() => Err(Failure::wrong_type(Type::Zset)),
        _ => Ok(Members::Unknown),
    }
}

/// Removes the members at these places, one by one and in their order, the highest first with
/// `from_end`. The sorted set is one of before: the members' names outlive them.
fn remove_places(
    unit: &mut Unit<'_>,
    key: &[u8],
    zset: &Zset,
    places: Range<usize>,
    from_end: bool,
) -> Applied {
    if from_end {
        return places
            .rev()
            .filter_map(|place| zset.at(place))
            .try_for_each(|(member, _)| remove(unit, key, member));
    }
    let mut removed = zset.iter_from(places.start).take(places.len());
    removed.try_for_each(|(member, _)| remove(unit, key, member))
}

fn remove_span(unit: &mut Unit<'_>, key: &[u8], span: &Span<'_>) -> Applied {
    match members(unit, key)? {
        Members::None => Ok(()),
        Members::Known(zset, withheld) => {
            // Without what only the table still has, places are those of the primary.
            let zset = without(zset, &withheld);
            remove_places(unit, key, &zset, span.places(&zset, false), false)
        }
        _ if span.is_everything() => {
            unit.delete(unit.db(), key, Reason::Command);
            Ok(())
        }
        // Of a member whose score is known it is known whether it goes.
        Members::Partly(zset, withheld) if matches!(span, Span::Scores(..)) => {
            let zset = without(zset, &withheld);
            remove_places(unit, key, &zset, span.places(&zset, false), false)?;
            unit.remove_unseen(key, |member| Effect::ZsetRemove { member });
            Ok(())
        }
        Members::Partly(..) | Members::Unknown => unit.edit_unseen(key, Type::Zset),
    }
}

/// The members that are not withheld.
fn without(mut zset: Zset, withheld: &Withheld) -> Zset {
    for (name, _) in withheld.iter() {
        zset.remove(name);
    }
    zset
}

fn pop(unit: &mut Unit<'_>, args: &[&[u8]], from_end: bool) -> Applied {
    let count = match args.get(2) {
        None => 1,
        Some(count) => usize::try_from(integer(count)?).map_err(|_| Failure::syntax())?,
    };
    match members(unit, args[1])? {
        Members::None => Ok(()),
        Members::Known(zset, withheld) => {
            let zset = without(zset, &withheld);
            let count = count.min(zset.len());
            let start = if from_end { zset.len() - count } else { 0 };
            remove_places(unit, args[1], &zset, start..start + count, from_end)
        }
        Members::Partly(..) | Members::Unknown => unit.edit_unseen(args[1], Type::Zset),
    }
}

/// A sorted set from a DUMP payload as the primary keeps it.
pub(super) fn restored(mut zset: Zset, server: Server) -> Zset {
    if zset.is_packed() {
        zset.set_packed(zset.len() <= PACKED_LEN_MAX);
    } else if zset.fits_packed() {
        zset.set_packed(true);
        if drops_zero_signs(server) {
            zset.drop_zero_signs();
        }
    }
    zset
}

/// `ZPOPMIN key [count]`
pub(super) fn zpopmin(unit: &mut Unit<'_>, args: &[&[u8]]) -> Applied {
    pop(unit, args, false)
}

/// `ZPOPMAX key [count]`
pub(super) fn zpopmax(unit: &mut Unit<'_>, args: &[&[u8]]) -> Applied {
    pop(unit, args, true)
}
