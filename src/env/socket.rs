//! A socket that is never waited for except in one place: names are looked up on a thread of their
//! own, connections are begun and asked about later, so that stopping never hangs on the network.

use std::collections::VecDeque;
use std::io::{self, Read};
use std::net::{IpAddr, SocketAddr, ToSocketAddrs};
use std::os::fd::AsFd;
use std::sync::Arc;
use std::time::{Duration, Instant};

use parking_lot::Mutex;
use socket2::{Domain, Protocol, SockAddr, SockRef, Socket, TcpKeepalive, Type};

use super::waker::{self, Bell};
use super::{Address, Connection, Interest, Waker, thread};
use crate::error::{Error, Kind, Result};

/// How long an address may leave us without an answer while there are others to try: a host with a
/// dead IPv6 route must not use up the whole `connect-timeout`.
const PATIENCE: Duration = Duration::from_secs(2);

/// Silence on the socket before the kernel asks whether the other side still lives. The link's own
/// timeout notices first as a rule; this also ends what a paused link would not notice.
const KEEPALIVE: Duration = Duration::from_secs(30);

/// Name lookups that have not ended. Dialing the same name again joins the one that runs, so that
/// a resolver that hangs can't collect threads.
#[derive(Default)]
pub(super) struct Lookups {
    running: Mutex<Vec<Arc<Lookup>>>,
}

/// One question to the resolver, asked on a thread that nobody waits for.
struct Lookup {
    host: String,
    port: u16,
    answer: Mutex<Option<io::Result<Vec<SocketAddr>>>>,
    /// Rings for good once there is an answer.
    bell: Bell,
}

impl Lookups {
    fn ask(&self, host: &str, port: u16) -> Result<Arc<Lookup>> {
        let mut running = self.running.lock();
        running.retain(|lookup| lookup.answer.lock().is_none());
        if let Some(same) = running.iter().find(|l| l.host == host && l.port == port) {
            return Ok(Arc::clone(same));
        }
        let lookup = Arc::new(Lookup {
            host: host.to_owned(),
            port,
            answer: Mutex::new(None),
            bell: Bell::new()?,
        });
        let asker = Arc::clone(&lookup);
        thread::spawn(
            "rets/dns",
            Box::new(move || {
                let found = (asker.host.as_str(), asker.port).to_socket_addrs();
                *asker.answer.lock() = Some(found.map(Iterator::collect));
                asker.bell.wake();
            }),
        )?;
        running.push(Arc::clone(&lookup));
        Ok(lookup)
    }
}

impl Lookup {
    /// The addresses, once they are known.
    fn answer(&self) -> Result<Option<Vec<SocketAddr>>> {
        match &*self.answer.lock() {
            None => Ok(None),
            Some(Ok(found)) if found.is_empty() => Err(self.failed("it has no address")),
            Some(Ok(found)) => Ok(Some(found.clone())),
            Some(Err(error)) => Err(self.failed(&error.to_string())),
        }
    }

    fn failed(&self, why: &str) -> Error {
        Error::new(Kind::Io, format!("can't look up the name {}: {why}", self.host))
    }
}

/// How far a connection has come.
enum Stage {
    Asking(Arc<Lookup>),
    Connecting { socket: Socket, since: Instant },
    Ready(Socket),
    Failed,
}

/// A connection to one of the addresses of a primary.
pub(super) struct Wire {
    stage: Stage,
    /// Not tried yet.
    left: VecDeque<SockAddr>,
    /// For messages.
    name: String,
    last_error: Option<io::Error>,
}

impl Wire {
    pub(super) fn dial(to: &Address, lookups: &Lookups) -> Result<Self> {
        let name = to.to_string();
        let mut wire = Self { stage: Stage::Failed, left: VecDeque::new(), name, last_error: None };
        match to {
            Address::Unix { path } => {
                let address = SockAddr::unix(path).map_err(|e| wire.failed(&e.to_string()))?;
                wire.left.push_back(address);
            }
            Address::Tcp { host, port } => match host.parse::<IpAddr>() {
                Ok(ip) => wire.left.push_back(SocketAddr::new(ip, *port).into()),
                Err(_) => wire.stage = Stage::Asking(lookups.ask(host, *port)?),
            },
        }
        if !wire.left.is_empty() {
            wire.next_address();
        }
        Ok(wire)
    }

    fn failed(&self, why: &str) -> Error {
        Error::new(Kind::Io, format!("can't connect to {}: {why}", self.name))
    }

    /// Begins with the next address that does not fail at once.
    fn next_address(&mut self) {
        self.stage = Stage::Failed;
        while let Some(address) = self.left.pop_front() {
            match begin(&address) {
                Ok(socket) => {
                    self.stage = Stage::Connecting { socket, since: Instant::now() };
                    return;
                }
                Err(error) => self.last_error = Some(error),
            }
        }
    }

