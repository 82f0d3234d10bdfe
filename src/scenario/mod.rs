//! The catalogue: page states, their actors, the kernel path they take and what kernels are expected to do.

pub mod catalogue;

mod contention;
mod control;
mod copy;
mod cost;
mod cpumask;
mod every_page;
pub mod expectation;
pub mod extra_ref;
mod file;
mod fork_race;
mod hugetlb;
mod inherit;
mod ksm;
mod mm_id;
mod mthp;
pub mod law;
pub mod workload;
mod protect;
mod race;
mod reuse;
mod rmap;
mod source;
pub mod staged;
mod swap;
pub mod thp;
mod touch;
pub mod unshare;

use expectation::{Expectation, KernelTraits, expected};
use law::LawPoint;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use workload::{Actor, Workload};

use crate::memory::backing::Memory;
use crate::memory::threads;

/// One step on the way to the page state that a scenario stores to. Steps apply to every page of the area.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Step {
    /// The parent stores a pattern.
    Fill,
    /// The parent reads.
    Read,
    /// The parent forks a child; the child reads, so that its PTEs are present and young.
    Fork,
    /// The child stores.
    ChildStores,
    /// The child exits and is reaped.
    ChildExits,
    /// The parent drops its mapping by `madvise(MADV_DONTNEED)`; the child has the page alone.
    ParentDrops,
    /// The child drops its mapping by `madvise(MADV_DONTNEED)`; the parent has the page alone.
    ChildDrops,
    /// The child drops the first half of each folio in the same way, and keeps the second.
    ChildDropsHalf,
    /// The parent forks a child, which touches nothing: its PTEs are present and old.
    ForkUntouched,
    /// The parent puts the page into a pipe by vmsplice and leaves it there.
    Vmsplice,
    /// The parent's PTE is made read-only while the page stays its own: userfaultfd's asynchronous
    /// write-protection, else soft-dirty tracking. A PMD is so by soft-dirty tracking alone.
    WriteProtect,
    /// The parent forks a second child, which reads.
    ForkAgain,
    /// The second child exits and is reaped.
    SecondExits,
    /// The parent forks so many children, each of which has a line of descendants, one process to a generation; all live and
    /// have read. The first child's last descendant is the child that acts.
    Descendants {
        /// Children of the parent.
        children: u32,
        /// Generations, that of the children among them.
        generations: u32,
    },
    /// Every descendant drops its mapping by `madvise(MADV_DONTNEED)`; the parent has the pages alone.
    DescendantsDrop,
    /// The child is on another CPU and forks children of its own that exit at once, one after another, until it is ended.
    ChildForksOn,
    /// The parent forks a child that runs on another CPU, so that its exit leaves this CPU's LRU batch alone.
    ForkElsewhere,
    /// The child forks a child of its own and exits; the grandchild takes its place.
    Grandchild,
    /// A child made by vfork reads in this very address space and exits.
    Vfork,
    /// The parent stores while it runs on another CPU.
    FillElsewhere,
    /// The child puts the page into a pipe that the parent holds.
    ChildVmsplices,
    /// The pipe is closed.
    PipeCloses,
    /// The page is registered with io_uring as a fixed buffer.
    RegisterBuffer,
    /// The parent has its page read through process_vm_readv.
    ReadPinned,
    /// The parent writes its page to a file with O_DIRECT.
    WriteDirect,
    /// The parent writes its pages to a file with O_DIRECT, and the write stays in flight.
    WriteInFlight,
    /// The parent reads a file into its pages with O_DIRECT, and the read stays in flight.
    ReadInFlight,
    /// mprotect to read-only and back.
    MprotectRoRw,
    /// mprotect to PROT_NONE and back.
    ProtNoneAndBack,
    /// madvise(MADV_DONTDUMP) on every second page: neighbours differ, so that each page is a VMA of its own.
    SplitVma,
    /// madvise(MADV_DONTDUMP) on every second of so many equal parts, each of which is a VMA of its own then.
    SplitInto(u32),
    /// The same on the part of every second thread of a race: each part is a VMA of its own.
    SplitParts,
    /// Userfaultfd's write-protection is set and lifted again.
    UffdWpUndone,
    /// Userfaultfd's write-protection is set, and the descriptor is closed.
    UffdWpClosed,
    /// Userfaultfd's asynchronous write-protection is set.
    UffdWpAsync,
    /// The soft-dirty bits are cleared.
    SoftDirty,
    /// madvise(MADV_DONTFORK).
    DontFork,
    /// madvise(MADV_DONTFORK) on all but the first page of each folio.
    DontForkRest,
    /// madvise(MADV_DOFORK).
    DoFork,
    /// madvise(MADV_WIPEONFORK).
    WipeOnFork,
    /// madvise(MADV_FREE).
    MadvFree,
    /// madvise(MADV_PAGEOUT), until the page is swapped out.
    SwapOut,
    /// ksmd merges the page with one of the same content in another mapping of the parent.
    Merge,
    /// That other mapping is unmapped.
    TwinUnmaps,
    /// Every free page of hugetlb's pool is taken by another mapping.
    PoolDries,
    /// mprotect of one page splits the huge mapping: the folio stays whole and is mapped by PTEs.
    PteMap,
    /// madvise(MADV_COLLAPSE): each folio's range is copied into a new huge folio, which one PMD maps.
    Collapse,
    /// mremap moves the second half of each folio elsewhere.
    HalfMoves,
    /// madvise(MADV_DONTNEED) unmaps the second half of each folio.
    HalfUnmap,
    /// madvise(MADV_DONTNEED) unmaps all but the first page of each folio.
    AllButOneUnmap,
    /// So many threads of the storing process begin to run, each on a CPU of its own.
    ThreadsRun(u32),
    /// So many threads of the storing process have run, each on a CPU of its own, and sleep.
    ThreadsSleep(u32),
}

