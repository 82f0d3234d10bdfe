//! Pages of hugetlb's pool, which are decided by mapcount to this day. `--tune` reserves some.

use super::workload::{Actor, Workload};
use super::{Mapping, Scenario, Step};
use crate::memory::backing::Memory;
use crate::record::outcome::Outcome::{Copy, Fill, NoFault, Reuse};
use crate::scenario::expectation::{Basis, Expectation};

const REUSE: &str = "hugetlb_wp() (up to 5.17: hugetlb_cow()): mapped once and anonymous -> the entry is made writable";
const COPY: &str = "hugetlb_wp() (up to 5.17: hugetlb_cow()): mapped more than once -> a page from the pool, copied whole";

/// What is not mapped is given a zeroed page of the pool, and nothing is copied.
const FILLED: Basis = Basis::Source(
    "mm/hugetlb.c: hugetlb_no_page() in 5.8.1 (line 4304), 5.10.223 (4326), 6.1.192 (5832), 6.12.107 (6064), 7.2.13 (5737), \
     7.3.4 (5790)",
);
/// An anonymous page that is mapped once is made writable, whatever else refers to it; one that is mapped more often is copied.
/// Fork leaves a page that nobody has pinned mapped by both.
const BY_MAPCOUNT: Basis = Basis::Source(
    "mm/hugetlb.c: hugetlb_cow() in 5.4.286 (line 3802), 5.8.1 (4124), 5.10.223 (4126); hugetlb_wp() in 6.1.192 (5541), \
     6.12.107 (5785), 7.2.13 (5465), 7.3.4 (5518); copy_hugetlb_page_range() in 5.10.223 (3792), 6.1.192 (5029), 6.12.107 \
     (5219), 7.2.13 (4888), 7.3.4 (4913)",
);
/// As [`BY_MAPCOUNT`]; the pipe holds a reference, which is neither a mapping nor a pin.
const BY_MAPCOUNT_IN_A_PIPE: Basis = Basis::Source(
    "mm/hugetlb.c: hugetlb_cow() in 5.8.1 (line 4124), 5.10.223 (4126); hugetlb_wp() in 6.1.192 (5541), 6.12.107 (5785), \
     7.2.13 (5465), 7.3.4 (5518); fs/splice.c: iter_to_pipe(), which takes references, in 5.8.1 (1195), 5.10.223 \
     (1149), 6.1.192 (1179), 6.12.107 (1451), 7.2.13 (1443), 7.3.4 (1443)",
);

/// Fork shares a page of the pool whoever has pinned it, and the store finds two mappings: the pin keeps the page that the
/// child has.
const FORK_SHARES_PINNED: Basis = Basis::Source(
    "mm/hugetlb.c: copy_hugetlb_page_range() in 5.10.262 (line 3827), which knows no pins before 4eae4efa2c29 (5.12); \
     hugetlb_cow() in 5.10.262 (4134)",
);
/// Fork copies a page of the pool that may be pinned for the child at once and leaves the parent's entry as it is: writable.
const FORK_COPIES_PINNED: Basis = Basis::Source(
    "4eae4efa2c29 (5.12); mm/hugetlb.c: copy_hugetlb_page_range() where page_try_dup_anon_rmap() refuses in 6.1.192 (line \
     5029), hugetlb_try_dup_anon_rmap() in 6.12.118 (5284), 7.2.13 (4888)",
);

/// The file's page is not anonymous, however often it is mapped.
const OF_A_FILE: Basis = Basis::Source(
    "mm/hugetlb.c: hugetlb_no_page() in 5.10.262 (line 4334), 6.12.118 (6145); hugetlb_cow() in 5.10.262 (4134); hugetlb_wp() in \
     6.12.118 (5866)",
);
/// Who has reserved the pages of a private mapping is served before those who inherit it.
const POOL_DRY: Basis = Basis::Source(
    "mm/hugetlb.c: hugetlb_cow() in 5.10.262 (line 4134), hugetlb_wp() in 6.12.118 (5866), unmap_ref_private() in 5.10.262 (4078), \
     6.12.118 (5800)",
);

const BASE: Scenario = Scenario {
    memory: Memory::Hugetlb,
    mapping: Mapping::Folio(1),
    ..Scenario::BASE
};

