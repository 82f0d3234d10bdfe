//! `cowpath compare`.

use std::path::PathBuf;

use anyhow::Result;

use super::args::{CompareArgs, CompareFormat};
use super::{exit, say};
use crate::report::compare;
use crate::run::io::read;
use crate::stats::compare::side::Side;
use crate::stats::compare::table::{self, Options};

pub(super) fn compare(args: &CompareArgs) -> Result<u8> {
    let defaults = Options::default();
    let options = Options {
        quantiles: args.quantile.clone(),
        gate: args.gate.map(|percent| percent / 100.0),
        apart: args.apart.map_or(defaults.apart, |p| p / 100.0),
        apart_counted: args.apart.map_or(defaults.apart_counted, |p| p / 100.0),
        anyway: args.anyway,
        seed: args.seed,
    };
    let (base, new) = (side(&args.base)?, side(&args.new)?);
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

/// Reads one run file after the other and keeps only what a comparison needs.
fn side(paths: &[PathBuf]) -> Result<Side> {
    let mut side = Side::default();
    for path in paths {
        side.add(&read(path)?);
    }
    Ok(side)
}
