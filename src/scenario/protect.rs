//! Write permission taken away and given back: whether the next store faults at all.

use super::era::Era;
use super::{Mapping, Scenario, Step};
use crate::record::outcome::Outcome::{Copy, NoFault, Reuse};
use crate::scenario::prediction::Prediction;
use crate::scenario::switched::Switched;

const MPROTECT: &str = "64fe24a3e05e (6.0): mprotect maps exclusive pages writable again";

/// The exclusive flag lets the write bit be restored at once; without it the next store faults, and reuses.
const WRITABLE_AGAIN: Prediction = Prediction {
    mapcount: &[Reuse],
    refcount: &[Reuse],
    exclusive: &[NoFault],
};

pub(super) const SCENARIOS: &[Scenario] = &[
    Scenario {
        id: "protect/mprotect",
        summary: "a page of one's own was made read-only by mprotect and writable again",
        path: "change_pte_range(): can_change_pte_writable() restores the write bit (6.0 and later); else wp_page_reuse()",
        steps: &[Step::Fill, Step::MprotectRoRw],
        expected: WRITABLE_AGAIN,
        eras: &[Era::between((5, 19), (6, 0), &[Reuse], MPROTECT)],
        switched: Switched::always(&[NoFault]),
        ..Scenario::BASE
    },
    Scenario {
        id: "protect/mprotect-child-exited",
        summary: "a child shared the page and has exited; then mprotect read-only and writable",
        path: "not marked exclusive, so mprotect leaves the PTE read-only: do_wp_page() -> wp_page_reuse()",
        steps: &[Step::Fill, Step::Fork, Step::ChildExits, Step::MprotectRoRw],
        expected: Prediction::always(&[Reuse]),
        basis: "read in can_change_pte_writable(): only exclusive anonymous pages",
        switched: Switched::LAST_USER,
        ..Scenario::BASE
    },
    Scenario {
        id: "protect/mprotect-after-reuse",
        summary: "as mprotect-child-exited, but the parent has stored to the page before mprotect",
        path: "do_wp_page() marks what it reuses exclusive, so mprotect restores the write bit (6.0 and later); else wp_page_reuse()",
        steps: &[
            Step::Fill,
            Step::Fork,
            Step::ChildExits,
            Step::Fill,
            Step::MprotectRoRw,
        ],
        expected: WRITABLE_AGAIN,
        eras: &[Era::between((5, 19), (6, 0), &[Reuse], MPROTECT)],
        switched: Switched::always(&[NoFault]),
        basis: "read in do_wp_page(): SetPageAnonExclusive() before wp_page_reuse(); in can_change_pte_writable(): exclusive anonymous pages",
        ..Scenario::BASE
    },
    Scenario {
        id: "protect/mprotect-child-alive",
        summary: "a living child shares the page; mprotect read-only and writable",
        path: "not marked exclusive, so mprotect leaves the PTE read-only: do_wp_page() -> wp_page_copy()",
        steps: &[Step::Fill, Step::Fork, Step::MprotectRoRw],
        mapping: Mapping::Anon(2),
        expected: Prediction::always(&[Copy]),
        basis: "read in can_change_pte_writable(): only exclusive anonymous pages",
        ..Scenario::BASE
    },
    Scenario {
        id: "protect/uffd-wp-undone",
        summary: "userfaultfd protected a page of one's own and lifted the protection",
        path: "uffd_wp_range(): MM_CP_TRY_CHANGE_WRITABLE restores the write bit (later than 6.1); else wp_page_reuse()",
        steps: &[Step::Fill, Step::UffdWpUndone],
        expected: WRITABLE_AGAIN,
        eras: &[
            Era::between((5, 19), (6, 2), &[Reuse], "observed on 6.1"),
            Era::between(
                (6, 2),
                (6, 12),
                &[Reuse, NoFault],
                "between 6.1 (reuse) and 6.12 (no fault), not observed",
            ),
        ],
        switched: Switched::always(&[NoFault]),
        ..Scenario::BASE
    },
    Scenario {
        id: "protect/uffd-wp-undone-child-exited",
        summary: "a child shared the page and has exited; then userfaultfd protected and unprotected it",
        path: "not marked exclusive: the PTE stays read-only: do_wp_page() -> wp_page_reuse()",
        steps: &[Step::Fill, Step::Fork, Step::ChildExits, Step::UffdWpUndone],
        expected: Prediction::always(&[Reuse]),
        basis: "read in can_change_pte_writable(): only exclusive anonymous pages",
        switched: Switched::LAST_USER,
        ..Scenario::BASE
    },
    Scenario {
        id: "protect/uffd-wp-async",
        summary: "userfaultfd's asynchronous protection is on a page of one's own",
        path: "do_wp_page(): clears the protection itself (6.7), then PageAnonExclusive -> wp_page_reuse()",
        steps: &[Step::Fill, Step::UffdWpAsync],
        expected: Prediction::always(&[Reuse]),
        basis: "observed on 6.12 and 7.2",
        switched: Switched::OWN,
        ..Scenario::BASE
    },
    Scenario {
        id: "protect/uffd-wp-async-child-alive",
        summary: "userfaultfd's asynchronous protection is on a page that a living child shares",
        path: "do_wp_page(): clears the protection itself (6.7), then wp_page_copy()",
        steps: &[Step::Fill, Step::Fork, Step::UffdWpAsync],
        mapping: Mapping::Anon(2),
        expected: Prediction::always(&[Copy]),
        basis: "read in do_wp_page() of 6.18",
        ..Scenario::BASE
    },
    Scenario {
        id: "protect/soft-dirty",
        summary: "the soft-dirty bit of a page of one's own was cleared",
        path: "do_wp_page(): exclusive, or one reference -> wp_page_reuse()",
        steps: &[Step::Fill, Step::SoftDirty],
        expected: Prediction::always(&[Reuse]),
        switched: Switched::OWN,
        ..Scenario::BASE
    },
];
