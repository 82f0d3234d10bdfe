//! The comparison as a whole: a row for each figure, corrected for their number, with its verdict.

use serde::Serialize;

use super::changes::{changes, mismatches, settings};
use super::gate::{Gate, gate};
use super::side::{Difference, Side};
use super::signed::{self, SignedRow};
use crate::compare::notes::notes;
use crate::compare::options::{Options, margin};
use crate::compare::row::{Row, is_emulated, rows, verdict};
use crate::stats::rank::holm;

/// A side in short.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Brief {
    /// Kernel, virtualization and rule.
    pub label: String,
    /// Ids of its runs.
    pub runs: Vec<String>,
}

/// Two sides compared.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Comparison {
    /// What was asked for.
    pub options: Options,
    /// Before.
    pub base: Brief,
    /// After.
    pub new: Brief,
    /// What does not compare; empty unless the comparison was made anyway.
    pub mismatches: Vec<Difference>,
    /// What differs and may: to be read before any number.
    pub changes: Vec<Difference>,
    /// Settings and kernel options that differ, which may explain a difference.
    pub settings: Vec<Difference>,
    /// Figures, in the base's order.
    pub rows: Vec<Row>,
    /// What areas add to an operation: signed, and so without a ratio.
    pub differences: Vec<SignedRow>,
    /// What a reader must know.
    pub notes: Vec<String>,
    /// Whether the change is to be stopped, where that was asked.
    pub gate: Option<Gate>,
}

/// Why there is no comparison.
#[derive(Debug, thiserror::Error)]
pub enum CompareError {
    /// The sides are not about comparable things.
    #[error("these runs do not compare: {}; measure both sides alike, or see it marked with --anyway", list(.0))]
    Mismatch(Vec<Difference>),
    /// No case was measured on both sides.
    #[error(
        "the two sides have no scenario with the same parameters in common; measure the same scenarios, threads, folios and skews"
    )]
    NothingInCommon,
}

/// The first few differences in one line.
fn list(differences: &[Difference]) -> String {
    const NAMED: usize = 4;
    let words = |d: &Difference| format!("{}: {:?} against {:?}", d.what, d.base, d.new);
    let named: Vec<String> = differences.iter().take(NAMED).map(words).collect();
    let more = differences.len().saturating_sub(NAMED);
    match more {
        0 => named.join("; "),
        more => format!("{}; and {more} more", named.join("; ")),
    }
}

/// Compares two sides.
///
/// # Errors
/// When they do not compare, unless that was asked for, or have nothing in common.
pub fn compare(base: &Side, new: &Side, options: &Options) -> Result<Comparison, CompareError> {
    let mismatches = mismatches(base, new);
    if !mismatches.is_empty() && !options.anyway {
        return Err(CompareError::Mismatch(mismatches));
    }
    if !base.cases.iter().any(|(case, _)| new.seen(case).is_some()) {
        return Err(CompareError::NothingInCommon);
    }
    let mut rows = rows(base, new, options);
    let emulated = is_emulated(base) || is_emulated(new);
    let mut differences = match emulated && !options.anyway {
        true => Vec::new(),
        false => signed::rows(base, new, options),
    };
    let latencies = rows.iter().map(|row| row.effect.p);
    let all = latencies.chain(differences.iter().map(|row| row.effect.p));
    let corrected = holm(&all.collect::<Vec<_>>());
    for (row, &p) in rows.iter_mut().zip(&corrected) {
        row.corrected_p = p;
        row.verdict = verdict(&row.effect, p, row.unit, margin(options));
        row.marked = !mismatches.is_empty();
    }
    for (row, &p) in differences.iter_mut().zip(&corrected[rows.len()..]) {
        row.judge(p, options);
        row.marked = !mismatches.is_empty();
    }
    let without = |row: &Row| {
        row.undisturbed
            .as_ref()
            .map_or(row.effect.p, |u| u.effect.p)
    };
    let corrected = holm(&rows.iter().map(without).collect::<Vec<_>>());
    for (row, p) in rows.iter_mut().zip(corrected) {
        let unit = row.unit;
        if let Some(undisturbed) = &mut row.undisturbed {
            undisturbed.verdict = verdict(&undisturbed.effect, p, unit, margin(options));
        }
    }
    let brief = |side: &Side| Brief {
        label: side.label(),
        runs: side.runs.clone(),
    };
    Ok(Comparison {
        base: brief(base),
        new: brief(new),
        changes: changes(base, new),
        settings: settings(base, new),
        notes: notes(base, new, &rows, options),
        gate: options.gate.map(|by| gate(&rows, base, new, by, options)),
        options: options.clone(),
        mismatches,
        rows,
        differences,
    })
}
