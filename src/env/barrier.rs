//! A barrier of memory for all threads of the process at once.

#![allow(unsafe_code)]

use std::sync::OnceLock;

/// As the kernel's `linux/membarrier.h` has them.
const GLOBAL: libc::c_int = 1;
const PRIVATE_EXPEDITED: libc::c_int = 1 << 3;
const REGISTER_PRIVATE_EXPEDITED: libc::c_int = 1 << 4;

/// Makes every running thread of this process pass a full barrier, and says whether it did; `None`
/// where the kernel does not (before Linux 4.14, or where a sandbox forbids it).
pub(super) fn for_all_threads() -> Option<fn() -> bool> {
    static REGISTERED: OnceLock<bool> = OnceLock::new();
    REGISTERED.get_or_init(|| call(REGISTER_PRIVATE_EXPEDITED)).then_some(pass as fn() -> bool)
}

/// Who is registered may still be refused: for want of memory, by a sandbox that closed since, or
/// because the process was stopped and restored elsewhere.
fn pass() -> bool {
    call(PRIVATE_EXPEDITED)
        || call(REGISTER_PRIVATE_EXPEDITED) && call(PRIVATE_EXPEDITED)
        || call(GLOBAL)
}

#[cfg(all(target_os = "linux", not(miri)))]
fn call(command: libc::c_int) -> bool {
    // SAFETY: it takes numbers and gives one.
    unsafe { libc::syscall(libc::SYS_membarrier, command, 0, 0) == 0 }
}

/// Nor does Miri know the call.
#[cfg(not(all(target_os = "linux", not(miri))))]
fn call(_: libc::c_int) -> bool {
    false
}
