//! Key patterns as the servers match them, without their recursion.

/// One element of a pattern other than a star: what it accepts, and how long it is.
enum Element<'a> {
    Any,
    Byte(u8),
    /// The inside of the brackets, without a leading `^`.
    Class {
        negated: bool,
        inside: &'a [u8],
    },
}

/// Whether the whole text matches: `*` any bytes, `?` one byte, `[a-z]` and `[^a-z]` one byte of or
/// not of a class, and a backslash before what should mean itself. A class that is never closed
/// ends with the pattern; a backslash at the end means itself. Stars match the empty text too,
/// where the servers know only a single star to do so (in `KEYS`).
pub fn glob_match(pattern: &[u8], text: &[u8]) -> bool {
    let (mut rest, mut left) = (pattern, text);
    // Only the last star ever needs another try: whatever an earlier one could take, it can too.
    let mut retry: Option<(&[u8], &[u8])> = None;
    loop {
        if let [b'*', tail @ ..] = rest {
            rest = tail;
            retry = Some((tail, left));
            continue;
        }
        let step = match (rest, left) {
            ([], []) => return true,
            (_, []) => return false,
            ([], _) => None,
            (_, [byte, text_tail @ ..]) => {
                let (element, tail) = first_element(rest);
                element.accepts(*byte).then_some((tail, text_tail))
            }
        };
        match (step, retry) {
            (Some(next), _) => (rest, left) = next,
            (None, Some((after_star, [_, shorter @ ..]))) => {
                retry = Some((after_star, shorter));
                (rest, left) = (after_star, shorter);
            }
            (None, _) => return false,
        }
    }
}

/// Splits the first element off; an empty pattern can't happen here and accepts nothing.
fn first_element(pattern: &[u8]) -> (Element<'_>, &[u8]) {
    match pattern {
        [b'?', tail @ ..] => (Element::Any, tail),
        [b'[', b'^', tail @ ..] => class(true, tail),
        [b'[', tail @ ..] => class(false, tail),
        [b'\\', byte, tail @ ..] | [byte, tail @ ..] => (Element::Byte(*byte), tail),
        [] => (Element::Class { negated: false, inside: &[] }, &[]),
    }
}

/// What stands between the opening bracket and the closing one.
fn class(negated: bool, after: &[u8]) -> (Element<'_>, &[u8]) {
    let mut rest = after;
    loop {
        rest = match rest {
            [] | [b']', ..] => break,
            _ => class_item(rest).1,
        };
    }
    let inside = after.get(..after.len() - rest.len()).unwrap_or_default();
    (Element::Class { negated, inside }, rest.get(1..).unwrap_or_default())
}

/// The first item of a class as a range of bytes, and what follows it.
fn class_item(inside: &[u8]) -> ((u8, u8), &[u8]) {
    match inside {
        [b'\\', byte, tail @ ..] => ((*byte, *byte), tail),
        [from, b'-', to, tail @ ..] => ((*from.min(to), *from.max(to)), tail),
        [byte, tail @ ..] => ((*byte, *byte), tail),
        [] => ((1, 0), &[]),
    }
}

impl Element<'_> {
    fn accepts(&self, byte: u8) -> bool {
        match self {
            Self::Any => true,
            Self::Byte(wanted) => *wanted == byte,
            Self::Class { negated, inside } => {
                let mut rest = *inside;
                let mut found = false;
                while !rest.is_empty() && !found {
                    let ((from, to), tail) = class_item(rest);
                    found = (from..=to).contains(&byte);
                    rest = tail;
                }
                found != *negated
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn matches_as_the_servers_do() {
        let yes: &[(&[u8], &[u8])] = &[
            (b"", b""),
            (b"*", b""),
            (b"*", b"anything"),
            (b"***", b"x"),
            (b"a*", b"a"),
            (b"a**", b"a"),
            (b"h?llo", b"hello"),
            (b"h*llo", b"hllo"),
            (b"h*llo", b"heeeello"),
            (b"*a*b*c", b"xxaxxbxxcc"),
            (b"h[ae]llo", b"hallo"),
            (b"h[^e]llo", b"hbllo"),
            (b"h[a-c]llo", b"hbllo"),
            (b"h[c-a]llo", b"hbllo"),
            (b"[a\\]b]", b"]"),
            (b"[\\^a]", b"^"),
            (b"[a^]", b"^"),
            (b"[^]", b"x"),
            (b"[^", b"x"),
            (b"[ab", b"b"),
            (b"[a-]", b"]"),
            (b"[a-", b"-"),
            (b"[a-", b"a"),
            (b"[\\-a]", b"-"),
            (b"[*]", b"*"),
            (b"[\\", b"\\"),
            (b"\\*", b"*"),
            (b"\\\\", b"\\"),
            (b"a\\", b"a\\"),
            (b"]", b"]"),
            (b"\0\xff?", b"\0\xff\n"),
        ];
        for (pattern, text) in yes {
            let shown = (pattern.escape_ascii(), text.escape_ascii());
            assert!(glob_match(pattern, text), "{} {}", shown.0, shown.1);
        }
        let no: &[(&[u8], &[u8])] = &[
            (b"", b"a"),
            (b"a", b""),
            (b"?", b""),
            (b"a*b", b"ab-"),
            (b"A", b"a"),
            (b"h[^e]llo", b"hello"),
            (b"h[]llo", b"hllo"),
            (b"[]", b"]"),
            (b"[]a]", b"]a]"),
            (b"[", b"["),
            (b"[a-c]", b"-"),
            (b"\\*", b"x"),
            (b"*?", b""),
            (b"a?*", b"a"),
        ];
        for (pattern, text) in no {
            let shown = (pattern.escape_ascii(), text.escape_ascii());
            assert!(!glob_match(pattern, text), "{} {}", shown.0, shown.1);
        }
    }

    #[test]
    fn many_stars_do_not_blow_up() {
        let pattern = b"a*".repeat(200);
        let text = vec![b'a'; 2000];
        assert!(glob_match(&pattern, &text));
        assert!(!glob_match(&[&pattern[..], b"b"].concat(), &text));
    }

    /// The textbook definition, which tries everything.
    fn model(pattern: &[u8], text: &[u8]) -> bool {
        match (pattern, text) {
            ([], _) => text.is_empty(),
            ([b'*', tail @ ..], _) => (0..=text.len()).any(|taken| model(tail, &text[taken..])),
            (_, []) => false,
            _ => {
                let (element, tail) = first_element(pattern);
                element.accepts(text[0]) && model(tail, &text[1..])
            }
        }
    }

    proptest! {
        #[test]
        fn one_retry_point_is_enough(
            pattern in proptest::collection::vec(
                proptest::sample::select(b"ab*?[]^-\\".to_vec()), 0..12),
            text in proptest::collection::vec(
                proptest::sample::select(b"ab]-".to_vec()), 0..8),
        ) {
            prop_assert_eq!(glob_match(&pattern, &text), model(&pattern, &text));
        }
    }
}
