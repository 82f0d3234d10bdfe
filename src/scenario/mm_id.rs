//! A large folio that more than two processes have mapped: since Linux 6.15 it keeps account of the mappings of two address
//! spaces, each in a slot, and whether all of its mappings are one's. Who is left alone with it, and whether that is one of the two.

use super::workload::{Actor, Workload};
use super::{Mapping, PageOrder, Scenario, Step};
use crate::memory::backing::Memory;
use crate::scenario::expectation::{Basis, last_user};
use crate::scenario::thp::{LAST_PMD, PARTS, by_mapcount_alone, whole_folio};

const REUSED: &str = "do_wp_page() -> __wp_can_reuse_large_anon_folio(): the storing process's slot has all mappings -> wp_page_reuse() (6.15)";
const COPIED: &str = "do_wp_page() -> __wp_can_reuse_large_anon_folio(): the storing process has no slot, so the folio stays marked as perhaps shared -> wp_page_copy()";

/// Up to 6.14 as [`PARTS`]. From 6.15 on fork counts the third process's mappings as the folio's, but finds both slots taken. When
/// the two that have them have gone, no slot's count is that of the folio, and what marks it as perhaps shared stays set: it is
/// taken away only where the folio's count sinks to a slot's.
const NO_SLOT: Basis = Basis::Source(
    "include/linux/rmap.h: folio_add_return_large_mapcount() and folio_sub_return_large_mapcount() in 7.2.13 (lines 177, 227), \
     folio_add_large_mapcount() and folio_sub_large_mapcount() as posted for 6.15 (mm/rmap: basic MM owner tracking for large \
     folios (!hugetlb)); mm/memory.c: __wp_can_reuse_large_anon_folio() in 7.2.13 (4109); before 6.15 wp_can_reuse_anon_folio() \
     in 6.12.107 (3586), do_wp_page() in 6.1.192 (3403), 5.10.223 (3120), 5.8.1 (2895); mm/swapfile.c: \
     page_trans_huge_map_swapcount() in 5.8.1 (1618)",
);

/// Stores are made by the process that `Step::Fork` made, or that took its place.
const BASE: Scenario = Scenario {
    memory: Memory::Mthp,
    mapping: Mapping::Folio(1),
    play: Workload::Stores(Actor::Child),
    long: true,
    ..Scenario::BASE
};

pub(super) const SCENARIOS: &[Scenario] = &[
    Scenario {
        id: "mm-id/children-exited",
        summary: "two children shared the folio and have exited, the first one first",
        path: REUSED,
        steps: &[
            Step::Fill,
            Step::Fork,
            Step::ForkAgain,
            Step::ChildExits,
            Step::SecondExits,
        ],
        play: Workload::Stores(Actor::Parent),
        expected: &whole_folio(PARTS),
        ..BASE
    },
    Scenario {
        id: "mm-id/children-exited-last-first",
        summary: "two children shared the folio and have exited, the second one first",
        path: REUSED,
        steps: &[
            Step::Fill,
            Step::Fork,
            Step::ForkAgain,
            Step::SecondExits,
            Step::ChildExits,
        ],
        play: Workload::Stores(Actor::Parent),
        expected: &whole_folio(PARTS),
        ..BASE
    },
    Scenario {
        id: "mm-id/second-mapper-left",
        summary: "the parent has dropped its mapping; the only child stores",
        path: REUSED,
        steps: &[Step::Fill, Step::Fork, Step::ParentDrops],
        expected: &whole_folio(PARTS),
        ..BASE
    },
    Scenario {
        id: "mm-id/third-mapper-left",
        summary: "the first child has exited, then the parent has dropped its mapping; the second child has the folio alone and stores",
        path: COPIED,
        steps: &[
            Step::Fill,
            Step::ForkAgain,
            Step::Fork,
            Step::SecondExits,
            Step::ParentDrops,
        ],
        expected: &by_mapcount_alone(NO_SLOT),
        long: false,
        ..BASE
    },
    Scenario {
        id: "mm-id/third-mapper-left-parent-first",
        summary: "the same, but the parent has dropped its mapping before the first child exited",
        path: COPIED,
        steps: &[
            Step::Fill,
            Step::ForkAgain,
            Step::Fork,
            Step::ParentDrops,
            Step::SecondExits,
        ],
        expected: &by_mapcount_alone(NO_SLOT),
        ..BASE
    },
    Scenario {
        id: "mm-id/third-mapper-left-every-page",
        summary: "as third-mapper-left, and every page of the folio is stored to: one that stays marked as perhaps shared is replaced page by page",
        path: COPIED,
        steps: &[
            Step::Fill,
            Step::ForkAgain,
            Step::Fork,
            Step::SecondExits,
            Step::ParentDrops,
        ],
        every_page: Some(PageOrder::Forwards),
        expected: &by_mapcount_alone(NO_SLOT),
        ..BASE
    },
    Scenario {
        id: "mm-id/third-mapper-given-a-slot",
        summary: "the first child had exited before the second was forked; the parent has dropped its mapping; the second child stores",
        path: REUSED,
        steps: &[
            Step::Fill,
            Step::ForkAgain,
            Step::SecondExits,
            Step::Fork,
            Step::ParentDrops,
        ],
        expected: &whole_folio(PARTS),
        ..BASE
    },
    Scenario {
        id: "mm-id/daemon",
        summary: "forked twice, as daemons are: the child's child has the folio alone and stores; the parent had dropped it before the second fork",
        path: REUSED,
        steps: &[Step::Fill, Step::Fork, Step::ParentDrops, Step::Grandchild],
        expected: &whole_folio(PARTS),
        ..BASE
    },
    Scenario {
        id: "mm-id/daemon-of-a-slow-parent",
        summary: "the same, but the parent dropped the folio after the second fork",
        path: COPIED,
        steps: &[Step::Fill, Step::Fork, Step::Grandchild, Step::ParentDrops],
        expected: &by_mapcount_alone(NO_SLOT),
        ..BASE
    },
    Scenario {
        id: "mm-id/pte-mapped-third-mapper-left",
        summary: "PTEs map a folio of a PMD's size; the first child has exited, then the parent has dropped its mapping; the second child stores",
        path: COPIED,
        steps: &[
            Step::Fill,
            Step::PteMap,
            Step::ForkAgain,
            Step::Fork,
            Step::SecondExits,
            Step::ParentDrops,
        ],
        mapping: Mapping::PteMapped(1),
        memory: Memory::Thp,
        expected: &by_mapcount_alone(NO_SLOT),
        ..BASE
    },
    Scenario {
        id: "mm-id/pmd-mapped-third-mapper-left",
        summary: "control of pte-mapped-third-mapper-left: one PMD maps the folio",
        path: "do_huge_pmd_wp_page(): one reference (up to 5.17: one mapping) -> the PMD is made writable; slots are not asked",
        steps: &[
            Step::Fill,
            Step::ForkAgain,
            Step::Fork,
            Step::SecondExits,
            Step::ParentDrops,
        ],
        memory: Memory::Thp,
        expected: &last_user(LAST_PMD),
        ..BASE
    },
];
