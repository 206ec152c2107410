//! Sorted sets: what each command makes of them, member by member, and of whole ones.

use super::rows::Case;
use super::*;
use crate::value::{PACKED_LEN_MAX, Zset};

pub(super) const CASES: &[Case] = &[
    ("", "ZADD z 1 a", &["zadd z a:1 of (a:1)"], "z=(a:1)"),
    (
        "ZADD z 1 a; PEXPIRE z 5",
        "zadd z ch 2 b 0.5 a",
        &["zadd z b:2 of (a:1 b:2) @1000005", "zadd z a:0.5 of (a:0.5 b:2) @1000005"],
        "z=(a:0.5 b:2) @1000005",
    ),
    (
        "",
        "ZADD z -inf a +inf b 0x10 c",
        &[
            "zadd z a:-inf of (a:-inf)",
            "zadd z b:inf of (a:-inf b:inf)",
            "zadd z c:16 of (a:-inf c:16 b:inf)",
        ],
        "z=(a:-inf c:16 b:inf)",
    ),
    // The oldest servers read numbers leniently.
    ("", "ZADD z '' a", &["zadd z a:0 of (a:0)"], "z=(a:0)"),
    // What does not change is not heard of, and a zero's sign is no change.
    ("ZADD z 1 a 0 b", "ZADD z 1 a -0 b", &[], "z=(b:0 a:1)"),
    ("ZADD z 1 a", "ZADD z NX 2 a 3 b", &["zadd z b:3 of (a:1 b:3)"], "z=(a:1 b:3)"),
    ("ZADD z 1 a", "ZADD z XX 2 a 3 b", &["zadd z a:2 of (a:2)"], "z=(a:2)"),
    ("ZADD z 1 a", "ZADD z XX INCR 2 b", &[], "z=(a:1)"),
    (
        "ZADD z 5 a 5 b 5 c",
        "ZADD z GT 6 a 5 b 4 c 1 d",
        &["zadd z a:6 of (b:5 c:5 a:6)", "zadd z d:1 of (d:1 b:5 c:5 a:6)"],
        "z=(d:1 b:5 c:5 a:6)",
    ),
    (
        "ZADD z 5 a 5 b 5 c",
        "ZADD z LT XX 6 a 5 b 4 c 1 d",
        &["zadd z c:4 of (c:4 a:5 b:5)"],
        "z=(c:4 a:5 b:5)",
    ),
    ("ZADD z 1 a", "ZADD z INCR 1.5 a", &["zadd z a:2.5 of (a:2.5)"], "z=(a:2.5)"),
    ("ZADD z 1 a", "ZADD z GT INCR -1 a", &[], "z=(a:1)"),
    ("ZADD z 1 a", "ZINCRBY z inf a", &["zadd z a:inf of (a:inf)"], "z=(a:inf)"),
    ("", "ZINCRBY z 0.1 a", &["zadd z a:0.1 of (a:0.1)"], "z=(a:0.1)"),
    (
        "ZADD z 0.1 a",
        "ZINCRBY z 0.2 a",
        &["zadd z a:0.30000000000000004 of (a:0.30000000000000004)"],
        "z=(a:0.30000000000000004)",
    ),
    ("ZADD z 1 a", "ZINCRBY z 0 a", &[], "z=(a:1)"),
    ("ZADD z 1 a 2 b", "ZREM z b none b", &["zrem z b of (a:1)"], "z=(a:1)"),
    ("ZADD z 1 a; PEXPIRE z 5", "ZREM z a", &["zrem z a gone"], ""),
    ("", "ZREM none a", &[], ""),
    ("ZADD z 1 a 2 b 3 c", "ZPOPMIN z", &["zrem z a of (b:2 c:3)"], "z=(b:2 c:3)"),
    ("ZADD z 1 a 2 b 3 c", "ZPOPMIN z 0", &[], "z=(a:1 b:2 c:3)"),
    (
        "ZADD z 1 a 1 b 3 c",
        "ZPOPMAX z 2",
        &["zrem z c of (a:1 b:1)", "zrem z b of (a:1)"],
        "z=(a:1)",
    ),
    (
        "ZADD z 1 a 1 b",
        "ZPOPMAX z 9223372036854775807",
        &["zrem z b of (a:1)", "zrem z a gone"],
        "",
    ),
    ("", "ZPOPMAX none", &[], ""),
    (
        "ZADD z 1 a 2 b 3 c 4 d",
        "ZREMRANGEBYRANK z 1 2",
        &["zrem z b of (a:1 c:3 d:4)", "zrem z c of (a:1 d:4)"],
        "z=(a:1 d:4)",
    ),
    ("ZADD z 1 a 2 b", "ZREMRANGEBYRANK z -1 99", &["zrem z b of (a:1)"], "z=(a:1)"),
    ("ZADD z 1 a 2 b", "ZREMRANGEBYRANK z -99 0", &["zrem z a of (b:2)"], "z=(b:2)"),
    ("ZADD z 1 a 2 b", "ZREMRANGEBYRANK z 1 0", &[], "z=(a:1 b:2)"),
    ("ZADD z 1 a 2 b", "ZREMRANGEBYRANK z 2 -1", &[], "z=(a:1 b:2)"),
    ("ZADD z 1 a", "ZREMRANGEBYRANK z 0 -2", &[], "z=(a:1)"),
    (
        "ZADD z 1 a",
        "ZREMRANGEBYRANK z -9223372036854775808 9223372036854775807",
        &["zrem z a gone"],
        "",
    ),
    (
        "ZADD z 1 a 2 b 3 c",
        "ZREMRANGEBYSCORE z (1 3",
        &["zrem z b of (a:1 c:3)", "zrem z c of (a:1)"],
        "z=(a:1)",
    ),
    ("ZADD z 1 a 2 b 3 c", "ZREMRANGEBYSCORE z 1 (2", &["zrem z a of (b:2 c:3)"], "z=(b:2 c:3)"),
    ("ZADD z 1 a inf b", "ZREMRANGEBYSCORE z (1 +inf", &["zrem z b of (a:1)"], "z=(a:1)"),
    ("ZADD z 1 a inf b", "ZREMRANGEBYSCORE z 1 (inf", &["zrem z a of (b:inf)"], "z=(b:inf)"),
    ("ZADD z 1 a 2 b", "ZREMRANGEBYSCORE z 2 1", &[], "z=(a:1 b:2)"),
    ("ZADD z 1 a 2 b", "ZREMRANGEBYSCORE z (1 (1", &[], "z=(a:1 b:2)"),
    // Nothing at all counts as 0 in a range.
    ("ZADD z -1 a 0 b 1 c", "ZREMRANGEBYSCORE z ( ''", &[], "z=(a:-1 b:0 c:1)"),
    (
        "ZADD z -1 a 0 b 1 c",
        "ZREMRANGEBYSCORE z '' ''",
        &["zrem z b of (a:-1 c:1)"],
        "z=(a:-1 c:1)",
    ),
    ("ZADD z 0 a 0 b 0 c", "ZREMRANGEBYLEX z [a (b", &["zrem z a of (b:0 c:0)"], "z=(b:0 c:0)"),
    ("ZADD z 0 a 0 b 0 c", "ZREMRANGEBYLEX z (a [b", &["zrem z b of (a:0 c:0)"], "z=(a:0 c:0)"),
    (
        "ZADD z 0 a 0 b 0 c",
        "ZREMRANGEBYLEX z (a +",
        &["zrem z b of (a:0 c:0)", "zrem z c of (a:0)"],
        "z=(a:0)",
    ),
    ("ZADD z 0 a 0 b", "ZREMRANGEBYLEX z - (b", &["zrem z a of (b:0)"], "z=(b:0)"),
    ("ZADD z 0 a 0 b", "ZREMRANGEBYLEX z + -", &[], "z=(a:0 b:0)"),
    ("ZADD z 0 a 0 b", "ZREMRANGEBYLEX z (a (a", &[], "z=(a:0 b:0)"),
    ("ZADD z 0 a 0 b", "ZREMRANGEBYLEX z [b [a", &[], "z=(a:0 b:0)"),
    // Where scores differ, from the first in the range up to the next one that is not.
    ("ZADD z 1 b 2 x 3 c", "ZREMRANGEBYLEX z [b [c", &["zrem z b of (x:2 c:3)"], "z=(x:2 c:3)"),
    ("ZADD z 1 b 2 c 3 a", "ZREMRANGEBYLEX z [b [c", &[], "z=(b:1 c:2 a:3)"),
    (
        "ZADD a 1 x 2 y; ZADD b 10 y 20 z; SADD s x z; SET d v PX 9",
        "ZUNIONSTORE d 4 a b s none",
        &["set d (x:2 y:12 z:21)"],
        "a=(x:1 y:2); b=(y:10 z:20); d=(x:2 y:12 z:21); s=<x z>",
    ),
    (
        "ZADD a 1 x 2 y; ZADD b 10 y",
        "zunionstore a 2 a b weights 3 -1 aggregate min",
        &["set a (y:-10 x:3)"],
        "a=(y:-10 x:3); b=(y:10)",
    ),
    (
        "ZADD a 1 x 2 y; ZADD b 10 y",
        "ZUNIONSTORE d 3 a a b AGGREGATE COUNT WEIGHTS 2 3 0.5",
        &["set d (x:5 y:5.5)"],
        "a=(x:1 y:2); b=(y:10); d=(x:5 y:5.5)",
    ),
    ("ZADD a inf x", "ZUNIONSTORE d 1 a WEIGHTS 0", &["set d (x:0)"], "a=(x:inf); d=(x:0)"),
    (
        "ZADD a inf x; ZADD b -inf x",
        "ZUNIONSTORE d 2 a b",
        &["set d (x:0)"],
        "a=(x:inf); b=(x:-inf); d=(x:0)",
    ),
    // The smallest is added up first: (0.1 + 0.2) + 0.3, not (0.3 + 0.2) + 0.1.
    (
        "ZADD a 0.3 x 0 y 0 z; ZADD b 0.2 x 0 y; ZADD c 0.1 x",
        "ZINTERSTORE d 3 a b c",
        &["set d (x:0.6000000000000001)"],
        "a=(y:0 z:0 x:0.3); b=(y:0 x:0.2); c=(x:0.1); d=(x:0.6000000000000001)",
    ),
    ("SET d v", "ZUNIONSTORE d 2 none none", &["delete d gone"], ""),
    ("", "ZUNIONSTORE d 1 none", &[], ""),
    (
        "ZADD a 1 x 2 y; SADD s y z",
        "ZINTERSTORE d 2 a s WEIGHTS 1 5 AGGREGATE MAX",
        &["set d (y:5)"],
        "a=(x:1 y:2); d=(y:5); s=<y z>",
    ),
    // What is NaN takes the sum with it here, though not in a union.
    (
        "ZADD a 5 x; ZADD b inf x 1 y",
        "ZINTERSTORE d 2 a b WEIGHTS 1 0",
        &["set d (x:0)"],
        "a=(x:5); b=(y:1 x:inf); d=(x:0)",
    ),
    (
        "ZADD a 5 x; ZADD b inf x 1 y",
        "ZUNIONSTORE d 2 a b WEIGHTS 1 0",
        &["set d (y:0 x:5)"],
        "a=(x:5); b=(y:1 x:inf); d=(y:0 x:5)",
    ),
    ("ZADD a 1 x; ZADD d 1 q", "ZINTERSTORE d 2 a none", &["delete d gone"], "a=(x:1)"),
    (
        "ZADD a 1 x 2 y 3 z; ZADD b 9 y; SADD s z",
        "ZDIFFSTORE d 4 a b none s",
        &["set d (x:1)"],
        "a=(x:1 y:2 z:3); b=(y:9); d=(x:1); s=<z>",
    ),
    ("ZADD a 1 x; SET d v", "ZDIFFSTORE d 2 a a", &["delete d gone"], "a=(x:1)"),
    (
        "ZADD a 1 x 2 y 3 z; PEXPIRE a 5",
        "ZRANGESTORE d a 1 -1",
        &["set d (y:2 z:3)"],
        "a=(x:1 y:2 z:3) @1000005; d=(y:2 z:3)",
    ),
    ("ZADD a 1 x 2 y 3 z", "ZRANGESTORE a a 0 1 REV", &["set a (y:2 z:3)"], "a=(y:2 z:3)"),
    ("ZADD a 1 x 2 y", "ZRANGESTORE a a 1 -1 LIMIT 1 -1", &["set a (y:2)"], "a=(y:2)"),
    (
        "ZADD a 1 x 2 y 3 z",
        "ZRANGESTORE a a 3 (1 REV BYSCORE LIMIT 1 1",
        &["set a (y:2)"],
        "a=(y:2)",
    ),
    (
        "ZADD a 1 x 2 y 3 z",
        "zrangestore a a -inf inf byscore limit 1 -1",
        &["set a (y:2 z:3)"],
        "a=(y:2 z:3)",
    ),
    ("ZADD a 1 x 2 y 3 z", "ZRANGESTORE a a -inf +inf BYSCORE LIMIT -1 5", &["delete a gone"], ""),
    (
        "ZADD a 1 x 2 y 3 z",
        "ZRANGESTORE a a -inf +inf BYSCORE LIMIT 9223372036854775807 9223372036854775807",
        &["delete a gone"],
        "",
    ),
    ("ZADD a 0 x 0 y 0 z", "ZRANGESTORE a a + [y BYLEX REV LIMIT 0 1", &["set a (z:0)"], "a=(z:0)"),
    ("ZADD d 1 x", "ZRANGESTORE d none 0 -1", &["delete d gone"], ""),
];

