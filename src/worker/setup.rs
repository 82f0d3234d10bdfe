//! The steps that bring page states about beyond fork, exit and pipe, and what must be kept alive for them.

use nix::sys::mman::MmapAdvise;

use crate::memory::MemoryError;
use crate::memory::advice::{
    advise, keep_of_each_folio, map_by_ptes, read_only_and_back, swap_out,
};
use crate::memory::area::{Area, page_size};
use crate::memory::in_flight::{Direction, InFlight};
use crate::memory::ksm::Twin;
use crate::memory::pin::{Direct, Registered, read_pinned};
use crate::memory::pipe::PipeHold;
use crate::memory::protect::Protection;
use crate::memory::sharer::{Order, Sharer};
use crate::memory::spawn::vfork_and_read;
use crate::scenario::{Scenario, Step, Timed};

/// What a page state needs kept alive until the stores are judged.
#[derive(Default)]
pub struct KeptAlive {
    second: Option<Sharer>,
    protection: Option<Protection>,
    registered: Option<Registered>,
    twin: Option<Twin>,
    in_flight: Option<InFlight>,
    direct: Option<Direct>,
}

impl KeptAlive {
    /// What is needed before the first step on an area of so many pages.
    pub fn new(scenario: &Scenario, pages: usize) -> Result<Self, MemoryError> {
        let in_flight = scenario.has(Step::WriteInFlight) || scenario.has(Step::ReadInFlight);
        let written = scenario.has(Step::WriteDirect) || scenario.timed == Timed::DirectWrite;
        let pages = match (in_flight, written) {
            (true, _) => Some(pages + 1),
            (_, true) => Some(1),
            _ => None,
        };
        Ok(KeptAlive {
            direct: pages.map(Direct::open).transpose()?,
            ..KeptAlive::default()
        })
    }

    /// Carries out `step`. `fill` is the tag of the area's pattern; `fork_another` forks a sharer.
    pub fn apply(
        &mut self,
        step: Step,
        area: &Area,
        fill: u64,
        sharer: &mut Option<Sharer>,
        pipe: &mut Option<PipeHold>,
        fork_another: impl FnOnce() -> Result<Sharer, MemoryError>,
    ) -> Result<(), MemoryError> {
        match step {
            Step::ForkAgain => {
                let mut child = fork_another()?;
                child.order(Order::Read)?;
                self.second = Some(child);
            }
            Step::SecondExits => {
                if let Some(child) = self.second.take() {
                    child.exit()?;
                }
            }
            Step::Grandchild => {
                if let Some(child) = sharer {
                    child.beget()?;
                    child.order(Order::Read)?;
                }
            }
            Step::ChildVmsplices => {
                if let Some(child) = sharer
                    && child.order(Order::Vmsplice)? != 0
                {
                    return Err(MemoryError::Unsupported(
                        "vmsplice() failed in the child".into(),
                    ));
                }
            }
            Step::Vfork => vfork_and_read(area)?,
            Step::PipeCloses => *pipe = None,
            Step::RegisterBuffer => self.registered = Some(Registered::register(area)?),
            Step::ReadPinned => {
                each(area, read_pinned, "process_vm_readv()")?;
            }
            Step::WriteDirect => {
                if let Some(direct) = &self.direct {
                    each(area, |page| direct.write(page), "write with O_DIRECT")?;
                }
            }
            Step::WriteInFlight => self.start(area, Direction::Write)?,
            Step::ReadInFlight => self.start(area, Direction::Read)?,
            Step::MprotectRoRw => read_only_and_back(area)?,
            Step::UffdWpUndone => self.protection = Some(Protection::set_and_lift(area)?),
            Step::UffdWpAsync => self.protection = Some(Protection::by_uffd(area)?),
            Step::SoftDirty => self.protection = Some(Protection::by_soft_dirty(area)?),
            Step::DontFork => advise(area, MmapAdvise::MADV_DONTFORK, "MADV_DONTFORK")?,
            Step::WipeOnFork => advise(area, MmapAdvise::MADV_WIPEONFORK, "MADV_WIPEONFORK")?,
            Step::MadvFree => {
                advise(area, MmapAdvise::MADV_FREE, "MADV_FREE")?;
                // The last pages sit in a batch of this CPU, which holds references: push them out.
                let ballast = Area::map(64)?;
                ballast.fill(0);
                advise(&ballast, MmapAdvise::MADV_FREE, "MADV_FREE")?;
            }
            Step::SwapOut => swap_out(area)?,
            Step::Merge => self.twin = Some(Twin::merged(area, fill)?),
            Step::TwinUnmaps => {
                if let Some(twin) = &mut self.twin {
                    twin.unmap();
                }
            }
            Step::PteMap => map_by_ptes(area)?,
            Step::HalfUnmap => keep_of_each_folio(area, area.stride() / 2)?,
            Step::AllButOneUnmap => keep_of_each_folio(area, page_size())?,
            // The rest is the trial's own.
            _ => {}
        }
        Ok(())
    }

    fn start(&mut self, area: &Area, way: Direction) -> Result<(), MemoryError> {
        if let Some(direct) = &self.direct {
            self.in_flight = Some(InFlight::start(area, direct, way)?);
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
}

/// Bytes of each folio that hold data once the scenario's steps are done.
pub fn data_bytes(scenario: &Scenario, folio: usize) -> usize {
    if scenario.has(Step::AllButOneUnmap) {
        page_size()
    } else if scenario.has(Step::HalfUnmap) {
        folio / 2
    } else {
        folio
    }
}

fn each(area: &Area, act: impl Fn(*mut u8) -> bool, what: &str) -> Result<(), MemoryError> {
    for page in 0..area.pages() {
        if !act(area.base().wrapping_add(page * area.stride())) {
            let error = std::io::Error::last_os_error();
            return Err(MemoryError::refused(what, error));
        }
    }
    Ok(())
}
