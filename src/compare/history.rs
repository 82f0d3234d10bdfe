//! How the cost of each case went from kernel to kernel: at which one it changed, by how much, and how sure that is.

use std::collections::BTreeMap;

use serde::Serialize;

use super::changes::{changes, mismatches};
use super::row;
use super::side::{CaseSample, Difference, Side};
use super::signed;
use crate::compare::options::{Options, Statistic, Verdict};
use crate::record::case::CaseId;
use crate::record::outcome::Outcome;
use crate::record::unit::Unit;
use crate::stats::effect::{ALPHA, Effect, effects};
use crate::stats::interval::{mean, median};
use crate::stats::question::Question;

/// Kernels in their order, and what each case came to and cost on them.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct History {
    /// The kernels, oldest first.
    pub kernels: Vec<HistoryKernel>,
    /// The cases, in the order in which they were measured.
    pub lines: Vec<HistoryLine>,
    /// Steps that were judged: the chance that any of them is called one without being one is 5 %.
    pub judged: usize,
}

/// One of the kernels.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct HistoryKernel {
    /// Its release, as `uname -r` says it.
    pub release: String,
    /// Runs of it.
    pub runs: usize,
    /// Why it does not compare with the kernel before; empty where it does.
    pub mismatches: Vec<Difference>,
    /// What else differs from the kernel before and may explain a step.
    pub changes: Vec<Difference>,
}

/// One case over all kernels.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct HistoryLine {
    /// The scenario and its parameters.
    #[serde(flatten)]
    pub case: CaseId,
    /// Unit of the values.
    pub unit: Unit,
    /// A point for each kernel; none where the case was not measured.
    pub points: Vec<Option<HistoryPoint>>,
}

/// A case on one kernel.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct HistoryPoint {
    /// What most stores came to; absent where what an area adds to an operation was measured.
    pub outcome: Option<Outcome>,
    /// The mean over runs of the median over repetitions.
    pub value: f64,
    /// What lies between this and the last kernel before it that has the case; absent for the first.
    pub step: Option<HistoryStep>,
}

/// From one kernel to the next that has the case.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct HistoryStep {
    /// The earlier kernel, by its place.
    pub from: usize,
    /// What can be said.
    pub change: StepKind,
}

/// What can be said of a step.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum StepKind {
    /// The figures were judged.
    Judged(Verdict, Effect),
    /// Stores come to something else: the figures are of unlike work.
    OtherOutcome,
    /// The pages are in another state, or the kernels were not measured alike.
    Unlike,
}

impl HistoryStep {
    /// The change, where it is one beyond what boots lie apart.
    pub fn moved(&self) -> Option<&Effect> {
        match &self.change {
            StepKind::Judged(Verdict::Slower | Verdict::Faster, effect) => Some(effect),
            _ => None,
        }
    }
}

/// What is judged of two kernels.
struct PairRows<'a> {
    rows: Vec<(&'a CaseId, Option<Outcome>, Question)>,
}

/// The history of kernels, each a side, in the order given.
///
/// A step is a change between neighbours whose interval leaves out no change; the intervals of all steps hold together in 95 %
/// of histories. A case that a kernel does not have is set against the last one before it.
pub fn history(sides: &[&Side], options: &Options) -> History {
    let mut lines = lines(sides);
    let mut pairs: BTreeMap<(usize, usize), PairRows> = BTreeMap::new();
    for line in &lines {
        let steps = line.points.iter().enumerate();
        for (at, point) in steps.filter_map(|(at, point)| Some((at, point.as_ref()?))) {
            if let Some(step) = &point.step {
                let key = (step.from, at);
                pairs
                    .entry(key)
                    .or_insert_with(|| pair(sides[step.from], sides[at], options));
            }
        }
    }
    let mut questions: Vec<Question> = Vec::new();
    let mut places: Vec<(usize, usize, usize)> = Vec::new();
    for (number, line) in lines.iter_mut().enumerate() {
        for at in 0..line.points.len() {
            let Some(point) = &mut line.points[at] else {
                continue;
            };
            let Some(step) = &mut point.step else {
                continue;
            };
            if step.change == StepKind::OtherOutcome {
                continue;
            }
            let mut rows = pairs[&(step.from, at)].rows.iter();
            let row = rows.find(|(case, outcome, _)| {
                case.is_but_for_pages(&line.case) && *outcome == point.outcome
            });
            if let Some((_, _, question)) = row {
                questions.push(question.clone());
                places.push((number, at, questions.len() - 1));
            }
        }
    }
    let chance = ALPHA / questions.len().max(1) as f64;
    questions.iter_mut().for_each(|one| one.chance = chance);
    let answers = effects(&questions);
    for (line, at, question) in places {
        let Some(effect) = answers[question] else {
            continue;
        };
        let point = lines[line].points[at].as_mut();
        if let Some(step) = point.and_then(|point| point.step.as_mut()) {
            step.change = StepKind::Judged(Verdict::of(&effect, options.same), effect);
        }
    }
    let kernel = |(at, side): (usize, &&Side)| {
        let before = at.checked_sub(1).map(|before| sides[before]);
        HistoryKernel {
            release: side.told("kernel"),
            runs: side.runs.len(),
            mismatches: before.map_or(Vec::new(), |before| mismatches(before, side)),
            changes: before.map_or(Vec::new(), |before| changes(before, side)),
        }
    };
    History {
        kernels: sides.iter().enumerate().map(kernel).collect(),
        lines,
        judged: questions.len(),
    }
}

