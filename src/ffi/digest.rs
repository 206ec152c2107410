//! Digests as the servers compute them: the proof that the table equals its primary.

use super::convert::{Out, bytes, database, fixed, handle, handle_outside_callbacks};
use super::guard::guard;
use super::life::rets_t;
use super::status::{Failure, rets_status, settle};
use std::ffi::{c_char, c_void};

/// The digest of the whole dataset, which equals the primary's DEBUG DIGEST at the same
/// offset. It takes time in proportion to the data, on the calling thread, seconds for
/// millions of keys. Lookups and the engine go on meanwhile.
///
/// @param[in]  r       the handle
/// @param[out] hex     41 bytes for 40 hex digits and a NUL
/// @param[out] replid  41 bytes for the replication id that the offset belongs to, an
///                     empty text where the primary has none; NULL if it isn't wanted
/// @param[out] offset  the offset, -1 unknown; NULL if it isn't wanted. All of these
///                     stay as they are unless RETS_OK or RETS_INCOMPLETE
/// @return RETS_OK; RETS_INCOMPLETE: stored, but something was withheld, could not be
///         followed, or is a module's value, which only the module can digest, so it
///         can't equal the primary's; RETS_NOT_READY; RETS_STOPPED; RETS_NO_MEMORY;
///         RETS_INVALID for NULL; RETS_BUSY_CALLBACK; RETS_FORKED;
///         RETS_PANIC
///
/// Threads: any, any number at a time; not inside a callback. Since: 0.1
#[must_use]
#[unsafe(no_mangle)]
pub unsafe extern "C" fn rets_digest(
    r: *const rets_t,
    hex: *mut c_char,
    replid: *mut c_char,
    offset: *mut i64,
) -> rets_status {
    guard(|| {
        // SAFETY: the header asks for a living handle, two arrays of 41 and a place, or NULL.
        let (r, hex, replid, offset) = unsafe {
            let hex = Out::<[c_char; 41]>::new(hex.cast(), "hex")?;
            let replid = Out::<[c_char; 41]>::optional(replid.cast());
            (handle_outside_callbacks(r)?, hex, replid, Out::optional(offset))
        };
        let digest = settle(r.replica.digest())?;
        hex.put(fixed(&digest.hex));
        if let Some(replid) = replid {
            replid.put(fixed(&digest.replid));
        }
        if let Some(offset) = offset {
            offset.put(digest.offset);
        }
        complete_or_not(digest.complete)
    })
}

/// The digest of one key, which equals the primary's DEBUG DIGEST-VALUE: to find the key
/// in which two datasets differ. What has logically expired counts until the primary
/// deletes it, as with rets_digest().
///
/// @param[in]  r        the handle
/// @param[in]  db       the database's number
/// @param[in]  key      the key
/// @param[in]  key_len  its length in bytes
/// @param[out] hex      41 bytes for 40 hex digits and a NUL; stays as it is unless
///                      RETS_OK or RETS_INCOMPLETE
/// @return RETS_OK; RETS_INCOMPLETE: stored, but elements were withheld, a skipped change
///         keeps an old value, or it is a module's value; RETS_NOT_FOUND, where the
///         primary says 40 zeros; RETS_WITHHELD; RETS_NOT_READY; RETS_STOPPED;
///         RETS_INVALID for NULL or a negative db; RETS_FORKED; RETS_PANIC
///
/// Threads: any, any number at a time, also inside callbacks. Since: 0.1
#[must_use]
#[unsafe(no_mangle)]
pub unsafe extern "C" fn rets_key_digest(
    r: *const rets_t,
    db: i32,
    key: *const c_void,
    key_len: usize,
    hex: *mut c_char,
) -> rets_status {
    guard(|| {
        // SAFETY: the header asks for a living handle, a key and an array of 41, or NULL.
        let (r, key, hex) = unsafe {
            let hex = Out::<[c_char; 41]>::new(hex.cast(), "hex")?;
            (handle(r)?, bytes(key, key_len, "key")?, hex)
        };
        let digest = settle(r.replica.key_digest(database(db)?, key))?;
        hex.put(fixed(&digest.hex));
        complete_or_not(digest.complete)
    })
}

fn complete_or_not(complete: bool) -> Result<(), Failure> {
    if complete { Ok(()) } else { Err(Failure::plain(rets_status::RETS_INCOMPLETE)) }
}
