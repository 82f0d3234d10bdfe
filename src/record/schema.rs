//! The run file's types: everything one measurement leaves behind, as serde and JSON Schema see it.

use std::collections::BTreeMap;
use std::ops::AddAssign;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::basis::ExpectedBasis;
use super::clock::ClockSource;
use super::folio::FolioSize;
use super::known::Known;
use super::method::{self, LateCount, Method};
use super::rule::{LargeRule, PinRule, SmallRule};
use super::staged::StagedResult;
use super::unit::Unit;
use super::virtualization::Virtualization;
use crate::record::audit::Check;
use crate::record::latency::Latency;
use crate::record::outcome::{Outcome, Tally};
use crate::record::race::{FrameChange, ThreadOutcome, WaitedFor};
use crate::record::repetition::{Attempts, Lost, Repetition, place_label};
use crate::record::rule::Rule;
use crate::stats::interval::{Interval, median_interval};

/// The value of a run file's `schema` key that this version writes.
pub const SCHEMA: &str = "cowpath.run/2";
/// The format before it, which is read too: some keys had other names.
pub const EARLIER: &str = "cowpath.run/1";

/// One measurement: environment, configuration, raw histograms and verdicts.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct RunFile {
    /// Always `cowpath.run/2`.
    pub schema: String,
    /// Unique name of this run: start time, kernel release and a random part.
    pub id: String,
    /// When the run started, RFC 3339 in UTC.
    pub started: String,
    /// When the run ended, RFC 3339 in UTC.
    pub finished: String,
    /// False when the run was interrupted: what is here is whole, but something is missing.
    pub complete: bool,
    /// The program that measured.
    pub tool: Tool,
    /// The machine and kernel that were measured.
    pub host: Host,
    /// The reuse rule that the kernel was seen to follow.
    pub strategy: Strategy,
    /// What would spoil or limit a measurement on this machine.
    pub audit: Vec<Check>,
    /// The clock that timed the stores.
    pub clock: ClockRecord,
    /// What was asked for.
    pub config: Config,
    /// One entry for each scenario and parameter set that was measured.
    pub results: Vec<Measured>,
    /// Scenarios that were asked for and not measured.
    pub skipped: Vec<Skipped>,
    /// How far two sides of the same lie apart here; absent where the run was not asked to find out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub noise: Option<NoiseFloor>,
    /// Races that were played step by step (`cowpath stage`).
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub staged: Vec<StagedResult>,
}

impl RunFile {
    /// Adds the results of a later part of the same session on the same machine.
    pub fn merge(&mut self, later: RunFile) {
        self.finished = later.finished;
        self.complete &= later.complete;
        self.config.scenarios.extend(later.config.scenarios);
        self.results.extend(later.results);
        self.skipped.extend(later.skipped);
        self.staged.extend(later.staged);
    }
}

/// The program that measured.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Tool {
    /// cowpath's version.
    pub version: String,
    /// The commit it was built from, `unknown` outside a checkout.
    pub commit: String,
    /// The command line, word by word.
    pub command: Vec<String>,
}

/// The machine and kernel that were measured.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Host {
    /// Architecture as `uname -m` names it.
    pub arch: String,
    /// CPU model.
    pub cpu: String,
    /// CPUs online.
    pub cpus: u32,
    /// Memory in bytes.
    pub memory_bytes: u64,
    /// `none`, `kvm`, `tcg`, `exact` or the hypervisor's name.
    pub virtualization: Virtualization,
    /// The kernel.
    pub kernel: Kernel,
    /// Settings that bear on CoW faults, as read: sysctl or sysfs path to value.
    pub settings: BTreeMap<String, String>,
}

/// The kernel that was measured.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Kernel {
    /// As `uname -r` says it.
    pub release: String,
    /// As `uname -v` says it.
    pub version: String,
    /// The compiler and linker that built it, as /proc/version names them; empty where it does not, and in files of versions
    /// that did not ask.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub compiler: String,
    /// /proc/cmdline.
    pub cmdline: String,
    /// The configuration options that bear on CoW faults; empty where the kernel shows none.
    pub config: BTreeMap<String, String>,
}

