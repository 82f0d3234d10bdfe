//! A trial before its stores: a page state is brought about and proven, so that it can be stored to.

use crate::measure::vmstat::{device_waits, displaced, split_pmds};
use crate::memory::MemoryError;
use crate::memory::area::{page_size, vma_count};
use crate::memory::pagemap::{Entry, Pagemap};
use crate::memory::sharer::Sharer;
use crate::memory::smaps::huge_mapped;
use crate::record::schema::Setup;
use crate::scenario::workload::Actor;
use crate::scenario::{Mapping, Step};
use crate::worker::fixture::Fixture;
use crate::worker::proof::{self, PageFacts, larger, must_be_seen, no_frames, single, visible};
use crate::worker::setup::PageState;

/// A trial whose page state has come about and is proven.
pub struct Prepared<'a> {
    /// What stays the same over trials.
    pub fixture: &'a Fixture<'a>,
    /// The pages and what keeps them as they are.
    pub state: PageState<'a>,
    /// The actor's pagemap before the stores, page by page.
    pub before: Vec<Entry>,
    /// The same of every 4 KiB page of each folio.
    pub all_before: Vec<Entry>,
    /// The tag of the stores to be made.
    pub tag: u64,
    /// Whether an operation that is timed with the area and without it is so with it first.
    pub with_first: bool,
    /// How the state came about.
    pub setup: Setup,
    /// Pages that the kernel had moved or swapped out before `before` was read.
    displaced: Option<u64>,
    /// How far other threads of this process had come by then.
    threads: Vec<u64>,
    /// Faults that had waited for a device before that.
    device_waits: Option<u64>,
    /// KiB of the area that PMDs map, and PMDs of this machine that were split before that; absent where none map it.
    pub huge_before: Option<(u64, u64)>,
}

impl<'a> Prepared<'a> {
    /// Brings the page state of trial `number` about and proves it.
    ///
    /// # Errors
    /// If a step is refused, or the state is not what it must be.
    pub fn reach(fixture: &'a Fixture<'a>, number: u64) -> Result<Self, MemoryError> {
        let state = PageState::reach(fixture, number)?;
        let mut prepared = Prepared {
            fixture,
            setup: Setup {
                by: state.by().into_iter().collect(),
                state: state.of_the_machine(),
                ..Setup::default()
            },
            state,
            before: Vec::new(),
            all_before: Vec::new(),
            displaced: None,
            threads: Vec::new(),
            device_waits: None,
            huge_before: None,
            tag: number << 34 | 2 << 32,
            with_first: false,
        };
        prepared.prove()?;
        Ok(prepared)
    }

    /// The process whose stores count, where it is not this one.
    pub fn actor_pid(&self) -> Option<nix::unistd::Pid> {
        match self.fixture.scenario.actor() {
            Actor::Parent => None,
            Actor::Child => self.state.sharer.as_ref().map(Sharer::pid),
        }
    }

    /// What the actor's page table says of every 4 KiB page of the area.
    pub fn pagemap(&self) -> Result<Vec<Entry>, MemoryError> {
        let pagemap = match self.actor_pid() {
            Some(pid) => Pagemap::of(pid),
            None => Pagemap::own(),
        };
        pagemap?.read_all(&self.state.area)
    }

    /// Of the entries of every 4 KiB page those of the pages that are stored to.
    pub fn stored_to(&self, all: &[Entry]) -> Vec<Entry> {
        first_of_each(all, self.state.area.stride())
    }

    /// How many of so many major faults may have waited for a device: a fault that was merely tried again counts as one too,
    /// and /proc/vmstat counts devices alone, of the whole machine.
    pub fn waited_of(&self, major_faults: u64) -> u64 {
        let waited = self.device_waits.zip(device_waits());
        waited.map_or(major_faults, |(before, now)| {
            major_faults.min(now.saturating_sub(before))
        })
    }

    /// What the actor's page table says of every 4 KiB page of the area after the stores.
    ///
    /// # Errors
    /// That pages were moved or swapped out since the state was proven, on any process's account: their frames tell
    /// nothing of the stores then. Whether that is so does not depend on what the stores came to.
    pub fn pagemap_after(&self) -> Result<Vec<Entry>, MemoryError> {
        let after = self.pagemap()?;
        let pages = self.all_before.iter().zip(&after);
        for (page, (before, after)) in pages.enumerate() {
            if before.present() && after.swapped() {
                return Err(MemoryError::Moved(format!(
                    "page {page} was swapped out, or being moved, after the stores"
                )));
            }
        }
        let seen = self
            .all_before
            .iter()
            .chain(&after)
            .any(|entry| entry.pfn().is_some());
        match self.displaced.zip(displaced()) {
            Some((before, now)) if seen && now > before => Err(MemoryError::Moved(format!(
                "{} pages of this machine were moved to other frames or swapped out between the two readings of the trial's own",
                now - before
            ))),
            _ => Ok(after),
        }
    }

