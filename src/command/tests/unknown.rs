//! Commands that nobody knows, on values that only their module understands.

use super::*;
use crate::value::Module;

fn module() -> Value {
    let payload = Bytes::from(&b"\x02\x01"[..]);
    Value::Module(Module { name: *b"vectorset", version: 1, payload })
}

/// A table with a module's value under `m`, due at 5, and a string under `s`.
fn bench() -> Bench {
    let mut bench = Bench::with("SET s x");
    bench.put("m", Entry::new(module(), Some(2_000_000)));
    bench
}

/// Tells the unit of a command that has no row; whether it only withheld a value, what was heard.
fn unknown(
    bench: &mut Bench,
    command: &str,
    decide: &mut dyn FnMut(&Change<'_>) -> Verdict,
) -> (bool, Vec<String>) {
    let mut gate = Script { decide, heard: Vec::new() };
    let args = words(command);
    let mut batch = bench.batch();
    let mut unit = Unit::new(bench.setting(), &mut gate, &mut batch, bench.db);
    let withheld = unit.unknown(&args);
    bench.unit += 1;
    bench.table.publish(batch, bench.stamp());
    (withheld, gate.heard)
}

fn told(withheld: bool, heard: &[&str]) -> (bool, Vec<String>) {
    (withheld, heard.iter().map(|&text| text.to_owned()).collect())
}

#[test]
fn a_module_value_is_withheld_once_it_changes_and_stays_known_as_one() {
    let mut bench = bench();
    let keep = &mut |_: &Change<'_>| Verdict::Keep;
    assert_eq!(unknown(&mut bench, "VADD m 1", keep), told(true, &["unknown", "set m @2000000 ?"]));
    // Whether the key is still there, and when it is due, nobody knows.
    assert_eq!(bench.show("m"), "ghost");
    assert_eq!(unknown(&mut bench, "vadd m 2", keep), told(true, &["unknown"]));
    for (command, key) in [("PEXPIREAT m 2000001", "m"), ("COPY m n", "n"), ("RENAME n o", "o")] {
        bench.keep(command);
        assert_eq!(unknown(&mut bench, &format!("VADD {key}"), keep), told(true, &["unknown"]));
    }
    bench.keep("SET m x");
    assert_eq!(unknown(&mut bench, "VADD m", keep), told(false, &["unknown"]));
    assert_eq!(bench.show("m"), "\"x\"");
}

#[test]
fn nothing_else_is_taken_for_a_module_value() {
    let mut bench = bench();
    bench.skip("SET ghost x; HSET hash f v");
    let keep = &mut |_: &Change<'_>| Verdict::Keep;
    for command in ["VADD s", "VADD none", "VADD ghost", "VADD hash", "VADD s m", "VADD"] {
        assert_eq!(unknown(&mut bench, command, keep), told(false, &["unknown"]), "{command}");
    }
    assert_eq!(bench.show("m"), "module vectorset @2000000");
}

#[test]
fn a_veto_keeps_the_old_value_and_remembers_what_the_primary_has() {
    let mut bench = bench();
    let heard = unknown(&mut bench, "VADD m 1", &mut veto(&["set m"]));
    assert_eq!(heard, told(true, &["unknown", "set m @2000000 ? - skipped"]));
    assert_eq!(bench.show("m"), "module vectorset @2000000 frozen");
    let keep = &mut |_: &Change<'_>| Verdict::Keep;
    assert_eq!(unknown(&mut bench, "VADD m 2", keep), told(true, &["unknown"]));
    assert_eq!(bench.show("m"), "module vectorset @2000000 frozen");
    // One that was never stored, and one in whose place a string was kept.
    bench.skip("COPY m new; COPY m s REPLACE");
    bench.put("m", Entry::new(module(), None));
    bench.skip("COPY m new; COPY m s REPLACE; RENAME m other");
    for key in ["new", "s", "other"] {
        assert_eq!(unknown(&mut bench, &format!("VADD {key}"), keep), told(true, &["unknown"]));
    }
    assert_eq!(bench.dump().split("; ").last(), Some("s=\"x\" frozen"));
    // The key that the primary has no longer is none of its module's.
    assert_eq!(unknown(&mut bench, "VADD m 2", keep), told(false, &["unknown"]));
}
