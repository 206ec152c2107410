//! The slots that hold a program's callbacks, and what it means to exchange one that may be
//! running.

use crate::change::{Change, Gate, Verdict};
use parking_lot::{Condvar, Mutex};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

/// A gate that may be asked from another thread than the one that made it.
pub trait SharedGate: Send + Sync {
    /// Decides on one change.
    fn ask(&self, change: &Change<'_>) -> Verdict;
}

/// Holds the callback in force. Engine threads borrow it for one call, or for as long as it is the
/// one in force.
pub(super) struct Slot<T: ?Sized> {
    held: Mutex<Held<T>>,
    idle: Condvar,
    /// How often the callback was exchanged; changed only under the lock.
    exchanges: AtomicU64,
}

struct Held<T: ?Sized> {
    callback: Option<Arc<T>>,
    /// Who has borrowed the present callback, and who an earlier one: an engine that borrows again
    /// and again must not keep whoever waits for the old one waiting.
    present: usize,
    earlier: usize,
}

impl<T: ?Sized> Default for Slot<T> {
    fn default() -> Self {
        Self {
            held: Mutex::new(Held { callback: None, present: 0, earlier: 0 }),
            idle: Condvar::new(),
            exchanges: AtomicU64::new(0),
        }
    }
}

impl<T: ?Sized> Slot<T> {
    /// Exchanges the callback; returns when the old one can't run any more.
    pub(super) fn replace(&self, callback: Option<Arc<T>>) {
        let mut held = self.held.lock();
        let old = std::mem::replace(&mut held.callback, callback);
        self.exchanges.fetch_add(1, Ordering::Release);
        held.earlier += std::mem::take(&mut held.present);
        while held.earlier > 0 {
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
        held.present += 1;
        let exchanges = self.exchanges.load(Ordering::Relaxed);
        Borrowed { slot: self, callback: held.callback.clone(), exchanges }
    }
}

/// A callback that stays valid until this is dropped.
pub(super) struct Borrowed<'a, T: ?Sized> {
    slot: &'a Slot<T>,
    callback: Option<Arc<T>>,
    exchanges: u64,
}

impl<T: ?Sized> Borrowed<'_, T> {
    /// The callback, if there is one.
    pub(super) fn get(&self) -> Option<&T> {
        self.callback.as_deref()
    }

    /// Gives it back and borrows the one that is in force now, if it is another one. Who keeps it
    /// for long calls this at every border where it may be exchanged.
    #[inline]
    pub(super) fn renew(&mut self) {
        if self.slot.exchanges.load(Ordering::Acquire) != self.exchanges {
            // First: whoever exchanged it may be waiting for just that.
            *self = self.slot.borrow();
        }
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
        let mut held = self.slot.held.lock();
        if self.exchanges == self.slot.exchanges.load(Ordering::Relaxed) {
            held.present -= 1;
        } else {
            held.earlier -= 1;
            self.slot.idle.notify_all();
        }
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
        let mut borrowed = slot.borrow();
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
        // Somebody who has borrowed the new one does not matter.
        let new = slot.borrow();
        borrowed.renew();
        thread.join().unwrap();
        assert_eq!(borrowed.get(), Some(&2), "the old one is still borrowed");
        drop((borrowed, new));
        assert_eq!(slot.borrow().get(), Some(&2));
    }
}
