//! The engine's tasks, each driven a step at a time: by threads, or by a simulation that also
//! stands in for the clock and the network.
//!
//! Whoever holds the seat is the table's writer. That is the apply thread, but for what is little
//! and comes while nothing else waits: the link's thread deals with that by itself where nobody is
//! asked, for to wake another thread takes ten times as long as most of what a primary sends.

use super::Shared;
use super::apply::Apply;
use crate::link::{Feed, Fetch, Link};
use crate::table::Supply;
use crossbeam_channel::{Receiver, TryRecvError};
use parking_lot::{Condvar, Mutex};
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

/// When nothing comes for so long, the table is tidied up.
const AT_REST: Duration = Duration::from_secs(1);

/// So many bytes are little: dealt with before more would be worth reading.
const LITTLE_BYTES: u64 = 16 << 10;

/// What [`Replica::start`](super::Replica::start) gives a thread each.
pub struct Tasks {
    /// Keeps the connection to the primary.
    pub link: Link,
    /// Makes loads and units of what the link hands on.
    pub apply: Applier,
    /// Fetches what a filter made withheld, where the option `heal` says so.
    pub heal: Option<Fetch>,
}

/// The only writer of the table.
pub struct Applier {
    desk: Arc<Desk>,
}

/// Where the link and the fetching task leave what is to be dealt with.
pub(super) struct Desk {
    shared: Arc<Shared>,
    feeds: Receiver<Feed>,
    seat: Mutex<Seat>,
    bell: Bell,
    supply: Supply,
}

struct Seat {
    apply: Apply,
    /// How many feeds were dealt with.
    taken: u64,
    /// The apply thread looks by itself whether there is anything to tidy up.
    is_watched: bool,
    /// Who sat here panicked in the middle of something if this is found set.
    is_busy: bool,
}

/// What came of a step.
enum Stepped {
    Done,
    /// There is nothing to deal with.
    Idle,
    /// Nor will there ever be.
    Over,
}

impl Seat {
    /// Deals with the next thing, and asks nobody about it unless `asking`.
    fn step(&mut self, feeds: &Receiver<Feed>, asking: bool) -> Stepped {
        if self.is_busy || self.apply.is_stopping() {
            return Stepped::Over;
        }
        self.is_busy = true;
        let stepped = if asking && self.apply.go_on() {
            Stepped::Done
        } else {
            match feeds.try_recv() {
                Ok(feed) => {
                    if asking {
                        self.apply.take(feed);
                    } else {
                        self.apply.take_unasked(feed);
                    }
                    Stepped::Done
                }
                Err(TryRecvError::Empty) => Stepped::Idle,
                Err(TryRecvError::Disconnected) => Stepped::Over,
            }
        };
        self.taken += u64::from(matches!(stepped, Stepped::Done));
        self.is_busy = false;
        stepped
    }
}

impl Applier {
    pub(super) fn new(shared: Arc<Shared>, apply: Apply, feeds: Receiver<Feed>) -> Self {
        let supply = apply.supply();
        let seat = Seat { apply, taken: 0, is_watched: false, is_busy: false };
        let desk = Desk { shared, feeds, seat: Mutex::new(seat), bell: Bell::default(), supply };
        Self { desk: Arc::new(desk) }
    }

    /// How many things the link has handed on that are not dealt with.
    pub fn waiting(&self) -> usize {
        self.desk.feeds.len()
    }

    /// Deals with the next thing that the link has handed on; false where there is none, and once
    /// the engine is to stop.
    pub fn step(&mut self) -> bool {
        matches!(self.desk.seat.lock().step(&self.desk.feeds, true), Stepped::Done)
    }

    /// For a task that hands things on to this one.
    pub(super) fn fed_by<T>(&self, task: T) -> Feeder<T> {
        Feeder { task, desk: Ringing(self.desk.clone()) }
    }

