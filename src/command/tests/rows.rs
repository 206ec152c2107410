//! Every row of the table of commands: what is heard and what is stored while nothing is skipped.

use super::*;
use std::collections::BTreeSet;

/// What was applied before, the command, what is heard, what the table has then.
pub(super) type Case = (&'static str, &'static str, &'static [&'static str], &'static str);

const STRINGS: &[Case] = &[
    ("", "SET k v", &["set k \"v\""], "k=\"v\""),
    ("", "SET k ''", &["set k \"\""], "k=\"\""),
    ("SET k v PXAT 2000000", "set k w", &["set k \"w\""], "k=\"w\""),
    ("HSET k f 1", "SET k w", &["set k \"w\""], "k=\"w\""),
    ("", "SET k v pxat 2000000", &["set k \"v\" @2000000"], "k=\"v\" @2000000"),
    ("", "SET k v EXAT 2000", &["set k \"v\" @2000000"], "k=\"v\" @2000000"),
    ("", "SET k v px 500", &["set k \"v\" @1000500"], "k=\"v\" @1000500"),
    ("", "SET k v EX 5 NX GET", &["set k \"v\" @1005000"], "k=\"v\" @1005000"),
    ("", "SET k v PXAT 999999", &["set k \"v\" @999999 late"], "k=\"v\" @999999"),
    ("", "SET k v PXAT 1000000", &["set k \"v\" @1000000"], "k=\"v\" @1000000"),
    ("SET k v PX 1", "SET k w XX KEEPTTL", &["set k \"w\" @1000001"], "k=\"w\" @1000001"),
    ("", "SET k w KEEPTTL", &["set k \"w\""], "k=\"w\""),
    ("SET k v", "SET k w IFEQ v", &["set k \"w\""], "k=\"w\""),
    ("SET k v", "SET k w IFDNE abc PXAT 2000000", &["set k \"w\" @2000000"], "k=\"w\" @2000000"),
    // A condition is not tested again: the primary deleted what has expired here, or never had it.
    ("SET k v", "SETNX k w", &["set k \"w\""], "k=\"w\""),
    ("SET k v PX 1", "GETSET k w", &["set k \"w\""], "k=\"w\""),
    ("", "SETEX k 5 v", &["set k \"v\" @1005000"], "k=\"v\" @1005000"),
    ("", "PSETEX k 5 v", &["set k \"v\" @1000005"], "k=\"v\" @1000005"),
    ("", "MSET a 1 b 2 a 3", &["set a \"1\"", "set b \"2\"", "set a \"3\""], "a=\"3\"; b=\"2\""),
    ("SET a 0", "MSETNX a 1 b 2", &["set a \"1\"", "set b \"2\""], "a=\"1\"; b=\"2\""),
    (
        "SET a 0 PX 7",
        "MSETEX 2 a 1 b 2 XX KEEPTTL",
        &["set a \"1\" @1000007", "set b \"2\""],
        "a=\"1\" @1000007; b=\"2\"",
    ),
    ("", "MSETEX 1 a EX EXAT 2000", &["set a \"EX\" @2000000"], "a=\"EX\" @2000000"),
    ("", "APPEND k v", &["edit k \"v\""], "k=\"v\""),
    ("SET k v PX 1", "append k w", &["edit k \"vw\" @1000001"], "k=\"vw\" @1000001"),
    ("", "APPEND k ''", &["edit k \"\""], "k=\"\""),
    ("", "SETRANGE k 2 ab", &["edit k \"\\0\\0ab\""], "k=\"\\0\\0ab\""),
    ("SET k 12345", "SETRANGE k 1 ab", &["edit k \"1ab45\""], "k=\"1ab45\""),
    ("SET k 123", "SETRANGE k 2 ab", &["edit k \"12ab\""], "k=\"12ab\""),
    ("SET k 123", "SETRANGE k 9 ''", &[], "k=\"123\""),
    ("", "INCR k", &["edit k \"1\""], "k=\"1\""),
    ("SET k -1", "INCR k", &["edit k \"0\""], "k=\"0\""),
    (
        "SET k 9223372036854775806 PX 1",
        "INCR k",
        &["edit k \"9223372036854775807\" @1000001"],
        "k=\"9223372036854775807\" @1000001",
    ),
    // Servers before 4.0 read numbers leniently, and send what they could read.
    ("SET k 007", "INCRBY k +5", &["edit k \"12\""], "k=\"12\""),
    ("SET k ''", "INCR k", &["edit k \"1\""], "k=\"1\""),
    (
        "SET k 5",
        "INCRBY k -9223372036854775808",
        &["edit k \"-9223372036854775803\""],
        "k=\"-9223372036854775803\"",
    ),
    ("SET k 5", "DECR k", &["edit k \"4\""], "k=\"4\""),
    ("SET k 5", "DECRBY k -5", &["edit k \"10\""], "k=\"10\""),
    (
        "SET k 5",
        "DECRBY k -9223372036854775808",
        &["edit k \"-9223372036854775803\""],
        "k=\"-9223372036854775803\"",
    ),
];

