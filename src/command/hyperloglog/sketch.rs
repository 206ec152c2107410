//! The bytes of a HyperLogLog: a header, then 16384 registers, packed or six bits each.
//!
//! Packed, runs of equal registers take a byte or two: `00nnnnnn` for up to 64 zeros, `01nnnnnn`
//! and one byte more for up to 16384 of them, `1vvvvvnn` for up to four registers of a value up to
//! 32. Lengths and values are stored less one.

use crate::command::Failure;

/// Bits of a hash that select a register.
const INDEX_BITS: u32 = 14;

/// How many registers there are.
pub(super) const REGISTERS: usize = 1 << INDEX_BITS;

/// Bits of a hash whose trailing zeros are counted.
pub(super) const COUNTED_BITS: usize = 64 - INDEX_BITS as usize;

/// The largest number that a register can have in its six bits.
const REGISTER_MAX: u8 = 63;

const MAGIC: &[u8] = b"HYLL";
const ENCODING_AT: usize = 4;
const ESTIMATE_AT: usize = 8;
const HEADER: usize = 16;
const DENSE: u8 = 0;
const PACKED: u8 = 1;
const DENSE_BYTES: usize = HEADER + REGISTERS * 6 / 8;

/// In the last byte of the estimate: it is out of date.
const STALE: u8 = 0x80;

/// The default of the servers' option `hll-sparse-max-bytes`: it counts the header.
const PACKED_BYTES_MAX: usize = 3000;

const ZEROS_MAX: usize = 64;
const VALUE_MAX: u8 = 32;
const VALUES_MAX: usize = 4;

/// After a change so many runs are looked at, whether they can be merged with the next.
const MERGE_RUNS: usize = 5;

/// Seed of the hash.
const SEED: u64 = 0xadc8_3b19;

/// Registers of which none was raised.
pub(super) fn no_registers() -> Vec<u8> {
    vec![0; REGISTERS]
}

/// A HyperLogLog's bytes.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Sketch {
    bytes: Vec<u8>,
}

/// Equal registers that follow each other.
#[derive(Clone, Copy, Debug, PartialEq)]
struct Run {
    /// 0, or what each of them has.
    value: u8,
    len: usize,
    /// How many bytes it takes.
    bytes: usize,
}

impl Run {
    fn read(bytes: &[u8]) -> Option<Self> {
        let (first, rest) = bytes.split_first()?;
        let low = usize::from(first & 0x3f);
        Some(match first >> 6 {
            0 => Self { value: 0, len: low + 1, bytes: 1 },
            1 => Self { value: 0, len: (low << 8 | usize::from(*rest.first()?)) + 1, bytes: 2 },
            _ => Self { value: (first >> 2 & 0x1f) + 1, len: usize::from(first & 3) + 1, bytes: 1 },
        })
    }

    /// Writes so many registers of this value, if there are any.
    fn write(out: &mut Vec<u8>, value: u8, len: usize) {
        let Some(less) = len.checked_sub(1) else { return };
        if value > 0 {
            out.push(0x80 | (value - 1) << 2 | less as u8);
        } else if len <= ZEROS_MAX {
            out.push(less as u8);
        } else {
            out.extend_from_slice(&[0x40 | (less >> 8) as u8, less as u8]);
        }
    }
}

fn damaged() -> Failure {
    Failure::new("the HyperLogLog is damaged")
}

impl Default for Sketch {
    /// One to which nothing was added.
    fn default() -> Self {
        let mut bytes = vec![0; HEADER];
        bytes[..MAGIC.len()].copy_from_slice(MAGIC);
        bytes[ENCODING_AT] = PACKED;
        Run::write(&mut bytes, 0, REGISTERS);
        Self { bytes }
    }
}

