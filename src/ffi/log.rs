//! The log hook.

use super::guard::{call_out, guard, outside_callbacks};
use super::status::{Failure, rets_status};
use crate::log::{Level, Sink, set_sink};
use std::ffi::{c_char, c_int, c_void};
use std::sync::Arc;

/// How much a line of the log matters.
#[repr(C)]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum rets_log_level {
    /// Something that the program must act on.
    RETS_LOG_ERROR = 1,
    /// Something that went wrong and is being dealt with.
    RETS_LOG_WARNING = 2,
    /// What happens in a normal life: connected, synced.
    RETS_LOG_INFO = 3,
    /// Single steps.
    RETS_LOG_DEBUG = 4,
}

/// A callback that hears what the library would write to a log, if it wrote one.
///
/// It may run on any thread, engine threads or the caller's own, and on several at once.
/// It may call what a change callback may, and must not throw, longjmp out or end its
/// thread.
///
/// @param user      what rets_set_log() was given
/// @param level     a rets_log_level
/// @param text      one line without a newline at its end, with a NUL; valid until the
///                  callback returns. Values and passwords are not in it, but
///                  names of keys may be
/// @param text_len  its length in bytes
pub type rets_log_fn = Option<
    unsafe extern "C-unwind" fn(
        user: *mut c_void,
        level: c_int,
        text: *const c_char,
        text_len: usize,
    ),
>;

/// Sets who hears the log of the whole process, or nobody, as it is at first. When it
/// has returned, the callback that was there before is not running and will not run
/// again.
///
/// @param[in] fn     the callback; NULL for none
/// @param[in] user   handed to it as it is
/// @param[in] level  a rets_log_level: what matters less is not heard
/// @return RETS_OK; RETS_INVALID for a level that is none (with a callback);
///         RETS_BUSY_CALLBACK; RETS_PANIC
///
/// Threads: any, any number at a time; not inside a callback. Since: 0.1
#[unsafe(no_mangle)]
pub unsafe extern "C" fn rets_set_log(
    r#fn: rets_log_fn,
    user: *mut c_void,
    level: c_int,
) -> rets_status {
    guard(|| {
        outside_callbacks()?;
        let Some(call) = r#fn else {
            set_sink(None, Level::Error);
            return Ok(());
        };
        let level = match level {
            1 => Level::Error,
            2 => Level::Warning,
            3 => Level::Info,
            4 => Level::Debug,
            _ => return Err(Failure::invalid("level is not a rets_log_level")),
        };
        let callback = LogCallback { call, user };
        let sink: Sink = Arc::new(move |level: Level, text: &str| callback.tell(level, text));
        set_sink(Some(sink), level);
        Ok(())
    })
}

/// A function of the program that hears the log.
struct LogCallback {
    call: unsafe extern "C-unwind" fn(*mut c_void, c_int, *const c_char, usize),
    user: *mut c_void,
}

// SAFETY: the header says on which threads the function is called with the pointer, and makes what
// it points to the program's own to guard.
unsafe impl Send for LogCallback {}
// SAFETY: as above.
unsafe impl Sync for LogCallback {}

impl LogCallback {
    fn tell(&self, level: Level, text: &str) {
        let mut line = Vec::with_capacity(text.len() + 1);
        line.extend_from_slice(text.as_bytes());
        line.push(0);
        let line = line.as_ptr().cast();
        // SAFETY: the function is what rets_set_log was given; the line ends with a NUL.
        call_out(|| unsafe { (self.call)(self.user, level as c_int, line, text.len()) });
    }
}
