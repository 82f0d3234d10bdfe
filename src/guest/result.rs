//! What became of one guest.

use std::fmt;
use std::path::PathBuf;
use std::time::Duration;

use serde::Serialize;

use super::boot::Boot;

/// What became of one boot of one kernel.
#[derive(Clone, Debug, Serialize)]
pub struct GuestResult {
    /// The image.
    pub kernel: PathBuf,
    /// Its release as read from the image.
    pub release: String,
    /// What it is called, and its files: the release, and what tells it from the lab's other kernels.
    pub label: String,
    /// The words that were added to its command line.
    pub append: String,
    /// Which repetition, from 1.
    pub rep: u32,
    /// How it ended.
    #[serde(flatten)]
    pub outcome: GuestOutcome,
    /// The panic that made this a second attempt.
    pub retried: Option<String>,
    /// Where the console's text is; absent if nothing was booted.
    pub console: Option<PathBuf>,
    /// Where the time went.
    pub timing: Timing,
}

/// How a guest ended.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase", tag = "outcome")]
pub enum GuestOutcome {
    /// The suite ran to an end of its own.
    Finished {
        /// The run file; absent if the suite wrote none.
        run_file: Option<PathBuf>,
        /// The suite's exit code.
        status: u8,
    },
    /// The guest is gone; what it had measured until then is no result of the suite.
    Lost {
        /// What happened.
        reason: String,
        /// A run file with what it had measured and sent, marked as incomplete; absent if there is none.
        partial: Option<PathBuf>,
        /// The console's last lines.
        console_tail: Vec<String>,
    },
}

/// Where a boot's wall-clock time went, in seconds.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize)]
pub struct Timing {
    /// Making the initramfs.
    pub pack_s: f64,
    /// QEMU's start to init's set-up done.
    pub to_init_s: Option<f64>,
    /// The suite itself.
    pub suite_s: Option<f64>,
    /// The suite's end to QEMU's: bringing the run file back and powering off.
    pub to_exit_s: Option<f64>,
}

impl GuestResult {
    /// Whether there is a run file, be it a partial one.
    pub fn has_run_file(&self) -> bool {
        match &self.outcome {
            GuestOutcome::Finished { run_file, .. } => run_file.is_some(),
            GuestOutcome::Lost { partial, .. } => partial.is_some(),
        }
    }
}

impl Timing {
    pub(super) fn new(pack: Duration, boot: &Boot) -> Self {
        let seconds = |time: Option<Duration>| time.map(|time| time.as_secs_f64());
        Self {
            pack_s: pack.as_secs_f64(),
            to_init_s: seconds(boot.to_init),
            suite_s: seconds(boot.suite),
            to_exit_s: seconds(boot.to_exit),
        }
    }
}

/// The outcome in a line.
impl fmt::Display for GuestResult {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.outcome {
            GuestOutcome::Finished {
                run_file: Some(path),
                status: 0,
            } => {
                write!(f, "{}", path.display())
            }
            GuestOutcome::Finished {
                run_file: Some(path),
                status,
            } => {
                write!(f, "{} (the run exited with {status})", path.display())
            }
            GuestOutcome::Finished {
                run_file: None,
                status,
            } => {
                write!(f, "no run file; the run exited with {status}")
            }
            GuestOutcome::Lost {
                reason,
                partial: None,
                ..
            } => write!(f, "LOST: {reason}; nothing that it measured has arrived"),
            GuestOutcome::Lost {
                reason,
                partial: Some(path),
                ..
            } => {
                let path = path.display();
                write!(f, "LOST: {reason}; what it had measured is in {path}")
            }
        }
    }
}