const KEYS: &[Case] = &[
    ("SET a 1; SET b 2; SET c 3", "DEL a b none", &["delete a gone", "delete b gone"], "c=\"3\""),
    ("SET a 1", "DEL a a", &["delete a gone"], ""),
    ("SET a 1; SET IFEQ 1", "DELEX a IFEQ 1", &["delete a gone"], "IFEQ=\"1\""),
    ("HSET h f 1", "unlink h", &["delete h gone"], ""),
    ("SET a 1", "GETDEL a", &["delete a gone"], ""),
    ("SET a 1 PXAT 999999", "DEL a", &["delete a gone late"], ""),
    ("SET a 1", "EXPIRE a 5", &["expire a @1005000"], "a=\"1\" @1005000"),
    ("SET a 1", "EXPIRE none 5", &[], "a=\"1\""),
    // Servers before 2.6 delete, and send this.
    ("SET a 1", "EXPIRE a -1", &["delete a gone"], ""),
    ("SET a 1", "EXPIRE a 0", &["delete a gone"], ""),
    ("SET a 1", "PEXPIRE a 5 GT", &["expire a @1000005"], "a=\"1\" @1000005"),
    ("SET a 1", "EXPIREAT a 2000 NX", &["expire a @2000000"], "a=\"1\" @2000000"),
    // A time that has passed by our clock is stored: only the primary deletes.
    ("SET a 1", "PEXPIREAT a 999999", &["expire a @999999 late"], "a=\"1\" @999999"),
    ("SET a 1 PX 5", "PERSIST a", &["expire a"], "a=\"1\""),
    (
        "SET a 1 PX 5; SET b 2",
        "RENAME a b",
        &["set b \"1\" @1000005 (rename)", "delete a (rename) gone"],
        "b=\"1\" @1000005",
    ),
    ("HSET a f 1", "RENAMENX a b", &["set b {f=1} (rename)", "delete a (rename) gone"], "b={f=1}"),
    (
        "SET a 1 PX 5",
        "MOVE a 3",
        &["set 3/a \"1\" @1000005 (rename)", "delete a (rename) gone"],
        "3/a=\"1\" @1000005",
    ),
    ("SET a 1 PX 5", "COPY a b", &["set b \"1\" @1000005"], "a=\"1\" @1000005; b=\"1\" @1000005"),
    ("SET a 1; SET b 2", "COPY a b replace", &["set b \"1\""], "a=\"1\"; b=\"1\""),
    ("SET a 1", "COPY a a DB 2 REPLACE", &["set 2/a \"1\""], "2/a=\"1\"; a=\"1\""),
    ("", "RESTORE k 0 text:v", &["set k \"v\""], "k=\"v\""),
    ("SET k 1 PX 5", "RESTORE k 0 text:v REPLACE", &["set k \"v\""], "k=\"v\""),
    ("", "RESTORE k 5 text:v IDLETIME 7", &["set k \"v\" @1000005"], "k=\"v\" @1000005"),
    ("", "RESTORE k 5 text:v replace FREQ 7 absttl", &["set k \"v\" @5 late"], "k=\"v\" @5"),
    ("", "RESTORE-ASKING k 0 text:v REPLACE ABSTTL", &["set k \"v\""], "k=\"v\""),
    ("SET a 1; SELECT 1; SET b 2", "FLUSHDB", &["flush 1/"], "a=\"1\""),
    ("", "FLUSHDB ASYNC", &["flush"], ""),
    ("SET a 1; SELECT 1; SET b 2", "FLUSHALL SYNC", &["flush all"], ""),
    ("SET a 1 PX 5; SELECT 1; SET b 2", "SWAPDB 0 1", &["swap 1"], "1/a=\"1\" @1000005; b=\"2\""),
    ("SET a 1", "SWAPDB 7 0", &["swap 7/ 0"], "7/a=\"1\""),
    ("SET a 1", "SWAPDB 0 0", &[], "a=\"1\""),
];