    /// Steps and waits until nobody feeds it any more or the engine is to stop. Once nothing comes
    /// for a while, what is left is tidied up.
    pub(super) fn run(self) {
        let desk = &*self.desk;
        let mut patience = None;
        let mut taken = 0;
        loop {
            let rung = desk.bell.wait(patience);
            let mut seat = desk.seat.lock();
            if !rung && seat.taken == taken && !seat.is_busy {
                seat.apply.tidy();
            }
            loop {
                match seat.step(&desk.feeds, true) {
                    Stepped::Done => {}
                    Stepped::Idle => break,
                    Stepped::Over => return,
                }
            }
            taken = seat.taken;
            seat.is_watched = seat.apply.is_untidy();
            patience = seat.is_watched.then_some(AT_REST);
        }
    }
}

impl Desk {
    /// On the link's thread, between two of its steps: sees to it that what it has handed on is
    /// dealt with.
    fn see_to_it(&self) {
        if !self.feeds.is_empty() && !self.deal_with_little() {
            self.bell.ring();
        }
        if self.shared.control.is_ahead() {
            // A load takes memory faster than a system may have it, and this thread has time.
            self.supply.get_ahead();
        }
    }

    /// Whether there is nothing for the apply thread to do.
    fn deal_with_little(&self) -> bool {
        let shared = &*self.shared;
        let waits = shared.control.spooled().saturating_add(shared.held.load(Ordering::Relaxed));
        if waits > LITTLE_BYTES || shared.gate.is_set() {
            return false;
        }
        // Who has it looks at what has come once more before leaving, or is rung for.
        let Some(mut seat) = self.seat.try_lock() else { return false };
        while !seat.is_busy && seat.apply.is_at_ease() {
            match seat.step(&self.feeds, false) {
                Stepped::Done => {}
                Stepped::Idle => return seat.is_watched || !seat.apply.is_untidy(),
                Stepped::Over => return false,
            }
        }
        false
    }
}

/// A task that feeds the apply task, and rings for it, also at its own end, whichever that is.
pub(super) struct Feeder<T> {
    // In this order they are dropped: nobody feeds any more when it rings for the last time.
    task: T,
    desk: Ringing,
}

impl Feeder<Link> {
    pub(super) fn run(self) {
        let Self { desk, task } = self;
        task.run(|| desk.0.see_to_it());
    }
}

impl Feeder<Fetch> {
    pub(super) fn run(self) {
        let Self { desk, task } = self;
        task.run(|| {
            if !desk.0.feeds.is_empty() {
                desk.0.bell.ring();
            }
        });
    }
}

/// Rings when it is dropped.
struct Ringing(Arc<Desk>);

impl Drop for Ringing {
    fn drop(&mut self) {
        self.0.bell.ring();
    }
}

/// What wakes the apply thread.
#[derive(Default)]
struct Bell {
    rung: Mutex<bool>,
    sleeper: Condvar,
}

impl Bell {
    /// A ring that nobody sleeps through ends the next sleep.
    fn ring(&self) {
        if !std::mem::replace(&mut *self.rung.lock(), true) {
            self.sleeper.notify_one();
        }
    }

    /// Sleeps until it rings, or for so long; whether it rang.
    fn wait(&self, patience: Option<Duration>) -> bool {
        let mut rung = self.rung.lock();
        if !*rung {
            match patience {
                Some(patience) => drop(self.sleeper.wait_for(&mut rung, patience)),
                None => self.sleeper.wait(&mut rung),
            }
        }
        std::mem::take(&mut *rung)
    }
}

#[cfg(test)]
mod tests {
    use super::super::{Replica, SharedGate, lookup::Answer, settings_of};
    use super::*;
    use crate::change::{Change, Verdict};
    use crossbeam_channel::Sender;

    struct Keeps;

    impl SharedGate for Keeps {
        fn ask(&self, _: &Change<'_>) -> Verdict {
            Verdict::Keep
        }
    }

    /// An engine that follows, and the end where the link stands.
    struct Site {
        replica: Replica,
        applier: Applier,
        feed: Sender<Feed>,
    }

