//! The repetitions that count the events of a case's stores.

use super::collect::Collected;
use super::workers::Workers;
use crate::measure::counters::Counting;
use crate::worker::protocol::{Findings, Job};
use crate::worker::runner::Attempt;

/// Processes in which a case's events are counted: counts hardly vary, cycles and cache misses do.
pub const COUNTED: usize = 3;

/// What counting a case's events came to.
#[derive(Default)]
pub(super) struct CountingPass {
    /// What the workers found.
    pub found: Vec<Findings>,
    /// Why there are fewer than [`COUNTED`].
    pub why: Option<String>,
    /// Whether the user stopped it.
    pub interrupted: bool,
}

impl CountingPass {
    /// Nothing, for that reason.
    pub fn without(why: String) -> Self {
        let why = Some(why);
        CountingPass {
            why,
            ..CountingPass::default()
        }
    }
}

/// Has the events counted in processes of their own, up to the first that gives no result.
pub(super) fn count(workers: &dyn Workers, job: &Job) -> CountingPass {
    let mut counted = CountingPass::default();
    while counted.found.len() < COUNTED {
        match workers.repeat(job) {
            Attempt::Done(found) => counted.found.push(*found),
            Attempt::Unreachable(why) | Attempt::Failed(why) | Attempt::Lost(why) => {
                counted.why = Some(why);
                break;
            }
            Attempt::Interrupted => {
                counted.interrupted = true;
                break;
            }
        }
    }
    counted
}

/// Whether the events of that kind are still to be counted.
pub(super) fn lacks(collected: &Collected, of: &Counting) -> bool {
    collected.is_measured() && collected.case.is_counted() && !collected.has_counts(of)
}
