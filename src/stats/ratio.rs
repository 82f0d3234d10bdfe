//! The ratio of two medians, with an interval by resampling repetitions.

use crate::stats::interval::{Interval, median, percentile_interval, sorted};

/// Resamples of one bootstrap: the ends of a 95 % interval then rest on 50 resamples each.
pub(super) const RESAMPLES: usize = 2_000;
/// Fewest repetitions on either side from which an interval is made.
const FEWEST: usize = 6;

/// A ratio of medians.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Ratio {
    /// Median of the one over the median of the other.
    pub value: f64,
    /// 95 % interval; `None` with fewer than 6 repetitions on either side.
    pub interval: Option<Interval>,
}

/// `median(over) / median(under)`, with the 95 % percentile interval of a bootstrap that resamples the repetitions of
/// either side by themselves (Efron and Tibshirani, An Introduction to the Bootstrap, 13.3). The same seed gives the
/// same interval. `None` without values or for a median of zero below the line.
pub fn ratio_of_medians(over: &[f64], under: &[f64], seed: u64) -> Option<Ratio> {
    let value = quotient(median(over)?, median(under)?)?;
    if over.len() < FEWEST || under.len() < FEWEST {
        return Some(Ratio {
            value,
            interval: None,
        });
    }
    let mut random = fastrand::Rng::with_seed(seed);
    let [over, under] = [over, under].map(sorted);
    let ratios = (0..RESAMPLES).filter_map(|_| {
        let over = resampled_median(&over, &mut random);
        quotient(over, resampled_median(&under, &mut random))
    });
    Some(Ratio {
        value,
        interval: percentile_interval(ratios.collect()),
    })
}

fn quotient(over: f64, under: f64) -> Option<f64> {
    (under != 0.0).then(|| over / under)
}

/// The median of a resample of `sorted`, which must not be empty, without drawing the resample.
///
/// To resample is to draw n uniforms U and take the values at ⌊nU⌋, so the resample's k-th smallest value is that at
/// ⌊nU₍ₖ₎⌋, where U₍ₖ₎ is the k-th smallest uniform (Efron, Bootstrap Methods: Another Look at the Jackknife, 1979,
/// section 3, has the same distribution as a sum). Only the middle one or two uniforms are drawn.
fn resampled_median(sorted: &[f64], random: &mut fastrand::Rng) -> f64 {
    let n = sorted.len();
    let at = |uniform: f64| sorted[((uniform * n as f64) as usize).min(n - 1)];
    match middle_uniforms(random, n) {
        (one, None) => at(one),
        (one, Some(other)) => (at(one) + at(other)) / 2.0,
    }
}

/// As many values as were given, each drawn from all of them.
pub fn resample(random: &mut fastrand::Rng, values: &[f64]) -> Vec<f64> {
    let n = values.len();
    (0..n).map(|_| values[random.usize(..n)]).collect()
}

