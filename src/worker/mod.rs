//! One repetition, in a process of its own: pinning, page states, the timed loop and races; and whoever starts that process.

pub mod actors;
pub mod demand;
pub mod protocol;
pub mod race;
pub mod runner;
pub mod sampled;
pub mod subject;
pub mod timed;
pub mod serve;

mod fixture;
mod held_copy;
mod operation;
mod proof;
mod setup;
mod stack;
mod stored;
mod trial;
mod tries;
pub mod units;
mod region;
