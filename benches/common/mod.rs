//! What the criterion targets share: the engine behind `iter_custom`, and where results go.

use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::time::Duration;

use cowpath::engine::protocol::{Job, Repetition};
use cowpath::engine::runner::{Attempt, Runner};
use cowpath::machine::topology::Topology;
use cowpath::run::schema::Config;
use cowpath::run::suite::{Environment, random_seed};
use criterion::{BenchmarkGroup, Criterion, SamplingMode, measurement::WallTime};

/// Samples of each benchmark; each is a process of its own.
pub const SAMPLES: usize = 20;
/// Pages in the area; fewer when criterion asks for fewer stores.
const PAGES: u64 = 4096;

/// A runner whose workers are the `cowpath` program that cargo has built beside this target.
pub fn runner() -> Runner {
    Runner {
        program: env!("CARGO_BIN_EXE_cowpath").into(),
        limit: Duration::from_secs(60),
        interrupted: Arc::new(AtomicBool::new(false)),
    }
}

/// Criterion, with a font for its plots where the plotting library brings none.
pub fn criterion() -> Criterion {
    cowpath::report::plot::font();
    Criterion::default().configure_from_args()
}

/// This machine.
pub fn environment() -> Environment {
    Environment::look(std::env::args().collect())
}

/// The configuration that a run file states for benchmarks.
pub fn config() -> Config {
    let cpus = Topology::read()
        .map(|topology| topology.order())
        .unwrap_or_default();
    Config {
        scenarios: Vec::new(),
        pages: PAGES as u32,
        trials: 0,
        reps: SAMPLES as u32,
        race_trials: 1,
        threads: Vec::new(),
        skew: vec![0],
        oversubscribe: false,
        tune: false,
        cpus: if cpus.is_empty() { vec![0] } else { cpus },
        seed: random_seed(),
        quick: false,
    }
}

/// A group with few samples of equal length, since each costs a process.
pub fn group<'a>(criterion: &'a mut Criterion, name: &str) -> BenchmarkGroup<'a, WallTime> {
    let mut group = criterion.benchmark_group(name);
    group
        .sample_size(SAMPLES)
        .sampling_mode(SamplingMode::Flat)
        .warm_up_time(Duration::from_millis(500))
        .measurement_time(Duration::from_secs(4));
    group
}

/// `job` with as many pages and trials as it takes to make `iters` stores.
pub fn sized(job: Job, iters: u64) -> Job {
    let pages = iters.clamp(64, PAGES);
    Job {
        pages: pages as u32,
        trials: iters.div_ceil(pages) as u32,
        ..job
    }
}

/// Makes the repetition; a worker that is lost is tried for once more.
///
/// # Errors
/// Why the page state cannot be had, or why both workers were lost.
pub fn repeat(runner: &Runner, job: &Job) -> Result<Box<Repetition>, String> {
    match runner.repeat(job) {
        Attempt::Done(repetition) => Ok(repetition),
        Attempt::Unreachable(why) => Err(why),
        Attempt::Lost(_) | Attempt::Interrupted => match runner.repeat(job) {
            Attempt::Done(repetition) => Ok(repetition),
            other => Err(format!("{other:?}")),
        },
    }
}

/// The time that `iters` stores take at the rate of `ticks` for `stores`.
pub fn time_of(environment: &Environment, ticks: u64, stores: u64, iters: u64) -> Duration {
    let ns = environment.clock.ns(ticks) * iters as f64 / stores.max(1) as f64;
    Duration::from_nanos(ns.round() as u64)
}
