//! Plots, HTML, Markdown and exports made from run files.
//!
//! [`view`] puts the runs in order, each file of [`section`] turns one concern into blocks of a [`document`], and each
//! file of [`export`] writes that document in one form.

pub mod compare;
pub mod document;
pub mod export;
pub mod files;
pub mod format;
pub mod plot;
pub mod section;
pub mod switched;
pub mod terminal;
pub mod sweep;
pub mod timeline;
pub mod view;

use std::path::{Path, PathBuf};

use thiserror::Error;

use crate::compare::table::Comparison;
use crate::record::latency::HistogramError;
use crate::record::schema::RunFile;

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

/// Writes the report on `runs` into the directory `out`, which is made if it is missing: `index.html`, `summary.md`,
/// `plots/`, `hgrm/`, `data/`, and a list of them. What an earlier report left there and this one does not write is taken away.
///
/// All files are written aside first and moved into place together, so that a full disk costs no earlier report.
///
/// # Errors
///
/// When `runs` is empty, a histogram cannot be read, or a file cannot be written; see [`ReportError`].
pub fn write(runs: &[RunFile], out: &Path) -> Result<Written, ReportError> {
    if runs.is_empty() {
        return Err(ReportError::NoRuns);
    }
    let runs = switched::apart(runs);
    publish(view::View::new(&runs), out)
}

/// As [`write()`], on two runs (each perhaps pooled of several) and how the second compares with the first.
///
/// # Errors
///
/// As [`write()`].
pub fn write_compared(
    sides: &[RunFile; 2],
    comparison: Comparison,
    out: &Path,
) -> Result<Written, ReportError> {
    let sides = switched::apart(sides);
    let mut view = view::View::new(&sides);
    view.comparison = Some(comparison);
    publish(view, out)
}

fn publish(view: view::View, out: &Path) -> Result<Written, ReportError> {
    let document = section::document(&view)?;
    let mut files = files::Staging::new(out)?;
    for export in export::EXPORTS {
        export(&view, &document, &mut files)?;
    }
    files.publish()
}
