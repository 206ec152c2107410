//! Single values from the primary, over a second connection: whoever lacks one says so through
//! [`Wishes`] and gets it back as a [`Feed`], at an offset of the primary's history.
//!
//! Like the link it is a task that is stepped. The connection is made when there is something to
//! fetch and closed when there has been nothing for a while. A primary is asked in batches with
//! pauses between, seldom where it refuses, and never for more than fits in memory.

mod dialogue;
mod wishes;

use self::dialogue::{Dialogue, Event, Outcome};
use super::backoff::Backoff;
use super::handshake::Credentials;
use super::refusal::Failure;
use super::wire::Wire;
use super::{CHUNK, Control, Feed, Step, address, credentials, pause};
use crate::config::Config;
use crate::env::{Connection, Env, Interest};
use crate::error::{Error, Kind};
use crate::log::{self, Level};
use crossbeam_channel::Sender;
use std::collections::VecDeque;
use std::sync::Arc;

pub use wishes::{Answer, Fetched, Wish, Wishes};

/// Keys that are asked for at once, and the pause before the next ones: some thousand keys a second
/// at most, which no primary feels.
const BATCH: usize = 32;
const BATCH_PAUSE_MS: i64 = 10;

/// The first pause where everything was refused, and the longest.
const REFUSED_MIN_MS: i64 = 1_000;
const REFUSED_MAX_MS: i64 = 60_000;

/// A connection that was not needed for so long is closed.
const IDLE_MS: i64 = 10_000;

/// Bytes of answers that nobody has looked at, beyond which no more are read.
const ANSWERS_MAX: u64 = 16 << 20;

/// The longest string that servers know, where no option says less.
const VALUE_MAX: u64 = 4 << 30;

/// The task.
pub struct Fetch {
    env: Arc<dyn Env>,
    config: Config,
    control: Arc<Control>,
    wishes: Arc<Wishes>,
    feed: Sender<Feed>,
    /// What is not asked for over the connection in hand.
    wanted: VecDeque<Wish>,
    /// When to ring for whoever wishes.
    ring_at_ms: Option<i64>,
    backoff: Backoff,
    /// How many batches in a row were refused.
    refusals: u32,
    /// What the log was last told that went wrong.
    warned: Option<String>,
    phase: Phase,
    scratch: Vec<u8>,
    deaf: bool,
}

enum Phase {
    /// No connection, and none before then.
    Apart { until_ms: i64 },
    /// On the way to one.
    Dialing { connection: Box<dyn Connection>, deadline_ms: i64, credentials: Credentials },
    /// Asking.
    Talking(Box<Talk>),
}

struct Talk {
    wire: Wire,
    dialogue: Dialogue,
    /// When the next batch may go.
    next_ms: i64,
    /// Since when there was nothing to do.
    idle_since_ms: i64,
    /// How the batch in hand went.
    given: usize,
    refused: usize,
}

type Next = (Phase, Step);

impl Fetch {
    /// A task that has nothing to do yet.
    pub fn new(
        env: Arc<dyn Env>,
        config: Config,
        control: Arc<Control>,
        wishes: Arc<Wishes>,
        feed: Sender<Feed>,
    ) -> Self {
        control.ring_at_end(wishes.waker());
        Self {
            env,
            config,
            control,
            wishes,
            feed,
            wanted: VecDeque::new(),
            ring_at_ms: None,
            backoff: Backoff::default(),
            refusals: 0,
            warned: None,
            phase: Phase::Apart { until_ms: i64::MIN },
            scratch: vec![0; CHUNK],
            deaf: false,
        }
    }

