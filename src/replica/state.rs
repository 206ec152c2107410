//! What a replica can say of itself at any time, and those who wait for it to say something else.

use crate::env::Env;
use crate::error::{Error, Kind, Result};
use parking_lot::{Condvar, Mutex, MutexGuard};
use std::sync::atomic::{AtomicI64, AtomicU64, AtomicUsize, Ordering, fence};
use std::time::Duration;

/// Where a replica is in its life.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum State {
    /// Configured, not started.
    #[default]
    New,
    /// Looking for the primary, or shaking hands.
    Connecting,
    /// A snapshot is being received and loaded.
    Loading,
    /// The stream is followed.
    Following,
    /// The link was lost and is being made anew; what was there is still served.
    Reconnecting,
    /// Given up until the configuration changes, or for good after a bug of ours.
    Failed,
    /// Stopped by the program.
    Stopped,
}

/// What just happened in a replica's life, as the state listener hears it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Moment {
    /// Nothing yet.
    #[default]
    None,
    /// A connection to the primary is being made.
    Connecting,
    /// The primary answered; the handshake goes on.
    Connected,
    /// A full sync begins.
    SyncBegun,
    /// Some more of the snapshot is loaded.
    Progress,
    /// A load was broken off or refused; what was there before is still served.
    LoadAborted,
    /// The snapshot is complete, or the stream goes on where it was cut: the table follows.
    Ready,
    /// The link was lost; it will be made anew.
    LinkLost,
    /// A command could not be followed: the table may differ from the primary from here on.
    Diverged,
    /// Given up.
    Failed,
    /// Stopped by the program.
    Stopped,
    /// A full sync is needed and waits until other processes of this host have done theirs.
    WaitingForTurn,
}

/// Hears of every [`Moment`], which [`Info::moment`] names. Called on an engine thread, or on the
/// thread that stops the engine, outside of every lock.
pub type StateListener = dyn Fn(&Info) + Send + Sync;

/// Everything a replica tells of itself, taken at one moment.
#[derive(Clone, Debug)]
pub struct Info {
    /// Which of several links this is about.
    pub link: u32,
    /// Where the replica is in its life.
    pub state: State,
    /// What happened last.
    pub moment: Moment,
    /// Since when it is in this state, in Unix milliseconds.
    pub since_ms: i64,
    /// Whether lookups answer.
    pub ready: bool,
    /// Whether the table is known to differ from the primary: a command could not be followed.
    pub diverged: bool,
    /// Whether a resync in place is not complete: keys of before are there beside keys of after.
    pub mixed: bool,
    /// Where the primary is, as configured, without credentials.
    pub primary: String,
    /// What the primary says it is: `redis` or `valkey`, empty before the first snapshot.
    pub server_kind: String,
    /// Its version, empty before the first snapshot and with servers before 3.2.
    pub server_version: String,
    /// The replication id of what is applied; `None` before the first sync and with servers before
    /// 2.8.
    pub replid: Option<[u8; 40]>,
    /// The offset up to which the table has everything; -1 unknown.
    pub offset: i64,
    /// The offset up to which bytes have arrived; -1 unknown.
    pub offset_received: i64,
    /// The difference of the two; -1 unknown.
    pub lag_bytes: i64,
    /// How long ago the last byte came, in milliseconds; -1 for never.
    pub last_byte_age_ms: i64,
    /// How old the data may be: since when nothing newer is applied, in milliseconds; -1 before
    /// the first load.
    pub data_age_ms: i64,
    /// Bytes of the current or last snapshot that are loaded.
    pub loaded_bytes: u64,
    /// Bytes it has in all; -1 where the primary does not say.
    pub load_total_bytes: i64,
    /// Keys of it so far.
    pub loaded_keys: u64,
    /// Keys in all databases, also those whose deadline has passed.
    pub keys: u64,
    /// Keys that are known but whose value was withheld.
    pub ghosts: u64,
    /// Keys of which elements are withheld.
    pub partial: u64,
    /// Keys that stayed as they were when a change was skipped.
    pub frozen: u64,
    /// An estimate of the memory the data takes, in bytes.
    pub memory_bytes: u64,
    /// The same by the type of the values, and last what is known of keys without one.
    pub memory_by_type: [u64; 9],
    /// The most it has taken now or during a load: while one is loaded aside, that of both.
    pub memory_peak_bytes: u64,
    /// Bytes that arrived and wait for the apply task.
    pub spooled_bytes: u64,
    /// Connections made.
    pub connects: u64,
    /// Full syncs begun.
    pub full_syncs: u64,
    /// Partial syncs.
    pub partial_syncs: u64,
    /// Commands applied.
    pub commands_applied: u64,
    /// Units (a command, or all of a MULTI) made visible.
    pub units: u64,
    /// Write commands that could not be followed.
    pub unknown_commands: u64,
    /// Known commands that could not be applied.
    pub failed_commands: u64,
    /// Changes that the callback was asked about.
    pub callbacks: u64,
    /// Changes that it skipped.
    pub skipped: u64,
    /// The last thing that went wrong.
    pub last_error: Option<Error>,
    /// When, in Unix milliseconds; -1 for never.
    pub last_error_at_ms: i64,
    /// Whether the engine tries again by itself.
    pub will_retry: bool,
    /// Keys that are withheld only because of a filter and will be fetched.
    pub healing: u64,
    /// Keys of that kind that have their value again.
    pub healed: u64,
    /// How often the primary refused such a value, or it could not be used.
    pub unhealed: u64,
}

