//! A finished run: its table and its ratios.

use std::fmt::Write;

use super::remarks::remarks;
use super::{strategy_text, table};
use crate::record::agreement::Agreement;
use crate::record::basis::BasisKind;
use crate::record::outcome::Outcome;
use crate::record::race::FrameChange;
use crate::record::schema::{DiscardCounts, Discards, Measured, RunFile};
use crate::record::unit::Unit;
use crate::report::document::{Cell, Column, Table};
use crate::report::terminal::words::{case, percent, thousands};
use crate::report::view::{View, rate};
use crate::report::{forks, format, laws};
use crate::stats::interval::median_interval;
use crate::stats::ratio::ratio_of_medians;

/// A run's table, its ratios and what the reader must know.
pub fn text(file: &RunFile) -> String {
    let mut text = format!("\n{}", strategy_text(&file.strategy));
    if file
        .results
        .iter()
        .any(|measured| measured.difference.is_none())
    {
        let _ = writeln!(text, "\n{}", table::text(&results(file)));
    }
    for table in [differences(file), discards(file)] {
        if !table.rows.is_empty() {
            let _ = writeln!(text, "{}\n", table::text(&table));
        }
    }
    let view = View::new(std::slice::from_ref(file));
    if let Some(laws) = laws::table(&view) {
        let _ = writeln!(text, "{}", table::text(&laws));
        for bends in laws::told_bends(&view) {
            let _ = writeln!(text, "{bends}");
        }
        text.push('\n');
    }
    let named = file.results.iter().map(|measured| {
        let name = Cell::new(case(file, measured));
        (vec![name], measured)
    });
    if let Some(forks) = forks::table(vec![Column::words("forks beside faults")], named) {
        let _ = writeln!(text, "{}\n", table::text(&forks));
        for note in &forks.notes {
            let _ = writeln!(text, "{note}");
        }
        let _ = writeln!(text);
    }
    for line in ratios(file) {
        let _ = writeln!(text, "{line}");
    }
    let unit = file
        .results
        .first()
        .map_or(Unit::Ns, Measured::unit)
        .label();
    let _ = writeln!(
        text,
        "latencies in {unit}; reading the clock is in them and costs {:.1} {unit} ({}); [ ] is the 95 % interval of p50 over repetitions",
        file.clock.overhead_ns, file.clock.source,
    );
    let agreement = Agreement::of(&file.results);
    if agreement.all() > 0 {
        let _ = writeln!(
            text,
            "outcomes: {} (yes: derived from a source; as before: what kernels were seen to do)",
            agreement.label()
        );
    }
    for line in remarks(file) {
        let _ = writeln!(text, "{line}");
    }
    text
}

fn results(file: &RunFile) -> Table {
    let mut table = Table::of_figures(
        "",
        ["scenario", "seen", "expected"],
        ["p50", "[95 %]", "p99", "p99.9", "max"],
    );
    // A clock that counts instructions knows no second.
    let has_rate = file.host.virtualization.unit() == Unit::Ns;
    if has_rate {
        table.columns.push(Column::numbers("stores/s"));
    }
    for measured in &file.results {
        let total = measured.outcomes.total().max(1);
        let mut outcomes: Vec<_> = measured.latency.iter().collect();
        outcomes.sort_by_key(|(_, latency)| std::cmp::Reverse(latency.count));
        for (row, (&outcome, latency)) in outcomes.into_iter().enumerate() {
            let share = 100.0 * latency.count as f64 / total as f64;
            let p50s = p50s(measured, outcome);
            let interval = median_interval(&p50s, 0.95);
            let first = |text: String| if row == 0 { text } else { String::new() };
            let mut cells = vec![
                first(case(file, measured)),
                format!("{} {}", percent(share), outcome.label()),
                first(expected_text(measured)),
                latency.p50.to_string(),
                interval.map_or("-".into(), |interval| format!("{interval:.0}")),
                latency.p99.to_string(),
                latency.p999.to_string(),
                latency.max.to_string(),
            ];
            if has_rate {
                cells.push(first(thousands(rate(measured).unwrap_or(0.0))));
            }
            table.add(cells);
        }
    }
    table
}