    /// Steps and waits until it is stopped; after each step it calls whoever sees to what it hands
    /// on.
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
            self.phase = Phase::Apart { until_ms: i64::MAX };
            return Step::Done;
        }
        let now = self.env.ticks_ms();
        self.take_wishes(now);
        let phase = std::mem::replace(&mut self.phase, Phase::Apart { until_ms: now });
        let next = match phase {
            Phase::Apart { until_ms } => self.apart(until_ms, now),
            Phase::Dialing { connection, deadline_ms, credentials } => {
                self.dialing(connection, deadline_ms, credentials, now)
            }
            Phase::Talking(talk) => self.talking(talk, now),
        };
        let (phase, step) = next.unwrap_or_else(|failure| (self.fail(&failure, now), Step::Again));
        self.phase = phase;
        match step {
            Step::Wait { want, timeout_ms } => {
                let ring_ms = self.ring_at_ms.map_or(i64::MAX, |at| (at - now).max(0));
                let timeout_ms = if timeout_ms < 0 { ring_ms } else { timeout_ms.min(ring_ms) };
                let timeout_ms = if timeout_ms == i64::MAX { -1 } else { timeout_ms };
                Step::Wait { want, timeout_ms }
            }
            step => step,
        }
    }

    /// Sleeps as a step said.
    fn wait(&mut self, want: Interest, timeout_ms: i64) {
        let waker = self.wishes.waker();
        let connection = match &mut self.phase {
            Phase::Dialing { connection, .. } => connection,
            Phase::Talking(talk) => &mut talk.wire.connection,
            Phase::Apart { .. } => return waker.wait(timeout_ms),
        };
        if let Err(error) = connection.wait(want, &*waker, timeout_ms) {
            let failure = Failure::again(Kind::Io, format!("can't wait: {error}"));
            self.take_back();
            self.phase = self.fail(&failure, self.env.ticks_ms());
        }
    }

    fn tell(&mut self, fetched: Fetched) {
        self.wishes.sent(&fetched);
        self.deaf |= self.feed.send(Feed::Fetched(fetched)).is_err();
    }

    fn take_wishes(&mut self, now: i64) {
        let requests = self.wishes.take();
        if let Some(config) = requests.config {
            self.config = config;
            self.refusals = 0;
            self.backoff.reset();
            match &mut self.phase {
                Phase::Apart { until_ms } => *until_ms = now,
                Phase::Talking(talk) => talk.next_ms = now,
                Phase::Dialing { .. } => {}
            }
        }
        if requests.forget {
            // Answers to what was asked already are not understood any more.
            self.wanted.clear();
            self.ring_at_ms = None;
        }
        self.wanted.extend(requests.wishes);
        self.ring_at_ms = requests.ring_at_ms.or(self.ring_at_ms);
        if self.ring_at_ms.is_some_and(|at| now >= at) {
            self.ring_at_ms = None;
            self.tell(Fetched::Due);
        }
    }

    /// What was asked for over a connection that is gone is asked for again.
    fn take_back(&mut self) {
        if let Phase::Talking(talk) = &mut self.phase {
            talk.dialogue.take_asked().into_iter().rev().for_each(|w| self.wanted.push_front(w));
        }
    }

    fn fail(&mut self, failure: &Failure, now: i64) -> Phase {
        let (min_ms, max_ms, random) =
            (self.config.retry_min_ms, self.config.retry_max_ms, self.env.random());
        let pause_ms = if failure.retry {
            self.backoff.next(min_ms, max_ms, random)
        } else {
            self.refusals = self.refusals.saturating_add(1);
            self.refused_ms().max(Backoff::longest(min_ms, max_ms, random))
        };
        self.warn(&failure.error);
        Phase::Apart { until_ms: now.saturating_add(pause_ms) }
    }

    fn refused_ms(&self) -> i64 {
        let doubled = REFUSED_MIN_MS << self.refusals.saturating_sub(1).min(16);
        doubled.min(REFUSED_MAX_MS)
    }

    /// A log that is told the same again and again tells nothing.
    fn warn(&mut self, error: &Error) {
        let text =
            format!("withheld keys can't be fetched from {}: {error}", address(&self.config));
        if self.warned.as_ref() == Some(&text) {
            log::log(Level::Debug, &text);
        } else {
            log::log(Level::Warning, &text);
            self.warned = Some(text);
        }
    }

    fn apart(&mut self, until_ms: i64, now: i64) -> Result<Next, Failure> {
        if self.wanted.is_empty() || now < until_ms {
            let timeout_ms = if self.wanted.is_empty() { -1 } else { until_ms - now };
            return Ok((Phase::Apart { until_ms }, pause(timeout_ms)));
        }
        let credentials = credentials(&*self.env, &self.config)
            .map_err(|error| Failure { error, retry: false })?;
        let connection = self
            .env
            .dial(&address(&self.config))
            .map_err(|error| Failure { error, retry: true })?;
        let deadline_ms = now.saturating_add(self.config.connect_timeout_ms);
        Ok((Phase::Dialing { connection, deadline_ms, credentials }, Step::Again))
    }

    fn dialing(
        &mut self,
        mut connection: Box<dyn Connection>,
        deadline_ms: i64,
        credentials: Credentials,
        now: i64,
    ) -> Result<Next, Failure> {
        if connection.established().map_err(|error| Failure { error, retry: true })? {
            let talk = Talk {
                wire: Wire::new(connection, now),
                dialogue: Dialogue::new(credentials),
                next_ms: now,
                idle_since_ms: now,
                given: 0,
                refused: 0,
            };
            return Ok((Phase::Talking(Box::new(talk)), Step::Again));
        }
        if now >= deadline_ms {
            let text = format!("no connection within {} ms", self.config.connect_timeout_ms);
            return Err(Failure::again(Kind::Timeout, text));
        }
        let want = Interest { read: false, write: true };
        let step = Step::Wait { want, timeout_ms: deadline_ms - now };
        Ok((Phase::Dialing { connection, deadline_ms, credentials }, step))
    }

    fn talking(&mut self, mut talk: Box<Talk>, now: i64) -> Result<Next, Failure> {
        match self.talk(&mut talk, now) {
            Ok(Some(step)) => Ok((Phase::Talking(talk), step)),
            // Nobody needs it any more.
            Ok(None) => Ok((Phase::Apart { until_ms: now }, Step::Again)),
            Err(failure) => {
                let was_idle = talk.dialogue.is_idle();
                self.phase = Phase::Talking(talk);
                self.take_back();
                if was_idle && failure.retry && self.wanted.is_empty() {
                    return Ok((Phase::Apart { until_ms: now }, Step::Again));
                }
                Err(failure)
            }
        }
    }

    /// Asks and listens; `None` where the connection has done its work.
    fn talk(&mut self, talk: &mut Talk, now: i64) -> Result<Option<Step>, Failure> {
        let bulk_max = if self.config.max_memory > 0 { self.config.max_memory } else { VALUE_MAX };
        while let Some(event) = talk.dialogue.next(bulk_max) {
            self.hear(talk, event, now)?;
        }
        if talk.dialogue.is_idle() && now >= talk.next_ms {
            for wish in self.wanted.drain(..self.wanted.len().min(BATCH)) {
                talk.wire.out.extend(talk.dialogue.ask(wish));
                talk.wire.last_read_ms = now;
            }
        }
        talk.wire.flush();
        let is_idle = talk.dialogue.is_idle();
        if !is_idle || !self.wanted.is_empty() {
            talk.idle_since_ms = now;
        }
        let idle_ms = IDLE_MS - (now - talk.idle_since_ms);
        if idle_ms <= 0 {
            return Ok(None);
        }
        if self.wishes.unread() > ANSWERS_MAX {
            talk.wire.broken()?;
            talk.wire.last_read_ms = now;
            return Ok(Some(talk.wire.wait(false, -1)));
        }
        if let Some(count) = talk.wire.read(&mut self.scratch, now)? {
            talk.dialogue.feed(self.scratch.get(..count).unwrap_or_default());
            return Ok(Some(Step::Again));
        }
        let limit = self.config.link_timeout_ms;
        let left_ms = match is_idle {
            true if self.wanted.is_empty() => idle_ms,
            true => talk.next_ms - now,
            false => talk.wire.last_read_ms.saturating_add(limit) - now,
        };
        if !is_idle && left_ms <= 0 {
            return Err(Failure::again(Kind::Timeout, format!("no answer for {limit} ms")));
        }
        Ok(Some(talk.wire.wait(true, left_ms.max(0))))
    }

    fn hear(&mut self, talk: &mut Talk, event: Event, now: i64) -> Result<(), Failure> {
        match event {
            Event::Send(bytes) => talk.wire.out.extend(bytes),
            Event::Warn(text) => log::log(Level::Warning, &text),
            Event::Failed(failure) => return Err(failure),
            Event::Answered { wish, outcome } => {
                match outcome {
                    Outcome::Given(answer) => {
                        talk.given += 1;
                        self.tell(Fetched::Answer { ticket: wish.ticket, answer });
                    }
                    Outcome::Unclear => self.wanted.push_back(wish),
                    Outcome::Refused(error) => {
                        talk.refused += 1;
                        self.warn(&error);
                        let answer = Answer::Refused(error);
                        self.tell(Fetched::Answer { ticket: wish.ticket, answer });
                    }
                }
                if talk.dialogue.is_idle() {
                    self.end_batch(talk, now);
                }
            }
        }
        Ok(())
    }

    fn end_batch(&mut self, talk: &mut Talk, now: i64) {
        let (given, refused) = (std::mem::take(&mut talk.given), std::mem::take(&mut talk.refused));
        talk.next_ms = now.saturating_add(BATCH_PAUSE_MS);
        if given > 0 {
            self.backoff.reset();
            self.refusals = 0;
        } else if refused > 0 {
            self.refusals = self.refusals.saturating_add(1);
            talk.next_ms = now.saturating_add(self.refused_ms());
        }
    }
}
