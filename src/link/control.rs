//! What the other threads ask of the link, and what it lets them see.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicI64, AtomicU64, Ordering::Release, Ordering::SeqCst};

use parking_lot::Mutex;

use super::feed::ReplId;
use crate::config::Config;
use crate::env::{Env, Waker};
use crate::error::{Error, Result};

/// What a feed of bytes takes besides its bytes, about: its place in the channel and its block.
const CHUNK_OVERHEAD: u64 = 128;

/// While a snapshot comes, so many received bytes may wait: enough for the apply thread to have
/// something to do while the link's is held up, and no more memory than that for what is there when
/// it is asked for.
const AHEAD_MAX: u64 = 896 << 10;

/// A history and the last offset of it that is applied.
pub type ResumePoint = (ReplId, i64);

/// Shared by the link, the apply thread and whoever steers the engine. Every call returns at once.
pub struct Control {
    waker: Arc<dyn Waker>,
    /// Whoever else sleeps and has to hear of the end.
    others: Mutex<Vec<Arc<dyn Waker>>>,
    stopping: AtomicBool,
    /// Something is in `requests`.
    attention: AtomicBool,
    requests: Mutex<Requests>,
    /// The engine was in sync since the link last looked.
    ready: AtomicBool,
    was_ready: AtomicBool,
    applied: AtomicI64,
    ack_due: AtomicBool,
    spooled: AtomicU64,
    /// Feeds of bytes that are not dealt with yet: many small ones take more than their bytes.
    chunks: AtomicU64,
    spool_size: AtomicU64,
    /// A snapshot comes, or what was received of it is not loaded.
    loading: AtomicBool,
    /// The link stopped reading and has to be told when there is room.
    paused: AtomicBool,
    connects: AtomicU64,
    full_syncs: AtomicU64,
    partial_syncs: AtomicU64,
    received_bytes: AtomicU64,
    last_byte_at: AtomicI64,
    last_error: Mutex<Option<Error>>,
    /// How many configurations were set, and of which the primary refused us.
    configs: AtomicU64,
    refused: AtomicU64,
}

#[derive(Default)]
pub(super) struct Requests {
    pub(super) config: Option<Config>,
    /// The number of that configuration.
    pub(super) configs: u64,
    pub(super) restart: Option<Error>,
    /// The number of the configuration under which there is no use in going on.
    pub(super) park: Option<u64>,
    /// The inner one is the resume point, none for a full sync.
    pub(super) resume: Option<Option<ResumePoint>>,
}

/// Figures of one link since the engine started.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Counters {
    /// Connections that were established.
    pub connects: u64,
    /// Snapshots that began.
    pub full_syncs: u64,
    /// Streams that were taken up again.
    pub partial_syncs: u64,
    /// Bytes received, of whatever kind.
    pub received_bytes: u64,
    /// When the last byte came, by [`Env::ticks_ms`]; `None` before the first.
    pub last_byte_at_ms: Option<i64>,
    /// What went wrong last.
    pub last_error: Option<Error>,
}

impl Control {
    /// For one link that does not run yet.
    pub fn new(env: &dyn Env) -> Result<Self> {
        Ok(Self {
            waker: env.waker()?,
            others: Mutex::default(),
            stopping: AtomicBool::new(false),
            attention: AtomicBool::new(false),
            requests: Mutex::new(Requests::default()),
            ready: AtomicBool::new(false),
            was_ready: AtomicBool::new(false),
            applied: AtomicI64::new(-1),
            ack_due: AtomicBool::new(false),
            spooled: AtomicU64::new(0),
            chunks: AtomicU64::new(0),
            spool_size: AtomicU64::new(u64::MAX),
            loading: AtomicBool::new(false),
            paused: AtomicBool::new(false),
            connects: AtomicU64::new(0),
            full_syncs: AtomicU64::new(0),
            partial_syncs: AtomicU64::new(0),
            received_bytes: AtomicU64::new(0),
            last_byte_at: AtomicI64::new(i64::MIN),
            last_error: Mutex::new(None),
            configs: AtomicU64::new(0),
            refused: AtomicU64::new(0),
        })
    }

    // From the apply thread.

    /// How far the stream is applied, which is what the next ACK says; -1 while a snapshot loads or
    /// when no offset is known. The link itself sets it when a sync begins: to -1 for a full one,
    /// to the resume point for a partial one.
    pub fn set_applied(&self, offset: i64) {
        // Release: who is told to acknowledge at once finds it.
        self.applied.store(offset, Release);
    }

