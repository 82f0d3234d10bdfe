//! Where a race takes place: the shared memory and what its threads need besides.

use super::shared::RaceShared;
use crate::measure::discards::Tracepoints;
use crate::measure::locks::Contention;
use crate::memory::area::Area;

/// What stays the same over the trials of a race.
pub struct RaceContext<'a> {
    /// The shared memory.
    pub shared: &'a RaceShared,
    /// How allocations are watched, where they can be.
    pub tracepoints: Option<&'a Tracepoints>,
    /// How waits for locks are watched, where they can be.
    pub locks: Option<&'a Contention>,
    /// Whether the kernel takes kprobes.
    pub probes: bool,
    /// The length of a clock tick in ns.
    pub tick_ns: f64,
}

impl RaceContext<'_> {
    /// Words of a raced area that are not as they must be in this process.
    pub fn violations(&self, area: &Area, fill: u64, tag: u64) -> u64 {
        crate::worker::race::integrity::violations(self.shared, area, fill, tag)
    }
}
