//! How long a run goes on that was not told how often to repeat: until its figures are sharp enough, or the time is over.

use std::time::{Duration, Instant};

use crate::record::case::CaseId;
use crate::record::latency::resolution;
use crate::record::noise_profile::NoiseProfile;
use crate::record::outcome::Outcome;
use crate::record::repetition::{Repetition, RepetitionLatency};
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
    /// Cases that are measured: rows of a comparison, among which a chance of a false verdict is divided.
    rows: usize,
}

/// Whether `config` asks for a pace instead of numbers of repetitions.
pub fn is_paced(config: &Config) -> bool {
    config.until_mde.is_some() || config.budget_s.is_some()
}

impl Pace {
    /// The pace that `config` asks for where so many cases are measured; `None` where it gives numbers of repetitions.
    pub fn of(config: &Config, rows: usize) -> Option<Pace> {
        is_paced(config).then(|| Pace {
            until: config.until_mde,
            budget: budget(config),
            began: Instant::now(),
            noise: None,
            rows,
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
    /// run where it is known how far runs lie apart, else of this one. The clock's readings lie `step` apart.
    pub fn is_sharp(
        &self,
        case: &CaseId,
        repetitions: &[Repetition],
        unit: Unit,
        step: f64,
    ) -> bool {
        let Some(until) = self.until else {
            return false;
        };
        let differences: Vec<f64> = repetitions.iter().filter_map(|r| r.difference).collect();
        if !differences.is_empty() {
            return differences.len() >= FEWEST && is_narrow(&differences, until);
        }
        repetitions.len() >= FEWEST
            && self
                .detectable(case, repetitions, unit, step)
                .is_some_and(|change| change <= until)
    }

    /// The change of the most frequent outcome's median that such repetitions show, as a share, by the very function that a
    /// comparison of all cases states it with. Without knowing how far runs lie apart, repetitions are the units and what runs
    /// differ by comes on top.
    fn detectable(
        &self,
        case: &CaseId,
        repetitions: &[Repetition],
        unit: Unit,
        step: f64,
    ) -> Option<f64> {
        let seen = |outcome: &Outcome| -> u64 {
            repetitions.iter().map(|r| r.outcomes.get(*outcome)).sum()
        };
        let outcome = Outcome::ALL.into_iter().max_by_key(seen)?;
        let latencies = repetitions
            .iter()
            .filter_map(|r| r.by_outcome.get(&outcome));
        let latencies: Vec<&RepetitionLatency> = latencies.collect();
        let values: Vec<f64> = latencies.iter().map(|it| it.p50 as f64).collect();
        let most = latencies.iter().map(|it| it.p50).max()?;
        let step = match latencies.iter().all(|it| it.exact) {
            true => 0.0,
            false => resolution(step, most, unit),
        };
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
            step,
            chance: ALPHA / self.rows.max(1) as f64,
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

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;
    use crate::record::case::tests::case;
    use crate::record::outcome::Tally;

    fn repetitions(values: &[u64]) -> Vec<Repetition> {
        let of = |(index, &p50): (usize, &u64)| {
            let latency = RepetitionLatency {
                p50,
                p90: p50,
                p99: p50,
                mean: p50 as f64,
                count: 100,
                exact: false,
            };
            let mut outcomes = Tally::default();
            outcomes.add(Outcome::Copy, 100);
            Repetition {
                index: index as u32,
                outcomes,
                by_outcome: BTreeMap::from([(Outcome::Copy, latency)]),
                ..Repetition::default()
            }
        };
        values.iter().enumerate().map(of).collect()
    }

    fn detectable(rows: usize, step: f64, values: &[u64]) -> f64 {
        let case = case("copy/child-alive");
        let pace = Pace {
            until: Some(0.02),
            budget: USUAL,
            began: Instant::now(),
            noise: None,
            rows,
        };
        let found = pace.detectable(&case, &repetitions(values), Unit::Ns, step);
        found.unwrap()
    }

    /// What a comparison of all rows would say, and no more: its level is that of a table, and a clock's step hides what is smaller.
    #[test]
    fn a_figure_is_as_sharp_as_a_comparison_of_the_whole_table_would_call_it() {
        let values = [1_000, 1_010, 990, 1_005, 995, 1_000, 1_002, 998];
        let alone = detectable(1, 0.0, &values);
        assert!(alone < 0.02, "{alone}");
        assert!(detectable(60, 0.0, &values) > 1.3 * alone);
        assert!(detectable(1, 40.0, &values) > 0.04);
        assert!(
            detectable(1, 40.0, &[1_000; 8]) >= 0.04,
            "the same reading of a coarse clock each time is not sharp"
        );
    }
}
