//! How far two sides lie apart: a ratio with an interval that knows of runs, and the smallest change it could have shown.

use serde::Serialize;

use super::rank::mann_whitney;
use crate::stats::interval::{
    Interval, median, median_interval, percentile_interval, quick_median, welch,
};
use crate::stats::ratio::{RESAMPLES, resample};

/// Into so many stretches of consecutive repetitions the only run of a side is cut.
const STRETCHES: usize = 5;
/// From so many runs on, on both sides, runs alone are resampled and tested: they tell the whole variation by then.
const MANY: usize = 30;
/// Standard normal quantiles at 97.5 % and at 80 %, the power that a detectable effect is stated for.
const Z_LEVEL: f64 = 1.959_964;
const Z_POWER: f64 = 0.841_621;

/// What kind of figures a side holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ValueKind {
    /// Times: they vary, and a sample of them is all there is.
    Sampled,
    /// Executed instructions: what does not vary between repetitions and boots is a fact.
    Counted,
}

/// What an interval cannot know from the values and must be told.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Doubt {
    /// What kind of figures these are.
    pub kind: ValueKind,
    /// By which share two runs of the same thing may differ; counts where a side has but one run and so cannot tell.
    pub between_runs: f64,
    /// The distance between two readings of the clock, in the values' unit; 0 where it does not matter.
    pub step: f64,
}

/// One side's value.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Estimate {
    /// The median over runs of the median over repetitions; of differences, the mean of means.
    pub value: f64,
    /// 95 % interval of the same over all repetitions, as if runs did not differ; `None` where there are too few.
    pub interval: Option<Interval>,
    /// Runs that saw it.
    pub runs: usize,
    /// Repetitions that saw it.
    pub repetitions: usize,
}

/// New over base.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Effect {
    /// The base's value.
    pub base: Estimate,
    /// The new side's value.
    pub new: Estimate,
    /// New over base.
    pub ratio: f64,
    /// 95 % interval of the ratio; `None` where too few repetitions say nothing about their variation.
    pub interval: Option<Interval>,
    /// Mann and Whitney's p over the repetitions, or over the runs' medians where both sides have 30 runs.
    pub p: f64,
    /// The change, relative to the base, that such a comparison finds four times in five; `None` without an interval.
    pub detectable: Option<f64>,
}

impl Effect {
    /// Whether the whole interval lies above 1.
    pub fn above(&self) -> bool {
        self.interval.is_some_and(|ends| ends.low > 1.0)
    }

    /// Whether the whole interval lies below 1.
    pub fn below(&self) -> bool {
        self.interval.is_some_and(|ends| ends.high < 1.0)
    }

    /// Whether the whole interval lies within a change by the factor 1 + `margin`, up or down.
    pub fn within(&self, margin: f64) -> bool {
        let most = 1.0 + margin;
        self.interval
            .is_some_and(|ends| ends.low >= 1.0 / most && ends.high <= most)
    }
}

/// Compares two sides, each a list of runs, each a list of the repetitions' values in the order in which they were made.
///
/// The interval's ends are moved out by what `doubt` says. The same `seed` gives the same interval, and swapping the
/// sides gives its reciprocal. `None` where a side has no values or none above zero.
///
/// **Sampled** values: the interval is the union of two. One is a bootstrap that resamples runs and then repetitions
/// within them (Davison and Hinkley, Bootstrap Methods and their Application, 3.8). Of few runs it makes too
/// narrow an interval (Cameron, Gelbach and Miller, Bootstrap-Based Improvements for Inference with Clustered
/// Errors, 2008), so the other is Welch's t interval of the runs' medians, on a logarithmic scale. The only run of
/// a side is cut into consecutive stretches that stand for runs (batch means: Law, Simulation Modeling and Analysis, 9.5.3),
/// so that drift within it counts.
///
/// **Counted** values: the interval reaches from the least to the greatest quotient of any two repetitions, and nothing
/// is assumed about a distribution.
pub fn effect(base: &[Vec<f64>], new: &[Vec<f64>], doubt: Doubt, seed: u64) -> Option<Effect> {
    let (base, new) = (present(base), present(new));
    let of = |side: &[Vec<f64>]| estimate(side, median, |all| median_interval(all, 0.95));
    let (of_base, of_new) = (of(&base)?, of(&new)?);
    if of_base.value <= 0.0 || of_new.value <= 0.0 {
        return None;
    }
    let ratio = of_new.value / of_base.value;
    let interval = match doubt.kind {
        ValueKind::Counted => counted(&base, &new),
        ValueKind::Sampled => sampled(&base, &new, ratio, seed),
    };
    let alone = base.len() == 1 || new.len() == 1;
    let between_runs = if alone { 1.0 + doubt.between_runs } else { 1.0 };
    let allowance = between_runs * (1.0 + doubt.step / of_base.value.min(of_new.value));
    let many = base.len().min(new.len()) >= MANY;
    let [a, b] = [&base, &new].map(|side| if many { medians(side) } else { side.concat() });
    Some(Effect {
        base: of_base,
        new: of_new,
        ratio,
        interval: interval.map(|found| (found.low / allowance, found.high * allowance).into()),
        p: mann_whitney(&a, &b).unwrap_or(1.0),
        detectable: interval.map(|Interval { low, high }| match doubt.kind {
            // Half the interval's width stands for its quantile of the standard error.
            ValueKind::Sampled => {
                let half = (high / low).ln() / 2.0;
                (half * (1.0 + Z_POWER / Z_LEVEL)).exp() * allowance - 1.0
            }
            // Found if no repetition of the one reaches any of the other.
            ValueKind::Counted => high / low * (1.0 + 1.0 / of_base.value) * allowance - 1.0,
        }),
    })
}

