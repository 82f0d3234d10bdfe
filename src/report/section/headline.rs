//! The figures to remember: what a reuse and a copy cost, and their ratio.

use crate::record::agreement::Agreement;
use crate::record::case::violated;
use crate::record::unit::Unit;
use crate::report::document::{Block, Fact, Facts, Section};
use crate::report::error::ReportError;
use crate::report::format;
use crate::report::plot::Chart;
use crate::report::plot::chart::latency_charts;
use crate::report::section::facts::facts_table;
use crate::report::view::{self, COPY, CaseRow, FLOOR, REUSE, Series, View};
use crate::stats::interval::{Interval, relative_spread};
use crate::stats::ratio::Ratio;

pub fn sections(view: &View) -> Result<Vec<Section>, ReportError> {
    if view.groups.is_empty() {
        return Ok(Vec::new());
    }
    let mut blocks = Vec::new();
    match &view.runs[..] {
        [_] => blocks.push(Block::Facts(Facts {
            caption: String::new(),
            prominent: true,
            items: facts(view, 0),
        })),
        runs => {
            let each: Vec<_> = (runs.iter().enumerate())
                .map(|(n, r)| (r.label.as_str(), facts(view, n)))
                .collect();
            blocks.push(Block::Table(facts_table(
                "What a reuse and a copy cost, run by run",
                &each,
            )));
        }
    }
    // The first one is on the first screen.
    blocks.extend(charts(view)?.into_iter().skip(1).map(Block::Figure));
    Ok(vec![Section::new(
        "reuse-vs-copy",
        "Reuse against copy",
        blocks,
    )])
}

/// A reuse and a copy of the only run; several are drawn kernel by kernel.
pub(super) fn charts(view: &View) -> Result<Vec<Chart>, ReportError> {
    let mut all = Vec::new();
    let alone = view.runs.len() == 1;
    for unit in [Unit::Ns, Unit::Instructions].into_iter().filter(|_| alone) {
        let found = [FLOOR, REUSE, COPY]
            .into_iter()
            .filter_map(|which| view::find(view, 0, which));
        let series: Vec<Series> = found.filter(|s| s.latency.unit == unit).collect();
        let name = match unit {
            Unit::Ns => "reuse-vs-copy",
            Unit::Instructions => "reuse-vs-copy-instructions",
        };
        all.extend(latency_charts(view, name, "Reuse against copy", &series)?);
    }
    Ok(all)
}

fn facts(view: &View, run: usize) -> Vec<Fact> {
    let timed = view.runs[run].timed();
    let [reuse, copy] = [REUSE, COPY].map(|which| view::find(view, run, which).filter(|_| timed));
    let mut facts = Vec::new();
    for (name, series) in [("Reuse, median", &reuse), ("Copy, median", &copy)] {
        facts.extend(series.as_ref().map(|s| median_fact(name, s)));
    }
    if let Some(ratio) = reuse
        .zip(copy)
        .and_then(|(reuse, copy)| copy.ratio_to(&reuse))
    {
        let detail = match ratio.interval {
            Some(Interval { low, high }) => format!(
                "95 % interval {low:.3} to {high:.3}, by resampling repetitions; {} over {}",
                COPY.0, REUSE.0
            ),
            None => format!(
                "too few repetitions for an interval; {} over {}",
                COPY.0, REUSE.0
            ),
        };
        let Ratio { value, .. } = ratio;
        facts.push(Fact::new("Copy / reuse", format!("{value:.2}")).detail(detail));
    }
    facts.extend(verdicts(
        &view.rows().filter(|r| r.run == run).collect::<Vec<_>>(),
    ));
    facts
}

fn median_fact(name: &str, series: &Series) -> Fact {
    let unit = series.latency.unit;
    let interval = match series.interval() {
        Some(i) => format!(
            "95 % interval {} to {}",
            format::latency(i.low, unit),
            format::latency(i.high, unit)
        ),
        None => "too few repetitions for an interval".into(),
    };
    let spread = match relative_spread(&series.medians()) {
        Some(spread) => format!("; repetitions spread over {:.1} %", 100.0 * spread),
        None => String::new(),
    };
    Fact::new(name, format::latency(series.latency.p50 as f64, unit)).detail(format!(
        "{interval}{spread}; {}",
        series.row.result.scenario
    ))
}

/// Whether the faults came to what was expected, by what that rests on, and whether the data was whole.
fn verdicts(rows: &[&CaseRow]) -> Vec<Fact> {
    let agreement = Agreement::of(rows.iter().map(|row| row.result));
    let differ = rows.iter().filter(|row| row.unexpected());
    let differ: Vec<&str> = differ.map(|row| row.label.as_str()).collect();
    let outcomes = Fact::new("Outcomes", agreement.label());
    let outcomes = match (agreement.all(), differ.is_empty()) {
        (0, _) => outcomes.detail("no scenario had both an expectation and an oracle"),
        (_, true) => outcomes.detail("scenarios with at least 99.9 % of their stores as expected"),
        (_, false) => outcomes.detail(format!("differ: {}", differ.join(", "))),
    };
    let checked: u64 = rows.iter().map(|r| r.result.integrity.checked).sum();
    let violations: u64 = rows.iter().map(|r| r.result.integrity.violations).sum();
    let integrity = match checked {
        0 => Fact::new("Data checks", "none made"),
        _ => Fact::new(
            "Data checks",
            format!("{} violations", format::count(violations)),
        )
        .detail(format!("{} words compared", format::count(checked)))
        .details(violated(rows.iter().map(|row| row.result))),
    };
    vec![outcomes, integrity]
}
