//! Unpacks LZF, the compression of long strings in snapshots, without trusting what it is told.

/// The best that 3 bytes can do is to stand for 264: nothing unpacks to more than this many times
/// its size, so no larger length needs to be believed.
const EXPANSION_MAX: usize = 264 / 3;

/// Literal runs have a control byte below this; above, its upper 3 bits are a length.
const LITERAL_END: u8 = 32;
/// A length of 7 says that the next byte is to be added.
const LENGTH_EXTENDED: usize = 7;
/// What a back reference copies at least; lengths count from here.
const COPY_BASE: usize = 2;

/// What is copied at once where there is room, also where fewer bytes are wanted: those behind are
/// written anew by what comes next.
const PIECE: usize = 16;

/// Unpacks into `out`, and whatever that had is gone. False if the bytes are damaged or don't give
/// exactly `len` bytes.
pub(super) fn unpack(packed: &[u8], len: usize, out: &mut Vec<u8>) -> bool {
    if len > packed.len().saturating_mul(EXPANSION_MAX) {
        return false;
    }
    // What it has need not be cleared.
    out.resize(len, 0);
    unpack_into(packed, out) == Some(len)
}

/// How many bytes it gave.
fn unpack_into(packed: &[u8], out: &mut [u8]) -> Option<usize> {
    let (mut rest, mut at) = (packed, 0);
    while let Some((&control, tail)) = rest.split_first() {
        rest = tail;
        if control < LITERAL_END {
            let count = usize::from(control) + 1;
            let (literals, tail) = rest.split_at_checked(count)?;
            copy_literals(rest, literals, out.get_mut(at..)?)?;
            rest = tail;
            at += count;
        } else {
            let mut count = usize::from(control >> 5);
            if count == LENGTH_EXTENDED {
                let (&more, tail) = rest.split_first()?;
                rest = tail;
                count += usize::from(more);
            }
            let (&low, tail) = rest.split_first()?;
            rest = tail;
            let distance = (usize::from(control & 0x1f) << 8 | usize::from(low)) + 1;
            at = copy_back(out, at, distance, count + COPY_BASE)?;
        }
    }
    Some(at)
}

/// Copies literals, with which `rest` begins, to the front.
#[inline(always)]
fn copy_literals(rest: &[u8], literals: &[u8], to: &mut [u8]) -> Option<()> {
    if literals.len() <= PIECE
        && let (Some(from), Some(to)) = (rest.first_chunk(), to.first_chunk_mut::<PIECE>())
    {
        *to = *from;
        return Some(());
    }
    to.get_mut(..literals.len())?.copy_from_slice(literals);
    Some(())
}

/// Copies `count` bytes from `distance` back, and returns what is behind them. Where the two
/// overlap the copy repeats itself: each round may take everything from the start on, which is
/// always whole repetitions.
#[inline(always)]
fn copy_back(out: &mut [u8], at: usize, distance: usize, count: usize) -> Option<usize> {
    let from = at.checked_sub(distance)?;
    if count <= PIECE && distance >= PIECE && out.len() - at >= PIECE {
        let (before, to) = out.split_at_mut_checked(at)?;
        *to.first_chunk_mut::<PIECE>()? = *before.get(from..)?.first_chunk()?;
        return Some(at + count);
    }
    let end = at.checked_add(count).filter(|end| *end <= out.len())?;
    let mut at = at;
    while at < end {
        let take = (end - at).min(at - from);
        out.copy_within(from..from + take, at);
        at += take;
    }
    Some(end)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn unpacked(packed: &[u8], len: usize) -> Option<Vec<u8>> {
        let mut out = b"what was there before".to_vec();
        unpack(packed, len, &mut out).then_some(out)
    }

    #[test]
    fn literals_and_references_that_overlap() {
        assert_eq!(unpacked(b"\x02abc", 3).unwrap(), b"abc");
        assert_eq!(unpacked(b"\x02abc\x20\x02", 6).unwrap(), b"abcabc");
        assert_eq!(unpacked(b"\x00a\xe0\x01\x00", 11).unwrap(), b"aaaaaaaaaaa");
        let long = unpacked(b"\x13abcdefghijklmnopqrst\xe0\x09\x13\x02xyz\x60\x12", 46).unwrap();
        assert_eq!(long, b"abcdefghijklmnopqrstabcdefghijklmnopqrxyzcdefg");
        assert_eq!(unpacked(b"\x01ab\x80\x01", 8).unwrap(), b"abababab");
        assert_eq!(unpacked(b"", 0).unwrap(), b"");
    }

    proptest! {
        #[test]
        fn unpacks_what_is_put_together_byte_by_byte(
            steps in proptest::collection::vec((any::<bool>(), 0..9000_usize, 0..300_usize), 0..60)
        ) {
            let (mut packed, mut wanted) = (Vec::new(), vec![b'.']);
            packed.extend_from_slice(b"\0.");
            for (is_literal, place, count) in steps {
                if is_literal {
                    let literals = (0..count % 32 + 1).map(|n| (place + n) as u8);
                    packed.push((count % 32) as u8);
                    packed.extend(literals.clone());
                    wanted.extend(literals);
                    continue;
                }
                let distance = place % wanted.len().min(8192) + 1;
                let (count, low) = (count % 262 + 1, (distance - 1) as u8);
                let high = ((distance - 1) >> 8) as u8;
                match count {
                    ..7 => packed.extend([(count as u8) << 5 | high, low]),
                    _ => packed.extend([7 << 5 | high, (count - 7) as u8, low]),
                }
                (0..count + 2).for_each(|_| wanted.push(wanted[wanted.len() - distance]));
            }
            prop_assert_eq!(unpacked(&packed, wanted.len()), Some(wanted));
        }
    }

    #[test]
    fn damage_is_noticed() {
        assert_eq!(unpacked(b"\x02ab", 3), None, "cut off literals");
        assert_eq!(unpacked(b"\x00a\x20", 4), None, "cut off reference");
        assert_eq!(unpacked(b"\x00a\xe0", 4), None, "cut off length");
        assert_eq!(unpacked(b"\x00a\x20\x01", 4), None, "before the start");
        assert_eq!(unpacked(b"\x02abc", 4), None, "too short");
        assert_eq!(unpacked(b"\x02abc", 2), None, "too long");
    }

    #[test]
    fn an_incredible_length_allocates_nothing() {
        let mut out = Vec::new();
        assert!(!unpack(b"\x00a", usize::MAX, &mut out));
        assert_eq!(out.capacity(), 0);
    }
}
