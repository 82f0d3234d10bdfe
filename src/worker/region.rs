//! Operations on a whole area, one sample each: fork, munmap and mprotect.

use nix::sys::mman::MmapAdvise;

use super::timed::now;
use crate::memory::MemoryError;
use crate::memory::advice::{advise, join_vma, populate_for_stores, split_vma, swap_is_there};
use crate::memory::area::Area;
use crate::memory::pagemap::Pagemap;
use crate::memory::spawn::{fork_timed, vfork_timed};
use crate::record::clock::ClockSource;
use crate::scenario::{Scenario, Timed};

/// The memory that a sample is scaled to, in bytes.
const SCALE: usize = 2 << 20;

/// What 2 MiB are of `bytes` of memory.
pub fn scale(bytes: usize) -> f64 {
    SCALE as f64 / bytes.max(1) as f64
}

/// Unmaps `area`; tells the clock ticks that it took, scaled to 2 MiB, and in all.
pub fn unmap(source: ClockSource, area: &Area) -> Result<(u64, u64), MemoryError> {
    let took = area.unmap_timed(|| now(source))?;
    Ok((scaled(took, area), took))
}

/// Has every page of `area` made ready for a store, without one; tells the clock ticks that it took, scaled to 2 MiB, and in all.
pub fn populate(source: ClockSource, area: &Area) -> Result<(u64, u64), MemoryError> {
    let start = now(source);
    let populated = populate_for_stores(area);
    let took = now(source) - start;
    populated.map(|()| (scaled(took, area), took))
}

/// Has `area` swapped out; tells the clock ticks that it took, scaled to 2 MiB, and in all.
///
/// # Errors
/// Also where a page is left in memory.
pub fn page_out(source: ClockSource, area: &Area) -> Result<(u64, u64), MemoryError> {
    swap_is_there()?;
    let start = now(source);
    let advised = advise(area, MmapAdvise::MADV_PAGEOUT, "MADV_PAGEOUT");
    let took = now(source) - start;
    advised?;
    let entries = Pagemap::own()?.read(area)?;
    match entries.iter().position(|entry| !entry.swapped()) {
        None => Ok((scaled(took, area), took)),
        Some(page) => Err(MemoryError::NotReached {
            page,
            expected: "swapped out".into(),
            found: "still in memory".into(),
        }),
    }
}

/// Makes `area` read-only and writable again; tells the clock ticks that both took, scaled to 2 MiB, and in all.
pub fn protect(source: ClockSource, area: &Area) -> Result<(u64, u64), MemoryError> {
    let took = area.protect_timed(|| now(source))?;
    Ok((scaled(took, area), took))
}

fn scaled(took: u64, area: &Area) -> u64 {
    let scaled = u128::from(took) * SCALE as u128 / area.len().max(1) as u128;
    scaled as u64
}

/// Forks with `area` and without it; tells the clock ticks of either. Which comes first is the caller's to turn from
/// one pair to the next: the first fork finds colder caches than the second. A VMA that was split is whole while the area
/// is left out, since a fork takes time for each VMA that it leaves out as well.
pub fn fork_both_ways(
    source: ClockSource,
    area: &Area,
    way: ForkWay,
    with_first: bool,
) -> Result<PairedTicks, MemoryError> {
    let parts = match way {
        ForkWay::OfParts(parts) => parts,
        _ => 1,
    };
    let with = || match way {
        ForkWay::Vfork => vfork_timed(|| now(source)),
        ForkWay::Plain | ForkWay::OfParts(_) => fork_timed(|| now(source)),
    };
    let without = || -> Result<u64, MemoryError> {
        if parts > 1 {
            join_vma(area)?;
        }
        advise(area, MmapAdvise::MADV_DONTFORK, "MADV_DONTFORK")?;
        let took = with()?;
        advise(area, MmapAdvise::MADV_DOFORK, "MADV_DOFORK")?;
        if parts > 1 {
            split_vma(area, parts)?;
        }
        Ok(took)
    };
    if with_first {
        let with = with()?;
        let without = without()?;
        return Ok(PairedTicks { with, without });
    }
    let without = without()?;
    let with = with()?;
    Ok(PairedTicks { with, without })
}

/// How a process is made.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ForkWay {
    /// By fork(2).
    Plain,
    /// The same, while the area is so many VMAs.
    OfParts(usize),
    /// As vfork(2) does.
    Vfork,
}

impl ForkWay {
    /// The way that a scenario asks for.
    pub fn of(scenario: &Scenario, area: &Area) -> ForkWay {
        match (scenario.timed, scenario.vmas(area.pages())) {
            (Timed::Vfork, _) => ForkWay::Vfork,
            (_, 1) => ForkWay::Plain,
            (_, parts) => ForkWay::OfParts(parts),
        }
    }
}

/// Clock ticks of an operation with the area and without it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PairedTicks {
    /// With it.
    pub with: u64,
    /// Without it.
    pub without: u64,
}
