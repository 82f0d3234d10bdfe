//! One kernel under several reuse rules: what each costs against the first, what it throws away, and whether a page can
//! be replaced under a pin.

use crate::record::rule::Rule;
use crate::record::schema::{DiscardCounts, Discards, HeldCopy};
use crate::report::document::{Block, Cell, Column, Section, Table};
use crate::report::error::ReportError;
use crate::report::plot::chart::latency_charts;
use crate::report::section::matrix::letter;
use crate::report::view::{CaseRow, Series, View, distinct};
use crate::report::{format, switched};

pub fn sections(view: &View) -> Result<Vec<Section>, ReportError> {
    let runs: Vec<usize> = (0..view.runs.len())
        .filter(|&run| switched::of(view.runs[run].file).is_some())
        .collect();
    if runs.is_empty() {
        return Ok(Vec::new());
    }
    let mut blocks = Vec::new();
    let unsafe_one = |&run: &usize| switched::of(view.runs[run].file) == Some(Rule::Mapcount);
    if runs.iter().any(unsafe_one) {
        blocks.push(Block::notice(
            "mapcount is unsafe: whoever holds a reference to a page reads what is stored to it later \
             (CVE-2020-29374). It was measured here, and is not to be used.",
        ));
    }
    blocks.extend(held_copies(view, &runs));
    blocks.extend(unaided(view, &runs).map(Block::Table));
    let labels = labels(view, &runs);
    blocks.extend(costs(view, &runs, &labels).map(Block::Table));
    blocks.extend(discards(view, &runs, &labels).map(Block::Table));
    for label in &labels {
        blocks.extend(overlaid(view, &runs, label)?);
    }
    Ok(vec![Section::new(
        "strategies",
        "One kernel, several reuse rules",
        blocks,
    )])
}

/// Labels of what was measured under more than one rule, in order.
fn labels<'v>(view: &'v View, runs: &[usize]) -> Vec<&'v str> {
    let rows = view
        .rows()
        .filter(|row| runs.contains(&row.run) && !row.folded);
    distinct(rows.map(|row| row.label.as_str()))
}

fn row<'v>(view: &'v View, run: usize, label: &str) -> Option<&'v CaseRow<'v>> {
    view.rows().find(|row| row.run == run && row.label == label)
}

/// The question that the project began with, and what was seen.
fn held_copies(view: &View, runs: &[usize]) -> Vec<Block> {
    let rows = view.rows().filter(|row| runs.contains(&row.run));
    let held = rows.filter_map(|row| Some((row, row.result.held.as_ref()?)));
    let rows = held.map(|(row, held)| {
        let stale = match held.stale {
            Some(stale) => format::count(stale),
            None => "no pin lasts".into(),
        };
        let says = match answer(held) {
            (text, true) => Cell::warn(text),
            (text, false) => Cell::new(text),
        };
        let recheck = if held.recheck { "on" } else { "off" };
        vec![
            Cell::new(format!("{}, recheck {recheck}", view.runs[row.run].version)),
            says,
            Cell::new(format::count(held.pages)),
            Cell::new(format::count(held.backed_off)),
            Cell::new(format::count(held.rechecked)),
            Cell::new(format::count(held.replaced)),
            Cell::new(stale),
        ]
    });
    let rows: Vec<_> = rows.collect();
    if rows.is_empty() {
        return Vec::new();
    }
    vec![
        Block::text(
            "Thread 1 copies a page for its store, without the page-table lock. Meanwhile the process that shared \
             the page leaves, and thread 2 takes a read-only pin of it. Can thread 1 then replace the page under \
             the pin, so that a later store does not show through it? Thread 1 was held inside the copy window, so \
             that each page answers.",
        ),
        Block::Table(Table {
            caption: "A page pinned for reading while a copier is inside its window".into(),
            columns: vec![
                Column::words("rule"),
                Column::words("answer"),
                Column::numbers("pages"),
                Column::numbers("copies thrown away"),
                Column::numbers("by the recheck"),
                Column::numbers("replaced under the pin"),
                Column::numbers("stale pins"),
            ],
            rows,
            notes: vec![
                "Thrown away, recheck and replaced are the kernel's own counts. A pin is stale when it does not see a store \
                 made after the race was over."
                    .into(),
            ],
            prose: true,
        }),
    ]
}

/// The same with nobody held.
fn unaided(view: &View, runs: &[usize]) -> Option<Table> {
    let rows = view.rows().filter_map(|row| {
        let race = row.result.race.as_ref()?;
        let pages: u64 = race.results.iter().map(|result| result.pages).sum();
        let replaced = race.replaced?;
        (row.result.scenario == UNAIDED && runs.contains(&row.run)).then(|| {
            vec![
                Cell::new(view.runs[row.run].label.clone()),
                Cell::new(row.label.clone()),
                Cell::new(format::count(pages)),
                Cell::new(format::count(replaced)),
            ]
        })
    });
    let rows: Vec<_> = rows.collect();
    (!rows.is_empty()).then(|| Table {
        caption: "The same with nobody held: how often does it happen by itself?".into(),
        columns: vec![
            Column::words("run"),
            Column::words("race"),
            Column::numbers("pages"),
            Column::numbers("replaced after they became exclusive"),
        ],
        rows,
        notes: vec![
            "Under the exclusive rule the kernel looks for it only with cow_recheck=1.".into(),
        ],
        prose: false,
    })
}

