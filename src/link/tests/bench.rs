//! One link with a scripted network, a simulated clock and a stand-in for the apply task.

use std::collections::{HashMap, VecDeque};
use std::io;
use std::sync::atomic::{AtomicUsize, Ordering};

use crossbeam_channel::Receiver;
use parking_lot::Mutex;

use super::*;
use crate::env::{Lock, Thread, TryLock, Waker};

/// The other end of a connection of the simulation.
#[derive(Default)]
pub(super) struct Peer {
    /// When it was dialed and where to.
    pub(super) dialed: (i64, String),
    /// What `established` says.
    pub(super) up: Option<Result<()>>,
    /// What comes, in reads; an empty one is the end.
    pub(super) coming: VecDeque<Vec<u8>>,
    /// What was sent and not looked at yet.
    pub(super) sent: Vec<u8>,
    pub(super) write_fails: bool,
    /// Bytes that can still be written before it blocks.
    pub(super) window: Option<usize>,
    pub(super) reads: usize,
    pub(super) dropped: bool,
}

#[derive(Default)]
pub(super) struct World {
    pub(super) now: i64,
    pub(super) random: u64,
    pub(super) files: HashMap<String, Vec<u8>>,
    /// How the next connections come up; up when there is nothing more.
    pub(super) plans: VecDeque<Option<Result<()>>>,
    pub(super) peers: Vec<Arc<Mutex<Peer>>>,
    pub(super) rings: Arc<AtomicUsize>,
    pub(super) lock: Arc<Mutex<LockState>>,
}

/// The file of the option `sync-lock`.
#[derive(Default)]
pub(super) struct LockState {
    /// What another process shows that has it.
    pub(super) theirs: Option<i64>,
    pub(super) is_ours: bool,
    /// How often the link has shown that it gets on.
    pub(super) shown: usize,
    pub(super) is_broken: bool,
}

struct Held(Arc<Mutex<LockState>>);

pub(super) struct Sim(pub(super) Mutex<World>);

struct End(Arc<Mutex<Peer>>);

struct Rings(Arc<AtomicUsize>);

impl Waker for Rings {
    fn wake(&self) {
        self.0.fetch_add(1, Ordering::SeqCst);
    }
    fn wait(&self, _timeout_ms: i64) {}
}

impl Connection for End {
    fn established(&mut self) -> Result<bool> {
        self.0.lock().up.clone().map_or(Ok(false), |up| up.map(|()| true))
    }
    fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        let mut peer = self.0.lock();
        let Some(mut bytes) = peer.coming.pop_front() else {
            return Err(io::ErrorKind::WouldBlock.into());
        };
        let rest = bytes.split_off(bytes.len().min(buf.len()));
        if !rest.is_empty() {
            peer.coming.push_front(rest);
        }
        peer.reads += 1;
        buf[..bytes.len()].copy_from_slice(&bytes);
        Ok(bytes.len())
    }
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let mut peer = self.0.lock();
        if peer.write_fails {
            return Err(io::ErrorKind::BrokenPipe.into());
        }
        let count = peer.window.map_or(bytes.len(), |window| window.min(bytes.len()));
        peer.window = peer.window.map(|window| window - count);
        peer.sent.extend_from_slice(&bytes[..count]);
        if count == 0 { Err(io::ErrorKind::WouldBlock.into()) } else { Ok(count) }
    }
    fn wait(&mut self, _: Interest, _: &dyn Waker, _: i64) -> io::Result<()> {
        Ok(())
    }
}

impl Drop for End {
    fn drop(&mut self) {
        self.0.lock().dropped = true;
    }
}

impl Env for Sim {
    fn now_ms(&self) -> i64 {
        self.ticks_ms()
    }
    fn ticks_ms(&self) -> i64 {
        self.0.lock().now
    }
    fn random(&self) -> u64 {
        self.0.lock().random
    }
    fn dial(&self, to: &Address) -> Result<Box<dyn Connection>> {
        let mut world = self.0.lock();
        let up = world.plans.pop_front().unwrap_or(Some(Ok(())));
        let dialed = (world.now, to.to_string());
        let peer = Arc::new(Mutex::new(Peer { dialed, up, ..Peer::default() }));
        world.peers.push(Arc::clone(&peer));
        Ok(Box::new(End(peer)))
    }
    fn waker(&self) -> Result<Arc<dyn Waker>> {
        Ok(Arc::new(Rings(Arc::clone(&self.0.lock().rings))))
    }
    fn spawn(&self, _: &str, _: Box<dyn FnOnce() + Send>) -> Result<Box<dyn Thread>> {
        Err(Error::invalid("the simulation is single-stepped"))
    }
    fn read_file(&self, path: &str) -> Result<Vec<u8>> {
        let missing = || Error::new(Kind::Io, format!("can't read file {path}: missing"));
        self.0.lock().files.get(path).cloned().ok_or_else(missing)
    }
    fn try_lock(&self, path: &str) -> Result<TryLock> {
        let state = Arc::clone(&self.0.lock().lock);
        let mut lock = state.lock();
        match lock.theirs {
            _ if lock.is_broken => Err(Error::new(Kind::Io, format!("no {path}"))),
            Some(progress) => Ok(TryLock::Theirs { progress }),
            None => {
                assert!(!lock.is_ours, "it has it already");
                lock.is_ours = true;
                Ok(TryLock::Ours(Box::new(Held(Arc::clone(&state)))))
            }
        }
    }
}

