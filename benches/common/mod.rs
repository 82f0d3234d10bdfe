//! What the criterion targets share: the engine behind `iter_custom`, and where results go.
#![allow(dead_code, reason = "each target uses a part of this")]

use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::time::Duration;

use cowpath::engine::protocol::{Job, Repetition};
use cowpath::engine::runner::{Attempt, Runner};
use cowpath::machine::topology::Topology;
use cowpath::report;
use cowpath::run::case::Case;
use cowpath::run::collect::Collected;
use cowpath::run::io::{read, write};
use cowpath::run::schema::{Config, RunFile};
use cowpath::run::suite::{self, Environment, Suite, random_seed};
use cowpath::scenario::{Scenario, catalogue};
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
        race_reps: SAMPLES as u32,
        dear_reps: SAMPLES as u32,
        threads: Vec::new(),
        skew: vec![0],
        oversubscribe: false,
        tune: false,
        cpus: if cpus.is_empty() { vec![0] } else { cpus },
        seed: random_seed(),
        folios: Vec::new(),
        quick: false,
        strategies: Vec::new(),
        aa: false,
        until_mde: None,
        budget_s: None,
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

/// `job` with as many pages, up to its own, and trials as it takes to store to `iters` pages.
pub fn sized(job: Job, iters: u64) -> Job {
    let pages = iters.clamp(16, u64::from(job.pages).max(16));
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

/// Measures every case of the chosen scenarios as a benchmark of the group `name`; ends with the run
/// file and the report of all targets that this `cargo bench` has run so far.
pub fn measure(name: &str, chosen: impl Fn(&Scenario) -> bool) {
    let mut criterion = criterion();
    let (environment, runner) = (environment(), runner());
    let mut measured = Suite::new(&environment, &runner, config(), &[]);
    let mut group = group(&mut criterion, name);
    let scenarios: Vec<_> = catalogue::all()
        .filter(|scenario| chosen(scenario))
        .collect();
    for case in Case::all(&scenarios, &measured.config) {
        let label = case.label(&measured.config);
        let base = suite::case_job(&environment, &measured.config, &case);
        let probe = Job {
            counting: None,
            ..sized(base.clone(), 16)
        };
        let impossible = case.impossible.clone();
        if let Err(why) = impossible.map_or_else(|| repeat(&runner, &probe).map(drop), Err) {
            println!("skipped: {label}: {why}");
            continue;
        }
        let mut samples: Vec<Box<Repetition>> = Vec::new();
        group.bench_function(&label, |bencher| {
            bencher.iter_custom(|iters| {
                let sample = repeat(&runner, &sized(base.clone(), iters))
                    .unwrap_or_else(|why| panic!("{label}: {why}"));
                let (ticks, pages) = (sample.timed.ticks.iter().sum(), sample.timed.stores);
                let time = time_of(&environment, ticks, pages / case.storing_threads(), iters);
                samples.push(sample);
                time
            });
        });
        // Warm-up calls come first and unannounced.
        let kept = samples.split_off(samples.len().saturating_sub(SAMPLES));
        let mut collected = Collected::new(case);
        for (index, sample) in kept.into_iter().enumerate() {
            if let Err(e) = collected.add(index as u32, *sample, &environment.clock) {
                eprintln!("{label}: {e}");
            }
        }
        if collected.is_measured() {
            measured.collected.push(collected);
        }
    }
    group.finish();
    criterion.final_summary();
    if !measured.collected.is_empty() {
        publish(measured.file(true));
    }
}

fn publish(file: RunFile) {
    println!("{}", report::terminal::run::text(&file));
    let folder = session_folder();
    let path = folder.join("run.json");
    let mut whole = file.clone();
    if let Ok(mut earlier) = read(&path) {
        earlier.merge(file);
        whole = earlier;
    }
    let written = std::fs::create_dir_all(&folder)
        .map_err(anyhow::Error::from)
        .and_then(|()| Ok(write(&path, &whole)?))
        .and_then(|()| report::write(&[whole], &folder.join("report")).map_err(Into::into));
    match written {
        Ok(report) => {
            println!("run file: {}", path.display());
            println!("report:   {}", report.index.display());
        }
        Err(e) => eprintln!("the results could not be written: {e:#}"),
    }
}

/// Where the targets of one `cargo bench` put their results: below the target folder (this program
/// lies in `target/PROFILE/deps`), named after the process that started them all.
fn session_folder() -> PathBuf {
    let program = std::env::current_exe().unwrap_or_default();
    let target = program
        .ancestors()
        .nth(3)
        .map_or_else(|| PathBuf::from("target"), PathBuf::from);
    let parent = std::os::unix::process::parent_id();
    let started = procfs::process::Process::new(parent as i32)
        .and_then(|process| process.stat())
        .map_or(0, |stat| stat.starttime);
    target
        .join("cowpath")
        .join(format!("bench-{parent}-{started}"))
}
