//! What the tests stand on: real servers, recorded ones, and a client to talk to them.
//!
//! Not tests. A test file takes it in with `mod support;`; each uses a part, hence the allowances.

#![allow(clippy::expect_used, clippy::print_stderr, clippy::print_stdout, clippy::unwrap_used)]
#![allow(dead_code, missing_docs, unreachable_pub, unused_imports, unused_macros)]

pub mod client;
pub mod corpus;
pub mod follower;
pub mod long;
pub mod proxy;
pub mod random;
pub mod replay;
pub mod sentinel;
pub mod server;
pub mod shrink;
pub mod sides;
pub mod tap;

pub use client::{Client, Reply};
pub use corpus::Session;
pub use replay::{Chunks, Replay};
pub use server::{Server, Which};

use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

/// How long anything on this machine may take before a test gives up on it. Generous, because two
/// cores also compile; nothing is measured by it.
pub const PATIENCE: Duration = Duration::from_secs(30);

/// The top of the source tree.
pub fn repository() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// Where cargo and the Makefile put what they build.
pub fn target_dir() -> PathBuf {
    let named = std::env::var_os("CARGO_TARGET_DIR").unwrap_or_else(|| "target".into());
    repository().join(named)
}

/// Asks again and again until the answer is yes; fails the test when patience is up.
#[track_caller]
pub fn wait_until(what: &str, mut yes: impl FnMut() -> bool) {
    let began = Instant::now();
    while !yes() {
        assert!(began.elapsed() < PATIENCE, "waited {PATIENCE:?} in vain until {what}");
        std::thread::sleep(Duration::from_millis(5));
    }
}

/// Makes of one function that takes a [`Which`] a test per server, so that a report names the
/// server that failed. A server that the runner's choice leaves out is told and passed over.
macro_rules! on_each_server {
    ($($name:ident),+ $(,)?) => {$(
        mod $name {
            use crate::support::Which;
            #[test]
            fn distribution() { Which::Distribution.if_chosen(super::$name) }
            #[test]
            fn redis_6_2() { Which::Redis62.if_chosen(super::$name) }
            #[test]
            fn redis_8_2() { Which::Redis82.if_chosen(super::$name) }
        }
    )+};
}
pub(crate) use on_each_server;
