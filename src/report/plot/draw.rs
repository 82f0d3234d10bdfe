//! Draws a chart on any of the plotting library's backends.

use std::ops::Range;

use plotters::coord::Shift;
use plotters::prelude::*;
use plotters::style::text_anchor::{HPos, Pos, VPos};

use crate::report::format;
use crate::report::plot::Chart;
use crate::report::plot::line::ChartLine;
use crate::report::plot::style::Marker;

/// Pixels drawn for each CSS pixel, so that curves are smooth and text is sharp on dense screens and on paper.
pub const SCALE: u32 = 2;

/// Longest label that a legend at the right holds.
const LABEL: usize = 29;

/// Size and arrangement of a drawing, in CSS pixels.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Layout {
    /// For a file of its own: with its title, the legend at the right.
    File,
    /// For a page on a wide screen or on paper, which has the title beside it.
    Wide,
    /// For a page on a phone: the legend below.
    Narrow,
}

/// Height of a line of the legend.
const LEGEND_LINE: u32 = 20;
/// Size of all text.
const TEXT: f64 = 12.5;

impl Layout {
    /// Width and height of `chart` in CSS pixels.
    pub fn size(self, chart: &Chart) -> (u32, u32) {
        match self {
            Layout::File => (900, 440 + self.below(chart)),
            Layout::Wide => (900, 400 + self.below(chart)),
            Layout::Narrow => (360, 330 + self.below(chart)),
        }
    }

    /// Width of the legend at the right; 0 where it stands below.
    fn beside(self, chart: &Chart) -> u32 {
        let fits = chart.lines.iter().all(|l| l.label.chars().count() <= LABEL);
        if fits && self != Layout::Narrow {
            250
        } else {
            0
        }
    }

    /// What a legend below adds to the height of a wide drawing.
    fn below(self, chart: &Chart) -> u32 {
        match self.beside(chart) {
            0 => 12 + LEGEND_LINE * chart.lines.len() as u32,
            _ => 0,
        }
    }
}

/// Why a chart could not be drawn, as the plotting library tells it.
pub type DrawError<DB> = DrawingAreaErrorKind<<DB as DrawingBackend>::ErrorType>;

type Canvas<DB> = DrawingArea<DB, Shift>;

/// What text and axes are drawn with.
#[derive(Clone, Copy, Debug)]
pub struct Pen {
    /// Their colour.
    pub ink: RGBColor,
    /// How far below the middle that it was asked for a backend must be told to put text, in sizes of that text.
    pub drop: f64,
}

impl Pen {
    /// Writes `content` of `size` CSS pixels, its vertical middle and its `side` at `(x, y)`.
    fn write<DB: DrawingBackend>(
        self,
        area: &Canvas<DB>,
        content: String,
        size: f64,
        side: HPos,
        (x, y): (i32, i32),
    ) -> Result<(), DrawError<DB>> {
        let style = text(size, self.ink).pos(Pos::new(side, VPos::Center));
        let drop = (self.drop * size * f64::from(SCALE)).round() as i32;
        area.draw(&Text::new(content, (x, y + drop), style))
    }
}

/// Where a drawing shows the coordinates of its axes, in pixels.
#[derive(Clone, Debug)]
pub struct PlotArea {
    /// From the left end of the horizontal axis to its right end.
    pub across: Range<i32>,
    /// From the top of the vertical axis to its bottom.
    pub down: Range<i32>,
}

/// Draws `chart` on an area of [`Layout::size`] times [`SCALE`].
pub fn draw<DB: DrawingBackend>(
    area: &Canvas<DB>,
    chart: &Chart,
    layout: Layout,
    pen: Pen,
) -> Result<PlotArea, DrawError<DB>> {
    let (width, height) = layout.size(chart);
    let top = if layout == Layout::File { 44 } else { 10 };
    let legend = LEGEND_LINE * chart.lines.len() as u32;
    let (right, bottom) = match layout.beside(chart) {
        0 => (18, legend + 12),
        beside => (beside, 4),
    };
    if layout == Layout::File {
        let title = format::shorten(&chart.title, 90);
        pen.write(area, title, 17.0, HPos::Left, px(14, 22))?;
    }
    let place = draw_plot(area, chart, pen, (top, right, bottom))?;

    let (x, y, wide) = match layout.beside(chart) {
        0 => (14, height - legend - 4, width - 14),
        beside => (width - beside + 16, top + 6, beside - 16),
    };
    for (n, line) in chart.lines.iter().enumerate() {
        draw_legend(
            area,
            line,
            pen,
            (x, y + LEGEND_LINE * n as u32 + LEGEND_LINE / 2),
            wide,
        )?;
    }
    Ok(place)
}

