//! Threads that stay out of their host's way: named, and with every signal blocked, so that the
//! host's handlers never run on a stack of ours.

#![allow(unsafe_code)]

use std::io;
use std::mem::MaybeUninit;
use std::ptr;
use std::thread::{Builder, JoinHandle};

use super::Thread;
use crate::error::{Error, Kind, Result};

/// The kernel keeps 15 bytes of a thread's name.
const MAX_NAME: usize = 15;

/// The caller's signal mask while all signals are blocked; restored on drop. A new thread inherits
/// the full mask, so that there is no moment in which it could be hit.
struct Blocked {
    before: libc::sigset_t,
}

impl Blocked {
    fn all() -> io::Result<Self> {
        let mut every = MaybeUninit::<libc::sigset_t>::uninit();
        let mut before = MaybeUninit::<libc::sigset_t>::uninit();
        // SAFETY: sigfillset initialises `every`; pthread_sigmask reads it and, when it returns 0,
        // has initialised `before`. Both outlive the calls, and only this thread's mask changes.
        unsafe {
            libc::sigfillset(every.as_mut_ptr());
            match libc::pthread_sigmask(libc::SIG_SETMASK, every.as_ptr(), before.as_mut_ptr()) {
                0 => Ok(Self { before: before.assume_init() }),
                code => Err(io::Error::from_raw_os_error(code)),
            }
        }
    }
}

impl Drop for Blocked {
    fn drop(&mut self) {
        // SAFETY: `before` is an initialised mask; the old mask isn't asked for.
        unsafe { libc::pthread_sigmask(libc::SIG_SETMASK, &self.before, ptr::null_mut()) };
    }
}

/// Starts a thread. Dropping what is returned lets it run on by itself.
pub(super) fn spawn(name: &str, body: Box<dyn FnOnce() + Send>) -> Result<Started> {
    if name.len() > MAX_NAME {
        return Err(Error::invalid(format!(
            "thread name {name:?} is longer than {MAX_NAME} bytes"
        )));
    }
    let failed = |e: io::Error| Error::new(Kind::Io, format!("can't start thread {name}: {e}"));
    let blocked = Blocked::all().map_err(failed)?;
    let started = Builder::new().name(name.to_owned()).spawn(body).map_err(failed);
    drop(blocked);
    Ok(Started { handle: started? })
}

/// A thread of the system.
pub(super) struct Started {
    handle: JoinHandle<()>,
}

impl Thread for Started {
    fn join(self: Box<Self>) {
        // Whoever started it catches panics inside the body; here only the end matters.
        let _ = self.handle.join();
    }
}
