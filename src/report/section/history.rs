//! Many kernels in their order: what each situation costs on each, at which kernel that changed, and what else did.

use crate::compare::history::{History, HistoryLine, HistoryPoint, HistoryStep, StepKind};
use crate::compare::options::{PathChange, Verdict};
use crate::record::unit::Unit;
use crate::report::document::{Block, Cell, Column, Section, Table};
use crate::report::error::ReportError;
use crate::report::format;
use crate::report::plot::Chart;
use crate::report::plot::axis;
use crate::report::plot::data::PlotData;
use crate::report::plot::line::ChartLine;
use crate::report::plot::style::Style;
use crate::report::section::matrix::letter;
use crate::report::view::{View, distinct, group_of};
use crate::stats::effect::Effect;

/// Most lines of one chart: beyond that their styles repeat.
const MOST_LINES: usize = 6;

pub fn sections(view: &View) -> Result<Vec<Section>, ReportError> {
    let Some(history) = told(view) else {
        return Ok(Vec::new());
    };
    let labels: Vec<&str> = view.runs.iter().map(|run| run.version.as_str()).collect();
    let mut blocks = vec![Block::text(format!(
        "A step, ▲ or ▼, is a change from one kernel to the next that is more than boots and layouts of memory lie apart: the \
         intervals of all {} of them hold together in 95 % of histories. Each leads to what else differs between the two \
         kernels. “≠” marks another outcome, or pages in another state: the figures are of unlike work.",
        history.judged
    ))];
    blocks.extend(
        charts(history, &short(&labels))
            .into_iter()
            .map(Block::Figure),
    );
    for unit in [Unit::Ns, Unit::Instructions] {
        blocks.extend(table(history, unit, &labels).map(Block::Table));
    }
    let mut sections = vec![Section::new("history", "From kernel to kernel", blocks)];
    let paths = view.paths.as_slice();
    sections.extend((1..history.kernels.len()).map(|at| step(history, at, &labels, paths)));
    Ok(sections)
}

/// The kernels' lines, such as 6.12, where each has one of its own: an axis has no room for more.
fn short<'l>(labels: &[&'l str]) -> Vec<&'l str> {
    let line = |label: &&'l str| {
        let end = label
            .match_indices('.')
            .nth(1)
            .map_or(label.len(), |(at, _)| at);
        &label[..end]
    };
    let lines: Vec<&str> = labels.iter().map(line).collect();
    match distinct(lines.iter().copied()).len() == labels.len() {
        true => lines,
        false => labels.to_vec(),
    }
}

/// The history, where each of its kernels is one of the runs.
fn told<'v>(view: &'v View) -> Option<&'v History> {
    view.history
        .as_ref()
        .filter(|history| history.kernels.len() == view.runs.len() && history.judged > 0)
}

/// Small multiples: a chart for each group of situations, split where it has more lines than can be told apart.
fn charts(history: &History, labels: &[&str]) -> Vec<Chart> {
    let mut groups: Vec<(&str, Unit, Vec<&HistoryLine>)> = Vec::new();
    for line in history.lines.iter().filter(|line| is_drawn(line)) {
        let group = group_of(&line.case.scenario);
        let known = groups
            .iter_mut()
            .find(|(name, unit, _)| (*name, *unit) == (group, line.unit));
        match known {
            Some((_, _, lines)) => lines.push(line),
            None => groups.push((group, line.unit, vec![line])),
        }
    }
    let mut charts = Vec::new();
    for (group, unit, lines) in groups {
        let parts = lines.chunks(MOST_LINES);
        let of = parts.len();
        for (part, lines) in parts.enumerate() {
            let number = if of > 1 {
                format!(" ({} of {of})", part + 1)
            } else {
                String::new()
            };
            charts.push(chart(&format!("{group}{number}"), unit, lines, labels));
        }
    }
    charts
}

/// Whether there are enough points for a line.
fn is_drawn(line: &HistoryLine) -> bool {
    line.points.iter().flatten().count() > 1
}

