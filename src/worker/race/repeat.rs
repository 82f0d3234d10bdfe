//! One repetition of a race: calibrate the rendezvous, prove that the timed section allocates nothing
//! of its own, race with timestamps only, race again under watch.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use hdrhistogram::Histogram;

use super::clocks;
use super::context::RaceContext;
use super::judge::Judged;
use super::shared::{Placement, RaceShared, Watching};
use super::trial::{RaceTrial, race_over};
use crate::machine::capability::taskstats;
use crate::measure::clock::Clock;
use crate::measure::discards::Tracepoints;
use crate::measure::locks::Waited;
use crate::measure::probes;
use crate::memory::MemoryError;
use crate::memory::folio::Folio;
use crate::record::counts::RaceCounts;
use crate::record::known::Known;
use crate::record::latency::{histogram, latency_of};
use crate::record::outcome::Outcome;
use crate::record::race::WaitedFor;
use crate::record::repetition::Attempts;
use crate::record::schema::{Forks, LockWait};
use crate::scenario::workload::{
    Access, Actor, DiscardCounting, OtherProcess, Race, Rendezvous, Workload,
};
use crate::scenario::{Mapping, Scenario, Step};
use crate::worker::fixture::Fixture;
use crate::worker::protocol::{Findings, Job, RaceFindings, Watched};
use crate::worker::tries::attempt;

/// Pages of a calibration and of a rehearsal.
const REHEARSAL: u32 = 256;
/// The shortest lead that is tried, in ns; each further one is twice as long.
const LEAD_NS: f64 = 250.0;
/// What one trial stands for where the process forks meanwhile: threads that store for so long, in as many trials as that takes.
const WINDOW_NS: f64 = 250e6;
/// For how long trials are made for that at the most, setting up included.
const TIME_MAX: Duration = Duration::from_secs(8);
/// Leads that are tried.
const LEADS: u32 = 7;
/// Makes the repetition that `job` asks for.
///
/// # Errors
/// Why the race can not be had here.
pub fn repeat(job: &Job, scenario: &Scenario, shape: &Race) -> Result<Findings, MemoryError> {
    let tick_ns = job.clock.ns(1_000_000) / 1e6;
    let placement = Placement {
        cpus: job.cpus.clone(),
        other_process: job.other_process,
    };
    let sweep = match shape.rendezvous {
        Rendezvous::Swept(ns) => (f64::from(ns) / tick_ns) as u64,
        _ => 0,
    };
    let pages = job.pages as usize;
    let setup = RaceSetup {
        job,
        placement,
        tick_ns,
        sweep,
        probes: probes::offered(),
    };
    let mut everybody = job.cpus.clone();
    everybody.push(job.other_process);
    clocks::compare(job.clock.source, &everybody)?;
    let mut found = RaceFindings::default();
    let lead = setup.calibrate(shape, &mut found)?;
    found.rehearsal = setup.rehearsal(shape, lead)?;

    let shared = setup.shared(*shape, pages)?;
    let context = setup.context(&shared);
    let fixture = setup.fixture(scenario, pages, &context)?;
    let mut repetition = RaceRepetition {
        setup: &setup,
        shared: &shared,
        fixture: &fixture,
        lead,
        next: 1,
        stored_for: 0,
        latencies: BTreeMap::new(),
        arrivals: histogram(),
        forks: histogram(),
        beside: histogram(),
        findings: Findings::default(),
        found,
    };
    for _ in 0..job.warmup {
        repetition.race(Watching::Nothing)?;
    }
    repetition.trials(job.trials, RaceRepetition::time)?;
    repetition.found.watched = match &job.watch {
        Err(why) => Err(why.clone()),
        // What was timed stands, whatever becomes of the watch.
        Ok(_) => repetition
            .watch(job.trials.div_ceil(2))
            .map_err(|why| why.to_string()),
    };
    if shape.rendezvous == Rendezvous::Free {
        repetition.watch_waits();
    }
    Ok(repetition.finish())
}

/// A repetition of a race as far as it has come.
struct RaceRepetition<'a> {
    setup: &'a RaceSetup<'a>,
    shared: &'a RaceShared,
    fixture: &'a Fixture<'a>,
    lead: u64,
    /// The number of the next trial.
    next: u64,
    /// Ticks that threads have stored in the trials that count for the rate of forks.
    stored_for: u64,
    latencies: BTreeMap<Outcome, Histogram<u64>>,
    arrivals: Histogram<u64>,
    forks: Histogram<u64>,
    beside: Histogram<u64>,
    findings: Findings,
    found: RaceFindings,
}

