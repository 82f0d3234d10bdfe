//! A run: its cases, their order and repetitions, and the run file that it fills; run files of the same thing as one.

pub mod case;
pub mod collect;
pub mod paired;
pub mod pace;
pub mod pool;
pub mod raced;
pub mod sizes;
pub mod strategy;
pub mod schedule;
