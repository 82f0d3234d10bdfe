//! Situations in which the storing process is the page's last user.

use super::workload::{Actor, Workload};
use super::{Mapping, Scenario, Step};
use crate::scenario::expectation::{last_user, own};
use crate::scenario::source::{LAST_USER, OWN_PAGE};

pub(super) const SCENARIOS: &[Scenario] = &[
    Scenario {
        id: "reuse/child-exited",
        summary: "a child shared the page and has exited",
        path: "do_wp_page(): not marked exclusive, one reference (up to 5.8: one mapping) -> wp_page_reuse()",
        steps: &[Step::Fill, Step::Fork, Step::ChildExits],
        play: Workload::Stores(Actor::Parent),
        mapping: Mapping::Anon(1),
        expected: &last_user(LAST_USER),
        ..Scenario::BASE
    },
    Scenario {
        id: "reuse/last-mapper",
        summary: "a living child stored first and took a copy; the parent has the old page alone",
        path: "do_wp_page(): not marked exclusive, one reference (up to 5.8: one mapping) -> wp_page_reuse()",
        steps: &[Step::Fill, Step::Fork, Step::ChildStores],
        play: Workload::Stores(Actor::Parent),
        mapping: Mapping::Anon(1),
        expected: &last_user(LAST_USER),
        ..Scenario::BASE
    },
    Scenario {
        id: "reuse/exclusive",
        summary: "the page was never shared; only its PTE was write-protected",
        path: "do_wp_page(): PageAnonExclusive -> wp_page_reuse() with no further test (5.19 and later)",
        steps: &[Step::Fill, Step::WriteProtect],
        play: Workload::Stores(Actor::Parent),
        mapping: Mapping::Anon(1),
        expected: &own(OWN_PAGE),
        ..Scenario::BASE
    },
];
