//! What one worker process leaves behind: its figures, what disturbed it, and how its trials came about.

use std::collections::BTreeMap;
use std::ops::AddAssign;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::record::latency::Latency;
use crate::record::outcome::{Outcome, Tally};

/// One worker process. Latencies are over all its timed stores, in the result's unit; absent where none is measured.
#[derive(Default, Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Repetition {
    /// Which repetition, counted from 0 in the order asked for.
    pub index: u32,
    /// Median.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub p50: Option<u64>,
    /// 99th percentile.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub p99: Option<u64>,
    /// Arithmetic mean.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub mean: Option<f64>,
    /// Stores per second of the timed loops, reading the clock included.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub faults_per_s: Option<f64>,
    /// What its timed stores came to.
    pub outcomes: Tally,
    /// Median and 99th percentile by outcome.
    pub by_outcome: BTreeMap<Outcome, RepetitionLatency>,
    /// The median of its differences, scaled to 2 MiB; absent where none are measured.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub difference: Option<f64>,
    /// What disturbed it from outside; absent where that was not looked at.
    #[serde(alias = "influence", default, skip_serializing_if = "Option::is_none")]
    pub interference: Option<Interference>,
    /// Minor faults of the timed stores beyond one each: of code, stack or timestamps, and in some store's latency; absent
    /// in files of versions that did not count them.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub surplus_faults: Option<u64>,
    /// Timed stores of which only their latency tells whether they were a reuse or no fault: trials that had both, and whose
    /// slowest stores are called the faults. Absent in files of versions that did not count them.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub inferred: Option<u64>,
    /// What a pipe or a registered buffer sees of the pages that it refers to; absent where nothing does.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub referenced: Option<Referenced>,
    /// What became of O_DIRECT reads into the pages that were in flight when they were stored to; absent where none was.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub direct_reads: Option<DirectReads>,
    /// The memory that its timed stores took; absent where folios are of one page, or frames can not be seen.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub taken: Option<Taken>,
    /// Where every page of large folios is stored to: median and 99th percentile by a store's place among those to its folio,
    /// counted from 1. The entry of n, a power of two, is that of the places from n to 2n - 1.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub by_place: BTreeMap<u32, RepetitionLatency>,
    /// How much of the area PMDs mapped before and after its timed stores; absent where folios are not of a PMD's size.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub huge: Option<HugeMapped>,
    /// Timed stores that waited for a device, of swap or of a file; absent in files of versions that did not count them.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub major_faults: Option<u64>,
    /// Trials, and those that were made again; absent in files of versions that did not count them.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub attempts: Option<Attempts>,
}

/// Pages that a pipe or a registered buffer referred to when they were stored to.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Referenced {
    /// All of them.
    pub pages: u64,
    /// Those of which it sees the store that was made afterwards: what is read from it is not what was put into it.
    pub later: u64,
}

impl AddAssign for Referenced {
    fn add_assign(&mut self, other: Self) {
        self.pages += other.pages;
        self.later += other.later;
    }
}

/// Pages that an O_DIRECT read was in flight into when they were stored to.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct DirectReads {
    /// All of them.
    pub pages: u64,
    /// Those in which the process that read does not find what was read, once the read is over: the store has given it
    /// another page.
    pub lost: u64,
}

impl AddAssign for DirectReads {
    fn add_assign(&mut self, other: Self) {
        self.pages += other.pages;
        self.lost += other.lost;
    }
}

/// The memory that stores to folios larger than a page took for data: frames that the area did not have before. Page tables
/// are not in it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Taken {
    /// The stores.
    pub stores: u64,
    /// Bytes, of all of them together.
    pub bytes: u64,
}

impl Taken {
    /// What a store took, such as `4 KiB`; `None` where none took any.
    pub fn per_store(&self) -> Option<String> {
        if self.stores == 0 || self.bytes == 0 {
            return None;
        }
        let kib = self.bytes as f64 / 1024.0 / self.stores as f64;
        let (amount, unit) = match kib {
            kib if kib < 1024.0 => (kib, "KiB"),
            kib => (kib / 1024.0, "MiB"),
        };
        // As exact as it is: no decimals where it is whole.
        Some(match amount.fract() {
            0.0 => format!("{amount} {unit}"),
            _ => format!("{amount:.2} {unit}"),
        })
    }
}

impl AddAssign for Taken {
    fn add_assign(&mut self, other: Self) {
        self.stores += other.stores;
        self.bytes += other.bytes;
    }
}

/// How much of folios of a PMD's size one PMD each maps (AnonHugePages of /proc/PID/smaps), summed over trials.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct HugeMapped {
    /// KiB before the stores.
    pub before_kib: u64,
    /// KiB after them.
    pub after_kib: u64,
    /// PMDs that were split meanwhile, on the whole machine (thp_split_pmd of /proc/vmstat).
    pub split: u64,
}