pub(crate) fn present(side: &[Vec<f64>]) -> Vec<Vec<f64>> {
    side.iter().filter(|run| !run.is_empty()).cloned().collect()
}

fn medians(groups: &[Vec<f64>]) -> Vec<f64> {
    groups.iter().filter_map(|group| median(group)).collect()
}

/// A side's value, given how the middle of some values and its interval are found.
pub(crate) fn estimate(
    runs: &[Vec<f64>],
    middle: fn(&[f64]) -> Option<f64>,
    interval: fn(&[f64]) -> Option<Interval>,
) -> Option<Estimate> {
    let all = runs.concat();
    let of_runs: Vec<f64> = runs.iter().filter_map(|run| middle(run)).collect();
    Some(Estimate {
        value: middle(&of_runs)?,
        interval: interval(&all),
        runs: runs.len(),
        repetitions: all.len(),
    })
}

fn counted(base: &[Vec<f64>], new: &[Vec<f64>]) -> Option<Interval> {
    let [base, new] = [base, new].map(|side| Interval::spanned(side.iter().flatten().copied()));
    let (base, new) = (base?, new?);
    (base.low > 0.0 && new.low > 0.0).then(|| (new.low / base.high, new.high / base.low).into())
}

fn sampled(base: &[Vec<f64>], new: &[Vec<f64>], ratio: f64, seed: u64) -> Option<Interval> {
    let (base, new) = (groups(base), groups(new));
    // On a logarithmic scale, around the ratio.
    let logs = |groups| -> Vec<f64> { medians(groups).iter().map(|m| m.ln()).collect() };
    let half = welch(&logs(&base), &logs(&new))?;
    let by_groups = Interval::from((ratio * (-half).exp(), ratio * half.exp()));
    // Resampling in an order that does not depend on which side is called which.
    let turned = base.concat() > new.concat();
    let (first, second) = if turned { (&new, &base) } else { (&base, &new) };
    let resampled = bootstrap(first, second, seed)?;
    Some(by_groups.widened(match turned {
        true => (1.0 / resampled.high, 1.0 / resampled.low).into(),
        false => resampled,
    }))
}

/// The runs of a side, or stretches of its only one.
pub(crate) fn groups(runs: &[Vec<f64>]) -> Vec<Vec<f64>> {
    match runs {
        [only] => {
            let n = only.len().min(STRETCHES);
            (0..n)
                .map(|i| only[i * only.len() / n..(i + 1) * only.len() / n].to_vec())
                .collect()
        }
        runs => runs.to_vec(),
    }
}

