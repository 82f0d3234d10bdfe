//! Whether every byte of the raced pages is as it should be.

use super::shared::RaceShared;
use crate::memory::area::Area;
use crate::memory::pattern::thread_tag;
use crate::scenario::workload::Access;

pub(super) fn drops(shared: &RaceShared) -> bool {
    (0..shared.threads()).any(|thread| shared.race.access(thread) == Access::DontNeed)
}

/// Violations in this process: which has raced and stored with `tag`, or with 0 has not.
pub(crate) fn violations(shared: &RaceShared, area: &Area, fill: u64, tag: u64) -> u64 {
    if tag == 0 {
        return area.line_violations(fill, &vec![None; shared.threads()]);
    }
    let mut stored = Vec::with_capacity(shared.threads());
    for thread in 0..shared.threads() {
        let access = shared.race.access(thread);
        let stores = matches!(access, Access::Store | Access::StoreLocked);
        stored.push(stores.then(|| thread_tag(tag, thread)));
    }
    if drops(shared) {
        area.dropped_violations(&stored)
    } else {
        area.line_violations(fill, &stored)
    }
}