/// The reuse rule that the kernel was seen to follow.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Strategy {
    /// The rule for order-0 folios.
    pub small: SmallRule,
    /// The rule for large folios.
    pub large: LargeRule,
    /// What a pin for reading does to a shared page; unknown in files of versions that did not ask.
    #[serde(default)]
    pub pin: PinRule,
    /// One sentence for each observation that led to the verdict.
    pub evidence: Vec<String>,
}

/// The clock that timed the stores.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ClockRecord {
    /// Where timestamps come from.
    pub source: ClockSource,
    /// Ticks per second.
    pub hz: f64,
    /// What an empty interval reads, median, in ns (in instructions where the clock counts those). Not subtracted
    /// from any figure.
    pub overhead_ns: f64,
    /// Why this source and not a better one; empty when it is the best one.
    pub note: String,
}

/// What was asked for.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Config {
    /// The globs that chose the scenarios; empty means all.
    pub scenarios: Vec<String>,
    /// Pages in the area that one trial stores to.
    pub pages: u32,
    /// Trials in one repetition (one worker process); 0 where criterion decided it sample by sample.
    pub trials: u32,
    /// Repetitions (worker processes) per scenario.
    pub reps: u32,
    /// Trials in one repetition of a race.
    pub race_trials: u32,
    /// Repetitions of each race; one takes longer than another scenario's.
    pub race_reps: u32,
    /// Repetitions of what takes long to set up: folios of other sizes than 4 KiB, swap, KSM, and whole forks and unmaps.
    #[serde(alias = "dear_reps")]
    pub slow_reps: u32,
    /// Threads of races; empty means two, and one to as many as there are CPUs where they do not meet.
    pub threads: Vec<u32>,
    /// Skews of races, in clock ticks.
    pub skew: Vec<i64>,
    /// Whether more threads than CPUs were allowed.
    pub oversubscribe: bool,
    /// Whether settings of the machine were changed for the time of the run.
    pub tune: bool,
    /// CPUs that workers may be pinned to.
    pub cpus: Vec<u32>,
    /// Seed of the order of scenarios and of resampling.
    pub seed: u64,
    /// The folio sizes asked for, such as `64k`; empty means all that are to be had.
    #[serde(default)]
    pub folios: Vec<FolioSize>,
    /// Whether `--quick` was given.
    pub quick: bool,
    /// The reuse rules that the kernel was switched to, in the order asked for; empty where it was left alone.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub strategies: Vec<Rule>,
    /// Whether repetitions took turns as two sides of the same, A B B A.
    #[serde(default)]
    pub aa: bool,
    /// Until which detectable change, as a share, repetitions were added.
    #[serde(default)]
    pub until_mde: Option<f64>,
    /// For how many seconds repetitions were added.
    #[serde(default)]
    pub budget_s: Option<u64>,
}

/// One scenario with one set of parameters, as measured.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Measured {
    /// Scenario id, such as `reuse/child-exited`.
    pub scenario: String,
    /// The reuse rule that the kernel was switched to for this result; absent where it was left alone.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub strategy: Option<Rule>,
    /// Folio size of the area, such as `4k`.
    pub folio: FolioSize,
    /// Threads that store.
    pub threads: u32,
    /// CPUs they were pinned to.
    pub cpus: Vec<u32>,
    /// Ticks from the first thread's deadline to the others'; 0 for one thread.
    pub skew: i64,
    /// Whether threads shared CPUs: no figure then says what more CPUs would give.
    #[serde(default)]
    pub oversubscribed: bool,
    /// Pages in the area that were stored to: of folios larger than a page, the first page of each. 1 where
    /// an operation on the whole area is timed.
    pub pages: u32,
    /// Timed trials over all repetitions.
    pub trials: u32,
    /// What is expected of the kernel; empty when nothing certain can be said.
    pub expected: Vec<Outcome>,
    /// What that rests on; absent where nothing is expected, and in files of versions that did not say.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub basis: Option<ExpectedBasis>,
    /// What the timed stores came to. Of a race: what the page of each store came to, since its frame
    /// does not tell which thread's copy was kept; `race.parts` does.
    pub outcomes: Tally,
    /// Latency by outcome, over all repetitions.
    pub latency: BTreeMap<Outcome, Latency>,
    /// One entry for each worker process that came back.
    pub repetitions: Vec<Repetition>,
    /// Worker processes that did not come back, one reason each.
    pub lost: Vec<Lost>,
    /// How the page state was brought about and proven.
    pub setup: Setup,
    /// Copies that were thrown away.
    pub discards: Discards,
    /// How the threads of a race met; absent where they did not.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rendezvous: Option<RendezvousRecord>,
    /// What a race found besides; absent for a single thread's stores.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub race: Option<Raced>,
    /// What became of pages that were pinned while a copier was held; absent elsewhere.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub held: Option<HeldCopy>,
    /// What the area adds to an operation, where that is measured: there is no latency then.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub difference: Option<PairedDifference>,
    /// Counters of the counting pass by name.
    pub counters: BTreeMap<String, Counter>,
    /// Data checks after the timed stores.
    pub integrity: Integrity,
}

