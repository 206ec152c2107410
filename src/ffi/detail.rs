//! Lookups of whatever else there is to know of a key: of a field, member or element, and of its
//! type, length and deadline.

use super::convert::{Out, OutBuf, bytes, database, handle};
use super::guard::guard;
use super::life::rets_t;
use super::status::{Failure, rets_status, settle};
use super::value::rets_type_id;
use std::ffi::c_void;

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
