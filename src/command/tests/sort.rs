//! SORT ... STORE, in the order that the servers give it.

use super::rows::Case;
use super::*;

pub(super) const CASES: &[Case] = &[
    ("RPUSH l 3 1 10 2", "SORT l STORE l", &["set l [1 2 3 10]"], "l=[1 2 3 10]"),
    ("RPUSH l 1; SET d v PX 5", "sort l store d", &["set d [1]"], "d=[1]; l=[1]"),
    ("SET d v", "SORT none STORE d", &["delete d gone"], ""),
    ("", "SORT none ALPHA STORE d", &[], ""),
    ("RPUSH d 2 1", "SORT d", &[], "d=[2 1]"),
];

const SETUP: &str = "RPUSH l 3 1 10 2; SADD s 3 1 10 2; SET w3 1; SET w1 7; SET w10 7; \
                     SET o3 x; SET o1 y; HSET h3 f 1 g x; HSET h1 f 2; HSET h10 f -1; RPUSH w2 not";

fn bench() -> Bench {
    let mut bench = Bench::with(SETUP);
    let zset = [("3", 1.0), ("1", 2.0), ("10", 3.0), ("2", 4.0)];
    bench.put("z", Entry::new(Value::Zset(zset.into_iter().collect()), None));
    bench
}

#[track_caller]
fn check(bench: &mut Bench, command: &str, after: &str) {
    bench.keep(&format!("{command} STORE d"));
    assert_eq!(bench.show("d"), after, "{command}");
    assert_eq!(bench.failures, [""; 0], "{command}");
}

#[test]
fn order_limits_and_what_is_got() {
    let mut bench = bench();
    for (command, after) in [
        ("SORT s", "[1 2 3 10]"),
        ("SORT z DESC", "[10 3 2 1]"),
        ("SORT l DESC ASC", "[1 2 3 10]"),
        ("SORT l ALPHA", "[1 10 2 3]"),
        ("SORT s ALPHA DESC", "[3 2 10 1]"),
        ("SORT l LIMIT 1 2", "[2 3]"),
        ("SORT l LIMIT 1 2 DESC", "[3 2]"),
        ("SORT l LIMIT 1 -1", "[2 3 10]"),
        ("SORT l LIMIT -5 1", "[1]"),
        ("SORT l LIMIT 3 9223372036854775807", "[10]"),
        ("SORT l LIMIT 4 1", "-"),
        ("SORT l LIMIT 0 0", "-"),
        ("SORT l LIMIT 9223372036854775807 9223372036854775807", "-"),
        // What has no weight, or none that is a string, weighs nothing; between equals the
        // elements decide, as text.
        ("SORT l BY w*", "[2 3 1 10]"),
        ("SORT l BY w* DESC", "[10 1 3 2]"),
        ("SORT s BY none*", "[1 10 2 3]"),
        ("SORT z BY none* DESC LIMIT 0 2", "[3 2]"),
        ("SORT l BY h*->f", "[10 2 3 1]"),
        ("SORT l BY h*->f ALPHA", "[2 10 3 1]"),
        ("SORT l BY o* ALPHA DESC", "[1 3 10 2]"),
        // As text equals stay as a list has them, also downwards.
        ("SORT l BY w* ALPHA", "[2 3 1 10]"),
        ("SORT l BY w* ALPHA DESC", "[1 10 3 2]"),
        ("SORT l BY none* ALPHA", "[3 1 10 2]"),
        ("SORT l LIMIT 0 2 GET # GET o* GET none", "[1 y  2  ]"),
        ("SORT l LIMIT 0 1 GET h*->f GET h*->none GET h* GET w*->f GET #", "[2    1]"),
        ("SORT l LIMIT 2 1 GET h*->g GET h*-> GET ## GET #", "[x   3]"),
        // By a constant: a list and a sorted set stay as they are, forwards or backwards; a set is
        // sorted as text all the same.
        ("SORT l BY nosort", "[3 1 10 2]"),
        ("SORT l BY nosort DESC", "[2 10 1 3]"),
        ("SORT l BY nosort DESC LIMIT 1 2", "[10 1]"),
        ("SORT z BY nosort", "[3 1 10 2]"),
        ("SORT z BY # DESC", "[2 10 1 3]"),
        ("SORT z BY nosort LIMIT 1 2", "[1 10]"),
        ("SORT z BY nosort DESC LIMIT 0 1 GET # GET o*", "[2 ]"),
        ("SORT s BY nosort", "[1 10 2 3]"),
        ("SORT s BY nosort DESC LIMIT 1 2", "[2 10]"),
        ("SORT l BY nosort BY w*", "[3 1 10 2]"),
    ] {
        check(&mut bench, command, after);
        bench.keep("DEL d");
    }
}

