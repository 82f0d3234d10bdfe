//! `cowpath compare`.

use std::path::PathBuf;

use anyhow::{Result, bail};

use super::args::{CompareArgs, CompareFormat};
use super::inputs::run_files;
use crate::cli::say::say;
use crate::compare::options::Options;
use crate::compare::side::Side;
use crate::compare::table;
use crate::exit;
use crate::profile::compare as profiles;
use crate::record::io::{ReadError, read_each};
use crate::report::compare;

pub(super) fn compare(args: &CompareArgs) -> Result<u8> {
    if args
        .base
        .first()
        .is_some_and(|path| profiles::is_profile(path))
    {
        return paths(args);
    }
    let defaults = Options::default();
    let options = Options {
        quantiles: args.quantile.clone(),
        gate: args.gate.map(|percent| percent / 100.0),
        between_runs: args
            .between_runs
            .map_or(defaults.between_runs, |p| p / 100.0),
        between_runs_counted: args
            .between_runs
            .map_or(defaults.between_runs_counted, |p| p / 100.0),
        anyway: args.anyway,
        seed: args.seed,
    };
    let (base, new) = (
        side(&run_files(&args.base)?)?,
        side(&run_files(&args.new)?)?,
    );
    let comparison = table::compare(&base, &new, &options)?;
    say(&match args.format {
        CompareFormat::Table => compare::text(&comparison),
        CompareFormat::Markdown => compare::markdown(&comparison),
        CompareFormat::Json => compare::json(&comparison)?,
        CompareFormat::Benchstat => compare::benchstat(&base, &new, &options.quantiles),
    })?;
    let failed = comparison.gate.is_some_and(|gate| !gate.passed());
    Ok(if failed { exit::REGRESSION } else { exit::OK })
}

/// Compares profiles.
fn paths(args: &CompareArgs) -> Result<u8> {
    let allowed = args.gate.map(|percent| percent / 100.0);
    let comparison = profiles::compare(&args.base, &args.new, allowed, args.anyway)?;
    let text = profiles::text(&comparison);
    say(&match args.format {
        CompareFormat::Table => text,
        // Its tables are wider than a mail's and are kept as they are.
        CompareFormat::Markdown => format!("```\n{text}```\n"),
        CompareFormat::Json => serde_json::to_string_pretty(&comparison)? + "\n",
        CompareFormat::Benchstat => {
            bail!(
                "profiles hold one path, not repetitions for benchstat; use table, markdown or json"
            )
        }
    })?;
    Ok(match comparison.passed() {
        true => exit::OK,
        false => exit::REGRESSION,
    })
}

/// Reads one run file after the other and keeps only what a comparison needs.
fn side(paths: &[PathBuf]) -> Result<Side> {
    let mut side = Side::default();
    read_each::<ReadError>(paths, |_, run| {
        side.add(&run);
        Ok(())
    })?;
    Ok(side)
}
