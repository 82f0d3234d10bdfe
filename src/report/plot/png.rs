//! Charts as PNG, in the font that the program carries.

use plotters::prelude::*;

use crate::report::error::ReportError;
use crate::report::plot::Chart;
use crate::report::plot::draw::{self, Layout, Pen, SCALE};
use crate::report::plot::font::font;
use crate::report::plot::style::INK;

/// The chart on white, as the content of a PNG file.
pub fn png(chart: &Chart) -> Result<Vec<u8>, ReportError> {
    font();
    let failed = |reason: String| ReportError::Plot {
        plot: chart.name.clone(),
        reason,
    };
    let (width, height) = Layout::File.size(chart);
    let (width, height) = (width * SCALE, height * SCALE);
    let mut pixels = vec![0; (width * height * 3) as usize];
    {
        let area = BitMapBackend::with_buffer(&mut pixels, (width, height)).into_drawing_area();
        // The backend centres text by more than its letters' height.
        let pen = Pen {
            ink: INK,
            drop: 0.25,
        };
        area.fill(&WHITE).map_err(|e| failed(e.to_string()))?;
        draw::draw(&area, chart, Layout::File, pen).map_err(|e| failed(e.to_string()))?;
        area.present().map_err(|e| failed(e.to_string()))?;
    }
    packed(&pixels, width, height).map_err(|e| failed(e.to_string()))
}

fn packed(pixels: &[u8], width: u32, height: u32) -> Result<Vec<u8>, png::EncodingError> {
    let mut file = Vec::new();
    let mut encoder = png::Encoder::new(&mut file, width, height);
    encoder.set_color(png::ColorType::Rgb);
    // Most rows of a plot repeat the row above.
    encoder.set_filter(png::FilterType::Up);
    encoder.set_compression(png::Compression::Default);
    encoder.write_header()?.write_image_data(pixels)?;
    Ok(file)
}
