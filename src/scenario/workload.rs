//! Who does what to the page while it is timed: stores by one thread, or a race of several.

use std::ops::Range;

use schemars::JsonSchema;
use serde::Serialize;

use crate::record::race::FrameChange;
use crate::scenario::expectation::{Basis, Expectation};

/// What is timed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Workload {
    /// One thread of this process stores to every page.
    Stores(Actor),
    /// Several threads meet at every page.
    Race(Race),
    /// One thread of the parent copies a page and is held in the copy window by the strategy kernel; meanwhile the child
    /// exits and another thread pins the page for reading.
    Held,
}

/// The process whose threads act.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Actor {
    /// The process that mapped and filled the area.
    Parent,
    /// The process that it forked.
    Child,
}

impl Actor {
    /// The process in words.
    pub fn label(self) -> &'static str {
        match self {
            Actor::Parent => "parent",
            Actor::Child => "child",
        }
    }
}

/// What one thread does to a page.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Access {
    /// Stores a word of its own.
    Store,
    /// Reads.
    Read,
    /// Takes a read-only pin through `process_vm_readv(2)`: `FAULT_FLAG_UNSHARE` from Linux 5.19 on.
    Pin,
    /// Makes the page read-only by `mprotect(2)` and writable again.
    Mprotect,
    /// Write-protects the page through userfaultfd and lifts the protection again.
    UffdWp,
    /// Drops the page by `madvise(MADV_DONTNEED)`.
    DontNeed,
    /// Reads, then releases the reference that a pipe holds on the page.
    ReadAndRelease,
    /// Stores a word of its own again and again, each time under a lock.
    StoreLocked,
    /// Reads the second thread's word beforehand, and then twice under each hold of that lock until it sees the last store.
    ReadLocked,
}

impl Access {
    /// The access in words.
    pub fn label(self) -> &'static str {
        match self {
            Access::Store => "stores",
            Access::Read => "reads",
            Access::Pin => "pins for reading",
            Access::Mprotect => "makes read-only and writable again (mprotect)",
            Access::UffdWp => "protects and unprotects (userfaultfd)",
            Access::DontNeed => "drops the page (MADV_DONTNEED)",
            Access::ReadAndRelease => "reads, then drops a pipe's reference",
            Access::StoreLocked => "stores under a lock, again and again",
            Access::ReadLocked => "reads twice under the lock, again and again",
        }
    }
}

/// What the process that shares the page does meanwhile.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum OtherProcess {
    /// Nothing; or there is none.
    Rests,
    /// A process forked for this one page exits, at the edge of the first thread's window.
    Exits,
    /// It unmaps the page, at the edge of the first thread's window.
    Unmaps,
}

/// How threads come together.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Rendezvous {
    /// At a common deadline for each page, the rival's shifted by the skew asked for.
    Deadline,
    /// The same, with the rival's deadline moved on from page to page over this many ns.
    Swept(u32),
    /// Not at all: each thread goes over the area as fast as it can.
    Free,
}

/// Which pages a thread acts on.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Reach {
    /// All of them.
    Every,
    /// A part of the area of its own, as long as any other thread's.
    Part,
}

impl Reach {
    /// The pages of `pages` that thread `number` of `threads` acts on.
    pub fn of(self, number: usize, threads: usize, pages: usize) -> Range<usize> {
        match self {
            Reach::Every => 0..pages,
            Reach::Part => {
                let each = pages / threads.max(1);
                number * each..(number + 1) * each
            }
        }
    }
}

/// Whether a page's allocations can be told apart into kept and discarded ones by the page's frame
/// number before and after.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum DiscardCounting {
    /// A page changes its frame once at most.
    Once,
    /// Under the exclusive flag a page changes its frame once at most; under an earlier rule it can
    /// do so repeatedly.
    OnceIfExclusive,
    /// No; the reason.
    Not(&'static str),
}

/// What one page may come to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, JsonSchema)]
pub struct RaceOutcome {
    /// Where the page is afterwards.
    pub frame: FrameChange,
    /// Whether threads may have discarded copies (late discards), one each.
    pub late: bool,
    /// Whether threads may have discarded zeroed pages (none discards), one each.
    pub none: bool,
}

