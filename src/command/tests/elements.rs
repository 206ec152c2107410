//! Members of sets and sorted sets, for which the unit has its rules before any command uses them.

use super::unit::ElementEdit;
use super::*;
use crate::value::{Set, Type, Zset, fingerprint};

/// Adds (a score of 0) or removes a member, and returns what was heard.
fn edit(bench: &mut Bench, kind: Type, add: bool, member: &str, verdict: Verdict) -> Vec<String> {
    let mut decide = |_: &Change<'_>| verdict;
    let mut gate = Script { decide: &mut decide, heard: Vec::new() };
    let mut batch = bench.batch();
    let mut unit = Unit::new(bench.setting(), &mut gate, &mut batch, 0);
    let name = member.as_bytes();
    let after = add.then_some((&b""[..], 0));
    let effect = match (kind, add) {
        (Type::Set, true) => Effect::SetAdd { member: name },
        (Type::Set, false) => Effect::SetRemove { member: name },
        (_, true) => Effect::ZsetAdd { member: name, score: Some(0.0) },
        (_, false) => Effect::ZsetRemove { member: name },
    };
    let edit = ElementEdit { kind, name, effect, after, due_ms: None };
    let applied = unit.edit_element(b"k", edit, false, |value| match value {
        Value::Set(set) => {
            if add {
                set.insert(name)
            } else {
                set.remove(name)
            };
        }
        Value::Zset(zset) => {
            if add {
                zset.insert(name, 0.0)
            } else {
                zset.remove(name)
            };
        }
        _ => {}
    });
    assert_eq!(applied, Ok(()));
    bench.unit += 1;
    bench.table.publish(batch, bench.stamp());
    gate.heard
}

#[test]
fn members_are_skipped_singly_like_fields() {
    let m = |text: &str| Bytes::from(text.as_bytes());
    for kind in [Type::Set, Type::Zset] {
        let mut bench = Bench::default();
        edit(&mut bench, kind, true, "a", Verdict::Keep);
        edit(&mut bench, kind, true, "b", Verdict::Skip);
        edit(&mut bench, kind, false, "a", Verdict::Skip);
        let (shown, whole) = match kind {
            Type::Set => ("<a>", Value::Set(Set::from_iter([m("b")]))),
            _ => ("(a:0)", Value::Zset(Zset::from_iter([(m("b"), 0.0)]))),
        };
        assert_eq!(bench.show("k"), format!("{shown} lacks a b"));
        let entry = bench.entry("k").unwrap();
        assert_eq!(known_fingerprint(&entry), Some(fingerprint(&whole, None)));
        let heard = edit(&mut bench, kind, false, "b", Verdict::Keep);
        assert!(heard[0].ends_with("rem k b gone"), "{heard:?}");
        assert_eq!(bench.show("k"), format!("{shown} lacks a"));
        edit(&mut bench, kind, false, "a", Verdict::Keep);
        assert_eq!(bench.show("k"), "-");
    }
}
