//! The figures behind a chart, to be read off in the page or taken along.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use hdrhistogram::Histogram;

use crate::report::format;
use crate::report::plot::line::ChartLine;
use crate::stats::shape::{Bin, Point, nines, percentile_curve};

/// Rows between two nines of a table of percentiles: each looks 12 % deeper into the tail than the one before.
const STEPS_PER_NINE: u32 = 20;

/// The figures behind a chart: a row for each place on the horizontal axis, a column for each line.
#[derive(Clone, Debug, Default)]
pub struct PlotData {
    /// How a row's place on the axis follows from the figures that it begins with.
    pub scale: Scale,
    /// Headings: a name, and the unit in parentheses.
    pub columns: Vec<String>,
    /// Rows; nothing stands where a line does not reach.
    pub rows: Vec<Vec<Option<f64>>>,
}

/// How a row's place on the horizontal axis follows from the figures that it begins with.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Scale {
    /// By the first figure.
    #[default]
    Linear,
    /// By the logarithm of the middle of a bin, whose ends are the first two figures.
    Bins,
    /// By the nines of the first figure, a percentile.
    Nines,
}

impl Scale {
    /// What the page's script calls it.
    pub fn label(self) -> &'static str {
        match self {
            Scale::Linear => "linear",
            Scale::Bins => "bins",
            Scale::Nines => "nines",
        }
    }
}

impl PlotData {
    /// Histograms in bins of the same edges: how many of each line's stores fell into each.
    pub fn of_bins(unit: &str, lines: &[(&str, Vec<Bin>)]) -> PlotData {
        let mut counts: BTreeMap<(u64, u64), Vec<u64>> = BTreeMap::new();
        for (n, (_, bins)) in lines.iter().enumerate() {
            for bin in bins {
                let row = counts.entry((bin.low, bin.high));
                row.or_insert_with(|| vec![0; lines.len()])[n] = bin.count;
            }
        }
        let mut columns = vec![format!("from ({unit})"), format!("to below ({unit})")];
        columns.extend(lines.iter().map(|(label, _)| format!("{label} (stores)")));
        let row = |((low, high), counts): ((u64, u64), Vec<u64>)| {
            let figures = [low, high].into_iter().chain(counts);
            figures.map(|n| Some(n as f64)).collect()
        };
        PlotData {
            scale: Scale::Bins,
            columns,
            rows: counts.into_iter().map(row).collect(),
        }
    }

    /// The value at each percentile, up to the last that a line's stores can show.
    pub fn of_percentiles(unit: &str, lines: &[(&str, &Histogram<u64>)]) -> PlotData {
        let most = lines.iter().map(|(_, h)| h.len()).max().unwrap_or(0);
        let last = (most.max(1) as f64).log10();
        let steps = (last * f64::from(STEPS_PER_NINE) + 1e-6) as u32;
        let at = |step: u32| {
            let place = f64::from(step) / f64::from(STEPS_PER_NINE);
            let digits = 10f64.powi(place as i32 + 1);
            ((100.0 - 100.0 / 10f64.powf(place)) * digits).round() / digits
        };
        let half = (most > 1).then_some(50.0);
        let mut percentiles: Vec<f64> = (0..=steps).map(at).chain(half).collect();
        percentiles.sort_by(f64::total_cmp);

        let curves: Vec<_> = lines
            .iter()
            .map(|(_, h)| (h.len() as f64, percentile_curve(h)))
            .collect();
        let row = |percent: f64| {
            let place = nines(percent / 100.0);
            let value = |(stores, curve): &(f64, Vec<Point>)| {
                let reaches = 10f64.powf(-place) * stores > 0.99;
                let beyond = curve.partition_point(|p| p.nines < place - 1e-9);
                let point = curve.get(beyond.saturating_sub(1)).filter(|_| reaches);
                point.map(|point| point.value as f64)
            };
            let values = curves.iter().map(value);
            std::iter::once(Some(percent)).chain(values).collect()
        };
        let mut columns = vec!["percentile (%)".to_string()];
        columns.extend(lines.iter().map(|(label, _)| format!("{label} ({unit})")));
        PlotData {
            scale: Scale::Nines,
            columns,
            rows: percentiles.into_iter().map(row).collect(),
        }
    }

    /// The marks of lines, with the ends of their bars. `x` heads the column of places, `unit` is that of the others.
    pub fn of_marks(x: &str, unit: &str, lines: &[ChartLine]) -> PlotData {
        let mut places: Vec<f64> = lines.iter().flat_map(|l| &l.marks).map(|m| m.0).collect();
        places.sort_by(f64::total_cmp);
        places.dedup();
        let mut columns = vec![x.to_string()];
        for line in lines {
            columns.push(format!("{} ({unit})", line.label));
            if !line.bars.is_empty() {
                columns
                    .extend(["low", "high"].map(|end| format!("{}, {end} ({unit})", line.label)));
            }
        }
        let row = |&place: &f64| {
            let mut row = vec![Some(place)];
            for line in lines {
                row.push(line.marks.iter().find(|m| m.0 == place).map(|m| m.1));
                if !line.bars.is_empty() {
                    let bar = line.bars.iter().find(|bar| bar.0 == place);
                    row.extend([bar.map(|bar| bar.1.low), bar.map(|bar| bar.1.high)]);
                }
            }
            row
        };
        PlotData {
            scale: Scale::Linear,
            columns,
            rows: places.iter().map(row).collect(),
        }
    }

