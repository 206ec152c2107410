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
    /// How often the callback was exchanged.
    exchanges: u64,
    /// Who has borrowed the present callback, and who an earlier one: an engine that borrows again
    /// and again must not keep whoever waits for the old one waiting.
    present: usize,
    earlier: usize,
}

impl<T: ?Sized> Default for Slot<T> {
    fn default() -> Self {
        Self {
            held: Mutex::new(Held { callback: None, exchanges: 0, present: 0, earlier: 0 }),
            idle: Condvar::new(),
        }
    }
}

impl<T: ?Sized> Slot<T> {
    /// Exchanges the callback; returns when the old one can't run any more.
    pub(super) fn replace(&self, callback: Option<Arc<T>>) {
        let mut held = self.held.lock();
        let old = std::mem::replace(&mut held.callback, callback);
        held.exchanges += 1;
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
        Borrowed { slot: self, callback: held.callback.clone(), exchanges: held.exchanges }
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
        if self.exchanges == held.exchanges {
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
        // Somebody who has borrowed the new one does not matter.
        let new = slot.borrow();
        drop(borrowed);
        thread.join().unwrap();
        drop(new);
        assert_eq!(slot.borrow().get(), Some(&2));
    }
}