/// Axes and lines, within margins at the top, right and bottom.
fn draw_plot<DB: DrawingBackend>(
    area: &Canvas<DB>,
    chart: &Chart,
    pen: Pen,
    (top, right, bottom): (u32, u32, u32),
) -> Result<PlotArea, DrawError<DB>> {
    let mut context = ChartBuilder::on(area)
        .margin_top(top * SCALE)
        .margin_right(right * SCALE)
        .margin_bottom(bottom * SCALE)
        .margin_left(10 * SCALE)
        .x_label_area_size(44 * SCALE)
        .y_label_area_size(66 * SCALE)
        .build_cartesian_2d(chart.x.clone(), chart.y.clone())?;
    let ink = pen.ink;
    context
        .configure_mesh()
        .axis_style(ink.mix(0.55).stroke_width(SCALE))
        .bold_line_style(ink.mix(0.22).stroke_width(SCALE))
        .light_line_style(ink.mix(0.08).stroke_width(SCALE))
        .axis_desc_style(text(TEXT, ink))
        .x_desc(&chart.x.label)
        .y_desc(&chart.y.label)
        .draw()?;
    let (across, down) = context.plotting_area().get_pixel_range();
    let place = PlotArea { across, down };
    let at = |x: f64, y: f64| context.backend_coord(&(x, y));
    write_labels(area, chart, pen, &place, at)?;
    for line in &chart.lines {
        let points: Vec<_> = line.points.iter().map(|&(x, y)| at(x, y)).collect();
        draw_line(area, line, &thinned(&points))?;
        for &(x, bar) in &line.bars {
            draw_bar(area, line, [bar.low, bar.high].map(|y| at(x, y)))?;
        }
        for &(x, y) in &line.marks {
            draw_marker(area, line, at(x, y))?;
        }
    }
    Ok(place)
}

/// The axes' labels, those of the first without the ones that would overlap.
fn write_labels<DB: DrawingBackend>(
    area: &Canvas<DB>,
    chart: &Chart,
    pen: Pen,
    place: &PlotArea,
    at: impl Fn(f64, f64) -> (i32, i32),
) -> Result<(), DrawError<DB>> {
    let mut free = i32::MIN;
    for (coordinate, label) in chart.x.labels() {
        let x = at(coordinate, chart.y.shown.low).0;
        let half = (0.3 * TEXT * f64::from(SCALE) * label.chars().count() as f64) as i32;
        if x - half >= free {
            free = x + half + 6 * SCALE as i32;
            let y = place.down.end + 14 * SCALE as i32;
            pen.write(area, label.into(), TEXT, HPos::Center, (x, y))?;
        }
    }
    for (coordinate, label) in chart.y.labels() {
        let y = at(chart.x.shown.low, coordinate).1;
        let x = place.across.start - 8 * SCALE as i32;
        pen.write(area, label.into(), TEXT, HPos::Right, (x, y))?;
    }
    Ok(())
}

/// A bar from one end to the other, with a stroke across each.
fn draw_bar<DB: DrawingBackend>(
    area: &Canvas<DB>,
    line: &ChartLine,
    ends: [(i32, i32); 2],
) -> Result<(), DrawError<DB>> {
    let stroke = line.style.rgb().stroke_width(SCALE);
    area.draw(&PathElement::new(ends.to_vec(), stroke))?;
    let half = 4 * SCALE as i32;
    for (x, y) in ends {
        let across = vec![(x - half, y), (x + half, y)];
        area.draw(&PathElement::new(across, stroke))?;
    }
    Ok(())
}

