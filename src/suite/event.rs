//! What a run tells while it goes on.

use std::time::Duration;

use crate::record::schema::RunFile;

/// What a run tells while it goes on.
pub enum SuiteEvent<'a> {
    /// So many repetitions are to come.
    Begin(u64),
    /// A repetition of this scenario has ended.
    Repeated(&'a str),
    /// A repetition of a run has ended that goes on until its figures are sharp or its time is over.
    Paced {
        /// The time since the run began.
        spent: Duration,
        /// The most that it may take.
        budget: Duration,
        /// Cases whose figures are sharp enough.
        sharp: usize,
        /// All of them.
        of: usize,
    },
    /// Something that the user should know.
    Note(String),
    /// The run file so far, to be kept in case the run does not come to its end.
    Checkpoint(&'a RunFile),
}