impl Step {
    /// The step in words.
    pub fn label(self) -> String {
        let label = match self {
            Step::Fill => "store",
            Step::Read => "read",
            Step::Fork => "fork (the child reads)",
            Step::ForkUntouched => "fork (the child touches nothing)",
            Step::ChildStores => "child stores",
            Step::ChildExits => "child exits",
            Step::ParentDrops => "parent drops its mapping",
            Step::ChildDrops => "child drops its mapping",
            Step::ChildDropsHalf => "child drops the first half of each folio",
            Step::Vmsplice => "vmsplice into a pipe",
            Step::WriteProtect => "write-protect in place",
            Step::ForkAgain => "fork again (the second child reads)",
            Step::SecondExits => "second child exits",
            Step::Descendants {
                children: 1,
                generations,
            } => {
                return format!(
                    "fork, the child forks, and so on: {generations} generations (each reads)"
                );
            }
            Step::Descendants {
                children,
                generations: 1,
            } => return format!("fork {children} children (each reads)"),
            Step::Descendants {
                children,
                generations,
            } => {
                return format!(
                    "fork {children} children, each with a line of descendants: {generations} generations (each reads)"
                );
            }
            Step::DescendantsDrop => "descendants drop their mappings",
            Step::ChildForksOn => "child forks on, on another CPU",
            Step::ForkElsewhere => "fork (the child reads, on another CPU)",
            Step::Grandchild => "child forks a grandchild and exits (the grandchild reads)",
            Step::Vfork => "vfork (the child reads and exits)",
            Step::FillElsewhere => "store on another CPU",
            Step::ChildVmsplices => "child vmsplices into the parent's pipe",
            Step::PipeCloses => "close the pipe",
            Step::RegisterBuffer => "register as an io_uring buffer",
            Step::ReadPinned => "process_vm_readv of the page",
            Step::WriteDirect => "O_DIRECT write of the page",
            Step::WriteInFlight => "O_DIRECT write of the pages, held in flight",
            Step::ReadInFlight => "O_DIRECT read into the pages, held in flight",
            Step::MprotectRoRw => "mprotect read-only, then writable",
            Step::ProtNoneAndBack => "mprotect to no access, then writable",
            Step::SplitVma => "madvise(MADV_DONTDUMP) on every second page (a VMA for each page)",
            Step::SplitInto(1) => "leave the VMA whole",
            Step::SplitInto(parts) => {
                return format!("madvise(MADV_DONTDUMP) on every second part ({parts} VMAs)");
            }
            Step::SplitParts => {
                "madvise(MADV_DONTDUMP) on every second thread's part (a VMA for each)"
            }
            Step::UffdWpUndone => "uffd-wp protect, then unprotect",
            Step::UffdWpClosed => "uffd-wp protect, then close the userfaultfd",
            Step::UffdWpAsync => "uffd-wp protect, asynchronous",
            Step::SoftDirty => "clear soft-dirty",
            Step::DontFork => "madvise(MADV_DONTFORK)",
            Step::DontForkRest => "madvise(MADV_DONTFORK) on all but the first page of each folio",
            Step::DoFork => "madvise(MADV_DOFORK)",
            Step::WipeOnFork => "madvise(MADV_WIPEONFORK)",
            Step::MadvFree => "madvise(MADV_FREE)",
            Step::SwapOut => "madvise(MADV_PAGEOUT) until swapped out",
            Step::Merge => "merge with a twin page (ksmd)",
            Step::TwinUnmaps => "unmap the twin page",
            Step::PoolDries => "take every free page of the pool",
            Step::PteMap => "split the huge mapping (mprotect of one page)",
            Step::Collapse => "madvise(MADV_COLLAPSE)",
            Step::HalfMoves => "mremap the second half of each folio elsewhere",
            Step::HalfUnmap => "unmap the second half of each folio",
            Step::AllButOneUnmap => "unmap all but the first page of each folio",
            Step::ThreadsRun(_) => "threads of the process begin to run on other CPUs",
            Step::ThreadsSleep(_) => "threads of the process run on other CPUs, and sleep",
        };
        label.into()
    }

