//! Changes as C sees them, and the callback that is asked about each.

use super::convert::handle_outside_callbacks;
use super::guard::{call_out, guard};
use super::life::rets_t;
use super::status::rets_status;
use super::value::{part, rets_type_id, rets_value};
use crate::change::{Change, Effect, Phase, Reason, Verdict};
use crate::replica::{SharedGate, Whole};
use std::borrow::Cow;
use std::ffi::{c_int, c_void};
use std::sync::Arc;

/// What a callback answers.
#[repr(C)]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum rets_verdict {
    /// Let it happen.
    RETS_KEEP = 0,
    /// Leave the table as it was.
    RETS_SKIP = 1,
}

/// What happens to a key. A later version may add kinds: answer RETS_KEEP to those.
#[repr(C)]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum rets_event_kind {
    /// It gets a whole new value: see type, value and whole.
    RETS_EVENT_SET = 1,
    /// A string, list, stream or array is edited: value and whole are the result. Also where a
    /// sorted set loses members that can't be told, as some are withheld; result_known is 0.
    RETS_EVENT_EDIT = 2,
    /// It goes away.
    RETS_EVENT_DEL = 3,
    /// It gets, changes or loses its deadline: see expires_at_ms.
    RETS_EVENT_EXPIRE = 4,
    /// A field of a hash is set: see field, value and field_expires_at_ms.
    RETS_EVENT_HASH_SET = 5,
    /// A field of a hash goes away.
    RETS_EVENT_HASH_DEL = 6,
    /// A field of a hash gets, changes or loses its deadline: see field_expires_at_ms.
    RETS_EVENT_HASH_EXPIRE = 7,
    /// A member joins a set: see field.
    RETS_EVENT_SET_ADD = 8,
    /// A member leaves a set.
    RETS_EVENT_SET_REM = 9,
    /// A member joins a sorted set or gets another score: see field and score.
    RETS_EVENT_ZSET_ADD = 10,
    /// A member leaves a sorted set.
    RETS_EVENT_ZSET_REM = 11,
    /// A database, or every one with db -1, loses all its keys. It can't be skipped.
    RETS_EVENT_FLUSH = 12,
    /// The databases db and other_db change places. It can't be skipped.
    RETS_EVENT_SWAP = 13,
    /// A write command that this version can't follow: see argv. It can't be skipped.
    RETS_EVENT_UNKNOWN = 14,
    /// From rets_next_event() only: what was to be told here did not fit into the queue.
    RETS_EVENT_OVERFLOW = 15,
}

/// Why it happens. A later version may add reasons.
#[repr(C)]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum rets_reason {
    /// It came with a snapshot while the table was empty.
    RETS_REASON_SNAPSHOT = 1,
    /// A new full sync found it different from what the table had.
    RETS_REASON_RESYNC = 2,
    /// A command that writes.
    RETS_REASON_COMMAND = 3,
    /// A command that deletes: DEL or UNLINK, also for what the primary evicted or let expire.
    RETS_REASON_DELETE = 4,
    /// The key moved: RENAME, RENAMENX or MOVE.
    RETS_REASON_RENAME = 5,
    /// FLUSHDB, FLUSHALL or SWAPDB.
    RETS_REASON_FLUSH = 6,
    /// It was withheld only because of a filter, and was fetched from the primary: see the
    /// option heal.
    RETS_REASON_HEAL = 7,
}

/// When in the life of the engine it happens. A later version may add phases.
#[repr(C)]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum rets_phase {
    /// A restart from the last state on disk. (Reserved: not in 0.1.)
    RETS_PHASE_WARM = 1,
    /// The first load.
    RETS_PHASE_INITIAL = 2,
    /// Following the stream.
    RETS_PHASE_LIVE = 3,
    /// A later full sync, heard as the difference to what was there.
    RETS_PHASE_RESYNC = 4,
}

/// Some bytes that belong to somebody else.
#[repr(C)]
#[derive(Clone, Copy, Debug)]
pub struct rets_bytes {
    /// Where they are; never NULL here, also where there are none.
    pub data: *const c_void,
    /// How many.
    pub len: usize,
}

