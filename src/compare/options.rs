//! What a comparison is asked for, and what it may say of a row.

use serde::Serialize;

use crate::record::folio::FolioSize;
use crate::record::noise_profile::NoiseProfile;
use crate::record::repetition::RepetitionLatency;
use crate::stats::effect::Effect;

/// A change up to which two sides count as the same, where nothing else is asked for.
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

/// By how much one scenario's usual path differs from kernel to kernel.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct PathChange {
    /// The scenario's id.
    pub scenario: String,
    /// The size of its folios.
    pub folio: FolioSize,
    /// Before and after, as `uname -r` says it.
    pub kernels: [String; 2],
    /// Phases that differ, in the order of the path: instructions of new less base.
    pub phases: Vec<(String, i64)>,
    /// Functions that differ, the largest difference first: instructions of their own, of new less base.
    pub functions: Vec<(String, i64)>,
    /// The same of the whole path.
    pub whole: i64,
}

/// What was asked for.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Options {
    /// Figures to compare.
    pub quantiles: Vec<Statistic>,
    /// A slow-down, as a share, beyond which the gate stops.
    pub gate: Option<f64>,
    /// A change, as a share, within which two sides count as the same.
    pub same: f64,
    /// Globs on the scenarios of primary rows; empty where the runs' own selection says it.
    pub primary: Vec<String>,
    /// Standard deviation between runs of the same, as a share, where it was given.
    pub between_runs: Option<f64>,
    /// Where what runs lie apart comes from otherwise: measured by `cowpath noise`.
    #[serde(skip)]
    pub noise: Option<NoiseProfile>,
    /// Where differences of instructions lie, as `cowpath profile` has found it.
    #[serde(skip)]
    pub paths: Vec<PathChange>,
    /// Compare what does not compare, and mark it.
    pub anyway: bool,
}

impl Default for Options {
    fn default() -> Self {
        Options {
            quantiles: vec![Statistic::P50],
            gate: None,
            same: SAME,
            primary: Vec::new(),
            between_runs: None,
            noise: None,
            paths: Vec::new(),
            anyway: false,
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
    /// All of them.
    pub const ALL: [Verdict; 4] = [
        Verdict::Slower,
        Verdict::Faster,
        Verdict::Same,
        Verdict::CantTell,
    ];

    /// What can be said of an effect.
    pub fn of(effect: &Effect, same: f64) -> Verdict {
        match () {
            () if effect.above() => Verdict::Slower,
            () if effect.below() => Verdict::Faster,
            () if effect.within(same) => Verdict::Same,
            () => Verdict::CantTell,
        }
    }

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
