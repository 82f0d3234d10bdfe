//! The charts of races: the copy window by skew, scaling by threads, latency by what a thread came to.

use crate::record::case::CaseId;
use crate::record::race::ThreadOutcome;
use crate::record::schema::{DiscardCounts, PageTally};
use crate::report::error::ReportError;
use crate::report::format;
use crate::report::plot::Chart;
use crate::report::plot::axis::{self, Axis};
use crate::report::plot::chart::part_histogram;
use crate::report::plot::data::PlotData;
use crate::report::plot::line::ChartLine;
use crate::report::plot::style::Style;
use crate::report::view::{CaseRow, View, rate};
use crate::stats::interval::wilson;

/// Fewest skews that draw a window, and fewest numbers of threads that draw a curve.
const FEWEST_SKEWS: usize = 3;
const FEWEST_THREADS: usize = 2;

/// Rows that differ in nothing but what `same` leaves open, in the order of their first.
fn bundles<'r, 'a>(
    rows: &[&'r CaseRow<'a>],
    same: impl Fn(&CaseRow, &CaseRow) -> bool,
) -> Vec<Vec<&'r CaseRow<'a>>> {
    let mut bundles: Vec<Vec<&CaseRow>> = Vec::new();
    for row in rows {
        match bundles.iter_mut().find(|b| same(b[0], row)) {
            Some(bundle) => bundle.push(row),
            None => bundles.push(vec![row]),
        }
    }
    bundles
}

/// How a chart of `row`'s bundle is called: `case`, and where there are several runs, of which it is.
fn about(view: &View, row: &CaseRow, case: CaseId) -> String {
    let case = case.without_strategy().label();
    match view.runs.len() {
        1 => case,
        _ => format!("{case} on {}", view.runs[row.run].short),
    }
}

/// The probability of a discard by skew, a chart for each race that was swept.
pub fn sweeps(view: &View, rows: &[&CaseRow]) -> Vec<Chart> {
    let but_for_skew = |row: &CaseRow| CaseId::of(row.result).with_skew(0);
    let same = |a: &CaseRow, b: &CaseRow| a.run == b.run && but_for_skew(a) == but_for_skew(b);
    let mut charts = Vec::new();
    for mut bundle in bundles(rows, same) {
        bundle.sort_by_key(|r| r.result.skew);
        let (late, none) = (
            swept(&bundle, 0, "late (backoff)", |r| r.late > 0),
            swept(&bundle, 1, "none", |r| r.none > 0),
        );
        if late.marks.len() < FEWEST_SKEWS {
            continue;
        }
        let about = about(view, bundle[0], but_for_skew(bundle[0]));
        let ends = (late.marks[0].0, late.marks[late.marks.len() - 1].0);
        let lines = vec![late, none];
        charts.push(Chart {
            name: format!("race-sweep-{}", format::slug(&about)),
            title: format!("{}: discards by skew", format::shorten(&about, 60)),
            description: lines.iter().map(spoken).collect::<Vec<_>>().join(" "),
            reading: "How often a page had a discarded copy when the second thread came so much later, with the 95 % interval \
                      (Wilson). While “late” stays high, the second thread falls into the first one’s copy window; where it \
                      falls, the window ends; the hill of “none” is the moment in which the entry is empty."
                .into(),
            x: axis::linear("skew of the second thread in ns", ends.0, ends.1),
            y: axis::linear("pages with a discard, %", 0.0, 100.0),
            data: PlotData::of_marks("skew (ns)", "% of pages", &lines),
            lines,
        });
    }
    charts
}

fn swept(bundle: &[&CaseRow], nth: usize, label: &str, has: fn(&PageTally) -> bool) -> ChartLine {
    let (mut marks, mut bars) = (Vec::new(), Vec::new());
    for row in bundle {
        let counted = row.result.discards.counted().is_some();
        let Some(race) = row.result.race.as_ref().filter(|_| counted) else {
            continue;
        };
        let all: u64 = race.results.iter().map(|r| r.pages).sum();
        let part: u64 = race
            .results
            .iter()
            .filter(|r| has(r))
            .map(|r| r.pages)
            .sum();
        let Some(interval) = wilson(part, all) else {
            continue;
        };
        let x = row.result.skew as f64 * 1e9 / row.file.clock.hz;
        marks.push((x, 100.0 * part as f64 / all as f64));
        bars.push((x, interval.map(|share| 100.0 * share)));
    }
    ChartLine {
        label: label.into(),
        style: Style::nth(nth),
        points: marks.clone(),
        marks,
        bars,
    }
}

fn spoken(line: &ChartLine) -> String {
    let each = line
        .marks
        .iter()
        .map(|(x, y)| format!("{} at {}", format::figure(*y), format::figure(*x)));
    format!("{}: {}.", line.label, each.collect::<Vec<_>>().join(", "))
}

