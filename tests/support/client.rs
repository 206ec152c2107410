//! A small blocking client for tests: it says what a test wants said, and panics on what a test
//! never wants to see, a lost connection or an answer that makes no sense.

use super::PATIENCE;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::os::unix::net::UnixStream;
use std::path::Path;

/// How many commands of a pipeline are on their way before the answers are read. Two sides that
/// both only write would wait for each other for ever.
const PIPELINE_DEPTH: usize = 500;

/// What a server answered.
#[derive(Clone, Debug, PartialEq)]
pub enum Reply {
    Simple(String),
    Error(String),
    Int(i64),
    Bulk(Vec<u8>),
    Nil,
    Array(Vec<Reply>),
}

impl Reply {
    /// The text of a string answer; panics on any other.
    #[track_caller]
    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.bytes()).into_owned()
    }

    /// The bytes of a string answer; panics on any other.
    #[track_caller]
    pub fn bytes(&self) -> Vec<u8> {
        match self {
            Self::Simple(text) => text.clone().into_bytes(),
            Self::Bulk(bytes) => bytes.clone(),
            other => panic!("a string was expected, the server said {other:?}"),
        }
    }

    /// The number of an integer answer; panics on any other.
    #[track_caller]
    pub fn int(&self) -> i64 {
        match self {
            Self::Int(n) => *n,
            other => panic!("an integer was expected, the server said {other:?}"),
        }
    }

    /// The elements of an array answer; panics on any other.
    #[track_caller]
    pub fn array(&self) -> &[Self] {
        match self {
            Self::Array(elements) => elements,
            other => panic!("an array was expected, the server said {other:?}"),
        }
    }

    /// The text of an error answer, if it is one.
    pub fn error(&self) -> Option<&str> {
        match self {
            Self::Error(text) => Some(text),
            _ => None,
        }
    }
}

/// One connection to one server.
pub struct Client {
    from: BufReader<Box<dyn Read + Send>>,
    to: Box<dyn Write + Send>,
}

impl Client {
    /// Connects over TCP on the loopback.
    pub fn tcp(port: u16) -> std::io::Result<Self> {
        let stream = TcpStream::connect(("127.0.0.1", port))?;
        stream.set_nodelay(true)?;
        stream.set_read_timeout(Some(PATIENCE))?;
        stream.set_write_timeout(Some(PATIENCE))?;
        Ok(Self { from: BufReader::new(Box::new(stream.try_clone()?)), to: Box::new(stream) })
    }

    /// Connects over a unix socket.
    pub fn unix(path: &Path) -> std::io::Result<Self> {
        let stream = UnixStream::connect(path)?;
        stream.set_read_timeout(Some(PATIENCE))?;
        stream.set_write_timeout(Some(PATIENCE))?;
        Ok(Self { from: BufReader::new(Box::new(stream.try_clone()?)), to: Box::new(stream) })
    }

    /// Says one command and waits for the answer, which may be an error.
    #[track_caller]
    pub fn command<A: AsRef<[u8]>>(&mut self, args: &[A]) -> Reply {
        self.try_command(args).expect("the server answers")
    }

    /// Says one command; panics when the server refuses it.
    #[track_caller]
    pub fn accepted<A: AsRef<[u8]>>(&mut self, args: &[A]) -> Reply {
        let reply = self.command(args);
        if let Reply::Error(text) = &reply {
            let words: Vec<_> = args.iter().map(|a| String::from_utf8_lossy(a.as_ref())).collect();
            panic!("the server refused {words:?}: {text}");
        }
        reply
    }

    /// Says one command; a lost connection is an error and no panic.
    pub fn try_command<A: AsRef<[u8]>>(&mut self, args: &[A]) -> std::io::Result<Reply> {
        let mut out = Vec::new();
        write_command(&mut out, args);
        self.to.write_all(&out)?;
        self.reply()
    }

    /// Says many commands without waiting in between; answers in the order of the commands.
    #[track_caller]
    pub fn pipeline<A: AsRef<[u8]>, C: AsRef<[A]>>(&mut self, commands: &[C]) -> Vec<Reply> {
        let mut replies = Vec::with_capacity(commands.len());
        for some in commands.chunks(PIPELINE_DEPTH) {
            let mut out = Vec::new();
            for command in some {
                write_command(&mut out, command.as_ref());
            }
            self.raw(&out);
            replies.extend(some.iter().map(|_| self.reply().expect("the server answers")));
        }
        replies
    }

