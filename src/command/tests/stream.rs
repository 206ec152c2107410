//! Streams and their groups: what commands make of them.

use super::*;
use crate::value::Type;

/// What was applied before, the command, what the table has then. What is heard is that the whole
/// key is edited.
type Case = (&'static str, &'static str, &'static str);

#[track_caller]
fn check(cases: &[Case]) {
    for (before, command, wanted) in cases {
        let mut bench = Bench::with(before);
        let old = bench.dump();
        let heard = bench.keep(command);
        assert_eq!(bench.failures, [""; 0], "{command}");
        assert_eq!(bench.dump(), *wanted, "after {before}; {command}");
        if bench.dump() != old {
            assert_eq!(heard, [format!("edit s {}", &wanted[2..])], "{command}");
        }
    }
}

const FIVE: &str = "XADD s 1-1 f a; XADD s 2-1 f b; XADD s 3-1 f c; XADD s 4-1 f d; XADD s 5-1 f e";

/// Five entries. The group g has read all and has 2-1 and 4-1 pending; h has read three of them and
/// has 3-1 pending.
const READ: &str = "XADD s 1-1 f a; XADD s 2-1 f b; XADD s 3-1 f c; XADD s 4-1 f d; \
    XADD s 5-1 f e; XGROUP CREATE s g 5-1; XGROUP CREATE s h 3-1; \
    XCLAIM s g al 0 2-1 4-1 TIME 7 RETRYCOUNT 1 FORCE; \
    XCLAIM s h bo 0 3-1 TIME 8 RETRYCOUNT 1 FORCE";

/// Two entries and a group that has read one.
const TWO: &str = "XADD s 1-1 f a; XADD s 2-1 f b; XGROUP CREATE s g 1-1; \
    XCLAIM s g al 0 1-1 TIME 7 RETRYCOUNT 1 FORCE";

const ADDED: &[Case] = &[
    ("", "XADD s 5-1 f v", "s=|5-1 f=v|"),
    ("", "xadd s 5 f v f w '' ''", "s=|5-0 f=v f=w =|"),
    ("XADD s 5-1 f v", "XADD s NOMKSTREAM 5-2 g w", "s=|5-1 f=v, 5-2 g=w|"),
    ("", "XADD s NOMKSTREAM 5-2 g w", "s=|5-2 g=w|"),
    (
        "XADD s 18446744073709551615-1 f v",
        "XADD s 18446744073709551615-18446744073709551615 f w",
        "s=|18446744073709551615-1 f=v, 18446744073709551615-18446744073709551615 f=w|",
    ),
    (FIVE, "XADD s MAXLEN 2 6-1 f g", "s=|5-1 f=e, 6-1 f=g| added 6"),
    (FIVE, "XADD s MAXLEN = 2 LIMIT 100 6-1 f g", "s=|5-1 f=e, 6-1 f=g| added 6"),
    (FIVE, "XADD s maxlen = 0 6-1 f g", "s=|| last 6-1 added 6"),
    (
        FIVE,
        "XADD s KEEPREF MAXLEN = 6 6 f g",
        "s=|1-1 f=a, 2-1 f=b, 3-1 f=c, 4-1 f=d, 5-1 f=e, 6-0 f=g|",
    ),
    (FIVE, "XADD s MINID = 5 6-1 f g", "s=|5-1 f=e, 6-1 f=g| added 6"),
    (FIVE, "XADD s MINID 7-0 LIMIT 0 6-1 f g", "s=|| last 6-1 added 6"),
    // What a primary makes of an approximate trim that left nothing.
    (
        FIVE,
        "XADD s MINID = 18446744073709551615-18446744073709551615 6-1 f g",
        "s=|| last 6-1 added 6",
    ),
    ("", "XADD s IDMP p m 5-1 f v", "s=|5-1 f=v|"),
    ("", "XADD s IDMPAUTO p 5-1 f v", "s=|5-1 f=v|"),
];

const TRIMMED: &[Case] = &[
    (FIVE, "XTRIM s MAXLEN 2", "s=|4-1 f=d, 5-1 f=e| added 5"),
    (FIVE, "xtrim s maxlen = 0 limit 10", "s=|| last 5-1 added 5"),
    (FIVE, "XTRIM s MINID 3-1", "s=|3-1 f=c, 4-1 f=d, 5-1 f=e| added 5"),
    (FIVE, "XTRIM s MINID = 3-2 LIMIT 0", "s=|4-1 f=d, 5-1 f=e| added 5"),
    ("", "XTRIM s MAXLEN 0", ""),
    // Without groups all is acknowledged.
    (FIVE, "XTRIM s MAXLEN = 2 ACKED", "s=|4-1 f=d, 5-1 f=e| added 5"),
    (
        READ,
        "XTRIM s MAXLEN = 2",
        "s=|4-1 f=d, 5-1 f=e| added 5 g<5-1>[al](2-1 al x1 @7)(4-1 al x1 @7) \
             h<3-1>[bo](3-1 bo x1 @8)",
    ),
    (
        READ,
        "XTRIM s DELREF MAXLEN = 2",
        "s=|4-1 f=d, 5-1 f=e| added 5 g<5-1>[al](4-1 al x1 @7) h<3-1>[bo]",
    ),
    // 1-1 is all that both have read and acknowledged.
    (
        READ,
        "XTRIM s MAXLEN = 2 ACKED",
        "s=|2-1 f=b, 3-1 f=c, 4-1 f=d, 5-1 f=e| added 5 \
             g<5-1>[al](2-1 al x1 @7)(4-1 al x1 @7) h<3-1>[bo](3-1 bo x1 @8)",
    ),
    (
        READ,
        "XADD s ACKED MINID = 9 6-1 f g",
        "s=|2-1 f=b, 3-1 f=c, 4-1 f=d, 5-1 f=e, 6-1 f=g| added 6 \
             g<5-1>[al](2-1 al x1 @7)(4-1 al x1 @7) h<3-1>[bo](3-1 bo x1 @8)",
    ),
];

const DELETED: &[Case] = &[
    (FIVE, "XDEL s 2-1 9-9 4-1", "s=|1-1 f=a, 3-1 f=c, 5-1 f=e| del 4-1 added 5"),
    ("XADD s 5-1 f v", "XDEL s 5-1", "s=|| last 5-1 del 5-1 added 1"),
    ("XADD s 5 f v", "XDEL s 5", "s=|| last 5-0 del 5-0 added 1"),
    ("", "XDEL s 5-1", ""),
    (FIVE, "XDELEX s IDS 2 4-1 2-1", "s=|1-1 f=a, 3-1 f=c, 5-1 f=e| del 4-1 added 5"),
    ("", "XDELEX s IDS 1 5-1", ""),
    (
        READ,
        "XDELEX s KEEPREF IDS 3 2-1 3-1 4-1",
        "s=|1-1 f=a, 5-1 f=e| del 4-1 added 5 g<5-1>[al](2-1 al x1 @7)(4-1 al x1 @7) \
             h<3-1>[bo](3-1 bo x1 @8)",
    ),
    (
        READ,
        "XDELEX s IDS 3 2-1 3-1 9-9 DELREF",
        "s=|1-1 f=a, 4-1 f=d, 5-1 f=e| del 3-1 added 5 g<5-1>[al](4-1 al x1 @7) h<3-1>[bo]",
    ),
    (
        READ,
        "XDELEX s ACKED IDS 5 1-1 2-1 3-1 4-1 5-1",
        "s=|2-1 f=b, 3-1 f=c, 4-1 f=d, 5-1 f=e| del 1-1 added 5 \
             g<5-1>[al](2-1 al x1 @7)(4-1 al x1 @7) h<3-1>[bo](3-1 bo x1 @8)",
    ),
];

const NUMBERS: &[Case] = &[
    ("XADD s 5-1 f v", "XSETID s 6-0", "s=|5-1 f=v| last 6-0"),
    (
        "XADD s 5-1 f v",
        "XSETID s 5-1 ENTRIESADDED 7 MAXDELETEDID 3-3",
        "s=|5-1 f=v| del 3-3 added 7",
    ),
    (
        "XADD s 5-1 f v; XDEL s 5-1",
        "XSETID s 9-9 MAXDELETEDID 0-0",
        "s=|| last 9-9 del 5-1 added 1",
    ),
    ("XGROUP CREATE s g $ MKSTREAM", "XSETID s 5-5", "s=|| last 5-5 g<0-0>[]"),
    // What is remembered of messages is looked at below.
    ("XADD s 5-1 f v", "XCFGSET s IDMP-DURATION 9", "s=|5-1 f=v|"),
    ("XADD s 5-1 f v", "XIDMPRECORD s p m 5-1", "s=|5-1 f=v|"),
];

const GROUPS: &[Case] = &[
    ("", "XGROUP CREATE s g $ MKSTREAM", "s=|| g<0-0>[]"),
    ("", "XGROUP CREATE s g 5-5 ENTRIESREAD -1 MKSTREAM", "s=|| g<5-5>[]"),
    ("XADD s 5-1 f v", "xgroup create s g $", "s=|5-1 f=v| g<5-1>[]"),
    ("XADD s 5-1 f v", "XGROUP CREATE s g 0 ENTRIESREAD 1", "s=|5-1 f=v| g<0-0/1>[]"),
    ("XADD s 5-1 f v", "XGROUP CREATE s g 0 ENTRIESREAD 8", "s=|5-1 f=v| g<0-0/8>[]"),
    (TWO, "XGROUP CREATE s f 0", "s=|1-1 f=a, 2-1 f=b| f<0-0>[] g<1-1>[al](1-1 al x1 @7)"),
    (TWO, "XGROUP SETID s g $ ENTRIESREAD 2", "s=|1-1 f=a, 2-1 f=b| g<2-1/2>[al](1-1 al x1 @7)"),
    (
        "XADD s 5-1 f v; XGROUP CREATE s g 0 ENTRIESREAD 1",
        "XGROUP SETID s g +",
        "s=|5-1 f=v| g<18446744073709551615-18446744073709551615>[]",
    ),
    (TWO, "XGROUP SETID s g -", "s=|1-1 f=a, 2-1 f=b| g<0-0>[al](1-1 al x1 @7)"),
    (TWO, "XGROUP DESTROY s g", "s=|1-1 f=a, 2-1 f=b|"),
    (TWO, "XGROUP DESTROY s none", "s=|1-1 f=a, 2-1 f=b| g<1-1>[al](1-1 al x1 @7)"),
    ("", "XGROUP DESTROY s none", ""),
    (TWO, "XGROUP CREATECONSUMER s g bo", "s=|1-1 f=a, 2-1 f=b| g<1-1>[al bo](1-1 al x1 @7)"),
    (TWO, "XGROUP DELCONSUMER s g al", "s=|1-1 f=a, 2-1 f=b| g<1-1>[]"),
    (TWO, "XGROUP DELCONSUMER s g none", "s=|1-1 f=a, 2-1 f=b| g<1-1>[al](1-1 al x1 @7)"),
];

const ANSWERED: &[Case] = &[
    (TWO, "XACK s g 1-1 2-1", "s=|1-1 f=a, 2-1 f=b| g<1-1>[al]"),
    (TWO, "XACK s none 1-1", "s=|1-1 f=a, 2-1 f=b| g<1-1>[al](1-1 al x1 @7)"),
    ("", "XACK s g 1-1", ""),
    (
        READ,
        "XACKDEL s g IDS 2 2-1 3-1",
        "s=|1-1 f=a, 3-1 f=c, 4-1 f=d, 5-1 f=e| del 2-1 added 5 g<5-1>[al](4-1 al x1 @7) \
             h<3-1>[bo](3-1 bo x1 @8)",
    ),
    // 2-1 nobody else waits for; 4-1 the other group has yet to read.
    (
        READ,
        "XACKDEL s g ACKED IDS 2 2-1 4-1",
        "s=|1-1 f=a, 3-1 f=c, 4-1 f=d, 5-1 f=e| del 2-1 added 5 g<5-1>[al] \
             h<3-1>[bo](3-1 bo x1 @8)",
    ),
    (
        "XADD s 1-1 f a; XGROUP CREATE s g 1-1; XGROUP CREATE s h 1-1; \
             XCLAIM s g al 0 1-1 FORCE; XCLAIM s h bo 0 1-1 FORCE",
        "XACKDEL s g DELREF IDS 1 1-1",
        "s=|| last 1-1 del 1-1 added 1 g<1-1>[al] h<1-1>[bo]",
    ),
    ("", "XACKDEL s g IDS 1 1-1", ""),
    (TWO, "XNACK s g SILENT IDS 1 1-1", "s=|1-1 f=a, 2-1 f=b| g<1-1>[al](1-1 - x0 @0)"),
    (TWO, "XNACK s g fail IDS 2 1-1 2-1", "s=|1-1 f=a, 2-1 f=b| g<1-1>[al](1-1 - x1 @0)"),
    (
        TWO,
        "XNACK s g FATAL IDS 1 1-1",
        "s=|1-1 f=a, 2-1 f=b| g<1-1>[al](1-1 - x9223372036854775807 @0)",
    ),
    (
        TWO,
        "XNACK s g FATAL IDS 3 1-1 2-1 9-9 RETRYCOUNT 5 FORCE",
        "s=|1-1 f=a, 2-1 f=b| g<1-1>[al](1-1 - x5 @0)(2-1 - x5 @0)",
    ),
    (
        TWO,
        "XNACK s g FAIL FORCE IDS 1 2-1",
        "s=|1-1 f=a, 2-1 f=b| \
             g<1-1>[al](1-1 al x1 @7)(2-1 - x0 @0)",
    ),
];

const CLAIMED: &[Case] = &[
    // As primaries say that somebody read something.
    (
        TWO,
        "XCLAIM s g al 0 2-1 TIME 9 RETRYCOUNT 1 FORCE JUSTID LASTID 2-1",
        "s=|1-1 f=a, 2-1 f=b| g<2-1>[al](1-1 al x1 @7)(2-1 al x1 @9)",
    ),
    (
        TWO,
        "XCLAIM s g bo 0 1-1 TIME 9 RETRYCOUNT 4 FORCE JUSTID LASTID 1-1",
        "s=|1-1 f=a, 2-1 f=b| g<1-1>[al bo](1-1 bo x4 @9)",
    ),
    (TWO, "XCLAIM s g bo 0 1-1", "s=|1-1 f=a, 2-1 f=b| g<1-1>[al bo](1-1 bo x2 @1000000)"),
    (
        TWO,
        "XCLAIM s g bo 0 1-1 2-1 IDLE 10 JUSTID",
        "s=|1-1 f=a, 2-1 f=b| g<1-1>[al bo](1-1 bo x1 @999990)",
    ),
    (
        TWO,
        "XCLAIM s g bo 0 2-1 FORCE TIME -1 LASTID 0-5",
        "s=|1-1 f=a, 2-1 f=b| \
             g<1-1>[al bo](1-1 al x1 @7)(2-1 bo x2 @1000000)",
    ),
    // The clock of the primary may be ahead of ours.
    (
        TWO,
        "XCLAIM s g al 0 1-1 TIME 2000000 RETRYCOUNT 2 FORCE JUSTID LASTID 1-1",
        "s=|1-1 f=a, 2-1 f=b| g<1-1>[al](1-1 al x2 @2000000)",
    ),
    (TWO, "XCLAIM s g al 0 9-9 FORCE", "s=|1-1 f=a, 2-1 f=b| g<1-1>[al](1-1 al x1 @7)"),
];

/// The commands that the tables have.
pub(super) fn commands() -> impl Iterator<Item = &'static str> {
    let tables = [ADDED, TRIMMED, DELETED, NUMBERS, GROUPS, CLAIMED, ANSWERED];
    tables.into_iter().flatten().map(|(_, command, _)| *command)
}

