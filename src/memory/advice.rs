//! What madvise and mprotect do to an area: inheritance, lazy freeing, paging out, folios partly unmapped.

use std::io;
use std::ptr::NonNull;
use std::time::{Duration, Instant};

use nix::errno::Errno;
use nix::sys::mman::{MmapAdvise, ProtFlags, madvise, mprotect};

use super::MemoryError;
use super::area::{Area, page_size};
use super::pagemap::{Entry, Pagemap};
use crate::sys::swap::SwapKind;

/// How long pages may take to be swapped out.
const PATIENCE: Duration = Duration::from_secs(5);

/// Gives `advice`, whose name is `name`, on the whole area.
pub fn advise(area: &Area, advice: MmapAdvise, name: &str) -> Result<(), MemoryError> {
    on(area, 0, area.len(), advice).map_err(|e| MemoryError::refused(format!("madvise({name})"), e))
}

/// Unmaps what lies beyond the first `keep` bytes of each folio.
pub fn keep_of_each_folio(area: &Area, keep: usize) -> Result<(), MemoryError> {
    for folio in area.folios() {
        on(
            area,
            folio + keep,
            area.folio_bytes() - keep,
            MmapAdvise::MADV_DONTNEED,
        )
        .map_err(|e| MemoryError::refused("madvise(MADV_DONTNEED)", e))?;
    }
    Ok(())
}

/// Keeps all but the first page of each folio from being inherited.
pub fn dont_fork_rest(area: &Area) -> Result<(), MemoryError> {
    let rest = area.folio_bytes() - page_size();
    for folio in area.folios() {
        on(area, folio + page_size(), rest, MmapAdvise::MADV_DONTFORK)
            .map_err(|e| MemoryError::refused("madvise(MADV_DONTFORK)", e))?;
    }
    Ok(())
}

/// Has the kernel copy each folio's range into a new huge folio, which one PMD maps.
///
/// # Errors
/// Before Linux 6.1; where no huge page is to be had.
pub fn collapse(area: &Area) -> Result<(), MemoryError> {
    // SAFETY: the advice changes no data.
    match unsafe { libc::madvise(area.base().cast(), area.len(), COLLAPSE) } {
        0 => Ok(()),
        _ => Err(not_collapsed(io::Error::last_os_error())),
    }
}

/// The kernel's MADV_COLLAPSE.
const COLLAPSE: libc::c_int = 25;

fn not_collapsed(error: io::Error) -> MemoryError {
    // Of no bytes it is refused only where it is not known.
    // SAFETY: the advice is about no memory.
    let is_known = unsafe { libc::madvise(std::ptr::null_mut(), 0, COLLAPSE) } == 0;
    match (error.raw_os_error(), is_known) {
        (Some(libc::EINVAL), false) => MemoryError::Unsupported(
            "needs MADV_COLLAPSE (Linux 6.1); found: EINVAL: this kernel has none".into(),
        ),
        (Some(libc::EINVAL), true) => MemoryError::Unsupported(
            "needs a MADV_COLLAPSE of pages as they are here; found: EINVAL: this kernel collapses none of which all are read-only, as 6.12 does not (SCAN_PAGE_RO)"
                .into(),
        ),
        _ => MemoryError::refused("madvise(MADV_COLLAPSE)", error),
    }
}

/// Unmaps the first `bytes` bytes of each folio.
///
/// # Errors
/// Those of madvise(2). Allocates nothing, so that a forked child may call it.
pub fn drop_of_each_folio(area: &Area, bytes: usize) -> nix::Result<()> {
    for folio in area.folios() {
        on(area, folio, bytes, MmapAdvise::MADV_DONTNEED)?;
    }
    Ok(())
}

/// Splits the area's VMA into so many parts as equal as can be, each of one page at least: neighbours differ in whether a core
/// dump has them.
///
/// # Errors
/// Where the kernel allows no more VMAs (vm.max_map_count).
pub fn split_vma(area: &Area, parts: usize) -> Result<(), MemoryError> {
    let parts = parts.clamp(1, area.pages());
    let begin = |part: usize| part * area.pages() / parts * area.stride();
    for part in (1..parts).step_by(2) {
        let (from, to) = (begin(part), begin(part + 1));
        on(area, from, to - from, MmapAdvise::MADV_DONTDUMP)
            .map_err(|e| MemoryError::refused("madvise(MADV_DONTDUMP)", e))?;
    }
    Ok(())
}

/// Joins what [`split_vma`] has split.
pub fn join_vma(area: &Area) -> Result<(), MemoryError> {
    advise(area, MmapAdvise::MADV_DODUMP, "MADV_DODUMP")
}

