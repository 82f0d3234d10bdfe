//! The arguments of `cowpath stage`.

use std::path::PathBuf;
use std::time::Duration;

use super::conductor::Sabotage;
use super::lab::Stage;
use crate::scenario::catalogue::ChoiceError;
use crate::scenario::staged::catalogue::choose;

/// Play a race step by step on a real kernel in a guest, and say what becomes of the data.
///
/// Each kernel is booted under QEMU's emulation with three CPUs. A debugger outside holds thread 1 of
/// process A inside its write fault, at a point of the kernel's own code; thread 2 of A and process B,
/// which shares the page copy-on-write, then make their moves, thread 1 goes on, and everybody looks at
/// the data. The kernel is not changed, and the outcome is the same every time.
#[derive(Clone, Debug, clap::Args)]
#[command(
    after_help = "Exit status: 0; 1 data was lost, stale or leaked; 2 wrong usage; 3 nothing could be played;\n\
    4 a guest was lost; 130 interrupted.\n\n\
    Example: cowpath stage 'window/*' --kernel $(scripts/fetch-kernels 5.10 6.12) -o staged"
)]
pub struct StageArgs {
    /// Which races, as globs on their ids; all by default.
    #[arg(value_name = "ID-GLOB")]
    pub globs: Vec<String>,
    /// Kernel images (bzImage, such as /boot/vmlinuz-*).
    #[arg(long, value_name = "IMAGE", num_args = 1.., required_unless_present = "list")]
    pub kernel: Vec<PathBuf>,
    /// Where run files and console logs go.
    #[arg(short, long, value_name = "DIR", default_value = "staged")]
    pub output: PathBuf,
    /// Show the races and what each strategy predicts; boots nothing.
    #[arg(long)]
    pub list: bool,
    /// Play each race so many times in one boot.
    #[arg(long, value_name = "N", default_value_t = 1, value_parser = clap::value_parser!(u32).range(1..=1000))]
    pub reps: u32,
    /// More words for the guests' kernel command line.
    #[arg(
        long,
        value_name = "WORDS",
        default_value = "",
        allow_hyphen_values = true
    )]
    pub append: String,
    /// A kernel's tree of modules, or a directory of such trees named by release.
    #[arg(long, value_name = "DIR")]
    pub modules: Option<PathBuf>,
    /// Memory of a guest in MiB.
    #[arg(long, value_name = "MIB", default_value_t = 1024, value_parser = clap::value_parser!(u32).range(128..))]
    pub memory: u32,
    /// Give a guest up after this many seconds.
    #[arg(long, value_name = "SECONDS", default_value_t = 600, value_parser = clap::value_parser!(u64).range(1..))]
    pub time_limit: u64,
    /// The QEMU to use [default: qemu-system-x86_64 on PATH].
    #[arg(long, value_name = "PROGRAM")]
    pub qemu: Option<PathBuf>,
    /// Have something go wrong, for tests.
    #[arg(long, value_enum, hide = true)]
    pub sabotage: Option<Sabotage>,
}

/// The arguments of the conductor in the guest.
#[derive(Clone, Debug, clap::Args)]
pub struct ConductorArgs {
    /// Which races.
    pub globs: Vec<String>,
    /// How often each.
    #[arg(long, default_value_t = 1)]
    pub reps: u32,
    /// What is made to go wrong.
    #[arg(long, value_enum)]
    pub sabotage: Option<Sabotage>,
}

impl StageArgs {
    /// What is asked for, with `program` as init.
    ///
    /// # Errors
    /// If the globs choose nothing.
    pub fn stage(&self, program: PathBuf) -> Result<Stage, ChoiceError> {
        Ok(Stage {
            kernels: self.kernel.clone(),
            program,
            races: choose(&self.globs)?,
            reps: self.reps,
            sabotage: self.sabotage,
            output: self.output.clone(),
            qemu: self.qemu.clone(),
            memory_mib: self.memory,
            modules: self.modules.clone(),
            time_limit: Duration::from_secs(self.time_limit),
            append: self.append.clone(),
            stop: std::sync::Arc::default(),
        })
    }
}
