//! What readers and the writer of the table share, run in every order in which two threads can meet
//! there, and with every value that the orderings of memory allow a load to return.
//!
//! The files are those of the library; only the atomics are the model checker's.

#![allow(dead_code)]
#![cfg(test)]

#[path = "../../../src/table/sharing/bucket.rs"]
mod bucket;
#[path = "../../../src/table/sharing/commit.rs"]
mod commit;
#[path = "../../../src/table/sharing/epoch.rs"]
mod epoch;
#[path = "../../../src/table/sharing/stamp.rs"]
mod stamp;

/// The model checker's own.
mod sync {
    pub(crate) use loom::sync::atomic::{
        AtomicBool, AtomicPtr, AtomicU64, AtomicUsize, Ordering, fence,
    };
    pub(crate) use loom::thread::yield_now as pause;

    /// Compilers are not part of the model.
    pub(crate) fn compiler_fence(_: Ordering) {}

    /// A load would hide from the model checker that somebody looked there before.
    pub(crate) trait Own<T> {
        fn own(&self) -> T;
    }

    impl Own<u64> for AtomicU64 {
        fn own(&self) -> u64 {
            // SAFETY: nobody else stores there.
            unsafe { self.unsync_load() }
        }
    }

    impl Own<usize> for AtomicUsize {
        fn own(&self) -> usize {
            // SAFETY: nobody else stores there.
            unsafe { self.unsync_load() }
        }
    }

    impl<T> Own<*mut T> for AtomicPtr<T> {
        fn own(&self) -> *mut T {
            // SAFETY: nobody else stores there.
            unsafe { self.unsync_load() }
        }
    }
}

mod models;

/// A reader that is out of patience makes the writer pause, which is not part of the model: few
/// attempts are enough to see all there is.
const PATIENCE: usize = 3;
