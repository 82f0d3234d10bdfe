//! Pages that were swapped out. `--tune` makes a swap device in memory (zram) for them.

use super::{Mapping, Scenario, Step};
use crate::memory::backing::Memory;
use crate::record::outcome::Outcome::{Copy, NoFault, Reuse, SwapIn};
use crate::scenario::expectation::{Basis, Expectation, FLAG, NEVER_REUSED, Rules};
use crate::scenario::source::{
    SWAP_LAST_READER, SWAP_READ_BY_MAPCOUNT, SWAP_READ_BY_SWITCHED_REFCOUNT, SWAP_READ_ONLY,
    SWAP_READ_SHARED, SWAP_READ_SWITCHED_TO_MAPCOUNT, SWAP_WRITABLE,
};

const MOST: u32 = 1024;
/// The same of folios of a PMD's size.
const FOLIOS: u32 = 16;

const SWAPPED: Basis = Basis::Construction(
    "a page that was swapped out before the store counts as swapped in, however the kernel made it",
);

/// Reuse up to 6.5 and no fault from 6.12 on: the versions between them were not read.
const BETWEEN: Basis = Basis::Reasoned("between 6.5 (reuse) and 6.12 (no fault), not read");
/// By refcount it cannot be derived which of two outcomes it is.
const PERHAPS_IN_CACHE: Basis = Basis::Observed(
    "5.10: whether the swap cache or an LRU batch still holds a reference depends on the device and on other pages",
);

/// Where it is still being written.
const STABLE_WRITES: Basis = Basis::Reasoned(
    "do_swap_page() maps a page read-only that is still being written to a device which wants stable pages",
);
/// By such swap space the swap cache has the page, and a batch may.
const PERHAPS_IN_BATCH: Basis = Basis::Observed(
    "6.18 with swap space in a file: 1 to 11 % were copied, and none on zram; whether an LRU batch or writeback still holds a reference depends on the device",
);

/// Fork has taken the exclusive mark, so that the swap entry does not have it; a page that is read back past the swap cache is
/// its reader's alone, and counts as exclusive all the same.
const FRESH_READ_ONLY: Basis = Basis::Observed(
    "6.1: a page that a device in memory gives back is marked exclusive and mapped read-only",
);
/// As above; mapped writable at once.
const FRESH_WRITABLE: Basis = Basis::Source(
    "mm/memory.c: do_swap_page() in 6.12.118 (line 4210): `folio != swapcache` makes it exclusive, and what is exclusive is \
     mapped writable",
);
/// The versions between were not seen, for want of a device in memory.
const FRESH_UNTIL: Basis =
    Basis::Reasoned("between 6.18 (no fault) and 7.2 (reuse), neither read nor seen");
const READ_THROUGH_CACHE: Basis = Basis::Observed(
    "7.2 and 7.3: what a device in memory gives back goes through the swap cache, too, and is mapped read-only without the mark",
);

/// What is expected of a page that was swapped out, that one process alone has read back, and that it stores to: `$read_only`
/// says why the exclusive flag had it mapped read-only up to 6.5; what kernels do from 6.12 on follows.
macro_rules! read_by_one {
    ($read_only:expr, $($from_6_12:expr),+ $(,)?) => {
        &[
            NEVER_REUSED.before(FLAG),
            Expectation::any_of(&[Reuse], $read_only)
                .under(Rules::OWN)
                .since(FLAG)
                .before((6, 6)),
            Expectation::any_of(&[Reuse, NoFault], BETWEEN)
                .under(Rules::OWN)
                .since((6, 6))
                .before((6, 12)),
            Expectation::any_of(&[Reuse], SWAP_READ_BY_MAPCOUNT).under(Rules::OWN_MAPCOUNT),
            Expectation::any_of(&[Copy, Reuse], PERHAPS_IN_CACHE).under(Rules::OWN_REFCOUNT),
            Expectation::any_of(&[Reuse], SWAP_READ_SWITCHED_TO_MAPCOUNT)
                .under(Rules::SWITCHED_TO_MAPCOUNT)
                .before(FLAG),
            Expectation::any_of(&[Copy, Reuse], PERHAPS_IN_CACHE)
                .under(Rules::REFCOUNT)
                .before(FLAG),
            Expectation::any_of(&[NoFault, Reuse], SWAP_READ_BY_SWITCHED_REFCOUNT)
                .under(Rules::REFCOUNT),
            Expectation::any_of(&[NoFault, Reuse, Copy], STABLE_WRITES).swapping_to_a_device(),
            $($from_6_12),+
        ]
    };
}

