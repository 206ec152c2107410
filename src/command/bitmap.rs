//! Commands on the bits of strings. Bit 0 is the highest of the first byte.

use super::arguments::{argument, integer, is, upper};
use super::string::{STRING_BYTES_MAX, source, text};
use super::unit::{Due, Source};
use super::{Applied, Failure, Unit};
use crate::change::Reason;
use crate::text::parse_i64;
use crate::value::{Bytes, Type, Value};

/// How many bytes there have to be for all bits before this one.
fn bytes_before(bit: u64) -> Result<usize, Failure> {
    usize::try_from(bit.div_ceil(8))
        .ok()
        .filter(|len| *len <= STRING_BYTES_MAX)
        .ok_or_else(|| Failure::new("a string would grow beyond 4 GiB"))
}

/// Changes the bits of a string, of which so many bytes have to be there.
fn edit(unit: &mut Unit<'_>, key: &[u8], len: usize, change: impl FnOnce(&mut [u8])) -> Applied {
    let mut bytes = unit.room(len)?;
    unit.edit(key, Type::String, |old| {
        bytes.extend_from_slice(text(old));
        bytes.resize(bytes.len().max(len), 0);
        change(&mut bytes);
        Ok(Some(Value::String(bytes.into())))
    })
}

/// `SETBIT key offset bit`
pub(super) fn setbit(unit: &mut Unit<'_>, args: &[&[u8]]) -> Applied {
    let at = u64::try_from(integer(args[2])?).map_err(|_| Failure::syntax())?;
    let bit = match integer(args[3])? {
        bit @ (0 | 1) => bit as u64,
        _ => return Err(Failure::new("a bit is neither 0 nor 1")),
    };
    let len = bytes_before(at.saturating_add(1))?;
    edit(unit, args[1], len, |bytes| put_bits(bytes, at, 1, bit))
}

/// Reads up to 64 bits. What lies behind the end is zero.
fn bits(bytes: &[u8], at: u64, count: u32) -> u64 {
    (at..at + u64::from(count)).fold(0, |bits, at| {
        let byte = usize::try_from(at / 8).ok().and_then(|byte| bytes.get(byte));
        bits << 1 | u64::from(byte.copied().unwrap_or(0) >> (7 - at % 8) & 1)
    })
}

/// Writes up to 64 bits; the bytes are there.
fn put_bits(bytes: &mut [u8], at: u64, count: u32, bits: u64) {
    for place in 0..count {
        let at = at + u64::from(place);
        let Some(byte) = usize::try_from(at / 8).ok().and_then(|byte| bytes.get_mut(byte)) else {
            return;
        };
        let bit = 0x80 >> (at % 8);
        if bits >> (count - 1 - place) & 1 == 1 { *byte |= bit } else { *byte &= !bit }
    }
}

/// What becomes of a number that does not fit.
#[derive(Clone, Copy)]
enum Overflow {
    Wrap,
    Saturate,
    Fail,
}

/// The numbers of a bit field.
#[derive(Clone, Copy)]
struct Format {
    signed: bool,
    bits: u32,
}

impl Format {
    /// `i1` to `i64`, `u1` to `u63`
    fn parse(text: &[u8]) -> Result<Self, Failure> {
        let (sign, digits) = text.split_first().ok_or_else(Failure::syntax)?;
        let (signed, max) = match sign {
            b'i' => (true, 64),
            b'u' => (false, 63),
            _ => return Err(Failure::syntax()),
        };
        match parse_i64(digits) {
            Some(bits @ 1..) if bits <= max => Ok(Self { signed, bits: bits as u32 }),
            _ => Err(Failure::syntax()),
        }
    }

    /// The place of a bit field: in bits, or behind `#` in fields of this size.
    fn offset(self, text: &[u8]) -> Result<u64, Failure> {
        let (number, size) = match text.strip_prefix(b"#") {
            Some(number) => (number, u64::from(self.bits)),
            None => (text, 1),
        };
        u64::try_from(integer(number)?)
            .ok()
            .and_then(|number| number.checked_mul(size))
            .ok_or_else(Failure::syntax)
    }

    /// The number that these bits are.
    fn number(self, raw: u64) -> i64 {
        let unused = 64 - self.bits;
        if self.signed { (raw << unused) as i64 >> unused } else { raw as i64 }
    }

    /// The bits of a number and another one added to it; none where they don't fit and need not.
    fn sum(self, number: i64, other: i64, overflow: Overflow) -> Option<u64> {
        let mask = u64::MAX >> (64 - self.bits);
        let max = if self.signed { mask >> 1 } else { mask } as i64;
        let min = if self.signed { -max - 1 } else { 0 };
        let (is_above, is_below) = if self.signed {
            let sum = i128::from(number) + i128::from(other);
            // The servers find the distance to the maximum with 64 bits. Where these don't suffice,
            // a number far below the minimum becomes the maximum.
            let lack = self.bits < 64 && other > max.wrapping_sub(number);
            (sum > i128::from(max) || lack, sum < i128::from(min))
        } else {
            // A negative number to be stored is taken for a large one.
            let sum = i128::from(number as u64) + i128::from(other);
            (sum > i128::from(max), sum < 0)
        };
        let limit = if is_above { max } else { min };
        let fits = !is_above && !is_below;
        match overflow {
            Overflow::Fail if !fits => None,
            Overflow::Saturate if !fits => Some(limit as u64 & mask),
            _ => Some(number.wrapping_add(other) as u64 & mask),
        }
    }
}

