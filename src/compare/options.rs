//! What a comparison is asked for, and what it may say of a row.

use serde::Serialize;

use crate::record::schema::RepetitionLatency;
use crate::record::unit::Unit;
use crate::stats::effect::{Doubt, ValueKind};

/// Chance of a false alarm anywhere in a table.
pub const ALPHA: f64 = 0.05;

/// A change up to which two sides count as the same, where no gate says otherwise.
const SAME: f64 = 0.03;

/// The figure of a repetition that is compared.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Statistic {
    /// The median.
    P50,
    /// The 90th percentile.
    P90,
    /// The 99th percentile.
    P99,
    /// The arithmetic mean.
    Mean,
}

impl Statistic {
    /// All of them.
    pub const ALL: [Statistic; 4] = [
        Statistic::P50,
        Statistic::P90,
        Statistic::P99,
        Statistic::Mean,
    ];

    /// Its name.
    pub fn label(self) -> &'static str {
        match self {
            Statistic::P50 => "p50",
            Statistic::P90 => "p90",
            Statistic::P99 => "p99",
            Statistic::Mean => "mean",
        }
    }

    /// Its value in a repetition.
    pub fn of(self, latency: &RepetitionLatency) -> f64 {
        match self {
            Statistic::P50 => latency.p50 as f64,
            Statistic::P90 => latency.p90 as f64,
            Statistic::P99 => latency.p99 as f64,
            Statistic::Mean => latency.mean,
        }
    }
}

impl std::str::FromStr for Statistic {
    type Err = String;

    fn from_str(text: &str) -> Result<Statistic, String> {
        let found = Statistic::ALL.into_iter().find(|q| q.label() == text);
        found.ok_or_else(|| "known are p50, p90, p99 and mean".into())
    }
}

/// What was asked for.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Options {
    /// Figures to compare.
    pub quantiles: Vec<Statistic>,
    /// A slow-down, as a share, beyond which the gate stops.
    pub gate: Option<f64>,
    /// By which share two runs of the same may differ where a side has but one, in time.
    pub between_runs: f64,
    /// The same in counted instructions.
    pub between_runs_counted: f64,
    /// Compare what does not compare, and mark it.
    pub anyway: bool,
    /// Seed of resampling.
    pub seed: u64,
}

impl Default for Options {
    fn default() -> Self {
        Options {
            quantiles: vec![Statistic::P50],
            gate: None,
            between_runs: 0.1,
            between_runs_counted: 0.005,
            anyway: false,
            seed: 1,
        }
    }
}

impl Options {
    /// What an interval of values in `unit` must be told.
    pub(super) fn doubt(&self, unit: Unit) -> Doubt {
        let (kind, between_runs) = match unit {
            Unit::Ns => (ValueKind::Sampled, self.between_runs),
            Unit::Instructions => (ValueKind::Counted, self.between_runs_counted),
        };
        Doubt {
            kind,
            between_runs,
            step: 0.0,
        }
    }
}

/// What can be said of a row.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Verdict {
    /// The new side takes longer.
    Slower,
    /// The new side takes less.
    Faster,
    /// Whatever difference there is lies within the margin.
    Same,
    /// The interval is too wide for any of these.
    CantTell,
}

impl Verdict {
    /// In words.
    pub fn label(self) -> &'static str {
        match self {
            Verdict::Slower => "slower",
            Verdict::Faster => "faster",
            Verdict::Same => "same",
            Verdict::CantTell => "can't tell",
        }
    }
}

/// The margin within which two sides count as the same.
pub fn margin(options: &Options) -> f64 {
    options.gate.unwrap_or(SAME)
}
