//! Sets: what each command makes of them, member by member, and of whole ones.

use super::rows::Case;
use super::*;

pub(super) const CASES: &[Case] = &[
    ("", "SADD s a", &["sadd s a of <a>"], "s=<a>"),
    ("SADD s a", "sadd s b a ''", &["sadd s b of <a b>", "sadd s of < a b>"], "s=< a b>"),
    ("SADD s a; PEXPIRE s 5", "SADD s b", &["sadd s b of <a b> @1000005"], "s=<a b> @1000005"),
    ("SADD s a b c", "SREM s b none b", &["srem s b of <a c>"], "s=<a c>"),
    ("SADD s a; PEXPIRE s 5", "SREM s a", &["srem s a gone"], ""),
    ("", "SREM none a", &[], ""),
    (
        "SADD s a b; SADD d c",
        "SMOVE s d a",
        &["srem s a of <b>", "sadd d a of <a c>"],
        "d=<a c>; s=<b>",
    ),
    ("SADD s a; SADD d a", "SMOVE s d a", &["srem s a gone"], "d=<a>"),
    ("SADD s a", "SMOVE s d a", &["srem s a gone", "sadd d a of <a>"], "d=<a>"),
    ("SADD s a", "SMOVE s s a", &[], "s=<a>"),
    (
        "SADD a 1 2 3; SADD b 2 3 4",
        "SINTERSTORE d a b",
        &["set d <2 3>"],
        "a=<1 2 3>; b=<2 3 4>; d=<2 3>",
    ),
    ("SADD a 1 2; PEXPIRE a 5", "SINTERSTORE a a", &["set a <1 2>"], "a=<1 2>"),
    ("SADD a 1; SADD b 2; SET d v", "SINTERSTORE d a b", &["delete d gone"], "a=<1>; b=<2>"),
    ("SADD a 1", "SINTERSTORE d a none", &[], "a=<1>"),
    // Before 7.0 a key that is not there ends it, whatever the others hold.
    ("SET a v; SADD d 1", "SINTERSTORE d none a", &["delete d gone"], "a=\"v\""),
    (
        "SADD a 1 2; SADD b 2 3",
        "SUNIONSTORE d a none b",
        &["set d <1 2 3>"],
        "a=<1 2>; b=<2 3>; d=<1 2 3>",
    ),
    ("SADD a 1; SADD b 2", "SUNIONSTORE a a b", &["set a <1 2>"], "a=<1 2>; b=<2>"),
    ("RPUSH d x", "SUNIONSTORE d none", &["delete d gone"], ""),
    (
        "SADD a 1 2 3 4; SADD b 2; SADD c 3 4 5 6 7",
        "SDIFFSTORE d a b none c",
        &["set d <1>"],
        "a=<1 2 3 4>; b=<2>; c=<3 4 5 6 7>; d=<1>",
    ),
    ("SADD a 1; SADD d 2", "SDIFFSTORE d a a", &["delete d gone"], "a=<1>"),
    ("SADD a 1", "SDIFFSTORE d none a", &[], "a=<1>"),
];

/// What was kept before, what was skipped, the command, what is heard, what the table has then.
#[test]
fn members_that_are_withheld_are_told_from_those_that_are_not_there() {
    for (kept, skipped, command, heard, after) in [
        ("SADD s a", "SADD s b", "SADD s a", &[][..], "s=<a> lacks b"),
        ("SADD s a", "SADD s b", "SADD s b", &["sadd s b of <a b>"], "s=<a b>"),
        ("SADD s a b", "SREM s b", "SADD s b", &["sadd s b of <a b>"], "s=<a b>"),
        ("SADD s a", "SADD s b", "SREM s b none", &["srem s b of <a>"], "s=<a>"),
        ("", "SADD s a", "SADD s b", &["sadd s b"], "s=<b> lacks a"),
        ("", "SET s v", "SADD s b", &["sadd s b ?"], "s=ghost"),
        ("", "SET s v", "SREM s b", &["srem s b ?"], "s=ghost"),
        ("", "SADD s a", "SMOVE s d a", &["srem s a gone", "sadd d a of <a>"], "d=<a>"),
        ("", "SET s v", "SMOVE s d a", &["srem s a ?", "sadd d a of <a>"], "d=<a>; s=ghost"),
        ("SADD s a", "SET d v", "SMOVE s d a", &["srem s a gone", "sadd d a ?"], "d=ghost"),
    ] {
        check(kept, skipped, command, heard, after);
    }
}

