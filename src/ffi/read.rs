//! Lookups of one thing at a time, and of many strings at one moment.

use super::convert::{Out, OutBuf, bytes, database, handle};
use super::guard::{Outcome, guard};
use super::life::rets_t;
use super::status::{Failure, rets_status, settle};
use super::value::rets_type_id;
use crate::replica::{Answer, FEW};
use smallvec::SmallVec;
use std::ffi::c_void;

/// Copies the value of a string.
///
///     size_t len, room = sizeof small;
///     char small[256], *buf = small;
///     while ((st = rets_get(r, 0, key, key_len, buf, room, &len)) == RETS_TOO_SMALL)
///         buf = grow(buf, room = len);      // a loop: it may have grown meanwhile
///
/// @param[in]  r        the handle
/// @param[in]  db       the database's number
/// @param[in]  key      the key
/// @param[in]  key_len  its length in bytes
/// @param[out] buf      where to copy the value to, without a NUL at its end; NULL if
///                      buf_len is 0. It must not overlap the key
/// @param[in]  buf_len  how much room there is; 0 asks for the length only
/// @param[out] len      the value's length, also with RETS_TOO_SMALL; else 0
/// @return RETS_OK, also for an empty value; RETS_NOT_FOUND; RETS_TOO_SMALL: nothing
///         was copied; RETS_WRONG_TYPE; RETS_WITHHELD; RETS_NOT_READY; RETS_STALE;
///         RETS_STOPPED; RETS_INVALID for NULL or a negative db; RETS_FORKED;
///         RETS_PANIC
///
/// Threads: any, any number at a time, also inside callbacks. Since: 0.1
#[must_use]
#[unsafe(no_mangle)]
pub unsafe extern "C" fn rets_get(
    r: *const rets_t,
    db: i32,
    key: *const c_void,
    key_len: usize,
    buf: *mut c_void,
    buf_len: usize,
    len: *mut usize,
) -> rets_status {
    guard(|| {
        // SAFETY: the header asks for a living handle, a key and a buffer, or NULL.
        let (out, r, key) =
            unsafe { (OutBuf::new(buf, buf_len, len)?, handle(r)?, bytes(key, key_len, "key")?) };
        settle(r.lookups.get(database(db)?, key, |value, _| out.put(value)))?
    })
}

/// Copies the value of a string if it has changed since the last time: for what a
/// program has parsed and wants to parse again only when it must.
///
///     static uint64_t version;              // 0: nothing known yet
///     if (rets_get_if_changed(r, 0, "config", 6, &version, buf, sizeof buf, &len) == RETS_OK)
///         parse(buf, len);
///
/// A version belongs to one key of one handle, and says nothing but "the same" or
/// "written since". A write of the same value is a new version.
///
/// @param[in]     r        the handle
/// @param[in]     db       the database's number
/// @param[in]     key      the key
/// @param[in]     key_len  its length in bytes
/// @param[in,out] version  the version that the caller knows, 0 for none. With RETS_OK
///                         it becomes the version that was copied, with
///                         RETS_NOT_FOUND, RETS_WRONG_TYPE and RETS_WITHHELD 0;
///                         otherwise it stays
/// @param[out]    buf      where to copy the value to; NULL if buf_len is 0
/// @param[in]     buf_len  how much room there is
/// @param[out]    len      the value's length, also with RETS_TOO_SMALL. It stays as it
///                         is with RETS_UNCHANGED; else 0
/// @return RETS_OK; RETS_UNCHANGED: nothing was copied; RETS_NOT_FOUND; RETS_TOO_SMALL;
///         RETS_WRONG_TYPE; RETS_WITHHELD; RETS_NOT_READY; RETS_STALE; RETS_STOPPED;
///         RETS_INVALID for NULL or a negative db; RETS_FORKED; RETS_PANIC
///
/// Threads: any, any number at a time, also inside callbacks; the version is the
/// caller's own to guard. Since: 0.1
#[must_use]
#[unsafe(no_mangle)]
pub unsafe extern "C" fn rets_get_if_changed(
    r: *const rets_t,
    db: i32,
    key: *const c_void,
    key_len: usize,
    version: *mut u64,
    buf: *mut c_void,
    buf_len: usize,
    len: *mut usize,
) -> rets_status {
    guard(|| {
        // SAFETY: the header asks for a buffer, or NULL.
        let out = unsafe { OutBuf::keeping_len(buf, buf_len, len)? };
        // SAFETY: the header asks for a living handle, a key and an initialised version, or NULL.
        let outcome = unsafe { get_if_changed(r, db, (key, key_len), version, &out) };
        match outcome.as_ref().map_err(Failure::status) {
            Ok(()) | Err(rets_status::RETS_TOO_SMALL | rets_status::RETS_UNCHANGED) => {}
            Err(_) => out.put_len(0),
        }
        outcome
    })
}

