//! A primary that is never slow: it holds a stream ready and times how long a replica takes for it.
//!
//! It serves a snapshot from memory, an empty one unless told otherwise, and then the bytes that it
//! is given. What is timed begins with the first byte that is written and ends when the replica has
//! acknowledged the last one: reading from the socket, parsing, applying, and one acknowledgement
//! on demand. That is the same for every replica, and the best case for it: no client is served, no
//! reply is written, nothing is saved.

use crate::support::PATIENCE;
use rets::resp::{Reader, write_command};
use std::io::{Read, Write};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::sync::Arc;
use std::time::{Duration, Instant};

/// Header, end, and a checksum of 0, which stands for none. Every server since Redis 5 reads it.
const EMPTY_SNAPSHOT: &[u8] = b"REDIS0009\xff\0\0\0\0\0\0\0\0";

/// How long a large stream may take.
const STREAM_PATIENCE: Duration = Duration::from_secs(300);

/// One replica's link.
pub(crate) struct Feed {
    listener: TcpListener,
    snapshot: Arc<Vec<u8>>,
    /// How many histories it has begun: each attachment is to another one.
    histories: u64,
    /// When the last snapshot was begun.
    begun: Instant,
    stream: TcpStream,
    reader: Reader,
    offset: u64,
}

impl Feed {
    /// Lets a replica attach that `attach` sends to a port of 127.0.0.1; it gets an empty snapshot.
    pub(crate) fn to(attach: impl FnOnce(u16)) -> Self {
        Self::with(Arc::new(EMPTY_SNAPSHOT.to_vec()), attach)
    }

    /// The same with this snapshot. It is on its way when this returns, but need not be loaded.
    pub(crate) fn with(snapshot: Arc<Vec<u8>>, attach: impl FnOnce(u16)) -> Self {
        let listener = TcpListener::bind(("127.0.0.1", 0)).expect("a free port");
        attach(listener.local_addr().expect("an address").port());
        let stream = accepted(&listener);
        let (begun, reader) = (Instant::now(), Reader::new());
        let mut feed = Self { listener, snapshot, histories: 0, begun, stream, reader, offset: 0 };
        feed.greet();
        feed
    }

    /// Breaks the link, and begins another history with the snapshot for the replica that comes
    /// back: a full sync.
    pub(crate) fn resync(&mut self) {
        self.stream.shutdown(Shutdown::Both).expect("a live link");
        self.stream = accepted(&self.listener);
        (self.reader, self.offset) = (Reader::new(), 0);
        self.histories += 1;
        self.greet();
    }

    fn greet(&mut self) {
        self.stream.set_read_timeout(Some(PATIENCE)).expect("a timeout");
        self.stream.set_write_timeout(Some(STREAM_PATIENCE)).expect("a timeout");
        while !self.greeted() {}
        self.stream.set_read_timeout(Some(STREAM_PATIENCE)).expect("a timeout");
    }

    /// Answers what a replica says before the stream; true once the snapshot was sent.
    fn greeted(&mut self) -> bool {
        let args = self.hear();
        let name = args.first().map(|name| name.to_ascii_uppercase()).unwrap_or_default();
        match name.as_slice() {
            b"PING" => self.say(b"+PONG\r\n"),
            b"PSYNC" => {
                let id = format!("{:040x}", self.histories);
                self.say(format!("+FULLRESYNC {id} 0\r\n${}\r\n", self.snapshot.len()).as_bytes());
                self.begun = Instant::now();
                let snapshot = Arc::clone(&self.snapshot);
                self.say(&snapshot);
                return true;
            }
            _ => self.say(b"+OK\r\n"),
        }
        false
    }

    fn say(&mut self, bytes: &[u8]) {
        self.stream.write_all(bytes).expect("the replica reads");
    }

    /// The next command from the replica.
    fn hear(&mut self) -> Vec<Vec<u8>> {
        loop {
            if let Some(command) = self.reader.next().expect("a replica's command") {
                return command.args.iter().map(|arg| arg.to_vec()).collect();
            }
            let mut bytes = [0; 4096];
            let count = self.stream.read(&mut bytes).expect("the replica answers in time");
            assert!(count > 0, "the replica has gone");
            self.reader.feed(&bytes[..count]);
        }
    }

    /// Sends a piece of the stream, and tells how long it took until all of it was applied.
    pub(crate) fn send(&mut self, stream: &[u8]) -> Duration {
        let began = Instant::now();
        self.write(stream);
        self.settle();
        began.elapsed()
    }

    /// Seconds since the beginning of the last snapshot.
    pub(crate) fn since_begun(&self) -> f64 {
        self.begun.elapsed().as_secs_f64()
    }

    /// Sends a piece of the stream.
    pub(crate) fn write(&mut self, stream: &[u8]) {
        self.say(stream);
        self.offset += stream.len() as u64;
    }

    /// Waits until everything is applied.
    pub(crate) fn settle(&mut self) {
        let mut demand = Vec::new();
        write_command(&mut demand, &[b"REPLCONF".as_slice(), b"GETACK", b"*"]);
        self.say(&demand);
        while !self.acknowledged() {}
        self.offset += demand.len() as u64;
    }

    fn acknowledged(&mut self) -> bool {
        let args = self.hear();
        let [name, what, offset, ..] = args.as_slice() else { return false };
        name.eq_ignore_ascii_case(b"REPLCONF")
            && what.eq_ignore_ascii_case(b"ACK")
            && std::str::from_utf8(offset).is_ok_and(|o| o.parse().is_ok_and(|o| self.offset <= o))
    }
}

fn accepted(listener: &TcpListener) -> TcpStream {
    let (stream, _) = listener.accept().expect("the replica connects");
    stream.set_nodelay(true).expect("a TCP option");
    stream
}
