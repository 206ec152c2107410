//! A few words that belong together, and the moments at which no unit is being published.

use super::PATIENCE;
use super::sync::{AtomicU64, Ordering, Own, fence, pause};

/// How many units have taken something away.
///
/// Something that is there twice at the same place was there all the time, for its place is not
/// used again while somebody reads. What is twice not there may have been there in between: unless
/// nothing was taken away meanwhile.
#[derive(Debug)]
pub(crate) struct Removals(AtomicU64);

impl Removals {
    /// None yet.
    pub(crate) fn new() -> Self {
        Self(AtomicU64::new(0))
    }

    /// Said before anybody can miss what goes.
    pub(crate) fn begin(&self) {
        // Release: who is told of it sees what was there before.
        self.0.store(self.0.own() + 1, Ordering::Release);
    }

    pub(crate) fn count(&self) -> u64 {
        self.0.load(Ordering::Acquire)
    }
}

/// How many words.
pub(crate) const WORDS: usize = 7;

/// Words that the writer changes together with the data. The count is odd while it does.
#[derive(Debug)]
pub(crate) struct SeqLock {
    count: AtomicU64,
    words: [AtomicU64; WORDS],
}

impl SeqLock {
    /// With these words.
    pub(crate) fn new(words: [u64; WORDS]) -> Self {
        Self { count: AtomicU64::new(0), words: words.map(AtomicU64::new) }
    }

    /// Reads with `read` what the writer changes between [`SeqLock::begin`] and [`SeqLock::end`];
    /// `None` if it was always changing something.
    pub(crate) fn read<R>(&self, mut read: impl FnMut(&[AtomicU64; WORDS]) -> R) -> Option<R> {
        for _ in 0..PATIENCE {
            if let Some(found) = self.read_at_rest(&mut read) {
                return Some(found);
            }
            pause();
        }
        None
    }

    /// The same, if the writer changed nothing from the beginning to the end of `read`.
    #[inline]
    pub(crate) fn read_at_rest<R>(&self, read: impl FnOnce(&[AtomicU64; WORDS]) -> R) -> Option<R> {
        let before = self.count.load(Ordering::Acquire);
        if !before.is_multiple_of(2) {
            return None;
        }
        let found = read(&self.words);
        // Nothing that was read moves behind the second look at the count.
        fence(Ordering::Acquire);
        // Acquire: nor does what the caller reads afterwards move before it.
        (self.count.load(Ordering::Acquire) == before).then_some(found)
    }

    /// The words, for who keeps the writer from writing.
    pub(crate) fn words(&self) -> &[AtomicU64; WORDS] {
        &self.words
    }

    /// What follows belongs together.
    pub(crate) fn begin(&self) {
        self.count.store(self.count.own() + 1, Ordering::Relaxed);
        // Who sees anything that is stored from here on sees that the count was odd.
        fence(Ordering::Release);
    }

    /// It is complete.
    pub(crate) fn end(&self, words: [u64; WORDS]) {
        for (place, word) in self.words.iter().zip(words) {
            place.store(word, Ordering::Relaxed);
        }
        self.count.store(self.count.own() + 1, Ordering::Release);
    }
}
