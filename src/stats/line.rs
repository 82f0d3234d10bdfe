//! A straight line through points of which each was measured several times, and where the points leave it.

use crate::stats::interval::{Interval, mean, median, median_interval};

/// Least part of a value that its spread counts for, so that points which hardly spread do not draw the line to themselves.
const LEAST_SPREAD: f64 = 0.01;

/// A line through points.
#[derive(Clone, Debug, PartialEq)]
pub struct Line {
    /// What one more of x adds: the median over repetitions of each one's slope.
    pub slope: f64,
    /// Its 95 % interval, from order statistics; `None` with fewer than 6 repetitions.
    pub interval: Option<Interval>,
    /// The medians at the first and at the last point.
    pub ends: [f64; 2],
    /// Points.
    pub points: usize,
    /// Repetitions that have a value at every point.
    pub repetitions: usize,
    /// Where it bends, in the order of x; `None` where repetitions are too few to tell, and of two points.
    pub bends: Option<Vec<Bend>>,
}

/// A point from which on the slope is another.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Bend {
    /// Its x.
    pub at: f64,
    /// The slope up to it.
    pub before: f64,
    /// The slope from it to the next point.
    pub after: f64,
}

/// The line through `points`, each an x and a value for every repetition, in the order of x and the same repetitions everywhere.
///
/// Each repetition gives a slope by least squares; a point counts for the less the more its values spread between repetitions
/// (at least by a hundredth of the value). A bend is where the slopes of the sections on both sides of a point differ: the
/// interval of the difference over repetitions does not hold 0, at 95 % for all points of the line together (Bonferroni).
///
/// `None` with fewer than two points, without repetitions, and where two points have the same x.
pub fn line(points: &[(f64, Vec<f64>)]) -> Option<Line> {
    let repetitions = points.iter().map(|(_, values)| values.len()).min()?;
    let apart = points.windows(2).all(|pair| pair[0].0 < pair[1].0);
    if points.len() < 2 || repetitions == 0 || !apart {
        return None;
    }
    let weights = weights(points);
    let slopes: Vec<f64> = (0..repetitions)
        .map(|rep| slope(points, &weights, rep))
        .collect();
    let end = |(_, values): &(f64, Vec<f64>)| median(values);
    Some(Line {
        slope: median(&slopes)?,
        interval: median_interval(&slopes, 0.95),
        ends: [end(points.first()?)?, end(points.last()?)?],
        points: points.len(),
        repetitions,
        bends: bends(points, repetitions),
    })
}

/// The inverse of each point's variance; the same for all where nothing spreads and nothing is more than 0.
fn weights(points: &[(f64, Vec<f64>)]) -> Vec<f64> {
    let variances = points.iter().map(|(_, values)| {
        let mean = mean(values).unwrap_or_default();
        let spread = values.iter().map(|v| (v - mean).powi(2)).sum::<f64>();
        spread / values.len().max(2) as f64 + (LEAST_SPREAD * mean).powi(2)
    });
    let variances: Vec<f64> = variances.collect();
    match variances.iter().all(|&variance| variance > 0.0) {
        true => variances.iter().map(|variance| 1.0 / variance).collect(),
        false => vec![1.0; points.len()],
    }
}

/// The slope of one repetition, by weighted least squares.
fn slope(points: &[(f64, Vec<f64>)], weights: &[f64], rep: usize) -> f64 {
    let all = || points.iter().zip(weights);
    let whole: f64 = weights.iter().sum();
    let x_mean = all().map(|((x, _), w)| w * x).sum::<f64>() / whole;
    let y_mean = all().map(|((_, y), w)| w * y[rep]).sum::<f64>() / whole;
    let products = all().map(|((x, y), w)| w * (x - x_mean) * (y[rep] - y_mean));
    let squares = all().map(|((x, _), w)| w * (x - x_mean).powi(2));
    products.sum::<f64>() / squares.sum::<f64>()
}

