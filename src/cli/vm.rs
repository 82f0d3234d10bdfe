//! `cowpath vm`.

use anyhow::{Context, Result};

use super::say;
use super::signals::stop_on_signals;
use crate::vm::args::{VmArgs, exit_code};
use crate::vm::{GuestOutcome, GuestResult, run};

pub(super) fn vm(args: &VmArgs) -> Result<u8> {
    let lab = args.lab().context("finding this program's own file")?;
    stop_on_signals(&lab.stop)?;
    match run(&lab, &mut |line| tell!("{line}")) {
        Ok(results) => {
            for result in &results {
                say(&line(result))?;
            }
            Ok(exit_code(&results))
        }
        Err(error) => {
            tell!("cowpath: {error}");
            Ok(error.exit_code())
        }
    }
}

/// Release, repetition, outcome and run file or reason, separated by tabs.
fn line(result: &GuestResult) -> String {
    let (outcome, what) = match &result.outcome {
        GuestOutcome::Finished { run_file, status } => (
            format!("exit {status}"),
            run_file
                .as_ref()
                .map_or("no run file".to_owned(), |path| path.display().to_string()),
        ),
        GuestOutcome::Lost { reason, .. } => ("lost".to_owned(), reason.clone()),
    };
    format!("{}\t{}\t{outcome}\t{what}", result.release, result.rep)
}