    /// What the step needs of the machine beyond memory; empty for most.
    pub fn needs(self) -> &'static str {
        match self {
            Step::WriteProtect => "uffd-wp async (Linux 6.7) or soft-dirty (CONFIG_MEM_SOFT_DIRTY)",
            Step::ForkElsewhere | Step::FillElsewhere => "a second CPU; PFNs (root)",
            Step::ThreadsRun(1 | threads::ALL) | Step::ThreadsSleep(1 | threads::ALL) => {
                "a second CPU"
            }
            Step::ThreadsRun(_) | Step::ThreadsSleep(_) => {
                "a CPU for each of the process's threads"
            }
            Step::RegisterBuffer => "io_uring, and RLIMIT_MEMLOCK for the area",
            Step::ReadPinned => "process_vm_readv (CONFIG_CROSS_MEMORY_ATTACH)",
            Step::WriteDirect => "a file system with O_DIRECT under $TMPDIR",
            Step::WriteInFlight | Step::ReadInFlight => {
                "a file system with O_DIRECT under $TMPDIR; userfaultfd for faults inside the kernel (root)"
            }
            Step::UffdWpUndone | Step::UffdWpClosed => "uffd-wp (Linux 5.7)",
            Step::UffdWpAsync => "uffd-wp async (Linux 6.7)",
            Step::SoftDirty => "soft-dirty (CONFIG_MEM_SOFT_DIRTY)",
            Step::WipeOnFork => "Linux 4.14",
            Step::ChildForksOn => "a second CPU",
            Step::Collapse => {
                "MADV_COLLAPSE (Linux 6.1; of pages that are all read-only, later than 6.12)"
            }
            Step::HalfMoves => "mremap(MREMAP_DONTUNMAP) (Linux 5.7)",
            Step::SwapOut => "free swap space (--tune makes some) and MADV_PAGEOUT (Linux 5.4)",
            Step::Merge => "ksmd running (--tune starts it)",
            _ => "",
        }
    }
}

/// What is timed, page by page unless it says otherwise.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Timed {
    /// A store.
    Store,
    /// process_vm_readv(2) of the page by its own process.
    ReadPin,
    /// pwrite(2) of the page to a file opened with O_DIRECT.
    DirectWrite,
    /// fork(2) with the area less one without it: one signed difference for the whole area, scaled to 2 MiB.
    Fork,
    /// The same by vfork(2), until the parent goes on: the child ends at once.
    Vfork,
    /// munmap(2): one sample for the whole area, scaled to 2 MiB.
    Unmap,
    /// mprotect(2) to read-only and back: one sample for both calls and the whole area, scaled to 2 MiB.
    Protect,
    /// madvise(MADV_POPULATE_WRITE): one sample for the whole area, scaled to 2 MiB.
    Populate,
    /// madvise(MADV_PAGEOUT): one sample for the whole area, scaled to 2 MiB.
    PageOut,
}

