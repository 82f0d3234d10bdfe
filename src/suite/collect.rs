//! Gathers the repetitions of one case into its entry of the run file.

use crate::record::repetition::Attempts;
use std::collections::BTreeMap;

use super::case::Case;
use super::judged::{allowed, expectation, with_state};
use super::paired::PairSum;
use super::raced::RaceSum;
use crate::measure::clock::Clock;
use crate::measure::counters::Counting;
use crate::record::distribution::Distribution;
use crate::record::latency::HistogramError;
use crate::record::outcome::{Outcome, Tally};
use crate::record::repetition::{Lost, Repetition, RepetitionLatency};
use crate::record::rule::{Rule, SmallRule};
use crate::record::schema::{
    Counter, Discards, EventCount, HeldCopy, Integrity, Measured, Setup, Strategy,
};
use crate::record::unit::Unit;
use crate::scenario::expectation::Version;
use crate::worker::protocol;

/// The repetitions of one case so far.
pub struct Collected {
    /// The scenario and its parameters.
    pub case: Case,
    /// Why the page state cannot be had here, if a worker said so.
    pub unreachable: Option<String>,
    repetitions: Vec<Repetition>,
    lost: Vec<Lost>,
    distributions: BTreeMap<Outcome, Distribution>,
    tally: Tally,
    pages: u32,
    trials: u32,
    counters: BTreeMap<String, Counter>,
    setup: Setup,
    integrity: Integrity,
    race: RaceSum,
    held: Option<HeldCopy>,
    pairs: Option<PairSum>,
}

/// A counter over several repetitions; the last reason if none counted.
#[derive(Default)]
struct Summed {
    /// Of the processes in which it counted.
    stores: u64,
    processes: u64,
    value: u64,
    enabled_ns: u64,
    running_ns: u64,
    unavailable: String,
}

impl Collected {
    /// Nothing yet.
    pub fn new(case: Case) -> Self {
        Collected {
            unreachable: case.impossible.clone(),
            case,
            repetitions: Vec::new(),
            lost: Vec::new(),
            distributions: BTreeMap::new(),
            tally: Tally::default(),
            pages: 0,
            trials: 0,
            counters: BTreeMap::new(),
            setup: Setup::default(),
            integrity: Integrity::default(),
            race: RaceSum::default(),
            held: None,
            pairs: None,
        }
    }

    /// What an interrupted run has left behind, to be continued.
    ///
    /// # Errors
    /// When a histogram cannot be read.
    pub fn resume(case: Case, from: &Measured) -> Result<Self, HistogramError> {
        let resumed = from.latency.iter().map(|(&outcome, latency)| {
            let mut sum = Distribution::new(latency.unit);
            sum.add(latency)?;
            Ok((outcome, sum))
        });
        let distributions = resumed.collect::<Result<_, HistogramError>>()?;
        Ok(Collected {
            case,
            unreachable: None,
            repetitions: from.repetitions.clone(),
            lost: from.lost.clone(),
            distributions,
            tally: from.outcomes,
            pages: from.pages,
            trials: from.trials,
            counters: from.counters.clone(),
            setup: from.setup.clone(),
            integrity: from.integrity.clone(),
            race: RaceSum::resume(from)?,
            held: from.held.clone(),
            pairs: PairSum::resume(from)?,
        })
    }

    /// Whether repetition `index` was asked for and is still to be made.
    pub fn wants(&self, index: u32) -> bool {
        index < self.case.reps
            && !self
                .repetitions
                .iter()
                .any(|repetition| repetition.index == index)
            && !self.lost.iter().any(|lost| lost.index == index)
    }

    /// Whether any repetition came back.
    pub fn is_measured(&self) -> bool {
        !self.repetitions.is_empty()
    }

    /// The least median of its times, and the distance between readings of the clock that these show.
    pub fn clock_step(&self) -> Option<(u64, f64)> {
        let each = self.distributions.values();
        each.filter_map(Distribution::clock_step)
            .min_by_key(|&(median, _)| median)
    }

    /// The repetitions so far.
    pub fn repetitions(&self) -> &[Repetition] {
        &self.repetitions
    }

    /// Records that repetition `index` did not come back.
    pub fn lose(&mut self, index: u32, reason: String) {
        self.lost.push(Lost { index, reason });
    }

