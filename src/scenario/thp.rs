//! Folios of a PMD's size, mapped by one PMD or by PTEs. The first store to each folio is timed: it
//! is the decision; what follows depends on it, and is timed where every page is stored to.

use super::workload::{Actor, Workload};
use super::{Mapping, PageOrder, Scenario, Step};
use crate::memory::backing::Memory;
use crate::record::outcome::Outcome::{Copy, Fill, NoFault, Reuse};
use crate::record::rule::PinRule;
use crate::scenario::expectation::{Basis, Expectation, FLAG, NEVER_REUSED, Rules, last_user, own};
use crate::scenario::protect::{writable_again, writable_again_if_referenced};
use crate::scenario::source::MPROTECT_THEN_COPIED;

/// Reused by mapcount and by mm-id, copied in between.
pub const PTE_MAPPED_CHILD_EXITED: &str = "thp/pte-mapped-child-exited";
/// All that a folio costs that a living child shares, not the first store alone.
pub const EVERY_PAGE: &str = "thp/every-page-child-alive";
/// Reused by mapcount alone.
pub const PTE_MAPPED_VMSPLICE: &str = "thp/pte-mapped-vmsplice-then-fork";

const SPLIT_COPY: &str = "do_huge_pmd_wp_page(): more than one reference (up to 5.17: mapping) -> split the PMD -> do_wp_page() -> wp_page_copy() of one page";
pub(super) const SPLIT_THEN_COPIES: &str = "do_huge_pmd_wp_page(): the first store splits the PMD; then, and for each that follows, do_wp_page() -> wp_page_copy() of one page";
pub(super) const BY_PMD: &str =
    "do_huge_pmd_wp_page(): one reference (up to 5.17: one mapping) -> the PMD is made writable";
const WHOLE: &str = "do_wp_page(): refcount of the whole folio is not one -> wp_page_copy() (5.9 to 6.14); all of it is ours -> wp_page_reuse() (6.15)";

