//! What a reader of a comparison must know beside its rows.

use super::side::{CaseSample, Side};
use crate::compare::options::{ALPHA, Options, Verdict};
use crate::compare::row::{Row, is_emulated, unlike_states};
use crate::record::case::CaseId;
use crate::record::unit::Unit;
use crate::stats::rank::least_p;

pub(super) fn notes(base: &Side, new: &Side, rows: &[Row], options: &Options) -> Vec<String> {
    let of_rows = [
        emulated(base, new),
        one_run(base, new, rows, options),
        too_few(rows),
        noise_floor(base, new, rows),
        disturbed(rows),
    ];
    let mut notes: Vec<String> = of_rows.into_iter().flatten().collect();
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

fn one_run(base: &Side, new: &Side, rows: &[Row], options: &Options) -> Option<String> {
    let alone = base.runs.len() == 1 || new.runs.len() == 1;
    let first = rows.first().filter(|_| alone)?;
    let (between_runs, mend) = match first.unit {
        Unit::Ns => (
            options.between_runs,
            "measure three or more runs a side, taking turns",
        ),
        Unit::Instructions => (
            options.between_runs_counted,
            "boot twice or more a side (--reps)",
        ),
    };
    Some(format!(
        "a side has one run, which cannot tell how far two runs of the same thing lie apart: {:.3} % is assumed in every interval (--between-runs); {mend}",
        100.0 * between_runs
    ))
}

fn too_few(rows: &[Row]) -> Option<String> {
    let least = |row: &&Row| {
        let (a, b) = (row.effect.base.repetitions, row.effect.new.repetitions);
        row.unit == Unit::Ns && least_p(a, b) * rows.len() as f64 >= ALPHA
    };
    let few = rows.iter().filter(least).count();
    (few > 0).then(|| {
        format!(
            "{few} rows have too few repetitions to be told from chance among {} rows, whatever they show; measure with more --reps, more runs, or fewer scenarios",
            rows.len()
        )
    })
}

fn noise_floor(base: &Side, new: &Side, rows: &[Row]) -> Option<String> {
    let floor = base.floor.into_iter().chain(new.floor).reduce(f64::max)?;
    let told = |row: &&Row| matches!(row.verdict, Verdict::Slower | Verdict::Faster);
    let below = |row: &&Row| row.effect.ratio.ln().abs().exp() - 1.0 <= floor;
    let doubtful = rows.iter().filter(told).filter(below);
    let named: Vec<String> = doubtful.map(Row::label).collect();
    let floor = 100.0 * floor;
    Some(match &named[..] {
        [] => format!(
            "noise floor of this machine: two sides of the same lay up to {floor:.1} % apart (run --aa)"
        ),
        named => format!(
            "told apart by no more than two sides of the same on this machine ({floor:.1} %, run --aa): {}",
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
                other.effect.ratio
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
