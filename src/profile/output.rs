//! What a profile leaves in its folder.

use std::path::Path as FilePath;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;

use super::document::{PathDifference, PathSource, Profile, ProfileDocument};
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
    // What files say must not move a terminal's cursor.
    let text = text::document(document, Detail::ALL);
    let text = text.replace(|c: char| c.is_control() && c != '\n', " ");
    files.write("", "path", "txt", text)?;
    let mut drawings = Drawings::default();
    let mut stacks = Vec::new();
    for profile in &document.profiles {
        let lines = profile.usual().map(folded).unwrap_or_default();
        let drawn = write_kernel(&mut files, &document.scenario, profile, &lines)?;
        drawings.kernels.push(drawn);
        stacks.push((&profile.kernel.label, lines));
    }
    for difference in &document.differences {
        let of = |label: &String| stacks.iter().find(|(of, _)| *of == label);
        let both = of(&difference.base).zip(of(&difference.new));
        // Of stores that did not fault there is nothing to set against each other.
        let both = both.filter(|((_, base), (_, new))| !base.is_empty() && !new.is_empty());
        drawings.differences.push(match both {
            Some(((_, base), (_, new))) => {
                let stacks = (base.as_str(), new.as_str());
                Some(write_difference(
                    &mut files,
                    &document.scenario,
                    difference,
                    stacks,
                )?)
            }
            None => None,
        });
    }
    let page = page(document, &drawings);
    files.write("", "index", "html", html::page(&page)?)?;
    files.publish()
}

/// Writes one kernel's folded stacks and flame graphs.
fn write_kernel(
    files: &mut Staging,
    scenario: &str,
    profile: &Profile,
    lines: &str,
) -> Result<Vec<Drawing>, ReportError> {
    let label = slug(&profile.kernel.label);
    files.write("", &label, "folded", lines)?;
    let mut drawings = Vec::new();
    if lines.is_empty() {
        // A store that did not fault has no path.
        return Ok(drawings);
    }
    let headline = shown(&format!("{scenario} on {}", profile.kernel.label));
    let stepped = matches!(profile.evidence, PathSource::Stepped(_));
    let kinds = [
        ("chart", true, "in the order of execution"),
        ("flame", false, "by caller"),
    ];
    for (kind, in_order, how) in kinds {
        if in_order && !stepped {
            continue;
        }
        let unit = unit(&profile.evidence);
        let title = Title {
            title: &headline,
            subtitle: &format!("{unit} {how}"),
            unit,
            in_order,
        };
        let svg = flame_graph(lines, &title)?;
        files.write("", &format!("{label}.{kind}"), "svg", &svg)?;
        drawings.push(framed(format!("{headline}: {unit} {how}"), &svg));
    }
    Ok(drawings)
}

/// Writes two kernels' differential flame graph and the stacks that it is made of.
fn write_difference(
    files: &mut Staging,
    scenario: &str,
    difference: &PathDifference,
    (base, new): (&str, &str),
) -> Result<Drawing, ReportError> {
    let headline = shown(&format!(
        "{scenario}: from {} to {}",
        difference.base, difference.new
    ));
    let name = slug(&format!("{}-to-{}", difference.base, difference.new));
    files.write("", &name, "folded", differential(base, new)?)?;
    let title = Title {
        title: &headline,
        subtitle: "as wide as the new path; red: more instructions, blue: fewer",
        unit: "instructions",
        in_order: false,
    };
    let svg = differential_graph(base, new, &title)?;
    files.write("", &format!("{name}.flame"), "svg", &svg)?;
    let caption =
        format!("{headline}; as wide as the new path, red where it takes more, blue where fewer");
    Ok(framed(caption, &svg))
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

/// Text that a drawing can hold.
fn shown(text: &str) -> String {
    text.replace(char::is_control, " ")
}
