//! Clock, perf counters and the outcome oracle.
