//! Axes: which part of a quantity is shown, and where it is labelled.

use std::ops::Range;

use plotters::coord::ranged1d::{KeyPointHint, NoDefaultFormatting, Ranged, ValueFormatter};

use crate::record::unit::Unit;
use crate::report::format;
use crate::stats::interval::Interval;
use crate::stats::shape::nines;

/// Steps from below the first of at most ten ticks to beyond the last.
const MOST_STEPS: u32 = 12;
/// The longest span of whole numbers of which each has a tick.
const EACH_TICKED: f64 = 64.0;

/// An axis in its own coordinates (a logarithm, nines).
#[derive(Clone, Debug, Default)]
pub struct Axis {
    /// The quantity and its unit.
    pub label: String,
    /// First and last coordinate shown.
    pub shown: Interval,
    /// Ticks, in order.
    pub ticks: Vec<Tick>,
}

impl Axis {
    /// The places that have a label, in order.
    pub fn labels(&self) -> impl Iterator<Item = (f64, &str)> {
        self.ticks
            .iter()
            .filter_map(|t| Some((t.at, t.label.as_deref()?)))
    }
}

/// A place on an axis.
#[derive(Clone, Debug)]
pub struct Tick {
    /// The coordinate.
    pub at: f64,
    /// What is written there; a tick without a label is a faint line.
    pub label: Option<String>,
}

/// The axis of a latency: coordinate log10(value). `low` and `high` are the values to be shown.
pub fn latency(unit: Unit, low: u64, high: u64) -> Axis {
    let (low, high) = (log10(low), log10(high));
    let pad = (high - low).max(0.2) * 0.04;
    let shown = Interval::from((low - pad, high + pad));
    // 1, 2 and 5 are labelled only where whole decades would leave too few labels.
    let narrow = shown.width() < 1.7;
    let ticks = decades(shown, |digit, value| {
        let labelled = digit == 1 || (narrow && matches!(digit, 2 | 5));
        labelled.then(|| match unit {
            Unit::Ns => whole_duration(value),
            Unit::Instructions => metric(value),
        })
    });
    let label = match unit {
        Unit::Ns => "latency of one store",
        Unit::Instructions => "instructions executed for one store",
    };
    Axis {
        label: label.into(),
        shown,
        ticks,
    }
}

/// The axis of a number of stores: coordinate log10(n). It begins at half a store, so that a bin with a single store
/// stands above one with none.
pub fn stores(most: u64) -> Axis {
    let shown = Interval::from((0.5f64.log10(), log10(most) + 0.15));
    let mut ticks = decades(shown, |digit, n| (digit == 1 && n >= 1).then(|| metric(n)));
    ticks.retain(|t| t.at >= 0.0);
    ticks.insert(
        0,
        Tick {
            at: shown.low,
            label: Some("0".into()),
        },
    );
    Axis {
        label: "stores".into(),
        shown,
        ticks,
    }
}

/// The axis of percentiles: coordinate in nines, up to those that `most` values can show.
pub fn percentiles(most: u64) -> Axis {
    let last = log10(most).max(1.0);
    let mut ticks = vec![(nines(0.5), "50 %".to_string())];
    for n in 1..=(last.floor() as i32) {
        let percent = 100.0 - 100.0 / 10f64.powi(n);
        let digits = usize::try_from(n - 2).unwrap_or(0);
        ticks.push((f64::from(n), format!("{percent:.digits$} %")));
    }
    let ticks = ticks
        .into_iter()
        .map(|(at, label)| Tick {
            at,
            label: Some(label),
        })
        .collect();
    Axis {
        label: "percentile".into(),
        shown: (0.0, last + 0.1).into(),
        ticks,
    }
}

