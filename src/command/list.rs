//! Commands on lists. What a callback hears of each is one edit a key, with the list as it is then.

use super::arguments::{argument, integer, is};
use super::unit::Source;
use super::{Applied, Failure, Unit};
use crate::value::{List, Type, Value};
use std::ops::Range;

/// Places of a list that are looked through at once on the way from its tail; the next time twice
/// as many.
const SCAN: usize = 64;

/// Where more than one in so many elements goes, building the list anew is cheaper.
const REBUILD_SHARE: usize = 8;

/// One of the two ends.
#[derive(Clone, Copy, PartialEq, Eq)]
enum End {
    Left,
    Right,
}

impl End {
    fn named(argument: &[u8]) -> Result<Self, Failure> {
        match argument {
            _ if is(argument, "LEFT") => Ok(Self::Left),
            _ if is(argument, "RIGHT") => Ok(Self::Right),
            _ => Err(Failure::syntax()),
        }
    }

    /// The places of as many elements at this end, or of all.
    fn places(self, list: &List, count: usize) -> Range<usize> {
        match self {
            Self::Left => 0..count.min(list.len()),
            Self::Right => list.len().saturating_sub(count)..list.len(),
        }
    }

    fn push(self, list: &mut List, element: &[u8]) {
        match self {
            Self::Left => list.push_front(element),
            Self::Right => list.push_back(element),
        }
    }
}

fn edit(
    unit: &mut Unit<'_>,
    key: &[u8],
    change: impl FnOnce(&mut List) -> Result<(), Failure>,
) -> Applied {
    unit.edit(key, Type::List, |old| {
        let mut list = match old {
            Some(Value::List(list)) => list.clone(),
            _ => List::default(),
        };
        change(&mut list)?;
        Ok((!list.is_empty()).then_some(Value::List(list)))
    })
}

fn push(unit: &mut Unit<'_>, args: &[&[u8]], to: End) -> Applied {
    let made =
        unit.remake(args[1], Type::List, |old, room| old.pushed(&args[2..], to == End::Left, room));
    if let Some(made) = made {
        unit.edit_to(args[1], made);
        return Ok(());
    }
    edit(unit, args[1], |list| {
        args[2..].iter().for_each(|element| to.push(list, element));
        Ok(())
    })
}

/// `LPUSH key element [element ...]`, and LPUSHX
pub(super) fn lpush(unit: &mut Unit<'_>, args: &[&[u8]]) -> Applied {
    push(unit, args, End::Left)
}

/// `RPUSH key element [element ...]`, and RPUSHX
pub(super) fn rpush(unit: &mut Unit<'_>, args: &[&[u8]]) -> Applied {
    push(unit, args, End::Right)
}

fn count(argument: &[u8]) -> Result<usize, Failure> {
    let count = integer(argument)?;
    usize::try_from(count).map_err(|_| Failure::new("a count is negative"))
}

fn pop_from(unit: &mut Unit<'_>, key: &[u8], from: End, count: usize) -> Applied {
    edit(unit, key, |list| {
        list.remove(from.places(list, count));
        Ok(())
    })
}

fn pop(unit: &mut Unit<'_>, args: &[&[u8]], from: End) -> Applied {
    let count = args.get(2).map_or(Ok(1), |argument| count(argument))?;
    pop_from(unit, args[1], from, count)
}

/// `LPOP key [count]`
pub(super) fn lpop(unit: &mut Unit<'_>, args: &[&[u8]]) -> Applied {
    pop(unit, args, End::Left)
}

/// `RPOP key [count]`
pub(super) fn rpop(unit: &mut Unit<'_>, args: &[&[u8]]) -> Applied {
    pop(unit, args, End::Right)
}

/// What Redis 2.2 and 2.4 send as it is: an element of the first list that is there. It does not
/// block, for there was one.
fn pop_first(unit: &mut Unit<'_>, args: &[&[u8]], from: End) -> Applied {
    let [_, keys @ .., _timeout] = args else { return Err(Failure::syntax()) };
    // Whether all keys before this one are known not to be there.
    let mut is_first = true;
    for key in keys {
        match unit.source(key) {
            Source::Absent => {}
            Source::Unknown => {
                unit.edit_unseen(key, Type::List)?;
                is_first = false;
            }
            Source::Known(_) if is_first => return pop_from(unit, key, from, 1),
            // The primary never came here.
            Source::Known(value) if value.kind() != Type::List => return Ok(()),
            Source::Known(_) => return unit.edit_unseen(key, Type::List),
        }
    }
    Ok(())
}

