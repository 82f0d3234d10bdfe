//! Every situation and its outcome at a glance: by outcome for one run, by kernel for several.

use crate::record::basis::BasisKind;
use crate::record::outcome::{Outcome, Tally};
use crate::record::schema::Skipped;
use crate::record::unit::Unit;
use crate::report::document::{Block, MarkRow, Matrix, MatrixCell, MatrixGroup, Section};
use crate::report::error::ReportError;
use crate::report::format;
use crate::report::section::rows::section_id;
use crate::report::view::{CaseRow, View, distinct, group_of, is_folio_told};

pub fn sections(view: &View) -> Result<Vec<Section>, ReportError> {
    let situations = situations(view);
    if situations.is_empty() || view.groups.is_empty() {
        return Ok(Vec::new());
    }
    let matrix = match view.runs.len() {
        1 => by_outcome(view, &situations),
        _ => by_kernel(view, &situations),
    };
    let blocks = [Block::Matrix(matrix)];
    Ok(vec![Section::new(
        "outcomes",
        "Outcomes at a glance",
        blocks,
    )])
}

/// A scenario on folios of one size, whatever its other parameters.
struct Situation<'v> {
    label: String,
    group: &'v str,
    /// What each run measured of it; empty where a run did not.
    rows: Vec<Vec<&'v CaseRow<'v>>>,
    /// Why each run skipped it.
    skipped: Vec<Option<&'v Skipped>>,
}

impl Situation<'_> {
    fn tally(&self, run: usize) -> Tally {
        let mut sum = Tally::default();
        for row in &self.rows[run] {
            sum += &row.result.outcomes;
        }
        sum
    }

    fn unexpected(&self, run: usize) -> bool {
        self.rows[run].iter().any(|r| r.unexpected())
    }

    fn skipped_mark(&self, run: usize) -> MatrixCell {
        let title = match self.skipped[run] {
            Some(skipped) => format!("skipped: {}", skipped.reason),
            None => "not measured in this run".into(),
        };
        let text = match self.skipped[run] {
            Some(_) => "skipped",
            None => "not measured",
        };
        MatrixCell {
            title,
            ..MatrixCell::new("skipped", "–", text)
        }
    }
}

/// In the order of the groups; those that every run skipped last in theirs.
fn situations<'v>(view: &'v View) -> Vec<Situation<'v>> {
    let runs = view.runs.len();
    let mut all: Vec<Situation> = Vec::new();
    let new = |label: String, scenario: &'v str| Situation {
        label,
        group: group_of(scenario),
        rows: vec![Vec::new(); runs],
        skipped: vec![None; runs],
    };
    for row in view.rows() {
        let scenario = &row.result.scenario;
        let label = match is_folio_told(view, scenario) {
            true => format!("{scenario} {}", row.result.folio),
            false => scenario.clone(),
        };
        let at = all
            .iter()
            .position(|s| s.label == label)
            .unwrap_or_else(|| {
                all.push(new(label, scenario));
                all.len() - 1
            });
        all[at].rows[row.run].push(row);
    }
    for (run, file) in view.runs.iter().map(|r| r.file).enumerate() {
        for skipped in &file.skipped {
            let named =
                |s: &Situation| s.label.split(' ').next() == Some(skipped.scenario.as_str());
            if !all.iter().any(named) {
                all.push(new(skipped.scenario.clone(), &skipped.scenario));
            }
            for situation in all
                .iter_mut()
                .filter(|s| named(s) && s.rows[run].is_empty())
            {
                situation.skipped[run] = Some(skipped);
            }
        }
    }
    let order = distinct(all.iter().map(|s| s.group));
    all.sort_by_key(|s| order.iter().position(|g| *g == s.group));
    all
}

/// The letter under which tables show an outcome.
pub fn letter(outcome: Outcome) -> &'static str {
    match outcome {
        Outcome::Reuse => "R",
        Outcome::Copy => "C",
        Outcome::Fill => "F",
        Outcome::NoFault => "N",
        Outcome::UnshareCopy => "U",
        Outcome::UnshareReuse => "u",
        Outcome::SwapIn => "S",
        Outcome::Operation => "O",
        Outcome::Unknown => "?",
    }
}

fn mark(outcome: Outcome) -> MatrixCell {
    MatrixCell::new(outcome.key(), letter(outcome), outcome.label())
}

/// The shares of all outcomes, in words.
fn shares(tally: &Tally) -> String {
    let seen = Outcome::ALL.into_iter().filter(|&o| tally.get(o) > 0);
    let each = seen.map(|o| {
        format!(
            "{} {}",
            o.label(),
            format::share(tally.get(o), tally.total())
        )
    });
    each.collect::<Vec<_>>().join(", ")
}

