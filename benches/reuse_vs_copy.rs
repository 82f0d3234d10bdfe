//! What does a reuse cost, what does a copy cost? Ten situations of 4 KiB pages; on request, every single-threaded
//! scenario of the catalogue.
//!
//! Criterion shows means and compares baselines; the run file and the report written at the end hold
//! the distributions, the outcomes and the machine.

mod common;

use std::process::ExitCode;

fn main() -> ExitCode {
    common::guarded(|asked| common::measure(&common::targets::REUSE_VS_COPY, &asked))
}
