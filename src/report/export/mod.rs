//! The forms in which a report is written.

mod csv;
mod go;
mod hgrm;
mod hlog;
mod ktap;
pub mod html;
pub mod markdown;
mod openmetrics;
mod plots;

use crate::report::document::Document;
use crate::report::error::ReportError;
use crate::report::files::Staging;
use crate::report::view::View;

/// Writes the report in one form.
pub type Export = fn(&View, &Document, &mut Staging) -> Result<(), ReportError>;

/// Every form.
pub const EXPORTS: &[Export] = &[
    html::export,
    markdown::export,
    plots::export,
    hgrm::export,
    data,
];

/// The figures for other programs; none where nothing was measured.
fn data(view: &View, document: &Document, files: &mut Staging) -> Result<(), ReportError> {
    if view.groups.is_empty() {
        return Ok(());
    }
    for export in [
        csv::export,
        hlog::export,
        go::export,
        ktap::export,
        openmetrics::export,
    ] {
        export(view, document, files)?;
    }
    Ok(())
}
