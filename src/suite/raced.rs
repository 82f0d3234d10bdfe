//! Gathers what the repetitions of a race found besides outcomes and latencies.

use std::collections::BTreeMap;

use hdrhistogram::Histogram;

use crate::measure::discards::METHOD;
use crate::measure::locks::Waited;
use crate::measure::{probes, vmstat};
use crate::record::counts::RaceCounts;
use crate::record::latency::{HistogramError, decode, histogram, latency_of};
use crate::record::race::ThreadOutcome;
use crate::record::schema::{
    Discards, LockWait, Measured, PageTally, Raced, RendezvousRecord, SecondCount, Unit,
};
use crate::scenario::workload::{DiscardCounting, Race, RaceOutcome, Rendezvous};
use crate::worker::protocol::{InLocks, RaceFindings, Watched};

/// The name of the second method in run files.
pub const SECOND_METHOD: &str =
    "taskstats wpcopy_count per thread, less the pages whose frame changed";

/// The sum over repetitions.
pub struct RaceSum {
    arrivals: Histogram<u64>,
    leads: Vec<u64>,
    costs: Vec<f64>,
    missed: u64,
    events: u64,
    rehearsal: [u64; 2],
    counts: RaceCounts,
    parts: BTreeMap<ThreadOutcome, Histogram<u64>>,
    unavailable: String,
    second: Result<i64, String>,
    probed: Result<i64, String>,
    locks: Option<Result<InLocks, String>>,
    kernels: Option<u64>,
    replaced: Option<u64>,
}

/// What an earlier part of the run counted by `method`.
fn told(other_methods: &[SecondCount], method: &str) -> Result<i64, String> {
    other_methods
        .iter()
        .find_map(|count| match count {
            SecondCount::Counted {
                method: by, late, ..
            } if by == method => Some(Ok(*late)),
            SecondCount::Unavailable {
                method: by,
                unavailable,
            } if by == method => Some(Err(unavailable.clone())),
            _ => None,
        })
        .unwrap_or(Ok(0))
}

/// Both counts, unless one of them is missing.
fn both(sum: &Result<i64, String>, more: Result<i64, String>) -> Result<i64, String> {
    Ok(sum.clone()? + more?)
}

impl Default for RaceSum {
    fn default() -> Self {
        RaceSum {
            arrivals: histogram(),
            leads: Vec::new(),
            costs: Vec::new(),
            missed: 0,
            events: 0,
            rehearsal: [0; 2],
            counts: RaceCounts::default(),
            parts: BTreeMap::new(),
            unavailable: "not raced".into(),
            second: Ok(0),
            probed: Ok(0),
            locks: None,
            kernels: Some(0),
            replaced: Some(0),
        }
    }
}

impl RaceSum {
    /// What an interrupted run has left behind.
    ///
    /// # Errors
    /// When a histogram cannot be read.
    pub fn resume(from: &Measured) -> Result<Self, HistogramError> {
        let mut sum = RaceSum::default();
        if let Some(rendezvous) = &from.rendezvous {
            sum.arrivals = decode(&rendezvous.arrival)?;
            sum.leads = vec![rendezvous.lead_ticks; from.repetitions.len()];
            sum.costs = vec![rendezvous.cost_ns; from.repetitions.len()];
            sum.missed = rendezvous.missed;
        }
        if let Some(raced) = &from.race {
            sum.events = raced.events;
            sum.rehearsal = [raced.rehearsal_pages, raced.rehearsal_allocations];
            sum.counts.unexplained = raced.unexplained;
            sum.counts.unrelated_allocations = raced.unrelated_allocations;
            sum.locks = raced.lock_wait.clone().map(|locks| match locks {
                LockWait::Counted {
                    waited_ns,
                    waits,
                    of_ns,
                } => Ok(InLocks {
                    waited: Waited {
                        ns: waited_ns,
                        times: waits,
                    },
                    of_ns,
                }),
                LockWait::Unavailable { unavailable } => Err(unavailable),
            });
            sum.replaced = raced.replaced;
            sum.counts.results = raced.results.clone().into();
            for (&part, latency) in &raced.parts {
                sum.parts.insert(part, decode(latency)?);
            }
        }
        match &from.discards {
            Discards::Unavailable { unavailable } => sum.unavailable.clone_from(unavailable),
            Discards::Counted {
                late,
                none,
                futile,
                allocations,
                committed,
                pages,
                other_methods,
                ..
            } => {
                let counts = &mut sum.counts;
                (counts.late, counts.none, counts.futile) = (*late, *none, *futile);
                (counts.allocations, counts.committed) = (*allocations, *committed);
                counts.pages = *pages;
                sum.second = told(other_methods, SECOND_METHOD);
                sum.probed = told(other_methods, probes::METHOD);
                sum.kernels = told(other_methods, vmstat::METHOD)
                    .ok()
                    .map(i64::unsigned_abs);
            }
        }
        Ok(sum)
    }

