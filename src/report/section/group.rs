//! One section for each group of scenarios: its plots, its latencies and outcomes, its counters and discards.

use crate::record::outcome::Outcome;
use crate::record::repetition::{Attempts, DirectReads};
use crate::record::schema::Discards;
use crate::record::unit::Unit;
use crate::report::document::{Block, Cell, Column, Section, Table};
use crate::report::error::ReportError;
use crate::report::format;
use crate::report::plot::chart::latency_charts;
use crate::report::section::rows::{Reasons, name_cells, name_columns, section_id};
use crate::report::view::{self, CaseRow, Group, REUSE, Series, View};
use crate::stats::interval::{Interval, median_ranks};

/// Smallest share of a row's stores that an outcome needs to be drawn; the table shows all.
const DRAWN_SHARE: f64 = 0.01;

pub fn sections(view: &View) -> Result<Vec<Section>, ReportError> {
    view.groups
        .iter()
        .map(|group| section(view, group))
        .collect()
}

fn section(view: &View, group: &Group) -> Result<Section, ReportError> {
    let drawn: Vec<Series> = group
        .rows
        .iter()
        .filter(|row| !row.folded && (row.timed() || view.runs.len() == 1))
        .flat_map(|row| {
            let total = row.result.latency.values().map(|l| l.count).sum::<u64>() as f64;
            let common = move |s: &Series| s.latency.count as f64 >= DRAWN_SHARE * total;
            row.series().into_iter().filter(common)
        })
        .collect();
    let charts = latency_charts(view, &format!("group-{}", group.name), &group.name, &drawn)?;
    let mut blocks: Vec<Block> = charts.into_iter().map(Block::Figure).collect();
    // What is measured as differences has no latency.
    if group.rows.iter().any(|row| row.result.difference.is_none()) {
        blocks.push(Block::Table(latencies(view, group)));
    }
    blocks.extend(super::difference::table(view, group));
    blocks.extend(super::place::table(view, group));
    blocks.extend(super::counters::tables(view, group));
    blocks.extend(uncounted_discards(group));
    let id = section_id(&group.name);
    let title = format!("Group {}", format::shorten(&group.name, 60));
    Ok(Section { id, title, blocks })
}

fn latencies(view: &View, group: &Group) -> Table {
    let mut columns = name_columns(view);
    columns.extend([
        Column::words("expected").full_only(),
        Column::words("seen"),
        Column::numbers("p50"),
        Column::numbers("95 % interval").full_only(),
        Column::numbers("p90").full_only(),
        Column::numbers("p99"),
        Column::numbers("p99.9"),
        Column::numbers("max").full_only(),
        Column::numbers("× reuse"),
        Column::numbers("its 95 % interval").full_only(),
    ]);
    // A clock that counts instructions knows no second.
    let has_rate = group.unit == Unit::Ns;
    if has_rate {
        columns.push(Column::numbers("faults/s").full_only());
    }
    let rows = group
        .rows
        .iter()
        .filter(|row| !row.folded && row.result.difference.is_none())
        .flat_map(|row| latency_rows(view, row, has_rate))
        .collect();
    let quantity = match group.unit {
        Unit::Ns => "latency in ns",
        Unit::Instructions => "instructions executed",
    };
    Table {
        caption: format!("{}: outcomes and {quantity}", group.name),
        columns,
        rows,
        notes: latency_notes(view, group, has_rate),
        prose: false,
    }
}

fn latency_notes(view: &View, group: &Group, has_rate: bool) -> Vec<String> {
    let mut notes = vec![
        "The 95 % interval is for the median over repetitions, from order statistics. × reuse is the median over that \
         of reuse/child-exited in the same run, with the 95 % interval of a bootstrap over repetitions."
            .to_string(),
    ];
    if has_rate {
        notes[0] += " faults/s is the median over repetitions of the whole timed loop, reading the clock included.";
    }
    let coverages: Vec<f64> = group
        .rows
        .iter()
        .flat_map(CaseRow::series)
        .filter_map(|s| median_ranks(s.medians().len(), 0.95))
        .map(|(_, coverage)| 100.0 * coverage)
        .collect();
    match coverages.iter().copied().reduce(f64::min) {
        Some(least) => notes.push(format!(
            "Order statistics come in steps: the intervals shown cover the median with at least {least:.1} %."
        )),
        None => notes.push("No interval: it takes at least 6 repetitions.".into()),
    }
    if group.rows.iter().any(CaseRow::unexpected) {
        notes.push(
            "“unexpected” marks scenarios with fewer than 99.9 % of their stores as expected."
                .into(),
        );
    }
    for row in &group.rows {
        for outcome in row.result.several_humps() {
            notes.push(format!(
                "The median of {}, {}, is that of all stores and lies outside the interval of the repetitions' medians: its \
                 distribution has several humps, of which repetitions have different shares.",
                view.name(row),
                outcome.label()
            ));
        }
        let attempts = row.result.attempts().filter(Attempts::chosen);
        if let Some(told) = attempts.and_then(|attempts| attempts.told()) {
            notes.push(format!(
                "Trials of {} were thrown away: {told}.",
                view.name(row)
            ));
        }
    }
    for row in group.rows.iter().filter(|row| row.result.inferred() > 0) {
        notes.push(format!(
            "Reuse and no fault of {} are inferred from latency for {} of {} stores: their trials had both.",
            view.name(row),
            format::count(row.result.inferred()),
            format::count(row.result.outcomes.total())
        ));
    }
    for row in &group.rows {
        let reads = row.result.sum(|one| one.direct_reads);
        if let Some(DirectReads { pages, lost }) = reads {
            let went = match lost {
                0 => "",
                _ => "; it went to those that the stores left",
            };
            notes.push(format!(
                "O_DIRECT reads that were in flight during the stores of {}: what was read is missing from {} of {} pages{went}.",
                view.name(row),
                format::count(lost),
                format::count(pages)
            ));
        }
    }
    let taken = group.rows.iter().filter_map(|row| {
        let amount = row.result.sum(|one| one.taken)?.per_store()?;
        Some(format!("{} {amount}", view.name(row)))
    });
    let taken: Vec<String> = taken.collect();
    if !taken.is_empty() {
        notes.push(format!(
            "Memory that a store took for data, by frames that the area did not have before: {}.",
            taken.join(", ")
        ));
    }
    let huge = group.rows.iter().filter_map(|row| {
        let told = row.result.sum(|one| one.huge)?.told();
        Some(format!("{} {told}", view.name(row)))
    });
    let huge: Vec<String> = huge.collect();
    if !huge.is_empty() {
        notes.push(format!(
            "Huge folios that PMDs still map after the stores, by smaps, and PMDs that the machine split meanwhile: {}.",
            huge.join(", ")
        ));
    }
    if group.rows.iter().any(|r| r.folded) {
        notes.push("Of a sweep over skews the one nearest to 0 is shown; the section on races has the others.".into());
    }
    if !group.rows.iter().all(CaseRow::timed) {
        notes.push(
            "Times of an emulator (tcg) say nothing about a machine; its outcomes stand.".into(),
        );
    }
    notes
}

