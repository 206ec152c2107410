//! Where the data lives and how readers see it: one writer, any number of readers.
//!
//! The writer prepares a unit of writes in a [`Batch`] and publishes it: [`Reader::read_many`],
//! [`Reader::snapshot`] and the sums see all of a unit or nothing of it. A new dataset is built
//! aside as a [`Generation`] and takes the old one's place in one step.
//!
//! # Readers and the writer
//!
//! Readers take no lock, allocate nothing and write nothing but a seat of their own, by which they
//! announce that they read. What the writer replaces goes into a bin until nobody reads who may
//! have come to it (`sharing/epoch.rs`). A unit of one key is one store; a larger one is marked
//! wherever it changes something, and one store commits it (`sharing/commit.rs`). Where the data
//! belongs to the history, and the sums, change between two counts (`sharing/stamp.rs`): a reader
//! of several keys looks at them, at the stamp, and at the keys again, and what was the same before
//! and after is what the stamp stands for, if nothing went that it may have missed.
//!
//! Whoever finds the writer in the way too often, and who makes a copy of everything, locks
//! `writing`, which the writer holds while it publishes. Nothing else is locked under it, and
//! nothing is dropped.

mod batch;
mod cursor;
mod database;
mod entry;
mod fill;
mod generation;
mod index;
mod layout;
mod publish;
mod reader;
mod sharing;
#[cfg(test)]
mod tests;

pub use batch::{Batch, Made, version};
pub use cursor::Cursor;
pub use database::Db;
pub use entry::{Counts, Entry, Hold};
pub use fill::Fill;
pub use generation::{Generation, Place};
pub use index::{Plain, SLOT_BYTES, Shown};
pub use layout::{Key, Supply};
pub use reader::{Entries, FEW, Reader};

use crate::memory::{self, Hand};
use crate::value::Bytes;
use database::{Databases, Sums};
use index::{From, Glance, Gone, Root, Stored};
use layout::Layout;
use parking_lot::{Mutex, MutexGuard};
use sharing::{
    AtomicU64, AtomicUsize, Bin, Commit, Ordering, Pending, Pin, Removals, SeqLock, WORDS,
};
use std::collections::HashSet;
use std::sync::Arc;

/// The place in the primary's history that the data stands for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Stamp {
    /// The primary's replication id; 40 zeros while none is known.
    pub replid: [u8; 40],
    /// The offset in it; -1 while it is not known.
    pub offset: i64,
    /// Counts units. The versions of the entries that are published with it come from it.
    pub unit: u64,
}

impl Default for Stamp {
    fn default() -> Self {
        Self { replid: [b'0'; 40], offset: -1, unit: 0 }
    }
}

impl Stamp {
    fn words(&self) -> [u64; WORDS] {
        let mut words = [0; WORDS];
        let (ids, rest) = words.split_at_mut(5);
        for (word, bytes) in ids.iter_mut().zip(self.replid.chunks_exact(8)) {
            *word = bytes.first_chunk().map_or(0, |bytes| u64::from_le_bytes(*bytes));
        }
        rest.copy_from_slice(&[self.offset as u64, self.unit]);
        words
    }

    fn of(words: [u64; WORDS]) -> Self {
        let [ids @ .., offset, unit] = words;
        let mut replid = [0; 40];
        for (bytes, word) in replid.chunks_exact_mut(8).zip(ids) {
            bytes.copy_from_slice(&word.to_le_bytes());
        }
        Self { replid, offset: offset as i64, unit }
    }
}

/// What the writer and the readers share.
#[derive(Debug)]
struct Shared {
    layout: Layout,
    root: Root,
    commit: Commit,
    stamp: SeqLock,
    /// Of keys; not of databases, which come and go with the root.
    removals: Removals,
    /// Over all databases. They change only together with the stamp.
    sums: Sums,
    writing: Mutex<Writing>,
    /// How many copies of everything there are.
    copies: AtomicUsize,
    /// Makes all threads of the process pass a barrier; without it, readers have one each.
    barrier: Option<fn() -> bool>,
}

/// What only one thread at a time uses.
#[derive(Debug, Default)]
struct Writing {
    bin: Bin<Waste>,
    /// The number of the last copy of everything that was made.
    copy: u64,
    /// There was a copy when the bin was last thought of.
    held: bool,
}