/// # Safety
/// As the header says of `rets_get_if_changed`.
unsafe fn get_if_changed(
    r: *const rets_t,
    db: i32,
    key: (*const c_void, usize),
    version: *mut u64,
    out: &OutBuf,
) -> Outcome {
    // SAFETY: this function's own conditions.
    let (r, key, place) =
        unsafe { (handle(r)?, bytes(key.0, key.1, "key")?, Out::new(version, "version")?) };
    // SAFETY: as above.
    let known = unsafe { place.get() };
    let answer = r.lookups.get(database(db)?, key, |value, version| {
        // 0 is the caller's "none", so no version of ours may look like it.
        let version = version.wrapping_add(1).max(1);
        if version == known {
            return Err(Failure::plain(rets_status::RETS_UNCHANGED));
        }
        out.put(value)?;
        place.put(version);
        Ok(())
    });
    if matches!(answer, Answer::NotFound | Answer::WrongType | Answer::Withheld) {
        place.put(0);
    }
    settle(answer)?
}

/// One question of rets_get_many(). It will never grow: an array of them has the same
/// layout for ever.
#[repr(C)]
#[derive(Clone, Copy, Debug)]
pub struct rets_item {
    /// In: the key.
    pub key: *const c_void,
    /// In: its length in bytes.
    pub key_len: usize,
    /// In: where to copy the value to; NULL if buf_len is 0.
    pub buf: *mut c_void,
    /// In: how much room there is.
    pub buf_len: usize,
    /// Out: the value's length, also with RETS_TOO_SMALL; else 0.
    pub len: usize,
    /// In: the database's number.
    pub db: i32,
    /// Out: what rets_get() would have answered.
    pub status: rets_status,
}

