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

/// Unpacks into `out`, which is emptied first. False if the bytes are damaged or don't give exactly
/// `len` bytes.
pub(super) fn unpack(packed: &[u8], len: usize, out: &mut Vec<u8>) -> bool {
    out.clear();
    if len > packed.len().saturating_mul(EXPANSION_MAX) {
        return false;
    }
    out.reserve(len);
    unpack_into(packed, len, out).is_some() && out.len() == len
}

fn unpack_into(packed: &[u8], len: usize, out: &mut Vec<u8>) -> Option<()> {
    let mut rest = packed;
    while let Some((&control, tail)) = rest.split_first() {
        rest = tail;
        if control < LITERAL_END {
            let (literals, tail) = rest.split_at_checked(usize::from(control) + 1)?;
            rest = tail;
            out.extend_from_slice(literals);
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
            copy_back(out, distance, count + COPY_BASE)?;
        }
        if out.len() > len {
            return None;
        }
    }
    Some(())
}

/// Appends `count` bytes from `distance` back. Where the two overlap the copy repeats itself: each
/// round may take everything from the start on, which is always whole repetitions.
fn copy_back(out: &mut Vec<u8>, distance: usize, count: usize) -> Option<()> {
    let from = out.len().checked_sub(distance)?;
    let mut left = count;
    while left > 0 {
        let take = left.min(out.len() - from);
        out.extend_from_within(from..from + take);
        left -= take;
    }
    Some(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn unpacked(packed: &[u8], len: usize) -> Option<Vec<u8>> {
        let mut out = b"what was there before".to_vec();
        unpack(packed, len, &mut out).then_some(out)
    }

    #[test]
    fn literals_and_references_that_overlap() {
        assert_eq!(unpacked(b"\x02abc", 3).unwrap(), b"abc");
        assert_eq!(unpacked(b"\x02abc\x20\x02", 6).unwrap(), b"abcabc");
        assert_eq!(unpacked(b"\x00a\xe0\x01\x00", 11).unwrap(), b"aaaaaaaaaaa");
        assert_eq!(unpacked(b"\x01ab\x80\x01", 8).unwrap(), b"abababab");
        assert_eq!(unpacked(b"", 0).unwrap(), b"");
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
