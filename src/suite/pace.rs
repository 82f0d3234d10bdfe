//! How long a run goes on that was not told how often to repeat: until its figures are sharp enough, or the time is over.

use std::time::{Duration, Instant};

use crate::record::case::CaseId;
use crate::record::noise_profile::NoiseProfile;
use crate::record::outcome::Outcome;
use crate::record::repetition::Repetition;
use crate::record::schema::Config;
use crate::record::unit::Unit;
use crate::stats::effect::{ALPHA, effects};
use crate::stats::interval::{Interval, mean_interval};
use crate::stats::question::{ChangeKind, Question, ValueKind};

/// Time that a run takes at most which was only told how sharp its figures are to be.
const USUAL: Duration = Duration::from_secs(300);
/// Fewest repetitions from which a figure can be sharp enough.
const FEWEST: usize = 6;
/// Most repetitions of anything, however long there is time.
pub const MOST: u32 = 10_000;

/// How long a run goes on.
pub struct Pace {
    until: Option<f64>,
    budget: Duration,
    began: Instant,
    noise: Option<NoiseProfile>,
}

impl Pace {
    /// The pace that `config` asks for; `None` where it gives numbers of repetitions.
    pub fn of(config: &Config) -> Option<Pace> {
        if config.until_mde.is_none() && config.budget_s.is_none() {
            return None;
        }
        Some(Pace {
            until: config.until_mde,
            budget: budget(config),
            began: Instant::now(),
            noise: None,
        })
    }

    /// The same that knows how far runs lie apart.
    pub fn beside(self, noise: Option<NoiseProfile>) -> Pace {
        Pace { noise, ..self }
    }

    /// Whether the time is over.
    pub fn is_over(&self) -> bool {
        self.began.elapsed() >= self.budget
    }

    /// The time since the run began, and the most that it may take.
    pub fn spent(&self) -> (Duration, Duration) {
        (self.began.elapsed(), self.budget)
    }

    /// Whether these repetitions would show a change as small as was asked for, against as many of the same kind: of another
    /// run where it is known how far runs lie apart, else of this one.
    pub fn is_sharp(&self, case: &CaseId, repetitions: &[Repetition], unit: Unit) -> bool {
        let Some(until) = self.until else {
            return false;
        };
        let differences: Vec<f64> = repetitions.iter().filter_map(|r| r.difference).collect();
        if !differences.is_empty() {
            return differences.len() >= FEWEST && is_narrow(&differences, until);
        }
        repetitions.len() >= FEWEST
            && self
                .detectable(case, repetitions, unit)
                .is_some_and(|change| change <= until)
    }

    /// The change of the most frequent outcome's median that such repetitions show, as a share, by the very function that a
    /// comparison states it with. Without knowing how far runs lie apart, repetitions are the units and what runs differ by comes
    /// on top.
    fn detectable(&self, case: &CaseId, repetitions: &[Repetition], unit: Unit) -> Option<f64> {
        let seen = |outcome: &Outcome| -> u64 {
            repetitions.iter().map(|r| r.outcomes.get(*outcome)).sum()
        };
        let outcome = Outcome::ALL.into_iter().max_by_key(seen)?;
        let latencies = repetitions
            .iter()
            .filter_map(|r| r.by_outcome.get(&outcome));
        let values: Vec<f64> = latencies.map(|latency| latency.p50 as f64).collect();
        let kind = match unit {
            Unit::Ns => ValueKind::PerRun,
            Unit::Instructions => ValueKind::Exact,
        };
        let figure = "p50";
        let known = self
            .noise
            .as_ref()
            .and_then(|noise| noise.sharpened(case, outcome, figure, &values));
        let runs: Vec<Vec<f64>> = match known {
            Some(_) => vec![values],
            None => values.into_iter().map(|value| vec![value]).collect(),
        };
        let asked = Question {
            kind,
            scale: ChangeKind::Ratio,
            base: runs.clone(),
            new: runs,
            paired: false,
            step: 0.0,
            chance: ALPHA,
            measured: known,
        };
        effects(&[asked])[0]?.mde
    }
}

/// Whether differences are known to within a share of their mean; never where that may be 0.
fn is_narrow(differences: &[f64], share: f64) -> bool {
    let narrow = |i: Interval| i.width() / 2.0 <= share * ((i.low + i.high) / 2.0).abs();
    mean_interval(differences).is_some_and(narrow)
}

/// The time that a run takes at most which asks for a pace.
pub fn budget(config: &Config) -> Duration {
    config.budget_s.map_or(USUAL, Duration::from_secs)
}