/// A linear axis with 5 to 10 labelled ticks at round values; from 0 to 1 where the values have no finite ends.
pub fn linear(label: &str, low: f64, high: f64) -> Axis {
    let (low, high) = match (high - low).is_finite() {
        true => (low, high),
        false => (0.0, 1.0),
    };
    let span = (high - low).max(1e-9);
    let unit = 10f64.powf((span / 10.0).log10().floor());
    let step = [1.0, 2.0, 5.0, 10.0]
        .map(|n| n * unit)
        .into_iter()
        .find(|s| span / s <= 10.0);
    let step = step.unwrap_or(10.0 * unit);
    let first = (low / step).floor();
    let ticks = (0..=MOST_STEPS).map(|n| {
        let at = (first + f64::from(n)) * step;
        let text = match step < 1.0 {
            true => format::figure(at),
            false if at < 0.0 => format!("-{}", metric(-at as u64)),
            false => metric(at as u64),
        };
        Tick {
            at,
            label: Some(text),
        }
    });
    let shown = Interval::from((low - span * 0.03, high + span * 0.03));
    let ticks = ticks.filter(|t| shown.contains(t.at)).collect();
    Axis {
        label: label.into(),
        shown,
        ticks,
    }
}

/// An axis of names: the `n`-th lies at `n`.
pub fn named(label: &str, names: &[&str]) -> Axis {
    let last = names.len().saturating_sub(1) as f64;
    let ticks = names.iter().enumerate().map(|(n, name)| Tick {
        at: n as f64,
        label: Some((*name).to_string()),
    });
    Axis {
        label: label.into(),
        shown: (-0.3, last + 0.3).into(),
        ticks: ticks.collect(),
    }
}

/// A linear axis of whole numbers: each has a tick where they are few.
pub fn whole(label: &str, low: f64, high: f64) -> Axis {
    let mut axis = linear(label, low, high);
    if high - low > EACH_TICKED {
        return axis;
    }
    axis.ticks = (low as u64..=high as u64)
        .map(|n| Tick {
            at: n as f64,
            label: Some(n.to_string()),
        })
        .collect();
    axis
}

/// log10 of a count or value, 0 and 1 alike.
pub fn log10(n: u64) -> f64 {
    (n.max(1) as f64).log10()
}

/// Ticks at 1 to 9 of every decade within `shown`; `label` names those that it wants named.
fn decades(shown: Interval, label: impl Fn(u32, u64) -> Option<String>) -> Vec<Tick> {
    let mut ticks = Vec::new();
    for decade in (shown.low.floor().max(0.0) as u32)..=(shown.high.ceil().max(0.0) as u32).min(18)
    {
        for digit in 1..=9 {
            let value = u64::from(digit) * 10u64.pow(decade);
            let at = (value as f64).log10();
            if shown.contains(at) {
                ticks.push(Tick {
                    at,
                    label: label(digit, value),
                });
            }
        }
    }
    ticks
}

/// A time of a tick, without digits that it does not need: `1 µs`.
fn whole_duration(ns: u64) -> String {
    match ns {
        0..1_000 => format!("{ns} ns"),
        1_000..1_000_000 => format!("{} µs", ns / 1_000),
        1_000_000..1_000_000_000 => format!("{} ms", ns / 1_000_000),
        _ => format!("{} s", ns / 1_000_000_000),
    }
}

/// A count of a tick, with the decimals that it has: `100`, `10 k`, `1 M`, `2.5 M`.
fn metric(n: u64) -> String {
    let units = [(1_000_000_000, "G"), (1_000_000, "M"), (1_000, "k")];
    match units.into_iter().find(|(unit, _)| n >= *unit) {
        Some((unit, name)) if n >= 10_000 => {
            let value = format!("{:.3}", n as f64 / unit as f64);
            let value = value.trim_end_matches('0').trim_end_matches('.');
            format!("{value} {name}")
        }
        _ => format::count(n),
    }
}

impl Ranged for Axis {
    type FormatOption = NoDefaultFormatting;
    type ValueType = f64;

