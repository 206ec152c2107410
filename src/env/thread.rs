//! Threads that stay out of their host's way: named, and with every signal blocked, so that the
//! host's handlers never run on a stack of ours. What they do is mostly short, so that they ask for
//! short turns, and get them the sooner.

#![allow(unsafe_code)]

use std::io;
use std::mem::MaybeUninit;
use std::ptr;
use std::thread::{Builder, JoinHandle};

use super::Thread;
use crate::error::{Error, Kind, Result};

/// The kernel keeps 15 bytes of a thread's name.
const MAX_NAME: usize = 15;

/// How long a thread of ours wants a processor when others want it too: the least that the kernel
/// grants. Whoever wants it for less time than those who have it gets it at once: else a program
/// that turns round until it finds a value keeps it from coming, for all of its own turn.
pub(super) const TURN_NS: u64 = 100_000;

/// Asks for that, which changes nothing of the thread's share. Where it can't be had (before Linux
/// 6.12, or where the host's threads are not scheduled by shares) all stays as it is.
#[cfg(target_os = "linux")]
fn ask_for_short_turns() {
    // A filter of system calls may end the process for this one (systemd's `@resources` has it).
    // SAFETY: it takes numbers and gives one.
    if unsafe { libc::prctl(libc::PR_GET_SECCOMP, 0, 0, 0, 0) } != 0 {
        return;
    }
    let Some(mut attr) = scheduling() else { return };
    if attr.sched_policy == libc::SCHED_OTHER as u32 {
        attr.sched_runtime = TURN_NS;
        // SAFETY: the kernel reads as many bytes as the structure says it has.
        unsafe { libc::syscall(libc::SYS_sched_setattr, 0, &raw const attr, 0) };
    }
}

#[cfg(not(target_os = "linux"))]
fn ask_for_short_turns() {}

/// How the calling thread is scheduled.
#[cfg(target_os = "linux")]
pub(super) fn scheduling() -> Option<libc::sched_attr> {
    let mut attr = MaybeUninit::<libc::sched_attr>::zeroed();
    let size = size_of::<libc::sched_attr>();
    // SAFETY: the kernel writes no more than `size` bytes, and what it leaves is zero, which all
    // fields may be.
    unsafe {
        let told = libc::syscall(libc::SYS_sched_getattr, 0, attr.as_mut_ptr(), size, 0);
        (told == 0).then(|| attr.assume_init())
    }
}

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
    let body = || {
        ask_for_short_turns();
        body();
    };
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
