//! What does a reuse cost, what does a copy cost? Every single-threaded scenario of the catalogue.
//!
//! Criterion shows means and compares baselines; the run file and the report written at the end hold
//! the distributions, the outcomes and the machine.

mod common;

use std::path::PathBuf;
use std::time::Duration;

use cowpath::engine::protocol::{Job, Repetition};
use cowpath::report;
use cowpath::run::case::Case;
use cowpath::run::collect::Collected;
use cowpath::run::io::write;
use cowpath::run::suite::{self, Suite};
use cowpath::scenario::catalogue;

fn main() {
    let mut criterion = common::criterion();
    let (environment, runner) = (common::environment(), common::runner());
    let mut measured = Suite::new(&environment, &runner, common::config(), &[]);
    let mut group = common::group(&mut criterion, "reuse_vs_copy");
    for scenario in catalogue::all() {
        let base = suite::job(&environment, &measured.config, scenario.id);
        let probe = Job {
            counting: None,
            ..common::sized(base.clone(), 64)
        };
        if let Err(why) = common::repeat(&runner, &probe) {
            println!("skipped: {}: {why}", scenario.id);
            continue;
        }
        let mut samples: Vec<Box<Repetition>> = Vec::new();
        group.bench_function(scenario.id, |bencher| {
            bencher.iter_custom(|iters| {
                match common::repeat(&runner, &common::sized(base.clone(), iters)) {
                    Ok(sample) => {
                        let ticks = sample.timed.ticks.iter().sum();
                        let time = common::time_of(&environment, ticks, sample.timed.stores, iters);
                        samples.push(sample);
                        time
                    }
                    Err(why) => {
                        eprintln!("{}: {why}", scenario.id);
                        Duration::from_nanos(1)
                    }
                }
            });
        });
        // Warm-up calls come first and unannounced.
        let kept = samples.split_off(samples.len().saturating_sub(common::SAMPLES));
        let mut collected = Collected::new(Case::single(scenario, &measured.config));
        for (index, sample) in kept.into_iter().enumerate() {
            if let Err(e) = collected.add(index as u32, *sample, &environment.clock) {
                eprintln!("{}: {e}", scenario.id);
            }
        }
        if collected.is_measured() {
            measured.collected.push(collected);
        }
    }
    group.finish();
    criterion.final_summary();
    if !measured.collected.is_empty() {
        publish(&measured);
    }
}

fn publish(measured: &Suite) {
    let file = [measured.file(true)];
    let folder = target_folder().join("cowpath").join(&file[0].id);
    let path = folder.join("run.json");
    let written = std::fs::create_dir_all(&folder)
        .map_err(anyhow::Error::from)
        .and_then(|()| Ok(write(&path, &file[0])?))
        .and_then(|()| report::write(&file, &folder.join("report")).map_err(Into::into));
    println!("{}", report::terminal::run(&file[0]));
    match written {
        Ok(report) => {
            println!("run file: {}", path.display());
            println!("report:   {}", report.index.display());
        }
        Err(e) => eprintln!("the results could not be written: {e:#}"),
    }
}

/// The build's target folder: this program lies in `target/PROFILE/deps`.
fn target_folder() -> PathBuf {
    let program = std::env::current_exe().unwrap_or_default();
    let target = program.ancestors().nth(3);
    target.map_or_else(|| PathBuf::from("target"), PathBuf::from)
}
