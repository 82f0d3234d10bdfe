//! What became of the stores of a trial, and of the data.

use super::proof;
use crate::measure::clock::{WentBack, elapsed};
use crate::measure::oracle::{self, Evidence};
use crate::measure::vmstat::split_pmds;
use crate::memory::MemoryError;
use crate::memory::area::{Area, Content, page_size, stored_word};
use crate::memory::backing::Memory;
use crate::memory::folio::Folio;
use crate::memory::pagemap::Entry;
use crate::memory::sharer::{Order, Stores};
use crate::memory::smaps::huge_mapped;
use crate::record::outcome::Outcome;
use crate::record::repetition::{DirectReads, HugeMapped, Referenced, Taken};
use crate::record::schema::Integrity;
use crate::scenario::workload::Actor;
use crate::scenario::{Mapping, Step, Timed};
use crate::sys::usage::ThreadUsage;
use crate::worker::region::PairedTicks;
use crate::worker::trial::{Prepared, expect};

/// A trial whose stores are made.
pub struct Stored<'a> {
    /// The state that was stored to.
    pub(super) prepared: Prepared<'a>,
    /// How they were made.
    pub(super) stores: Stores,
    /// What the kernel counted of the actor meanwhile.
    pub(super) usage: ThreadUsage,
}

/// What a trial found.
pub struct TrialFindings {
    /// What became of each store, in page order.
    pub outcomes: Vec<Outcome>,
    /// Clock ticks of each store; empty but for [`Stores::Timed`].
    pub ticks: Vec<u64>,
    /// Clock ticks of the whole loop.
    pub loop_ticks: u64,
    /// Clock ticks with the area and without it, where the difference is what counts.
    pub pair: Option<PairedTicks>,
    /// Minor faults of the stores beyond one each, which no outcome accounts for.
    pub surplus: u64,
    /// Stores that only their latency told reuse from no fault.
    pub inferred: u64,
    /// What a pipe or a registered buffer sees of the pages that it refers to.
    pub referenced: Option<Referenced>,
    /// What became of a read into the pages that was in flight.
    pub direct_reads: Option<DirectReads>,
    /// The memory that the stores took, of folios larger than a page.
    pub taken: Option<Taken>,
    /// Clock ticks of each store in the order of the stores, where every page of large folios is stored to.
    pub by_place: Vec<u64>,
    /// How much of the area PMDs mapped before and after the stores, where they did before.
    pub huge: Option<HugeMapped>,
    /// What the kernel counted of the actor during its stores; nothing of an operation on the whole area, which may give
    /// the CPU to a process of its own.
    pub usage: Option<ThreadUsage>,
    /// Data checks.
    pub integrity: Integrity,
    /// What was proven of the pages after the stores, where that is when it can be seen.
    pub proven: Option<String>,
}