#[test]
fn a_key_of_another_type_is_a_failure_and_nothing_is_asked() {
    for command in [
        "ZADD l 1 a",
        "ZADD l XX 1 a",
        "ZINCRBY l 1 a",
        "ZREM l a",
        "ZPOPMIN l",
        "ZPOPMAX l 0",
        "ZREMRANGEBYRANK l 0 -1",
        "ZREMRANGEBYSCORE l 0 1",
        "ZREMRANGEBYLEX l - +",
        "ZUNIONSTORE d 2 z l",
        "ZINTERSTORE d 2 none l",
        "ZDIFFSTORE d 2 none l",
        "ZRANGESTORE d l 0 -1",
    ] {
        let mut bench = Bench::with("ZADD z 1 a");
        bench.keep("RPUSH l a");
        assert_eq!(bench.keep(command), [""; 0], "{command}");
        assert_eq!(bench.failures, ["the key does not hold a zset"], "{command}");
        assert_eq!(bench.dump(), "l=[a]; z=(a:1)", "{command}");
    }
}

#[test]
fn arguments_that_no_primary_sends_are_failures_and_change_nothing() {
    for command in [
        "ZADD z",
        "ZADD z 1",
        "ZADD z 1 a 2",
        "ZADD z NX CH",
        "ZADD z 1 a x b",
        "ZADD z nan a",
        "ZINCRBY z inf i",
        "ZINCRBY z x a",
        "ZADD z INCR inf i",
        "ZPOPMIN z -1",
        "ZPOPMIN z x",
        "ZREMRANGEBYRANK z 0",
        "ZREMRANGEBYRANK z 0 x",
        "ZREMRANGEBYRANK z 0 1.5",
        "ZREMRANGEBYSCORE z ((1 2",
        "ZREMRANGEBYSCORE z 1 nan",
        "ZREMRANGEBYLEX z a +",
        "ZREMRANGEBYLEX z - ''",
        "ZUNIONSTORE d 0 z",
        "ZUNIONSTORE d -1 z",
        "ZUNIONSTORE d 2 z",
        "ZUNIONSTORE d 9223372036854775807 z",
        "ZUNIONSTORE d 1 z WEIGHTS",
        "ZUNIONSTORE d 1 z WEIGHTS nan",
        "ZUNIONSTORE d 1 z AGGREGATE",
        "ZUNIONSTORE d 1 z AGGREGATE AVG",
        "ZUNIONSTORE d 1 z WITHSCORES",
        "ZDIFFSTORE d 2 z",
        "ZRANGESTORE d z 0",
        "ZRANGESTORE d z 0 x",
        "ZRANGESTORE d z 0 1 BYSCORE BYLEX",
        "ZRANGESTORE d z 0 1 BYSCORE LIMIT 0",
        "ZRANGESTORE d z 0 1 BYLEX",
        "ZRANGESTORE d z 0 1 WITHSCORES",
    ] {
        let mut bench = Bench::with("ZADD z 1 a -inf i");
        let heard = bench.keep(command);
        assert_eq!((heard.len(), bench.failures.len()), (0, 1), "{command}: {:?}", bench.failures);
        assert_eq!(bench.dump(), "z=(i:-inf a:1)", "{command}");
    }
}

