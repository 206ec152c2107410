//! Commands on arrays (Redis 8.8).

use super::arguments::integer;
use super::{Applied, Failure, Unit};
use crate::value::{Array, Type, Value};

/// An index, read as leniently as servers do.
fn index(text: &[u8]) -> Result<u64, Failure> {
    let number = std::str::from_utf8(text.trim_ascii_start()).ok().and_then(|n| n.parse().ok());
    number.ok_or_else(|| Failure::new("an argument is not the index of an array"))
}

fn is_stored(stored: bool) -> Applied {
    if stored { Ok(()) } else { Err(Failure::new("an array has no place behind the last index")) }
}

/// Edits an array; one without a value goes away.
fn edit(unit: &mut Unit<'_>, key: &[u8], change: impl FnOnce(&mut Array) -> Applied) -> Applied {
    unit.edit(key, Type::Array, |old| {
        let mut array = match old {
            Some(Value::Array(array)) => array.clone(),
            _ => Array::default(),
        };
        change(&mut array)?;
        Ok((!array.is_empty()).then_some(Value::Array(array)))
    })
}

/// `ARSET key index value [value ...]`
pub(super) fn arset(unit: &mut Unit<'_>, args: &[&[u8]]) -> Applied {
    let first = index(args[2])?;
    edit(unit, args[1], |array| {
        let mut values = (0..).zip(&args[3..]);
        values.try_for_each(|(at, value)| {
            is_stored(first.checked_add(at).is_some_and(|index| array.set(index, value)))
        })
    })
}

/// The arguments in pairs.
fn pairs<'a, 'b>(args: &'b [&'a [u8]]) -> Result<std::slice::ChunksExact<'b, &'a [u8]>, Failure> {
    let pairs = args.chunks_exact(2);
    if pairs.remainder().is_empty() { Ok(pairs) } else { Err(Failure::syntax()) }
}

/// `ARMSET key index value [index value ...]`
pub(super) fn armset(unit: &mut Unit<'_>, args: &[&[u8]]) -> Applied {
    let mut pairs = pairs(&args[2..])?;
    edit(unit, args[1], |array| {
        pairs.try_for_each(|pair| is_stored(array.set(index(pair[0])?, pair[1])))
    })
}

/// `ARINSERT key value [value ...]`
pub(super) fn arinsert(unit: &mut Unit<'_>, args: &[&[u8]]) -> Applied {
    edit(unit, args[1], |array| args[2..].iter().try_for_each(|value| is_stored(array.push(value))))
}

/// `ARRING key size value [value ...]`
pub(super) fn arring(unit: &mut Unit<'_>, args: &[&[u8]]) -> Applied {
    let size = match u64::try_from(integer(args[2])?) {
        Ok(size @ 1..) => size,
        _ => return Err(Failure::new("a ring has no place")),
    };
    edit(unit, args[1], |array| {
        array.resize_ring(size);
        args[3..].iter().for_each(|value| array.push_ring(value, size));
        Ok(())
    })
}

/// `ARSEEK key index`: where the next value is appended
pub(super) fn arseek(unit: &mut Unit<'_>, args: &[&[u8]]) -> Applied {
    let cursor = index(args[2])?.checked_sub(1);
    edit(unit, args[1], |array| {
        array.set_cursor(cursor);
        Ok(())
    })
}

/// `ARDEL key index [index ...]`
pub(super) fn ardel(unit: &mut Unit<'_>, args: &[&[u8]]) -> Applied {
    edit(unit, args[1], |array| {
        args[2..].iter().try_for_each(|at| {
            let index = index(at)?;
            array.remove(index, index);
            Ok(())
        })
    })
}

/// `ARDELRANGE key start end [start end ...]`: the two may stand in any order
pub(super) fn ardelrange(unit: &mut Unit<'_>, args: &[&[u8]]) -> Applied {
    let mut pairs = pairs(&args[2..])?;
    edit(unit, args[1], |array| {
        pairs.try_for_each(|pair| {
            let (one, other) = (index(pair[0])?, index(pair[1])?);
            array.remove(one.min(other), one.max(other));
            Ok(())
        })
    })
}
