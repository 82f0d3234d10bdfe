//! What the criterion targets share: one run of the suite for all of a target's cases, kept as `cowpath run` keeps its own,
//! whose repetitions criterion then gets as its samples.
#![allow(dead_code, reason = "each target uses a part of this")]

mod asked;
mod session;
mod stream;
pub mod targets;

use std::io::Write;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::process::ExitCode;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use cowpath::cli::progress::Meter;
use cowpath::record::schema::{Measured, RunFile};
use cowpath::report;
use cowpath::suite::case::Case;
use cowpath::suite::collect::Collected;
use cowpath::suite::environment::Environment;
use cowpath::suite::event::SuiteEvent;
use cowpath::suite::schedule::Suite;
use cowpath::worker::runner::Runner;
use criterion::measurement::WallTime;
use criterion::{BenchmarkGroup, Criterion, SamplingMode};
use session::Session;

pub use asked::{ALL, Asked, Mode};
pub use targets::{Target, announce};

/// Fewest samples that criterion takes.
const FEWEST: usize = 10;

/// Runs a target's `main`, so that whatever happens ends in one sentence and an exit code.
pub fn guarded(target: impl FnOnce(Asked) -> Result<u8, String>) -> ExitCode {
    let streams = stream::Streams::hold();
    std::panic::set_hook(Box::new(|cause| {
        say(&format!(
            "cowpath: an unexpected error: {}",
            cause.to_string().replace('\n', " ")
        ));
    }));
    let done = catch_unwind(AssertUnwindSafe(|| Asked::read().and_then(target)));
    let code = match done {
        Ok(Ok(code)) => code,
        Ok(Err(why)) => {
            say(&format!("cowpath: {why}"));
            2
        }
        Err(_) => 2,
    };
    drop(streams);
    ExitCode::from(code)
}

/// Prints a line, whether anybody reads it or not.
pub fn say(line: &str) {
    let _ = writeln!(std::io::stderr().lock(), "{line}");
}

/// A runner whose workers are the `cowpath` program that cargo has built beside this target; an interrupt stops it, a second
/// one ends the target at once.
pub fn runner() -> Result<Runner, String> {
    let interrupted = Arc::new(AtomicBool::new(false));
    for signal in [signal_hook::consts::SIGINT, signal_hook::consts::SIGTERM] {
        signal_hook::flag::register_conditional_shutdown(signal, 130, interrupted.clone())
            .and_then(|_| signal_hook::flag::register(signal, interrupted.clone()))
            .map_err(|e| format!("setting up signal handlers: {e}"))?;
    }
    Ok(Runner {
        program: env!("CARGO_BIN_EXE_cowpath").into(),
        limit: Duration::from_secs(60),
        interrupted,
    })
}

/// Criterion, with a font for its plots where the plotting library brings none.
pub fn criterion() -> Criterion {
    report::plot::font::font();
    // Twenty samples need no more; with criterion's own number its plots take longer than the measurement.
    Criterion::default().nresamples(5_000).configure_from_args()
}

/// This machine.
pub fn environment() -> Environment {
    Environment::observe(std::env::args().collect())
}

/// A group whose samples were measured before criterion asks for them.
pub fn group<'a>(criterion: &'a mut Criterion, name: &str) -> BenchmarkGroup<'a, WallTime> {
    let mut group = criterion.benchmark_group(name);
    group
        .sampling_mode(SamplingMode::Flat)
        .warm_up_time(Duration::from_nanos(1))
        .measurement_time(Duration::from_secs(1));
    group
}

