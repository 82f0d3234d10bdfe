//! Folios of a PMD's size, mapped by one PMD or by PTEs. The first store to each folio is timed: it
//! is the decision; what follows depends on it.

use super::workload::{Actor, Workload};
use super::{Mapping, Scenario, Step};
use crate::memory::backing::Memory;
use crate::record::outcome::Outcome::{Copy, Fill, Reuse};
use crate::scenario::expectation::{Basis, Expectation, FLAG, NEVER_REUSED, Rules, last_user, own};

/// Reused by mapcount and by mm-id, copied in between.
pub const PTE_MAPPED_CHILD_EXITED: &str = "thp/pte-mapped-child-exited";
/// Reused by mapcount alone.
pub const PTE_MAPPED_VMSPLICE: &str = "thp/pte-mapped-vmsplice-then-fork";

const SPLIT_COPY: &str = "do_huge_pmd_wp_page(): more than one reference -> split the PMD -> do_wp_page() -> wp_page_copy() of one page";
const WHOLE: &str = "do_wp_page(): refcount of the whole folio is not one -> wp_page_copy() (5.9 to 6.14); all of it is ours -> wp_page_reuse() (6.15)";
const NO_PART: Basis = Basis::Source(
    "6.12's wp_can_reuse_anon_folio(): no part of a large folio is reused, so that it can be freed sooner; 6.1 has no such \
     test, and which version between them brought it was not looked up",
);
const MM_ID: Basis = Basis::Source(
    "1da190f4d0a6 (6.15): wp_can_reuse_anon_folio() asks for mapcount == refcount and one mm",
);

const BASE: Scenario = Scenario {
    memory: Memory::Thp,
    mapping: Mapping::Folio(1),
    ..Scenario::BASE
};