impl Timed {
    /// The operation in words.
    pub fn label(self) -> &'static str {
        match self {
            Timed::Store => "stores once to every page",
            Timed::ReadPin => "has every page read by process_vm_readv",
            Timed::DirectWrite => "writes every page to a file with O_DIRECT",
            Timed::Fork => {
                "forks with the area and without it, by turns; the difference is scaled to 2 MiB"
            }
            Timed::Vfork => {
                "makes a child by vfork with the area and without it, by turns; the difference is scaled to 2 MiB"
            }
            Timed::Unmap => "unmaps the area; the time is scaled to 2 MiB",
            Timed::Protect => {
                "makes the area read-only and writable again; the time is scaled to 2 MiB"
            }
            Timed::Populate => {
                "has the area made writable at once (MADV_POPULATE_WRITE); the time is scaled to 2 MiB"
            }
            Timed::PageOut => "has the area swapped out; the time is scaled to 2 MiB",
        }
    }

    /// Whether one operation on the whole area is one sample.
    pub fn is_whole(self) -> bool {
        matches!(
            self,
            Timed::Fork
                | Timed::Vfork
                | Timed::Unmap
                | Timed::Protect
                | Timed::PageOut
                | Timed::Populate
        )
    }
}

/// The order in which the pages of a folio are stored to, folio by folio.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum PageOrder {
    /// The first one first.
    Forwards,
    /// The last one first.
    Backwards,
    /// By a fixed sequence of pseudo-random numbers, the same in every folio, process and run.
    AtRandom,
}

impl PageOrder {
    /// The order in words.
    pub fn label(self) -> &'static str {
        match self {
            PageOrder::Forwards => "forwards",
            PageOrder::Backwards => "backwards",
            PageOrder::AtRandom => "in a fixed pseudo-random order",
        }
    }

    /// The pages of a folio of so many, a power of two, in this order.
    pub fn sequence(self, pages: usize) -> Vec<usize> {
        match self {
            PageOrder::Forwards => (0..pages).collect(),
            PageOrder::Backwards => (0..pages).rev().collect(),
            // A full period by the theorem of Hull and Dobell: 3 is odd, and 5 - 1 is a multiple of 4.
            PageOrder::AtRandom => {
                let next = |&page: &usize| Some((5 * page + 3) % pages);
                std::iter::successors(Some(0), next).take(pages).collect()
            }
        }
    }
}

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

/// One situation: a page state, who stores to it, and what the kernel is expected to do.
#[derive(Clone, Copy, Debug, Serialize, JsonSchema)]
pub struct Scenario {
    /// `group/situation`.
    pub id: &'static str,
    /// The situation in a sentence.
    pub summary: &'static str,
    /// What the kernel runs through, in a sentence.
    pub path: &'static str,
    /// How the page state comes about.
    pub steps: &'static [Step],
    /// Who does what while it is timed.
    pub play: Workload,
    /// The page state that must be proven before they begin.
    pub mapping: Mapping,
    /// The kernels on which the same steps lead to another page state, which must be proven there.
    pub mapping_elsewhere: &'static [Expectation<Mapping>],
    /// What they are expected to come to: of several, the first that holds for the kernel.
    pub expected: &'static [Expectation],
    /// What is timed.
    pub timed: Timed,
    /// What the area is made of.
    pub memory: Memory,
    /// The order in which all 4 KiB pages of each folio are stored to; else the first of each alone.
    pub every_page: Option<PageOrder>,
    /// The fewest pages of which the state can be had.
    pub min_pages: u32,
    /// The most pages of which the state can be had at once.
    pub max_pages: u32,
    /// Whether it is run only where it is asked for by name, so that the whole catalogue stays short.
    pub long: bool,
    /// The law of which it is a point.
    pub point: Option<LawPoint>,
}

impl Scenario {
    /// What most scenarios have in common: the parent stores to anonymous 4 KiB pages.
    pub(crate) const BASE: Scenario = Scenario {
        id: "",
        summary: "",
        path: "",
        steps: &[],
        play: Workload::Stores(Actor::Parent),
        mapping: Mapping::Anon(1),
        mapping_elsewhere: &[],
        expected: &[],
        timed: Timed::Store,
        memory: Memory::Small,
        every_page: None,
        min_pages: 0,
        max_pages: u32::MAX,
        long: false,
        point: None,
    };

