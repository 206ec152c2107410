//! What the apply task asks of the second connection, and what comes back.

use crate::config::Config;
use crate::env::{Env, Waker};
use crate::error::{Error, Result};
use crate::link::ReplId;
use parking_lot::Mutex;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::SeqCst};

/// One value that is wanted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Wish {
    /// What the answer is known by.
    pub ticket: u64,
    /// The key's database.
    pub db: u32,
    /// Its name.
    pub key: Vec<u8>,
    /// The history in which its value is wanted.
    pub replid: ReplId,
}

/// What comes back.
#[derive(Clone, Debug, PartialEq)]
pub enum Fetched {
    /// To one wish.
    Answer {
        /// Which one.
        ticket: u64,
        /// The answer.
        answer: Answer,
    },
    /// The time that was named to [`Wishes::ring_at`] has come.
    Due,
}

/// How a wish ended.
#[derive(Clone, Debug, PartialEq)]
pub enum Answer {
    /// What the key has at an offset of the history.
    Value {
        /// The offset.
        offset: i64,
        /// As `DUMP` gives it; `None` where there is no such key.
        payload: Option<Vec<u8>>,
        /// The key's deadline in Unix milliseconds.
        expires_at_ms: Option<i64>,
    },
    /// The primary does not give it, or it is too large.
    Refused(Error),
}

impl Fetched {
    /// Bytes of the value.
    pub fn size(&self) -> u64 {
        match self {
            Self::Answer { answer: Answer::Value { payload: Some(payload), .. }, .. } => {
                payload.len() as u64
            }
            _ => 0,
        }
    }
}

/// Shared by the two threads. Every call returns at once.
pub struct Wishes {
    waker: Arc<dyn Waker>,
    requests: Mutex<Requests>,
    /// Bytes of answers that are not dealt with.
    unread: AtomicU64,
}

#[derive(Default)]
pub(super) struct Requests {
    pub(super) wishes: Vec<Wish>,
    /// Of what was wished before these.
    pub(super) forget: bool,
    pub(super) ring_at_ms: Option<i64>,
    pub(super) config: Option<Config>,
}

impl Wishes {
    /// None yet.
    pub fn new(env: &dyn Env) -> Result<Self> {
        let (requests, unread) = (Mutex::default(), AtomicU64::new(0));
        Ok(Self { waker: env.waker()?, requests, unread })
    }

    /// Wishes for these.
    pub fn ask(&self, wishes: Vec<Wish>) {
        self.requests.lock().wishes.extend(wishes);
        self.waker.wake();
    }

    /// Takes back what was wished so far. Answers may still come.
    pub fn forget(&self) {
        let mut requests = self.requests.lock();
        let config = requests.config.take();
        *requests = Requests { forget: true, config, ..Requests::default() };
        drop(requests);
        self.waker.wake();
    }

    /// Asks for [`Fetched::Due`] when [`Env::ticks_ms`] says this; only the last one counts.
    pub fn ring_at(&self, at_ms: i64) {
        self.requests.lock().ring_at_ms = Some(at_ms);
        self.waker.wake();
    }

    /// Holds from the next connection on.
    pub fn set_config(&self, config: Config) {
        self.requests.lock().config = Some(config);
        self.waker.wake();
    }

    /// So many bytes of answers, see [`Fetched::size`], are dealt with.
    pub fn taken(&self, bytes: u64) {
        if self.unread.fetch_sub(bytes, SeqCst) > super::ANSWERS_MAX {
            self.waker.wake();
        }
    }

    pub(super) fn sent(&self, fetched: &Fetched) {
        self.unread.fetch_add(fetched.size(), SeqCst);
    }

    pub(super) fn unread(&self) -> u64 {
        self.unread.load(SeqCst)
    }

    pub(super) fn waker(&self) -> Arc<dyn Waker> {
        self.waker.clone()
    }

    pub(super) fn take(&self) -> Requests {
        std::mem::take(&mut *self.requests.lock())
    }
}

/// What was wished for, for tests that run without a connection.
#[cfg(test)]
impl Wishes {
    /// What was wished for since the last call, and when to ring.
    pub(crate) fn asked(&self) -> (Vec<Wish>, Option<i64>) {
        let requests = self.take();
        (requests.wishes, requests.ring_at_ms)
    }
}