impl Sketch {
    /// The HyperLogLog that a string is.
    pub(super) fn of(bytes: &[u8]) -> Result<Self, Failure> {
        let encoding = bytes.get(ENCODING_AT).copied();
        let is_right = match encoding {
            Some(DENSE) => bytes.len() == DENSE_BYTES,
            Some(PACKED) => bytes.len() >= HEADER,
            _ => false,
        };
        if is_right && bytes.starts_with(MAGIC) {
            Ok(Self { bytes: bytes.to_vec() })
        } else {
            Err(Failure::new("the key does not hold a HyperLogLog"))
        }
    }

    pub(super) fn into_bytes(self) -> Vec<u8> {
        self.bytes
    }

    /// Each register has its six bits.
    pub(super) fn is_dense(&self) -> bool {
        self.bytes[ENCODING_AT] == DENSE
    }

    /// The stored estimate is up to date.
    pub(super) fn has_estimate(&self) -> bool {
        self.bytes[HEADER - 1] & STALE == 0
    }

    /// Marks the stored estimate; it stays where it is.
    pub(super) fn forget_estimate(&mut self) {
        self.bytes[HEADER - 1] |= STALE;
    }

    /// Stores an estimate.
    pub(super) fn keep_estimate(&mut self, estimate: u64) {
        self.bytes[ESTIMATE_AT..HEADER].copy_from_slice(&estimate.to_le_bytes());
    }

    /// Adds an element; true if a register was raised.
    pub(super) fn add(&mut self, element: &[u8]) -> Result<bool, Failure> {
        let hash = murmur(element);
        let index = hash as usize % REGISTERS;
        let counted = hash >> INDEX_BITS | 1 << COUNTED_BITS;
        self.raise(index, counted.trailing_zeros() as u8 + 1)
    }

    /// Raises a register to this count; false if it has as much.
    pub(super) fn raise(&mut self, index: usize, count: u8) -> Result<bool, Failure> {
        if self.is_dense() {
            return Ok(self.raise_dense(index, count));
        }
        if count > VALUE_MAX {
            return self.raise_unpacked(index, count);
        }
        let Place { at, before, first, run } = self.place(index)?;
        if run.value >= count {
            return Ok(false);
        }
        let mut split = Vec::with_capacity(5);
        Run::write(&mut split, run.value, index - first);
        Run::write(&mut split, count, 1);
        Run::write(&mut split, run.value, first + run.len - 1 - index);
        if split.len() > run.bytes && self.bytes.len() + split.len() - run.bytes > PACKED_BYTES_MAX
        {
            return self.raise_unpacked(index, count);
        }
        self.bytes.splice(at..at + run.bytes, split);
        self.merge_runs(before);
        self.forget_estimate();
        Ok(true)
    }

    fn raise_unpacked(&mut self, index: usize, count: u8) -> Result<bool, Failure> {
        self.unpack()?;
        Ok(self.raise_dense(index, count))
    }

    /// Where the run with this register is.
    fn place(&self, index: usize) -> Result<Place, Failure> {
        let (mut at, mut before, mut first) = (HEADER, HEADER, 0);
        while let Some(run) = Run::read(&self.bytes[at..]) {
            if index < first + run.len {
                return Ok(Place { at, before, first, run });
            }
            before = at;
            at += run.bytes;
            first += run.len;
        }
        Err(damaged())
    }

    /// Merges runs of the same value, beginning with the one here, as far as the servers look.
    fn merge_runs(&mut self, mut at: usize) {
        for _ in 0..MERGE_RUNS {
            let Some(run) = Run::read(&self.bytes[at..]) else { return };
            let next = Run::read(&self.bytes[at + run.bytes..]);
            match next {
                Some(next)
                    if run.value > 0
                        && next.value == run.value
                        && run.len + next.len <= VALUES_MAX =>
                {
                    let mut both = Vec::with_capacity(1);
                    Run::write(&mut both, run.value, run.len + next.len);
                    self.bytes.splice(at..at + 2, both);
                }
                _ => at += run.bytes,
            }
        }
    }

