//! How far two sides lie apart: a change with the interval that decides, its p, and the smallest change it would have shown,
//! all of one statistic.

use serde::Serialize;

use super::question::{ChangeKind, Footing, Question};
use super::row_data::{RowData, SideData};
use super::spread::{Spread, common};
use super::student::Student;
use crate::stats::interval::Interval;

/// Chance of a false verdict anywhere in a table.
pub const ALPHA: f64 = 0.05;
/// The share of real changes that a smallest detectable change is stated for.
const POWER: f64 = 0.8;

/// So many times as many degrees of freedom as a row has of its own are lent to it by the table, at most. Where runs vary partly
/// as a whole and partly row by row, more made 7 % of tables of two runs a side wrong.
const MOST_LENT: f64 = 4.0;

/// One side's value.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Estimate {
    /// The mean over runs of the median over repetitions; of ratios the geometric mean.
    pub value: f64,
    /// 95 % interval of the same; `None` where nothing says how far runs lie apart.
    pub interval: Option<Interval>,
    /// Runs that saw it.
    pub runs: usize,
    /// Repetitions that saw it.
    pub repetitions: usize,
}

/// New against base.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Effect {
    /// The base's value.
    pub base: Estimate,
    /// The new side's value.
    pub new: Estimate,
    /// New over base; where values may be negative, new less base.
    pub change: f64,
    /// The interval that decides: those of all rows hold their true changes together in 95 % of tables. `None` where
    /// nothing says how far runs lie apart.
    pub interval: Option<Interval>,
    /// The 95 % interval of this row alone, by its own runs.
    pub plain: Option<Interval>,
    /// p, corrected for the number of rows: below 0.05 where `interval` leaves out no change.
    pub p: f64,
    /// The change that such a row finds four times in five: of ratios relative to the base, else in the values' unit.
    pub mde: Option<f64>,
    /// What this rests on.
    pub footing: Footing,
    /// How they are set against each other.
    #[serde(skip)]
    pub scale: ChangeKind,
}

impl Effect {
    /// No change, on this scale.
    fn none(&self) -> f64 {
        match self.scale {
            ChangeKind::Ratio => 1.0,
            ChangeKind::Difference => 0.0,
        }
    }

    /// Whether the whole interval lies above no change.
    pub fn above(&self) -> bool {
        self.interval.is_some_and(|ends| ends.low > self.none())
    }

    /// Whether the whole interval lies below no change.
    pub fn below(&self) -> bool {
        self.interval.is_some_and(|ends| ends.high < self.none())
    }

    /// Whether the whole interval lies within a change by the factor 1 + `margin`, up or down; of differences, within that
    /// share of the base.
    pub fn within(&self, margin: f64) -> bool {
        let allowed: Interval = match self.scale {
            ChangeKind::Ratio => (1.0 / (1.0 + margin), 1.0 + margin).into(),
            ChangeKind::Difference => {
                let most = margin * self.base.value.abs();
                (-most, most).into()
            }
        };
        self.interval
            .is_some_and(|ends| allowed.contains(ends.low) && allowed.contains(ends.high))
    }
}

/// Answers the rows of a table.
///
/// The datum of a run is the median of its repetitions, on a logarithmic scale where ratios are asked for. Runs are the units:
/// repetitions of one run share what that run had, so they sharpen its datum and no more (Kalibera and Jones, Rigorous
/// Benchmarking in Reasonable Time, 2013). The change is the difference of the sides' means of these, its standard error comes
/// from the variance between runs within a side, or between the differences of pairs, and t has that variance's degrees of freedom.
///
/// `interval` is the wider one of two. One is at the level that Bonferroni's correction gives the row, with its variance drawn
/// towards the table's, which lends it some degrees of freedom (Smyth, Linear Models and Empirical Bayes Methods, 2004): right
/// where rows vary by themselves. The other is at 95 % with the row's own variance: right where whole runs vary, and all rows with
/// them, so that they are one test and not many, and no row knows more than its few runs do. Holm's correction would reject more,
/// but the intervals that belong to it do not hold together.
///
/// Every interval is moved out by the step of the values. Swapping the sides gives the reciprocal, or the negative.
/// `None` where a side has no values, or none above zero where a ratio is asked for.
pub fn effects(rows: &[Question]) -> Vec<Option<Effect>> {
    let rows: Vec<Option<RowData>> = rows.iter().map(RowData::new).collect();
    let varying = rows.iter().flatten().filter(|row| row.is_moderated());
    let spreads: Vec<Spread> = varying.filter_map(|row| row.spread).collect();
    let prior = common(&spreads);
    let mut student = Student::default();
    rows.into_iter()
        .map(|row| row.map(|row| row.answer(prior, &mut student)))
        .collect()
}

