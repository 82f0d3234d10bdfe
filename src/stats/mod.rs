//! Numbers in, numbers out: quantiles, confidence intervals, ratios, tests of ranks. Knows nobody.

pub mod effect;
pub mod interval;
pub mod rank;
pub mod ratio;
pub mod shape;
