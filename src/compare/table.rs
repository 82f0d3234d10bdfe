//! The comparison as a whole: a row for each figure, corrected for their number, with its verdict.

use globset::{Glob, GlobSetBuilder};
use serde::Serialize;

use super::changes::{changes, mismatches, other_machine, other_outcomes, settings};
use super::gate::{Gate, gate};
use super::side::{Difference, Side};
use super::signed::{self, SignedRow};
use crate::compare::notes::notes;
use crate::compare::options::{Options, Verdict};
use crate::compare::row::{self, Row, Undisturbed};
use crate::record::case::CaseId;
use crate::stats::effect::{ALPHA, effects};
use crate::stats::question::Question;

/// A side in short.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Brief {
    /// Kernel, virtualization and rule.
    pub label: String,
    /// The kernel's release.
    pub kernel: String,
    /// CPU, number of CPUs, virtualization and unit.
    pub machine: String,
    /// What it ran on: `none`, `kvm`, `tcg`, `exact` or the hypervisor's name.
    pub virtualization: String,
    /// The command that made its first run, word by word.
    pub command: Vec<String>,
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
    /// Outcomes of which more than half of the stores came to another one: scenario, then and now.
    pub outcomes: Vec<Difference>,
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

impl Comparison {
    /// Rows with that verdict, those that may be negative among them.
    pub fn count(&self, verdict: Verdict) -> usize {
        let verdicts = self.rows.iter().map(|row| row.verdict);
        let signed = self.differences.iter().map(|row| row.verdict);
        verdicts.chain(signed).filter(|&v| v == verdict).count()
    }

    /// All rows.
    pub fn len(&self) -> usize {
        self.rows.len() + self.differences.len()
    }

