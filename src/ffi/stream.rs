//! What a stream has besides its entries: ids, counts, and the groups that consume it.

use super::convert::OutSized;
use super::guard::guard;
use super::status::{Failure, rets_status};
use super::value::{part, rets_value, value};
use crate::replica::{Group, Stream};
use std::ffi::c_void;

/// What a stream keeps beside its entries. A later version may append fields.
#[repr(C)]
#[derive(Clone, Copy, Debug)]
pub struct rets_stream {
    /// In: sizeof(rets_stream), so that the library knows how much there is to fill.
    pub struct_size: usize,
    /// The last id that was ever given out: its first number.
    pub last_id_ms: u64,
    /// Its second number.
    pub last_id_seq: u64,
    /// The id of the first entry; 0-0 where there is none.
    pub first_id_ms: u64,
    /// Its second number.
    pub first_id_seq: u64,
    /// The largest id that was deleted singly; 0-0 where none was.
    pub max_deleted_id_ms: u64,
    /// Its second number.
    pub max_deleted_id_seq: u64,
    /// Entries that were ever added, as far as the primary knows.
    pub entries_added: u64,
    /// Entries that are there, as XLEN counts.
    pub entries: usize,
    /// Groups, in the order of their names' bytes.
    pub groups: usize,
}

/// A group of a stream. A later version may append fields.
#[repr(C)]
#[derive(Clone, Copy, Debug)]
pub struct rets_group {
    /// In: sizeof(rets_group), so that the library knows how much there is to fill.
    pub struct_size: usize,
    /// Its name.
    pub name: *const c_void,
    /// The length of its name in bytes.
    pub name_len: usize,
    /// The last id that was delivered to any of its consumers: its first number.
    pub last_id_ms: u64,
    /// Its second number.
    pub last_id_seq: u64,
    /// Entries that it has read; -1 where the primary does not know.
    pub entries_read: i64,
    /// Consumers, in the order of their names' bytes.
    pub consumers: usize,
    /// Entries that were delivered and not acknowledged, in the order of their ids.
    pub pending: usize,
}

/// A consumer of a group. A later version may append fields.
#[repr(C)]
#[derive(Clone, Copy, Debug)]
pub struct rets_consumer {
    /// In: sizeof(rets_consumer), so that the library knows how much there is to fill.
    pub struct_size: usize,
    /// Its name.
    pub name: *const c_void,
    /// The length of its name in bytes.
    pub name_len: usize,
    /// Entries that are pending with it.
    pub pending: usize,
    /// When it last asked for anything, in Unix milliseconds. Each server has this by its
    /// own clock, and so has the library.
    pub seen_at_ms: i64,
    /// When it last got anything, likewise; -1 for never and for primaries before Redis
    /// 7.2.
    pub active_at_ms: i64,
}

/// An entry that was delivered to a consumer of a group and not acknowledged yet. A later
/// version may append fields.
#[repr(C)]
#[derive(Clone, Copy, Debug)]
pub struct rets_pending {
    /// In: sizeof(rets_pending), so that the library knows how much there is to fill.
    pub struct_size: usize,
    /// The id of the entry, which may be deleted: its first number.
    pub id_ms: u64,
    /// Its second number.
    pub id_seq: u64,
    /// The consumer's name; NULL where it gave the entry back (XNACK of Redis 8.8).
    pub consumer: *const c_void,
    /// The length of its name in bytes.
    pub consumer_len: usize,
    /// When it was last delivered, in Unix milliseconds; 0 where it was given back.
    pub delivered_at_ms: i64,
    /// How often it was delivered.
    pub deliveries: u64,
}

// The structures as the first version has them: programs that know no more of them.
const STREAM_SIZE_MIN: usize = 80;
const GROUP_SIZE_MIN: usize = 64;
const CONSUMER_SIZE_MIN: usize = 48;
const PENDING_SIZE_MIN: usize = 56;

/// The stream of a value.
fn stream(v: &rets_value) -> Result<&Stream, Failure> {
    v.whole.stream().ok_or_else(|| Failure::plain(rets_status::RETS_WRONG_TYPE))
}

fn group(v: &rets_value, index: usize) -> Result<(&[u8], &Group), Failure> {
    stream(v)?.group_at(index).ok_or_else(not_found)
}

fn not_found() -> Failure {
    Failure::plain(rets_status::RETS_NOT_FOUND)
}

/// Shows what a stream keeps beside its entries.
///
///     rets_stream stream;
///     stream.struct_size = sizeof stream;
///     if (rets_value_stream(v, &stream) == RETS_OK) ...
///
/// @param[in]     v       the value
/// @param[in,out] stream  its struct_size set by the caller, the rest filled if RETS_OK
/// @return RETS_OK; RETS_WRONG_TYPE: v has no stream; RETS_INVALID for NULL or a
///         struct_size that can't be; RETS_PANIC
///
/// Threads: any, any number at a time, also inside callbacks and in a forked child.
/// Since: 0.1
#[must_use]
#[unsafe(no_mangle)]
pub unsafe extern "C" fn rets_value_stream(
    v: *const rets_value,
    stream: *mut rets_stream,
) -> rets_status {
    guard(|| {
        // SAFETY: the header asks for a living value and a structure, or NULL.
        let (v, out) = unsafe { (value(v)?, OutSized::new(stream, STREAM_SIZE_MIN, "stream")?) };
        let stream = self::stream(v)?;
        let (last, first) = (stream.last_id(), stream.first_id());
        let max_deleted = stream.max_deleted_id();
        out.put(rets_stream {
            struct_size: size_of::<rets_stream>(),
            last_id_ms: last.ms,
            last_id_seq: last.seq,
            first_id_ms: first.ms,
            first_id_seq: first.seq,
            max_deleted_id_ms: max_deleted.ms,
            max_deleted_id_seq: max_deleted.seq,
            entries_added: stream.added(),
            entries: stream.len(),
            groups: stream.groups_len(),
        });
        Ok(())
    })
}

