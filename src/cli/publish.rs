//! `cowpath report`.

use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};

use super::args::ReportArgs;
use super::compare::{gate_code, options};
use super::inputs::run_files;
use crate::cli::say::say;
use crate::compare::history::history;
use crate::compare::options::Options;
use crate::compare::side::Side;
use crate::compare::table::compare;
use crate::profile::compare as profiles;
use crate::record::io::read_each;
use crate::record::schema::RunFile;
use crate::report::Across;
use crate::report::error::Written;
use crate::report::packages::{KernelPackage, packages};
use crate::report::view::version;
use crate::suite::pool::Pool;
use crate::{exit, report};

/// Most runs that a page shows one by one; of more, those of one kernel and machine become one.
const APART: usize = 8;
/// Fewest kernels that make a history: of fewer, one sees at a glance what changed.
const FEWEST: usize = 4;

pub(super) fn report(args: &ReportArgs) -> Result<u8> {
    if let Some(profile) = args.runs.iter().find(|path| profiles::is_profile(path)) {
        if args.runs.len() > 1 || !args.new.is_empty() {
            bail!(
                "{}: a profile has a page of its own; `cowpath compare` sets two side by side",
                profile.display()
            );
        }
        return told(&crate::profile::output::write(
            &profiles::read(profile)?,
            &args.output,
        )?);
    }
    if args.new.is_empty() && args.how.gate.is_some() {
        bail!("--gate judges the runs of --with NEW against these; name them");
    }
    let base = run_files(&args.runs)?;
    let written = if args.new.is_empty() {
        let (runs, mut across) = runs(&base, options(&args.how)?)?;
        across.packages = args.packages.as_deref().map_or(Ok(Vec::new()), locked)?;
        report::write_across(&runs, across, &args.output)?
    } else {
        let (base, before) = side(&base)?;
        let (new, after) = side(&run_files(&args.new)?)?;
        let comparison = compare(&base, &new, &options(&args.how)?)?;
        let code = gate_code(&comparison);
        told(&report::write_compared(
            &[before, after],
            comparison,
            &args.output,
        )?)?;
        return Ok(code);
    };
    told(&written)
}

/// The packages that a lock file names.
fn locked(path: &Path) -> Result<Vec<KernelPackage>> {
    let text = std::fs::read_to_string(path).with_context(|| path.display().to_string())?;
    packages(&text).map_err(|why| anyhow::anyhow!("{}: {why}", path.display()))
}

fn told(written: &Written) -> Result<u8> {
    tell!(
        "{} files written; open this one in a browser:",
        written.files.len()
    );
    say(&written.index.display().to_string())?;
    Ok(exit::OK)
}

/// The runs as a page shows them: one by one where they are few and of one kernel, else those of one kernel and machine as one;
/// and of several kernels how the last compares with the first.
fn runs(paths: &[PathBuf], options: Options) -> Result<(Vec<RunFile>, Across)> {
    let mut apart: Vec<RunFile> = Vec::new();
    let mut pools: Vec<(Vec<String>, Pool, Side)> = Vec::new();
    read_each(paths, |path, run| {
        let host = &run.host;
        let key = [
            host.kernel.release.as_str(),
            &host.kernel.version,
            &host.cpu,
            host.virtualization.name(),
            run.clock.source.label(),
            run.strategy.small.label(),
        ];
        let key = key.map(str::to_string).to_vec();
        if paths.len() <= APART {
            apart.push(run.clone());
        }
        match pools.iter_mut().find(|(other, _, _)| *other == key) {
            Some((_, pool, side)) => {
                side.add(&run);
                pool.add(run).with_context(|| name(path))?;
            }
            None => {
                let mut side = Side::default();
                side.add(&run);
                pools.push((key, Pool::new(run).with_context(|| name(path))?, side));
            }
        }
        anyhow::Ok(())
    })?;
    pools.sort_by_key(|(key, _, _)| version(&key[0]));
    let ends = match &pools[..] {
        [(_, _, first), .., (_, _, last)] => compare(first, last, &options).ok(),
        _ => None,
    };
    let mut releases: Vec<&String> = pools.iter().map(|(key, _, _)| &key[0]).collect();
    releases.dedup();
    let sides: Vec<&Side> = pools.iter().map(|(_, _, side)| side).collect();
    let is_history = releases.len() == pools.len() && pools.len() >= FEWEST;
    let across = Across {
        ends,
        history: is_history.then(|| history(&sides, &options)),
        paths: options.paths,
        packages: Vec::new(),
    };
    if paths.len() <= APART && (pools.len() == 1 || pools.len() == paths.len()) {
        return Ok((apart, across));
    }
    tell!(
        "{} run files of {} kernels or machines; the runs of each are shown as one",
        paths.len(),
        pools.len()
    );
    let runs = pools.into_iter().map(|(_, pool, _)| as_one(pool));
    Ok((runs.collect::<Result<_>>()?, across))
}

/// The runs of one side, for the comparison and as one.
fn side(paths: &[PathBuf]) -> Result<(Side, RunFile)> {
    let mut side = Side::default();
    let mut pool: Option<Pool> = None;
    read_each(paths, |path, run| {
        side.add(&run);
        match &mut pool {
            Some(pool) => pool.add(run).with_context(|| name(path))?,
            None => pool = Some(Pool::new(run).with_context(|| name(path))?),
        }
        anyhow::Ok(())
    })?;
    let pool = pool.context("a side has no run files")?;
    Ok((side, as_one(pool)?))
}

fn as_one(pool: Pool) -> Result<RunFile> {
    pool.finish().context("the run files as one")
}

fn name(path: &Path) -> String {
    path.display().to_string()
}
