//! Bytes from the primary: keeps one connection to it, says who we are and what we want, passes on
//! what comes, lets it know that we live, and begins again when it is gone.
//!
//! The link is a task that is stepped: a step never blocks and says what to wait for, so that a
//! simulation can step it under a clock and a network of its own. [`Link::run`] is the loop for a
//! thread. What it finds goes to the apply task as [`Feed`], what others want from it comes
//! through [`Control`]. It does not look into the bytes that it passes on, so it can't know where a
//! snapshot ends.

mod backoff;
mod behind;
mod control;
mod feed;
mod fetch;
mod handshake;
mod refusal;
mod turn;
mod wire;

use std::sync::Arc;

use crossbeam_channel::Sender;

use self::backoff::Backoff;
use self::behind::Behind;
use self::control::Requests;
use self::handshake::{Credentials, Event, Handshake};
use self::refusal::Failure;
use self::turn::{Look, Turn};
use self::wire::Wire;
use crate::config::{self, Ack, Config};
use crate::env::{Address, Connection, Env, Interest};
use crate::error::{Error, Kind, Result};
use crate::log::{self, Level};
use crate::resp;

pub use control::{Control, Counters, ResumePoint};
pub use feed::{Feed, LinkState, ReplId, Transfer};
pub use fetch::{Answer, Fetch, Fetched, Wish, Wishes};

/// How much is read at a time: enough that the system calls do not count, and little enough that
/// the allocator keeps such blocks at hand.
const CHUNK: usize = 64 << 10;

/// A primary that has just sent a snapshot with a mark sends nothing else before an ACK, and misses
/// one that comes before it has noticed that its child has ended. So the first ACKs follow each
/// other after this pause, which doubles until the stream goes on or the usual rhythm is reached.
const FIRST_ACKS_MS: i64 = 10;

/// What to do after a step.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Step {
    /// The next step.
    Again,
    /// Sleep until this can be done on the connection, if there is one, until the control rings, or
    /// until time is up (-1: never).
    Wait {
        /// What the connection is waited for.
        want: Interest,
        /// How long.
        timeout_ms: i64,
    },
    /// Nothing more: stopped, or nobody listens.
    Done,
}

/// The task.
pub struct Link {
    env: Arc<dyn Env>,
    config: Config,
    next_config: Option<Config>,
    /// How many configurations were taken from the control.
    configs: u64,
    control: Arc<Control>,
    feed: Sender<Feed>,
    backoff: Backoff,
    turn: Turn,
    behind: Behind,
    resume: Option<ResumePoint>,
    /// A new full sync was asked for and the engine was not ready since.
    force_full: bool,
    phase: Phase,
    scratch: Vec<u8>,
    deaf: bool,
}

enum Phase {
    /// Between connections. Nothing is begun before the apply task has answered.
    Pausing { until_ms: i64, answered: bool },
    /// Refused: only another configuration helps.
    Parked,
    /// On the way to a connection.
    Dialing { connection: Box<dyn Connection>, deadline_ms: i64, credentials: Credentials },
    /// Agreeing.
    Shaking { wire: Wire, handshake: Handshake },
    /// Passing on.
    Attached { wire: Wire, manner: Manner },
}

/// How the primary is told that we live.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Manner {
    /// Newlines while loading, then ACKs.
    Ack,
    /// After SYNC there is no offset to tell, but a transfer with a mark is followed by nothing
    /// until an ACK has come.
    AckZero,
    /// After SYNC otherwise. Such a replica is not timed out; a server before 2.8 would answer an
    /// ACK with an error in the middle of the stream, and would keep lone newlines in a buffer
    /// until that is full.
    Silent,
}

/// What the next step finds, and when to take it.
type Next = (Phase, Step);

impl Link {
    /// A link that begins with a full sync, or where [`Control::resume`] said.
    pub fn new(
        env: Arc<dyn Env>,
        config: Config,
        control: Arc<Control>,
        feed: Sender<Feed>,
    ) -> Self {
        let jitter_ms = backoff::spread(config.start_jitter_ms, env.random());
        let until_ms = env.ticks_ms().saturating_add(jitter_ms);
        control.set_spool_size(config.spool_size);
        Self {
            env,
            config,
            next_config: None,
            configs: 0,
            control,
            feed,
            backoff: Backoff::default(),
            turn: Turn::default(),
            behind: Behind::default(),
            resume: None,
            force_full: false,
            phase: Phase::Pausing { until_ms, answered: true },
            scratch: vec![0; CHUNK],
            deaf: false,
        }
    }

