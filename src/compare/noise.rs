//! How far the same lies apart: within a run whose repetitions took turns as two sides, and between several runs.

use crate::compare::options::{Options, Statistic, Verdict};
use crate::compare::row::{Row, WORTH};
use crate::compare::side::Side;
use crate::compare::table::compare;
use crate::record::noise_profile::{NoiseProfile, NoiseRow, SCHEMA};
use crate::record::outcome::Tally;
use crate::record::schema::{Apart, Measured, NoiseFloor, RunFile};
use crate::stats::interval::{mean, median};
use crate::stats::spread::Spread;

/// The side of a repetition, false for the first: A B B A, so that a steady drift meets both alike.
pub fn is_second(index: u32) -> bool {
    matches!(index % 4, 1 | 2)
}

/// How far the halves of a run lie apart whose repetitions took turns as two sides; `None` where there are too few to compare.
/// The repetitions are the units here: what runs differ by is not in it.
pub fn floor(run: &RunFile) -> Option<NoiseFloor> {
    let options = Options::default();
    let compared = compare(&half(run, false), &half(run, true), &options).ok()?;
    let told = |row: &&Row| matches!(row.verdict, Verdict::Slower | Verdict::Faster);
    let mut apart: Vec<f64> = compared
        .rows
        .iter()
        .map(|row| row.effect.change.ln().abs().exp() - 1.0)
        .collect();
    apart.sort_by(f64::total_cmp);
    let at = (apart.len() * 95).div_ceil(100).checked_sub(1)?;
    Some(NoiseFloor {
        rows: compared.rows.len() as u32,
        false_alarms: compared.rows.iter().filter(told).count() as u32,
        floor: apart[at],
        apart: compared
            .rows
            .iter()
            .map(|row| Apart {
                what: row.label(),
                ratio: row.effect.change,
                interval: row.effect.interval,
            })
            .collect(),
    })
}

/// How far the runs of a side lie apart in each figure; `None` for fewer than two runs, or none about the same thing.
pub fn profile(side: &Side, figures: &[Statistic]) -> Option<NoiseProfile> {
    let about = side.about.as_ref().filter(|_| side.runs.len() > 1)?;
    let mut rows = Vec::new();
    for (case, seen) in &side.cases {
        for (&outcome, runs) in &seen.latency {
            if seen.share(outcome) < WORTH {
                continue;
            }
            for figure in figures {
                let values = side.values(Some(runs), |sample| Some(figure.of(&sample.latency)));
                let kept: Vec<&Vec<f64>> = values.iter().filter(|run| !run.is_empty()).collect();
                let medians = kept
                    .iter()
                    .filter_map(|run| median(run).filter(|&m| m > 0.0));
                let logs: Vec<f64> = medians.map(f64::ln).collect();
                let repetitions: usize = kept.iter().map(|run| run.len()).sum();
                rows.extend(Spread::within(&[&logs]).map(|spread| NoiseRow {
                    case: case.label(),
                    outcome,
                    figure: figure.label().into(),
                    unit: seen.unit,
                    value: mean(&logs).unwrap_or_default().exp(),
                    repetitions: repetitions as f64 / kept.len() as f64,
                    spread,
                }));
            }
        }
    }
    let machine = about.machine.iter();
    (!rows.is_empty()).then(|| NoiseProfile {
        schema: SCHEMA.into(),
        machine: machine
            .map(|(name, value)| (name.to_string(), value.clone()))
            .collect(),
        runs: side.runs.clone(),
        rows,
    })
}

/// One side of such a run.
fn half(run: &RunFile, second: bool) -> Side {
    let results = run.results.iter().map(|measured| {
        let mut half = Measured {
            repetitions: measured
                .repetitions
                .iter()
                .filter(|repetition| is_second(repetition.index) == second)
                .cloned()
                .collect(),
            outcomes: Tally::default(),
            ..measured.clone()
        };
        for repetition in &half.repetitions {
            half.outcomes += &repetition.outcomes;
        }
        half
    });
    let mut side = Side {
        by_repetition: true,
        ..Side::default()
    };
    side.add(&RunFile {
        results: results.collect(),
        ..run.clone()
    });
    side
}
