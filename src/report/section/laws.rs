//! What each further one of something adds, where scenarios that are points of a law were run.

use crate::report::document::{Block, Section};
use crate::report::error::ReportError;
use crate::report::laws;
use crate::report::view::View;

pub fn sections(view: &View) -> Result<Vec<Section>, ReportError> {
    let table = laws::table(view).map(|table| {
        Section::new(
            "laws",
            "What each further one adds",
            vec![Block::Table(table)],
        )
    });
    Ok(table.into_iter().collect())
}
