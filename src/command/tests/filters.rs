//! What the options leave out, and programs that only listen.

use super::*;

fn bench(databases: Option<Vec<Db>>, keys: &[&str], exclude: &[&str]) -> Bench {
    let patterns = |list: &[&str]| list.iter().map(|p| p.as_bytes().to_vec()).collect();
    let (keys, exclude_keys) = (patterns(keys), patterns(exclude));
    Bench { scope: Scope { databases, keys, exclude_keys, store: true }, ..Bench::default() }
}

#[test]
fn nobody_is_asked_about_what_is_left_out_and_it_leaves_no_ghost() {
    let mut bench = bench(Some(vec![0, 2]), &["user:*", "tmp:*"], &["tmp:*"]);
    for command in [
        "SET tmp:1 v",
        "SET other v",
        "INCR tmp:1",
        "APPEND other x",
        "HSET tmp:h f 1",
        "HINCRBY tmp:h f 1",
        "HDEL tmp:h f",
        "HPEXPIREAT tmp:h 5 FIELDS 1 f",
        "DEL tmp:1 other",
        "PEXPIREAT tmp:1 5",
        "PERSIST other",
        "RENAME tmp:1 other",
        "COPY other tmp:2",
        "RESTORE tmp:1 0 stream",
        "RESTORE tmp:1 x damaged",
        "SET other v KEEPTTL",
    ] {
        assert_eq!(bench.skip(command), [""; 0], "{command}");
    }
    bench.keep("SELECT 1");
    for command in ["SET user:1 v", "INCR user:2", "FLUSHDB", "SWAPDB 1 3", "DEL user:1"] {
        assert_eq!(bench.keep(command), [""; 0], "{command}");
    }
    assert_eq!((bench.dump(), bench.asked.all), (String::new(), 0));
    assert_eq!(bench.failures, [""; 0]);
    let heard = bench.keep("SELECT 2; MSET tmp:1 a user:1 b other c; DEL other user:1");
    assert_eq!(heard, ["set 2/user:1 \"b\"", "delete 2/user:1 gone"]);
}

#[test]
fn what_is_made_from_something_left_out_is_withheld() {
    let mut bench = bench(Some(vec![0]), &[], &["tmp:*"]);
    assert_eq!(bench.keep("RENAME tmp:1 a"), ["set a (rename) ?"]);
    assert_eq!(bench.keep("COPY tmp:1 b"), ["set b ?"]);
    assert_eq!(bench.dump(), "a=ghost; b=ghost");
    // Not even the deadline is known.
    assert_eq!(bench.keep("SET b v KEEPTTL"), ["set b \"v\" ?"]);
    assert_eq!(bench.keep("SET b v"), ["set b \"v\""]);
    bench.keep("SELECT 1");
    assert_eq!(bench.keep("MOVE c 0"), ["set c (rename) ?"]);
    assert_eq!(bench.keep("COPY c d DB 0"), ["set d ?"]);
    bench.keep("SELECT 0");
    // And what becomes something left out is gone.
    assert_eq!(bench.keep("RENAME b tmp:9"), ["delete b (rename) gone"]);
    assert_eq!(bench.keep("MOVE a 1"), ["delete a (rename) gone"]);
    assert_eq!(bench.dump(), "c=ghost; d=ghost");
}

/// The keys that are withheld only because of a filter.
fn filtered(bench: &Bench) -> String {
    let mut names: Vec<_> = bench
        .table
        .entries()
        .filter(|(_, _, entry)| entry.is_filtered())
        .map(|(_, key, _)| text(&key))
        .collect();
    names.sort();
    names.join(" ")
}

#[test]
fn what_is_withheld_only_because_of_a_filter_is_known_as_such() {
    for (kept, commands, wanted) in [
        // Each that reads what is left out.
        ("", "RENAME tmp:1 k", "k"),
        ("", "COPY tmp:1 k; COPY k l; RENAME l m", "k m"),
        ("SET k v", "SUNIONSTORE k tmp:1", "k"),
        ("", "SINTERSTORE k tmp:1 tmp:2; SDIFFSTORE l k tmp:1", "k l"),
        (
            "",
            "ZUNIONSTORE k 1 tmp:1; ZRANGESTORE l tmp:1 0 1; \
             GEOSEARCHSTORE m tmp:1 FROMMEMBER a BYRADIUS 1 m",
            "k l m",
        ),
        ("", "BITOP NOT k tmp:1; PFMERGE l tmp:1; SORT tmp:1 STORE m", "k l m"),
        ("RPUSH l x", "LMOVE tmp:1 k LEFT LEFT; RPOPLPUSH tmp:1 l", "k l"),
        ("RPUSH l x", "SORT l BY tmp:* STORE k; BLPOP tmp:1 l 0", "k l"),
        // An edit leaves it so, a whole value ends it, and so does a delete.
        ("", "COPY tmp:1 k; APPEND k x; PEXPIREAT k 2000000; PERSIST k", "k"),
        ("", "COPY tmp:1 k; SADD k x; ZREM k x; HINCRBY k f 1; LPUSH k x; LPOP k", "k"),
        ("", "COPY tmp:1 k; SET k v KEEPTTL", "k"),
        ("", "COPY tmp:1 k; SET k v; COPY tmp:1 l; DEL l", ""),
        // What only the primary can know is withheld for another reason.
        ("", "RESTORE k 0 stream; COPY k l", ""),
        ("", "RESTORE k 0 stream; SUNIONSTORE l k tmp:1", ""),
    ] {
        let mut bench = bench(None, &[], &["tmp:*"]);
        if !kept.is_empty() {
            bench.keep(kept);
        }
        bench.keep(commands);
        assert_eq!(filtered(&bench), wanted, "{kept} | {commands}");
    }
}

