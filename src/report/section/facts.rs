//! Facts of several runs side by side.

use crate::report::document::{Cell, Column, Fact, Table};
use crate::report::view::distinct;

/// The facts of several runs as a table, a run a row; what a run does not have is a dash.
pub(super) fn facts_table(caption: &str, runs: &[(&str, Vec<Fact>)]) -> Table {
    let facts = runs.iter().flat_map(|(_, facts)| facts);
    let names = distinct(facts.map(|fact| fact.name.as_str()));
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
    let mut columns = vec![Column::words("run")];
    columns.extend(names.iter().map(|n| Column::words(*n)));
    Table::of_sentences(caption, columns, rows)
}
