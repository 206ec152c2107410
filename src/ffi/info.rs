//! What the engine tells about itself: its state, its numbers, its place in the primary's history.

use super::convert::{
    Out, OutSized, database_or_all, fixed, handle, handle_outside_callbacks, text, timeout,
};
use super::guard::{call_out, guard};
use super::life::rets_t;
use super::status::{Failure, rets_status, settle};
use crate::replica::{Info, Moment, State, StateListener, WaitOutcome};
use parking_lot::Mutex;
use std::ffi::{c_char, c_void};
use std::sync::Arc;

/// Where an engine is in its life. A later version may add states.
#[repr(C)]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum rets_state {
    /// Not started yet.
    RETS_STATE_NEW = 0,
    /// On the way to its first connection.
    RETS_STATE_CONNECTING = 1,
    /// A snapshot is coming in, the first or a later one.
    RETS_STATE_LOADING = 2,
    /// Following the stream.
    RETS_STATE_FOLLOWING = 3,
    /// The link is lost and being made again.
    RETS_STATE_RECONNECTING = 4,
    /// Given up, with last_error as the reason, until the options change.
    RETS_STATE_FAILED = 5,
    /// Stopped.
    RETS_STATE_STOPPED = 6,
}

impl From<State> for rets_state {
    fn from(state: State) -> Self {
        match state {
            State::New => Self::RETS_STATE_NEW,
            State::Connecting => Self::RETS_STATE_CONNECTING,
            State::Loading => Self::RETS_STATE_LOADING,
            State::Following => Self::RETS_STATE_FOLLOWING,
            State::Reconnecting => Self::RETS_STATE_RECONNECTING,
            State::Failed => Self::RETS_STATE_FAILED,
            State::Stopped => Self::RETS_STATE_STOPPED,
        }
    }
}

/// What happens in the life of an engine. A later version may add events.
#[repr(C)]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum rets_life {
    /// Nothing yet.
    RETS_LIFE_NONE = 0,
    /// A connection to the primary is being made.
    RETS_LIFE_CONNECTING = 1,
    /// It was made; the handshake goes on.
    RETS_LIFE_CONNECTED = 2,
    /// A full sync begins: a snapshot is coming. With store=none, the changes from here
    /// to READY or LOAD_ABORTED are those of a whole dataset.
    RETS_LIFE_SYNC_BEGUN = 3,
    /// Another megabyte of the snapshot is loaded.
    RETS_LIFE_PROGRESS = 4,
    /// A load was broken off or refused. What was there before is still served, but for what
    /// a resync in place has changed already (mixed).
    RETS_LIFE_LOAD_ABORTED = 5,
    /// The load is complete, or the stream goes on where it was cut.
    RETS_LIFE_READY = 6,
    /// The link was lost; it is made again.
    RETS_LIFE_LINK_LOST = 7,
    /// A command could not be followed: the data may differ from the primary's.
    RETS_LIFE_DIVERGED = 8,
    /// Given up; last_error says why.
    RETS_LIFE_FAILED = 9,
    /// Stopped by the program.
    RETS_LIFE_STOPPED = 10,
    /// A full sync is needed, and waits until another process of this host has done its own
    /// (option sync-lock).
    RETS_LIFE_WAITING_FOR_TURN = 11,
}

impl From<Moment> for rets_life {
    fn from(moment: Moment) -> Self {
        match moment {
            Moment::None => Self::RETS_LIFE_NONE,
            Moment::Connecting => Self::RETS_LIFE_CONNECTING,
            Moment::Connected => Self::RETS_LIFE_CONNECTED,
            Moment::SyncBegun => Self::RETS_LIFE_SYNC_BEGUN,
            Moment::Progress => Self::RETS_LIFE_PROGRESS,
            Moment::LoadAborted => Self::RETS_LIFE_LOAD_ABORTED,
            Moment::Ready => Self::RETS_LIFE_READY,
            Moment::LinkLost => Self::RETS_LIFE_LINK_LOST,
            Moment::Diverged => Self::RETS_LIFE_DIVERGED,
            Moment::Failed => Self::RETS_LIFE_FAILED,
            Moment::Stopped => Self::RETS_LIFE_STOPPED,
            Moment::WaitingForTurn => Self::RETS_LIFE_WAITING_FOR_TURN,
        }
    }
}

