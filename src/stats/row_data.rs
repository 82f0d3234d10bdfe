//! The data of a row: a number a run, on the scale on which the sides are set against each other, and what they rest on.

use super::question::{ChangeKind, Footing, Question, ValueKind};
use super::spread::Spread;
use crate::stats::interval::{Interval, median};

/// One row's data.
pub(super) struct RowData<'a> {
    pub asked: &'a Question,
    pub base: SideData,
    pub new: SideData,
    /// New less base.
    pub change: f64,
    /// How far a datum may lie from the true one, on that scale.
    pub step: f64,
    /// The variance between runs, between the differences of pairs, or between those of layouts.
    pub spread: Option<Spread>,
    /// The change's variance over that one.
    pub weight: f64,
    pub footing: Footing,
}

/// One side's data.
pub(super) struct SideData {
    /// A number a run; of boots that agree, a number a layout.
    pub data: Vec<f64>,
    pub runs: usize,
    /// The median of the first run, as it is and not its logarithm.
    pub first: f64,
    pub repetitions: usize,
}

impl SideData {
    /// Of these values, on that scale, which so many runs have; `None` for no values, or one without a logarithm where ratios
    /// are asked for.
    fn of(
        values: &[f64],
        first: &[f64],
        runs: &[&Vec<f64>],
        scale: ChangeKind,
    ) -> Option<SideData> {
        let on_scale = |&value: &f64| match scale {
            ChangeKind::Ratio => (value > 0.0).then(|| value.ln()),
            ChangeKind::Difference => Some(value),
        };
        Some(SideData {
            data: values.iter().map(on_scale).collect::<Option<_>>()?,
            runs: runs.len(),
            first: median(first)?,
            repetitions: runs.iter().map(|run| run.len()).sum(),
        })
    }

    pub fn mean(&self) -> f64 {
        self.data.iter().sum::<f64>() / self.data.len() as f64
    }

    fn is_constant(&self) -> bool {
        self.data.windows(2).all(|pair| pair[0] == pair[1])
    }
}

impl<'a> RowData<'a> {
    /// The data of a question; `None` where a side has no values, or none above zero where a ratio is asked for.
    pub fn new(asked: &'a Question) -> Option<RowData<'a>> {
        let agreed = [agreed(&asked.base), agreed(&asked.new)];
        if let (ValueKind::Exact, [Some(base), Some(new)]) = (asked.kind, agreed) {
            return RowData::by_layout(asked, base, new);
        }
        let paired = asked.paired && asked.base.len() == asked.new.len();
        let whole = |n: usize| !paired || !asked.base[n].is_empty() && !asked.new[n].is_empty();
        let side = |runs: &[Vec<f64>]| {
            let kept = (runs.iter().enumerate()).filter(|(n, run)| !run.is_empty() && whole(*n));
            let kept: Vec<&Vec<f64>> = kept.map(|(_, run)| run).collect();
            let medians: Vec<f64> = kept.iter().filter_map(|run| median(run)).collect();
            SideData::of(&medians, kept.first()?, &kept, asked.scale)
        };
        let (base, new) = (side(&asked.base)?, side(&asked.new)?);
        let [n, m] = [&base, &new].map(|side| side.data.len());
        let exact = asked.kind == ValueKind::Exact;
        let constant = exact && base.is_constant() && new.is_constant();
        let too_few = n == 1 && m == 1 || constant && n.min(m) == 1;
        let footing = match () {
            () if too_few && asked.measured.is_some() => Footing::Measured,
            () if too_few => Footing::OneRun,
            () if exact => Footing::BootsDiffer,
            () if paired => Footing::Pairs,
            () => Footing::Runs,
        };
        // Boots of which nothing but a repetition differs say less than their medians do.
        let hidden = match constant && !too_few {
            true => apart(&asked.base).max(apart(&asked.new)),
            false => 0.0,
        };
        let mut row = RowData::between(asked, base, new, footing, asked.step + hidden);
        if too_few {
            row.spread = None;
        }
        // Values that are rounded to a step vary by at least a twelfth of its square.
        let least = row.step.powi(2) / 12.0;
        row.spread = row.spread.map(|spread| spread.at_least(least));
        Some(row)
    }

    /// Of sides whose boots agree: the n-th repetitions of both have the same layout.
    fn by_layout(asked: &'a Question, base: &[f64], new: &[f64]) -> Option<RowData<'a>> {
        let mut apart = base.iter().zip(new).map(|(a, b)| b - a);
        let first = apart.next()?;
        let footing = match base.len() == new.len() && apart.all(|other| other == first) {
            true => Footing::Fact,
            false => Footing::Layouts,
        };
        let side = |values: &[f64], runs: &'a [Vec<f64>]| {
            let kept: Vec<&Vec<f64>> = runs.iter().filter(|run| !run.is_empty()).collect();
            SideData::of(values, values, &kept, asked.scale)
        };
        let (base, new) = (side(base, &asked.base)?, side(new, &asked.new)?);
        Some(RowData::between(asked, base, new, footing, asked.step))
    }

    /// What lies between two sides: of pairs, and of as many layouts, difference by difference.
    fn between(
        asked: &'a Question,
        base: SideData,
        new: SideData,
        footing: Footing,
        step: f64,
    ) -> RowData<'a> {
        let [n, m] = [&base, &new].map(|side| side.data.len() as f64);
        let one_by_one = match footing {
            Footing::Pairs => true,
            Footing::Fact | Footing::Layouts => n == m,
            _ => false,
        };
        let differences = base.data.iter().zip(&new.data).map(|(a, b)| b - a);
        RowData {
            change: new.mean() - base.mean(),
            step: match asked.scale {
                ChangeKind::Ratio => (step / base.mean().min(new.mean()).exp()).ln_1p(),
                ChangeKind::Difference => step,
            },
            spread: match one_by_one {
                true => Spread::within(&[&differences.collect::<Vec<f64>>()]),
                false => Spread::within(&[&base.data, &new.data]),
            },
            weight: if one_by_one {
                1.0 / n
            } else {
                1.0 / n + 1.0 / m
            },
            footing,
            asked,
            base,
            new,
        }
    }

    /// Whether the table's variance says something about this row's.
    pub fn is_moderated(&self) -> bool {
        self.asked.scale == ChangeKind::Ratio
            && matches!(self.footing, Footing::Runs | Footing::Pairs)
    }

    /// The row's own variance; where it has none, what was measured before.
    pub fn own(&self) -> Option<Spread> {
        self.spread.or(self.asked.measured)
    }
}

/// What every boot says, repetition by repetition; `None` for fewer than two, or boots that differ.
fn agreed(boots: &[Vec<f64>]) -> Option<&[f64]> {
    let mut boots = boots.iter().filter(|boot| !boot.is_empty());
    let first = boots.next()?;
    let others: Vec<&Vec<f64>> = boots.collect();
    let same = !others.is_empty() && others.iter().all(|other| *other == first);
    same.then_some(&first[..])
}

/// From the least to the greatest value of all boots.
fn apart(boots: &[Vec<f64>]) -> f64 {
    let all = Interval::spanned(boots.iter().flatten().copied());
    all.map_or(0.0, Interval::width)
}