    /// Has the next ACK sent at once: the primary asked, or a snapshot is loaded.
    pub fn ack_now(&self) {
        self.ack_due.store(true, SeqCst);
        self.waker.wake();
    }

    /// Answers [`Feed::Lost`](super::Feed::Lost): where to go on, `None` for a full sync. Before
    /// the link runs it is where to begin.
    pub fn resume(&self, point: Option<ResumePoint>) {
        self.ask(|requests| requests.resume = Some(point));
    }

    /// In sync: to be called after each completed load and after each
    /// [`Feed::Continue`](super::Feed::Continue). Pauses after failures start anew, an earlier
    /// [`Control::restart_sync`] is settled, and from the first time on no refusal is final.
    pub fn ready(&self) {
        self.was_ready.store(true, SeqCst);
        self.ready.store(true, SeqCst);
        self.loading.store(false, SeqCst);
        self.read_on();
    }

    /// What we have can't be trusted, or a snapshot can't be used: closes the connection and asks
    /// for a full sync, again and again until [`Control::ready`], each time after a longer pause.
    /// A [`Feed::Lost`](super::Feed::Lost) with this error follows, unless the link is already
    /// down.
    pub fn restart_sync(&self, error: Error) {
        self.ask(|requests| requests.restart = Some(error));
    }

    /// Gives up what was tried under the configuration of this number, see [`Control::configs`]:
    /// closes the connection and makes no other until there is a newer configuration. Nothing is
    /// fed any more before that.
    pub fn park(&self, error: &Error, configs: u64) {
        self.set_error(error);
        self.refused.store(configs, SeqCst);
        self.ask(|requests| requests.park = Some(configs));
    }

    /// One [`Feed::Bytes`] of so many bytes(super::Feed::Bytes) are dealt with, or thrown away.
    pub fn consumed(&self, bytes: u64) {
        self.spooled.fetch_sub(bytes, SeqCst);
        self.chunks.fetch_sub(1, SeqCst);
        self.read_on();
    }

    /// Rings if the link waits for room and there is some: enough to be worth the ring.
    fn read_on(&self) {
        let bound = self.bound();
        if self.taken() <= bound - bound / 4 && self.paused.swap(false, SeqCst) {
            self.waker.wake();
        }
    }

    // From whoever steers the engine.

    /// Ends the link. Nothing comes after what was sent already.
    pub fn stop(&self) {
        self.stopping.store(true, SeqCst);
        self.waker.wake();
        self.others.lock().iter().for_each(|waker| waker.wake());
    }

    /// Rings for the end as well, if that has not come yet.
    pub fn ring_at_end(&self, waker: Arc<dyn Waker>) {
        self.others.lock().push(waker);
    }

    /// Holds from the next connection on. A link that waits for one, or was refused, tries at once.
    pub fn set_config(&self, config: Config) {
        let configs = self.configs.fetch_add(1, SeqCst) + 1;
        self.ask(|requests| {
            requests.config = Some(config);
            requests.configs = configs;
        });
    }

    /// How many configurations were set, which is the number of the one that holds.
    pub fn configs(&self) -> u64 {
        self.configs.load(SeqCst)
    }

    /// Whether the last [`Feed::Refused`](super::Feed::Refused) is about the configuration that
    /// holds: another one may have been set since.
    pub fn is_refusal_current(&self) -> bool {
        self.refused.load(SeqCst) == self.configs.load(SeqCst)
    }

    // For information.

    /// Received bytes that are not dealt with yet.
    pub fn spooled(&self) -> u64 {
        self.spooled.load(SeqCst)
    }

    /// Figures for information.
    pub fn counters(&self) -> Counters {
        let last_byte_at_ms = self.last_byte_at.load(SeqCst);
        Counters {
            connects: self.connects.load(SeqCst),
            full_syncs: self.full_syncs.load(SeqCst),
            partial_syncs: self.partial_syncs.load(SeqCst),
            received_bytes: self.received_bytes.load(SeqCst),
            last_byte_at_ms: (last_byte_at_ms != i64::MIN).then_some(last_byte_at_ms),
            last_error: self.last_error.lock().clone(),
        }
    }

    // From the link.

    fn ask(&self, change: impl FnOnce(&mut Requests)) {
        change(&mut self.requests.lock());
        self.attention.store(true, SeqCst);
        self.waker.wake();
    }

    pub(super) fn waker(&self) -> &dyn Waker {
        &*self.waker
    }

    /// Whether [`Control::stop`] was called.
    pub fn is_stopping(&self) -> bool {
        self.stopping.load(SeqCst)
    }