const HASHES: &[Case] = &[
    ("", "HSET h f 1", &["hset h f=1 of {f=1}"], "h={f=1}"),
    (
        "HSET h f 1",
        "HMSET h g 2 f 3",
        &["hset h g=2 of {f=1 g=2}", "hset h f=3 of {f=3 g=2}"],
        "h={f=3 g=2}",
    ),
    ("HSET h f 1", "HSETNX h f 2", &["hset h f=2 of {f=2}"], "h={f=2}"),
    ("", "HSET h '' ''", &["hset h = of {=}"], "h={=}"),
    (
        "HSET h f 1; PEXPIRE h 5",
        "HSET h g 2",
        &["hset h g=2 of {f=1 g=2} @1000005"],
        "h={f=1 g=2} @1000005",
    ),
    // A plain write takes a field's deadline away, HINCRBY and KEEPTTL leave it.
    ("HSETEX h PXAT 7 FIELDS 1 f 1", "HSET h f 2", &["hset h f=2 of {f=2}"], "h={f=2}"),
    (
        "HSETEX h PXAT 2000000 FIELDS 1 f 1",
        "HINCRBY h f 2",
        &["hset h f=3@2000000 of {f=3@2000000}"],
        "h={f=3@2000000}",
    ),
    (
        "HSETEX h PXAT 2000000 FIELDS 1 f 1",
        "HSETEX h FXX KEEPTTL FIELDS 1 f 9",
        &["hset h f=9@2000000 of {f=9@2000000}"],
        "h={f=9@2000000}",
    ),
    (
        "",
        "HSETEX h EX 5 FNX FIELDS 2 f 1 g 2",
        &["hset h f=1@1005000 of {f=1@1005000}", "hset h g=2@1005000 of {f=1@1005000 g=2@1005000}"],
        "h={f=1@1005000 g=2@1005000}",
    ),
    ("", "HSETEX h NX FIELDS 1 FIELDS 7", &["hset h FIELDS=7 of {FIELDS=7}"], "h={FIELDS=7}"),
    // Since Redis 8.6 options may stand behind the fields.
    (
        "",
        "HSETEX h FIELDS 1 f 1 PXAT 2000000",
        &["hset h f=1@2000000 of {f=1@2000000}"],
        "h={f=1@2000000}",
    ),
    ("", "HINCRBY h f -3", &["hset h f=-3 of {f=-3}"], "h={f=-3}"),
    ("HSET h f 1 g 2", "HDEL h f none", &["hdel h f of {g=2}"], "h={g=2}"),
    ("HSET h f 1 g 2", "HDEL h f g", &["hdel h f of {g=2}", "hdel h g gone"], ""),
    ("", "HDEL none f", &[], ""),
    // The deadline that passed is the field's.
    ("HSETEX h PXAT 7 FIELDS 1 f 1", "HDEL h f", &["hdel h f gone late"], ""),
    ("HSET h f 1 g 2", "HGETDEL h FIELDS 2 f none", &["hdel h f of {g=2}"], "h={g=2}"),
    (
        "HSET h f 1",
        "HPEXPIREAT h 2000000 FIELDS 2 f none",
        &["hexpire h f@2000000 of {f=1@2000000}"],
        "h={f=1@2000000}",
    ),
    ("HSET h f 1", "HPEXPIREAT h 7 fields 1 f", &["hexpire h f@7 of {f=1@7} late"], "h={f=1@7}"),
    (
        "HSET h f 1",
        "HEXPIRE h 5 FIELDS 1 f",
        &["hexpire h f@1005000 of {f=1@1005000}"],
        "h={f=1@1005000}",
    ),
    (
        "HSET h f 1",
        "HPEXPIRE h 5 FIELDS 1 f",
        &["hexpire h f@1000005 of {f=1@1000005}"],
        "h={f=1@1000005}",
    ),
    (
        "HSET h f 1",
        "HEXPIREAT h 2000 FIELDS 1 f NX",
        &["hexpire h f@2000000 of {f=1@2000000}"],
        "h={f=1@2000000}",
    ),
    (
        "HSET h f 1 g 2; HPEXPIREAT h 50 FIELDS 1 f",
        "HPEXPIREAT h 60 NX FIELDS 2 f g",
        &["hexpire h g@60 of {f=1@50 g=2@60} late"],
        "h={f=1@50 g=2@60}",
    ),
    (
        "HSET h f 1 g 2; HPEXPIREAT h 50 FIELDS 1 f",
        "HPEXPIREAT h 60 xx FIELDS 2 f g",
        &["hexpire h f@60 of {f=1@60 g=2} late"],
        "h={f=1@60 g=2}",
    ),
    (
        "HSET h f 1 g 2; HPEXPIREAT h 50 FIELDS 1 f",
        "HPEXPIREAT h 60 GT FIELDS 2 f g",
        &["hexpire h f@60 of {f=1@60 g=2} late"],
        "h={f=1@60 g=2}",
    ),
    ("HSET h f 1; HPEXPIREAT h 50 FIELDS 1 f", "HPEXPIREAT h 50 GT FIELDS 1 f", &[], "h={f=1@50}"),
    (
        "HSET h f 1 g 2; HPEXPIREAT h 50 FIELDS 1 f",
        "HPEXPIREAT h 60 LT FIELDS 2 f g",
        &["hexpire h g@60 of {f=1@50 g=2@60} late"],
        "h={f=1@50 g=2@60}",
    ),
    (
        "HSET h f 1 g 2; HPEXPIREAT h 50 FIELDS 1 f",
        "HPERSIST h FIELDS 3 f g none",
        &["hexpire h f of {f=1 g=2}"],
        "h={f=1 g=2}",
    ),
];

