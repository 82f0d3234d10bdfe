//! Whether a change may pass: not slower by more than is allowed, slower for sure, or to be measured again.

use serde::Serialize;

use super::side::CONTROL;
use crate::compare::options::Statistic;
use crate::compare::row::{Asked, label};
use crate::record::unit::Unit;
use crate::stats::effect::Effect;
use crate::stats::question::Question;

/// What the gate says.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum GateAnswer {
    /// Every primary row's interval lies below what is allowed.
    Pass,
    /// Some primary row's interval lies beyond it.
    Regression,
    /// Neither: some interval holds what is allowed, or says otherwise once what the control moved by is taken off.
    MeasureAgain,
}

/// The gate's answer.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Gate {
    /// What it says.
    pub answer: GateAnswer,
    /// The slow-down that is allowed, as a share.
    pub allowed: f64,
    /// Primary rows whose whole interval lies beyond it, in both looks.
    pub regressions: Vec<String>,
    /// Primary rows that are neither below it nor beyond it, in both looks.
    pub undecided: Vec<String>,
    /// What the control scenario, which does not fault, moved by in the first figure, in ns; absent where a side lacks it.
    pub control_moved: Option<f64>,
    /// The largest of the primary rows' smallest detectable changes, as a share; absent where no row has one.
    pub finds: Option<f64>,
}

/// Judges primary rows by the slow-down `allowed`.
///
/// They are looked at twice: as they are, and with what the control moved by taken off the side on which it is slower: a machine
/// that has become slower adds the same to every store. A verdict must hold in both looks.
pub(super) fn gate(
    asked: &[Asked],
    questions: &[Question],
    first: &[Option<Effect>],
    primary: &[bool],
    answer: &dyn Fn(Vec<Question>) -> Vec<Option<Effect>>,
    without_row: Vec<String>,
    allowed: f64,
) -> Gate {
    let is_control =
        |row: &Asked| (row.case.scenario.as_str(), row.outcome) == CONTROL && row.unit == Unit::Ns;
    // A machine whose tail has grown longer may have the same median: each figure is looked at with its own.
    let moved = |figure: Statistic| {
        let mut rows = asked.iter().zip(first);
        let (_, control) = rows.find(|(row, _)| is_control(row) && row.quantile == figure)?;
        control.map(|effect| effect.new.value - effect.base.value)
    };
    let moves = asked.iter().any(|row| moved(row.quantile).is_some());
    let second = moves.then(|| {
        let each = questions.iter().zip(0..);
        let taken_off = each.map(|(question, at)| match asked.get(at) {
            Some(row) if row.unit == Unit::Ns => less(question, moved(row.quantile)),
            // Counted instructions, and differences, in which what is added to every operation cancels out.
            _ => question.clone(),
        });
        answer(taken_off.collect())
    });
    let mut gate = Gate {
        answer: GateAnswer::Pass,
        allowed,
        regressions: Vec::new(),
        undecided: without_row,
        control_moved: asked.first().and_then(|row| moved(row.quantile)),
        finds: None,
    };
    let mut judged = 0;
    for (at, row) in asked
        .iter()
        .enumerate()
        .filter(|(at, row)| primary[*at] && !is_control(row))
    {
        let looks = [Some(first), second.as_deref()].into_iter().flatten();
        let ends = looks.map(|look| look[at].and_then(|effect| effect.interval));
        let ends: Option<Vec<_>> = ends.collect();
        let limit = 1.0 + allowed;
        let below = ends
            .as_ref()
            .is_some_and(|looks| looks.iter().all(|i| i.high <= limit));
        let beyond = ends
            .as_ref()
            .is_some_and(|looks| looks.iter().all(|i| i.low > limit));
        judged += 1;
        let label = label(row.case, row.outcome, row.quantile);
        let Some(effect) = first[at] else {
            gate.undecided
                .push(format!("{label}: no value on both sides"));
            continue;
        };
        gate.finds = gate.finds.into_iter().chain(effect.mde).reduce(f64::max);
        let percent = |ratio: f64| 100.0 * (ratio - 1.0);
        let within = match effect.interval {
            Some(interval) => format!("{:+.1}", interval.map(percent)),
            None => "[-]".into(),
        };
        let line = format!("{label}: {:+.1} % {within}", percent(effect.change));
        match (below, beyond) {
            (true, _) => {}
            (_, true) => gate.regressions.push(line),
            _ => gate.undecided.push(line),
        }
    }
    gate.answer = match () {
        () if !gate.regressions.is_empty() => GateAnswer::Regression,
        () if !gate.undecided.is_empty() || judged == 0 => GateAnswer::MeasureAgain,
        () => GateAnswer::Pass,
    };
    gate
}

/// The same with what the control moved by taken off the slower side.
fn less(question: &Question, by: Option<f64>) -> Question {
    let by = by.unwrap_or(0.0);
    let mut question = question.clone();
    let slower = if by > 0.0 {
        &mut question.new
    } else {
        &mut question.base
    };
    for value in slower.iter_mut().flatten() {
        *value = (*value - by.abs()).max(f64::MIN_POSITIVE);
    }
    question
}
