//! The two ways in which servers print a score, digit for digit: digests depend on them.

use super::cached_power::{CachedPower, cached_power};
use std::fmt::Write;

/// What C's `printf("%.17g", x)` prints: the text of scores in servers before 7.2.
pub fn format_f64_17g(x: f64) -> String {
    if !x.is_finite() {
        return special(x);
    }
    // Exactly rounded to 17 digits: "d.dddddddddddddddde-7".
    let text = format!("{:.16e}", x.abs());
    let (mantissa, exponent) = text.split_once('e').unwrap_or((&text, "0"));
    let exponent: i32 = exponent.parse().unwrap_or(0);
    let digits: String = mantissa.chars().filter(|c| *c != '.').collect();
    let digits = match digits.trim_end_matches('0') {
        "" => "0",
        digits => digits,
    };
    let mut out = sign(x);
    if (-4..17).contains(&exponent) {
        push_plain(&mut out, digits, exponent + 1);
    } else {
        push_scientific(&mut out, digits);
        let mark = if exponent < 0 { '-' } else { '+' };
        // Writing to a String can't fail.
        let _ = write!(out, "{mark}{:02}", exponent.unsigned_abs());
    }
    out
}

/// What Redis 7.2 and newer, and Valkey, print: digits by Grisu2, which in one of a thousand cases
/// are not the shortest that would do, in a layout of its own.
pub fn format_f64_short(x: f64) -> String {
    if !x.is_finite() {
        return special(x);
    }
    let mut out = sign(x);
    if x == 0.0 {
        out.push('0');
        return out;
    }
    let (digits, scale) = grisu2(x.abs());
    let count = digits.len() as i32;
    // Of the first digit.
    let exponent = scale + count - 1;
    let distance = exponent.abs();
    // These three borders have no reason but that it is what the servers do.
    if scale >= 0 && distance < count + 7 {
        push_plain(&mut out, &digits, exponent + 1);
    } else if scale < 0 && (scale > -7 || distance < 4) {
        push_plain(&mut out, &digits, exponent + 1);
    } else {
        push_scientific(&mut out, &digits);
        let mark = if exponent < 0 { '-' } else { '+' };
        let _ = write!(out, "{mark}{distance}");
    }
    out
}

fn sign(x: f64) -> String {
    String::from(if x.is_sign_negative() { "-" } else { "" })
}

fn special(x: f64) -> String {
    sign(x) + if x.is_nan() { "nan" } else { "inf" }
}

/// Digits in positional notation with the point after `before` of them.
fn push_plain(out: &mut String, digits: &str, before: i32) {
    let count = digits.len() as i32;
    if before <= 0 {
        out.push_str("0.");
        out.extend((before..0).map(|_| '0'));
        out.push_str(digits);
    } else if before >= count {
        out.push_str(digits);
        out.extend((count..before).map(|_| '0'));
    } else {
        let (whole, part) = digits.split_at_checked(before as usize).unwrap_or((digits, ""));
        out.push_str(whole);
        out.push('.');
        out.push_str(part);
    }
}

/// Digits with the point after the first, up to and with the "e".
fn push_scientific(out: &mut String, digits: &str) {
    let (first, rest) = digits.split_at_checked(1).unwrap_or((digits, ""));
    out.push_str(first);
    if !rest.is_empty() {
        out.push('.');
        out.push_str(rest);
    }
    out.push('e');
}

