//! A document's table for a terminal: columns side by side, without lines.

use comfy_table::presets::NOTHING;
use comfy_table::{CellAlignment, ContentArrangement};

use crate::report::document::Table;

/// The table without its caption and notes, numbers under each other.
pub fn text(table: &Table) -> String {
    let mut drawn = comfy_table::Table::new();
    drawn
        .load_style(NOTHING)
        .set_content_arrangement(ContentArrangement::Disabled)
        .set_header(table.columns.iter().map(|column| &column.label));
    for row in &table.rows {
        drawn.add_row(row.iter().map(|cell| &cell.text));
    }
    for (drawn, column) in drawn.column_iter_mut().zip(&table.columns) {
        drawn.set_padding((0, 2));
        if column.numeric {
            drawn.set_cell_alignment(CellAlignment::Right);
        }
    }
    let drawn = drawn.to_string();
    let lines: Vec<&str> = drawn.lines().map(str::trim_end).collect();
    lines.join("\n")
}
