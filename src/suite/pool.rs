//! Run files of the same thing as one: their histograms added, their repetitions one after the other.

use std::collections::BTreeMap;

use super::paired;
use crate::record::bounds::{self, Beyond};
use crate::record::case::CaseId;
use crate::record::latency::{HistogramError, add, histogram, latency_of};
use crate::record::outcome::Outcome;
use crate::record::race::Part;
use crate::record::schema::{Counter, Discards, Latency, Measured, PageTally, Raced, RunFile};

/// Run files on their way to being one.
pub struct Pool {
    whole: RunFile,
    runs: usize,
    parts: Vec<Sums>,
}

/// What is summed of one result beside it.
#[derive(Default)]
struct Sums {
    /// The first index that no repetition has.
    next: u32,
    latency: BTreeMap<Outcome, Latencies>,
    race: BTreeMap<Part, Latencies>,
    arrival: Latencies,
    with: Latencies,
    without: Latencies,
    negative: u64,
}

/// Latencies on their way to being one. They are kept packed: a histogram takes two hundred times as much memory, and a
/// file may have very many.
#[derive(Default)]
struct Latencies(Vec<Latency>);

impl Latencies {
    /// So many are made one before there are more.
    const KEPT: usize = 32;

    fn add(&mut self, latency: &Latency) -> Result<(), HistogramError> {
        if self.0.len() == Self::KEPT {
            self.0 = self.sum()?.into_iter().collect();
        }
        self.0.push(latency.clone());
        Ok(())
    }

    fn sum(&self) -> Result<Option<Latency>, HistogramError> {
        let [first, _, ..] = &self.0[..] else {
            return Ok(self.0.first().cloned());
        };
        let mut sum = histogram();
        for latency in &self.0 {
            add(&mut sum, latency)?;
        }
        Ok(Some(latency_of(&sum, first.unit)))
    }
}

