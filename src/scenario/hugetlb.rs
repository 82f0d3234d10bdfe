//! Pages of hugetlb's pool, which are decided by mapcount to this day. `--tune` reserves some.

use super::workload::{Actor, Workload};
use super::{Mapping, Scenario, Step};
use crate::memory::backing::Memory;
use crate::record::outcome::Outcome::{Copy, Fill, Reuse};
use crate::scenario::expectation::{Basis, Expectation};

const REUSE: &str = "hugetlb_wp(): mapped once and anonymous -> the entry is made writable";
const COPY: &str = "hugetlb_wp(): mapped more than once -> a page from the pool, copied whole";

const BASE: Scenario = Scenario {
    memory: Memory::Hugetlb,
    mapping: Mapping::Folio(1),
    ..Scenario::BASE
};

pub(super) const SCENARIOS: &[Scenario] = &[
    Scenario {
        id: "hugetlb/zero-fill",
        summary: "the first store to a page of the pool",
        path: "hugetlb_no_page(): a page from the pool, zeroed",
        steps: &[],
        mapping: Mapping::None,
        expected: &[Expectation::any_of(
            &[Fill],
            Basis::Reasoned("as touch/zero-fill"),
        )],
        ..BASE
    },
    Scenario {
        id: "hugetlb/child-alive",
        summary: "a living child shares the page",
        path: COPY,
        steps: &[Step::Fill, Step::Fork],
        mapping: Mapping::Folio(2),
        expected: &[Expectation::any_of(&[Copy], Basis::SEEN)],
        ..BASE
    },
    Scenario {
        id: "hugetlb/child-exited",
        summary: "a child shared the page and has exited",
        path: REUSE,
        steps: &[Step::Fill, Step::Fork, Step::ChildExits],
        expected: &[Expectation::any_of(&[Reuse], Basis::SEEN)],
        ..BASE
    },
    Scenario {
        id: "hugetlb/last-mapper",
        summary: "a living child stored first and took a copy; the parent has the old page alone",
        path: REUSE,
        steps: &[Step::Fill, Step::Fork, Step::ChildStores],
        expected: &[Expectation::any_of(&[Reuse], Basis::Source("hugetlb_wp()"))],
        ..BASE
    },
    Scenario {
        id: "hugetlb/in-child",
        summary: "the living parent shares the page; the child stores",
        path: COPY,
        steps: &[Step::Fill, Step::Fork],
        play: Workload::Stores(Actor::Child),
        mapping: Mapping::Folio(2),
        expected: &[Expectation::any_of(
            &[Copy],
            Basis::Reasoned("as hugetlb/child-alive"),
        )],
        ..BASE
    },
    Scenario {
        id: "hugetlb/vmsplice-then-fork",
        summary: "the page's first 4 KiB sit in a pipe; a child shared the page and has exited",
        path: "hugetlb_wp(): references do not count, mapped once -> the entry is made writable",
        steps: &[Step::Fill, Step::Vmsplice, Step::Fork, Step::ChildExits],
        expected: &[Expectation::any_of(
            &[Reuse],
            Basis::Source("hugetlb_wp(): mapcount decides"),
        )],
        ..BASE
    },
];
