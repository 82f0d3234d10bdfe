//! The worker: a fresh process that makes one repetition and ends.

use std::collections::BTreeMap;
use std::io::{self, Read, Write};

use nix::sys::prctl::set_pdeathsig;
use nix::sys::signal::Signal;
use nix::unistd::getppid;

use super::demand::HugetlbDemand;
use super::fixture::Fixture;
use super::protocol::{Findings, Job, Loops, Pairs, Pass, WorkerReply};
use super::region::scale;
use super::stored::TrialFindings;
use super::trial::Prepared;
use super::tries::attempt;
use super::{held_copy, race};
use crate::measure::counters::{self, Counters, Counting};
use crate::measure::interference::{Before, TimeStored};
use crate::measure::interrupts::{TLB, TlbInterrupts};
use crate::measure::vmstat::Vmstat;
use crate::memory::MemoryError;
use crate::memory::area::{Area, page_size};
use crate::memory::neighbours;
use crate::memory::sharer::Stores;
use crate::record::distribution::Distribution;
use crate::record::outcome::Outcome;
use crate::scenario::workload::Workload;
use crate::scenario::{Scenario, Timed, catalogue};
use crate::sys::affinity::{PinError, pin};
use crate::worker::units::{stride, units};

/// A repetition that a worker could not make.
#[derive(Debug, thiserror::Error)]
pub enum WorkerError {
    /// Talking to the runner failed.
    #[error("worker: {0}")]
    Pipe(#[from] io::Error),
    /// The job is not what this program writes.
    #[error("worker: the job is not valid: {0}")]
    Job(#[from] serde_json::Error),
    /// The CPU is not to be had.
    #[error("worker: {0}")]
    Pin(#[from] PinError),
    /// The runner has gone.
    #[error("worker: the runner has gone")]
    Orphaned,
    /// The catalogue has no such scenario.
    #[error("worker: no scenario is called {0}")]
    NoScenario(String),
}

/// Reads a job from standard input, makes the repetition and writes the reply to standard output.
pub fn serve() -> Result<(), WorkerError> {
    // The runner's death ends this process; a runner that died before this line is noticed below.
    set_pdeathsig(Signal::SIGKILL).map_err(io::Error::from)?;
    let mut line = String::new();
    io::stdin().lock().read_to_string(&mut line)?;
    let job: Job = serde_json::from_str(&line)?;
    if getppid().as_raw() != job.runner {
        return Err(WorkerError::Orphaned);
    }
    pin(job.cpu)?;
    let before = Before::start(&job.cpus);
    let reply = match repeat(&job)? {
        Ok(found) => {
            let stored = TimeStored {
                us: (job.clock.ns(found.window.ticks) / 1e3) as u64,
                switches: found.window.switches.filter(|_| found.window.ticks > 0),
            };
            WorkerReply::Done(Box::new(Findings {
                interference: Some(before.since(&stored, job.unit)),
                ..found
            }))
        }
        Err(why) if why.is_passing() => WorkerReply::Failed(why.to_string()),
        Err(why) => WorkerReply::Unreachable(why.to_string()),
    };
    let mut out = io::stdout().lock();
    out.write_all(&serde_json::to_vec(&reply)?)?;
    Ok(out.flush()?)
}

fn repeat(job: &Job) -> Result<Result<Findings, MemoryError>, WorkerError> {
    let scenario = catalogue::find(&job.scenario)
        .ok_or_else(|| WorkerError::NoScenario(job.scenario.clone()))?;
    let scenario = &Scenario {
        mapping: job.mapping,
        ..*scenario
    };
    if let Some(race) = scenario.race() {
        return Ok(race::repeat::repeat(job, scenario, race));
    }
    if scenario.play == Workload::Held {
        return Ok(held_copy::repeat(job, scenario));
    }
    if let Err(error) = neighbours::map(job.layout) {
        return Ok(Err(error));
    }
    let pool = HugetlbDemand::of(scenario, job.folio, job.pages);
    let made = (|| {
        pool.map_or(Ok(()), HugetlbDemand::check)?;
        let pages = units(scenario, job.folio, job.pages);
        back_memory(pages * stride(scenario, job.folio) / page_size())?;
        let fixture = Fixture::new(scenario, pages, job.folio, job.clock.source)?;
        let mut worker = Worker {
            job,
            fixture: &fixture,
            found: Findings::default(),
            by_place: BTreeMap::new(),
            next: 1,
        };
        for _ in 0..job.warmup {
            worker.trial(Stores::Timed)?;
        }
        match job.pass {
            Pass::Timed => worker.timed()?,
            Pass::Overhead => worker.overhead()?,
        }
        if let Some(counting) = &job.counting {
            worker.count(counting)?;
        }
        Ok(worker.found)
    })();
    Ok(made.map_err(|error| match pool {
        Some(pool) => pool.explain(error),
        None => error,
    }))
}

/// Has the host, if there is one, back more memory than a trial and its copies need: the first touch
/// of a page that the host has not backed yet would cost far more than the fault to be measured.
pub(super) fn back_memory(pages: usize) -> Result<(), MemoryError> {
    let ballast = Area::map(3 * pages)?;
    ballast.fill(0);
    Ok(())
}

struct Worker<'a> {
    job: &'a Job,
    fixture: &'a Fixture<'a>,
    found: Findings,
    /// Times by a store's place among those to its folio.
    by_place: BTreeMap<u32, Distribution>,
    next: u64,
}

impl<'a> Worker<'a> {
    fn attempt<T>(
        &mut self,
        act: impl Fn(Prepared<'a>) -> Result<T, MemoryError>,
    ) -> Result<T, MemoryError> {
        attempt(self.fixture, &mut self.next, &mut self.found.attempts, act)
    }

    /// A whole trial.
    fn trial(&mut self, stores: Stores) -> Result<TrialFindings, MemoryError> {
        // Every other pair the other way round: A B B A.
        let pairs = self
            .found
            .pairs
            .as_ref()
            .map_or(0, |pairs| pairs.ticks.len());
        let (setup, found) = self.attempt(|mut prepared| {
            prepared.with_first = !pairs.is_multiple_of(2);
            let mut setup = prepared.setup.clone();
            let found = prepared.store(stores)?;
            setup.proven.extend(found.proven.clone());
            Ok((setup, found))
        })?;
        // The same for every trial of a repetition.
        self.found.setup = setup;
        Ok(found)
    }

    /// Every trial times every store.
    fn timed(&mut self) -> Result<(), MemoryError> {
        let mut distributions = BTreeMap::new();
        let trials = match self.fixture.scenario.timed {
            // Two pairs make a difference.
            Timed::Fork | Timed::Vfork => self.job.trials.next_multiple_of(2),
            _ => self.job.trials,
        };
        for _ in 0..trials {
            let found = self.trial(Stores::Timed)?;
            self.record(&found, &mut distributions);
            add(&mut self.found.timed, &found);
        }
        self.finish(&distributions);
        Ok(())
    }

    /// Timed and bare trials take turns (A B B A), so that a drift of the machine meets both alike.
    fn overhead(&mut self) -> Result<(), MemoryError> {
        let mut distributions = BTreeMap::new();
        // Forwards, then backwards: a drift meets all alike.
        let turns = [Stores::Timed, Stores::Fenced, Stores::Bare];
        for round in 0..self.job.trials {
            for turn in 0..turns.len() {
                let turn = if round % 2 == 0 {
                    turn
                } else {
                    turns.len() - 1 - turn
                };
                let found = self.trial(turns[turn])?;
                match turns[turn] {
                    Stores::Timed => {
                        self.record(&found, &mut distributions);
                        add(&mut self.found.timed, &found);
                    }
                    Stores::Fenced => add(&mut self.found.fenced, &found),
                    _ => add(&mut self.found.bare, &found),
                }
            }
        }
        self.finish(&distributions);
        Ok(())
    }

    fn record(
        &mut self,
        found: &TrialFindings,
        distributions: &mut BTreeMap<Outcome, Distribution>,
    ) {
        self.found.surplus_faults += found.surplus;
        self.found.inferred += found.inferred;
        if let Some(seen) = found.referenced {
            *self.found.referenced.get_or_insert_default() += seen;
        }
        if let Some(reads) = found.direct_reads {
            *self.found.direct_reads.get_or_insert_default() += reads;
        }
        if let Some(taken) = found.taken {
            *self.found.taken.get_or_insert_default() += taken;
        }
        if let Some(huge) = found.huge {
            *self.found.huge.get_or_insert_default() += huge;
        }
        let of_folio = self.fixture.folio.bytes() / page_size();
        for (store, &ticks) in found.by_place.iter().enumerate() {
            self.by_place
                .entry(1 << (store % of_folio + 1).ilog2())
                .or_insert_with(|| Distribution::new(self.job.unit))
                .record(self.job.clock.ns(ticks).round() as u64);
        }
        self.found.window.add(found.loop_ticks, found.usage);
        for (&outcome, &ticks) in found.outcomes.iter().zip(&found.ticks) {
            self.found.tally.add(outcome, 1);
            distributions
                .entry(outcome)
                .or_insert_with(|| Distribution::new(self.job.unit))
                .record(self.job.clock.ns(ticks).round() as u64);
        }
        if let Some(pair) = found.pair {
            let bytes = self.fixture.pages * self.fixture.folio.bytes();
            self.found.tally.add(Outcome::Operation, 1);
            let pairs = self.found.pairs.get_or_insert_with(|| Pairs {
                scale: scale(bytes),
                ticks: Vec::new(),
            });
            pairs.ticks.push([pair.with, pair.without]);
        }
        self.found.integrity.checked += found.integrity.checked;
        self.found.integrity.violations += found.integrity.violations;
    }

    fn finish(&mut self, distributions: &BTreeMap<Outcome, Distribution>) {
        let latencies = distributions.iter();
        self.found.latency = latencies
            .map(|(&outcome, one)| (outcome, one.latency()))
            .collect();
        let by_place = self.by_place.iter();
        self.found.by_place = by_place
            .map(|(&place, one)| (place, one.latency()))
            .collect();
    }

    /// One more trial for each group of counters that opens, without timestamps.
    fn count(&mut self, counting: &Counting) -> Result<(), MemoryError> {
        if self.fixture.scenario.timed.is_whole() {
            return Ok(());
        }
        let refused = |e| MemoryError::refused("starting and stopping the counters", e);
        let sound = match counting {
            Counting::Events(_) => counters::self_test(),
            Counting::Hardware => Ok(()),
        };
        for wanted in counting.groups(self.job.cpu) {
            let mut counters = Counters::open(&wanted, None);
            if !counters.is_open() {
                self.found
                    .counters
                    .extend(counters.stop().map_err(refused)?);
                continue;
            }
            drop(counters);
            let (mut counts, whole_machine, judged) = self.attempt(|prepared| {
                let mut open = Counters::open(&wanted, prepared.actor_pid());
                let before = (Vmstat::now(), TlbInterrupts::now());
                prepared.fixture.touch();
                open.start().map_err(refused)?;
                // Alive until the counters have stopped: taking a state down is no part of a store.
                let stored = prepared.make_stores(Stores::Bare)?;
                let counts = open.stop().map_err(refused)?;
                let interrupts = TlbInterrupts::now().since(&before.1);
                let mut whole_machine = Vmstat::now().since(&before.0);
                whole_machine.insert(TLB.into(), interrupts);
                Ok((counts, whole_machine, stored.judge()?))
            })?;
            self.found.integrity += judged.integrity;
            if let Err(why) = &sound {
                counts
                    .values_mut()
                    .for_each(|count| *count = Err(why.clone()));
            }
            if let Counting::Events(_) = counting {
                counts.extend(whole_machine);
            }
            self.found.counters.extend(counts);
        }
        self.found.counted_stores = self.fixture.pages as u64;
        Ok(())
    }
}

fn add(loops: &mut Loops, found: &TrialFindings) {
    loops.stores += found.outcomes.len() as u64;
    loops.ticks.push(found.loop_ticks);
}
