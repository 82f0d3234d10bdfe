//! Medians and means over repetitions, and the intervals that hold them.

use std::fmt;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use statrs::distribution::{ContinuousCDF, StudentsT};

/// What lies from one end to the other, both included: where a figure is with some confidence, or what some values span.
/// Files have it as `[low, high]`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(from = "(f64, f64)", into = "(f64, f64)")]
#[schemars(inline)]
pub struct Interval {
    /// Lower end.
    pub low: f64,
    /// Upper end.
    pub high: f64,
}

impl From<(f64, f64)> for Interval {
    fn from((low, high): (f64, f64)) -> Interval {
        Interval { low, high }
    }
}

impl From<Interval> for (f64, f64) {
    fn from(interval: Interval) -> (f64, f64) {
        (interval.low, interval.high)
    }
}

/// `[low, high]`, each end in the format that was asked for.
impl fmt::Display for Interval {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        f.write_str("[")?;
        self.low.fmt(f)?;
        f.write_str(", ")?;
        self.high.fmt(f)?;
        f.write_str("]")
    }
}

impl Interval {
    /// From the least to the greatest of the values; `None` for no values.
    pub fn spanned(values: impl IntoIterator<Item = f64>) -> Option<Interval> {
        let alone = values.into_iter().map(|v| (v, v).into());
        alone.reduce(Interval::widened)
    }

    /// The interval that holds both.
    pub fn widened(self, other: Interval) -> Interval {
        (self.low.min(other.low), self.high.max(other.high)).into()
    }

    /// The interval whose ends are those of this one in other words; `f` must keep their order.
    pub fn map(self, f: impl Fn(f64) -> f64) -> Interval {
        (f(self.low), f(self.high)).into()
    }

    /// Whether `x` lies in it.
    pub fn contains(self, x: f64) -> bool {
        self.low <= x && x <= self.high
    }

    /// How far the ends lie apart.
    pub fn width(self) -> f64 {
        self.high - self.low
    }
}

/// The middle value, or the mean of the two middle ones; `None` for no values. NaNs sort last.
pub fn median(values: &[f64]) -> Option<f64> {
    quick_median(&mut values.to_vec())
}

/// The median, in an order of the values that is not kept: a bootstrap asks for thousands, and the rest need not be sorted.
pub(super) fn quick_median(values: &mut [f64]) -> Option<f64> {
    if values.is_empty() {
        return None;
    }
    let middle = values.len() / 2;
    let (below, &mut upper, _) = values.select_nth_unstable_by(middle, f64::total_cmp);
    let lower = below.iter().copied().max_by(f64::total_cmp);
    Some(match lower.filter(|_| values.len().is_multiple_of(2)) {
        Some(lower) => (lower + upper) / 2.0,
        None => upper,
    })
}

/// The narrowest symmetric pair of order statistics that holds the median with at least the probability `level`
/// (such as 0.95), or `None` where even the extremes do not reach it: fewer than 6 values for 0.95.
pub fn median_interval(values: &[f64], level: f64) -> Option<Interval> {
    let sorted = sorted(values);
    let (k, _) = median_ranks(sorted.len(), level)?;
    Some((sorted[k - 1], sorted[sorted.len() - k]).into())
}

/// The k of the k-th smallest and the k-th largest of `n` values that are their [`median_interval`], and the probability
/// with which they hold the median: at least `level`, for order statistics come in steps.
///
/// The number of values below the median is binomial with p = 1/2 whatever the distribution, so the k-th smallest and
/// the k-th largest of n enclose it with probability 1 - 2 P(Bin(n, 1/2) < k) (David and Nagaraja, Order Statistics, 7.1).
pub fn median_ranks(n: usize, level: f64) -> Option<(usize, f64)> {
    let mut best = None;
    let mut below = 0.0; // P(Bin(n, 1/2) < k)
    // ln P(Bin(n, 1/2) = k - 1): the probability itself is less than any float from n = 1,075 on.
    let mut term = n as f64 * 0.5f64.ln();
    for k in 1..=n / 2 {
        below += term.exp();
        let coverage = 1.0 - 2.0 * below;
        if coverage < level {
            break;
        }
        best = Some((k, coverage));
        term += ((n - k + 1) as f64 / k as f64).ln();
    }
    best
}

