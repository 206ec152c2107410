//! Integers and doubles between text and value, as strict and as lenient as the servers are.

/// An integer in decimal, without an allocation: see [`format_i64`].
#[derive(Clone, Copy, Debug)]
pub struct Decimal {
    /// Filled from the end; the longest is "-9223372036854775808".
    buffer: [u8; 20],
    start: usize,
}

impl AsRef<[u8]> for Decimal {
    fn as_ref(&self) -> &[u8] {
        self.buffer.get(self.start..).unwrap_or_default()
    }
}

/// The numbers below 100, two digits each.
const PAIRS: [[u8; 2]; 100] = pairs();

const fn pairs() -> [[u8; 2]; 100] {
    let mut pairs = [[0; 2]; 100];
    let mut n = 0;
    while n < 100 {
        pairs[n] = [b'0' + (n / 10) as u8, b'0' + (n % 10) as u8];
        n += 1;
    }
    pairs
}

/// An integer in decimal; `as_ref` gives the bytes.
pub fn format_i64(n: i64) -> Decimal {
    let mut decimal = Decimal { buffer: [b'0'; 20], start: 20 };
    let mut rest = n.unsigned_abs();
    // Two digits at a time: snapshots have many numbers.
    let mut pairs = decimal.buffer.rchunks_exact_mut(2);
    while let (10.., Some(place)) = (rest, pairs.next()) {
        place.copy_from_slice(&PAIRS[(rest % 100) as usize]);
        rest /= 100;
        decimal.start -= 2;
    }
    if rest > 0 || n == 0 {
        push_front(&mut decimal, b'0' + rest as u8);
    }
    if n < 0 {
        push_front(&mut decimal, b'-');
    }
    decimal
}

fn push_front(decimal: &mut Decimal, byte: u8) {
    decimal.start -= 1;
    if let Some(place) = decimal.buffer.get_mut(decimal.start) {
        *place = byte;
    }
}

/// The integer that these bytes are the one canonical spelling of: no plus sign, no blanks, no
/// leading zeros, no "-0", nothing outside of 64 bits. So text that is stored as an integer always
/// comes back as it was.
pub fn parse_i64(bytes: &[u8]) -> Option<i64> {
    let (negative, digits) = match bytes {
        [b'-', digits @ ..] => (true, digits),
        digits => (false, digits),
    };
    match digits {
        [b'0'] if !negative => return Some(0),
        [b'1'..=b'9', ..] => {}
        _ => return None,
    }
    // Towards the negative side, which reaches one further.
    let mut value: i64 = 0;
    for byte in digits {
        if !byte.is_ascii_digit() {
            return None;
        }
        value = value.checked_mul(10)?.checked_sub(i64::from(byte - b'0'))?;
    }
    if negative { Some(value) } else { value.checked_neg() }
}

/// The double that C's `strtod` makes of all of these bytes, exactly rounded: decimal, hexadecimal,
/// and "inf" or "infinity" in any case. `None` for nothing, blanks, NaN and anything left over.
///
/// What does not fit becomes an infinity or a zero. Newer servers refuse that, so they never send
/// it; the oldest accept it, so a replica has to.
pub fn parse_f64(bytes: &[u8]) -> Option<f64> {
    let (negative, rest) = match bytes {
        [b'-', rest @ ..] => (true, rest),
        [b'+', rest @ ..] => (false, rest),
        rest => (false, rest),
    };
    if let Some(magnitude) = short_decimal(rest) {
        return Some(if negative { -magnitude } else { magnitude });
    }
    let magnitude = match rest {
        [b'0', b'x' | b'X', digits @ ..] => parse_hex(digits)?,
        // std would take a second sign.
        [b'-' | b'+', ..] => return None,
        _ => std::str::from_utf8(rest).ok()?.parse::<f64>().ok()?,
    };
    if magnitude.is_nan() {
        return None;
    }
    Some(if negative { -magnitude } else { magnitude })
}

