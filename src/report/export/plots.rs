//! `plots/*.svg` and, with the feature `png`, `plots/*.png`.

use crate::report::ReportError;
use crate::report::document::{Block, Document};
use crate::report::files::Staging;
use crate::report::plot::draw::Layout;
use crate::report::plot::{Chart, svg};
use crate::report::view::View;

pub fn export(_: &View, document: &Document, files: &mut Staging) -> Result<(), ReportError> {
    for block in document.sections.iter().flat_map(|s| &s.blocks) {
        if let Block::Figure(chart) = block {
            files.write("plots", &chart.name, "svg", svg::svg(chart, Layout::File)?)?;
            png(chart, files)?;
        }
    }
    Ok(())
}

#[cfg(feature = "png")]
fn png(chart: &Chart, files: &mut Staging) -> Result<(), ReportError> {
    let content = crate::report::plot::png::png(chart)?;
    files.write("plots", &chart.name, "png", content)
}

#[cfg(not(feature = "png"))]
fn png(_: &Chart, _: &mut Staging) -> Result<(), ReportError> {
    Ok(())
}
