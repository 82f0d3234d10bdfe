//! The steps on the way to a page state.

use schemars::JsonSchema;
use serde::Serialize;

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
    /// The child, and of several each, drops its mapping by `madvise(MADV_DONTNEED)`; the parent has the page alone.
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
