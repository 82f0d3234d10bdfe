//! What does measuring cost? The timed loop against the bare loop of stores over the same page state, and
//! against the bare loop with the fence that comes with each timestamp, taking turns in one process.

mod common;

use std::cell::RefCell;

use cowpath::engine::protocol::{Job, Loops, Pass, Repetition};
use cowpath::run::suite;
use cowpath::stats::interval::median;

/// Loops of each kind in each process, at least.
const ROUNDS: u32 = 6;
/// Picks the loops of one kind.
type Of = fn(&Repetition) -> &Loops;
/// The loops: what each is called, and what was found of it.
const LOOPS: [(&str, Of); 3] = [
    ("timed", |found| &found.timed),
    ("fenced", |found| &found.fenced),
    ("bare", |found| &found.bare),
];
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
        for (name, loops) in LOOPS {
            group.bench_function(format!("{id}/{name}"), |bencher| {
                bencher.iter_custom(|iters| {
                    let sized = common::sized(base.clone(), iters);
                    // Enough loops of each kind for a median.
                    let job = Job {
                        trials: sized.trials.max(ROUNDS),
                        ..sized
                    };
                    let sample =
                        common::repeat(&runner, &job).unwrap_or_else(|why| panic!("{id}: {why}"));
                    let loops = loops(&sample);
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

/// The rate of the timed loop over those of the bare ones: the median over processes of the ratio of
/// the medians of their loops.
fn verdict(id: &str, samples: &[Box<Repetition>], clock_ns: f64) -> Option<String> {
    // A process with a single loop of each kind is a warm-up of criterion's.
    let rounds: Vec<&Repetition> = samples
        .iter()
        .map(|sample| &**sample)
        .filter(|sample| sample.bare.ticks.len() >= 4)
        .collect();
    let middle = |loops: &Loops| median(&loops.ticks.iter().map(|&t| t as f64).collect::<Vec<_>>());
    let over = |other: Of| {
        let ratios = rounds.iter();
        let ratios = ratios.filter_map(|found| Some(middle(other(found))? / middle(&found.timed)?));
        median(&ratios.collect::<Vec<f64>>())
    };
    let p50s: Vec<f64> = rounds
        .iter()
        .flat_map(|sample| sample.latency.values())
        .map(|latency| latency.p50 as f64)
        .collect();
    let (bare, fenced) = (over(|found| &found.bare)?, over(|found| &found.fenced)?);
    let p50 = median(&p50s)?;
    Some(format!(
        "{id}: the timed loop makes {bare:.3} of the bare loop's stores per second, {fenced:.3} of those of a bare \
         loop with a fence after each (medians of {} processes); reading the clock takes {clock_ns:.1} ns, {:.1} % of \
         the p50 of {p50:.0} ns",
        rounds.len(),
        100.0 * clock_ns / p50
    ))
}