/// Why runs cannot be one.
#[derive(Debug, thiserror::Error)]
pub enum PoolError {
    /// A histogram cannot be read.
    #[error(transparent)]
    Histogram(#[from] HistogramError),
    /// They add up to what no run file can hold.
    #[error("{0} of the runs together")]
    Beyond(#[from] Beyond),
}

impl Pool {
    /// A pool of one run.
    ///
    /// # Errors
    /// When a histogram cannot be read.
    pub fn new(run: RunFile) -> Result<Pool, HistogramError> {
        let mut pool = Pool {
            whole: RunFile {
                results: Vec::new(),
                ..run.clone()
            },
            runs: 0,
            parts: Vec::new(),
        };
        pool.add(run)?;
        Ok(pool)
    }

    /// Adds another run of the same kernel on the same machine. Scenarios with other parameters stay apart.
    ///
    /// # Errors
    /// When a histogram cannot be read.
    pub fn add(&mut self, run: RunFile) -> Result<(), HistogramError> {
        self.runs += 1;
        self.whole.complete &= run.complete;
        if self.runs > 1 {
            self.whole.noise = self.whole.noise.take().or(run.noise);
            self.whole.finished = run.finished.max(std::mem::take(&mut self.whole.finished));
            for skipped in run.skipped {
                if !self.whole.skipped.contains(&skipped) {
                    self.whole.skipped.push(skipped);
                }
            }
        }
        for measured in run.results {
            self.add_result(measured)?;
        }
        Ok(())
    }

    /// The runs as one.
    ///
    /// # Errors
    /// When a histogram cannot be read, or they add up to what no run file can hold.
    pub fn finish(mut self) -> Result<RunFile, PoolError> {
        if self.runs > 1 {
            self.whole.id = format!("{} and {} more runs", self.whole.id, self.runs - 1);
        }
        for (measured, sums) in self.whole.results.iter_mut().zip(&self.parts) {
            for (outcome, latencies) in &sums.latency {
                if let (Some(latency), Some(sum)) =
                    (measured.latency.get_mut(outcome), latencies.sum()?)
                {
                    *latency = sum;
                }
            }
            for (part, latencies) in &sums.race {
                let parts = measured.race.as_mut().map(|race| &mut race.parts);
                if let (Some(latency), Some(sum)) = (
                    parts.and_then(|parts| parts.get_mut(part)),
                    latencies.sum()?,
                ) {
                    *latency = sum;
                }
            }
            if let (Some(with), Some(without)) = (sums.with.sum()?, sums.without.sum()?) {
                let reps = &measured.repetitions;
                measured.difference = paired::difference(reps, with, without, sums.negative);
            }
            if let (Some(met), Some(sum)) = (&mut measured.rendezvous, sums.arrival.sum()?) {
                met.arrival = sum;
            }
        }
        bounds::check(&self.whole)?;
        Ok(self.whole)
    }

    fn add_result(&mut self, mut one: Measured) -> Result<(), HistogramError> {
        let case = CaseId::of(&one);
        let same = |other: &Measured| CaseId::of(other) == case;
        let at = self.whole.results.iter().position(same);
        let sums = match at {
            Some(at) => &mut self.parts[at],
            None => {
                self.parts.push(Sums::default());
                &mut self.parts[self.whole.results.len()]
            }
        };
        sums.next = shift(&mut one, sums.next);
        for (&outcome, latency) in &one.latency {
            sums.latency.entry(outcome).or_default().add(latency)?;
        }
        for (&part, latency) in one.race.iter().flat_map(|race| &race.parts) {
            sums.race.entry(part).or_default().add(latency)?;
        }
        if let Some(met) = &one.rendezvous {
            sums.arrival.add(&met.arrival)?;
        }
        if let Some(difference) = &one.difference {
            sums.with.add(&difference.with)?;
            sums.without.add(&difference.without)?;
            sums.negative = sums.negative.saturating_add(difference.negative);
        }
        match at {
            Some(at) => join(&mut self.whole.results[at], one),
            None => self.whole.results.push(one),
        }
        Ok(())
    }
}

/// Numbers repetitions from `first` on, and gives the index that comes after them.
fn shift(one: &mut Measured, first: u32) -> u32 {
    let repetitions = one.repetitions.iter_mut().map(|r| &mut r.index);
    let lost = one.lost.iter_mut().map(|l| &mut l.index);
    let mut next = first;
    for index in repetitions.chain(lost) {
        *index = index.saturating_add(first);
        next = next.max(index.saturating_add(1));
    }
    next
}

/// Everything of a result but its histograms.
fn join(sum: &mut Measured, one: Measured) {
    sum.trials = sum.trials.saturating_add(one.trials);
    sum.outcomes.merge(&one.outcomes);
    for (outcome, latency) in one.latency {
        sum.latency.entry(outcome).or_insert(latency);
    }
    sum.repetitions.extend(one.repetitions);
    sum.lost.extend(one.lost);
    for (sum, more) in [
        (&mut sum.integrity.checked, one.integrity.checked),
        (&mut sum.integrity.violations, one.integrity.violations),
    ] {
        *sum = sum.saturating_add(more);
    }
    for (name, counter) in one.counters {
        match sum.counters.get_mut(&name) {
            Some(counted) => add_counter(counted, counter),
            None => {
                sum.counters.insert(name, counter);
            }
        }
    }
    add_discards(&mut sum.discards, one.discards);
    match (&mut sum.race, one.race) {
        (Some(race), Some(other)) => add_race(race, other),
        (race, other) => *race = race.take().or(other),
    }
    match (&mut sum.held, one.held) {
        (Some(held), Some(other)) => held.add(&other),
        (held, other) => *held = held.take().or(other),
    }
    sum.difference = sum.difference.take().or(one.difference);
    match (&mut sum.rendezvous, one.rendezvous) {
        (Some(met), Some(other)) => met.missed = met.missed.saturating_add(other.missed),
        (met, other) => *met = met.take().or(other),
    }
}

fn add_counter(sum: &mut Counter, one: Counter) {
    match (&mut *sum, one) {
        (
            Counter::Counted {
                value,
                per_fault,
                enabled_ns,
                running_ns,
            },
            Counter::Counted {
                value: more,
                per_fault: other,
                enabled_ns: enabled,
                running_ns: running,
            },
        ) => {
            // Each run's rate counts by the time it was counted for.
            let whole = (*running_ns as f64 + running as f64).max(1.0);
            *per_fault = (*per_fault * *running_ns as f64 + other * running as f64) / whole;
            *value = value.saturating_add(more);
            *enabled_ns = enabled_ns.saturating_add(enabled);
            *running_ns = running_ns.saturating_add(running);
        }
        (Counter::Unavailable { .. }, counted @ Counter::Counted { .. }) => *sum = counted,
        _ => {}
    }
}

fn add_discards(sum: &mut Discards, one: Discards) {
    match (&mut *sum, one) {
        (
            Discards::Counted {
                late,
                none,
                futile,
                allocations,
                committed,
                pages,
                also,
                ..
            },
            Discards::Counted {
                late: l,
                none: n,
                futile: f,
                allocations: a,
                committed: c,
                pages: p,
                also: second,
                ..
            },
        ) => {
            for (sum, more) in [
                (late, l),
                (none, n),
                (futile, f),
                (allocations, a),
                (committed, c),
                (pages, p),
            ] {
                *sum = sum.saturating_add(more);
            }
            also.extend(second);
        }
        (Discards::Unavailable { .. }, counted @ Discards::Counted { .. }) => *sum = counted,
        _ => {}
    }
}

fn add_race(sum: &mut Raced, one: Raced) {
    for tally in one.results {
        let same = |other: &&mut PageTally| {
            (other.frame, other.late, other.none) == (tally.frame, tally.late, tally.none)
        };
        match sum.results.iter_mut().find(same) {
            Some(found) => found.pages = found.pages.saturating_add(tally.pages),
            None => sum.results.push(tally),
        }
    }
    for (sum, more) in [
        (&mut sum.outside, one.outside),
        (&mut sum.unexplained, one.unexplained),
        (&mut sum.foreign, one.foreign),
        (&mut sum.events, one.events),
        (&mut sum.dry_pages, one.dry_pages),
        (&mut sum.dry_allocations, one.dry_allocations),
    ] {
        *sum = sum.saturating_add(more);
    }
    for (part, latency) in one.parts {
        sum.parts.entry(part).or_insert(latency);
    }
}
