//! Races: what the threads' pages came to, what was thrown away, when, and at whose cost.

use std::collections::{BTreeMap, BTreeSet};

use crate::record::known::Known;
use crate::record::latency::Latency;
use crate::record::method::LateCount;
use crate::record::method::Method;
use crate::record::race::FrameChange;
use crate::record::schema::{Discards, LockWait, PageTally, Raced};
use crate::report::document::{
    Block, Cell, Column, MarkRow, Matrix, MatrixCell, MatrixGroup, Section, Table,
};
use crate::report::error::ReportError;
use crate::report::forks;
use crate::report::format;
use crate::report::plot::race;
use crate::report::section::rows::{Reasons, name_cells, name_columns, section_id};
use crate::report::view::{CaseRow, View, group_of};

pub fn sections(view: &View) -> Result<Vec<Section>, ReportError> {
    let all: Vec<&CaseRow> = view.rows().filter(|r| r.result.race.is_some()).collect();
    if all.is_empty() {
        return Ok(Vec::new());
    }
    let shown: Vec<&CaseRow> = all.iter().copied().filter(|r| !r.folded).collect();
    let mut blocks = not_allowed(view, &all);
    blocks.extend(founding_question(view, &shown));
    blocks.push(Block::Matrix(results(view, &shown)));
    blocks.extend(race::sweeps(view, &all).into_iter().map(Block::Figure));
    blocks.extend(race::scaling(view, &shown).into_iter().map(Block::Figure));
    blocks.extend(race::parts(&shown, view)?.map(Block::Figure));
    blocks.extend(parts(view, &shown).map(Block::Table));
    blocks.push(Block::Table(discards(view, &shown)));
    blocks.extend(lock_waits(view, &shown).map(Block::Table));
    let named = shown.iter().map(|row| (name_cells(view, row), row.result));
    blocks.extend(forks::table(name_columns(view), named).map(Block::Table));
    blocks.extend(meetings(view, &shown).map(Block::Table));
    Ok(vec![Section::new("races", "Races", blocks)])
}

fn raced<'a>(row: &CaseRow<'a>) -> Option<&'a Raced> {
    row.result.race.as_ref()
}

/// What a reader must not miss: pages that came to something which the strategy rules out.
fn not_allowed(view: &View, rows: &[&CaseRow]) -> Vec<Block> {
    let each = rows.iter().filter_map(|row| {
        let race = raced(row).filter(|r| r.not_allowed > 0)?;
        let pages: u64 = race.results.iter().map(|r| r.pages).sum();
        Some(Block::notice(format!(
            "{}: {} of {} pages came to something that the kernel’s strategy rules out.",
            view.name(row),
            format::count(race.not_allowed),
            format::count(pages)
        )))
    });
    each.collect()
}

/// May a page be reused while another thread copies it, once the last other process has gone? In the figures of `race/exit`.
fn founding_question(view: &View, rows: &[&CaseRow]) -> Vec<Block> {
    let each = rows.iter().filter(|r| r.result.scenario == "race/exit").filter_map(|row| {
        let results = &raced(row)?.results;
        let pages = |which: &dyn Fn(&&PageTally) -> bool| results.iter().filter(which).map(|r| r.pages).sum::<u64>();
        let all = pages(&|_| true);
        if all == 0 {
            return None;
        }
        let told = |n: u64| format!("{} ({})", format::count(n), format::share(n, all));
        let reused = pages(&|r| r.frame == FrameChange::Same && r.late == 0);
        let stale = pages(&|r| r.frame == FrameChange::Same && r.late > 0);
        let two = pages(&|r| r.frame == FrameChange::Changed && r.late > 0);
        let one = pages(&|r| r.frame == FrameChange::Changed && r.late == 0);
        let futile = row.result.discards.counted().map_or(String::new(), |counts| {
            format!(" Of the copies kept, {} were futile: nobody else used the old page any more.", told(counts.futile))
        });
        let verdict = if stale > 0 {
            "so a page was reused under a thread that was copying it"
        } else if two > 0 {
            "so whoever came second copied too and backed off, and no page was reused under a copy"
        } else {
            "so no page was reused under a copy, and none was copied twice either: the exit did not fall into the window"
        };
        Some(Block::text(format!(
            "{}: one thread stores while the only other process that maps the page exits, then a second thread stores. \
             Of {} pages {} were reused without a copy, {} were copied once, {} were copied twice with one copy thrown \
             away, and {} were reused although a copy had been made: {verdict}.{futile}",
            view.name(row),
            format::count(all),
            told(reused),
            told(one),
            told(two),
            told(stale)
        )))
    });
    each.collect()
}

