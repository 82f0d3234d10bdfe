//! Races played step by step on a guest's kernel: one CPU is held inside the copy window, the others
//! do what they like.
//!
//! Inside the guest a [`controller`] plays races ([`staged_run`]), once or in a [`sweep`]: the parties
//! ([`crate::worker::actors`]) move one after the other. Outside, a [`scheduler`] with a debugger holds
//! thread 1 at a [`hold`] point and reads page tables. They talk ([`channel`]) where a breakpoint stops the guest.
//! What was seen is [`judge`]d, and a [`lab`] does all that for one kernel after the other.

pub mod args;
pub mod controller;
mod schedule;
pub mod scheduler;
mod stack;
pub mod hold;
pub mod judge;
pub mod lab;
mod moves;
pub mod parking;
pub mod staged_run;
pub mod sweep;
pub mod channel;
pub mod waiting;
