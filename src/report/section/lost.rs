//! What was asked for and is not there: scenarios skipped, repetitions lost.

use crate::report::document::{Block, Cell, Column, Section, Table};
use crate::report::error::ReportError;
use crate::report::view::View;

pub fn sections(view: &View) -> Result<Vec<Section>, ReportError> {
    let several = view.runs.len() > 1;
    let named = |name: &str, label: &str| {
        Cell::new(if several {
            format!("{name} on {label}")
        } else {
            name.to_string()
        })
    };
    let skipped = view.runs.iter().flat_map(|run| {
        let each = run.file.skipped.iter();
        each.map(|s| vec![named(&s.scenario, &run.label), Cell::new(s.reason.clone())])
    });
    let lost = view.rows().flat_map(|row| {
        let total = row.result.repetitions.len() + row.result.lost.len();
        let each = row.result.lost.iter();
        each.map(move |l| {
            vec![
                Cell::new(view.name(row)),
                Cell::new(format!(
                    "repetition {} of {total}: {}",
                    l.index + 1,
                    l.reason
                )),
            ]
        })
    });
    let again = view.rows().filter_map(|row| {
        let told = row.result.attempts()?.told()?;
        Some(vec![Cell::new(view.name(row)), Cell::new(told)])
    });
    let blocks = [
        table(
            "Scenarios that were not measured",
            skipped.collect(),
            Some("No scenario was skipped."),
        ),
        table(
            "Repetitions that gave no result",
            lost.collect(),
            Some("No repetition was lost."),
        ),
        table(
            "Trials that were thrown away and made again",
            again.collect(),
            None,
        ),
    ];
    let blocks = blocks.into_iter().flatten();
    Ok(vec![Section::new("skipped", "Skipped and lost", blocks)])
}

/// The rows under their caption, or where there are none, `none` of them in words.
fn table(caption: &str, rows: Vec<Vec<Cell>>, none: Option<&str>) -> Option<Block> {
    if rows.is_empty() {
        return none.map(Block::text);
    }
    Some(Block::Table(Table::of_sentences(
        caption,
        ["scenario", "reason"].map(Column::words),
        rows,
    )))
}
