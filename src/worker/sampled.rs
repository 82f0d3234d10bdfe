//! The process whose stacks are sampled while it stores: trial after trial, sampled only in the stores.

use std::io::Write;
use std::time::{Duration, Instant};

use nix::sys::prctl::set_pdeathsig;
use nix::sys::signal::Signal;
use nix::unistd::getppid;
use serde::{Deserialize, Serialize};

use super::fixture::Fixture;
use super::serve::back_memory;
use super::tries::attempt;
use crate::measure::sampler::{Sampler, Stacks};
use crate::memory::MemoryError;
use crate::memory::area::page_size;
use crate::memory::folio::Folio;
use crate::memory::sharer::Stores;
use crate::record::clock::ClockSource;
use crate::record::outcome::Tally;
use crate::record::repetition::Attempts;
use crate::scenario::{Timed, catalogue};
use crate::sys::affinity::{current_cpu, pin};
use crate::worker::units::{stride, units};

/// The hidden subcommand under which the program is sampled.
pub const SAMPLED_COMMAND: &str = "sampled";

/// Trials before the first that is sampled.
const WARMUP: u32 = 2;

/// What to sample.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Task {
    /// The scenario's id.
    pub scenario: String,
    /// The size of the folios under test.
    pub folio: Folio,
    /// Pages in the area.
    pub pages: u32,
    /// Samples wanted.
    pub samples: u64,
    /// Seconds after which fewer have to do.
    pub seconds: u64,
    /// The process that asks: another parent means that it has gone.
    pub runner: i32,
}

/// What was sampled.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Sampling {
    /// `cycles` or `cpu-clock`.
    pub event: String,
    /// Cycles, or nanoseconds, from one sample to the next.
    pub period: u64,
    /// Each stack, innermost address first, and how often it was seen.
    pub stacks: Vec<(Vec<u64>, u64)>,
    /// Samples in user space.
    pub user: u64,
    /// Samples that the kernel had no room for.
    pub lost: u64,
    /// How often the kernel paused.
    pub throttled: u64,
    /// What became of the stores.
    pub outcomes: Tally,
}

/// Carries out the task given as JSON and writes the reply, or the reason why there is none, to standard
/// output.
///
/// # Errors
/// If standard output is gone.
pub fn serve(task: &str) -> std::io::Result<()> {
    set_pdeathsig(Signal::SIGKILL)?;
    let reply = serde_json::from_str::<Task>(task)
        .map_err(|error| error.to_string())
        .and_then(|task| try_it(&task));
    let mut out = std::io::stdout().lock();
    out.write_all(&serde_json::to_vec(&reply)?)?;
    out.flush()
}

fn try_it(task: &Task) -> Result<Sampling, String> {
    if getppid().as_raw() != task.runner {
        return Err("the runner has gone".into());
    }
    let id = &task.scenario;
    let scenario = catalogue::find(id).ok_or_else(|| format!("no scenario is called {id}"))?;
    if scenario.race().is_some() || scenario.timed != Timed::Store {
        return Err(format!(
            "stores by one process were needed, and {id} {}",
            match scenario.race() {
                Some(_) => "is a race",
                None => scenario.timed.label(),
            }
        ));
    }
    let cpu = current_cpu();
    pin(cpu).map_err(|error| error.to_string())?;
    let reason = |error: MemoryError| error.to_string();
    let pages = units(scenario, task.folio, task.pages);
    back_memory(pages * stride(scenario, task.folio) / page_size()).map_err(reason)?;
    let source = ClockSource::MonotonicRaw;
    let fixture = Fixture::new(scenario, pages, task.folio, source).map_err(reason)?;
    let (mut next, mut attempts) = (1, Attempts::default());
    for _ in 0..WARMUP {
        attempt(&fixture, &mut next, &mut attempts, |prepared| {
            prepared.store(Stores::Bare)
        })
        .map_err(reason)?;
    }
    let end = Instant::now() + Duration::from_secs(task.seconds);
    let (mut stacks, mut outcomes) = (Stacks::default(), Tally::default());
    let (mut event, mut period) = ("", 0);
    while stacks.samples() < task.samples && Instant::now() < end {
        let prepared = attempt(&fixture, &mut next, &mut attempts, Ok).map_err(reason)?;
        let mut sampler = Sampler::open(prepared.actor_pid())?;
        (event, period) = (sampler.event, sampler.period);
        let refused = |error: std::io::Error| format!("starting and stopping samples: {error}");
        sampler.start().map_err(refused)?;
        let stored = prepared.make_stores(Stores::Bare).map_err(reason)?;
        sampler.stop(&mut stacks).map_err(refused)?;
        for outcome in stored.judge().map_err(reason)?.outcomes {
            outcomes.add(outcome, 1);
        }
    }
    Ok(Sampling {
        event: event.to_owned(),
        period,
        user: stacks.user,
        lost: stacks.lost,
        throttled: stacks.throttled,
        stacks: stacks.seen.into_iter().collect(),
        outcomes,
    })
}
