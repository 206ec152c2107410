//! Notices that what comes is not applied as fast as it comes, and tells the log: the lag shows in
//! the information, but nobody looks there before something is wrong.

use super::control::Control;

/// How long nothing may be applied while bytes wait, before it is worth a word; then twice as long
/// each time.
const STALLED_MS: i64 = 3_000;

/// How long little must have waited before it is told again that much does: a small spool is full
/// again and again.
const CALM_MS: i64 = 60_000;

/// What is known of the apply task.
#[derive(Default)]
pub(super) struct Behind {
    /// What it had done when it was last seen to get on, and when that was.
    done: (u64, i64),
    since_ms: i64,
    /// How long it may stand still before the next word; 0 before the first.
    patience_ms: i64,
    /// The fullness that was told last.
    told: Fullness,
    /// When that much waited last.
    told_ms: i64,
}

/// How much of `spool-size` waits.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
enum Fullness {
    #[default]
    Low,
    Half,
    Full,
}

impl Behind {
    /// To be called now and then while there is a connection; what it returns is worth a warning.
    pub(super) fn look(
        &mut self,
        control: &Control,
        spool_size: u64,
        is_full: bool,
        now: i64,
    ) -> Option<String> {
        let waiting = control.spooled();
        let fullness = match waiting {
            _ if is_full => Fullness::Full,
            n if n >= spool_size / 2 => Fullness::Half,
            _ => Fullness::Low,
        };
        if fullness > Fullness::Low {
            self.told_ms = now;
        } else if now.saturating_sub(self.told_ms) >= CALM_MS {
            self.told = Fullness::Low;
        }
        let is_news = fullness > self.told;
        self.told = self.told.max(fullness);
        if is_news {
            let what = match fullness {
                Fullness::Full => "the spool is full, the primary has to keep what follows",
                _ => "the spool is half full, the callback is slower than the primary",
            };
            return Some(format!("{what}: {waiting} of {spool_size} bytes wait"));
        }
        let done = (control.handled_bytes(), control.applied());
        if waiting == 0 || done != self.done {
            (self.done, self.since_ms, self.patience_ms) = (done, now, STALLED_MS);
        }
        let stood_ms = now.saturating_sub(self.since_ms);
        (stood_ms >= self.patience_ms).then(|| {
            self.patience_ms = stood_ms.saturating_mul(2);
            format!(
                "nothing was applied for {stood_ms} ms while {waiting} bytes wait: a callback that \
                 does not return, or one long command"
            )
        })
    }
}
