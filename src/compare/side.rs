//! One side of a comparison: of each run file what a comparison needs, so that a thousand of them fit into memory.

use std::collections::BTreeMap;

use serde::Serialize;

use crate::record::case::CaseId;
use crate::record::latency::decode;
use crate::record::outcome::{Outcome, Tally};
use crate::record::repetition::RepetitionLatency;
use crate::record::schema::{Measured, RunFile, Setup};
use crate::record::unit::Unit;
use crate::stats::interval::Interval;
use crate::stats::shape::spacing;

/// The scenario whose stores do not fault: what moves it is the machine, not the kernel's fault path.
pub const CONTROL: (&str, Outcome) = ("control/no-fault", Outcome::NoFault);

/// What one side saw of a case.
#[derive(Clone, Debug)]
pub struct CaseSample {
    /// Unit of its latencies.
    pub unit: Unit,
    /// Outcomes over all repetitions.
    pub outcomes: Tally,
    /// The least and the greatest share of a repetition's stores that came to an outcome.
    pub shares: BTreeMap<Outcome, Interval>,
    /// How the page state was brought about and proven, as the first run has it.
    pub setup: Setup,
    /// Data checks that failed.
    pub violations: u64,
    /// Repetitions that did not come back.
    pub lost: usize,
    /// Latencies by outcome: run by run, repetition by repetition. Shorter than the side's list of runs where the last ones
    /// saw none; empty for those before that did not.
    pub latency: BTreeMap<Outcome, Vec<Vec<Sample>>>,
    /// What the area adds to an operation, in the same order.
    pub differences: Vec<Vec<Added>>,
}

/// One repetition's latency of one outcome.
#[derive(Clone, Copy, Debug)]
pub struct Sample {
    /// Which repetition of its run; where repetitions took turns as two sides, which pair: those of one number have one layout of
    /// memory.
    pub index: u32,
    /// Its figures.
    pub latency: RepetitionLatency,
    /// Whether something from outside disturbed the repetition.
    pub disturbed: bool,
}

/// What the area adds to an operation in one repetition.
#[derive(Clone, Copy, Debug)]
pub struct Added {
    /// As [`Sample::index`].
    pub index: u32,
    /// What it adds, in the unit of the case.
    pub value: f64,
}

/// What a run is about; every run of a side must be about the same.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct About {
    /// What two sides must have in common: a name and what it is.
    pub machine: Vec<(&'static str, String)>,
    /// What sides are compared for.
    pub kernel: Vec<(&'static str, String)>,
    /// Settings, kernel options and the like, which may explain a difference.
    pub settings: BTreeMap<String, String>,
}

/// Something in which two runs differ.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Difference {
    /// What it is.
    pub what: String,
    /// What the one has.
    pub base: String,
    /// What the other has.
    pub new: String,
}

/// One side of a comparison.
#[derive(Clone, Debug, Default)]
pub struct Side {
    /// Ids of the runs, in the order given.
    pub runs: Vec<String>,
    /// When each of them began, RFC 3339 in UTC.
    pub started: Vec<String>,
    /// The command that made the first run, word by word.
    pub command: Vec<String>,
    /// Whether each repetition counts as a run of its own: so a run is set against itself.
    pub by_repetition: bool,
    /// Whether some runs were told which scenarios to measure.
    pub asked: bool,
    /// What the first run is about.
    pub about: Option<About>,
    /// In what others differ from the first, each with the run's id.
    pub inner: Vec<Difference>,
    /// Runs that were interrupted.
    pub incomplete: usize,
    /// The largest noise within a run that one has found, as a share.
    pub floor: Option<f64>,
    /// The distance between two readings of the clock, in ns; 0 where it does not show.
    pub step: f64,
    /// What was seen, in the order in which the runs first speak of it.
    pub cases: Vec<(CaseId, CaseSample)>,
}

