//! Threads of one process that store without waiting for each other: to the same pages, or each to pages of its own.

use super::race::{REUSED, SHARED, STORES};
use super::workload::{Race, RaceOutcome, Reach, Rendezvous, Workload};
use super::{Mapping, Scenario, Step};
use crate::record::outcome::Outcome::Copy;
use crate::scenario::expectation::{Expectation, Rules, last_user};
use crate::scenario::source::LAST_USER;

/// Every thread stores to every page.
const SAME: Race = Race {
    rendezvous: Rendezvous::Free,
    ..STORES
};

/// Each thread stores to a part of the area of its own: nobody else stores to its pages, so that nothing is discarded.
const DISJOINT: Race = Race {
    reach: Reach::Part,
    allowed: &[Expectation::any_of(&[RaceOutcome::COPY], SHARED)],
    ..SAME
};

/// The same of pages that are the process's alone.
const DISJOINT_ALONE: Race = Race {
    allowed: &[
        Expectation::any_of(&[RaceOutcome::COPY], SHARED).under(Rules::NEVER),
        Expectation::any_of(&[RaceOutcome::REUSE], REUSED),
    ],
    ..DISJOINT
};

const COPIES: Scenario = Scenario {
    steps: &[Step::Fill, Step::Fork],
    play: Workload::Race(DISJOINT),
    mapping: Mapping::Anon(2),
    expected: &[Expectation::any_of(&[Copy], SHARED)],
    long: true,
    ..Scenario::BASE
};

pub(super) const SCENARIOS: &[Scenario] = &[
    Scenario {
        id: "contention/sweep",
        summary: "a living child shares the area; each thread stores to every page as fast as it can",
        path: "do_wp_page() -> wp_page_copy(): the threads wait for the PTL, the mmap lock and each other's TLB flushes",
        play: Workload::Race(SAME),
        long: false,
        ..COPIES
    },
    Scenario {
        id: "contention/disjoint",
        summary: "a living child shares the area; each thread stores to pages of its own, all in one VMA",
        path: "do_wp_page() -> wp_page_copy(): other pages, but the same VMA, mmap lock, memory cgroup and zone",
        ..COPIES
    },
    Scenario {
        id: "contention/disjoint-vma-each",
        summary: "a living child shares the area; each thread stores to pages of its own, in a VMA of its own",
        path: "as contention/disjoint, but that each VMA has a lock of its own (6.4)",
        steps: &[Step::SplitParts, Step::Fill, Step::Fork],
        ..COPIES
    },
    Scenario {
        id: "contention/disjoint-child-exited",
        summary: "a child shared the area and has exited; each thread stores to pages of its own, all in one VMA",
        path: "do_wp_page() -> wp_page_reuse(): nothing is allocated and no other CPU flushed, so that locks alone are shared",
        steps: &[Step::Fill, Step::Fork, Step::ChildExits],
        play: Workload::Race(DISJOINT_ALONE),
        mapping: Mapping::Anon(1),
        expected: &last_user(LAST_USER),
        ..COPIES
    },
];