/// A write of BITFIELD.
struct FieldWrite {
    format: Format,
    at: u64,
    number: i64,
    adds: bool,
    overflow: Overflow,
}

impl FieldWrite {
    fn apply(&self, bytes: &mut [u8]) {
        let Self { format, at, number, adds, overflow } = *self;
        let (number, other) =
            if adds { (format.number(bits(bytes, at, format.bits)), number) } else { (number, 0) };
        if let Some(raw) = format.sum(number, other, overflow) {
            put_bits(bytes, at, format.bits, raw);
        }
    }
}

fn field_writes(args: &[&[u8]]) -> Result<Vec<FieldWrite>, Failure> {
    let mut writes = Vec::new();
    let mut overflow = Overflow::Wrap;
    let mut at = 2;
    while let Some(word) = args.get(at) {
        if is(word, "OVERFLOW") {
            overflow = match upper(argument(args, at + 1)?).as_slice() {
                b"WRAP" => Overflow::Wrap,
                b"SAT" => Overflow::Saturate,
                b"FAIL" => Overflow::Fail,
                _ => return Err(Failure::syntax()),
            };
            at += 2;
            continue;
        }
        let format = Format::parse(argument(args, at + 1)?)?;
        let place = format.offset(argument(args, at + 2)?)?;
        if is(word, "GET") {
            at += 3;
            continue;
        }
        let adds = is(word, "INCRBY");
        if !adds && !is(word, "SET") {
            return Err(Failure::syntax());
        }
        let number = integer(argument(args, at + 3)?)?;
        writes.push(FieldWrite { format, at: place, number, adds, overflow });
        at += 4;
    }
    Ok(writes)
}

/// `BITFIELD key [GET format offset | [OVERFLOW WRAP | SAT | FAIL] SET format offset number |
/// INCRBY format offset increment ...]`
pub(super) fn bitfield(unit: &mut Unit<'_>, args: &[&[u8]]) -> Applied {
    let writes = field_writes(args)?;
    // The string grows to hold all fields, also those that overflow and stay as they are.
    let ends = writes.iter().map(|write| write.at.saturating_add(write.format.bits.into()));
    let Some(end) = ends.max() else { return Ok(()) };
    let len = bytes_before(end)?;
    edit(unit, args[1], len, |bytes| writes.iter().for_each(|write| write.apply(bytes)))
}

/// Changes each byte by the one at the same place of another string, which is zero behind its end.
fn merge(bytes: &mut [u8], other: &[u8], change: impl Fn(u8, u8) -> u8) {
    let (both, rest) = bytes.split_at_mut(other.len().min(bytes.len()));
    both.iter_mut().zip(other).for_each(|(byte, other)| *byte = change(*byte, *other));
    rest.iter_mut().for_each(|byte| *byte = change(*byte, 0));
}

/// What BITOP makes of these strings, of which the longest has so many bytes.
fn combined(operation: &[u8], sources: &[Bytes], len: usize) -> Result<Vec<u8>, Failure> {
    let (first, others) = sources.split_first().ok_or_else(Failure::syntax)?;
    let mut result = first.to_vec();
    result.resize(len, 0);
    let mut fold = |change: fn(u8, u8) -> u8| {
        others.iter().for_each(|other| merge(&mut result, other, change));
    };
    let any_of_others = || {
        let mut any = vec![0; len];
        others.iter().for_each(|other| merge(&mut any, other, |any, byte| any | byte));
        any
    };
    match upper(operation).as_slice() {
        b"AND" => fold(|all, byte| all & byte),
        b"OR" => fold(|any, byte| any | byte),
        b"XOR" => fold(|odd, byte| odd ^ byte),
        b"NOT" => merge(&mut result, &[], |byte, _| !byte),
        b"DIFF" => merge(&mut result, &any_of_others(), |byte, any| byte & !any),
        b"DIFF1" => merge(&mut result, &any_of_others(), |byte, any| any & !byte),
        b"ANDOR" => merge(&mut result, &any_of_others(), |byte, any| byte & any),
        b"ONE" => {
            let mut twice = vec![0; len];
            for other in others {
                let again = result.iter().zip(other.iter()).map(|(any, byte)| any & byte);
                twice.iter_mut().zip(again).for_each(|(twice, again)| *twice |= again);
                merge(&mut result, other, |any, byte| any | byte);
            }
            merge(&mut result, &twice, |any, twice| any & !twice);
        }
        _ => return Err(Failure::syntax()),
    }
    Ok(result)
}

/// `BITOP operation destination key [key ...]`
pub(super) fn bitop(unit: &mut Unit<'_>, args: &[&[u8]]) -> Applied {
    let (db, destination) = (unit.db(), args[2]);
    let mut sources = Vec::with_capacity(args.len() - 3);
    for key in &args[3..] {
        match source(unit, key)? {
            Source::Known(Value::String(bytes)) => sources.push(bytes),
            Source::Absent | Source::Known(_) => sources.push(Bytes::from(&b""[..])),
            Source::Unknown => {
                unit.withhold(db, destination, Due::Known(None), Reason::Command);
                return Ok(());
            }
        }
    }
    let len = sources.iter().map(|bytes| bytes.len()).max().unwrap_or(0);
    let result = combined(args[1], &sources, len)?;
    if result.is_empty() {
        unit.delete(db, destination, Reason::Delete);
    } else {
        unit.write(db, destination, Value::String(result.into()), None, Reason::Command);
    }
    Ok(())
}
