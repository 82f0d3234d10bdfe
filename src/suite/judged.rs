//! What is expected of a result, given the rules of its kernel; also anew, of results that an earlier version has measured.

use super::raced::not_allowed;
use super::strategy::{self, Discriminated};
use crate::machine::kernel::version_in;
use crate::machine::knob::rechecks;
use crate::record::basis::ExpectedBasis;
use crate::record::folio::FolioSize;
use crate::record::outcome::Outcome;
use crate::record::rule::PinRule;
use crate::record::schema::{Measured, RunFile, Setup, Skipped, Strategy};
use crate::scenario::expectation::{KernelTraits, expected};
use crate::scenario::unshare::{READ_PIN, READ_PIN_OF_SHARED, STORE_AFTER_READ_PIN};
use crate::scenario::workload::{Race, RaceOutcome};
use crate::scenario::{Scenario, Step, catalogue, staged};
use crate::sys::swap::SwapKind;

/// The kernel as a result's page state tells of it besides: where pages were swapped out to.
pub(super) fn with_state(kernel: KernelTraits, setup: &Setup) -> KernelTraits {
    let mut slow = SwapKind::SLOW.iter();
    KernelTraits {
        swap_in_memory: !slow.any(|kind| setup.state.iter().any(|state| state == kind.label())),
        ..kernel
    }
}

/// What is expected of a scenario, and what that rests on; nothing where nothing certain can be said.
pub(super) fn expectation(
    scenario: &Scenario,
    kernel: &KernelTraits,
    strategy: &Strategy,
) -> (Vec<Outcome>, Option<ExpectedBasis>) {
    let one = expected(scenario.expected, kernel);
    let tells = kernel.switched.is_none() && strategy::told_by(strategy, scenario.id);
    (
        one.map_or_else(Vec::new, |one| one.outcomes.to_vec()),
        one.map(|one| match tells {
            true => strategy::TELLS_THE_RULE.recorded(),
            false => one.basis.recorded(),
        }),
    )
}

/// What the kernel's strategy allows a race to come to; empty where it is unknown.
pub(super) fn allowed(race: &Race, kernel: &KernelTraits) -> &'static [RaceOutcome] {
    expected(race.allowed, kernel).map_or(&[], |one| one.outcomes)
}

/// What reading pins do on a run's kernel, by its results where it was not asked; unknown where these do not tell.
pub fn pin(run: &RunFile) -> PinRule {
    match run.strategy.pin {
        PinRule::Unknown => {
            strategy::pin_rule(run.strategy.small, &mut |id| told(&run.results, id))
        }
        known => known,
    }
}

/// What most stores of a scenario came to.
fn told(results: &[Measured], id: &str) -> Discriminated {
    let found = results.iter().find(|one| is_plain(one, id));
    let found = found.ok_or_else(|| format!("{id} was not measured"))?;
    strategy::verdict(&found.outcomes).map(|(outcome, _)| outcome)
}

/// Puts what this version expects of the kernel in place of what was expected when the run was made, which did not ask what reading
/// pins do where `pin` has to say it. Figures stay as they are, and what pins of staged races came to is told by the entries that
/// the file holds.
pub fn anew(run: &mut RunFile, pin: PinRule) {
    if run.strategy.pin == PinRule::Unknown && pin != PinRule::Unknown {
        run.strategy.pin = pin;
        // What it was told by agrees by construction.
        let evidence = [READ_PIN_OF_SHARED, STORE_AFTER_READ_PIN, READ_PIN].map(|id| {
            let outcome = told(&run.results, id).ok()?;
            Some(format!("{id}: {}", outcome.label()))
        });
        run.strategy.evidence.extend(evidence.into_iter().flatten());
    }
    let strategy = run.strategy.clone();
    let kernel = KernelTraits {
        pin: strategy.pin,
        recheck: rechecks(&run.host.kernel.cmdline),
        ..KernelTraits::own(strategy.small, version_in(&run.host.kernel.release))
    };
    skip_copies_in_pipes(run);
    for measured in &mut run.results {
        let Some(scenario) = catalogue::find(&measured.scenario) else {
            continue;
        };
        let switched = measured.strategy;
        let kernel = with_state(KernelTraits { switched, ..kernel }, &measured.setup);
        (measured.expected, measured.basis) = expectation(scenario, &kernel, &strategy);
        if let (Some(raced), Some(race)) = (&mut measured.race, scenario.race()) {
            raced.not_allowed = not_allowed(&raced.results, allowed(race, &kernel));
        }
    }
    for played in &mut run.staged {
        let mut known = staged::catalogue::STAGED.iter();
        let Some(staged) = known.find(|one| one.id == played.scenario) else {
            continue;
        };
        let one = expected(staged.expected, &kernel);
        played.tell_pins();
        played.predicted = one.map(|one| one.outcomes);
        played.basis = one.map(|one| one.basis.recorded());
    }
}

/// Where a reading pin breaks the sharing, a child puts a page of its own into a pipe: what came of that was never the state that the
/// scenario is about, and its pipe rightly shows old data.
fn skip_copies_in_pipes(run: &mut RunFile) {
    if run.strategy.pin != PinRule::BreaksCow {
        return;
    }
    let is_other = |one: &Measured| {
        let scenario = catalogue::find(&one.scenario);
        scenario.is_some_and(|scenario| scenario.has(Step::ChildVmsplices))
    };
    let (others, kept) = std::mem::take(&mut run.results)
        .into_iter()
        .partition(is_other);
    run.results = kept;
    let others: Vec<Measured> = others;
    run.skipped.extend(others.into_iter().map(|one| Skipped {
        scenario: one.scenario,
        strategy: one.strategy,
        reason: "the child was given copies for its pipe, since reading pins break the sharing here: another state than the one asked for".into(),
    }));
}

/// Whether it is that scenario on small pages of a kernel that was left alone.
fn is_plain(measured: &Measured, id: &str) -> bool {
    measured.scenario == id && measured.strategy.is_none() && measured.folio == FolioSize::of_kib(4)
}