/// The percentile interval of second over first, by resampling groups and, unless there are many, the values within them.
fn bootstrap(first: &[Vec<f64>], second: &[Vec<f64>], seed: u64) -> Option<Interval> {
    let mut random = fastrand::Rng::with_seed(seed);
    let within = first.len().min(second.len()) < MANY;
    let settled = [medians(first), medians(second)];
    let mut ratios: Vec<f64> = Vec::with_capacity(RESAMPLES);
    for _ in 0..RESAMPLES {
        let mut middle = |groups: &[Vec<f64>], settled: &[f64]| {
            let mut drawn: Vec<f64> = (0..groups.len())
                .filter_map(|_| {
                    let at = random.usize(..groups.len());
                    match within {
                        true => quick_median(&mut resample(&mut random, &groups[at])),
                        false => Some(settled[at]),
                    }
                })
                .collect();
            quick_median(&mut drawn)
        };
        let (a, b) = (middle(first, &settled[0]), middle(second, &settled[1]));
        ratios.extend(a.zip(b).filter(|(a, _)| *a > 0.0).map(|(a, b)| b / a));
    }
    percentile_interval(ratios)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const SAMPLED: Doubt = Doubt {
        kind: ValueKind::Sampled,
        between_runs: 0.0,
        step: 0.0,
    };
    const COUNTED: Doubt = Doubt {
        kind: ValueKind::Counted,
        ..SAMPLED
    };

    /// Runs whose level varies by about `between`, repetitions by about `within`, skewed as latencies are.
    fn runs(
        random: &mut fastrand::Rng,
        level: f64,
        (runs, reps): (usize, usize),
        between: f64,
        within: f64,
    ) -> Vec<Vec<f64>> {
        let mut normal = || (0..12).map(|_| random.f64()).sum::<f64>() - 6.0;
        let mut side = Vec::new();
        for _ in 0..runs {
            let run = level * (between * normal()).exp();
            side.push((0..reps).map(|_| run * (within * normal()).exp()).collect());
        }
        side
    }

    /// How many of `trials` intervals hold the true ratio, and how many lie wholly to one side of 1.
    fn covered(truth: f64, shape: (usize, usize), between: f64, trials: u32) -> (f64, f64) {
        let mut random = fastrand::Rng::with_seed(11);
        let (mut held, mut told) = (0, 0);
        for trial in 0..trials {
            let base = runs(&mut random, 1_000.0, shape, between, 0.03);
            let new = runs(&mut random, 1_000.0 * truth, shape, between, 0.03);
            let found = effect(&base, &new, SAMPLED, u64::from(trial)).unwrap();
            held += u32::from(found.interval.unwrap().contains(truth));
            told += u32::from(found.above() || found.below());
        }
        (
            f64::from(held) / f64::from(trials),
            f64::from(told) / f64::from(trials),
        )
    }

    /// Of 120 trials a true 95 % holds 108 or more in all but 1 of 100 seeds, and this seed is fixed.
    #[test]
    fn the_interval_covers_the_truth_as_often_as_it_says_also_with_few_runs_that_differ() {
        for (shape, between, truth) in [
            ((1, 15), 0.0, 1.0),
            ((2, 8), 0.04, 1.2),
            ((5, 5), 0.04, 1.0),
        ] {
            let (held, _) = covered(truth, shape, between, 120);
            assert!(held >= 0.9, "{shape:?} at {truth}: {held}");
        }
    }

    /// The same for runs by the hundred, where only they are resampled.
    #[test]
    fn many_runs_are_covered_too_and_tell_small_changes() {
        let (held, told) = covered(1.05, (40, 2), 0.04, 20);
        assert!(held >= 0.8, "{held}");
        assert!(told >= 0.8, "{told}");
    }

    /// A change as large as stated is found about four times in five, one of a third of it seldom.
    #[test]
    fn the_detectable_effect_is_found_as_often_as_it_says() {
        let mut random = fastrand::Rng::with_seed(5);
        let mut stated: Vec<f64> = Vec::new();
        for seed in 0..30 {
            let base = runs(&mut random, 1_000.0, (1, 15), 0.0, 0.03);
            let new = runs(&mut random, 1_000.0, (1, 15), 0.0, 0.03);
            stated.extend(effect(&base, &new, SAMPLED, seed).unwrap().detectable);
        }
        let stated = median(&stated).unwrap();
        let (_, told) = covered(1.0 + stated, (1, 15), 0.0, 80);
        assert!((0.7..=0.97).contains(&told), "{stated}: {told}");
        let (_, told) = covered(1.0 + stated / 3.0, (1, 15), 0.0, 80);
        assert!(told < 0.4, "{stated}: {told}");
    }

    #[test]
    fn drift_within_the_only_run_widens_the_interval() {
        let level: Vec<f64> = (0..15).map(|i| 1_000.0 + f64::from(i % 3)).collect();
        let drifting: Vec<f64> = (0..15).map(|i| 950.0 + 7.0 * f64::from(i)).collect();
        let mut mixed = drifting.clone();
        mixed.sort_by_key(|v| (*v as u64 * 7_919) % 101);
        let width = |new: Vec<f64>| {
            let found = effect(std::slice::from_ref(&level), &[new], SAMPLED, 1).unwrap();
            let found = found.interval.unwrap();
            found.high / found.low
        };
        assert!(width(drifting) > width(mixed));
    }

    #[test]
    fn twenty_instructions_are_found_with_two_boots_a_side() {
        let boots = |a: f64, b: f64| vec![vec![a; 3], vec![b; 3]];
        let found = effect(
            &boots(1_608.0, 1_608.0),
            &boots(1_628.0, 1_628.0),
            COUNTED,
            1,
        )
        .unwrap();
        let ratio = 1_628.0 / 1_608.0;
        assert_eq!(found.interval, Some((ratio, ratio).into()));
        assert!(
            found.above() && found.detectable.unwrap() < 0.001,
            "{found:?}"
        );
        let noisy = effect(
            &boots(1_600.0, 1_607.0),
            &boots(1_604.0, 1_610.0),
            COUNTED,
            1,
        )
        .unwrap();
        assert!(
            !noisy.above() && !noisy.below() && noisy.within(0.01),
            "{noisy:?}"
        );
    }

    #[test]
    fn one_run_a_side_and_a_coarse_clock_move_the_ends_out() {
        let (a, b) = ([vec![20.0; 8]], [vec![30.0; 8]]);
        let doubt = Doubt {
            step: 10.0,
            ..SAMPLED
        };
        let found = effect(&a, &b, doubt, 1).unwrap();
        assert!(
            !found.above(),
            "one step of the clock is no difference: {found:?}"
        );
        let doubt = Doubt {
            between_runs: 0.1,
            ..SAMPLED
        };
        let found = effect(&[vec![100.0; 8]], &[vec![150.0; 8]], doubt, 1).unwrap();
        let Interval { low, high } = found.interval.unwrap();
        assert!((low - 1.5 / 1.1).abs() < 1e-12 && (high - 1.65).abs() < 1e-12);
        let two = [vec![100.0; 4], vec![100.0; 4]];
        assert_eq!(
            effect(&two, &two, doubt, 1).unwrap().interval,
            Some((1.0, 1.0).into())
        );
    }

    #[test]
    fn what_says_nothing_about_its_variation_gets_no_interval() {
        let found = effect(&[vec![100.0]], &[vec![150.0, 151.0]], SAMPLED, 1).unwrap();
        assert_eq!((found.interval, found.detectable), (None, None));
        assert_eq!(effect(&[vec![]], &[vec![1.0]], SAMPLED, 1), None);
        assert_eq!(effect(&[vec![0.0; 3]], &[vec![1.0; 3]], SAMPLED, 1), None);
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(24))]
        #[test]
        fn swapping_the_sides_gives_the_reciprocal(
            a in prop::collection::vec(prop::collection::vec(500u32..2_000, 1..6), 1..4),
            b in prop::collection::vec(prop::collection::vec(500u32..2_000, 1..6), 1..4),
        ) {
            let [a, b] = [a, b].map(|side| side.iter().map(|run| run.iter().map(|&v| f64::from(v)).collect()).collect::<Vec<Vec<f64>>>());
            for doubt in [SAMPLED, COUNTED, Doubt { between_runs: 0.1, step: 10.0, ..SAMPLED }] {
                let there = effect(&a, &b, doubt, 3).unwrap();
                let back = effect(&b, &a, doubt, 3).unwrap();
                prop_assert!((there.ratio * back.ratio - 1.0).abs() < 1e-9);
                prop_assert_eq!(there.interval.is_some(), back.interval.is_some());
                if let (Some(forth), Some(back)) = (there.interval, back.interval) {
                    prop_assert!((forth.low * back.high - 1.0).abs() < 1e-9 && (forth.high * back.low - 1.0).abs() < 1e-9);
                    prop_assert!(forth.low <= there.ratio + 1e-9 && there.ratio <= forth.high + 1e-9);
                }
            }
        }
    }
}
