//! `data/repetitions.bench`: every repetition in Go's benchmark format, for benchstat and what else reads it.

use crate::compare::options::Statistic;
use crate::compare::side::Side;
use crate::report::compare::go_benchmarks;
use crate::report::document::Document;
use crate::report::error::ReportError;
use crate::report::files::Staging;
use crate::report::view::View;

pub fn export(view: &View, _: &Document, files: &mut Staging) -> Result<(), ReportError> {
    let sides: Vec<(&str, Side)> = view
        .runs
        .iter()
        .map(|run| {
            let mut side = Side::default();
            side.add(run.file);
            (run.label.as_str(), side)
        })
        .collect();
    let sides: Vec<(&str, &Side)> = sides.iter().map(|(label, side)| (*label, side)).collect();
    let text = go_benchmarks("run", &sides, &Statistic::ALL);
    files.write("data", "repetitions", "bench", text)
}
