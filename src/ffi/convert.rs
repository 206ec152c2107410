//! From what C hands in to what Rust can work with. NULL and nonsense end here as `RETS_INVALID`.

use super::fork;
use super::guard::{Outcome, outside_callbacks};
use super::life::rets_t;
use super::status::{Failure, rets_status};
use std::ffi::{CStr, c_char, c_void};

/// The Rust limit for one object in memory; C's `PTRDIFF_MAX`.
const LEN_MAX: usize = isize::MAX as usize;

/// A handle, for what may be called from anywhere in the process that made it.
///
/// # Safety
/// `r` is NULL or a handle that is not freed while `'a` lasts.
pub(super) unsafe fn handle<'a>(r: *const rets_t) -> Result<&'a rets_t, Failure> {
    if r.is_null() || !r.is_aligned() {
        return Err(Failure::invalid("r is not a handle"));
    }
    // SAFETY: not NULL, so by this function's own condition it is a living handle.
    let r = unsafe { &*r };
    if r.process != fork::process() {
        return Err(Failure::plain(rets_status::RETS_FORKED));
    }
    Ok(r)
}

/// What a lookup that copies begins with, if nothing is wrong or unusual with it: that is asked at
/// once, and what it was where it costs nobody anything.
///
/// # Safety
/// As for [`handle`], [`bytes`] and [`OutBuf::new`].
#[inline(always)]
pub(super) unsafe fn usual<'a>(
    r: *const rets_t,
    db: i32,
    key: *const c_void,
    key_len: usize,
    buf: *mut c_void,
    buf_len: usize,
    len: *mut usize,
) -> Option<(&'a rets_t, u32, &'a [u8], OutBuf)> {
    // A size that were negative would be too large.
    let is_negative = ((key_len | buf_len) as isize | db as isize) < 0;
    let is_odd =
        !(r.addr() | len.addr()).is_multiple_of(align_of::<rets_t>().max(align_of::<usize>()));
    if r.is_null() || len.is_null() || is_odd || is_negative {
        return None;
    }
    // SAFETY: not NULL, so by this function's own condition it is a living handle.
    let r = unsafe { &*r };
    if r.process != fork::process() || key.is_null() || buf.is_null() {
        return None;
    }
    // SAFETY: not NULL, so by this function's own condition there are so many bytes.
    let key = unsafe { std::slice::from_raw_parts(key.cast(), key_len) };
    Some((r, db as u32, key, OutBuf { buf: buf.cast(), buf_len, len: Out(len) }))
}

/// A handle, for what may not be called from a callback.
///
/// # Safety
/// As for [`handle`].
pub(super) unsafe fn handle_outside_callbacks<'a>(r: *const rets_t) -> Result<&'a rets_t, Failure> {
    // SAFETY: this function asks for the same.
    let r = unsafe { handle(r)? };
    outside_callbacks()?;
    Ok(r)
}

/// Bytes that C describes by where they are and how many.
///
/// # Safety
/// `len` is 0, or `data` is NULL or points to `len` bytes that nobody changes while `'a` lasts.
pub(super) unsafe fn bytes<'a>(
    data: *const c_void,
    len: usize,
    name: &'static str,
) -> Result<&'a [u8], Failure> {
    if len == 0 {
        return Ok(&[]);
    }
    if data.is_null() || len > LEN_MAX {
        return Err(Failure::bad_bytes(name));
    }
    // SAFETY: not NULL and not empty, so by this function's own condition there are `len` bytes.
    Ok(unsafe { std::slice::from_raw_parts(data.cast(), len) })
}

/// A string that ends with a NUL.
///
/// # Safety
/// `text` is NULL or points to a NUL-terminated string that nobody changes while `'a` lasts.
pub(super) unsafe fn text<'a>(text: *const c_char, name: &str) -> Result<&'a str, Failure> {
    if text.is_null() {
        return Err(Failure::invalid(format!("{name} is NULL")));
    }
    // SAFETY: not NULL, so by this function's own condition it is NUL-terminated.
    let text = unsafe { CStr::from_ptr(text) };
    text.to_str().map_err(|_| Failure::invalid(format!("{name} is not UTF-8")))
}

