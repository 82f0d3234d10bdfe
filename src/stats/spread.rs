//! How far runs of the same thing lie apart: a variance, and the degrees of freedom that it rests on.

use serde::{Deserialize, Serialize};
use statrs::function::gamma::digamma;

/// Rows from which a variance in common is made: of fewer, how variances differ from row to row cannot be told.
const FEWEST: usize = 4;
/// Degrees of freedom beyond which a variance counts as known.
const KNOWN: f64 = 1e6;

/// A variance between runs.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Spread {
    /// Of the logarithm of a run's figure, or of the figure itself where that may be negative.
    pub variance: f64,
    /// Degrees of freedom: one less than runs, for each side.
    pub freedom: f64,
}

impl Spread {
    /// The variance within groups of values, each around its own mean; `None` where no group has two values.
    pub fn within(groups: &[&[f64]]) -> Option<Spread> {
        let (mut squares, mut freedom) = (0.0, 0.0);
        for group in groups.iter().filter(|group| !group.is_empty()) {
            let n = group.len() as f64;
            let mean = group.iter().sum::<f64>() / n;
            squares += group.iter().map(|v| (v - mean).powi(2)).sum::<f64>();
            freedom += n - 1.0;
        }
        (freedom > 0.0).then(|| Spread {
            variance: squares / freedom,
            freedom,
        })
    }

    /// Both together, each weighed by its degrees of freedom.
    pub fn with(self, prior: Option<Spread>) -> Spread {
        let Some(prior) = prior else { return self };
        let freedom = self.freedom + prior.freedom;
        Spread {
            variance: (self.freedom * self.variance + prior.freedom * prior.variance) / freedom,
            freedom,
        }
    }

    /// The same with a variance of at least so much.
    pub fn at_least(self, variance: f64) -> Spread {
        Spread {
            variance: self.variance.max(variance),
            ..self
        }
    }
}

/// What the variances of a table's rows have in common: the scale and the degrees of freedom of the scaled inverse
/// chi-square distribution that their variances came from (Smyth, Linear Models and Empirical Bayes Methods, 2004, section 6.2).
/// `None` for fewer than four rows with a variance above 0.
pub fn common(rows: &[Spread]) -> Option<Spread> {
    let rows: Vec<Spread> = rows.iter().copied().filter(|s| s.variance > 0.0).collect();
    if rows.len() < FEWEST {
        return None;
    }
    let n = rows.len() as f64;
    let logs = rows.iter().map(|s| {
        let half = s.freedom / 2.0;
        s.variance.ln() - digamma(half) + half.ln()
    });
    let logs: Vec<f64> = logs.collect();
    let mean = logs.iter().sum::<f64>() / n;
    let apart = logs.iter().map(|e| (e - mean).powi(2)).sum::<f64>() / (n - 1.0);
    let by_chance = rows.iter().map(|s| trigamma(s.freedom / 2.0)).sum::<f64>() / n;
    let half = match apart - by_chance {
        // They differ by no more than chance makes them: all rows have one variance.
        more if more <= 0.0 => KNOWN / 2.0,
        more => inverse_trigamma(more).min(KNOWN / 2.0),
    };
    Some(Spread {
        variance: (mean + digamma(half) - half.ln()).exp(),
        freedom: 2.0 * half,
    })
}

/// The derivative of digamma: by recurrence up to where its asymptotic series is exact to 1e-12 (Abramowitz and Stegun,
/// Handbook of Mathematical Functions, 6.4.6 and 6.4.12).
fn trigamma(mut x: f64) -> f64 {
    let mut sum = 0.0;
    while x < 20.0 {
        sum += 1.0 / (x * x);
        x += 1.0;
    }
    let y = 1.0 / (x * x);
    sum + 1.0 / x + y / 2.0 + y / x * (1.0 / 6.0 - y * (1.0 / 30.0 - y * (1.0 / 42.0 - y / 30.0)))
}

/// Where trigamma is `y`, by bisection: it falls from infinity to 0.
fn inverse_trigamma(y: f64) -> f64 {
    let (mut low, mut high) = (1e-9f64, KNOWN);
    for _ in 0..200 {
        let middle = (low * high).sqrt();
        match trigamma(middle) > y {
            true => low = middle,
            false => high = middle,
        }
    }
    (low * high).sqrt()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_variance_within_groups_is_pooled() {
        let found = Spread::within(&[&[1.0, 3.0], &[10.0, 10.0, 13.0], &[7.0], &[]]).unwrap();
        assert_eq!(found.freedom, 3.0);
        assert!((found.variance - (2.0 + 6.0) / 3.0).abs() < 1e-12);
        assert_eq!(Spread::within(&[&[1.0], &[2.0]]), None);
    }

    /// As tabulated: pi^2/6, pi^2/2, and 1/x + 1/(2x^2) + 1/(6x^3) for large x.
    #[test]
    fn trigamma_is_as_tabulated_and_is_inverted() {
        let squared = std::f64::consts::PI.powi(2);
        assert!((trigamma(1.0) - squared / 6.0).abs() < 1e-12);
        assert!((trigamma(0.5) - squared / 2.0).abs() < 1e-12);
        assert!((trigamma(100.0) - 0.010_050_166_663_3).abs() < 1e-12);
        for x in [0.01, 0.5, 3.0, 40.0, 5_000.0] {
            let back = inverse_trigamma(trigamma(x));
            assert!((back / x - 1.0).abs() < 1e-6, "{x}: {back}");
        }
    }

    /// Variances of rows drawn as scaled chi-squares over an inverse chi-square: scale and freedom come out again.
    #[test]
    fn what_rows_have_in_common_is_found() {
        let mut random = fastrand::Rng::with_seed(2);
        let mut normal = || (0..12).map(|_| random.f64()).sum::<f64>() - 6.0;
        let mut chi = |n: usize| (0..n).map(|_| normal().powi(2)).sum::<f64>();
        for (prior, freedom, low, high) in [(8, 4, 5.0, 13.0), (0, 4, 100.0, f64::INFINITY)] {
            let rows: Vec<Spread> = (0..2_000)
                .map(|_| {
                    let scale = match prior {
                        0 => 4.0,
                        n => 4.0 * n as f64 / chi(n),
                    };
                    Spread {
                        variance: scale * chi(freedom) / freedom as f64,
                        freedom: freedom as f64,
                    }
                })
                .collect();
            let found = common(&rows).unwrap();
            assert!((3.5..4.5).contains(&found.variance), "{found:?}");
            assert!((low..=high).contains(&found.freedom), "{found:?}");
        }
        assert_eq!(
            common(
                &[Spread {
                    variance: 1.0,
                    freedom: 2.0
                }; 3]
            ),
            None
        );
    }
}
