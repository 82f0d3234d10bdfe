//! Quantiles, confidence intervals and comparison; no I/O.

pub mod histogram;
