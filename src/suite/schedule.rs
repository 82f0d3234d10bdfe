//! A run: every chosen scenario, repeated in fresh processes in shuffled order, into one run file.

use std::time::Instant;

use super::case::Case;
use super::checkpoint::Checkpoint;
use super::collect::Collected;
use super::counting::{CountingPass, count, lacks};
use super::environment::Environment;
use super::event::SuiteEvent;
use super::job::{case_job, counting_job, layout};
use super::pace::{self, Pace};
use super::random::random_seed;
use super::rule::examine;
use super::workers::{Tuning, Workers};
use crate::machine::kernel::version_in;
use crate::measure::counters::{self, Counting};
use crate::record::case::CaseId;
use crate::record::noise_profile::NoiseProfile;
use crate::record::rule::SmallRule;
use crate::record::schema::{self, Config, RunFile, SCHEMA, Skipped, Strategy, Tool};
use crate::record::virtualization::Virtualization;
use crate::scenario::Scenario;
use crate::worker::protocol::Job;
use crate::worker::runner::Attempt;

/// Rounds after which a case that has given nothing but losses is not tried again.
const GIVEN_UP: usize = 3;
/// What a run says that the user stops.
const INTERRUPTED: &str = "interrupted: keeping what was measured";

/// A run in progress.
pub struct Suite<'a> {
    environment: &'a Environment,
    workers: &'a dyn Workers,
    tuner: Option<Box<dyn Tuning + 'a>>,
    /// What was asked for.
    pub config: Config,
    /// What every scenario has given so far.
    pub collected: Vec<Collected>,
    strategy: Strategy,
    id: String,
    started: String,
    checkpoint: Checkpoint,
    /// How far runs lie apart on this machine, where that was measured.
    noise: Option<NoiseProfile>,
    // Only where the kernel may panic as they come and go: see counters::hold().
    _held: Vec<counters::HeldCounter>,
}

impl<'a> Suite<'a> {
    /// Lets the pace know how far runs lie apart on this machine.
    pub fn beside(&mut self, noise: NoiseProfile) {
        self.noise = Some(noise);
    }

