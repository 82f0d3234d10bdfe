//! Clock, perf counters and the outcome oracle.

pub mod clock;
pub mod counters;
pub mod discards;
pub mod locks;
pub mod interference;
pub mod interrupts;
pub mod oracle;
pub mod probes;
pub mod sampler;
pub mod vmstat;