/// Has every page made ready for a store: as if each were stored to, but that the data stay.
pub fn populate_for_stores(area: &Area) -> Result<(), MemoryError> {
    // SAFETY: the range is the area, and the call changes no data.
    let returned =
        unsafe { libc::madvise(area.base().cast(), area.len(), libc::MADV_POPULATE_WRITE) };
    match Errno::result(returned) {
        Ok(_) => Ok(()),
        // What kernels before it answer.
        Err(Errno::EINVAL) => Err(MemoryError::Unsupported(
            "needs madvise(MADV_POPULATE_WRITE) (Linux 5.14); found: the kernel does not know it"
                .into(),
        )),
        Err(error) => Err(MemoryError::refused("madvise(MADV_POPULATE_WRITE)", error)),
    }
}

/// Makes the area read-only and writable again.
pub fn read_only_and_back(area: &Area) -> Result<(), MemoryError> {
    protect(area, 0, area.len(), ProtFlags::PROT_READ)?;
    writable(area)
}

/// Makes the area inaccessible and writable again.
pub fn no_access_and_back(area: &Area) -> Result<(), MemoryError> {
    protect(area, 0, area.len(), ProtFlags::PROT_NONE)?;
    writable(area)
}

/// Makes the area executable too, and writable alone again: no access to it fails meanwhile.
pub fn executable_and_back(area: &Area) -> Result<(), MemoryError> {
    let all = ProtFlags::PROT_READ | ProtFlags::PROT_WRITE | ProtFlags::PROT_EXEC;
    protect(area, 0, area.len(), all)?;
    writable(area)
}

/// Has each huge mapping split into PTEs, without splitting the folio: by making one page of it read-only
/// and then everything writable again.
pub fn map_by_ptes(area: &Area) -> Result<(), MemoryError> {
    for folio in area.folios() {
        protect(area, folio + page_size(), page_size(), ProtFlags::PROT_READ)?;
    }
    writable(area)
}

/// Has every page swapped out.
pub fn swap_out(area: &Area) -> Result<(), MemoryError> {
    swap_is_there()?;
    super::area::drain_lru_batch()?;
    let pagemap = Pagemap::own()?;
    let deadline = Instant::now() + PATIENCE;
    loop {
        advise(area, MmapAdvise::MADV_PAGEOUT, "MADV_PAGEOUT")?;
        let pages = pagemap.read_all(area)?;
        let step = area.stride() / page_size();
        // Of a folio that is unmapped in part the rest is neither.
        let is_left = |(page, entry): (usize, &Entry)| {
            entry.present() || page % step == 0 && !entry.swapped()
        };
        let left = pages.iter().enumerate().position(is_left);
        match left.map(|page| page / step) {
            None => return Ok(()),
            Some(page) if Instant::now() > deadline => {
                return Err(MemoryError::NotReached {
                    page,
                    expected: "swapped out".into(),
                    found: format!("still in memory after {} s", PATIENCE.as_secs()),
                });
            }
            Some(_) => std::thread::sleep(Duration::from_millis(1)),
        }
    }
}

/// That pages can be swapped out at all.
pub fn swap_is_there() -> Result<(), MemoryError> {
    match SwapKind::in_use().is_empty() {
        true => Err(MemoryError::Unsupported(
            "needs free swap space; found: no swap space; mend with: --tune, which makes a zram device for the time of the run"
                .into(),
        )),
        false => Ok(()),
    }
}

fn writable(area: &Area) -> Result<(), MemoryError> {
    protect(
        area,
        0,
        area.len(),
        ProtFlags::PROT_READ | ProtFlags::PROT_WRITE,
    )
}

fn at(area: &Area, start: usize) -> NonNull<libc::c_void> {
    debug_assert!(start < area.len());
    NonNull::new(area.base().wrapping_add(start).cast()).unwrap_or(NonNull::dangling())
}

fn on(area: &Area, start: usize, length: usize, advice: MmapAdvise) -> nix::Result<()> {
    // SAFETY: the range lies inside the area, which this process owns and holds no Rust objects in.
    unsafe { madvise(at(area, start), length, advice) }
}

fn protect(area: &Area, start: usize, length: usize, to: ProtFlags) -> Result<(), MemoryError> {
    // SAFETY: the range lies inside the area; it is written to only through raw pointers while writable.
    unsafe { mprotect(at(area, start), length, to) }
        .map_err(|e| MemoryError::refused("mprotect()", e))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::memory::area::{Content, vma_count};

    #[test]
    fn a_vma_is_split_into_parts_and_joined_again() {
        let area = Area::map(9).unwrap();
        area.fill(3);
        let vmas = || vma_count(&area).unwrap();
        assert_eq!(vmas(), 1);
        for (parts, found) in [(9, 9), (4, 4), (1, 1), (100, 9)] {
            split_vma(&area, parts).unwrap();
            assert_eq!(vmas(), found);
            join_vma(&area).unwrap();
            assert_eq!(vmas(), 1);
        }
        assert_eq!(area.violations(Content::Filled(3), None), 0);
    }
}
