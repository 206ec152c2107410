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
    // These borders have no reason but that they are the servers' own.
    let plain = if scale >= 0 { distance < count + 7 } else { scale > -7 || distance < 4 };
    if plain {
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

/// The upper half of the product, rounded to nearest.
fn multiply(significand: u64, power: &CachedPower) -> u64 {
    let product = u128::from(significand) * u128::from(power.significand);
    ((product + (1 << 63)) >> 64) as u64
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
        // `part` is below 2^60, `interval` not above `part` and `distance` not above `interval`, so
        // nothing overflows.
        part *= 10;
        interval *= 10;
        distance *= 10;
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

#[cfg(test)]
mod tests {
    use super::super::hard_doubles::HARD_DOUBLES;
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn seventeen_digits_as_printf_prints_them() {
        let cases: &[(f64, &str)] = &[
            (0.0, "0"),
            (-0.0, "-0"),
            (1.0, "1"),
            (-1.5, "-1.5"),
            (0.1, "0.10000000000000001"),
            (100.0, "100"),
            (1e16, "10000000000000000"),
            (12345678901234567.0, "12345678901234568"),
            (1e17, "1e+17"),
            (1e21, "1e+21"),
            (1.5e100, "1.4999999999999999e+100"),
            (0.0001, "0.0001"),
            (0.00012345, "0.00012344999999999999"),
            (0.00001, "1.0000000000000001e-05"),
            (f64::MAX, "1.7976931348623157e+308"),
            (f64::MIN_POSITIVE, "2.2250738585072014e-308"),
            (5e-324, "4.9406564584124654e-324"),
            // Exactly half way between two texts: to the even digit.
            (1.0 + 0.5f64.powi(17), "1.0000076293945312"),
            (1.0 + 3.0 * 0.5f64.powi(17), "1.0000228881835938"),
            (f64::INFINITY, "inf"),
            (f64::NEG_INFINITY, "-inf"),
            (f64::NAN.copysign(1.0), "nan"),
            (f64::NAN.copysign(-1.0), "-nan"),
        ];
        for (x, text) in cases {
            assert_eq!(format_f64_17g(*x), *text);
        }
    }

    #[test]
    fn short_text_has_the_layout_of_the_servers() {
        let cases: &[(f64, &str)] = &[
            (0.0, "0"),
            (-0.0, "-0"),
            (1.0, "1"),
            (-1.5, "-1.5"),
            (0.1, "0.1"),
            (1e7, "10000000"),
            (1e8, "1e+8"),
            (12e7, "120000000"),
            (12e8, "1.2e+9"),
            (1e21, "1e+21"),
            (9007199254740993.0, "9007199254740992"),
            (123456789012345680000.0, "123456789012345680000"),
            (0.001, "0.001"),
            (1e-6, "0.000001"),
            (1e-7, "1e-7"),
            (1.5e-6, "1.5e-6"),
            (1.5e-7, "1.5e-7"),
            (0.00012345678, "1.2345678e-4"),
            (0.0012345678, "0.0012345678"),
            (-1.2345e-100, "-1.2345e-100"),
            (f64::MAX, "1.7976931348623157e+308"),
            (5e-324, "5e-324"),
            (f64::INFINITY, "inf"),
            (f64::NEG_INFINITY, "-inf"),
            (f64::NAN.copysign(1.0), "nan"),
            (f64::NAN.copysign(-1.0), "-nan"),
        ];
        for (x, text) in cases {
            assert_eq!(format_f64_short(*x), *text);
        }
    }

    #[test]
    fn short_digits_are_those_of_the_servers_where_they_are_not_the_shortest() {
        assert!(HARD_DOUBLES.len() >= 200);
        for (bits, text) in HARD_DOUBLES {
            assert_eq!(format_f64_short(f64::from_bits(*bits)), *text, "{bits:#018x}");
        }
    }

    fn any_finite() -> impl Strategy<Value = f64> {
        any::<u64>().prop_map(f64::from_bits).prop_filter("finite", |x| x.is_finite())
    }

    proptest! {
        #[test]
        fn both_texts_read_back_as_the_same_bits(x in any_finite()) {
            for text in [format_f64_short(x), format_f64_17g(x)] {
                let back = crate::text::parse_f64(text.as_bytes());
                prop_assert_eq!(back.map(f64::to_bits), Some(x.to_bits()), "{}", text);
            }
        }
    }
}