/// The first store allocates a zeroed huge folio, maps it by one PMD, and copies nothing.
const FILLED: Basis = Basis::Source(
    "mm/huge_memory.c: __do_huge_pmd_anonymous_page() in 5.8.1 (line 586), 5.10.223 (581), 6.1.192 (671), 6.12.107 (1155), \
     7.2.13 (1423), 7.3.4 (1424)",
);
/// do_huge_pmd_wp_page() either splits the zero folio's PMD, whose PTEs map the zero page, which wp_page_copy() replaces, or
/// maps a new huge folio: do_huge_zero_wp_pmd(). Either way the frame is another one.
const ZERO_FOLIO: Basis = Basis::Source(
    "mm/huge_memory.c: do_huge_pmd_wp_page() and __split_huge_zero_page_pmd() in 5.8.1 (lines 1255, 1979), 5.10.223 (1271, \
     1992), 6.1.192 (1323, 2040), 6.12.107 (1781, 2633); do_huge_zero_wp_pmd() in 7.2.13 (2128), 7.3.4 (2135)",
);
/// Two mappings, each with a reference: neither mapcount nor refcount is one, fork has cleared the exclusive flag, and the PMD
/// is split. What PTEs map of the folio is still referred to by the other process, so that do_wp_page() copies it.
const SHARED: Basis = Basis::Source(
    "mm/huge_memory.c: do_huge_pmd_wp_page() in 5.8.1 (line 1255), 5.10.223 (1271), 6.1.192 (1323), 6.12.107 (1781), 7.2.13 \
     (2160), 7.3.4 (2167); copy_huge_pmd() in 5.10.223 (1013), 6.1.192 (1094), 6.12.107 (1581), 7.2.13 (1949), 7.3.4 (1950); \
     mm/memory.c: do_wp_page() in 5.8.1 (2895), 5.10.223 (3120), 6.1.192 (3403), 6.12.107 (3656), 7.2.13 (4245), 7.3.4 (4381)",
);
/// The first store to a folio is as in [`SHARED`]: the PMD is split, and one page copied. It leaves the other entries of the
/// folio as read-only as the PMD was, and the child maps those pages still: no rule reuses one, and each is copied by itself.
pub(super) const SHARED_PARTS: Basis = Basis::Source(
    "3917c80280c9 (5.8): do_huge_pmd_wp_page() splits the PMD and falls back, mm/huge_memory.c, so in 5.8.1 (line 1255), \
     5.10.262 (1271), 6.1.192 (1323), 6.12.118 (1818), 7.2.13 (2160); mm/memory.c: do_wp_page() in 5.8.1 (2895), 5.10.262 \
     (3148), 6.1.192 (3403), 6.12.118 (3665), 7.2.13 (4245); wp_can_reuse_anon_folio() in 6.12.118 (3595); \
     __wp_can_reuse_large_anon_folio() in 7.2.13 (4109); wp_page_copy() in 5.8.1 (2640), 5.10.262 (2893), 6.1.192 (3129), \
     6.12.118 (3339), 7.2.13 (3854)",
);
/// The other mapping and its reference are gone: reuse_swap_page() counts one mapping (up to 5.17), folio_ref_count() is one
/// (5.18), and the PMD is made writable.
pub(super) const LAST_PMD: Basis = Basis::Source(
    "mm/huge_memory.c: do_huge_pmd_wp_page() in 5.8.1 (line 1255), 5.10.223 (1271), 5.17.0 (1283), 6.1.192 (1323), 6.12.107 \
     (1781), 7.2.13 (2160), 7.3.4 (2167)",
);
/// Soft-dirty tracking takes the write bit of the PMD and leaves it whole. The page is PageAnonExclusive (5.19), before that
/// mapped and referred to once, and the PMD is made writable.
const PROTECTED_PMD: Basis = Basis::Source(
    "fs/proc/task_mmu.c: clear_soft_dirty_pmd() in 5.10.223 (line 1105), 6.1.192 (1132), 6.12.107 (1436), 7.2.13 (1735), \
     7.3.4 (1738); mm/huge_memory.c: do_huge_pmd_wp_page() in 5.8.1 (1255), 5.10.223 (1271), 6.1.192 (1323), 6.12.107 (1781), \
     7.2.13 (2160), 7.3.4 (2167)",
);
/// The pin faults as a store does, which leaves the folio, or a copy of its page, mapped writable: the store finds it so.
const PINNED_BY_STORING: Basis = Basis::Source(
    "mm/gup.c: should_force_cow_break() in 5.4.286 (line 177), 5.8.1 (397), which earlier kernels do not have; \
     mm/huge_memory.c: do_huge_pmd_wp_page() in 5.4.286 (1317), 5.8.1 (1255)",
);
/// A read-only pin of what is not exclusive is refused with EMLINK, and FAULT_FLAG_UNSHARE marks a folio that is referred to
/// once exclusive without touching its PMD. The store then asks for no more than that mark. Without the flag, as where
/// mappings are counted.
const MARKED_PMD: Basis = Basis::Source(
    "mm/huge_memory.c: follow_trans_huge_pmd() in 6.1.192 (line 1450); mm/gup.c: follow_huge_pmd() in 6.12.107 (718), 7.2.13 \
     (701), 7.3.4 (701); mm/huge_memory.c: do_huge_pmd_wp_page() in 5.10.223 (1271), 6.1.192 (1323), 6.12.107 (1781), 7.2.13 \
     (2160), 7.3.4 (2167)",
);
/// Where mappings are counted, a pipe's reference does not count.
const PMD_BY_MAPCOUNT: Basis = Basis::Source(
    "reuse_swap_page() asked by do_huge_pmd_wp_page(), mm/huge_memory.c: 5.8.1 (line 1255), 5.10.223 (1271), 5.17.0 (1283); \
     3bff7e3f1f16 (5.18) counts references; scripts/strategy-kernel/patches: cow_sole_mapping() for 6.12 and 7.2",
);
/// Where references are counted, a pipe's is one more than the mapping's: the PMD is split, and do_wp_page() finds the folio's
/// references to be more than one (6.1), the folio large (6.12), or more references than mappings (7.2).
const PMD_BY_REFCOUNT: Basis = Basis::Source(
    "mm/huge_memory.c: do_huge_pmd_wp_page() of 3bff7e3f1f16 (5.18), in 6.1.192 (line 1323), 6.12.107 (1781), 7.2.13 (2160), \
     7.3.4 (2167); mm/memory.c: do_wp_page() in 6.1.192 (3403), wp_can_reuse_anon_folio() in 6.12.107 (3586), \
     __wp_can_reuse_large_anon_folio() in 7.2.13 (4109), 7.3.4 (4241); fs/splice.c: iter_to_pipe(), which takes references",
);
/// A living child maps the page too, so that its mapcount is two and the folio has references beyond one mapper's: each rule
/// copies, the mm-id too, since two address spaces are known of the folio.
pub(super) const PTE_SHARED: Basis = Basis::Source(
    "mm/memory.c: do_wp_page() in 5.8.1 (line 2895), 5.10.223 (3120), 6.1.192 (3403), 6.12.107 (3656), 7.2.13 (4245), 7.3.4 \
     (4381); wp_can_reuse_anon_folio() in 6.12.107 (3586); __wp_can_reuse_large_anon_folio() in 7.2.13 (4109), 7.3.4 (4241)",
);
/// reuse_swap_page() asks for the mappings of the one page, which is mapped once (up to 5.8). From 5.9 on the references of the
/// whole folio must be one, and each PTE that maps a part of it has one; from 6.9 on no part of a large folio is reused.
pub(super) const PARTS: Basis = Basis::Source(
    "mm/swapfile.c: page_trans_huge_map_swapcount() in 5.8.1 (line 1618), 5.10.223 (1646); mm/memory.c: do_wp_page() in 5.8.1 \
     (2895), 5.10.223 (3120), 6.1.192 (3403), wp_can_reuse_anon_folio() in 6.12.107 (3586); scripts/strategy-kernel/patches: \
     wp_reuse_by_rule() for 6.12 and 7.2 leaves large folios out",
);
/// As [`PARTS`]; and a pipe's reference is one that no mapping accounts for, so that the mm-id does not reuse either.
pub(super) const PARTS_IN_A_PIPE: Basis = Basis::Source(
    "mm/swapfile.c: page_trans_huge_map_swapcount() in 5.8.1 (line 1618), 5.10.223 (1646); mm/memory.c: do_wp_page() in 5.8.1 \
     (2895), 5.10.223 (3120), 6.1.192 (3403), wp_can_reuse_anon_folio() in 6.12.107 (3586), \
     __wp_can_reuse_large_anon_folio() in 7.2.13 (4109), 7.3.4 (4241)",
);
/// Every reference is a mapping's and the child's exit has left one address space: folio_sub_return_large_mapcount() clears the
/// shared bit.
pub(super) const MM_ID: Basis = Basis::Source(
    "1da190f4d0a6 (6.15); mm/memory.c: __wp_can_reuse_large_anon_folio() in 7.2.13 (line 4109), 7.3.4 (4241); \
     include/linux/rmap.h: folio_sub_return_large_mapcount() in 7.2.13 (227), 7.3.4 (227)",
);
/// No part of a large folio is reused, so that the folio can be freed sooner; the mm-id leaves that so for one page.
pub(super) const NO_PART: Basis = Basis::Source(
    "cd197c3a2040 (6.9): wp_can_reuse_anon_folio() reuses no part of a large folio, mm/memory.c, so in 6.12.107 (line 3586); \
     __wp_can_reuse_large_anon_folio() where one page is mapped in 7.2.13 (4109), 7.3.4 (4241)",
);
/// One mapping is left, with the one reference that the folio has.
const ONE_PAGE_LEFT: Basis = Basis::Source(
    "mm/memory.c: do_wp_page() in 5.8.1 (line 2895), 5.10.223 (3120), 6.1.192 (3403), 6.5.0 (3338)",
);

