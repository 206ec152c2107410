//! What *skip* means: each rule of the design, by example.

use super::*;
use crate::table::Shown;
use crate::value::{ABSENT, fingerprint};

/// What was applied and kept, what was applied and skipped, what the table has then.
#[test]
fn a_skipped_change_leaves_the_table_as_it_was_and_remembers_what_is_missing() {
    for (kept, skipped, after) in [
        // Over nothing: a ghost.
        ("", "SET k v", "k=ghost"),
        ("", "SET k v PXAT 2000000", "k=ghost @2000000"),
        ("", "INCR k", "k=ghost"),
        ("", "RESTORE k 0 text:v", "k=ghost"),
        ("", "RESTORE k 0 stream", "k=ghost"),
        ("SET a v", "COPY a b", "a=\"v\"; b=ghost"),
        // Over a value: it stays as it is, frozen.
        ("SET k v", "SET k w PX 5", "k=\"v\" frozen"),
        ("SET k v", "SET k v", "k=\"v\" frozen"),
        ("HSET h f 1", "SET h w", "h={f=1} frozen"),
        ("SET k v", "DEL k", "k=\"v\" frozen"),
        ("SET k v PX 5", "UNLINK k", "k=\"v\" @1000005 frozen"),
        ("HSET h f 1", "DEL h", "h={f=1} frozen"),
        ("SET k v PX 5", "PEXPIREAT k 2000000", "k=\"v\" @1000005 frozen"),
        ("SET k v PX 5", "PERSIST k", "k=\"v\" @1000005 frozen"),
        ("SET k v", "RESTORE k 0 stream REPLACE", "k=\"v\" frozen"),
        ("SET a v; SET b w", "RENAME a b", "a=\"v\" frozen; b=\"w\" frozen"),
        ("SET a v", "RENAME a b", "a=\"v\" frozen; b=ghost"),
        // An edit of a string withholds the key.
        ("SET k v", "APPEND k w", "k=ghost"),
        ("SET k 1 PX 5", "INCR k", "k=ghost @1000005"),
        ("SET k 1", "SETRANGE k 0 2", "k=ghost"),
        // Fields are skipped singly.
        ("", "HSET h f 1", "h={} lacks f"),
        ("HSET h f 1", "HSET h g 2 i 3", "h={f=1} lacks g i"),
        ("HSET h f 1", "HSET h f 2", "h={f=1} lacks f"),
        ("HSET h f 1 g 2", "HDEL h f", "h={f=1 g=2} lacks f"),
        ("HSET h f 1", "HDEL h f", "h={f=1} lacks f"),
        ("HSET h f 1", "HINCRBY h f 1", "h={f=1} lacks f"),
        ("HSET h f 1", "HPEXPIREAT h 2000000 FIELDS 1 f", "h={f=1} lacks f"),
        ("HSET h f 1; PEXPIRE h 5", "HSET h g 2", "h={f=1} @1000005 lacks g"),
    ] {
        let mut bench = Bench::with(kept);
        bench.skip(skipped);
        assert_eq!(bench.dump(), after, "{kept} | {skipped}");
    }
}

/// What comes after a skip, while everything is kept: what is heard, what the table has then.
struct After {
    kept: &'static str,
    skipped: &'static str,
    then: &'static str,
    heard: &'static [&'static str],
    table: &'static str,
}

#[test]
fn an_edit_of_a_ghost_is_offered_as_it_is_and_not_stored() {
    for (then, heard) in [
        ("INCR k", "edit k ?"),
        ("DECRBY k 5", "edit k ?"),
        ("APPEND k x", "edit k ?"),
        ("SETRANGE k 1 x", "edit k ?"),
        ("HSET k f 1", "hset k f=1 ?"),
        ("HINCRBY k f 1", "hset k f=? ?"),
        ("HSETEX k KEEPTTL FIELDS 1 f 1", "hset k f=1 ?"),
        ("HDEL k f", "hdel k f ?"),
        ("HPEXPIREAT k 2000000 FIELDS 1 f", "hexpire k f@2000000 ?"),
        ("HPERSIST k FIELDS 1 f", "hexpire k f ?"),
    ] {
        check("", "SET k v", then, &[heard], "k=ghost");
        check("", "SET k v; INCR k", then, &[heard], "k=ghost");
    }
    check("", "SET k v", "PEXPIREAT k 2000000", &["expire k @2000000 ?"], "k=ghost @2000000");
    check("", "SET k v PX 5", "PERSIST k", &["expire k ?"], "k=ghost");
    check("", "SET k v PX 5", "INCR k", &["edit k @1000005 ?"], "k=ghost @1000005");
}

