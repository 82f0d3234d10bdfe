//! Quantiles, confidence intervals and comparison; no I/O.

pub mod compare;
pub mod interval;
pub mod ratio;
pub mod shape;