/// What an area adds to an operation: the time with it less the time without it, of two pairs each that were taken A B
/// B A, so that a drift and the order within a pair cancel out. It is signed: where the operation varies by more than
/// the area adds, some differences are negative.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct PairedDifference {
    /// The mean over repetitions of the median of each one's differences, scaled to 2 MiB of memory.
    pub mean: f64,
    /// The 95 % interval of that mean (Student's t over repetitions); absent with one repetition.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub interval: Option<Interval>,
    /// Differences, each of two pairs.
    pub count: u64,
    /// Differences below 0: the operation took longer without the area than with it.
    pub negative: u64,
    /// Unit of every figure here.
    pub unit: Unit,
    /// The operation with the area, all of it and not scaled.
    pub with: Latency,
    /// The operation without the area.
    pub without: Latency,
}

impl Measured {
    /// The unit of its figures; ns where it has none.
    pub fn unit(&self) -> Unit {
        let latency = self.latency.values().next().map(|latency| latency.unit);
        let difference = self.difference.as_ref().map(|difference| difference.unit);
        latency.or(difference).unwrap_or(Unit::Ns)
    }
}

impl Measured {
    /// The stores that came to what is expected of the kernel, and all of them; `None` where nothing is expected or no
    /// oracle could tell.
    pub fn as_expected(&self) -> Option<(u64, u64)> {
        let outcomes = &self.outcomes;
        let known = outcomes.total() - outcomes.unknown;
        (!self.expected.is_empty() && known > 0).then(|| {
            let expected = self.expected.iter();
            (
                expected.map(|&outcome| outcomes.get(outcome)).sum(),
                outcomes.total(),
            )
        })
    }

    /// Stores that only their latency told reuse from no fault, over all repetitions.
    pub fn inferred(&self) -> u64 {
        let each = self.repetitions.iter();
        each.filter_map(|one| one.inferred).sum()
    }

    /// Whether more than one store in a thousand is of that kind: then it proves nothing what they came to.
    pub fn is_inferred(&self) -> bool {
        self.inferred() * 1000 > self.outcomes.total()
    }

    /// Whether at least 99.9 % of the stores came to what is expected; `None` as above, and where that is inferred.
    pub fn agrees(&self) -> Option<bool> {
        let (part, whole) = self.as_expected()?;
        if self.is_inferred() {
            return None;
        }
        Some(part as f64 >= 0.999 * whole as f64)
    }

    /// Outcomes whose median over all stores lies outside the 95 % interval of the repetitions' medians, by more than 2 %: their
    /// distribution has several humps, and repetitions take different shares of them.
    pub fn several_humps(&self) -> Vec<Outcome> {
        let outside = |(&outcome, latency): (&Outcome, &Latency)| {
            let each = self.repetitions.iter();
            let medians = each.filter_map(|one| Some(one.by_outcome.get(&outcome)?.p50 as f64));
            let ends = median_interval(&medians.collect::<Vec<f64>>(), 0.95)?;
            let p50 = latency.p50 as f64;
            (p50 < 0.98 * ends.low || p50 > 1.02 * ends.high).then_some(outcome)
        };
        self.latency.iter().filter_map(outside).collect()
    }

    /// A count of all repetitions together; absent where none has it.
    pub fn sum<T: Default + AddAssign>(
        &self,
        count: impl Fn(&Repetition) -> Option<T>,
    ) -> Option<T> {
        let mut sum: Option<T> = None;
        for one in self.repetitions.iter().filter_map(count) {
            *sum.get_or_insert_default() += one;
        }
        sum
    }

