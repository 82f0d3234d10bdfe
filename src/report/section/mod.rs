//! What a report says, one concern a file, in the order of [`SECTIONS`].

mod audit;
mod compare;
mod counters;
mod difference;
mod facts;
mod glance;
mod group;
mod headline;
mod history;
mod kernels;
mod laws;
mod lost;
mod machine;
mod matrix;
mod place;
mod provenance;
mod races;
pub(super) mod rows;
mod setup;
mod staged;
mod run_name;
mod sweep;
mod strategies;

use crate::report::document::{Document, Section};
use crate::report::error::ReportError;
use crate::report::view::View;

/// Makes the sections of one concern; none where the runs have nothing to say about it.
pub type MakeSections = fn(&View) -> Result<Vec<Section>, ReportError>;

/// Every concern, in reading order.
pub const SECTIONS: &[MakeSections] = &[
    glance::sections,
    machine::sections,
    compare::sections,
    headline::sections,
    strategies::sections,
    staged::sections,
    kernels::sections,
    history::sections,
    matrix::sections,
    races::sections,
    laws::sections,
    group::sections,
    setup::sections,
    lost::sections,
    audit::sections,
    provenance::sections,
];

/// The words of a report, and where else its figures are.
const FOOTER: [&str; 2] = [
    "Words: a “reuse” is a write fault resolved on the same page, a “copy” one resolved on a new page, a “fill” the first store \
     to a page where nothing was mapped; “no fault” means the store found a writable page. A “late discard” (backoff) is a copy \
     that the kernel made and threw away because the page-table entry had changed meanwhile.",
    "The same plots lie in plots/, a summary for mail in summary.md, every histogram in hgrm/ for HdrHistogram’s plotter, and all \
     figures in data/ as CSV, HdrHistogram’s interval log, Go benchmarks, KTAP and OpenMetrics.",
];

/// The whole report.
pub fn document(view: &View) -> Result<Document, ReportError> {
    let mut sections = Vec::new();
    for make in SECTIONS {
        sections.extend(make(view)?);
    }
    let title = match &view.runs[..] {
        _ if view.comparison.is_some() => "Copy-on-write faults: new against base".into(),
        [run] => format!("Copy-on-write faults on {}", run.file.host.kernel.release),
        runs => format!("Copy-on-write faults in {} runs", runs.len()),
    };
    let lead: Vec<String> = view.runs.iter().map(|run| run.label.clone()).collect();
    // A line each, where they are few.
    let lead = match lead.len() {
        0..=4 => lead,
        _ => vec![lead.join(", ")],
    };
    Ok(Document {
        title,
        lead,
        sections,
        footer: FOOTER.map(String::from).into(),
    })
}