/// The digits D and the scale K of a positive finite number: D * 10^K reads back as that number.
///
/// Grisu2 is due to Florian Loitsch, "Printing Floating-Point Numbers Quickly and Accurately with
/// Integers", 2010. The number and the borders of the interval that rounds to it are multiplied
/// with a power of ten that brings them to a fixed range of exponents; then digits of the upper
/// border are cut off until what is left out would leave the interval; then the last digit is
/// moved towards the number. All in 64 bits, so the interval is first made smaller by what the
/// multiplications may have lost, which is why the result is not always the shortest.
fn grisu2(x: f64) -> (String, i32) {
    let bits = x.to_bits();
    let field = (bits >> 52) as i32;
    let fraction = bits & (HIDDEN_BIT - 1);
    let (significand, exponent) =
        if field == 0 { (fraction, -1074) } else { (fraction | HIDDEN_BIT, field - 1075) };

    // The three numbers with the exponent of the upper border, whose highest bit is set.
    let upper = 2 * significand + 1;
    let shift = upper.leading_zeros();
    let unit = exponent - 1 - shift as i32;
    // Below a power of two the neighbour is only half as far. (The largest subnormal's successor
    // is one in its bits and not in truth; the servers don't look, and nor do we.)
    let lower = if significand == HIDDEN_BIT {
        (4 * significand - 1) << (shift - 1)
    } else {
        (2 * significand - 1) << shift
    };

    let power = cached_power(unit);
    // In units of 2^-point.
    let point = -(unit + power.exponent + 64);
    let number = multiply((2 * significand) << shift, &power);
    let upper = multiply(upper << shift, &power) - 1;
    let lower = multiply(lower, &power) + 1;
    let mut digits = Vec::with_capacity(20);
    let scale = generate_digits(&mut digits, number, upper, lower, point as u32);
    // Digits are ASCII.
    (String::from_utf8(digits).unwrap_or_default(), scale - power.decimal)
}

const HIDDEN_BIT: u64 = 1 << 52;

/// The upper half of the product, rounded the way that keeps to 64 bits: the lowest of the partial
/// products is only looked at down to its upper half.
fn multiply(significand: u64, power: &CachedPower) -> u64 {
    const LOW: u64 = 0xffff_ffff;
    let (a, b) = (significand >> 32, significand & LOW);
    let (c, d) = (power.significand >> 32, power.significand & LOW);
    let middle = (b * d >> 32) + (a * d & LOW) + (b * c & LOW) + (1 << 31);
    a * c + (a * d >> 32) + (b * c >> 32) + (middle >> 32)
}

/// Writes the digits of the shortest prefix of `upper` that lies above `lower`, and returns the
/// power of ten of the last one. `point` (32 to 60) is how many bits are after the binary point.
fn generate_digits(digits: &mut Vec<u8>, number: u64, upper: u64, lower: u64, point: u32) -> i32 {
    let mut interval = upper - lower;
    let mut distance = upper - number;
    let one: u64 = 1 << point;
    let mut whole = upper >> point;
    let mut part = upper & (one - 1);
    // The whole part has 32 bits at most: ten digits.
    for kappa in (0..10).rev() {
        let ten: u64 = 10u64.pow(kappa);
        push_digit(digits, whole / ten);
        whole %= ten;
        let rest = (whole << point) + part;
        if rest <= interval {
            round_last(digits, interval, rest, ten << point, distance);
            return kappa as i32;
        }
    }
    let mut kappa = 0;
    loop {
        // `part` stays below 2^60 and `interval` below `part`, so nothing overflows; `distance` is
        // below `interval`.
        part *= 10;
        interval *= 10;
        distance = distance.wrapping_mul(10);
        kappa -= 1;
        push_digit(digits, part >> point);
        part &= one - 1;
        if part < interval {
            round_last(digits, interval, part, one, distance);
            return kappa;
        }
    }
}

/// Leading zeros are none of the digits.
fn push_digit(digits: &mut Vec<u8>, digit: u64) {
    if digit != 0 || !digits.is_empty() {
        digits.push(b'0' + digit as u8);
    }
}

/// Lowers the last digit as long as that comes nearer to the number and stays in the interval. All
/// are distances down from the upper border: `rest` of the digits so far, `distance` of the number.
fn round_last(digits: &mut [u8], interval: u64, mut rest: u64, unit: u64, distance: u64) {
    let Some(last) = digits.last_mut() else { return };
    while rest < distance
        && interval - rest >= unit
        && (rest + unit < distance || distance - rest > rest + unit - distance)
    {
        *last -= 1;
        rest += unit;
    }
}
