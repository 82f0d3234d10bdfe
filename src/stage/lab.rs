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
use crate::guest::processors::Processors;
use crate::guest::qemu::Qemu;
use crate::guest::rendezvous;
use crate::guest::spec::{GuestKernel, GuestSpec, make_folder};
use crate::record::bounds;
use crate::record::io::write;
use crate::record::moves::RaceVerdict;
use crate::record::schema::{RunFile, Skipped};
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
    /// What it is called: its release, and what tells it from the others.
    pub label: String,
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
            label: kernel.label.clone(),
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
    let initramfs = stage.guest.initramfs(&kernel.image, &words(stage))?;
    let log = kernel.file(&stage.output, "console.log");
    let file = kernel.file(&stage.output, "json");
    // An older file must not stand where this kernel's guest is lost.
    let _ = std::fs::remove_file(&file);
    let append = format!("norandmaps nosoftlockup {}", kernel.append);
    let tell = |line: String| {
        let line = rendezvous::shown(line.as_bytes());
        progress(&format!("{}: {line}", kernel.label));
    };
    let guest = Debugged {
        spec: &stage.guest,
        qemu,
        machine: stage
            .guest
            .machine(Engine::Tcg, Processors::Plain(CPUS), &append),
        kernel,
        initramfs: &initramfs,
        log: &log,
        time_limit: stage.time_limit,
        tell: &tell,
    };
    let mut told = GuestTold::default();
    let outcome = debug(&guest, |gdb| -> Result<(), SchedulerError> {
        let mut hear = |event: StageEvent| {
            if let Some(line) = event.line() {
                tell(line);
            }
            told.hear(event);
        };
        Scheduler::new(gdb?, &mut hear).direct()
    })?;
    if let Err(error) = outcome.work {
        let reason = why(&outcome.boot, &error);
        told.lose(&stage.races, &reason);
        one.lost = Some(reason);
    }
    let Some(run) = told.run_file(stage, one.lost.is_none()) else {
        return Ok(());
    };
    if let Err(beyond) = bounds::check(&run) {
        one.lost = Some(format!("what the guest told cannot be: {beyond}"));
        return Ok(());
    }
    write(&file, &run)?;
    (one.run, one.file) = (Some(run), Some(file));
    Ok(())
}

/// What init runs in the guest.
fn words(stage: &StageSpec) -> Vec<String> {
    let mut words = vec![
        CONTROLLER_COMMAND.to_owned(),
        format!("--reps={}", stage.reps),
    ];
    if let Some(most) = stage.sweep {
        // Bounded well before the guest is given up, so that it can tell what it has.
        let within = stage.time_limit.as_secs() * 3 / 4;
        words.extend([format!("--sweep={within}"), format!("--most={most}")]);
    }
    let injected = stage
        .fault_injection
        .and_then(|fault_injection| fault_injection.to_possible_value());
    words.extend(injected.map(|value| format!("--fault-injection={}", value.get_name())));
    words.extend(stage.races.iter().map(|race| race.id.to_owned()));
    words
}

/// What a guest has told so far.
#[derive(Default)]
struct GuestTold {
    run: Option<RunFile>,
    played: Vec<StagedResult>,
    skipped: Vec<Skipped>,
}

impl GuestTold {
    fn hear(&mut self, event: StageEvent) {
        match event {
            StageEvent::Begin(run) => self.run = Some(*run),
            StageEvent::Played(result) => self.played.push(*result),
            StageEvent::Skipped(skip) => self.skipped.push(skip),
            StageEvent::Note(_) => {}
        }
    }

    /// The races of which nothing was told are lost.
    fn lose(&mut self, races: &[&Staged], reason: &str) {
        for id in races.iter().map(|race| race.id) {
            let told = self.played.iter().any(|result| result.scenario == id)
                || self.skipped.iter().any(|skip| skip.scenario == id);
            if !told {
                self.played.push(StagedResult::lost(id, reason.to_owned()));
            }
        }
    }

    /// The run file, if the guest has come to its beginning.
    fn run_file(self, stage: &StageSpec, complete: bool) -> Option<RunFile> {
        let mut run = self.run?;
        run.complete = complete;
        run.finished = jiff::Timestamp::now().to_string();
        run.tool.command = std::env::args().collect();
        run.config.scenarios = stage.races.iter().map(|race| race.id.to_owned()).collect();
        run.staged = self.played;
        run.skipped = self.skipped;
        Some(run)
    }
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
