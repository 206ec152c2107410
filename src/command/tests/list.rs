//! Lists: what each command makes of them, and what becomes of one that was touched by something
//! that is withheld.

use super::rows::Case;
use super::*;
use crate::value::{List, fingerprint};
use proptest::prelude::*;
use std::collections::BTreeMap;

pub(super) const CASES: &[Case] = &[
    ("", "LPUSH l a b c", &["edit l [c b a]"], "l=[c b a]"),
    ("RPUSH l a", "lpush l b", &["edit l [b a]"], "l=[b a]"),
    ("RPUSH l a", "RPUSH l b ''", &["edit l [a b ]"], "l=[a b ]"),
    ("RPUSH l a; PEXPIRE l 5", "RPUSH l b", &["edit l [a b] @1000005"], "l=[a b] @1000005"),
    // A condition is not tested again.
    ("", "LPUSHX l a b", &["edit l [b a]"], "l=[b a]"),
    ("RPUSH l a", "RPUSHX l b c", &["edit l [a b c]"], "l=[a b c]"),
    ("RPUSH l a b c", "LPOP l", &["edit l [b c]"], "l=[b c]"),
    ("RPUSH l a b c", "RPOP l", &["edit l [a b]"], "l=[a b]"),
    ("RPUSH l a b c", "LPOP l 2", &["edit l [c]"], "l=[c]"),
    ("RPUSH l a b c", "RPOP l 2", &["edit l [a]"], "l=[a]"),
    ("RPUSH l a b c", "RPOP l 0", &[], "l=[a b c]"),
    ("RPUSH l a; PEXPIRE l 5", "LPOP l", &["edit l gone"], ""),
    ("RPUSH l a b", "RPOP l 9223372036854775807", &["edit l gone"], ""),
    ("", "LPOP l", &[], ""),
    ("", "RPOP l 5", &[], ""),
    ("RPUSH l a b c", "LSET l 1 x", &["edit l [a x c]"], "l=[a x c]"),
    ("RPUSH l a b c", "LSET l -3 x", &["edit l [x b c]"], "l=[x b c]"),
    ("RPUSH l a b c", "LSET l 4294967297 x", &["edit l [a x c]"], "l=[a x c]"),
    ("RPUSH l a b c", "LSET l 9223372036854775807 x", &["edit l [a b x]"], "l=[a b x]"),
    ("RPUSH l a b c", "LSET l -1 c", &["edit l [a b c]"], "l=[a b c]"),
    ("RPUSH l a b a", "LINSERT l BEFORE a x", &["edit l [x a b a]"], "l=[x a b a]"),
    ("RPUSH l a b a", "linsert l after a x", &["edit l [a x b a]"], "l=[a x b a]"),
    ("RPUSH l a b", "LINSERT l AFTER b x", &["edit l [a b x]"], "l=[a b x]"),
    ("RPUSH l a b", "LINSERT l AFTER none x", &[], "l=[a b]"),
    ("", "LINSERT l AFTER a x", &[], ""),
    ("RPUSH l a b a c a", "LREM l 0 a", &["edit l [b c]"], "l=[b c]"),
    ("RPUSH l a b a c a", "LREM l 2 a", &["edit l [b c a]"], "l=[b c a]"),
    ("RPUSH l a b a c a", "LREM l -2 a", &["edit l [a b c]"], "l=[a b c]"),
    ("RPUSH l a b a", "LREM l -9223372036854775808 a", &["edit l [b]"], "l=[b]"),
    ("RPUSH l a b a", "LREM l 9223372036854775807 b", &["edit l [a a]"], "l=[a a]"),
    ("RPUSH l a a", "LREM l 0 a", &["edit l gone"], ""),
    ("RPUSH l a", "LREM l 0 b", &[], "l=[a]"),
    ("", "LREM l 0 b", &[], ""),
    ("RPUSH l a b c d", "LTRIM l 1 2", &["edit l [b c]"], "l=[b c]"),
    ("RPUSH l a b c d", "LTRIM l -3 -2", &["edit l [b c]"], "l=[b c]"),
    ("RPUSH l a b c d", "LTRIM l -100 0", &["edit l [a]"], "l=[a]"),
    ("RPUSH l a b c d", "LTRIM l 2 9223372036854775807", &["edit l [c d]"], "l=[c d]"),
    ("RPUSH l a b", "LTRIM l -9223372036854775808 0", &["edit l [a]"], "l=[a]"),
    ("RPUSH l a b", "LTRIM l 1 0", &["edit l gone"], ""),
    ("RPUSH l a b", "LTRIM l 2 5", &["edit l gone"], ""),
    ("RPUSH l a b", "LTRIM l 0 -3", &["edit l gone"], ""),
    // Servers before 7.0 send this, too.
    ("RPUSH l a b", "LTRIM l 0 -1", &[], "l=[a b]"),
    ("RPUSH l a b; RPUSH d x", "RPOPLPUSH l d", &["edit d [b x]", "edit l [a]"], "d=[b x]; l=[a]"),
    ("RPUSH l a", "RPOPLPUSH l d", &["edit d [a]", "edit l gone"], "d=[a]"),
    (
        "RPUSH l a b c; PEXPIRE l 5",
        "RPOPLPUSH l l",
        &["edit l [c a b] @1000005"],
        "l=[c a b] @1000005",
    ),
    ("RPUSH d x", "RPOPLPUSH none d", &[], "d=[x]"),
    ("RPUSH l a b", "BRPOPLPUSH l d 0", &["edit d [b]", "edit l [a]"], "d=[b]; l=[a]"),
    ("RPUSH l a b", "LMOVE l d left RIGHT", &["edit d [a]", "edit l [b]"], "d=[a]; l=[b]"),
    (
        "RPUSH l a b; RPUSH d x",
        "LMOVE l d LEFT LEFT",
        &["edit d [a x]", "edit l [b]"],
        "d=[a x]; l=[b]",
    ),
    ("RPUSH l a b c", "LMOVE l l LEFT RIGHT", &["edit l [b c a]"], "l=[b c a]"),
    ("RPUSH l a", "BLMOVE l d RIGHT RIGHT 0", &["edit d [a]", "edit l gone"], "d=[a]"),
    ("RPUSH b x y; RPUSH c z", "BLPOP a b c 0", &["edit b [y]"], "b=[y]; c=[z]"),
    ("RPUSH b x y", "BRPOP a b 0", &["edit b [x]"], "b=[x]"),
    ("RPUSH b x", "BRPOP b 5", &["edit b gone"], ""),
    ("", "BLPOP a b 0", &[], ""),
    ("RPUSH l a b c", "LMOVEM l d LEFT RIGHT", &["edit d [a]", "edit l [b c]"], "d=[a]; l=[b c]"),
    (
        "RPUSH l a b",
        "LMOVEM l d LEFT RIGHT EXACTLY 2 BULK",
        &["edit d [a b]", "edit l gone"],
        "d=[a b]",
    ),
    (
        "RPUSH l a b",
        "LMOVEM l d RIGHT LEFT COUNT 9 OBO",
        &["edit d [a b]", "edit l gone"],
        "d=[a b]",
    ),
    ("RPUSH l a b", "LMOVEM l d RIGHT LEFT COUNT 0 OBO", &[], "l=[a b]"),
    // The block is taken before it is put, so this is not several LMOVEs.
    ("RPUSH l a b c d", "LMOVEM l l LEFT LEFT COUNT 2 OBO", &["edit l [b a c d]"], "l=[b a c d]"),
    ("RPUSH l a b c d", "LMOVEM l l LEFT RIGHT COUNT 2 BULK", &["edit l [c d a b]"], "l=[c d a b]"),
    ("RPUSH l a b c d", "LMOVEM l l RIGHT RIGHT COUNT 4 OBO", &["edit l [d c b a]"], "l=[d c b a]"),
];

