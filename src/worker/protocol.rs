//! What runner and worker say to each other: one job in, one reply out, each a line of JSON.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::measure::clock::Clock;
use crate::measure::counters::{Count, Counting};
use crate::measure::discards::Tracepoints;
use crate::measure::locks::WaitWatches;
use crate::memory::folio::Folio;
use crate::record::counts::RaceCounts;
use crate::record::known::Known;
use crate::record::latency::Latency;
use crate::record::outcome::{Outcome, Tally};
use crate::record::race::ThreadOutcome;
use crate::record::repetition::{
    Attempts, DirectReads, HugeMapped, Interference, Referenced, Taken,
};
use crate::record::schema::{Forks, HeldCopy, Integrity, LockWait, Setup};
use crate::record::unit::Unit;
use crate::scenario::Mapping;
use crate::sys::usage::ThreadUsage;

/// What a worker does with its trials.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Pass {
    /// Times every store.
    Timed,
    /// Takes turns between timing every store and timing the whole pass only, without and with fences, to compare them.
    Overhead,
}

/// One repetition.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Job {
    /// Scenario id.
    pub scenario: String,
    /// The page state that must be proven: the scenario's on this kernel.
    pub mapping: Mapping,
    /// Pages in the area.
    pub pages: u32,
    /// The size of the folios under test.
    pub folio: Folio,
    /// Trials that count.
    pub trials: u32,
    /// Trials before them that do not.
    pub warmup: u32,
    /// CPU to run on; the first thread's.
    pub cpu: u32,
    /// The CPU of each thread of a race.
    pub cpus: Vec<u32>,
    /// The CPU of another process that acts in a race.
    pub other_process: u32,
    /// Clock ticks from the first thread's deadline to the rival's.
    pub skew: i64,
    /// How allocations of racing threads are watched, or why they can not be.
    pub watch: Result<Tracepoints, String>,
    /// How their waits are watched, or why they can not be.
    pub locks: WaitWatches,
    /// The calibrated clock.
    pub clock: Clock,
    /// The unit of a latency.
    pub unit: Unit,
    /// What to do with the trials.
    pub pass: Pass,
    /// Where given, more trials are made with counters instead of timestamps.
    pub counting: Option<Counting>,
    /// How many groups of mappings lie above the area: so layouts of memory differ from repetition to repetition.
    pub layout: u32,
    /// The runner's process id: a worker whose parent is another one ends.
    pub runner: i32,
}

/// What a worker answers.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub enum WorkerReply {
    /// The repetition was made.
    Done(Box<Findings>),
    /// The page state cannot be had on this machine.
    Unreachable(String),
    /// The page state did not come about this time, or did not last.
    Failed(String),
}

/// Everything one repetition found.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct Findings {
    /// Outcomes of the timed stores.
    pub tally: Tally,
    /// Their latencies by outcome.
    pub latency: BTreeMap<Outcome, Latency>,
    /// Timed stores, and the clock ticks their loops took.
    pub timed: Loops,
    /// Stores of the bare loop ([`Pass::Overhead`]), and the clock ticks their loops took.
    pub bare: Loops,
    /// Likewise of the bare loop with fences.
    pub fenced: Loops,
    /// Counters of the counting trials by name.
    pub counters: BTreeMap<String, Count>,
    /// Stores of each counting trial.
    pub counted_stores: u64,
    /// How the page state was brought about and proven.
    pub setup: Setup,
    /// Data checks.
    pub integrity: Integrity,
    /// Operations with the area and without it, where the difference is what counts.
    #[serde(default)]
    pub pairs: Option<Pairs>,
    /// What a race found besides.
    pub race: Option<Box<RaceFindings>>,
    /// What became of pages that were pinned while a copier was held.
    pub held: Option<HeldCopy>,
    /// The time of its timed stores, and what the kernel counted of the threads that made them.
    pub window: Window,
    /// What disturbed it from outside.
    pub interference: Option<Interference>,
    /// Minor faults of the timed stores beyond one each.
    pub surplus_faults: u64,
    /// Timed stores that only their latency told reuse from no fault.
    pub inferred: u64,
    /// What pipes or registered buffers see of the pages that they refer to.
    pub referenced: Option<Referenced>,
    /// What became of reads into the pages that were in flight.
    pub direct_reads: Option<DirectReads>,
    /// The memory that timed stores took, of folios larger than a page.
    pub taken: Option<Taken>,
    /// Latencies by a store's place among those to its folio, in powers of two.
    #[serde(default)]
    pub by_place: BTreeMap<u32, Latency>,
    /// How much of the area PMDs mapped before and after the timed stores.
    #[serde(default)]
    pub huge: Option<HugeMapped>,
    /// Trials, and those that were made again.
    pub attempts: Attempts,
}

