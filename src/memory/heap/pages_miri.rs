//! Chunks for Miri, which knows neither how to give a part of a mapping back nor advice about
//! pages. It is told that nothing is in them yet.

#![allow(unsafe_code)]

use super::CHUNK;
use std::alloc::{Layout, alloc, dealloc};
use std::ptr::NonNull;

const LAYOUT: Layout = match Layout::from_size_align(CHUNK, CHUNK) {
    Ok(layout) => layout,
    Err(_) => panic!("a chunk's size is a power of two"),
};

pub(super) fn map() -> Option<NonNull<u8>> {
    #[cfg(test)]
    super::tests::count_mapped(1);
    // SAFETY: it is not empty.
    let chunk = NonNull::new(unsafe { alloc(LAYOUT) })?;
    chunk.as_ptr().expose_provenance();
    Some(chunk)
}

/// # Safety
/// Nobody uses anything of the chunk any more.
pub(super) unsafe fn unmap(chunk: *mut u8) {
    #[cfg(test)]
    super::tests::count_mapped(-1);
    // SAFETY: `map` made it so.
    unsafe { dealloc(chunk, LAYOUT) };
}

pub(super) unsafe fn enlarge(_: *mut u8, _: bool) {}

pub(super) unsafe fn populate(_: *mut u8) {}

pub(super) unsafe fn discard(_: *mut u8, _: usize) {}
