//! Sweeps in the report: for each race every interleaving, kernel by kernel.

use std::collections::BTreeSet;

use crate::record::moves::RaceVerdict;
use crate::record::progress::Progress;
use crate::record::sweep::Sweep;
use crate::report::document::{Block, Cell, Column, Table};
use crate::report::section::run_name::name;
use crate::report::sweep::{counts, outcome};
use crate::report::view::Run;
use crate::scenario::staged::Staged;
use crate::scenario::staged::catalogue::STAGED;

/// A table for each race that was swept.
pub fn tables(runs: &[&Run]) -> Vec<Block> {
    let tables = STAGED.iter().filter_map(|race| table(race, runs));
    tables.map(Block::Table).collect()
}

/// The sweep of a race in a run.
fn swept<'a>(run: &'a Run, race: &Staged) -> Option<&'a Sweep> {
    let results = run.file.staged.iter().filter(|one| one.scenario == race.id);
    results.filter_map(|one| one.sweep.as_ref()).next()
}

fn table(race: &Staged, runs: &[&Run]) -> Option<Table> {
    let sweeps: Vec<(String, &Sweep)> = runs
        .iter()
        .filter_map(|run| Some((name(run), swept(run, race)?)))
        .collect();
    let (_, first) = sweeps.first()?;
    let all: BTreeSet<&Vec<Progress>> = sweeps
        .iter()
        .flat_map(|(_, sweep)| sweep.played.iter().map(|one| &one.places))
        .collect();
    let rows = all.iter().map(|&places| {
        let places_told = places.iter().map(|place| Cell::new(place.label()));
        let cells = sweeps.iter().map(|(_, sweep)| cell(sweep, places));
        places_told.chain(cells).collect()
    });
    let moves = first.moves.iter().map(Column::words);
    let kernels = sweeps.iter().map(|(kernel, _)| Column::words(kernel));
    let told = sweeps
        .iter()
        .map(|(kernel, sweep)| format!("{kernel}: {}.", counts(sweep)));
    Some(Table {
        caption: format!(
            "{}: every interleaving, by how far thread 1 is at each move",
            race.id
        ),
        columns: moves.chain(kernels).collect(),
        rows: rows.collect(),
        notes: told.collect(),
        prose: false,
    })
}

/// What an interleaving came to.
fn cell(sweep: &Sweep, places: &[Progress]) -> Cell {
    let Some(one) = sweep.played.iter().find(|one| one.places == places) else {
        return Cell::muted("–");
    };
    if one.verdict.is_harm() || one.verdict == RaceVerdict::Lost {
        Cell::warn(outcome(one))
    } else {
        Cell::new(outcome(one))
    }
}
