//! `cowpath vm`.

use std::time::Duration;

use anyhow::{Context, Result, bail};
use clap::Parser;

use super::args::{Cli, Command, RunArgs};
use super::measure::config_on;
use super::signals::stop_on_signals;
use crate::cli::say::say;
use crate::exit;
use crate::guest::args::{VmArgs, exit_code};
use crate::guest::patience::Work;
use crate::guest::{GuestOutcome, GuestResult, run};
use crate::scenario::catalogue::choose;
use crate::suite::case::Case;
use crate::suite::counting::COUNTED;
use crate::suite::pace;

pub(super) fn vm(args: &VmArgs) -> Result<u8> {
    let words = ["cowpath", "run"].map(str::to_owned);
    let asked = match Cli::try_parse_from(words.iter().chain(&args.run)) {
        Ok(Cli {
            command: Command::Run(asked),
        }) => asked,
        Ok(_) => bail!("arguments for `cowpath run` were needed behind --"),
        Err(error) => {
            error.print()?;
            return Ok(u8::try_from(error.exit_code()).unwrap_or(exit::USAGE));
        }
    };
    let work =
        work(&asked, args.cpus().count()).context("the arguments for `cowpath run` behind --")?;
    let lab = args.lab(work).context("finding this program's own file")?;
    stop_on_signals(&lab.guest.stop)?;
    match run(&lab, &mut |line| tell!("{line}")) {
        Ok(results) => {
            for result in &results {
                say(&line(result))?;
            }
            if results.iter().any(GuestResult::has_run_file) {
                tell!(
                    "next: cowpath report {}/*.json -o report",
                    args.output.display()
                );
            }
            Ok(exit_code(&results))
        }
        Err(error) => {
            tell!("cowpath: {error}");
            Ok(error.exit_code())
        }
    }
}

/// What the arguments ask of a guest with so many CPUs, as near as this machine knows: the folio sizes that the guest's
/// kernel has are its own.
///
/// # Errors
/// If the guest would refuse them, too.
fn work(asked: &RunArgs, cpus: u32) -> Result<Work> {
    if asked.output.is_some() {
        bail!("-o was given: run files go into the folder that -o names before the --");
    }
    if asked.resume {
        bail!("--resume was given: a guest begins anew, and no earlier run file is in it");
    }
    let scenarios = choose(&asked.globs)?;
    let config = config_on(asked, (0..cpus).collect())?;
    let is_timed = config.budget_s.is_some() || config.until_mde.is_some();
    let cases = Case::all(&scenarios, &config);
    let repetitions = cases.iter().map(|case| {
        // Of a run for a given time, each case is measured at least once.
        let reps = if is_timed { 1 } else { u64::from(case.reps) };
        // Twice: what the PMU counts, and what the kernel does.
        reps + if case.is_counted() {
            2 * COUNTED as u64
        } else {
            0
        }
    });
    Ok(Work {
        repetitions: repetitions.sum(),
        limit: asked.limit.map(Duration::from_secs),
        budget: is_timed.then(|| pace::budget(&config)),
    })
}

/// Label, repetition, outcome and run file or reason (with the partial file, if there is one), separated by tabs.
fn line(result: &GuestResult) -> String {
    let (outcome, what) = match &result.outcome {
        GuestOutcome::Finished { run_file, status } => (
            format!("exit {status}"),
            run_file
                .as_ref()
                .map_or("no run file".to_owned(), |path| path.display().to_string()),
        ),
        GuestOutcome::Lost {
            reason, partial, ..
        } => {
            let partial = partial.as_ref().map_or(String::new(), |path| {
                format!("; what it had measured is in {}", path.display())
            });
            ("lost".to_owned(), format!("{reason}{partial}"))
        }
    };
    format!("{}\t{}\t{outcome}\t{what}", result.label, result.rep)
}
