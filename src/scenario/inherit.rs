//! What children inherit: ranges kept from them, several of them, and pages given up lazily.

use super::workload::{Actor, Workload};
use super::{Mapping, Scenario, Step};
use crate::record::outcome::Outcome::{Copy, Fill, NoFault};
use crate::scenario::expectation::{Expectation, last_user};
use crate::scenario::source::{
    LAZILY_FREED, LAZILY_FREED_LAST_USER, LAZILY_FREED_SHARED, NOT_FORKED, ONE_ADDRESS_SPACE,
    SHARED, WIPED,
};
use crate::scenario::touch::NOTHING_MAPPED;

const NOT_COPIED: &str = "none: fork leaves the range out, so its PTEs stay writable";

pub(super) const SCENARIOS: &[Scenario] = &[
    Scenario {
        id: "inherit/dontfork",
        summary: "the range is MADV_DONTFORK; a child lives",
        path: NOT_COPIED,
        steps: &[Step::Fill, Step::DontFork, Step::Fork],
        expected: &[Expectation::any_of(&[NoFault], NOT_FORKED)],
        ..Scenario::BASE
    },
    Scenario {
        id: "inherit/wipeonfork",
        summary: "the range is MADV_WIPEONFORK; a child lives; the parent stores",
        path: NOT_COPIED,
        steps: &[Step::Fill, Step::WipeOnFork, Step::Fork],
        expected: &[Expectation::any_of(&[NoFault], NOT_FORKED)],
        ..Scenario::BASE
    },
    Scenario {
        id: "inherit/wipeonfork-in-child",
        summary: "the range is MADV_WIPEONFORK; the child, which has read it as zeroes, stores",
        path: "do_wp_page() of the zero page -> wp_page_copy()",
        steps: &[Step::Fill, Step::WipeOnFork, Step::Fork],
        play: Workload::Stores(Actor::Child),
        mapping: Mapping::ZeroPage,
        expected: &[Expectation::any_of(&[Copy], WIPED)],
        ..Scenario::BASE
    },
    Scenario {
        id: "inherit/vfork",
        summary: "a child made by vfork has read the page in this very address space and has exited",
        path: "none: vfork copies no page table",
        steps: &[Step::Fill, Step::Vfork],
        expected: &[Expectation::any_of(&[NoFault], ONE_ADDRESS_SPACE)],
        ..Scenario::BASE
    },
    Scenario {
        id: "inherit/two-children-one-gone",
        summary: "two children shared the page; one has exited",
        path: "do_wp_page(): two mappings, two references -> wp_page_copy()",
        steps: &[Step::Fill, Step::Fork, Step::ForkAgain, Step::SecondExits],
        mapping: Mapping::Anon(2),
        expected: &[Expectation::any_of(&[Copy], SHARED)],
        ..Scenario::BASE
    },
    Scenario {
        id: "inherit/two-children",
        summary: "two living children share the page",
        path: "do_wp_page(): three mappings -> wp_page_copy()",
        steps: &[Step::Fill, Step::Fork, Step::ForkAgain],
        mapping: Mapping::Anon(3),
        expected: &[Expectation::any_of(&[Copy], SHARED)],
        ..Scenario::BASE
    },
    Scenario {
        id: "inherit/grandchild",
        summary: "the child has exited but its own child lives and shares the page",
        path: "do_wp_page(): two mappings, two references -> wp_page_copy()",
        steps: &[Step::Fill, Step::Fork, Step::Grandchild],
        mapping: Mapping::Anon(2),
        expected: &[Expectation::any_of(&[Copy], SHARED)],
        ..Scenario::BASE
    },
    Scenario {
        id: "inherit/madv-free",
        summary: "a page of one's own was given up by MADV_FREE and is stored to before it is reclaimed",
        path: "none: MADV_FREE makes the PTE clean and old and leaves it writable",
        steps: &[Step::Fill, Step::MadvFree],
        expected: &[Expectation::any_of(&[NoFault], LAZILY_FREED)],
        ..Scenario::BASE
    },
    Scenario {
        id: "inherit/madv-free-child-exited",
        summary: "a page given up by MADV_FREE was shared by a child that has exited",
        path: "do_wp_page(): one reference -> wp_page_reuse()",
        steps: &[Step::Fill, Step::MadvFree, Step::Fork, Step::ChildExits],
        expected: &last_user(LAZILY_FREED_LAST_USER),
        ..Scenario::BASE
    },
    Scenario {
        id: "inherit/madv-free-child-alive",
        summary: "a page given up by MADV_FREE is shared by a living child",
        path: "do_wp_page() -> wp_page_copy()",
        steps: &[Step::Fill, Step::MadvFree, Step::Fork],
        mapping: Mapping::Anon(2),
        expected: &[Expectation::any_of(&[Copy], LAZILY_FREED_SHARED)],
        ..Scenario::BASE
    },
    Scenario {
        id: "inherit/untouched",
        summary: "a child forked before the page was touched; the parent makes the first store",
        path: "do_anonymous_page() allocates a zeroed page: nothing is shared",
        steps: &[Step::Fork],
        mapping: Mapping::None,
        expected: &[Expectation::any_of(&[Fill], NOTHING_MAPPED)],
        ..Scenario::BASE
    },
];
