//! How old the data may be: when the last of what is applied came from the primary, and how much
//! later lookups stop to answer.

use super::lookup::Clock;
use std::sync::atomic::{AtomicI64, Ordering::Relaxed};

/// Before the first load nothing is known.
const NEVER: i64 = i64::MIN;

/// Written by the apply task, read by anyone.
pub struct Freshness {
    /// One that never goes back.
    ticks_ms: Clock,
    /// Everything that the primary had sent by then is applied.
    as_of_ms: AtomicI64,
    /// The option `max-staleness`; 0 for none.
    limit_ms: AtomicI64,
}

impl Freshness {
    /// Nothing is known yet, and nothing is too old.
    pub fn new(ticks_ms: Clock) -> Self {
        let (as_of_ms, limit_ms) = (AtomicI64::new(NEVER), AtomicI64::new(0));
        Self { ticks_ms, as_of_ms, limit_ms }
    }

    /// The option `max-staleness`, in milliseconds; 0 for none.
    pub(super) fn set_limit(&self, limit_ms: i64) {
        self.limit_ms.store(limit_ms, Relaxed);
    }

    /// What came until then is applied.
    pub fn set_as_of(&self, ticks_ms: i64) {
        self.as_of_ms.store(ticks_ms, Relaxed);
    }

    /// How old the data may be, in milliseconds; `None` before the first load is complete.
    pub fn age_ms(&self) -> Option<i64> {
        let as_of_ms = self.as_of_ms.load(Relaxed);
        (as_of_ms != NEVER).then(|| (self.ticks_ms)().saturating_sub(as_of_ms).max(0))
    }

    /// Whether it is older than the limit. Without a limit no clock is read.
    pub(super) fn is_stale(&self) -> bool {
        let limit_ms = self.limit_ms.load(Relaxed);
        limit_ms > 0 && self.age_ms().is_some_and(|age_ms| age_ms > limit_ms)
    }
}