fn cases() -> impl Iterator<Item = &'static Case> {
    let families = [
        STRINGS,
        KEYS,
        HASHES,
        array::CASES,
        bitmap::CASES,
        cluster::CASES,
        hyperloglog::CASES,
        list::CASES,
        set::CASES,
        sort::CASES,
        zset::CASES,
        geo::CASES,
    ];
    families.into_iter().flatten()
}

#[test]
fn every_command_is_heard_as_its_effects_and_stored() {
    for (before, command, heard, after) in cases() {
        let mut bench = Bench::with(before);
        assert_eq!(bench.keep(command), *heard, "{before} | {command}");
        assert_eq!(bench.dump(), *after, "{before} | {command}");
        assert_eq!(bench.failures, [""; 0], "{before} | {command}");
    }
}

#[test]
fn no_command_is_without_a_case() {
    let name = |command: &str| command.split(' ').next().unwrap().to_ascii_uppercase();
    let told = cases().map(|(_, command, ..)| *command).chain(stream::commands());
    let told: BTreeSet<String> = told.map(name).collect();
    let applied = ROWS.iter().filter(|row| matches!(row.action, Apply(_)));
    let lacking: Vec<_> = applied.map(|row| row.name).filter(|n| !told.contains(*n)).collect();
    assert_eq!(lacking, [""; 0]);
}

#[test]
fn a_key_of_another_type_is_a_failure_and_nothing_is_asked() {
    for command in [
        "APPEND l x",
        "SETRANGE l 0 x",
        "INCR l",
        "INCRBY l 1",
        "DECR l",
        "DECRBY l 1",
        "HSET l f 1",
        "HSETNX l f 1",
        "HMSET l f 1",
        "HSETEX l FIELDS 1 f 1",
        "HINCRBY l f 1",
        "HDEL l f",
        "HGETDEL l FIELDS 1 f",
        "HPEXPIREAT l 9 FIELDS 1 f",
        "HPERSIST l FIELDS 1 f",
        "SADD l a",
        "SREM l a",
        "SMOVE l t a",
        "SMOVE t l b",
        "SUNIONSTORE d t l",
        "SDIFFSTORE d t l",
        "SINTERSTORE d l t",
        "LPUSH t x",
        "RPUSHX t x",
        "LPOP t",
        "RPOP t 1",
        "LSET t 0 x",
        "LINSERT t BEFORE b x",
        "LREM t 0 b",
        "LTRIM t 0 0",
        "BRPOP none t 0",
        "RPOPLPUSH t l",
        "RPOPLPUSH l t",
        "LMOVE t t LEFT RIGHT",
    ] {
        let mut bench = Bench::with("RPUSH l a; SADD t b");
        assert_eq!(bench.keep(command), [""; 0], "{command}");
        let wanted = match command.as_bytes() {
            [b'H', ..] => "hash",
            [b'S', b'E', ..] => "string",
            [b'S', ..] => "set",
            [b'L' | b'R' | b'B', ..] => "list",
            _ => "string",
        };
        assert_eq!(bench.failures, [format!("the key does not hold a {wanted}")], "{command}");
        assert_eq!(bench.dump(), "l=[a]; t=<b>", "{command}");
    }
}