/// What most numbers are: some digits, perhaps with a point among them. Both the digits without the
/// point and the power of ten that they are divided by are doubles, so the quotient is the nearest
/// one, as everywhere.
fn short_decimal(text: &[u8]) -> Option<f64> {
    const POWERS: [f64; SHORT_DECIMAL_MAX] =
        [1e0, 1e1, 1e2, 1e3, 1e4, 1e5, 1e6, 1e7, 1e8, 1e9, 1e10, 1e11, 1e12, 1e13, 1e14, 1e15];
    if text.len() > SHORT_DECIMAL_MAX {
        return None;
    }
    let (mut digits, mut point) = (0_u64, None);
    for (at, byte) in text.iter().enumerate() {
        match byte {
            b'0'..=b'9' => digits = digits * 10 + u64::from(byte - b'0'),
            b'.' if point.is_none() => point = Some(at),
            _ => return None,
        }
    }
    match point {
        None if text.is_empty() => None,
        None => Some(digits as f64).filter(|_| digits < 1 << f64::MANTISSA_DIGITS),
        Some(_) if text.len() == 1 => None,
        Some(at) => Some(digits as f64 / POWERS.get(text.len() - at - 1)?),
    }
}

/// With a point among them these are 15 digits, which any double has.
const SHORT_DECIMAL_MAX: usize = 16;

/// Beyond this no exponent matters any more; kept far from the ends of `i64` so that digits before
/// and after the point (4 a piece) can be added without a check.
const EXPONENT_MAX: i64 = 1 << 60;

/// What follows "0x": hexadecimal digits with perhaps a point, then perhaps a binary exponent.
fn parse_hex(digits: &[u8]) -> Option<f64> {
    // The leading 64 bits from the first one on; what is below them only matters as "something".
    let mut significand: u64 = 0;
    let mut sticky = false;
    let mut exponent: i64 = 0;
    let mut after_point = false;
    let mut any = false;
    let mut rest = digits;
    while let [byte, tail @ ..] = rest {
        match (char::from(*byte).to_digit(16), byte) {
            (Some(digit), _) => {
                any = true;
                if significand >> 60 == 0 {
                    significand = significand << 4 | u64::from(digit);
                    exponent -= if after_point { 4 } else { 0 };
                } else {
                    sticky |= digit != 0;
                    exponent += if after_point { 0 } else { 4 };
                }
            }
            (None, b'.') if !after_point => after_point = true,
            _ => break,
        }
        rest = tail;
    }
    if !any {
        return None;
    }
    exponent += match rest {
        [] => 0,
        [b'p' | b'P', power @ ..] => parse_exponent(power)?,
        _ => return None,
    };
    Some(scale(significand, sticky, exponent))
}

/// A signed decimal exponent, cut off at [`EXPONENT_MAX`].
fn parse_exponent(text: &[u8]) -> Option<i64> {
    let (negative, digits) = match text {
        [b'-', digits @ ..] => (true, digits),
        [b'+', digits @ ..] => (false, digits),
        digits => (false, digits),
    };
    if digits.is_empty() || !digits.iter().all(u8::is_ascii_digit) {
        return None;
    }
    let value = digits.iter().fold(0, |value: i64, byte| {
        value.saturating_mul(10).saturating_add(i64::from(byte - b'0')).min(EXPONENT_MAX)
    });
    Some(if negative { -value } else { value })
}