/// What readers may still be looking at.
#[derive(Debug)]
enum Waste {
    Stored(Stored),
    Index(#[expect(dead_code, reason = "it is dropped")] Gone),
    Pending(#[expect(dead_code, reason = "it is dropped")] Box<Pending>),
    Databases(#[expect(dead_code, reason = "it is dropped")] Box<Databases>),
}

/// The writer was in the way too often.
struct Obstructed;

impl Shared {
    fn pin(&self) -> Pin {
        sharing::pin(self.barrier.is_none())
    }

    #[inline(always)]
    fn pin_at_once(&self) -> Option<Pin> {
        sharing::pin_at_once(self.barrier.is_none())
    }

    /// What nearly all lookups come to, in as few steps as can be, so that processors begin the
    /// next lookup before this one's memory has come: a simple string under a key of usual length.
    #[inline(always)]
    fn glance<'a>(&'a self, pin: &'a Pin, db: Db, key: &[u8]) -> Result<Plain<'a>, Glance<'a>> {
        let hash = self.layout.hash(key);
        let (databases, root) = self.root.at_rest(pin).ok_or(Glance::Unsure)?;
        // Else a place that was found under one number may have got the content of another.
        let stands = || self.root.is_at_rest(root);
        let told = match databases.get(db) {
            Some(database) => database.index.glance(pin, hash, key, stands),
            None => Err(Glance::Unsure),
        };
        told.map_err(|lacking| match lacking {
            Glance::Unsure => self.look(pin, db, hash, key),
            told => told,
        })
    }

    /// The same for the few that are not where a glance falls, as long as the writer is elsewhere.
    #[inline(never)]
    fn look<'a>(&'a self, pin: &'a Pin, db: Db, hash: u64, key: &[u8]) -> Glance<'a> {
        match self.find_at_rest(pin, db, hash, |shown| shown.has_key(key)) {
            Some(Some(found)) => Glance::Other(found),
            Some(None) => Glance::Absent,
            None => Glance::Unsure,
        }
    }

    /// What is stored for a key that is `wanted`.
    #[inline(always)]
    fn find<'a>(
        &'a self,
        pin: &'a Pin,
        db: Db,
        hash: u64,
        wanted: impl Fn(Shown<'a>) -> bool,
    ) -> Result<Option<Shown<'a>>, Obstructed> {
        match self.find_at_rest(pin, db, hash, &wanted) {
            Some(found) => Ok(found),
            None => self.find_in_motion(pin, db, hash, wanted),
        }
    }

    /// The same where the writer is elsewhere; the outer `None` if that does not tell.
    #[inline(always)]
    fn find_at_rest<'a>(
        &'a self,
        pin: &'a Pin,
        db: Db,
        hash: u64,
        wanted: impl Fn(Shown<'a>) -> bool,
    ) -> Option<Option<Shown<'a>>> {
        let (databases, root) = self.root.at_rest(pin)?;
        let found = match databases.get(db) {
            Some(database) => database.index.find_at_rest(pin, hash, wanted)?,
            None => None,
        };
        // Else a place that was found under one number may have got the content of another.
        self.root.is_at_rest(root).then_some(found)
    }

