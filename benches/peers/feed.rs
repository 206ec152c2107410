//! A primary that is never slow: it holds a stream ready and times how long a replica takes for it.
//!
//! It serves an empty snapshot and then the bytes that it is given. What is timed begins with the
//! first byte that is written and ends when the replica has acknowledged the last one: reading from
//! the socket, parsing, applying, and one acknowledgement on demand. That is the same for every
//! replica, and the best case for it: no client is served, no reply is written, nothing is saved.

use crate::support::PATIENCE;
use rets::resp::{Reader, write_command};
use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::time::{Duration, Instant};

const REPLICATION_ID: &str = "0123456789abcdef0123456789abcdef01234567";

/// Header, end, and a checksum of 0, which stands for none. Every server since Redis 5 reads it.
const EMPTY_SNAPSHOT: &[u8] = b"REDIS0009\xff\0\0\0\0\0\0\0\0";

/// How long a large stream may take.
const STREAM_PATIENCE: Duration = Duration::from_secs(300);

/// One replica's link.
pub(crate) struct Feed {
    stream: TcpStream,
    reader: Reader,
    offset: u64,
}

impl Feed {
    /// Lets a replica attach that `attach` sends to a port of 127.0.0.1.
    pub(crate) fn to(attach: impl FnOnce(u16)) -> Self {
        let listener = TcpListener::bind(("127.0.0.1", 0)).expect("a free port");
        attach(listener.local_addr().expect("an address").port());
        let (stream, _) = listener.accept().expect("the replica connects");
        stream.set_nodelay(true).expect("a TCP option");
        stream.set_read_timeout(Some(PATIENCE)).expect("a timeout");
        let mut feed = Self { stream, reader: Reader::new(), offset: 0 };
        while !feed.greeted() {}
        feed.stream.set_read_timeout(Some(STREAM_PATIENCE)).expect("a timeout");
        feed.stream.set_write_timeout(Some(STREAM_PATIENCE)).expect("a timeout");
        feed
    }

    /// Answers what a replica says before the stream; true once the snapshot was sent.
    fn greeted(&mut self) -> bool {
        let args = self.hear();
        let name = args.first().map(|name| name.to_ascii_uppercase()).unwrap_or_default();
        match name.as_slice() {
            b"PING" => self.say(b"+PONG\r\n"),
            b"PSYNC" => {
                let line = format!("+FULLRESYNC {REPLICATION_ID} 0\r\n");
                self.say(format!("{line}${}\r\n", EMPTY_SNAPSHOT.len()).as_bytes());
                self.say(EMPTY_SNAPSHOT);
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
        self.say(stream);
        self.offset += stream.len() as u64;
        let mut demand = Vec::new();
        write_command(&mut demand, &[b"REPLCONF".as_slice(), b"GETACK", b"*"]);
        self.say(&demand);
        while !self.acknowledged() {}
        self.offset += demand.len() as u64;
        began.elapsed()
    }

    fn acknowledged(&mut self) -> bool {
        let args = self.hear();
        let [name, what, offset, ..] = args.as_slice() else { return false };
        name.eq_ignore_ascii_case(b"REPLCONF")
            && what.eq_ignore_ascii_case(b"ACK")
            && std::str::from_utf8(offset).is_ok_and(|o| o.parse().is_ok_and(|o| self.offset <= o))
    }
}