/// What was kept before, what was skipped, the command, what is heard, what the table has then.
#[test]
fn what_depends_on_withheld_members_is_offered_and_not_stored() {
    for (kept, skipped, command, heard, after) in [
        ("ZADD z 1 a", "ZADD z 2 b", "ZADD z 3 b", &["zadd z b:3 of (a:1 b:3)"][..], "z=(a:1 b:3)"),
        ("ZADD z 1 a", "ZADD z 2 b", "ZINCRBY z 3 b", &["zadd z b:? ?"], "z=(a:1) lacks b"),
        (
            "ZADD z 1 a",
            "ZADD z 2 b",
            "ZADD z GT 3 b 4 c",
            &["zadd z b:? ?", "zadd z c:4"],
            "z=(a:1 c:4) lacks b",
        ),
        ("ZADD z 1 a", "ZADD z 2 b", "ZREM z b", &["zrem z b of (a:1)"], "z=(a:1)"),
        // The rank of nothing is known, the score of some members is.
        ("ZADD z 1 a", "ZADD z 2 b", "ZPOPMIN z", &["edit z ?"], "z=(a:1) frozen lacks b"),
        (
            "ZADD z 1 a",
            "ZADD z 2 b",
            "ZREMRANGEBYRANK z 0 0",
            &["edit z ?"],
            "z=(a:1) frozen lacks b",
        ),
        (
            "ZADD z 1 a",
            "ZADD z 2 b",
            "ZREMRANGEBYLEX z [a [b",
            &["edit z ?"],
            "z=(a:1) frozen lacks b",
        ),
        (
            "ZADD z 1 a 5 c",
            "ZADD z 2 b",
            "ZREMRANGEBYSCORE z 1 2",
            &["zrem z a", "zrem z b ?"],
            "z=(c:5) lacks b",
        ),
        // Perhaps the last one is gone, and with it the key and its deadline.
        (
            "ZADD z 1 a; PEXPIRE z 5",
            "ZADD z 2 b",
            "ZREMRANGEBYSCORE z 1 2",
            &["zrem z a @1000005", "zrem z b @1000005 ?"],
            "z=ghost",
        ),
        (
            "ZADD z 1 a",
            "ZADD z 2 a",
            "ZREMRANGEBYSCORE z 1 2",
            &["zrem z a ?"],
            "z=(a:1) frozen lacks a",
        ),
        // Everything is everything.
        ("ZADD z 1 a", "ZADD z 2 b", "ZREMRANGEBYRANK z 0 -1", &["delete z gone"], ""),
        ("ZADD z 1 a", "ZADD z 2 b", "ZREMRANGEBYSCORE z -inf +inf", &["delete z gone"], ""),
        ("", "SET z v", "ZREMRANGEBYLEX z - +", &["delete z gone"], ""),
        ("", "SET z v", "ZPOPMAX z 2", &["edit z ?"], "z=ghost"),
        ("", "SET z v", "ZADD z 1 a", &["zadd z a:1 ?"], "z=ghost"),
        // What only the table still has does not count.
        ("ZADD z 1 a 2 b 3 c", "ZPOPMIN z", "ZPOPMIN z", &["zrem z b"], "z=(a:1 c:3) lacks a"),
        (
            "ZADD z 1 a 2 b",
            "ZPOPMIN z",
            "ZREMRANGEBYRANK z 0 -1",
            &["zrem z b gone"],
            "z=(a:1) lacks a",
        ),
        ("ZADD z 1 a 2 b", "ZREM z a", "ZADD z NX 7 a", &["zadd z a:? ?"], "z=(a:1 b:2) lacks a"),
        ("ZADD z 1 a", "ZADD z 2 b", "ZUNIONSTORE d 1 z", &["set d ?"], "d=ghost; z=(a:1) lacks b"),
        (
            "ZADD z 1 a",
            "ZADD z 2 b; SET d v",
            "ZINTERSTORE d 2 z none",
            &["delete d gone"],
            "z=(a:1) lacks b",
        ),
        ("ZADD z 1 a", "ZADD z 2 b", "ZDIFFSTORE d 2 none z", &[], "z=(a:1) lacks b"),
        ("ZADD z 1 a", "ZREM z a", "ZUNIONSTORE d 1 z", &[], "z=(a:1) lacks a"),
        (
            "ZADD z 1 a",
            "ZADD z 2 b",
            "ZRANGESTORE d z 0 0",
            &["set d ?"],
            "d=ghost; z=(a:1) lacks b",
        ),
    ] {
        check(kept, skipped, command, heard, after);
    }
}

