//! A comparison as people and programs read it: a terminal's table, Markdown, JSON, and Go's benchmark format.

use std::fmt::Write;

use crate::compare::gate::Gate;
use crate::compare::options::{ALPHA, Statistic, Verdict, margin};
use crate::compare::row::Row;
use crate::compare::side::{Difference, Side};
use crate::compare::signed::SignedRow;
use crate::compare::table::Comparison;
use crate::record::unit::Unit;
use crate::report::document::{Column, Table};
use crate::report::export::markdown;
use crate::report::{format, terminal};
use crate::stats::effect::Estimate;
use crate::stats::interval::Interval;

/// Latencies: both sides, their ratio and what it says.
fn latencies(comparison: &Comparison) -> Table {
    let mut table = Table::of_figures(
        "New over base",
        ["scenario", "outcome", "figure"],
        ["base [95 %]", "new [95 %]", "ratio [95 %]", "p", "MDE"],
    );
    table.columns.push(Column::words("verdict"));
    for row in &comparison.rows {
        table.add(cells(row));
    }
    table
}

/// What areas add to an operation, which may be negative and so has no ratio.
pub fn signed(comparison: &Comparison) -> Table {
    let mut table = Table::of_figures(
        "What 2 MiB of an area add to an operation: new less base",
        ["2 MiB of the area add"],
        ["base [95 %]", "new [95 %]", "change [95 %]", "p"],
    );
    table.columns.push(Column::words("verdict"));
    for row in &comparison.differences {
        table.add(signed_cells(row));
    }
    table
}

/// The tables that have rows.
fn tables(comparison: &Comparison) -> impl Iterator<Item = Table> {
    let tables = [latencies(comparison), signed(comparison)];
    tables.into_iter().filter(|table| !table.rows.is_empty())
}

/// For a terminal: what changed first, then the figures, then what to know about them.
pub fn text(comparison: &Comparison) -> String {
    let mut text = heading(comparison);
    for (title, differences) in [
        ("DOES NOT COMPARE", &comparison.mismatches),
        ("changed", &comparison.changes),
    ] {
        for d in differences {
            let _ = writeln!(text, "{title}: {}", change(d));
        }
    }
    for table in tables(comparison) {
        let _ = writeln!(text, "\n{}\n", terminal::table::text(&table));
    }
    for d in &comparison.settings {
        let _ = writeln!(text, "setting: {}", change(d));
    }
    for line in remarks(comparison) {
        let _ = writeln!(text, "{line}");
    }
    text
}

/// As Markdown, for a mail or a comment on a change.
pub fn markdown(comparison: &Comparison) -> String {
    let heading = heading(comparison);
    let lines = heading.lines().map(markdown::plain);
    let mut text = lines.collect::<Vec<_>>().join("\n") + "\n";
    for (title, differences) in [
        ("Does not compare", &comparison.mismatches),
        ("Changed", &comparison.changes),
    ] {
        if !differences.is_empty() {
            let _ = writeln!(text, "\n{title}:\n");
        }
        for d in differences {
            let _ = writeln!(text, "- {}", markdown::plain(&change(d)));
        }
    }
    for table in tables(comparison) {
        markdown::whole(&mut text, &table);
    }
    text.push('\n');
    for d in &comparison.settings {
        let _ = writeln!(text, "- Setting: {}", markdown::plain(&change(d)));
    }
    for line in remarks(comparison) {
        let _ = writeln!(text, "- {}", markdown::plain(&line));
    }
    text
}

/// As JSON.
///
/// # Errors
/// Those of the JSON writer.
pub fn json(comparison: &Comparison) -> serde_json::Result<String> {
    #[derive(serde::Serialize)]
    struct Tagged<'a> {
        schema: &'static str,
        #[serde(flatten)]
        comparison: &'a Comparison,
    }
    serde_json::to_string_pretty(&Tagged {
        schema: "cowpath.compare/1",
        comparison,
    })
}

