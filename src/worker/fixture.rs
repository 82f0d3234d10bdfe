//! What stays the same over the trials of one worker.

use std::sync::atomic::Ordering;

use crate::memory::MemoryError;
use crate::memory::advice::drop_of_each_folio;
use crate::memory::area::{Area, Content, SharedWords, page_size};
use crate::memory::folio::Folio;
use crate::memory::pagemap::Frames;
use crate::memory::pipe::PipeHold;
use crate::memory::sharer::{Order, Stores};
use crate::memory::trampoline::Trampolines;
use crate::record::clock::ClockSource;
use crate::scenario::{PageOrder, Scenario, Step};
use crate::sys::usage::ThreadUsage;
use crate::worker::race::context::RaceContext;
use crate::worker::region::{ForkWay, PairedTicks, fork_both_ways};
use crate::worker::stack::{AFTER_FORK, touch_stack};
use crate::worker::timed::{stores_bare, stores_by_trampoline, stores_fenced, stores_timed};

/// A scenario and everything that its trials share.
pub struct Fixture<'a> {
    /// The scenario.
    pub scenario: &'a Scenario,
    /// Pages in the area; of large folios, the number of folios.
    pub pages: usize,
    /// The size of the folios under test.
    pub folio: Folio,
    /// Where timestamps come from.
    pub source: ClockSource,
    /// Where timestamps go: one more than there are pages.
    pub stamps: SharedWords,
    /// The pages in the order in which they are stored to, where that is another than theirs.
    pub order: Option<SharedWords>,
    /// The files that tell of page frames, or why they cannot be read.
    pub frames: Result<Frames, MemoryError>,
    /// A page to rehearse on.
    scratch: Area,
    trampolines: Option<Trampolines>,
    pub(super) race: Option<&'a RaceContext<'a>>,
}

impl<'a> Fixture<'a> {
    /// A fixture of stores by one thread.
    ///
    /// # Errors
    /// If there is no memory for the timestamps.
    pub fn new(
        scenario: &'a Scenario,
        pages: usize,
        folio: Folio,
        source: ClockSource,
    ) -> Result<Self, MemoryError> {
        Ok(Fixture {
            scenario,
            pages,
            folio,
            source,
            stamps: SharedWords::map(pages + 1)?,
            order: order(scenario, pages, folio)?,
            frames: Frames::open(),
            scratch: Area::map(1)?,
            trampolines: None,
            race: None,
        })
    }

    /// The same, with code through which a debugger can stop each store.
    pub fn with_trampolines(self, trampolines: Trampolines) -> Self {
        let trampolines = Some(trampolines);
        Fixture {
            trampolines,
            ..self
        }
    }

    /// The same, with what a race needs.
    pub fn with_race(self, race: &'a RaceContext<'a>) -> Self {
        let race = Some(race);
        Fixture { race, ..self }
    }

    /// What a forked child does with an order; the reply is a count.
    pub(super) fn obey(&self, area: &Area, pipe: Option<&PipeHold>, order: Order) -> u64 {
        match order {
            Order::Read => {
                self.rehearse();
                if !self.scenario.has(Step::DontFork) {
                    area.read();
                }
                0
            }
            Order::Store(tag) => {
                area.store(tag);
                0
            }
            Order::Make(stores, tag) => self.store(area, tag, stores).packed(),
            Order::CheckFill(fill) => area.violations(Content::Filled(fill), None),
            Order::CheckStored(fill, tag) => area.violations(Content::Filled(fill), Some(tag)),
            Order::Emptied => area.emptied() as u64,
            Order::Race => self.take_part(area, pipe, true),
            Order::CheckLines(fill, tag) => match self.race {
                Some(race) => race.violations(area, fill, tag),
                None => 0,
            },
            Order::Vmsplice => u64::from(pipe.is_none_or(|pipe| pipe.splice(area).is_err())),
            Order::Fork(with_first) => u64::from(self.fork(area, with_first != 0).is_err()),
            Order::Drop(bytes) => u64::from(drop_of_each_folio(area, bytes as usize).is_err()),
            // The sharer's own affair.
            Order::Beget | Order::Descend | Order::ForkOn => 1,
        }
    }

    /// Makes stores of every kind to a page of their own. A process that was just forked has neither code nor stack mapped
    /// as its parent has, and would fault on them in the timed window.
    fn rehearse(&self) {
        for stores in [Stores::Timed, Stores::Bare, Stores::Fenced] {
            self.store(&self.scratch, 1, stores);
        }
    }

