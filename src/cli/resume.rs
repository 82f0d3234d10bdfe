//! `cowpath run --resume`: an interrupted run goes on with what its file asks for.

use std::fmt::Display;
use std::path::Path;

use anyhow::{Context, Result, bail};

use super::args::{MOST_PAGES, MOST_REPS, MOST_THREADS, MOST_VALUES, RunArgs};
use crate::machine::cpulist;
use crate::machine::topology::Topology;
use crate::memory::folio::Folio;
use crate::record::io::read;
use crate::record::schema::{Config, RunFile};

/// The run in the file `path`, whose configuration is to be gone on with.
///
/// # Errors
/// Why it cannot be gone on with; among others every argument beside `--resume` that asks for something else.
pub(super) fn earlier(path: &Path, args: &RunArgs) -> Result<RunFile> {
    let earlier = read(path)?;
    if earlier.complete {
        bail!("{}: nothing to resume: this run is complete", earlier.id);
    }
    if !earlier.staged.is_empty() {
        bail!(
            "{}: --resume needs a file of `cowpath run`; found one of `cowpath stage`",
            path.display()
        );
    }
    possible(&earlier.config).with_context(|| format!("{}: cannot be resumed", path.display()))?;
    let differ = differences(args, &earlier.config)?;
    if !differ.is_empty() {
        bail!(
            "{}: --resume goes on with what the file asks for, and these arguments ask for something else: {}; leave them out, or name another file with -o",
            path.display(),
            differ.join(", ")
        );
    }
    Ok(earlier)
}

/// Whether the command line could have asked for it on this machine.
fn possible(config: &Config) -> Result<()> {
    let within = |name: &str, value: u32, most: u32| match (1..=most).contains(&value) {
        true => Ok(()),
        false => bail!("its {name} is {value}; from 1 to {most} is possible"),
    };
    within("config.pages", config.pages, MOST_PAGES)?;
    for (name, value) in [
        ("config.trials", config.trials),
        ("config.race_trials", config.race_trials),
    ] {
        within(name, value, MOST_REPS)?;
    }
    for (name, value) in [
        ("config.reps", config.reps),
        ("config.race_reps", config.race_reps),
        ("config.slow_reps", config.slow_reps),
    ] {
        within(name, value, 2 * MOST_REPS)?;
    }
    for &threads in &config.threads {
        within("config.threads", threads, MOST_THREADS)?;
    }
    let longest = [
        config.threads.len(),
        config.skew.len(),
        config.strategies.len(),
    ];
    if longest.iter().any(|&values| values > MOST_VALUES) || config.skew.is_empty() {
        bail!("its config has a list of threads, skews or strategies that no command line gives");
    }
    for &folio in &config.folios {
        Folio::try_from(folio)
            .map_err(anyhow::Error::msg)
            .context("its config.folios")?;
    }
    let allowed = Topology::read()
        .context("reading the CPU topology")?
        .order();
    let lacking = config.cpus.iter().find(|cpu| !allowed.contains(cpu));
    if lacking.is_some() || config.cpus.is_empty() {
        let mut allowed = allowed;
        allowed.sort_unstable();
        bail!(
            "it ran on CPUs {}; this process may use {}",
            cpulist::format(&config.cpus),
            cpulist::format(&allowed)
        );
    }
    Ok(())
}

/// Every argument that was given and asks for something else than `config`.
fn differences(args: &RunArgs, config: &Config) -> Result<Vec<String>> {
    let mut differ = Vec::new();
    let mut compare = |name: &str, given: Option<String>, has: String| {
        if let Some(given) = given.filter(|given| *given != has) {
            let has = if has.is_empty() { "none" } else { &has };
            differ.push(format!("{name} {given} (the file has {has})"));
        }
    };
    compare(
        "scenarios",
        list(&args.globs, " "),
        joined(&config.scenarios, " "),
    );
    let cpus = args.cpus.as_deref().map(cpulist::parse).transpose();
    let cpus = cpus.with_context(|| format!("--cpus {}", args.cpus.as_deref().unwrap_or("")))?;
    compare(
        "--cpus",
        cpus.map(|cpus| joined(&cpus, ",")),
        joined(&config.cpus, ","),
    );
    compare("--pages", text(args.pages), config.pages.to_string());
    // One number is asked for where a file has one for each kind of scenario.
    let of_each_kind = |values: &[u32]| {
        let mut values = values.to_vec();
        values.dedup();
        joined(&values, " or ")
    };
    let trials = of_each_kind(&[config.trials, config.race_trials]);
    compare("--trials", text(args.trials), trials);
    let sides = if config.aa { 2 } else { 1 };
    let reps = [config.reps, config.race_reps, config.slow_reps];
    let reps = of_each_kind(&reps.map(|reps| reps / sides));
    compare("--reps", text(args.reps), reps);
    compare(
        "--threads",
        list(&args.threads, ","),
        joined(&config.threads, ","),
    );
    compare("--skew", list(&args.skew, ","), joined(&config.skew, ","));
    compare(
        "--folio",
        list(&args.folio, ","),
        joined(&config.folios, ","),
    );
    compare(
        "--strategy",
        list(&args.strategy, ","),
        joined(&config.strategies, ","),
    );
    compare("--seed", text(args.seed), config.seed.to_string());
    let shown = |value: Option<f64>| value.map(|share| format!("{}%", 100.0 * share));
    let until = shown(config.until_mde).unwrap_or_default();
    compare("--until-mde", shown(args.until_mde), until);
    let seconds = |value: Option<u64>| value.map(|seconds| format!("{seconds}s"));
    let budget = seconds(config.budget_s).unwrap_or_default();
    compare("--budget", seconds(args.budget), budget);
    for (name, given, has) in [
        ("--oversubscribe", args.oversubscribe, config.oversubscribe),
        ("--quick", args.quick, config.quick),
        ("--aa", args.aa, config.aa),
        ("--tune", args.tune, config.tune),
    ] {
        if given && !has {
            differ.push(format!("{name} (the file is without)"));
        }
    }
    Ok(differ)
}

fn joined<T: Display>(values: &[T], by: &str) -> String {
    let values: Vec<String> = values.iter().map(T::to_string).collect();
    values.join(by)
}

/// A list that was given; an empty one was not.
fn list<T: Display>(values: &[T], by: &str) -> Option<String> {
    (!values.is_empty()).then(|| joined(values, by))
}

fn text<T: Display>(value: Option<T>) -> Option<String> {
    value.map(|value| value.to_string())
}
