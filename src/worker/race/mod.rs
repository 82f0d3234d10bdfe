//! Races: threads that meet at every page, what they do there, and what became of it.

pub mod shared;
pub mod context;
pub mod judge;
pub mod repeat;

mod accesses;
mod clocks;
mod exit_tracker;
mod forker;
mod integrity;
mod thread;
mod trial;
