//! What a search looks for: distances on the globe, shapes, and the cells that cover a shape.
//!
//! All of it is done operation by operation as the servers do it, because the last bit of a
//! distance is stored (STOREDIST). It is exact for servers on x86-64 whose C library computes sine,
//! cosine and arc sine as ours does; compilers for other processors may fuse a multiplication and
//! an addition, and then that bit can differ.

use super::cell::{Cell, LAT_MAX, LON_MAX, Place};
use crate::command::Server;

const EARTH_RADIUS_M: f64 = 6_372_797.560_856;

/// Half the equator on the map that cells are cut from.
const MERCATOR_MAX_M: f64 = 20_037_726.37;

/// Bits a coordinate of the finest cells that a search goes through.
const STEP_MAX: u32 = 26;

/// Beyond these latitudes (north or south) cells are so narrow that larger ones are taken.
const WIDER_LAT: f64 = 66.0;
const WIDEST_LAT: f64 = 80.0;

/// How a server computes distances and what cells it looks at. Later ones look at more near the
/// poles; where the first places that are found will do, the cells decide which ones these are.
#[derive(Clone, Copy)]
pub(super) struct Globe {
    /// The sine of half the difference of two longitudes up to which they are the same, and only
    /// latitudes count; negative where they always count both.
    same_lon_max: f64,
    /// Before Redis 6.2, a shape is taken to be as wide everywhere as on its centre's parallel, and
    /// cells as large enough where they reach as far as it does from there.
    is_narrow: bool,
}

impl Globe {
    pub(super) fn of(server: Server) -> Self {
        let same_lon_max = match server {
            Server { valkey: true, version } if version >= (9, 0) => 1e-15,
            server if server.is_since((7, 2)) => 0.0,
            _ => -1.0,
        };
        Self { same_lon_max, is_narrow: !server.is_since((6, 2)) }
    }

    /// By the haversine formula, in metres.
    fn distance(self, a: Place, b: Place) -> f64 {
        let v = ((radians(b.lon) - radians(a.lon)) / 2.0).sin();
        if v.abs() <= self.same_lon_max {
            return lat_distance(a, b);
        }
        let (a_lat, b_lat) = (radians(a.lat), radians(b.lat));
        let u = ((b_lat - a_lat) / 2.0).sin();
        let h = u * u + a_lat.cos() * b_lat.cos() * v * v;
        2.0 * EARTH_RADIUS_M * h.sqrt().asin()
    }

    /// Whether any of the bounds is nearer to a place within than this.
    fn is_nearer(self, place: Place, bounds: Bounds, reach_m: f64) -> bool {
        let Place { lon, lat } = place;
        let Bounds { west, east, south, north } = bounds;
        [(lon, north), (lon, south), (east, lat), (west, lat)]
            .into_iter()
            .any(|(lon, lat)| self.distance(place, Place { lon, lat }) < reach_m)
    }

    /// Along a meridian.
    fn distance_north(self, a: Place, b: Place) -> f64 {
        self.distance(a, Place { lon: a.lon, lat: b.lat })
    }

    /// Along the first one's parallel.
    fn distance_east(self, a: Place, b: Place) -> f64 {
        self.distance(a, Place { lon: b.lon, lat: a.lat })
    }
}

fn lat_distance(a: Place, b: Place) -> f64 {
    EARTH_RADIUS_M * (radians(b.lat) - radians(a.lat)).abs()
}

const RADIANS: f64 = std::f64::consts::PI / 180.0;

fn radians(degrees: f64) -> f64 {
    degrees * RADIANS
}

fn degrees(radians: f64) -> f64 {
    radians / RADIANS
}

/// What a search looks for around a centre. Lengths are in units of `unit_m` metres.
pub(super) enum Shape {
    Circle {
        centre: Place,
        radius: f64,
        unit_m: f64,
    },
    Box {
        centre: Place,
        width: f64,
        height: f64,
        unit_m: f64,
    },
    /// The centre is that of its corners.
    Polygon {
        corners: Vec<Place>,
        centre: Place,
    },
}

/// Ranges of longitude and latitude. They may reach over the edges of the map.
struct Bounds {
    west: f64,
    east: f64,
    south: f64,
    north: f64,
}

impl Shape {
    /// A polygon; `None` where its centre is not on the map, and what a server would find is left
    /// to chance.
    pub(super) fn polygon(corners: Vec<Place>) -> Option<Self> {
        let (mut x, mut y, mut z) = (0.0, 0.0, 0.0);
        for corner in &corners {
            let (lon, lat) = (radians(corner.lon), radians(corner.lat));
            x += lat.cos() * lon.cos();
            y += lat.cos() * lon.sin();
            z += lat.sin();
        }
        let lat = z.atan2((x * x + y * y).sqrt());
        let centre = Place { lon: degrees(y.atan2(x)), lat: degrees(lat) };
        centre.is_on_the_map().then_some(Self::Polygon { corners, centre })
    }

    fn centre(&self) -> Place {
        match self {
            Self::Circle { centre, .. }
            | Self::Box { centre, .. }
            | Self::Polygon { centre, .. } => *centre,
        }
    }

    /// What distances are told in.
    pub(super) fn unit_m(&self) -> f64 {
        match self {
            Self::Circle { unit_m, .. } | Self::Box { unit_m, .. } => *unit_m,
            Self::Polygon { .. } => 1.0,
        }
    }