    /// Writes these bytes as they are.
    #[track_caller]
    pub fn raw(&mut self, bytes: &[u8]) {
        self.to.write_all(bytes).expect("the server reads");
    }

    /// Reads the next answer.
    pub fn reply(&mut self) -> std::io::Result<Reply> {
        let line = self.line()?;
        let (Some(mark), rest) = (line.chars().next(), line.get(1..).unwrap_or("")) else {
            return Err(senseless(&line));
        };
        let number = || rest.parse::<i64>().map_err(|_| senseless(&line));
        Ok(match mark {
            '+' => Reply::Simple(rest.to_owned()),
            '-' => Reply::Error(rest.to_owned()),
            ':' => Reply::Int(number()?),
            '$' | '*' if number()? < 0 => Reply::Nil,
            '$' => {
                let mut bytes = vec![0; number()? as usize + 2];
                self.from.read_exact(&mut bytes)?;
                bytes.truncate(bytes.len() - 2);
                Reply::Bulk(bytes)
            }
            '*' => Reply::Array((0..number()?).map(|_| self.reply()).collect::<Result<_, _>>()?),
            _ => return Err(senseless(&line)),
        })
    }

    /// Reads one line and leaves the line end out.
    pub fn line(&mut self) -> std::io::Result<String> {
        let mut line = Vec::new();
        self.from.read_until(b'\n', &mut line)?;
        if line.pop() != Some(b'\n') {
            return Err(std::io::ErrorKind::UnexpectedEof.into());
        }
        if line.last() == Some(&b'\r') {
            line.pop();
        }
        Ok(String::from_utf8_lossy(&line).into_owned())
    }

    /// Reads exactly so many bytes.
    #[track_caller]
    pub fn exactly(&mut self, len: usize) -> Vec<u8> {
        let mut bytes = vec![0; len];
        self.from.read_exact(&mut bytes).expect("the server goes on");
        bytes
    }

    /// The server's digest of everything it holds: 40 hex digits.
    #[track_caller]
    pub fn digest(&mut self) -> String {
        self.accepted(&["DEBUG", "DIGEST"]).text()
    }

    /// The server's digest of each of these keys in the selected database.
    #[track_caller]
    pub fn digest_values<A: AsRef<[u8]>>(&mut self, keys: &[A]) -> Vec<String> {
        let mut words: Vec<&[u8]> = vec![b"DEBUG", b"DIGEST-VALUE"];
        words.extend(keys.iter().map(AsRef::as_ref));
        self.accepted(&words).array().iter().map(Reply::text).collect()
    }

    /// One field of INFO; panics when there is no such field.
    #[track_caller]
    pub fn info(&mut self, field: &str) -> String {
        self.try_info(field).unwrap_or_else(|| panic!("INFO has no field {field}"))
    }

    /// One field of INFO, if there is such a field now.
    #[track_caller]
    pub fn try_info(&mut self, field: &str) -> Option<String> {
        let text = self.accepted(&["INFO", "everything"]).text();
        let value = text.lines().find_map(|line| line.strip_prefix(field)?.strip_prefix(':'))?;
        Some(value.to_owned())
    }

    /// How many bytes of stream the server has written as a primary.
    #[track_caller]
    pub fn offset(&mut self) -> i64 {
        self.info("master_repl_offset").parse().expect("an offset is a number")
    }

    /// The replication id of the server as a primary.
    #[track_caller]
    pub fn replid(&mut self) -> String {
        self.info("master_replid")
    }

    /// How many replicas INFO shows, and the offset that the first has acknowledged.
    #[track_caller]
    pub fn replicas(&mut self) -> (usize, Option<i64>) {
        let count = self.info("connected_slaves").parse().expect("a count is a number");
        let first = self.try_info("slave0");
        let offset = first.and_then(|row| {
            row.split(',').find_map(|pair| pair.strip_prefix("offset=")?.parse().ok())
        });
        (count, offset)
    }
}

/// Appends one command as an array of bulk strings.
pub fn write_command<A: AsRef<[u8]>>(out: &mut Vec<u8>, args: &[A]) {
    out.extend_from_slice(format!("*{}\r\n", args.len()).as_bytes());
    for arg in args {
        let arg = arg.as_ref();
        out.extend_from_slice(format!("${}\r\n", arg.len()).as_bytes());
        out.extend_from_slice(arg);
        out.extend_from_slice(b"\r\n");
    }
}

fn senseless(line: &str) -> std::io::Error {
    std::io::Error::other(format!("not an answer: {line:?}"))
}