pub(super) const SCENARIOS: &[Scenario] = &[
    Scenario {
        id: "hugetlb/zero-fill",
        summary: "the first store to a page of the pool",
        path: "hugetlb_no_page(): a page from the pool, zeroed; hugetlb_wp() (up to 5.17: hugetlb_cow()) makes its entry writable",
        steps: &[],
        mapping: Mapping::None,
        expected: &[Expectation::any_of(&[Fill], FILLED)],
        ..BASE
    },
    Scenario {
        id: "hugetlb/child-alive",
        summary: "a living child shares the page",
        path: COPY,
        steps: &[Step::Fill, Step::Fork],
        mapping: Mapping::Folio(2),
        expected: &[Expectation::any_of(&[Copy], BY_MAPCOUNT)],
        ..BASE
    },
    Scenario {
        id: "hugetlb/child-exited",
        summary: "a child shared the page and has exited",
        path: REUSE,
        steps: &[Step::Fill, Step::Fork, Step::ChildExits],
        expected: &[Expectation::any_of(&[Reuse], BY_MAPCOUNT)],
        ..BASE
    },
    Scenario {
        id: "hugetlb/last-mapper",
        summary: "a living child stored first and took a copy; the parent has the old page alone",
        path: REUSE,
        steps: &[Step::Fill, Step::Fork, Step::ChildStores],
        expected: &[Expectation::any_of(&[Reuse], BY_MAPCOUNT)],
        ..BASE
    },
    Scenario {
        id: "hugetlb/in-child",
        summary: "the living parent shares the page; the child stores",
        path: COPY,
        steps: &[Step::Fill, Step::Fork],
        play: Workload::Stores(Actor::Child),
        mapping: Mapping::Folio(2),
        expected: &[Expectation::any_of(&[Copy], BY_MAPCOUNT)],
        ..BASE
    },
    Scenario {
        id: "hugetlb/vmsplice-then-fork",
        summary: "the page's first 4 KiB sit in a pipe; a child shared the page and has exited",
        path: "hugetlb_wp() (up to 5.17: hugetlb_cow()): references do not count, mapped once -> the entry is made writable",
        steps: &[Step::Fill, Step::Vmsplice, Step::Fork, Step::ChildExits],
        expected: &[Expectation::any_of(&[Reuse], BY_MAPCOUNT_IN_A_PIPE)],
        ..BASE
    },
    Scenario {
        id: "hugetlb/memfd-store-first",
        summary: "the first store to a private mapping of a file whose pages are of the pool",
        path: "hugetlb_no_page() finds the file's page -> hugetlb_wp() (up to 5.17: hugetlb_cow()): a page from the pool, copied whole",
        steps: &[],
        memory: Memory::PooledMemfd,
        mapping: Mapping::None,
        expected: &[Expectation::any_of(&[Copy], OF_A_FILE)],
        long: true,
        ..BASE
    },
    Scenario {
        id: "hugetlb/memfd-read-then-store",
        summary: "a private mapping of a file whose pages are of the pool was read before the store",
        path: "hugetlb_wp() (up to 5.17: hugetlb_cow()): the page is the file's -> a page from the pool, copied whole",
        steps: &[Step::Read],
        memory: Memory::PooledMemfd,
        mapping: Mapping::File,
        expected: &[Expectation::any_of(&[Copy], OF_A_FILE)],
        long: true,
        ..BASE
    },
    Scenario {
        id: "hugetlb/pool-dry-child-alive",
        summary: "a living child shares the page, and the pool has none to copy to; the parent, who owns the reservation, stores",
        path: "hugetlb_wp() (up to 5.17: hugetlb_cow()): unmap_ref_private() takes the page away from the child, whom its next access kills by SIGBUS; mapped once then -> the entry is made writable",
        steps: &[Step::Fill, Step::Fork, Step::PoolDries],
        mapping: Mapping::Folio(2),
        expected: &[Expectation::any_of(&[Reuse], POOL_DRY)],
        ..BASE
    },
    Scenario {
        id: "hugetlb/io-uring-then-fork",
        summary: "the page is an io_uring buffer; a child was forked afterwards and lives",
        path: "none: fork copies a page that may be pinned for the child at once (5.12); before, fork shares it, and hugetlb_cow() copies it away from the pin",
        steps: &[Step::Fill, Step::RegisterBuffer, Step::Fork],
        mapping_elsewhere: &[Expectation::of(Mapping::Folio(2), FORK_SHARES_PINNED).before((5, 12))],
        expected: &[
            Expectation::any_of(&[Copy], FORK_SHARES_PINNED).before((5, 12)),
            Expectation::any_of(&[NoFault], FORK_COPIES_PINNED).since((5, 12)),
        ],
        ..BASE
    },
];

#[cfg(test)]
mod tests {
    use super::*;
    use crate::record::rule::SmallRule;
    use crate::scenario::expectation::{KernelTraits, expected};

    #[test]
    fn a_pin_keeps_a_page_of_the_pool_over_fork_from_5_12_on() {
        let scenario = SCENARIOS
            .iter()
            .find(|one| one.steps.contains(&Step::RegisterBuffer));
        for (version, outcome) in [((5, 11), Copy), ((5, 12), NoFault), ((6, 12), NoFault)] {
            let kernel = KernelTraits::own(SmallRule::Refcount, Some(version));
            let one = expected(scenario.unwrap().expected, &kernel);
            assert_eq!(one.unwrap().outcomes, [outcome], "{version:?}");
        }
    }
}
