//! How servers estimate from the registers how many elements were added: three formulas so far.

use super::sketch::{COUNTED_BITS, REGISTERS};
use crate::command::Server;

/// Since 4.0 the formula of Qin and others, LogLog-Beta.
const BETA_SINCE: (u32, u32) = (4, 0);

/// Since 5.0 the improved raw estimator of Ertl.
const ERTL_SINCE: (u32, u32) = (5, 0);

/// Half of 1 by the natural logarithm of 2.
const ALPHA_INFINITE: f64 = 0.721_347_520_444_481_7;

/// The estimate of this server, from how many registers have each count.
pub(super) fn estimate(histogram: &[u32; 64], server: Server) -> u64 {
    let registers = REGISTERS as f64;
    if server.is_since(ERTL_SINCE) {
        return ertl(histogram, registers).round() as u64;
    }
    let zeros = f64::from(histogram[0]);
    let sum: f64 = (0..).zip(histogram).map(|(count, n)| f64::from(*n) * 0.5f64.powi(count)).sum();
    let alpha = 0.7213 / (1.0 + 1.079 / registers);
    if server.is_since(BETA_SINCE) {
        let raw = alpha * registers * (registers - zeros) * (1.0 / (sum + beta(zeros)));
        return raw.round() as u64;
    }
    corrected(1.0 / sum * alpha * registers * registers, registers, zeros) as u64
}

fn ertl(histogram: &[u32; 64], registers: f64) -> f64 {
    let highest = f64::from(histogram[COUNTED_BITS + 1]);
    let from_above = registers * tau((registers - highest) / registers);
    let sum = (1..=COUNTED_BITS)
        .rev()
        .fold(from_above, |sum, count| (sum + f64::from(histogram[count])) * 0.5);
    let sum = sum + registers * sigma(f64::from(histogram[0]) / registers);
    ALPHA_INFINITE * registers * registers / sum
}

fn tau(mut x: f64) -> f64 {
    if x == 0.0 || x == 1.0 {
        return 0.0;
    }
    let (mut weight, mut sum) = (1.0, 1.0 - x);
    loop {
        let before = sum;
        x = x.sqrt();
        weight *= 0.5;
        sum -= (1.0 - x).powi(2) * weight;
        if sum == before {
            return sum / 3.0;
        }
    }
}

fn sigma(mut x: f64) -> f64 {
    if x == 1.0 {
        return f64::INFINITY;
    }
    let (mut weight, mut sum) = (1.0, x);
    loop {
        let before = sum;
        x *= x;
        sum += x * weight;
        weight += weight;
        if sum == before {
            return sum;
        }
    }
}

fn beta(zeros: f64) -> f64 {
    let x = (zeros + 1.0).ln();
    -0.370_393_911 * zeros
        + 0.070_471_823 * x
        + 0.173_936_86 * x.powi(2)
        + 0.163_398_39 * x.powi(3)
        + -0.092_377_45 * x.powi(4)
        + 0.037_380_27 * x.powi(5)
        + -0.005_384_159 * x.powi(6)
        + 0.000_424_19 * x.powi(7)
}

/// Before 4.0: small numbers are counted by their empty registers, those in the middle corrected.
fn corrected(raw: f64, registers: f64, zeros: f64) -> f64 {
    if raw < registers * 2.5 && zeros > 0.0 {
        return registers * (registers / zeros).ln();
    }
    if raw >= 72_000.0 {
        return raw;
    }
    let percent = 5.9119e-18 * raw.powi(4) - 1.4253e-12 * raw.powi(3) + 1.2940e-7 * raw.powi(2)
        - 5.2921e-3 * raw
        + 83.3216;
    raw - raw * (percent / 100.0)
}