    /// One step forward; true when another one may be possible at once.
    fn advance(&mut self) -> Result<bool> {
        match std::mem::replace(&mut self.stage, Stage::Failed) {
            Stage::Asking(lookup) => match lookup.answer()? {
                None => {
                    self.stage = Stage::Asking(lookup);
                    Ok(false)
                }
                Some(found) => {
                    self.left = found.into_iter().map(SockAddr::from).collect();
                    self.next_address();
                    Ok(true)
                }
            },
            Stage::Connecting { socket, since } => {
                match outcome(&socket) {
                    Ok(true) => self.stage = Stage::Ready(socket),
                    Ok(false) if since.elapsed() < PATIENCE || self.left.is_empty() => {
                        self.stage = Stage::Connecting { socket, since };
                        return Ok(false);
                    }
                    Ok(false) => {
                        self.last_error = Some(io::ErrorKind::TimedOut.into());
                        self.next_address();
                    }
                    Err(error) => {
                        self.last_error = Some(error);
                        self.next_address();
                    }
                }
                Ok(true)
            }
            Stage::Ready(socket) => {
                self.stage = Stage::Ready(socket);
                Ok(false)
            }
            Stage::Failed => {
                let why = self.last_error.take().map(|e| e.to_string());
                Err(self.failed(why.as_deref().unwrap_or("no address answered")))
            }
        }
    }

    fn socket(&self) -> io::Result<&Socket> {
        match &self.stage {
            Stage::Ready(socket) => Ok(socket),
            _ => Err(io::ErrorKind::NotConnected.into()),
        }
    }
}

/// A new socket that is on its way to this address.
pub(super) fn begin(address: &SockAddr) -> io::Result<Socket> {
    let domain = address.domain();
    let protocol = (domain != Domain::UNIX).then_some(Protocol::TCP);
    // Socket::new asks for SOCK_CLOEXEC.
    let socket = Socket::new(domain, Type::STREAM, protocol)?;
    socket.set_nonblocking(true)?;
    if protocol.is_some() {
        // An ACK is 40 bytes and should not wait for more.
        socket.set_tcp_nodelay(true)?;
        SockRef::from(&socket).set_tcp_keepalive(&TcpKeepalive::new().with_time(KEEPALIVE))?;
    }
    match socket.connect(address) {
        Ok(()) => Ok(socket),
        Err(e) if e.raw_os_error() == Some(libc::EINPROGRESS) => Ok(socket),
        Err(e) => Err(e),
    }
}

/// Whether a connection that was begun is there.
fn outcome(socket: &Socket) -> io::Result<bool> {
    if let Some(error) = socket.take_error()? {
        return Err(error);
    }
    match socket.peer_addr() {
        Ok(_) => Ok(true),
        Err(e) if e.kind() == io::ErrorKind::NotConnected => {
            // The error may have come between the two questions.
            socket.take_error()?.map_or(Ok(false), Err)
        }
        Err(e) => Err(e),
    }
}

impl Connection for Wire {
    fn established(&mut self) -> Result<bool> {
        while self.advance()? {}
        Ok(matches!(self.stage, Stage::Ready(_)))
    }

    fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        let mut socket = self.socket()?;
        socket.read(buf)
    }

    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        // A caller's own thread may have SIGPIPE unblocked (tests do).
        self.socket()?.send_with_flags(bytes, libc::MSG_NOSIGNAL)
    }

    fn wait(&mut self, want: Interest, waker: &dyn Waker, timeout_ms: i64) -> io::Result<()> {
        let mut timeout_ms = timeout_ms;
        let watched = match &self.stage {
            Stage::Asking(lookup) => Some((lookup.bell.fd(), libc::POLLIN)),
            Stage::Connecting { socket, since } => {
                if !self.left.is_empty() {
                    let rest = PATIENCE.saturating_sub(since.elapsed()).as_millis() as i64 + 1;
                    timeout_ms = if timeout_ms < 0 { rest } else { timeout_ms.min(rest) };
                }
                Some((socket.as_fd(), libc::POLLOUT))
            }
            Stage::Ready(socket) => {
                let mut events = 0;
                events |= if want.read { libc::POLLIN } else { 0 };
                events |= if want.write { libc::POLLOUT } else { 0 };
                // Without an interest a hang-up would still end the poll, again and again.
                (events != 0).then(|| (socket.as_fd(), events))
            }
            Stage::Failed => return Ok(()),
        };
        let bell = waker.descriptor().map(|fd| (fd, libc::POLLIN));
        let [_, rang] = waker::poll(&[watched, bell], timeout_ms)?;
        if rang {
            waker.wait(0);
        }
        Ok(())
    }
}
