//! Anonymous folios between a page and a PMD (multi-size THP), each size that the kernel offers.

use super::{Mapping, Scenario, Step};
use crate::memory::backing::Memory;
use crate::record::outcome::Outcome::{Copy, Fill, NoFault};
use crate::scenario::expectation::{Basis, Expectation};
use crate::scenario::source::MPROTECT_RESTORES;
use crate::scenario::thp::{
    HALF_SHARED, MM_ID_OF_WHO_IS_LEFT, PARTS, PARTS_IN_A_PIPE, PTE_SHARED, by_mapcount_alone,
    one_page_left, whole_folio, whole_folio_by,
};

const WHOLE: &str = "do_wp_page(): refcount of the whole folio is not one -> wp_page_copy() (6.8 to 6.14); all of it is ours -> wp_page_reuse() (6.15)";
/// The first store allocates a zeroed folio of the size that is enabled and sets all of its PTEs.
const FILLED: Basis = Basis::Source(
    "mm/memory.c: do_anonymous_page() and alloc_anon_folio() in 6.12.107 (lines 4736, 4654), 7.2.13 (5288, 5162), 7.3.4 \
     (5428, 5302)",
);

/// A folio that may be pinned is not shared: fork takes its pages one by one, and copies each for the child.
const PINNED_PARTS: Basis = Basis::Source(
    "mm/memory.c: copy_present_ptes() and copy_present_page() in 6.12.107 (lines 981, 915), 7.2.13 (1129, 1063), 7.3.4 (1211, \
     1122)",
);

const BASE: Scenario = Scenario {
    memory: Memory::Mthp,
    mapping: Mapping::Folio(1),
    ..Scenario::BASE
};

// Multi-size THP came after the exclusive flag; the earlier rules would do as for a PTE-mapped THP.
pub(super) const SCENARIOS: &[Scenario] = &[
    Scenario {
        id: "mthp/zero-fill",
        summary: "the first store to a folio's range",
        path: "do_anonymous_page() -> alloc_anon_folio(): a zeroed folio, all of its PTEs at once",
        steps: &[],
        mapping: Mapping::None,
        expected: &[Expectation::any_of(&[Fill], FILLED)],
        ..BASE
    },
    Scenario {
        id: "mthp/child-alive",
        summary: "a living child shares the folio",
        path: "do_wp_page() -> wp_page_copy() of one page",
        steps: &[Step::Fill, Step::Fork],
        mapping: Mapping::Folio(2),
        expected: &[Expectation::any_of(&[Copy], PTE_SHARED)],
        ..BASE
    },
    Scenario {
        id: "mthp/child-exited",
        summary: "a child shared the folio and has exited",
        path: WHOLE,
        steps: &[Step::Fill, Step::Fork, Step::ChildExits],
        expected: &whole_folio(PARTS),
        ..BASE
    },
    Scenario {
        id: "mthp/child-dropped",
        summary: "a living child shared the folio and has dropped it",
        path: WHOLE,
        steps: &[Step::Fill, Step::Fork, Step::ChildDrops],
        expected: &whole_folio_by(PARTS, MM_ID_OF_WHO_IS_LEFT),
        long: true,
        ..BASE
    },
    Scenario {
        id: "mthp/child-dropped-half",
        summary: "a living child shares the second half of the folio and has dropped the first, which is stored to",
        path: "do_wp_page(): mappings of any part of the folio are references of the whole -> wp_page_copy() of a page that nobody else maps",
        steps: &[Step::Fill, Step::Fork, Step::ChildDropsHalf],
        mapping: Mapping::HalfShared,
        expected: &[Expectation::any_of(&[Copy], HALF_SHARED)],
        long: true,
        ..BASE
    },
    Scenario {
        id: "mthp/half-unmapped-child-exited",
        summary: "half of the folio is unmapped; a child shared the rest and has exited",
        path: WHOLE,
        steps: &[Step::Fill, Step::HalfUnmap, Step::Fork, Step::ChildExits],
        expected: &whole_folio(PARTS),
        ..BASE
    },
    Scenario {
        id: "mthp/mprotect",
        summary: "a folio of one's own was made read-only by mprotect and writable again",
        path: "none: change_pte_range() has restored the write bit",
        steps: &[Step::Fill, Step::MprotectRoRw],
        expected: &[Expectation::any_of(&[NoFault], MPROTECT_RESTORES)],
        long: true,
        ..BASE
    },
    Scenario {
        id: "mthp/half-moved-child-exited",
        summary: "half of the folio was moved elsewhere by mremap; a child shared both halves and has exited",
        path: WHOLE,
        steps: &[Step::Fill, Step::HalfMoves, Step::Fork, Step::ChildExits],
        expected: &whole_folio(PARTS),
        long: true,
        ..BASE
    },
    Scenario {
        id: "mthp/part-shared-child-exited",
        summary: "a child shared the folio's first page alone (MADV_DONTFORK of the rest) and has exited",
        path: WHOLE,
        steps: &[
            Step::Fill,
            Step::DontForkRest,
            Step::Fork,
            Step::ChildExits,
            Step::DoFork,
        ],
        expected: &whole_folio(PARTS),
        long: true,
        ..BASE
    },
    Scenario {
        id: "mthp/one-page-left-child-exited",
        summary: "all but one page of the folio is unmapped; a child shared that page and has exited",
        path: "do_wp_page() -> wp_page_copy(), so that the folio can be freed (6.9 and later)",
        steps: &[
            Step::Fill,
            Step::AllButOneUnmap,
            Step::Fork,
            Step::ChildExits,
        ],
        expected: &one_page_left(),
        long: true,
        ..BASE
    },
    Scenario {
        id: "mthp/io-uring-then-fork",
        summary: "the folio is an io_uring buffer; a child was forked afterwards and lives",
        path: "none: fork copies pages that may be pinned for the child at once, so the parent's stay writable",
        steps: &[Step::Fill, Step::RegisterBuffer, Step::Fork],
        expected: &[Expectation::any_of(&[NoFault], PINNED_PARTS)],
        ..BASE
    },
    Scenario {
        id: "mthp/vmsplice-then-fork",
        summary: "the folio's first page sits in a pipe; a child shared the folio and has exited",
        path: "do_wp_page(): the pipe's reference counts -> wp_page_copy()",
        steps: &[Step::Fill, Step::Vmsplice, Step::Fork, Step::ChildExits],
        expected: &by_mapcount_alone(PARTS_IN_A_PIPE),
        ..BASE
    },
];
