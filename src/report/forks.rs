//! Forks beside faults: what the faults took and what the forks took, and what either waited for; one builder of rows for every
//! form.

use crate::record::distribution::Distribution;
use crate::record::known::Known;
use crate::record::latency::Latency;
use crate::record::race::WaitedFor;
use crate::record::schema::{Forks, LockWait, Measured, Raced};
use crate::report::document::{Cell, Column, Table};
use crate::report::format;
use crate::report::section::rows::Reasons;

/// The rows of the races that have forks beside their stores, or are controls of such, each behind the cells that name it.
pub fn table<'a>(
    names: Vec<Column>,
    rows: impl IntoIterator<Item = (Vec<Cell>, &'a Measured)>,
) -> Option<Table> {
    let mut reasons = Reasons::default();
    let mut lines = Vec::new();
    let mut unmet = false;
    let mut unit = None;
    for (mut cells, measured) in rows {
        let Some((race, forks)) = forked(measured) else {
            continue;
        };
        unit.get_or_insert(measured.unit());
        unmet |= is_unmet(forks);
        cells.push(forks_in_time(forks));
        cells.extend(faults(measured));
        cells.extend(figures(&forks.beside, |l| [l.p99, l.max]));
        cells.extend(figures(&forks.took, |l| [l.p50, l.max]));
        cells.push(share(
            race.lock_wait.as_ref(),
            "stores’ waits for locks",
            &mut reasons,
        ));
        for (what, name) in WAITS {
            cells.push(share(forks.fork_waits.get(&what), name, &mut reasons));
        }
        lines.push(cells);
    }
    let unit = unit?;
    let mut columns = names;
    columns.push(Column::numbers("forks"));
    columns.extend(["fault p50", "p99", "p99.9", "max"].map(Column::numbers));
    columns.extend(["beside a fork p99", "max"].map(Column::numbers));
    columns.extend(["fork p50", "max"].map(Column::numbers));
    columns.push(Column::numbers("faults wait"));
    columns.extend(["fork waits", "mmap lock", "VMA locks"].map(Column::numbers));
    let mut notes = vec![
        "“Forks” are those that fell into the time in which the threads stored, which is beside it. “Beside a fork” are the stores \
         that one overlapped; a fork’s time ends where it has returned in the parent. Waits are shares of the threads’ time, and of \
         the time of forks, in trials of their own: for any lock that lock:contention_begin knows, and of it, or besides, for the \
         mmap lock and in __vma_start_write()."
            .to_string(),
    ];
    if unmet {
        notes.push(
            "Where no fork fell into that time, the row is no measurement of its rate: more --trials make it longer."
                .into(),
        );
    }
    notes.extend(reasons.notes(true));
    Some(Table {
        caption: format!("Forks beside faults, in {}", unit.label()),
        columns,
        rows: lines,
        notes,
        prose: false,
    })
}

/// What a fork is watched for.
const WAITS: [(WaitedFor, &str); 3] = [
    (WaitedFor::Locks, "forks’ waits for locks"),
    (WaitedFor::MmapLock, "forks’ waits for the mmap lock"),
    (WaitedFor::VmaLock, "forks’ waits for VMA locks"),
];

fn forked(measured: &Measured) -> Option<(&Raced, &Forks)> {
    let race = measured.race.as_ref()?;
    Some((race, race.forks.as_ref()?))
}

/// Whether forks were asked for and none fell into the time of the stores.
pub fn is_unmet(forks: &Forks) -> bool {
    forks.per_second > 0 && forks.took.count == 0
}

fn forks_in_time(forks: &Forks) -> Cell {
    let text = format!(
        "{} in {:.2} s",
        format::count(forks.took.count),
        forks.window_ns as f64 / 1e9
    );
    match is_unmet(forks) {
        true => Cell::warn(text),
        false => Cell::new(text),
    }
}

/// The faults whatever they came to.
fn faults(measured: &Measured) -> Vec<Cell> {
    let mut all = Distribution::new(measured.unit());
    let added = measured.latency.values().try_for_each(|one| all.add(one));
    match added {
        Ok(()) => figures(&all.latency(), |l| [l.p50, l.p99, l.p999, l.max]),
        // Whoever reads the file has refused it.
        Err(_) => figures_missing(4),
    }
}

fn figures<const N: usize>(latency: &Latency, of: fn(&Latency) -> [u64; N]) -> Vec<Cell> {
    match latency.count {
        0 => figures_missing(N),
        _ => of(latency).map(|n| Cell::new(format::count(n))).into(),
    }
}

fn figures_missing(columns: usize) -> Vec<Cell> {
    vec![Cell::muted("–"); columns]
}

fn share(waits: Option<&Known<LockWait>>, name: &str, reasons: &mut Reasons) -> Cell {
    match waits {
        Some(Known::Counted(LockWait { of_ns: 0, .. })) | None => Cell::muted("–"),
        Some(Known::Counted(LockWait {
            waited_ns, of_ns, ..
        })) => Cell::new(format::share(*waited_ns, *of_ns)),
        Some(Known::Unavailable { unavailable }) => {
            Cell::muted(format!("n/a [{}]", reasons.mark(unavailable, name)))
        }
    }
}
