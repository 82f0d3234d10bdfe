//! A distribution while it is recorded: a histogram, and of counted instructions every value as it is.

use std::collections::BTreeMap;

use hdrhistogram::Histogram;

use crate::record::latency::Latency;
use crate::record::latency::{HistogramError, add, histogram, latency_of};
use crate::record::unit::Unit;
use crate::stats::shape::spacing;

/// Distinct values of a distribution that are kept; of more, the histogram alone.
pub const DISTINCT: usize = 1 << 12;

/// A distribution of latencies. Times go into a histogram of three digits alone. Counted instructions are few distinct values,
/// and single ones matter: they are kept too, and the figures are theirs.
#[derive(Clone, Debug)]
pub struct Distribution {
    histogram: Histogram<u64>,
    unit: Unit,
    /// How often each value came; `None` where that is not kept.
    values: Option<BTreeMap<u64, u64>>,
}

impl Distribution {
    /// An empty one of values in `unit`.
    pub fn new(unit: Unit) -> Distribution {
        Distribution {
            histogram: histogram(),
            unit,
            values: (unit == Unit::Instructions).then(BTreeMap::new),
        }
    }

    /// Records a value.
    pub fn record(&mut self, value: u64) {
        self.histogram.saturating_record(value);
        if let Some(values) = &mut self.values {
            *values.entry(value).or_default() += 1;
        }
        self.limit();
    }

    /// Adds what was recorded elsewhere.
    ///
    /// # Errors
    /// When its histogram cannot be read.
    pub fn add(&mut self, latency: &Latency) -> Result<(), HistogramError> {
        add(&mut self.histogram, latency)?;
        match (&mut self.values, &latency.values) {
            (Some(values), Some(more)) => {
                for &(value, count) in more {
                    *values.entry(value).or_default() += count;
                }
            }
            _ if latency.count > 0 => self.values = None,
            _ => {}
        }
        self.limit();
        Ok(())
    }

    /// The run file's form of it.
    pub fn latency(&self) -> Latency {
        let latency = latency_of(&self.histogram, self.unit);
        let Some(values) = &self.values else {
            return latency;
        };
        let count: u64 = values.values().sum();
        let sum: f64 = values.iter().map(|(&v, &n)| v as f64 * n as f64).sum();
        let at = |share: f64| {
            let rank = ((share * count as f64).ceil() as u64).max(1);
            let mut below = 0;
            let found = values.iter().find(|(_, n)| {
                below += **n;
                below >= rank
            });
            found.map_or(0, |(&value, _)| value)
        };
        Latency {
            min: values.keys().next().copied().unwrap_or_default(),
            p50: at(0.5),
            p90: at(0.9),
            p99: at(0.99),
            p999: at(0.999),
            max: values.keys().next_back().copied().unwrap_or_default(),
            mean: if count > 0 { sum / count as f64 } else { 0.0 },
            values: Some(values.iter().map(|(&v, &n)| (v, n)).collect()),
            ..latency
        }
    }

    /// The median of recorded times and the distance between readings of the clock that they show, 0 where they do not; `None` for
    /// what is not time, or nothing.
    pub fn clock_step(&self) -> Option<(u64, f64)> {
        let is_time = self.unit == Unit::Ns && !self.histogram.is_empty();
        is_time.then(|| {
            let median = self.histogram.value_at_quantile(0.5);
            (median, spacing(&self.histogram).unwrap_or(0.0))
        })
    }

    fn limit(&mut self) {
        if self.values.as_ref().is_some_and(|v| v.len() > DISTINCT) {
            self.values = None;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(unit: Unit, values: &[u64]) -> Distribution {
        let mut found = Distribution::new(unit);
        values.iter().for_each(|&v| found.record(v));
        found
    }

    #[test]
    fn counted_instructions_are_kept_to_the_instruction() {
        let counted = of(Unit::Instructions, &[5_002, 5_002, 5_003, 5_022]).latency();
        assert_eq!(
            (counted.min, counted.p50, counted.p90, counted.max),
            (5_002, 5_002, 5_022, 5_022)
        );
        assert_eq!(
            counted.values,
            Some(vec![(5_002, 2), (5_003, 1), (5_022, 1)])
        );
        assert_eq!(counted.mean, 5_007.25);
        let timed = of(Unit::Ns, &[5_002, 5_002]).latency();
        assert_eq!((timed.p50, timed.values), (5_003, None), "three digits");
    }

    #[test]
    fn adding_keeps_them_unless_a_part_has_none() {
        let part = of(Unit::Instructions, &[5_002, 5_003]).latency();
        let mut sum = of(Unit::Instructions, &[5_001]);
        sum.add(&part).unwrap();
        assert_eq!(
            sum.latency().values,
            Some(vec![(5_001, 1), (5_002, 1), (5_003, 1)])
        );
        sum.add(&Latency {
            values: None,
            ..part
        })
        .unwrap();
        let found = sum.latency();
        assert_eq!((found.count, found.values), (5, None));
    }

    #[test]
    fn many_distinct_values_are_a_histogram_alone() {
        let values: Vec<u64> = (0..=DISTINCT as u64).collect();
        assert_eq!(of(Unit::Instructions, &values).latency().values, None);
        assert!(
            of(Unit::Instructions, &values[1..])
                .latency()
                .values
                .is_some()
        );
    }
}