/// Situations by runs: the most frequent outcome, marked where it changed or was not predicted.
fn by_kernel(view: &View, situations: &[Situation]) -> Matrix {
    let row = |s: &Situation| {
        let mut before = None;
        let each = (0..view.runs.len()).map(|run| {
            let tally = s.tally(run);
            let Some(outcome) = tally.dominant() else {
                return s.skipped_mark(run);
            };
            let mut mark = MatrixCell {
                title: shares(&tally),
                ..mark(outcome)
            };
            if outcome != Outcome::Unknown {
                if before.is_some_and(|b| b != outcome) {
                    mark.flags.push("≠ changed");
                }
                before = Some(outcome);
            }
            if s.unexpected(run) {
                mark.flags.push("! unexpected");
            }
            mark
        });
        MarkRow {
            label: s.label.clone(),
            marks: each.collect(),
        }
    };
    Matrix {
        caption: "The most frequent outcome of each situation on each kernel".into(),
        columns: view.runs.iter().map(|r| r.label.clone()).collect(),
        brief: view.runs.iter().map(|r| r.version.clone()).collect(),
        groups: groups(view, situations, row),
        key: key(situations, view.runs.len()),
        notes: vec![
            "“≠ changed” marks an outcome that differs from the one in the nearest column before it; “! unexpected” one \
             where fewer than 99.9 % of the stores ended as the kernel’s own strategy predicts."
                .into(),
        ],
    }
}

/// Situations by outcomes: the share of the stores that ended so.
fn by_outcome(view: &View, situations: &[Situation]) -> Matrix {
    let seen = |o: &Outcome| situations.iter().any(|s| s.tally(0).get(*o) > 0);
    let outcomes: Vec<Outcome> = Outcome::ALL.into_iter().filter(seen).collect();
    let row = |s: &Situation| {
        let tally = s.tally(0);
        let mut marks: Vec<MatrixCell> = outcomes
            .iter()
            .map(|&o| match tally.get(o) {
                0 => MatrixCell::default(),
                n => MatrixCell {
                    title: o.label().into(),
                    ..MatrixCell::new(o.key(), letter(o), format::share(n, tally.total()))
                },
            })
            .collect();
        let predicted = s.rows[0].iter().any(|r| r.as_expected().is_some());
        // Of several sets of parameters, what claims least.
        let bases = s.rows[0].iter().filter_map(|r| r.result.basis.as_ref());
        let basis = bases.map(|basis| basis.kind).max();
        marks.push(match tally.dominant() {
            None => s.skipped_mark(0),
            Some(_) if s.unexpected(0) => MatrixCell {
                flags: vec!["! unexpected"],
                ..MatrixCell::default()
            },
            Some(_) if predicted => {
                MatrixCell::new("", "", basis.map_or("as expected", BasisKind::brief))
            }
            Some(_) => MatrixCell::new("muted", "", "no prediction"),
        });
        marks.push(median(&s.rows[0]));
        MarkRow {
            label: s.label.clone(),
            marks,
        }
    };
    let mut columns: Vec<String> = outcomes.iter().map(|o| o.label().into()).collect();
    columns.extend(["verdict", "p50"].map(String::from));
    Matrix {
        caption: "Each situation by the share of its stores that ended in each outcome".into(),
        columns,
        groups: groups(view, situations, row),
        key: key(situations, 1),
        notes: vec![
            "p50 is the median of the most frequent outcome, over all its parameters where there are several: their lowest \
             and highest."
                .into(),
        ],
        brief: Vec::new(),
    }
}

/// The medians of the most frequent outcomes, as a range where parameters differ.
fn median(rows: &[&CaseRow]) -> MatrixCell {
    let series = rows.iter().filter_map(|r| r.series().into_iter().next());
    let p50s: Vec<(u64, Unit)> = series.map(|s| (s.latency.p50, s.latency.unit)).collect();
    let (Some(&(low, unit)), Some(&(high, _))) = (
        p50s.iter().min_by_key(|p| p.0),
        p50s.iter().max_by_key(|p| p.0),
    ) else {
        return MatrixCell::default();
    };
    let text = match low == high {
        true => format::latency(low as f64, unit),
        false => format!(
            "{} to {}",
            format::latency(low as f64, unit),
            format::latency(high as f64, unit)
        ),
    };
    MatrixCell::new("", "", text)
}

fn groups(
    view: &View,
    situations: &[Situation],
    row: impl Fn(&Situation) -> MarkRow,
) -> Vec<MatrixGroup> {
    let groups = situations.chunk_by(|a, b| a.group == b.group);
    let groups = groups.map(|situations| {
        let group = situations[0].group;
        let holds = |r: &CaseRow| group_of(&r.result.scenario) == group;
        let section = view.groups.iter().find(|g| g.rows.iter().any(holds));
        MatrixGroup {
            name: group.into(),
            anchor: section.map(|g| section_id(&g.name)).unwrap_or_default(),
            rows: situations.iter().map(&row).collect(),
        }
    });
    groups.collect()
}

/// The letters that occur.
fn key(situations: &[Situation], runs: usize) -> Vec<MatrixCell> {
    let tallies: Vec<Tally> = situations
        .iter()
        .flat_map(|s| (0..runs).map(|r| s.tally(r)))
        .collect();
    let seen = Outcome::ALL
        .into_iter()
        .filter(|&o| tallies.iter().any(|t| t.get(o) > 0));
    let mut key: Vec<MatrixCell> = seen.map(mark).collect();
    if tallies.iter().any(|t| t.total() == 0) {
        key.push(MatrixCell::new("skipped", "–", "skipped or not measured"));
    }
    key
}
