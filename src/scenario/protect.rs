//! Write permission taken away and given back: whether the next store faults at all.

use super::{Mapping, Scenario, Step};
use crate::record::outcome::Outcome::{Copy, NoFault, Reuse};
use crate::scenario::expectation::{Basis, Expectation, FLAG, NEVER_REUSED, Rules, last_user, own};
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

/// The same by mprotect, which restores it from 6.0 on.
const fn writable_again(restored: Basis) -> [Expectation; 5] {
    let not_yet = Expectation::any_of(&[Reuse], MPROTECT_LEAVES)
        .under(Rules::OWN)
        .since(FLAG)
        .before((6, 0));
    let [own, switched, restored] = restored_by_flag(MPROTECT_LEAVES, restored);
    [NEVER_REUSED.before(FLAG), own, not_yet, switched, restored]
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

pub(super) const SCENARIOS: &[Scenario] = &[
    Scenario {
        id: "protect/mprotect",
        summary: "a page of one's own was made read-only by mprotect and writable again",
        path: "none: change_pte_range() has restored the write bit, as can_change_pte_writable() allows (6.0 and later); else do_wp_page() -> wp_page_reuse()",
        steps: &[Step::Fill, Step::MprotectRoRw],
        expected: &writable_again(MPROTECT_RESTORES),
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
        expected: &writable_again(MPROTECT_AFTER_REUSE),
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