#[test]
fn members_of_a_range_are_skipped_one_by_one() {
    let mut bench = Bench::with("ZADD z 1 a 2 b 3 c");
    bench.run("ZREMRANGEBYRANK z 0 1", &mut veto(&["zrem z a"]));
    assert_eq!(bench.dump(), "z=(a:1 c:3) lacks a");
    bench.run("ZPOPMAX z 5", &mut veto(&["zrem z c"]));
    assert_eq!(bench.dump(), "z=(a:1 c:3) lacks a c");
    assert_eq!(bench.keep("ZADD z 9 d"), ["zadd z d:9"]);
}

#[test]
fn without_a_table_what_names_members_is_heard_and_what_does_not_is_an_edit() {
    let mut bench = Bench::default();
    bench.scope.store = false;
    for (command, heard) in [
        ("ZADD z 1 a", &["zadd z a:1"][..]),
        ("ZADD z NX 1 a", &["zadd z a:? ?"]),
        ("ZREM z a b", &["zrem z a", "zrem z b"]),
        ("ZPOPMIN z", &["edit z ?"]),
        ("ZREMRANGEBYSCORE z 0 1", &["edit z ?"]),
        ("ZREMRANGEBYRANK z 0 -1", &["delete z gone"]),
        ("ZUNIONSTORE d 1 z", &["set d ?"]),
    ] {
        assert_eq!(bench.keep(command), heard, "{command}");
    }
}

