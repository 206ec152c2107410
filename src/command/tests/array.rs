//! Arrays: what each command makes of them. The ring's rules are those of the servers' own tests of
//! it; a recorded session of a server that has arrays is played by `tests/corpus.rs`.

use super::rows::Case;
use super::*;

pub(super) const CASES: &[Case] = &[
    ("", "ARSET a 3 x y", &["edit a |3=x 4=y|"], "a=|3=x 4=y|"),
    ("ARSET a 3 x", "arset a 2 y z", &["edit a |2=y 3=z|"], "a=|2=y 3=z|"),
    ("ARSET a 3 x; PEXPIRE a 5", "ARSET a 3 ''", &["edit a |3=| @1000005"], "a=|3=| @1000005"),
    (
        "",
        "ARSET a 18446744073709551614 x",
        &["edit a |18446744073709551614=x|"],
        "a=|18446744073709551614=x|",
    ),
    ("", "ARMSET a 7 x +0 y 7 z", &["edit a |0=y 7=z|"], "a=|0=y 7=z|"),
    ("", "ARINSERT a x y", &["edit a |0=x 1=y >1|"], "a=|0=x 1=y >1|"),
    ("ARINSERT a x", "ARINSERT a y", &["edit a |0=x 1=y >1|"], "a=|0=x 1=y >1|"),
    ("ARSET a 9 x", "ARINSERT a y", &["edit a |0=y 9=x >0|"], "a=|0=y 9=x >0|"),
    ("ARSET a 9 x", "ARSEEK a 5", &["edit a |9=x >4|"], "a=|9=x >4|"),
    ("ARSET a 9 x; ARSEEK a 5", "ARINSERT a y", &["edit a |5=y 9=x >5|"], "a=|5=y 9=x >5|"),
    ("ARINSERT a x y", "ARSEEK a 0", &["edit a |0=x 1=y|"], "a=|0=x 1=y|"),
    ("", "ARSEEK a 5", &[], ""),
    (
        "ARSET a 0 x",
        "ARSEEK a 18446744073709551615",
        &["edit a |0=x >18446744073709551614|"],
        "a=|0=x >18446744073709551614|",
    ),
    ("ARSET a 0 x y z", "ARDEL a 1 1 8", &["edit a |0=x 2=z|"], "a=|0=x 2=z|"),
    ("ARINSERT a x y; PEXPIRE a 5", "ARDEL a 0 1", &["edit a gone"], ""),
    ("", "ARDEL a 0", &[], ""),
    ("ARSET a 0 0 1 2 3 4 5", "ARDELRANGE a 4 3 0 1", &["edit a |2=2 5=5|"], "a=|2=2 5=5|"),
    ("ARSET a 5 x", "ARDELRANGE a 0 18446744073709551614", &["edit a gone"], ""),
    ("", "ARDELRANGE a 0 9", &[], ""),
    ("", "ARRING a 3 a b", &["edit a |0=a 1=b >1|"], "a=|0=a 1=b >1|"),
    ("ARRING a 3 a b", "ARRING a 3 c d e", &["edit a |0=d 1=e 2=c >1|"], "a=|0=d 1=e 2=c >1|"),
    // A larger ring than before: what had wrapped is put in order.
    (
        "ARRING a 3 a b c d",
        "ARRING a 5 e",
        &["edit a |0=b 1=c 2=d 3=e >3|"],
        "a=|0=b 1=c 2=d 3=e >3|",
    ),
    (
        "ARRING a 3 a b c",
        "ARRING a 5 d",
        &["edit a |0=a 1=b 2=c 3=d >3|"],
        "a=|0=a 1=b 2=c 3=d >3|",
    ),
    // A smaller one: the newest stay.
    ("ARRING a 5 a b c d e", "ARRING a 3 f", &["edit a |0=f 1=d 2=e >0|"], "a=|0=f 1=d 2=e >0|"),
    // Back to the first hole, however far there are others.
    (
        "ARSET a 0 a b; ARSET a 5 x y",
        "ARRING a 3 z",
        &["edit a |0=x 1=y 2=z >2|"],
        "a=|0=x 1=y 2=z >2|",
    ),
    ("ARSET a 9 x; ARSEEK a 1", "ARRING a 2 z", &["edit a |0=z >0|"], "a=|0=z >0|"),
    // A cursor that was set to the beginning is kept.
    (
        "ARRING a 3 a b c d; ARSEEK a 0",
        "ARRING a 5 e",
        &["edit a |0=e 1=b 2=c >0|"],
        "a=|0=e 1=b 2=c >0|",
    ),
];

#[test]
fn what_is_no_array_or_no_index_is_a_failure_and_changes_nothing() {
    for command in [
        "ARSET s 0 x",
        "ARINSERT s x",
        "ARSEEK s 0",
        "ARSET a -1 x",
        "ARSET a 18446744073709551615 x",
        "ARSET a 18446744073709551614 x y",
        "ARSET a 1.5 x",
        "ARSET a 0",
        "ARMSET a 0 x 1",
        "ARMSET a 0 x y z",
        "ARSEEK a 18446744073709551616",
        "ARDEL a x",
        "ARDELRANGE a 0",
        "ARDELRANGE a 0 1 2",
        "ARRING a 0 x",
        "ARRING a -1 x",
        "ARRING a 9223372036854775808 x",
        "ARINSERT full x",
    ] {
        let mut bench = Bench::with("SET s x; ARINSERT a v; ARINSERT full v");
        bench.keep("ARSEEK full 18446744073709551615");
        let before = bench.dump();
        assert_eq!(bench.keep(command), [""; 0], "{command}");
        assert_eq!(bench.failures.len(), 1, "{command}");
        assert_eq!(bench.dump(), before, "{command}");
    }
}

#[test]
fn an_array_that_was_withheld_is_edited_unseen() {
    let mut bench = Bench::default();
    assert_eq!(bench.skip("ARSET a 0 x"), ["edit a |0=x| - skipped"]);
    assert_eq!(bench.show("a"), "ghost");
    for command in ["ARINSERT a y", "ARRING a 3 z", "ARDEL a 0", "ARSEEK a 7"] {
        assert_eq!(bench.keep(command), ["edit a ?"], "{command}");
        assert_eq!(bench.show("a"), "ghost", "{command}");
    }
    assert_eq!(bench.keep("DEL a"), ["delete a gone"]);
    assert_eq!(bench.keep("ARINSERT a y"), ["edit a |0=y >0|"]);
}
