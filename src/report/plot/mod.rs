//! Charts as data, ready to be drawn: axes with their ticks, lines with their styles.

pub mod axis;
pub mod chart;
pub mod data;
pub mod draw;
#[cfg(feature = "png")]
pub mod png;
pub mod race;
pub mod style;
pub mod svg;

use serde::Serialize;

use crate::report::plot::axis::Axis;
use crate::report::plot::data::Data;
use crate::report::plot::style::Style;

/// A chart.
#[derive(Clone, Debug, Serialize)]
pub struct Chart {
    /// Stem of its files and its anchor; a [slug](crate::report::format::slug), unique in a report.
    pub name: String,
    /// What it shows, in one line.
    pub title: String,
    /// What it shows, for those who cannot see it.
    pub description: String,
    /// How to read it, in one sentence.
    pub reading: String,
    /// The horizontal axis.
    #[serde(skip)]
    pub x: Axis,
    /// The vertical axis.
    #[serde(skip)]
    pub y: Axis,
    /// What is drawn.
    #[serde(skip)]
    pub lines: Vec<Line>,
    /// The figures behind it.
    #[serde(skip)]
    pub data: Data,
}

/// One line of a chart.
#[derive(Clone, Debug)]
pub struct Line {
    /// What the legend calls it.
    pub label: String,
    /// How it is told from the others.
    pub style: Style,
    /// Its points in the axes' coordinates, in drawing order.
    pub points: Vec<(f64, f64)>,
    /// Where its marker is drawn.
    pub marks: Vec<(f64, f64)>,
    /// Intervals: a coordinate across, and the lower and upper ends of a bar there.
    pub bars: Vec<(f64, f64, f64)>,
}

/// Makes the font that the program carries known to the plotting library, which then measures text by it.
#[cfg(feature = "png")]
pub fn font() {
    static REGISTERED: std::sync::Once = std::sync::Once::new();
    REGISTERED.call_once(|| {
        let font = include_bytes!("../../../assets/font/DejaVuSans-subset.ttf");
        // A refusal would show as an error of the first plot's text.
        let _ =
            plotters::style::register_font("sans-serif", plotters::style::FontStyle::Normal, font);
    });
}

/// Without PNG the plotting library estimates the width of text and needs no font.
#[cfg(not(feature = "png"))]
pub fn font() {}
