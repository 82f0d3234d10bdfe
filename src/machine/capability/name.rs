//! What a scenario or an instrument can need.

use serde::Serialize;

pub use crate::sys::missing::Missing;

/// Something that a scenario or an instrument can need.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Capability {
    /// Frame numbers in /proc/self/pagemap.
    Pfn,
    /// Map counts in /proc/kpagecount.
    PageCounts,
    /// Page flags in /proc/kpageflags.
    PageFlags,
    /// Perf's software events, kernel side included.
    SoftwareEvents,
    /// Cycles counted by hardware, kernel side included.
    Pmu,
    /// tracefs readable, mounted or not.
    Tracefs,
    /// Counting the tracepoint kmem:mm_page_alloc.
    TracepointPageAlloc,
    /// Counting the tracepoint kmem:mm_page_free.
    TracepointPageFree,
    /// Counting the tracepoint exceptions:page_fault_user (x86-64).
    TracepointPageFault,
    /// Kprobes through perf.
    Kprobes,
    /// A userfaultfd, at least for faults from user mode.
    Uffd,
    /// A userfaultfd that also handles faults taken inside the kernel.
    UffdKernelFaults,
    /// Userfaultfd write-protection.
    UffdWp,
    /// Userfaultfd write-protection that the kernel resolves itself.
    UffdWpAsync,
    /// Soft-dirty tracking that really sets and clears the bit.
    SoftDirty,
    /// io_uring.
    IoUring,
    /// vmsplice of own memory into a pipe.
    Vmsplice,
    /// process_vm_readv of a process of the same user.
    ProcessVmReadv,
    /// KSM present and merging.
    Ksm,
    /// Transparent huge pages on request or always.
    Thp,
    /// At least one folio size between a page and a PMD on request or always.
    Mthp,
    /// Swap space.
    Swap,
    /// A free huge page in hugetlb's pool.
    Hugetlb,
    /// Per-task count of finished copies: taskstats with delay accounting.
    CopyAccounting,
}

impl Capability {
    /// Every capability, in the order in which they are shown.
    pub const ALL: [Self; 24] = [
        Self::Pfn,
        Self::PageCounts,
        Self::PageFlags,
        Self::SoftwareEvents,
        Self::Pmu,
        Self::Tracefs,
        Self::TracepointPageAlloc,
        Self::TracepointPageFree,
        Self::TracepointPageFault,
        Self::Kprobes,
        Self::Uffd,
        Self::UffdKernelFaults,
        Self::UffdWp,
        Self::UffdWpAsync,
        Self::SoftDirty,
        Self::IoUring,
        Self::Vmsplice,
        Self::ProcessVmReadv,
        Self::Ksm,
        Self::Thp,
        Self::Mthp,
        Self::Swap,
        Self::Hugetlb,
        Self::CopyAccounting,
    ];

    /// The name in audits and messages, such as `pfn-visibility`.
    pub fn name(self) -> &'static str {
        match self {
            Self::Pfn => "pfn-visibility",
            Self::PageCounts => "page-counts",
            Self::PageFlags => "page-flags",
            Self::SoftwareEvents => "software-events",
            Self::Pmu => "pmu",
            Self::Tracefs => "tracefs",
            Self::TracepointPageAlloc => "tracepoint-mm_page_alloc",
            Self::TracepointPageFree => "tracepoint-mm_page_free",
            Self::TracepointPageFault => "tracepoint-page_fault_user",
            Self::Kprobes => "kprobes",
            Self::Uffd => "uffd",
            Self::UffdKernelFaults => "uffd-kernel-faults",
            Self::UffdWp => "uffd-wp",
            Self::UffdWpAsync => "uffd-wp-async",
            Self::SoftDirty => "soft-dirty",
            Self::IoUring => "io-uring",
            Self::Vmsplice => "vmsplice",
            Self::ProcessVmReadv => "process-vm-readv",
            Self::Ksm => "ksm",
            Self::Thp => "thp",
            Self::Mthp => "mthp",
            Self::Swap => "swap",
            Self::Hugetlb => "hugetlb",
            Self::CopyAccounting => "copy-accounting",
        }
    }
}

impl Serialize for Capability {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.name())
    }
}

/// What a probe came to: what was found, or what is missing.
pub type Probe = Result<String, Missing>;