impl Side {
    /// Adds a run.
    pub fn add(&mut self, run: &RunFile) {
        let about = about(run);
        match &self.about {
            None => self.about = Some(about),
            Some(first) => self.inner.extend(
                differences(&first.machine, &about.machine)
                    .chain(differences(&first.kernel, &about.kernel))
                    .filter(is_established)
                    .map(|d| Difference {
                        new: format!("{} in {}", d.new, run.id),
                        ..d
                    }),
            ),
        }
        self.runs.push(run.id.clone());
        if self.command.is_empty() {
            self.command.clone_from(&run.tool.command);
        }
        self.started.push(run.started.clone());
        self.asked |= !run.config.scenarios.is_empty();
        self.incomplete += usize::from(!run.complete);
        self.step = self.step.max(step(run));
        let floor = run.noise.as_ref().map(|noise| noise.floor);
        self.floor = self.floor.into_iter().chain(floor).reduce(f64::max);
        for measured in &run.results {
            self.see(measured, if run.config.aa { 2 } else { 1 });
        }
    }

    /// What was seen of `case`, in whatever number of pages.
    pub fn seen(&self, case: &CaseId) -> Option<&CaseSample> {
        let mut cases = self.cases.iter();
        let found = cases.find(|(other, _)| other.is_but_for_pages(case));
        found.map(|(_, seen)| seen)
    }

    /// Some values, run by run, of those that `take` keeps.
    pub(super) fn values<T>(
        &self,
        runs: Option<&Vec<Vec<T>>>,
        take: impl Fn(&T) -> Option<f64>,
    ) -> Vec<Vec<f64>> {
        let runs = runs.into_iter().flatten();
        let kept = runs.map(|run| run.iter().filter_map(&take).collect::<Vec<f64>>());
        match self.by_repetition {
            true => kept.flatten().map(|value| vec![value]).collect(),
            false => kept.collect(),
        }
    }

    /// What its runs say of `name`; empty where they do not.
    pub fn told(&self, name: &str) -> String {
        let about = self.about.iter();
        let mut all = about.flat_map(|about| about.kernel.iter().chain(&about.machine));
        let found = all.find(|(other, _)| *other == name);
        found.map_or(String::new(), |(_, value)| value.clone())
    }

    /// What it is about in one line: kernel, virtualization, rule.
    pub fn label(&self) -> String {
        let [kernel, virtualization, rule] =
            ["kernel", "virtualization", "reuse rule"].map(|name| self.told(name));
        format!("{kernel} · {virtualization} · {rule}")
    }

    /// CPU, number of CPUs, virtualization and unit in one line.
    pub fn machine(&self) -> String {
        let [cpu, cpus, virtualization, unit] =
            ["CPU model", "CPUs", "virtualization", "unit"].map(|name| self.told(name));
        format!("{cpu}, {cpus} CPUs, {virtualization}, in {unit}")
    }

    /// Adds what was measured in a run of which so many repetitions in a row have one layout of memory.
    fn see(&mut self, measured: &Measured, of_one_layout: u32) {
        let case = CaseId::of(measured);
        let at = match self
            .cases
            .iter()
            .position(|(other, _)| other.is_but_for_pages(&case))
        {
            Some(at) => at,
            None => {
                self.cases.push((case, CaseSample::of(measured)));
                self.cases.len() - 1
            }
        };
        let (case, seen) = &mut self.cases[at];
        if case.pages != measured.pages {
            self.inner.push(Difference {
                what: format!("pages of {}", case.label()),
                base: case.pages.to_string(),
                new: measured.pages.to_string(),
            });
        }
        seen.outcomes += &measured.outcomes;
        seen.violations += measured.integrity.violations;
        seen.lost += measured.lost.len();
        let mut by_outcome: BTreeMap<Outcome, Vec<Sample>> = BTreeMap::new();
        for repetition in &measured.repetitions {
            let total = repetition.outcomes.total().max(1) as f64;
            for outcome in Outcome::ALL {
                let share = repetition.outcomes.get(outcome) as f64 / total;
                let alone = Interval::from((share, share));
                let range = seen.shares.entry(outcome).or_insert(alone);
                *range = range.widened(alone);
            }
            let interference = repetition.interference.as_ref();
            let disturbed = interference.is_some_and(|found| !found.disturbed.is_empty());
            for (&outcome, &latency) in &repetition.by_outcome {
                let samples = by_outcome.entry(outcome).or_default();
                samples.push(Sample {
                    index: repetition.index / of_one_layout,
                    latency,
                    disturbed,
                });
            }
        }
        let differences: Vec<Added> = measured
            .repetitions
            .iter()
            .filter_map(|repetition| {
                Some(Added {
                    index: repetition.index / of_one_layout,
                    value: repetition.difference?,
                })
            })
            .collect();
        let run = self.runs.len() - 1;
        if !differences.is_empty() {
            of_run(&mut seen.differences, run).extend(differences);
        }
        for (outcome, repetitions) in by_outcome {
            of_run(seen.latency.entry(outcome).or_default(), run).extend(repetitions);
        }
    }
}