/// Fork splits the PMD of a folio that may be pinned, and then copies each of its pages for the child as it does a small one.
const PINNED_PMD: Basis = Basis::Source(
    "mm/huge_memory.c: copy_huge_pmd() in 5.10.223 (line 1013), 6.1.192 (1094), 6.12.107 (1581), 7.2.13 (1949), 7.3.4 (1950); \
     mm/memory.c: copy_present_page() in 5.10.223 (798), 6.1.192 (911), 6.12.107 (915), 7.2.13 (1063), 7.3.4 (1122)",
);

/// Up to 6.1 mprotect leaves a PMD read-only. What is mapped once (up to 5.17), or marked exclusive, is then made writable.
const PMD_LEFT: Basis = Basis::Source(
    "mm/huge_memory.c: change_huge_pmd() in 5.10.262 (line 1795), do_huge_pmd_wp_page() in 5.8.1 (1255), 5.10.262 (1271), 6.1.192 \
     (1323); c27f479ef542 (6.2) restores the write bit",
);
/// From 6.2 on mprotect restores the write bit of a PMD whose page is marked exclusive, as of a PTE's.
const PMD_RESTORED: Basis = Basis::Source(
    "c27f479ef542 (6.2); mm/huge_memory.c: change_huge_pmd() and can_change_pmd_writable() in 6.12.118 (lines 2260, 1905)",
);
/// Fork has taken the exclusive mark, so that mprotect leaves the PMD read-only, and two mappings have it split.
const PMD_NOT_EXCLUSIVE: Basis = Basis::Source(
    "mm/huge_memory.c: change_huge_pmd() in 5.10.262 (line 1795), 6.12.118 (2260), can_change_pmd_writable() in 6.12.118 (1905), \
     do_huge_pmd_wp_page() in 5.10.262 (1271), 6.12.118 (1818)",
);
/// mprotect leaves PTEs read-only up to 5.19. page_count() is that of the whole folio, which each PTE that maps a part of it adds to;
/// by mapcount the most that any part is mapped counts, which is once.
const PARTS_LEFT: Basis = Basis::Source(
    "mm/mprotect.c: change_pte_range() in 5.10.262 (line 38); mm/memory.c: do_wp_page() in 5.8.1 (2895), 5.10.262 (3148); \
     mm/huge_memory.c: page_trans_huge_mapcount() in 5.10.262 (2583)",
);