#[test]
fn a_whole_value_ends_a_ghost() {
    check("", "SET k v", "SET k w", &["set k \"w\""], "k=\"w\"");
    check("", "SET k v", "MSET k w", &["set k \"w\""], "k=\"w\"");
    check("", "SET k v; INCR k", "RESTORE k 0 text:w", &["set k \"w\""], "k=\"w\"");
    let renamed = ["set k \"w\" (rename)", "delete a (rename) gone"];
    check("SET a w", "SET k v", "RENAME a k", &renamed, "k=\"w\"");
    // The deadline of what was skipped is known, so that it can be kept.
    check("", "SET k v PX 5", "SET k w KEEPTTL", &["set k \"w\" @1000005"], "k=\"w\" @1000005");
    check(
        "",
        "SET k v; PEXPIRE k 5",
        "SET k w KEEPTTL",
        &["set k \"w\" @1000005"],
        "k=\"w\" @1000005",
    );
    check(
        "SET k 1 PX 5",
        "INCR k",
        "SET k 3 KEEPTTL",
        &["set k \"3\" @1000005"],
        "k=\"3\" @1000005",
    );
}

#[test]
fn a_delete_ends_a_ghost_also_where_it_is_skipped_for_there_is_nothing_left_to_keep_out() {
    check("", "SET k v", "DEL k", &["delete k gone"], "");
    check("", "SET k v; DEL k", "", &[], "");
    check("", "SET k v; INCR k; DEL k", "INCR k", &["edit k \"1\""], "k=\"1\"");
    check("", "SET k v PX 5", "DEL k", &["delete k gone"], "");
    check("", "SET k v PXAT 5", "DEL k", &["delete k gone late"], "");
}

#[test]
fn what_is_frozen_stays_until_a_whole_value_or_a_delete_that_is_kept() {
    let frozen = "k=\"1\" @1000005 frozen";
    for skipped in ["SET k 2", "DEL k", "PERSIST k", "PEXPIREAT k 2000000"] {
        let kept = "SET k 1 PX 5";
        for (then, heard) in [
            ("INCR k", "edit k @1000005 ?"),
            ("APPEND k x", "edit k @1000005 ?"),
            ("HSET k f 1", "hset k f=1 @1000005 ?"),
            ("HDEL k f", "hdel k f @1000005 ?"),
            ("PEXPIREAT k 3000000", "expire k @3000000 ?"),
            ("PERSIST k", "expire k ?"),
            // It builds on a deadline that the table does not have.
            ("SET k 7 KEEPTTL", "set k \"7\" ?"),
        ] {
            check(kept, skipped, then, &[heard], frozen);
        }
        check(kept, skipped, "SET k 9", &["set k \"9\""], "k=\"9\"");
        check(kept, skipped, "DEL k", &["delete k gone"], "");
        check(kept, &format!("{skipped}; DEL k"), "", &[], frozen);
        check(kept, &format!("{skipped}; SET k 9"), "", &[], frozen);
        check(kept, &format!("{skipped}; SET k 9"), "SET k 8", &["set k \"8\""], "k=\"8\"");
    }
    check("HSET h f 1", "DEL h", "HSET h g 2", &["hset h g=2 ?"], "h={f=1} frozen");
    check("HSET h f 1", "DEL h", "HDEL h f", &["hdel h f ?"], "h={f=1} frozen");
}