impl Stored<'_> {
    /// What the oracle's verdict comes to, given what was timed and what the area is made of.
    fn translate(&self, outcome: Outcome, before: Entry) -> Outcome {
        let scenario = self.prepared.fixture.scenario;
        match (scenario.timed, outcome) {
            (Timed::Store, _) if before.swapped() => Outcome::SwapIn,
            (Timed::Store, Outcome::Fill)
                if matches!(
                    scenario.memory,
                    Memory::PrivateFile | Memory::PrivateMemfd | Memory::PooledMemfd
                ) =>
            {
                // The page cache's page was copied, though it was not mapped.
                Outcome::Copy
            }
            (Timed::ReadPin | Timed::DirectWrite, Outcome::Copy) => Outcome::UnshareCopy,
            (Timed::ReadPin | Timed::DirectWrite, Outcome::Reuse) => Outcome::UnshareReuse,
            (_, outcome) => outcome,
        }
    }

    /// Pages that the stores do not take out of an LRU batch must still be in it, copied or not, since the batch has a reference of its
    /// own: anything that runs on its CPU can empty it at any moment.
    fn still_in_batch(&self) -> Result<(), MemoryError> {
        let scenario = self.prepared.fixture.scenario;
        if scenario.mapping != Mapping::StaysInBatch {
            return Ok(());
        }
        let pfns: Option<Vec<u64>> = self
            .prepared
            .before
            .iter()
            .map(|entry| entry.pfn())
            .collect();
        let (Ok(frames), Some(pfns)) = (&self.prepared.fixture.frames, pfns) else {
            return Ok(());
        };
        for (page, (_, flags)) in frames.read(&pfns)?.into_iter().enumerate() {
            expect(page, scenario.mapping, !flags.lru(), || {
                format!("it left the batch before the stores were over, {flags:x?}")
            })?;
        }
        Ok(())
    }

    /// Where nothing was swapped out before the stores, none of them may have waited for a device: the kernel would have
    /// taken the page, or the file's, out of memory meanwhile, and one that comes back from there has another frame.
    fn stayed_in_memory(&self) -> Result<(), MemoryError> {
        let swapped = self.prepared.before.iter().any(|entry| entry.swapped());
        match self.prepared.waited_of(self.usage.major_faults) {
            faults if faults > 0 && !swapped => Err(MemoryError::Moved(format!(
                "{faults} stores waited for pages that had left memory since their state was proven"
            ))),
            _ => Ok(()),
        }
    }

    /// The kernel may take a page that was given up before the store to it; zeroes are its data then, and none lost.
    fn was_not_taken(&mut self) -> Result<(), MemoryError> {
        if !self.prepared.fixture.scenario.has(Step::MadvFree) {
            return Ok(());
        }
        let state = &mut self.prepared.state;
        let child = match &mut state.sharer {
            Some(child) => child.order(Order::Emptied)?,
            None => 0,
        };
        match state.area.emptied() as u64 + child {
            0 => Ok(()),
            pages => Err(MemoryError::Moved(format!(
                "{pages} pages that were given up were reclaimed before they were stored to"
            ))),
        }
    }

    /// A store that fills or copies a page faults: where more pages have another frame than there were faults, one fault
    /// made a folio of several, or pages were moved meanwhile, and neither is what was to be timed.
    fn agrees_with_faults(&self, after: &[Entry]) -> Result<(), MemoryError> {
        if self.prepared.fixture.scenario.timed != Timed::Store {
            return Ok(());
        }
        let moved = changed(&self.prepared.before, after);
        match moved.len() as u64 > self.usage.minor_faults {
            false => Ok(()),
            true => Err(MemoryError::NotReached {
                page: moved[0],
                expected: format!(
                    "no more pages filled or copied than the {} faults",
                    self.usage.minor_faults
                ),
                found: format!("{} on other frames", moved.len()),
            }),
        }
    }

    /// What a fill made can only be seen afterwards: that the folios are of the size under test.
    fn prove_fill(&self, after: &[Entry]) -> Result<Option<String>, MemoryError> {
        let (prepared, fixture) = (&self.prepared, self.prepared.fixture);
        let scenario = fixture.scenario;
        let is_fill = scenario.mapping == Mapping::None && scenario.timed == Timed::Store;
        if !is_fill || fixture.folio == Folio::Page {
            return Ok(None);
        }
        let (area, pid) = (&prepared.state.area, prepared.actor_pid());
        proof::filled(area, fixture.folio, pid, after, &fixture.frames).map(Some)
    }

    /// What is reused under a PMD is reused by making that PMD writable, not by splitting it.
    fn still_huge(&self, outcomes: &[Outcome]) -> Result<(), MemoryError> {
        let (prepared, fixture) = (&self.prepared, self.prepared.fixture);
        // Of a folio of which every page is stored to, any of them.
        let of_folio = fixture.folio.bytes() / prepared.state.area.stride();
        let reused = outcomes.chunks(of_folio);
        let reused = reused.filter(|folio| folio.contains(&Outcome::Reuse));
        let (area, pid) = (&prepared.state.area, prepared.actor_pid());
        let mapping = fixture.scenario.mapping;
        proof::still_huge(area, fixture.folio, mapping, pid, reused.count())
    }

    /// The memory that the stores took, of folios larger than a page: frames that were not there before, but for the zero
    /// page, which is nobody's. `None` where frames can not be seen.
    fn taken(&self, all_after: &[Entry]) -> Result<Option<Taken>, MemoryError> {
        let (prepared, fixture) = (&self.prepared, self.prepared.fixture);
        let before = &prepared.all_before;
        let mut present = before.iter().chain(all_after).filter(|one| one.present());
        let seen = present.all(|entry| entry.pfn().is_some());
        let Ok(frames) = &fixture.frames else {
            return Ok(None);
        };
        if fixture.folio == Folio::Page || fixture.scenario.timed != Timed::Store || !seen {
            return Ok(None);
        }
        let pages = changed(before, all_after).into_iter();
        let pfns: Vec<u64> = pages.filter_map(|page| all_after[page].pfn()).collect();
        let new = frames.read(&pfns)?;
        let new = new.iter().filter(|(_, flags)| !flags.zero()).count();
        Ok(Some(Taken {
            stores: prepared.before.len() as u64,
            bytes: (new * page_size()) as u64,
        }))
    }

    /// Classifies the stores that were made and checks the data.
    ///
    /// # Errors
    /// If a process is gone, or the state did not last until the stores were over.
    pub fn judge(mut self) -> Result<TrialFindings, MemoryError> {
        self.prepared.threads_kept_on()?;
        self.still_in_batch()?;
        self.stayed_in_memory()?;
        let stamps = self.prepared.fixture.stamps.as_slice();
        let pages = self.prepared.state.area.pages();
        let each = |stamps: &[u64]| -> Result<Vec<u64>, WentBack> {
            let pairs = stamps.windows(2);
            pairs.map(|pair| elapsed(pair[0], pair[1])).collect()
        };
        let (ticks, last) = match self.stores {
            Stores::Timed => (each(&stamps[..=pages])?, stamps[pages]),
            _ => (Vec::new(), stamps[1]),
        };
        let loop_ticks = elapsed(stamps[0], last)?;
        let (ticks, by_place) = self.in_page_order(ticks);
        let huge = self.huge()?;
        let all_after = self.prepared.pagemap_after()?;
        let after = self.prepared.stored_to(&all_after);
        let taken = self.taken(&all_after)?;
        self.agrees_with_faults(&after)?;
        self.was_not_taken()?;
        let proven = self.prove_fill(&after)?;
        let mut integrity = check_data(&mut self.prepared)?;
        let referenced = self.ask_reference(&mut integrity)?;
        let arrived = self.finish_read(&mut integrity)?;
        let in_place = referenced.as_ref().or(arrived.as_ref());
        let verdict = oracle::classify(&Evidence {
            before: &self.prepared.before,
            after: &after,
            ticks: (self.stores == Stores::Timed).then_some(&ticks),
            minor_faults: self.usage.minor_faults,
            in_place: in_place.map(Vec::as_slice),
        });
        integrity.violations += verdict.contradictions;
        let outcomes = verdict.outcomes.into_iter().zip(&self.prepared.before);
        let outcomes: Vec<Outcome> = outcomes
            .map(|(outcome, before)| self.translate(outcome, *before))
            .collect();
        self.still_huge(&outcomes)?;
        Ok(TrialFindings {
            outcomes,
            ticks,
            loop_ticks,
            pair: None,
            surplus: match self.prepared.fixture.scenario.timed {
                Timed::Store => self.usage.minor_faults.saturating_sub(after.len() as u64),
                _ => 0,
            },
            usage: Some(self.usage),
            inferred: verdict.inferred,
            referenced: referenced.map(|pages| Referenced {
                pages: pages.len() as u64,
                later: pages.iter().filter(|&&new| new).count() as u64,
            }),
            direct_reads: arrived.map(|pages| DirectReads {
                pages: pages.len() as u64,
                lost: pages.iter().filter(|&&arrived| !arrived).count() as u64,
            }),
            taken,
            by_place,
            huge,
            integrity,
            proven,
        })
    }

    /// Ticks that are in the order of the stores, in page order; and as they are, where every page of a folio was stored to.
    fn in_page_order(&self, ticks: Vec<u64>) -> (Vec<u64>, Vec<u64>) {
        let fixture = self.prepared.fixture;
        if fixture.scenario.every_page.is_none() || ticks.is_empty() {
            return (ticks, Vec::new());
        }
        let Some(order) = &fixture.order else {
            return (ticks.clone(), ticks);
        };
        let mut by_page = vec![0; ticks.len()];
        for (&page, &ticks) in order.as_slice().iter().zip(&ticks) {
            by_page[page as usize] = ticks;
        }
        (by_page, ticks)
    }

    /// How much of the area PMDs mapped before and after the stores, where they did.
    fn huge(&self) -> Result<Option<HugeMapped>, MemoryError> {
        let Some((before_kib, split)) = self.prepared.huge_before else {
            return Ok(None);
        };
        let after_kib = huge_mapped(&self.prepared.state.area, self.prepared.actor_pid())?;
        Ok(Some(HugeMapped {
            before_kib,
            after_kib,
            split: split_pmds().unwrap_or(split).saturating_sub(split),
        }))
    }

    /// Whether a pipe or a registered buffer that refers to each page sees the new data; anything but the new or the old data
    /// is a violation.
    fn ask_reference(
        &mut self,
        integrity: &mut Integrity,
    ) -> Result<Option<Vec<bool>>, MemoryError> {
        let state = &mut self.prepared.state;
        let words = match (state.pipe.take(), state.registered.take()) {
            (Some(pipe), _) => pipe.witness()?,
            (None, Some(buffer)) => buffer.witness()?,
            (None, None) => return Ok(None),
        };
        integrity.checked += words.len() as u64;
        let mut in_place = Vec::with_capacity(words.len());
        for (page, word) in words.into_iter().enumerate() {
            let new = word == stored_word(self.prepared.tag, page);
            integrity.violations +=
                u64::from(!new && word != self.prepared.state.content.word(page));
            in_place.push(new);
        }
        // Without a store it tells nothing of the page.
        Ok((self.prepared.fixture.scenario.timed == Timed::Store).then_some(in_place))
    }

    /// Lets a read into the pages that is in flight go, and tells of each page whether what was read is there. Where it is
    /// not, the page must be as it was stored to: the read went to the page that the store left.
    fn finish_read(&mut self, integrity: &mut Integrity) -> Result<Option<Vec<bool>>, MemoryError> {
        let state = &mut self.prepared.state;
        let (Some(file), Some(read)) = (state.in_file, state.in_flight.take()) else {
            return Ok(None);
        };
        read.finish()?;
        let left = (state.content, self.prepared.tag);
        Ok(Some(arrived(&state.area, file, left, integrity)))
    }
}

