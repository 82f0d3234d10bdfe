//! How far runs of the same thing lie apart on a machine: what `cowpath noise` keeps of several runs.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::case::CaseId;
use super::outcome::Outcome;
use super::unit::Unit;
use crate::stats::spread::{Spread, common};

/// The value of the file's `schema` key.
pub const SCHEMA: &str = "cowpath.noise/1";

/// How far runs lie apart, case by case.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct NoiseProfile {
    /// Always `cowpath.noise/1`.
    pub schema: String,
    /// The machine: what two sides of a comparison must have in common, by name.
    pub machine: BTreeMap<String, String>,
    /// Ids of the runs it was made of.
    pub runs: Vec<String>,
    /// One entry for each figure of each outcome of each case.
    pub rows: Vec<NoiseRow>,
}

/// How far runs lie apart in one figure.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct NoiseRow {
    /// The scenario and its parameters, in words.
    pub case: String,
    /// The outcome.
    pub outcome: Outcome,
    /// The figure: p50, p90, p99 or mean.
    pub figure: String,
    /// Unit of its values.
    pub unit: Unit,
    /// The mean over runs of the median over repetitions.
    pub value: f64,
    /// Repetitions of a run, on average: fewer make runs lie further apart.
    pub repetitions: f64,
    /// The variance of the logarithm of a run's figure.
    pub spread: Spread,
}

impl NoiseProfile {
    /// How far runs of so many repetitions as `values`, which vary as these do, lie apart in that figure: what lies between runs
    /// stays, and what repetitions add is less the more of them there are.
    pub fn sharpened(
        &self,
        case: &CaseId,
        outcome: Outcome,
        figure: &str,
        values: &[f64],
    ) -> Option<Spread> {
        let whole = self.spread(case, outcome, figure)?;
        let label = case.label();
        let row = self
            .rows
            .iter()
            .find(|row| row.case == label && row.outcome == outcome && row.figure == figure);
        let measured_with = row.map_or(values.len() as f64, |row| row.repetitions);
        let logs: Vec<f64> = values
            .iter()
            .filter(|&&v| v > 0.0)
            .map(|v| v.ln())
            .collect();
        // The median of n normal values varies pi/2 times as much as their mean.
        // One alone does not say how repetitions vary.
        let within = Spread::within(&[&logs]).map_or(0.0, |within| within.variance);
        let of_one = within * std::f64::consts::FRAC_PI_2;
        let between = (whole.variance - of_one / measured_with).max(0.0);
        Some(Spread {
            variance: between + of_one / values.len() as f64,
            ..whole
        })
    }

    /// How far runs lie apart in that figure, drawn towards what all rows have in common; of a case that is not in it, what
    /// they have in common. `None` where too little was measured.
    pub fn spread(&self, case: &CaseId, outcome: Outcome, figure: &str) -> Option<Spread> {
        let alike = self.rows.iter().filter(|row| row.figure == figure);
        let all: Vec<Spread> = alike.map(|row| row.spread).collect();
        let common = common(&all);
        let label = case.label();
        let mut rows = self.rows.iter();
        let same =
            |row: &&NoiseRow| row.case == label && row.outcome == outcome && row.figure == figure;
        match rows.find(same) {
            // What rows have in common was measured in as many runs: it says how they differ from each other, not more.
            Some(row) => Some(Spread {
                freedom: row.spread.freedom,
                ..row.spread.with(common)
            }),
            None => common.map(|spread| Spread {
                freedom: spread.freedom.min(self.runs.len() as f64 - 1.0),
                ..spread
            }),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::record::case::tests::case as usual;

    fn case() -> CaseId {
        usual("copy/child-alive")
    }

    fn profile(variance: f64) -> NoiseProfile {
        NoiseProfile {
            schema: SCHEMA.into(),
            machine: BTreeMap::new(),
            runs: vec!["a".into(), "b".into(), "c".into()],
            rows: vec![NoiseRow {
                case: case().label(),
                outcome: Outcome::Copy,
                figure: "p50".into(),
                unit: Unit::Ns,
                value: 1_700.0,
                repetitions: 15.0,
                spread: Spread {
                    variance,
                    freedom: 2.0,
                },
            }],
        }
    }

    /// More repetitions take away what they add, and nothing of what lies between runs.
    #[test]
    fn repetitions_sharpen_a_run_down_to_what_runs_differ_by() {
        let case = case();
        let values = |n: usize| -> Vec<f64> {
            (0..n)
                .map(|i| 1_700.0 * if i % 2 == 0 { 1.02 } else { 0.98 })
                .collect()
        };
        let found = |n| profile(0.01f64.powi(2)).sharpened(&case, Outcome::Copy, "p50", &values(n));
        let [few, more, most] = [6, 60, 60_000].map(|n| found(n).unwrap().variance);
        assert!(few > more && more > most, "{few} {more} {most}");
        let added = 0.02f64.powi(2) * std::f64::consts::FRAC_PI_2 / 15.0;
        assert!((most - (0.01f64.powi(2) - added)).abs() < 2e-6, "{most}");
        assert_eq!(
            profile(0.1).spread(&case, Outcome::Reuse, "p50"),
            None,
            "too few rows to say it of others"
        );
    }
}
