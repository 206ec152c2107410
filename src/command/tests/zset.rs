//! Sorted sets and places: what each command makes of them, member by member, and of whole ones.

use super::rows::Case;

pub(super) const CASES: &[Case] = &[
    ("", "ZADD z 1 a", &["zadd z a:1 of (a:1)"], "z=(a:1)"),
    ("ZADD z 1 a", "ZADD z NX 5 a 2 b", &["zadd z b:2 of (a:1 b:2)"], "z=(a:1 b:2)"),
    ("ZADD z 1 a", "ZADD z XX CH 5 a 2 b", &["zadd z a:5 of (a:5)"], "z=(a:5)"),
    ("ZADD z 3 a 3 b", "ZADD z GT 2 a 4 b", &["zadd z b:4 of (a:3 b:4)"], "z=(a:3 b:4)"),
    ("ZADD z 3 a 3 b", "ZADD z LT 2 a 4 b", &["zadd z a:2 of (a:2 b:3)"], "z=(a:2 b:3)"),
    ("ZADD z 1 a", "ZADD z INCR 2.5 a", &["zadd z a:3.5 of (a:3.5)"], "z=(a:3.5)"),
    ("ZADD z 1 a", "ZADD z 1 a", &[], "z=(a:1)"),
    (
        "ZADD z 1 a; PEXPIRE z 5",
        "ZINCRBY z -2 a",
        &["zadd z a:-1 of (a:-1) @1000005"],
        "z=(a:-1) @1000005",
    ),
    ("ZADD z 1 a 2 b", "ZREM z a none", &["zrem z a of (b:2)"], "z=(b:2)"),
    ("ZADD z 1 a; PEXPIRE z 5", "ZREM z a", &["zrem z a gone"], ""),
    (
        "ZADD z 1 a 2 b 3 c",
        "ZREMRANGEBYRANK z 0 -2",
        &["zrem z a of (b:2 c:3)", "zrem z b of (c:3)"],
        "z=(c:3)",
    ),
    (
        "ZADD z 1 a 2 b 3 c",
        "ZREMRANGEBYSCORE z (1 inf",
        &["zrem z b of (a:1 c:3)", "zrem z c of (a:1)"],
        "z=(a:1)",
    ),
    (
        "ZADD z 0 a 0 b 0 c",
        "ZREMRANGEBYLEX z [b +",
        &["zrem z b of (a:0 c:0)", "zrem z c of (a:0)"],
        "z=(a:0)",
    ),
    ("ZADD z 1 a 2 b", "ZPOPMIN z", &["zrem z a of (b:2)"], "z=(b:2)"),
    ("ZADD z 1 a 2 b", "ZPOPMAX z 5", &["zrem z b of (a:1)", "zrem z a gone"], ""),
    (
        "ZADD a 1 x 2 y; ZADD b 10 y",
        "ZUNIONSTORE d 2 a b WEIGHTS 1 2",
        &["set d (x:1 y:22)"],
        "a=(x:1 y:2); b=(y:10); d=(x:1 y:22)",
    ),
    (
        "ZADD a 1 x 2 y; SADD b y",
        "ZINTERSTORE d 2 a b AGGREGATE MAX",
        &["set d (y:2)"],
        "a=(x:1 y:2); b=<y>; d=(y:2)",
    ),
    (
        "ZADD a 1 x 2 y; ZADD b 10 y",
        "ZDIFFSTORE d 2 a b",
        &["set d (x:1)"],
        "a=(x:1 y:2); b=(y:10); d=(x:1)",
    ),
    ("ZADD a 1 x; SET d v", "ZDIFFSTORE d 2 a a", &["delete d gone"], "a=(x:1)"),
    (
        "ZADD a 1 x 2 y 3 z",
        "ZRANGESTORE d a 1 -1",
        &["set d (y:2 z:3)"],
        "a=(x:1 y:2 z:3); d=(y:2 z:3)",
    ),
    (
        "ZADD a 1 x 2 y 3 z",
        "ZRANGESTORE d a (3 -inf BYSCORE REV LIMIT 0 1",
        &["set d (y:2)"],
        "a=(x:1 y:2 z:3); d=(y:2)",
    ),
    // Palermo and Catania, as GEOADD is sent: what lies within 100 km of a place near Catania.
    (
        "ZADD g 3479099956230698 p 3479447370796909 c",
        "GEORADIUS g 15 37 100 km STORE d",
        &["set d (c:3479447370796909)"],
        "d=(c:3479447370796909); g=(p:3479099956230698 c:3479447370796909)",
    ),
    (
        "ZADD g 3479099956230698 p 3479447370796909 c",
        "GEORADIUSBYMEMBER g p 10 m STORE d",
        &["set d (p:3479099956230698)"],
        "d=(p:3479099956230698); g=(p:3479099956230698 c:3479447370796909)",
    ),
    (
        "ZADD g 3479099956230698 p 3479447370796909 c",
        "GEOSEARCHSTORE d g FROMMEMBER c BYBOX 400 400 km ASC COUNT 1",
        &["set d (c:3479447370796909)"],
        "d=(c:3479447370796909); g=(p:3479099956230698 c:3479447370796909)",
    ),
    ("ZADD d 1 x", "GEOSEARCHSTORE d none FROMLONLAT 1 1 BYRADIUS 1 m", &["delete d gone"], ""),
];
