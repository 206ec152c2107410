//! The atomics of this folder; the model checker puts its own in their place.

pub(crate) use std::hint::spin_loop as pause;
pub(crate) use std::sync::atomic::{
    AtomicBool, AtomicPtr, AtomicU64, AtomicUsize, Ordering, compiler_fence, fence,
};
