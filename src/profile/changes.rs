//! The difference between two kernels as text.

use std::fmt::Write;

use super::document::{Counts, PathDifference};
use crate::profile::words::{change, word};
use crate::report::document::Table;
use crate::report::format::count;
use crate::report::terminal::table;

/// How two kernels differ: a table by phase and one by function.
pub fn difference(difference: &PathDifference) -> String {
    let [base, new] = difference.whole.instructions();
    let mut text = format!(
        "From {} to {}: {} to {} instructions ({})\n",
        difference.base,
        difference.new,
        count(base),
        count(new),
        change(base, new),
    );
    if let Some(divergence) = &difference.divergence {
        let _ = writeln!(
            text,
            "  {}",
            crate::profile::words::divergence(divergence, &difference.base, &difference.new)
        );
    }
    for table in tables(difference) {
        let _ = writeln!(text, "\n{}", table::text(&table));
    }
    text
}

/// The changes by phase and by function.
pub fn tables(difference: &PathDifference) -> impl Iterator<Item = Table> {
    let by_phase = ("By phase", "phase", &difference.phases);
    let by_function = (
        "By function, where figures differ",
        "function",
        &difference.functions,
    );
    [by_phase, by_function]
        .into_iter()
        .map(|(caption, name, rows)| {
            let mut table = Table::of_figures(
                caption,
                [name, ""],
                [
                    "instructions, base",
                    "new",
                    "change",
                    "lines, base",
                    "new",
                    "atomics, base",
                    "new",
                ],
            );
            for changed in rows {
                let [base, new] = changed.own.instructions();
                let mut cells = vec![
                    changed.name.clone(),
                    word(&changed.own).into(),
                    count(base),
                    count(new),
                    change(base, new),
                ];
                for figure in [lines, atomics] {
                    cells.extend(
                        [&changed.own.base, &changed.own.new]
                            .map(|side| side.as_ref().map_or("-".into(), figure)),
                    );
                }
                table.add(cells);
            }
            table
        })
}

fn lines(counts: &Counts) -> String {
    let lines = &counts.lines;
    (lines.kernel_read + lines.user_read).to_string()
        + "r "
        + &(lines.kernel_written + lines.user_written).to_string()
        + "w"
}

fn atomics(counts: &Counts) -> String {
    counts.atomics.to_string()
}
