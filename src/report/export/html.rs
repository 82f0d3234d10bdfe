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
struct Drawings {
    wide: String,
    narrow: String,
    data: String,
    scale: &'static str,
    last: usize,
}

pub fn export(view: &View, document: &Document, files: &mut Staging) -> Result<(), ReportError> {
    let mut drawings: BTreeMap<&str, Drawings> = BTreeMap::new();
    for block in document.sections.iter().flat_map(|s| &s.blocks) {
        if let Block::Figure(chart) = block {
            let [wide, narrow] = [Layout::Wide, Layout::Narrow].map(|l| svg::svg(chart, l));
            drawings.insert(
                &chart.name,
                Drawings {
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
    let labels: Vec<&str> = view.runs.iter().map(|r| r.label.as_str()).collect();
    let page = environment.get_template("page.html")?.render(context! {
        document => Serde(document),
        drawings => Serde(drawings),
        labels => Serde(labels),
        style => STYLE,
        script => SCRIPT,
        version => env!("CARGO_PKG_VERSION"),
    })?;
    files.write("", "index", "html", page)
}
