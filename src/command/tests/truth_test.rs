//! Random commands and random answers against the truth.

use super::truth::{Mirror, Moods, Truth, any_history, check, follow, visible};
use super::*;
use crate::table::version;
use proptest::prelude::*;

/// A table in which every write was kept is the primary's.
fn check_equal(bench: &Bench, truth: &Truth) {
    let counts = bench.table.reader().counts();
    assert_eq!((counts.ghosts, counts.partial, counts.frozen), (0, 0, 0));
    assert_eq!(visible(&bench.table), truth.keys);
}

/// A value that readers see change has a new version.
fn check_versions(bench: &Bench, before: &[(Db, Bytes, Entry)]) {
    for (db, key, old) in before {
        let Some(new) = bench.table.get(*db, key) else { continue };
        let newest = version(bench.unit, *db);
        if new.value != old.value && new.value.is_some() {
            assert_eq!(new.version, newest, "{db}/{}: {}", text(key), entry_shown(Some(&new)));
        }
        assert!(new.version == old.version || new.version == newest || new.value.is_none());
    }
}

fn entries(table: &Table) -> Vec<(Db, Bytes, Entry)> {
    table.entries().collect()
}

proptest! {
    #![proptest_config(ProptestConfig {
        cases: 600, failure_persistence: None, ..Default::default()
    })]

    #[test]
    fn the_table_never_shows_what_is_not_true_and_knows_what_it_lacks(
        (units, seed, one_of) in any_history(), filtered in proptest::bool::weighted(0.3),
    ) {
        let (mut bench, mut truth, mut mirror) = <(Bench, Truth, Mirror)>::default();
        let mut moods = Moods::new(seed, one_of);
        if filtered {
            bench.scope.exclude_keys = vec![b"x*".to_vec()];
        }
        for unit in &units {
            let before = entries(&bench.table);
            let unit: Vec<String> =
                unit.iter().filter(|command| !command.starts_with("SWAPDB")).cloned().collect();
            follow(&mut bench, &mut truth, &mut mirror, &mut moods, &unit);
            check(&bench.table, &bench.scope, &truth, &mirror);
            check_versions(&bench, &before);
            if one_of == 0 && !filtered {
                check_equal(&bench, &truth);
            }
        }
    }

    #[test]
    fn databases_that_change_places_take_what_is_withheld_along(
        (units, seed, one_of) in any_history()
    ) {
        let (mut bench, mut truth, mut mirror) = <(Bench, Truth, Mirror)>::default();
        let mut moods = Moods::new(seed, one_of);
        for unit in &units {
            follow(&mut bench, &mut truth, &mut mirror, &mut moods, unit);
            check(&bench.table, &bench.scope, &truth, &mirror);
        }
        if one_of == 0 {
            check_equal(&bench, &truth);
        }
    }
}
