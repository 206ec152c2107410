//! Searches for places: what is found, and what of it is stored.

use super::rows::Case;
use super::*;

/// Places on Sicily, as GEOADD of their coordinates comes.
const SICILY: &str = "ZADD S 3476478491720624 Ragusa 3476514819556207 Siracusa 3479029969105967 \
                      Agrigento 3479099956230698 Palermo 3479447370796909 Catania";

/// Two of them.
const TWO: &str = "ZADD S 3479029969105967 Agrigento 3479099956230698 Palermo";

pub(super) const CASES: &[Case] = &[
    ("", "GEORADIUS none 15 37 200 km STORE d", &[], ""),
    ("SET d v", "GEORADIUS none 15 37 200 km STORE d", &["delete d gone"], ""),
    ("SET d v", "GEORADIUSBYMEMBER none m -1 x STORE d", &["delete d gone"], ""),
    (
        "SET d v; ZADD S 3479099956230698 Palermo",
        "GEOSEARCHSTORE d S FROMLONLAT 100 0 BYRADIUS 1 m",
        &["delete d gone"],
        "S=(Palermo:3479099956230698)",
    ),
    (
        "ZADD S 3479099956230698 Palermo; PEXPIRE S 5",
        "GEOSEARCHSTORE S S FROMMEMBER Palermo BYRADIUS 0 m STOREDIST",
        &["set S (Palermo:0)"],
        "S=(Palermo:0)",
    ),
    (
        "ZADD S 3479099956230698 Palermo",
        "GEORADIUS S 15 37 200 km",
        &[],
        "S=(Palermo:3479099956230698)",
    ),
];

/// What a search of these places stores in `d`.
fn found(places: &str, search: &str, server: Server) -> String {
    let mut bench = Bench { server, ..Bench::default() };
    bench.keep(places);
    bench.keep(search);
    assert_eq!(bench.failures, [""; 0], "{search}");
    bench.show("d")
}

const fn redis(major: u32, minor: u32) -> Server {
    Server { valkey: false, version: (major, minor) }
}

#[test]
fn searches_find_what_servers_find_as_far_away() {
    for (search, result) in [
        (
            "GEORADIUS S 15 37 200 km STORE d",
            "(Ragusa:3476478491720624 Siracusa:3476514819556207 Agrigento:3479029969105967 \
             Palermo:3479099956230698 Catania:3479447370796909)",
        ),
        (
            "GEORADIUS S 15 37 60 km STOREDIST d",
            "(Ragusa:24.83116718283189 Siracusa:26.699575182341622 Catania:56.4412578701582)",
        ),
        ("georadius S 15 37 200 MI count 1 desc storedist d", "(Palermo:118.33573380874013)"),
        (
            "GEORADIUSBYMEMBER S Agrigento 100 km COUNT 5 STOREDIST d",
            "(Agrigento:0 Palermo:91.65234143550013)",
        ),
        (
            "GEOSEARCHSTORE d S FROMLONLAT 15 37 BYBOX 100 400 km STOREDIST",
            "(Ragusa:24.83116718283189 Siracusa:26.699575182341622 Catania:56.4412578701582)",
        ),
        (
            "GEOSEARCHSTORE d S FROMLONLAT 15 37 BYBOX 400 90 km ASC COUNT 1",
            "(Ragusa:3476478491720624)",
        ),
        ("GEOSEARCHSTORE d S FROMLONLAT 15 37 BYRADIUS 500 ft", "-"),
        // The first that the server comes across.
        (
            "GEOSEARCHSTORE d S FROMLONLAT 15 37 BYRADIUS 200 km COUNT 1 ANY",
            "(Ragusa:3476478491720624)",
        ),
        (
            "GEOSEARCHSTORE d S BYRADIUS 999 km COUNT 2 ANY DESC FROMMEMBER Palermo STOREDIST",
            "(Ragusa:178.70560481852036 Siracusa:205.75953808993177)",
        ),
        (
            "GEOSEARCHSTORE d S BYPOLYGON 6 13.268550 38.354626 15.379554 37.143270 14.7 36.6 \
             14.193438 37.334376 12.972021 38.138380 13.3 38.2",
            "(Ragusa:3476478491720624 Siracusa:3476514819556207 Palermo:3479099956230698)",
        ),
    ] {
        assert_eq!(found(SICILY, search, redis(8, 2)), result, "{search}");
    }
}

#[test]
fn distances_along_a_meridian_are_those_of_the_primarys_version() {
    let places = "ZADD S 2607995059089770 a 3732778541822335 g";
    let search = "GEORADIUSBYMEMBER S a 50000 km STOREDIST d";
    for (server, distance) in [
        (redis(0, 0), "9131.67935166871"),
        (redis(6, 2), "9131.67935166871"),
        (redis(7, 0), "9131.679351668708"),
        (redis(8, 2), "9131.679351668708"),
        (Server { valkey: true, version: (9, 0) }, "9131.679351668708"),
    ] {
        assert_eq!(found(places, search, server), format!("(a:0 g:{distance})"), "{server:?}");
    }
}

