//! Splits runs of a kernel that was switched from strategy to strategy, so that a report can set them side by side
//! as it does kernels.

use crate::record::rule::LargeRule;
use crate::record::rule::Rule;
use crate::record::schema::{RunFile, Strategy};

/// Each run as it is, or in its place one run for each strategy that it was switched to.
pub fn split(runs: &[RunFile]) -> Vec<RunFile> {
    runs.iter().flat_map(strategies).collect()
}

fn strategies(run: &RunFile) -> Vec<RunFile> {
    if run.config.strategies.is_empty() {
        return vec![run.clone()];
    }
    let each = run.config.strategies.iter().map(|&rule| {
        let mut part = run.clone();
        part.config.strategies = vec![rule];
        part.results
            .retain(|measured| measured.strategy == Some(rule));
        part.skipped
            .retain(|skipped| skipped.strategy == Some(rule));
        part.strategy = Strategy {
            small: rule.stands_for(),
            large: LargeRule::Unknown,
            pin: run.strategy.pin,
            evidence: vec![format!("the kernel was switched to it: cow_reuse={rule}")],
        };
        part
    });
    each.collect()
}

/// The strategy that every result of a run was measured under, if the kernel was switched to it.
pub fn of(run: &RunFile) -> Option<Rule> {
    match run.config.strategies[..] {
        [rule] => Some(rule),
        _ => None,
    }
}
