//! First stores: nothing of one's own is mapped yet.

use super::workload::{Actor, Workload};
use super::{Mapping, Scenario, Step};
use crate::record::outcome::Outcome::{Copy, Fill};
use crate::scenario::expectation::{Basis, Expectation};
use crate::scenario::source::ZERO_PAGE;

/// What was not mapped before the store and is afterwards counts as filled.
pub(super) const NOTHING_MAPPED: Basis = Basis::Construction(
    "a page that was not mapped before the store counts as filled, however the kernel made it",
);

pub(super) const SCENARIOS: &[Scenario] = &[
    Scenario {
        id: "touch/zero-fill",
        summary: "the first store to a page that nobody touched",
        path: "do_anonymous_page() allocates a zeroed page",
        steps: &[],
        play: Workload::Stores(Actor::Parent),
        mapping: Mapping::None,
        expected: &[Expectation::any_of(&[Fill], NOTHING_MAPPED)],
        ..Scenario::BASE
    },
    Scenario {
        id: "touch/zero-page",
        summary: "the page was read first, so it maps the shared zero page",
        path: "do_wp_page() -> wp_page_copy(), which zeroes a new page instead of copying",
        steps: &[Step::Read],
        play: Workload::Stores(Actor::Parent),
        mapping: Mapping::ZeroPage,
        expected: &[Expectation::any_of(&[Copy], ZERO_PAGE)],
        ..Scenario::BASE
    },
];