    /// What was asked for since the last call.
    pub(super) fn take_requests(&self) -> Option<Requests> {
        if !self.attention.swap(false, SeqCst) {
            return None;
        }
        Some(std::mem::take(&mut *self.requests.lock()))
    }

    pub(super) fn take_ready(&self) -> bool {
        self.ready.swap(false, SeqCst)
    }

    pub(super) fn was_ready(&self) -> bool {
        self.was_ready.load(SeqCst)
    }

    pub(super) fn applied(&self) -> i64 {
        self.applied.load(SeqCst)
    }

    pub(super) fn take_ack_due(&self) -> bool {
        self.ack_due.swap(false, SeqCst)
    }

    pub(super) fn set_spool_size(&self, bytes: u64) {
        self.spool_size.store(bytes, SeqCst);
    }

    /// Whether a snapshot comes: until [`Control::ready`] less may wait then.
    pub(super) fn set_loading(&self, comes: bool) {
        self.loading.store(comes, SeqCst);
    }

    /// Whether to read on. If not, the waker rings when that changes.
    pub(super) fn has_room(&self) -> bool {
        if !self.is_full() {
            return true;
        }
        // Said before looking again, so that no room that is made meanwhile goes unheard.
        self.paused.store(true, SeqCst);
        !self.is_full()
    }

    fn is_full(&self) -> bool {
        self.taken() >= self.bound()
    }

    /// Whether so much waits as may ever wait.
    pub(super) fn is_spool_full(&self) -> bool {
        self.taken() >= self.spool_size.load(SeqCst)
    }

    /// Whether a snapshot comes, and the apply thread has enough of it to do for a while.
    pub fn is_ahead(&self) -> bool {
        self.loading.load(SeqCst) && self.spooled.load(SeqCst) > AHEAD_MAX / 2
    }

    fn bound(&self) -> u64 {
        let size = self.spool_size.load(SeqCst);
        if self.loading.load(SeqCst) { size.min(AHEAD_MAX) } else { size }
    }

    /// The memory of what waits, about.
    fn taken(&self) -> u64 {
        let overhead = self.chunks.load(SeqCst).saturating_mul(CHUNK_OVERHEAD);
        self.spooled.load(SeqCst).saturating_add(overhead)
    }

    /// Bytes that were ever received.
    pub(super) fn received_bytes(&self) -> u64 {
        self.received_bytes.load(SeqCst)
    }

    /// About how many of them the apply thread has taken; it moves exactly when that does.
    pub(super) fn handled_bytes(&self) -> u64 {
        self.received_bytes().wrapping_sub(self.spooled())
    }

    pub(super) fn received(&self, bytes: u64, at_ms: i64) {
        self.received_bytes.fetch_add(bytes, SeqCst);
        self.last_byte_at.store(at_ms, SeqCst);
    }

    pub(super) fn spool(&self, bytes: u64) {
        self.chunks.fetch_add(1, SeqCst);
        self.spooled.fetch_add(bytes, SeqCst);
    }

    pub(super) fn count_connect(&self) {
        self.connects.fetch_add(1, SeqCst);
    }

    pub(super) fn count_full_sync(&self) {
        self.full_syncs.fetch_add(1, SeqCst);
    }

    pub(super) fn count_partial_sync(&self) {
        self.partial_syncs.fetch_add(1, SeqCst);
    }

    pub(super) fn set_refused(&self, configs: u64) {
        self.refused.store(configs, SeqCst);
    }

    pub(super) fn set_error(&self, error: &Error) {
        *self.last_error.lock() = Some(error.clone());
    }
}

/// What the apply thread has asked for, for tests of it that run without a link.
#[cfg(test)]
#[derive(Debug, Default, PartialEq)]
pub(crate) struct Asked {
    pub(crate) applied: i64,
    pub(crate) ack_due: bool,
    pub(crate) resume: Option<Option<ResumePoint>>,
    pub(crate) restart: Option<Error>,
    pub(crate) park: bool,
}

#[cfg(test)]
impl Control {
    /// What was asked for since the last call.
    pub(crate) fn asked(&self) -> Asked {
        let Requests { restart, park, resume, .. } = self.take_requests().unwrap_or_default();
        let park = park.is_some();
        Asked { applied: self.applied(), ack_due: self.take_ack_due(), resume, restart, park }
    }

    /// What the link says when bytes have come.
    pub(crate) fn came(&self, bytes: usize) {
        self.spool(bytes as u64);
    }
}
