//! One figure of one outcome of one case: its row.

use std::collections::BTreeSet;

use serde::Serialize;

use super::side::{CaseSample, Sample, Side};
use crate::compare::options::{Options, Statistic, Verdict};
use crate::record::case::CaseId;
use crate::record::latency::resolution;
use crate::record::outcome::Outcome;
use crate::record::schema::Setup;
use crate::record::unit::Unit;
use crate::stats::effect::Effect;
use crate::stats::question::{ChangeKind, Question, ValueKind};
use crate::stats::spread::Spread;

/// Least share of both sides' stores from which an outcome gets rows.
pub(super) const WORTH: f64 = 0.01;

/// One figure of one outcome.
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
    /// Whether it is among the rows that the comparison was made for.
    pub primary: bool,
    /// Values, ratio, intervals, p.
    pub effect: Effect,
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
    /// Values, ratio, intervals, p.
    pub effect: Effect,
    /// What can be said then.
    pub verdict: Verdict,
}

impl Row {
    /// The case and the outcome, and the figure where it is not the median.
    pub fn label(&self) -> String {
        label(&self.case, self.outcome, self.quantile)
    }
}

/// What a row is called: the case and the outcome, and the figure where it is not the median.
pub(super) fn label(case: &CaseId, outcome: Outcome, quantile: Statistic) -> String {
    let (case, outcome) = (case.label(), outcome.label());
    match quantile {
        Statistic::P50 => format!("{case}, {outcome}"),
        other => format!("{case}, {outcome}, {}", other.label()),
    }
}

/// A row before it is answered.
pub(super) struct Asked<'a> {
    pub case: &'a CaseId,
    pub outcome: Outcome,
    pub quantile: Statistic,
    pub unit: Unit,
    pub question: Question,
    /// Repetitions that were disturbed, and the question without them.
    pub undisturbed: Option<(usize, Question)>,
}

/// Every row that both sides have figures for, in the base's order.
pub(super) fn asked<'a>(
    base: &'a Side,
    new: &'a Side,
    pairs: Option<&[(usize, usize)]>,
    options: &Options,
) -> Vec<Asked<'a>> {
    let mut rows = Vec::new();
    // Times of an emulator say nothing, and instructions are never set beside nanoseconds.
    if [base, new].into_iter().any(is_emulated) && !options.anyway {
        return rows;
    }
    for (case, one) in &base.cases {
        let Some(other) = new.seen(case) else {
            continue;
        };
        let unlike = unlike_states(&one.setup, &other.setup) && !options.anyway;
        if one.unit != other.unit || unlike {
            continue;
        }
        for outcome in Outcome::ALL {
            if one.share(outcome) < WORTH || other.share(outcome) < WORTH {
                continue;
            }
            // What is told as a difference has no latency.
            if [one, other]
                .iter()
                .all(|seen| !seen.latency.contains_key(&outcome))
            {
                continue;
            }
            for &quantile in &options.quantiles {
                let runs = [one, other]
                    .into_iter()
                    .flat_map(|seen| seen.latency.get(&outcome))
                    .flatten();
                let common = common(one.unit, runs, |sample| sample.index);
                let values = |side: &Side, seen: &CaseSample, keep: fn(&Sample) -> bool| {
                    side.values(seen.latency.get(&outcome), |sample| {
                        let has = |all: &BTreeSet<u32>| all.contains(&sample.index);
                        let kept = keep(sample) && common.as_ref().is_none_or(has);
                        kept.then(|| quantile.of(&sample.latency))
                    })
                };
                let question = |keep| {
                    let sides = [values(base, one, keep), values(new, other, keep)];
                    let measured = measured(options, case, outcome, quantile, &sides);
                    let exact = [one, other].map(|seen| seen.is_exact(outcome)) == [true; 2];
                    let clock = base.step.max(new.step);
                    let step = if exact {
                        0.0
                    } else {
                        step(clock, &sides, one.unit, quantile)
                    };
                    question(one.unit, ChangeKind::Ratio, sides, pairs, step, measured)
                };
                let left_out = one.disturbed(outcome) + other.disturbed(outcome);
                rows.push(Asked {
                    case,
                    outcome,
                    quantile,
                    unit: one.unit,
                    question: question(|_| true),
                    undisturbed: (left_out > 0)
                        .then(|| (left_out, question(|sample| !sample.disturbed))),
                });
            }
        }
    }
    rows
}