/// A new folio is allocated, the pages are copied into it, and it is mapped as exclusive and, where the VMA allows it, writable.
const COLLAPSED: Basis = Basis::Source(
    "MADV_COLLAPSE of 7d8faaf15545 (6.1); mm/khugepaged.c: collapse_huge_page() in 6.12.118 (line 1094)",
);

const BASE: Scenario = Scenario {
    memory: Memory::Thp,
    mapping: Mapping::Folio(1),
    ..Scenario::BASE
};

/// As [`PARTS`]; and every reference is a mapping's of the one address space that is left, in which the other's share of the
/// mappings is taken off when it drops them.
pub(super) const MM_ID_OF_WHO_IS_LEFT: Basis = Basis::Source(
    "1da190f4d0a6 (6.15); mm/memory.c: __wp_can_reuse_large_anon_folio() in 7.2.13 (line 4109), 7.3.4 (4241); \
     include/linux/rmap.h: folio_sub_return_large_mapcount() in 7.2.13 (227), 7.3.4 (227)",
);
/// By mapcount the most that any part of the folio is mapped counts, and the other process maps the second half too. Its mappings are
/// references of the same folio, and by mm-id the folio is known to two address spaces.
pub(super) const HALF_SHARED: Basis = Basis::Source(
    "mm/huge_memory.c: page_trans_huge_mapcount() in 5.10.262 (line 2583), which takes the maximum over the folio's pages; \
     mm/memory.c: do_wp_page() in 5.8.1 (2895), 5.10.262 (3148), wp_can_reuse_anon_folio() in 6.12.118 (3595), \
     __wp_can_reuse_large_anon_folio() in 7.2.13 (4109), 7.3.4 (4241)",
);

/// Reused by mapcount and by mm-id. What PTEs map of large folios does not come under the rules of a newer kernel, but for
/// that which reuses nothing.
pub(super) const fn whole_folio(basis: Basis) -> [Expectation; 5] {
    whole_folio_by(basis, MM_ID)
}

/// The same, for that reason by mm-id.
pub(super) const fn whole_folio_by(basis: Basis, mm_id: Basis) -> [Expectation; 5] {
    let [own, switched, any] = by_mapcount_alone(basis);
    let mm_id = Expectation::any_of(&[Reuse], mm_id).since((6, 15));
    [NEVER_REUSED, mm_id, own, switched, any]
}

/// Reused up to 6.8.
pub(super) const fn one_page_left() -> [Expectation; 3] {
    [
        NEVER_REUSED,
        Expectation::any_of(&[Copy], NO_PART).since((6, 9)),
        Expectation::any_of(&[Reuse], ONE_PAGE_LEFT),
    ]
}

/// Reused by the mapcount rule alone, and not by a newer kernel that was switched to it.
pub(super) const fn by_mapcount_alone(basis: Basis) -> [Expectation; 3] {
    let reuse = Expectation::any_of(&[Reuse], basis);
    [
        reuse.under(Rules::OWN_MAPCOUNT),
        reuse.under(Rules::SWITCHED_TO_MAPCOUNT).before(FLAG),
        Expectation::any_of(&[Copy], basis),
    ]
}

