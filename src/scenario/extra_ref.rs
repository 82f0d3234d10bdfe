//! Situations in which something other than a mapping holds a reference: they tell the strategies apart.

use super::outcome::Outcome::{Copy, Reuse};
use super::play::{Actor, Play};
use super::{Mapping, Prediction, Scenario, Step};

/// Mapcount reuses, the others copy.
pub const VMSPLICE_THEN_FORK: &str = "extra-ref/vmsplice-then-fork";
/// Refcount copies, the others reuse.
pub const VMSPLICE_NEVER_FORKED: &str = "extra-ref/vmsplice-never-forked";

pub(super) const SCENARIOS: &[Scenario] = &[
    Scenario {
        id: VMSPLICE_THEN_FORK,
        summary: "the page sits in a pipe; a child shared it and has exited",
        path: "do_wp_page(): no longer marked exclusive, and the pipe's reference counts (5.9 and later) -> wp_page_copy()",
        steps: &[Step::Fill, Step::Vmsplice, Step::Fork, Step::ChildExits],
        play: Play::Stores(Actor::Parent),
        mapping: Mapping::Anon(1),
        expected: Prediction {
            mapcount: &[Reuse],
            refcount: &[Copy],
            exclusive: &[Copy],
        },
    },
    Scenario {
        id: VMSPLICE_NEVER_FORKED,
        summary: "the page sits in a pipe and was never shared; its PTE was write-protected",
        path: "do_wp_page(): PageAnonExclusive -> wp_page_reuse() (5.19 and later); by refcount it is copied (5.9 to 5.18)",
        steps: &[Step::Fill, Step::Vmsplice, Step::WriteProtect],
        play: Play::Stores(Actor::Parent),
        mapping: Mapping::Anon(1),
        expected: Prediction {
            mapcount: &[Reuse],
            refcount: &[Copy],
            exclusive: &[Reuse],
        },
    },
];
