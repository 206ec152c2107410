//! A Redis or Valkey replica inside a C or C++ program.
//!
//! The product is the C surface in `include/rets.h`; this crate is how it is made. The Rust items
//! are public for the tests and examples of this repository and promise nothing to others.
//!
//! ```text
//! primary --> link --snapshot bytes--> rdb --items----+
//! |                                      +--> change --> gate --> table <-- lookups <-- ffi <-- C
//!              +---stream bytes--> resp --> command --+
//! ```
//!
//! `ARCHITECTURE.md` says which module may use which, and why.

pub mod change;
pub mod command;
pub mod config;
pub mod env;
pub mod error;
pub mod ffi;
pub mod link;
pub mod log;
pub mod memory;
pub mod rdb;
pub mod replica;
pub mod resp;
pub mod table;
pub mod text;
pub mod value;
