//! Numbers in, numbers out: quantiles, confidence intervals, ratios, what two sides differ by. Knows nobody.

pub mod effect;
pub mod interval;
pub mod line;
pub mod question;
pub mod ratio;
mod row_data;
pub mod shape;
pub mod spread;
pub mod student;
