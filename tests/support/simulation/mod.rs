//! A replica under a simulated clock, network and primary, all of it single-stepped: one seed
//! decides who does what next and what goes wrong. After each run the table is what the primary
//! has.

#![allow(dead_code, missing_docs, unreachable_pub)]

mod consumer;
mod core;
mod faults;
mod gate;
mod history;
mod model;
mod network;
mod primary;
mod queue;
mod run;
mod scope;
mod snapshot;
mod trace;
mod writer;

pub use core::Tally;
pub use faults::FAULTS;
pub use run::{Plan, run, shrink};
