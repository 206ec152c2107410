//! A primary that plays a recorded session to whatever replica connects, and remembers all that
//! the replica said. It answers the way the recorded version would have.

use super::PATIENCE;
use super::client::write_command;
use super::corpus::Session;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::sync::{Arc, Condvar, Mutex, MutexGuard};
use std::time::{Duration, Instant};

/// How long the mark is that ends a snapshot of untold length.
const MARK_LEN: usize = 40;

/// How the bytes are handed to the socket.
#[derive(Clone, Copy, Debug)]
pub enum Chunks {
    /// As fast as the socket takes them.
    Whole,
    /// So many at a time. Without a promise that the replica reads them one by one.
    Of(usize),
    /// Between one and so many at a time, drawn from this seed.
    Random { seed: u64, most: usize },
}

/// What the primary does besides playing.
#[derive(Clone, Debug)]
pub struct Options {
    pub chunks: Chunks,
    /// The n-th sync, full or partial, is cut off when so many bytes of the session were sent,
    /// counted from the session's first byte also where the sync began in the middle.
    pub cuts: Vec<usize>,
    /// Whether `PSYNC id offset` is continued where the offset lies within the recorded stream.
    pub resume: bool,
    /// What the n-th connections get instead of a sync, such as `-LOADING ...`; then they are cut.
    pub refusals: Vec<String>,
    /// User (`default` where the replica names none) and password that AUTH must bring.
    pub password: Option<(String, String)>,
    /// How many acknowledgements pass unnoticed before the stream begins behind a mark. Real
    /// primaries miss the one that comes while they still wait for their child to end.
    pub missed_acks: usize,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            chunks: Chunks::Whole,
            cuts: Vec::new(),
            resume: false,
            refusals: Vec::new(),
            password: None,
            missed_acks: 0,
        }
    }
}

/// One thing that a replica said.
#[derive(Clone, Debug)]
pub struct Heard {
    /// The connection, counted from 0.
    pub connection: usize,
    /// How far into the session this connection was: so many bytes had been handed to the socket.
    pub position: usize,
    /// The words; none for a lone newline.
    pub args: Vec<Vec<u8>>,
}

impl Heard {
    /// The words with spaces between.
    pub fn line(&self) -> String {
        let words: Vec<_> = self.args.iter().map(|arg| String::from_utf8_lossy(arg)).collect();
        words.join(" ")
    }

    /// The offset, if this is an acknowledgement.
    pub fn ack(&self) -> Option<i64> {
        let is = |n: usize, word: &str| {
            self.args.get(n).is_some_and(|arg: &Vec<u8>| arg.eq_ignore_ascii_case(word.as_bytes()))
        };
        let text = self.args.get(2).filter(|_| is(0, "REPLCONF") && is(1, "ACK"))?;
        std::str::from_utf8(text).ok()?.parse().ok()
    }
}

/// The playing primary. Dropping it closes its port and its connections.
pub struct Replay {
    port: u16,
    stage: Arc<Stage>,
}

struct Stage {
    session: Session,
    options: Options,
    scene: Mutex<Scene>,
    changed: Condvar,
}

#[derive(Default)]
struct Scene {
    heard: Vec<Heard>,
    connections: Vec<TcpStream>,
    /// By connection: how far into the session it is.
    positions: Vec<usize>,
    /// By connection: whether the replica has left.
    left: Vec<bool>,
    /// How many connections began a sync.
    syncs: usize,
    /// Stream bytes beyond the recorded ones.
    added: Vec<u8>,
    over: bool,
}

impl Replay {
    /// Plays the session to everybody who connects.
    pub fn start(session: Session, options: Options) -> Self {
        let listener = TcpListener::bind(("127.0.0.1", 0)).expect("a port");
        let port = listener.local_addr().expect("an address").port();
        let stage =
            Arc::new(Stage { session, options, scene: Mutex::default(), changed: Condvar::new() });
        let door = Arc::clone(&stage);
        std::thread::spawn(move || {
            for (connection, stream) in listener.incoming().enumerate() {
                let Ok(stream) = stream else { return };
                if !door.admit(&stream) {
                    return;
                }
                let stage = Arc::clone(&door);
                std::thread::spawn(move || stage.serve(connection, stream));
            }
        });
        Self { port, stage }
    }

