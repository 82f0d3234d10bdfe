//! Read-only pins: the page is unshared without a store, and what the next store then does.

use super::{Mapping, Scenario, Step, Timed};
use crate::memory::backing::Memory;
use crate::record::outcome::Outcome;
use crate::record::outcome::Outcome::{Copy, NoFault, Reuse, UnshareCopy, UnshareMark};
use crate::scenario::expectation::{Basis, Expectation, FLAG, Rules, Version, own};
use crate::scenario::source::{
    DIRECT_FORCED_COPY, DIRECT_WRITE_REFERENCES, DIRECT_WRITE_UNSHARES, FORCED_COPY, LAST_USER,
    NOTHING_UNSHARED, PIN_IS_READ_ONLY, SHARED, UNSHARED, UNSHARED_BY_MAPCOUNT, UNSHARED_NEVER,
    UNSHARED_THEN_STORED, ZERO_PAGE_NOT_UNSHARED,
};

/// A kernel that breaks the sharing by a write fault before it pins.
const FORCED: Version = (5, 8);

/// Nothing is unshared before the exclusive flag, whose kernels unshare under every rule that they are switched to.
const NOTHING_BEFORE: Expectation =
    Expectation::any_of(&[NoFault], NOTHING_UNSHARED).under(Rules::OWN_REFCOUNT);
const NOTHING_WHEN_SWITCHED_BEFORE: Expectation =
    NOTHING_BEFORE.under(Rules::SWITCHED).before(FLAG);

/// By mapcount a pin for reading is a write fault, which comes to `outcomes`: in 5.8, and in stable releases of versions
/// before it from some release on, so that of those `either` is expected.
const fn forced(
    outcomes: &'static [Outcome],
    either: &'static [Outcome],
    basis: Basis,
) -> [Expectation; 2] {
    [
        Expectation::any_of(outcomes, basis)
            .under(Rules::OWN_MAPCOUNT)
            .since(FORCED),
        Expectation::any_of(either, basis).under(Rules::OWN_MAPCOUNT),
    ]
}

const COPIED_BY_FORCE: [Expectation; 2] =
    forced(&[UnshareCopy], &[NoFault, UnshareCopy], FORCED_COPY);
const REUSED_BY_FORCE: [Expectation; 2] =
    forced(&[UnshareMark], &[NoFault, UnshareMark], FORCED_COPY);
const COPIED_BY_DIRECT_FORCE: [Expectation; 2] =
    forced(&[UnshareCopy], &[NoFault, UnshareCopy], DIRECT_FORCED_COPY);
const REUSED_BY_DIRECT_FORCE: [Expectation; 2] =
    forced(&[UnshareMark], &[NoFault, UnshareMark], DIRECT_FORCED_COPY);

/// A pin for reading unshares: it comes to `outcomes`, and to `never` where nothing but exclusive pages is reused.
const fn unshared(
    forced: [Expectation; 2],
    outcomes: &'static [Outcome],
    never: &'static [Outcome],
    basis: Basis,
) -> [Expectation; 6] {
    let [since, perhaps] = forced;
    [
        since,
        perhaps,
        NOTHING_BEFORE,
        NOTHING_WHEN_SWITCHED_BEFORE,
        Expectation::any_of(never, UNSHARED_NEVER).under(Rules::NEVER),
        Expectation::any_of(outcomes, basis),
    ]
}

/// As [`unshared`], by O_DIRECT, which takes pins from 6.5 on.
const fn unshared_by_pins(
    forced: [Expectation; 2],
    outcomes: &'static [Outcome],
    never: &'static [Outcome],
    basis: Basis,
) -> [Expectation; 7] {
    let [since, perhaps, own, switched, never, any] = unshared(forced, outcomes, never, basis);
    let references = Expectation::any_of(&[NoFault], DIRECT_WRITE_REFERENCES)
        .under(Rules::EXCLUSIVE)
        .since(FLAG)
        .before((6, 5));
    [since, perhaps, references, own, switched, never, any]
}

/// Where nothing is unshared the page stays mapped twice.
const STILL_SHARED: [Expectation<Mapping>; 2] = {
    let shared = Expectation::of(Mapping::Anon(2), NOTHING_UNSHARED);
    [
        shared.under(Rules::OWN_REFCOUNT),
        shared.under(Rules::SWITCHED).before(FLAG),
    ]
};

/// As [`STILL_SHARED`], by O_DIRECT, which takes pins from 6.5 on.
const STILL_SHARED_BY_DIRECT: [Expectation<Mapping>; 3] = {
    let [own, switched] = STILL_SHARED;
    let references = Expectation::of(Mapping::Anon(2), DIRECT_WRITE_REFERENCES)
        .under(Rules::EXCLUSIVE)
        .before((6, 5));
    [own, switched, references]
};

/// The page was unshared, so that it is the process's own; where nothing is unshared it is copied. Stable releases of
/// versions before 5.8 that do not unshare leave it mapped twice, which no proof takes for its state.
const fn reused_if_unshared(basis: Basis) -> [Expectation; 4] {
    let shared = Expectation::any_of(&[Copy], SHARED);
    [
        Expectation::any_of(&[NoFault], basis).under(Rules::OWN_MAPCOUNT),
        shared.under(Rules::OWN_REFCOUNT),
        shared.under(Rules::SWITCHED).before(FLAG),
        Expectation::any_of(&[Reuse], UNSHARED_THEN_STORED),
    ]
}