    /// Touches what a store writes to besides the area. A fork has made the stack read-only, and a store's frames, and the
    /// kernel's answer to how many faults there were, may lie on a page of it that nothing has stored to since. Where
    /// soft-dirty bits were cleared, so are the timestamps.
    #[inline(never)]
    pub(super) fn touch(&self) {
        touch_stack::<AFTER_FORK>();
        self.stamps.touch();
        if let Some(order) = &self.order {
            order.read();
        }
    }

    /// The threads of a race, each of which may have a part of the area to itself.
    pub(super) fn parts(&self) -> usize {
        self.race.map_or(1, |race| race.shared.threads())
    }

    /// Takes this process's part in a race; tells the number of complaints.
    pub fn take_part(&self, area: &Area, pipe: Option<&PipeHold>, forked: bool) -> u64 {
        self.race.map_or(0, |race| race.race(area, pipe, forked))
    }

    /// Forks with the area and without it, and leaves the ticks of either in the first two stamps.
    fn fork(&self, area: &Area, with_first: bool) -> Result<(), MemoryError> {
        let way = ForkWay::of(self.scenario, area);
        let pair = fork_both_ways(self.source, area, way, with_first)?;
        // SAFETY: there is a stamp more than there are pages, and one page at least.
        unsafe {
            self.stamps.as_ptr().write_volatile(pair.with);
            self.stamps.as_ptr().add(1).write_volatile(pair.without);
        }
        Ok(())
    }

    /// What [`Order::Fork`] has left in the stamps.
    pub(super) fn forked(&self) -> PairedTicks {
        let stamps = self.stamps.as_slice();
        PairedTicks {
            with: stamps[0],
            without: stamps[1],
        }
    }

    /// Makes the stores; tells what the kernel counted of this thread meanwhile.
    pub(super) fn store(&self, area: &Area, tag: u64, stores: Stores) -> ThreadUsage {
        self.touch();
        let before = ThreadUsage::now();
        // A rehearsal's area is one page.
        let order = self.order.as_ref();
        let order = order.filter(|order| order.len() == area.pages());
        let (source, stamps) = (self.source, &self.stamps);
        match (stores, self.trampolines) {
            (Stores::Timed, _) => stores_timed(source, area, tag, stamps, order),
            (Stores::Fenced, _) => stores_fenced(source, area, tag, stamps, order),
            (Stores::ByTrampoline, Some(by)) => stores_by_trampoline(source, area, tag, stamps, by),
            _ => stores_bare(source, area, tag, stamps, order),
        }
        before.until_now()
    }
}

/// The pages in the order in which they are stored to: that within a folio, folio by folio.
fn order(
    scenario: &Scenario,
    pages: usize,
    folio: Folio,
) -> Result<Option<SharedWords>, MemoryError> {
    let order = match scenario.every_page {
        None | Some(PageOrder::Forwards) => return Ok(None),
        Some(order) => order,
    };
    let of_folio = order.sequence(folio.bytes() / page_size());
    let folios = (0..pages).step_by(of_folio.len());
    let all = folios.flat_map(|first| of_folio.iter().map(move |page| (first + page) as u64));
    let words = SharedWords::map(pages)?;
    for (place, page) in all.enumerate() {
        words.atomic(place).store(page, Ordering::Relaxed);
    }
    Ok(Some(words))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::scenario::catalogue;

    /// Takes away what lies on the stack below the caller's page, as far as [`AFTER_FORK`], and has stores made; again and
    /// again, each time 256 bytes further down.
    #[inline(never)]
    fn faults_with_a_cold_stack(fixture: &Fixture, area: &Area, depth: u32) -> u64 {
        let here = [depth; 64];
        let page = std::hint::black_box(&here).as_ptr() as usize & !4095;
        let (from, length) = (page - AFTER_FORK, AFTER_FORK - 4096);
        // SAFETY: nothing that lives lies more than a page below this frame.
        let dropped = unsafe { libc::madvise(from as *mut _, length, libc::MADV_DONTNEED) };
        assert_eq!(dropped, 0);
        let faults = fixture.store(area, 7, Stores::Timed).minor_faults;
        match depth {
            0 => faults,
            _ => faults + faults_with_a_cold_stack(fixture, area, depth - 1),
        }
    }

    #[test]
    fn a_stack_that_nobody_has_touched_since_a_fork_is_no_fault_of_the_stores() {
        let scenario = catalogue::find("control/no-fault").unwrap();
        let fixture = Fixture::new(scenario, 1, Folio::Page, ClockSource::MonotonicRaw).unwrap();
        let area = Area::map(1).unwrap();
        area.fill(1);
        fixture.store(&area, 7, Stores::Timed);
        assert_eq!(faults_with_a_cold_stack(&fixture, &area, 32), 0);
    }
}
