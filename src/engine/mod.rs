//! Worker processes, pinning, page states and the timed loop.

pub mod pin;
pub mod protocol;
pub mod runner;
pub mod timed;
pub mod worker;

mod trial;
