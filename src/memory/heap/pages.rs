//! Chunks of the system's memory, and the pages behind them.

#![allow(unsafe_code)]

use super::CHUNK;
use std::ptr::{self, NonNull};

/// A chunk of the system's memory.
pub(super) fn map() -> Option<NonNull<u8>> {
    #[cfg(test)]
    super::tests::count_mapped(1);
    let map = |size| {
        let flags = libc::MAP_PRIVATE | libc::MAP_ANONYMOUS;
        let access = libc::PROT_READ | libc::PROT_WRITE;
        // SAFETY: the system chooses where, and what was there before stays.
        let start = unsafe { libc::mmap(ptr::null_mut(), size, access, flags, -1, 0) };
        (start != libc::MAP_FAILED).then_some(start)
    };
    // Mostly the system puts one next to the other.
    let start = map(CHUNK)?;
    if start.addr() % CHUNK == 0 {
        start.expose_provenance();
        return NonNull::new(start.cast());
    }
    // SAFETY: it was mapped just before.
    unsafe { libc::munmap(start, CHUNK) };
    let start = map(2 * CHUNK)?;
    let before = start.addr().next_multiple_of(CHUNK) - start.addr();
    let chunk = start.wrapping_byte_add(before);
    let rests = [(start, before), (chunk.wrapping_byte_add(CHUNK), CHUNK - before)];
    for (rest, size) in rests.into_iter().filter(|(_, size)| *size > 0) {
        // SAFETY: that is what lies beside the chunk of what was mapped just before.
        unsafe { libc::munmap(rest, size) };
    }
    chunk.expose_provenance();
    NonNull::new(chunk.cast())
}

/// # Safety
/// Nobody uses anything of the chunk any more.
pub(super) unsafe fn unmap(chunk: *mut u8) {
    #[cfg(test)]
    super::tests::count_mapped(-1);
    // SAFETY: as the caller says.
    unsafe { libc::munmap(chunk.cast(), CHUNK) };
}

/// Whether the system is to back a chunk with large pages. That it may refuse is no harm.
///
/// # Safety
/// It is a chunk, and what is in it stays.
pub(super) unsafe fn enlarge(chunk: *mut u8, large: bool) {
    #[cfg(target_os = "linux")]
    // SAFETY: the chunk is so large.
    unsafe {
        let advice = if large { libc::MADV_HUGEPAGE } else { libc::MADV_NOHUGEPAGE };
        libc::madvise(chunk.cast(), CHUNK, advice)
    };
}

/// Has the system back a chunk with pages now. That it may not know how is no harm.
///
/// # Safety
/// It is a chunk that only the caller has.
pub(super) unsafe fn populate(chunk: *mut u8) {
    #[cfg(target_os = "linux")]
    // SAFETY: the chunk is so large, and what is in it stays.
    unsafe {
        libc::madvise(chunk.cast(), CHUNK, libc::MADV_POPULATE_WRITE)
    };
}

/// # Safety
/// They are whole pages of a chunk, and nobody has anything in them.
pub(super) unsafe fn discard(start: *mut u8, size: usize) {
    // SAFETY: as the caller says.
    unsafe { libc::madvise(start.cast(), size, libc::MADV_DONTNEED) };
}
