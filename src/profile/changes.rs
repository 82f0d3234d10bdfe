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
    for (name, rows) in [
        ("phase", &difference.phases),
        ("function", &difference.functions),
    ] {
        let mut table = Table::of_figures(
            "",
            [name, ""],
            ["instructions", "", "change", "lines", "", "atomics", ""],
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
        let _ = writeln!(text, "\n{}", table::text(&table));
    }
    text
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
