//! How long a run goes on that was not told how often to repeat: until its figures are sharp enough, or the time is over.

use std::time::{Duration, Instant};

use crate::record::outcome::Outcome;
use crate::record::schema::{Config, Repetition};
use crate::record::unit::Unit;
use crate::stats::effect::{ALPHA, ChangeKind, Question, ValueKind, effects};
use crate::stats::interval::{Interval, mean_interval};

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
        })
    }

    /// Whether the time is over.
    pub fn is_over(&self) -> bool {
        self.began.elapsed() >= self.budget
    }

    /// The time since the run began, and the most that it may take.
    pub fn spent(&self) -> (Duration, Duration) {
        (self.began.elapsed(), self.budget)
    }

    /// Whether these repetitions would show a change as small as was asked for, against as many of the same kind.
    pub fn is_sharp(&self, repetitions: &[Repetition], unit: Unit) -> bool {
        let Some(until) = self.until else {
            return false;
        };
        let differences: Vec<f64> = repetitions.iter().filter_map(|r| r.difference).collect();
        if !differences.is_empty() {
            return differences.len() >= FEWEST && is_narrow(&differences, until);
        }
        repetitions.len() >= FEWEST
            && detectable(repetitions, unit).is_some_and(|change| change <= until)
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

/// The change of the most frequent outcome's median that such repetitions show within one run, as a share: they are the units,
/// and what runs differ by comes on top.
fn detectable(repetitions: &[Repetition], unit: Unit) -> Option<f64> {
    let seen =
        |outcome: &Outcome| -> u64 { repetitions.iter().map(|r| r.outcomes.get(*outcome)).sum() };
    let outcome = Outcome::ALL.into_iter().max_by_key(seen)?;
    let latencies = repetitions
        .iter()
        .filter_map(|r| r.by_outcome.get(&outcome));
    let values: Vec<Vec<f64>> = latencies.map(|latency| vec![latency.p50 as f64]).collect();
    let kind = match unit {
        Unit::Ns => ValueKind::PerRun,
        Unit::Instructions => ValueKind::Exact,
    };
    let asked = Question {
        kind,
        scale: ChangeKind::Ratio,
        base: values.clone(),
        new: values,
        paired: false,
        step: 0.0,
        chance: ALPHA,
        measured: None,
    };
    effects(&[asked])[0]?.mde
}
