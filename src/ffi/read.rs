//! Lookups of strings: of one, of one that has changed, and of many at one moment.

use super::convert::{Out, OutBuf, bytes, database, handle, usual};
use super::guard::{guard, guard_glance};
use super::life::rets_t;
use super::status::{Failure, found, rets_status, settle};
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
    guard_glance(
        move || {
            // SAFETY: the header asks for a living handle, a key and a buffer, or NULL.
            let usual = unsafe { usual(r, db, key, key_len, buf, buf_len, len) };
            let (r, db, key, out) = usual?;
            let lacking = move |answer| found(answer).unwrap_or_else(|status| out.lacking(status));
            r.lookups.glance(db, key, move |value, _| out.put_usual(value), lacking)
        },
        // SAFETY: as above.
        move || unsafe { get(r, db, key, key_len, buf, buf_len, len) },
    )
}

/// `rets_get` where more than a glance is needed, or something is wrong.
#[cold]
unsafe extern "C" fn get(
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
    guard_glance(
        move || {
            // SAFETY: the header asks for a living handle, a key and a buffer, or NULL.
            let usual = unsafe { usual(r, db, key, key_len, buf, buf_len, len) };
            // SAFETY: and for an initialised version.
            let ((r, db, key, out), known) = (usual?, unsafe { Out::optional(version)? });
            let copy = move |value: &[u8], version| copy_if_changed(value, version, known, out);
            let lacking = move |answer| {
                found(answer).unwrap_or_else(|status| {
                    known.put(0);
                    out.lacking(status)
                })
            };
            r.lookups.glance(db, key, copy, lacking)
        },
        // SAFETY: as above.
        move || unsafe { get_if_changed(r, db, key, key_len, version, buf, buf_len, len) },
    )
}

/// `rets_get_if_changed` where more than a glance is needed, or something is wrong.
#[cold]
unsafe extern "C" fn get_if_changed(
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
        let answer = || {
            // SAFETY: the header asks for a living handle, a key and an initialised version, or
            // NULL.
            let (r, key, known) =
                unsafe { (handle(r)?, bytes(key, key_len, "key")?, Out::new(version, "version")?) };
            let copy = |value: &[u8], version| copy_if_changed(value, version, known, out);
            let answer = r.lookups.get(database(db)?, key, copy);
            if matches!(answer, Answer::NotFound | Answer::WrongType | Answer::Withheld) {
                known.put(0);
            }
            settle(answer)
        };
        match answer() {
            Ok(rets_status::RETS_OK) => Ok(()),
            Ok(status) => Err(Failure::plain(status)),
            Err(failure) => {
                out.put_len(0);
                Err(failure)
            }
        }
    })
}

/// Copies what has another version than the caller knows.
#[inline(always)]
fn copy_if_changed(value: &[u8], version: u64, known: Out<u64>, out: OutBuf) -> rets_status {
    // 0 is the caller's "none", so no version of ours may look like it.
    let version = version.wrapping_add(1).max(1);
    // SAFETY: whoever made it says that it is initialised.
    if version == unsafe { known.get() } {
        return rets_status::RETS_UNCHANGED;
    }
    copy_changed(value, version, known, out)
}

/// By itself, so that what is unchanged has little to do.
#[inline(never)]
fn copy_changed(value: &[u8], version: u64, known: Out<u64>, out: OutBuf) -> rets_status {
    let status = out.put_usual(value);
    if status == rets_status::RETS_OK {
        known.put(version);
    }
    status
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
    /// In: where to copy the value to; NULL if buf_len is 0. It must not overlap the key, nor
    /// anything of another item.
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
        let mut asked = SmallVec::<[_; FEW]>::new();
        asked.try_reserve_exact(n).map_err(|_| no_memory())?;
        for at in 0..n {
            // SAFETY: the header asks for n items.
            let item = unsafe { Item::at(items, at) };
            // SAFETY: the header asks each item for a key and a buffer, or NULL.
            match unsafe { item.question() } {
                Ok((db, key, out)) => asked.push((db, Asked { item, key, out })),
                Err(failure) => item.finish(failure.tell()),
            }
        }
        let answer = r.lookups.get_many(&asked, |at, answer| {
            if let Some((_, Asked { item, out, .. })) = asked.get(at) {
                match found(answer) {
                    Ok(value) => item.finish_usual(out.put_usual(value)),
                    Err(status) => item.finish_usual(status),
                }
            }
        });
        if matches!(answer, Answer::NotReady | Answer::Stale | Answer::Stopped) {
            for (_, Asked { item, .. }) in &asked {
                item.finish(settle(answer).map_or_else(Failure::tell, |_| rets_status::RETS_OK));
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

    #[inline(always)]
    fn finish_usual(&self, status: rets_status) {
        self.finish(match status {
            rets_status::RETS_OK => status,
            other => Failure::plain(other).tell(),
        });
    }

    #[inline(always)]
    fn finish(&self, status: rets_status) {
        // SAFETY: the item is the caller's to be written to.
        unsafe { (&raw mut (*self.0).status).write(status) }
    }
}

/// An item that can be answered.
struct Asked<'a> {
    item: Item,
    key: &'a [u8],
    out: OutBuf,
}

impl AsRef<[u8]> for Asked<'_> {
    fn as_ref(&self) -> &[u8] {
        self.key
    }
}

fn no_memory() -> Failure {
    Failure::plain(rets_status::RETS_NO_MEMORY)
}
