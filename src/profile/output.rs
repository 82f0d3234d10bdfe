//! What a profile leaves in its folder.

use std::path::Path as FilePath;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;

use super::document::{PathSource, ProfileDocument};
use super::page::{Drawings, page};
use super::stacks::{Title, differential, differential_graph, flame_graph, folded};
use super::text::{self, Detail, unit};
use crate::report::document::Drawing;
use crate::report::error::{ReportError, Written};
use crate::report::export::html;
use crate::report::files::Staging;
use crate::report::format::slug;

/// Writes index.html, profile.json, path.txt, and for each kernel its folded stacks and its flame
/// graphs; for each difference a differential flame graph and the stacks that it is made of.
///
/// # Errors
/// If a file cannot be written.
pub fn write(document: &ProfileDocument, out: &FilePath) -> Result<Written, ReportError> {
    let mut files = Staging::new(out)?;
    let json = serde_json::to_vec_pretty(document).unwrap_or_default();
    files.write("", "profile", "json", json)?;
    files.write("", "path", "txt", text::document(document, Detail::ALL))?;
    let mut drawings = Vec::new();
    let mut stacks = Vec::new();
    for profile in &document.profiles {
        let lines = profile.usual().map(folded).unwrap_or_default();
        let label = slug(&profile.kernel.label);
        files.write("", &label, "folded", &lines)?;
        let headline = format!("{} on {}", document.scenario, profile.kernel.label);
        let stepped = matches!(profile.evidence, PathSource::Stepped(_));
        let kinds = [(true, "in the order of execution"), (false, "by caller")];
        for (in_order, how) in kinds
            .into_iter()
            .filter(|(in_order, _)| stepped || !in_order)
        {
            if lines.is_empty() {
                // A store that did not fault has no path.
                continue;
            }
            let unit = unit(&profile.evidence);
            let svg = flame_graph(
                &lines,
                &Title {
                    title: &headline,
                    subtitle: &format!("{unit} {how}"),
                    unit,
                    in_order,
                },
            )?;
            let kind = if in_order { "chart" } else { "flame" };
            files.write("", &format!("{label}.{kind}"), "svg", &svg)?;
            let caption = format!("{headline}: {unit} {how}");
            drawings.push((profile.kernel.label.clone(), framed(caption, &svg)));
        }
        stacks.push(lines);
    }
    for (difference, new) in document.differences.iter().zip(stacks.iter().skip(1)) {
        let headline = format!(
            "{}: from {} to {}",
            document.scenario, difference.base, difference.new
        );
        let name = slug(&format!("{}-to-{}", difference.base, difference.new));
        files.write("", &name, "folded", differential(&stacks[0], new)?)?;
        let svg = differential_graph(
            &stacks[0],
            new,
            &Title {
                title: &headline,
                subtitle: "as wide as the new path; red: more instructions, blue: fewer",
                unit: "instructions",
                in_order: false,
            },
        )?;
        files.write("", &format!("{name}.flame"), "svg", &svg)?;
        let caption = format!(
            "{headline}; as wide as the new path, red where it takes more, blue where fewer"
        );
        let of = format!("{} {}", difference.base, difference.new);
        drawings.push((of, framed(caption, &svg)));
    }
    let page = page(document, &Drawings { all: drawings });
    files.write("", "index", "html", html::page(&page)?)?;
    files.publish()
}

/// A drawing in a frame as high as it says that it is.
fn framed(caption: String, svg: &str) -> Drawing {
    let height = svg
        .split(" height=\"")
        .nth(1)
        .and_then(|rest| rest.split('"').next())
        .and_then(|height| height.parse().ok());
    Drawing {
        caption,
        height: height.unwrap_or(600),
        data: STANDARD.encode(svg),
    }
}
