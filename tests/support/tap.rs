//! A second, plain replica connection: sees the same stream as the replica under test, so that a
//! test can say what the primary really sent.

use super::PATIENCE;
use super::client::write_command;
use rets::resp::Reader;
use std::collections::{BTreeMap, VecDeque};
use std::io::{Read, Write};
use std::net::TcpStream;
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;

/// How many commands are kept word by word.
const KEPT: usize = 20_000;

/// Commands that are several, told apart by their second word.
const WITH_KINDS: &[&str] = &["CLUSTER", "FUNCTION", "SCRIPT", "XGROUP"];

/// How often the primary hears that we live.
const ACK_INTERVAL: Duration = Duration::from_millis(500);

/// What was seen so far.
#[derive(Default)]
pub struct Seen {
    /// By name in upper case, such as `SET` or `XGROUP CREATE`.
    pub counts: BTreeMap<String, u64>,
    /// The last commands, each with the offset at its end.
    pub last: VecDeque<(i64, Vec<Vec<u8>>)>,
    pub offset: i64,
    pub error: Option<String>,
}

/// The connection. It ends with its server.
pub struct Tap {
    seen: Arc<Mutex<Seen>>,
}

impl Tap {
    /// Attaches and passes the snapshot over.
    #[track_caller]
    pub fn attach(port: u16) -> Self {
        let mut stream = TcpStream::connect(("127.0.0.1", port)).expect("the server accepts");
        stream.set_read_timeout(Some(PATIENCE)).expect("a timeout");
        let mut hello = Vec::new();
        write_command(&mut hello, &["PSYNC", "?", "-1"]);
        stream.write_all(&hello).expect("the server reads");
        let line = read_line(&mut stream);
        let offset = line.rsplit(' ').next().and_then(|word| word.parse().ok());
        let mut header = read_line(&mut stream);
        while header.is_empty() {
            header = read_line(&mut stream);
        }
        let len: usize = header.strip_prefix('$').and_then(|n| n.parse().ok()).expect("a length");
        std::io::copy(&mut (&mut stream).take(len as u64), &mut std::io::sink())
            .expect("a snapshot");
        let offset = offset.expect("an offset");
        let seen = Arc::new(Mutex::new(Seen { offset, ..Seen::default() }));
        let written = seen.clone();
        stream.set_read_timeout(Some(ACK_INTERVAL)).expect("a timeout");
        std::thread::spawn(move || listen(stream, &written));
        Self { seen }
    }

    /// What was seen so far.
    pub fn seen(&self) -> MutexGuard<'_, Seen> {
        self.seen.lock().unwrap_or_else(|poisoned| poisoned.into_inner())
    }

    /// Waits until the stream was seen up to an offset.
    #[track_caller]
    pub fn wait(&self, offset: i64) {
        super::wait_until("the second connection has seen the stream", || {
            let seen = self.seen();
            assert_eq!(seen.error, None);
            seen.offset >= offset
        });
    }

    /// The last commands with this word among their arguments, and those between them that say
    /// something about all keys.
    pub fn about(&self, word: &[u8], most: usize) -> Vec<String> {
        let mut lines = self.lines(|_, args| {
            let name = args.first().map(|name| name.to_ascii_uppercase()).unwrap_or_default();
            args.iter().any(|arg| arg == word)
                || [b"SWAPDB" as &[u8], b"FLUSHDB", b"FLUSHALL"].contains(&name.as_slice())
        });
        lines.split_off(lines.len().saturating_sub(most))
    }

    /// What was sent after an offset.
    pub fn since(&self, offset: i64) -> Vec<String> {
        self.lines(|end, _| end > offset)
    }

    /// Some of the last commands, each with its database.
    fn lines(&self, mut wanted: impl FnMut(i64, &[Vec<u8>]) -> bool) -> Vec<String> {
        let mut lines = Vec::new();
        let mut db = "?".to_owned();
        for (end, args) in &self.seen().last {
            if args.first().is_some_and(|name| name.eq_ignore_ascii_case(b"SELECT")) {
                db = String::from_utf8_lossy(&args[1]).into_owned();
            } else if wanted(*end, args) {
                lines.push(format!("[{db}] {}", shown(args)));
            }
        }
        lines
    }
}

/// A command in one line, cut where it is long.
pub fn shown<A: AsRef<[u8]>>(args: &[A]) -> String {
    let word = |arg: &A| {
        let bytes = arg.as_ref();
        let more = if bytes.len() > 60 { "..." } else { "" };
        format!("{}{more}", bytes[..bytes.len().min(60)].escape_ascii())
    };
    args.iter().map(word).collect::<Vec<_>>().join(" ")
}

/// A command in one line that a client can be given: words with blanks in them are quoted.
pub fn shown_whole<A: AsRef<[u8]>>(args: &[A]) -> String {
    let word = |arg: &A| {
        let text = arg.as_ref().escape_ascii().to_string();
        if text.is_empty() || text.contains([' ', '\\']) { format!("\"{text}\"") } else { text }
    };
    args.iter().map(word).collect::<Vec<_>>().join(" ")
}

fn name_of(args: &[&[u8]]) -> String {
    let word = |at: usize| {
        let word = args.get(at).copied().unwrap_or_default();
        String::from_utf8_lossy(word).to_uppercase()
    };
    let name = word(0);
    if WITH_KINDS.contains(&name.as_str()) { format!("{name} {}", word(1)) } else { name }
}

fn read_line(stream: &mut TcpStream) -> String {
    let mut line = Vec::new();
    let mut byte = [0];
    while byte != *b"\n" {
        stream.read_exact(&mut byte).expect("the server goes on");
        line.push(byte[0]);
    }
    String::from_utf8_lossy(&line).trim_end().to_owned()
}

fn listen(mut stream: TcpStream, seen: &Mutex<Seen>) {
    let mut reader = Reader::new();
    let mut buffer = vec![0; 1 << 16];
    let mut last_ack = std::time::Instant::now();
    loop {
        if last_ack.elapsed() > ACK_INTERVAL {
            last_ack = std::time::Instant::now();
            if stream.write_all(b"\n").is_err() {
                return;
            }
        }
        match stream.read(&mut buffer) {
            Ok(0) => return,
            Ok(count) => reader.feed(&buffer[..count]),
            Err(error) if error.kind() == std::io::ErrorKind::WouldBlock => continue,
            Err(_) => return,
        }
        let mut seen = seen.lock().unwrap_or_else(|poisoned| poisoned.into_inner());
        loop {
            match reader.next() {
                Ok(Some(command)) => {
                    seen.offset += command.wire_len as i64;
                    *seen.counts.entry(name_of(&command.args.list())).or_default() += 1;
                    let args = command.args.iter().map(|arg| arg.to_vec()).collect();
                    let offset = seen.offset;
                    seen.last.push_back((offset, args));
                    if seen.last.len() > KEPT {
                        seen.last.pop_front();
                    }
                }
                Ok(None) => break,
                Err(error) => {
                    seen.error = Some(error.to_string());
                    return;
                }
            }
        }
    }
}
