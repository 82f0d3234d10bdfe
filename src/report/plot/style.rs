//! How lines are told apart: a colour, and a dash pattern and a marker for those who do not see it.

use plotters::style::RGBColor;

/// The channels of one line.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Style {
    /// Index into the palette.
    pub colour: usize,
    /// Index into the dash patterns.
    pub dash: usize,
    /// The marker.
    pub marker: Marker,
}

/// The shape of a marker.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Marker {
    /// ●
    Disc,
    /// ▲
    Up,
    /// ■
    Square,
    /// ◆
    Diamond,
    /// ▼
    Down,
    /// ○
    Ring,
}

/// The text and axes of a plot on white. In SVG it becomes the colour of the text around the plot.
pub const INK: RGBColor = RGBColor(0x1c, 0x1f, 0x23);

/// After Okabe and Ito (Color Universal Design, 2008), darkened where white or lightened where black would swallow
/// it: each has a contrast of at least 3 to 1 on white and on #15181c.
pub const PALETTE: [RGBColor; 6] = [
    RGBColor(0x1b, 0x7f, 0xc4), // blue
    RGBColor(0xd5, 0x5e, 0x00), // vermillion
    RGBColor(0x00, 0x93, 0x6b), // bluish green
    RGBColor(0xb8, 0x60, 0x92), // reddish purple
    RGBColor(0xa8, 0x7b, 0x00), // orange
    RGBColor(0x80, 0x80, 0x80), // grey
];

/// Lengths of dash and gap, in CSS pixels.
const DASHES: [&[f64]; 6] = [
    &[],
    &[8.0, 4.0],
    &[2.5, 3.0],
    &[10.0, 3.0, 2.5, 3.0],
    &[4.0, 2.0],
    &[14.0, 3.0, 2.5, 3.0, 2.5, 3.0],
];

const MARKERS: [Marker; 6] = [
    Marker::Disc,
    Marker::Up,
    Marker::Square,
    Marker::Diamond,
    Marker::Down,
    Marker::Ring,
];

impl Style {
    /// The style of the `n`-th line, different in every channel from its neighbours'.
    pub fn nth(n: usize) -> Style {
        Style {
            colour: n,
            dash: n,
            marker: MARKERS[n % MARKERS.len()],
        }
    }

    /// The style with the dash pattern of the `n`-th line.
    pub fn dashed_as(self, n: usize) -> Style {
        Style { dash: n, ..self }
    }

    /// The colour.
    pub fn rgb(self) -> RGBColor {
        PALETTE[self.colour % PALETTE.len()]
    }

    /// Cuts a polyline in pixels into the dashes of this style, `scale` pixels to a CSS pixel.
    pub fn cut(self, points: &[(i32, i32)], scale: f64) -> Vec<Vec<(i32, i32)>> {
        let pattern = DASHES[self.dash % DASHES.len()];
        if pattern.is_empty() {
            return vec![points.to_vec()];
        }
        let mut pieces = Vec::new();
        let mut piece: Vec<(i32, i32)> = points.first().copied().into_iter().collect();
        let (mut phase, mut left) = (0, pattern[0] * scale);
        for pair in points.windows(2) {
            let (from, to) = (float(pair[0]), float(pair[1]));
            let length = (to.0 - from.0).hypot(to.1 - from.1);
            let mut done = 0.0;
            while length - done > left {
                done += left;
                let share = done / length;
                let cut = (
                    (from.0 + share * (to.0 - from.0)).round() as i32,
                    (from.1 + share * (to.1 - from.1)).round() as i32,
                );
                if phase % 2 == 0 {
                    piece.push(cut);
                    pieces.push(std::mem::take(&mut piece));
                } else {
                    piece = vec![cut];
                }
                phase += 1;
                left = pattern[phase % pattern.len()] * scale;
            }
            left -= length - done;
            if phase % 2 == 0 {
                piece.push(pair[1]);
            }
        }
        if piece.len() > 1 {
            pieces.push(piece);
        }
        pieces
    }
}

fn float((x, y): (i32, i32)) -> (f64, f64) {
    (f64::from(x), f64::from(y))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Relative luminance and contrast as in WCAG 2.
    fn contrast(a: RGBColor, b: RGBColor) -> f64 {
        let luminance = |c: RGBColor| {
            let linear = |v: u8| match f64::from(v) / 255.0 {
                s if s <= 0.04045 => s / 12.92,
                s => ((s + 0.055) / 1.055).powf(2.4),
            };
            0.2126 * linear(c.0) + 0.7152 * linear(c.1) + 0.0722 * linear(c.2)
        };
        let (a, b) = (luminance(a), luminance(b));
        (a.max(b) + 0.05) / (a.min(b) + 0.05)
    }

    #[test]
    fn every_colour_stands_out_on_white_and_on_the_dark_page() {
        for colour in PALETTE {
            for page in [RGBColor(255, 255, 255), RGBColor(0x15, 0x18, 0x1c)] {
                assert!(
                    contrast(colour, page) >= 3.0,
                    "{colour:?} {}",
                    contrast(colour, page)
                );
            }
        }
    }

    #[test]
    fn a_dashed_line_covers_what_its_pattern_says() {
        let style = Style::nth(1); // 8 on, 4 off
        let pieces = style.cut(&[(0, 0), (60, 0), (60, 60)], 1.0);
        assert_eq!(pieces.len(), 10);
        assert_eq!(pieces[0], [(0, 0), (8, 0)]);
        assert_eq!(pieces[5], [(60, 0), (60, 8)]);
    }

    #[test]
    fn a_dash_goes_round_corners() {
        let pieces = Style::nth(1).cut(&[(0, 0), (6, 0), (6, 50)], 1.0);
        assert_eq!(pieces[0], [(0, 0), (6, 0), (6, 2)]);
    }

    #[test]
    fn six_lines_differ_in_every_channel() {
        for a in 0..6 {
            for b in 0..a {
                let (a, b) = (Style::nth(a), Style::nth(b));
                assert!(a.rgb() != b.rgb() && a.dash != b.dash && a.marker != b.marker);
            }
        }
    }
}
