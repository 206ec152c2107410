//! Bits of strings. The results are those of real servers.

use super::rows::Case;
use super::*;

pub(super) const CASES: &[Case] = &[
    ("", "SETBIT k 1 1", &["edit k \"@\""], "k=\"@\""),
    ("SET k @ PX 5", "setbit k 7 1", &["edit k \"A\" @1000005"], "k=\"A\" @1000005"),
    ("SET k A", "SETBIT k 7 0", &["edit k \"@\""], "k=\"@\""),
    ("SET k A", "SETBIT k 16 0", &["edit k \"A\\0\\0\""], "k=\"A\\0\\0\""),
    // Servers before 7.0 send what changes nothing, too.
    ("SET k A", "SETBIT k 7 1", &["edit k \"A\""], "k=\"A\""),
    ("", "BITFIELD k SET u8 0 65 SET i8 #1 66", &["edit k \"AB\""], "k=\"AB\""),
    ("SET k AB PX 5", "bitfield k incrby u8 8 1", &["edit k \"AC\" @1000005"], "k=\"AC\" @1000005"),
    ("SET k AB", "BITFIELD k SET u4 2 15", &["edit k \"}B\""], "k=\"}B\""),
    ("SET k AB", "BITFIELD k GET u8 0 GET i16 #3", &[], "k=\"AB\""),
    ("", "BITFIELD k GET u8 0", &[], ""),
    // The string grows for a field that overflows, too.
    (
        "",
        "BITFIELD k OVERFLOW FAIL INCRBY u8 16 256 SET u8 0 65",
        &["edit k \"A\\0\\0\""],
        "k=\"A\\0\\0\"",
    ),
    ("SET k ~", "BITFIELD k OVERFLOW SAT INCRBY i8 0 9", &["edit k \"\\u{7f}\""], "k=\"\\u{7f}\""),
    ("SET k A", "BITFIELD k OVERFLOW SAT INCRBY u8 0 -99", &["edit k \"\\0\""], "k=\"\\0\""),
    ("SET k ~", "BITFIELD k INCRBY u7 1 3", &["edit k \"\\u{1}\""], "k=\"\\u{1}\""),
    (
        "SET k A",
        "BITFIELD k OVERFLOW FAIL SET u5 0 32 OVERFLOW WRAP SET u8 8 323",
        &["edit k \"AC\""],
        "k=\"AC\"",
    ),
    // Servers find the distance with 64 bits only.
    (
        "",
        "BITFIELD k OVERFLOW SAT SET i8 0 -9223372036854775808",
        &["edit k \"\\u{7f}\""],
        "k=\"\\u{7f}\"",
    ),
    (
        "SET a AB; SET b a; SET d x PX 5",
        "BITOP OR d a b",
        &["set d \"aB\""],
        "a=\"AB\"; b=\"a\"; d=\"aB\"",
    ),
    ("SET a ab; SET b c", "BITOP and d a b", &["set d \"a\\0\""], "a=\"ab\"; b=\"c\"; d=\"a\\0\""),
    (
        "SET a ab; SET b c",
        "BITOP XOR d a b",
        &["set d \"\\u{2}b\""],
        "a=\"ab\"; b=\"c\"; d=\"\\u{2}b\"",
    ),
    ("SET a ab", "BITOP XOR a a none", &["set a \"ab\""], "a=\"ab\""),
    ("SET a ab", "BITOP XOR d a a", &["set d \"\\0\\0\""], "a=\"ab\"; d=\"\\0\\0\""),
    ("SET d x", "BITOP NOT d none", &["delete d gone"], ""),
    ("", "BITOP AND d none other", &[], ""),
    ("HSET d f v; SET a b", "BITOP OR d a none", &["set d \"b\""], "a=\"b\"; d=\"b\""),
    ("SET a c; SET b ''", "BITOP DIFF d a b", &["set d \"c\""], "a=\"c\"; b=\"\"; d=\"c\""),
    (
        "SET a cx; SET b b",
        "BITOP DIFF d a b",
        &["set d \"\\u{1}x\""],
        "a=\"cx\"; b=\"b\"; d=\"\\u{1}x\"",
    ),
    (
        "SET a b; SET b cx",
        "BITOP DIFF1 d a b",
        &["set d \"\\u{1}x\""],
        "a=\"b\"; b=\"cx\"; d=\"\\u{1}x\"",
    ),
    (
        "SET a g; SET b a; SET c b",
        "BITOP ANDOR d a b c",
        &["set d \"c\""],
        "a=\"g\"; b=\"a\"; c=\"b\"; d=\"c\"",
    ),
    (
        "SET a a; SET b c; SET c bx",
        "BITOP ONE d a b c",
        &["set d \"\\0x\""],
        "a=\"a\"; b=\"c\"; c=\"bx\"; d=\"\\0x\"",
    ),
    ("SET a ab", "BITOP ONE d a", &["set d \"ab\""], "a=\"ab\"; d=\"ab\""),
];

#[test]
fn what_is_no_string_or_no_field_is_a_failure_and_changes_nothing() {
    for command in [
        "SETBIT h 0 1",
        "SETBIT k -1 1",
        "SETBIT k 0 2",
        "SETBIT k 34359738368 1",
        "SETBIT k 9223372036854775807 1",
        "BITFIELD h SET u8 0 1",
        "BITFIELD k SET u64 0 1",
        "BITFIELD k SET i65 0 1",
        "BITFIELD k SET u0 0 1",
        "BITFIELD k SET x8 0 1",
        "BITFIELD k SET u8 -1 1",
        "BITFIELD k SET u8 #-1 1",
        "BITFIELD k SET u8 9223372036854775807 1",
        "BITFIELD k SET u8 #9223372036854775807 1",
        "BITFIELD k SET u8 0",
        "BITFIELD k OVERFLOW MAYBE SET u8 0 1",
        "BITFIELD k PUT u8 0 1",
        "BITOP OR k h",
        "BITOP NEITHER d k",
        "BITOP OR d",
    ] {
        let mut bench = Bench::with("SET k v; HSET h f v");
        let before = bench.dump();
        assert_eq!(bench.keep(command), [""; 0], "{command}");
        assert_eq!(bench.failures.len(), 1, "{command}");
        assert_eq!(bench.dump(), before, "{command}");
    }
}

#[test]
fn a_string_that_was_withheld_makes_all_unknown_that_is_made_of_it() {
    let mut bench = Bench::with("SET a x; SET d y PX 5; HSET h f v");
    bench.skip("SET g v");
    for command in ["BITOP OR d a g", "BITOP NOT d g", "BITOP DIFF d g a"] {
        assert_eq!(bench.keep(command), ["set d ?"], "{command}");
        assert_eq!(bench.show("d"), "ghost");
        bench.keep("SET d y PX 5");
    }
    assert_eq!(bench.keep("SETBIT g 0 1"), ["edit g ?"]);
    assert_eq!(bench.keep("BITFIELD g SET u8 0 1"), ["edit g ?"]);
    assert_eq!(bench.keep("BITFIELD g GET u8 0"), [""; 0]);
    assert_eq!(bench.skip("BITOP NOT d a"), ["set d \"\u{fffd}\" - skipped"]);
    assert_eq!(bench.show("d"), "\"y\" @1000005 frozen");
    assert_eq!(bench.keep("BITOP NOT e d"), ["set e ?"]);
}