/// One change, shown before it happens. Everything in it belongs to the library and is
/// valid until the callback returns; from rets_next_event(), until the next event is
/// given. A later version may append fields; struct_size tells how much of it there is.
#[repr(C)]
#[derive(Clone, Copy, Debug)]
pub struct rets_event {
    /// sizeof(rets_event) of the library that is running.
    pub struct_size: usize,
    /// What happens.
    pub kind: rets_event_kind,
    /// Why.
    pub reason: rets_reason,
    /// When in the engine's life.
    pub phase: rets_phase,
    /// The type of whole; RETS_TYPE_NONE where that is NULL.
    pub r#type: rets_type_id,
    /// Which link it came by; 0.
    pub link: i32,
    /// The database; -1 where all are meant.
    pub db: i32,
    /// The other database of a SWAP; else -1.
    pub other_db: i32,
    /// 0 where the outcome depends on something that was withheld. Then it is not stored, whatever
    /// the callback answers, and value, score and whole are not known. Else 1.
    pub result_known: i32,
    /// 1 if the deadline of what goes away, or of what is set, has passed already; else 0.
    pub deadline_passed: i32,
    /// 1 if the key no longer exists afterwards: it or its last element is deleted; else 0.
    pub key_gone: i32,
    /// The key; empty for FLUSH, SWAP and UNKNOWN.
    pub key: *const c_void,
    /// Its length in bytes.
    pub key_len: usize,
    /// The field of a HASH_ event, the member of a SET_ or ZSET_ event; else NULL.
    pub field: *const c_void,
    /// Its length in bytes.
    pub field_len: usize,
    /// The new value of a string (SET, EDIT) or of a field (HASH_SET); NULL where there is none or
    /// it isn't known, never NULL for an empty one.
    pub value: *const c_void,
    /// Its length in bytes.
    pub value_len: usize,
    /// The new score (ZSET_ADD), a NaN where it isn't known; else 0.
    pub score: f64,
    /// The whole value of the key afterwards, of whatever type, to be walked with rets_value_at();
    /// NULL where there is none or it isn't known.
    pub whole: *const rets_value,
    /// The deadline of the key afterwards in Unix milliseconds; -1 for none, and for a key that is
    /// gone.
    pub expires_at_ms: i64,
    /// The deadline of the field (HASH_SET, HASH_EXPIRE) in Unix milliseconds; -1 for none.
    pub field_expires_at_ms: i64,
    /// The replication offset behind the command or MULTI that it is part of; -1 unknown.
    pub offset: i64,
    /// The command's own arguments, its name first.
    pub argv: *const rets_bytes,
    /// How many; 0 for what comes from a snapshot.
    pub argc: usize,
}

/// A callback that is asked before each change.
///
/// It runs on the engine's thread rets/apply, in the primary's order, one call at a
/// time, with no lock held; while it runs, the engine follows nothing further, but
/// the link goes on receiving and acknowledging. It may use lookups, values, cursors
/// and rets_info(); lookups see what was last published, not the change asked about,
/// nor those before it in the same MULTI. What waits, changes the engine or frees it
/// answers RETS_BUSY_CALLBACK. It must not throw, longjmp out or end its thread: a C++
/// exception that leaves it ends the process.
///
/// @param user   what rets_set_callback() was given
/// @param event  the change
/// @return RETS_KEEP; or RETS_SKIP (any other number) to leave the table as it was
pub type rets_change_fn =
    Option<unsafe extern "C-unwind" fn(user: *mut c_void, event: *const rets_event) -> c_int>;

/// Sets who is asked before each change, or nobody. May be called before rets_start(),
/// so that nothing is missed, and on a running engine: then it holds from the next
/// command or MULTI on.
///
/// When it has returned, the callback that was there before is not running and will
/// not run again: what its user pointer points to may go.
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
pub unsafe extern "C" fn rets_set_callback(
    r: *mut rets_t,
    r#fn: rets_change_fn,
    user: *mut c_void,
) -> rets_status {
    guard(|| {
        // SAFETY: the header asks for a living handle, or NULL.
        let r = unsafe { handle_outside_callbacks(r)? };
        let gate = r#fn.map(|call| Arc::new(CGate { call, user }) as Arc<dyn SharedGate>);
        Ok(r.replica.set_gate(gate)?)
    })
}