#[test]
fn arguments_that_no_primary_sends_are_failures_and_change_nothing() {
    let most = "9223372036854775807";
    let least = "-9223372036854775808";
    for command in [
        "SET k",
        "SET k v PX",
        "SET k v PX x",
        "SET k v BOGUS",
        "SET k v IFEQ",
        "SETEX k x v",
        "MSET a 1 b",
        "MSETEX 2 a 1",
        "MSETEX x a 1",
        "MSETEX -1 a 1",
        &format!("MSETEX {most} a 1"),
        "MSETEX 1 a 1 b 2",
        "INCR k",
        "INCR s",
        "INCRBY n 1",
        "INCRBY n x",
        "INCRBY n 1.5",
        "INCRBY n 9223372036854775808",
        &format!("INCRBY m {least}"),
        &format!("DECRBY m {least}"),
        "DECR m",
        "DECRBY m",
        "SETRANGE k -1 x",
        "SETRANGE k 4294967296 x",
        &format!("SETRANGE k {most} x"),
        "HSET h f",
        "HSET h f 1 g",
        "HINCRBY h s 1",
        "HINCRBY h n 1",
        "HINCRBY h f x",
        "HSETEX h FIELDS 2 f 1",
        "HSETEX h FIELDS 1 f 1 g 2",
        "HSETEX h PX FIELDS 1 f 1",
        "HSETEX h FIELDS 0 f 1",
        "HSETEX h FIELDS -1 f 1",
        &format!("HSETEX h FIELDS {most} f 1"),
        "HSETEX h FIELDS 1 f 1 FIELDS 1 g 2",
        "HGETDEL h NX FIELDS 1 f",
        "HGETDEL h FIELDS 2 f",
        "HPEXPIREAT h x FIELDS 1 f",
        "HPEXPIREAT h 5 XY FIELDS 1 f",
        "HPEXPIREAT h 5 NX 1 f f",
        "HPERSIST h FIELDS 2 f",
        "HPERSIST h FIELD 1 f",
        "EXPIRE k",
        "EXPIRE k x",
        "PEXPIREAT k 1.5",
        "PERSIST",
        "RENAME none k",
        "RENAMENX none k",
        "MOVE none 1",
        "MOVE k x",
        "MOVE k -1",
        "MOVE k 4294967296",
        "COPY none k",
        "COPY k b DB",
        "COPY k b DB x",
        "COPY k b BOGUS",
        "RESTORE k",
        "RESTORE k x text:v",
        "RESTORE k 0 text:v BOGUS",
        "SWAPDB 0",
        "SWAPDB 0 x",
        "SWAPDB -1 0",
        "DEL",
        "LPUSH l",
        "LPOP l -1",
        "LPOP l x",
        "RPOP l 1.5",
        "LSET none 0 x",
        "LSET l 3 x",
        "LSET l -4 x",
        "LSET l 2147483648 x",
        "LSET l x x",
        "LINSERT l BESIDE b x",
        "LINSERT l BEFORE b",
        "LTRIM l 0",
        "LTRIM l 0 x",
        "LREM l x a",
        "LMOVE l d UP LEFT",
        "LMOVE l d LEFT",
        "LMOVEM l d LEFT RIGHT COUNT",
        "LMOVEM l d LEFT RIGHT COUNT -1 OBO",
        "LMOVEM l d LEFT RIGHT EXACTLY x BULK",
        "LMOVEM l d LEFT RIGHT BOTH",
        "BLPOP l",
        "SADD t",
        "SMOVE t d",
        "SUNIONSTORE d",
        "SORT l BY",
        "SORT l GET",
        "SORT l STORE",
        "SORT l LIMIT 0 STORE d",
        "SORT l LIMIT 0 x STORE d",
        "SORT l BOGUS STORE d",
        // Not all of its elements are numbers.
        "SORT l STORE d",
        "SORT t STORE d",
        "SORT k STORE d",
        "SORT h STORE d",
    ] {
        let mut bench =
            Bench::with("SET k v; SET s 12x; HSET h f 1 s x; RPUSH l 1 b 3; SADD t 1 x");
        bench.keep(&format!("SET n {most}; SET m {least}; HSET h n {most}"));
        let before = bench.dump();
        if command == "INCR k" {
            bench.keep("SET k 1.0");
        }
        let heard = bench.keep(command);
        assert_eq!((heard.len(), bench.failures.len()), (0, 1), "{command}: {:?}", bench.failures);
        assert_eq!(bench.dump().replace("\"1.0\"", "\"v\""), before, "{command}");
    }
}

