//! Everything the engine touches outside its own memory passes through here, so that a simulation
//! can stand in for the clocks, the network, the disk and the threads at once.

mod barrier;
mod lock;
mod socket;
mod thread;
mod waker;

use std::fmt;
use std::hash::{BuildHasher, RandomState};
use std::io::{self, Read};
use std::os::fd::BorrowedFd;
use std::os::unix::fs::OpenOptionsExt;
use std::sync::Arc;
use std::time::{Instant, SystemTime, UNIX_EPOCH};

use crate::error::{Error, Kind, Result};

/// The largest file that [`Env::read_file`] takes: it is for passwords and the like, and a wrong
/// path (a device, a core dump) must not cost the host its memory.
const MAX_FILE: u64 = 1 << 20;

/// Clocks, chance, network, disk and threads.
pub trait Env: Send + Sync {
    /// The wall clock, in Unix milliseconds.
    fn now_ms(&self) -> i64;
    /// A clock that never goes back, in milliseconds since some moment.
    fn ticks_ms(&self) -> i64;
    /// A number that nobody can guess.
    fn random(&self) -> u64;
    /// Starts a connection and returns at once; see [`Connection::established`].
    fn dial(&self, to: &Address) -> Result<Box<dyn Connection>>;
    /// Something to ring when a sleeper should look around.
    fn waker(&self) -> Result<Arc<dyn Waker>>;
    /// Starts a thread of this name (at most 15 bytes) that no signal is ever delivered to.
    fn spawn(&self, name: &str, body: Box<dyn FnOnce() + Send>) -> Result<Box<dyn Thread>>;
    /// The whole of a small file.
    fn read_file(&self, path: &str) -> Result<Vec<u8>>;
    /// Takes the lock that a file stands for, if nobody on this machine has it; makes the file
    /// where there is none. Returns at once.
    fn try_lock(&self, path: &str) -> Result<TryLock>;
    /// What makes all threads of the process pass a full barrier of memory; `None` where there is
    /// no such call.
    fn barrier(&self) -> Option<fn() -> bool> {
        None
    }
}

/// What became of an attempt to take a lock.
pub enum TryLock {
    /// It is ours until this is dropped or the process ends, however it ends.
    Ours(Box<dyn Lock>),
    /// Somebody else has it.
    Theirs {
        /// Another number each time the holder has called [`Lock::show_progress`].
        progress: i64,
    },
}

/// A lock that is held.
pub trait Lock: Send {
    /// Shows those who want the lock that its holder gets on.
    fn show_progress(&self);
}

/// Where a primary listens.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Address {
    /// A host name or a numeric address, without brackets.
    Tcp {
        /// The name.
        host: String,
        /// The port.
        port: u16,
    },
    /// A socket in the file system.
    Unix {
        /// Its path.
        path: String,
    },
}

impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Tcp { host, port } if host.contains(':') => write!(f, "[{host}]:{port}"),
            Self::Tcp { host, port } => write!(f, "{host}:{port}"),
            Self::Unix { path } => f.write_str(path),
        }
    }
}

/// What a sleeper on a connection wants to hear of.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Interest {
    /// There is something to read, or the end.
    pub read: bool,
    /// There is room to write.
    pub write: bool,
}

/// A stream of bytes to a primary. Nothing but [`Connection::wait`] ever blocks.
pub trait Connection: Send {
    /// Whether reading and writing may begin. An error when no address could be reached.
    fn established(&mut self) -> Result<bool>;
    /// As `read(2)`: 0 at the end, `WouldBlock` when there is nothing yet.
    fn read(&mut self, buf: &mut [u8]) -> io::Result<usize>;
    /// As `write(2)`, but never a signal.
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize>;
    /// Sleeps until what is wanted can be done, the waker rings or time is up (-1: never). While
    /// the connection isn't established it ends when [`Connection::established`] should be asked.
    /// It may end early, and it silences the waker.
    fn wait(&mut self, want: Interest, waker: &dyn Waker, timeout_ms: i64) -> io::Result<()>;
}

/// Ends the sleep of one thread from another.
pub trait Waker: Send + Sync {
    /// Rings. A ring that nobody sleeps through ends the next sleep.
    fn wake(&self);
    /// Sleeps until it rings or time is up (-1: never), and silences it.
    fn wait(&self, timeout_ms: i64);
    /// What to poll together with a socket; readable while it rings. `None` in a simulation.
    fn descriptor(&self) -> Option<BorrowedFd<'_>> {
        None
    }
}

/// A thread that was started.
pub trait Thread: Send {
    /// Waits for its end.
    fn join(self: Box<Self>);
}

/// The machine we run on.
pub struct System {
    started: Instant,
    lookups: socket::Lookups,
}

impl System {
    /// Nothing is opened or started.
    pub fn new() -> Self {
        Self { started: Instant::now(), lookups: socket::Lookups::default() }
    }
}

impl Default for System {
    fn default() -> Self {
        Self::new()
    }
}

impl Env for System {
    fn now_ms(&self) -> i64 {
        // A clock before 1970 counts backwards rather than failing.
        match SystemTime::now().duration_since(UNIX_EPOCH) {
            Ok(since) => i64::try_from(since.as_millis()).unwrap_or(i64::MAX),
            Err(before) => -i64::try_from(before.duration().as_millis()).unwrap_or(i64::MAX),
        }
    }

    fn ticks_ms(&self) -> i64 {
        i64::try_from(self.started.elapsed().as_millis()).unwrap_or(i64::MAX)
    }

    fn random(&self) -> u64 {
        // The standard library keys each of these anew from the system's own source.
        RandomState::new().hash_one(self.started)
    }

    fn dial(&self, to: &Address) -> Result<Box<dyn Connection>> {
        Ok(Box::new(socket::Wire::dial(to, &self.lookups)?))
    }

    fn waker(&self) -> Result<Arc<dyn Waker>> {
        Ok(Arc::new(waker::Bell::new()?))
    }

    fn spawn(&self, name: &str, body: Box<dyn FnOnce() + Send>) -> Result<Box<dyn Thread>> {
        Ok(Box::new(thread::spawn(name, body)?))
    }

    fn read_file(&self, path: &str) -> Result<Vec<u8>> {
        let failed = |e: io::Error| Error::new(Kind::Io, format!("can't read file {path}: {e}"));
        // A FIFO or a device must not keep the engine waiting.
        let mut options = std::fs::OpenOptions::new();
        let file = options.read(true).custom_flags(libc::O_NONBLOCK).open(path).map_err(failed)?;
        if !file.metadata().map_err(failed)?.is_file() {
            return Err(Error::new(Kind::Io, format!("can't read file {path}: not a plain file")));
        }
        let mut bytes = Vec::new();
        file.take(MAX_FILE + 1).read_to_end(&mut bytes).map_err(failed)?;
        if bytes.len() as u64 > MAX_FILE {
            let text = format!("can't read file {path}: larger than {MAX_FILE} bytes");
            return Err(Error::new(Kind::Io, text));
        }
        Ok(bytes)
    }

    fn try_lock(&self, path: &str) -> Result<TryLock> {
        lock::try_lock(path)
    }

    fn barrier(&self) -> Option<fn() -> bool> {
        barrier::for_all_threads()
    }
}

#[cfg(test)]
mod tests;
