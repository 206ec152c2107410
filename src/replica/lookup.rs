//! What a program may ask of the table: the one place where readiness, deadlines, filters and what
//! a callback withheld are turned into an answer.
//!
//! Lookups run on the program's own threads. They take no lock, never allocate for a single
//! element, and never wait for the engine.

use super::freshness::Freshness;
use crate::table::{Cursor, Db, Entry, Hold, Reader, Shown};

pub use crate::table::FEW;
use crate::value::{Field, Value};
use std::sync::atomic::{AtomicBool, AtomicU8, Ordering};
use std::sync::{Arc, OnceLock};

pub use super::whole::{Element, Whole};
pub use crate::value::Bytes;
pub use crate::value::Type;
pub use crate::value::{Group, Stream};

/// A clock in milliseconds: the wall clock since 1970, or one that never goes back.
pub type Clock = Box<dyn Fn() -> i64 + Send + Sync>;

/// Whether the options leave this key out.
pub type Excluded = Box<dyn Fn(Db, &[u8]) -> bool + Send + Sync>;

/// What a lookup found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Answer<T> {
    /// It is there.
    Found(T),
    /// It is not there, and the primary does not have it either.
    NotFound,
    /// The key holds another type.
    WrongType,
    /// The primary has it; a callback or an option kept it out of the table.
    Withheld,
    /// No load has been completed yet.
    NotReady,
    /// The data may be older than the option `max-staleness` allows.
    Stale,
    /// The engine was stopped.
    Stopped,
}

impl<T> Answer<T> {
    /// Changes what was found.
    pub fn map<U>(self, f: impl FnOnce(T) -> U) -> Answer<U> {
        self.then(|found| Answer::Found(f(found)))
    }

    fn then<U>(self, f: impl FnOnce(T) -> Answer<U>) -> Answer<U> {
        match self {
            Self::Found(found) => f(found),
            Self::NotFound => Answer::NotFound,
            Self::WrongType => Answer::WrongType,
            Self::Withheld => Answer::Withheld,
            Self::NotReady => Answer::NotReady,
            Self::Stale => Answer::Stale,
            Self::Stopped => Answer::Stopped,
        }
    }
}

/// Whether the table may be read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Readable {
    /// Not before the first load is complete.
    NotYet = 0,
    /// Yes.
    Yes = 1,
    /// No longer: the engine was stopped.
    Stopped = 2,
}

/// Besides what is [`Readable`]: nothing may be too old.
const LIMITED: u8 = 4;

/// What the engine tells the readers. One per replica, shared by all its [`Lookups`].
pub struct View {
    /// What is [`Readable`], and perhaps [`LIMITED`]: all that a lookup asks before it looks.
    gate: AtomicU8,
    hide_expired: AtomicBool,
    excluded: OnceLock<Excluded>,
    now_ms: Clock,
    freshness: Freshness,
}

impl View {
    /// Not readable yet, hides what is expired, excludes nothing, and nothing is too old.
    pub fn new(now_ms: Clock, ticks_ms: Clock) -> Self {
        Self {
            gate: AtomicU8::new(Readable::NotYet as u8),
            hide_expired: AtomicBool::new(true),
            excluded: OnceLock::new(),
            now_ms,
            freshness: Freshness::new(ticks_ms),
        }
    }

    /// How old the data may be.
    pub fn freshness(&self) -> &Freshness {
        &self.freshness
    }

    /// Opens or closes the table for readers.
    pub fn set_readable(&self, readable: Readable) {
        self.change_gate(|gate| Some(gate & LIMITED | readable as u8));
    }

    /// Opens the table for readers, unless it was closed for good at the same moment.
    pub fn let_readers_in(&self) {
        let is_closed = |gate| gate & !LIMITED == Readable::NotYet as u8;
        self.change_gate(|gate| is_closed(gate).then_some(gate | Readable::Yes as u8));
    }

