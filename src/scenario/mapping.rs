//! How pages are mapped when their state is reached.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// How every page must be mapped when the timed stores begin; proven before anything is timed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Mapping {
    /// Nothing is mapped.
    None,
    /// The zero page.
    ZeroPage,
    /// An anonymous order-0 folio on the LRU, mapped this often.
    Anon(u32),
    /// An anonymous page on the LRU, in a folio of any size, mapped this often.
    AnonOfAnySize(u32),
    /// An anonymous order-0 folio mapped once that is still in a CPU's LRU batch.
    InBatch,
    /// The same, and it is to stay in the batch until the stores are over: anything that drains the batch meanwhile takes the batch's
    /// reference away.
    StaysInBatch,
    /// A page of the page cache, through a private mapping.
    File,
    /// A page of shared anonymous memory, mapped once.
    Shared,
    /// Swapped out.
    Swapped,
    /// A page that ksmd merged, mapped this often.
    Merged(u32),
    /// A whole folio of the size under test, mapped this often, and by one entry where the page table
    /// allows it.
    Folio(u32),
    /// A folio of the size under test, its first page mapped this often by a PTE of its own.
    PteMapped(u32),
    /// A folio of the size under test, mapped by PTEs, of which another process maps the second half alone.
    HalfShared,
    /// The huge zero folio.
    HugeZero,
}

impl Mapping {
    /// The mapping in words.
    pub fn label(self) -> String {
        match self {
            Mapping::None => "nothing mapped".into(),
            Mapping::ZeroPage => "the zero page".into(),
            Mapping::Anon(times) => format!("an anonymous 4 KiB page on the LRU, mapcount {times}"),
            Mapping::AnonOfAnySize(times) => format!(
                "an anonymous page on the LRU in a folio of whatever size, mapcount {times}"
            ),
            Mapping::InBatch => {
                "an anonymous 4 KiB page in an LRU batch (not on the LRU), mapcount 1".into()
            }
            Mapping::StaysInBatch => {
                "an anonymous 4 KiB page in an LRU batch (not on the LRU) before and after, mapcount 1"
                    .into()
            }
            Mapping::File => "a page of the page cache, mapped privately".into(),
            Mapping::Shared => "a 4 KiB page of shared anonymous memory, mapcount 1".into(),
            Mapping::Swapped => "swapped out".into(),
            Mapping::Merged(times) => format!("a page merged by ksmd, mapcount {times}"),
            Mapping::Folio(times) => {
                format!("a whole folio of the size under test, mapcount {times}")
            }
            Mapping::PteMapped(times) => {
                format!("a whole folio of the size under test, mapped by PTEs, mapcount {times}")
            }
            Mapping::HalfShared => {
                "a whole folio of the size under test, mapped by PTEs, of which the other process maps the second half alone"
                    .into()
            }
            Mapping::HugeZero => "the huge zero folio".into(),
        }
    }

    /// As much of the mapping as /proc/PID/pagemap shows to anyone.
    pub fn label_by_pagemap(self) -> &'static str {
        match self {
            Mapping::None => "nothing present or swapped out",
            Mapping::ZeroPage => "present, not mapped just once",
            Mapping::Anon(1)
            | Mapping::AnonOfAnySize(1)
            | Mapping::InBatch
            | Mapping::StaysInBatch => "present, anonymous, mapped once",
            Mapping::File => "present, of a file",
            Mapping::Shared => "present, of a file or shared memory, mapped once",
            Mapping::Swapped => "swapped out",
            Mapping::Merged(_)
            | Mapping::Folio(_)
            | Mapping::PteMapped(_)
            | Mapping::HalfShared => "present, anonymous",
            Mapping::HugeZero => "present",
            Mapping::Anon(_) | Mapping::AnonOfAnySize(_) => {
                "present, anonymous, mapped more than once"
            }
        }
    }
}
