//! What readers and the writer touch at the same time: the only part of the table where orderings
//! of memory matter, and all of it. It knows neither keys nor values: slots hold words.
//!
//! Readers never wait for the writer and write nothing but their own seat. The model checker in
//! `tests/orderings` goes through every order in which these files can be run.

mod bucket;
mod commit;
mod epoch;
mod seats;
mod stamp;
mod sync;

pub(super) use bucket::{Bucket, SLOTS, tag_of};
pub(super) use commit::{Commit, Pending};
pub(super) use epoch::Bin;
pub(super) use seats::{Hold, Pin, forked, pin, pin_at_once, readers};
pub(super) use stamp::{Removals, SeqLock, WORDS};
pub(super) use sync::{AtomicU64, AtomicUsize, Ordering};

/// A reader that found the writer in its way so often asks it to pause: far more often than chance
/// would have it, and soon enough not to be felt.
pub(super) const PATIENCE: usize = 100;