    /// The middle one of the repetitions' medians by a store's place among those to its folio, under the places in words; empty
    /// where not every page of a folio is stored to.
    pub fn by_place(&self) -> Vec<(String, u64)> {
        let mut each: BTreeMap<u32, Vec<u64>> = BTreeMap::new();
        for (&place, latency) in self.repetitions.iter().flat_map(|one| &one.by_place) {
            each.entry(place).or_default().push(latency.p50);
        }
        let pages = self.folio.kib / 4;
        let middle = |(place, mut medians): (u32, Vec<u64>)| {
            medians.sort_unstable();
            (place_label(place, pages), medians[medians.len() / 2])
        };
        each.into_iter().map(middle).collect()
    }

    /// The trials of all repetitions; absent where none counted them.
    pub fn attempts(&self) -> Option<Attempts> {
        let counted = self
            .repetitions
            .iter()
            .filter_map(|one| one.attempts.as_ref());
        counted.fold(None, |sum: Option<Attempts>, one| {
            let mut sum = sum.unwrap_or_default();
            sum += one;
            Some(sum)
        })
    }
}

/// How far two sides of the same lie apart on a machine.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct NoiseFloor {
    /// Medians compared.
    pub rows: u32,
    /// How many of them were called slower or faster, which none is.
    pub false_alarms: u32,
    /// The difference, as a share, within which 95 % of them lie.
    pub floor: f64,
    /// Every one of them.
    pub apart: Vec<Apart>,
}

/// One median of two sides of the same.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Apart {
    /// Scenario, parameters and outcome.
    pub what: String,
    /// The one side over the other.
    pub ratio: f64,
    /// 95 % interval of the ratio, where there were enough repetitions.
    pub interval: Option<Interval>,
}

/// How the page state was brought about and proven before timing.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Setup {
    /// The means, where the kernel offers several, such as `uffd-wp async`.
    pub by: Vec<String>,
    /// What the state is besides, where it hangs on the machine, such as `swap on zram`: two results of which it differs are
    /// not about the same.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub state: Vec<String>,
    /// What was verified on every page of every trial.
    pub proven: Vec<String>,
    /// What could not be verified, each with the reason.
    pub unproven: Vec<String>,
}

/// Copies that the kernel made and threw away.
pub type Discards = Known<DiscardCounts>;

/// Copies that were made and thrown away, over the counted pages.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct DiscardCounts {
    /// Late discards (backoffs): copied, then the PTE had changed.
    pub late: u64,
    /// None discards: a zeroed page allocated for a PTE that was only momentarily none.
    pub none: u64,
    /// Copies that were kept although the old page had no other user left: the copier freed it.
    pub futile: u64,
    /// Pages allocated by the racing threads.
    pub allocations: u64,
    /// Copies that were kept: pages whose frame changed.
    pub committed: u64,
    /// Pages raced while counting; none of them is among the timed ones.
    pub pages: u64,
    /// How they were counted.
    pub method: Method,
    /// The late discards of the same pages by other methods.
    #[serde(alias = "also", deserialize_with = "method::read_counts")]
    pub other_methods: BTreeMap<Method, Known<LateCount>>,
}

/// How the threads of a race met.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct RendezvousRecord {
    /// Ticks between the announcement of a deadline and the deadline, median over repetitions.
    pub lead_ticks: u64,
    /// How far apart the first two threads began to act, beyond the skew asked for; empty where they
    /// have no common deadline.
    pub arrival: Latency,
    /// Deadlines that had passed when a thread saw them.
    pub missed: u64,
    /// What a page takes when nothing faults, in ns, median over repetitions: the rendezvous itself. Absent where threads
    /// share CPUs: they do not meet.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cost_ns: Option<f64>,
}

/// What became of pages that were pinned for reading while a copier was held in the copy window.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct HeldCopy {
    /// Whether the kernel looked again before it installed a copy (cow_recheck=1).
    pub recheck: bool,
    /// How pages were pinned.
    pub pinned_by: String,
    /// Pages that were pinned while the copier was held.
    pub pages: u64,
    /// Pages that were pinned too late; they count nowhere else.
    pub missed: u64,
    /// Copies that the kernel counted as thrown away, for whatever reason.
    pub backed_off: u64,
    /// Those that it threw away because the page had become exclusive.
    pub rechecked: u64,
    /// Copies that it counted as installed although the page had become exclusive.
    pub replaced: u64,
    /// Pages of which the pin does not see a later store; absent where pins do not last.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub stale: Option<u64>,
}