#[test]
fn a_block_moves_in_the_order_that_redis_8_10_says() {
    for (ends, order, destination) in [
        ("LEFT LEFT", "OBO", "b a x y"),
        ("LEFT LEFT", "BULK", "a b x y"),
        ("LEFT RIGHT", "OBO", "x y a b"),
        ("LEFT RIGHT", "BULK", "x y a b"),
        ("RIGHT LEFT", "OBO", "c d x y"),
        ("RIGHT LEFT", "BULK", "c d x y"),
        ("RIGHT RIGHT", "OBO", "x y d c"),
        ("RIGHT RIGHT", "BULK", "x y c d"),
    ] {
        let mut bench = Bench::with("RPUSH l a b c d; RPUSH d x y");
        bench.keep(&format!("LMOVEM l d {ends} EXACTLY 2 {order}"));
        let rest = if ends.starts_with('L') { "c d" } else { "a b" };
        assert_eq!(bench.dump(), format!("d=[{destination}]; l=[{rest}]"), "{ends} {order}");
    }
}

/// What was kept before, what was skipped, the command, what is heard, what the table has then.
#[test]
fn what_an_edit_reads_and_lacks_withholds_what_it_writes() {
    for (kept, skipped, command, heard, after) in [
        ("RPUSH l a", "RPUSH l b", "RPUSH l c", &["edit l ?"][..], "l=ghost"),
        ("", "RPUSH l b", "LPOP l", &["edit l ?"], "l=ghost"),
        ("RPUSH l a", "DEL l", "LPUSH l c", &["edit l ?"], "l=[a] frozen"),
        ("RPUSH l a", "LPOP l", "RPUSH l b", &["edit l ?"], "l=[a] frozen"),
        ("", "RPUSH l b", "RPOPLPUSH l d", &["set d ?", "edit l ?"], "d=ghost; l=ghost"),
        (
            "RPUSH d x; PEXPIRE d 5",
            "RPUSH l b",
            "LMOVE l d LEFT LEFT",
            &["set d ?", "edit l ?"],
            "d=ghost; l=ghost",
        ),
        (
            "RPUSH l a b",
            "SET d v",
            "LMOVE l d LEFT LEFT",
            &["edit d ?", "edit l [b]"],
            "d=ghost; l=[b]",
        ),
        // Its deletion was skipped: for the primary there is no such list.
        ("RPUSH l a", "DEL l", "LMOVE l d LEFT LEFT", &[], "l=[a] frozen"),
        ("", "RPUSH l a b", "LMOVE l l LEFT RIGHT", &["edit l ?"], "l=ghost"),
    ] {
        check(kept, skipped, command, heard, after);
    }
}

