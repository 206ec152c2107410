//! The life of a handle, from `rets_new` to `rets_free`.

use super::convert::{Out, handle_outside_callbacks, text, timeout};
use super::fork;
use super::guard::{guard, guard_or, in_callback};
use super::queue::Given;
use super::status::{Failure, rets_status};
use crate::replica::{Lookups, Replica, panics};
use parking_lot::Mutex;
use std::ffi::c_char;

/// A replica: one connection to one primary, and the data that it brought. Opaque;
/// made by rets_new(), freed by rets_free().
pub struct rets_t {
    pub(super) replica: Replica,
    /// The replica's own, at hand without a detour.
    pub(super) lookups: Lookups,
    /// The process that made it; see `fork`.
    pub(super) process: u32,
    /// The event that rets_next_event() gave last.
    pub(super) given: Mutex<Option<Given>>,
}

impl rets_t {
    pub(super) fn new(replica: Replica, lookups: Lookups) -> Self {
        Self { replica, lookups, process: fork::process(), given: Mutex::default() }
    }
}

/// Makes a handle for a primary. Nothing is connected and no thread is started
/// before rets_start().
///
/// @param[in]  url  redis://[user:password@]host[:port][/db] or
///                  unix://[user:password@]/path.sock. A number as path keeps that
///                  database only. It is copied
/// @param[out] out  the new handle; NULL on failure, and then there is nothing to free
/// @return RETS_OK; RETS_INVALID for NULL or a URL that can't be understood;
///         RETS_UNSUPPORTED for rediss:, file:, memory:, redis+sentinel: and
///         redis+cluster: in this version; RETS_NO_MEMORY; RETS_IO; RETS_PANIC
///
/// Threads: any, also inside callbacks and in a forked child. Since: 0.1
#[must_use]
#[unsafe(no_mangle)]
pub unsafe extern "C" fn rets_new(url: *const c_char, out: *mut *mut rets_t) -> rets_status {
    guard(|| {
        // SAFETY: the header asks for a pointer to a handle, or NULL.
        let out = unsafe { Out::new(out, "out")? };
        out.put(std::ptr::null_mut());
        // SAFETY: the header asks for a string, or NULL.
        let url = unsafe { text(url, "url")? };
        // Unit tests keep the hook that prints.
        if cfg!(not(test)) {
            panics::silence();
        }
        if !fork::watch() {
            return Err(Failure::plain(rets_status::RETS_NO_MEMORY));
        }
        let replica = Replica::new(url)?;
        let lookups = replica.lookups().clone();
        out.put(Box::into_raw(Box::new(rets_t::new(replica, lookups))));
        Ok(())
    })
}

/// Starts the engine: its own threads connect, load and follow from now on, for as
/// long as it takes. Returns at once; rets_wait_ready() waits. Engine threads block
/// all signals and are called rets/link, rets/apply and so on. They ask the scheduler
/// for short turns, not for a larger share (sched_setattr of Linux 6.12 and newer; not
/// where a seccomp filter is in force, which might take offence). A handle can be
/// started once.
///
/// @param[in] r  the handle
/// @return RETS_OK; RETS_INVALID for NULL, an engine that was started before, or
///         options that don't fit together; RETS_STOPPED; RETS_BUSY_CALLBACK;
///         RETS_NO_MEMORY; RETS_IO if a thread can't be made; RETS_FORKED; RETS_PANIC
///
/// Threads: any, one at a time for one handle; not inside a callback. Since: 0.1
#[must_use]
#[unsafe(no_mangle)]
pub unsafe extern "C" fn rets_start(r: *mut rets_t) -> rets_status {
    guard(|| {
        // SAFETY: the header asks for a living handle, or NULL.
        let r = unsafe { handle_outside_callbacks(r)? };
        Ok(r.replica.start()?)
    })
}

/// Waits until the first load is complete and lookups have something to say.
/// Failures that go by themselves (the primary can't be reached yet, it is loading)
/// are waited for; those that don't end it at once. Once an engine was ready it
/// stays ready, also while the link is down.
///
/// Most primaries need seconds before anything comes: from Redis 7.0 on they wait for
/// others who want a snapshot, for five (repl-diskless-sync-delay) unless told otherwise.
///
/// @param[in] r           the handle, started
/// @param[in] timeout_ms  how long; -1 for ever, 0 to ask only
/// @return RETS_OK; RETS_TIMEOUT, and rets_info() has the last error; RETS_AUTH,
///         RETS_PROTOCOL, RETS_UNSUPPORTED, RETS_IO or RETS_NO_MEMORY if the engine
///         gave up, with the reason in rets_last_error(); RETS_STOPPED;
///         RETS_INVALID for NULL, a handle that was not started, or a time below -1;
///         RETS_BUSY_CALLBACK; RETS_FORKED; RETS_PANIC
///
/// Threads: any, any number at a time; not inside a callback. Since: 0.1
#[must_use]
#[unsafe(no_mangle)]
pub unsafe extern "C" fn rets_wait_ready(r: *const rets_t, timeout_ms: i64) -> rets_status {
    guard(|| {
        // SAFETY: the header asks for a living handle, or NULL.
        let r = unsafe { handle_outside_callbacks(r)? };
        Ok(r.replica.wait_ready(timeout(timeout_ms)?)?)
    })
}

/// Stops the engine: the link is closed, its threads end, and no callback runs any
/// more when it returns RETS_OK. Lookups answer RETS_STOPPED from then on. Calls
/// that wait in other threads end with RETS_STOPPED. To stop twice is fine.
///
/// @param[in] r           the handle, in whatever state
/// @param[in] timeout_ms  how long to wait for a callback that is still running;
///                        -1 for ever
/// @return RETS_OK; RETS_TIMEOUT if a callback did not return in time: the engine is
///         told to stop all the same, and another rets_stop() or rets_free() waits
///         for it; RETS_INVALID for NULL or a time below -1; RETS_BUSY_CALLBACK;
///         RETS_FORKED; RETS_PANIC
///
/// Threads: any, any number at a time; not inside a callback. Since: 0.1
#[unsafe(no_mangle)]
pub unsafe extern "C" fn rets_stop(r: *mut rets_t, timeout_ms: i64) -> rets_status {
    guard(|| {
        // SAFETY: the header asks for a living handle, or NULL.
        let r = unsafe { handle_outside_callbacks(r)? };
        Ok(r.replica.stop(timeout(timeout_ms)?)?)
    })
}

/// Stops the engine if it runs, waits for its threads and for a callback that is
/// still running, and frees the handle with all its data. Nothing else may use the
/// handle any more, in any thread. Values and cursors have their own end and may be
/// freed later.
///
/// In a forked child it gives up the handle without touching the engine. Inside a
/// callback it does nothing at all.
///
/// @param[in] r  the handle; NULL is fine
///
/// Threads: any, but the last one to use the handle; not inside a callback.
/// Since: 0.1
#[unsafe(no_mangle)]
pub unsafe extern "C" fn rets_free(r: *mut rets_t) {
    guard_or((), || {
        if r.is_null() || !r.is_aligned() || in_callback() {
            return;
        }
        // SAFETY: rets_new made it from a box, and the header makes this its last use.
        let handle = unsafe { Box::from_raw(r) };
        if handle.process == fork::process() {
            // Which stops it first.
            return drop(handle);
        }
        // The engine's threads don't exist here, and what they shared may be locked for ever:
        // only the handle itself can go.
        let rets_t { replica, lookups, .. } = *handle;
        std::mem::forget((replica, lookups));
    });
}
