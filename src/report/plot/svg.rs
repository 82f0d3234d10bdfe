//! Charts as SVG, for a file of their own or inside a page, in the colours of light and dark.

use std::fmt::Write as _;

use plotters::prelude::*;

use crate::report::error::ReportError;
use crate::report::plot::Chart;
use crate::report::plot::draw::{self, Layout, Pen, SCALE};
use crate::report::plot::font::font;
use crate::report::plot::style::INK;
use crate::stats::interval::Interval;

/// The chart as an `svg` element: named and described for screen readers, its text and axes in the colour of the text
/// around it.
pub fn svg(chart: &Chart, layout: Layout) -> Result<String, ReportError> {
    font();
    let (width, height) = layout.size(chart);
    let mut drawn = String::new();
    let place = {
        let area = SVGBackend::with_string(&mut drawn, (width * SCALE, height * SCALE))
            .into_drawing_area();
        draw::draw(
            &area,
            chart,
            layout,
            Pen {
                ink: INK,
                drop: 0.0,
            },
        )
        .and_then(|place| area.present().map(|()| place))
        .map_err(|e| ReportError::Plot {
            plot: chart.name.clone(),
            reason: e.to_string(),
        })?
    };
    let ink = format!("#{:02X}{:02X}{:02X}", INK.0, INK.1, INK.2);
    let drawn = joined(&drawn.replace(&ink, "currentColor"));
    let body = drawn.split_once('>').map_or("", |(_, rest)| rest);

    let id = format!(
        "{}-{}",
        chart.name,
        if layout == Layout::Narrow {
            "narrow"
        } else {
            "wide"
        }
    );
    let (w, h) = (width * SCALE, height * SCALE);
    let (title, description) = (escaped(&chart.title), escaped(&chart.description));
    let style = if layout == Layout::File { ALONE } else { "" };
    // By which the page's script knows what lies under the pointer.
    let (x, y, Interval { low, high }) = (place.across, place.down, chart.x.shown);
    let place = format!(
        "{} {} {low:.5} {high:.5} {} {}",
        x.start, x.end, y.start, y.end
    );
    Ok(allowed(&format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"{width}\" height=\"{height}\" viewBox=\"0 0 {w} {h}\" \
         data-plot=\"{place}\" role=\"img\" aria-labelledby=\"{id}-t {id}-d\">\n<title id=\"{id}-t\">{title}</title>\n\
         <desc id=\"{id}-d\">{description}</desc>\n{style}{body}"
    )))
}

/// The text without what XML 1.0 has no form for (its production 2, Char): a name may hold anything.
fn allowed(text: &str) -> String {
    let has_form = |c: char| matches!(c, '\t' | '\n' | '\r' | ' '..='\u{d7ff}' | '\u{e000}'..='\u{fffd}' | '\u{10000}'..);
    let shown = |c: char| if has_form(c) { c } else { '\u{fffd}' };
    text.chars().map(shown).collect()
}

/// Colours of a file of its own; inside a page they are the page's.
const ALONE: &str = "<style>svg{color:#1c1f23;background:#fff;font-family:sans-serif}\
    @media(prefers-color-scheme:dark){svg{color:#e4e6e9;background:#15181c}}</style>\n";

/// The drawing with runs of strokes that look alike joined into one path each: a dashed line would otherwise be
/// hundreds of elements.
fn joined(svg: &str) -> String {
    let mut out = String::with_capacity(svg.len() / 2);
    let mut open: Option<&str> = None;
    for line in svg.lines() {
        let stroke = line
            .strip_prefix("<polyline ")
            .and_then(|l| l.strip_suffix(" \"/>"))
            .and_then(|l| l.split_once(" points=\""));
        match (stroke, open) {
            (Some((look, _)), Some(current)) if look == current => {}
            (Some((look, _)), was) => {
                if was.is_some() {
                    out.push_str("\"/>\n");
                }
                let _ = write!(out, "<path {look} d=\"");
                open = Some(look);
            }
            (None, Some(_)) => {
                out.push_str("\"/>\n");
                open = None;
            }
            (None, None) => {}
        }
        match stroke {
            Some((_, points)) => {
                let _ = write!(out, "M{points}");
            }
            None => {
                out.push_str(line);
                out.push('\n');
            }
        }
    }
    out
}

fn escaped(text: &str) -> String {
    text.replace('&', "&amp;")
        .replace('<', "&lt;")
        .replace('>', "&gt;")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dashes_of_one_line_become_one_path() {
        let dash = |look: &str, points: &str| format!("<polyline {look} points=\"{points} \"/>\n");
        let svg = format!(
            "<svg>\n{}{}{}<text/>\n</svg>\n",
            dash("stroke=\"#111111\"", "0,0 4,0"),
            dash("stroke=\"#111111\"", "8,0 12,0"),
            dash("stroke=\"#222222\"", "0,9 4,9"),
        );
        assert_eq!(
            joined(&svg),
            "<svg>\n<path stroke=\"#111111\" d=\"M0,0 4,0M8,0 12,0\"/>\n\
             <path stroke=\"#222222\" d=\"M0,9 4,9\"/>\n<text/>\n</svg>\n"
        );
    }
}
