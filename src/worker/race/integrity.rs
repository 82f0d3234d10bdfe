//! Whether every byte of the raced pages is as it should be.

use super::shared::RaceShared;
use crate::memory::area::Area;
use crate::memory::pattern::thread_tag;
use crate::scenario::workload::Access;

pub(super) fn drops(floor: &RaceShared) -> bool {
    (0..floor.threads()).any(|thread| floor.race.access(thread) == Access::DontNeed)
}

/// Violations in this process: which has raced and stored with `tag`, or with 0 has not.
pub(crate) fn violations(floor: &RaceShared, area: &Area, fill: u64, tag: u64) -> u64 {
    if tag == 0 {
        let nothing = [None; 16];
        return area.line_violations(fill, &nothing[..floor.threads().min(16)]);
    }
    let mut stored = Vec::with_capacity(floor.threads());
    for thread in 0..floor.threads() {
        let stores = floor.race.access(thread) == Access::Store;
        stored.push(stores.then(|| thread_tag(tag, thread)));
    }
    if drops(floor) {
        area.dropped_violations(&stored)
    } else {
        area.line_violations(fill, &stored)
    }
}