/// What was kept before, what was skipped, the command, what is heard of `d`, what it is then.
#[test]
fn what_is_made_of_withheld_sets_is_withheld() {
    for (kept, skipped, command, heard, after) in [
        ("SADD a 1", "SADD a 2", "SUNIONSTORE d a", &["set d ?"][..], "ghost"),
        ("SADD b 1; SET d v", "SADD a 2", "SUNIONSTORE d b a", &["set d ?"], "ghost"),
        ("SADD b 1", "SADD a 2", "SINTERSTORE d b a", &["set d ?"], "ghost"),
        ("SADD b 1", "SADD a 2", "SDIFFSTORE d b a", &["set d ?"], "ghost"),
        // Here it does not matter what is withheld.
        ("SADD d 1", "SADD a 2", "SINTERSTORE d a none", &["delete d gone"], "-"),
        ("SADD d 1", "SADD a 2", "SDIFFSTORE d none a", &["delete d gone"], "-"),
        // A set whose last member or whose deletion was skipped is none at the primary.
        ("SADD d 1; SADD a 2", "SREM a 2", "SUNIONSTORE d a", &["delete d gone"], "-"),
        ("SADD d 1; SADD a 2", "DEL a", "SUNIONSTORE d a d", &["set d <1>"], "<1>"),
        ("SADD a 2; SADD b 3", "SADD d 1", "SUNIONSTORE d a b", &["set d <2 3>"], "<2 3>"),
    ] {
        let mut bench = Bench::with(kept);
        bench.skip(skipped);
        assert_eq!(bench.keep(command), heard, "{kept} | {skipped} | {command}");
        assert_eq!(bench.show("d"), after, "{kept} | {skipped} | {command}");
        assert_eq!(bench.failures, [""; 0], "{kept} | {skipped} | {command}");
    }
    let mut bench = Bench::with("SADD a 1");
    bench.scope.exclude_keys = vec![b"x*".to_vec()];
    assert_eq!(bench.keep("SUNIONSTORE d a x1; SUNIONSTORE x1 a"), ["set d ?"]);
    assert_eq!(bench.keep("SMOVE x1 a 2; SMOVE a x1 1"), ["sadd a 2 of <1 2>", "srem a 1 of <2>"]);
    assert_eq!(bench.dump(), "a=<2>; d=ghost");
}

#[test]
fn large_sets_are_combined_whichever_is_larger() {
    let members = |range: std::ops::Range<u32>| {
        let names: Vec<String> = range.map(|n| format!("member:{n}")).collect();
        names.join(" ")
    };
    let mut bench = Bench::with(&format!("SADD a {}", members(0..500)));
    bench.keep(&format!("SADD b {}; SADD c {}", members(400..2000), members(450..460)));
    for (command, len) in [
        ("SINTERSTORE d a b", 100),
        ("SINTERSTORE d b c a", 10),
        ("SUNIONSTORE d c a b", 2000),
        ("SUNIONSTORE d c b", 1600),
        ("SDIFFSTORE d a b", 400),
        ("SDIFFSTORE d a c", 490),
        ("SDIFFSTORE d b a c", 1500),
    ] {
        bench.keep(command);
        let value = bench.entry("d").and_then(|entry| entry.value);
        assert_eq!(value.map(|value| value.len()), Some(len), "{command}");
    }
}
