//! Whether every byte of the raced pages is as it should be.

use super::shared::RaceShared;
use crate::memory::area::{Area, Content};
use crate::memory::pattern::thread_tag;
use crate::scenario::workload::Access;

pub(super) fn drops(shared: &RaceShared) -> bool {
    (0..shared.threads()).any(|thread| shared.race.access(thread) == Access::DontNeed)
}

/// What pages held beforehand: a trial's tag is never 0.
fn content(fill: u64) -> Content {
    match fill {
        0 => Content::Zero,
        tag => Content::Filled(tag),
    }
}

/// Violations in this process: which has raced and stored with `tag`, or with 0 has not.
pub(crate) fn violations(shared: &RaceShared, area: &Area, fill: u64, tag: u64) -> u64 {
    let threads = shared.threads();
    let stored = |page: usize, thread: usize| {
        let access = shared.race.access(thread);
        let stores = tag != 0 && matches!(access, Access::Store | Access::StoreLocked);
        let reaches = shared.pages_of(thread).contains(&page);
        (stores && reaches).then(|| thread_tag(tag, thread))
    };
    if tag != 0 && drops(shared) {
        area.dropped_violations(threads, stored)
    } else {
        area.line_violations(content(fill), threads, stored)
    }
}
