//! Laws: what each further one of something adds, by lines through scenarios that differ in its number alone.

use std::collections::BTreeMap;

use crate::record::case::CaseId;
use crate::record::folio::FolioSize;
use crate::record::outcome::Outcome;
use crate::report::document::{Cell, Column, Table};
use crate::report::format;
use crate::report::view::{CaseRow, View};
use crate::scenario::catalogue::find;
use crate::scenario::law::Law;
use crate::stats::line::{Line, line};

/// KiB to which operations on a whole area are scaled.
const SCALED_TO: f64 = 2048.0;

/// A law as one run has it.
struct Fitted<'a> {
    law: Law,
    run: usize,
    /// In what it differs from others of the law: folio size, threads and the like.
    variant: String,
    /// The least and the greatest number.
    span: [u32; 2],
    /// The first point's row, which tells the unit and whether times say something.
    row: &'a CaseRow<'a>,
    outcomes: Vec<Outcome>,
    line: Line,
}

/// What each further one adds, a row for each law and run; `None` where no law has two points.
pub fn table(view: &View) -> Option<Table> {
    let fitted = fitted(view);
    let several = view.runs.len() > 1;
    let mut columns = vec![Column::words("law")];
    if several {
        columns.push(Column::words("run"));
    }
    columns.push(Column::words("each further"));
    columns.extend(
        ["adds", "95 % interval", "from", "at", "to", "at", "bends"].map(|label| match label {
            "bends" => Column::words(label),
            _ => Column::numbers(label),
        }),
    );
    let rows = fitted.iter().map(|one| {
        let figure = |text: String| match one.row.timed() {
            true => Cell::new(text),
            false => Cell::muted(text),
        };
        let mut cells = vec![Cell::new(format!("{}{}", one.law.name, one.variant))];
        if several {
            cells.push(Cell::new(view.runs[one.run].label.clone()));
        }
        let unit = one.row.result.unit().label();
        let [low, high] = one.line.ends;
        cells.extend([
            Cell::new(one.law.per),
            figure(format!("{} {unit}", signed(one.line.slope))),
            one.line.interval.map_or(Cell::muted("–"), |interval| {
                figure(format!(
                    "[{}, {}]",
                    signed(interval.low),
                    signed(interval.high)
                ))
            }),
            Cell::new(format::count(one.span[0].into())),
            figure(format::figure(low)),
            Cell::new(format::count(one.span[1].into())),
            figure(format::figure(high)),
            Cell::new(bends(&one.line)),
        ]);
        cells
    });
    let rows: Vec<_> = rows.collect();
    (!rows.is_empty()).then(|| Table {
        caption: "What each further one adds".into(),
        columns,
        rows,
        notes: notes(&fitted),
        prose: false,
    })
}

/// A slope may be far below one unit.
fn signed(x: f64) -> String {
    match x.abs() < 100.0 {
        true => format!("{x:+.1}"),
        false => format::signed(x),
    }
}

fn bends(line: &Line) -> String {
    let Some(bends) = &line.bends else {
        return match line.points {
            2 => "two points".into(),
            _ => "too few repetitions".into(),
        };
    };
    let at = bends.iter().map(|bend| format!("at {}", bend.at));
    match bends.is_empty() {
        true => "none seen".into(),
        false => at.collect::<Vec<_>>().join(", "),
    }
}

/// Where laws bend, a sentence for each that does.
pub fn told_bends(view: &View) -> Vec<String> {
    fitted(view).iter().filter_map(bends_told).collect()
}

/// What a line's bends are; `None` where it has none.
fn bends_told(one: &Fitted) -> Option<String> {
    let bends = one
        .line
        .bends
        .as_deref()
        .filter(|bends| !bends.is_empty())?;
    let (per, unit) = (one.law.per, one.row.result.unit().label());
    let told = bends.iter().map(|bend| {
        let (before, after) = (signed(bend.before), signed(bend.after));
        format!(
            "at {} from {before} to {after} {unit} for each {per}",
            bend.at
        )
    });
    let told = told.collect::<Vec<_>>().join(", ");
    Some(format!("{}{} bends {told}.", one.law.name, one.variant))
}