impl Lock for Held {
    fn show_progress(&self) {
        self.0.lock().shown += 1;
    }
}

impl Drop for Held {
    fn drop(&mut self) {
        self.0.lock().is_ours = false;
    }
}

/// One link, its clock, its primary, and a stand-in for the apply task.
pub(super) struct Bench {
    pub(super) sim: Arc<Sim>,
    pub(super) control: Arc<Control>,
    pub(super) link: Link,
    pub(super) fed: Receiver<Feed>,
    /// What the apply task answers to `Lost`; it does not answer when this is `None`.
    pub(super) point: Option<Option<ResumePoint>>,
    pub(super) heard: Vec<Feed>,
}

impl Bench {
    pub(super) fn sim() -> Arc<Sim> {
        Arc::new(Sim(Mutex::new(World::default())))
    }

    pub(super) fn new(options: &[(&str, &str)]) -> Self {
        Self::over(Self::sim(), options)
    }

    pub(super) fn over(sim: Arc<Sim>, options: &[(&str, &str)]) -> Self {
        let mut config = Config::from_url("redis://primary").unwrap();
        options.iter().for_each(|(name, value)| config.set(name, value, false).unwrap());
        let control = Arc::new(Control::new(&*sim).unwrap());
        let (feed, fed) = crossbeam_channel::unbounded();
        let env: Arc<dyn Env> = Arc::<Sim>::clone(&sim);
        let link = Link::new(env, config, Arc::clone(&control), feed);
        Self { sim, control, link, fed, point: Some(None), heard: Vec::new() }
    }

    /// Steps until there is nothing to do now.
    pub(super) fn settle(&mut self) -> Step {
        for _ in 0..10_000 {
            let step = self.link.step();
            let mut answered = false;
            while let Ok(feed) = self.fed.try_recv() {
                if let (Feed::Lost { .. }, Some(point)) = (&feed, self.point) {
                    self.control.resume(point);
                    answered = true;
                }
                self.heard.push(feed);
            }
            if step != Step::Again && !answered {
                return step;
            }
        }
        panic!("the link never comes to rest");
    }

    /// Lets this much time pass, waking the link exactly when it asked to be woken.
    pub(super) fn pass(&mut self, ms: i64) {
        let end = self.sim.ticks_ms() + ms;
        loop {
            let Step::Wait { timeout_ms, .. } = self.settle() else { return };
            let now = self.sim.ticks_ms();
            assert_ne!(timeout_ms, 0, "a wait of nothing burns a core");
            let next = if timeout_ms < 0 { end } else { end.min(now.saturating_add(timeout_ms)) };
            self.sim.0.lock().now = next;
            if next == end {
                self.settle();
                return;
            }
        }
    }

    pub(super) fn lock(&self) -> Arc<Mutex<LockState>> {
        Arc::clone(&self.sim.0.lock().lock)
    }

    pub(super) fn peer(&self) -> Arc<Mutex<Peer>> {
        Arc::clone(self.sim.0.lock().peers.last().expect("nothing was dialed"))
    }

    pub(super) fn dials(&self) -> Vec<i64> {
        self.sim.0.lock().peers.iter().map(|peer| peer.lock().dialed.0).collect()
    }

    /// The primary says this.
    pub(super) fn say(&mut self, text: impl AsRef<[u8]>) {
        self.peer().lock().coming.push_back(text.as_ref().to_vec());
        self.settle();
    }

    pub(super) fn hang_up(&mut self) {
        self.say("");
    }

    /// What the primary heard since it last looked, with spaces for the framing.
    pub(super) fn sent(&mut self) -> String {
        self.settle();
        let sent = std::mem::take(&mut self.peer().lock().sent);
        let text = String::from_utf8(sent).unwrap();
        let words = text.split("\r\n").filter(|w| !w.starts_with(['*', '$']) && !w.is_empty());
        words.collect::<Vec<_>>().join(" ")
    }

    pub(super) fn heard(&mut self) -> Vec<Feed> {
        self.settle();
        std::mem::take(&mut self.heard)
    }

    /// All but the statuses.
    pub(super) fn news(&mut self) -> Vec<Feed> {
        let mut heard = self.heard();
        heard.retain(|feed| !matches!(feed, Feed::Status(_)));
        heard
    }

    /// Plays the primary up to PSYNC and returns that.
    pub(super) fn greet(&mut self) -> String {
        assert_eq!(self.sent(), "PING");
        self.say("+PONG\r\n");
        assert_eq!(self.sent(), "REPLCONF capa eof capa psync2 REPLCONF version 9.1.0");
        self.say("+OK\r\n+OK\r\n");
        self.sent()
    }

    /// A full sync from here on.
    pub(super) fn attach(&mut self, offset: i64) {
        assert_eq!(self.greet(), "PSYNC ? -1");
        self.say(format!("+FULLRESYNC {ID} {offset}\r\n$4\r\nSNAP"));
        assert_eq!(self.sent(), "\n");
    }

    pub(super) fn lost_pauses(&mut self) -> Vec<i64> {
        let pause = |feed| match feed {
            Feed::Lost { retry_in_ms, .. } => Some(retry_in_ms),
            _ => None,
        };
        self.heard().into_iter().filter_map(pause).collect()
    }
}
