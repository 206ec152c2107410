//! How long to wait before trying again: soon after a healthy link was lost, rarely when nothing
//! helps, and never in step with the other replicas of the same primary.

/// The first pause after a full sync had to be asked for again, and the longest.
const RESYNC_MIN_MS: i64 = 1_000;
const RESYNC_MAX_MS: i64 = 60_000;

/// A full sync that had to be asked for again so long after the last one begins a new series: it
/// is five times the longest pause, so that a load that fails late still counts as a repetition.
const RESYNC_SERIES_MS: i64 = 300_000;

/// A connection that lives so long after a full sync has settled.
const SETTLED_MS: i64 = 10_000;

/// Pauses between connections.
#[derive(Debug, Default)]
pub(super) struct Backoff {
    failures: u32,
    resyncs: u32,
    last_resync_ms: Option<i64>,
    full: Full,
    /// How many full syncs in a row were broken off.
    broken_off: u32,
    /// How many connections in a row were lost before they had settled after a full sync.
    hasty: u32,
}

/// What became of the full sync that the connection in hand began with.
#[derive(Clone, Copy, Debug, Default)]
enum Full {
    /// There was none, or it is settled what it counts for.
    #[default]
    None,
    Begun,
    Complete {
        at_ms: i64,
    },
}

impl Backoff {
    /// The next failure is the first one.
    pub(super) fn reset(&mut self) {
        self.failures = 0;
    }

    /// A full sync begins.
    pub(super) fn full_sync(&mut self) {
        self.full = Full::Begun;
    }

    /// The stream goes on without one.
    pub(super) fn partial_sync(&mut self) {
        self.hasty = 0;
    }

    /// The engine is in sync.
    pub(super) fn ready(&mut self, now_ms: i64) {
        if let Full::Begun = self.full {
            self.full = Full::Complete { at_ms: now_ms };
        }
        self.broken_off = 0;
        self.reset();
    }

    /// The connection was lost: how long at least not to make another one. A full sync was broken
    /// off, or its connection was lost soon after: once may happen, but a primary with which it
    /// happens again and again (its output buffer is too small for us, say) must not be made to
    /// fork for each try.
    pub(super) fn lost(&mut self, now_ms: i64, random: u64) -> i64 {
        let count = match std::mem::take(&mut self.full) {
            Full::None => return 0,
            Full::Begun => &mut self.broken_off,
            Full::Complete { at_ms } if now_ms.saturating_sub(at_ms) < SETTLED_MS => {
                &mut self.hasty
            }
            Full::Complete { .. } => {
                self.hasty = 0;
                return 0;
            }
        };
        *count = count.saturating_add(1);
        if *count < 2 { 0 } else { self.next_resync(now_ms, random) }
    }

    /// The pause after one more failure. Between `min` and twice that at first, doubling until the
    /// pauses lie between half of `max` and `max`.
    pub(super) fn next(&mut self, min_ms: i64, max_ms: i64, random: u64) -> i64 {
        let base = doubled(min_ms, self.failures).min(ceiling(min_ms, max_ms));
        self.failures = self.failures.saturating_add(1);
        jittered(base, random)
    }

    /// A pause as long as any, for what will hardly get better by itself.
    pub(super) fn longest(min_ms: i64, max_ms: i64, random: u64) -> i64 {
        jittered(ceiling(min_ms, max_ms), random)
    }

    /// The pause before another full sync: exactly doubling from one second to a minute, and
    /// jittered upwards.
    pub(super) fn next_resync(&mut self, now_ms: i64, random: u64) -> i64 {
        if self.last_resync_ms.is_none_or(|last| now_ms.saturating_sub(last) > RESYNC_SERIES_MS) {
            self.resyncs = 0;
        }
        self.last_resync_ms = Some(now_ms);
        self.full = Full::None;
        let base = doubled(RESYNC_MIN_MS, self.resyncs).min(RESYNC_MAX_MS);
        self.resyncs = self.resyncs.saturating_add(1);
        // A quarter is enough to tell replicas apart and keeps the pause near what is promised.
        base + spread(base / 4, random)
    }
}

/// The longest pause before jitter, so that with jitter it stays within `max`.
fn ceiling(min_ms: i64, max_ms: i64) -> i64 {
    (max_ms / 2).max(min_ms)
}

fn doubled(ms: i64, times: u32) -> i64 {
    ms.saturating_mul(1i64.checked_shl(times.min(62)).unwrap_or(i64::MAX))
}

fn jittered(base: i64, random: u64) -> i64 {
    base.saturating_add(spread(base, random))
}

/// From 0 to `range`, both included.
pub(super) fn spread(range: i64, random: u64) -> i64 {
    let count = u64::try_from(range).unwrap_or(0).saturating_add(1);
    i64::try_from(random % count).unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pauses_double_from_the_shortest_to_the_longest() {
        let mut least = Backoff::default();
        let pauses: Vec<_> = (0..10).map(|_| least.next(100, 10_000, 0)).collect();
        assert_eq!(pauses, [100, 200, 400, 800, 1600, 3200, 5000, 5000, 5000, 5000]);
        let mut most = Backoff::default();
        // A random number that leaves the largest remainder for each base.
        let mut largest = |base: u64| most.next(100, 10_000, base);
        let pauses: Vec<_> = [100, 200, 400, 800, 1600, 3200, 5000, 5000].map(&mut largest).into();
        assert_eq!(pauses, [200, 400, 800, 1600, 3200, 6400, 10_000, 10_000]);
        assert_eq!(Backoff::longest(100, 10_000, 5000), 10_000);
    }

    #[test]
    fn after_readiness_the_first_pause_is_short_again() {
        let mut backoff = Backoff::default();
        assert!((0..50).map(|_| backoff.next(100, 10_000, 7)).max() > Some(5000));
        backoff.reset();
        assert_eq!(backoff.next(100, 10_000, 100), 200);
    }

    #[test]
    fn any_numbers_are_survived() {
        let mut backoff = Backoff::default();
        (0..200).for_each(|_| assert!(backoff.next(i64::MAX, 1, u64::MAX) > 0));
        assert_eq!(Backoff::default().next(600_000, 1, 0), 600_000);
    }

    #[test]
    fn full_syncs_are_asked_for_less_and_less_until_a_quiet_time_has_passed() {
        let mut backoff = Backoff::default();
        let pauses: Vec<_> = (0..8).map(|i| backoff.next_resync(i * 60_000, 0)).collect();
        assert_eq!(pauses, [1000, 2000, 4000, 8000, 16_000, 32_000, 60_000, 60_000]);
        assert_eq!(backoff.next_resync(8 * 60_000, 15_000), 75_000);
        backoff.reset();
        assert_eq!(backoff.next_resync(8 * 60_000, 0), 60_000);
        assert_eq!(backoff.next_resync(8 * 60_000 + RESYNC_SERIES_MS + 1, 0), 1000);
    }
}