    impl Site {
        fn new() -> Self {
            let replica = Replica::new("redis://127.0.0.1:1").unwrap();
            let (settings, table) = {
                let mut engine = replica.engine.lock();
                (settings_of(&engine.config), engine.table.take().unwrap())
            };
            let shared = replica.shared.clone();
            let apply = Apply::new(replica.env.clone(), shared.clone(), settings, table);
            let (feed, feeds) = crossbeam_channel::unbounded();
            let mut site = Self { replica, applier: Applier::new(shared, apply, feeds), feed };
            site.feed.send(Feed::Continue { replid: Some([b'a'; 40]) }).unwrap();
            assert!(site.applier.step());
            site
        }

        fn come(&self, bytes: &[u8]) {
            self.replica.shared.control.came(bytes.len());
            self.feed.send(Feed::Bytes { bytes: bytes.to_vec(), at_ms: 0 }).unwrap();
        }

        /// Whether the apply thread is woken for what has come.
        fn rings(&self) -> bool {
            self.applier.desk.see_to_it();
            std::mem::take(&mut *self.applier.desk.bell.rung.lock())
        }

        fn has(&self, key: &str) -> bool {
            self.replica.lookups().get(0, key.as_bytes(), |_, _| ()) == Answer::Found(())
        }
    }

    #[test]
    fn what_is_little_is_dealt_with_where_it_comes() {
        let site = Site::new();
        assert!(!site.rings(), "nothing has come");
        site.come(b"PING\r\n");
        assert!(!site.rings() && site.applier.waiting() == 0);
        site.come(b"SET a 1\r\nSET b 1\r\nMULTI\r\nSET c 1\r\nDEL a\r\n");
        site.rings();
        assert!(site.has("a") && site.has("b") && !site.has("c"));
        // What is replaced the apply thread gives back later, of which it has to know once.
        site.come(b"EXEC\r\n");
        assert!(site.rings() && site.has("c") && !site.has("a"));
        site.applier.desk.seat.lock().is_watched = true;
        site.come(b"DEL b\r\n");
        assert!(!site.rings() && !site.has("b"));
        assert_eq!(site.applier.waiting(), 0);
    }

    #[test]
    fn all_else_is_the_apply_threads() {
        let mut site = Site::new();
        let large = [b"SET large ".as_slice(), &[b'x'; LITTLE_BYTES as usize], b"\r\n"].concat();
        site.come(&large);
        assert!(site.rings() && !site.has("large"), "there is much");
        assert!(site.applier.step() && site.has("large"));

        site.replica.set_gate(Some(Arc::new(Keeps))).unwrap();
        site.come(b"SET asked 1\r\n");
        assert!(site.rings() && !site.has("asked"), "somebody is to be asked");
        assert!(site.applier.step() && site.has("asked"));
        site.replica.set_gate(None).unwrap();

        site.come(b"SET first 1\r\n");
        let taken = site.applier.desk.seat.lock();
        assert!(site.rings() && !site.has("first"), "somebody is at work");
        drop(taken);
        // What waits comes first.
        site.come(b"DEL first\r\n");
        assert!(site.rings() && site.applier.waiting() == 0 && !site.has("first"));

        site.come(&large[..large.len() - 1]);
        assert!(site.rings() && site.applier.step());
        site.come(b"\n");
        assert!(site.rings() && site.applier.waiting() == 1, "much waits for its end");
    }

    #[test]
    fn nobody_goes_on_where_somebody_panicked() {
        let mut site = Site::new();
        site.applier.desk.seat.lock().is_busy = true;
        site.come(b"SET a 1\r\n");
        assert!(site.rings() && !site.applier.step() && !site.has("a"));
    }

    #[test]
    fn the_last_to_feed_it_rings() {
        let site = Site::new();
        let feeder = site.applier.fed_by(());
        let Site { applier, feed, .. } = site;
        drop((feed, feeder));
        // It would not return if nobody rang.
        applier.run();
    }
}
