//! Boots kernels one after the other and has the staged races played in each.

use std::path::PathBuf;
use std::time::Duration;

use clap::ValueEnum;

use super::controller::CONTROLLER_COMMAND;
use super::scheduler::{Scheduler, SchedulerError, StageEvent};
use super::staged_run::FaultInjection;
use crate::exit;
use crate::guest::arch::Arch;
use crate::guest::boot::{Boot, BootOutcome};
use crate::guest::debugged::{Debugged, debug};
use crate::guest::engine::Engine;
use crate::guest::error::VmError;
use crate::guest::qemu::Qemu;
use crate::guest::rendezvous;
use crate::guest::spec::{GuestKernel, GuestSpec, make_folder};
use crate::record::bounds;
use crate::record::io::write;
use crate::record::moves::RaceVerdict;
use crate::record::schema::RunFile;
use crate::record::staged::StagedResult;
use crate::scenario::staged::Staged;

/// Each party has a CPU of its own.
const CPUS: u32 = 3;

/// What to boot and what to play.
#[derive(Clone, Debug)]
pub struct StageSpec {
    /// Kernel images.
    pub kernels: Vec<PathBuf>,
    /// How guests are made.
    pub guest: GuestSpec,
    /// The races.
    pub races: Vec<&'static Staged>,
    /// How often each race is played in one boot.
    pub reps: u32,
    /// In place of that, every interleaving of each, at most so many.
    pub sweep: Option<u32>,
    /// What is made to go wrong, for tests.
    pub fault_injection: Option<FaultInjection>,
    /// Where run files and console logs go; made if it is missing.
    pub output: PathBuf,
    /// Wall-clock time after which a guest is given up.
    pub time_limit: Duration,
}

/// What one kernel came to.
#[derive(Clone, Debug)]
pub struct Shown {
    /// The image.
    pub kernel: PathBuf,
    /// Its release as read from the image.
    pub release: String,
    /// The run file, with what was played before the guest was lost, if it was.
    pub run: Option<RunFile>,
    /// Where the run file was written.
    pub file: Option<PathBuf>,
    /// Why the guest was lost.
    pub lost: Option<String>,
}

impl Shown {
    /// The exit code that one kernel alone would give.
    pub fn exit_code(&self) -> u8 {
        let staged = self.run.as_ref().map_or(&[][..], |run| &run.staged);
        let verdicts: Vec<RaceVerdict> = staged.iter().map(|result| result.verdict).collect();
        code(&verdicts, self.lost.is_some())
    }
}

/// 4 for a lost guest or race, 1 for data lost, stale or leaked, 3 if nothing could be played.
fn code(verdicts: &[RaceVerdict], lost: bool) -> u8 {
    if lost || verdicts.contains(&RaceVerdict::Lost) {
        exit::LOST
    } else if verdicts.iter().any(|verdict| verdict.is_harm()) {
        exit::INTEGRITY
    } else if verdicts.is_empty() {
        exit::IMPOSSIBLE
    } else {
        exit::OK
    }
}

/// The worst of several exit codes: 4 before 1 before 3.
fn worst(codes: &[u8]) -> u8 {
    let order = [exit::LOST, exit::INTEGRITY, exit::IMPOSSIBLE];
    let found = order.into_iter().find(|code| codes.contains(code));
    found.unwrap_or(exit::OK)
}

/// The exit code for several kernels: 4 if a guest was lost, else 1 if data was, else 3 if nothing could
/// be played in one.
pub fn exit_code(shown: &[Shown]) -> u8 {
    let codes: Vec<u8> = shown.iter().map(Shown::exit_code).collect();
    worst(&codes)
}

/// Plays every race in every kernel. `progress` gets lines for people, `shown` each kernel's outcome as
/// soon as it is there.
///
/// # Errors
/// If no guest could be had at all, or [`GuestSpec::stop`] was set.
pub fn run(
    stage: &StageSpec,
    progress: &(dyn Fn(&str) + Sync),
    shown: &mut dyn FnMut(&Shown),
) -> Result<Vec<Shown>, VmError> {
    let kernels = stage.guest.kernels(&stage.kernels, Some(Arch::X86))?;
    let qemu = stage.guest.qemu(Arch::X86)?;
    make_folder(&stage.output)?;
    progress(&format!("{}; tcg, {CPUS} CPUs taking turns", qemu.version));
    let mut done: Vec<Shown> = Vec::new();
    for kernel in &kernels {
        let mut one = Shown {
            kernel: kernel.image.path.clone(),
            release: kernel.label.clone(),
            run: None,
            file: None,
            lost: None,
        };
        play(stage, &qemu, kernel, &mut one, progress)?;
        if stage.guest.stopped() {
            return Err(VmError::Interrupted);
        }
        shown(&one);
        done.push(one);
    }
    Ok(done)
}