fn chart(group: &str, unit: Unit, lines: &[&HistoryLine], labels: &[&str]) -> Chart {
    let drawn: Vec<ChartLine> = lines
        .iter()
        .enumerate()
        .map(|(nth, line)| {
            let points = line.points.iter().enumerate();
            let points: Vec<(f64, f64)> = points
                .filter_map(|(at, point)| Some((at as f64, point.as_ref()?.value)))
                .collect();
            let is_step = |&&(at, _): &&(f64, f64)| {
                let point = line.points[at as usize].as_ref();
                point
                    .and_then(|point| point.step.as_ref())
                    .is_some_and(is_marked)
            };
            ChartLine {
                label: line.case.label(),
                style: Style::nth(nth),
                marks: points.iter().filter(is_step).copied().collect(),
                points,
                bars: Vec::new(),
            }
        })
        .collect();
    let values = drawn
        .iter()
        .flat_map(|line| &line.points)
        .map(|point| point.1);
    let (low, high) = values.fold((0.0, 0.0), |(low, high), value| {
        (f64::min(low, value), f64::max(high, value))
    });
    let quantity = match unit {
        Unit::Ns => "ns of one operation",
        Unit::Instructions => "instructions of one operation",
    };
    // The table has the steps; the data all points.
    let whole: Vec<ChartLine> = drawn
        .iter()
        .map(|line| ChartLine {
            marks: line.points.clone(),
            ..line.clone()
        })
        .collect();
    Chart {
        name: format!(
            "history-{}-{}",
            format::slug(group),
            format::slug(unit.label())
        ),
        title: format!("{group}: {quantity}, by kernel"),
        description: format!(
            "Kernels: {}. {}",
            labels.join(", "),
            whole.iter().map(spoken).collect::<Vec<_>>().join(" ")
        ),
        reading:
            "Medians, kernel by kernel; a marker stands where a kernel differs from the one before."
                .into(),
        x: axis::named("kernel", labels),
        y: axis::linear(quantity, low, high),
        data: PlotData::of_marks("kernel (by its place)", unit.label(), &whole),
        lines: drawn,
    }
}

fn spoken(line: &ChartLine) -> String {
    let values: Vec<String> = line
        .points
        .iter()
        .map(|point| format::figure(point.1))
        .collect();
    format!("{}: {}.", line.label, values.join(", "))
}

/// Whether a marker stands for it.
fn is_marked(step: &HistoryStep) -> bool {
    step.moved().is_some() || step.change == StepKind::OtherOutcome
}

/// Every case on every kernel, with its steps.
fn table(history: &History, unit: Unit, labels: &[&str]) -> Option<Table> {
    let lines = history.lines.iter().filter(|line| line.unit == unit);
    let rows: Vec<Vec<Cell>> = lines
        .map(|line| {
            let points = line.points.iter().enumerate();
            let mut cells = vec![Cell::new(line.case.label())];
            cells.extend(points.map(|(at, point)| cell(history, at, point.as_ref())));
            cells
        })
        .collect();
    let mut columns = vec![Column::words("scenario")];
    columns.extend(labels.iter().map(|label| Column::numbers(*label)));
    let quantity = match unit {
        Unit::Ns => "ns",
        Unit::Instructions => "executed instructions",
    };
    (!rows.is_empty()).then(|| Table {
        caption: format!("What an operation takes on each kernel, in {quantity}, and its steps"),
        columns,
        rows,
        notes: vec![
            "The letter is the outcome (R reuse, C copy, F fill, N no fault, U unshare copy, u unshare reuse, O operation, ? unknown); none \
             where what an area adds to an operation was measured. Below stands the change from the last kernel before: ▲ ▼ a \
             step, = the same, ? within what boots and layouts lie apart."
                .into(),
        ],
        prose: false,
    })
}

fn cell(history: &History, at: usize, point: Option<&HistoryPoint>) -> Cell {
    let Some(point) = point else {
        return Cell::muted("–");
    };
    let letter = point.outcome.map_or("", letter);
    let value = format!("{letter} {}", figure(point.value))
        .trim()
        .to_string();
    let Some(step) = &point.step else {
        return Cell::new(value);
    };
    let text = format!("{value}\n{}", words(step));
    match step.moved() {
        Some(effect) => {
            heated(Cell::new(text), effect).linked(anchor(&history.kernels[at].release))
        }
        None if is_marked(step) => Cell::new(text),
        None => Cell::muted(text),
    }
}

