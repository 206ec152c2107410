//! Commands on strings.

use super::arguments::{Clock, Deadline, integer, number, write_options};
use super::unit::Source;
use super::{Applied, Failure, Unit};
use crate::change::Reason;
use crate::text::format_i64;
use crate::value::{Content, Flat, Type, Value};

/// A string can't grow beyond this: the servers' own limit is configurable and half of it by
/// default, but an offset from a broken stream must not make us ask for exabytes.
pub(super) const STRING_BYTES_MAX: usize = 1 << 32;

#[inline]
fn write(unit: &mut Unit<'_>, key: &[u8], value: &[u8], deadline: Deadline) {
    let (db, value) = (unit.db(), Content::Flat(Flat::string(value)));
    match deadline {
        Deadline::Clear => unit.write(db, key, value, None, Reason::Command),
        Deadline::At(at) => unit.write(db, key, value, Some(at), Reason::Command),
        Deadline::Keep => unit.write_keeping_deadline(key, value),
    }
}

/// `SET key value [options]`
pub(super) fn set(unit: &mut Unit<'_>, args: &[&[u8]]) -> Applied {
    let deadline = write_options(args, 3, unit.now_ms())?;
    write(unit, args[1], args[2], deadline);
    Ok(())
}

/// `SETNX key value`
pub(super) fn setnx(unit: &mut Unit<'_>, args: &[&[u8]]) -> Applied {
    write(unit, args[1], args[2], Deadline::Clear);
    Ok(())
}

/// `GETSET key value`
pub(super) fn getset(unit: &mut Unit<'_>, args: &[&[u8]]) -> Applied {
    write(unit, args[1], args[2], Deadline::Clear);
    Ok(())
}

fn set_with_ttl(unit: &mut Unit<'_>, args: &[&[u8]], clock: Clock) -> Applied {
    let at = clock.deadline(args[2], unit.now_ms())?;
    write(unit, args[1], args[3], Deadline::At(at));
    Ok(())
}

/// `SETEX key seconds value`
pub(super) fn setex(unit: &mut Unit<'_>, args: &[&[u8]]) -> Applied {
    set_with_ttl(unit, args, Clock::Seconds)
}

/// `PSETEX key milliseconds value`
pub(super) fn psetex(unit: &mut Unit<'_>, args: &[&[u8]]) -> Applied {
    set_with_ttl(unit, args, Clock::Millis)
}

/// `MSET key value [key value ...]`, and MSETNX
pub(super) fn mset(unit: &mut Unit<'_>, args: &[&[u8]]) -> Applied {
    let pairs = args[1..].chunks_exact(2);
    if !pairs.remainder().is_empty() {
        return Err(Failure::syntax());
    }
    for pair in pairs {
        write(unit, pair[0], pair[1], Deadline::Clear);
    }
    Ok(())
}

/// `MSETEX numkeys key value [key value ...] [options]`
pub(super) fn msetex(unit: &mut Unit<'_>, args: &[&[u8]]) -> Applied {
    let count = usize::try_from(integer(args[1])?).map_err(|_| Failure::syntax())?;
    let end = count.checked_mul(2).and_then(|n| n.checked_add(2)).ok_or_else(Failure::syntax)?;
    let pairs = args.get(2..end).ok_or_else(Failure::syntax)?;
    let deadline = write_options(args, end, unit.now_ms())?;
    for pair in pairs.chunks_exact(2) {
        write(unit, pair[0], pair[1], deadline);
    }
    Ok(())
}

/// The bytes of a string; none for a key that is not there.
pub(super) fn text(value: Option<&Value>) -> &[u8] {
    match value {
        Some(Value::String(bytes)) => bytes,
        _ => b"",
    }
}

/// A string that a command reads to make another one.
pub(super) fn source(unit: &Unit<'_>, key: &[u8]) -> Result<Source, Failure> {
    match unit.source(key) {
        Source::Known(value) if value.kind() != Type::String => {
            Err(Failure::wrong_type(Type::String))
        }
        source => Ok(source),
    }
}

/// `APPEND key value`
pub(super) fn append(unit: &mut Unit<'_>, args: &[&[u8]]) -> Applied {
    unit.edit(args[1], Type::String, |old| Ok(Some(Value::string(&[text(old), args[2]].concat()))))
}

/// `SETRANGE key offset value`
pub(super) fn setrange(unit: &mut Unit<'_>, args: &[&[u8]]) -> Applied {
    let offset = usize::try_from(integer(args[2])?).map_err(|_| Failure::syntax())?;
    let patch = args[3];
    let end = offset
        .checked_add(patch.len())
        .filter(|end| *end <= STRING_BYTES_MAX)
        .ok_or_else(|| Failure::new("a string would grow beyond 4 GiB"))?;
    if patch.is_empty() {
        return Ok(());
    }
    let mut bytes = unit.room(end)?;
    unit.edit(args[1], Type::String, |old| {
        bytes.extend_from_slice(text(old));
        if bytes.len() < end {
            bytes.resize(end, 0);
        }
        bytes[offset..end].copy_from_slice(patch);
        Ok(Some(Value::string(&bytes)))
    })
}

fn add(unit: &mut Unit<'_>, key: &[u8], increment: i64) -> Applied {
    let made = unit.remake(key, Type::String, |old, room| {
        let sum = number(old.bytes)?.checked_add(increment)?;
        old.rewritten(format_i64(sum).as_ref(), room)
    });
    if let Some(made) = made {
        unit.edit_to(key, made);
        return Ok(());
    }
    unit.edit(key, Type::String, |old| {
        let old = match old {
            None => 0,
            some => {
                number(text(some)).ok_or_else(|| Failure::new("the value is not an integer"))?
            }
        };
        let sum = old
            .checked_add(increment)
            .ok_or_else(|| Failure::new("the sum does not fit in 64 bits"))?;
        Ok(Some(Value::string(format_i64(sum).as_ref())))
    })
}

/// `INCR key`
pub(super) fn incr(unit: &mut Unit<'_>, args: &[&[u8]]) -> Applied {
    add(unit, args[1], 1)
}

/// `INCRBY key increment`
pub(super) fn incrby(unit: &mut Unit<'_>, args: &[&[u8]]) -> Applied {
    add(unit, args[1], integer(args[2])?)
}

/// `DECR key`
pub(super) fn decr(unit: &mut Unit<'_>, args: &[&[u8]]) -> Applied {
    add(unit, args[1], -1)
}

/// `DECRBY key decrement`
pub(super) fn decrby(unit: &mut Unit<'_>, args: &[&[u8]]) -> Applied {
    // Servers before 7.0 take the smallest number of all, whose negation is itself; later ones
    // refuse it, so that it never comes.
    let increment = integer(args[2])?.wrapping_neg();
    add(unit, args[1], increment)
}
