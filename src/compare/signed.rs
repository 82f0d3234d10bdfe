//! How far two sides' differences lie apart: values that may be negative or 0, so that no ratio and no logarithm of them
//! means anything.

use serde::Serialize;

use super::side::Side;
use crate::compare::options::{ALPHA, Options, Verdict, margin};
use crate::record::case::CaseId;
use crate::record::unit::Unit;
use crate::stats::effect::{Doubt, Estimate, ValueKind, estimate, groups, present};
use crate::stats::interval::{Interval, mean, mean_interval, welch};
use crate::stats::rank::mann_whitney;

/// New less base.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Change {
    /// The base's value.
    pub base: Estimate,
    /// The new side's value.
    pub new: Estimate,
    /// New less base.
    pub change: f64,
    /// 95 % interval of the change; `None` where too few repetitions say nothing about their variation.
    pub interval: Option<Interval>,
    /// Mann and Whitney's p over the repetitions.
    pub p: f64,
}

/// What the area adds to an operation, of one case.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct SignedRow {
    /// The scenario and its parameters.
    #[serde(flatten)]
    pub case: CaseId,
    /// Unit of the values.
    pub unit: Unit,
    /// Values, change, interval, p.
    pub effect: Change,
    /// p after Holm's correction over all rows, those of latencies included.
    pub corrected_p: f64,
    /// What can be said.
    pub verdict: Verdict,
    /// Whether a difference named in `mismatches` bears on it.
    pub marked: bool,
}

/// Compares two sides, each a list of runs, each a list of the repetitions' values. The interval is Welch's (The
/// Generalization of Student's Problem, 1947) of the means of runs, the only run of a side being cut into stretches;
/// counted instructions need none, there it reaches over every pair of repetitions. Where a side has but one run, the ends
/// are moved out by the share of the larger value that `doubt` says. `None` where a side has no values.
pub fn change(base: &[Vec<f64>], new: &[Vec<f64>], doubt: Doubt) -> Option<Change> {
    let (base, new) = (present(base), present(new));
    let of = |side: &[Vec<f64>]| estimate(side, mean, mean_interval);
    let (of_base, of_new) = (of(&base)?, of(&new)?);
    let change = of_new.value - of_base.value;
    let interval = match doubt.kind {
        ValueKind::Counted => spanned(&base.concat(), &new.concat()),
        ValueKind::Sampled => welch(&means(&groups(&base)), &means(&groups(&new)))
            .map(|half| (change - half, change + half).into()),
    };
    let alone = base.len() == 1 || new.len() == 1;
    let larger = of_base.value.abs().max(of_new.value.abs());
    let allowance = if alone {
        doubt.between_runs * larger
    } else {
        0.0
    };
    Some(Change {
        base: of_base,
        new: of_new,
        change,
        interval: interval.map(|found| (found.low - allowance, found.high + allowance).into()),
        p: mann_whitney(&base.concat(), &new.concat()).unwrap_or(1.0),
    })
}

fn means(groups: &[Vec<f64>]) -> Vec<f64> {
    groups.iter().filter_map(|group| mean(group)).collect()
}

/// From the least to the greatest difference of any two repetitions.
fn spanned(base: &[f64], new: &[f64]) -> Option<Interval> {
    let [base, new] = [base, new].map(|side| Interval::spanned(side.iter().copied()));
    let (base, new) = (base?, new?);
    Some((new.low - base.high, new.high - base.low).into())
}

/// The rows of every case that both sides measured as differences, without their corrected p and verdict.
pub(super) fn rows(base: &Side, new: &Side, options: &Options) -> Vec<SignedRow> {
    let row = |(case, one): &(CaseId, super::side::CaseSample)| {
        let other = new.seen(case).filter(|other| other.unit == one.unit)?;
        Some(SignedRow {
            case: case.clone(),
            unit: one.unit,
            effect: change(
                &one.differences,
                &other.differences,
                options.doubt(one.unit),
            )?,
            corrected_p: 1.0,
            verdict: Verdict::CantTell,
            marked: false,
        })
    };
    base.cases.iter().filter_map(row).collect()
}

impl SignedRow {
    /// Sets what can be said, given the corrected p.
    pub(super) fn judge(&mut self, p: f64, options: &Options) {
        self.corrected_p = p;
        let sure = p < ALPHA || self.unit == Unit::Instructions;
        let Some(Interval { low, high }) = self.effect.interval else {
            return;
        };
        let small = margin(options) * self.effect.base.value.abs();
        self.verdict = match () {
            () if sure && low > 0.0 => Verdict::Slower,
            () if sure && high < 0.0 => Verdict::Faster,
            () if low >= -small && high <= small => Verdict::Same,
            () => Verdict::CantTell,
        };
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SAMPLED: Doubt = Doubt {
        kind: ValueKind::Sampled,
        between_runs: 0.0,
        step: 0.0,
    };

    #[test]
    fn values_around_zero_have_a_change_with_an_interval_and_swapping_sides_turns_it() {
        let base = vec![vec![-3.0, 1.0], vec![0.0, 1.0], vec![2.0, -1.0]];
        let new = vec![vec![99.0, 101.0], vec![102.0, 100.0], vec![101.0, 97.0]];
        let forth = change(&base, &new, SAMPLED).unwrap();
        assert!((forth.change - 100.0).abs() < 1e-9, "{forth:?}");
        let there = forth.interval.unwrap();
        assert!(there.contains(100.0) && there.low > 90.0, "{there}");
        let back = change(&new, &base, SAMPLED).unwrap();
        let turned = back.interval.unwrap();
        assert!((there.low + turned.high).abs() < 1e-9 && (there.high + turned.low).abs() < 1e-9);
        assert_eq!(forth.p, back.p);
    }

    #[test]
    fn one_run_a_side_is_trusted_no_further_than_runs_lie_apart() {
        let doubt = Doubt {
            between_runs: 0.1,
            ..SAMPLED
        };
        let run = |level: f64| vec![vec![level; 10]];
        let found = change(&run(-100.0), &run(-80.0), doubt).unwrap();
        assert_eq!(found.interval, Some((10.0, 30.0).into()));
        assert_eq!(change(&run(1.0), &[vec![]], doubt), None);
    }

    #[test]
    fn counted_instructions_span_every_pair() {
        let counted = Doubt {
            kind: ValueKind::Counted,
            ..SAMPLED
        };
        let found = change(&[vec![-5.0, 5.0]], &[vec![7.0, 9.0]], counted).unwrap();
        assert_eq!(found.interval, Some((2.0, 14.0).into()));
    }
}