/// The last thing that went wrong.
#[derive(Clone, Debug)]
pub(super) struct Trouble {
    pub(super) error: Error,
    pub(super) at_ms: i64,
}

/// Counters that only grow; written by the apply task, read by anyone.
#[derive(Debug, Default)]
pub(super) struct Counters {
    pub(super) commands: AtomicU64,
    pub(super) units: AtomicU64,
    pub(super) unknown_commands: AtomicU64,
    pub(super) failed_commands: AtomicU64,
    pub(super) asked: AtomicU64,
    pub(super) skipped: AtomicU64,
    pub(super) loaded_bytes: AtomicU64,
    pub(super) loaded_keys: AtomicU64,
    pub(super) memory_peak: AtomicU64,
    pub(super) healing: AtomicU64,
    pub(super) healed: AtomicU64,
    pub(super) unhealed: AtomicU64,
}

impl Counters {
    pub(super) fn add(counter: &AtomicU64, n: u64) {
        // Nobody else writes to it.
        counter.store(counter.load(Ordering::Relaxed) + n, Ordering::Relaxed);
    }

    pub(super) fn of(counter: &AtomicU64) -> u64 {
        counter.load(Ordering::Relaxed)
    }
}

/// The part of [`Info`] that is not counted elsewhere.
#[derive(Clone, Debug, Default)]
pub(super) struct Status {
    pub(super) state: State,
    pub(super) moment: Moment,
    pub(super) since_ms: i64,
    pub(super) ready: bool,
    /// The state listener has heard that it is ready; whoever waits is told only then.
    pub(super) announced: bool,
    pub(super) diverged: bool,
    pub(super) mixed: bool,
    pub(super) server_kind: String,
    pub(super) server_version: String,
    pub(super) load_total_bytes: i64,
    pub(super) trouble: Option<Trouble>,
    pub(super) offset: i64,
    pub(super) replid: Option<[u8; 40]>,
    /// The program has asked for the end: nobody waits for anything else any more.
    pub(super) stopping: bool,
    /// Engine threads that have not ended.
    pub(super) threads: usize,
}

impl Status {
    /// Given up, with this reason.
    pub(super) fn fail(&mut self, error: Error, at_ms: i64) {
        self.state = State::Failed;
        self.since_ms = at_ms;
        self.trouble = Some(Trouble { error, at_ms });
    }
}

