//! Threads of one process that store to the same pages without waiting for each other.

use super::race::{SHARED, STORES};
use super::workload::{Race, Rendezvous, Workload};
use super::{Mapping, Scenario, Step};
use crate::record::outcome::Outcome::Copy;
use crate::scenario::expectation::Expectation;

pub(super) const SCENARIOS: &[Scenario] = &[Scenario {
    id: "contention/sweep",
    summary: "a living child shares the area; each thread stores to every page as fast as it can",
    path: "do_wp_page() -> wp_page_copy(): the threads wait for the PTL, the mmap lock and each other's TLB flushes",
    steps: &[Step::Fill, Step::Fork],
    play: Workload::Race(Race {
        rendezvous: Rendezvous::Free,
        ..STORES
    }),
    mapping: Mapping::Anon(2),
    expected: &[Expectation::any_of(&[Copy], SHARED)],
    ..Scenario::BASE
}];