/// The arithmetic mean; `None` for no values.
pub fn mean(values: &[f64]) -> Option<f64> {
    (!values.is_empty()).then(|| values.iter().sum::<f64>() / values.len() as f64)
}

/// The 95 % interval of the mean, by Student's t; `None` for fewer than two values.
pub fn mean_interval(values: &[f64]) -> Option<Interval> {
    let error = squared_error(values)?;
    let mean = mean(values)?;
    let half = student(values.len() as f64 - 1.0)? * error.sqrt();
    Some((mean - half, mean + half).into())
}

/// The square of the mean's standard error; `None` for fewer than two values.
fn squared_error(values: &[f64]) -> Option<f64> {
    let n = values.len() as f64;
    let mean = mean(values).filter(|_| values.len() > 1)?;
    let variance = values.iter().map(|v| (v - mean).powi(2)).sum::<f64>() / (n - 1.0);
    Some(variance / n)
}

/// Student's t at 97.5 %; `None` where `freedom` is no number above 0.
fn student(freedom: f64) -> Option<f64> {
    Some(StudentsT::new(0.0, 1.0, freedom).ok()?.inverse_cdf(0.975))
}

/// The middle 95 % of resampled figures (Efron and Tibshirani, An Introduction to the Bootstrap, 13.3).
pub(super) fn percentile_interval(mut resampled: Vec<f64>) -> Option<Interval> {
    resampled.sort_by(f64::total_cmp);
    let tail = resampled.len() / 40;
    Some((*resampled.get(tail)?, *resampled.iter().nth_back(tail)?).into())
}

/// The 95 % interval of a probability of which `part` of `whole` trials came true (Wilson, Probable inference, 1927),
/// which holds near 0 and 1 too. `None` without trials.
pub fn wilson(part: u64, whole: u64) -> Option<Interval> {
    const Z: f64 = 1.959_964;
    if whole == 0 {
        return None;
    }
    let n = whole as f64;
    let p = part as f64 / n;
    let middle = p + Z * Z / (2.0 * n);
    let half = Z * (p * (1.0 - p) / n + Z * Z / (4.0 * n * n)).sqrt();
    let scale = 1.0 + Z * Z / n;
    let ends = Interval::from((middle - half, middle + half));
    Some(ends.map(|end| (end / scale).clamp(0.0, 1.0)))
}

/// How far the values lie apart: (largest - smallest) / median. `None` for fewer than two values or a median of zero.
pub fn relative_spread(values: &[f64]) -> Option<f64> {
    let sorted = sorted(values);
    let middle = median(values)?;
    (sorted.len() > 1 && middle != 0.0)
        .then(|| (sorted[sorted.len() - 1] - sorted[0]) / middle.abs())
}

