//! Numbers of 64 bits in as few bytes as they need, for the records of groups.

/// Appends a number: seven bits a byte, the lowest first.
pub(super) fn push_number(out: &mut Vec<u8>, mut number: u64) {
    while number >= 0x80 {
        out.push(number as u8 | 0x80);
        number >>= 7;
    }
    out.push(number as u8);
}

/// Reads a number and returns it with what follows.
pub(super) fn split_number(bytes: &[u8]) -> (u64, &[u8]) {
    let mut number = 0;
    for (at, byte) in bytes.iter().enumerate().take(10) {
        number |= u64::from(byte & 0x7f) << (7 * at);
        if byte & 0x80 == 0 {
            return (number, bytes.get(at + 1..).unwrap_or_default());
        }
    }
    (number, &[])
}

/// Reads a time in 8 bytes and returns it with what follows.
pub(super) fn split_time(bytes: &[u8]) -> (i64, &[u8]) {
    bytes.split_first_chunk().map_or((0, &[]), |(time, rest)| (i64::from_le_bytes(*time), rest))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_come_back() {
        for number in [0, 1, 127, 128, 16_383, 16_384, u64::MAX >> 1, u64::MAX] {
            let mut bytes = Vec::new();
            push_number(&mut bytes, number);
            bytes.push(9);
            assert_eq!(split_number(&bytes), (number, &[9][..]));
        }
    }
}