#[test]
fn of_equally_distant_places_count_takes_those_that_the_primarys_sort_leaves_in_front() {
    let same = |n: u32| format!(" 3002399748819498 p{n}");
    let others = " 2883309291392594 q17 246304738790256 q20";
    let places: String = ["ZADD S".to_owned(), (1..7).map(same).collect(), others.into()].concat();
    let search = "GEOSEARCHSTORE d S FROMLONLAT 179.99 -85.05112878 BYRADIUS 7794 km COUNT 5 ASC";
    let members = |server| {
        let found = found(&places, search, server);
        found.chars().filter(|c| ('1'..='6').contains(c) || *c == 'p').collect::<String>()
    };
    assert!(members(redis(8, 2)).starts_with('p'));
    assert_ne!(members(redis(8, 2)), members(redis(6, 0)));
}

#[test]
fn what_no_primary_sends_is_a_failure_and_changes_nothing() {
    for command in [
        "GEORADIUS S 15 37 200 km STORE",
        "GEORADIUS S 15 37 200 km STORE d WITHDIST",
        "GEORADIUS S 15 x 200 km STORE d",
        "GEORADIUS S 181 37 200 km STORE d",
        "GEORADIUS S 15 86 200 km STORE d",
        "GEORADIUS S 15 37 -1 km STORE d",
        "GEORADIUS S 15 37 nan km STORE d",
        "GEORADIUS S 15 37 200 parsec STORE d",
        "GEORADIUS S 15 37 200 km COUNT 0 STORE d",
        "GEORADIUS S 15 37 200 km COUNT -9223372036854775808 STORE d",
        "GEORADIUS S 15 37 200 km ANY STORE d",
        "GEORADIUSBYMEMBER S none 200 km STORE d",
        "GEORADIUSBYMEMBER S Palermo 200 x STORE d",
        "GEOSEARCHSTORE d S FROMMEMBER Palermo COUNT 1",
        "GEOSEARCHSTORE d S BYRADIUS 1 km ASC DESC",
        "GEOSEARCHSTORE d S FROMLONLAT 15 BYRADIUS 1 km",
        "GEOSEARCHSTORE d S FROMLONLAT 15 37 BYBOX 1 km",
        "GEOSEARCHSTORE d S FROMLONLAT 15 37 BYBOX 1 -1 km",
        "GEOSEARCHSTORE d S BYPOLYGON 2 1 1 2 2 3 3",
        "GEOSEARCHSTORE d S BYPOLYGON 9223372036854775807 1 1 2 2 3 3",
        "GEOSEARCHSTORE d S BYPOLYGON -3 1 1 2 2 3 3",
        "GEOSEARCHSTORE d S BYPOLYGON 4 1 1 2 2 3 3",
        "GEOSEARCHSTORE d S FROMLONLAT 1 1 BYPOLYGON 3 1 1 2 2 3 3",
        "GEORADIUS l 15 37 200 km STORE d",
    ] {
        let mut bench = Bench::with(TWO);
        bench.keep("RPUSH l a");
        let before = bench.dump();
        let heard = bench.keep(command);
        assert_eq!((heard.len(), bench.failures.len()), (0, 1), "{command}: {:?}", bench.failures);
        assert_eq!(bench.dump(), before, "{command}");
    }
}

#[test]
fn what_is_withheld_is_not_searched() {
    let mut bench = Bench::with(TWO);
    bench.skip("ZADD S 1 x");
    assert_eq!(bench.keep("GEORADIUS S 15 37 200 km STORE d"), ["set d ?"]);
    // The middle of this polygon is the pole, which the map lacks.
    let mut bench = Bench::with(TWO);
    let around = "GEOSEARCHSTORE d S BYPOLYGON 3 -120 80 0 80 120 80";
    assert_eq!(bench.keep(around), ["set d ?"]);
}

#[test]
fn scores_that_stand_for_no_place_are_searched_all_the_same() {
    for score in ["-1", "-inf", "inf", "1e300", "4503599627370496", "-9007199254740993", "1.5"] {
        let mut bench = Bench::with(&format!("ZADD S {score} m 3479099956230698 p"));
        bench.keep("GEORADIUSBYMEMBER S m 40000000 km STORE d");
        bench.keep("GEORADIUSBYMEMBER S m 0 km STOREDIST e");
        bench.keep("GEOSEARCHSTORE f S FROMMEMBER m BYBOX inf inf m COUNT 1 ANY");
        assert_eq!(bench.failures, [""; 0], "{score}");
        assert!(bench.show("d").contains("p:3479099956230698"), "{score}: {}", bench.show("d"));
    }
}
