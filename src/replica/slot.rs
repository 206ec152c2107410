//! The slots that hold a program's callbacks, and what it means to exchange one that may be
//! running.

use crate::change::{Change, Gate, Verdict};
use parking_lot::{Condvar, Mutex};
use std::sync::Arc;

/// A gate that may be asked from another thread than the one that made it.
pub trait SharedGate: Send + Sync {
    /// Decides on one change.
    fn ask(&self, change: &Change<'_>) -> Verdict;
}

/// Holds the callback in force. Engine threads borrow it for one unit, or one call, at a time.
pub(super) struct Slot<T: ?Sized> {
    held: Mutex<Held<T>>,
    idle: Condvar,
}

struct Held<T: ?Sized> {
    callback: Option<Arc<T>>,
    borrowed: usize,
}

impl<T: ?Sized> Default for Slot<T> {
    fn default() -> Self {
        Self { held: Mutex::new(Held { callback: None, borrowed: 0 }), idle: Condvar::new() }
    }
}

impl<T: ?Sized> Slot<T> {
    /// Exchanges the callback; returns when the old one can't run any more.
    pub(super) fn replace(&self, callback: Option<Arc<T>>) {
        let mut held = self.held.lock();
        let old = std::mem::replace(&mut held.callback, callback);
        while held.borrowed > 0 {
            self.idle.wait(&mut held);
        }
        drop(held);
        drop(old);
    }

    /// Whether there is one.
    pub(super) fn is_set(&self) -> bool {
        self.held.lock().callback.is_some()
    }

    /// The callback for what begins now. No lock is held while it is borrowed.
    pub(super) fn borrow(&self) -> Borrowed<'_, T> {
        let mut held = self.held.lock();
        held.borrowed += 1;
        Borrowed { slot: self, callback: held.callback.clone() }
    }
}

/// A callback that stays valid until this is dropped.
pub(super) struct Borrowed<'a, T: ?Sized> {
    slot: &'a Slot<T>,
    callback: Option<Arc<T>>,
}

impl<T: ?Sized> Borrowed<'_, T> {
    /// The callback, if there is one.
    pub(super) fn get(&self) -> Option<&T> {
        self.callback.as_deref()
    }
}

impl Gate for Borrowed<'_, dyn SharedGate> {
    fn ask(&mut self, change: &Change<'_>) -> Verdict {
        self.get().map_or(Verdict::Keep, |gate| gate.ask(change))
    }
}

impl<T: ?Sized> Drop for Borrowed<'_, T> {
    fn drop(&mut self) {
        self.callback = None;
        self.slot.held.lock().borrowed -= 1;
        self.slot.idle.notify_all();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::atomic::{AtomicBool, Ordering};

    #[test]
    fn replacing_waits_for_the_old_callback_to_end() {
        let slot: Arc<Slot<u32>> = Arc::default();
        slot.replace(Some(Arc::new(1)));
        let replaced = Arc::new(AtomicBool::new(false));
        let borrowed = slot.borrow();
        let thread = std::thread::spawn({
            let (slot, replaced) = (slot.clone(), replaced.clone());
            move || {
                slot.replace(Some(Arc::new(2)));
                replaced.store(true, Ordering::SeqCst);
            }
        });
        while slot.held.lock().callback.as_deref() != Some(&2) {
            std::thread::yield_now();
        }
        assert!(!replaced.load(Ordering::SeqCst), "returned while the old one was borrowed");
        assert_eq!(borrowed.get(), Some(&1));
        drop(borrowed);
        thread.join().unwrap();
        assert_eq!(slot.borrow().get(), Some(&2));
    }
}
