//! One trial: bring the page state about, prove it, store, classify every store, check the data.

use rustix::thread::CapabilitySet;

use crate::measure::oracle::{self, Evidence};
use crate::memory::area::{Area, Content, SharedWords, drain_lru_batch, stored_word, vma_count};
use crate::memory::backing::Memory;
use crate::memory::folio::Folio;
use crate::memory::pagemap::{Entry, Frames, Pagemap};
use crate::memory::pin::read_pinned;
use crate::memory::pipe::PipeHold;
use crate::memory::protect::Protection;
use crate::memory::sharer::{Order, Sharer, Stores};
use crate::memory::trampoline::Trampolines;
use crate::memory::{MemoryError, backing};
use crate::record::clock::ClockSource;
use crate::record::outcome::Outcome;
use crate::record::schema::{Integrity, Setup};
use crate::scenario::workload::Actor;
use crate::scenario::{Mapping, Scenario, Step, Timed};
use crate::sys::affinity::on_another_cpu;
use crate::sys::missing::Missing;
use crate::worker::proof::{self, PageFacts, must_be_seen, single, visible};
use crate::worker::race::context::RaceContext;
use crate::worker::region::{PairedTicks, fork_both_ways, unmap};
use crate::worker::setup::{KeptAlive, data_bytes};
use crate::worker::timed::{calls_timed, stores_bare, stores_fenced, stores_posted, stores_timed};

/// What stays the same over the trials of one worker.
pub struct Fixture<'a> {
    /// The scenario.
    pub scenario: &'a Scenario,
    /// Pages in the area; of large folios, the number of folios.
    pub pages: usize,
    /// The size of the folios under test.
    pub folio: Folio,
    /// Where timestamps come from.
    pub source: ClockSource,
    /// Where timestamps go: more words than pages.
    pub stamps: &'a SharedWords,
    /// The files that tell of page frames, or why they cannot be read.
    pub frames: Result<Frames, MemoryError>,
    /// Where a debugger can stop the stores, if one is to.
    pub posts: Option<Trampolines>,
    /// What a race needs, where the scenario is one.
    pub ground: Option<&'a RaceContext<'a>>,
}

/// A trial whose page state has come about and is proven.
pub struct Ready<'a> {
    stage: &'a Fixture<'a>,
    // Dropped before the pages are.
    props: KeptAlive,
    /// The pages.
    pub area: Area,
    /// What they were filled with.
    pub content: Content,
    /// The tag of the child's own stores, where it made some.
    child_stored: Option<u64>,
    /// The process that shares them.
    pub sharer: Option<Sharer>,
    /// The pipe that holds them.
    pub pipe: Option<PipeHold>,
    // Held until the stores are made: dropping it lifts the protection.
    _protection: Option<Protection>,
    /// The actor's pagemap before the stores.
    pub before: Vec<Entry>,
    /// The tag of the stores to be made.
    pub tag: u64,
    /// Whether the parent has dropped its mapping.
    pub parent_dropped: bool,
    /// Whether an operation that is timed with the area and without it is so with it first.
    pub with_first: bool,
    /// How the state came about.
    pub setup: Setup,
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
    /// Data checks.
    pub integrity: Integrity,
}

