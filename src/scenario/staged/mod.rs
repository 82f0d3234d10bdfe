//! The words of staged races: where a fault is held, who does what meanwhile, and what came of it.

pub mod catalogue;
pub mod place;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::Prediction;

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

/// What a party does to the page.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Deed {
    /// Stores a word of its own.
    Store,
    /// Reads, through its own mapping.
    Read,
    /// Reads through process_vm_readv(2): a read-only pin that ends with the call.
    Pin,
    /// Takes a long-term read-only pin through the kernel's gup_test, and keeps it.
    PinLong,
    /// Write-protects the page through userfaultfd.
    UffdProtect,
    /// Lifts that protection.
    UffdUnprotect,
    /// Makes the mapping executable and writable alone again: mprotect(2).
    Mprotect,
    /// Drops the page: madvise(MADV_DONTNEED).
    DontNeed,
    /// Has the page reclaimed: madvise(MADV_PAGEOUT).
    PageOut,
    /// Forks a process that exits at once.
    Fork,
    /// Has the kernel forget that the page was read: clears the Accessed bits of its process.
    Age,
    /// Puts the page into a pipe without copying it: vmsplice(2).
    Vmsplice,
    /// Unmaps the page.
    Unmap,
    /// Exits; the address space is gone afterwards.
    Exit,
}

impl Deed {
    /// Every deed; its place here is its number between processes.
    pub const ALL: [Deed; 14] = [
        Deed::Store,
        Deed::Read,
        Deed::Pin,
        Deed::PinLong,
        Deed::UffdProtect,
        Deed::UffdUnprotect,
        Deed::Mprotect,
        Deed::DontNeed,
        Deed::PageOut,
        Deed::Fork,
        Deed::Age,
        Deed::Vmsplice,
        Deed::Unmap,
        Deed::Exit,
    ];

    /// The deed in words, to follow the party.
    pub fn label(self) -> &'static str {
        match self {
            Deed::Store => "stores",
            Deed::Read => "reads",
            Deed::Pin => "reads by process_vm_readv (a pin for the time of the call)",
            Deed::PinLong => "takes a long-term read-only pin (gup_test)",
            Deed::UffdProtect => "write-protects the page (userfaultfd)",
            Deed::UffdUnprotect => "lifts the protection (userfaultfd)",
            Deed::Mprotect => "changes the protection (mprotect)",
            Deed::DontNeed => "drops the page (MADV_DONTNEED)",
            Deed::PageOut => "has the page reclaimed (MADV_PAGEOUT)",
            Deed::Fork => "forks",
            Deed::Age => "clears the Accessed bit (clear_refs)",
            Deed::Vmsplice => "puts the page into a pipe (vmsplice)",
            Deed::Unmap => "unmaps the page",
            Deed::Exit => "exits",
        }
    }
}

/// One move.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Step {
    /// Who.
    pub party: Party,
    /// Does what.
    pub deed: Deed,
}

impl Step {
    /// The move in words.
    pub fn label(self) -> String {
        format!("{} {}", self.party.label(), self.deed.label())
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

/// The kernel that a prediction is asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Ground {
    /// Major and minor version; unknown for an unusual release.
    pub version: Option<(u32, u32)>,
    /// Whether the kernel looks, under the PTL, for a page that has become exclusive (`cow_recheck=1`).
    pub recheck: bool,
}

/// What a reuse strategy predicts of one scenario.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, JsonSchema)]
pub struct Foretold {
    /// The first version that it holds for.
    pub since: (u32, u32),
    /// The first version that it no longer holds for.
    pub before: (u32, u32),
    /// Whether it holds with the recheck only (true), without it only (false), or either way.
    pub recheck: Option<bool>,
    /// What becomes of the data.
    pub verdict: Verdict,
    /// What thread 1's store comes to.
    pub one: Came,
    /// What the first rival that stores or pins comes to, if one does.
    pub rival: Option<Came>,
    /// On which lock a rival waits, where one does.
    pub lock: Option<Lock>,
}

impl Foretold {
    /// Thread 1 comes to `one` and everything is coherent, on any kernel.
    pub const fn coherent(one: Came) -> Self {
        Foretold {
            since: (0, 0),
            before: (u32::MAX, 0),
            recheck: None,
            verdict: Verdict::Coherent,
            one,
            rival: None,
            lock: None,
        }
    }

    /// The same with another verdict.
    pub const fn but(self, verdict: Verdict) -> Self {
        Foretold { verdict, ..self }
    }

    /// The same, and the rival comes to this.
    pub const fn rival(self, came: Came) -> Self {
        Foretold {
            rival: Some(came),
            ..self
        }
    }

    /// The same, and a rival waits for a lock.
    pub const fn waits(self, lock: Lock) -> Self {
        Foretold {
            verdict: Verdict::Blocked,
            lock: Some(lock),
            ..self
        }
    }

    /// The same from a version on.
    pub const fn since(self, since: (u32, u32)) -> Self {
        Foretold { since, ..self }
    }

    /// The same before a version.
    pub const fn before(self, before: (u32, u32)) -> Self {
        Foretold { before, ..self }
    }

    /// The same with, or without, the recheck only.
    pub const fn recheck(self, on: bool) -> Self {
        Foretold {
            recheck: Some(on),
            ..self
        }
    }

    /// Whether it holds on this ground.
    pub fn holds(&self, ground: Ground) -> bool {
        let any = self.since == (0, 0) && self.before == (u32::MAX, 0);
        let version = ground.version.map_or(any, |version| {
            self.since <= version && version < self.before
        });
        version && self.recheck.is_none_or(|recheck| recheck == ground.recheck)
    }
}

/// One race to be staged.
#[derive(Clone, Copy, Debug, Serialize, JsonSchema)]
pub struct Staged {
    /// `group/situation`.
    pub id: &'static str,
    /// The situation in a sentence.
    pub summary: &'static str,
    /// Whether it is one of the ways by which thread 1's copy can be made stale: the founding question.
    pub founding: bool,
    /// What happens before thread 1 stores.
    pub before: &'static [Step],
    /// Where thread 1 is held.
    pub hold: Hold,
    /// What happens meanwhile.
    pub steps: &'static [Step],
    /// What each strategy predicts; of several the first that holds.
    pub foretold: Prediction<Foretold>,
    /// Where the prediction comes from.
    pub basis: &'static str,
}

impl Staged {
    /// Whether somebody does this at some time.
    pub fn has(&self, deed: Deed) -> bool {
        let mut steps = self.before.iter().chain(self.steps);
        steps.any(|step| step.deed == deed)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_prediction_holds_for_its_versions_and_its_recheck_alone() {
        let ground = |version, recheck| Ground { version, recheck };
        let one = Foretold::coherent(Came::Copy).since((5, 19)).before((6, 4));
        assert!(one.holds(ground(Some((6, 1)), true)));
        assert!(!one.holds(ground(Some((5, 18)), false)));
        assert!(!one.holds(ground(Some((6, 4)), false)));
        assert!(!one.holds(ground(None, false)));
        let any = Foretold::coherent(Came::Copy).recheck(true);
        assert!(any.holds(ground(None, true)));
        assert!(!any.holds(ground(None, false)));
    }

    #[test]
    fn each_deed_has_one_place() {
        for (at, deed) in Deed::ALL.iter().enumerate() {
            assert_eq!(Deed::ALL.iter().position(|other| other == deed), Some(at));
        }
    }
}
