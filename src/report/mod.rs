//! Plots, HTML, Markdown and exports made from run files.
//!
//! [`view`] puts the runs in order, each file of [`section`] turns one concern into blocks of a [`document`], and each
//! file of [`export`] writes that document in one form.

pub mod compare;
pub mod document;
pub mod dossier;
pub mod error;
pub mod export;
pub mod files;
pub mod forks;
pub mod format;
pub mod glance;
pub mod laws;
pub mod packages;
pub mod plot;
pub mod section;
pub mod switched;
pub mod terminal;
pub mod sweep;
pub mod tested;
pub mod timeline;
pub mod view;

use std::path::Path;

use crate::compare::history::History;
use crate::compare::options::PathChange;
use crate::compare::table::Comparison;
use crate::record::schema::RunFile;
use crate::report::error::{ReportError, Written};
use crate::report::packages::KernelPackage;

/// Writes the report on `runs` into the directory `out`, which is made if it is missing: `index.html`, `summary.md`,
/// `plots/`, `hgrm/`, `data/`, and a list of them. What an earlier report left there and this one does not write is taken away.
///
/// All files are written aside first and moved into place together, so that a full disk costs no earlier report.
///
/// # Errors
///
/// When `runs` is empty, a histogram cannot be read, or a file cannot be written; see [`ReportError`].
pub fn write(runs: &[RunFile], out: &Path) -> Result<Written, ReportError> {
    write_across(runs, Across::default(), out)
}

/// What is known of several kernels besides each by itself.
#[derive(Clone, Debug, Default)]
pub struct Across {
    /// How the last compares with the first.
    pub ends: Option<Comparison>,
    /// At which of them what changed.
    pub history: Option<History>,
    /// Where differences of instructions lie.
    pub paths: Vec<PathChange>,
    /// Where the kernels came from.
    pub packages: Vec<KernelPackage>,
}

/// As [`write()`], of several kernels with how they compare.
///
/// # Errors
///
/// As [`write()`].
pub fn write_across(runs: &[RunFile], across: Across, out: &Path) -> Result<Written, ReportError> {
    if runs.is_empty() {
        return Err(ReportError::NoRuns);
    }
    let mut runs = switched::split(runs);
    // Kernels in their order; the rules that one was switched to stay in theirs.
    runs.sort_by_key(|run| view::version(&run.host.kernel.release));
    let mut view = view::View::new(&runs);
    view.across = across.ends;
    view.history = across.history;
    view.paths = across.paths;
    view.packages = across.packages;
    publish(view, out)
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
    let sides = switched::split(sides);
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
