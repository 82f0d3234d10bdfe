//! Where a race takes place: the shared memory and what its threads need besides.

use super::shared::RaceShared;
use crate::measure::discards::Tracepoints;
use crate::measure::locks::{LockWatch, WaitWatches};
use crate::memory::area::Area;
use crate::record::race::WaitedFor;

/// What stays the same over the trials of a race.
pub struct RaceContext<'a> {
    /// The shared memory.
    pub shared: &'a RaceShared,
    /// How allocations are watched, where they can be.
    pub tracepoints: Option<&'a Tracepoints>,
    /// How waits are watched, where they can be.
    pub locks: &'a WaitWatches,
    /// Whether the kernel takes kprobes.
    pub probes: bool,
    /// The length of a clock tick in ns.
    pub tick_ns: f64,
}

impl RaceContext<'_> {
    /// Watches of the calling thread for waits of these kinds; where one cannot be had, it is missing.
    pub(super) fn wait_watches(
        &self,
        kinds: &[WaitedFor],
        waits: usize,
    ) -> Vec<(WaitedFor, LockWatch)> {
        let open = |&what: &WaitedFor| {
            let events = *self.locks.get(&what)?.as_ref().ok()?;
            Some((what, LockWatch::open(events, waits).ok()?))
        };
        kinds.iter().filter_map(open).collect()
    }

    /// Words of a raced area that are not as they must be in this process.
    pub fn violations(&self, area: &Area, fill: u64, tag: u64) -> u64 {
        crate::worker::race::integrity::violations(self.shared, area, fill, tag)
    }
}
