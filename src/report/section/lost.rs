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
    let (skipped, lost): (Vec<_>, Vec<_>) = (skipped.collect(), lost.collect());
    let table = |caption: &str, rows| {
        Block::Table(Table {
            caption: caption.into(),
            columns: vec![Column::words("scenario"), Column::words("reason")],
            rows,
            notes: Vec::new(),
            prose: true,
        })
    };
    let mut blocks = Vec::new();
    if skipped.is_empty() {
        blocks.push(Block::Text {
            text: "No scenario was skipped.".into(),
        });
    } else {
        blocks.push(table("Scenarios that were not measured", skipped));
    }
    if lost.is_empty() {
        blocks.push(Block::Text {
            text: "No repetition was lost.".into(),
        });
    } else {
        blocks.push(table("Repetitions that gave no result", lost));
    }
    let again = view.rows().filter_map(|row| {
        let told = row.result.attempts()?.told()?;
        Some(vec![Cell::new(view.name(row)), Cell::new(told)])
    });
    let again: Vec<_> = again.collect();
    if !again.is_empty() {
        blocks.push(table("Trials that were thrown away and made again", again));
    }
    Ok(vec![Section {
        id: "skipped".into(),
        title: "Skipped and lost".into(),
        blocks,
    }])
}