pub(super) const SCENARIOS: &[Scenario] = &[
    Scenario {
        id: "swap/read-back",
        summary: "a page of one's own was swapped out and read back",
        path: "none: the load's do_swap_page() has mapped an exclusive page writable (6.12, not yet in 6.5); else do_wp_page()",
        steps: &[Step::Fill, Step::SwapOut, Step::Read],
        max_pages: MOST,
        expected: read_by_one![
            SWAP_READ_ONLY,
            Expectation::any_of(&[NoFault], SWAP_WRITABLE),
        ],
        ..Scenario::BASE
    },
    Scenario {
        id: "swap/store-directly",
        summary: "a page of one's own was swapped out and is stored to",
        path: "do_swap_page(): brought in and mapped writable in one fault",
        steps: &[Step::Fill, Step::SwapOut],
        mapping: Mapping::Swapped,
        max_pages: MOST,
        expected: &[Expectation::any_of(&[SwapIn], SWAPPED)],
        ..Scenario::BASE
    },
    Scenario {
        id: "swap/child-exited-read-back",
        summary: "a child shared the page and has exited; then it was swapped out and read back",
        path: "none: the load's do_swap_page() had the page past the swap cache and mapped it writable (6.12 to 6.18); else do_wp_page() -> wp_page_reuse()",
        steps: &[
            Step::Fill,
            Step::Fork,
            Step::ChildExits,
            Step::SwapOut,
            Step::Read,
        ],
        max_pages: MOST,
        expected: read_by_one![
            FRESH_READ_ONLY,
            Expectation::any_of(&[NoFault, Reuse], FRESH_UNTIL)
                .since((6, 19))
                .before((7, 2)),
            NEVER_REUSED.since((7, 2)),
            Expectation::any_of(&[Reuse], READ_THROUGH_CACHE).since((7, 2)),
            Expectation::any_of(&[NoFault], FRESH_WRITABLE),
        ],
        ..Scenario::BASE
    },
    Scenario {
        id: "swap/read-back-child-exited",
        summary: "swapped out, shared by a child, read back by both; the child has exited",
        path: "do_wp_page(): frees the swap cache (of a device in memory the load's do_swap_page() has, 7.2), one reference is left -> wp_page_reuse() (5.18 and later); 5.9 to 5.17: the swap cache counts",
        steps: &[
            Step::Fill,
            Step::SwapOut,
            Step::Fork,
            Step::Read,
            Step::ChildExits,
        ],
        max_pages: MOST,
        expected: &[
            NEVER_REUSED,
            Expectation::any_of(&[Copy, Reuse], PERHAPS_IN_CACHE).under(Rules::OWN_REFCOUNT),
            Expectation::any_of(&[Copy, Reuse], PERHAPS_IN_CACHE)
                .under(Rules::REFCOUNT)
                .before(FLAG),
            Expectation::any_of(&[Reuse, Copy], PERHAPS_IN_BATCH).swapping_to_a_device(),
            Expectation::any_of(&[Reuse], SWAP_LAST_READER),
        ],
        ..Scenario::BASE
    },
    Scenario {
        id: "swap/thp-store-directly",
        summary: "a PMD-mapped folio of one's own was swapped out and is stored to",
        path: "do_swap_page(): brought in, one page at a time, and mapped writable in one fault",
        steps: &[Step::Fill, Step::SwapOut],
        mapping: Mapping::Swapped,
        memory: Memory::Thp,
        max_pages: FOLIOS,
        expected: &[Expectation::any_of(&[SwapIn], SWAPPED)],
        long: true,
        ..Scenario::BASE
    },
    Scenario {
        id: "swap/thp-read-back",
        summary: "a PMD-mapped folio of one's own was swapped out, and its first page read back",
        path: "none: the load's do_swap_page() has mapped an exclusive page writable (6.12, not yet in 6.5); else do_wp_page()",
        steps: &[Step::Fill, Step::SwapOut, Step::Read],
        mapping: Mapping::AnonOfAnySize(1),
        memory: Memory::Thp,
        max_pages: FOLIOS,
        expected: read_by_one![
            SWAP_READ_ONLY,
            Expectation::any_of(&[NoFault], SWAP_WRITABLE),
        ],
        long: true,
        ..Scenario::BASE
    },
    Scenario {
        id: "swap/thp-read-back-child-alive",
        summary: "a PMD-mapped folio was swapped out, shared by a living child, and its first page read back by both",
        path: "do_wp_page(): two mappings -> wp_page_copy()",
        steps: &[Step::Fill, Step::SwapOut, Step::Fork, Step::Read],
        mapping: Mapping::AnonOfAnySize(2),
        memory: Memory::Thp,
        max_pages: FOLIOS,
        expected: &[Expectation::any_of(&[Copy], SWAP_READ_SHARED)],
        long: true,
        ..Scenario::BASE
    },
    Scenario {
        id: "swap/mthp-store-directly",
        summary: "a folio of one's own between a page and a PMD was swapped out and is stored to",
        path: "do_swap_page(): brought in, whole where the device is synchronous (6.12), and mapped writable in one fault",
        steps: &[Step::Fill, Step::SwapOut],
        mapping: Mapping::Swapped,
        memory: Memory::Mthp,
        max_pages: MOST,
        expected: &[Expectation::any_of(&[SwapIn], SWAPPED)],
        long: true,
        ..Scenario::BASE
    },
    Scenario {
        id: "swap/mthp-read-back",
        summary: "a folio of one's own between a page and a PMD was swapped out, and its first page read back",
        path: "none: the load's do_swap_page() has mapped exclusive pages writable (6.12)",
        steps: &[Step::Fill, Step::SwapOut, Step::Read],
        mapping: Mapping::AnonOfAnySize(1),
        memory: Memory::Mthp,
        max_pages: MOST,
        expected: read_by_one![
            SWAP_READ_ONLY,
            Expectation::any_of(&[NoFault], SWAP_WRITABLE),
        ],
        long: true,
        ..Scenario::BASE
    },
    Scenario {
        id: "swap/mthp-read-back-child-alive",
        summary: "a folio between a page and a PMD was swapped out, shared by a living child, and its first page read back by both",
        path: "do_wp_page(): two mappings -> wp_page_copy()",
        steps: &[Step::Fill, Step::SwapOut, Step::Fork, Step::Read],
        mapping: Mapping::AnonOfAnySize(2),
        memory: Memory::Mthp,
        max_pages: MOST,
        expected: &[Expectation::any_of(&[Copy], SWAP_READ_SHARED)],
        long: true,
        ..Scenario::BASE
    },
    Scenario {
        id: "swap/read-back-child-alive",
        summary: "swapped out, shared by a living child, read back by both",
        path: "do_wp_page(): two mappings -> wp_page_copy()",
        steps: &[Step::Fill, Step::SwapOut, Step::Fork, Step::Read],
        mapping: Mapping::Anon(2),
        max_pages: MOST,
        expected: &[Expectation::any_of(&[Copy], SWAP_READ_SHARED)],
        ..Scenario::BASE
    },
];
