//! What a regression report needs, from two sides that were compared: a mail's text, and for each scenario that got slower a C
//! file that reproduces it without this program.

pub mod config;
mod mail;
pub mod reproducer;

use crate::compare::options::Verdict;
use crate::compare::row::Row;
use crate::compare::side::Side;
use crate::compare::signed::SignedRow;
use crate::compare::table::Comparison;
use crate::memory::folio::Folio;
use crate::record::case::CaseId;
use crate::report::dossier::config::Configs;
use crate::report::dossier::mail::Regression;
use crate::report::dossier::reproducer::{file_name, reproducer};
use crate::scenario::catalogue;

/// What a regression report needs.
#[derive(Clone, Debug)]
pub struct Dossier {
    /// The mail.
    pub mail: String,
    /// C files: name and text.
    pub programs: Vec<(String, String)>,
}

/// Why there is no dossier.
#[derive(Debug, thiserror::Error)]
#[error(
    "there is no regression to report: of {rows} rows none is slower for sure, and no scenario comes to another outcome; `cowpath compare` shows \
     what was seen and what was too small to see"
)]
pub struct NothingSlower {
    rows: usize,
}

/// The dossier on what got slower, or comes to another outcome, from `base` to `new`.
///
/// # Errors
/// When nothing did.
pub fn dossier(
    base: &Side,
    new: &Side,
    comparison: &Comparison,
    configs: Option<&Configs>,
) -> Result<Dossier, NothingSlower> {
    let slower = |verdict: Verdict| verdict == Verdict::Slower;
    let mut rows: Vec<&Row> = comparison
        .rows
        .iter()
        .filter(|row| slower(row.verdict))
        .collect();
    rows.sort_by(|a, b| {
        let size = |row: &Row| (row.primary, row.effect.change);
        size(b)
            .partial_cmp(&size(a))
            .unwrap_or(std::cmp::Ordering::Equal)
    });
    let signed = comparison.differences.iter();
    let signed: Vec<&SignedRow> = signed.filter(|row| slower(row.verdict)).collect();
    if rows.is_empty() && signed.is_empty() && comparison.outcomes.is_empty() {
        return Err(NothingSlower {
            rows: comparison.len(),
        });
    }
    let other = |case: &&CaseId| {
        comparison
            .outcomes
            .iter()
            .any(|one| one.what == case.label())
    };
    let other: Vec<&CaseId> = base
        .cases
        .iter()
        .map(|(case, _)| case)
        .filter(other)
        .collect();
    let mut cases: Vec<&CaseId> = Vec::new();
    let all = rows
        .iter()
        .map(|row| &row.case)
        .chain(signed.iter().map(|row| &row.case));
    for case in all.chain(other) {
        if !cases.iter().any(|one| one.is_but_for_pages(case)) {
            cases.push(case);
        }
    }
    let (programs, without) = programs(&cases);
    let regression = Regression {
        base,
        new,
        comparison,
        rows,
        signed,
        cases,
    };
    let names: Vec<&str> = programs.iter().map(|(name, _)| name.as_str()).collect();
    let mail = regression.mail(configs, &names, &without);
    Ok(Dossier { mail, programs })
}

/// A C file's name and text.
type Program = (String, String);

/// The C files, and for what there is none and why.
fn programs(cases: &[&CaseId]) -> (Vec<Program>, Vec<String>) {
    let (mut programs, mut without): (Vec<Program>, Vec<String>) = Default::default();
    for case in cases {
        let made = match (catalogue::find(&case.scenario), Folio::try_from(case.folio)) {
            (Some(scenario), Ok(folio)) => reproducer(scenario, folio, case.pages)
                .map(|text| (file_name(scenario.id, folio), text)),
            (None, _) => Err("a scenario that this version does not have".into()),
            (_, Err(why)) => Err(why),
        };
        match made {
            Ok(program) if programs.contains(&program) => {}
            Ok(program) => programs.push(program),
            Err(why) => without.push(format!("{}: it has {why}", case.label())),
        }
    }
    (programs, without)
}