    /// The whole as comma-separated values.
    pub fn csv(&self) -> String {
        let heading = |text: &String| format::csv_field(&text.replace(char::is_control, " "));
        let mut text = self
            .columns
            .iter()
            .map(heading)
            .collect::<Vec<_>>()
            .join(",");
        for row in &self.rows {
            let figures = row
                .iter()
                .map(|x| x.map_or(String::new(), |x| x.to_string()));
            text.push('\n');
            text.push_str(&figures.collect::<Vec<_>>().join(","));
        }
        text.push('\n');
        text
    }

    /// The same as an address that holds it; safe in an attribute.
    pub fn uri(&self) -> String {
        let mut uri = String::from("data:text/csv;charset=utf-8,");
        for byte in self.csv().bytes() {
            match byte {
                b'0'..=b'9' | b'A'..=b'Z' | b'a'..=b'z' | b'-' | b'.' | b'_' | b',' => {
                    uri.push(char::from(byte));
                }
                _ => {
                    let _ = write!(uri, "%{byte:02X}");
                }
            }
        }
        uri
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::record::latency::tests::filled;
    use crate::report::plot::style::Style;
    use crate::stats::interval::Interval;
    use crate::stats::shape::log_bins;

    proptest! {
        #[test]
        fn percentiles_are_the_histograms_own(values in prop::collection::vec(1u64..1_000_000, 1..300)) {
            let h = filled(&values);
            let data = PlotData::of_percentiles("ns", &[("x", &h)]);
            prop_assert!(data.rows.windows(2).all(|w| w[0][0] < w[1][0]));
            for row in &data.rows {
                let quantile = (row[0].unwrap() / 100.0 - 1e-9).max(0.0);
                let value = h.highest_equivalent(h.value_at_quantile(quantile));
                prop_assert_eq!(row[1], Some(value as f64), "{}", quantile);
            }
        }

        #[test]
        fn bins_hold_every_store_of_every_line(a in prop::collection::vec(1u64..100_000, 1..99), b in prop::collection::vec(1u64..100_000, 1..99)) {
            let bins = [&a, &b].map(|values| log_bins(&filled(values), 20));
            let [one, other] = bins;
            let data = PlotData::of_bins("ns", &[("a", one), ("b", other)]);
            let sum = |column: usize| data.rows.iter().filter_map(|row| row[column]).sum::<f64>();
            prop_assert_eq!((sum(2), sum(3)), (a.len() as f64, b.len() as f64));
            prop_assert!(data.rows.windows(2).all(|w| w[0][1] <= w[1][0]));
        }
    }

    #[test]
    fn a_line_ends_where_its_stores_do() {
        let (few, many) = (filled(&[5; 10]), filled(&[7; 1_000]));
        let data = PlotData::of_percentiles("ns", &[("few", &few), ("many", &many)]);
        let at = |percent: f64| {
            data.rows
                .iter()
                .find(|row| row[0] == Some(percent))
                .unwrap()
        };
        assert_eq!(at(90.0)[1..], [Some(5.0), Some(7.0)]);
        assert_eq!(at(99.9)[1..], [None, Some(7.0)]);
        assert_eq!(data.rows.last().unwrap()[0], Some(99.9));
    }

    #[test]
    fn marks_stand_with_the_ends_of_their_bars() {
        let line = |label: &str, marks: &[(f64, f64)], bars: &[(f64, Interval)]| ChartLine {
            label: label.into(),
            style: Style::nth(0),
            points: Vec::new(),
            marks: marks.to_vec(),
            bars: bars.to_vec(),
        };
        let lines = [
            line(
                "late",
                &[(0.0, 99.0), (500.0, 20.5)],
                &[(0.0, (98.0, 100.0).into())],
            ),
            line("none", &[(500.0, 3.0)], &[]),
        ];
        assert_eq!(
            PlotData::of_marks("skew (ns)", "%", &lines).csv(),
            "skew (ns),late (%),\"late, low (%)\",\"late, high (%)\",none (%)\n0,99,98,100,\n500,20.5,,,3\n"
        );
    }

    #[test]
    fn an_address_holds_nothing_that_ends_an_attribute() {
        let data = PlotData {
            columns: vec!["a\n\"><script>µ".into()],
            ..PlotData::default()
        };
        assert_eq!(
            data.uri(),
            "data:text/csv;charset=utf-8,%22a%20%22%22%3E%3Cscript%3E%C2%B5%22%0A"
        );
    }
}