#[test]
fn which_list_was_popped_behind_a_withheld_one_only_the_primary_knows() {
    let mut bench = Bench::with("RPUSH c x y; RPUSH e z");
    bench.skip("RPUSH b z");
    assert_eq!(bench.keep("BLPOP a b c e 0"), ["edit b ?", "set c ?"]);
    assert_eq!(bench.dump(), "b=ghost; c=ghost; e=[z]");
    // What is no list ends the search, or the command would have failed.
    bench.keep("SET s v");
    assert_eq!(bench.keep("BLPOP b s e 0"), ["edit b ?"]);
    assert_eq!(bench.failures, [""; 0]);
    assert_eq!(bench.dump(), "b=ghost; c=ghost; e=[z]; s=\"v\"");
}

#[test]
fn a_list_that_is_moved_out_of_what_is_not_followed_withholds_its_destination() {
    let mut bench = Bench::with("RPUSH l a; RPUSH m b");
    bench.scope.exclude_keys = vec![b"x*".to_vec()];
    assert_eq!(bench.keep("RPOPLPUSH x1 l"), ["set l ?"]);
    assert_eq!(bench.keep("RPOPLPUSH m x1"), ["edit m gone"]);
    assert_eq!(bench.dump(), "l=ghost");
    assert_eq!(
        bench.keep("RPUSH l b; DEL l; RPUSH l c"),
        ["edit l ?", "delete l gone", "edit l [c]"]
    );
}

#[test]
fn a_skipped_move_skips_only_the_end_that_was_asked_about() {
    for (skipped, after) in [("edit d", "d=ghost; l=[a]"), ("edit l", "d=[b x]; l=ghost")] {
        let mut bench = Bench::with("RPUSH l a b; RPUSH d x");
        bench.run("RPOPLPUSH l d", &mut veto(&[skipped]));
        assert_eq!(bench.dump(), after, "{skipped}");
    }
}

#[test]
fn a_skipped_edit_leaves_a_fingerprint_of_the_list() {
    let mut bench = Bench::with("RPUSH l a b");
    bench.skip("RPUSH l c");
    let whole = Value::List(["a", "b", "c"].iter().collect::<List>());
    assert_eq!(known_fingerprint(&bench.entry("l").unwrap()), Some(fingerprint(&whole, None)));
}

/// The plainest possible lists.
#[derive(Default)]
struct Model {
    lists: BTreeMap<String, Vec<String>>,
}

impl Model {
    fn edit(&mut self, key: &str, change: impl FnOnce(&mut Vec<String>)) {
        let mut list = self.lists.remove(key).unwrap_or_default();
        change(&mut list);
        if !list.is_empty() {
            self.lists.insert(key.to_owned(), list);
        }
    }