#[test]
fn entries_are_added_under_their_ids() {
    check(ADDED);
}

#[test]
fn a_message_that_came_once_more_does_nothing() {
    let mut bench = Bench::with("XADD s IDMP p m 5-1 f v");
    for command in ["XADD s IDMP p m * f v", "XADD s NOMKSTREAM MAXLEN = 0 IDMPAUTO p * f v"] {
        assert_eq!(bench.keep(command), [""; 0], "{command}");
    }
    assert_eq!((bench.dump().as_str(), bench.failures.len()), ("s=|5-1 f=v|", 0));
    bench.keep("XADD none IDMP p m * f v");
    assert_eq!(bench.show("none"), "-");
}

#[test]
fn entries_are_trimmed_from_the_first_on() {
    check(TRIMMED);
}

#[test]
fn single_entries_are_deleted() {
    check(DELETED);
}

#[test]
fn ids_and_counts_are_set() {
    check(NUMBERS);
}

#[test]
fn groups_come_and_go() {
    check(GROUPS);
}

#[test]
fn entries_are_delivered_and_change_hands() {
    check(CLAIMED);
}

#[test]
fn what_was_deleted_is_no_longer_pending_once_its_owner_claims_it() {
    let gone = "XADD s 1-1 f a; XGROUP CREATE s g 1-1; XCLAIM s g al 0 1-1 TIME 7 FORCE; \
        XDEL s 1-1";
    let head = "s=|| last 1-1 del 1-1 added 1 g<1-1>";
    for (command, tail) in [
        ("XCLAIM s g al 0 1-1 TIME 7 RETRYCOUNT 2 FORCE JUSTID LASTID 1-1", "[al]"),
        // As primaries before 7.0 send it.
        (
            "XCLAIM s g bo 0 1-1 TIME 9 RETRYCOUNT 3 FORCE JUSTID LASTID 1-1",
            "[al bo](1-1 bo x3 @9)",
        ),
    ] {
        let mut bench = Bench::with(gone);
        bench.keep(command);
        assert_eq!(bench.dump(), format!("{head}{tail}"), "{command}");
    }
}