    /// Steps and waits until it is stopped. After each step it calls whoever sees to
    /// what it hands on.
    pub fn run(mut self, mut stepped: impl FnMut()) {
        loop {
            let step = self.step();
            stepped();
            match step {
                Step::Again => {}
                Step::Wait { want, timeout_ms } => self.wait(want, timeout_ms),
                Step::Done => return,
            }
        }
    }

    /// Does what can be done without waiting.
    pub fn step(&mut self) -> Step {
        if self.control.is_stopping() || self.deaf {
            self.phase = Phase::Parked;
            return Step::Done;
        }
        if let Some(requests) = self.control.take_requests() {
            self.obey(requests);
        }
        let phase = std::mem::replace(&mut self.phase, Phase::Parked);
        let next = match phase {
            Phase::Parked => Ok((Phase::Parked, pause(-1))),
            Phase::Pausing { until_ms, answered } => self.pausing(until_ms, answered),
            Phase::Dialing { connection, deadline_ms, credentials } => {
                self.dialing(connection, deadline_ms, credentials)
            }
            Phase::Shaking { wire, handshake } => self.shaking(wire, handshake),
            Phase::Attached { wire, manner } => self.attached(wire, manner),
        };
        let (phase, step) = next.unwrap_or_else(|failure| (self.fail(failure), Step::Again));
        if let Phase::Parked | Phase::Pausing { .. } = phase {
            self.turn.release();
        }
        self.phase = phase;
        step
    }

    /// Sleeps as a step said.
    fn wait(&mut self, want: Interest, timeout_ms: i64) {
        let waker = self.control.waker();
        let connection = match &mut self.phase {
            Phase::Dialing { connection, .. } => connection,
            Phase::Shaking { wire, .. } | Phase::Attached { wire, .. } => &mut wire.connection,
            Phase::Parked | Phase::Pausing { .. } => return waker.wait(timeout_ms),
        };
        if let Err(error) = connection.wait(want, waker, timeout_ms) {
            self.phase = self.fail(Failure::again(Kind::Io, format!("can't wait: {error}")));
        }
    }

    fn tell(&mut self, feed: Feed) {
        // Nobody listens any more: the next step is the last one.
        self.deaf |= self.feed.send(feed).is_err();
    }

    fn obey(&mut self, requests: Requests) {
        let now = self.env.ticks_ms();
        if let Some(config) = requests.config {
            self.next_config = Some(config);
            self.configs = requests.configs;
            self.backoff.reset();
            match &mut self.phase {
                Phase::Parked => self.phase = Phase::Pausing { until_ms: now, answered: true },
                Phase::Pausing { until_ms, .. } => *until_ms = now,
                _ => {}
            }
        }
        if let Some(under) = requests.park {
            self.resume = None;
            self.force_full = true;
            self.phase = if self.configs > under {
                // Another configuration was set meanwhile, which may do better.
                Phase::Pausing { until_ms: now, answered: true }
            } else {
                Phase::Parked
            };
        }
        if let Some(point) = requests.resume {
            self.resume = point;
            if let Phase::Pausing { answered, .. } = &mut self.phase {
                *answered = true;
            }
        }
        if let Some(error) = requests.restart {
            self.note_ready();
            self.force_full = true;
            let pause_ms = self.backoff.next_resync(now, self.env.random());
            match &mut self.phase {
                Phase::Parked => {}
                Phase::Pausing { until_ms, .. } => {
                    *until_ms = (*until_ms).max(now.saturating_add(pause_ms));
                }
                _ => self.phase = self.lost(error, pause_ms),
            }
        }
    }

    fn note_ready(&mut self) {
        if self.control.take_ready() {
            self.backoff.ready(self.env.ticks_ms());
            self.turn.settle();
            self.force_full = false;
        }
    }

