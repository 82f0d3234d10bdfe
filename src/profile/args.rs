//! The arguments of `cowpath profile`.

use std::path::PathBuf;
use std::time::Duration;

use super::stepper::ProfileRequest;
use super::text::Detail;
use crate::guest::spec::GuestArgs;
use crate::memory::folio::Folio;
use crate::worker::sampled::Task;

/// Show where a fault goes inside the kernel.
///
/// Each IMAGE is booted under QEMU with a clock that counts instructions, and single faults of the
/// scenario are stepped through from the store to the next instruction of the program: the exact path,
/// the same on any machine, with the functions in their order, instructions, cache lines, atomics,
/// branches, string moves and page-table writes of each. Two images or more also give the differences
/// of the others from the first.
///
/// Without --kernel, stacks of the running kernel are sampled instead, only while the stores are made: by
/// cycles where there is a PMU, else by a timer.
///
/// The folder gets index.html, path.txt, profile.json, and for each kernel folded stacks and flame
/// graphs.
#[derive(Clone, Debug, clap::Args)]
#[command(
    after_help = "Exit status: 0; 2 wrong usage; 3 not possible here, with the reason; 4 a guest was lost.\n\n\
    Example:\n  cowpath profile reuse/child-exited --kernel $(scripts/fetch-kernels 6.12) -o reuse\n  \
    cowpath profile copy/child-alive --kernel $(scripts/fetch-kernels 6.1 6.12) -o copy\n  \
    sudo cowpath profile copy/child-alive -o sampled"
)]
pub struct ProfileArgs {
    /// The scenario's id; `cowpath list` shows them.
    #[arg(value_name = "ID")]
    pub scenario: String,
    /// Kernel images (bzImage, such as /boot/vmlinuz-*); differences are from the first. Without one the
    /// running kernel is sampled.
    #[arg(long, value_name = "IMAGE", num_args = 1..)]
    pub kernel: Vec<PathBuf>,
    /// Where the files go.
    #[arg(short, long, value_name = "DIR", default_value = "profile")]
    pub output: PathBuf,
    /// The size of the folios under test.
    #[arg(long, value_name = "SIZE", default_value = "4k")]
    pub folio: Folio,
    /// Faults to step through.
    #[arg(long, value_name = "N", default_value_t = 16, value_parser = clap::value_parser!(u32).range(1..=4096))]
    pub faults: u32,
    /// Samples to take where none is stepped through.
    #[arg(long, value_name = "N", default_value_t = 20_000, value_parser = clap::value_parser!(u64).range(1..=100_000_000))]
    pub samples: u64,
    /// Levels of the call tree on the terminal; the files have all.
    #[arg(long, value_name = "N", default_value_t = 64)]
    pub depth: usize,
    /// Fold calls that take fewer instructions than this on the terminal.
    #[arg(long, value_name = "N", default_value_t = 10)]
    pub fold: u64,
    /// How guests are made.
    #[command(flatten)]
    pub guest: GuestArgs,
    /// Give a guest, or the sampling, up after this many seconds.
    #[arg(long, value_name = "SECONDS", default_value_t = 300, value_parser = clap::value_parser!(u64).range(1..))]
    pub time_limit: u64,
}

impl ProfileArgs {
    /// How much of the tree the terminal is to show.
    pub fn detail(&self) -> Detail {
        Detail {
            depth: self.depth,
            fold: self.fold,
        }
    }

    /// What to step through, with `program` as init.
    pub fn request(&self, program: PathBuf) -> ProfileRequest<'_> {
        ProfileRequest {
            scenario: &self.scenario,
            folio: self.folio,
            faults: self.faults,
            guest: self.guest.spec(program),
            time_limit: Duration::from_secs(self.time_limit),
        }
    }

    /// What to sample.
    pub fn task(&self) -> Task {
        Task {
            scenario: self.scenario.clone(),
            folio: self.folio,
            pages: 4096,
            samples: self.samples,
            seconds: self.time_limit,
            runner: std::process::id().cast_signed(),
        }
    }
}
