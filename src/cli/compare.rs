//! `cowpath compare`.

use anyhow::{Result, bail};

use super::args::{CompareArgs, CompareFormat, HowArgs};
use super::inputs::{noise_profile, path_changes, run_files, side};
use crate::cli::say::say;
use crate::compare::gate::GateAnswer;
use crate::compare::options::Options;
use crate::compare::table::{self, Comparison};
use crate::exit;
use crate::profile::compare as profiles;
use crate::report::compare;
use crate::report::glance::Glance;
use crate::report::tested::{TestForm, of_comparison};

pub(super) fn compare(args: &CompareArgs) -> Result<u8> {
    if args
        .base
        .first()
        .is_some_and(|path| profiles::is_profile(path))
    {
        return paths(args);
    }
    let options = options(&args.how)?;
    let (base, new) = (
        side(&run_files(&args.base)?)?,
        side(&run_files(&args.new)?)?,
    );
    let comparison = table::compare(&base, &new, &options)?;
    say(&match args.format {
        CompareFormat::Table => compare::text(&comparison),
        CompareFormat::Markdown => compare::markdown(&comparison),
        CompareFormat::Lkml => Glance::of_comparison(&comparison).mail().join("\n") + "\n",
        CompareFormat::Json => compare::json(&comparison)?,
        CompareFormat::Benchstat => compare::benchstat(&base, &new, &options.quantiles),
        CompareFormat::Ktap => TestForm::Ktap.text(&of_comparison(&comparison))?,
        CompareFormat::Junit => TestForm::Junit.text(&of_comparison(&comparison))?,
    })?;
    Ok(gate_code(&comparison))
}

/// What the gate's answer exits with.
pub(super) fn gate_code(comparison: &Comparison) -> u8 {
    match comparison.gate.as_ref().map(|gate| gate.answer) {
        None | Some(GateAnswer::Pass) => exit::OK,
        Some(GateAnswer::Regression) => exit::REGRESSION,
        Some(GateAnswer::MeasureAgain) => exit::MEASURE_AGAIN,
    }
}

/// How sides are to be compared.
pub(super) fn options(how: &HowArgs) -> Result<Options> {
    let share = |percent: f64| percent / 100.0;
    Ok(Options {
        quantiles: how.quantile.clone(),
        gate: how.gate.map(share),
        same: share(how.same),
        primary: how.primary.clone(),
        between_runs: how.between_runs.map(share),
        noise: how.noise.as_deref().map(noise_profile).transpose()?,
        paths: path_changes(&how.paths)?,
        anyway: how.anyway,
    })
}

/// Compares profiles.
fn paths(args: &CompareArgs) -> Result<u8> {
    let how = &args.how;
    let of_rows = !how.primary.is_empty() || !how.paths.is_empty();
    if of_rows || how.noise.is_some() || how.between_runs.is_some() {
        bail!(
            "a profile is one path, to the instruction: of these options only --gate and --anyway mean something for it"
        );
    }
    let allowed = args.how.gate.map(|percent| percent / 100.0);
    let comparison = profiles::compare(&args.base, &args.new, allowed, args.how.anyway)?;
    let text = profiles::text(&comparison);
    say(&match args.format {
        CompareFormat::Table => text,
        // Its tables are wider than a mail's and are kept as they are.
        CompareFormat::Markdown => format!("```\n{text}```\n"),
        CompareFormat::Json => serde_json::to_string_pretty(&comparison)? + "\n",
        CompareFormat::Benchstat
        | CompareFormat::Lkml
        | CompareFormat::Ktap
        | CompareFormat::Junit => {
            bail!("profiles hold one path and no repetitions; use table, markdown or json")
        }
    })?;
    Ok(match comparison.passed() {
        true => exit::OK,
        false => exit::REGRESSION,
    })
}
