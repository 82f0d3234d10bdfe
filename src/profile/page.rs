//! `index.html`: a profile as one page that needs nothing else.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use minijinja::syntax::SyntaxConfig;
use minijinja::value::Serde;
use minijinja::{Environment, UndefinedBehavior, context};
use serde::Serialize;

use super::document::{Path, PathDifference, ProfileDocument};
use super::text;
use crate::report::error::ReportError;
use crate::report::format::{count, share};

const PAGE: &str = include_str!("page.html");
const STYLE: &str = concat!(
    include_str!("../report/export/page.css"),
    include_str!("page.css")
);

/// A flame graph of the page.
pub struct Drawing {
    /// The label of its kernel, or both.
    pub of: String,
    /// What it shows.
    pub caption: String,
    /// The drawing.
    pub svg: String,
}

/// A drawing as it stands in the page: in a frame of its own, so that its script sees only itself.
#[derive(Serialize)]
struct Framed<'a> {
    of: &'a str,
    caption: &'a str,
    height: u32,
    data: String,
}

impl<'a> Framed<'a> {
    fn new(drawing: &'a Drawing) -> Self {
        let height = drawing
            .svg
            .split(" height=\"")
            .nth(1)
            .and_then(|rest| rest.split('"').next())
            .and_then(|height| height.parse().ok());
        Self {
            of: &drawing.of,
            caption: &drawing.caption,
            height: height.unwrap_or(600),
            data: STANDARD.encode(&drawing.svg),
        }
    }
}

/// The page.
///
/// # Errors
/// If the template is wrong, which is a bug.
pub fn page(document: &ProfileDocument, drawings: &[Drawing]) -> Result<String, ReportError> {
    let mut environment = Environment::new();
    environment.set_undefined_behavior(UndefinedBehavior::Strict);
    environment.set_syntax(
        SyntaxConfig::builder()
            .trim_blocks(true)
            .lstrip_blocks(true)
            .build()?,
    );
    environment.add_filter("thousands", count);
    environment.add_filter("share", share);
    environment.add_template("page.html", PAGE)?;
    let headlines: Vec<Vec<String>> = document.profiles.iter().map(text::headlines).collect();
    let divergences: Vec<Vec<String>> = document
        .profiles
        .iter()
        .map(|profile| {
            let rarer = profile.paths.iter().skip(1);
            rarer
                .map(|path: &Path| text::parts(profile, path))
                .collect()
        })
        .collect();
    let units: Vec<&str> = document
        .profiles
        .iter()
        .map(|profile| text::unit(&profile.evidence))
        .collect();
    let differences: Vec<Vec<(String, &str, String)>> =
        document.differences.iter().map(rows).collect();
    let parted: Vec<String> = document
        .differences
        .iter()
        .map(|it| match &it.divergence {
            Some(divergence) => crate::profile::words::divergence(divergence, &it.base, &it.new),
            None => "both enter the same functions in the same order".into(),
        })
        .collect();
    let drawings: Vec<Framed> = drawings.iter().map(Framed::new).collect();
    let page = environment.get_template("page.html")?.render(context! {
        document => Serde(document),
        headlines => Serde(headlines),
        divergences => Serde(divergences),
        units => Serde(units),
        changes => Serde(differences),
        parted => Serde(parted),
        drawings => Serde(drawings),
        style => STYLE,
        version => env!("CARGO_PKG_VERSION"),
    })?;
    Ok(page)
}

/// For each function of a difference its name, what became of it, and the change in instructions.
fn rows(difference: &PathDifference) -> Vec<(String, &'static str, String)> {
    let functions = difference.functions.iter();
    functions
        .map(|changed| {
            let [base, new] = changed.own.instructions();
            (
                changed.name.clone(),
                crate::profile::words::word(&changed.own),
                crate::profile::words::change(base, new),
            )
        })
        .collect()
}
