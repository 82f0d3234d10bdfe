//! `cowpath profile`.

use std::sync::Arc;

use anyhow::{Context, Result, bail};

use super::signals::stop_on_signals;
use crate::cli::say::say;
use crate::exit;
use crate::profile::args::ProfileArgs;
use crate::profile::sampled::sampled;
use crate::profile::stepped::{SteppedKernels, stepped};
use crate::profile::{output, text};
use crate::scenario::catalogue;

pub(super) fn profile(args: &ProfileArgs) -> Result<u8> {
    if catalogue::find(&args.scenario).is_none() {
        bail!(
            "no scenario is called {:?}; `cowpath list` shows them all",
            args.scenario
        );
    }
    let program = std::env::current_exe().context("finding this program's own file")?;
    if args.kernel.is_empty() && !args.guest.append.is_empty() {
        bail!("--append was given, which is for kernels that are booted, and no --kernel");
    }
    let found = if args.kernel.is_empty() {
        let stop = Arc::default();
        stop_on_signals(&stop)?;
        sampled(&args.task(), &program, &stop).map(|document| SteppedKernels {
            document,
            failed: Vec::new(),
        })
    } else {
        let request = args.request(program);
        stop_on_signals(&request.guest.stop)?;
        stepped(&request, &args.kernel, &args.output, &|line| {
            tell!("{line}")
        })
    };
    let found = match found {
        Ok(found) => found,
        Err(error) => {
            tell!("cowpath: {error}");
            return Ok(error.exit_code());
        }
    };
    if !found.document.profiles.is_empty() {
        say(&text::document(&found.document, args.detail()))?;
        let written = output::write(&found.document, &args.output)?;
        tell!(
            "{} files written; open {} in a browser",
            written.files.len(),
            written.index.display()
        );
    }
    let mut code = exit::OK;
    for error in &found.failed {
        tell!("cowpath: {error}");
        code = code.max(error.exit_code());
    }
    Ok(code)
}
