//! What stands between a C caller and the engine: no panic leaves, and no callback waits for
//! itself.

use super::status::{Failure, rets_status};
use crate::log;
use crate::replica::panics;
use std::any::Any;
use std::cell::Cell;
use std::panic::{AssertUnwindSafe, catch_unwind};

/// What the body of an exported function comes to.
pub(super) type Outcome = Result<(), Failure>;

/// Runs the body of an exported function. A panic becomes `RETS_PANIC`.
pub(super) fn guard(body: impl FnOnce() -> Outcome) -> rets_status {
    match catch_unwind(AssertUnwindSafe(body)) {
        Ok(Ok(())) => rets_status::RETS_OK,
        Ok(Err(failure)) => failure.tell(),
        Err(payload) => panicked(&*payload),
    }
}

/// The same for what has a short way: `glance` comes to a status, or to nothing, and then there is
/// `otherwise`.
#[inline(always)]
pub(super) fn guard_glance(
    glance: impl FnOnce() -> Option<rets_status>,
    otherwise: impl FnOnce() -> rets_status,
) -> rets_status {
    match catch_unwind(AssertUnwindSafe(glance)) {
        Ok(Some(rets_status::RETS_OK)) => rets_status::RETS_OK,
        Ok(Some(status)) => Failure::plain(status).tell(),
        Ok(None) => otherwise(),
        Err(payload) => panicked(&*payload),
    }
}

#[cold]
fn panicked(payload: &(dyn Any + Send)) -> rets_status {
    let error = panics::caught(payload);
    log::log(log::Level::Error, error.text());
    Failure::from(error).tell()
}

/// The same for functions that have nothing to answer but a value.
pub(super) fn guard_or<T>(otherwise: T, body: impl FnOnce() -> T) -> T {
    catch_unwind(AssertUnwindSafe(body)).unwrap_or(otherwise)
}

thread_local! {
    /// How many callbacks of the program this thread is in.
    static CALLBACKS: Cell<u32> = const { Cell::new(0) };
}

/// Marks this thread as being inside a callback of the program.
pub(super) struct InCallback(());

impl InCallback {
    pub(super) fn enter() -> Self {
        CALLBACKS.set(CALLBACKS.get() + 1);
        Self(())
    }
}

impl Drop for InCallback {
    fn drop(&mut self) {
        CALLBACKS.set(CALLBACKS.get() - 1);
    }
}

/// Whether this thread is inside a callback of the program.
pub(super) fn in_callback() -> bool {
    CALLBACKS.get() > 0
}

/// Refuses what would wait for the callback it is called from, or change the engine under it.
pub(super) fn outside_callbacks() -> Outcome {
    if in_callback() { Err(Failure::plain(rets_status::RETS_BUSY_CALLBACK)) } else { Ok(()) }
}

/// Calls a function of the program. A foreign exception that comes out of it ends the process here
/// with a message, before it can unwind the engine.
pub(super) fn call_out<T>(call: impl FnOnce() -> T) -> T {
    let _inside = InCallback::enter();
    match catch_unwind(AssertUnwindSafe(call)) {
        Ok(answer) => answer,
        Err(payload) => std::panic::resume_unwind(payload),
    }
}
