//! Gathers what the repetitions of a race found besides outcomes and latencies.

use std::collections::BTreeMap;

use hdrhistogram::Histogram;

use crate::record::counts::RaceCounts;
use crate::record::known::{Known, add_under_each_name, add_where_asked};
use crate::record::latency::{HistogramError, decode, histogram, latency_of};
use crate::record::method::LateCount;
use crate::record::method::Method;
use crate::record::race::ThreadOutcome;
use crate::record::schema::{
    DiscardCounts, Discards, Forks, LockWait, Measured, PageTally, Raced, RendezvousRecord,
};
use crate::record::unit::Unit;
use crate::scenario::workload::{DiscardCounting, Race, RaceOutcome, Rendezvous};
use crate::worker::protocol::{RaceFindings, Watched};

/// Forks of several repetitions.
struct ForkSum {
    sum: Forks,
    took: Histogram<u64>,
    beside: Histogram<u64>,
}

impl ForkSum {
    fn of(first: Forks) -> Result<Self, HistogramError> {
        Ok(ForkSum {
            took: decode(&first.took)?,
            beside: decode(&first.beside)?,
            sum: first,
        })
    }

    fn add(&mut self, more: Forks) -> Result<(), HistogramError> {
        // All have the shape that `histogram` gives, so adding cannot fail.
        let _ = self.took.add(&decode(&more.took)?);
        let _ = self.beside.add(&decode(&more.beside)?);
        self.sum += more;
        Ok(())
    }

    fn sum(&self, unit: Unit) -> Forks {
        Forks {
            took: latency_of(&self.took, unit),
            beside: latency_of(&self.beside, unit),
            ..self.sum.clone()
        }
    }
}

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
    other_methods: BTreeMap<Method, Known<LateCount>>,
    locks: Option<Known<LockWait>>,
    forks: Option<ForkSum>,
    replaced: Option<u64>,
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
            other_methods: BTreeMap::new(),
            locks: None,
            forks: None,
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
            let cost = rendezvous.cost_ns.into_iter();
            sum.costs = cost.cycle().take(from.repetitions.len()).collect();
            sum.missed = rendezvous.missed;
        }
        if let Some(raced) = &from.race {
            sum.events = raced.events;
            sum.rehearsal = [raced.rehearsal_pages, raced.rehearsal_allocations];
            sum.counts.unexplained = raced.unexplained;
            sum.counts.unrelated_allocations = raced.unrelated_allocations;
            sum.locks.clone_from(&raced.lock_wait);
            sum.forks = raced.forks.clone().map(ForkSum::of).transpose()?;
            sum.replaced = raced.replaced;
            sum.counts.results = raced.results.clone().into();
            for (&part, latency) in &raced.parts {
                sum.parts.insert(part, decode(latency)?);
            }
        }
        match &from.discards {
            Discards::Unavailable { unavailable } => sum.unavailable.clone_from(unavailable),
            Discards::Counted(counted) => {
                let counts = &mut sum.counts;
                (counts.late, counts.none, counts.futile) =
                    (counted.late, counted.none, counted.futile);
                (counts.allocations, counts.committed) = (counted.allocations, counted.committed);
                counts.pages = counted.pages;
                sum.other_methods.clone_from(&counted.other_methods);
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
        self.costs.extend(found.cost_ns);
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
        add_where_asked(&mut self.locks, found.locks);
        match (&mut self.forks, found.forks) {
            (Some(sum), Some(forks)) => sum.add(forks)?,
            (sum @ None, Some(forks)) => *sum = Some(ForkSum::of(forks)?),
            (_, None) => {}
        }
        Ok(())
    }

    fn add_watched(&mut self, watched: Watched) -> Result<(), HistogramError> {
        for (&part, latency) in &watched.parts {
            let sum = self.parts.entry(part).or_insert_with(histogram);
            let _ = sum.add(&decode(latency)?);
        }
        let late = watched.counts.late as i64;
        let committed = watched.counts.committed as i64;
        let finished = watched
            .finished_copies
            .map(|copies| copies as i64 - committed);
        let backoffs = watched
            .backoffs
            .map(|late| (Method::Vmstat, Ok(late as i64)));
        let counted = [
            (Method::Taskstats, finished),
            (Method::Kprobes, watched.probed),
        ];
        let more = counted.into_iter().chain(backoffs);
        let more = more.map(|(method, counted)| {
            let counted = counted.map(|by_it| LateCount {
                late: by_it,
                difference: by_it - late,
            });
            (method, counted.into())
        });
        let more: BTreeMap<_, _> = more.collect();
        match self.counts.pages {
            0 => self.other_methods = more,
            _ => add_under_each_name(&mut self.other_methods, more),
        }
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
            cost_ns: crate::stats::interval::median(&self.costs),
        })
    }

    /// What the pages came to; `allowed` is what the kernel's strategy allows, empty if it is unknown.
    pub fn raced(&self, allowed: &[RaceOutcome], unit: Unit) -> Raced {
        let results: Vec<PageTally> = self.counts.results.iter().collect();
        Raced {
            not_allowed: not_allowed(&results, allowed),
            results,
            unexplained: self.counts.unexplained,
            unrelated_allocations: self.counts.unrelated_allocations,
            parts: self
                .parts
                .iter()
                .map(|(&part, h)| (part, latency_of(h, unit)))
                .collect(),
            events: self.events,
            lock_wait: self.locks.clone(),
            forks: self.forks.as_ref().map(|forks| forks.sum(unit)),
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
        Discards::Counted(DiscardCounts {
            late: self.counts.late,
            none: self.counts.none,
            futile: self.counts.futile,
            allocations: self.counts.allocations,
            committed: self.counts.committed,
            pages: self.counts.pages,
            method: Method::Tracepoints,
            other_methods: self.other_methods.clone(),
        })
    }
}
/// Pages that came to what none of `allowed` is; 0 where nothing is known of what is allowed.
pub(super) fn not_allowed(results: &[PageTally], allowed: &[RaceOutcome]) -> u64 {
    let others = results.iter().filter(|one| {
        let allows = |a: &RaceOutcome| a.allows(one.frame, one.late, one.none);
        !allowed.is_empty() && !allowed.iter().any(allows)
    });
    others.map(|one| one.pages).sum()
}
