//! Which keys a unit has looked at or changed, for whoever keeps a record of some of them.

use super::Unit;
use crate::table::Db;
use crate::value::Bytes;
use foldhash::fast::RandomState;
use std::cell::RefCell;
use std::collections::HashSet;

/// Who wants to know what happens to a key.
pub trait Watch {
    /// Whether it is one of those that a record is kept of.
    fn is_watched(&self, db: Db, key: &[u8]) -> bool;
}

/// What a unit has touched that somebody watches.
#[derive(Debug, Default)]
pub struct Touched {
    /// Each key with each command that looked at it or changed it, in the primary's order.
    pub keys: Vec<Touch>,
    /// Databases that were flushed or have changed places.
    pub upheaved: Vec<Db>,
    /// All databases were flushed.
    pub flushed: bool,
    /// By the command in hand, so that each is told once of it.
    by_command: HashSet<(Db, Bytes), RandomState>,
}

/// A command and a key that it has to do with.
#[derive(Clone, Debug)]
pub struct Touch {
    /// The key's database.
    pub db: Db,
    /// Its name.
    pub key: Bytes,
    /// The database that was selected.
    pub selected: Db,
    /// Which command of the unit it was; see [`Unit::set_place`].
    pub place: usize,
}

impl Touched {
    /// Nothing was.
    pub fn is_empty(&self) -> bool {
        self.keys.is_empty() && self.upheaved.is_empty() && !self.flushed
    }
}

/// Somebody who watches, and what the unit has touched so far.
pub(super) struct Watched<'a> {
    by: &'a dyn Watch,
    touched: RefCell<Touched>,
}

impl<'a> Unit<'a> {
    /// From here on what the unit touches is told to [`Unit::take_touched`]: keys that are watched,
    /// and those that become withheld because of a filter.
    pub fn watch(&mut self, by: &'a dyn Watch) {
        self.watched = Some(Box::new(Watched { by, touched: RefCell::default() }));
    }

    /// What was touched since the last call; `None` where nobody watches.
    #[inline]
    pub fn take_touched(&mut self) -> Option<Touched> {
        Some(self.watched.as_mut()?.touched.take())
    }

    /// Which command of the unit comes next.
    pub fn set_place(&mut self, place: usize) {
        self.place = place;
        if let Some(watched) = &mut self.watched {
            watched.touched.get_mut().by_command.clear();
        }
    }

    /// Reading counts as well: a command may do to a value what nobody hears of.
    #[inline]
    pub(super) fn note_touch(&self, db: Db, key: &[u8]) {
        if let Some(watched) =
            self.watched.as_ref().filter(|watched| watched.by.is_watched(db, key))
        {
            self.note(watched, db, key);
        }
    }

    pub(super) fn note_filtered(&self, db: Db, key: &[u8]) {
        if let Some(watched) = &self.watched {
            self.note(watched, db, key);
        }
    }

    pub(super) fn note_upheaval(&self, db: Option<Db>) {
        let Some(watched) = &self.watched else { return };
        let mut touched = watched.touched.borrow_mut();
        match db {
            Some(db) => touched.upheaved.push(db),
            None => touched.flushed = true,
        }
    }

    fn note(&self, watched: &Watched<'_>, db: Db, key: &[u8]) {
        let mut touched = watched.touched.borrow_mut();
        let (selected, place, key) = (self.db, self.place, Bytes::from(key));
        if touched.by_command.insert((db, key.clone())) {
            touched.keys.push(Touch { db, key, selected, place });
        }
    }
}