impl RaceRepetition<'_> {
    /// Races over the pages once, and counts nothing of it but the attempts.
    fn race(&mut self, watching: Watching) -> Result<RaceTrial, MemoryError> {
        let attempts = &mut self.findings.attempts;
        let (shared, lead, stored_for) = (self.shared, self.lead, self.stored_for);
        let raced = attempt(self.fixture, &mut self.next, attempts, |prepared| {
            race_over(shared, prepared, lead, watching, stored_for)
        })?;
        self.stored_for += raced.ticks;
        Ok(raced)
    }

    /// Makes so many trials; where the process is to fork meanwhile, as many as make up the time that so many stand for.
    fn trials(
        &mut self,
        trials: u32,
        mut one: impl FnMut(&mut Self) -> Result<(), MemoryError>,
    ) -> Result<(), MemoryError> {
        let Some(per_second) = self.shared.race.forks else {
            return (0..trials).try_for_each(|_| one(self));
        };
        let ticks = |ns: f64| (ns / self.setup.tick_ns) as u64;
        // So that each repetition meets its first fork at another time.
        let spread = (0.5 + 0.618 * f64::from(self.setup.job.layout)).fract();
        let start = ticks(1e9 / f64::from(per_second.max(1)) * spread);
        let until = start + ticks(WINDOW_NS * f64::from(trials));
        self.stored_for = start;
        let began = Instant::now();
        while self.stored_for < until && began.elapsed() < TIME_MAX {
            one(self)?;
        }
        Ok(())
    }

    /// Races over the pages once and notes what every trial tells, watched or not.
    fn trial(&mut self, watching: Watching) -> Result<RaceTrial, MemoryError> {
        let raced = self.race(watching)?;
        for &ticks in &raced.arrivals {
            let ns = self.ns(ticks);
            self.arrivals.saturating_record(ns);
        }
        self.findings.setup.clone_from(&raced.setup);
        self.findings.integrity.checked += raced.integrity.checked;
        self.findings.integrity.violations += raced.integrity.violations;
        self.found.missed += self.shared.missed();
        self.found.events += self.shared.counted();
        Ok(raced)
    }

    /// A trial whose stores' latencies count.
    fn time(&mut self) -> Result<(), MemoryError> {
        let raced = self.trial(Watching::Nothing)?;
        for &(outcome, ticks) in &raced.stores {
            let ns = self.ns(ticks);
            self.findings.tally.add(outcome, 1);
            let of_outcome = self.latencies.entry(outcome).or_insert_with(histogram);
            of_outcome.saturating_record(ns);
        }
        for (ticks, histogram) in [
            (&raced.forks, &mut self.forks),
            (&raced.beside, &mut self.beside),
        ] {
            for &ticks in ticks {
                let ns = self.setup.job.clock.ns(ticks).round() as u64;
                histogram.saturating_record(ns);
            }
        }
        self.findings.timed.stores += raced.stores.len() as u64;
        self.findings.timed.ticks.push(raced.ticks);
        let usage = (!self.shared.shares_cpus()).then_some(raced.usage);
        let threads = self.shared.threads() as u64;
        self.findings.window.add(threads * raced.ticks, usage);
        Ok(())
    }

    /// So many trials in which the threads' allocations are watched.
    fn watch(&mut self, trials: u32) -> Result<Watched, MemoryError> {
        let mut judged = Judged::default();
        let mut copies = Ok(0);
        let (mut backoffs, mut replaced) = (Some(0), Some(0));
        let mut probed = Some(0);
        let mut pages = 0;
        self.trials(trials, |this| {
            let raced = this.trial(Watching::Allocations)?;
            pages += u64::from(this.setup.job.pages);
            judged.merge(raced.judged.unwrap_or_default());
            probed = probed.zip(raced.probed).map(|(sum, one)| sum + one);
            let sum = std::mem::replace(&mut copies, Ok(0));
            copies = sum.and_then(|sum: u64| Ok(sum + raced.copies?));
            let add = |(sum, one)| sum + one;
            backoffs = backoffs.zip(raced.backoffs).map(add);
            replaced = replaced.zip(raced.replaced).map(add);
            Ok(())
        })?;
        let copies = match taskstats::Reader::open() {
            _ if self.shared.race.other_process == OtherProcess::Exits => {
                Err("the forks make stacks copy-on-write, and their copies count too".into())
            }
            Ok(_) => copies,
            Err(missing) => Err(missing.to_string()),
        };
        let job = self.setup.job;
        Ok(Watched {
            finished_copies: copies,
            probed: self.setup.probes.clone().and_then(|()| {
                probed.ok_or("a thread could not probe the functions that copy a page".into())
            }),
            backoffs,
            replaced,
            ..watched(job, judged, pages)
        })
    }

    /// Trials in which waits are watched: one, or where the process forks meanwhile, as many as are timed.
    fn watch_waits(&mut self) {
        // What is open already opens quickly, trial after trial.
        let _open = match self.shared.race.forks {
            Some(_) => self
                .setup
                .context(self.shared)
                .wait_watches(&WaitedFor::ALL, 1),
            None => Vec::new(),
        };
        let mut stores = WaitSums::default();
        let mut forks = WaitSums::default();
        let trials = self.shared.race.forks.map_or(1, |_| self.setup.job.trials);
        let made = self.trials(trials, |this| {
            let raced = this.trial(Watching::Locks)?;
            stores.add(&raced.waits);
            forks.add(&raced.fork_waits);
            Ok(())
        });
        let known = |sums: &WaitSums, what| -> Known<LockWait> {
            let watched = match (&self.setup.job.locks.get(&what), &made) {
                (Some(Err(why)), _) => Err(why.clone()),
                (_, Err(why)) => Err(why.to_string()),
                _ => sums.of(what, &self.setup.job.clock),
            };
            watched.into()
        };
        self.found.locks = Some(known(&stores, WaitedFor::Locks));
        let Some(per_second) = self.shared.race.forks else {
            return;
        };
        let of_stores =
            BTreeMap::from([(WaitedFor::MmapLock, known(&stores, WaitedFor::MmapLock))]);
        let of_forks = WaitedFor::ALL.map(|what| (what, known(&forks, what)));
        let unit = self.setup.job.unit;
        self.found.forks = Some(Forks {
            per_second,
            window_ns: self.ns(self.findings.timed.ticks.iter().sum()),
            took: latency_of(&self.forks, unit),
            beside: latency_of(&self.beside, unit),
            store_waits: of_stores,
            fork_waits: match self.shared.race.forks_meanwhile() {
                true => BTreeMap::from(of_forks),
                false => BTreeMap::new(),
            },
        });
    }

    fn finish(mut self) -> Findings {
        let unit = self.setup.job.unit;
        self.found.arrival = Some(latency_of(&self.arrivals, unit));
        let latencies = self.latencies.iter();
        self.findings.latency = latencies
            .map(|(&outcome, histogram)| (outcome, latency_of(histogram, unit)))
            .collect();
        self.findings.race = Some(Box::new(self.found));
        self.findings
    }

    fn ns(&self, ticks: u64) -> u64 {
        self.setup.job.clock.ns(ticks).round() as u64
    }
}

