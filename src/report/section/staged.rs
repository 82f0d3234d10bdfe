//! Races that were played step by step: the founding question, and a timeline for each race.

use crate::record::moves::{FaultOutcome, Party, RaceVerdict};
use crate::record::staged::StagedResult;
use crate::report::document::{Block, Cell, Column, Lane, Section, Table, Timeline, TimelineRow};
use crate::report::error::ReportError;
use crate::report::section::run_name::{knobs, name};
use crate::report::sweep::verdicts;
use crate::report::timeline::{parts, predicted, rows, seen, summary, verdict};
use crate::report::view::{Run, View};
use crate::scenario::staged::Staged;
use crate::scenario::staged::catalogue::STAGED;

const QUESTION: [&str; 2] = [
    "Process A and process B share a page copy-on-write. Thread 1 of A stores to it; the kernel decides for a copy, takes a \
     reference of its own on the old page, drops the page-table lock and copies. Now B exits, and thread 2 of A comes by. Under \
     the refcount rule thread 2 sees thread 1’s reference and makes a copy too: whoever takes the lock second finds the entry \
     changed and throws its copy away. Under the mapcount rule, which ignores references, thread 2 may keep the very page \
     that thread 1 is copying.",
    "Thread 1 looks at the page-table entry before it puts its copy in place, and a changed entry stops it. The question is \
     whether thread 2 can take the page for good and leave the entry as it was. Three ways are open: thread 2 stores, which \
     makes the entry writable; it stores, and userfaultfd then write-protects the page and lifts that again, which may restore \
     the entry to the bit; or it pins the page for reading, which marks the page as A’s own and does not touch the entry. The \
     proposed recheck, a second look at the page itself under the lock, closes the last.",
];

pub fn sections(view: &View) -> Result<Vec<Section>, ReportError> {
    let runs: Vec<&Run> = view
        .runs
        .iter()
        .filter(|run| !run.file.staged.is_empty())
        .collect();
    if runs.is_empty() {
        return Ok(Vec::new());
    }
    let mut sections = Vec::new();
    let founding = |id: &str| STAGED.iter().any(|race| race.founding && race.id == id);
    if runs.iter().any(|run| {
        run.file
            .staged
            .iter()
            .any(|result| founding(&result.scenario))
    }) {
        let mut blocks: Vec<Block> = QUESTION.iter().map(|&text| Block::text(text)).collect();
        blocks.push(Block::Table(ways(&runs)));
        sections.push(Section::new(
            "founding-question",
            "The founding question",
            blocks,
        ));
    }
    let mut blocks = vec![Block::Table(races(&runs))];
    blocks.extend(super::sweep::tables(&runs));
    blocks.push(Block::text(
        "Timelines, those with harm unfolded. A’s page is what A’s page table holds after each move: ro or rw, A for Accessed, \
         D for Dirty, U for write-protected by userfaultfd, the page frame, and how many page tables map it.",
    ));
    for (number, run) in runs.iter().enumerate() {
        for (at, result) in run.file.staged.iter().enumerate() {
            blocks.push(Block::Timeline(timeline(run, result, &anchor(number, at))));
        }
    }
    sections.push(Section::new("staged", "Staged races", blocks));
    Ok(sections)
}

/// The page's anchor of a race's timeline.
fn anchor(run: usize, result: usize) -> String {
    format!("staged-{}-{}", run + 1, result + 1)
}

/// What is said under both tables.
const READING: &str = "The first word is the verdict on the data; “blocked” is coherent, with a rival that had to wait. In brackets: what thread 1’s \
    store came to, then its rival’s. “as derived” is what the kernel’s source predicts, “as seen” what kernels \
    were seen to do before; “≠” marks what neither does. Each verdict leads to its timeline.";

/// Kernels by ways: the founding question.
fn ways(runs: &[&Run]) -> Table {
    let ways: Vec<&Staged> = STAGED.iter().filter(|race| race.founding).collect();
    let lines = runs.iter().enumerate().map(|(number, run)| {
        let cells = ways.iter().map(|way| outcome(run, number, way.id));
        [Cell::new(name(run))].into_iter().chain(cells).collect()
    });
    let mut columns = vec![Column::words("kernel, strategy")];
    columns.extend(ways.iter().map(|way| Column::words(way.id)));
    let told = ways
        .iter()
        .map(|way| format!("{}: {}", way.id, way.summary));
    Table {
        caption: "What became of the data, kernel by kernel and way by way".into(),
        columns,
        rows: lines.collect(),
        notes: told.chain([READING.into()]).collect(),
        prose: false,
    }
}

/// Races by kernels.
fn races(runs: &[&Run]) -> Table {
    let played = |id: &str| {
        let mut all = runs.iter().flat_map(|run| &run.file.staged);
        all.any(|result| result.scenario == id)
    };
    let lines = STAGED.iter().filter(|race| played(race.id)).map(|race| {
        let numbered = runs.iter().enumerate();
        let cells = numbered.map(|(number, run)| outcome(run, number, race.id));
        [Cell::new(race.id)].into_iter().chain(cells).collect()
    });
    let mut columns = vec![Column::words("scenario")];
    columns.extend(runs.iter().map(|run| Column::words(name(run))));
    Table {
        caption: "Every staged race, kernel by kernel".into(),
        columns,
        rows: lines.collect(),
        notes: vec![READING.into()],
        prose: false,
    }
}

