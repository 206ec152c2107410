//! What is told after the fact: when readers can see it, whole units, and a gap where they do not
//! fit.

use super::*;
use crate::replica::Event;

impl Site {
    /// What is told after the fact, as [`told`] tells it.
    fn events(&self) -> Vec<String> {
        let events = std::iter::from_fn(|| self.replica.events().next());
        let events = events.map(|event| match event {
            Event::Change(recorded) => told(&recorded.change(&recorded.args())),
            Event::Overflow => "overflow".to_owned(),
        });
        events.collect()
    }
}

#[test]
fn what_was_kept_is_told_again_when_it_can_be_seen() {
    let mut site = Site::deaf_to(&[], &["set b"]);
    site.full_sync(&[("a", "1")]);
    assert_eq!(site.events(), [""; 0], "nobody had asked");
    site.replica.events().descriptor();
    site.send("SET a 2;MULTI;SET b 3;HSET h f v");
    assert_eq!(site.events(), ["set a \"2\""], "half a transaction changes nothing");
    site.send("EXEC");
    assert_eq!(site.events(), ["hset h f=v of {f=v}"]);
    site.heard();
    site.full_sync(&[("a", "2"), ("c", "4")]);
    let heard: Vec<String> = site.heard().iter().map(|heard| heard[4..].to_owned()).collect();
    assert_eq!((site.events(), heard.len()), (heard, 3), "c is new, b and h vanished");
}

#[test]
fn what_happens_whatever_the_answer_is_told_as_well() {
    let mut site = Site::deaf_to(&[], &["swap", "flush", "unknown"]).in_sync(&[]);
    site.replica.events().descriptor();
    site.send("SWAPDB 0 1;FLUSHDB;NEW.WRITE x");
    let told = site.events();
    assert_eq!(told.len(), 3, "{told:?}");
    assert_eq!(site.heard().len(), 3);
}

#[test]
fn events_that_do_not_fit_are_one_that_says_so_and_units_are_never_cut() {
    let mut site = Site::with(&[("event-queue", "4kb")]).in_sync(&[]);
    site.replica.events().descriptor();
    site.send(&format!("SET big {}", "x".repeat(5000)));
    site.send("SET a 1");
    assert_eq!(site.events(), ["overflow", "set a \"1\""]);
    let unit: Vec<String> = (0..8).map(|n| format!("SET k{n} v")).collect();
    let unit = format!("MULTI;{};EXEC", unit.join(";"));
    let mut units = 0;
    while units < 100 {
        site.send(&unit);
        units += 1;
    }
    let events = site.events();
    assert_eq!(events.last().map(String::as_str), Some("overflow"));
    assert_eq!(events.iter().filter(|event| *event == "overflow").count(), 1);
    assert!(events.len() > 8 && events.len() % 8 == 1, "{} events", events.len());
    // What is not going to be seen is not told.
    site.replica.set_option("on-failure", "resync").unwrap();
    site.send("MULTI;SET x 1;LPUSH x 1;EXEC");
    assert_eq!(site.events(), [""; 0]);
}
