//! When the run file is kept before the run has ended.

use std::time::{Duration, Instant};

/// The most time between two checkpoints: a run that is killed loses no more than this, and the repetition it was at.
const KEPT_EVERY: Duration = Duration::from_secs(3);

/// How many times what a checkpoint takes must pass before the next, where that is less.
const KEEPING: u32 = 50;

/// When the run file was last kept.
#[derive(Default)]
pub(super) struct Checkpoint(Option<(Instant, Duration)>);

impl Checkpoint {
    /// One that began then and ends now.
    pub fn taken(began: Instant) -> Self {
        let now = Instant::now();
        Checkpoint(Some((now, now - began)))
    }

    /// Whether the next is due: the first at once, any other after so long that keeping takes a small part of the run, and
    /// before a kill would cost more than a few seconds.
    pub fn is_due(&self) -> bool {
        let Checkpoint(Some((ended, took))) = self else {
            return true;
        };
        ended.elapsed() >= (*took * KEEPING).min(KEPT_EVERY)
    }
}
