//! The charts of a set of latencies: overlaid histograms and percentile curves.

use hdrhistogram::Histogram;

use crate::record::latency::Latency;
use crate::record::latency::decode;
use crate::record::unit::Unit;
use crate::report::error::ReportError;
use crate::report::format;
use crate::report::plot::Chart;
use crate::report::plot::axis::{self, log10};
use crate::report::plot::data::PlotData;
use crate::report::plot::line::ChartLine;
use crate::report::plot::style::Style;
use crate::report::view::{CaseRow, Series, View};
use crate::stats::shape::{log_bins, nines, percentile_curve};

/// Bins in a decade of latency: each 12 % wider than the one before.
const BINS_PER_DECADE: u32 = 20;
/// Most lines that one chart overlays.
const MOST_LINES: usize = 6;

/// A line still to be drawn.
struct UndrawnLine {
    label: String,
    style: Style,
    histogram: Histogram<u64>,
}

/// The histograms and the percentile curves of `series`, which share a unit: one pair of charts, or several where one
/// would hold too many lines. `name` begins their file names, `title` their titles.
pub fn latency_charts(
    view: &View,
    name: &str,
    title: &str,
    series: &[Series],
) -> Result<Vec<Chart>, ReportError> {
    let parts = parts(series);
    let mut charts = Vec::new();
    for (n, part) in parts.iter().enumerate() {
        let (suffix, of) = match parts.len() {
            1 => (String::new(), String::new()),
            all => (format!("-{}", n + 1), format!(" ({} of {all})", n + 1)),
        };
        let sources = sources(view, part)?;
        let unit = part[0].latency.unit;
        let (name, title) = (format::slug(name), format::shorten(title, 60));
        charts.push(histograms(
            format!("{name}-histogram{suffix}"),
            format!("{title}: latency histogram{of}"),
            unit,
            &sources,
        ));
        charts.push(percentiles(
            format!("{name}-percentiles{suffix}"),
            format!("{title}: latency by percentile{of}"),
            unit,
            &sources,
        ));
    }
    Ok(charts)
}