    /// The option `max-staleness`, in milliseconds; 0 for none.
    pub fn set_max_staleness(&self, limit_ms: i64) {
        self.freshness.set_limit(limit_ms);
        let limited = if limit_ms > 0 { LIMITED } else { 0 };
        self.change_gate(|gate| Some(gate & !LIMITED | limited));
    }

    fn change_gate(&self, change: impl Fn(u8) -> Option<u8>) {
        // Release: who is let in sees what was loaded, and the limit.
        let _ = self.gate.fetch_update(Ordering::AcqRel, Ordering::Relaxed, change);
    }

    /// The option `hide-expired`.
    pub fn set_hide_expired(&self, hide: bool) {
        self.hide_expired.store(hide, Ordering::Relaxed);
    }

    /// What the options leave out (`store=none` leaves out everything). Holds from the first call
    /// on; a later one changes nothing, as those options can't change on a running engine.
    pub fn set_excluded(&self, excluded: Excluded) {
        let _ = self.excluded.set(excluded);
    }

    /// Whether readers may look, and if not, what everything answers.
    pub(super) fn open(&self) -> Answer<()> {
        match self.gate.load(Ordering::Acquire) & !LIMITED {
            1 => Answer::Found(()),
            2 => Answer::Stopped,
            _ => Answer::NotReady,
        }
    }

    /// As [`View::open`], for what must not be too old either; a raw view shows what there is.
    fn fresh(&self, raw: bool) -> Answer<()> {
        if self.is_open_to_all() { Answer::Found(()) } else { self.limited(raw) }
    }

    /// Whether readers may look, however old it is.
    #[inline(always)]
    fn is_open_to_all(&self) -> bool {
        self.gate.load(Ordering::Acquire) == Readable::Yes as u8
    }

    #[cold]
    fn limited(&self, raw: bool) -> Answer<()> {
        self.open().then(|()| match raw {
            false if self.freshness.is_stale() => Answer::Stale,
            _ => Answer::Found(()),
        })
    }

    /// The time against which deadlines are held, where they are.
    fn hide_at(&self, raw: bool) -> Option<i64> {
        (!raw && self.hide_expired.load(Ordering::Relaxed)).then(|| (self.now_ms)())
    }

    /// Whether readers no longer see a key: the servers show it up to and including its deadline.
    fn hides(&self, expires_at_ms: Option<i64>, raw: bool) -> bool {
        expires_at_ms.is_some_and(|at| self.hide_at(raw).is_some_and(|now| now > at))
    }

    fn hides_field(&self, field: &Field<'_>) -> bool {
        field.expires_at_ms.is_some()
            && self.hide_at(false).is_some_and(|now| field.is_expired(now))
    }

    #[cold]
    fn absent<T>(&self, db: Db, key: &[u8]) -> Answer<T> {
        match self.excluded.get() {
            Some(excluded) if excluded(db, key) => Answer::Withheld,
            _ => Answer::NotFound,
        }
    }

    /// `f` is told of a string.
    #[inline(never)]
    fn string<R>(&self, found: Shown<'_>, f: impl FnOnce(&[u8], u64) -> R) -> Answer<R> {
        match found.plain() {
            Some(string) if self.hides(string.expires_at_ms, false) => Answer::NotFound,
            Some(string) => Answer::Found(f(string.bytes, string.version)),
            None => found.lend(|entry| {
                self.shown(entry, false).then(|value| match value {
                    Value::String(bytes) => Answer::Found(f(bytes, entry.version)),
                    _ => Answer::WrongType,
                })
            }),
        }
    }

    fn shown<'a>(&self, entry: &'a Entry, raw: bool) -> Answer<&'a Value> {
        if self.hides(entry.expires_at_ms, raw) {
            return Answer::NotFound;
        }
        entry.value.as_ref().map_or(Answer::Withheld, Answer::Found)
    }
}

