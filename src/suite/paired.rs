//! Differences of pairs, gathered over repetitions: what an area adds to an operation.

use hdrhistogram::Histogram;

use crate::measure::clock::Clock;
use crate::record::latency::Latency;
use crate::record::latency::{HistogramError, add, histogram, latency_of};
use crate::record::repetition::Repetition;
use crate::record::schema::{Measured, PairedDifference};
use crate::record::unit::Unit;
use crate::stats::interval::{mean, mean_interval, median};
use crate::worker::protocol::Pairs;

/// The pairs of all repetitions so far.
pub struct PairSum {
    with: Histogram<u64>,
    without: Histogram<u64>,
    negative: u64,
}

impl Default for PairSum {
    fn default() -> Self {
        PairSum {
            with: histogram(),
            without: histogram(),
            negative: 0,
        }
    }
}

impl PairSum {
    /// What an interrupted run has left behind; `None` where no differences are measured.
    ///
    /// # Errors
    /// When a histogram cannot be read.
    pub fn resume(from: &Measured) -> Result<Option<Self>, HistogramError> {
        let Some(difference) = &from.difference else {
            return Ok(None);
        };
        let mut sum = PairSum::default();
        sum.join(difference)?;
        Ok(Some(sum))
    }

    /// Adds the pairs of another part of a run, or of another run of the same.
    ///
    /// # Errors
    /// When a histogram cannot be read.
    pub fn join(&mut self, difference: &PairedDifference) -> Result<(), HistogramError> {
        add(&mut self.with, &difference.with)?;
        add(&mut self.without, &difference.without)?;
        self.negative = self.negative.saturating_add(difference.negative);
        Ok(())
    }

    /// Adds a repetition's pairs; tells the median of their differences, scaled. `None` where it has none.
    pub fn add(&mut self, pairs: &Pairs, clock: &Clock) -> Option<f64> {
        let mut differences = Vec::with_capacity(pairs.ticks.len() / 2);
        for both in pairs.ticks.chunks_exact(2) {
            let mut sum = 0.0;
            for ticks in both {
                let [with, without] = ticks.map(|ticks| clock.ns(ticks));
                self.with.saturating_record(with.round() as u64);
                self.without.saturating_record(without.round() as u64);
                sum += with - without;
            }
            self.negative += u64::from(sum < 0.0);
            differences.push(sum / 2.0 * pairs.scale);
        }
        median(&differences)
    }

    /// The difference over `repetitions`, which are those that were added; `None` without any.
    pub fn difference(&self, repetitions: &[Repetition], unit: Unit) -> Option<PairedDifference> {
        let (with, without) = (
            latency_of(&self.with, unit),
            latency_of(&self.without, unit),
        );
        difference(repetitions, with, without, self.negative)
    }
}

/// The difference over `repetitions`, all of whose operations took `with` and `without` the area; `None` without any.
pub fn difference(
    repetitions: &[Repetition],
    with: Latency,
    without: Latency,
    negative: u64,
) -> Option<PairedDifference> {
    let medians = repetitions.iter().filter_map(|rep| rep.difference);
    let medians: Vec<f64> = medians.collect();
    Some(PairedDifference {
        mean: mean(&medians)?,
        interval: mean_interval(&medians),
        count: with.count / 2,
        negative,
        unit: with.unit,
        with,
        without,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::record::clock::ClockSource;

    fn clock() -> Clock {
        Clock {
            source: ClockSource::MonotonicRaw,
            hz: 1e9,
            overhead_ns: 0.0,
            note: String::new(),
        }
    }

    fn repetition(difference: Option<f64>) -> Repetition {
        Repetition {
            difference,
            ..Repetition::default()
        }
    }

    #[test]
    fn what_takes_longer_without_the_area_is_negative_and_is_not_cut_off() {
        let pairs = |ticks: &[[u64; 2]]| Pairs {
            scale: 0.5,
            ticks: ticks.to_vec(),
        };
        let mut sum = PairSum::default();
        // The second operation of a pair takes 10 less: it cancels out over two pairs.
        let first = sum.add(&pairs(&[[990, 1_100], [1_000, 1_090]]), &clock());
        let second = sum.add(&pairs(&[[1_000, 1_090], [990, 1_100]]), &clock());
        assert_eq!((first, second), (Some(-50.0), Some(-50.0)));
        let third = sum.add(&pairs(&[[1_200, 1_000], [1_200, 1_000]]), &clock());
        assert_eq!(third, Some(100.0));
        let repetitions = [first, second, third].map(repetition);
        let found = sum.difference(&repetitions, Unit::Ns).unwrap();
        assert_eq!((found.mean, found.count, found.negative), (0.0, 3, 2));
        let interval = found.interval.unwrap();
        assert!(interval.low < -50.0 && interval.high > 50.0, "{interval}");
        assert_eq!((found.with.count, found.without.count), (6, 6));
    }
}
