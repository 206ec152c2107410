//! A barrier of memory for all threads of the process at once.

#![allow(unsafe_code)]

use std::sync::OnceLock;

/// As the kernel's `linux/membarrier.h` has them.
const PRIVATE_EXPEDITED: libc::c_int = 1 << 3;
const REGISTER_PRIVATE_EXPEDITED: libc::c_int = 1 << 4;

/// Makes every running thread of this process pass a full barrier; `None` where the kernel does
/// not (before Linux 4.14, or where a sandbox forbids it).
pub(super) fn for_all_threads() -> Option<fn()> {
    static REGISTERED: OnceLock<bool> = OnceLock::new();
    REGISTERED.get_or_init(|| call(REGISTER_PRIVATE_EXPEDITED)).then_some(pass as fn())
}

fn pass() {
    // Who is registered is not refused.
    let passed = call(PRIVATE_EXPEDITED);
    debug_assert!(passed, "{}", std::io::Error::last_os_error());
}

#[cfg(target_os = "linux")]
fn call(command: libc::c_int) -> bool {
    // SAFETY: it takes numbers and gives one.
    unsafe { libc::syscall(libc::SYS_membarrier, command, 0, 0) == 0 }
}

#[cfg(not(target_os = "linux"))]
fn call(_: libc::c_int) -> bool {
    false
}
