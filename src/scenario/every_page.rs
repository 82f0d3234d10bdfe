//! Stores to every page of large folios, not to the first alone: what a process pays for the whole of what it shared, page by page, in
//! three orders. `thp/every-page-child-alive` is the first of them.

use super::{Mapping, PageOrder, Scenario, Step};
use crate::memory::backing::Memory;
use crate::record::outcome::Outcome::{Copy, NoFault, Reuse};
use crate::scenario::expectation::{Basis, Expectation, FLAG, NEVER_REUSED, Rules};
use crate::scenario::thp::{
    BY_PMD, MM_ID, NO_PART, PARTS, PTE_SHARED, SHARED_PARTS, SPLIT_THEN_COPIES,
};

/// The first store makes the PMD writable, and those that follow find it so.
const PMD_ONCE: Basis = Basis::Source(
    "mm/huge_memory.c: do_huge_pmd_wp_page() in 5.8.1 (line 1255), 5.10.262 (1271), 6.1.192 (1323), 6.12.118 (1818), 7.2.13 \
     (2160), 7.3.4 (2167)",
);
/// References are those of the whole folio: each page that is copied takes one mapping and its reference away, so that the last
/// page has the one that is left, and is reused up to 6.8.
const ALL_BUT_THE_LAST: Basis = Basis::Source(
    "mm/memory.c: do_wp_page() in 5.10.262 (line 3148), 6.1.192 (3403), 6.5.0 (3338); wp_page_copy() in 5.10.262 (2893), 6.1.192 \
     (3129)",
);

const REUSED_ONCE: &[Expectation] = &[
    NEVER_REUSED,
    Expectation::any_of(&[Reuse, NoFault], PMD_ONCE),
];

const PARTS_AFTER_EXIT: &[Expectation] = &[
    NEVER_REUSED,
    Expectation::any_of(&[Reuse], MM_ID).since((6, 15)),
    Expectation::any_of(&[Reuse], PARTS).under(Rules::OWN_MAPCOUNT),
    Expectation::any_of(&[Reuse], PARTS)
        .under(Rules::SWITCHED_TO_MAPCOUNT)
        .before(FLAG),
    Expectation::any_of(&[Copy], NO_PART).since((6, 9)),
    Expectation::any_of(&[Copy, Reuse], ALL_BUT_THE_LAST),
];

const BY_PARTS_REUSE: &str = "do_wp_page(), once for every page: all of the folio is ours -> wp_page_reuse() (6.15); its references are more than one -> wp_page_copy() (5.9 to 6.14)";
const BY_PARTS_COPY: &str = "do_wp_page() -> wp_page_copy(), once for every page";

const BASE: Scenario = Scenario {
    memory: Memory::Thp,
    mapping: Mapping::Folio(1),
    long: true,
    ..Scenario::BASE
};

const PMD_SHARED: Scenario = Scenario {
    summary: "a living child shares the PMD-mapped folio; every page of it is stored to",
    path: SPLIT_THEN_COPIES,
    steps: &[Step::Fill, Step::Fork],
    mapping: Mapping::Folio(2),
    expected: &[Expectation::any_of(&[Copy], SHARED_PARTS)],
    ..BASE
};
const PMD_LEFT: Scenario = Scenario {
    summary: "a child shared the PMD-mapped folio and has exited; every page of it is stored to",
    path: BY_PMD,
    steps: &[Step::Fill, Step::Fork, Step::ChildExits],
    expected: REUSED_ONCE,
    ..BASE
};
const PTES_SHARED: Scenario = Scenario {
    summary: "a living child shares the folio, which PTEs map; every page of it is stored to",
    path: BY_PARTS_COPY,
    steps: &[Step::Fill, Step::PteMap, Step::Fork],
    mapping: Mapping::PteMapped(2),
    expected: &[Expectation::any_of(&[Copy], PTE_SHARED)],
    ..BASE
};
const PTES_LEFT: Scenario = Scenario {
    summary: "a child shared the folio, which PTEs map, and has exited; every page of it is stored to",
    path: BY_PARTS_REUSE,
    steps: &[Step::Fill, Step::PteMap, Step::Fork, Step::ChildExits],
    mapping: Mapping::PteMapped(1),
    expected: PARTS_AFTER_EXIT,
    ..BASE
};
const MTHP_SHARED: Scenario = Scenario {
    summary: "a living child shares the folio; every page of it is stored to",
    path: BY_PARTS_COPY,
    steps: &[Step::Fill, Step::Fork],
    memory: Memory::Mthp,
    mapping: Mapping::Folio(2),
    expected: &[Expectation::any_of(&[Copy], PTE_SHARED)],
    ..BASE
};
const MTHP_LEFT: Scenario = Scenario {
    summary: "a child shared the folio and has exited; every page of it is stored to",
    path: BY_PARTS_REUSE,
    steps: &[Step::Fill, Step::Fork, Step::ChildExits],
    memory: Memory::Mthp,
    expected: PARTS_AFTER_EXIT,
    ..BASE
};

const fn of(id: &'static str, order: PageOrder, state: Scenario) -> Scenario {
    Scenario {
        id,
        every_page: Some(order),
        ..state
    }
}

pub(super) const SCENARIOS: &[Scenario] = {
    use PageOrder::{AtRandom, Backwards, Forwards};
    &[
        of(
            "every-page/pmd-child-alive-backwards",
            Backwards,
            PMD_SHARED,
        ),
        of("every-page/pmd-child-alive-at-random", AtRandom, PMD_SHARED),
        of("every-page/pmd-child-exited", Forwards, PMD_LEFT),
        of("every-page/pmd-child-exited-backwards", Backwards, PMD_LEFT),
        of("every-page/pmd-child-exited-at-random", AtRandom, PMD_LEFT),
        of("every-page/ptes-child-alive", Forwards, PTES_SHARED),
        of(
            "every-page/ptes-child-alive-backwards",
            Backwards,
            PTES_SHARED,
        ),
        of(
            "every-page/ptes-child-alive-at-random",
            AtRandom,
            PTES_SHARED,
        ),
        of("every-page/ptes-child-exited", Forwards, PTES_LEFT),
        of(
            "every-page/ptes-child-exited-backwards",
            Backwards,
            PTES_LEFT,
        ),
        of(
            "every-page/ptes-child-exited-at-random",
            AtRandom,
            PTES_LEFT,
        ),
        of("every-page/mthp-child-alive", Forwards, MTHP_SHARED),
        of(
            "every-page/mthp-child-alive-backwards",
            Backwards,
            MTHP_SHARED,
        ),
        of(
            "every-page/mthp-child-alive-at-random",
            AtRandom,
            MTHP_SHARED,
        ),
        of("every-page/mthp-child-exited", Forwards, MTHP_LEFT),
        of(
            "every-page/mthp-child-exited-backwards",
            Backwards,
            MTHP_LEFT,
        ),
        of(
            "every-page/mthp-child-exited-at-random",
            AtRandom,
            MTHP_LEFT,
        ),
    ]
};