pub(super) const SCENARIOS: &[Scenario] = &[
    Scenario {
        id: "thp/zero-fill",
        summary: "the first store to a huge page's range",
        path: "do_huge_pmd_anonymous_page() allocates a zeroed folio",
        steps: &[],
        mapping: Mapping::None,
        expected: &[Expectation::any_of(&[Fill], FILLED)],
        ..BASE
    },
    Scenario {
        id: "thp/zero-folio",
        summary: "the range was read first, so it maps the huge zero folio",
        path: "do_huge_pmd_wp_page() of the zero folio: a new huge folio (6.13 and later) or a split and one new page",
        steps: &[Step::Read],
        mapping: Mapping::HugeZero,
        expected: &[Expectation::any_of(&[Copy], ZERO_FOLIO)],
        ..BASE
    },
    Scenario {
        id: "thp/child-alive",
        summary: "a living child shares the PMD-mapped folio",
        path: SPLIT_COPY,
        steps: &[Step::Fill, Step::Fork],
        mapping: Mapping::Folio(2),
        expected: &[Expectation::any_of(&[Copy], SHARED)],
        ..BASE
    },
    Scenario {
        id: EVERY_PAGE,
        summary: "a living child shares the PMD-mapped folio, and every page of it is stored to: what a forked snapshot costs its parent",
        path: SPLIT_THEN_COPIES,
        steps: &[Step::Fill, Step::Fork],
        mapping: Mapping::Folio(2),
        every_page: Some(PageOrder::Forwards),
        expected: &[Expectation::any_of(&[Copy], SHARED_PARTS)],
        ..BASE
    },
    Scenario {
        id: "thp/in-child",
        summary: "the living parent shares the PMD-mapped folio; the child stores",
        path: SPLIT_COPY,
        steps: &[Step::Fill, Step::Fork],
        play: Workload::Stores(Actor::Child),
        mapping: Mapping::Folio(2),
        expected: &[Expectation::any_of(&[Copy], SHARED)],
        ..BASE
    },
    Scenario {
        id: "thp/child-exited",
        summary: "a child shared the PMD-mapped folio and has exited",
        path: BY_PMD,
        steps: &[Step::Fill, Step::Fork, Step::ChildExits],
        expected: &last_user(LAST_PMD),
        ..BASE
    },
    Scenario {
        id: "thp/exclusive",
        summary: "a PMD-mapped folio of one's own was write-protected in place",
        path: "do_huge_pmd_wp_page(): PageAnonExclusive (5.19 and later), one reference (5.18) or one mapping (up to 5.17) -> the PMD is made writable",
        steps: &[Step::Fill, Step::WriteProtect],
        expected: &own(PROTECTED_PMD),
        ..BASE
    },
    Scenario {
        id: "thp/mprotect",
        summary: "a PMD-mapped folio of one's own was made read-only by mprotect and writable again",
        path: "none: change_huge_pmd() has restored the PMD's write bit (6.2 and later); else do_huge_pmd_wp_page() -> the PMD is made writable",
        steps: &[Step::Fill, Step::MprotectRoRw],
        expected: &writable_again(PMD_LEFT, PMD_RESTORED, (6, 2)),
        ..BASE
    },
    Scenario {
        id: "thp/prot-none",
        summary: "a PMD-mapped folio of one's own was made inaccessible by mprotect and writable again",
        path: "none: change_huge_pmd() has restored the PMD's write bit (6.2 and later); else do_huge_pmd_wp_page() -> the PMD is made writable",
        steps: &[Step::Fill, Step::ProtNoneAndBack],
        expected: &writable_again(PMD_LEFT, PMD_RESTORED, (6, 2)),
        long: true,
        ..BASE
    },
    Scenario {
        id: "thp/pte-mapped-mprotect",
        summary: "a folio of one's own, which PTEs map, was made read-only by mprotect and writable again",
        path: "none: change_pte_range() has restored the write bit (6.0 and later); do_wp_page() -> wp_page_reuse() (up to 5.8), wp_page_copy(), since each of its 512 mappings is a reference (5.9 to 5.18)",
        steps: &[Step::Fill, Step::PteMap, Step::MprotectRoRw],
        mapping: Mapping::PteMapped(1),
        expected: &writable_again_if_referenced(PARTS_LEFT, PARTS_LEFT),
        ..BASE
    },
    Scenario {
        id: "thp/mprotect-child-alive",
        summary: "a living child shares the PMD-mapped folio; mprotect read-only and writable",
        path: "not marked exclusive, so mprotect leaves the PMD read-only: do_huge_pmd_wp_page() splits it -> do_wp_page() -> wp_page_copy() of one page",
        steps: &[Step::Fill, Step::Fork, Step::MprotectRoRw],
        mapping: Mapping::Folio(2),
        expected: &[Expectation::any_of(&[Copy], PMD_NOT_EXCLUSIVE)],
        long: true,
        ..BASE
    },
    Scenario {
        id: "thp/pte-mapped-mprotect-child-alive",
        summary: "a living child shares the folio, which PTEs map; mprotect read-only and writable",
        path: "not marked exclusive, so mprotect leaves the PTEs read-only: do_wp_page() -> wp_page_copy() of one page",
        steps: &[Step::Fill, Step::PteMap, Step::Fork, Step::MprotectRoRw],
        mapping: Mapping::PteMapped(2),
        expected: &[Expectation::any_of(&[Copy], MPROTECT_THEN_COPIED)],
        long: true,
        ..BASE
    },
    Scenario {
        id: "thp/marked-exclusive",
        summary: "a child shared the PMD-mapped folio and has exited, a read-only pin marked it exclusive, its first page sits in a pipe",
        path: "do_huge_pmd_wp_page(): PageAnonExclusive, whatever refers to the folio -> the PMD is made writable (5.19 and later; up to 5.17 for its one mapping)",
        steps: &[
            Step::Fill,
            Step::Fork,
            Step::ChildExits,
            Step::ReadPinned,
            Step::Vmsplice,
        ],
        expected: &[
            Expectation::any_of(&[NoFault], PINNED_BY_STORING).pins(&[PinRule::BreaksCow]),
            NEVER_REUSED.before(FLAG),
            Expectation::any_of(&[Reuse], PMD_BY_MAPCOUNT).under(Rules::OWN_MAPCOUNT),
            Expectation::any_of(&[Reuse], PMD_BY_MAPCOUNT)
                .under(Rules::OWN_REFCOUNT)
                .before((5, 18)),
            Expectation::any_of(&[Copy], PMD_BY_REFCOUNT).under(Rules::REFCOUNT),
            Expectation::any_of(&[Reuse], MARKED_PMD)
                .under(Rules::EXCLUSIVE.or(Rules::SWITCHED_TO_MAPCOUNT)),
        ],
        ..BASE
    },
    Scenario {
        id: "thp/vmsplice-then-fork",
        summary: "the folio's first page sits in a pipe; a child shared the folio and has exited",
        path: "do_huge_pmd_wp_page(): the pipe's reference counts (5.18 and later) -> split -> wp_page_copy(); one mapping -> the PMD is made writable (up to 5.17)",
        steps: &[Step::Fill, Step::Vmsplice, Step::Fork, Step::ChildExits],
        expected: &[
            Expectation::any_of(&[Reuse], PMD_BY_MAPCOUNT).under(Rules::MAPCOUNT),
            Expectation::any_of(&[Reuse], PMD_BY_MAPCOUNT)
                .under(Rules::OWN)
                .before((5, 18)),
            Expectation::any_of(&[Copy], PMD_BY_REFCOUNT),
        ],
        ..BASE
    },
    Scenario {
        id: "thp/pte-mapped-child-alive",
        summary: "a living child shares the folio, which PTEs map",
        path: "do_wp_page() -> wp_page_copy() of one page",
        steps: &[Step::Fill, Step::PteMap, Step::Fork],
        mapping: Mapping::PteMapped(2),
        expected: &[Expectation::any_of(&[Copy], PTE_SHARED)],
        ..BASE
    },
    Scenario {
        id: PTE_MAPPED_CHILD_EXITED,
        summary: "a child shared the folio, which PTEs map, and has exited",
        path: WHOLE,
        steps: &[Step::Fill, Step::PteMap, Step::Fork, Step::ChildExits],
        mapping: Mapping::PteMapped(1),
        expected: &whole_folio(PARTS),
        ..BASE
    },
    Scenario {
        id: "thp/last-mapper",
        summary: "a child shares the PMD-mapped folio, and the parent has dropped it; the child stores",
        path: BY_PMD,
        steps: &[Step::Fill, Step::Fork, Step::ParentDrops],
        play: Workload::Stores(Actor::Child),
        expected: &last_user(LAST_PMD),
        long: true,
        ..BASE
    },
    Scenario {
        id: "thp/pte-mapped-last-mapper",
        summary: "a child shares the folio, which PTEs map, and the parent has dropped it; the child stores",
        path: WHOLE,
        steps: &[Step::Fill, Step::PteMap, Step::Fork, Step::ParentDrops],
        play: Workload::Stores(Actor::Child),
        mapping: Mapping::PteMapped(1),
        expected: &whole_folio_by(PARTS, MM_ID_OF_WHO_IS_LEFT),
        ..BASE
    },
    Scenario {
        id: "thp/pte-mapped-child-dropped",
        summary: "a living child shared the folio, which PTEs map, and has dropped it",
        path: WHOLE,
        steps: &[Step::Fill, Step::PteMap, Step::Fork, Step::ChildDrops],
        mapping: Mapping::PteMapped(1),
        expected: &whole_folio_by(PARTS, MM_ID_OF_WHO_IS_LEFT),
        long: true,
        ..BASE
    },
    Scenario {
        id: "thp/pte-mapped-child-dropped-half",
        summary: "a living child shares the second half of the folio, which PTEs map, and has dropped the first, which is stored to",
        path: "do_wp_page(): mappings of any part of the folio are references of the whole -> wp_page_copy() of a page that nobody else maps",
        steps: &[Step::Fill, Step::PteMap, Step::Fork, Step::ChildDropsHalf],
        mapping: Mapping::HalfShared,
        expected: &[Expectation::any_of(&[Copy], HALF_SHARED)],
        long: true,
        ..BASE
    },
    Scenario {
        id: "thp/io-uring-then-fork",
        summary: "the folio is an io_uring buffer; a child was forked afterwards and lives",
        path: "none: fork splits a PMD whose folio may be pinned and copies its pages for the child at once, so the parent's stay writable",
        steps: &[Step::Fill, Step::RegisterBuffer, Step::Fork],
        mapping: Mapping::PteMapped(1),
        mapping_elsewhere: &[Expectation::of(
            Mapping::Folio(2),
            Basis::Reasoned("as extra-ref/io-uring-then-fork"),
        )
        .under(Rules::OWN_MAPCOUNT)],
        expected: &[
            Expectation::any_of(&[Copy], Basis::Reasoned("as extra-ref/io-uring-then-fork"))
                .under(Rules::OWN_MAPCOUNT),
            Expectation::any_of(&[NoFault], PINNED_PMD),
        ],
        ..BASE
    },
    Scenario {
        id: PTE_MAPPED_VMSPLICE,
        summary: "the folio's first page sits in a pipe; PTEs map it; a child shared it and has exited",
        path: "do_wp_page(): the pipe's reference counts -> wp_page_copy()",
        steps: &[
            Step::Fill,
            Step::PteMap,
            Step::Vmsplice,
            Step::Fork,
            Step::ChildExits,
        ],
        mapping: Mapping::PteMapped(1),
        expected: &by_mapcount_alone(PARTS_IN_A_PIPE),
        ..BASE
    },
    Scenario {
        id: "thp/half-unmapped-child-exited",
        summary: "the second half of the folio is unmapped; a child shared the rest and has exited",
        path: WHOLE,
        steps: &[Step::Fill, Step::HalfUnmap, Step::Fork, Step::ChildExits],
        mapping: Mapping::PteMapped(1),
        expected: &whole_folio(PARTS),
        ..BASE
    },
    Scenario {
        id: "thp/half-unmapped-child-alive",
        summary: "the second half of the folio is unmapped; a living child shares the rest",
        path: "do_wp_page() -> wp_page_copy() of one page",
        steps: &[Step::Fill, Step::HalfUnmap, Step::Fork],
        mapping: Mapping::PteMapped(2),
        expected: &[Expectation::any_of(&[Copy], PTE_SHARED)],
        ..BASE
    },
    Scenario {
        id: "thp/half-moved-child-exited",
        summary: "the second half of the folio was moved elsewhere by mremap; a child shared both halves and has exited",
        path: WHOLE,
        steps: &[Step::Fill, Step::HalfMoves, Step::Fork, Step::ChildExits],
        mapping: Mapping::PteMapped(1),
        expected: &whole_folio(PARTS),
        long: true,
        ..BASE
    },
    Scenario {
        id: "thp/half-moved-child-alive",
        summary: "the second half of the folio was moved elsewhere by mremap; a living child shares both halves",
        path: "do_wp_page() -> wp_page_copy() of one page",
        steps: &[Step::Fill, Step::HalfMoves, Step::Fork],
        mapping: Mapping::PteMapped(2),
        expected: &[Expectation::any_of(&[Copy], PTE_SHARED)],
        long: true,
        ..BASE
    },
    Scenario {
        id: "thp/part-shared-child-exited",
        summary: "a child shared the folio's first page alone (MADV_DONTFORK of the rest) and has exited",
        path: WHOLE,
        steps: &[
            Step::Fill,
            Step::DontForkRest,
            Step::Fork,
            Step::ChildExits,
            Step::DoFork,
        ],
        mapping: Mapping::PteMapped(1),
        expected: &whole_folio(PARTS),
        long: true,
        ..BASE
    },
    Scenario {
        id: "thp/collapsed-child-alive",
        summary: "PTEs mapped the folio, MADV_COLLAPSE made a new one of it, which a living child shares",
        path: SPLIT_COPY,
        steps: &[Step::Fill, Step::PteMap, Step::Collapse, Step::Fork],
        mapping: Mapping::Folio(2),
        expected: &[Expectation::any_of(&[Copy], SHARED)],
        long: true,
        ..BASE
    },
    Scenario {
        id: "thp/collapsed-child-exited",
        summary: "PTEs mapped the folio, MADV_COLLAPSE made a new one of it, which a child shared that has exited",
        path: "do_huge_pmd_wp_page(): one reference -> the PMD is made writable",
        steps: &[
            Step::Fill,
            Step::PteMap,
            Step::Collapse,
            Step::Fork,
            Step::ChildExits,
        ],
        expected: &last_user(LAST_PMD),
        long: true,
        ..BASE
    },
    Scenario {
        id: "thp/shared-then-collapsed",
        summary: "PTEs mapped the folio, a living child shares it, and MADV_COLLAPSE has given the parent another one",
        path: "none: collapse_huge_page() has copied the pages, shared or not, into a folio of the parent's own and mapped it writable",
        steps: &[Step::Fill, Step::PteMap, Step::Fork, Step::Collapse],
        expected: &[Expectation::any_of(&[NoFault], COLLAPSED)],
        ..BASE
    },
    Scenario {
        id: "thp/part-shared-then-collapsed",
        summary: "a living child shares the folio's first page alone, and MADV_COLLAPSE has given the parent another folio",
        path: "none: collapse_huge_page() has copied the pages, shared or not, into a folio of the parent's own and mapped it writable",
        steps: &[
            Step::Fill,
            Step::DontForkRest,
            Step::Fork,
            Step::DoFork,
            Step::Collapse,
        ],
        expected: &[Expectation::any_of(&[NoFault], COLLAPSED)],
        long: true,
        ..BASE
    },
    Scenario {
        id: "thp/one-page-left-child-alive",
        summary: "all but one page of the folio is unmapped; a living child shares that page",
        path: "do_wp_page() -> wp_page_copy()",
        steps: &[Step::Fill, Step::AllButOneUnmap, Step::Fork],
        mapping: Mapping::PteMapped(2),
        expected: &[Expectation::any_of(&[Copy], PTE_SHARED)],
        long: true,
        ..BASE
    },
    Scenario {
        id: "thp/one-page-left-child-exited",
        summary: "all but one page of the folio is unmapped; a child shared that page and has exited",
        path: "do_wp_page(): one reference on the folio -> wp_page_reuse(); wp_page_copy(), so that the folio can be freed (6.9 and later)",
        steps: &[
            Step::Fill,
            Step::AllButOneUnmap,
            Step::Fork,
            Step::ChildExits,
        ],
        mapping: Mapping::PteMapped(1),
        expected: &one_page_left(),
        ..BASE
    },
];