/// The place of a run's values in a list that may not have reached it.
fn of_run<T>(runs: &mut Vec<Vec<T>>, run: usize) -> &mut Vec<T> {
    if runs.len() <= run {
        runs.resize_with(run + 1, Vec::new);
    }
    &mut runs[run]
}

impl CaseSample {
    fn of(measured: &Measured) -> CaseSample {
        CaseSample {
            unit: measured.unit(),
            outcomes: Tally::default(),
            shares: BTreeMap::new(),
            setup: measured.setup.clone(),
            violations: 0,
            lost: 0,
            latency: BTreeMap::new(),
            differences: Vec::new(),
        }
    }

    /// Repetitions with this outcome that were disturbed.
    pub fn disturbed(&self, outcome: Outcome) -> usize {
        let runs = self.latency.get(&outcome).into_iter().flatten();
        runs.flatten().filter(|sample| sample.disturbed).count()
    }

    /// Whether every repetition's figures of `outcome` are exact.
    pub fn is_exact(&self, outcome: Outcome) -> bool {
        let runs = self.latency.get(&outcome).into_iter().flatten();
        runs.flatten().all(|sample| sample.latency.exact)
    }

    /// The share of all stores that came to `outcome`, 0 to 1.
    pub fn share(&self, outcome: Outcome) -> f64 {
        self.outcomes.get(outcome) as f64 / self.outcomes.total().max(1) as f64
    }
}

/// A rule that could not be established, or was not asked for, contradicts nothing.
pub(super) fn is_established(difference: &Difference) -> bool {
    ![&difference.base, &difference.new].contains(&&"unknown".to_string())
}

/// The entries that differ, in the order of the one.
pub fn differences<'a>(
    one: &'a [(&'static str, String)],
    other: &'a [(&'static str, String)],
) -> impl Iterator<Item = Difference> + 'a {
    let pairs = one.iter().zip(other).filter(|(a, b)| a.1 != b.1);
    pairs.map(|(a, b)| Difference {
        what: a.0.into(),
        base: a.1.clone(),
        new: b.1.clone(),
    })
}

fn about(run: &RunFile) -> About {
    let host = &run.host;
    let figured =
        |measured: &&Measured| !measured.latency.is_empty() || measured.difference.is_some();
    let figured = run.results.iter().filter(figured);
    let mut units: Vec<&str> = figured.map(|measured| measured.unit().label()).collect();
    units.sort_unstable();
    units.dedup();
    let mut settings = host.settings.clone();
    settings.extend(host.kernel.config.clone());
    settings.insert("kernel command line".into(), host.kernel.cmdline.clone());
    About {
        machine: vec![
            ("CPU model", host.cpu.clone()),
            ("architecture", host.arch.clone()),
            ("CPUs", host.cpus.to_string()),
            ("virtualization", host.virtualization.to_string()),
            ("clock", run.clock.source.to_string()),
            ("unit", units.join(" and ")),
        ],
        kernel: vec![
            ("kernel", host.kernel.release.clone()),
            ("kernel build", host.kernel.version.clone()),
            ("compiler", host.kernel.compiler.clone()),
            ("reuse rule", run.strategy.small.label().into()),
            (
                "reuse rule of large folios",
                run.strategy.large.label().into(),
            ),
            ("reading pins", run.strategy.pin.label().into()),
            (
                "cowpath",
                format!("{}, commit {}", run.tool.version, run.tool.commit),
            ),
        ],
        settings,
    }
}

/// How far the clock's readings lie apart, by the shortest latencies of a run; 0 where they are not counted in time or
/// lie too close to tell.
fn step(run: &RunFile) -> f64 {
    let latencies = run.results.iter().flat_map(|m| m.latency.values());
    let timed = latencies.filter(|l| l.unit == Unit::Ns && l.count > 0);
    let shortest = timed.min_by_key(|latency| latency.p50);
    shortest
        .and_then(|latency| spacing(&decode(latency).ok()?))
        .unwrap_or(0.0)
}