/// Both sides' repetitions in Go's benchmark format, a line each; `benchstat -col side` sets them side by side.
pub fn benchstat(base: &Side, new: &Side, quantiles: &[Statistic]) -> String {
    go_benchmarks("side", &[("base", base), ("new", new)], quantiles)
}

/// Sides in Go's benchmark format, `key` telling them apart.
pub fn go_benchmarks(key: &str, sides: &[(&str, &Side)], quantiles: &[Statistic]) -> String {
    let told = key;
    let mut text = String::from("pkg: cowpath\n");
    for (name, side) in sides {
        for (key, value) in side.about.iter().flat_map(|about| &about.machine) {
            let _ = writeln!(text, "{}: {}", word(&key.to_lowercase()), clean(value));
        }
        let _ = writeln!(text, "{told}: {}", clean(name));
        for (case, seen) in &side.cases {
            for (outcome, runs) in &seen.latency {
                for latency in runs.iter().flatten().map(|sample| sample.latency) {
                    // A slash would end the part of the name that belongs together, and a negative number at its end
                    // would be read as a number of CPUs.
                    text.push_str("BenchmarkStore");
                    for (parameter, value) in case.parameters() {
                        // Pages may differ between sides that are set against each other.
                        if parameter != "pages" && !value.is_empty() {
                            let _ = write!(text, "/{parameter}={}", word(&value));
                        }
                    }
                    let _ = write!(text, "/outcome={} {}", outcome.key(), latency.count.max(1));
                    for quantile in quantiles {
                        let _ = write!(
                            text,
                            " {} {}-{}",
                            quantile.of(&latency),
                            quantile.label(),
                            seen.unit.label()
                        );
                    }
                    text.push('\n');
                }
            }
        }
    }
    text
}

/// A name without what would end it.
fn word(text: &str) -> String {
    let keep = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.');
    text.chars()
        .map(|c| if keep(c) { c } else { '-' })
        .collect()
}

/// Text on one line without control characters: what run files say must not move a terminal's cursor.
fn clean(text: &str) -> String {
    let shown = |c: char| if c.is_control() { ' ' } else { c };
    text.chars().map(shown).collect()
}

fn heading(comparison: &Comparison) -> String {
    let side = |name: &str, side: &crate::compare::table::Brief| {
        let runs = match side.runs.len() {
            1 => "1 run".to_string(),
            n => format!("{n} runs"),
        };
        format!("{name}: {} ({runs})\n", clean(&side.label))
    };
    side("base", &comparison.base) + &side("new", &comparison.new)
}

fn change(d: &Difference) -> String {
    let short = |text: &str| format::shorten(&clean(text), 90);
    format!(
        "{}: {} -> {}",
        short(&d.what),
        short(&d.base),
        short(&d.new)
    )
}

fn cells(row: &Row) -> [String; 9] {
    let effect = &row.effect;
    let ratio = match effect.interval {
        Some(interval) => format!("{:.3} {interval:.3}", effect.ratio),
        None => format!("{:.3} [-]", effect.ratio),
    };
    [
        clean(&row.case.label()),
        row.outcome.label().into(),
        row.quantile.label().into(),
        estimate(&effect.base),
        estimate(&effect.new),
        ratio,
        p_value(row.corrected_p),
        effect.detectable.map_or("-".into(), percent),
        verdict(row.verdict, row.marked),
    ]
}

/// The cells of what an area adds to an operation, the verdict last.
fn signed_cells(row: &SignedRow) -> [String; 6] {
    let effect = &row.effect;
    let value = |value, interval| with_ends(value, interval, format::signed);
    [
        clean(&row.case.label()),
        value(effect.base.value, effect.base.interval),
        value(effect.new.value, effect.new.interval),
        value(effect.change, effect.interval),
        p_value(row.corrected_p),
        verdict(row.verdict, row.marked),
    ]
}

