//! The arguments of `cowpath profile`.

use std::path::{Path, PathBuf};
use std::time::Duration;

use super::stepper::ProfileRequest;
use super::text::Detail;
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
    /// A kernel's tree of modules, or a directory of such trees named by release.
    #[arg(long, value_name = "DIR")]
    pub modules: Option<PathBuf>,
    /// Memory of a guest in MiB.
    #[arg(long, value_name = "MIB", default_value_t = 768, value_parser = clap::value_parser!(u32).range(128..))]
    pub memory: u32,
    /// QEMU's CPU model [default: as `cowpath vm --accel exact`].
    #[arg(long, value_name = "MODEL")]
    pub cpu: Option<String>,
    /// Give a guest, or the sampling, up after this many seconds.
    #[arg(long, value_name = "SECONDS", default_value_t = 300, value_parser = clap::value_parser!(u64).range(1..))]
    pub time_limit: u64,
    /// The QEMU to use [default: qemu-system-x86_64 on PATH].
    #[arg(long, value_name = "PROGRAM")]
    pub qemu: Option<PathBuf>,
    /// More words for the kernels' command lines: once for all of them, or once for each, so that one image
    /// can be compared with itself.
    #[arg(long, value_name = "WORDS")]
    pub append: Vec<String>,
}

impl ProfileArgs {
    /// How much of the tree the terminal is to show.
    pub fn detail(&self) -> Detail {
        Detail {
            depth: self.depth,
            fold: self.fold,
        }
    }

    /// Each image and the words for its command line.
    ///
    /// # Errors
    /// If there are words for more or fewer kernels than there are.
    pub fn kernels(&self) -> Result<Vec<(PathBuf, String)>, String> {
        let words = match self.append.as_slice() {
            [] => vec![String::new(); self.kernel.len()],
            [all] => vec![all.clone(); self.kernel.len()],
            each if each.len() == self.kernel.len() => each.to_vec(),
            each => {
                return Err(format!(
                    "--append was needed once, or once for each of the {} kernels, and was given {} times",
                    self.kernel.len(),
                    each.len()
                ));
            }
        };
        Ok(self.kernel.iter().cloned().zip(words).collect())
    }

    /// What to step through, with `program` as init.
    pub fn request<'a>(&'a self, program: &'a Path) -> ProfileRequest<'a> {
        ProfileRequest {
            scenario: &self.scenario,
            folio: self.folio,
            faults: self.faults,
            program,
            cpu: self.cpu.as_deref(),
            memory_mib: self.memory,
            modules: self.modules.as_deref(),
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
