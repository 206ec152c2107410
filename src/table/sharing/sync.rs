//! The atomics of this folder; the model checker puts its own in their place.

pub(crate) use std::hint::spin_loop as pause;
pub(crate) use std::sync::atomic::{
    AtomicBool, AtomicPtr, AtomicU64, AtomicUsize, Ordering, compiler_fence, fence,
};

/// What the writer itself stored last: nobody else stores there. The model checker takes such looks
/// for what they are, and not for steps that others could come between.
pub(crate) trait Own<T> {
    fn own(&self) -> T;
}

impl Own<u64> for AtomicU64 {
    #[inline]
    fn own(&self) -> u64 {
        self.load(Ordering::Relaxed)
    }
}

impl Own<usize> for AtomicUsize {
    #[inline]
    fn own(&self) -> usize {
        self.load(Ordering::Relaxed)
    }
}

impl<T> Own<*mut T> for AtomicPtr<T> {
    #[inline]
    fn own(&self) -> *mut T {
        self.load(Ordering::Relaxed)
    }
}