#[test]
fn deliveries_are_acknowledged_or_given_back() {
    check(ANSWERED);
    let mut bench = Bench::with(TWO);
    bench.keep("XNACK s g FAIL IDS 1 1-1; XCLAIM s g bo 0 1-1 TIME 9 RETRYCOUNT 2 JUSTID");
    assert_eq!(bench.dump(), "s=|1-1 f=a, 2-1 f=b| g<1-1>[al bo](1-1 bo x2 @9)");
    // An entry that was given back and deleted is claimed by nobody.
    bench.keep("XNACK s g FAIL IDS 1 1-1; XDEL s 1-1; XCLAIM s g bo 0 1-1");
    assert_eq!(bench.dump(), "s=|2-1 f=b| del 1-1 added 2 g<1-1>[al bo]");
}

#[test]
fn consumers_are_seen_when_they_ask_and_active_when_they_get_something() {
    let mut bench = Bench::with(TWO);
    bench.keep("XGROUP CREATECONSUMER s g bo; XGROUP CREATECONSUMER s g ca; XCLAIM s g ca 0 9-9");
    let Some(Value::Stream(stream)) = bench.entry("s").unwrap().value else { panic!("no stream") };
    let group = stream.group(b"g").unwrap();
    let times: Vec<_> =
        group.consumers().map(|c| (c.seen_at_ms, c.active_at_ms, c.pending)).collect();
    assert_eq!(times, [(NOW_MS, Some(NOW_MS), 1), (NOW_MS, None, 0), (NOW_MS, None, 0)]);
}

