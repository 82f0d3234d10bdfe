//! What does measuring cost? The timed loop against the bare loop of stores over the same page state,
//! taking turns in one process.

mod common;

use std::cell::RefCell;

use cowpath::engine::protocol::{Job, Pass, Repetition};
use cowpath::run::suite;
use cowpath::stats::interval::median;

/// Timed and bare loops in each process, at least.
const PAIRS: u32 = 6;
/// One reuse and one copy.
const SCENARIOS: [&str; 2] = ["reuse/child-exited", "copy/child-alive"];

fn main() {
    let mut criterion = common::criterion();
    let (environment, runner) = (common::environment(), common::runner());
    let config = common::config();
    let mut group = common::group(&mut criterion, "overhead");
    let mut verdicts = Vec::new();
    for id in SCENARIOS {
        let base = Job {
            pass: Pass::Overhead,
            counting: None,
            ..suite::job(&environment, &config, id)
        };
        let samples: RefCell<Vec<Box<Repetition>>> = RefCell::default();
        for bare in [false, true] {
            let name = format!("{id}/{}", if bare { "bare" } else { "timed" });
            group.bench_function(name, |bencher| {
                bencher.iter_custom(|iters| {
                    let sized = common::sized(base.clone(), iters);
                    // Enough loops of each kind for a median.
                    let job = Job {
                        trials: sized.trials.max(PAIRS),
                        ..sized
                    };
                    let sample =
                        common::repeat(&runner, &job).unwrap_or_else(|why| panic!("{id}: {why}"));
                    let loops = if bare { &sample.bare } else { &sample.timed };
                    let ticks = loops.ticks.iter().sum();
                    let time = common::time_of(&environment, ticks, loops.stores, iters);
                    samples.borrow_mut().push(sample);
                    time
                });
            });
        }
        verdicts.extend(verdict(
            id,
            &samples.into_inner(),
            environment.clock.overhead_ns,
        ));
    }
    group.finish();
    criterion.final_summary();
    for line in verdicts {
        println!("{line}");
    }
}

/// The rate of the timed loop over that of the bare one: the median over processes of the ratio of
/// the medians of their loops.
fn verdict(id: &str, samples: &[Box<Repetition>], clock_ns: f64) -> Option<String> {
    // A process with a single pair of loops is a warm-up of criterion's.
    let paired: Vec<&Repetition> = samples
        .iter()
        .map(|sample| &**sample)
        .filter(|sample| sample.bare.ticks.len() >= 4)
        .collect();
    let middle = |ticks: &[u64]| median(&ticks.iter().map(|&t| t as f64).collect::<Vec<_>>());
    let ratios: Vec<f64> = paired
        .iter()
        .filter_map(|sample| Some(middle(&sample.bare.ticks)? / middle(&sample.timed.ticks)?))
        .collect();
    let p50s: Vec<f64> = paired
        .iter()
        .flat_map(|sample| sample.latency.values())
        .map(|latency| latency.p50 as f64)
        .collect();
    let (ratio, p50) = (median(&ratios)?, median(&p50s)?);
    Some(format!(
        "{id}: the timed loop makes {ratio:.3} of the bare loop's stores per second (median of {} processes); \
         reading the clock takes {clock_ns:.1} ns, {:.1} % of the p50 of {p50:.0} ns",
        ratios.len(),
        100.0 * clock_ns / p50
    ))
}