/// `BLPOP key [key ...] timeout`
pub(super) fn blpop(unit: &mut Unit<'_>, args: &[&[u8]]) -> Applied {
    pop_first(unit, args, End::Left)
}

/// `BRPOP key [key ...] timeout`
pub(super) fn brpop(unit: &mut Unit<'_>, args: &[&[u8]]) -> Applied {
    pop_first(unit, args, End::Right)
}

/// The place that an index means, which is counted from the end where it is negative. It may lie
/// outside of the list on either side.
fn place(index: i64, list: &List) -> i64 {
    // A list has no more elements than fit in memory.
    let len = list.len() as i64;
    if index < 0 { index.saturating_add(len) } else { index }
}

/// `LSET key index element`
pub(super) fn lset(unit: &mut Unit<'_>, args: &[&[u8]]) -> Applied {
    let index = integer(args[2])?;
    edit(unit, args[1], |list| {
        let within = |index| usize::try_from(place(index, list)).ok().filter(|at| *at < list.len());
        // From 7.2 on servers only look at the index's lower 32 bits.
        let at = within(index).or_else(|| within(i64::from(index as i32)));
        let at = at.ok_or_else(|| Failure::new("the list has no such place"))?;
        list.set(at, args[3]);
        Ok(())
    })
}

/// `LINSERT key BEFORE|AFTER pivot element`
pub(super) fn linsert(unit: &mut Unit<'_>, args: &[&[u8]]) -> Applied {
    let behind = match args[2] {
        side if is(side, "BEFORE") => 0,
        side if is(side, "AFTER") => 1,
        _ => return Err(Failure::syntax()),
    };
    edit(unit, args[1], |list| {
        let pivot = list.iter().position(|element| element == args[3]);
        if let Some(at) = pivot {
            list.insert(at + behind, args[4]);
        }
        Ok(())
    })
}

/// `LTRIM key start stop`
pub(super) fn ltrim(unit: &mut Unit<'_>, args: &[&[u8]]) -> Applied {
    let (start, stop) = (integer(args[2])?, integer(args[3])?);
    edit(unit, args[1], |list| {
        let start = usize::try_from(place(start, list)).unwrap_or(0);
        let end = usize::try_from(place(stop, list)).map_or(0, |stop| stop.saturating_add(1));
        if start >= end {
            list.remove(0..list.len());
        } else {
            list.remove(end..list.len());
            list.remove(0..start);
        }
        Ok(())
    })
}

/// The places of an element from the head on, ascending: all, or this many at most.
fn places_from_head(list: &List, element: &[u8], max: usize) -> Vec<usize> {
    let all = list.iter().enumerate().filter(|(_, other)| *other == element);
    all.take(max).map(|(at, _)| at).collect()
}

/// The same from the tail on, descending, without looking at more of the list than it takes.
fn places_from_tail(list: &List, element: &[u8], max: usize) -> Vec<usize> {
    let mut places = Vec::new();
    let (mut end, mut step) = (list.len(), SCAN);
    while end > 0 && places.len() < max {
        let start = end.saturating_sub(step);
        let part = list.iter_from(start).take(end - start).enumerate();
        let hits = part.filter(|(_, other)| *other == element).map(|(at, _)| start + at);
        let hits: Vec<usize> = hits.collect();
        places.extend(hits.into_iter().rev());
        (end, step) = (start, step.saturating_mul(2));
    }
    places.truncate(max);
    places
}

/// Removes the elements at these places, which are ascending.
fn remove_places(list: &mut List, places: &[usize]) {
    if places.len() > list.len() / REBUILD_SHARE {
        let mut gone = places.iter().copied().peekable();
        let stays = |(at, element)| gone.next_if_eq(&at).is_none().then_some(element);
        *list = list.iter().enumerate().filter_map(stays).collect();
    } else {
        places.iter().rev().for_each(|at| list.remove(*at..*at + 1));
    }
}