/// A database number.
pub(super) fn database(db: i32) -> Result<u32, Failure> {
    u32::try_from(db).map_err(|_| Failure::invalid("db is negative"))
}

/// A database number, or -1 for all of them.
pub(super) fn database_or_all(db: i32) -> Result<Option<u32>, Failure> {
    match db {
        -1 => Ok(None),
        db => database(db).map(Some),
    }
}

/// A time to wait, -1 for ever.
pub(super) fn timeout(ms: i64) -> Result<i64, Failure> {
    if ms < -1 { Err(Failure::invalid("a time is -1, 0 or more")) } else { Ok(ms) }
}

/// A pointer to something that C wants filled.
pub(super) struct Out<T>(*mut T);

impl<T> Clone for Out<T> {
    fn clone(&self) -> Self {
        *self
    }
}

impl<T> Copy for Out<T> {}

impl<T> Out<T> {
    /// # Safety
    /// `place` is NULL or may be written to as long as the `Out` lives.
    pub(super) unsafe fn new(place: *mut T, name: &str) -> Result<Self, Failure> {
        // SAFETY: this function asks for the same.
        unsafe { Self::optional(place) }.ok_or_else(|| Failure::bad_place(name))
    }

    /// Where NULL means: not wanted.
    ///
    /// # Safety
    /// As for [`Out::new`].
    pub(super) unsafe fn optional(place: *mut T) -> Option<Self> {
        (!place.is_null() && place.is_aligned()).then_some(Self(place))
    }

    pub(super) fn put(&self, value: T) {
        // SAFETY: whoever made this promised that the place may be written to. It may be
        // uninitialised, so nothing is dropped.
        unsafe { self.0.write(value) }
    }
}

impl<T: Copy> Out<T> {
    /// # Safety
    /// The place was initialised by the caller.
    pub(super) unsafe fn get(&self) -> T {
        // SAFETY: not NULL, aligned, and initialised by this function's own condition.
        unsafe { self.0.read() }
    }
}

/// Beyond this the size of a structure was not set by anybody.
const STRUCT_SIZE_MAX: usize = 1 << 16;

/// A structure that C wants filled, whose first field is its size as the program knows it.
pub(super) struct OutSized<T> {
    place: *mut T,
    size: usize,
}

impl<T: Copy> OutSized<T> {
    /// `least` is the size that the first version of the structure had.
    ///
    /// # Safety
    /// `place` is NULL, or its first field is a `size_t` that was set, and as many bytes may be
    /// written to as long as the `OutSized` lives.
    pub(super) unsafe fn new(place: *mut T, least: usize, name: &str) -> Result<Self, Failure> {
        if place.is_null() || !place.is_aligned() {
            return Err(Failure::bad_place(name));
        }
        // SAFETY: not NULL, so by this function's own condition the first field is set.
        let size = unsafe { place.cast::<usize>().read() };
        if (least..=STRUCT_SIZE_MAX).contains(&size) {
            return Ok(Self { place, size });
        }
        Err(Failure::invalid(format!("{name}.struct_size is not the size of the structure")))
    }

    /// Fills as much as both sides know. What a newer program has behind that becomes zero.
    pub(super) fn put(&self, ours: T) {
        let known = self.size.min(size_of::<T>());
        let place = self.place.cast::<u8>();
        // SAFETY: the caller has `size` bytes there, and `known` is not more than that or than
        // ours. The size itself stays what it was.
        unsafe {
            std::ptr::copy_nonoverlapping((&raw const ours).cast(), place, known);
            place.add(known).write_bytes(0, self.size - known);
            self.place.cast::<usize>().write(self.size);
        }
    }
}

