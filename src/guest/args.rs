//! The arguments of `cowpath vm`.

use std::path::PathBuf;
use std::time::Duration;

use super::lab::Lab;
use super::patience::Work;
use super::result::{GuestOutcome, GuestResult};
use super::spec::{GuestArgs, GuestSpec};
use crate::exit;
use crate::guest::engine::Accel;
use crate::guest::processors::Processors;

/// Run the suite inside other kernels, under QEMU.
///
/// Each KERNEL is booted with this very program as its init, which runs the suite and sends the run
/// file back. Run files, console logs and lab.json are left in the output directory. A guest that
/// panics is booted once more; one that panics again, hangs or goes away is lost: the others still
/// run, and the exit code is 4. A guest sends what it has measured while it runs, and a lost one
/// leaves that as RELEASE.REP.partial.json, a run file that says that it is not complete.
///
/// With KVM a guest gives times. With tcg (emulation) it gives outcomes and discards, and its times
/// mean nothing. With exact it gives the number of instructions of each fault, the same on any
/// machine.
///
/// Modules that scenarios need are taken from the image's own directory, or from lib/modules or
/// usr/lib/modules beside that directory: /boot and the kernels of scripts/fetch-kernels need no
/// --modules.
#[derive(Clone, Debug, clap::Args)]
#[command(
    after_help = "Exit status: 4 a guest was lost, else the highest of the runs in the guests (see cowpath run --help);\n\
    2 wrong usage; 3 there is no QEMU; 130 interrupted.\n\n\
    Example: cowpath vm $(scripts/fetch-kernels 6.1 6.12) -o lab -- --quick\n\n\
    A static build makes the smallest guest:\n  \
    RUSTFLAGS=-Ctarget-feature=+crt-static cargo build --release --target x86_64-unknown-linux-gnu"
)]
pub struct VmArgs {
    /// Kernel images (bzImage or arm64 Image, such as /boot/vmlinuz-*), all for the same processor.
    #[arg(required = true, value_name = "KERNEL")]
    pub kernels: Vec<PathBuf>,
    /// How the guests' processors are had.
    #[arg(long, value_enum, default_value = "auto")]
    pub accel: Accel,
    /// Where run files and console logs go.
    #[arg(short, long, value_name = "DIR", default_value = "lab")]
    pub output: PathBuf,
    /// How guests are made.
    #[command(flatten)]
    pub guest: GuestArgs,
    /// Boots of each kernel, interleaved (A B B A).
    #[arg(long, value_name = "N", default_value_t = 1, value_parser = clap::value_parser!(u32).range(1..))]
    pub reps: u32,
    /// Virtual CPUs of a guest: how many, or sockets, cores of each and threads of each core, such as 2x2x2, where each socket is
    /// a NUMA node [default: 2; 1 with exact].
    #[arg(long, value_name = "N|SxCxT")]
    pub smp: Option<Processors>,
    /// Give a guest up after this many seconds, whatever it is doing [default: follows from RUN-ARGUMENT: a guest is given
    /// up when it has shown no progress for three times the --limit of a repetition and 3 minutes, or has run for longer than
    /// all repetitions take at their --limit].
    #[arg(long, value_name = "SECONDS", value_parser = clap::value_parser!(u64).range(1..))]
    pub time_limit: Option<u64>,
    /// Guests at a time [default: as many as do not disturb each other].
    #[arg(long, value_name = "N")]
    pub jobs: Option<usize>,
    /// cowpath built for the guests' processor, where that is not this machine's [default: this program].
    #[arg(long, value_name = "PROGRAM")]
    pub init: Option<PathBuf>,
    /// Arguments for `cowpath run` inside the guest.
    #[arg(last = true, value_name = "RUN-ARGUMENT")]
    pub run: Vec<String>,
}

impl VmArgs {
    /// Virtual CPUs of a guest.
    pub fn cpus(&self) -> Processors {
        let usual = if self.accel == Accel::Exact { 1 } else { 2 };
        self.smp.unwrap_or(Processors::Plain(usual))
    }

    /// The lab asked for, with this program as init; its arguments for `cowpath run` ask for so much work.
    ///
    /// # Errors
    /// If the path of this program cannot be had.
    pub fn lab(&self, work: Work) -> std::io::Result<Lab> {
        let program = std::env::current_exe()?;
        Ok(Lab {
            arguments: self.run.clone(),
            accel: self.accel,
            guest: GuestSpec {
                init: self.init.clone(),
                ..self.guest.spec(program)
            },
            smp: self.cpus(),
            reps: self.reps,
            work,
            time_limit: self.time_limit.map(Duration::from_secs),
            jobs: self.jobs,
            kernels: self.kernels.clone(),
            output: self.output.clone(),
        })
    }
}

/// The exit code for a lab: 4 if a guest was lost, else the worst of the runs' own.
pub fn exit_code(results: &[GuestResult]) -> u8 {
    results
        .iter()
        .map(|result| match result.outcome {
            GuestOutcome::Lost { .. } => (true, exit::LOST),
            GuestOutcome::Finished { status, .. } => (false, status),
        })
        .max()
        .map_or(exit::OK, |(_, code)| code)
}
