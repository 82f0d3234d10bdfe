//! cowpath measures what a copy-on-write page fault costs on a real kernel.
//!
//! A module uses those before it and nothing else.

// A stream that is closed or full must not end a measurement, and these panic on one.
#![cfg_attr(not(test), deny(clippy::print_stdout, clippy::print_stderr))]

#[macro_use]
mod tell;
mod exit;

pub mod stats;
pub mod record;
pub mod sys;
pub mod machine;
pub mod memory;
pub mod scenario;
pub mod measure;
pub mod worker;
pub mod suite;
pub mod compare;
pub mod report;
pub mod guest;
pub mod profile;
pub mod stage;
pub mod cli;

#[cfg(test)]
#[path = "../tests/common/skip.rs"]
mod skip;