/// What a race found besides outcomes and latencies.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Raced {
    /// What the counted pages came to.
    pub results: Vec<PageTally>,
    /// Counted pages that came to something which the kernel's strategy does not allow.
    #[serde(alias = "outside")]
    pub not_allowed: u64,
    /// Counted pages whose new frame none of the racing threads allocated: the kernel moved them.
    pub unexplained: u64,
    /// Allocations left out because they were not for a raced page: where a process is forked for each
    /// page, threads copy pages of their stacks.
    #[serde(alias = "foreign")]
    pub unrelated_allocations: u64,
    /// Latency of the stores to counted pages, by what the thread came to. Counting is in it.
    pub parts: BTreeMap<ThreadOutcome, Latency>,
    /// Faults that a store to a read-only page survived, or wake-ups sent to stores that slept on.
    pub events: u64,
    /// Of a sweep, how long its threads waited for locks in the kernel.
    pub lock_wait: Option<Known<LockWait>>,
    /// Forks beside the stores; absent where the race has none and is no control of such a race.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub forks: Option<Forks>,
    /// Copies that the kernel counted as installed although the page had become exclusive meanwhile; absent where it
    /// does not count them.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub replaced: Option<u64>,
    /// Pages raced without a sharer, to see what the race itself allocates.
    #[serde(alias = "dry_pages")]
    pub rehearsal_pages: u64,
    /// Pages allocated there.
    #[serde(alias = "dry_allocations")]
    pub rehearsal_allocations: u64,
}

/// How long threads waited for locks in the kernel (tracepoints lock:contention_begin and _end), in
/// trials of their own.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct LockWait {
    /// All threads' waits together, in ns. At least: see the module `measure::locks`.
    pub waited_ns: u64,
    /// So many waits.
    pub waits: u64,
    /// How long all threads together were at it, in ns.
    pub of_ns: u64,
}

/// Forks of the racing process, by a thread of its own, while the others stored.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Forks {
    /// Asked for, a second; 0 in the control.
    pub per_second: u32,
    /// How long the threads stored in all timed trials, each from the first store to the end of the last, in ns.
    pub window_ns: u64,
    /// What each fork that fell into those windows took, until it had returned in the parent.
    pub took: Latency,
    /// The timed stores that a fork overlapped.
    pub beside: Latency,
    /// What the storing threads waited for besides `lock_wait`, in the trials of `lock_wait`.
    pub store_waits: BTreeMap<WaitedFor, Known<LockWait>>,
    /// What the forking thread waited for in its forks, in those trials.
    pub fork_waits: BTreeMap<WaitedFor, Known<LockWait>>,
}

/// Pages that came to the same.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct PageTally {
    /// Where the page is afterwards.
    pub frame: FrameChange,
    /// Copies thrown away on it.
    pub late: u32,
    /// Zeroed pages thrown away on it.
    pub none: u32,
    /// So many pages.
    pub pages: u64,
}

/// One counter of the counting pass.
pub type Counter = Known<EventCount>;

/// Events of the counting pass.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct EventCount {
    /// Events, as counted while the counter ran; never scaled.
    pub value: u64,
    /// Events per store, scaled by enabled over running time.
    pub per_fault: f64,
    /// Stores that were counted: of those processes alone in which the counter counted. Absent in files of versions that
    /// did not say.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub stores: Option<u64>,
    /// Processes in which it counted, a trial each.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub processes: Option<u64>,
    /// Time the counter was enabled, in ns.
    pub enabled_ns: u64,
    /// Time the counter really counted, in ns.
    pub running_ns: u64,
}

/// Data checks after the timed stores.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Integrity {
    /// Words of data compared.
    pub checked: u64,
    /// Words that were not as they must be: a lost store, a torn copy or a leak.
    pub violations: u64,
}

/// A scenario that was asked for and not measured.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Skipped {
    /// Scenario id, with the parameters that are not as usual.
    pub scenario: String,
    /// The reuse rule that the kernel would have been switched to.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub strategy: Option<Rule>,
    /// What was needed, what was found, and what mends it.
    pub reason: String,
}
