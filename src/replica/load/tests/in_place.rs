//! Loads into the table that is being read: what readers and the gate see meanwhile.

use super::*;

#[test]
fn in_place_readers_see_keys_of_before_beside_keys_of_after_until_all_have_come() {
    let mut site = Site::with("SET same 1; SET other 1; SET gone 1");
    site.resync = Resync::InPlace;
    let same = site.version("same");
    let bytes = Snapshot::new(0).with(&["new=1", "same=1", "other=2", "last=1"]).end();
    let reader = site.bench.table.reader();
    let begin = &bytes[..bytes.len() - 14];
    let outcome = site.load(length(&bytes), [begin], &mut |_| Verdict::Keep);
    assert!(outcome.mixed);
    assert_eq!(outcome.heard, ["set new \"1\" (resync)", "set other \"2\" (resync)"]);
    assert_eq!(reader.stamp().offset, -1, "nobody can say as of when this is");
    assert_eq!(site.bench.dump(), "gone=\"1\"; new=\"1\"; other=\"2\"; same=\"1\"");
    // It was broken off there; the next one tells what is missing.
    let heard = site.keep(&bytes);
    assert_eq!(heard, ["set last \"1\" (resync)", "delete gone (resync) gone"]);
    assert_eq!(reader.stamp().offset, 500);
    assert_eq!(site.bench.dump(), "last=\"1\"; new=\"1\"; other=\"2\"; same=\"1\"");
    assert_eq!(site.version("same"), same);
}

#[test]
fn what_would_not_fit_aside_goes_on_in_place_where_the_options_say_so() {
    let keys = |value: &str| {
        let keys: Vec<String> = (0..600).map(|n| format!("k{n}={}", value.repeat(60))).collect();
        Snapshot::new(0).with(&keys.iter().map(String::as_str).collect::<Vec<_>>()).end()
    };
    let mut site = Site::new();
    site.keep(&keys("v"));
    let now = site.bench.table.memory() as u64;
    (site.readable, site.resync, site.max_memory) = (true, Resync::Auto, now * 3 / 2);
    // As they come: what waits to be decoded takes memory, too.
    let bytes = keys("w");
    let outcome = site.load(length(&bytes), bytes.chunks(4096), &mut |_| Verdict::Keep);
    let peak = outcome.load.peak();
    assert!(outcome.mixed);
    let heard = outcome.complete().0;
    assert_eq!(heard.len(), 600, "each is told once");
    assert!(heard.iter().all(|told| told.starts_with("set k")), "{:?}", heard[0]);
    assert!(peak < 2 * now, "{peak} beside {now}");
    assert_eq!(site.bench.table.memory() as u64, now);
    // Enough for both: nothing goes in place.
    site.max_memory = 3 * now;
    let bytes = keys("x");
    let most = &bytes[..bytes.len() - 9];
    let outcome = site.load(length(&bytes), [most], &mut |_| Verdict::Keep);
    assert_eq!((outcome.mixed, outcome.heard.len()), (false, 0));
}

#[test]
fn in_place_no_offset_is_told_before_the_last_vanished_key_is_gone() {
    let keys = |name: &str| {
        let keys: Vec<String> = (0..600).map(|n| format!("{name}{n}=v")).collect();
        Snapshot::new(0).with(&keys.iter().map(String::as_str).collect::<Vec<_>>()).end()
    };
    let mut site = Site::new();
    site.keep(&keys("k"));
    (site.readable, site.resync) = (true, Resync::InPlace);
    let reader = site.bench.table.reader();
    let outcome = site.load(length(&keys("k")), [&keys("k")[..]], &mut |_| Verdict::Keep);
    assert!(!outcome.mixed, "nothing changed");
    outcome.complete();
    let mut offsets = Vec::new();
    let outcome = site.load(length(&keys("n")), [&keys("n")[..]], &mut |change| {
        if change.effect == Effect::Delete {
            offsets.push(reader.stamp().offset);
        }
        Verdict::Keep
    });
    assert!(outcome.mixed);
    outcome.complete();
    assert_eq!(offsets, vec![-1; 600]);
    assert_eq!((reader.stamp().offset, reader.count(0)), (500, 600));
}
