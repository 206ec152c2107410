//! A network of one connection that lies in memory, so that the engine can be stepped over bytes
//! that are always cut in the same places.

use rets::env::{Address, Connection, Env, Interest, System, Thread, TryLock, Waker};
use rets::error::Result;
use rets::resp::Reader;
use std::io;
use std::sync::{Arc, Mutex, MutexGuard};

/// The primary's end.
#[derive(Clone)]
pub(crate) struct Pipe(Arc<Mutex<Wire>>);

#[derive(Default)]
struct Wire {
    snapshot: Vec<u8>,
    attached: bool,
    heard: Reader,
    /// What the replica has not read yet.
    says: Vec<u8>,
    read: usize,
}

impl Pipe {
    /// A primary that has this snapshot.
    pub(crate) fn new(snapshot: Vec<u8>) -> Self {
        Self(Arc::new(Mutex::new(Wire { snapshot, ..Wire::default() })))
    }

    /// Sends a piece of the stream.
    pub(crate) fn say(&self, bytes: &[u8]) {
        self.wire().says.extend_from_slice(bytes);
    }

    /// Whether the replica has read everything.
    pub(crate) fn is_empty(&self) -> bool {
        let wire = self.wire();
        wire.read == wire.says.len()
    }

    fn wire(&self) -> MutexGuard<'_, Wire> {
        self.0.lock().expect("nobody panicked")
    }
}

impl Wire {
    fn answer(&mut self, bytes: &[u8]) {
        self.heard.feed(bytes);
        while let Some(command) = self.heard.next().expect("a replica's command") {
            match command.args.first() {
                Some(b"PING") => self.says.extend_from_slice(b"+PONG\r\n"),
                Some(b"PSYNC") => {
                    let (id, len) = ("0".repeat(40), self.snapshot.len());
                    self.says
                        .extend_from_slice(format!("+FULLRESYNC {id} 0\r\n${len}\r\n").as_bytes());
                    self.says.extend_from_slice(&self.snapshot);
                    self.attached = true;
                }
                _ if self.attached => {}
                _ => self.says.extend_from_slice(b"+OK\r\n"),
            }
        }
    }
}

/// The clock stands still, and the network is the pipe.
impl Env for Pipe {
    fn now_ms(&self) -> i64 {
        1_700_000_000_000
    }

    fn ticks_ms(&self) -> i64 {
        1_000
    }

    fn random(&self) -> u64 {
        4
    }

    fn dial(&self, _: &Address) -> Result<Box<dyn Connection>> {
        Ok(Box::new(self.clone()))
    }

    fn waker(&self) -> Result<Arc<dyn Waker>> {
        System::new().waker()
    }

    fn spawn(&self, name: &str, body: Box<dyn FnOnce() + Send>) -> Result<Box<dyn Thread>> {
        System::new().spawn(name, body)
    }

    fn read_file(&self, path: &str) -> Result<Vec<u8>> {
        System::new().read_file(path)
    }

    fn try_lock(&self, path: &str) -> Result<TryLock> {
        System::new().try_lock(path)
    }
}

impl Connection for Pipe {
    fn established(&mut self) -> Result<bool> {
        Ok(true)
    }

    fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        let mut wire = self.wire();
        let rest = &wire.says[wire.read..];
        if rest.is_empty() {
            return Err(io::ErrorKind::WouldBlock.into());
        }
        let count = rest.len().min(buf.len());
        buf[..count].copy_from_slice(&rest[..count]);
        wire.read += count;
        Ok(count)
    }

    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.wire().answer(bytes);
        Ok(bytes.len())
    }

    fn wait(&mut self, _: Interest, _: &dyn Waker, _: i64) -> io::Result<()> {
        unreachable!("it is stepped, and never waits")
    }
}