#[test]
fn what_was_skipped_is_not_withheld_because_of_a_filter() {
    for (veto_on, commands, wanted) in [
        ("set k", "COPY tmp:1 k; COPY tmp:1 l", "l"),
        ("set k", "COPY tmp:1 k; COPY k l; SUNIONSTORE m tmp:1 k", ""),
        ("set k", "COPY tmp:1 k; SET l v; SUNIONSTORE l tmp:1", "l"),
        ("edit k", "COPY tmp:1 k; APPEND k x; COPY k l", ""),
        ("expire k", "COPY tmp:1 k; PEXPIREAT k 2000000", ""),
        ("hset k f", "COPY tmp:1 k; HSET k g 1; HSET k f 1; HSET k g 2", ""),
        ("set k", "SET k v; LMOVE k l LEFT LEFT; LMOVE tmp:1 k LEFT LEFT", ""),
        ("set s", "SET s v; COPY tmp:1 k; LMOVE s k LEFT LEFT", ""),
        ("sadd k a", "SADD k a b; SUNIONSTORE l k tmp:1; COPY k m", ""),
    ] {
        let mut bench = bench(None, &[], &["tmp:*"]);
        for command in commands.split(';') {
            bench.run(command, &mut veto(&[veto_on]));
        }
        assert_eq!(filtered(&bench), wanted, "{veto_on} | {commands}");
    }
}

#[test]
fn a_swap_with_a_database_that_is_not_followed_can_not_be_followed() {
    let mut bench = bench(Some(vec![0, 1]), &[], &[]);
    bench.keep("SET k v");
    assert_eq!(bench.keep("SWAPDB 0 2"), [""; 0]);
    assert_eq!(bench.failures.len(), 1);
    assert_eq!(bench.keep("SWAPDB 1 0"), ["swap 1/ 0"]);
    assert_eq!(bench.dump(), "1/k=\"v\"");
    // Without a table there is nothing to get wrong.
    bench.scope.store = false;
    assert_eq!(bench.keep("SWAPDB 0 2"), ["swap 2"]);
    assert_eq!(bench.failures.len(), 1);
}

#[test]
fn without_a_table_everything_is_heard_and_nothing_stored() {
    let mut bench = Bench::default();
    bench.scope.store = false;
    for (command, heard) in [
        ("SET k v PX 5", &["set k \"v\" @1000005"][..]),
        ("SET k v KEEPTTL", &["set k \"v\" ?"]),
        ("SETEX k 5 v", &["set k \"v\" @1005000"]),
        ("INCR k", &["edit k ?"]),
        ("APPEND k v", &["edit k ?"]),
        ("HSET h f 1 g 2", &["hset h f=1", "hset h g=2"]),
        ("HSETEX h PXAT 5 FIELDS 1 f 1", &["hset h f=1@5 late"]),
        ("HINCRBY h f 1", &["hset h f=? ?"]),
        ("HDEL h f", &["hdel h f"]),
        ("HPEXPIREAT h 5 NX FIELDS 1 f", &["hexpire h f@5 late ?"]),
        ("PEXPIREAT k 2000000", &["expire k @2000000"]),
        ("PERSIST k", &["expire k"]),
        ("DEL k none", &["delete k gone", "delete none gone"]),
        ("RENAME a b", &["set b (rename) ?", "delete a (rename) gone"]),
        ("COPY a b", &["set b ?"]),
        ("MOVE a 1", &["set 1/a (rename) ?", "delete a (rename) gone"]),
        ("RESTORE k 0 text:v", &["set k \"v\""]),
        ("FLUSHALL", &["flush all"]),
        ("SWAPDB 0 1", &["swap 1"]),
    ] {
        assert_eq!(bench.keep(command), heard, "{command}");
        assert_eq!(bench.skip(command).len(), heard.len(), "{command}");
        assert_eq!(bench.dump(), "");
    }
    assert_eq!(bench.failures, [""; 0]);
}

#[test]
fn an_unknown_command_is_told_with_its_arguments_and_changes_nothing() {
    let bench = Bench::default();
    let mut args_heard = 0;
    let mut decide = |change: &Change<'_>| {
        args_heard = change.args.len();
        Verdict::Skip
    };
    let mut gate = Script { decide: &mut decide, heard: Vec::new() };
    let args: Vec<&[u8]> = vec![b"XADD", b"s", b"1-1", b"f", b"v"];
    let mut batch = bench.batch();
    let mut unit = Unit::new(bench.setting(), &mut gate, &mut batch, 3);
    unit.unknown(&args);
    let (asked, db) = unit.finish();
    assert!(batch.is_empty());
    assert_eq!((asked.all, db), (1, 3));
    assert_eq!(gate.heard, ["unknown 3/ - skipped"]);
    assert_eq!(args_heard, 5);
}
