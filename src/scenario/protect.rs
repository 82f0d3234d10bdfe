//! Write permission taken away and given back: whether the next store faults at all.

use super::{Mapping, Scenario, Step};
use crate::record::outcome::Outcome::{Copy, NoFault, Reuse};
use crate::scenario::expectation::{
    Basis, Expectation, FLAG, NEVER_REUSED, Rules, Version, last_user, own,
};
use crate::scenario::source::{
    MPROTECT_AFTER_REUSE, MPROTECT_LEAVES, MPROTECT_LEAVES_SHARED, MPROTECT_RESTORES,
    MPROTECT_THEN_COPIED, OWN_PAGE_ASYNC, SHARED_ASYNC, SOFT_DIRTY, UNPROTECT_LEAVES,
    UNPROTECT_LEAVES_SHARED, UNPROTECT_RESTORES,
};

/// The exclusive flag lets the write bit be restored at once; without it the next store faults, and reuses.
const fn restored_by_flag(left: Basis, restored: Basis) -> [Expectation; 3] {
    let reuse = Expectation::any_of(&[Reuse], left);
    [
        reuse.under(Rules::OWN_BEFORE_FLAG),
        reuse.under(Rules::SWITCHED).before(FLAG),
        Expectation::any_of(&[NoFault], restored),
    ]
}

/// The same by mprotect, which restores it from a version on.
pub(super) const fn writable_again(
    left: Basis,
    restored: Basis,
    from: Version,
) -> [Expectation; 5] {
    let not_yet = Expectation::any_of(&[Reuse], left)
        .under(Rules::OWN)
        .since(FLAG)
        .before(from);
    let [own, switched, restored] = restored_by_flag(left, restored);
    [NEVER_REUSED.before(FLAG), own, not_yet, switched, restored]
}

/// The same of a page that something besides its mapping refers to, which counts where references are counted and there is no
/// flag.
pub(super) const fn writable_again_if_referenced(counted: Basis, left: Basis) -> [Expectation; 7] {
    let copy = Expectation::any_of(&[Copy], counted);
    let reuse = Expectation::any_of(&[Reuse], left);
    [
        NEVER_REUSED.before(FLAG),
        copy.under(Rules::OWN_REFCOUNT),
        copy.under(Rules::REFCOUNT).before(FLAG),
        reuse.under(Rules::OWN_MAPCOUNT),
        reuse.under(Rules::MAPCOUNT).before(FLAG),
        reuse.under(Rules::OWN).since(FLAG).before((6, 0)),
        Expectation::any_of(&[NoFault], MPROTECT_RESTORES),
    ]
}

/// The same by userfaultfd, which restores it from 6.3 on.
const UNPROTECTED: [Expectation; 5] = {
    let not_yet = Expectation::any_of(&[Reuse], UNPROTECT_LEAVES)
        .under(Rules::OWN)
        .since(FLAG)
        .before((6, 3));
    let [own, switched, restored] = restored_by_flag(UNPROTECT_LEAVES, UNPROTECT_RESTORES);
    [NEVER_REUSED.before(FLAG), not_yet, own, switched, restored]
};

/// A userfaultfd that is closed leaves the entries read-only, and with its mark, up to 6.8: nobody asks for that mark any more.
const CLOSING_LEAVES: Basis = Basis::Source(
    "fs/userfaultfd.c: userfaultfd_release() in 5.10.262 (line 845), which leaves page tables alone; mm/memory.c: do_wp_page() in \
     5.10.262 (3148), which asks userfaultfd_pte_wp(), of the VMA first",
);
/// The change that lifts the protection was also brought to stable kernels of before 6.9.
const CLOSING_PERHAPS_RESTORES: Basis = Basis::Reasoned(
    "between 6.3, from which on lifting the protection restores the write bit, and 6.9, from which on closing lifts it: \
     c88033efe9a3 is in some stable kernels, too",
);
/// Closing lifts the protection (6.9), which restores the write bit of a page that is marked exclusive.
const CLOSING_RESTORES: Basis = Basis::Source(
    "c88033efe9a3 (6.9); mm/userfaultfd.c: userfaultfd_clear_vma() and uffd_wp_range() in 6.12.118 (lines 1917, 903); \
     mm/mprotect.c: can_change_pte_writable() in 6.12.118 (43)",
);
/// As [`CLOSING_RESTORES`]; but the page is not marked exclusive, so that the entry stays read-only.
const CLOSING_LEAVES_SHARED: Basis = Basis::Source(
    "fs/userfaultfd.c: userfaultfd_release() in 5.10.262 (line 845); mm/userfaultfd.c: userfaultfd_clear_vma() in 6.12.118 (1917); \
     mm/mprotect.c: can_change_pte_writable() in 6.12.118 (43); mm/memory.c: do_wp_page() in 5.10.262 (3148), 6.12.118 (3665)",
);