    fn map(&self, value: &f64, (first, last): (i32, i32)) -> i32 {
        let share = (value - self.shown.low) / self.shown.width();
        first + (share.clamp(0.0, 1.0) * f64::from(last - first)).round() as i32
    }

    fn key_points<Hint: KeyPointHint>(&self, hint: Hint) -> Vec<f64> {
        let light = hint.weight().allow_light_points();
        self.ticks
            .iter()
            .filter(|t| light || t.label.is_some())
            .map(|t| t.at)
            .collect()
    }

    fn range(&self) -> Range<f64> {
        self.shown.low..self.shown.high
    }
}

/// Labels are written by [`draw`](crate::report::plot::draw), which leaves out those that would overlap.
impl ValueFormatter<f64> for Axis {
    fn format_ext(&self, _: &f64) -> String {
        String::new()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn labels(axis: &Axis) -> Vec<String> {
        axis.labels().map(|(_, label)| label.into()).collect()
    }

    #[test]
    fn a_wide_latency_axis_names_decades_in_their_own_unit() {
        let axis = latency(Unit::Ns, 20, 3_000_000);
        assert_eq!(labels(&axis), ["100 ns", "1 µs", "10 µs", "100 µs", "1 ms"]);
    }

    #[test]
    fn a_narrow_latency_axis_names_steps_between() {
        let axis = latency(Unit::Instructions, 950, 6_000);
        assert_eq!(labels(&axis), ["1,000", "2,000", "5,000"]);
    }

    #[test]
    fn a_single_store_stands_above_none() {
        let axis = stores(12_000);
        assert_eq!(labels(&axis), ["0", "1", "10", "100", "1,000", "10 k"]);
        assert!(axis.ticks[0].at < axis.ticks[1].at);
    }

    #[test]
    fn percentiles_end_with_the_nines_that_the_data_has() {
        let axis = percentiles(50_000);
        assert_eq!(labels(&axis), ["50 %", "90 %", "99 %", "99.9 %", "99.99 %"]);
        assert!(axis.shown.high >= log10(50_000));
    }

    #[test]
    fn an_axis_has_few_ticks_however_far_its_ends_lie_apart() {
        let far = f64::from(u32::MAX);
        assert_eq!(labels(&whole("threads", 1.0, 4.0)), ["1", "2", "3", "4"]);
        assert!((5..=10).contains(&whole("threads", 1.0, far).ticks.len()));
        for (low, high) in [
            (f64::MIN, f64::MAX),
            (0.0, f64::INFINITY),
            (1e300, 1e300),
            (-1e15, 1e15),
        ] {
            let axis = linear("x", low, high);
            assert!(axis.ticks.len() <= 11, "{low} to {high}");
            assert!(axis.shown.width() > 0.0 || low == high, "{axis:?}");
        }
        for (low, high) in [(0.0, 10.0), (0.0, 0.49), (-3.0, 997.0), (0.1, 0.1000001)] {
            let n = linear("x", low, high).ticks.len();
            assert!((5..=11).contains(&n), "{low} to {high}: {n}");
        }
    }

    #[test]
    fn ticks_that_differ_are_called_differently() {
        let axis = linear("instructions", 0.0, 3_300_000.0);
        assert_eq!(
            labels(&axis),
            ["0", "500 k", "1 M", "1.5 M", "2 M", "2.5 M", "3 M"]
        );
        for high in [13_000.0, 64_000.0, 2_000_000.0, 1.1e10] {
            let axis = linear("x", 0.0, high);
            let mut named = labels(&axis);
            let count = named.len();
            named.dedup();
            assert_eq!(named.len(), count, "{named:?}");
        }
    }

    #[test]
    fn coordinates_outside_are_drawn_at_the_edge() {
        let axis = stores(100);
        assert_eq!(axis.map(&-5.0, (500, 0)), 500);
        assert_eq!(axis.map(&9.0, (500, 0)), 0);
    }
}
