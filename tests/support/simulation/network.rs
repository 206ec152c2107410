//! The simulated machine: clocks that stand still until they are moved, chance from a seed, and
//! connections whose bytes take their time, in pieces, or never arrive.

use crate::support::random::Dice;
use rets::env::{Address, Connection, Env, Interest, Lock, Thread, TryLock, Waker};
use rets::error::{Error, Kind, Result};
use std::collections::{BTreeMap, VecDeque};
use std::io;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard};

/// The wall clock at the beginning, in Unix milliseconds.
const EPOCH_MS: i64 = 1_700_000_000_000;

/// What becomes of an attempt to connect.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Dial {
    /// It is up at this time.
    Up(i64),
    /// It is refused at this time.
    Refused(i64),
    Never,
}

/// One connection, seen from between its ends.
#[derive(Debug)]
pub struct Wire {
    pub dial: Dial,
    /// The replica knows that it is up.
    is_up: bool,
    pub latency_ms: i64,
    /// The most that one read brings.
    pub read_max: usize,
    /// How many bytes to the primary may be under way.
    pub window: usize,
    to_replica: VecDeque<(i64, Vec<u8>)>,
    to_primary: VecDeque<(i64, Vec<u8>)>,
    /// The primary closed: after the bytes before it, the end comes at this time.
    closed_at: Option<i64>,
    pub is_reset: bool,
    /// Nothing gets through any more, and nobody is told.
    pub is_hole: bool,
    /// The replica closed.
    pub is_left: bool,
    /// What the replica wrote since somebody last looked.
    pub written: Vec<u8>,
    /// How many bytes the primary has sent.
    pub sent: u64,
    /// How many bytes the replica had read after each read, and when that was.
    reads: Vec<(u64, i64)>,
    /// Whom the replica wanted, and what the only file was then.
    pub host: String,
    pub password: Option<Vec<u8>>,
}

impl Wire {
    fn due(&self, now: i64, queue: &VecDeque<(i64, Vec<u8>)>) -> i64 {
        let last = queue.back().map_or(0, |(at, _)| *at);
        (now + self.latency_ms).max(last)
    }

    /// The primary says this.
    pub fn send(&mut self, now: i64, bytes: &[u8]) {
        if !bytes.is_empty() && self.closed_at.is_none() && !self.is_hole {
            let at = self.due(now, &self.to_replica);
            self.sent += bytes.len() as u64;
            self.to_replica.push_back((at, bytes.to_vec()));
        }
    }

    /// How much the primary has sent that was not read.
    pub fn unread(&self) -> usize {
        self.to_replica.iter().map(|(_, bytes)| bytes.len()).sum()
    }

    /// When the replica read the last of so many bytes.
    pub fn read_at(&self, bytes: u64) -> Option<i64> {
        let before = self.reads.partition_point(|(count, _)| *count < bytes);
        self.reads.get(before).map(|(_, at)| *at)
    }

    /// The primary closes.
    pub fn close(&mut self, now: i64) {
        if self.closed_at.is_none() && !self.is_hole {
            self.closed_at = Some(self.due(now, &self.to_replica));
        }
    }

    /// What has come to the primary.
    pub fn take(&mut self, now: i64) -> Vec<u8> {
        let mut bytes = Vec::new();
        while self.to_primary.front().is_some_and(|(at, _)| *at <= now) && !self.is_hole {
            bytes.extend(self.to_primary.pop_front().into_iter().flat_map(|(_, bytes)| bytes));
        }
        bytes
    }

    /// Whether the replica would find something to do here.
    pub fn is_ready(&self, now: i64, want: Interest) -> bool {
        match self.dial {
            Dial::Never => false,
            Dial::Up(at) | Dial::Refused(at) if !self.is_up => at <= now,
            Dial::Up(_) | Dial::Refused(_) => {
                let can_read = self.is_reset
                    || self.to_replica.front().is_some_and(|(at, _)| *at <= now)
                    || self.closed_at.is_some_and(|at| at <= now);
                (want.read && can_read) || (want.write && (self.room() > 0 || self.is_reset))
            }
        }
    }

    /// When something will next happen to the replica.
    pub fn next_at(&self) -> Option<i64> {
        let dialed = match self.dial {
            Dial::Up(at) | Dial::Refused(at) => Some(at),
            Dial::Never => None,
        };
        let read = self.to_replica.front().map(|(at, _)| *at);
        [dialed, read, self.closed_at].into_iter().flatten().max()
    }