/// What an engine tells about itself. A later version may append fields. Texts are cut
/// where they don't fit and always end with a NUL.
#[repr(C)]
#[derive(Clone, Copy, Debug)]
pub struct rets_info_t {
    /// In: sizeof(rets_info_t), so that the library knows how much there is to fill.
    pub struct_size: usize,
    /// Where it is in its life.
    pub state: rets_state,
    /// What happened last. In a state callback: what it is told of.
    pub event: rets_life,
    /// 1 once a load has been completed; lookups have answers from then on, also while the link is
    /// down.
    pub ready: i32,
    /// 1 if something could not be followed, so that the data may differ from the primary's.
    pub diverged: i32,
    /// When the state was entered, in Unix milliseconds.
    pub since_ms: i64,

    /// The replication offset up to which everything is applied; -1 unknown.
    pub offset: i64,
    /// The replication offset up to which everything was received; -1 unknown.
    pub offset_received: i64,
    /// Bytes received and not applied yet; -1 unknown.
    pub lag_bytes: i64,
    /// How long ago the primary was last heard, in milliseconds; -1 never. A primary that has
    /// nothing to say still pings, every ten seconds unless told otherwise.
    pub last_byte_age_ms: i64,
    /// How old the data may be, in milliseconds: everything that the primary had sent so long
    /// ago is applied; -1 before the first load. max-staleness is held against it.
    pub data_age_ms: i64,

    /// Bytes of the snapshot that have come, of the load that is going on or was the last.
    pub loaded_bytes: i64,
    /// How many there will be; -1 unknown: some primaries don't say.
    pub load_total_bytes: i64,
    /// Keys that have come with it.
    pub loaded_keys: u64,

    /// Keys in the table, as DBSIZE counts, over all databases.
    pub keys: u64,
    /// Keys that were withheld whole: only their names are known.
    pub ghosts: u64,
    /// Keys that lack elements that were withheld.
    pub partial: u64,
    /// Keys that stay as they are because a write, a delete or a deadline was skipped.
    pub frozen: u64,
    /// An estimate of the memory that the data takes, in bytes.
    pub memory_bytes: u64,
    /// The most it has taken now or during a load: while one is loaded aside, that of both
    /// datasets, of which what did not change is counted once.
    pub memory_peak_bytes: u64,
    /// Bytes received that wait behind the callback.
    pub spooled_bytes: u64,

    /// Connections made.
    pub connects: u64,
    /// Snapshots begun.
    pub full_syncs: u64,
    /// Reconnects that went on where they were.
    pub partial_syncs: u64,
    /// Commands applied from the stream.
    pub commands_applied: u64,
    /// Units applied: a command, or all of a MULTI.
    pub units: u64,
    /// Write commands that this version can't follow.
    pub unknown_commands: u64,
    /// Commands that did not fit the data.
    pub failed_commands: u64,
    /// Questions asked of the callback.
    pub callbacks: u64,
    /// Those it answered with RETS_SKIP.
    pub skipped: u64,