impl From<WentBack> for MemoryError {
    fn from(why: WentBack) -> Self {
        MemoryError::Unsupported(why.to_string())
    }
}

/// Pages that were filled, or whose frame is another one, as far as frames can be seen. What comes back from swap does so
/// by a major fault.
fn changed(before: &[Entry], after: &[Entry]) -> Vec<usize> {
    let pages = before.iter().zip(after).enumerate();
    let moved = |&(_, (before, after)): &(usize, (&Entry, &Entry))| {
        let filled = !before.present() && !before.swapped() && after.present();
        let frames = before.pfn().zip(after.pfn());
        filled || before.present() && frames.is_some_and(|(before, after)| before != after)
    };
    pages.filter(moved).map(|(page, _)| page).collect()
}

/// Of each page whether it holds what was read from a file; if not, it must hold what it was filled with and the store of
/// that tag.
fn arrived(
    area: &Area,
    file: Content,
    (filled, tag): (Content, u64),
    integrity: &mut Integrity,
) -> Vec<bool> {
    integrity.checked += area.words_checked();
    let pages = 0..area.pages();
    let each = pages.map(|page| {
        let arrived = area.violations_of(page, file, None) == 0;
        if !arrived {
            integrity.violations += area.violations_of(page, filled, Some(tag));
        }
        arrived
    });
    each.collect()
}

