//! One line of a chart.

use crate::report::plot::style::Style;
use crate::stats::interval::Interval;

/// One line of a chart.
#[derive(Clone, Debug)]
pub struct ChartLine {
    /// What the legend calls it.
    pub label: String,
    /// How it is told from the others.
    pub style: Style,
    /// Its points in the axes' coordinates, in drawing order.
    pub points: Vec<(f64, f64)>,
    /// Where its marker is drawn.
    pub marks: Vec<(f64, f64)>,
    /// Intervals: a coordinate across, and the ends of a bar there.
    pub bars: Vec<(f64, Interval)>,
}