    #[cold]
    fn find_in_motion<'a>(
        &'a self,
        pin: &'a Pin,
        db: Db,
        hash: u64,
        wanted: impl Fn(Shown<'a>) -> bool,
    ) -> Result<Option<Shown<'a>>, Obstructed> {
        for _ in 0..sharing::PATIENCE {
            let (databases, root) = self.root.get(pin, &self.commit).ok_or(Obstructed)?;
            let Some(database) = databases.get(db) else { return Ok(None) };
            let found = database.index.find(pin, hash, &self.commit, &wanted).ok_or(Obstructed)?;
            if self.root.is(root, pin, &self.commit) {
                return Ok(found);
            }
        }
        Err(Obstructed)
    }

    /// As above, however busy the writer is.
    fn get<'a>(&'a self, pin: &'a Pin, db: Db, key: &[u8]) -> Option<Shown<'a>> {
        let hash = self.layout.hash(key);
        self.find(pin, db, hash, |shown| shown.has_key(key)).unwrap_or_else(|Obstructed| {
            let _writing = self.writing.lock();
            self.own_get(db, hash, key)
        })
    }

    /// The same for the writer, or for who keeps it from writing.
    fn own_get(&self, db: Db, hash: u64, key: &[u8]) -> Option<Shown<'_>> {
        self.root.own().get(db)?.index.own_get(hash, key)
    }

    fn stamp(&self) -> Stamp {
        self.consistent(stamp_of)
    }

    /// Reads what changes only together with the stamp.
    fn consistent<R>(&self, read: impl Fn(&[AtomicU64; WORDS]) -> R) -> R {
        self.stamp.read(&read).unwrap_or_else(|| {
            let _writing = self.writing.lock();
            read(self.stamp.words())
        })
    }

    fn counts(&self) -> Counts {
        self.consistent(|_| self.sums.get())
    }

    /// A step of a walk: the entries of the next database from this one on, from a place in it on,
    /// and how it goes on there.
    fn copy_some(
        &self,
        from: Db,
        to: Db,
        place: From,
    ) -> Option<(Db, Vec<cursor::Item>, Option<From>)> {
        let pin = self.pin();
        let mut lock: Option<MutexGuard<'_, Writing>> = None;
        loop {
            // Without the writer in the way, the first attempt is the last.
            let Some((databases, root)) = self.root.get(&pin, &self.commit) else {
                lock = Some(self.writing.lock());
                continue;
            };
            let (db, database) = databases.first_from(from).filter(|(db, _)| *db <= to)?;
            // The database where the walk was may have gone: then the next begins at its start.
            let place = if *db == from { place } else { From(0) };
            let began = self.stamp();
            match database.index.walk(&pin, place, &self.layout, &self.commit) {
                Some((all, next)) if self.root.is(root, &pin, &self.commit) => {
                    let mut items: Vec<cursor::Item> = all.into_iter().map(Shown::item).collect();
                    if self.stamp() != began {
                        // What went and came again may have been found in both places.
                        let mut seen = HashSet::with_capacity(items.len());
                        items.retain(|(key, _)| seen.insert(key.clone()));
                    }
                    return Some((*db, items, next));
                }
                _ if lock.is_none() => lock = Some(self.writing.lock()),
                _ => {}
            }
        }
    }
}

fn stamp_of(words: &[AtomicU64; WORDS]) -> Stamp {
    Stamp::of(words.each_ref().map(|word| word.load(Ordering::Relaxed)))
}

/// To be called in a forked child: readers there were in other threads are not waited for. May be
/// called where little else may.
pub fn forked() {
    sharing::forked();
    memory::forked();
}

/// The writer's side. There is one, and whoever owns it is the only one who changes anything.
#[derive(Debug)]
pub struct Table {
    shared: Arc<Shared>,
    hand: Hand,
}

/// A key that the writer is going to look at; see [`Table::foresee`].
#[derive(Clone, Copy, Debug, Default)]
pub struct Foreseen {
    hash: u64,
}

impl Foreseen {
    /// The key again, which has to be the same.
    #[inline]
    pub fn key(self, bytes: &[u8]) -> Key<'_> {
        Key { bytes, hash: self.hash }
    }
}

impl Table {
    /// An empty table. `barrier` makes all threads of the process pass a full barrier of memory,
    /// and says whether it did; without one, each lookup has to.
    pub fn new(barrier: Option<fn() -> bool>) -> Self {
        let shared = Shared {
            layout: Layout::default(),
            root: Root::default(),
            commit: Commit::default(),
            stamp: SeqLock::new(Stamp::default().words()),
            removals: Removals::new(),
            sums: Sums::default(),
            writing: Mutex::default(),
            copies: AtomicUsize::new(0),
            barrier,
        };
        Self { hand: Hand::new(&shared.layout.heap), shared: Arc::new(shared) }
    }

    /// A reader. It outlives the table and goes on seeing what was published last.
    pub fn reader(&self) -> Reader {
        Reader::new(Arc::clone(&self.shared))
    }

    /// What a key has.
    pub fn get(&self, db: Db, key: &[u8]) -> Option<Entry> {
        self.own(db, self.key(key)).map(Shown::entry)
    }

