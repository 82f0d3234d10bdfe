//! How far two sides' differences lie apart: values that may be negative or 0, so that no ratio and no logarithm of them
//! means anything.

use std::collections::BTreeSet;

use serde::Serialize;

use super::side::{Added, Side};
use crate::compare::options::{Options, Verdict};
use crate::compare::row::{common, is_emulated, question};
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
    pairs: Option<&[(usize, usize)]>,
    options: &Options,
) -> Vec<(&'a CaseId, Unit, Question)> {
    if [base, new].into_iter().any(is_emulated) && !options.anyway {
        return Vec::new();
    }
    let row = |(case, one): &'a (CaseId, super::side::CaseSample)| {
        let other = new.seen(case).filter(|other| other.unit == one.unit)?;
        let runs = one.differences.iter().chain(&other.differences);
        let common = common(one.unit, runs, |added| added.index);
        let values = |side: &Side, differences: &Vec<Vec<Added>>| {
            side.values(Some(differences), |added| {
                let has = |all: &BTreeSet<u32>| all.contains(&added.index);
                common.as_ref().is_none_or(has).then_some(added.value)
            })
        };
        let sides = [
            values(base, &one.differences),
            values(new, &other.differences),
        ];
        let empty = sides.iter().any(|side| side.iter().all(Vec::is_empty));
        let step = base.step.max(new.step);
        (!empty).then(|| {
            let asked = question(one.unit, ChangeKind::Difference, sides, pairs, step, None);
            (case, one.unit, asked)
        })
    };
    base.cases.iter().filter_map(row).collect()
}