    /// Whether nothing was set against each other.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

/// Why there is no comparison.
#[derive(Debug, thiserror::Error)]
pub enum CompareError {
    /// The sides are not about comparable things.
    #[error("these runs do not compare: {}; measure both sides alike, or see it marked with --anyway", list(.0))]
    Mismatch(Vec<Difference>),
    /// A glob of `--primary` is none.
    #[error("--primary {glob}: {why}")]
    Glob {
        /// The glob.
        glob: String,
        /// What is wrong with it.
        why: String,
    },
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
    let mut mismatches = mismatches(base, new);
    let profile = options.noise.as_ref();
    mismatches.extend(
        profile
            .into_iter()
            .flat_map(|noise| other_machine(noise, base)),
    );
    if !mismatches.is_empty() && !options.anyway {
        return Err(CompareError::Mismatch(mismatches));
    }
    if !base.cases.iter().any(|(case, _)| new.seen(case).is_some()) {
        return Err(CompareError::NothingInCommon);
    }
    let is_primary = primary(base, new, options)?;
    let pairs = row::pairs(base, new);
    let asked = row::asked(base, new, pairs.as_deref(), options);
    let signed = signed::asked(base, new, pairs.as_deref(), options);
    let mut primary: Vec<bool> = asked.iter().map(|row| is_primary(row.case)).collect();
    primary.extend(signed.iter().map(|(case, _, _)| is_primary(case)));
    if !primary.contains(&true) && !options.primary.is_empty() && !primary.is_empty() {
        return Err(CompareError::Glob {
            glob: options.primary.join(","),
            why: "no row of both sides is of such a scenario".into(),
        });
    }
    if !primary.contains(&true) {
        // What was chosen was not measured on both sides: then all that was is what there is to compare.
        primary.fill(true);
    }
    let chances = chances(&primary);
    let answer = |questions: Vec<Question>| {
        let chances = questions.into_iter().zip(&chances);
        effects(
            &chances
                .map(|(asked, &chance)| Question { chance, ..asked })
                .collect::<Vec<_>>(),
        )
    };
    let questions = asked.iter().map(|row| row.question.clone());
    let differences = signed.iter().map(|(_, _, question)| question.clone());
    let all: Vec<Question> = questions.chain(differences).collect();
    let effects = answer(all.clone());
    let without = asked.iter().map(|row| match &row.undisturbed {
        Some((_, question)) => question.clone(),
        None => row.question.clone(),
    });
    let undisturbed = match asked.iter().any(|row| row.undisturbed.is_some()) {
        true => answer(without.collect()),
        false => vec![None; asked.len()],
    };
    let gate = options.gate.map(|by| {
        gate(
            &asked,
            &all,
            &effects,
            &primary,
            &answer,
            without_row(base, &asked, &is_primary),
            by,
        )
    });
    let marked = !mismatches.is_empty();
    let of_rows = asked
        .into_iter()
        .zip(&effects)
        .zip(undisturbed)
        .zip(&primary);
    let rows: Vec<Row> = of_rows
        .filter_map(|(((asked, effect), undisturbed), &primary)| {
            let effect = (*effect)?;
            Some(Row {
                case: asked.case.clone(),
                outcome: asked.outcome,
                quantile: asked.quantile,
                unit: asked.unit,
                primary,
                verdict: Verdict::of(&effect, options.same),
                effect,
                marked,
                undisturbed: asked
                    .undisturbed
                    .zip(undisturbed)
                    .map(|((left_out, _), effect)| Undisturbed {
                        left_out,
                        verdict: Verdict::of(&effect, options.same),
                        effect,
                    }),
            })
        })
        .collect();
    let start = effects.len() - signed.len();
    let of_signed = signed
        .into_iter()
        .zip(&effects[start..])
        .zip(&primary[start..]);
    let differences: Vec<SignedRow> = of_signed
        .filter_map(|(((case, unit, _), effect), &primary)| {
            let effect = (*effect)?;
            Some(SignedRow {
                case: case.clone(),
                unit,
                primary,
                verdict: Verdict::of(&effect, options.same),
                effect,
                marked,
            })
        })
        .collect();
    let brief = |side: &Side| Brief {
        label: side.label(),
        kernel: side.told("kernel"),
        machine: side.machine(),
        virtualization: side.told("virtualization"),
        command: side.command.clone(),
        runs: side.runs.clone(),
    };
    Ok(Comparison {
        base: brief(base),
        new: brief(new),
        changes: changes(base, new),
        outcomes: other_outcomes(base, new),
        settings: settings(base, new),
        notes: notes(base, new, &rows, &differences, options),
        gate,
        options: options.clone(),
        mismatches,
        rows,
        differences,
    })
}

/// Families of primary rows where nothing else says which are: what a reuse and a copy cost, and what they are made of.
const BASE_FAMILIES: [&str; 4] = ["control/", "touch/", "reuse/", "copy/"];
/// The share of a table's chance of a false verdict that its primary rows have where there are others.
const OF_PRIMARY: f64 = 0.8;

/// Which cases have primary rows: those that were asked for, of this comparison or of the runs; else the base families.
fn primary<'a>(
    base: &'a Side,
    new: &'a Side,
    options: &Options,
) -> Result<impl Fn(&CaseId) -> bool + 'a, CompareError> {
    let mut globs = GlobSetBuilder::new();
    for glob in &options.primary {
        globs.add(Glob::new(glob).map_err(|e| CompareError::Glob {
            glob: glob.clone(),
            why: e.kind().to_string(),
        })?);
    }
    let globs = globs.build().map_err(|e| CompareError::Glob {
        glob: options.primary.join(","),
        why: e.kind().to_string(),
    })?;
    Ok(move |case: &CaseId| match () {
        () if !globs.is_empty() => globs.is_match(&case.scenario),
        () if base.asked || new.asked => true,
        () => BASE_FAMILIES
            .iter()
            .any(|family| case.scenario.starts_with(family)),
    })
}

/// The chance of a false verdict of each row, such that together they are those of a table: divided among the primary rows, of
/// which each has the same, and among the others.
fn chances(primary: &[bool]) -> Vec<f64> {
    let first = primary.iter().filter(|&&is| is).count();
    let others = primary.len() - first;
    let share = if others == 0 { 1.0 } else { OF_PRIMARY };
    let of = |&is: &bool| match is {
        true => ALPHA * share / first as f64,
        false => ALPHA * (1.0 - share) / others as f64,
    };
    primary.iter().map(of).collect()
}

/// The primary cases of the base that have latencies and no row: what they came to, the state of their pages or their unit is
/// another one, or they were not measured again.
fn without_row(
    base: &Side,
    asked: &[row::Asked],
    is_primary: impl Fn(&CaseId) -> bool,
) -> Vec<String> {
    let has_row = |case: &CaseId| asked.iter().any(|row| row.case == case);
    let cases = base
        .cases
        .iter()
        .filter(|(case, seen)| is_primary(case) && !seen.latency.is_empty() && !has_row(case));
    cases
        .map(|(case, _)| {
            format!(
                "{}: no row: another outcome, state or unit than before, or not measured again",
                case.label()
            )
        })
        .collect()
}