    /// When the last error was, in Unix milliseconds; -1 never.
    pub last_error_at_ms: i64,
    /// What kind of error was the last one; it stays after things are well again. RETS_OK if there
    /// was none.
    pub last_error: rets_status,
    /// 1 while the engine works or tries again by itself; 0 if it has given up (FAILED: until an
    /// option changes), was stopped, or was not started.
    pub will_retry: i32,
    /// Which link; 0.
    pub link: i32,
    /// 1 while a resync in place (option resync) goes on or was broken off: lookups see keys
    /// of before beside keys of after. No offset is told then, nor is any waited for with success.
    pub mixed: i32,
    /// What it was, in one line.
    pub last_error_text: [c_char; 256],
    /// Where the primary is.
    pub primary: [c_char; 256],
    /// The primary's own version; empty where it doesn't say.
    pub server_version: [c_char; 47],
    /// "redis" or "valkey"; empty where it isn't known.
    pub server_kind: [c_char; 16],
    /// The primary's replication id, 40 hex digits; empty where it has none.
    pub replid: [c_char; 41],

    /// Keys that are withheld only because of a filter and are to be fetched (option heal);
    /// above 0 for as long as the primary can't be asked, which the log tells the reason of.
    pub healing: u64,
    /// Keys of that kind that got their value back.
    pub healed: u64,
    /// How often such a value was refused by the primary, or could not be used: attempts,
    /// not keys.
    pub unhealed: u64,

    /// Of memory_bytes, what strings take with their keys, ...
    pub strings_bytes: u64,
    /// ... lists, ...
    pub lists_bytes: u64,
    /// ... sets, ...
    pub sets_bytes: u64,
    /// ... sorted sets, ...
    pub zsets_bytes: u64,
    /// ... hashes, ...
    pub hashes_bytes: u64,
    /// ... streams, ...
    pub streams_bytes: u64,
    /// ... arrays (Redis 8.8), ...
    pub arrays_bytes: u64,
    /// ... values of modules, ...
    pub modules_bytes: u64,
    /// ... and keys that were withheld whole. Together they are memory_bytes.
    pub ghosts_bytes: u64,
}

/// The smallest structure that a program can have been compiled with: that of 0.1.
const INFO_SIZE_MIN: usize = 864;

impl rets_info_t {
    fn of(info: &Info) -> Self {
        let last = info.last_error.as_ref();
        let replid = info.replid.as_ref().map_or(Ok(""), |id| std::str::from_utf8(id));
        let [
            strings_bytes,
            lists_bytes,
            sets_bytes,
            zsets_bytes,
            hashes_bytes,
            streams_bytes,
            arrays_bytes,
            modules_bytes,
            ghosts_bytes,
        ] = info.memory_by_type;
        Self {
            struct_size: size_of::<Self>(),
            state: info.state.into(),
            event: info.moment.into(),
            link: i32::try_from(info.link).unwrap_or(i32::MAX),
            mixed: info.mixed.into(),
            ready: info.ready.into(),
            diverged: info.diverged.into(),
            since_ms: info.since_ms,
            offset: info.offset,
            offset_received: info.offset_received,
            lag_bytes: info.lag_bytes,
            last_byte_age_ms: info.last_byte_age_ms,
            data_age_ms: info.data_age_ms,
            loaded_bytes: i64::try_from(info.loaded_bytes).unwrap_or(i64::MAX),
            load_total_bytes: info.load_total_bytes,
            loaded_keys: info.loaded_keys,
            keys: info.keys,
            ghosts: info.ghosts,
            partial: info.partial,
            frozen: info.frozen,
            memory_bytes: info.memory_bytes,
            memory_peak_bytes: info.memory_peak_bytes,
            spooled_bytes: info.spooled_bytes,
            connects: info.connects,
            full_syncs: info.full_syncs,
            partial_syncs: info.partial_syncs,
            commands_applied: info.commands_applied,
            units: info.units,
            unknown_commands: info.unknown_commands,
            failed_commands: info.failed_commands,
            callbacks: info.callbacks,
            skipped: info.skipped,
            last_error_at_ms: info.last_error_at_ms,
            last_error: last.map_or(rets_status::RETS_OK, |error| error.kind().into()),
            will_retry: info.will_retry.into(),
            last_error_text: fixed(last.map_or("", |error| error.text())),
            primary: fixed(&info.primary),
            server_version: fixed(&info.server_version),
            server_kind: fixed(&info.server_kind),
            replid: fixed(replid.unwrap_or("")),
            healing: info.healing,
            healed: info.healed,
            unhealed: info.unhealed,
            strings_bytes,
            lists_bytes,
            sets_bytes,
            zsets_bytes,
            hashes_bytes,
            streams_bytes,
            arrays_bytes,
            modules_bytes,
            ghosts_bytes,
        }
    }
}

