//! Clock, perf counters and the outcome oracle.

pub mod clock;
pub mod counters;
pub mod discards;
pub mod oracle;
pub mod vmstat;
