//! The arguments of `cowpath stage`.

use std::path::PathBuf;
use std::time::Duration;

use super::controller::Programme;
use super::lab::StageSpec;
use super::staged_run::FaultInjection;
use crate::guest::spec::GuestArgs;
use crate::report::tested::TestForm;
use crate::scenario::catalogue::ChoiceError;
use crate::scenario::staged::Staged;
use crate::scenario::staged::catalogue::choose;

/// Play a race step by step on a real kernel in a guest, and say what becomes of the data.
///
/// Each kernel is booted under QEMU's emulation with three CPUs. A debugger outside holds thread 1 of
/// process A inside its write fault, at a point of the kernel's own code; thread 2 of A and process B,
/// which shares the page copy-on-write, then make their moves, thread 1 goes on, and everybody looks at
/// the data. The kernel is not changed, and the outcome is the same every time.
///
/// A race is about one order of moves. With --sweep every order is played: each of the rivals' moves, in
/// their order, before thread 1's store, at each of its five hold points, or when its store is done. For two
/// moves these are 28 interleavings, for four 210. Of those that begin with a move which has to wait for
/// thread 1 one is played, and none in which thread 1 no longer comes by.
#[derive(Clone, Debug, clap::Args)]
#[command(
    after_help = "Exit status: 0; 1 data was lost, stale or leaked; 2 wrong usage; 3 nothing could be played;\n\
    4 a guest was lost; 130 interrupted.\n\n\
    Examples: cowpath stage 'window/*' --kernel $(scripts/fetch-kernels 5.10 6.12) -o staged\n          \
    cowpath stage window/pin --sweep --kernel $(scripts/fetch-kernels 6.12) -o swept"
)]
pub struct StageArgs {
    /// Which races, as globs on their ids; by default all, and of a sweep those of the founding question.
    #[arg(value_name = "ID-GLOB")]
    pub globs: Vec<String>,
    /// Kernel images (bzImage, such as /boot/vmlinuz-*).
    #[arg(long, value_name = "IMAGE", num_args = 1.., required_unless_present = "list")]
    pub kernel: Vec<PathBuf>,
    /// Where run files and console logs go.
    #[arg(short, long, value_name = "DIR", default_value = "staged")]
    pub output: PathBuf,
    /// Print the results as tests, once all are there: a race fails where data is lost or it differs from what is expected.
    #[arg(long, value_enum, value_name = "FORM")]
    pub format: Option<TestForm>,
    /// Show the races and what is expected of them; boots nothing.
    #[arg(long)]
    pub list: bool,
    /// Play each race so many times in one boot.
    #[arg(long, value_name = "N", default_value_t = 1, value_parser = clap::value_parser!(u32).range(1..=1000))]
    pub reps: u32,
    /// Play every interleaving of the rivals' moves with thread 1's hold points, and list the verdicts.
    #[arg(long, conflicts_with_all = ["reps", "list", "fault_injection"])]
    pub sweep: bool,
    /// Of each race play at most so many interleavings; what is left out is counted.
    #[arg(long, value_name = "N", default_value_t = 300, requires = "sweep", value_parser = clap::value_parser!(u32).range(1..))]
    pub most: u32,
    /// How guests are made.
    #[command(flatten)]
    pub guest: GuestArgs,
    /// Give a guest up after this many seconds; a sweep ends of its own accord after three quarters of them.
    #[arg(long, value_name = "SECONDS", default_value_t = 600, value_parser = clap::value_parser!(u64).range(1..))]
    pub time_limit: u64,
    /// Have something go wrong, for tests.
    #[arg(long, value_enum, hide = true)]
    pub fault_injection: Option<FaultInjection>,
}

/// The arguments of the controller in the guest.
#[derive(Clone, Debug, clap::Args)]
pub struct ControllerArgs {
    /// Which races.
    pub globs: Vec<String>,
    /// How often each.
    #[arg(long, default_value_t = 1)]
    pub reps: u32,
    /// Sweep, for so many seconds.
    #[arg(long)]
    pub sweep: Option<u64>,
    /// How many interleavings of a race.
    #[arg(long, default_value_t = u32::MAX)]
    pub most: u32,
    /// What is made to go wrong.
    #[arg(long, value_enum)]
    pub fault_injection: Option<FaultInjection>,
}

impl ControllerArgs {
    /// What is to be played.
    pub fn programme(&self) -> Programme {
        let within = self.sweep.map(Duration::from_secs);
        Programme {
            globs: self.globs.clone(),
            reps: self.reps,
            sweep: within.map(|within| (within, self.most)),
            fault_injection: self.fault_injection,
        }
    }
}

impl StageArgs {
    /// What is asked for, with `program` as init.
    ///
    /// # Errors
    /// If the globs choose nothing.
    pub fn stage(&self, program: PathBuf) -> Result<StageSpec, ChoiceError> {
        let mut races: Vec<&Staged> = choose(&self.globs)?;
        if self.sweep && self.globs.is_empty() {
            races.retain(|race| race.founding);
        }
        Ok(StageSpec {
            kernels: self.kernel.clone(),
            guest: self.guest.spec(program),
            races,
            reps: self.reps,
            sweep: self.sweep.then_some(self.most),
            fault_injection: self.fault_injection,
            output: self.output.clone(),
            time_limit: Duration::from_secs(self.time_limit),
        })
    }
}