/// `significand * 2^exponent`, with a little more if `sticky`, rounded to nearest, ties to even.
fn scale(significand: u64, sticky: bool, exponent: i64) -> f64 {
    if significand == 0 {
        return 0.0;
    }
    let zeros = significand.leading_zeros();
    let fraction = significand << zeros;
    // The value is fraction / 2^63 * 2^power, and fraction has its highest bit set.
    let power = exponent + 63 - i64::from(zeros);
    if power > 1023 {
        return f64::INFINITY;
    }
    // 53 bits stay of a normal number, fewer of a subnormal one, which has 2^-1074 as its unit.
    let drop = if power >= -1022 { 11 } else { 11 + (-1022 - power) };
    if drop > 64 {
        return 0.0;
    }
    let wide = u128::from(fraction);
    let kept = (wide >> drop) as u64;
    let dropped = wide & ((1 << drop) - 1);
    let half = 1 << (drop - 1);
    let up = dropped > half || dropped == half && (sticky || kept & 1 == 1);
    let rounded = kept + u64::from(up);
    // A carry out of the fraction lands in the exponent field, where it belongs; also from the
    // largest subnormal to the smallest normal, and from the largest number to infinity.
    let field = if power >= -1022 { (power + 1022) as u64 } else { 0 };
    f64::from_bits((field << 52) + rounded)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn integers_have_one_spelling() {
        let good: &[(&[u8], i64)] = &[
            (b"0", 0),
            (b"7", 7),
            (b"-1", -1),
            (b"9223372036854775807", i64::MAX),
            (b"-9223372036854775808", i64::MIN),
        ];
        for (text, value) in good {
            assert_eq!(parse_i64(text), Some(*value));
            assert_eq!(format_i64(*value).as_ref(), *text);
        }
        let bad: &[&[u8]] = &[
            b"",
            b"-",
            b"+1",
            b"01",
            b"-0",
            b"-01",
            b"00",
            b" 1",
            b"1 ",
            b"1.0",
            b"1e3",
            b"0x1",
            b"9223372036854775808",
            b"-9223372036854775809",
            b"99999999999999999999999",
            b"1\0",
        ];
        for text in bad {
            assert_eq!(parse_i64(text), None, "{}", text.escape_ascii());
        }
    }

    #[test]
    fn doubles_are_read_as_strtod_reads_them() {
        let good: &[(&str, f64)] = &[
            ("0", 0.0),
            ("3", 3.0),
            ("+3", 3.0),
            ("-3.", -3.0),
            (".5", 0.5),
            ("+.5e+1", 5.0),
            ("007.250", 7.25),
            ("1e3", 1000.0),
            ("1E-3", 0.001),
            ("1e00000000000000000000002", 100.0),
            ("17976931348623157e292", f64::MAX),
            ("9007199254740993", 9007199254740992.0),
            ("2.4703282292062328e-324", 5e-324),
            ("0x10", 16.0),
            ("0X1.8P+1", 3.0),
            ("0x.8", 0.5),
            ("0x1.", 1.0),
            ("0x1.p-1", 0.5),
            ("-0xAp0", -10.0),
            ("0x0p99999999999999999999", 0.0),
            ("0x1.fffffffffffffp1023", f64::MAX),
            ("0x1p-1074", 5e-324),
            ("0x0.0000000000001p-1022", 5e-324),
            ("0x1p-1022", f64::MIN_POSITIVE),
            ("inf", f64::INFINITY),
            ("+inf", f64::INFINITY),
            ("-inf", f64::NEG_INFINITY),
            ("-Infinity", f64::NEG_INFINITY),
            ("1e999", f64::INFINITY),
            ("-0x1p1024", f64::NEG_INFINITY),
            ("1e-999", 0.0),
            ("0x1p-99999999999999999999", 0.0),
        ];
        for (text, value) in good {
            let read = parse_f64(text.as_bytes()).map(f64::to_bits);
            assert_eq!(read, Some(value.to_bits()), "{text}");
        }
        assert_eq!(parse_f64(b"-0").map(f64::to_bits), Some((-0.0f64).to_bits()));
        assert_eq!(parse_f64(b"-0x0").map(f64::to_bits), Some((-0.0f64).to_bits()));
        let bad: &[&[u8]] = &[
            b"",
            b" 1",
            b"1 ",
            b"\t1",
            b"1\0",
            b"1\n",
            b"+",
            b"-",
            b"--1",
            b"+-1",
            b".",
            b"e5",
            b"1e",
            b"1e+",
            b"1.2.3",
            b"1_000",
            b"1,5",
            b"nan",
            b"NaN",
            b"-nan",
            b"nan(1)",
            b"in",
            b"infinit",
            b"infinityy",
            b"0x",
            b"0x.",
            b"0xp1",
            b"0x1p",
            b"0x1p+",
            b"0x1p1.5",
            b"0x1.2.3",
            b"0xg",
            b"x1",
            b"1f",
            b"\xff",
            b"0x-1",
            b"0x1e1p",
            b"(5",
        ];
        for text in bad {
            assert_eq!(parse_f64(text), None, "{}", text.escape_ascii());
        }
    }

    #[test]
    fn hexadecimal_halves_go_to_even_and_anything_below_breaks_the_tie() {
        let cases: &[(&str, u64)] = &[
            ("0x1.00000000000008p0", 0x3ff0_0000_0000_0000),
            ("0x1.00000000000018p0", 0x3ff0_0000_0000_0002),
            ("0x1.000000000000080000000000000000001p0", 0x3ff0_0000_0000_0001),
            ("0x1.00000000000007ffffffffffffffffffp0", 0x3ff0_0000_0000_0000),
            ("0x1.fffffffffffff8p0", 0x4000_0000_0000_0000),
            ("0x1.fffffffffffff8p1023", 0x7ff0_0000_0000_0000),
            ("0x1.fffffffffffff7ffp1023", 0x7fef_ffff_ffff_ffff),
            ("0x0.fffffffffffff8p-1022", 0x0010_0000_0000_0000),
            ("0x1p-1075", 0),
            ("0x1.0000000000000000000001p-1075", 1),
            ("0x1.8p-1074", 2),
            ("0x1p-1076", 0),
            ("0x1.ffffffffffffffffffp-1076", 0),
            ("0x100000000000008000000000000000000000001p0", 0x4970_0000_0000_0001),
            ("0x00000000000000000000000000000000000000001p0", 0x3ff0_0000_0000_0000),
            ("0x0.0000000000000000000000000000000000000001p160", 0x3ff0_0000_0000_0000),
        ];
        for (text, bits) in cases {
            assert_eq!(parse_f64(text.as_bytes()).map(f64::to_bits), Some(*bits), "{text}");
        }
    }

    proptest! {
        #[test]
        fn every_integer_comes_back(n: i64) {
            prop_assert_eq!(parse_i64(format_i64(n).as_ref()), Some(n));
        }

        #[test]
        fn exact_hexadecimal_spellings_come_back(bits: u64, shift in 0u32..12) {
            let x = f64::from_bits(bits & !(1 << 63));
            prop_assume!(x.is_finite());
            let field = (x.to_bits() >> 52) as i64;
            let fraction = x.to_bits() & ((1 << 52) - 1);
            let (whole, power) = if field == 0 { (0, -1022) } else { (1, field - 1023) };
            let significand = (whole << 52 | fraction) << shift;
            let text = format!("{significand:#x}p{}", power - 52 - i64::from(shift));
            prop_assert_eq!(parse_f64(text.as_bytes()), Some(x));
            let pointed = format!("0x{whole}.{fraction:013x}p{power:+}");
            prop_assert_eq!(parse_f64(pointed.as_bytes()), Some(x));
        }

        #[test]
        fn short_decimals_are_read_as_any(text in "[-+]?[0-9]{0,9}[.]?[0-9]{0,9}[.]?") {
            let (sign, rest) = text.split_at(usize::from(text.starts_with(['-', '+'])));
            // std knows an exponent of any number of digits, this file's short way none.
            let read: Option<f64> = format!("{rest}e0").parse().ok();
            let read = read.map(|x| if sign == "-" { -x } else { x });
            prop_assert_eq!(parse_f64(text.as_bytes()).map(f64::to_bits), read.map(f64::to_bits));
        }

        #[test]
        fn nothing_panics(bytes in proptest::collection::vec(
            proptest::sample::select(b"0123456789abcdefxXpPinfINFty.+- \0\xff".to_vec()), 0..40)) {
            let _ = parse_i64(&bytes);
            if let Some(x) = parse_f64(&bytes) { prop_assert!(!x.is_nan()); }
        }
    }
}