/// Measures the cases of `target` that were asked for; ends with the run file and the report of all targets that this
/// `cargo bench` has run so far.
pub fn measure(target: &Target, asked: &Asked) -> Result<u8, String> {
    let (cases, all) = targets::wanted(target, asked);
    let mut criterion = criterion();
    if cases.is_empty() || asked.mode == Mode::Show {
        let mut group = group(&mut criterion, target.name);
        for case in &cases {
            hand_over(&mut group, &targets::name_of(case), &[], Mode::Show);
        }
        group.finish();
        return Ok(0);
    }
    let repetitions = cases.iter().map(|case| case.reps).sum();
    announce(asked, target.name, repetitions, target.about);
    let (environment, runner) = (environment(), runner()?);
    let mut config = all.clone();
    config.scenarios = cases.iter().map(|case| case.scenario.id.into()).collect();
    config.scenarios.dedup();
    let mut suite = Suite::new(&environment, &runner, config, &[]);
    suite.collected = cases.iter().cloned().map(Collected::new).collect();
    let mut session = Session::open()?;
    let mut meter = Meter::new();
    let file = suite.run(|event| match event {
        SuiteEvent::Checkpoint(file) => session.checkpoint(file, &meter),
        other => meter.show(&other),
    });
    meter.end();
    let kept = session.keep(&file);
    let interrupted = runner.interrupted.load(Ordering::Relaxed);
    // Criterion's figures are one thing, the run file and the report another: nobody reading is an error to the one alone.
    let handed_over = catch_unwind(AssertUnwindSafe(|| {
        if !interrupted {
            hand_over_all(&mut criterion, target, &cases, &file, asked.mode);
        }
    }));
    print(&report::terminal::run::text(&file));
    for skipped in &file.skipped {
        say(&format!(
            "skipped: {}: {}",
            skipped.scenario, skipped.reason
        ));
    }
    kept?;
    session.report()?;
    let violated = file
        .results
        .iter()
        .any(|measured| measured.integrity.violations > 0);
    if handed_over.is_err() {
        return Ok(2);
    }
    Ok(match (violated, interrupted) {
        (true, _) => {
            say("cowpath: an integrity check failed: data was lost, torn or leaked");
            1
        }
        (false, true) => 130,
        (false, false) => 0,
    })
}

/// Hands every case's repetitions to criterion; a case that has too few for it is named.
fn hand_over_all(
    criterion: &mut Criterion,
    target: &Target,
    cases: &[Case],
    file: &RunFile,
    mode: Mode,
) {
    let mut group = group(criterion, target.name);
    for case in cases {
        let Some(measured) = file.results.iter().find(|measured| case.gave(measured)) else {
            continue;
        };
        hand_over(
            &mut group,
            &targets::name_of(case),
            &samples(case, measured),
            mode,
        );
    }
    group.finish();
    criterion.final_summary();
}

/// Hands criterion samples that were measured already: nanoseconds of one iteration each, in the order in which they were
/// measured. In a mode that measures nothing it asks for none.
pub fn hand_over(group: &mut BenchmarkGroup<WallTime>, name: &str, samples: &[f64], mode: Mode) {
    if mode != Mode::Show && samples.is_empty() {
        return;
    }
    if mode == Mode::Measure {
        if samples.len() < FEWEST {
            say(&format!(
                "{name}: criterion takes {FEWEST} samples at the least, and there are {}",
                samples.len()
            ));
            return;
        }
        group.sample_size(samples.len());
    }
    let mut next = samples.iter().cycle();
    group.bench_function(name, |bencher| {
        bencher.iter_custom(|iterations| {
            let ns = next.next().copied().unwrap_or_default() * iterations as f64;
            Duration::from_nanos(ns.round() as u64)
        });
    });
}

/// What a page took in each repetition, in nanoseconds.
fn samples(case: &Case, measured: &Measured) -> Vec<f64> {
    let rates = measured
        .repetitions
        .iter()
        .filter_map(|repetition| repetition.faults_per_s);
    rates
        .filter(|rate| rate.is_finite() && *rate > 0.0)
        .map(|rate| 1e9 * case.storing_threads() as f64 / rate)
        .collect()
}

/// Prints to standard output, whether anybody reads it or not.
pub fn print(text: &str) {
    let _ = writeln!(std::io::stdout().lock(), "{}", text.trim_end());
}