/// A function of the program as a gate.
struct CGate {
    call: unsafe extern "C-unwind" fn(*mut c_void, *const rets_event) -> c_int,
    user: *mut c_void,
}

// SAFETY: the header says on which thread the function is called with the pointer, and makes what
// it points to the program's own to guard.
unsafe impl Send for CGate {}
// SAFETY: as above.
unsafe impl Sync for CGate {}

impl SharedGate for CGate {
    fn ask(&self, change: &Change<'_>) -> Verdict {
        let answer = shown(change, |event| {
            // SAFETY: the function is what rets_set_callback was given, and the event is whole.
            call_out(|| unsafe { (self.call)(self.user, event) })
        });
        if answer == rets_verdict::RETS_KEEP as c_int { Verdict::Keep } else { Verdict::Skip }
    }
}

/// Builds the event for a change; it lasts as long as the call of `show`.
pub(super) fn shown<R>(change: &Change<'_>, show: impl FnOnce(&rets_event) -> R) -> R {
    // SAFETY: the change has the value for longer than the event lasts, and whoever is shown that
    // keeps nothing of it: it is neither moved nor given away.
    let value = change.value.map(|value| unsafe { &*std::ptr::from_ref(value) });
    let whole = value.map(|value| Whole::of(Cow::Borrowed(value), change.expires_at_ms));
    let whole = whole.map(|whole| rets_value { whole, borrowed: true });
    let argv = arguments(change.args);
    show(&event_of(change, whole.as_ref(), &argv))
}

/// The event for a change, whose pointers are into these.
pub(super) fn event_of(
    change: &Change<'_>,
    whole: Option<&rets_value>,
    argv: &[rets_bytes],
) -> rets_event {
    let effect = Parts::of(&change.effect);
    let string = whole.and_then(|value| value.whole.string());
    let (key, key_len) = part(Some(change.key));
    let (field, field_len) = part(effect.field);
    let (value, value_len) = part(effect.value.or(string));
    rets_event {
        struct_size: size_of::<rets_event>(),
        kind: effect.kind,
        reason: reason(change.reason),
        phase: phase(change.phase),
        r#type: (whole.and_then(|value| value.whole.kind()))
            .map_or(rets_type_id::RETS_TYPE_NONE, rets_type_id::from),
        link: 0,
        db: database(change.db),
        other_db: database(effect.other),
        result_known: change.result_known.into(),
        deadline_passed: change.deadline_passed.into(),
        key_gone: change.key_gone.into(),
        key,
        key_len,
        field,
        field_len,
        value,
        value_len,
        score: effect.score,
        whole: whole.map_or(std::ptr::null(), std::ptr::from_ref),
        expires_at_ms: change.expires_at_ms.unwrap_or(-1),
        field_expires_at_ms: effect.expires_at_ms.unwrap_or(-1),
        offset: change.offset,
        argv: argv.as_ptr(),
        argc: argv.len(),
    }
}

/// What the kinds of effects have, each on its own.
struct Parts<'a> {
    kind: rets_event_kind,
    field: Option<&'a [u8]>,
    value: Option<&'a [u8]>,
    score: f64,
    expires_at_ms: Option<i64>,
    other: Option<u32>,
}