impl<'a> Fixture<'a> {
    /// Carries out the scenario's steps on a fresh area and proves the result. `number` makes the
    /// trial's data differ from that of any other trial.
    pub fn prepare(&'a self, number: u64) -> Result<Ready<'a>, MemoryError> {
        let file_tag = number << 34;
        let scenario = self.scenario;
        let mut area = backing::map(scenario.memory, self.folio, self.pages, file_tag)?;
        area.set_data_bytes(data_bytes(scenario, self.folio.bytes()));
        let mut props = KeptAlive::new(scenario, self.pages)?;
        let (fill, child_tag, tag) = (number << 34, number << 34 | 1 << 32, number << 34 | 2 << 32);
        let mut content = match scenario.memory {
            Memory::PrivateFile | Memory::PrivateMemfd => Content::Filled(fill),
            _ => Content::Zero,
        };
        let (mut sharer, mut pipe, mut protection, mut child_stored) = (None, None, None, None);
        if scenario.has(Step::ChildVmsplices) {
            pipe = Some(PipeHold::open(&area)?);
        }
        if scenario.mapping == Mapping::InBatch {
            // Begin with an empty batch, so that it does not overflow.
            drain_lru_batch()?;
        }
        for step in self.scenario.steps {
            match step {
                Step::Fill => {
                    match self.ground {
                        Some(_) => area.fill_lines(fill),
                        None => area.fill(fill),
                    }
                    content = Content::Filled(fill);
                }
                Step::Read => area.read(),
                Step::Fork | Step::ForkUntouched => {
                    let held = pipe.as_ref();
                    let mut child = Sharer::fork(|order| self.obey(&area, held, order))?;
                    if *step == Step::Fork {
                        child.order(Order::Read)?;
                    }
                    sharer = Some(child);
                }
                Step::ForkElsewhere => {
                    let held = pipe.as_ref();
                    let forked = elsewhere(|| {
                        let mut child = Sharer::fork(|order| self.obey(&area, held, order))?;
                        child.order(Order::Read)?;
                        Ok(child)
                    });
                    sharer = Some(forked??);
                }
                Step::FillElsewhere => {
                    elsewhere(|| area.fill(fill))?;
                    content = Content::Filled(fill);
                }
                Step::ChildStores => {
                    if let Some(child) = &mut sharer {
                        child.order(Order::Store(child_tag))?;
                        child_stored = Some(child_tag);
                    }
                }
                Step::ChildExits => {
                    if let Some(child) = sharer.take() {
                        Sharer::exit(child)?;
                    }
                }
                Step::ParentDrops => area.drop_pages()?,
                Step::Vmsplice => pipe = Some(PipeHold::take(&area)?),
                Step::WriteProtect => protection = Some(Protection::apply(&area)?),
                other => props.apply(*other, &area, fill, &mut sharer, &mut pipe, || {
                    Sharer::fork(|order| self.obey(&area, None, order))
                })?,
            }
        }
        if matches!(
            self.scenario.mapping,
            Mapping::Anon(_) | Mapping::Folio(_) | Mapping::PteMapped(_)
        ) {
            drain_lru_batch()?;
        }
        let mut ready = Ready {
            stage: self,
            area,
            content,
            child_stored,
            sharer,
            pipe,
            _protection: protection,
            props,
            before: Vec::new(),
            tag,
            parent_dropped: self.scenario.has(Step::ParentDrops),
            with_first: false,
            setup: Setup::default(),
        };
        ready.setup.by = ready
            ._protection
            .iter()
            .map(|p| p.by().to_string())
            .chain(ready.props.by())
            .collect();
        ready.prove()?;
        Ok(ready)
    }

    /// What a forked child does with an order; the reply is a count.
    fn obey(&self, area: &Area, pipe: Option<&PipeHold>, order: Order) -> u64 {
        match order {
            Order::Read => {
                self.stamps.touch();
                if !self.scenario.has(Step::DontFork) {
                    area.read();
                }
                0
            }
            Order::Store(tag) => {
                area.store(tag);
                0
            }
            Order::Make(stores, tag) => self.store(area, tag, stores),
            Order::CheckFill(fill) => area.violations(Content::Filled(fill), None),
            Order::CheckStored(fill, tag) => area.violations(Content::Filled(fill), Some(tag)),
            Order::Race => self.race(area, pipe, true),
            Order::CheckLines(fill, tag) => match self.ground {
                Some(ground) => ground.violations(area, fill, tag),
                None => 0,
            },
            Order::Vmsplice => u64::from(pipe.is_none_or(|pipe| pipe.splice(area).is_err())),
            // The sharer's own affair.
            Order::Beget => 1,
        }
    }

    /// Takes this process's part in a race; tells the number of complaints.
    pub fn race(&self, area: &Area, pipe: Option<&PipeHold>, forked: bool) -> u64 {
        self.ground
            .map_or(0, |ground| ground.race(area, pipe, forked))
    }

    /// Makes the stores; tells the minor faults that this thread took meanwhile.
    fn store(&self, area: &Area, tag: u64, stores: Stores) -> u64 {
        let before = minor_faults();
        match (stores, self.posts) {
            (Stores::Timed, _) => stores_timed(self.source, area, tag, self.stamps),
            (Stores::Fenced, _) => stores_fenced(self.source, area, tag, self.stamps),
            (Stores::Posted, Some(by)) => stores_posted(self.source, area, tag, self.stamps, by),
            _ => stores_bare(self.source, area, tag, self.stamps),
        }
        minor_faults() - before
    }
}

/// Minor faults of the calling thread so far.
fn minor_faults() -> u64 {
    use nix::sys::resource::{UsageWho, getrusage};
    getrusage(UsageWho::RUSAGE_THREAD).map_or(0, |usage| usage.minor_page_faults() as u64)
}

impl Ready<'_> {
    /// The process whose stores count, where it is not this one.
    pub fn actor_pid(&self) -> Option<nix::unistd::Pid> {
        match self.stage.scenario.actor() {
            Actor::Parent => None,
            Actor::Child => self.sharer.as_ref().map(Sharer::pid),
        }
    }

    /// What the actor's page table says of the pages.
    pub fn pagemap(&self) -> Result<Vec<Entry>, MemoryError> {
        let pagemap = match self.actor_pid() {
            Some(pid) => Pagemap::of(pid),
            None => Pagemap::own(),
        };
        pagemap?.read(&self.area)
    }