fn verdict(verdict: Verdict, marked: bool) -> String {
    let mark = if marked { " (does not compare)" } else { "" };
    format!("{}{mark}", verdict.label())
}

/// A value with its interval.
pub fn estimate(estimate: &Estimate) -> String {
    let figure = |v: f64| format::count(v.round() as u64);
    with_ends(estimate.value, estimate.interval, figure)
}

fn with_ends(value: f64, interval: Option<Interval>, figure: fn(f64) -> String) -> String {
    let value = figure(value);
    match interval.map(|ends| [ends.low, ends.high].map(figure)) {
        Some([low, high]) => format!("{value} [{low}, {high}]"),
        None => format!("{value} [-]"),
    }
}

/// A p that is never rounded to nothing.
pub fn p_value(p: f64) -> String {
    match p {
        p if p < 0.001 => "<0.001".into(),
        p if p < 0.1 => format!("{p:.3}"),
        p => format!("{p:.2}"),
    }
}

/// A change that can be found, rounded up.
pub fn percent(share: f64) -> String {
    let percent = 100.0 * share;
    match percent {
        p if p < 1.0 => format!("{:.2} %", (p * 100.0).ceil() / 100.0),
        p => format!("{:.1} %", (p * 10.0).ceil() / 10.0),
    }
}

/// What the figures mean and what to know about them.
pub fn remarks(comparison: &Comparison) -> Vec<String> {
    let mut lines = Vec::new();
    if let Some(row) = comparison.rows.first() {
        let [slower, faster, same, open] = [
            Verdict::Slower,
            Verdict::Faster,
            Verdict::Same,
            Verdict::CantTell,
        ]
        .map(|v| {
            comparison
                .rows
                .iter()
                .filter(|row| row.verdict == v)
                .count()
        });
        lines.push(format!(
            "{slower} slower, {faster} faster, {same} same (within {:.1} %), {open} can't tell, of {} rows",
            100.0 * margin(&comparison.options),
            comparison.rows.len()
        ));
        lines.push(match row.unit {
            Unit::Ns => format!(
                "values in ns, reading the clock included; p: Mann-Whitney, after Holm's correction; a verdict needs p < {ALPHA} and the ratio's whole interval on one side of 1; MDE: the change that so many repetitions, varying as these do, find four times in five"
            ),
            Unit::Instructions => "values in executed instructions, a count of work and not of time; the interval spans every pair of repetitions: where it leaves out 1, no repetition of one side reaches the other's; MDE: the smallest change that would".into(),
        });
    }
    if let Some(row) = comparison.differences.first() {
        lines.push(format!(
            "what 2 MiB of an area add to an operation is in {}, a difference that may be negative: compared by subtraction, with Welch's interval; a verdict needs the change's whole interval on one side of 0",
            row.unit.label()
        ));
    }
    lines.extend(comparison.notes.iter().map(|note| format!("note: {note}")));
    if let Some(gate) = &comparison.gate {
        lines.extend(gate_lines(gate));
    }
    lines.iter().map(|line| clean(line)).collect()
}

fn gate_lines(gate: &Gate) -> Vec<String> {
    let allowed = 100.0 * gate.allowed;
    let mut lines: Vec<String> = Vec::new();
    let rows = |prefix: &str, rows: &[String]| -> Vec<String> {
        rows.iter().map(|row| format!("{prefix}: {row}")).collect()
    };
    lines.extend(rows("REGRESSION", &gate.regressions));
    lines.extend(rows(
        "not counted, because the control scenario slowed down too",
        &gate.withheld,
    ));
    if !gate.controlled {
        lines.push("note: no control scenario: a slower machine cannot be told from a slower kernel; measure control/no-fault too".into());
    }
    lines.push(match gate.passed() {
        true => format!("gate: passed: nothing is slower by more than {allowed} % for sure"),
        false => format!(
            "gate: FAILED: {} of the rows are slower by more than {allowed} % for sure",
            gate.regressions.len()
        ),
    });
    lines
}