#[test]
fn single_fields_are_withheld_and_the_others_followed() {
    let all = [
        After {
            kept: "HSET h f 1",
            skipped: "HSET h g 2",
            then: "HSET h f 5 i 6",
            // The whole value is not known while a field of it is withheld.
            heard: &["hset h f=5", "hset h i=6"],
            table: "h={f=5 i=6} lacks g",
        },
        After {
            kept: "HSET h f 1",
            skipped: "HSET h g 2",
            then: "HSET h g 3",
            heard: &["hset h g=3 of {f=1 g=3}"],
            table: "h={f=1 g=3}",
        },
        After {
            kept: "HSET h f 1",
            skipped: "HSET h g 2",
            then: "HINCRBY h g 1",
            heard: &["hset h g=? ?"],
            table: "h={f=1} lacks g",
        },
        After {
            kept: "HSET h f 1",
            skipped: "HSET h f 2",
            then: "HINCRBY h f 1",
            heard: &["hset h f=? ?"],
            table: "h={f=1} lacks f",
        },
        After {
            kept: "HSET h f 1",
            skipped: "HSET h g 2",
            then: "HINCRBY h f 1",
            heard: &["hset h f=2"],
            table: "h={f=2} lacks g",
        },
        After {
            kept: "HSETEX h PX 5 FIELDS 1 f 1",
            skipped: "HSET h f 2",
            then: "HSETEX h KEEPTTL FIELDS 1 f 3",
            heard: &["hset h f=3 ?"],
            table: "h={f=1@1000005} lacks f",
        },
        After {
            kept: "HSETEX h PX 5 FIELDS 2 f 1 g 1",
            skipped: "HSET h f 2",
            then: "HPEXPIREAT h 2000000 LT FIELDS 2 f g",
            // Whether the field meets the condition can't be known.
            heard: &["hexpire h f@2000000 ?"],
            table: "h={f=1@1000005 g=1@1000005} lacks f",
        },
        After {
            kept: "HSET h f 1",
            skipped: "HSET h g 2",
            then: "HDEL h g",
            heard: &["hdel h g of {f=1}"],
            table: "h={f=1}",
        },
        After {
            kept: "HSET h f 1",
            skipped: "HSET h g 2",
            then: "HDEL h f",
            heard: &["hdel h f"],
            table: "h={} lacks g",
        },
        After {
            kept: "HSET h f 1",
            skipped: "HSET h g 2",
            then: "HDEL h f g",
            heard: &["hdel h f", "hdel h g gone"],
            table: "",
        },
        After {
            kept: "",
            skipped: "HSET h g 2",
            then: "HDEL h none",
            heard: &[],
            table: "h={} lacks g",
        },
        After {
            kept: "",
            skipped: "HSET h g 2",
            then: "SET h v",
            heard: &["set h \"v\""],
            table: "h=\"v\"",
        },
        After {
            kept: "",
            skipped: "HSET h g 2",
            then: "DEL h",
            heard: &["delete h gone"],
            table: "",
        },
        After {
            kept: "",
            skipped: "HSET h g 2",
            then: "PEXPIRE h 5",
            heard: &["expire h @1000005"],
            table: "h={} @1000005 lacks g",
        },
    ];
    for After { kept, skipped, then, heard, table } in all {
        check(kept, skipped, then, heard, table);
    }
}

#[test]
fn a_removal_of_a_withheld_field_ends_it_also_where_it_is_skipped() {
    check("HSET h f 1", "HSET h g 2; HDEL h g", "", &[], "h={f=1}");
    check("", "HSET h g 2; HDEL h g", "", &[], "");
}

