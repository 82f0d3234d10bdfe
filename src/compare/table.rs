//! The comparison as a whole: a row for each figure, corrected for their number, with its verdict.

use serde::Serialize;

use super::changes::{changes, mismatches, settings};
use super::gate::{Gate, gate};
use super::side::{Case, Difference, Sample, Seen, Side};
use super::signed::{self, SignedRow};
use crate::record::outcome::Outcome;
use crate::record::schema::{RepetitionLatency, Unit};
use crate::stats::effect::{Doubt, Effect, Kind, effect};
use crate::stats::rank::{holm, least_p};

/// Chance of a false alarm anywhere in a table.
pub const ALPHA: f64 = 0.05;
/// A change up to which two sides count as the same, where no gate says otherwise.
const SAME: f64 = 0.03;
/// Least share of both sides' stores from which an outcome gets rows.
const WORTH: f64 = 0.01;

/// The figure of a repetition that is compared.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Quantile {
    /// The median.
    P50,
    /// The 90th percentile.
    P90,
    /// The 99th percentile.
    P99,
    /// The arithmetic mean.
    Mean,
}

impl Quantile {
    /// All of them.
    pub const ALL: [Quantile; 4] = [Quantile::P50, Quantile::P90, Quantile::P99, Quantile::Mean];

    /// Its name.
    pub fn label(self) -> &'static str {
        match self {
            Quantile::P50 => "p50",
            Quantile::P90 => "p90",
            Quantile::P99 => "p99",
            Quantile::Mean => "mean",
        }
    }

    /// Its value in a repetition.
    pub fn of(self, latency: &RepetitionLatency) -> f64 {
        match self {
            Quantile::P50 => latency.p50 as f64,
            Quantile::P90 => latency.p90 as f64,
            Quantile::P99 => latency.p99 as f64,
            Quantile::Mean => latency.mean,
        }
    }
}

impl std::str::FromStr for Quantile {
    type Err = String;

    fn from_str(text: &str) -> Result<Quantile, String> {
        let found = Quantile::ALL.into_iter().find(|q| q.label() == text);
        found.ok_or_else(|| "known are p50, p90, p99 and mean".into())
    }
}

/// What was asked for.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Options {
    /// Figures to compare.
    pub quantiles: Vec<Quantile>,
    /// A slow-down, as a share, beyond which the gate stops.
    pub gate: Option<f64>,
    /// By which share two runs of the same may differ where a side has but one, in time.
    pub apart: f64,
    /// The same in counted instructions.
    pub apart_counted: f64,
    /// Compare what does not compare, and mark it.
    pub anyway: bool,
    /// Seed of resampling.
    pub seed: u64,
}

impl Default for Options {
    fn default() -> Self {
        Options {
            quantiles: vec![Quantile::P50],
            gate: None,
            apart: 0.1,
            apart_counted: 0.005,
            anyway: false,
            seed: 1,
        }
    }
}

/// What can be said of a row.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Verdict {
    /// The new side takes longer.
    Slower,
    /// The new side takes less.
    Faster,
    /// Whatever difference there is lies within the margin.
    Same,
    /// The interval is too wide for any of these.
    CantTell,
}

impl Verdict {
    /// In words.
    pub fn label(self) -> &'static str {
        match self {
            Verdict::Slower => "slower",
            Verdict::Faster => "faster",
            Verdict::Same => "same",
            Verdict::CantTell => "can't tell",
        }
    }
}

/// One figure of one outcome of one case.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Row {
    /// The scenario and its parameters.
    #[serde(flatten)]
    pub case: Case,
    /// The outcome.
    pub outcome: Outcome,
    /// The figure.
    pub quantile: Quantile,
    /// Unit of the values.
    pub unit: Unit,
    /// Values, ratio, interval, p.
    pub effect: Effect,
    /// p after Holm's correction over all rows.
    pub corrected_p: f64,
    /// What can be said.
    pub verdict: Verdict,
    /// Whether a difference named in `mismatches` bears on it.
    pub marked: bool,
    /// The same without the repetitions that something from outside spoilt; absent where there was none.
    pub unspoilt: Option<Unspoilt>,
}

/// A row without the repetitions that something from outside spoilt.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Unspoilt {
    /// Repetitions left out on either side.
    pub left_out: usize,
    /// Values, ratio, interval, p.
    pub effect: Effect,
    /// What can be said then.
    pub verdict: Verdict,
}

