//! Mann and Whitney's test, and Holm's correction for a table of them.

use statrs::stats_tests::Alternative;
use statrs::stats_tests::mannwhitneyu::{MannWhitneyUMethod, mannwhitneyu};

/// Values on either side up to which U's distribution is counted out.
const EXACT: usize = 20;

/// The two-sided p of Mann and Whitney's test (On a Test of Whether one of Two Random Variables is Stochastically
/// Larger, 1947): how likely two sides of one population would lie at least this far apart. Exact for up to 20 untied
/// values a side, otherwise by the normal approximation, corrected for ties and continuity. `None` for a side without
/// values or a value that is not a number.
pub fn mann_whitney(a: &[f64], b: &[f64]) -> Option<f64> {
    if a.is_empty() || b.is_empty() || a.iter().chain(b).any(|v| v.is_nan()) {
        return None;
    }
    let mut all: Vec<f64> = a.iter().chain(b).copied().collect();
    all.sort_by(f64::total_cmp);
    if all[0] == all[all.len() - 1] {
        return Some(1.0);
    }
    let tied = all.windows(2).any(|pair| pair[0] == pair[1]);
    if a.len().max(b.len()) <= EXACT && !tied {
        return Some(exact(a, b));
    }
    let method = MannWhitneyUMethod::AsymptoticInclContinuityCorrection;
    let (_, p) = mannwhitneyu(a, b, method, Alternative::TwoSided).ok()?;
    Some(p)
}

/// The exact two-sided p of untied values, by counting the ways in which ranks add up. statrs 0.19 counts the wrong tail
/// where the first side is not the larger one, and takes as many steps as there are ways.
fn exact(a: &[f64], b: &[f64]) -> f64 {
    let above = |x: &f64| b.iter().filter(|y| x > y).count();
    let u: usize = a.iter().map(above).sum();
    let (n, pairs) = (a.len(), a.len() * b.len());
    // ways[k][s]: to choose k of the ranks so far, counted from 0, that add up to s.
    let ranks = n + b.len();
    let most = ranks * ranks;
    let mut ways = vec![vec![0.0f64; most]; n + 1];
    ways[0][0] = 1.0;
    for rank in 0..ranks {
        for k in (1..=n).rev() {
            for sum in (rank..most).rev() {
                ways[k][sum] += ways[k - 1][sum - rank];
            }
        }
    }
    let least = n * (n - 1) / 2;
    let tail: f64 = ways[n][least..=least + u.min(pairs - u)].iter().sum();
    let all: f64 = ways[n].iter().sum();
    (2.0 * tail / all).min(1.0)
}

/// The smallest p that the exact test can give for so many values: that of two sides which do not overlap.
pub fn least_p(a: usize, b: usize) -> f64 {
    let (n, k) = (a + b, a.min(b));
    let ways = (0..k).map(|i| (n - i) as f64 / (k - i) as f64);
    (2.0 / ways.product::<f64>()).min(1.0)
}

/// Holm's step-down correction (A Simple Sequentially Rejective Multiple Test Procedure, 1979): rejecting where the
/// result is below 0.05 makes a false alarm anywhere in the table happen in at most 5 % of tables, however the tests
/// depend on each other. Keeps the order of what is given.
pub fn holm(ps: &[f64]) -> Vec<f64> {
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

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// Two sides that do not overlap, as tabulated: 2 / C(2n, n).
    #[test]
    fn small_sides_are_tested_exactly() {
        for (n, p) in [(2, 1.0 / 3.0), (3, 0.1), (4, 0.028_571), (5, 0.007_937)] {
            let low: Vec<f64> = (0..n).map(f64::from).collect();
            let high: Vec<f64> = low.iter().map(|v| v + 100.0).collect();
            for (a, b) in [(&low, &high), (&high, &low)] {
                let found = mann_whitney(a, b).unwrap();
                assert!((found - p).abs() < 1e-5, "n = {n}: {found}");
            }
            assert!((least_p(low.len(), high.len()) - p).abs() < 1e-5);
        }
    }

    /// Sides of unlike size: of the 56 ways to choose 3 ranks of 8, 2 are as extreme.
    #[test]
    fn unlike_sides_are_tested_exactly_too() {
        let (few, many) = ([1.0, 2.0, 3.0], [4.0, 5.0, 6.0, 7.0, 8.0]);
        for p in [mann_whitney(&few, &many), mann_whitney(&many, &few)] {
            assert!((p.unwrap() - 2.0 / 56.0).abs() < 1e-9, "{p:?}");
        }
    }

    #[test]
    fn one_small_side_against_a_large_one_takes_no_time() {
        let many: Vec<f64> = (0..1_000).map(f64::from).collect();
        let p = mann_whitney(&[-3.0, -2.0, -1.0], &many).unwrap();
        assert!(p < 0.01, "{p}");
    }

    #[test]
    fn sides_that_are_alike_are_not_told_apart() {
        assert_eq!(mann_whitney(&[7.0; 5], &[7.0; 9]), Some(1.0));
        assert_eq!(mann_whitney(&[], &[1.0]), None);
        assert_eq!(mann_whitney(&[f64::NAN], &[1.0]), None);
    }

    /// Holm's own example: of four tests the first two are rejected.
    #[test]
    fn the_correction_is_holms() {
        let found = holm(&[0.01, 0.04, 0.03, 0.005]);
        let wanted = [0.03, 0.06, 0.06, 0.02];
        for (found, wanted) in found.iter().zip(wanted) {
            assert!((found - wanted).abs() < 1e-12, "{found} for {wanted}");
        }
    }

    proptest! {
        #[test]
        fn the_correction_keeps_the_order_and_never_helps(ps in prop::collection::vec(0.0f64..=1.0, 0..40)) {
            let found = holm(&ps);
            for (i, p) in ps.iter().enumerate() {
                prop_assert!(found[i] >= *p && found[i] <= 1.0);
                prop_assert!(found[i] <= p * ps.len() as f64 + 1e-12, "never beyond Bonferroni's");
                for (j, q) in ps.iter().enumerate() {
                    prop_assert!(p > q || found[i] <= found[j]);
                }
            }
        }

        #[test]
        fn swapping_the_sides_changes_no_p(a in prop::collection::vec(0u8..30, 1..20), b in prop::collection::vec(0u8..30, 1..20)) {
            let [a, b] = [a, b].map(|side| side.into_iter().map(f64::from).collect::<Vec<_>>());
            let (one, other) = (mann_whitney(&a, &b).unwrap(), mann_whitney(&b, &a).unwrap());
            prop_assert!((one - other).abs() < 1e-9, "{one} {other}");
        }
    }
}