#[test]
fn a_hash_that_is_gone_at_the_primary_begins_anew_without_its_old_deadline() {
    let kept = "HSET h f 1 g 2; PEXPIRE h 5";
    let gone = ["hdel h g gone"];
    check(kept, "HDEL h f", "HDEL h g", &gone, "h={f=1} @1000005 lacks f");
    let heard = ["hdel h g gone", "hset h i=3"];
    check(kept, "HDEL h f", "HDEL h g; HSET h i 3", &heard, "h={f=1 i=3} lacks f");
    let mut bench = Bench::with(kept);
    bench.skip("HDEL h f");
    bench.run("HDEL h g f", &mut veto(&["hdel h f"]));
    assert_eq!(bench.dump(), "h={f=1} @1000005 lacks f");
    check(kept, "HDEL h f; HDEL h g; HSET h i 3", "", &[], "h={f=1 g=2} lacks f g i");
    check(kept, "HDEL h f; HDEL h g", "SET h v KEEPTTL", &["set h \"v\""], "h=\"v\"");
    // Then it can be of another type, too; what was kept stays.
    check("HSET h f 1", "HDEL h f", "INCR h", &["edit h ?"], "h={f=1} frozen lacks f");
}

#[test]
fn a_key_that_is_made_from_a_withheld_one_is_withheld() {
    for (kept, skipped) in [
        ("SET b old", "SET a v"),
        ("SET b old; SET a v", "SET a w"),
        ("SET b old; SET a v", "DEL a; SET a w"),
        ("SET b old; HSET a f 1", "HSET a g 2"),
    ] {
        let mut bench = Bench::with(kept);
        bench.skip(skipped);
        let source = bench.show("a");
        assert_eq!(bench.keep("COPY a b REPLACE"), ["set b ?"], "{kept} | {skipped}");
        assert_eq!((bench.show("a"), bench.show("b")), (source, "ghost".to_owned()));
        bench.keep("SET b old");
        let heard = bench.keep("RENAME a b");
        assert_eq!(heard, ["set b (rename) ?", "delete a (rename) gone"], "{kept} | {skipped}");
        assert_eq!(bench.dump(), "b=ghost");
        assert_eq!(bench.keep("MOVE b 1"), ["set 1/b (rename) ?", "delete b (rename) gone"]);
        assert_eq!(bench.dump(), "1/b=ghost");
    }
    // Nothing else of it is known, but its deadline is, unless that was withheld.
    check(
        "",
        "SET a v PX 5",
        "COPY a b",
        &["set b @1000005 ?"],
        "a=ghost @1000005; b=ghost @1000005",
    );
    check(
        "SET a v PX 5",
        "PERSIST a",
        "COPY a b",
        &["set b ?"],
        "a=\"v\" @1000005 frozen; b=ghost",
    );
    let heard = ["set b ?", "set b \"7\" ?"];
    check(
        "SET a v PX 5",
        "PERSIST a",
        "COPY a b; SET b 7 KEEPTTL",
        &heard,
        "a=\"v\" @1000005 frozen; b=ghost",
    );
    // Skipping that leaves what was there.
    let mut bench = Bench::with("SET b old");
    bench.skip("SET a v; COPY a b REPLACE");
    assert_eq!(bench.dump(), "a=ghost; b=\"old\" frozen");
}

#[test]
fn a_veto_removes_one_effect_of_a_command_and_no_other() {
    let mut bench = Bench::with("SET a 1; SET b 2");
    let heard = bench.run("RENAME a b", &mut veto(&["delete"]));
    assert_eq!(heard, ["set b \"1\" (rename)", "delete a (rename) gone - skipped"]);
    assert_eq!(bench.dump(), "a=\"1\" frozen; b=\"1\"");
    let mut bench = Bench::with("SET a 1; SET b 2");
    bench.run("RENAME a b", &mut veto(&["set"]));
    assert_eq!(bench.dump(), "b=\"2\" frozen");
    let mut bench = Bench::default();
    bench.run("MSET a 1 b 2 c 3", &mut veto(&["set b"]));
    assert_eq!(bench.dump(), "a=\"1\"; b=ghost; c=\"3\"");
    let mut bench = Bench::with("SET a 1; SET b 2");
    bench.run("DEL a b", &mut veto(&["delete a"]));
    assert_eq!(bench.dump(), "a=\"1\" frozen");
    let mut bench = Bench::default();
    bench.run("HSET h f 1 g 2 i 3", &mut veto(&["hset h g"]));
    assert_eq!(bench.dump(), "h={f=1 i=3} lacks g");
}