/// Copies the values of many strings as they were at one moment: no write of the
/// primary, and no part of a MULTI, comes between two of them.
///
/// @param[in]     r       the handle
/// @param[in,out] items   the questions; each gets its own status and length
/// @param[in]     n       how many; 0 is fine
/// @param[out]    offset  the replication offset that they were read at, -1 if unknown;
///                        NULL if it isn't wanted
/// @return RETS_OK, also if items have other statuses; RETS_NOT_READY, RETS_STALE,
///         RETS_STOPPED, which every valid item then has too; RETS_INVALID for NULL;
///         RETS_NO_MEMORY; RETS_FORKED; RETS_PANIC. With the last four nothing was
///         written to the items
///
/// Threads: any, any number at a time, also inside callbacks. Since: 0.1
#[must_use]
#[unsafe(no_mangle)]
pub unsafe extern "C" fn rets_get_many(
    r: *const rets_t,
    items: *mut rets_item,
    n: usize,
    offset: *mut i64,
) -> rets_status {
    guard(|| {
        // SAFETY: the header asks for a living handle and a place for the offset, or NULL.
        let (r, offset) = unsafe { (handle(r)?, Out::optional(offset)) };
        if n > 0 && (items.is_null() || !items.is_aligned()) {
            return Err(Failure::invalid("items is NULL or not aligned"));
        }
        if n > isize::MAX as usize / size_of::<rets_item>() {
            return Err(Failure::invalid("n is far too large"));
        }
        let mut keys = SmallVec::<[_; FEW]>::new();
        let mut asked = SmallVec::<[_; FEW]>::new();
        keys.try_reserve_exact(n).map_err(|_| no_memory())?;
        asked.try_reserve_exact(n).map_err(|_| no_memory())?;
        for at in 0..n {
            // SAFETY: the header asks for n items.
            let item = unsafe { Item::at(items, at) };
            // SAFETY: the header asks each item for a key and a buffer, or NULL.
            match unsafe { item.question() } {
                Ok((db, key, out)) => {
                    keys.push((db, key));
                    asked.push((item, out));
                }
                Err(failure) => item.finish(Err(failure)),
            }
        }
        let answer = r.lookups.get_many(&keys, |at, answer| {
            if let Some((item, out)) = asked.get(at) {
                item.finish(settle(answer).and_then(|value| out.put(value)));
            }
        });
        if matches!(answer, Answer::NotReady | Answer::Stale | Answer::Stopped) {
            for (item, _) in &asked {
                item.finish(settle(answer).map(|_| ()));
            }
        }
        let at = settle(answer)?;
        if let Some(offset) = offset {
            offset.put(at);
        }
        Ok(())
    })
}

/// One item of the caller's array. Never a reference: its status may hold anything as yet.
struct Item(*mut rets_item);

impl Item {
    /// # Safety
    /// There are more than `at` items.
    unsafe fn at(items: *mut rets_item, at: usize) -> Self {
        // SAFETY: this function's own condition.
        Self(unsafe { items.add(at) })
    }

    /// # Safety
    /// The item's key and buffer are what they say, or NULL.
    unsafe fn question<'a>(&self) -> Result<(u32, &'a [u8], OutBuf), Failure> {
        // SAFETY: the item is the caller's and initialised but for what we store.
        unsafe {
            let item = self.0;
            let out = OutBuf::new((*item).buf, (*item).buf_len, &raw mut (*item).len)?;
            Ok((database((*item).db)?, bytes((*item).key, (*item).key_len, "key")?, out))
        }
    }

    fn finish(&self, outcome: Outcome) {
        let status = outcome.map_or_else(Failure::tell, |()| rets_status::RETS_OK);
        // SAFETY: the item is the caller's to be written to.
        unsafe { (&raw mut (*self.0).status).write(status) }
    }
}

fn no_memory() -> Failure {
    Failure::plain(rets_status::RETS_NO_MEMORY)
}

/// Copies the value of a field of a hash.
///
/// @param[in]  r          the handle
/// @param[in]  db         the database's number
/// @param[in]  key        the key
/// @param[in]  key_len    its length in bytes
/// @param[in]  field      the field's name
/// @param[in]  field_len  its length in bytes
/// @param[out] buf        where to copy the value to; NULL if buf_len is 0
/// @param[in]  buf_len    how much room there is; 0 asks for the length only
/// @param[out] len        the value's length, also with RETS_TOO_SMALL; else 0
/// @return RETS_OK; RETS_NOT_FOUND: no such key or no such field; RETS_TOO_SMALL;
///         RETS_WRONG_TYPE; RETS_WITHHELD: the key or the field; RETS_NOT_READY;
///         RETS_STALE; RETS_STOPPED; RETS_INVALID for NULL or a negative db;
///         RETS_FORKED; RETS_PANIC
///
/// Threads: any, any number at a time, also inside callbacks. Since: 0.1
#[must_use]
#[unsafe(no_mangle)]
pub unsafe extern "C" fn rets_hget(
    r: *const rets_t,
    db: i32,
    key: *const c_void,
    key_len: usize,
    field: *const c_void,
    field_len: usize,
    buf: *mut c_void,
    buf_len: usize,
    len: *mut usize,
) -> rets_status {
    guard(|| {
        // SAFETY: the header asks for a living handle, two names and a buffer, or NULL.
        let (out, r, key, field) = unsafe {
            let out = OutBuf::new(buf, buf_len, len)?;
            (out, handle(r)?, bytes(key, key_len, "key")?, bytes(field, field_len, "field")?)
        };
        settle(r.lookups.hget(database(db)?, key, field, |value, _| out.put(value)))?
    })
}

