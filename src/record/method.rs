//! By what discards are counted.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::{Deserialize, Deserializer, Serialize};

use super::known::Known;

/// A way to count copies that were thrown away.
#[derive(
    Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema,
)]
#[serde(rename_all = "snake_case")]
pub enum Method {
    /// The tracepoints kmem:mm_page_alloc and kmem:mm_page_free per thread, with page frame numbers.
    #[serde(
        alias = "tracepoints kmem:mm_page_alloc and kmem:mm_page_free per thread, with page frame numbers"
    )]
    Tracepoints,
    /// taskstats' wpcopy_count per thread, less the pages whose frame changed.
    #[serde(alias = "taskstats wpcopy_count per thread, less the pages whose frame changed")]
    Taskstats,
    /// Kprobes: copies begun less the calls of ptep_clear_flush(), by the racing threads.
    #[serde(alias = "kprobes: copies begun less ptep_clear_flush() calls, by the racing threads")]
    Kprobes,
    /// The kernel's own count, cow_backoff in /proc/vmstat, of the whole machine.
    #[serde(
        alias = "the kernel's own count, cow_backoff in /proc/vmstat",
        alias = "vmstat cow_backoff"
    )]
    Vmstat,
}

impl Method {
    /// The method in a word.
    pub fn label(self) -> &'static str {
        match self {
            Method::Tracepoints => "tracepoints",
            Method::Taskstats => "taskstats",
            Method::Kprobes => "kprobes",
            Method::Vmstat => "the kernel",
        }
    }

    /// What is counted, and of whom.
    pub fn described(self) -> &'static str {
        match self {
            Method::Tracepoints => {
                "tracepoints kmem:mm_page_alloc and kmem:mm_page_free per thread, with page frame numbers"
            }
            Method::Taskstats => {
                "taskstats wpcopy_count per thread, less the pages whose frame changed"
            }
            Method::Kprobes => {
                "kprobes: copies begun less ptep_clear_flush() calls, by the racing threads"
            }
            Method::Vmstat => "the kernel's own count, cow_backoff in /proc/vmstat",
        }
    }
}

/// Late discards by a second, independent method.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct LateCount {
    /// Late discards by this method.
    pub late: i64,
    /// That less the first method's.
    pub difference: i64,
}

/// Reads counts by their method; earlier files have a list, each entry naming its method.
pub(super) fn read_counts<'de, D: Deserializer<'de>>(
    from: D,
) -> Result<BTreeMap<Method, Known<LateCount>>, D::Error> {
    #[derive(Deserialize)]
    #[serde(untagged)]
    enum ReadCounts {
        ByMethod(BTreeMap<Method, Known<LateCount>>),
        Listed(Vec<ListedCount>),
    }
    #[derive(Deserialize)]
    #[serde(untagged, deny_unknown_fields)]
    enum ListedCount {
        Counted {
            method: Method,
            late: i64,
            difference: i64,
        },
        Unavailable {
            method: Method,
            unavailable: String,
        },
    }
    Ok(match ReadCounts::deserialize(from)? {
        ReadCounts::ByMethod(counts) => counts,
        ReadCounts::Listed(entries) => entries
            .into_iter()
            .map(|entry| match entry {
                ListedCount::Counted {
                    method,
                    late,
                    difference,
                } => (method, Known::Counted(LateCount { late, difference })),
                ListedCount::Unavailable {
                    method,
                    unavailable,
                } => (method, Known::Unavailable { unavailable }),
            })
            .collect(),
    })
}
