//! Where timestamps come from.

use std::fmt;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// A source of timestamps.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum ClockSource {
    /// x86-64's time-stamp counter, read with `rdtscp; lfence`.
    Tsc,
    /// aarch64's virtual counter, read with `isb; mrs cntvct_el0`.
    Cntvct,
    /// clock_gettime(CLOCK_MONOTONIC_RAW), in ns.
    MonotonicRaw,
}

impl ClockSource {
    /// As run files name it.
    pub fn label(self) -> &'static str {
        match self {
            ClockSource::Tsc => "tsc",
            ClockSource::Cntvct => "cntvct",
            ClockSource::MonotonicRaw => "monotonic-raw",
        }
    }
}

impl fmt::Display for ClockSource {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.label())
    }
}
