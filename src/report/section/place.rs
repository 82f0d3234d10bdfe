//! What a store takes by its place among those to its folio, where every page of large folios is stored to.

use crate::report::document::{Block, Cell, Column, Table};
use crate::report::format;
use crate::report::section::rows::{name_cells, name_columns};
use crate::report::view::{CaseRow, Group, View};

/// The medians of a group; none where no folio's pages are all stored to.
pub fn table(view: &View, group: &Group) -> Option<Block> {
    // Folios of several sizes have several places that are their last.
    let mut places: Vec<(u64, String)> = Vec::new();
    for (place, _) in group.rows.iter().flat_map(|row| row.result.by_place()) {
        let first = place.split('-').next().and_then(|n| n.parse().ok());
        let of = (first.unwrap_or(0), place);
        if !places.contains(&of) {
            places.push(of);
        }
    }
    places.sort_by_key(|(first, place)| (*first, place.len()));
    let rows: Vec<Vec<Cell>> = group
        .rows
        .iter()
        .filter_map(|row| cells(view, row, &places))
        .collect();
    let mut columns = name_columns(view);
    columns.extend(places.into_iter().map(|(_, place)| Column::numbers(place)));
    let unit = group.unit.label();
    (!rows.is_empty()).then(|| {
        Block::Table(Table {
            caption: format!(
                "{}: p50 by the store's place among those to its folio, in {unit}",
                group.name
            ),
            columns,
            rows,
            notes: vec![
                "Place 1 is the first store to a folio, in whatever order its pages are stored to. Shown is the middle one of the \
                 repetitions' medians."
                    .into(),
            ],
            prose: false,
        })
    })
}

fn cells(view: &View, row: &CaseRow, places: &[(u64, String)]) -> Option<Vec<Cell>> {
    let medians = row.result.by_place();
    let figure = |text: String| match row.timed() {
        true => Cell::new(text),
        false => Cell::muted(text),
    };
    let of = |(_, place): &(u64, String)| {
        let median = medians.iter().find(|(its, _)| its == place);
        median.map_or(Cell::muted("–"), |(_, p50)| figure(format::count(*p50)))
    };
    (!medians.is_empty()).then(|| {
        let mut cells = name_cells(view, row);
        cells.extend(places.iter().map(of));
        cells
    })
}