#[cfg(test)]
mod tests {
    use super::*;
    use crate::record::outcome::Outcome;
    use crate::record::rule::{PinRule, SmallRule};
    use crate::scenario::expectation::{KernelTraits, expected};

    fn outcomes(id: &str, rule: SmallRule, version: (u32, u32)) -> Option<&'static [Outcome]> {
        let scenario = SCENARIOS.iter().find(|one| one.id == id).unwrap();
        let kernel = KernelTraits::own(rule, Some(version));
        expected(scenario.expected, &kernel).map(|one| one.outcomes)
    }

    #[test]
    fn a_pipe_s_reference_does_not_count_where_the_folio_is_marked_exclusive() {
        let marked = |rule, version| outcomes("thp/marked-exclusive", rule, version);
        let forked = |rule, version| outcomes("thp/vmsplice-then-fork", rule, version);
        assert_eq!(marked(SmallRule::Exclusive, (6, 12)), Some(&[Reuse][..]));
        assert_eq!(forked(SmallRule::Exclusive, (6, 12)), Some(&[Copy][..]));
        assert_eq!(marked(SmallRule::Refcount, (5, 18)), Some(&[Copy][..]));
        assert_eq!(marked(SmallRule::Refcount, (5, 10)), Some(&[Reuse][..]));
        let breaks_cow = KernelTraits {
            pin: PinRule::BreaksCow,
            ..KernelTraits::own(SmallRule::Refcount, Some((5, 10)))
        };
        let mut all = SCENARIOS.iter();
        let marked = all.find(|one| one.id == "thp/marked-exclusive").unwrap();
        let of = expected(marked.expected, &breaks_cow).unwrap();
        assert_eq!(of.outcomes, [NoFault]);
    }

    #[test]
    fn the_last_page_of_a_folio_is_copied_from_6_9_on() {
        let last = |version| {
            outcomes(
                "thp/one-page-left-child-exited",
                SmallRule::Exclusive,
                version,
            )
        };
        for (version, outcome) in [((6, 8), Reuse), ((6, 9), Copy), ((6, 15), Copy)] {
            assert_eq!(last(version), Some(&[outcome][..]), "{version:?}");
        }
    }
}
