//! HyperLogLogs byte for byte: the digests are those of `DEBUG DIGEST-VALUE` of Redis 6.2.14,
//! 7.0.15 and 8.2.3, which all said the same. Those of other formulas come with recorded sessions.

use super::rows::Case;
use super::*;
use crate::value::{DigestRules, ScoreText, value_digest};

/// One to which nothing was added.
const EMPTY: &str = "\"HYLL\\u{1}\\0\\0\\0\\0\\0\\0\\0\\0\\0\\0\u{fffd}\\u{7f}\u{fffd}\"";

/// The bytes are not text; here is what can be told without them.
pub(super) const CASES: &[Case] = &[
    (
        "",
        "PFADD k",
        &["edit k \"HYLL\\u{1}\\0\\0\\0\\0\\0\\0\\0\\0\\0\\0\u{fffd}\\u{7f}\u{fffd}\""],
        "k=\"HYLL\\u{1}\\0\\0\\0\\0\\0\\0\\0\\0\\0\\0\u{fffd}\\u{7f}\u{fffd}\"",
    ),
    (
        "",
        "pfmerge k none",
        &["edit k \"HYLL\\u{1}\\0\\0\\0\\0\\0\\0\\0\\0\\0\\0\u{fffd}\\u{7f}\u{fffd}\""],
        "k=\"HYLL\\u{1}\\0\\0\\0\\0\\0\\0\\0\\0\\0\\0\u{fffd}\\u{7f}\u{fffd}\"",
    ),
    (
        "PFADD k",
        "PFCOUNT k k",
        &[],
        "k=\"HYLL\\u{1}\\0\\0\\0\\0\\0\\0\\0\\0\\0\\0\u{fffd}\\u{7f}\u{fffd}\"",
    ),
    (
        "PFADD k",
        "PFDEBUG ENCODING k",
        &[],
        "k=\"HYLL\\u{1}\\0\\0\\0\\0\\0\\0\\0\\0\\0\\0\u{fffd}\\u{7f}\u{fffd}\"",
    ),
    ("", "PFCOUNT k", &[], ""),
];

/// Elements with these numbers.
fn elements(from: u32, to: u32) -> String {
    (from..to).map(|n| format!("e{n} ")).collect()
}

fn digest(bench: &Bench, key: &str) -> (String, usize) {
    let value = bench.entry(key).unwrap().value.unwrap();
    let rules = DigestRules {
        scores: ScoreText::Short,
        hash_field_mark: true,
        skip_expired_fields_at_ms: None,
    };
    let digest = value_digest(&value, false, &rules);
    (digest.iter().map(|byte| format!("{byte:02x}")).collect(), value.len())
}

