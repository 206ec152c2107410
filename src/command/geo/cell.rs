//! Cells of the globe: the 52 bits that a sorted set keeps as a place's score, and the coarser
//! cells that a search goes through.
//!
//! Longitude and latitude are halved in turn; a bit of each says which half it is, the longitude's
//! first. A cell of `step` bits a coordinate is thus a range of scores.

use std::ops::Range;

/// The bits of each coordinate of a score.
const STEP_MAX: u32 = 26;

pub(super) const LON_MAX: f64 = 180.0;
/// Where the servers' map ends; nothing can be nearer to a pole.
pub(super) const LAT_MAX: f64 = 85.051_128_78;

/// A place on the globe in degrees.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Place {
    pub(super) lon: f64,
    pub(super) lat: f64,
}

impl Place {
    /// Whether the servers' map has it.
    pub(super) fn is_on_the_map(self) -> bool {
        self.lon.abs() <= LON_MAX && self.lat.abs() <= LAT_MAX
    }

    /// The place that a score stands for: the middle of its cell.
    pub(super) fn of_score(score: f64) -> Self {
        let area = Cell { bits: bits(score), step: STEP_MAX }.area();
        let middle = |start: f64, end: f64, max: f64| ((start + end) / 2.0).min(max).max(-max);
        Self {
            lon: middle(area.west, area.east, LON_MAX),
            lat: middle(area.south, area.north, LAT_MAX),
        }
    }
}

/// What a server's processor makes of a score, which need not be one of a place at all: of those
/// that don't fit, what x86-64 makes of them.
fn bits(score: f64) -> u64 {
    const HALF: f64 = 9_223_372_036_854_775_808.0;
    if score < HALF {
        score as i64 as u64
    } else if score < 2.0 * HALF {
        score as u64
    } else {
        0
    }
}

/// A cell. Places next to each other are in cells next to each other, but for those on both sides
/// of the map's edges.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Cell {
    bits: u64,
    step: u32,
}

/// What a cell covers, in degrees.
#[derive(Clone, Copy, Debug)]
pub(super) struct Area {
    pub(super) west: f64,
    pub(super) east: f64,
    pub(super) south: f64,
    pub(super) north: f64,
}

impl Cell {
    /// The cell of a place, with so many bits (1 to 26) a coordinate.
    pub(super) fn around(place: Place, step: u32) -> Self {
        let cells = (1u64 << step) as f64;
        let offset = |at: f64, max: f64| ((at + max) / (max + max) * cells) as u32;
        let (lat, lon) = (offset(place.lat, LAT_MAX), offset(place.lon, LON_MAX));
        Self { bits: spread(lat) | spread(lon) << 1, step }
    }

    pub(super) fn area(self) -> Area {
        let cells = (1u64 << self.step) as f64;
        let edge = |n: u32, max: f64| -max + f64::from(n) / cells * (max + max);
        let (lat, lon) = (gather(self.bits), gather(self.bits >> 1));
        Area {
            west: edge(lon, LON_MAX),
            east: edge(lon.wrapping_add(1), LON_MAX),
            south: edge(lat, LAT_MAX),
            north: edge(lat.wrapping_add(1), LAT_MAX),
        }
    }

    /// The cell next to it, so many cells to the east and to the north, around the edges.
    pub(super) fn neighbour(self, east: i32, north: i32) -> Self {
        let (lat, lon) = (gather(self.bits), gather(self.bits >> 1));
        let mask = u32::MAX >> (32 - self.step);
        // A place on the very edge of the map is in a cell behind it, and stays there.
        let moved = |at: u32, by: i32| match by {
            0 => spread(at),
            by => spread(at.wrapping_add_signed(by) & mask),
        };
        Self { bits: moved(lat, north) | moved(lon, east) << 1, step: self.step }
    }

    /// The scores of all places in it.
    pub(super) fn scores(self) -> Range<f64> {
        let shift = 2 * (STEP_MAX - self.step);
        (self.bits << shift) as f64..((self.bits + 1) << shift) as f64
    }
}

/// Puts a 0 before each bit.
fn spread(number: u32) -> u64 {
    let mut bits = u64::from(number);
    for (shift, mask) in [
        (16, 0x0000_FFFF_0000_FFFF),
        (8, 0x00FF_00FF_00FF_00FF),
        (4, 0x0F0F_0F0F_0F0F_0F0F),
        (2, 0x3333_3333_3333_3333),
        (1, 0x5555_5555_5555_5555),
    ] {
        bits = (bits | bits << shift) & mask;
    }
    bits
}

/// Takes every second bit.
fn gather(bits: u64) -> u32 {
    let mut number = bits & 0x5555_5555_5555_5555;
    for (shift, mask) in [
        (1, 0x3333_3333_3333_3333),
        (2, 0x0F0F_0F0F_0F0F_0F0F),
        (4, 0x00FF_00FF_00FF_00FF),
        (8, 0x0000_FFFF_0000_FFFF),
        (16, 0x0000_0000_FFFF_FFFF),
    ] {
        number = (number | number >> shift) & mask;
    }
    number as u32
}
