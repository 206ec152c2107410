//! Walks over keys.

use super::convert::{Out, database_or_all, handle};
use super::fork;
use super::guard::{guard, guard_or};
use super::life::rets_t;
use super::status::{Failure, rets_status, settle};
use super::value::is_raw;
use crate::replica::{Bytes, Walk};
use std::ffi::c_void;

/// A walk over keys, in no order. What is there from its beginning to its end is met
/// exactly once, also if a new full sync comes meanwhile; what comes or goes on the
/// way may be met or not. It keeps no lock between two steps.
pub struct rets_cursor {
    walk: Walk,
    /// The key that C was shown last.
    key: Bytes,
    process: u32,
}

/// Begins a walk.
///
/// @param[in]  r      the handle
/// @param[in]  db     the database's number; -1 for all of them
/// @param[in]  flags  0, or RETS_RAW to meet also keys that are logically expired, and
///                    those that a callback withheld
/// @param[out] out    the new cursor; NULL on failure
/// @return RETS_OK; RETS_NOT_READY; RETS_STALE; RETS_STOPPED; RETS_UNSUPPORTED for
///         unknown flags; RETS_INVALID for NULL or a db below -1; RETS_FORKED;
///         RETS_PANIC
///
/// Threads: any, any number at a time, also inside callbacks. Since: 0.1
#[must_use]
#[unsafe(no_mangle)]
pub unsafe extern "C" fn rets_cursor_new(
    r: *const rets_t,
    db: i32,
    flags: u32,
    out: *mut *mut rets_cursor,
) -> rets_status {
    guard(|| {
        // SAFETY: the header asks for a place, or NULL.
        let out = unsafe { Out::new(out, "out")? };
        out.put(std::ptr::null_mut());
        // SAFETY: the header asks for a living handle, or NULL.
        let r = unsafe { handle(r)? };
        let walk = settle(r.lookups.walk(database_or_all(db)?, is_raw(flags)?))?;
        let cursor = rets_cursor { walk, key: Bytes::default(), process: r.process };
        out.put(Box::into_raw(Box::new(cursor)));
        Ok(())
    })
}

/// Goes to the next key.
///
///     while (rets_cursor_next(c, &db, &key, &key_len) == RETS_OK)
///         printf("%d %.*s\n", (int)db, (int)key_len, (const char *)key);
///
/// @param[in]  c        the cursor
/// @param[out] db       the key's database; NULL if it isn't wanted
/// @param[out] key      the key. It belongs to the cursor and stays as it is until the
///                      next step. All of these stay as they are unless RETS_OK
/// @param[out] key_len  its length in bytes
/// @return RETS_OK; RETS_NOT_FOUND: that was all; RETS_STOPPED: the engine was stopped
///         or its handle freed; RETS_INVALID for NULL; RETS_FORKED; RETS_PANIC
///
/// Threads: any, also inside callbacks; one at a time for one cursor. Since: 0.1
#[must_use]
#[unsafe(no_mangle)]
pub unsafe extern "C" fn rets_cursor_next(
    c: *mut rets_cursor,
    db: *mut i32,
    key: *mut *const c_void,
    key_len: *mut usize,
) -> rets_status {
    guard(|| {
        if c.is_null() || !c.is_aligned() {
            return Err(Failure::invalid("c is not a cursor"));
        }
        // SAFETY: the header asks for places, or NULL.
        let (db, key, key_len) =
            unsafe { (Out::optional(db), Out::new(key, "key")?, Out::new(key_len, "key_len")?) };
        // SAFETY: the header asks for a living cursor that only one thread uses at a time.
        let cursor = unsafe { &mut *c };
        if cursor.process != fork::process() {
            return Err(Failure::plain(rets_status::RETS_FORKED));
        }
        let (number, name) = settle(cursor.walk.advance())?;
        cursor.key = name;
        if let Some(db) = db {
            db.put(i32::try_from(number).unwrap_or(i32::MAX));
        }
        key.put(cursor.key.as_ptr().cast());
        key_len.put(cursor.key.len());
        Ok(())
    })
}

/// Ends a walk, at its end or before.
///
/// @param[in] c  the cursor; NULL is fine
///
/// Threads: any, but the last one to use it; also inside callbacks. Since: 0.1
#[unsafe(no_mangle)]
pub unsafe extern "C" fn rets_cursor_free(c: *mut rets_cursor) {
    guard_or((), || {
        if !c.is_null() && c.is_aligned() {
            // SAFETY: rets_cursor_new made it from a box, and the header makes this its last use.
            drop(unsafe { Box::from_raw(c) });
        }
    });
}