/// A pin for writing adds GUP_PIN_COUNTING_BIAS, 1,024, to the page's references.
const PIN_COUNTS: Basis = Basis::Source(
    "mm/memory.c: do_wp_page() in 5.10.262 (line 3148); mm/gup.c: try_grab_page() in 5.10.262 (197); io_uring/io_uring.c: \
     io_sqe_buffer_register() in 5.10.262 (8906)",
);
/// A pipe holds the reference that vmsplice took.
const PIPE_COUNTS: Basis = Basis::Source(
    "mm/memory.c: do_wp_page() in 5.10.262 (line 3148); fs/splice.c: iter_to_pipe() in 5.10.262 (1152)",
);

/// What a page of one's own comes to that a userfaultfd protected while it was closed.
const CLOSED: [Expectation; 6] = {
    let reuse = Expectation::any_of(&[Reuse], CLOSING_LEAVES);
    [
        NEVER_REUSED.before(FLAG),
        reuse.under(Rules::OWN_BEFORE_FLAG),
        reuse.before((6, 3)),
        Expectation::any_of(&[Reuse, NoFault], CLOSING_PERHAPS_RESTORES)
            .since((6, 3))
            .before((6, 9)),
        Expectation::any_of(&[NoFault], CLOSING_RESTORES).since((6, 9)),
        Expectation::any_of(&[Reuse, NoFault], CLOSING_PERHAPS_RESTORES),
    ]
};