/// Boots one kernel and has everything played in it.
fn play(
    stage: &StageSpec,
    qemu: &Qemu,
    kernel: &GuestKernel,
    one: &mut Shown,
    progress: &(dyn Fn(&str) + Sync),
) -> Result<(), VmError> {
    let ids = stage.races.iter().map(|race| race.id.to_owned());
    let words = [
        CONTROLLER_COMMAND.to_owned(),
        format!("--reps={}", stage.reps),
    ];
    let fault_injection = stage
        .fault_injection
        .and_then(|fault_injection| fault_injection.to_possible_value());
    let fault_injection =
        fault_injection.map(|value| format!("--fault-injection={}", value.get_name()));
    // Bounded well before the guest is given up, so that it can tell what it has.
    let within = stage.time_limit.as_secs() * 3 / 4;
    let sweep = stage
        .sweep
        .map(|most| [format!("--sweep={within}"), format!("--most={most}")]);
    let sweep = sweep.into_iter().flatten();
    let words = words.into_iter().chain(sweep).chain(fault_injection);
    let words: Vec<String> = words.chain(ids).collect();
    let initramfs = stage.guest.initramfs(&kernel.image, &words)?;
    let log = kernel.file(&stage.output, "console.log");
    let file = kernel.file(&stage.output, "json");
    // An older file must not stand where this kernel's guest is lost.
    let _ = std::fs::remove_file(&file);
    let append = format!("norandmaps nosoftlockup {}", kernel.append);
    let tell = |line: String| {
        progress(&format!(
            "{}: {}",
            kernel.label,
            rendezvous::shown(line.as_bytes())
        ))
    };
    let guest = Debugged {
        spec: &stage.guest,
        qemu,
        machine: stage.guest.machine(Engine::Tcg, CPUS, &append),
        kernel,
        initramfs: &initramfs,
        log: &log,
        time_limit: stage.time_limit,
        tell: &tell,
    };
    let (sender, news) = std::sync::mpsc::channel();
    let outcome = debug(&guest, move |gdb| -> Result<(), SchedulerError> {
        let mut tell = |one: StageEvent| {
            match &one {
                StageEvent::Begin(_) => {}
                StageEvent::Played(result) => {
                    tell(format!("{}: {}", result.scenario, result.verdict.label()))
                }
                StageEvent::Skipped(skip) => {
                    tell(format!("{}: skipped: {}", skip.scenario, skip.reason))
                }
                StageEvent::Note(how_far) => tell(how_far.clone()),
            }
            // The receiver outlives the scheduler.
            let _ = sender.send(one);
        };
        Scheduler::new(gdb?, &mut tell).direct()
    })?;
    let mut played = Vec::new();
    let mut skipped = Vec::new();
    for one_news in news {
        match one_news {
            StageEvent::Begin(run) => one.run = Some(*run),
            StageEvent::Played(result) => played.push(*result),
            StageEvent::Skipped(skip) => skipped.push(skip),
            StageEvent::Note(_) => {}
        }
    }
    if let Err(error) = outcome.work {
        let reason = why(&outcome.boot, &error);
        let at_all = |id: &&str| {
            let there = played.iter().any(|result| result.scenario == *id);
            there || skipped.iter().any(|skip| skip.scenario == *id)
        };
        let missing: Vec<&str> = stage
            .races
            .iter()
            .map(|race| race.id)
            .filter(|id| !at_all(id))
            .collect();
        for id in missing {
            played.push(StagedResult::lost(id, reason.clone()));
        }
        one.lost = Some(reason);
    }
    if let Some(run) = &mut one.run {
        run.complete = one.lost.is_none();
        run.finished = jiff::Timestamp::now().to_string();
        run.tool.command = std::env::args().collect();
        run.config.scenarios = stage.races.iter().map(|race| race.id.to_owned()).collect();
        run.staged = played;
        run.skipped = skipped;
        if let Err(beyond) = bounds::check(run) {
            one.lost = Some(format!("what the guest told cannot be: {beyond}"));
            one.run = None;
            return Ok(());
        }
        write(&file, run)?;
        one.file = Some(file);
    }
    Ok(())
}

/// Why a guest was lost: what its console says comes before what the debugger missed.
fn why(boot: &Boot, error: &SchedulerError) -> String {
    match (boot.lost(), &boot.verdict) {
        (Some(reason), _) => reason.to_owned(),
        (None, BootOutcome::Finished { status, .. }) => {
            format!("the controller exited with {status}: {error}")
        }
        (None, _) => error.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn harm_is_one_a_lost_guest_four_and_nothing_played_three() {
        use RaceVerdict::{Blocked, Coherent, Leak, Lost, LostStore, StalePin};
        assert_eq!(code(&[Coherent, Blocked], false), 0);
        for harm in [LostStore, StalePin, Leak] {
            assert_eq!(code(&[Coherent, harm], false), 1);
        }
        assert_eq!(code(&[LostStore, Lost], false), 4);
        assert_eq!(code(&[], true), 4);
        assert_eq!(code(&[], false), 3);
    }

    #[test]
    fn a_lost_guest_outranks_harm_and_harm_a_kernel_without_a_result() {
        assert_eq!(worst(&[0, 3, 1, 4]), 4);
        assert_eq!(worst(&[3, 1, 0]), 1);
        assert_eq!(worst(&[0, 3]), 3);
        assert_eq!(worst(&[0]), 0);
        assert_eq!(worst(&[]), 0);
    }
}
