//! The checksum of snapshots and of `DUMP` payloads: every byte of a snapshot goes through it, so
//! it takes eight of them a step.

/// The Jones polynomial 0xad93d23594c935a9, bits reversed.
const POLYNOMIAL: u64 = 0x95ac_9329_ac4b_c9b5;

/// `TABLES[k][b]`: what byte `b` does to the sum when `k` more bytes follow it in the same step.
static TABLES: [[u64; 256]; 8] = tables();

const fn tables() -> [[u64; 256]; 8] {
    let mut tables = [[0; 256]; 8];
    let mut byte = 0;
    while byte < 256 {
        let mut sum = byte as u64;
        let mut bit = 0;
        while bit < 8 {
            sum = if sum & 1 == 1 { (sum >> 1) ^ POLYNOMIAL } else { sum >> 1 };
            bit += 1;
        }
        tables[0][byte] = sum;
        byte += 1;
    }
    byte = 0;
    while byte < 256 {
        let mut sum = tables[0][byte];
        let mut further = 1;
        while further < 8 {
            sum = (sum >> 8) ^ tables[0][(sum & 0xff) as usize];
            tables[further][byte] = sum;
            further += 1;
        }
        byte += 1;
    }
    tables
}

/// Goes on with the sum `crc` (0 at the start) over these bytes.
pub fn crc64(crc: u64, bytes: &[u8]) -> u64 {
    let mut sum = crc;
    let mut rest = bytes;
    while let Some((block, tail)) = rest.split_first_chunk::<8>() {
        rest = tail;
        let mixed = (sum ^ u64::from_le_bytes(*block)).to_le_bytes();
        sum = TABLES[7][usize::from(mixed[0])]
            ^ TABLES[6][usize::from(mixed[1])]
            ^ TABLES[5][usize::from(mixed[2])]
            ^ TABLES[4][usize::from(mixed[3])]
            ^ TABLES[3][usize::from(mixed[4])]
            ^ TABLES[2][usize::from(mixed[5])]
            ^ TABLES[1][usize::from(mixed[6])]
            ^ TABLES[0][usize::from(mixed[7])];
    }
    for byte in rest {
        sum = (sum >> 8) ^ TABLES[0][usize::from(sum as u8 ^ byte)];
    }
    sum
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn has_the_servers_check_value() {
        assert_eq!(crc64(0, b"123456789"), 0xe9c6_d914_c4b8_d9ca);
        assert_eq!(crc64(0, b""), 0);
    }

    #[test]
    fn parts_give_the_same_sum_as_the_whole() {
        let bytes: Vec<u8> = (0..100u8).map(|n| n.wrapping_mul(37)).collect();
        let mut slow = 0u64;
        for byte in &bytes {
            slow ^= u64::from(*byte);
            for _ in 0..8 {
                slow = if slow & 1 == 1 { (slow >> 1) ^ POLYNOMIAL } else { slow >> 1 };
            }
        }
        for cut in 0..=bytes.len() {
            assert_eq!(crc64(crc64(0, &bytes[..cut]), &bytes[cut..]), slow, "cut at {cut}");
        }
    }
}
