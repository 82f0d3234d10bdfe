//! `cowpath stage`.

use anyhow::{Context, Result};

use super::measure;
use super::signals::stop_on_signals;
use crate::cli::say::say;
use crate::exit;
use crate::report::tested::{TestResult, Tested, of_run};
use crate::report::timeline;
use crate::stage::args::{ControllerArgs, StageArgs};
use crate::stage::controller::{ControllerError, control};
use crate::stage::lab::{Shown, exit_code, run};
use crate::suite::schedule::Suite;

pub(super) fn stage(args: &StageArgs) -> Result<u8> {
    let program = std::env::current_exe().context("finding this program's own file")?;
    let stage = args.stage(program)?;
    if args.list {
        say(&timeline::catalogue(&stage.races))?;
        return Ok(exit::OK);
    }
    stop_on_signals(&stage.guest.stop)?;
    let mut said = Ok(());
    let mut all = Vec::new();
    let done = run(
        &stage,
        &|line| tell!("{line}"),
        &mut |one| match args.format {
            Some(_) => all.extend(tests(one)),
            None if said.is_ok() => said = say(&text(one)),
            None => {}
        },
    );
    said?;
    if let Some(form) = args.format {
        say(&form.text(&all)?)?;
    }
    match done {
        Ok(shown) => Ok(exit_code(&shown)),
        Err(error) => {
            tell!("cowpath: {error}");
            Ok(error.exit_code())
        }
    }
}

/// One kernel's races as tests; a guest that was lost is one of its own.
fn tests(shown: &Shown) -> Vec<Tested> {
    let mut tests = shown.run.as_ref().map_or(Vec::new(), of_run);
    tests.extend(shown.lost.as_ref().map(|reason| Tested {
        suite: shown.label.clone(),
        name: "the guest".into(),
        result: TestResult::Failed,
        why: vec![reason.clone()],
    }));
    for test in &mut tests {
        test.suite.clone_from(&shown.label);
    }
    tests
}

/// One kernel's races, one after the other, and where the run file is.
fn text(shown: &Shown) -> String {
    let mut out = format!("== {}\n", shown.label);
    if let Some(run) = &shown.run {
        out += &format!("strategy: {}\n\n", run.strategy.small.label());
        for result in &run.staged {
            out += &timeline::text(result);
            out.push('\n');
        }
        for skipped in &run.skipped {
            out += &format!("{}: skipped: {}\n", skipped.scenario, skipped.reason);
        }
    }
    if let Some(reason) = &shown.lost {
        out += &format!("LOST: {reason}\n");
    }
    if let Some(file) = &shown.file {
        out += &format!("run file: {}\n", file.display());
    }
    out
}

/// In the guest: the same program, asked by its own init.
pub(super) fn controller(args: &ControllerArgs) -> Result<(), ControllerError> {
    control(&args.programme(), || {
        let environment = measure::environment();
        let runner = measure::runner(60).map_err(|e| e.to_string())?;
        let config = measure::smallest_config();
        Ok(Suite::new(&environment, &runner, config, &[]).file(false))
    })
}