/// A result: the outcome whose colour it has, its name, and which pages came to it.
type NamedPageTest = (&'static str, &'static str, fn(&PageTally) -> bool);

/// What a page came to, whichever thread did it.
const RESULTS: [NamedPageTest; 8] = [
    ("reuse", "same page", |r| {
        r.frame == FrameChange::Same && r.late == 0 && r.none == 0
    }),
    ("reuse", "same page, discards", |r| {
        r.frame == FrameChange::Same && (r.late > 0 || r.none > 0)
    }),
    ("copy", "one copy", |r| {
        r.frame == FrameChange::Changed && r.late == 0 && r.none == 0
    }),
    ("copy", "copy, late", |r| {
        r.frame == FrameChange::Changed && r.late > 0 && r.none == 0
    }),
    ("copy", "copy, none", |r| {
        r.frame == FrameChange::Changed && r.late == 0 && r.none > 0
    }),
    ("copy", "copy, late and none", |r| {
        r.frame == FrameChange::Changed && r.late > 0 && r.none > 0
    }),
    ("fill", "filled", |r| r.frame == FrameChange::Filled),
    ("fill", "gone", |r| r.frame == FrameChange::Gone),
];

/// Races by what their pages came to, as bars.
fn results(view: &View, rows: &[&CaseRow]) -> Matrix {
    let of = |row: &CaseRow, is: fn(&PageTally) -> bool| -> u64 {
        let results = raced(row).map_or(&[][..], |r| &r.results);
        results.iter().filter(|r| is(r)).map(|r| r.pages).sum()
    };
    let columns: Vec<_> = RESULTS
        .into_iter()
        .filter(|(_, _, is)| rows.iter().any(|r| of(r, *is) > 0))
        .collect();
    let line = |row: &CaseRow| {
        let all: u64 = of(row, |_| true);
        let marks = columns.iter().map(|&(kind, label, is)| match of(row, is) {
            0 if all == 0 => MatrixCell::new("skipped", "", "not counted"),
            0 => MatrixCell::default(),
            n => MatrixCell {
                title: format!(
                    "{label}: {} of {} pages",
                    format::count(n),
                    format::count(all)
                ),
                bar: Some(100.0 * n as f64 / all as f64),
                ..MatrixCell::new(kind, "", format::share(n, all))
            },
        });
        MarkRow {
            label: view.name(row),
            marks: marks.collect(),
        }
    };
    let groups = rows.chunk_by(|a, b| group_of(&a.result.scenario) == group_of(&b.result.scenario));
    let groups = groups.map(|rows| {
        let holds = |r: &CaseRow| std::ptr::eq(r.result, rows[0].result);
        let section = view.groups.iter().find(|g| g.rows.iter().any(holds));
        MatrixGroup {
            name: group_of(&rows[0].result.scenario).into(),
            anchor: section.map(|g| section_id(&g.name)).unwrap_or_default(),
            rows: rows.iter().map(|row| line(row)).collect(),
        }
    });
    Matrix {
        caption: "What the raced pages came to".into(),
        columns: columns.iter().map(|(_, label, _)| (*label).into()).collect(),
        brief: Vec::new(),
        groups: groups.collect(),
        key: Vec::new(),
        notes: vec![
            "Read a row as one bar cut into pieces, which make 100 % of its pages. “Late”: a copy was made and thrown away \
             (backoff); “none”: a zeroed page was allocated and thrown away, because the entry was empty for a moment; \
             “same page”: the page kept its frame; “gone”: it was dropped."
                .into(),
        ],
    }
}