/// A row for each outcome that was seen, the most frequent first; a single one where no latency was recorded.
fn latency_rows(view: &View, row: &CaseRow, has_rate: bool) -> Vec<Vec<Cell>> {
    let base = view::find(view, row.run, REUSE).filter(|_| row.timed());
    let series = row.series();
    if series.is_empty() {
        let mut cells = name_cells(view, row);
        cells.push(Cell::new(expected(row)));
        cells.push(Cell::muted("no store was timed"));
        cells.resize_with(
            name_columns(view).len() + 10 + usize::from(has_rate),
            || Cell::muted("–"),
        );
        return vec![cells];
    }
    let figure = |text: String| match row.timed() {
        true => Cell::new(text),
        false => Cell::muted(text),
    };
    let each = series.iter().enumerate().map(|(n, one)| {
        let mut cells = name_cells(view, row);
        let l = one.latency;
        cells.push(if n == 0 {
            Cell::new(expected(row))
        } else {
            Cell::muted("〃")
        });
        cells.push(seen(row, one.outcome));
        cells.push(figure(format::count(l.p50)));
        cells.push(match one.interval() {
            Some(i) => figure(format!("{}–{}", whole(i.low), whole(i.high))),
            None => Cell::muted("–"),
        });
        cells.extend([l.p90, l.p99, l.p999, l.max].map(|v| figure(format::count(v))));
        cells.extend(times_reuse(one, base.as_ref()));
        if has_rate {
            cells.push(match (n, view::rate(row.result)) {
                (0, Some(rate)) => figure(whole(rate)),
                _ => Cell::muted("–"),
            });
        }
        cells
    });
    each.collect()
}

fn whole(x: f64) -> String {
    format::count(x.round() as u64)
}

fn expected(row: &CaseRow) -> String {
    let names: Vec<&str> = row.result.expected.iter().map(|o| o.label()).collect();
    if names.is_empty() {
        "nothing certain".into()
    } else {
        names.join(" or ")
    }
}

fn seen(row: &CaseRow, outcome: Outcome) -> Cell {
    let outcomes = &row.result.outcomes;
    let text = format!(
        "{} {}",
        outcome.label(),
        format::share(outcomes.get(outcome), outcomes.total())
    );
    if row.unexpected() && outcome != Outcome::Unknown && !row.result.expected.contains(&outcome) {
        Cell::warn(format!("{text}, unexpected"))
    } else {
        Cell::new(text)
    }
}

/// The ratio to the plainest reuse, and its interval.
fn times_reuse(one: &Series, base: Option<&Series>) -> [Cell; 2] {
    let Some(ratio) = base.and_then(|base| one.ratio_to(base)) else {
        return [Cell::muted("–"), Cell::muted("–")];
    };
    let interval = match ratio.interval {
        Some(Interval { low, high }) => Cell::new(format!("{low:.3}–{high:.3}")),
        None => Cell::muted("–"),
    };
    [Cell::new(format!("{:.2}", ratio.value)), interval]
}

/// Why nothing is known about copies that were thrown away: only races count them, and they have a section of their own.
fn uncounted_discards(group: &Group) -> Option<Block> {
    let mut reasons = Reasons::default();
    for row in group.rows.iter().filter(|r| r.result.race.is_none()) {
        if let Discards::Unavailable { unavailable } = &row.result.discards {
            reasons.mark(unavailable, "discarded copies");
        }
    }
    let notes = reasons.notes(false);
    (!notes.is_empty()).then(|| Block::text(notes.join(" ")))
}