#[test]
fn messages_are_remembered_by_their_producers_names() {
    let mut bench = Bench::default();
    let mut shown = |commands: &str| {
        bench.keep(commands);
        assert_eq!(bench.failures, [""; 0], "{commands}");
        let Some(Value::Stream(stream)) = bench.entry("s").unwrap().value else { panic!() };
        let idmp = stream.idmp().unwrap();
        let all =
            idmp.messages().map(|m| format!("{}/{}={}", text(m.producer), text(m.name), m.id));
        (all.collect::<Vec<_>>().join(" "), idmp.duration_s, idmp.entries_max, idmp.added)
    };
    let wanted =
        |messages: &str, duration, most, added| (messages.to_owned(), duration, most, added);
    let late = NOW_MS - 50_000;
    let some = shown(&format!("XADD s IDMP p m {late}-1 f v; XADD s IDMPAUTO q {late}-2 f v"));
    assert_eq!(some, wanted(&format!("p/m={late}-1"), 100, 100, 2));
    let some = shown(&format!("XIDMPRECORD s q n {late}-2"));
    assert_eq!(some, wanted(&format!("p/m={late}-1 q/n={late}-2"), 100, 100, 3));
    assert_eq!(shown("XCFGSET s IDMP-DURATION 40"), wanted("", 40, 100, 3));
    assert_eq!(shown("xcfgset s idmp-maxsize 1 IDMP-DURATION 30"), wanted("", 30, 1, 3));
    let at = NOW_MS;
    let some = shown(&format!("XADD s IDMP p a {at}-1 f v; XADD s IDMP p b {at}-2 f v"));
    assert_eq!(some, wanted(&format!("p/b={at}-2"), 30, 1, 5));
}

