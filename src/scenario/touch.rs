//! First stores: nothing of one's own is mapped yet.

use super::workload::{Actor, Workload};
use super::{Mapping, Scenario, Step};
use crate::record::outcome::Outcome::{Copy, Fill};
use crate::scenario::expectation::{Basis, Expectation};

pub(super) const SCENARIOS: &[Scenario] = &[
    Scenario {
        id: "touch/zero-fill",
        summary: "the first store to a page that nobody touched",
        path: "do_anonymous_page() allocates a zeroed page",
        steps: &[],
        play: Workload::Stores(Actor::Parent),
        mapping: Mapping::None,
        expected: &[Expectation::any_of(&[Fill], Basis::SEEN)],
        ..Scenario::BASE
    },
    Scenario {
        id: "touch/zero-page",
        summary: "the page was read first, so it maps the shared zero page",
        path: "do_wp_page() -> wp_page_copy(), which zeroes a new page instead of copying",
        steps: &[Step::Read],
        play: Workload::Stores(Actor::Parent),
        mapping: Mapping::ZeroPage,
        expected: &[Expectation::any_of(&[Copy], Basis::SEEN)],
        ..Scenario::BASE
    },
];