/// Faults per second and discards per page by threads, a pair of charts for each race that was run with several numbers.
pub fn scaling(view: &View, rows: &[&CaseRow]) -> Vec<Chart> {
    let timed: Vec<&CaseRow> = rows
        .iter()
        .copied()
        .filter(|r| r.timed() && !r.result.oversubscribed)
        .collect();
    let but_for_threads = |row: &CaseRow| CaseId::of(row.result).with_threads(1);
    let same =
        |a: &CaseRow, b: &CaseRow| a.run == b.run && but_for_threads(a) == but_for_threads(b);
    let mut charts = Vec::new();
    for mut bundle in bundles(&timed, same) {
        bundle.sort_by_key(|r| r.result.threads);
        bundle.dedup_by_key(|r| r.result.threads);
        let about = about(view, bundle[0], but_for_threads(bundle[0]));
        if let Some((threads, rates)) = rates(&bundle, &about) {
            charts.push(rates);
            charts.extend(discards(&bundle, &about, threads));
        }
    }
    charts
}

/// Faults per second by threads, and the axis of threads.
fn rates(bundle: &[&CaseRow], about: &str) -> Option<(Axis, Chart)> {
    let rate = |row: &&CaseRow| Some((f64::from(row.result.threads), rate(row.result)?));
    let rates: Vec<(f64, f64)> = bundle.iter().filter_map(rate).collect();
    if rates.len() < FEWEST_THREADS {
        return None;
    }
    let (first, last) = (rates[0], rates[rates.len() - 1]);
    let ideal: Vec<_> = rates
        .iter()
        .map(|&(n, _)| (n, first.1 * n / first.0))
        .collect();
    let top = rates.iter().chain(&ideal).map(|r| r.1).fold(0.0, f64::max);
    let threads = axis::whole("threads", first.0, last.0);
    let chart = chart(
        ("race-scaling", about, "faults per second by threads"),
        "The ideal line is the rate with the fewest threads, times so many threads more: what the measured line stays below \
         it is lost to locks, to TLB flushes and to copies thrown away.",
        (threads.clone(), axis::linear("faults per second", 0.0, top)),
        vec![
            line("measured", 0, rates),
            line("ideal: threads × the first", 5, ideal),
        ],
    );
    Some((threads, chart))
}

/// Discards per page by threads, if enough numbers of threads have them counted.
fn discards(bundle: &[&CaseRow], about: &str, threads: Axis) -> Option<Chart> {
    let per_page = |of: fn(&DiscardCounts) -> u64| -> Vec<(f64, f64)> {
        let counted = bundle.iter().filter_map(|r| {
            let counts = r.result.discards.counted().filter(|c| c.pages > 0)?;
            let per_page = of(counts) as f64 / counts.pages as f64;
            Some((f64::from(r.result.threads), per_page))
        });
        counted.collect()
    };
    let (late, none) = (per_page(|c| c.late), per_page(|c| c.none));
    let top = late.iter().chain(&none).map(|p| p.1).fold(0.01, f64::max);
    (late.len() >= FEWEST_THREADS).then(|| {
        chart(
            ("race-discards", about, "discards per page by threads"),
            "Each point is the number of copies (late) or zeroed pages (none) thrown away for one page: what rises with the \
             threads is work that contention wastes.",
            (threads, axis::linear("discards per page", 0.0, top)),
            vec![line("late (backoff)", 0, late), line("none", 1, none)],
        )
    })
}

fn line(label: &str, nth: usize, points: Vec<(f64, f64)>) -> ChartLine {
    ChartLine {
        label: label.into(),
        style: Style::nth(nth),
        marks: points.clone(),
        points,
        bars: Vec::new(),
    }
}

fn chart(
    (name, about, what): (&str, &str, &str),
    reading: &str,
    (x, y): (Axis, Axis),
    lines: Vec<ChartLine>,
) -> Chart {
    Chart {
        name: format!("{name}-{}", format::slug(about)),
        title: format!("{}: {what}", format::shorten(about, 60)),
        description: lines.iter().map(spoken).collect::<Vec<_>>().join(" "),
        reading: reading.into(),
        data: PlotData::of_marks(&x.label, &y.label, &lines),
        x,
        y,
        lines,
    }
}

/// The latency of winners and of those who backed off, in the first race that has both; the table has the others.
pub fn parts(rows: &[&CaseRow], view: &View) -> Result<Option<Chart>, ReportError> {
    let both = |r: &&&CaseRow| {
        let parts = r.result.race.as_ref().map(|r| &r.parts);
        let has = |part| {
            parts
                .and_then(|p| p.get(&part))
                .is_some_and(|l| l.count > 0)
        };
        r.timed() && has(ThreadOutcome::Winner) && has(ThreadOutcome::BackedOff)
    };
    let Some(row) = rows.iter().find(both) else {
        return Ok(None);
    };
    let parts = row.result.race.iter().flat_map(|r| &r.parts);
    let lines: Vec<_> = parts
        .filter(|(_, l)| l.count > 0)
        .map(|(p, l)| (p.label(), l))
        .collect();
    part_histogram(row, &view.name(row), &lines).map(Some)
}
