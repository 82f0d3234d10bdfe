//! A run that measured everything as two sides of the same: how far these lie apart is the machine's noise floor.

use crate::compare::options::{Options, Verdict};
use crate::compare::row::Row;
use crate::compare::side::Side;
use crate::compare::table::compare;
use crate::record::outcome::Tally;
use crate::record::schema::{Apart, Measured, NoiseFloor, RunFile};

/// The side of a repetition, false for the first: A B B A, so that a steady drift meets both alike.
pub fn is_second(index: u32) -> bool {
    matches!(index % 4, 1 | 2)
}

/// The noise floor of a run whose repetitions took turns as two sides; `None` where there are too few to compare.
pub fn floor(run: &RunFile) -> Option<NoiseFloor> {
    let options = Options {
        // The sides took turns within one run: nothing lies between them that repetitions do not show.
        between_runs: 0.0,
        between_runs_counted: 0.0,
        seed: run.config.seed,
        ..Options::default()
    };
    let compared = compare(&half(run, false), &half(run, true), &options).ok()?;
    let told = |row: &&Row| matches!(row.verdict, Verdict::Slower | Verdict::Faster);
    let mut apart: Vec<f64> = compared
        .rows
        .iter()
        .map(|row| row.effect.ratio.ln().abs().exp() - 1.0)
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
                ratio: row.effect.ratio,
                interval: row.effect.interval,
            })
            .collect(),
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
    let mut side = Side::default();
    side.add(&RunFile {
        results: results.collect(),
        ..run.clone()
    });
    side
}