/// Latency by what the storing thread came to.
fn parts(view: &View, rows: &[&CaseRow]) -> Option<Table> {
    let mut lines = Vec::new();
    for row in rows {
        for (part, l) in raced(row)
            .iter()
            .flat_map(|r| &r.parts)
            .filter(|(_, l)| l.count > 0)
        {
            let mut cells = name_cells(view, row);
            cells.push(Cell::new(part.label()));
            cells
                .extend([l.count, l.p50, l.p90, l.p99, l.max].map(|n| Cell::new(format::count(n))));
            lines.push(cells);
        }
    }
    let unit = rows
        .iter()
        .flat_map(|r| r.result.race.iter())
        .flat_map(|r| r.parts.values())
        .next()?
        .unit;
    let mut columns = name_columns(view);
    columns.push(Column::words("thread"));
    columns.extend(["stores", "p50", "p90", "p99", "max"].map(Column::numbers));
    Some(Table {
        caption: format!("Races: what a store took by what its thread came to, in {}", unit.label()),
        columns: columns.into_iter().map(Column::full_only).collect(),
        rows: lines,
        notes: vec![
            "A winner’s copy was kept; who backed off threw its copy away; “no copy” came late or reused. These stores were \
             counted one by one, and the counting is in them: compare them with each other, not with other tables."
                .into(),
        ],
        prose: false,
    })
}

/// Copies that were thrown away, by every method that there is.
fn discards(view: &View, rows: &[&CaseRow]) -> Table {
    let mut reasons = Reasons::default();
    let mut methods: BTreeSet<Method> = BTreeSet::new();
    let mut lines = Vec::new();
    for row in rows {
        let mut cells = name_cells(view, row);
        match &row.result.discards {
            Discards::Counted(counts) => {
                let part = |n: u64| match n {
                    0 => "0".into(),
                    n => format!("{} ({})", format::count(n), format::share(n, counts.pages)),
                };
                cells.push(Cell::new(format::count(counts.pages)));
                cells.extend([counts.late, counts.none, counts.futile].map(|n| Cell::new(part(n))));
                cells.extend(
                    [counts.allocations, counts.committed].map(|n| Cell::new(format::count(n))),
                );
                cells.push(others(&counts.other_methods, &mut reasons));
                methods.insert(counts.method);
                let others = counts.other_methods.iter();
                methods.extend(
                    others
                        .filter(|(_, count)| count.counted().is_some())
                        .map(|(method, _)| method),
                );
            }
            Discards::Unavailable { unavailable } => {
                let mark = reasons.mark(unavailable, "discarded copies");
                cells.extend((0..7).map(|_| Cell::muted(format!("n/a [{mark}]"))));
            }
        }
        lines.push(cells);
    }
    let mut columns = name_columns(view);
    columns.push(Column::numbers("pages").full_only());
    columns.extend(["late (backoff)", "none", "futile"].map(Column::numbers));
    columns.extend(
        ["allocations", "committed", "other methods"].map(|c| Column::numbers(c).full_only()),
    );
    let mut notes: Vec<String> = methods
        .iter()
        .map(|method| format!("Counted by: {}.", method.described()))
        .collect();
    notes.push(
        "“Other methods”: the count of late discards of each that counted, less that of the first: 0 where they agree."
            .into(),
    );
    notes.extend(reasons.notes(true));
    Table {
        caption: "Races: copies made and thrown away, and their share of the pages".into(),
        columns,
        rows: lines,
        notes,
        prose: false,
    }
}

