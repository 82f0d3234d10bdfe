//! What does a reuse cost, what does a copy cost? Every single-threaded scenario of the catalogue.
//!
//! Criterion shows means and compares baselines; the run file and the report written at the end hold
//! the distributions, the outcomes and the machine.

mod common;

fn main() {
    common::measure("reuse_vs_copy", |scenario| scenario.race().is_none());
}
