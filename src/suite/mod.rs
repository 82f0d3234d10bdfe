//! The run file: its schema, reading, writing and merging; and the run that fills it.

pub mod case;
pub mod collect;
pub mod paired;
pub mod pace;
pub mod pool;
pub mod raced;
pub mod sizes;
pub mod strategy;
pub mod schedule;