    fn apply(&mut self, args: &[&str]) {
        let number = |at: usize| args[at].parse::<i64>().unwrap();
        let place = |n: i64, len: usize| if n < 0 { n + len as i64 } else { n };
        match args[0] {
            "LPUSH" => {
                self.edit(args[1], |l| args[2..].iter().for_each(|e| l.insert(0, (*e).into())))
            }
            "RPUSH" => self.edit(args[1], |l| l.extend(args[2..].iter().map(|e| (*e).to_owned()))),
            "LPOP" => self.edit(args[1], |l| drop(l.drain(..l.len().min(number(2) as usize)))),
            "RPOP" => {
                self.edit(args[1], |l| l.truncate(l.len().saturating_sub(number(2) as usize)))
            }
            "LSET" => self.edit(args[1], |l| {
                let at = place(number(2), l.len());
                if let Some(element) = usize::try_from(at).ok().and_then(|at| l.get_mut(at)) {
                    args[3].clone_into(element);
                }
            }),
            "LTRIM" => self.edit(args[1], |l| {
                let (start, stop) = (place(number(2), l.len()), place(number(3), l.len()));
                let mut at = -1;
                l.retain(|_| {
                    at += 1;
                    (start..=stop).contains(&at)
                });
            }),
            "LREM" => self.edit(args[1], |l| {
                let mut left = number(2).unsigned_abs();
                if left == 0 {
                    left = u64::MAX;
                }
                let mut goes = |element: &String| {
                    let goes = left > 0 && element == args[3];
                    left -= u64::from(goes);
                    goes
                };
                if number(2) < 0 {
                    l.reverse();
                    l.retain(|element| !goes(element));
                    l.reverse();
                } else {
                    l.retain(|element| !goes(element));
                }
            }),
            "LMOVE" => {
                let mut moved = None;
                self.edit(args[1], |l| {
                    let at = if args[3] == "LEFT" { 0 } else { l.len().saturating_sub(1) };
                    moved = (at < l.len()).then(|| l.remove(at));
                });
                if let Some(moved) = moved {
                    let is_left = args[4] == "LEFT";
                    self.edit(args[2], |l| l.insert(if is_left { 0 } else { l.len() }, moved));
                }
            }
            _ => unreachable!(),
        }
    }
}

fn any_command() -> impl Strategy<Value = String> {
    let key = || proptest::sample::select(vec!["a", "b"]);
    let end = || proptest::sample::select(vec!["LEFT", "RIGHT"]);
    let element = || proptest::sample::select(vec!["x", "y", "z", "longer-than-the-others"]);
    let elements = || proptest::collection::vec(element(), 1..120).prop_map(|all| all.join(" "));
    prop_oneof![
        3 => (key(), elements()).prop_map(|(k, e)| format!("LPUSH {k} {e}")),
        3 => (key(), elements()).prop_map(|(k, e)| format!("RPUSH {k} {e}")),
        1 => (key(), 0..90).prop_map(|(k, n)| format!("LPOP {k} {n}")),
        1 => (key(), 0..90).prop_map(|(k, n)| format!("RPOP {k} {n}")),
        1 => (key(), -300..300, element()).prop_map(|(k, n, e)| format!("LSET {k} {n} {e}")),
        1 => (key(), -400..400, -400..400).prop_map(|(k, n, m)| format!("LTRIM {k} {n} {m}")),
        2 => (key(), -50..50, element()).prop_map(|(k, n, e)| format!("LREM {k} {n} {e}")),
        2 => (key(), key(), end(), end()).prop_map(|(k, l, f, t)| format!("LMOVE {k} {l} {f} {t}")),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig {
        cases: 300, failure_persistence: None, ..Default::default()
    })]

    #[test]
    fn lists_behave_like_vectors(commands in proptest::collection::vec(any_command(), 1..60)) {
        let (mut bench, mut model) = (Bench::default(), Model::default());
        for command in commands {
            bench.keep(&command);
            model.apply(&command.split(' ').collect::<Vec<_>>());
            let shown =
                |(key, list): (&String, &Vec<String>)| format!("{key}=[{}]", list.join(" "));
            let all: Vec<String> = model.lists.iter().map(shown).collect();
            prop_assert_eq!(bench.dump(), all.join("; "), "{}", command);
        }
    }
}