#[test]
fn within_a_unit_each_question_sees_the_effects_before_it_and_lookups_what_was_published_last() {
    let mut bench = Bench::with("SET k 1");
    let reader = bench.table.reader();
    let mut published = Vec::new();
    let heard = bench.run(
        "INCR k; INCR k; HSET h f 1; HSET h g 2; DEL h; SET k v; SELECT 2; SET k w; INCR n",
        &mut |change| {
            published
                .push(reader.read(0, b"k", |found| entry_shown(found.map(Shown::entry).as_ref())));
            let told = told(change);
            if told.starts_with("hset h g") { Verdict::Skip } else { Verdict::Keep }
        },
    );
    let wanted = [
        "edit k \"2\"",
        "edit k \"3\"",
        "hset h f=1 of {f=1}",
        "hset h g=2 of {f=1 g=2} - skipped",
        "delete h gone",
        "set k \"v\"",
        "set 2/k \"w\"",
        "edit 2/n \"1\"",
    ];
    assert_eq!(heard, wanted);
    assert_eq!(published, vec!["\"1\""; wanted.len()]);
    assert_eq!(bench.dump(), "2/k=\"w\"; 2/n=\"1\"; k=\"v\"");
    assert_eq!(bench.db, 2);
}

#[test]
fn within_a_unit_a_skip_holds_for_what_follows() {
    let mut bench = Bench::default();
    let heard = bench.run("SET k 1; INCR k; SET k 5; INCR k", &mut veto(&["set k \"1\""]));
    assert_eq!(heard, ["set k \"1\" - skipped", "edit k ?", "set k \"5\"", "edit k \"6\""]);
    assert_eq!(bench.dump(), "k=\"6\"");
}

#[test]
fn flush_and_swap_are_heard_and_can_not_be_skipped() {
    for (command, heard, after) in [
        ("FLUSHALL", "flush all - skipped", ""),
        ("FLUSHDB", "flush - skipped", "1/k=\"w\""),
        ("SWAPDB 0 1", "swap 1 - skipped", "1/f=\"v\" frozen; 1/g=ghost; 1/k=\"v\"; k=\"w\""),
    ] {
        let mut bench = Bench::with("SET k v; SET f v; SELECT 1; SET k w; SELECT 0");
        bench.skip("SET g v; DEL f");
        assert_eq!(bench.skip(command), [heard]);
        assert_eq!(bench.dump(), after);
    }
}

#[test]
fn a_flush_and_what_comes_after_it_in_the_same_unit_are_one() {
    let mut bench = Bench::with("SET a 1; SET b 2");
    bench.skip("SET g v");
    let heard = bench.keep("SET c 3");
    assert_eq!(heard.len(), 1);
    let heard = bench.run(
        "SET d 4; FLUSHDB; INCR a; SET g w; SWAPDB 0 5; SET a 9",
        &mut veto(&["flush", "swap"]),
    );
    assert_eq!(
        heard,
        [
            "set d \"4\"",
            "flush - skipped",
            "edit a \"1\"",
            "set g \"w\"",
            "swap 5 - skipped",
            "set a \"9\""
        ]
    );
    assert_eq!(bench.dump(), "5/a=\"1\"; 5/g=\"w\"; a=\"9\"");
}