    /// Gives each register its six bits. The estimate stays as it is.
    pub(super) fn unpack(&mut self) -> Result<(), Failure> {
        if self.is_dense() {
            return Ok(());
        }
        let mut registers = no_registers();
        self.merge_into(&mut registers)?;
        self.bytes.truncate(HEADER);
        self.bytes.resize(DENSE_BYTES, 0);
        self.bytes[ENCODING_AT] = DENSE;
        for (index, count) in registers.into_iter().enumerate().filter(|(_, count)| *count > 0) {
            self.raise_dense(index, count);
        }
        Ok(())
    }

    /// The two bytes in which a register lies, as one number, and how far up in it.
    fn pair(&self, index: usize) -> (u16, usize, usize) {
        let (at, shift) = (HEADER + index * 6 / 8, index * 6 % 8);
        let high = self.bytes.get(at + 1).copied().unwrap_or(0);
        (u16::from_le_bytes([self.bytes[at], high]), at, shift)
    }

    fn dense_register(&self, index: usize) -> u8 {
        let (pair, _, shift) = self.pair(index);
        (pair >> shift) as u8 & REGISTER_MAX
    }

    fn raise_dense(&mut self, index: usize, count: u8) -> bool {
        if self.dense_register(index) >= count {
            return false;
        }
        let (pair, at, shift) = self.pair(index);
        let cleared = pair & !(u16::from(REGISTER_MAX) << shift);
        let [low, high] = (cleared | u16::from(count) << shift).to_le_bytes();
        self.bytes[at] = low;
        if let Some(byte) = self.bytes.get_mut(at + 1) {
            *byte = high;
        }
        true
    }

    /// Raises registers to what they are here.
    pub(super) fn merge_into(&self, registers: &mut [u8]) -> Result<(), Failure> {
        if self.is_dense() {
            for (index, register) in registers.iter_mut().enumerate() {
                *register = self.dense_register(index).max(*register);
            }
            return Ok(());
        }
        let (mut at, mut first) = (HEADER, 0);
        while let Some(run) = Run::read(&self.bytes[at..]) {
            let covered = registers.get_mut(first..first + run.len).ok_or_else(damaged)?;
            covered.iter_mut().for_each(|register| *register = run.value.max(*register));
            at += run.bytes;
            first += run.len;
        }
        if first == REGISTERS { Ok(()) } else { Err(damaged()) }
    }

    /// How many registers have each count.
    pub(super) fn histogram(&self) -> Result<[u32; 64], Failure> {
        let mut registers = no_registers();
        self.merge_into(&mut registers)?;
        let mut histogram = [0; 64];
        for register in registers {
            histogram[usize::from(register & REGISTER_MAX)] += 1;
        }
        Ok(histogram)
    }
}

/// Where a register is found.
struct Place {
    /// Where its run begins, and the one before it; the same for the first.
    at: usize,
    before: usize,
    /// The first register of the run.
    first: usize,
    run: Run,
}

/// MurmurHash64A.
fn murmur(bytes: &[u8]) -> u64 {
    const FACTOR: u64 = 0xc6a4_a793_5bd1_e995;
    const SHIFT: u32 = 47;
    let mut hash = SEED ^ (bytes.len() as u64).wrapping_mul(FACTOR);
    let mut words = bytes.chunks_exact(8);
    for word in &mut words {
        let mut number = word.iter().rev().fold(0, |number, byte| number << 8 | u64::from(*byte));
        number = number.wrapping_mul(FACTOR);
        number ^= number >> SHIFT;
        hash = (hash ^ number.wrapping_mul(FACTOR)).wrapping_mul(FACTOR);
    }
    let rest = words.remainder();
    if !rest.is_empty() {
        hash ^= rest.iter().rev().fold(0, |number, byte| number << 8 | u64::from(*byte));
        hash = hash.wrapping_mul(FACTOR);
    }
    hash ^= hash >> SHIFT;
    hash = hash.wrapping_mul(FACTOR);
    hash ^ hash >> SHIFT
}