/// What a race came to in a run, leading to its timeline.
fn outcome(run: &Run, number: usize, id: &str) -> Cell {
    let mut results = run.file.staged.iter().enumerate();
    match results.find(|(_, result)| result.scenario == id) {
        Some((at, result)) => cell(result, run).linked(anchor(number, at)),
        None if run.file.skipped.iter().any(|skip| skip.scenario == id) => Cell::muted("skipped"),
        None => Cell::muted("–"),
    }
}

/// Verdict, parts and whether they are as predicted; how many, where a race was played several times.
fn cell(result: &StagedResult, run: &Run) -> Cell {
    let all: Vec<&StagedResult> = run
        .file
        .staged
        .iter()
        .filter(|other| other.scenario == result.scenario)
        .collect();
    let same = all.iter().filter(|o| o.verdict == result.verdict).count();
    let came = |came: Option<FaultOutcome>| {
        came.filter(|&came| came != FaultOutcome::Done)
            .map(FaultOutcome::label)
    };
    let one = result.part(Party::One).and_then(|part| came(part.came));
    let rival = result.rival().map(FaultOutcome::label);
    let both: Vec<&str> = one.into_iter().chain(rival).collect();
    let lock = result.parts.iter().find_map(|part| part.waited.as_ref());
    let mut text = result.verdict.label().to_owned();
    if let Some(sweep) = &result.sweep {
        text = verdicts(sweep);
    } else {
        if let Some(wait) = lock.filter(|_| result.verdict == RaceVerdict::Blocked) {
            text += &format!(" on {}", wait.lock.label());
        }
        if !both.is_empty() {
            text += &format!(" ({})", both.join(", "));
        }
    }
    if all.len() > 1 {
        text += &format!(", {same} of {}", all.len());
    }
    let surprising = all.iter().any(|result| !result.surprises().is_empty());
    if surprising {
        text += " ≠";
    } else if result.basis.is_some() {
        text += &format!(", {}", result.agreement());
    }
    if result.verdict.is_harm() || result.verdict == RaceVerdict::Lost || surprising {
        Cell::warn(text)
    } else {
        Cell::new(text)
    }
}

/// A race on one kernel, a lane for each CPU.
fn timeline(run: &Run, result: &StagedResult, anchor: &str) -> Timeline {
    let mut notes = vec![format!("Verdict: {}.", result.reason)];
    let parts = parts(result);
    if !parts.is_empty() {
        notes.push(format!("Parts: {parts}."));
    }
    if let Some(held) = &result.held {
        notes.push(format!(
            "Held {}: {} of {}.",
            held.point.label(),
            held.function,
            held.caller
        ));
    }
    for part in &result.parts {
        if let Some(wait) = &part.waited {
            let how = if wait.asleep { "asleep" } else { "spinning" };
            notes.push(format!(
                "{} waits for {}, {how}: {}.",
                part.party.label(),
                wait.lock.label(),
                wait.stack.join(" ← ")
            ));
        }
    }
    if let Some(said) = &result.predicted {
        notes.push(format!("Predicted: {}.", predicted(said)));
    }
    if let Some(basis) = &result.basis {
        notes.push(format!("Basis: {}.", basis.label()));
    }
    notes.extend(result.surprises().iter().map(|s| format!("≠ {s}.")));
    notes.extend(
        result
            .seen
            .iter()
            .map(|one| format!("Data in {}.", seen(one))),
    );
    notes.push(format!("Reproduce: {}", command(run, result)));
    Timeline {
        anchor: anchor.into(),
        title: format!("{} on {}: {}", result.scenario, name(run), verdict(result)),
        summary: summary(&result.scenario).into(),
        harm: result.verdict.is_harm() || result.verdict == RaceVerdict::Lost,
        lanes: Party::ALL
            .iter()
            .map(|party| Lane {
                cpu: party.cpu(),
                party: party.label(),
            })
            .collect(),
        rows: rows(result)
            .into_iter()
            .map(|row| TimelineRow {
                lane: row.party.map(|party| party as usize),
                what: row.what,
                page: row.page,
                held: row.held,
            })
            .collect(),
        notes,
    }
}

/// The command that plays this race on this kernel again.
fn command(run: &Run, result: &StagedResult) -> String {
    let knobs = knobs(run).join(" ");
    let append = match knobs.as_str() {
        "" => String::new(),
        knobs => format!(" --append '{knobs}'"),
    };
    let sweep = result.sweep.as_ref().map_or("", |_| " --sweep");
    format!(
        "cowpath stage {}{sweep} --kernel vmlinuz-{}{append}",
        result.scenario, run.file.host.kernel.release
    )
}
