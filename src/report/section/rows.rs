//! How the rows of the tables of a group are named, and why figures are missing from them.

use crate::report::document::{Cell, Column};
use crate::report::format;
use crate::report::view::{CaseRow, View};

/// Id of the section of the group of that name.
pub fn section_id(name: &str) -> String {
    format!("group-{}", format::slug(name))
}

/// The columns that name a row: the scenario, and the run where there are several.
pub fn name_columns(view: &View) -> Vec<Column> {
    let mut columns = vec![Column::words("scenario")];
    if view.runs.len() > 1 {
        columns.push(Column::words("run"));
    }
    columns
}

/// The cells that name a row.
pub fn name_cells(view: &View, row: &CaseRow) -> Vec<Cell> {
    let mut cells = vec![Cell::new(row.label.clone())];
    if view.runs.len() > 1 {
        cells.push(Cell::new(view.runs[row.run].label.clone()));
    }
    cells
}

/// Why figures are missing, each reason said once.
#[derive(Default)]
pub struct Reasons {
    about: Vec<(String, Vec<String>)>,
}

impl Reasons {
    /// The number under which the notes give `reason`, which holds for `name`.
    pub fn mark(&mut self, reason: &str, name: &str) -> usize {
        let at = self
            .about
            .iter()
            .position(|(r, _)| r == reason)
            .unwrap_or_else(|| {
                self.about.push((reason.into(), Vec::new()));
                self.about.len() - 1
            });
        let names = &mut self.about[at].1;
        if !names.iter().any(|n| n == name) {
            names.push(name.into());
        }
        at + 1
    }

    /// A note for each reason, with the numbers that cells refer to if there are such cells.
    pub fn notes(self, numbered: bool) -> Vec<String> {
        let each = self.about.into_iter().enumerate();
        each.map(|(n, (reason, names))| {
            let mark = if numbered {
                format!("[{}] ", n + 1)
            } else {
                String::new()
            };
            let reason = reason.trim_end_matches('.');
            format!("{mark}Not counted: {} ({reason}).", names.join(", "))
        })
        .collect()
    }
}