/// How long a value is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Length {
    /// Bytes of a string, elements of anything else, as far as the table has them.
    pub len: usize,
    /// False where a callback kept elements out.
    pub complete: bool,
}

/// The readers' side of a replica. Any number of threads; cloning is cheap.
#[derive(Clone)]
pub struct Lookups {
    reader: Reader,
    view: Arc<View>,
}

impl Lookups {
    /// Over this table, as this view allows.
    pub fn new(reader: Reader, view: Arc<View>) -> Self {
        Self { reader, view }
    }

    /// The table's own readers, for what concerns all of it.
    pub(super) fn reader(&self) -> &Reader {
        &self.reader
    }

    /// A string, with its version.
    pub fn get<R>(&self, db: Db, key: &[u8], f: impl FnOnce(&[u8], u64) -> R) -> Answer<R> {
        self.view.fresh(false).then(|()| {
            self.reader.read(db, key, |found| match found {
                Some(found) => self.view.string(found, f),
                None => self.view.absent(db, key),
            })
        })
    }

    /// The same where a glance at the table tells, as nearly always; `None` where it does not.
    /// `settle` is for whatever is not simply found.
    #[inline(always)]
    pub fn glance<R>(
        &self,
        db: Db,
        key: &[u8],
        f: impl FnOnce(&[u8], u64) -> R + Copy,
        settle: impl FnOnce(Answer<R>) -> R,
    ) -> Option<R> {
        if !self.view.is_open_to_all() {
            return None;
        }
        let other = |found: Option<Shown<'_>>| {
            settle(match found {
                Some(found) => self.view.string(found, f),
                None => self.view.absent(db, key),
            })
        };
        self.reader.glance(db, key, |string| f(string.bytes, string.version), other)
    }

    /// Many strings as they were at one offset, which is returned.
    pub fn get_many<K: AsRef<[u8]>>(
        &self,
        keys: &[(Db, K)],
        mut f: impl FnMut(usize, Answer<&[u8]>),
    ) -> Answer<i64> {
        self.view.fresh(false).then(|()| {
            let stamp = self.reader.read_many(keys, |at, found| {
                if let Some(string) = found.and_then(Shown::simple) {
                    return f(at, Answer::Found(string.bytes));
                }
                let lacking = match (found, keys.get(at)) {
                    (Some(found), _) => {
                        self.view.string(found, |bytes, _| f(at, Answer::Found(bytes)))
                    }
                    (None, Some((db, key))) => self.view.absent(*db, key.as_ref()),
                    (None, None) => Answer::NotFound,
                };
                if lacking != Answer::Found(()) {
                    f(at, lacking.map(|()| &[][..]));
                }
            });
            Answer::Found(stamp.offset)
        })
    }

    /// Whether the key is there.
    pub fn exists(&self, db: Db, key: &[u8]) -> Answer<()> {
        self.locate(db, key, |_, _| Answer::Found(()))
    }

    /// The key's type.
    pub fn kind(&self, db: Db, key: &[u8]) -> Answer<Type> {
        self.locate(db, key, |_, value| Answer::Found(value.kind()))
    }

    /// The key's deadline in Unix milliseconds.
    pub fn expires_at(&self, db: Db, key: &[u8]) -> Answer<Option<i64>> {
        self.locate(db, key, |entry, _| Answer::Found(entry.expires_at_ms))
    }

    /// Bytes of a string, elements of anything else, counted as the servers count: with fields
    /// whose deadline has passed.
    pub fn len(&self, db: Db, key: &[u8]) -> Answer<Length> {
        self.locate(db, key, |entry, value| {
            Answer::Found(Length { len: value.len(), complete: is_complete(entry, value) })
        })
    }

    /// A field of a hash, with its deadline.
    pub fn hget<R>(
        &self,
        db: Db,
        key: &[u8],
        field: &[u8],
        f: impl FnOnce(&[u8], Option<i64>) -> R,
    ) -> Answer<R> {
        self.locate(db, key, |entry, value| {
            let Value::Hash(hash) = value else { return Answer::WrongType };
            match hash.get(field) {
                Some(found) if self.view.hides_field(&found) => Answer::NotFound,
                Some(found) => Answer::Found(f(found.value, found.expires_at_ms)),
                None => lacking(entry, field),
            }
        })
    }

    /// An element of a list; negative places count from the tail, -1 being the last.
    pub fn element<R>(
        &self,
        db: Db,
        key: &[u8],
        index: i64,
        f: impl FnOnce(&[u8]) -> R,
    ) -> Answer<R> {
        self.locate(db, key, |_, value| {
            let Value::List(list) = value else { return Answer::WrongType };
            let from_head = match usize::try_from(index) {
                Ok(index) => Some(index),
                Err(_) => usize::try_from(index.unsigned_abs())
                    .ok()
                    .and_then(|back| list.len().checked_sub(back)),
            };
            from_head
                .and_then(|at| list.get(at))
                .map_or(Answer::NotFound, |element| Answer::Found(f(element)))
        })
    }

    /// Whether this is a member of a set.
    pub fn contains(&self, db: Db, key: &[u8], member: &[u8]) -> Answer<()> {
        self.locate(db, key, |entry, value| match value {
            Value::Set(set) if set.contains(member) => Answer::Found(()),
            Value::Set(_) => lacking(entry, member),
            _ => Answer::WrongType,
        })
    }

    /// The score of a member of a sorted set.
    pub fn score(&self, db: Db, key: &[u8], member: &[u8]) -> Answer<f64> {
        self.locate(db, key, |entry, value| match value {
            Value::Zset(zset) => {
                zset.score(member).map_or_else(|| lacking(entry, member), Answer::Found)
            }
            _ => Answer::WrongType,
        })
    }

    /// A consistent copy of a whole value into `into`, whose memory is used again. `raw` shows what
    /// is logically expired. Whatever is not found leaves `into` empty.
    pub fn whole(
        &self,
        db: Db,
        key: &[u8],
        raw: bool,
        into: &mut Whole<'_>,
    ) -> crate::error::Result<Answer<()>> {
        into.clear();
        // Cloning takes constant time; the copy itself is made when nothing is kept waiting.
        let found = self.locate_as(db, key, raw, |entry, value| {
            Answer::Found((value.clone(), entry.expires_at_ms, is_complete(entry, value)))
        });
        let mut failed = None;
        let answer = found.map(|(value, expires_at_ms, complete)| {
            let hide_at = match &value {
                Value::Hash(hash) if hash.volatile_len() > 0 => self.view.hide_at(raw),
                _ => None,
            };
            failed = into.fill(&value, expires_at_ms, complete, hide_at).err();
        });
        failed.map_or(Ok(answer), Err)
    }

    /// What the table has of a key, logically expired or not: its value, which later writes leave
    /// as it is, its deadline, and whether it is all that the primary has.
    pub(super) fn raw(&self, db: Db, key: &[u8]) -> Answer<(Value, Option<i64>, bool)> {
        self.locate_as(db, key, true, |entry, value| {
            Answer::Found((value.clone(), entry.expires_at_ms, entry.hold.is_none()))
        })
    }

    /// A walk over the keys of one database, or of all. `raw` shows also keys that are logically
    /// expired or withheld.
    pub fn walk(&self, db: Option<Db>, raw: bool) -> Answer<Walk> {
        self.view.fresh(raw).map(|()| Walk {
            cursor: self.reader.cursor(db),
            view: Arc::clone(&self.view),
            raw,
        })
    }

    /// How many keys one database has, or all of them together, as `DBSIZE` counts: with those
    /// that are logically expired, without those that are withheld.
    pub fn count(&self, db: Option<Db>) -> Answer<usize> {
        self.view.fresh(false).map(|()| match db {
            Some(db) => self.reader.count(db),
            None => self.reader.databases().iter().map(|(_, keys)| keys).sum(),
        })
    }

    fn locate<R>(
        &self,
        db: Db,
        key: &[u8],
        f: impl FnOnce(&Entry, &Value) -> Answer<R>,
    ) -> Answer<R> {
        self.locate_as(db, key, false, f)
    }

    fn locate_as<R>(
        &self,
        db: Db,
        key: &[u8],
        raw: bool,
        f: impl FnOnce(&Entry, &Value) -> Answer<R>,
    ) -> Answer<R> {
        self.view.fresh(raw).then(|()| {
            self.reader
                .read(db, key, |found| {
                    found.map(|found| {
                        found
                            .lend(|entry| self.view.shown(entry, raw).then(|value| f(entry, value)))
                    })
                })
                .unwrap_or_else(|| self.view.absent(db, key))
        })
    }
}

