//! A comparison as people and programs read it: a terminal's table, Markdown, JSON, and Go's benchmark format.

use std::fmt::Write;

use crate::compare::gate::{Gate, GateAnswer};
use crate::compare::options::{Statistic, Verdict};
use crate::compare::row::Row;
use crate::compare::side::{Difference, Side};
use crate::compare::signed::SignedRow;
use crate::compare::table::Comparison;
use crate::record::unit::Unit;
use crate::report::document::{Column, Table};
use crate::report::export::markdown;
use crate::report::{format, terminal};
use crate::stats::effect::{ALPHA, Effect, Estimate};
use crate::stats::interval::Interval;
use crate::stats::question::Footing;

/// Latencies: both sides, their ratio and what it says.
fn latencies(comparison: &Comparison) -> Table {
    let mut table = Table::of_figures(
        "New over base",
        ["scenario", "outcome", "figure"],
        [
            "base [95 %]",
            "new [95 %]",
            "ratio [decides]",
            "[95 % alone]",
            "p",
            "MDE",
        ],
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
        ["base [95 %]", "new [95 %]", "change [decides]", "p", "MDE"],
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
        schema: "cowpath.compare/2",
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

fn cells(row: &Row) -> [String; 10] {
    let effect = &row.effect;
    [
        clean(&row.case.label()),
        row.outcome.label().into(),
        row.quantile.label().into(),
        estimate(&effect.base),
        estimate(&effect.new),
        format::ratio(effect),
        effect.plain.map_or("-".into(), |ends| format!("{ends:.3}")),
        p_value(effect),
        effect.mde.map_or("-".into(), format::change),
        verdict(row.verdict, row.marked, row.primary),
    ]
}

/// The cells of what an area adds to an operation, the verdict last.
fn signed_cells(row: &SignedRow) -> [String; 7] {
    let effect = &row.effect;
    let value = |value, interval| with_ends(value, interval, format::signed);
    [
        clean(&row.case.label()),
        value(effect.base.value, effect.base.interval),
        value(effect.new.value, effect.new.interval),
        value(effect.change, effect.interval),
        p_value(effect),
        effect.mde.map_or("-".into(), format::signed),
        verdict(row.verdict, row.marked, row.primary),
    ]
}

/// A verdict in words; `~` stands before that of an exploratory row.
pub fn verdict(verdict: Verdict, marked: bool, primary: bool) -> String {
    let mark = if marked { " (does not compare)" } else { "" };
    let exploratory = if primary { "" } else { "~ " };
    format!("{exploratory}{}{mark}", verdict.label())
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

/// A p that is never rounded to nothing; of what is the same in every boot there is none.
pub fn p_value(effect: &Effect) -> String {
    match effect.p {
        _ if effect.footing == Footing::Fact => "fact".into(),
        _ if effect.interval.is_none() => "-".into(),
        p if p < 0.001 => "<0.001".into(),
        p if p < 0.1 => format!("{p:.3}"),
        p => format!("{p:.2}"),
    }
}

/// What the figures mean and what to know about them.
pub fn remarks(comparison: &Comparison) -> Vec<String> {
    let mut lines = Vec::new();
    if !comparison.is_empty() {
        let [slower, faster, same, open] = Verdict::ALL.map(|v| comparison.count(v));
        lines.push(format!(
            "{slower} slower, {faster} faster, {same} same (within {:.1} %), {open} can't tell, of {} rows",
            100.0 * comparison.options.same,
            comparison.len()
        ));
    }
    if let Some(row) = comparison.rows.first() {
        let unit = match row.unit {
            Unit::Ns => "values in ns, reading the clock included",
            Unit::Instructions => {
                "values in executed instructions, a count of work and not of time; what every boot of a side says is a fact"
            }
        };
        lines.push(format!(
            "{unit}; a verdict needs the whole of the ratio's interval on one side of 1: these intervals hold together in {:.0} % of tables; [95 % alone] is the row's own; runs are the units; p is corrected for the rows; MDE: the change that such runs find four times in five",
            100.0 * (1.0 - ALPHA)
        ));
    }
    if let Some(row) = comparison.differences.first() {
        lines.push(format!(
            "what 2 MiB of an area add to an operation is in {}, a difference that may be negative: compared by subtraction; a verdict needs the change's whole interval on one side of 0",
            row.unit.label()
        ));
    }
    lines.extend(comparison.notes.iter().map(|note| format!("note: {note}")));
    if let Some(gate) = &comparison.gate {
        let timed = comparison.rows.iter().any(|row| row.unit == Unit::Ns);
        lines.extend(gate_lines(gate, timed));
    }
    lines.iter().map(|line| clean(line)).collect()
}

fn gate_lines(gate: &Gate, timed: bool) -> Vec<String> {
    let allowed = 100.0 * gate.allowed;
    let mut lines: Vec<String> = Vec::new();
    let rows = |prefix: &str, rows: &[String]| -> Vec<String> {
        rows.iter().map(|row| format!("{prefix}: {row}")).collect()
    };
    lines.extend(rows("REGRESSION", &gate.regressions));
    lines.extend(rows("undecided", &gate.undecided));
    // Counted instructions do not depend on how fast a machine is.
    let control = match gate.control_moved {
        Some(by) => format!("the control scenario moved by {by:+.1} ns: what is said above holds with this taken off, too"),
        None => "note: no control scenario: a slower machine cannot be told from a slower kernel; measure control/no-fault too".into(),
    };
    lines.extend(Some(control).filter(|_| timed));
    let finds = match gate.finds {
        Some(finds) => format!(
            "smallest change that every row of this could find: {}",
            format::change(finds)
        ),
        None => "nothing says how far runs lie apart, so this could find nothing: measure two runs a side or more, or give what is known by --noise or --between-runs".into(),
    };
    lines.push(match gate.answer {
        GateAnswer::Pass => format!("gate: passed: no primary row is slower by more than {allowed} %; {finds}"),
        GateAnswer::Regression => format!(
            "gate: FAILED: {} of the primary rows are slower by more than {allowed} % for sure; {finds}",
            gate.regressions.len()
        ),
        GateAnswer::MeasureAgain if gate.undecided.is_empty() => {
            "gate: MEASURE AGAIN: there is no primary row that a gate can judge".into()
        }
        GateAnswer::MeasureAgain => format!(
            "gate: MEASURE AGAIN: {} of the primary rows may or may not be slower by more than {allowed} %; {finds}",
            gate.undecided.len()
        ),
    });
    lines
}
