//! What areas add to an operation, as differences of pairs: signed, with their interval.

use crate::report::document::{Block, Cell, Column, Table};
use crate::report::format;
use crate::report::section::rows::{name_cells, name_columns};
use crate::report::view::{Group, View};

/// The differences of a group; none where it has none.
pub fn table(view: &View, group: &Group) -> Option<Block> {
    let rows: Vec<Vec<Cell>> = group
        .rows
        .iter()
        .filter_map(|row| {
            let difference = row.result.difference.as_ref()?;
            let figure = |text: String| match row.timed() {
                true => Cell::new(text),
                false => Cell::muted(text),
            };
            let mut cells = name_cells(view, row);
            cells.push(figure(format::signed(difference.mean)));
            cells.push(match difference.interval {
                Some(interval) => figure(format::signed_interval(interval)),
                None => Cell::muted("–"),
            });
            cells.extend(
                [&difference.with, &difference.without].map(|l| figure(format::count(l.p50))),
            );
            cells.push(figure(format::share(difference.negative, difference.count)));
            cells.push(Cell::new(format::count(difference.count)));
            Some(cells)
        })
        .collect();
    let mut columns = name_columns(view);
    columns.extend([
        Column::numbers("difference"),
        Column::numbers("95 % interval"),
        Column::numbers("p50 with"),
        Column::numbers("p50 without"),
        Column::numbers("negative").full_only(),
        Column::numbers("differences").full_only(),
    ]);
    let unit = group.unit.label();
    (!rows.is_empty()).then(|| {
        Block::Table(Table {
            caption: format!(
                "{}: what 2 MiB of the area add to the operation, in {unit}",
                group.name
            ),
            columns,
            rows,
            notes: vec![
                "The operation is timed without the area, with it, with it and without it; the difference of these two pairs is \
                 scaled to 2 MiB and keeps its sign. Shown is the mean over repetitions of each one’s median, with Student’s \
                 95 % interval: one that holds 0 says that the operation varies by more than the area adds. The medians of \
                 the operation itself are not scaled."
                    .into(),
            ],
            prose: false,
        })
    })
}