    fn fail(&mut self, failure: Failure) -> Phase {
        self.note_ready();
        let (min_ms, max_ms) = (self.config.retry_min_ms, self.config.retry_max_ms);
        if failure.retry {
            let pause_ms = self.backoff.next(min_ms, max_ms, self.env.random());
            return self.lost(failure.error, pause_ms);
        }
        if self.control.was_ready() {
            // What we have is worth keeping up with, and what changed once may change back.
            let pause_ms = Backoff::longest(min_ms, max_ms, self.env.random());
            return self.lost(failure.error, pause_ms);
        }
        if self.next_config.is_some() {
            // Not what is configured was refused, but what was.
            return self.lost(failure.error, 0);
        }
        self.control.set_error(&failure.error);
        self.control.set_refused(self.configs);
        log::log(Level::Error, &format!("refused by {}: {}", self.address(), failure.error));
        self.tell(Feed::Refused { error: failure.error });
        Phase::Parked
    }

    fn lost(&mut self, error: Error, retry_in_ms: i64) -> Phase {
        let now = self.env.ticks_ms();
        let retry_in_ms = retry_in_ms.max(self.backoff.lost(now, self.env.random()));
        self.control.set_error(&error);
        if log::enabled(Level::Warning) {
            let address = self.address();
            let text = format!("no link to {address}, next try in {retry_in_ms} ms: {error}");
            log::log(Level::Warning, &text);
        }
        self.tell(Feed::Lost { error, retry_in_ms });
        let until_ms = now.saturating_add(retry_in_ms);
        Phase::Pausing { until_ms, answered: false }
    }

    fn address(&self) -> Address {
        address(&self.config)
    }

    fn pausing(&mut self, until_ms: i64, answered: bool) -> std::result::Result<Next, Failure> {
        let now = self.env.ticks_ms();
        if !answered || now < until_ms {
            let timeout_ms = if answered { until_ms - now } else { -1 };
            return Ok((Phase::Pausing { until_ms, answered }, pause(timeout_ms)));
        }
        if let Some(config) = self.next_config.take() {
            self.config = config;
            self.control.set_spool_size(self.config.spool_size);
        }
        self.note_ready();
        if self.force_full || self.resume.is_none() || self.turn.is_refused() {
            let look = self.turn.look(&*self.env, &self.config);
            if look == Look::Begin {
                self.tell(Feed::Status(LinkState::WaitingForTurn));
            }
            if look != Look::Go {
                let pause_ms = Turn::pause_ms(self.env.random());
                let until_ms = now.saturating_add(pause_ms);
                return Ok((Phase::Pausing { until_ms, answered }, pause(pause_ms)));
            }
        }
        self.tell(Feed::Status(LinkState::Connecting));
        let credentials = credentials(&*self.env, &self.config)
            .map_err(|error| Failure { error, retry: false })?;
        let connection = self.env.dial(&self.address()).map_err(again)?;
        let deadline_ms = now.saturating_add(self.config.connect_timeout_ms);
        Ok((Phase::Dialing { connection, deadline_ms, credentials }, Step::Again))
    }

    /// A full sync is what the primary answered, or will. Returns since when that is known.
    fn granted_full(&mut self, wire: &mut Wire) -> std::result::Result<i64, Failure> {
        if let Some(announced_ms) = wire.announced_ms {
            return Ok(announced_ms);
        }
        if !self.turn.take(&*self.env, &self.config) {
            self.turn.refuse();
            let text = "a full sync is needed, and another process of this host has sync-lock";
            return Err(Failure::again(Kind::Io, text));
        }
        self.tell(Feed::Status(LinkState::WaitingForSnapshot));
        Ok(*wire.announced_ms.insert(wire.last_read_ms))
    }