#[test]
fn an_empty_stream_is_a_key_and_keeps_its_deadline() {
    let mut bench = Bench::with("XADD s 5-1 f v; PEXPIREAT s 2000000; XTRIM s MAXLEN 0");
    assert_eq!(bench.dump(), "s=|| last 5-1 added 1 @2000000");
    bench.keep("RENAME s t; COPY t u");
    assert_eq!(bench.dump(), "t=|| last 5-1 added 1 @2000000; u=|| last 5-1 added 1 @2000000");
    bench.keep("DEL t u");
    assert_eq!(bench.dump(), "");
}

#[test]
fn what_cannot_be_is_refused_and_changes_nothing() {
    let before = "SET k v; XADD s 1-1 f a; XADD s 2-1 f b; XGROUP CREATE s g 1-1";
    for command in [
        "XADD k 5-1 f v",
        "XADD s 2-1 f v",
        "XADD s 1-9 f v",
        "XADD s * f v",
        "XADD s 5-* f v",
        "XADD s 5-1 f",
        "XADD s 5-1 f v g",
        "XADD s 5-1",
        "XADD s x f v",
        "XADD none 0-0 f v",
        "XADD s MAXLEN ~ 5 5-1 f v",
        "XADD s MAXLEN -1 5-1 f v",
        "XADD s MAXLEN 5-1 f v",
        "XADD s MAXLEN",
        "XADD s IDMP p",
        "XADD s NOMKSTREAM KEEPREF ACKED",
        "XADD s LIMIT x 5-1 f v",
        "XTRIM s MAXLEN ~ 1",
        "XTRIM s MAXLEN 1 BOGUS",
        "XTRIM s LIMIT 5",
        "XTRIM s MINID x",
        "XTRIM k MAXLEN 1",
        "XDEL s",
        "XDEL s x",
        "XDEL s 1-1 x",
        "XDEL k 1-1",
        "XDELEX s IDS 2 1-1",
        "XDELEX s IDS 0 1-1",
        "XDELEX s IDS -1 1-1",
        "XDELEX s IDS 9223372036854775807 1-1",
        "XDELEX s ACKED DELREF KEEPREF",
        "XDELEX s IDS 1 1-1 BOGUS",
        "XSETID s 1-9",
        "XSETID none 5-5",
        "XSETID s 5-5 ENTRIESADDED -1",
        "XSETID s 5-5 ENTRIESADDED",
        "XSETID s 5-5 BOGUS 1",
        "XCFGSET s BOGUS 1",
        "XCFGSET s IDMP-DURATION",
        "XCFGSET none IDMP-DURATION 1",
        "XIDMPRECORD none p m 1-1",
        "XIDMPRECORD s p m x",
        "XGROUP CREATE none g 0",
        "XGROUP CREATE s g 0",
        "XGROUP CREATE s x",
        "XGROUP CREATE s x y",
        "XGROUP CREATE s x 0 BOGUS",
        "XGROUP CREATE s x 0 ENTRIESREAD -2",
        "XGROUP CREATE k x 0 MKSTREAM",
        "XGROUP SETID s none 0",
        "XGROUP SETID none g 0",
        "XGROUP CREATECONSUMER s none al",
        "XGROUP CREATECONSUMER s g",
        "XGROUP DELCONSUMER s none al",
        "XGROUP BOGUS s g",
        "XACK s g",
        "XACK s g x",
        "XACK k g 1-1",
        "XACKDEL s g IDS 1 x",
        "XNACK s none FAIL IDS 1 1-1",
        "XNACK s g BOGUS IDS 1 1-1",
        "XNACK s g FAIL IDS 1 1-1 BOGUS",
        "XNACK s g FAIL IDS 1 1-1 RETRYCOUNT",
        "XNACK s g FAIL IDS 2 1-1 FORCE",
        "XCLAIM s none al 0 1-1",
        "XCLAIM none g al 0 1-1",
        "XCLAIM s g al 0 1-1 TIME",
        "XCLAIM s g al 0 1-1 TIME x",
        "XCLAIM s g al 0 1-1 BOGUS 1",
        "XCLAIM s g al 0",
    ] {
        let mut bench = Bench::with(before);
        let old = bench.dump();
        let heard = bench.keep(command);
        assert_eq!((heard.len(), bench.failures.len()), (0, 1), "{command}: {heard:?}");
        assert_eq!(bench.dump(), old, "{command}");
    }
}

