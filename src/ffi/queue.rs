//! Changes after the fact: a descriptor that says that there are some, and a function that gives
//! them one by one.

use super::convert::{Out, handle_outside_callbacks};
use super::event::{bytes_of, event_of, rets_bytes, rets_event, rets_event_kind};
use super::guard::guard;
use super::life::rets_t;
use super::status::{Failure, rets_status};
use super::value::rets_value;
use crate::change::{Change, Effect, Phase, Reason};
use crate::replica::{Event, Recorded, Whole};
use std::borrow::Cow;
use std::ffi::c_int;
use std::os::fd::AsRawFd;

/// A descriptor that is readable while rets_next_event() has something to give, for
/// programs that live in a loop around poll, epoll, libuv or asio and would rather hear of
/// changes there than in a callback. Events are recorded from this call on: call it before
/// rets_start(), so that nothing is missed. Only poll it: the library reads from it and
/// closes it in rets_free().
///
/// An event comes after the fact: what a change callback was asked about before it
/// happened, and did not skip, is told here when lookups can see it. All of a command or
/// MULTI is told or nothing: where it would pass the option event-queue, one
/// RETS_EVENT_OVERFLOW stands in its place and in that of all that follows until there is
/// room again. Then the program knows that it has to look for itself: a queue as large as
/// the largest MULTI, or the first load, spares it that. The engine never waits for
/// whoever takes events. Of its own life it tells here nothing; rets_info() and
/// rets_set_state_callback() do.
///
///     const rets_event *e;
///     struct pollfd p = {.events = POLLIN};
///     if (rets_event_fd(r, &p.fd) == RETS_OK && rets_start(r) == RETS_OK)
///         while (poll(&p, 1, -1) > 0)
///             while (rets_next_event(r, &e) == RETS_OK) ...
///
/// @param[in]  r   the handle
/// @param[out] fd  the descriptor; stays as it is unless RETS_OK
/// @return RETS_OK; RETS_INVALID for NULL; RETS_BUSY_CALLBACK; RETS_FORKED; RETS_PANIC
///
/// Threads: any, any number at a time; not inside a callback. Since: 0.1
#[must_use]
#[unsafe(no_mangle)]
pub unsafe extern "C" fn rets_event_fd(r: *const rets_t, fd: *mut c_int) -> rets_status {
    guard(|| {
        // SAFETY: the header asks for a living handle and a place, or NULL.
        let (r, out) = unsafe { (handle_outside_callbacks(r)?, Out::new(fd, "fd")?) };
        let bell = r.replica.events().descriptor();
        let bell = bell.ok_or_else(|| Failure::plain(rets_status::RETS_UNSUPPORTED))?;
        out.put(bell.as_raw_fd());
        Ok(())
    })
}

/// Gives the oldest event that was not given yet.
///
/// @param[in]  r      the handle
/// @param[out] event  the event; it and what it points to belong to the library and stay
///                    as they are until the next one is given, or rets_free(). Stays as
///                    it is unless RETS_OK
/// @return RETS_OK; RETS_NOT_FOUND: there is none now, and the descriptor is not readable;
///         RETS_INVALID for NULL; RETS_BUSY_CALLBACK; RETS_FORKED; RETS_PANIC
///
/// Threads: any, one at a time for one handle; not inside a callback. It does not wait.
/// Since: 0.1
#[must_use]
#[unsafe(no_mangle)]
pub unsafe extern "C" fn rets_next_event(
    r: *const rets_t,
    event: *mut *const rets_event,
) -> rets_status {
    guard(|| {
        // SAFETY: the header asks for a living handle and a place, or NULL.
        let (r, out) = unsafe { (handle_outside_callbacks(r)?, Out::new(event, "event")?) };
        let mut given = r.given.lock();
        let next = r.replica.events().next();
        let next = next.ok_or_else(|| Failure::plain(rets_status::RETS_NOT_FOUND))?;
        let shown = &given.insert(Given::new(next)).event;
        out.put(std::ptr::from_ref::<rets_event>(shown));
        Ok(())
    })
}

/// An event in the program's hands, and what its pointers are into.
pub(super) struct Given {
    event: Box<rets_event>,
    _whole: Option<Box<rets_value>>,
    _argv: Vec<rets_bytes>,
    _recorded: Option<Box<Recorded>>,
}

// SAFETY: its pointers are into what it owns itself, which nobody changes.
unsafe impl Send for Given {}

impl Given {
    fn new(event: Event) -> Self {
        match event {
            Event::Change(recorded) => Self::of(recorded),
            Event::Overflow => {
                let nothing = Change {
                    effect: Effect::Unknown,
                    reason: Reason::Command,
                    phase: Phase::Live,
                    db: None,
                    key: b"",
                    value: None,
                    expires_at_ms: None,
                    result_known: true,
                    deadline_passed: false,
                    key_gone: false,
                    offset: -1,
                    args: &[],
                };
                let kind = rets_event_kind::RETS_EVENT_OVERFLOW;
                let event = rets_event { kind, ..event_of(&nothing, None, &[]) };
                Self { event: Box::new(event), _whole: None, _argv: Vec::new(), _recorded: None }
            }
        }
    }

    fn of(recorded: Box<Recorded>) -> Self {
        let args = recorded.args();
        let change = recorded.change(&args);
        let value = change.value.cloned().map(Cow::Owned);
        let whole = value.map(|value| Whole::of(value, change.expires_at_ms));
        let whole = whole.map(|whole| Box::new(rets_value { whole, borrowed: true }));
        let argv: Vec<rets_bytes> = args.iter().map(|arg| bytes_of(arg)).collect();
        let event = Box::new(event_of(&change, whole.as_deref(), &argv));
        Self { event, _whole: whole, _argv: argv, _recorded: Some(recorded) }
    }
}