/// The values in ascending order, NaNs last.
pub(super) fn sorted(values: &[f64]) -> Vec<f64> {
    let mut sorted = values.to_vec();
    sorted.sort_by(f64::total_cmp);
    sorted
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_interval_of_a_mean_is_students_and_may_reach_below_zero() {
        // t(3) at 97.5 % is 3.18245; the standard error of these is 2 / sqrt(3).
        let found = mean_interval(&[-1.0, 1.0, 3.0, 1.0]).unwrap();
        let half = 3.182_446 * (8.0f64 / 3.0 / 4.0).sqrt();
        assert!((found.low - (1.0 - half)).abs() < 1e-4, "{found}");
        assert!((found.high - (1.0 + half)).abs() < 1e-4, "{found}");
        assert_eq!(mean_interval(&[5.0; 4]), Some((5.0, 5.0).into()));
        assert_eq!(mean_interval(&[5.0]), None);
    }

    fn upto(n: u32) -> Vec<f64> {
        (1..=n).rev().map(f64::from).collect()
    }

    #[test]
    fn the_median_is_the_middle() {
        assert_eq!(median(&upto(5)), Some(3.0));
        assert_eq!(median(&upto(4)), Some(2.5));
        assert_eq!(median(&[]), None);
    }

    /// Ranks and coverages as tabulated (Conover, Practical Nonparametric Statistics; n = 10: 2nd and 9th, 97.85 %).
    #[test]
    fn intervals_match_the_tables() {
        for (n, k, coverage) in [
            (6, 1, 0.96875),
            (8, 1, 0.992_187_5),
            (10, 2, 0.978_515_6),
            (20, 6, 0.958_610_5),
        ] {
            let found = median_interval(&upto(n), 0.95).unwrap();
            let ends = (f64::from(k), f64::from(n + 1 - k));
            assert_eq!(found, ends.into(), "n = {n}");
            let (_, holds) = median_ranks(n as usize, 0.95).unwrap();
            assert!((holds - coverage).abs() < 1e-6, "n = {n}: {holds}");
        }
    }

    /// Of many values the binomial is normal: the ranks lie 0.98 √n from the middle. One rank further in would not do, and
    /// of 1,000 that is a step of less than 0.7 %.
    #[test]
    fn intervals_of_thousands_are_as_wide_as_the_normal_says() {
        for n in [1_000, 1_074, 1_075, 3_000, 100_000] {
            let found = median_interval(&upto(n), 0.95).unwrap();
            let normal = 1.959_964 * f64::from(n).sqrt();
            assert!((found.width() - normal).abs() < 2.5, "n = {n}: {found}");
            let (_, holds) = median_ranks(n as usize, 0.95).unwrap();
            assert!((0.95..0.957).contains(&holds), "n = {n}: {holds}");
        }
    }

    /// As in Newcombe, Two-sided confidence intervals for the single proportion (1998), table I.
    #[test]
    fn the_interval_of_a_share_matches_the_table() {
        for (part, whole, low, high) in [
            (81, 263, 0.2553, 0.3662),
            (15, 148, 0.0624, 0.1605),
            (0, 20, 0.0, 0.1611),
            (1, 29, 0.0061, 0.1718),
        ] {
            let found = wilson(part, whole).unwrap();
            assert!(
                (found.low - low).abs() < 5e-5 && (found.high - high).abs() < 5e-5,
                "{part} of {whole}: {found}"
            );
        }
        assert_eq!(wilson(0, 0), None);
    }

    #[test]
    fn five_values_cannot_give_95_percent() {
        assert_eq!(median_interval(&upto(5), 0.95), None);
        assert!(median_interval(&upto(5), 0.90).is_some());
        assert_eq!(median_interval(&[], 0.95), None);
    }

    #[test]
    fn the_interval_covers_as_often_as_it_says() {
        let mut random = fastrand::Rng::with_seed(7);
        let (mut held, trials) = (0, 4_000);
        for _ in 0..trials {
            // Skewed on purpose: the square of a uniform has its median at 0.25.
            let values: Vec<f64> = (0..10).map(|_| random.f64().powi(2)).collect();
            let found = median_interval(&values, 0.95).unwrap();
            held += u32::from(found.contains(0.25));
        }
        let share = f64::from(held) / f64::from(trials);
        assert!((share - 0.9785).abs() < 0.01, "{share}");
    }

    #[test]
    fn the_spread_is_relative_to_the_median() {
        assert_eq!(relative_spread(&[90.0, 100.0, 120.0]), Some(0.3));
        assert_eq!(relative_spread(&[1.0]), None);
        assert_eq!(relative_spread(&[-1.0, 0.0, 1.0]), None);
    }
}