    /// The page state that must be proven on `kernel`.
    pub fn mapping_on(&self, kernel: &KernelTraits) -> Mapping {
        expected(self.mapping_elsewhere, kernel).map_or(self.mapping, |one| one.outcomes)
    }

    /// The part of the id before the slash.
    pub fn group(&self) -> &'static str {
        self.id.split('/').next().unwrap_or(self.id)
    }

    /// What is timed, in words.
    pub fn timed_label(&self) -> String {
        let label = self.timed.label();
        match (self.timed, self.every_page) {
            (Timed::Store, None) => format!("{label} (large folios: to the first page of each)"),
            (Timed::Store, Some(order)) => {
                format!("{label}, of large folios too, {}", order.label())
            }
            _ => label.into(),
        }
    }

    /// The process whose threads act on the pages.
    pub fn actor(&self) -> Actor {
        match self.play {
            Workload::Stores(actor) => actor,
            Workload::Race(race) => race.within,
            Workload::Held => Actor::Parent,
        }
    }

    /// The race, if it is one.
    pub fn race(&self) -> Option<&workload::Race> {
        match &self.play {
            Workload::Stores(_) | Workload::Held => None,
            Workload::Race(race) => Some(race),
        }
    }

    /// Whether a living child shares the area when the timing begins.
    pub fn has_child(&self) -> bool {
        let forks = [Step::Fork, Step::ForkUntouched, Step::ForkElsewhere];
        let forked = forks.into_iter().any(|step| self.has(step));
        forked && !self.has(Step::ChildExits) || self.descendants() > 0
    }

    /// The processes besides the parent that [`Step::Descendants`] leads to.
    pub fn descendants(&self) -> u32 {
        let of = self.steps.iter().map(|step| match step {
            Step::Descendants {
                children,
                generations,
            } => children * generations,
            _ => 0,
        });
        of.sum()
    }

    /// Whether pages are swapped out on the way or while it is timed.
    pub fn swaps(&self) -> bool {
        self.has(Step::SwapOut) || self.timed == Timed::PageOut
    }

    /// The VMAs that the steps make of an area of so many pages.
    pub fn vmas(&self, pages: usize) -> usize {
        let split = self.steps.iter().find_map(|step| match step {
            Step::SplitVma => Some(pages),
            Step::SplitInto(parts) => Some(pages.min(*parts as usize)),
            _ => None,
        });
        split.unwrap_or(1)
    }

    /// Whether the set-up contains `step`.
    pub fn has(&self, step: Step) -> bool {
        self.steps.contains(&step)
    }

    /// What the set-up needs of the machine; empty when any Linux will do.
    pub fn needs(&self) -> Vec<&'static str> {
        let race = self.race().map(|race| match race.threads_needed() {
            1 => "",
            2 => "two CPUs",
            _ => "three CPUs",
        });
        let held = (self.play == Workload::Held)
            .then_some("a kernel of scripts/strategy-kernel, and --strategy");
        let steps = self.steps.iter().map(|step| step.needs());
        let timed = match self.timed {
            Timed::PageOut => Some(Step::SwapOut.needs()),
            Timed::Populate => Some("MADV_POPULATE_WRITE (Linux 5.14)"),
            _ => None,
        };
        let needs = steps
            .chain(race)
            .chain(timed)
            .chain(held)
            .chain([self.memory.needs()]);
        needs.filter(|need| !need.is_empty()).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_order_has_every_page_of_a_folio_once() {
        for pages in [1, 2, 4, 16, 256, 512] {
            for order in [
                PageOrder::Forwards,
                PageOrder::Backwards,
                PageOrder::AtRandom,
            ] {
                let mut sequence = order.sequence(pages);
                assert_eq!(order.sequence(pages), sequence, "{order:?} is fixed");
                sequence.sort_unstable();
                assert!(sequence.into_iter().eq(0..pages), "{order:?} of {pages}");
            }
        }
        assert_eq!(PageOrder::AtRandom.sequence(8), [0, 3, 2, 5, 4, 7, 6, 1]);
        assert_eq!(PageOrder::Backwards.sequence(4), [3, 2, 1, 0]);
    }
}
