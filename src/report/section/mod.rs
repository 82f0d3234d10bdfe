//! What a report says, one concern a file, in the order of [`SECTIONS`].

mod audit;
mod compare;
mod counters;
mod difference;
mod group;
mod headline;
mod kernels;
mod lost;
mod machine;
mod matrix;
mod provenance;
mod races;
mod setup;
mod staged;
mod sweep;
mod strategies;

use crate::report::ReportError;
use crate::report::document::{Cell, Column, Document, Fact, Section, Table};
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

/// The facts of several runs as a table, a run a row; what a run does not have is a dash.
fn facts_table(caption: &str, runs: &[(&str, Vec<Fact>)]) -> Table {
    let mut names: Vec<&str> = Vec::new();
    for fact in runs.iter().flat_map(|(_, facts)| facts) {
        if !names.contains(&fact.name.as_str()) {
            names.push(&fact.name);
        }
    }
    let rows = runs.iter().map(|(label, facts)| {
        let mut row = vec![Cell::new(*label)];
        row.extend(
            names
                .iter()
                .map(|name| match facts.iter().find(|f| f.name == *name) {
                    Some(fact) => {
                        let lines =
                            std::iter::once(fact.value.clone()).chain(fact.details.iter().cloned());
                        Cell::new(lines.collect::<Vec<_>>().join("\n"))
                    }
                    None => Cell::muted("–"),
                }),
        );
        row
    });
    let rows = rows.collect();
    let mut columns = vec![Column::words("run")];
    columns.extend(names.iter().map(|n| Column::words(*n)));
    Table {
        caption: caption.into(),
        columns,
        rows,
        notes: Vec::new(),
        prose: true,
    }
}