/// A ratio colours a cell; a difference has none.
fn heated(cell: Cell, effect: &Effect) -> Cell {
    match effect.base.value > 0.0 && effect.new.value > 0.0 {
        true => cell.heated(effect.new.value / effect.base.value),
        false => cell,
    }
}

/// A whole number where it is one to the eye.
fn figure(value: f64) -> String {
    match value >= 100.0 {
        true => format::count(value.round() as u64),
        false => format::figure(value),
    }
}

fn words(step: &HistoryStep) -> String {
    match &step.change {
        StepKind::OtherOutcome | StepKind::Unlike => "≠".into(),
        StepKind::Judged(verdict, effect) => match verdict {
            Verdict::Slower => format!("▲ {}", change(effect)),
            Verdict::Faster => format!("▼ {}", change(effect)),
            Verdict::Same if effect.base.value == effect.new.value => "=".into(),
            Verdict::Same => format!("= {}", change(effect)),
            Verdict::CantTell => format!("? {}", change(effect)),
        },
    }
}

/// In per cent, or, of values that may be negative, in their unit.
fn change(effect: &Effect) -> String {
    match effect.base.value > 0.0 && effect.new.value > 0.0 {
        true => format!(
            "{:+.1} %",
            100.0 * (effect.new.value / effect.base.value - 1.0)
        ),
        false => format::signed(effect.new.value - effect.base.value),
    }
}

fn anchor(release: &str) -> String {
    format!("step-{}", format::slug(release))
}

/// What one kernel brought: what else differs from the one before, how many steps there are, and where they lie.
fn step(history: &History, at: usize, labels: &[&str], paths: &[PathChange]) -> Section {
    let kernel = &history.kernels[at];
    let mut blocks = Vec::new();
    let steps = history.lines.iter().filter_map(|line| {
        let step = line.points[at].as_ref()?.step.as_ref()?;
        Some((line, step))
    });
    let steps: Vec<(&HistoryLine, &HistoryStep)> = steps.collect();
    let count =
        |is: fn(&StepKind) -> bool| steps.iter().filter(|(_, step)| is(&step.change)).count();
    blocks.push(Block::text(format!(
        "{} rows: {} take more than on the kernel before, {} less, {} the same, {} cannot be told, {} came to something else or \
         were in another state.",
        steps.len(),
        count(|change| matches!(change, StepKind::Judged(Verdict::Slower, _))),
        count(|change| matches!(change, StepKind::Judged(Verdict::Faster, _))),
        count(|change| matches!(change, StepKind::Judged(Verdict::Same, _))),
        count(|change| matches!(change, StepKind::Judged(Verdict::CantTell, _))),
        count(|change| matches!(change, StepKind::OtherOutcome | StepKind::Unlike)),
    )));
    let differs = |what: &'static str, list: &[crate::compare::side::Difference]| {
        let items: Vec<String> = list
            .iter()
            .map(|one| format!("{what}{}: {} → {}", one.what, one.base, one.new))
            .collect();
        (!items.is_empty()).then_some(Block::List { items })
    };
    blocks.extend(differs("does not compare: ", &kernel.mismatches));
    blocks.extend(differs("", &kernel.changes));
    let others = steps
        .iter()
        .filter(|(_, step)| step.change == StepKind::OtherOutcome);
    let others: Vec<String> = others
        .filter_map(|(line, step)| {
            let outcome = |at: usize| Some(line.points[at].as_ref()?.outcome?.label());
            Some(format!(
                "{}: {} → {}",
                line.case.label(),
                outcome(step.from)?,
                outcome(at)?
            ))
        })
        .collect();
    if !others.is_empty() {
        blocks.push(Block::Heading {
            text: "Other outcomes".into(),
        });
        blocks.push(Block::List { items: others });
    }
    let releases = [&history.kernels[at - 1].release, &kernel.release];
    let of_these = paths.iter().filter(|path| path.kernels.iter().eq(releases));
    let of_these: Vec<String> = of_these.map(PathChange::by_function).collect();
    if !of_these.is_empty() {
        blocks.push(Block::Heading {
            text: "Where the path differs, by function (instructions of its own)".into(),
        });
        blocks.push(Block::List { items: of_these });
    }
    let title = format!("{} → {}", labels[at - 1], labels[at]);
    Section::new(anchor(&kernel.release), title, blocks)
}
