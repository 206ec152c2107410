//! The engine's two tasks, each driven a step at a time: by a thread, or by a simulation that also
//! stands in for the clock and the network.

use super::apply::Apply;
use crate::link::{Feed, Fetch, Link};
use crossbeam_channel::{Receiver, RecvTimeoutError};
use std::time::Duration;

/// When nothing comes for so long, the table is tidied up.
const AT_REST: Duration = Duration::from_secs(1);

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
    apply: Apply,
    feeds: Receiver<Feed>,
}

impl Applier {
    pub(super) fn new(apply: Apply, feeds: Receiver<Feed>) -> Self {
        Self { apply, feeds }
    }

    /// How many things the link has handed on that are not dealt with.
    pub fn waiting(&self) -> usize {
        self.feeds.len()
    }

    /// Deals with the next thing that the link has handed on; false where there is none, and once
    /// the engine is to stop.
    pub fn step(&mut self) -> bool {
        self.feeds.try_recv().is_ok_and(|feed| self.take(feed))
    }

    /// Steps and waits until the link is gone or the engine is to stop.
    pub(super) fn run(mut self) {
        while let Some(feed) = self.wait() {
            if !self.take(feed) {
                return;
            }
        }
    }

    /// The next thing that the link hands on; once nothing comes for a while, what is left is
    /// tidied up. `None` when the link is gone.
    fn wait(&mut self) -> Option<Feed> {
        loop {
            if !self.apply.is_untidy() {
                return self.feeds.recv().ok();
            }
            match self.feeds.recv_timeout(AT_REST) {
                Err(RecvTimeoutError::Timeout) => self.apply.tidy(),
                other => return other.ok(),
            }
        }
    }

    fn take(&mut self, feed: Feed) -> bool {
        if self.apply.is_stopping() {
            return false;
        }
        self.apply.take(feed);
        true
    }
}
