//! What a report says, one concern a file, in the order of [`SECTIONS`].

mod audit;
mod compare;
mod counters;
mod difference;
mod facts;
mod group;
mod headline;
mod kernels;
mod lost;
mod machine;
mod matrix;
mod provenance;
mod races;
mod rows;
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
    machine::sections,
    compare::sections,
    headline::sections,
    strategies::sections,
    staged::sections,
    kernels::sections,
    matrix::sections,
    races::sections,
    group::sections,
    setup::sections,
    lost::sections,
    audit::sections,
    provenance::sections,
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
    Ok(Document { title, sections })
}