    /// The same, lent.
    pub fn look<R>(&self, db: Db, key: &[u8], look: impl FnOnce(Option<&Entry>) -> R) -> R {
        match self.own(db, self.key(key)) {
            Some(shown) => shown.lend(|entry| look(Some(entry))),
            None => look(None),
        }
    }

    /// The key as it is stored, to be shared, and what it has.
    pub fn item(&self, db: Db, key: &[u8]) -> Option<(Bytes, Entry)> {
        self.own(db, self.key(key)).map(Shown::item)
    }

    /// A key of this table.
    pub fn key<'k>(&self, bytes: &'k [u8]) -> Key<'k> {
        Key { bytes, hash: self.shared.layout.hash(bytes) }
    }

    #[inline]
    fn own(&self, db: Db, key: Key<'_>) -> Option<Shown<'_>> {
        debug_assert_eq!(key.hash, self.shared.layout.hash(key.bytes), "a key of another table");
        self.shared.own_get(db, key.hash, key.bytes)
    }

    /// The writer is going to look at a key: what leads to it is fetched from main memory. This and
    /// [`Table::fetch`] are only hints.
    #[inline]
    pub fn foresee(&self, db: Db, key: &[u8]) -> Foreseen {
        let hash = self.shared.layout.hash(key);
        if let Some(database) = self.shared.root.own().get(db) {
            database.index.own_fetch(hash);
        }
        Foreseen { hash }
    }

    /// It is going to soon, and what leads to it is there by now: what is stored is fetched.
    #[inline]
    pub fn fetch(&self, db: Db, foreseen: Foreseen) {
        if let Some(database) = self.shared.root.own().get(db) {
            database.index.own_fetch_stored(foreseen.hash);
        }
    }

    /// It is going to in a moment: the rest of it is fetched.
    #[inline]
    pub fn fetch_rest(&self, db: Db, foreseen: Foreseen) {
        if let Some(database) = self.shared.root.own().get(db) {
            database.index.own_fetch_rest(foreseen.hash);
        }
    }

    /// Puts all of a unit in place. Readers that ask for several keys see all of it or nothing.
    pub fn publish(&mut self, batch: Batch, stamp: Stamp) {
        publish::publish(&self.shared, &self.hand, batch, stamp);
    }

    /// The place in the history moves though no data changed.
    pub fn stamp(&mut self, stamp: Stamp) {
        publish::stamp(&self.shared, &self.hand, stamp);
    }

    /// Whether anything that was replaced waits for [`Table::tidy`].
    pub fn is_untidy(&self) -> bool {
        let has_spare = self.shared.layout.heap.has_spare();
        has_spare || !self.hand.is_empty() || !self.shared.writing.lock().bin.is_empty()
    }

    /// Gives back what was replaced, as far as nobody looks at it. Publishing does that by itself
    /// as things pile up; this is for what is left when nothing more comes: little by itself, but
    /// it may lie in many places.
    pub fn tidy(&mut self) {
        publish::tidy(&self.shared, &self.hand);
        self.shared.layout.heap.drop_spare();
    }

    /// For whoever gets memory for it ahead.
    pub fn supply(&self) -> Supply {
        Supply(self.shared.layout.heap.clone())
    }

    /// So many keys will come into a database: it does not have to grow for them.
    pub fn make_room(&mut self, db: Db, keys: usize) {
        publish::make_room(&self.shared, db, keys);
    }

    /// Takes in new keys that nobody is looking for yet.
    pub fn fill(&mut self, stamp: Stamp) -> Fill<'_> {
        Fill::new(&self.shared, &self.hand, stamp)
    }

    /// An empty dataset, to be built aside.
    pub fn generation(&self) -> Generation {
        Generation::new(self.shared.layout.clone(), self.shared.writing.lock().copy)
    }

    /// Readers move over to another dataset in one step. It was made by this table.
    pub fn replace(&mut self, next: Generation, stamp: Stamp) {
        debug_assert!(next.layout.is_same(&self.shared.layout), "a generation of another table");
        publish::replace(&self.shared, &self.hand, next.databases, stamp);
    }

    /// A walk over all entries. It borrows nothing: the table may be changed while it goes on.
    pub fn entries(&self) -> Cursor {
        self.reader().cursor(None)
    }

    /// An estimate of the memory that all entries take, in bytes.
    pub fn memory(&self) -> usize {
        self.shared.sums.memory()
    }
}
