//! A lock between processes of one machine: a file that one of them has locked. The kernel takes
//! the lock back when its holder dies, so that none is ever left behind.

#![allow(unsafe_code)]

use std::fs::{File, OpenOptions};
use std::io;
use std::os::fd::AsRawFd;
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::ptr;

use super::{Lock, TryLock};
use crate::error::{Error, Kind, Result};

/// A file that we have locked. Its content is nobody's business: it is neither read nor written.
struct Locked {
    file: File,
}

/// Opens the file anew each time: one that was deleted, or moved away, is nobody's lock any more.
pub(super) fn try_lock(path: &str) -> Result<TryLock> {
    let failed =
        |e: io::Error| Error::new(Kind::Io, format!("can't use file {path} as a lock: {e}"));
    let file = open(path).map_err(failed)?;
    let about = file.metadata().map_err(failed)?;
    if !about.is_file() {
        let text = format!("can't use file {path} as a lock: not a plain file");
        return Err(Error::new(Kind::Io, text));
    }
    match flock(&file, libc::LOCK_EX | libc::LOCK_NB) {
        Ok(()) => Ok(TryLock::Ours(Box::new(Locked { file }))),
        Err(e) if e.kind() == io::ErrorKind::WouldBlock => {
            let nanoseconds = about.mtime().wrapping_mul(1_000_000_000);
            Ok(TryLock::Theirs { progress: nanoseconds.wrapping_add(about.mtime_nsec()) })
        }
        Err(e) => Err(failed(e)),
    }
}

/// For writing, so that its time can be set by any user who may write to it. Not made where it is:
/// the kernel lets nobody "make" another user's file in a folder such as /tmp.
fn open(path: &str) -> io::Result<File> {
    let mut options = OpenOptions::new();
    options.read(true).write(true).custom_flags(libc::O_NONBLOCK | libc::O_NOCTTY);
    match options.open(path) {
        Err(e) if e.kind() == io::ErrorKind::NotFound => options.create(true).open(path),
        other => other,
    }
}

/// This kind of lock belongs to the open file, not to the process: two engines of one process
/// exclude each other, too, and closing the file elsewhere does not release it.
fn flock(file: &File, how: i32) -> io::Result<()> {
    // SAFETY: flock takes plain numbers, and the descriptor is open as long as `file` lives.
    match unsafe { libc::flock(file.as_raw_fd(), how) } {
        0 => Ok(()),
        _ => Err(io::Error::last_os_error()),
    }
}

impl Lock for Locked {
    fn show_progress(&self) {
        // Nothing depends on it but the patience of others.
        // SAFETY: the descriptor is open; NULL means now.
        unsafe { libc::futimens(self.file.as_raw_fd(), ptr::null()) };
    }
}

impl Drop for Locked {
    fn drop(&mut self) {
        // To close it would not be enough: a child that was forked meanwhile has it open as well.
        let _ = flock(&self.file, libc::LOCK_UN);
    }
}