impl<'a> Parts<'a> {
    fn of(effect: &Effect<'a>) -> Self {
        use rets_event_kind::*;
        let none = |kind| Self {
            kind,
            field: None,
            value: None,
            score: 0.0,
            expires_at_ms: None,
            other: None,
        };
        let named = |kind, name| Self { field: Some(name), ..none(kind) };
        match *effect {
            Effect::Set => none(RETS_EVENT_SET),
            Effect::Edit => none(RETS_EVENT_EDIT),
            Effect::Delete => none(RETS_EVENT_DEL),
            Effect::Expire => none(RETS_EVENT_EXPIRE),
            Effect::HashSet { field, value, expires_at_ms } => {
                Self { value, expires_at_ms, ..named(RETS_EVENT_HASH_SET, field) }
            }
            Effect::HashDelete { field } => named(RETS_EVENT_HASH_DEL, field),
            Effect::HashExpire { field, expires_at_ms } => {
                Self { expires_at_ms, ..named(RETS_EVENT_HASH_EXPIRE, field) }
            }
            Effect::SetAdd { member } => named(RETS_EVENT_SET_ADD, member),
            Effect::SetRemove { member } => named(RETS_EVENT_SET_REM, member),
            Effect::ZsetAdd { member, score } => {
                Self { score: score.unwrap_or(f64::NAN), ..named(RETS_EVENT_ZSET_ADD, member) }
            }
            Effect::ZsetRemove { member } => named(RETS_EVENT_ZSET_REM, member),
            Effect::Flush => none(RETS_EVENT_FLUSH),
            Effect::Swap { other } => Self { other: Some(other), ..none(RETS_EVENT_SWAP) },
            Effect::Unknown => none(RETS_EVENT_UNKNOWN),
        }
    }
}

fn reason(reason: Reason) -> rets_reason {
    match reason {
        Reason::Snapshot => rets_reason::RETS_REASON_SNAPSHOT,
        Reason::Resync => rets_reason::RETS_REASON_RESYNC,
        Reason::Command => rets_reason::RETS_REASON_COMMAND,
        Reason::Delete => rets_reason::RETS_REASON_DELETE,
        Reason::Rename => rets_reason::RETS_REASON_RENAME,
        Reason::Flush => rets_reason::RETS_REASON_FLUSH,
        Reason::Heal => rets_reason::RETS_REASON_HEAL,
    }
}

fn phase(phase: Phase) -> rets_phase {
    match phase {
        Phase::Warm => rets_phase::RETS_PHASE_WARM,
        Phase::Initial => rets_phase::RETS_PHASE_INITIAL,
        Phase::Live => rets_phase::RETS_PHASE_LIVE,
        Phase::Resync => rets_phase::RETS_PHASE_RESYNC,
    }
}

fn database(db: Option<u32>) -> i32 {
    db.map_or(-1, |db| i32::try_from(db).unwrap_or(i32::MAX))
}

/// A command's arguments for C. A command with a million arguments is a million events that each
/// show all of them, so they are not copied where Rust's layout already is what C expects.
fn arguments<'a>(args: &'a [&'a [u8]]) -> Cow<'a, [rets_bytes]> {
    if slices_are_bytes() {
        // SAFETY: size and alignment are the same, and a slice was just seen to be its address
        // followed by its length. Every bit pattern is a valid rets_bytes.
        return Cow::Borrowed(unsafe {
            std::slice::from_raw_parts(args.as_ptr().cast(), args.len())
        });
    }
    Cow::Owned(args.iter().map(|arg| bytes_of(arg)).collect())
}

pub(super) fn bytes_of(bytes: &[u8]) -> rets_bytes {
    rets_bytes { data: bytes.as_ptr().cast(), len: bytes.len() }
}

/// Whether this compiler lays out a slice as its address followed by its length. All do; none
/// promises it. The optimiser turns this into a constant.
fn slices_are_bytes() -> bool {
    const {
        assert!(size_of::<&[u8]>() == size_of::<rets_bytes>());
        assert!(align_of::<&[u8]>() == align_of::<rets_bytes>());
    }
    let probe: &[u8] = b"probe";
    // SAFETY: the sizes are the same, and every bit pattern is a valid rets_bytes.
    let seen: rets_bytes = unsafe { std::mem::transmute_copy(&probe) };
    seen.data == probe.as_ptr().cast() && seen.len == probe.len()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_short_way_to_show_arguments_is_taken_and_shows_the_same() {
        assert!(slices_are_bytes());
        let args: [&[u8]; 3] = [b"SET", b"", b"value"];
        let shown = arguments(&args);
        assert!(matches!(shown, Cow::Borrowed(_)));
        for (shown, arg) in shown.iter().zip(args) {
            let wanted = bytes_of(arg);
            assert_eq!((shown.data, shown.len), (wanted.data, wanted.len));
        }
    }
}