/// The race in which nobody is held.
const UNAIDED: &str = "race/unshare-under-copy-unaided";

/// What the counts of a held race say, and whether it is bad.
fn answer(held: &HeldCopy) -> (&'static str, bool) {
    match (held.replaced, held.rechecked, held.stale) {
        (1.., _, _) => ("yes: an exclusive page was replaced", true),
        (0, 1.., _) => ("no: the recheck threw the copy away", false),
        (0, 0, Some(1..)) => (
            "not by the race: a later fault replaced the page, which stores take for shared while it is pinned",
            true,
        ),
        (0, 0, _) => (
            "no: the copier's own reference made the pin take a page of its own",
            false,
        ),
    }
}

/// Medians under each rule, and the ratio to the first.
fn costs(view: &View, runs: &[usize], labels: &[&str]) -> Option<Table> {
    let first = runs[0];
    let timed = runs.iter().all(|&run| view.runs[run].timed());
    let mut columns = vec![Column::words("scenario")];
    for &run in runs {
        columns.push(Column::numbers(view.runs[run].version.clone()));
        if run != first && timed {
            columns.push(Column::numbers("× first"));
        }
    }
    let series = |run, label: &str| row(view, run, label)?.series().into_iter().next();
    let cells = |label: &&str| {
        let base = series(first, label);
        let mut cells = vec![Cell::new(*label)];
        for &run in runs {
            let one = series(run, label);
            cells.push(one.as_ref().map_or(Cell::muted("–"), |one| {
                let median = match timed {
                    true => format!(" {}", format::count(one.latency.p50)),
                    false => String::new(),
                };
                Cell::new(format!("{}{median}", letter(one.outcome)))
            }));
            if run != first && timed {
                cells.push(base.as_ref().zip(one).map_or(Cell::muted("–"), times));
            }
        }
        cells
    };
    let rows: Vec<_> = labels
        .iter()
        .filter(|label| series(first, label).is_some())
        .map(cells)
        .collect();
    (!rows.is_empty()).then(|| Table {
        caption: match timed {
            true => "Outcome and median of one store under each rule, and how many times the first rule's it is".into(),
            false => "Outcome of one store under each rule".into(),
        },
        columns,
        rows,
        notes: vec![
            "R reuse, C copy, F fill, N no fault, U unshare copy, u unshare reuse, ? unknown: the most frequent. “≠” compares \
             unlike outcomes. The interval covers the ratio of medians with 95 %, by a bootstrap over repetitions; it takes \
             at least 6 of them."
                .into(),
        ],
        prose: false,
    })
}

fn times((base, one): (&Series, Series)) -> Cell {
    match one.ratio_to(base) {
        Some(ratio) => {
            let interval = ratio
                .interval
                .map_or(String::new(), |interval| format!(" {interval:.3}"));
            Cell::new(format!("{:.3}{interval}{}", ratio.value, one.unlike(base)))
        }
        None => Cell::muted("–"),
    }
}

/// Late and none discards per page of each race.
fn discards(view: &View, runs: &[usize], labels: &[&str]) -> Option<Table> {
    let cell = |run, label: &str| match row(view, run, label).map(|row| &row.result.discards) {
        Some(Discards::Counted(DiscardCounts {
            late, none, pages, ..
        })) if *pages > 0 => {
            let per_page = |n: u64| n as f64 / *pages as f64;
            Some(format!("{:.3} / {:.3}", per_page(*late), per_page(*none)))
        }
        _ => None,
    };
    let rows: Vec<Vec<Cell>> = labels
        .iter()
        .filter(|label| runs.iter().any(|&run| cell(run, label).is_some()))
        .map(|label| {
            let each = runs
                .iter()
                .map(|&run| cell(run, label).map_or(Cell::muted("not counted"), Cell::new));
            [Cell::new(*label)].into_iter().chain(each).collect()
        })
        .collect();
    let runs = runs.iter().map(|&run| view.runs[run].version.clone());
    (!rows.is_empty()).then(|| Table {
        caption: "Copies (late) / zeroed pages (none) thrown away per raced page, under each rule"
            .into(),
        columns: [Column::words("race")]
            .into_iter()
            .chain(runs.map(Column::numbers))
            .collect(),
        rows,
        notes: Vec::new(),
        prose: false,
    })
}

/// The histograms of what came to different ends, or is a race, under each rule in one plot.
fn overlaid(view: &View, runs: &[usize], label: &str) -> Result<Vec<Block>, ReportError> {
    let rows: Vec<&CaseRow> = runs
        .iter()
        .filter_map(|&run| row(view, run, label))
        .collect();
    let series: Vec<Series> = rows
        .iter()
        .filter(|row| row.timed())
        .filter_map(|row| row.series().into_iter().next())
        .collect();
    let race = rows.iter().any(|row| row.result.race.is_some());
    let differ = series
        .windows(2)
        .any(|two| two[0].outcome != two[1].outcome);
    if series.len() < 2 || !(race || differ) {
        return Ok(Vec::new());
    }
    let name = format!("strategies-{}", format::slug(label));
    let charts = latency_charts(view, &name, &format!("{label} by reuse rule"), &series)?;
    Ok(charts.into_iter().map(Block::Figure).collect())
}
