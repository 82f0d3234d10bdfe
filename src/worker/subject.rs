//! The process whose single faults a debugger outside its kernel follows.
//!
//! It brings a scenario's page state about, warms up, hands the kernel's symbols over and stores
//! through trampolines ([`crate::memory::trampoline`]); at last it says what became of each store.

use std::collections::BTreeMap;
use std::fs;

use serde::{Deserialize, Serialize};

use super::fixture::Fixture;
use super::serve::back_memory;
use super::tries::attempt;
use crate::machine::guest::only_in_a_guest;
use crate::memory::MemoryError;
use crate::memory::area::page_size;
use crate::memory::folio::Folio;
use crate::memory::sharer::Stores;
use crate::memory::trampoline::{Trampolines, Word};
use crate::record::clock::ClockSource;
use crate::record::distribution::Distribution;
use crate::record::latency::Latency;
use crate::record::outcome::Outcome;
use crate::record::repetition::Attempts;
use crate::record::schema::{Integrity, Setup};
use crate::record::unit::Unit;
use crate::scenario::{Scenario, Timed, catalogue};
use crate::sys::affinity::pin;
use crate::worker::units::{stride, units};

/// The hidden subcommand under which the program is a subject.
pub const SUBJECT_COMMAND: &str = "subject";

/// Trials before the one that is followed.
const WARMUP: u32 = 2;

/// What the subject says when its stores are made.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Told {
    /// What became of each store through a trampoline, in their order.
    pub outcomes: Vec<Outcome>,
    /// What the timed loop found in the last trial before it, in clock ticks.
    pub timed: BTreeMap<Outcome, Latency>,
    /// How the page state was brought about and proven.
    pub setup: Setup,
    /// Data checks.
    pub integrity: Integrity,
}

/// A subject that cannot be one.
#[derive(Debug, thiserror::Error)]
#[error("subject: {0}")]
pub struct SubjectError(String);

/// Makes the stores of one trial through trampolines, in an area of `pages` pages, or as many bytes.
///
/// # Errors
/// Outside a guest; if the page state cannot be had or a debugger cannot be met; it is told to the debugger, if there
/// is one.
pub fn serve(id: &str, folio: Folio, pages: u32) -> Result<(), SubjectError> {
    only_in_a_guest("setting kernel.kptr_restrict to 0 for good").map_err(SubjectError)?;
    let trampolines = Trampolines::put_up().map_err(|error| SubjectError(error.to_string()))?;
    let told = try_it(id, folio, pages, trampolines).map_err(SubjectError);
    match &told {
        Ok(told) => trampolines.say(Word::Done, &serde_json::to_vec(told).unwrap_or_default()),
        Err(SubjectError(reason)) => trampolines.say(Word::Refused, reason.as_bytes()),
    }
    told.map(|_| ())
}

fn try_it(id: &str, folio: Folio, pages: u32, trampolines: Trampolines) -> Result<Told, String> {
    let scenario = catalogue::find(id).ok_or_else(|| format!("no scenario is called {id}"))?;
    if scenario.race().is_some() || scenario.timed != Timed::Store {
        return Err(format!(
            "single stores by one process were needed, and {id} {}",
            match scenario.race() {
                Some(_) => "is a race",
                None => scenario.timed.label(),
            }
        ));
    }
    pin(0).map_err(|error| error.to_string())?;
    follow(scenario, folio, pages, trampolines).map_err(|error| error.to_string())
}

fn follow(
    scenario: &Scenario,
    folio: Folio,
    pages: u32,
    trampolines: Trampolines,
) -> Result<Told, MemoryError> {
    let symbols = symbols()?;
    let pages = units(scenario, folio, pages);
    back_memory(pages * stride(scenario, folio) / page_size())?;
    let fixture =
        Fixture::new(scenario, pages, folio, ClockSource::Tsc)?.with_trampolines(trampolines);
    let (mut next, mut attempts) = (1, Attempts::default());
    let mut timed = Vec::new();
    for _ in 0..WARMUP {
        let found = attempt(&fixture, &mut next, &mut attempts, |prepared| {
            prepared.store(Stores::Timed)
        })?;
        timed = found.outcomes.into_iter().zip(found.ticks).collect();
    }
    let prepared = attempt(&fixture, &mut next, &mut attempts, Ok)?;
    let setup = prepared.setup.clone();
    trampolines.say(Word::Ready, &symbols);
    let found = prepared.store(Stores::ByTrampoline)?;
    Ok(Told {
        outcomes: found.outcomes,
        timed: summarize(&timed),
        setup,
        integrity: found.integrity,
    })
}

/// The kernel's symbol table with addresses.
fn symbols() -> Result<Vec<u8>, MemoryError> {
    // Where it is 2, addresses read 0 for root too. Without the setting there is nothing to set.
    let _ = fs::write("/proc/sys/kernel/kptr_restrict", "0");
    fs::read("/proc/kallsyms").map_err(|e| {
        MemoryError::refused(
            "reading /proc/kallsyms (a kernel with CONFIG_KALLSYMS=y has it)",
            e,
        )
    })
}

fn summarize(timed: &[(Outcome, u64)]) -> BTreeMap<Outcome, Latency> {
    let mut distributions = BTreeMap::new();
    for &(outcome, ticks) in timed {
        distributions
            .entry(outcome)
            .or_insert_with(|| Distribution::new(Unit::Instructions))
            .record(ticks);
    }
    let latencies = distributions.iter();
    latencies
        .map(|(&outcome, one)| (outcome, one.latency()))
        .collect()
}