    fn dialing(
        &mut self,
        mut connection: Box<dyn Connection>,
        deadline_ms: i64,
        credentials: Credentials,
    ) -> std::result::Result<Next, Failure> {
        let now = self.env.ticks_ms();
        if connection.established().map_err(again)? {
            self.control.count_connect();
            if log::enabled(Level::Info) {
                log::log(Level::Info, &format!("connected to {}", self.address()));
            }
            self.tell(Feed::Status(LinkState::Handshaking));
            self.note_ready();
            let resume = if self.force_full { None } else { self.resume };
            let handshake = Handshake::new(credentials, resume);
            let wire = Wire::new(connection, now);
            return Ok((Phase::Shaking { wire, handshake }, Step::Again));
        }
        if now >= deadline_ms {
            let limit = self.config.connect_timeout_ms;
            let text = format!("can't connect to {} within {limit} ms", self.address());
            return Err(Failure::again(Kind::Timeout, text));
        }
        let want = Interest { read: false, write: true };
        let step = Step::Wait { want, timeout_ms: deadline_ms - now };
        Ok((Phase::Dialing { connection, deadline_ms, credentials }, step))
    }

    fn shaking(
        &mut self,
        mut wire: Wire,
        mut handshake: Handshake,
    ) -> std::result::Result<Next, Failure> {
        while let Some(event) = handshake.next() {
            match event {
                Event::Send(bytes) => wire.out.extend_from_slice(&bytes),
                Event::Warn(text) => log::log(Level::Warning, &text),
                Event::Failed(failure) => return Err(failure),
                Event::Full { replid, offset, transfer } => {
                    let at_ms = self.granted_full(&mut wire)?;
                    self.control.set_applied(-1);
                    self.control.set_loading(true);
                    self.control.count_full_sync();
                    self.backoff.full_sync();
                    let manner = match (replid, transfer) {
                        (Some(_), _) => Manner::Ack,
                        (None, Transfer::Mark(_)) => Manner::AckZero,
                        (None, Transfer::Length(_)) => Manner::Silent,
                    };
                    if let Transfer::Mark(_) = transfer {
                        wire.first_acks = Some(0);
                    }
                    self.tell(Feed::FullSync { replid, offset, transfer, at_ms });
                    return Ok(self.attach(wire, handshake, manner));
                }
                Event::Partial { replid } => {
                    self.control.set_applied(self.resume.map_or(-1, |(_, offset)| offset));
                    self.control.set_loading(false);
                    self.control.count_partial_sync();
                    self.turn.settle();
                    self.backoff.partial_sync();
                    self.tell(Feed::Continue { replid });
                    return Ok(self.attach(wire, handshake, Manner::Ack));
                }
            }
        }
        if handshake.waits_for_snapshot() {
            self.granted_full(&mut wire)?;
        }
        wire.flush();
        let now = self.env.ticks_ms();
        self.turn.show_progress(&self.control, now);
        let step = match self.receive(&mut wire, now)? {
            Some(count) => {
                handshake.feed(self.scratch.get(..count).unwrap_or_default());
                Step::Again
            }
            None => wire.wait(true, self.silence_left(&wire, now)?),
        };
        Ok((Phase::Shaking { wire, handshake }, step))
    }

    /// The handshake is over; what came behind it belongs to the snapshot or stream.
    fn attach(&mut self, wire: Wire, mut handshake: Handshake, manner: Manner) -> Next {
        self.tell(Feed::Status(LinkState::Attached));
        self.pass_on(handshake.take_rest(), wire.last_read_ms);
        // A GETACK of the last connection is none of this one.
        self.control.take_ack_due();
        (Phase::Attached { wire, manner }, Step::Again)
    }

    fn pass_on(&mut self, bytes: Vec<u8>, at_ms: i64) {
        if !bytes.is_empty() {
            self.control.spool(bytes.len() as u64);
            self.tell(Feed::Bytes { bytes, at_ms });
        }
    }

    fn attached(&mut self, mut wire: Wire, manner: Manner) -> std::result::Result<Next, Failure> {
        let now = self.env.ticks_ms();
        self.note_ready();
        let next_ack_ms = self.acknowledge(&mut wire, manner, now);
        self.turn.show_progress(&self.control, now);
        wire.flush();
        let has_room = self.control.has_room();
        let spool_size = self.config.spool_size;
        let is_full = self.control.is_spool_full();
        if let Some(text) = self.behind.look(&self.control, spool_size, is_full, now) {
            log::log(Level::Warning, &format!("{}: {text}", self.address()));
        }
        let (read, left_ms) = if has_room {
            if let Some(count) = self.receive(&mut wire, now)? {
                let bytes = self.scratch.get(..count).unwrap_or_default().to_vec();
                self.pass_on(bytes, now);
                return Ok((Phase::Attached { wire, manner }, Step::Again));
            }
            (true, self.silence_left(&wire, now)?)
        } else {
            wire.broken()?;
            // Not listening, we can't blame the primary for silence.
            wire.last_read_ms = now;
            (false, i64::MAX)
        };
        let step = wire.wait(read, left_ms.min(next_ack_ms));
        Ok((Phase::Attached { wire, manner }, step))
    }