#[test]
fn the_bytes_are_those_of_the_servers() {
    let [few, some, many, most] =
        [(0, 30), (0, 300), (0, 1500), (0, 20000)].map(|(from, to)| elements(from, to));
    let cases: &[(String, &str, usize)] = &[
        ("PFADD k".into(), "3926e2233fa0c4c69855f1dd0487160d6b7e7b48", 18),
        ("PFADD k a".into(), "09bcf2acb3c67acdc3f3e435cb5957e34eeba631", 21),
        ("PFADD k a b c; PFCOUNT k".into(), "145cfd7f960b7f24d04b5c1c0bf94a85eab91d90", 27),
        // The estimate stays where it is and is marked.
        (
            "PFADD k a b c; PFCOUNT k; PFADD k d".into(),
            "41a0b21eb01d30e620f44ebadba0b45ff93adf71",
            30,
        ),
        (
            format!("PFADD k {}; PFCOUNT k", elements(0, 100)),
            "a952ef4953eb3a85ae5826252d367e4d4c6630d6",
            285,
        ),
        (
            format!("PFADD k {}; PFCOUNT k", elements(0, 1200)),
            "1e1b676ecc5aa4838b61e1cc07692a6919d1157b",
            2235,
        ),
        (format!("PFADD k {many}; PFCOUNT k"), "0870cf9b83bcae321d9f95a0f1493e46836623c9", 2719),
        (format!("PFADD k {most}; PFCOUNT k"), "f8544ad2be1c5232d7772b0036f568f45d6bc9fc", 12304),
        (
            format!("PFADD a {some}; PFADD b {}; PFMERGE k a b; PFCOUNT k", elements(200, 500)),
            "06b77dbc22d23ab0a39555a58afe8eddf2ac4cea",
            1068,
        ),
        (
            format!("PFADD a {some}; PFADD b {}; PFMERGE k a b; PFCOUNT k", elements(200, 5000)),
            "41eed38b9ad2c11e4672810a3957ffdde04106e3",
            12304,
        ),
        (
            format!("PFADD k {few}; PFADD b {}; PFMERGE k b", elements(20, 50)),
            "30d02263542b7928f79cd04ab17dae9f43fe2979",
            157,
        ),
        (
            format!("PFADD k {few}; PFADD b {}; PFDEBUG TODENSE b; PFMERGE k b", elements(20, 50)),
            "32baf279a6531df068665e3224adadcfe6d5fb0b",
            12304,
        ),
        ("PFMERGE k".into(), "3926e2233fa0c4c69855f1dd0487160d6b7e7b48", 18),
        (
            format!("PFADD k {}; PFDEBUG GETREG k", elements(0, 50)),
            "32baf279a6531df068665e3224adadcfe6d5fb0b",
            12304,
        ),
    ];
    for (commands, wanted, len) in cases {
        let bench = Bench::with(commands);
        assert_eq!(digest(&bench, "k"), ((*wanted).to_owned(), *len), "{commands:.80}");
    }
}

#[test]
fn it_is_an_edit_that_keeps_the_deadline_and_an_estimate_that_is_there_changes_nothing() {
    let mut bench = Bench::with("PFADD k; PEXPIRE k 5");
    assert_eq!(bench.dump(), format!("k={EMPTY} @1000005"));
    let heard = bench.keep("PFADD k a; PFCOUNT k; PFCOUNT k; PFMERGE k k");
    let heads: Vec<_> = heard.iter().map(|told| &told[..6]).collect();
    assert_eq!(heads, ["edit k", "edit k", "edit k"]);
    assert!(heard.iter().all(|told| told.ends_with(" @1000005")), "{heard:?}");
}

#[test]
fn what_is_no_hyperloglog_is_a_failure_and_changes_nothing() {
    for command in [
        "PFADD s x",
        "PFADD h x",
        "PFCOUNT s",
        "PFCOUNT h",
        "PFMERGE d s",
        "PFMERGE s k",
        "PFMERGE d h",
        "PFMERGE d k short",
        "PFADD short a",
        "PFADD short z",
        "PFDEBUG TODENSE s",
        "PFDEBUG TODENSE short",
        "PFDEBUG TODENSE none",
    ] {
        let mut bench = Bench::with("SET s x; HSET h f v; PFADD k a");
        // A header that promises registers that are not there.
        let text = format!("HYLL\u{1}{}\u{1}", "\0".repeat(11));
        bench.put("short", Entry::new(Value::string(text.as_bytes()), None));
        let before = bench.dump();
        assert_eq!(bench.keep(command), [""; 0], "{command}");
        assert_eq!(bench.failures.len(), 1, "{command}");
        assert_eq!(bench.dump(), before, "{command}");
    }
}

#[test]
fn one_that_was_withheld_makes_all_unknown_that_is_made_of_it() {
    let mut bench = Bench::with("PFADD k a; PFADD d b; PEXPIRE d 5");
    bench.skip("PFADD g a");
    assert_eq!(bench.keep("PFMERGE d k g"), ["set d @1000005 ?"]);
    assert_eq!(bench.show("d"), "ghost @1000005");
    assert_eq!(bench.keep("PFADD g b"), ["edit g ?"]);
    assert_eq!(bench.keep("PFCOUNT g"), ["edit g ?"]);
    assert_eq!(bench.keep("PFMERGE g k"), ["set g ?"]);
}
