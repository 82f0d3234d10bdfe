//! The run file: its schema, reading, writing and merging; and the run that fills it.

pub mod bounds;
pub mod case;
pub mod collect;
pub mod io;
pub mod keeper;
pub mod noise;
pub mod output;
pub mod paired;
pub mod pace;
pub mod pool;
pub mod raced;
pub mod schema;
pub mod sizes;
pub mod staged;
pub mod strategy;
pub mod suite;
pub mod sweep;
