//! What the program prints.

pub mod catalogue;
pub mod doctor;
mod remarks;
mod words;
pub mod run;

use std::fmt::Write;

use comfy_table::presets::NOTHING;
use comfy_table::{CellAlignment, ContentArrangement, Table};

use crate::record::schema::Strategy;

/// A table without lines.
pub(crate) fn table(header: &[&str]) -> Table {
    let mut table = Table::new();
    table
        .load_style(NOTHING)
        .set_content_arrangement(ContentArrangement::Disabled)
        .set_header(header);
    for column in table.column_iter_mut() {
        column.set_padding((0, 2));
    }
    table
}

/// Puts figures under each other from a column on.
pub(crate) fn right_align(table: &mut Table, from: usize) {
    for column in table.column_iter_mut().skip(from) {
        column.set_cell_alignment(CellAlignment::Right);
    }
}

fn strategy_text(strategy: &Strategy) -> String {
    let mut text = format!(
        "reuse strategy: {} for small pages, {} for large folios\n",
        strategy.small.label(),
        strategy.large.label()
    );
    for line in &strategy.evidence {
        let _ = writeln!(text, "  {line}");
    }
    text
}