/// As many members as a packed block may have, and one more for each further one, with scores of
/// -0.
fn zeros(count: usize) -> String {
    (0..count).map(|n| format!(" -0 m{n:03}")).collect()
}

fn signed_zeros(bench: &Bench, key: &str) -> usize {
    let Some(Value::Zset(zset)) = bench.entry(key).and_then(|entry| entry.value) else { return 0 };
    zset.iter().filter(|(_, score)| *score == 0.0 && score.is_sign_negative()).count()
}

#[test]
fn a_packed_block_has_no_signed_zeros_since_redis_7_0() {
    let long = "m".repeat(65);
    for (command, key, old, middle, new) in [
        ("ZADD z -0 a".to_owned(), "z", 1, 0, 0),
        (format!("ZADD z -0 {long}"), "z", 1, 1, 1),
        (format!("ZADD z -0 a -0 {long} -0 b"), "z", 3, 2, 2),
        (format!("ZADD z{}", zeros(128)), "z", 128, 0, 0),
        // Since 7.2 the number of arguments tells that it will be a skip list.
        (format!("ZADD z{}", zeros(130)), "z", 130, 2, 130),
        ("ZADD z 0 a; ZUNIONSTORE d 1 z WEIGHTS -1".to_owned(), "d", 1, 0, 0),
        (format!("ZADD z{} 1 x; ZDIFFSTORE d 1 z", zeros(130)), "d", 130, 2, 130),
        // Once a skip list, always a skip list; copies stay one, what is made anew does not.
        (format!("ZADD z{}; ZREMRANGEBYRANK z 3 -1; ZADD z -0 x", zeros(130)), "z", 4, 1, 4),
        (format!("ZADD z{}; ZREMRANGEBYRANK z 0 -4; COPY z d", zeros(130)), "d", 3, 2, 3),
        (format!("ZADD z{}; ZRANGESTORE d z 0 9", zeros(130)), "d", 10, 0, 0),
        (
            format!("ZADD z{}; ZUNIONSTORE z 1 z; ZPOPMIN z 127; ZADD z -0 m129 -0 x", zeros(130)),
            "z",
            4,
            3,
            4,
        ),
        ("ZADD z 1 a; SORT z ALPHA STORE d; ZADD z -0 b".to_owned(), "z", 1, 1, 1),
        // Added one after the other, unless the number is known: a range of places tells it.
        (format!("ZADD z{0}; ZADD z{0}; ZRANGESTORE d z 0 -1", zeros(140)), "d", 140, 12, 140),
        (format!("ZADD z{}; ZRANGESTORE d z -inf inf BYSCORE", zeros(140)), "d", 140, 12, 12),
        (format!("ZADD z{}; ZRANGESTORE d z inf -inf BYSCORE REV", zeros(140)), "d", 140, 0, 12),
    ] {
        for (version, count) in [((6, 2), old), ((7, 0), middle), ((7, 2), new)] {
            let server = Server { valkey: false, version };
            let mut bench = Bench { server, ..Bench::default() };
            bench.keep(&command);
            assert_eq!(bench.failures, [""; 0]);
            assert_eq!(signed_zeros(&bench, key), count, "{version:?} {:.60}", command);
        }
    }
    let server = Server { valkey: true, version: (8, 0) };
    let mut bench = Bench { server, ..Bench::default() };
    assert_eq!(bench.keep("ZADD z -0 a"), ["zadd z a:0 of (a:0)"]);
}