/// Of counted instructions the repetitions that every run has: those of one number have one layout, and are set against each other.
pub(super) fn common<'a, T: 'a>(
    unit: Unit,
    runs: impl Iterator<Item = &'a Vec<T>>,
    index: impl Fn(&T) -> u32,
) -> Option<BTreeSet<u32>> {
    if unit != Unit::Instructions {
        return None;
    }
    let of_run = |run: &Vec<T>| run.iter().map(&index).collect::<BTreeSet<u32>>();
    let all = runs.filter(|run| !run.is_empty()).map(of_run);
    all.reduce(|a, b| a.intersection(&b).copied().collect())
}

/// A question about two sides of values, run by run; `chance` is for the table to set.
pub(super) fn question(
    unit: Unit,
    scale: ChangeKind,
    [base, new]: [Vec<Vec<f64>>; 2],
    pairs: Option<&[(usize, usize)]>,
    step: f64,
    measured: Option<Spread>,
) -> Question {
    let run = |side: &[Vec<f64>], at: usize| side.get(at).cloned().unwrap_or_default();
    let (base, new) = match pairs {
        Some(pairs) => pairs
            .iter()
            .map(|&(a, b)| (run(&base, a), run(&new, b)))
            .unzip(),
        None => (base, new),
    };
    Question {
        kind: match unit {
            Unit::Ns => ValueKind::PerRun,
            Unit::Instructions => ValueKind::Exact,
        },
        scale,
        base,
        new,
        paired: pairs.is_some(),
        step,
        chance: 1.0,
        measured,
    }
}

/// Degrees of freedom of a spread that was given and counts as known.
const KNOWN: f64 = 1e9;

/// What is known from elsewhere about how far runs like these lie apart in a figure: fewer repetitions make them lie further apart.
fn measured(
    options: &Options,
    case: &CaseId,
    outcome: Outcome,
    quantile: Statistic,
    sides: &[Vec<Vec<f64>>; 2],
) -> Option<Spread> {
    let given = options.between_runs.map(|share| Spread {
        variance: share.ln_1p().powi(2),
        freedom: KNOWN,
    });
    let profile = options.noise.as_ref();
    let runs = sides.iter().flatten().filter(|run| !run.is_empty());
    let fewest = runs.min_by_key(|run| run.len());
    given.or_else(|| profile?.sharpened(case, outcome, quantile.label(), fewest?))
}

/// How far a recorded value may lie from the true one.
fn step(clock: f64, sides: &[Vec<Vec<f64>>; 2], unit: Unit, quantile: Statistic) -> f64 {
    if quantile == Statistic::Mean {
        return 0.0;
    }
    let most = sides
        .iter()
        .flatten()
        .flatten()
        .copied()
        .fold(0.0, f64::max);
    resolution(clock, most as u64, unit)
}

/// From so many pairs on, pairs are compared: of fewer, what they lose in certainty is more than a drift that meets both sides
/// alike costs.
const PAIRS: usize = 4;

/// The runs of both sides as pairs, where they were taken in turns: in the order of time, each first and second, third and
/// fourth and so on are of different sides.
pub(super) fn pairs(base: &Side, new: &Side) -> Option<Vec<(usize, usize)>> {
    let side = |side: &Side, is_new: bool| -> Vec<(String, bool, usize)> {
        let started = side.started.iter().enumerate();
        started
            .map(|(at, time)| (time.clone(), is_new, at))
            .collect()
    };
    let mut all = [side(base, false), side(new, true)].concat();
    all.sort();
    let turns = all.chunks(2).map(|pair| match pair {
        [(_, false, a), (_, true, b)] | [(_, true, b), (_, false, a)] => Some((*a, *b)),
        _ => None,
    });
    let pairs: Vec<(usize, usize)> = turns.collect::<Option<_>>()?;
    (pairs.len() >= PAIRS && !base.by_repetition).then_some(pairs)
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