    /// How far a place is from the centre, if it lies within.
    pub(super) fn distance_within(&self, place: Place, globe: Globe) -> Option<f64> {
        let is_outside = match self {
            Self::Circle { centre, radius, unit_m } => {
                let distance = globe.distance(*centre, place);
                return if distance > radius * unit_m { None } else { Some(distance) };
            }
            Self::Box { centre, width, height, unit_m } => {
                globe.distance_north(place, *centre) > height * unit_m / 2.0
                    || globe.distance_east(place, *centre) > width * unit_m / 2.0
            }
            Self::Polygon { corners, .. } => !is_inside(corners, place),
        };
        (!is_outside).then(|| globe.distance(self.centre(), place))
    }

    fn bounds(&self, globe: Globe) -> Bounds {
        let (height, width) = match self {
            Self::Circle { radius, unit_m, .. } => (unit_m * radius, unit_m * radius),
            Self::Box { width, height, unit_m, .. } => {
                (unit_m * height / 2.0, unit_m * width / 2.0)
            }
            Self::Polygon { corners, .. } => return Bounds::of(corners),
        };
        let Place { lon, lat } = self.centre();
        let north = degrees(height / EARTH_RADIUS_M);
        // Of the two edges along parallels, the longer one in degrees is the one nearer to a pole.
        let edge = match lat {
            lat if globe.is_narrow => lat,
            lat if lat < 0.0 => lat - north,
            lat => lat + north,
        };
        let east = degrees(width / EARTH_RADIUS_M / radians(edge).cos());
        Bounds { west: lon - east, east: lon + east, south: lat - north, north: lat + north }
    }

    /// About how far it reaches from its centre, in metres.
    fn reach(&self, bounds: &Bounds, globe: Globe) -> f64 {
        match self {
            Self::Circle { radius, unit_m, .. } => radius * unit_m,
            Self::Box { width, height, unit_m, .. } => {
                let (east, north) = (width / 2.0, height / 2.0);
                (east * east + north * north).sqrt() * unit_m
            }
            Self::Polygon { centre, .. } => {
                let Bounds { west, east, south, north } = *bounds;
                let corners = [(west, north), (east, north), (west, south), (east, south)];
                let far = corners.map(|(lon, lat)| globe.distance(*centre, Place { lon, lat }));
                far.into_iter().reduce(|max, far| if far > max { far } else { max }).unwrap_or(0.0)
            }
        }
    }

    /// The cells to look at, in the order in which the servers do so: a search for ANY ends with
    /// the first places that it finds.
    pub(super) fn cells(&self, globe: Globe) -> Vec<Cell> {
        let bounds = self.bounds(globe);
        let centre = self.centre();
        let reach_m = self.reach(&bounds, globe);
        let mut step = step(reach_m, centre.lat);
        let mut cell = Cell::around(centre, step);
        let is_too_small = if globe.is_narrow {
            globe.is_nearer(centre, Bounds::around(cell), reach_m)
        } else {
            bounds.exceed(&Bounds::around(cell))
        };
        if step > 1 && is_too_small {
            step -= 1;
            cell = Cell::around(centre, step);
        }
        let area = cell.area();
        let is_needed = |east: i32, north: i32| {
            step < 2
                || !((area.south < bounds.south && north < 0)
                    || (area.north > bounds.north && north > 0)
                    || (area.west < bounds.west && east < 0)
                    || (area.east > bounds.east && east > 0))
        };
        let mut cells = vec![cell];
        for (east, north) in [(0, 1), (0, -1), (1, 0), (-1, 0), (1, 1), (-1, 1), (1, -1), (-1, -1)]
        {
            let next = cell.neighbour(east, north);
            // Of large cells two neighbours can be the same one.
            let is_repeated = cells.len() > 1 && cells.last() == Some(&next);
            if is_needed(east, north) && !is_repeated {
                cells.push(next);
            }
        }
        cells
    }
}

impl Bounds {
    fn of(corners: &[Place]) -> Self {
        let none = Self { west: LON_MAX, east: -LON_MAX, south: LAT_MAX, north: -LAT_MAX };
        corners.iter().fold(none, |bounds, corner| Self {
            west: bounds.west.min(corner.lon),
            east: bounds.east.max(corner.lon),
            south: bounds.south.min(corner.lat),
            north: bounds.north.max(corner.lat),
        })
    }

    /// Those of a cell and the ones around it.
    fn around(cell: Cell) -> Self {
        Self {
            west: cell.neighbour(-1, 0).area().west,
            east: cell.neighbour(1, 0).area().east,
            south: cell.neighbour(0, -1).area().south,
            north: cell.neighbour(0, 1).area().north,
        }
    }

    /// Whether they reach over others.
    fn exceed(&self, other: &Self) -> bool {
        other.north < self.north
            || other.south > self.south
            || other.east < self.east
            || other.west > self.west
    }
}

/// So many bits a coordinate that a cell is about as large as what is looked for.
fn step(reach_m: f64, lat: f64) -> u32 {
    if reach_m == 0.0 {
        return STEP_MAX;
    }
    let mut step = 1;
    let mut reach_m = reach_m;
    while reach_m < MERCATOR_MAX_M {
        reach_m *= 2.0;
        step += 1;
    }
    let wider = u32::from(lat.abs() > WIDER_LAT) + u32::from(lat.abs() > WIDEST_LAT);
    (step - 2 - wider as i32).clamp(1, STEP_MAX as i32) as u32
}

/// Whether a ray from the place crosses an odd number of edges.
fn is_inside(corners: &[Place], place: Place) -> bool {
    let before = corners.iter().cycle().skip(corners.len().saturating_sub(1));
    let crossed = corners.iter().zip(before).filter(|(a, b)| {
        (a.lat > place.lat) != (b.lat > place.lat)
            && place.lon < (b.lon - a.lon) * (place.lat - a.lat) / (b.lat - a.lat) + a.lon
    });
    crossed.count() % 2 == 1
}
