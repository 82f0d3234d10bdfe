//! Several kernels side by side: the rule that each follows, and what a store costs on each.

use crate::record::schema::Strategy;
use crate::record::unit::Unit;
use crate::report::document::{Block, Cell, Column, Section, Table};
use crate::report::error::ReportError;
use crate::report::format;
use crate::report::plot::Chart;
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
    // A history has them, with what is sure of each change.
    if view.history.is_none() {
        for unit in [Unit::Ns, Unit::Instructions] {
            blocks.extend(medians(view, unit).map(Block::Table));
        }
    }
    // The first one is on the first screen, where no comparison is.
    let shown = usize::from(view.comparison.is_none());
    blocks.extend(charts(view)?.into_iter().skip(shown).map(Block::Figure));
    Ok(vec![Section::new(
        "kernels",
        "Kernels side by side",
        blocks,
    )])
}

/// A copy and a reuse on each kernel.
pub(super) fn charts(view: &View) -> Result<Vec<Chart>, ReportError> {
    let mut all = Vec::new();
    let shown = shown(view);
    for unit in [Unit::Ns, Unit::Instructions] {
        for (name, what, which) in [
            ("copy-by-kernel", "Copy by kernel", COPY),
            ("reuse-by-kernel", "Reuse by kernel", REUSE),
        ] {
            let each = shown.iter().filter_map(|&run| view::find(view, run, which));
            let series: Vec<Series> = each
                .filter(|s| s.row.timed() && s.latency.unit == unit)
                .collect();
            let name = match unit {
                Unit::Ns => name.to_string(),
                Unit::Instructions => format!("{name}-instructions"),
            };
            let left_out = view.runs.len() - shown.len();
            let few = match left_out {
                0 => String::new(),
                _ => format!(", {} of {} kernels", shown.len(), view.runs.len()),
            };
            let title = format!("{what} ({}{few})", which.0);
            all.extend(latency_charts(view, &name, &title, &series)?);
        }
    }
    Ok(all)
}

/// Most kernels that one plot shows: beyond that line styles repeat.
const DRAWN: usize = 6;

/// The runs that plots show: all where they are few; else the first, the last, and those on which a copy's median differs most
/// from that on the kernel before.
fn shown(view: &View) -> Vec<usize> {
    let all = view.runs.len();
    if all <= DRAWN {
        return (0..all).collect();
    }
    let median = |run| view::find(view, run, COPY).map(|series| series.latency.p50 as f64);
    let step = |&run: &usize| match (median(run - 1), median(run)) {
        (Some(before), Some(now)) if before > 0.0 && now > 0.0 => (now / before).ln().abs(),
        _ => 0.0,
    };
    let mut between: Vec<usize> = (1..all - 1).collect();
    between.sort_by(|a, b| step(b).total_cmp(&step(a)));
    between.truncate(DRAWN - 2);
    let mut shown = [vec![0, all - 1], between].concat();
    shown.sort_unstable();
    shown
}

/// The rules that kernels were seen to follow, which of them each, and by what: as the first of them has it.
fn fingerprints(view: &View) -> Table {
    let mut rules: Vec<(&Strategy, Vec<&str>)> = Vec::new();
    for run in &view.runs {
        let strategy = &run.file.strategy;
        let same = |(other, _): &&mut (&Strategy, Vec<&str>)| {
            (other.small, other.large, other.pin) == (strategy.small, strategy.large, strategy.pin)
        };
        match rules.iter_mut().find(same) {
            Some((_, kernels)) => kernels.push(&run.version),
            None => rules.push((strategy, vec![&run.version])),
        }
    }
    let rows = rules.into_iter().map(|(strategy, kernels)| {
        vec![
            Cell::new(kernels.join(", ")),
            Cell::new(strategy.small.label()),
            Cell::new(strategy.large.label()),
            Cell::new(strategy.pin.label()),
            Cell::new(strategy.evidence.join("\n")),
        ]
    });
    let [run, small, large, pin, evidence] = [
        "kernels",
        "4 KiB pages",
        "large folios",
        "a reading pin of a shared page",
        "evidence of the first",
    ]
    .map(Column::words);
    Table::of_sentences(
        "The fingerprint of each kernel: by which rule it reuses a page",
        [run, small, large, pin, evidence.full_only()],
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
    for &run in &runs {
        columns.push(Column::numbers(view.runs[run].version.clone()));
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
            "The letter is the outcome (R reuse, C copy, F fill, N no fault, U unshare copy, u unshare reuse, ? unknown), the \
             most frequent one where there were several. Below stand the ratios of the median to that on {} and to that on the \
             kernel before; “≠” says that the two ended differently, so that the ratio compares unlike work.",
            view.runs[runs[0]].label
        )],
        prose: false,
    })
}

/// The median of one situation on each kernel, from the second on with its ratios to the first and to the one before.
fn median_cells(kernels: &[Option<Series>]) -> Vec<Cell> {
    let over = |one: &Series, other: &Option<Series>| {
        let other = other.as_ref().filter(|other| other.latency.p50 > 0)?;
        let ratio = one.latency.p50 as f64 / other.latency.p50 as f64;
        Some((ratio, format!("×{ratio:.2}{}", one.unlike(other))))
    };
    let cell = |(n, series): (usize, &Option<Series>)| {
        let Some(series) = series else {
            return Cell::muted("–");
        };
        let value = format!(
            "{} {}",
            letter(series.outcome),
            format::count(series.latency.p50)
        );
        if n == 0 {
            return Cell::new(value);
        }
        let (first, before) = (over(series, &kernels[0]), over(series, &kernels[n - 1]));
        let words = |ratio: &Option<(f64, String)>| match ratio {
            Some((_, text)) => text.clone(),
            None => "–".into(),
        };
        // The second kernel's first is the one before.
        let ratios = match n {
            1 => words(&first),
            _ => format!("{} {}", words(&first), words(&before)),
        };
        let cell = Cell::new(format!("{value}\n{ratios}"));
        match first {
            Some((ratio, _)) => cell.heated(ratio),
            None => cell,
        }
    };
    kernels.iter().enumerate().map(cell).collect()
}
