//! The steps that bring page states about, and what must be kept alive for them.

use nix::sys::mman::MmapAdvise;

use crate::memory::MemoryError;
use crate::memory::advice::{
    advise, collapse, dont_fork_rest, keep_of_each_folio, map_by_ptes, no_access_and_back,
    read_only_and_back, split_vma, swap_out,
};
use crate::memory::area::{Area, Content, drain_lru_batch, page_size};
use crate::memory::backing::{self, Memory};
use crate::memory::in_flight::{Direction, InFlight};
use crate::memory::ksm::Twin;
use crate::memory::pagemap::Pagemap;
use crate::memory::pin::{Direct, Registered, read_pinned};
use crate::memory::pipe::PipeHold;
use crate::memory::pool::DryPool;
use crate::memory::protect::Protection;
use crate::memory::remap::MovedHalves;
use crate::memory::sharer::{Order, Sharer};
use crate::memory::spawn::vfork_and_read;
use crate::memory::threads::{Doing, OtherThreads};
use crate::scenario::{Mapping, Scenario, Step, Timed};
use crate::sys::affinity::on_another_cpu;
use crate::sys::files;
use crate::sys::swap::SwapKind;
use crate::worker::fixture::Fixture;
use crate::worker::units::stride;

/// A page state on its way: the pages, and what must be kept alive until the stores are judged. Dropped in this order.
pub struct PageState<'a> {
    fixture: &'a Fixture<'a>,
    second: Option<Sharer>,
    siblings: Vec<Sharer>,
    protection: Option<Protection>,
    pub(super) registered: Option<Registered>,
    twin: Option<Twin>,
    moved: Option<MovedHalves>,
    dry: Option<DryPool>,
    pub(super) in_flight: Option<InFlight>,
    direct: Option<Direct>,
    pub(super) threads: Option<OtherThreads>,
    /// The pages.
    pub area: Area,
    /// What they were filled with.
    pub content: Content,
    /// What the file holds of which a read into the pages is in flight.
    pub(super) in_file: Option<Content>,
    /// The tag of the child's own stores, where it made some.
    pub child_stored: Option<u64>,
    /// The process that shares them.
    pub sharer: Option<Sharer>,
    /// The pipe that holds them.
    pub pipe: Option<PipeHold>,
    fill: u64,
    child_tag: u64,
}

impl<'a> PageState<'a> {
    /// Carries out the scenario's steps on a fresh area. `number` makes the trial's data differ from that of any other.
    pub fn reach(fixture: &'a Fixture<'a>, number: u64) -> Result<Self, MemoryError> {
        let scenario = fixture.scenario;
        let fill = number << 34;
        let bytes = fixture.pages * stride(scenario, fixture.folio);
        let folios = bytes / fixture.folio.bytes();
        let mut area = backing::map(scenario.memory, fixture.folio, folios, fill)?;
        if scenario.every_page.is_some() {
            area.store_to_every_page();
        }
        area.set_data_bytes(data_bytes(scenario, fixture.folio.bytes()));
        let pipe = match scenario.has(Step::ChildVmsplices) {
            true => Some(PipeHold::open(&area)?),
            false => None,
        };
        let mut state = PageState {
            fixture,
            second: None,
            siblings: Vec::new(),
            protection: None,
            registered: None,
            twin: None,
            moved: None,
            dry: None,
            in_flight: None,
            threads: None,
            direct: direct_file(scenario, fixture.pages)?,
            area,
            content: match scenario.memory {
                Memory::PrivateFile | Memory::PrivateMemfd | Memory::PooledMemfd => {
                    Content::Filled(fill)
                }
                _ => Content::Zero,
            },
            in_file: None,
            child_stored: None,
            sharer: None,
            pipe,
            fill,
            child_tag: fill | 1 << 32,
        };
        if matches!(scenario.mapping, Mapping::InBatch | Mapping::StaysInBatch) {
            // Begin with an empty batch, so that it does not overflow.
            drain_lru_batch()?;
        }
        for &step in scenario.steps {
            state.carry_out(step)?;
        }
        if matches!(
            scenario.mapping,
            Mapping::Anon(_)
                | Mapping::AnonOfAnySize(_)
                | Mapping::Folio(_)
                | Mapping::PteMapped(_)
                | Mapping::HalfShared
        ) {
            drain_lru_batch()?;
        }
        Ok(state)
    }