#[test]
fn numbers_are_read_as_the_servers_read_them() {
    let mut bench = Bench::default();
    let texts: [&[u8]; 14] = [
        b"-inf",
        b"-1",
        b"",
        b"\x007",
        b"4e-324",
        b".5",
        b" 0x1p-1",
        b"1\x00x",
        b"\t 1.0",
        b"01",
        b"9007199254740993",
        b"1e17",
        b"1e999",
        b"infinity",
    ];
    let mut push: Vec<&[u8]> = vec![b"RPUSH", b"l"];
    push.extend(texts.iter().rev());
    bench.run_words(&[push, words("SORT l STORE d")], &mut |_| Verdict::Keep);
    assert_eq!(bench.failures, [""; 0]);
    let Some(Value::List(list)) = bench.entry("d").and_then(|entry| entry.value) else { panic!() };
    let mut wanted = texts.to_vec();
    // Equal numbers in the order of their bytes.
    wanted[2..4].sort_unstable();
    wanted[5..7].sort_unstable();
    wanted[7..10].sort_unstable();
    wanted[12..14].sort_unstable();
    let got: Vec<&[u8]> = list.iter().collect();
    assert_eq!(got, wanted);
    for text in ["nan", "1x", "x", "0x", "-"] {
        let mut bench = Bench::with(&format!("RPUSH l 1 {text}; SET d v"));
        assert_eq!(bench.keep("SORT l STORE d"), [""; 0], "{text}");
        assert_eq!(bench.failures, ["what is to be sorted is not a number"], "{text}");
        assert_eq!(bench.keep("SORT l BY nosort STORE d; SORT l ALPHA STORE d").len(), 2, "{text}");
    }
}

#[test]
fn what_it_reads_and_lacks_withholds_the_result() {
    for (skipped, command, after) in [
        ("SET l v", "SORT l", "ghost"),
        ("SADD s 9", "SORT s ALPHA", "ghost"),
        ("DEL l", "SORT l", "-"),
        ("SET w1 5", "SORT l BY w*", "ghost"),
        ("DEL w1", "SORT l BY w*", "[1 2 3 10]"),
        ("SET w1 5", "SORT l BY w* LIMIT 0 0", "-"),
        ("SET o1 5", "SORT l LIMIT 0 1 GET o*", "ghost"),
        ("SET o1 5", "SORT l LIMIT 1 1 GET o*", "[]"),
        ("HSET h1 f 3", "SORT l BY h*->f", "ghost"),
        ("HSET h1 g 3", "SORT l BY h*->f", "[10 2 3 1]"),
        ("HSET h1 g 3", "SORT l LIMIT 0 1 GET h*", "ghost"),
    ] {
        let mut bench = bench();
        bench.skip(skipped);
        check(&mut bench, command, after);
    }
    let mut bench = bench();
    bench.scope.exclude_keys = vec![b"w*".to_vec()];
    check(&mut bench, "SORT l BY w*", "ghost");
    assert_eq!(bench.keep("SORT l STORE w1"), [""; 0]);
}

#[test]
fn an_order_that_only_the_primary_knows_is_not_made_up() {
    for (command, known) in [
        ("SORT s BY none* ALPHA", false),
        ("SORT z BY w* ALPHA", false),
        ("SORT l BY w* ALPHA LIMIT 0 3", false),
        ("SORT l BY w* ALPHA LIMIT 0 2", true),
        ("SORT l BY w* ALPHA LIMIT 0 4", true),
        ("SORT s BY w* ALPHA LIMIT 0 2", true),
        ("SORT s BY w* ALPHA LIMIT 1 2", false),
        ("SORT s BY none* ALPHA LIMIT 2 0", true),
        ("SORT m BY none* ALPHA LIMIT 0 1", true),
    ] {
        let mut bench = bench();
        bench.keep("RPUSH m x x x");
        bench.keep(&format!("{command} STORE d"));
        assert_eq!(bench.show("d") != "ghost", known, "{command}");
        assert_eq!(bench.failures.is_empty(), known, "{command}");
    }
}

#[test]
fn a_list_that_grows_with_each_sort_ends_at_max_memory() {
    let mut bench = Bench::with("RPUSH l a b c d");
    bench.max_memory = 10_000;
    for _ in 0..40 {
        bench.keep("SORT l BY none GET # GET # STORE l");
    }
    assert!(bench.failures.len() > 20 && bench.failures[0].contains("max-memory"));
    assert!(bench.table.memory() < 10_000);
}
