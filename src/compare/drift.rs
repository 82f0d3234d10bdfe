//! Whether a machine became slower or faster while a run went on: later repetitions of everything lie on one side of the earlier.

use statrs::distribution::{Binomial, DiscreteCDF};

use crate::record::schema::{Measured, RunFile};
use crate::record::unit::Unit;
use crate::stats::interval::median;

/// Fewest repetitions of a scenario of which two halves say something.
const REPETITIONS: usize = 4;
/// A drift by less than that, as a share, is not worth a line.
const WORTH: f64 = 0.02;
/// How likely so many scenarios would move the same way by chance, at most.
const CHANCE: f64 = 0.01;

/// A drift over a run.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Drift {
    /// The median over scenarios of the later half's median over the earlier half's.
    pub ratio: f64,
    /// Scenarios that moved the same way as that.
    pub same_way: usize,
    /// All scenarios with enough repetitions.
    pub of: usize,
}

impl Drift {
    /// Of a run; `None` where there is none, or too little to tell.
    pub fn of(run: &RunFile) -> Option<Drift> {
        let ratios: Vec<f64> = run.results.iter().filter_map(halves).collect();
        let ratio = median(&ratios)?;
        let same_way = ratios
            .iter()
            .filter(|&&r| (r > 1.0) == (ratio > 1.0) && r != 1.0);
        let (same_way, of) = (same_way.count(), ratios.len());
        let coin = Binomial::new(0.5, of as u64).ok()?;
        let chance = 2.0 * coin.sf(same_way.saturating_sub(1) as u64);
        let told = chance <= CHANCE && ratio.ln().abs() >= WORTH.ln_1p();
        told.then_some(Drift {
            ratio,
            same_way,
            of,
        })
    }

    /// In a sentence.
    pub fn told(&self) -> String {
        let (by, how) = match self.ratio > 1.0 {
            true => (self.ratio - 1.0, "slower"),
            false => (1.0 / self.ratio - 1.0, "faster"),
        };
        format!(
            "The machine drifted: from the earlier half of the repetitions to the later one, medians became {:.1} % {how}, in {} of {} \
             scenarios. Compare with runs that took turns with this one.",
            100.0 * by,
            self.same_way,
            self.of
        )
    }
}

/// The later half's median over the earlier half's, of the most frequent outcome.
fn halves(measured: &Measured) -> Option<f64> {
    // A count does not drift: repetitions differ by their layouts.
    if measured.unit() != Unit::Ns {
        return None;
    }
    let outcome = measured.latency.iter().max_by_key(|(_, l)| l.count)?.0;
    let mut each: Vec<(u32, f64)> = measured
        .repetitions
        .iter()
        .filter_map(|one| Some((one.index, one.by_outcome.get(outcome)?.p50 as f64)))
        .collect();
    each.sort_by_key(|(index, _)| *index);
    let values: Vec<f64> = each.into_iter().map(|(_, value)| value).collect();
    let half = values.len() / 2;
    let (earlier, later) = (&values[..half], &values[values.len() - half..]);
    let (earlier, later) = (median(earlier)?, median(later)?);
    (values.len() >= REPETITIONS && earlier > 0.0).then_some(later / earlier)
}