/// Waits of several trials, and the ticks that they are of.
#[derive(Default)]
struct WaitSums {
    trials: u32,
    sums: BTreeMap<WaitedFor, (Waited, u64, u32)>,
}

impl WaitSums {
    fn add(&mut self, waits: &BTreeMap<WaitedFor, (Waited, u64)>) {
        self.trials += 1;
        for (&what, (waited, of)) in waits {
            let (sum, ticks, trials) = self.sums.entry(what).or_default();
            sum.ns += waited.ns;
            sum.times += waited.times;
            *ticks += of;
            *trials += 1;
        }
    }

    /// The waits of one kind, where every trial has them.
    fn of(&self, what: WaitedFor, clock: &Clock) -> Result<LockWait, String> {
        let sum = self
            .sums
            .get(&what)
            .filter(|(_, _, trials)| *trials == self.trials);
        let (waited, ticks, _) =
            sum.ok_or("the kernel refused the tracepoints or had no room for every wait")?;
        Ok(LockWait {
            waited_ns: waited.ns,
            waits: waited.times,
            of_ns: clock.ns(*ticks).round() as u64,
        })
    }
}

fn watched(job: &Job, judged: Judged, pages: u64) -> Watched {
    let parts = judged.parts.into_iter().map(|(part, ticks)| {
        let mut h = histogram();
        for ticks in ticks {
            h.saturating_record(job.clock.ns(ticks).round() as u64);
        }
        (part, latency_of(&h, job.unit))
    });
    Watched {
        counts: RaceCounts {
            pages,
            ..judged.counts
        },
        parts: parts.collect(),
        finished_copies: Err("not asked".into()),
        probed: Err("not asked".into()),
        backoffs: None,
        replaced: None,
    }
}

/// What every race of the repetition shares.
struct RaceSetup<'a> {
    job: &'a Job,
    placement: Placement,
    tick_ns: f64,
    sweep: u64,
    probes: Result<(), String>,
}