/// The histograms of one row's latencies, each under its own label.
pub fn part_histogram(
    row: &CaseRow,
    title: &str,
    latencies: &[(&'static str, &Latency)],
) -> Result<Chart, ReportError> {
    let mut sources = Vec::new();
    for (n, &(label, latency)) in latencies.iter().enumerate() {
        sources.push(UndrawnLine {
            label: label.into(),
            style: Style::nth(n),
            histogram: decode(latency).map_err(|source| ReportError::Histogram {
                run: row.file.id.clone(),
                scenario: row.result.scenario.clone(),
                outcome: label,
                source,
            })?,
        });
    }
    let unit = latencies.first().map_or(Unit::Ns, |(_, l)| l.unit);
    let title = format!(
        "{}: winners and those who backed off",
        format::shorten(title, 60)
    );
    let mut chart = histograms("race-parts".into(), title, unit, &sources);
    chart.reading = "A winner’s copy was kept, and who backed off made one for nothing: how far its hump lies from the \
                     winner’s is what a backoff costs the thread; “no copy” came too late to begin one."
        .into();
    Ok(chart)
}

/// The series in parts of a handful of lines each; lines of one scenario stay together, so that its runs can be compared.
fn parts<'s, 'a>(series: &'s [Series<'a>]) -> Vec<Vec<&'s Series<'a>>> {
    let mut scenarios: Vec<Vec<&Series>> = Vec::new();
    for one in series {
        match scenarios
            .iter_mut()
            .find(|s| s[0].row.label == one.row.label)
        {
            Some(scenario) => scenario.push(one),
            None => scenarios.push(vec![one]),
        }
    }
    let mut parts: Vec<Vec<&Series>> = Vec::new();
    for scenario in scenarios {
        match parts.last_mut() {
            Some(part) if part.len() + scenario.len() <= MOST_LINES => part.extend(scenario),
            _ => parts.push(scenario),
        }
    }
    parts
}

/// Labels, styles and distributions of a chart's lines. With one run, or one kind of line, each line has a style of its
/// own; otherwise the colour and marker say what was measured and the dashes say in which run.
fn sources(view: &View, series: &[&Series]) -> Result<Vec<UndrawnLine>, ReportError> {
    let mut kinds: Vec<String> = Vec::new();
    let mut runs: Vec<usize> = Vec::new();
    for one in series {
        let kind = kind(one);
        if !kinds.contains(&kind) {
            kinds.push(kind);
        }
        if !runs.contains(&one.row.run) {
            runs.push(one.row.run);
        }
    }
    let crossed = kinds.len() > 1 && runs.len() > 1;
    series
        .iter()
        .enumerate()
        .map(|(n, one)| {
            let place = |of: usize, found: Option<usize>| found.unwrap_or(of);
            let style = if crossed {
                let kind = kind(one);
                Style::nth(place(n, kinds.iter().position(|k| *k == kind)))
                    .dashed_as(place(0, runs.iter().position(|r| *r == one.row.run)))
            } else {
                Style::nth(n)
            };
            let label = match view.runs.len() {
                1 => kind(one),
                _ => format!("{}, {}", kind(one), view.runs[one.row.run].version),
            };
            Ok(UndrawnLine {
                label,
                style,
                histogram: one.histogram()?,
            })
        })
        .collect()
}

/// What was measured, in whichever run: the scenario, and its outcome where the name does not begin with it.
fn kind(series: &Series) -> String {
    let (label, outcome) = (&series.row.label, series.outcome.label());
    if label.starts_with(outcome) {
        label.clone()
    } else {
        format!("{label}: {outcome}")
    }
}

fn histograms(name: String, title: String, unit: Unit, sources: &[UndrawnLine]) -> Chart {
    let mut most = 1;
    let mut binned = Vec::new();
    let lines = lines(sources, |label, h| {
        let bins = log_bins(h, BINS_PER_DECADE);
        let height = |n: u64| if n == 0 { 0.5f64.log10() } else { log10(n) };
        let mut points = Vec::with_capacity(2 * bins.len() + 2);
        points.extend(bins.first().map(|b| (log10(b.low), height(0))));
        for bin in &bins {
            points.push((log10(bin.low), height(bin.count)));
            points.push((log10(bin.high), height(bin.count)));
        }
        points.extend(bins.last().map(|b| (log10(b.high), height(0))));
        let peak = bins.iter().max_by_key(|b| b.count);
        most = most.max(peak.map_or(0, |b| b.count));
        let mark = peak.map(|b| ((log10(b.low) + log10(b.high)) / 2.0, height(b.count)));
        binned.push((label, bins));
        (points, mark.into_iter().collect())
    });
    let (low, high) = span(sources);
    Chart {
        name,
        title,
        description: describe(sources, unit),
        reading: format!(
            "Each step is the number of stores whose {} fell into that bin ({BINS_PER_DECADE} bins to a factor of ten, \
             both axes logarithmic): a hump further right is dearer, a second hump is a second path through the \
             kernel, and what trails off to the right is the tail. The marker sits on the most frequent bin.",
            quantity(unit)
        ),
        x: axis::latency(unit, low, high),
        y: axis::stores(most),
        lines,
        data: PlotData::of_bins(unit.label(), &binned),
    }
}

fn percentiles(name: String, title: String, unit: Unit, sources: &[UndrawnLine]) -> Chart {
    let most = sources.iter().map(|s| s.histogram.len()).max().unwrap_or(1);
    let lines = lines(sources, |_, h| {
        let curve = percentile_curve(h);
        let end = log10(h.len()) + 0.05;
        let mut points = Vec::with_capacity(2 * curve.len());
        for (i, point) in curve.iter().enumerate() {
            let next = curve.get(i + 1).map_or(end, |p| p.nines);
            points.push((point.nines, log10(point.value)));
            points.push((next, log10(point.value)));
        }
        let marks = [0.5, 0.9, 0.99, 0.999, 0.9999, 0.99999];
        let marks = marks
            .into_iter()
            .filter(|q| (1.0 - q) * h.len() as f64 >= 1.0)
            .map(|q| (nines(q), log10(h.value_at_quantile(q))))
            .collect();
        (points, marks)
    });
    let (low, high) = span(sources);
    let histograms: Vec<_> = sources
        .iter()
        .map(|s| (s.label.as_str(), &s.histogram))
        .collect();
    Chart {
        name,
        title,
        description: describe(sources, unit),
        reading: format!(
            "Read up from a percentile to a line and across: so many percent of the stores took at most that {}; every \
             further nine looks ten times deeper into the tail, and a line ends where its stores do.",
            quantity(unit)
        ),
        x: axis::percentiles(most),
        y: axis::latency(unit, low, high),
        lines,
        data: PlotData::of_percentiles(unit.label(), &histograms),
    }
}

fn quantity(unit: Unit) -> &'static str {
    match unit {
        Unit::Ns => "time",
        Unit::Instructions => "number of instructions",
    }
}

type Points = Vec<(f64, f64)>;

fn lines<'s>(
    sources: &'s [UndrawnLine],
    mut points_and_marks: impl FnMut(&'s str, &'s Histogram<u64>) -> (Points, Points),
) -> Vec<ChartLine> {
    sources
        .iter()
        .map(|source| {
            let (points, marks) = points_and_marks(&source.label, &source.histogram);
            ChartLine {
                label: source.label.clone(),
                style: source.style,
                points,
                marks,
                bars: Vec::new(),
            }
        })
        .collect()
}

/// The smallest and largest value of all.
fn span(sources: &[UndrawnLine]) -> (u64, u64) {
    let filled = || sources.iter().filter(|s| !s.histogram.is_empty());
    (
        filled().map(|s| s.histogram.min()).min().unwrap_or(1),
        filled().map(|s| s.histogram.max()).max().unwrap_or(1),
    )
}

/// What the lines say, in words.
fn describe(sources: &[UndrawnLine], unit: Unit) -> String {
    let each = sources.iter().map(
        |UndrawnLine {
             label,
             histogram: h,
             ..
         }| {
            let at = |q: f64| format::latency(h.value_at_quantile(q) as f64, unit);
            format!(
                "{label}: {} stores, median {}, 99th percentile {}, largest {}.",
                format::count(h.len()),
                at(0.5),
                at(0.99),
                format::latency(h.max() as f64, unit)
            )
        },
    );
    each.collect::<Vec<_>>().join(" ")
}