/// The middle one of `n` uniforms, which must not be 0; of an even number the two middle ones, in either order.
///
/// The median of m = 2a - 1 uniforms has a Beta(a, a) distribution (David and Nagaraja, Order Statistics, 2.1), drawn
/// as a coordinate of a point on a sphere (Ulrich, Computer Generation of Distributions on the m-Sphere, 1984;
/// Devroye, Random Variate Generation in One Line of Code, 1996): (1 + √(1 - U^(2/m)) cos 2πV) / 2. It is exact for
/// every m.
///
/// An even n is one uniform more. It falls below that median with the median's probability, and there it is one of
/// n/2 uniforms, the greatest of which is the median's neighbour; above, the same is true of the least.
fn middle_uniforms(random: &mut fastrand::Rng, n: usize) -> (f64, Option<f64>) {
    let m = (n - 1) | 1;
    let squared = -(2.0 / m as f64 * random.f64().ln()).exp_m1();
    let cosine = (std::f64::consts::TAU * random.f64()).cos();
    let median = (1.0 + squared.sqrt() * cosine) / 2.0;
    if m == n {
        return (median, None);
    }
    let below = random.f64() < median;
    let greatest = random.f64().powf(2.0 / n as f64);
    let neighbour = match below {
        true => median * greatest,
        false => 1.0 - (1.0 - median) * greatest,
    };
    (median, Some(neighbour))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_interval_holds_the_ratio_and_repeats() {
        let reuse = [700.0, 710.0, 705.0, 720.0, 698.0, 702.0, 711.0, 707.0];
        let copy = reuse.map(|v| v * 2.5);
        let found = ratio_of_medians(&copy, &reuse, 1).unwrap();
        let Interval { low, high } = found.interval.unwrap();
        assert!((found.value - 2.5).abs() < 1e-12);
        assert!(
            low < 2.5 && 2.5 < high && low > 2.4 && high < 2.6,
            "{low} to {high}"
        );
        assert_eq!(ratio_of_medians(&copy, &reuse, 1), Some(found));
    }

    /// Skewed, and no two pairs with the same mean.
    fn values(n: usize) -> Vec<f64> {
        (1..=n).map(|i| 100.0 + (i as f64).powf(1.5)).collect()
    }

    /// The share of `drawn` below `x`, and that not above it.
    fn shares(drawn: &[f64], x: f64) -> (f64, f64) {
        let share = |keep: &dyn Fn(f64) -> bool| {
            drawn.iter().filter(|v| keep(**v)).count() as f64 / drawn.len() as f64
        };
        (share(&|v| v < x), share(&|v| v <= x))
    }

    /// Kolmogorov and Smirnov's distance, which two samples of 20,000 from one distribution exceed once in 1,000 times.
    #[test]
    fn resampled_medians_are_distributed_as_medians_of_resamples() {
        const DRAWS: usize = 20_000;
        for n in [1, 2, 3, 4, 5, 6, 15, 16, 301, 302] {
            let values = values(n);
            let mut random = fastrand::Rng::with_seed(n as u64);
            let naive: Vec<f64> = (0..DRAWS)
                .map(|_| median(&resample(&mut random, &values)).unwrap())
                .collect();
            let drawn: Vec<f64> = (0..DRAWS)
                .map(|_| resampled_median(&values, &mut random))
                .collect();
            let mut places = [&naive[..], &drawn].concat();
            places.sort_by(f64::total_cmp);
            places.dedup();
            let step = places.len() / 200 + 1;
            let apart = places
                .iter()
                .step_by(step)
                .map(|&x| (shares(&naive, x).1 - shares(&drawn, x).1).abs());
            let apart = apart.reduce(f64::max).unwrap();
            assert!(apart < 0.0195, "n = {n}: {apart}");
        }
    }

    /// By the chances of every resample: of 2 values 4, of 3 values 27 equally likely ones.
    #[test]
    fn resampled_medians_of_two_and_three_have_the_counted_chances() {
        let mut random = fastrand::Rng::with_seed(2);
        for (values, chances) in [
            (&[1.0, 2.0][..], &[(1.0, 1.0 / 4.0), (1.5, 2.0 / 4.0)][..]),
            (&[1.0, 2.0, 3.0], &[(1.0, 7.0 / 27.0), (2.0, 13.0 / 27.0)]),
        ] {
            let drawn: Vec<f64> = (0..40_000)
                .map(|_| resampled_median(values, &mut random))
                .collect();
            for &(value, chance) in chances {
                let (below, upto) = shares(&drawn, value);
                assert!(
                    (upto - below - chance).abs() < 0.01,
                    "{value}: {}",
                    upto - below
                );
            }
        }
        assert_eq!(resampled_median(&[5.0], &mut random), 5.0);
        assert_eq!(resampled_median(&[5.0; 10], &mut random), 5.0);
    }

    /// Beyond either end lies 2.5 % of a naive bootstrap: within 3 standard errors of 2,000 resamples and 5,000 naive ones.
    #[test]
    fn the_interval_is_that_of_a_naive_bootstrap() {
        for (n, m) in [(6, 7), (15, 16), (16, 15), (301, 302), (302, 40)] {
            let (over, under) = (values(n), values(m));
            let found = ratio_of_medians(&over, &under, 1).unwrap();
            let Interval { low, high } = found.interval.unwrap();
            let mut random = fastrand::Rng::with_seed(77);
            let naive: Vec<f64> = (0..5_000)
                .map(|_| {
                    let over = median(&resample(&mut random, &over)).unwrap();
                    over / median(&resample(&mut random, &under)).unwrap()
                })
                .collect();
            for (end, below) in [(low, 0.025), (high, 0.975)] {
                let (less, upto) = shares(&naive, end);
                assert!(
                    less < below + 0.0125 && upto > below - 0.0125,
                    "{n} over {m}: {end} has {less} to {upto} below, not {below}"
                );
            }
        }
    }

    #[test]
    fn identical_repetitions_leave_no_doubt() {
        let found = ratio_of_medians(&[3.0; 6], &[2.0; 6], 9).unwrap();
        assert_eq!(found.interval, Some((1.5, 1.5).into()));
    }

    #[test]
    fn too_few_repetitions_give_a_ratio_without_an_interval() {
        let found = ratio_of_medians(&[4.0; 5], &[2.0; 9], 1).unwrap();
        assert_eq!((found.value, found.interval), (2.0, None));
    }

    #[test]
    fn nothing_to_divide_is_no_ratio() {
        assert_eq!(ratio_of_medians(&[], &[1.0], 1), None);
        assert_eq!(ratio_of_medians(&[1.0], &[0.0], 1), None);
    }
}
