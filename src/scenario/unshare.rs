//! Read-only pins: the page is unshared without a store, and what the next store then does.

use super::{Mapping, Scenario, Step, Timed};
use crate::memory::backing::Memory;
use crate::record::outcome::Outcome;
use crate::record::outcome::Outcome::{Copy, NoFault, Reuse, UnshareCopy, UnshareReuse};
use crate::record::rule::PinRule;
use crate::scenario::expectation::{Basis, Expectation, FLAG, NEVER_REUSED, Rules, own};
use crate::scenario::source::{
    DIRECT_FORCED_COPY, DIRECT_WRITE_REFERENCES, DIRECT_WRITE_UNSHARES, FORCED_COPY, LAST_USER,
    NOTHING_UNSHARED, PIN_IS_READ_ONLY, SHARED, UNSHARED, UNSHARED_BY_MAPCOUNT, UNSHARED_IF_MAPPED,
    UNSHARED_NEVER, UNSHARED_THEN_STORED, ZERO_PAGE_NOT_UNSHARED,
};

/// Where reading pins take pages as they are, nothing is unshared.
const NOTHING: Expectation =
    Expectation::any_of(&[NoFault], NOTHING_UNSHARED).pins(&[PinRule::Takes]);

/// A kernel that was given unsharing without the exclusive flag leaves huge pages as they are.
const HUGE_LEFT: Expectation = Expectation::any_of(
    &[NoFault],
    Basis::Source(
        "mm/gup.c: follow_page_pte() as patched into 5.10.262 alone asks whether to unshare: what a PMD maps is taken as it is",
    ),
)
.pins(&[PinRule::Unshares])
.before(FLAG);

/// A reading pin that breaks the sharing is a write fault, which comes to `outcomes`.
const fn forced(outcomes: &'static [Outcome], basis: Basis) -> Expectation {
    Expectation::any_of(outcomes, basis).pins(&[PinRule::BreaksCow])
}

/// A pin that unshares where there is no exclusive flag asks for mappings alone, and comes to `outcomes`.
const fn if_mapped(outcomes: &'static [Outcome]) -> Expectation {
    Expectation::any_of(outcomes, UNSHARED_IF_MAPPED)
        .pins(&[PinRule::Unshares])
        .before(FLAG)
}

/// What a pin for reading comes to, of a page that a living child has too.
const fn of_shared(forced_by: Basis, basis: Basis) -> [Expectation; 4] {
    [
        NOTHING,
        forced(&[UnshareCopy], forced_by),
        if_mapped(&[UnshareCopy]),
        Expectation::any_of(&[UnshareCopy], basis).since(FLAG),
    ]
}

/// What a pin for reading comes to, of a page that nobody else maps any more, but that is not marked exclusive.
const fn of_last_user(forced_by: Basis, basis: Basis) -> [Expectation; 6] {
    [
        NOTHING,
        forced(&[UnshareCopy], forced_by).under(Rules::NEVER),
        forced(&[UnshareReuse], forced_by),
        if_mapped(&[NoFault]),
        Expectation::any_of(&[UnshareCopy], UNSHARED_NEVER).under(Rules::NEVER),
        Expectation::any_of(&[UnshareReuse], basis).since(FLAG),
    ]
}

/// What a pin for reading comes to, of a large folio that a living child has too.
const fn of_shared_folio(basis: Basis) -> [Expectation; 4] {
    [
        NOTHING,
        HUGE_LEFT,
        forced(&[UnshareCopy], AS_A_PAGE),
        Expectation::any_of(&[UnshareCopy], basis).since(FLAG),
    ]
}

const AS_A_PAGE: Basis =
    Basis::Reasoned("as unshare/readv-child-alive and unshare/readv-child-exited");
