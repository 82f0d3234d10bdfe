//! Where a race takes place: the shared memory and what its threads need besides.

use super::shared::RaceShared;
use super::thread::{self, ThreadContext};
use crate::measure::discards::Tracepoints;
use crate::measure::locks::Contention;
use crate::memory::area::Area;
use crate::memory::pipe::PipeHold;
use crate::scenario::workload::{Actor, OtherProcess};

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
    /// Takes this process's part in the race: as the one whose threads race, or as the `forked`
    /// other process. Tells the number of complaints, which are in the shared memory.
    pub fn race(&self, area: &Area, pipe: Option<&PipeHold>, forked: bool) -> u64 {
        let field = ThreadContext {
            shared: self.shared,
            area,
            pipe,
            tracepoints: self.tracepoints,
            locks: self.locks,
            probes: self.probes,
            tick_ns: self.tick_ns,
        };
        let race = &self.shared.race;
        if forked && race.within == Actor::Parent && race.other_process == OtherProcess::Unmaps {
            thread::unmap(&field)
        } else {
            thread::run(&field)
        }
    }

    /// Words of a raced area that are not as they must be in this process.
    pub fn violations(&self, area: &Area, fill: u64, tag: u64) -> u64 {
        crate::worker::race::integrity::violations(self.shared, area, fill, tag)
    }
}
