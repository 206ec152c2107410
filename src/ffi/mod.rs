//! The C surface: the only thing a C program can see. Pointers come in, a status goes out.
//!
//! Every exported function has the same four steps: guard, convert, call safe Rust, convert back.
//! The functions are written out by hand, as cbindgen reads source and would not see what a macro
//! made. Their documentation is C documentation: it becomes `include/rets.h`, and the order of the
//! modules below is the order of that header.
//!
//! What unsafe code here relies on is what the header asks of its callers.

#![allow(unsafe_code, non_camel_case_types)]
// The documentation addresses C: its layout is doxygen's.
#![allow(clippy::missing_safety_doc, clippy::doc_lazy_continuation)]
#![allow(clippy::doc_overindented_list_items)]
#![deny(clippy::panic, clippy::indexing_slicing)]

// The header, from its first page to its last. The blank lines keep rustfmt from sorting it.
mod status;

mod life;

mod option;

mod event;

mod queue;

mod read;

mod detail;

mod value;

mod stream;

mod cursor;

mod info;

mod digest;

mod log;

// What the header does not show.
#[cfg(test)]
mod allocations;
mod convert;
mod fork;
mod guard;
#[cfg(test)]
mod tests;

pub use cursor::*;
pub use detail::*;
pub use digest::*;
pub use event::*;
pub use info::*;
pub use life::*;
pub use log::*;
pub use option::*;
pub use queue::*;
pub use read::*;
pub use status::*;
pub use stream::*;
pub use value::*;

/// The header promises threads what the compiler can't see across it.
const _: () = {
    const fn any_threads<T: Send + Sync>() {}
    const fn one_thread_at_a_time<T: Send>() {}
    any_threads::<rets_t>();
    any_threads::<rets_value>();
    one_thread_at_a_time::<rets_cursor>();
};
