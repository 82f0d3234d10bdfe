//! The forms in which a report is written.

mod hgrm;
mod html;
mod markdown;
mod plots;

use crate::report::ReportError;
use crate::report::document::Document;
use crate::report::files::Staging;
use crate::report::view::View;

/// Writes the report in one form.
pub type Export = fn(&View, &Document, &mut Staging) -> Result<(), ReportError>;

/// Every form.
pub const EXPORTS: &[Export] = &[html::export, markdown::export, plots::export, hgrm::export];