impl HugeMapped {
    /// How much is still so mapped, such as `0 of 96 MiB`, and how many PMDs were split.
    pub fn told(self) -> String {
        let [after, before] = [self.after_kib, self.before_kib].map(|kib| kib / 1024);
        format!("{after} of {before} MiB ({} PMDs split)", self.split)
    }
}

impl AddAssign for HugeMapped {
    fn add_assign(&mut self, other: Self) {
        self.before_kib += other.before_kib;
        self.after_kib += other.after_kib;
        self.split += other.split;
    }
}

/// The places of an entry of [`Repetition::by_place`] where a folio has so many pages, such as `4-7`.
pub fn place_label(place: u32, pages: u64) -> String {
    let last = (2 * u64::from(place)).saturating_sub(1).min(pages);
    match last > u64::from(place) {
        true => format!("{place}-{last}"),
        false => place.to_string(),
    }
}

/// The trials of a repetition, warm-up and counting included, and those that were thrown away and made again since a page
/// was not in its state, or did not stay in it.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Attempts {
    /// Trials that were kept.
    pub kept: u64,
    /// Thrown away before anything was stored to.
    pub before: u64,
    /// Thrown away after the stores, when what they came to could be known.
    pub after: u64,
    /// Why the first was; absent if none was.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
}

impl Attempts {
    /// Whether more than one trial in a hundred was thrown away after its stores: what is kept may be a choice.
    pub fn chosen(&self) -> bool {
        self.after * 100 > self.kept + self.after
    }

    /// The counts and the first reason in a few words; nothing if none was thrown away.
    pub fn told(&self) -> Option<String> {
        let all = self.kept + self.before + self.after;
        let reason = self.reason.as_deref().unwrap_or("unknown");
        (self.before + self.after > 0).then(|| {
            format!(
                "{} of {all} before their stores, {} after them; the first: {reason}",
                self.before, self.after
            )
        })
    }
}

impl AddAssign<&Attempts> for Attempts {
    fn add_assign(&mut self, other: &Attempts) {
        self.kept += other.kept;
        self.before += other.before;
        self.after += other.after;
        if self.reason.is_none() {
            self.reason.clone_from(&other.reason);
        }
    }
}

/// What disturbed a repetition from outside, from its worker's start to its end.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Interference {
    /// How long the repetition took, in ms; in instructions / 10^6 where the clock counts those.
    pub elapsed_ms: u64,
    /// CPUs it was pinned to.
    pub cpus: u32,
    /// Time that the host took from these CPUs, in ms, in steps of 10.
    pub steal_ms: Option<u64>,
    /// How long its timed stores took, of all threads together, in µs; absent in files of versions that counted switches
    /// over all of the worker's life, its own processes among them.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub stored_us: Option<u64>,
    /// Times that another thread took the CPU during the timed stores; absent where the program's own threads or
    /// processes share a CPU, and a switch may be to one of these.
    pub involuntary_switches: Option<u64>,
    /// Moves between CPUs, being pinned included.
    pub migrations: Option<u64>,
    /// Interrupts that these CPUs took.
    pub interrupts: Option<u64>,
    /// Frequency of the first of them at the end, in MHz.
    pub mhz: Option<u64>,
    /// By what it was disturbed; empty where it was not. What it measured plays no part in it.
    #[serde(alias = "spoilt")]
    pub disturbed: Vec<String>,
}

/// One repetition's latency of one outcome.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct RepetitionLatency {
    /// Number of stores.
    pub count: u64,
    /// Median.
    pub p50: u64,
    /// 90th percentile.
    pub p90: u64,
    /// 99th percentile.
    pub p99: u64,
    /// Arithmetic mean.
    pub mean: f64,
    /// Whether these are exact, and not a histogram's of three digits.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub exact: bool,
}

impl RepetitionLatency {
    /// A repetition's figures.
    pub fn of(latency: &Latency) -> RepetitionLatency {
        RepetitionLatency {
            count: latency.count,
            p50: latency.p50,
            p90: latency.p90,
            p99: latency.p99,
            mean: latency.mean,
            exact: latency.values.is_some(),
        }
    }
}

/// A repetition that gave no result.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Lost {
    /// Which repetition, counted from 0.
    pub index: u32,
    /// Why: killed by a signal, timed out, set-up not reached.
    pub reason: String,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn memory_is_told_by_the_store() {
        let told = |stores, bytes| Taken { stores, bytes }.per_store();
        assert_eq!(told(16, 16 << 12).as_deref(), Some("4 KiB"));
        assert_eq!(told(8, 16 << 20).as_deref(), Some("2 MiB"));
        assert_eq!(told(3, 4 << 12).as_deref(), Some("5.33 KiB"));
        assert_eq!((told(8, 0), told(0, 0)), (None, None));
    }
}
