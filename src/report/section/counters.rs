//! What was counted of a group of scenarios: the PMU's events and the kernel's, and what is read off two of them.

use std::collections::BTreeSet;

use crate::record::schema::{Counter, EventCount};
use crate::report::document::{Block, Cell, Column, Table};
use crate::report::format;
use crate::report::section::rows::{Reasons, name_cells, name_columns};
use crate::report::view::{Group, View};

/// A table of the PMU's counters and one of the kernel's, those that any row has. Counters that no row could have stand
/// in the notes only.
pub(super) fn tables(view: &View, group: &Group) -> Vec<Block> {
    let what = [
        (
            true,
            "hardware events per store, kernel side, each group from a pass of its own",
        ),
        (false, "events per store, from a separate counting pass"),
    ];
    let tables = what.map(|(hardware, what)| counter_table(view, group, hardware, what));
    tables.into_iter().flatten().collect()
}

/// What is read off two counters of one group: the column, the counter above and the one below, and whether in percent.
const DERIVED: [(&str, &str, &str, bool); 8] = [
    (
        "instructions per cycle",
        "instructions:k",
        "cycles:k",
        false,
    ),
    (
        "front end stalled",
        "stalled-cycles-frontend:k",
        "cycles:k",
        true,
    ),
    (
        "back end stalled",
        "stalled-cycles-backend:k",
        "cycles:k",
        true,
    ),
    ("branches missed", "branch-misses:k", "branches:k", true),
    ("slots retiring", "topdown-retiring:k", "slots:k", true),
    (
        "slots of bad speculation",
        "topdown-bad-spec:k",
        "slots:k",
        true,
    ),
    (
        "slots front-end bound",
        "topdown-fe-bound:k",
        "slots:k",
        true,
    ),
    (
        "slots back-end bound",
        "topdown-be-bound:k",
        "slots:k",
        true,
    ),
];

fn counter_table(view: &View, group: &Group, hardware: bool, what: &str) -> Option<Block> {
    let (mut reasons, mut never) = (Reasons::default(), Reasons::default());
    let counted = |name: &str| {
        let counters = group
            .rows
            .iter()
            .filter_map(|r| r.result.counters.get(name));
        counters.clone().any(|c| c.counted().is_some())
    };
    let all = group.rows.iter().flat_map(|r| r.result.counters.keys());
    let all: BTreeSet<&str> = all
        .map(String::as_str)
        .filter(|name| name.ends_with(":k") == hardware)
        .collect();
    let names: Vec<&str> = all.iter().copied().filter(|name| counted(name)).collect();
    let derived = DERIVED
        .iter()
        .filter(|(_, above, below, _)| names.contains(above) && names.contains(below));
    let mut rows = Vec::new();
    for row in (group.rows.iter()).filter(|r| !r.folded && !r.result.counters.is_empty()) {
        let counters = &row.result.counters;
        let mut cells = name_cells(view, row);
        for (_, above, below, percent) in derived.clone() {
            cells.push(derived_cell(
                counters.get(*above),
                counters.get(*below),
                *percent,
            ));
        }
        for name in &names {
            cells.push(match counters.get(*name) {
                Some(counter) => counter_cell(name, counter, &mut reasons),
                None => Cell::muted("–"),
            });
        }
        for name in all.iter().filter(|name| !names.contains(name)) {
            if let Some(Counter::Unavailable { unavailable }) = counters.get(*name) {
                never.mark(unavailable, name);
            }
        }
        rows.push(cells);
    }
    if rows.is_empty() || all.is_empty() {
        return None;
    }
    if names.is_empty() {
        return Some(Block::text(never.notes(false).join(" ")));
    }
    let window = window_cost(view, &names);
    let mut columns = name_columns(view);
    columns.extend(derived.map(|(name, ..)| Column::numbers(*name)));
    columns.extend(names.iter().map(|name| Column::numbers(*name)));
    let columns = columns.into_iter().map(Column::full_only).collect();
    Some(Block::Table(Table {
        caption: format!("{}: {what}", group.name),
        columns,
        rows,
        notes: reasons
            .notes(true)
            .into_iter()
            .chain(never.notes(false))
            .chain([window])
            .collect(),
        prose: false,
    }))
}

/// The scenario whose stores do not fault: what is counted in its trials is the counting window and the stores themselves.
const CONTROL: &str = "control/no-fault";

/// What the counting window itself adds to a trial, by the scenario whose stores do not fault.
fn window_cost(view: &View, names: &[&str]) -> String {
    let mut rows = view.groups.iter().flat_map(|group| &group.rows);
    let per_trial = |counter: &Counter| {
        let counted = counter.counted()?;
        let ran = counted.running_ns as f64 / counted.enabled_ns.max(1) as f64;
        Some(counted.value as f64 / ran / counted.processes.filter(|&n| n > 0)? as f64)
    };
    let costs = rows.find_map(|row| {
        let named = |name: &&str| {
            let cost = per_trial(row.result.counters.get(*name)?)?;
            Some(format!("{name} {}", format::figure(cost)))
        };
        let control = row.result.scenario == CONTROL;
        let costs: Vec<String> = names.iter().filter(|_| control).filter_map(named).collect();
        (!costs.is_empty()).then(|| (costs.join(", "), row.result.pages))
    });
    match costs {
        Some((costs, pages)) => format!(
            "The window itself, with {} stores that do not fault ({CONTROL}), adds to a trial: {costs}. It is not subtracted.",
            format::count(pages.into())
        ),
        None => format!("What the window itself adds is not known: {CONTROL} was not counted."),
    }
}

/// The ratio of two counters that ran together; of others there is none.
fn derived_cell(above: Option<&Counter>, below: Option<&Counter>, percent: bool) -> Cell {
    let ran = |counter: Option<&Counter>| match counter {
        Some(&Counter::Counted(EventCount {
            value,
            enabled_ns,
            running_ns,
            ..
        })) => Some((value, (enabled_ns, running_ns))),
        _ => None,
    };
    match (ran(above), ran(below)) {
        (Some((above, together)), Some((below, when))) if together == when && below > 0 => {
            Cell::new(match percent {
                true => format::share(above, below),
                false => format!("{:.2}", above as f64 / below as f64),
            })
        }
        _ => Cell::muted("–"),
    }
}

fn counter_cell(name: &str, counter: &Counter, reasons: &mut Reasons) -> Cell {
    match *counter {
        Counter::Unavailable { ref unavailable } => {
            Cell::muted(format!("n/a [{}]", reasons.mark(unavailable, name)))
        }
        Counter::Counted(EventCount { running_ns: 0, .. }) => Cell::muted(format!(
            "n/a [{}]",
            reasons.mark("it was never scheduled", name)
        )),
        Counter::Counted(EventCount {
            per_fault,
            enabled_ns,
            running_ns,
            ..
        }) => {
            let text = format::figure(per_fault);
            if (running_ns as f64) < 0.99 * enabled_ns as f64 {
                let ran = format::share(running_ns, enabled_ns);
                Cell::new(format!("{text} (ran {ran} of the time)"))
            } else {
                Cell::new(text)
            }
        }
    }
}
