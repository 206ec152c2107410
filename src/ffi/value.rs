//! Whole values, as a copy that is walked by index.

use super::convert::{Out, bytes, database, handle};
use super::guard::{guard, guard_or};
use super::life::rets_t;
use super::status::{Failure, rets_status, settle};
use crate::replica::{Type, Whole};
use std::ffi::c_void;

/// The types that a key can have. A later version may add some.
#[repr(C)]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum rets_type_id {
    /// None: no value, or one that isn't known.
    RETS_TYPE_NONE = 0,
    /// A string of bytes; also what the servers call integers, bitmaps, HyperLogLogs.
    RETS_TYPE_STRING = 1,
    /// A sequence of strings.
    RETS_TYPE_LIST = 2,
    /// Distinct strings.
    RETS_TYPE_SET = 3,
    /// Distinct strings with a score each.
    RETS_TYPE_ZSET = 4,
    /// Fields with a value each, and perhaps a deadline.
    RETS_TYPE_HASH = 5,
    /// Entries under growing ids, and the groups that consume them.
    RETS_TYPE_STREAM = 6,
    /// Values at places that need not be next to each other (Redis 8.8).
    RETS_TYPE_ARRAY = 7,
    /// Bytes that only a module of the primary's understands.
    RETS_TYPE_MODULE = 8,
}

impl From<Type> for rets_type_id {
    fn from(kind: Type) -> Self {
        match kind {
            Type::String => Self::RETS_TYPE_STRING,
            Type::List => Self::RETS_TYPE_LIST,
            Type::Set => Self::RETS_TYPE_SET,
            Type::Zset => Self::RETS_TYPE_ZSET,
            Type::Hash => Self::RETS_TYPE_HASH,
            Type::Stream => Self::RETS_TYPE_STREAM,
            Type::Array => Self::RETS_TYPE_ARRAY,
            Type::Module => Self::RETS_TYPE_MODULE,
        }
    }
}

/// For rets_read() and rets_cursor_new(): show also what is logically expired.
pub const RETS_RAW: u32 = 1;

/// Refuses flags that nobody has defined yet, so that they can mean something later.
pub(super) fn is_raw(flags: u32) -> Result<bool, Failure> {
    if flags & !RETS_RAW == 0 {
        return Ok(flags & RETS_RAW != 0);
    }
    let text = "flags has bits that this version does not know";
    Err(Failure::from(crate::error::Error::new(crate::error::Kind::Unsupported, text)))
}

/// A copy of a whole value, walked by index. It is the caller's: it never changes
/// under the reader, may outlive the handle, and its memory is used again by the
/// next rets_read() into it. The same type shows the value of an event; that one
/// belongs to the library and goes when the callback returns, or with the next event that
/// rets_next_event() gives.
pub struct rets_value {
    pub(super) whole: Whole<'static>,
    /// It is part of an event: not the program's to change or to free.
    pub(super) borrowed: bool,
}

/// One element of a value. It will never grow. The bytes it points to stay as they
/// are until the value is read into again or freed.
#[repr(C)]
#[derive(Clone, Copy, Debug)]
pub struct rets_element {
    /// The field of a hash or of a stream's entry, the member of a set or sorted set, the name of
    /// the type of a module's value; else NULL.
    pub field: *const c_void,
    /// Its length in bytes.
    pub field_len: usize,
    /// The string itself, the element of a list or array, the value of a field, the bytes of a
    /// module's value; else NULL.
    pub value: *const c_void,
    /// Its length in bytes.
    pub value_len: usize,
    /// The score of a sorted set's member; else 0.
    pub score: f64,
    /// The deadline of a hash's field in Unix milliseconds; -1 for none.
    pub expires_at_ms: i64,
    /// The index of an array's element; else 0.
    pub index: u64,
    /// The id of a stream's entry: its first number; else 0.
    pub id_ms: u64,
    /// Its second number; else 0.
    pub id_seq: u64,
}

/// # Safety
/// `v` is NULL or a value that is not freed while `'a` lasts.
pub(super) unsafe fn value<'a>(v: *const rets_value) -> Result<&'a rets_value, Failure> {
    if v.is_null() || !v.is_aligned() {
        return Err(Failure::invalid("v is not a value"));
    }
    // SAFETY: not NULL, so by this function's own condition it is a living value.
    Ok(unsafe { &*v })
}

/// A part of an element for C: NULL where there is none, never NULL where there is one.
pub(super) fn part(bytes: Option<&[u8]>) -> (*const c_void, usize) {
    bytes.map_or((std::ptr::null(), 0), |bytes| (bytes.as_ptr().cast(), bytes.len()))
}

/// Makes an empty value to read into.
///
/// @param[out] out  the new value; NULL on failure
/// @return RETS_OK; RETS_INVALID for NULL; RETS_PANIC
///
/// Threads: any, also inside callbacks and in a forked child. Since: 0.1
#[must_use]
#[unsafe(no_mangle)]
pub unsafe extern "C" fn rets_value_new(out: *mut *mut rets_value) -> rets_status {
    guard(|| {
        // SAFETY: the header asks for a place, or NULL.
        let out = unsafe { Out::new(out, "out")? };
        out.put(std::ptr::null_mut());
        out.put(Box::into_raw(Box::new(rets_value { whole: Whole::default(), borrowed: false })));
        Ok(())
    })
}

/// Frees a value.
///
/// @param[in] v  the value; NULL is fine, one of an event is left alone
///
/// Threads: any, but the last one to use it. Since: 0.1
#[unsafe(no_mangle)]
pub unsafe extern "C" fn rets_value_free(v: *mut rets_value) {
    guard_or((), || {
        // SAFETY: the header asks for a living value, or NULL.
        let Ok(living) = (unsafe { value(v) }) else { return };
        if !living.borrowed {
            // SAFETY: rets_value_new made it from a box, and the header makes this its last use.
            drop(unsafe { Box::from_raw(v) });
        }
    });
}