impl RaceSetup<'_> {
    fn shared(&self, race: Race, pages: usize) -> Result<RaceShared, MemoryError> {
        let (job, placement) = (self.job, self.placement.clone());
        RaceShared::map(
            race,
            placement,
            pages,
            job.skew,
            self.sweep,
            job.clock.source,
        )
    }

    fn context<'f>(&'f self, shared: &'f RaceShared) -> RaceContext<'f> {
        let tracepoints: Option<&Tracepoints> = self.job.watch.as_ref().ok();
        RaceContext {
            shared,
            tracepoints,
            locks: &self.job.locks,
            probes: self.probes.is_ok(),
            tick_ns: self.tick_ns,
        }
    }

    fn fixture<'f>(
        &'f self,
        scenario: &'f Scenario,
        pages: usize,
        context: &'f RaceContext,
    ) -> Result<Fixture<'f>, MemoryError> {
        let fixture = Fixture::new(scenario, pages, Folio::Page, self.job.clock.source)?;
        Ok(fixture.with_race(context))
    }

    /// The shortest lead at which at most one rendezvous in a hundred is missed, with half as much
    /// again. The pages are the process's own, so nothing faults; what a page takes is the cost of the
    /// rendezvous itself.
    fn calibrate(&self, shape: &Race, found: &mut RaceFindings) -> Result<u64, MemoryError> {
        if shape.rendezvous == Rendezvous::Free || self.placement.crowded() {
            found.lead_ticks = (2000.0 / self.tick_ns) as u64;
            return Ok(found.lead_ticks);
        }
        let readers = Race {
            first: Access::Read,
            rival: Access::Read,
            further: Access::Read,
            ..own_pages(shape)
        };
        let mut best = (0, 0.0);
        for doubled in 0..LEADS {
            let lead = (LEAD_NS * f64::from(1 << doubled) / self.tick_ns) as u64;
            let (missed, ticks, _) = self.rehearse(readers, lead, Watching::Nothing)?;
            best = (
                lead + lead / 2,
                self.job.clock.ns(ticks) / f64::from(REHEARSAL),
            );
            if missed * 100 <= u64::from(REHEARSAL) * self.placement.cpus.len() as u64 {
                break;
            }
        }
        let (lead, cost) = best;
        (found.lead_ticks, found.cost_ns) = (lead, Some(cost));
        Ok(lead)
    }

    /// Races on pages that nobody else shares: whatever is allocated there, the race itself allocates.
    fn rehearsal(&self, shape: &Race, lead: u64) -> Result<Result<[u64; 2], String>, MemoryError> {
        if let Err(why) = &self.job.watch {
            return Ok(Err(why.clone()));
        }
        let mut race = own_pages(shape);
        race.counting = DiscardCounting::Once;
        for access in [&mut race.first, &mut race.rival, &mut race.further] {
            // A dropped page is filled again by the next store, which is no allocation of the race's.
            if *access == Access::DontNeed {
                *access = Access::Read;
            }
        }
        let (_, _, raced) = self.rehearse(race, lead, Watching::Allocations)?;
        let allocations = raced.judged.map_or(0, |judged| judged.counts.allocations);
        Ok(Ok([u64::from(REHEARSAL), allocations]))
    }

    /// Races `race` over the process's own pages: missed deadlines, ticks, and the rest.
    fn rehearse(
        &self,
        race: Race,
        lead: u64,
        watching: Watching,
    ) -> Result<(u64, u64, RaceTrial), MemoryError> {
        let scenario = Scenario {
            id: "rehearsal",
            summary: "",
            path: "",
            steps: &[Step::Fill],
            play: Workload::Race(race),
            mapping: Mapping::Anon(1),
            ..Scenario::BASE
        };
        let pages = REHEARSAL as usize;
        let shared = self.shared(race, pages)?;
        let context = self.context(&shared);
        let fixture = self.fixture(&scenario, pages, &context)?;
        let race = |prepared| race_over(&shared, prepared, lead, watching, 0);
        let raced = attempt(&fixture, &mut 1, &mut Attempts::default(), race)?;
        let first = shared.records[0].stamped(0)[0];
        let last = shared.records[0].stamped(pages - 1)[1];
        Ok((shared.missed(), last.saturating_sub(first), raced))
    }
}

/// The same race without anybody to share the pages with.
fn own_pages(shape: &Race) -> Race {
    Race {
        within: Actor::Parent,
        other_process: OtherProcess::Rests,
        forks: None,
        ..*shape
    }
}