/// By how much each other method differs; those that did not count are named only where none did.
fn others(other_methods: &BTreeMap<Method, Known<LateCount>>, reasons: &mut Reasons) -> Cell {
    let counted: Vec<i64> = other_methods
        .values()
        .filter_map(|other| Some(other.counted()?.difference))
        .collect();
    let told = |difference: &i64| match difference {
        0 => "0".to_string(),
        more => format!("{more:+}"),
    };
    if !counted.is_empty() {
        let text = counted.iter().map(told).collect::<Vec<_>>().join(", ");
        return match counted.iter().all(|&difference| difference == 0) {
            true => Cell::new(text),
            false => Cell::warn(text),
        };
    }
    let marks: Vec<String> = other_methods
        .values()
        .filter_map(|other| match other {
            Known::Unavailable { unavailable } => {
                Some(format!("[{}]", reasons.mark(unavailable, "another method")))
            }
            Known::Counted(_) => None,
        })
        .collect();
    match &marks[..] {
        [] => Cell::muted("–"),
        marks => Cell::muted(format!("n/a {}", marks.join(" "))),
    }
}

/// What sweeping threads waited for locks.
fn lock_waits(view: &View, rows: &[&CaseRow]) -> Option<Table> {
    let mut reasons = Reasons::default();
    let mut lines = Vec::new();
    for row in rows {
        let Some(waits) = raced(row).and_then(|race| race.lock_wait.as_ref()) else {
            continue;
        };
        let mut cells = name_cells(view, row);
        cells.push(Cell::new(format::count(u64::from(row.result.threads))));
        match waits {
            Known::Counted(LockWait {
                waited_ns,
                waits,
                of_ns,
            }) => cells.extend([
                Cell::new(format::share(*waited_ns, *of_ns)),
                Cell::new(format::count(*waits)),
            ]),
            Known::Unavailable { unavailable } => {
                let mark = reasons.mark(unavailable, "waits for locks");
                cells.extend((0..2).map(|_| Cell::muted(format!("n/a [{mark}]"))));
            }
        }
        lines.push(cells);
    }
    let mut columns = name_columns(view);
    columns.extend(["threads", "share of their time", "waits"].map(Column::numbers));
    let mut notes = vec![
        "Counted by the tracepoints lock:contention_begin and lock:contention_end, in trials of their own. A spin lock’s \
         first waiter on bare metal does not pass them, so with two threads there it is a lower bound."
            .to_string(),
    ];
    notes.extend(reasons.notes(true));
    (!lines.is_empty()).then(|| Table {
        caption: "Sweeps: waiting for locks in the kernel".into(),
        columns: columns.into_iter().map(Column::full_only).collect(),
        rows: lines,
        notes,
        prose: false,
    })
}

/// How far apart the threads arrived, and what waiting for each other costs.
fn meetings(view: &View, rows: &[&CaseRow]) -> Option<Table> {
    let lines: Vec<Vec<Cell>> = rows
        .iter()
        .filter_map(|row| {
            let met = row.result.rendezvous.as_ref()?;
            let Latency {
                count, p50, p99, ..
            } = met.arrival;
            let mut cells = name_cells(view, row);
            cells.extend(match count {
                0 => ["–"; 2].map(Cell::muted),
                _ => [p50, p99].map(|n| Cell::new(format::count(n))),
            });
            cells.push(Cell::new(format::count(met.missed)));
            cells.push(match met.cost_ns {
                Some(cost) => Cell::new(format::figure(cost)),
                None => Cell::muted("–"),
            });
            Some(cells)
        })
        .collect();
    let mut columns = name_columns(view);
    columns.extend(
        [
            "apart p50",
            "apart p99",
            "deadlines missed",
            "cost of a page",
        ]
        .map(Column::numbers),
    );
    (!lines.is_empty()).then(|| Table {
        caption: "Races: how the threads met, in ns".into(),
        columns: columns.into_iter().map(Column::full_only).collect(),
        rows: lines,
        notes: vec![
            "“Apart” is how far from each other the first two threads began to act, beyond the skew asked for; the cost is \
             what a page takes when nothing faults, which is the rendezvous itself."
                .into(),
        ],
        prose: false,
    })
}