#[test]
fn a_payload_becomes_a_packed_block_where_it_is_small_enough() {
    let restored = |count: usize, is_packed, version| {
        let mut zset: Zset = (0..count).map(|n| (n.to_string(), -0.0)).collect();
        zset.set_packed(is_packed);
        let zset = super::super::zset::restored(zset, Server { valkey: false, version });
        let signed = zset.iter().filter(|(_, score)| score.is_sign_negative()).count();
        (zset.is_packed(), signed)
    };
    // A block that comes as one is taken as it is.
    assert_eq!(restored(3, true, (7, 0)), (true, 3));
    assert_eq!(restored(3, false, (7, 0)), (true, 0));
    assert_eq!(restored(3, false, (6, 2)), (true, 3));
    let many = PACKED_LEN_MAX + 1;
    assert_eq!(restored(many, true, (8, 2)), (false, many));
    assert_eq!(restored(many, false, (8, 2)), (false, many));
}

#[test]
fn ranges_of_names_in_a_skip_list_are_found_by_halving() {
    let mut bench = Bench::default();
    bench.keep(&format!("ZADD z{}", zeros(500)));
    let heard = bench.keep("ZREMRANGEBYLEX z (m003 [m007");
    assert_eq!(heard.len(), 4);
    assert!(heard[0].starts_with("zrem z m004 ") && heard[3].starts_with("zrem z m007 "));
    bench.keep("ZRANGESTORE d z + [m490 BYLEX REV LIMIT 2 3");
    assert_eq!(bench.show("d"), "(m495:0 m496:0 m497:0)");
}
