//! The seats of this process: one a thread, whatever tables it reads.

use super::epoch::{Readers, Seat};
use super::sync::{Ordering, fence};
use std::cell::Cell;
use std::marker::PhantomData;
use std::sync::OnceLock;

static READERS: OnceLock<Readers> = OnceLock::new();

/// Whom a writer has to wait for.
pub(crate) fn readers() -> &'static Readers {
    READERS.get_or_init(Readers::new)
}

/// In a forked child: whoever was reading is not there, and nobody changes what they read. Else the
/// child's own tables would wait for them for ever. Touches nothing but atomics.
pub(in crate::table) fn forked() {
    if let Some(readers) = READERS.get() {
        readers.forget();
    }
}

thread_local! {
    /// This thread's seat, once it has read anything. Nothing has to be asked before it is looked
    /// at, as it has no destructor: what ends with the thread is beside it.
    static SEAT: Cell<Option<&'static Seat>> = const { Cell::new(None) };
    static KEEPER: Keeper = const { Keeper };
}

/// Gives up its thread's seat when the thread ends.
struct Keeper;

impl Drop for Keeper {
    fn drop(&mut self) {
        if let Some(seat) = SEAT.take() {
            seat.give_up();
        }
    }
}

/// As long as it is there, nothing is given back that its thread may have come to.
#[derive(Debug)]
pub(crate) struct Pin {
    /// `None` where this thread was reading already.
    seat: Option<&'static Seat>,
    /// The seat was taken for this once: the thread is ending.
    is_passing: bool,
    /// It belongs to this thread.
    here: PhantomData<*const ()>,
}

/// Begins to read. `fenced`: where writers pass no barrier for all threads.
#[inline]
pub(crate) fn pin(fenced: bool) -> Pin {
    pin_at_once(fenced).unwrap_or_else(|| pin_otherwise(fenced))
}

/// The same for a thread that has read before, and is not reading.
#[inline(always)]
pub(crate) fn pin_at_once(fenced: bool) -> Option<Pin> {
    let seat = SEAT.get().filter(|seat| !seat.is_reading())?;
    seat.enter(fenced);
    Some(Pin { seat: Some(seat), is_passing: false, here: PhantomData })
}

#[cold]
fn pin_otherwise(fenced: bool) -> Pin {
    // Fails in a thread that is ending: nobody would give up what it takes now.
    let own = KEEPER.try_with(|_| {
        SEAT.get().unwrap_or_else(|| {
            let seat = readers().take_seat();
            SEAT.set(Some(seat));
            seat
        })
    });
    let is_passing = own.is_err();
    let seat = own.unwrap_or_else(|_| readers().take_seat());
    if seat.is_reading() {
        // The older announcement stands; but it may have been made for a table without fences.
        fence(Ordering::SeqCst);
        return Pin { seat: None, is_passing, here: PhantomData };
    }
    seat.enter(fenced);
    Pin { seat: Some(seat), is_passing, here: PhantomData }
}

impl Drop for Pin {
    #[inline]
    fn drop(&mut self) {
        match self.seat {
            Some(seat) if self.is_passing => seat.give_up(),
            Some(seat) => seat.leave(),
            None => {}
        }
    }
}

/// The same for longer than a function, and for any thread.
#[derive(Debug)]
pub(crate) struct Hold(&'static Seat);

impl Hold {
    /// From now on.
    pub(crate) fn new() -> Self {
        let seat = readers().take_seat();
        seat.enter(true);
        Self(seat)
    }
}

impl Drop for Hold {
    fn drop(&mut self) {
        self.0.give_up();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::table::sharing::Bin;

    fn readers() -> &'static Readers {
        Box::leak(Box::new(Readers::new()))
    }

    #[test]
    fn in_a_forked_child_nobody_waits_for_who_was_reading() {
        let readers = readers();
        let seat = readers.take_seat();
        let mut bin = Bin::default();
        seat.enter(true);
        bin.put((), 1);
        assert_eq!(bin.sort_out(readers, None).len(), 0);
        readers.forget();
        assert_eq!(bin.sort_out(readers, None), [[()]]);
        let other = readers.take_seat();
        assert!(!std::ptr::eq(seat, other), "its owner may be here");
    }

    #[test]
    fn nothing_is_given_back_where_the_barrier_fails() {
        let mut bin = Bin::default();
        bin.put((), 1);
        assert_eq!(bin.sort_out(readers(), Some(|| false)).len(), 0);
        assert_eq!(bin.sort_out(readers(), Some(|| true)).len(), 1);
    }

    #[test]
    fn what_waits_for_a_reader_is_looked_at_again_less_and_less_often() {
        let readers = readers();
        let seat = readers.take_seat();
        let mut bin = Bin::default();
        seat.enter(true);
        bin.put((), 1 << 20);
        assert!(bin.is_full());
        let mut looks = 1;
        assert_eq!(bin.sort_out(readers, None).len(), 0);
        for _ in 0..5000 {
            if bin.is_left_full() {
                assert_eq!(bin.sort_out(readers, None).len(), 0);
                looks += 1;
            }
        }
        assert!((10..50).contains(&looks), "{looks}");
        seat.leave();
        bin.hurry();
        assert!(bin.is_left_full() && bin.sort_out(readers, None).len() == 1);
        assert!(!bin.is_full() && !(0..5000).any(|_| bin.is_left_full()));
    }
}
