//! Which reuse rule the kernel follows.

use super::environment::Environment;
use super::job::job;
use super::strategy::fingerprint;
use super::workers::Workers;
use crate::machine::knob::Knob;
use crate::record::schema::{Config, Strategy};
use crate::worker::protocol::Job;

/// Pages of a fingerprint's trial.
const FINGERPRINT_PAGES: u32 = 512;

/// Establishes which reuse rule the kernel follows, in a fraction of a second.
pub fn examine(environment: &Environment, workers: &dyn Workers, config: &Config) -> Strategy {
    let mut strategy = fingerprint(|id| {
        workers.repeat(&Job {
            pages: FINGERPRINT_PAGES,
            trials: 1,
            ..job(environment, config, id)
        })
    });
    if let Some(knob) = Knob::read() {
        strategy.evidence.push(format!(
            "the kernel can be switched; seen here is cow_reuse={}",
            knob.chosen
        ));
    }
    strategy
}