/// The status, and those who wait for it to change.
#[derive(Default)]
pub(super) struct Board {
    /// Its offset may be one of before.
    status: Mutex<Status>,
    changed: Condvar,
    /// [`Status::offset`] as it is, which moves with every unit and then without the lock; only the
    /// apply task moves it.
    offset: AtomicI64,
    /// How many wait.
    waiting: AtomicUsize,
}

impl Board {
    pub(super) fn read(&self) -> Status {
        self.lock().clone()
    }

    fn lock(&self) -> MutexGuard<'_, Status> {
        let mut status = self.status.lock();
        status.offset = self.offset.load(Ordering::SeqCst);
        status
    }

    /// Changes the status and wakes everyone who waits, which costs nothing where nobody does.
    pub(super) fn update<R>(&self, change: impl FnOnce(&mut Status) -> R) -> R {
        let mut status = self.lock();
        let before = status.offset;
        let result = change(&mut status);
        if status.offset != before {
            self.offset.store(status.offset, Ordering::SeqCst);
        }
        drop(status);
        self.changed.notify_all();
        result
    }

    /// Only the offset moves. For the apply task. Whoever begins to wait at this moment may miss
    /// it, and hears of it with the next one, or from [`Board::pause`].
    #[inline]
    pub(super) fn set_offset(&self, offset: i64) {
        // Release: who finds it finds what is applied.
        self.offset.store(offset, Ordering::Release);
        if self.waiting.load(Ordering::Relaxed) > 0 {
            self.wake();
        }
    }

    /// The offset does not move for now: to be called before anything that may take long.
    pub(super) fn pause(&self) {
        // Either this sees who waits, or who is about to wait sees the offset. Units follow each
        // other too fast to have that said of each of them.
        fence(Ordering::SeqCst);
        if self.waiting.load(Ordering::Relaxed) > 0 {
            self.wake();
        }
    }

    #[cold]
    fn wake(&self) {
        // Who has looked in vain sleeps once the lock can be had.
        drop(self.status.lock());
        self.changed.notify_all();
    }

    /// Waits until `done` has an answer, or for so many milliseconds (-1 for ever).
    pub(super) fn wait<R>(
        &self,
        env: &dyn Env,
        timeout_ms: i64,
        mut done: impl FnMut(&Status) -> Option<Result<R>>,
    ) -> Result<R> {
        let deadline = (timeout_ms >= 0).then(|| env.ticks_ms().saturating_add(timeout_ms));
        let _waiting = Waiting::new(&self.waiting);
        let mut status = self.status.lock();
        loop {
            status.offset = self.offset.load(Ordering::SeqCst);
            if let Some(result) = done(&status) {
                return result;
            }
            let Some(deadline) = deadline else {
                self.changed.wait(&mut status);
                continue;
            };
            match u64::try_from(deadline.saturating_sub(env.ticks_ms())) {
                Ok(left_ms) if left_ms > 0 => {
                    self.changed.wait_for(&mut status, Duration::from_millis(left_ms));
                }
                _ => return Err(timed_out(&status)),
            }
        }
    }
}

/// Is counted among those who wait.
struct Waiting<'a>(&'a AtomicUsize);

impl<'a> Waiting<'a> {
    fn new(count: &'a AtomicUsize) -> Self {
        count.fetch_add(1, Ordering::SeqCst);
        fence(Ordering::SeqCst);
        Self(count)
    }
}

impl Drop for Waiting<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::SeqCst);
    }
}

fn timed_out(status: &Status) -> Error {
    let text = match &status.trouble {
        _ if status.moment == Moment::WaitingForTurn => {
            "not in time: other processes of this host sync fully first (sync-lock)".to_owned()
        }
        Some(trouble) => format!("not in time; the last trouble was: {}", trouble.error),
        None if status.ready => "not in time".to_owned(),
        // Nothing is wrong, but somebody who is new here may think so.
        None => match status.moment {
            Moment::Connected => "not in time: connected, but no snapshot has come yet",
            Moment::SyncBegun | Moment::Progress => "not in time: the snapshot is being loaded",
            _ => "not in time: not connected yet",
        }
        .to_owned(),
    };
    Error::new(Kind::Timeout, text)
}