/// The time in which stores are timed, and what the kernel counted of the threads that made them.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Window {
    /// Clock ticks, of all threads together.
    pub ticks: u64,
    /// Times that another thread took the CPU; `None` where the program's own threads and processes share CPUs.
    pub switches: Option<u64>,
    /// Faults that waited for a device; `None` where they were not counted.
    pub major_faults: Option<u64>,
}

impl Default for Window {
    fn default() -> Self {
        Window {
            ticks: 0,
            switches: Some(0),
            major_faults: Some(0),
        }
    }
}

impl Window {
    /// Adds that of another trial, of so many ticks.
    pub fn add(&mut self, ticks: u64, usage: Option<ThreadUsage>) {
        self.ticks += ticks;
        let add = |sum: Option<u64>, count: fn(ThreadUsage) -> u64| Some(sum? + count(usage?));
        self.switches = add(self.switches, |one| one.switches);
        self.major_faults = add(self.major_faults, |one| one.major_faults);
    }
}

/// What a race found besides outcomes and latencies.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct RaceFindings {
    /// Ticks between a deadline's announcement and the deadline.
    pub lead_ticks: u64,
    /// What a page takes in a race in which nothing faults, in ns; `None` where nobody meets.
    pub cost_ns: Option<f64>,
    /// How far apart the first two threads arrived.
    pub arrival: Option<Latency>,
    /// Deadlines that had passed when a thread saw them.
    pub missed: u64,
    /// Faults survived, or wake-ups that were missed.
    pub events: u64,
    /// Pages of the rehearsal and allocations seen in it, or why none could be counted.
    pub rehearsal: Result<[u64; 2], String>,
    /// The watched trials, or why there are none.
    pub watched: Result<Watched, String>,
    /// Of a sweep, what its threads waited for locks in a trial of its own, or why nobody can tell.
    pub locks: Option<Known<LockWait>>,
    /// Forks beside the stores.
    pub forks: Option<Forks>,
}

impl Default for RaceFindings {
    fn default() -> Self {
        let not = "not raced".to_string();
        RaceFindings {
            lead_ticks: 0,
            cost_ns: None,
            arrival: None,
            missed: 0,
            events: 0,
            rehearsal: Err(not.clone()),
            watched: Err(not),
            locks: None,
            forks: None,
        }
    }
}

/// What was seen of pages whose allocations were watched.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Watched {
    /// What they came to.
    pub counts: RaceCounts,
    /// Latency of stores by what the thread came to.
    pub parts: BTreeMap<ThreadOutcome, Latency>,
    /// Copies that the kernel itself says were finished, or why it does not say.
    pub finished_copies: Result<u64, String>,
    /// Copies that kprobes say were begun and thrown away, or why there are none.
    pub probed: Result<i64, String>,
    /// Copies that the kernel itself says were thrown away, on the whole machine; `None` where it does not count them.
    pub backoffs: Option<u64>,
    /// Copies that it says were installed although the page had become exclusive.
    pub replaced: Option<u64>,
}

/// Loops of stores.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct Loops {
    /// Stores made.
    pub stores: u64,
    /// Ticks of each loop.
    pub ticks: Vec<u64>,
}

/// An operation with the area and without it, by turns: without, with, with, without.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct Pairs {
    /// What 2 MiB are of the area.
    pub scale: f64,
    /// Ticks with the area and without it, pair by pair; an even number of pairs.
    pub ticks: Vec<[u64; 2]>,
}