fn draw_legend<DB: DrawingBackend>(
    area: &Canvas<DB>,
    line: &ChartLine,
    pen: Pen,
    (x, y): (u32, u32),
    width: u32,
) -> Result<(), DrawError<DB>> {
    let swatch = 34;
    draw_line(area, line, &[px(x, y), px(x + swatch, y)])?;
    draw_marker(area, line, px(x + swatch / 2, y))?;
    let letters = f64::from(width - swatch - 8) / (TEXT * 0.56);
    let label = format::shorten(&line.label, letters as usize);
    pen.write(area, label, TEXT, HPos::Left, px(x + swatch + 8, y))
}

fn draw_line<DB: DrawingBackend>(
    area: &Canvas<DB>,
    line: &ChartLine,
    points: &[(i32, i32)],
) -> Result<(), DrawError<DB>> {
    let stroke = line.style.rgb().stroke_width(2 * SCALE);
    for piece in line.style.cut(points, f64::from(SCALE)) {
        area.draw(&PathElement::new(piece, stroke))?;
    }
    Ok(())
}

fn draw_marker<DB: DrawingBackend>(
    area: &Canvas<DB>,
    line: &ChartLine,
    (x, y): (i32, i32),
) -> Result<(), DrawError<DB>> {
    let r = 5 * SCALE as i32;
    let colour = line.style.rgb();
    let polygon = |corners: &[(i32, i32)]| {
        let corners: Vec<_> = corners.iter().map(|(dx, dy)| (x + dx, y + dy)).collect();
        area.draw(&Polygon::new(corners, colour.filled()))
    };
    match line.style.marker {
        Marker::Disc => area.draw(&Circle::new((x, y), r - 1, colour.filled())),
        Marker::Ring => area.draw(&Circle::new((x, y), r - 2, colour.stroke_width(2 * SCALE))),
        Marker::Square => polygon(&[
            (-r + 1, -r + 1),
            (r - 1, -r + 1),
            (r - 1, r - 1),
            (-r + 1, r - 1),
        ]),
        Marker::Diamond => polygon(&[(0, -r - 1), (r + 1, 0), (0, r + 1), (-r - 1, 0)]),
        Marker::Up => polygon(&[(0, -r - 1), (r, r - 1), (-r, r - 1)]),
        Marker::Down => polygon(&[(0, r + 1), (r, -r + 1), (-r, -r + 1)]),
    }
}

fn px(x: u32, y: u32) -> (i32, i32) {
    ((x * SCALE) as i32, (y * SCALE) as i32)
}

/// Text of `size` CSS pixels; the backends take 1.24 of their size as one em.
fn text(size: f64, ink: RGBColor) -> TextStyle<'static> {
    ("sans-serif", size * 1.24 * f64::from(SCALE))
        .into_font()
        .color(&ink)
}

/// The polyline without the points that change nothing: repeated ones and those within a straight horizontal or
/// vertical stretch.
fn thinned(points: &[(i32, i32)]) -> Vec<(i32, i32)> {
    let mut kept: Vec<(i32, i32)> = Vec::new();
    for &point in points {
        while let [.., a, b] = kept[..] {
            let between = |a: i32, b: i32, c: i32| (a.min(c)..=a.max(c)).contains(&b);
            let straight = (a.0 == b.0 && b.0 == point.0 && between(a.1, b.1, point.1))
                || (a.1 == b.1 && b.1 == point.1 && between(a.0, b.0, point.0));
            if !straight {
                break;
            }
            kept.pop();
        }
        if kept.last() != Some(&point) {
            kept.push(point);
        }
    }
    kept
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn thinning_keeps_every_corner() {
        let points = [
            (0, 0),
            (1, 0),
            (5, 0),
            (5, 0),
            (5, 3),
            (5, 9),
            (5, 4),
            (8, 4),
        ];
        assert_eq!(thinned(&points), [(0, 0), (5, 0), (5, 9), (5, 4), (8, 4)]);
    }
}
