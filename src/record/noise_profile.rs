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
    /// How far runs lie apart in that figure, drawn towards what all rows have in common; of a case that is not in it, what
    /// they have in common. `None` where too little was measured.
    pub fn spread(&self, case: &CaseId, outcome: Outcome, figure: &str) -> Option<Spread> {
        let all: Vec<Spread> = self.rows.iter().map(|row| row.spread).collect();
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
