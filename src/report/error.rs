//! What a report was written to, or why it was not.

use std::path::PathBuf;

use thiserror::Error;

use crate::record::latency::HistogramError;

/// What a report was written to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Written {
    /// The page to open.
    pub index: PathBuf,
    /// Every file, the page included, in the order of their names.
    pub files: Vec<PathBuf>,
}

/// Why no report was written. An earlier report in the same directory is untouched then.
#[derive(Debug, Error)]
pub enum ReportError {
    /// There is nothing to report on.
    #[error("a report needs at least one run file and was given none; name one, such as r.json")]
    NoRuns,
    /// A file or directory of the report could not be written.
    #[error(
        "cannot write {}: {source}; free space there or name another directory with -o",
        path.display()
    )]
    Write {
        /// The file or directory.
        path: PathBuf,
        /// What the system said.
        source: std::io::Error,
    },
    /// Something lies where a file of the report belongs that must not be replaced by one.
    #[error("{} is {found}, and a file of the report belongs there; name another directory with -o", path.display())]
    Taken {
        /// Its name.
        path: PathBuf,
        /// What it is.
        found: &'static str,
    },
    /// A run file's histogram could not be read.
    #[error(
        "run {run}: the {outcome} latency of {scenario} cannot be read: {source}; take the run file anew from its source"
    )]
    Histogram {
        /// Id of the run.
        run: String,
        /// Scenario id.
        scenario: String,
        /// Outcome's key.
        outcome: &'static str,
        /// What is wrong with it.
        source: HistogramError,
    },
    /// A plot could not be drawn.
    #[error("cannot draw the plot {plot}: {reason}; this is a bug in cowpath")]
    Plot {
        /// Name of the plot's files.
        plot: String,
        /// What the plotting library said.
        reason: String,
    },
    /// The interval log could not be put together.
    #[error("cannot put the interval log together: {0}; this is a bug in cowpath")]
    Log(String),
    /// The page could not be put together.
    #[error("cannot put the page together: {0}; this is a bug in cowpath")]
    Template(#[from] minijinja::Error),
}
