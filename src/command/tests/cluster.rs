//! What leaves with its slots: `foo` is in 12182, `bar` and all with the tag `{bar}` in 5061.

use super::rows::Case;
use super::*;

const KEYS: &str = "SET foo 1; SET bar 2; HSET x{bar} f v; SELECT 3; SET foo 3; SET bar 4";

pub(super) const CASES: &[Case] = &[
    (
        KEYS,
        "TRIMSLOTS RANGES 1 5061 5061",
        &["delete bar gone", "delete x{bar} gone", "delete 3/bar gone"],
        "3/foo=\"3\"; foo=\"1\"",
    ),
    (
        KEYS,
        "trimslots ranges 2 0 5060 5062 16383",
        &["delete foo gone", "delete 3/foo gone"],
        "3/bar=\"4\"; bar=\"2\"; x{bar}={f=v}",
    ),
    ("SET foo 1 PX 5; SET bar 2", "SFLUSH 12000 12182 0 0", &["delete foo gone"], "bar=\"2\""),
    ("SET foo 1", "SFLUSH 0 16383 ASYNC", &["delete foo gone"], ""),
    ("SET foo 1; SET bar 2", "CLUSTER FLUSHSLOT 12182 sync", &["delete foo gone"], "bar=\"2\""),
    ("SET foo 1", "CLUSTER SETSLOT 12182 NODE abc", &[], "foo=\"1\""),
    ("SET foo 1", "CLUSTER SYNCSLOTS FINISH", &[], "foo=\"1\""),
];

#[test]
fn what_is_no_range_of_slots_is_a_failure_and_changes_nothing() {
    for command in [
        "TRIMSLOTS RANGES 1 0",
        "TRIMSLOTS RANGES 2 0 1",
        "TRIMSLOTS RANGES 9223372036854775807 0 1",
        "TRIMSLOTS SLOTS 1 0 1",
        "TRIMSLOTS RANGES 1 0 16384",
        "TRIMSLOTS RANGES 1 5 4",
        "TRIMSLOTS RANGES 1 -1 4",
        "SFLUSH 1",
        "SFLUSH 1 2 3",
        "SFLUSH 1 ASYNC",
        "CLUSTER FLUSHSLOT",
        "CLUSTER FLUSHSLOT x",
        "CLUSTER MEET host 1",
    ] {
        let mut bench = Bench::with("SET foo 1");
        assert_eq!(bench.keep(command), [""; 0], "{command}");
        assert_eq!(bench.failures.len(), 1, "{command}");
        assert_eq!(bench.dump(), "foo=\"1\"", "{command}");
    }
}

#[test]
fn what_the_unit_itself_did_before_is_what_leaves() {
    let mut bench = Bench::with("SET foo 1; SET bar 2; SELECT 3; SET foo 3");
    bench.keep("SELECT 0");
    let heard = bench.run(
        "DEL foo; SET {bar}new 5; SWAPDB 0 3; FLUSHDB; TRIMSLOTS RANGES 1 0 16383",
        &mut |_| Verdict::Keep,
    );
    let trimmed: Vec<_> = heard.into_iter().filter(|told| told.starts_with("delete 3/")).collect();
    assert_eq!(trimmed, ["delete 3/bar gone", "delete 3/{bar}new gone"]);
    assert_eq!(bench.dump(), "");
}

#[test]
fn what_stays_by_a_veto_is_frozen_and_a_ghost_ends() {
    let mut bench = Bench::with("SET foo 1; SET bar 2");
    bench.skip("SET {bar}ghost 1");
    bench.run("TRIMSLOTS RANGES 1 0 16383", &mut veto(&["delete bar"]));
    assert_eq!(bench.dump(), "bar=\"2\" frozen");
}
