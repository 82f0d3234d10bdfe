//! What a race comes to: where the page is, and what each storing thread did with it.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Where a page is after a race.
#[derive(
    Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, JsonSchema,
)]
#[serde(rename_all = "snake_case")]
pub enum FrameChange {
    /// On the frame that it was on: stored to in place.
    Same,
    /// On a new frame: a copy was kept.
    Changed,
    /// There, where nothing was mapped before.
    Filled,
    /// Not there: it was dropped.
    Gone,
}

/// What a thread waited for in the kernel.
#[derive(
    Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, JsonSchema,
)]
#[serde(rename_all = "snake_case")]
pub enum WaitedFor {
    /// Any lock that the kernel's tracepoints know (lock:contention_begin to _end).
    Locks,
    /// The mmap lock (mmap_lock:mmap_lock_start_locking to mmap_lock_acquire_returned): `waits` are the times that it was asked
    /// for, whether it was free or not.
    MmapLock,
    /// A VMA's lock for writing (`__vma_start_write()`, entry to return): `waits` are the VMAs.
    VmaLock,
}

impl WaitedFor {
    /// All of them.
    pub const ALL: [WaitedFor; 3] = [Self::Locks, Self::MmapLock, Self::VmaLock];
}

/// What a storing thread came to at a page.
#[derive(
    Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, JsonSchema,
)]
#[serde(rename_all = "snake_case")]
pub enum ThreadOutcome {
    /// Its copy was kept, and it discarded none.
    Winner,
    /// It discarded a copy (late).
    BackedOff,
    /// It discarded a zeroed page (none), and no copy.
    NoneDiscard,
    /// It faulted and allocated nothing: it reused the page, or found the PTE changed already.
    NoCopy,
    /// It did not fault.
    NoFault,
}

impl ThreadOutcome {
    /// The part in words.
    pub fn label(self) -> &'static str {
        match self {
            ThreadOutcome::Winner => "winner",
            ThreadOutcome::BackedOff => "backed off",
            ThreadOutcome::NoneDiscard => "none discard",
            ThreadOutcome::NoCopy => "no copy",
            ThreadOutcome::NoFault => "no fault",
        }
    }
}
