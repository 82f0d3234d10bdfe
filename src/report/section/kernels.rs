//! Several kernels side by side: the rule that each follows, and what a store costs on each.

use crate::record::unit::Unit;
use crate::report::document::{Block, Cell, Column, Section, Table};
use crate::report::error::ReportError;
use crate::report::format;
use crate::report::plot::chart::latency_charts;
use crate::report::section::matrix::letter;
use crate::report::view::{self, COPY, CaseRow, REUSE, Series, View};

pub fn sections(view: &View) -> Result<Vec<Section>, ReportError> {
    if view.runs.len() < 2 {
        return Ok(Vec::new());
    }
    let mut blocks = vec![Block::Table(fingerprints(view))];
    let emulated: Vec<&str> = view
        .runs
        .iter()
        .filter(|r| !r.timed())
        .map(|r| r.label.as_str())
        .collect();
    if !emulated.is_empty() {
        blocks.push(Block::notice(format!(
            "Left out of every comparison of latencies, because the times of an emulator (tcg) say nothing about a \
             machine: {}. Their outcomes stand.",
            emulated.join(", ")
        )));
    }
    for unit in [Unit::Ns, Unit::Instructions] {
        blocks.extend(medians(view, unit).map(Block::Table));
        for (name, what, which) in [
            ("reuse-by-kernel", "Reuse by kernel", REUSE),
            ("copy-by-kernel", "Copy by kernel", COPY),
        ] {
            let all = (0..view.runs.len()).filter_map(|run| view::find(view, run, which));
            let series: Vec<Series> = all
                .filter(|s| s.row.timed() && s.latency.unit == unit)
                .collect();
            let name = match unit {
                Unit::Ns => name.to_string(),
                Unit::Instructions => format!("{name}-instructions"),
            };
            let charts = latency_charts(view, &name, &format!("{what} ({})", which.0), &series)?;
            blocks.extend(charts.into_iter().map(Block::Figure));
        }
    }
    Ok(vec![Section::new(
        "kernels",
        "Kernels side by side",
        blocks,
    )])
}

/// The rule that each kernel was seen to follow, and by what.
fn fingerprints(view: &View) -> Table {
    let rows = view.runs.iter().map(|run| {
        let strategy = &run.file.strategy;
        vec![
            Cell::new(run.label.clone()),
            Cell::new(strategy.small.label()),
            Cell::new(strategy.large.label()),
            Cell::new(strategy.evidence.join("\n")),
        ]
    });
    let [run, small, large, evidence] =
        ["run", "4 KiB pages", "large folios", "evidence"].map(Column::words);
    Table::of_sentences(
        "The fingerprint of each kernel: by which rule it reuses a page",
        [run, small, large, evidence.full_only()],
        rows,
    )
}

/// The median of each situation on each kernel that was measured in `unit`; `None` where there are fewer than two.
fn medians(view: &View, unit: Unit) -> Option<Table> {
    let rows: Vec<&CaseRow> = view
        .groups
        .iter()
        .filter(|g| g.unit == unit)
        .flat_map(|g| &g.rows)
        .filter(|r| r.timed() && !r.folded)
        .collect();
    let mut runs: Vec<usize> = rows.iter().map(|r| r.run).collect();
    runs.sort_unstable();
    runs.dedup();
    if runs.len() < 2 {
        return None;
    }
    let labels = view::distinct(rows.iter().map(|row| row.label.as_str()));
    let mut columns = vec![Column::words("scenario")];
    for (n, &run) in runs.iter().enumerate() {
        columns.push(Column::numbers(view.runs[run].version.clone()));
        if n > 0 {
            columns.push(Column::numbers("× first"));
        }
    }
    let line = |label: &&str| {
        let found = |&run: &usize| rows.iter().find(|r| r.run == run && r.label == *label);
        let series = |run| found(run).and_then(|r| r.series().into_iter().next());
        let mut cells = vec![Cell::new(*label)];
        cells.extend(median_cells(&runs.iter().map(series).collect::<Vec<_>>()));
        cells
    };
    let quantity = match unit {
        Unit::Ns => "Median latency in ns",
        Unit::Instructions => "Median number of instructions executed",
    };
    Some(Table {
        caption: format!("{quantity} of one store, by kernel"),
        columns,
        rows: labels.iter().map(line).collect(),
        notes: vec![format!(
            "The letter is the outcome (R reuse, C copy, F fill, N no fault, U unshare copy, u unshare mark, ? unknown), the \
             most frequent one where there were several. “× first” is the median over that on {}; “≠” says that the two \
             ended differently, so that the ratio compares unlike work.",
            view.runs[runs[0]].label
        )],
        prose: false,
    })
}

/// The median of one situation on each kernel, from the second on with its ratio to the first.
fn median_cells(kernels: &[Option<Series>]) -> Vec<Cell> {
    let mut cells = Vec::new();
    for (n, series) in kernels.iter().enumerate() {
        cells.push(match series {
            Some(series) => Cell::new(format!(
                "{} {}",
                letter(series.outcome),
                format::count(series.latency.p50)
            )),
            None => Cell::muted("–"),
        });
        if n == 0 {
            continue;
        }
        cells.push(match (&kernels[0], series) {
            (Some(first), Some(series)) if first.latency.p50 > 0 => {
                let ratio = series.latency.p50 as f64 / first.latency.p50 as f64;
                Cell::new(format!("{ratio:.2}{}", series.unlike(first))).heated(ratio)
            }
            _ => Cell::muted("–"),
        });
    }
    cells
}