/// What areas add to an operation, a row for each: signed, and never an interval without saying how often it was less.
fn differences(file: &RunFile) -> Table {
    let mut table = Table::of_figures(
        "",
        ["2 MiB of the area add"],
        [
            "difference",
            "[95 %]",
            "p50 with it",
            "p50 without",
            "negative",
        ],
    );
    for measured in &file.results {
        let Some(difference) = &measured.difference else {
            continue;
        };
        let interval = difference.interval.map_or("-".into(), |ends| {
            format!(
                "[{}, {}]",
                format::signed(ends.low),
                format::signed(ends.high)
            )
        });
        table.add([
            case(file, measured),
            format::signed(difference.mean),
            interval,
            difference.with.p50.to_string(),
            difference.without.p50.to_string(),
            format!("{} of {}", difference.negative, difference.count),
        ]);
    }
    table
}

/// What was thrown away in races, a row for each.
fn discards(file: &RunFile) -> Table {
    let mut table = Table::of_figures(
        "",
        ["race"],
        [
            "pages",
            "late",
            "none",
            "futile",
            "same page + late",
            "arrive apart",
            "seen",
        ],
    );
    for measured in &file.results {
        let Some(race) = &measured.race else { continue };
        let met = measured.rendezvous.as_ref().map(|met| &met.arrival);
        let apart = met.filter(|arrival| arrival.count > 0);
        let apart = apart.map_or("-".into(), |arrival| {
            format!("{} (p99 {})", arrival.p50, arrival.p99)
        });
        let share = |n: u64, pages: u64| percent(100.0 * n as f64 / pages.max(1) as f64);
        let in_place: u64 = race
            .results
            .iter()
            .filter(|result| result.frame == FrameChange::Same && result.late > 0)
            .map(|result| result.pages)
            .sum();
        let [pages, late, none, futile, in_place] = match &measured.discards {
            Discards::Counted(DiscardCounts {
                late,
                none,
                futile,
                pages,
                ..
            }) => [
                thousands(*pages as f64),
                share(*late, *pages),
                share(*none, *pages),
                share(*futile, *pages),
                share(in_place, *pages),
            ],
            Discards::Unavailable { .. } => ["-"; 5].map(String::from),
        };
        let seen = if race.not_allowed > 0 {
            format!("{} PAGES NOT ALLOWED", race.not_allowed)
        } else {
            "as allowed".into()
        };
        table.add([
            case(file, measured),
            pages,
            late,
            none,
            futile,
            in_place,
            apart,
            seen,
        ]);
    }
    table
}

/// Medians of an outcome, one for each repetition that saw it.
fn p50s(measured: &Measured, outcome: Outcome) -> Vec<f64> {
    let repetitions = measured.repetitions.iter();
    repetitions
        .filter_map(|rep| Some(rep.by_outcome.get(&outcome)?.p50 as f64))
        .collect()
}

fn expected_text(measured: &Measured) -> String {
    let words: Vec<&str> = measured.expected.iter().map(|o| o.label()).collect();
    let words = words.join(" or ");
    match (measured.agrees(), &measured.basis) {
        (None, _) if words.is_empty() => "nothing".into(),
        (None, _) => format!("{words}?"),
        (Some(false), _) => format!("NO: {words}"),
        (Some(true), None) => "yes".into(),
        (Some(true), Some(basis)) => match basis.kind {
            BasisKind::Source => "yes".into(),
            BasisKind::Observed => "as before".into(),
            BasisKind::Reasoned => "as reasoned".into(),
            BasisKind::Construction => "by construction".into(),
        },
    }
}

fn ratios(file: &RunFile) -> Vec<String> {
    let p50s = |id: &str, outcome| {
        let measured = file
            .results
            .iter()
            .find(|measured| measured.scenario == id)?;
        Some(p50s(measured, outcome)).filter(|values| !values.is_empty())
    };
    let base = p50s("reuse/child-exited", Outcome::Reuse);
    let copies = p50s("copy/child-alive", Outcome::Copy);
    let (Some(reuse), Some(copy)) = (base, copies) else {
        return Vec::new();
    };
    let Some(ratio) = ratio_of_medians(&copy, &reuse, file.config.seed) else {
        return Vec::new();
    };
    let interval = ratio
        .interval
        .map_or(String::new(), |interval| format!(" {interval:.2}"));
    vec![format!(
        "a copy (copy/child-alive) takes {:.2}{interval} times a reuse (reuse/child-exited)",
        ratio.value
    )]
}