/// Tells where the engine is and how it is doing.
///
///     rets_info_t info;
///     info.struct_size = sizeof info;
///     if (rets_info(r, &info) == RETS_OK) ...
///
/// @param[in]     r     the handle
/// @param[in,out] info  its struct_size set by the caller, the rest filled unless it
///                      fails
/// @return RETS_OK; RETS_INVALID for NULL or a struct_size that can't be; RETS_FORKED;
///         RETS_PANIC
///
/// Threads: any, any number at a time, also inside callbacks. Since: 0.1
#[unsafe(no_mangle)]
pub unsafe extern "C" fn rets_info(r: *const rets_t, info: *mut rets_info_t) -> rets_status {
    guard(|| {
        // SAFETY: the header asks for a living handle and a structure, or NULL.
        let r = unsafe { handle(r)? };
        // SAFETY: the header has the caller set the size.
        let out = unsafe { OutSized::new(info, INFO_SIZE_MIN, "info")? };
        out.put(rets_info_t::of(&r.replica.info()));
        Ok(())
    })
}

/// A callback that hears of the engine's life: connecting, a load that begins, goes on,
/// ends or is given up, ready, a link that is lost, failed, stopped. It gets the same
/// numbers as rets_info().
///
/// It may run on any engine thread, one call at a time, with no lock held, and delays
/// the engine while it runs. It may call what a change callback may, and must not
/// throw, longjmp out or end its thread.
///
/// @param user  what rets_set_state_callback() was given
/// @param info  valid until the callback returns
pub type rets_state_fn =
    Option<unsafe extern "C-unwind" fn(user: *mut c_void, info: *const rets_info_t)>;

/// Sets who hears of the engine's life, or nobody. When it has returned, the callback
/// that was there before is not running and will not run again.
///
/// @param[in] r     the handle
/// @param[in] fn    the callback; NULL for none
/// @param[in] user  handed to it as it is
/// @return RETS_OK; RETS_INVALID for a NULL handle; RETS_BUSY_CALLBACK; RETS_FORKED;
///         RETS_PANIC
///
/// Threads: any, any number at a time; not inside a callback. Waits for a callback
/// that is running. Since: 0.1
#[unsafe(no_mangle)]
pub unsafe extern "C" fn rets_set_state_callback(
    r: *mut rets_t,
    r#fn: rets_state_fn,
    user: *mut c_void,
) -> rets_status {
    guard(|| {
        // SAFETY: the header asks for a living handle, or NULL.
        let r = unsafe { handle_outside_callbacks(r)? };
        let listener = r#fn.map(|call| {
            let callback = StateCallback { call, user, calling: Mutex::new(()) };
            Arc::new(move |info: &Info| callback.tell(info)) as Arc<StateListener>
        });
        Ok(r.replica.set_state_listener(listener)?)
    })
}

/// A function of the program that hears of states.
struct StateCallback {
    call: unsafe extern "C-unwind" fn(*mut c_void, *const rets_info_t),
    user: *mut c_void,
    /// Held during a call, so that there is one at a time. Nothing else takes it.
    calling: Mutex<()>,
}

// SAFETY: the header says on which threads the function is called with the pointer, and makes what
// it points to the program's own to guard.
unsafe impl Send for StateCallback {}
// SAFETY: as above.
unsafe impl Sync for StateCallback {}

impl StateCallback {
    fn tell(&self, info: &Info) {
        let _one_at_a_time = self.calling.lock();
        let info = rets_info_t::of(info);
        // SAFETY: the function is what rets_set_state_callback was given.
        call_out(|| unsafe { (self.call)(self.user, &raw const info) });
    }
}