/// Reused by mapcount and by mm-id. What PTEs map of large folios does not come under the rules of a newer kernel, but for
/// that which reuses nothing.
pub(super) const fn whole_folio(basis: Basis) -> [Expectation; 5] {
    let [own, switched, any] = by_mapcount_alone(basis);
    let mm_id = Expectation::any_of(&[Reuse], MM_ID).since((6, 15));
    [NEVER_REUSED, mm_id, own, switched, any]
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
        expected: &[Expectation::any_of(
            &[Fill],
            Basis::Reasoned("as touch/zero-fill"),
        )],
        ..BASE
    },
    Scenario {
        id: "thp/zero-folio",
        summary: "the range was read first, so it maps the huge zero folio",
        path: "do_huge_pmd_wp_page() of the zero folio: a new huge folio (6.13 and later) or a split and one new page",
        steps: &[Step::Read],
        mapping: Mapping::HugeZero,
        expected: &[Expectation::any_of(
            &[Copy],
            Basis::Source("do_huge_pmd_wp_page()"),
        )],
        ..BASE
    },
    Scenario {
        id: "thp/child-alive",
        summary: "a living child shares the PMD-mapped folio",
        path: SPLIT_COPY,
        steps: &[Step::Fill, Step::Fork],
        mapping: Mapping::Folio(2),
        expected: &[Expectation::any_of(&[Copy], Basis::SEEN)],
        ..BASE
    },
    Scenario {
        id: "thp/in-child",
        summary: "the living parent shares the PMD-mapped folio; the child stores",
        path: SPLIT_COPY,
        steps: &[Step::Fill, Step::Fork],
        play: Workload::Stores(Actor::Child),
        mapping: Mapping::Folio(2),
        expected: &[Expectation::any_of(
            &[Copy],
            Basis::Reasoned("as thp/child-alive"),
        )],
        ..BASE
    },
    Scenario {
        id: "thp/child-exited",
        summary: "a child shared the PMD-mapped folio and has exited",
        path: "do_huge_pmd_wp_page(): one reference -> the PMD is made writable",
        steps: &[Step::Fill, Step::Fork, Step::ChildExits],
        expected: &last_user(Basis::SEEN),
        ..BASE
    },
    Scenario {
        id: "thp/exclusive",
        summary: "a PMD-mapped folio of one's own was write-protected in place",
        path: "do_huge_pmd_wp_page(): PageAnonExclusive -> the PMD is made writable",
        steps: &[Step::Fill, Step::WriteProtect],
        expected: &own(Basis::Source("do_huge_pmd_wp_page()")),
        ..BASE
    },
    Scenario {
        id: "thp/vmsplice-then-fork",
        summary: "the folio's first page sits in a pipe; a child shared the folio and has exited",
        path: "do_huge_pmd_wp_page(): the pipe's reference counts (5.18) -> split -> wp_page_copy()",
        steps: &[Step::Fill, Step::Vmsplice, Step::Fork, Step::ChildExits],
        expected: &[
            Expectation::any_of(&[Reuse], Basis::Source("do_huge_pmd_wp_page()"))
                .under(Rules::MAPCOUNT),
            Expectation::any_of(
                &[Reuse],
                Basis::Source(
                    "3bff7e3f1f16 (5.18): PMD-mapped folios were decided by mapcount before",
                ),
            )
            .under(Rules::OWN)
            .before((5, 18)),
            Expectation::any_of(&[Copy], Basis::Source("do_huge_pmd_wp_page()")),
        ],
        ..BASE
    },
    Scenario {
        id: "thp/pte-mapped-child-alive",
        summary: "a living child shares the folio, which PTEs map",
        path: "do_wp_page() -> wp_page_copy() of one page",
        steps: &[Step::Fill, Step::PteMap, Step::Fork],
        mapping: Mapping::PteMapped(2),
        expected: &[Expectation::any_of(
            &[Copy],
            Basis::Reasoned("as copy/child-alive"),
        )],
        ..BASE
    },
    Scenario {
        id: PTE_MAPPED_CHILD_EXITED,
        summary: "a child shared the folio, which PTEs map, and has exited",
        path: WHOLE,
        steps: &[Step::Fill, Step::PteMap, Step::Fork, Step::ChildExits],
        mapping: Mapping::PteMapped(1),
        expected: &whole_folio(Basis::SEEN),
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
        expected: &by_mapcount_alone(Basis::Source(
            "wp_can_reuse_anon_folio(): mapcount and refcount differ",
        )),
        ..BASE
    },
    Scenario {
        id: "thp/half-unmapped-child-exited",
        summary: "the second half of the folio is unmapped; a child shared the rest and has exited",
        path: WHOLE,
        steps: &[Step::Fill, Step::HalfUnmap, Step::Fork, Step::ChildExits],
        mapping: Mapping::PteMapped(1),
        expected: &whole_folio(Basis::Reasoned("as thp/pte-mapped-child-exited")),
        ..BASE
    },
    Scenario {
        id: "thp/half-unmapped-child-alive",
        summary: "the second half of the folio is unmapped; a living child shares the rest",
        path: "do_wp_page() -> wp_page_copy() of one page",
        steps: &[Step::Fill, Step::HalfUnmap, Step::Fork],
        mapping: Mapping::PteMapped(2),
        expected: &[Expectation::any_of(
            &[Copy],
            Basis::Reasoned("as copy/child-alive"),
        )],
        ..BASE
    },
    Scenario {
        id: "thp/one-page-left-child-exited",
        summary: "all but one page of the folio is unmapped; a child shared that page and has exited",
        path: "do_wp_page(): one reference on the folio -> wp_page_reuse() (seen on 5.10 and 6.1); wp_page_copy(), so that the folio can be freed (seen from 6.12 on)",
        steps: &[
            Step::Fill,
            Step::AllButOneUnmap,
            Step::Fork,
            Step::ChildExits,
        ],
        mapping: Mapping::PteMapped(1),
        expected: &[
            NEVER_REUSED,
            Expectation::any_of(&[Copy], NO_PART).since((6, 2)),
            Expectation::any_of(
                &[Reuse],
                Basis::Source("do_wp_page(): the folio's refcount is one"),
            ),
        ],
        ..BASE
    },
];
