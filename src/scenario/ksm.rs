//! Pages that ksmd merged. `--tune` starts ksmd for them.

use super::{Mapping, Scenario, Step};
use crate::record::outcome::Outcome::{Copy, Reuse};
use crate::scenario::expectation::{Expectation, Rules};
use crate::scenario::source::{KSM_COPIED, KSM_REUSED, KSM_SHARED};

const MOST: u32 = 512;

pub(super) const SCENARIOS: &[Scenario] = &[
    Scenario {
        id: "ksm/two-mappers",
        summary: "ksmd merged the page with another of the same content",
        path: "do_wp_page(): a KSM page is never reused -> wp_page_copy()",
        steps: &[Step::Fill, Step::Merge],
        mapping: Mapping::Merged(2),
        max_pages: MOST,
        expected: &[Expectation::any_of(&[Copy], KSM_SHARED)],
        ..Scenario::BASE
    },
    Scenario {
        id: "ksm/one-mapper-left",
        summary: "ksmd merged the page with another, which was unmapped since",
        path: "do_wp_page(): a KSM page is never reused, however few map it -> wp_page_copy(); up to 5.8 reuse_ksm_page()",
        steps: &[Step::Fill, Step::Merge, Step::TwinUnmaps],
        mapping: Mapping::Merged(1),
        max_pages: MOST,
        expected: &[
            Expectation::any_of(&[Reuse, Copy], KSM_REUSED).under(Rules::MAPCOUNT),
            Expectation::any_of(&[Copy], KSM_COPIED),
        ],
        ..Scenario::BASE
    },
    Scenario {
        id: "ksm/merged-then-child-exited",
        summary: "ksmd merged the page; a child shared it and has exited",
        path: "do_wp_page(): a KSM page -> wp_page_copy()",
        steps: &[Step::Fill, Step::Merge, Step::Fork, Step::ChildExits],
        mapping: Mapping::Merged(2),
        max_pages: MOST,
        expected: &[Expectation::any_of(&[Copy], KSM_SHARED)],
        ..Scenario::BASE
    },
];
