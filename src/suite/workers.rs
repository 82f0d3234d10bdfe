//! What a run needs of the world: somebody who makes a repetition, and somebody who changes settings.

use crate::machine::tune::{TuneError, Tuner, Want};
use crate::worker::protocol::Job;
use crate::worker::runner::{Attempt, Runner};

/// Makes repetitions.
pub trait Workers {
    /// Makes the repetition that `job` asks for.
    fn repeat(&self, job: &Job) -> Attempt;
}

impl Workers for Runner {
    fn repeat(&self, job: &Job) -> Attempt {
        Runner::repeat(self, job)
    }
}

/// Changes settings of the machine for page states that need it.
pub trait Tuning {
    /// Brings about what is wanted, and takes back what was wanted before and is not now.
    ///
    /// # Errors
    /// The first that cannot be had.
    fn bring_about(&mut self, wants: &[Want]) -> Result<(), TuneError>;

    /// Takes everything back. Returns what the user should know.
    fn finish(self: Box<Self>) -> Vec<String>;
}

impl Tuning for Tuner {
    fn bring_about(&mut self, wants: &[Want]) -> Result<(), TuneError> {
        Tuner::bring_about(self, wants)
    }

    fn finish(self: Box<Self>) -> Vec<String> {
        Tuner::finish(*self)
    }
}