/// Without the exclusive mark a pin for reading asks for FAULT_FLAG_UNSHARE; more than one reference has the PMD split, and the page
/// copied as a small one.
const UNSHARED_PMD: Basis = Basis::Source(
    "mm/huge_memory.c: do_huge_pmd_wp_page() in 6.12.118 (line 1818); mm/internal.h: gup_must_unshare() in 6.12.118 (1373); mm/memory.c: \
     do_wp_page() in 6.12.118 (3665), wp_page_copy() in 6.12.118 (3339)",
);
/// The same; one reference has the page marked, and the PMD stays as it is.
const MARKED_PMD: Basis = Basis::Source(
    "mm/huge_memory.c: do_huge_pmd_wp_page() in 6.12.118 (line 1818); mm/internal.h: gup_must_unshare() in 6.12.118 (1373)",
);
const UNSHARED_POOLED: Basis = Basis::Source(
    "mm/hugetlb.c: hugetlb_wp() in 6.12.118 (line 5866); mm/internal.h: gup_must_unshare() in 6.12.118 (1373)",
);

/// O_DIRECT takes references (`FOLL_GET`) up to 6.4, which are no pins: nothing is unshared.
const DIRECT_REFERENCES: Expectation = Expectation::any_of(&[NoFault], DIRECT_WRITE_REFERENCES)
    .pins(&[PinRule::Unshares])
    .before((6, 5));

/// Where nothing is unshared the page stays mapped twice.
const STILL_SHARED: Expectation<Mapping> =
    Expectation::of(Mapping::Anon(2), NOTHING_UNSHARED).pins(&[PinRule::Takes]);
/// As [`STILL_SHARED`], by O_DIRECT, which takes pins from 6.5 on.
const STILL_SHARED_BY_DIRECT: Expectation<Mapping> =
    Expectation::of(Mapping::Anon(2), DIRECT_WRITE_REFERENCES)
        .pins(&[PinRule::Unshares])
        .before((6, 5));

/// The page was unshared, so that it is the process's own; where nothing is unshared it is copied.
const fn stored_after_shared(forced_by: Basis) -> [Expectation; 5] {
    [
        Expectation::any_of(&[Copy], SHARED).pins(&[PinRule::Takes]),
        forced(&[NoFault], forced_by),
        NEVER_REUSED.before(FLAG),
        if_mapped(&[Reuse]),
        Expectation::any_of(&[Reuse], UNSHARED_THEN_STORED).since(FLAG),
    ]
}

/// Nobody else has the page, so that it is reused; where the pin was a write fault, that has reused it already.
const STORED_AFTER_PIN: [Expectation; 3] = {
    let [never, reuse] = own(LAST_USER);
    [forced(&[NoFault], FORCED_COPY), never, reuse]
};

/// Whether a reading pin takes a shared page as it is.
pub const READ_PIN_OF_SHARED: &str = "unshare/readv-child-alive";
/// Whether a reading pin marks the page exclusive, and whether a store to it faults all the same: both are so where there is
/// an exclusive flag, and nowhere else (a pin that breaks the sharing by a write fault, on 5.8, leaves a writable PTE).
pub const READ_PIN: &str = "unshare/readv-child-exited";
/// See [`READ_PIN`].
pub const STORE_AFTER_READ_PIN: &str = "unshare/store-after-readv-child-exited";

