//! Staged races in the words of the run file: where a fault is held, who moves, and what a move came to.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Where in the kernel thread 1's write fault is held.
#[derive(
    Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, JsonSchema,
)]
#[serde(rename_all = "kebab-case")]
pub enum Hold {
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

impl Hold {
    /// Every hold point in the order in which a fault passes them.
    pub const ALL: [Hold; 5] = [
        Hold::Undecided,
        Hold::Decided,
        Hold::BeforeCopy,
        Hold::Copied,
        Hold::Flushed,
    ];

    /// The hold point in words, to follow "thread 1 is held".
    pub fn label(self) -> &'static str {
        match self {
            Hold::Undecided => "before the decision",
            Hold::Decided => "after the decision to copy",
            Hold::BeforeCopy => "before the copy",
            Hold::Copied => "after the copy, before it takes the PTL again",
            Hold::Flushed => "after the flush, before the new PTE is set",
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
pub enum Came {
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
    /// The pin got a page of its own: `FAULT_FLAG_UNSHARE` copied.
    UnshareCopy,
    /// The pin faulted and stayed on the page, which is marked exclusive now.
    UnshareMark,
    /// The pin took the page as it was, without a fault.
    Pinned,
    /// Anything else, done.
    Done,
}

impl Came {
    /// In words.
    pub fn label(self) -> &'static str {
        match self {
            Came::Reuse => "reuse",
            Came::Copy => "copy",
            Came::BackedOff => "backoff",
            Came::Fill => "fill",
            Came::SwapIn => "swap in",
            Came::NoFault => "no fault",
            Came::UnshareCopy => "unshare copy",
            Came::UnshareMark => "unshare mark",
            Came::Pinned => "pinned as it was",
            Came::Done => "done",
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
pub enum Verdict {
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

impl Verdict {
    /// Every verdict.
    pub const ALL: [Verdict; 6] = [
        Verdict::Coherent,
        Verdict::Blocked,
        Verdict::LostStore,
        Verdict::StalePin,
        Verdict::Leak,
        Verdict::Lost,
    ];

    /// The verdict in words.
    pub fn label(self) -> &'static str {
        match self {
            Verdict::Coherent => "coherent",
            Verdict::Blocked => "blocked",
            Verdict::LostStore => "lost store",
            Verdict::StalePin => "stale pin",
            Verdict::Leak => "leak",
            Verdict::Lost => "lost",
        }
    }

    /// Whether data was lost, stale or leaked.
    pub fn is_harm(self) -> bool {
        matches!(self, Verdict::LostStore | Verdict::StalePin | Verdict::Leak)
    }
}