impl RowData<'_> {
    fn answer(&self, prior: Option<Spread>, student: &mut Student) -> Effect {
        let back = |x: f64| match self.asked.scale {
            ChangeKind::Ratio => x.exp(),
            ChangeKind::Difference => x,
        };
        let around = |middle: f64, half: f64| -> Interval {
            Interval::from((middle - half, middle + half)).map(back)
        };
        let own = self.own().filter(|_| self.footing != Footing::Fact);
        let estimate = |side: &SideData, student: &mut Student| {
            let n = side.data.len() as f64;
            let times = if self.footing == Footing::Pairs {
                0.5
            } else {
                1.0
            };
            // Layouts differ from each other, whatever they differ by from one side to the other.
            let spread = match self.footing {
                Footing::Layouts => Spread::within(&[&side.data]),
                _ => own,
            };
            let half = spread.map(|s| {
                (times * s.variance / n).sqrt() * student.quantile(s.freedom, 1.0 - ALPHA / 2.0)
            });
            Estimate {
                value: back(side.mean()),
                interval: match self.footing {
                    Footing::Fact => Some(around(side.mean(), self.step)),
                    _ => half.map(|half| around(side.mean(), half + self.step)),
                },
                runs: side.runs,
                repetitions: side.repetitions,
            }
        };
        let mut effect = Effect {
            base: estimate(&self.base, student),
            new: estimate(&self.new, student),
            change: back(self.change),
            interval: None,
            plain: None,
            p: 1.0,
            mde: None,
            footing: self.footing,
            scale: self.asked.scale,
        };
        let beyond = (self.change.abs() - self.step).max(0.0);
        let size = |x: f64| match self.asked.scale {
            ChangeKind::Ratio => x.exp_m1(),
            ChangeKind::Difference => x,
        };
        if self.footing == Footing::Fact {
            let (base, new) = (self.base.first, self.new.first);
            (effect.base.value, effect.new.value) = (base, new);
            effect.change = match self.asked.scale {
                ChangeKind::Ratio => new / base,
                ChangeKind::Difference => new - base,
            };
            effect.interval = match self.step {
                0.0 => Some((effect.change, effect.change).into()),
                step => Some(around(self.change, step)),
            };
            effect.plain = effect.interval;
            effect.p = if beyond > 0.0 { 0.0 } else { 1.0 };
            let next = self.asked.step + 1.0;
            effect.mde = Some(match self.asked.scale {
                ChangeKind::Ratio => next / effect.base.value,
                ChangeKind::Difference => next,
            });
            return effect;
        }
        let Some(own) = own else { return effect };
        let prior = prior.filter(|_| self.is_moderated()).map(|prior| Spread {
            freedom: prior.freedom.min(MOST_LENT * own.freedom),
            ..prior
        });
        let drawn = own.with(prior);
        let mut half: f64 = 0.0;
        let mut least: f64 = 0.0;
        for (spread, chance) in [(drawn, self.asked.chance), (own, ALPHA)] {
            let error = (self.weight * spread.variance).sqrt();
            let decides = student.quantile(spread.freedom, 1.0 - chance / 2.0);
            let found = student.quantile(spread.freedom, POWER);
            half = half.max(decides * error);
            least = least.max((decides + found) * error);
            if chance == ALPHA {
                effect.plain = Some(around(self.change, decides * error + self.step));
            }
        }
        effect.interval = Some(around(self.change, half + self.step));
        effect.mde = Some(size(least + self.step));
        let p = |spread: Spread, student: &Student| {
            let error = (self.weight * spread.variance).sqrt();
            match error > 0.0 {
                true => student.p(spread.freedom, beyond / error),
                false if beyond > 0.0 => 0.0,
                false => 1.0,
            }
        };
        let corrected = p(drawn, student) * ALPHA / self.asked.chance;
        effect.p = corrected.max(p(own, student)).min(1.0);
        effect
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::stats::question::ValueKind;

    fn question(base: Vec<Vec<f64>>, new: Vec<Vec<f64>>) -> Question {
        Question {
            kind: ValueKind::PerRun,
            scale: ChangeKind::Ratio,
            base,
            new,
            paired: false,
            step: 0.0,
            chance: ALPHA,
            measured: None,
        }
    }

    fn exact(base: &[f64], new: &[f64]) -> Question {
        let boots = |side: &[f64]| side.iter().map(|&v| vec![v; 3]).collect();
        Question {
            kind: ValueKind::Exact,
            ..question(boots(base), boots(new))
        }
    }

    fn alone(question: Question) -> Effect {
        effects(&[question])[0].unwrap()
    }

    /// Runs whose level varies by `between`, repetitions by `within`, on a logarithmic scale.
    fn runs(
        random: &mut fastrand::Rng,
        level: f64,
        n: usize,
        between: f64,
        within: f64,
    ) -> Vec<Vec<f64>> {
        let mut normal = || (0..12).map(|_| random.f64()).sum::<f64>() - 6.0;
        let mut side = Vec::new();
        for _ in 0..n {
            let run = level * (between * normal()).exp();
            side.push((0..5).map(|_| run * (within * normal()).exp()).collect());
        }
        side
    }

    /// t(4) at 97.5 % is 2.776445; the variance within the sides is 1e-4 of the logarithm.
    #[test]
    fn the_interval_is_students_over_runs_whatever_repetitions_do() {
        let side = |level: f64| -> Vec<Vec<f64>> {
            let runs = [-0.01, 0.0, 0.01].map(|off: f64| level * off.exp());
            runs.map(|v| vec![v * 0.5, v, v, v * 3.0]).into()
        };
        let found = alone(question(side(1_000.0), side(1_100.0)));
        let half = 2.776_445 * (1e-4f64 * 2.0 / 3.0).sqrt();
        let ends = found.interval.unwrap();
        assert!((found.change - 1.1).abs() < 1e-9, "{found:?}");
        assert!(
            (ends.low / (1.1 * (-half).exp()) - 1.0).abs() < 1e-6,
            "{found:?}"
        );
        assert!(
            (ends.high / (1.1 * half.exp()) - 1.0).abs() < 1e-6,
            "{found:?}"
        );
        assert_eq!(
            found.interval, found.plain,
            "one row has nothing to be corrected for"
        );
        assert!(found.p < 0.01 && found.above(), "{found:?}");
        assert_eq!((found.base.runs, found.base.repetitions), (3, 12));
    }

    #[test]
    fn pairs_are_free_of_a_drift_that_both_sides_share() {
        let drift = [1.0, 1.2, 1.5, 1.8];
        let side =
            |level: f64| -> Vec<Vec<f64>> { drift.iter().map(|d| vec![level * d]).collect() };
        let mut asked = question(side(1_000.0), side(1_050.0));
        assert!(!alone(asked.clone()).above());
        asked.paired = true;
        asked.new[1][0] *= 1.001;
        let found = alone(asked);
        assert_eq!(found.footing, Footing::Pairs);
        assert!(found.above() && found.p < 0.001, "{found:?}");
    }

    #[test]
    fn a_pair_of_which_one_run_saw_nothing_is_left_out() {
        let mut asked = question(
            vec![vec![1.0], vec![2.0], vec![3.0]],
            vec![vec![1.1], vec![], vec![3.4]],
        );
        asked.paired = true;
        let found = alone(asked);
        assert_eq!((found.base.runs, found.new.runs), (2, 2));
    }

    #[test]
    fn one_run_a_side_tells_nothing_unless_it_was_measured_how_far_runs_lie_apart() {
        let mut asked = question(vec![vec![700.0; 15]], vec![vec![7_000.0; 15]]);
        let found = alone(asked.clone());
        assert_eq!(
            (found.footing, found.interval, found.mde),
            (Footing::OneRun, None, None)
        );
        assert!((found.change - 10.0).abs() < 1e-9 && found.p == 1.0);
        asked.measured = Some(Spread {
            variance: 0.02f64.powi(2),
            freedom: 9.0,
        });
        let found = alone(asked);
        assert_eq!(found.footing, Footing::Measured);
        let ends = found.interval.unwrap();
        // t(9) at 97.5 % is 2.262157.
        let half = 2.262_157 * 0.02 * 2.0f64.sqrt();
        assert!(
            (ends.high / ends.low / (2.0 * half).exp() - 1.0).abs() < 1e-6,
            "{found:?}"
        );
    }

    #[test]
    fn what_every_boot_says_is_a_fact_and_boots_that_differ_are_not() {
        let found = alone(exact(&[5_000.0, 5_000.0], &[5_020.0, 5_020.0]));
        assert_eq!((found.footing, found.p), (Footing::Fact, 0.0));
        assert_eq!((found.base.value, found.new.value), (5_000.0, 5_020.0));
        assert_eq!(found.interval, Some((1.004, 1.004).into()));
        assert!(found.above() && (found.mde.unwrap() - 1.0 / 5_000.0).abs() < 1e-12);
        let found = alone(exact(&[5_000.0, 5_007.0], &[5_010.0, 5_010.0]));
        assert_eq!(found.footing, Footing::BootsDiffer);
        assert!(!found.above() && found.p > 0.05, "{found:?}");
        let found = alone(exact(&[5_000.0], &[5_020.0, 5_020.0]));
        assert_eq!((found.footing, found.interval), (Footing::OneRun, None));
        let mut coarse = exact(&[5_000.0, 5_000.0], &[5_003.0, 5_003.0]);
        coarse.step = 3.0;
        assert!(!alone(coarse).above(), "within the bucket's width");
    }

    /// The same boots each time, but the path's length depends on where an area lies: 20 instructions more in one layout, 5 less
    /// in another are no fact, however often both kernels boot.
    #[test]
    fn boots_that_differ_in_one_repetition_are_no_fact_and_still_tell() {
        let mut asked = exact(&[1.0], &[1.0]);
        asked.base = vec![vec![1_603.0, 1_603.0, 1_604.0], vec![1_603.0; 3]];
        asked.new = vec![vec![2_403.0; 3]; 2];
        let found = alone(asked);
        assert_eq!(found.footing, Footing::BootsDiffer);
        let ends = found.interval.unwrap();
        assert!(found.above() && ends.width() > 0.0, "{found:?}");
    }

    /// What was measured before says nothing where there are runs that say it themselves.
    #[test]
    fn a_spread_that_was_given_does_not_outweigh_runs_that_differ() {
        let side = vec![vec![900.0], vec![1_000.0], vec![1_100.0]];
        let mut asked = question(
            side.clone(),
            side.iter().map(|run| vec![run[0] * 1.1]).collect(),
        );
        let plainly = alone(asked.clone());
        asked.measured = Some(Spread {
            variance: 1e-6,
            freedom: 1e9,
        });
        assert_eq!(alone(asked), plainly);
    }

    #[test]
    fn what_depends_on_the_layout_is_no_fact() {
        let boots = |layouts: [f64; 4]| vec![layouts.to_vec(); 3];
        let mut asked = exact(&[1.0], &[1.0]);
        (asked.base, asked.new) = (
            boots([1_600.0, 1_637.0, 1_600.0, 1_611.0]),
            boots([1_620.0, 1_657.0, 1_620.0, 1_631.0]),
        );
        let found = alone(asked.clone());
        assert_eq!(
            found.footing,
            Footing::Fact,
            "20 more in every layout: {found:?}"
        );
        asked.new = boots([1_620.0, 1_632.0, 1_598.0, 1_611.0]);
        let found = alone(asked);
        assert_eq!(found.footing, Footing::Layouts);
        assert!(
            !found.above() && !found.below() && found.interval.is_some(),
            "{found:?}"
        );
        assert_eq!((found.base.runs, found.base.repetitions), (3, 12));
    }

    #[test]
    fn no_interval_is_narrower_than_the_step_of_its_values() {
        let side = vec![vec![20.0; 8]; 5];
        let mut asked = question(side.clone(), vec![vec![30.0; 8]; 5]);
        asked.step = 10.0;
        let found = alone(asked);
        assert!(
            !found.above(),
            "one step of the clock is no difference: {found:?}"
        );
        let mut same = question(side.clone(), side);
        same.step = 1.0;
        let ends = alone(same).interval.unwrap();
        assert!(ends.low < 0.96 && ends.high > 1.04, "{ends}");
    }

    #[test]
    fn differences_may_be_negative_and_are_subtracted() {
        let base = vec![
            vec![-3.0, 1.0, 0.0],
            vec![0.0, 1.0, 0.5],
            vec![2.0, -1.0, 1.0],
        ];
        let new = vec![vec![99.0, 101.0], vec![102.0, 100.0], vec![101.0, 97.0]];
        let mut asked = question(base, new);
        asked.scale = ChangeKind::Difference;
        let found = alone(asked);
        let ends = found.interval.unwrap();
        assert!(
            found.above() && ends.low > 90.0 && ends.high < 110.0,
            "{found:?}"
        );
        assert!(
            (found.change - (300.0 / 3.0 - 0.5)).abs() < 1e-9,
            "{found:?}"
        );
    }

    /// Rows that vary by themselves lend each other certainty; whole runs that vary do not.
    #[test]
    fn many_rows_sharpen_each_other_but_not_what_whole_runs_vary_by() {
        let mut random = fastrand::Rng::with_seed(3);
        let (mut by_themselves, mut together) = (0, 0);
        let told = |rows: &[Question]| {
            effects(rows)
                .iter()
                .flatten()
                .any(|e| e.above() || e.below())
        };
        for _ in 0..300 {
            let mut rows: Vec<Question> = Vec::new();
            let mut shared: Vec<Question> = Vec::new();
            let offs: Vec<f64> = (0..6)
                .map(|_| runs(&mut random, 1.0, 1, 0.04, 0.0)[0][0])
                .collect();
            for _ in 0..20 {
                let mut one = question(
                    runs(&mut random, 1e3, 3, 0.04, 0.02),
                    runs(&mut random, 1e3, 3, 0.04, 0.02),
                );
                one.chance = ALPHA / 20.0;
                rows.push(one.clone());
                one.base = runs(&mut random, 1e3, 3, 0.0, 0.001);
                one.new = runs(&mut random, 1e3, 3, 0.0, 0.001);
                for (run, off) in one.base.iter_mut().chain(&mut one.new).zip(&offs) {
                    run.iter_mut().for_each(|v| *v *= off);
                }
                shared.push(one);
            }
            by_themselves += u32::from(told(&rows));
            together += u32::from(told(&shared));
        }
        // 5 % of 300 and three standard errors.
        assert!(by_themselves <= 26, "{by_themselves}");
        assert!(together <= 26, "{together}");
    }

    proptest! {
        #[test]
        fn swapping_sides_gives_the_reciprocal(
            base in prop::collection::vec(prop::collection::vec(1.0f64..1e4, 1..4), 2..5),
            new in prop::collection::vec(prop::collection::vec(1.0f64..1e4, 1..4), 2..5),
        ) {
            let (there, back) = (alone(question(base.clone(), new.clone())), alone(question(new, base)));
            prop_assert!((there.change * back.change - 1.0).abs() < 1e-9);
            prop_assert!((there.p - back.p).abs() < 1e-9);
            let (a, b) = (there.interval.unwrap(), back.interval.unwrap());
            prop_assert!((a.low * b.high - 1.0).abs() < 1e-6, "{} {}", a, b);
        }

        #[test]
        fn other_rows_change_no_estimate_and_a_factor_moves_the_ratio_by_itself(
            level in 10.0f64..1e6, factor in 0.1f64..10.0, seed in 0u64..1_000,
        ) {
            let mut random = fastrand::Rng::with_seed(seed);
            let mut rows: Vec<Question> = (0..6)
                .map(|_| question(runs(&mut random, level, 3, 0.05, 0.02), runs(&mut random, level, 3, 0.05, 0.02)))
                .collect();
            let first = alone(rows[0].clone());
            let among = effects(&rows)[0].unwrap();
            prop_assert_eq!(first.change, among.change);
            prop_assert_eq!(first.plain, among.plain);
            rows[0].new.iter_mut().flatten().for_each(|v| *v *= factor);
            let scaled = alone(rows[0].clone());
            prop_assert!((scaled.change / first.change / factor - 1.0).abs() < 1e-9);
        }

        #[test]
        fn p_and_the_interval_never_disagree(seed in 0u64..10_000, between in 0.0f64..0.05, step in 0.0f64..30.0) {
            let mut random = fastrand::Rng::with_seed(seed);
            let rows: Vec<Question> = (0..8)
                .map(|_| Question {
                    chance: ALPHA / 8.0,
                    step,
                    ..question(runs(&mut random, 1e3, 3, between, 0.01), runs(&mut random, 1.05e3, 3, between, 0.01))
                })
                .collect();
            for found in effects(&rows).into_iter().flatten() {
                let told = found.above() || found.below();
                prop_assert!(told == (found.p < ALPHA) || (found.p - ALPHA).abs() < 1e-6, "{:?}", found);
            }
        }
    }
}
