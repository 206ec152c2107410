//! Numbers to text and back by the servers' exact rules, globs, and bytes made fit for a message.
//!
//! A replica that reads or prints a score only nearly as its primary does has other data, or the
//! same data with another digest; so nothing here is left to a platform's C library.

mod cached_power;
mod double;
mod glob;
#[cfg(test)]
mod hard_doubles;
mod number;

pub use double::{format_f64_17g, format_f64_short};
pub use glob::glob_match;
pub use number::{Decimal, format_i64, parse_f64, parse_i64};

/// Bytes as a message can show them: printable ASCII as it is, everything else, quotes and
/// backslashes escaped as in a Rust literal. What does not fit in `max` characters is replaced by
/// "..." (which is not counted); an escape is never cut in two.
pub fn printable(bytes: &[u8], max: usize) -> String {
    let mut shown = String::new();
    for byte in bytes {
        let mark = shown.len();
        shown.extend(byte.escape_ascii().map(char::from));
        if shown.len() > max {
            shown.truncate(mark);
            shown.push_str("...");
            break;
        }
    }
    shown
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn printable_escapes_everything_that_could_break_a_line_or_a_quote() {
        assert_eq!(printable(b"user:1 ok", 20), "user:1 ok");
        assert_eq!(printable(b"a\"\\\n\r\t\0\x7f\xff", 80), "a\\\"\\\\\\n\\r\\t\\x00\\x7f\\xff");
        assert_eq!(printable(b"", 5), "");
    }

    #[test]
    fn printable_cuts_between_escapes_and_says_so() {
        assert_eq!(printable(b"abcde", 5), "abcde");
        assert_eq!(printable(b"abcdef", 5), "abcde...");
        assert_eq!(printable(b"abc\xffdef", 5), "abc...");
        assert_eq!(printable(b"a", 0), "...");
        assert_eq!(printable(&vec![b'x'; 1 << 20], 10), "xxxxxxxxxx...");
    }
}