pub(super) const SCENARIOS: &[Scenario] = &[
    Scenario {
        id: "protect/mprotect",
        summary: "a page of one's own was made read-only by mprotect and writable again",
        path: "none: change_pte_range() has restored the write bit, as can_change_pte_writable() allows (6.0 and later); else do_wp_page() -> wp_page_reuse()",
        steps: &[Step::Fill, Step::MprotectRoRw],
        expected: &writable_again(MPROTECT_LEAVES, MPROTECT_RESTORES, (6, 0)),
        ..Scenario::BASE
    },
    Scenario {
        id: "protect/mprotect-child-exited",
        summary: "a child shared the page and has exited; then mprotect read-only and writable",
        path: "not marked exclusive, so mprotect leaves the PTE read-only: do_wp_page() -> wp_page_reuse()",
        steps: &[Step::Fill, Step::Fork, Step::ChildExits, Step::MprotectRoRw],
        expected: &last_user(MPROTECT_LEAVES_SHARED),
        ..Scenario::BASE
    },
    Scenario {
        id: "protect/mprotect-after-reuse",
        summary: "as mprotect-child-exited, but the parent has stored to the page before mprotect",
        path: "none: do_wp_page() has marked what it reused exclusive, so mprotect has restored the write bit (6.0 and later); else do_wp_page() -> wp_page_reuse()",
        steps: &[
            Step::Fill,
            Step::Fork,
            Step::ChildExits,
            Step::Fill,
            Step::MprotectRoRw,
        ],
        expected: &writable_again(MPROTECT_LEAVES, MPROTECT_AFTER_REUSE, (6, 0)),
        ..Scenario::BASE
    },
    Scenario {
        id: "protect/mprotect-child-alive",
        summary: "a living child shares the page; mprotect read-only and writable",
        path: "not marked exclusive, so mprotect leaves the PTE read-only: do_wp_page() -> wp_page_copy()",
        steps: &[Step::Fill, Step::Fork, Step::MprotectRoRw],
        mapping: Mapping::Anon(2),
        expected: &[Expectation::any_of(&[Copy], MPROTECT_THEN_COPIED)],
        ..Scenario::BASE
    },
    Scenario {
        id: "protect/mprotect-io-uring",
        summary: "a page of one's own that is an io_uring buffer was made read-only by mprotect and writable again",
        path: "none: change_pte_range() has restored the write bit (6.0 and later); do_wp_page(): the pin is 1,024 references -> wp_page_copy(), and the buffer keeps the old page (5.9 to 5.18)",
        steps: &[Step::Fill, Step::RegisterBuffer, Step::MprotectRoRw],
        expected: &writable_again_if_referenced(PIN_COUNTS, MPROTECT_LEAVES),
        ..Scenario::BASE
    },
    Scenario {
        id: "protect/mprotect-vmsplice",
        summary: "a page of one's own that sits in a pipe was made read-only by mprotect and writable again",
        path: "none: change_pte_range() has restored the write bit (6.0 and later); do_wp_page(): the pipe's reference counts -> wp_page_copy() (5.9 to 5.18)",
        steps: &[Step::Fill, Step::Vmsplice, Step::MprotectRoRw],
        expected: &writable_again_if_referenced(PIPE_COUNTS, MPROTECT_LEAVES),
        long: true,
        ..Scenario::BASE
    },
    Scenario {
        id: "protect/prot-none",
        summary: "a page of one's own was made inaccessible by mprotect and writable again",
        path: "none: change_pte_range() has restored the write bit, as after read-only (6.0 and later); else do_wp_page() -> wp_page_reuse()",
        steps: &[Step::Fill, Step::ProtNoneAndBack],
        expected: &writable_again(MPROTECT_LEAVES, MPROTECT_RESTORES, (6, 0)),
        long: true,
        ..Scenario::BASE
    },
    Scenario {
        id: "protect/prot-none-child-alive",
        summary: "a living child shares the page; mprotect to no access and writable",
        path: "not marked exclusive, so mprotect leaves the PTE read-only: do_wp_page() -> wp_page_copy()",
        steps: &[Step::Fill, Step::Fork, Step::ProtNoneAndBack],
        mapping: Mapping::Anon(2),
        expected: &[Expectation::any_of(&[Copy], MPROTECT_THEN_COPIED)],
        long: true,
        ..Scenario::BASE
    },
    Scenario {
        id: "protect/uffd-wp-closed",
        summary: "userfaultfd protected a page of one's own, and was closed while it did",
        path: "none: userfaultfd_clear_vma() has lifted the protection and restored the write bit (6.9 and later); else do_wp_page() -> wp_page_reuse()",
        steps: &[Step::Fill, Step::UffdWpClosed],
        expected: &CLOSED,
        ..Scenario::BASE
    },
    Scenario {
        id: "protect/uffd-wp-closed-child-exited",
        summary: "a child shared the page and has exited; then userfaultfd protected it and was closed",
        path: "not marked exclusive: the PTE stays read-only, and nobody is asked: do_wp_page() -> wp_page_reuse()",
        steps: &[Step::Fill, Step::Fork, Step::ChildExits, Step::UffdWpClosed],
        expected: &last_user(CLOSING_LEAVES_SHARED),
        long: true,
        ..Scenario::BASE
    },
    Scenario {
        id: "protect/uffd-wp-undone",
        summary: "userfaultfd protected a page of one's own and lifted the protection",
        path: "none: uffd_wp_range() has restored the write bit by MM_CP_TRY_CHANGE_WRITABLE (6.3 and later); else do_wp_page() -> wp_page_reuse()",
        steps: &[Step::Fill, Step::UffdWpUndone],
        expected: &UNPROTECTED,
        ..Scenario::BASE
    },
    Scenario {
        id: "protect/uffd-wp-undone-child-exited",
        summary: "a child shared the page and has exited; then userfaultfd protected and unprotected it",
        path: "not marked exclusive: the PTE stays read-only: do_wp_page() -> wp_page_reuse()",
        steps: &[Step::Fill, Step::Fork, Step::ChildExits, Step::UffdWpUndone],
        expected: &last_user(UNPROTECT_LEAVES_SHARED),
        ..Scenario::BASE
    },
    Scenario {
        id: "protect/uffd-wp-async",
        summary: "userfaultfd's asynchronous protection is on a page of one's own",
        path: "do_wp_page(): clears the protection itself (6.7), then PageAnonExclusive -> wp_page_reuse()",
        steps: &[Step::Fill, Step::UffdWpAsync],
        expected: &own(OWN_PAGE_ASYNC),
        ..Scenario::BASE
    },
    Scenario {
        id: "protect/uffd-wp-async-child-alive",
        summary: "userfaultfd's asynchronous protection is on a page that a living child shares",
        path: "do_wp_page(): clears the protection itself (6.7), then wp_page_copy()",
        steps: &[Step::Fill, Step::Fork, Step::UffdWpAsync],
        mapping: Mapping::Anon(2),
        expected: &[Expectation::any_of(&[Copy], SHARED_ASYNC)],
        ..Scenario::BASE
    },
    Scenario {
        id: "protect/soft-dirty",
        summary: "the soft-dirty bit of a page of one's own was cleared",
        path: "do_wp_page(): exclusive, or one reference -> wp_page_reuse()",
        steps: &[Step::Fill, Step::SoftDirty],
        expected: &own(SOFT_DIRTY),
        ..Scenario::BASE
    },
];