    /// Its address, without credentials.
    pub fn url(&self) -> String {
        format!("redis://127.0.0.1:{}", self.port)
    }

    /// Its port on 127.0.0.1.
    pub fn port(&self) -> u16 {
        self.port
    }

    /// All that was heard so far, in the order in which it came.
    pub fn heard(&self) -> Vec<Heard> {
        self.stage.scene().heard.clone()
    }

    /// What one connection said so far, newlines left out.
    pub fn lines(&self, connection: usize) -> Vec<String> {
        let heard = self.heard().into_iter();
        let of_it = heard.filter(|h| h.connection == connection && !h.args.is_empty());
        of_it.map(|heard| heard.line()).collect()
    }

    /// The offsets that were acknowledged so far, by all connections.
    pub fn acks(&self) -> Vec<i64> {
        self.heard().iter().filter_map(Heard::ack).collect()
    }

    /// How many connections there were.
    pub fn connections(&self) -> usize {
        self.stage.scene().connections.len()
    }

    /// Waits until something was heard of which this is true; fails the test when it never is.
    #[track_caller]
    pub fn wait_heard(&self, what: &str, mut is_it: impl FnMut(&Heard) -> bool) -> Heard {
        let mut looked_at = 0;
        let mut found = None;
        let done = self.stage.wait(|scene| {
            found = scene.heard[looked_at..].iter().find(|heard| is_it(heard)).cloned();
            looked_at = scene.heard.len();
            found.is_some()
        });
        assert!(done, "{what} was not heard; the last was {:?}", self.heard().last());
        found.expect("it was found")
    }

    /// Waits until at least this offset was acknowledged.
    #[track_caller]
    pub fn wait_ack(&self, offset: i64) {
        let what = format!("an acknowledgement of {offset}");
        self.wait_heard(&what, |heard| heard.ack().is_some_and(|ack| ack >= offset));
    }

    /// Adds bytes to the end of the stream, for those who listen now and for those to come.
    pub fn add(&self, bytes: &[u8]) {
        self.stage.scene().added.extend_from_slice(bytes);
        self.stage.changed.notify_all();
    }

    /// Adds one command to the end of the stream.
    pub fn add_command(&self, args: &[&str]) {
        let mut bytes = Vec::new();
        write_command(&mut bytes, args);
        self.add(&bytes);
    }

    /// The offset at the end of all that is to be sent.
    pub fn final_offset(&self) -> i64 {
        self.stage.session.final_offset() + self.stage.scene().added.len() as i64
    }

    /// Cuts all connections there are now; new ones are welcome.
    pub fn cut(&self) {
        for stream in &self.stage.scene().connections {
            let _ = stream.shutdown(Shutdown::Both);
        }
    }
}

impl Drop for Replay {
    fn drop(&mut self) {
        self.stage.scene().over = true;
        self.stage.changed.notify_all();
        self.cut();
        // The door keeper looks whether it is over when somebody knocks.
        let _ = TcpStream::connect(("127.0.0.1", self.port));
    }
}

/// What is left to do for one connection after a command was answered.
enum Next {
    Listen,
    Play { from: usize },
    Leave,
}