impl Row {
    /// The case and the outcome, and the figure where it is not the median.
    pub fn label(&self) -> String {
        let (case, outcome) = (self.case.label(), self.outcome.label());
        match self.quantile {
            Quantile::P50 => format!("{case}, {outcome}"),
            other => format!("{case}, {outcome}, {}", other.label()),
        }
    }
}

/// A side in short.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Brief {
    /// Kernel, virtualization and rule.
    pub label: String,
    /// Ids of its runs.
    pub runs: Vec<String>,
}

/// Two sides compared.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Comparison {
    /// What was asked for.
    pub options: Options,
    /// Before.
    pub base: Brief,
    /// After.
    pub new: Brief,
    /// What does not compare; empty unless the comparison was made anyway.
    pub mismatches: Vec<Difference>,
    /// What differs and may: to be read before any number.
    pub changes: Vec<Difference>,
    /// Settings and kernel options that differ, which may explain a difference.
    pub settings: Vec<Difference>,
    /// Figures, in the base's order.
    pub rows: Vec<Row>,
    /// What areas add to an operation: signed, and so without a ratio.
    pub differences: Vec<SignedRow>,
    /// What a reader must know.
    pub notes: Vec<String>,
    /// Whether the change is to be stopped, where that was asked.
    pub gate: Option<Gate>,
}

/// Why there is no comparison.
#[derive(Debug, thiserror::Error)]
pub enum CompareError {
    /// The sides are not about comparable things.
    #[error("these runs do not compare: {}; measure both sides alike, or see it marked with --anyway", list(.0))]
    Mismatch(Vec<Difference>),
    /// No case was measured on both sides.
    #[error(
        "the two sides have no scenario with the same parameters in common; measure the same scenarios, threads, folios and skews"
    )]
    NothingInCommon,
}

/// The first few differences in one line.
fn list(differences: &[Difference]) -> String {
    const NAMED: usize = 4;
    let words = |d: &Difference| format!("{}: {:?} against {:?}", d.what, d.base, d.new);
    let named: Vec<String> = differences.iter().take(NAMED).map(words).collect();
    let more = differences.len().saturating_sub(NAMED);
    match more {
        0 => named.join("; "),
        more => format!("{}; and {more} more", named.join("; ")),
    }
}

/// The margin within which two sides count as the same.
pub fn margin(options: &Options) -> f64 {
    options.gate.unwrap_or(SAME)
}

/// Compares two sides.
///
/// # Errors
/// When they do not compare, unless that was asked for, or have nothing in common.
pub fn compare(base: &Side, new: &Side, options: &Options) -> Result<Comparison, CompareError> {
    let mismatches = mismatches(base, new);
    if !mismatches.is_empty() && !options.anyway {
        return Err(CompareError::Mismatch(mismatches));
    }
    if !base.cases.iter().any(|(case, _)| new.seen(case).is_some()) {
        return Err(CompareError::NothingInCommon);
    }
    let mut rows = rows(base, new, options);
    let emulated = is_emulated(base) || is_emulated(new);
    let mut differences = match emulated && !options.anyway {
        true => Vec::new(),
        false => signed::rows(base, new, options),
    };
    let latencies = rows.iter().map(|row| row.effect.p);
    let all = latencies.chain(differences.iter().map(|row| row.effect.p));
    let corrected = holm(&all.collect::<Vec<_>>());
    for (row, &p) in rows.iter_mut().zip(&corrected) {
        row.corrected_p = p;
        row.verdict = verdict(&row.effect, p, row.unit, margin(options));
        row.marked = !mismatches.is_empty();
    }
    for (row, &p) in differences.iter_mut().zip(&corrected[rows.len()..]) {
        row.judge(p, options);
        row.marked = !mismatches.is_empty();
    }
    let without = |row: &Row| row.unspoilt.as_ref().map_or(row.effect.p, |u| u.effect.p);
    let corrected = holm(&rows.iter().map(without).collect::<Vec<_>>());
    for (row, p) in rows.iter_mut().zip(corrected) {
        let unit = row.unit;
        if let Some(unspoilt) = &mut row.unspoilt {
            unspoilt.verdict = verdict(&unspoilt.effect, p, unit, margin(options));
        }
    }
    let brief = |side: &Side| Brief {
        label: side.label(),
        runs: side.runs.clone(),
    };
    Ok(Comparison {
        base: brief(base),
        new: brief(new),
        changes: changes(base, new),
        settings: settings(base, new),
        notes: notes(base, new, &rows, options),
        gate: options.gate.map(|by| gate(&rows, base, new, by, options)),
        options: options.clone(),
        mismatches,
        rows,
        differences,
    })
}