#[test]
fn a_kept_write_is_a_new_version_and_a_skipped_one_is_not() {
    let mut bench = Bench::with("SET k v; HSET h f 1");
    let version = |bench: &Bench, key: &str| bench.entry(key).map(|entry| entry.version);
    let (first_k, first_h) = (version(&bench, "k"), version(&bench, "h"));
    assert_eq!((first_k, first_h), (Some(1), Some(2)));
    bench.skip("SET k w; PERSIST k; DEL k; HSET h g 1; HSET h f 2; HINCRBY h f 1; HDEL h f");
    bench.keep("INCR k; SET k w KEEPTTL; PEXPIRE k 5; HINCRBY h g 1; HPEXPIREAT h 5 FIELDS 1 f");
    assert_eq!((version(&bench, "k"), version(&bench, "h")), (first_k, first_h));
    bench.keep("SET k v");
    assert_eq!(version(&bench, "k"), Some(bench.unit));
    bench.keep("HSET h i 1");
    assert_eq!(version(&bench, "h"), Some(bench.unit));
    // The same value again is a write; another deadline is the same value.
    bench.keep("SET k v; SET k v");
    let again = bench.unit;
    assert_eq!(version(&bench, "k"), Some(again));
    bench.keep("PEXPIRE k 5; PERSIST k");
    assert_eq!(version(&bench, "k"), Some(again));
    // A value and its deadline in one unit are one new version.
    bench.run("SET k w; PEXPIRE k 5", &mut |_| Verdict::Keep);
    assert_eq!(version(&bench, "k"), Some(bench.unit));
    bench.run("HSET h f 9; HSET h g 9", &mut veto(&["hset h g"]));
    assert_eq!(version(&bench, "h"), Some(bench.unit));
    bench.run("SET k x; SET k y", &mut veto(&["set k \"y\""]));
    assert_eq!(version(&bench, "k"), Some(bench.unit));
}

#[test]
fn the_fingerprint_of_what_the_primary_has_is_kept_where_it_is_known() {
    let hash = |fields: &[(&'static str, &'static str)]| {
        let field = |text: &'static str| crate::value::Field::new(text.as_bytes());
        let fields = fields.iter().map(|(n, v)| (n, field(v)));
        Value::Hash(fields.collect())
    };
    let string = |text: &str| Value::string(text.as_bytes());
    let print = |value: Value, at| Some(fingerprint(&value, at));
    for (kept, skipped, then, wanted) in [
        ("", "SET k v", "", print(string("v"), None)),
        ("", "SET k v PX 5", "", print(string("v"), Some(1_000_005))),
        ("SET k v", "SET k w PX 5", "", print(string("w"), Some(1_000_005))),
        ("SET k 1", "INCR k", "", print(string("2"), None)),
        ("SET k v", "DEL k", "", Some(ABSENT)),
        ("SET k v", "PEXPIRE k 5", "", print(string("v"), Some(1_000_005))),
        ("SET k v", "", "", print(string("v"), None)),
        ("HSET k f 1", "HSET k g 2", "", print(hash(&[("f", "1"), ("g", "2")]), None)),
        ("HSET k f 1", "HSET k g 2", "HSET k f 3", print(hash(&[("f", "3"), ("g", "2")]), None)),
        ("HSET k f 1 g 2", "HSET k f 3", "HDEL k g", print(hash(&[("f", "3")]), None)),
        ("HSET k f 1 g 2", "HDEL k f", "", print(hash(&[("g", "2")]), None)),
        ("HSET k f 1 g 2", "HDEL k f", "PEXPIRE k 5", print(hash(&[("g", "2")]), Some(1_000_005))),
        (
            "HSET k f 1 g 2",
            "HDEL k f; PEXPIRE k 5",
            "",
            print(hash(&[("g", "2")]), Some(1_000_005)),
        ),
        ("HSET k f 1", "HDEL k f", "", Some(ABSENT)),
        // What builds on something withheld is not known, and a resync asks about it again.
        ("", "SET k v", "INCR k", None),
        ("SET k 1", "SET k 2", "INCR k", None),
        ("HSET k f 1", "HSET k g 2", "HINCRBY k g 1", None),
        (
            "HSET k f 1",
            "HSET k g 2",
            "HINCRBY k g 1; HSET k g 7",
            print(hash(&[("f", "1"), ("g", "7")]), None),
        ),
        ("", "SET a v", "COPY a k", None),
    ] {
        let mut bench = Bench::with(kept);
        bench.skip(skipped);
        bench.keep(then);
        let entry = bench.entry("k").unwrap();
        assert_eq!(known_fingerprint(&entry), wanted, "{kept} | {skipped} | {then}");
    }
}
