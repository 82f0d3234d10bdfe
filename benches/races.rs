//! What does a page cost that several threads fault on at the same moment, and how often is a copy
//! thrown away? Criterion's time is that of one page, from the first thread's deadline to the last
//! thread's end; the rendezvous before it is not in it.

mod common;

use std::process::ExitCode;

fn main() -> ExitCode {
    common::guarded(|asked| common::measure(&common::targets::RACES, &asked))
}