    fn carry_out(&mut self, step: Step) -> Result<(), MemoryError> {
        let area = &self.area;
        match step {
            Step::Fill => self.fill(),
            Step::FillElsewhere => elsewhere(|| self.fill())?,
            Step::Read => area.read(),
            Step::Fork => self.sharer = Some(self.fork_reader()?),
            Step::ForkElsewhere => self.sharer = Some(elsewhere(|| self.fork_reader())??),
            Step::ForkUntouched => self.sharer = Some(self.fork()?),
            Step::ForkAgain => self.second = Some(self.fork_reader()?),
            Step::ChildStores => {
                if let Some(child) = &mut self.sharer {
                    child.order(Order::Store(self.child_tag))?;
                    self.child_stored = Some(self.child_tag);
                }
            }
            Step::ChildExits => exit(&mut self.sharer)?,
            Step::SecondExits => exit(&mut self.second)?,
            Step::Descendants {
                children,
                generations,
            } => {
                self.sharer = Some(self.fork_line(generations)?);
                for _ in 1..children {
                    self.siblings.push(self.fork_line(generations)?);
                }
            }
            // It begins with what is timed.
            Step::ChildForksOn => {}
            Step::Grandchild => {
                if let Some(child) = &mut self.sharer {
                    child.beget()?;
                    child.order(Order::Read)?;
                }
            }
            Step::ChildVmsplices => {
                if let Some(child) = &mut self.sharer
                    && child.order(Order::Vmsplice)? != 0
                {
                    return Err(MemoryError::Unsupported(
                        "vmsplice() failed in the child".into(),
                    ));
                }
                still_shared(area)?;
            }
            Step::ParentDrops => area.drop_pages()?,
            Step::ChildDrops => self.children_drop(area.folio_bytes())?,
            Step::ChildDropsHalf => self.children_drop(area.folio_bytes() / 2)?,
            Step::Vmsplice => self.pipe = Some(PipeHold::take(area)?),
            Step::PipeCloses => self.pipe = None,
            Step::Vfork => vfork_and_read(area)?,
            Step::RegisterBuffer => self.registered = Some(Registered::register(area)?),
            Step::ReadPinned => each(area, read_pinned, "process_vm_readv()")?,
            Step::WriteDirect => {
                if let Some(direct) = &self.direct {
                    each(area, |page| direct.write(page), "write with O_DIRECT")?;
                }
            }
            Step::WriteInFlight => self.start(Direction::Write)?,
            Step::ReadInFlight => {
                let tag = self.fill | 3 << 32;
                if let Some(direct) = &self.direct {
                    direct.fill(area.pages(), tag)?;
                }
                self.in_file = Some(Content::Filled(tag));
                self.start(Direction::Read)?;
            }
            Step::WriteProtect => self.protection = Some(Protection::apply(area)?),
            Step::UffdWpUndone => self.protection = Some(Protection::set_and_lift(area)?),
            Step::UffdWpClosed => self.protection = Some(Protection::set_and_close(area)?),
            Step::UffdWpAsync => self.protection = Some(Protection::by_uffd(area)?),
            Step::SoftDirty => self.protection = Some(Protection::by_soft_dirty(area)?),
            Step::SplitVma => split_vma(area, area.pages())?,
            Step::SplitInto(parts) => split_vma(area, parts as usize)?,
            Step::SplitParts => split_vma(area, self.fixture.parts())?,
            Step::MprotectRoRw => read_only_and_back(area)?,
            Step::ProtNoneAndBack => no_access_and_back(area)?,
            Step::DontFork => advise(area, MmapAdvise::MADV_DONTFORK, "MADV_DONTFORK")?,
            Step::DontForkRest => dont_fork_rest(area)?,
            Step::DoFork => advise(area, MmapAdvise::MADV_DOFORK, "MADV_DOFORK")?,
            Step::WipeOnFork => advise(area, MmapAdvise::MADV_WIPEONFORK, "MADV_WIPEONFORK")?,
            Step::MadvFree => {
                advise(area, MmapAdvise::MADV_FREE, "MADV_FREE")?;
                // The last pages sit in a batch of this CPU, which holds references: push them out.
                let ballast = Area::map(64)?;
                ballast.fill(0);
                advise(&ballast, MmapAdvise::MADV_FREE, "MADV_FREE")?;
            }
            Step::SwapOut => swap_out(area)?,
            Step::Merge => self.twin = Some(Twin::merged(area, self.fill)?),
            Step::TwinUnmaps => {
                if let Some(twin) = &mut self.twin {
                    twin.unmap();
                }
            }
            Step::PoolDries => self.dry = Some(DryPool::of(self.fixture.folio)?),
            Step::PteMap => map_by_ptes(area)?,
            Step::Collapse => collapse(area)?,
            Step::HalfMoves => self.moved = Some(MovedHalves::of(area)?),
            Step::HalfUnmap => keep_of_each_folio(area, area.folio_bytes() / 2)?,
            Step::AllButOneUnmap => keep_of_each_folio(area, page_size())?,
            Step::ThreadsRun(count) => {
                self.threads = Some(OtherThreads::start(Doing::Run, count)?);
            }
            Step::ThreadsSleep(count) => {
                self.threads = Some(OtherThreads::start(Doing::Sleep, count)?);
            }
        }
        Ok(())
    }

    /// Stores the pattern.
    fn fill(&mut self) {
        self.area.fill(self.fill);
        self.content = Content::Filled(self.fill);
    }

