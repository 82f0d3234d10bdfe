//! The arguments of `cowpath profile`.

use std::path::PathBuf;

use super::text::Detail;
use crate::scenario::folio::Folio;

/// Show where a fault goes inside the kernel.
///
/// Each IMAGE is booted under QEMU with a clock that counts instructions, and single faults of the
/// scenario are stepped through from the store to the next instruction of the program: the exact path,
/// the same on any machine, with the functions in their order, instructions, cache lines, atomics,
/// branches, string moves and page-table writes of each. Two images or more also give the differences
/// of the others from the first.
///
/// The folder gets index.html, path.txt, profile.json, and for each kernel folded stacks and flame
/// graphs.
#[derive(Clone, Debug, clap::Args)]
#[command(
    after_help = "Exit status: 0; 2 wrong usage; 3 not possible here, with the reason; 4 a guest was lost.\n\n\
    Example:\n  cowpath profile reuse/child-exited --kernel $(scripts/fetch-kernels 6.12) -o reuse\n  \
    cowpath profile copy/child-alive --kernel $(scripts/fetch-kernels 6.1 6.12) -o copy"
)]
pub struct ProfileArgs {
    /// The scenario's id; `cowpath list` shows them.
    #[arg(value_name = "ID")]
    pub scenario: String,
    /// Kernel images (bzImage, such as /boot/vmlinuz-*); differences are from the first.
    #[arg(long, required = true, value_name = "IMAGE", num_args = 1..)]
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
    #[arg(long, value_name = "MIB", default_value_t = 512, value_parser = clap::value_parser!(u32).range(128..))]
    pub memory: u32,
    /// QEMU's CPU model [default: as `cowpath vm --accel exact`].
    #[arg(long, value_name = "MODEL")]
    pub cpu: Option<String>,
    /// Give a guest up after this many seconds.
    #[arg(long, value_name = "SECONDS", default_value_t = 300, value_parser = clap::value_parser!(u64).range(1..))]
    pub time_limit: u64,
    /// The QEMU to use [default: qemu-system-x86_64 on PATH].
    #[arg(long, value_name = "PROGRAM")]
    pub qemu: Option<PathBuf>,
    /// More words for the guests' kernel command line.
    #[arg(long, value_name = "WORDS", default_value = "")]
    pub append: String,
}

impl ProfileArgs {
    /// How much of the tree the terminal is to show.
    pub fn detail(&self) -> Detail {
        Detail {
            depth: self.depth,
            fold: self.fold,
        }
    }
}
