//! Commands on sets and their members.

use super::unit::{Due, ElementEdit, Found, Source};
use super::{Applied, Failure, Unit};
use crate::change::{Effect, Reason};
use crate::value::{Set, Type, Value, sort};

/// Where more than one member for so many others joins a set, building it anew is cheaper.
const MERGE_SHARE: usize = 8;

fn is_member(value: &Value, member: &[u8]) -> bool {
    matches!(value, Value::Set(set) if set.contains(member))
}

fn add(unit: &mut Unit<'_>, key: &[u8], member: &[u8]) -> Applied {
    if unit.has_element(key, member, |value| is_member(value, member)) {
        return Ok(());
    }
    let after = Some((&b""[..], 0));
    let effect = Effect::SetAdd { member };
    let edit = ElementEdit { kind: Type::Set, name: member, effect, after, due_ms: None };
    unit.edit_element(key, edit, false, |value| {
        if let Value::Set(set) = value {
            set.insert(member);
        }
    })
}

fn remove(unit: &mut Unit<'_>, key: &[u8], member: &[u8]) -> Applied {
    // What is not a set is to be found out below.
    let has = |value: &Value| value.kind() != Type::Set || is_member(value, member);
    if !unit.may_have(key, has, member) {
        return Ok(());
    }
    let (after, effect) = (None, Effect::SetRemove { member });
    let edit = ElementEdit { kind: Type::Set, name: member, effect, after, due_ms: None };
    unit.edit_element(key, edit, false, |value| {
        if let Value::Set(set) = value {
            set.remove(member);
        }
    })
}

/// `SADD key member [member ...]`
pub(super) fn sadd(unit: &mut Unit<'_>, args: &[&[u8]]) -> Applied {
    args[2..].iter().try_for_each(|member| add(unit, args[1], member))
}

/// `SREM key member [member ...]`
pub(super) fn srem(unit: &mut Unit<'_>, args: &[&[u8]]) -> Applied {
    args[2..].iter().try_for_each(|member| remove(unit, args[1], member))
}

/// `SMOVE source destination member`
pub(super) fn smove(unit: &mut Unit<'_>, args: &[&[u8]]) -> Applied {
    let (source, destination, member) = (args[1], args[2], args[3]);
    if source == destination {
        return Ok(());
    }
    unit.expect_kind(destination, Type::Set)?;
    remove(unit, source, member)?;
    add(unit, destination, member)
}

/// The sets that are read, where no such key is an empty one; `None` for what is withheld.
type Operands = Vec<Result<Option<Set>, Failure>>;

/// Stores what is made of the sets under the other keys; `None` where that can't be known.
fn store(
    unit: &mut Unit<'_>,
    args: &[&[u8]],
    combine: impl FnOnce(Operands) -> Result<Option<Set>, Failure>,
) -> Applied {
    let (db, destination) = (unit.db(), args[1]);
    if matches!(unit.find(db, destination), Found::Excluded) {
        return Ok(());
    }
    let operand = |key: &&[u8]| match unit.source(key) {
        Source::Absent => Ok(Some(Set::default())),
        Source::Known(Value::Set(set)) => Ok(Some(set)),
        Source::Known(_) => Err(Failure::wrong_type(Type::Set)),
        Source::Unknown => Ok(None),
    };
    match combine(args[2..].iter().map(operand).collect())? {
        None => unit.withhold(db, destination, Due::Known(None), Reason::Command),
        Some(set) if set.is_empty() => unit.delete(db, destination, Reason::Command),
        Some(set) => unit.write(db, destination, Value::Set(set), None, Reason::Command),
    }
    Ok(())
}

/// All of them; `None` where one is withheld.
fn known(operands: Operands) -> Result<Option<Vec<Set>>, Failure> {
    let all: Vec<Option<Set>> = operands.into_iter().collect::<Result<_, _>>()?;
    Ok(all.into_iter().collect())
}

fn is_empty(operand: &Result<Option<Set>, Failure>) -> bool {
    matches!(operand, Ok(Some(set)) if set.is_empty())
}

fn intersection(mut sets: Vec<Set>) -> Set {
    sort(&mut sets, |a, b| a.len().cmp(&b.len()));
    let mut rest = sets.into_iter();
    let smallest = rest.next().unwrap_or_default();
    rest.fold(smallest, |set, other| set.iter().filter(|member| other.contains(member)).collect())
}

fn union(mut sets: Vec<Set>) -> Set {
    sort(&mut sets, |a, b| a.len().cmp(&b.len()));
    let mut all = sets.pop().unwrap_or_default();
    let others: usize = sets.iter().map(Set::len).sum();
    if others > all.len() / MERGE_SHARE {
        return sets.iter().chain([&all]).flat_map(Set::iter).collect();
    }
    for member in sets.iter().flat_map(Set::iter) {
        all.insert(&member);
    }
    all
}

fn difference(sets: Vec<Set>) -> Set {
    let mut rest = sets.into_iter();
    let mut set = rest.next().unwrap_or_default();
    for other in rest {
        if other.len() < set.len() {
            for member in other.iter() {
                set.remove(&member);
            }
        } else {
            set = set.iter().filter(|member| !other.contains(member)).collect();
        }
    }
    set
}

/// `SINTERSTORE destination key [key ...]`
pub(super) fn sinterstore(unit: &mut Unit<'_>, args: &[&[u8]]) -> Applied {
    store(unit, args, |operands| {
        // Where one is empty no other matters; servers before 7.0 don't look at their types either.
        if operands.iter().any(is_empty) {
            return Ok(Some(Set::default()));
        }
        Ok(known(operands)?.map(intersection))
    })
}

/// `SUNIONSTORE destination key [key ...]`
pub(super) fn sunionstore(unit: &mut Unit<'_>, args: &[&[u8]]) -> Applied {
    store(unit, args, |operands| Ok(known(operands)?.map(union)))
}

/// `SDIFFSTORE destination key [key ...]`
pub(super) fn sdiffstore(unit: &mut Unit<'_>, args: &[&[u8]]) -> Applied {
    store(unit, args, |operands| {
        if operands.first().is_some_and(is_empty) {
            return Ok(Some(Set::default()));
        }
        Ok(known(operands)?.map(difference))
    })
}
