//! What a report says, one concern a file, in the order of [`SECTIONS`].

mod audit;
mod group;
mod headline;
mod lost;
mod machine;
mod provenance;
mod setup;

use crate::report::ReportError;
use crate::report::document::{Document, Section};
use crate::report::view::View;

/// Makes the sections of one concern; none where the runs have nothing to say about it.
pub type MakeSections = fn(&View) -> Result<Vec<Section>, ReportError>;

/// Every concern, in reading order.
pub const SECTIONS: &[MakeSections] = &[
    machine::sections,
    headline::sections,
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
        [run] => format!("Copy-on-write faults on {}", run.file.host.kernel.release),
        runs => format!("Copy-on-write faults in {} runs", runs.len()),
    };
    Ok(Document { title, sections })
}