fn notes(fitted: &[Fitted]) -> Vec<String> {
    let mut notes = vec![
        "Each repetition gives a line by least squares through its medians at every number; shown is the median of the slopes, with \
         the 95 % interval from order statistics. A bend is a number on whose two sides the slopes differ, at 95 % for all \
         numbers of a law together. An operation on the whole area is counted as a whole, not scaled to 2 MiB."
            .to_string(),
    ];
    let mut asked: Vec<&str> = Vec::new();
    for one in fitted {
        notes.extend(bends_told(one));
        if !asked.contains(&one.law.name) {
            asked.push(one.law.name);
            notes.push(format!("{}: {}", one.law.name, one.law.question));
        }
        if let [first, others @ ..] = &one.outcomes[..]
            && others.iter().any(|other| other != first)
        {
            notes.push(format!(
                "{}{}: the pages came to different outcomes at different numbers, so that its line is not of one thing.",
                one.law.name, one.variant
            ));
        }
    }
    notes
}

/// The rows of one run that are points of a law and alike but for its number.
struct PointsOfLaw<'a> {
    law: Law,
    run: usize,
    case: CaseId,
    rows: Vec<(u32, &'a CaseRow<'a>)>,
}

fn points<'v>(view: &'v View<'v>) -> Vec<PointsOfLaw<'v>> {
    let mut all: Vec<PointsOfLaw> = Vec::new();
    for row in view.rows().filter(|row| !row.folded) {
        let Some(point) = find(&row.result.scenario).and_then(|scenario| scenario.point) else {
            continue;
        };
        let (law, run) = (point.law, row.run);
        let case = CaseId {
            scenario: law.name.into(),
            pages: 0,
            ..CaseId::of(row.result)
        };
        let like = |one: &&mut PointsOfLaw| (one.run, one.law, &one.case) == (run, law, &case);
        match all.iter_mut().find(like) {
            Some(points) => points.rows.push((point.at, row)),
            None => all.push(PointsOfLaw {
                law,
                run,
                case,
                rows: vec![(point.at, row)],
            }),
        }
    }
    all
}

fn fitted<'v>(view: &'v View<'v>) -> Vec<Fitted<'v>> {
    let points = points(view);
    let cases: Vec<CaseId> = points.iter().map(|one| one.case.clone()).collect();
    let fitted = points.into_iter().filter_map(|mut points| {
        points.rows.sort_by_key(|(at, _)| *at);
        let measured: Vec<_> = points.rows.iter().map(|(_, row)| values(row)).collect();
        // Repetitions that every point has.
        let everywhere = |index: &u32| measured.iter().all(|(_, of)| of.contains_key(index));
        let (_, first) = measured.first()?;
        let kept: Vec<u32> = first.keys().copied().filter(everywhere).collect();
        let at = points.rows.iter().map(|(at, _)| f64::from(*at));
        let kept_of =
            |(_, of): &(_, BTreeMap<u32, f64>)| kept.iter().map(|index| of[index]).collect();
        let lined: Vec<(f64, Vec<f64>)> = at.zip(measured.iter().map(kept_of)).collect();
        let label = points.case.label_among(&cases);
        Some(Fitted {
            law: points.law,
            run: points.run,
            variant: label.strip_prefix(points.law.name)?.into(),
            span: [points.rows.first()?.0, points.rows.last()?.0],
            row: points.rows.first()?.1,
            outcomes: measured
                .iter()
                .filter_map(|(outcome, _)| *outcome)
                .collect(),
            line: line(&lined)?,
        })
    });
    fitted.collect()
}

/// The most frequent outcome of a point and each repetition's figure: the median, or the difference that the area makes; of an
/// operation on the whole area as a whole.
fn values(row: &CaseRow) -> (Option<Outcome>, BTreeMap<u32, f64>) {
    let outcome = row.series().first().map(|series| series.outcome);
    let whole = match find(&row.result.scenario) {
        Some(scenario) if scenario.timed.is_whole() && row.result.folio == FolioSize::of_kib(4) => {
            let pages = row.file.config.pages;
            let pages = pages.max(scenario.min_pages).min(scenario.max_pages);
            f64::from(pages) * row.result.folio.kib as f64 / SCALED_TO
        }
        _ => 1.0,
    };
    let of_rep = row.result.repetitions.iter().filter_map(|rep| {
        let value = rep.difference.or_else(|| {
            let latency = rep.by_outcome.get(&outcome?)?;
            Some(latency.p50 as f64)
        })?;
        Some((rep.index, value * whole))
    });
    (outcome, of_rep.collect())
}
