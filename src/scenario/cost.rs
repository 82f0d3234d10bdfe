//! What fork, unmapping and protecting cost by folio size: what the reuse strategies trade against the cost of a
//! fault. Each sample is one operation on the whole area, scaled to 2 MiB of memory (512 pages of
//! 4 KiB), so that folio sizes compare.

use super::{Mapping, Scenario, Step, Timed};
use crate::memory::backing::Memory;
use crate::record::outcome::Outcome::Operation;
use crate::scenario::expectation::{Basis, Expectation};

/// A quarter of the VMAs that a process may have (vm.max_map_count, 65,530 unless it was set).
const MOST_VMAS: u32 = 16_384;

const BASE: Scenario = Scenario {
    memory: Memory::Every,
    expected: &[Expectation::any_of(
        &[Operation],
        Basis::Construction("a time, not a decision"),
    )],
    ..Scenario::BASE
};

pub(super) const SCENARIOS: &[Scenario] = &[
    Scenario {
        id: "cost/fork",
        summary: "fork of a process that has the pages mapped, over fork without them",
        path: "dup_mmap() -> copy_page_range(), for a PMD copy_huge_pmd(): references and mapcounts taken, PTEs write-protected",
        steps: &[Step::Fill],
        mapping: Mapping::Folio(1),
        timed: Timed::Fork,
        ..BASE
    },
    Scenario {
        id: "cost/fork-again",
        summary: "fork of a process whose pages a living child shares already",
        path: "dup_mmap() -> copy_page_range(), for a PMD copy_huge_pmd(): the PTEs are write-protected already",
        steps: &[Step::Fill, Step::Fork],
        mapping: Mapping::Folio(2),
        timed: Timed::Fork,
        ..BASE
    },
    Scenario {
        id: "cost/fork-vmas",
        summary: "as fork, but every page is a VMA of its own; over fork, what so many VMAs cost",
        path: "dup_mmap(): of each VMA vm_area_dup(), anon_vma_fork() and copy_page_range(); from 6.8 on the tree of VMAs is copied as a whole, __mt_dup()",
        steps: &[Step::Fill, Step::SplitVma],
        timed: Timed::Fork,
        memory: Memory::Small,
        max_pages: MOST_VMAS,
        ..BASE
    },
    Scenario {
        id: "cost/fork-pinned",
        summary: "as fork, but the pages are an io_uring fixed buffer: pinned for long, so that fork copies each for the child",
        path: "dup_mmap() -> copy_page_range(): copy_present_page() of what may be pinned (5.10 and later)",
        steps: &[Step::Fill, Step::RegisterBuffer],
        timed: Timed::Fork,
        memory: Memory::Small,
        ..BASE
    },
    Scenario {
        id: "cost/vfork",
        summary: "vfork of a process that has the pages mapped, over vfork without them",
        path: "kernel_clone() with CLONE_VM | CLONE_VFORK: the child runs in this address space, no page is looked at",
        steps: &[Step::Fill],
        mapping: Mapping::Folio(1),
        timed: Timed::Vfork,
        ..BASE
    },
    Scenario {
        id: "cost/unmap-shared",
        summary: "munmap of pages that a living child shares: mappings go, pages stay",
        path: "zap_pte_range() (a PMD: zap_huge_pmd(); hugetlb: __unmap_hugepage_range()): mapcounts and references dropped",
        steps: &[Step::Fill, Step::Fork],
        mapping: Mapping::Folio(2),
        timed: Timed::Unmap,
        ..BASE
    },
    Scenario {
        id: "cost/unmap-last",
        summary: "munmap of pages of one's own: mappings go and the pages are freed",
        path: "zap_pte_range() (a PMD: zap_huge_pmd(); hugetlb: __unmap_hugepage_range()), then the pages are freed in batches",
        steps: &[Step::Fill],
        mapping: Mapping::Folio(1),
        timed: Timed::Unmap,
        ..BASE
    },
    Scenario {
        id: "cost/populate-fill",
        summary: "MADV_POPULATE_WRITE of untouched pages: over 512 × touch/zero-fill, what is saved by one call",
        path: "madvise_populate() -> faultin_page_range() -> handle_mm_fault() for each page: no exception, no return to user space",
        steps: &[],
        mapping: Mapping::None,
        timed: Timed::Populate,
        memory: Memory::Small,
        long: true,
        ..BASE
    },
    Scenario {
        id: "cost/populate-reuse",
        summary: "MADV_POPULATE_WRITE of pages that a child shared, which has exited: over 512 × reuse/child-exited, what is saved",
        path: "as cost/populate-fill; do_wp_page() -> wp_page_reuse() of each page",
        steps: &[Step::Fill, Step::Fork, Step::ChildExits],
        timed: Timed::Populate,
        memory: Memory::Small,
        ..BASE
    },
    Scenario {
        id: "cost/populate-copy",
        summary: "MADV_POPULATE_WRITE of pages that a living child shares: over 512 × copy/child-alive, what is saved",
        path: "as cost/populate-fill; do_wp_page() -> wp_page_copy() of each page",
        steps: &[Step::Fill, Step::Fork],
        mapping: Mapping::Anon(2),
        timed: Timed::Populate,
        memory: Memory::Small,
        long: true,
        ..BASE
    },
    Scenario {
        id: "cost/mprotect",
        summary: "mprotect of dirty pages of one's own, to read-only and back",
        path: "change_protection() -> change_pte_range() (a PMD: change_huge_pmd(); hugetlb: hugetlb_change_protection()), once for each call",
        steps: &[Step::Fill],
        mapping: Mapping::Folio(1),
        timed: Timed::Protect,
        ..BASE
    },
    Scenario {
        id: "cost/mprotect-shared",
        summary: "mprotect of dirty pages of shared anonymous memory, to read-only and back",
        path: "change_protection() -> change_pte_range(): pages of shared memory, whose entries are made writable by another test than private ones",
        steps: &[Step::Fill],
        mapping: Mapping::Shared,
        timed: Timed::Protect,
        memory: Memory::SharedAnonymous,
        ..BASE
    },
];