/// Shows a group of a stream.
///
/// @param[in]     v      the value
/// @param[in]     index  its place in the order of the names, from 0
/// @param[in,out] group  its struct_size set by the caller, the rest filled if RETS_OK;
///                       the name stays as it is until v is read into again or freed
/// @return RETS_OK; RETS_NOT_FOUND: index is behind the last; RETS_WRONG_TYPE: v has no
///         stream; RETS_INVALID for NULL or a struct_size that can't be; RETS_PANIC
///
/// Threads: any, any number at a time, also inside callbacks and in a forked child.
/// Since: 0.1
#[must_use]
#[unsafe(no_mangle)]
pub unsafe extern "C" fn rets_value_group_at(
    v: *const rets_value,
    index: usize,
    group: *mut rets_group,
) -> rets_status {
    guard(|| {
        // SAFETY: the header asks for a living value and a structure, or NULL.
        let (v, out) = unsafe { (value(v)?, OutSized::new(group, GROUP_SIZE_MIN, "group")?) };
        let (name, group) = self::group(v, index)?;
        let (name, name_len) = part(Some(name));
        out.put(rets_group {
            struct_size: size_of::<rets_group>(),
            name,
            name_len,
            last_id_ms: group.last_id.ms,
            last_id_seq: group.last_id.seq,
            entries_read: group.entries_read.and_then(|n| i64::try_from(n).ok()).unwrap_or(-1),
            consumers: group.consumers_len(),
            pending: group.pending_len(),
        });
        Ok(())
    })
}

/// Shows a consumer of a group.
///
/// @param[in]     v         the value
/// @param[in]     group     the group's place, as for rets_value_group_at()
/// @param[in]     index     the consumer's place in the order of the names, from 0
/// @param[in,out] consumer  its struct_size set by the caller, the rest filled if RETS_OK;
///                          the name stays as it is until v is read into again or freed
/// @return RETS_OK; RETS_NOT_FOUND: group or index is behind the last; RETS_WRONG_TYPE:
///         v has no stream; RETS_INVALID for NULL or a struct_size that can't be;
///         RETS_PANIC
///
/// Threads: any, any number at a time, also inside callbacks and in a forked child.
/// Since: 0.1
#[must_use]
#[unsafe(no_mangle)]
pub unsafe extern "C" fn rets_value_consumer_at(
    v: *const rets_value,
    group: usize,
    index: usize,
    consumer: *mut rets_consumer,
) -> rets_status {
    guard(|| {
        // SAFETY: the header asks for a living value and a structure, or NULL.
        let (v, out) =
            unsafe { (value(v)?, OutSized::new(consumer, CONSUMER_SIZE_MIN, "consumer")?) };
        let consumer = self::group(v, group)?.1.consumer_at(index).ok_or_else(not_found)?;
        let (name, name_len) = part(Some(consumer.name));
        out.put(rets_consumer {
            struct_size: size_of::<rets_consumer>(),
            name,
            name_len,
            pending: consumer.pending,
            seen_at_ms: consumer.seen_at_ms,
            active_at_ms: consumer.active_at_ms.unwrap_or(-1),
        });
        Ok(())
    })
}

/// Shows an entry that a group has pending.
///
/// @param[in]     v        the value
/// @param[in]     group    the group's place, as for rets_value_group_at()
/// @param[in]     index    the entry's place in the order of the ids, from 0
/// @param[in,out] pending  its struct_size set by the caller, the rest filled if RETS_OK;
///                         the name stays as it is until v is read into again or freed
/// @return RETS_OK; RETS_NOT_FOUND: group or index is behind the last; RETS_WRONG_TYPE:
///         v has no stream; RETS_INVALID for NULL or a struct_size that can't be;
///         RETS_PANIC
///
/// Threads: any, any number at a time, also inside callbacks and in a forked child.
/// Since: 0.1
#[must_use]
#[unsafe(no_mangle)]
pub unsafe extern "C" fn rets_value_pending_at(
    v: *const rets_value,
    group: usize,
    index: usize,
    pending: *mut rets_pending,
) -> rets_status {
    guard(|| {
        // SAFETY: the header asks for a living value and a structure, or NULL.
        let (v, out) = unsafe { (value(v)?, OutSized::new(pending, PENDING_SIZE_MIN, "pending")?) };
        let pending = self::group(v, group)?.1.pending_at(index).ok_or_else(not_found)?;
        let (consumer, consumer_len) = part(pending.consumer);
        out.put(rets_pending {
            struct_size: size_of::<rets_pending>(),
            id_ms: pending.id.ms,
            id_seq: pending.id.seq,
            consumer,
            consumer_len,
            delivered_at_ms: pending.delivered_at_ms,
            deliveries: pending.deliveries,
        });
        Ok(())
    })
}
