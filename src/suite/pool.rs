//! Run files of the same thing as one: their histograms added, their repetitions one after the other.

use std::collections::BTreeMap;

use super::paired;
use crate::record::bounds::{self, Beyond};
use crate::record::case::CaseId;
use crate::record::distribution::Distribution;
use crate::record::latency::HistogramError;
use crate::record::latency::Latency;
use crate::record::outcome::Outcome;
use crate::record::race::ThreadOutcome;
use crate::record::schema::{Measured, RunFile};

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
    race: BTreeMap<ThreadOutcome, Latencies>,
    arrival: Latencies,
    forks: Latencies,
    beside_forks: Latencies,
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
        let mut sum = Distribution::new(first.unit);
        for latency in &self.0 {
            sum.add(latency)?;
        }
        Ok(Some(sum.latency()))
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
            self.whole.staged.extend(run.staged);
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
            let forks = measured.race.as_mut().and_then(|race| race.forks.as_mut());
            if let (Some(forks), Some(took), Some(beside)) =
                (forks, sums.forks.sum()?, sums.beside_forks.sum()?)
            {
                (forks.took, forks.beside) = (took, beside);
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
        if let Some(forks) = one.race.as_ref().and_then(|race| race.forks.as_ref()) {
            sums.forks.add(&forks.took)?;
            sums.beside_forks.add(&forks.beside)?;
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
            Some(at) => self.whole.results[at] += one,
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
