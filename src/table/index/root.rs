//! Where readers find the databases.

#![allow(unsafe_code)]

use crate::table::database::Databases;
use crate::table::sharing::{AtomicUsize, Commit, Ordering, Pin};
use std::ptr;

/// The databases that are published. They are exchanged as a whole where one comes, goes or changes
/// places.
#[derive(Debug)]
pub(in crate::table) struct Root {
    /// Their address; the lowest bit is a mark, see [`Commit`].
    word: AtomicUsize,
}

fn word_of(databases: Databases) -> usize {
    Box::into_raw(Box::new(databases)).expose_provenance()
}

impl Default for Root {
    fn default() -> Self {
        Self { word: AtomicUsize::new(word_of(Databases::default())) }
    }
}

impl Root {
    /// For [`Commit`].
    pub(in crate::table) fn word(&self) -> &AtomicUsize {
        &self.word
    }

    /// # Safety
    /// What the word refers to is not dropped while it is used.
    unsafe fn databases<'a>(word: usize) -> &'a Databases {
        // SAFETY: an address without its mark is that of a box that only `exchange` gives away.
        unsafe { &*ptr::with_exposed_provenance(word & !1) }
    }

    /// The databases, and the word that stands for them, if nothing is being done to them.
    #[inline]
    pub(in crate::table) fn at_rest<'a>(&'a self, _: &'a Pin) -> Option<(&'a Databases, usize)> {
        let word = self.word.load(Ordering::Acquire);
        // SAFETY: the reader is pinned, and what is replaced goes into the bin.
        (word & 1 == 0).then(|| (unsafe { Self::databases(word) }, word))
    }

    /// Whether the same stand there.
    #[inline]
    pub(in crate::table) fn is_at_rest(&self, word: usize) -> bool {
        self.word.load(Ordering::Acquire) == word
    }

    /// The databases as readers see them, and the word that stood for them; `None` if the writer
    /// came in the way too often.
    pub(in crate::table) fn get<'a>(
        &'a self,
        _: &'a Pin,
        commit: &Commit,
    ) -> Option<(&'a Databases, usize)> {
        // SAFETY: the reader is pinned, and what is replaced goes into the bin.
        unsafe {
            let word = commit.root(&self.word)?;
            Some((Self::databases(word), word))
        }
    }

    /// Whether readers still see those that this word stood for.
    pub(in crate::table) fn is(&self, word: usize, _: &Pin, commit: &Commit) -> bool {
        // SAFETY: the reader is pinned.
        unsafe { commit.root(&self.word) == Some(word) }
    }

    /// The databases as the writer sees them, or who keeps it from writing.
    pub(in crate::table) fn own(&self) -> &Databases {
        // SAFETY: nobody else exchanges them.
        unsafe { Self::databases(self.word.load(Ordering::Acquire)) }
    }

    /// Puts others in their place, which are marked or not; those from before are for the bin.
    pub(in crate::table) fn exchange(&self, next: Databases, mark: bool) -> Box<Databases> {
        let new = word_of(next) | usize::from(mark);
        let old = self.word.swap(new, Ordering::Release) & !1;
        // SAFETY: it came from a box, and nobody comes to it any more.
        unsafe { Box::from_raw(ptr::with_exposed_provenance_mut(old)) }
    }
}

impl Drop for Root {
    fn drop(&mut self) {
        let databases = ptr::with_exposed_provenance_mut::<Databases>(*self.word.get_mut() & !1);
        // SAFETY: it came from a box, and this was its last owner.
        drop(unsafe { Box::from_raw(databases) });
    }
}
