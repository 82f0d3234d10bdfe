//! What does measuring cost? The timed loop against the bare loop of stores over the same page state, and
//! against the bare loop with the fence that comes with each timestamp, taking turns in one process.

mod common;

use std::process::ExitCode;

use common::targets::{LOOPS, OVERHEAD_ABOUT, SAMPLES, config, wanted_overhead};
use common::{Asked, Mode, announce, say};
use cowpath::cli::progress::Meter;
use cowpath::stats::interval::median;
use cowpath::worker::protocol::{Findings, Job, Loops, Pass};
use cowpath::worker::runner::Attempt;

/// Loops of each kind in each process: enough for a median.
const ROUNDS: u32 = 6;
/// Picks the loops of one kind.
type Of = fn(&Findings) -> &Loops;
/// What was found of each loop.
const OF: [Of; 3] = [
    |found| &found.timed,
    |found| &found.fenced,
    |found| &found.bare,
];

/// What the processes of one scenario gave.
struct Measured {
    id: &'static str,
    samples: Vec<Findings>,
    /// Why there is no more, in the words of the first process that gave nothing.
    lost: Option<String>,
}

fn main() -> ExitCode {
    common::guarded(|asked| overhead(&asked))
}

fn overhead(asked: &Asked) -> Result<u8, String> {
    let ids = wanted_overhead(asked).into_iter();
    let mut all: Vec<Measured> = ids
        .map(|id| Measured {
            id,
            samples: Vec::new(),
            lost: None,
        })
        .collect();
    if all.is_empty() {
        return Ok(0);
    }
    let environment = common::environment();
    if asked.mode != Mode::Show && !measure(&mut all, &environment, asked)? {
        return Ok(130);
    }
    let mut criterion = common::criterion();
    let mut group = common::group(&mut criterion, "overhead");
    for one in &all {
        for (name, of) in LOOPS.into_iter().zip(OF) {
            let loops = one.samples.iter().map(of);
            let ns = loops
                .map(|of| environment.clock.ns(of.ticks.iter().sum()) / of.stores.max(1) as f64);
            common::hand_over(
                &mut group,
                &format!("{}/{name}", one.id),
                &ns.collect::<Vec<_>>(),
                asked.mode,
            );
        }
    }
    group.finish();
    criterion.final_summary();
    for one in &all {
        if let Some(why) = &one.lost {
            say(&format!(
                "{}: {} of {SAMPLES} processes gave a sample: {why}",
                one.id,
                one.samples.len()
            ));
        }
        if let Some(verdict) = verdict(one.id, &one.samples, environment.clock.overhead_ns) {
            common::print(&verdict);
        }
    }
    Ok(0)
}

/// Has every scenario's processes take turns; false if the user interrupted.
fn measure(
    all: &mut [Measured],
    environment: &cowpath::suite::environment::Environment,
    asked: &Asked,
) -> Result<bool, String> {
    let runner = common::runner()?;
    let config = config(asked.mode, &[]);
    let steps = config.reps * all.len() as u32;
    announce(asked, "overhead", steps, OVERHEAD_ABOUT);
    let mut meter = Meter::new();
    meter.begin(u64::from(steps));
    for _ in 0..config.reps {
        for one in &mut *all {
            let job = Job {
                pass: Pass::Overhead,
                counting: None,
                trials: ROUNDS,
                ..cowpath::suite::job::job(environment, &config, one.id)
            };
            match runner.repeat(&job) {
                Attempt::Done(sample) => one.samples.push(*sample),
                Attempt::Unreachable(why) | Attempt::Failed(why) | Attempt::Lost(why) => {
                    one.lost.get_or_insert(why);
                }
                Attempt::Interrupted => return Ok(false),
            }
            meter.step(one.id);
        }
    }
    meter.end();
    Ok(true)
}

/// The rate of the timed loop over those of the bare ones: the median over processes of the ratio of
/// the medians of their loops.
fn verdict(id: &str, samples: &[Findings], clock_ns: f64) -> Option<String> {
    let middle = |loops: &Loops| median(&loops.ticks.iter().map(|&t| t as f64).collect::<Vec<_>>());
    let over = |other: Of| {
        let ratios = samples.iter();
        let ratios = ratios.filter_map(|found| Some(middle(other(found))? / middle(&found.timed)?));
        median(&ratios.collect::<Vec<f64>>())
    };
    let p50s: Vec<f64> = samples
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
        samples.len(),
        100.0 * clock_ns / p50
    ))
}