    /// When something will next come to the primary.
    pub fn next_for_primary_at(&self) -> Option<i64> {
        self.to_primary.front().filter(|_| !self.is_hole).map(|(at, _)| *at)
    }

    fn room(&self) -> usize {
        let taken: usize = self.to_primary.iter().map(|(_, bytes)| bytes.len()).sum();
        self.window.saturating_sub(taken)
    }

    /// What was sent is lost from here on.
    pub fn cut_off(&mut self) {
        self.is_hole = true;
        self.to_replica.clear();
    }
}

/// Everything outside the engine.
pub struct Net {
    pub ticks_ms: i64,
    /// How far the wall clock is from where it would be.
    pub wall_ms: i64,
    pub dice: Dice,
    pub wires: Vec<Wire>,
    /// What becomes of the next attempts to connect.
    pub dials: VecDeque<Dial>,
    /// Of new connections.
    pub latency_ms: i64,
    /// Reads bring all that is there.
    pub is_calm: bool,
    /// The disk.
    pub files: BTreeMap<String, Vec<u8>>,
}

impl Net {
    pub fn now_ms(&self) -> i64 {
        EPOCH_MS + self.wall_ms + self.ticks_ms
    }
}

/// The seam.
pub struct Sim {
    net: Mutex<Net>,
    /// The link's, that of the queue of events, and others that were asked for.
    rings: Mutex<Vec<Arc<Ring>>>,
}

/// The place of the link's ring.
const LINK: usize = 0;
/// The place of the ring of the queue of events.
const EVENTS: usize = 1;

impl Sim {
    pub fn new(dice: Dice) -> Arc<Self> {
        let net = Net {
            ticks_ms: 0,
            wall_ms: 0,
            dice,
            wires: Vec::new(),
            dials: VecDeque::new(),
            latency_ms: 0,
            is_calm: false,
            files: BTreeMap::new(),
        };
        Arc::new(Self { net: Mutex::new(net), rings: Mutex::default() })
    }

    pub fn net(&self) -> MutexGuard<'_, Net> {
        self.net.lock().unwrap_or_else(|poisoned| poisoned.into_inner())
    }

    /// Whether the link was rung for since the last question.
    pub fn take_ring(&self) -> bool {
        self.ring(LINK).0.swap(false, Ordering::SeqCst)
    }

    pub fn is_ringing(&self) -> bool {
        self.ring(LINK).0.load(Ordering::SeqCst)
    }

    /// Whether there are events to be taken.
    pub fn is_ringing_for_events(&self) -> bool {
        self.ring(EVENTS).0.load(Ordering::SeqCst)
    }

    fn ring(&self, at: usize) -> Arc<Ring> {
        let rings = self.rings.lock().unwrap_or_else(|poisoned| poisoned.into_inner());
        Arc::clone(&rings[at])
    }
}

#[derive(Default)]
struct Ring(AtomicBool);

impl Waker for Ring {
    fn wake(&self) {
        self.0.store(true, Ordering::SeqCst);
    }
    fn wait(&self, timeout_ms: i64) {
        assert_eq!(timeout_ms, 0, "a simulation never sleeps");
        self.0.store(false, Ordering::SeqCst);
    }
}

/// The replica's end of a connection.
struct End {
    sim: Arc<Sim>,
    at: usize,
}

impl Connection for End {
    fn established(&mut self) -> Result<bool> {
        let net = &mut *self.sim.net();
        let (now, wire) = (net.ticks_ms, &mut net.wires[self.at]);
        wire.is_up = matches!(wire.dial, Dial::Up(at) if at <= now);
        match wire.dial {
            Dial::Refused(at) if at <= now => Err(Error::new(Kind::Io, "connection refused")),
            _ => Ok(wire.is_up),
        }
    }

    fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        let net = &mut *self.sim.net();
        let (now, wire) = (net.ticks_ms, &mut net.wires[self.at]);
        if wire.is_reset {
            return Err(io::ErrorKind::ConnectionReset.into());
        }
        let most = match net.dice.below(100) {
            _ if net.is_calm => buf.len(),
            // A border anywhere, and yet not thousands of turns for a snapshot.
            0..=19 => 1 + net.dice.below(3),
            _ => 1 + net.dice.below(wire.read_max),
        };
        let most = most.min(buf.len());
        let mut count = 0;
        while let Some((at, bytes)) = wire.to_replica.front_mut() {
            let part = bytes.len().min(most - count);
            if *at > now || part == 0 {
                break;
            }
            buf[count..count + part].copy_from_slice(&bytes[..part]);
            bytes.drain(..part);
            count += part;
            if bytes.is_empty() {
                wire.to_replica.pop_front();
            }
        }
        if count > 0 {
            let before = wire.reads.last().map_or(0, |(before, _)| *before);
            wire.reads.push((before + count as u64, now));
        }
        match wire.closed_at {
            _ if count > 0 => Ok(count),
            Some(at) if at <= now && wire.to_replica.is_empty() => Ok(0),
            _ => Err(io::ErrorKind::WouldBlock.into()),
        }
    }

    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let net = &mut *self.sim.net();
        let (now, wire) = (net.ticks_ms, &mut net.wires[self.at]);
        if wire.is_reset {
            return Err(io::ErrorKind::BrokenPipe.into());
        }
        let count = wire.room().min(bytes.len());
        if count == 0 {
            return Err(io::ErrorKind::WouldBlock.into());
        }
        let count = 1 + net.dice.below(count);
        let at = wire.due(now, &wire.to_primary);
        wire.to_primary.push_back((at, bytes[..count].to_vec()));
        wire.written.extend_from_slice(&bytes[..count]);
        Ok(count)
    }

    fn wait(&mut self, _: Interest, _: &dyn Waker, _: i64) -> io::Result<()> {
        panic!("a simulation never sleeps");
    }
}

impl Drop for End {
    fn drop(&mut self) {
        self.sim.net().wires[self.at].is_left = true;
    }
}

/// The environment of one replica; [`Env`] is made for a shared one, which has to find itself.
pub struct Machine(pub Arc<Sim>);

/// The lock of `sync-lock`, which nobody else looks at.
struct Unseen;

impl Lock for Unseen {
    fn show_progress(&self) {}
}

impl Env for Machine {
    fn now_ms(&self) -> i64 {
        self.0.net().now_ms()
    }
    fn ticks_ms(&self) -> i64 {
        self.0.net().ticks_ms
    }
    fn random(&self) -> u64 {
        self.0.net().dice.any()
    }
    fn dial(&self, to: &Address) -> Result<Box<dyn Connection>> {
        let net = &mut *self.0.net();
        let host = match to {
            Address::Tcp { host, .. } => host.clone(),
            Address::Unix { path } => path.clone(),
        };
        let dial = net.dials.pop_front().unwrap_or(Dial::Up(0));
        let later = |ms: i64| net.ticks_ms + ms + net.latency_ms;
        let dial = match dial {
            Dial::Up(ms) => Dial::Up(later(ms)),
            Dial::Refused(ms) => Dial::Refused(later(ms)),
            Dial::Never => Dial::Never,
        };
        let read_max = [60, 1000, 70_000][net.dice.below(3)];
        let window = [40, 1000, 70_000][net.dice.below(3)];
        net.wires.push(Wire {
            dial,
            is_up: false,
            latency_ms: net.latency_ms,
            read_max,
            window,
            to_replica: VecDeque::new(),
            to_primary: VecDeque::new(),
            closed_at: None,
            is_reset: false,
            is_hole: false,
            is_left: false,
            written: Vec::new(),
            sent: 0,
            reads: Vec::new(),
            host,
            password: net.files.values().next().cloned(),
        });
        Ok(Box::new(End { sim: Arc::clone(&self.0), at: net.wires.len() - 1 }))
    }
    fn waker(&self) -> Result<Arc<dyn Waker>> {
        let ring = Arc::<Ring>::default();
        let mut rings = self.0.rings.lock().unwrap_or_else(|poisoned| poisoned.into_inner());
        rings.push(Arc::clone(&ring));
        Ok(ring)
    }
    fn spawn(&self, _: &str, _: Box<dyn FnOnce() + Send>) -> Result<Box<dyn Thread>> {
        Err(Error::invalid("a simulation has no threads"))
    }
    fn read_file(&self, path: &str) -> Result<Vec<u8>> {
        let file = self.0.net().files.get(path).cloned();
        file.ok_or_else(|| Error::new(Kind::Io, format!("can't read file {path}: there is none")))
    }
    /// Other processes have it now and then, but not when all is calm.
    fn try_lock(&self, _: &str) -> Result<TryLock> {
        let net = &mut *self.0.net();
        if net.is_calm || net.dice.percent(30) {
            return Ok(TryLock::Ours(Box::new(Unseen)));
        }
        Ok(TryLock::Theirs { progress: net.dice.below(2) as i64 })
    }
}