/// Copies a whole value of any type, as it was at one moment.
///
/// @param[in]     r        the handle
/// @param[in]     db       the database's number
/// @param[in]     key      the key
/// @param[in]     key_len  its length in bytes
/// @param[in]     flags    0, or RETS_RAW to have also what is logically expired: the
///                         key itself, fields of a hash
/// @param[in,out] v        where to copy to. Whatever it had is gone, and it is empty
///                         unless RETS_OK or RETS_INCOMPLETE
/// @return RETS_OK; RETS_INCOMPLETE: copied, but elements were withheld;
///         RETS_NOT_FOUND; RETS_WITHHELD; RETS_NOT_READY; RETS_STALE; RETS_STOPPED;
///         RETS_UNSUPPORTED for unknown flags; RETS_NO_MEMORY; RETS_INVALID for NULL, a
///         negative db or the value of an event; RETS_FORKED; RETS_PANIC
///
/// Threads: any, also inside callbacks; one at a time for one value. Since: 0.1
#[must_use]
#[unsafe(no_mangle)]
pub unsafe extern "C" fn rets_read(
    r: *const rets_t,
    db: i32,
    key: *const c_void,
    key_len: usize,
    flags: u32,
    v: *mut rets_value,
) -> rets_status {
    guard(|| {
        // SAFETY: the header asks for a living handle, a key and a value, or NULL.
        let (r, key, living) = unsafe { (handle(r)?, bytes(key, key_len, "key")?, value(v)?) };
        let (raw, db) = (is_raw(flags)?, database(db)?);
        if living.borrowed {
            return Err(Failure::invalid("v belongs to an event"));
        }
        // SAFETY: it is the caller's own, and the header has one thread at a time use it here;
        // `living` is not used any more.
        let v = unsafe { &mut *v };
        settle(r.lookups.whole(db, key, raw, &mut v.whole)?)?;
        if v.whole.is_incomplete() {
            return Err(Failure::plain(rets_status::RETS_INCOMPLETE));
        }
        Ok(())
    })
}

/// The type of a value.
///
/// @param[in] v  the value
/// @return the type; RETS_TYPE_NONE for an empty value or NULL
///
/// Threads: any, any number at a time, also inside callbacks and in a forked child.
/// Since: 0.1
#[unsafe(no_mangle)]
pub unsafe extern "C" fn rets_value_type(v: *const rets_value) -> rets_type_id {
    guard_or(rets_type_id::RETS_TYPE_NONE, || {
        // SAFETY: the header asks for a living value, or NULL.
        let kind = unsafe { value(v) }.ok().and_then(|v| v.whole.kind());
        kind.map_or(rets_type_id::RETS_TYPE_NONE, rets_type_id::from)
    })
}

/// How many elements rets_value_at() can show. A string is one element, and so is what
/// only a module understands; of a stream each field of each entry is one.
///
/// @param[in] v  the value
/// @return the number; 0 for an empty value or NULL
///
/// Threads: any, any number at a time, also inside callbacks and in a forked child.
/// Since: 0.1
#[unsafe(no_mangle)]
pub unsafe extern "C" fn rets_value_len(v: *const rets_value) -> usize {
    // SAFETY: the header asks for a living value, or NULL.
    guard_or(0, || unsafe { value(v) }.map_or(0, |v| v.whole.len()))
}

/// Shows one element: the string itself; an element of a list, from its head; a
/// member of a set or a field of a hash, in the order of their bytes; a member of a
/// sorted set, from the lowest; an element of an array, by its index; a module's value
/// as its bytes in a snapshot; a field of a stream's entry, one entry behind the other,
/// those of one entry having its id. A value may have no element, as a stream without
/// entries.
///
/// @param[in]  v      the value
/// @param[in]  index  its place, from 0
/// @param[out] e      the element; stays as it is unless RETS_OK
/// @return RETS_OK; RETS_NOT_FOUND: index is behind the last; RETS_NO_MEMORY;
///         RETS_INVALID for NULL; RETS_PANIC
///
/// Threads: any, any number at a time, also inside callbacks and in a forked child.
/// Since: 0.1
#[must_use]
#[unsafe(no_mangle)]
pub unsafe extern "C" fn rets_value_at(
    v: *const rets_value,
    index: usize,
    e: *mut rets_element,
) -> rets_status {
    guard(|| {
        // SAFETY: the header asks for a living value and a place, or NULL.
        let (v, out) = unsafe { (value(v)?, Out::new(e, "e")?) };
        let Some(element) = v.whole.element(index)? else {
            return Err(Failure::plain(rets_status::RETS_NOT_FOUND));
        };
        let (field, field_len) = part(element.field);
        let (value, value_len) = part(element.value);
        out.put(rets_element {
            field,
            field_len,
            value,
            value_len,
            score: element.score,
            expires_at_ms: element.expires_at_ms.unwrap_or(-1),
            index: element.index,
            id_ms: element.id.ms,
            id_seq: element.id.seq,
        });
        Ok(())
    })
}

/// When the key of a value is due.
///
/// @param[in] v  the value
/// @return the deadline in Unix milliseconds; -1 for none, an empty value or NULL
///
/// Threads: any, any number at a time, also inside callbacks and in a forked child.
/// Since: 0.1
#[unsafe(no_mangle)]
pub unsafe extern "C" fn rets_value_expires_at(v: *const rets_value) -> i64 {
    // SAFETY: the header asks for a living value, or NULL.
    guard_or(-1, || unsafe { value(v) }.map_or(-1, |v| v.whole.expires_at_ms().unwrap_or(-1)))
}