    /// Proves the scenario's mapping on every page, and keeps the entries for the oracle.
    fn prove(&mut self) -> Result<(), MemoryError> {
        let mapping = self.stage.scenario.mapping;
        let vmas = vma_count(&self.area)?;
        if vmas != 1 {
            return Err(MemoryError::NotReached {
                page: 0,
                expected: "an area of one VMA".into(),
                found: format!("{vmas} VMAs"),
            });
        }
        self.before = self.pagemap()?;
        for (page, entry) in self.before.iter().enumerate() {
            expect(page, mapping, visible(mapping, *entry), || describe(*entry))?;
        }
        self.setup
            .proven
            .push(format!("one VMA; pagemap: {}", mapping.label_by_pagemap()));
        let pfns: Option<Vec<u64>> = self.before.iter().map(|entry| entry.pfn()).collect();
        match (&self.stage.frames, pfns) {
            (_, _) if matches!(mapping, Mapping::None | Mapping::Swapped) => {}
            (Ok(frames), Some(_)) if self.has_folios() => {
                let proven = proof::folios(
                    &PageFacts {
                        area: &self.area,
                        folio: self.stage.folio,
                        pid: self.actor_pid(),
                        entries: &self.before,
                        frames,
                    },
                    mapping,
                )?;
                self.setup.proven.push(proven);
            }
            (Ok(frames), Some(pfns)) => {
                for (page, (count, flags)) in frames.read(&pfns)?.into_iter().enumerate() {
                    expect(page, mapping, single(mapping, count, flags), || {
                        format!("mapcount {count}, {flags:x?}")
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

    /// Whether the size of the folios is part of the state.
    fn has_folios(&self) -> bool {
        matches!(
            self.stage.scenario.mapping,
            Mapping::Folio(_) | Mapping::PteMapped(_)
        )
    }

    /// Makes the stores of the trial and says what became of them.
    pub fn store(mut self, stores: Stores) -> Result<TrialFindings, MemoryError> {
        let source = self.stage.source;
        let whole = match self.stage.scenario.timed {
            Timed::Unmap => {
                let integrity = self.check_data()?;
                let (scaled, took) = unmap(source, &self.area)?;
                Some((integrity, vec![scaled], took, None))
            }
            Timed::Fork => {
                let integrity = self.check_data()?;
                let pair = fork_both_ways(source, &self.area, self.with_first)?;
                Some((integrity, Vec::new(), pair.with, Some(pair)))
            }
            Timed::Store | Timed::ReadPin | Timed::DirectWrite => None,
        };
        if let Some((integrity, ticks, loop_ticks, pair)) = whole {
            return Ok(TrialFindings {
                outcomes: vec![Outcome::Operation],
                ticks,
                loop_ticks,
                pair,
                integrity,
            });
        }
        let faults = self.make_stores(stores)?;
        self.judge(stores, faults)
    }

    /// Makes the stores; tells the actor's minor faults meanwhile.
    pub fn make_stores(&mut self, stores: Stores) -> Result<u64, MemoryError> {
        match self.stage.scenario.timed {
            Timed::Store => {}
            Timed::ReadPin => {
                return Ok(self.call(|page| {
                    read_pinned(page);
                }));
            }
            _ => {
                let Some(direct) = self.props.direct() else {
                    return Ok(0);
                };
                return Ok(self.call(|page| {
                    direct.write(page);
                }));
            }
        }
        match (self.stage.scenario.actor(), &mut self.sharer) {
            (Actor::Child, Some(child)) => child.order(Order::Make(stores, self.tag)),
            _ => Ok(self.stage.store(&self.area, self.tag, stores)),
        }
    }

    /// Makes a call for every page; tells the minor faults that this thread took meanwhile.
    fn call(&self, call: impl Fn(*mut u8)) -> u64 {
        let before = minor_faults();
        calls_timed(self.stage.source, &self.area, self.stage.stamps, call);
        minor_faults() - before
    }

    /// What the oracle's verdict comes to, given what was timed and what the area is made of.
    fn translate(&self, outcome: Outcome, before: Entry) -> Outcome {
        let scenario = self.stage.scenario;
        match (scenario.timed, outcome) {
            (Timed::Store, _) if before.swapped() => Outcome::SwapIn,
            (Timed::Store, Outcome::Fill)
                if matches!(scenario.memory, Memory::PrivateFile | Memory::PrivateMemfd) =>
            {
                // The page cache's page was copied, though it was not mapped.
                Outcome::Copy
            }
            (Timed::ReadPin | Timed::DirectWrite, Outcome::Copy) => Outcome::UnshareCopy,
            (Timed::ReadPin | Timed::DirectWrite, Outcome::Reuse) => Outcome::UnshareMark,
            (_, outcome) => outcome,
        }
    }

    /// Pages that the stores do not take out of another CPU's LRU batch must still be in it: anything
    /// that runs there can empty it at any moment.
    fn still_in_batch(&self) -> Result<(), MemoryError> {
        let scenario = self.stage.scenario;
        if !scenario.has(Step::FillElsewhere) || scenario.mapping != Mapping::InBatch {
            return Ok(());
        }
        let pfns: Option<Vec<u64>> = self.before.iter().map(|entry| entry.pfn()).collect();
        let (Ok(frames), Some(pfns)) = (&self.stage.frames, pfns) else {
            return Ok(());
        };
        for (page, (_, flags)) in frames.read(&pfns)?.into_iter().enumerate() {
            expect(page, scenario.mapping, !flags.lru(), || {
                format!("it left the batch before the stores were over, {flags:x?}")
            })?;
        }
        Ok(())
    }

    /// Classifies the stores that were made and checks the data.
    pub fn judge(
        mut self,
        stores: Stores,
        minor_faults: u64,
    ) -> Result<TrialFindings, MemoryError> {
        self.still_in_batch()?;
        let stamps = self.stage.stamps.as_slice();
        let (ticks, loop_ticks): (Vec<u64>, u64) = match stores {
            Stores::Timed => {
                let stamps = &stamps[..=self.area.pages()];
                let ticks = stamps.windows(2).map(|pair| pair[1] - pair[0]).collect();
                (ticks, stamps[self.area.pages()] - stamps[0])
            }
            _ => (Vec::new(), stamps[1] - stamps[0]),
        };
        let after = self.pagemap()?;
        let mut integrity = self.check_data()?;
        let in_place = self.ask_pipe(&mut integrity)?;
        let zeroes = vec![0; self.area.pages()];
        let verdict = oracle::classify(&Evidence {
            before: &self.before,
            after: &after,
            ticks: if ticks.is_empty() { &zeroes } else { &ticks },
            minor_faults,
            in_place: in_place.as_deref(),
        });
        integrity.violations += verdict.contradictions;
        let outcomes = verdict.outcomes.into_iter().zip(&self.before);
        Ok(TrialFindings {
            outcomes: outcomes
                .map(|(outcome, before)| self.translate(outcome, *before))
                .collect(),
            ticks,
            loop_ticks,
            pair: None,
            integrity,
        })
    }

    /// Every process must see its own stores, all of them, and nobody else's.
    fn check_data(&mut self) -> Result<Integrity, MemoryError> {
        let by_child = self.stage.scenario.actor() == Actor::Child;
        let stores = self.stage.scenario.timed == Timed::Store;
        let parent_stored = (!by_child && stores).then_some(self.tag);
        let mut integrity = Integrity {
            checked: self.area.words_checked(),
            violations: self.area.violations(self.content, parent_stored),
        };
        let child_stored = if by_child {
            Some(self.tag)
        } else {
            self.child_stored
        };
        // A child that inherits no page, or only zeroes, has nothing to check.
        let inherits =
            !self.stage.scenario.has(Step::DontFork) && !self.stage.scenario.has(Step::WipeOnFork);
        if let (true, Some(child), Content::Filled(fill)) =
            (inherits, &mut self.sharer, self.content)
        {
            integrity.checked += self.area.words_checked();
            integrity.violations += child.order(match child_stored {
                Some(tag) => Order::CheckStored(fill, tag),
                None => Order::CheckFill(fill),
            })?;
        }
        Ok(integrity)
    }

    /// Whether a pipe that holds each page sees the new data; anything but the new or the old data is
    /// a violation.
    fn ask_pipe(&mut self, integrity: &mut Integrity) -> Result<Option<Vec<bool>>, MemoryError> {
        let Some(pipe) = self.pipe.take() else {
            return Ok(None);
        };
        let words = pipe.witness()?;
        integrity.checked += words.len() as u64;
        let mut in_place = Vec::with_capacity(words.len());
        for (page, word) in words.into_iter().enumerate() {
            let new = word == stored_word(self.tag, page);
            integrity.violations += u64::from(!new && word != self.content.word(page));
            in_place.push(new);
        }
        // Without a store the pipe tells nothing of the page.
        Ok((self.stage.scenario.timed == Timed::Store).then_some(in_place))
    }
}

/// Does something on another CPU than the one this process is pinned to: LRU batches are per CPU.
fn elsewhere<T>(act: impl FnOnce() -> T) -> Result<T, MemoryError> {
    let refused = |e| MemoryError::refused("moving to another CPU and back", e);
    on_another_cpu(act)
        .map_err(refused)?
        .ok_or_else(|| MemoryError::Unsupported("needs a second CPU; found one".into()))
}

/// Why page frame numbers cannot be seen.
fn no_frames() -> Missing {
    Missing::privilege(
        CapabilitySet::SYS_ADMIN,
        "pagemap shows no page frame number",
    )
}

fn expect(
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