    /// Lets the primary know that we live, when it is time or somebody asked. Returns how long it
    /// is until the next time.
    fn acknowledge(&self, wire: &mut Wire, manner: Manner, now: i64) -> i64 {
        let asked = self.control.take_ack_due();
        if manner == Manner::Silent {
            return i64::MAX;
        }
        let left = wire.last_ack_ms.map_or(0, |last| last.saturating_add(self.pause(wire)) - now);
        if left > 0 && !asked {
            return left;
        }
        wire.last_ack_ms = Some(now);
        // A primary that takes nothing would only get more of the same.
        if wire.out.is_empty() {
            let applied = self.control.applied();
            if applied >= 0 || manner == Manner::AckZero {
                wire.first_acks = wire.first_acks.map(|sent| sent + 1);
            }
            match (manner, self.config.ack) {
                (Manner::Ack, _) if applied < 0 => wire.out.push(b'\n'),
                (Manner::Ack, Ack::Truth) => write_ack(&mut wire.out, applied),
                _ => write_ack(&mut wire.out, 0),
            }
        }
        self.pause(wire)
    }

    /// How long it is from one sign of life to the next.
    fn pause(&self, wire: &Wire) -> i64 {
        let pause_ms = self.config.ack_interval_ms;
        match wire.first_acks {
            Some(sent @ 1..) => pause_ms.min(FIRST_ACKS_MS << sent.min(20)),
            _ => pause_ms,
        }
    }

    /// Reads into the scratch buffer; `None` when there is nothing yet.
    fn receive(
        &mut self,
        wire: &mut Wire,
        now: i64,
    ) -> std::result::Result<Option<usize>, Failure> {
        let count = wire.read(&mut self.scratch, now)?;
        if let Some(count) = count {
            self.control.received(count as u64, now);
        }
        Ok(count)
    }

    /// How much longer the primary may be silent.
    fn silence_left(&self, wire: &Wire, now: i64) -> std::result::Result<i64, Failure> {
        let limit = self.config.link_timeout_ms;
        let left = wire.last_read_ms.saturating_add(limit) - now;
        if left > 0 {
            return Ok(left);
        }
        Err(Failure::again(Kind::Timeout, format!("nothing from the primary for {limit} ms")))
    }
}

/// Where the primary listens.
fn address(config: &Config) -> Address {
    match &config.address {
        config::Address::Tcp { host, port } => Address::Tcp { host: host.clone(), port: *port },
        config::Address::Unix { path } => Address::Unix { path: path.clone() },
    }
}

/// Read anew each time, so that a password may be changed under way.
fn credentials(env: &dyn Env, config: &Config) -> Result<Credentials> {
    let user = config.user.as_ref().map(|user| user.clone().into_bytes());
    let Some(path) = &config.password_file else {
        let password = config.password.as_ref().map(|p| p.clone().into_bytes());
        return Ok(Credentials { user, password });
    };
    let mut password = env.read_file(path)?;
    if password.last() == Some(&b'\n') {
        password.pop();
        if password.last() == Some(&b'\r') {
            password.pop();
        }
    }
    Ok(Credentials { user, password: Some(password).filter(|p| !p.is_empty()) })
}

fn pause(timeout_ms: i64) -> Step {
    Step::Wait { want: Interest::default(), timeout_ms }
}

fn again(error: Error) -> Failure {
    Failure { error, retry: true }
}

fn write_ack(out: &mut Vec<u8>, offset: i64) {
    resp::write_command(out, &[b"REPLCONF", b"ACK", offset.to_string().as_bytes()]);
}

#[cfg(test)]
mod tests;
