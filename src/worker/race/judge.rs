//! What became of each raced page: frame numbers before and after, and what each thread allocated and
//! freed there.

use std::collections::BTreeMap;

use super::shared::RaceShared;
use crate::measure::clock::{WentBack, elapsed};
use crate::measure::discards::{Allocated, events};
use crate::memory::pagemap::Entry;
use crate::record::counts::RaceCounts;
use crate::record::race::{FrameChange, ThreadOutcome};
use crate::scenario::workload::{Access, DiscardCounting, OtherProcess};

/// What became of the pages of one watched trial.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Judged {
    /// What the pages came to.
    pub counts: RaceCounts,
    /// Ticks of each store, by what the thread came to.
    pub parts: BTreeMap<ThreadOutcome, Vec<u64>>,
}

/// Where a page is after the race; `None` where frame numbers are hidden.
pub fn frame(before: Entry, after: Entry) -> Option<FrameChange> {
    if !after.present() {
        return Some(FrameChange::Gone);
    }
    if !before.present() && !before.swapped() {
        return Some(FrameChange::Filled);
    }
    Some(if before.pfn()? == after.pfn()? {
        FrameChange::Same
    } else {
        FrameChange::Changed
    })
}

/// What one thread did at one page.
struct AtPage<'a> {
    faults: u64,
    allocated: Vec<Allocated>,
    freed: &'a [u64],
}

impl AtPage<'_> {
    /// Takes away allocations that are neither kept on the page nor freed again at once, as discarded
    /// ones are: after a fork a thread copies pages of its stack. Tells how many.
    fn without_unrelated(&mut self, kept: Option<u64>) -> u64 {
        let before = self.allocated.len();
        self.allocated
            .retain(|a| Some(a.pfn) == kept || self.freed.contains(&a.pfn));
        (before - self.allocated.len()) as u64
    }

    /// What a storing thread came to, given the frame that was kept.
    fn part(&self, kept: Option<u64>) -> ThreadOutcome {
        // Counted rather than compared: the kernel hands out a discarded page again at once.
        let own = self.allocated.iter().rfind(|a| Some(a.pfn) == kept);
        let discards = |zeroed| {
            let all = self.allocated.iter().filter(|a| a.zeroed == zeroed);
            all.count() > usize::from(own.is_some_and(|own| own.zeroed == zeroed))
        };
        if discards(false) {
            ThreadOutcome::BackedOff
        } else if own.is_some() {
            ThreadOutcome::Winner
        } else if discards(true) {
            ThreadOutcome::NoneDiscard
        } else if self.faults > 0 {
            ThreadOutcome::NoCopy
        } else {
            ThreadOutcome::NoFault
        }
    }
}

/// Judges a watched trial from what the threads recorded in the shared memory.
///
/// # Errors
/// If the clock of a thread went back.
pub fn judge(shared: &RaceShared, before: &[Entry], after: &[Entry]) -> Result<Judged, WentBack> {
    let mut judged = Judged::default();
    let threads = 0..shared.threads();
    let events: Vec<_> = threads
        .clone()
        .map(|thread| events(&shared.records[thread].events))
        .collect();
    for page in 0..shared.pages {
        let Some(frame) = frame(before[page], after[page]) else {
            continue;
        };
        let kept = is_new(frame).then_some(after[page].pfn()).flatten();
        let mut at: Vec<AtPage> = threads
            .clone()
            .map(|thread| {
                let [from, to] = shared.records[thread].marked(page);
                let (allocated, freed) = &events[thread];
                AtPage {
                    faults: to.faults.saturating_sub(from.faults),
                    allocated: slice(allocated, from.allocated, to.allocated).to_vec(),
                    freed: slice(freed, from.freed, to.freed),
                }
            })
            .collect();
        if shared.race.other_process == OtherProcess::Exits {
            let unrelated_allocations = at.iter_mut().map(|at| at.without_unrelated(kept));
            judged.counts.unrelated_allocations += unrelated_allocations.sum::<u64>();
        }
        judged.page(shared, frame, (before[page].pfn(), after[page].pfn()), &at);
        for (thread, at) in at.iter().enumerate() {
            if shared.race.access(thread) == Access::Store
                && shared.pages_of(thread).contains(&page)
            {
                let [begin, end] = shared.records[thread].stamped(page);
                judged
                    .parts
                    .entry(at.part(kept))
                    .or_default()
                    .push(elapsed(begin, end)?);
            }
        }
    }
    Ok(judged)
}

/// Whether the page is one that was not there before.
fn is_new(frame: FrameChange) -> bool {
    matches!(frame, FrameChange::Changed | FrameChange::Filled)
}

fn slice<T>(all: &[T], from: u64, to: u64) -> &[T] {
    all.get(from as usize..to as usize).unwrap_or_default()
}

