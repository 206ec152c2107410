//! Notices that the process is a forked child: the engine's threads did not come along, and a lock
//! that one of them held is held for ever. So calls there answer instead of waiting.

use std::sync::OnceLock;
use std::sync::atomic::{AtomicU32, Ordering};

/// Goes up in every forked child.
static PROCESS: AtomicU32 = AtomicU32::new(0);

extern "C" fn in_child() {
    PROCESS.fetch_add(1, Ordering::Relaxed);
    crate::replica::forked();
    crate::log::forked();
}

/// Which process this is, counted in forks. Objects remember the one they were made in.
pub(super) fn process() -> u32 {
    PROCESS.load(Ordering::Relaxed)
}

/// Has the C library tell us about forks; false if it has no memory for that.
pub(super) fn watch() -> bool {
    static WATCHED: OnceLock<bool> = OnceLock::new();
    *WATCHED.get_or_init(|| {
        // SAFETY: the handler only touches atomics, and the library is never unloaded (build.rs).
        unsafe { libc::pthread_atfork(None, None, Some(in_child)) == 0 }
    })
}
