//! A run: its cases, their order and repetitions, and the run file that it fills; run files of the same thing as one.

pub mod case;
mod checkpoint;
pub mod collect;
pub mod counting;
pub mod environment;
pub mod event;
pub mod job;
pub mod judged;
pub mod paired;
pub mod pace;
pub mod pool;
pub mod raced;
pub mod random;
pub mod rule;
pub mod sizes;
pub mod strategy;
pub mod schedule;
pub mod workers;