/// As [`reused_if_unshared`], by O_DIRECT, which takes pins from 6.5 on.
const REUSED_IF_UNSHARED_BY_DIRECT: [Expectation; 5] = {
    let references = Expectation::any_of(&[Copy], SHARED)
        .under(Rules::EXCLUSIVE)
        .before((6, 5));
    let [forced, own, switched, reuse] = reused_if_unshared(DIRECT_FORCED_COPY);
    [forced, references, own, switched, reuse]
};

/// Nobody else has the page, so that it is reused; where the pin was a write fault, that has reused it already.
const STORED_AFTER_PIN: [Expectation; 4] = {
    let [since, perhaps] = forced(&[NoFault], &[Reuse, NoFault], FORCED_COPY);
    let [never, reuse] = own(LAST_USER);
    [since, perhaps, never, reuse]
};

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
        id: "unshare/readv-child-alive",
        summary: "process_vm_readv of a page shared with a living child",
        path: "gup_must_unshare() -> handle_mm_fault(FAULT_FLAG_UNSHARE) -> do_wp_page() -> wp_page_copy() (5.19 and later); by refcount follow_page_pte() takes the page as it is (5.9 to 5.18)",
        steps: &[Step::Fill, Step::Fork],
        mapping: Mapping::Anon(2),
        timed: Timed::ReadPin,
        expected: &unshared(COPIED_BY_FORCE, &[UnshareCopy], &[UnshareCopy], UNSHARED),
        ..Scenario::BASE
    },
    Scenario {
        id: READ_PIN,
        summary: "process_vm_readv of a page whose other user has exited",
        path: "handle_mm_fault(FAULT_FLAG_UNSHARE) -> do_wp_page(): one reference: marked exclusive, PTE unchanged (5.19 and later); by refcount follow_page_pte() takes the page as it is (5.9 to 5.18)",
        steps: &[Step::Fill, Step::Fork, Step::ChildExits],
        timed: Timed::ReadPin,
        expected: &unshared(REUSED_BY_FORCE, &[UnshareMark], &[UnshareCopy], UNSHARED),
        ..Scenario::BASE
    },
    Scenario {
        id: "unshare/readv-in-pipe",
        summary: "process_vm_readv of a page that a pipe holds and whose other user has exited",
        path: "handle_mm_fault(FAULT_FLAG_UNSHARE) -> do_wp_page(): the pipe's reference counts -> wp_page_copy() (5.19 and later); by refcount follow_page_pte() takes the page as it is (5.9 to 5.18)",
        steps: &[Step::Fill, Step::Vmsplice, Step::Fork, Step::ChildExits],
        timed: Timed::ReadPin,
        expected: &[
            REUSED_BY_FORCE[0],
            REUSED_BY_FORCE[1],
            NOTHING_BEFORE,
            NOTHING_WHEN_SWITCHED_BEFORE,
            Expectation::any_of(&[UnshareMark], UNSHARED_BY_MAPCOUNT)
                .under(Rules::SWITCHED_TO_MAPCOUNT),
            Expectation::any_of(&[UnshareCopy], UNSHARED),
        ],
        ..Scenario::BASE
    },
    Scenario {
        id: "unshare/store-after-readv-child-alive",
        summary: "a page shared with a living child was read by process_vm_readv; the parent stores",
        path: "the unshared page is exclusive, its PTE read-only: do_wp_page() -> wp_page_reuse() (5.19 and later); by refcount it is still shared -> wp_page_copy() (5.9 to 5.18)",
        steps: &[Step::Fill, Step::Fork, Step::ReadPinned],
        mapping: Mapping::Anon(1),
        mapping_elsewhere: &STILL_SHARED,
        expected: &reused_if_unshared(FORCED_COPY),
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
        expected: &unshared_by_pins(
            COPIED_BY_DIRECT_FORCE,
            &[UnshareCopy],
            &[UnshareCopy],
            DIRECT_WRITE_UNSHARES,
        ),
        ..Scenario::BASE
    },
    Scenario {
        id: "unshare/direct-write-child-exited",
        summary: "O_DIRECT write from a page whose other user has exited",
        path: "iov_iter_extract_pages() pins for reading (6.5): FAULT_FLAG_UNSHARE marks the page exclusive",
        steps: &[Step::Fill, Step::Fork, Step::ChildExits],
        timed: Timed::DirectWrite,
        max_pages: 256,
        expected: &unshared_by_pins(
            REUSED_BY_DIRECT_FORCE,
            &[UnshareMark],
            &[UnshareCopy],
            DIRECT_WRITE_UNSHARES,
        ),
        ..Scenario::BASE
    },
    Scenario {
        id: "unshare/store-after-direct-write",
        summary: "a page shared with a living child was written out with O_DIRECT; the parent stores",
        path: "the unshared page is exclusive: do_wp_page() -> wp_page_reuse() (6.5 and later); it is still shared -> wp_page_copy() (5.9 to 6.4)",
        steps: &[Step::Fill, Step::Fork, Step::WriteDirect],
        mapping: Mapping::Anon(1),
        mapping_elsewhere: &STILL_SHARED_BY_DIRECT,
        max_pages: 256,
        expected: &REUSED_IF_UNSHARED_BY_DIRECT,
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
            COPIED_BY_FORCE[0],
            COPIED_BY_FORCE[1],
            Expectation::any_of(&[NoFault], ZERO_PAGE_NOT_UNSHARED),
        ],
        ..Scenario::BASE
    },
];
