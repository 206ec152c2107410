//! Commands on hashes, their fields and the fields' deadlines.

use super::arguments::{Clock, Deadline, field_write_options, fields, integer, number};
use super::unit::{ElementEdit, Found};
use super::{Applied, Failure, Unit};
use crate::change::Effect;
use crate::text::format_i64;
use crate::value::{Field, Type, Value};

/// A field's value and deadline, as the table has them now.
type Owned = (Vec<u8>, Option<i64>);

/// The field as the table has it now.
fn field(unit: &Unit<'_>, key: &[u8], name: &[u8]) -> Option<Owned> {
    match unit.find(unit.db(), key) {
        Found::Whole(entry) | Found::Partial(entry) => match entry.value {
            Some(Value::Hash(hash)) => {
                hash.get(name).map(|field| (field.value.to_vec(), field.expires_at_ms))
            }
            _ => None,
        },
        _ => None,
    }
}

/// The field, where what the table has is what the primary has.
fn known_field(unit: &Unit<'_>, key: &[u8], name: &[u8]) -> Option<Owned> {
    if unit.can_read_element(key, name) { field(unit, key, name) } else { None }
}

/// For commands whose fields come with no options.
fn no_option(_at: usize, _option: &[u8]) -> Result<usize, Failure> {
    Err(Failure::syntax())
}

fn put(
    unit: &mut Unit<'_>,
    key: &[u8],
    name: &[u8],
    new: Field<'_>,
    effect: Effect<'_>,
    depends: bool,
) -> Applied {
    let (kind, due_ms) = (Type::Hash, new.expires_at_ms);
    let edit =
        ElementEdit { kind, name, effect, after: Some((new.value, due_ms.unwrap_or(-1))), due_ms };
    if let Some(made) = unit.remake(key, kind, |old, room| old.with_field(name, new, room)) {
        unit.edit_element_to(key, &edit, made);
        return Ok(());
    }
    unit.edit_element(key, edit, depends, |value| {
        if let Value::Hash(hash) = value {
            hash.insert(name, new);
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
        Deadline::Keep => (known_field(unit, key, name).and_then(|(_, at)| at), true),
    };
    let new = Field { value, expires_at_ms: at };
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
    let (deadline, fields) = field_write_options(args, unit.now_ms())?;
    for pair in fields.chunks_exact(2) {
        set_field(unit, args[1], pair[0], pair[1], deadline)?;
    }
    Ok(())
}

/// `HINCRBY key field increment`
pub(super) fn hincrby(unit: &mut Unit<'_>, args: &[&[u8]]) -> Applied {
    let (key, name, increment) = (args[1], args[2], integer(args[3])?);
    if !unit.can_read_element(key, name) {
        let effect = Effect::HashSet { field: name, value: None, expires_at_ms: None };
        return put(unit, key, name, Field::new(b""), effect, true);
    }
    let old = field(unit, key, name);
    let number = match &old {
        None => 0,
        Some((value, _)) => {
            number(value).ok_or_else(|| Failure::new("the field's value is not an integer"))?
        }
    };
    let sum = number
        .checked_add(increment)
        .ok_or_else(|| Failure::new("the sum does not fit in 64 bits"))?;
    let at = old.and_then(|(_, at)| at);
    let text = format_i64(sum);
    let text = text.as_ref();
    let effect = Effect::HashSet { field: name, value: Some(text), expires_at_ms: at };
    put(unit, key, name, Field { value: text, expires_at_ms: at }, effect, true)
}

fn remove(unit: &mut Unit<'_>, key: &[u8], names: &[&[u8]]) -> Applied {
    for name in names {
        let has = |value: &Value| !matches!(value, Value::Hash(hash) if hash.get(name).is_none());
        if !unit.may_have(key, has, name) {
            continue;
        }
        let (kind, effect) = (Type::Hash, Effect::HashDelete { field: name });
        let due_ms = field(unit, key, name).and_then(|(_, at)| at);
        let edit = ElementEdit { kind, name, effect, after: None, due_ms };
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
    remove(unit, args[1], fields(args, 2, 1, no_option)?)
}

/// A condition on the deadline that a field has: the one kind of condition that is tested again,
/// because Valkey sends all fields of the command, also those that did not meet it.
#[derive(Clone, Copy)]
enum Condition {
    Nx,
    Xx,
    Gt,
    Lt,
}

impl Condition {
    fn named(option: &[u8]) -> Option<Self> {
        match option.to_ascii_uppercase().as_slice() {
            b"NX" => Some(Self::Nx),
            b"XX" => Some(Self::Xx),
            b"GT" => Some(Self::Gt),
            b"LT" => Some(Self::Lt),
            _ => None,
        }
    }

    fn is_met(self, old: Option<i64>, new: i64) -> bool {
        match self {
            Self::Nx => old.is_none(),
            Self::Xx => old.is_some(),
            Self::Gt => old.is_some_and(|old| new > old),
            Self::Lt => old.is_none_or(|old| new < old),
        }
    }
}

fn expire_by(unit: &mut Unit<'_>, args: &[&[u8]], clock: Clock) -> Applied {
    let at = clock.deadline(args[2], unit.now_ms())?;
    let mut condition = None;
    let names = fields(args, 3, 1, |_, option| {
        condition = Some(Condition::named(option).ok_or_else(Failure::syntax)?);
        Ok(1)
    })?;
    unit.expect_kind(args[1], Type::Hash)?;
    for name in names {
        set_deadline(unit, args[1], name, Some(at), condition)?;
    }
    Ok(())
}

fn set_deadline(
    unit: &mut Unit<'_>,
    key: &[u8],
    name: &[u8],
    at: Option<i64>,
    condition: Option<Condition>,
) -> Applied {
    let effect = Effect::HashExpire { field: name, expires_at_ms: at };
    if !unit.can_read_element(key, name) {
        let unknown = Field { value: b"", expires_at_ms: at };
        return put(unit, key, name, unknown, effect, true);
    }
    let Some((value, old)) = field(unit, key, name) else { return Ok(()) };
    let is_met = match (condition, at) {
        (Some(condition), Some(at)) => condition.is_met(old, at),
        (_, None) => old.is_some(),
        (None, Some(_)) => true,
    };
    if is_met {
        put(unit, key, name, Field { value: &value, expires_at_ms: at }, effect, true)?;
    }
    Ok(())
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
    let (key, names) = (args[1], fields(args, 2, 1, no_option)?);
    unit.expect_kind(key, Type::Hash)?;
    for name in names {
        set_deadline(unit, key, name, None, None)?;
    }
    Ok(())
}