#[test]
fn a_stream_that_is_withheld_is_offered_and_never_made_up() {
    let all = "XADD s 6-1 f v; XDEL s 1-1; XTRIM s MAXLEN 1; XGROUP CREATE s x 0; \
        XACK s g 1-1; XCLAIM s g al 0 1-1; XSETID s 9-9; XDELEX s IDS 1 1-1";
    let mut bench = Bench::with("SET k v");
    assert_eq!(bench.skip("XADD s 5-1 f v"), ["edit s |5-1 f=v| - skipped"]);
    bench.keep("PEXPIREAT s 2000000");
    let heard = bench.keep(all);
    assert_eq!(heard, ["edit s @2000000 ?"; 8]);
    // No edit ends a stream, so its deadline is known as long as there is one.
    assert_eq!(bench.dump(), "k=\"v\"; s=ghost @2000000");
    bench.keep("DEL s; XADD s 7-1 f v");
    assert_eq!(bench.show("s"), "|7-1 f=v|");
    // A skipped edit withholds the key.
    bench.skip("XADD s 8-1 f v");
    assert_eq!(bench.show("s"), "ghost");
    let mut other = Bench::with("XADD s 7-1 f v; XADD s 8-1 f v");
    let print = |bench: &Bench| known_fingerprint(&bench.entry("s").unwrap());
    assert_eq!(print(&bench), print(&other));
    other.skip("DEL s");
    assert_eq!(other.keep("XADD s 1-1 f v"), ["edit s ?"]);
    assert_eq!(other.show("s"), "|7-1 f=v, 8-1 f=v| frozen");
    other.scope.store = false;
    assert_eq!(other.keep("XADD s 1-1 f v"), ["edit s ?"]);
    assert_eq!(bench.failures, [""; 0]);
}

#[test]
fn other_types_refuse_commands_on_streams_and_the_other_way_round() {
    let mut bench = Bench::with("XADD s 5-1 f v");
    bench.keep("HSET s f 1; APPEND s x; INCR s");
    assert_eq!(bench.failures.len(), 3);
    assert_eq!(bench.entry("s").unwrap().value.unwrap().kind(), Type::Stream);
}
