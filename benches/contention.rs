//! How do faults on the same pages scale with threads that sweep them without waiting for each other?

mod common;

use std::process::ExitCode;

fn main() -> ExitCode {
    common::guarded(|asked| common::measure(&common::targets::CONTENTION, &asked))
}
