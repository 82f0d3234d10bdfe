//! `cowpath profile`.

use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::time::Duration;

use anyhow::{Context, Result, bail};
use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM};

use super::{exit, say};
use crate::profile::args::ProfileArgs;
use crate::profile::microscope::Request;
use crate::profile::stepped::stepped;
use crate::profile::{output, text};
use crate::scenario::catalogue;

pub(super) fn profile(args: &ProfileArgs) -> Result<u8> {
    if catalogue::find(&args.scenario).is_none() {
        bail!(
            "no scenario is called {:?}; `cowpath list` shows them all",
            args.scenario
        );
    }
    let stop = Arc::new(AtomicBool::new(false));
    for signal in [SIGINT, SIGTERM, SIGHUP] {
        signal_hook::flag::register(signal, Arc::clone(&stop))
            .context("setting up signal handlers")?;
    }
    let program = std::env::current_exe().context("finding this program's own file")?;
    let request = Request {
        scenario: &args.scenario,
        folio: args.folio,
        faults: args.faults,
        program: &program,
        cpu: args.cpu.as_deref(),
        memory_mib: args.memory,
        modules: args.modules.as_deref(),
        append: &args.append,
        time_limit: Duration::from_secs(args.time_limit),
    };
    let found = stepped(
        &request,
        args.qemu.as_deref(),
        &args.kernel,
        &args.output,
        &stop,
        &|line| eprintln!("{line}"),
    );
    let found = match found {
        Ok(found) => found,
        Err(error) => {
            eprintln!("cowpath: {error}");
            return Ok(error.exit_code());
        }
    };
    if !found.document.profiles.is_empty() {
        say(&text::document(&found.document, args.detail()))?;
        let written = output::write(&found.document, &args.output)?;
        eprintln!(
            "{} files written; open {} in a browser",
            written.files.len(),
            written.index.display()
        );
    }
    let mut code = exit::OK;
    for error in &found.failed {
        eprintln!("cowpath: {error}");
        code = code.max(error.exit_code());
    }
    Ok(code)
}