#[test]
fn what_a_payload_brings_that_cannot_be_read_is_withheld_and_reported() {
    for (payload, unsupported) in [("stream", true), ("damaged", false)] {
        let mut bench = Bench::with("SET k old");
        let heard = bench.keep(&format!("RESTORE k 2000000 {payload} ABSTTL REPLACE"));
        assert_eq!(heard, ["set k @2000000 ?"]);
        assert_eq!(bench.dump(), "k=ghost @2000000");
        assert_eq!(bench.failures.len(), 1);
        let mut keep = |_: &Change<'_>| Verdict::Keep;
        let mut gate = Script { decide: &mut keep, heard: Vec::new() };
        let args: Vec<&[u8]> = vec![b"RESTORE", b"k", b"0", payload.as_bytes()];
        let mut batch = bench.batch();
        let mut unit = Unit::new(bench.setting(), &mut gate, &mut batch, 0);
        let failure = apply(&mut unit, find(b"RESTORE").unwrap(), &args).unwrap_err();
        assert_eq!(failure.is_unsupported(), unsupported, "{failure}");
    }
}

#[test]
fn the_rows_are_in_the_order_of_their_names_and_found_in_any_case() {
    assert!(ROWS.windows(2).all(|pair| pair[0].name < pair[1].name));
    for row in ROWS {
        assert_eq!(row.name, row.name.to_ascii_uppercase());
        assert!(row.min_args > 0, "{}", row.name);
        let lower = row.name.to_ascii_lowercase();
        for name in [row.name, &lower] {
            assert!(find(name.as_bytes()).is_some_and(|found| std::ptr::eq(found, row)));
        }
    }
    for name in [&b""[..], b"SETT", b"SE", b"XREADGROUP", b"\xff\xfe", &[b'A'; 33], &[b'A'; 4000]] {
        assert!(find(name).is_none());
    }
}

#[test]
fn only_a_plain_write_is_the_same_at_any_time() {
    for (command, timeless) in [
        ("SET k v", true),
        ("set k v", true),
        ("SET k v EX 5", false),
        ("SET k v KEEPTTL", false),
        ("SETEX k 5 v", false),
        ("INCR k", false),
        ("DEL k v", false),
    ] {
        let args = words(command);
        assert_eq!(is_timeless(find(args[0]).unwrap(), &args), timeless, "{command}");
        let heard = |now_ms: i64| {
            let mut bench = Bench { now_ms, ..Bench::default() };
            bench.keep("SET k 1 PXAT 1000500");
            (bench.keep(command), bench.dump())
        };
        assert!(!timeless || heard(NOW_MS) == heard(NOW_MS + 1000), "{command}");
    }
}

#[test]
fn a_change_tells_the_offset_the_arguments_and_the_phase() {
    let mut bench = Bench::default();
    let mut told = Vec::new();
    bench.run("SET k v", &mut |change| {
        let args: Vec<String> = change.args.iter().map(|arg| text(arg)).collect();
        told.push((change.offset, change.phase, change.reason, args.join(" ")));
        Verdict::Keep
    });
    assert_eq!(told, [(77, Phase::Live, Reason::Command, "SET k v".to_owned())]);
    assert_eq!((bench.asked.all, bench.asked.skipped), (1, 0));
}