    /// Adds a repetition.
    ///
    /// # Errors
    /// When a histogram of the reply cannot be read.
    pub fn add(&mut self, found: RaceFindings) -> Result<(), HistogramError> {
        if let Some(arrival) = &found.arrival {
            // Both have the shape that `histogram` gives, so adding cannot fail.
            let _ = self.arrivals.add(&decode(arrival)?);
        }
        self.leads.push(found.lead_ticks);
        self.costs.push(found.cost_ns);
        self.missed += found.missed;
        self.events += found.events;
        if let Ok([pages, allocations]) = found.rehearsal {
            self.rehearsal[0] += pages;
            self.rehearsal[1] += allocations;
        }
        match found.watched {
            Err(why) => self.unavailable = why,
            Ok(watched) => self.add_watched(watched)?,
        }
        if let Some(locks) = found.locks {
            self.locks = Some(match (self.locks.take(), locks) {
                (Some(Ok(sum)), Ok(more)) => Ok(InLocks {
                    waited: Waited {
                        ns: sum.waited.ns + more.waited.ns,
                        times: sum.waited.times + more.waited.times,
                    },
                    of_ns: sum.of_ns + more.of_ns,
                }),
                (Some(Err(why)), _) => Err(why),
                (_, locks) => locks,
            });
        }
        Ok(())
    }

    fn add_watched(&mut self, watched: Watched) -> Result<(), HistogramError> {
        for (&part, latency) in &watched.parts {
            let sum = self.parts.entry(part).or_insert_with(histogram);
            let _ = sum.add(&decode(latency)?);
        }
        let late = watched
            .finished_copies
            .clone()
            .map(|copies| copies as i64 - watched.counts.committed as i64);
        self.kernels = self
            .kernels
            .zip(watched.backoffs)
            .map(|(sum, late)| sum + late);
        self.second = both(&self.second, late);
        self.probed = both(&self.probed, watched.probed.clone());
        self.replaced = self
            .replaced
            .zip(watched.replaced)
            .map(|(sum, one)| sum + one);
        self.counts += watched.counts;
        Ok(())
    }

    /// How the threads met, where they do.
    pub fn rendezvous(&self, race: &Race, unit: Unit) -> Option<RendezvousRecord> {
        if race.rendezvous == Rendezvous::Free {
            return None;
        }
        let mut leads = self.leads.clone();
        leads.sort_unstable();
        Some(RendezvousRecord {
            lead_ticks: leads.get(leads.len() / 2).copied().unwrap_or(0),
            arrival: latency_of(&self.arrivals, unit),
            missed: self.missed,
            cost_ns: crate::stats::interval::median(&self.costs).unwrap_or(0.0),
        })
    }

    /// What the pages came to; `allowed` is what the kernel's strategy allows, empty if it is unknown.
    pub fn raced(&self, allowed: &[RaceOutcome], unit: Unit) -> Raced {
        let results: Vec<PageTally> = self.counts.results.iter().collect();
        let not_allowed = results.iter().filter(|one| {
            let allows = |a: &RaceOutcome| a.allows(one.frame, one.late, one.none);
            !allowed.is_empty() && !allowed.iter().any(allows)
        });
        Raced {
            not_allowed: not_allowed.map(|one| one.pages).sum(),
            results,
            unexplained: self.counts.unexplained,
            unrelated_allocations: self.counts.unrelated_allocations,
            parts: self
                .parts
                .iter()
                .map(|(&part, h)| (part, latency_of(h, unit)))
                .collect(),
            events: self.events,
            lock_wait: self.locks.clone().map(|locks| match locks {
                Ok(InLocks { waited, of_ns }) => LockWait::Counted {
                    waited_ns: waited.ns,
                    waits: waited.times,
                    of_ns,
                },
                Err(unavailable) => LockWait::Unavailable { unavailable },
            }),
            replaced: self.replaced.filter(|_| self.counts.pages > 0),
            rehearsal_pages: self.rehearsal[0],
            rehearsal_allocations: self.rehearsal[1],
        }
    }

    /// The discards; `exclusive` tells whether the kernel follows the exclusive flag.
    pub fn discards(&self, race: &Race, exclusive: bool) -> Discards {
        let why = match race.counting {
            DiscardCounting::Not(why) => Some(why.to_string()),
            DiscardCounting::OnceIfExclusive if !exclusive => Some(
                "without the exclusive flag a page can change its frame several times, and its frame number shows one change".into(),
            ),
            _ if self.counts.pages == 0 => Some(self.unavailable.clone()),
            _ => None,
        };
        if let Some(unavailable) = why {
            return Discards::Unavailable { unavailable };
        }
        let count = |method: &str, counted: Result<i64, String>| match counted {
            Ok(late) => SecondCount::Counted {
                method: method.into(),
                late,
                difference: late - self.counts.late as i64,
            },
            Err(unavailable) => SecondCount::Unavailable {
                method: method.into(),
                unavailable,
            },
        };
        let second = count(SECOND_METHOD, self.second.clone());
        let probed = count(probes::METHOD, self.probed.clone());
        let kernels = self
            .kernels
            .map(|late| count(vmstat::METHOD, Ok(late as i64)));
        Discards::Counted {
            late: self.counts.late,
            none: self.counts.none,
            futile: self.counts.futile,
            allocations: self.counts.allocations,
            committed: self.counts.committed,
            pages: self.counts.pages,
            method: METHOD.into(),
            other_methods: [second, probed].into_iter().chain(kernels).collect(),
        }
    }
}
