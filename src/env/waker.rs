//! Sleeping and being woken: the two system calls that the standard library does not offer.

#![allow(unsafe_code)]

use std::fs::File;
use std::io::{self, Read, Write};
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, FromRawFd, OwnedFd};

use super::Waker;
use crate::error::{Error, Kind, Result};

/// What to wait for on one descriptor: the flags of `poll(2)`.
pub(super) type Watched<'a> = (BorrowedFd<'a>, libc::c_short);

/// Sleeps until one of these is ready or time is up (-1: never), and says which are. Ends early,
/// with nothing ready, when a signal interrupts it.
pub(super) fn poll<const N: usize>(
    watched: &[Option<Watched<'_>>; N],
    timeout_ms: i64,
) -> io::Result<[bool; N]> {
    let mut list = watched.map(|entry| {
        // A negative descriptor is ignored by poll(2).
        let (fd, events) = entry.map_or((-1, 0), |(fd, events)| (fd.as_raw_fd(), events));
        libc::pollfd { fd, events, revents: 0 }
    });
    let timeout = if timeout_ms < 0 { -1 } else { i32::try_from(timeout_ms).unwrap_or(i32::MAX) };
    // SAFETY: `list` is an array of N initialised pollfd that outlives the call, and its
    // descriptors are borrowed for as long.
    let got = unsafe { libc::poll(list.as_mut_ptr(), N as libc::nfds_t, timeout) };
    if got < 0 {
        let error = io::Error::last_os_error();
        if error.kind() != io::ErrorKind::Interrupted {
            return Err(error);
        }
        return Ok([false; N]);
    }
    Ok(list.map(|entry| entry.revents != 0))
}

/// An eventfd: readable from a ring until somebody hears it.
pub(super) struct Bell {
    file: File,
}

impl Bell {
    pub(super) fn new() -> Result<Self> {
        // SAFETY: a plain system call without pointers.
        let fd = unsafe { libc::eventfd(0, libc::EFD_CLOEXEC | libc::EFD_NONBLOCK) };
        if fd < 0 {
            let text = format!("can't open an eventfd: {}", io::Error::last_os_error());
            return Err(Error::new(Kind::Io, text));
        }
        // SAFETY: `fd` was just opened, is valid, and nobody else owns it.
        let owned = unsafe { OwnedFd::from_raw_fd(fd) };
        Ok(Self { file: File::from(owned) })
    }

    /// Ends the ringing.
    pub(super) fn silence(&self) {
        // Nothing to read means that it was not ringing.
        let _ = (&self.file).read(&mut [0; 8]);
    }

    pub(super) fn fd(&self) -> BorrowedFd<'_> {
        self.file.as_fd()
    }
}

impl Waker for Bell {
    fn wake(&self) {
        // Fails only when the counter is full, and then it rings already.
        let _ = (&self.file).write(&1u64.to_ne_bytes());
    }

    fn wait(&self, timeout_ms: i64) {
        // An error here leaves nothing to do but to look around, as after a ring.
        let _ = poll(&[Some((self.fd(), libc::POLLIN))], timeout_ms);
        self.silence();
    }

    fn descriptor(&self) -> Option<BorrowedFd<'_>> {
        Some(self.fd())
    }
}
