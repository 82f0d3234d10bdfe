//! One figure of one outcome of one case: its row.

use serde::Serialize;

use super::side::{CaseSample, Sample, Side};
use crate::compare::options::{ALPHA, Options, Statistic, Verdict};
use crate::record::case::CaseId;
use crate::record::outcome::Outcome;
use crate::record::schema::Setup;
use crate::record::unit::Unit;
use crate::stats::effect::{Doubt, Effect, ValueKind, effect};

/// Least share of both sides' stores from which an outcome gets rows.
const WORTH: f64 = 0.01;

/// One figure of one outcome of one case.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Row {
    /// The scenario and its parameters.
    #[serde(flatten)]
    pub case: CaseId,
    /// The outcome.
    pub outcome: Outcome,
    /// The figure.
    pub quantile: Statistic,
    /// Unit of the values.
    pub unit: Unit,
    /// Values, ratio, interval, p.
    pub effect: Effect,
    /// p after Holm's correction over all rows.
    pub corrected_p: f64,
    /// What can be said.
    pub verdict: Verdict,
    /// Whether a difference named in `mismatches` bears on it.
    pub marked: bool,
    /// The same without the repetitions that something from outside disturbed; absent where there was none.
    pub undisturbed: Option<Undisturbed>,
}

/// A row without the repetitions that something from outside disturbed.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Undisturbed {
    /// Repetitions left out on either side.
    pub left_out: usize,
    /// Values, ratio, interval, p.
    pub effect: Effect,
    /// What can be said then.
    pub verdict: Verdict,
}

impl Row {
    /// The case and the outcome, and the figure where it is not the median.
    pub fn label(&self) -> String {
        let (case, outcome) = (self.case.label(), self.outcome.label());
        match self.quantile {
            Statistic::P50 => format!("{case}, {outcome}"),
            other => format!("{case}, {outcome}, {}", other.label()),
        }
    }
}

/// What can be said of an effect whose corrected p is `p`. Counted instructions need no test: where no repetition of the
/// one side reaches the other's, the difference is a fact.
pub fn verdict(effect: &Effect, p: f64, unit: Unit, margin: f64) -> Verdict {
    let sure = p < ALPHA || unit == Unit::Instructions;
    if sure && effect.above() {
        Verdict::Slower
    } else if sure && effect.below() {
        Verdict::Faster
    } else if effect.within(margin) {
        Verdict::Same
    } else {
        Verdict::CantTell
    }
}

/// Compares one figure of one outcome.
pub(super) fn compared(
    (base, new): (&Side, &Side),
    (one, other): (&CaseSample, &CaseSample),
    outcome: Outcome,
    quantile: Statistic,
    doubt: Doubt,
    seed: u64,
    keep: fn(&Sample) -> bool,
) -> Option<Effect> {
    let values = |seen: &CaseSample| -> Vec<Vec<f64>> {
        let runs = seen.latency.get(&outcome).into_iter().flatten();
        let kept = |run: &Vec<Sample>| -> Vec<f64> {
            let samples = run.iter().filter(|sample| keep(sample));
            samples.map(|s| quantile.of(&s.latency)).collect()
        };
        runs.map(kept).collect()
    };
    let step = match (doubt.kind, quantile) {
        (ValueKind::Sampled, Statistic::P50 | Statistic::P90 | Statistic::P99) => {
            base.step.max(new.step)
        }
        _ => 0.0,
    };
    effect(&values(one), &values(other), Doubt { step, ..doubt }, seed)
}

pub(super) fn rows(base: &Side, new: &Side, options: &Options) -> Vec<Row> {
    let mut rows = Vec::new();
    for (case, one) in &base.cases {
        let Some(other) = new.seen(case) else {
            continue;
        };
        // Times of an emulator say nothing, and instructions are never set beside nanoseconds.
        let emulated = [base, new].into_iter().any(is_emulated) && !options.anyway;
        let unlike = unlike_states(&one.setup, &other.setup) && !options.anyway;
        if one.unit != other.unit || emulated || unlike {
            continue;
        }
        for outcome in Outcome::ALL {
            if one.share(outcome) < WORTH || other.share(outcome) < WORTH {
                continue;
            }
            for &quantile in &options.quantiles {
                let doubt = options.doubt(one.unit);
                let seed = options.seed.wrapping_add(rows.len() as u64);
                let figure = |keep| {
                    let (sides, seen) = ((base, new), (one, other));
                    compared(sides, seen, outcome, quantile, doubt, seed, keep)
                };
                let left_out = one.disturbed(outcome) + other.disturbed(outcome);
                let undisturbed = match left_out {
                    0 => None,
                    _ => figure(|sample| !sample.disturbed),
                };
                rows.extend(figure(|_| true).map(|effect| Row {
                    undisturbed: undisturbed.map(|effect| Undisturbed {
                        left_out,
                        effect,
                        verdict: Verdict::CantTell,
                    }),
                    case: case.clone(),
                    outcome,
                    quantile,
                    unit: one.unit,
                    effect,
                    corrected_p: 1.0,
                    verdict: Verdict::CantTell,
                    marked: false,
                }));
            }
        }
    }
    rows
}

/// Whether both sides say what the page state was besides, and not the same. Files of older versions do not say.
pub(super) fn unlike_states(one: &Setup, other: &Setup) -> bool {
    let said = |setup: &Setup| !setup.state.is_empty();
    said(one) && said(other) && one.state != other.state
}

pub(super) fn is_emulated(side: &Side) -> bool {
    let about = side.about.iter().flat_map(|about| &about.machine);
    about
        .filter(|(name, _)| *name == "virtualization")
        .any(|(_, value)| value == "tcg")
}