impl RaceOutcome {
    /// Stored to in place, nothing allocated.
    pub const REUSE: Self = Self::new(FrameChange::Same, false, false);
    /// One copy, nothing discarded.
    pub const COPY: Self = Self::new(FrameChange::Changed, false, false);
    /// A page where nothing was mapped.
    pub const FILL: Self = Self::new(FrameChange::Filled, false, false);
    /// One copy kept, others discarded.
    pub const COPY_AND_DISCARDS: Self = Self::new(FrameChange::Changed, true, true);
    /// Stored to in place, though copies were made and discarded.
    pub const REUSE_AND_LATE: Self = Self::new(FrameChange::Same, true, false);

    /// A result of these parts.
    pub const fn new(frame: FrameChange, late: bool, none: bool) -> Self {
        RaceOutcome { frame, late, none }
    }

    /// Whether a page on `frame` with so many discards is such a result.
    pub fn allows(self, frame: FrameChange, late: u32, none: u32) -> bool {
        self.frame == frame && (self.late || late == 0) && (self.none || none == 0)
    }

    /// The result in words.
    pub fn label(self) -> String {
        let frame = match self.frame {
            FrameChange::Same => "reuse",
            FrameChange::Changed => "copy",
            FrameChange::Filled => "fill",
            FrameChange::Gone => "gone",
        };
        match (self.late, self.none) {
            (false, false) => frame.into(),
            (true, false) => format!("{frame} with late discards"),
            (false, true) => format!("{frame} with none discards"),
            (true, true) => format!("{frame} with late or none discards"),
        }
    }
}

/// Several threads of one process at the same page at the same time.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, JsonSchema)]
pub struct Race {
    /// The process that they are threads of.
    pub within: Actor,
    /// What the first thread does.
    pub first: Access,
    /// What the second one does.
    pub rival: Access,
    /// What every further one does.
    pub further: Access,
    /// What the other process does.
    pub other_process: OtherProcess,
    /// How they come together.
    pub rendezvous: Rendezvous,
    /// Which pages each one acts on.
    pub reach: Reach,
    /// How often a thread of their process forks meanwhile, in forks a second; 0 is the control of such races. The child exits at
    /// once.
    pub forks: Option<u32>,
    /// Whether discards can be counted.
    pub counting: DiscardCounting,
    /// What a page may come to: of several, the first that holds for the kernel.
    pub allowed: &'static [Expectation<&'static [RaceOutcome]>],
}

impl Race {
    /// What is said of a race's pages follows from the two looks at the PTE.
    pub const LOOKS: Basis = Basis::Reasoned(
        "what do_wp_page() and wp_page_copy() can meet between their two looks at the PTE",
    );

    /// Two threads of the parent store at a common deadline; further ones do too.
    pub const STORES: Race = Race {
        within: Actor::Parent,
        first: Access::Store,
        rival: Access::Store,
        further: Access::Store,
        other_process: OtherProcess::Rests,
        rendezvous: Rendezvous::Deadline,
        reach: Reach::Every,
        forks: None,
        counting: DiscardCounting::Once,
        allowed: &[Expectation::any_of(
            &[RaceOutcome::COPY_AND_DISCARDS],
            Self::LOOKS,
        )],
    };

    /// What thread `number`, counted from 0, does.
    pub fn access(&self, number: usize) -> Access {
        match number {
            0 => self.first,
            1 => self.rival,
            _ => self.further,
        }
    }

    /// The fewest threads that make sense.
    pub fn threads_needed(&self) -> u32 {
        match (self.rendezvous, self.further) {
            (Rendezvous::Free, _) => 1,
            (_, Access::ReadLocked) => 3,
            _ => 2,
        }
    }

    /// Whether a thread forks meanwhile.
    pub fn forks_meanwhile(&self) -> bool {
        self.forks.is_some_and(|per_second| per_second > 0)
    }

    /// One in so many pages of those asked for is raced: a process is forked for each page where the
    /// other process exits.
    pub fn page_divisor(&self) -> u32 {
        match self.other_process {
            OtherProcess::Exits => 16,
            _ => 1,
        }
    }
}
