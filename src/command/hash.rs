//! Commands on hashes, their fields and the fields' deadlines.

use super::arguments::{Clock, Deadline, argument, counted, integer, is, write_options};
use super::unit::{ElementEdit, Found};
use super::{Applied, Failure, Unit};
use crate::change::Effect;
use crate::text::{format_i64, parse_i64};
use crate::value::{ABSENT, Bytes, Field, Type, Value, element_fingerprint};

/// The field as the table has it now.
fn field(unit: &Unit<'_>, key: &[u8], name: &[u8]) -> Option<Field> {
    match unit.find(unit.db(), key) {
        Found::Whole(entry) | Found::Partial(entry) => match entry.value {
            Some(Value::Hash(hash)) => hash.get(name).cloned(),
            _ => None,
        },
        _ => None,
    }
}

fn print(name: &[u8], field: &Field) -> u64 {
    element_fingerprint(name, &field.value, field.expires_at_ms.unwrap_or(-1))
}

fn put(
    unit: &mut Unit<'_>,
    key: &[u8],
    name: &[u8],
    new: Field,
    effect: Effect<'_>,
    depends: bool,
) -> Applied {
    let edit = ElementEdit { kind: Type::Hash, name, effect, fingerprint: print(name, &new) };
    unit.edit_element(key, edit, depends, |value| {
        if let Value::Hash(hash) = value {
            hash.insert(Bytes::from(name), new);
        }
    })
}

fn set_field(
    unit: &mut Unit<'_>,
    key: &[u8],
    name: &[u8],
    value: &[u8],
    deadline: Deadline,
) -> Applied {
    let (at, depends) = match deadline {
        Deadline::Clear => (None, false),
        Deadline::At(at) => (Some(at), false),
        Deadline::Keep => (field(unit, key, name).and_then(|old| old.expires_at_ms), true),
    };
    let new = Field { value: Bytes::from(value), expires_at_ms: at };
    let effect = Effect::HashSet { field: name, value: Some(value), expires_at_ms: at };
    put(unit, key, name, new, effect, depends)
}

/// `HSET key field value [field value ...]`, HMSET, HSETNX
pub(super) fn hset(unit: &mut Unit<'_>, args: &[&[u8]]) -> Applied {
    let pairs = args[2..].chunks_exact(2);
    if !pairs.remainder().is_empty() {
        return Err(Failure::syntax());
    }
    for pair in pairs {
        set_field(unit, args[1], pair[0], pair[1], Deadline::Clear)?;
    }
    Ok(())
}

/// `HSETEX key [conditions] [deadline | KEEPTTL] FIELDS count field value [field value ...]`
pub(super) fn hsetex(unit: &mut Unit<'_>, args: &[&[u8]]) -> Applied {
    let (deadline, at) = write_options(args, 2, Some("FIELDS"), unit.now_ms())?;
    for pair in counted(args, at, 2)?.chunks_exact(2) {
        set_field(unit, args[1], pair[0], pair[1], deadline)?;
    }
    Ok(())
}

/// `HINCRBY key field increment`
pub(super) fn hincrby(unit: &mut Unit<'_>, args: &[&[u8]]) -> Applied {
    let (key, name, increment) = (args[1], args[2], integer(args[3])?);
    if !unit.can_read_element(key, name) {
        let effect = Effect::HashSet { field: name, value: None, expires_at_ms: None };
        return put(unit, key, name, Field::new(Bytes::default()), effect, true);
    }
    let old = field(unit, key, name);
    let number = match &old {
        None => 0,
        Some(old) => parse_i64(&old.value)
            .ok_or_else(|| Failure::new("the field's value is not an integer"))?,
    };
    let sum = number
        .checked_add(increment)
        .ok_or_else(|| Failure::new("the sum does not fit in 64 bits"))?;
    let at = old.and_then(|old| old.expires_at_ms);
    let text = format_i64(sum);
    let text = text.as_ref();
    let effect = Effect::HashSet { field: name, value: Some(text), expires_at_ms: at };
    put(unit, key, name, Field { value: Bytes::from(text), expires_at_ms: at }, effect, true)
}

fn remove(unit: &mut Unit<'_>, key: &[u8], names: &[&[u8]]) -> Applied {
    for name in names {
        let has = |value: &Value| !matches!(value, Value::Hash(hash) if hash.get(name).is_none());
        if !unit.may_have(key, has, name) {
            continue;
        }
        let effect = Effect::HashDelete { field: name };
        let edit = ElementEdit { kind: Type::Hash, name, effect, fingerprint: ABSENT };
        unit.edit_element(key, edit, false, |value| {
            if let Value::Hash(hash) = value {
                hash.remove(name);
            }
        })?;
    }
    Ok(())
}

