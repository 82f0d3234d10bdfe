//! What a worker is asked for.

use super::case::Case;
use super::environment::Environment;
use crate::machine::kernel::version_in;
use crate::measure::counters::Counting;
use crate::record::rule::SmallRule;
use crate::record::schema::{Config, Strategy};
use crate::scenario::Scenario;
use crate::scenario::catalogue::find;
use crate::scenario::expectation::{KernelTraits, Version};
use crate::worker::protocol::{Job, Pass};

/// Trials before those that count, in every repetition.
const WARMUP: u32 = 1;

/// One repetition of scenario `id` as `config` asks for it, by a kernel whose rule is not known yet.
pub fn job(environment: &Environment, config: &Config, id: &str) -> Job {
    let scenario = find(id).unwrap_or(&Scenario::BASE);
    let kernel = KernelTraits::own(SmallRule::Unknown, version(environment));
    Job {
        scenario: id.into(),
        mapping: scenario.mapping_on(&kernel),
        pages: config.pages,
        folio: Case::single(scenario, config).folio,
        trials: config.trials,
        warmup: WARMUP,
        cpu: config.cpus[0],
        cpus: config.cpus[..1].to_vec(),
        other_process: config.cpus[0],
        skew: 0,
        watch: environment.watch.clone(),
        locks: environment.locks.clone(),
        clock: environment.clock.clone(),
        unit: environment.unit,
        pass: Pass::Timed,
        counting: None,
        layout: 0,
        runner: std::process::id() as i32,
    }
}

/// One repetition of `case`, by a kernel of these rules.
pub fn case_job(environment: &Environment, config: &Config, case: &Case, rules: &Strategy) -> Job {
    let kernel = case.kernel(rules, version(environment));
    Job {
        mapping: case.scenario.mapping_on(&kernel),
        pages: case.pages,
        trials: case.trials,
        folio: case.folio,
        cpu: case.cpus[0],
        cpus: case.cpus.clone(),
        other_process: case.other_process,
        skew: case.skew,
        ..job(environment, config, case.scenario.id)
    }
}

/// Layouts of memory that repetitions take in turn.
const LAYOUTS: u32 = 8;

/// The layout of repetition `index`. Where repetitions take turns as two sides (A B B A), each two that follow each other have
/// the same.
pub(super) fn layout(index: u32, config: &Config) -> u32 {
    let pair = if config.aa { 2 } else { 1 };
    index / pair % LAYOUTS
}

/// A process that counts events of the stores of `case`.
pub(super) fn counting_job(
    environment: &Environment,
    config: &Config,
    case: &Case,
    rules: &Strategy,
    counting: &Counting,
) -> Job {
    Job {
        trials: 0,
        counting: Some(counting.clone()),
        ..case_job(environment, config, case, rules)
    }
}

fn version(environment: &Environment) -> Option<Version> {
    version_in(&environment.host.kernel.release)
}
