//! `index.html`: one file that needs nothing else, for a screen, a phone and paper.

use std::collections::BTreeMap;

use minijinja::syntax::SyntaxConfig;
use minijinja::value::Serde;
use minijinja::{Environment, UndefinedBehavior, context};
use serde::Serialize;

use crate::report::document::{Block, Document};
use crate::report::error::ReportError;
use crate::report::files::Staging;
use crate::report::plot::draw::Layout;
use crate::report::plot::svg;
use crate::report::view::View;

const PAGE: &str = include_str!("page.html");
/// Hides rows that do not hold the words looked for, and reads values off a figure; without it everything is there.
const SCRIPT: &str = include_str!("page.js");
const STYLE: &str = include_str!("page.css");

/// A chart as it stands in the page: one drawing for wide screens and paper, one for phones, and its data.
#[derive(Serialize)]
struct ChartDrawings {
    wide: String,
    narrow: String,
    data: String,
    scale: &'static str,
    last: usize,
}

/// Writes `index.html`.
///
/// # Errors
/// Those of [`page`], or if it cannot be written.
pub fn export(_: &View, document: &Document, files: &mut Staging) -> Result<(), ReportError> {
    files.write("", "index", "html", page(document)?)
}

/// The document as a page.
///
/// # Errors
/// If a plot cannot be drawn, or the template is wrong, which is a bug.
pub fn page(document: &Document) -> Result<String, ReportError> {
    let mut drawings: BTreeMap<&str, ChartDrawings> = BTreeMap::new();
    for block in document.sections.iter().flat_map(|s| &s.blocks) {
        if let Block::Figure(chart) = block {
            let [wide, narrow] = [Layout::Wide, Layout::Narrow].map(|l| svg::svg(chart, l));
            drawings.insert(
                &chart.name,
                ChartDrawings {
                    wide: wide?,
                    narrow: narrow?,
                    data: chart.data.uri(),
                    scale: chart.data.scale.label(),
                    last: chart.data.rows.len().saturating_sub(1),
                },
            );
        }
    }
    let mut environment = Environment::new();
    environment.set_undefined_behavior(UndefinedBehavior::Strict);
    environment.set_syntax(
        SyntaxConfig::builder()
            .trim_blocks(true)
            .lstrip_blocks(true)
            .build()?,
    );
    environment.add_template("page.html", PAGE)?;
    let page = environment.get_template("page.html")?.render(context! {
        document => Serde(document),
        drawings => Serde(drawings),
        style => STYLE,
        script => SCRIPT,
        version => env!("CARGO_PKG_VERSION"),
    })?;
    Ok(page)
}