impl Stage {
    fn scene(&self) -> MutexGuard<'_, Scene> {
        self.scene.lock().unwrap_or_else(|poisoned| poisoned.into_inner())
    }

    /// Waits until this is true of the scene; false when patience is up or the play is over.
    fn wait(&self, mut yes: impl FnMut(&Scene) -> bool) -> bool {
        let until = Instant::now() + PATIENCE;
        let mut scene = self.scene();
        loop {
            if yes(&scene) {
                return true;
            }
            let left = until.saturating_duration_since(Instant::now());
            if scene.over || left.is_zero() {
                return false;
            }
            let woken = self.changed.wait_timeout(scene, left);
            scene = woken.unwrap_or_else(|poisoned| poisoned.into_inner()).0;
        }
    }

    fn admit(&self, stream: &TcpStream) -> bool {
        let mut scene = self.scene();
        let Ok(copy) = stream.try_clone() else { return false };
        scene.connections.push(copy);
        scene.positions.push(0);
        scene.left.push(false);
        !scene.over
    }

    /// Listens to one replica until it leaves. The player is a thread of its own: a primary hears
    /// acknowledgements while it writes.
    fn serve(self: Arc<Self>, connection: usize, stream: TcpStream) {
        let _ = stream.set_nodelay(true);
        let Ok(copy) = stream.try_clone() else { return };
        let mut from = BufReader::new(copy);
        let mut to = stream;
        let mut is_in = self.options.password.is_none();
        let mut plays = false;
        while let Some(args) = read_command(&mut from) {
            {
                let mut scene = self.scene();
                let position = scene.positions[connection];
                scene.heard.push(Heard { connection, position, args: args.clone() });
            }
            self.changed.notify_all();
            let (reply, next) = self.answer(connection, &args, &mut is_in, plays);
            if to.write_all(reply.as_bytes()).is_err() {
                break;
            }
            match next {
                Next::Listen => {}
                Next::Leave => {
                    let _ = to.shutdown(Shutdown::Write);
                }
                Next::Play { from } => {
                    plays = true;
                    let Ok(copy) = to.try_clone() else { break };
                    let stage = Arc::clone(&self);
                    std::thread::spawn(move || stage.play(connection, copy, from));
                }
            }
        }
        let _ = to.shutdown(Shutdown::Both);
        self.scene().left[connection] = true;
        self.changed.notify_all();
    }

    /// What the recorded version says to this, and what happens then.
    fn answer(
        &self,
        connection: usize,
        args: &[Vec<u8>],
        is_in: &mut bool,
        plays: bool,
    ) -> (String, Next) {
        let words: Vec<_> = args.iter().map(|arg| String::from_utf8_lossy(arg)).collect();
        let verb = words.first().map(|word| word.to_uppercase()).unwrap_or_default();
        let line = |text: &str| (format!("{text}\r\n"), Next::Listen);
        let nothing = (String::new(), Next::Listen);
        match verb.as_str() {
            "" => nothing,
            "AUTH" => match self.is_welcome(&words[1..]) {
                None => line("-ERR Client sent AUTH, but no password is set"),
                Some(welcome) => {
                    *is_in = welcome;
                    line(if welcome { "+OK" } else { self.wrong_password() })
                }
            },
            _ if !*is_in => line(self.no_password()),
            "PING" => line("+PONG"),
            "REPLCONF" => match self.replconf(&words[1..]) {
                // A primary never answers an acknowledgement, if it knows it as one.
                None => nothing,
                Some(text) => line(&text),
            },
            // Asked again on the same connection, real primaries say nothing at all.
            "SYNC" | "PSYNC" if plays => nothing,
            "PSYNC" if !self.session.psync => line("-ERR unknown command 'PSYNC'"),
            "SYNC" | "PSYNC" => match self.options.refusals.get(connection) {
                Some(text) => (format!("{text}\r\n"), Next::Leave),
                None => self.sync(&verb, &words[1..]),
            },
            _ => line(&format!("-ERR unknown command '{}'", words[0])),
        }
    }

    /// The beginning of a sync: a full one unless this one can be continued.
    fn sync<S: AsRef<str>>(&self, verb: &str, words: &[S]) -> (String, Next) {
        let position = self.session.position();
        if let (true, "PSYNC", Some((id, offset))) = (self.options.resume, verb, &position) {
            let end = self.final_offset();
            let same_id = words.first().is_some_and(|w| w.as_ref().eq_ignore_ascii_case(id));
            let wanted = words.get(1).and_then(|w| w.as_ref().parse::<i64>().ok());
            if let Some(at) = wanted.filter(|at| same_id && (*offset + 1..=end + 1).contains(at)) {
                let from = self.session.rdb_end + (at - offset - 1) as usize;
                let knows_new_ids = self.session.is_valkey() || self.session.version() >= (4, 0);
                let id = if knows_new_ids { format!(" {id}") } else { String::new() };
                return (format!("+CONTINUE{id}\r\n"), Next::Play { from });
            }
        }
        // To SYNC there is no line with an id.
        let begins = self.session.bytes.windows(2).position(|w| w == b"\r\n").map_or(0, |n| n + 2);
        let from = if verb == "SYNC" && position.is_some() { begins } else { 0 };
        (String::new(), Next::Play { from })
    }

    fn final_offset(&self) -> i64 {
        self.session.final_offset() + self.scene().added.len() as i64
    }

    /// None where no password is set. The user may be left out.
    fn is_welcome<S: AsRef<str>>(&self, words: &[S]) -> Option<bool> {
        let (user, password) = self.options.password.as_ref()?;
        let words: Vec<_> = words.iter().map(AsRef::as_ref).collect();
        Some(match words[..] {
            [given] => user == "default" && given == password,
            [name, given] => self.has_users() && name == user && given == password,
            _ => false,
        })
    }

    fn has_users(&self) -> bool {
        self.session.is_valkey() || self.session.version() >= (6, 0)
    }

    fn wrong_password(&self) -> &'static str {
        if self.has_users() {
            "-WRONGPASS invalid username-password pair or user is disabled."
        } else {
            "-ERR invalid password"
        }
    }

    fn no_password(&self) -> &'static str {
        if self.session.is_valkey() || self.session.version() >= (2, 8) {
            "-NOAUTH Authentication required."
        } else {
            "-ERR operation not permitted"
        }
    }

    /// What the recorded version knows of REPLCONF; the first word that it does not know ends it.
    fn replconf<S: AsRef<str>>(&self, words: &[S]) -> Option<String> {
        let since =
            |major, minor| self.session.is_valkey() || self.session.version() >= (major, minor);
        if words.len() % 2 == 1 {
            return Some("-ERR syntax error".to_owned());
        }
        for pair in words.chunks(2) {
            let name = pair[0].as_ref().to_lowercase();
            let known = match name.as_str() {
                "listening-port" => true,
                "ack" | "getack" if since(2, 8) => return None,
                "capa" => since(2, 8),
                "ip-address" => since(3, 2),
                "rdb-only" => since(6, 2),
                "rdb-filter-only" => since(7, 0),
                "version" => self.session.is_valkey(),
                _ => false,
            };
            if !known {
                return Some(format!("-ERR Unrecognized REPLCONF option: {}", pair[0].as_ref()));
            }
        }
        Some("+OK".to_owned())
    }

    /// Sends the session from this position on, then what is added, until cut or over.
    fn play(&self, connection: usize, mut to: TcpStream, from: usize) {
        let cut = {
            let mut scene = self.scene();
            scene.positions[connection] = from;
            scene.syncs += 1;
            self.options.cuts.get(scene.syncs - 1).copied()
        };
        let end = cut.unwrap_or(usize::MAX);
        let bytes = &self.session.bytes;
        let first = self.session.rdb_end.min(end);
        let mut sizes = Sizes::new(self.options.chunks);
        // The end goes by itself, so that an acknowledgement of less is not taken for one of all.
        let snapshot = bytes.get(from..first).unwrap_or(&[]);
        let (body, mark) = snapshot.split_at(snapshot.len().saturating_sub(MARK_LEN));
        if !self.send(connection, &mut to, body, &mut sizes)
            || !self.send(connection, &mut to, mark, &mut sizes)
        {
            return;
        }
        if first == self.session.rdb_end && end > first {
            let waits = self.session.capa_eof && from < first;
            if waits && !self.wait_acks(connection) {
                return;
            }
            let stream = bytes.get(from.max(first)..bytes.len().min(end)).unwrap_or(&[]);
            if !self.send(connection, &mut to, stream, &mut sizes) {
                return;
            }
            let mut sent = from.max(bytes.len()) - bytes.len();
            while bytes.len() + sent < end {
                let Some(more) = self.added_since(connection, sent) else { return };
                let more = &more[..more.len().min(end - bytes.len() - sent)];
                if !self.send(connection, &mut to, more, &mut sizes) {
                    return;
                }
                sent += more.len();
            }
        }
        // Only this direction: what was sent shall arrive, and the replica be heard to the end.
        let _ = to.shutdown(Shutdown::Write);
    }

    fn send(&self, connection: usize, to: &mut TcpStream, bytes: &[u8], sizes: &mut Sizes) -> bool {
        let mut rest = bytes;
        while !rest.is_empty() {
            let (now, later) = rest.split_at(sizes.next().min(rest.len()));
            // Before the write: the answer to these bytes must not find the position before them.
            self.scene().positions[connection] += now.len();
            if to.write_all(now).is_err() {
                return false;
            }
            rest = later;
        }
        true
    }

    /// Waits for the acknowledgement that starts the stream.
    fn wait_acks(&self, connection: usize) -> bool {
        let mark_sent = self.session.rdb_end;
        self.wait(|scene| {
            let acks = scene.heard.iter().filter(|heard| {
                heard.connection == connection
                    && heard.position >= mark_sent
                    && heard.ack().is_some()
            });
            acks.count() > self.options.missed_acks
        })
    }

    /// Waits for more to be added than was sent; None when it is over or the replica has left.
    fn added_since(&self, connection: usize, sent: usize) -> Option<Vec<u8>> {
        // Patience ends the waits of tests, not those of a primary.
        while !self.wait(|scene| scene.added.len() > sent || scene.left[connection]) {
            if self.scene().over {
                return None;
            }
        }
        let scene = self.scene();
        scene.added.get(sent..).filter(|more| !more.is_empty()).map(<[u8]>::to_vec)
    }
}

