//! Charts as data, ready to be drawn: axes with their ticks, lines with their styles.

pub mod axis;
pub mod chart;
pub mod data;
pub mod draw;
pub mod font;
pub mod line;
#[cfg(feature = "png")]
pub mod png;
pub mod race;
pub mod style;
pub mod svg;

use serde::Serialize;

use crate::report::plot::axis::Axis;
use crate::report::plot::data::PlotData;
use crate::report::plot::line::ChartLine;

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
    pub lines: Vec<ChartLine>,
    /// The figures behind it.
    #[serde(skip)]
    pub data: PlotData,
}