/// What can be said of an effect whose corrected p is `p`. Counted instructions need no test: where no repetition of the
/// one side reaches the other's, the difference is a fact.
pub fn verdict(effect: &Effect, p: f64, unit: Unit, margin: f64) -> Verdict {
    let sure = p < ALPHA || unit == Unit::Instructions;
    if sure && effect.above() {
        Verdict::Slower
    } else if sure && effect.below() {
        Verdict::Faster
    } else if effect.within(margin) {
        Verdict::Same
    } else {
        Verdict::CantTell
    }
}

/// Compares one figure of one outcome.
pub(super) fn compared(
    (base, new): (&Side, &Side),
    (one, other): (&Seen, &Seen),
    outcome: Outcome,
    quantile: Quantile,
    apart: f64,
    seed: u64,
    keep: fn(&Sample) -> bool,
) -> Option<Effect> {
    let values = |seen: &Seen| -> Vec<Vec<f64>> {
        let runs = seen.latency.get(&outcome).into_iter().flatten();
        let kept = |run: &Vec<Sample>| -> Vec<f64> {
            let samples = run.iter().filter(|sample| keep(sample));
            samples.map(|s| quantile.of(&s.latency)).collect()
        };
        runs.map(kept).collect()
    };
    let kind = match one.unit {
        Unit::Ns => Kind::Sampled,
        Unit::Instructions => Kind::Counted,
    };
    let step = match (kind, quantile) {
        (Kind::Sampled, Quantile::P50 | Quantile::P90 | Quantile::P99) => base.step.max(new.step),
        _ => 0.0,
    };
    effect(
        &values(one),
        &values(other),
        Doubt { kind, apart, step },
        seed,
    )
}

fn rows(base: &Side, new: &Side, options: &Options) -> Vec<Row> {
    let mut rows = Vec::new();
    for (case, one) in &base.cases {
        let Some(other) = new.seen(case) else {
            continue;
        };
        // Times of an emulator say nothing, and instructions are never set beside nanoseconds.
        let emulated = [base, new].into_iter().any(is_emulated) && !options.anyway;
        if one.unit != other.unit || emulated {
            continue;
        }
        for outcome in Outcome::ALL {
            if one.share(outcome) < WORTH || other.share(outcome) < WORTH {
                continue;
            }
            for &quantile in &options.quantiles {
                let apart = match one.unit {
                    Unit::Ns => options.apart,
                    Unit::Instructions => options.apart_counted,
                };
                let seed = options.seed.wrapping_add(rows.len() as u64);
                let figure = |keep| {
                    let seen = (one, other);
                    compared((base, new), seen, outcome, quantile, apart, seed, keep)
                };
                let left_out = one.spoilt(outcome) + other.spoilt(outcome);
                let unspoilt = match left_out {
                    0 => None,
                    _ => figure(|sample| !sample.spoilt),
                };
                rows.extend(figure(|_| true).map(|effect| Row {
                    unspoilt: unspoilt.map(|effect| Unspoilt {
                        left_out,
                        effect,
                        verdict: Verdict::CantTell,
                    }),
                    case: case.clone(),
                    outcome,
                    quantile,
                    unit: one.unit,
                    effect,
                    corrected_p: 1.0,
                    verdict: Verdict::CantTell,
                    marked: false,
                }));
            }
        }
    }
    rows
}

fn is_emulated(side: &Side) -> bool {
    let about = side.about.iter().flat_map(|about| &about.machine);
    about
        .filter(|(name, _)| *name == "virtualization")
        .any(|(_, value)| value == "tcg")
}

