//! What a reader of a comparison must know beside its rows.

use super::paths;
use super::side::{CaseSample, Side};
use crate::compare::options::{Options, Verdict};
use crate::compare::row::{Row, is_emulated, unlike_states};
use crate::compare::signed::SignedRow;
use crate::record::case::CaseId;
use crate::record::unit::Unit;
use crate::stats::question::Footing;

pub(super) fn notes(
    base: &Side,
    new: &Side,
    rows: &[Row],
    differences: &[SignedRow],
    options: &Options,
) -> Vec<String> {
    let of_rows = [
        emulated(base, new),
        noise_floor(base, new, rows),
        disturbed(rows),
    ];
    let mut notes: Vec<String> = of_rows.into_iter().flatten().collect();
    notes.extend(footings(rows, differences, options));
    let kernels = [base, new].map(|side| side.told("kernel"));
    notes.extend(paths::notes(rows, &options.paths, &kernels));
    notes.extend(exploratory(rows));
    notes.extend(without_disturbed(rows));
    notes.extend(signed(base, new, options));
    if !options.anyway {
        notes.extend(not_alike(base, new));
    }
    notes.extend(of_side("base", base, new));
    notes.extend(of_side("new", new, base));
    notes
}

fn emulated(base: &Side, new: &Side) -> Option<String> {
    let is = [base, new].into_iter().any(is_emulated);
    is.then(|| "times of an emulator (tcg) say nothing about a machine: only outcomes are compared; boot with --accel exact to compare instructions".into())
}

/// What the rows rest on, where that is not several runs a side that say how far they lie apart.
fn footings(rows: &[Row], differences: &[SignedRow], options: &Options) -> Vec<String> {
    let of_rows = rows
        .iter()
        .map(|row| (row.effect.footing, row.unit, row.label()));
    let of_differences = differences
        .iter()
        .map(|row| (row.effect.footing, row.unit, row.case.label()));
    let all: Vec<(Footing, Unit, String)> = of_rows.chain(of_differences).collect();
    let of = |footing: Footing| all.iter().filter(move |(found, _, _)| *found == footing);
    let mut notes = Vec::new();
    if let Some(first) = of(Footing::OneRun).next() {
        notes.push(match first.1 {
            Unit::Ns => "a side has one run, and nothing says how far two runs of the same thing lie apart: no verdict; measure \
                         three or more runs a side, taking turns, or give what `cowpath noise` measured (--noise FILE, \
                         --between-runs PCT)"
                .to_string(),
            Unit::Instructions => {
                "a side has one boot, and one cannot tell whether boots agree: no verdict; boot twice or more a side (--reps)".into()
            }
        });
    }
    if of(Footing::Measured).next().is_some() {
        notes.push(match options.between_runs {
            Some(share) => format!(
                "each side has one run: that runs of the same vary by {:.3} % (standard deviation, --between-runs) is taken as given",
                100.0 * share
            ),
            None => "each side has one run: how far runs of the same lie apart is from --noise".into(),
        });
    }
    let differ: Vec<String> = of(Footing::BootsDiffer).map(|row| row.2.clone()).collect();
    if !differ.is_empty() {
        notes.push(format!(
            "WARNING: boots of one side, which should say the same, differ, so these are estimates and no facts: {}",
            differ.join("; ")
        ));
    }
    if of(Footing::Layouts).next().is_some() {
        let labels: Vec<String> = of(Footing::Layouts).map(|row| row.2.clone()).collect();
        notes.push(format!(
            "how much these differ depends on where the area lies among a process's mappings: an estimate over the layouts of the \
             repetitions, which more boots do not sharpen, but more --reps do: {}",
            labels.join("; ")
        ));
    }
    if of(Footing::Pairs).next().is_some() {
        notes.push(
            "runs took turns: compared pair by pair, which a drift of the machine does not reach"
                .into(),
        );
    }
    notes
}

fn exploratory(rows: &[Row]) -> Option<String> {
    let others = rows.iter().filter(|row| !row.primary).count();
    (others > 0).then(|| {
        format!(
            "{others} rows are exploratory (marked ~): the comparison was not made for them (--primary), they share a fifth of the \
             table's chance of a false verdict, and the gate does not look at them"
        )
    })
}

fn noise_floor(base: &Side, new: &Side, rows: &[Row]) -> Option<String> {
    let floor = base.floor.into_iter().chain(new.floor).reduce(f64::max)?;
    let told = |row: &&Row| matches!(row.verdict, Verdict::Slower | Verdict::Faster);
    let below = |row: &&Row| row.effect.change.ln().abs().exp() - 1.0 <= floor;
    let doubtful = rows.iter().filter(told).filter(below);
    let named: Vec<String> = doubtful.map(Row::label).collect();
    let floor = 100.0 * floor;
    Some(match &named[..] {
        [] => format!(
            "noise within a run: of two sides of the same that took turns in one run, 95 % of medians lay within {floor:.1} % (run --aa)"
        ),
        named => format!(
            "told apart by no more than two sides of the same within one run ({floor:.1} %, run --aa): {}",
            named.join("; ")
        ),
    })
}

fn disturbed(rows: &[Row]) -> Option<String> {
    let undisturbed = rows.iter().filter_map(|row| row.undisturbed.as_ref());
    let disturbed: usize = undisturbed.map(|u| u.left_out).sum();
    let all = rows
        .iter()
        .map(|row| row.effect.base.repetitions + row.effect.new.repetitions);
    (disturbed > 0).then(|| {
        format!(
            "{disturbed} of {} repetitions were disturbed from outside (the host, other processes); all of them count above",
            all.sum::<usize>()
        )
    })
}

/// The rows whose verdict hangs on disturbed repetitions.
fn without_disturbed(rows: &[Row]) -> impl Iterator<Item = String> {
    rows.iter().filter_map(|row| {
        let other = row.undisturbed.as_ref()?;
        (other.verdict != row.verdict).then(|| {
            format!(
                "{}: {} without the {} repetitions that were disturbed (ratio {:.3})",
                row.label(),
                other.verdict.label(),
                other.left_out,
                other.effect.change
            )
        })
    })
}

/// What is to be known of differences of pairs.
fn signed(base: &Side, new: &Side, options: &Options) -> Vec<String> {
    let signed = |seen: &CaseSample| !seen.differences.is_empty();
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
    let mut notes = Vec::new();
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
    notes
}

/// The cases whose page state is another one on either side.
fn not_alike(base: &Side, new: &Side) -> impl Iterator<Item = String> {
    base.cases.iter().filter_map(|(case, one)| {
        let (one, other) = (&one.setup, &new.seen(case)?.setup);
        unlike_states(one, other).then(|| {
            format!(
                "not compared: {}: base has {}, new {}",
                case.label(),
                one.state.join(" and "),
                other.state.join(" and ")
            )
        })
    })
}

/// What one side lacks.
fn of_side(name: &str, side: &Side, other: &Side) -> Vec<String> {
    let mut notes = Vec::new();
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
        .map(CaseId::label)
        .collect();
    if !only.is_empty() {
        notes.push(format!("only on the {name} side: {}", only.join(", ")));
    }
    notes
}
