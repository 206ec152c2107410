//! Panics as values: a bug of ours must cost the host an error, never a line on its stderr.
//!
//! The hook only notes where it happened. It runs before the stack is unwound, perhaps under a
//! lock, so it may call nobody; whoever catches the panic turns it into an [`Error`] and tells.

use crate::error::{Error, Kind};
use std::any::Any;
use std::cell::Cell;
use std::fmt::Write;
use std::panic::PanicHookInfo;
use std::sync::Once;

/// Bytes kept of a source position; longer paths lose their beginning, which says least.
const PLACE_MAX: usize = 96;

/// A text of bounded length without a destructor, so that it may live in a host's thread.
#[derive(Clone, Copy)]
struct Place {
    bytes: [u8; PLACE_MAX],
    len: usize,
}

impl Place {
    const NONE: Self = Self { bytes: [0; PLACE_MAX], len: 0 };

    fn of(info: &PanicHookInfo<'_>) -> Self {
        let mut place = Self::NONE;
        if let Some(location) = info.location() {
            // A text that does not fit is cut by write_str below and never fails.
            let file = location.file();
            let cut = file.len().saturating_sub(PLACE_MAX - 8);
            let _ = write!(place, "{}:{}", file.get(cut..).unwrap_or(""), location.line());
        }
        place
    }
}

impl Write for Place {
    fn write_str(&mut self, text: &str) -> std::fmt::Result {
        for byte in text.bytes() {
            if let Some(slot) = self.bytes.get_mut(self.len) {
                *slot = byte;
                self.len += 1;
            }
        }
        Ok(())
    }
}

thread_local! {
    static PLACE: Cell<Place> = const { Cell::new(Place::NONE) };
}

/// Replaces the hook that prints panics. The shared library has a Rust runtime of its own, so this
/// touches nobody else's.
pub fn silence() {
    static ONCE: Once = Once::new();
    ONCE.call_once(|| std::panic::set_hook(Box::new(|info| PLACE.set(Place::of(info)))));
}

/// What `catch_unwind` caught, as an error with the panic's text and, where known, its place.
pub fn caught(payload: &(dyn Any + Send)) -> Error {
    let text = payload
        .downcast_ref::<&str>()
        .copied()
        .or_else(|| payload.downcast_ref::<String>().map(String::as_str))
        .unwrap_or("no message");
    let place = PLACE.replace(Place::NONE);
    let place = place.bytes.get(..place.len).unwrap_or_default();
    let text = text.replace(['\n', '\r'], " ");
    Error::new(
        Kind::Panic,
        match String::from_utf8_lossy(place) {
            place if place.is_empty() => format!("a bug in rets was caught: {text}"),
            place => format!("a bug in rets was caught at {place}: {text}"),
        },
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_caught_panic_becomes_one_line_with_its_text() {
        for (payload, wanted) in [
            (Box::new("plain") as Box<dyn Any + Send>, "plain"),
            (Box::new(String::from("two\nlines")), "two lines"),
            (Box::new(7u8), "no message"),
        ] {
            let error = caught(&*payload);
            assert_eq!(error.kind(), Kind::Panic);
            assert!(error.text().ends_with(wanted), "{error}");
        }
    }

    #[test]
    fn a_place_that_is_too_long_is_cut_and_never_overruns() {
        let mut place = Place::NONE;
        write!(place, "{}", "x".repeat(500)).unwrap();
        assert_eq!(place.len, PLACE_MAX);
    }
}