/// `LREM key count element`
pub(super) fn lrem(unit: &mut Unit<'_>, args: &[&[u8]]) -> Applied {
    let count = integer(args[2])?;
    let max = match count {
        0 => usize::MAX,
        count => usize::try_from(count.unsigned_abs()).unwrap_or(usize::MAX),
    };
    edit(unit, args[1], |list| {
        let mut places = if count < 0 {
            places_from_tail(list, args[3], max)
        } else {
            places_from_head(list, args[3], max)
        };
        if count < 0 {
            places.reverse();
        }
        if !places.is_empty() {
            remove_places(list, &places);
        }
        Ok(())
    })
}

/// What moves from one end of a list to an end of another, or of the same.
struct Transfer {
    from: End,
    to: End,
    count: usize,
    /// They keep the order they had, where else each is taken and put by itself.
    bulk: bool,
}

impl Transfer {
    fn one(from: End, to: End) -> Self {
        Self { from, to, count: 1, bulk: false }
    }

    /// The elements that move, in the order in which they are pushed.
    fn block(&self, list: &List) -> Vec<Vec<u8>> {
        let places = self.from.places(list, self.count);
        let elements = list.iter_from(places.start).take(places.len());
        let mut block: Vec<Vec<u8>> = elements.map(<[u8]>::to_vec).collect();
        // Pushed at the left, the last one comes to stand first.
        let reversed = if self.bulk { self.to == End::Left } else { self.from == End::Right };
        if reversed {
            block.reverse();
        }
        block
    }

    fn remove(&self, list: &mut List) {
        list.remove(self.from.places(list, self.count));
    }

    fn push(&self, list: &mut List, block: &[Vec<u8>]) {
        block.iter().for_each(|element| self.to.push(list, element));
    }

    fn run(&self, unit: &mut Unit<'_>, source: &[u8], destination: &[u8]) -> Applied {
        if source == destination {
            return edit(unit, source, |list| {
                let block = self.block(list);
                self.remove(list);
                self.push(list, &block);
                Ok(())
            });
        }
        match unit.source(source) {
            Source::Absent => Ok(()),
            Source::Known(Value::List(list)) => {
                let block = self.block(&list);
                edit(unit, destination, |list| {
                    self.push(list, &block);
                    Ok(())
                })?;
                edit(unit, source, |list| {
                    self.remove(list);
                    Ok(())
                })
            }
            Source::Known(_) => Err(Failure::wrong_type(Type::List)),
            Source::Unknown => {
                unit.edit_unseen(destination, Type::List)?;
                unit.edit_unseen(source, Type::List)
            }
        }
    }
}

/// `RPOPLPUSH source destination`, and BRPOPLPUSH, whose timeout follows
pub(super) fn rpoplpush(unit: &mut Unit<'_>, args: &[&[u8]]) -> Applied {
    Transfer::one(End::Right, End::Left).run(unit, args[1], args[2])
}

/// `LMOVE source destination LEFT|RIGHT LEFT|RIGHT`, and BLMOVE, whose timeout follows
pub(super) fn lmove(unit: &mut Unit<'_>, args: &[&[u8]]) -> Applied {
    Transfer::one(End::named(args[3])?, End::named(args[4])?).run(unit, args[1], args[2])
}

/// `LMOVEM source destination LEFT|RIGHT LEFT|RIGHT [COUNT|EXACTLY count] [OBO|BULK]`
pub(super) fn lmovem(unit: &mut Unit<'_>, args: &[&[u8]]) -> Applied {
    let mut transfer = Transfer::one(End::named(args[3])?, End::named(args[4])?);
    let mut at = 5;
    while let Some(option) = args.get(at) {
        at += match option.to_ascii_uppercase().as_slice() {
            b"COUNT" | b"EXACTLY" => {
                transfer.count = count(argument(args, at + 1)?)?;
                2
            }
            b"OBO" => {
                transfer.bulk = false;
                1
            }
            b"BULK" => {
                transfer.bulk = true;
                1
            }
            _ => return Err(Failure::syntax()),
        };
    }
    transfer.run(unit, args[1], args[2])
}