    fn fork(&self) -> Result<Sharer, MemoryError> {
        let (fixture, area, pipe) = (self.fixture, &self.area, self.pipe.as_ref());
        // SAFETY: page states are set up by a worker's only thread. Beside it there is at the most that of a transfer in
        // flight, which waits inside its system call and holds no lock of this process.
        unsafe { Sharer::fork(|order| fixture.obey(area, pipe, order)) }
    }

    fn fork_reader(&self) -> Result<Sharer, MemoryError> {
        let mut child = self.fork()?;
        child.order(Order::Read)?;
        Ok(child)
    }

    /// A child, its child and so on; the youngest obeys.
    fn fork_line(&self, generations: u32) -> Result<Sharer, MemoryError> {
        let mut youngest = self.fork_reader()?;
        for _ in 1..generations {
            youngest.descend()?;
            youngest.order(Order::Read)?;
        }
        Ok(youngest)
    }

    fn children_drop(&mut self, of_each_folio: usize) -> Result<(), MemoryError> {
        for child in self.sharer.iter_mut().chain(&mut self.siblings) {
            if child.order(Order::Drop(of_each_folio as u64))? != 0 {
                let why = "madvise(MADV_DONTNEED) failed in a child";
                return Err(MemoryError::Unsupported(why.into()));
            }
        }
        Ok(())
    }

    fn start(&mut self, way: Direction) -> Result<(), MemoryError> {
        if let Some(direct) = &self.direct {
            self.in_flight = Some(InFlight::start(&self.area, direct, way)?);
        }
        Ok(())
    }

    /// The file that [`Timed::DirectWrite`] writes to.
    pub fn direct(&self) -> Option<&Direct> {
        self.direct.as_ref()
    }

    /// The means by which a protection came about.
    pub fn by(&self) -> Option<String> {
        Some(self.protection.as_ref()?.by().into())
    }

    /// What the state is besides, where it hangs on the machine: where pages are swapped out to.
    pub fn of_the_machine(&self) -> Vec<String> {
        match self.fixture.scenario.swaps() {
            true => {
                let kinds = SwapKind::in_use().into_iter().map(SwapKind::label);
                let zswap = files::read("/sys/module/zswap/parameters/enabled");
                let zswap = zswap.filter(|on| on == "Y").map(|_| "zswap before it");
                kinds.chain(zswap).map(str::to_owned).collect()
            }
            false => Vec::new(),
        }
    }
}

fn exit(sharer: &mut Option<Sharer>) -> Result<(), MemoryError> {
    sharer.take().map_or(Ok(()), Sharer::exit)
}

/// That the child put the pages into the pipe which it shares with this process, and none of its own: a kernel whose reading
/// pins break the sharing gives it a copy first.
fn still_shared(area: &Area) -> Result<(), MemoryError> {
    let entries = Pagemap::own()?.read(area)?;
    match entries.iter().any(|entry| entry.mapped_once()) {
        true => Err(MemoryError::Unsupported(
            "needs a vmsplice() that puts shared pages into a pipe as they are; found: the child was given copies".into(),
        )),
        false => Ok(()),
    }
}

/// The file that a scenario reads or writes past the page cache, if it does; its transfers take pages themselves.
fn direct_file(scenario: &Scenario, pages: usize) -> Result<Option<Direct>, MemoryError> {
    let reads = scenario.has(Step::ReadInFlight);
    let writes = scenario.has(Step::WriteInFlight)
        || scenario.has(Step::WriteDirect)
        || scenario.timed == Timed::DirectWrite;
    if !reads && !writes {
        return Ok(None);
    }
    // One page more is what holds a transfer up.
    let file = Direct::open(pages + 1)?;
    for (is, way) in [(reads, Direction::Read), (writes, Direction::Write)] {
        if is {
            InFlight::prove(&file, way)?;
        }
    }
    Ok(Some(file))
}

/// Bytes of each folio that hold data once the scenario's steps are done.
pub fn data_bytes(scenario: &Scenario, folio: usize) -> usize {
    if scenario.has(Step::AllButOneUnmap) {
        page_size()
    } else if scenario.has(Step::HalfUnmap) || scenario.has(Step::HalfMoves) {
        folio / 2
    } else {
        folio
    }
}

fn each(
    area: &Area,
    act: impl Fn(*mut u8) -> nix::Result<()>,
    what: &str,
) -> Result<(), MemoryError> {
    for page in 0..area.pages() {
        act(area.base().wrapping_add(page * area.stride()))
            .map_err(|error| MemoryError::refused(what, error))?;
    }
    Ok(())
}

/// Does something on another CPU than the one this process is pinned to: LRU batches are per CPU.
fn elsewhere<T>(act: impl FnOnce() -> T) -> Result<T, MemoryError> {
    let refused = |e| MemoryError::refused("moving to another CPU and back", e);
    on_another_cpu(act)
        .map_err(refused)?
        .ok_or_else(|| MemoryError::Unsupported("needs a second CPU; found one".into()))
}
