//! What would spoil or limit a measurement on these machines, and what mends it.

use crate::record::audit::Severity;
use crate::report::document::{Block, Cell, Column, Section, Table};
use crate::report::error::ReportError;
use crate::report::view::View;

pub fn sections(view: &View) -> Result<Vec<Section>, ReportError> {
    let mut blocks = Vec::new();
    for run in &view.runs {
        let mut checks: Vec<_> = run.file.audit.iter().collect();
        checks.sort_by_key(|c| std::cmp::Reverse(c.severity));
        let rows: Vec<Vec<Cell>> = checks
            .iter()
            .map(|check| {
                vec![
                    Cell::new(check.check.clone()),
                    match check.severity {
                        Severity::Ok => Cell::muted("ok"),
                        Severity::Info => Cell::new("info"),
                        Severity::Warning => Cell::warn("warning"),
                        Severity::Error => Cell::warn("error"),
                    },
                    Cell::new(check.state.clone()),
                    Cell::new(check.why.clone()),
                    Cell::new(check.advice.clone()),
                ]
            })
            .collect();
        if rows.is_empty() {
            continue;
        }
        let [check, severity, found, why, mend] = [
            "check",
            "verdict",
            "found",
            "why it matters",
            "what mends it",
        ]
        .map(Column::words);
        blocks.push(Block::Table(Table::of_sentences(
            match view.runs.len() {
                1 => "Checks of the machine, the gravest first".into(),
                _ => format!("Checks of the machine, the gravest first: {}", run.label),
            },
            [check, severity, found, why.full_only(), mend.full_only()],
            rows,
        )));
    }
    if blocks.is_empty() {
        blocks.push(Block::text(
            "The run files hold no checks of their machines.",
        ));
    }
    Ok(vec![Section::new("audit", "Machine checks", blocks)])
}