/// What to say of an element that the table does not have.
fn lacking<T>(entry: &Entry, name: &[u8]) -> Answer<T> {
    match &entry.hold {
        // Of a key that stayed as it was, nobody knows what it has by now.
        Some(hold) if hold.frozen || hold.withheld.contains(name) => Answer::Withheld,
        _ => Answer::NotFound,
    }
}

/// Whether the table has every element that the primary has. Elements that are only frozen are
/// there, if with an old content.
fn is_complete(entry: &Entry, value: &Value) -> bool {
    let has = |name: &[u8]| match value {
        Value::Hash(hash) => hash.get(name).is_some(),
        Value::Set(set) => set.contains(name),
        Value::Zset(zset) => zset.score(name).is_some(),
        // The others are withheld as a whole, never by their elements.
        _ => true,
    };
    let all_there = |hold: &Arc<Hold>| hold.withheld.iter().all(|(name, _)| has(name));
    entry.hold.as_ref().is_none_or(all_there)
}

/// A walk over keys: whatever is there from its beginning to its end is met exactly once.
pub struct Walk {
    cursor: Cursor,
    view: Arc<View>,
    raw: bool,
}

impl Walk {
    /// The next key; `NotFound` at the end.
    pub fn advance(&mut self) -> Answer<(Db, Bytes)> {
        self.view.open().then(|()| {
            loop {
                let Some((db, key, entry)) = self.cursor.next() else { return Answer::NotFound };
                let hidden =
                    entry.value.is_none() || self.view.hides(entry.expires_at_ms, self.raw);
                if self.raw || !hidden {
                    return Answer::Found((db, key));
                }
            }
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::table::{Batch, Stamp, Table};
    use crate::value::{Hash, List, Set, Withheld, Zset};
    use std::sync::atomic::AtomicI64;

    /// What the clock of these tests says.
    const NOW_MS: i64 = 1_000;

    struct Bench {
        table: Table,
        view: Arc<View>,
        lookups: Lookups,
        unit: u64,
    }

    fn bytes(text: &str) -> Bytes {
        Bytes::from(text.as_bytes())
    }

    impl Bench {
        fn new() -> Self {
            let table = Table::new(None);
            let view = Arc::new(View::new(Box::new(|| NOW_MS), Box::new(|| 0)));
            view.set_readable(Readable::Yes);
            let lookups = Lookups::new(table.reader(), Arc::clone(&view));
            Self { table, view, lookups, unit: 0 }
        }

        fn put(&mut self, key: &str, value: Option<Value>, at: Option<i64>, hold: Option<Hold>) {
            self.unit += 1;
            let mut batch = Batch::new();
            let hold = hold.map(Arc::new);
            let entry = Entry { value, expires_at_ms: at, version: 0, hold };
            batch.put(&self.table, 0, bytes(key), entry);
            let stamp = Stamp { replid: [b'a'; 40], offset: 70, unit: self.unit };
            self.table.publish(batch, stamp);
        }

        fn string(&self, key: &str) -> Answer<String> {
            self.lookups.get(0, key.as_bytes(), |b, _| String::from_utf8_lossy(b).into_owned())
        }

        fn walked(&self, raw: bool) -> Vec<String> {
            let Answer::Found(mut walk) = self.lookups.walk(None, raw) else { return Vec::new() };
            let mut keys = Vec::new();
            while let Answer::Found((_, key)) = walk.advance() {
                keys.push(String::from_utf8_lossy(&key).into_owned());
            }
            keys.sort();
            keys
        }
    }

    fn withheld(names: &[&str]) -> Hold {
        let withheld: Withheld = names.iter().map(|name| (bytes(name), None)).collect();
        Hold { withheld, ..Hold::default() }
    }

    #[test]
    fn nothing_is_said_about_a_key_before_the_table_is_ready_or_after_it_stopped() {
        let mut bench = Bench::new();
        bench.put("k", Some(Value::string(b"v")), None, None);
        for (readable, wanted) in
            [(Readable::NotYet, Answer::NotReady), (Readable::Stopped, Answer::Stopped)]
        {
            bench.view.set_readable(readable);
            for key in ["k", "absent"] {
                assert_eq!(bench.string(key), wanted.map(|()| String::new()));
            }
            assert_eq!(bench.lookups.count(None), wanted.map(|()| 0));
            assert_eq!(bench.lookups.get_many(&[(0, b"k")], |_, _| ()), wanted.map(|()| 0));
            assert!(bench.lookups.walk(None, true).map(|_| ()) == wanted);
        }
        bench.view.let_readers_in();
        assert_eq!(bench.string("k"), Answer::Stopped, "a load that ends later opens nothing");
        bench.view.set_readable(Readable::NotYet);
        bench.view.let_readers_in();
        assert_eq!(bench.string("k"), Answer::Found("v".into()));
    }

    #[test]
    fn what_may_be_too_old_is_shown_raw_only() {
        let mut bench = Bench::new();
        let ticks = Arc::new(AtomicI64::new(5_000));
        let clock = ticks.clone();
        let view = View::new(Box::new(|| NOW_MS), Box::new(move || clock.load(Ordering::Relaxed)));
        let view = Arc::new(view);
        view.set_readable(Readable::Yes);
        bench.lookups = Lookups::new(bench.table.reader(), Arc::clone(&view));
        bench.put("k", Some(Value::string(b"v")), None, None);
        let freshness = view.freshness();
        view.set_max_staleness(100);
        assert_eq!(freshness.age_ms(), None);
        assert_eq!(bench.string("k"), Answer::Found("v".into()), "nothing is known of its age");
        freshness.set_as_of(4_900);
        assert_eq!(freshness.age_ms(), Some(100));
        assert_eq!(bench.string("k"), Answer::Found("v".into()), "as old as it may be");
        ticks.fetch_add(1, Ordering::Relaxed);
        for key in ["k", "absent"] {
            assert_eq!(bench.string(key), Answer::Stale);
        }
        assert_eq!(bench.lookups.count(None), Answer::Stale);
        assert_eq!(bench.lookups.get_many(&[(0, b"k")], |_, _| ()), Answer::Stale);
        assert!(bench.lookups.walk(None, false).map(|_| ()) == Answer::Stale);
        let mut copy = Whole::default();
        assert_eq!(bench.lookups.whole(0, b"k", false, &mut copy), Ok(Answer::Stale));
        assert_eq!(bench.lookups.whole(0, b"k", true, &mut copy), Ok(Answer::Found(())));
        assert_eq!(bench.walked(true), ["k"]);
        freshness.set_as_of(4_901);
        assert_eq!(bench.string("k"), Answer::Found("v".into()));
        freshness.set_as_of(0);
        view.set_max_staleness(0);
        assert_eq!(bench.string("k"), Answer::Found("v".into()), "nothing is too old");
        view.set_readable(Readable::Stopped);
        assert_eq!(bench.string("k"), Answer::Stopped);
    }

    #[test]
    fn a_key_is_seen_up_to_and_including_its_deadline() {
        let mut bench = Bench::new();
        bench.put("due", Some(Value::string(b"v")), Some(NOW_MS), None);
        bench.put("past", Some(Value::string(b"v")), Some(NOW_MS - 1), None);
        bench.put("ghost-past", None, Some(NOW_MS - 1), None);
        assert_eq!(bench.string("due"), Answer::Found("v".into()));
        assert_eq!(bench.string("past"), Answer::NotFound);
        assert_eq!(bench.string("ghost-past"), Answer::NotFound);
        assert_eq!(bench.walked(false), ["due"]);
        assert_eq!(bench.walked(true), ["due", "ghost-past", "past"]);
        assert_eq!(bench.lookups.count(None), Answer::Found(2));
        let mut whole = Whole::default();
        assert_eq!(bench.lookups.whole(0, b"past", true, &mut whole), Ok(Answer::Found(())));
        assert_eq!(bench.lookups.whole(0, b"past", false, &mut whole), Ok(Answer::NotFound));
        assert_eq!(whole.kind(), None);
        bench.view.set_hide_expired(false);
        assert_eq!(bench.string("past"), Answer::Found("v".into()));
    }

    #[test]
    fn a_field_is_seen_up_to_and_including_its_deadline_but_always_counted() {
        let mut bench = Bench::new();
        let hash: Hash = [("due", Some(NOW_MS)), ("past", Some(NOW_MS - 1)), ("plain", None)]
            .into_iter()
            .map(|(name, at)| (bytes(name), Field { value: b"v", expires_at_ms: at }))
            .collect();
        bench.put("h", Some(Value::Hash(hash)), None, None);
        let hget = |field: &str| bench.lookups.hget(0, b"h", field.as_bytes(), |_, at| at);
        assert_eq!(hget("due"), Answer::Found(Some(NOW_MS)));
        assert_eq!(hget("past"), Answer::NotFound);
        assert_eq!(hget("plain"), Answer::Found(None));
        assert_eq!(
            bench.lookups.len(0, b"h").map(|l| (l.len, l.complete)),
            Answer::Found((3, true))
        );
        let mut whole = Whole::default();
        assert_eq!(bench.lookups.whole(0, b"h", false, &mut whole), Ok(Answer::Found(())));
        assert_eq!(whole.len(), 2);
        assert_eq!(bench.lookups.whole(0, b"h", true, &mut whole), Ok(Answer::Found(())));
        assert_eq!(whole.len(), 3);
    }

    #[test]
    fn what_was_withheld_is_told_apart_from_what_is_not_there() {
        let mut bench = Bench::new();
        bench.put("ghost", None, None, None);
        let set: Set = [bytes("in"), bytes("frozen")].into_iter().collect();
        bench.put("s", Some(Value::Set(set)), None, Some(withheld(&["out", "frozen"])));
        bench.put(
            "only-frozen",
            Some(Value::Set([bytes("m")].into_iter().collect())),
            None,
            Some(withheld(&["m"])),
        );
        bench.view.set_excluded(Box::new(|db, key| db == 5 || key.starts_with(b"tmp:")));
        assert_eq!(bench.string("ghost"), Answer::Withheld);
        assert_eq!(bench.string("tmp:1"), Answer::Withheld);
        assert_eq!(bench.lookups.exists(5, b"k"), Answer::Withheld);
        assert_eq!(bench.string("other"), Answer::NotFound);
        let member = |name: &str| bench.lookups.contains(0, b"s", name.as_bytes());
        assert_eq!(member("in"), Answer::Found(()));
        assert_eq!(member("frozen"), Answer::Found(()));
        assert_eq!(member("out"), Answer::Withheld);
        assert_eq!(member("never"), Answer::NotFound);
        assert_eq!(bench.lookups.len(0, b"s"), Answer::Found(Length { len: 2, complete: false }));
        let frozen = bench.lookups.len(0, b"only-frozen");
        assert_eq!(frozen, Answer::Found(Length { len: 1, complete: true }));
        assert_eq!(bench.lookups.count(None), Answer::Found(2));
        assert_eq!(bench.walked(false), ["only-frozen", "s"]);
    }

    #[test]
    fn every_lookup_refuses_the_wrong_type_and_finds_the_right_one() {
        let mut bench = Bench::new();
        let list: List = ["a", "b", "c"].into_iter().map(bytes).collect();
        let zset: Zset = [(bytes("m"), 1.5)].into_iter().collect();
        bench.put("l", Some(Value::List(list)), None, None);
        bench.put("z", Some(Value::Zset(zset)), Some(NOW_MS + 5), None);
        let look = &bench.lookups;
        let element = |at| look.element(0, b"l", at, |b| String::from_utf8_lossy(b).into_owned());
        assert_eq!(element(0), Answer::Found("a".into()));
        assert_eq!(element(-1), Answer::Found("c".into()));
        assert_eq!(element(-3), Answer::Found("a".into()));
        for outside in [3, -4, i64::MAX, i64::MIN] {
            assert_eq!(element(outside), Answer::NotFound);
        }
        assert_eq!(look.score(0, b"z", b"m"), Answer::Found(1.5));
        assert_eq!(look.score(0, b"z", b"n"), Answer::NotFound);
        assert_eq!(look.kind(0, b"z"), Answer::Found(Type::Zset));
        assert_eq!(look.expires_at(0, b"z"), Answer::Found(Some(NOW_MS + 5)));
        assert_eq!(look.expires_at(0, b"l"), Answer::Found(None));
        assert_eq!(look.score(0, b"l", b"m"), Answer::WrongType);
        assert_eq!(look.contains(0, b"l", b"m"), Answer::WrongType);
        assert_eq!(look.element(0, b"z", 0, |_| ()), Answer::WrongType);
        assert_eq!(look.hget(0, b"z", b"m", |_, _| ()), Answer::WrongType);
        assert_eq!(look.get(0, b"z", |_, _| ()), Answer::WrongType);
    }

    #[test]
    fn many_keys_are_answered_in_order_with_the_offset_they_were_read_at() {
        let mut bench = Bench::new();
        bench.put("a", Some(Value::string(b"1")), None, None);
        bench.put("l", Some(Value::List([bytes("x")].into_iter().collect())), None, None);
        bench.put("old", Some(Value::string(b"x")), Some(0), None);
        let keys: [(Db, &[u8]); 5] = [(0, b"a"), (0, b"none"), (0, b"l"), (3, b"a"), (0, b"old")];
        let mut seen = Vec::new();
        let offset = bench.lookups.get_many(&keys, |at, answer| {
            seen.push((at, answer.map(<[u8]>::to_vec)));
        });
        assert_eq!(offset, Answer::Found(70));
        let wanted = [
            Answer::Found(b"1".to_vec()),
            Answer::NotFound,
            Answer::WrongType,
            Answer::NotFound,
            Answer::NotFound,
        ];
        assert_eq!(seen, wanted.into_iter().enumerate().collect::<Vec<_>>());
    }

    #[test]
    fn a_write_gives_a_key_another_version() {
        let mut bench = Bench::new();
        bench.put("k", Some(Value::string(b"v")), None, None);
        let version = |bench: &Bench| bench.lookups.get(0, b"k", |_, version| version);
        let first = version(&bench);
        bench.put("other", Some(Value::string(b"v")), None, None);
        assert_eq!(version(&bench), first);
        bench.put("k", Some(Value::string(b"w")), None, None);
        assert_ne!(version(&bench), first);
    }
}
