//! `data/results.ktap`: whether each case kept its data and came to what is predicted, as KTAP 1.

use crate::report::document::Document;
use crate::report::error::ReportError;
use crate::report::files::Staging;
use crate::report::tested;
use crate::report::view::View;

pub fn export(view: &View, _: &Document, files: &mut Staging) -> Result<(), ReportError> {
    files.write(
        "data",
        "results",
        "ktap",
        tested::ktap(&tested::of_view(view)),
    )
}