/// A caller's buffer and the place for its length: all or nothing.
#[derive(Clone, Copy)]
pub(super) struct OutBuf {
    buf: *mut u8,
    buf_len: usize,
    len: Out<usize>,
}

impl OutBuf {
    /// Stores 0 as the length, which holds for every outcome but two.
    ///
    /// # Safety
    /// `buf` is NULL or points to `buf_len` bytes, `len` is NULL or points to a `size_t`; both may
    /// be written to as long as the `OutBuf` lives.
    pub(super) unsafe fn new(
        buf: *mut c_void,
        buf_len: usize,
        len: *mut usize,
    ) -> Result<Self, Failure> {
        // SAFETY: this function asks for the same.
        let out = unsafe { Self::keeping_len(buf, buf_len, len) };
        // SAFETY: as above.
        if let Some(len) = unsafe { Out::optional(len) } {
            len.put(0);
        }
        out
    }

    /// The same, but the length stays as it is until something is stored.
    ///
    /// # Safety
    /// As for [`OutBuf::new`].
    pub(super) unsafe fn keeping_len(
        buf: *mut c_void,
        buf_len: usize,
        len: *mut usize,
    ) -> Result<Self, Failure> {
        // SAFETY: this function asks for the same.
        let len = unsafe { Out::new(len, "len")? };
        if (buf.is_null() && buf_len > 0) || buf_len > LEN_MAX {
            return Err(Failure::bad_bytes("buf"));
        }
        Ok(Self { buf: buf.cast(), buf_len, len })
    }

    /// Copies if there is room for everything; in any case tells how much room that takes.
    pub(super) fn put(self, value: &[u8]) -> Outcome {
        match self.put_usual(value) {
            rets_status::RETS_OK => Ok(()),
            status => Err(Failure::plain(status)),
        }
    }

    /// The same, for who has nothing else to say but a status.
    #[inline(always)]
    pub(super) fn put_usual(self, value: &[u8]) -> rets_status {
        self.len.put(value.len());
        if value.len() > self.buf_len {
            return rets_status::RETS_TOO_SMALL;
        }
        // SAFETY: the caller has `buf_len` bytes there, which is enough, and not NULL if it is not
        // 0. The value is the table's or our own: it can't overlap.
        unsafe { copy(value, self.buf) }
        rets_status::RETS_OK
    }

    /// There is nothing to copy, as this says.
    #[inline(always)]
    pub(super) fn lacking(self, status: rets_status) -> rets_status {
        self.len.put(0);
        status
    }

    pub(super) fn put_len(&self, len: usize) {
        self.len.put(len);
    }
}

/// Copies without a call what has the size that most values have: by its two ends, which overlap.
///
/// # Safety
/// There is room for it, and if it is not empty, `to` is not NULL. It does not overlap.
#[inline(always)]
unsafe fn copy(from: &[u8], to: *mut u8) {
    type End = [u8; 16];
    let (len, end) = (from.len(), size_of::<End>());
    // SAFETY: as the caller says; both ends are within it.
    unsafe {
        if (end..=2 * end).contains(&len) {
            let (first, last) = (from.as_ptr(), from.as_ptr().add(len - end));
            to.cast::<End>().write_unaligned(first.cast::<End>().read_unaligned());
            to.add(len - end).cast::<End>().write_unaligned(last.cast::<End>().read_unaligned());
        } else if len > 0 {
            std::ptr::copy_nonoverlapping(from.as_ptr(), to, len);
        }
    }
}

/// A text in a fixed array of C's: cut where it does not fit, always with a NUL behind it.
pub(super) fn fixed<const N: usize>(text: &str) -> [c_char; N] {
    let mut array = [0; N];
    let mut end = text.len().min(N.saturating_sub(1));
    while !text.is_char_boundary(end) {
        end -= 1;
    }
    for (slot, byte) in array.iter_mut().zip(text.bytes().take(end)) {
        *slot = byte as c_char;
    }
    array
}
