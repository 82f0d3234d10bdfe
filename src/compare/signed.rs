//! How far two sides' differences lie apart: values that may be negative or 0, so that no ratio and no logarithm of them
//! means anything.

use serde::Serialize;

use super::side::Side;
use crate::compare::options::{Options, Verdict};
use crate::compare::row::{is_emulated, pairs, question};
use crate::record::case::CaseId;
use crate::record::unit::Unit;
use crate::stats::effect::Effect;
use crate::stats::question::{ChangeKind, Question};

/// What the area adds to an operation, of one case.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct SignedRow {
    /// The scenario and its parameters.
    #[serde(flatten)]
    pub case: CaseId,
    /// Unit of the values.
    pub unit: Unit,
    /// Whether it is among the rows that the comparison was made for.
    pub primary: bool,
    /// Values, change, intervals, p.
    pub effect: Effect,
    /// What can be said.
    pub verdict: Verdict,
    /// Whether a difference named in `mismatches` bears on it.
    pub marked: bool,
}

/// Every case that both sides measured as differences.
pub(super) fn asked<'a>(
    base: &'a Side,
    new: &'a Side,
    options: &Options,
) -> Vec<(&'a CaseId, Unit, Question)> {
    if [base, new].into_iter().any(is_emulated) && !options.anyway {
        return Vec::new();
    }
    let pairs = pairs(base, new);
    let row = |(case, one): &'a (CaseId, super::side::CaseSample)| {
        let other = new.seen(case).filter(|other| other.unit == one.unit)?;
        let values =
            |side: &Side, differences: &Vec<Vec<f64>>| side.values(Some(differences), |&v| Some(v));
        let sides = [
            values(base, &one.differences),
            values(new, &other.differences),
        ];
        let empty = sides.iter().any(|side| side.iter().all(Vec::is_empty));
        let step = base.step.max(new.step);
        (!empty).then(|| {
            let asked = question(
                one.unit,
                ChangeKind::Difference,
                sides,
                pairs.as_deref(),
                step,
                None,
            );
            (case, one.unit, asked)
        })
    };
    base.cases.iter().filter_map(row).collect()
}