fn notes(base: &Side, new: &Side, rows: &[Row], options: &Options) -> Vec<String> {
    let mut notes = Vec::new();
    if [base, new].into_iter().any(is_emulated) {
        notes.push("times of an emulator (tcg) say nothing about a machine: only outcomes are compared; boot with --accel exact to compare instructions".into());
    }
    let alone = base.runs.len() == 1 || new.runs.len() == 1;
    if alone && !rows.is_empty() {
        let (apart, mend) = match rows[0].unit {
            Unit::Ns => (
                options.apart,
                "measure three or more runs a side, taking turns",
            ),
            Unit::Instructions => (options.apart_counted, "boot twice or more a side (--reps)"),
        };
        notes.push(format!(
            "a side has one run, which cannot tell how far two runs of the same thing lie apart: {:.3} % is assumed in every interval (--apart); {mend}",
            100.0 * apart
        ));
    }
    let least = |row: &&Row| {
        let (a, b) = (row.effect.base.repetitions, row.effect.new.repetitions);
        row.unit == Unit::Ns && least_p(a, b) * rows.len() as f64 >= ALPHA
    };
    let few = rows.iter().filter(least).count();
    if few > 0 {
        notes.push(format!(
            "{few} rows have too few repetitions to be told from chance among {} rows, whatever they show; measure with more --reps, more runs, or fewer scenarios",
            rows.len()
        ));
    }
    if let Some(floor) = base.floor.into_iter().chain(new.floor).reduce(f64::max) {
        let told = |row: &&Row| matches!(row.verdict, Verdict::Slower | Verdict::Faster);
        let below = |row: &&Row| row.effect.ratio.ln().abs().exp() - 1.0 <= floor;
        let doubtful = rows.iter().filter(told).filter(below);
        let named: Vec<String> = doubtful.map(Row::label).collect();
        notes.push(match &named[..] {
            [] => format!(
                "noise floor of this machine: two sides of the same lay up to {:.1} % apart (run --aa)",
                100.0 * floor
            ),
            named => format!(
                "told apart by no more than two sides of the same on this machine ({:.1} %, run --aa): {}",
                100.0 * floor,
                named.join("; ")
            ),
        });
    }
    let spoilt: usize = rows
        .iter()
        .filter_map(|row| row.unspoilt.as_ref())
        .map(|u| u.left_out)
        .sum();
    if spoilt > 0 {
        let all = rows
            .iter()
            .map(|row| row.effect.base.repetitions + row.effect.new.repetitions);
        notes.push(format!(
            "{spoilt} of {} repetitions were spoilt from outside (the host, other processes); all of them count above",
            all.sum::<usize>()
        ));
    }
    for row in rows {
        if let Some(unspoilt) = row.unspoilt.as_ref().filter(|u| u.verdict != row.verdict) {
            notes.push(format!(
                "{}: {} without the {} repetitions that were spoilt (ratio {:.3})",
                row.label(),
                unspoilt.verdict.label(),
                unspoilt.left_out,
                unspoilt.effect.ratio
            ));
        }
    }
    let signed = |seen: &Seen| !seen.differences.is_empty();
    let both = base
        .cases
        .iter()
        .filter_map(|(case, one)| Some((case, one, new.seen(case)?)));
    let (mut unlike, mut ungated) = (Vec::new(), 0);
    for (case, one, other) in both {
        match (signed(one), signed(other)) {
            (true, true) => ungated += 1,
            (true, false) | (false, true) => unlike.push(case.label()),
            (false, false) => {}
        }
    }
    if !unlike.is_empty() {
        notes.push(format!(
            "not compared: {}: one side has it as a difference of pairs, the other as what an older cowpath made of it; measure both with one version",
            unlike.join(", ")
        ));
    }
    if ungated > 0 && options.gate.is_some() {
        notes.push(format!(
            "{ungated} differences are outside the gate: a percentage of what may be 0 means nothing"
        ));
    }
    for (name, side, other) in [("base", base, new), ("new", new, base)] {
        if side.incomplete > 0 {
            notes.push(format!(
                "{} of {} runs of the {name} side were interrupted",
                side.incomplete,
                side.runs.len()
            ));
        }
        let lost: usize = side.cases.iter().map(|(_, seen)| seen.lost).sum();
        if lost > 0 {
            notes.push(format!("{lost} repetitions of the {name} side were lost"));
        }
        let cases = side.cases.iter().map(|(case, _)| case);
        let only: Vec<String> = cases
            .filter(|case| other.seen(case).is_none())
            .map(Case::label)
            .collect();
        if !only.is_empty() {
            notes.push(format!("only on the {name} side: {}", only.join(", ")));
        }
    }
    notes
}