    /// Proves that other threads of this process did until now what they are to do.
    ///
    /// # Errors
    /// That one did not.
    pub fn threads_kept_on(&self) -> Result<(), MemoryError> {
        let threads = self.state.threads.as_ref();
        threads.map_or(Ok(()), |threads| threads.prove_since(&self.threads))
    }

    /// Proves the scenario's mapping on every page, and keeps the entries for the oracle.
    fn prove(&mut self) -> Result<(), MemoryError> {
        let mapping = self.fixture.scenario.mapping;
        let vmas = vma_count(&self.state.area)?;
        let scenario = self.fixture.scenario;
        let due = match scenario.has(Step::SplitParts) {
            true => self.fixture.parts(),
            false => scenario.vmas(self.state.area.pages()),
        };
        if vmas != due {
            return Err(MemoryError::NotReached {
                page: 0,
                expected: format!("an area of {}", in_vmas(due)),
                found: in_vmas(vmas),
            });
        }
        if let Some(threads) = &self.state.threads {
            self.setup.proven.push(threads.label());
            self.threads = threads.rounds();
        }
        self.displaced = displaced();
        self.device_waits = device_waits();
        self.all_before = self.pagemap()?;
        self.before = self.stored_to(&self.all_before);
        for (page, entry) in self.before.iter().enumerate() {
            expect(page, mapping, visible(mapping, *entry), || describe(*entry))?;
        }
        self.setup.proven.push(format!(
            "{}; pagemap: {}",
            in_vmas(due),
            mapping.label_by_pagemap()
        ));
        let pfns: Option<Vec<u64>> = self.before.iter().map(|entry| entry.pfn()).collect();
        match (&self.fixture.frames, pfns) {
            (_, _) if matches!(mapping, Mapping::None | Mapping::Swapped) => {}
            (Ok(frames), Some(_)) if self.has_folios() => {
                let proven = proof::folios(
                    &PageFacts {
                        area: &self.state.area,
                        folio: self.fixture.folio,
                        pid: self.actor_pid(),
                        entries: &first_of_each(&self.all_before, self.fixture.folio.bytes()),
                        frames,
                        both: Some((&self.all_before, &self.of_the_sharer(mapping)?)),
                    },
                    mapping,
                )?;
                self.setup.proven.push(proven);
                let (area, folio) = (&self.state.area, self.fixture.folio);
                if proof::by_pmds(area, folio, mapping) {
                    let mapped = huge_mapped(area, self.actor_pid())?;
                    self.huge_before = split_pmds().map(|split| (mapped, split));
                }
            }
            (Ok(frames), Some(pfns)) => {
                for (page, (count, flags)) in frames.read(&pfns)?.into_iter().enumerate() {
                    expect(page, mapping, single(mapping, count, flags), || {
                        let hint = match mapping {
                            Mapping::HugeZero => larger(self.fixture.folio),
                            _ => String::new(),
                        };
                        format!("mapcount {count}, {flags:x?}{hint}")
                    })?;
                }
                let proven = format!("kpagecount and kpageflags: {}", mapping.label());
                self.setup.proven.push(proven);
            }
            _ if must_be_seen(mapping) => {
                return Err(MemoryError::Unsupported(format!(
                    "{} cannot be told apart from other states without page frame numbers: {}",
                    mapping.label(),
                    no_frames()
                )));
            }
            (Err(why), _) => self
                .setup
                .unproven
                .push(format!("{}: {why}", mapping.label())),
            (Ok(_), None) => {
                let unproven = format!("{}: {}", mapping.label(), no_frames());
                self.setup.unproven.push(unproven);
            }
        }
        Ok(())
    }

    /// What the page table of the sharing process says of every 4 KiB page, where `mapping` asks for that.
    fn of_the_sharer(&self, mapping: Mapping) -> Result<Vec<Entry>, MemoryError> {
        match (&self.state.sharer, mapping) {
            (Some(child), Mapping::HalfShared) => {
                Pagemap::of(child.pid())?.read_all(&self.state.area)
            }
            _ => Ok(Vec::new()),
        }
    }

    /// Whether the size of the folios is part of the state.
    fn has_folios(&self) -> bool {
        matches!(
            self.fixture.scenario.mapping,
            Mapping::Folio(_) | Mapping::PteMapped(_) | Mapping::HalfShared
        )
    }
}

fn in_vmas(count: usize) -> String {
    match count {
        1 => "one VMA".into(),
        _ => format!("{count} VMAs"),
    }
}

/// Of the entries of every 4 KiB page the first of each so many bytes.
fn first_of_each(all: &[Entry], bytes: usize) -> Vec<Entry> {
    all.iter().copied().step_by(bytes / page_size()).collect()
}

pub(super) fn expect(
    page: usize,
    mapping: Mapping,
    fits: bool,
    found: impl Fn() -> String,
) -> Result<(), MemoryError> {
    if fits {
        return Ok(());
    }
    Err(MemoryError::NotReached {
        page,
        expected: mapping.label(),
        found: found(),
    })
}

fn describe(entry: Entry) -> String {
    format!(
        "present {}, swapped {}, file {}, mapped once {}",
        entry.present(),
        entry.swapped(),
        entry.file(),
        entry.mapped_once()
    )
}
