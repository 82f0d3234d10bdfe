//! The first screen: what came out, in a sentence, what to mind, the rows that matter, and the plot that shows it.

use crate::compare::table::Comparison;
use crate::report::document::{Block, Cell, Column, Section, Table};
use crate::report::error::ReportError;
use crate::report::glance::{Glance, ON_PAGE, foremost};
use crate::report::section::compare::forest;
use crate::report::section::{headline, kernels, machine};
use crate::report::view::View;

pub fn sections(view: &View) -> Result<Vec<Section>, ReportError> {
    let glance = Glance::of(view);
    let mut blocks = Vec::new();
    blocks.extend(glance.iter().map(|glance| Block::Lead {
        text: glance.verdict.clone(),
    }));
    blocks.extend(machine::warnings(view));
    match (&view.comparison, &glance) {
        (Some(comparison), _) if !comparison.rows.is_empty() => {
            blocks.push(rows_of(comparison));
            blocks.extend(glance.iter().map(note));
        }
        (_, Some(glance)) if !glance.rows.is_empty() => blocks.push(table(glance)),
        _ => {}
    }
    let charts = match view.runs.len() {
        1 => headline::charts(view)?,
        _ if view.comparison.is_some() => Vec::new(),
        _ => kernels::charts(view)?,
    };
    blocks.extend(charts.into_iter().next().map(Block::Figure));
    Ok(match blocks.is_empty() {
        true => Vec::new(),
        false => vec![Section::new("glance", "At a glance", blocks)],
    })
}

fn note(glance: &Glance) -> Block {
    Block::Text {
        text: format!("{} {}", glance.unseen, glance.again),
    }
}

/// The rows of a comparison that stand foremost.
fn rows_of(comparison: &Comparison) -> Block {
    let mut rows = foremost(&comparison.rows);
    rows.truncate(ON_PAGE);
    let all = comparison.rows.len();
    let mut forest = forest(&rows, Vec::new());
    if rows.len() < all {
        forest.caption = format!("{}: {} of {all} rows", forest.caption, rows.len());
    }
    Block::Forest(forest)
}

fn table(glance: &Glance) -> Block {
    let columns = glance.columns.iter().enumerate().map(|(n, label)| match n {
        1..4 => Column::numbers(label.clone()),
        _ => Column::words(label.clone()),
    });
    let rows = glance.rows.iter().take(ON_PAGE);
    let rows: Vec<Vec<Cell>> = rows
        .map(|row| row.iter().map(|text| Cell::new(text.clone())).collect())
        .collect();
    let (shown, all) = (rows.len(), glance.rows.len());
    let about = glance.about.join("; ");
    Block::Table(Table {
        caption: match shown == all {
            true => about,
            false => format!("{about}: {shown} of {all} rows"),
        },
        columns: columns.collect(),
        rows,
        notes: vec![format!("{} {}", glance.unseen, glance.again)],
        prose: false,
    })
}
