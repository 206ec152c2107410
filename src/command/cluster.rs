//! Commands of clusters: what leaves a node with its slots.

use super::arguments::{argument, integer, is, upper};
use super::{Applied, Failure, Unit};
use crate::change::Reason;

/// How many slots the keys of a cluster are spread over.
const SLOTS: u16 = 1 << 14;

/// CRC-16 with the polynomial 0x1021, highest bit first, as XMODEM has it.
const fn crc_of_byte(byte: u8) -> u16 {
    let mut crc = (byte as u16) << 8;
    let mut bit = 0;
    while bit < 8 {
        crc = if crc & 0x8000 == 0 { crc << 1 } else { crc << 1 ^ 0x1021 };
        bit += 1;
    }
    crc
}

static CRC: [u16; 256] = {
    let mut table = [0; 256];
    let mut byte = 0;
    while byte < 256 {
        table[byte] = crc_of_byte(byte as u8);
        byte += 1;
    }
    table
};

/// The slot of a key. Where there is something between the first `{` and the next `}`, that alone
/// counts.
fn slot_of(key: &[u8]) -> u16 {
    let tag = key.iter().position(|byte| *byte == b'{').and_then(|open| {
        let behind = &key[open + 1..];
        let len = behind.iter().position(|byte| *byte == b'}')?;
        behind.get(..len).filter(|tag| !tag.is_empty())
    });
    let crc = tag
        .unwrap_or(key)
        .iter()
        .fold(0u16, |crc, byte| crc << 8 ^ CRC[usize::from((crc >> 8) as u8 ^ byte)]);
    crc % SLOTS
}

fn slot(argument: &[u8]) -> Result<u16, Failure> {
    let number = u16::try_from(integer(argument)?).ok().filter(|slot| *slot < SLOTS);
    number.ok_or_else(|| Failure::new("not the number of a slot"))
}

/// Deletes all keys of these ranges of slots, each given by its first and last.
fn delete(unit: &mut Unit<'_>, ranges: &[&[u8]]) -> Applied {
    let pairs = ranges.chunks_exact(2);
    if !pairs.remainder().is_empty() || ranges.is_empty() {
        return Err(Failure::syntax());
    }
    let mut chosen = vec![false; SLOTS.into()];
    for pair in pairs {
        let (first, last) = (slot(pair[0])?, slot(pair[1])?);
        if first > last {
            return Err(Failure::syntax());
        }
        chosen[first.into()..=last.into()].fill(true);
    }
    unit.delete_where(|key| chosen[usize::from(slot_of(key))], Reason::Delete);
    Ok(())
}

/// `TRIMSLOTS RANGES count first last [first last ...]`: the slots have moved to another node
pub(super) fn trimslots(unit: &mut Unit<'_>, args: &[&[u8]]) -> Applied {
    let ranges = &args[3..];
    let count = integer(args[2])?.checked_mul(2);
    if !is(args[1], "RANGES") || count != i64::try_from(ranges.len()).ok() {
        return Err(Failure::syntax());
    }
    delete(unit, ranges)
}

/// `SFLUSH first last [first last ...] [ASYNC | SYNC]`
pub(super) fn sflush(unit: &mut Unit<'_>, args: &[&[u8]]) -> Applied {
    let ranges = match &args[1..] {
        [ranges @ .., mode] if is(mode, "ASYNC") || is(mode, "SYNC") => ranges,
        ranges => ranges,
    };
    delete(unit, ranges)
}

/// `CLUSTER FLUSHSLOT slot [ASYNC | SYNC]`; SETSLOT and SYNCSLOTS change no key
pub(super) fn cluster(unit: &mut Unit<'_>, args: &[&[u8]]) -> Applied {
    match upper(args[1]).as_slice() {
        b"FLUSHSLOT" => {
            let slot = argument(args, 2)?;
            delete(unit, &[slot, slot])
        }
        b"SETSLOT" | b"SYNCSLOTS" => Ok(()),
        _ => Err(Failure::new("nothing is known of this subcommand")),
    }
}

#[cfg(test)]
mod tests {
    use super::slot_of;

    #[test]
    fn slots_are_those_of_the_servers() {
        for (key, slot) in [
            ("", 0),
            ("123456789", 12739),
            ("foo", 12182),
            ("foo{bar}", 5061),
            ("bar", 5061),
            ("{bar}x{foo}", 5061),
            ("{user1000}.following", 3443),
            ("foo{}{bar}", 8363),
            ("foo{{bar}}zap", 4015),
            ("{bar", 4015),
        ] {
            assert_eq!(slot_of(key.as_bytes()), slot, "{key}");
        }
    }
}
