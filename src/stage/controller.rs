//! The controller inside the guest: plays one staged race after the other, or sweeps it, and tells the
//! scheduler what came of it.

use std::time::Duration;

use super::channel::{Channel, ControllerRequest};
use super::staged_run::{Done, Failure, FaultInjection, LATE, play};
use super::sweep::{Bounds, sweep};
use super::waiting;
use crate::machine::guest::only_in_a_guest;
use crate::machine::kernel::version_in;
use crate::machine::knob::rechecks;
use crate::memory::trampoline::{Trampolines, Word};
use crate::record::moves::Party;
use crate::record::progress::Progress;
use crate::record::schema::{RunFile, Skipped};
use crate::record::staged::StagedResult;
use crate::scenario::expectation::KernelTraits;
use crate::scenario::expectation::expected;
use crate::scenario::staged::Staged;
use crate::scenario::staged::catalogue::choose;
use crate::sys::affinity::pin;

/// The hidden subcommand under which the program controls races in a guest.
pub const CONTROLLER_COMMAND: &str = "controller";

/// A controller that cannot be one.
#[derive(Debug, thiserror::Error)]
#[error("controller: {0}")]
pub struct ControllerError(String);

/// What is to be played.
#[derive(Clone, Debug)]
pub struct Programme {
    /// Which races, as globs on their ids.
    pub globs: Vec<String>,
    /// How often each.
    pub reps: u32,
    /// In place of that: every interleaving of each, within so much time, and at most so many of a race.
    pub sweep: Option<(Duration, u32)>,
    /// What is made to go wrong.
    pub fault_injection: Option<FaultInjection>,
}

/// Plays the programme; `file` makes the run file that the results belong to.
///
/// # Errors
/// Outside a guest; if there is no scheduler, or nothing can be set up.
pub fn control(
    programme: &Programme,
    file: impl FnOnce() -> Result<RunFile, String>,
) -> Result<(), ControllerError> {
    only_in_a_guest("setting kernel.kptr_restrict to 0 and making swap space of /dev/zram0")
        .map_err(ControllerError)?;
    let failed = |error: &dyn std::fmt::Display| ControllerError(error.to_string());
    let trampolines = Trampolines::put_up().map_err(|e| failed(&e))?;
    let played = try_it(trampolines, programme, file).map_err(ControllerError);
    match &played {
        Ok(()) => trampolines.say(Word::Done, b""),
        Err(ControllerError(why)) => trampolines.say(Word::Refused, why.as_bytes()),
    }
    played
}

fn try_it(
    trampolines: Trampolines,
    programme: &Programme,
    file: impl FnOnce() -> Result<RunFile, String>,
) -> Result<(), String> {
    let chosen = choose(&programme.globs).map_err(|e| e.to_string())?;
    let symbols = waiting::symbols()?;
    trampolines.say(Word::Ready, &symbols);
    drop(symbols);
    let file = file()?;
    let cmdline = &file.host.kernel.cmdline;
    let kernel = KernelTraits {
        recheck: rechecks(cmdline),
        pin: file.strategy.pin,
        ..KernelTraits::own(file.strategy.small, version_in(&file.host.kernel.release))
    };
    // B becomes this process's child when A is gone.
    nix::sys::prctl::set_child_subreaper(true).map_err(|e| e.to_string())?;
    pin(Party::Sharer.cpu()).map_err(|e| e.to_string())?;
    let line = Channel::new(trampolines);
    line.ask(ControllerRequest::Begin(Box::new(file)))?;
    let bounds = programme
        .sweep
        .map(|(within, most)| Bounds::new(within, most));
    let mut gone = None;
    let each = chosen
        .iter()
        .flat_map(|&staged| (0..programme.reps).map(move |_| staged));
    for staged in each {
        if let Some(first) = &gone {
            let reason = format!("not played: the guest was lost in {first}");
            let lost = StagedResult::lost(staged.id, reason);
            line.ask(ControllerRequest::Played(Box::new(lost)))?;
            continue;
        }
        let played = match bounds {
            Some(bounds) => sweep(&line, staged, bounds),
            None => once(&line, staged, programme.fault_injection),
        };
        let (result, lost) = match played {
            Ok(result) => (result, false),
            Err(Failure::Lost(result)) => (*result, true),
            Err(Failure::Late) => (StagedResult::lost(staged.id, LATE.into()), false),
            Err(Failure::OutOfStep(why)) => return Err(why.into()),
            Err(Failure::Skip(reason) | Failure::Missed { why: reason, .. }) => {
                let scenario = staged.id.to_owned();
                line.ask(ControllerRequest::Skipped(Skipped {
                    scenario,
                    strategy: None,
                    reason,
                }))?;
                continue;
            }
        };
        gone = lost.then_some(staged.id);
        let one = expected(staged.expected, &kernel);
        line.ask(ControllerRequest::Played(Box::new(StagedResult {
            predicted: one.map(|one| one.outcomes),
            basis: one.map(|one| one.basis.recorded()),
            ..result
        })))?;
    }
    Ok(())
}

/// Plays a race with thread 1 held where the race is about.
fn once(
    line: &Channel,
    staged: &'static Staged,
    fault_injection: Option<FaultInjection>,
) -> Result<StagedResult, Failure> {
    let places = vec![Progress::from(staged.hold); staged.steps.len()];
    let Done { result, .. } = play(line, staged, &places, fault_injection)?;
    Ok(result)
}
