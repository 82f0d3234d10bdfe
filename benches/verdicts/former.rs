//! The procedure that gave verdicts before: p by Mann and Whitney over the repetitions of all runs, Holm's correction, and an
//! interval that is the wider one of a bootstrap and Welch's t. Kept to be set beside the present one.

use statrs::distribution::{ContinuousCDF, Normal, StudentsT};

use super::simulated::Table;

/// Resamples of a bootstrap.
const RESAMPLES: usize = 2_000;

/// What it says of a table: a row's interval of the ratio, and whether it gives a verdict.
pub fn judge(table: &Table, seed: u64) -> Vec<((f64, f64), bool)> {
    let ps: Vec<f64> = table
        .rows
        .iter()
        .map(|row| p(&row.base.concat(), &row.new.concat()))
        .collect();
    let corrected = holm(&ps);
    let mut random = fastrand::Rng::with_seed(seed);
    let rows = table.rows.iter().zip(corrected);
    rows.map(|(row, p)| {
        let (low, high) = interval(&row.base, &row.new, &mut random);
        ((low, high), p < 0.05 && (low > 1.0 || high < 1.0))
    })
    .collect()
}

/// By the normal approximation, with a correction for continuity; simulated values are never tied.
fn p(a: &[f64], b: &[f64]) -> f64 {
    let mut all: Vec<(f64, bool)> = a
        .iter()
        .map(|&v| (v, true))
        .chain(b.iter().map(|&v| (v, false)))
        .collect();
    all.sort_by(|x, y| x.0.total_cmp(&y.0));
    let ranks = all.iter().enumerate().filter(|(_, (_, first))| *first);
    let sum: f64 = ranks.map(|(rank, _)| rank as f64 + 1.0).sum();
    let [n, m] = [a, b].map(|side| side.len() as f64);
    let u = sum - n * (n + 1.0) / 2.0;
    let deviation = (n * m * (n + m + 1.0) / 12.0).sqrt();
    let z = ((u - n * m / 2.0).abs() - 0.5).max(0.0) / deviation;
    2.0 * Normal::standard().cdf(-z)
}

fn holm(ps: &[f64]) -> Vec<f64> {
    let mut order: Vec<usize> = (0..ps.len()).collect();
    order.sort_by(|&a, &b| ps[a].total_cmp(&ps[b]));
    let mut corrected = vec![1.0; ps.len()];
    let mut highest: f64 = 0.0;
    for (rank, &at) in order.iter().enumerate() {
        highest = highest.max((ps.len() - rank) as f64 * ps[at]).min(1.0);
        corrected[at] = highest;
    }
    corrected
}

fn interval(base: &[Vec<f64>], new: &[Vec<f64>], random: &mut fastrand::Rng) -> (f64, f64) {
    let medians =
        |side: &[Vec<f64>]| -> Vec<f64> { side.iter().map(|run| median(run.clone())).collect() };
    let ratio = median(medians(new)) / median(medians(base));
    let half = welch(&medians(base), &medians(new));
    let mut ratios: Vec<f64> = (0..RESAMPLES)
        .map(|_| {
            let mut middle = |side: &[Vec<f64>]| {
                let drawn = (0..side.len()).map(|_| {
                    let run = &side[random.usize(..side.len())];
                    median(
                        (0..run.len())
                            .map(|_| run[random.usize(..run.len())])
                            .collect(),
                    )
                });
                median(drawn.collect())
            };
            let base = middle(base);
            middle(new) / base
        })
        .collect();
    ratios.sort_by(f64::total_cmp);
    let tail = RESAMPLES / 40;
    let (low, high) = (ratios[tail], ratios[RESAMPLES - 1 - tail]);
    (low.min(ratio * (-half).exp()), high.max(ratio * half.exp()))
}

/// Half the width of Welch's interval of the logarithms.
fn welch(base: &[f64], new: &[f64]) -> f64 {
    let error = |side: &[f64]| {
        let logs: Vec<f64> = side.iter().map(|v| v.ln()).collect();
        let n = logs.len() as f64;
        let mean = logs.iter().sum::<f64>() / n;
        logs.iter().map(|v| (v - mean).powi(2)).sum::<f64>() / (n - 1.0) / n
    };
    let (a, b) = (error(base), error(new));
    let [na, nb] = [base, new].map(|side| side.len() as f64 - 1.0);
    let freedom = (a + b).powi(2) / (a * a / na + b * b / nb);
    let t = StudentsT::new(0.0, 1.0, freedom).map(|t| t.inverse_cdf(0.975));
    t.unwrap_or(f64::INFINITY) * (a + b).sqrt()
}

fn median(mut values: Vec<f64>) -> f64 {
    let (middle, odd) = (values.len() / 2, values.len() % 2);
    let (below, &mut upper, _) = values.select_nth_unstable_by(middle, f64::total_cmp);
    match odd {
        1 => upper,
        _ => (below.iter().copied().fold(f64::MIN, f64::max) + upper) / 2.0,
    }
}
