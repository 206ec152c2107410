//! Which sizes pieces have: numbered, from the smallest on.

use super::LINE;

/// Multiples of 4 up to this one, ...
const TINY_MAX: usize = 128;
const TINY: usize = 4;
/// ... of 8 up to this one, ...
const FINE_MAX: usize = 512;
const FINE: usize = 8;
/// ... of 16 up to this one, ...
const COARSE_MAX: usize = 1040;
const COARSE: usize = 16;
/// ... and then those of so many lines, which fill a slab without much of a rest.
const LINES: [usize; 7] = [21, 25, 32, 36, 42, 51, 64];

/// What was given back has room for an address.
const MIN: usize = size_of::<usize>();

const TINY_CLASSES: usize = TINY_MAX / TINY;
const FINE_CLASSES: usize = TINY_CLASSES + (FINE_MAX - TINY_MAX) / FINE;
const COARSE_CLASSES: usize = FINE_CLASSES + (COARSE_MAX - FINE_MAX) / COARSE;
/// How many there are.
pub(super) const COUNT: usize = COARSE_CLASSES + LINES.len();

/// The smallest class that takes so many bytes, if one does.
#[inline]
pub(super) fn of(size: usize) -> Option<usize> {
    if size <= TINY_MAX {
        return Some((size.max(MIN) - 1) / TINY);
    }
    if size <= FINE_MAX {
        return Some(TINY_CLASSES + (size - TINY_MAX - 1) / FINE);
    }
    if size <= COARSE_MAX {
        return Some(FINE_CLASSES + (size - FINE_MAX - 1) / COARSE);
    }
    let lines = LINES.iter().position(|lines| size <= lines * LINE)?;
    Some(COARSE_CLASSES + lines)
}

/// How many bytes the class of this size takes; as many as are asked for where there is none.
#[inline]
pub(super) fn rounded(bytes: usize) -> usize {
    if bytes <= TINY_MAX {
        return bytes.max(MIN).next_multiple_of(TINY);
    }
    if bytes <= FINE_MAX {
        return bytes.next_multiple_of(FINE);
    }
    if bytes <= COARSE_MAX {
        return bytes.next_multiple_of(COARSE);
    }
    of(bytes).map_or(bytes, size)
}

/// How many bytes a class takes.
#[inline]
pub(super) fn size(class: usize) -> usize {
    match class {
        ..TINY_CLASSES => (class + 1) * TINY,
        TINY_CLASSES..FINE_CLASSES => TINY_MAX + (class - TINY_CLASSES + 1) * FINE,
        FINE_CLASSES..COARSE_CLASSES => FINE_MAX + (class - FINE_CLASSES + 1) * COARSE,
        _ => LINES.get(class - COARSE_CLASSES).map_or(0, |lines| lines * LINE),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeMap;

    #[test]
    fn small_sizes_are_rounded_up_by_little_and_lines_to_lines() {
        let mut classes = BTreeMap::new();
        let largest = LINES[LINES.len() - 1] * LINE;
        for bytes in 1..=largest {
            let class = of(bytes).unwrap();
            let rounded = size(class);
            assert_eq!(super::rounded(bytes), rounded);
            let rests = [(MIN - 1, MIN), (TINY_MAX, TINY), (FINE_MAX, FINE), (COARSE_MAX, COARSE)];
            let rest = rests.iter().find(|(max, _)| bytes <= *max).map(|(_, rest)| *rest);
            assert!(rounded >= bytes && rounded - bytes < rest.unwrap_or(bytes / 3), "{bytes}");
            assert_eq!(*classes.entry(class).or_insert(rounded), rounded);
            assert!(bytes % LINE != 0 || rounded.is_multiple_of(LINE), "{bytes} {rounded}");
        }
        // No piece is too small for an address.
        assert_eq!(classes.len(), COUNT - 1);
        assert_eq!(of(largest + 1), None);
    }
}