    /// Prepares a run of `scenarios`; establishes the kernel's strategy.
    pub fn new(
        environment: &'a Environment,
        workers: &'a dyn Workers,
        config: Config,
        scenarios: &[&'static Scenario],
    ) -> Self {
        let now = jiff::Timestamp::now();
        Suite {
            environment,
            workers,
            tuner: None,
            noise: None,
            collected: Case::all(scenarios, &config)
                .into_iter()
                .map(Collected::new)
                .collect(),
            strategy: examine(environment, workers, &config),
            config,
            id: format!(
                "{}-{}-{:08x}",
                now.strftime("%Y%m%dT%H%M%SZ"),
                environment.host.kernel.release,
                random_seed() as u32
            ),
            started: now.to_string(),
            checkpoint: Checkpoint::default(),
            _held: match environment.host.virtualization {
                Virtualization::Tcg => counters::hold(&environment.tracepoints),
                _ => Vec::new(),
            },
        }
    }

    /// Changes settings for the page states that need it; they are put back when the run ends.
    pub fn tune(&mut self, tuner: impl Tuning + 'a) {
        self.tuner = Some(Box::new(tuner));
    }

    /// Takes over what an interrupted run with the same configuration has measured already.
    ///
    /// # Errors
    /// Why the two runs cannot be one.
    pub fn resume(&mut self, from: &RunFile) -> Result<(), String> {
        let (then, now) = (&from.host, &self.environment.host);
        let rules = [from.strategy.small, self.strategy.small].map(SmallRule::label);
        for (what, then, now) in [
            ("the CPU", &then.cpu, &now.cpu),
            ("the kernel", &then.kernel.release, &now.kernel.release),
            (
                "the kernel's build",
                &then.kernel.version,
                &now.kernel.version,
            ),
            (
                "the kernel's command line",
                &then.kernel.cmdline,
                &now.kernel.cmdline,
            ),
            (
                "the virtualization",
                &then.virtualization.to_string(),
                &now.virtualization.to_string(),
            ),
            ("the reuse rule", &rules[0].to_owned(), &rules[1].to_owned()),
        ] {
            if then != now {
                return Err(format!(
                    "it must go on where it began; {what} was {then}, found: {now}"
                ));
            }
        }
        if then.kernel.config != now.kernel.config {
            return Err(
                "it must go on where it began; the kernel's configuration is another".into(),
            );
        }
        if from.config != self.config {
            return Err("this run was given another configuration than the file's".into());
        }
        // What no case of this run gave would be missing from its file.
        let gave =
            |measured: &schema::Measured| self.collected.iter().any(|c| c.case.gave(measured));
        if let Some(other) = from.results.iter().find(|measured| !gave(measured)) {
            return Err(format!(
                "it holds a result of {} that this run would not give: the file was put together from several runs, or what the machine offers has changed",
                CaseId::of(other).label()
            ));
        }
        self.id.clone_from(&from.id);
        self.started.clone_from(&from.started);
        for collected in &mut self.collected {
            let case = collected.case.clone();
            if let Some(measured) = from.results.iter().find(|measured| case.gave(measured)) {
                let id = case.scenario.id;
                *collected = Collected::resume(case, measured).map_err(|e| format!("{id}: {e}"))?;
            }
        }
        Ok(())
    }

    /// Makes every repetition, round by round, each round in an order of its own that the seed
    /// decides, or until figures are sharp or the time is over, where that was asked for; then counts events. Returns
    /// the run file; `complete` is false if the user interrupted the run.
    pub fn run(mut self, mut tell: impl FnMut(SuiteEvent)) -> RunFile {
        let complete = self.rounds(&mut tell) && self.count(&mut tell);
        for remark in self.tuner.take().map_or(Vec::new(), |tuner| tuner.finish()) {
            tell(SuiteEvent::Note(remark));
        }
        self.file(complete)
    }

    /// Whether the user let it go to its end.
    fn rounds(&mut self, tell: &mut impl FnMut(SuiteEvent)) -> bool {
        let noise = self.noise.take();
        let rows = self.collected.len();
        let pace = Pace::of(&self.config, rows).map(|pace| pace.beside(noise));
        if pace.is_some() {
            for collected in &mut self.collected {
                collected.case.reps = pace::MOST;
            }
        }
        let mut sharp = vec![false; self.collected.len()];
        let rounds = self
            .collected
            .iter()
            .map(|collected| collected.case.reps)
            .max()
            .unwrap_or(0);
        let known = if pace.is_some() { 1 } else { rounds };
        tell(SuiteEvent::Begin(self.work(known)));
        let mut random = fastrand::Rng::with_seed(self.config.seed);
        for rep in 0..rounds {
            for at in self.order(rep, &mut random) {
                // What was asked for is measured once, however short the time.
                if rep > 0 && pace.as_ref().is_some_and(Pace::is_over) {
                    return true;
                }
                let collected = &self.collected[at];
                if !collected.wants(rep) || sharp[at] {
                    continue;
                }
                let label = collected.case.id().label();
                if !self.repeat(at, rep, tell) {
                    tell(SuiteEvent::Note(INTERRUPTED.into()));
                    return false;
                }
                let collected = &self.collected[at];
                let Some(pace) = &pace else {
                    tell(SuiteEvent::Repeated(&label));
                    self.keep(tell);
                    continue;
                };
                sharp[at] = collected.unreachable.is_some()
                    || pace.is_sharp(
                        &collected.case.id(),
                        collected.repetitions(),
                        self.environment.unit,
                        self.clock_step(),
                    );
                self.keep(tell);
                let (spent, budget) = pace.spent();
                tell(SuiteEvent::Paced {
                    spent,
                    budget,
                    sharp: sharp.iter().filter(|&&is| is).count(),
                    of: sharp.len(),
                });
            }
            if sharp.iter().all(|&is| is) && pace.is_some() {
                break;
            }
        }
        true
    }

    /// The distance between readings of the clock, by the shortest times so far; 0 where they do not show it.
    fn clock_step(&self) -> f64 {
        let each = self.collected.iter().filter_map(Collected::clock_step);
        let shortest = each.min_by_key(|&(median, _)| median);
        shortest.map_or(0.0, |(_, step)| step)
    }

    /// How many repetitions and passes of counting so many rounds come to.
    fn work(&self, rounds: u32) -> u64 {
        let wanted = |rep| self.collected.iter().filter(move |c| c.wants(rep)).count();
        let to_do: usize = (0..rounds).map(wanted).sum();
        let to_count = self.collected.iter().filter(|c| c.case.is_counted());
        // What the PMU counts has a pass of its own.
        let passes = match Counting::Hardware.missing(self.config.cpus[0]) {
            None => 2,
            Some(_) => 1,
        };
        (to_do + passes * to_count.count()) as u64
    }

    /// Makes repetition `rep` of a case, or says in the case why there is none. False if the user interrupted it.
    fn repeat(&mut self, at: usize, rep: u32, tell: &mut impl FnMut(SuiteEvent)) -> bool {
        let collected = &mut self.collected[at];
        if collected.unreachable.is_some() {
            return true;
        }
        let id = collected.case.id().label();
        let tuned = match &mut self.tuner {
            Some(tuner) => tuner.bring_about(&collected.case.wants(self.config.tune)),
            None => Ok(()),
        };
        let attempt = match tuned {
            Ok(()) => {
                let (case, rules) = (&collected.case, &self.strategy);
                let job = Job {
                    layout: layout(rep, &self.config),
                    ..case_job(self.environment, &self.config, case, rules)
                };
                self.workers.repeat(&job)
            }
            Err(why) => Attempt::Unreachable(why.to_string()),
        };
        match attempt {
            Attempt::Done(reply) => {
                if let Err(e) = collected.add(rep, *reply, &self.environment.clock) {
                    collected.lose(rep, format!("the worker's reply is not valid: {e}"));
                }
            }
            Attempt::Unreachable(why) if !collected.is_measured() => {
                tell(SuiteEvent::Note(format!("{id}: skipped: {why}")));
                collected.unreachable = Some(why);
            }
            // What was had in another round is not lacking here.
            Attempt::Unreachable(why) | Attempt::Failed(why) | Attempt::Lost(why) => {
                tell(SuiteEvent::Note(format!(
                    "{id}: repetition {rep} was lost: {why}"
                )));
                collected.lose(rep, why);
            }
            Attempt::Interrupted => return false,
        }
        if !collected.is_measured()
            && collected.unreachable.is_none()
            && collected.losses() == GIVEN_UP
        {
            let why = collected.first_loss().unwrap_or_default();
            let why = format!("{why} (tried in {GIVEN_UP} rounds)");
            tell(SuiteEvent::Note(format!("{id}: skipped: {why}")));
            collected.unreachable = Some(why);
        }
        true
    }

    /// Hands out a checkpoint where one is due.
    fn keep(&mut self, tell: &mut impl FnMut(SuiteEvent)) {
        if self.checkpoint.is_due() && self.collected.iter().any(Collected::is_measured) {
            let began = Instant::now();
            tell(SuiteEvent::Checkpoint(&self.file(false)));
            self.checkpoint = Checkpoint::taken(began);
        }
    }

    /// Counts the events of every case's stores, now that all are timed: an open tracepoint or software event takes its
    /// part of every fault on the machine, also of those that it does not count. What the PMU counts comes before they
    /// are opened, therefore. False if the user interrupted.
    fn count(&mut self, tell: &mut impl FnMut(SuiteEvent)) -> bool {
        let hardware = Counting::Hardware;
        if let Some(missing) = hardware.missing(self.config.cpus[0]) {
            // No trial could count any: what is true of one case is true of all.
            for collected in &mut self.collected {
                if collected.is_measured() && collected.case.is_counted() {
                    collected.uncounted(&missing);
                }
            }
        } else if !self.count_each(&hardware, tell) {
            return false;
        }
        let events = Counting::Events(self.environment.tracepoints.clone());
        if !self.collected.iter().any(|c| lacks(c, &events)) {
            return true;
        }
        // The first use of an event and the last take 100 ms.
        let _held = counters::hold(&self.environment.tracepoints);
        self.count_each(&events, tell)
    }

    fn count_each(&mut self, counting: &Counting, tell: &mut impl FnMut(SuiteEvent)) -> bool {
        for at in 0..self.collected.len() {
            let collected = &mut self.collected[at];
            if !lacks(collected, counting) {
                continue;
            }
            let tuned = match &mut self.tuner {
                Some(tuner) => tuner.bring_about(&collected.case.wants(self.config.tune)),
                None => Ok(()),
            };
            let (case, rules) = (&collected.case, &self.strategy);
            let job = counting_job(self.environment, &self.config, case, rules, counting);
            let counted = match tuned {
                Ok(()) => count(self.workers, &job),
                Err(refused) => CountingPass::without(refused.to_string()),
            };
            if counted.interrupted {
                tell(SuiteEvent::Note(INTERRUPTED.into()));
                return false;
            }
            let label = collected.case.id().label();
            collected.count(counted.found);
            if let Some(why) = counted.why {
                tell(SuiteEvent::Note(format!("{label}: not all counted: {why}")));
            }
            if !pace::is_paced(&self.config) {
                tell(SuiteEvent::Repeated(&label));
            }
            self.keep(tell);
        }
        true
    }

    /// The order of one round: shuffled cases, each in every strategy before the next; the strategies forwards in one
    /// round and backwards in the next (A B C C B A), so that a drift of the machine meets all alike.
    fn order(&self, rep: u32, random: &mut fastrand::Rng) -> Vec<usize> {
        let strategies = self.config.strategies.len().max(1);
        let cases = self.collected.len() / strategies;
        let mut order: Vec<usize> = (0..cases).collect();
        random.shuffle(&mut order);
        let each = order.into_iter().flat_map(|case| {
            (0..strategies).map(move |at| match rep % 2 {
                0 => at * cases + case,
                _ => (strategies - 1 - at) * cases + case,
            })
        });
        each.collect()
    }

    /// The run file of what was collected so far.
    pub fn file(&self, complete: bool) -> RunFile {
        let environment = self.environment;
        let kernel = version_in(&environment.host.kernel.release);
        let measured = self
            .collected
            .iter()
            .filter(|collected| collected.is_measured());
        let missing = self
            .collected
            .iter()
            .filter(|collected| !collected.is_measured());
        RunFile {
            schema: SCHEMA.into(),
            id: self.id.clone(),
            started: self.started.clone(),
            finished: jiff::Timestamp::now().to_string(),
            complete,
            tool: Tool {
                version: env!("CARGO_PKG_VERSION").into(),
                commit: option_env!("COWPATH_COMMIT").unwrap_or("unknown").into(),
                command: environment.command.clone(),
            },
            host: environment.host.clone(),
            strategy: self.strategy.clone(),
            audit: environment.audit.clone(),
            clock: schema::ClockRecord {
                source: environment.clock.source,
                hz: environment.clock.hz,
                overhead_ns: environment.clock.overhead_ns,
                note: environment.clock.note.clone(),
            },
            config: self.config.clone(),
            results: measured
                .map(|collected| collected.measured(&self.strategy, kernel, environment.unit))
                .collect(),
            skipped: missing
                .filter_map(|collected| {
                    let reason = collected
                        .unreachable
                        .as_deref()
                        .or(collected.first_loss())?;
                    Some(Skipped {
                        scenario: collected.case.id().label(),
                        strategy: collected.case.strategy,
                        reason: reason.into(),
                    })
                })
                .collect(),
            noise: None,
            staged: Vec::new(),
        }
    }
}

#[cfg(test)]
mod tests;
