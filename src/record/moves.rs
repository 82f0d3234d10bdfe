//! Staged races in the words of the run file: where a fault is held, who moves, and what a move came to.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Where in the kernel thread 1's write fault is held.
#[derive(
    Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, JsonSchema,
)]
#[serde(rename_all = "kebab-case")]
pub enum HoldPoint {
    /// do_wp_page() begins: nothing is decided, the page-table lock (PTL) is held.
    Undecided,
    /// The decision fell for a copy, the PTL is dropped, nothing is allocated.
    Decided,
    /// The new page is there, the old one is about to be copied.
    BeforeCopy,
    /// The copy is made, the PTL is about to be taken again.
    Copied,
    /// The old PTE is cleared and flushed, the new one not yet set; the PTL is held.
    Flushed,
}

impl HoldPoint {
    /// Every hold point in the order in which a fault passes them.
    pub const ALL: [HoldPoint; 5] = [
        HoldPoint::Undecided,
        HoldPoint::Decided,
        HoldPoint::BeforeCopy,
        HoldPoint::Copied,
        HoldPoint::Flushed,
    ];

    /// The hold point in words, to follow "thread 1 is held".
    pub fn label(self) -> &'static str {
        match self {
            HoldPoint::Undecided => "before the decision",
            HoldPoint::Decided => "after the decision to copy",
            HoldPoint::BeforeCopy => "before the copy",
            HoldPoint::Copied => "after the copy, before it takes the PTL again",
            HoldPoint::Flushed => "after the flush, before the new PTE is set",
        }
    }
}

/// Who acts.
#[derive(
    Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, JsonSchema,
)]
#[serde(rename_all = "kebab-case")]
pub enum Party {
    /// Thread 1 of process A, whose store is held.
    One,
    /// Thread 2 of process A.
    Two,
    /// Process B, which shares the page copy-on-write.
    Sharer,
}

impl Party {
    /// Every party.
    pub const ALL: [Party; 3] = [Party::One, Party::Two, Party::Sharer];

    /// The party in words.
    pub fn label(self) -> &'static str {
        match self {
            Party::One => "thread 1",
            Party::Two => "thread 2",
            Party::Sharer => "B",
        }
    }

    /// The guest's CPU that it is pinned to. Each has its own, since a held CPU does nothing else.
    pub fn cpu(self) -> u32 {
        self as u32
    }
}

/// What a party's part came to.
#[derive(
    Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, JsonSchema,
)]
#[serde(rename_all = "kebab-case")]
pub enum FaultOutcome {
    /// A store resolved on the same page.
    Reuse,
    /// A store resolved on a new page, at the first attempt.
    Copy,
    /// A copy was thrown away: under the PTL the PTE had changed.
    BackedOff,
    /// A store where nothing was mapped: a zeroed page.
    Fill,
    /// A store that brought the page back from swap.
    SwapIn,
    /// A store or read that did not fault.
    NoFault,
    /// The pin got a page of its own: `FAULT_FLAG_UNSHARE` copied, or, before that flag, a write fault did.
    UnshareCopy,
    /// The pin faulted and stayed on the page: `FAULT_FLAG_UNSHARE` marked it exclusive, or, before that flag, a write fault reused
    /// it.
    #[serde(rename = "unshare-mark")]
    UnshareReuse,
    /// The pin took the page as it was, without a fault.
    Pinned,
    /// Anything else, done.
    Done,
}

impl FaultOutcome {
    /// In words.
    pub fn label(self) -> &'static str {
        match self {
            FaultOutcome::Reuse => "reuse",
            FaultOutcome::Copy => "copy",
            FaultOutcome::BackedOff => "backoff",
            FaultOutcome::Fill => "fill",
            FaultOutcome::SwapIn => "swap in",
            FaultOutcome::NoFault => "no fault",
            FaultOutcome::UnshareCopy => "unshare copy",
            FaultOutcome::UnshareReuse => "unshare reuse",
            FaultOutcome::Pinned => "pinned as it was",
            FaultOutcome::Done => "done",
        }
    }
}

/// What a party waits for that cannot go on while thread 1 is held.
#[derive(
    Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, JsonSchema,
)]
#[serde(rename_all = "kebab-case")]
pub enum Lock {
    /// The address space's lock (mmap lock).
    Mmap,
    /// The lock of the one mapping, which faults take in place of the mmap lock (6.4 and later).
    Vma,
    /// The page-table lock.
    PageTable,
    /// The folio's lock.
    Folio,
    /// Userfaultfd's wait for whoever lifts a protection.
    Userfaultfd,
    /// Something else; the functions on the kernel stack tell.
    Other,
}

impl Lock {
    /// The lock in words.
    pub fn label(self) -> &'static str {
        match self {
            Lock::Mmap => "the mmap lock",
            Lock::Vma => "the VMA lock",
            Lock::PageTable => "the page-table lock",
            Lock::Folio => "the folio lock",
            Lock::Userfaultfd => "userfaultfd",
            Lock::Other => "something else",
        }
    }
}

/// What became of the data.
#[derive(
    Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, JsonSchema,
)]
#[serde(rename_all = "kebab-case")]
pub enum RaceVerdict {
    /// Everybody sees what he must, and nothing else.
    Coherent,
    /// The same, but a rival could not act while thread 1 was held.
    Blocked,
    /// A finished store is not in the memory of the process that made it.
    LostStore,
    /// A pin is on a page that the process no longer has.
    StalePin,
    /// Somebody sees a store of another process, made after they had parted.
    Leak,
    /// No result: the guest or a party did not come back.
    Lost,
}

impl RaceVerdict {
    /// Every verdict.
    pub const ALL: [RaceVerdict; 6] = [
        RaceVerdict::Coherent,
        RaceVerdict::Blocked,
        RaceVerdict::LostStore,
        RaceVerdict::StalePin,
        RaceVerdict::Leak,
        RaceVerdict::Lost,
    ];

    /// The verdict in words.
    pub fn label(self) -> &'static str {
        match self {
            RaceVerdict::Coherent => "coherent",
            RaceVerdict::Blocked => "blocked",
            RaceVerdict::LostStore => "lost store",
            RaceVerdict::StalePin => "stale pin",
            RaceVerdict::Leak => "leak",
            RaceVerdict::Lost => "lost",
        }
    }

    /// Whether data was lost, stale or leaked.
    pub fn is_harm(self) -> bool {
        matches!(
            self,
            RaceVerdict::LostStore | RaceVerdict::StalePin | RaceVerdict::Leak
        )
    }
}
