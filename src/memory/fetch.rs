//! What is not in a cache, asked for before it is looked at.

#![allow(unsafe_code)]

/// Has the processor fetch the line at this address, be there something or not.
#[inline]
pub fn fetch(address: usize) {
    #[cfg(target_arch = "x86_64")]
    // SAFETY: it is only a hint; nothing is read.
    unsafe {
        use std::arch::x86_64::{_MM_HINT_T0, _mm_prefetch};
        _mm_prefetch::<_MM_HINT_T0>(std::ptr::without_provenance(address));
    }
    #[cfg(not(target_arch = "x86_64"))]
    let _ = address;
}