fn bends(points: &[(f64, Vec<f64>)], repetitions: usize) -> Option<Vec<Bend>> {
    let inner = points.len() - 2;
    let level = 1.0 - 0.05 / inner.max(1) as f64;
    let steps: Vec<Vec<f64>> = points
        .windows(2)
        .map(|pair| {
            let [(from, low), (to, high)] = pair else {
                return Vec::new();
            };
            (0..repetitions)
                .map(|rep| (high[rep] - low[rep]) / (to - from))
                .collect()
        })
        .collect();
    let mut bends = Vec::new();
    for (at, pair) in steps.windows(2).enumerate() {
        let [before, after] = pair else { continue };
        let differences: Vec<f64> = before.iter().zip(after).map(|(b, a)| a - b).collect();
        if !median_interval(&differences, level)?.contains(0.0) {
            bends.push(Bend {
                at: points[at + 1].0,
                before: median(before)?,
                after: median(after)?,
            });
        }
    }
    (inner > 0).then_some(bends)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Ten repetitions of `of` at each x, each with an error of its own of up to `noise` of the value.
    fn measured(
        xs: &[f64],
        noise: f64,
        seed: u64,
        of: impl Fn(f64) -> f64,
    ) -> Vec<(f64, Vec<f64>)> {
        let mut random = fastrand::Rng::with_seed(seed);
        xs.iter()
            .map(|&x| {
                let values = (0..10).map(|_| of(x) * (1.0 + noise * (2.0 * random.f64() - 1.0)));
                (x, values.collect())
            })
            .collect()
    }

    #[test]
    fn a_line_gives_its_slope_back_and_does_not_bend() {
        let points = measured(&[1.0, 64.0, 1024.0, 16384.0], 0.0, 1, |x| 900.0 + 350.0 * x);
        let line = line(&points).unwrap();
        assert!((line.slope - 350.0).abs() < 1e-6, "{line:?}");
        assert_eq!(line.ends, [1250.0, 900.0 + 350.0 * 16384.0]);
        assert_eq!(line.repetitions, 10);
        let interval = line.interval.unwrap();
        assert!((interval.low - 350.0).abs() < 1e-6 && (interval.high - 350.0).abs() < 1e-6);
        assert_eq!(two().bends, None, "two points are always on a line");
    }

    fn two() -> Line {
        line(&[(1.0, vec![5.0; 6]), (2.0, vec![7.0; 6])]).unwrap()
    }

    #[test]
    fn a_knee_is_found_where_it_is() {
        let points = measured(&[1.0, 2.0, 4.0, 7.0, 8.0, 16.0], 0.01, 2, |x| {
            match x > 7.0 {
                true => 2600.0,
                false => 1900.0,
            }
        });
        let bends = line(&points).unwrap().bends.unwrap();
        let at: Vec<f64> = bends.iter().map(|bend| bend.at).collect();
        assert!(at.contains(&7.0) && at.contains(&8.0), "{bends:?}");
        assert!(
            bends[0].before.abs() < 50.0 && bends[0].after > 500.0,
            "{bends:?}"
        );
    }

    #[test]
    fn noise_around_a_line_is_seldom_called_a_bend_and_its_interval_seldom_misses_the_slope() {
        let (mut bent, mut missed) = (0, 0);
        for seed in 0..400 {
            let points = measured(&[1.0, 2.0, 4.0, 7.0, 8.0], 0.05, seed, |x| {
                2000.0 + 30.0 * x
            });
            let line = line(&points).unwrap();
            bent += usize::from(!line.bends.unwrap().is_empty());
            missed += usize::from(!line.interval.unwrap().contains(30.0));
        }
        // 5 % of 400 are 20; 33 is three standard deviations above.
        assert!(bent <= 33, "{bent} of 400 bend");
        assert!(missed <= 33, "{missed} of 400 miss");
    }

    #[test]
    fn what_is_too_few_is_said() {
        assert_eq!(line(&[(1.0, vec![1.0])]), None);
        assert_eq!(line(&[(1.0, vec![1.0]), (1.0, vec![2.0])]), None);
        assert_eq!(line(&[(1.0, vec![1.0]), (2.0, Vec::new())]), None);
        let few = line(&[
            (1.0, vec![1.0; 5]),
            (2.0, vec![2.0; 5]),
            (3.0, vec![3.0; 5]),
        ])
        .unwrap();
        assert!((few.slope - 1.0).abs() < 1e-9, "{few:?}");
        assert_eq!((few.interval, few.bends), (None, None));
    }
}