/// Every process must see its own stores, all of them, and nobody else's.
pub(super) fn check_data(prepared: &mut Prepared) -> Result<Integrity, MemoryError> {
    let by_child = prepared.fixture.scenario.actor() == Actor::Child;
    let stores = prepared.fixture.scenario.timed == Timed::Store;
    let parent_stored = (!by_child && stores).then_some(prepared.tag);
    // What the parent dropped reads as zeroes.
    let of_parent = match prepared.fixture.scenario.has(Step::ParentDrops) {
        true => Content::Zero,
        false => prepared.state.content,
    };
    let mut integrity = Integrity {
        checked: prepared.state.area.words_checked(),
        violations: prepared.state.area.violations(of_parent, parent_stored),
    };
    let child_stored = match by_child && stores {
        true => Some(prepared.tag),
        false => prepared.state.child_stored,
    };
    // A child that inherits nothing, a part or only zeroes, or has dropped what it had, has nothing to check.
    let has_none = [
        Step::DontFork,
        Step::DontForkRest,
        Step::WipeOnFork,
        Step::ChildDrops,
        Step::ChildDropsHalf,
        // The kernel may have taken its pages away.
        Step::PoolDries,
    ];
    let scenario = prepared.fixture.scenario;
    let inherits = !has_none.into_iter().any(|step| scenario.has(step));
    if let (true, Some(child), Content::Filled(fill)) =
        (inherits, &mut prepared.state.sharer, prepared.state.content)
    {
        integrity.checked += prepared.state.area.words_checked();
        integrity.violations += child.order(match child_stored {
            Some(tag) => Order::CheckStored(fill, tag),
            None => Order::CheckFill(fill),
        })?;
    }
    Ok(integrity)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_page_has_what_was_read_or_is_as_it_was_stored_to() {
        let area = Area::map(3).unwrap();
        let judged = || {
            let mut integrity = Integrity::default();
            let left = (Content::Filled(1 << 34), 2 << 32);
            let arrived = arrived(&area, Content::Filled(3 << 32), left, &mut integrity);
            (arrived, integrity.violations)
        };
        area.fill(3 << 32);
        assert_eq!(judged(), (vec![true; 3], 0));
        area.fill(1 << 34);
        area.store(2 << 32);
        assert_eq!(judged(), (vec![false; 3], 0));
        area.fill(1 << 34);
        assert_eq!(judged(), (vec![false; 3], 3), "lost stores");
        area.fill(3 << 32);
        area.store(2 << 32);
        let (arrived, violations) = judged();
        assert_eq!(arrived, [false; 3]);
        assert!(violations > 3, "neither what was read nor what was there");
    }

    #[test]
    fn pages_that_were_filled_or_have_another_frame_have_changed() {
        let present = |pfn: u64| Entry(1 << 63 | pfn);
        let (none, swapped) = (Entry(0), Entry(1 << 62 | 7));
        let before = [present(1), present(2), none, none, swapped, present(0)];
        let after = [
            present(1),
            present(9),
            present(3),
            none,
            present(4),
            present(0),
        ];
        assert_eq!(changed(&before, &after), [1, 2]);
    }
}
