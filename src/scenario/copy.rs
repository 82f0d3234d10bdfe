//! Situations in which another process still maps the page.

use super::workload::{Actor, Workload};
use super::{Mapping, Scenario, Step};
use crate::record::outcome::Outcome::Copy;
use crate::scenario::expectation::Expectation;
use crate::scenario::source::SHARED;

pub(super) const SCENARIOS: &[Scenario] = &[
    Scenario {
        id: "copy/child-alive",
        summary: "a living child shares the page; the parent stores",
        path: "do_wp_page() -> wp_page_copy(): allocate, copy, retake the PTL, replace the PTE, flush",
        steps: &[Step::Fill, Step::Fork],
        play: Workload::Stores(Actor::Parent),
        mapping: Mapping::Anon(2),
        expected: &[Expectation::any_of(&[Copy], SHARED)],
        ..Scenario::BASE
    },
    Scenario {
        id: "copy/in-child",
        summary: "the living parent shares the page; the child stores",
        path: "do_wp_page() -> wp_page_copy(), in the child's address space",
        steps: &[Step::Fill, Step::Fork],
        play: Workload::Stores(Actor::Child),
        mapping: Mapping::Anon(2),
        expected: &[Expectation::any_of(&[Copy], SHARED)],
        ..Scenario::BASE
    },
];
