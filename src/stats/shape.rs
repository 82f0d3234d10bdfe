//! A histogram as a plot needs it: counts in logarithmic bins, and the value at every quantile up to the last nines.

use hdrhistogram::Histogram;

/// A bin of a logarithmic histogram: values from `low` up to but not including `high`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Bin {
    /// Smallest value in the bin.
    pub low: u64,
    /// Smallest value beyond the bin.
    pub high: u64,
    /// How many values fell into it.
    pub count: u64,
}

/// The values in about `per_decade` bins of equal width on a logarithmic axis, from the first that holds something to
/// the last, the empty ones between them included. Edges are whole numbers, so that every bin can be hit; values of
/// 0 count as 1. Empty for an empty histogram.
pub fn log_bins(h: &Histogram<u64>, per_decade: u32) -> Vec<Bin> {
    if h.is_empty() {
        return Vec::new();
    }
    let mut bins = edges(h.min().max(1), h.max().max(1), per_decade);
    let mut at = 0;
    for value in h.iter_recorded() {
        let v = value.value_iterated_to().clamp(1, h.max().max(1));
        while at + 1 < bins.len() && v >= bins[at].high {
            at += 1;
        }
        bins[at].count += value.count_at_value();
    }
    let first = bins.iter().position(|b| b.count > 0).unwrap_or(0);
    let last = bins.iter().rposition(|b| b.count > 0).unwrap_or(0);
    bins.drain(..=last).skip(first).collect()
}

/// Empty bins that together hold every value from `min` to `max`.
fn edges(min: u64, max: u64, per_decade: u32) -> Vec<Bin> {
    let edge = |k: u32| 10f64.powf(f64::from(k) / f64::from(per_decade)).round() as u64;
    let mut bins = Vec::new();
    let mut low = 1;
    for high in (1..).map(edge).take_while(|&e| e < u64::MAX) {
        if high <= low {
            continue;
        }
        if high > min {
            bins.push(Bin {
                low,
                high,
                count: 0,
            });
        }
        if high > max {
            break;
        }
        low = high;
    }
    bins
}

/// Smallest spacing that stands out from values rounded to whole numbers.
const LEAST_SPACING: f64 = 5.0;
/// Values looked at: those that the histogram keeps exactly.
const EXACT: u64 = 2_000;

/// The distance between the values where they are equally spaced, gaps allowed: the resolution of the clock that gave
/// them. `None` where they are not, lie too close to tell, or are fewer than five.
pub fn spacing(h: &Histogram<u64>) -> Option<f64> {
    let recorded = h.iter_recorded().map(|v| v.value_iterated_to());
    let values: Vec<f64> = recorded
        .filter(|&v| v > 0 && v < EXACT)
        .map(|v| v as f64)
        .take(16)
        .collect();
    let first = *values.first()?;
    let mut step = values.windows(2).map(|w| w[1] - w[0]).reduce(f64::min)?;
    if values.len() < 5 || step < LEAST_SPACING - 1.0 {
        return None;
    }
    for value in &values[1..] {
        let steps = ((value - first) / step).round();
        if (value - first - steps * step).abs() > 1.0 + 1.0 / steps {
            return None;
        }
        step = (value - first) / steps;
    }
    (step >= LEAST_SPACING).then_some(step)
}

/// A point of a percentile curve.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Point {
    /// -log10(1 - q): 0 for the smallest value, 1 for the 90th percentile, 2 for the 99th, and so on.
    pub nines: f64,
    /// The smallest value recorded above that share of all values.
    pub value: u64,
}

/// The percentile curve as steps: from each point's `nines` to the next point's, the value stays. The last point is
/// the largest values' and lies at most at log10(count): beyond it a histogram knows nothing.
pub fn percentile_curve(h: &Histogram<u64>) -> Vec<Point> {
    let n = h.len() as f64;
    let mut below = 0u64;
    h.iter_recorded()
        .map(|v| {
            let nines = -(1.0 - below as f64 / n).log10();
            below += v.count_at_value();
            Point {
                nines: nines.max(0.0),
                value: v.value_iterated_to(),
            }
        })
        .collect()
}

/// The position of quantile `q` (0 to below 1) on the axis of [`percentile_curve`].
pub fn nines(q: f64) -> f64 {
    -(1.0 - q).log10()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::record::latency::tests::filled;

    proptest! {
        #[test]
        fn bins_hold_every_value_once_and_leave_no_gap(values in prop::collection::vec(0u64..10_000_000_000, 1..100)) {
            let bins = log_bins(&filled(&values), 20);
            prop_assert_eq!(bins.iter().map(|b| b.count).sum::<u64>(), values.len() as u64);
            prop_assert!(bins.windows(2).all(|w| w[0].high == w[1].low));
            prop_assert!(bins.iter().all(|b| b.low < b.high));
            prop_assert!(bins[0].count > 0 && bins[bins.len() - 1].count > 0);
        }

        #[test]
        fn a_percentile_curve_rises(values in prop::collection::vec(1u64..10_000_000_000, 1..100)) {
            let curve = percentile_curve(&filled(&values));
            prop_assert_eq!(curve[0].nines, 0.0);
            prop_assert!(curve.windows(2).all(|w| w[0].nines < w[1].nines && w[0].value < w[1].value));
            prop_assert!(curve[curve.len() - 1].nines <= (values.len() as f64).log10() + 1e-9);
        }
    }

    #[test]
    fn a_value_falls_into_the_bin_that_holds_it() {
        let bins = log_bins(&filled(&[20, 700, 705, 1_700]), 10);
        for v in [20, 700, 705, 1_700] {
            assert!(
                bins.iter().any(|b| b.count > 0 && b.low <= v && v < b.high),
                "{v}"
            );
        }
        assert!(
            bins.iter().any(|b| b.count == 0),
            "the valley is drawn as empty bins"
        );
    }

    #[test]
    fn small_values_have_no_bin_that_cannot_be_hit() {
        let bins = log_bins(&filled(&(1..=30).collect::<Vec<_>>()), 20);
        assert!(bins.iter().all(|b| b.count > 0), "{bins:?}");
    }

    #[test]
    fn nothing_recorded_is_nothing_drawn() {
        assert_eq!(log_bins(&filled(&[]), 20), []);
        assert_eq!(percentile_curve(&filled(&[])), []);
    }

    #[test]
    fn the_last_nine_is_one_value_wide() {
        let curve = percentile_curve(&filled(&(1..=1_000).collect::<Vec<_>>()));
        let last = curve[curve.len() - 1];
        assert!(
            (last.nines - 3.0).abs() < 1e-9 && last.value == 1_000,
            "{last:?}"
        );
        assert!((nines(0.99) - 2.0).abs() < 1e-12);
    }

    #[test]
    fn a_coarse_clock_shows_in_the_spacing_of_its_values() {
        let of = |values: &[u64]| {
            let mut h = crate::record::latency::histogram();
            values.iter().for_each(|&v| h.saturating_record(v));
            spacing(&h)
        };
        let found = of(&[13, 27, 40, 53, 80, 93]).unwrap();
        assert!((found - 13.33).abs() < 0.05, "{found}");
        assert_eq!(of(&[13, 27, 40, 49, 80, 93]), None, "not equal");
        assert_eq!(of(&[20, 21, 22, 23, 24, 25]), None, "too fine to matter");
        assert_eq!(of(&[10, 20, 30]), None, "too few");
        assert_eq!(of(&[]), None);
    }
}