/// Whether a key is there.
///
/// @param[in] r        the handle
/// @param[in] db       the database's number
/// @param[in] key      the key
/// @param[in] key_len  its length in bytes
/// @return RETS_OK: it is; RETS_NOT_FOUND; RETS_WITHHELD; RETS_NOT_READY; RETS_STALE;
///         RETS_STOPPED; RETS_INVALID for NULL or a negative db; RETS_FORKED;
///         RETS_PANIC
///
/// Threads: any, any number at a time, also inside callbacks. Since: 0.1
#[must_use]
#[unsafe(no_mangle)]
pub unsafe extern "C" fn rets_exists(
    r: *const rets_t,
    db: i32,
    key: *const c_void,
    key_len: usize,
) -> rets_status {
    guard(|| {
        // SAFETY: the header asks for a living handle and a key, or NULL.
        let (r, key) = unsafe { (handle(r)?, bytes(key, key_len, "key")?) };
        settle(r.lookups.exists(database(db)?, key))
    })
}

/// The type of a key.
///
/// @param[in]  r        the handle
/// @param[in]  db       the database's number
/// @param[in]  key      the key
/// @param[in]  key_len  its length in bytes
/// @param[out] type     the type; stays as it is unless RETS_OK
/// @return RETS_OK; RETS_NOT_FOUND; RETS_WITHHELD; RETS_NOT_READY; RETS_STALE;
///         RETS_STOPPED; RETS_INVALID for NULL or a negative db; RETS_FORKED;
///         RETS_PANIC
///
/// Threads: any, any number at a time, also inside callbacks. Since: 0.1
#[must_use]
#[unsafe(no_mangle)]
pub unsafe extern "C" fn rets_type(
    r: *const rets_t,
    db: i32,
    key: *const c_void,
    key_len: usize,
    r#type: *mut rets_type_id,
) -> rets_status {
    guard(|| {
        // SAFETY: the header asks for a living handle, a key and a place, or NULL.
        let (r, key, out) =
            unsafe { (handle(r)?, bytes(key, key_len, "key")?, Out::new(r#type, "type")?) };
        out.put(settle(r.lookups.kind(database(db)?, key))?.into());
        Ok(())
    })
}

/// When a key is due.
///
/// @param[in]  r        the handle
/// @param[in]  db       the database's number
/// @param[in]  key      the key
/// @param[in]  key_len  its length in bytes
/// @param[out] at_ms    the deadline in Unix milliseconds, -1 for none; stays as it is
///                      unless RETS_OK
/// @return RETS_OK; RETS_NOT_FOUND; RETS_WITHHELD; RETS_NOT_READY; RETS_STALE;
///         RETS_STOPPED; RETS_INVALID for NULL or a negative db; RETS_FORKED;
///         RETS_PANIC
///
/// Threads: any, any number at a time, also inside callbacks. Since: 0.1
#[must_use]
#[unsafe(no_mangle)]
pub unsafe extern "C" fn rets_expires_at(
    r: *const rets_t,
    db: i32,
    key: *const c_void,
    key_len: usize,
    at_ms: *mut i64,
) -> rets_status {
    guard(|| {
        // SAFETY: the header asks for a living handle, a key and a place, or NULL.
        let (r, key, out) =
            unsafe { (handle(r)?, bytes(key, key_len, "key")?, Out::new(at_ms, "at_ms")?) };
        out.put(settle(r.lookups.expires_at(database(db)?, key))?.unwrap_or(-1));
        Ok(())
    })
}

/// When a field of a hash is due.
///
/// @param[in]  r          the handle
/// @param[in]  db         the database's number
/// @param[in]  key        the key
/// @param[in]  key_len    its length in bytes
/// @param[in]  field      the field's name
/// @param[in]  field_len  its length in bytes
/// @param[out] at_ms      the deadline in Unix milliseconds, -1 for none; stays as it
///                        is unless RETS_OK
/// @return RETS_OK; RETS_NOT_FOUND: no such key or no such field; RETS_WRONG_TYPE;
///         RETS_WITHHELD; RETS_NOT_READY; RETS_STALE; RETS_STOPPED; RETS_INVALID for
///         NULL or a negative db; RETS_FORKED; RETS_PANIC
///
/// Threads: any, any number at a time, also inside callbacks. Since: 0.1
#[must_use]
#[unsafe(no_mangle)]
pub unsafe extern "C" fn rets_hexpires_at(
    r: *const rets_t,
    db: i32,
    key: *const c_void,
    key_len: usize,
    field: *const c_void,
    field_len: usize,
    at_ms: *mut i64,
) -> rets_status {
    guard(|| {
        // SAFETY: the header asks for a living handle, two names and a place, or NULL.
        let (r, key, field, out) = unsafe {
            let (key, field) = (bytes(key, key_len, "key")?, bytes(field, field_len, "field")?);
            (handle(r)?, key, field, Out::new(at_ms, "at_ms")?)
        };
        out.put(settle(r.lookups.hget(database(db)?, key, field, |_, at| at))?.unwrap_or(-1));
        Ok(())
    })
}

/// How long a value is, as STRLEN, LLEN, SCARD, ZCARD and HLEN count: the bytes of a
/// string, the elements of anything else, fields whose deadline has passed among
/// them.
///
/// @param[in]  r        the handle
/// @param[in]  db       the database's number
/// @param[in]  key      the key
/// @param[in]  key_len  its length in bytes
/// @param[out] len      the length; 0 unless RETS_OK or RETS_INCOMPLETE
/// @return RETS_OK; RETS_INCOMPLETE: the length was stored, but elements were withheld;
///         RETS_NOT_FOUND; RETS_WITHHELD; RETS_NOT_READY; RETS_STALE; RETS_STOPPED;
///         RETS_INVALID for NULL or a negative db; RETS_FORKED; RETS_PANIC
///
/// Threads: any, any number at a time, also inside callbacks. Since: 0.1
#[must_use]
#[unsafe(no_mangle)]
pub unsafe extern "C" fn rets_len(
    r: *const rets_t,
    db: i32,
    key: *const c_void,
    key_len: usize,
    len: *mut usize,
) -> rets_status {
    guard(|| {
        // SAFETY: the header asks for a place, or NULL.
        let out = unsafe { Out::new(len, "len")? };
        out.put(0);
        // SAFETY: the header asks for a living handle and a key, or NULL.
        let (r, key) = unsafe { (handle(r)?, bytes(key, key_len, "key")?) };
        let found = settle(r.lookups.len(database(db)?, key))?;
        out.put(found.len);
        if found.complete { Ok(()) } else { Err(Failure::plain(rets_status::RETS_INCOMPLETE)) }
    })
}

/// Copies an element of a list.
///
/// @param[in]  r        the handle
/// @param[in]  db       the database's number
/// @param[in]  key      the key
/// @param[in]  key_len  its length in bytes
/// @param[in]  index    its place, from 0; negative counts from the tail, -1 the last
/// @param[out] buf      where to copy it to; NULL if buf_len is 0
/// @param[in]  buf_len  how much room there is; 0 asks for the length only
/// @param[out] len      its length, also with RETS_TOO_SMALL; else 0
/// @return RETS_OK; RETS_NOT_FOUND: no such key or no such place; RETS_TOO_SMALL;
///         RETS_WRONG_TYPE; RETS_WITHHELD; RETS_NOT_READY; RETS_STALE; RETS_STOPPED;
///         RETS_INVALID for NULL or a negative db; RETS_FORKED; RETS_PANIC
///
/// Threads: any, any number at a time, also inside callbacks. Since: 0.1
#[must_use]
#[unsafe(no_mangle)]
pub unsafe extern "C" fn rets_lindex(
    r: *const rets_t,
    db: i32,
    key: *const c_void,
    key_len: usize,
    index: i64,
    buf: *mut c_void,
    buf_len: usize,
    len: *mut usize,
) -> rets_status {
    guard(|| {
        // SAFETY: the header asks for a living handle, a key and a buffer, or NULL.
        let (out, r, key) =
            unsafe { (OutBuf::new(buf, buf_len, len)?, handle(r)?, bytes(key, key_len, "key")?) };
        settle(r.lookups.element(database(db)?, key, index, |element| out.put(element)))?
    })
}

/// Whether something is a member of a set.
///
/// @param[in] r           the handle
/// @param[in] db          the database's number
/// @param[in] key         the key
/// @param[in] key_len     its length in bytes
/// @param[in] member      the member
/// @param[in] member_len  its length in bytes
/// @return RETS_OK: it is; RETS_NOT_FOUND: no such key or no member; RETS_WRONG_TYPE;
///         RETS_WITHHELD: the key or the member; RETS_NOT_READY; RETS_STALE;
///         RETS_STOPPED; RETS_INVALID for NULL or a negative db; RETS_FORKED;
///         RETS_PANIC
///
/// Threads: any, any number at a time, also inside callbacks. Since: 0.1
#[must_use]
#[unsafe(no_mangle)]
pub unsafe extern "C" fn rets_sismember(
    r: *const rets_t,
    db: i32,
    key: *const c_void,
    key_len: usize,
    member: *const c_void,
    member_len: usize,
) -> rets_status {
    guard(|| {
        // SAFETY: the header asks for a living handle and two names, or NULL.
        let (r, key, member) = unsafe {
            (handle(r)?, bytes(key, key_len, "key")?, bytes(member, member_len, "member")?)
        };
        settle(r.lookups.contains(database(db)?, key, member))
    })
}

/// The score of a member of a sorted set.
///
/// @param[in]  r           the handle
/// @param[in]  db          the database's number
/// @param[in]  key         the key
/// @param[in]  key_len     its length in bytes
/// @param[in]  member      the member
/// @param[in]  member_len  its length in bytes
/// @param[out] score       the score, perhaps infinite, never a NaN; stays as it is
///                         unless RETS_OK
/// @return RETS_OK; RETS_NOT_FOUND: no such key or no member; RETS_WRONG_TYPE;
///         RETS_WITHHELD: the key or the member; RETS_NOT_READY; RETS_STALE;
///         RETS_STOPPED; RETS_INVALID for NULL or a negative db; RETS_FORKED;
///         RETS_PANIC
///
/// Threads: any, any number at a time, also inside callbacks. Since: 0.1
#[must_use]
#[unsafe(no_mangle)]
pub unsafe extern "C" fn rets_zscore(
    r: *const rets_t,
    db: i32,
    key: *const c_void,
    key_len: usize,
    member: *const c_void,
    member_len: usize,
    score: *mut f64,
) -> rets_status {
    guard(|| {
        // SAFETY: the header asks for a living handle, two names and a place, or NULL.
        let (r, key, member, out) = unsafe {
            let (key, member) = (bytes(key, key_len, "key")?, bytes(member, member_len, "member")?);
            (handle(r)?, key, member, Out::new(score, "score")?)
        };
        out.put(settle(r.lookups.score(database(db)?, key, member))?);
        Ok(())
    })
}
