//! The heap of what belongs to no table: nodes of large aggregates, which tables, copies and edits
//! share.

use super::{Heap, class};
use std::ptr::{self, NonNull};
use std::sync::atomic::{AtomicPtr, Ordering};

/// Made when it is needed first; it stays.
static COMMON: AtomicPtr<Heap> = AtomicPtr::new(ptr::null_mut());

/// A piece of it, as [`Heap::take`]; `None` also in a forked child, where another thread may have
/// been changing it.
#[inline]
pub(in crate::memory) fn take(size: usize) -> Option<NonNull<u8>> {
    let class = class::of(size)?;
    // SAFETY: what is there stays.
    let heap = unsafe { COMMON.load(Ordering::Acquire).as_ref() }.unwrap_or_else(make);
    let inner = heap.0.0;
    if inner.is_foreign() {
        return None;
    }
    inner.state.lock().take(inner, class)
}

#[cold]
fn make() -> &'static Heap {
    let own = Box::into_raw(Box::new(Heap::new()));
    let none = ptr::null_mut();
    // Who comes first makes it. Without a lock, which a forked child might wait for.
    match COMMON.compare_exchange(none, own, Ordering::AcqRel, Ordering::Acquire) {
        // SAFETY: it stays.
        Ok(_) => unsafe { &*own },
        // SAFETY: nobody has seen ours, and the other one stays.
        Err(other) => unsafe {
            drop(Box::from_raw(own));
            &*other
        },
    }
}
