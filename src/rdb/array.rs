//! Arrays as Redis 8.8 writes them: values by their index, each in the form that takes least room.

use super::cursor::{Cursor, Parsed, bad};
use crate::text::{format_f64_short, format_i64};
use crate::value::Array;

/// How a value is written.
const TEXT: u64 = 0;
const INTEGER: u64 = 1;
const DOUBLE: u64 = 2;
const SHORT_TEXT: u64 = 3;

/// Whole numbers up to here are spelled without an exponent.
const WHOLE_MAX: f64 = (i64::MAX / 2) as f64;

/// What stands between the number of values and the first: where the last one was appended.
pub(super) fn cursor(input: &mut Cursor<'_>) -> Parsed<Option<u64>> {
    match input.length()? {
        0 => Ok(None),
        1 => input.length().map(Some),
        other => Err(bad(format!("an array can't have {other} places for the next value"))),
    }
}

/// One value with its index.
pub(super) fn part(array: &mut Array, input: &mut Cursor<'_>, scratch: &mut Vec<u8>) -> Parsed<()> {
    let index = input.length()?;
    let stored = array.get(index).is_none()
        && match input.length()? {
            TEXT | SHORT_TEXT => array.set(index, input.string(scratch)?),
            INTEGER => array.set(index, format_i64(input.i64_le()?).as_ref()),
            DOUBLE => array.set(index, spelled(f64::from_bits(input.u64_le()?)).as_bytes()),
            other => return Err(unknown(other)),
        };
    if stored { Ok(()) } else { Err(bad(format!("index {index} is there twice or too high"))) }
}

/// Passes over the form of a value and the value, and commits.
pub(super) fn skip(input: &mut Cursor<'_>) -> Parsed<()> {
    match input.length()? {
        TEXT | SHORT_TEXT => input.skip_string()?,
        INTEGER | DOUBLE => input.skip(8),
        other => return Err(unknown(other)),
    }
    Ok(())
}

fn unknown(form: u64) -> super::cursor::Stop {
    bad(format!("form {form} of an array's value does not exist"))
}

/// A text is written as a double only if it is this spelling of it.
fn spelled(number: f64) -> String {
    let is_whole = number.fract() == 0.0 && number.abs() <= WHOLE_MAX;
    let mut text = if is_whole && number != 0.0 {
        String::from_utf8_lossy(format_i64(number as i64).as_ref()).into_owned()
    } else {
        format_f64_short(number)
    };
    if number.is_finite() && !text.contains(['.', 'e']) {
        text.push_str(".0");
    }
    text
}

#[cfg(test)]
mod tests {
    use super::spelled;

    #[test]
    fn doubles_are_spelled_so_that_they_are_no_integers() {
        for (number, text) in [
            (1.5, "1.5"),
            (3.0, "3.0"),
            (-0.0, "-0.0"),
            (0.0, "0.0"),
            (1e15, "1000000000000000.0"),
            (-4e18, "-4000000000000000000.0"),
            (1e19, "1e+19"),
            (0.1, "0.1"),
            (1e-9, "1e-9"),
        ] {
            assert_eq!(spelled(number), text);
        }
    }
}
