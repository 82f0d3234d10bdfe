//! `cowpath doctor`.

use anyhow::{Result, bail};

use super::args::DoctorArgs;
use super::measure;
use crate::cli::say::say;
use crate::exit;
use crate::machine::tune;
use crate::record::audit::Severity;
use crate::report::terminal;

pub(super) fn doctor(args: &DoctorArgs) -> Result<u8> {
    if args.restore {
        return restore();
    }
    let environment = measure::environment();
    let runner = measure::runner(60)?;
    let config = measure::smallest_config();
    let strategy = crate::suite::rule::examine(&environment, &runner, &config);
    if args.json {
        say(&terminal::doctor::json(&environment, &strategy)?)?;
    } else {
        say(&terminal::doctor::text(&environment, &strategy))?;
    }
    let broken = environment
        .audit
        .iter()
        .any(|check| check.severity == Severity::Error);
    Ok(if broken { exit::IMPOSSIBLE } else { exit::OK })
}

/// Puts back what a killed run has left changed.
fn restore() -> Result<u8> {
    if let Some(why) = tune::ignored() {
        tell!("cowpath: {why}");
    }
    let restored = tune::restore()?;
    for what in &restored.left_alone {
        say(&format!("left alone: {what}"))?;
    }
    if !restored.put_back.is_empty() {
        say(&format!("put back: {}", restored.put_back.join(", ")))?;
    }
    if !restored.failed.is_empty() {
        bail!(
            "not put back: {}; {folder}/journal keeps it for another try; mend with: cowpath doctor --restore, or by hand, and rm {folder}/journal",
            restored.failed.join(", "),
            folder = tune::FOLDER
        );
    }
    if restored == tune::Restored::default() {
        say("nothing to put back")?;
    }
    Ok(exit::OK)
}
