//! Operations on a whole area, one sample each: fork and munmap.

use nix::sys::mman::MmapAdvise;

use super::timed::now;
use crate::measure::clock::Source;
use crate::memory::MemoryError;
use crate::memory::advice::advise;
use crate::memory::area::Area;
use crate::memory::spawn::fork_timed;
use crate::scenario::Timed;

/// The memory that a sample is scaled to, in bytes.
pub const SCALE: usize = 2 << 20;

/// Forks without the area before the one that counts; the quickest is taken off.
const WITHOUT: u32 = 3;

/// Carries out `what` on `area`; tells the clock ticks that it took, scaled to 2 MiB, and in all.
pub fn operate(what: Timed, source: Source, area: &Area) -> Result<(u64, u64), MemoryError> {
    let took = match what {
        Timed::Unmap => area.unmap_timed(|| now(source))?,
        _ => {
            advise(area, MmapAdvise::MADV_DONTFORK, "MADV_DONTFORK")?;
            let mut without = u64::MAX;
            for _ in 0..WITHOUT {
                without = without.min(fork_timed(|| now(source))?);
            }
            advise(area, MmapAdvise::MADV_DOFORK, "MADV_DOFORK")?;
            fork_timed(|| now(source))?.saturating_sub(without)
        }
    };
    let scaled = u128::from(took) * SCALE as u128 / area.len().max(1) as u128;
    Ok((scaled as u64, took))
}
