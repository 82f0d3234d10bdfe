//! How each page state was brought about, and what of it was proven before timing.

use crate::report::document::{Block, Cell, Column, Section, Table};
use crate::report::error::ReportError;
use crate::report::view::View;

pub fn sections(view: &View) -> Result<Vec<Section>, ReportError> {
    let mut rows: Vec<Vec<Cell>> = Vec::new();
    for row in view.rows().filter(|r| !r.folded) {
        let setup = &row.result.setup;
        rows.push(vec![
            Cell::new(view.name(row)),
            said(&setup.by, "plain stores and fork"),
            said(&setup.proven, "nothing"),
            match setup.unproven.is_empty() {
                true => Cell::muted("nothing"),
                false => Cell::warn(setup.unproven.join("; ")),
            },
        ]);
    }
    if rows.is_empty() {
        return Ok(Vec::new());
    }
    let proven = view.rows().all(|r| r.result.setup.unproven.is_empty());
    let [scenario, by, what, unproven] = [
        "scenario",
        "brought about by",
        "proven on every page",
        "not proven",
    ]
    .map(Column::words);
    let unproven = if proven {
        unproven.full_only()
    } else {
        unproven
    };
    let table = Table::of_sentences(
        "How each page state was brought about and proven",
        [scenario, by.full_only(), what.full_only(), unproven],
        rows,
    );
    let text = if proven {
        "A page state is verified before it is timed. Everything that was to be proven was."
    } else {
        "A page state is verified before it is timed; what could not be verified is named with its reason."
    };
    let blocks = [Block::text(text), Block::Table(table)];
    Ok(vec![Section::new("setup", "Set-up", blocks)])
}

fn said(list: &[String], otherwise: &str) -> Cell {
    if list.is_empty() {
        Cell::muted(otherwise)
    } else {
        Cell::new(list.join("; "))
    }
}
