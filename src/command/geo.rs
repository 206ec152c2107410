//! Searches for places around a place, whose results are stored. Places are members of sorted sets
//! with a cell of the globe as their score; GEOADD comes as ZADD.

mod cell;
mod shape;

use super::arguments::{argument, integer, is, upper};
use super::partial_sort::sort_front;
use super::unit::Source;
use super::zset::score;
use super::zset_store::{collect, store};
use super::{Applied, Failure, Server, Unit};
use crate::value::{Type, Value, Zset, sort};
use cell::Place;
use shape::{Globe, Shape};

/// Where the centre of a search is.
#[derive(Clone, Copy)]
enum Centre<'a> {
    At(Place),
    Member(&'a [u8]),
}

/// What is looked for there.
enum Outline {
    /// Radius, and metres a unit.
    Circle(f64, f64),
    /// Width, height, and metres a unit.
    Box(f64, f64, f64),
    Polygon(Vec<Place>),
}

#[derive(Clone, Copy, PartialEq)]
enum Order {
    Nearest,
    Farthest,
}

/// A search as its arguments say it.
#[derive(Default)]
struct Search<'a> {
    destination: Option<&'a [u8]>,
    stores_distances: bool,
    centre: Option<Centre<'a>>,
    outline: Option<Outline>,
    /// So many at most.
    count: Option<usize>,
    /// The first that are found will do.
    any: bool,
    order: Option<Order>,
}

/// A place that was found.
#[derive(Clone, Copy)]
struct Hit<'z> {
    member: &'z [u8],
    score: f64,
    distance: f64,
}

fn metres(unit: &[u8]) -> Result<f64, Failure> {
    match unit.to_ascii_lowercase().as_slice() {
        b"m" => Ok(1.0),
        b"km" => Ok(1000.0),
        b"ft" => Ok(0.3048),
        b"mi" => Ok(1609.34),
        _ => Err(Failure::syntax()),
    }
}

fn length(text: &[u8]) -> Result<f64, Failure> {
    let length = score(text)?;
    if length < 0.0 { Err(Failure::syntax()) } else { Ok(length) }
}

/// The longitude and latitude in two arguments.
fn place(args: &[&[u8]], at: usize) -> Result<Place, Failure> {
    let place = Place { lon: score(argument(args, at)?)?, lat: score(argument(args, at + 1)?)? };
    if place.is_on_the_map() { Ok(place) } else { Err(Failure::new("not a place on the map")) }
}

fn circle(args: &[&[u8]], at: usize) -> Result<Outline, Failure> {
    Ok(Outline::Circle(length(argument(args, at)?)?, metres(argument(args, at + 1)?)?))
}