/// `HDEL key field [field ...]`
pub(super) fn hdel(unit: &mut Unit<'_>, args: &[&[u8]]) -> Applied {
    remove(unit, args[1], &args[2..])
}

/// `HGETDEL key FIELDS count field [field ...]`, which Valkey sends as it is
pub(super) fn hgetdel(unit: &mut Unit<'_>, args: &[&[u8]]) -> Applied {
    if !is(args[2], "FIELDS") {
        return Err(Failure::syntax());
    }
    remove(unit, args[1], counted(args, 3, 1)?)
}

/// A condition on the deadline that a field has: the one kind of condition that is tested again,
/// because Valkey sends all fields of the command, also those that did not meet it.
fn meets(condition: Option<&[u8]>, old: Option<i64>, new: i64) -> bool {
    match condition.map(<[u8]>::to_ascii_uppercase).as_deref() {
        Some(b"NX") => old.is_none(),
        Some(b"XX") => old.is_some(),
        Some(b"GT") => old.is_some_and(|old| new > old),
        Some(b"LT") => old.is_none_or(|old| new < old),
        _ => true,
    }
}

fn expire_by(unit: &mut Unit<'_>, args: &[&[u8]], clock: Clock) -> Applied {
    let at = clock.deadline(args[2], unit.now_ms())?;
    let (condition, fields_at) = if is(args[3], "FIELDS") {
        (None, 4)
    } else if is(argument(args, 4)?, "FIELDS") {
        (Some(args[3]), 5)
    } else {
        return Err(Failure::syntax());
    };
    for name in counted(args, fields_at, 1)? {
        set_deadline(unit, args[1], name, Some(at), condition)?;
    }
    Ok(())
}

fn set_deadline(
    unit: &mut Unit<'_>,
    key: &[u8],
    name: &[u8],
    at: Option<i64>,
    condition: Option<&[u8]>,
) -> Applied {
    let effect = Effect::HashExpire { field: name, expires_at_ms: at };
    match field(unit, key, name) {
        None if unit.can_read_element(key, name) => Ok(()),
        None => put(unit, key, name, Field::new(Bytes::default()), effect, true),
        Some(old) if !meets(condition, old.expires_at_ms, at.unwrap_or(i64::MAX)) => Ok(()),
        Some(old) => put(unit, key, name, Field { expires_at_ms: at, ..old }, effect, true),
    }
}

/// `HEXPIRE key seconds [condition] FIELDS count field [field ...]`
pub(super) fn hexpire(unit: &mut Unit<'_>, args: &[&[u8]]) -> Applied {
    expire_by(unit, args, Clock::Seconds)
}

/// `HPEXPIRE key milliseconds [condition] FIELDS count field [field ...]`
pub(super) fn hpexpire(unit: &mut Unit<'_>, args: &[&[u8]]) -> Applied {
    expire_by(unit, args, Clock::Millis)
}

/// `HEXPIREAT key unix-seconds [condition] FIELDS count field [field ...]`
pub(super) fn hexpireat(unit: &mut Unit<'_>, args: &[&[u8]]) -> Applied {
    expire_by(unit, args, Clock::UnixSeconds)
}

/// `HPEXPIREAT key unix-milliseconds [condition] FIELDS count field [field ...]`
pub(super) fn hpexpireat(unit: &mut Unit<'_>, args: &[&[u8]]) -> Applied {
    expire_by(unit, args, Clock::UnixMillis)
}

/// `HPERSIST key FIELDS count field [field ...]`
///
/// A primary sends this as it came if it did something to one of the fields; those whose deadline
/// had passed it left alone, and deletes them later. Our clock can't tell which these were: when
/// we lag, it finds passed what was not, and a field that we failed to keep would stay hidden for
/// ever. One that we keep by mistake goes with the primary's next HDEL.
pub(super) fn hpersist(unit: &mut Unit<'_>, args: &[&[u8]]) -> Applied {
    if !is(args[2], "FIELDS") {
        return Err(Failure::syntax());
    }
    for name in counted(args, 3, 1)? {
        set_deadline(unit, args[1], name, None, None)?;
    }
    Ok(())
}
