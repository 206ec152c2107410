//! A network between a replica and its primary that can be spoilt: cut, slow, silent, or leading to
//! another server. No byte is ever lost or changed on a connection that lives: TCP would not do so.

use std::io::{Read, Write};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::sync::{Arc, Condvar, Mutex, MutexGuard};
use std::time::{Duration, Instant};

/// What becomes of bytes in one direction.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Way {
    /// They pass.
    #[default]
    Open,
    /// They pass this much later.
    Slow(Duration),
    /// They are kept until the way is another.
    Held,
}

#[derive(Default)]
struct Net {
    /// The port that connections lead to.
    target: u16,
    /// From the primary.
    down: Way,
    /// To the primary.
    up: Way,
    /// Whoever connects is turned away.
    is_closed: bool,
    turned_away: u64,
    accepted: u64,
    ended: bool,
    /// Both ends of each connection since the last cut.
    streams: Vec<TcpStream>,
    /// How often all was cut: a connection ends when it is no longer what it was.
    cuts: u64,
}

#[derive(Default)]
struct Shared {
    net: Mutex<Net>,
    changed: Condvar,
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, Net> {
        self.net.lock().unwrap_or_else(|poisoned| poisoned.into_inner())
    }

    fn change(&self, change: impl FnOnce(&mut Net)) {
        change(&mut self.lock());
        self.changed.notify_all();
    }

    /// Waits until bytes that have just come may pass; false when their connection was cut.
    fn may_pass(&self, way: fn(&Net) -> Way, cuts: u64) -> bool {
        let began = Instant::now();
        let mut net = self.lock();
        while net.cuts == cuts {
            let rest = match way(&net) {
                Way::Open => return true,
                Way::Slow(delay) => delay.saturating_sub(began.elapsed()),
                Way::Held => Duration::MAX,
            };
            if rest.is_zero() {
                return true;
            }
            net = if rest == Duration::MAX {
                self.changed.wait(net).unwrap_or_else(|poisoned| poisoned.into_inner())
            } else {
                let waited = self.changed.wait_timeout(net, rest);
                waited.unwrap_or_else(|poisoned| poisoned.into_inner()).0
            };
        }
        false
    }

    /// Passes bytes on until one of both ends is closed or all is cut.
    fn pump(&self, mut from: TcpStream, mut to: TcpStream, way: fn(&Net) -> Way, cuts: u64) {
        let mut bytes = vec![0; 16 << 10];
        while let Ok(count @ 1..) = from.read(&mut bytes) {
            if !self.may_pass(way, cuts) || to.write_all(&bytes[..count]).is_err() {
                break;
            }
        }
        // An end is news as bytes are: it comes after them, and it is held as they are.
        self.may_pass(way, cuts);
        let _ = from.shutdown(Shutdown::Both);
        let _ = to.shutdown(Shutdown::Both);
    }

    /// Leads one connection to the target; `None` when it is turned away.
    fn join(self: &Arc<Self>, replica: &TcpStream) -> Option<()> {
        let (target, cuts) = {
            let net = self.lock();
            (!net.is_closed).then_some((net.target, net.cuts))?
        };
        let primary = TcpStream::connect(("127.0.0.1", target)).ok()?;
        let ends = || Some((replica.try_clone().ok()?, primary.try_clone().ok()?));
        for stream in [replica, &primary] {
            stream.set_nodelay(true).ok()?;
        }
        let (kept, down, up) = (ends()?, ends()?, ends()?);
        let mut net = self.lock();
        if net.cuts != cuts {
            return None;
        }
        net.accepted += 1;
        net.streams.extend([kept.0, kept.1]);
        drop(net);
        let shared = self.clone();
        std::thread::spawn(move || shared.pump(down.1, down.0, |net| net.down, cuts));
        let shared = self.clone();
        std::thread::spawn(move || shared.pump(up.0, up.1, |net| net.up, cuts));
        Some(())
    }
}

/// The network. It ends when it is dropped.
pub struct Proxy {
    port: u16,
    shared: Arc<Shared>,
}

impl Proxy {
    /// Listens on a port of its own and leads to this one.
    #[track_caller]
    pub fn to(target: u16) -> Self {
        let listener = TcpListener::bind(("127.0.0.1", 0)).expect("a port");
        let port = listener.local_addr().expect("an address").port();
        let shared = Arc::new(Shared::default());
        shared.change(|net| net.target = target);
        let accepting = shared.clone();
        std::thread::spawn(move || {
            for stream in listener.incoming() {
                if accepting.lock().ended {
                    return;
                }
                if stream.ok().and_then(|stream| accepting.join(&stream)).is_none() {
                    accepting.change(|net| net.turned_away += 1);
                }
            }
        });
        Self { port, shared }
    }

    /// The port it listens on.
    pub fn port(&self) -> u16 {
        self.port
    }

    /// Its address, as a URL without credentials.
    pub fn url(&self) -> String {
        format!("redis://127.0.0.1:{}", self.port)
    }

    /// Ends all connections.
    pub fn cut(&self) {
        self.shared.change(|net| {
            net.cuts += 1;
            for stream in net.streams.drain(..) {
                let _ = stream.shutdown(Shutdown::Both);
            }
        });
    }

    /// Ends all connections and turns everybody away.
    pub fn close(&self) {
        self.shared.change(|net| net.is_closed = true);
        self.cut();
    }

    /// Sets what becomes of bytes from the primary, and to it; also of those on their way.
    pub fn set(&self, down: Way, up: Way) {
        self.shared.change(|net| (net.down, net.up) = (down, up));
    }

    /// Leads whoever connects from now on to this port.
    pub fn lead_to(&self, target: u16) {
        self.shared.change(|net| net.target = target);
    }

    /// Lets everybody in again.
    pub fn open(&self) {
        self.shared.change(|net| net.is_closed = false);
    }

    /// All is well again.
    pub fn restore(&self) {
        self.set(Way::Open, Way::Open);
        self.open();
    }

    /// How many connections were made to the target.
    pub fn accepted(&self) -> u64 {
        self.shared.lock().accepted
    }

    /// How many were turned away, because it is closed or nobody is there.
    pub fn turned_away(&self) -> u64 {
        self.shared.lock().turned_away
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        self.shared.change(|net| net.ended = true);
        self.cut();
        // Whoever accepts is woken by it.
        let _ = TcpStream::connect(("127.0.0.1", self.port));
    }
}