/// How many bytes come next. A generator of its own: two lines, and the same on every machine.
struct Sizes {
    chunks: Chunks,
    state: u64,
}

impl Sizes {
    fn new(chunks: Chunks) -> Self {
        let seed = if let Chunks::Random { seed, .. } = chunks { seed } else { 0 };
        Self { chunks, state: seed.wrapping_mul(2).wrapping_add(1) }
    }

    fn next(&mut self) -> usize {
        match self.chunks {
            Chunks::Whole => usize::MAX,
            Chunks::Of(size) => size.max(1),
            Chunks::Random { most, .. } => {
                self.state =
                    self.state.wrapping_mul(6364136223846793005).wrapping_add(1442695040888963407);
                (self.state >> 33) as usize % most.max(1) + 1
            }
        }
    }
}

/// Reads one command, as an array or as a line; None at the end of the connection.
fn read_command(from: &mut impl BufRead) -> Option<Vec<Vec<u8>>> {
    let line = read_line(from)?;
    let Some(count) = line.strip_prefix('*') else {
        return Some(line.split_whitespace().map(|word| word.as_bytes().to_vec()).collect());
    };
    let count: usize = count.parse().ok()?;
    (0..count)
        .map(|_| {
            let len: usize = read_line(from)?.strip_prefix('$')?.parse().ok()?;
            let mut word = vec![0; len + 2];
            from.read_exact(&mut word).ok()?;
            word.truncate(len);
            Some(word)
        })
        .collect()
}

fn read_line(from: &mut impl BufRead) -> Option<String> {
    let mut line = Vec::new();
    from.read_until(b'\n', &mut line).ok()?;
    line.pop().filter(|last| *last == b'\n')?;
    if line.last() == Some(&b'\r') {
        line.pop();
    }
    Some(String::from_utf8_lossy(&line).into_owned())
}
