//! What an interrupt from the terminal, a hang-up and a request to terminate do to a command that runs for long.

use std::sync::Arc;
use std::sync::atomic::AtomicBool;

use anyhow::{Context, Result};
use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM};
use signal_hook::flag::{register, register_conditional_shutdown};

use crate::exit;

/// Has the first such signal set `stop`, and a second one end the program at once.
pub(super) fn stop_on_signals(stop: &Arc<AtomicBool>) -> Result<()> {
    for signal in [SIGINT, SIGTERM, SIGHUP] {
        register_conditional_shutdown(signal, i32::from(exit::INTERRUPTED), Arc::clone(stop))
            .and_then(|_| register(signal, Arc::clone(stop)))
            .context("setting up signal handlers")?;
    }
    Ok(())
}
