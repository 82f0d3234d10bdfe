//! Charts as PNG files, in the font that the program carries.

use std::io;
use std::path::Path;

use plotters::prelude::*;

use crate::report::plot::Chart;
use crate::report::plot::draw::{self, Layout, Pen, SCALE};
use crate::report::plot::style::INK;

/// Draws the chart on white into a PNG file at `path`, whose name must end in `.png`.
pub fn png(chart: &Chart, path: &Path) -> io::Result<()> {
    super::font();
    let (width, height) = Layout::File.size(chart);
    let area = BitMapBackend::new(path, (width * SCALE, height * SCALE)).into_drawing_area();
    let failed = |reason: String| io::Error::other(reason);
    area.fill(&WHITE).map_err(|e| failed(e.to_string()))?;
    // The backend centres text by more than its letters' height.
    let pen = Pen {
        ink: INK,
        drop: 0.25,
    };
    draw::draw(&area, chart, Layout::File, pen).map_err(|e| failed(e.to_string()))?;
    area.present().map_err(|e| failed(e.to_string()))
}