/// Every row of two kernels; none where they were not measured alike.
fn pair<'a>(base: &'a Side, new: &'a Side, options: &Options) -> PairRows<'a> {
    if !mismatches(base, new).is_empty() && !options.anyway {
        return PairRows { rows: Vec::new() };
    }
    let turns = row::pairs(base, new);
    let medians = Options {
        quantiles: vec![Statistic::P50],
        ..options.clone()
    };
    let rows = row::asked(base, new, turns.as_deref(), &medians).into_iter();
    let signed = signed::asked(base, new, turns.as_deref(), &medians).into_iter();
    PairRows {
        rows: rows
            .map(|row| (row.case, Some(row.outcome), row.question))
            .chain(signed.map(|(case, _, question)| (case, None, question)))
            .collect(),
    }
}

/// Every case with its points, none of whose steps is judged yet.
fn lines(sides: &[&Side]) -> Vec<HistoryLine> {
    let mut lines: Vec<HistoryLine> = Vec::new();
    // The newest kernels have the most cases, and theirs is the order of the catalogue.
    for (case, seen) in sides.iter().rev().flat_map(|side| &side.cases) {
        let known = |line: &HistoryLine| line.case.is_but_for_pages(case) && line.unit == seen.unit;
        if lines.iter().any(known) {
            continue;
        }
        let mut points: Vec<Option<HistoryPoint>> = Vec::new();
        for side in sides {
            let seen = side.seen(case).filter(|other| other.unit == seen.unit);
            let point = seen.and_then(point).map(|mut point| {
                let last = points.iter().rposition(Option::is_some);
                point.step = last.map(|from| HistoryStep {
                    from,
                    change: match points[from].as_ref().map(|before| before.outcome) {
                        Some(outcome) if outcome == point.outcome => StepKind::Unlike,
                        _ => StepKind::OtherOutcome,
                    },
                });
                point
            });
            points.push(point);
        }
        if points.iter().any(Option::is_some) {
            lines.push(HistoryLine {
                case: case.clone(),
                unit: seen.unit,
                points,
            });
        }
    }
    lines
}

/// What one kernel says of a case; `None` where it has no figure.
fn point(seen: &CaseSample) -> Option<HistoryPoint> {
    let over_runs = |runs: Vec<Vec<f64>>| {
        let medians: Vec<f64> = runs.iter().filter_map(|run| median(run)).collect();
        mean(&medians)
    };
    let outcome = seen.outcomes.dominant();
    let latency = outcome.and_then(|outcome| seen.latency.get(&outcome));
    let (outcome, value) = match latency {
        Some(runs) => {
            let p50 = |run: &Vec<super::side::Sample>| {
                let values = run.iter().map(|sample| sample.latency.p50 as f64);
                values.collect()
            };
            (outcome, over_runs(runs.iter().map(p50).collect()))
        }
        None => {
            let added = |run: &Vec<super::side::Added>| run.iter().map(|one| one.value).collect();
            (
                None,
                over_runs(seen.differences.iter().map(added).collect()),
            )
        }
    };
    Some(HistoryPoint {
        outcome,
        value: value?,
        step: None,
    })
}
