//! First loads that nobody hears of: they leave what those leave that somebody hears of.

use super::*;

impl Site {
    /// Where no gate is heard.
    fn unheard() -> Self {
        Self { unheard: usize::MAX, ..Self::new() }
    }
}

#[test]
fn wherever_it_is_cut_it_leaves_the_same_and_asks_nothing() {
    let names = (0..300).map(|n| format!("k{n}=v{n}"));
    let names: Vec<String> = ["a=1", "h={f=1,g=2}", "b=2@2000000", "due=1@5"]
        .map(String::from)
        .into_iter()
        .chain(names)
        .collect();
    let names: Vec<&str> = names.iter().map(String::as_str).collect();
    let mut bytes = Snapshot::new(3).with(&names[..3]);
    // How large the next database is going to be.
    bytes.0.extend([254, 0, 251, 60, 1]);
    let bytes = bytes.with(&names[3..]).end();
    let state = |site: &Site| {
        let reader = site.bench.table.reader();
        (site.bench.dump(), reader.stamp().offset, reader.counts())
    };
    let mut heard = Site::new();
    assert_eq!(heard.keep(&bytes).len(), names.len());
    let cuts = (0..100).chain((100..bytes.len()).step_by(97));
    for cut in cuts {
        let mut site = Site::unheard();
        let parts = [&bytes[..cut], &bytes[cut..]];
        let outcome = site.load(length(&bytes), parts, &mut |_| Verdict::Skip);
        assert_eq!(outcome.load.keys, names.len() as u64);
        let (told, position, _) = outcome.complete();
        assert_eq!((told.len(), position.offset), (0, 500));
        assert_eq!(state(&site), state(&heard), "cut at {cut}");
    }
}

#[test]
fn its_keys_are_of_the_first_unit_whose_version_takes_no_memory() {
    let mut site = Site::unheard();
    let names: Vec<String> = (0..3 * KEYS_PER_BATCH).map(|n| format!("k{n}=v")).collect();
    let names: Vec<&str> = names.iter().map(String::as_str).collect();
    let bytes = Snapshot::new(0).with(&names).end();
    let parts = bytes.chunks(bytes.len() / 7);
    site.load(length(&bytes), parts, &mut |_| Verdict::Keep).complete();
    let entries: Vec<_> = site.bench.table.entries().collect();
    assert_eq!(entries.len(), names.len());
    assert!(entries.iter().all(|(_, _, entry)| entry.version == 1));
    assert_eq!(site.bench.unit, 1);
}

#[test]
fn an_empty_snapshot_moves_the_position() {
    let mut site = Site::unheard();
    site.keep(&Snapshot::new(0).end());
    assert_eq!(site.bench.table.reader().stamp().offset, 500);
}

#[test]
fn a_key_that_is_there_twice_breaks_it_off() {
    let twice = Snapshot::new(0).with(&["a=1", "b=1", "a=2", "c=1"]).end();
    let (_, kind, text) = Site::unheard().fail(&twice);
    assert_eq!(kind, Kind::Protocol);
    assert!(text.ends_with("db 0 key \"a\": the key is there twice"), "{text}");
}

#[test]
fn broken_off_it_leaves_what_came_and_the_next_tells_the_difference() {
    let mut site = Site::unheard();
    let bytes = Snapshot::new(0).with(&["a=1", "b=2", "c=3"]).end();
    let begin = &bytes[..bytes.len() - 12];
    let outcome = site.load(length(&bytes), [begin], &mut |_| Verdict::Keep);
    assert!(matches!(outcome.end, Ok(Progress::More)));
    assert_eq!(site.bench.dump(), "a=\"1\"; b=\"2\"");
    site.unheard = 0;
    let heard = site.keep(&Snapshot::new(0).with(&["b=2", "d=4"]).end());
    assert_eq!(heard, ["delete a (resync) gone", "set d \"4\" (resync)"]);
    // A wrong checksum: nobody is let in.
    let mut site = Site::unheard();
    let mut wrong = bytes.clone();
    let last = wrong.len() - 1;
    wrong[last] ^= 1;
    assert_eq!(site.fail(&wrong).1, Kind::Protocol);
}

#[test]
fn memory_is_limited() {
    let names: Vec<String> = (0..2000).map(|n| format!("k{n}={}", "v".repeat(50))).collect();
    let names: Vec<&str> = names.iter().map(String::as_str).collect();
    let bytes = Snapshot::new(0).with(&names).end();
    let mut site = Site { max_memory: 100_000, ..Site::unheard() };
    let outcome = site.load(length(&bytes), bytes.chunks(1000), &mut |_| Verdict::Keep);
    assert!(outcome.load.keys < 2000);
    assert_eq!(outcome.error().kind(), Kind::NoMemory);
}

#[test]
fn a_callback_that_comes_in_between_hears_of_the_rest() {
    let names: Vec<String> = (0..600).map(|n| format!("k{n}=v")).collect();
    let names: Vec<&str> = names.iter().map(String::as_str).collect();
    let mut site = Site { unheard: 1, ..Site::new() };
    let heard = site.keep(&Snapshot::new(0).with(&names).end());
    assert_eq!(site.bench.table.reader().count(0), 600);
    assert!((300..=600 - KEYS_PER_BATCH + 1).contains(&heard.len()), "{}", heard.len());
    assert_eq!(site.gates, 3);
}