impl<'a> Search<'a> {
    /// Reads the options from this place on.
    fn options(&mut self, args: &[&'a [u8]], mut at: usize, is_geosearch: bool) -> Applied {
        while let Some(option) = args.get(at) {
            at += match self.option(args, at, option)? {
                Some(taken) => taken,
                None if is_geosearch => self.geosearch_option(args, at, option)?,
                None => self.georadius_option(args, at, option)?,
            };
        }
        if self.any && self.count.is_none() {
            return Err(Failure::syntax());
        }
        Ok(())
    }

    /// Reads an option of all searches and says how many arguments it takes.
    fn option(
        &mut self,
        args: &[&'a [u8]],
        at: usize,
        option: &[u8],
    ) -> Result<Option<usize>, Failure> {
        match upper(option).as_slice() {
            b"ASC" => self.order = Some(Order::Nearest),
            b"DESC" => self.order = Some(Order::Farthest),
            b"ANY" => self.any = true,
            b"COUNT" => {
                let count = usize::try_from(integer(argument(args, at + 1)?)?).ok();
                self.count = Some(count.filter(|count| *count > 0).ok_or_else(Failure::syntax)?);
                return Ok(Some(2));
            }
            _ => return Ok(None),
        }
        Ok(Some(1))
    }

    fn georadius_option(
        &mut self,
        args: &[&'a [u8]],
        at: usize,
        option: &[u8],
    ) -> Result<usize, Failure> {
        self.stores_distances = is(option, "STOREDIST");
        if !self.stores_distances && !is(option, "STORE") {
            return Err(Failure::syntax());
        }
        self.destination = Some(argument(args, at + 1)?);
        Ok(2)
    }

    fn geosearch_option(
        &mut self,
        args: &[&'a [u8]],
        at: usize,
        option: &[u8],
    ) -> Result<usize, Failure> {
        match upper(option).as_slice() {
            b"STOREDIST" => {
                self.stores_distances = true;
                Ok(1)
            }
            b"FROMMEMBER" => {
                self.centre = Some(Centre::Member(argument(args, at + 1)?));
                Ok(2)
            }
            b"FROMLONLAT" => {
                self.centre = Some(Centre::At(place(args, at + 1)?));
                Ok(3)
            }
            b"BYRADIUS" => {
                self.outline = Some(circle(args, at + 1)?);
                Ok(3)
            }
            b"BYBOX" => {
                let (width, height) = (argument(args, at + 1)?, argument(args, at + 2)?);
                let unit_m = metres(argument(args, at + 3)?)?;
                self.outline = Some(Outline::Box(length(width)?, length(height)?, unit_m));
                Ok(4)
            }
            b"BYPOLYGON" => {
                let count = usize::try_from(integer(argument(args, at + 1)?)?).ok();
                let count = count.filter(|n| (3..=args.len() / 2).contains(n));
                let count = count.ok_or_else(Failure::syntax)?;
                let corner = |n| place(args, at + 2 + 2 * n);
                self.outline =
                    Some(Outline::Polygon((0..count).map(corner).collect::<Result<_, _>>()?));
                Ok(2 + 2 * count)
            }
            _ => Err(Failure::syntax()),
        }
    }

    /// Searches, and stores what is found.
    fn run(self, unit: &mut Unit<'_>, source: &[u8]) -> Applied {
        // Only what is stored is sent.
        let Some(destination) = self.destination else { return Ok(()) };
        let server = unit.server();
        let found = match unit.source(source) {
            Source::Absent => Some(Zset::default()),
            Source::Known(Value::Zset(zset)) => self.find(&zset, server)?,
            Source::Known(_) => return Err(Failure::wrong_type(Type::Zset)),
            Source::Unknown => None,
        };
        store(unit, destination, found);
        Ok(())
    }

    /// What is found; `None` where only the primary can know.
    fn find(self, zset: &Zset, server: Server) -> Result<Option<Zset>, Failure> {
        let Some(shape) = shape(zset, self.centre, self.outline)? else { return Ok(None) };
        let enough = if self.any { self.count } else { None };
        let mut hits = hits(zset, &shape, Globe::of(server), enough);
        // So many of the nearest, unless something else is said.
        let by_default = (self.count.is_some() && !self.any).then_some(Order::Nearest);
        let count = self.count.unwrap_or(usize::MAX);
        if let (Some(order), true) = (self.order.or(by_default), count < hits.len()) {
            put_first(&mut hits, count, order, server);
        }
        hits.truncate(count);
        let unit_m = shape.unit_m();
        let stored = |hit: &Hit<'_>| {
            if self.stores_distances { hit.distance / unit_m } else { hit.score }
        };
        let mut members = Vec::with_capacity(hits.len());
        for hit in &hits {
            let score = stored(hit);
            if score.is_nan() {
                return Err(Failure::new("a distance is not a number"));
            }
            members.push((hit.member, score));
        }
        Ok(Some(collect(&members, server)))
    }
}

fn shape(
    zset: &Zset,
    centre: Option<Centre<'_>>,
    outline: Option<Outline>,
) -> Result<Option<Shape>, Failure> {
    let centre = match centre {
        None => None,
        Some(Centre::At(place)) => Some(place),
        Some(Centre::Member(member)) => {
            let score = zset.score(member);
            let score =
                score.ok_or_else(|| Failure::new("the member to search around is not there"))?;
            Some(Place::of_score(score))
        }
    };
    match (outline, centre) {
        (Some(Outline::Circle(radius, unit_m)), Some(centre)) => {
            Ok(Some(Shape::Circle { centre, radius, unit_m }))
        }
        (Some(Outline::Box(width, height, unit_m)), Some(centre)) => {
            Ok(Some(Shape::Box { centre, width, height, unit_m }))
        }
        (Some(Outline::Polygon(corners)), None) => Ok(Shape::polygon(corners)),
        _ => Err(Failure::syntax()),
    }
}

/// All places within a shape, or the first ones, in the order of the search.
fn hits<'z>(zset: &'z Zset, shape: &Shape, globe: Globe, enough: Option<usize>) -> Vec<Hit<'z>> {
    let mut hits = Vec::new();
    for cell in shape.cells(globe) {
        let scores = cell.scores();
        let first = zset.partition_point(|_, score| score < scores.start);
        for (member, score) in zset.iter_from(first).take_while(|(_, score)| *score < scores.end) {
            if enough.is_some_and(|enough| hits.len() >= enough) {
                return hits;
            }
            if let Some(distance) = shape.distance_within(Place::of_score(score), globe) {
                hits.push(Hit { member, score, distance });
            }
        }
    }
    hits
}

/// Puts so many hits in front that come first in this order. Those of the same distance stand as
/// the server's sort leaves them: since Redis 6.2 it is one that sorts no more than it needs to.
fn put_first(hits: &mut [Hit<'_>], count: usize, order: Order, server: Server) {
    let compare = |a: &Hit<'_>, b: &Hit<'_>| {
        let ordering = a.distance.total_cmp(&b.distance);
        if order == Order::Farthest { ordering.reverse() } else { ordering }
    };
    if server.is_since((6, 2)) {
        sort_front(hits, count, compare);
    } else {
        sort(hits, compare);
    }
}

/// `GEORADIUS key longitude latitude radius unit [COUNT count [ANY]] [ASC | DESC] [STORE key |
/// STOREDIST key]`
pub(super) fn georadius(unit: &mut Unit<'_>, args: &[&[u8]]) -> Applied {
    let centre = Some(Centre::At(place(args, 2)?));
    let outline = Some(circle(args, 4)?);
    let mut search = Search { centre, outline, ..Search::default() };
    search.options(args, 6, false)?;
    search.run(unit, args[1])
}

/// `GEORADIUSBYMEMBER key member radius unit`, and options as above
pub(super) fn georadiusbymember(unit: &mut Unit<'_>, args: &[&[u8]]) -> Applied {
    let centre = Some(Centre::Member(args[2]));
    // Where there is nothing to search in, a primary does not look at the radius.
    let outline = circle(args, 3).ok();
    let mut search = Search { centre, outline, ..Search::default() };
    search.options(args, 5, false)?;
    search.run(unit, args[1])
}

/// `GEOSEARCHSTORE destination source [FROMMEMBER member | FROMLONLAT longitude latitude] BYRADIUS
/// radius unit | BYBOX width height unit | BYPOLYGON count longitude latitude ... [ASC | DESC]
/// [COUNT count [ANY]] [STOREDIST]`
pub(super) fn geosearchstore(unit: &mut Unit<'_>, args: &[&[u8]]) -> Applied {
    let mut search = Search { destination: Some(args[1]), ..Search::default() };
    search.options(args, 3, true)?;
    search.run(unit, args[2])
}
