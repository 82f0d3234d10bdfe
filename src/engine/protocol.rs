//! What runner and worker say to each other: one job in, one reply out, each a line of JSON.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::measure::clock::Clock;
use crate::measure::counters::{Count, TracepointIds};
use crate::run::schema::{Integrity, Latency, Setup, Unit};
use crate::scenario::outcome::{Outcome, Tally};

/// What a worker does with its trials.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Pass {
    /// Times every store.
    Timed,
    /// Alternates between timing every store and timing the whole pass only, to compare the two.
    Overhead,
}

/// One repetition.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Job {
    /// Scenario id.
    pub scenario: String,
    /// Pages in the area.
    pub pages: u32,
    /// Trials that count.
    pub trials: u32,
    /// Trials before them that do not.
    pub warmup: u32,
    /// CPU to run on.
    pub cpu: u32,
    /// The calibrated clock.
    pub clock: Clock,
    /// The unit of a latency.
    pub unit: Unit,
    /// What to do with the trials.
    pub pass: Pass,
    /// Where given, one more trial is made with counters instead of timestamps.
    pub counting: Option<TracepointIds>,
    /// The runner's process id: a worker whose parent is another one ends.
    pub runner: i32,
}

/// What a worker answers.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub enum Reply {
    /// The repetition was made.
    Done(Box<Repetition>),
    /// The page state did not come about on this machine; nothing was timed.
    Unreachable(String),
}

/// Everything one repetition found.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct Repetition {
    /// Outcomes of the timed stores.
    pub tally: Tally,
    /// Their latencies by outcome.
    pub latency: BTreeMap<Outcome, Latency>,
    /// Timed stores, and the clock ticks their loops took.
    pub timed: Loops,
    /// Stores of the bare loop ([`Pass::Overhead`]), and the clock ticks their loops took.
    pub bare: Loops,
    /// Counters of the counting trial by name.
    pub counters: BTreeMap<String, Count>,
    /// Stores of the counting trial.
    pub counted_stores: u64,
    /// How the page state was brought about and proven.
    pub setup: Setup,
    /// Data checks.
    pub integrity: Integrity,
}

/// Loops of stores.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct Loops {
    /// Stores made.
    pub stores: u64,
    /// Ticks of each loop.
    pub ticks: Vec<u64>,
}