/// How many keys there are, as DBSIZE counts: with those that are logically expired,
/// without those that were withheld.
///
/// @param[in]  r      the handle
/// @param[in]  db     the database's number; -1 for all of them
/// @param[out] count  how many; stays as it is unless RETS_OK
/// @return RETS_OK; RETS_NOT_READY; RETS_STALE; RETS_STOPPED; RETS_INVALID for NULL or
///         a db below -1; RETS_FORKED; RETS_PANIC
///
/// Threads: any, any number at a time, also inside callbacks. Since: 0.1
#[must_use]
#[unsafe(no_mangle)]
pub unsafe extern "C" fn rets_count(r: *const rets_t, db: i32, count: *mut u64) -> rets_status {
    guard(|| {
        // SAFETY: the header asks for a living handle and a place, or NULL.
        let (r, out) = unsafe { (handle(r)?, Out::new(count, "count")?) };
        out.put(settle(r.lookups.count(database_or_all(db)?))? as u64);
        Ok(())
    })
}

/// Waits until everything up to a replication offset is applied: to read one's own
/// writes, ask the primary for its master_repl_offset after writing and wait for it.
///
/// @param[in] r           the handle
/// @param[in] replid      the replication id that the offset belongs to, 40 hex digits;
///                        NULL for whatever history is followed
/// @param[in] offset      the offset
/// @param[in] timeout_ms  how long; -1 for ever, 0 to ask only
/// @return RETS_OK: it is applied; RETS_OTHER_HISTORY: the id is not the one followed,
///         so the offset says nothing; RETS_TIMEOUT; RETS_STOPPED; RETS_UNSUPPORTED: this
///         primary has no offsets (Redis before 2.8), or the engine gave up with that; RETS_AUTH,
///         RETS_PROTOCOL, RETS_IO or RETS_NO_MEMORY if it gave up with one of these, so
///         that the offset will not come; RETS_INVALID for a NULL handle, a
///         negative offset, an id that can't be, or a time below -1; RETS_BUSY_CALLBACK;
///         RETS_FORKED; RETS_PANIC
///
/// Threads: any, any number at a time; not inside a callback. Since: 0.1
#[must_use]
#[unsafe(no_mangle)]
pub unsafe extern "C" fn rets_wait_offset(
    r: *const rets_t,
    replid: *const c_char,
    offset: i64,
    timeout_ms: i64,
) -> rets_status {
    guard(|| {
        // SAFETY: the header asks for a living handle, or NULL.
        let r = unsafe { handle_outside_callbacks(r)? };
        let replid = match replid {
            id if id.is_null() => None,
            // SAFETY: the header asks for a string, or NULL.
            id => Some(unsafe { text(id, "replid")? }),
        };
        let is_id = |id: &str| id.len() == 40 && id.bytes().all(|b| b.is_ascii_hexdigit());
        if !replid.is_none_or(is_id) {
            return Err(Failure::invalid("replid is not 40 hex digits"));
        }
        if offset < 0 {
            return Err(Failure::invalid("offset is negative"));
        }
        match r.replica.wait_offset(replid, offset, timeout(timeout_ms)?)? {
            WaitOutcome::Reached => Ok(()),
            WaitOutcome::OtherHistory => Err(Failure::plain(rets_status::RETS_OTHER_HISTORY)),
            WaitOutcome::Unsupported => Err(Failure::plain(rets_status::RETS_UNSUPPORTED)),
        }
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_program_of_the_first_version_is_still_understood() {
        assert!(INFO_SIZE_MIN <= size_of::<rets_info_t>());
        // Without padding, all bytes that C gets are bytes that somebody set.
        let (words, halves, texts) = (39, 8, 256 + 256 + 47 + 16 + 41);
        assert_eq!(size_of::<rets_info_t>(), 8 * words + 4 * halves + texts);
    }
}
