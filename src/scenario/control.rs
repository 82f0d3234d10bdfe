//! Controls: what the measurement itself costs.

use super::workload::{Actor, Workload};
use super::{Mapping, Scenario, Step};
use crate::record::outcome::Outcome::NoFault;
use crate::scenario::expectation::Expectation;
use crate::scenario::source::FIRST_STORE;

pub(super) const SCENARIOS: &[Scenario] = &[Scenario {
    id: "control/no-fault",
    summary: "the page is mapped writable: the floor of the measurement",
    path: "none: the store finds a writable PTE and the kernel is not entered",
    steps: &[Step::Fill],
    play: Workload::Stores(Actor::Parent),
    mapping: Mapping::Anon(1),
    expected: &[Expectation::any_of(&[NoFault], FIRST_STORE)],
    ..Scenario::BASE
}];
