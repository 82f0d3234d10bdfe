//! `cowpath doctor`.

use anyhow::Result;

use super::args::DoctorArgs;
use super::{exit, measure, say};
use crate::machine::audit::Severity;
use crate::report::terminal;
use crate::run::suite;

pub(super) fn doctor(args: &DoctorArgs) -> Result<u8> {
    if args.restore {
        let done = crate::machine::tune::restore()?;
        say(&match &done[..] {
            [] => "nothing to put back".to_string(),
            done => format!("put back: {}", done.join(", ")),
        })?;
        return Ok(exit::OK);
    }
    let environment = measure::environment();
    let runner = measure::runner(60)?;
    let config = measure::smallest_config();
    let strategy = suite::examine(&environment, &runner, &config);
    if args.json {
        say(&terminal::doctor::json(&environment, &strategy)?)?;
    } else {
        say(&terminal::doctor::text(&environment, &strategy))?;
    }
    let broken = environment
        .audit
        .iter()
        .any(|check| check.severity == Severity::Error);
    Ok(if broken { exit::NOTHING } else { exit::OK })
}