    /// Repetitions that did not come back.
    pub fn losses(&self) -> usize {
        self.lost.len()
    }

    /// The reasons of lost repetitions, the first one first.
    pub fn first_loss(&self) -> Option<&str> {
        self.lost.first().map(|lost| lost.reason.as_str())
    }

    /// Whether the events of that kind were counted, or why not is known.
    pub fn has_counts(&self, of: &Counting) -> bool {
        self.counters.contains_key(of.landmark())
    }

    /// Takes over why counters are `missing`.
    pub fn uncounted(&mut self, missing: &BTreeMap<String, String>) {
        let reasons = missing
            .iter()
            .map(|(name, why)| (name.clone(), Counter::unavailable(why)));
        self.counters.extend(reasons);
    }

    /// Takes over what counting trials over the whole area have found.
    pub fn count(&mut self, found: Vec<protocol::Findings>) {
        for reply in &found {
            self.integrity += reply.integrity.clone();
            if let Some(first) = self.repetitions.first_mut() {
                *first.attempts.get_or_insert_default() += &reply.attempts;
            }
        }
        let mut sums: BTreeMap<String, Summed> = BTreeMap::new();
        let counts = found.into_iter().flat_map(|reply| {
            let stores = reply.counted_stores;
            let counts = reply.counters.into_iter();
            counts.map(move |(name, count)| (name, count, stores))
        });
        for (name, count, stores) in counts {
            let sum = sums.entry(name).or_default();
            match count {
                Ok(counted) => {
                    sum.stores += stores;
                    sum.processes += 1;
                    sum.value += counted.value;
                    sum.enabled_ns += counted.enabled_ns;
                    sum.running_ns += counted.running_ns;
                }
                Err(why) => sum.unavailable = why,
            }
        }
        let counters = sums.into_iter();
        self.counters
            .extend(counters.map(|(name, sum)| (name, sum.counter())));
    }

    /// Adds repetition `index`.
    ///
    /// # Errors
    /// When a histogram of the reply cannot be read.
    pub fn add(
        &mut self,
        index: u32,
        reply: protocol::Findings,
        clock: &Clock,
    ) -> Result<(), HistogramError> {
        let state = &self.setup.state;
        if self.is_measured() && *state != reply.setup.state {
            let (first, now) = (state.join(" and "), reply.setup.state.join(" and "));
            let why = format!(
                "the state was another one than in the first repetition: {now}, not {first}"
            );
            self.lose(index, why);
            return Ok(());
        }
        let mut all: Option<Distribution> = None;
        let mut by_outcome = BTreeMap::new();
        for (&outcome, latency) in &reply.latency {
            let empty = || Distribution::new(latency.unit);
            all.get_or_insert_with(empty).add(latency)?;
            let sum = self.distributions.entry(outcome).or_insert_with(empty);
            sum.add(latency)?;
            by_outcome.insert(outcome, RepetitionLatency::of(latency));
        }
        let all = all.map(|all| all.latency()).filter(|all| all.count > 0);
        let difference = reply.pairs.as_ref().and_then(|pairs| {
            let sum = self.pairs.get_or_insert_default();
            sum.add(pairs, clock)
        });
        let seconds = clock.ns(reply.timed.ticks.iter().sum()) / 1e9;
        self.repetitions.push(Repetition {
            index,
            p50: all.as_ref().map(|all| all.p50),
            p99: all.as_ref().map(|all| all.p99),
            mean: all.as_ref().map(|all| all.mean),
            faults_per_s: (all.is_some() && seconds > 0.0)
                .then(|| reply.timed.stores as f64 / seconds),
            outcomes: reply.tally,
            by_outcome,
            difference,
            interference: reply.interference,
            surplus_faults: Some(reply.surplus_faults)
                .filter(|_| self.case.scenario.race().is_none()),
            inferred: Some(reply.inferred).filter(|_| self.case.scenario.race().is_none()),
            referenced: reply.referenced,
            direct_reads: reply.direct_reads,
            taken: reply.taken,
            by_place: reply
                .by_place
                .iter()
                .map(|(&place, latency)| (place, RepetitionLatency::of(latency)))
                .collect(),
            huge: reply.huge,
            major_faults: reply.window.major_faults.filter(|_| reply.window.ticks > 0),
            attempts: (reply.attempts != Attempts::default()).then_some(reply.attempts),
        });
        self.tally += &reply.tally;
        let trials = reply.timed.ticks.len() as u32;
        let loops = u64::from(trials.max(1)) * self.case.storing_threads();
        self.pages = (reply.timed.stores / loops) as u32;
        self.trials += trials;
        self.setup = reply.setup;
        self.integrity += reply.integrity;
        if let Some(held) = &reply.held {
            self.pages = held.pages as u32;
            self.trials += 1;
            *self.held.get_or_insert_default() += held;
        }
        match reply.race {
            Some(found) => self.race.add(*found),
            None => Ok(()),
        }
    }