pub(super) const SCENARIOS: &[Scenario] = &[
    Scenario {
        id: "unshare/readv-exclusive",
        summary: "process_vm_readv of a page that was never shared",
        path: "follow_page_pte(): gup_must_unshare() finds PageAnonExclusive, nothing to do (5.19 and later)",
        steps: &[Step::Fill],
        timed: Timed::ReadPin,
        expected: &[Expectation::any_of(&[NoFault], PIN_IS_READ_ONLY)],
        ..Scenario::BASE
    },
    Scenario {
        id: READ_PIN_OF_SHARED,
        summary: "process_vm_readv of a page shared with a living child",
        path: "gup_must_unshare() -> handle_mm_fault(FAULT_FLAG_UNSHARE) -> do_wp_page() -> wp_page_copy() (5.19 and later); by refcount follow_page_pte() takes the page as it is (5.9 to 5.18)",
        steps: &[Step::Fill, Step::Fork],
        mapping: Mapping::Anon(2),
        timed: Timed::ReadPin,
        expected: &of_shared(FORCED_COPY, UNSHARED),
        ..Scenario::BASE
    },
    Scenario {
        id: READ_PIN,
        summary: "process_vm_readv of a page whose other user has exited",
        path: "handle_mm_fault(FAULT_FLAG_UNSHARE) -> do_wp_page(): one reference: marked exclusive, PTE unchanged (5.19 and later); by refcount follow_page_pte() takes the page as it is (5.9 to 5.18)",
        steps: &[Step::Fill, Step::Fork, Step::ChildExits],
        timed: Timed::ReadPin,
        expected: &of_last_user(FORCED_COPY, UNSHARED),
        ..Scenario::BASE
    },
    Scenario {
        id: "unshare/readv-thp-child-alive",
        summary: "process_vm_readv of the first page of a PMD-mapped folio shared with a living child",
        path: "gup_must_unshare() -> do_huge_pmd_wp_page(): the PMD is split -> do_wp_page() -> wp_page_copy() of one page (5.19 and later); by refcount the page is taken as it is (5.9 to 5.18)",
        steps: &[Step::Fill, Step::Fork],
        memory: Memory::Thp,
        mapping: Mapping::Folio(2),
        timed: Timed::ReadPin,
        expected: &of_shared_folio(UNSHARED_PMD),
        long: true,
        ..Scenario::BASE
    },
    Scenario {
        id: "unshare/readv-thp-child-exited",
        summary: "process_vm_readv of the first page of a PMD-mapped folio whose other user has exited",
        path: "gup_must_unshare() -> do_huge_pmd_wp_page(): one reference: marked exclusive, PMD unchanged (5.19 and later); by refcount the page is taken as it is (5.9 to 5.18)",
        steps: &[Step::Fill, Step::Fork, Step::ChildExits],
        memory: Memory::Thp,
        mapping: Mapping::Folio(1),
        timed: Timed::ReadPin,
        expected: &[
            NOTHING,
            HUGE_LEFT,
            forced(&[UnshareReuse], AS_A_PAGE),
            Expectation::any_of(&[UnshareReuse], MARKED_PMD).since(FLAG),
        ],
        long: true,
        ..Scenario::BASE
    },
    Scenario {
        id: "unshare/readv-hugetlb-child-alive",
        summary: "process_vm_readv of a page of hugetlb's pool shared with a living child",
        path: "gup_must_unshare() -> hugetlb_wp(): mapped more than once -> a page from the pool, copied whole, mapped read-only (5.19 and later); by refcount the page is taken as it is (5.9 to 5.18)",
        steps: &[Step::Fill, Step::Fork],
        memory: Memory::Hugetlb,
        mapping: Mapping::Folio(2),
        timed: Timed::ReadPin,
        expected: &of_shared_folio(UNSHARED_POOLED),
        long: true,
        ..Scenario::BASE
    },
    Scenario {
        id: "unshare/readv-in-pipe",
        summary: "process_vm_readv of a page that a pipe holds and whose other user has exited",
        path: "handle_mm_fault(FAULT_FLAG_UNSHARE) -> do_wp_page(): the pipe's reference counts -> wp_page_copy() (5.19 and later); by refcount follow_page_pte() takes the page as it is (5.9 to 5.18)",
        steps: &[Step::Fill, Step::Vmsplice, Step::Fork, Step::ChildExits],
        timed: Timed::ReadPin,
        expected: &[
            NOTHING,
            forced(&[UnshareReuse], FORCED_COPY).under(Rules::MAPCOUNT),
            forced(&[UnshareCopy], FORCED_COPY),
            if_mapped(&[NoFault]),
            Expectation::any_of(&[UnshareReuse], UNSHARED_BY_MAPCOUNT).under(Rules::MAPCOUNT),
            Expectation::any_of(&[UnshareCopy], UNSHARED).since(FLAG),
        ],
        ..Scenario::BASE
    },
    Scenario {
        id: "unshare/store-after-readv-child-alive",
        summary: "a page shared with a living child was read by process_vm_readv; the parent stores",
        path: "the unshared page is exclusive, its PTE read-only: do_wp_page() -> wp_page_reuse() (5.19 and later); by refcount it is still shared -> wp_page_copy() (5.9 to 5.18)",
        steps: &[Step::Fill, Step::Fork, Step::ReadPinned],
        mapping: Mapping::Anon(1),
        mapping_elsewhere: &[STILL_SHARED],
        expected: &stored_after_shared(FORCED_COPY),
        ..Scenario::BASE
    },
    Scenario {
        id: STORE_AFTER_READ_PIN,
        summary: "a page whose other user has exited was read by process_vm_readv; the parent stores",
        path: "do_wp_page(): marked exclusive by the pin -> wp_page_reuse() with no further test (5.19 and later); else one reference -> wp_page_reuse()",
        steps: &[Step::Fill, Step::Fork, Step::ChildExits, Step::ReadPinned],
        expected: &STORED_AFTER_PIN,
        ..Scenario::BASE
    },
    Scenario {
        id: "unshare/direct-write-child-alive",
        summary: "O_DIRECT write from a page shared with a living child",
        path: "iov_iter_extract_pages() pins for reading (6.5): FAULT_FLAG_UNSHARE -> wp_page_copy()",
        steps: &[Step::Fill, Step::Fork],
        mapping: Mapping::Anon(2),
        timed: Timed::DirectWrite,
        max_pages: 256,
        expected: &{
            let [nothing, forced, _, unshared] =
                of_shared(DIRECT_FORCED_COPY, DIRECT_WRITE_UNSHARES);
            [nothing, forced, DIRECT_REFERENCES, unshared]
        },
        ..Scenario::BASE
    },
    Scenario {
        id: "unshare/direct-write-child-exited",
        summary: "O_DIRECT write from a page whose other user has exited",
        path: "iov_iter_extract_pages() pins for reading (6.5): FAULT_FLAG_UNSHARE marks the page exclusive",
        steps: &[Step::Fill, Step::Fork, Step::ChildExits],
        timed: Timed::DirectWrite,
        max_pages: 256,
        expected: &{
            let [nothing, forced_never, forced, _, never, unshared] =
                of_last_user(DIRECT_FORCED_COPY, DIRECT_WRITE_UNSHARES);
            [
                nothing,
                forced_never,
                forced,
                DIRECT_REFERENCES,
                never,
                unshared,
            ]
        },
        ..Scenario::BASE
    },
    Scenario {
        id: "unshare/store-after-direct-write",
        summary: "a page shared with a living child was written out with O_DIRECT; the parent stores",
        path: "the unshared page is exclusive: do_wp_page() -> wp_page_reuse() (6.5 and later); it is still shared -> wp_page_copy() (5.9 to 6.4)",
        steps: &[Step::Fill, Step::Fork, Step::WriteDirect],
        mapping: Mapping::Anon(1),
        mapping_elsewhere: &[STILL_SHARED, STILL_SHARED_BY_DIRECT],
        max_pages: 256,
        expected: &{
            let [taken, forced, never, _, reuse] = stored_after_shared(DIRECT_FORCED_COPY);
            let references = Expectation::any_of(&[Copy], SHARED)
                .pins(&[PinRule::Unshares])
                .before((6, 5));
            [taken, forced, references, never, reuse]
        },
        ..Scenario::BASE
    },
    Scenario {
        id: "unshare/readv-zero-page",
        summary: "process_vm_readv of the shared zero page",
        path: "follow_page_pte(): the zero page is not anonymous, and gup_must_unshare() allows the pin (5.19 and later)",
        steps: &[Step::Read],
        mapping: Mapping::ZeroPage,
        timed: Timed::ReadPin,
        memory: Memory::Small,
        expected: &[
            forced(&[UnshareCopy], FORCED_COPY),
            Expectation::any_of(&[NoFault], ZERO_PAGE_NOT_UNSHARED),
        ],
        ..Scenario::BASE
    },
];
