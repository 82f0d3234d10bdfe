//! What a run of staged races is called.

use crate::report::view::Run;

/// What a kernel is called here: several runs may differ in their command line alone.
pub(super) fn name(run: &Run) -> String {
    let rule = run.file.strategy.small.label();
    let recheck = match knobs(run).iter().any(|word| word == "cow_recheck=1") {
        true => " with recheck",
        false => "",
    };
    format!("{}, {rule}{recheck}", run.file.host.kernel.release)
}

/// The words of a kernel's command line that choose how it decides.
pub(super) fn knobs(run: &Run) -> Vec<String> {
    let words = run.file.host.kernel.cmdline.split_whitespace();
    words
        .filter(|word| word.starts_with("cow_"))
        .map(str::to_owned)
        .collect()
}
