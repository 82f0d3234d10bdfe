//! `plots/*.svg` and, with the feature `png`, `plots/*.png`.

use std::panic::resume_unwind;
use std::thread;

use crate::report::document::{Block, Document};
use crate::report::error::ReportError;
use crate::report::files::Staging;
use crate::report::plot::draw::Layout;
use crate::report::plot::{Chart, svg};
use crate::report::view::View;

/// Draws as many plots at a time as there are CPUs.
pub fn export(_: &View, document: &Document, files: &mut Staging) -> Result<(), ReportError> {
    let blocks = document.sections.iter().flat_map(|s| &s.blocks);
    let charts: Vec<&Chart> = blocks
        .filter_map(|block| match block {
            Block::Figure(chart) => Some(chart),
            _ => None,
        })
        .collect();
    let at_once = thread::available_parallelism()
        .map_or(1, usize::from)
        .min(8);
    for some in charts.chunks(at_once) {
        let drawn: Vec<_> = thread::scope(|scope| {
            let draw = |&chart| scope.spawn(move || draw(chart));
            let drawing: Vec<_> = some.iter().map(draw).collect();
            let joined = drawing.into_iter().map(|drawing| drawing.join());
            joined
                .map(|drawn| drawn.unwrap_or_else(|cause| resume_unwind(cause)))
                .collect()
        });
        for (chart, drawn) in some.iter().zip(drawn) {
            for (extension, content) in drawn? {
                files.write("plots", &chart.name, extension, content)?;
            }
        }
    }
    Ok(())
}

/// A plot's files by their extension.
fn draw(chart: &Chart) -> Result<Vec<(&'static str, Vec<u8>)>, ReportError> {
    let svg = svg::svg(chart, Layout::File)?;
    Ok(vec![
        ("svg", svg.into_bytes()),
        #[cfg(feature = "png")]
        ("png", crate::report::plot::png::png(chart)?),
    ])
}