    /// The case's entry of the run file, by the kernel's strategy `rule` and its version; where the kernel was switched,
    /// by what it was switched to.
    pub fn measured(&self, strategy: &Strategy, version: Option<Version>, unit: Unit) -> Measured {
        let rule = strategy.small;
        let kernel = with_state(self.case.kernel(strategy, version), &self.setup);
        let (expected_outcomes, basis) = expectation(self.case.scenario, &kernel, strategy);
        let rule = self.case.strategy.map_or(rule, Rule::stands_for);
        let (case, latency) = (&self.case, self.distributions.iter());
        let race = case.scenario.race();
        Measured {
            scenario: case.scenario.id.into(),
            strategy: case.strategy,
            folio: case.folio.size(),
            threads: case.cpus.len() as u32,
            cpus: case.cpus.clone(),
            skew: case.skew,
            oversubscribed: case.oversubscribed(),
            pages: self.pages,
            trials: self.trials,
            expected: expected_outcomes,
            basis,
            outcomes: self.tally,
            latency: latency
                .map(|(&outcome, one)| (outcome, one.latency()))
                .collect(),
            repetitions: self.repetitions.clone(),
            lost: self.lost.clone(),
            setup: self.setup.clone(),
            discards: match race {
                Some(race) => self.race.discards(race, rule == SmallRule::Exclusive),
                None => Discards::unavailable(
                    "one thread stores: nothing can change the PTE inside the copy window",
                ),
            },
            rendezvous: race.and_then(|race| self.race.rendezvous(race, unit)),
            race: race.map(|race| self.race.raced(allowed(race, &kernel), unit)),
            held: self.held.clone(),
            difference: self
                .pairs
                .as_ref()
                .and_then(|pairs| pairs.difference(&self.repetitions, unit)),
            counters: self.counters.clone(),
            integrity: self.integrity.clone(),
        }
    }
}

impl Summed {
    fn counter(&self) -> Counter {
        if self.running_ns == 0 {
            return Counter::unavailable(&self.unavailable);
        }
        let scale = self.enabled_ns as f64 / self.running_ns as f64;
        Counter::Counted(EventCount {
            value: self.value,
            per_fault: self.value as f64 * scale / self.stores.max(1) as f64,
            stores: Some(self.stores),
            processes: Some(self.processes),
            enabled_ns: self.enabled_ns,
            running_ns: self.running_ns,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::measure::counters::Counted;
    use crate::scenario::catalogue;
    use crate::suite::case::tests::config;

    #[test]
    fn the_stores_of_a_process_in_which_a_counter_did_not_count_are_not_divided_by() {
        let scenario = catalogue::find("copy/child-alive").unwrap();
        let mut cases = Case::all(&[scenario], &config(&[0], &[], &[0]));
        let mut collected = Collected::new(cases.remove(0));
        let count = |value| {
            Ok(Counted {
                value,
                enabled_ns: 10,
                running_ns: 10,
            })
        };
        let reply = |count| protocol::Findings {
            counted_stores: 100,
            counters: BTreeMap::from([("cycles:k".into(), count)]),
            integrity: Integrity {
                checked: 9,
                violations: 1,
            },
            ..protocol::Findings::default()
        };
        let never = Err("it was never scheduled".to_string());
        collected.count(vec![reply(count(300)), reply(never), reply(count(500))]);
        let Counter::Counted(cycles) = collected.counters["cycles:k"] else {
            panic!("{:?}", collected.counters)
        };
        assert_eq!(
            (
                cycles.value,
                cycles.per_fault,
                cycles.stores,
                cycles.processes
            ),
            (800, 4.0, Some(200), Some(2))
        );
        assert_eq!(collected.integrity.violations, 3, "their data counts too");
    }
}