impl Judged {
    fn page(
        &mut self,
        shared: &RaceShared,
        frame: FrameChange,
        (before, after): (Option<u64>, Option<u64>),
        at: &[AtPage],
    ) {
        let all = || at.iter().flat_map(|at| &at.allocated);
        self.counts.allocations += all().count() as u64;
        let changed = is_new(frame);
        let kept = all().rfind(|a| changed && Some(a.pfn) == after);
        self.counts.committed += u64::from(changed);
        self.counts.unexplained += u64::from(changed && kept.is_none());
        let freed = at
            .iter()
            .any(|at| at.freed.iter().any(|&pfn| Some(pfn) == before));
        self.counts.futile += u64::from(changed && freed);
        let (late, none) = match shared.race.counting {
            DiscardCounting::Not(_) => (0, 0),
            _ => thrown_away(all(), changed, kept),
        };
        self.counts.late += u64::from(late);
        self.counts.none += u64::from(none);
        self.counts.results.count(frame, late, none);
    }

    /// Adds another trial's.
    pub fn merge(&mut self, other: Judged) {
        self.counts += other.counts;
        for (part, ticks) in other.parts {
            self.parts.entry(part).or_default().extend(ticks);
        }
    }
}

/// Copies and zeroed pages that were thrown away at a page, by the identity: what was allocated and is not there. The one
/// that is there is `kept`; where the kernel has moved the page meanwhile, a copy.
fn thrown_away<'a>(
    all: impl Iterator<Item = &'a Allocated>,
    changed: bool,
    kept: Option<&Allocated>,
) -> (u32, u32) {
    let (mut copies, mut zeroed) = (0_u32, 0_u32);
    for allocated in all {
        match allocated.zeroed {
            true => zeroed += 1,
            false => copies += 1,
        }
    }
    match kept {
        Some(kept) if kept.zeroed => (copies, zeroed - 1),
        _ => (copies.saturating_sub(u32::from(changed)), zeroed),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_zeroed_page_that_is_there_is_not_thrown_away() {
        let thrown = |all: &[Allocated], kept: Option<usize>| {
            thrown_away(all.iter(), kept.is_some(), kept.map(|at| &all[at]))
        };
        let (copy, zero) = (allocated(7, false), allocated(8, true));
        assert_eq!(thrown(&[copy], Some(0)), (0, 0));
        assert_eq!(thrown(&[copy, copy], Some(1)), (1, 0));
        assert_eq!(thrown(&[copy, zero], Some(0)), (0, 1));
        assert_eq!(thrown(&[zero], Some(0)), (0, 0));
        assert_eq!(thrown(&[copy, zero], Some(1)), (1, 0));
        assert_eq!(thrown(&[copy], None), (1, 0));
    }

    fn allocated(pfn: u64, zeroed: bool) -> Allocated {
        Allocated { pfn, zeroed }
    }

    #[test]
    fn a_thread_is_known_by_what_became_of_what_it_allocated() {
        let part = |faults, allocated: &[Allocated], kept| {
            let (allocated, freed) = (allocated.to_vec(), &[][..]);
            AtPage {
                faults,
                allocated,
                freed,
            }
            .part(kept)
        };
        assert_eq!(
            part(1, &[allocated(7, false)], Some(7)),
            ThreadOutcome::Winner
        );
        assert_eq!(
            part(1, &[allocated(8, false)], Some(7)),
            ThreadOutcome::BackedOff
        );
        assert_eq!(
            part(1, &[allocated(8, true)], Some(7)),
            ThreadOutcome::NoneDiscard
        );
        let twice = [allocated(8, false), allocated(7, false)];
        assert_eq!(part(2, &twice, Some(7)), ThreadOutcome::BackedOff);
        let again = [allocated(7, false), allocated(7, false)];
        assert_eq!(part(2, &again, Some(7)), ThreadOutcome::BackedOff);
        assert_eq!(
            part(1, &[allocated(8, false)], None),
            ThreadOutcome::BackedOff
        );
        assert_eq!(part(1, &[], None), ThreadOutcome::NoCopy);
        assert_eq!(part(0, &[], Some(7)), ThreadOutcome::NoFault);
    }

    #[test]
    fn a_copy_of_the_stack_is_not_the_pages() {
        let mut at = AtPage {
            faults: 3,
            allocated: vec![
                allocated(7, false),
                allocated(8, false),
                allocated(9, false),
            ],
            freed: &[8],
        };
        assert_eq!(at.without_unrelated(Some(7)), 1);
        assert_eq!(at.allocated, [allocated(7, false), allocated(8, false)]);
        assert_eq!(at.part(Some(7)), ThreadOutcome::BackedOff);
    }

    #[test]
    fn a_frame_is_compared_only_where_it_is_shown() {
        let (one, two, hidden) = (Entry(1 << 63 | 1), Entry(1 << 63 | 2), Entry(1 << 63));
        assert_eq!(frame(one, one), Some(FrameChange::Same));
        assert_eq!(frame(one, two), Some(FrameChange::Changed));
        assert_eq!(frame(one, Entry(0)), Some(FrameChange::Gone));
        assert_eq!(frame(hidden, hidden), None);
        assert_eq!(frame(Entry(0), hidden), Some(FrameChange::Filled));
    }
}
